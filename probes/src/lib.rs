//! The kernel side of ebpfix.
//!
//! The same source is compiled twice: for the host, where the exporter uses the [`abi`] and where
//! the [dissector](dissect) is tested; and, with the feature `kernel`, for the kernel, where the
//! entry points call it on every packet.
//!
//! ```text
//!  packet at a TC hook
//!     |
//!  kernel     four entry points: ingress and egress, devices with and without an Ethernet header
//!     |
//!  common     headers at their usual places -> Flow Key and facts
//!     |
//!  dissect    any other headers -> the same, or a Reason why there is no Flow Key -> counters
//!     |
//!  table      hash, find the slot
//!     |
//!     |-- the flow is there     add to it
//!     |-- a slot is free        begin a record
//!     `-- another flow is there evict the one with fewer packets to the log, begin a record
//!                               (log full: count what is in no record)
//!
//!  abi        cpu_state          positions of the log, counters by generation and reason
//!             aggregated_flows   the caches: per CPU, two generations
//!             direct_flows       the logs: per CPU, a ring
//!             control            what the exporter tells: generation, sampling, sizes, hash keys
//! ```
//!
//! A program never changes a packet and never ends the chain of programs. A CPU touches only its
//! own elements, with bottom halves off, so that nothing needs a lock or an atomic.
//!
//! Read in this order: [`abi`] (what kernel and exporter share), [`dissect`], [`common`],
//! [`table`], and
//! `kernel`, which joins them and is not part of the host's library.
#![cfg_attr(not(test), no_std)]
#![warn(missing_docs)]
#![allow(
    clippy::inline_always,
    reason = "a BPF program is one function: what is not inlined is called with five arguments and a small stack"
)]

pub mod abi;
pub mod addr;
pub mod common;
pub mod dissect;
#[cfg(feature = "kernel")]
#[allow(missing_docs, non_upper_case_globals, unsafe_op_in_unsafe_fn)]
pub mod kernel;
pub mod table;
