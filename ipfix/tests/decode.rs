//! Reading messages: what the writer writes, what it would never write, and what nobody should.

use std::net::{IpAddr, Ipv4Addr};

use ipfix::{
    DecodeErrorKind, Decoder, DecoderLimits, Layout, Protocol, Registry, Sequence, Session,
    SessionOptions, TemplateSchedule, Transport, Written, elements as ie, v9_scope,
};

const NOW_MS: u64 = 1_795_536_000_250;
const INIT_MS: u64 = NOW_MS - 100_000;

#[derive(Clone, Debug, PartialEq)]
struct Flow {
    source: [u8; 4],
    mac: [u8; 6],
    packets: u64,
    end_ms: u64,
    name: String,
}

fn flow(n: u8) -> Flow {
    Flow {
        source: [192, 0, 2, n],
        mac: [2, 0, 0, 0, 0, n],
        packets: 1 << n,
        end_ms: NOW_MS - u64::from(n) * 1001,
        name: "interface".repeat(n.into()),
    }
}

fn layout(protocol: Protocol) -> Layout<Flow> {
    let columns = Layout::builder(protocol, 256)
        .octets(ie::SOURCE_IPV4_ADDRESS, |flow: &Flow, _| flow.source)
        .octets(ie::SOURCE_MAC_ADDRESS, |flow, _| flow.mac)
        .unsigned(ie::PACKET_DELTA_COUNT, 5, |flow, _| flow.packets)
        .signed(ie::MIB_OBJECT_VALUE_INTEGER, 3, |_, _| -2);
    match protocol {
        Protocol::Ipfix => columns
            .variable(ie::INTERFACE_NAME, |flow| flow.name.as_bytes())
            .unsigned(ie::FLOW_END_MILLISECONDS, 8, |flow, _| flow.end_ms)
            .timestamp(ie::FLOW_END_MICROSECONDS, |flow| flow.end_ms * 1_000_000)
            .timestamp(ie::FLOW_END_NANOSECONDS, |flow| flow.end_ms * 1_000_000)
            .unsigned(ie::FLOW_END_SECONDS, 4, |flow, _| flow.end_ms / 1000)
            .unsigned(ie::PACKET_DELTA_COUNT.reverse(), 1, |_, _| 3),
        Protocol::NetflowV9 | Protocol::NetflowV5 => columns
            .text(ie::INTERFACE_NAME, 200, |flow| &flow.name)
            .uptime(ie::FLOW_END_SYS_UP_TIME, |flow| flow.end_ms),
    }
    .build()
    .unwrap()
}

fn options(protocol: Protocol) -> Layout<u64> {
    let builder = Layout::options_builder(protocol, 300);
    match protocol {
        Protocol::Ipfix => builder.unsigned(ie::INGRESS_INTERFACE, 4, |_, _| 7),
        Protocol::NetflowV9 | Protocol::NetflowV5 => {
            builder.unsigned(v9_scope::INTERFACE, 4, |_, _| 7)
        }
    }
    .end_of_scope()
    .unsigned(ie::SAMPLING_INTERVAL, 4, |interval: &u64, _| *interval)
    .build()
    .unwrap()
}

/// Messages with templates, options and many records.
fn messages(protocol: Protocol, options_of_session: SessionOptions) -> Vec<Vec<u8>> {
    let (flows, samplings) = (layout(protocol), options(protocol));
    let mut session = Session::new(options_of_session);
    session.register(&flows).unwrap();
    session.register(&samplings).unwrap();
    (0..6)
        .map(|round| {
            let mut buffer = Vec::new();
            let mut writer = session.begin(&mut buffer, NOW_MS);
            assert_eq!(writer.write(&samplings, &16), Ok(Written::Done));
            for n in 1..=round {
                assert_eq!(writer.write(&flows, &flow(n)), Ok(Written::Done));
            }
            let message = writer.finish().unwrap();
            session.commit(message).unwrap();
            buffer
        })
        .collect()
}

#[test]
fn round_trip() {
    for protocol in [Protocol::Ipfix, Protocol::NetflowV9] {
        let mut decoder = Decoder::new(DecoderLimits::default());
        let sent = messages(protocol, SessionOptions::udp(protocol, 7, INIT_MS));
        for (round, octets) in (0_u8..).zip(&sent) {
            let decoded = decoder.decode(&"a", octets).unwrap();
            assert_eq!(decoded.length(), octets.len());
            assert_eq!(decoded.header().protocol, protocol);
            assert_eq!(decoded.header().observation_domain, 7);
            assert_eq!((decoded.errors(), decoded.unknown()), (&[][..], &[][..]));
            assert_eq!(decoded.templates(), if round == 0 { 2 } else { 0 });
            let wanted = if round == 0 {
                Sequence::First
            } else {
                Sequence::InOrder
            };
            assert_eq!(decoded.sequence(), wanted);
            let mut records = decoded.records();
            let sampling = records.next().unwrap();
            assert!(sampling.template().is_options());
            assert_eq!(sampling.template().scope_fields(), 1);
            assert_eq!(
                sampling.value(&ie::SAMPLING_INTERVAL).unwrap().unsigned(),
                Some(16)
            );
            let scope = sampling.values().next().unwrap();
            assert_eq!(scope.unsigned(), Some(7));
            assert_eq!(
                scope.field().registry(),
                match protocol {
                    Protocol::Ipfix => Registry::Iana,
                    Protocol::NetflowV9 | Protocol::NetflowV5 => Registry::NetflowV9Scope,
                }
            );
            for n in 1..=round {
                let wanted = flow(n);
                let record = records.next().unwrap();
                let value = |element| record.value(&element).unwrap();
                assert_eq!(
                    value(ie::SOURCE_IPV4_ADDRESS).ip_address(),
                    Some(IpAddr::from(Ipv4Addr::from(wanted.source)))
                );
                assert_eq!(
                    value(ie::SOURCE_MAC_ADDRESS).mac_address(),
                    Some(wanted.mac)
                );
                assert_eq!(
                    value(ie::PACKET_DELTA_COUNT).unsigned(),
                    Some(wanted.packets)
                );
                assert_eq!(value(ie::MIB_OBJECT_VALUE_INTEGER).signed(), Some(-2));
                assert_eq!(value(ie::INTERFACE_NAME).text(), Some(&*wanted.name));
                match protocol {
                    Protocol::Ipfix => {
                        for element in [
                            ie::FLOW_END_MILLISECONDS,
                            ie::FLOW_END_MICROSECONDS,
                            ie::FLOW_END_NANOSECONDS,
                        ] {
                            assert_eq!(value(element).unix_ms(), Some(wanted.end_ms));
                        }
                        assert_eq!(
                            value(ie::FLOW_END_SECONDS).unix_ms(),
                            Some(wanted.end_ms / 1000 * 1000)
                        );
                        let reverse = value(ie::PACKET_DELTA_COUNT.reverse());
                        assert_eq!(reverse.unsigned(), Some(3));
                        assert_eq!(
                            reverse.field().element(),
                            Some(&ie::PACKET_DELTA_COUNT.reverse())
                        );
                    }
                    Protocol::NetflowV9 | Protocol::NetflowV5 => assert_eq!(
                        value(ie::FLOW_END_SYS_UP_TIME).unix_ms(),
                        Some(wanted.end_ms)
                    ),
                }
            }
            assert!(records.next().is_none());
        }
    }
}

/// sysUptime wraps: a flow from before the wrap in a message from after it.
///
/// Shows 3954/8/switched.
#[test]
fn sys_uptime_across_its_wrap() {
    let init_ms = (NOW_MS - (1 << 32) + 500) / 1000 * 1000 - 2000;
    let sent = messages(
        Protocol::NetflowV9,
        SessionOptions::udp(Protocol::NetflowV9, 7, init_ms),
    );
    let mut decoder = Decoder::new(DecoderLimits::default());
    let mut uptimes = Vec::new();
    for octets in &sent {
        let decoded = decoder.decode(&(), octets).unwrap();
        assert!(decoded.header().sys_uptime_ms < Some(10_000));
        for (n, record) in (1..).zip(decoded.records().skip(1)) {
            let value = record.value(&ie::FLOW_END_SYS_UP_TIME).unwrap();
            uptimes.push(value.unsigned().unwrap());
            assert_eq!(value.unix_ms(), Some(flow(n).end_ms));
        }
    }
    assert!(uptimes.iter().any(|&uptime| uptime > 1 << 31));
    assert!(uptimes.iter().any(|&uptime| uptime < 1 << 31));
}

/// What is not known is counted and does not hide the rest.
///
/// Shows 7011/9.3/no-template, 7011/8/this-session.
#[test]
fn a_late_template() {
    let sent = messages(
        Protocol::Ipfix,
        SessionOptions::udp(Protocol::Ipfix, 7, INIT_MS),
    );
    let mut decoder = Decoder::new(DecoderLimits::default());
    let decoded = decoder.decode(&1, &sent[2]).unwrap();
    let ids: Vec<u16> = decoded
        .unknown()
        .iter()
        .map(|set| set.template_id)
        .collect();
    assert_eq!(ids, [300, 256]);
    assert_eq!(decoded.unknown()[0].offset, 16);
    assert_eq!(decoded.unknown()[0].length, 12);
    assert_eq!(decoded.records().count(), 0);
    assert_eq!(decoder.decode(&1, &sent[0]).unwrap().records().count(), 1);
    assert_eq!(decoder.decode(&1, &sent[2]).unwrap().records().count(), 3);
    // Templates belong to their session.
    assert_eq!(decoder.decode(&2, &sent[2]).unwrap().unknown().len(), 2);
    decoder.forget(&1);
    assert_eq!(decoder.decode(&1, &sent[2]).unwrap().unknown().len(), 2);
}

/// Shows 7011/10.3.2/losses, 7011/10.3.2/detection, 3954/5.1/sequence-use.
#[test]
fn gaps_are_counted_in_records_or_packets() {
    for (protocol, gap) in [(Protocol::Ipfix, 3 + 4), (Protocol::NetflowV9, 2)] {
        let sent = messages(protocol, SessionOptions::udp(protocol, 7, INIT_MS));
        let mut decoder = Decoder::new(DecoderLimits::default());
        let mut see = |at: usize| {
            let decoded = decoder.decode(&(), &sent[at]).unwrap();
            (decoded.sequence(), decoded.missing())
        };
        assert_eq!(see(0), (Sequence::First, 0));
        assert_eq!(see(1), (Sequence::InOrder, 0));
        assert_eq!(see(4), (Sequence::Gap(gap), gap.into()));
        // One of the missing comes late.
        let (Sequence::Late(_), missing) = see(2) else {
            panic!("not late");
        };
        assert_eq!(missing, u64::from(gap) - if gap == 2 { 1 } else { 3 });
        assert_eq!(see(5), (Sequence::InOrder, missing));
        // The exporter starts again.
        assert!(matches!(see(0).0, Sequence::Late(_)));
        assert_eq!(see(1).0, Sequence::Restarted);
        assert_eq!(see(2).0, Sequence::InOrder);
    }
}

fn ipfix_message(sets: &[u8]) -> Vec<u8> {
    let length = u16::try_from(16 + sets.len()).unwrap().to_be_bytes();
    let mut message = vec![0, 10, length[0], length[1]];
    message.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9]);
    message.extend(sets);
    message
}

/// Shows 7011/8.1/all, 7011/8.1/stop-using.
#[test]
fn withdrawals() {
    let mut decoder = Decoder::new(DecoderLimits::default()).over(Transport::Reliable);
    let templates = [
        0, 2, 0, 20, 1, 0, 0, 1, 0, 4, 0, 1, 1, 1, 0, 1, 0, 4, 0, 1, // 256 and 257
        0, 3, 0, 18, 1, 2, 0, 2, 0, 1, 0, 4, 0, 1, 0, 5, 0, 1, // options 258
    ];
    let data = [1, 0, 0, 5, 6, 1, 1, 0, 5, 6, 1, 2, 0, 6, 6, 1];
    let mut known = |sets: &[u8]| {
        let message = ipfix_message(sets);
        let withdrawals = decoder.decode(&(), &message).unwrap().withdrawals();
        let message = ipfix_message(&data);
        let decoded = decoder.decode(&(), &message).unwrap();
        let ids: Vec<u16> = decoded
            .data_sets()
            .iter()
            .map(|set| set.template().id())
            .collect();
        (withdrawals, ids)
    };
    assert_eq!(known(&templates), (0, vec![256, 257, 258]));
    assert_eq!(known(&[0, 2, 0, 8, 1, 1, 0, 0]), (1, vec![256, 258]));
    assert_eq!(known(&templates), (0, vec![256, 257, 258]));
    // All of a kind.
    assert_eq!(known(&[0, 2, 0, 8, 0, 2, 0, 0]), (1, vec![258]));
    assert_eq!(known(&[0, 3, 0, 8, 0, 3, 0, 0]), (1, vec![]));
}

/// Sets are read in their order: a template holds for the Data Sets after it, also when it replaces
/// another in the middle of a message.
///
/// Shows 7011/8.4/replace, 3954/9/override.
#[test]
fn a_template_replaced_within_a_message() {
    let message = ipfix_message(&[
        0, 2, 0, 12, 1, 0, 0, 1, 0, 4, 0, 1, // 256: protocolIdentifier
        1, 0, 0, 6, 6, 17, // two records
        0, 2, 0, 12, 1, 0, 0, 1, 0, 7, 0, 2, // 256: sourceTransportPort
        1, 0, 0, 6, 1, 187, // one record
    ]);
    let mut decoder = Decoder::new(DecoderLimits::default());
    let decoded = decoder.decode(&(), &message).unwrap();
    let values: Vec<(u16, Option<u64>)> = decoded
        .records()
        .flat_map(|record| record.values())
        .map(|value| (value.field().id(), value.unsigned()))
        .collect();
    assert_eq!(values, [(4, Some(6)), (4, Some(17)), (7, Some(443))]);
    assert_eq!(decoder.fields(), 1);
}

/// Shows 7011/9.1/log.
#[test]
fn errors_of_messages_say_where_and_what() {
    let mut decoder = Decoder::new(DecoderLimits::default());
    let mut fatal = |octets: &[u8]| decoder.decode(&(), octets).unwrap_err().to_string();
    assert_eq!(
        fatal(&[0]),
        "octet 0: message header: 2 octets needed, 1 there (RFC 7011 section 3.1)"
    );
    assert_eq!(
        fatal(&[0, 8, 0, 0]),
        "octet 0: message header: version 8 is not 10 (IPFIX), 9 (NetFlow v9) or 5 (NetFlow v5) \
         (RFC 7011 section 3.1)"
    );
    assert_eq!(
        fatal(&[0, 10, 0, 16, 0]),
        "octet 0: message header: 16 octets needed, 5 there (RFC 7011 section 3.1)"
    );
    assert_eq!(
        fatal(&ipfix_message(&[])[..15]),
        "octet 0: message header: 16 octets needed, 15 there (RFC 7011 section 3.1)"
    );
    let mut short = ipfix_message(&[]);
    short[3] = 15;
    assert_eq!(
        fatal(&short),
        "octet 2: message header: length 15 is shorter than the header (RFC 7011 section 3.1)"
    );
    assert_eq!(
        fatal(&ipfix_message(&[1, 0, 0, 4])[..18]),
        "octet 0: message: 20 octets needed, 18 there (RFC 7011 section 3.1)"
    );
    assert_eq!(
        fatal(&ipfix_message(&[1, 0, 0, 9, 0, 0])),
        "octet 16: set: 9 octets needed, 6 there (RFC 7011 section 3.3.2)"
    );
    assert_eq!(
        fatal(&ipfix_message(&[1, 0, 0, 3])),
        "octet 16: set header: length 3 is shorter than the header (RFC 7011 section 3.3.2)"
    );
    assert_eq!(
        fatal(&ipfix_message(&[1, 0, 0])),
        "octet 16: set header: 4 octets needed, 3 there (RFC 7011 section 3.3.2)"
    );
    assert_eq!(
        fatal(&[0, 9, 0]),
        "octet 0: message header: 20 octets needed, 3 there (RFC 3954 section 5.1)"
    );
    assert_eq!(
        fatal(&v9_message(&[1, 0, 0, 9, 0, 0])),
        "octet 20: set: 9 octets needed, 6 there (RFC 3954 section 5)"
    );

    let error = decoder.decode(&(), &[0, 9, 0]).unwrap_err();
    assert_eq!((error.offset, error.what), (0, "message header"));
    assert_eq!(error.clause(), Some("RFC 3954 section 5.1"));
    assert!(matches!(
        error.kind,
        DecodeErrorKind::Truncated {
            needed: 20,
            available: 3
        }
    ));
}

#[test]
fn errors_in_sets_say_where_and_what() {
    let mut decoder = Decoder::new(DecoderLimits {
        fields_per_template: 9,
        ..DecoderLimits::default()
    });
    // In IPFIX those of lengths are errors of the message (RFC 7011 section 9.1).
    let mut in_set = |message: Vec<u8>| match decoder.decode(&(), &message) {
        Ok(decoded) => {
            let error = decoded.errors()[0];
            let truncated = matches!(error.kind, DecodeErrorKind::Truncated { .. });
            assert!(!truncated || decoded.header().protocol == Protocol::NetflowV9);
            error.to_string()
        }
        Err(error) => {
            assert!(matches!(error.kind, DecodeErrorKind::Truncated { .. }));
            assert_eq!(message[1], 10);
            error.to_string()
        }
    };
    let mut in_ipfix = |sets: &[u8]| in_set(ipfix_message(sets));
    assert_eq!(
        in_ipfix(&[0, 2, 0, 12, 1, 0, 0, 2, 0, 4, 0, 1]),
        "octet 28: field specifier: 2 octets needed, 0 there (RFC 7011 section 3.2)"
    );
    assert_eq!(
        in_ipfix(&[0, 2, 0, 12, 0, 255, 0, 1, 0, 4, 0, 1]),
        "octet 20: template record: template id 255 is below 256 (RFC 7011 section 3.4.1)"
    );
    assert_eq!(
        in_ipfix(&[0, 2, 0, 12, 1, 0, 0, 1, 0, 4, 0, 0]),
        "octet 20: template record: its records would have no octets (RFC 7011 section 3.4.1)"
    );
    // A limit of ours is no clause of theirs.
    assert_eq!(
        in_ipfix(&[0, 2, 0, 8, 1, 0, 0, 10]),
        "octet 20: template record: 10 fields are more than the limit allows"
    );
    assert_eq!(
        in_ipfix(&[0, 3, 0, 14, 1, 0, 0, 1, 0, 0, 0, 4, 0, 1]),
        "octet 20: options template record: the scope does not fit the fields (RFC 7011 section \
         3.4.2.2)"
    );
    assert_eq!(
        in_ipfix(&[0, 3, 0, 8, 1, 0, 0, 1]),
        "octet 24: options template record: 2 octets needed, 0 there (RFC 7011 section 3.4.2.2)"
    );
    assert_eq!(
        in_ipfix(&[0, 7, 0, 4]),
        "octet 16: set: set id 7 is reserved (RFC 7011 section 3.3.2)"
    );
    // A variable length beyond the set: 5 octets of the value are there, with the prefix.
    assert_eq!(
        in_ipfix(&[
            0, 2, 0, 16, 1, 0, 0, 2, 0, 4, 0, 1, 0, 82, 0xff, 0xff, //
            1, 0, 0, 10, 6, 200, 1, 2, 3, 4,
        ]),
        "octet 37: field: 201 octets needed, 5 there (RFC 7011 section 7)"
    );
    // A fixed field after it.
    assert_eq!(
        in_ipfix(&[
            0, 2, 0, 16, 1, 0, 0, 2, 0, 82, 0xff, 0xff, 0, 1, 0, 4, //
            1, 0, 0, 9, 3, 1, 2, 3, 4,
        ]),
        "octet 40: field: 4 octets needed, 1 there (RFC 7011 section 3.4.3)"
    );
    let mut in_v9 = |sets: &[u8]| in_set(v9_message(sets));
    assert_eq!(
        in_v9(&[0, 0, 0, 8, 1, 0, 0, 0]),
        "octet 24: template record: it has no fields (RFC 3954 section 5.2)"
    );
    assert_eq!(
        in_v9(&[0, 0, 0, 12, 1, 0, 0, 2, 0, 4, 0, 1]),
        "octet 32: field specifier: 2 octets needed, 0 there (RFC 3954 section 5.2)"
    );
    assert_eq!(
        in_v9(&[0, 1, 0, 14, 1, 0, 0, 3, 0, 4, 0, 1, 0, 4]),
        "octet 24: options template record: the scope does not fit the fields (RFC 3954 section \
         6.1)"
    );
}

fn v9_message(sets: &[u8]) -> Vec<u8> {
    let mut message = vec![0, 9, 0, 1];
    message.extend([0; 16]);
    message.extend(sets);
    message
}

/// All that is remembered stays within the limits, and what is in use is kept.
#[test]
fn memory_is_bounded() {
    let limits = DecoderLimits {
        sessions: 4,
        domains_per_session: 3,
        templates_per_domain: 5,
        fields_per_template: 6,
        fields_per_session: 14,
        total_fields: 20,
        ..DecoderLimits::default()
    };
    let mut decoder = Decoder::new(limits);
    let template = |id: u8, fields: u8| {
        let length = 8 + 4 * fields;
        let mut set = vec![0, 2, 0, length, 1, id, 0, fields];
        (0..fields).for_each(|_| set.extend([0, 4, 0, 1]));
        ipfix_message(&set)
    };
    for round in 0..2000_u32 {
        let [.., domain, low] = round.to_be_bytes();
        let mut message = template(low % 7, 1 + low % 8);
        message[12] = domain;
        message[15] = low % 5;
        let decoded = decoder.decode(&(round % 9), &message).unwrap();
        assert_eq!(decoded.errors().len(), usize::from(low % 8 >= 6));
        assert!(decoder.sessions() <= 4);
        assert!(decoder.fields() <= 20);
    }
    // The oldest template of a domain goes first.
    let mut decoder = Decoder::new(limits);
    for id in 0..5 {
        let _ = decoder.decode(&0, &template(id, 1)).unwrap();
    }
    let use_of_0 = ipfix_message(&[1, 0, 0, 5, 6]);
    assert_eq!(decoder.decode(&0, &use_of_0).unwrap().records().count(), 1);
    let _ = decoder.decode(&0, &template(5, 1)).unwrap();
    assert_eq!(decoder.decode(&0, &use_of_0).unwrap().records().count(), 1);
    let use_of_1 = ipfix_message(&[1, 1, 0, 5, 6]);
    assert_eq!(decoder.decode(&0, &use_of_1).unwrap().unknown().len(), 1);
}

/// A session that announces without end loses its own templates, not those of others.
#[test]
fn a_greedy_session_harms_itself() {
    let mut decoder = Decoder::new(DecoderLimits {
        fields_per_session: 3,
        total_fields: 4,
        ..DecoderLimits::default()
    });
    let template = |id: u8| ipfix_message(&[0, 2, 0, 12, 1, id, 0, 1, 0, 4, 0, 1]);
    let data = |id: u8| ipfix_message(&[1, id, 0, 5, 6]);
    let _ = decoder.decode(&"modest", &template(0)).unwrap();
    for id in 0..100 {
        let _ = decoder.decode(&"greedy", &template(id)).unwrap();
    }
    assert_eq!((decoder.sessions(), decoder.fields()), (2, 4));
    let mut knows = |session, id| {
        let message = data(id);
        decoder
            .decode(&session, &message)
            .unwrap()
            .unknown()
            .is_empty()
    };
    assert!(knows("modest", 0));
    assert!(knows("greedy", 97) && knows("greedy", 99) && !knows("greedy", 96));
}

/// Hostile input: hundreds of thousands of mutations of real messages, in one decoder. Nothing
/// panics, everything ends, everything is bounded.
#[test]
fn mutated_messages() {
    let limits = DecoderLimits {
        sessions: 4,
        domains_per_session: 4,
        templates_per_domain: 8,
        fields_per_template: 64,
        fields_per_session: 100,
        total_fields: 256,
        ..DecoderLimits::default()
    };
    let mut corpus = Vec::new();
    for protocol in [Protocol::Ipfix, Protocol::NetflowV9] {
        corpus.extend(messages(
            protocol,
            SessionOptions {
                templates: TemplateSchedule {
                    copy_after_messages: 1,
                    ..TemplateSchedule::udp()
                },
                ..SessionOptions::udp(protocol, 7, INIT_MS)
            },
        ));
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut decoder = Decoder::new(limits);
    let (mut records, mut refused, mut mistakes) = (0_u64, 0_u64, 0_u64);
    for _ in 0..200_000 {
        let mut message = corpus[random.below(corpus.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut message, &mut random);
        }
        match decoder.decode(&random.below(6), &message) {
            Ok(decoded) => {
                mistakes += decoded.errors().len() as u64;
                let mut octets = 0;
                for record in decoded.records() {
                    records += 1;
                    octets += record.octets().len();
                    for value in record.values() {
                        let _ = (value.unsigned(), value.signed(), value.float());
                        let _ = (value.text(), value.ip_address(), value.mac_address());
                        let _ = (value.unix_ms(), value.unix_ns(), value.boolean());
                    }
                }
                assert!(octets <= message.len());
                assert!(decoded.length() <= message.len());
            }
            Err(error) => {
                refused += 1;
                assert!(error.offset <= message.len());
                assert!(!error.to_string().is_empty());
            }
        }
        assert!(decoder.sessions() <= limits.sessions);
        assert!(decoder.fields() <= limits.total_fields);
    }
    // The mutations reach everything: good records, refused messages, mistakes in sets.
    assert!(records > 10_000 && refused > 10_000 && mistakes > 1_000);
}

fn mutate(message: &mut Vec<u8>, random: &mut Random) {
    const INTERESTING: [u8; 8] = [0, 1, 2, 3, 4, 0x7f, 0x80, 0xff];
    let at = random.below(message.len().max(1));
    match random.below(6) {
        0 => message.truncate(at),
        1 => message.extend_from_within(at..),
        2 => {
            if let Some(octet) = message.get_mut(at) {
                *octet ^= 1 << random.below(8);
            }
        }
        3 => {
            if at < message.len() {
                message.remove(at);
            }
        }
        4 => {
            // The length of an IPFIX message set right again, so that the change is not refused early.
            if let (Ok(length), Some(field)) = (u16::try_from(message.len()), message.get_mut(2..4))
            {
                field.copy_from_slice(&length.to_be_bytes());
            }
        }
        _ => {
            if let Some(octet) = message.get_mut(at) {
                *octet = INTERESTING[random.below(8)];
            }
        }
    }
}

/// Marsaglia's xorshift: the same sequence in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}
