//! What is known of the exporters, and their flows.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use ipfix::{
    DecodeError, Decoded, Decoder, DecoderLimits, DomainOptions, Header, MessageDetails, Protocol,
    Sampling, Transport,
};

use super::Summary;
use super::flow::{Context, Fields};
use crate::record::{FlowJson, UnixTime};

/// All exporters heard of, as far as the limits allow: of more, those that were heard of longest ago
/// are forgotten.
#[derive(Debug)]
pub(super) struct Exporters {
    decoder: Decoder<Option<SocketAddr>>,
    began: Instant,
    domains: HashMap<Sender, Domain>,
    /// Messages so far: the age of domains.
    now: u64,
    summary: Summary,
    /// Whether flows have estimates of what there was.
    apply_sampling: bool,
}

/// An Observation Domain of an exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sender {
    /// A Transport Session is a pair of sockets, and ours is one. `None`: a file does not
    /// tell.
    pub address: Option<SocketAddr>,
    /// Version of the protocol.
    pub version: u16,
    /// Observation Domain ID.
    pub domain: u32,
}

impl Sender {
    /// `192.0.2.1:40000, IPFIX, domain 1`.
    pub fn name(self) -> String {
        let Self {
            address,
            version,
            domain,
        } = self;
        let address = address.map_or_else(|| "a file".to_owned(), |address| address.to_string());
        match version {
            10 => format!("{address}, IPFIX, domain {domain}"),
            version => format!("{address}, NetFlow v{version}, domain {domain}"),
        }
    }

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

/// What is remembered of a sender beside what the decoder does.
#[derive(Debug, Default)]
struct Domain {
    /// What is missing by the sequence numbers.
    missing: u64,
    /// Its Observation Domain ID in the messages read, which in a file may be another.
    decoded_id: u32,
    used: u64,
}

/// Domains remembered.
const MAX_DOMAINS: usize = 4096;

/// A template that did not come again for this long, in milliseconds, is not believed any more: its
/// exporter is gone, or sends its templates too seldom for anybody (RFC 3954 section 9).
const TEMPLATE_LIFETIME_MS: u64 = 30 * 60 * 1000;

impl Exporters {
    /// Of messages that come over this transport: datagrams, or what a file holds.
    /// `apply_sampling`: flows have `packets_scaled` and `bytes_scaled`.
    pub fn over(transport: Transport, apply_sampling: bool) -> Self {
        let decoder = Decoder::new(DecoderLimits::default()).over(transport);
        Self {
            // Where nothing is lost, templates come once.
            decoder: match transport {
                Transport::Unreliable => decoder.with_template_lifetime(TEMPLATE_LIFETIME_MS),
                Transport::Reliable => decoder,
            },
            began: Instant::now(),
            domains: HashMap::new(),
            now: 0,
            summary: Summary::default(),
            apply_sampling,
        }
    }

    /// A connection begins: a Transport Session of which nothing is known.
    pub fn begin(&mut self, source: SocketAddr) {
        self.decoder.forget(&Some(source));
        self.summary.connections += 1;
    }

    /// A connection was not taken.
    pub fn refuse(&mut self, source: SocketAddr) {
        tracing::debug!(%source, "too many connections");
        self.summary.refused_connections += 1;
    }

    /// A connection is over, in order or not: its session is, too.
    pub fn end(&mut self, source: SocketAddr, in_order: bool) {
        self.decoder.forget(&Some(source));
        self.summary.broken_connections += u64::from(!in_order);
    }

    /// Reads a message of a Transport Session: one with this address, or that of a file.
    pub fn decode<'a>(
        &mut self,
        session: Option<SocketAddr>,
        octets: &'a [u8],
    ) -> Result<Decoded<'a>, DecodeError> {
        let now_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let decoded = self.decoder.decode_at(&session, octets, now_ms);
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

    /// The flows of a message of this sender, in order, with what its options say of them.
    pub fn flows(
        &mut self,
        session: Option<SocketAddr>,
        sender: Sender,
        decoded: &Decoded<'_>,
        mut emit: impl FnMut(&FlowJson<'_>),
    ) {
        let header = decoded.header();
        self.now += 1;
        let (domain, new) = domain_of(&mut self.domains, sender, self.now);
        self.summary.exporters += u64::from(new);
        // A domain the decoder forgot begins to count anew.
        let missing = decoded.missing().saturating_sub(domain.missing);
        if missing > 0 {
            self.summary.missing += missing;
            self.summary.gap(&sender.name(), missing);
        }
        domain.missing = decoded.missing();
        domain.decoded_id = header.observation_domain;

        let options_of = |id| self.decoder.options(&session, header.protocol, id);
        let own = options_of(header.observation_domain);
        let options = [own, self.process_of(sender, header).and_then(options_of)];
        let context = Context {
            export_time: UnixTime::from_millis(header.export_time_ms()),
            system_init: first(&options, DomainOptions::system_init_ms).map(UnixTime::from_millis),
        };
        for record in decoded.records() {
            if record.template().is_options() {
                let details = MessageDetails::of(&record).is_some();
                self.summary.options_records += u64::from(!details);
                continue;
            }
            self.summary.records += 1;
            let mut flow: FlowJson<'_> = Fields::of(record).into_flow(context);
            if flow.interface.is_none() {
                let name = flow.if_index.and_then(|index| name_of(&options, index));
                flow.interface = name.map(Cow::Borrowed);
            }
            let sampling = first(&options, |options| options.sampling_of(&record));
            flow.sampling = sampling.map(Sampling::one_in);
            if self.apply_sampling {
                scale(&mut flow);
            }
            flow.agent = flow.agent.or(sender.address.map(|address| address.ip()));
            emit(&flow);
        }
    }

    /// The domain with what the exporter says of itself, if the decoder cannot know it: in IPFIX it
    /// is domain 0 (RFC 7011 section 3.1), which a file has under another id.
    fn process_of(&self, sender: Sender, header: &Header) -> Option<u32> {
        if sender.version != Protocol::Ipfix.version() {
            return None;
        }
        let process = Sender {
            domain: 0,
            ..sender
        };
        let id = self.domains.get(&process)?.decoded_id;
        (id != header.observation_domain).then_some(id)
    }

    /// What was read so far.
    pub fn summary(&self) -> Summary {
        self.summary.clone()
    }
}

/// Adds what there was, by what was counted 1 in so many.
fn scale(flow: &mut FlowJson<'_>) {
    let one_in = u64::from(flow.sampling.unwrap_or(1).max(1));
    let scaled = |count: Option<u64>| count.map(|count| count.saturating_mul(one_in));
    flow.packets_scaled = scaled(flow.packets);
    flow.bytes_scaled = scaled(flow.bytes);
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

/// The name of an interface, or its description if it has none.
fn name_of<'a>(options: &[Option<DomainOptions<'a>>], index: u32) -> Option<&'a str> {
    first(options, |options| options.interface_name(index))
        .or_else(|| first(options, |options| options.interface_description(index)))
}

/// What the first of them says that says something.
fn first<'a, T>(
    options: &[Option<DomainOptions<'a>>],
    of: impl Fn(&DomainOptions<'a>) -> Option<T>,
) -> Option<T> {
    options.iter().flatten().find_map(of)
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
        exporters.flows(Some(source), sender, &decoded, |flow| {
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
        let mut exporters = Exporters::over(Transport::Unreliable, false);
        let mut sampling = |sets: &[u8]| {
            // An exporter that starts anew is another one: the sequence has to be right.
            let summary = exporters.summary();
            let sequence = u8::try_from(summary.records + summary.options_records).unwrap();
            let mut message = message(1, sets);
            message[11] = sequence;
            let flows = flows(&mut exporters, 1, &message);
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
    fn counts_are_scaled_by_what_was_announced_where_that_is_asked_for() {
        let options_template = [0, 3, 0, 18, 1, 1, 0, 2, 0, 1, 0, 149, 0, 1, 0, 34, 0, 1];
        for (apply_sampling, expected) in [(true, [Some(9), Some(90)]), (false, [None, None])] {
            let mut exporters = Exporters::over(Transport::Unreliable, apply_sampling);
            let mut scaled = |sets: &[u8]| {
                let summary = exporters.summary();
                let mut message = message(1, sets);
                message[11] = u8::try_from(summary.records + summary.options_records).unwrap();
                let flows = flows(&mut exporters, 1, &message);
                flows.first().and_then(|flow| {
                    assert_eq!(flow.bytes, Some(9));
                    assert_eq!(flow.packets_scaled, None);
                    flow.bytes_scaled
                })
            };
            scaled(&TEMPLATE);
            // Nothing is announced yet.
            assert_eq!(scaled(&data(3, 7, 9)), expected[0]);
            scaled(&options_template);
            scaled(&[1, 1, 0, 6, 1, 10]);
            assert_eq!(scaled(&data(3, 7, 9)), expected[1]);
        }
    }

    #[test]
    fn templates_are_withdrawn_in_files_only() {
        let template = message(1, &[0, 2, 0, 12, 1, 9, 0, 1, 0, 4, 0, 1]);
        let withdrawal = message(1, &[0, 2, 0, 8, 1, 9, 0, 0]);
        let data = message(1, &[1, 9, 0, 5, 6]);
        for (transport, records) in [(Transport::Unreliable, 1), (Transport::Reliable, 0)] {
            let mut exporters = Exporters::over(transport, false);
            for octets in [&template, &withdrawal] {
                assert_eq!(exporters.decode(None, octets).unwrap().errors(), []);
            }
            let decoded = exporters.decode(None, &data).unwrap();
            assert_eq!(decoded.record_count(), records);
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut exporters = Exporters::over(Transport::Unreliable, false);
        for port in 0..u16::try_from(MAX_DOMAINS + 10).unwrap() {
            flows(&mut exporters, port, &message(1, &TEMPLATE));
        }
        assert_eq!(exporters.domains.len(), MAX_DOMAINS);
        assert_eq!(exporters.summary().exporters, MAX_DOMAINS as u64 + 10);
    }
}
