//! Writing messages: header, sets, padding, limits.

use core::fmt;

use crate::layout::{Context, Identity, Layout};
use crate::session::{Session, SessionOptions};
use crate::wire::{
    ALIGNMENT, Protocol, SET_HEADER_LENGTH, ipfix_header, low16, low32, put, v5_header, v5_record,
    v9_header,
};

/// Writes one message into the end of a buffer; made by [`Session::begin`].
///
/// Consecutive records of one layout share a Data Set. Whatever does not fit leaves no trace.
/// Dropped without [`finish`](Self::finish), the writer leaves the buffer as it was.
#[derive(Debug)]
pub struct MessageWriter<'a> {
    session: &'a mut Session,
    buffer: &'a mut Vec<u8>,
    context: Context,
    /// Where the message begins in the buffer.
    start: usize,
    /// Where the next octet goes.
    at: usize,
    /// Where the message must end at the latest.
    limit: usize,
    open: Option<OpenSet>,
    data_records: u32,
    templates: u32,
    withdrawals: u32,
    full: bool,
    finished: bool,
}

impl<'a> MessageWriter<'a> {
    pub(crate) fn new(session: &'a mut Session, buffer: &'a mut Vec<u8>, now_ms: u64) -> Self {
        let options = *session.options();
        let start = buffer.len();
        let limit = start + max_length(&options);
        // The whole room at once: records then go to their place with one bounds check.
        buffer.resize(limit, 0);
        let mut writer = Self {
            session,
            buffer,
            context: Context {
                export_time_ms: now_ms,
                system_init_ms: options.system_init_ms,
            },
            start,
            at: start + options.protocol.header_length(),
            limit,
            open: None,
            data_records: 0,
            templates: 0,
            withdrawals: 0,
            full: false,
            finished: false,
        };
        writer.withdrawals();
        writer.scheduled_templates(false);
        writer.scheduled_templates(true);
        writer
    }

    /// The times that column functions see.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Data Records written so far.
    pub fn data_records(&self) -> u32 {
        self.data_records
    }

    /// Appends the Data Record of `record`.
    ///
    /// If the layout's template has never been sent, it goes into the message too, before the data.
    /// [`Written::Full`] means that the record was not written and belongs into the next message.
    pub fn write<R>(&mut self, layout: &Layout<R>, record: &R) -> Result<Written, WriteError> {
        let length = layout.length_of(record);
        if !self.reserve(layout, length)? {
            return Ok(Written::Full);
        }
        let end = self.at + length;
        if let Some(row) = self.buffer.get_mut(self.at..end) {
            layout.encode(record, &self.context, row);
        }
        self.at = end;
        self.data_records += 1;
        Ok(Written::Done)
    }

    /// Appends Data Records of `records` from the first on, as many as fit, and says how many. It is
    /// faster than [`write`](Self::write) one by one.
    pub fn write_all<R>(&mut self, layout: &Layout<R>, records: &[R]) -> Result<usize, WriteError> {
        let Some(length) = layout.record_length() else {
            for (written, record) in records.iter().enumerate() {
                if self.write(layout, record)? == Written::Full {
                    return Ok(written);
                }
            }
            return Ok(records.len());
        };
        if records.is_empty() || !self.reserve(layout, length)? {
            return Ok(0);
        }
        let mut fitting = ((self.limit - self.at) / length).min(records.len());
        if self.padded(self.at + fitting * length, layout.min_record_length()) > self.limit {
            // The first one fits with its padding: `reserve` said so.
            fitting -= 1;
        }
        let end = self.at + fitting * length;
        if let (Some(batch), Some(rows)) =
            (records.get(..fitting), self.buffer.get_mut(self.at..end))
        {
            layout.encode_all(batch, &self.context, rows);
        }
        self.at = end;
        self.data_records += u32::from(low16(fitting));
        self.full |= fitting < records.len();
        Ok(fitting)
    }

    /// Makes sure that collectors know the layout's template from here on: puts it into the message
    /// unless it was sent before. Only templates of [list](crate::list) members need it;
    /// [`write`](Self::write) does it for its own.
    ///
    /// [`Written::Full`] means that there is no room; the message is as it was.
    pub fn announce<R>(&mut self, layout: &Layout<R>) -> Result<Written, WriteError> {
        let Some(position) = self.session.position_of(layout) else {
            return Err(WriteError::NotRegistered(layout.template_id()));
        };
        let template = match self.session.template(position) {
            Some(template) if !template.is_announced() => template,
            _ => return Ok(Written::Done),
        };
        let at = self
            .open
            .map_or(self.at, |set| self.padded(self.at, set.min_record_length));
        let end = at + SET_HEADER_LENGTH + template.record().len();
        if self.session.must_wait(template) || self.padded(end, usize::MAX) > self.limit {
            self.full = true;
            return Ok(Written::Full);
        }
        self.close_set();
        self.open_set(self.template_set_id(layout.is_options()), None, usize::MAX);
        self.put_template(position);
        self.close_set();
        Ok(Written::Done)
    }

    /// Completes the message: pads the last set and fills in the header. The message is then the end
    /// of the buffer. `None`, and an unchanged buffer, if nothing was written: a message has at least
    /// one set.
    pub fn finish(mut self) -> Option<Message> {
        self.close_set();
        let options = *self.session.options();
        if self.at == self.start + options.protocol.header_length() {
            return None;
        }
        let header = self.header();
        put(
            self.buffer,
            self.start,
            &header[..options.protocol.header_length()],
        );
        self.buffer.truncate(self.at);
        self.finished = true;
        Some(Message {
            length: self.at - self.start,
            data_records: self.data_records,
            templates: self.templates,
            withdrawals: self.withdrawals,
            sequence: self.session.sequence(),
            export_time_ms: self.context.export_time_ms,
            starved: self.full && self.data_records == 0,
            serial: self.session.serial(),
        })
    }

    fn header(&self) -> [u8; MAX_HEADER_LENGTH] {
        let options = self.session.options();
        let mut header = [0; MAX_HEADER_LENGTH];
        put(&mut header, 0, &options.protocol.version().to_be_bytes());
        let sequence = self.session.sequence().to_be_bytes();
        let domain = options.observation_domain.to_be_bytes();
        let now_ms = self.context.export_time_ms;
        match options.protocol {
            Protocol::Ipfix => {
                let length = low16(self.at - self.start).to_be_bytes();
                let seconds = low32(now_ms / SECOND_MS).to_be_bytes();
                put(&mut header, ipfix_header::LENGTH_FIELD, &length);
                put(&mut header, ipfix_header::EXPORT_TIME, &seconds);
                put(&mut header, ipfix_header::SEQUENCE, &sequence);
                put(&mut header, ipfix_header::DOMAIN, &domain);
            }
            Protocol::NetflowV9 => {
                // Collectors compute the base of sysUptime as UNIX Secs minus sysUptime, and some
                // take a flow later than sysUptime for one from before the last wrap, 49.7 days ago.
                // So both fields speak of the same instant, the second that ends now or next.
                let seconds = now_ms.div_ceil(SECOND_MS);
                let uptime = self
                    .context
                    .uptime_ms(seconds.saturating_mul(SECOND_MS))
                    .to_be_bytes();
                let count = low16(
                    usize::try_from(self.data_records.saturating_add(self.templates))
                        .unwrap_or(usize::MAX),
                )
                .to_be_bytes();
                put(&mut header, v9_header::COUNT, &count);
                put(&mut header, v9_header::SYS_UPTIME, &uptime);
                put(
                    &mut header,
                    v9_header::UNIX_SECS,
                    &low32(seconds).to_be_bytes(),
                );
                put(&mut header, v9_header::SEQUENCE, &sequence);
                put(&mut header, v9_header::SOURCE_ID, &domain);
            }
            Protocol::NetflowV5 => {
                // To the millisecond: collectors compute the base of sysUptime from all three.
                let nanoseconds = low32(now_ms % SECOND_MS * NANOSECONDS_PER_MS).to_be_bytes();
                let seconds = low32(now_ms / SECOND_MS).to_be_bytes();
                let uptime = self.context.uptime_ms(now_ms).to_be_bytes();
                let count = low16(usize::try_from(self.data_records).unwrap_or(usize::MAX));
                let [_, _, engine @ ..] = domain;
                let sampling = self.session.sampling().to_wire();
                put(&mut header, v5_header::COUNT, &count.to_be_bytes());
                put(&mut header, v5_header::SYS_UPTIME, &uptime);
                put(&mut header, v5_header::UNIX_SECS, &seconds);
                put(&mut header, v5_header::UNIX_NSECS, &nanoseconds);
                put(&mut header, v5_header::SEQUENCE, &sequence);
                put(&mut header, v5_header::ENGINE, &engine);
                put(&mut header, v5_header::SAMPLING, &sampling.to_be_bytes());
            }
        }
        header
    }

    /// Puts the withdrawals that are due at the head, as many as fit: consecutive ones of a kind into
    /// one set, each withdrawal of all into one of its own (RFC 7011 section 8.1).
    fn withdrawals(&mut self) {
        let mut kind = None;
        for position in 0.. {
            let new_kind = match self.session.withdrawal_mut(position) {
                Some(withdrawal) => (withdrawal.is_options(), withdrawal.is_of_all()),
                None => break,
            };
            let (options, of_all) = new_kind;
            if of_all || kind != Some(new_kind) {
                self.close_set();
            }
            let record_at = match self.open {
                Some(_) => self.at,
                None => self.at + SET_HEADER_LENGTH,
            };
            if record_at + WITHDRAWAL_LENGTH > self.limit {
                break;
            }
            if self.open.is_none() {
                self.open_set(self.template_set_id(options), None, usize::MAX);
            }
            kind = Some(new_kind);
            if let Some(withdrawal) = self.session.withdrawal_mut(position) {
                put(self.buffer, self.at, &withdrawal.record());
                withdrawal.announce();
            }
            self.at += WITHDRAWAL_LENGTH;
            self.withdrawals += 1;
        }
        self.close_set();
    }

    /// Puts the templates of one kind that are due into one set, as many as fit.
    fn scheduled_templates(&mut self, options: bool) {
        let now_ms = self.context.export_time_ms;
        if !self.session.templates_due(now_ms) {
            return;
        }
        let mut set: Option<OpenSet> = None;
        for position in 0..self.session.template_count() {
            if !self.session.is_scheduled(position, options, now_ms) {
                continue;
            }
            // Each Options Template in a set of its own: RFC 7011 section 3.3.2 allows both, and
            // nfacctd 1.7.7 reads only the first of a set.
            if options && set.take().is_some() {
                self.close_set();
            }
            let Some(template) = self.session.template(position) else {
                continue;
            };
            let at = set.map_or(self.at + SET_HEADER_LENGTH, |_| self.at);
            let end = at + template.record().len();
            if self.padded(end, usize::MAX) > self.limit {
                break;
            }
            if set.is_none() {
                set = Some(self.open_set(self.template_set_id(options), None, usize::MAX));
            }
            self.put_template(position);
        }
        self.close_set();
    }

    /// Only asked where there are templates: `NetFlow` v5 has none, and registers none.
    fn template_set_id(&self, options: bool) -> u16 {
        let protocol = self.session.options().protocol;
        let set_id = if options {
            protocol.options_template_set_id()
        } else {
            protocol.template_set_id()
        };
        set_id.unwrap_or_default()
    }

    /// Copies a template, which must fit, into the open set.
    fn put_template(&mut self, position: usize) {
        let Some(template) = self.session.template_mut(position) else {
            return;
        };
        put(self.buffer, self.at, template.record());
        self.at += template.record().len();
        template.announce();
        self.templates += 1;
    }

    /// Makes sure that a record of `length` can go to `self.at` in a set of this layout.
    #[inline]
    fn reserve<R>(&mut self, layout: &Layout<R>, length: usize) -> Result<bool, WriteError> {
        match self.open {
            Some(set) if set.layout == Some(layout.identity()) => {
                let end = self.at.saturating_add(length);
                let fits = self.padded(end, set.min_record_length) <= self.limit;
                self.full |= !fits;
                Ok(fits)
            }
            _ => self.switch_set(layout, length),
        }
    }

    /// Closes the open set and opens one for this layout, if the record fits then; else changes
    /// nothing.
    #[cold]
    fn switch_set<R>(&mut self, layout: &Layout<R>, length: usize) -> Result<bool, WriteError> {
        let protocol = self.session.options().protocol;
        let position = match self.session.position_of(layout) {
            Some(position) => Some(position),
            None if protocol == Protocol::NetflowV5 && layout.protocol() == protocol => None,
            None => return Err(WriteError::NotRegistered(layout.template_id())),
        };
        let new_template = position.filter(|&position| {
            let template = self.session.template(position);
            template.is_some_and(|template| !template.is_announced())
        });
        let template = new_template.and_then(|position| self.session.template(position));
        if template.is_some_and(|template| self.session.must_wait(template)) {
            self.full = true;
            return Ok(false);
        }
        let first = self.at == self.start + protocol.header_length();
        let mut at = self
            .open
            .map_or(self.at, |set| self.padded(self.at, set.min_record_length));
        if let Some(template) = template {
            at = self.padded(at + SET_HEADER_LENGTH + template.record().len(), usize::MAX);
        }
        let set_header = protocol.set_header_length();
        let end = at.saturating_add(set_header).saturating_add(length);
        if self.padded(end, layout.min_record_length()) > self.limit {
            if first {
                return Err(WriteError::TooLong {
                    template_id: layout.template_id(),
                    length,
                    needed: end - self.start,
                    max_message: self.session.options().max_message,
                });
            }
            self.full = true;
            return Ok(false);
        }
        let options = layout.is_options();
        self.close_set();
        if let Some(position) = new_template {
            self.open_set(self.template_set_id(options), None, usize::MAX);
            self.put_template(position);
            self.close_set();
        }
        self.open_set(
            layout.template_id(),
            Some(layout.identity()),
            layout.min_record_length(),
        );
        Ok(true)
    }

    /// Writes a Set Header whose length is still [`UNKNOWN_LENGTH`]; `close_set` patches it.
    /// `NetFlow` v5 has none.
    fn open_set(
        &mut self,
        set_id: u16,
        layout: Option<Identity>,
        min_record_length: usize,
    ) -> OpenSet {
        let header_length = self.session.options().protocol.set_header_length();
        if header_length > 0 {
            put(self.buffer, self.at, &set_id.to_be_bytes());
            put(
                self.buffer,
                self.at + SET_LENGTH,
                &UNKNOWN_LENGTH.to_be_bytes(),
            );
        }
        let set = OpenSet {
            at: self.at,
            header_length,
            layout,
            min_record_length,
        };
        self.at += header_length;
        self.open = Some(set);
        set
    }

    /// Pads the open set, if any, and patches its length.
    fn close_set(&mut self) {
        let Some(set) = self.open.take() else {
            return;
        };
        let end = self.padded(self.at, set.min_record_length);
        if let Some(padding) = self.buffer.get_mut(self.at..end) {
            padding.fill(0);
        }
        self.at = end;
        if set.header_length > 0 {
            let length = low16(end - set.at).to_be_bytes();
            put(self.buffer, set.at + SET_LENGTH, &length);
        }
    }

    /// Where a set that ends at `end` ends with its padding, which must be shorter than any record
    /// of the set (RFC 7011 section 3.3.1).
    #[inline]
    fn padded(&self, end: usize, min_record_length: usize) -> usize {
        let over = (end - self.start) % ALIGNMENT;
        let padding = (ALIGNMENT - over) % ALIGNMENT;
        if padding < min_record_length {
            end.saturating_add(padding)
        } else {
            end
        }
    }
}

impl Drop for MessageWriter<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.buffer.truncate(self.start);
        }
    }
}

/// Whether a record went into the message.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It did.
    Done,
    /// It did not: the message has no room for it, and is as it was before.
    Full,
}

/// A finished message. [`Session::commit`] takes it when it has been sent.
#[must_use = "the session advances when the message is committed"]
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    length: usize,
    pub(crate) data_records: u32,
    templates: u32,
    withdrawals: u32,
    sequence: u32,
    pub(crate) export_time_ms: u64,
    /// Data found no room beside the templates.
    pub(crate) starved: bool,
    pub(crate) serial: u64,
}

impl Message {
    /// Its length in octets: it is the last so many of the buffer.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Data Records in it, those of options included.
    pub fn data_records(&self) -> u32 {
        self.data_records
    }

    /// Template Records and Options Template Records in it.
    pub fn templates(&self) -> u32 {
        self.templates
    }

    /// Template withdrawals in it (RFC 7011 section 8.1).
    pub fn withdrawals(&self) -> u32 {
        self.withdrawals
    }

    /// The sequence number in its header.
    pub fn sequence(&self) -> u32 {
        self.sequence
    }

    /// The export time given to [`Session::begin`], in milliseconds since 1970-01-01 UTC.
    pub fn export_time_ms(&self) -> u64 {
        self.export_time_ms
    }
}

/// Why a record cannot be written into any message of this session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// The layout with this template id is not registered in the session, or another is.
    NotRegistered(u16),
    /// The record, with its template where that is not yet sent, is longer than a message may be.
    TooLong {
        /// The layout's template id.
        template_id: u16,
        /// Octets of the record.
        length: usize,
        /// Octets of the message it would need.
        needed: usize,
        /// Octets allowed.
        max_message: u16,
    },
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRegistered(id) => {
                write!(
                    f,
                    "the layout of template {id} is not registered in this session"
                )
            }
            Self::TooLong {
                template_id,
                length,
                needed,
                max_message,
            } => write!(
                f,
                "a record of {length} octets of template {template_id} needs a message of {needed} octets, {max_message} are allowed"
            ),
        }
    }
}

impl core::error::Error for WriteError {}

/// A set whose length is still open; in `NetFlow` v5 the records of a layout.
#[derive(Clone, Copy, Debug)]
struct OpenSet {
    at: usize,
    header_length: usize,
    /// The layout of a Data Set.
    layout: Option<Identity>,
    min_record_length: usize,
}

/// Offset of the length in a Set Header.
const SET_LENGTH: usize = 2;
/// What stands in a Set Header until the set is closed: longer than any set could be.
const UNKNOWN_LENGTH: u16 = 0xffff;
/// A Template Record without fields (RFC 7011 section 8.1).
const WITHDRAWAL_LENGTH: usize = 4;
const MAX_HEADER_LENGTH: usize = v5_header::LENGTH;
const SECOND_MS: u64 = 1000;
const NANOSECONDS_PER_MS: u64 = 1_000_000;

/// Octets that a message of the session may have.
fn max_length(options: &SessionOptions) -> usize {
    let longest = match options.protocol {
        Protocol::Ipfix | Protocol::NetflowV9 => usize::MAX,
        Protocol::NetflowV5 => {
            v5_header::LENGTH + usize::from(v5_record::MAX_COUNT) * v5_record::LENGTH
        }
    };
    longest.min(options.max_message.into())
}
