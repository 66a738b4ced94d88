//! Capture files: frames out of them, and into them.

use std::fs::{self, File};
use std::path::Path;

use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError};

use crate::frame::{self, FIRST_MAC, SECOND_MAC};

/// A frame of a capture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Captured {
    /// What it begins with: a `LINKTYPE_` number.
    pub link_type: i32,
    /// The octets that were captured.
    pub octets: Vec<u8>,
    /// Octets that it had on the wire.
    pub wire_length: u32,
}

/// The frames of a capture, pcap or pcapng.
///
/// # Panics
/// Where it is not one.
pub fn read(path: &Path) -> Vec<Captured> {
    let refuse = |why: String| -> ! { panic!("{}: {why}", path.display()) };
    let mut frames = Vec::new();
    let mut link_types: Vec<i32> = Vec::new();
    let file = File::open(path).unwrap_or_else(|error| refuse(error.to_string()));
    let mut reader =
        pcap_parser::create_reader(1 << 20, file).unwrap_or_else(|error| refuse(error.to_string()));
    loop {
        match reader.next() {
            Ok((read, block)) => {
                match block {
                    PcapBlockOwned::LegacyHeader(header) => link_types = vec![header.network.0],
                    PcapBlockOwned::Legacy(packet) => frames.push(Captured {
                        link_type: link_types[0],
                        octets: packet.data.to_vec(),
                        wire_length: packet.origlen,
                    }),
                    PcapBlockOwned::NG(Block::SectionHeader(_)) => link_types.clear(),
                    PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                        link_types.push(interface.linktype.0);
                    }
                    PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                        let length = packet.data.len().min(packet.caplen as usize);
                        frames.push(Captured {
                            link_type: link_types[packet.if_id as usize],
                            octets: packet.data[..length].to_vec(),
                            wire_length: packet.origlen,
                        });
                    }
                    PcapBlockOwned::NG(Block::SimplePacket(_)) => {
                        refuse("a simple packet block: not provided for".to_owned());
                    }
                    PcapBlockOwned::NG(_) => {}
                }
                reader.consume(read);
            }
            // The last frame may have been cut short.
            Err(PcapError::Eof | PcapError::UnexpectedEof) => return frames,
            Err(PcapError::Incomplete(_)) => {
                if let Err(error) = reader.refill() {
                    refuse(error.to_string());
                }
            }
            Err(error) => refuse(error.to_string()),
        }
    }
}

/// Writes frames of Ethernet as a pcap file.
///
/// # Panics
/// Where it cannot be written.
pub fn write(path: &Path, frames: &[Captured]) {
    let mut file = Vec::new();
    // Magic number, version 2.4, no time zone, whole frames, Ethernet.
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        file.extend(word.to_le_bytes());
    }
    for (number, frame) in (0_u32..).zip(frames) {
        assert_eq!(Linktype(frame.link_type), Linktype::ETHERNET);
        let captured = u32::try_from(frame.octets.len()).expect("a frame");
        let (seconds, microseconds) = (number / 1000, number % 1000 * 1000);
        for word in [seconds, microseconds, captured, frame.wire_length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(&frame.octets);
    }
    fs::write(path, file).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

impl Captured {
    /// The frame with an Ethernet header in the place of the link header that it has.
    ///
    /// # Panics
    /// Where it has one that is not provided for.
    #[must_use]
    pub fn with_ethernet(&self) -> Self {
        let number = |at: usize| {
            let octets = self.octets.get(at..at + 2);
            octets.map_or(0, |octets| u16::from_be_bytes([octets[0], octets[1]]))
        };
        let by_version = |at: usize| match self.octets.get(at).map(|octet| octet >> 4) {
            Some(6) => frame::IPV6,
            _ => frame::IPV4,
        };
        let (header, ethertype) = match self.link_type {
            1 => return self.clone(),
            // BSD loopback: the address family, in whatever byte order.
            0 | 108 => (4, by_version(4)),
            // Raw IP; the first two numbers are of captures that name it after one system or another.
            12 | 14 | 101 | 228 | 229 => (0, by_version(0)),
            // Linux's "cooked" captures.
            113 => (16, number(14)),
            276 => (20, number(0)),
            other => panic!("link type {other}: not provided for"),
        };
        let rest = self.octets.get(header..).unwrap_or_default();
        let (old, new) = (u32::try_from(header).expect("small"), 14);
        Self {
            link_type: 1,
            octets: [&SECOND_MAC[..], &FIRST_MAC, &ethertype.to_be_bytes(), rest].concat(),
            wire_length: self.wire_length.saturating_sub(old) + new,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in() {
        let raw = Captured {
            link_type: 101,
            octets: vec![0x60; 40],
            wire_length: 90,
        };
        let frame = raw.with_ethernet();
        assert_eq!((frame.octets.len(), frame.wire_length), (54, 104));
        assert_eq!(frame.octets[12..15], [0x86, 0xdd, 0x60]);
        let path = std::env::temp_dir().join(format!("capture-{}.pcap", std::process::id()));
        write(&path, std::slice::from_ref(&frame));
        let frames = read(&path);
        fs::remove_file(&path).unwrap();
        assert_eq!(frames, [frame]);
    }
}
