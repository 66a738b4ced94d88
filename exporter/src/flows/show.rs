//! Answers as text: a table for people, CSV (RFC 4180) for programs.
//!
//! Both are made from the rows' JSON, so that what came over the control socket and what was gathered
//! in this process look the same.

use std::fmt::Write as _;

use serde_json::Value;

use super::Field;

/// A column of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Column {
    /// A field.
    Field(Field),
    /// Source address and port.
    Source,
    /// Destination address and port, or type and code of ICMP.
    Destination,
    /// Seconds from the first to the last packet.
    Duration,
    /// Packets a second.
    PacketRate,
    /// Bits a second.
    BitRate,
}

impl Column {
    /// Those of single flows, with the rank in which they are left out where there is no room: the
    /// highest goes first, 0 stays.
    const OF_FLOWS: [(Self, u8); 14] = [
        (Self::Field(Field::Proto), 0),
        (Self::Source, 0),
        (Self::Destination, 0),
        (Self::PacketRate, 0),
        (Self::BitRate, 0),
        (Self::Field(Field::Packets), 0),
        (Self::Field(Field::Bytes), 0),
        (Self::Field(Field::TcpFlags), 3),
        (Self::Field(Field::Interface), 1),
        (Self::Field(Field::Direction), 2),
        (Self::Field(Field::Start), 5),
        (Self::Duration, 4),
        (Self::Field(Field::Vlan), 6),
        (Self::Field(Field::Duplicate), 7),
    ];

    fn title(self) -> String {
        match self {
            Self::Field(Field::TcpFlags) => "FLAGS".to_owned(),
            Self::Field(Field::Direction) => "DIR".to_owned(),
            Self::Field(Field::Duplicate) => "DUP".to_owned(),
            Self::Field(field) => field.name().to_uppercase(),
            Self::Source => "SOURCE".to_owned(),
            Self::Destination => "DESTINATION".to_owned(),
            Self::Duration => "DURATION".to_owned(),
            Self::PacketRate => "PACKETS/S".to_owned(),
            Self::BitRate => "BIT/S".to_owned(),
        }
    }

    /// Whether its cells stand at the right.
    pub fn is_number(self) -> bool {
        match self {
            Self::Field(field) => matches!(
                field,
                Field::Packets
                    | Field::Bytes
                    | Field::Flows
                    | Field::Sport
                    | Field::Dport
                    | Field::Service
                    | Field::IfIndex
                    | Field::Tos
                    | Field::Sampling
            ),
            Self::Source | Self::Destination => false,
            Self::Duration | Self::PacketRate | Self::BitRate => true,
        }
    }

    /// Its cell of a row; `seconds` is how long the interval was in which the row counted.
    pub fn cell(self, row: &Value, seconds: Option<f64>) -> String {
        match self {
            Self::Field(field) => cell(field, row),
            Self::Source => end(row, Field::Src, Field::Sport, Field::SrcMac),
            Self::Destination => end(row, Field::Dst, Field::Dport, Field::DstMac),
            Self::Duration => duration(row).unwrap_or_else(unknown),
            Self::PacketRate => rate(row, Field::Packets, 1.0, seconds),
            Self::BitRate => rate(row, Field::Bytes, 8.0, seconds),
        }
    }
}

/// The columns for rows added up by these fields; with rates or without.
pub fn columns(by: &[Field], rates: bool) -> Vec<Column> {
    ranked(by, rates)
        .into_iter()
        .map(|(column, _)| column)
        .collect()
}

fn ranked(by: &[Field], rates: bool) -> Vec<(Column, u8)> {
    let is_rate = |column| matches!(column, Column::PacketRate | Column::BitRate);
    if by.is_empty() {
        return Column::OF_FLOWS
            .into_iter()
            .filter(|(column, _)| rates || !is_rate(*column))
            .collect();
    }
    let keys = by.iter().map(|field| (Column::Field(*field), 0));
    let rest = [
        (Column::Field(Field::Flows), 0),
        (Column::PacketRate, 0),
        (Column::BitRate, 0),
        (Column::Field(Field::Packets), 0),
        (Column::Field(Field::Bytes), 0),
        (Column::Field(Field::TcpFlags), 3),
        (Column::Field(Field::Start), 2),
        (Column::Field(Field::End), 1),
    ];
    keys.chain(rest)
        .filter(|(column, _)| rates || !is_rate(*column))
        .collect()
}

/// Rows as a table, with a header. For a terminal of so many columns what does not fit is left out,
/// for a file or a pipe (`None`) nothing.
pub fn table(by: &[Field], rows: &[Value], seconds: Option<f64>, terminal: Option<u16>) -> String {
    let mut shown: Vec<(Column, u8, Vec<String>)> = ranked(by, seconds.is_some())
        .into_iter()
        .map(|(column, rank)| {
            let cells = rows.iter().map(|row| column.cell(row, seconds));
            let cells = std::iter::once(column.title()).chain(cells).collect();
            (column, rank, cells)
        })
        // Nobody needs a column of nothing.
        .filter(|(column, _, cells): &(_, _, Vec<String>)| {
            let rare = matches!(column, Column::Field(Field::Vlan | Field::Duplicate));
            by.iter().any(|by| Column::Field(*by) == *column)
                || !rare
                || cells.iter().skip(1).any(|cell| cell != UNKNOWN)
        })
        .collect();
    let width = |cells: &[String]| cells.iter().map(|cell| cell.chars().count()).max();
    if let Some(room) = terminal {
        loop {
            let length: usize = shown
                .iter()
                .map(|(_, _, cells)| width(cells).unwrap_or(0) + 1)
                .sum();
            let least = shown.iter().map(|(_, rank, _)| *rank).max().unwrap_or(0);
            if length <= usize::from(room) + 1 || least == 0 {
                break;
            }
            shown.retain(|(_, rank, _)| *rank != least);
        }
    }
    let widths: Vec<usize> = shown
        .iter()
        .map(|(_, _, cells)| width(cells).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in 0..=rows.len() {
        let mut row = String::new();
        for ((column, _, cells), width) in shown.iter().zip(&widths) {
            let cell = cells.get(line).map_or("", String::as_str);
            // Writing to a String cannot fail.
            let _ = if column.is_number() {
                write!(row, "{cell:>width$} ")
            } else {
                write!(row, "{cell:<width$} ")
            };
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// The fields of CSV: all of them.
pub fn csv_fields(by: &[Field]) -> Vec<Field> {
    if by.is_empty() {
        Field::of_flows().collect()
    } else {
        Field::of_sums(by).collect()
    }
}

/// The first line of CSV.
pub fn csv_header(by: &[Field], rates: bool) -> String {
    let names = csv_fields(by).into_iter().map(Field::name);
    let rates = ["packets_per_second", "bits_per_second"]
        .into_iter()
        .filter(|_| rates);
    names.chain(rates).collect::<Vec<_>>().join(",") + "\n"
}

/// A row as a line of CSV.
pub fn csv_line(by: &[Field], row: &Value, seconds: Option<f64>) -> String {
    let mut cells: Vec<String> = csv_fields(by)
        .into_iter()
        .map(|field| csv_cell(&row[field.name()]))
        .collect();
    if let Some(seconds) = seconds {
        for (field, factor) in [(Field::Packets, 1.0), (Field::Bytes, 8.0)] {
            let rate = per_second(row, field, factor, seconds);
            cells.push(rate.map_or_else(String::new, |rate| format!("{rate:.1}")));
        }
    }
    cells.join(",") + "\n"
}

/// A cell of CSV: in quotes where it has to be.
pub fn csv_cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.contains([',', '"', '\n', '\r']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

const UNKNOWN: &str = "-";

fn unknown() -> String {
    UNKNOWN.to_owned()
}

fn cell(field: Field, row: &Value) -> String {
    let value = &row[field.name()];
    let number = value.as_u64();
    match (field, value) {
        (_, Value::Null) => unknown(),
        (Field::Proto, _) => protocol(row),
        (Field::Direction, _) => match number {
            Some(0) => "in".to_owned(),
            Some(1) => "out".to_owned(),
            _ => value.to_string(),
        },
        (Field::TcpFlags, _) => match number {
            None | Some(0) => unknown(),
            Some(flags) => self::flags(flags),
        },
        (Field::Vlan | Field::CustomerVlan, _) if number == Some(0) => unknown(),
        (Field::Duplicate, _) => match value.as_bool() {
            Some(true) => "yes".to_owned(),
            _ => unknown(),
        },
        (Field::Service, _) if is_icmp(row) => number.map_or_else(unknown, type_and_code),
        (Field::EthType, _) => number.map_or_else(unknown, |number| format!("{number:#06x}")),
        (Field::Start | Field::End, Value::String(time)) => time.replace('T', " ").replace('Z', ""),
        (_, Value::String(text)) => printable(text),
        _ => value.to_string(),
    }
}

/// The protocol by its name.
pub fn protocol(row: &Value) -> String {
    if let (Value::Null, Some(eth_type)) = (&row["src"], row["eth_type"].as_u64()) {
        return match eth_type {
            0x0806 => "ARP".to_owned(),
            other => format!("{other:#06x}"),
        };
    }
    let name = match row["proto"].as_u64() {
        None => UNKNOWN,
        Some(1) => "ICMP",
        Some(2) => "IGMP",
        Some(4) => "IPIP",
        Some(6) => "TCP",
        Some(17) => "UDP",
        Some(41) => "IPv6",
        Some(47) => "GRE",
        Some(50) => "ESP",
        Some(51) => "AH",
        Some(58) => "ICMPv6",
        Some(89) => "OSPF",
        Some(103) => "PIM",
        Some(112) => "VRRP",
        Some(132) => "SCTP",
        Some(other) => return other.to_string(),
    };
    name.to_owned()
}

fn end(row: &Value, address: Field, port: Field, mac: Field) -> String {
    let Some(text) = row[address.name()].as_str() else {
        return row[mac.name()].as_str().map_or_else(unknown, printable);
    };
    let address = printable(text);
    match row[port.name()].as_u64() {
        Some(type_code) if is_icmp(row) => {
            if port == Field::Dport {
                format!("{address} {}", type_and_code(type_code))
            } else {
                address
            }
        }
        // A protocol without ports has 0 there.
        Some(0) if !has_ports(row) => address,
        Some(port) if address.contains(':') => format!("[{address}]:{port}"),
        Some(port) => format!("{address}:{port}"),
        None => address,
    }
}

fn is_icmp(row: &Value) -> bool {
    matches!(row["proto"].as_u64(), Some(1 | 58))
}

/// TCP, UDP, DCCP, SCTP, UDP-Lite.
fn has_ports(row: &Value) -> bool {
    matches!(row["proto"].as_u64(), Some(6 | 17 | 33 | 132 | 136))
}

fn type_and_code(port: u64) -> String {
    format!("{}.{}", port >> 8, port & 0xff)
}

fn duration(row: &Value) -> Option<String> {
    const NS_PER_MS: u64 = 1_000_000;
    let time = |field: Field| row[field.name()].as_str()?.parse().ok();
    let (start, end): (crate::record::UnixTime, crate::record::UnixTime) =
        (time(Field::Start)?, time(Field::End)?);
    let millis = end.nanos().abs_diff(start.nanos()) / NS_PER_MS;
    Some(format!("{}.{:03}", millis / 1000, millis % 1000))
}

/// The eight flags every stack knows, a dot for each that is not set.
fn flags(flags: u64) -> String {
    "CEUAPRSF"
        .chars()
        .zip((0..8).rev())
        .map(|(letter, bit)| if flags & (1 << bit) == 0 { '.' } else { letter })
        .collect()
}

fn rate(row: &Value, field: Field, factor: f64, seconds: Option<f64>) -> String {
    seconds
        .and_then(|seconds| per_second(row, field, factor, seconds))
        .map_or_else(unknown, short)
}

/// What a row counted of a field, times `factor`, a second.
pub fn per_second(row: &Value, field: Field, factor: f64, seconds: f64) -> Option<f64> {
    let count = row[field.name()].as_f64()?;
    (seconds > 0.0).then(|| count * factor / seconds)
}

/// A number in five characters at most: `0`, `7.5`, `999`, `1.23k`, `45.6M`, `789G`.
pub fn short(number: f64) -> String {
    const STEPS: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let mut number = if number.is_finite() && number > 0.0 {
        number
    } else {
        0.0
    };
    for (at, unit) in STEPS.into_iter().enumerate() {
        // What would be rounded to 1000 has the next unit.
        if number < 999.5 || at + 1 == STEPS.len() {
            return match number {
                n if n < 0.05 => "0".to_owned(),
                n if at == 0 && n < 9.95 => {
                    let text = format!("{n:.1}");
                    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
                }
                n if at > 0 && n < 9.995 => format!("{n:.2}{unit}"),
                n if at > 0 && n < 99.95 => format!("{n:.1}{unit}"),
                n => format!("{n:.0}{unit}"),
            };
        }
        number /= 1000.0;
    }
    unknown()
}

/// A text from elsewhere, fit for a terminal.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || c.is_whitespace() {
                '?'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rows() -> Vec<Value> {
        vec![
            json!({
                "src": "192.0.2.1", "dst": "198.51.100.7", "proto": 6, "sport": 40000, "dport": 443,
                "packets": 1000, "bytes": 1_500_000, "start": "2026-11-24T16:06:58.123Z",
                "end": "2026-11-24T16:06:59.623Z", "tcp_flags": 27, "direction": 1, "if_index": 3,
                "src_mac": "02:00:00:00:00:01", "dst_mac": "02:00:00:00:00:02",
                "interface": "eth0", "vlan": 0, "customer_vlan": 0, "eth_type": 2048, "tos": 16,
                "min_ttl": 63, "max_ttl": 64, "sampling": 1, "duplicate": false,
            }),
            json!({
                "src": "2001:db8::1", "dst": "2001:db8::2", "proto": 58, "sport": 0,
                "dport": 128 * 256, "packets": 2, "bytes": 208,
                "start": "2026-11-24T16:06:58.123Z", "end": "2026-11-24T16:06:58.123Z",
                "tcp_flags": 0, "direction": 0, "if_index": 4, "interface": "a,\"\u{1b} b",
                "vlan": 7, "duplicate": true, "eth_type": 0x86dd,
            }),
            json!({
                "src": null, "dst": null, "proto": 0, "eth_type": 0x0806,
                "src_mac": "02:00:00:00:00:01", "dst_mac": "ff:ff:ff:ff:ff:ff",
                "packets": 1, "bytes": 46, "interface": null,
            }),
        ]
    }

    #[test]
    fn a_table_for_a_file_has_everything() {
        assert_eq!(
            table(&[], &rows(), None, None),
            "\
PROTO  SOURCE            DESTINATION       PACKETS   BYTES FLAGS    INTERFACE DIR START                   DURATION VLAN DUP
TCP    192.0.2.1:40000   198.51.100.7:443     1000 1500000 ...AP.SF eth0      out 2026-11-24 16:06:58.123    1.500 -    -
ICMPv6 2001:db8::1       2001:db8::2 128.0       2     208 -        a,\"??b    in  2026-11-24 16:06:58.123    0.000 7    yes
ARP    02:00:00:00:00:01 ff:ff:ff:ff:ff:ff       1      46 -        -         -   -                              - -    -
"
        );
    }

    #[test]
    fn a_table_for_a_terminal_leaves_out_what_does_not_fit() {
        let lines = table(&[], &rows(), Some(2.0), Some(80));
        assert_eq!(
            lines.lines().nth(1).unwrap(),
            "TCP    192.0.2.1:40000   198.51.100.7:443        500 6.00M    1000 1500000"
        );
        for width in [20, 80, 100, 132, 200] {
            let text = table(&[], &rows(), Some(2.0), Some(width));
            let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= usize::from(width.max(80)), "{width}:\n{text}");
        }
    }

    #[test]
    fn sums_have_their_keys_as_columns() {
        let rows = [json!({
            "src": "192.0.2.1", "service": 443, "flows": 3, "packets": 10, "bytes": 1000,
            "start": "2026-11-24T16:06:58.123Z", "end": "2026-11-24T16:06:59.623Z", "tcp_flags": 2,
        })];
        let by = [Field::Src, Field::Service];
        assert_eq!(
            table(&by, &rows, None, Some(61)),
            "\
SRC       SERVICE FLOWS PACKETS BYTES END
192.0.2.1     443     3      10  1000 2026-11-24 16:06:59.623
"
        );
        assert_eq!(
            csv_header(&by, true) + &csv_line(&by, &rows[0], Some(4.0)),
            "\
src,service,flows,packets,bytes,start,end,tcp_flags,packets_per_second,bits_per_second
192.0.2.1,443,3,10,1000,2026-11-24T16:06:58.123Z,2026-11-24T16:06:59.623Z,2,2.5,2000.0
"
        );
    }

    #[test]
    fn csv_has_every_field_and_quotes_what_needs_it() {
        let text: String = std::iter::once(csv_header(&[], false))
            .chain(rows().iter().map(|row| csv_line(&[], row, None)))
            .collect();
        assert_eq!(
            text,
            "\
src,dst,proto,sport,dport,packets,bytes,start,end,tcp_flags,direction,if_index,src_mac,dst_mac,interface,vlan,customer_vlan,eth_type,tos,min_ttl,max_ttl,sampling,duplicate
192.0.2.1,198.51.100.7,6,40000,443,1000,1500000,2026-11-24T16:06:58.123Z,2026-11-24T16:06:59.623Z,27,1,3,02:00:00:00:00:01,02:00:00:00:00:02,eth0,0,0,2048,16,63,64,1,false
2001:db8::1,2001:db8::2,58,0,32768,2,208,2026-11-24T16:06:58.123Z,2026-11-24T16:06:58.123Z,0,0,4,,,\"a,\"\"\u{1b} b\",7,,34525,,,,,true
,,0,,,1,46,,,,,,02:00:00:00:00:01,ff:ff:ff:ff:ff:ff,,,,2054,,,,,
"
        );
    }

    #[test]
    fn numbers_are_short() {
        for (number, text) in [
            (0.0, "0"),
            (-1.0, "0"),
            (f64::NAN, "0"),
            (0.04, "0"),
            (0.5, "0.5"),
            (7.0, "7"),
            (9.96, "10"),
            (999.4, "999"),
            (999.6, "1.00k"),
            (1_234.0, "1.23k"),
            (12_345.0, "12.3k"),
            (123_456.0, "123k"),
            (999_600.0, "1.00M"),
            (9_996_000.0, "10.0M"),
            (1e18, "1.00E"),
            (1e22, "10000E"),
        ] {
            assert_eq!(short(number), text, "{number}");
        }
    }
}
