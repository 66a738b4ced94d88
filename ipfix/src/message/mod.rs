//! Writing messages: header, sets, padding, limits.

mod error;
mod header;
mod templates;

use crate::layout::{Context, Identity, Layout};
use crate::session::{Session, SessionOptions};
use crate::wire::{ALIGNMENT, Protocol, SET_HEADER_LENGTH, low16, put, v5_header, v5_record};

pub use error::WriteError;

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
        // The whole room of a datagram at once; long messages grow to what they need.
        buffer.resize(limit.min(start + FIRST_ROOM), 0);
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
    /// If the layout's template has not been sent by the export time, it goes into the message too, before the data.
    /// [`Written::Full`] means that the record was not written and belongs into the next message.
    pub fn write<R>(&mut self, layout: &Layout<R>, record: &R) -> Result<Written, WriteError> {
        let length = layout.length_of(record);
        if !self.reserve(layout, length)? {
            return Ok(Written::Full);
        }
        let end = self.at + length;
        self.make_room(end);
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
        self.make_room(end);
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

    /// Makes sure that a record of `length` can go to `self.at` in a set of this layout.
    #[inline]
    fn reserve<R>(&mut self, layout: &Layout<R>, length: usize) -> Result<bool, WriteError> {
        match self.open {
            Some(set) if set.layout == Some(layout.identity()) => {
                let end = self.at.saturating_add(length);
                let fits =
                    end <= set.surely_fits || self.padded(end, set.min_record_length) <= self.limit;
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
        let now_ms = self.context.export_time_ms;
        let new_template = position.filter(|&position| {
            let template = self.session.template(position);
            template.is_some_and(|template| !template.is_announced(now_ms))
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
        self.make_room(self.at + header_length);
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
            surely_fits: self.limit - (self.limit - self.start) % ALIGNMENT,
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
        self.make_room(end);
        if let Some(padding) = self.buffer.get_mut(self.at..end) {
            padding.fill(0);
        }
        self.at = end;
        if set.header_length > 0 {
            let length = low16(end - set.at).to_be_bytes();
            put(self.buffer, set.at + SET_LENGTH, &length);
        }
    }

    /// Makes the buffer at least so long; the message never gets beyond its limit.
    #[inline]
    fn make_room(&mut self, end: usize) {
        if end > self.buffer.len() {
            self.grow(end);
        }
    }

    #[cold]
    fn grow(&mut self, end: usize) {
        let doubled = self.start + 2 * (self.buffer.len() - self.start);
        self.buffer.resize(doubled.min(self.limit).max(end), 0);
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

    /// The export time in milliseconds since 1970-01-01 UTC: as given to [`Session::begin`], or the
    /// later one that it made of it.
    pub fn export_time_ms(&self) -> u64 {
        self.export_time_ms
    }
}

/// A set whose length is still open; in `NetFlow` v5 the records of a layout.
#[derive(Clone, Copy, Debug)]
struct OpenSet {
    at: usize,
    header_length: usize,
    /// The layout of a Data Set.
    layout: Option<Identity>,
    min_record_length: usize,
    /// Up to here a record may end whatever its padding.
    surely_fits: usize,
}

/// Octets of a message that the buffer gets at once.
const FIRST_ROOM: usize = 4096;
/// Offset of the length in a Set Header.
const SET_LENGTH: usize = 2;
/// What stands in a Set Header until the set is closed: longer than any set could be.
const UNKNOWN_LENGTH: u16 = 0xffff;

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
