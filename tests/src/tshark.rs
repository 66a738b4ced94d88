//! What tshark makes of a capture: a third opinion, beside ebpfix's and the oracle's.
//!
//! tshark is asked for header fields alone, and told to put nothing together (no fragments, no
//! streams). From what it dissected follows what ebpfix promises for each frame: a flow, or the reason
//! why there is none. All of this is derived from the headers; nothing is known of any capture.
//!
//! Where the two differ on purpose, it is translated here:
//!
//! - tshark looks into tunnels, ebpfix counts the outer packet: of each field the first occurrence
//!   counts, and ports only where the transport header is right behind the outer packet's headers;
//! - tshark knows more encapsulations (LLC, pseudowires): what ebpfix does not look through is not IP;
//! - tshark shows what a frame was on the wire, the replay sends what was captured of it: lengths are
//!   compared with the captured octets;
//! - tshark shows a header as far as it goes, ebpfix calls it truncated or malformed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use crate::ebpfix::Count;
use crate::frame::protocol;

/// Source, destination, protocol, source port, destination port (of ICMP: type * 256 + code).
pub type FiveTuple = (IpAddr, IpAddr, u8, u16, u16);

/// What a capture holds.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Opinion {
    /// Packets and IP octets of each flow.
    pub flows: BTreeMap<FiveTuple, Count>,
    /// Frames that are in no flow, by the ledger's name for the reason.
    pub lost: BTreeMap<&'static str, u64>,
    /// Frames that no interface can carry: they have no whole Ethernet header.
    pub unsendable: u64,
    /// Frames of which tshark does not say enough: their numbers, and why.
    pub undecided: Vec<(u64, String)>,
}

/// Asks tshark.
///
/// # Panics
/// Without tshark, and where it cannot read the file.
pub fn opinion(capture: &Path) -> Opinion {
    let mut opinion = Opinion::default();
    let mut frames: Vec<Frame> = fields(capture, FIELDS, &[])
        .map(|fields| Frame { fields })
        .collect();
    let is_cut = |frame: &Frame| frame.number("frame.cap_len") != frame.number("frame.len");
    // Where all was captured, what tshark presumes is what there is.
    if frames.iter().any(is_cut) {
        let without_length = without_length(capture);
        for frame in &mut frames {
            if without_length.contains(&frame.number("frame.number").unwrap_or(0)) {
                frame.fields.insert("ip.len", vec!["0".to_owned()]);
            }
        }
    }
    for frame in frames {
        match frame.verdict() {
            Verdict::Flow(tuple, octets) => {
                let count = opinion.flows.entry(tuple).or_default();
                count.packets += 1;
                count.octets += octets;
            }
            Verdict::Lost(reason) => *opinion.lost.entry(reason).or_default() += 1,
            Verdict::Unsendable => opinion.unsendable += 1,
            Verdict::Undecided(why) => {
                let number = frame.number("frame.number").unwrap_or(0);
                let layers = frame.layers().join(":");
                opinion.undecided.push((number, format!("{why}: {layers}")));
            }
        }
    }
    opinion
}

/// The frames whose IPv4 header says a total length of 0. As a rule tshark shows what it presumes
/// instead.
fn without_length(capture: &Path) -> BTreeSet<u64> {
    const NAMES: &[&str] = &["frame.number", "ip.len"];
    let options = ["-o", "ip.tso_support:FALSE", "-Y", "ip.len == 0"];
    let frames = fields(capture, NAMES, &options).map(|fields| Frame { fields });
    frames
        .filter(|frame| frame.number("ip.len") == Some(0))
        .filter_map(|frame| frame.number("frame.number"))
        .collect()
}

const FIELDS: &[&str] = &[
    "frame.number",
    "frame.len",
    "frame.cap_len",
    "frame.protocols",
    "eth.type",
    "vlan.etype",
    "ieee8021ah.etype",
    "mpls.bottom",
    "ppp.protocol",
    "ip.version",
    "ip.hdr_len",
    "ip.len",
    "ip.flags.mf",
    "ip.frag_offset",
    "ip.proto",
    "ip.src",
    "ip.dst",
    "ipv6.version",
    "ipv6.plen",
    "ipv6.nxt",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.hopopts.nxt",
    "ipv6.hopopts.len",
    "ipv6.routing.nxt",
    "ipv6.routing.len",
    "ipv6.dstopts.nxt",
    "ipv6.dstopts.len",
    "ipv6.fraghdr.nxt",
    "ipv6.fraghdr.offset",
    "ipv6.fraghdr.more",
    "ah.next_header",
    "ah.length",
    "mip6.proto",
    "mip6.hlen",
    "hip.proto",
    "hip.hdr_len",
    "shim6.nxt",
    "shim6.len",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.hdr_len",
    "udp.srcport",
    "udp.dstport",
    "sctp.srcport",
    "sctp.dstport",
    "dccp.srcport",
    "dccp.dstport",
    "icmp.type",
    "icmp.code",
    "icmpv6.type",
    "icmpv6.code",
];

/// Every occurrence of every field of a frame, by its name.
type Fields = BTreeMap<&'static str, Vec<String>>;

fn fields(
    capture: &Path,
    names: &'static [&'static str],
    options: &[&str],
) -> impl Iterator<Item = Fields> {
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(capture).args(options);
    for option in [
        "ip.defragment:FALSE",
        "ipv6.defragment:FALSE",
        "tcp.desegment_tcp_streams:FALSE",
        "tcp.analyze_sequence_numbers:FALSE",
    ] {
        command.args(["-o", option]);
    }
    command.args(["-T", "fields", "-E", "separator=/t", "-E", "occurrence=a"]);
    command.args(["-E", "aggregator=,"]);
    for name in names {
        command.args(["-e", name]);
    }
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("tshark does not run ({error}): run `make setup`"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tshark: {stderr}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<Fields> = text
        .lines()
        .map(|line| {
            let values = line.split('\t').map(|values| {
                let values = values.split(',').filter(|value| !value.is_empty());
                values.map(str::to_owned).collect()
            });
            names.iter().copied().zip(values).collect()
        })
        .collect();
    lines.into_iter()
}

enum Verdict {
    Flow(FiveTuple, u64),
    Lost(&'static str),
    Unsendable,
    Undecided(&'static str),
}

const NOT_IP: Verdict = Verdict::Lost("not_ip");
const TRUNCATED: Verdict = Verdict::Lost("truncated");
const MALFORMED: Verdict = Verdict::Lost("malformed");
const TOO_DEEP: Verdict = Verdict::Lost("too_deep");

/// As many encapsulations and extension headers as are looked through.
const DEPTH: usize = 8;

const IPV4: u64 = 0x0800;
const IPV6: u64 = 0x86dd;
const TAG: u64 = 0x8100;
const SERVICE_TAG: u64 = 0x88a8;
const OLD_SERVICE_TAG: u64 = 0x9100;
/// What is behind a label: no type, the first octet tells.
const BY_VERSION: u64 = u64::MAX;

struct Frame {
    fields: Fields,
}

/// A transport header: whose it is, which layer tshark found there, whether it is in a first fragment.
struct Transport<'a> {
    protocol: u8,
    layer: Option<&'a str>,
    first_fragment: bool,
}

impl Frame {
    fn verdict(&self) -> Verdict {
        let captured = self.number("frame.cap_len").unwrap_or(0);
        if captured < 14 {
            return Verdict::Unsendable;
        }
        let layers = self.layers();
        let is_ip = |layer: &&str| matches!(*layer, "ip" | "ipv6");
        let before = layers.iter().position(is_ip).unwrap_or(layers.len());
        // Octets of the link layer; how many encapsulations; what the last of them says is inside.
        let mut link = 14;
        let mut depth = 0;
        let mut inside = self.number("eth.type").unwrap_or(0);
        let (mut tags, mut service_tags) = (0, 0);
        let mut looked_through = 0;
        for layer in &layers[..before] {
            let (octets, count) = match *layer {
                "eth" | "ethertype" => (0, 0),
                "vlan" => {
                    inside = self.nth("vlan.etype", tags).unwrap_or(0);
                    tags += 1;
                    (4, 1)
                }
                "ieee8021ad" => {
                    inside = self.nth("ieee8021ah.etype", service_tags).unwrap_or(0);
                    service_tags += 1;
                    (4, 1)
                }
                "mpls" => {
                    let bottoms = self.all("mpls.bottom");
                    let Some(last) = bottoms.iter().position(|bottom| bottom == "1") else {
                        let stack = bottoms.len();
                        return if depth + stack >= DEPTH {
                            TOO_DEEP
                        } else {
                            TRUNCATED
                        };
                    };
                    inside = BY_VERSION;
                    (4 * (last as u64 + 1), last + 1)
                }
                "pppoes" => (6, 1),
                "ppp" => {
                    inside = match self.number("ppp.protocol") {
                        Some(0x21) => IPV4,
                        Some(0x57) => IPV6,
                        _ => 0,
                    };
                    (2, 0)
                }
                _ => break,
            };
            depth += count;
            if depth > DEPTH {
                return TOO_DEEP;
            }
            link += octets;
            if link > captured {
                return TRUNCATED;
            }
            looked_through += 1;
        }
        let available = captured - link;
        let behind = layers.get(before + 1..).unwrap_or_default();
        // Where something else than IP ended the loop it is before IP, too.
        let found = match layers.get(before) {
            Some(layer) if looked_through == before => layer,
            _ => "",
        };
        match (inside, found) {
            (IPV4 | BY_VERSION, "ip") => self.ipv4(available, behind),
            (IPV6 | BY_VERSION, "ipv6") => self.ipv6(available, behind),
            // Another version than the link layer says, or nothing at all.
            (IPV4, _) if available < 20 => TRUNCATED,
            (IPV6, _) if available < 40 => TRUNCATED,
            (IPV4 | IPV6, _) => MALFORMED,
            (TAG | SERVICE_TAG | OLD_SERVICE_TAG, _) if depth == DEPTH => TOO_DEEP,
            (TAG | SERVICE_TAG | OLD_SERVICE_TAG | BY_VERSION, _) if available == 0 => TRUNCATED,
            _ => NOT_IP,
        }
    }

    fn ipv4(&self, available: u64, behind: &[&str]) -> Verdict {
        if available < 20 {
            return TRUNCATED;
        }
        let (Some(version), Some(header)) = (self.number("ip.version"), self.number("ip.hdr_len"))
        else {
            return Verdict::Undecided("no IPv4 version and header length");
        };
        if version != 4 || header < 20 {
            return MALFORMED;
        }
        let (Some(said), Some(protocol), Some(offset)) = (
            self.number("ip.len"),
            self.number("ip.proto"),
            self.number("ip.frag_offset"),
        ) else {
            return Verdict::Undecided("not all of the IPv4 header");
        };
        let octets = if said == 0 { available } else { said };
        if octets < header || octets > available {
            return MALFORMED;
        }
        let Some((source, destination)) = self.addresses("ip.src", "ip.dst") else {
            return Verdict::Undecided("no addresses");
        };
        let protocol = u8::try_from(protocol).expect("a protocol number");
        let transport = Transport {
            protocol,
            layer: behind.first().copied(),
            first_fragment: self.is_set("ip.flags.mf", 0),
        };
        let ports = if offset == 0 {
            self.ports(&transport, octets - header)
        } else {
            Ok((0, 0))
        };
        match ports {
            Ok((from, to)) => Verdict::Flow((source, destination, protocol, from, to), octets),
            Err(verdict) => verdict,
        }
    }

    fn ipv6(&self, available: u64, behind: &[&str]) -> Verdict {
        if available < 40 {
            return TRUNCATED;
        }
        if self.number("ipv6.version") != Some(6) {
            return MALFORMED;
        }
        let (Some(payload), Some(mut next)) = (self.number("ipv6.plen"), self.number("ipv6.nxt"))
        else {
            return Verdict::Undecided("not all of the IPv6 header");
        };
        let octets = payload + 40;
        if octets > available {
            return MALFORMED;
        }
        let Some((source, destination)) = self.addresses("ipv6.src", "ipv6.dst") else {
            return Verdict::Undecided("no addresses");
        };
        let mut layers = behind.iter().copied().peekable();
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let mut rest = payload;
        let mut first_fragment = false;
        let mut later_fragment = false;
        for depth in 0.. {
            let Some(extension) = Extension::of(next) else {
                break;
            };
            if depth == DEPTH {
                return TOO_DEEP;
            }
            if rest < 8 {
                return TRUNCATED;
            }
            let Extension {
                layer,
                next: field,
                length,
                unit,
                more,
            } = extension;
            if layers.next_if_eq(&layer).is_none() {
                return Verdict::Undecided("an extension header that is not dissected");
            }
            // Parts of it that are layers to tshark.
            while layers
                .next_if(|inner| inner.starts_with(&format!("{layer}.")))
                .is_some()
            {}
            let nth = seen.entry(layer).or_default();
            let said = match length {
                Some(length) => self.nth(length, *nth),
                None => Some(0),
            };
            let (Some(following), Some(said)) = (self.nth(field, *nth), said) else {
                return Verdict::Undecided(
                    "an extension header that does not say what is behind it",
                );
            };
            let Some(left) = rest.checked_sub((said + more) * unit) else {
                return TRUNCATED;
            };
            (next, rest) = (following, left);
            if layer == "ipv6.fraghdr" {
                let Some(offset) = self.nth("ipv6.fraghdr.offset", *nth) else {
                    return Verdict::Undecided("a fragment header without offset");
                };
                first_fragment |= self.is_set("ipv6.fraghdr.more", *nth);
                later_fragment = offset != 0;
            }
            *nth += 1;
            if later_fragment {
                break;
            }
        }
        let protocol = u8::try_from(next).expect("a protocol number");
        let transport = Transport {
            protocol,
            layer: layers.next(),
            first_fragment,
        };
        let ports = if later_fragment {
            Ok((0, 0))
        } else {
            self.ports(&transport, rest)
        };
        match ports {
            Ok((from, to)) => Verdict::Flow((source, destination, protocol, from, to), octets),
            Err(verdict) => verdict,
        }
    }

    /// Ports as a flow has them. Of the transport header, and what is behind it, there are `octets`.
    fn ports(&self, transport: &Transport<'_>, octets: u64) -> Result<(u16, u16), Verdict> {
        let (layer, from, to, needed) = match transport.protocol {
            protocol::TCP if transport.first_fragment => ("tcp", "tcp.srcport", "tcp.dstport", 4),
            protocol::TCP => ("tcp", "tcp.srcport", "tcp.dstport", 14),
            protocol::UDP => ("udp", "udp.srcport", "udp.dstport", 4),
            protocol::UDP_LITE => ("udplite", "udp.srcport", "udp.dstport", 4),
            protocol::SCTP => ("sctp", "sctp.srcport", "sctp.dstport", 4),
            protocol::DCCP => ("dccp", "dccp.srcport", "dccp.dstport", 4),
            protocol::ICMP => ("icmp", "icmp.type", "icmp.code", 2),
            protocol::ICMPV6 => ("icmpv6", "icmpv6.type", "icmpv6.code", 2),
            _ => return Ok((0, 0)),
        };
        if octets < needed {
            return Err(TRUNCATED);
        }
        let (Some(from), Some(to), true) = (
            self.number(from),
            self.number(to),
            transport.layer == Some(layer),
        ) else {
            return Err(Verdict::Undecided("no transport header"));
        };
        let port = |number| u16::try_from(number).expect("a port");
        Ok(match transport.protocol {
            protocol::ICMP | protocol::ICMPV6 => (0, port(from * 256 + to)),
            _ => (port(from), port(to)),
        })
    }

    fn addresses(&self, source: &str, destination: &str) -> Option<(IpAddr, IpAddr)> {
        let address = |field| self.all(field).first()?.parse().ok();
        Some((address(source)?, address(destination)?))
    }

    fn layers(&self) -> Vec<&str> {
        let layers = self.all("frame.protocols").first();
        layers.map_or(Vec::new(), |layers| layers.split(':').collect())
    }

    fn all(&self, field: &str) -> &[String] {
        self.fields.get(field).map_or(&[], Vec::as_slice)
    }

    /// The first occurrence: that of the outermost header that has the field.
    fn number(&self, field: &str) -> Option<u64> {
        self.nth(field, 0)
    }

    fn nth(&self, field: &str, n: usize) -> Option<u64> {
        let text = self.all(field).get(n)?;
        match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        }
    }

    fn is_set(&self, field: &str, n: usize) -> bool {
        let text = self.all(field).get(n);
        text.is_some_and(|text| text == "1" || text == "True")
    }
}

/// An extension header, and how tshark calls it and its fields.
struct Extension {
    layer: &'static str,
    next: &'static str,
    length: Option<&'static str>,
    /// Octets that the length counts in.
    unit: u64,
    /// What is to be added to the length.
    more: u64,
}

impl Extension {
    fn of(number: u64) -> Option<Self> {
        let (layer, next, length) = match number {
            0 => ("ipv6.hopopts", "ipv6.hopopts.nxt", "ipv6.hopopts.len"),
            43 => ("ipv6.routing", "ipv6.routing.nxt", "ipv6.routing.len"),
            44 => {
                return Some(Self {
                    layer: "ipv6.fraghdr",
                    next: "ipv6.fraghdr.nxt",
                    length: None,
                    unit: 8,
                    more: 1,
                });
            }
            51 => {
                return Some(Self {
                    layer: "ah",
                    next: "ah.next_header",
                    length: Some("ah.length"),
                    unit: 4,
                    more: 2,
                });
            }
            60 => ("ipv6.dstopts", "ipv6.dstopts.nxt", "ipv6.dstopts.len"),
            135 => ("mipv6", "mip6.proto", "mip6.hlen"),
            139 => ("hip", "hip.proto", "hip.hdr_len"),
            140 => ("shim6", "shim6.nxt", "shim6.len"),
            _ => return None,
        };
        Some(Self {
            layer,
            next,
            length: Some(length),
            unit: 8,
            more: 1,
        })
    }
}
