//! What most frames are, dissected in whole words.
//!
//! An Ethernet header with no tag in the frame, IPv4 without options or IPv6 without extension
//! headers, not fragmented, and TCP, UDP or ICMP: such a frame has everything at fixed places, and
//! its Flow Key is put together in registers. [`dissect`](crate::dissect::dissect) goes header by
//! header; in the kernel it takes about twice the time of the whole rest.
//!
//! [`common`] never judges. A frame that is in any way else, also one that is damaged, gets `None`
//! and is `dissect`'s. Where it answers, `dissect` gives the same (tested, and fuzzed).

use crate::abi::{ETH_P_IP, ETH_P_IPV6};
use crate::dissect::{
    Facts, Frame, Head, ETHERNET_HEADER_OCTETS, IPV4_HEADER_OCTETS, IPV6_HEADER_OCTETS, PROTO_ICMP,
    PROTO_ICMPV6, PROTO_TCP, PROTO_UDP, TCP_FLAGS_END, TCP_HEADER_OCTETS, UDP_HEADER_OCTETS,
    VLAN_ID_MASK,
};
use crate::table::Words;

/// Where the network header begins.
const IP: usize = ETHERNET_HEADER_OCTETS as usize;
/// Where the transport header begins behind either network header.
const IPV4_TRANSPORT: usize = IP + IPV4_HEADER_OCTETS as usize;
const IPV6_TRANSPORT: usize = IP + IPV6_HEADER_OCTETS as usize;
/// The least that has to be there: a UDP header, and an ICMP header, have 8 octets.
const IPV4_UDP: usize = IPV4_TRANSPORT + UDP_HEADER_OCTETS as usize;
const IPV6_UDP: usize = IPV6_TRANSPORT + UDP_HEADER_OCTETS as usize;
/// As far as the flags of a TCP header.
const IPV4_TCP: usize = IPV4_TRANSPORT + TCP_FLAGS_END as usize;
const IPV6_TCP: usize = IPV6_TRANSPORT + TCP_FLAGS_END as usize;
/// Version 4 and a header of five words.
const IPV4_WITHOUT_OPTIONS: u8 = 0x45;
/// `MF` and the offset of a fragment, in the order of memory.
const FRAGMENT: u16 = u16::from_ne_bytes([0x3f, 0xff]);
/// The half of an IPv4-mapped address that stands before the IPv4 address (RFC 4291 section 2.5.5.2).
const V4_MAPPED: u64 = 0x0000_0000_ffff_0000;

/// What was found: see [`common`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Common {
    /// The Flow Key as words, its interface, direction and sampling zero.
    pub words: Words,
    /// What else the frame says.
    pub facts: Facts,
}

/// Flow Key and facts of a frame that is as most are; else `None`.
///
/// `offloaded_tag` is as in [`dissect`](crate::dissect::dissect), 0 for none.
#[inline(always)]
pub fn common<F: Frame>(frame: &F, offloaded_tag: u16) -> Option<Common> {
    let head = frame.head::<IPV4_UDP>()?;
    let destination = head.u64_at(0);
    let source = head.u64_at(6);
    let ethertype = u16::from_be(head.u16_at(12));
    // Source and destination address, 6 octets each, then the ports: words 4 and 5.
    let macs = source << 16 >> 16 | destination << 48;
    let rest = destination << 16 >> 32;
    let available = frame.len().wrapping_sub(ETHERNET_HEADER_OCTETS);
    let mut words: Words = [0; 8];
    let mut facts = Facts::default();
    let protocol;
    let transport;
    match ethertype {
        ETH_P_IP => {
            if head.u8_at(IP) != IPV4_WITHOUT_OPTIONS || head.u16_at(IP + 6) & FRAGMENT != 0 {
                return None;
            }
            facts.octets = u32::from(u16::from_be(head.u16_at(IP + 2)));
            facts.tos = head.u8_at(IP + 1);
            facts.ttl = head.u8_at(IP + 8);
            facts.headers = IPV4_HEADER_OCTETS;
            protocol = head.u8_at(IP + 9);
            words[1] = V4_MAPPED | u64::from(head.u32_at(IP + 12)) << 32;
            words[3] = V4_MAPPED | u64::from(head.u32_at(IP + 16)) << 32;
            transport = match protocol {
                PROTO_TCP => {
                    let head = frame.head::<IPV4_TCP>()?;
                    tcp(head.u16_at(IPV4_TCP - 2), &mut facts);
                    head.u32_at(IPV4_TRANSPORT)
                }
                PROTO_UDP | PROTO_ICMP => head.u32_at(IPV4_TRANSPORT),
                _ => return None,
            };
        }
        ETH_P_IPV6 => {
            let head = frame.head::<IPV6_UDP>()?;
            let first = head.u8_at(IP);
            if first >> 4 != 6 {
                return None;
            }
            facts.octets = u32::from(u16::from_be(head.u16_at(IP + 4))) + IPV6_HEADER_OCTETS;
            facts.tos = first << 4 | head.u8_at(IP + 1) >> 4;
            facts.ttl = head.u8_at(IP + 7);
            facts.headers = IPV6_HEADER_OCTETS;
            protocol = head.u8_at(IP + 6);
            words[0] = head.u64_at(IP + 8);
            words[1] = head.u64_at(IP + 16);
            words[2] = head.u64_at(IP + 24);
            words[3] = head.u64_at(IP + 32);
            transport = match protocol {
                PROTO_TCP => {
                    let head = frame.head::<IPV6_TCP>()?;
                    tcp(head.u16_at(IPV6_TCP - 2), &mut facts);
                    head.u32_at(IPV6_TRANSPORT)
                }
                PROTO_UDP | PROTO_ICMPV6 => head.u32_at(IPV6_TRANSPORT),
                _ => return None,
            };
        }
        _ => return None,
    }
    let (ports, least) = match protocol {
        PROTO_TCP => (ports(transport), TCP_FLAGS_END),
        PROTO_UDP => {
            facts.headers += UDP_HEADER_OCTETS;
            (ports(transport), UDP_HEADER_OCTETS)
        }
        // Type and code, as the destination port.
        _ => (
            u64::from(u32::from_be(transport) >> 16 << 16),
            UDP_HEADER_OCTETS,
        ),
    };
    // The network header's own share of `facts.headers`.
    let network = if ethertype == ETH_P_IP {
        IPV4_HEADER_OCTETS
    } else {
        IPV6_HEADER_OCTETS
    };
    if facts.octets > available || facts.octets < network + least {
        return None;
    }
    words[4] = macs;
    words[5] = rest | ports << 32;
    words[6] = u64::from(ethertype) << 32 | u64::from(offloaded_tag & VLAN_ID_MASK) << 48;
    words[7] = u64::from(protocol) << 16;
    Some(Common { words, facts })
}

/// Source and destination port, in the order of the Flow Key and of the machine.
#[inline(always)]
fn ports(transport: u32) -> u64 {
    u64::from(u32::from_be(transport).rotate_left(16))
}

/// Takes data offset and flags, in the order of memory.
#[inline(always)]
fn tcp(word: u16, facts: &mut Facts) {
    let word = u16::from_be(word);
    facts.flags = word & 0x0fff;
    let octets = u32::from(word >> 12) * 4;
    facts.headers += if octets < TCP_HEADER_OCTETS {
        TCP_HEADER_OCTETS
    } else {
        octets
    };
}
