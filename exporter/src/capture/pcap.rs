//! The pcap format: a header, then packets.

use super::source::Source;
use super::{Damage, DamageKind, InterfaceId, Interfaces, MAX_PACKET, Packet, packet_of};

const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
/// A variant of old Linux distributions, with longer headers of packets.
const MAGIC_MODIFIED: u32 = 0xa1b2_cd34;
const FILE_HEADER: usize = 24;
const PACKET_HEADER: usize = 16;
const MODIFIED_PACKET_HEADER: usize = 24;
const VERSION_MAJOR: u16 = 2;
/// Up to 2.2 the two lengths of a packet stand the other way round, in 2.3 some writers have them so.
const MINOR_EITHER: u16 = 3;
/// The upper bits of the link type say whether there is a frame check sequence.
const LINK_TYPE: u32 = 0xffff;

/// What a file's header says.
#[derive(Debug)]
pub(super) struct Pcap {
    big_endian: bool,
    /// What a unit of the fraction of a second is in nanoseconds.
    fraction_ns: u64,
    header: usize,
    minor: u16,
    interface: InterfaceId,
}

impl Pcap {
    /// Whether a file that begins so is one.
    pub(super) fn begins(magic: [u8; 4]) -> bool {
        Self::kind(magic).is_some()
    }

    /// Byte order, unit and packet headers by the first octets.
    fn kind(magic: [u8; 4]) -> Option<(bool, u64, usize)> {
        let of = |magic| match magic {
            MAGIC_MICROSECONDS => Some((1_000, PACKET_HEADER)),
            MAGIC_NANOSECONDS => Some((1, PACKET_HEADER)),
            MAGIC_MODIFIED => Some((1_000, MODIFIED_PACKET_HEADER)),
            _ => None,
        };
        let little = of(u32::from_le_bytes(magic)).map(|(ns, header)| (false, ns, header));
        little.or_else(|| of(u32::from_be_bytes(magic)).map(|(ns, header)| (true, ns, header)))
    }

    /// Reads the header of the file.
    pub(super) fn open(source: &mut Source, interfaces: &mut Interfaces) -> Result<Self, Damage> {
        let at = source.offset();
        let there = source
            .fill(FILE_HEADER)
            .map_err(|e| Damage::io(source, e))?;
        let Some(header) = source.octets().first_chunk::<FILE_HEADER>() else {
            return Err(Damage::cut(
                at,
                "the header of the file",
                there,
                FILE_HEADER,
            ));
        };
        let [m0, m1, m2, m3, ..] = *header;
        let Some((big_endian, fraction_ns, packet_header)) = Self::kind([m0, m1, m2, m3]) else {
            return Err(Damage {
                offset: at,
                kind: DamageKind::NoCapture([m0, m1, m2, m3]),
            });
        };
        let order = Order { big_endian };
        let major = order.u16([header[4], header[5]]);
        let minor = order.u16([header[6], header[7]]);
        if major != VERSION_MAJOR {
            return Err(Damage {
                offset: at + 4,
                kind: DamageKind::Version(major, minor),
            });
        }
        let link = order.u32([header[20], header[21], header[22], header[23]]) & LINK_TYPE;
        let link = u16::try_from(link).unwrap_or(u16::MAX);
        source.consume(FILE_HEADER);
        Ok(Self {
            big_endian,
            fraction_ns,
            header: packet_header,
            minor,
            interface: interfaces.find(None, 0, Some(link)),
        })
    }

    /// The next packet.
    #[inline]
    pub(super) fn next<'a>(&self, source: &'a mut Source) -> Result<Option<Packet<'a>>, Damage> {
        let there = source
            .fill(self.header)
            .map_err(|e| Damage::io(source, e))?;
        let at = source.offset();
        let Some(header) = source
            .octets()
            .first_chunk::<PACKET_HEADER>()
            .filter(|_| there >= self.header)
        else {
            return if there == 0 {
                Ok(None)
            } else {
                Err(Damage::cut(
                    at,
                    "the header of a packet",
                    there,
                    self.header,
                ))
            };
        };
        let order = Order {
            big_endian: self.big_endian,
        };
        let [
            s0,
            s1,
            s2,
            s3,
            f0,
            f1,
            f2,
            f3,
            c0,
            c1,
            c2,
            c3,
            w0,
            w1,
            w2,
            w3,
        ] = *header;
        let seconds = order.u32([s0, s1, s2, s3]);
        let fraction = order.u32([f0, f1, f2, f3]);
        let (captured, wire) =
            self.lengths(order.u32([c0, c1, c2, c3]), order.u32([w0, w1, w2, w3]));
        if captured > MAX_PACKET {
            return Err(Damage {
                offset: at,
                kind: DamageKind::Length(captured),
            });
        }
        let length = captured as usize;
        source.consume(self.header);
        let there = source.fill(length).map_err(|e| Damage::io(source, e))?;
        if there < length {
            return Err(Damage::cut(source.offset(), "a packet", there, length));
        }
        let time_ns = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.fraction_ns;
        Ok(Some(packet_of(
            source.take(length),
            wire,
            time_ns,
            self.interface,
        )))
    }

    /// What was captured, and what was on the wire.
    #[inline]
    fn lengths(&self, captured: u32, wire: u32) -> (u32, u32) {
        if self.minor < MINOR_EITHER || self.minor == MINOR_EITHER && captured > wire {
            (wire, captured)
        } else {
            (captured, wire)
        }
    }
}

/// The byte order of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) big_endian: bool,
}

impl Order {
    #[inline]
    pub(super) fn u16(self, octets: [u8; 2]) -> u16 {
        if self.big_endian {
            u16::from_be_bytes(octets)
        } else {
            u16::from_le_bytes(octets)
        }
    }

    #[inline]
    pub(super) fn u32(self, octets: [u8; 4]) -> u32 {
        if self.big_endian {
            u32::from_be_bytes(octets)
        } else {
            u32::from_le_bytes(octets)
        }
    }

    #[inline]
    pub(super) fn u64(self, octets: [u8; 8]) -> u64 {
        if self.big_endian {
            u64::from_be_bytes(octets)
        } else {
            u64::from_le_bytes(octets)
        }
    }
}
