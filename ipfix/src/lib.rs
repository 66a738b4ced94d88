//! IPFIX (RFC 7011), `NetFlow` version 9 (RFC 3954) and `NetFlow` version 5: messages, templates and
//! records, without I/O.
//!
//! There are no sockets, no clock and no threads in here: octets and times are arguments. No input,
//! however hostile, makes it panic.
//!
//! # The parts
//! - [`elements`]: the Information Elements of the IANA registry as constants, found by id or name.
//! - [`Layout`]: one table per record type from which both the Template Record and the Data Records
//!   come, so that they cannot disagree. Columns are added one by one, or in
//!   [groups](LayoutBuilder::group) that are compiled together, which is several times as fast.
//! - [`Session`]: a Transport Session of an Exporting Process: the sequence number, the templates and
//!   when they are due. [`MessageWriter`] fills its messages.
//! - [`NetflowV5Record`]: the one record that `NetFlow` v5 has; [`Layout::netflow_v5`] makes a layout of
//!   it, and sessions and writers are the same.
//! - [`list`]: writing structured data (RFC 6313), the contents of fields that are lists.
//! - [`options`]: the options records that exporters usually send, ready made.
//! - [`Decoder`]: reads messages of all three protocols from any number of exporters, in bounded memory.
//! - [`FileReader`] and [`FileWriter`]: IPFIX Files (RFC 5655), and what was received in them;
//!   [`Framer`] cuts streams, such as TCP connections, into messages.
//! - [`FileWriter`] and [`FileReader`]: IPFIX Files (RFC 5655); [`Framer`] finds the messages of any
//!   stream of octets.
//!
//! # Example
//! A flow goes from an Exporting Process to a collector. Between the two would be a UDP socket.
//! ```
//! use ipfix::{Decoder, DecoderLimits, Layout, Protocol, Session, SessionOptions, Written, elements};
//!
//! struct Flow {
//!     source: [u8; 4],
//!     destination: [u8; 4],
//!     packets: u64,
//!     end_ms: u64,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let layout = Layout::builder(Protocol::Ipfix, 256)
//!     .octets(elements::SOURCE_IPV4_ADDRESS, |flow: &Flow, _| flow.source)
//!     .octets(elements::DESTINATION_IPV4_ADDRESS, |flow, _| flow.destination)
//!     .unsigned(elements::PACKET_DELTA_COUNT, 8, |flow, _| flow.packets)
//!     .unsigned(elements::FLOW_END_MILLISECONDS, 8, |flow, _| flow.end_ms)
//!     .build()?;
//!
//! let started_ms = 1_795_536_000_000; // milliseconds since 1970, from your clock
//! let mut session = Session::new(SessionOptions::udp(Protocol::Ipfix, 1, started_ms));
//! session.register(&layout)?;
//!
//! let flows: Vec<Flow> = (0..100)
//!     .map(|n| Flow {
//!         source: [192, 0, 2, n],
//!         destination: [198, 51, 100, 1],
//!         packets: 10,
//!         end_ms: started_ms + 5_000,
//!     })
//!     .collect();
//!
//! let mut decoder = Decoder::new(DecoderLimits::default());
//! let mut packets = 0;
//! let mut buffer = Vec::new();
//! let mut rest = flows.as_slice();
//! while !rest.is_empty() {
//!     let now_ms = started_ms + 60_000;
//!     buffer.clear();
//!     let mut writer = session.begin(&mut buffer, now_ms);
//!     while let Some((flow, after)) = rest.split_first() {
//!         match writer.write(&layout, flow)? {
//!             Written::Done => rest = after,
//!             Written::Full => break,
//!         }
//!     }
//!     let Some(message) = writer.finish() else { break };
//!     // socket.send(&buffer)?;  If that fails, drop the message: nothing has changed.
//!     session.commit(message)?;
//!
//!     let decoded = decoder.decode(&"192.0.2.1:50000", &buffer)?;
//!     for record in decoded.records() {
//!         let value = record.value(&elements::PACKET_DELTA_COUNT);
//!         packets += value.and_then(|value| value.unsigned()).unwrap_or(0);
//!     }
//! }
//! assert_eq!(packets, 1000);
//! assert_eq!(session.sequence(), 100);
//! # Ok(())
//! # }
//! ```
//!
//! # Times in `NetFlow`
//! Elements 21 and 22 count milliseconds of sysUptime, and collectors of version 9 find sysUptime's
//! zero by subtracting two fields of the header, one of which has whole seconds only. The writer
//! therefore fills in both for the end of the current second, and starts sysUptime at a whole second:
//! flow times arrive exact to the millisecond, and none is later than the header.
//!
//! The header of `NetFlow` v5 has nanoseconds: there all fields speak of the export time itself.
#![forbid(unsafe_code)]

mod decode;
mod element;
#[rustfmt::skip]
pub mod elements;
mod file;
mod layout;
pub mod list;
mod message;
mod netflow_v5;
pub mod options;
mod session;
mod wire;

pub use decode::{
    BasicList, BasicListValues, DataSet, DateTime, DecodeError, DecodeErrorKind, Decoded, Decoder,
    DecoderLimits, DomainOptions, Field, Header, ListSemantic, Record, Records, Sampling, Sequence,
    SubTemplateList, SubTemplateLists, SubTemplateMultiList, Template, TypedValue, UnknownSet,
    Value, Values,
};
pub use element::{
    AbstractType, Element, REVERSE_PEN, Registry, Semantics, Status, VARIABLE_LENGTH, v9_scope,
};
pub use file::{
    DetailsScope, FileError, FileLimits, FileMessage, FileReader, FileWriter, FrameError,
    FrameErrorKind, Framer, MessageDetails, Origin, Stored,
};
pub use layout::{Context, Group, GroupColumns, Layout, LayoutBuilder, LayoutError};
pub use message::{Message, MessageWriter, WriteError, Written};
pub use netflow_v5::{NetflowV5Record, NetflowV5Sampling, NetflowV5SamplingMode};
pub use session::{
    RegisterError, Session, SessionOptions, StaleMessage, TemplateSchedule, Transport,
    WithdrawError,
};
pub use wire::{MIN_TEMPLATE_ID, Protocol};

/// The example of the README is compiled and run, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
