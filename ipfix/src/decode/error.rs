//! Why something cannot be read.

use core::fmt;

use crate::wire::MIN_TEMPLATE_ID;

/// Why a message, or a set of it, cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// Where in the message, in octets from its start.
    pub offset: usize,
    /// What was being read.
    pub what: &'static str,
    /// What is wrong with it.
    pub kind: DecodeErrorKind,
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
    /// Neither IPFIX nor `NetFlow` v9.
    Version(u16),
    /// A length smaller than the header it stands in.
    Length(u16),
    /// A Set ID that is reserved.
    SetId(u16),
    /// A Template ID below 256.
    TemplateId(u16),
    /// A template with this many fields: none, or more than the limit.
    FieldCount(usize),
    /// An options template whose scope is empty or longer than the template (RFC 7011 section
    /// 3.4.2.2), or whose lengths are no multiple of 4 (RFC 3954 section 6.1).
    Scope,
    /// A template whose records would have no octets.
    EmptyRecord,
}

impl DecodeError {
    pub(super) fn truncated(
        offset: usize,
        what: &'static str,
        needed: usize,
        available: usize,
    ) -> Self {
        Self {
            offset,
            what,
            kind: DecodeErrorKind::Truncated { needed, available },
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "octet {}: {}: ", self.offset, self.what)?;
        match self.kind {
            DecodeErrorKind::Truncated { needed, available } => {
                write!(f, "{needed} octets needed, {available} there")
            }
            DecodeErrorKind::Version(version) => {
                write!(
                    f,
                    "version {version} is neither 10 (IPFIX) nor 9 (NetFlow v9)"
                )
            }
            DecodeErrorKind::Length(length) => {
                write!(f, "length {length} is shorter than the header")
            }
            DecodeErrorKind::SetId(id) => write!(f, "set id {id} is reserved"),
            DecodeErrorKind::TemplateId(id) => {
                write!(f, "template id {id} is below {MIN_TEMPLATE_ID}")
            }
            DecodeErrorKind::FieldCount(count) => write!(f, "{count} fields are not acceptable"),
            DecodeErrorKind::Scope => f.write_str("the scope does not fit the fields"),
            DecodeErrorKind::EmptyRecord => f.write_str("its records would have no octets"),
        }
    }
}

impl core::error::Error for DecodeError {}
