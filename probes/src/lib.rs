//! The kernel side of ebpfix.
//!
//! The same source is compiled twice: for the host, where the exporter uses the [`abi`] and where
//! the [dissector](dissect) is tested, fuzzed and run over captures; and for the kernel, where the
//! entry points call it on every packet.
//!
//! Read in this order: [`abi`] (what kernel and exporter share).
#![cfg_attr(not(test), no_std)]
#![warn(missing_docs)]
#![allow(
    clippy::inline_always,
    reason = "a BPF program is one function: what is not inlined is called with five arguments and a small stack"
)]

pub mod abi;
pub mod addr;
pub mod dissect;
#[cfg(feature = "kernel")]
#[allow(missing_docs, non_upper_case_globals, unsafe_op_in_unsafe_fn)]
pub mod kernel;
pub mod table;
