//! Reading messages of all protocols, from anybody.

mod error;
mod few;
mod header;
mod list;
mod options;
mod peers;
mod reader;
mod record;
mod set;
mod template;
mod typed;
mod value;

use core::hash::Hash;
use std::collections::HashMap;
use std::sync::Arc;

use crate::element::Element;
use crate::session::Transport;
use crate::wire::{MIN_TEMPLATE_ID, Protocol, SET_HEADER_LENGTH, v5_record};

pub use error::{DecodeError, DecodeErrorKind};
pub use header::Header;
pub use list::{
    BasicList, BasicListValues, ListSemantic, SubTemplateList, SubTemplateLists,
    SubTemplateMultiList,
};
pub use options::{DomainOptions, Sampling};
pub use peers::Sequence;
pub use record::{DataSet, Record, Records, Values};
pub use set::UnknownSet;
pub use template::{Field, Template};
pub use typed::{DateTime, TypedValue};
pub use value::Value;

use error::Subject;
use few::Few;
use header::read_header;
use peers::{Domain, Learned, Peer, Time, position_of_min};
use reader::Reader;
use set::{SetPlace, read_set};
use template::{Reading, TemplateRecord, next_template};
use value::Clock;

/// Decodes the messages of any number of Transport Sessions and remembers their templates and what
/// their options say, within [`DecoderLimits`].
///
/// `K` names a Transport Session: over UDP the addresses and ports of both ends (RFC 7011 section
/// 2), in practice often the exporter's address and port.
#[derive(Debug)]
pub struct Decoder<K> {
    limits: DecoderLimits,
    transport: Transport,
    /// Of templates, in milliseconds.
    lifetime_ms: Option<u64>,
    /// The time the caller told last.
    caller_ms: u64,
    /// Beyond IANA's, ordered by registry and id.
    elements: Vec<Element>,
    netflow_v5: Arc<Template>,
    peers: Vec<(K, Peer)>,
    /// Where each session is in `peers`.
    index: HashMap<K, usize>,
    /// Where the session of the last message was in `peers`: the next is mostly of the same.
    last: usize,
    /// Fields of all templates remembered.
    fields: usize,
    /// Entries of all options remembered.
    option_entries: usize,
    /// Counts messages, and what options say: the age of everything remembered.
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
    /// Fields of all templates together; about 70 octets of memory each.
    pub total_fields: usize,
    /// What options tell of one domain: interfaces, selectors, and templates whose Flow Keys are
    /// known. Beyond it, the half that was told longest ago is forgotten.
    pub option_entries_per_domain: usize,
    /// The same of one session.
    pub option_entries_per_session: usize,
    /// The same of all sessions together; at most about 120 octets of memory each and two texts.
    pub total_option_entries: usize,
    /// Octets of a name or a description of an interface; longer ones are cut.
    pub option_text_octets: usize,
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
            option_entries_per_domain: 1 << 12,
            option_entries_per_session: 1 << 14,
            total_option_entries: 1 << 17,
            option_text_octets: 128,
        }
    }
}

impl<K: Hash + Eq + Clone> Decoder<K> {
    /// A decoder that knows no template. Limits of zero count as one.
    pub fn new(limits: DecoderLimits) -> Self {
        Self {
            limits,
            transport: Transport::Unreliable,
            lifetime_ms: None,
            caller_ms: 0,
            elements: Vec::new(),
            netflow_v5: Arc::new(Template::netflow_v5()),
            peers: Vec::new(),
            index: HashMap::new(),
            last: 0,
            fields: 0,
            option_entries: 0,
            now: 0,
        }
    }

    /// The decoder, which now knows these elements too: [`Field::element`] and
    /// [`Value::typed`] find them in templates that come from now on. They go before those of
    /// IANA, and before others told of earlier.
    #[must_use]
    pub fn with_elements(mut self, elements: &[Element]) -> Self {
        for element in elements {
            let key = |known: &Element| (known.registry(), known.id());
            match self.elements.binary_search_by_key(&key(element), key) {
                Ok(at) => self.elements[at] = *element,
                Err(at) => self.elements.insert(at, *element),
            }
        }
        self
    }

    /// The decoder, for sessions over this transport; at first it is for those over UDP.
    ///
    /// It decides how templates end. Over [`Transport::Unreliable`], withdrawals are ignored
    /// (RFC 7011 section 8.4): templates are replaced, or [expire](Self::with_template_lifetime). Over
    /// [`Transport::Reliable`] they live until they are withdrawn (section 8.1).
    #[must_use]
    pub fn over(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// The decoder, which over UDP forgets a template that did not come again within this time, in
    /// milliseconds (RFC 3954 section 9, RFC 7011 section 8.4). Without it they live until they are
    /// replaced or forgotten at a limit.
    ///
    /// It takes [`decode_at`](Self::decode_at), which tells the time. Choose at least three times the
    /// interval in which the exporters send their templates again, of which some may be lost;
    /// half an hour suits most.
    #[must_use]
    pub fn with_template_lifetime(mut self, lifetime_ms: u64) -> Self {
        self.lifetime_ms = Some(lifetime_ms);
        self
    }

    /// [Decodes](Self::decode) a message that came at `now_ms`, in milliseconds since whenever, by a
    /// clock that does not go back. [Lifetimes](Self::with_template_lifetime) go by it.
    ///
    /// # Errors
    /// Those of [`decode`](Self::decode).
    pub fn decode_at<'a>(
        &mut self,
        session: &K,
        octets: &'a [u8],
        now_ms: u64,
    ) -> Result<Decoded<'a>, DecodeError> {
        self.caller_ms = now_ms;
        self.decode(session, octets)
    }

    /// Decodes the message at the start of `octets` and learns its templates and options.
    ///
    /// A `NetFlow` v9 message takes all of `octets`. The others say how long they are
    /// ([`Decoded::length`]); what follows is not looked at.
    ///
    /// A `NetFlow` v5 packet is one Data Set of a template that is built in. Packets of no record
    /// are accepted. Of packets cut short, whole records are read and the rest is an error in
    /// [`Decoded::errors`]. Packets that announce more than 30 records are refused.
    ///
    /// When a sequence number says that an exporter began anew ([`Sequence::Restarted`]), all that
    /// options said in the domain, and in IPFIX in domain 0, is forgotten, up to the last message of
    /// the domain before the restart. Templates stay until they are replaced.
    ///
    /// When a header of `NetFlow` v9 says that sysUptime was zero at another time than the one before
    /// in the domain, by more than a minute, the exporter was started anew or its clock set: the
    /// templates of the domain are forgotten (RFC 3954 section 9).
    ///
    /// # Errors
    /// The header or the sets do not fit into each other; in IPFIX also, a template or a record does
    /// not fit into its set. Nothing of such a message is used: no record, no template and nothing its
    /// options said (RFC 7011 section 9.1). Its records count as missing when the next message comes.
    ///
    /// `NetFlow` has no such rule, and exporters of it that get lengths wrong. There what is before
    /// the mistake and in other sets is used; such mistakes, and in all protocols those that are not
    /// about lengths, are in [`Decoded::errors`] instead.
    pub fn decode<'a>(
        &mut self,
        session: &K,
        octets: &'a [u8],
    ) -> Result<Decoded<'a>, DecodeError> {
        let header = read_header(octets)?;
        let protocol = header.protocol;
        let sets = Reader {
            octets: octets.get(..header.length).unwrap_or(octets),
            at: protocol.header_length(),
        };
        let mut check = sets;
        let mut has_templates = false;
        if protocol != Protocol::NetflowV5 {
            while let Some(set) = read_set(&mut check, protocol)? {
                has_templates |= set.id < MIN_TEMPLATE_ID;
            }
        }

        self.now += 1;
        let mut at = self.enter(session);
        let Some((_, peer)) = self.peers.get_mut(at) else {
            // It was just entered.
            return Ok(Decoded::new(header));
        };
        let id = header.observation_domain;
        peer.used = self.now;
        if peer.find(protocol, id).is_none() {
            let before = (peer.fields(), peer.option_entries());
            peer.make_room_for(protocol, id, &self.limits);
            self.fields -= before.0 - peer.fields();
            self.option_entries -= before.1 - peer.option_entries();
        }
        let domain = peer.domain(protocol, id, self.now);
        let mut outdated = domain.check_clock(&header);
        if let (Some(lifetime_ms), Transport::Unreliable) = (self.lifetime_ms, self.transport) {
            outdated += domain.expire(lifetime_ms, self.caller_ms);
        }
        self.fields -= outdated.fields;
        self.option_entries -= outdated.option_entries;
        let before = (domain.fields(), domain.told.entries());
        // Only messages of IPFIX are dropped because of what is in their sets.
        let undo = (has_templates && protocol == Protocol::Ipfix).then(|| domain.snapshot());
        let mut run = Run {
            limits: &self.limits,
            elements: &self.elements,
            transport: self.transport,
            time: Time {
                now: self.now,
                caller_ms: self.caller_ms,
            },
            domain,
            effects: Vec::new(),
            decoded: Decoded::new(header),
        };
        if protocol == Protocol::NetflowV5 {
            run.netflow_v5(&self.netflow_v5, sets);
        } else if let Err(error) = run.sets(sets) {
            if let Some(templates) = undo {
                domain.put_back(templates);
            }
            return Err(error);
        }
        run.take_effect();
        self.now = run.time.now;
        let mut decoded = run.decoded;
        domain.check_sequence(&mut decoded);
        let learned = decoded.templates + decoded.withdrawals > 0;
        if learned {
            self.fields = self.fields + domain.fields() - before.0;
        }
        self.option_entries = self.option_entries + domain.told.entries() - before.1;
        let told = domain.told.entries() != before.1;

        let settled = domain.settled;
        if !matches!(decoded.sequence, Sequence::Late(_)) {
            domain.settled = self.now;
        }
        if decoded.sequence == Sequence::Restarted {
            let before = peer.option_entries();
            peer.forget_previous_run(protocol, id, settled);
            self.option_entries -= before - peer.option_entries();
        }
        if protocol == Protocol::Ipfix {
            let init = peer.system_init_ms(protocol, id);
            decoded.set_clock(Clock::of(&header).since(init));
        }
        if learned {
            self.forget_fields(&mut at);
        }
        if told {
            self.forget_options(&mut at);
        }
        Ok(decoded)
    }

    /// What options data said of an Observation Domain; `None` if nothing is known of it.
    ///
    /// It borrows from the decoder, while a [`Decoded`] does not: ask between messages as well as
    /// for the records of one.
    pub fn options(
        &self,
        session: &K,
        protocol: Protocol,
        observation_domain: u32,
    ) -> Option<DomainOptions<'_>> {
        let peer = self.peer(session)?;
        DomainOptions::new(
            peer.find(protocol, observation_domain)
                .map(|domain| &domain.told),
            peer.process(protocol, observation_domain)
                .map(|domain| &domain.told),
        )
    }

    /// A template that is remembered, for example for the records of a [`SubTemplateList`].
    pub fn template(
        &self,
        session: &K,
        protocol: Protocol,
        observation_domain: u32,
        template_id: u16,
    ) -> Option<&Template> {
        let domain = self.peer(session)?.find(protocol, observation_domain)?;
        domain.known_template(template_id).map(Arc::as_ref)
    }

    /// Forgets a session, for example when its connection is closed.
    pub fn forget(&mut self, session: &K) {
        if let Some(&at) = self.index.get(session) {
            self.remove(at);
        }
    }

    /// Sessions remembered.
    pub fn sessions(&self) -> usize {
        self.peers.len()
    }

    /// Fields of all templates remembered.
    pub fn fields(&self) -> usize {
        self.fields
    }

    /// Entries of all options remembered: interfaces, selectors, and templates whose Flow Keys are
    /// known.
    pub fn option_entries(&self) -> usize {
        self.option_entries
    }

    fn peer(&self, session: &K) -> Option<&Peer> {
        let last = self.peers.get(self.last);
        if let Some((_, peer)) = last.filter(|(key, _)| key == session) {
            return Some(peer);
        }
        let (_, peer) = self.peers.get(*self.index.get(session)?)?;
        Some(peer)
    }

    /// Where the session is, a new one if need be.
    fn enter(&mut self, session: &K) -> usize {
        let last = self.peers.get(self.last);
        if last.is_some_and(|(key, _)| key == session) {
            return self.last;
        }
        if let Some(&at) = self.index.get(session) {
            self.last = at;
            return at;
        }
        while self.peers.len() >= self.limits.sessions.max(1) {
            let oldest = position_of_min(self.peers.iter().map(|(_, peer)| peer.used));
            let Some(oldest) = oldest else { break };
            self.remove(oldest);
        }
        let at = self.peers.len();
        self.peers.push((session.clone(), Peer::default()));
        self.index.insert(session.clone(), at);
        self.last = at;
        at
    }

    fn remove(&mut self, at: usize) {
        let (session, peer) = self.peers.swap_remove(at);
        self.index.remove(&session);
        if let Some((moved, _)) = self.peers.get(at)
            && let Some(place) = self.index.get_mut(moved)
        {
            *place = at;
        }
        self.fields -= peer.fields();
        self.option_entries -= peer.option_entries();
    }

    /// Keeps to the limits of fields after this session learned templates.
    fn forget_fields(&mut self, at: &mut usize) {
        if let Some((_, peer)) = self.peers.get_mut(*at) {
            let (mut own, entries) = (peer.fields(), peer.option_entries());
            let limit = self.limits.fields_per_session.min(self.limits.total_fields);
            while own > limit {
                let forgotten = peer.forget_oldest_template();
                if forgotten == 0 {
                    break;
                }
                own -= forgotten;
                self.fields -= forgotten;
            }
            self.option_entries -= entries - peer.option_entries();
        }
        while self.fields > self.limits.total_fields {
            let others = self.peers.iter().enumerate();
            let oldest = others
                .filter(|(other, _)| other != at)
                .min_by_key(|(_, (_, peer))| peer.used);
            let Some((oldest, _)) = oldest else { break };
            self.remove(oldest);
            if *at == self.peers.len() {
                // The last one fills the gap.
                *at = oldest;
            }
        }
    }

    /// Keeps to the limits of options after this session told some.
    fn forget_options(&mut self, at: &mut usize) {
        let limits = self.limits;
        let limit = limits
            .option_entries_per_session
            .min(limits.total_option_entries);
        if let Some((_, peer)) = self.peers.get_mut(*at) {
            let before = peer.option_entries();
            let mut own = before;
            while own > limit {
                peer.forget_some_options();
                own = peer.option_entries();
            }
            self.option_entries -= before - own;
        }
        while self.option_entries > limits.total_option_entries {
            let others = self.peers.iter_mut().enumerate();
            let oldest = others
                .filter(|(other, (_, peer))| other != at && peer.option_entries() > 0)
                .min_by_key(|(_, (_, peer))| peer.used);
            let Some((_, (_, peer))) = oldest else { break };
            self.option_entries -= peer.option_entries();
            peer.forget_options();
        }
    }
}

/// A message being read.
struct Run<'d, 'a> {
    limits: &'d DecoderLimits,
    elements: &'d [Element],
    transport: Transport,
    time: Time,
    domain: &'d mut Domain,
    /// What the message does to what options said, once all of it was read.
    effects: Vec<Effect>,
    decoded: Decoded<'a>,
}

enum Effect {
    /// A template is no longer what it was.
    Gone(u16),
    /// The Data Set at this position tells something.
    Told(usize),
}

impl<'a> Run<'_, 'a> {
    /// Fails where the whole message is to be dropped.
    fn sets(&mut self, mut sets: Reader<'a>) -> Result<(), DecodeError> {
        let protocol = self.decoded.header.protocol;
        // They were checked before.
        while let Ok(Some(set)) = read_set(&mut sets, protocol) {
            let body = Reader {
                octets: sets.octets.get(..set.end).unwrap_or(sets.octets),
                at: set.at + SET_HEADER_LENGTH,
            };
            if set.id >= MIN_TEMPLATE_ID {
                self.data(set, body)?;
            } else if Some(set.id) == protocol.template_set_id() {
                self.templates(body, false)?;
            } else if Some(set.id) == protocol.options_template_set_id() {
                self.templates(body, true)?;
            } else {
                self.decoded.errors.push(DecodeError::new(
                    Subject::set(protocol),
                    set.at,
                    DecodeErrorKind::SetId(set.id),
                ));
            }
        }
        Ok(())
    }

    fn data(&mut self, set: SetPlace, body: Reader<'a>) -> Result<(), DecodeError> {
        let Some(template) = self.domain.template(set.id, self.time.now) else {
            self.decoded.unknown.push(UnknownSet {
                template_id: set.id,
                offset: set.at,
                length: set.end - set.at,
            });
            return Ok(());
        };
        let clock = Clock::of(&self.decoded.header);
        let (set, mistake) = DataSet::new(template, body.rest(), body.at, clock);
        if let Some(mistake) = mistake {
            self.mistake(mistake)?;
        }
        if set.template().tells() {
            let position = self.decoded.data_sets().len();
            self.effects.push(Effect::Told(position));
        }
        self.decoded.data_sets.push(set);
        Ok(())
    }

    /// Fails if the message is malformed by RFC 7011 section 9.1: a length makes no sense.
    fn mistake(&mut self, mistake: DecodeError) -> Result<(), DecodeError> {
        let protocol = self.decoded.header.protocol;
        if protocol == Protocol::Ipfix && matches!(mistake.kind, DecodeErrorKind::Truncated { .. })
        {
            return Err(mistake);
        }
        self.decoded.errors.push(mistake);
        Ok(())
    }

    /// Applies what the message says of options, in order.
    fn take_effect(&mut self) {
        for effect in &self.effects {
            match *effect {
                Effect::Gone(id) => self.domain.told.forget_template(id),
                Effect::Told(position) => {
                    let set = self.decoded.data_sets().get(position);
                    let records = set.into_iter().flat_map(DataSet::records);
                    for record in records.map_while(Result::ok) {
                        self.time.now += 1;
                        let told = &mut self.domain.told;
                        told.learn(&record, self.limits, self.time.now);
                    }
                }
            }
        }
    }

    /// Reads the records of a Template Set or Options Template Set until the first mistake.
    fn templates(&mut self, mut body: Reader<'_>, options: bool) -> Result<(), DecodeError> {
        let reading = Reading {
            protocol: self.decoded.header.protocol,
            max_fields: self.limits.fields_per_template.max(1),
            elements: self.elements,
        };
        loop {
            match next_template(&mut body, options, reading) {
                Ok(None) => return Ok(()),
                Ok(Some(TemplateRecord::Template(template))) => self.learn(template),
                Ok(Some(TemplateRecord::Withdrawal(id))) => self.withdraw(Some(id), options),
                Ok(Some(TemplateRecord::WithdrawalOfAll)) => self.withdraw(None, options),
                Err(error) => return self.mistake(error),
            }
        }
    }

    fn learn(&mut self, template: Template) {
        let effects = &mut self.effects;
        let gone = |id| effects.push(Effect::Gone(id));
        let id = template.id();
        let learned = self.domain.learn(template, self.limits, self.time, gone);
        let shared = self.domain.known_template(id).cloned();
        self.decoded.learned.extend(shared);
        self.decoded.templates += 1;
        match learned {
            Learned::New => {}
            Learned::Again => self.decoded.templates_repeated += 1,
            Learned::Changed => self.decoded.templates_changed += 1,
        }
    }

    /// Of one template, or of all of a kind.
    fn withdraw(&mut self, id: Option<u16>, options: bool) {
        self.decoded.withdrawals += 1;
        if self.transport == Transport::Unreliable {
            self.decoded.withdrawals_ignored += 1;
            return;
        }
        let effects = &mut self.effects;
        let gone = |id| effects.push(Effect::Gone(id));
        let Some(id) = id else {
            self.domain.withdraw_all(options, gone);
            return;
        };
        if !self.domain.withdraw(id, gone) {
            self.decoded.withdrawals_unknown += 1;
        }
    }

    fn netflow_v5(&mut self, template: &Arc<Template>, records: Reader<'a>) {
        let header = self.decoded.header;
        self.domain.told.learn_header(&header, self.time.now);
        let octets = records.rest();
        let needed = usize::from(header.count.unwrap_or(0)) * v5_record::LENGTH;
        if octets.len() < needed {
            self.decoded.errors.push(DecodeError::truncated(
                Subject::V5_RECORDS,
                records.at,
                needed,
                octets.len(),
            ));
        }
        let clock = Clock::of(&header);
        let (set, _) = DataSet::new(Arc::clone(template), octets, records.at, clock);
        if set.record_count() > 0 {
            self.decoded.data_sets.push(set);
        }
    }
}

/// A message that was read.
#[derive(Debug)]
pub struct Decoded<'a> {
    header: Header,
    data_sets: Few<DataSet<'a>>,
    unknown: Vec<UnknownSet>,
    errors: Vec<DecodeError>,
    learned: Vec<Arc<Template>>,
    templates: usize,
    templates_repeated: usize,
    templates_changed: usize,
    withdrawals: usize,
    withdrawals_unknown: usize,
    withdrawals_ignored: usize,
    sequence: Sequence,
    missing: u64,
}

impl<'a> Decoded<'a> {
    fn new(header: Header) -> Self {
        Self {
            header,
            data_sets: Few::new(),
            unknown: Vec::new(),
            errors: Vec::new(),
            learned: Vec::new(),
            templates: 0,
            templates_repeated: 0,
            templates_changed: 0,
            withdrawals: 0,
            withdrawals_unknown: 0,
            withdrawals_ignored: 0,
            sequence: Sequence::First,
            missing: 0,
        }
    }

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
        self.data_sets.as_slice()
    }

    /// All Data Records that could be read, in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.data_sets()
            .iter()
            .flat_map(|set| set.records().map_while(Result::ok))
    }

    /// How many Data Records could be read.
    pub fn record_count(&self) -> usize {
        self.data_sets().iter().map(DataSet::record_count).sum()
    }

    /// The Data Sets whose template is not known (yet), in order.
    pub fn unknown(&self) -> &[UnknownSet] {
        &self.unknown
    }

    /// Mistakes in sets; the rest of such a set was not used. In IPFIX they are not about lengths:
    /// those are errors of [`Decoder::decode`].
    pub fn errors(&self) -> &[DecodeError] {
        &self.errors
    }

    /// Template Records and Options Template Records learned.
    pub fn templates(&self) -> usize {
        self.templates
    }

    /// The templates that were learned, those known before included, in order.
    pub(crate) fn learned(&self) -> &[Arc<Template>] {
        &self.learned
    }

    /// Of the [templates](Self::templates), those that were known as they are. Over UDP it is usual;
    /// else RFC 7011 section 8.1 wants it to be logged.
    pub fn templates_repeated(&self) -> usize {
        self.templates_repeated
    }

    /// Of the [templates](Self::templates), those whose id had another meaning, and no withdrawal
    /// between: RFC 7011 section 8.1 wants it to be logged. The new meaning holds.
    pub fn templates_changed(&self) -> usize {
        self.templates_changed
    }

    /// Template withdrawals (RFC 7011 section 8.1), also those that changed nothing.
    pub fn withdrawals(&self) -> usize {
        self.withdrawals
    }

    /// Of the [withdrawals](Self::withdrawals), those of a template that is not known: RFC 7011
    /// section 8.1 wants it to be logged.
    pub fn withdrawals_unknown(&self) -> usize {
        self.withdrawals_unknown
    }

    /// Of the [withdrawals](Self::withdrawals), those that came over UDP, where none are allowed
    /// (RFC 7011 section 8.4).
    pub fn withdrawals_ignored(&self) -> usize {
        self.withdrawals_ignored
    }

    /// How the sequence number follows the one before.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// What is missing in this session and domain in all: Data Records in IPFIX, packets in
    /// `NetFlow` v9, flows in `NetFlow` v5.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    fn set_clock(&mut self, clock: Clock) {
        for set in self.data_sets.as_mut_slice() {
            set.set_clock(clock);
        }
    }
}
