//! Frames built by hand, from the inside out.
//!
//! Every function wraps a payload in one header whose lengths and IPv4 header checksum are right;
//! checksums of the transport are left zero. Frames that lie are made from these by changing octets.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Octets of a frame, as an Ethernet card would take them.
pub type Frame = Vec<u8>;

/// A MAC address.
pub type Mac = [u8; 6];

/// The address of the first end of a veth pair of the lab.
pub const FIRST_MAC: Mac = [2, 0, 0, 0, 0, 1];
/// The address of the second end.
pub const SECOND_MAC: Mac = [2, 0, 0, 0, 0, 2];

/// `ethertype` of IPv4.
pub const IPV4: u16 = 0x0800;
/// `ethertype` of IPv6.
pub const IPV6: u16 = 0x86dd;
/// `ethertype` of an 802.1Q tag.
pub const DOT1Q: u16 = 0x8100;
/// `ethertype` of an 802.1ad tag.
pub const DOT1AD: u16 = 0x88a8;
/// `ethertype` of MPLS, unicast.
pub const MPLS: u16 = 0x8847;
/// `ethertype` of a `PPPoE` session.
pub const PPPOE: u16 = 0x8864;

/// Protocol numbers.
pub mod protocol {
    #![allow(missing_docs, reason = "they are IANA's names")]
    pub const HOP_BY_HOP: u8 = 0;
    pub const ICMP: u8 = 1;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const DCCP: u8 = 33;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const GRE: u8 = 47;
    pub const ESP: u8 = 50;
    pub const AUTHENTICATION: u8 = 51;
    pub const ICMPV6: u8 = 58;
    pub const NO_NEXT: u8 = 59;
    pub const DESTINATION: u8 = 60;
    pub const SCTP: u8 = 132;
    pub const UDP_LITE: u8 = 136;
}

/// An Ethernet header from [`FIRST_MAC`] to [`SECOND_MAC`].
pub fn ethernet(ethertype: u16, payload: &[u8]) -> Frame {
    join(&[&SECOND_MAC, &FIRST_MAC, &ethertype.to_be_bytes(), payload])
}

/// A VLAN tag as the payload of `ethernet(DOT1Q, ..)` or `ethernet(DOT1AD, ..)`.
pub fn tag(vlan: u16, ethertype: u16, payload: &[u8]) -> Frame {
    join(&[&vlan.to_be_bytes(), &ethertype.to_be_bytes(), payload])
}

/// A stack of MPLS labels, the last with the bottom-of-stack bit.
pub fn mpls(labels: &[u32], payload: &[u8]) -> Frame {
    let mut octets = Vec::new();
    for (index, label) in labels.iter().enumerate() {
        let bottom = u32::from(index + 1 == labels.len()) << 8;
        octets.extend((label << 12 | bottom | 64).to_be_bytes());
    }
    octets.extend(payload);
    octets
}

/// A `PPPoE` session header and the PPP protocol (0x0021 IPv4, 0x0057 IPv6).
pub fn pppoe(session: u16, ppp_protocol: u16, payload: &[u8]) -> Frame {
    let length = length(payload.len() + 2);
    join(&[
        &[0x11, 0],
        &session.to_be_bytes(),
        &length,
        &ppp_protocol.to_be_bytes(),
        payload,
    ])
}

/// The fields of an IPv4 header that the tests vary.
#[derive(Clone, Debug)]
pub struct Ipv4 {
    /// Source.
    pub source: Ipv4Addr,
    /// Destination.
    pub destination: Ipv4Addr,
    /// Protocol.
    pub protocol: u8,
    /// Type of service.
    pub tos: u8,
    /// Options, a multiple of 4 octets.
    pub options: Vec<u8>,
    /// Fragment offset in units of 8 octets.
    pub fragment_offset: u16,
    /// Whether more fragments follow.
    pub more_fragments: bool,
}

impl Ipv4 {
    /// A plain header.
    pub fn new(source: [u8; 4], destination: [u8; 4], protocol: u8) -> Self {
        Self {
            source: source.into(),
            destination: destination.into(),
            protocol,
            tos: 0,
            options: Vec::new(),
            fragment_offset: 0,
            more_fragments: false,
        }
    }

    /// The header around the payload.
    pub fn packet(&self, payload: &[u8]) -> Frame {
        let header_length = 20 + self.options.len();
        let words = u8::try_from(header_length / 4).expect("at most 40 octets of options");
        let total = length(header_length + payload.len());
        let fragment = u16::from(self.more_fragments) << 13 | self.fragment_offset;
        let mut octets = join(&[
            &[0x40 | words, self.tos],
            &total,
            &[0x12, 0x34],
            &fragment.to_be_bytes(),
            &[64, self.protocol, 0, 0],
            &self.source.octets(),
            &self.destination.octets(),
            &self.options,
        ]);
        let sum = checksum(&octets);
        octets[10..12].copy_from_slice(&sum.to_be_bytes());
        octets.extend(payload);
        octets
    }
}

/// An IPv6 header around the payload.
pub fn ipv6(source: &str, destination: &str, next_header: u8, payload: &[u8]) -> Frame {
    let address = |text: &str| text.parse::<Ipv6Addr>().expect("an IPv6 address").octets();
    join(&[
        &[0x60, 0, 0, 0],
        &length(payload.len()),
        &[next_header, 64],
        &address(source),
        &address(destination),
        payload,
    ])
}

/// An IPv6 extension header of 8 octets: hop-by-hop, routing or destination options.
pub fn extension(next_header: u8, payload: &[u8]) -> Frame {
    // PadN with 4 octets fills an options header; as a routing header it is of type 1, no segments left.
    join(&[&[next_header, 0, 1, 4, 0, 0, 0, 0], payload])
}

/// An IPv6 fragment header; the offset is in units of 8 octets.
pub fn fragment(next_header: u8, offset: u16, more: bool, payload: &[u8]) -> Frame {
    let field = offset << 3 | u16::from(more);
    join(&[
        &[next_header, 0],
        &field.to_be_bytes(),
        &[0, 0, 0, 7],
        payload,
    ])
}

/// An authentication header of 24 octets (12 of integrity check value).
pub fn authentication(next_header: u8, payload: &[u8]) -> Frame {
    join(&[&[next_header, 4, 0, 0], &[0; 20], payload])
}

/// UDP.
pub fn udp(source: u16, destination: u16, payload: &[u8]) -> Frame {
    join(&[
        &source.to_be_bytes(),
        &destination.to_be_bytes(),
        &length(8 + payload.len()),
        &[0, 0],
        payload,
    ])
}

/// TCP with these flags (the low eight bits).
pub fn tcp(source: u16, destination: u16, flags: u8, payload: &[u8]) -> Frame {
    join(&[
        &source.to_be_bytes(),
        &destination.to_be_bytes(),
        &[0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 0x10, 0, 0, 0, 0, 0],
        payload,
    ])
}

/// Ports and 12 more octets, which do for SCTP, DCCP and UDP-Lite alike.
pub fn ports(source: u16, destination: u16) -> Frame {
    join(&[&source.to_be_bytes(), &destination.to_be_bytes(), &[0; 12]])
}

/// ICMP or `ICMPv6`.
pub fn icmp(kind: u8, code: u8) -> Frame {
    vec![kind, code, 0, 0, 0, 1, 0, 1]
}

/// The checksum of RFC 1071.
pub fn checksum(octets: &[u8]) -> u16 {
    let mut sum: u32 = octets
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(!sum & 0xffff).expect("16 bits")
}

fn length(octets: usize) -> [u8; 2] {
    u16::try_from(octets)
        .expect("a packet of less than 64 KiB")
        .to_be_bytes()
}

fn join(parts: &[&[u8]]) -> Frame {
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_nest_and_their_lengths_are_right() {
        let datagram =
            Ipv4::new([192, 0, 2, 1], [192, 0, 2, 2], protocol::UDP).packet(&udp(1, 2, b"abc"));
        assert_eq!(datagram.len(), 31);
        assert_eq!(datagram[2..4], [0, 31]);
        assert_eq!(checksum(&datagram[..20]), 0);
        let frame = ethernet(DOT1Q, &tag(7, IPV4, &datagram));
        assert_eq!(frame[12..18], [0x81, 0, 0, 7, 8, 0]);
        assert_eq!(mpls(&[16, 17], &[]), [0, 1, 0, 64, 0, 1, 0x11, 64]);
    }
}
