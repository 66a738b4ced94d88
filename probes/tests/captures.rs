//! The dissector over captures of real traffic, against an independent reading of them.
//!
//! The captures and the other reader (`tools/oracle.py`, which needs python3 and dpkt) are in
//! `shared` beside the project; the environment variable `EBPFIX_SHARED` names another place.

use ebpfix_probes::abi::{FlowId, ETH_P_IP};
use ebpfix_probes::common::common;
use ebpfix_probes::dissect::{dissect, Facts, Link, Reason, SliceFrame};
use ebpfix_probes::table::flow_id;
use pcap_parser::{Linktype, PcapBlockOwned, PcapError};
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

/// The frame whose IPv4 header claims 255 octets where the frame has 122. The other reader believes
/// the header, the dissector does not.
const LYING_CAPTURE: &str = "tcpreplay-test.pcap";
const LYING_FRAME: u64 = 11;
const CLAIMED_OCTETS: u64 = 255;
/// Where its IPv4 header begins, behind two labels, and the total length in it.
const LYING_HEADER: usize = 22;
const TOTAL_LENGTH: std::ops::Range<usize> = LYING_HEADER + 2..LYING_HEADER + 4;

/// The frames that may carry IP and have no Flow Key: capture, number, why.
const WITHOUT_FLOW: [(&str, u64, Reason); 2] = [
    // Four octets captured of sixty; no flow for the other reader either.
    ("ndpi-gnutella.pcap", 1, Reason::Truncated),
    (LYING_CAPTURE, LYING_FRAME, Reason::Malformed),
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
        let mut theirs = other_reading(&path);
        let without_flow: Vec<(u64, Reason)> = ours
            .without_flow
            .into_iter()
            .filter(|(_, reason)| *reason != Reason::NotIp)
            .collect();
        let expected: Vec<(u64, Reason)> = WITHOUT_FLOW
            .into_iter()
            .filter(|(name, ..)| path.ends_with(name))
            .map(|(_, number, reason)| (number, reason))
            .collect();
        assert_eq!(without_flow, expected, "{}", path.display());
        if path.ends_with(LYING_CAPTURE) {
            forget_lying_frame(&path, &mut theirs);
        }
        assert_same(&path, &ours.flows, &theirs);
    }
}

/// Takes the lying frame out of the other reader's flows.
fn forget_lying_frame(path: &Path, flows: &mut BTreeMap<FiveTuple, Flow>) {
    let mut lying = None;
    for_each_frame(path, |number, octets, _| {
        if number == LYING_FRAME {
            lying = Some(octets.to_vec());
        }
    });
    let lying = lying.expect("the capture has the frame");
    let claimed = u16::from_be_bytes(lying[TOTAL_LENGTH].try_into().unwrap());
    assert_eq!((lying.len(), u64::from(claimed)), (122, CLAIMED_OCTETS));
    // Cut to what there is, the packet is a flow's; the key is the one that the lie hid.
    let mut honest = lying.clone();
    let there = u16::try_from(lying.len() - LYING_HEADER).unwrap();
    honest[TOTAL_LENGTH].copy_from_slice(&there.to_be_bytes());
    let mut id = FlowId::default();
    dissect(
        &SliceFrame::new(&honest),
        Link::Ethernet,
        None,
        &mut id,
        &mut Facts::default(),
    )
    .expect("nothing else is wrong with the frame");
    let key = five_tuple(&id);
    let flow = flows.get_mut(&key).expect("the other reader has the flow");
    flow.packets -= 1;
    flow.octets -= CLAIMED_OCTETS;
    if flow.packets == 0 {
        assert_eq!(flow.octets, 0);
        flows.remove(&key);
    }
}

fn assert_same(path: &Path, ours: &BTreeMap<FiveTuple, Flow>, theirs: &BTreeMap<FiveTuple, Flow>) {
    assert!(!theirs.is_empty(), "{}: no flows", path.display());
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
        for_each_frame(&path, |number, octets, wire_length| {
            if number > FRAMES {
                return;
            }
            let whole = SliceFrame::new(octets).with_wire_length(wire_length);
            let whole = verdict(&whole);
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
    for_each_frame(path, |number, octets, wire_length| {
        let frame = SliceFrame::new(octets).with_wire_length(wire_length);
        let (id, facts, outcome) = verdict(&frame);
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

fn verdict(frame: &SliceFrame<'_>) -> (FlowId, Facts, Result<(), Reason>) {
    let mut id = FlowId::default();
    let mut facts = Facts::default();
    let outcome = dissect(frame, Link::Ethernet, None, &mut id, &mut facts);
    if let Some(found) = common(frame, 0) {
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

/// Calls `each` with the number (from 1), the captured octets and the wire length of each frame.
fn for_each_frame(path: &Path, mut each: impl FnMut(u64, &[u8], u32)) {
    let file = File::open(path).unwrap_or_else(|e| panic!("cannot open {}: {e}", path.display()));
    let mut reader = pcap_parser::create_reader(1 << 20, file)
        .unwrap_or_else(|e| panic!("{} is no capture: {e:?}", path.display()));
    let mut number = 0;
    loop {
        match reader.next() {
            Ok((used, block)) => {
                match block {
                    PcapBlockOwned::LegacyHeader(header) => {
                        assert_eq!(header.network, Linktype::ETHERNET, "{}", path.display());
                    }
                    PcapBlockOwned::Legacy(frame) => {
                        number += 1;
                        each(number, frame.data, frame.origlen);
                    }
                    PcapBlockOwned::NG(_) => panic!("{}: pcapng", path.display()),
                }
                reader.consume(used);
            }
            Err(PcapError::Eof) => break,
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
                .is_some_and(|extension| extension == "pcap")
        })
        .collect();
    captures.sort();
    captures
}

fn other_reading(path: &Path) -> BTreeMap<FiveTuple, Flow> {
    let oracle = shared().join("tools/oracle.py");
    let output = Command::new("python3")
        .arg(&oracle)
        .arg("flows")
        .arg(path)
        .output()
        .unwrap_or_else(|e| panic!("cannot run python3: {e}"));
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
        // A priority tag is no VLAN; this reader lists it as VLAN 0.
        flow.vlans
            .insert(vlans?.into_iter().filter(|vlan| *vlan != 0).collect());
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
