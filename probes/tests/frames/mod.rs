//! Builds frames for the tests: each function takes the payload and puts its own header before it.
//!
//! Checksums are zero: the dissector does not look at them, for a router's probes see packets
//! whose checksums are left to the hardware. Crates of another edition use this file too: it is
//! written so that the formatters of both agree.
#![allow(dead_code, reason = "each test crate uses a part")]

use ebpfix_probes::abi::{self, FlowId, IpAddress, MacAddress};
use ebpfix_probes::dissect::{self, Facts, Link, Reason, SliceFrame};
use ebpfix_probes::{common::common, table::flow_id};

pub mod corpus;

const ETH_P_IP: u16 = abi::ETH_P_IP;
const ETH_P_IPV6: u16 = abi::ETH_P_IPV6;

pub const DST_MAC: [u8; 6] = [0x02, 0x00, 0x5e, 0x10, 0x00, 0x01];
pub const SRC_MAC: [u8; 6] = [0x02, 0x00, 0x5e, 0x10, 0x00, 0x02];
pub const V4_SRC: [u8; 4] = [192, 0, 2, 1];
pub const V4_DST: [u8; 4] = [198, 51, 100, 7];
pub const V6_SRC: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
pub const V6_DST: [u8; 16] = [
    0x20, 0x01, 0x0d, 0xb8, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4,
];
pub const TOS: u8 = 0xb9;
pub const TTL: u8 = 57;
pub const SRC_PORT: u16 = 0xc001;
pub const DST_PORT: u16 = 0x01bb;

pub const HOP_BY_HOP: u8 = 0;
pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const DCCP: u8 = 33;
pub const ROUTING: u8 = 43;
pub const FRAGMENT: u8 = 44;
pub const ESP: u8 = 50;
pub const AH: u8 = 51;
pub const ICMPV6: u8 = 58;
pub const NO_NEXT_HEADER: u8 = 59;
pub const DESTINATION_OPTIONS: u8 = 60;
pub const OSPF: u8 = 89;
pub const SCTP: u8 = 132;
pub const MOBILITY: u8 = 135;
pub const UDP_LITE: u8 = 136;
pub const HIP: u8 = 139;
pub const SHIM6: u8 = 140;

pub const VLAN: u16 = 0x8100;
pub const SERVICE_VLAN: u16 = 0x88a8;
pub const OLD_SERVICE_VLAN: u16 = 0x9100;
pub const MPLS: u16 = 0x8847;
pub const MPLS_MULTICAST: u16 = 0x8848;
pub const PPPOE_SESSION: u16 = 0x8864;

/// IPv4's "more fragments", beside the fragment offset.
pub const MORE_FRAGMENTS: u16 = 0x2000;

fn length(octets: usize) -> u16 {
    u16::try_from(octets).expect("no frame here is as long")
}

pub fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&DST_MAC[..], &SRC_MAC, &ethertype.to_be_bytes(), payload].concat()
}

/// An Ethernet frame with tags, each a TPID and a TCI, the outermost first.
pub fn tagged(tags: &[(u16, u16)], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut behind = payload.to_vec();
    let mut next = ethertype;
    for &(tpid, tci) in tags.iter().rev() {
        behind = [&tci.to_be_bytes()[..], &next.to_be_bytes(), &behind].concat();
        next = tpid;
    }
    ethernet(next, &behind)
}

/// A label stack of traffic class 7; the last label is the bottom.
pub fn label_stack(labels: &[u32], payload: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    for (at, label) in labels.iter().enumerate() {
        let bottom = u32::from(at + 1 == labels.len());
        octets.extend((label << 12 | 7 << 9 | bottom << 8 | 64).to_be_bytes());
    }
    octets.extend(payload);
    octets
}

pub fn pppoe(protocol: u16, payload: &[u8]) -> Vec<u8> {
    [
        &[0x11, 0x00, 0x12, 0x34][..],
        &length(payload.len() + 2).to_be_bytes(),
        &protocol.to_be_bytes(),
        payload,
    ]
    .concat()
}

pub fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_with(protocol, &[], 0, payload)
}

/// With options (whole words) and the flags and offset of fragmentation.
pub fn ipv4_with(protocol: u8, options: &[u8], fragment: u16, payload: &[u8]) -> Vec<u8> {
    assert_eq!(options.len() % 4, 0, "options come in words");
    let words = u8::try_from(5 + options.len() / 4).expect("few options");
    [
        &[0x40 | words, TOS][..],
        &length(20 + options.len() + payload.len()).to_be_bytes(),
        &[0xab, 0xcd],
        &fragment.to_be_bytes(),
        &[TTL, protocol, 0, 0],
        &V4_SRC,
        &V4_DST,
        options,
        payload,
    ]
    .concat()
}

/// With a flow label of all ones, so that it shows if it gets into the traffic class.
pub fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    [
        &[0x60 | TOS >> 4, TOS << 4 | 0x0f, 0xff, 0xff][..],
        &length(payload.len()).to_be_bytes(),
        &[next, TTL],
        &V6_SRC,
        &V6_DST,
        payload,
    ]
    .concat()
}

/// An extension header of the common form, of `units` of eight octets.
pub fn extension(next: u8, units: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0xee; usize::from(units) * 8];
    header[0] = next;
    header[1] = units - 1;
    header.extend(payload);
    header
}

/// An Authentication Header of `words` 32-bit words (RFC 4302 section 2.2: the length field is
/// this less 2).
pub fn authentication(next: u8, words: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0xee; usize::from(words) * 4];
    header[0] = next;
    header[1] = words - 2;
    header.extend(payload);
    header
}

/// An IPv6 fragment header; `offset` in units of eight octets.
pub fn fragment(next: u8, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    [
        &[next, 0xee][..],
        &(offset << 3 | u16::from(more)).to_be_bytes(),
        &[1, 2, 3, 4],
        payload,
    ]
    .concat()
}

fn ports() -> [u8; 4] {
    let ([a, b], [c, d]) = (SRC_PORT.to_be_bytes(), DST_PORT.to_be_bytes());
    [a, b, c, d]
}

/// A TCP segment without options.
pub fn tcp(flags: u16, payload: &[u8]) -> Vec<u8> {
    tcp_with(flags, 5, payload)
}

/// With a data offset of so many words; what the header has room for beyond 20 octets is options.
pub fn tcp_with(flags: u16, words: u8, payload: &[u8]) -> Vec<u8> {
    let options = vec![1; (usize::from(words) * 4).saturating_sub(20)];
    [
        &ports()[..],
        &[0x11; 8],
        &(u16::from(words) << 12 | flags).to_be_bytes(),
        &[0x22; 6],
        &options,
        payload,
    ]
    .concat()
}

/// A UDP or UDP-Lite datagram.
pub fn udp(payload: &[u8]) -> Vec<u8> {
    [
        &ports()[..],
        &length(8 + payload.len()).to_be_bytes(),
        &[0, 0],
        payload,
    ]
    .concat()
}

/// An SCTP packet with a chunk of `payload`.
pub fn sctp(payload: &[u8]) -> Vec<u8> {
    [&ports()[..], &[0x33; 8], payload].concat()
}

/// A DCCP packet with a header of sixteen octets.
pub fn dccp(payload: &[u8]) -> Vec<u8> {
    [
        &ports()[..],
        &[4, 0, 0, 0, 0x01, 0, 0, 0, 0, 0, 0, 9],
        payload,
    ]
    .concat()
}

/// An ICMP or `ICMPv6` message.
pub fn icmp(kind: u8, code: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind, code, 0, 0, 0, 1, 0, 1][..], payload].concat()
}

/// The Flow Key of an untagged Ethernet frame that is not IP.
pub fn key_link(eth_protocol: u16) -> FlowId {
    FlowId {
        src_mac: MacAddress(SRC_MAC),
        dst_mac: MacAddress(DST_MAC),
        eth_protocol,
        ..FlowId::default()
    }
}

/// The Flow Key of an untagged frame with IPv4 and this transport, ports 0.
pub fn key_v4(protocol: u8) -> FlowId {
    FlowId {
        src_ip: IpAddress::from_v4_octets(V4_SRC),
        dst_ip: IpAddress::from_v4_octets(V4_DST),
        transport_protocol: protocol,
        ..key_link(ETH_P_IP)
    }
}

/// The Flow Key of an untagged frame with IPv6 and this transport, ports 0.
pub fn key_v6(protocol: u8) -> FlowId {
    FlowId {
        src_ip: IpAddress(V6_SRC),
        dst_ip: IpAddress(V6_DST),
        transport_protocol: protocol,
        ..key_link(ETH_P_IPV6)
    }
}

/// The same key with the ports of [`tcp`], [`udp`], [`sctp`], [`dccp`].
pub fn with_ports(id: FlowId) -> FlowId {
    FlowId {
        src_port: SRC_PORT,
        dst_port: DST_PORT,
        ..id
    }
}

/// The same key as a device without a link header has it.
pub fn without_macs(id: FlowId) -> FlowId {
    FlowId {
        src_mac: MacAddress::default(),
        dst_mac: MacAddress::default(),
        ..id
    }
}

/// Facts of a packet without TCP flags.
pub fn facts(octets: u32, headers: u32) -> Facts {
    Facts {
        octets,
        headers,
        flags: 0,
        tos: TOS,
        ttl: TTL,
    }
}

/// What the dissector makes of a frame: the Flow Key as far as it got, the facts, the verdict.
/// Where the whole words have an answer, it must be the same.
pub fn seen(
    frame: &SliceFrame<'_>,
    link: Link,
    offloaded_tag: Option<u16>,
) -> (FlowId, Facts, Result<(), Reason>) {
    let mut id = FlowId::default();
    let mut facts = Facts::default();
    let outcome = dissect::dissect(frame, link, offloaded_tag, &mut id, &mut facts);
    let found = common(frame, offloaded_tag.unwrap_or(0));
    if let Some(found) = found.filter(|_| link == Link::Ethernet) {
        assert_eq!(
            (flow_id(&found.words), found.facts, Ok(())),
            (id, facts, outcome)
        );
    }
    (id, facts, outcome)
}
