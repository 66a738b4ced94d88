//! Templates and their withdrawals in messages.

use super::{MessageWriter, OpenSet, WriteError, Written};
use crate::layout::Layout;
use crate::wire::{SET_HEADER_LENGTH, put};

impl MessageWriter<'_> {
    /// Makes sure that collectors know the layout's template from here on: puts it into the message
    /// unless it was sent before, by then and by the export time. Only templates of [list](crate::list) members need it;
    /// [`write`](Self::write) does it for its own.
    ///
    /// [`Written::Full`] means that there is no room; the message is as it was.
    pub fn announce<R>(&mut self, layout: &Layout<R>) -> Result<Written, WriteError> {
        let Some(position) = self.session.position_of(layout) else {
            return Err(WriteError::NotRegistered(layout.template_id()));
        };
        let now_ms = self.context.export_time_ms;
        let template = match self.session.template(position) {
            Some(template) if !template.is_announced(now_ms) => template,
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

    /// Puts the withdrawals that are due at the head, as many as fit: consecutive ones of a kind into
    /// one set, each withdrawal of all into one of its own (RFC 7011 section 8.1).
    pub(super) fn withdrawals(&mut self) {
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
            self.make_room(self.at + WITHDRAWAL_LENGTH);
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
    pub(super) fn scheduled_templates(&mut self, options: bool) {
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
    pub(super) fn template_set_id(&self, options: bool) -> u16 {
        let protocol = self.session.options().protocol;
        let set_id = if options {
            protocol.options_template_set_id()
        } else {
            protocol.template_set_id()
        };
        set_id.unwrap_or_default()
    }

    /// Copies a template, which must fit, into the open set.
    pub(super) fn put_template(&mut self, position: usize) {
        let Some(template) = self.session.template(position) else {
            return;
        };
        let end = self.at + template.record().len();
        self.make_room(end);
        let Some(template) = self.session.template_mut(position) else {
            return;
        };
        put(self.buffer, self.at, template.record());
        self.at = end;
        template.announce();
        self.templates += 1;
    }
}

/// A Template Record without fields (RFC 7011 section 8.1).
const WITHDRAWAL_LENGTH: usize = 4;
