//! One table per record type from which both the Template Record and the Data Records come.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::element::{AbstractType, ENTERPRISE_BIT, Element, Registry, Semantics, VARIABLE_LENGTH};
use crate::wire::{MIN_TEMPLATE_ID, Protocol, low16, low32, put};

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
}

impl<R> Layout<R> {
    /// The protocol the layout was built for.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The Template ID.
    pub fn template_id(&self) -> u16 {
        self.identity.template_id
    }

    /// Whether this is an options layout.
    pub fn is_options(&self) -> bool {
        self.options
    }

    /// The Template Record or Options Template Record, without a Set Header.
    pub fn template_record(&self) -> &[u8] {
        &self.template_record
    }

    /// The elements with their lengths in octets, in wire order, the scope first.
    /// [`VARIABLE_LENGTH`] stands for a variable one.
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
                    let prefix = length_prefix(value.len());
                    let length = low16(value.len()).to_be_bytes();
                    if prefix == 1 {
                        put(rest, 0, &length[1..]);
                    } else {
                        put(rest, 0, &[LONG_LENGTH, length[0], length[1]]);
                    }
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

/// Builds a [`Layout`] column by column, in wire order. The first mistake is kept and comes out of
/// [`build`](Self::build).
///
/// Every column takes an element and a function of the record; the functions that need the time of
/// the message or the base of sysUptime find them in their [`Context`].
#[must_use]
pub struct LayoutBuilder<R> {
    protocol: Protocol,
    template_id: u16,
    options: bool,
    scope_fields: Option<usize>,
    fields: Vec<(Element, u16)>,
    segments: Vec<Segment<R>>,
    error: Option<LayoutError>,
}

impl<R: 'static> LayoutBuilder<R> {
    fn new(protocol: Protocol, template_id: u16, options: bool) -> Self {
        Self {
            protocol,
            template_id,
            options,
            scope_fields: None,
            fields: Vec::new(),
            segments: Vec::new(),
            error: None,
        }
    }

    /// An unsigned integer, or a time in seconds or milliseconds, of `length` octets, big endian.
    ///
    /// `length` below the natural one is reduced-size encoding (RFC 7011 section 6.2). A value too
    /// large for its field becomes the largest one that fits, except that elements which are sets of
    /// flags keep their low bits (RFC 7125 section 3).
    pub fn unsigned<F>(self, element: Element, length: u16, value: F) -> Self
    where
        F: Fn(&R, &Context) -> u64 + Send + Sync + 'static,
    {
        let data_type = element.data_type();
        let accepted = data_type.is_unsigned()
            || matches!(
                data_type,
                AbstractType::DateTimeSeconds | AbstractType::DateTimeMilliseconds
            );
        let low_bits = element.semantics() == Semantics::Flags;
        macro_rules! by_length {
            ($($octets:literal)*) => {
                match length {
                    $($octets => self.fixed::<_, $octets>(
                        element, accepted, "unsigned", move |record: &R, context: &Context| {
                            reduced(value(record, context), low_bits)
                        },
                    ),)*
                    _ => self.refuse(LayoutError::IllegalLength { element, length }),
                }
            };
        }
        by_length!(1 2 3 4 5 6 7 8)
    }

    /// A signed integer of `length` octets, two's complement, big endian; a value out of range
    /// becomes the nearest one in range.
    pub fn signed<F>(self, element: Element, length: u16, value: F) -> Self
    where
        F: Fn(&R, &Context) -> i64 + Send + Sync + 'static,
    {
        let accepted = element.data_type().is_signed();
        macro_rules! by_length {
            ($($octets:literal)*) => {
                match length {
                    $($octets => self.fixed::<_, $octets>(
                        element, accepted, "signed", move |record: &R, context: &Context| {
                            reduced_signed(value(record, context))
                        },
                    ),)*
                    _ => self.refuse(LayoutError::IllegalLength { element, length }),
                }
            };
        }
        by_length!(1 2 3 4 5 6 7 8)
    }

    /// A time in milliseconds of sysUptime, 4 octets: elements 21 and 22 (RFC 3954 section 8). The
    /// function gives milliseconds since 1970; [`Context::uptime_ms`] does the rest.
    pub fn uptime<F>(self, element: Element, unix_ms: F) -> Self
    where
        F: Fn(&R) -> u64 + Send + Sync + 'static,
    {
        self.unsigned(element, 4, move |record, context| {
            context.uptime_ms(unix_ms(record)).into()
        })
    }

    /// A time as NTP timestamp, 8 octets: dateTimeMicroseconds and dateTimeNanoseconds (RFC 7011
    /// sections 6.1.9 and 6.1.10). The function gives nanoseconds since 1970.
    pub fn timestamp<F>(self, element: Element, unix_ns: F) -> Self
    where
        F: Fn(&R) -> u64 + Send + Sync + 'static,
    {
        let microseconds = element.data_type() == AbstractType::DateTimeMicroseconds;
        let accepted = microseconds || element.data_type() == AbstractType::DateTimeNanoseconds;
        self.fixed(
            element,
            accepted,
            "timestamp",
            move |record: &R, _: &Context| {
                let unix_ns = unix_ns(record);
                if microseconds {
                    ntp_microseconds(unix_ns).to_be_bytes()
                } else {
                    ntp_timestamp(unix_ns).to_be_bytes()
                }
            },
        )
    }

    /// A boolean, 1 octet (RFC 7011 section 6.1.5).
    pub fn boolean<F>(self, element: Element, value: F) -> Self
    where
        F: Fn(&R) -> bool + Send + Sync + 'static,
    {
        let accepted = element.data_type() == AbstractType::Boolean;
        self.fixed(
            element,
            accepted,
            "boolean",
            move |record: &R, _: &Context| [if value(record) { 1 } else { 2 }],
        )
    }

    /// A binary64, 8 octets.
    pub fn float64<F>(self, element: Element, value: F) -> Self
    where
        F: Fn(&R, &Context) -> f64 + Send + Sync + 'static,
    {
        let accepted = element.data_type() == AbstractType::Float64;
        self.fixed(
            element,
            accepted,
            "float64",
            move |record: &R, context: &Context| value(record, context).to_be_bytes(),
        )
    }

    /// `N` octets as they are: addresses, MAC addresses, octet arrays, or any other type already in
    /// its wire form.
    pub fn octets<F, const N: usize>(self, element: Element, value: F) -> Self
    where
        F: Fn(&R, &Context) -> [u8; N] + Send + Sync + 'static,
    {
        self.fixed(element, true, "octets", value)
    }

    /// Text in a field of `width` octets: cut at the last whole character that fits, filled with
    /// zeros.
    pub fn text<F>(self, element: Element, width: u16, value: F) -> Self
    where
        F: for<'r> Fn(&'r R) -> &'r str + Send + Sync + 'static,
    {
        if element.data_type() != AbstractType::String {
            return self.refuse(LayoutError::WrongType {
                element,
                given: "text",
            });
        }
        self.raw(element, width, move |record, _, field| {
            let text = value(record);
            let cut = text.floor_char_boundary(field.len());
            put(field, 0, &text.as_bytes()[..cut]);
        })
    }

    /// `length` octets that the function writes in their wire form; they are zero before.
    pub fn raw<F>(mut self, element: Element, length: u16, write: F) -> Self
    where
        F: Fn(&R, &Context, &mut [u8]) + Send + Sync + 'static,
    {
        if let Some(at) = self.place(element, length) {
            self.push(
                at,
                usize::from(length),
                Box::new(Raw {
                    at,
                    length: usize::from(length),
                    write,
                }),
            );
        }
        self
    }

    /// A field of variable length (RFC 7011 section 7), for strings, octet arrays and lists in their
    /// wire form; IPFIX only. Such a layout is slower to encode.
    pub fn variable<F>(mut self, element: Element, value: F) -> Self
    where
        F: for<'r> Fn(&'r R) -> &'r [u8] + Send + Sync + 'static,
    {
        if self.protocol != Protocol::Ipfix {
            return self.refuse(LayoutError::VariableLength { element });
        }
        if element.data_type().natural_length().is_some() {
            return self.refuse(LayoutError::IllegalLength {
                element,
                length: VARIABLE_LENGTH,
            });
        }
        if self.admit(element) {
            self.fields.push((element, VARIABLE_LENGTH));
            self.segments.push(Segment::Variable(Box::new(value)));
        }
        self
    }

    /// Ends the scope of an options layout: the columns so far are Scope Fields, the rest are not.
    pub fn end_of_scope(mut self) -> Self {
        if !self.options || self.fields.is_empty() || self.scope_fields.is_some() {
            return self.refuse(LayoutError::Scope);
        }
        self.scope_fields = Some(self.fields.len());
        self
    }

    /// The layout, or the first mistake made in building it.
    pub fn build(self) -> Result<Layout<R>, LayoutError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.protocol == Protocol::NetflowV5 {
            return Err(LayoutError::NoTemplates);
        }
        if self.template_id < MIN_TEMPLATE_ID {
            return Err(LayoutError::TemplateId(self.template_id));
        }
        if self.fields.is_empty() {
            return Err(LayoutError::NoFields);
        }
        let scope_fields = self.scope_fields.unwrap_or_default();
        // RFC 7011 section 3.4.2: at least one scope and one other field.
        if self.options && (scope_fields == 0 || scope_fields == self.fields.len()) {
            return Err(LayoutError::Scope);
        }
        let min_record_length = self
            .segments
            .iter()
            .map(|segment| match segment {
                Segment::Fixed { length, .. } => *length,
                Segment::Variable(_) => 1,
            })
            .sum();
        let template_record = self.template_record(scope_fields);
        let longest = template_record.len().max(min_record_length);
        if longest > MAX_LENGTH {
            return Err(LayoutError::TooLong(longest));
        }
        Ok(Layout {
            protocol: self.protocol,
            identity: Identity::new(self.template_id),
            options: self.options,
            template_record: template_record.into(),
            variable: self.fields.iter().any(|field| field.1 == VARIABLE_LENGTH),
            fields: self.fields.into(),
            segments: self.segments.into(),
            min_record_length,
        })
    }

    fn template_record(&self, scope_fields: usize) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.template_id.to_be_bytes());
        match (self.options, self.protocol) {
            (false, _) => out.extend(low16(self.fields.len()).to_be_bytes()),
            (true, Protocol::Ipfix) => {
                out.extend(low16(self.fields.len()).to_be_bytes());
                out.extend(low16(scope_fields).to_be_bytes());
            }
            (true, Protocol::NetflowV9 | Protocol::NetflowV5) => {
                // RFC 3954 section 6.1: both lengths are in octets of Field Specifiers.
                let options = self.fields.len() - scope_fields;
                out.extend(low16(scope_fields * V9_SPECIFIER_LENGTH).to_be_bytes());
                out.extend(low16(options * V9_SPECIFIER_LENGTH).to_be_bytes());
            }
        }
        for &(element, length) in &self.fields {
            if let Registry::Enterprise(pen) = element.registry() {
                out.extend((element.id() | ENTERPRISE_BIT).to_be_bytes());
                out.extend(length.to_be_bytes());
                out.extend(pen.to_be_bytes());
            } else {
                out.extend(element.id().to_be_bytes());
                out.extend(length.to_be_bytes());
            }
        }
        out
    }

    /// A column whose function returns the field's octets.
    fn fixed<F, const N: usize>(
        mut self,
        element: Element,
        accepted: bool,
        given: &'static str,
        value: F,
    ) -> Self
    where
        F: Fn(&R, &Context) -> [u8; N] + Send + Sync + 'static,
    {
        if !accepted {
            return self.refuse(LayoutError::WrongType { element, given });
        }
        let length = u16::try_from(N).unwrap_or(VARIABLE_LENGTH);
        if let Some(at) = self.place(element, length) {
            self.push(at, N, Box::new(Fixed { at, value }));
        }
        self
    }

    /// Adds a field of fixed length and gives its place in the current segment.
    fn place(&mut self, element: Element, length: u16) -> Option<usize> {
        if !element.data_type().allows_length(length) {
            self.error
                .get_or_insert(LayoutError::IllegalLength { element, length });
            return None;
        }
        if !self.admit(element) {
            return None;
        }
        self.fields.push((element, length));
        Some(match self.segments.last() {
            Some(Segment::Fixed { length, .. }) => *length,
            _ => 0,
        })
    }

    fn push(&mut self, at: usize, octets: usize, column: Box<dyn Column<R>>) {
        if let Some(Segment::Fixed { length, columns }) = self.segments.last_mut() {
            *length = at + octets;
            columns.push(column);
        } else {
            self.segments.push(Segment::Fixed {
                length: octets,
                columns: vec![column],
            });
        }
    }

    /// Whether the element may stand at this place in a template of this protocol.
    fn admit(&mut self, element: Element) -> bool {
        let in_scope = self.options && self.scope_fields.is_none();
        let allowed = match (self.protocol, element.registry()) {
            (Protocol::Ipfix, Registry::Iana | Registry::Enterprise(_)) => true,
            (Protocol::NetflowV9 | Protocol::NetflowV5, Registry::Iana) => !in_scope,
            (Protocol::NetflowV9, Registry::NetflowV9Scope) => in_scope,
            (Protocol::NetflowV9 | Protocol::NetflowV5, Registry::Enterprise(_))
            | (Protocol::Ipfix | Protocol::NetflowV5, Registry::NetflowV9Scope) => false,
        };
        if !allowed {
            self.error.get_or_insert(LayoutError::Registry {
                element,
                protocol: self.protocol,
            });
        }
        allowed
    }

    fn refuse(mut self, error: LayoutError) -> Self {
        self.error.get_or_insert(error);
        self
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
    /// [`system_init_ms`](Self::system_init_ms), modulo 2^32 (49.7 days); zero for times before.
    pub fn uptime_ms(&self, unix_ms: u64) -> u32 {
        low32(unix_ms.saturating_sub(self.system_init_ms))
    }
}

/// Why a [`Layout`] cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayoutError {
    /// `NetFlow` v5 has no templates: its one record format cannot be chosen column by column.
    NoTemplates,
    /// The Template ID is below 256 (RFC 7011 section 3.4.1).
    TemplateId(u16),
    /// There is no column.
    NoFields,
    /// The element's type does not allow this length in octets (RFC 7011 section 6.2).
    IllegalLength {
        /// The column's element.
        element: Element,
        /// The length asked for.
        length: u16,
    },
    /// The element's type is not that of the column method.
    WrongType {
        /// The column's element.
        element: Element,
        /// The name of the column method.
        given: &'static str,
    },
    /// `NetFlow` v9 has no fields of variable length.
    VariableLength {
        /// The column's element.
        element: Element,
    },
    /// The element cannot stand there: `NetFlow` v9 has no enterprise elements and has scope types
    /// of its own in the scope (only).
    Registry {
        /// The column's element.
        element: Element,
        /// The layout's protocol.
        protocol: Protocol,
    },
    /// An options layout needs one scope of at least one field, then at least one other field; other
    /// layouts have none (RFC 7011 section 3.4.2).
    Scope,
    /// The template or its records are longer than any message: this many octets.
    TooLong(usize),
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTemplates => f.write_str("NetFlow v5 has no templates"),
            Self::TemplateId(id) => write!(f, "template id {id} is below {MIN_TEMPLATE_ID}"),
            Self::NoFields => f.write_str("a template needs at least one field"),
            Self::IllegalLength { element, length } if *length == VARIABLE_LENGTH => write!(
                f,
                "{element}: {} cannot have a variable length",
                element.data_type()
            ),
            Self::IllegalLength { element, length } => write!(
                f,
                "{element}: {} cannot have a length of {length}",
                element.data_type()
            ),
            Self::WrongType { element, given } => write!(
                f,
                "{element}: {} cannot be given as {given}",
                element.data_type()
            ),
            Self::VariableLength { element } => {
                write!(f, "{element}: NetFlow v9 has no fields of variable length")
            }
            Self::Registry { element, protocol } => {
                write!(f, "{element} has no place here in a template of {protocol}")
            }
            Self::Scope => f.write_str(
                "an options template needs scope fields and then other fields; other templates have no scope",
            ),
            Self::TooLong(length) => write!(f, "{length} octets do not fit any message"),
        }
    }
}

impl core::error::Error for LayoutError {}

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

/// Writes one field at its place in the segment.
///
/// `put_all` takes a batch so that the one indirect call is paid per column and batch, and the loop
/// over the records is compiled together with the column's own function.
trait Column<R>: Send + Sync {
    fn put(&self, record: &R, context: &Context, row: &mut [u8]);

    fn put_all(&self, records: &[R], context: &Context, rows: &mut [u8], stride: usize);
}

struct Fixed<F> {
    at: usize,
    value: F,
}

impl<R, F, const N: usize> Column<R> for Fixed<F>
where
    F: Fn(&R, &Context) -> [u8; N] + Send + Sync,
{
    fn put(&self, record: &R, context: &Context, row: &mut [u8]) {
        if let Some(field) = row.get_mut(self.at..self.at + N) {
            field.copy_from_slice(&(self.value)(record, context));
        }
    }

    fn put_all(&self, records: &[R], context: &Context, rows: &mut [u8], stride: usize) {
        for (record, row) in records.iter().zip(rows.chunks_exact_mut(stride)) {
            self.put(record, context, row);
        }
    }
}

struct Raw<F> {
    at: usize,
    length: usize,
    write: F,
}

impl<R, F> Column<R> for Raw<F>
where
    F: Fn(&R, &Context, &mut [u8]) + Send + Sync,
{
    fn put(&self, record: &R, context: &Context, row: &mut [u8]) {
        if let Some(field) = row.get_mut(self.at..self.at + self.length) {
            field.fill(0);
            (self.write)(record, context, field);
        }
    }

    fn put_all(&self, records: &[R], context: &Context, rows: &mut [u8], stride: usize) {
        for (record, row) in records.iter().zip(rows.chunks_exact_mut(stride)) {
            self.put(record, context, row);
        }
    }
}

/// Sets carry their length in 16 bits.
const MAX_LENGTH: usize = 65_000;

/// A Field Specifier without an Enterprise Number.
const V9_SPECIFIER_LENGTH: usize = 4;

/// The first octet of a three-octet length (RFC 7011 section 7).
const LONG_LENGTH: u8 = 0xff;

/// Seconds from the NTP epoch, 1900, to the Unix epoch.
const NTP_UNIX_OFFSET: u64 = 2_208_988_800;

/// Octets of the length that precedes a value of variable length (RFC 7011 section 7).
const fn length_prefix(length: usize) -> usize {
    if length < LONG_LENGTH as usize { 1 } else { 3 }
}

/// The low `N` octets of a value, which is first brought into their range.
fn reduced<const N: usize>(value: u64, low_bits: bool) -> [u8; N] {
    let fits = match N {
        0..8 => value >> (8 * N) == 0,
        _ => true,
    };
    if fits || low_bits {
        low_octets(value)
    } else {
        [0xff; N]
    }
}

fn reduced_signed<const N: usize>(value: i64) -> [u8; N] {
    let value = match N {
        1..8 => {
            let max = (1_i64 << (8 * N - 1)) - 1;
            value.clamp(-max - 1, max)
        }
        _ => value,
    };
    low_octets(value.cast_unsigned())
}

fn low_octets<const N: usize>(value: u64) -> [u8; N] {
    value.to_be_bytes().last_chunk().copied().unwrap_or([0; N])
}

/// Nanoseconds since 1970 as seconds and 2^-32 fractions since 1900, modulo the NTP era.
///
/// The fraction is rounded up, so that reading it back in nanoseconds by cutting off gives the same.
pub(crate) fn ntp_timestamp(unix_ns: u64) -> u64 {
    const NANOS: u64 = 1_000_000_000;
    let seconds = low32(unix_ns / NANOS + NTP_UNIX_OFFSET);
    let fraction = ((unix_ns % NANOS) << 32).div_ceil(NANOS);
    (u64::from(seconds) << 32) | fraction
}

/// The same for whole microseconds with the last 11 bits zero, as RFC 7011 section 6.1.9 wants:
/// the step of 0.48 us is rounded up, so that cutting off to microseconds gives the same again.
fn ntp_microseconds(unix_ns: u64) -> u64 {
    const UNUSED_BITS: u64 = 0x7ff;
    (ntp_timestamp(unix_ns - unix_ns % 1_000) + UNUSED_BITS) & !UNUSED_BITS
}
