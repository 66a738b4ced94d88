//! What is known of the exporters: templates, names of interfaces, sampling.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use ipfix::{Decoded, Decoder, DecoderLimits, Protocol, Record};

use super::Summary;
use super::flow::{Context, Fields};
use crate::record::{FlowJson, UnixTime};

/// All exporters heard of, as far as the limits allow: of more, those that were heard of longest ago
/// are forgotten.
#[derive(Debug)]
pub(super) struct Exporters {
    decoder: Decoder<SocketAddr>,
    domains: HashMap<DomainKey, Domain>,
    /// Messages so far: the age of domains.
    now: u64,
    summary: Summary,
    trouble: Trouble,
}

/// A Transport Session and an Observation Domain in it. Over UDP a session is a pair of sockets,
/// and ours is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct DomainKey {
    source: SocketAddr,
    protocol: Protocol,
    id: u32,
}

/// What the options of a domain say.
#[derive(Debug, Default)]
struct Domain {
    interfaces: HashMap<u32, Interface>,
    /// By `selectorId`, or sampler ID.
    samplers: HashMap<u64, u32>,
    sampling: Option<u32>,
    system_init: Option<UnixTime>,
    /// What is missing by the sequence numbers.
    missing: u64,
    used: u64,
}

#[derive(Debug, Default)]
struct Interface {
    name: Option<String>,
    sampling: Option<u32>,
}

/// Domains remembered.
const MAX_DOMAINS: usize = 4096;
/// Interfaces, and samplers, of a domain remembered.
const MAX_ENTRIES: usize = 4096;

impl Default for Exporters {
    fn default() -> Self {
        Self {
            decoder: Decoder::new(DecoderLimits::default()),
            domains: HashMap::new(),
            now: 0,
            summary: Summary::default(),
            trouble: Trouble::default(),
        }
    }
}

impl Exporters {
    /// Reads a datagram; `emit` gets the flows, in order.
    pub fn datagram(
        &mut self,
        source: SocketAddr,
        octets: &[u8],
        mut emit: impl FnMut(&FlowJson<'_>),
    ) {
        // A socket for both families shows IPv4 addresses mapped.
        let source = SocketAddr::new(source.ip().to_canonical(), source.port());
        let decoded = match self.decoder.decode(&source, octets) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.summary.garbage += 1;
                self.trouble.garbage(source, &error);
                return;
            }
        };
        self.now += 1;
        self.summary.messages += 1;
        let header = *decoded.header();
        let key = DomainKey {
            source,
            protocol: header.protocol,
            id: header.observation_domain,
        };
        let (domain, new) = domain_of(&mut self.domains, key, self.now);
        self.summary.exporters += u64::from(new);
        // A domain the decoder forgot begins to count anew.
        self.summary.missing += decoded.missing().saturating_sub(domain.missing);
        domain.missing = decoded.missing();

        let export_time = UnixTime::from_millis(u64::from(header.export_time) * 1000);
        for record in decoded.records() {
            if record.template().is_options() {
                self.summary.options_records += 1;
                if let Some(domain) = self.domains.get_mut(&key) {
                    domain.learn(record);
                }
            } else if let Some(domain) = self.domains.get(&key) {
                self.summary.records += 1;
                let mut flow = domain.flow(record, export_time);
                if flow.interface.is_none() {
                    // What concerns the whole exporter comes in domain 0 (RFC 7011 section 3.1).
                    let process = self.domains.get(&DomainKey { id: 0, ..key });
                    let name = flow.if_index.and_then(|index| process?.name(index));
                    flow.interface = name.map(Cow::Borrowed);
                }
                flow.agent = flow.agent.or(Some(source.ip()));
                emit(&flow);
            }
        }
        self.note_trouble(key, &decoded);
    }

    /// Tells of what went wrong since the last time, in one line, if anything did.
    pub fn report(&mut self) {
        let trouble = std::mem::take(&mut self.trouble);
        if let Some(line) = trouble.line() {
            tracing::warn!("{line}");
        }
    }

    /// What was received so far.
    pub fn summary(&self) -> Summary {
        self.summary
    }

    fn note_trouble(&mut self, key: DomainKey, decoded: &Decoded<'_>) {
        if let Some(error) = decoded.errors().first() {
            self.summary.garbage += 1;
            self.trouble.garbage(key.source, error);
        }
        if let Some(set) = decoded.unknown().first() {
            let sets = decoded.unknown().len() as u64;
            self.summary.unknown_template_sets += sets;
            self.trouble.unknown(sets, key, set.template_id);
        }
    }
}

/// The domain, and whether it is new.
fn domain_of(
    domains: &mut HashMap<DomainKey, Domain>,
    key: DomainKey,
    now: u64,
) -> (&mut Domain, bool) {
    let new = !domains.contains_key(&key);
    if new && domains.len() >= MAX_DOMAINS {
        let oldest = domains.iter().min_by_key(|(_, domain)| domain.used);
        if let Some(oldest) = oldest.map(|(key, _)| *key) {
            domains.remove(&oldest);
        }
    }
    let domain = domains.entry(key).or_default();
    domain.used = now;
    (domain, new)
}

impl Domain {
    /// Takes what is of use from an options record.
    fn learn(&mut self, record: Record<'_>) {
        let mut fields = Fields::of(record);
        let (name, sampling) = (fields.interface_name(), fields.sampling());
        self.system_init = fields.system_init().or(self.system_init);
        match (fields.interface(), fields.selector) {
            (Some(index), _) if name.is_some() || sampling.is_some() => {
                if let Some(interface) = room(&mut self.interfaces, index) {
                    interface.name = name.or(interface.name.take());
                    interface.sampling = sampling.or(interface.sampling);
                }
            }
            (_, Some(selector)) => {
                if let (Some(sampling), Some(known)) =
                    (sampling, room(&mut self.samplers, selector))
                {
                    *known = sampling;
                }
            }
            _ => self.sampling = sampling.or(self.sampling),
        }
    }

    /// Name of an interface, if the options told it.
    fn name(&self, index: u32) -> Option<&str> {
        self.interfaces.get(&index)?.name.as_deref()
    }

    /// The flow of a record, with what the options say of it.
    fn flow(&self, record: Record<'_>, export_time: UnixTime) -> FlowJson<'_> {
        let fields = Fields::of(record);
        let selector = fields.selector;
        let mut flow: FlowJson<'_> = fields.into_flow(Context {
            export_time,
            system_init: self.system_init,
        });
        let interface = flow.if_index.and_then(|index| self.interfaces.get(&index));
        if flow.interface.is_none() {
            let name = interface.and_then(|interface| interface.name.as_deref());
            flow.interface = name.map(Cow::Borrowed);
        }
        flow.sampling = flow
            .sampling
            .or_else(|| self.samplers.get(&selector?).copied())
            .or_else(|| interface?.sampling)
            .or(self.sampling);
        flow
    }
}

/// The value of this key, a new one if there is room for it.
fn room<K: Eq + std::hash::Hash, V: Default>(map: &mut HashMap<K, V>, key: K) -> Option<&mut V> {
    let full = map.len() >= MAX_ENTRIES && !map.contains_key(&key);
    (!full).then(|| map.entry(key).or_default())
}

/// What went wrong and was not told of yet.
#[derive(Debug, Default)]
struct Trouble {
    garbage: u64,
    last_garbage: Option<(SocketAddr, ipfix::DecodeError)>,
    unknown: u64,
    last_unknown: Option<(DomainKey, u16)>,
}

impl Trouble {
    fn garbage(&mut self, source: SocketAddr, error: &ipfix::DecodeError) {
        self.garbage += 1;
        self.last_garbage = Some((source, *error));
    }

    fn unknown(&mut self, sets: u64, domain: DomainKey, template_id: u16) {
        self.unknown += sets;
        self.last_unknown = Some((domain, template_id));
    }

    /// One line; `None` if nothing went wrong.
    fn line(&self) -> Option<String> {
        let mut line = String::new();
        // Writing to a String cannot fail.
        if let Some((source, error)) = &self.last_garbage {
            let count = self.garbage;
            let _ = write!(
                line,
                "datagrams that cannot be read: {count} (the last from {source}: {error})"
            );
        }
        if let Some((domain, template_id)) = &self.last_unknown {
            let DomainKey { source, id, .. } = domain;
            let (gap, count) = (if line.is_empty() { "" } else { "; " }, self.unknown);
            let _ = write!(
                line,
                "{gap}data sets whose template has not come yet: {count} (the last from {source}, \
                 domain {id}, template {template_id})"
            );
        }
        (!line.is_empty()).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// An IPFIX message of this domain with these sets.
    fn message(domain: u32, sets: &[u8]) -> Vec<u8> {
        let length = u16::try_from(16 + sets.len()).unwrap();
        let mut message = vec![0, 10];
        message.extend(length.to_be_bytes());
        message.extend([0x6b, 5, 0, 0, 0, 0, 0, 0]);
        message.extend(domain.to_be_bytes());
        message.extend(sets);
        message
    }

    fn flows(exporters: &mut Exporters, port: u16, octets: &[u8]) -> Vec<FlowJson<'static>> {
        let mut flows = Vec::new();
        exporters.datagram(source(port), octets, |flow| {
            let interface = flow
                .interface
                .clone()
                .map(|name| Cow::Owned(name.into_owned()));
            flows.push(FlowJson {
                interface,
                ..flow.clone()
            });
        });
        flows
    }

    /// Template 256: ingressInterface, samplerId, octetDeltaCount, an octet each.
    const TEMPLATE: [u8; 20] = [
        0, 2, 0, 20, 1, 0, 0, 3, 0, 10, 0, 1, 0, 48, 0, 1, 0, 1, 0, 1,
    ];

    fn data(interface: u8, sampler: u8, octets: u8) -> [u8; 8] {
        // A record and an octet of padding.
        [1, 0, 0, 8, interface, sampler, octets, 0]
    }

    #[test]
    fn sampling_is_the_records_own_or_its_samplers_or_its_interfaces_or_the_domains() {
        let mut exporters = Exporters::default();
        let mut sampling = |sets: &[u8]| {
            let flows = flows(&mut exporters, 1, &message(1, sets));
            flows.first().and_then(|flow| flow.sampling)
        };
        assert_eq!(sampling(&TEMPLATE), None);
        assert_eq!(sampling(&data(3, 7, 1)), None);
        // Options template 257: scope observationDomainId, samplingInterval.
        sampling(&[0, 3, 0, 18, 1, 1, 0, 2, 0, 1, 0, 149, 0, 1, 0, 34, 0, 1]);
        sampling(&[1, 1, 0, 6, 1, 10]);
        assert_eq!(sampling(&data(3, 7, 1)), Some(10));
        // Options template 258: scope ingressInterface, samplingInterval.
        sampling(&[0, 3, 0, 18, 1, 2, 0, 2, 0, 1, 0, 10, 0, 1, 0, 34, 0, 1]);
        sampling(&[1, 2, 0, 6, 3, 20]);
        assert_eq!(sampling(&data(3, 7, 1)), Some(20));
        assert_eq!(sampling(&data(4, 7, 1)), Some(10));
        // Options template 259: scope samplerId, samplerRandomInterval.
        sampling(&[0, 3, 0, 18, 1, 3, 0, 2, 0, 1, 0, 48, 0, 1, 0, 50, 0, 1]);
        sampling(&[1, 3, 0, 6, 7, 30]);
        assert_eq!(sampling(&data(3, 7, 1)), Some(30));
        assert_eq!(sampling(&data(3, 8, 1)), Some(20));
        assert_eq!(exporters.summary().options_records, 3);
    }

    #[test]
    fn memory_is_bounded() {
        let mut exporters = Exporters::default();
        for port in 0..u16::try_from(MAX_DOMAINS + 10).unwrap() {
            exporters.datagram(source(port), &message(1, &TEMPLATE), |_| {});
        }
        assert_eq!(exporters.domains.len(), MAX_DOMAINS);
        assert_eq!(exporters.summary().exporters, MAX_DOMAINS as u64 + 10);

        // Options template 257: scope ingressInterface (4 octets), interfaceName (1 octet).
        exporters.datagram(
            source(1),
            &message(
                1,
                &[0, 3, 0, 18, 1, 1, 0, 2, 0, 1, 0, 10, 0, 4, 0, 82, 0, 1],
            ),
            |_| {},
        );
        for index in 0..u32::try_from(MAX_ENTRIES + 10).unwrap() {
            let mut set = vec![1, 1, 0, 9];
            set.extend(index.to_be_bytes());
            set.push(b'e');
            exporters.datagram(source(1), &message(1, &set), |_| {});
        }
        let key = DomainKey {
            source: source(1),
            protocol: Protocol::Ipfix,
            id: 1,
        };
        assert_eq!(exporters.domains[&key].interfaces.len(), MAX_ENTRIES);
    }

    #[test]
    fn trouble_is_told_once_in_one_line() {
        let mut exporters = Exporters::default();
        assert_eq!(exporters.trouble.line(), None);
        exporters.datagram(source(1), b"x", |_| {});
        exporters.datagram(source(2), b"GET /", |_| {});
        exporters.datagram(source(3), &message(5, &data(1, 1, 1)), |_| {});
        assert_eq!(
            exporters.trouble.line().unwrap(),
            "datagrams that cannot be read: 2 (the last from 127.0.0.1:2: octet 0: message header: \
             version 18245 is not 10 (IPFIX), 9 (NetFlow v9) or 5 (NetFlow v5) (RFC 7011 section \
             3.1)); data sets whose template has not come yet: 1 (the last from 127.0.0.1:3, domain 5, template 256)"
        );
        exporters.report();
        assert_eq!(exporters.trouble.line(), None);
        let summary = exporters.summary();
        assert_eq!((summary.garbage, summary.unknown_template_sets), (2, 1));
    }

    #[test]
    fn mapped_addresses_are_the_same_exporter() {
        let mut exporters = Exporters::default();
        let mapped = SocketAddr::new("::ffff:127.0.0.1".parse().unwrap(), 9);
        exporters.datagram(mapped, &message(1, &TEMPLATE), |_| {});
        let flows = flows(&mut exporters, 9, &message(1, &data(1, 1, 200)));
        assert_eq!(flows[0].bytes, Some(200));
        assert_eq!(flows[0].agent, Some(source(9).ip()));
    }
}
