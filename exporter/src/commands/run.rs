//! `ebpfix run`.

use super::Failure;
use crate::cli::RunArgs;
use crate::daemon;

/// Observes and exports in the foreground until SIGTERM or SIGINT.
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    let sources = args.overrides.over(args.config.sources());
    if sources.file().is_none() && !sources.names_collectors() {
        return super::zero::run(sources);
    }
    let loaded = sources.load()?;
    super::init_logging(loaded.config.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = super::runtime()?;
    let outcome = runtime.block_on(daemon::run(loaded, &sources));
    // A resolver that waits for an answer keeps nobody waiting.
    runtime.shutdown_background();
    let ledger = outcome.map_err(|error| Failure::Failed(error.to_string()))?;
    super::log_ledger(&ledger);
    Ok(())
}
