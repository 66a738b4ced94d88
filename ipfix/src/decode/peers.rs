//! What is remembered of those who send.

use core::ops::AddAssign;
use std::sync::Arc;

use super::header::Header;
use super::options::Told;
use super::template::Template;
use super::{Decoded, DecoderLimits};
use crate::wire::{Protocol, low32};

/// How a sequence number follows the one before in its session and domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// There is nothing to compare with: the first message, or the one after Data Sets that could
    /// not be counted.
    First,
    /// It is the one expected.
    InOrder,
    /// This many Data Records (IPFIX), packets (`NetFlow` v9) or flows (`NetFlow` v5) before this
    /// message are missing.
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

    /// What is remembered of options data.
    pub(super) fn option_entries(&self) -> usize {
        self.domains
            .iter()
            .map(|domain| domain.told.entries())
            .sum()
    }

    /// Forgets domains used longest ago so that this one can be added.
    pub(super) fn make_room_for(&mut self, protocol: Protocol, id: u32, limits: &DecoderLimits) {
        if self.find(protocol, id).is_none() {
            while self.domains.len() >= limits.domains_per_session.max(1) {
                let Some(oldest) = position_of_min(self.domains.iter().map(|domain| domain.used))
                else {
                    break;
                };
                self.domains.swap_remove(oldest);
            }
        }
    }

    pub(super) fn find(&self, protocol: Protocol, id: u32) -> Option<&Domain> {
        self.domains.iter().find(|domain| domain.is(protocol, id))
    }

    /// The domain, for whose id there must be room.
    pub(super) fn domain(&mut self, protocol: Protocol, id: u32, now: u64) -> &mut Domain {
        let position = self
            .domains
            .iter()
            .position(|domain| domain.is(protocol, id))
            .unwrap_or_else(|| {
                self.domains.push(Domain::new(protocol, id));
                self.domains.len() - 1
            });
        let domain = &mut self.domains[position];
        domain.used = now;
        domain
    }

    /// When sysUptime was zero, as options data said.
    pub(super) fn system_init_ms(&self, protocol: Protocol, id: u32) -> Option<u64> {
        let init = |domain: Option<&Domain>| domain?.told.system_init_ms();
        init(self.find(protocol, id)).or_else(|| init(self.process(protocol, id)))
    }

    /// The domain of what concerns the whole Exporting Process (RFC 7011 section 3.1).
    pub(super) fn process(&self, protocol: Protocol, id: u32) -> Option<&Domain> {
        (protocol == Protocol::Ipfix && id != 0)
            .then(|| self.find(protocol, 0))
            .flatten()
    }

    /// Says how many fields the template had; zero if there is none.
    pub(super) fn forget_oldest_template(&mut self) -> usize {
        self.domains
            .iter_mut()
            .filter(|domain| !domain.templates.is_empty())
            .min_by_key(|domain| domain.templates.iter().map(|known| known.used).min())
            .map_or(0, Domain::forget_oldest_template)
    }

    /// Forgets some of the options of the domain that has most.
    pub(super) fn forget_some_options(&mut self) {
        let greedy = self
            .domains
            .iter_mut()
            .max_by_key(|domain| domain.told.entries());
        if let Some(domain) = greedy {
            domain.told.forget_older_half();
        }
    }

    /// Forgets what the previous run of a restarted exporter said in this domain, and of itself.
    pub(super) fn forget_previous_run(&mut self, protocol: Protocol, id: u32, until: u64) {
        for domain in &mut self.domains {
            let process = protocol == Protocol::Ipfix && domain.is(protocol, 0);
            if process || domain.is(protocol, id) {
                domain.told.forget_until(until);
            }
        }
    }

    pub(super) fn forget_options(&mut self) {
        for domain in &mut self.domains {
            domain.told = Told::default();
        }
    }
}

/// An Observation Domain as seen from the collector.
#[derive(Debug)]
pub(super) struct Domain {
    protocol: Protocol,
    id: u32,
    /// By ascending id.
    templates: Vec<Known>,
    /// None of the templates came before this.
    oldest_ms: u64,
    /// When sysUptime was zero by the last header of version 9 that said so, in milliseconds
    /// modulo 2^32.
    system_init_ms: Option<u32>,
    pub(super) told: Told,
    /// The next sequence number, if it can be told.
    expected: Option<u32>,
    /// The next sequence number if the last message, which was late, was a new beginning.
    after_late: Option<u32>,
    missing: u64,
    used: u64,
    /// The end of the last message that was not late.
    pub(super) settled: u64,
}

/// What is no longer remembered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Freed {
    pub(super) fields: usize,
    pub(super) option_entries: usize,
}

impl AddAssign for Freed {
    fn add_assign(&mut self, other: Self) {
        self.fields += other.fields;
        self.option_entries += other.option_entries;
    }
}

/// Two clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    /// Counts what was received.
    pub(super) now: u64,
    /// The caller's, in milliseconds.
    pub(super) caller_ms: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Known {
    template: Arc<Template>,
    used: u64,
    /// When it came last, by the caller's clock.
    came_ms: u64,
}

/// What learning a template came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learned {
    New,
    /// It was known as it is.
    Again,
    /// Its id had another meaning.
    Changed,
}

impl Domain {
    fn new(protocol: Protocol, id: u32) -> Self {
        Self {
            protocol,
            id,
            templates: Vec::new(),
            oldest_ms: u64::MAX,
            system_init_ms: None,
            told: Told::default(),
            expected: None,
            after_late: None,
            missing: 0,
            used: 0,
            settled: 0,
        }
    }

    fn is(&self, protocol: Protocol, id: u32) -> bool {
        self.protocol == protocol && self.id == id
    }

    pub(super) fn fields(&self) -> usize {
        self.templates
            .iter()
            .map(|known| known.template.fields().len())
            .sum()
    }

    fn find(&self, id: u16) -> Result<usize, usize> {
        self.templates
            .binary_search_by_key(&id, |known| known.template.id())
    }

    /// The template for use.
    pub(super) fn template(&mut self, id: u16, now: u64) -> Option<Arc<Template>> {
        let position = self.find(id).ok()?;
        let known = self.templates.get_mut(position)?;
        known.used = now;
        Some(Arc::clone(&known.template))
    }

    /// The template, to look at.
    pub(super) fn known_template(&self, id: u16) -> Option<&Arc<Template>> {
        let position = self.find(id).ok()?;
        self.templates.get(position).map(|known| &known.template)
    }

    /// Takes note of a template. What options said of `gone` ones is to be forgotten.
    pub(super) fn learn(
        &mut self,
        template: Template,
        limits: &DecoderLimits,
        time: Time,
        mut gone: impl FnMut(u16),
    ) -> Learned {
        self.oldest_ms = self.oldest_ms.min(time.caller_ms);
        if let Ok(position) = self.find(template.id()) {
            let known = &mut self.templates[position];
            known.used = time.now;
            known.came_ms = time.caller_ms;
            // Refreshes are mostly the same again: keep the one that is shared.
            if *known.template == template {
                return Learned::Again;
            }
            gone(template.id());
            known.template = Arc::new(template);
            return Learned::Changed;
        }
        while self.templates.len() >= limits.templates_per_domain.max(1) {
            let Some(oldest) = self.remove_oldest_template() else {
                break;
            };
            gone(oldest.id());
        }
        if let Err(position) = self.find(template.id()) {
            self.templates.insert(
                position,
                Known {
                    template: Arc::new(template),
                    used: time.now,
                    came_ms: time.caller_ms,
                },
            );
        }
        Learned::New
    }

    /// Says whether there was such a template.
    pub(super) fn withdraw(&mut self, id: u16, mut gone: impl FnMut(u16)) -> bool {
        let position = self.find(id);
        if let Ok(position) = position {
            self.templates.remove(position);
            gone(id);
        }
        position.is_ok()
    }

    pub(super) fn withdraw_all(&mut self, options: bool, gone: impl FnMut(u16)) {
        self.retain(|known| known.template.is_options() != options, gone);
    }

    /// Forgets the templates of version 9 if the exporter was started anew or its clock set (RFC 3954
    /// section 9): the header then tells another time at which sysUptime was zero.
    ///
    /// UNIX Secs are whole seconds, the clocks may drift apart, and sysUptime wraps: from one header
    /// to the next that is little. A sysUptime of zero is that of exporters that do not tell it.
    pub(super) fn check_clock(&mut self, header: &Header) -> Freed {
        const TOLERANCE_MS: u32 = 60_000;
        if self.protocol != Protocol::NetflowV9 {
            return Freed::default();
        }
        let Some(uptime) = header.sys_uptime_ms.filter(|&uptime| uptime != 0) else {
            return Freed::default();
        };
        let init = low32(header.export_time_ms()).wrapping_sub(uptime);
        let before = self.system_init_ms.replace(init).unwrap_or(init);
        if init.wrapping_sub(before).cast_signed().unsigned_abs() > TOLERANCE_MS {
            self.forget_templates(|_| false)
        } else {
            Freed::default()
        }
    }

    /// Forgets the templates that came last longer ago than their lifetime.
    pub(super) fn expire(&mut self, lifetime_ms: u64, caller_ms: u64) -> Freed {
        let lives = |came_ms: u64| caller_ms.saturating_sub(came_ms) <= lifetime_ms;
        if lives(self.oldest_ms) {
            return Freed::default();
        }
        let freed = self.forget_templates(|known| lives(known.came_ms));
        let came = self.templates.iter().map(|known| known.came_ms);
        self.oldest_ms = came.min().unwrap_or(u64::MAX);
        freed
    }

    /// The templates as they are, for [`put_back`](Self::put_back).
    pub(super) fn snapshot(&self) -> Vec<Known> {
        self.templates.clone()
    }

    pub(super) fn put_back(&mut self, templates: Vec<Known>) {
        self.templates = templates;
    }

    fn forget_templates(&mut self, but: impl Fn(&Known) -> bool) -> Freed {
        let before = (self.fields(), self.told.entries());
        let mut told = core::mem::take(&mut self.told);
        self.retain(but, |id| told.forget_template(id));
        self.told = told;
        Freed {
            fields: before.0 - self.fields(),
            option_entries: before.1 - self.told.entries(),
        }
    }

    fn retain(&mut self, stays: impl Fn(&Known) -> bool, mut gone: impl FnMut(u16)) {
        self.templates.retain(|known| {
            let stays = stays(known);
            if !stays {
                gone(known.template.id());
            }
            stays
        });
    }

    fn forget_oldest_template(&mut self) -> usize {
        self.remove_oldest_template().map_or(0, |template| {
            self.told.forget_template(template.id());
            template.fields().len()
        })
    }

    fn remove_oldest_template(&mut self) -> Option<Arc<Template>> {
        let oldest = position_of_min(self.templates.iter().map(|known| known.used))?;
        Some(self.templates.remove(oldest).template)
    }

    pub(super) fn check_sequence(&mut self, decoded: &mut Decoded<'_>) {
        let sequence = decoded.header.sequence;
        let whole = decoded.unknown.is_empty() && decoded.errors.is_empty();
        let came = match self.protocol {
            Protocol::NetflowV9 => Some(1),
            // What the exporter sent, whether or not all of it arrived.
            Protocol::NetflowV5 => decoded.header.count.map(u32::from),
            Protocol::Ipfix if whole => u32::try_from(decoded.record_count()).ok(),
            Protocol::Ipfix => None,
        };
        let next = came.map(|came| sequence.wrapping_add(came));
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
                self.missing = self.missing.saturating_sub(came.unwrap_or(0).into());
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
