//! The lab itself: what it sends arrives, and nothing else moves in it.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use std::net::{IpAddr, UdpSocket};

use ebpfix_tests::inject::Order;
use ebpfix_tests::oracle::Source;
use ebpfix_tests::{
    Flood, Injector, Lab, Nfacctd, Nfcapd, Recorder, frame, oracle, shared, traffic,
};
use serde_json::Value;

#[test]
fn a_quiet_link_counts_nothing() {
    let (_lab, a, b) = Lab::pair("quiet");
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
    let (_lab, a, b) = Lab::pair("flood");
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
    let (lab, a, b) = Lab::pair("replay");
    let capture = shared("pcaps/ndpi-gnutella.pcap");
    let replayed = traffic::replay(&lab, &a, "a0", &capture);
    // One frame of this capture has 4 octets.
    assert_eq!(replayed.refused, 1);
    let sum = oracle::sum(&capture);
    assert_eq!(sum["frames"], replayed.sent + 1);
    let counters = b.counters("b0");
    assert_eq!(counters.rx_packets, replayed.sent);
    assert_eq!(sum["l2bytes"], counters.rx_octets + 4);
}

/// The collectors and the comparison, without ebpfix: messages written here by hand from what the
/// oracle reads in a capture. With one packet less the comparison has to notice.
#[test]
fn what_is_sent_by_hand_is_compared_right() {
    const PORTS: [u16; 3] = [9001, 9002, 9003];
    let capture = shared("pcaps/zeek-http-vlan.pcap");
    for (missing, agree) in [(0, true), (1, false)] {
        let mut lab = Lab::new("by hand");
        let a = lab.namespace("a");
        let nfcapd = Nfcapd::start(&lab, &a, PORTS[0]);
        let nfacctd = Nfacctd::start(&lab, &a, PORTS[1]);
        let recorder = Recorder::start(&a, PORTS[2]);
        let message = by_hand(&oracle::flows(&capture), missing);
        let socket = a.enter(|| UdpSocket::bind("127.0.0.1:0")).unwrap();
        for port in PORTS {
            socket.send_to(&message, ("127.0.0.1", port)).unwrap();
        }
        nfacctd.finish();
        let nfcapd = nfcapd.stop();
        assert_eq!(
            (nfcapd.sequence_errors, nfcapd.bad_packets),
            (0, 0),
            "{}",
            nfcapd.log
        );
        let compared = [
            oracle::compare(&capture, Source::Nfcapd, &nfcapd.folder, &[]),
            oracle::compare(&capture, Source::Nfacctd, &nfacctd.stop(), &[]),
            oracle::compare(&capture, Source::Tshark, &recorder.tshark(&lab), &[]),
        ];
        for comparison in compared {
            assert_eq!(comparison.agrees, agree, "{}", comparison.text);
            assert_eq!(comparison.total("differ"), missing, "{}", comparison.text);
        }
    }
}

/// An IPFIX message of IPv4 flows, the first with some packets less.
fn by_hand(flows: &[Value], missing: u64) -> Vec<u8> {
    let elements: [(u16, u16); 7] = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (2, 8), (1, 8)];
    let mut template = vec![1, 0, 0, 7];
    for (id, length) in elements {
        template.extend(id.to_be_bytes());
        template.extend(length.to_be_bytes());
    }
    let mut data = Vec::new();
    for (index, flow) in flows.iter().enumerate() {
        let number = |name: &str| flow[name].as_u64().unwrap();
        let small = |name: &str| u16::try_from(number(name)).unwrap().to_be_bytes();
        for name in ["src", "dst"] {
            let IpAddr::V4(address) = flow[name].as_str().unwrap().parse().unwrap() else {
                panic!("{flow}")
            };
            data.extend(address.octets());
        }
        data.extend(small("sport"));
        data.extend(small("dport"));
        data.push(small("proto")[1]);
        let less = if index == 0 { missing } else { 0 };
        data.extend((number("packets") - less).to_be_bytes());
        data.extend(number("bytes").to_be_bytes());
    }
    let set = |id: u16, content: &[u8]| {
        let length = u16::try_from(content.len() + 4).unwrap();
        [&id.to_be_bytes()[..], &length.to_be_bytes(), content].concat()
    };
    let sets = [set(2, &template), set(256, &data)].concat();
    let length = u16::try_from(sets.len() + 16).unwrap();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let time = u32::try_from(now).unwrap().to_be_bytes();
    [
        &[0, 10],
        &length.to_be_bytes()[..],
        &time,
        &[0; 4],
        &[0, 0, 0, 1],
        &sets,
    ]
    .concat()
}
