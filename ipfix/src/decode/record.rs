//! Data Sets and their records.

use std::sync::Arc;

use super::error::DecodeError;
use super::template::{Field, Template};
use super::value::{Uptime, Value};
use crate::element::{Element, VARIABLE_LENGTH};

/// A Data Set with its template.
#[derive(Clone, Debug)]
pub struct DataSet<'a> {
    pub(super) template: Arc<Template>,
    pub(super) octets: &'a [u8],
    /// Where `octets` begin in the message.
    pub(super) offset: usize,
    pub(super) uptime: Option<Uptime>,
}

impl DataSet<'_> {
    /// The template.
    pub fn template(&self) -> &Arc<Template> {
        &self.template
    }

    /// The records. After an error there is nothing more.
    pub fn records(&self) -> Records<'_> {
        Records {
            template: &self.template,
            octets: self.octets,
            offset: self.offset,
            uptime: self.uptime,
        }
    }
}

/// The records of a [`DataSet`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    template: &'a Template,
    octets: &'a [u8],
    offset: usize,
    uptime: Option<Uptime>,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        // What is shorter than any record is padding (RFC 7011 section 3.3.1).
        if self.octets.len() < self.template.min_record_length {
            return None;
        }
        let length = if self.template.variable {
            match self.variable_length() {
                Ok(length) => length,
                Err(error) => {
                    self.octets = &[];
                    return Some(Err(error));
                }
            }
        } else {
            self.template.min_record_length
        };
        let (octets, rest) = self.octets.split_at_checked(length)?;
        self.octets = rest;
        self.offset += length;
        Some(Ok(Record {
            template: self.template,
            octets,
            uptime: self.uptime,
        }))
    }
}

impl Records<'_> {
    fn variable_length(&self) -> Result<usize, DecodeError> {
        let mut rest = self.octets;
        for field in &self.template.fields {
            let before = rest.len();
            if take_value(field, &mut rest).is_none() {
                let offset = self.offset + self.octets.len() - before;
                let needed = if field.length == VARIABLE_LENGTH {
                    value_length(
                        self.octets
                            .get(self.octets.len() - before..)
                            .unwrap_or_default(),
                    )
                } else {
                    field.length.into()
                };
                return Err(DecodeError::truncated(offset, "field", needed, before));
            }
        }
        Ok(self.octets.len() - rest.len())
    }
}

/// A Data Record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    template: &'a Template,
    octets: &'a [u8],
    uptime: Option<Uptime>,
}

impl<'a> Record<'a> {
    /// The template.
    pub fn template(&self) -> &'a Template {
        self.template
    }

    /// The record as received.
    pub fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// The values, in the order of the template.
    pub fn values(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let uptime = self.uptime;
        let mut rest = self.octets;
        self.template.fields.iter().map_while(move |field| {
            take_value(field, &mut rest).map(|octets| Value {
                field,
                octets,
                uptime,
            })
        })
    }

    /// The first value of this element.
    pub fn value(&self, element: &Element) -> Option<Value<'a>> {
        self.values().find(|value| value.field.is(element))
    }
}

/// The octets of the value at the start of `rest`, which then begins after it.
pub(super) fn take_value<'a>(field: &Field, rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (value, after) = if field.length == VARIABLE_LENGTH {
        let end = value_length(rest);
        let (with_prefix, after) = rest.split_at_checked(end)?;
        let prefix = if with_prefix.first() == Some(&LONG_LENGTH) {
            3
        } else {
            1
        };
        (with_prefix.get(prefix..)?, after)
    } else {
        rest.split_at_checked(field.length.into())?
    };
    *rest = after;
    Some(value)
}

/// The length in octets of a value of variable length with its prefix (RFC 7011 section 7), or of
/// the prefix alone where that is cut off.
pub(super) fn value_length(octets: &[u8]) -> usize {
    match *octets {
        [LONG_LENGTH, high, low, ..] => 3 + usize::from(u16::from_be_bytes([high, low])),
        [LONG_LENGTH, ..] => 3,
        [length, ..] => 1 + usize::from(length),
        [] => 1,
    }
}

/// The first octet of a three-octet length (RFC 7011 section 7).
const LONG_LENGTH: u8 = 0xff;
