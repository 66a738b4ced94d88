//! Captures of packets: pcap and pcapng files, plain or compressed by gzip, read as a stream.
//!
//! ```text
//!  file or pipe -> gzip? -> Source (a buffer) -> pcap | pcapng -> Packet -> link -> dissector
//! ```
//!
//! [`Capture::open`] tells by the first octets what it is, [`Capture::next`] gives packet by packet.
//! Of both formats everything is read that writers of the last decades made: either byte order,
//! micro- and nanoseconds, several sections and interfaces with link types and clocks of their own.
//! No length in the file is trusted. Where the file is [damaged](Damage) it ends, for a place from
//! which to go on cannot be told; what was before is given.
//!
//! It is an own reader because the one crate that reads both formats as a stream took three times as
//! long for a packet (26 ns to 10), with no word on where a file is damaged.
#![forbid(unsafe_code)]

pub(crate) mod link;
mod pcap;
mod pcapng;
mod source;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use link::Link;
use pcap::Pcap;
use pcapng::Pcapng;
use source::Source;

/// Octets of a packet at most: what the usual tools allow, too.
const MAX_PACKET: u32 = 1 << 18;
/// Octets on the wire at most: no packet is longer, whatever the file says.
const MAX_WIRE_LENGTH: u32 = 1 << 24;

/// A capture that is being read.
pub struct Capture {
    source: Source,
    format: Format,
    compressed: bool,
}

enum Format {
    Pcap(Pcap),
    Pcapng(Box<Pcapng>),
}

/// A packet of a capture.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// What was captured of it, from its link header on.
    pub octets: &'a [u8],
    /// Octets that it had on the wire, never fewer than were captured.
    pub wire_length: u32,
    /// When it was captured: nanoseconds since 1970. One that does not tell (in a "simple packet"
    /// block) has the time of the one before.
    pub time_ns: u64,
    /// The interface that it was captured on.
    pub interface: InterfaceId,
    /// `flowDirection`, if the capture tells.
    pub direction: Option<u8>,
}

#[inline]
fn packet_of(octets: &[u8], wire: u32, time_ns: u64, interface: InterfaceId) -> Packet<'_> {
    // No more than MAX_PACKET by now.
    let captured = u32::try_from(octets.len()).unwrap_or(MAX_PACKET);
    Packet {
        octets,
        wire_length: wire.clamp(captured, MAX_WIRE_LENGTH.max(captured)),
        time_ns,
        interface,
        direction: None,
    }
}

impl Capture {
    /// Begins to read. The interfaces that it names join `interfaces`.
    pub fn open(input: Box<dyn Read>, interfaces: &mut Interfaces) -> Result<Self, Damage> {
        const GZIP: [u8; 2] = [0x1f, 0x8b];
        let mut start = Vec::new();
        let mut input = input;
        if let Err(error) = input.by_ref().take(4).read_to_end(&mut start) {
            return Err(Damage {
                offset: 0,
                kind: DamageKind::Io(error),
            });
        }
        let compressed = start.starts_with(&GZIP);
        let input = Cursor::new(start).chain(input);
        let mut source = if compressed {
            Source::new(Box::new(MultiGzDecoder::new(input)))
        } else {
            Source::new(Box::new(input))
        };
        let format = Format::of(&mut source, interfaces)?;
        Ok(Self {
            source,
            format,
            compressed,
        })
    }

    /// The next packet, or `None` at the end.
    ///
    /// After an error there is nothing more.
    #[inline]
    pub fn next(&mut self, interfaces: &mut Interfaces) -> Result<Option<Packet<'_>>, Damage> {
        match &mut self.format {
            Format::Pcap(pcap) => pcap.next(&mut self.source),
            Format::Pcapng(section) => section.next(&mut self.source, interfaces),
        }
    }

    /// Octets of the capture that were read; of a compressed one, those that came out.
    pub fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// Whether it is compressed, so that the octet of a [`Damage`] is one of what came out.
    pub fn is_compressed(&self) -> bool {
        self.compressed
    }
}

impl Format {
    fn of(source: &mut Source, interfaces: &mut Interfaces) -> Result<Self, Damage> {
        let there = source.fill(4).map_err(|e| Damage::io(source, e))?;
        let Some(magic) = source.octets().first_chunk::<4>().copied() else {
            let kind = match there {
                0 => DamageKind::Empty,
                _ => DamageKind::Cut {
                    what: "the header of the file",
                    found: there as u64,
                    needed: 24,
                },
            };
            return Err(Damage { offset: 0, kind });
        };
        if Pcap::begins(magic) {
            Ok(Self::Pcap(Pcap::open(source, interfaces)?))
        } else if Pcapng::begins(magic) {
            Ok(Self::Pcapng(Box::new(Pcapng::new())))
        } else {
            Err(Damage {
                offset: 0,
                kind: DamageKind::NoCapture(magic),
            })
        }
    }
}

/// An interface, by its place in [`Interfaces`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InterfaceId(u32);

impl InterfaceId {
    /// The place.
    pub(crate) fn place(self) -> usize {
        self.0 as usize
    }

    /// Its number in records, as `ingressInterface` has it: from 1 on.
    pub(crate) fn if_index(self) -> u32 {
        self.0.saturating_add(1)
    }
}

/// The interfaces of captures: those of one name (or one number, where they have none) and one link
/// type are one, in whatever file or section.
#[derive(Debug, Default)]
pub struct Interfaces {
    list: Vec<Interface>,
    known: HashMap<Key, InterfaceId>,
}

/// Name, number and link type, as far as they tell interfaces apart.
type Key = (Option<Arc<str>>, u32, Option<u16>);

/// An interface of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, if the capture tells.
    pub name: Option<Arc<str>>,
    /// Its number in the capture, from 0.
    pub number: u32,
    /// The number of its link type; `None`: a packet names it, and nothing describes it.
    pub link_type: Option<u16>,
    /// What that is, if it can be read.
    pub(crate) link: Option<Link>,
}

/// Interfaces that are told apart at most.
const MAX_INTERFACES: usize = 1 << 16;

impl Interfaces {
    /// All of them, in the order in which they came.
    pub fn list(&self) -> &[Interface] {
        &self.list
    }

    /// The interface of this name, number and link type. Beyond what is told apart they share the
    /// last one of their link type.
    fn find(&mut self, name: Option<String>, number: u32, link_type: Option<u16>) -> InterfaceId {
        let name = name.map(Arc::from);
        // With a name the number says nothing; what is not described is all the same.
        let number = match (&name, link_type) {
            (None, Some(_)) => number,
            _ => 0,
        };
        let key = (name, number, link_type);
        if let Some(id) = self.known.get(&key) {
            return *id;
        }
        if self.list.len() >= MAX_INTERFACES {
            let same = self
                .list
                .iter()
                .rposition(|interface| interface.link_type == link_type);
            if let Some(id) = same.and_then(|place| u32::try_from(place).ok()) {
                return InterfaceId(id);
            }
        }
        let id = InterfaceId(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        self.list.push(Interface {
            name: key.0.clone(),
            number,
            link_type,
            link: link_type.and_then(Link::of),
        });
        self.known.insert(key, id);
        id
    }
}

impl fmt::Display for Interface {
    /// `interface eth0 (link type 127, IEEE 802.11 with a radiotap header)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.link_type) {
            (Some(name), _) => {
                f.write_str("interface ")?;
                // From a file: fit for a terminal.
                name.chars()
                    .map(|c| if c.is_control() { '?' } else { c })
                    .try_for_each(|c| fmt::Write::write_char(f, c))?;
            }
            (None, Some(_)) => write!(f, "interface {}", self.number)?,
            (None, None) => return f.write_str("interfaces that the capture does not describe"),
        }
        match self.link_type {
            Some(number) => match link::name(number) {
                Some(name) => write!(f, " (link type {number}, {name})"),
                None => write!(f, " (link type {number})"),
            },
            None => Ok(()),
        }
    }
}

/// What is wrong with a capture, and where.
#[derive(Debug)]
pub struct Damage {
    /// The octet, counted from 0; of a compressed capture, of what came out.
    pub offset: u64,
    /// What is wrong.
    pub kind: DamageKind,
}

/// What is wrong with a capture.
#[derive(Debug)]
pub enum DamageKind {
    /// There is nothing.
    Empty,
    /// It begins with these octets: neither pcap nor pcapng.
    NoCapture([u8; 4]),
    /// Of a version of the format that nobody knows.
    Version(u16, u16),
    /// It ends within something.
    Cut {
        /// What.
        what: &'static str,
        /// Octets of it that are there.
        found: u64,
        /// Octets that it has.
        needed: u64,
    },
    /// A packet or a packet's block says that it has so many octets.
    Length(u32),
    /// A block of so many octets contradicts itself.
    Block(u32),
    /// The two lengths of a block.
    Lengths(u32, u32),
    /// No byte order.
    ByteOrder([u8; 4]),
    /// It cannot be read, or not decompressed.
    Io(io::Error),
}

impl Damage {
    fn io(source: &Source, error: io::Error) -> Self {
        Self {
            offset: source.offset(),
            kind: DamageKind::Io(error),
        }
    }

    fn cut(offset: u64, what: &'static str, found: usize, needed: usize) -> Self {
        Self {
            offset,
            kind: DamageKind::Cut {
                what,
                found: found as u64,
                needed: needed as u64,
            },
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, kind } = self;
        write!(f, "octet {offset}: ")?;
        match kind {
            DamageKind::Empty => f.write_str("the file is empty"),
            DamageKind::NoCapture(start) => {
                let start_text = hex(*start);
                write!(f, "neither pcap nor pcapng: it begins with {start_text}")?;
                match start {
                    [0x28, 0xb5, 0x2f, 0xfd] => {
                        f.write_str("; it is compressed: zstd -dc FILE | ebpfix replay -")
                    }
                    [0xfd, b'7', b'z', b'X'] => {
                        f.write_str("; it is compressed: xz -dc FILE | ebpfix replay -")
                    }
                    [b'B', b'Z', b'h', _] => {
                        f.write_str("; it is compressed: bzip2 -dc FILE | ebpfix replay -")
                    }
                    [0x04, 0x22, 0x4d, 0x18] => {
                        f.write_str("; it is compressed: lz4 -dc FILE | ebpfix replay -")
                    }
                    [0, 10, ..] => f.write_str("; an IPFIX File? ebpfix collect FILE"),
                    _ => Ok(()),
                }
            }
            DamageKind::Version(major, minor) => {
                write!(f, "version {major}.{minor} of the format is not known")
            }
            DamageKind::Cut {
                what,
                found,
                needed,
            } => write!(
                f,
                "the file ends after {found} of {needed} octets of {what}"
            ),
            DamageKind::Length(octets) => write!(
                f,
                "a packet of {octets} octets, more than any has (at most {MAX_PACKET})"
            ),
            DamageKind::Block(octets) => {
                write!(f, "a block of {octets} octets that contradicts itself")
            }
            DamageKind::Lengths(first, last) => write!(
                f,
                "a block of {first} octets by its beginning and {last} by its end"
            ),
            DamageKind::ByteOrder(magic) => write!(f, "no byte order: {}", hex(*magic)),
            DamageKind::Io(error) => error.fmt(f),
        }
    }
}

fn hex(octets: [u8; 4]) -> String {
    octets.map(|octet| format!("{octet:02x}")).join(" ")
}

impl std::error::Error for Damage {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            DamageKind::Io(error) => Some(error),
            _ => None,
        }
    }
}
