//! What most frames are, dissected in whole words.
//!
//! That it agrees with the dissector wherever it answers is asserted by `frames::seen`, through which
//! every other test of the dissector goes, and over the captures. Here: that it does answer.

mod frames;

use ebpfix_probes::abi::{ETH_P_IP, ETH_P_IPV6};
use ebpfix_probes::common::common;
use ebpfix_probes::dissect::{Link, SliceFrame};
use ebpfix_probes::table::{flow_id, place, words};
use frames::*;
fn answers(frame: &[u8], tag: u16) -> bool {
    let frame = SliceFrame::new(frame);
    // Asserts that the answer is right, too.
    let _ = seen(&frame, Link::Ethernet, (tag != 0).then_some(tag));
    common(&frame, tag).is_some()
}

#[test]
fn plain_tcp_udp_and_icmp_are_common() {
    for tag in [0, 7, 0x2fff] {
        for transport in [tcp(0x0a12, b"hello, there"), udp(b"x"), icmp(8, 0, b"ping")] {
            let protocol = match transport.len() {
                32 => 6,
                9 => 17,
                _ => 1,
            };
            let four = ethernet(ETH_P_IP, &ipv4(protocol, &transport));
            assert!(answers(&four, tag), "IPv4, protocol {protocol}");
            let protocol = if protocol == 1 { 58 } else { protocol };
            let six = ethernet(ETH_P_IPV6, &ipv6(protocol, &transport));
            assert!(answers(&six, tag), "IPv6, protocol {protocol}");
        }
    }
}

#[test]
fn what_is_not_plain_is_left_to_the_dissector() {
    let segment = tcp(0x010, b"");
    let uncommon = [
        (
            "tag in the frame",
            tagged(&[(0x8100, 5)], ETH_P_IP, &ipv4(6, &segment)),
        ),
        (
            "labels",
            ethernet(0x8847, &label_stack(&[16], &ipv4(6, &segment))),
        ),
        (
            "IPv4 options",
            ethernet(ETH_P_IP, &ipv4_with(6, &[1, 1, 1, 0], 0, &segment)),
        ),
        (
            "first fragment",
            ethernet(ETH_P_IP, &ipv4_with(6, &[], 0x2000, &segment)),
        ),
        (
            "later fragment",
            ethernet(ETH_P_IP, &ipv4_with(6, &[], 0x0007, &segment)),
        ),
        ("SCTP", ethernet(ETH_P_IP, &ipv4(132, &sctp(b"")))),
        (
            "ICMPv6 in IPv4",
            ethernet(ETH_P_IP, &ipv4(58, &icmp(1, 0, b"abcd"))),
        ),
        (
            "ICMP in IPv6",
            ethernet(ETH_P_IPV6, &ipv6(1, &icmp(1, 0, b"abcd"))),
        ),
        (
            "extension",
            ethernet(ETH_P_IPV6, &ipv6(60, &extension(6, 1, &segment))),
        ),
        ("not IP", ethernet(0x0806, &[0; 46])),
    ];
    for (what, frame) in uncommon {
        assert!(!answers(&frame, 0), "{what}");
    }
}

/// At every length that is too short for what the header claims, and at every one that is not.
#[test]
fn a_frame_that_is_cut_is_never_common() {
    for packet in [
        ethernet(ETH_P_IP, &ipv4(6, &tcp(2, b"ab"))),
        ethernet(ETH_P_IP, &ipv4(17, &udp(b"ab"))),
        ethernet(ETH_P_IPV6, &ipv6(6, &tcp(2, b"ab"))),
        ethernet(ETH_P_IPV6, &ipv6(58, &icmp(128, 0, b"abcd"))),
    ] {
        for cut in 0..packet.len() {
            assert!(!answers(&packet[..cut], 0), "{cut} of {}", packet.len());
        }
        let mut padded = packet.clone();
        padded.extend_from_slice(&[0; 9]);
        assert!(answers(&padded, 0));
    }
}

#[test]
fn words_take_the_place_and_go_back_to_the_flow_key() {
    let frame = ethernet(ETH_P_IP, &ipv4(17, &udp(b"")));
    let mut found = common(&SliceFrame::new(&frame), 9).expect("a common frame");
    place(&mut found.words, 0x0102_0304, 1, 1000);
    let id = flow_id(&found.words);
    assert_eq!(
        (id.if_index, id.direction, id.sampling),
        (0x0102_0304, 1, 1000)
    );
    assert_eq!((id.vlan_id, id.customer_vlan_id), (9, 0));
    assert_eq!(words(&id), found.words);
}
