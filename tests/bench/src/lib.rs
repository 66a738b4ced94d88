//! What the benchmarks share: a generator in the kernel, an empty program to compare with, the
//! kernel's account of what a program costs, and meters as processes of their own.
//!
//! Benchmarks print figures and decide nothing: they are no tests. As with the tests' library, what
//! cannot go on panics with a reason.
#![allow(
    clippy::missing_panics_doc,
    reason = "the crate's own rule: see its description"
)]

pub mod assembly;
mod blast;
mod contender;
pub mod figures;
mod log;
mod program;
pub mod records;
mod reference;

use std::path::PathBuf;

pub use blast::{Blast, Flows, Frames, Taken, prepare};
pub use contender::{Contender, Meter, Round, Table, serve};
pub use log::Log;
pub use program::{Account, BpfStats, attach_tcx, load_empty, load_redirect};

/// The exporter that was built together with this program, or what `EBPFIX_BIN` names.
pub fn binary() -> PathBuf {
    std::env::var_os("EBPFIX_BIN").map_or_else(
        || {
            let own = std::env::current_exe().expect("the path of this program");
            own.with_file_name("ebpfix")
        },
        PathBuf::from,
    )
}
