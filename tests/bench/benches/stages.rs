//! What each stage on the exporter's side takes: `cargo bench -p ebpfix-bench`, as root (the drain
//! reads tables of the kernel). Items are frames, keys or records.
//!
//! `cargo bench -p ebpfix-bench -- merge` runs some of them only.

use std::hint::black_box;
use std::net::UdpSocket;
use std::num::NonZeroU32;

use divan::Bencher;
use divan::counter::ItemsCount;
use ebpfix::export::{Elements, Layouts};
use ebpfix::meter::{EndedFlow, FlowCache, Policy};
use ebpfix::record::{Record, UnixTime};
use ebpfix_bench::Log;
use ebpfix_bench::records::{HASH_KEYS, NOW, id, record, records};
use ebpfix_probes::abi::{FlowId, HashedRecord, Set};
use ebpfix_probes::dissect::{Facts, Link, SliceFrame, dissect};
use ebpfix_probes::table;
use ebpfix_tests::{Frame, frame};
use ipfix::{Protocol, Session, SessionOptions};

fn main() {
    divan::main();
}

/// Records of one reading of the logs.
const TOGETHER: usize = 2 * 1024;

#[divan::bench(args = ["IPv4 UDP", "IPv4 TCP", "IPv6 TCP", "IPv6 with extensions", "VLAN", "QinQ", "MPLS"])]
fn frames(bencher: Bencher, kind: &str) {
    let octets = frame_of(kind);
    bencher.counter(ItemsCount::new(1u32)).bench(|| {
        let mut id = FlowId::default();
        let mut facts = Facts::default();
        let frame = SliceFrame::new(black_box(&octets));
        let outcome = dissect(&frame, Link::Ethernet, None, &mut id, &mut facts);
        assert!(outcome.is_ok());
        (id, facts)
    });
}

fn frame_of(kind: &str) -> Frame {
    use frame::protocol::{DESTINATION, HOP_BY_HOP, TCP, UDP};
    let tcp = frame::tcp(1024, 443, 0x10, &[0; 20]);
    let udp = frame::udp(1024, 53, &[0; 20]);
    let v4 = frame::Ipv4::new([192, 0, 2, 1], [198, 51, 100, 1], UDP).packet(&udp);
    match kind {
        "IPv4 UDP" => frame::ethernet(frame::IPV4, &v4),
        "IPv4 TCP" => {
            let packet = frame::Ipv4::new([192, 0, 2, 1], [198, 51, 100, 1], TCP).packet(&tcp);
            frame::ethernet(frame::IPV4, &packet)
        }
        "IPv6 TCP" => {
            let packet = frame::ipv6("2001:db8::1", "2001:db8::2", TCP, &tcp);
            frame::ethernet(frame::IPV6, &packet)
        }
        "IPv6 with extensions" => {
            let headers = frame::extension(DESTINATION, &frame::extension(TCP, &tcp));
            let packet = frame::ipv6("2001:db8::1", "2001:db8::2", HOP_BY_HOP, &headers);
            frame::ethernet(frame::IPV6, &packet)
        }
        "VLAN" => frame::ethernet(frame::DOT1Q, &frame::tag(7, frame::IPV4, &v4)),
        "QinQ" => {
            let inner = frame::tag(8, frame::IPV4, &v4);
            frame::ethernet(frame::DOT1AD, &frame::tag(7, frame::DOT1Q, &inner))
        }
        "MPLS" => frame::ethernet(frame::MPLS, &frame::mpls(&[16, 17], &v4)),
        _ => unreachable!("a kind of the list"),
    }
}

#[divan::bench]
fn hash(bencher: Bencher) {
    let id = id(1);
    let item = bencher.counter(ItemsCount::new(1u32));
    item.bench(|| table::hash(&table::words(black_box(&id)), black_box(&HASH_KEYS)));
}

#[divan::bench]
fn add(bencher: Bencher) {
    let mut metrics = record(1, NOW).record.metrics;
    let seen = table::Sighting {
        packets: 1,
        octets: 46,
        flags: 0x10,
        tos: 0,
        ttl: 64,
    };
    let item = bencher.counter(ItemsCount::new(1u32));
    item.bench_local(|| table::add(black_box(&mut metrics), black_box(&seen), NOW));
}

#[divan::bench]
fn victim(bencher: Bencher) {
    let mut set = Set::default();
    for (slot, flow) in set.iter_mut().zip(1..) {
        slot.entry = record(flow, NOW);
    }
    let item = bencher.counter(ItemsCount::new(1u32));
    item.bench_local(|| table::victim(black_box(&mut set)).entry.hash);
}

/// From the kernel's log to a batch of the exporter's own.
#[divan::bench]
fn drain(bencher: Bencher) {
    const RECORDS: u32 = 32 * 1024;
    let mut log = Log::new();
    let waiting = records(RECORDS, 1_000_000, 1, NOW);
    let mut out = Vec::with_capacity(TOGETHER);
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        // Writing is measured too: about as much as is read.
        log.write(&waiting);
        let mut read = 0;
        while read < waiting.len() {
            out.clear();
            read += log.parts.drain.read_log(TOGETHER, &mut out);
        }
        black_box(&out);
    });
}

fn cache(max_flows: u32) -> FlowCache {
    FlowCache::new(Policy {
        max_flows: NonZeroU32::new(max_flows).expect("not zero"),
        ..Policy::default()
    })
}

/// A cache that holds so many flows.
fn filled(flows: u32) -> FlowCache {
    let mut cache = cache(flows);
    let all: Vec<_> = (0..flows).map(|flow| record(flow, NOW)).collect();
    merge(&mut cache, &all);
    assert_eq!(cache.len(), flows as usize);
    cache
}

const FLOWS: [u32; 5] = [1_000, 16_000, 131_072, 256_000, 1_000_000];

/// Records of flows that are in the cache.
#[divan::bench(args = FLOWS, sample_count = 40, sample_size = 1)]
fn merge_known(bencher: Bencher, flows: u32) {
    const RECORDS: u32 = 64 * 1024;
    let mut cache = filled(flows);
    let mut seed = 0;
    bencher
        .counter(ItemsCount::new(RECORDS))
        .with_inputs(|| {
            seed += 1;
            records(RECORDS, flows, seed, NOW)
        })
        .bench_local_refs(|records| merge(&mut cache, records));
}

/// As many records as flows, in a cache that is new: memory comes from the kernel.
#[divan::bench(args = FLOWS, sample_count = 10, sample_size = 1)]
fn merge_first(bencher: Bencher, flows: u32) {
    let all: Vec<_> = (0..flows).map(|flow| record(flow, NOW)).collect();
    bencher
        .counter(ItemsCount::new(flows))
        .with_inputs(|| cache(flows))
        .bench_local_refs(|cache| merge(cache, &all));
}

/// As many records as flows, in a cache whose flows have all ended.
#[divan::bench(args = FLOWS, sample_count = 10, sample_size = 1)]
fn merge_new(bencher: Bencher, flows: u32) {
    let all: Vec<_> = (0..flows).map(|flow| record(flow, NOW)).collect();
    bencher
        .counter(ItemsCount::new(flows))
        .with_inputs(|| {
            let mut cache = filled(flows);
            end_all(&mut cache);
            cache
        })
        .bench_local_refs(|cache| merge(cache, &all));
}

fn merge(cache: &mut FlowCache, records: &[HashedRecord]) {
    let mut ended = Vec::new();
    for batch in records.chunks(TOGETHER) {
        let _ = cache.merge(batch, NOW, &mut ended);
    }
    assert!(ended.is_empty(), "no flow ends");
}

fn end_all(cache: &mut FlowCache) {
    const LATER: u64 = NOW + 60_000_000_000;
    let mut ended = Vec::new();
    while !cache.is_empty() {
        let _ = cache.expire(LATER, 16 * 1024, &mut ended);
        ended.clear();
    }
}

/// Records of new flows in a cache that is full: each ends the oldest flow.
#[divan::bench(args = [131_072, 1_000_000], sample_count = 20, sample_size = 1)]
fn merge_new_in_full_cache(bencher: Bencher, flows: u32) {
    const RECORDS: u32 = 64 * 1024;
    let mut cache = filled(flows);
    let mut next = flows;
    let mut now = NOW;
    bencher
        .counter(ItemsCount::new(RECORDS))
        .with_inputs(|| {
            now += 1_000_000;
            let new: Vec<_> = (next..next + RECORDS)
                .map(|flow| record(flow, now))
                .collect();
            next += RECORDS;
            new
        })
        .bench_local_refs(|records| {
            let mut ended = Vec::new();
            for batch in records.chunks(TOGETHER) {
                let _ = cache.merge(batch, NOW, &mut ended);
                ended.clear();
            }
        });
}

/// Flows that end for the idle timeout.
#[divan::bench(args = FLOWS, sample_count = 10, sample_size = 1)]
fn expire(bencher: Bencher, flows: u32) {
    bencher
        .counter(ItemsCount::new(flows))
        .with_inputs(|| filled(flows))
        .bench_local_refs(end_all);
}

fn ended() -> Vec<Record> {
    const RECORDS: u32 = 1024;
    (0..RECORDS)
        .map(|flow| {
            let ended = EndedFlow {
                id: id(flow),
                metrics: record(flow, NOW).record.metrics,
                reason: ebpfix::record::FlowEndReason::IdleTimeout,
                duplicate: false,
            };
            let now = UnixTime::from(std::time::SystemTime::now());
            ended.into_record(now, NOW, "eth0".into(), [192, 0, 2, 1].into())
        })
        .collect()
}

/// A Transport Session and the layouts of its records, of the default profile.
struct Exporter {
    layouts: Layouts,
    session: Session,
    buffer: Vec<u8>,
}

impl Exporter {
    fn new(protocol: Protocol) -> Self {
        let elements = Elements::of_default_profile(protocol);
        let layouts = Layouts::new(protocol, &elements, 256).expect("layouts");
        let mut session = Session::new(SessionOptions::udp(protocol, 1, 0));
        for layout in layouts.records() {
            session.register(layout).expect("a template that fits");
        }
        Self {
            layouts,
            session,
            buffer: Vec::new(),
        }
    }

    /// Writes all records, of one kind, as messages.
    fn write(&mut self, records: &[Record], mut message: impl FnMut(&[u8])) {
        const NOW_MS: u64 = 1_795_536_000_000;
        let layout = self.layouts.of(&records[0]).expect("every record has one");
        let mut rest = records;
        while !rest.is_empty() {
            self.buffer.clear();
            let mut writer = self.session.begin(&mut self.buffer, NOW_MS);
            let written = writer.write_all(layout, rest).expect("a record that fits");
            rest = &rest[written..];
            let finished = writer.finish().expect("a message with records");
            self.session.commit(finished).expect("it was begun last");
            message(&self.buffer);
        }
    }
}

const PROTOCOLS: [Protocol; 2] = [Protocol::Ipfix, Protocol::NetflowV9];

/// From ended flows to messages.
#[divan::bench(args = PROTOCOLS)]
fn encode(bencher: Bencher, protocol: Protocol) {
    let records = ended();
    let mut exporter = Exporter::new(protocol);
    bencher
        .counter(ItemsCount::new(records.len()))
        .bench_local(|| exporter.write(&records, |message| assert!(!message.is_empty())));
}

/// The same, and each message sent by UDP to a socket on the loopback that nobody reads.
#[divan::bench(args = PROTOCOLS)]
fn encode_and_send(bencher: Bencher, protocol: Protocol) {
    let records = ended();
    let mut exporter = Exporter::new(protocol);
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let sender = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = receiver.local_addr().expect("an address");
    sender.connect(address).expect("to connect");
    bencher
        .counter(ItemsCount::new(records.len()))
        .bench_local(|| {
            exporter.write(&records, |message| {
                sender.send(message).expect("to send");
            });
        });
}
