//! Data Sets and their records.

use core::slice;
use std::sync::Arc;

use super::error::{DecodeError, Subject};
use super::template::{Field, Role, Template};
use super::value::{Clock, Value};
use crate::element::{Element, VARIABLE_LENGTH};

/// A Data Set with its template; in `NetFlow` v5, all records of a packet.
#[derive(Clone, Debug)]
pub struct DataSet<'a> {
    template: Arc<Template>,
    octets: &'a [u8],
    /// Where `octets` begin in the message.
    offset: usize,
    clock: Clock,
    count: usize,
}

impl<'a> DataSet<'a> {
    /// The set, and the mistake that ends it.
    pub(super) fn new(
        template: Arc<Template>,
        octets: &'a [u8],
        offset: usize,
        clock: Clock,
    ) -> (Self, Option<DecodeError>) {
        let mut set = Self {
            template,
            octets,
            offset,
            clock,
            count: 0,
        };
        let mut mistake = None;
        if set.template.is_variable() {
            let mut records = set.records();
            let mut count = 0;
            loop {
                match records.next_octets() {
                    None => break,
                    Some(Ok(_)) => count += 1,
                    Some(Err(error)) => {
                        mistake = Some(error);
                        break;
                    }
                }
            }
            set.count = count;
        } else {
            // Records of fixed length cannot be wrong. What is shorter than one is padding.
            set.count = octets
                .len()
                .checked_div(set.template.min_record_length())
                .unwrap_or(0);
        }
        (set, mistake)
    }

    /// The template.
    pub fn template(&self) -> &Arc<Template> {
        &self.template
    }

    /// The template, as the decoder shares it.
    pub(crate) fn shared_template(&self) -> &Arc<Template> {
        &self.template
    }

    /// All records one after the other; `None` if their lengths vary.
    pub(crate) fn fixed_records(&self) -> Option<&'a [u8]> {
        let length = self.template.record_length()?;
        self.octets.get(..self.count * length)
    }

    /// How many records can be read.
    pub fn record_count(&self) -> usize {
        self.count
    }

    /// The records. After an error there is nothing more.
    #[inline]
    pub fn records(&self) -> Records<'_> {
        Records::new(&self.template, self.octets, self.offset, self.clock)
    }

    pub(super) fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }
}

/// The records of a [`DataSet`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    template: &'a Template,
    octets: &'a [u8],
    offset: usize,
    clock: Clock,
    /// The field systemInitTimeMilliseconds, which sets the clock of each record.
    init: Option<usize>,
}

impl<'a> Records<'a> {
    #[inline]
    pub(super) fn new(
        template: &'a Template,
        octets: &'a [u8],
        offset: usize,
        clock: Clock,
    ) -> Self {
        Self {
            template,
            octets,
            offset,
            clock,
            init: template.role(Role::SystemInitTime),
        }
    }

    #[inline]
    fn next_octets(&mut self) -> Option<Result<&'a [u8], DecodeError>> {
        // What is shorter than any record is padding (RFC 7011 section 3.3.1).
        let mut length = self.template.min_record_length();
        if self.octets.len() < length {
            return None;
        }
        if self.template.is_variable() {
            match self.variable_length() {
                Ok(variable) => length = variable,
                Err(error) => {
                    self.octets = &[];
                    return Some(Err(error));
                }
            }
        }
        let (octets, rest) = self.octets.split_at_checked(length)?;
        self.octets = rest;
        self.offset += length;
        Some(Ok(octets))
    }

    fn variable_length(&self) -> Result<usize, DecodeError> {
        let mut rest = self.octets;
        for field in self.template.fields() {
            let before = rest;
            if take_value(field, &mut rest).is_none() {
                let offset = self.offset + self.octets.len() - before.len();
                return Err(truncated_value(field, before, offset));
            }
        }
        Ok(self.octets.len() - rest.len())
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let octets = match self.next_octets()? {
            Ok(octets) => octets,
            Err(error) => return Some(Err(error)),
        };
        let mut record = Record {
            template: self.template,
            octets,
            clock: self.clock,
        };
        if let Some(init) = self.init {
            let init = record.value_at(init).and_then(|value| value.unix_ms());
            record.clock = record.clock.since(init);
        }
        Some(Ok(record))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let most = self
            .octets
            .len()
            .checked_div(self.template.min_record_length())
            .unwrap_or(0);
        let least = if self.template.is_variable() { 0 } else { most };
        (least, Some(most))
    }
}

/// A Data Record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    template: &'a Template,
    octets: &'a [u8],
    clock: Clock,
}

impl<'a> Record<'a> {
    /// The template.
    #[inline]
    pub fn template(&self) -> &'a Template {
        self.template
    }

    /// The record as received.
    #[inline]
    pub fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// The values, in the order of the template.
    #[inline]
    pub fn values(&self) -> Values<'a> {
        Values {
            fields: self.template.fields().iter(),
            octets: self.octets,
            clock: self.clock,
        }
    }

    /// The first value of this element. It takes a search in the template: who reads many records
    /// asks [`Template::position`] once and then [`value_at`](Self::value_at).
    pub fn value(&self, element: &Element) -> Option<Value<'a>> {
        self.value_at(self.template.position(element)?)
    }

    /// The value of the field at this position of [`Template::fields`]. It is found at once, unless
    /// there is a field of variable length before it.
    #[inline]
    pub fn value_at(&self, position: usize) -> Option<Value<'a>> {
        let (field, offset) = self.template.place(position)?;
        let Some(offset) = offset else {
            return self.values().nth(position);
        };
        let mut rest = self.octets.get(offset..)?;
        take_value(field, &mut rest).map(|octets| Value::new(field, octets, self.clock))
    }

    pub(super) fn role(&self, role: Role) -> Option<Value<'a>> {
        self.value_at(self.template.role(role)?)
    }
}

/// The values of a [`Record`].
#[derive(Clone, Debug)]
pub struct Values<'a> {
    fields: slice::Iter<'a, Field>,
    octets: &'a [u8],
    clock: Clock,
}

impl<'a> Iterator for Values<'a> {
    type Item = Value<'a>;

    #[inline]
    fn next(&mut self) -> Option<Value<'a>> {
        let field = self.fields.next()?;
        let octets = take_value(field, &mut self.octets)?;
        Some(Value::new(field, octets, self.clock))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.fields.len()))
    }
}

/// The octets of the value at the start of `rest`, which then begins after it.
#[inline]
pub(super) fn take_value<'a>(field: &Field, rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = field.length();
    if length == VARIABLE_LENGTH {
        return take_variable(rest);
    }
    let (value, after) = rest.split_at_checked(length.into())?;
    *rest = after;
    Some(value)
}

fn take_variable<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (with_prefix, after) = rest.split_at_checked(value_length(rest))?;
    let prefix = match with_prefix.first() {
        Some(&LONG_LENGTH) => 3,
        _ => 1,
    };
    let value = with_prefix.get(prefix..)?;
    *rest = after;
    Some(value)
}

/// Why there is no value of this field at the start of `rest`.
pub(super) fn truncated_value(field: &Field, rest: &[u8], offset: usize) -> DecodeError {
    let (subject, needed) = match field.length() {
        VARIABLE_LENGTH => (Subject::VARIABLE_FIELD, value_length(rest)),
        length => (Subject::FIELD, length.into()),
    };
    DecodeError::truncated(subject, offset, needed, rest.len())
}

/// The length in octets of a value of variable length with its prefix (RFC 7011 section 7), or of
/// the prefix alone where that is cut off.
fn value_length(octets: &[u8]) -> usize {
    match *octets {
        [LONG_LENGTH, high, low, ..] => 3 + usize::from(u16::from_be_bytes([high, low])),
        [LONG_LENGTH, ..] => 3,
        [length, ..] => 1 + usize::from(length),
        [] => 1,
    }
}

/// The first octet of a three-octet length (RFC 7011 section 7).
const LONG_LENGTH: u8 = 0xff;
