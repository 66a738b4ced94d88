//! `NetFlow` v5 over sockets: what fits its one record arrives, the rest is lost by its name; nfcapd and
//! tshark are the judges.

mod export_common;

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use ebpfix::ledger::{Count, LossReason};
use ebpfix::record::Record;
use export_common::judges::{Scratch, nfcapd, nfdump, tshark, write_capture};
use export_common::{Exporter, NOW_MS, Sink, collector_at, record, records, total, unused_port};
use ipfix::Protocol;

/// What can be said of it in `NetFlow` v5.
fn is_ipv4(record: &Record) -> bool {
    record.id.eth_protocol == 0x0800
}

fn parted(records: &[Record]) -> [Vec<Record>; 2] {
    let (ipv4, other) = records.iter().cloned().partition(is_ipv4);
    [ipv4, other]
}

/// A socket and the datagrams that come to it.
struct Datagrams(UdpSocket);

impl Datagrams {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let patience = Some(Duration::from_millis(300));
        socket.set_read_timeout(patience).unwrap();
        Self(socket)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// All that is there when nobody sends any more.
    fn all(&self) -> Vec<Vec<u8>> {
        let mut datagrams = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length) = self.0.recv(&mut buffer) {
            datagrams.push(buffer[..length].to_vec());
        }
        datagrams
    }
}

fn number(octets: &[u8]) -> u64 {
    let more = |number: u64, octet: &u8| number << 8 | u64::from(*octet);
    octets.iter().fold(0, more)
}

#[test]
fn records_of_ipv4_arrive_and_others_are_lost_by_name() {
    let sent = records(1000);
    let [ipv4, other] = parted(&sent);
    assert_eq!((ipv4.len(), other.len()), (400, 600));
    let datagrams = Datagrams::new();
    let exporter = Exporter::start(&[collector_at(datagrams.address(), Protocol::NetflowV5)]);
    for batch in sent.chunks(300) {
        exporter.send(batch.to_vec());
    }
    let (status, snapshot) = exporter.finish();
    assert_eq!(snapshot.exported, total(&ipv4));
    assert_eq!(snapshot.lost.of(LossReason::NotInProtocol), total(&other));
    assert_eq!(snapshot.lost.total(), total(&other));
    assert!(snapshot.is_balanced() && snapshot.held().is_zero());
    assert_eq!((status[0].records, status[0].lost_records), (400, 600));
    assert_eq!(status[0].protocol, "netflow-v5");

    // The packet's fields as Cisco describes them.
    let mut sequence = 0;
    let mut sum = Count::ZERO;
    let datagrams = datagrams.all();
    assert_eq!(status[0].messages, datagrams.len() as u64);
    for datagram in &datagrams {
        assert_eq!(number(&datagram[..2]), 5);
        let count = number(&datagram[2..4]);
        assert!((1..=30).contains(&count));
        assert_eq!(datagram.len() as u64, 24 + 48 * count);
        assert_eq!(number(&datagram[16..20]), sequence);
        // Engine 1, no sampling.
        assert_eq!(datagram[20..24], [0, 1, 0, 0]);
        sequence += count;
        for flow in datagram[24..].chunks(48) {
            sum += Count::new(number(&flow[16..20]), number(&flow[20..24]));
        }
    }
    assert_eq!((sequence, sum), (400, total(&ipv4)));
    // 300 records at a time have 120 of IPv4, of which 60 are of ICMP.
    assert!(datagrams.len() < 40, "{}", datagrams.len());
}

#[test]
fn what_another_collector_is_sent_is_not_lost() {
    let sent = records(500);
    let [ipv4, other] = parted(&sent);
    let datagrams = Datagrams::new();
    let mut sink = Sink::new("127.0.0.1:0".parse().unwrap());
    let exporter = Exporter::start(&[
        collector_at(datagrams.address(), Protocol::NetflowV5),
        collector_at(sink.address(), Protocol::Ipfix),
    ]);
    exporter.send(sent.clone());
    sink.receive_until(|sink| sink.records.len() == 500);
    let (status, snapshot) = exporter.finish();
    assert_eq!(snapshot.exported, total(&sent));
    assert_eq!(snapshot.lost.total(), Count::ZERO);
    assert_eq!(status[0].exported, total(&ipv4));
    assert_eq!(status[0].lost, total(&other));
    assert_eq!(status[1].exported, total(&sent));
    assert!(!datagrams.all().is_empty());
}

/// A header tells one interval: records of another are in another packet.
#[test]
fn each_packet_tells_the_sampling_of_its_records() {
    let intervals = [1, 100, 16_383, 16_384];
    let mut sent: Vec<_> = (0..400).map(|n| record(10 * n + 10)).collect();
    for (n, record) in sent.iter_mut().enumerate() {
        record.id.sampling = intervals[n / 10 % 4];
    }
    let datagrams = Datagrams::new();
    let exporter = Exporter::start(&[collector_at(datagrams.address(), Protocol::NetflowV5)]);
    exporter.send(sent.clone());
    let (_, snapshot) = exporter.finish();
    assert!(snapshot.is_balanced());
    let of = |interval: u32| -> Count {
        let with = |record: &&Record| record.id.sampling == interval;
        let records: Vec<_> = sent.iter().filter(with).cloned().collect();
        total(&records)
    };
    let mut got = [Count::ZERO; 3];
    for datagram in datagrams.all() {
        let at = match number(&datagram[22..24]) {
            0 => 0,
            0x8064 => 1,
            0xbfff => 2,
            other => panic!("sampling {other:#x}"),
        };
        for flow in datagram[24..].chunks(48) {
            got[at] += Count::new(number(&flow[16..20]), number(&flow[20..24]));
        }
    }
    assert_eq!(got, [of(1), of(100), of(16_383)]);
    // The header has no room for it, and a count of it would mean another thing.
    assert_eq!(snapshot.lost.of(LossReason::NotInProtocol), of(16_384));
}

fn large() -> Record {
    let mut record = record(10);
    record.metrics.packets = 9_000_000;
    record.metrics.bytes = 12_345_678_901;
    record
}

#[test]
fn tshark_reads_every_field() {
    let datagrams = Datagrams::new();
    let exporter = Exporter::start(&[collector_at(datagrams.address(), Protocol::NetflowV5)]);
    let mut far = record(1);
    far.id.if_index = 70_000;
    exporter.send(vec![far, record(4), record(5), record(10)]);
    drop(exporter.finish());
    let scratch = Scratch::new("netflow-v5");
    let capture = scratch.0.join("messages.pcap");
    write_capture(&capture, &datagrams.all());
    for (field, values) in [
        ("cflow.version", vec!["5"]),
        ("cflow.packets", vec!["10", "1", "4", "5"]),
        ("cflow.octets", vec!["1000", "100", "400", "500"]),
        (
            "cflow.srcaddr",
            vec!["10.0.0.10", "10.0.0.1", "10.0.0.4", "10.0.0.5"],
        ),
        ("cflow.dstaddr", vec!["192.0.2.7"; 4]),
        ("cflow.nexthop", vec!["0.0.0.0"; 4]),
        ("cflow.inputint", vec!["3", "0", "3", "0"]),
        ("cflow.outputint", vec!["0", "65535", "0", "3"]),
        ("cflow.srcport", vec!["10", "1", "0", "0"]),
        ("cflow.dstport", vec!["443", "443", "2048", "2048"]),
        ("cflow.protocol", vec!["6", "6", "1", "1"]),
        ("cflow.tcpflags", vec!["0x1b", "0x1b", "0x00", "0x00"]),
        ("cflow.tos", vec!["0x10"; 4]),
        ("cflow.timestart", vec!["3597.623000000"; 4]),
        ("cflow.timeend", vec!["3600.123000000"; 4]),
        ("_ws.malformed", vec![]),
    ] {
        assert_eq!(tshark(&capture, field), values, "{field}");
    }
}

#[test]
fn nfdump_adds_up_large_flows_and_finds_the_times() {
    let scratch = Scratch::new("netflow-v5-nfcapd");
    let address = unused_port("127.0.0.1".parse().unwrap());
    let mut collector = nfcapd(&scratch, address);
    let exporter = Exporter::start(&[collector_at(address, Protocol::NetflowV5)]);
    let [mut sent, _] = parted(&records(9));
    sent.push(large());
    exporter.send(sent.clone());
    let (status, snapshot) = exporter.finish();
    assert_eq!(snapshot.exported, total(&sent));
    // 1, 4 and 5, and three for the large one.
    assert_eq!((status[0].records, status[0].refused), (6, 0));
    std::thread::sleep(Duration::from_millis(1500));
    collector.terminate();
    let rows = nfdump(&scratch, "fmt:%pkt|%byt|%sa|%in|%out|%ts|%te");
    let sum = |column: usize| -> u64 {
        let cells = rows.iter().map(|row| row[column].parse::<u64>().unwrap());
        cells.sum()
    };
    assert_eq!(Count::new(sum(0), sum(1)), total(&sent), "{rows:?}");
    assert_eq!(rows.len(), 6);
    assert_eq!(NOW_MS % 1000, 123);
    for row in &rows {
        assert_eq!(
            row[5..],
            ["2026-11-24 16:06:57.623", "2026-11-24 16:07:00.123"]
        );
    }
    let words = scratch.words();
    assert!(words.contains("Sequence Errors: 0"), "{words}");
}
