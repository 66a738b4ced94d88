//! Flows as lines of a table.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::flows::show::printable;
use crate::record::{FlowJson, UnixTime};

/// The columns of a table, those that fit, and the widths they have grown to.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    /// Lines between two headers; `None`: one header at the beginning.
    repeat: Option<u32>,
    lines: u32,
}

#[derive(Clone, Debug)]
struct Column {
    field: Field,
    width: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Start,
    Duration,
    Protocol,
    Source,
    Destination,
    Packets,
    Bytes,
    Flags,
    Interface,
    Direction,
    End,
    Vlan,
    Sampling,
}

/// The columns in their order: title, the width at first, and their rank when there is no room for
/// all (the highest goes first; 0 stays).
const COLUMNS: [(Field, &str, usize, u8); 13] = [
    (Field::Start, "START (UTC)", 23, 0),
    (Field::Duration, "DURATION", 9, 4),
    (Field::Protocol, "PROTO", 6, 0),
    (Field::Source, "SOURCE", 21, 0),
    (Field::Destination, "DESTINATION", 21, 0),
    (Field::Packets, "PACKETS", 9, 0),
    (Field::Bytes, "BYTES", 12, 0),
    (Field::Flags, "FLAGS", 8, 3),
    (Field::Interface, "INTERFACE", 10, 1),
    (Field::Direction, "DIR", 3, 2),
    (Field::End, "END", 6, 5),
    (Field::Vlan, "VLAN", 4, 6),
    (Field::Sampling, "1:N", 3, 7),
];

/// Lines between headers on a terminal.
const REPEAT: u32 = 40;

impl Table {
    /// A table for a terminal of this many columns: what does not fit is left out, and the header
    /// comes again now and then. `None` for a file or a pipe: all columns, one header.
    pub fn new(terminal: Option<u16>) -> Self {
        let mut shown = COLUMNS.to_vec();
        if let Some(room) = terminal {
            let length = |columns: &[(Field, &str, usize, u8)]| -> usize {
                columns.iter().map(|(_, _, width, _)| width + 1).sum()
            };
            while length(&shown) > usize::from(room) + 1 {
                let least = shown.iter().map(|(.., rank)| *rank).max().unwrap_or(0);
                if least == 0 {
                    break;
                }
                shown.retain(|(.., rank)| *rank != least);
            }
        }
        Self {
            columns: shown
                .into_iter()
                .map(|(field, _, width, _)| Column { field, width })
                .collect(),
            repeat: terminal.map(|_| REPEAT),
            lines: 0,
        }
    }

    /// Adds the line of a flow, after a header where one is due.
    pub fn line(&mut self, flow: &FlowJson<'_>, out: &mut String) {
        let due = match self.repeat {
            Some(repeat) => self.lines.is_multiple_of(repeat),
            None => self.lines == 0,
        };
        if due {
            self.header(flow.packets_scaled.is_some(), out);
        }
        // The count is only compared and divided; where it starts again does not matter.
        self.lines = self.lines.wrapping_add(1).max(1);
        let texts: Vec<_> = self
            .columns
            .iter()
            .map(|column| text(column.field, flow))
            .collect();
        self.cells(&texts, out);
    }

    /// `scaled`: the counts are estimates.
    fn header(&mut self, scaled: bool, out: &mut String) {
        let titles: Vec<_> = self
            .columns
            .iter()
            .map(|column| {
                let known = COLUMNS.iter().find(|(field, ..)| *field == column.field);
                let title = known.map_or("", |(_, title, ..)| *title);
                match column.field {
                    Field::Packets | Field::Bytes if scaled => format!("~{title}"),
                    _ => title.to_owned(),
                }
            })
            .collect();
        self.cells(&titles, out);
    }

    /// Adds a line; a cell that is too wide widens its column from there on.
    fn cells(&mut self, texts: &[String], out: &mut String) {
        let last = self.columns.len().saturating_sub(1);
        for (index, (column, text)) in self.columns.iter_mut().zip(texts).enumerate() {
            column.width = column.width.max(text.chars().count());
            let width = column.width;
            // Writing to a String cannot fail.
            let _ = match column.field {
                Field::Duration | Field::Packets | Field::Bytes => write!(out, "{text:>width$}"),
                _ if index == last => write!(out, "{text}"),
                _ => write!(out, "{text:<width$}"),
            };
            out.push(if index == last { '\n' } else { ' ' });
        }
    }
}

const UNKNOWN: &str = "-";

const TCP: u8 = 6;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

fn text(field: Field, flow: &FlowJson<'_>) -> String {
    let known = match field {
        Field::Start => flow.start.map(start),
        Field::Duration => flow
            .start
            .zip(flow.end)
            .map(|(start, end)| duration(start, end)),
        Field::Protocol => protocol(flow),
        Field::Source => match flow.src {
            Some(address) => Some(match (is_icmp(flow), flow.sport) {
                (false, Some(port)) => with_port(address, port),
                _ => address.to_string(),
            }),
            None => flow.src_mac.map(|mac| mac.to_string()),
        },
        Field::Destination => match flow.dst {
            Some(address) => Some(match flow.dport {
                Some(type_code) if is_icmp(flow) => {
                    let [kind, code] = type_code.to_be_bytes();
                    format!("{address} {kind}.{code}")
                }
                Some(port) => with_port(address, port),
                None => address.to_string(),
            }),
            None => flow.dst_mac.map(|mac| mac.to_string()),
        },
        Field::Packets => flow.packets_scaled.or(flow.packets).map(|n| n.to_string()),
        Field::Bytes => flow.bytes_scaled.or(flow.bytes).map(|n| n.to_string()),
        Field::Flags => flow
            .tcp_flags
            .filter(|_| flow.proto.is_none_or(|proto| proto == TCP))
            .map(flags),
        Field::Interface => match (&flow.interface, flow.if_index) {
            (Some(name), _) => Some(printable(name)),
            (None, Some(index)) => Some(format!("#{index}")),
            (None, None) => None,
        },
        Field::Direction => flow.direction.map(|direction| match direction {
            0 => "in".to_owned(),
            1 => "out".to_owned(),
            other => other.to_string(),
        }),
        Field::End => flow.end_reason.map(|reason| match reason {
            1 => "idle".to_owned(),
            2 => "active".to_owned(),
            3 => "end".to_owned(),
            4 => "forced".to_owned(),
            5 => "lack".to_owned(),
            other => other.to_string(),
        }),
        Field::Vlan => match (flow.vlan, flow.customer_vlan) {
            (Some(0) | None, Some(0) | None) => None,
            (vlan, Some(0) | None) => vlan.map(|vlan| vlan.to_string()),
            (vlan, Some(customer)) => Some(format!("{}/{customer}", vlan.unwrap_or(0))),
        },
        Field::Sampling => flow.sampling.map(|sampling| sampling.to_string()),
    };
    known.unwrap_or_else(|| UNKNOWN.to_owned())
}

/// `2026-11-24 16:07:00.123`.
fn start(time: UnixTime) -> String {
    time.to_string().replace('T', " ").replace('Z', "")
}

/// Seconds with three decimals; a flow that ends before it starts has a sign.
fn duration(start: UnixTime, end: UnixTime) -> String {
    const NS_PER_MS: u64 = 1_000_000;
    let sign = if end < start { "-" } else { "" };
    let millis = end.nanos().abs_diff(start.nanos()) / NS_PER_MS;
    format!("{sign}{}.{:03}", millis / 1000, millis % 1000)
}

fn protocol(flow: &FlowJson<'_>) -> Option<String> {
    const ARP: u16 = 0x0806;
    if let (None, None, Some(eth_type)) = (flow.src, flow.dst, flow.eth_type) {
        return Some(match eth_type {
            ARP => "ARP".to_owned(),
            other => format!("{other:#06x}"),
        });
    }
    let name = match flow.proto? {
        ICMP => "ICMP",
        2 => "IGMP",
        4 => "IPIP",
        TCP => "TCP",
        17 => "UDP",
        41 => "IPv6",
        47 => "GRE",
        50 => "ESP",
        51 => "AH",
        ICMPV6 => "ICMPv6",
        89 => "OSPF",
        103 => "PIM",
        112 => "VRRP",
        132 => "SCTP",
        other => return Some(other.to_string()),
    };
    Some(name.to_owned())
}

fn is_icmp(flow: &FlowJson<'_>) -> bool {
    matches!(flow.proto, Some(ICMP | ICMPV6))
}

fn with_port(address: IpAddr, port: u16) -> String {
    match address {
        IpAddr::V4(address) => format!("{address}:{port}"),
        IpAddr::V6(address) => format!("[{address}]:{port}"),
    }
}

/// The eight flags every stack knows, a dot for each that is not set (RFC 9293 section 3.1, RFC
/// 3168).
fn flags(flags: u16) -> String {
    const LETTERS: &str = "CEUAPRSF";
    LETTERS
        .chars()
        .zip((0..8).rev())
        .map(|(letter, bit)| if flags & (1 << bit) == 0 { '.' } else { letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use ebpfix_probes::abi::MacAddress;

    use super::*;

    fn tcp() -> FlowJson<'static> {
        FlowJson {
            src: Some(IpAddr::from([192, 0, 2, 1])),
            dst: Some(IpAddr::from([198, 51, 100, 7])),
            proto: Some(6),
            sport: Some(40000),
            dport: Some(443),
            packets: Some(10),
            bytes: Some(5000),
            start: "2026-11-24T16:06:58.123Z".parse().ok(),
            end: "2026-11-24T16:06:59.623Z".parse().ok(),
            tcp_flags: Some(0x1b),
            end_reason: Some(3),
            direction: Some(1),
            if_index: Some(3),
            interface: Some(Cow::Borrowed("eth0")),
            vlan: Some(7),
            customer_vlan: Some(0),
            ..FlowJson::default()
        }
    }

    fn lines(table: &mut Table, flows: &[FlowJson<'_>]) -> Vec<String> {
        let mut out = String::new();
        for flow in flows {
            table.line(flow, &mut out);
        }
        out.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_flow_is_a_line_under_a_header() {
        assert_eq!(
            lines(&mut Table::new(None), &[tcp()]),
            [
                concat!(
                    "START (UTC)              DURATION PROTO  SOURCE                DESTINATION    ",
                    "         PACKETS        BYTES FLAGS    INTERFACE  DIR END    VLAN 1:N"
                ),
                concat!(
                    "2026-11-24 16:06:58.123     1.500 TCP    192.0.2.1:40000       198.51.100.7:44",
                    "3             10         5000 ...AP.SF eth0       out end    7    -"
                ),
            ]
        );
    }

    #[test]
    fn what_is_not_known_is_a_dash() {
        let lines = lines(&mut Table::new(None), &[FlowJson::default()]);
        let words: Vec<_> = lines[1].split_whitespace().collect();
        assert_eq!(words, ["-"; COLUMNS.len()]);
    }

    #[test]
    fn icmp_shows_type_and_code_and_layer_2_its_addresses() {
        let icmp = FlowJson {
            proto: Some(58),
            src: "2001:db8::1".parse().ok(),
            dst: "2001:db8::2".parse().ok(),
            sport: Some(0),
            dport: Some(128 * 256),
            interface: None,
            ..tcp()
        };
        let arp = FlowJson {
            src: None,
            dst: None,
            eth_type: Some(0x0806),
            src_mac: Some(MacAddress([2, 0, 0, 0, 0, 1])),
            dst_mac: Some(MacAddress([0xff; 6])),
            ..tcp()
        };
        let lines = lines(&mut Table::new(None), &[icmp, arp]);
        assert!(
            lines[1].contains(" ICMPv6 2001:db8::1           2001:db8::2 128.0 "),
            "{}",
            lines[1]
        );
        assert!(
            lines[1].contains(" - ") && lines[1].contains(" #3 "),
            "{}",
            lines[1]
        );
        assert!(
            lines[2].contains(" ARP    02:00:00:00:00:01     ff:ff:ff:ff:ff:ff "),
            "{}",
            lines[2]
        );
    }

    #[test]
    fn a_wide_cell_widens_its_column_for_good() {
        let v6 = FlowJson {
            src: "2001:db8:1111:2222:3333:4444:5555:6666".parse().ok(),
            ..tcp()
        };
        let lines = lines(&mut Table::new(None), &[tcp(), v6, tcp()]);
        assert!(lines[2].contains("[2001:db8:1111:2222:3333:4444:5555:6666]:40000 198"));
        let column = |line: &str| line.find("198.51.100.7").unwrap();
        assert_eq!(column(&lines[2]), column(&lines[3]));
        assert!(column(&lines[1]) < column(&lines[2]));
    }

    #[test]
    fn a_terminal_gets_what_fits_and_its_header_again() {
        let flows = vec![tcp(); 41];
        let wide = lines(&mut Table::new(Some(200)), &flows);
        assert_eq!(wide.len(), 43);
        assert_eq!(wide[0], wide[41]);
        assert!(wide[0].contains("VLAN"));

        for (columns, last) in [(147, "1:N"), (146, "VLAN"), (142, "END"), (130, "DIR")] {
            let lines = lines(&mut Table::new(Some(columns)), &[tcp()]);
            assert!(lines[0].ends_with(last), "{columns}: {}", lines[0]);
        }
        let narrow = lines(&mut Table::new(Some(20)), &[tcp()]);
        assert!(narrow[0].ends_with("BYTES"), "{}", narrow[0]);
        assert_eq!(lines(&mut Table::new(None), &flows).len(), 42);
    }

    #[test]
    fn names_from_the_network_do_not_reach_the_terminal_as_they_are() {
        let flow = FlowJson {
            interface: Some(Cow::Borrowed("\u{1b}[31m\nx y")),
            ..tcp()
        };
        let lines = lines(&mut Table::new(None), &[flow]);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].contains(" ?[31m?x?y "), "{}", lines[1]);
    }

    #[test]
    fn durations_have_milliseconds_and_may_be_negative() {
        let at = |millis| UnixTime::from_millis(millis);
        assert_eq!(duration(at(1000), at(61_234)), "60.234");
        assert_eq!(duration(at(1000), at(1000)), "0.000");
        assert_eq!(duration(at(1000), at(999)), "-0.001");
        let (first, last) = (
            UnixTime::from_nanos(i64::MIN),
            UnixTime::from_nanos(i64::MAX),
        );
        assert_eq!(duration(first, last), "18446744073.709");
    }
}
