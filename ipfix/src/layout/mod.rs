//! One table per record type from which both the Template Record and the Data Records come.

mod builder;
mod column;
mod error;
mod group;
mod value;

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use column::{Column, Fixed};

use crate::element::Element;
use crate::netflow_v5::NetflowV5Record;
use crate::wire::{Protocol, low16, low32, put, v5_record};

pub use builder::LayoutBuilder;
pub use error::LayoutError;
pub use group::{Group, GroupColumns};

/// A template and the encoder of its Data Records, made from the same columns, for records of type
/// `R`.
///
/// A layout belongs to one protocol, never changes once built, and can be shared by any number of
/// sessions. [`Session::register`](crate::Session::register) makes its template known,
/// [`MessageWriter::write`](crate::MessageWriter::write) encodes records.
pub struct Layout<R> {
    protocol: Protocol,
    identity: Identity,
    options: bool,
    template_record: Box<[u8]>,
    fields: Box<[(Element, u16)]>,
    segments: Box<[Segment<R>]>,
    min_record_length: usize,
    variable: bool,
}

impl<R: 'static> Layout<R> {
    /// Starts a layout of flow records: a Template Record (RFC 7011 section 3.4.1, RFC 3954 section
    /// 5.2).
    pub fn builder(protocol: Protocol, template_id: u16) -> LayoutBuilder<R> {
        LayoutBuilder::new(protocol, template_id, false)
    }

    /// Starts a layout of options records: an Options Template Record (RFC 7011 section 3.4.2, RFC
    /// 3954 section 6.1). The columns before [`LayoutBuilder::end_of_scope`] are the scope.
    pub fn options_builder(protocol: Protocol, template_id: u16) -> LayoutBuilder<R> {
        LayoutBuilder::new(protocol, template_id, true)
    }

    /// The layout of `NetFlow` v5, from a function that makes a flow of a record. Its
    /// [`fields`](Self::fields) are the elements that `NetFlow` v9 gave the same meaning; it has no
    /// template, and 0 for a template id.
    pub fn netflow_v5<F>(flow: F) -> Self
    where
        F: Fn(&R, &Context) -> NetflowV5Record + Send + Sync + 'static,
    {
        let value = move |record: &R, context: &Context| flow(record, context).encode(context);
        Self {
            protocol: Protocol::NetflowV5,
            identity: Identity::new(NO_TEMPLATE),
            options: false,
            template_record: Box::default(),
            fields: v5_record::FIELDS.into(),
            segments: [Segment::Fixed {
                length: v5_record::LENGTH,
                columns: vec![Box::new(Fixed { at: 0, value })],
            }]
            .into(),
            min_record_length: v5_record::LENGTH,
            variable: false,
        }
    }
}

impl<R> Layout<R> {
    /// The protocol the layout was built for.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The Template ID; 0 in `NetFlow` v5, which has none.
    pub fn template_id(&self) -> u16 {
        self.identity.template_id
    }

    /// Whether this is an options layout.
    pub fn is_options(&self) -> bool {
        self.options
    }

    /// The Template Record or Options Template Record, without a Set Header; empty in `NetFlow` v5.
    pub fn template_record(&self) -> &[u8] {
        &self.template_record
    }

    /// The elements with their lengths in octets, in wire order, the scope first.
    /// [`VARIABLE_LENGTH`](crate::VARIABLE_LENGTH) stands for a variable one.
    pub fn fields(&self) -> &[(Element, u16)] {
        &self.fields
    }

    /// The length in octets of every Data Record; `None` when fields of variable length make it
    /// differ from record to record.
    pub fn record_length(&self) -> Option<usize> {
        (!self.variable).then_some(self.min_record_length)
    }

    /// The length in octets of the shortest Data Record possible.
    pub fn min_record_length(&self) -> usize {
        self.min_record_length
    }

    /// The length in octets of the Data Record of `record`.
    pub fn length_of(&self, record: &R) -> usize {
        if !self.variable {
            return self.min_record_length;
        }
        self.segments
            .iter()
            .map(|segment| match segment {
                Segment::Fixed { length, .. } => *length,
                Segment::Variable(value) => {
                    let length = value(record).len();
                    length_prefix(length) + length
                }
            })
            .fold(0, usize::saturating_add)
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// Encodes `record` into `row`, which is exactly [`length_of`](Self::length_of) octets long.
    pub(crate) fn encode(&self, record: &R, context: &Context, row: &mut [u8]) {
        let mut rest = row;
        for segment in &self.segments {
            match segment {
                Segment::Fixed { length, columns } => {
                    let (row, after) = rest.split_at_mut((*length).min(rest.len()));
                    for column in columns {
                        column.put(record, context, row);
                    }
                    rest = after;
                }
                Segment::Variable(value) => {
                    let value = value(record);
                    let prefix = put_length_prefix(rest, value.len());
                    put(rest, prefix, value);
                    rest = rest.get_mut(prefix + value.len()..).unwrap_or_default();
                }
            }
        }
    }

    /// Encodes `records` one after the other into `rows`, column by column: for layouts of fixed
    /// length only.
    pub(crate) fn encode_all(&self, records: &[R], context: &Context, rows: &mut [u8]) {
        let [Segment::Fixed { length, columns }] = &*self.segments else {
            return;
        };
        for column in columns {
            column.put_all(records, context, rows, *length);
        }
    }
}

impl<R> fmt::Debug for Layout<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layout")
            .field("protocol", &self.protocol)
            .field("template_id", &self.identity.template_id)
            .field("options", &self.options)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

/// What the column functions may know besides their record: the times of the message being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// When the message is written, in milliseconds since 1970-01-01 UTC.
    pub export_time_ms: u64,
    /// When sysUptime was zero, in milliseconds since 1970-01-01 UTC.
    pub system_init_ms: u64,
}

impl Context {
    /// A time in milliseconds since 1970 as sysUptime: milliseconds since
    /// [`system_init_ms`](Self::system_init_ms), modulo 2^32 (49.7 days). So it is for times before
    /// as well, for the time of day may be set back: the distances between a record's times and that
    /// of the message, from which collectors reckon, stay right.
    pub fn uptime_ms(&self, unix_ms: u64) -> u32 {
        low32(unix_ms.wrapping_sub(self.system_init_ms))
    }
}

/// A layout among all of the process, so that an open set knows its own again without comparing
/// templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) template_id: u16,
    serial: u64,
}

impl Identity {
    fn new(template_id: u16) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            template_id,
            serial: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }
}

/// A stretch of a record.
enum Segment<R> {
    Fixed {
        length: usize,
        columns: Vec<Box<dyn Column<R>>>,
    },
    Variable(VariableValue<R>),
}

type VariableValue<R> = Box<dyn for<'r> Fn(&'r R) -> &'r [u8] + Send + Sync>;

/// What stands for the Template ID of layouts that have no template.
const NO_TEMPLATE: u16 = 0;

/// The first octet of a three-octet length (RFC 7011 section 7).
const LONG_LENGTH: u8 = 0xff;

/// Octets of the length that precedes a value of variable length (RFC 7011 section 7).
const fn length_prefix(length: usize) -> usize {
    if length < LONG_LENGTH as usize { 1 } else { 3 }
}

/// Writes the length that precedes a value of variable length, and gives its octets.
pub(crate) fn put_length_prefix(out: &mut [u8], length: usize) -> usize {
    let [high, low] = low16(length).to_be_bytes();
    let prefix = length_prefix(length);
    if prefix == 1 {
        put(out, 0, &[low]);
    } else {
        put(out, 0, &[LONG_LENGTH, high, low]);
    }
    prefix
}
