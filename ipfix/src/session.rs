//! A Transport Session of an Exporting Process, without its transport.

use core::fmt;

use crate::layout::{Identity, Layout};
use crate::message::{Message, MessageWriter};
use crate::netflow_v5::NetflowV5Sampling;
use crate::wire::{ALIGNMENT, Protocol, SET_HEADER_LENGTH};

/// What a Transport Session is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// The protocol of all its messages.
    pub protocol: Protocol,
    /// The Observation Domain ID; in `NetFlow` v9 the Source ID; in `NetFlow` v5 the low 16 bits are
    /// the engine type (the higher octet) and the engine id.
    pub observation_domain: u32,
    /// The largest message in octets, without the headers of UDP and IP.
    pub max_message: u16,
    /// When sysUptime was zero, in milliseconds since 1970-01-01 UTC; used by `NetFlow`.
    ///
    /// The session rounds it down to a whole second. `NetFlow` v9 headers tell the time in whole
    /// seconds, from which collectors compute this instant again; only whole seconds survive that.
    pub system_init_ms: u64,
    /// The sequence number of the first message; 0 in a new session.
    pub first_sequence: u32,
    /// When templates are sent again.
    pub templates: TemplateSchedule,
}

impl SessionOptions {
    /// A session over UDP with messages of at most 1400 octets, which pass any usual path.
    pub const fn udp(protocol: Protocol, observation_domain: u32, system_init_ms: u64) -> Self {
        Self {
            protocol,
            observation_domain,
            max_message: 1400,
            system_init_ms,
            first_sequence: 0,
            templates: TemplateSchedule::udp(),
        }
    }
}

/// When templates are sent (RFC 7011 section 8.4, RFC 3954 section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemplateSchedule {
    /// Copies sent at the start, the first of them in the first message. At least one goes always.
    pub copies: u8,
    /// A further copy at the start follows after this time, in milliseconds, ...
    pub copy_after_ms: u64,
    /// ... or after this many messages, whichever comes first.
    pub copy_after_messages: u64,
    /// From then on a copy follows after this time, in milliseconds, ...
    pub every_ms: Option<u64>,
    /// ... or after this many messages, whichever comes first.
    pub every_messages: Option<u64>,
}

impl TemplateSchedule {
    /// For transports that lose: twice at the start, half a second or 8 messages apart, so that one
    /// burst of loss does not take both; then every 60 seconds and every 4096 messages.
    pub const fn udp() -> Self {
        Self {
            copies: 2,
            copy_after_ms: 500,
            copy_after_messages: 8,
            every_ms: Some(60_000),
            every_messages: Some(4096),
        }
    }

    /// For reliable transports and files: once.
    pub const fn once() -> Self {
        Self {
            copies: 1,
            copy_after_ms: 0,
            copy_after_messages: 0,
            every_ms: None,
            every_messages: None,
        }
    }
}

/// One Transport Session and Observation Domain of an Exporting Process: its sequence number, its
/// templates and when they are due. It does no I/O and reads no clock.
///
/// A template id never changes its meaning in a session.
#[derive(Debug)]
pub struct Session {
    options: SessionOptions,
    sequence: u32,
    /// Messages committed.
    messages: u64,
    templates: Vec<Template>,
    /// Scheduled templates left no room for data in the last message: the next carries none.
    starved: bool,
    sampling: NetflowV5Sampling,
    /// Tells the messages of `begin` apart.
    serial: u64,
}

impl Session {
    /// A session that has sent nothing.
    pub fn new(options: SessionOptions) -> Self {
        const SECOND_MS: u64 = 1000;
        Self {
            options: SessionOptions {
                system_init_ms: options.system_init_ms / SECOND_MS * SECOND_MS,
                ..options
            },
            sequence: options.first_sequence,
            messages: 0,
            templates: Vec::new(),
            starved: false,
            sampling: NetflowV5Sampling::none(),
            serial: 0,
        }
    }

    /// The options, with `system_init_ms` as it is used.
    pub fn options(&self) -> &SessionOptions {
        &self.options
    }

    /// The sequence number the next message carries.
    ///
    /// IPFIX counts the Data Records sent before, those of options included (RFC 7011 section 3.1);
    /// `NetFlow` v9 counts the packets (RFC 3954 section 5.1), `NetFlow` v5 the flow records; all
    /// modulo 2^32.
    pub fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Messages committed so far.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// What the headers of `NetFlow` v5 say of sampling, from the next message on; at first that
    /// there is none. Other protocols tell it in options records.
    pub fn set_sampling(&mut self, sampling: NetflowV5Sampling) {
        self.sampling = sampling;
    }

    /// What [`set_sampling`](Self::set_sampling) was told last.
    pub fn sampling(&self) -> NetflowV5Sampling {
        self.sampling
    }

    /// Makes a layout's template part of the session. It is sent in the next message and from then
    /// on by the schedule. Registering the same layout, or an equal one, again changes nothing.
    ///
    /// `NetFlow` v5 has no templates: there this only checks that the layout's records can be written
    /// in this session.
    pub fn register<R>(&mut self, layout: &Layout<R>) -> Result<(), RegisterError> {
        let protocol = self.options.protocol;
        if layout.protocol() != protocol {
            return Err(RegisterError::Protocol {
                layout: layout.protocol(),
                session: protocol,
            });
        }
        let id = layout.template_id();
        if protocol == Protocol::NetflowV5 {
            let needed = protocol.header_length() + layout.min_record_length();
            return self.check_length(id, needed);
        }
        if let Some(known) = self.templates.iter().find(|known| known.id() == id) {
            return if known.same(layout.is_options(), layout.template_record()) {
                Ok(())
            } else {
                Err(RegisterError::Redefined(id))
            };
        }
        // The template and one record must fit into one message, or nothing could ever be sent.
        let padded = |length: usize| length.next_multiple_of(ALIGNMENT);
        let needed = protocol.header_length()
            + padded(SET_HEADER_LENGTH + layout.template_record().len())
            + padded(SET_HEADER_LENGTH + layout.min_record_length());
        self.check_length(id, needed)?;
        self.templates.push(Template {
            identity: layout.identity(),
            options: layout.is_options(),
            record: layout.template_record().into(),
            copies_left: self.options.templates.copies.max(1),
            wanted: true,
            last_sent: None,
            in_message: false,
        });
        Ok(())
    }

    fn check_length(&self, template_id: u16, needed: usize) -> Result<(), RegisterError> {
        let max_message = self.options.max_message;
        if needed > usize::from(max_message) {
            return Err(RegisterError::TooLong {
                template_id,
                needed,
                max_message,
            });
        }
        Ok(())
    }

    /// Makes all templates due again, as at the start: for a collector that came back, perhaps
    /// without its memory.
    pub fn resend_templates(&mut self) {
        for template in &mut self.templates {
            template.wanted = true;
            template.copies_left = self.options.templates.copies.max(1);
        }
    }

    /// Whether a message begun now would carry templates: an exporter that has no data asks this, to
    /// send them in a message of their own.
    pub fn templates_due(&self, now_ms: u64) -> bool {
        self.templates
            .iter()
            .any(|template| template.is_due(now_ms, self.messages, &self.options.templates))
    }

    /// Begins a message at the end of `buffer`, first with the templates that are due.
    ///
    /// `now_ms` is the export time in milliseconds since 1970-01-01 UTC. Nothing of the session
    /// changes until the finished message is [committed](Self::commit), nothing of the buffer's
    /// content until it is [finished](MessageWriter::finish).
    pub fn begin<'a>(&'a mut self, buffer: &'a mut Vec<u8>, now_ms: u64) -> MessageWriter<'a> {
        self.serial = self.serial.wrapping_add(1);
        for template in &mut self.templates {
            template.in_message = false;
        }
        MessageWriter::new(self, buffer, now_ms)
    }

    /// Notes that the message was sent: its records or itself are counted in the sequence, its
    /// templates are no longer due.
    ///
    /// A message that is not committed leaves the session as it was: the next one carries the same
    /// sequence number, and the templates again.
    ///
    /// # Errors
    /// The message is not the one begun last in this session; nothing changes.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a message can be committed once"
    )]
    pub fn commit(&mut self, message: Message) -> Result<(), StaleMessage> {
        let Message {
            data_records,
            export_time_ms,
            starved,
            serial,
            ..
        } = message;
        if serial != self.serial {
            return Err(StaleMessage);
        }
        self.serial = self.serial.wrapping_add(1);
        self.messages = self.messages.saturating_add(1);
        self.starved = starved;
        self.sequence = self.sequence.wrapping_add(match self.options.protocol {
            Protocol::Ipfix | Protocol::NetflowV5 => data_records,
            Protocol::NetflowV9 => 1,
        });
        for template in &mut self.templates {
            if core::mem::take(&mut template.in_message) {
                template.wanted = false;
                template.copies_left = template.copies_left.saturating_sub(1);
                template.last_sent = Some(Sent {
                    at_ms: export_time_ms,
                    messages: self.messages,
                });
            }
        }
        Ok(())
    }

    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    /// Positions of the templates to put at the head of a message, those of one kind.
    pub(crate) fn scheduled(&self, options: bool, now_ms: u64) -> impl Iterator<Item = usize> {
        self.templates
            .iter()
            .enumerate()
            .filter(move |(_, template)| {
                !self.starved
                    && template.options == options
                    && template.is_due(now_ms, self.messages, &self.options.templates)
            })
            .map(|(position, _)| position)
    }

    pub(crate) fn template(&self, position: usize) -> Option<&Template> {
        self.templates.get(position)
    }

    pub(crate) fn template_mut(&mut self, position: usize) -> Option<&mut Template> {
        self.templates.get_mut(position)
    }

    /// The position of the registered template that is this layout's.
    pub(crate) fn position_of<R>(&mut self, layout: &Layout<R>) -> Option<usize> {
        let identity = layout.identity();
        let position = self
            .templates
            .iter()
            .position(|template| template.id() == identity.template_id)?;
        let template = self.templates.get_mut(position)?;
        if template.identity != identity {
            if layout.protocol() != self.options.protocol
                || !template.same(layout.is_options(), layout.template_record())
            {
                return None;
            }
            template.identity = identity;
        }
        Some(position)
    }
}

/// A template of a session.
#[derive(Debug)]
pub(crate) struct Template {
    /// The layout it was last seen with.
    identity: Identity,
    options: bool,
    record: Box<[u8]>,
    copies_left: u8,
    /// Due whatever the schedule says.
    wanted: bool,
    last_sent: Option<Sent>,
    /// In the message being written or waiting to be committed.
    in_message: bool,
}

impl Template {
    fn id(&self) -> u16 {
        self.identity.template_id
    }

    fn same(&self, options: bool, record: &[u8]) -> bool {
        self.options == options && *self.record == *record
    }

    pub(crate) fn record(&self) -> &[u8] {
        &self.record
    }

    /// Whether a collector that got all messages, and this one, has the template.
    pub(crate) fn is_announced(&self) -> bool {
        self.in_message || self.last_sent.is_some()
    }

    pub(crate) fn announce(&mut self) {
        self.in_message = true;
    }

    fn is_due(&self, now_ms: u64, messages: u64, schedule: &TemplateSchedule) -> bool {
        let Some(sent) = self.last_sent.filter(|_| !self.wanted) else {
            return true;
        };
        let (after_ms, after_messages) = if self.copies_left > 0 {
            (
                Some(schedule.copy_after_ms),
                Some(schedule.copy_after_messages),
            )
        } else {
            (schedule.every_ms, schedule.every_messages)
        };
        // A clock set back counts as time passed: a template too often is better than one too late.
        let time_passed = |after: u64| {
            now_ms
                .checked_sub(sent.at_ms)
                .is_none_or(|elapsed| elapsed >= after)
        };
        after_ms.is_some_and(time_passed)
            || after_messages.is_some_and(|after| messages.saturating_sub(sent.messages) >= after)
    }
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    at_ms: u64,
    /// Messages committed by then, the one with the template included.
    messages: u64,
}

/// Why a layout cannot be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// The layout was built for another protocol.
    Protocol {
        /// The layout's protocol.
        layout: Protocol,
        /// The session's protocol.
        session: Protocol,
    },
    /// The session has another template with this id.
    Redefined(u16),
    /// The template with one record is longer than a message may be.
    TooLong {
        /// The template's id.
        template_id: u16,
        /// Octets needed.
        needed: usize,
        /// Octets allowed.
        max_message: u16,
    },
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol { layout, session } => {
                write!(f, "a layout for {layout} in a session of {session}")
            }
            Self::Redefined(id) => {
                write!(f, "template {id} has another meaning in this session")
            }
            Self::TooLong {
                template_id,
                needed,
                max_message,
            } => write!(
                f,
                "template {template_id} and one record need a message of {needed} octets, {max_message} are allowed"
            ),
        }
    }
}

impl core::error::Error for RegisterError {}

/// The message was not the last one begun in the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleMessage;

impl fmt::Display for StaleMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the last message begun in this session")
    }
}

impl core::error::Error for StaleMessage {}
