//! Captures replayed over a veth pair: every collector has every 5-tuple, to the packet and the octet,
//! by two judges that have nothing in common with ebpfix: the oracle, and what tshark makes of the capture.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use ebpfix_probes::dissect::Link;
use ebpfix_tests::capture::{self, Captured};
use ebpfix_tests::oracle::{self, Comparison, Source};
use ebpfix_tests::tshark::{self, FiveTuple};
use ebpfix_tests::{
    Count, Ebpfix, Lab, Ledger, Namespace, Nfacctd, Nfcapd, Recorder, Settings, shared, traffic,
};
use frames::corpus::corpus;
use serde_json::Value;

#[path = "../../probes/tests/frames/mod.rs"]
mod frames;

/// Where ebpfix sits, and how it is attached.
#[derive(Clone, Copy)]
struct Place {
    direction: &'static str,
    attach: &'static str,
}

const INGRESS: Place = Place {
    direction: "ingress",
    attach: "auto",
};

/// A capture and what of it cannot be in the records.
struct Capture {
    name: &'static str,
    /// Frames without a whole Ethernet header: no interface can carry them.
    unsendable: u64,
    /// Frames whose IP header claims more octets than there are: ebpfix counts them as malformed,
    /// the oracle believes them. Packets and the octets they claim.
    lying: Count,
}

const fn capture(name: &'static str) -> Capture {
    Capture {
        name,
        unsendable: 0,
        lying: Count {
            packets: 0,
            octets: 0,
        },
    }
}

macro_rules! captures {
    ($($test:ident: $place:expr, $capture:expr;)*) => {
        /// The captures that have tests of their own.
        const NAMED: &[Capture] = &[$($capture),*];
        $(#[test]
        fn $test() {
            replay_and_compare($place, &$capture);
        })*
    };
}

captures! {
    dns_fragmented: INGRESS, capture("ndpi-dns_fragmented");
    gnutella: INGRESS, Capture { unsendable: 1, ..capture("ndpi-gnutella") };
    http_over_ipv6: INGRESS, capture("ndpi-http_ipv6");
    netflix: INGRESS, capture("ndpi-netflix");
    synscan: INGRESS, capture("ndpi-synscan");
    vxlan: INGRESS, capture("ndpi-vxlan");
    gre: INGRESS, capture("suri-gre-sample");
    // Frame 11 claims 255 octets of IP in a frame of 100.
    mixed_with_a_lying_header: INGRESS,
        Capture { lying: Count { packets: 1, octets: 255 }, ..capture("tcpreplay-test") };
    echo_connections: INGRESS, capture("zeek-echo-connections");
    qinq: INGRESS, capture("zeek-http-qinq");
    vlan: INGRESS, capture("zeek-http-vlan");
    icmpv6: INGRESS, capture("zeek-icmp6-ping");
    mpls_in_vlan: INGRESS, capture("zeek-mpls-in-vlan");
    teredo: INGRESS, capture("zeek-teredo");

    dns_fragmented_egress: Place { direction: "egress", attach: "tcx" }, capture("ndpi-dns_fragmented");
    http_over_ipv6_egress: Place { direction: "egress", attach: "tcx" }, capture("ndpi-http_ipv6");
    qinq_egress: Place { direction: "egress", attach: "tcx" }, capture("zeek-http-qinq");
    mpls_in_vlan_egress: Place { direction: "egress", attach: "tcx" }, capture("zeek-mpls-in-vlan");

    gnutella_clsact: Place { direction: "ingress", attach: "clsact" },
        Capture { unsendable: 1, ..capture("ndpi-gnutella") };
    qinq_clsact: Place { direction: "ingress", attach: "clsact" }, capture("zeek-http-qinq");
    vlan_clsact_egress: Place { direction: "egress", attach: "clsact" }, capture("zeek-http-vlan");
    netflix_clsact_egress: Place { direction: "egress", attach: "clsact" }, capture("ndpi-netflix");
}

/// Six collectors at once: three programs, each by both protocols.
struct Collectors {
    nfcapd: [Nfcapd; 2],
    nfacctd: [Nfacctd; 2],
    recorder: [Recorder; 2],
}

const NFCAPD: [u16; 2] = [9001, 9002];
const NFACCTD: [u16; 2] = [9003, 9004];
const TSHARK: [u16; 2] = [9005, 9006];
const PROTOCOLS: [&str; 2] = ["ipfix", "netflow-v9"];

fn replay_and_compare(place: Place, capture: &Capture) {
    let file = shared(&format!("pcaps/{}.pcap", capture.name));
    let (lab, a, b) = Lab::pair(capture.name);
    let (observer, interface) = match place.direction {
        "ingress" => (&b, "b0"),
        _ => (&a, "a0"),
    };
    let collectors = Collectors::start(&lab, observer);
    let settings = Settings::new(interface, &[place.direction])
        .observation("attach", &format!("\"{}\"", place.attach));
    let ebpfix = Ebpfix::start(&lab, observer, &Collectors::configured(settings));

    let replayed = traffic::replay(&lab, &a, "a0", &file);
    assert_eq!(replayed.refused, capture.unsendable);
    let ledger = ebpfix.wait_observed(replayed.sent);

    let sum = oracle::sum(&file);
    let counters = observer.counters(interface);
    let counted = match place.direction {
        "ingress" => counters.rx_packets,
        _ => counters.tx_packets,
    };
    assert_eq!(ledger.observed.packets, counted, "{ledger:?}");
    let no_ip = sum["nonip_frames"].as_u64().unwrap_or(0) - capture.unsendable;
    assert_eq!(ledger.lost_by("not_ip").packets, no_ip, "{ledger:?}");
    assert_eq!(
        ledger.lost_by("malformed").packets,
        capture.lying.packets,
        "{ledger:?}"
    );
    assert_eq!(
        ledger.lost_in_all().packets,
        no_ip + capture.lying.packets,
        "{ledger:?}"
    );
    let ip_octets = sum["ip_l3bytes"].as_u64().unwrap();
    assert_eq!(
        ledger.exported.octets + ledger.held.octets,
        ip_octets - capture.lying.octets,
        "{ledger:?}"
    );

    let _ = ebpfix.stop();
    let records = collectors.compare(&lab, &file, capture.lying);
    assert_tshark_agrees(&file, &ledger, &records);
}

/// Captures that nobody has looked at: tshark alone says what is in them.
#[test]
fn captures_without_a_test_of_their_own() {
    let entries = fs::read_dir(shared("pcaps")).expect("the captures");
    for entry in entries {
        let file = entry.expect("a capture").path();
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        if NAMED.iter().all(|capture| capture.name != name) {
            replay_and_ask_tshark(&name, &capture::read(&file));
        }
    }
}

/// The frames of the dissector's own tests as a capture, whole and cut at many places, each of another
/// source address: tags, labels, sessions, options, extension headers, fragments, every transport.
#[test]
fn frames_of_every_kind() {
    replay_and_ask_tshark("every-kind", &every_kind());
}

/// Where the frames leave: before they enter, the kernel takes tags off, and drops a frame whose tag is
/// not whole.
fn replay_and_ask_tshark(name: &str, frames: &[Captured]) {
    let (lab, a, _b) = Lab::pair(name);
    // Whatever kind of file it was, whatever link headers the frames had.
    let frames: Vec<Captured> = frames.iter().map(Captured::with_ethernet).collect();
    let file = lab.folder().join("frames.pcap");
    capture::write(&file, &frames);
    let nfcapd = Nfcapd::start(&lab, &a, NFCAPD[0]);
    let settings = Settings::new("a0", &["egress"]).collector(NFCAPD[0], PROTOCOLS[0]);
    let ebpfix = Ebpfix::start(&lab, &a, &settings);
    let replayed = traffic::replay(&lab, &a, "a0", &file);
    let ledger = ebpfix.wait_observed(replayed.sent);
    let _ = ebpfix.stop();
    let opinion = assert_tshark_agrees(&file, &ledger, &nfcapd.stop().records());
    assert_eq!(replayed.refused, opinion.unsendable, "{name}");
}

/// Flow by flow, and reason by reason. Frames of which tshark says too little may be anywhere.
#[track_caller]
fn assert_tshark_agrees(file: &Path, ledger: &Ledger, records: &[Value]) -> tshark::Opinion {
    let opinion = tshark::opinion(file);
    let found = flows_of(records);
    // What ebpfix has and tshark has not; whether it is the other way round anywhere.
    let mut unexplained = 0;
    let mut lacks = false;
    let mut differences = Vec::new();
    let tuples: BTreeSet<&FiveTuple> = opinion.flows.keys().chain(found.keys()).collect();
    for tuple in tuples {
        let expected = opinion.flows.get(tuple).copied().unwrap_or_default();
        let found = found.get(tuple).copied().unwrap_or_default();
        if found != expected {
            differences.push(format!("{tuple:?}: tshark {expected:?}, ebpfix {found:?}"));
            lacks |= found.packets <= expected.packets;
            unexplained += found.packets.saturating_sub(expected.packets);
        }
    }
    for reason in ["not_ip", "truncated", "malformed", "too_deep"] {
        let expected = opinion.lost.get(reason).copied().unwrap_or_default();
        let found = ledger.lost_by(reason).packets;
        if found != expected {
            differences.push(format!("{reason}: tshark {expected}, ebpfix {found}"));
            lacks |= found < expected;
            unexplained += found.saturating_sub(expected);
        }
    }
    let undecided = opinion.undecided.len() as u64;
    assert!(
        !lacks && unexplained == undecided,
        "{}: {} frames undecided by tshark: {:?}\n{} differences:\n{}",
        file.display(),
        undecided,
        &opinion.undecided[..opinion.undecided.len().min(20)],
        differences.len(),
        differences[..differences.len().min(40)].join("\n")
    );
    opinion
}

fn flows_of(records: &[Value]) -> BTreeMap<FiveTuple, Count> {
    let mut flows: BTreeMap<FiveTuple, Count> = BTreeMap::new();
    for record in records {
        let number = |name: &str| record[name].as_u64().unwrap_or(0);
        let port = |name| u16::try_from(number(name)).expect("a port");
        let address = |v4: &str, v6: &str| {
            let text = record[v4].as_str().or(record[v6].as_str());
            let text = text.unwrap_or_else(|| panic!("no address: {record}"));
            text.parse().expect("an address")
        };
        let protocol = u8::try_from(number("proto")).expect("a protocol number");
        let ports = match protocol {
            1 | 58 if record.get("icmp_type").is_some() => {
                (0, port("icmp_type") * 256 + port("icmp_code"))
            }
            _ => (port("src_port"), port("dst_port")),
        };
        let source = address("src4_addr", "src6_addr");
        let destination = address("dst4_addr", "dst6_addr");
        let count = flows
            .entry((source, destination, protocol, ports.0, ports.1))
            .or_default();
        count.packets += number("in_packets");
        count.octets += number("in_bytes");
    }
    flows
}

/// Frames of which some were captured in part.
fn every_kind() -> Vec<Captured> {
    let mut frames = Vec::new();
    for case in corpus() {
        let is_as_on_the_wire = case.offloaded_tag.is_none() && !case.segmented;
        if case.link != Link::Ethernet || !is_as_on_the_wire {
            continue;
        }
        let whole = case.octets.len();
        let cuts = (0..24).map(|cut| case.network + 3 * cut).chain([whole, 13]);
        for kept in cuts.filter(|kept| *kept <= whole) {
            // Filling. As an option it would be none that exists, and tshark would go no further.
            let octets = case.octets.iter();
            let mut octets: Vec<u8> = octets
                .map(|&octet| if octet == 0xee { 0 } else { octet })
                .collect();
            // The end of the source address, where there is one.
            let version = octets.get(case.network).map_or(0, |first| first >> 4);
            let at = case.network + if version == 6 { 22 } else { 14 };
            if let (4 | 6, Some(end)) = (version, octets.get_mut(at..at + 2)) {
                let number = u16::try_from(frames.len()).expect("some thousand frames");
                end.copy_from_slice(&number.to_be_bytes());
            }
            octets.truncate(kept);
            frames.push(Captured {
                link_type: 1,
                octets,
                wire_length: u32::try_from(whole).expect("a frame"),
            });
        }
    }
    frames
}

impl Collectors {
    fn start(lab: &Lab, namespace: &Namespace) -> Self {
        Self {
            nfcapd: NFCAPD.map(|port| Nfcapd::start(lab, namespace, port)),
            nfacctd: NFACCTD.map(|port| Nfacctd::start(lab, namespace, port)),
            recorder: TSHARK.map(|port| Recorder::start(namespace, port)),
        }
    }

    fn configured(mut settings: Settings) -> Settings {
        for ports in [NFCAPD, NFACCTD, TSHARK] {
            for (port, protocol) in ports.into_iter().zip(PROTOCOLS) {
                settings = settings.collector(port, protocol);
            }
        }
        settings
    }

    /// Gives the records of the first.
    fn compare(self, lab: &Lab, file: &Path, lying: Count) -> Vec<Value> {
        let mut records = Vec::new();
        for nfacctd in &self.nfacctd {
            nfacctd.finish();
        }
        for (nfcapd, protocol) in self.nfcapd.into_iter().zip(PROTOCOLS) {
            let result = nfcapd.stop();
            let comparison = oracle::compare(file, Source::Nfcapd, &result.folder, &[]);
            assert_agrees(&comparison, lying, &format!("nfcapd, {protocol}"));
            assert_eq!(result.sequence_errors, 0, "{protocol}: {}", result.log);
            assert_eq!(result.bad_packets, 0, "{protocol}: {}", result.log);
            if records.is_empty() {
                records = result.records();
            }
        }
        for (nfacctd, protocol) in self.nfacctd.into_iter().zip(PROTOCOLS) {
            let received = nfacctd.stop();
            let comparison = oracle::compare(file, Source::Nfacctd, &received, &[]);
            assert_agrees(&comparison, lying, &format!("nfacctd, {protocol}"));
        }
        for (recorder, protocol) in self.recorder.into_iter().zip(PROTOCOLS) {
            let received = recorder.tshark(lab);
            let comparison = oracle::compare(file, Source::Tshark, &received, &[]);
            assert_agrees(&comparison, lying, &format!("tshark, {protocol}"));
        }
        records
    }
}

/// All 5-tuples agree, but for one that lacks what the lying headers claim.
#[track_caller]
fn assert_agrees(comparison: &Comparison, lying: Count, who: &str) {
    if lying.packets == 0 {
        assert!(comparison.agrees, "{who}: {}", comparison.text);
        return;
    }
    let total = |name| comparison.total(name);
    let lacking = Count {
        packets: total("oracle_packets") - total("collector_packets"),
        octets: total("oracle_bytes") - total("collector_bytes"),
    };
    let tuples = (total("missing") + total("differ"), total("extra"));
    assert_eq!(
        (lacking, tuples),
        (lying, (1, 0)),
        "{who}: {}",
        comparison.text
    );
}
