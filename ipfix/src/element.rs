//! The vocabulary of RFC 7012: what an Information Element is, apart from which ones there are.

use core::fmt;

/// The abstract data type of an Information Element (RFC 7012 section 3.1, RFC 6313 for the lists).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AbstractType {
    /// One octet, unsigned.
    Unsigned8,
    /// Two octets, unsigned, big endian; may be reduced to one.
    Unsigned16,
    /// Four octets, unsigned, big endian; may be reduced to 1 to 3.
    Unsigned32,
    /// Eight octets, unsigned, big endian; may be reduced to 1 to 7.
    Unsigned64,
    /// 32 octets, unsigned, big endian; may be reduced.
    Unsigned256,
    /// One octet, two's complement.
    Signed8,
    /// Two octets, two's complement; may be reduced.
    Signed16,
    /// Four octets, two's complement; may be reduced.
    Signed32,
    /// Eight octets, two's complement; may be reduced.
    Signed64,
    /// IEEE 754 binary32.
    Float32,
    /// IEEE 754 binary64; may be reduced to binary32.
    Float64,
    /// One octet: 1 is true, 2 is false (RFC 7011 section 6.1.5).
    Boolean,
    /// Six octets.
    MacAddress,
    /// Octets without further structure.
    OctetArray,
    /// UTF-8 text.
    String,
    /// Seconds since 1970-01-01 UTC, four octets.
    DateTimeSeconds,
    /// Milliseconds since 1970-01-01 UTC, eight octets.
    DateTimeMilliseconds,
    /// NTP timestamp (32.32 bits since 1900), of which the last 11 bits carry nothing.
    DateTimeMicroseconds,
    /// NTP timestamp (32.32 bits since 1900).
    DateTimeNanoseconds,
    /// Four octets.
    Ipv4Address,
    /// Sixteen octets.
    Ipv6Address,
    /// A list of values of one element (RFC 6313).
    BasicList,
    /// A list of records of one template (RFC 6313).
    SubTemplateList,
    /// Lists of records of several templates (RFC 6313).
    SubTemplateMultiList,
}

impl AbstractType {
    /// The length in octets without reduction; `None` for types of free length.
    pub const fn natural_length(self) -> Option<u16> {
        match self {
            Self::Unsigned8 | Self::Signed8 | Self::Boolean => Some(1),
            Self::Unsigned16 | Self::Signed16 => Some(2),
            Self::Unsigned32
            | Self::Signed32
            | Self::Float32
            | Self::DateTimeSeconds
            | Self::Ipv4Address => Some(4),
            Self::MacAddress => Some(6),
            Self::Unsigned64
            | Self::Signed64
            | Self::Float64
            | Self::DateTimeMilliseconds
            | Self::DateTimeMicroseconds
            | Self::DateTimeNanoseconds => Some(8),
            Self::Ipv6Address => Some(16),
            Self::Unsigned256 => Some(32),
            Self::OctetArray
            | Self::String
            | Self::BasicList
            | Self::SubTemplateList
            | Self::SubTemplateMultiList => None,
        }
    }

    /// Whether a field of this type may have this fixed length in octets, by the rules of
    /// reduced-size encoding (RFC 7011 section 6.2): integers may shrink, `float64` may become
    /// `float32`, nothing else with a natural length may change it.
    pub const fn allows_length(self, length: u16) -> bool {
        match self.natural_length() {
            None => length > 0 && length < VARIABLE_LENGTH,
            Some(natural) if self.is_integer() => length > 0 && length <= natural,
            Some(natural) => length == natural || (matches!(self, Self::Float64) && length == 4),
        }
    }

    /// Whether the value is an integer, and so open to reduced-size encoding.
    pub const fn is_integer(self) -> bool {
        self.is_unsigned() || self.is_signed()
    }

    /// Whether the value is an unsigned integer.
    pub const fn is_unsigned(self) -> bool {
        matches!(
            self,
            Self::Unsigned8
                | Self::Unsigned16
                | Self::Unsigned32
                | Self::Unsigned64
                | Self::Unsigned256
        )
    }

    /// Whether the value is a signed integer.
    pub const fn is_signed(self) -> bool {
        matches!(
            self,
            Self::Signed8 | Self::Signed16 | Self::Signed32 | Self::Signed64
        )
    }

    /// The name in the IANA registry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unsigned8 => "unsigned8",
            Self::Unsigned16 => "unsigned16",
            Self::Unsigned32 => "unsigned32",
            Self::Unsigned64 => "unsigned64",
            Self::Unsigned256 => "unsigned256",
            Self::Signed8 => "signed8",
            Self::Signed16 => "signed16",
            Self::Signed32 => "signed32",
            Self::Signed64 => "signed64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Boolean => "boolean",
            Self::MacAddress => "macAddress",
            Self::OctetArray => "octetArray",
            Self::String => "string",
            Self::DateTimeSeconds => "dateTimeSeconds",
            Self::DateTimeMilliseconds => "dateTimeMilliseconds",
            Self::DateTimeMicroseconds => "dateTimeMicroseconds",
            Self::DateTimeNanoseconds => "dateTimeNanoseconds",
            Self::Ipv4Address => "ipv4Address",
            Self::Ipv6Address => "ipv6Address",
            Self::BasicList => "basicList",
            Self::SubTemplateList => "subTemplateList",
            Self::SubTemplateMultiList => "subTemplateMultiList",
        }
    }
}

impl fmt::Display for AbstractType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The field length that announces a variable length (RFC 7011 section 3.2).
pub const VARIABLE_LENGTH: u16 = 0xffff;

/// How the values of an element behave (RFC 7012 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Semantics {
    /// No special meaning.
    Default,
    /// An amount that is no counter.
    Quantity,
    /// Counts since the process started.
    TotalCounter,
    /// Counts since the previous record of the same flow.
    DeltaCounter,
    /// A name for something; arithmetic means nothing.
    Identifier,
    /// A set of bits.
    Flags,
    /// A list (RFC 6313).
    List,
    /// An SNMP counter (RFC 8038).
    SnmpCounter,
    /// An SNMP gauge (RFC 8038).
    SnmpGauge,
}

/// The state of an element in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// In use.
    Current,
    /// Kept for what is deployed; new exporters should not use it.
    Deprecated,
}

/// Whose number an element's id is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Registry {
    /// The IANA registry "IPFIX Information Elements"; also the `NetFlow` v9 field types.
    Iana,
    /// An enterprise's own, named by its Private Enterprise Number (IPFIX only).
    Enterprise(u32),
    /// The `NetFlow` v9 scope field types (RFC 3954 section 6.1), which number other things.
    NetflowV9Scope,
}

/// The Private Enterprise Number that marks the reverse direction of an IANA element (RFC 5103).
pub const REVERSE_PEN: u32 = 29305;

/// An Information Element: an id, whose id it is, and what its values are.
///
/// The IANA ones are constants in [`elements`](crate::elements).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Element {
    registry: Registry,
    id: u16,
    name: &'static str,
    data_type: AbstractType,
    semantics: Semantics,
    units: &'static str,
    status: Status,
}

impl Element {
    /// An element of an enterprise. `id` has 15 bits (RFC 7011 section 3.2): its highest bit is the
    /// Enterprise bit of the wire format and is ignored here.
    pub const fn enterprise(
        pen: u32,
        id: u16,
        name: &'static str,
        data_type: AbstractType,
        semantics: Semantics,
    ) -> Self {
        Self {
            registry: Registry::Enterprise(pen),
            id: id & !ENTERPRISE_BIT,
            name,
            data_type,
            semantics,
            units: "",
            status: Status::Current,
        }
    }

    /// The same element for the other direction of a Biflow (RFC 5103). It keeps the name; the
    /// registry tells the two apart.
    #[must_use]
    pub const fn reverse(self) -> Self {
        Self {
            registry: Registry::Enterprise(REVERSE_PEN),
            ..self
        }
    }

    pub(crate) const fn iana(
        id: u16,
        name: &'static str,
        data_type: AbstractType,
        semantics: Semantics,
        units: &'static str,
        status: Status,
    ) -> Self {
        Self {
            registry: Registry::Iana,
            id,
            name,
            data_type,
            semantics,
            units,
            status,
        }
    }

    const fn netflow_v9_scope(id: u16, name: &'static str) -> Self {
        Self {
            registry: Registry::NetflowV9Scope,
            id,
            name,
            data_type: AbstractType::Unsigned64,
            semantics: Semantics::Identifier,
            units: "",
            status: Status::Current,
        }
    }

    /// Whose number [`id`](Self::id) is.
    pub const fn registry(&self) -> Registry {
        self.registry
    }

    /// The number, without the Enterprise bit.
    pub const fn id(&self) -> u16 {
        self.id
    }

    /// The name in its registry, in lower camel case.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The abstract data type.
    pub const fn data_type(&self) -> AbstractType {
        self.data_type
    }

    /// The data type semantics.
    pub const fn semantics(&self) -> Semantics {
        self.semantics
    }

    /// The units, empty where the registry names none.
    pub const fn units(&self) -> &'static str {
        self.units
    }

    /// The state in the registry.
    pub const fn status(&self) -> Status {
        self.status
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.registry {
            Registry::Iana => write!(f, "{} ({})", self.name, self.id),
            Registry::Enterprise(pen) => write!(f, "{} ({pen}/{})", self.name, self.id),
            Registry::NetflowV9Scope => write!(f, "{} (scope {})", self.name, self.id),
        }
    }
}

/// The Enterprise bit of a Field Specifier's first 16 bits (RFC 7011 section 3.2).
pub(crate) const ENTERPRISE_BIT: u16 = 0x8000;

/// The scope field types of `NetFlow` v9 (RFC 3954 section 6.1).
///
/// The RFC gives them numbers and no types: any length of 1 to 8 octets is taken as an unsigned
/// number.
pub mod v9_scope {
    use super::Element;

    /// The whole device.
    pub const SYSTEM: Element = Element::netflow_v9_scope(1, "System");
    /// One interface, by its index.
    pub const INTERFACE: Element = Element::netflow_v9_scope(2, "Interface");
    /// One line card.
    pub const LINE_CARD: Element = Element::netflow_v9_scope(3, "LineCard");
    /// One flow cache.
    pub const CACHE: Element = Element::netflow_v9_scope(4, "Cache");
    /// One Template, by its id.
    pub const TEMPLATE: Element = Element::netflow_v9_scope(5, "Template");

    /// The scope type with this number.
    pub const fn by_id(id: u16) -> Option<Element> {
        match id {
            1 => Some(SYSTEM),
            2 => Some(INTERFACE),
            3 => Some(LINE_CARD),
            4 => Some(CACHE),
            5 => Some(TEMPLATE),
            _ => None,
        }
    }
}
