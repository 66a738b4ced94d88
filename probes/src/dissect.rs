//! From a frame to a Flow Key: the dissector.
//!
//! One pure piece of code: it sees a frame only through [`Frame::load`], keeps no state and takes
//! no decision about the flow table. The kernel programs call it on socket buffers, the host on
//! byte slices; the source is the same. It trusts no length field: a header that does not fit the
//! frame, or that contradicts it, gives a [`Reason`] and never a Flow Key.
//!
//! Loops have fixed bounds and every offset is checked by the frame, for the sake of the BPF
//! verifier as much as of hostile input.

use crate::abi::{FlowId, IpAddress, MacAddress, ETH_P_IP, ETH_P_IPV6};

/// The most VLAN tags, MPLS labels and `PPPoE` headers between the Ethernet header and IP.
pub const MAX_ENCAPSULATIONS: usize = 8;
/// The most IPv6 extension headers before the transport header.
pub const MAX_EXTENSION_HEADERS: usize = 8;

/// Octets of an Ethernet header without tags (IEEE 802.3).
pub const ETHERNET_HEADER_OCTETS: u32 = 14;
const ETHERNET_TYPE: u32 = 12;
/// Below this an `EtherType` is a length (IEEE 802.3 clause 3.2.6).
const ETHERNET_TYPE_MIN: u16 = 0x0600;

const ETH_P_8021Q: u16 = 0x8100;
const ETH_P_8021AD: u16 = 0x88a8;
const ETH_P_QINQ1: u16 = 0x9100;
const ETH_P_MPLS_UC: u16 = 0x8847;
const ETH_P_MPLS_MC: u16 = 0x8848;
const ETH_P_PPP_SES: u16 = 0x8864;
const PPP_IP: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;
pub(crate) const VLAN_ID_MASK: u16 = 0x0fff;
/// The bottom-of-stack bit, in the third octet of a label stack entry (RFC 3032 section 2.1).
const MPLS_BOTTOM_OF_STACK: u8 = 0x01;

const PROTO_HOP_BY_HOP: u8 = 0;
pub(crate) const PROTO_ICMP: u8 = 1;
pub(crate) const PROTO_TCP: u8 = 6;
pub(crate) const PROTO_UDP: u8 = 17;
const PROTO_DCCP: u8 = 33;
const PROTO_ROUTING: u8 = 43;
const PROTO_FRAGMENT: u8 = 44;
const PROTO_AH: u8 = 51;
pub(crate) const PROTO_ICMPV6: u8 = 58;
const PROTO_DESTINATION_OPTIONS: u8 = 60;
const PROTO_SCTP: u8 = 132;
const PROTO_MOBILITY: u8 = 135;
const PROTO_UDPLITE: u8 = 136;
const PROTO_HIP: u8 = 139;
const PROTO_SHIM6: u8 = 140;

pub(crate) const IPV4_HEADER_OCTETS: u32 = 20;
pub(crate) const IPV6_HEADER_OCTETS: u32 = 40;
/// A hop-by-hop header with a jumbo payload option alone (RFC 2675 section 2).
const JUMBO_HEADER_OCTETS: u32 = 8;
pub(crate) const TCP_HEADER_OCTETS: u32 = 20;
pub(crate) const TCP_FLAGS_END: u32 = 14;
pub(crate) const UDP_HEADER_OCTETS: u32 = 8;
const SCTP_HEADER_OCTETS: u32 = 12;

/// The octets of a frame, from its link header on (or from its network header, where the device
/// has no link header).
#[allow(
    clippy::len_without_is_empty,
    reason = "nothing asks whether a frame is empty: it has no header then"
)]
pub trait Frame {
    /// See [`head`](Self::head).
    type Head: Head;

    /// Octets of the whole frame, also those that cannot be loaded at once.
    fn len(&self) -> u32;
    /// The first `N` octets, where they can be read in place.
    fn head<const N: usize>(&self) -> Option<Self::Head>;
    /// `N` octets at `offset`, or `None` where the frame ends before.
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]>;
    /// Whether the frame stands for several packets on the wire (GSO, GRO).
    fn is_segmented(&self) -> bool;
    /// `offset` itself. In the kernel, said in a way that makes the verifier forget by which path
    /// of the program it came about: else it would walk every combination of headers one by one.
    fn forget_path(&self, offset: u32) -> u32 {
        offset
    }
}

/// The first octets of a frame, read at fixed places. Numbers are in the order of memory.
///
/// A place beyond the octets that were asked for is a mistake of the caller: in the kernel the
/// verifier refuses the program, on the host the answer is 0.
pub trait Head {
    /// The octet at `at`.
    fn u8_at(&self, at: usize) -> u8;
    /// Two octets from `at` on.
    fn u16_at(&self, at: usize) -> u16;
    /// Four octets from `at` on.
    fn u32_at(&self, at: usize) -> u32;
    /// Eight octets from `at` on.
    fn u64_at(&self, at: usize) -> u64;
}

impl Head for &[u8] {
    #[inline(always)]
    fn u8_at(&self, at: usize) -> u8 {
        self.get(at).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn u16_at(&self, at: usize) -> u16 {
        u16::from_ne_bytes(octets_at(self, at))
    }

    #[inline(always)]
    fn u32_at(&self, at: usize) -> u32 {
        u32::from_ne_bytes(octets_at(self, at))
    }

    #[inline(always)]
    fn u64_at(&self, at: usize) -> u64 {
        u64::from_ne_bytes(octets_at(self, at))
    }
}

#[inline(always)]
fn octets_at<const N: usize>(octets: &[u8], at: usize) -> [u8; N] {
    octets
        .get(at..)
        .and_then(|from| from.first_chunk().copied())
        .unwrap_or([0; N])
}

/// A frame in memory, wholly or, as a capture with a snap length has it, from its start on.
///
/// By itself it is a whole frame as on the wire; the methods say what is different.
#[derive(Clone, Copy, Debug)]
pub struct SliceFrame<'a> {
    octets: &'a [u8],
    wire_length: u32,
    segmented: bool,
}

impl<'a> SliceFrame<'a> {
    /// The frame of these octets, in transmission order, without the frame check sequence.
    #[inline(always)]
    pub fn new(octets: &'a [u8]) -> Self {
        Self {
            octets,
            wire_length: u32::try_from(octets.len()).unwrap_or(u32::MAX),
            segmented: false,
        }
    }

    /// The same octets as the beginning of a frame that had `wire_length` octets on the wire.
    /// A frame is never shorter than its octets: a smaller number changes nothing.
    #[inline(always)]
    #[must_use]
    pub fn with_wire_length(self, wire_length: u32) -> Self {
        Self {
            wire_length: self.wire_length.max(wire_length),
            ..self
        }
    }

    /// The same octets as a frame that stands for several packets on the wire (GSO, GRO) or, with
    /// `false`, for one.
    #[inline(always)]
    #[must_use]
    pub fn segmented(self, segmented: bool) -> Self {
        Self { segmented, ..self }
    }
}

impl<'a> Frame for SliceFrame<'a> {
    type Head = &'a [u8];

    #[inline(always)]
    fn head<const N: usize>(&self) -> Option<&'a [u8]> {
        self.octets.get(..N)
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        self.wire_length
    }

    #[inline(always)]
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let from = self.octets.get(usize::try_from(offset).ok()?..)?;
        from.first_chunk::<N>().copied()
    }

    #[inline(always)]
    fn is_segmented(&self) -> bool {
        self.segmented
    }
}

/// What stands before the network header, told by the device, never guessed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// An Ethernet header, with any tags in the frame or in `offloaded_tag`.
    Ethernet,
    /// Nothing: the frame begins with IP.
    None,
}

/// Why a frame has no Flow Key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Reason {
    /// What the frame carries is neither IPv4 nor IPv6.
    NotIp = 0,
    /// The frame, or the IP packet by its own length, ends inside a header.
    Truncated = 1,
    /// A header contradicts itself or the frame: version, header length, total length.
    Malformed = 2,
    /// More tags, labels or extension headers than are looked through.
    TooDeep = 3,
}

/// What the dissector learned beside the Flow Key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Octets of the IP packet by its header (of a segmented frame: of the whole super-packet,
    /// without what the host keeps in it for itself).
    pub octets: u32,
    /// Octets of the IP and transport headers that each segment of a segmented frame repeats. By what
    /// the headers say: a TCP header may claim more than the packet has.
    pub headers: u32,
    /// `tcpControlBits`: the TCP header's own twelve bits, else 0.
    pub flags: u16,
    /// `ipClassOfService`.
    pub tos: u8,
    /// Time to live or hop limit.
    pub ttl: u8,
}

/// Fills `id` with the frame's Flow Key and `facts` with what else it says.
///
/// `id`'s interface, direction and sampling are the caller's. `offloaded_tag` is the VLAN tag
/// that the device or the kernel took out of the frame, its TCI in host byte order.
///
/// On [`Reason::NotIp`] the link layer's fields of `id` are filled: enough for a layer-2 flow.
#[inline(always)]
pub fn dissect<F: Frame>(
    frame: &F,
    link: Link,
    offloaded_tag: Option<u16>,
    id: &mut FlowId,
    facts: &mut Facts,
) -> Result<(), Reason> {
    let offset = match link {
        Link::Ethernet => ethernet(frame, offloaded_tag, id)?,
        Link::None => {
            let [first] = frame.load::<1>(0).ok_or(Reason::Truncated)?;
            id.eth_protocol = ethertype_of_version(first);
            0
        }
    };
    let offset = frame.forget_path(offset);
    match id.eth_protocol {
        ETH_P_IP => ipv4(frame, offset, id, facts),
        ETH_P_IPV6 => ipv6(frame, offset, id, facts),
        _ => Err(Reason::NotIp),
    }
}

/// Reads the Ethernet header and what encapsulates IP behind it; returns where the network header
/// begins.
#[inline(always)]
fn ethernet<F: Frame>(
    frame: &F,
    offloaded_tag: Option<u16>,
    id: &mut FlowId,
) -> Result<u32, Reason> {
    let header = frame.load::<14>(0).ok_or(Reason::Truncated)?;
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = header;
    id.dst_mac = MacAddress([d0, d1, d2, d3, d4, d5]);
    id.src_mac = MacAddress([s0, s1, s2, s3, s4, s5]);
    let mut ethertype = u16::from_be_bytes([t0, t1]);
    let mut offset = ETHERNET_TYPE + 2;
    if let Some(tci) = offloaded_tag {
        push_vlan(id, tci);
    }
    let mut bottom = false;
    for _ in 0..MAX_ENCAPSULATIONS {
        #[allow(clippy::match_same_arms, reason = "what most frames carry comes first")]
        match ethertype {
            ETH_P_IP | ETH_P_IPV6 => {
                bottom = true;
                break;
            }
            ETH_P_8021Q | ETH_P_8021AD | ETH_P_QINQ1 => {
                let [c0, c1, t0, t1] = frame.load::<4>(offset).ok_or(Reason::Truncated)?;
                push_vlan(id, u16::from_be_bytes([c0, c1]));
                ethertype = u16::from_be_bytes([t0, t1]);
                offset += 4;
            }
            ETH_P_MPLS_UC | ETH_P_MPLS_MC => {
                let [_, _, stack, _] = frame.load::<4>(offset).ok_or(Reason::Truncated)?;
                offset += 4;
                if stack & MPLS_BOTTOM_OF_STACK != 0 {
                    // The label says nothing of what it carries: by convention the first nibble
                    // tells IP from a pseudowire (RFC 4928 section 3).
                    let [first] = frame.load::<1>(offset).ok_or(Reason::Truncated)?;
                    ethertype = ethertype_of_version(first);
                    bottom = true;
                    break;
                }
            }
            ETH_P_PPP_SES => {
                let session = frame.load::<8>(offset).ok_or(Reason::Truncated)?;
                ethertype = match u16::from_be_bytes([session[6], session[7]]) {
                    PPP_IP => ETH_P_IP,
                    PPP_IPV6 => ETH_P_IPV6,
                    _ => ETH_P_PPP_SES,
                };
                offset += 8;
                bottom = true;
                break;
            }
            _ => {
                bottom = true;
                break;
            }
        }
    }
    // A length is not a type: such frames have none (`ethernetType` 0).
    id.eth_protocol = if ethertype < ETHERNET_TYPE_MIN {
        0
    } else {
        ethertype
    };
    if bottom {
        return Ok(offset);
    }
    // The last turn of the loop may have come upon IP.
    match ethertype {
        ETH_P_8021Q | ETH_P_8021AD | ETH_P_QINQ1 | ETH_P_MPLS_UC | ETH_P_MPLS_MC
        | ETH_P_PPP_SES => Err(Reason::TooDeep),
        _ => Ok(offset),
    }
}

/// Notes a VLAN tag: the outermost first, then the next; a priority tag (VID 0) is no VLAN.
#[inline(always)]
fn push_vlan(id: &mut FlowId, tci: u16) {
    let vlan = tci & VLAN_ID_MASK;
    if id.vlan_id == 0 {
        id.vlan_id = vlan;
    } else if id.customer_vlan_id == 0 {
        id.customer_vlan_id = vlan;
    }
}

#[inline(always)]
fn ethertype_of_version(first_octet: u8) -> u16 {
    match first_octet >> 4 {
        4 => ETH_P_IP,
        6 => ETH_P_IPV6,
        _ => 0,
    }
}

/// An IPv4 packet at `offset` (RFC 791).
#[inline(always)]
fn ipv4<F: Frame>(
    frame: &F,
    offset: u32,
    id: &mut FlowId,
    facts: &mut Facts,
) -> Result<(), Reason> {
    let h = frame.load::<20>(offset).ok_or(Reason::Truncated)?;
    let header_octets = u32::from(h[0] & 0x0f) * 4;
    if h[0] >> 4 != 4 || header_octets < IPV4_HEADER_OCTETS {
        return Err(Reason::Malformed);
    }
    let available = frame.len().saturating_sub(offset);
    let total = u32::from(u16::from_be_bytes([h[2], h[3]]));
    // A super-packet beyond 64 KiB has no room to say its length and says 0.
    let octets = if total == 0 { available } else { total };
    if octets < header_octets || octets > available {
        return Err(Reason::Malformed);
    }
    let fragment_offset = u16::from_be_bytes([h[6] & 0x1f, h[7]]);
    let more_fragments = h[6] & 0x20 != 0;
    id.src_ip = IpAddress::from_v4_octets([h[12], h[13], h[14], h[15]]);
    id.dst_ip = IpAddress::from_v4_octets([h[16], h[17], h[18], h[19]]);
    id.transport_protocol = h[9];
    facts.octets = octets;
    facts.tos = h[1];
    facts.ttl = h[8];
    facts.headers = header_octets;
    if fragment_offset != 0 {
        // Only the first fragment has the transport header.
        return Ok(());
    }
    transport(
        frame,
        offset + header_octets,
        offset + octets,
        more_fragments,
        id,
        facts,
    )
}

/// An IPv6 packet at `offset` (RFC 8200), its extension headers walked.
#[inline(always)]
fn ipv6<F: Frame>(
    frame: &F,
    offset: u32,
    id: &mut FlowId,
    facts: &mut Facts,
) -> Result<(), Reason> {
    let h = frame.load::<40>(offset).ok_or(Reason::Truncated)?;
    if h[0] >> 4 != 6 {
        return Err(Reason::Malformed);
    }
    let available = frame.len().saturating_sub(offset);
    let payload = u32::from(u16::from_be_bytes([h[4], h[5]]));
    // As in IPv4, a super-packet beyond 64 KiB says 0 (and so does a jumbogram, RFC 2675).
    let unbounded = payload == 0 && frame.is_segmented();
    let octets = if unbounded {
        available
    } else {
        payload + IPV6_HEADER_OCTETS
    };
    // The host then notes the length in a hop-by-hop header, which no segment has on the wire.
    let off_the_wire = if unbounded && h[6] == PROTO_HOP_BY_HOP {
        JUMBO_HEADER_OCTETS
    } else {
        0
    };
    if octets > available {
        return Err(Reason::Malformed);
    }
    let end = offset + octets;
    id.src_ip = address16(&h, 8);
    id.dst_ip = address16(&h, 24);
    facts.octets = octets - off_the_wire;
    facts.tos = (h[0] & 0x0f) << 4 | h[1] >> 4;
    facts.ttl = h[7];
    let mut next = h[6];
    let mut at = offset + IPV6_HEADER_OCTETS;
    let mut first_fragment = false;
    for _ in 0..MAX_EXTENSION_HEADERS {
        at = frame.forget_path(at);
        match next {
            PROTO_HOP_BY_HOP
            | PROTO_ROUTING
            | PROTO_DESTINATION_OPTIONS
            | PROTO_MOBILITY
            | PROTO_HIP
            | PROTO_SHIM6 => {
                let [following, length] = frame.load::<2>(at).ok_or(Reason::Truncated)?;
                next = following;
                at += (u32::from(length) + 1) * 8;
            }
            PROTO_AH => {
                let [following, length] = frame.load::<2>(at).ok_or(Reason::Truncated)?;
                next = following;
                at += (u32::from(length) + 2) * 4;
            }
            PROTO_FRAGMENT => {
                let [following, _, o0, o1] = frame.load::<4>(at).ok_or(Reason::Truncated)?;
                next = following;
                at += 8;
                // With neither an offset nor more to come it is a whole packet (RFC 6946).
                first_fragment |= o1 & 0x01 != 0;
                if u16::from_be_bytes([o0, o1]) & 0xfff8 != 0 {
                    if at > end {
                        return Err(Reason::Truncated);
                    }
                    id.transport_protocol = next;
                    facts.headers = at - offset - off_the_wire;
                    return Ok(());
                }
            }
            _ => break,
        }
    }
    at = frame.forget_path(at);
    if at > end {
        return Err(Reason::Truncated);
    }
    id.transport_protocol = next;
    facts.headers = at - offset - off_the_wire;
    match next {
        PROTO_HOP_BY_HOP
        | PROTO_ROUTING
        | PROTO_FRAGMENT
        | PROTO_AH
        | PROTO_DESTINATION_OPTIONS
        | PROTO_MOBILITY
        | PROTO_HIP
        | PROTO_SHIM6 => Err(Reason::TooDeep),
        _ => transport(frame, at, end, first_fragment, id, facts),
    }
}

/// The transport header at `at` of an IP packet that ends at `end`: ports, ICMP type and code,
/// TCP flags.
#[inline(always)]
fn transport<F: Frame>(
    frame: &F,
    at: u32,
    end: u32,
    first_fragment: bool,
    id: &mut FlowId,
    facts: &mut Facts,
) -> Result<(), Reason> {
    match id.transport_protocol {
        PROTO_TCP => {
            if at + TCP_FLAGS_END > end {
                // A first fragment may be cut inside the TCP header, a whole packet may not.
                return if first_fragment {
                    ports(frame, at, end, id)
                } else {
                    Err(Reason::Truncated)
                };
            }
            let h = frame.load::<14>(at).ok_or(Reason::Truncated)?;
            id.src_port = u16::from_be_bytes([h[0], h[1]]);
            id.dst_port = u16::from_be_bytes([h[2], h[3]]);
            facts.flags = u16::from_be_bytes([h[12] & 0x0f, h[13]]);
            let octets = u32::from(h[12] >> 4) * 4;
            facts.headers += if octets < TCP_HEADER_OCTETS {
                TCP_HEADER_OCTETS
            } else {
                octets
            };
            Ok(())
        }
        PROTO_UDP | PROTO_UDPLITE => {
            facts.headers += UDP_HEADER_OCTETS;
            ports(frame, at, end, id)
        }
        PROTO_SCTP => {
            facts.headers += SCTP_HEADER_OCTETS;
            ports(frame, at, end, id)
        }
        PROTO_DCCP => ports(frame, at, end, id),
        PROTO_ICMP | PROTO_ICMPV6 => {
            if at + 2 > end {
                return Err(Reason::Truncated);
            }
            let type_and_code = frame.load::<2>(at).ok_or(Reason::Truncated)?;
            id.dst_port = u16::from_be_bytes(type_and_code);
            Ok(())
        }
        _ => Ok(()),
    }
}

#[inline(always)]
fn ports<F: Frame>(frame: &F, at: u32, end: u32, id: &mut FlowId) -> Result<(), Reason> {
    if at + 4 > end {
        return Err(Reason::Truncated);
    }
    let [s0, s1, d0, d1] = frame.load::<4>(at).ok_or(Reason::Truncated)?;
    id.src_port = u16::from_be_bytes([s0, s1]);
    id.dst_port = u16::from_be_bytes([d0, d1]);
    Ok(())
}

#[inline(always)]
fn address16(header: &[u8; 40], at: usize) -> IpAddress {
    let mut octets = [0; 16];
    let mut i = 0;
    while i < 16 {
        octets[i] = header[at + i];
        i += 1;
    }
    IpAddress(octets)
}

impl Facts {
    /// Packets and IP octets on the wire of a frame that stands for several (GSO, GRO), from the
    /// kernel's number of segments (0: not told) and payload octets per segment.
    #[inline(always)]
    pub fn on_the_wire(&self, segments: u32, segment_octets: u32) -> (u64, u64) {
        let octets = u64::from(self.octets);
        if segment_octets == 0 {
            return (1, octets);
        }
        // A TCP header may claim more than the packet has.
        let headers = if self.headers > self.octets {
            octets
        } else {
            u64::from(self.headers)
        };
        let payload = octets - headers;
        let told = u64::from(segments);
        let packets = if told != 0 {
            told
        } else {
            payload.div_ceil(u64::from(segment_octets))
        };
        let packets = if packets == 0 { 1 } else { packets };
        (packets, octets + (packets - 1) * headers)
    }
}
