//! The lab itself: what it sends arrives, and nothing else moves in it.

use std::thread;
use std::time::Duration;

use ebpfix_tests::inject::Order;
use ebpfix_tests::{Flood, Injector, Lab, VethOptions, frame, oracle, shared, traffic};

#[test]
fn a_quiet_link_counts_nothing() {
    let mut lab = Lab::new("quiet");
    let (a, b) = (lab.namespace("a"), lab.namespace("b"));
    lab.veth((&a, "a0"), (&b, "b0"), VethOptions::default());
    thread::sleep(Duration::from_secs(2));
    assert_eq!(b.counters("b0").rx_packets, 0);
    assert_eq!(a.counters("a0").rx_packets, 0);
    let datagram = frame::Ipv4::new([192, 0, 2, 1], [192, 0, 2, 2], frame::protocol::UDP)
        .packet(&frame::udp(1, 2, b"abc"));
    Injector::new(&a, "a0").send(&frame::ethernet(frame::IPV4, &datagram));
    let counters = b.counters("b0");
    assert_eq!((counters.rx_packets, counters.rx_octets), (1, 14 + 31));
}

#[test]
fn a_flood_arrives_whole_and_fast() {
    let mut lab = Lab::new("flood");
    let (a, b) = (lab.namespace("a"), lab.namespace("b"));
    lab.veth((&a, "a0"), (&b, "b0"), VethOptions::default());
    let flood = Flood {
        packets: 300_000,
        flows: 1000,
        order: Order::Random(1),
        threads: 1,
    };
    let sent = flood.send(&a, "a0");
    let counters = b.counters("b0");
    eprintln!("{:.0} packets/s", sent.rate());
    assert_eq!(counters.rx_packets, 300_000);
    assert_eq!(counters.rx_octets, sent.octets + 14 * 300_000);
    assert!(sent.rate() > 50_000.0, "{} packets/s", sent.rate());
    let expected = flood.expected();
    assert_eq!(expected.len(), 1000);
    assert_eq!(
        expected.values().map(|count| count.0).sum::<u64>(),
        sent.packets
    );
    assert_eq!(
        expected.values().map(|count| count.1).sum::<u64>(),
        sent.octets
    );
}

#[test]
fn a_replayed_capture_arrives_whole() {
    let mut lab = Lab::new("replay");
    let (a, b) = (lab.namespace("a"), lab.namespace("b"));
    lab.veth((&a, "a0"), (&b, "b0"), VethOptions::default());
    let capture = shared("pcaps/ndpi-gnutella.pcap");
    let sent = traffic::replay(&lab, &a, "a0", &capture);
    let sum = oracle::sum(&capture);
    assert_eq!(sum["frames"], sent);
    let counters = b.counters("b0");
    assert_eq!(sum["frames"], counters.rx_packets);
    assert_eq!(sum["l2bytes"], counters.rx_octets);
}
