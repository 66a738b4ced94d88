//! Mistakes in building layouts.

use core::fmt;

use crate::element::{Element, VARIABLE_LENGTH};
use crate::wire::{MIN_TEMPLATE_ID, Protocol};

/// Why a [`Layout`](crate::Layout) cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayoutError {
    /// `NetFlow` v5 has no templates: its layouts come from
    /// [`Layout::netflow_v5`](crate::Layout::netflow_v5).
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
