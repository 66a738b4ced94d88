//! `ebpfix reload`, `flush` and `log-level`: what the exporter that runs is told.

use super::Failure;
use crate::cli::{FlushArgs, LogLevelArgs, ReloadArgs};
use crate::daemon::control::Question;
use crate::daemon::status::Reloaded;
use serde_json::Value;

/// Has the configuration read again; an error is that it is wrong.
pub fn reload(args: &ReloadArgs) -> Result<(), Failure> {
    let reloaded: Reloaded = super::ask(&super::daemon_of(&args.config)?, Question::Reload)?;
    for warning in &reloaded.warnings {
        super::say(&format_args!("warning: {warning}"));
    }
    if !reloaded.applied {
        return Err(Failure::Reload(reloaded.errors));
    }
    let restart = &reloaded.restart;
    let later = if restart.is_empty() {
        String::new()
    } else {
        format!(
            "takes effect at the next start only: {}\n",
            restart.join(", ")
        )
    };
    super::print(&format!("applied\n{later}"))
}

/// Has every flow exported that is held.
pub fn flush(args: &FlushArgs) -> Result<(), Failure> {
    let flushed: Value = super::ask(&super::daemon_of(&args.config)?, Question::Flush)?;
    super::print(&format!(
        "exported: {} flows, {} packets, {} bytes\n",
        flushed["flows"], flushed["packets"], flushed["bytes"]
    ))
}

/// Prints what is logged, or sets it first.
pub fn log_level(args: &LogLevelArgs) -> Result<(), Failure> {
    let question = Question::LogLevel { level: args.level };
    let answer: Value = super::ask(&super::daemon_of(&args.config)?, question)?;
    super::print(&format!("{}\n", answer["level"].as_str().unwrap_or("none")))
}
