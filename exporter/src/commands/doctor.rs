//! `ebpfix doctor`.

use super::Failure;
use crate::cli::DoctorArgs;
use crate::doctor;

/// Examines this host, and prints what was found. Fails where there is a problem.
pub fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let report = super::runtime()?.block_on(doctor::examine(args.config.existing()));
    let text = if args.json {
        let json = serde_json::to_string(&report)
            .map_err(|error| Failure::Failed(format!("cannot write JSON: {error}")))?;
        format!("{json}\n")
    } else {
        report.to_string()
    };
    super::print(&text)?;
    match report.problems() {
        0 => Ok(()),
        1 => Err(Failure::Failed("there is a problem".to_owned())),
        problems => Err(Failure::Failed(format!("there are {problems} problems"))),
    }
}
