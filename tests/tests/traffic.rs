//! Traffic by real programs, compared with what the kernel itself counted of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use ebpfix_tests::lab::LinkCounters;
use ebpfix_tests::{
    Count, Ebpfix, Lab, Namespace, Nfcapd, Settings, VethOptions, alone, traffic, wait_for,
};
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};
use serde_json::Value;

const PORT: u16 = 9001;
const A: &str = "10.0.0.1";
const B: &str = "10.0.0.2";
const A6: &str = "2001:db8::1";
const B6: &str = "2001:db8::2";
/// Octets of Ethernet that interface counters have more than IP.
const ETHERNET: u64 = 14;

/// Two hosts that know each other's MAC address, so that only IP moves between them.
fn hosts(name: &str, options: VethOptions) -> (Lab, Namespace, Namespace) {
    let mut lab = Lab::new(name);
    let (a, b) = (lab.namespace("a"), lab.namespace("b"));
    lab.veth((&a, "a0"), (&b, "b0"), options);
    for (host, interface, addresses, neighbours, mac) in [
        (&a, "a0", [A, A6], [B, B6], "02:00:00:00:00:02"),
        (&b, "b0", [B, B6], [A, A6], "02:00:00:00:00:01"),
    ] {
        host.address(interface, &format!("{}/24", addresses[0]));
        host.address(interface, &format!("{}/64", addresses[1]));
        for neighbour in neighbours {
            host.neighbour(interface, neighbour, mac);
        }
    }
    // Each address makes its host join a group and report that. Let it be over.
    let mut before = LinkCounters::default();
    wait_for("the link is quiet", Duration::from_secs(10), || {
        thread::sleep(Duration::from_millis(200));
        let now = b.counters("b0");
        let quiet = now == before;
        before = now;
        quiet.then_some(())
    });
    (lab, a, b)
}

fn both_directions() -> Settings {
    Settings::new("b0", &["ingress", "egress"]).collector(PORT, "ipfix")
}

/// Everything that b0 received and sent, plain packets without offloads.
#[test]
fn tcp_udp_and_echo_in_both_directions_are_what_the_interface_counted() {
    let options = VethOptions {
        mtu: 1500,
        offloads: false,
    };
    let (lab, a, b) = hosts("plain", options);
    let nfcapd = Nfcapd::start(&lab, &b, PORT);
    let before = b.counters("b0");
    let ebpfix = Ebpfix::start(&lab, &b, &both_directions());
    assert_eq!(
        b.counters("b0"),
        before,
        "something moved before the test did"
    );

    traffic::ping(&lab, &a, B, 20);
    traffic::ping(&lab, &a, B6, 20);
    traffic::iperf3(&lab, &a, &b, B, &["--bytes", "8M"]);
    traffic::iperf3(&lab, &a, &b, B6, &["--bytes", "8M"]);
    traffic::iperf3(
        &lab,
        &a,
        &b,
        B,
        &["--udp", "--bitrate", "100M", "--bytes", "4M"],
    );
    traffic::iperf3(
        &lab,
        &a,
        &b,
        B6,
        &["--udp", "--bitrate", "100M", "--bytes", "4M", "--reverse"],
    );

    let counters = b.counters("b0");
    let packets = counters.rx_packets + counters.tx_packets - before.rx_packets - before.tx_packets;
    let octets = counters.rx_octets + counters.tx_octets - before.rx_octets - before.tx_octets;
    let ledger = ebpfix.wait_observed(packets);
    let expected = Count {
        packets,
        octets: octets - ETHERNET * packets,
    };
    assert_eq!(ledger.observed, expected, "{ledger:?}");
    assert_eq!(ledger.lost_in_all(), Count::default(), "{ledger:?}");
    let _ = ebpfix.stop();
    let nfcapd = nfcapd.stop();
    assert_eq!(nfcapd.sequence_errors, 0, "{}", nfcapd.log);
    let records = nfcapd.records();
    assert_eq!(sum(&records, |_| true), expected);

    // Echo: 20 requests and 20 answers, 84 octets of IPv4 or 104 of IPv6 each.
    let echo = |protocol: u64, octets: u64| {
        let types = [0, 8, 128, 129].map(Value::from);
        let found = sum(&records, |record| {
            record["proto"] == protocol && types.contains(&record["icmp_type"])
        });
        let expected = Count {
            packets: 40,
            octets: 40 * octets,
        };
        assert_eq!(found, expected, "protocol {protocol}");
    };
    echo(1, 84);
    echo(58, 104);
}

/// Packets larger than the MTU, which the kernel passes as one: counted as what the wire would see.
#[test]
fn segmentation_offload_counts_segments() {
    let _alone = alone();
    for address in [B, B6] {
        let (lab, a, b) = hosts("gso", OFFLOADS);
        let ebpfix = Ebpfix::start(&lab, &b, &both_directions());
        let before = ebpfix.ledger().observed.packets;
        traffic::iperf3(&lab, &a, &b, address, &["--bytes", "256M"]);
        let segments = segments([&a, &b]);
        let ledger = ebpfix.wait_observed(before + segments);
        assert_eq!(ledger.observed.packets, before + segments, "{ledger:?}");
        assert_eq!(ledger.lost_in_all(), Count::default(), "{ledger:?}");
        assert_large_packets(&b, segments);
        let _ = ebpfix.stop();
    }
}

/// The same for octets: every segment has headers of its own.
#[test]
fn segmentation_offload_counts_the_headers_of_every_segment() {
    const PAYLOAD: usize = 64 << 20;
    let _alone = alone();
    // IP and TCP headers, the latter with time stamps.
    for (address, headers) in [(B, 20 + 32), (B6, 40 + 32)] {
        let (lab, a, b) = hosts("gso", OFFLOADS);
        let nfcapd = Nfcapd::start(&lab, &b, PORT);
        let ebpfix = Ebpfix::start(&lab, &b, &both_directions());
        let listener = b.enter(|| TcpListener::bind((address, 7777))).unwrap();
        let mut sender = a.enter(|| TcpStream::connect((address, 7777))).unwrap();
        let (mut receiver, peer) = listener.accept().unwrap();
        thread::scope(|scope| {
            let received = scope.spawn(move || {
                let received = std::io::copy(&mut receiver, &mut std::io::sink()).unwrap();
                // Both sides have sent their FIN when this is gone.
                drop(receiver);
                received
            });
            sender.write_all(&vec![7; PAYLOAD]).unwrap();
            sender.shutdown(Shutdown::Write).unwrap();
            assert_eq!(received.join().unwrap(), PAYLOAD as u64);
        });
        assert_eq!(sender.read(&mut [0]).unwrap(), 0);
        drop(sender);
        let segments = segments([&a, &b]);
        let ledger = ebpfix.wait_observed(segments);
        assert_eq!(ledger.lost_in_all(), Count::default(), "{ledger:?}");
        assert_large_packets(&b, segments);
        let _ = ebpfix.stop();
        let records = nfcapd.stop().records();
        let data = sum(&records, |record| record["src_port"] == peer.port());
        // The SYN has 8 octets of options more.
        let expected = PAYLOAD as u64 + headers * data.packets + 8;
        let again = snmp(&a, "Tcp:", "RetransSegs");
        if again == 0 {
            assert_eq!(data.octets, expected, "{data:?}");
        } else {
            // What was sent again is at most that many full segments.
            let most = expected + again * 1500;
            assert!(
                (expected..=most).contains(&data.octets),
                "{data:?}: {expected}..{most}"
            );
        }
    }
}

const OFFLOADS: VethOptions = VethOptions {
    mtu: 1500,
    offloads: true,
};

/// Segments that the TCP of both hosts sent, by its own count.
fn segments(hosts: [&Namespace; 2]) -> u64 {
    let sent = |host| snmp(host, "Tcp:", "OutSegs") + snmp(host, "Tcp:", "RetransSegs");
    hosts.into_iter().map(sent).sum()
}

#[track_caller]
fn assert_large_packets(receiver: &Namespace, segments: u64) {
    let link = receiver.counters("b0");
    let packets = link.rx_packets + link.tx_packets;
    assert!(
        segments > 2 * packets,
        "no large packets, nothing was tested: {segments} segments in {packets} packets"
    );
}

/// UDP segmentation offload: one `sendmsg`, ten datagrams.
#[test]
fn udp_segmentation_offload_counts_datagrams() {
    const DATAGRAM: u16 = 1000;
    let (lab, a, b) = hosts("udp gso", OFFLOADS);
    let nfcapd = Nfcapd::start(&lab, &b, PORT);
    let ebpfix = Ebpfix::start(&lab, &b, &both_directions());
    let mut expected = Count::default();
    for (from, to, headers) in [(A, B, 28), (A6, B6, 48)] {
        let receiver = b.enter(|| UdpSocket::bind((to, 7777))).unwrap();
        let sender = a.enter(|| UdpSocket::bind((from, 7778))).unwrap();
        let payload = vec![7; 10 * usize::from(DATAGRAM) - 100];
        let address: SockaddrStorage = receiver.local_addr().unwrap().into();
        let sent = sendmsg(
            sender.as_raw_fd(),
            &[IoSlice::new(&payload)],
            &[ControlMessage::UdpGsoSegments(&DATAGRAM)],
            MsgFlags::empty(),
            Some(&address),
        );
        assert_eq!(sent, Ok(payload.len()));
        expected.packets += 10;
        expected.octets += payload.len() as u64 + 10 * headers;
    }
    let link = b.counters("b0");
    assert!(
        link.rx_packets <= 4,
        "no large packets, nothing was tested: {link:?}"
    );
    let ledger = ebpfix.wait_observed(20);
    assert_eq!(ledger.observed, expected, "{ledger:?}");
    let _ = ebpfix.stop();
    assert_eq!(sum(&nfcapd.stop().records(), |_| true), expected);
}

fn sum(records: &[Value], take: impl Fn(&Value) -> bool) -> Count {
    let mut sum = Count::default();
    for record in records.iter().filter(|record| take(record)) {
        sum.packets += record["in_packets"].as_u64().unwrap();
        sum.octets += record["in_bytes"].as_u64().unwrap();
    }
    sum
}

/// A counter of the namespace in /proc/net/snmp.
fn snmp(namespace: &Namespace, table: &str, name: &str) -> u64 {
    let text = namespace
        .enter(|| fs::read_to_string("/proc/thread-self/net/snmp"))
        .unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with(table));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let counters: BTreeMap<&str, &str> = names.split(' ').zip(values.split(' ')).collect();
    counters[name].parse().unwrap()
}
