//! Reading messages of both protocols, from anybody.

use core::fmt;
use core::hash::Hash;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::HashMap;
use std::sync::Arc;

use crate::element::{
    AbstractType, ENTERPRISE_BIT, Element, REVERSE_PEN, Registry, VARIABLE_LENGTH, v9_scope,
};
use crate::elements;
use crate::wire::{MIN_TEMPLATE_ID, Protocol, SET_HEADER_LENGTH, ipfix_header, v9_header};

/// Decodes the messages of any number of Transport Sessions and remembers their templates, within
/// [`DecoderLimits`].
///
/// `K` names a Transport Session: over UDP the addresses and ports of both ends (RFC 7011 section
/// 2), in practice often the exporter's address and port.
#[derive(Debug)]
pub struct Decoder<K> {
    limits: DecoderLimits,
    sessions: HashMap<K, Peer>,
    /// Fields of all templates remembered.
    fields: usize,
    /// Counts messages: the age of everything remembered.
    now: u64,
}

/// How much a [`Decoder`] remembers. At each limit, what was used longest ago is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderLimits {
    /// Transport Sessions.
    pub sessions: usize,
    /// Observation Domains of one session.
    pub domains_per_session: usize,
    /// Templates of one domain.
    pub templates_per_domain: usize,
    /// Fields of one template; templates with more are refused.
    pub fields_per_template: usize,
    /// Fields of all templates of one session: a greedy one forgets its own templates first.
    pub fields_per_session: usize,
    /// Fields of all templates together; about 64 octets of memory each.
    pub total_fields: usize,
}

impl Default for DecoderLimits {
    fn default() -> Self {
        Self {
            sessions: 4096,
            domains_per_session: 64,
            templates_per_domain: 256,
            fields_per_template: 512,
            fields_per_session: 1 << 14,
            total_fields: 1 << 18,
        }
    }
}

impl<K: Hash + Eq + Clone> Decoder<K> {
    /// A decoder that knows no template. Limits of zero count as one.
    pub fn new(limits: DecoderLimits) -> Self {
        Self {
            limits,
            sessions: HashMap::new(),
            fields: 0,
            now: 0,
        }
    }

    /// Decodes the message at the start of `octets` and learns its templates.
    ///
    /// A `NetFlow` v9 message takes all of `octets`; an IPFIX one says how long it is
    /// ([`Decoded::length`]), what follows is not looked at.
    ///
    /// # Errors
    /// The header or the sets do not fit into each other (RFC 7011 section 9): nothing of the message
    /// is used. Mistakes inside one set are in [`Decoded::errors`] instead.
    pub fn decode<'a>(
        &mut self,
        session: &K,
        octets: &'a [u8],
    ) -> Result<Decoded<'a>, DecodeError> {
        let header = read_header(octets)?;
        let mut reader = Reader {
            octets: octets.get(..header.length).unwrap_or(octets),
            at: header.protocol.header_length(),
        };
        let mut sets = Vec::new();
        while let Some(set) = read_set(&mut reader, header.protocol)? {
            sets.push(set);
        }

        self.now += 1;
        let limits = self.limits;
        let now = self.now;
        self.make_room_for(session);
        let peer = self.sessions.entry(session.clone()).or_default();
        peer.used = now;
        let forgotten = peer.make_room_for(header.protocol, header.observation_domain, &limits);
        self.fields -= forgotten;
        let domain = peer.domain(header.protocol, header.observation_domain, now);

        let mut decoded = Decoded {
            header,
            data_sets: Vec::new(),
            unknown: Vec::new(),
            errors: Vec::new(),
            learned: Vec::new(),
            templates: 0,
            withdrawals: 0,
            sequence: Sequence::First,
            missing: 0,
        };
        for set in sets {
            let body = Reader {
                octets: octets.get(..set.end).unwrap_or(octets),
                at: set.at + SET_HEADER_LENGTH,
            };
            if set.id >= MIN_TEMPLATE_ID {
                let Some(template) = domain.template(set.id, now) else {
                    decoded.unknown.push(UnknownSet {
                        template_id: set.id,
                        offset: set.at,
                        length: set.end - set.at,
                    });
                    continue;
                };
                let data = DataSet {
                    template,
                    octets: body.rest(),
                    offset: body.at,
                    uptime: Uptime::of(&header),
                };
                // Records of fixed length cannot be wrong.
                if data.template.variable {
                    let mistake = data.records().find_map(Result::err);
                    decoded.errors.extend(mistake);
                }
                decoded.data_sets.push(data);
                continue;
            }
            let options = if Some(set.id) == header.protocol.template_set_id() {
                false
            } else if Some(set.id) == header.protocol.options_template_set_id() {
                true
            } else {
                decoded.errors.push(DecodeError {
                    offset: set.at,
                    what: "set",
                    kind: DecodeErrorKind::SetId(set.id),
                });
                continue;
            };
            let before = domain.fields();
            read_templates(body, options, &limits, domain, now, &mut decoded);
            self.fields = self.fields + domain.fields() - before;
        }
        domain.check_sequence(&mut decoded);
        if decoded.templates > 0 {
            self.forget_fields(session);
        }
        Ok(decoded)
    }

    /// Forgets a session, for example when its connection is closed.
    pub fn forget(&mut self, session: &K) {
        if let Some(peer) = self.sessions.remove(session) {
            self.fields -= peer.fields();
        }
    }

    /// Sessions remembered.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Fields of all templates remembered.
    pub fn fields(&self) -> usize {
        self.fields
    }

    fn make_room_for(&mut self, session: &K) {
        if !self.sessions.contains_key(session) {
            while self.sessions.len() >= self.limits.sessions.max(1) {
                if !self.forget_oldest_but(session) {
                    return;
                }
            }
        }
    }

    /// Keeps to the limits of fields after this session learned templates.
    fn forget_fields(&mut self, session: &K) {
        if let Some(peer) = self.sessions.get_mut(session) {
            let mut own = peer.fields();
            let limit = self.limits.fields_per_session.min(self.limits.total_fields);
            while own > limit {
                let forgotten = peer.forget_oldest_template();
                if forgotten == 0 {
                    break;
                }
                own -= forgotten;
                self.fields -= forgotten;
            }
        }
        while self.fields > self.limits.total_fields && self.forget_oldest_but(session) {}
    }

    fn forget_oldest_but(&mut self, session: &K) -> bool {
        let oldest = self
            .sessions
            .iter()
            .filter(|(key, _)| *key != session)
            .min_by_key(|(_, peer)| peer.used)
            .map(|(key, _)| key.clone());
        if let Some(key) = &oldest {
            self.forget(key);
        }
        oldest.is_some()
    }
}

/// The header of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The protocol, by the version number.
    pub protocol: Protocol,
    /// The length of the message in octets.
    pub length: usize,
    /// When it was exported, in seconds since 1970-01-01 UTC.
    pub export_time: u32,
    /// sysUptime in milliseconds; `NetFlow` v9 only.
    pub sys_uptime_ms: Option<u32>,
    /// The sequence number.
    pub sequence: u32,
    /// The Observation Domain ID or Source ID.
    pub observation_domain: u32,
    /// How many records the header announces; `NetFlow` v9 only, and often wrong.
    pub count: Option<u16>,
}

impl Header {
    /// When sysUptime was zero, in milliseconds since 1970-01-01 UTC, by a `NetFlow` v9 header. It
    /// is negative in headers that make no sense.
    pub fn system_init_ms(&self) -> Option<i64> {
        self.sys_uptime_ms
            .map(|uptime| i64::from(self.export_time) * 1000 - i64::from(uptime))
    }
}

/// A message that was read.
#[derive(Debug)]
pub struct Decoded<'a> {
    header: Header,
    data_sets: Vec<DataSet<'a>>,
    unknown: Vec<UnknownSet>,
    errors: Vec<DecodeError>,
    learned: Vec<Arc<Template>>,
    templates: usize,
    withdrawals: usize,
    sequence: Sequence,
    missing: u64,
}

impl<'a> Decoded<'a> {
    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The length of the message in octets.
    pub fn length(&self) -> usize {
        self.header.length
    }

    /// The Data Sets whose template is known, in order.
    pub fn data_sets(&self) -> &[DataSet<'a>] {
        &self.data_sets
    }

    /// All Data Records that could be read, in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.data_sets
            .iter()
            .flat_map(|set| set.records().map_while(Result::ok))
    }

    /// The Data Sets whose template is not known (yet), in order.
    pub fn unknown(&self) -> &[UnknownSet] {
        &self.unknown
    }

    /// Mistakes in sets; the rest of such a set was not used.
    pub fn errors(&self) -> &[DecodeError] {
        &self.errors
    }

    /// Template Records and Options Template Records learned.
    pub fn templates(&self) -> usize {
        self.templates
    }

    /// The templates that were learned, those known before included, in order.
    pub fn learned(&self) -> &[Arc<Template>] {
        &self.learned
    }

    /// Template withdrawals (RFC 7011 section 8.1).
    pub fn withdrawals(&self) -> usize {
        self.withdrawals
    }

    /// How the sequence number follows the one before.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// What is missing in this session and domain in all: Data Records in IPFIX, packets in
    /// `NetFlow` v9.
    pub fn missing(&self) -> u64 {
        self.missing
    }
}

/// How a sequence number follows the one before in its session and domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// There is nothing to compare with: the first message, or the one after Data Sets that could
    /// not be counted.
    First,
    /// It is the one expected.
    InOrder,
    /// This many Data Records (IPFIX) or packets (`NetFlow` v9) before this message are missing.
    Gap(u32),
    /// The message is late by this much: it overtook others, or was counted as missing before.
    Late(u32),
    /// The exporter began anew.
    Restarted,
}

/// A Data Set without a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownSet {
    /// The id of the template that is missing.
    pub template_id: u16,
    /// Where the set begins in the message.
    pub offset: usize,
    /// Its length in octets, with the Set Header.
    pub length: usize,
}

/// A template that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    id: u16,
    options: bool,
    scope_fields: usize,
    fields: Box<[Field]>,
    min_record_length: usize,
    variable: bool,
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
    registry: Registry,
    id: u16,
    length: u16,
    element: Option<Element>,
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

/// A Data Set with its template.
#[derive(Clone, Debug)]
pub struct DataSet<'a> {
    template: Arc<Template>,
    octets: &'a [u8],
    /// Where `octets` begin in the message.
    offset: usize,
    uptime: Option<Uptime>,
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

/// One value of a record.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    field: &'a Field,
    octets: &'a [u8],
    uptime: Option<Uptime>,
}

impl<'a> Value<'a> {
    /// Its field.
    pub fn field(&self) -> &'a Field {
        self.field
    }

    /// It as received, without the length prefix of a variable field.
    pub fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// It as an unsigned integer of 1 to 8 octets.
    pub fn unsigned(&self) -> Option<u64> {
        if self.octets.is_empty() || self.octets.len() > size_of::<u64>() {
            return None;
        }
        Some(
            self.octets
                .iter()
                .fold(0, |value, &octet| value << 8 | u64::from(octet)),
        )
    }

    /// It as a signed integer of 1 to 8 octets.
    pub fn signed(&self) -> Option<i64> {
        let unused = 64 - 8 * u32::try_from(self.octets.len()).ok()?.min(8);
        self.unsigned()
            .map(|value| (value << unused).cast_signed() >> unused)
    }

    /// It as a binary32 or binary64.
    pub fn float(&self) -> Option<f64> {
        if let Ok(octets) = self.octets.try_into() {
            return Some(f32::from_be_bytes(octets).into());
        }
        self.octets.try_into().ok().map(f64::from_be_bytes)
    }

    /// It as a boolean (RFC 7011 section 6.1.5).
    pub fn boolean(&self) -> Option<bool> {
        match self.octets {
            [1] => Some(true),
            [2] => Some(false),
            _ => None,
        }
    }

    /// It as an address, of 4 or of 16 octets.
    pub fn ip_address(&self) -> Option<IpAddr> {
        if let Ok(octets) = <[u8; 4]>::try_from(self.octets) {
            return Some(Ipv4Addr::from(octets).into());
        }
        let octets = <[u8; 16]>::try_from(self.octets).ok()?;
        Some(Ipv6Addr::from(octets).into())
    }

    /// It as a MAC address.
    pub fn mac_address(&self) -> Option<[u8; 6]> {
        self.octets.try_into().ok()
    }

    /// It as text, up to the zeros that fill a fixed field; `None` if it is not UTF-8.
    pub fn text(&self) -> Option<&'a str> {
        core::str::from_utf8(self.octets)
            .ok()
            .map(|text| text.trim_end_matches('\0'))
    }

    /// It as a time in milliseconds since 1970-01-01 UTC, by the element's type: the four dateTime
    /// types and, in `NetFlow` v9, the sysUptime times 21 and 22. `None` for other elements, and for
    /// times before 1970.
    pub fn unix_ms(&self) -> Option<u64> {
        let element = self.field.element()?;
        match element.data_type() {
            AbstractType::DateTimeMilliseconds => self.unsigned(),
            AbstractType::DateTimeSeconds => self.unsigned()?.checked_mul(1000),
            AbstractType::DateTimeMicroseconds | AbstractType::DateTimeNanoseconds => {
                Some(self.unix_ns()? / 1_000_000)
            }
            _ if element.id() == elements::FLOW_START_SYS_UP_TIME.id()
                || element.id() == elements::FLOW_END_SYS_UP_TIME.id() =>
            {
                self.uptime?.unix_ms(u32::try_from(self.unsigned()?).ok()?)
            }
            _ => None,
        }
    }

    /// It as a time in nanoseconds since 1970-01-01 UTC, for dateTimeMicroseconds and
    /// dateTimeNanoseconds. NTP times before 1970 belong to the era that begins in 2036.
    pub fn unix_ns(&self) -> Option<u64> {
        const NTP_UNIX_OFFSET: u32 = 2_208_988_800;
        const NANOS: u64 = 1_000_000_000;
        let (seconds, fraction) = self.octets.split_first_chunk::<4>()?;
        let fraction = u32::from_be_bytes(fraction.try_into().ok()?);
        let seconds = u32::from_be_bytes(*seconds);
        let unix_seconds = if seconds >= NTP_UNIX_OFFSET {
            u64::from(seconds - NTP_UNIX_OFFSET)
        } else {
            u64::from(seconds) + (1 << 32) - u64::from(NTP_UNIX_OFFSET)
        };
        Some(unix_seconds * NANOS + ((u64::from(fraction) * NANOS) >> 32))
    }
}

/// Two readings of the same instant, from a `NetFlow` v9 header.
#[derive(Clone, Copy, Debug)]
struct Uptime {
    export_time: u32,
    sys_uptime_ms: u32,
}

impl Uptime {
    fn of(header: &Header) -> Option<Self> {
        header.sys_uptime_ms.map(|sys_uptime_ms| Self {
            export_time: header.export_time,
            sys_uptime_ms,
        })
    }

    /// sysUptime wraps every 49.7 days: of all times with this uptime, the one nearest to the
    /// header's.
    fn unix_ms(self, uptime: u32) -> Option<u64> {
        let difference = uptime.wrapping_sub(self.sys_uptime_ms).cast_signed();
        u64::try_from(i64::from(self.export_time) * 1000 + i64::from(difference)).ok()
    }
}

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
    fn truncated(offset: usize, what: &'static str, needed: usize, available: usize) -> Self {
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

/// A Transport Session as seen from the collector.
#[derive(Debug, Default)]
struct Peer {
    domains: Vec<Domain>,
    used: u64,
}

impl Peer {
    fn fields(&self) -> usize {
        self.domains.iter().map(Domain::fields).sum()
    }

    /// Forgets old domains so that this one can be added; says how many fields went with them.
    fn make_room_for(&mut self, protocol: Protocol, id: u32, limits: &DecoderLimits) -> usize {
        let mut forgotten = 0;
        if !self.domains.iter().any(|domain| domain.is(protocol, id)) {
            while self.domains.len() >= limits.domains_per_session.max(1) {
                let Some(oldest) = position_of_min(self.domains.iter().map(|domain| domain.used))
                else {
                    break;
                };
                forgotten += self.domains.swap_remove(oldest).fields();
            }
        }
        forgotten
    }

    fn domain(&mut self, protocol: Protocol, id: u32, now: u64) -> &mut Domain {
        let position = self
            .domains
            .iter()
            .position(|domain| domain.is(protocol, id))
            .unwrap_or_else(|| {
                self.domains.push(Domain {
                    protocol,
                    id,
                    templates: Vec::new(),
                    expected: None,
                    after_late: None,
                    missing: 0,
                    used: now,
                });
                self.domains.len() - 1
            });
        let domain = &mut self.domains[position];
        domain.used = now;
        domain
    }

    /// Says how many fields the template had; zero if there is none.
    fn forget_oldest_template(&mut self) -> usize {
        self.domains
            .iter_mut()
            .filter(|domain| !domain.templates.is_empty())
            .min_by_key(|domain| domain.templates.iter().map(|known| known.used).min())
            .map_or(0, Domain::forget_oldest_template)
    }
}

/// An Observation Domain as seen from the collector.
#[derive(Debug)]
struct Domain {
    protocol: Protocol,
    id: u32,
    /// By ascending id.
    templates: Vec<Known>,
    /// The next sequence number, if it can be told.
    expected: Option<u32>,
    /// The next sequence number if the last message, which was late, was a new beginning.
    after_late: Option<u32>,
    missing: u64,
    used: u64,
}

#[derive(Debug)]
struct Known {
    template: Arc<Template>,
    used: u64,
}

impl Domain {
    fn is(&self, protocol: Protocol, id: u32) -> bool {
        self.protocol == protocol && self.id == id
    }

    fn fields(&self) -> usize {
        self.templates
            .iter()
            .map(|known| known.template.fields.len())
            .sum()
    }

    fn find(&self, id: u16) -> Result<usize, usize> {
        self.templates
            .binary_search_by_key(&id, |known| known.template.id)
    }

    fn template(&mut self, id: u16, now: u64) -> Option<Arc<Template>> {
        let position = self.find(id).ok()?;
        let known = self.templates.get_mut(position)?;
        known.used = now;
        Some(Arc::clone(&known.template))
    }

    /// Gives the template as it is now shared.
    fn learn(
        &mut self,
        template: Template,
        limits: &DecoderLimits,
        now: u64,
    ) -> Option<Arc<Template>> {
        if let Ok(position) = self.find(template.id) {
            let known = &mut self.templates[position];
            known.used = now;
            // Refreshes are mostly the same again: keep the one that is shared.
            if *known.template != template {
                known.template = Arc::new(template);
            }
            return Some(Arc::clone(&known.template));
        }
        while self.templates.len() >= limits.templates_per_domain.max(1) {
            self.forget_oldest_template();
        }
        let position = self.find(template.id).err()?;
        let template = Arc::new(template);
        self.templates.insert(
            position,
            Known {
                template: Arc::clone(&template),
                used: now,
            },
        );
        Some(template)
    }

    fn withdraw(&mut self, id: u16) {
        if let Ok(position) = self.find(id) {
            self.templates.remove(position);
        }
    }

    fn withdraw_all(&mut self, options: bool) {
        self.templates
            .retain(|known| known.template.options != options);
    }

    fn forget_oldest_template(&mut self) -> usize {
        position_of_min(self.templates.iter().map(|known| known.used)).map_or(0, |oldest| {
            self.templates.remove(oldest).template.fields.len()
        })
    }

    fn check_sequence(&mut self, decoded: &mut Decoded<'_>) {
        let sequence = decoded.header.sequence;
        let next = match self.protocol {
            Protocol::NetflowV9 => Some(sequence.wrapping_add(1)),
            Protocol::Ipfix | Protocol::NetflowV5
                if decoded.unknown.is_empty() && decoded.errors.is_empty() =>
            {
                let records = decoded.records().count();
                u32::try_from(records)
                    .ok()
                    .map(|records| sequence.wrapping_add(records))
            }
            Protocol::Ipfix | Protocol::NetflowV5 => None,
        };
        let after_late = self.after_late.take();
        decoded.sequence = match self
            .expected
            .map(|expected| sequence.wrapping_sub(expected).cast_signed())
        {
            None => Sequence::First,
            Some(0) => Sequence::InOrder,
            Some(ahead @ 1..) => Sequence::Gap(ahead.unsigned_abs()),
            // One late message overtook others; two in a row are a new beginning.
            Some(_) if after_late == Some(sequence) => Sequence::Restarted,
            Some(behind) => Sequence::Late(behind.unsigned_abs()),
        };
        match decoded.sequence {
            Sequence::Gap(missing) => self.missing = self.missing.saturating_add(missing.into()),
            // It was counted as missing when it was overtaken.
            Sequence::Late(_) => {
                let came = match self.protocol {
                    Protocol::NetflowV9 => 1,
                    Protocol::Ipfix | Protocol::NetflowV5 => {
                        next.map_or(0, |next| next.wrapping_sub(sequence))
                    }
                };
                self.missing = self.missing.saturating_sub(came.into());
                self.after_late = next;
            }
            _ => {}
        }
        if !matches!(decoded.sequence, Sequence::Late(_)) {
            self.expected = next;
        }
        decoded.missing = self.missing;
    }
}

fn position_of_min(ages: impl Iterator<Item = u64>) -> Option<usize> {
    ages.enumerate()
        .min_by_key(|&(_, age)| age)
        .map(|(position, _)| position)
}

/// A place in a message.
#[derive(Clone, Copy, Debug)]
struct Reader<'a> {
    /// The message up to where may be read.
    octets: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a [u8] {
        self.octets.get(self.at..).unwrap_or_default()
    }

    fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        self.array(what).map(u16::from_be_bytes)
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.array(what).map(u32::from_be_bytes)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let rest = self.rest();
        let octets =
            rest.first_chunk()
                .ok_or(DecodeError::truncated(self.at, what, N, rest.len()))?;
        self.at += N;
        Ok(*octets)
    }

    /// A reader of the same message elsewhere.
    fn seek(&self, at: usize) -> Self {
        Self { at, ..*self }
    }
}

fn read_header(octets: &[u8]) -> Result<Header, DecodeError> {
    const WHAT: &str = "message header";
    let start = Reader { octets, at: 0 };
    let version = start.seek(0).u16(WHAT)?;
    let protocol = match version {
        version if version == Protocol::Ipfix.version() => Protocol::Ipfix,
        version if version == Protocol::NetflowV9.version() => Protocol::NetflowV9,
        version => {
            return Err(DecodeError {
                offset: 0,
                what: WHAT,
                kind: DecodeErrorKind::Version(version),
            });
        }
    };
    let header_length = protocol.header_length();
    if octets.len() < header_length {
        return Err(DecodeError::truncated(0, WHAT, header_length, octets.len()));
    }
    match protocol {
        Protocol::Ipfix => {
            let field = start.seek(ipfix_header::LENGTH_FIELD).u16(WHAT)?;
            let length = usize::from(field);
            if length < header_length {
                return Err(DecodeError {
                    offset: ipfix_header::LENGTH_FIELD,
                    what: WHAT,
                    kind: DecodeErrorKind::Length(field),
                });
            }
            if length > octets.len() {
                return Err(DecodeError::truncated(0, "message", length, octets.len()));
            }
            Ok(Header {
                protocol,
                length,
                export_time: start.seek(ipfix_header::EXPORT_TIME).u32(WHAT)?,
                sys_uptime_ms: None,
                sequence: start.seek(ipfix_header::SEQUENCE).u32(WHAT)?,
                observation_domain: start.seek(ipfix_header::DOMAIN).u32(WHAT)?,
                count: None,
            })
        }
        Protocol::NetflowV9 => Ok(Header {
            protocol,
            length: octets.len(),
            export_time: start.seek(v9_header::UNIX_SECS).u32(WHAT)?,
            sys_uptime_ms: Some(start.seek(v9_header::SYS_UPTIME).u32(WHAT)?),
            sequence: start.seek(v9_header::SEQUENCE).u32(WHAT)?,
            observation_domain: start.seek(v9_header::SOURCE_ID).u32(WHAT)?,
            count: Some(start.seek(v9_header::COUNT).u16(WHAT)?),
        }),
        Protocol::NetflowV5 => Err(DecodeError {
            offset: 0,
            what: WHAT,
            kind: DecodeErrorKind::Version(version),
        }),
    }
}

/// Where a set lies in the message.
#[derive(Clone, Copy, Debug)]
struct SetPlace {
    id: u16,
    at: usize,
    end: usize,
}

fn read_set(reader: &mut Reader<'_>, protocol: Protocol) -> Result<Option<SetPlace>, DecodeError> {
    const WHAT: &str = "set header";
    let at = reader.at;
    let available = reader.rest().len();
    // Version 9 has no length of its own; some exporters pad the packet.
    let padding = protocol == Protocol::NetflowV9 && available < SET_HEADER_LENGTH;
    if available == 0 || padding {
        return Ok(None);
    }
    if available < SET_HEADER_LENGTH {
        return Err(DecodeError::truncated(
            at,
            WHAT,
            SET_HEADER_LENGTH,
            available,
        ));
    }
    let id = reader.u16(WHAT)?;
    let field = reader.u16(WHAT)?;
    let length = usize::from(field);
    if length < SET_HEADER_LENGTH {
        return Err(DecodeError {
            offset: at,
            what: WHAT,
            kind: DecodeErrorKind::Length(field),
        });
    }
    if length > available {
        return Err(DecodeError::truncated(at, "set", length, available));
    }
    reader.at = at + length;
    Ok(Some(SetPlace {
        id,
        at,
        end: reader.at,
    }))
}

/// Reads the records of a Template Set or Options Template Set until the first mistake.
fn read_templates(
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

enum TemplateRecord {
    Template(Template),
    /// RFC 7011 section 8.1.
    Withdrawal(u16),
    /// Of the templates of the set's kind.
    WithdrawalOfAll,
}

fn read_template(
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

fn read_field(
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

/// The octets of the value at the start of `rest`, which then begins after it.
fn take_value<'a>(field: &Field, rest: &mut &'a [u8]) -> Option<&'a [u8]> {
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
