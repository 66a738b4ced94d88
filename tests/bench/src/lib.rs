//! What the benchmarks share: a generator in the kernel, an empty program to compare with, and the
//! kernel's account of what a program costs.
//!
//! Benchmarks print figures and decide nothing: they are no tests. As with the tests' library, what
//! cannot go on panics with a reason.
#![allow(
    clippy::missing_panics_doc,
    reason = "the crate's own rule: see its description"
)]

mod blast;
mod program;

pub use blast::{Blast, IP_OCTETS};
pub use program::{Account, BpfStats, attach_tcx, load_empty};
