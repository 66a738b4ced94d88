//! The metering process: from what the kernel counted to flows that ended.
//!
//! The [`FlowCache`] merges the kernel's records into one row a flow and decides when a flow ends
//! (its [`Policy`]). It reads no clock: time is always an argument, the kernel's boot clock in
//! nanoseconds. It counts nothing twice and drops nothing: every call returns a [`Movement`] that
//! says what went into the cache and what left it, for the [ledger](crate::ledger).
//!
//! Inside: `index` finds a row by its hash, `wheel` knows when to look at it again, `duplicates`
//! which of several views of a flow is the first, `policy` when a row ends; `cache` joins them.
#![forbid(unsafe_code)]

mod cache;
mod duplicates;
mod index;
mod policy;
mod row;
mod wheel;

#[cfg(test)]
mod tests;

pub use cache::{EndedFlow, FlowCache, HeldFlow, Movement};
pub use policy::{DuplicatesMode, Policy};
