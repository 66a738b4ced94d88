//! From templates of any protocol to IPFIX Template Records.

use crate::decode::{Field, Template};
use crate::element::{ENTERPRISE_BIT, Element, Registry, VARIABLE_LENGTH, v9_scope};
use crate::elements as ie;
use crate::wire::low16;

/// A template in IPFIX.
#[derive(Debug)]
pub(super) struct Translated {
    /// The Template Record or Options Template Record (RFC 7011 section 3.4).
    pub record: Vec<u8>,
    /// What goes before every Data Record.
    pub prefix: &'static [u8],
    /// Where a Data Record, without the prefix, has the id of a template: the first templateId, if
    /// that is at the same place in all records.
    pub template_id_at: Option<usize>,
}

/// The template as IPFIX has it, under this id. Data Records stay as they are, after `prefix`.
///
/// `NetFlow` v9 needs a translation in three places. Scopes become elements, see [`scope_element`].
/// Options without a scope, which IPFIX does not have, are about the session: an octet of
/// sessionScope goes before. Field types from 32768 on, where IPFIX has its Enterprise bit, go below
/// the reserved enterprise number 4294967295 without their highest bit.
pub(super) fn template(template: &Template, id: u16) -> Translated {
    const SESSION_SCOPE_VALUE: &[u8] = &[0];
    let fields = template.fields();
    let no_scope = template.is_options() && template.scope_fields() == 0;
    let added = usize::from(no_scope);
    let mut record = Vec::new();
    let mut number = |number: u16| record.extend(number.to_be_bytes());
    number(id);
    number(low16(fields.len() + added));
    if template.is_options() {
        number(low16(template.scope_fields() + added));
    }
    if no_scope {
        number(ie::SESSION_SCOPE.id());
        number(1);
    }
    for field in fields {
        let (id, pen) = match field.registry() {
            Registry::NetflowV9Scope => (scope_element(field).id(), None),
            Registry::Enterprise(pen) => (field.id(), Some(pen)),
            Registry::Iana if field.id() & ENTERPRISE_BIT == 0 => (field.id(), None),
            Registry::Iana => (field.id() & !ENTERPRISE_BIT, Some(RESERVED_PEN)),
        };
        number(pen.map_or(id, |_| id | ENTERPRISE_BIT));
        number(field.length());
        if let Some(pen) = pen {
            let [a, b, c, d] = pen.to_be_bytes();
            number(u16::from_be_bytes([a, b]));
            number(u16::from_be_bytes([c, d]));
        }
    }
    Translated {
        record,
        prefix: if no_scope { SESSION_SCOPE_VALUE } else { &[] },
        template_id_at: template_id_at(fields),
    }
}

fn template_id_at(fields: &[Field]) -> Option<usize> {
    const NATURAL: u16 = 2;
    let is_id = |field: &Field| field.is(&ie::TEMPLATE_ID) || field.is(&v9_scope::TEMPLATE);
    let position = fields
        .iter()
        .position(|field| is_id(field) && field.length() == NATURAL)?;
    let before = fields.get(..position)?.iter().map(Field::length);
    before
        .map(|length| (length != VARIABLE_LENGTH).then_some(usize::from(length)))
        .sum()
}

/// The element of a `NetFlow` v9 scope: System is exportingProcessId, Interface ingressInterface,
/// Line Card lineCardId, Template templateId. A flow cache has none, nor have numbers RFC 3954 does
/// not know, nor lengths the element cannot have: their octets stay, as opaqueOctets.
fn scope_element(field: &Field) -> Element {
    let counterpart = [
        (v9_scope::SYSTEM, ie::EXPORTING_PROCESS_ID),
        (v9_scope::INTERFACE, ie::INGRESS_INTERFACE),
        (v9_scope::LINE_CARD, ie::LINE_CARD_ID),
        (v9_scope::TEMPLATE, ie::TEMPLATE_ID),
    ];
    counterpart
        .into_iter()
        .find(|(scope, _)| field.is(scope))
        .map(|(_, element)| element)
        .filter(|element| element.data_type().allows_length(field.length()))
        .unwrap_or(ie::OPAQUE_OCTETS)
}

/// Nobody's: the registry of Private Enterprise Numbers reserves it.
const RESERVED_PEN: u32 = u32::MAX;
