//! Flows asked for, gathered and shown: what `ebpfix flows` and `ebpfix top` are made of.
//!
//! A [`Query`] says which flows are meant, by which [`Field`]s they are added up, in which order they
//! come and how many. [`Gather`] is given flows one by one and holds no more than the answer needs;
//! [`Answer`] is what comes of it. [`show`] makes lines of an answer, for people or programs.
//!
//! Nothing here knows where flows come from: a flow is a [`FlowJson`](crate::record::FlowJson).
#![forbid(unsafe_code)]

mod field;
mod gather;
pub mod rates;
pub mod show;

pub use field::{Field, UnknownField, Value};
pub use gather::{Answer, Gather, MAX_GROUPS, MAX_ROWS, Query, Row, Total};
