//! IPFIX Files (RFC 5655): messages one after the other, as over TCP.
//!
//! - [`FileReader`] gives the messages of a file, [`Framer`] those of any stream of octets, a TCP
//!   connection for example. A [`Decoder`](crate::Decoder) reads them; a file is one Transport
//!   Session.
//! - An Exporting Process needs no writer of its own: the messages of a [`Session`](crate::Session)
//!   made with [`SessionOptions::file`](crate::SessionOptions::file), one after the other, are a file.
//! - [`FileWriter`] is for a Collecting Process: it puts what came from any number of Transport
//!   Sessions, of all protocols, into one file.

mod details;
mod frame;
mod translate;
mod window;
mod write;

pub use details::{DetailsScope, MessageDetails, Origin};
pub use frame::{FileError, FileMessage, FileReader, FrameError, FrameErrorKind, Framer};
pub use write::{FileLimits, FileWriter, Stored};
