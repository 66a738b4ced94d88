//! A second dissector, to judge the first.
//!
//! Written from the standards and from what `ebpfix_probes::abi` and `dissect` promise of their
//! fields, not from the code: it cuts slices and calls itself, has no offsets and no loops, and
//! neither the verifier nor speed was on its mind. Its only aim is to be plainly right.

use ebpfix_probes::abi::{FlowId, IpAddress, MacAddress};
use ebpfix_probes::dissect::{Facts, Link, MAX_ENCAPSULATIONS, MAX_EXTENSION_HEADERS, Reason};

/// A frame, and what is known of it beside its octets.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The octets that are there.
    pub octets: &'a [u8],
    /// How many there were on the wire; at least those that are there.
    pub wire_length: u32,
    /// Whether it stands for several packets.
    pub segmented: bool,
    /// What it begins with.
    pub link: Link,
    /// The VLAN tag that travels beside it.
    pub offloaded_tag: Option<u16>,
}

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Verdict {
    /// A packet of this flow.
    Flow(FlowId, Facts),
    /// No IP; the link layer's part of the key.
    LayerTwo(FlowId),
    /// Nothing that has a key. Never [`Reason::NotIp`].
    Nothing(Reason),
}

/// Says what a frame is.
pub fn dissect(packet: &Packet<'_>) -> Verdict {
    let frame = Octets {
        here: packet.octets,
        length: packet.wire_length.into(),
    };
    match packet.link {
        Link::Ethernet => ethernet(packet, frame),
        Link::None => match frame.peek() {
            None => Verdict::Nothing(Reason::Truncated),
            Some(first) => network(packet, by_version(first), FlowId::default(), frame),
        },
    }
}

/// Octets of which the last may not be there.
#[derive(Clone, Copy)]
struct Octets<'a> {
    here: &'a [u8],
    /// All of them.
    length: u64,
}

impl Octets<'_> {
    /// The first `N`, and the rest. None are taken that are not there, or that are of something else.
    fn take<const N: usize>(self) -> Result<([u8; N], Self), Reason> {
        match self.here.split_first_chunk::<N>() {
            Some((first, here)) if self.length >= N as u64 => Ok((
                *first,
                Octets {
                    here,
                    length: self.length - N as u64,
                },
            )),
            _ => Err(Reason::Truncated),
        }
    }

    /// What is behind so many octets, which need not be there, but on the wire.
    fn behind(self, octets: u64) -> Result<Self, Reason> {
        let length = self.length.checked_sub(octets).ok_or(Reason::Truncated)?;
        let skipped = usize::try_from(octets).unwrap_or(usize::MAX);
        Ok(Octets {
            here: self.here.get(skipped..).unwrap_or_default(),
            length,
        })
    }

    /// The first so many octets alone.
    fn only(self, octets: u64) -> Option<Self> {
        let kept = usize::try_from(octets).unwrap_or(usize::MAX);
        (octets <= self.length).then(|| Octets {
            here: &self.here[..kept.min(self.here.len())],
            length: octets,
        })
    }

    fn peek(self) -> Option<u8> {
        self.here.first().copied()
    }
}

// ---- Link layer ----------------------------------------------------------------------------------

/// What the link layer carries: its type, 0 for none, and its octets.
type Carried<'a> = (u16, Octets<'a>);

fn ethernet(packet: &Packet<'_>, frame: Octets<'_>) -> Verdict {
    let carried = frame.take::<12>().and_then(|(addresses, rest)| {
        let mut tags: Vec<u16> = packet.offloaded_tag.into_iter().collect();
        let (ethertype, rest) = number(rest)?;
        let carried = decapsulate(ethertype, rest, MAX_ENCAPSULATIONS, &mut tags)?;
        Ok((addresses, tags, carried))
    });
    match carried {
        Err(reason) => Verdict::Nothing(reason),
        Ok((addresses, tags, (ethertype, rest))) => {
            // IEEE 802.1Q clause 6.9: VID 0 says that the frame has a priority and no VLAN.
            let mut vlans = tags.iter().map(|tci| tci & 0x0fff).filter(|vid| *vid != 0);
            let (destination, source) = addresses.split_at(6);
            let id = FlowId {
                dst_mac: MacAddress(destination.try_into().expect("six")),
                src_mac: MacAddress(source.try_into().expect("six")),
                vlan_id: vlans.next().unwrap_or(0),
                customer_vlan_id: vlans.next().unwrap_or(0),
                ..FlowId::default()
            };
            network(packet, ethertype, id, rest)
        }
    }
}

/// Takes off tags, labels and the session header, as many as may be `left`.
fn decapsulate<'a>(
    ethertype: u16,
    octets: Octets<'a>,
    left: usize,
    tags: &mut Vec<u16>,
) -> Result<Carried<'a>, Reason> {
    let what = match ethertype {
        // IEEE 802.1Q (customer and service tag), and the service tag from before it.
        0x8100 | 0x88a8 | 0x9100 => Encapsulation::Tag,
        // RFC 5332 section 4.
        0x8847 | 0x8848 => Encapsulation::Label,
        // RFC 2516 section 4.
        0x8864 => Encapsulation::Session,
        // IEEE 802.3 clause 3.2.6: that is a length, and LLC follows.
        0..0x0600 => return Ok((0, octets)),
        _ => return Ok((ethertype, octets)),
    };
    let left = left.checked_sub(1).ok_or(Reason::TooDeep)?;
    match what {
        Encapsulation::Tag => {
            let (tci, rest) = number(octets)?;
            let (ethertype, rest) = number(rest)?;
            tags.push(tci);
            decapsulate(ethertype, rest, left, tags)
        }
        Encapsulation::Label => {
            // RFC 3032 section 2.1: label 20 bits, traffic class 3, bottom of stack 1, TTL 8.
            let (entry, rest) = octets.take::<4>()?;
            if u32::from_be_bytes(entry) >> 8 & 1 == 0 {
                decapsulate(ethertype, rest, left, tags)
            } else {
                let first = rest.peek().ok_or(Reason::Truncated)?;
                Ok((by_version(first), rest))
            }
        }
        Encapsulation::Session => {
            // Version and type, code, session, length; then PPP's protocol (RFC 1661 section 2).
            let (_, rest) = octets.take::<6>()?;
            let (protocol, rest) = number(rest)?;
            let ethertype = match protocol {
                0x0021 => 0x0800,
                0x0057 => 0x86dd,
                _ => ethertype,
            };
            Ok((ethertype, rest))
        }
    }
}

enum Encapsulation {
    Tag,
    Label,
    Session,
}

fn number(octets: Octets<'_>) -> Result<(u16, Octets<'_>), Reason> {
    let (number, rest) = octets.take::<2>()?;
    Ok((u16::from_be_bytes(number), rest))
}

/// The type of what says itself what it is (RFC 4928 section 3).
fn by_version(first: u8) -> u16 {
    match first & 0xf0 {
        0x40 => 0x0800,
        0x60 => 0x86dd,
        _ => 0,
    }
}

// ---- Network layer -------------------------------------------------------------------------------

fn network(packet: &Packet<'_>, ethertype: u16, id: FlowId, octets: Octets<'_>) -> Verdict {
    let mut flow = Flow {
        id: FlowId {
            eth_protocol: ethertype,
            ..id
        },
        facts: Facts::default(),
    };
    let outcome = match ethertype {
        0x0800 => flow.ipv4(octets),
        0x86dd => flow.ipv6(octets, packet.segmented),
        _ => return Verdict::LayerTwo(flow.id),
    };
    match outcome {
        Ok(()) => Verdict::Flow(flow.id, flow.facts),
        Err(reason) => Verdict::Nothing(reason),
    }
}

struct Flow {
    id: FlowId,
    facts: Facts,
}

impl Flow {
    /// RFC 791 section 3.1.
    fn ipv4(&mut self, octets: Octets<'_>) -> Result<(), Reason> {
        let (header, _) = octets.take::<20>()?;
        let [
            first,
            tos,
            l0,
            l1,
            _,
            _,
            f0,
            f1,
            ttl,
            protocol,
            _,
            _,
            addresses @ ..,
        ] = header;
        let header_octets = 4 * u64::from(first % 16);
        // What a super-packet of more than 64 KiB says is 0.
        let total = match u16::from_be_bytes([l0, l1]) {
            0 => octets.length,
            total => total.into(),
        };
        if first / 16 != 4 || header_octets < 20 || total < header_octets {
            return Err(Reason::Malformed);
        }
        let datagram = octets.only(total).ok_or(Reason::Malformed)?;
        let payload = datagram.behind(header_octets)?;
        let [s0, s1, s2, s3, d0, d1, d2, d3] = addresses;
        self.id.src_ip = IpAddress::from_v4_octets([s0, s1, s2, s3]);
        self.id.dst_ip = IpAddress::from_v4_octets([d0, d1, d2, d3]);
        self.id.transport_protocol = protocol;
        self.facts = Facts {
            octets: narrow(total),
            headers: narrow(header_octets),
            flags: 0,
            tos,
            ttl,
        };
        // Reserved, "don't fragment", "more fragments", and thirteen bits of offset.
        let fragmentation = u16::from_be_bytes([f0, f1]);
        if fragmentation % 0x2000 == 0 {
            self.transport(payload, fragmentation & 0x2000 != 0)?;
        }
        Ok(())
    }

    /// RFC 8200 section 3.
    fn ipv6(&mut self, octets: Octets<'_>, segmented: bool) -> Result<(), Reason> {
        let (header, _) = octets.take::<40>()?;
        let (fixed, addresses) = header.split_at(8);
        if fixed[0] / 16 != 6 {
            return Err(Reason::Malformed);
        }
        let (source, destination) = addresses.split_at(16);
        self.id.src_ip = IpAddress(source.try_into().expect("sixteen"));
        self.id.dst_ip = IpAddress(destination.try_into().expect("sixteen"));
        let next = fixed[6];
        let payload_length = u16::from_be_bytes([fixed[4], fixed[5]]);
        // A super-packet of more than 64 KiB says 0, and has its length in a jumbo payload option
        // (RFC 2675) of a header that the host has put in for itself.
        let super_packet = segmented && payload_length == 0;
        let total = if super_packet {
            octets.length
        } else {
            40 + u64::from(payload_length)
        };
        let the_hosts_own = if super_packet && next == 0 { 8 } else { 0 };
        let packet = octets.only(total).ok_or(Reason::Malformed)?;
        let class = u16::from_be_bytes([fixed[0], fixed[1]]) >> 4 & 0xff;
        self.facts = Facts {
            octets: narrow(total - the_hosts_own),
            headers: 40,
            flags: 0,
            tos: u8::try_from(class).expect("eight bits"),
            ttl: fixed[7],
        };
        let (transport, headers) =
            extension_headers(next, packet.behind(40)?, MAX_EXTENSION_HEADERS)?;
        self.id.transport_protocol = transport.protocol;
        self.facts.headers += headers;
        self.facts.headers -= u32::try_from(the_hosts_own).expect("8");
        match transport.fragment {
            Fragment::Later => Ok(()),
            Fragment::First => self.transport(transport.octets, true),
            Fragment::Whole => self.transport(transport.octets, false),
        }
    }

    /// Ports, ICMP type and code, TCP flags. A packet that is whole has all of what is read of its
    /// header; a first fragment may end before the flags.
    fn transport(&mut self, segment: Octets<'_>, first_fragment: bool) -> Result<(), Reason> {
        match self.id.transport_protocol {
            // RFC 9293 section 3.1.
            6 if first_fragment && segment.length < 14 => self.ports(segment),
            6 => {
                let (header, _) = segment.take::<14>()?;
                self.ports(segment)?;
                let [.., offset_and_flags, flags] = header;
                self.facts.flags = u16::from_be_bytes([offset_and_flags % 16, flags]);
                self.facts.headers += 4 * u32::from(offset_and_flags / 16).max(5);
                Ok(())
            }
            // RFC 768, RFC 3828.
            17 | 136 => {
                self.facts.headers += 8;
                self.ports(segment)
            }
            // RFC 9260 section 3.1.
            132 => {
                self.facts.headers += 12;
                self.ports(segment)
            }
            // RFC 4340 section 5.1.
            33 => self.ports(segment),
            // RFC 792; RFC 4443 section 2.1.
            1 | 58 => {
                let (type_and_code, _) = number(segment)?;
                self.id.dst_port = type_and_code;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn ports(&mut self, segment: Octets<'_>) -> Result<(), Reason> {
        let (source, rest) = number(segment)?;
        let (destination, _) = number(rest)?;
        self.id.src_port = source;
        self.id.dst_port = destination;
        Ok(())
    }
}

/// What is behind the extension headers.
struct Transport<'a> {
    protocol: u8,
    octets: Octets<'a>,
    fragment: Fragment,
}

enum Fragment {
    Whole,
    First,
    Later,
}

/// Goes through as many extension headers as may be `left`; also says how many octets they have.
fn extension_headers(
    kind: u8,
    octets: Octets<'_>,
    left: usize,
) -> Result<(Transport<'_>, u32), Reason> {
    let header = match kind {
        // RFC 8200 section 4: hop-by-hop options, routing, destination options. RFC 6275 section
        // 6.1, RFC 7401 section 5.1, RFC 5533 section 5.1: of the same form (RFC 6564 section 3).
        0 | 43 | 60 | 135 | 139 | 140 => Extension::Common,
        // RFC 4302 section 2.
        51 => Extension::Authentication,
        // RFC 8200 section 4.5.
        44 => Extension::Fragment,
        _ => {
            let transport = Transport {
                protocol: kind,
                octets,
                fragment: Fragment::Whole,
            };
            return Ok((transport, 0));
        }
    };
    let left = left.checked_sub(1).ok_or(Reason::TooDeep)?;
    let ([next, length], _) = octets.take::<2>()?;
    let here = match header {
        // In 8-octet units, not including the first.
        Extension::Common => 8 + 8 * u64::from(length),
        // In 4-octet units, minus 2.
        Extension::Authentication => 4 * (u64::from(length) + 2),
        Extension::Fragment => 8,
    };
    if let Extension::Fragment = header {
        let ([_, _, o0, o1], _) = octets.take::<4>()?;
        let field = u16::from_be_bytes([o0, o1]);
        let behind = octets.behind(here)?;
        if field >> 3 != 0 {
            let transport = Transport {
                protocol: next,
                octets: behind,
                fragment: Fragment::Later,
            };
            return Ok((transport, narrow(here)));
        }
        let (mut transport, headers) = extension_headers(next, behind, left)?;
        // RFC 6946: with no more to come it is a whole packet. Of several fragment headers each may
        // say that there is more.
        if let (1, Fragment::Whole) = (field & 1, &transport.fragment) {
            transport.fragment = Fragment::First;
        }
        return Ok((transport, narrow(here) + headers));
    }
    let (transport, headers) = extension_headers(next, octets.behind(here)?, left)?;
    Ok((transport, narrow(here) + headers))
}

enum Extension {
    Common,
    Authentication,
    Fragment,
}

fn narrow(octets: u64) -> u32 {
    u32::try_from(octets).unwrap_or(u32::MAX)
}
