//! Templates: what the records of a set look like.

use super::error::{DecodeError, DecodeErrorKind};
use super::peers::Domain;
use super::reader::Reader;
use super::{Decoded, DecoderLimits};
use crate::element::{ENTERPRISE_BIT, Element, REVERSE_PEN, Registry, VARIABLE_LENGTH, v9_scope};
use crate::elements;
use crate::wire::{MIN_TEMPLATE_ID, Protocol};

/// A template that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub(super) id: u16,
    pub(super) options: bool,
    pub(super) scope_fields: usize,
    pub(super) fields: Box<[Field]>,
    pub(super) min_record_length: usize,
    pub(super) variable: bool,
}

impl Template {
    /// The Template ID.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Whether it came as an Options Template Record.
    pub fn is_options(&self) -> bool {
        self.options
    }

    /// The Field Specifiers, in order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// How many of the fields, the first ones, are the scope.
    pub fn scope_fields(&self) -> usize {
        self.scope_fields
    }
}

/// A Field Specifier that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub(super) registry: Registry,
    pub(super) id: u16,
    pub(super) length: u16,
    pub(super) element: Option<Element>,
}

impl Field {
    fn new(registry: Registry, id: u16, length: u16) -> Self {
        let element = match registry {
            Registry::Iana => elements::by_id(id).copied(),
            Registry::Enterprise(REVERSE_PEN) => {
                elements::by_id(id).map(|element| element.reverse())
            }
            Registry::Enterprise(_) => None,
            Registry::NetflowV9Scope => v9_scope::by_id(id),
        };
        Self {
            registry,
            id,
            length,
            element,
        }
    }

    /// Whose number [`id`](Self::id) is.
    pub fn registry(&self) -> Registry {
        self.registry
    }

    /// The element's number.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// The length in octets; [`VARIABLE_LENGTH`] for a variable one.
    pub fn length(&self) -> u16 {
        self.length
    }

    /// The element, if it is a known one.
    pub fn element(&self) -> Option<&Element> {
        self.element.as_ref()
    }

    /// Whether this is a field of that element.
    pub fn is(&self, element: &Element) -> bool {
        self.id == element.id() && self.registry == element.registry()
    }
}

/// Reads the records of a Template Set or Options Template Set until the first mistake.
pub(super) fn read_templates(
    mut reader: Reader<'_>,
    options: bool,
    limits: &DecoderLimits,
    domain: &mut Domain,
    now: u64,
    decoded: &mut Decoded<'_>,
) {
    /// A withdrawal is the shortest record; anything shorter is padding.
    const MIN_TEMPLATE_RECORD: usize = 4;
    while reader.rest().len() >= MIN_TEMPLATE_RECORD {
        // Version 9 has no withdrawals: zeros are padding, in whatever amount.
        if domain.protocol == Protocol::NetflowV9 && reader.rest().iter().all(|&octet| octet == 0) {
            return;
        }
        match read_template(&mut reader, options, limits, domain.protocol) {
            Ok(TemplateRecord::Template(template)) => {
                decoded.templates += 1;
                decoded.learned.extend(domain.learn(template, limits, now));
            }
            Ok(TemplateRecord::Withdrawal(id)) => {
                decoded.withdrawals += 1;
                domain.withdraw(id);
            }
            Ok(TemplateRecord::WithdrawalOfAll) => {
                decoded.withdrawals += 1;
                domain.withdraw_all(options);
            }
            Err(error) => {
                decoded.errors.push(error);
                return;
            }
        }
    }
}

pub(super) enum TemplateRecord {
    Template(Template),
    /// RFC 7011 section 8.1.
    Withdrawal(u16),
    /// Of the templates of the set's kind.
    WithdrawalOfAll,
}

pub(super) fn read_template(
    reader: &mut Reader<'_>,
    options: bool,
    limits: &DecoderLimits,
    protocol: Protocol,
) -> Result<TemplateRecord, DecodeError> {
    const SPECIFIER_LENGTH: usize = 4;
    let what = if options {
        "options template record"
    } else {
        "template record"
    };
    let offset = reader.at;
    let fail = |kind| Err(DecodeError { offset, what, kind });
    let id = reader.u16(what)?;
    let first = usize::from(reader.u16(what)?);
    if protocol == Protocol::Ipfix && first == 0 {
        if id >= MIN_TEMPLATE_ID {
            return Ok(TemplateRecord::Withdrawal(id));
        }
        let set_id = if options {
            protocol.options_template_set_id()
        } else {
            protocol.template_set_id()
        };
        if Some(id) == set_id {
            return Ok(TemplateRecord::WithdrawalOfAll);
        }
    }
    if id < MIN_TEMPLATE_ID {
        return fail(DecodeErrorKind::TemplateId(id));
    }
    let (scope_fields, count) = match (options, protocol) {
        (false, _) => (0, first),
        (true, Protocol::Ipfix) => (usize::from(reader.u16(what)?), first),
        (true, Protocol::NetflowV9 | Protocol::NetflowV5) => {
            let second = usize::from(reader.u16(what)?);
            if first % SPECIFIER_LENGTH != 0 || second % SPECIFIER_LENGTH != 0 {
                return fail(DecodeErrorKind::Scope);
            }
            let scope = first / SPECIFIER_LENGTH;
            (scope, scope + second / SPECIFIER_LENGTH)
        }
    };
    if count == 0 || count > limits.fields_per_template {
        return fail(DecodeErrorKind::FieldCount(count));
    }
    // Exporters of version 9 are known to leave the scope empty; RFC 7011 forbids it.
    if options && (scope_fields > count || (scope_fields == 0 && protocol == Protocol::Ipfix)) {
        return fail(DecodeErrorKind::Scope);
    }
    let mut fields = Vec::new();
    let mut min_record_length = 0;
    for position in 0..count {
        let scope = position < scope_fields;
        let field = read_field(reader, protocol, scope)?;
        min_record_length += match field.length {
            VARIABLE_LENGTH => 1,
            length => usize::from(length),
        };
        fields.push(field);
    }
    if min_record_length == 0 {
        return fail(DecodeErrorKind::EmptyRecord);
    }
    Ok(TemplateRecord::Template(Template {
        id,
        options,
        scope_fields,
        variable: fields.iter().any(|field| field.length == VARIABLE_LENGTH),
        fields: fields.into(),
        min_record_length,
    }))
}

pub(super) fn read_field(
    reader: &mut Reader<'_>,
    protocol: Protocol,
    scope: bool,
) -> Result<Field, DecodeError> {
    const WHAT: &str = "field specifier";
    let id = reader.u16(WHAT)?;
    let length = reader.u16(WHAT)?;
    Ok(match protocol {
        Protocol::Ipfix if id & ENTERPRISE_BIT != 0 => {
            let pen = reader.u32(WHAT)?;
            Field::new(Registry::Enterprise(pen), id & !ENTERPRISE_BIT, length)
        }
        Protocol::NetflowV9 if scope => Field::new(Registry::NetflowV9Scope, id, length),
        _ => Field::new(Registry::Iana, id, length),
    })
}
