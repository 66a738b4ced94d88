//! Writing structured data (RFC 6313): the contents of fields that are lists.
//!
//! A writer appends to a buffer of the caller's, which belongs into the record and goes out through
//! [`LayoutBuilder::variable`](crate::LayoutBuilder::variable). What does not fit leaves the buffer as
//! it was. Decoded values are read as [lists](crate::Value::basic_list) again.
//!
//! ```
//! use ipfix::list::BasicListWriter;
//! use ipfix::{Layout, ListSemantic, Protocol, elements};
//!
//! struct Flow {
//!     ports: Vec<u8>,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut flow = Flow { ports: Vec::new() };
//! let port = elements::SOURCE_TRANSPORT_PORT;
//! let mut list = BasicListWriter::begin(&mut flow.ports, ListSemantic::OneOrMoreOf, port, 2)?;
//! list.push(&53_u16.to_be_bytes())?;
//! list.push(&443_u16.to_be_bytes())?;
//!
//! let layout = Layout::builder(Protocol::Ipfix, 256)
//!     .variable(elements::BASIC_LIST, |flow: &Flow| &flow.ports)
//!     .build()?;
//! assert_eq!(layout.length_of(&flow), 1 + 5 + 4);
//! # Ok(())
//! # }
//! ```

use core::fmt;

use crate::decode::ListSemantic;
use crate::element::{ENTERPRISE_BIT, Element, Registry, VARIABLE_LENGTH};
use crate::layout::{Context, Layout, put_length_prefix};
use crate::wire::{Protocol, low16};

impl From<ListSemantic> for u8 {
    /// The octet on the wire (RFC 6313 section 4.4).
    fn from(semantic: ListSemantic) -> Self {
        match semantic {
            ListSemantic::NoneOf => 0,
            ListSemantic::ExactlyOneOf => 1,
            ListSemantic::OneOrMoreOf => 2,
            ListSemantic::AllOf => 3,
            ListSemantic::Ordered => 4,
            ListSemantic::Undefined => 0xff,
            ListSemantic::Unassigned(other) => other,
        }
    }
}

/// Writes a basicList: values of one element (RFC 6313 section 4.5.1).
#[derive(Debug)]
pub struct BasicListWriter<'a> {
    list: List<'a>,
    element: Element,
    length: u16,
}

impl<'a> BasicListWriter<'a> {
    /// Begins an empty list at the end of `out`. All values have `length` octets, or any with
    /// [`VARIABLE_LENGTH`].
    ///
    /// # Errors
    /// The element's type does not allow the length, or it is none of IPFIX.
    pub fn begin(
        out: &'a mut Vec<u8>,
        semantic: ListSemantic,
        element: Element,
        length: u16,
    ) -> Result<Self, ListError> {
        let free = length == VARIABLE_LENGTH && element.data_type().natural_length().is_none();
        if element.registry() == Registry::NetflowV9Scope
            || !(free || element.data_type().allows_length(length))
        {
            return Err(ListError::Element { element, length });
        }
        let list = List::begin(out, semantic);
        match element.registry() {
            Registry::Enterprise(pen) => {
                list.out
                    .extend((element.id() | ENTERPRISE_BIT).to_be_bytes());
                list.out.extend(length.to_be_bytes());
                list.out.extend(pen.to_be_bytes());
            }
            Registry::Iana | Registry::NetflowV9Scope => {
                list.out.extend(element.id().to_be_bytes());
                list.out.extend(length.to_be_bytes());
            }
        }
        Ok(Self {
            list,
            element,
            length,
        })
    }

    /// Appends a value in its wire form.
    ///
    /// # Errors
    /// It has not the list's length, or the list would be longer than any field.
    pub fn push(&mut self, value: &[u8]) -> Result<(), ListError> {
        let variable = self.length == VARIABLE_LENGTH;
        if !variable && value.len() != usize::from(self.length) {
            return Err(ListError::Element {
                element: self.element,
                length: u16::try_from(value.len()).unwrap_or(u16::MAX),
            });
        }
        let mut prefix = [0; 3];
        let prefix_length = if variable {
            put_length_prefix(&mut prefix, value.len())
        } else {
            0
        };
        self.list.check_room(prefix_length + value.len())?;
        self.list.out.extend(&prefix[..prefix_length]);
        self.list.out.extend(value);
        Ok(())
    }
}

/// Writes a subTemplateList: records of one template (RFC 6313 section 4.5.2).
///
/// The collector must know the template: [`MessageWriter::announce`](crate::MessageWriter::announce)
/// it before the record with the list is written.
#[derive(Debug)]
pub struct SubTemplateListWriter<'a, R> {
    list: List<'a>,
    layout: &'a Layout<R>,
}

impl<'a, R> SubTemplateListWriter<'a, R> {
    /// Begins an empty list of records of `layout` at the end of `out`.
    ///
    /// # Errors
    /// The layout is not one of IPFIX.
    pub fn begin(
        out: &'a mut Vec<u8>,
        semantic: ListSemantic,
        layout: &'a Layout<R>,
    ) -> Result<Self, ListError> {
        check_layout(layout)?;
        let list = List::begin(out, semantic);
        list.out.extend(layout.template_id().to_be_bytes());
        Ok(Self { list, layout })
    }

    /// Appends a record; its column functions see `context`.
    ///
    /// # Errors
    /// The list would be longer than any field.
    pub fn push(&mut self, record: &R, context: &Context) -> Result<(), ListError> {
        self.list.push(self.layout, record, context)
    }
}

/// Writes a subTemplateMultiList: records of several templates (RFC 6313 section 4.5.3).
///
/// The collector must know the templates: [`MessageWriter::announce`](crate::MessageWriter::announce)
/// them before the record with the list is written.
#[derive(Debug)]
pub struct SubTemplateMultiListWriter<'a> {
    list: List<'a>,
}

impl<'a> SubTemplateMultiListWriter<'a> {
    /// Begins an empty list at the end of `out`.
    pub fn begin(out: &'a mut Vec<u8>, semantic: ListSemantic) -> Self {
        Self {
            list: List::begin(out, semantic),
        }
    }

    /// Appends records of one layout; their column functions see `context`.
    ///
    /// # Errors
    /// The layout is not one of IPFIX, or the list would be longer than any field. Then none of the
    /// records is in it.
    pub fn push_all<R>(
        &mut self,
        layout: &Layout<R>,
        records: &[R],
        context: &Context,
    ) -> Result<(), ListError> {
        check_layout(layout)?;
        let start = self.list.out.len();
        let result = self.push_block(layout, records, context);
        if result.is_err() {
            self.list.out.truncate(start);
        }
        result
    }

    fn push_block<R>(
        &mut self,
        layout: &Layout<R>,
        records: &[R],
        context: &Context,
    ) -> Result<(), ListError> {
        /// Template ID and length, which counts both.
        const BLOCK_HEADER_LENGTH: usize = 4;
        const BLOCK_LENGTH: usize = 2;
        let start = self.list.out.len();
        self.list.check_room(BLOCK_HEADER_LENGTH)?;
        self.list.out.extend(layout.template_id().to_be_bytes());
        self.list.out.extend([0xff; 2]);
        for record in records {
            self.list.push(layout, record, context)?;
        }
        let length = low16(self.list.out.len() - start).to_be_bytes();
        let place = start + BLOCK_LENGTH;
        if let Some(place) = self.list.out.get_mut(place..place + length.len()) {
            place.copy_from_slice(&length);
        }
        Ok(())
    }
}

/// What the kinds of lists have in common.
#[derive(Debug)]
struct List<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> List<'a> {
    fn begin(out: &'a mut Vec<u8>, semantic: ListSemantic) -> Self {
        let start = out.len();
        out.push(semantic.into());
        Self { out, start }
    }

    fn check_room(&self, more: usize) -> Result<(), ListError> {
        let length = (self.out.len() - self.start).saturating_add(more);
        if length > MAX_LENGTH {
            return Err(ListError::TooLong(length));
        }
        Ok(())
    }

    fn push<R>(
        &mut self,
        layout: &Layout<R>,
        record: &R,
        context: &Context,
    ) -> Result<(), ListError> {
        let length = layout.length_of(record);
        self.check_room(length)?;
        let at = self.out.len();
        self.out.resize(at + length, 0);
        if let Some(row) = self.out.get_mut(at..) {
            layout.encode(record, context, row);
        }
        Ok(())
    }
}

fn check_layout<R>(layout: &Layout<R>) -> Result<(), ListError> {
    match layout.protocol() {
        Protocol::Ipfix => Ok(()),
        protocol => Err(ListError::Protocol(protocol)),
    }
}

/// The longest value of a field of variable length that there is (RFC 7011 section 7).
const MAX_LENGTH: usize = 0xffff;

/// Why something cannot be in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListError {
    /// The element's values cannot have this length in octets here.
    Element {
        /// The element of the list.
        element: Element,
        /// The length asked for, or of the value.
        length: u16,
    },
    /// Lists are made of IPFIX layouts only.
    Protocol(Protocol),
    /// The list would have this many octets, more than any field.
    TooLong(usize),
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Element { element, length } => {
                write!(
                    f,
                    "{element}: no value of this list has a length of {length}"
                )
            }
            Self::Protocol(protocol) => write!(f, "{protocol} has no lists"),
            Self::TooLong(length) => write!(f, "a list of {length} octets does not fit any field"),
        }
    }
}

impl core::error::Error for ListError {}
