//! What options data say of an exporter: sampling, names of interfaces, when the system started,
//! flow keys.

use core::hash::Hash;
use core::ops::RangeInclusive;
use std::collections::HashMap;

use super::DecoderLimits;
use super::header::Header;
use super::record::Record;
use super::template::Role;
use super::value::Value;
use crate::netflow_v5::NetflowV5Sampling;

/// How packets are sampled: a number taken out of every so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sampling {
    taken: u32,
    of: u32,
}

impl Sampling {
    /// `taken` packets out of every `of`. `None` unless at least one is taken and no more than
    /// there are.
    pub const fn new(taken: u32, of: u32) -> Option<Self> {
        if taken == 0 || taken > of {
            return None;
        }
        Some(Self { taken, of })
    }

    /// How many packets are taken out of every [`of`](Self::of); mostly one.
    pub const fn taken(self) -> u32 {
        self.taken
    }

    /// Out of how many packets.
    pub const fn of(self) -> u32 {
        self.of
    }

    /// One packet in how many, rounded: 10 for 1 of 10 as well as for 2 of 21.
    pub const fn one_in(self) -> u32 {
        let half = self.taken / 2;
        match self.of.checked_add(half) {
            Some(sum) => sum / self.taken,
            None => self.of / self.taken,
        }
    }

    /// By what counters have to be multiplied for an estimate of all packets.
    pub fn factor(self) -> f64 {
        f64::from(self.of) / f64::from(self.taken)
    }

    /// What the fields of a record say, in the order in which fields are trusted.
    ///
    /// samplingInterval (34); samplerRandomInterval (50); samplingPacketInterval (305) with
    /// samplingPacketSpace (306), of which the first are taken and the others are not (RFC 5477
    /// section 8.2); samplingSize (309) of samplingPopulation (310); samplingProbability (311). Zero
    /// says nothing. An interval (305) without a space is what many exporters send for one packet in so many.
    fn of_record(record: &Record<'_>) -> Option<Self> {
        let number = |role| record.role(role).and_then(number::<u32>);
        let one_in = |role| number(role).and_then(|interval| Self::new(1, interval));
        one_in(Role::SamplingInterval)
            .or_else(|| one_in(Role::SamplerRandomInterval))
            .or_else(|| {
                let interval = number(Role::SamplingPacketInterval)?;
                match number(Role::SamplingPacketSpace) {
                    Some(space) => Self::new(interval, interval.checked_add(space)?),
                    None => Self::new(1, interval),
                }
            })
            .or_else(|| {
                let population = number(Role::SamplingPopulation)?;
                Self::new(number(Role::SamplingSize)?, population)
            })
            .or_else(|| Self::of_probability(record.role(Role::SamplingProbability)?.float()?))
    }

    /// The simplest fraction that is as near to a probability as binary32 can tell: 1 of 1000 for
    /// 0.001, which neither float holds exactly. `None` for less than one in 2^32, and for what is no
    /// probability.
    fn of_probability(probability: f64) -> Option<Self> {
        const FRACTION_BITS: u64 = 52;
        /// The exponent field of 2^-32 and of 1.
        const EXPONENTS: RangeInclusive<u64> = 991..=1023;
        /// Of the relative difference.
        const PRECISION_BITS: u32 = 23;
        if !(probability > 0.0 && probability <= 1.0) {
            return None;
        }
        let bits = probability.to_bits();
        let exponent = bits >> FRACTION_BITS;
        if !EXPONENTS.contains(&exponent) {
            return None;
        }
        // The fraction it is, numerators and denominators of at most 85 bits.
        let fraction = bits & ((1 << FRACTION_BITS) - 1) | 1 << FRACTION_BITS;
        let whole = (
            u128::from(fraction),
            1_u128 << (EXPONENTS.end() + FRACTION_BITS - exponent),
        );
        // The convergents of its continued fraction.
        let (mut rest, mut before, mut last) = (whole, (0, 1), (1, 0));
        while rest.1 > 0 {
            let quotient = rest.0 / rest.1;
            let next = (quotient * last.0 + before.0, quotient * last.1 + before.1);
            if next.1 > u128::from(u32::MAX) {
                break;
            }
            (before, last) = (last, next);
            rest = (rest.1, rest.0 % rest.1);
            let difference = (whole.0 * last.1).abs_diff(last.0 * whole.1);
            if difference << PRECISION_BITS <= whole.0 * last.1 {
                break;
            }
        }
        Self::new(u32::try_from(last.0).ok()?, u32::try_from(last.1).ok()?)
    }

    /// Exporters are known to give an interval and leave the mode at zero.
    fn of_netflow_v5(sampling: NetflowV5Sampling) -> Option<Self> {
        Self::new(1, sampling.interval().into())
    }
}

/// What options data said of an Observation Domain, as far as it is remembered; see
/// [`Decoder::options`](crate::Decoder::options).
///
/// In IPFIX what concerns the whole Exporting Process comes in domain 0 (RFC 7011 section 3.1): it
/// holds wherever the domain itself says nothing.
#[derive(Clone, Copy, Debug)]
pub struct DomainOptions<'a> {
    own: Option<&'a Told>,
    process: Option<&'a Told>,
}

impl<'a> DomainOptions<'a> {
    pub(super) fn new(own: Option<&'a Told>, process: Option<&'a Told>) -> Option<Self> {
        (own.is_some() || process.is_some()).then_some(Self { own, process })
    }

    /// The name of an interface (interfaceName, 82), by its index.
    pub fn interface_name(&self, index: u32) -> Option<&'a str> {
        self.first(|told| told.interface(index)?.name.as_deref())
    }

    /// The description of an interface (interfaceDescription, 83), by its index.
    pub fn interface_description(&self, index: u32) -> Option<&'a str> {
        self.first(|told| told.interface(index)?.description.as_deref())
    }

    /// How the packets of a flow were sampled. The record itself is asked first; then what was said
    /// of its selector (selectorId, 302, or samplerId, 48); of its interface, which is that of the
    /// flow's direction; and of the domain, for `NetFlow` v5 by the header of its last packet.
    pub fn sampling_of(&self, record: &Record<'_>) -> Option<Sampling> {
        let own = Sampling::of_record(record);
        own.or_else(|| {
            let selector = selector_of(record)?;
            self.first(|told| Some(told.selectors.get(&selector)?.what))
        })
        .or_else(|| {
            let index = observed_interface(record)?;
            self.first(|told| told.interface(index)?.sampling)
        })
        .or_else(|| self.sampling())
    }

    /// How packets are sampled where nothing more specific is said.
    pub fn sampling(&self) -> Option<Sampling> {
        self.first(|told| Some(told.sampling?.what))
    }

    /// When sysUptime was zero, in milliseconds since 1970-01-01 UTC (systemInitTimeMilliseconds,
    /// 160). [`Value::unix_ms`] takes it into account by itself.
    pub fn system_init_ms(&self) -> Option<u64> {
        self.first(|told| Some(told.system_init_ms?.what))
    }

    /// Which fields of a template are Flow Keys (flowKeyIndicator, 173): bit n, the lowest being 0,
    /// stands for the field at position n.
    pub fn flow_keys(&self, template_id: u16) -> Option<u64> {
        Some(self.own?.flow_keys.get(&template_id)?.what)
    }

    fn first<T>(&self, of: impl Fn(&'a Told) -> Option<T>) -> Option<T> {
        self.own
            .and_then(&of)
            .or_else(|| self.process.and_then(&of))
    }
}

/// What the options data of one domain said.
#[derive(Debug, Default)]
pub(super) struct Told {
    interfaces: HashMap<u32, Dated<Interface>>,
    selectors: HashMap<u64, Dated<Sampling>>,
    flow_keys: HashMap<u16, Dated<u64>>,
    sampling: Option<Dated<Sampling>>,
    system_init_ms: Option<Dated<u64>>,
}

/// What was said, and when.
#[derive(Clone, Copy, Debug, Default)]
struct Dated<T> {
    what: T,
    at: u64,
}

#[derive(Debug, Default)]
struct Interface {
    name: Option<Box<str>>,
    description: Option<Box<str>>,
    sampling: Option<Sampling>,
}

impl Told {
    /// Interfaces, selectors and templates.
    pub(super) fn entries(&self) -> usize {
        self.interfaces.len() + self.selectors.len() + self.flow_keys.len()
    }

    pub(super) fn system_init_ms(&self) -> Option<u64> {
        Some(self.system_init_ms?.what)
    }

    /// Takes what is of use from an options record; `now` is later than ever before.
    pub(super) fn learn(&mut self, record: &Record<'_>, limits: &DecoderLimits, now: u64) {
        let dated = |what| Dated { what, at: now };
        let init = record.role(Role::SystemInitTime);
        if let Some(init) = init.and_then(|value| value.unix_ms()) {
            self.system_init_ms = Some(dated(init));
        }
        self.learn_flow_keys(record, limits, now);

        let sampling = Sampling::of_record(record);
        let text = |role| text(record.role(role)?, limits.option_text_octets);
        let name = text(Role::InterfaceName);
        let description = text(Role::InterfaceDescription);
        let interface = interface_of(record);
        let selector = selector_of(record);
        if let Some(index) = interface
            && (name.is_some() || description.is_some() || sampling.is_some())
        {
            if !self.interfaces.contains_key(&index) {
                self.make_room(limits);
            }
            let known = self.interfaces.entry(index).or_default();
            known.at = now;
            let known = &mut known.what;
            known.name = name.or(known.name.take());
            known.description = description.or(known.description.take());
            known.sampling = sampling.or(known.sampling);
        }
        let Some(sampling) = sampling else { return };
        if let Some(selector) = selector {
            if !self.selectors.contains_key(&selector) {
                self.make_room(limits);
            }
            let dated = Dated {
                what: sampling,
                at: now,
            };
            self.selectors.insert(selector, dated);
        } else if interface.is_none() {
            self.sampling = Some(Dated {
                what: sampling,
                at: now,
            });
        }
    }

    fn learn_flow_keys(&mut self, record: &Record<'_>, limits: &DecoderLimits, now: u64) {
        let template = record
            .role(Role::TemplateId)
            .or_else(|| record.role(Role::ScopeTemplate));
        let keys = record.role(Role::FlowKeyIndicator);
        if let (Some(template), Some(keys)) = (
            template.and_then(number::<u16>),
            keys.and_then(number::<u64>),
        ) {
            if !self.flow_keys.contains_key(&template) {
                self.make_room(limits);
            }
            self.flow_keys.insert(
                template,
                Dated {
                    what: keys,
                    at: now,
                },
            );
        }
    }

    /// A `NetFlow` v5 header says it anew in each packet.
    pub(super) fn learn_header(&mut self, header: &Header, now: u64) {
        if let Some(sampling) = header.sampling {
            self.sampling = Sampling::of_netflow_v5(sampling).map(|what| Dated { what, at: now });
        }
    }

    /// Another template has this id now, or none.
    pub(super) fn forget_template(&mut self, id: u16) {
        self.flow_keys.remove(&id);
    }

    /// Forgets what was said until then.
    pub(super) fn forget_until(&mut self, until: u64) {
        self.interfaces.retain(|_, entry| entry.at > until);
        self.selectors.retain(|_, entry| entry.at > until);
        self.flow_keys.retain(|_, entry| entry.at > until);
        self.sampling = self.sampling.filter(|entry| entry.at > until);
        self.system_init_ms = self.system_init_ms.filter(|entry| entry.at > until);
    }

    /// Forgets the older half of the entries: one by one would take a search each time.
    pub(super) fn forget_older_half(&mut self) {
        let interfaces = self.interfaces.values().map(|entry| entry.at);
        let selectors = self.selectors.values().map(|entry| entry.at);
        let flow_keys = self.flow_keys.values().map(|entry| entry.at);
        let mut ages: Vec<u64> = interfaces.chain(selectors).chain(flow_keys).collect();
        if ages.is_empty() {
            return;
        }
        let middle = (ages.len() - 1) / 2;
        let (_, &mut until, _) = ages.select_nth_unstable(middle);
        self.interfaces.retain(|_, entry| entry.at > until);
        self.selectors.retain(|_, entry| entry.at > until);
        self.flow_keys.retain(|_, entry| entry.at > until);
    }

    fn make_room(&mut self, limits: &DecoderLimits) {
        while self.entries() >= limits.option_entries_per_domain.max(1) {
            self.forget_older_half();
        }
    }

    fn interface(&self, index: u32) -> Option<&Interface> {
        self.interfaces.get(&index).map(|entry| &entry.what)
    }
}

/// The interface an options record is about.
fn interface_of(record: &Record<'_>) -> Option<u32> {
    [
        Role::ScopeInterface,
        Role::IngressInterface,
        Role::EgressInterface,
    ]
    .into_iter()
    .find_map(|role| number(record.role(role)?))
}

/// The interface at which a flow was observed: by its direction, or the only one there is.
fn observed_interface(record: &Record<'_>) -> Option<u32> {
    const EGRESS: u8 = 1;
    let interface = |role| record.role(role).and_then(number::<u32>);
    let direction = record.role(Role::FlowDirection).and_then(number::<u8>);
    let (first, second) = if direction == Some(EGRESS) {
        (Role::EgressInterface, Role::IngressInterface)
    } else {
        (Role::IngressInterface, Role::EgressInterface)
    };
    let first = interface(first);
    first
        .filter(|&index| index != 0)
        .or_else(|| interface(second))
        .or(first)
}

fn selector_of(record: &Record<'_>) -> Option<u64> {
    [Role::SelectorId, Role::SamplerId]
        .into_iter()
        .find_map(|role| number(record.role(role)?))
}

fn number<T: TryFrom<u64>>(value: Value<'_>) -> Option<T> {
    T::try_from(value.unsigned()?).ok()
}

/// The text of a value, cut to so many octets; `None` if nothing is left.
fn text(value: Value<'_>, octets: usize) -> Option<Box<str>> {
    let text = value.text()?;
    let text = text.get(..text.floor_char_boundary(octets))?;
    (!text.is_empty()).then(|| text.into())
}
