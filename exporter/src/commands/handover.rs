//! `ebpfix handover`.

use super::Failure;
use crate::cli::HandoverArgs;
use crate::daemon::control::Question;

/// Has the exporter that runs end, and waits until it has.
pub fn run(args: &HandoverArgs) -> Result<(), Failure> {
    let daemon = super::daemon_of(&args.config)?;
    let ledger: serde_json::Value = super::ask(&daemon, Question::Handover)?;
    super::print(&format!(
        "handed over: {} packets exported, {} in the kernel for the next exporter; programs and tables stay in {}\n",
        ledger["exported"]["packets"],
        ledger["held"]["packets"],
        daemon.pin_dir.display()
    ))
}
