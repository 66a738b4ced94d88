//! Any layout and any records: what was written is what is read, and written again it is the same
//! octets.

use ipfix::{
    AbstractType, Decoder, DecoderLimits, Element, Layout, LayoutBuilder, NetflowV5Record,
    Protocol, Semantics, Session, SessionOptions, VARIABLE_LENGTH, WriteError, Written,
    elements as ie, v9_scope,
};
use proptest::collection::vec;
use proptest::prelude::*;

const NOW_MS: u64 = 1_795_536_000_250;
const INIT_MS: u64 = 1_795_000_000_000;

/// A value of any column.
#[derive(Clone, Debug)]
struct Cell {
    number: u64,
    octets: Vec<u8>,
    text: String,
}

type Row = Vec<Cell>;

/// How a column is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unsigned,
    Signed,
    Uptime,
    Timestamp,
    Boolean,
    Float32,
    Float64,
    Octets,
    Text,
    Variable,
    VariableText,
}

#[derive(Clone, Copy, Debug)]
struct Column {
    kind: Kind,
    element: Element,
    length: u16,
}

fn element(data_type: AbstractType, enterprise: Option<u32>) -> Element {
    let iana = match data_type {
        AbstractType::Unsigned16 => ie::SOURCE_TRANSPORT_PORT,
        AbstractType::Unsigned32 => ie::INGRESS_INTERFACE,
        AbstractType::Signed32 => ie::MIB_OBJECT_VALUE_INTEGER,
        AbstractType::Float64 => ie::SAMPLING_PROBABILITY,
        AbstractType::Boolean => ie::DATA_RECORDS_RELIABILITY,
        AbstractType::String => ie::INTERFACE_NAME,
        AbstractType::OctetArray => ie::IP_PAYLOAD_PACKET_SECTION,
        AbstractType::DateTimeMilliseconds => ie::FLOW_END_MILLISECONDS,
        AbstractType::DateTimeMicroseconds => ie::FLOW_END_MICROSECONDS,
        AbstractType::DateTimeNanoseconds => ie::FLOW_END_NANOSECONDS,
        AbstractType::Ipv6Address => ie::SOURCE_IPV6_ADDRESS,
        _ => ie::PACKET_DELTA_COUNT,
    };
    enterprise.map_or(iana, |pen| {
        Element::enterprise(pen, 77, "x", iana.data_type(), Semantics::Default)
    })
}

fn column(protocol: Protocol) -> impl Strategy<Value = Column> {
    let enterprise = match protocol {
        Protocol::Ipfix => prop_oneof![3 => Just(None), 1 => any::<u32>().prop_map(Some)].boxed(),
        _ => Just(None).boxed(),
    };
    let kinds = match protocol {
        Protocol::Ipfix => 0..13_u8,
        _ => 0..11,
    };
    (kinds, enterprise, 1..20_u16).prop_map(|(kind, enterprise, length)| {
        use AbstractType as T;
        let (kind, data_type, length) = match kind {
            0 => (Kind::Unsigned, T::Unsigned64, length.min(8)),
            1 => (Kind::Unsigned, T::Unsigned16, length.min(2)),
            2 => (Kind::Unsigned, T::DateTimeMilliseconds, 8),
            3 => (Kind::Signed, T::Signed32, length.min(4)),
            4 => (Kind::Uptime, T::Unsigned32, 4),
            5 => (Kind::Timestamp, T::DateTimeMicroseconds, 8),
            6 => (Kind::Timestamp, T::DateTimeNanoseconds, 8),
            7 => (Kind::Boolean, T::Boolean, 1),
            8 => (Kind::Float32, T::Float64, 4),
            9 => (Kind::Octets, T::Ipv6Address, 16),
            10 => (Kind::Text, T::String, length),
            11 => (Kind::Variable, T::OctetArray, VARIABLE_LENGTH),
            _ => (Kind::VariableText, T::String, VARIABLE_LENGTH),
        };
        let kind = match (kind, length) {
            (Kind::Float32, _) if enterprise.is_some() => Kind::Float64,
            other => other.0,
        };
        Column {
            kind,
            element: element(data_type, enterprise),
            length: if kind == Kind::Float64 { 8 } else { length },
        }
    })
}

fn cell() -> impl Strategy<Value = Cell> {
    let number = prop_oneof![any::<u64>(), 0..300_u64, Just(u64::MAX), Just(1 << 63)];
    // Mostly short; sometimes beyond the one octet of length.
    let octets = prop_oneof![8 => vec(any::<u8>(), 0..20), 1 => vec(any::<u8>(), 250..260)];
    (number, octets, "\\PC{0,12}").prop_map(|(number, octets, text)| Cell {
        number,
        octets,
        text,
    })
}

/// A column of what the cells hold.
fn typed(builder: LayoutBuilder<Row>, at: usize, column: Column) -> LayoutBuilder<Row> {
    let Column {
        kind,
        element,
        length,
    } = column;
    match kind {
        Kind::Unsigned => builder.unsigned(element, length, move |row: &Row, _| row[at].number),
        Kind::Signed => builder.signed(element, length, move |row, _| row[at].number.cast_signed()),
        Kind::Uptime => builder.uptime(element, move |row| row[at].number),
        Kind::Timestamp => builder.timestamp(element, move |row| row[at].number),
        Kind::Boolean => builder.boolean(element, move |row| row[at].number % 2 == 1),
        Kind::Float32 => builder.float32(element, move |row, _| float(row[at].number)),
        Kind::Float64 => builder.float64(element, move |row, _| float(row[at].number).into()),
        Kind::Octets => builder.octets::<_, 16>(element, move |row, _| address(row[at].number)),
        Kind::Text => builder.text(element, length, move |row| &row[at].text),
        Kind::Variable => builder.variable(element, move |row| &row[at].octets),
        Kind::VariableText => builder.variable_text(element, move |row| &row[at].text),
    }
}

fn float(number: u64) -> f32 {
    f32::from_bits(u32::try_from(number >> 32).unwrap() & !(0xff << 23) | 1 << 23)
}

fn address(number: u64) -> [u8; 16] {
    let mut address = [7; 16];
    address[8..].copy_from_slice(&number.to_be_bytes());
    address
}

/// A column of octets that are already in their wire form.
fn raw(builder: LayoutBuilder<Row>, at: usize, column: Column) -> LayoutBuilder<Row> {
    if column.length == VARIABLE_LENGTH {
        return builder.variable(column.element, move |row: &Row| &row[at].octets);
    }
    builder.raw(column.element, column.length, move |row, _, field| {
        field.copy_from_slice(&row[at].octets);
    })
}

/// What the field's octets must be, reckoned otherwise than by the crate.
fn wanted(column: Column, cell: &Cell) -> Vec<u8> {
    let length = usize::from(column.length);
    let number = u128::from(cell.number);
    match column.kind {
        Kind::Unsigned => {
            let most = (1_u128 << (8 * length)) - 1;
            number.min(most).to_be_bytes()[16 - length..].to_vec()
        }
        Kind::Signed => {
            let half = 1_i128 << (8 * length - 1);
            let value = i128::from(cell.number.cast_signed()).clamp(-half, half - 1);
            value.to_be_bytes()[16 - length..].to_vec()
        }
        Kind::Uptime => {
            let uptime = number.wrapping_sub(INIT_MS.into());
            uptime.to_be_bytes()[12..].to_vec()
        }
        Kind::Timestamp => {
            const NANOS: u128 = 1_000_000_000;
            let micro = column.element.data_type() == AbstractType::DateTimeMicroseconds;
            let ns = if micro { number / 1000 * 1000 } else { number };
            let mut ntp =
                ((ns / NANOS + 2_208_988_800) << 32) + ((ns % NANOS) << 32).div_ceil(NANOS);
            if micro {
                ntp = ntp.div_ceil(2048) * 2048;
            }
            ntp.to_be_bytes()[8..].to_vec()
        }
        Kind::Boolean => vec![if number % 2 == 1 { 1 } else { 2 }],
        Kind::Float32 => float(cell.number).to_be_bytes().to_vec(),
        Kind::Float64 => f64::from(float(cell.number)).to_be_bytes().to_vec(),
        Kind::Octets => address(cell.number).to_vec(),
        Kind::Text => {
            let mut cut = length.min(cell.text.len());
            while !cell.text.is_char_boundary(cut) {
                cut -= 1;
            }
            let mut octets = cell.text.as_bytes()[..cut].to_vec();
            octets.resize(length, 0);
            octets
        }
        Kind::Variable => cell.octets.clone(),
        Kind::VariableText => cell.text.as_bytes().to_vec(),
    }
}

#[derive(Clone, Debug)]
struct Case {
    protocol: Protocol,
    options: bool,
    scope: usize,
    columns: Vec<Column>,
    rows: Vec<Row>,
    max_message: u16,
    batches: bool,
}

fn case() -> impl Strategy<Value = Case> {
    let protocol = prop_oneof![Just(Protocol::Ipfix), Just(Protocol::NetflowV9)];
    let max_message = prop_oneof![60..400_u16, 60..2000_u16, Just(u16::MAX)];
    (protocol, any::<bool>(), any::<bool>(), max_message).prop_flat_map(
        |(protocol, options, batches, max_message)| {
            vec(column(protocol), 2..12).prop_flat_map(move |columns| {
                let scope = if options { 1..columns.len() } else { 0..1 };
                let rows = vec(vec(cell(), columns.len()), 0..40);
                (Just(columns), scope, rows).prop_map(move |(mut columns, scope, rows)| {
                    if protocol == Protocol::NetflowV9 {
                        // The scopes of version 9 are numbers of another registry.
                        for column in &mut columns[..scope] {
                            *column = Column {
                                kind: Kind::Unsigned,
                                element: v9_scope::INTERFACE,
                                length: column.length.min(8),
                            };
                        }
                    }
                    Case {
                        protocol,
                        options,
                        scope,
                        columns,
                        rows,
                        max_message,
                        batches,
                    }
                })
            })
        },
    )
}

impl Case {
    fn layout(
        &self,
        add: impl Fn(LayoutBuilder<Row>, usize, Column) -> LayoutBuilder<Row>,
    ) -> Layout<Row> {
        let mut builder = if self.options {
            Layout::options_builder(self.protocol, 300)
        } else {
            Layout::builder(self.protocol, 300)
        };
        for (at, &column) in self.columns.iter().enumerate() {
            if self.options && at == self.scope {
                builder = builder.end_of_scope();
            }
            builder = add(builder, at, column);
        }
        builder.build().unwrap()
    }

    /// All rows in as many messages as it takes; `None` if they cannot be written.
    fn messages(&self, layout: &Layout<Row>, rows: &[Row]) -> Option<Vec<Vec<u8>>> {
        let mut session = Session::new(SessionOptions {
            max_message: self.max_message,
            ..SessionOptions::udp(self.protocol, 5, INIT_MS)
        });
        session.register(layout).ok()?;
        let (mut messages, mut at) = (Vec::new(), 0);
        loop {
            // Octets before the message, and stale ones behind it, that must not show.
            let mut buffer = vec![0xa5; 3000];
            buffer.truncate(7);
            let mut writer = session.begin(&mut buffer, NOW_MS);
            let before = at;
            loop {
                let written = if self.batches {
                    writer.write_all(layout, &rows[at..])
                } else if let Some(row) = rows.get(at) {
                    writer
                        .write(layout, row)
                        .map(|written| usize::from(written == Written::Done))
                } else {
                    Ok(0)
                };
                match written {
                    Ok(0) => break,
                    Ok(written) => at += written,
                    // Beside the template it had no room either.
                    Err(WriteError::TooLong { .. }) => {
                        assert!(writer.finish().is_none());
                        assert_eq!(buffer, [0xa5; 7]);
                        return None;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            let Some(message) = writer.finish() else {
                assert_eq!(buffer, [0xa5; 7]);
                assert_eq!(at, rows.len());
                return Some(messages);
            };
            assert_eq!(
                usize::try_from(message.data_records()).unwrap(),
                at - before
            );
            assert!(message.length() <= usize::from(self.max_message));
            assert_eq!(buffer[..7], [0xa5; 7]);
            session.commit(message).unwrap();
            messages.push(buffer.split_off(7));
            assert!(messages.len() < 500, "no progress");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_what_is_read(case in case()) {
        let layout = case.layout(typed);
        let Some(messages) = case.messages(&layout, &case.rows) else {
            return Ok(());
        };
        let mut decoder = Decoder::new(DecoderLimits::default());
        let mut read = Vec::<Row>::new();
        for message in &messages {
            let decoded = decoder.decode(&1, message).unwrap();
            prop_assert!(decoded.errors().is_empty() && decoded.unknown().is_empty());
            prop_assert_eq!(decoded.length(), message.len());
            for record in decoded.records() {
                prop_assert_eq!(record.template().is_options(), case.options);
                prop_assert_eq!(record.template().scope_fields(), case.scope);
                for (field, column) in record.template().fields().iter().zip(&case.columns) {
                    prop_assert!(field.is(&column.element));
                    prop_assert_eq!(field.length(), column.length);
                }
                let cell = |octets: &[u8]| Cell { number: 0, octets: octets.into(), text: String::new() };
                read.push(record.values().map(|value| cell(value.octets())).collect());
            }
        }
        prop_assert_eq!(read.len(), case.rows.len());
        for (read, row) in read.iter().zip(&case.rows) {
            prop_assert_eq!(read.len(), case.columns.len());
            for ((read, cell), &column) in read.iter().zip(row).zip(&case.columns) {
                prop_assert_eq!(&read.octets, &wanted(column, cell), "{:?}", column);
            }
        }
        // The same octets again, by the record or by the batch.
        let layout = case.layout(raw);
        let again = Case { batches: !case.batches, ..case.clone() };
        prop_assert_eq!(again.messages(&layout, &read), Some(messages));
    }

    #[test]
    fn netflow_v5_records(
        numbers in vec(any::<[u64; 4]>(), 1..70),
        max_message in 0..2000_u16,
    ) {
        let flow = |n: &[u64; 4]| {
            let octets = n.map(u64::to_be_bytes);
            let half = |at: usize| u16::from_be_bytes([octets[3][at], octets[3][at + 1]]);
            NetflowV5Record {
                source: [octets[0][0], 1, 2, octets[0][1]].into(),
                destination: [octets[0][2], 1, 2, octets[0][3]].into(),
                next_hop: [octets[0][4], 1, 2, octets[0][5]].into(),
                ingress_interface: u32::from(half(0)) << (octets[0][6] % 3),
                egress_interface: u32::from(half(2)),
                packets: n[1] >> (octets[0][7] % 64),
                octets: n[2] >> (octets[0][6] % 64),
                first_ms: INIT_MS.saturating_add(n[1]),
                last_ms: n[2],
                source_port: half(4),
                destination_port: half(6),
                tcp_flags: octets[1][0],
                protocol: octets[1][1],
                tos: octets[1][2],
                source_as: u32::from(half(0)) + u32::from(half(2)),
                destination_as: u32::from(half(4)),
                source_prefix_length: octets[1][3],
                destination_prefix_length: octets[1][4],
            }
        };
        let layout = Layout::netflow_v5(move |n: &[u64; 4], _| flow(n));
        let mut session = Session::new(SessionOptions {
            max_message,
            ..SessionOptions::udp(Protocol::NetflowV5, 5, INIT_MS)
        });
        let registered = session.register(&layout);
        let mut decoder = Decoder::new(DecoderLimits::default());
        let mut at = 0;
        while at < numbers.len() {
            let mut buffer = vec![0xa5; 7];
            let mut writer = session.begin(&mut buffer, NOW_MS);
            let written = match writer.write_all(&layout, &numbers[at..]) {
                Ok(written) => written,
                Err(error) => {
                    prop_assert!(registered.is_err(), "{}", error);
                    prop_assert!(writer.finish().is_none());
                    prop_assert_eq!(buffer, [0xa5; 7]);
                    return Ok(());
                }
            };
            prop_assert!(registered.is_ok() && (1..=30).contains(&written));
            let message = writer.finish().unwrap();
            prop_assert_eq!(usize::try_from(message.sequence()).unwrap(), at);
            session.commit(message).unwrap();
            let message = &buffer[7..];
            prop_assert_eq!(message.len(), 24 + 48 * written);
            prop_assert_eq!(usize::from(message[3]), written);
            // The reading side has the same octets, field by field.
            let decoded = decoder.decode(&1, message).unwrap();
            prop_assert!(decoded.errors().is_empty() && decoded.missing() == 0);
            let read: Vec<u8> = decoded
                .records()
                .flat_map(|record| record.values().flat_map(|value| value.octets().to_vec()).collect::<Vec<_>>())
                .collect();
            prop_assert_eq!(&read, &message[24..]);
            for (row, n) in message[24..].chunks(48).zip(&numbers[at..]) {
                let flow = flow(n);
                // By the layout's own table of fields.
                let mut rest = row;
                for (element, length) in layout.fields() {
                    let (field, after) = rest.split_at(usize::from(*length));
                    rest = after;
                    let value = field.iter().fold(0_u64, |value, &octet| value << 8 | u64::from(octet));
                    let number = |address: std::net::Ipv4Addr| u64::from(u32::from(address));
                    let uptime = |ms: u64| ms.wrapping_sub(INIT_MS) % (1 << 32);
                    let autonomous = |number: u32| if number > 65_535 { 23_456 } else { number.into() };
                    let wanted = match *element {
                        ie::SOURCE_IPV4_ADDRESS => number(flow.source),
                        ie::DESTINATION_IPV4_ADDRESS => number(flow.destination),
                        ie::IP_NEXT_HOP_IPV4_ADDRESS => number(flow.next_hop),
                        ie::INGRESS_INTERFACE => u64::from(flow.ingress_interface.min(65_535)),
                        ie::EGRESS_INTERFACE => u64::from(flow.egress_interface),
                        ie::PACKET_DELTA_COUNT => flow.packets.min(0xffff_ffff),
                        ie::OCTET_DELTA_COUNT => flow.octets.min(0xffff_ffff),
                        ie::FLOW_START_SYS_UP_TIME => uptime(flow.first_ms),
                        ie::FLOW_END_SYS_UP_TIME => uptime(flow.last_ms),
                        ie::SOURCE_TRANSPORT_PORT => flow.source_port.into(),
                        ie::DESTINATION_TRANSPORT_PORT => flow.destination_port.into(),
                        ie::TCP_CONTROL_BITS => flow.tcp_flags.into(),
                        ie::PROTOCOL_IDENTIFIER => flow.protocol.into(),
                        ie::IP_CLASS_OF_SERVICE => flow.tos.into(),
                        ie::BGP_SOURCE_AS_NUMBER => autonomous(flow.source_as),
                        ie::BGP_DESTINATION_AS_NUMBER => autonomous(flow.destination_as),
                        ie::SOURCE_IPV4_PREFIX_LENGTH => flow.source_prefix_length.into(),
                        ie::DESTINATION_IPV4_PREFIX_LENGTH => flow.destination_prefix_length.into(),
                        _ => 0,
                    };
                    prop_assert_eq!(value, wanted, "{}", element);
                }
            }
            at += written;
        }
        prop_assert_eq!(usize::try_from(session.sequence()).unwrap(), numbers.len());
    }
}
