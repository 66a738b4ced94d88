//! Link types: what stands before IP in the packets of a capture.

use ebpfix_probes::abi::{
    DIRECTION_EGRESS, DIRECTION_INGRESS, ETH_P_IP, ETH_P_IPV6, FlowId, MacAddress,
};
use ebpfix_probes::dissect::{self, ETHERNET_HEADER_OCTETS, Facts, Frame, Reason, SliceFrame};

use super::Packet;

/// A link type that can be read, by the registry of link types of pcap and pcapng.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// IEEE 802.3.
    Ethernet,
    /// IP without anything before it.
    Raw,
    /// Four octets with the number of an address family, in any byte order (BSD loopback).
    Loopback,
    /// Linux "cooked": of any interface.
    Cooked,
    /// Its second version, which names the interface.
    Cooked2,
    /// PPP (RFC 1661), with or without the framing of RFC 1662.
    Ppp,
    /// PPP in HDLC-like framing, or Cisco's HDLC.
    PppHdlc,
    /// PPP behind an octet that tells the direction: 0 for received.
    PppWithDirection,
    /// A `PPPoE` session (RFC 2516), from its header on.
    PppOverEthernet,
}

impl Link {
    /// The link type of this number.
    pub(crate) fn of(number: u16) -> Option<Self> {
        Some(match number {
            0 | 108 => Self::Loopback,
            1 => Self::Ethernet,
            9 => Self::Ppp,
            // 12 and 14 are what systems call it, 101 is what files should.
            12 | 14 | 101 | 228 | 229 => Self::Raw,
            50 | 104 => Self::PppHdlc,
            51 => Self::PppOverEthernet,
            113 => Self::Cooked,
            166 | 204 => Self::PppWithDirection,
            276 => Self::Cooked2,
            _ => return None,
        })
    }
}

/// The names of link types that are often met and cannot be read.
pub(super) fn name(number: u16) -> Option<&'static str> {
    Some(match number {
        6 => "Token Ring",
        8 => "SLIP",
        10 => "FDDI",
        105 => "IEEE 802.11",
        119 => "IEEE 802.11 with a Prism header",
        127 => "IEEE 802.11 with a radiotap header",
        147..=162 => "reserved for private use",
        187 | 201 => "Bluetooth",
        189 | 220 | 249 => "USB",
        192 => "PPI",
        195 | 215 | 230 | 283 => "IEEE 802.15.4",
        227 => "CAN",
        239 => "NFLOG",
        253 => "Netlink",
        _ => return None,
    })
}

/// A packet's Flow Key and facts, or why there is none; and the octets it counts with then: those
/// behind its link header.
pub(crate) struct Dissected {
    pub outcome: Result<(), Reason>,
    pub payload_octets: u64,
}

/// A frame longer than an IP packet can be was never on a wire: the host made it for a device that
/// segments it, and its length field may be 0.
const LARGEST_FRAME: u32 = 0xffff + 40 + 64;

/// Fills `id` (all but `sampling`) and `facts`.
#[inline]
pub(crate) fn dissect(
    link: Link,
    packet: &Packet<'_>,
    id: &mut FlowId,
    facts: &mut Facts,
) -> Dissected {
    let frame = SliceFrame::new(packet.octets)
        .with_wire_length(packet.wire_length)
        .segmented(packet.wire_length > LARGEST_FRAME);
    let (link, header) = match link {
        Link::Ethernet => (dissect::Link::Ethernet, ETHERNET_HEADER_OCTETS),
        Link::Raw => (dissect::Link::None, 0),
        other => return framed(other, packet, id, facts),
    };
    Dissected {
        outcome: dissect::dissect(&frame, link, None, id, facts),
        payload_octets: u64::from(frame.len().saturating_sub(header)),
    }
}

/// A packet with a header that is not Ethernet's: read as if it had one of Ethernet instead, so that
/// tags and labels behind it are looked through as well.
fn framed(link: Link, packet: &Packet<'_>, id: &mut FlowId, facts: &mut Facts) -> Dissected {
    let Some(header) = Header::of(link, packet.octets) else {
        return Dissected {
            outcome: Err(Reason::Truncated),
            payload_octets: u64::from(packet.wire_length),
        };
    };
    if let Some(if_index) = header.if_index {
        id.if_index = if_index;
    }
    if let Some(direction) = header.direction {
        id.direction = direction;
    }
    let octets = packet.octets.get(header.octets..).unwrap_or_default();
    let header_octets = u32::try_from(header.octets).unwrap_or(u32::MAX);
    let payload = packet.wire_length.saturating_sub(header_octets);
    let frame = Reframed {
        header: header.ethernet(),
        rest: SliceFrame::new(octets)
            .with_wire_length(payload)
            .segmented(packet.wire_length > LARGEST_FRAME),
    };
    Dissected {
        outcome: dissect::dissect(&frame, dissect::Link::Ethernet, None, id, facts),
        payload_octets: u64::from(payload),
    }
}

/// What a link header says.
struct Header {
    /// Its own octets.
    octets: usize,
    ethertype: u16,
    source: MacAddress,
    direction: Option<u8>,
    if_index: Option<u32>,
}

impl Header {
    /// `None` where the packet ends within the header.
    fn of(link: Link, octets: &[u8]) -> Option<Self> {
        match link {
            Link::Loopback => {
                let family = octets.first_chunk::<4>()?;
                Some(Self::plain(4, ethertype_of_family(*family)))
            }
            Link::Cooked => {
                let header = octets.first_chunk::<16>()?;
                let [p0, p1, _, _, l0, l1] = *header.first_chunk::<6>()?;
                Some(Self {
                    direction: Some(direction(u16::from_be_bytes([p0, p1]))),
                    source: address([l0, l1], &header[6..14]),
                    ..Self::plain(16, u16::from_be_bytes([header[14], header[15]]))
                })
            }
            Link::Cooked2 => {
                let header = octets.first_chunk::<20>()?;
                let [e0, e1, _, _, i0, i1, i2, i3] = *header.first_chunk::<8>()?;
                Some(Self {
                    direction: Some(direction(u16::from(header[10]))),
                    source: address([0, header[11]], &header[12..20]),
                    if_index: Some(u32::from_be_bytes([i0, i1, i2, i3])),
                    ..Self::plain(20, u16::from_be_bytes([e0, e1]))
                })
            }
            Link::Ppp | Link::PppHdlc => Self::ppp(octets),
            Link::PppWithDirection => {
                let (sent, rest) = octets.split_first()?;
                let header = Self::ppp(rest)?;
                Some(Self {
                    octets: header.octets + 1,
                    direction: Some(if *sent == 0 {
                        DIRECTION_INGRESS
                    } else {
                        DIRECTION_EGRESS
                    }),
                    ..header
                })
            }
            Link::PppOverEthernet => {
                let header = Self::ppp(octets.get(6..)?)?;
                Some(Self {
                    octets: header.octets + 6,
                    ..header
                })
            }
            Link::Ethernet | Link::Raw => None,
        }
    }

    fn plain(octets: usize, ethertype: u16) -> Self {
        Self {
            octets,
            ethertype,
            source: MacAddress::default(),
            direction: None,
            if_index: None,
        }
    }

    /// PPP's protocol field, of one octet where it is compressed, behind address and control where
    /// they are not (RFC 1661 section 2, RFC 1662 section 3.1). Cisco's HDLC has an ethertype there.
    fn ppp(octets: &[u8]) -> Option<Self> {
        const HDLC: [u8; 2] = [0xff, 0x03];
        const CISCO: [[u8; 2]; 2] = [[0x0f, 0x00], [0x8f, 0x00]];
        let start = *octets.first_chunk::<2>()?;
        if CISCO.contains(&start) {
            let [_, _, e0, e1] = *octets.first_chunk::<4>()?;
            return Some(Self::plain(4, u16::from_be_bytes([e0, e1])));
        }
        let framing = if start == HDLC { 2 } else { 0 };
        let rest = octets.get(framing..)?;
        let (protocol, length) = match *rest {
            // Only a last octet is odd.
            [compressed, ..] if compressed & 1 != 0 => (u16::from(compressed), 1),
            [p0, p1, ..] => (u16::from_be_bytes([p0, p1]), 2),
            _ => return None,
        };
        Some(Self::plain(framing + length, ethertype_of_ppp(protocol)))
    }

    /// The header of Ethernet that says the same.
    fn ethernet(&self) -> [u8; 14] {
        let mut header = [0; 14];
        header[6..12].copy_from_slice(&self.source.0);
        header[12..].copy_from_slice(&self.ethertype.to_be_bytes());
        header
    }
}

/// `flowDirection` of a packet type of Linux (`PACKET_OUTGOING` is 4).
fn direction(packet_type: u16) -> u8 {
    const OUTGOING: u16 = 4;
    if packet_type == OUTGOING {
        DIRECTION_EGRESS
    } else {
        DIRECTION_INGRESS
    }
}

/// The sender's address, if it is one of Ethernet by its length.
fn address(length: [u8; 2], octets: &[u8]) -> MacAddress {
    match (u16::from_be_bytes(length), octets.first_chunk::<6>()) {
        (6, Some(octets)) => MacAddress(*octets),
        _ => MacAddress::default(),
    }
}

/// The number is in the byte order of the host that captured; families are small numbers.
fn ethertype_of_family(family: [u8; 4]) -> u16 {
    let little = u32::from_le_bytes(family);
    let family = if little > 0xffff {
        u32::from_be_bytes(family)
    } else {
        little
    };
    match family {
        2 => ETH_P_IP,
        // Of Linux, NetBSD, FreeBSD, macOS.
        10 | 24 | 28 | 30 => ETH_P_IPV6,
        _ => 0,
    }
}

/// (IANA's registry of PPP protocols.)
fn ethertype_of_ppp(protocol: u16) -> u16 {
    match protocol {
        0x0021 => ETH_P_IP,
        0x0057 => ETH_P_IPV6,
        0x0281 => 0x8847,
        0x0283 => 0x8848,
        _ => 0,
    }
}

/// A frame whose link header was replaced.
#[derive(Clone, Copy)]
struct Reframed<'a> {
    header: [u8; 14],
    rest: SliceFrame<'a>,
}

impl<'a> Frame for Reframed<'a> {
    type Head = &'a [u8];

    /// It is in two pieces.
    #[inline]
    fn head<const N: usize>(&self) -> Option<&'a [u8]> {
        None
    }

    #[inline]
    fn len(&self) -> u32 {
        self.rest.len().saturating_add(ETHERNET_HEADER_OCTETS)
    }

    /// The dissector reads the link header by itself, never with what follows.
    #[inline]
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        if let Some(behind) = offset.checked_sub(ETHERNET_HEADER_OCTETS) {
            return self.rest.load(behind);
        }
        let from = self.header.get(usize::try_from(offset).ok()?..)?;
        from.first_chunk::<N>().copied()
    }

    #[inline]
    fn is_segmented(&self) -> bool {
        self.rest.is_segmented()
    }
}
