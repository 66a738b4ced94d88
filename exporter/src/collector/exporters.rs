//! What is known of the exporters: templates, names of interfaces, sampling.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;

use ipfix::{DecodeError, Decoded, Decoder, DecoderLimits, Header, MessageDetails, Record};

use super::Summary;
use super::flow::{Context, Fields};
use crate::record::{FlowJson, UnixTime};

/// All exporters heard of, as far as the limits allow: of more, those that were heard of longest ago
/// are forgotten.
#[derive(Debug)]
pub(super) struct Exporters {
    decoder: Decoder<Option<SocketAddr>>,
    domains: HashMap<Sender, Domain>,
    /// Messages so far: the age of domains.
    now: u64,
    summary: Summary,
}

/// An Observation Domain of an exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sender {
    /// Over UDP a Transport Session is a pair of sockets, and ours is one. `None`: a file does not
    /// tell.
    pub address: Option<SocketAddr>,
    /// Version of the protocol.
    pub version: u16,
    /// Observation Domain ID.
    pub domain: u32,
}

impl Sender {
    /// The sender of a message that was received.
    pub fn of(source: SocketAddr, header: &Header) -> Self {
        Self {
            address: Some(source),
            version: header.protocol.version(),
            domain: header.observation_domain,
        }
    }

    /// The sender of a message in a file, by what the file says of it.
    pub fn stored(details: &MessageDetails, header: &Header) -> Self {
        let domain = details.observation_domain;
        Self {
            address: details.exporter(),
            version: details.version.unwrap_or(header.protocol.version()),
            domain: domain.unwrap_or(header.observation_domain),
        }
    }
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
        }
    }
}

impl Exporters {
    /// Reads a message of a Transport Session: one with this address, or that of a file.
    pub fn decode<'a>(
        &mut self,
        session: Option<SocketAddr>,
        octets: &'a [u8],
    ) -> Result<Decoded<'a>, DecodeError> {
        let decoded = self.decoder.decode(&session, octets);
        let summary = &mut self.summary;
        match &decoded {
            Ok(decoded) => {
                summary.messages += 1;
                summary.garbage += u64::from(!decoded.errors().is_empty());
                summary.unknown_template_sets += decoded.unknown().len() as u64;
            }
            Err(_) => summary.garbage += 1,
        }
        decoded
    }

    /// Learns from the options of a message; `emit` gets the flows, in order.
    ///
    /// `system_init` is when sysUptime was zero, for messages that do not say it themselves.
    pub fn flows(
        &mut self,
        sender: Sender,
        system_init: Option<UnixTime>,
        decoded: &Decoded<'_>,
        mut emit: impl FnMut(&FlowJson<'_>),
    ) {
        self.now += 1;
        let (domain, new) = domain_of(&mut self.domains, sender, self.now);
        self.summary.exporters += u64::from(new);
        // A domain the decoder forgot begins to count anew.
        self.summary.missing += decoded.missing().saturating_sub(domain.missing);
        domain.missing = decoded.missing();

        let export_time = UnixTime::from_millis(u64::from(decoded.header().export_time) * 1000);
        for record in decoded.records() {
            if record.template().is_options() {
                if MessageDetails::of(&record).is_some() {
                    continue;
                }
                self.summary.options_records += 1;
                if let Some(domain) = self.domains.get_mut(&sender) {
                    domain.learn(record);
                }
            } else if let Some(domain) = self.domains.get(&sender) {
                self.summary.records += 1;
                let mut flow = domain.flow(record, system_init, export_time);
                if flow.interface.is_none() {
                    // What concerns the whole exporter comes in domain 0 (RFC 7011 section 3.1).
                    let process = self.domains.get(&Sender {
                        domain: 0,
                        ..sender
                    });
                    let name = flow.if_index.and_then(|index| process?.name(index));
                    flow.interface = name.map(Cow::Borrowed);
                }
                flow.agent = flow.agent.or(sender.address.map(|address| address.ip()));
                emit(&flow);
            }
        }
    }

    /// What was read so far.
    pub fn summary(&self) -> Summary {
        self.summary
    }
}

/// The domain, and whether it is new.
fn domain_of(domains: &mut HashMap<Sender, Domain>, key: Sender, now: u64) -> (&mut Domain, bool) {
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
    fn flow(
        &self,
        record: Record<'_>,
        system_init: Option<UnixTime>,
        export_time: UnixTime,
    ) -> FlowJson<'_> {
        let fields = Fields::of(record);
        let selector = fields.selector;
        let mut flow: FlowJson<'_> = fields.into_flow(Context {
            export_time,
            system_init: system_init.or(self.system_init),
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
        let source = source(port);
        let decoded = exporters.decode(Some(source), octets).unwrap();
        let sender = Sender::of(source, decoded.header());
        exporters.flows(sender, None, &decoded, |flow| {
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
            flows(&mut exporters, port, &message(1, &TEMPLATE));
        }
        assert_eq!(exporters.domains.len(), MAX_DOMAINS);
        assert_eq!(exporters.summary().exporters, MAX_DOMAINS as u64 + 10);

        // Options template 257: scope ingressInterface (4 octets), interfaceName (1 octet).
        let template = [0, 3, 0, 18, 1, 1, 0, 2, 0, 1, 0, 10, 0, 4, 0, 82, 0, 1];
        flows(&mut exporters, 1, &message(1, &template));
        for index in 0..u32::try_from(MAX_ENTRIES + 10).unwrap() {
            let mut set = vec![1, 1, 0, 9];
            set.extend(index.to_be_bytes());
            set.push(b'e');
            flows(&mut exporters, 1, &message(1, &set));
        }
        let key = Sender {
            address: Some(source(1)),
            version: 10,
            domain: 1,
        };
        assert_eq!(exporters.domains[&key].interfaces.len(), MAX_ENTRIES);
    }
}
