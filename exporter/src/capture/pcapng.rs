//! The pcapng format: blocks, in sections that each have their own byte order and interfaces.

use super::pcap::Order;
use super::source::Source;
use super::{Damage, DamageKind, InterfaceId, Interfaces, MAX_PACKET, Packet, packet_of};
use ebpfix_probes::abi::{DIRECTION_EGRESS, DIRECTION_INGRESS};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const VERSION_MAJOR: u16 = 1;

/// Type and length of a block, and the length again at its end.
const BLOCK_HEADER: usize = 8;
const BLOCK_TRAILER: usize = 4;
/// The largest block that is looked into: a packet, and options that say much of it.
const MAX_BLOCK: u32 = MAX_PACKET + (1 << 20);

const OPTION_NAME: u16 = 2;
const OPTION_TIME_RESOLUTION: u16 = 9;
const OPTION_TIME_OFFSET: u16 = 14;
const OPTION_FLAGS: u16 = 2;

/// The section that is being read.
#[derive(Debug)]
pub(super) struct Pcapng {
    order: Order,
    interfaces: Vec<Described>,
    /// The time of the last packet that had one: simple packets have none.
    time_ns: u64,
}

/// What a section says of an interface.
#[derive(Clone, Copy, Debug)]
struct Described {
    id: InterfaceId,
    clock: Clock,
    /// Octets of a packet that are captured at most; 0: all.
    snap_length: u32,
}

/// What the timestamps of an interface mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clock {
    unit: Unit,
    offset_s: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// So many nanoseconds.
    Nanoseconds(u64),
    /// So many make a nanosecond.
    PerNanosecond(u64),
    /// A second divided by this power of two.
    BinarySecond(u8),
}

impl Clock {
    const MICROSECONDS: Self = Self {
        unit: Unit::Nanoseconds(1_000),
        offset_s: 0,
    };

    /// Nanoseconds since 1970, within what 64 bits hold.
    #[inline]
    fn time_ns(self, ticks: u64) -> u64 {
        const NS_PER_S: u64 = 1_000_000_000;
        let ns = match self.unit {
            Unit::Nanoseconds(factor) => ticks.saturating_mul(factor),
            Unit::PerNanosecond(divisor) => ticks / divisor.max(1),
            Unit::BinarySecond(power) => {
                let ns = u128::from(ticks) * u128::from(NS_PER_S);
                u64::try_from(ns.checked_shr(power.into()).unwrap_or(0)).unwrap_or(u64::MAX)
            }
        };
        let offset = self.offset_s.unsigned_abs().saturating_mul(NS_PER_S);
        if self.offset_s < 0 {
            ns.saturating_sub(offset)
        } else {
            ns.saturating_add(offset)
        }
    }
}

impl Unit {
    /// The unit of an `if_tsresol`: a negative power of 10, or with the highest bit set of 2.
    fn of(resolution: u8) -> Self {
        const BINARY: u8 = 0x80;
        const NANO: u32 = 9;
        if resolution & BINARY != 0 {
            return Self::BinarySecond(resolution & !BINARY);
        }
        let power = u32::from(resolution);
        if power <= NANO {
            Self::Nanoseconds(10_u64.pow(NANO - power))
        } else {
            // Beyond what 64 bits hold no time is left of the ticks either.
            Self::PerNanosecond(10_u64.checked_pow(power - NANO).unwrap_or(u64::MAX))
        }
    }
}

/// Type and length of a block.
#[derive(Clone, Copy)]
struct Block {
    kind: u32,
    /// Of all of it.
    length: u32,
}

impl Pcapng {
    /// Whether a file that begins so is one.
    pub(super) fn begins(magic: [u8; 4]) -> bool {
        u32::from_le_bytes(magic) == SECTION_HEADER
    }

    pub(super) fn new() -> Self {
        Self {
            order: Order { big_endian: false },
            interfaces: Vec::new(),
            time_ns: 0,
        }
    }

    /// The next packet.
    pub(super) fn next<'a>(
        &mut self,
        source: &'a mut Source,
        interfaces: &mut Interfaces,
    ) -> Result<Option<Packet<'a>>, Damage> {
        loop {
            let at = source.offset();
            let Some(block) = self.block(source)? else {
                return Ok(None);
            };
            match block.kind {
                SECTION_HEADER => {
                    // The interfaces were those of the section before.
                    self.interfaces.clear();
                    self.pass(source, at, block)?;
                }
                INTERFACE_DESCRIPTION => {
                    self.whole(source, at, block)?;
                    let described = self.describe(body(source, block), interfaces);
                    let described = described.ok_or(Damage {
                        offset: at,
                        kind: DamageKind::Block(block.length),
                    })?;
                    self.interfaces.push(described);
                    source.consume(block.length as usize);
                }
                ENHANCED_PACKET | PACKET | SIMPLE_PACKET => {
                    self.whole(source, at, block)?;
                    let found = self.packet(block.kind, body(source, block), interfaces);
                    let Some(found) = found else {
                        return Err(Damage {
                            offset: at,
                            kind: DamageKind::Block(block.length),
                        });
                    };
                    let octets = source.take(block.length as usize);
                    let octets = octets.get(found.from..found.to).unwrap_or_default();
                    let mut packet =
                        packet_of(octets, found.wire_length, found.time_ns, found.interface);
                    packet.direction = found.direction;
                    return Ok(Some(packet));
                }
                _ => self.pass(source, at, block)?,
            }
        }
    }

    /// Looks at the next block: its header is in the buffer then. A section's header changes the byte
    /// order.
    fn block(&mut self, source: &mut Source) -> Result<Option<Block>, Damage> {
        let at = source.offset();
        let there = source
            .fill(BLOCK_HEADER)
            .map_err(|e| Damage::io(source, e))?;
        let Some(header) = source.octets().first_chunk::<BLOCK_HEADER>() else {
            return if there == 0 {
                Ok(None)
            } else {
                Err(Damage::cut(
                    at,
                    "the header of a block",
                    there,
                    BLOCK_HEADER,
                ))
            };
        };
        let [t0, t1, t2, t3, l0, l1, l2, l3] = *header;
        // The same in both byte orders.
        let section = Self::begins([t0, t1, t2, t3]);
        if section {
            self.order = Self::section(source)?;
        }
        let block = Block {
            kind: if section {
                SECTION_HEADER
            } else {
                self.order.u32([t0, t1, t2, t3])
            },
            length: self.order.u32([l0, l1, l2, l3]),
        };
        if !block.length.is_multiple_of(4) || (block.length as usize) < BLOCK_HEADER + BLOCK_TRAILER
        {
            return Err(Damage {
                offset: at,
                kind: DamageKind::Block(block.length),
            });
        }
        Ok(Some(block))
    }

    /// The byte order of the section that begins.
    fn section(source: &mut Source) -> Result<Order, Damage> {
        const NEEDED: usize = 16;
        let at = source.offset();
        let there = source.fill(NEEDED).map_err(|e| Damage::io(source, e))?;
        let Some(start) = source.octets().first_chunk::<NEEDED>() else {
            return Err(Damage::cut(at, "the header of a section", there, NEEDED));
        };
        let magic = [start[8], start[9], start[10], start[11]];
        let order = match (u32::from_le_bytes(magic), u32::from_be_bytes(magic)) {
            (BYTE_ORDER, _) => Order { big_endian: false },
            (_, BYTE_ORDER) => Order { big_endian: true },
            _ => {
                return Err(Damage {
                    offset: at + 8,
                    kind: DamageKind::ByteOrder(magic),
                });
            }
        };
        let major = order.u16([start[12], start[13]]);
        let minor = order.u16([start[14], start[15]]);
        if major != VERSION_MAJOR {
            return Err(Damage {
                offset: at + 12,
                kind: DamageKind::Version(major, minor),
            });
        }
        Ok(order)
    }

    /// Goes past a block that is not looked into, however long it is.
    fn pass(&self, source: &mut Source, at: u64, block: Block) -> Result<(), Damage> {
        let before = u64::from(block.length) - BLOCK_TRAILER as u64;
        let passed = source.skip(before).map_err(|e| Damage::io(source, e))?;
        let there = source
            .fill(BLOCK_TRAILER)
            .map_err(|e| Damage::io(source, e))?;
        let trailer = source.octets().first_chunk::<BLOCK_TRAILER>().copied();
        match trailer {
            Some(trailer) if passed == before => {
                self.check(at, block, trailer)?;
                source.consume(BLOCK_TRAILER);
                Ok(())
            }
            _ => Err(Damage {
                offset: at,
                kind: DamageKind::Cut {
                    what: "a block",
                    found: passed + there.min(BLOCK_TRAILER) as u64,
                    needed: block.length.into(),
                },
            }),
        }
    }

    /// Sees to it that a block is in the buffer as a whole.
    #[inline]
    fn whole(&self, source: &mut Source, at: u64, block: Block) -> Result<(), Damage> {
        if block.length > MAX_BLOCK {
            return Err(Damage {
                offset: at,
                kind: DamageKind::Length(block.length),
            });
        }
        let length = block.length as usize;
        let there = source.fill(length).map_err(|e| Damage::io(source, e))?;
        let trailer = source
            .octets()
            .get(length - BLOCK_TRAILER..)
            .and_then(|rest| rest.first_chunk::<BLOCK_TRAILER>());
        match trailer {
            Some(trailer) => self.check(at, block, *trailer),
            None => Err(Damage::cut(at, "a block", there, length)),
        }
    }

    /// The length stands at both ends of a block.
    #[inline]
    fn check(&self, at: u64, block: Block, trailer: [u8; 4]) -> Result<(), Damage> {
        let again = self.order.u32(trailer);
        if again == block.length {
            return Ok(());
        }
        Err(Damage {
            offset: at,
            kind: DamageKind::Lengths(block.length, again),
        })
    }

    fn describe(&self, body: &[u8], interfaces: &mut Interfaces) -> Option<Described> {
        const FIXED: usize = 8;
        let [l0, l1, _, _, s0, s1, s2, s3] = *body.first_chunk::<FIXED>()?;
        let mut name = None;
        let mut clock = Clock::MICROSECONDS;
        for (code, value) in Options::new(self.order, body.get(FIXED..)?) {
            match (code, value) {
                (OPTION_NAME, name_octets) => {
                    let text = String::from_utf8_lossy(name_octets);
                    let text = text.trim_end_matches('\0');
                    name = (!text.is_empty()).then(|| text.to_owned());
                }
                (OPTION_TIME_RESOLUTION, [resolution, ..]) => clock.unit = Unit::of(*resolution),
                (OPTION_TIME_OFFSET, value) => {
                    if let Some(octets) = value.first_chunk::<8>() {
                        clock.offset_s = self.order.u64(*octets).cast_signed();
                    }
                }
                _ => {}
            }
        }
        let id = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        Some(Described {
            id: interfaces.find(name, id, Some(self.order.u16([l0, l1]))),
            clock,
            snap_length: self.order.u32([s0, s1, s2, s3]),
        })
    }

    /// What the body of a packet's block says; `None` where it contradicts itself.
    fn packet(&mut self, kind: u32, body: &[u8], interfaces: &mut Interfaces) -> Option<Found> {
        let order = self.order;
        let u32_at = |at: usize| {
            let octets = body.get(at..)?.first_chunk::<4>()?;
            Some(order.u32(*octets))
        };
        let (fixed, interface, captured, wire_length, ticks) = match kind {
            ENHANCED_PACKET => {
                let ticks = u64::from(u32_at(4)?) << 32 | u64::from(u32_at(8)?);
                (20, u32_at(0)?, u32_at(12)?, u32_at(16)?, Some(ticks))
            }
            PACKET => {
                // Of two octets each: the interface, and how many were dropped.
                let [i0, i1] = *body.first_chunk::<2>()?;
                let ticks = u64::from(u32_at(4)?) << 32 | u64::from(u32_at(8)?);
                let interface = u32::from(order.u16([i0, i1]));
                (20, interface, u32_at(12)?, u32_at(16)?, Some(ticks))
            }
            _ => {
                let wire_length = u32_at(0)?;
                let snap_length = self.interfaces.first().map_or(0, |first| first.snap_length);
                let most = u32::try_from(body.len() - 4).ok()?;
                let captured = match snap_length {
                    0 => wire_length.min(most),
                    snap_length => wire_length.min(snap_length).min(most),
                };
                (4, 0, captured, wire_length, None)
            }
        };
        let to = usize::try_from(captured).ok()?.checked_add(fixed)?;
        if to > body.len() || captured > MAX_PACKET {
            return None;
        }
        let described = usize::try_from(interface)
            .ok()
            .and_then(|place| self.interfaces.get(place));
        let (interface, clock) = match described {
            Some(described) => (described.id, described.clock),
            None => (interfaces.find(None, interface, None), Clock::MICROSECONDS),
        };
        if let Some(ticks) = ticks {
            self.time_ns = clock.time_ns(ticks);
        }
        let options = to.checked_next_multiple_of(4).and_then(|at| body.get(at..));
        let direction = match options {
            Some(options) if !options.is_empty() && kind != SIMPLE_PACKET => {
                direction(order, options)
            }
            _ => None,
        };
        Some(Found {
            from: BLOCK_HEADER + fixed,
            to: BLOCK_HEADER + to,
            wire_length,
            time_ns: self.time_ns,
            interface,
            direction,
        })
    }
}

/// What stands between a block's lengths.
#[inline]
fn body(source: &Source, block: Block) -> &[u8] {
    let end = block.length as usize - BLOCK_TRAILER;
    source.octets().get(BLOCK_HEADER..end).unwrap_or_default()
}

/// Where in its block a packet is, and what is said of it.
struct Found {
    from: usize,
    to: usize,
    wire_length: u32,
    time_ns: u64,
    interface: InterfaceId,
    direction: Option<u8>,
}

/// The direction by a packet's flags, if they tell.
fn direction(order: Order, options: &[u8]) -> Option<u8> {
    const DIRECTION: u32 = 3;
    let (_, flags) = Options::new(order, options).find(|(code, _)| *code == OPTION_FLAGS)?;
    match order.u32(*flags.first_chunk::<4>()?) & DIRECTION {
        1 => Some(DIRECTION_INGRESS),
        2 => Some(DIRECTION_EGRESS),
        _ => None,
    }
}

/// The options of a block, up to the end or to the first that does not fit.
struct Options<'a> {
    order: Order,
    rest: &'a [u8],
}

impl<'a> Options<'a> {
    fn new(order: Order, rest: &'a [u8]) -> Self {
        Self { order, rest }
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        const END: u16 = 0;
        let ([c0, c1, l0, l1], rest) = self.rest.split_first_chunk::<4>()?;
        let code = self.order.u16([*c0, *c1]);
        let length = usize::from(self.order.u16([*l0, *l1]));
        if code == END {
            return None;
        }
        let value = rest.get(..length)?;
        self.rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((code, value))
    }
}
