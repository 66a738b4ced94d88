//! Building a layout column by column.

use core::net::{Ipv4Addr, Ipv6Addr};

use super::column::{Column, Fixed, Raw};
use super::group::{Group, GroupColumns, Grouped};
use super::value::{
    low_bits_only, ntp_microseconds, ntp_timestamp, reduced, reduced_signed, takes_unsigned,
};
use super::{Context, Identity, Layout, LayoutError, Segment};
use crate::element::{AbstractType, ENTERPRISE_BIT, Element, Registry, VARIABLE_LENGTH};
use crate::wire::{MIN_TEMPLATE_ID, Protocol, low16, put};

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
    pub(super) fn new(protocol: Protocol, template_id: u16, options: bool) -> Self {
        Self {
            protocol,
            template_id,
            options,
            scope_fields: None,
            fields: Vec::new(),
            segments: Vec::new(),
            error: (protocol == Protocol::NetflowV5).then_some(LayoutError::NoTemplates),
        }
    }

    /// An unsigned integer, or a time in seconds or milliseconds, of `length` octets, big endian.
    ///
    /// `length` below the natural one is reduced-size encoding (RFC 7011 section 6.2). A value too
    /// large for its field becomes the largest one that fits, except that elements which are sets of
    /// flags keep their low bits (RFC 7125 section 3), and so do seconds, which count modulo 2^32 (RFC
    /// 7011 section 5.2).
    pub fn unsigned<F>(self, element: Element, length: u16, value: F) -> Self
    where
        F: Fn(&R, &Context) -> u64 + Send + Sync + 'static,
    {
        let accepted = takes_unsigned(element);
        let low_bits = low_bits_only(element);
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

    /// A dateTimeSeconds, 4 octets (RFC 7011 section 6.1.7). The function gives seconds since
    /// 1970-01-01 UTC; from 2106 on they count modulo 2^32 (section 5.2).
    pub fn seconds<F>(self, element: Element, unix_seconds: F) -> Self
    where
        F: Fn(&R, &Context) -> u64 + Send + Sync + 'static,
    {
        let accepted = element.data_type() == AbstractType::DateTimeSeconds;
        self.fixed::<_, 4>(
            element,
            accepted,
            "seconds",
            move |record: &R, context: &Context| reduced(unix_seconds(record, context), true),
        )
    }

    /// A dateTimeMilliseconds, 8 octets (RFC 7011 section 6.1.8). The function gives milliseconds
    /// since 1970-01-01 UTC.
    pub fn milliseconds<F>(self, element: Element, unix_ms: F) -> Self
    where
        F: Fn(&R, &Context) -> u64 + Send + Sync + 'static,
    {
        let accepted = element.data_type() == AbstractType::DateTimeMilliseconds;
        self.fixed(
            element,
            accepted,
            "milliseconds",
            move |record: &R, context: &Context| unix_ms(record, context).to_be_bytes(),
        )
    }

    /// An unsigned256 of `length` octets. The function gives all 32 octets, big endian; a value too
    /// large for its field becomes the largest one that fits. [`unsigned`](Self::unsigned) takes the
    /// type too, for fields of up to 8 octets.
    pub fn unsigned256<F>(self, element: Element, length: u16, value: F) -> Self
    where
        F: Fn(&R, &Context) -> [u8; 32] + Send + Sync + 'static,
    {
        if element.data_type() != AbstractType::Unsigned256 {
            return self.refuse(LayoutError::WrongType {
                element,
                given: "unsigned256",
            });
        }
        self.raw(element, length, move |record, context, field| {
            let value = value(record, context);
            let (high, low) = value.split_at(value.len().saturating_sub(field.len()));
            if high.iter().all(|&octet| octet == 0) {
                put(field, 0, low);
            } else {
                field.fill(0xff);
            }
        })
    }

    /// An ipv4Address, 4 octets (RFC 7011 section 6.1.1).
    pub fn ipv4<F>(self, element: Element, address: F) -> Self
    where
        F: Fn(&R, &Context) -> Ipv4Addr + Send + Sync + 'static,
    {
        let accepted = element.data_type() == AbstractType::Ipv4Address;
        self.fixed(
            element,
            accepted,
            "ipv4",
            move |record: &R, context: &Context| address(record, context).octets(),
        )
    }

    /// An ipv6Address, 16 octets (RFC 7011 section 6.1.1).
    pub fn ipv6<F>(self, element: Element, address: F) -> Self
    where
        F: Fn(&R, &Context) -> Ipv6Addr + Send + Sync + 'static,
    {
        let accepted = element.data_type() == AbstractType::Ipv6Address;
        self.fixed(
            element,
            accepted,
            "ipv6",
            move |record: &R, context: &Context| address(record, context).octets(),
        )
    }

    /// A macAddress, 6 octets (RFC 7011 section 6.1.1).
    pub fn mac<F>(self, element: Element, address: F) -> Self
    where
        F: Fn(&R, &Context) -> [u8; 6] + Send + Sync + 'static,
    {
        let accepted = element.data_type() == AbstractType::MacAddress;
        self.fixed(element, accepted, "mac", address)
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

    /// A binary32, 4 octets: a float32 (RFC 7011 section 6.1.3), or a float64 in reduced size (section
    /// 6.2).
    pub fn float32<F>(self, element: Element, value: F) -> Self
    where
        F: Fn(&R, &Context) -> f32 + Send + Sync + 'static,
    {
        let accepted = matches!(
            element.data_type(),
            AbstractType::Float32 | AbstractType::Float64
        );
        self.fixed(
            element,
            accepted,
            "float32",
            move |record: &R, context: &Context| value(record, context).to_be_bytes(),
        )
    }

    /// A binary64, 8 octets (RFC 7011 section 6.1.4).
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

    /// Columns of fixed length that are compiled together: one call per record writes them all, which
    /// makes records of many fields a good deal faster. The layout is the same as with the columns one
    /// by one.
    ///
    /// ```
    /// use ipfix::{Layout, Protocol, elements};
    ///
    /// struct Flow {
    ///     source: [u8; 4],
    ///     packets: u64,
    /// }
    ///
    /// # fn main() -> Result<(), ipfix::LayoutError> {
    /// let layout = Layout::builder(Protocol::Ipfix, 256)
    ///     .group(|columns| {
    ///         columns
    ///             .octets(elements::SOURCE_IPV4_ADDRESS, |flow: &Flow, _| flow.source)
    ///             .unsigned::<8, _>(elements::PACKET_DELTA_COUNT, |flow, _| flow.packets)
    ///     })
    ///     .unsigned(elements::IP_VERSION, 1, |_, _| 4)
    ///     .build()?;
    /// assert_eq!(layout.record_length(), Some(13));
    /// # Ok(())
    /// # }
    /// ```
    pub fn group<C: GroupColumns<R>>(
        mut self,
        columns: impl FnOnce(Group<R, ()>) -> Group<R, C>,
    ) -> Self {
        let (columns, fields) = columns(Group::new()).into_parts();
        let start = match self.segments.last() {
            Some(Segment::Fixed { length, .. }) => *length,
            _ => 0,
        };
        for field in fields {
            let element = field.element;
            if !field.accepted {
                return self.refuse(LayoutError::WrongType {
                    element,
                    given: field.given,
                });
            }
            let length = u16::try_from(field.octets).unwrap_or(VARIABLE_LENGTH);
            if self.place(element, length).is_none() {
                return self;
            }
        }
        if C::LENGTH > 0 {
            self.push(start, C::LENGTH, Box::new(Grouped { at: start, columns }));
        }
        self
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

    /// A field of variable length (RFC 7011 section 7), for strings, octet arrays and
    /// [lists](crate::list) in their wire form; IPFIX only. Such a layout is slower to encode.
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

    /// Text of variable length (RFC 7011 section 7); IPFIX only. See [`variable`](Self::variable).
    pub fn variable_text<F>(self, element: Element, value: F) -> Self
    where
        F: for<'r> Fn(&'r R) -> &'r str + Send + Sync + 'static,
    {
        if element.data_type() != AbstractType::String {
            return self.refuse(LayoutError::WrongType {
                element,
                given: "variable_text",
            });
        }
        self.variable(element, move |record| value(record).as_bytes())
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

/// Sets carry their length in 16 bits.
const MAX_LENGTH: usize = 65_000;

/// A Field Specifier without an Enterprise Number.
const V9_SPECIFIER_LENGTH: usize = 4;
