//! From received messages to a file.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::details::{self, Origin, Received};
use super::translate::{self, Translated};
use super::window::{Times, Window};
use crate::decode::{DataSet, Decoded, Template};
use crate::elements as ie;
use crate::layout::{Context, Layout, LayoutError};
use crate::message::Written;
use crate::session::{Session, SessionOptions, TemplateSchedule};
use crate::wire::{
    MIN_TEMPLATE_ID, Protocol, SET_HEADER_LENGTH, ipfix_header, low16, put as put_at,
};

/// Makes an IPFIX File (RFC 5655) of what a Collecting Process received, from any number of
/// Transport Sessions and in any protocol. It does no I/O: the octets it gives are to be appended to
/// the file.
///
/// # What is kept, and how
/// - A message becomes a message, in the order received, with its export time. It begins with a
///   Message Details record (RFC 5655 section 8.1.4): when and from whom it came, in which protocol,
///   in which Observation Domain. See [`MessageDetails`](super::MessageDetails) for reading it.
/// - In a file, Observation Domains of different exporters must not mix (RFC 5655 section 7.3.7). The
///   first domain with an id keeps it; another exporter's domain with the same id gets one of its
///   own, counted down from 4294967295. The Message Details say what it was. So template ids stay as
///   they are, and with them whatever in the records refers to one.
/// - A template goes into the file once, before its data. If its id is given a new meaning, or it is
///   one of too many, it is withdrawn first (RFC 5655 section 7.2).
/// - Data Records stay as they are to the octet, whatever they hold. The sequence numbers are those
///   of the file.
/// - `NetFlow` v9 becomes IPFIX: the field numbers stay, scopes become elements, and the Message
///   Details have systemInitTimeMilliseconds, from which the times 21 and 22 count. What has no place
///   in IPFIX, such as the scope of a flow cache, becomes opaqueOctets.
/// - [`finish`](Self::finish) adds the File Time Window (RFC 5655 section 8.1.2) at the end.
///
/// Data Sets whose template is not known cannot be kept; [`Decoded::unknown`] has them. There are no
/// Message Checksums (RFC 5655 section 8.1.1).
///
/// A file that ends anywhere, after a loss of power, is good up to the last whole message.
#[derive(Debug)]
pub struct FileWriter {
    limits: FileLimits,
    domains: HashMap<DomainKey, Domain>,
    ids: DomainIds,
    /// Fields of all templates remembered.
    fields: usize,
    /// Counts messages: the age of everything remembered.
    now: u64,
    window: Window,
}

/// How much a [`FileWriter`] remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimits {
    /// Observation Domains of all exporters. Of more, the one heard of longest ago is forgotten; if
    /// it comes back it is a new domain of the file.
    pub domains: usize,
    /// Templates of one domain. Of more, the one used longest ago is withdrawn.
    pub templates_per_domain: usize,
    /// Fields of all templates of one domain, likewise.
    pub fields_per_domain: usize,
    /// Fields of all templates together; over it, domains are forgotten.
    pub total_fields: usize,
}

impl Default for FileLimits {
    fn default() -> Self {
        Self {
            domains: 4096,
            templates_per_domain: 256,
            fields_per_domain: 1 << 14,
            total_fields: 1 << 18,
        }
    }
}

/// What became of a message.
#[must_use]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Messages of the file: mostly one, none where the message has nothing new, two or more where it
    /// became too long for one.
    pub messages: u64,
    /// Data Records, without the Message Details.
    pub records: u64,
    /// Data Records that fit into no message of the file.
    pub too_long: u64,
}

impl FileWriter {
    /// A writer of a new file. Limits of zero count as one.
    pub fn new(limits: FileLimits) -> Self {
        Self {
            limits,
            domains: HashMap::new(),
            ids: DomainIds::default(),
            fields: 0,
            now: 0,
            window: Window::default(),
        }
    }

    /// Appends to `file` what belongs there for a message that came from `origin` at
    /// `collection_time_ms`, in milliseconds since 1970-01-01 UTC.
    pub fn store(
        &mut self,
        origin: &Origin,
        collection_time_ms: u64,
        decoded: &Decoded<'_>,
        file: &mut Vec<u8>,
    ) -> Stored {
        let header = decoded.header();
        let key = DomainKey {
            origin: *origin,
            protocol: header.protocol,
            id: header.observation_domain,
        };
        self.now += 1;
        self.make_room_for(&key);
        let ids = &mut self.ids;
        let limits = self.limits;
        let domain = self
            .domains
            .entry(key)
            .or_insert_with(|| Domain::new(ids.allot(key.id, limits.domains.max(1))));
        domain.used = self.now;
        let fields_before = domain.fields;
        let mut writing = Writing {
            domain,
            limits: &limits,
            received: Received::new(*origin, collection_time_ms, header),
            protocol: header.protocol,
            export_time: header.export_time,
            now: self.now,
            file,
            message: None,
            stored: Stored::default(),
        };
        for template in decoded.learned() {
            writing.announce(template);
        }
        for set in decoded.data_sets() {
            writing.data_set(set);
            self.window.include(set);
        }
        writing.end_message();
        let stored = writing.stored;
        self.fields = self.fields - fields_before + domain.fields;
        while self.fields > self.limits.total_fields && self.forget_oldest_but(&key) {}
        stored
    }

    /// Says that what was returned last did not get into the file, all of it or in part: templates
    /// go into the file again. What is missing shows in the sequence numbers.
    ///
    /// The file must be cut to the end of a message before more is appended.
    pub fn lost(&mut self) {
        for domain in self.domains.values_mut() {
            domain.templates.clear();
            domain.fields = 0;
            domain.details = None;
        }
        self.fields = 0;
    }

    /// Appends the File Time Window, if the file has flows and all of them tell when they began and
    /// ended. Nothing may be appended to the file after that.
    pub fn finish(mut self, now_ms: u64, file: &mut Vec<u8>) {
        let Some(times) = self.window.times() else {
            return;
        };
        let domain = self.ids.own();
        // The layout is a constant; nothing of this can fail.
        let _ = time_window(times, domain, now_ms, file);
    }

    fn make_room_for(&mut self, key: &DomainKey) {
        while !self.domains.contains_key(key)
            && self.domains.len() >= self.limits.domains.max(1)
            && self.forget_oldest_but(key)
        {}
    }

    fn forget_oldest_but(&mut self, key: &DomainKey) -> bool {
        let oldest = self
            .domains
            .iter()
            .filter(|(other, _)| *other != key)
            .min_by_key(|(_, domain)| domain.used)
            .map(|(key, _)| *key);
        let forgotten = oldest.and_then(|key| self.domains.remove(&key));
        if let Some(domain) = &forgotten {
            self.fields -= domain.fields;
        }
        forgotten.is_some()
    }
}

/// An Observation Domain of an exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct DomainKey {
    origin: Origin,
    protocol: Protocol,
    id: u32,
}

/// Gives out the ids of the file's domains, each once.
#[derive(Debug)]
struct DomainIds {
    /// Those given as wanted.
    kept: HashSet<u32>,
    /// The next one of our own choice: they count down.
    next: u32,
}

impl Default for DomainIds {
    fn default() -> Self {
        Self {
            kept: HashSet::new(),
            next: u32::MAX,
        }
    }
}

impl DomainIds {
    /// The id that is wanted, if nobody had it; after `most` of them, one of our own.
    fn allot(&mut self, wanted: u32, most: usize) -> u32 {
        if wanted <= self.next && self.kept.len() < most && self.kept.insert(wanted) {
            wanted
        } else {
            self.own()
        }
    }

    fn own(&mut self) -> u32 {
        loop {
            let id = self.next;
            // There are more of them than messages in any file.
            self.next = id.wrapping_sub(1);
            if !self.kept.contains(&id) {
                return id;
            }
        }
    }
}

/// An Observation Domain of the file.
#[derive(Debug)]
struct Domain {
    id: u32,
    sequence: u32,
    /// The templates as the file has them.
    templates: HashMap<u16, Announced>,
    /// Fields of the templates.
    fields: usize,
    /// The layout of the Message Details, once the file has its template.
    details: Option<Layout<Received>>,
    details_id: u16,
    used: u64,
}

#[derive(Debug)]
struct Announced {
    template: Arc<Template>,
    prefix: &'static [u8],
    used: u64,
}

impl Domain {
    fn new(id: u32) -> Self {
        Self {
            id,
            sequence: 0,
            templates: HashMap::new(),
            fields: 0,
            details: None,
            // Exporters count theirs up.
            details_id: u16::MAX,
            used: 0,
        }
    }

    fn oldest_template(&self) -> Option<u16> {
        let oldest = self.templates.iter().min_by_key(|(_, known)| known.used);
        oldest.map(|(id, _)| *id)
    }
}

/// Puts one message into the file.
struct Writing<'a> {
    domain: &'a mut Domain,
    limits: &'a FileLimits,
    received: Received,
    protocol: Protocol,
    export_time: u32,
    now: u64,
    file: &'a mut Vec<u8>,
    message: Option<OpenMessage>,
    stored: Stored,
}

/// A message of the file whose length is not known yet.
#[derive(Clone, Copy, Debug)]
struct OpenMessage {
    /// Where it begins in `file`.
    at: usize,
    /// Where it ended when it had the Message Details and nothing more.
    empty: usize,
    /// The message has the template of the details, too.
    announces_details: bool,
    /// Data Records, the Message Details among them.
    records: u32,
    /// Id and place of the set that is open.
    set: Option<(u16, usize)>,
}

impl Writing<'_> {
    /// Puts the template into the file if it is not there. `None` if it fits into no message.
    fn announce(&mut self, template: &Arc<Template>) -> Option<&'static [u8]> {
        let id = template.id();
        let now = self.now;
        if let Some(known) = self.domain.templates.get_mut(&id) {
            if Arc::ptr_eq(&known.template, template) || known.template == *template {
                known.used = now;
                return Some(known.prefix);
            }
            self.withdraw(id);
        }
        if id == self.domain.details_id {
            self.move_details();
        }
        while self.domain.templates.len() >= self.limits.templates_per_domain.max(1)
            || self.domain.fields + template.fields().len() > self.limits.fields_per_domain
        {
            let Some(oldest) = self.domain.oldest_template() else {
                break;
            };
            self.withdraw(oldest);
        }
        let Translated { record, prefix } = translate::template(template);
        let set_id = template_set_id(template.is_options());
        if !self.put(set_id, SetUse::Own, &[&record]) {
            return None;
        }
        self.domain.fields += template.fields().len();
        self.domain.templates.insert(
            id,
            Announced {
                template: Arc::clone(template),
                prefix,
                used: now,
            },
        );
        Some(prefix)
    }

    /// Takes a template out of the file (RFC 7011 section 8.1).
    fn withdraw(&mut self, id: u16) {
        if let Some(known) = self.domain.templates.remove(&id) {
            self.domain.fields -= known.template.fields().len();
            self.put_withdrawal(id, known.template.is_options());
        }
    }

    fn put_withdrawal(&mut self, id: u16, options: bool) {
        let [a, b] = id.to_be_bytes();
        // A withdrawal fits into any message.
        self.put(template_set_id(options), SetUse::Own, &[&[a, b, 0, 0]]);
    }

    /// Makes room for an exporter's template that has the id of the Message Details.
    fn move_details(&mut self) {
        let taken = self.domain.details_id;
        if self.domain.details.take().is_some() {
            self.put_withdrawal(taken, true);
        }
        let free = |id: &u16| *id != taken && !self.domain.templates.contains_key(id);
        // There are fewer templates than ids.
        self.domain.details_id = (MIN_TEMPLATE_ID..taken)
            .rev()
            .find(free)
            .or_else(|| (taken..=u16::MAX).rev().find(free))
            .unwrap_or(taken);
    }

    fn data_set(&mut self, set: &DataSet<'_>) {
        let records = set.records().map_while(Result::ok);
        let Some(prefix) = self.announce(set.template()) else {
            self.stored.too_long += records.count() as u64;
            return;
        };
        for record in records {
            if self.put(
                set.template().id(),
                SetUse::Shared,
                &[prefix, record.octets()],
            ) {
                self.stored.records += 1;
                if let Some(message) = &mut self.message {
                    message.records += 1;
                }
            } else {
                self.stored.too_long += 1;
            }
        }
    }

    /// Appends octets to a set, in the next message if this one has no room. False, and nothing
    /// done, if they fit into no message.
    fn put(&mut self, set_id: u16, usage: SetUse, parts: &[&[u8]]) -> bool {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        loop {
            let Some(mut message) = self.message.or_else(|| self.begin_message()) else {
                return false;
            };
            let open = message
                .set
                .is_some_and(|(id, _)| id == set_id && usage == SetUse::Shared);
            let header = if open { 0 } else { SET_HEADER_LENGTH };
            let end = self.file.len().saturating_add(header + length);
            if end - message.at <= MAX_MESSAGE {
                if !open {
                    self.close_set(&mut message);
                    self.open_set(&mut message, set_id);
                }
                for part in parts {
                    self.file.extend_from_slice(part);
                }
                self.message = Some(message);
                return true;
            }
            self.message = Some(message);
            let empty = self.file.len() == message.empty;
            self.end_message();
            if empty {
                return false;
            }
        }
    }

    /// Begins a message with its details, and their template if it is not in the file.
    fn begin_message(&mut self) -> Option<OpenMessage> {
        let mut message = OpenMessage {
            at: self.file.len(),
            empty: 0,
            announces_details: self.domain.details.is_none(),
            records: 1,
            set: None,
        };
        let details_id = self.domain.details_id;
        let layout = match self.domain.details.take() {
            Some(layout) => layout,
            // The layout is a constant but for its id, which is a legal one.
            None => details::layout(self.protocol, &self.received.origin, details_id).ok()?,
        };
        self.file
            .resize(message.at + Protocol::Ipfix.header_length(), 0);
        if message.announces_details {
            self.open_set(&mut message, template_set_id(true));
            self.file.extend_from_slice(layout.template_record());
            self.close_set(&mut message);
        }
        self.open_set(&mut message, details_id);
        let record = self.file.len();
        self.file
            .resize(record + layout.length_of(&self.received), 0);
        if let Some(row) = self.file.get_mut(record..) {
            let context = Context {
                export_time_ms: u64::from(self.export_time) * 1000,
                system_init_ms: 0,
            };
            layout.encode(&self.received, &context, row);
        }
        self.close_set(&mut message);
        self.domain.details = Some(layout);
        message.empty = self.file.len();
        self.message = Some(message);
        self.message
    }

    /// Completes the message, if one is open; one that holds nothing is taken back.
    fn end_message(&mut self) {
        let Some(mut message) = self.message.take() else {
            return;
        };
        if self.file.len() == message.empty {
            self.file.truncate(message.at);
            if message.announces_details {
                self.domain.details = None;
            }
            return;
        }
        self.close_set(&mut message);
        let length = low16(self.file.len() - message.at).to_be_bytes();
        let Some(header) = self.file.get_mut(message.at..) else {
            return;
        };
        put_at(header, 0, &Protocol::Ipfix.version().to_be_bytes());
        put_at(header, ipfix_header::LENGTH_FIELD, &length);
        put_at(
            header,
            ipfix_header::EXPORT_TIME,
            &self.export_time.to_be_bytes(),
        );
        put_at(
            header,
            ipfix_header::SEQUENCE,
            &self.domain.sequence.to_be_bytes(),
        );
        put_at(header, ipfix_header::DOMAIN, &self.domain.id.to_be_bytes());
        self.domain.sequence = self.domain.sequence.wrapping_add(message.records);
        self.stored.messages += 1;
    }

    fn open_set(&mut self, message: &mut OpenMessage, id: u16) {
        message.set = Some((id, self.file.len()));
        self.file.extend(id.to_be_bytes());
        // The length comes with `close_set`.
        self.file.extend([0; 2]);
    }

    fn close_set(&mut self, message: &mut OpenMessage) {
        const LENGTH: usize = 2;
        if let Some((_, at)) = message.set.take() {
            let length = low16(self.file.len() - at).to_be_bytes();
            put_at(self.file, at + LENGTH, &length);
        }
    }
}

/// Whether records of the same id may share a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SetUse {
    /// As Data Records do.
    Shared,
    /// Templates and withdrawals must not (RFC 7011 section 8.1).
    Own,
}

/// What the File Time Window record is made of (RFC 5655 section 8.1.2).
fn time_window(
    times: Times,
    observation_domain: u32,
    now_ms: u64,
    file: &mut Vec<u8>,
) -> Result<(), LayoutError> {
    let layout = Layout::options_builder(Protocol::Ipfix, MIN_TEMPLATE_ID)
        .unsigned(ie::SESSION_SCOPE, 1, |_: &Times, _| 0)
        .end_of_scope()
        .unsigned(ie::MIN_FLOW_START_MILLISECONDS, 8, |times, _| {
            times.start_ms
        })
        .unsigned(ie::MAX_FLOW_END_MILLISECONDS, 8, |times, _| times.end_ms)
        .build()?;
    let mut session = Session::new(SessionOptions {
        protocol: Protocol::Ipfix,
        observation_domain,
        max_message: 512,
        system_init_ms: 0,
        first_sequence: 0,
        templates: TemplateSchedule::once(),
    });
    if session.register(&layout).is_ok() {
        let mut writer = session.begin(file, now_ms);
        if let Ok(Written::Done) = writer.write(&layout, &times) {
            // There is no second message that could depend on this one.
            let _ = writer.finish();
        }
    }
    Ok(())
}

fn template_set_id(options: bool) -> u16 {
    const TEMPLATE_SET: u16 = 2;
    const OPTIONS_TEMPLATE_SET: u16 = 3;
    if options {
        OPTIONS_TEMPLATE_SET
    } else {
        TEMPLATE_SET
    }
}

/// The largest length a Message Header can state.
const MAX_MESSAGE: usize = 0xffff;
