//! A Transport Session of an Exporting Process, without its transport.

mod error;
mod options;
mod template;

use template::{Retired, Sent, Template, Withdrawal};

use crate::layout::Layout;
use crate::message::{Message, MessageWriter};
use crate::netflow_v5::NetflowV5Sampling;
use crate::wire::{ALIGNMENT, Protocol, SET_HEADER_LENGTH};

pub use error::{RegisterError, StaleMessage, WithdrawError};
pub use options::{SessionOptions, TemplateSchedule, Transport};

/// One Transport Session and Observation Domain of an Exporting Process: its sequence number, its
/// templates and when they are due. It does no I/O and reads no clock.
///
/// A template id never changes its meaning in a session, unless the template was
/// [withdrawn](Self::withdraw) or [retired](Self::retire) before.
#[derive(Debug)]
pub struct Session {
    options: SessionOptions,
    sequence: u32,
    /// Messages committed.
    messages: u64,
    /// The latest export time of those.
    exported_ms: u64,
    templates: Vec<Template>,
    /// In the order in which they were asked for.
    withdrawals: Vec<Withdrawal>,
    retired: Vec<Retired>,
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
            exported_ms: 0,
            templates: Vec::new(),
            withdrawals: Vec::new(),
            retired: Vec::new(),
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
        let mut retired = self.retired.iter().map(|retired| &retired.template);
        if retired.any(|retired| {
            retired.id() == id && !retired.same(layout.is_options(), layout.template_record())
        }) {
            return Err(RegisterError::Retired(id));
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

    /// Withdraws a template (RFC 7011 section 8.1): its layout is no longer registered, and the next
    /// message begins with the withdrawal if a collector knows the template. Its id may be registered
    /// anew at once; the new template follows the withdrawal.
    ///
    /// A collector may work on what it received before. RFC 7011 section 8.1 wants a withdrawal to be
    /// sent only when data of the template had time to be processed, which in a stream it has.
    ///
    /// # Errors
    /// Only IPFIX over a [reliable transport](Transport::Reliable) has withdrawals, and there must be
    /// such a template. Nothing changes then.
    pub fn withdraw(&mut self, template_id: u16) -> Result<(), WithdrawError> {
        self.can_withdraw()?;
        let template = self.take(template_id)?;
        if template.is_known() {
            self.retired
                .retain(|retired| retired.template.id() != template_id);
            self.withdrawals.push(Withdrawal {
                id: template_id,
                options: template.options,
                known: template.last_sent.is_some(),
                in_message: false,
            });
        }
        Ok(())
    }

    /// Withdraws all templates, with one record for those of flows and one for those of options
    /// (RFC 7011 section 8.1); otherwise as [`withdraw`](Self::withdraw).
    pub fn withdraw_all(&mut self) -> Result<(), WithdrawError> {
        self.can_withdraw()?;
        let protocol = self.options.protocol;
        let templates = core::mem::take(&mut self.templates);
        for (options, set_id) in [
            (false, protocol.template_set_id()),
            (true, protocol.options_template_set_id()),
        ] {
            let mut announced = templates
                .iter()
                .filter(|template| template.options == options && template.is_known())
                .peekable();
            if let (Some(id), true) = (set_id, announced.peek().is_some()) {
                self.retired
                    .retain(|retired| retired.template.options != options);
                self.withdrawals.push(Withdrawal {
                    id,
                    options,
                    known: announced.any(|template| template.last_sent.is_some()),
                    in_message: false,
                });
            }
        }
        Ok(())
    }

    fn can_withdraw(&self) -> Result<(), WithdrawError> {
        match (self.options.protocol, self.options.transport) {
            (Protocol::Ipfix, Transport::Reliable) => Ok(()),
            (Protocol::Ipfix, Transport::Unreliable) => Err(WithdrawError::Unreliable),
            (protocol, _) => Err(WithdrawError::Protocol(protocol)),
        }
    }

    /// Ends a template where there are no withdrawals (RFC 7011 section 8.4): it is sent no more, and
    /// its layout is no longer registered. For three times [`TemplateSchedule::every_ms`] its id is free
    /// for the same template only: until then collectors may remember it. Where templates are not
    /// repeated by time, that is for ever, and so it is in `NetFlow` v9, which wants no id to be used
    /// again before a restart (RFC 3954 section 7): a new session. `now_ms` is the time in
    /// milliseconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// There is no such template.
    pub fn retire(&mut self, template_id: u16, now_ms: u64) -> Result<(), WithdrawError> {
        const LIFETIMES: u64 = 3;
        let template = self.take(template_id)?;
        // One that came back and was not sent since is retired as it was before.
        if template.is_known() {
            self.retired
                .retain(|retired| retired.template.id() != template_id);
            let every_ms = match self.options.protocol {
                Protocol::Ipfix => self.options.templates.every_ms,
                Protocol::NetflowV9 | Protocol::NetflowV5 => None,
            };
            self.retired.push(Retired {
                template,
                free_at_ms: every_ms
                    .map(|every| now_ms.saturating_add(every.saturating_mul(LIFETIMES))),
            });
        }
        Ok(())
    }

    /// Frees the ids of templates that were [retired](Self::retire) long enough before `now_ms`.
    /// [`begin`](Self::begin) does this too.
    pub fn free_retired(&mut self, now_ms: u64) {
        self.retired
            .retain(|retired| retired.free_at_ms.is_none_or(|free| now_ms < free));
    }

    fn take(&mut self, template_id: u16) -> Result<Template, WithdrawError> {
        let known = self.templates.iter();
        let position = known
            .map(Template::id)
            .position(|id| id == template_id)
            .ok_or(WithdrawError::Unknown(template_id))?;
        Ok(self.templates.remove(position))
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

    /// Whether a message begun now would carry templates or withdrawals: an exporter that has no data
    /// asks this, to send them in a message of their own.
    pub fn templates_due(&self, now_ms: u64) -> bool {
        let now_ms = self.export_time_ms(now_ms);
        self.withdrawals.iter().any(|withdrawal| withdrawal.known)
            || self
                .templates
                .iter()
                .any(|template| template.is_due(now_ms, self.messages, &self.options.templates))
    }

    /// Begins a message at the end of `buffer`, first with the withdrawals and templates that are
    /// due.
    ///
    /// `now_ms` is the export time in milliseconds since 1970-01-01 UTC. It should not go back; if it
    /// does, no data are exported before their template all the same (RFC 7011 section 8.2). In IPFIX
    /// over a [reliable transport](Transport::Reliable), where templates and withdrawals are ordered by
    /// Export Time, the export time stays what it was until `now_ms` has caught up. Everywhere else
    /// it goes back too, and each template goes out again before its data.
    ///
    /// Nothing of the session
    /// changes until the finished message is [committed](Self::commit), nothing of the buffer's
    /// content until it is [finished](MessageWriter::finish).
    pub fn begin<'a>(&'a mut self, buffer: &'a mut Vec<u8>, now_ms: u64) -> MessageWriter<'a> {
        let now_ms = self.export_time_ms(now_ms);
        self.serial = self.serial.wrapping_add(1);
        self.free_retired(now_ms);
        for template in &mut self.templates {
            template.in_message = false;
        }
        // What waited to be committed will not be: a template that was only there never was.
        self.withdrawals.retain(|withdrawal| withdrawal.known);
        for withdrawal in &mut self.withdrawals {
            withdrawal.in_message = false;
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
        self.exported_ms = self.exported_ms.max(export_time_ms);
        self.starved = starved;
        self.sequence = self.sequence.wrapping_add(match self.options.protocol {
            Protocol::Ipfix | Protocol::NetflowV5 => data_records,
            Protocol::NetflowV9 => 1,
        });
        self.withdrawals.retain(|withdrawal| !withdrawal.in_message);
        for withdrawal in &mut self.withdrawals {
            // One that was not known was withdrawn after this message had it.
            withdrawal.known = true;
        }
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

    /// The export time of a message begun now.
    fn export_time_ms(&self, now_ms: u64) -> u64 {
        if self.can_withdraw().is_ok() {
            now_ms.max(self.exported_ms)
        } else {
            now_ms
        }
    }

    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    pub(crate) fn template_count(&self) -> usize {
        self.templates.len()
    }

    /// Whether to put the template at the head of a message, among those of one kind.
    pub(crate) fn is_scheduled(&self, position: usize, options: bool, now_ms: u64) -> bool {
        self.templates.get(position).is_some_and(|template| {
            !self.starved
                && template.options == options
                && !self.must_wait(template)
                && template.is_due(now_ms, self.messages, &self.options.templates)
        })
    }

    pub(crate) fn withdrawal_mut(&mut self, position: usize) -> Option<&mut Withdrawal> {
        self.withdrawals.get_mut(position)
    }

    /// Whether a withdrawal that is not in the message yet must come before the template.
    pub(crate) fn must_wait(&self, template: &Template) -> bool {
        self.withdrawals
            .iter()
            .any(|withdrawal| withdrawal.precedes(template))
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
