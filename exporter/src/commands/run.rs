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
    let runtime = super::runtime()?;
    let outcome = runtime.block_on(daemon::run(loaded.config, Some(&path)));
    // A resolver that waits for an answer keeps nobody waiting.
    runtime.shutdown_background();
    let ledger = outcome.map_err(|error| Failure::Failed(error.to_string()))?;
    super::log_ledger(&ledger);
    Ok(())
}
