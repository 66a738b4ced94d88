//! What is remembered of those who send.

use std::sync::Arc;

use super::template::Template;
use super::{Decoded, DecoderLimits};
use crate::wire::Protocol;

/// How a sequence number follows the one before in its session and domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// There is nothing to compare with: the first message, or the one after Data Sets that could
    /// not be counted.
    First,
    /// It is the one expected.
    InOrder,
    /// This many Data Records (IPFIX) or packets (`NetFlow` v9) before this message are missing.
    Gap(u32),
    /// The message is late by this much: it overtook others, or was counted as missing before.
    Late(u32),
    /// The exporter began anew.
    Restarted,
}

/// A Transport Session as seen from the collector.
#[derive(Debug, Default)]
pub(super) struct Peer {
    pub(super) domains: Vec<Domain>,
    pub(super) used: u64,
}

impl Peer {
    pub(super) fn fields(&self) -> usize {
        self.domains.iter().map(Domain::fields).sum()
    }

    /// Forgets old domains so that this one can be added; says how many fields went with them.
    pub(super) fn make_room_for(
        &mut self,
        protocol: Protocol,
        id: u32,
        limits: &DecoderLimits,
    ) -> usize {
        let mut forgotten = 0;
        if !self.domains.iter().any(|domain| domain.is(protocol, id)) {
            while self.domains.len() >= limits.domains_per_session.max(1) {
                let Some(oldest) = position_of_min(self.domains.iter().map(|domain| domain.used))
                else {
                    break;
                };
                forgotten += self.domains.swap_remove(oldest).fields();
            }
        }
        forgotten
    }

    pub(super) fn domain(&mut self, protocol: Protocol, id: u32, now: u64) -> &mut Domain {
        let position = self
            .domains
            .iter()
            .position(|domain| domain.is(protocol, id))
            .unwrap_or_else(|| {
                self.domains.push(Domain {
                    protocol,
                    id,
                    templates: Vec::new(),
                    expected: None,
                    after_late: None,
                    missing: 0,
                    used: now,
                });
                self.domains.len() - 1
            });
        let domain = &mut self.domains[position];
        domain.used = now;
        domain
    }

    /// Says how many fields the template had; zero if there is none.
    pub(super) fn forget_oldest_template(&mut self) -> usize {
        self.domains
            .iter_mut()
            .filter(|domain| !domain.templates.is_empty())
            .min_by_key(|domain| domain.templates.iter().map(|known| known.used).min())
            .map_or(0, Domain::forget_oldest_template)
    }
}

/// An Observation Domain as seen from the collector.
#[derive(Debug)]
pub(super) struct Domain {
    pub(super) protocol: Protocol,
    pub(super) id: u32,
    /// By ascending id.
    pub(super) templates: Vec<Known>,
    /// The next sequence number, if it can be told.
    pub(super) expected: Option<u32>,
    /// The next sequence number if the last message, which was late, was a new beginning.
    pub(super) after_late: Option<u32>,
    pub(super) missing: u64,
    pub(super) used: u64,
}

#[derive(Debug)]
pub(super) struct Known {
    template: Arc<Template>,
    used: u64,
}

impl Domain {
    pub(super) fn is(&self, protocol: Protocol, id: u32) -> bool {
        self.protocol == protocol && self.id == id
    }

    pub(super) fn fields(&self) -> usize {
        self.templates
            .iter()
            .map(|known| known.template.fields.len())
            .sum()
    }

    pub(super) fn find(&self, id: u16) -> Result<usize, usize> {
        self.templates
            .binary_search_by_key(&id, |known| known.template.id)
    }

    pub(super) fn template(&mut self, id: u16, now: u64) -> Option<Arc<Template>> {
        let position = self.find(id).ok()?;
        let known = self.templates.get_mut(position)?;
        known.used = now;
        Some(Arc::clone(&known.template))
    }

    /// Gives the template as it is now shared.
    pub(super) fn learn(
        &mut self,
        template: Template,
        limits: &DecoderLimits,
        now: u64,
    ) -> Option<Arc<Template>> {
        if let Ok(position) = self.find(template.id) {
            let known = &mut self.templates[position];
            known.used = now;
            // Refreshes are mostly the same again: keep the one that is shared.
            if *known.template != template {
                known.template = Arc::new(template);
            }
            return Some(Arc::clone(&known.template));
        }
        while self.templates.len() >= limits.templates_per_domain.max(1) {
            self.forget_oldest_template();
        }
        let position = self.find(template.id).err()?;
        let template = Arc::new(template);
        self.templates.insert(
            position,
            Known {
                template: Arc::clone(&template),
                used: now,
            },
        );
        Some(template)
    }

    pub(super) fn withdraw(&mut self, id: u16) {
        if let Ok(position) = self.find(id) {
            self.templates.remove(position);
        }
    }

    pub(super) fn withdraw_all(&mut self, options: bool) {
        self.templates
            .retain(|known| known.template.options != options);
    }

    pub(super) fn forget_oldest_template(&mut self) -> usize {
        position_of_min(self.templates.iter().map(|known| known.used)).map_or(0, |oldest| {
            self.templates.remove(oldest).template.fields.len()
        })
    }

    pub(super) fn check_sequence(&mut self, decoded: &mut Decoded<'_>) {
        let sequence = decoded.header.sequence;
        let next = match self.protocol {
            Protocol::NetflowV9 => Some(sequence.wrapping_add(1)),
            Protocol::Ipfix | Protocol::NetflowV5
                if decoded.unknown.is_empty() && decoded.errors.is_empty() =>
            {
                let records = decoded.records().count();
                u32::try_from(records)
                    .ok()
                    .map(|records| sequence.wrapping_add(records))
            }
            Protocol::Ipfix | Protocol::NetflowV5 => None,
        };
        let after_late = self.after_late.take();
        decoded.sequence = match self
            .expected
            .map(|expected| sequence.wrapping_sub(expected).cast_signed())
        {
            None => Sequence::First,
            Some(0) => Sequence::InOrder,
            Some(ahead @ 1..) => Sequence::Gap(ahead.unsigned_abs()),
            // One late message overtook others; two in a row are a new beginning.
            Some(_) if after_late == Some(sequence) => Sequence::Restarted,
            Some(behind) => Sequence::Late(behind.unsigned_abs()),
        };
        match decoded.sequence {
            Sequence::Gap(missing) => self.missing = self.missing.saturating_add(missing.into()),
            // It was counted as missing when it was overtaken.
            Sequence::Late(_) => {
                let came = match self.protocol {
                    Protocol::NetflowV9 => 1,
                    Protocol::Ipfix | Protocol::NetflowV5 => {
                        next.map_or(0, |next| next.wrapping_sub(sequence))
                    }
                };
                self.missing = self.missing.saturating_sub(came.into());
                self.after_late = next;
            }
            _ => {}
        }
        if !matches!(decoded.sequence, Sequence::Late(_)) {
            self.expected = next;
        }
        decoded.missing = self.missing;
    }
}

pub(super) fn position_of_min(ages: impl Iterator<Item = u64>) -> Option<usize> {
    ages.enumerate()
        .min_by_key(|&(_, age)| age)
        .map(|(position, _)| position)
}
