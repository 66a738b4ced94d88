//! `ebpfix run`.

use super::Failure;
use crate::cli::RunArgs;
use crate::config::Config;
use crate::daemon;
use std::path::PathBuf;

/// Observes and exports in the foreground until SIGTERM or SIGINT.
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    let Some(path) = args.config.existing().map(PathBuf::from) else {
        return super::zero::run();
    };
    let loaded = Config::load(&path)?;
    super::init_logging(loaded.config.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let ledger = runtime()?
        .block_on(daemon::run(loaded.config, Some(&path)))
        .map_err(|error| Failure::Failed(error.to_string()))?;
    super::log_ledger(&ledger);
    Ok(())
}

/// The runtime of the stages that wait for sockets.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start: {error}")))
}
