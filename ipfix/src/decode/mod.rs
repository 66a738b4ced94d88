//! Reading messages of all protocols, from anybody.

mod error;
mod header;
mod peers;
mod reader;
mod record;
mod set;
mod template;
mod value;

use core::hash::Hash;
use std::collections::HashMap;
use std::sync::Arc;

use crate::wire::{MIN_TEMPLATE_ID, SET_HEADER_LENGTH};

pub use error::{DecodeError, DecodeErrorKind};
pub use header::Header;
pub use peers::Sequence;
pub use record::{DataSet, Record, Records};
pub use set::UnknownSet;
pub use template::{Field, Template};
pub use value::Value;

use header::read_header;
use peers::Peer;
use reader::Reader;
use set::read_set;
use template::read_templates;
use value::Uptime;

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
