//! The dissector over built frames: what it makes of each, whole, cut short and lying.

mod frames;

use ebpfix_probes::abi::{FlowId, ETH_P_IP, ETH_P_IPV6};
use ebpfix_probes::dissect::{Facts, Frame, Link, Reason, SliceFrame, MAX_EXTENSION_HEADERS};
use frames::corpus::{corpus, Case, Expected};
use frames::*;

fn frame_of<'a>(case: &Case, octets: &'a [u8]) -> SliceFrame<'a> {
    SliceFrame::new(octets).segmented(case.segmented)
}

fn seen_of(case: &Case, octets: &[u8]) -> (FlowId, Facts, Result<(), Reason>) {
    seen(&frame_of(case, octets), case.link, case.offloaded_tag)
}

fn assert_expected(
    what: &str,
    (id, facts, outcome): (FlowId, Facts, Result<(), Reason>),
    expected: &Expected,
) {
    match *expected {
        Expected::Flow(key, known) => {
            assert_eq!(outcome, Ok(()), "{what}");
            assert_eq!(id, key, "{what}");
            assert_eq!(facts, known, "{what}");
        }
        Expected::LayerTwo(key) => {
            assert_eq!(outcome, Err(Reason::NotIp), "{what}");
            assert_eq!(id, key, "{what}");
            assert_eq!(facts, Facts::default(), "{what}");
        }
        Expected::Nothing(reason) => assert_eq!(outcome, Err(reason), "{what}"),
    }
}

#[test]
fn every_kind_of_frame_is_seen_for_what_it_is() {
    for case in corpus() {
        assert_expected(&case.name, seen_of(&case, &case.octets), &case.expected);
    }
}

/// A frame that really ends early: never another Flow Key.
///
/// - Before the fixed part of the IP header (or what tells that it is none) is there: truncated.
/// - Then, before the end of the IP packet by its own length: malformed, for the length lies.
/// - Behind the packet, in the padding: as if whole.
/// - A packet without a length goes to the end of the frame: the same key with fewer octets, as
///   long as all headers are there.
#[test]
fn a_frame_cut_short_gives_no_flow_or_the_same() {
    for case in corpus() {
        for cut in 0..case.octets.len() {
            let what = format!("{}, cut after {cut}", case.name);
            let found = seen_of(&case, &case.octets[..cut]);
            match case.expected {
                Expected::Flow(key, known) => {
                    let fixed = if key.eth_protocol == ETH_P_IP { 20 } else { 40 };
                    let end = case.network + usize::try_from(known.octets).unwrap();
                    let options = if key.eth_protocol == ETH_P_IP {
                        usize::from(case.octets[case.network] & 0x0f) * 4
                    } else {
                        40
                    };
                    let expected = if cut < case.network + fixed {
                        Expected::Nothing(Reason::Truncated)
                    } else if !case.unbounded {
                        if cut < end {
                            Expected::Nothing(Reason::Malformed)
                        } else {
                            case.expected
                        }
                    } else if cut < case.network + options {
                        Expected::Nothing(Reason::Malformed)
                    } else if cut < case.needed {
                        Expected::Nothing(Reason::Truncated)
                    } else {
                        let missing = u32::try_from(case.octets.len() - cut).unwrap();
                        Expected::Flow(
                            key,
                            Facts {
                                octets: known.octets - missing,
                                ..known
                            },
                        )
                    };
                    assert_expected(&what, found, &expected);
                }
                Expected::LayerTwo(_) if cut >= case.needed => {
                    assert_expected(&what, found, &case.expected);
                }
                Expected::LayerTwo(_) => assert_eq!(found.2, Err(Reason::Truncated), "{what}"),
                Expected::Nothing(_) => assert!(found.2.is_err(), "{what}"),
            }
        }
    }
}

/// A capture that has only the beginning of a frame, and its length: the whole frame's verdict as
/// soon as the headers are there, not a moment sooner.
#[test]
fn a_snap_length_hides_nothing_but_what_is_behind_the_headers() {
    for case in corpus() {
        let wire_length = u32::try_from(case.octets.len()).unwrap();
        for cut in 0..case.octets.len() {
            let frame = frame_of(&case, &case.octets[..cut]).with_wire_length(wire_length);
            let found = seen(&frame, case.link, case.offloaded_tag);
            let what = format!("{}, captured {cut}", case.name);
            if cut < case.needed {
                assert_eq!(found.2, Err(Reason::Truncated), "{what}");
            } else {
                assert_expected(&what, found, &case.expected);
            }
        }
    }
}

#[test]
fn what_follows_the_packet_changes_nothing() {
    for case in corpus().iter().filter(|case| !case.unbounded) {
        for padding in [1, 7, 64] {
            let padded = [&case.octets[..], &vec![0x5a; padding]].concat();
            let what = format!("{} and {padding} octets", case.name);
            assert_expected(&what, seen_of(case, &padded), &case.expected);
        }
    }
}

#[test]
fn a_slice_frame_is_no_shorter_than_its_octets() {
    let octets = [1, 2, 3, 4];
    let frame = SliceFrame::new(&octets);
    assert_eq!((frame.len(), frame.is_segmented()), (4, false));
    assert_eq!(frame.with_wire_length(3).len(), 4);
    assert_eq!(frame.with_wire_length(1500).len(), 1500);
    assert!(frame.segmented(true).is_segmented());
    assert_eq!(frame.load::<2>(2), Some([3, 4]));
    assert_eq!(frame.load::<2>(3), None);
    assert_eq!(frame.load::<0>(4), Some([]));
    assert_eq!(frame.load::<1>(4), None);
    assert_eq!(frame.load::<1>(u32::MAX), None);
    assert_eq!(frame.with_wire_length(9).load::<1>(4), None);
}

// ---- Fields, value by value ---------------------------------------------------------------------

fn flow(octets: &[u8]) -> (FlowId, Facts) {
    let (id, facts, outcome) = seen(&SliceFrame::new(octets), Link::Ethernet, None);
    assert_eq!(outcome, Ok(()));
    (id, facts)
}

fn verdict(octets: &[u8]) -> Result<(), Reason> {
    seen(&SliceFrame::new(octets), Link::Ethernet, None).2
}

#[test]
fn all_twelve_control_bits_of_tcp_and_no_more() {
    let one_by_one = (0..12).map(|bit| 1 << bit);
    for flags in one_by_one.chain([0, 0x0fff]) {
        for words in 0..=15 {
            let segment = tcp_with(flags, words, b"data");
            for (packet, header) in [
                (ethernet(ETH_P_IP, &ipv4(TCP, &segment)), 20),
                (ethernet(ETH_P_IPV6, &ipv6(TCP, &segment)), 40),
            ] {
                let (id, facts) = flow(&packet);
                assert_eq!(facts.flags, flags);
                assert_eq!((id.src_port, id.dst_port), (SRC_PORT, DST_PORT));
                // A data offset below 5 contradicts TCP, but ports and flags stand before it.
                let words = u32::from(words.max(5));
                assert_eq!(facts.headers, header + words * 4);
            }
        }
    }
}

#[test]
fn every_icmp_type_and_code() {
    for kind in 0..=255 {
        for code in [0, 1, 4, 13, 255] {
            let expected = (0, u16::from(kind) * 256 + u16::from(code));
            let message = icmp(kind, code, &[]);
            let (id, _) = flow(&ethernet(ETH_P_IP, &ipv4(ICMP, &message)));
            assert_eq!((id.src_port, id.dst_port), expected);
            let (id, _) = flow(&ethernet(ETH_P_IPV6, &ipv6(ICMPV6, &message)));
            assert_eq!((id.src_port, id.dst_port), expected);
        }
    }
    let short = &icmp(8, 0, &[])[..1];
    let found = verdict(&ethernet(ETH_P_IP, &ipv4(ICMP, short)));
    assert_eq!(found, Err(Reason::Truncated));
}

#[test]
fn every_class_of_service_and_time_to_live() {
    for value in 0..=255_u8 {
        let mut v4 = ethernet(ETH_P_IP, &ipv4(UDP, &udp(&[])));
        v4[15] = value;
        v4[22] = !value;
        let (_, facts) = flow(&v4);
        assert_eq!((facts.tos, facts.ttl), (value, !value));

        let mut v6 = ethernet(ETH_P_IPV6, &ipv6(UDP, &udp(&[])));
        v6[14] = 0x60 | value >> 4;
        v6[15] = value << 4 | 0x0f;
        v6[21] = !value;
        let (_, facts) = flow(&v6);
        assert_eq!((facts.tos, facts.ttl), (value, !value));
    }
}

/// Any bit of the fragment offset makes a later fragment, no other bit does.
#[test]
fn every_bit_of_the_fragment_fields() {
    let is_later = |(id, _): (FlowId, Facts)| (id.src_port, id.dst_port) == (0, 0);
    for bit in 0..16 {
        let field = 1 << bit;
        let v4 = ethernet(ETH_P_IP, &ipv4_with(UDP, &[], field, &udp(&[])));
        // RFC 791: three flags, thirteen bits of offset.
        assert_eq!(is_later(flow(&v4)), bit < 13, "IPv4, bit {bit}");

        let mut v6 = ethernet(
            ETH_P_IPV6,
            &ipv6(FRAGMENT, &fragment(UDP, 0, false, &udp(&[]))),
        );
        v6[56..58].copy_from_slice(&u16::to_be_bytes(field));
        // RFC 8200 section 4.5: thirteen bits of offset, two reserved, one flag.
        assert_eq!(is_later(flow(&v6)), bit >= 3, "IPv6, bit {bit}");
    }
}

/// Every protocol number that is no extension header stands in the key as it is.
#[test]
fn every_protocol_number() {
    let extensions = [
        HOP_BY_HOP,
        ROUTING,
        FRAGMENT,
        AH,
        DESTINATION_OPTIONS,
        MOBILITY,
        HIP,
        SHIM6,
    ];
    for protocol in 0..=255 {
        let payload = [0; 40];
        let (id, _) = flow(&ethernet(ETH_P_IP, &ipv4(protocol, &payload)));
        assert_eq!(
            id.transport_protocol, protocol,
            "IPv4 has no extension headers"
        );
        if !extensions.contains(&protocol) {
            let (id, _) = flow(&ethernet(ETH_P_IPV6, &ipv6(protocol, &payload)));
            assert_eq!(id.transport_protocol, protocol);
        }
    }
}

// ---- Headers that lie ---------------------------------------------------------------------------

#[test]
fn a_version_that_is_not_the_ethertypes_is_malformed() {
    for nibble in 0..16_u8 {
        let mut v4 = ethernet(ETH_P_IP, &ipv4(UDP, &udp(&[0; 40])));
        v4[14] = nibble << 4 | 5;
        let expected = if nibble == 4 {
            Ok(())
        } else {
            Err(Reason::Malformed)
        };
        assert_eq!(verdict(&v4), expected, "{nibble} in IPv4");

        let mut v6 = ethernet(ETH_P_IPV6, &ipv6(UDP, &udp(&[0; 40])));
        v6[14] = nibble << 4;
        let expected = if nibble == 6 {
            Ok(())
        } else {
            Err(Reason::Malformed)
        };
        assert_eq!(verdict(&v6), expected, "{nibble} in IPv6");
    }
}

#[test]
fn an_ipv4_header_shorter_than_its_fixed_part_is_malformed() {
    for words in 0..5 {
        let mut octets = ethernet(ETH_P_IP, &ipv4(UDP, &udp(b"abc")));
        octets[14] = 0x40 | words;
        assert_eq!(verdict(&octets), Err(Reason::Malformed), "{words} words");
    }
    // With more words than there are, the total length is less than the header.
    let mut octets = ethernet(ETH_P_IP, &ipv4(UDP, &udp(b"abc")));
    octets[14] = 0x4f;
    assert_eq!(verdict(&octets), Err(Reason::Malformed));
}

#[test]
fn a_total_length_must_hold_the_header_and_lie_in_the_frame() {
    let octets = ethernet(ETH_P_IP, &ipv4(OSPF, &[0; 30]));
    for total in 1..=u16::MAX {
        let mut octets = octets.clone();
        octets[16..18].copy_from_slice(&total.to_be_bytes());
        let expected = if (20..=50).contains(&total) {
            Ok(())
        } else {
            Err(Reason::Malformed)
        };
        assert_eq!(verdict(&octets), expected, "total length {total}");
        // In a later fragment, too.
        octets[21] = 1;
        assert_eq!(
            verdict(&octets),
            expected,
            "total length {total} of a fragment"
        );
    }
}

#[test]
fn an_ipv6_payload_must_lie_in_the_frame() {
    let octets = ethernet(ETH_P_IPV6, &ipv6(OSPF, &[0; 30]));
    for payload in 0..=u16::MAX {
        let mut octets = octets.clone();
        octets[18..20].copy_from_slice(&payload.to_be_bytes());
        let expected = if payload <= 30 {
            Ok(())
        } else {
            Err(Reason::Malformed)
        };
        assert_eq!(verdict(&octets), expected, "payload {payload}");
    }
}

/// The IP length rules, even where the frame goes on: what is behind the packet is no header.
#[test]
fn a_transport_header_beyond_the_packet_is_not_read() {
    for (protocol, least) in [
        (TCP, 14),
        (UDP, 4),
        (UDP_LITE, 4),
        (DCCP, 4),
        (SCTP, 4),
        (ICMP, 2),
    ] {
        for length in 0..40_u16 {
            let mut v4 = ethernet(ETH_P_IP, &ipv4(protocol, &[0x5a; 40]));
            v4[16..18].copy_from_slice(&(20 + length).to_be_bytes());
            let mut v6 = ethernet(ETH_P_IPV6, &ipv6(protocol, &[0x5a; 40]));
            v6[18..20].copy_from_slice(&length.to_be_bytes());
            let expected = if length < least {
                Err(Reason::Truncated)
            } else {
                Ok(())
            };
            assert_eq!(verdict(&v4), expected, "{protocol} of {length} octets");
            assert_eq!(verdict(&v6), expected, "{protocol} of {length} octets");
        }
    }
}

#[test]
fn an_extension_header_beyond_the_packet_is_truncated() {
    for kind in [
        HOP_BY_HOP,
        ROUTING,
        DESTINATION_OPTIONS,
        MOBILITY,
        HIP,
        SHIM6,
    ] {
        for units in 0..=255 {
            // Room for five units and a half: a header of six ends beyond.
            let mut octets = ethernet(ETH_P_IPV6, &ipv6(kind, &extension(OSPF, 5, &[0; 4])));
            octets[55] = units;
            let expected = if units < 5 {
                Ok(())
            } else {
                Err(Reason::Truncated)
            };
            assert_eq!(verdict(&octets), expected, "{kind} of {units}");
            // The same where the frame, but not the packet, goes on.
            octets.extend([0; 4096]);
            assert_eq!(verdict(&octets), expected, "{kind} of {units}, padded");
        }
    }
    for words in 0..=255 {
        let mut octets = ethernet(ETH_P_IPV6, &ipv6(AH, &authentication(OSPF, 6, &[])));
        octets[55] = words;
        let expected = if words <= 4 {
            Ok(())
        } else {
            Err(Reason::Truncated)
        };
        assert_eq!(verdict(&octets), expected, "AH of {words}");
    }
    for length in 0..8 {
        let mut octets = ethernet(ETH_P_IPV6, &ipv6(FRAGMENT, &fragment(UDP, 1, true, &[])));
        octets[19] = length;
        assert_eq!(
            verdict(&octets),
            Err(Reason::Truncated),
            "fragment header of {length}"
        );
    }
}

/// Whatever the kind of the one header too many.
#[test]
fn more_extension_headers_than_are_looked_through_are_too_deep() {
    type Header = fn(u8, &[u8]) -> Vec<u8>;
    let common: Header = |next, payload| extension(next, 1, payload);
    let kinds: [(u8, Header); 8] = [
        (HOP_BY_HOP, common),
        (ROUTING, common),
        (DESTINATION_OPTIONS, common),
        (MOBILITY, common),
        (HIP, common),
        (SHIM6, common),
        (AH, |next, payload| authentication(next, 4, payload)),
        (FRAGMENT, |next, payload| fragment(next, 0, true, payload)),
    ];
    for (kind, header) in kinds {
        let last = header(UDP, &udp(&[]));
        let chain = (1..MAX_EXTENSION_HEADERS).fold(last, |chain, _| header(kind, &chain));
        assert_eq!(
            verdict(&ethernet(ETH_P_IPV6, &ipv6(kind, &chain))),
            Ok(()),
            "{kind}"
        );
        let longer = header(kind, &chain);
        let found = verdict(&ethernet(ETH_P_IPV6, &ipv6(kind, &longer)));
        assert_eq!(found, Err(Reason::TooDeep), "{kind}");
    }
}

/// A `PPPoE` session's own length is not looked at: the IP packet's is bound by the frame.
#[test]
fn pppoe_lengths_do_not_matter() {
    let mut octets = ethernet(PPPOE_SESSION, &pppoe(0x0021, &ipv4(UDP, &udp(b"abc"))));
    let honest = flow(&octets);
    octets[18..20].fill(0xff);
    assert_eq!(flow(&octets), honest);
}

// ---- Packets on the wire ------------------------------------------------------------------------

/// Facts of a super-packet of `payload` octets.
fn super_packet(headers: u32, payload: u32) -> Facts {
    Facts {
        octets: headers + payload,
        headers,
        ..Facts::default()
    }
}

#[test]
fn segments_repeat_the_headers() {
    // Headers of IPv4 and IPv6 with TCP (plain, with time stamps) and UDP.
    for headers in [40, 52, 60, 72, 28, 48] {
        for (payload, segment, packets) in [
            (14_480, 1_448, 10),
            (14_481, 1_448, 11),
            (14_479, 1_448, 10),
            (1_448, 1_448, 1),
            (1, 1_448, 1),
            (1_449, 1_448, 2),
            (65_000, 536, 122),
            (500_000, 1_448, 346),
        ] {
            let facts = super_packet(headers, payload);
            let octets = u64::from(payload) + packets * u64::from(headers);
            let told = u32::try_from(packets).unwrap();
            assert_eq!(facts.on_the_wire(told, segment), (packets, octets));
            assert_eq!(facts.on_the_wire(0, segment), (packets, octets), "not told");
        }
    }
}

#[test]
fn what_is_no_super_packet_is_one_packet() {
    assert_eq!(super_packet(40, 1_000).on_the_wire(0, 0), (1, 1_040));
    // The kernel may set the number of segments to 1 without a segment size.
    assert_eq!(super_packet(40, 1_000).on_the_wire(1, 0), (1, 1_040));
    assert_eq!(
        super_packet(40, 0).on_the_wire(0, 1_448),
        (1, 40),
        "no payload"
    );
    assert_eq!(super_packet(40, 0).on_the_wire(1, 1_448), (1, 40));
    // What the kernel tells goes before what the payload suggests.
    assert_eq!(super_packet(40, 3_000).on_the_wire(1, 1_448), (1, 3_040));
    // A TCP header that claims more than the packet has.
    let facts = Facts {
        octets: 40,
        headers: 80,
        ..Facts::default()
    };
    assert_eq!(facts.on_the_wire(0, 1_448), (1, 40));
    // No segment repeats more than there is.
    assert_eq!(facts.on_the_wire(3, 1_448), (3, 120));
}

/// From the frame to the wire: a super-packet and its segments, one by one, count the same.
#[test]
fn a_super_packet_counts_as_its_segments_do() {
    type Packet = fn(&[u8]) -> Vec<u8>;
    let payload = [0x42; 5_000];
    let size = 1_200;
    let kinds: [Packet; 5] = [
        |payload| ethernet(ETH_P_IP, &ipv4(TCP, &tcp_with(0x018, 8, payload))),
        |payload| ethernet(ETH_P_IPV6, &ipv6(TCP, &tcp_with(0x010, 5, payload))),
        |payload| ethernet(ETH_P_IP, &ipv4(UDP, &udp(payload))),
        |payload| ethernet(ETH_P_IPV6, &ipv6(UDP, &udp(payload))),
        |payload| {
            tagged(
                &[(VLAN, 7)],
                ETH_P_IP,
                &ipv4_with(TCP, &[1; 4], 0, &tcp(0x010, payload)),
            )
        },
    ];
    for packet in kinds {
        let mut whole = (0, 0);
        for segment in payload.chunks(size) {
            let (_, facts) = flow(&packet(segment));
            whole.0 += 1;
            whole.1 += u64::from(facts.octets);
        }
        let super_packet = packet(&payload);
        let frame = SliceFrame::new(&super_packet).segmented(true);
        let (_, facts, outcome) = seen(&frame, Link::Ethernet, None);
        assert_eq!(outcome, Ok(()));
        let size = u32::try_from(size).unwrap();
        assert_eq!(facts.on_the_wire(0, size), whole);
        assert_eq!(facts.on_the_wire(5, size), whole);
    }
}
