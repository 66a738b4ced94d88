//! Frames of every kind, with what the dissector must make of each.
#![allow(
    clippy::too_many_lines,
    clippy::type_complexity,
    clippy::wildcard_imports,
    reason = "tables of cases are read row by row"
)]

use super::*;

use ebpfix_probes::dissect::{MAX_ENCAPSULATIONS, MAX_EXTENSION_HEADERS};

/// A frame and what it is.
pub struct Case {
    pub name: String,
    pub link: Link,
    pub offloaded_tag: Option<u16>,
    pub segmented: bool,
    pub octets: Vec<u8>,
    /// Where the network header begins, or what is there instead.
    pub network: usize,
    /// Octets from the start of the frame without which nothing can be said of it.
    pub needed: usize,
    /// Whether the IP header says no length, so that the packet goes to the end of the frame.
    pub unbounded: bool,
    pub expected: Expected,
}

/// What must come out.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Expected {
    /// A Flow Key and facts.
    Flow(FlowId, Facts),
    /// No IP: the link layer's part of the key.
    LayerTwo(FlowId),
    /// No Flow Key.
    Nothing(Reason),
}

/// Every case.
pub fn corpus() -> Vec<Case> {
    [
        transports(),
        ipv4_variants(),
        vlans(),
        mpls_and_pppoe(),
        extension_headers(),
        fragments(),
        without_link_header(),
        not_ip(),
        lengths(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl Case {
    /// An untagged Ethernet frame of one packet, its headers from octet 14 on.
    fn ethernet(name: &str, octets: Vec<u8>, needed: usize, expected: Expected) -> Self {
        Self {
            name: name.to_owned(),
            link: Link::Ethernet,
            offloaded_tag: None,
            segmented: false,
            octets,
            network: 14,
            needed,
            unbounded: false,
            expected,
        }
    }

    /// The same with so many octets of encapsulation behind the Ethernet header.
    fn behind(self, octets: usize) -> Self {
        Self {
            network: self.network + octets,
            needed: self.needed + octets,
            ..self
        }
    }
}

/// Each transport protocol in IPv4 and IPv6: ports, ICMP type and code, octets of headers.
fn transports() -> Vec<Case> {
    let body = [0x77; 11];
    let mut cases = Vec::new();
    // Name, protocol, packet, octets that must be seen of it, octets of header in facts, key's ports.
    let rows: [(&str, u8, Vec<u8>, usize, u32, bool); 8] = [
        ("TCP", TCP, tcp(0x018, &body), 14, 20, true),
        ("UDP", UDP, udp(&body), 4, 8, true),
        ("UDP-Lite", UDP_LITE, udp(&body), 4, 8, true),
        ("DCCP", DCCP, dccp(&body), 4, 0, true),
        ("SCTP", SCTP, sctp(&body), 4, 12, true),
        ("OSPF", OSPF, body.to_vec(), 0, 0, false),
        ("GRE", 47, body.to_vec(), 0, 0, false),
        ("reserved 255", 255, body.to_vec(), 0, 0, false),
    ];
    for (name, protocol, packet, seen, headers, has_ports) in rows {
        let flags = if protocol == TCP { 0x018 } else { 0 };
        let payload = u32::try_from(packet.len()).unwrap();
        let ported = |id| if has_ports { with_ports(id) } else { id };
        let with_flags = |facts| Facts { flags, ..facts };
        cases.push(Case::ethernet(
            &format!("{name} in IPv4"),
            ethernet(ETH_P_IP, &ipv4(protocol, &packet)),
            34 + seen,
            Expected::Flow(
                ported(key_v4(protocol)),
                with_flags(facts(20 + payload, 20 + headers)),
            ),
        ));
        cases.push(Case::ethernet(
            &format!("{name} in IPv6"),
            ethernet(ETH_P_IPV6, &ipv6(protocol, &packet)),
            54 + seen,
            Expected::Flow(
                ported(key_v6(protocol)),
                with_flags(facts(40 + payload, 40 + headers)),
            ),
        ));
    }
    cases.push(Case::ethernet(
        "ICMP echo request",
        ethernet(ETH_P_IP, &ipv4(ICMP, &icmp(8, 0, &body))),
        36,
        Expected::Flow(
            FlowId {
                dst_port: 0x0800,
                ..key_v4(ICMP)
            },
            facts(39, 20),
        ),
    ));
    cases.push(Case::ethernet(
        "ICMPv6 destination unreachable, port",
        ethernet(ETH_P_IPV6, &ipv6(ICMPV6, &icmp(1, 4, &body))),
        56,
        Expected::Flow(
            FlowId {
                dst_port: 0x0104,
                ..key_v6(ICMPV6)
            },
            facts(59, 40),
        ),
    ));
    cases.push(Case::ethernet(
        "UDP of no payload",
        ethernet(ETH_P_IP, &ipv4(UDP, &udp(&[]))),
        38,
        Expected::Flow(with_ports(key_v4(UDP)), facts(28, 28)),
    ));
    cases
}

/// Options, and what a link adds behind the packet.
fn ipv4_variants() -> Vec<Case> {
    let mut cases = Vec::new();
    for words in 1..=10_usize {
        let options = vec![1; words * 4];
        let length = u32::try_from(words * 4).unwrap();
        cases.push(Case::ethernet(
            &format!("IPv4 with {words} words of options"),
            ethernet(ETH_P_IP, &ipv4_with(UDP, &options, 0, &udp(b"abc"))),
            38 + words * 4,
            Expected::Flow(with_ports(key_v4(UDP)), facts(31 + length, 28 + length)),
        ));
    }
    let mut padded = ethernet(ETH_P_IP, &ipv4(TCP, &tcp(0x002, &[])));
    padded.resize(60, 0);
    cases.push(Case::ethernet(
        "a TCP SYN padded to Ethernet's minimum",
        padded,
        48,
        Expected::Flow(
            with_ports(key_v4(TCP)),
            Facts {
                flags: 0x002,
                ..facts(40, 40)
            },
        ),
    ));
    let mut padded = ethernet(ETH_P_IPV6, &ipv6(NO_NEXT_HEADER, &[]));
    padded.extend([0xff; 6]);
    cases.push(Case::ethernet(
        "IPv6 of no payload, padded",
        padded,
        54,
        Expected::Flow(key_v6(NO_NEXT_HEADER), facts(40, 40)),
    ));
    cases
}

fn udp_v4() -> Vec<u8> {
    ipv4(UDP, &udp(b"abc"))
}

fn udp_v6() -> Vec<u8> {
    ipv6(UDP, &udp(b"abc"))
}

/// The untagged frame of [`udp_v4`], for [`Case::behind`].
fn udp_v4_case(name: &str, octets: Vec<u8>, id: FlowId) -> Case {
    let expected = Expected::Flow(with_ports(id), facts(31, 28));
    Case::ethernet(name, octets, 38, expected)
}

/// The untagged frame of [`udp_v6`], for [`Case::behind`].
fn udp_v6_case(name: &str, octets: Vec<u8>, id: FlowId) -> Case {
    let expected = Expected::Flow(with_ports(id), facts(51, 48));
    Case::ethernet(name, octets, 58, expected)
}

/// Name, tags in the frame, offloaded tag, the VLANs of the key.
type Row = (&'static str, &'static [(u16, u16)], Option<u16>, (u16, u16));

/// Tags in the frame, taken out of it, and both.
fn vlans() -> Vec<Case> {
    let vlan = |vlan_id, customer_vlan_id| FlowId {
        vlan_id,
        customer_vlan_id,
        ..key_v4(UDP)
    };
    let mut cases = Vec::new();
    // Priority and DEI bits are set in some, and belong to no VLAN.
    let rows: [Row; 17] = [
        ("802.1Q", &[(VLAN, 0xf00a)], None, (10, 0)),
        ("802.1ad", &[(SERVICE_VLAN, 0x1fff - 1)], None, (4094, 0)),
        ("0x9100", &[(OLD_SERVICE_VLAN, 11)], None, (11, 0)),
        ("offloaded", &[], Some(0xf00c), (12, 0)),
        ("offloaded and 802.1Q", &[(VLAN, 13)], Some(12), (12, 13)),
        (
            "QinQ 802.1ad",
            &[(SERVICE_VLAN, 1), (VLAN, 2)],
            None,
            (1, 2),
        ),
        ("QinQ 802.1Q", &[(VLAN, 1), (VLAN, 2)], None, (1, 2)),
        ("the same VLAN twice", &[(VLAN, 7), (VLAN, 7)], None, (7, 7)),
        (
            "three tags",
            &[(SERVICE_VLAN, 1), (VLAN, 2), (VLAN, 3)],
            None,
            (1, 2),
        ),
        (
            "offloaded and two",
            &[(VLAN, 2), (VLAN, 3)],
            Some(1),
            (1, 2),
        ),
        ("priority tag", &[(VLAN, 0xe000)], None, (0, 0)),
        ("priority tag offloaded", &[], Some(0xe000), (0, 0)),
        (
            "priority tag, then VLAN",
            &[(VLAN, 0xe000), (VLAN, 9)],
            None,
            (9, 0),
        ),
        (
            "VLAN, then priority tag",
            &[(VLAN, 9), (VLAN, 0x2000)],
            None,
            (9, 0),
        ),
        (
            "VLAN, priority tag, VLAN",
            &[(VLAN, 9), (VLAN, 0), (VLAN, 8)],
            None,
            (9, 8),
        ),
        (
            "as many tags as are looked through",
            &[(VLAN, 5); MAX_ENCAPSULATIONS],
            None,
            (5, 5),
        ),
        (
            "as many tags as are looked through, one offloaded",
            &[(VLAN, 5); MAX_ENCAPSULATIONS],
            Some(4),
            (4, 5),
        ),
    ];
    for (name, tags, offloaded_tag, (outer, inner)) in rows {
        cases.push(Case {
            offloaded_tag,
            ..udp_v4_case(name, tagged(tags, ETH_P_IP, &udp_v4()), vlan(outer, inner))
                .behind(4 * tags.len())
        });
    }
    cases.push(
        Case::ethernet(
            "more tags than are looked through",
            tagged(&[(VLAN, 5); MAX_ENCAPSULATIONS + 1], ETH_P_IP, &udp_v4()),
            14,
            Expected::Nothing(Reason::TooDeep),
        )
        .behind(4 * MAX_ENCAPSULATIONS),
    );
    cases
}

fn mpls_and_pppoe() -> Vec<Case> {
    let mut cases = Vec::new();
    for depth in 1..=MAX_ENCAPSULATIONS {
        let labels: Vec<u32> = (0..depth)
            .map(|n| 0xf_0000 + u32::try_from(n).unwrap())
            .collect();
        cases.push(
            udp_v4_case(
                &format!("{depth} labels, IPv4"),
                ethernet(MPLS, &label_stack(&labels, &udp_v4())),
                key_v4(UDP),
            )
            .behind(4 * depth),
        );
        cases.push(
            udp_v6_case(
                &format!("{depth} labels, IPv6, multicast"),
                ethernet(MPLS_MULTICAST, &label_stack(&labels, &udp_v6())),
                key_v6(UDP),
            )
            .behind(4 * depth),
        );
        // A pseudowire's control word begins with a nibble of 0 (RFC 4385 section 3).
        cases.push(
            Case::ethernet(
                &format!("{depth} labels, pseudowire"),
                ethernet(MPLS, &label_stack(&labels, &[0, 0, 0, 0, 0x45])),
                15,
                Expected::LayerTwo(key_link(0)),
            )
            .behind(4 * depth),
        );
    }
    let deep = [16; MAX_ENCAPSULATIONS + 1];
    cases.push(
        Case::ethernet(
            "more labels than are looked through",
            ethernet(MPLS, &label_stack(&deep, &udp_v4())),
            14,
            Expected::Nothing(Reason::TooDeep),
        )
        .behind(4 * MAX_ENCAPSULATIONS),
    );
    let in_vlan = FlowId {
        vlan_id: 66,
        ..key_v4(UDP)
    };
    cases.push(
        udp_v4_case(
            "labels in a VLAN",
            tagged(&[(VLAN, 66)], MPLS, &label_stack(&[17, 18], &udp_v4())),
            in_vlan,
        )
        .behind(12),
    );
    cases.push(
        udp_v4_case(
            "PPPoE, IPv4",
            ethernet(PPPOE_SESSION, &pppoe(0x0021, &udp_v4())),
            key_v4(UDP),
        )
        .behind(8),
    );
    cases.push(
        udp_v6_case(
            "PPPoE, IPv6",
            ethernet(PPPOE_SESSION, &pppoe(0x0057, &udp_v6())),
            key_v6(UDP),
        )
        .behind(8),
    );
    cases.push(
        udp_v4_case(
            "PPPoE in a VLAN",
            tagged(&[(VLAN, 66)], PPPOE_SESSION, &pppoe(0x0021, &udp_v4())),
            in_vlan,
        )
        .behind(12),
    );
    cases.push(
        Case::ethernet(
            "PPPoE, LCP",
            ethernet(PPPOE_SESSION, &pppoe(0xc021, &[9, 0, 0, 8, 1, 2, 3, 4])),
            14,
            Expected::LayerTwo(key_link(PPPOE_SESSION)),
        )
        .behind(8),
    );
    let tags = [(VLAN, 66); MAX_ENCAPSULATIONS];
    let session = pppoe(0x0021, &udp_v4());
    cases.push(
        udp_v4_case(
            "PPPoE in as many VLANs as leave room for it",
            tagged(&tags[1..], PPPOE_SESSION, &session),
            FlowId {
                customer_vlan_id: 66,
                ..in_vlan
            },
        )
        .behind(4 * (MAX_ENCAPSULATIONS - 1) + 8),
    );
    cases.push(
        Case::ethernet(
            "PPPoE in too many VLANs",
            tagged(&tags, PPPOE_SESSION, &session),
            14,
            Expected::Nothing(Reason::TooDeep),
        )
        .behind(4 * MAX_ENCAPSULATIONS),
    );
    cases
}

/// Each extension header alone, chains, and what ends them.
fn extension_headers() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in [
        HOP_BY_HOP,
        ROUTING,
        DESTINATION_OPTIONS,
        MOBILITY,
        HIP,
        SHIM6,
    ] {
        for units in [1_u8, 2, 5, 32] {
            let octets = usize::from(units) * 8;
            let more = u32::from(units) * 8;
            cases.push(Case::ethernet(
                &format!("extension header {kind} of {octets} octets"),
                ethernet(
                    ETH_P_IPV6,
                    &ipv6(kind, &extension(UDP, units, &udp(b"abc"))),
                ),
                58 + octets,
                Expected::Flow(with_ports(key_v6(UDP)), facts(51 + more, 48 + more)),
            ));
        }
    }
    for words in [3_u8, 6, 7] {
        let more = u32::from(words) * 4;
        cases.push(Case::ethernet(
            &format!("Authentication Header of {words} words"),
            ethernet(
                ETH_P_IPV6,
                &ipv6(AH, &authentication(TCP, words, &tcp(0x011, &[]))),
            ),
            68 + usize::from(words) * 4,
            Expected::Flow(
                with_ports(key_v6(TCP)),
                Facts {
                    flags: 0x011,
                    ..facts(60 + more, 60 + more)
                },
            ),
        ));
    }
    for count in 1..=MAX_EXTENSION_HEADERS + 1 {
        let mut packet = udp(b"abc");
        let mut next = UDP;
        for _ in 0..count {
            packet = extension(next, 1, &packet);
            next = DESTINATION_OPTIONS;
        }
        let more = u32::try_from(count * 8).unwrap();
        let deep = count > MAX_EXTENSION_HEADERS;
        cases.push(Case::ethernet(
            &format!("{count} extension headers"),
            ethernet(ETH_P_IPV6, &ipv6(DESTINATION_OPTIONS, &packet)),
            if deep {
                54 + 8 * (count - 2) + 2
            } else {
                58 + 8 * count
            },
            if deep {
                Expected::Nothing(Reason::TooDeep)
            } else {
                Expected::Flow(with_ports(key_v6(UDP)), facts(51 + more, 48 + more))
            },
        ));
    }
    // All kinds in the order of RFC 8200 section 4.1: 16 + 8 + 24 + 8 + 12 octets.
    let mixed = extension(
        DESTINATION_OPTIONS,
        2,
        &extension(
            ROUTING,
            1,
            &extension(
                FRAGMENT,
                3,
                &fragment(AH, 0, true, &authentication(TCP, 3, &tcp(0x010, b"xy"))),
            ),
        ),
    );
    cases.push(Case::ethernet(
        "a chain of every kind",
        ethernet(ETH_P_IPV6, &ipv6(HOP_BY_HOP, &mixed)),
        54 + 68 + 14,
        Expected::Flow(
            with_ports(key_v6(TCP)),
            Facts {
                flags: 0x010,
                ..facts(40 + 68 + 22, 40 + 68 + 20)
            },
        ),
    ));
    for (name, last) in [("ESP", ESP), ("no next header", NO_NEXT_HEADER)] {
        cases.push(Case::ethernet(
            &format!("{name} behind IPv6"),
            ethernet(ETH_P_IPV6, &ipv6(last, &[0x99; 24])),
            54,
            Expected::Flow(key_v6(last), facts(64, 40)),
        ));
        cases.push(Case::ethernet(
            &format!("{name} behind an extension header"),
            ethernet(
                ETH_P_IPV6,
                &ipv6(HOP_BY_HOP, &extension(last, 1, &[0x99; 24])),
            ),
            56,
            Expected::Flow(key_v6(last), facts(72, 48)),
        ));
    }
    cases
}

/// First fragments carry ports, later ones none.
fn fragments() -> Vec<Case> {
    let syn = |facts| Facts {
        flags: 0x002,
        ..facts
    };
    let v4 = |fragment, payload: &[u8]| ethernet(ETH_P_IP, &ipv4_with(TCP, &[], fragment, payload));
    let v6 = |next, offset, more, payload: &[u8]| {
        ethernet(
            ETH_P_IPV6,
            &ipv6(FRAGMENT, &fragment(next, offset, more, payload)),
        )
    };
    let segment = tcp(0x002, &[0x55; 12]);
    let tiny = &segment[..8];
    let truncated = Expected::Nothing(Reason::Truncated);
    vec![
        Case::ethernet(
            "IPv4 first fragment",
            v4(MORE_FRAGMENTS, &segment),
            48,
            Expected::Flow(with_ports(key_v4(TCP)), syn(facts(52, 40))),
        ),
        Case::ethernet(
            "IPv4 middle fragment",
            v4(MORE_FRAGMENTS | 4, &segment),
            34,
            Expected::Flow(key_v4(TCP), facts(52, 20)),
        ),
        Case::ethernet(
            "IPv4 last fragment, offset in the high octet only",
            v4(0x0100, &segment),
            34,
            Expected::Flow(key_v4(TCP), facts(52, 20)),
        ),
        Case::ethernet(
            "IPv4 with don't fragment and the reserved bit",
            v4(0xc000, &segment),
            48,
            Expected::Flow(with_ports(key_v4(TCP)), syn(facts(52, 40))),
        ),
        Case::ethernet(
            "IPv4 tiny first fragment",
            v4(MORE_FRAGMENTS, tiny),
            38,
            Expected::Flow(with_ports(key_v4(TCP)), facts(28, 20)),
        ),
        Case::ethernet(
            "IPv4 first fragment cut in the ports",
            v4(MORE_FRAGMENTS, &segment[..3]),
            34,
            truncated,
        ),
        Case::ethernet("IPv4 whole packet cut in TCP", v4(0, tiny), 34, truncated),
        Case::ethernet(
            "IPv4 whole packet cut before the flags",
            v4(0, &segment[..13]),
            34,
            truncated,
        ),
        Case::ethernet(
            "IPv6 first fragment",
            v6(TCP, 0, true, &segment),
            76,
            Expected::Flow(with_ports(key_v6(TCP)), syn(facts(80, 68))),
        ),
        Case::ethernet(
            "IPv6 later fragment",
            v6(TCP, 1, true, &segment),
            58,
            Expected::Flow(key_v6(TCP), facts(80, 48)),
        ),
        Case::ethernet(
            "IPv6 last fragment, offset in the high octet only",
            v6(TCP, 0x100, false, &segment),
            58,
            Expected::Flow(key_v6(TCP), facts(80, 48)),
        ),
        Case::ethernet(
            "IPv6 atomic fragment (RFC 6946)",
            v6(TCP, 0, false, &segment),
            76,
            Expected::Flow(with_ports(key_v6(TCP)), syn(facts(80, 68))),
        ),
        Case::ethernet(
            "IPv6 tiny first fragment",
            v6(TCP, 0, true, tiny),
            66,
            Expected::Flow(with_ports(key_v6(TCP)), facts(56, 48)),
        ),
        Case::ethernet(
            "IPv6 atomic fragment cut in TCP: a whole packet, not a first fragment",
            v6(TCP, 0, false, tiny),
            58,
            truncated,
        ),
        Case::ethernet(
            "IPv6 tiny first fragment with an atomic one in it",
            v6(FRAGMENT, 0, true, &fragment(TCP, 0, false, tiny)),
            74,
            Expected::Flow(with_ports(key_v6(TCP)), facts(64, 56)),
        ),
        Case::ethernet(
            "IPv6 first fragment of UDP cut in the ports",
            v6(UDP, 0, true, &segment[..3]),
            58,
            truncated,
        ),
        Case::ethernet(
            "IPv6 first fragment behind a routing header",
            ethernet(
                ETH_P_IPV6,
                &ipv6(
                    ROUTING,
                    &extension(FRAGMENT, 1, &fragment(UDP, 0, true, &udp(&[]))),
                ),
            ),
            74,
            Expected::Flow(with_ports(key_v6(UDP)), facts(64, 64)),
        ),
    ]
}

/// Devices without a link header: the first nibble tells.
fn without_link_header() -> Vec<Case> {
    let raw = |name: &str, octets, needed, expected| Case {
        link: Link::None,
        network: 0,
        ..Case::ethernet(name, octets, needed, expected)
    };
    let flow = |id, facts| Expected::Flow(with_ports(without_macs(id)), facts);
    let mut cases = vec![
        raw("raw IPv4", udp_v4(), 24, flow(key_v4(UDP), facts(31, 28))),
        raw("raw IPv6", udp_v6(), 44, flow(key_v6(UDP), facts(51, 48))),
        Case {
            offloaded_tag: Some(5),
            ..raw(
                "raw IPv4 with a tag that only Ethernet can have",
                udp_v4(),
                24,
                flow(key_v4(UDP), facts(31, 28)),
            )
        },
    ];
    for nibble in (0..16).filter(|nibble| ![4, 6].contains(nibble)) {
        cases.push(raw(
            &format!("raw, first nibble {nibble}"),
            [&[nibble << 4 | 5], &udp_v4()[1..]].concat(),
            1,
            Expected::LayerTwo(FlowId::default()),
        ));
    }
    cases
}

/// Frames that carry no IP: the link layer's fields are filled.
fn not_ip() -> Vec<Case> {
    let body = [0xaa; 46];
    let mut cases = Vec::new();
    for (name, ethertype, shown) in [
        ("LLC: a length, not a type", 0x0026, 0),
        ("the greatest length", 0x05ff, 0),
        ("the least type", 0x0600, 0x0600),
        ("ARP", 0x0806, 0x0806),
        ("loopback", 0x9000, 0x9000),
        ("PPPoE discovery", 0x8863, 0x8863),
        ("type 0", 0, 0),
        ("type ffff", 0xffff, 0xffff),
    ] {
        cases.push(Case::ethernet(
            name,
            ethernet(ethertype, &body),
            14,
            Expected::LayerTwo(key_link(shown)),
        ));
    }
    cases.push(
        Case::ethernet(
            "ARP in QinQ",
            tagged(&[(SERVICE_VLAN, 3), (VLAN, 4)], 0x0806, &body),
            14,
            Expected::LayerTwo(FlowId {
                vlan_id: 3,
                customer_vlan_id: 4,
                ..key_link(0x0806)
            }),
        )
        .behind(8),
    );
    cases.push(
        Case::ethernet(
            "a length in a VLAN",
            tagged(&[(VLAN, 3)], 0x0026, &body),
            14,
            Expected::LayerTwo(FlowId {
                vlan_id: 3,
                ..key_link(0)
            }),
        )
        .behind(4),
    );
    cases
}

/// Headers that say no length: super-packets beyond 64 KiB.
fn lengths() -> Vec<Case> {
    let mut v4 = ethernet(ETH_P_IP, &ipv4(TCP, &tcp(0x010, &[0x66; 100])));
    v4[16..18].fill(0);
    let mut options = ethernet(
        ETH_P_IP,
        &ipv4_with(TCP, &[1; 8], 0, &tcp(0x010, &[0x66; 100])),
    );
    options[16..18].fill(0);
    let mut v6 = ethernet(ETH_P_IPV6, &ipv6(TCP, &tcp(0x010, &[0x66; 100])));
    v6[18..20].fill(0);
    // A jumbo payload option (RFC 2675 section 2), as the kernel's "BIG TCP" has it.
    let mut jumbo = ipv6(HOP_BY_HOP, &extension(TCP, 1, &tcp(0x010, &[0x66; 100])));
    jumbo[4..6].fill(0);
    jumbo[42..48].copy_from_slice(&[0xc2, 4, 0, 0, 0, 128]);
    let jumbo = ethernet(ETH_P_IPV6, &jumbo);
    let ack = |id, octets, headers| {
        Expected::Flow(
            with_ports(id),
            Facts {
                flags: 0x010,
                ..facts(octets, headers)
            },
        )
    };
    let unbounded = |segmented, case| Case {
        segmented,
        unbounded: true,
        ..case
    };
    let truncated = Expected::Nothing(Reason::Truncated);
    vec![
        unbounded(
            true,
            Case::ethernet(
                "IPv4 total length 0",
                v4.clone(),
                48,
                ack(key_v4(TCP), 140, 40),
            ),
        ),
        // Captures on the sending host have it without a sign that the frame is segmented.
        unbounded(
            false,
            Case::ethernet(
                "IPv4 total length 0, captured",
                v4,
                48,
                ack(key_v4(TCP), 140, 40),
            ),
        ),
        unbounded(
            true,
            Case::ethernet(
                "IPv4 total length 0, options",
                options,
                56,
                ack(key_v4(TCP), 148, 48),
            ),
        ),
        unbounded(
            true,
            Case::ethernet(
                "IPv6 payload length 0, segmented",
                v6.clone(),
                68,
                ack(key_v6(TCP), 160, 60),
            ),
        ),
        Case::ethernet(
            "IPv6 payload length 0, one packet: TCP is not within",
            v6,
            54,
            truncated,
        ),
        // The hop-by-hop header is the host's own note; it never gets onto the wire.
        unbounded(
            true,
            Case::ethernet(
                "IPv6 jumbo payload, segmented",
                jumbo.clone(),
                76,
                ack(key_v6(TCP), 160, 60),
            ),
        ),
        Case::ethernet("IPv6 jumbogram, one packet", jumbo, 56, truncated),
    ]
}
