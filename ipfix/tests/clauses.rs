//! Small messages, each for what a clause of RFC 7011 or RFC 3954 asks. The clauses are listed in
//! `conformance/clauses.toml`; whole messages octet by octet are in `golden`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ipfix::{
    DecodeErrorKind, Decoded, Decoder, DecoderLimits, Layout, LayoutError, Protocol, Registry,
    Sequence, Session, SessionOptions, TemplateSchedule, Transport, WriteError, Written,
    elements as ie, v9_scope,
};

/// 2026-11-24 16:00:00 UTC.
const NOW_MS: u64 = 1_795_536_000_000;
const BOTH: [Protocol; 2] = [Protocol::Ipfix, Protocol::NetflowV9];

/// A message of IPFIX with these Sets, of domain 9 and with sequence number 0 and Export Time 1.
fn ipfix(sets: &[&[u8]]) -> Vec<u8> {
    let sets = sets.concat();
    let length = u16::try_from(16 + sets.len()).unwrap();
    let mut message = vec![0, 10];
    message.extend(length.to_be_bytes());
    message.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9]);
    message.extend(sets);
    message
}

/// A packet of `NetFlow` v9 with these `FlowSet`s, of Source ID 9 and with sequence number 0.
fn v9(sets: &[&[u8]]) -> Vec<u8> {
    let mut packet = vec![0, 9, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9];
    packet.extend(sets.concat());
    packet
}

/// A message of either protocol.
fn message(protocol: Protocol, sets: &[&[u8]]) -> Vec<u8> {
    if protocol == Protocol::Ipfix {
        ipfix(sets)
    } else {
        v9(sets)
    }
}

/// Octets of the header that change from message to message.
fn with_domain(mut message: Vec<u8>, domain: u8) -> Vec<u8> {
    let last = if message[1] == 10 { 15 } else { 19 };
    message[last] = domain;
    message
}

fn with_sequence(mut message: Vec<u8>, sequence: u32) -> Vec<u8> {
    let at = if message[1] == 10 { 8 } else { 12 };
    message[at..at + 4].copy_from_slice(&sequence.to_be_bytes());
    message
}

fn set(id: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + body.len()).unwrap();
    [&id.to_be_bytes()[..], &length.to_be_bytes(), body].concat()
}

/// Ids of Sets of templates and of Options Templates.
fn set_ids(protocol: Protocol) -> [u16; 2] {
    if protocol == Protocol::Ipfix {
        [2, 3]
    } else {
        [0, 1]
    }
}

/// A Set with one template of fields by number and length.
fn template(protocol: Protocol, id: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    let count = u16::try_from(fields.len()).unwrap();
    let mut body = [id.to_be_bytes(), count.to_be_bytes()].concat();
    for (element, length) in fields {
        body.extend(element.to_be_bytes());
        body.extend(length.to_be_bytes());
    }
    set(set_ids(protocol)[0], &body)
}

/// A Set with one Options Template, of which the first `scope` fields are scope.
fn options_template(protocol: Protocol, id: u16, scope: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    let count = u16::try_from(fields.len()).unwrap();
    let numbers = if protocol == Protocol::Ipfix {
        [id, count, scope]
    } else {
        [id, 4 * scope, 4 * (count - scope)]
    };
    let body: Vec<u8> = numbers
        .into_iter()
        .chain(
            fields
                .iter()
                .flat_map(|&(element, length)| [element, length]),
        )
        .flat_map(u16::to_be_bytes)
        .collect();
    set(set_ids(protocol)[1], &body)
}

/// protocolIdentifier in one octet: the shortest of templates, and one that every octet fits.
const PROTOCOL_IDENTIFIER: [(u16, u16); 1] = [(4, 1)];

fn decoder<K: std::hash::Hash + Eq + Clone>() -> Decoder<K> {
    Decoder::new(DecoderLimits::default())
}

/// Number and value of all fields that were read, in order.
fn values(decoded: &Decoded<'_>) -> Vec<(u16, u64)> {
    decoded
        .records()
        .flat_map(|record| record.values())
        .map(|value| (value.field().id(), value.unsigned().unwrap()))
        .collect()
}

/// Ids and contents of the Sets of a message, found by their lengths alone.
fn sets_of(message: &[u8]) -> Vec<(u16, &[u8])> {
    let mut rest = &message[if message[1] == 10 { 16 } else { 20 }..];
    let mut sets = Vec::new();
    while let [a, b, c, d, ..] = *rest {
        let (set, after) = rest.split_at(u16::from_be_bytes([c, d]).into());
        sets.push((u16::from_be_bytes([a, b]), &set[4..]));
        rest = after;
    }
    sets
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

fn counter(protocol: Protocol, id: u16) -> Layout<u64> {
    Layout::builder(protocol, id)
        .unsigned(ie::PACKET_DELTA_COUNT, 4, |value: &u64, _| *value)
        .build()
        .unwrap()
}

fn interval(protocol: Protocol, id: u16) -> Layout<u64> {
    let builder = Layout::options_builder(protocol, id);
    let scope = if protocol == Protocol::Ipfix {
        ie::OBSERVATION_DOMAIN_ID
    } else {
        v9_scope::SYSTEM
    };
    builder
        .unsigned(scope, 4, |_, _| 1)
        .end_of_scope()
        .unsigned(ie::SAMPLING_INTERVAL, 4, |value: &u64, _| *value)
        .build()
        .unwrap()
}

fn session(protocol: Protocol) -> Session {
    Session::new(SessionOptions::udp(protocol, 7, NOW_MS - 1000))
}

/// Writes and commits a message of these records.
fn send(session: &mut Session, now_ms: u64, layout: &Layout<u64>, records: &[u64]) -> Vec<u8> {
    let mut buffer = Vec::new();
    let mut writer = session.begin(&mut buffer, now_ms);
    assert_eq!(writer.write_all(layout, records), Ok(records.len()));
    let message = writer.finish().unwrap();
    session.commit(message).unwrap();
    buffer
}

/// Shows 7011/3/sets, 3954/4/flowsets, 3954/9/several.
#[test]
fn sets_come_in_any_order_and_number() {
    let mut sessions = decoder();
    let empty = ipfix(&[]);
    let decoded = sessions.decode(&0, &empty).unwrap();
    assert_eq!((decoded.length(), decoded.records().count()), (16, 0));
    for protocol in BOTH {
        let message = message(
            protocol,
            &[
                &template(protocol, 256, &PROTOCOL_IDENTIFIER),
                &set(256, &[6, 17, 1, 2]),
                &options_template(protocol, 300, 1, &[(1, 4), (34, 4)]),
                &template(protocol, 257, &[(7, 2), (11, 2)]),
                &set(257, &[0, 80, 1, 187]),
                &set(300, &[0, 0, 0, 7, 0, 0, 0, 100]),
                &template(protocol, 258, &PROTOCOL_IDENTIFIER),
                &set(256, &[3, 4, 5, 6]),
            ],
        );
        let decoded = sessions.decode(&1, &message).unwrap();
        assert_eq!(decoded.templates(), 4);
        let ids: Vec<u16> = decoded
            .data_sets()
            .iter()
            .map(|set| set.template().id())
            .collect();
        assert_eq!(ids, [256, 257, 300, 256]);
        let numbers: Vec<u64> = values(&decoded)
            .into_iter()
            .map(|(_, value)| value)
            .collect();
        assert_eq!(numbers, [6, 17, 1, 2, 80, 443, 7, 100, 3, 4, 5, 6]);
    }
}

/// Shows 7011/3.1/byte-order, 7011/6/byte-order, 3954/4/byte-order, 7011/3.1/domain,
/// 3954/5.1/source-id.
#[test]
fn numbers_are_big_endian() {
    for protocol in BOTH {
        let layout = Layout::builder(protocol, 0x0102)
            .unsigned(ie::OCTET_DELTA_COUNT, 8, |value: &u64, _| *value)
            .build()
            .unwrap();
        let mut session = Session::new(SessionOptions {
            first_sequence: 0x1112_1314,
            ..SessionOptions::udp(protocol, 0x2122_2324, NOW_MS)
        });
        session.register(&layout).unwrap();
        let message = send(&mut session, NOW_MS, &layout, &[0x3132_3334_3536_3738]);
        let hex = hex(&message);
        for (number, times) in [
            ("11121314", 1),
            ("21222324", 1),
            // As Template ID and as Set ID.
            ("0102", 2),
            ("3132333435363738", 1),
        ] {
            assert_eq!(
                hex.matches(number).count(),
                times,
                "{protocol}: {number} in {hex}"
            );
        }
        let mut sessions = decoder();
        let decoded = sessions.decode(&(), &message).unwrap();
        assert_eq!(decoded.header().sequence, 0x1112_1314);
        assert_eq!(decoded.header().observation_domain, 0x2122_2324);
        assert_eq!(values(&decoded), [(1, 0x3132_3334_3536_3738)]);
    }
}

/// Shows 7011/3.1/export-time, 7011/5.1/encoding, 7011/5.2/export-time-modulo.
#[test]
fn export_time_is_in_seconds_modulo_2_to_the_32() {
    const ERA_MS: u64 = 1000 << 32;
    let layout = Layout::builder(Protocol::Ipfix, 256)
        .unsigned(ie::FLOW_END_SECONDS, 4, |ms: &u64, _| ms / 1000)
        .build()
        .unwrap();
    let mut session = session(Protocol::Ipfix);
    session.register(&layout).unwrap();
    for (now_ms, seconds) in [
        (0, 0),
        (999, 0),
        (NOW_MS + 999, 1_795_536_000_u32),
        (ERA_MS - 1, u32::MAX),
        (ERA_MS, 0),
        (ERA_MS + NOW_MS, 1_795_536_000),
    ] {
        let message = send(&mut session, now_ms, &layout, &[now_ms]);
        assert_eq!(message[4..8], seconds.to_be_bytes());
        if now_ms < ERA_MS {
            // The same encoding as that of the type dateTimeSeconds.
            assert_eq!(message[4..8], message[message.len() - 4..]);
        }
    }
}

/// Shows 7011/3.1/sequence, 3954/5.1/sequence.
#[test]
fn sequence_numbers_count_data_records_or_packets() {
    for protocol in BOTH {
        let (flows, options) = (counter(protocol, 256), interval(protocol, 300));
        let mut session = session(protocol);
        session.register(&flows).unwrap();
        session.register(&options).unwrap();
        let mut sequences = Vec::new();
        let mut note = |message: &[u8]| {
            let at = if protocol == Protocol::Ipfix { 8 } else { 12 };
            sequences.push(u32::from_be_bytes(message[at..at + 4].try_into().unwrap()));
        };
        note(&send(&mut session, NOW_MS, &flows, &[]));
        note(&send(&mut session, NOW_MS, &flows, &[1, 2, 3]));
        // Options data count as data.
        note(&send(&mut session, NOW_MS, &options, &[1, 2]));
        session.resend_templates();
        note(&send(&mut session, NOW_MS, &flows, &[]));
        note(&send(&mut session, NOW_MS, &flows, &[1]));
        note(&send(&mut session, NOW_MS, &flows, &[1]));
        if protocol == Protocol::Ipfix {
            assert_eq!(sequences, [0, 0, 3, 5, 5, 6]);
        } else {
            assert_eq!(sequences, [0, 1, 2, 3, 4, 5]);
        }
    }
}

/// Shows 7011/3.1/domain-streams, 7011/8/domains, 7011/8/this-session, 3954/5.1/streams,
/// 3954/7/domains, 3954/5.2/template-id, 7011/3.4.1/template-id.
#[test]
fn streams_are_told_apart_by_session_and_domain() {
    for protocol in BOTH {
        let templates = [
            ("a", 1, [(4, 1)]),
            ("a", 2, [(5, 1)]),
            ("b", 1, [(60, 1)]),
            ("b", 2, [(61, 1)]),
        ];
        let mut sessions = decoder();
        for (session, domain, fields) in &templates {
            let message = message(protocol, &[&template(protocol, 256, fields)]);
            let message = with_domain(message, *domain);
            assert_eq!(sessions.decode(session, &message).unwrap().templates(), 1);
        }
        for (n, (session, domain, fields)) in (0_u32..).zip(&templates) {
            // Sequence numbers of their own, too: the fourth stream has come to 40.
            let data = with_domain(message(protocol, &[&set(256, &[3; 4])]), *domain);
            let data = with_sequence(data, 10 * n + 1);
            let decoded = sessions.decode(session, &data).unwrap();
            let field = fields[0].0;
            assert_eq!(values(&decoded), [(field, 3); 4]);
            let missing = u64::from(10 * n) + u64::from(protocol == Protocol::Ipfix);
            assert_eq!(decoded.missing(), missing);
        }
        let data = with_domain(message(protocol, &[&set(256, &[3; 4])]), 3);
        assert_eq!(sessions.decode(&"a", &data).unwrap().unknown().len(), 1);
    }
}

/// Shows 7011/3.2/enterprise-number, 7011/3.2/no-enterprise-number, 7011/9/unknown-elements.
#[test]
fn elements_that_are_not_known_are_noted() {
    let fields = [
        0x80, 99, 0, 2, 0, 0, 0, 77, // of enterprise 77
        0x7f, 0xff, 0, 1, // of IANA, unassigned
        0x80, 2, 0, 1, 0, 0, 0x72, 0x79, // reverse packetDeltaCount
    ];
    let message = ipfix(&[
        &set(2, &[&[1, 0, 0, 3][..], &fields].concat()),
        &set(256, &[0xab, 0xcd, 5, 6]),
    ]);
    let mut sessions = decoder();
    let decoded = sessions.decode(&(), &message).unwrap();
    let record = decoded.records().next().unwrap();
    let noted: Vec<_> = record
        .values()
        .map(|value| (value.field().registry(), value.field().id(), value.octets()))
        .collect();
    assert_eq!(
        noted,
        [
            (Registry::Enterprise(77), 99, &[0xab, 0xcd][..]),
            (Registry::Iana, 0x7fff, &[5]),
            (Registry::Enterprise(29305), 2, &[6]),
        ]
    );
    let known: Vec<bool> = record
        .values()
        .map(|value| value.field().element().is_some())
        .collect();
    assert_eq!(known, [false, false, true]);
    // Version 9 has no such bit: 0x8063 is a number like others.
    let packet = v9(&[
        &set(0, &[1, 0, 0, 1, 0x80, 99, 0, 4]),
        &set(256, &[1, 2, 3, 4]),
    ]);
    let decoded = sessions.decode(&(), &packet).unwrap();
    assert_eq!(values(&decoded), [(0x8063, 0x0102_0304)]);
}

/// Shows 7011/3.3.1/not-mixed, 7011/3.3.2/length, 7011/3.3.2/reserved, 7011/8.4/no-withdrawals, 7011/8/together,
/// 3954/5.2/field-count.
#[test]
fn what_is_written_over_udp_has_sets_of_one_kind_and_no_withdrawals() {
    for protocol in BOTH {
        let layouts = [256, 257, 258].map(|id| counter(protocol, id));
        let options = [300, 301].map(|id| interval(protocol, id));
        let mut session = session(protocol);
        for layout in &layouts {
            session.register(layout).unwrap();
        }
        for layout in &options {
            session.register(layout).unwrap();
        }
        for round in 0..30 {
            let mut buffer = Vec::new();
            let mut writer = session.begin(&mut buffer, NOW_MS + round * 10_000);
            for value in 0..9 {
                let layout = if value % 2 == 0 {
                    &layouts[1]
                } else {
                    &options[0]
                };
                assert_eq!(writer.write(layout, &value), Ok(Written::Done));
                assert_eq!(writer.write(&layouts[2], &value), Ok(Written::Done));
            }
            let message = writer.finish().unwrap();
            // All templates that are due go together.
            assert!(
                matches!(message.templates(), 0 | 5),
                "{}",
                message.templates()
            );
            let (mut templates, mut records) = (0, 0);
            for (id, body) in sets_of(&buffer) {
                let options = id == set_ids(protocol)[1];
                if id == set_ids(protocol)[0] || options {
                    let header = if options { 6 } else { 4 };
                    let length = if options { header + 8 } else { header + 4 };
                    for record in body.chunks(length).filter(|record| record.len() == length) {
                        let template_id = u16::from_be_bytes([record[0], record[1]]);
                        assert_eq!(template_id >= 300, options);
                        assert_ne!(record[2..4], [0, 0], "a withdrawal");
                        templates += 1;
                    }
                } else {
                    assert!([257, 258, 300].contains(&id));
                    let length = if id == 300 { 8 } else { 4 };
                    assert_eq!(body.len() % length, 0);
                    records += body.len() / length;
                }
            }
            assert_eq!((templates, records), (message.templates(), 18));
            session.commit(message).unwrap();
        }
    }
}

/// Shows 7011/3.3.2/reserved, 7011/3.3.2/length, 3954/5.2/length, 3954/6.1/length.
#[test]
fn what_is_not_understood_is_passed_over_by_its_length() {
    for (protocol, reserved) in [
        (Protocol::Ipfix, [0, 1, 4, 255]),
        (Protocol::NetflowV9, [2, 3, 4, 255]),
    ] {
        for id in reserved {
            let message = message(
                protocol,
                &[
                    &set(id, &[0xff; 8]),
                    &template(protocol, 256, &PROTOCOL_IDENTIFIER),
                    &set(999, &[1, 2, 3, 4]),
                    &set(256, &[6, 17, 1, 2]),
                ],
            );
            let mut sessions = decoder();
            let decoded = sessions.decode(&(), &message).unwrap();
            assert_eq!(values(&decoded), [(4, 6), (4, 17), (4, 1), (4, 2)]);
            assert_eq!(decoded.errors()[0].kind, DecodeErrorKind::SetId(id));
            assert_eq!(decoded.unknown()[0].template_id, 999);
        }
    }
}

/// Shows 7011/3.4.1/no-assumption, 7011/3.4.2.2/no-assumption, 7011/3.4.1/template-id,
/// 3954/5.2/template-id, 3954/6.1/template-id.
#[test]
fn template_ids_have_no_meaning() {
    for protocol in BOTH {
        let mut sessions = decoder();
        // In any order, and a number of either kind that was one of the other kind before.
        for (turn, id) in [65_535, 256, 40_000, 257, 300].into_iter().enumerate() {
            let fields = [(1, 4), (34, 4)];
            let as_options = options_template(protocol, id, 1, &fields);
            let as_flows = template(protocol, id, &fields);
            let data = set(id, &[0, 0, 0, 1, 0, 0, 0, 2]);
            let both = [(&as_options, true), (&as_flows, false)];
            for turn in [turn, turn + 1] {
                let (template, options) = both[turn % 2];
                let message = message(protocol, &[template, &data]);
                let decoded = sessions.decode(&(), &message).unwrap();
                let record = decoded.records().next().unwrap();
                assert_eq!(record.template().is_options(), options);
                assert_eq!(values(&decoded), [(1, 1), (34, 2)]);
            }
        }
        // Both kinds share the numbers when they are written, and none is below 256.
        let mut session = session(protocol);
        session.register(&counter(protocol, 300)).unwrap();
        assert!(session.register(&interval(protocol, 300)).is_err());
        let low = Layout::<u64>::builder(protocol, 255)
            .unsigned(ie::PACKET_DELTA_COUNT, 4, |value, _| *value)
            .build();
        assert_eq!(low.unwrap_err(), LayoutError::TemplateId(255));
        for set in [
            template(protocol, 255, &PROTOCOL_IDENTIFIER),
            options_template(protocol, 255, 1, &[(1, 4), (34, 4)]),
        ] {
            let message = message(protocol, &[&set]);
            let decoded = sessions.decode(&(), &message).unwrap();
            assert_eq!(decoded.errors()[0].kind, DecodeErrorKind::TemplateId(255));
        }
    }
}

/// Shows 7011/3.4.2.1/scopes, 7011/3.4.2.2/scope-first.
#[test]
fn any_element_can_be_a_scope() {
    let mut sessions = decoder();
    for (element, length) in [
        (ie::OBSERVATION_DOMAIN_ID, 4),
        (ie::EXPORTING_PROCESS_ID, 4),
        (ie::METERING_PROCESS_ID, 4),
        (ie::TEMPLATE_ID, 2),
        (ie::LINE_CARD_ID, 4),
        (ie::EXPORTER_IPV4_ADDRESS, 4),
        (ie::EXPORTER_IPV6_ADDRESS, 16),
        (ie::INGRESS_INTERFACE, 4),
    ] {
        let message = ipfix(&[
            &options_template(Protocol::Ipfix, 300, 1, &[(element.id(), length), (34, 4)]),
            &set(300, &vec![1; usize::from(length) + 4]),
        ]);
        let decoded = sessions.decode(&(), &message).unwrap();
        let record = decoded.records().next().unwrap();
        assert_eq!(record.template().scope_fields(), 1);
        let scope = record.template().fields()[0];
        assert_eq!(scope.element(), Some(&element));
        assert!(record.value(&element).is_some());
    }
}

/// Shows 7011/3.4.2.1/order, 7011/8/repeated-order, 3954/6.1/scope-first.
#[test]
fn fields_stay_in_the_order_of_the_layout() {
    for protocol in BOTH {
        let (first, second) = if protocol == Protocol::Ipfix {
            (ie::SELECTOR_ID, ie::METERING_PROCESS_ID)
        } else {
            (v9_scope::LINE_CARD, v9_scope::INTERFACE)
        };
        for scopes in [[first, second], [second, first]] {
            let layout = Layout::options_builder(protocol, 300)
                .unsigned(scopes[0], 4, |(): &(), _| 1)
                .unsigned(scopes[1], 4, |(), _| 2)
                .end_of_scope()
                .unsigned(ie::HASH_SELECTED_RANGE_MIN, 8, |(), _| 3)
                .unsigned(ie::HASH_SELECTED_RANGE_MIN, 8, |(), _| 4)
                .build()
                .unwrap();
            let mut session = session(protocol);
            session.register(&layout).unwrap();
            let mut buffer = Vec::new();
            let mut writer = session.begin(&mut buffer, NOW_MS);
            assert_eq!(writer.write(&layout, &()), Ok(Written::Done));
            assert!(writer.finish().is_some());
            let mut sessions = decoder();
            let decoded = sessions.decode(&(), &buffer).unwrap();
            let hash = ie::HASH_SELECTED_RANGE_MIN.id();
            assert_eq!(
                values(&decoded),
                [
                    (scopes[0].id(), 1),
                    (scopes[1].id(), 2),
                    (hash, 3),
                    (hash, 4)
                ]
            );
            let record = decoded.records().next().unwrap();
            assert_eq!(record.template().scope_fields(), 2);
        }
    }
}

/// Shows 7011/3.4.2.2/scope-count.
#[test]
fn options_without_a_scope_are_neither_written_nor_read() {
    let layout = Layout::<u64>::options_builder(Protocol::Ipfix, 300)
        .unsigned(ie::SAMPLING_INTERVAL, 4, |value, _| *value)
        .build();
    assert_eq!(layout.unwrap_err(), LayoutError::Scope);
    let message = ipfix(&[&options_template(Protocol::Ipfix, 300, 0, &[(34, 4)])]);
    let mut sessions = decoder();
    let decoded = sessions.decode(&(), &message).unwrap();
    assert_eq!(decoded.errors()[0].kind, DecodeErrorKind::Scope);
    assert_eq!(decoded.templates(), 0);
}

/// Shows 7011/4.2/times, 7011/8/repeated.
#[test]
fn fields_of_one_element_are_all_read() {
    let time = ie::OBSERVATION_TIME_MILLISECONDS.id();
    let message = ipfix(&[
        &options_template(
            Protocol::Ipfix,
            300,
            1,
            &[(149, 4), (time, 8), (164, 1), (time, 8)],
        ),
        &set(
            300,
            &[
                0, 0, 0, 7, //
                0, 0, 0, 0, 0, 0, 0, 9, // the later of the two first
                1, //
                0, 0, 0, 0, 0, 0, 0, 5,
            ],
        ),
    ]);
    let mut sessions = decoder();
    let decoded = sessions.decode(&(), &message).unwrap();
    assert_eq!(values(&decoded), [(149, 7), (time, 9), (164, 1), (time, 5)]);
    let record = decoded.records().next().unwrap();
    let times = record
        .values()
        .filter(|value| value.field().is(&ie::OBSERVATION_TIME_MILLISECONDS))
        .map(|value| value.unix_ms().unwrap());
    let times: Vec<u64> = times.collect();
    assert_eq!(
        (times.iter().min(), times.iter().max()),
        (Some(&5), Some(&9))
    );
}

/// Shows 7011/6.1.5/undefined.
#[test]
fn booleans_are_1_or_2() {
    let mut sessions = decoder();
    let message = ipfix(&[
        &template(Protocol::Ipfix, 256, &[(276, 1)]),
        &set(256, &[0, 1, 2, 3, 0xff]),
    ]);
    let decoded = sessions.decode(&(), &message).unwrap();
    let read: Vec<_> = decoded
        .records()
        .map(|record| record.values().next().unwrap().boolean())
        .collect();
    assert_eq!(read, [None, Some(true), Some(false), None, None]);
}

/// Shows 7011/6.1.6/ill-formed-read, 7011/6.1.6/utf-8.
#[test]
fn strings_are_utf_8() {
    let mut sessions = decoder();
    let text = |octets: &[u8]| {
        let mut body = vec![u8::try_from(octets.len()).unwrap()];
        body.extend(octets);
        ipfix(&[
            &template(Protocol::Ipfix, 256, &[(82, 0xffff)]),
            &set(256, &body),
        ])
    };
    let mut read = |octets: &[u8]| {
        let message = text(octets);
        let decoded = sessions.decode(&(), &message).unwrap();
        let record = decoded.records().next().unwrap();
        let value = record.values().next().unwrap();
        assert_eq!(value.octets(), octets);
        value.text().map(str::to_owned)
    };
    assert_eq!(read(b"eth0").as_deref(), Some("eth0"));
    assert_eq!(read("β\u{1f310}".as_bytes()).as_deref(), Some("β\u{1f310}"));
    // A lone continuation, an overlong slash, a surrogate, a character cut off.
    for ill in [&b"a\x80"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf0\x9f\x8c"] {
        assert_eq!(read(ill), None);
    }
    // What is written is cut between characters, whatever the width.
    for width in 1..=8 {
        let layout = Layout::builder(Protocol::Ipfix, 256)
            .text(ie::INTERFACE_NAME, width, |(): &()| "β\u{1f310}!")
            .build()
            .unwrap();
        let mut session = session(Protocol::Ipfix);
        session.register(&layout).unwrap();
        let mut buffer = Vec::new();
        let mut writer = session.begin(&mut buffer, NOW_MS);
        assert_eq!(writer.write(&layout, &()), Ok(Written::Done));
        assert!(writer.finish().is_some());
        let decoded = sessions.decode(&(), &buffer).unwrap();
        let record = decoded.records().next().unwrap();
        let whole = match width {
            1 => "",
            2..=5 => "β",
            6 => "β\u{1f310}",
            _ => "β\u{1f310}!",
        };
        assert_eq!(record.values().next().unwrap().text(), Some(whole));
    }
}

/// Shows 7011/6.2/others.
#[test]
fn nothing_but_numbers_is_reduced() {
    let start = || Layout::<()>::builder(Protocol::Ipfix, 256);
    for (element, natural) in [
        (ie::SOURCE_IPV4_ADDRESS, 4),
        (ie::SOURCE_IPV6_ADDRESS, 16),
        (ie::SOURCE_MAC_ADDRESS, 6),
        (ie::FLOW_START_SECONDS, 4),
        (ie::FLOW_START_MILLISECONDS, 8),
        (ie::FLOW_START_MICROSECONDS, 8),
        (ie::FLOW_START_NANOSECONDS, 8),
        (ie::DATA_RECORDS_RELIABILITY, 1),
    ] {
        for length in 0..20 {
            let built = start().raw(element, length, |(), _, _| {}).build();
            assert_eq!(built.is_ok(), length == natural, "{element} in {length}");
        }
    }
    // A float64 in four octets only.
    for length in 0..20 {
        let built = start()
            .raw(ie::SAMPLING_PROBABILITY, length, |(), _, _| {})
            .build();
        assert_eq!(built.is_ok(), length == 4 || length == 8);
    }
    // No number grows.
    let built = start()
        .raw(ie::PROTOCOL_IDENTIFIER, 2, |(), _, _| {})
        .build();
    assert!(built.is_err());
}

/// Shows 7011/7/mechanism, 7011/7/long-any, 7011/7/long, 7011/7/short.
#[test]
fn lengths_of_one_and_of_three_octets() {
    let name = template(Protocol::Ipfix, 256, &[(82, 0xffff)]);
    let message = ipfix(&[
        &name,
        &set(
            256,
            &[
                2, b'a', b'b', //
                255, 0, 2, b'c', b'd', // could be told in one octet
                255, 0, 0, //
                0,
            ],
        ),
    ]);
    let mut sessions = decoder();
    let decoded = sessions.decode(&(), &message).unwrap();
    let read: Vec<_> = decoded
        .records()
        .map(|record| record.values().next().unwrap().octets())
        .collect();
    assert_eq!(read, [&b"ab"[..], b"cd", b"", b""]);
    // Of an enterprise, too; and the longest that a message holds.
    let mut long = vec![255, 0xff, 0];
    long.resize(3 + 0xff00, 1);
    let message = ipfix(&[
        &set(2, &[1, 0, 0, 1, 0x80, 7, 0xff, 0xff, 0, 0, 0, 77]),
        &set(256, &long),
    ]);
    let decoded = sessions.decode(&(), &message).unwrap();
    let record = decoded.records().next().unwrap();
    assert_eq!(record.values().next().unwrap().octets().len(), 0xff00);
}

/// Shows 7011/7/mechanism, 7011/10.3.3/limit.
#[test]
fn a_record_too_long_for_any_message() {
    let layout = Layout::builder(Protocol::Ipfix, 999)
        .variable(ie::INTERFACE_NAME, |name: &String| name.as_bytes())
        .build()
        .unwrap();
    assert_eq!(layout.record_length(), None);
    assert_eq!(layout.min_record_length(), 1);
    let mut session = session(Protocol::Ipfix);
    session.register(&layout).unwrap();
    let too_long = "c".repeat(70_000);
    let mut buffer = Vec::new();
    // With the template in the message it could still be that.
    let mut writer = session.begin(&mut buffer, NOW_MS);
    assert_eq!(writer.write(&layout, &"b".repeat(255)), Ok(Written::Done));
    assert_eq!(writer.write(&layout, &too_long), Ok(Written::Full));
    let message = writer.finish().unwrap();
    session.commit(message).unwrap();
    let mut writer = session.begin(&mut buffer, NOW_MS);
    assert_eq!(
        writer.write(&layout, &too_long),
        Err(WriteError::TooLong {
            template_id: 999,
            length: 70_003,
            needed: 70_023,
            max_message: 1400
        })
    );
}

/// Shows 7011/8/store, 7011/8/same-message, 7011/3.4.3/template-needed, 7011/9.3/no-template,
/// 3954/5.3/template-needed, 3954/7/store, 3954/9/same-packet.
#[test]
fn templates_are_kept_for_later_messages() {
    for protocol in BOTH {
        let mut sessions = decoder();
        let data = message(
            protocol,
            &[&set(256, &[6, 17, 1, 2]), &set(257, &[1, 2, 3, 4])],
        );
        let of = |id| message(protocol, &[&template(protocol, id, &PROTOCOL_IDENTIFIER)]);
        // Without their template they are no mistake, and nothing is read of them.
        let decoded = sessions.decode(&0, &data).unwrap();
        assert_eq!((decoded.errors().len(), decoded.unknown().len()), (0, 2));
        assert_eq!(decoded.records().count(), 0);
        let _ = sessions.decode(&0, &of(256)).unwrap();
        for other in 300..400 {
            let _ = sessions.decode(&0, &of(other)).unwrap();
            let decoded = sessions.decode(&0, &data).unwrap();
            assert_eq!(decoded.records().count(), 4);
            // What is kept of one Set is of use beside another that is not known yet.
            assert_eq!(decoded.unknown()[0].template_id, 257);
        }
        let _ = sessions.decode(&0, &of(257)).unwrap();
        assert_eq!(sessions.decode(&0, &data).unwrap().records().count(), 8);
    }
}

/// Shows 7011/8/other-sessions, 7011/8/this-session, 7011/8.1/session-end.
#[test]
fn a_session_that_ended_is_forgotten() {
    let mut sessions = decoder();
    let old = ipfix(&[&template(Protocol::Ipfix, 256, &[(4, 1)])]);
    let new = ipfix(&[&template(Protocol::Ipfix, 256, &[(5, 1)])]);
    let data = ipfix(&[&set(256, &[6])]);
    let _ = sessions.decode(&"tcp", &old).unwrap();
    assert_eq!(values(&sessions.decode(&"tcp", &data).unwrap()), [(4, 6)]);
    sessions.forget(&"tcp");
    assert_eq!(sessions.decode(&"tcp", &data).unwrap().unknown().len(), 1);
    let _ = sessions.decode(&"tcp", &new).unwrap();
    assert_eq!(values(&sessions.decode(&"tcp", &data).unwrap()), [(5, 6)]);
    // The next session of an exporter sends all its templates, and counts from the beginning.
    let layout = counter(Protocol::Ipfix, 256);
    let start = || {
        let mut session = Session::new(SessionOptions {
            templates: TemplateSchedule::once(),
            ..SessionOptions::udp(Protocol::Ipfix, 7, NOW_MS)
        });
        session.register(&layout).unwrap();
        session
    };
    let first = send(&mut start(), NOW_MS, &layout, &[1]);
    assert_eq!(send(&mut start(), NOW_MS, &layout, &[1]), first);
    assert_eq!(sets_of(&first)[0].0, 2);
}

/// Shows 7011/8.1/unknown-ignored, 7011/8.1/format.
#[test]
fn a_withdrawal_of_what_is_not_there_changes_nothing() {
    let mut sessions = decoder().over(Transport::Reliable);
    let known = ipfix(&[&template(Protocol::Ipfix, 256, &PROTOCOL_IDENTIFIER)]);
    let data = ipfix(&[&set(256, &[6, 17])]);
    let _ = sessions.decode(&(), &known).unwrap();
    for withdrawal in [
        set(2, &[1, 9, 0, 0]),
        set(3, &[1, 9, 0, 0]),
        set(3, &[0, 3, 0, 0]),
    ] {
        let message = ipfix(&[&withdrawal]);
        let decoded = sessions.decode(&(), &message).unwrap();
        assert_eq!(decoded.errors(), []);
        assert_eq!(sessions.decode(&(), &data).unwrap().records().count(), 2);
        assert_eq!(sessions.fields(), 1);
    }
}

/// Shows 7011/8.1/all, 7011/8.1/format, 7011/8.1/stop-using.
#[test]
fn all_templates_of_a_kind_are_withdrawn_at_once() {
    let mut sessions = decoder().over(Transport::Reliable);
    let mut known = |sets: &[&[u8]]| {
        let message = ipfix(sets);
        assert_eq!(sessions.decode(&(), &message).unwrap().errors(), []);
        let data = ipfix(&[&set(256, &[6]), &set(257, &[6]), &set(300, &[6; 8])]);
        let decoded = sessions.decode(&(), &data).unwrap();
        let ids = decoded.data_sets().iter().map(|set| set.template().id());
        ids.collect::<Vec<_>>()
    };
    let templates = [
        template(Protocol::Ipfix, 256, &PROTOCOL_IDENTIFIER),
        template(Protocol::Ipfix, 257, &PROTOCOL_IDENTIFIER),
        options_template(Protocol::Ipfix, 300, 1, &[(149, 4), (34, 4)]),
    ];
    let templates = templates.each_ref().map(Vec::as_slice);
    assert_eq!(known(&templates), [256, 257, 300]);
    assert_eq!(known(&[&set(2, &[0, 2, 0, 0])]), [300]);
    assert_eq!(known(&templates), [256, 257, 300]);
    assert_eq!(known(&[&set(3, &[0, 3, 0, 0])]), [256, 257]);
}

/// Shows 7011/8.1/in-order, 7011/8.1/stop-using.
#[test]
fn templates_and_withdrawals_take_effect_in_order() {
    // Over a reliable transport. Each Set of data is read by what stands before it.
    let message = ipfix(&[
        &template(Protocol::Ipfix, 256, &[(4, 1)]),
        &set(256, &[1]),
        &set(2, &[1, 0, 0, 0]),
        &set(256, &[2]),
        &template(Protocol::Ipfix, 256, &[(5, 1)]),
        &set(256, &[3]),
    ]);
    let mut sessions = decoder().over(Transport::Reliable);
    let decoded = sessions.decode(&(), &message).unwrap();
    assert_eq!(values(&decoded), [(4, 1), (5, 3)]);
    let unknown: Vec<_> = decoded.unknown().iter().map(|set| set.offset).collect();
    assert_eq!(unknown, [16 + 12 + 5 + 8]);
}

/// Shows 7011/8/in-advance, 7011/8.2/before-data, 7011/8.2/by-export-time, 3954/7/before-data.
#[test]
fn no_data_before_their_template() {
    for protocol in BOTH {
        // Twelve templates at a time and no room for them at the head of a message; and one at a
        // time, room for all, and a clock that is set back now and then.
        for (max_message, at_once, back_ms) in [(80, 12, 0), (1400, 1, 3_600_000)] {
            let mut session = Session::new(SessionOptions {
                max_message,
                ..SessionOptions::udp(protocol, 7, 0)
            });
            let mut sessions = decoder();
            let all: Vec<Layout<u64>> = (256..280).map(|id| counter(protocol, id)).collect();
            // When each template was sent first.
            let mut first_sent = BTreeMap::new();
            let mut records = 0;
            for (round, new) in (0_u8..).zip(all.chunks(at_once)) {
                for layout in new {
                    session.register(layout).unwrap();
                }
                let layouts = all.iter().take(at_once * (usize::from(round) + 1));
                let back_ms = if round % 7 == 6 { back_ms } else { 0 };
                let now_ms = NOW_MS + u64::from(round) * 1000 - back_ms;
                for layout in layouts.rev() {
                    let mut buffer = Vec::new();
                    let mut writer = session.begin(&mut buffer, now_ms);
                    let written = writer.write(layout, &1).unwrap();
                    let Some(message) = writer.finish() else {
                        continue;
                    };
                    session.commit(message).unwrap();
                    records += usize::from(written == Written::Done);
                    for (id, body) in sets_of(&buffer) {
                        if id == set_ids(protocol)[0] {
                            for template in body.chunks(8) {
                                let id = u16::from_be_bytes([template[0], template[1]]);
                                let sent = first_sent.entry(id).or_insert(now_ms);
                                *sent = now_ms.min(*sent);
                            }
                        } else {
                            let sent = first_sent.get(&id);
                            assert!(sent.is_some_and(|&sent| sent <= now_ms), "{id} at {now_ms}");
                        }
                    }
                    // Who gets all of them can read all of them.
                    let decoded = sessions.decode(&(), &buffer).unwrap();
                    assert_eq!((decoded.errors(), decoded.unknown()), (&[][..], &[][..]));
                }
            }
            assert!(records >= 24, "{records}");
        }
    }
}

/// Shows 7011/8.2/not-before, 3954/7/before-data.
#[test]
fn no_data_before_their_template_when_the_clock_is_set_back() {
    for (protocol, templates, transport) in [
        (
            Protocol::Ipfix,
            TemplateSchedule::udp(),
            Transport::Unreliable,
        ),
        (
            Protocol::Ipfix,
            TemplateSchedule::once(),
            Transport::Unreliable,
        ),
        (
            Protocol::Ipfix,
            TemplateSchedule::udp(),
            Transport::Reliable,
        ),
        (
            Protocol::Ipfix,
            TemplateSchedule::once(),
            Transport::Reliable,
        ),
        (
            Protocol::NetflowV9,
            TemplateSchedule::udp(),
            Transport::Unreliable,
        ),
        (
            Protocol::NetflowV9,
            TemplateSchedule::once(),
            Transport::Reliable,
        ),
    ] {
        // With no room for all templates, and with room.
        for max_message in [80, 1400] {
            let mut session = Session::new(SessionOptions {
                max_message,
                transport,
                templates,
                ..SessionOptions::udp(protocol, 7, 0)
            });
            let layouts: Vec<Layout<u64>> = (256..280).map(|id| counter(protocol, id)).collect();
            // Of the header; of each template the last one sent.
            let export_time = |message: &[u8]| {
                let at = if protocol == Protocol::Ipfix { 4 } else { 8 };
                u32::from_be_bytes(message[at..at + 4].try_into().unwrap())
            };
            let mut sent: BTreeMap<u16, u32> = BTreeMap::new();
            let (mut records, mut last) = (0, 0);
            let times = [0, 10_000, 9_400, 20_000, -3_580_000, -3_579_000, 30_000];
            for (round, time) in times.iter().enumerate() {
                if round == 3 {
                    layouts[12..]
                        .iter()
                        .for_each(|layout| session.register(layout).unwrap());
                } else if round == 0 {
                    layouts[..12]
                        .iter()
                        .for_each(|layout| session.register(layout).unwrap());
                }
                let now_ms = NOW_MS.checked_add_signed(*time).unwrap();
                let alive = if round < 3 { 12 } else { 24 };
                for layout in layouts[..alive].iter().rev() {
                    let mut written = Written::Full;
                    while written == Written::Full {
                        let mut buffer = Vec::new();
                        let mut writer = session.begin(&mut buffer, now_ms);
                        written = writer.write(layout, &1).unwrap();
                        let message = writer.finish().unwrap();
                        session.commit(message).unwrap();
                        let exported = export_time(&buffer);
                        for (id, body) in sets_of(&buffer) {
                            if id == set_ids(protocol)[0] {
                                for template in body.chunks(8) {
                                    let id = u16::from_be_bytes([template[0], template[1]]);
                                    sent.insert(id, exported);
                                }
                            } else {
                                records += 1;
                                assert!(sent[&id] <= exported, "{id}: {} {exported}", sent[&id]);
                            }
                        }
                        // A stream goes on with the time it had, datagrams tell the one it is.
                        if protocol == Protocol::Ipfix && transport == Transport::Reliable {
                            assert!(exported >= last);
                        } else {
                            let seconds = now_ms.div_ceil(1000) - u64::from(exported);
                            assert!(seconds <= 1, "{seconds}");
                        }
                        last = exported;
                    }
                }
            }
            assert_eq!(records, 3 * 12 + 4 * 24);
        }
    }
}

/// Shows 7011/5.2/seconds-modulo.
#[test]
fn seconds_are_counted_modulo_2_to_the_32() {
    let layout = Layout::builder(Protocol::Ipfix, 256)
        .seconds(ie::FLOW_START_SECONDS, |seconds: &u64, _| *seconds)
        .unsigned(ie::FLOW_END_SECONDS, 4, |seconds, _| *seconds)
        .unsigned(ie::PACKET_DELTA_COUNT, 4, |seconds, _| *seconds)
        .build()
        .unwrap();
    let mut session = session(Protocol::Ipfix);
    session.register(&layout).unwrap();
    let message = send(
        &mut session,
        NOW_MS,
        &layout,
        &[0xffff_ffff, 0x1_0000_0000, 0x3_0000_0007],
    );
    let mut sessions = decoder();
    let decoded = sessions.decode(&(), &message).unwrap();
    let read: Vec<u64> = values(&decoded)
        .into_iter()
        .map(|(_, value)| value)
        .collect();
    // A counter does not wrap.
    let most = 0xffff_ffff;
    assert_eq!(read, [most, most, most, 0, 0, most, 7, 7, most]);
}

/// Shows 7011/8/new-id, 7011/8.4/reuse, 3954/7/constant.
#[test]
fn an_id_keeps_its_meaning() {
    for protocol in BOTH {
        let layout = counter(protocol, 256);
        let other = Layout::builder(protocol, 256)
            .unsigned(ie::OCTET_DELTA_COUNT, 4, |value: &u64, _| *value)
            .build()
            .unwrap();
        let mut session = session(protocol);
        session.register(&layout).unwrap();
        for minute in 0..10 {
            let now_ms = NOW_MS + minute * 60_000;
            let sent = send(&mut session, now_ms, &layout, &[1]);
            let template = &sets_of(&sent)[0];
            assert_eq!(template.1, [1, 0, 0, 1, 0, 2, 0, 4]);
            assert!(session.register(&other).is_err());
            let mut buffer = Vec::new();
            let mut writer = session.begin(&mut buffer, now_ms);
            assert_eq!(
                writer.write(&other, &1),
                Err(WriteError::NotRegistered(256))
            );
        }
    }
}

/// Shows 7011/8.4/replace, 7011/8.4/again-not-logged, 3954/7/replace, 3954/9/override.
#[test]
fn a_template_that_comes_again_is_in_force_at_once() {
    for protocol in BOTH {
        let mut sessions = decoder();
        for (field, times) in [(4, 3), (5, 2), (4, 1)] {
            for _ in 0..times {
                let message = message(
                    protocol,
                    &[&template(protocol, 256, &[(field, 1)]), &set(256, &[6; 4])],
                );
                let decoded = sessions.decode(&(), &message).unwrap();
                assert_eq!(decoded.errors(), []);
                assert_eq!(values(&decoded), [(field, 6); 4]);
            }
        }
    }
}

/// Shows 7011/8.4/again, 7011/8.4/again-configurable, 3954/7/regular, 3954/7/refreshed,
/// 3954/7/configurable, 3954/7/when-due, 3954/7/changes, 3954/7/clock.
#[test]
fn templates_are_sent_again_by_time_and_by_messages() {
    for protocol in BOTH {
        let (flows, options) = (counter(protocol, 256), interval(protocol, 300));
        // By time, by messages, by both, by neither.
        for (every_ms, every_messages) in [
            (Some(5_000), None),
            (None, Some(7)),
            (Some(5_000), Some(7)),
            (None, None),
        ] {
            let mut session = Session::new(SessionOptions {
                templates: TemplateSchedule {
                    copies: 1,
                    every_ms,
                    every_messages,
                    ..TemplateSchedule::udp()
                },
                ..SessionOptions::udp(protocol, 7, 0)
            });
            session.register(&flows).unwrap();
            session.register(&options).unwrap();
            let mut with_templates = Vec::new();
            for second in 0..40 {
                let due = session.templates_due(NOW_MS + second * 1000);
                let sent = send(&mut session, NOW_MS + second * 1000, &flows, &[1]);
                let ids: Vec<u16> = sets_of(&sent).iter().map(|set| set.0).collect();
                // Both kinds, or neither.
                let [flow_set, options_set] = [set_ids(protocol)[0], set_ids(protocol)[1]];
                assert_eq!(ids.contains(&flow_set), due);
                assert_eq!(ids.contains(&options_set), due);
                if due {
                    with_templates.push(second);
                }
            }
            let wanted: Vec<u64> = match (every_ms, every_messages) {
                (Some(_), _) => (0..40).step_by(5).collect(),
                // Seven others between them.
                (None, Some(_)) => (0..40).step_by(8).collect(),
                (None, None) => vec![0],
            };
            assert_eq!(with_templates, wanted, "{every_ms:?} {every_messages:?}");
        }
        // After a change the new one goes at once, and again half a second later; and all do when
        // the clock is set back.
        let mut session = session(protocol);
        session.register(&flows).unwrap();
        let templates = |session: &mut Session, now_ms| {
            let sent = send(session, now_ms, &flows, &[1]);
            sets_of(&sent).len() - 1
        };
        assert_eq!(templates(&mut session, NOW_MS), 1);
        assert_eq!(templates(&mut session, NOW_MS + 500), 1);
        session.register(&options).unwrap();
        assert_eq!(templates(&mut session, NOW_MS + 1000), 1);
        assert_eq!(templates(&mut session, NOW_MS + 1400), 0);
        assert_eq!(templates(&mut session, NOW_MS + 1500), 1);
        assert_eq!(templates(&mut session, NOW_MS + 2000), 0);
        assert_eq!(templates(&mut session, NOW_MS - 3_600_000), 2);
    }
}

/// Shows 7011/9.1/padding-values, 3954/9/padding.
#[test]
fn padding_is_accepted() {
    // Up to what is shorter than any record; of other values than zero, too.
    for protocol in BOTH {
        for padding in 0..4 {
            for value in [0, 0xff] {
                let pad = |mut set: Vec<u8>| {
                    set[3] += padding;
                    set.extend(vec![value; padding.into()]);
                    set
                };
                let message = message(
                    protocol,
                    &[
                        &pad(template(protocol, 256, &[(8, 4)])),
                        &pad(options_template(protocol, 300, 1, &[(1, 4), (34, 4)])),
                        &pad(set(256, &[192, 0, 2, 1, 192, 0, 2, 2])),
                        &pad(set(300, &[0, 0, 0, 1, 0, 0, 0, 2])),
                    ],
                );
                let mut sessions = decoder();
                let decoded = sessions.decode(&(), &message).unwrap();
                assert_eq!((decoded.errors(), decoded.templates()), (&[][..], 2));
                assert_eq!(
                    values(&decoded),
                    [(8, 0xc000_0201), (8, 0xc000_0202), (1, 1), (34, 2)]
                );
            }
        }
    }
}

/// Shows 7011/6.1.9/low-bits-ignored.
#[test]
fn the_last_bits_of_microseconds_do_not_count() {
    // flowStartMicroseconds, half a second after 1970.
    let half = (2_208_988_800_u64 << 32) | (1 << 31);
    let mut sessions = decoder();
    for low_bits in [0, 1, 0x400, 0x7ff] {
        let message = ipfix(&[
            &template(Protocol::Ipfix, 256, &[(154, 8)]),
            &set(256, &(half | low_bits).to_be_bytes()),
        ]);
        let decoded = sessions.decode(&(), &message).unwrap();
        let record = decoded.records().next().unwrap();
        let value = record.value_at(0).unwrap();
        assert_eq!(value.unix_ns(), Some(500_000_000));
        assert_eq!(value.unix_ms(), Some(500));
        let typed = value.typed().to_string();
        assert_eq!(typed, "1970-01-01T00:00:00.500000Z");
    }
}

/// Shows 7011/9/padding.
#[test]
fn zeros_after_the_last_template_are_padding() {
    for protocol in BOTH {
        for padding in 0..=12 {
            let pad = |mut set: Vec<u8>| {
                set[3] += padding;
                set.extend(vec![0; padding.into()]);
                set
            };
            let message = message(
                protocol,
                &[
                    &pad(template(protocol, 256, &[(8, 4)])),
                    &pad(options_template(protocol, 300, 1, &[(1, 4), (34, 4)])),
                    &set(256, &[192, 0, 2, 1, 0, 0, 0]),
                ],
            );
            let mut sessions = decoder();
            let decoded = sessions.decode(&(), &message).unwrap();
            assert_eq!((decoded.errors(), decoded.templates()), (&[][..], 2));
            assert_eq!(values(&decoded), [(8, 0xc000_0201)]);
        }
        // Anything but zeros is a record, and a wrong one.
        let record = set(set_ids(protocol)[0], &[0, 0, 0, 0, 0, 1]);
        let message = message(protocol, &[&record]);
        let mut sessions = decoder();
        let decoded = sessions.decode(&(), &message).unwrap();
        assert_eq!(decoded.errors()[0].kind, DecodeErrorKind::TemplateId(0));
    }
}

/// Shows 7011/9.1/discard.
#[test]
fn a_malformed_message_is_dropped_whole() {
    let good = template(Protocol::Ipfix, 256, &PROTOCOL_IDENTIFIER);
    let other = template(Protocol::Ipfix, 256, &[(5, 1)]);
    let names = template(Protocol::Ipfix, 257, &[(4, 1), (82, 0xffff)]);
    let options = options_template(Protocol::Ipfix, 300, 1, &[(149, 4), (34, 4)]);
    let withdrawal = set(2, &[1, 0, 0, 0]);
    let sampling = [0, 0, 0, 9, 0, 0, 0, 100];
    let data = set(256, &[6, 17]);
    // A value, its length, a template, an Options Template, and its scope are cut off.
    let malformed = [
        [names.clone(), set(257, &[6, 4, b'e', b't', b'h'])].concat(),
        [names.clone(), set(257, &[6, 1, b'e', 17, 0xff, 0])].concat(),
        set(2, &[1, 4, 0, 2, 0, 4, 0, 1]),
        set(3, &[1, 4, 0, 2, 0, 1, 0, 149, 0, 4]),
        set(3, &[1, 4, 0, 1]),
    ];
    for bad in &malformed {
        // Whatever stands before it and behind it in the message.
        let mut before: [&[u8]; 6] = [&other, &names, &options, &withdrawal, &data, &[]];
        let told = set(300, &sampling);
        before[5] = &told;
        for front in [true, false] {
            let mut sets = before.to_vec();
            sets.insert(if front { 0 } else { sets.len() }, bad);
            let message = ipfix(&sets);
            // In a session that is new, and in one that knows the template 256.
            let mut sessions = decoder().over(Transport::Reliable);
            let error = sessions.decode(&1, &message).unwrap_err();
            assert!(matches!(error.kind, DecodeErrorKind::Truncated { .. }));
            assert!(error.clause().unwrap().starts_with("RFC 7011 section "));
            assert!(error.offset >= 16 && error.offset <= message.len());
            assert_eq!((sessions.fields(), sessions.option_entries()), (0, 0));

            let known = ipfix(&[&good]);
            let _ = sessions.decode(&2, &known).unwrap();
            let data = ipfix(&[&data]);
            assert_eq!(sessions.decode(&2, &data).unwrap().record_count(), 2);
            let message = with_sequence(message, 2);
            assert_eq!(sessions.decode(&2, &message).unwrap_err(), error);
            assert_eq!((sessions.fields(), sessions.option_entries()), (1, 0));
            let domain = sessions.options(&2, Protocol::Ipfix, 9);
            assert_eq!(domain.and_then(|domain| domain.sampling()), None);
            // The records of the message that was dropped are missing.
            let next = with_sequence(data, 6);
            let decoded = sessions.decode(&2, &next).unwrap();
            assert_eq!(values(&decoded), [(4, 6), (4, 17)]);
            assert_eq!(decoded.sequence(), Sequence::Gap(4));
        }
    }
    // Of version 9 what can be read is.
    for bad in &malformed[..1] {
        let mut bad = bad.clone();
        bad[..2].copy_from_slice(&[0, 0]);
        let packet = v9(&[&template(Protocol::NetflowV9, 256, &[(4, 1)]), &bad, &data]);
        let mut sessions = decoder();
        let decoded = sessions.decode(&(), &packet).unwrap();
        assert_eq!((decoded.errors().len(), decoded.record_count()), (1, 2));
    }
    // What is wrong without a length being wrong is no reason.
    for wrong in [set(7, &[0; 4]), set(2, &[0, 255, 0, 1, 0, 4, 0, 1])] {
        let message = ipfix(&[&good, &wrong, &data]);
        let mut sessions = decoder();
        let decoded = sessions.decode(&(), &message).unwrap();
        assert_eq!((decoded.errors().len(), decoded.record_count()), (1, 2));
    }
}

/// Shows 7011/8.4/withdrawals-ignored.
#[test]
fn over_udp_withdrawals_are_ignored() {
    let templates = ipfix(&[
        &template(Protocol::Ipfix, 256, &PROTOCOL_IDENTIFIER),
        &options_template(Protocol::Ipfix, 300, 1, &[(149, 4), (34, 4)]),
    ]);
    let data = ipfix(&[&set(256, &[6]), &set(300, &[6; 8])]);
    for (transport, left) in [(Transport::Unreliable, 2), (Transport::Reliable, 1)] {
        for withdrawal in [
            set(2, &[1, 0, 0, 0]),
            set(2, &[0, 2, 0, 0]),
            set(3, &[1, 44, 0, 0]),
            set(3, &[0, 3, 0, 0]),
        ] {
            let mut sessions = decoder().over(transport);
            let _ = sessions.decode(&(), &templates).unwrap();
            let message = ipfix(&[&withdrawal]);
            let decoded = sessions.decode(&(), &message).unwrap();
            assert_eq!((decoded.errors(), decoded.withdrawals()), (&[][..], 1));
            let ignored = usize::from(transport == Transport::Unreliable);
            assert_eq!(decoded.withdrawals_ignored(), ignored);
            let decoded = sessions.decode(&(), &data).unwrap();
            assert_eq!(decoded.data_sets().len(), left, "{withdrawal:?}");
        }
    }
    // It is what a decoder is made for if nothing else is said.
    let mut sessions = decoder();
    let _ = sessions.decode(&(), &templates).unwrap();
    let message = ipfix(&[&set(2, &[1, 0, 0, 0])]);
    let decoded = sessions.decode(&(), &message).unwrap();
    assert_eq!(decoded.withdrawals_ignored(), 1);
}

/// Shows 7011/8.1/unknown-logged, 7011/8.1/again-logged, 7011/8.1/changed-logged.
#[test]
fn what_is_to_be_logged_of_templates_is_told() {
    let template = |field, length| template(Protocol::Ipfix, 256, &[(field, length)]);
    let withdrawal = set(2, &[1, 0, 0, 0]);
    let mut sessions = decoder().over(Transport::Reliable);
    let mut told = |sets: &[&[u8]]| {
        let message = ipfix(sets);
        let decoded = sessions.decode(&(), &message).unwrap();
        assert_eq!(decoded.errors(), []);
        [
            decoded.withdrawals_unknown(),
            decoded.templates_repeated(),
            decoded.templates_changed(),
        ]
    };
    assert_eq!(told(&[&withdrawal]), [1, 0, 0]);
    assert_eq!(told(&[&template(4, 1)]), [0, 0, 0]);
    assert_eq!(told(&[&template(4, 1), &template(4, 1)]), [0, 2, 0]);
    assert_eq!(told(&[&template(5, 1)]), [0, 0, 1]);
    assert_eq!(told(&[&template(5, 2), &template(5, 2)]), [0, 1, 1]);
    assert_eq!(told(&[&withdrawal, &template(4, 1)]), [0, 0, 0]);
    assert_eq!(told(&[&withdrawal, &withdrawal]), [1, 0, 0]);
    // Of an id of the other kind, and of all where there are none.
    assert_eq!(told(&[&set(3, &[1, 44, 0, 0])]), [1, 0, 0]);
    assert_eq!(told(&[&set(3, &[0, 3, 0, 0])]), [0, 0, 0]);
}

/// Shows 3954/9/expired.
#[test]
fn a_template_that_did_not_come_again_in_time_is_not_used() {
    const LIFETIME_MS: u64 = 1_800_000;
    for protocol in BOTH {
        let both = [256, 300].map(|id| template(protocol, id, &PROTOCOL_IDENTIFIER));
        let data = message(protocol, &[&set(256, &[6]), &set(300, &[6])]);
        let known = |sessions: &mut Decoder<()>, now_ms| {
            let decoded = sessions.decode_at(&(), &data, now_ms).unwrap();
            let sets = decoded.data_sets().iter();
            sets.map(|set| set.template().id()).collect::<Vec<_>>()
        };
        let both = message(protocol, &both.each_ref().map(Vec::as_slice));
        let one = message(protocol, &[&template(protocol, 300, &PROTOCOL_IDENTIFIER)]);
        let mut sessions = decoder().with_template_lifetime(LIFETIME_MS);
        let _ = sessions.decode_at(&(), &both, NOW_MS).unwrap();
        let later_ms = NOW_MS + 1_000_000;
        assert_eq!(known(&mut sessions, later_ms), [256, 300]);
        // Being used is not enough.
        let _ = sessions.decode_at(&(), &one, later_ms).unwrap();
        assert_eq!(known(&mut sessions, NOW_MS + LIFETIME_MS), [256, 300]);
        assert_eq!(known(&mut sessions, NOW_MS + LIFETIME_MS + 1), [300]);
        assert_eq!(sessions.fields(), 1);
        assert_eq!(known(&mut sessions, later_ms + LIFETIME_MS), [300]);
        assert!(known(&mut sessions, later_ms + LIFETIME_MS + 1).is_empty());
        assert_eq!(sessions.fields(), 0);
        let again_ms = later_ms + 2 * LIFETIME_MS;
        let _ = sessions.decode_at(&(), &both, again_ms).unwrap();
        assert_eq!(known(&mut sessions, again_ms), [256, 300]);
        // Over a reliable transport, or if nobody asked for it, they stay.
        for mut sessions in [
            decoder()
                .with_template_lifetime(LIFETIME_MS)
                .over(Transport::Reliable),
            decoder(),
        ] {
            let _ = sessions.decode_at(&(), &both, NOW_MS).unwrap();
            assert_eq!(known(&mut sessions, NOW_MS + 100 * LIFETIME_MS), [256, 300]);
        }
    }
}

/// Shows 3954/9/clock.
#[test]
fn templates_are_forgotten_when_the_clock_of_the_exporter_changes() {
    let at = |mut packet: Vec<u8>, uptime_ms: u32, unix_secs: u32| {
        packet[4..8].copy_from_slice(&uptime_ms.to_be_bytes());
        packet[8..12].copy_from_slice(&unix_secs.to_be_bytes());
        packet
    };
    let data = v9(&[&set(256, &[6])]);
    let both = v9(&[
        &template(Protocol::NetflowV9, 256, &PROTOCOL_IDENTIFIER),
        &set(256, &[6]),
    ]);
    let seconds = 1_795_536_000;
    let uptime = u32::MAX - 5_000;
    for (uptime_ms, unix_secs, records) in [
        // Time goes by, also across the wrap of sysUptime, and with rounding and some drift.
        (uptime + 5_000, seconds + 5, 1),
        (4_999, seconds + 10, 1),
        (uptime + 900, seconds, 1),
        (uptime, seconds + 60, 1),
        // No sysUptime is told.
        (0, seconds + 1_000, 1),
        // A late packet.
        (uptime - 90_000, seconds - 90, 1),
        // The clock is set, forwards and back; the exporter starts anew.
        (uptime + 1_000, seconds + 100, 0),
        (uptime + 1_000, seconds - 100, 0),
        (1_000, seconds + 200, 0),
    ] {
        let mut sessions = decoder();
        let first = at(both.clone(), uptime, seconds);
        assert_eq!(sessions.decode(&(), &first).unwrap().record_count(), 1);
        // Another domain has a clock of its own.
        let other = with_domain(at(data.clone(), 7, 7), 8);
        let _ = sessions.decode(&(), &other).unwrap();
        let next = at(data.clone(), uptime_ms, unix_secs);
        let decoded = sessions.decode(&(), &next).unwrap();
        assert_eq!(decoded.record_count(), records, "{uptime_ms} {unix_secs}");
        assert_eq!(sessions.fields(), records);
        // What comes with the new clock holds.
        let again = at(both.clone(), uptime_ms, unix_secs);
        assert_eq!(sessions.decode(&(), &again).unwrap().record_count(), 1);
    }
}

/// Shows 7011/10/longest.
#[test]
fn the_longest_message() {
    let layout = counter(Protocol::Ipfix, 256);
    let mut session = Session::new(SessionOptions {
        max_message: u16::MAX,
        ..SessionOptions::udp(Protocol::Ipfix, 7, 0)
    });
    session.register(&layout).unwrap();
    let records: Vec<u64> = (0..20_000).collect();
    let mut buffer = Vec::new();
    let mut writer = session.begin(&mut buffer, NOW_MS);
    // 65,535 octets less header, templates and Set Header are 16,375 counters and three octets.
    assert_eq!(writer.write_all(&layout, &records), Ok(16_375));
    assert!(writer.finish().is_some());
    assert_eq!(buffer.len(), 65_532);
    let mut sessions = decoder();
    let decoded = sessions.decode(&(), &buffer).unwrap();
    assert!(
        decoded
            .records()
            .map(|record| record.values().next().unwrap().unsigned().unwrap())
            .eq(0..16_375)
    );
    // To the last octet.
    let longest = ipfix(&[
        &template(Protocol::Ipfix, 256, &PROTOCOL_IDENTIFIER),
        &set(256, &vec![6; 0xffff - 16 - 12 - 4]),
    ]);
    assert_eq!(longest.len(), 0xffff);
    let decoded = sessions.decode(&(), &longest).unwrap();
    assert_eq!(decoded.records().count(), 0xffff - 16 - 12 - 4);
}

/// Shows 7011/10.3.2/losses, 7011/10.3.2/detection, 3954/5.1/sequence-use.
#[test]
fn messages_that_are_missing_late_or_came_twice_are_detected() {
    for protocol in BOTH {
        // Four records a message, or one packet.
        let step = if protocol == Protocol::Ipfix { 4 } else { 1 };
        let mut sessions = decoder();
        let templates = message(protocol, &[&template(protocol, 256, &PROTOCOL_IDENTIFIER)]);
        // The template's own packet counts in version 9.
        let before = 100 - u32::from(protocol == Protocol::NetflowV9);
        let _ = sessions
            .decode(&(), &with_sequence(templates, before))
            .unwrap();
        let mut see = |n: u32| {
            let data = message(protocol, &[&set(256, &[6; 4])]);
            let data = with_sequence(data, 100 + n * step);
            let decoded = sessions.decode(&(), &data).unwrap();
            (decoded.sequence(), decoded.missing())
        };
        let step_64 = u64::from(step);
        assert_eq!(see(0), (Sequence::InOrder, 0));
        assert_eq!(see(1), (Sequence::InOrder, 0));
        // 2 is missing, and comes after 3.
        assert_eq!(see(3), (Sequence::Gap(step), step_64));
        assert_eq!(see(2), (Sequence::Late(2 * step), 0));
        assert_eq!(see(4), (Sequence::InOrder, 0));
        // 4 comes twice.
        assert_eq!(see(4), (Sequence::Late(step), 0));
        assert_eq!(see(5), (Sequence::InOrder, 0));
        assert_eq!(see(8), (Sequence::Gap(2 * step), 2 * step_64));
    }
}

/// Shows 7011/10.4.3/length, 7011/3.1/length.
#[test]
fn messages_of_a_stream_are_found_by_their_length() {
    let stream = [
        ipfix(&[&template(Protocol::Ipfix, 256, &PROTOCOL_IDENTIFIER)]),
        ipfix(&[]),
        ipfix(&[&set(256, &[6])]),
        ipfix(&[&set(256, &[17, 1])]),
    ]
    .concat();
    let mut sessions = decoder();
    let (mut lengths, mut read) = (Vec::new(), Vec::new());
    let mut rest = stream.as_slice();
    while !rest.is_empty() {
        let decoded = sessions.decode(&(), rest).unwrap();
        read.extend(values(&decoded));
        lengths.push(decoded.length());
        rest = &rest[decoded.length()..];
    }
    assert_eq!(lengths, [28, 16, 21, 22]);
    assert_eq!(read, [(4, 6), (4, 17), (4, 1)]);
}
