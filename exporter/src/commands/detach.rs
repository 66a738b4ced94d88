//! `ebpfix detach`.

use super::Failure;
use crate::cli::DetachArgs;
use crate::ledger::Count;
use crate::observe::succession::{Detached, detach};
use crate::observe::{Account, Links, Namespace, ReadOut};
use std::fmt::Write as _;
use std::path::Path;

/// Takes off what an exporter left, and says what was in it.
pub fn run(args: &DetachArgs) -> Result<(), Failure> {
    let failed = |error: crate::observe::Error| Failure::Failed(error.to_string());
    let pin_dir = super::daemon_of(&args.config)?.pin_dir;
    // Where a namespace is gone, its devices are, and what was attached to them.
    let namespace = match super::namespace_of(&args.config) {
        Some(name) => Namespace::open(&Namespace::path_of(&name)).map_err(failed)?,
        None => Namespace::Own,
    };
    let interfaces = if namespace == Namespace::Nowhere {
        Vec::new()
    } else {
        super::runtime()?
            .block_on(async { Links::connect(&namespace)?.list().await })
            .map_err(failed)?
    };
    let indices: Vec<u32> = interfaces.iter().map(|interface| interface.index).collect();
    let detached = detach(&pin_dir, &namespace, &indices).map_err(failed)?;
    if detached.elsewhere {
        super::say(
            &"warning: the exporter was in another network namespace; if it had filters on clsact qdiscs, they are there still (tc filter del)",
        );
    }
    super::print(&text(&detached, &pin_dir))
}

fn text(detached: &Detached, pin_dir: &Path) -> String {
    if detached.programs == 0 && detached.tables.is_empty() {
        return format!("nothing is left of an exporter at {}\n", pin_dir.display());
    }
    let mut text = format!("taken off: {} programs\n", detached.programs);
    for (account, read) in &detached.tables {
        let _ = match (account, read) {
            (Some(account), Some(read)) => {
                let Count { packets, octets } = lost(account, read);
                writeln!(
                    text,
                    "removed: tables that had observed {} packets; {packets} packets, {octets} octets of them were never exported",
                    read.observed.packets
                )
            }
            (_, Some(read)) => writeln!(
                text,
                "removed: tables that had observed {} packets; how many were exported cannot be told",
                read.observed.packets
            ),
            (_, None) => writeln!(
                text,
                "removed: tables of a version that this one does not know"
            ),
        };
    }
    text
}

/// What these tables had observed, and what was neither exported nor lost for a reason of its own.
fn lost(account: &Account, read: &ReadOut) -> Count {
    let count = crate::daemon::count;
    let dropped: Count = read.dropped.iter().copied().map(count).sum();
    (count(read.observed) + count(account.elsewhere))
        .saturating_sub(dropped + count(account.accounted()))
}
