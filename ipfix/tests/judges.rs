//! Independent judges: decoders that others wrote find in our messages what went in.
//!
//! They are the packages `netflow` and `netflume` of `PyPI`, and the crate `netflow_parser`. nfdump,
//! pmacct and Wireshark judge elsewhere.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Command, Stdio};

use ipfix::{
    AbstractType, Element, Layout, NetflowV5Record, NetflowV5Sampling, NetflowV5SamplingMode,
    Protocol, Registry, Semantics, Session, SessionOptions, VARIABLE_LENGTH, Written,
    elements as ie, v9_scope,
};
use netflow_parser::variable_versions::field_value::{DataNumber, DurationValue, FieldValue};
use netflow_parser::variable_versions::ipfix::{self as npipfix, lookup::IPFixField};
use netflow_parser::variable_versions::v9::{self as npv9, ScopeDataField};
use netflow_parser::{NetflowPacket, NetflowParser, V9Field};
use serde_json::Value as Json;

const PROTOCOLS: [Protocol; 2] = [Protocol::Ipfix, Protocol::NetflowV9];

/// 2026-11-24 16:00:00.250 UTC.
const NOW_MS: u64 = 1_795_536_000_250;
/// On a whole second, so that sysUptime counts from here exactly.
const INIT_MS: u64 = 1_795_532_400_000;
const DOMAIN: u32 = 42;

#[test]
fn netflow() {
    for protocol in PROTOCOLS {
        let exchange = Exchange::usual(protocol);
        let found = ask_python("netflow", &exchange.messages);
        exchange.compare(&found, &NetflowPackage);
    }
    // It has neither variable lengths nor enterprise elements: it takes 65535 for a length, and the
    // id of an enterprise element for one of IANA's.
}

#[test]
fn netflume() {
    for exchange in all_exchanges() {
        let found = ask_python("netflume", &exchange.messages);
        exchange.compare(&found, &Netflume);
        for message in &found {
            assert_eq!(message.other["trouble"], Json::Array(Vec::new()));
        }
        let sampling = &found.last().unwrap().other["sampling"];
        let wanted = if exchange.is_usual { 100 } else { 1 };
        assert_eq!(sampling, &Json::from(wanted));
    }
}

#[test]
fn netflow_parser() {
    for exchange in all_exchanges() {
        let mut parser = NetflowParser::default();
        let found: Vec<Found> = exchange
            .messages
            .iter()
            .map(|message| parse_with_netflow_parser(&mut parser, message))
            .collect();
        exchange.compare(&found, &NetflowParserCrate);
    }
}

/// In version 5 every judge has its own names, and the same values.
#[test]
fn netflow_v5() {
    let flows: Vec<NetflowV5Record> = (1..=40).map(flow_v5).collect();
    let layout = Layout::netflow_v5(|flow: &NetflowV5Record, _| *flow);
    let mut session = Session::new(SessionOptions {
        max_message: 1500,
        ..SessionOptions::udp(Protocol::NetflowV5, 0x0203, INIT_MS)
    });
    session.register(&layout).unwrap();
    session.set_sampling(NetflowV5Sampling::new(NetflowV5SamplingMode::Random, SAMPLING).unwrap());
    let mut messages = Vec::new();
    let mut rest = flows.as_slice();
    while !rest.is_empty() {
        let mut buffer = Vec::new();
        let mut writer = session.begin(&mut buffer, NOW_MS);
        let written = writer.write_all(&layout, rest).unwrap();
        let message = writer.finish().unwrap();
        session.commit(message).unwrap();
        messages.push(buffer);
        rest = &rest[written..];
    }
    assert_eq!(messages.len(), 2);

    packages_read_v5(&messages, &flows);
    crate_reads_v5(&messages, &flows);
}

const SAMPLING: u16 = 0x64;
/// As it stands in the header: at random, and the interval.
const SAMPLING_FIELD: u16 = 2 << 14 | SAMPLING;

fn flow_v5(n: u8) -> NetflowV5Record {
    NetflowV5Record {
        source: [192, 0, 2, n].into(),
        destination: [198, 51, 100, n].into(),
        next_hop: [203, 0, 113, n].into(),
        ingress_interface: 11,
        egress_interface: 12,
        packets: 0x0708_0900 + u64::from(n),
        octets: 0x0a0b_0c00 + u64::from(n),
        first_ms: NOW_MS - 61_234,
        last_ms: NOW_MS - u64::from(n),
        source_port: 49_152 + u16::from(n),
        destination_port: 443,
        tcp_flags: 0x1b,
        protocol: 6,
        tos: 0xb8,
        source_as: 64_496,
        destination_as: 64_497,
        source_prefix_length: 24,
        destination_prefix_length: 16,
    }
}

/// The names of netflow and of netflume, and how the two say the value.
fn fields_v5(flow: &NetflowV5Record) -> [(&'static str, &'static str, [String; 2]); 18] {
    let uptime = |ms: u64| (ms - INIT_MS).to_string();
    let address = |address: Ipv4Addr| [address.to_bits().to_string(), address.to_string()];
    let same = |value: u64| [value.to_string(), value.to_string()];
    let time = |ms| [uptime(ms), uptime(ms)];
    [
        ("IPV4_SRC_ADDR", "src_addr", address(flow.source)),
        ("IPV4_DST_ADDR", "dst_addr", address(flow.destination)),
        ("NEXT_HOP", "next_hop", address(flow.next_hop)),
        ("INPUT", "in_if", same(flow.ingress_interface.into())),
        ("OUTPUT", "out_if", same(flow.egress_interface.into())),
        ("IN_PACKETS", "packets", same(flow.packets)),
        ("IN_OCTETS", "octets", same(flow.octets)),
        ("FIRST_SWITCHED", "first_switched", time(flow.first_ms)),
        ("LAST_SWITCHED", "last_switched", time(flow.last_ms)),
        ("SRC_PORT", "src_port", same(flow.source_port.into())),
        ("DST_PORT", "dst_port", same(flow.destination_port.into())),
        ("TCP_FLAGS", "tcp_flags", same(flow.tcp_flags.into())),
        ("PROTO", "proto", same(flow.protocol.into())),
        ("TOS", "tos", same(flow.tos.into())),
        ("SRC_AS", "src_as", same(flow.source_as.into())),
        ("DST_AS", "dst_as", same(flow.destination_as.into())),
        (
            "SRC_MASK",
            "src_mask",
            same(flow.source_prefix_length.into()),
        ),
        (
            "DST_MASK",
            "dst_mask",
            same(flow.destination_prefix_length.into()),
        ),
    ]
}

fn packages_read_v5(messages: &[Vec<u8>], flows: &[NetflowV5Record]) {
    for (judge, package) in ["netflow", "netflume"].into_iter().enumerate() {
        let found = ask_python(package, messages);
        let mut sequence = 0;
        for message in &found {
            assert_eq!(message.sequence, sequence, "{package}");
            sequence += u64::try_from(message.flows.len()).unwrap();
            assert_eq!((message.domain, message.time), (3, NOW_MS / 1000));
            assert_eq!(message.uptime, Some(NOW_MS - INIT_MS));
            if judge == 0 {
                assert_eq!(message.other["engine"], 2);
                assert_eq!(message.other["nanoseconds"], 250_000_000);
                assert_eq!(message.other["sampling"], SAMPLING_FIELD);
            } else {
                assert_eq!(message.other["sampling"], SAMPLING);
                assert_eq!(message.other["trouble"], Json::Array(Vec::new()));
            }
        }
        let found: Vec<&Fields> = found.iter().flat_map(|message| &message.flows).collect();
        let wanted: Vec<Fields> = flows
            .iter()
            .map(|flow| {
                let fields = fields_v5(flow).into_iter();
                fields
                    .map(|(netflow, netflume, values)| {
                        let name = [netflow, netflume][judge];
                        (name.to_owned(), values[judge].clone())
                    })
                    .collect()
            })
            .collect();
        assert_eq!(found, wanted.iter().collect::<Vec<_>>(), "{package}");
    }
}

fn crate_reads_v5(messages: &[Vec<u8>], flows: &[NetflowV5Record]) {
    let mut parser = NetflowParser::default();
    let mut sequence = 0;
    for (message, flows) in messages.iter().zip(flows.chunks(30)) {
        let result = parser.parse_bytes(message);
        let [NetflowPacket::V5(packet)] = &*result.packets else {
            panic!("netflow_parser: {result:?}");
        };
        let header = &packet.header;
        assert_eq!(usize::from(header.count), flows.len());
        assert_eq!(header.flow_sequence, sequence);
        sequence += u32::from(header.count);
        assert_eq!((header.engine_type, header.engine_id), (2, 3));
        assert_eq!(header.sampling_interval, SAMPLING_FIELD);
        for (found, flow) in packet.flowsets.iter().zip(flows) {
            let found = NetflowV5Record {
                source: found.src_addr,
                destination: found.dst_addr,
                next_hop: found.next_hop,
                ingress_interface: found.input.into(),
                egress_interface: found.output.into(),
                packets: found.d_pkts.into(),
                octets: found.d_octets.into(),
                first_ms: INIT_MS + u64::from(found.first),
                last_ms: INIT_MS + u64::from(found.last),
                source_port: found.src_port,
                destination_port: found.dst_port,
                tcp_flags: found.tcp_flags,
                protocol: found.protocol_number,
                tos: found.tos,
                source_as: found.src_as.into(),
                destination_as: found.dst_as.into(),
                source_prefix_length: found.src_mask,
                destination_prefix_length: found.dst_mask,
            };
            assert_eq!(found, *flow);
        }
    }
}

/// These tests can fail.
#[test]
#[should_panic(expected = "IPFIX options")]
fn a_wrong_octet_is_noticed() {
    let mut exchange = Exchange::usual(Protocol::Ipfix);
    // The last octet of the last record: of the sampling interval.
    let octet = exchange.messages[1].last_mut().unwrap();
    assert_eq!(*octet, 100);
    *octet = 101;
    let found = ask_python("netflume", &exchange.messages);
    exchange.compare(&found, &Netflume);
}

fn all_exchanges() -> [Exchange; 3] {
    [
        Exchange::usual(Protocol::Ipfix),
        Exchange::usual(Protocol::NetflowV9),
        Exchange::variable_and_enterprise(),
    ]
}

/// Messages, and the records that went into them.
struct Exchange {
    protocol: Protocol,
    is_usual: bool,
    tables: Vec<Table>,
    messages: Vec<Vec<u8>>,
    /// By message: the table and the row.
    records: Vec<Vec<(usize, Row)>>,
}

impl Exchange {
    /// Flows over IPv4 and IPv6, interfaces and sampling, in two messages of several sets; only the
    /// first has templates.
    fn usual(protocol: Protocol) -> Self {
        let scope = |ipfix, v9| match protocol {
            Protocol::Ipfix => ipfix,
            Protocol::NetflowV9 | Protocol::NetflowV5 => v9,
        };
        let interface = scope(ie::INGRESS_INTERFACE, v9_scope::INTERFACE);
        let system = scope(ie::OBSERVATION_DOMAIN_ID, v9_scope::SYSTEM);
        let tables = vec![
            Table::new(protocol, 256, 0, flow_columns(protocol, false)),
            Table::new(protocol, 257, 0, flow_columns(protocol, true)),
            Table::new(
                protocol,
                300,
                1,
                vec![
                    // The scopes of version 9 have numbers of their own, which netflume takes for
                    // those of elements: 1 is octetDeltaCount, 2 is packetDeltaCount.
                    column(
                        interface,
                        4,
                        [scope_name(protocol, "in_if", "packets"), "Interface"],
                    ),
                    column(ie::INTERFACE_NAME, 16, ["if_name", "IF_NAME"]),
                    column(ie::INTERFACE_DESCRIPTION, 16, ["if_desc", "IF_DESC"]),
                ],
            ),
            Table::new(
                protocol,
                301,
                1,
                vec![
                    column(
                        system,
                        4,
                        [
                            scope_name(protocol, "observation_domain_id", "octets"),
                            "System",
                        ],
                    ),
                    column(
                        ie::SAMPLING_INTERVAL,
                        4,
                        ["sampling_interval", "SAMPLING_INTERVAL"],
                    ),
                ],
            ),
        ];
        let name = |index: u64, name: &str, description: &str| {
            let texts = [name, description].map(|text| Cell::Text(text.to_owned()));
            let mut row = vec![Cell::Number(index)];
            row.extend(texts);
            (2, row)
        };
        let sampling = |interval| (3, vec![Cell::Number(DOMAIN.into()), Cell::Number(interval)]);
        let records = vec![
            vec![
                (0, flow(1, false)),
                (0, flow(2, false)),
                (1, flow(3, true)),
                name(2, "eth0", "uplink"),
                // As wide as the field.
                name(3, "enp0s31f6.100000", "sixteen octets.."),
                sampling(1),
                (0, flow(4, false)),
            ],
            vec![(1, flow(5, true)), (1, flow(6, true)), sampling(100)],
        ];
        Self::new(protocol, true, tables, records)
    }

    /// What only IPFIX has: variable lengths, of one octet and of three, and enterprise elements, in
    /// flows and in options.
    fn variable_and_enterprise() -> Self {
        const PEN: u32 = 64_512;
        let protocol = Protocol::Ipfix;
        let element =
            |id, data_type, semantics| Element::enterprise(PEN, id, "ours", data_type, semantics);
        let score = element(7, AbstractType::Unsigned32, Semantics::Quantity);
        let label = element(32_767, AbstractType::String, Semantics::Default);
        let tables = vec![
            Table::new(
                protocol,
                400,
                0,
                vec![
                    column(ie::SOURCE_IPV4_ADDRESS, 4, ["src_addr", ""]),
                    column(score, 4, ["e64512.7", ""]),
                    column(ie::INTERFACE_NAME, VARIABLE_LENGTH, ["if_name", ""]),
                    column(label, VARIABLE_LENGTH, ["e64512.32767", ""]),
                    column(ie::PROTOCOL_IDENTIFIER, 1, ["proto", ""]),
                ],
            ),
            Table::new(
                protocol,
                401,
                2,
                vec![
                    column(score, 2, ["e64512.7", ""]),
                    column(ie::INGRESS_INTERFACE, 4, ["in_if", ""]),
                    column(ie::INTERFACE_DESCRIPTION, VARIABLE_LENGTH, ["if_desc", ""]),
                ],
            ),
        ];
        let flow = |n: u8, name: &str, label: &str| {
            let row = vec![
                Cell::Address([192, 0, 2, n].into()),
                Cell::Number(0xdead_be00 | u64::from(n)),
                Cell::Text(name.to_owned()),
                Cell::Text(label.to_owned()),
                Cell::Number(6),
            ];
            (0, row)
        };
        let options = |n, description: &str| {
            let description = Cell::Text(description.to_owned());
            (1, vec![Cell::Number(n), Cell::Number(n + 1), description])
        };
        let records = vec![
            vec![
                flow(1, "eth0", "nine octets"),
                // 254 is the longest with a length of one octet.
                flow(2, &"x".repeat(254), "another label"),
                options(1, "uplink"),
            ],
            vec![
                flow(3, &"y".repeat(255), &"long label ".repeat(30)),
                options(2, &"z".repeat(300)),
                options(3, "down"),
            ],
        ];
        Self::new(protocol, false, tables, records)
    }

    fn new(
        protocol: Protocol,
        is_usual: bool,
        tables: Vec<Table>,
        records: Vec<Vec<(usize, Row)>>,
    ) -> Self {
        let mut session = Session::new(SessionOptions::udp(protocol, DOMAIN, INIT_MS));
        for table in &tables {
            session.register(&table.layout).unwrap();
        }
        let messages = records
            .iter()
            .map(|records| {
                let mut buffer = Vec::new();
                let mut writer = session.begin(&mut buffer, NOW_MS);
                for (table, row) in records {
                    let layout = &tables[*table].layout;
                    assert_eq!(writer.write(layout, row), Ok(Written::Done));
                }
                let message = writer.finish().unwrap();
                session.commit(message).unwrap();
                buffer
            })
            .collect();
        Self {
            protocol,
            is_usual,
            tables,
            messages,
            records,
        }
    }

    /// Compares headers and records, field by field, in the judge's own names and values.
    fn compare(&self, found: &[Found], judge: &dyn Judge) {
        assert_eq!(found.len(), self.messages.len());
        let mut sequence = 0;
        for (found, records) in found.iter().zip(&self.records) {
            assert_eq!(found.sequence, sequence);
            assert_eq!(found.domain, u64::from(DOMAIN));
            match self.protocol {
                Protocol::Ipfix => {
                    assert_eq!((found.time, found.uptime), (NOW_MS / 1000, None));
                    sequence += u64::try_from(records.len()).unwrap();
                }
                // The second that is not over yet, in both clocks.
                Protocol::NetflowV9 | Protocol::NetflowV5 => {
                    assert_eq!(found.time, NOW_MS / 1000 + 1);
                    assert_eq!(found.uptime, Some(NOW_MS / 1000 * 1000 + 1000 - INIT_MS));
                    sequence += 1;
                }
            }
            let wanted = |options: bool| -> Vec<Fields> {
                records
                    .iter()
                    .map(|(table, row)| (&self.tables[*table], row))
                    .filter(|(table, _)| table.layout.is_options() == options)
                    .map(|(table, row)| table.as_read_by(judge, self.protocol, row))
                    .collect()
            };
            assert_eq!(found.flows, wanted(false), "{} flows", self.protocol);
            assert_eq!(found.options, wanted(true), "{} options", self.protocol);
        }
    }
}

/// A layout, and what the judges call its columns.
struct Table {
    columns: Vec<Column>,
    layout: Layout<Row>,
}

#[derive(Clone, Copy)]
struct Column {
    element: Element,
    length: u16,
    netflume: &'static str,
    /// The name of the package `netflow` for the field of version 9; empty where it has none.
    netflow_v9: &'static str,
}

fn column(element: Element, length: u16, [netflume, netflow_v9]: [&'static str; 2]) -> Column {
    Column {
        element,
        length,
        netflume,
        netflow_v9,
    }
}

impl Table {
    fn new(protocol: Protocol, template_id: u16, scope: usize, columns: Vec<Column>) -> Self {
        let mut builder = if scope > 0 {
            Layout::options_builder(protocol, template_id)
        } else {
            Layout::builder(protocol, template_id)
        };
        for (
            at,
            &Column {
                element, length, ..
            },
        ) in columns.iter().enumerate()
        {
            if scope > 0 && at == scope {
                builder = builder.end_of_scope();
            }
            builder = match element.data_type() {
                _ if is_uptime(&element) => {
                    builder.uptime(element, move |row: &Row| row[at].number())
                }
                AbstractType::Ipv4Address => builder.octets(element, move |row, _| match row[at] {
                    Cell::Address(IpAddr::V4(address)) => address.octets(),
                    _ => panic!("{element}: no IPv4 address"),
                }),
                AbstractType::Ipv6Address => builder.octets(element, move |row, _| match row[at] {
                    Cell::Address(IpAddr::V6(address)) => address.octets(),
                    _ => panic!("{element}: no IPv6 address"),
                }),
                AbstractType::MacAddress => builder.octets(element, move |row, _| match row[at] {
                    Cell::Mac(address) => address,
                    _ => panic!("{element}: no MAC address"),
                }),
                AbstractType::String if length == VARIABLE_LENGTH => {
                    builder.variable(element, move |row| row[at].text().as_bytes())
                }
                AbstractType::String => builder.text(element, length, move |row| row[at].text()),
                _ => builder.unsigned(element, length, move |row, _| row[at].number()),
            };
        }
        Self {
            columns,
            layout: builder.build().unwrap(),
        }
    }

    fn as_read_by(&self, judge: &dyn Judge, protocol: Protocol, row: &Row) -> Fields {
        let named = self.columns.iter().zip(row).filter_map(|(column, cell)| {
            let name = judge.name(protocol, column)?;
            Some((name, judge.value(protocol, column, cell)))
        });
        named.collect()
    }
}

fn is_uptime(element: &Element) -> bool {
    [ie::FLOW_START_SYS_UP_TIME, ie::FLOW_END_SYS_UP_TIME].contains(element)
}

fn scope_name(protocol: Protocol, ipfix: &'static str, v9: &'static str) -> &'static str {
    match protocol {
        Protocol::Ipfix => ipfix,
        Protocol::NetflowV9 | Protocol::NetflowV5 => v9,
    }
}

type Row = Vec<Cell>;

#[derive(Clone)]
enum Cell {
    /// A number, or a time in milliseconds since 1970.
    Number(u64),
    Address(IpAddr),
    Mac([u8; 6]),
    Text(String),
}

impl Cell {
    fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            _ => panic!("no number"),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => panic!("no text"),
        }
    }

    /// As a number of however many octets.
    fn as_number(&self, length: u16) -> u128 {
        match self {
            Self::Number(number) => (*number).into(),
            Self::Address(IpAddr::V4(address)) => address.to_bits().into(),
            Self::Address(IpAddr::V6(address)) => address.to_bits(),
            Self::Mac(address) => number(address),
            Self::Text(text) => {
                let mut octets = text.clone().into_bytes();
                octets.resize(length.into(), 0);
                number(&octets)
            }
        }
    }
}

fn number(octets: &[u8]) -> u128 {
    assert!(octets.len() <= size_of::<u128>());
    octets
        .iter()
        .fold(0, |number, &octet| number << 8 | u128::from(octet))
}

fn flow_columns(protocol: Protocol, ipv6: bool) -> Vec<Column> {
    let mut columns = if ipv6 {
        vec![
            column(ie::SOURCE_IPV6_ADDRESS, 16, ["src_addr", "IPV6_SRC_ADDR"]),
            column(
                ie::DESTINATION_IPV6_ADDRESS,
                16,
                ["dst_addr", "IPV6_DST_ADDR"],
            ),
        ]
    } else {
        vec![
            column(ie::SOURCE_IPV4_ADDRESS, 4, ["src_addr", "IPV4_SRC_ADDR"]),
            column(
                ie::DESTINATION_IPV4_ADDRESS,
                4,
                ["dst_addr", "IPV4_DST_ADDR"],
            ),
        ]
    };
    columns.extend([
        column(ie::OCTET_DELTA_COUNT, 8, ["octets", "IN_BYTES"]),
        // In reduced size.
        column(ie::PACKET_DELTA_COUNT, 4, ["packets", "IN_PKTS"]),
    ]);
    columns.extend(match protocol {
        Protocol::Ipfix => [
            column(ie::FLOW_START_MILLISECONDS, 8, ["flow_start_ms", ""]),
            column(ie::FLOW_END_MILLISECONDS, 8, ["flow_end_ms", ""]),
        ],
        Protocol::NetflowV9 | Protocol::NetflowV5 => [
            column(
                ie::FLOW_START_SYS_UP_TIME,
                4,
                ["first_switched", "FIRST_SWITCHED"],
            ),
            column(
                ie::FLOW_END_SYS_UP_TIME,
                4,
                ["last_switched", "LAST_SWITCHED"],
            ),
        ],
    });
    columns.extend([
        column(ie::SOURCE_TRANSPORT_PORT, 2, ["src_port", "L4_SRC_PORT"]),
        column(
            ie::DESTINATION_TRANSPORT_PORT,
            2,
            ["dst_port", "L4_DST_PORT"],
        ),
        column(ie::PROTOCOL_IDENTIFIER, 1, ["proto", "PROTOCOL"]),
        column(ie::IP_CLASS_OF_SERVICE, 1, ["tos", "SRC_TOS"]),
        column(ie::TCP_CONTROL_BITS, 1, ["tcp_flags", "TCP_FLAGS"]),
        column(ie::MINIMUM_TTL, 1, ["min_ttl", "MIN_TTL"]),
        column(ie::INGRESS_INTERFACE, 4, ["in_if", "INPUT_SNMP"]),
        column(ie::EGRESS_INTERFACE, 4, ["out_if", "OUTPUT_SNMP"]),
        column(ie::SOURCE_MAC_ADDRESS, 6, ["src_mac", "IN_SRC_MAC"]),
        column(ie::VLAN_ID, 2, ["vlan", "SRC_VLAN"]),
        // The package `netflow` has no name for these three in version 9.
        column(ie::DOT1Q_VLAN_ID, 2, ["dot1q_vlan", ""]),
        column(ie::ETHERNET_TYPE, 2, ["ethertype", ""]),
        column(ie::FLOW_END_REASON, 1, ["flow_end_reason", ""]),
    ]);
    columns
}

/// A row of [`flow_columns`]; no two cells are alike, so that none can stand for another.
fn flow(n: u8, ipv6: bool) -> Row {
    let n64 = u64::from(n);
    let [source, destination] = [7, 9].map(|host| -> IpAddr {
        if ipv6 {
            [0x2001, 0xdb8, 0, 0, 0, n.into(), 0, host].into()
        } else {
            [198, 51, n, host.to_be_bytes()[1]].into()
        }
    });
    let mut row = vec![
        Cell::Address(source),
        Cell::Address(destination),
        Cell::Number(0x0001_0203_0405_0600 + n64),
        Cell::Number(0x0708_0900 + n64),
        Cell::Number(NOW_MS - 61_234 - n64),
        Cell::Number(NOW_MS - n64),
    ];
    row.extend([49_152 + n64, 443, 6, 0xb8, 0x1b, 63, 11, 12].map(Cell::Number));
    row.push(Cell::Mac([2, 0, 0x5e, 0x10, 0, n]));
    row.extend([100 + n64, 200 + n64, 0x0800, 3].map(Cell::Number));
    row
}

/// A record as a judge read it: its names, and values as text.
type Fields = BTreeMap<String, String>;

/// A message as a judge read it.
struct Found {
    sequence: u64,
    domain: u64,
    time: u64,
    uptime: Option<u64>,
    flows: Vec<Fields>,
    options: Vec<Fields>,
    /// What only this judge says.
    other: Json,
}

/// How a judge says things.
trait Judge {
    /// `None` where it has no name of its own for the field.
    fn name(&self, protocol: Protocol, column: &Column) -> Option<String>;

    fn value(&self, protocol: Protocol, column: &Column, cell: &Cell) -> String;
}

/// A value as anybody would say it.
fn plainly(column: &Column, cell: &Cell) -> String {
    match cell {
        Cell::Number(number) if is_uptime(&column.element) => (number - INIT_MS).to_string(),
        Cell::Number(number) => number.to_string(),
        Cell::Address(address) => address.to_string(),
        Cell::Mac(octets) => mac(*octets),
        Cell::Text(text) => text.clone(),
    }
}

fn mac(octets: [u8; 6]) -> String {
    hex(&octets, ":")
}

fn hex(octets: &[u8], between: &str) -> String {
    let octets: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    octets.join(between)
}

/// The package `netflow` leaves much as numbers, and the zeros that fill a text in it.
struct NetflowPackage;

impl Judge for NetflowPackage {
    fn name(&self, protocol: Protocol, column: &Column) -> Option<String> {
        let name = match protocol {
            Protocol::Ipfix => column.element.name(),
            Protocol::NetflowV9 | Protocol::NetflowV5 => column.netflow_v9,
        };
        (!name.is_empty()).then(|| name.to_owned())
    }

    fn value(&self, protocol: Protocol, column: &Column, cell: &Cell) -> String {
        match (protocol, cell) {
            (Protocol::Ipfix, Cell::Address(_))
            | (_, Cell::Mac(_))
            | (Protocol::NetflowV9, Cell::Text(_)) => cell.as_number(column.length).to_string(),
            (Protocol::Ipfix, Cell::Text(text)) => {
                let fill = usize::from(column.length) - text.len();
                format!("{text}{}", "\0".repeat(fill))
            }
            _ => plainly(column, cell),
        }
    }
}

struct Netflume;

impl Judge for Netflume {
    fn name(&self, _: Protocol, column: &Column) -> Option<String> {
        Some(column.netflume.to_owned())
    }

    fn value(&self, _: Protocol, column: &Column, cell: &Cell) -> String {
        match column.element.registry() {
            // It does not know their types: to it up to eight octets are a number.
            Registry::Enterprise(_) => match cell {
                Cell::Text(text) if text.len() > 8 => hex(text.as_bytes(), ""),
                _ => cell.as_number(column.length).to_string(),
            },
            _ => plainly(column, cell),
        }
    }
}

/// Asks a package of `PyPI`.
fn ask_python(package: &str, messages: &[Vec<u8>]) -> Vec<Found> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = here.join("../.venv/bin/python3");
    let mut child = Command::new(&python)
        .arg(here.join("tests/judges/judge.py"))
        .arg(package)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!(
                "{}: {error}; packaging/setup/install.sh test installs it",
                python.display()
            )
        });
    let lines: String = messages
        .iter()
        .map(|message| hex(message, "") + "\n")
        .collect();
    // It reads a line before it writes one: less than a pipe holds.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(lines.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{package}: {}", output.status);
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| found_of_json(serde_json::from_str(line).unwrap()))
        .collect()
}

fn found_of_json(json: Json) -> Found {
    let number = |name: &str| json[name].as_u64().unwrap();
    let records = |name: &str| -> Vec<Fields> {
        let records = json[name].as_array().unwrap();
        records
            .iter()
            .map(|record| {
                let fields = record.as_object().unwrap().iter();
                fields
                    .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                    .collect()
            })
            .collect()
    };
    Found {
        sequence: number("sequence"),
        domain: number("domain"),
        time: number("time"),
        uptime: json["uptime"].as_u64(),
        flows: records("flows"),
        options: records("options"),
        other: json,
    }
}

/// The crate `netflow_parser`. Its names are those of its own enums.
struct NetflowParserCrate;

impl Judge for NetflowParserCrate {
    fn name(&self, protocol: Protocol, column: &Column) -> Option<String> {
        let id = column.element.id();
        Some(match (protocol, column.element.registry()) {
            (_, Registry::NetflowV9Scope) => format!("scope {id}"),
            (Protocol::NetflowV9, _) => format!("{:?}", V9Field::from(id)),
            (_, Registry::Enterprise(pen)) => format!("{:?}", IPFixField::new(id, Some(pen))),
            _ => format!("{:?}", IPFixField::new(id, None)),
        })
    }

    fn value(&self, protocol: Protocol, column: &Column, cell: &Cell) -> String {
        let unknown = match (protocol, column.element.registry()) {
            (_, Registry::Enterprise(_)) => true,
            // In version 9 it knows fewer elements.
            (Protocol::NetflowV9, Registry::Iana) => {
                matches!(V9Field::from(column.element.id()), V9Field::IanaAssigned(_))
            }
            _ => false,
        };
        match cell {
            // It gives what it does not know as octets.
            Cell::Text(text) if unknown => hex(text.as_bytes(), ""),
            Cell::Number(number) if unknown => {
                hex(&number.to_be_bytes()[8 - usize::from(column.length)..], "")
            }
            _ => plainly(column, cell),
        }
    }
}

fn parse_with_netflow_parser(parser: &mut NetflowParser, message: &[u8]) -> Found {
    let result = parser.parse_bytes(message);
    assert!(result.error.is_none(), "{:?}", result.error);
    assert_eq!(result.packets.len(), 1);
    let (mut flows, mut options) = (Vec::new(), Vec::new());
    match &result.packets[0] {
        NetflowPacket::IPFix(packet) => {
            let record = |record: &[(IPFixField, FieldValue)]| -> Fields {
                let fields = record.iter();
                fields
                    .map(|(field, value)| (format!("{field:?}"), text_of(value)))
                    .collect()
            };
            for set in &packet.flowsets {
                match &set.body {
                    npipfix::FlowSetBody::Data(data) => {
                        flows.extend(data.fields.iter().map(|fields| record(fields)));
                    }
                    npipfix::FlowSetBody::OptionsData(data) => {
                        options.extend(data.fields.iter().map(|fields| record(fields)));
                    }
                    npipfix::FlowSetBody::NoTemplate(set) => panic!("no template: {set:?}"),
                    _ => {}
                }
            }
            Found {
                sequence: packet.header.sequence_number.into(),
                domain: packet.header.observation_domain_id.into(),
                time: packet.header.export_time.into(),
                uptime: None,
                flows,
                options,
                other: Json::Null,
            }
        }
        NetflowPacket::V9(packet) => {
            let record = |record: &[(V9Field, FieldValue)]| -> Fields {
                let fields = record.iter();
                fields
                    .map(|(field, value)| (format!("{field:?}"), text_of(value)))
                    .collect()
            };
            for set in &packet.flowsets {
                match &set.body {
                    npv9::FlowSetBody::Data(data) => {
                        flows.extend(data.fields.iter().map(|fields| record(fields)));
                    }
                    npv9::FlowSetBody::OptionsData(data) => {
                        options.extend(data.fields.iter().map(|fields| {
                            let mut all = record(&fields.options_fields);
                            all.extend(fields.scope_fields.iter().map(scope_of));
                            all
                        }));
                    }
                    npv9::FlowSetBody::NoTemplate(set) => panic!("no template: {set:?}"),
                    _ => {}
                }
            }
            Found {
                sequence: packet.header.sequence_number.into(),
                domain: packet.header.source_id.into(),
                time: packet.header.unix_secs.into(),
                uptime: Some(packet.header.sys_up_time.into()),
                flows,
                options,
                other: Json::Null,
            }
        }
        other => panic!("neither IPFIX nor version 9: {other:?}"),
    }
}

fn scope_of(scope: &ScopeDataField) -> (String, String) {
    let (id, octets) = match scope {
        ScopeDataField::System(octets) => (1, octets),
        ScopeDataField::Interface(octets) => (2, octets),
        other => panic!("{other:?} was not written"),
    };
    (format!("scope {id}"), number(octets).to_string())
}

fn text_of(value: &FieldValue) -> String {
    match value {
        FieldValue::Ip4Addr(address) => address.to_string(),
        FieldValue::Ip6Addr(address) => address.to_string(),
        FieldValue::MacAddr(octets) => mac(*octets),
        FieldValue::String(text) => text.value.clone(),
        FieldValue::Duration(DurationValue::Millis { value, .. }) => value.to_string(),
        FieldValue::Vec(octets) | FieldValue::DataNumber(DataNumber::Vec(octets)) => {
            hex(octets, "")
        }
        // Numbers, some of which it gives names.
        other => {
            let mut octets = Vec::new();
            other.write_be_bytes(&mut octets).unwrap();
            number(&octets).to_string()
        }
    }
}
