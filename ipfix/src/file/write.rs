//! From received messages to a file.

use core::ops::RangeInclusive;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::details::{self, Origin, Received};
use super::translate::{self, Translated};
use super::window::{Times, Window};
use crate::decode::{DataSet, Decoded, Template};
use crate::elements as ie;
use crate::layout::{Context, Layout, LayoutError};
use crate::message::Written;
use crate::netflow_v5::NetflowV5Sampling;
use crate::session::{Session, SessionOptions};
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
///   own, counted down from 4294967295, and so does domain 0, which in a file would be about all
///   exporters. The Message Details say what it was.
/// - A template goes into the file once, before its data. If the exporter gives its id a new meaning,
///   that gets an id of its own, counted down from 65534: ids are not used again, and nothing has to
///   be withdrawn (RFC 5655 section 7.2).
/// - Data Records stay as they are to the octet, whatever they hold, but for the one field that refers
///   to templates, templateId, if the id is another in the file. (The lists of RFC 6313 refer to them
///   as well; they are not looked into.) The sequence numbers are those of the file.
/// - `NetFlow` v9 becomes IPFIX: the field numbers stay, scopes become elements, and the Message
///   Details have systemInitTimeMilliseconds, from which the times 21 and 22 count. What has no place
///   in IPFIX, such as the scope of a flow cache, becomes opaqueOctets.
/// - `NetFlow` v5 gets a template, and samplingInterval and samplingAlgorithm in the Message Details
///   if its header says that packets are sampled.
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
    ids: Ids,
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
    /// Templates of one domain. Of more, the one used longest ago is forgotten; if it is used again it
    /// goes into the file again.
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
            ids: Ids::new(DOMAIN_IDS, limits.domains.max(1)),
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
            sampling: header.sampling,
        };
        self.now += 1;
        self.make_room_for(&key);
        if self.domains.get(&key).is_some_and(Domain::is_worn_out) {
            self.forget(&key);
        }
        let ids = &mut self.ids;
        let limits = self.limits;
        let domain = self
            .domains
            .entry(key)
            .or_insert_with(|| Domain::new(ids.allot(key.id)));
        domain.used = self.now;
        let fields_before = domain.fields;
        let mut writing = Writing {
            domain,
            limits: &limits,
            received: Received::new(*origin, collection_time_ms, header),
            export_time: header.export_time,
            now: self.now,
            file,
            message: None,
            stored: Stored::default(),
        };
        for template in without_data(decoded) {
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
            domain.details = None;
            for known in domain.templates.values_mut() {
                known.in_file = false;
            }
        }
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
        oldest.is_some_and(|key| self.forget(&key))
    }

    fn forget(&mut self, key: &DomainKey) -> bool {
        let forgotten = self.domains.remove(key);
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
    /// `NetFlow` v5 says it in each header, IPFIX once for a domain.
    sampling: Option<NetflowV5Sampling>,
}

/// Gives out ids, of domains or templates, each once.
#[derive(Debug)]
struct Ids {
    /// Those given as wanted.
    kept: HashSet<u32>,
    /// The most of them: from then on all ids are of our own choice.
    most: usize,
    lowest: u32,
    /// The next one of our own choice: they count down.
    next: u32,
}

impl Ids {
    fn new(range: RangeInclusive<u32>, most: usize) -> Self {
        Self {
            kept: HashSet::new(),
            most,
            lowest: *range.start(),
            next: *range.end(),
        }
    }

    /// The id that is wanted, if nobody had it.
    fn allot(&mut self, wanted: u32) -> u32 {
        let range = self.lowest..=self.next;
        if range.contains(&wanted) && self.kept.len() < self.most && self.kept.insert(wanted) {
            wanted
        } else {
            self.own()
        }
    }

    fn own(&mut self) -> u32 {
        loop {
            let id = self.next;
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
    /// By the ids the exporter gave them.
    templates: HashMap<u16, Known>,
    template_ids: Ids,
    /// Fields of the templates.
    fields: usize,
    details_id: u16,
    /// The layout of the Message Details, once the file has its template.
    details: Option<Layout<Received>>,
    used: u64,
}

/// A template and how the file has it.
#[derive(Debug)]
struct Known {
    template: Arc<Template>,
    in_file: bool,
    place: Place,
    used: u64,
}

/// How records go into the file.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The template's id in the file.
    id: u16,
    /// What goes before every record.
    prefix: &'static [u8],
    /// Where records have a template id.
    template_id_at: Option<usize>,
}

impl Domain {
    fn new(id: u32) -> Self {
        let mut template_ids = Ids::new(TEMPLATE_IDS, MAX_KEPT_TEMPLATE_IDS);
        Self {
            id,
            sequence: 0,
            templates: HashMap::new(),
            details_id: low16_of(template_ids.own()),
            template_ids,
            fields: 0,
            details: None,
            used: 0,
        }
    }

    /// Whether the next message could use up the template ids.
    fn is_worn_out(&self) -> bool {
        // A message of 65535 octets has room for 8191 templates or sets of 8 octets each, and each of
        // them may want an id.
        const MOST_IN_A_MESSAGE: u32 = 2 * 8191;
        self.template_ids.next < MOST_IN_A_MESSAGE + u32::from(MIN_TEMPLATE_ID)
    }

    fn forget_template(&mut self, id: u16) {
        if let Some(known) = self.templates.remove(&id) {
            self.fields -= known.template.fields().len();
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
    fn announce(&mut self, template: &Arc<Template>) -> Option<Place> {
        let id = template.id();
        let now = self.now;
        let known =
            self.domain.templates.get_mut(&id).filter(|known| {
                Arc::ptr_eq(&known.template, template) || known.template == *template
            });
        let (file_id, has_id) = match known {
            Some(known) => {
                known.used = now;
                if known.in_file {
                    return Some(known.place);
                }
                (known.place.id, true)
            }
            // A new meaning gets an id of its own.
            None => (low16_of(self.domain.template_ids.allot(id.into())), false),
        };
        let Translated {
            record,
            prefix,
            template_id_at,
        } = translate::template(template, file_id);
        let set_id = template_set_id(template.is_options());
        if !self.put(set_id, SetUse::Own, &[&record]) {
            return None;
        }
        if !has_id {
            self.domain.forget_template(id);
            self.make_room_for(template);
        }
        let place = Place {
            id: file_id,
            prefix,
            template_id_at,
        };
        let known = Known {
            template: Arc::clone(template),
            in_file: true,
            place,
            used: now,
        };
        if self.domain.templates.insert(id, known).is_none() {
            self.domain.fields += template.fields().len();
        }
        Some(place)
    }

    fn make_room_for(&mut self, template: &Template) {
        let FileLimits {
            templates_per_domain: most,
            fields_per_domain: most_fields,
            ..
        } = *self.limits;
        while self.domain.templates.len() >= most.max(1)
            || self.domain.fields + template.fields().len() > most_fields
        {
            let Some(oldest) = self.domain.oldest_template() else {
                return;
            };
            self.domain.forget_template(oldest);
        }
    }

    fn data_set(&mut self, set: &DataSet<'_>) {
        let records = set.records().map_while(Result::ok);
        let Some(place) = self.announce(set.shared_template()) else {
            self.stored.too_long += set.record_count() as u64;
            return;
        };
        let id = place.id;
        let whole = set
            .fixed_records()
            .filter(|_| place.prefix.is_empty() && place.template_id_at.is_none());
        if whole.is_some_and(|octets| self.put(id, SetUse::Shared, &[octets])) {
            self.count(set.record_count());
            return;
        }
        // One by one: they go into several messages, or are not as they were.
        for record in records {
            if self.data_record(place, record.octets()) {
                self.count(1);
            } else {
                self.stored.too_long += 1;
            }
        }
    }

    /// Notes Data Records that were put into the message.
    fn count(&mut self, records: usize) {
        self.stored.records += records as u64;
        if let Some(message) = &mut self.message {
            message.records += u32::from(low16(records));
        }
    }

    fn data_record(&mut self, place: Place, octets: &[u8]) -> bool {
        let prefix = place.prefix;
        if let Some((before, id, after)) = self.template_id_in(place, octets) {
            let id = id.to_be_bytes();
            return self.put(place.id, SetUse::Shared, &[prefix, before, &id, after]);
        }
        self.put(place.id, SetUse::Shared, &[prefix, octets])
    }

    /// A record that has the id of a template which has another one in the file: what is before it,
    /// the id to write, and what is after it.
    fn template_id_in<'o>(
        &self,
        place: Place,
        octets: &'o [u8],
    ) -> Option<(&'o [u8], u16, &'o [u8])> {
        let (before, rest) = octets.split_at_checked(place.template_id_at?)?;
        let (id, after) = rest.split_first_chunk()?;
        let id = u16::from_be_bytes(*id);
        let other = self.domain.templates.get(&id)?.place.id;
        (other != id).then_some((before, other, after))
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
            None => details::layout(&self.received, details_id).ok()?,
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
    /// Templates do not: nfacctd 1.7.7 reads only the first options template of a set.
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
    let options = SessionOptions::file(Protocol::Ipfix, observation_domain, 0);
    let mut session = Session::new(options);
    if session.register(&layout).is_ok() {
        let mut writer = session.begin(file, now_ms);
        if let Ok(Written::Done) = writer.write(&layout, &times) {
            // There is no second message that could depend on this one.
            let _ = writer.finish();
        }
    }
    Ok(())
}

/// The templates learned of which the message has no data: those with data come with it.
fn without_data<'a>(decoded: &'a Decoded<'_>) -> impl Iterator<Item = &'a Arc<Template>> {
    let learned = decoded.learned();
    let mut with_data = HashSet::new();
    if !learned.is_empty() {
        with_data.extend(decoded.data_sets().iter().map(|set| set.template().id()));
    }
    learned
        .iter()
        .filter(move |template| !with_data.contains(&template.id()))
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

/// The low 16 bits of a template id, which has no others.
fn low16_of(id: u32) -> u16 {
    let [.., high, low] = id.to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// Not 0: what comes in domain 0 concerns the whole Exporting Process (RFC 7011 section 3.1), which in
/// a file would be all of them.
const DOMAIN_IDS: RangeInclusive<u32> = 1..=u32::MAX;
/// Those of Data Sets (RFC 7011 section 3.3.2). `NetFlow` v5 comes with 0.
const TEMPLATE_IDS: RangeInclusive<u32> = 0x100..=0xffff;
/// The largest length a Message Header can state.
const MAX_MESSAGE: usize = 0xffff;
/// Template ids of a domain that stay as they are. An exporter with more of them gets others.
const MAX_KEPT_TEMPLATE_IDS: usize = 1024;
