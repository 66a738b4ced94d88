//! Structured data (RFC 6313): lists inside values.
//!
//! All is read from the octets of the value while it is asked for; nothing is unfolded in advance. A
//! list in a list is a value again, so how deep to go is the caller's decision.

use super::error::{DecodeError, DecodeErrorKind, Subject};
use super::reader::Reader;
use super::record::{Records, take_value, truncated_value};
use super::template::{Field, Template, ipfix_field};
use super::value::{Clock, Value};
use crate::element::Element;

/// How the items of a list belong together (RFC 6313 section 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListSemantic {
    /// 0: none of the items is a property of the record.
    NoneOf,
    /// 1: exactly one of them is.
    ExactlyOneOf,
    /// 2: one or more of them are.
    OneOrMoreOf,
    /// 3: all of them are.
    AllOf,
    /// 4: they are ordered.
    Ordered,
    /// 255: nothing is said.
    Undefined,
    /// A number that is not assigned.
    Unassigned(u8),
}

impl From<u8> for ListSemantic {
    fn from(wire: u8) -> Self {
        match wire {
            0 => Self::NoneOf,
            1 => Self::ExactlyOneOf,
            2 => Self::OneOrMoreOf,
            3 => Self::AllOf,
            4 => Self::Ordered,
            0xff => Self::Undefined,
            other => Self::Unassigned(other),
        }
    }
}

impl<'a> Value<'a> {
    /// It as a basicList.
    ///
    /// # Errors
    /// The octets are no such list. Offsets are counted from the start of the value.
    pub fn basic_list(&self) -> Result<BasicList<'a>, DecodeError> {
        self.basic_list_with(&[])
    }

    /// It as a basicList, whose element may also be one of these, which are ordered by registry and
    /// id.
    ///
    /// # Errors
    /// As [`basic_list`](Self::basic_list).
    pub fn basic_list_with(&self, elements: &[Element]) -> Result<BasicList<'a>, DecodeError> {
        const SUBJECT: Subject = Subject::BASIC_LIST;
        let mut reader = self.reader();
        let semantic = reader.u8(SUBJECT)?.into();
        let offset = reader.at;
        let field = ipfix_field(&mut reader, SUBJECT, elements)?;
        if field.length() == 0 {
            return Err(DecodeError::new(
                SUBJECT,
                offset,
                DecodeErrorKind::EmptyRecord,
            ));
        }
        Ok(BasicList {
            semantic,
            field,
            octets: reader.rest(),
            offset: reader.at,
            clock: self.clock(),
        })
    }

    /// It as a subTemplateList.
    ///
    /// # Errors
    /// As [`basic_list`](Self::basic_list).
    pub fn sub_template_list(&self) -> Result<SubTemplateList<'a>, DecodeError> {
        const SUBJECT: Subject = Subject::SUB_TEMPLATE_LIST;
        let mut reader = self.reader();
        Ok(SubTemplateList {
            semantic: reader.u8(SUBJECT)?.into(),
            template_id: reader.u16(SUBJECT)?,
            octets: reader.rest(),
            offset: reader.at,
            clock: self.clock(),
        })
    }

    /// It as a subTemplateMultiList.
    ///
    /// # Errors
    /// As [`basic_list`](Self::basic_list).
    pub fn sub_template_multi_list(&self) -> Result<SubTemplateMultiList<'a>, DecodeError> {
        let mut reader = self.reader();
        Ok(SubTemplateMultiList {
            semantic: reader.u8(Subject::SUB_TEMPLATE_MULTI_LIST)?.into(),
            octets: self.octets(),
            offset: reader.at,
            clock: self.clock(),
        })
    }

    fn reader(&self) -> Reader<'a> {
        Reader {
            octets: self.octets(),
            at: 0,
        }
    }
}

/// A list of values of one element (RFC 6313 section 4.5.1).
#[derive(Clone, Debug)]
pub struct BasicList<'a> {
    semantic: ListSemantic,
    field: Field,
    octets: &'a [u8],
    offset: usize,
    clock: Clock,
}

impl BasicList<'_> {
    /// How the values belong together.
    pub fn semantic(&self) -> ListSemantic {
        self.semantic
    }

    /// The field of all values.
    pub fn field(&self) -> &Field {
        &self.field
    }

    /// The values. After an error there is nothing more.
    pub fn values(&self) -> BasicListValues<'_> {
        BasicListValues {
            field: &self.field,
            octets: self.octets,
            offset: self.offset,
            clock: self.clock,
        }
    }
}

/// The values of a [`BasicList`].
#[derive(Clone, Debug)]
pub struct BasicListValues<'a> {
    field: &'a Field,
    octets: &'a [u8],
    offset: usize,
    clock: Clock,
}

impl<'a> Iterator for BasicListValues<'a> {
    type Item = Result<Value<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.octets.is_empty() {
            return None;
        }
        let before = self.octets;
        let Some(value) = take_value(self.field, &mut self.octets) else {
            self.octets = &[];
            return Some(Err(truncated_value(self.field, before, self.offset)));
        };
        self.offset += before.len() - self.octets.len();
        Some(Ok(Value::new(self.field, value, self.clock)))
    }
}

/// A list of records of one template (RFC 6313 section 4.5.2), or a part of a
/// [`SubTemplateMultiList`].
#[derive(Clone, Copy, Debug)]
pub struct SubTemplateList<'a> {
    semantic: ListSemantic,
    template_id: u16,
    octets: &'a [u8],
    offset: usize,
    clock: Clock,
}

impl<'a> SubTemplateList<'a> {
    /// How the records belong together.
    pub fn semantic(&self) -> ListSemantic {
        self.semantic
    }

    /// The template of the records, of the same session and domain:
    /// [`Decoder::template`](crate::Decoder::template).
    pub fn template_id(&self) -> u16 {
        self.template_id
    }

    /// The records as received.
    pub fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// The records, by their template.
    ///
    /// # Errors
    /// It is another template.
    pub fn records<'t>(&self, template: &'t Template) -> Result<Records<'t>, DecodeError>
    where
        'a: 't,
    {
        if template.id() != self.template_id {
            return Err(DecodeError::new(
                Subject::SUB_TEMPLATE_LIST,
                self.offset,
                DecodeErrorKind::OtherTemplate {
                    wanted: self.template_id,
                    given: template.id(),
                },
            ));
        }
        Ok(Records::new(template, self.octets, self.offset, self.clock))
    }
}

/// Lists of records of several templates (RFC 6313 section 4.5.3).
#[derive(Clone, Copy, Debug)]
pub struct SubTemplateMultiList<'a> {
    semantic: ListSemantic,
    octets: &'a [u8],
    offset: usize,
    clock: Clock,
}

impl<'a> SubTemplateMultiList<'a> {
    /// How the records belong together.
    pub fn semantic(&self) -> ListSemantic {
        self.semantic
    }

    /// The lists. After an error there is nothing more.
    pub fn lists(&self) -> SubTemplateLists<'a> {
        SubTemplateLists {
            semantic: self.semantic,
            reader: Reader {
                octets: self.octets,
                at: self.offset,
            },
            clock: self.clock,
        }
    }
}

/// The lists of a [`SubTemplateMultiList`].
#[derive(Clone, Debug)]
pub struct SubTemplateLists<'a> {
    semantic: ListSemantic,
    reader: Reader<'a>,
    clock: Clock,
}

impl<'a> SubTemplateLists<'a> {
    fn read(&mut self) -> Result<SubTemplateList<'a>, DecodeError> {
        const SUBJECT: Subject = Subject::SUB_TEMPLATE_MULTI_LIST;
        /// The length counts itself and the Template ID.
        const HEADER_LENGTH: usize = 4;
        let Reader { octets, at } = self.reader;
        let available = self.reader.rest().len();
        let template_id = self.reader.u16(SUBJECT)?;
        let field = self.reader.u16(SUBJECT)?;
        let length = usize::from(field);
        if length < HEADER_LENGTH {
            let kind = DecodeErrorKind::Length(field);
            return Err(DecodeError::new(SUBJECT, at, kind));
        }
        let offset = self.reader.at;
        let Some(records) = octets.get(offset..at + length) else {
            return Err(DecodeError::truncated(SUBJECT, at, length, available));
        };
        self.reader.at = at + length;
        Ok(SubTemplateList {
            semantic: self.semantic,
            template_id,
            octets: records,
            offset,
            clock: self.clock,
        })
    }
}

impl<'a> Iterator for SubTemplateLists<'a> {
    type Item = Result<SubTemplateList<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.rest().is_empty() {
            return None;
        }
        let list = self.read();
        if list.is_err() {
            self.reader.octets = &[];
        }
        Some(list)
    }
}
