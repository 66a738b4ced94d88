//! The templates of a session, and those that were.

use super::TemplateSchedule;
use crate::layout::Identity;
use crate::wire::MIN_TEMPLATE_ID;

/// A template of a session.
#[derive(Debug)]
pub(crate) struct Template {
    /// The layout it was last seen with.
    pub(super) identity: Identity,
    pub(super) options: bool,
    pub(super) record: Box<[u8]>,
    pub(super) copies_left: u8,
    /// Due whatever the schedule says.
    pub(super) wanted: bool,
    pub(super) last_sent: Option<Sent>,
    /// In the message being written or waiting to be committed.
    pub(super) in_message: bool,
}

impl Template {
    pub(super) fn id(&self) -> u16 {
        self.identity.template_id
    }

    pub(super) fn same(&self, options: bool, record: &[u8]) -> bool {
        self.options == options && *self.record == *record
    }

    pub(crate) fn record(&self) -> &[u8] {
        &self.record
    }

    /// Whether a collector that got all messages, and this one, has the template.
    pub(super) fn is_known(&self) -> bool {
        self.in_message || self.last_sent.is_some()
    }

    /// Whether data may go out at this export time without the template before them: not if the
    /// clock was set back to before the template (RFC 7011 section 8.2).
    pub(crate) fn is_announced(&self, now_ms: u64) -> bool {
        self.in_message || self.last_sent.is_some_and(|sent| sent.at_ms <= now_ms)
    }

    pub(crate) fn announce(&mut self) {
        self.in_message = true;
    }

    pub(super) fn is_due(&self, now_ms: u64, messages: u64, schedule: &TemplateSchedule) -> bool {
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
pub(super) struct Sent {
    pub(super) at_ms: u64,
    /// Messages committed by then, the one with the template included.
    pub(super) messages: u64,
}

/// A template that is to be, or was, withdrawn (RFC 7011 section 8.1).
#[derive(Debug)]
pub(crate) struct Withdrawal {
    /// The Template ID, or the Set ID of the templates' kind for all of them.
    pub(super) id: u16,
    pub(super) options: bool,
    /// Whether a collector knows the template. If not, its first message still waits to be
    /// committed, and there is nothing to withdraw unless it is.
    pub(super) known: bool,
    /// In the message being written or waiting to be committed.
    pub(super) in_message: bool,
}

impl Withdrawal {
    /// The Template Record without fields.
    pub(crate) fn record(&self) -> [u8; 4] {
        let [high, low] = self.id.to_be_bytes();
        [high, low, 0, 0]
    }

    /// Whether it is of all templates of its kind.
    pub(crate) fn is_of_all(&self) -> bool {
        self.id < MIN_TEMPLATE_ID
    }

    pub(crate) fn is_options(&self) -> bool {
        self.options
    }

    pub(crate) fn announce(&mut self) {
        self.in_message = true;
    }

    /// Whether this template must not be sent before the withdrawal.
    pub(super) fn precedes(&self, template: &Template) -> bool {
        !self.in_message
            && (self.id == template.id() || (self.is_of_all() && self.options == template.options))
    }
}

/// A template whose id is not free yet for another one (RFC 7011 section 8.4).
#[derive(Debug)]
pub(super) struct Retired {
    pub(super) template: Template,
    /// From when on, in milliseconds since 1970; `None` is never.
    pub(super) free_at_ms: Option<u64>,
}
