//! Captures replayed over a veth pair: every collector has every 5-tuple, to the packet and the octet.

use std::path::Path;

use ebpfix_tests::oracle::{self, Comparison, Source};
use ebpfix_tests::{
    Count, Ebpfix, Lab, Namespace, Nfacctd, Nfcapd, Recorder, Settings, shared, traffic,
};

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
    collectors.compare(&lab, &file, capture.lying);
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

    fn compare(self, lab: &Lab, file: &Path, lying: Count) {
        for nfacctd in &self.nfacctd {
            nfacctd.finish();
        }
        for (nfcapd, protocol) in self.nfcapd.into_iter().zip(PROTOCOLS) {
            let result = nfcapd.stop();
            let comparison = oracle::compare(file, Source::Nfcapd, &result.folder, &[]);
            assert_agrees(&comparison, lying, &format!("nfcapd, {protocol}"));
            assert_eq!(result.sequence_errors, 0, "{protocol}: {}", result.log);
            assert_eq!(result.bad_packets, 0, "{protocol}: {}", result.log);
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
