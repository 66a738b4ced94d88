//! The dissector over captures of real traffic, against an independent reading of them.
//!
//! The captures and the other reader (`tools/oracle.py`, which needs python3 and dpkt) are in
//! `shared` beside the project; the environment variable `EBPFIX_SHARED` names another place.

use ebpfix_probes::abi::{FlowId, ETH_P_IP};
use ebpfix_probes::common::common;
use ebpfix_probes::dissect::{dissect, Facts, Link, Reason, SliceFrame};
use ebpfix_probes::table::flow_id;
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError};
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::{self, File};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Source, destination, protocol, source port, destination port.
type FiveTuple = (IpAddr, IpAddr, u8, u16, u16);

/// What both readers say of a flow.
#[derive(Clone, PartialEq, Debug, Default)]
struct Flow {
    packets: u64,
    octets: u64,
    /// The lower eight bits of `tcpControlBits`: the other reader knows no more.
    flags: u8,
    classes_of_service: BTreeSet<u8>,
    /// The VLANs of the frames, the outermost first.
    vlans: BTreeSet<Vec<u16>>,
    /// Source and destination.
    macs: BTreeSet<(String, String)>,
}

/// A capture as the dissector sees it.
#[derive(Default)]
struct Reading {
    flows: BTreeMap<FiveTuple, Flow>,
    /// Frames without a Flow Key, by their number, counted from 1.
    without_flow: BTreeMap<u64, Reason>,
}

/// The frames that may carry IP and have no Flow Key, of captures that somebody has looked at: capture,
/// number, why.
const WITHOUT_FLOW: [(&str, u64, Reason); 2] = [
    // Four octets captured of sixty; no flow for the other reader either.
    ("ndpi-gnutella.pcap", 1, Reason::Truncated),
    // The IPv4 header claims 255 octets where the frame has 100.
    ("tcpreplay-test.pcap", 11, Reason::Malformed),
];

#[test]
fn every_capture_is_read_as_by_another_reader() {
    let captures = captures();
    for (name, ..) in WITHOUT_FLOW {
        assert!(
            captures.iter().any(|path| path.ends_with(name)),
            "{name} is missing from {}",
            shared().join("pcaps").display()
        );
    }
    for path in captures {
        let ours = read(&path);
        let refused: BTreeMap<u64, Reason> = ours
            .without_flow
            .into_iter()
            .filter(|(_, reason)| *reason != Reason::NotIp)
            .collect();
        let expected: BTreeMap<u64, Reason> = WITHOUT_FLOW
            .into_iter()
            .filter(|(name, ..)| path.ends_with(name))
            .map(|(_, number, reason)| (number, reason))
            .collect();
        if LOOKED_AT.iter().any(|name| path.ends_with(name)) {
            assert_eq!(refused, expected, "{}", path.display());
            assert!(!ours.flows.is_empty(), "{}: no flows", path.display());
        }
        // The other reader believes what headers claim: it does not see the frames that are refused.
        let theirs = other_reading(&path, &refused);
        assert_same(&path, &ours.flows, &theirs);
    }
}

/// The captures in which no other frame is refused. What is refused in others, tshark judges:
/// `tests/tests/captures.rs`.
const LOOKED_AT: [&str; 14] = [
    "ndpi-dns_fragmented.pcap",
    "ndpi-gnutella.pcap",
    "ndpi-http_ipv6.pcap",
    "ndpi-netflix.pcap",
    "ndpi-synscan.pcap",
    "ndpi-vxlan.pcap",
    "suri-gre-sample.pcap",
    "tcpreplay-test.pcap",
    "zeek-echo-connections.pcap",
    "zeek-http-qinq.pcap",
    "zeek-http-vlan.pcap",
    "zeek-icmp6-ping.pcap",
    "zeek-mpls-in-vlan.pcap",
    "zeek-teredo.pcap",
];

fn assert_same(path: &Path, ours: &BTreeMap<FiveTuple, Flow>, theirs: &BTreeMap<FiveTuple, Flow>) {
    for key in ours.keys().chain(theirs.keys()) {
        assert_eq!(
            ours.get(key),
            theirs.get(key),
            "{}: {key:?}",
            path.display()
        );
    }
}

/// Every frame cut at every place gives the whole frame's key, or none: over real traffic, too.
#[test]
fn captured_frames_cut_short_give_no_other_flow() {
    /// Behind this no frame of the captures has a header that is looked at.
    const HEADERS: usize = 160;
    /// Frames of a capture; the long captures are of one kind of traffic.
    const FRAMES: u64 = 300;
    for path in captures() {
        for_each_frame(&path, |number, frame| {
            if number > FRAMES {
                return;
            }
            let Captured {
                octets,
                wire_length,
                link,
            } = *frame;
            let verdict = |frame: &SliceFrame<'_>| verdict(frame, link);
            let whole = verdict(&SliceFrame::new(octets).with_wire_length(wire_length));
            for cut in 0..octets.len().min(HEADERS) {
                let what = format!("{}, frame {number}, cut after {cut}", path.display());
                let (id, facts, outcome) = verdict(&SliceFrame::new(&octets[..cut]));
                if outcome.is_ok() {
                    assert_eq!((id, facts, outcome), whole, "{what}");
                }
                let snapped = SliceFrame::new(&octets[..cut]).with_wire_length(wire_length);
                let found = verdict(&snapped);
                assert!(
                    found == whole || found.2 == Err(Reason::Truncated),
                    "{what}"
                );
            }
        });
    }
}

// ---- Our reading --------------------------------------------------------------------------------

fn read(path: &Path) -> Reading {
    let mut reading = Reading::default();
    for_each_frame(path, |number, frame| {
        let (link, wire_length) = (frame.link, frame.wire_length);
        let frame = SliceFrame::new(frame.octets).with_wire_length(wire_length);
        let (id, facts, outcome) = verdict(&frame, link);
        if let Err(reason) = outcome {
            reading.without_flow.insert(number, reason);
            return;
        }
        let flow = reading.flows.entry(five_tuple(&id)).or_default();
        flow.packets += 1;
        flow.octets += u64::from(facts.octets);
        flow.flags |= facts.flags.to_be_bytes()[1];
        flow.classes_of_service.insert(facts.tos);
        let vlans = [id.vlan_id, id.customer_vlan_id];
        flow.vlans
            .insert(vlans.into_iter().filter(|vlan| *vlan != 0).collect());
        flow.macs
            .insert((id.src_mac.to_string(), id.dst_mac.to_string()));
    });
    reading
}

fn verdict(frame: &SliceFrame<'_>, link: Link) -> (FlowId, Facts, Result<(), Reason>) {
    let mut id = FlowId::default();
    let mut facts = Facts::default();
    let outcome = dissect(frame, link, None, &mut id, &mut facts);
    let found = common(frame, 0);
    if let Some(found) = found.filter(|_| link == Link::Ethernet) {
        assert_eq!(
            (flow_id(&found.words), found.facts, Ok(())),
            (id, facts, outcome)
        );
    }
    (id, facts, outcome)
}

fn five_tuple(id: &FlowId) -> FiveTuple {
    assert_eq!(id.src_ip.is_ipv4(), id.eth_protocol == ETH_P_IP);
    (
        id.src_ip.ip(),
        id.dst_ip.ip(),
        id.transport_protocol,
        id.src_port,
        id.dst_port,
    )
}

/// A frame of a capture.
#[derive(Clone, Copy)]
struct Captured<'a> {
    octets: &'a [u8],
    wire_length: u32,
    link: Link,
}

/// Calls `each` with the number (from 1) of each frame, and the frame.
fn for_each_frame(path: &Path, mut each: impl FnMut(u64, &Captured<'_>)) {
    let file = File::open(path).unwrap_or_else(|e| panic!("cannot open {}: {e}", path.display()));
    let mut reader = pcap_parser::create_reader(1 << 20, file)
        .unwrap_or_else(|e| panic!("{} is no capture: {e:?}", path.display()));
    let link_of = |link_type| match link_type {
        Linktype::ETHERNET => Link::Ethernet,
        Linktype(12 | 14 | 101) => Link::None,
        other => panic!("{}: {other}: neither Ethernet nor raw IP", path.display()),
    };
    let mut number = 0;
    let mut links = Vec::new();
    loop {
        match reader.next() {
            Ok((used, block)) => {
                let frame = match block {
                    PcapBlockOwned::LegacyHeader(header) => {
                        links = vec![link_of(header.network)];
                        None
                    }
                    PcapBlockOwned::Legacy(frame) => Some((frame.data, frame.origlen, 0)),
                    PcapBlockOwned::NG(Block::SectionHeader(_)) => {
                        links.clear();
                        None
                    }
                    PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                        links.push(link_of(interface.linktype));
                        None
                    }
                    PcapBlockOwned::NG(Block::EnhancedPacket(frame)) => {
                        let length = frame.data.len().min(frame.caplen as usize);
                        Some((&frame.data[..length], frame.origlen, frame.if_id as usize))
                    }
                    PcapBlockOwned::NG(_) => None,
                };
                if let Some((octets, wire_length, interface)) = frame {
                    number += 1;
                    let frame = Captured {
                        octets,
                        wire_length,
                        link: links[interface],
                    };
                    each(number, &frame);
                }
                reader.consume(used);
            }
            // The last frame may have been cut short.
            Err(PcapError::Eof | PcapError::UnexpectedEof) => break,
            Err(PcapError::Incomplete(_)) => {
                reader
                    .refill()
                    .unwrap_or_else(|e| panic!("cannot read {}: {e:?}", path.display()));
            }
            Err(error) => panic!("{}: {error:?}", path.display()),
        }
    }
    assert!(number > 0, "{} has no frames", path.display());
}

// ---- The other reading --------------------------------------------------------------------------

fn shared() -> PathBuf {
    env::var_os("EBPFIX_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    )
}

/// Every capture, sorted.
fn captures() -> Vec<PathBuf> {
    let directory = shared().join("pcaps");
    let entries = fs::read_dir(&directory).unwrap_or_else(|e| {
        panic!(
            "no captures in {} ({e}): EBPFIX_SHARED names the directory that holds pcaps/",
            directory.display()
        )
    });
    let mut captures: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a directory that can be listed").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "pcap" || extension == "pcapng")
        })
        .collect();
    captures.sort();
    captures
}

/// The capture without the frames in `refused`, as the other reader has it.
fn other_reading(path: &Path, refused: &BTreeMap<u64, Reason>) -> BTreeMap<FiveTuple, Flow> {
    let rest = env::temp_dir().join(format!("captures-{}.pcap", std::process::id()));
    write_without(path, refused, &rest);
    let oracle = shared().join("tools/oracle.py");
    let output = Command::new("python3")
        .arg(&oracle)
        .arg("flows")
        .arg(&rest)
        .output()
        .unwrap_or_else(|e| panic!("cannot run python3: {e}"));
    fs::remove_file(&rest).expect("it was written");
    assert!(
        output.status.success(),
        "{} (it needs dpkt) failed on {}: {}",
        oracle.display(),
        path.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let mut flows = BTreeMap::new();
    for line in text.lines() {
        let record = serde_json::from_str(line).expect("one JSON object a line");
        let (key, flow) = other_flow(&record).unwrap_or_else(|| panic!("unexpected: {line}"));
        assert!(flows.insert(key, flow).is_none(), "twice: {line}");
    }
    flows
}

/// Writes a capture of the frames that are not refused, raw IP behind an Ethernet header as well.
fn write_without(path: &Path, refused: &BTreeMap<u64, Reason>, rest: &Path) {
    let mut file = Vec::new();
    // Magic number, version 2.4, no time zone, whole frames, Ethernet.
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        file.extend(word.to_le_bytes());
    }
    for_each_frame(path, |number, frame| {
        if refused.contains_key(&number) {
            return;
        }
        let header: &[u8] = match (frame.link, frame.octets.first().map(|octet| octet >> 4)) {
            (Link::Ethernet, _) => &[],
            (Link::None, Some(6)) => &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x86, 0xdd],
            (Link::None, _) => &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0x00],
        };
        let more = u32::try_from(header.len()).unwrap();
        // As long as on the wire: the other reader takes a packet that does not say its length for what
        // was captured of it.
        let here = u32::try_from(frame.octets.len()).unwrap();
        let length = here.max(frame.wire_length);
        for word in [0, 0, length + more, length + more] {
            file.extend(word.to_le_bytes());
        }
        file.extend(header);
        file.extend(frame.octets);
        file.extend((here..length).map(|_| 0));
    });
    fs::write(rest, file).unwrap_or_else(|e| panic!("{}: {e}", rest.display()));
}

fn other_flow(record: &serde_json::Value) -> Option<(FiveTuple, Flow)> {
    let number = |name: &str| record[name].as_u64();
    let address = |name: &str| record[name].as_str()?.parse::<IpAddr>().ok();
    let port = |name: &str| u16::try_from(record[name].as_u64()?).ok();
    let key = (
        address("src")?,
        address("dst")?,
        u8::try_from(number("proto")?).ok()?,
        port("sport")?,
        port("dport")?,
    );
    let mut flow = Flow {
        packets: number("packets")?,
        octets: number("bytes")?,
        flags: u8::try_from(number("flags")?).ok()?,
        ..Flow::default()
    };
    for class in record["tos"].as_array()? {
        flow.classes_of_service
            .insert(u8::try_from(class.as_u64()?).ok()?);
    }
    for stack in record["vlans"].as_array()? {
        let vlans = stack.as_array()?.iter();
        let vlans: Option<Vec<u16>> = vlans
            .map(|vlan| u16::try_from(vlan.as_u64()?).ok())
            .collect();
        // A priority tag is no VLAN; this reader lists it as VLAN 0. And it lists those further in.
        let vlans = vlans?.into_iter().filter(|vlan| *vlan != 0);
        flow.vlans.insert(vlans.take(2).collect());
    }
    // Pairs in Python's notation: ('SOURCE', 'DESTINATION').
    for pair in record["macs"].as_array()? {
        let mut quoted = pair.as_str()?.split('\'');
        let (source, destination) = (quoted.nth(1)?, quoted.nth(1)?);
        flow.macs
            .insert((source.to_owned(), destination.to_owned()));
    }
    Some((key, flow))
}
