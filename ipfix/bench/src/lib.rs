//! The same flow records through `ipfix` and through other libraries, for the benchmarks beside.
//!
//! The record is the exporter's default one for IPv4: 24 fields in IPFIX and in `NetFlow` v9, in
//! messages of at most 1400 octets. The peers begin with structures of their own, read from our
//! messages beforehand; only the serialising is timed. Before anything is timed, each contender
//! proves that it does the whole work: writers give the same octets, readers the same values.

use std::hint::black_box;
use std::net::IpAddr;
use std::path::PathBuf;

use ipfix::{
    AbstractType, Decoder, DecoderLimits, Layout, Protocol, Session, SessionOptions,
    TemplateSchedule, Value, Written, elements as e,
};

mod netflow_parser;
mod netgauze;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Records to messages.
    Encode,
    /// Messages to values, their template being known.
    Decode,
}

impl Task {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Encode, Self::Decode];

    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Encode => "encode",
            Self::Decode => "decode",
        }
    }
}

/// Both protocols.
pub const PROTOCOLS: [Protocol; 2] = [Protocol::Ipfix, Protocol::NetflowV9];

/// Records that one [`Contender::run`] works through.
pub const RECORDS: u64 = 512;

/// One way to do a task.
pub struct Contender {
    /// The library, and the function where it has several.
    pub name: &'static str,
    /// Whether it is `ipfix`.
    pub ours: bool,
    work: Box<dyn FnMut() -> u64>,
}

impl Contender {
    fn new(name: &'static str, work: impl FnMut() -> u64 + 'static) -> Self {
        Self {
            name,
            ours: name.starts_with("ipfix"),
            work: Box::new(work),
        }
    }

    /// Works through all records once.
    ///
    /// # Panics
    /// It did not get through all of them.
    pub fn run(&mut self) {
        let records = (self.work)();
        assert_eq!(records, RECORDS, "{}", self.name);
    }
}

/// Everybody who can do the task, checked.
///
/// # Panics
/// A contender does not do the same work as the others.
pub fn contenders(task: Task, protocol: Protocol) -> Vec<Contender> {
    let messages = messages(protocol);
    assert_eq!(
        layout(protocol).template_record(),
        grouped(protocol).template_record()
    );
    match task {
        Task::Encode => vec![
            encode_one_by_one("ipfix write", protocol, layout(protocol)),
            encode_batches("ipfix write_all", protocol, layout(protocol)),
            encode_one_by_one("ipfix group, write", protocol, grouped(protocol)),
            encode_batches("ipfix group, write_all", protocol, grouped(protocol)),
            netgauze::encode(protocol, &messages),
            netflow_parser::encode(&messages),
        ],
        Task::Decode => vec![
            decode(messages.clone()),
            netgauze::decode(protocol, messages.clone()),
            netflow_parser::decode(messages),
        ],
    }
}

/// Where the benchmark `allocations` leaves its figures for `table`: beside the programs.
///
/// # Panics
/// The program has no path.
pub fn allocations_file() -> PathBuf {
    let program = std::env::current_exe().expect("a program has a path");
    program.with_file_name("ipfix-bench-allocations.tsv")
}

/// A flow over IPv4 as the exporter knows it.
struct Flow {
    source: [u8; 4],
    destination: [u8; 4],
    octets: u64,
    packets: u64,
    start_ms: u64,
    end_ms: u64,
    source_port: u16,
    destination_port: u16,
    protocol: u8,
    class_of_service: u8,
    tcp_flags: u8,
    min_ttl: u8,
    max_ttl: u8,
    interface: u32,
    source_mac: [u8; 6],
    destination_mac: [u8; 6],
    vlan: u16,
    customer_vlan: u16,
    ethernet_type: u16,
    egress: bool,
    end_reason: u8,
}

/// 2026-11-24 16:00:00 UTC.
const NOW_MS: u64 = 1_795_536_000_000;
const SYSTEM_INIT_MS: u64 = NOW_MS - 3_600_000;

fn flows() -> Vec<Flow> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    (0..RECORDS)
        .map(|_| {
            let packets = 1 + random.below(100_000);
            let start_ms = NOW_MS - 60_000 + random.below(30_000);
            let tcp = random.below(2) == 0;
            let ttl = random.octet() | 1;
            let vlan = if random.below(4) == 0 { 100 } else { 0 };
            Flow {
                source: random.octets(),
                destination: random.octets(),
                octets: packets * (40 + random.below(1460)),
                packets,
                start_ms,
                end_ms: start_ms + random.below(30_000),
                source_port: u16::from_be_bytes(random.octets()),
                destination_port: u16::from_be_bytes(random.octets()),
                protocol: if tcp { 6 } else { 17 },
                class_of_service: random.octet() & 0xfc,
                tcp_flags: if tcp { 0x1b } else { 0 },
                min_ttl: ttl,
                max_ttl: ttl,
                interface: 1 + u32::from(random.octet() & 7),
                source_mac: random.octets(),
                destination_mac: random.octets(),
                vlan,
                customer_vlan: 0,
                ethernet_type: 0x0800,
                egress: random.below(2) == 0,
                // 1 to 5: all that are assigned.
                end_reason: 1 + random.octet() % 5,
            }
        })
        .collect()
}

/// As `record_layout` of the exporter has it for IPv4 seen at ingress.
fn layout(protocol: Protocol) -> Layout<Flow> {
    let layout = Layout::builder(protocol, 256)
        .octets(e::SOURCE_IPV4_ADDRESS, |flow: &Flow, _| flow.source)
        .octets(e::DESTINATION_IPV4_ADDRESS, |flow, _| flow.destination)
        .unsigned(e::OCTET_DELTA_COUNT, 8, |flow, _| flow.octets)
        .unsigned(e::PACKET_DELTA_COUNT, 8, |flow, _| flow.packets);
    match protocol {
        Protocol::Ipfix => layout
            .unsigned(e::FLOW_START_MILLISECONDS, 8, |flow, _| flow.start_ms)
            .unsigned(e::FLOW_END_MILLISECONDS, 8, |flow, _| flow.end_ms),
        Protocol::NetflowV9 | Protocol::NetflowV5 => layout
            .uptime(e::FLOW_START_SYS_UP_TIME, |flow| flow.start_ms)
            .uptime(e::FLOW_END_SYS_UP_TIME, |flow| flow.end_ms),
    }
    .unsigned(e::SOURCE_TRANSPORT_PORT, 2, |flow, _| {
        flow.source_port.into()
    })
    .unsigned(e::DESTINATION_TRANSPORT_PORT, 2, |flow, _| {
        flow.destination_port.into()
    })
    .unsigned(e::PROTOCOL_IDENTIFIER, 1, |flow, _| flow.protocol.into())
    .unsigned(e::IP_VERSION, 1, |_, _| 4)
    .unsigned(e::IP_CLASS_OF_SERVICE, 1, |flow, _| {
        flow.class_of_service.into()
    })
    .unsigned(e::TCP_CONTROL_BITS, 1, |flow, _| flow.tcp_flags.into())
    .unsigned(e::MINIMUM_TTL, 1, |flow, _| flow.min_ttl.into())
    .unsigned(e::MAXIMUM_TTL, 1, |flow, _| flow.max_ttl.into())
    .unsigned(e::INGRESS_INTERFACE, 4, |flow, _| flow.interface.into())
    .unsigned(e::EGRESS_INTERFACE, 4, |_, _| 0)
    .octets(e::SOURCE_MAC_ADDRESS, |flow, _| flow.source_mac)
    .octets(e::DESTINATION_MAC_ADDRESS, |flow, _| flow.destination_mac)
    .unsigned(e::VLAN_ID, 2, |flow, _| flow.vlan.into())
    .unsigned(e::DOT1Q_VLAN_ID, 2, |flow, _| flow.vlan.into())
    .unsigned(e::DOT1Q_CUSTOMER_VLAN_ID, 2, |flow, _| {
        flow.customer_vlan.into()
    })
    .unsigned(e::ETHERNET_TYPE, 2, |flow, _| flow.ethernet_type.into())
    .unsigned(e::FLOW_DIRECTION, 1, |flow, _| flow.egress.into())
    .unsigned(e::FLOW_END_REASON, 1, |flow, _| flow.end_reason.into())
    .build()
    .expect("the columns suit their elements")
}

/// The same layout, its columns compiled together.
fn grouped(protocol: Protocol) -> Layout<Flow> {
    let layout = Layout::builder(protocol, 256).group(|group| {
        group
            .octets(e::SOURCE_IPV4_ADDRESS, |flow: &Flow, _| flow.source)
            .octets(e::DESTINATION_IPV4_ADDRESS, |flow, _| flow.destination)
            .unsigned::<8, _>(e::OCTET_DELTA_COUNT, |flow, _| flow.octets)
            .unsigned::<8, _>(e::PACKET_DELTA_COUNT, |flow, _| flow.packets)
    });
    match protocol {
        Protocol::Ipfix => layout.group(|group| {
            group
                .unsigned::<8, _>(e::FLOW_START_MILLISECONDS, |flow, _| flow.start_ms)
                .unsigned::<8, _>(e::FLOW_END_MILLISECONDS, |flow, _| flow.end_ms)
        }),
        Protocol::NetflowV9 | Protocol::NetflowV5 => layout.group(|group| {
            group
                .uptime(e::FLOW_START_SYS_UP_TIME, |flow| flow.start_ms)
                .uptime(e::FLOW_END_SYS_UP_TIME, |flow| flow.end_ms)
        }),
    }
    .group(|group| {
        group
            .unsigned::<2, _>(e::SOURCE_TRANSPORT_PORT, |flow, _| flow.source_port.into())
            .unsigned::<2, _>(e::DESTINATION_TRANSPORT_PORT, |flow, _| {
                flow.destination_port.into()
            })
            .unsigned::<1, _>(e::PROTOCOL_IDENTIFIER, |flow, _| flow.protocol.into())
            .unsigned::<1, _>(e::IP_VERSION, |_, _| 4)
            .unsigned::<1, _>(e::IP_CLASS_OF_SERVICE, |flow, _| {
                flow.class_of_service.into()
            })
            .unsigned::<1, _>(e::TCP_CONTROL_BITS, |flow, _| flow.tcp_flags.into())
            .unsigned::<1, _>(e::MINIMUM_TTL, |flow, _| flow.min_ttl.into())
            .unsigned::<1, _>(e::MAXIMUM_TTL, |flow, _| flow.max_ttl.into())
            .unsigned::<4, _>(e::INGRESS_INTERFACE, |flow, _| flow.interface.into())
            .unsigned::<4, _>(e::EGRESS_INTERFACE, |_, _| 0)
            .octets(e::SOURCE_MAC_ADDRESS, |flow, _| flow.source_mac)
            .octets(e::DESTINATION_MAC_ADDRESS, |flow, _| flow.destination_mac)
            .unsigned::<2, _>(e::VLAN_ID, |flow, _| flow.vlan.into())
            .unsigned::<2, _>(e::DOT1Q_VLAN_ID, |flow, _| flow.vlan.into())
            .unsigned::<2, _>(e::DOT1Q_CUSTOMER_VLAN_ID, |flow, _| {
                flow.customer_vlan.into()
            })
            .unsigned::<2, _>(e::ETHERNET_TYPE, |flow, _| flow.ethernet_type.into())
            .unsigned::<1, _>(e::FLOW_DIRECTION, |flow, _| flow.egress.into())
            .unsigned::<1, _>(e::FLOW_END_REASON, |flow, _| flow.end_reason.into())
    })
    .build()
    .expect("the columns suit their elements")
}

/// A session that has sent its template, and never will again.
fn session(protocol: Protocol, layout: &Layout<Flow>) -> Session {
    let mut session = Session::new(SessionOptions {
        templates: TemplateSchedule::once(),
        ..SessionOptions::udp(protocol, 1, SYSTEM_INIT_MS)
    });
    session
        .register(layout)
        .expect("the session has no other layout");
    let _template = template_message(&mut session);
    session
}

fn template_message(session: &mut Session) -> Vec<u8> {
    let mut buffer = Vec::new();
    let message = session.begin(&mut buffer, NOW_MS).finish();
    session
        .commit(message.expect("the template is due"))
        .expect("it is the last one");
    buffer
}

/// The message with the template, then those with the records.
#[derive(Clone)]
struct Messages {
    template: Vec<u8>,
    data: Vec<Vec<u8>>,
}

fn messages(protocol: Protocol) -> Messages {
    let layout = layout(protocol);
    let mut session = Session::new(SessionOptions {
        templates: TemplateSchedule::once(),
        ..SessionOptions::udp(protocol, 1, SYSTEM_INIT_MS)
    });
    session
        .register(&layout)
        .expect("the session has no other layout");
    let template = template_message(&mut session);
    let flows = flows();
    let mut data = Vec::new();
    let mut rest = flows.as_slice();
    while !rest.is_empty() {
        let mut buffer = Vec::new();
        rest = batch(&mut session, &layout, rest, &mut buffer);
        data.push(buffer);
    }
    Messages { template, data }
}

/// Writes one message of as many flows as fit; gives the others.
fn batch<'a>(
    session: &mut Session,
    layout: &Layout<Flow>,
    flows: &'a [Flow],
    buffer: &mut Vec<u8>,
) -> &'a [Flow] {
    let mut writer = session.begin(buffer, NOW_MS);
    let written = writer
        .write_all(layout, flows)
        .expect("the layout is registered");
    let message = writer.finish().expect("a record fits");
    session.commit(message).expect("it is the last one");
    &flows[written..]
}

fn encode_batches(name: &'static str, protocol: Protocol, layout: Layout<Flow>) -> Contender {
    let flows = flows();
    let mut session = session(protocol, &layout);
    let mut buffer = Vec::with_capacity(BUFFER);
    Contender::new(name, move || {
        let mut rest = flows.as_slice();
        while !rest.is_empty() {
            buffer.clear();
            rest = batch(&mut session, &layout, rest, &mut buffer);
            black_box(&buffer);
        }
        RECORDS
    })
}

fn encode_one_by_one(name: &'static str, protocol: Protocol, layout: Layout<Flow>) -> Contender {
    let flows = flows();
    let mut session = session(protocol, &layout);
    let mut buffer = Vec::with_capacity(BUFFER);
    Contender::new(name, move || {
        let mut records = 0;
        let mut rest = flows.as_slice();
        while !rest.is_empty() {
            buffer.clear();
            let mut writer = session.begin(&mut buffer, NOW_MS);
            while let Some((flow, after)) = rest.split_first() {
                match writer.write(&layout, flow).expect("it is registered") {
                    Written::Done => rest = after,
                    Written::Full => break,
                }
            }
            let message = writer.finish().expect("a record fits");
            records += u64::from(message.data_records());
            session.commit(message).expect("it is the last one");
            black_box(&buffer);
        }
        records
    })
}

fn decode(messages: Messages) -> Contender {
    let mut decoder = Decoder::new(DecoderLimits::default());
    decoder
        .decode(&0, &messages.template)
        .expect("we wrote it ourselves");
    Contender::new("ipfix", move || {
        let mut records = 0;
        for message in &messages.data {
            let decoded = decoder.decode(&0, message).expect("we wrote it ourselves");
            for record in decoded.records() {
                let mut sum = 0;
                for value in record.values() {
                    sum ^= touch(&value);
                }
                black_box(sum);
                records += 1;
            }
        }
        records
    })
}

/// Reads the value as what its element says it is, and makes use of it.
fn touch(value: &Value<'_>) -> u64 {
    let Some(element) = value.field().element() else {
        panic!("{:?} is not known", value.field());
    };
    let number = match element.data_type() {
        AbstractType::Ipv4Address => match value.ip_address() {
            Some(IpAddr::V4(address)) => Some(address.to_bits().into()),
            _ => None,
        },
        AbstractType::MacAddress => value
            .mac_address()
            .map(|[a, b, c, d, e, f]| u64::from_be_bytes([0, 0, a, b, c, d, e, f])),
        AbstractType::DateTimeMilliseconds => value.unix_ms(),
        _ => value.unsigned(),
    };
    number.expect("the value is of its element's type")
}

/// Some values of a record, for the comparison of readers.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sample {
    source: Option<IpAddr>,
    octets: Option<u64>,
    source_port: Option<u16>,
    destination_mac: Option<[u8; 6]>,
    /// Milliseconds since 1970; in version 9 of sysUptime, as on the wire.
    end_ms: Option<u64>,
    end_reason: Option<u8>,
}

fn samples(messages: &Messages) -> Vec<Sample> {
    let mut decoder = Decoder::new(DecoderLimits::default());
    let mut samples = Vec::new();
    for message in [&messages.template].into_iter().chain(&messages.data) {
        let decoded = decoder.decode(&0, message).expect("we wrote it ourselves");
        samples.extend(decoded.records().map(|record| {
            let unsigned = |element| record.value(&element).and_then(|value| value.unsigned());
            Sample {
                source: record
                    .value(&e::SOURCE_IPV4_ADDRESS)
                    .and_then(|value| value.ip_address()),
                octets: unsigned(e::OCTET_DELTA_COUNT),
                source_port: unsigned(e::SOURCE_TRANSPORT_PORT)
                    .and_then(|port| u16::try_from(port).ok()),
                destination_mac: record
                    .value(&e::DESTINATION_MAC_ADDRESS)
                    .and_then(|value| value.mac_address()),
                end_ms: unsigned(e::FLOW_END_MILLISECONDS)
                    .or_else(|| unsigned(e::FLOW_END_SYS_UP_TIME)),
                end_reason: unsigned(e::FLOW_END_REASON)
                    .and_then(|reason| u8::try_from(reason).ok()),
            }
        }));
    }
    samples
}

/// Room for any message here.
const BUFFER: usize = 2048;

/// Marsaglia's xorshift: the same flows in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 16) % limit
    }

    fn octet(&mut self) -> u8 {
        let [octet] = self.octets();
        octet
    }

    fn octets<const N: usize>(&mut self) -> [u8; N] {
        let octets = self.next().to_le_bytes();
        core::array::from_fn(|at| octets[at + 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contenders_do_the_same_work() {
        for task in Task::ALL {
            for protocol in PROTOCOLS {
                let mut contenders = contenders(task, protocol);
                assert!(contenders.iter().any(|contender| contender.ours));
                assert!(contenders.iter().any(|contender| !contender.ours));
                for contender in &mut contenders {
                    contender.run();
                }
            }
        }
    }
}
