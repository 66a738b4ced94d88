//! Why something cannot be read.

use core::fmt;

use crate::wire::{MIN_TEMPLATE_ID, Protocol, v5_record};

/// Why a message, or a set of it, cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// Where, in octets from the start of the message; for the lists of RFC 6313, of the value.
    pub offset: usize,
    /// What was being read.
    pub what: &'static str,
    /// What is wrong with it.
    pub kind: DecodeErrorKind,
    clause: Option<&'static str>,
}

/// What is wrong at a place of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// There are fewer octets than needed.
    Truncated {
        /// Octets needed from the offset on.
        needed: usize,
        /// Octets there.
        available: usize,
    },
    /// Neither IPFIX nor `NetFlow` v9 nor v5.
    Version(u16),
    /// A length smaller than the header it stands in.
    Length(u16),
    /// A `NetFlow` v5 header that announces more records than a packet may have.
    RecordCount(u16),
    /// A Set ID that is reserved.
    SetId(u16),
    /// A Template ID below 256.
    TemplateId(u16),
    /// A template without fields.
    NoFields,
    /// A template with this many fields: more than
    /// [`fields_per_template`](crate::DecoderLimits::fields_per_template).
    FieldCount(usize),
    /// An options template whose scope is empty or longer than the template (RFC 7011 section
    /// 3.4.2.2), or whose lengths are no multiple of 4 (RFC 3954 section 6.1).
    Scope,
    /// A template, or a list, whose records would have no octets.
    EmptyRecord,
    /// Records of another template than the list names.
    OtherTemplate {
        /// The list's.
        wanted: u16,
        /// The one that was given.
        given: u16,
    },
}

impl DecodeError {
    pub(super) fn new(subject: Subject, offset: usize, kind: DecodeErrorKind) -> Self {
        Self {
            offset,
            what: subject.name,
            kind,
            clause: match kind {
                // Limits and arguments are ours.
                DecodeErrorKind::FieldCount(_) | DecodeErrorKind::OtherTemplate { .. } => None,
                _ => Some(subject.clause),
            },
        }
    }

    pub(super) fn truncated(
        subject: Subject,
        offset: usize,
        needed: usize,
        available: usize,
    ) -> Self {
        Self::new(
            subject,
            offset,
            DecodeErrorKind::Truncated { needed, available },
        )
    }

    /// The clause of the standard that is violated, such as `RFC 7011 section 3.3.2`. `None` where
    /// it is no standard but a limit of the [`Decoder`](crate::Decoder) or a wrong argument.
    pub fn clause(&self) -> Option<&'static str> {
        self.clause
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "octet {}: {}: ", self.offset, self.what)?;
        match self.kind {
            DecodeErrorKind::Truncated { needed, available } => {
                write!(f, "{needed} octets needed, {available} there")
            }
            DecodeErrorKind::Version(version) => write!(
                f,
                "version {version} is not 10 (IPFIX), 9 (NetFlow v9) or 5 (NetFlow v5)"
            ),
            DecodeErrorKind::Length(length) => {
                write!(f, "length {length} is shorter than the header")
            }
            DecodeErrorKind::RecordCount(count) => {
                write!(f, "{count} records, at most {} fit", v5_record::MAX_COUNT)
            }
            DecodeErrorKind::SetId(id) => write!(f, "set id {id} is reserved"),
            DecodeErrorKind::TemplateId(id) => {
                write!(f, "template id {id} is below {MIN_TEMPLATE_ID}")
            }
            DecodeErrorKind::NoFields => f.write_str("it has no fields"),
            DecodeErrorKind::FieldCount(count) => {
                write!(f, "{count} fields are more than the limit allows")
            }
            DecodeErrorKind::Scope => f.write_str("the scope does not fit the fields"),
            DecodeErrorKind::EmptyRecord => f.write_str("its records would have no octets"),
            DecodeErrorKind::OtherTemplate { wanted, given } => {
                write!(f, "records of template {wanted}, not of template {given}")
            }
        }?;
        match self.clause {
            Some(clause) => write!(f, " ({clause})"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for DecodeError {}

/// What is being read, and where a standard says how it must be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject {
    name: &'static str,
    clause: &'static str,
}

impl Subject {
    /// Before it is known whose header it is.
    pub(super) const VERSION: Self = Self::new("message header", "RFC 7011 section 3.1");
    /// Of fixed length.
    pub(super) const FIELD: Self = Self::new("field", "RFC 7011 section 3.4.3");
    pub(super) const VARIABLE_FIELD: Self = Self::new("field", "RFC 7011 section 7");
    pub(super) const BASIC_LIST: Self = Self::new("basicList", "RFC 6313 section 4.5.1");
    pub(super) const SUB_TEMPLATE_LIST: Self =
        Self::new("subTemplateList", "RFC 6313 section 4.5.2");
    pub(super) const SUB_TEMPLATE_MULTI_LIST: Self =
        Self::new("subTemplateMultiList", "RFC 6313 section 4.5.3");
    pub(super) const V5_RECORDS: Self = Self::new("records", V5_FORMAT);

    const fn new(name: &'static str, clause: &'static str) -> Self {
        Self { name, clause }
    }

    const fn rfc(
        protocol: Protocol,
        name: &'static str,
        ipfix: &'static str,
        v9: &'static str,
    ) -> Self {
        Self::new(
            name,
            match protocol {
                Protocol::Ipfix => ipfix,
                Protocol::NetflowV9 => v9,
                Protocol::NetflowV5 => V5_FORMAT,
            },
        )
    }

    pub(super) const fn header(protocol: Protocol) -> Self {
        Self::rfc(
            protocol,
            "message header",
            "RFC 7011 section 3.1",
            "RFC 3954 section 5.1",
        )
    }

    pub(super) const fn message(protocol: Protocol) -> Self {
        Self {
            name: "message",
            ..Self::header(protocol)
        }
    }

    pub(super) const fn set(protocol: Protocol) -> Self {
        Self::rfc(
            protocol,
            "set",
            "RFC 7011 section 3.3.2",
            "RFC 3954 section 5",
        )
    }

    pub(super) const fn set_header(protocol: Protocol) -> Self {
        Self {
            name: "set header",
            ..Self::set(protocol)
        }
    }

    pub(super) const fn template(protocol: Protocol, options: bool) -> Self {
        if options {
            Self::rfc(
                protocol,
                "options template record",
                "RFC 7011 section 3.4.2.2",
                "RFC 3954 section 6.1",
            )
        } else {
            Self::rfc(
                protocol,
                "template record",
                "RFC 7011 section 3.4.1",
                "RFC 3954 section 5.2",
            )
        }
    }

    pub(super) const fn specifier(protocol: Protocol, options: bool) -> Self {
        let template = Self::template(protocol, options);
        Self::rfc(
            protocol,
            "field specifier",
            "RFC 7011 section 3.2",
            template.clause,
        )
    }
}

/// No RFC describes `NetFlow` v5.
const V5_FORMAT: &str = "NetFlow v5, export datagram format";
