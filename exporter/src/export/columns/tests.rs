use super::*;
use crate::export::layouts::fits;
use crate::record::{FlowEndReason, UnixTime};
use ebpfix_probes::abi::{FlowId, FlowMetrics};
use ipfix::{Decoder, DecoderLimits, Layout, Session, SessionOptions, Written};

const PROTOCOLS: [Protocol; 2] = [Protocol::Ipfix, Protocol::NetflowV9];

/// 2026-11-24 16:06:57.623456789 UTC.
const START_NS: i64 = 1_795_536_417_623_456_789;
/// Two and a half seconds later.
const END_NS: i64 = 1_795_536_420_123_456_789;
/// A whole second, an hour and a bit before.
const INIT_MS: u64 = 1_795_532_820_000;

/// A record of which no two numbers are alike.
fn filled(kind: RecordKind) -> Record {
    let mut id = FlowId {
        direction: u8::from(kind.egress),
        if_index: 0x0001_0203,
        vlan_id: 0x0abc,
        customer_vlan_id: 0x0def,
        sampling: 100,
        eth_protocol: 0x88cc,
        ..FlowId::default()
    };
    id.src_mac.0 = [2, 0, 0, 0, 0, 1];
    id.dst_mac.0 = [2, 0, 0, 0, 0, 2];
    match kind.family {
        Family::Ipv4 => {
            id.eth_protocol = 0x0800;
            id.src_ip.0[10..].copy_from_slice(&[0xff, 0xff, 10, 1, 2, 3]);
            id.dst_ip.0[10..].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 7]);
        }
        Family::Ipv6 => {
            id.eth_protocol = 0x86dd;
            id.src_ip.0 = *b"\x20\x01\x0d\xb8source-addr.";
            id.dst_ip.0 = *b"\x20\x01\x0d\xb8destination.";
        }
        Family::Layer2 => {}
    }
    if kind.family != Family::Layer2 {
        id.transport_protocol = match (kind.icmp, kind.family) {
            (true, Family::Ipv4) => 1,
            (true, _) => 58,
            (false, _) => 17,
        };
        (id.src_port, id.dst_port) = (0xc350, 0x0305);
    }
    let metrics = FlowMetrics {
        packets: 0x0708_090a,
        bytes: 0xf102_0304,
        flags: 0x001b,
        tos: 0xd9,
        min_ttl: 63,
        max_ttl: 64,
        ..FlowMetrics::default()
    };
    let mut record = Record::new(id, metrics, UnixTime::from_nanos(END_NS), 0);
    record.time_flow_start = UnixTime::from_nanos(START_NS);
    record.interface = "enp0s31f6.100".into();
    record.agent_ip = "192.0.2.200".parse().unwrap();
    record.end_reason = FlowEndReason::LackOfResources;
    record
}

/// What a field of this element has to hold in [`filled`], without leading zeros of numbers.
fn expected(element: Element, kind: RecordKind) -> Vec<u8> {
    let place = if kind.egress { [0, 1] } else { [1, 0] };
    let if_index = [1, 2, 3];
    let at = |here: u8| if here == 1 { if_index.to_vec() } else { vec![] };
    let protocol = match (kind.family, kind.icmp) {
        (Family::Ipv4, true) => 1,
        (_, true) => 58,
        _ => 17,
    };
    let process = std::process::id().to_be_bytes();
    match element {
        e::SOURCE_IPV4_ADDRESS => vec![10, 1, 2, 3],
        e::DESTINATION_IPV4_ADDRESS => vec![192, 0, 2, 7],
        e::SOURCE_IPV6_ADDRESS => b"\x20\x01\x0d\xb8source-addr.".to_vec(),
        e::DESTINATION_IPV6_ADDRESS => b"\x20\x01\x0d\xb8destination.".to_vec(),
        e::SOURCE_TRANSPORT_PORT => vec![0xc3, 0x50],
        e::DESTINATION_TRANSPORT_PORT | e::ICMP_TYPE_CODE_IPV4 | e::ICMP_TYPE_CODE_IPV6 => {
            vec![3, 5]
        }
        e::PROTOCOL_IDENTIFIER => vec![protocol],
        e::IP_VERSION => vec![if kind.family == Family::Ipv4 { 4 } else { 6 }],
        e::ICMP_TYPE_IPV4 | e::ICMP_TYPE_IPV6 => vec![3],
        e::ICMP_CODE_IPV4 | e::ICMP_CODE_IPV6 | e::FLOW_END_REASON => vec![5],
        e::OCTET_DELTA_COUNT => vec![0xf1, 2, 3, 4],
        e::PACKET_DELTA_COUNT => vec![7, 8, 9, 10],
        e::DELTA_FLOW_COUNT => vec![1],
        e::FLOW_START_SECONDS => vec![0x6b, 0x05, 0xb6, 0x21],
        e::FLOW_END_SECONDS => vec![0x6b, 0x05, 0xb6, 0x24],
        e::FLOW_START_MILLISECONDS => vec![0x01, 0xa2, 0x0e, 0x4f, 0x73, 0x57],
        e::FLOW_END_MILLISECONDS => vec![0x01, 0xa2, 0x0e, 0x4f, 0x7d, 0x1b],
        e::FLOW_START_MICROSECONDS => vec![0xee, 0xb0, 0x34, 0xa1, 0x9f, 0x9a, 0xd0, 0],
        e::FLOW_END_MICROSECONDS => vec![0xee, 0xb0, 0x34, 0xa4, 0x1f, 0x9a, 0xd0, 0],
        e::FLOW_START_NANOSECONDS => vec![0xee, 0xb0, 0x34, 0xa1, 0x9f, 0x9a, 0xdd, 0x38],
        e::FLOW_END_NANOSECONDS => vec![0xee, 0xb0, 0x34, 0xa4, 0x1f, 0x9a, 0xdd, 0x38],
        // 3,597,623 and 3,600,123.
        e::FLOW_START_SYS_UP_TIME => vec![0x36, 0xe5, 0x37],
        e::FLOW_END_SYS_UP_TIME => vec![0x36, 0xee, 0xfb],
        e::SYSTEM_INIT_TIME_MILLISECONDS => vec![0x01, 0xa2, 0x0e, 0x18, 0x8e, 0x20],
        e::FLOW_DURATION_MILLISECONDS => vec![0x09, 0xc4],
        e::FLOW_DURATION_MICROSECONDS => vec![0x26, 0x25, 0xa0],
        e::IP_CLASS_OF_SERVICE | e::POST_IP_CLASS_OF_SERVICE => vec![0xd9],
        e::IP_DIFF_SERV_CODE_POINT | e::POST_IP_DIFF_SERV_CODE_POINT => vec![54],
        e::IP_PRECEDENCE | e::POST_IP_PRECEDENCE => vec![6],
        e::TCP_CONTROL_BITS => vec![0x1b],
        e::MINIMUM_TTL => vec![63],
        e::MAXIMUM_TTL => vec![64],
        e::INGRESS_INTERFACE => at(place[0]),
        e::EGRESS_INTERFACE => at(place[1]),
        e::OBSERVATION_POINT_ID => if_index.to_vec(),
        e::INTERFACE_NAME => b"enp0s31f6.100".to_vec(),
        e::FLOW_DIRECTION => vec![u8::from(kind.egress)],
        e::SOURCE_MAC_ADDRESS | e::POST_SOURCE_MAC_ADDRESS => vec![2, 0, 0, 0, 0, 1],
        e::DESTINATION_MAC_ADDRESS | e::POST_DESTINATION_MAC_ADDRESS => vec![2, 0, 0, 0, 0, 2],
        e::VLAN_ID | e::POST_VLAN_ID | e::DOT1Q_VLAN_ID | e::POST_DOT1Q_VLAN_ID => vec![0xa, 0xbc],
        e::DOT1Q_CUSTOMER_VLAN_ID | e::POST_DOT1Q_CUSTOMER_VLAN_ID => vec![0xd, 0xef],
        e::ETHERNET_TYPE => match kind.family {
            Family::Ipv4 => vec![8, 0],
            Family::Ipv6 => vec![0x86, 0xdd],
            Family::Layer2 => vec![0x88, 0xcc],
        },
        e::EXPORTER_IPV4_ADDRESS => vec![192, 0, 2, 200],
        e::EXPORTER_IPV6_ADDRESS | e::PADDING_OCTETS => vec![],
        e::METERING_PROCESS_ID | e::EXPORTING_PROCESS_ID => process.to_vec(),
        e::SAMPLING_INTERVAL | e::SAMPLER_RANDOM_INTERVAL => vec![100],
        e::SAMPLING_ALGORITHM | e::SAMPLER_MODE => vec![2],
        e::SAMPLING_PROBABILITY => vec![0x3f, 0x84, 0x7a, 0xe1, 0x47, 0xae, 0x14, 0x7b],
        // Whatever it is, it is the flow's own: see the test of it.
        e::FLOW_ID => flow_id(&filled(kind)).to_be_bytes().to_vec(),
        element => panic!("{element} is not tested"),
    }
}

/// `value` as a field of `octets` octets.
fn field(element: Element, value: &[u8], octets: u16) -> Vec<u8> {
    if octets == VARIABLE_LENGTH {
        return value.to_vec();
    }
    let mut field = vec![0; octets.into()];
    if element.data_type() == AbstractType::String {
        field[..value.len()].copy_from_slice(value);
    } else {
        let zeros = value.iter().take_while(|octet| **octet == 0).count();
        let value = &value[zeros..];
        let start = field.len() - value.len();
        field[start..].copy_from_slice(value);
    }
    field
}

/// What the decoder makes of a record with these elements.
fn decoded(protocol: Protocol, list: &[Listed], kind: RecordKind) -> Vec<(Element, Vec<u8>)> {
    let layout = list
        .iter()
        .fold(Layout::builder(protocol, 256), |layout, listed| {
            listed.add(protocol, layout)
        })
        .build()
        .unwrap_or_else(|error| panic!("{list:?}: {error}"));
    let mut session = Session::new(SessionOptions {
        max_message: 9000,
        ..SessionOptions::udp(protocol, 1, INIT_MS)
    });
    session.register(&layout).unwrap();
    let mut buffer = Vec::new();
    let mut writer = session.begin(&mut buffer, INIT_MS + 3_700_000);
    let written = writer.write(&layout, &filled(kind)).unwrap();
    assert_eq!(written, Written::Done);
    let _ = writer.finish().unwrap();
    let mut decoder = Decoder::new(DecoderLimits::default());
    let message = decoder.decode(&(), &buffer).unwrap();
    assert_eq!(message.errors(), []);
    let record = message.records().next().unwrap();
    record
        .values()
        .map(|value| (*value.field().element().unwrap(), value.octets().to_vec()))
        .collect()
}

/// Every length that a list may give, and none.
fn ways_to_list(column: &'static Column) -> impl Iterator<Item = Listed> {
    column
        .lengths()
        .map(Some)
        .chain([None])
        .filter_map(move |octets| Listed::new(column, octets))
}

#[test]
fn every_element_arrives_right_at_every_length_in_both_protocols() {
    let mut fields = 0;
    for protocol in PROTOCOLS {
        for column in COLUMNS {
            let element = column.element;
            let kinds = RecordKind::ALL.into_iter();
            let kinds: Vec<_> = kinds
                .filter(|kind| column.applies_to(protocol, *kind))
                .collect();
            if column.is_carried_by(protocol) {
                let icmpv6_in_v9 = protocol == Protocol::NetflowV9;
                assert!(!kinds.is_empty() || icmpv6_in_v9, "{element}");
            }
            for kind in kinds {
                let value = expected(element, kind);
                for listed in ways_to_list(column) {
                    let octets = listed.octets(protocol);
                    let wanted = vec![(element, field(element, &value, octets))];
                    let found = decoded(protocol, &[listed], kind);
                    assert_eq!(found, wanted, "{protocol:?} {listed} {kind}");
                    fields += 1;
                }
            }
        }
    }
    assert!(fields > 5000, "{fields}");
}

#[test]
fn every_element_of_a_kind_fits_one_record() {
    for protocol in PROTOCOLS {
        for kind in RecordKind::ALL {
            let list: Vec<_> = COLUMNS
                .iter()
                .filter(|column| column.applies_to(protocol, kind))
                .map(|column| Listed::new(column, column.needs_length().then_some(3)).unwrap())
                .collect();
            let wanted: Vec<_> = list
                .iter()
                .map(|listed| {
                    let element = listed.column.element;
                    let value = expected(element, kind);
                    (element, field(element, &value, listed.octets(protocol)))
                })
                .collect();
            assert_eq!(
                decoded(protocol, &list, kind),
                wanted,
                "{protocol:?} {kind}"
            );
        }
    }
}

#[test]
fn the_table_has_each_element_once() {
    for (index, column) in COLUMNS.iter().enumerate() {
        let first = COLUMNS.iter().position(|other| other == column);
        assert_eq!(first, Some(index), "{column:?}");
        assert_eq!(Column::named(column.element.name()), Some(column));
        let known = ipfix::elements::by_name(column.element.name());
        assert_eq!(known, Some(&column.element));
    }
}

#[test]
fn ntp_timestamps_are_for_ipfix_alone() {
    for column in COLUMNS {
        let id = column.element.id();
        assert!(column.is_carried_by(Protocol::Ipfix));
        assert_eq!(
            column.is_carried_by(Protocol::NetflowV9),
            !(154..=157).contains(&id),
            "{column:?}"
        );
    }
}

#[test]
fn the_address_of_an_exporter_is_in_the_element_of_its_family() {
    let listed = |element| Listed::new(Column::of(element).unwrap(), None).unwrap();
    let both = [
        listed(e::EXPORTER_IPV4_ADDRESS),
        listed(e::EXPORTER_IPV6_ADDRESS),
    ];
    let found = decoded(Protocol::Ipfix, &both, RecordKind::ALL[0]);
    assert_eq!(found[0].1, [192, 0, 2, 200]);
    assert_eq!(found[1].1, [0; 16]);
}

#[test]
fn a_flow_has_one_id_and_another_flow_another() {
    let record = filled(RecordKind::ALL[0]);
    let mut later = record.clone();
    later.metrics.packets += 1;
    later.time_flow_start = record.time_flow_end;
    assert_eq!(flow_id(&later), flow_id(&record));
    for change in [
        |record: &mut Record| record.id.src_port += 1,
        |record: &mut Record| record.id.if_index += 1,
        |record: &mut Record| record.id.direction ^= 1,
        |record: &mut Record| record.id.dst_ip.0[15] ^= 1,
    ] {
        let mut other = record.clone();
        change(&mut other);
        assert_ne!(flow_id(&other), flow_id(&record));
    }
}

fn list(names: &[(&str, Option<u16>)]) -> Elements {
    let listed = |&(name, octets): &(&str, Option<u16>)| {
        Listed::new(Column::named(name).unwrap(), octets).unwrap()
    };
    Elements::new(names.iter().map(listed).collect()).unwrap()
}

#[test]
fn lists_are_not_empty_and_have_an_element_once() {
    let listed = |name, octets| Listed::new(Column::named(name).unwrap(), octets).unwrap();
    assert_eq!(Elements::new(vec![]), None);
    let twice = vec![
        listed("octetDeltaCount", None),
        listed("octetDeltaCount", Some(4)),
    ];
    assert_eq!(Elements::new(twice), None);
    let padding = vec![listed("paddingOctets", Some(1)); 2];
    assert!(Elements::new(padding).is_some());
    let octets = Column::named("octetDeltaCount").unwrap();
    for wrong in [0, 3, 9, VARIABLE_LENGTH] {
        assert_eq!(Listed::new(octets, Some(wrong)), None);
    }
    let padding = Column::named("paddingOctets").unwrap();
    assert_eq!(Listed::new(padding, None), None);
}

#[test]
fn the_default_profile_is_whole() {
    for (protocol, elements) in [(Protocol::Ipfix, 30), (Protocol::NetflowV9, 29)] {
        let profile = Elements::of_default_profile(protocol);
        assert_eq!(profile.list().len(), elements);
        assert_eq!(fits(protocol, &profile, 512), Ok(()));
        assert_eq!(profile.limits(), Limits::NONE);
        // Of IPv4 at ingress, of ICMP over IPv6 at egress, of layer 2 at ingress.
        for (kind, fields) in [(0, 24), (7, 25), (8, 14)] {
            let kind = RecordKind::ALL[kind];
            assert_eq!(profile.of_kind(protocol, kind).count(), fields, "{kind}");
        }
    }
}

#[test]
fn the_other_profiles_fit_and_are_of_the_table() {
    for (protocol, compact, standard) in [(Protocol::Ipfix, 14, 30), (Protocol::NetflowV9, 14, 29)]
    {
        for (profile, elements) in [
            (Profile::Standard, standard),
            (Profile::Compact, compact),
            (Profile::Full, standard + 6),
        ] {
            let list = Elements::of_profile(profile, protocol);
            assert_eq!(list.list().len(), elements, "{profile:?}");
            assert_eq!(fits(protocol, &list, 512), Ok(()), "{profile:?}");
            for listed in list.list() {
                assert!(
                    listed.column.is_carried_by(protocol),
                    "{profile:?} {listed:?}"
                );
            }
        }
    }
}

#[test]
fn a_record_above_a_limit_becomes_several_of_the_same_sum() {
    let limits = list(&[("octetDeltaCount", Some(4)), ("packetDeltaCount", Some(5))]).limits();
    assert_eq!(limits.octets, u64::from(u32::MAX));
    assert_eq!(limits.packets, 0xff_ffff_ffff);
    let record = |packets, octets| {
        let mut record = filled(RecordKind::ALL[0]);
        record.metrics.packets = packets;
        record.metrics.bytes = octets;
        record
    };
    let counts = |records: &[Record]| -> Vec<_> {
        let count = |record: &Record| (record.metrics.packets, record.metrics.bytes);
        records.iter().map(count).collect()
    };
    let max = u64::from(u32::MAX);
    let whole = vec![record(7, max), record(0, 0)];
    assert_eq!(limits.split(whole.clone()), whole);

    let split = limits.split(vec![record(1, 60), record(7, max + 1), record(2, 61)]);
    let half = 1 << 31;
    assert_eq!(counts(&split), [(1, 60), (4, half), (3, half), (2, 61)]);
    let mut parts = split[1..3].to_vec();
    for part in &mut parts {
        part.metrics = record(7, max + 1).metrics;
    }
    assert_eq!(
        parts,
        vec![record(7, max + 1); 2],
        "all but the counts stays"
    );

    for octets in [2 * max, 2 * max + 1, 10 * max + 7] {
        let split = limits.split(vec![record(100_000, octets)]);
        assert_eq!(split.len() as u64, octets.div_ceil(max));
        let sum = |of: fn(&Record) -> u64| split.iter().map(of).sum::<u64>();
        assert_eq!(sum(|record| record.metrics.bytes), octets);
        assert_eq!(sum(|record| record.metrics.packets), 100_000);
        assert!(split.iter().all(|record| record.metrics.bytes <= max));
    }
    let lower = limits.min(Limits {
        packets: 10,
        octets: u64::MAX,
    });
    assert_eq!(lower.octets, max);
    assert_eq!(
        counts(&lower.split(vec![record(25, 1001)])),
        [(9, 334), (8, 334), (8, 333)]
    );
}

#[test]
fn a_list_fits_to_the_octet() {
    use crate::export::layouts::Unfit;
    // Header 16, template set 4 + 4 + 4 * 3, data set 4 + 8 + 16 for the name + 200, padded to 4.
    let names = [
        ("octetDeltaCount", None),
        ("interfaceName", None),
        ("paddingOctets", Some(200)),
    ];
    let elements = list(&names);
    for (protocol, needed) in [(Protocol::Ipfix, 264), (Protocol::NetflowV9, 268)] {
        assert_eq!(fits(protocol, &elements, needed), Ok(()));
        let short = fits(protocol, &elements, needed - 1);
        let kind = RecordKind::ALL[0];
        let needed = needed.into();
        assert_eq!(short, Err(Unfit::TooLong { kind, needed }));
    }
    // And the longest record goes into such a message, as `fits` promised.
    let layout = elements
        .list()
        .iter()
        .fold(Layout::builder(Protocol::Ipfix, 256), |layout, listed| {
            listed.add(Protocol::Ipfix, layout)
        })
        .build()
        .unwrap();
    let mut record = filled(RecordKind::ALL[0]);
    record.interface = "fifteen-octets1".into();
    let mut session = Session::new(SessionOptions {
        max_message: 264,
        ..SessionOptions::udp(Protocol::Ipfix, 1, INIT_MS)
    });
    session.register(&layout).unwrap();
    let mut buffer = Vec::new();
    let mut writer = session.begin(&mut buffer, INIT_MS);
    assert_eq!(writer.write(&layout, &record), Ok(Written::Done));
    let _ = writer.finish().unwrap();
    assert_eq!(buffer.len(), 264);
}

#[test]
fn records_of_every_kind_need_a_field() {
    use crate::export::layouts::Unfit;
    let names = [("sourceIPv4Address", None), ("sourceIPv6Address", None)];
    assert_eq!(
        fits(Protocol::Ipfix, &list(&names), 512),
        Err(Unfit::Nothing(RecordKind::ALL[8]))
    );
}
