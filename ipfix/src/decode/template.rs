//! Templates: what the records of a set look like.

use super::error::{DecodeError, DecodeErrorKind, Subject};
use super::reader::Reader;
use crate::element::{ENTERPRISE_BIT, Element, REVERSE_PEN, Registry, VARIABLE_LENGTH, v9_scope};
use crate::elements as e;
use crate::wire::{MIN_TEMPLATE_ID, Protocol, v5_record};

/// A template that was received, or the one that `NetFlow` v5 is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    id: u16,
    options: bool,
    scope_fields: usize,
    fields: Box<[Field]>,
    /// Where each field begins in a record; [`MOVES`] after a field of variable length.
    offsets: Box<[u32]>,
    /// The positions of the fields, ordered by element.
    by_element: Box<[u16]>,
    roles: Roles,
    min_record_length: usize,
    variable: bool,
}

/// The offset of a field that is not at the same place in all records.
const MOVES: u32 = u32::MAX;

impl Template {
    /// `None` if its records would have no octets.
    fn new(id: u16, options: bool, scope_fields: usize, fields: Vec<Field>) -> Option<Self> {
        let mut min_record_length = 0;
        let mut variable = false;
        let mut offsets = Vec::with_capacity(fields.len());
        for field in &fields {
            let offset = u32::try_from(min_record_length).unwrap_or(MOVES);
            offsets.push(if variable { MOVES } else { offset });
            variable |= field.length == VARIABLE_LENGTH;
            min_record_length += match field.length {
                VARIABLE_LENGTH => 1,
                length => usize::from(length),
            };
        }
        if min_record_length == 0 {
            return None;
        }
        let mut by_element: Vec<u16> = (0..).take(fields.len()).collect();
        by_element.sort_by_key(|&position| fields.get(usize::from(position)).map(Field::key));
        let mut template = Self {
            id,
            options,
            scope_fields,
            fields: fields.into(),
            offsets: offsets.into(),
            by_element: by_element.into(),
            roles: Roles::NONE,
            min_record_length,
            variable,
        };
        template.roles = Roles::of(&template);
        Some(template)
    }

    /// The one format of `NetFlow` v5.
    pub(super) fn netflow_v5() -> Self {
        let fields = v5_record::FIELDS.map(|(element, length)| Field {
            registry: element.registry(),
            id: element.id(),
            length,
            element: Some(element),
        });
        // It has octets.
        Self::new(0, false, 0, fields.into()).unwrap_or_else(|| Self {
            id: 0,
            options: false,
            scope_fields: 0,
            fields: Box::default(),
            offsets: Box::default(),
            by_element: Box::default(),
            roles: Roles::NONE,
            min_record_length: v5_record::LENGTH,
            variable: false,
        })
    }

    /// The Template ID; 0 for `NetFlow` v5, which has no templates.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Whether it came as an Options Template Record.
    pub fn is_options(&self) -> bool {
        self.options
    }

    /// The Field Specifiers, in order.
    #[inline]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// How many of the fields, the first ones, are the scope.
    pub fn scope_fields(&self) -> usize {
        self.scope_fields
    }

    /// The position of the first field of this element, for
    /// [`Record::value_at`](crate::Record::value_at).
    pub fn position(&self, element: &Element) -> Option<usize> {
        let key = (element.registry(), element.id());
        let field = |position: u16| self.fields.get(usize::from(position));
        let at = self
            .by_element
            .partition_point(|&position| field(position).is_some_and(|field| field.key() < key));
        let position = *self.by_element.get(at)?;
        field(position)
            .is_some_and(|field| field.key() == key)
            .then_some(position.into())
    }

    /// The length of all records in octets; `None` if it varies.
    pub fn record_length(&self) -> Option<usize> {
        (!self.variable).then_some(self.min_record_length)
    }

    #[inline]
    pub(super) fn min_record_length(&self) -> usize {
        self.min_record_length
    }

    #[inline]
    pub(super) fn is_variable(&self) -> bool {
        self.variable
    }

    /// The field at a position and where it begins in a record, if that is fixed.
    #[inline]
    pub(super) fn place(&self, position: usize) -> Option<(&Field, Option<usize>)> {
        let field = self.fields.get(position)?;
        let offset = *self.offsets.get(position)?;
        let offset = usize::try_from(offset).ok().filter(|_| offset != MOVES);
        Some((field, offset))
    }

    /// Whether it is an options template that tells something the library understands.
    pub(super) fn tells(&self) -> bool {
        self.options && self.roles != Roles::NONE
    }

    #[inline]
    pub(super) fn role(&self, role: Role) -> Option<usize> {
        self.roles
            .0
            .get(role.index())
            .and_then(|&position| (position != Roles::ABSENT).then_some(usize::from(position)))
    }
}

/// A Field Specifier that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    registry: Registry,
    id: u16,
    length: u16,
    element: Option<Element>,
}

impl Field {
    /// `own` are elements beyond IANA's, ordered by registry and id.
    pub(super) fn new(registry: Registry, id: u16, length: u16, own: &[Element]) -> Self {
        let key = |element: &Element| (element.registry(), element.id());
        let own = own
            .binary_search_by_key(&(registry, id), key)
            .ok()
            .and_then(|at| own.get(at).copied());
        let element = own.or_else(|| match registry {
            Registry::Iana => e::by_id(id).copied(),
            Registry::Enterprise(REVERSE_PEN) => e::by_id(id).map(|element| element.reverse()),
            Registry::Enterprise(_) => None,
            Registry::NetflowV9Scope => v9_scope::by_id(id),
        });
        Self {
            registry,
            id,
            length,
            element,
        }
    }

    fn key(&self) -> (Registry, u16) {
        (self.registry, self.id)
    }

    /// Whose number [`id`](Self::id) is.
    #[inline]
    pub fn registry(&self) -> Registry {
        self.registry
    }

    /// The element's number.
    #[inline]
    pub fn id(&self) -> u16 {
        self.id
    }

    /// The length in octets; [`VARIABLE_LENGTH`] for a variable one.
    #[inline]
    pub fn length(&self) -> u16 {
        self.length
    }

    /// The element, if it is a known one: of IANA, its reverse (RFC 5103), a scope of `NetFlow` v9,
    /// or one that the decoder was told of
    /// ([`Decoder::with_elements`](crate::Decoder::with_elements)).
    #[inline]
    pub fn element(&self) -> Option<&Element> {
        self.element.as_ref()
    }

    /// Whether this is a field of that element.
    #[inline]
    pub fn is(&self, element: &Element) -> bool {
        self.id == element.id() && self.registry == element.registry()
    }
}

macro_rules! roles {
    ($($role:ident: $element:expr,)*) => {
        /// Fields that the library itself looks into.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Role {
            $($role,)*
        }

        impl Role {
            const ALL: &[(Self, Element)] = &[$((Self::$role, $element),)*];
            const COUNT: usize = Self::ALL.len();

            const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

roles! {
    IngressInterface: e::INGRESS_INTERFACE,
    EgressInterface: e::EGRESS_INTERFACE,
    ScopeInterface: v9_scope::INTERFACE,
    FlowDirection: e::FLOW_DIRECTION,
    InterfaceName: e::INTERFACE_NAME,
    InterfaceDescription: e::INTERFACE_DESCRIPTION,
    SamplingInterval: e::SAMPLING_INTERVAL,
    SamplerRandomInterval: e::SAMPLER_RANDOM_INTERVAL,
    SamplingPacketInterval: e::SAMPLING_PACKET_INTERVAL,
    SamplingPacketSpace: e::SAMPLING_PACKET_SPACE,
    SamplingSize: e::SAMPLING_SIZE,
    SamplingPopulation: e::SAMPLING_POPULATION,
    SamplingProbability: e::SAMPLING_PROBABILITY,
    SelectorId: e::SELECTOR_ID,
    SamplerId: e::SAMPLER_ID,
    SystemInitTime: e::SYSTEM_INIT_TIME_MILLISECONDS,
    TemplateId: e::TEMPLATE_ID,
    ScopeTemplate: v9_scope::TEMPLATE,
    FlowKeyIndicator: e::FLOW_KEY_INDICATOR,
}

/// The positions of those fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Roles([u16; Role::COUNT]);

impl Roles {
    const ABSENT: u16 = u16::MAX;
    const NONE: Self = Self([Self::ABSENT; Role::COUNT]);

    fn of(template: &Template) -> Self {
        let mut roles = Self::NONE;
        for ((_, element), place) in Role::ALL.iter().zip(&mut roles.0) {
            let position = template.position(element);
            *place = position
                .and_then(|position| u16::try_from(position).ok())
                .unwrap_or(Self::ABSENT);
        }
        roles
    }
}

/// What reading templates takes beside the octets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'a> {
    pub(super) protocol: Protocol,
    pub(super) max_fields: usize,
    /// Elements beyond IANA's, ordered by registry and id.
    pub(super) elements: &'a [Element],
}

#[derive(Debug)]
pub(super) enum TemplateRecord {
    Template(Template),
    /// RFC 7011 section 8.1.
    Withdrawal(u16),
    /// Of the templates of the set's kind.
    WithdrawalOfAll,
}

/// The next record of a Template Set or Options Template Set, `None` at its end.
pub(super) fn next_template(
    reader: &mut Reader<'_>,
    options: bool,
    reading: Reading<'_>,
) -> Result<Option<TemplateRecord>, DecodeError> {
    /// A withdrawal is the shortest record; anything shorter is padding.
    const MIN_TEMPLATE_RECORD: usize = 4;
    let rest = reader.rest();
    if rest.len() < MIN_TEMPLATE_RECORD {
        return Ok(None);
    }
    // No record begins with four zeros: zeros to the end are padding, in whatever amount.
    if rest.iter().all(|&octet| octet == 0) {
        return Ok(None);
    }
    read_template(reader, options, reading).map(Some)
}

fn read_template(
    reader: &mut Reader<'_>,
    options: bool,
    reading: Reading<'_>,
) -> Result<TemplateRecord, DecodeError> {
    const SPECIFIER_LENGTH: usize = 4;
    let protocol = reading.protocol;
    let subject = Subject::template(protocol, options);
    let offset = reader.at;
    let fail = |kind| Err(DecodeError::new(subject, offset, kind));
    let id = reader.u16(subject)?;
    let first = usize::from(reader.u16(subject)?);
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
        (true, Protocol::Ipfix) => (usize::from(reader.u16(subject)?), first),
        (true, Protocol::NetflowV9 | Protocol::NetflowV5) => {
            let second = usize::from(reader.u16(subject)?);
            if first % SPECIFIER_LENGTH != 0 || second % SPECIFIER_LENGTH != 0 {
                return fail(DecodeErrorKind::Scope);
            }
            let scope = first / SPECIFIER_LENGTH;
            (scope, scope + second / SPECIFIER_LENGTH)
        }
    };
    if count == 0 {
        return fail(DecodeErrorKind::NoFields);
    }
    if count > reading.max_fields {
        return fail(DecodeErrorKind::FieldCount(count));
    }
    // Exporters of version 9 are known to leave the scope empty; RFC 7011 forbids it.
    if options && (scope_fields > count || (scope_fields == 0 && protocol == Protocol::Ipfix)) {
        return fail(DecodeErrorKind::Scope);
    }
    let mut fields = Vec::new();
    for position in 0..count {
        let scope = position < scope_fields;
        fields.push(read_field(reader, options, scope, reading)?);
    }
    match Template::new(id, options, scope_fields, fields) {
        Some(template) => Ok(TemplateRecord::Template(template)),
        None => fail(DecodeErrorKind::EmptyRecord),
    }
}

fn read_field(
    reader: &mut Reader<'_>,
    options: bool,
    scope: bool,
    reading: Reading<'_>,
) -> Result<Field, DecodeError> {
    let protocol = reading.protocol;
    let subject = Subject::specifier(protocol, options);
    if protocol == Protocol::Ipfix {
        return ipfix_field(reader, subject, reading.elements);
    }
    let id = reader.u16(subject)?;
    let length = reader.u16(subject)?;
    let registry = if scope {
        Registry::NetflowV9Scope
    } else {
        Registry::Iana
    };
    Ok(Field::new(registry, id, length, reading.elements))
}

/// A Field Specifier of IPFIX (RFC 7011 section 3.2), which lists have as well (RFC 6313 section
/// 4.5.1).
pub(super) fn ipfix_field(
    reader: &mut Reader<'_>,
    subject: Subject,
    elements: &[Element],
) -> Result<Field, DecodeError> {
    let id = reader.u16(subject)?;
    let length = reader.u16(subject)?;
    let (registry, id) = if id & ENTERPRISE_BIT == 0 {
        (Registry::Iana, id)
    } else {
        let pen = reader.u32(subject)?;
        (Registry::Enterprise(pen), id & !ENTERPRISE_BIT)
    };
    Ok(Field::new(registry, id, length, elements))
}
