//! Captures made by hand, whole and broken.

use std::io::{self, Cursor, Read, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::capture::link::dissect;
use ebpfix_probes::abi::{DIRECTION_EGRESS, DIRECTION_INGRESS, ETH_P_IP, ETH_P_IPV6, FlowId};
use ebpfix_probes::dissect::{Facts, Reason};

/// Numbers in a byte order.
#[derive(Clone, Copy, Debug)]
struct Writer(bool);

const LITTLE: Writer = Writer(false);
const BIG: Writer = Writer(true);

impl Writer {
    fn u16(self, value: u16) -> [u8; 2] {
        if self.0 {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        }
    }

    fn u32(self, value: u32) -> [u8; 4] {
        if self.0 {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        }
    }

    fn words(self, values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|value| self.u32(*value)).collect()
    }

    fn pcap(self, magic: u32, link_type: u32) -> Vec<u8> {
        let mut file = self.u32(magic).to_vec();
        file.extend(self.u16(2));
        file.extend(self.u16(4));
        file.extend(self.words(&[0, 0, 65_535, link_type]));
        file
    }

    fn packet(self, file: &mut Vec<u8>, seconds: u32, fraction: u32, octets: &[u8], wire: u32) {
        let captured = u32::try_from(octets.len()).unwrap();
        file.extend(self.words(&[seconds, fraction, captured, wire]));
        file.extend(octets);
    }

    fn block(self, file: &mut Vec<u8>, kind: u32, body: &[u8]) {
        let padded = body.len().next_multiple_of(4);
        let length = u32::try_from(padded + 12).unwrap();
        file.extend(self.words(&[kind, length]));
        file.extend(body);
        file.resize(file.len() + padded - body.len(), 0);
        file.extend(self.u32(length));
    }

    fn section(self, file: &mut Vec<u8>) {
        let mut body = self.u32(0x1a2b_3c4d).to_vec();
        body.extend(self.u16(1));
        body.extend(self.u16(0));
        body.extend([0xff; 8]);
        self.block(file, 0x0a0d_0d0a, &body);
    }

    fn interface(self, file: &mut Vec<u8>, link_type: u16, snap: u32, options: &[(u16, &[u8])]) {
        let mut body = self.u16(link_type).to_vec();
        body.extend([0; 2]);
        body.extend(self.u32(snap));
        self.options(&mut body, options);
        self.block(file, 1, &body);
    }

    fn options(self, body: &mut Vec<u8>, options: &[(u16, &[u8])]) {
        for (code, value) in options {
            body.extend(self.u16(*code));
            body.extend(self.u16(u16::try_from(value.len()).unwrap()));
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        if !options.is_empty() {
            body.extend([0; 4]);
        }
    }

    fn enhanced(
        self,
        file: &mut Vec<u8>,
        interface: u32,
        ticks: u64,
        octets: &[u8],
        options: &[(u16, &[u8])],
    ) {
        let length = u32::try_from(octets.len()).unwrap();
        let high = u32::try_from(ticks >> 32).unwrap();
        let low = u32::try_from(ticks & 0xffff_ffff).unwrap();
        let mut body = self.words(&[interface, high, low, length, length]);
        body.extend(octets);
        body.resize(body.len().next_multiple_of(4), 0);
        self.options(&mut body, options);
        self.block(file, 6, &body);
    }
}

/// A packet as it was read: time, interface, direction, length on the wire, octets.
type Seen = (u64, u32, Option<u8>, u32, Vec<u8>);

/// All packets of a capture, the damage that ends it, and its interfaces.
fn read_from(input: Box<dyn Read>) -> (Vec<Seen>, Option<String>, Interfaces) {
    let mut interfaces = Interfaces::default();
    let mut seen = Vec::new();
    let mut capture = match Capture::open(input, &mut interfaces) {
        Ok(capture) => capture,
        Err(damage) => return (seen, Some(damage.to_string()), interfaces),
    };
    loop {
        match capture.next(&mut interfaces) {
            Ok(Some(packet)) => seen.push((
                packet.time_ns,
                packet.interface.0,
                packet.direction,
                packet.wire_length,
                packet.octets.to_vec(),
            )),
            Ok(None) => return (seen, None, interfaces),
            Err(damage) => return (seen, Some(damage.to_string()), interfaces),
        }
    }
}

fn read(file: &[u8]) -> (Vec<Seen>, Option<String>, Interfaces) {
    read_from(Box::new(Cursor::new(file.to_vec())))
}

#[test]
fn pcap_is_read_in_both_byte_orders_and_units() {
    for writer in [LITTLE, BIG] {
        for (magic, factor) in [(0xa1b2_c3d4, 1000), (0xa1b2_3c4d, 1)] {
            let mut file = writer.pcap(magic, 0x5800_0001);
            writer.packet(&mut file, 7, 5, b"abc", 9);
            writer.packet(&mut file, 8, 0, b"", 0);
            let (seen, damage, interfaces) = read(&file);
            assert_eq!(damage, None);
            assert_eq!(
                seen,
                [
                    (7_000_000_000 + 5 * factor, 0, None, 9, b"abc".to_vec()),
                    (8_000_000_000, 0, None, 0, Vec::new()),
                ]
            );
            assert_eq!(interfaces.list()[0].link, Some(Link::Ethernet));
        }
    }
}

#[test]
fn old_kinds_of_pcap_are_read() {
    let mut file = LITTLE.pcap(0xa1b2_cd34, 1);
    LITTLE.packet(&mut file, 7, 5, b"", 9);
    let at = file.len() - 8;
    file[at..at + 4].copy_from_slice(&[3, 0, 0, 0]);
    file.extend([0xee; 8]);
    file.extend(b"abc");
    let (seen, damage, _) = read(&file);
    assert_eq!(damage, None);
    assert_eq!(seen, [(7_000_005_000, 0, None, 9, b"abc".to_vec())]);

    // Version 2.2 has the lengths the other way round, 2.3 sometimes.
    for minor in [2, 3] {
        let mut file = LITTLE.pcap(0xa1b2_c3d4, 1);
        file[6] = minor;
        file.extend(LITTLE.words(&[1, 0, 9, 3]));
        file.extend(b"abc");
        let (seen, damage, _) = read(&file);
        assert_eq!(damage, None);
        assert_eq!((seen[0].3, &*seen[0].4), (9, &b"abc"[..]));
    }
}

#[test]
fn sections_of_pcapng_have_their_own_byte_order_interfaces_and_clocks() {
    let mut file = Vec::new();
    LITTLE.section(&mut file);
    LITTLE.interface(&mut file, 1, 0, &[(2, b"eth0")]);
    LITTLE.interface(&mut file, 101, 0, &[(9, &[9])]);
    LITTLE.enhanced(&mut file, 0, 5, b"abcde", &[(2, &[1, 0, 0, 0])]);
    LITTLE.enhanced(
        &mut file,
        1,
        5,
        b"a",
        &[(1, b"a comment"), (2, &[2, 0, 0, 0])],
    );
    // Name resolution, statistics, what nobody knows.
    for kind in [4, 5, 0xbad, 0x1234_5678] {
        LITTLE.block(&mut file, kind, b"something");
    }
    BIG.section(&mut file);
    // 2^-10 seconds, ten seconds before 1970; 10^-12 and 10^-30 seconds.
    let before: i64 = -10;
    BIG.interface(
        &mut file,
        113,
        0,
        &[(9, &[0x8a]), (14, &before.to_be_bytes())],
    );
    BIG.interface(&mut file, 1, 0, &[(9, &[12])]);
    BIG.interface(&mut file, 1, 0, &[(2, b"eth0"), (9, &[30])]);
    BIG.enhanced(&mut file, 0, 11 << 10, b"x", &[]);
    BIG.enhanced(&mut file, 1, 5_000, b"y", &[]);
    BIG.enhanced(&mut file, 2, 1 << 60, b"z", &[]);
    BIG.enhanced(&mut file, 7, 1, b"w", &[]);
    let (seen, damage, interfaces) = read(&file);
    assert_eq!(damage, None);
    let packet = |time, interface, direction, octets: &[u8]| {
        let length = u32::try_from(octets.len()).unwrap();
        (time, interface, direction, length, octets.to_vec())
    };
    assert_eq!(
        seen,
        [
            packet(5_000, 0, Some(DIRECTION_INGRESS), b"abcde"),
            packet(5, 1, Some(DIRECTION_EGRESS), b"a"),
            packet(1_000_000_000, 2, None, b"x"),
            packet(5, 3, None, b"y"),
            // The same name and link type: the same interface.
            packet(0, 0, None, b"z"),
            packet(1_000, 4, None, b"w"),
        ]
    );
    let shown: Vec<_> = interfaces.list().iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "interface eth0 (link type 1)",
            "interface 1 (link type 101)",
            "interface 0 (link type 113)",
            "interface 1 (link type 1)",
            "interfaces that the capture does not describe",
        ]
    );
}

#[test]
fn packets_of_other_blocks_are_read() {
    let mut file = Vec::new();
    LITTLE.section(&mut file);
    LITTLE.interface(&mut file, 1, 3, &[]);
    LITTLE.enhanced(&mut file, 0, 77, b"a", &[]);
    // Simple packets have neither time nor interface, and are cut by the interface's snap length.
    let mut simple = LITTLE.u32(5).to_vec();
    simple.extend(b"abc");
    LITTLE.block(&mut file, 3, &simple);
    let mut obsolete = LITTLE.u16(0).to_vec();
    obsolete.extend(LITTLE.u16(9));
    obsolete.extend(LITTLE.words(&[0, 78, 2, 60]));
    obsolete.extend(b"xy");
    LITTLE.block(&mut file, 2, &obsolete);
    let (seen, damage, _) = read(&file);
    assert_eq!(damage, None);
    assert_eq!(
        seen[1..],
        [
            (77_000, 0, None, 5, b"abc".to_vec()),
            (78_000, 0, None, 60, b"xy".to_vec()),
        ]
    );
}

/// One packet at a time, and now and then none: as a pipe does.
struct Trickle(Cursor<Vec<u8>>, u8);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = self.1.wrapping_add(1);
        if self.1.is_multiple_of(5) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let few = buffer.len().min(7);
        self.0.read(&mut buffer[..few])
    }
}

#[test]
fn a_pipe_and_gzip_give_the_same_as_a_file() {
    let mut file = LITTLE.pcap(0xa1b2_c3d4, 1);
    for n in 0..3000_u32 {
        LITTLE.packet(&mut file, n, 0, &vec![7; n as usize % 300], 1500);
    }
    let (expected, damage, _) = read(&file);
    assert_eq!((expected.len(), damage), (3000, None));
    let (seen, damage, _) = read_from(Box::new(Trickle(Cursor::new(file.clone()), 0)));
    assert_eq!((seen, damage), (expected.clone(), None));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&file).unwrap();
    let gzip = gzip.finish().unwrap();
    let (seen, damage, _) = read(&gzip);
    assert_eq!((seen, damage), (expected, None));
    // A compressed file that is cut gives what came out before.
    let (seen, damage, _) = read(&gzip[..gzip.len() - 10]);
    assert!(seen.len() > 2000, "{}", seen.len());
    assert!(damage.is_some());
}

#[test]
fn damage_is_told_with_its_place() {
    let mut file = LITTLE.pcap(0xa1b2_c3d4, 1);
    LITTLE.packet(&mut file, 1, 0, b"abcd", 4);
    let good = file.clone();
    let is = |file: &[u8], packets: usize, text: &str| {
        let (seen, damage, _) = read(file);
        assert_eq!((seen.len(), damage.as_deref()), (packets, Some(text)));
    };
    is(b"", 0, "octet 0: the file is empty");
    is(
        &good[..3],
        0,
        "octet 0: the file ends after 3 of 24 octets of the header of the file",
    );
    is(
        &good[..20],
        0,
        "octet 0: the file ends after 20 of 24 octets of the header of the file",
    );
    is(
        b"GET / HTTP",
        0,
        "octet 0: neither pcap nor pcapng: it begins with 47 45 54 20",
    );
    file.extend([1, 2, 3]);
    is(
        &file,
        1,
        "octet 44: the file ends after 3 of 16 octets of the header of a packet",
    );
    is(
        &good[..43],
        0,
        "octet 40: the file ends after 3 of 4 octets of a packet",
    );
    let mut long = good.clone();
    LITTLE.packet(&mut long, 1, 0, b"", 4);
    long[44 + 10] = 0x70;
    is(
        &long,
        1,
        "octet 44: a packet of 7340032 octets, more than any has (at most 262144)",
    );
    let mut version = good;
    version[4] = 7;
    is(
        &version,
        0,
        "octet 4: version 7.4 of the format is not known",
    );

    let mut file = Vec::new();
    BIG.section(&mut file);
    BIG.interface(&mut file, 1, 0, &[]);
    BIG.enhanced(&mut file, 0, 0, b"abcd", &[]);
    let at = file.len();
    BIG.enhanced(&mut file, 0, 0, b"abcd", &[]);
    is(
        &file[..at + 30],
        1,
        "octet 84: the file ends after 30 of 36 octets of a block",
    );
    is(
        &file[..at + 5],
        1,
        "octet 84: the file ends after 5 of 8 octets of the header of a block",
    );
    let mut other = file.clone();
    *other.last_mut().unwrap() = 40;
    is(
        &other,
        1,
        "octet 84: a block of 36 octets by its beginning and 40 by its end",
    );
    let mut other = file.clone();
    other[at + 7] = 37;
    is(
        &other,
        1,
        "octet 84: a block of 37 octets that contradicts itself",
    );
    let mut other = file.clone();
    // More octets than the block has.
    other[at + 23] = 5;
    is(
        &other,
        1,
        "octet 84: a block of 36 octets that contradicts itself",
    );
    let mut other = file;
    other[8] = 0;
    is(&other, 0, "octet 8: no byte order: 00 2b 3c 4d");
}

/// What the dissector makes of a packet of this link type.
fn dissected(link: u16, octets: &[u8]) -> (Result<(), Reason>, u64, FlowId) {
    let mut interfaces = Interfaces::default();
    let interface = interfaces.find(None, 0, Some(link));
    let packet = packet_of(octets, 0, 0, interface);
    let (mut id, mut facts) = (FlowId::default(), Facts::default());
    let link = Link::of(link).unwrap();
    let found = dissect(link, &packet, &mut id, &mut facts);
    (found.outcome, found.payload_octets, id)
}

const IPV4: [u8; 28] = [
    0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0, 7, 0, 9, 0, 8, 0, 0,
];
const IPV6: [u8; 48] = [
    0x60, 0, 0, 0, 0, 8, 17, 64, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x20, 1,
    0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 7, 0, 9, 0, 8, 0, 0,
];

#[test]
fn ip_is_found_behind_every_link_header() {
    let cooked = |packet_type: u8, protocol: [u8; 2]| {
        let mut header = vec![0, packet_type, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
        header.extend(protocol);
        header
    };
    let cooked2 = |packet_type: u8, protocol: [u8; 2]| {
        let mut header = protocol.to_vec();
        header.extend([
            0,
            0,
            0,
            0,
            0,
            42,
            0,
            1,
            packet_type,
            6,
            2,
            0,
            0,
            0,
            0,
            1,
            0,
            0,
        ]);
        header
    };
    let cases: Vec<(u16, Vec<u8>, bool)> = vec![
        (12, vec![], false),
        (14, vec![], true),
        (101, vec![], false),
        (101, vec![], true),
        (228, vec![], false),
        (229, vec![], true),
        (0, vec![2, 0, 0, 0], false),
        (0, vec![0, 0, 0, 2], false),
        (0, vec![24, 0, 0, 0], true),
        (0, vec![0, 0, 0, 28], true),
        (108, vec![0, 0, 0, 30], true),
        (108, vec![0, 0, 0, 2], false),
        (113, cooked(0, [8, 0]), false),
        (113, cooked(4, [0x86, 0xdd]), true),
        (276, cooked2(0, [8, 0]), false),
        (276, cooked2(4, [0x86, 0xdd]), true),
        (9, vec![0xff, 3, 0, 0x21], false),
        (9, vec![0, 0x57], true),
        (9, vec![0x21], false),
        (9, vec![0xff, 3, 0x57], true),
        (9, vec![0xff, 3, 2, 0x81, 0, 0, 1, 64], false),
        (50, vec![0xff, 3, 0, 0x21], false),
        (50, vec![0x0f, 0, 8, 0], false),
        (104, vec![0x8f, 0, 0x86, 0xdd], true),
        (51, vec![0x11, 0, 0, 1, 0, 30, 0, 0x21], false),
        (204, vec![0, 0xff, 3, 0, 0x21], false),
        (204, vec![1, 0xff, 3, 0, 0x57], true),
        (1, [&[2; 12][..], &[8, 0]].concat(), false),
        (
            1,
            [&[2; 12][..], &[0x88, 0x64, 0x11, 0, 0, 1, 0, 50, 0, 0x57]].concat(),
            true,
        ),
    ];
    for (link, header, v6) in cases {
        let ip: &[u8] = if v6 { &IPV6 } else { &IPV4 };
        let packet = [&header, ip].concat();
        let (outcome, _, id) = dissected(link, &packet);
        let case = format!("link type {link}, {header:02x?}");
        assert_eq!(outcome, Ok(()), "{case}");
        assert_eq!(
            id.eth_protocol,
            if v6 { ETH_P_IPV6 } else { ETH_P_IP },
            "{case}"
        );
        assert_eq!((id.src_port, id.dst_port), (7, 9), "{case}");
        assert_eq!(id.transport_protocol, 17, "{case}");
        let leaves = [Some(&4), Some(&1)];
        if link == 113 || link == 276 {
            assert_eq!(id.src_mac.0, [2, 0, 0, 0, 0, 1], "{case}");
            assert_eq!(id.direction == DIRECTION_EGRESS, v6, "{case}");
        } else if link == 204 {
            assert_eq!(
                id.direction == DIRECTION_EGRESS,
                leaves.contains(&header.first()),
                "{case}"
            );
        }
        assert_eq!(id.if_index, if link == 276 { 42 } else { 0 }, "{case}");
        // Cut anywhere in the headers it is no flow, and nothing panics.
        for end in 0..packet.len() - 4 {
            let (outcome, payload, _) = dissected(link, &packet[..end]);
            assert!(outcome.is_err(), "{case}, {end} octets");
            assert!(payload <= end as u64);
        }
    }
    // A VLAN tag behind a cooked header.
    let tagged = [&cooked2(0, [0x81, 0]), &[0, 5, 8, 0][..], &IPV4].concat();
    let (outcome, payload, id) = dissected(276, &tagged);
    assert_eq!((outcome, payload, id.vlan_id), (Ok(()), 32, 5));
}

#[test]
fn what_is_not_ip_is_told_with_its_payload() {
    for (link, header) in [
        (0, vec![7, 0, 0, 0]),
        (113, [&[0; 14][..], &[8, 6]].concat()),
        (276, [&[8, 6][..], &[0; 18]].concat()),
        (9, vec![0xff, 3, 0xc0, 0x21]),
        (104, vec![0x8f, 0, 0x80, 0x35]),
        (1, [&[0; 12][..], &[8, 6]].concat()),
    ] {
        let packet = [&header[..], &[0; 46]].concat();
        let (outcome, payload, _) = dissected(link, &packet);
        assert_eq!(
            (outcome, payload),
            (Err(Reason::NotIp), 46),
            "link type {link}"
        );
    }
}

#[test]
fn no_file_however_broken_makes_the_reader_panic() {
    let mut pcap = LITTLE.pcap(0xa1b2_3c4d, 113);
    for n in 0..6 {
        LITTLE.packet(
            &mut pcap,
            n,
            9,
            &[&[0; 14][..], &[8, 0], &IPV4].concat(),
            44,
        );
    }
    let mut pcapng = Vec::new();
    for writer in [LITTLE, BIG] {
        writer.section(&mut pcapng);
        writer.interface(
            &mut pcapng,
            276,
            96,
            &[(2, b"any"), (9, &[0x8a]), (14, &[0; 8])],
        );
        writer.interface(&mut pcapng, 9, 96, &[]);
        let ppp = [&[0xff, 3, 0, 0x57][..], &IPV6].concat();
        writer.enhanced(&mut pcapng, 1, 7, &ppp, &[(2, &[1; 4])]);
        writer.block(&mut pcapng, 3, &[60; 64]);
        writer.block(&mut pcapng, 2, &[0; 64]);
        writer.block(&mut pcapng, 5, &[0; 64]);
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&pcapng).unwrap();
    let gzip = gzip.finish().unwrap();
    // A xorshift generator: the same files each time.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let (mut packets, mut damaged) = (0, 0);
    for file in [&pcap, &pcapng, &gzip] {
        for _ in 0..4000 {
            let mut broken = file.clone();
            for _ in 0..=random(4) {
                let at = random(broken.len());
                match random(4) {
                    0 => broken[at] = u8::try_from(random(256)).unwrap(),
                    1 => broken[at] ^= 1 << random(8),
                    2 => broken[at] = [0, 0xff, 0x7f, 0x80][random(4)],
                    _ => broken.truncate(at + 1),
                }
            }
            let mut interfaces = Interfaces::default();
            let Ok(mut capture) = Capture::open(Box::new(Cursor::new(broken)), &mut interfaces)
            else {
                damaged += 1;
                continue;
            };
            loop {
                match capture.next(&mut interfaces) {
                    Ok(Some(packet)) => {
                        packets += 1;
                        let interface = &interfaces.list()[packet.interface.place()];
                        if let Some(link) = interface.link {
                            let (mut id, mut facts) = (FlowId::default(), Facts::default());
                            let _ = dissect(link, &packet, &mut id, &mut facts);
                        }
                    }
                    Ok(None) => break,
                    Err(_) => {
                        damaged += 1;
                        break;
                    }
                }
            }
        }
    }
    assert!(packets > 10_000 && damaged > 4_000, "{packets}, {damaged}");
}

#[test]
fn interfaces_are_bounded() {
    let mut interfaces = Interfaces::default();
    for number in 0..200_000 {
        interfaces.find(None, number, Some(1));
        interfaces.find(None, number, Some(101));
    }
    assert_eq!(interfaces.list().len(), MAX_INTERFACES);
    let last = interfaces.find(None, 300_000, Some(1));
    assert_eq!(interfaces.list()[last.place()].link, Some(Link::Ethernet));
}
