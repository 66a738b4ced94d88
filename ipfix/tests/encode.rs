//! Writing messages: limits, schedules, mistakes. Whole messages octet by octet are in `golden`.

use std::fmt::Write as _;

use ipfix::{
    AbstractType, Context, Element, Layout, LayoutError, Protocol, RegisterError, Semantics,
    Session, SessionOptions, StaleMessage, TemplateSchedule, WriteError, Written, elements as ie,
    v9_scope,
};

/// 2026-11-24 16:00:00.250 UTC.
const NOW_MS: u64 = 1_795_536_000_250;
/// 100 seconds before.
const INIT_MS: u64 = NOW_MS - 100_000;

struct Flow {
    source: [u8; 4],
    packets: u64,
    flags: u64,
    end_ms: u64,
}

const FLOW: Flow = Flow {
    source: [192, 0, 2, 1],
    packets: 0x0102,
    flags: 0x0112,
    end_ms: NOW_MS - 50,
};

fn flow_layout(protocol: Protocol) -> Layout<Flow> {
    flow_layout_as(protocol, 256)
}

fn flow_layout_as(protocol: Protocol, template_id: u16) -> Layout<Flow> {
    let layout = Layout::builder(protocol, template_id)
        .octets(ie::SOURCE_IPV4_ADDRESS, |flow: &Flow, _| flow.source)
        .unsigned(ie::PACKET_DELTA_COUNT, 3, |flow, _| flow.packets)
        .unsigned(ie::TCP_CONTROL_BITS, 1, |flow, _| flow.flags);
    match protocol {
        Protocol::Ipfix => layout.unsigned(ie::FLOW_END_MILLISECONDS, 8, |flow, _| flow.end_ms),
        Protocol::NetflowV9 | Protocol::NetflowV5 => {
            layout.uptime(ie::FLOW_END_SYS_UP_TIME, |flow| flow.end_ms)
        }
    }
    .unsigned(ie::IP_VERSION, 1, |_, _| 4)
    .build()
    .unwrap()
}

struct Sampling {
    interval: u64,
}

fn sampling_layout(protocol: Protocol) -> Layout<Sampling> {
    let builder = Layout::options_builder(protocol, 300);
    match protocol {
        Protocol::Ipfix => builder.unsigned(ie::OBSERVATION_DOMAIN_ID, 4, |_, _| 7),
        Protocol::NetflowV9 | Protocol::NetflowV5 => {
            builder.unsigned(v9_scope::SYSTEM, 4, |_, _| 7)
        }
    }
    .end_of_scope()
    .unsigned(ie::SAMPLING_INTERVAL, 4, |sampling: &Sampling, _| {
        sampling.interval
    })
    .build()
    .unwrap()
}

fn session(protocol: Protocol) -> Session {
    Session::new(SessionOptions {
        first_sequence: 0x0a0b_0c0d,
        ..SessionOptions::udp(protocol, 7, INIT_MS)
    })
}

/// Fills messages to every limit and checks that what is full shows no trace.
///
/// Shows 7011/10.3.3/limit.
#[test]
fn full_leaves_no_trace_at_any_limit() {
    for protocol in [Protocol::Ipfix, Protocol::NetflowV9] {
        let (flows, sampling) = (flow_layout(protocol), sampling_layout(protocol));
        for max_message in 80..400 {
            let mut session = Session::new(SessionOptions {
                max_message,
                ..SessionOptions::udp(protocol, 7, INIT_MS)
            });
            if session.register(&flows).is_err() || session.register(&sampling).is_err() {
                continue;
            }
            let mut written = 0;
            for round in 0..4 {
                let mut buffer = vec![0xa5; 3];
                let mut writer = session.begin(&mut buffer, NOW_MS);
                let mut sets = 0;
                // Alternating layouts, then runs of one.
                let full = loop {
                    let result = if sets % 2 == 0 || round == 3 {
                        writer.write(&flows, &FLOW)
                    } else {
                        writer.write(&sampling, &Sampling { interval: 1 })
                    };
                    match result.unwrap() {
                        Written::Done => sets += 1,
                        Written::Full => break sets,
                    }
                };
                assert_eq!(writer.data_records(), full);
                let first = writer.finish().unwrap();
                let after_full = buffer.clone();
                assert!(first.length() <= usize::from(max_message));
                assert_eq!(first.length(), buffer.len() - 3);
                assert_eq!(first.length() % 4, 0);

                // The same records without the one that did not fit give the same octets.
                buffer.truncate(3);
                let mut writer = session.begin(&mut buffer, NOW_MS);
                for at in 0..full {
                    let result = if at % 2 == 0 || round == 3 {
                        writer.write(&flows, &FLOW)
                    } else {
                        writer.write(&sampling, &Sampling { interval: 1 })
                    };
                    assert_eq!(result, Ok(Written::Done));
                }
                let second = writer.finish().unwrap();
                assert_eq!(hex(&buffer), hex(&after_full));
                assert_eq!(session.commit(first), Err(StaleMessage));
                written += second.data_records();
                session.commit(second).unwrap();
            }
            assert!(written >= 2, "{protocol} {max_message}: no progress");
        }
    }
}

#[test]
fn batches_are_the_same_octets_as_single_records() {
    let layout = flow_layout(Protocol::Ipfix);
    let flows: Vec<Flow> = (0..100)
        .map(|n| Flow {
            packets: n * 1000,
            ..FLOW
        })
        .collect();
    for max_message in 90..300 {
        let mut session = Session::new(SessionOptions {
            max_message,
            ..SessionOptions::udp(Protocol::Ipfix, 1, 0)
        });
        session.register(&layout).unwrap();
        let (mut single, mut batch) = (Vec::new(), Vec::new());
        let mut writer = session.begin(&mut single, NOW_MS);
        let mut written = 0;
        while writer.write(&layout, &flows[written]).unwrap() == Written::Done {
            written += 1;
        }
        let _ = writer.finish().unwrap();
        let mut writer = session.begin(&mut batch, NOW_MS);
        assert_eq!(writer.write_all(&layout, &flows), Ok(written));
        let _ = writer.finish().unwrap();
        assert_eq!(hex(&single), hex(&batch));
    }
}

/// Streams and files have messages up to what their length field can tell, 65,535 octets.
#[test]
fn messages_of_any_length() {
    let layout = flow_layout(Protocol::Ipfix);
    let flows: Vec<Flow> = (0..10_000).map(|_| FLOW).collect();
    for max_message in [u16::MAX, 65_534, 65_533, 65_532, 8192, 4097, 4096, 4095] {
        let messages = [true, false].map(|batch| {
            let mut session = Session::new(SessionOptions {
                max_message,
                ..SessionOptions::reliable(Protocol::Ipfix, 1, 0)
            });
            session.register(&layout).unwrap();
            let mut buffer = vec![0xa5; 3];
            let mut writer = session.begin(&mut buffer, NOW_MS);
            if batch {
                let _ = writer.write_all(&layout, &flows).unwrap();
            } else {
                while writer.write(&layout, &FLOW).unwrap() == Written::Done {}
            }
            let message = writer.finish().unwrap();
            let header = 16 + 28 + 4;
            let records = (usize::from(max_message) / 4 * 4 - header) / 17;
            assert_eq!(usize::try_from(message.data_records()).unwrap(), records);
            assert!(message.length() <= usize::from(max_message));
            assert_eq!(buffer.len(), 3 + message.length());
            buffer
        });
        assert!(messages[0] == messages[1]);
        let length = u16::from_be_bytes([messages[0][3 + 2], messages[0][3 + 3]]);
        assert_eq!(usize::from(length), messages[0].len() - 3);
    }
}

#[test]
fn an_unfinished_or_empty_message_leaves_the_buffer() {
    let layout = flow_layout(Protocol::Ipfix);
    let mut session = session(Protocol::Ipfix);
    let mut buffer = vec![1, 2, 3];
    // No template is registered: there is nothing to say.
    assert!(session.begin(&mut buffer, NOW_MS).finish().is_none());
    assert_eq!(buffer, [1, 2, 3]);
    session.register(&layout).unwrap();
    let mut writer = session.begin(&mut buffer, NOW_MS);
    assert_eq!(writer.write(&layout, &FLOW), Ok(Written::Done));
    drop(writer);
    assert_eq!(buffer, [1, 2, 3]);
    assert_eq!(session.sequence(), 0x0a0b_0c0d);
    assert!(session.templates_due(NOW_MS));
}

/// RFC 7011 section 3.3.1: padding is shorter than any record of the set.
///
/// Shows 7011/3.3.1/padding-shorter.
#[test]
fn padding_is_shorter_than_a_record() {
    for octets in 1..=4_u16 {
        let layout = Layout::builder(Protocol::Ipfix, 256)
            .unsigned(ie::PACKET_DELTA_COUNT, octets, |value: &u64, _| *value)
            .build()
            .unwrap();
        let mut session = session(Protocol::Ipfix);
        session.register(&layout).unwrap();
        let mut buffer = Vec::new();
        let mut writer = session.begin(&mut buffer, NOW_MS);
        assert_eq!(writer.write(&layout, &1), Ok(Written::Done));
        let _ = writer.finish().unwrap();
        let set = &buffer[16 + 12..];
        let wanted: &[u8] = match octets {
            // 3 octets of padding would be three records.
            1 => &[1, 0, 0, 5, 1],
            2 => &[1, 0, 0, 6, 0, 1],
            3 => &[1, 0, 0, 8, 0, 0, 1, 0],
            _ => &[1, 0, 0, 8, 0, 0, 0, 1],
        };
        assert_eq!(set, wanted);
    }
}

/// Shows 7011/3.1/sequence, 3954/5.1/sequence.
#[test]
fn sequence_numbers_wrap() {
    for protocol in [Protocol::Ipfix, Protocol::NetflowV9] {
        let layout = flow_layout(protocol);
        let mut session = Session::new(SessionOptions {
            first_sequence: u32::MAX,
            ..SessionOptions::udp(protocol, 7, INIT_MS)
        });
        session.register(&layout).unwrap();
        let mut send = |records: &[Flow]| {
            let mut buffer = Vec::new();
            let mut writer = session.begin(&mut buffer, NOW_MS);
            assert_eq!(writer.write_all(&layout, records), Ok(records.len()));
            let message = writer.finish()?;
            let sequence = message.sequence();
            session.commit(message).unwrap();
            Some(sequence)
        };
        assert_eq!(send(&[]), Some(u32::MAX), "templates alone");
        let next = match protocol {
            Protocol::Ipfix => [u32::MAX, 2],
            Protocol::NetflowV9 | Protocol::NetflowV5 => [0, 1],
        };
        assert_eq!(send(&[FLOW, FLOW, FLOW]), Some(next[0]));
        assert_eq!(send(&[FLOW]), Some(next[1]));
    }
}

/// Shows 7011/8.4/again, 7011/8.4/again-configurable, 3954/7/clock.
#[test]
fn templates_follow_the_schedule() {
    let layout = flow_layout(Protocol::Ipfix);
    let mut session = Session::new(SessionOptions {
        templates: TemplateSchedule {
            copies: 2,
            copy_after_ms: 500,
            copy_after_messages: 3,
            every_ms: Some(60_000),
            every_messages: Some(10),
        },
        ..SessionOptions::udp(Protocol::Ipfix, 7, INIT_MS)
    });
    session.register(&layout).unwrap();
    let send = |session: &mut Session, now_ms: u64, commit: bool| {
        let due = session.templates_due(now_ms);
        let mut buffer = Vec::new();
        let mut writer = session.begin(&mut buffer, now_ms);
        assert_eq!(writer.write(&layout, &FLOW), Ok(Written::Done));
        let message = writer.finish().unwrap();
        assert_eq!(message.templates() == 1, due);
        if commit {
            session.commit(message).unwrap();
        }
        due
    };
    // Not committed: still due.
    assert!(send(&mut session, 1000, false));
    assert!(send(&mut session, 1000, true));
    // The second copy after 3 messages.
    assert!(!send(&mut session, 1000, true));
    assert!(!send(&mut session, 1499, true));
    assert!(!send(&mut session, 1499, true));
    assert!(send(&mut session, 1499, true));
    // Then after 60 seconds ...
    assert!(!send(&mut session, 61_498, true));
    assert!(send(&mut session, 61_499, true));
    // ... or 10 messages.
    for _ in 0..10 {
        assert!(!send(&mut session, 61_499, true));
    }
    assert!(send(&mut session, 61_499, true));
    // A collector came back: two copies again, the second by time.
    session.resend_templates();
    assert!(send(&mut session, 61_500, false));
    assert!(send(&mut session, 61_500, true));
    assert!(!send(&mut session, 61_999, true));
    assert!(send(&mut session, 62_000, true));
    assert!(!send(&mut session, 63_000, true));
    // The clock was set back.
    assert!(send(&mut session, 10_000, true));
    assert!(!send(&mut session, 10_000, true));
}

#[test]
fn once_is_once() {
    let layout = flow_layout(Protocol::Ipfix);
    let mut session = Session::new(SessionOptions {
        templates: TemplateSchedule::once(),
        ..SessionOptions::udp(Protocol::Ipfix, 7, INIT_MS)
    });
    session.register(&layout).unwrap();
    let mut buffer = Vec::new();
    let message = session.begin(&mut buffer, NOW_MS).finish().unwrap();
    assert_eq!(message.templates(), 1);
    session.commit(message).unwrap();
    assert!(!session.templates_due(u64::MAX));
}

/// Templates so long and so often due that a message has no room for anything else must not keep
/// the data back for ever.
#[test]
fn scheduled_templates_do_not_starve_the_data() {
    let layouts: Vec<Layout<Flow>> = (256..262)
        .map(|id| {
            let mut builder = Layout::builder(Protocol::Ipfix, id);
            for _ in 0..10 {
                builder =
                    builder.unsigned(ie::PACKET_DELTA_COUNT, 8, |flow: &Flow, _| flow.packets);
            }
            builder.build().unwrap()
        })
        .collect();
    let mut session = Session::new(SessionOptions {
        max_message: 160,
        templates: TemplateSchedule {
            every_messages: Some(1),
            ..TemplateSchedule::udp()
        },
        ..SessionOptions::udp(Protocol::Ipfix, 7, INIT_MS)
    });
    for layout in &layouts {
        session.register(layout).unwrap();
    }
    let mut data_records = 0;
    for round in 0..40 {
        let mut buffer = Vec::new();
        let mut writer = session.begin(&mut buffer, NOW_MS);
        let _ = writer.write(&layouts[round % 6], &FLOW).unwrap();
        let message = writer.finish().unwrap();
        data_records += message.data_records();
        session.commit(message).unwrap();
    }
    assert!(data_records >= 19, "{data_records}");
}

/// Shows 7011/6.2/fits, 7011/6.1.9/low-bits-zero.
#[test]
fn values_are_fitted_to_their_field() {
    let layout = Layout::builder(Protocol::Ipfix, 256)
        .unsigned(ie::PACKET_DELTA_COUNT, 2, |value: &i64, _| {
            value.unsigned_abs()
        })
        .unsigned(ie::TCP_CONTROL_BITS, 1, |value, _| value.unsigned_abs())
        .signed(ie::MIB_OBJECT_VALUE_INTEGER, 2, |value, _| *value)
        .text(ie::INTERFACE_NAME, 4, |_| "eth\u{e9}")
        .boolean(ie::DATA_RECORDS_RELIABILITY, |value| *value > 0)
        .timestamp(ie::FLOW_START_MICROSECONDS, |_| 1_000_999_999)
        .timestamp(ie::FLOW_START_NANOSECONDS, |_| 1_000_999_999)
        .float64(ie::SAMPLING_PROBABILITY, |_, _| 0.5)
        .build()
        .unwrap();
    let mut session = session(Protocol::Ipfix);
    session.register(&layout).unwrap();
    let mut buffer = Vec::new();
    let mut writer = session.begin(&mut buffer, NOW_MS);
    assert_eq!(writer.write_all(&layout, &[0x1_0203, -0x8001]), Ok(2));
    let _ = writer.finish().unwrap();
    let records = &buffer[buffer.len() - 2 * 34..];
    #[rustfmt::skip]
    let wanted = [
        // A counter that does not fit is the largest that does; flags keep the low bits; signed
        // values keep their sign; the text is cut before the character that does not fit.
        0xff, 0xff, 0x03, 0x7f, 0xff, b'e', b't', b'h', 0, 1,
        // Section 6.1.9: 1 s after 1970, 999 us in steps of 2^-21 s, rounded up.
        0x83, 0xaa, 0x7e, 0x81, 0x00, 0x41, 0x80, 0x00,
        // Section 6.1.10.
        0x83, 0xaa, 0x7e, 0x81, 0x00, 0x41, 0x89, 0x34,
        0x3f, 0xe0, 0, 0, 0, 0, 0, 0,
        0x80, 0x01, 0x01, 0x80, 0x00, b'e', b't', b'h', 0, 2,
        0x83, 0xaa, 0x7e, 0x81, 0x00, 0x41, 0x80, 0x00,
        0x83, 0xaa, 0x7e, 0x81, 0x00, 0x41, 0x89, 0x34,
        0x3f, 0xe0, 0, 0, 0, 0, 0, 0,
    ];
    assert_eq!(hex(records), hex(&wanted));
}

/// RFC 7011 section 6: columns that know their type, and refuse others.
#[test]
fn typed_columns() {
    use std::net::{Ipv4Addr, Ipv6Addr};
    const WIDE: Element =
        Element::enterprise(9, 1, "wide", AbstractType::Unsigned256, Semantics::Quantity);
    const SINGLE: Element =
        Element::enterprise(9, 2, "single", AbstractType::Float32, Semantics::Quantity);
    let wide = |octets: &[u8]| {
        let mut value = [0; 32];
        value[32 - octets.len()..].copy_from_slice(octets);
        value
    };
    let start = || Layout::<()>::builder(Protocol::Ipfix, 256);
    let layout = start()
        .ipv4(ie::SOURCE_IPV4_ADDRESS, |(), _| Ipv4Addr::new(192, 0, 2, 1))
        .ipv6(ie::SOURCE_IPV6_ADDRESS, |(), _| Ipv6Addr::LOCALHOST)
        .mac(ie::SOURCE_MAC_ADDRESS, |(), _| [2, 0, 0, 0, 0, 5])
        .seconds(ie::FLOW_START_SECONDS, |(), _| 0x6b05_b480)
        .seconds(ie::FLOW_END_SECONDS, |(), _| 1 << 32)
        .milliseconds(ie::FLOW_END_MILLISECONDS, |(), context| {
            context.export_time_ms
        })
        .float32(ie::SAMPLING_PROBABILITY, |(), _| 0.5)
        .float32(SINGLE, |(), _| -1.0)
        .unsigned256(WIDE, 32, move |(), _| wide(&[1, 2]))
        .unsigned256(WIDE, 2, move |(), _| wide(&[1, 2]))
        .unsigned256(WIDE, 2, move |(), _| wide(&[1, 0, 0]))
        .unsigned(WIDE, 3, |(), _| 0x01_0203)
        .variable_text(ie::INTERFACE_NAME, |()| "eth\u{e9}")
        .build()
        .unwrap();
    let mut session = session(Protocol::Ipfix);
    session.register(&layout).unwrap();
    let mut buffer = Vec::new();
    let mut writer = session.begin(&mut buffer, NOW_MS);
    assert_eq!(writer.write(&layout, &()), Ok(Written::Done));
    let _ = writer.finish().unwrap();
    #[rustfmt::skip]
    let mut wanted = vec![
        192, 0, 2, 1,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
        2, 0, 0, 0, 0, 5,
        0x6b, 0x05, 0xb4, 0x80, 0, 0, 0, 0,
        0x00, 0x00, 0x01, 0xa2, 0x0e, 0x49, 0x14, 0xfa,
        0x3f, 0, 0, 0, 0xbf, 0x80, 0, 0,
    ];
    wanted.extend([0; 30]);
    wanted.extend([1, 2, 1, 2, 0xff, 0xff, 1, 2, 3]);
    wanted.extend([5, b'e', b't', b'h', 0xc3, 0xa9]);
    let end = 16 + 4 + layout.template_record().len() + 4;
    assert_eq!(hex(&buffer[end..][..wanted.len()]), hex(&wanted));

    let number = ie::PACKET_DELTA_COUNT;
    let refused = [
        start().ipv4(number, |(), _| Ipv4Addr::LOCALHOST),
        start().ipv6(number, |(), _| Ipv6Addr::LOCALHOST),
        start().mac(number, |(), _| [0; 6]),
        start().seconds(number, |(), _| 0),
        start().milliseconds(number, |(), _| 0),
        start().float32(number, |(), _| 0.0),
        start().float64(SINGLE, |(), _| 0.0),
        start().unsigned256(number, 8, |(), _| [0; 32]),
        start().variable_text(ie::BASIC_LIST, |()| ""),
    ];
    for builder in refused {
        let error = builder.build().unwrap_err();
        assert!(matches!(error, LayoutError::WrongType { .. }), "{error}");
    }
    // Section 6.2: no longer than natural, none shorter than an octet.
    for length in [0, 33] {
        let error = start().unsigned256(WIDE, length, |(), _| [0; 32]).build();
        assert_eq!(
            error.unwrap_err(),
            LayoutError::IllegalLength {
                element: WIDE,
                length
            }
        );
    }
}

/// Columns compiled together are the same template and the same octets as columns one by one.
#[test]
fn groups_are_the_same_columns() {
    const SIGNED: Element = ie::MIB_OBJECT_VALUE_INTEGER;
    let number = |value: &i64| value.unsigned_abs();
    let alone = Layout::builder(Protocol::Ipfix, 256)
        .unsigned(ie::TCP_CONTROL_BITS, 1, move |value: &i64, _| number(value))
        .octets(ie::SOURCE_MAC_ADDRESS, |_, _| [1, 2, 3, 4, 5, 6])
        .unsigned(ie::PACKET_DELTA_COUNT, 2, move |value, _| number(value))
        .signed(SIGNED, 3, |value, _| *value)
        .uptime(ie::FLOW_END_SYS_UP_TIME, |_| NOW_MS)
        .text(ie::INTERFACE_NAME, 3, |_| "lo")
        .unsigned(ie::FLOW_END_MILLISECONDS, 8, |_, context| {
            context.export_time_ms
        })
        .variable(ie::INTERFACE_DESCRIPTION, |_| b"x")
        .unsigned(ie::IP_VERSION, 1, |_, _| 4)
        .unsigned(ie::OCTET_DELTA_COUNT, 8, move |value, _| number(value))
        .build()
        .unwrap();
    let together = Layout::builder(Protocol::Ipfix, 256)
        .unsigned(ie::TCP_CONTROL_BITS, 1, move |value: &i64, _| number(value))
        .group(|columns| {
            columns
                .octets(ie::SOURCE_MAC_ADDRESS, |_, _| [1, 2, 3, 4, 5, 6])
                .unsigned::<2, _>(ie::PACKET_DELTA_COUNT, move |value, _| number(value))
                .signed::<3, _>(SIGNED, |value, _| *value)
                .uptime(ie::FLOW_END_SYS_UP_TIME, |_| NOW_MS)
        })
        .text(ie::INTERFACE_NAME, 3, |_| "lo")
        .group(|columns| {
            columns.unsigned::<8, _>(ie::FLOW_END_MILLISECONDS, |_, context| {
                context.export_time_ms
            })
        })
        .variable(ie::INTERFACE_DESCRIPTION, |_| b"x")
        .group(|columns| columns)
        .group(|columns| {
            columns
                .unsigned::<1, _>(ie::IP_VERSION, |_, _| 4)
                .unsigned::<8, _>(ie::OCTET_DELTA_COUNT, move |value, _| number(value))
        })
        .build()
        .unwrap();
    assert_eq!(alone.template_record(), together.template_record());
    assert_eq!(alone.fields(), together.fields());
    let messages = [alone, together].map(|layout| {
        let mut session = session(Protocol::Ipfix);
        session.register(&layout).unwrap();
        let mut buffer = Vec::new();
        let mut writer = session.begin(&mut buffer, NOW_MS);
        assert_eq!(writer.write_all(&layout, &[-5, i64::MAX, 0x1_0203]), Ok(3));
        let _ = writer.finish().unwrap();
        hex(&buffer)
    });
    assert_eq!(messages[0], messages[1]);

    let start = || Layout::<i64>::builder(Protocol::Ipfix, 256);
    let element = ie::SOURCE_IPV4_ADDRESS;
    let refused = start().group(|columns| columns.unsigned::<4, _>(element, |_, _| 0));
    assert_eq!(
        refused.build().unwrap_err(),
        LayoutError::WrongType {
            element,
            given: "unsigned"
        }
    );
    for length in [0, 9] {
        let element = ie::PACKET_DELTA_COUNT;
        let refused = if length == 0 {
            start().group(|columns| columns.unsigned::<0, _>(element, |_, _| 0))
        } else {
            start().group(|columns| columns.unsigned::<9, _>(element, |_, _| 0))
        };
        assert_eq!(
            refused.build().unwrap_err(),
            LayoutError::IllegalLength { element, length }
        );
    }
}

#[test]
fn golden_enterprise_and_variable_length() {
    const SECRET: Element = Element::enterprise(
        0x0001_0203,
        5,
        "secret",
        AbstractType::Unsigned32,
        Semantics::Identifier,
    );
    let layout = Layout::builder(Protocol::Ipfix, 999)
        .unsigned(SECRET, 2, |_: &String, _| 0x1122)
        .variable(ie::INTERFACE_NAME, |name| name.as_bytes())
        .octets(ie::PACKET_DELTA_COUNT.reverse(), |_, _| [9])
        .build()
        .unwrap();
    assert_eq!(layout.record_length(), None);
    assert_eq!(layout.min_record_length(), 4);
    let mut session = session(Protocol::Ipfix);
    session.register(&layout).unwrap();
    let mut buffer = Vec::new();
    let mut writer = session.begin(&mut buffer, NOW_MS);
    let (short, long) = ("a".repeat(254), "b".repeat(255));
    assert_eq!(writer.write_all(&layout, &[short, long]), Ok(2));
    let too_long = "c".repeat(70_000);
    assert_eq!(writer.write(&layout, &too_long), Ok(Written::Full));
    let _ = writer.finish().unwrap();

    let mut wanted = vec![
        // Section 3.4.1: the Enterprise bit and the Enterprise Number; 65535 is a variable length.
        0x00, 0x02, 0x00, 0x1c, 0x03, 0xe7, 0x00, 0x03, //
        0x80, 0x05, 0x00, 0x02, 0x00, 0x01, 0x02, 0x03, //
        0x00, 0x52, 0xff, 0xff, //
        0x80, 0x02, 0x00, 0x01, 0x00, 0x00, 0x72, 0x79, //
        0x03, 0xe7, 0x02, 0x0c, //
    ];
    // Section 7, figures R and S: one octet of length below 255, three from there.
    wanted.extend([0x11, 0x22, 254]);
    wanted.extend([b'a'; 254]);
    wanted.extend([9, 0x11, 0x22, 0xff, 0x00, 0xff]);
    wanted.extend([b'b'; 255]);
    wanted.extend([9, 0]);
    assert_eq!(hex(&buffer[16..]), hex(&wanted));

    let mut writer = session.begin(&mut buffer, NOW_MS);
    assert_eq!(writer.write(&layout, &too_long), Ok(Written::Full));
    let message = writer.finish().unwrap();
    session.commit(message).unwrap();
    let mut writer = session.begin(&mut buffer, NOW_MS);
    assert_eq!(
        writer.write(&layout, &too_long),
        Err(WriteError::TooLong {
            template_id: 999,
            length: 70_006,
            needed: 70_026,
            max_message: 1400
        })
    );
}

/// Shows 7011/3.4.1/template-id, 7011/6.2/others.
#[test]
fn mistakes_in_layouts() {
    use Protocol::{Ipfix, NetflowV9};
    fn error(builder: ipfix::LayoutBuilder<u64>) -> LayoutError {
        builder.build().unwrap_err()
    }
    let start = |protocol| Layout::<u64>::builder(protocol, 256);
    let octet = |element: Element| start(Ipfix).unsigned(element, 1, |value, _| *value);
    let element = ie::PACKET_DELTA_COUNT;

    assert_eq!(
        error(Layout::builder(Ipfix, 255).unsigned(element, 8, |value, _| *value)),
        LayoutError::TemplateId(255)
    );
    assert_eq!(error(start(Ipfix)), LayoutError::NoFields);
    for length in [0, 9, 0xffff] {
        assert_eq!(
            error(start(Ipfix).unsigned(element, length, |value, _| *value)),
            LayoutError::IllegalLength { element, length }
        );
    }
    // Section 6.2: no reduced size for times and addresses; an unsigned8 cannot grow.
    for (builder, element, length) in [
        (
            start(Ipfix).unsigned(ie::FLOW_END_MILLISECONDS, 4, |value, _| *value),
            ie::FLOW_END_MILLISECONDS,
            4,
        ),
        (
            start(Ipfix).octets(ie::SOURCE_IPV6_ADDRESS, |_, _| [0; 4]),
            ie::SOURCE_IPV6_ADDRESS,
            4,
        ),
        (
            start(Ipfix).unsigned(ie::PROTOCOL_IDENTIFIER, 2, |value, _| *value),
            ie::PROTOCOL_IDENTIFIER,
            2,
        ),
        (
            start(Ipfix).octets(ie::INTERFACE_NAME, |_, _| []),
            ie::INTERFACE_NAME,
            0,
        ),
        (
            start(Ipfix).variable(ie::PACKET_DELTA_COUNT, |_| &[]),
            ie::PACKET_DELTA_COUNT,
            0xffff,
        ),
    ] {
        assert_eq!(
            error(builder),
            LayoutError::IllegalLength { element, length }
        );
    }
    assert_eq!(
        error(octet(ie::SOURCE_IPV4_ADDRESS)),
        LayoutError::WrongType {
            element: ie::SOURCE_IPV4_ADDRESS,
            given: "unsigned"
        }
    );
    let private = Element::enterprise(1, 1, "x", AbstractType::OctetArray, Semantics::Default);
    assert_eq!(
        error(start(NetflowV9).octets(private, |_, _| [0])),
        LayoutError::Registry {
            element: private,
            protocol: NetflowV9
        }
    );
    assert_eq!(
        error(start(NetflowV9).variable(ie::INTERFACE_NAME, |_| &[])),
        LayoutError::VariableLength {
            element: ie::INTERFACE_NAME
        }
    );
    assert_eq!(
        error(octet(v9_scope::SYSTEM)),
        LayoutError::Registry {
            element: v9_scope::SYSTEM,
            protocol: Ipfix
        }
    );
    let counter = |builder: ipfix::LayoutBuilder<u64>| builder.unsigned(element, 8, |v, _| *v);
    let mut long = start(Ipfix);
    for _ in 0..20_000 {
        long = counter(long);
    }
    assert_eq!(error(long), LayoutError::TooLong(160_000));
    // Elements beyond 127 are fine in version 9.
    assert!(
        start(NetflowV9)
            .unsigned(ie::FLOW_END_REASON, 1, |value, _| *value)
            .build()
            .is_ok()
    );
}

/// Shows 7011/3.4.2.2/scope-count.
#[test]
fn mistakes_in_scopes() {
    use Protocol::{Ipfix, NetflowV9};
    fn error(builder: ipfix::LayoutBuilder<u64>) -> LayoutError {
        builder.build().unwrap_err()
    }
    let element = ie::PACKET_DELTA_COUNT;
    // Options: a scope and something else; v9 scopes only in the scope, and nothing else there.
    let options = |protocol| Layout::<u64>::options_builder(protocol, 256);
    let counter = |builder: ipfix::LayoutBuilder<u64>| builder.unsigned(element, 8, |v, _| *v);
    for builder in [
        counter(options(Ipfix)),
        counter(options(Ipfix)).end_of_scope(),
        counter(options(Ipfix).end_of_scope()),
        counter(counter(options(Ipfix)).end_of_scope()).end_of_scope(),
        counter(Layout::builder(Ipfix, 256)).end_of_scope(),
    ] {
        assert_eq!(error(builder), LayoutError::Scope);
    }
    assert_eq!(
        error(counter(options(NetflowV9))),
        LayoutError::Registry {
            element,
            protocol: NetflowV9
        }
    );
}

/// Shows 7011/8/new-id.
#[test]
fn mistakes_in_sessions() {
    let layout = flow_layout(Protocol::Ipfix);
    let other = Layout::builder(Protocol::Ipfix, 256)
        .unsigned(ie::PACKET_DELTA_COUNT, 8, |flow: &Flow, _| flow.packets)
        .build()
        .unwrap();
    let mut session = session(Protocol::Ipfix);
    let mut buffer = Vec::new();
    assert_eq!(
        session.begin(&mut buffer, NOW_MS).write(&layout, &FLOW),
        Err(WriteError::NotRegistered(256))
    );
    session.register(&layout).unwrap();
    // Equal layouts are the same template.
    let twin = flow_layout(Protocol::Ipfix);
    session.register(&twin).unwrap();
    assert_eq!(session.register(&other), Err(RegisterError::Redefined(256)));
    let mut writer = session.begin(&mut buffer, NOW_MS);
    assert_eq!(writer.write(&twin, &FLOW), Ok(Written::Done));
    assert_eq!(
        writer.write(&other, &FLOW),
        Err(WriteError::NotRegistered(256))
    );
    drop(writer);
    assert_eq!(
        session.register(&flow_layout(Protocol::NetflowV9)),
        Err(RegisterError::Protocol {
            layout: Protocol::NetflowV9,
            session: Protocol::Ipfix
        })
    );
    let mut small = Session::new(SessionOptions {
        max_message: 67,
        ..*session.options()
    });
    assert_eq!(
        small.register(&layout),
        Err(RegisterError::TooLong {
            template_id: 256,
            needed: 68,
            max_message: 67
        })
    );
}

/// Layouts are shared by the sessions of several collectors, sessions move between threads.
#[test]
fn layouts_are_shared_and_sessions_move() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&flow_layout(Protocol::Ipfix));
    shared(&session(Protocol::Ipfix));
}

/// A layout whose template found no room at the head of a message announces itself before its data.
///
/// Shows 7011/8.2/before-data, 3954/7/before-data.
#[test]
fn a_template_goes_before_its_first_record() {
    let layouts = [256, 257, 258].map(|id| flow_layout_as(Protocol::Ipfix, id));
    let mut session = Session::new(SessionOptions {
        // Room for two templates, or for one with a record.
        max_message: 68,
        ..SessionOptions::udp(Protocol::Ipfix, 7, INIT_MS)
    });
    for layout in &layouts {
        session.register(layout).unwrap();
    }
    let mut buffer = Vec::new();
    let mut writer = session.begin(&mut buffer, NOW_MS);
    assert_eq!(writer.write(&layouts[2], &FLOW), Ok(Written::Full));
    let message = writer.finish().unwrap();
    assert_eq!((message.length(), message.templates()), (68, 2));
    session.commit(message).unwrap();

    buffer.clear();
    let mut writer = session.begin(&mut buffer, NOW_MS);
    assert_eq!(writer.write(&layouts[2], &FLOW), Ok(Written::Done));
    let message = writer.finish().unwrap();
    assert_eq!((message.length(), message.templates()), (68, 1));
    assert_eq!(buffer[16..22], [0, 2, 0, 28, 1, 2]);
    assert_eq!(buffer[44..48], [1, 2, 0, 24]);
    session.commit(message).unwrap();

    // From then on it is known.
    buffer.clear();
    let mut writer = session.begin(&mut buffer, NOW_MS);
    assert_eq!(writer.write(&layouts[2], &FLOW), Ok(Written::Done));
    let message = writer.finish().unwrap();
    assert_eq!((message.length(), message.templates()), (40, 0));
}

/// Shows 3954/8/switched.
#[test]
fn uptime_wraps_in_both_directions() {
    let context = Context {
        export_time_ms: NOW_MS,
        system_init_ms: 5_000,
    };
    assert_eq!(context.uptime_ms(4_999), u32::MAX);
    assert_eq!(context.uptime_ms(5_000), 0);
    assert_eq!(context.uptime_ms(5_001), 1);
    assert_eq!(context.uptime_ms(5_000 + (1 << 32) + 7), 7);
}

fn hex(octets: &[u8]) -> String {
    octets
        .iter()
        .enumerate()
        .fold(String::new(), |mut text, (at, octet)| {
            let end = if at % 4 == 3 { "\n" } else { "" };
            let _ = write!(text, "{octet:02x}{end}");
            text
        })
}
