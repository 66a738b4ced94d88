//! What a record says of a flow besides its counts, and frames that are hard to read: built by hand,
//! injected, read in nfdump.

use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ebpfix_tests::frame::{
    DOT1AD, DOT1Q, IPV4, IPV6, Ipv4, MPLS, PPPOE, authentication, ethernet, extension, fragment,
    icmp, ipv6, mpls, ports, pppoe, protocol, tag, tcp, udp,
};
use ebpfix_tests::process::Program;
use ebpfix_tests::{
    Ebpfix, Injector, Lab, Ledger, Nfcapd, Recorder, Settings, VethOptions, project_root, wait_for,
};
use serde_json::Value;

const PORTS: [u16; 2] = [9001, 9002];
const PROTOCOLS: [&str; 2] = ["ipfix", "netflow-v9"];
const A: [u8; 4] = [192, 0, 2, 1];
const B: [u8; 4] = [198, 51, 100, 2];
const A6: &str = "2001:db8::1";
const B6: &str = "2001:db8:2::2";

/// A flow as nfdump shows it.
type Tuple = (String, String, u64, u64, u64);

struct Observed {
    /// By protocol: the records.
    records: [Vec<Value>; 2],
    ledger: Ledger,
    if_index: u64,
    /// Milliseconds of the Unix epoch, before and after.
    window: (u64, u64),
}

/// Sends the frames into a0 and observes them in the direction: at b0, or at a0 as they leave.
fn observe(
    name: &str,
    direction: &str,
    settings: impl Fn(Settings) -> Settings,
    frames: &[Vec<u8>],
) -> Observed {
    let (lab, a, b) = Lab::pair(name);
    let (observer, interface) = if direction == "ingress" {
        (&b, "b0")
    } else {
        (&a, "a0")
    };
    let nfcapd = PORTS.map(|port| Nfcapd::start(&lab, observer, port));
    let mut configured = settings(Settings::new(interface, &[direction]));
    for (port, protocol) in PORTS.into_iter().zip(PROTOCOLS) {
        configured = configured.collector(port, protocol);
    }
    let ebpfix = Ebpfix::start(&lab, observer, &configured);
    let before = now_ms();
    let injector = Injector::new(&a, "a0");
    for frame in frames {
        injector.send(frame);
    }
    let ledger = ebpfix.wait_observed(frames.len() as u64);
    let after = now_ms();
    let _ = ebpfix.stop();
    Observed {
        records: nfcapd.map(|nfcapd| {
            let result = nfcapd.stop();
            assert_eq!(
                (result.sequence_errors, result.bad_packets),
                (0, 0),
                "{}",
                result.log
            );
            result.records()
        }),
        ledger,
        if_index: observer.if_index(interface),
        window: (before, after),
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

fn text<'a>(record: &'a Value, names: &[&str]) -> &'a str {
    names
        .iter()
        .find_map(|name| record[name].as_str())
        .unwrap_or_default()
}

fn tuple(record: &Value) -> Tuple {
    let number = |name: &str| record[name].as_u64().unwrap_or(0);
    let icmp = number("icmp_type") * 256 + number("icmp_code");
    (
        text(record, &["src4_addr", "src6_addr"]).to_owned(),
        text(record, &["dst4_addr", "dst6_addr"]).to_owned(),
        number("proto"),
        number("src_port"),
        if icmp > 0 { icmp } else { number("dst_port") },
    )
}

/// Packets and octets by flow.
fn counts(records: &[Value]) -> BTreeMap<Tuple, (u64, u64)> {
    let mut sums: BTreeMap<Tuple, (u64, u64)> = BTreeMap::new();
    for record in records {
        let sum = sums.entry(tuple(record)).or_default();
        sum.0 += record["in_packets"].as_u64().unwrap_or(0);
        sum.1 += record["in_bytes"].as_u64().unwrap_or(0);
    }
    sums
}

fn v4(protocol: u8, source_port: u64, destination_port: u64) -> Tuple {
    let dotted = |a: [u8; 4]| std::net::Ipv4Addr::from(a).to_string();
    (
        dotted(A),
        dotted(B),
        u64::from(protocol),
        source_port,
        destination_port,
    )
}

fn v6(protocol: u8, source_port: u64, destination_port: u64) -> Tuple {
    (
        A6.to_owned(),
        B6.to_owned(),
        u64::from(protocol),
        source_port,
        destination_port,
    )
}

fn ip(protocol: u8, payload: &[u8]) -> Vec<u8> {
    Ipv4::new(A, B, protocol).packet(payload)
}

/// A frame that is observed, the flow it belongs to and its IP octets.
struct Case {
    frame: Vec<u8>,
    flow: Tuple,
    octets: u64,
}

/// One packet for each case: every collector has every flow.
fn assert_flows(name: &str, direction: &str, cases: &[Case]) -> Observed {
    let frames: Vec<Vec<u8>> = cases.iter().map(|case| case.frame.clone()).collect();
    let observed = observe(name, direction, |settings| settings, &frames);
    let mut expected: BTreeMap<Tuple, (u64, u64)> = BTreeMap::new();
    for case in cases {
        let sum = expected.entry(case.flow.clone()).or_default();
        sum.0 += 1;
        sum.1 += case.octets;
    }
    for (records, protocol) in observed.records.iter().zip(PROTOCOLS) {
        assert_eq!(counts(records), expected, "{protocol}");
    }
    assert_eq!(
        observed.ledger.lost_in_all().packets,
        0,
        "{:#?}",
        observed.ledger
    );
    observed
}

fn case(frame: Vec<u8>, flow: Tuple, octets: u64) -> Case {
    Case {
        frame,
        flow,
        octets,
    }
}

/// What may stand between the Ethernet header and IP.
fn encapsulations() -> Vec<Case> {
    // Every case has a source port of its own: 20 + 8 + 4 octets of IP each.
    let inner = |port: u16| ip(protocol::UDP, &udp(port, 9, b"data"));
    let inner6 = |port: u16| ipv6(A6, B6, protocol::UDP, &udp(port, 9, b"data"));
    let frames = [
        ethernet(IPV4, &inner(1)),
        ethernet(DOT1Q, &tag(10, IPV4, &inner(2))),
        ethernet(DOT1AD, &tag(100, DOT1Q, &tag(10, IPV4, &inner(3)))),
        ethernet(DOT1Q, &tag(100, DOT1Q, &tag(10, IPV4, &inner(4)))),
        ethernet(MPLS, &mpls(&[16], &inner(5))),
        ethernet(MPLS, &mpls(&[16, 17, 18], &inner(6))),
        ethernet(DOT1Q, &tag(20, MPLS, &mpls(&[19], &inner(7)))),
        ethernet(PPPOE, &pppoe(7, 0x0021, &inner(8))),
        ethernet(DOT1Q, &tag(30, PPPOE, &pppoe(7, 0x0021, &inner(9)))),
        // Priority-tagged: the VLAN identifier is 0.
        ethernet(DOT1Q, &tag(0, IPV4, &inner(10))),
    ];
    let mut cases: Vec<Case> = frames
        .into_iter()
        .zip(1..)
        .map(|(frame, port)| case(frame, v4(protocol::UDP, port, 9), 32))
        .collect();
    let frames = [
        ethernet(IPV6, &inner6(1)),
        ethernet(DOT1Q, &tag(10, IPV6, &inner6(2))),
        ethernet(MPLS, &mpls(&[16], &inner6(3))),
        ethernet(PPPOE, &pppoe(7, 0x0057, &inner6(4))),
    ];
    let cases6 = frames.into_iter().zip(1..);
    cases.extend(cases6.map(|(frame, port)| case(frame, v6(protocol::UDP, port, 9), 52)));
    cases
}

#[test]
fn tags_labels_and_sessions_entering() {
    assert_flows("encapsulations", "ingress", &encapsulations());
}

#[test]
fn tags_labels_and_sessions_leaving() {
    assert_flows("encapsulations", "egress", &encapsulations());
}

#[test]
fn protocols_options_and_fragments_of_ipv4() {
    let options = Ipv4 {
        // Router alert and a no-operation filled to 8 octets.
        options: vec![148, 4, 0, 0, 1, 1, 1, 0],
        ..Ipv4::new(A, B, protocol::UDP)
    };
    let part = |offset, more| Ipv4 {
        fragment_offset: offset,
        more_fragments: more,
        ..Ipv4::new(A, B, protocol::UDP)
    };
    assert_flows(
        "ipv4",
        "ingress",
        &[
            case(
                ethernet(IPV4, &options.packet(&udp(1, 9, b"data"))),
                v4(17, 1, 9),
                40,
            ),
            case(
                ethernet(IPV4, &part(0, true).packet(&udp(2, 9, &[0; 24]))),
                v4(17, 2, 9),
                52,
            ),
            // A later fragment has no ports, whatever its octets look like.
            case(
                ethernet(IPV4, &part(4, true).packet(&[7; 32])),
                v4(17, 0, 0),
                52,
            ),
            case(
                ethernet(IPV4, &part(8, false).packet(&[7; 8])),
                v4(17, 0, 0),
                28,
            ),
            case(
                ethernet(IPV4, &ip(protocol::TCP, &tcp(3, 80, 0x02, b""))),
                v4(6, 3, 80),
                40,
            ),
            case(
                ethernet(IPV4, &ip(protocol::SCTP, &ports(4, 9))),
                v4(132, 4, 9),
                36,
            ),
            case(
                ethernet(IPV4, &ip(protocol::DCCP, &ports(5, 9))),
                v4(33, 5, 9),
                36,
            ),
            case(
                ethernet(IPV4, &ip(protocol::UDP_LITE, &ports(6, 9))),
                v4(136, 6, 9),
                36,
            ),
            case(
                ethernet(IPV4, &ip(protocol::ICMP, &icmp(3, 1))),
                v4(1, 0, 3 * 256 + 1),
                28,
            ),
            case(
                ethernet(IPV4, &ip(protocol::GRE, &[0; 24])),
                v4(47, 0, 0),
                44,
            ),
            case(
                ethernet(IPV4, &ip(protocol::ESP, &[9; 24])),
                v4(50, 0, 0),
                44,
            ),
            // Ethernet pads small frames; the padding is no part of the packet.
            case(
                [
                    ethernet(IPV4, &ip(protocol::UDP, &udp(7, 9, b""))),
                    vec![0; 18],
                ]
                .concat(),
                v4(17, 7, 9),
                28,
            ),
        ],
    );
}

#[test]
fn extension_headers_and_fragments_of_ipv6() {
    let udp_packet = |port: u16| udp(port, 9, b"data");
    let chain = extension(
        protocol::ROUTING,
        &extension(
            protocol::DESTINATION,
            &extension(protocol::UDP, &udp_packet(3)),
        ),
    );
    let frame = |next, payload: &[u8]| ethernet(IPV6, &ipv6(A6, B6, next, payload));
    assert_flows(
        "ipv6",
        "ingress",
        &[
            case(frame(protocol::UDP, &udp_packet(1)), v6(17, 1, 9), 52),
            case(
                frame(
                    protocol::HOP_BY_HOP,
                    &extension(protocol::UDP, &udp_packet(2)),
                ),
                v6(17, 2, 9),
                60,
            ),
            case(frame(protocol::HOP_BY_HOP, &chain), v6(17, 3, 9), 76),
            case(
                frame(
                    protocol::AUTHENTICATION,
                    &authentication(protocol::UDP, &udp_packet(4)),
                ),
                v6(17, 4, 9),
                76,
            ),
            case(
                frame(
                    protocol::FRAGMENT,
                    &fragment(protocol::UDP, 0, true, &udp(5, 9, &[0; 8])),
                ),
                v6(17, 5, 9),
                64,
            ),
            case(
                frame(
                    protocol::FRAGMENT,
                    &fragment(protocol::UDP, 2, false, &[7; 16]),
                ),
                v6(17, 0, 0),
                64,
            ),
            case(
                frame(protocol::ICMPV6, &icmp(128, 0)),
                v6(58, 0, 128 * 256),
                48,
            ),
            case(
                frame(protocol::TCP, &tcp(6, 443, 0x12, b"")),
                v6(6, 6, 443),
                60,
            ),
            case(frame(protocol::NO_NEXT, b""), v6(59, 0, 0), 40),
            case(frame(protocol::ESP, &[9; 16]), v6(50, 0, 0), 56),
        ],
    );
}

#[test]
fn a_record_names_addresses_interfaces_times_flags_and_service() {
    for direction in ["ingress", "egress"] {
        let service = Ipv4 {
            tos: 0xb8,
            ..Ipv4::new(A, B, protocol::TCP)
        };
        let packets = [0x02, 0x10, 0x18, 0x11].map(|flags| {
            let segment = service.packet(&tcp(1000, 80, flags, b""));
            ethernet(DOT1AD, &tag(100, DOT1Q, &tag(10, IPV4, &segment)))
        });
        let observed = observe("fields", direction, |settings| settings, &packets);
        for (records, protocol) in observed.records.iter().zip(PROTOCOLS) {
            let [record] = &records[..] else {
                panic!("{protocol}: one flow, not {records:#?}")
            };
            let what = format!("{direction}, {protocol}: {record:#}");
            assert_eq!(record["in_packets"], 4, "{what}");
            assert_eq!(record["in_bytes"], 160, "{what}");
            assert_eq!(record["src_tos"], 0xb8, "{what}");
            // nfdump spells the flags out: ACK, PSH, SYN and FIN were set, URG and RST not.
            assert_eq!(text(record, &["tcp_flags"]), "...AP.SF", "{what}");
            let (source, destination, interface, other) = match direction {
                "ingress" => ("in_src_mac", "in_dst_mac", "input_snmp", "output_snmp"),
                _ => ("out_src_mac", "out_dst_mac", "output_snmp", "input_snmp"),
            };
            assert_eq!(
                text(record, &[source]).to_lowercase(),
                "02:00:00:00:00:01",
                "{what}"
            );
            assert_eq!(
                text(record, &[destination]).to_lowercase(),
                "02:00:00:00:00:02",
                "{what}"
            );
            assert_eq!(record[interface], observed.if_index, "{what}");
            assert_eq!(record[other].as_u64().unwrap_or(0), 0, "{what}");
            let outgoing = record["direction"].as_u64().unwrap_or(0);
            assert_eq!(outgoing, u64::from(direction == "egress"), "{what}");
            assert_eq!(record["src_vlan"], 100, "{what}");
            for name in ["first", "last"] {
                let time = wall_ms(text(record, &[name]));
                let (before, after) = observed.window;
                // A millisecond of rounding on either side.
                assert!(
                    time + 1 >= before && time <= after + 1,
                    "{name} {time} {before}..{after}: {what}"
                );
            }
        }
    }
}

/// What nfdump does not show: the inner tag and why the flow ended, as tshark decodes them.
#[test]
fn a_record_names_the_customer_vlan_and_the_reason_of_its_end() {
    let (lab, a, b) = Lab::pair("customer vlan");
    let recorders = PORTS.map(|port| Recorder::start(&b, port));
    let mut settings = Settings::new("b0", &["ingress"]);
    for (port, protocol) in PORTS.into_iter().zip(PROTOCOLS) {
        settings = settings.collector(port, protocol);
    }
    let ebpfix = Ebpfix::start(&lab, &b, &settings);
    let injector = Injector::new(&a, "a0");
    for flags in [0x02, 0x11] {
        let segment = ip(protocol::TCP, &tcp(1000, 80, flags, b""));
        injector.send(&ethernet(
            DOT1AD,
            &tag(100, DOT1Q, &tag(10, IPV4, &segment)),
        ));
    }
    let _ = ebpfix.wait_observed(2);
    // Long before the idle timeout of 15 seconds.
    wait_for("the flow ends by its FIN", Duration::from_secs(8), || {
        (ebpfix.ledger().held.packets == 0).then_some(())
    });
    let _ = ebpfix.stop();
    for (recorder, protocol) in recorders.into_iter().zip(PROTOCOLS) {
        let decoded = fs::read_to_string(recorder.tshark(&lab)).unwrap();
        // 3: end of Flow detected, by the FIN.
        for field in [
            r#""cflow.dot1q_vlan_id": "100""#,
            r#""cflow.dot1q_customer_vlan_id": "10""#,
            r#""cflow.flow_end_reason": "3""#,
            r#""cflow.ethernet_type": "2048""#,
        ] {
            assert!(
                decoded.contains(field),
                "{protocol}: no {field} in\n{decoded}"
            );
        }
    }
}

/// Milliseconds of the epoch of nfdump's `2026-11-24T16:00:00.123` in local time.
fn wall_ms(text: &str) -> u64 {
    let (seconds, milliseconds) = text
        .split_once('.')
        .unwrap_or_else(|| panic!("a time: {text}"));
    let output = std::process::Command::new("date")
        .args(["-d", seconds, "+%s"])
        .output()
        .unwrap();
    let seconds = String::from_utf8(output.stdout).unwrap();
    seconds.trim().parse::<u64>().unwrap() * 1000 + milliseconds.parse::<u64>().unwrap()
}

/// Headers that are cut off or contradict themselves: counted by reason, never a wrong flow.
#[test]
fn lying_and_truncated_headers_make_no_flow() {
    let good = ip(protocol::UDP, &udp(1, 9, b"data"));
    let change = |index: usize, value: u8| {
        let mut packet = good.clone();
        packet[index] = value;
        ethernet(IPV4, &packet)
    };
    let good6 = ipv6(A6, B6, protocol::UDP, &udp(1, 9, b"data"));
    let mut long6 = good6.clone();
    long6[5] = 200;
    let frames = [
        // Header length below 20, and beyond the packet.
        change(0, 0x44),
        change(0, 0x4f),
        // Version 5.
        change(0, 0x55),
        // Total length below the header, and beyond the frame.
        change(3, 19),
        change(3, 200),
        // Cut off in the IP header, in the inner tag (with the outer one cut off the kernel itself drops
        // the frame), in the labels.
        ethernet(IPV4, &good[..12]),
        ethernet(IPV6, &good6[..30]),
        ethernet(DOT1Q, &tag(10, DOT1Q, &[0, 0])),
        ethernet(MPLS, &[0, 1, 0]),
        ethernet(IPV6, &long6),
    ];
    let mut all = frames.to_vec();
    all.push(ethernet(IPV4, &good));
    // ARP and something unknown are no IP.
    all.push(ethernet(0x0806, &[0; 28]));
    all.push(ethernet(0x88b5, &[0; 46]));
    let observed = observe("lying", "ingress", |settings| settings, &all);
    let only = BTreeMap::from([(v4(17, 1, 9), (1, 32))]);
    for (records, protocol) in observed.records.iter().zip(PROTOCOLS) {
        assert_eq!(counts(records), only, "{protocol}");
    }
    let ledger = &observed.ledger;
    assert_eq!(ledger.lost_by("not_ip").packets, 2, "{ledger:?}");
    let bad = ledger.lost_by("malformed").packets + ledger.lost_by("truncated").packets;
    assert_eq!(bad, frames.len() as u64, "{ledger:?}");
    assert_eq!(ledger.lost_in_all().packets, bad + 2, "{ledger:?}");
}

#[test]
fn frames_that_are_not_ip_can_be_flows() {
    let frames = [
        ethernet(0x0806, &[0; 28]),
        ethernet(0x0806, &[0; 28]),
        ethernet(0x88b5, &[0; 46]),
    ];
    let flows = |settings: Settings| settings.observation("non-ip", "\"flow\"");
    let observed = observe("layer 2", "ingress", flows, &frames);
    assert_eq!(
        observed.ledger.lost_in_all().packets,
        0,
        "{:#?}",
        observed.ledger
    );
    for (records, protocol) in observed.records.iter().zip(PROTOCOLS) {
        let mut packets: Vec<u64> = records
            .iter()
            .filter_map(|record| record["in_packets"].as_u64())
            .collect();
        packets.sort_unstable();
        assert_eq!(packets, [1, 2], "{protocol}: {records:#?}");
    }
}

/// A device without link-layer header: tun, in both directions.
#[test]
fn a_tun_device_has_no_ethernet_header() {
    let mut lab = Lab::new("tun");
    let a = lab.namespace("a");
    let entering = [
        Ipv4::new(A, [10, 9, 0, 1], protocol::UDP).packet(&udp(1, 9, b"data")),
        ipv6(A6, B6, protocol::UDP, &udp(2, 9, b"data")),
    ];
    let lines: Vec<String> = entering.iter().map(|packet| in_hex(packet)).collect();
    let file = |name: &str| lab.folder().join(name);
    fs::write(file("packets"), lines.join("\n")).unwrap();
    let program = Program::new("/usr/bin/python3")
        .arg(project_root().join("tests/scripts/tun.py"))
        .arg("tun0")
        .args(["packets", "ready", "go"].map(file));
    let _running = lab.start(&a, &program);
    wait_for("the tun device is open", Duration::from_secs(10), || {
        file("ready").exists().then_some(())
    });
    a.ip(&["link", "set", "tun0", "up"]);
    a.address("tun0", "10.9.0.1/24");
    let nfcapd = Nfcapd::start(&lab, &a, PORTS[0]);
    let settings = Settings::new("tun0", &["ingress", "egress"]).collector(PORTS[0], "ipfix");
    let ebpfix = Ebpfix::start(&lab, &a, &settings);
    fs::write(file("go"), "").unwrap();
    // By way of the routing table: a packet socket would need an address that the device lacks.
    let socket = a.enter(|| UdpSocket::bind("10.9.0.1:3")).unwrap();
    socket.send_to(b"data", "10.9.0.2:9").unwrap();
    let ledger = ebpfix.wait_observed(3);
    assert_eq!(ledger.observed.octets, 32 + 52 + 32, "{ledger:?}");
    let _ = ebpfix.stop();
    let records = nfcapd.stop().records();
    let found: BTreeMap<(u64, u64), (u64, u64)> = records
        .iter()
        .map(|record| {
            let number = |name: &str| record[name].as_u64().unwrap_or(0);
            (
                (number("src_port"), number("direction")),
                (number("in_packets"), number("in_bytes")),
            )
        })
        .collect();
    let expected = BTreeMap::from([((1, 0), (1, 32)), ((2, 0), (1, 52)), ((3, 1), (1, 32))]);
    assert_eq!(found, expected, "{records:#?}");
}

/// Socket buffers whose headers lie in page fragments are read like any other.
#[test]
fn headers_beyond_the_linear_part_are_read() {
    let deep = [protocol::TCP, protocol::DESTINATION, protocol::DESTINATION]
        .into_iter()
        .fold(tcp(7, 8, 0x12, &[0; 900]), |inner, next| {
            extension(next, &inner)
        });
    let frames = [
        ethernet(
            IPV4,
            &Ipv4::new(A, B, protocol::UDP).packet(&udp(1, 2, &[0; 50])),
        ),
        ethernet(
            IPV4,
            &Ipv4::new(A, B, protocol::TCP).packet(&tcp(3, 4, 0x02, &[0; 1000])),
        ),
        ethernet(IPV6, &ipv6(A6, B6, protocol::DESTINATION, &deep)),
        ethernet(
            MPLS,
            &mpls(
                &[16, 17, 18],
                &Ipv4::new(A, B, protocol::UDP).packet(&udp(5, 6, &[0; 9])),
            ),
        ),
    ];
    let (lab, a, b) = Lab::pair("non-linear");
    let nfcapd = Nfcapd::start(&lab, &b, PORTS[0]);
    let settings = Settings::new("b0", &["ingress"]).collector(PORTS[0], "ipfix");
    let ebpfix = Ebpfix::start(&lab, &b, &settings);
    let file = lab.folder().join("frames");
    let lines: Vec<String> = frames.iter().map(|frame| in_hex(frame)).collect();
    fs::write(&file, lines.join("\n")).unwrap();
    let sender = Program::new("/usr/bin/python3")
        .arg(project_root().join("tests/scripts/tx_ring.py"))
        .arg("a0")
        .arg(&file);
    let sent = lab.run(&a, &sender, Duration::from_secs(10));
    assert!(sent.status.success(), "{sent:?}");
    let ledger = ebpfix.wait_observed(4);
    let _ = ebpfix.stop();
    let records = nfcapd.stop().records();
    let octets: Vec<u64> = frames.iter().map(|frame| frame.len() as u64 - 14).collect();
    let expected = BTreeMap::from([
        (v4(protocol::UDP, 1, 2), (1, octets[0])),
        (v4(protocol::TCP, 3, 4), (1, octets[1])),
        (v6(protocol::TCP, 7, 8), (1, octets[2])),
        (v4(protocol::UDP, 5, 6), (1, octets[3] - 12)),
    ]);
    assert_eq!(counts(&records), expected, "{ledger:?}");
}

fn in_hex(octets: &[u8]) -> String {
    octets
        .iter()
        .flat_map(|octet| [octet >> 4, octet & 15])
        .map(hex)
        .collect()
}

fn hex(digit: u8) -> char {
    char::from_digit(u32::from(digit), 16).expect("less than 16")
}

/// The loopback, where every packet is seen leaving and entering.
#[test]
fn the_loopback_is_observed_when_it_is_named() {
    let mut lab = Lab::new("lo");
    let a = lab.namespace("a");
    let b = lab.namespace("b");
    lab.veth((&a, "a0"), (&b, "b0"), VethOptions::default());
    a.address("a0", "10.0.0.1/24");
    b.address("b0", "10.0.0.2/24");
    // The collector is elsewhere, or its own traffic would be observed too.
    let ebpfix = {
        let settings = Settings::new("lo", &["ingress", "egress"])
            .table("[[collector]]\nname = \"far\"\naddress = \"10.0.0.2:9\"\nprotocol = \"ipfix\"");
        Ebpfix::start(&lab, &a, &settings)
    };
    ebpfix_tests::traffic::ping(&lab, &a, "127.0.0.1", 5);
    // Request and answer, each once in both directions, 84 octets of IP.
    let ledger = ebpfix.wait_observed(20);
    assert_eq!(
        (ledger.observed.packets, ledger.observed.octets),
        (20, 20 * 84),
        "{ledger:?}"
    );
    assert_eq!(a.counters("lo").tx_packets, 10);
    let _ = ebpfix.stop();
}
