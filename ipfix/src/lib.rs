//! IPFIX and `NetFlow` v9, without I/O.
#![forbid(unsafe_code)]

mod element;
#[rustfmt::skip]
pub mod elements;
mod layout;
mod message;
mod session;
mod wire;

pub use element::{
    AbstractType, Element, REVERSE_PEN, Registry, Semantics, Status, VARIABLE_LENGTH, v9_scope,
};
pub use layout::{Context, Layout, LayoutBuilder, LayoutError};
pub use message::{Message, MessageWriter, WriteError, Written};
pub use session::{RegisterError, Session, SessionOptions, StaleMessage, TemplateSchedule};
pub use wire::{MIN_TEMPLATE_ID, Protocol};
