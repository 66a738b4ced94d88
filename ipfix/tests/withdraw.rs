//! The end of templates: withdrawals over reliable transports, retirement over datagrams.

mod judge;

use ipfix::{
    Decoder, DecoderLimits, Layout, Message, Protocol, RegisterError, Session, SessionOptions,
    TemplateSchedule, Transport, WithdrawError, WriteError, Written, elements as ie,
};
use judge::Capture;

const NOW_MS: u64 = 1_795_536_000_250;

fn packets(template_id: u16) -> Layout<u64> {
    packets_of(Protocol::Ipfix, template_id)
}

fn packets_of(protocol: Protocol, template_id: u16) -> Layout<u64> {
    Layout::builder(protocol, template_id)
        .unsigned(ie::PACKET_DELTA_COUNT, 4, |value: &u64, _| *value)
        .build()
        .unwrap()
}

fn octets(template_id: u16) -> Layout<u64> {
    Layout::builder(Protocol::Ipfix, template_id)
        .unsigned(ie::OCTET_DELTA_COUNT, 8, |value: &u64, _| *value)
        .build()
        .unwrap()
}

fn options(template_id: u16) -> Layout<u64> {
    Layout::options_builder(Protocol::Ipfix, template_id)
        .unsigned(ie::OBSERVATION_DOMAIN_ID, 4, |_, _| 1)
        .end_of_scope()
        .unsigned(ie::SAMPLING_INTERVAL, 4, |value: &u64, _| *value)
        .build()
        .unwrap()
}

fn session() -> Session {
    Session::new(SessionOptions::reliable(Protocol::Ipfix, 1, 0))
}

/// A message with these records, not yet committed.
fn begin(session: &mut Session, records: &[(&Layout<u64>, u64)]) -> (Vec<u8>, Message) {
    let mut buffer = Vec::new();
    let mut writer = session.begin(&mut buffer, NOW_MS);
    for (layout, value) in records {
        assert_eq!(writer.write(layout, value), Ok(Written::Done));
    }
    let message = writer.finish().unwrap();
    (buffer, message)
}

fn send(session: &mut Session, records: &[(&Layout<u64>, u64)]) -> Vec<u8> {
    let (buffer, message) = begin(session, records);
    session.commit(message).unwrap();
    buffer
}

fn register(session: &mut Session, layouts: &[&Layout<u64>]) {
    for layout in layouts {
        session.register(layout).unwrap();
    }
}

#[test]
fn options_of_reliable_transports() {
    for options in [
        SessionOptions::reliable(Protocol::Ipfix, 1, 0),
        SessionOptions::file(Protocol::Ipfix, 1, 0),
    ] {
        assert_eq!(options.transport, Transport::Reliable);
        assert_eq!(options.max_message, 65_535);
        assert_eq!(options.templates, TemplateSchedule::once());
    }
    let udp = SessionOptions::udp(Protocol::Ipfix, 1, 0);
    assert_eq!(udp.transport, Transport::Unreliable);
}

/// RFC 7011 section 8.1, figure 20.
///
/// Shows 7011/8.1/format, 7011/8.1/set-id, 7011/8.1/in-order.
#[test]
fn golden_withdrawal() {
    let (old, other, scoped, new) = (packets(256), packets(257), options(258), octets(256));
    let mut session = session();
    register(&mut session, &[&old, &other, &scoped]);
    send(&mut session, &[(&old, 1), (&other, 2), (&scoped, 3)]);
    assert!(!session.templates_due(NOW_MS));

    assert_eq!(session.register(&new), Err(RegisterError::Redefined(256)));
    for id in [256, 257, 258] {
        session.withdraw(id).unwrap();
    }
    assert!(session.templates_due(NOW_MS));
    session.register(&new).unwrap();
    let (buffer, message) = begin(&mut session, &[(&new, 9)]);
    #[rustfmt::skip]
    let wanted = [
        // A Template Set of two records without fields, an Options Template Set of one.
        0x00, 0x02, 0x00, 0x0c, 0x01, 0x00, 0x00, 0x00, 0x01, 0x01, 0x00, 0x00,
        0x00, 0x03, 0x00, 0x08, 0x01, 0x02, 0x00, 0x00,
        // Only then the new meaning of 256, and its data.
        0x00, 0x02, 0x00, 0x0c, 0x01, 0x00, 0x00, 0x01, 0x00, 0x01, 0x00, 0x08,
        0x01, 0x00, 0x00, 0x0c, 0, 0, 0, 0, 0, 0, 0, 9,
    ];
    assert_eq!(buffer[16..], wanted);
    assert_eq!((message.withdrawals(), message.templates()), (3, 1));
    session.commit(message).unwrap();
    assert!(!session.templates_due(NOW_MS));
    let mut buffer = Vec::new();
    assert_eq!(
        session.begin(&mut buffer, NOW_MS).write(&old, &1),
        Err(WriteError::NotRegistered(256))
    );
}

/// RFC 7011 section 8.1: all templates of a kind by the Set ID.
///
/// Shows 7011/8.1/all, 7011/8.1/set-id.
#[test]
fn golden_withdrawal_of_all() {
    let (flows, more, scoped) = (packets(256), packets(257), options(258));
    let mut session = session();
    register(&mut session, &[&flows, &more, &scoped]);
    send(&mut session, &[]);
    session.withdraw(257).unwrap();
    session.withdraw_all().unwrap();
    session.register(&flows).unwrap();
    #[rustfmt::skip]
    let wanted = [
        0x00, 0x02, 0x00, 0x08, 0x01, 0x01, 0x00, 0x00,
        0x00, 0x02, 0x00, 0x08, 0x00, 0x02, 0x00, 0x00,
        0x00, 0x03, 0x00, 0x08, 0x00, 0x03, 0x00, 0x00,
        0x00, 0x02, 0x00, 0x0c, 0x01, 0x00, 0x00, 0x01, 0x00, 0x02, 0x00, 0x04,
    ];
    assert_eq!(send(&mut session, &[])[16..], wanted);
    // Only what a collector knows is withdrawn.
    session.withdraw_all().unwrap();
    assert_eq!(send(&mut session, &[])[16..], wanted[8..16]);
    session.withdraw_all().unwrap();
    assert!(!session.templates_due(NOW_MS));
    assert!(session.begin(&mut Vec::new(), NOW_MS).finish().is_none());
}

#[test]
fn what_no_collector_knows_is_not_withdrawn() {
    let layout = packets(256);
    let mut session = session();
    session.register(&layout).unwrap();
    session.withdraw(256).unwrap();
    assert!(session.begin(&mut Vec::new(), NOW_MS).finish().is_none());

    // In a message that was not sent.
    session.register(&layout).unwrap();
    let (_, message) = begin(&mut session, &[(&layout, 1)]);
    session.withdraw(256).unwrap();
    drop(message);
    assert!(!session.templates_due(NOW_MS));
    assert!(session.begin(&mut Vec::new(), NOW_MS).finish().is_none());

    // In one that was.
    session.register(&layout).unwrap();
    let (_, message) = begin(&mut session, &[(&layout, 1)]);
    session.withdraw(256).unwrap();
    session.commit(message).unwrap();
    assert!(session.templates_due(NOW_MS));
    assert_eq!(send(&mut session, &[])[16..], [0, 2, 0, 8, 1, 0, 0, 0]);
    assert!(!session.templates_due(NOW_MS));
}

#[test]
fn a_withdrawal_that_was_not_sent_comes_again() {
    let (old, new) = (packets(256), octets(256));
    let mut session = session();
    session.register(&old).unwrap();
    send(&mut session, &[(&old, 1)]);
    session.withdraw(256).unwrap();
    session.register(&new).unwrap();
    let (first, message) = begin(&mut session, &[(&new, 2)]);
    drop(message);
    // The new one never arrived: to withdraw it is no second withdrawal.
    session.withdraw(256).unwrap();
    session.register(&new).unwrap();
    let (second, message) = begin(&mut session, &[(&new, 2)]);
    assert_eq!(first, second);
    // This one arrives, and then is withdrawn as well.
    session.withdraw(256).unwrap();
    session.commit(message).unwrap();
    assert_eq!(send(&mut session, &[])[16..], [0, 2, 0, 8, 1, 0, 0, 0]);
}

/// Many withdrawals and new templates through messages of any size: never is a template redefined
/// before its withdrawal, never is there data of a template that was withdrawn. A decoder, which
/// forgets what is withdrawn, reads all values with the right meaning.
///
/// Shows 7011/8.2/not-after, 7011/8.2/before-data, 7011/8.2/by-export-time, 7011/8.1/stop-using.
#[test]
fn order_holds_at_any_size() {
    for max_message in 40..120 {
        let old: Vec<_> = (256..272).map(packets).collect();
        let new: Vec<_> = (256..272).map(octets).collect();
        let mut session = Session::new(SessionOptions {
            max_message,
            ..SessionOptions::reliable(Protocol::Ipfix, 1, 0)
        });
        let mut decoder = Decoder::new(DecoderLimits::default());
        let mut seen = Vec::new();
        let mut exchange = |session: &mut Session, layouts: &[Layout<u64>], first: usize| {
            let mut at = first;
            for _ in 0..1000 {
                let mut buffer = Vec::new();
                let mut writer = session.begin(&mut buffer, NOW_MS);
                while let Some(layout) = layouts.get(at) {
                    match writer.write(layout, &(at as u64)).unwrap() {
                        Written::Done => at += 1,
                        Written::Full => break,
                    }
                }
                let Some(message) = writer.finish() else {
                    break;
                };
                assert!(message.length() <= usize::from(max_message));
                session.commit(message).unwrap();
                let decoded = decoder.decode(&0, &buffer).unwrap();
                assert!(decoded.errors().is_empty() && decoded.unknown().is_empty());
                for record in decoded.records() {
                    let value = record.values().next().unwrap();
                    seen.push((value.field().id(), value.unsigned().unwrap()));
                }
            }
            assert_eq!(at, layouts.len());
        };
        for layout in &old {
            session.register(layout).unwrap();
        }
        exchange(&mut session, &old, 0);
        for layout in &new {
            session.withdraw(layout.template_id()).unwrap();
            session.register(layout).unwrap();
        }
        exchange(&mut session, &new, 0);
        let wanted: Vec<_> = [2, 1]
            .into_iter()
            .flat_map(|id| (0..16).map(move |at| (id, at)))
            .collect();
        assert_eq!(seen, wanted, "{max_message}");
    }
}

/// Shows 7011/8.4/no-withdrawals.
#[test]
fn who_has_no_withdrawals() {
    let mut udp = Session::new(SessionOptions::udp(Protocol::Ipfix, 1, 0));
    udp.register(&packets(256)).unwrap();
    assert_eq!(udp.withdraw(256), Err(WithdrawError::Unreliable));
    assert_eq!(udp.withdraw_all(), Err(WithdrawError::Unreliable));
    for protocol in [Protocol::NetflowV9, Protocol::NetflowV5] {
        let mut session = Session::new(SessionOptions::file(protocol, 1, 0));
        if protocol == Protocol::NetflowV9 {
            session.register(&packets_of(protocol, 256)).unwrap();
        }
        let error = WithdrawError::Protocol(protocol);
        assert_eq!(session.withdraw(256), Err(error));
        assert_eq!(session.withdraw_all(), Err(error));
    }
    assert_eq!(session().withdraw(256), Err(WithdrawError::Unknown(256)));
    assert_eq!(
        session().retire(256, NOW_MS),
        Err(WithdrawError::Unknown(256))
    );
    // Nothing changed.
    assert_eq!(begin(&mut udp, &[(&packets(256), 1)]).1.templates(), 1);
}

/// RFC 7011 section 8.4: over UDP an id is free after three times the retransmission interval.
///
/// Shows 7011/8.4/reuse, 7011/8/new-id.
#[test]
fn a_retired_id_becomes_free_with_time() {
    const FREE_MS: u64 = NOW_MS + 180_000;
    let (old, new) = (packets(256), octets(256));
    for protocol in [Protocol::Ipfix, Protocol::NetflowV9] {
        let (old, new) = if protocol == Protocol::Ipfix {
            (&old, &new)
        } else {
            (&packets_of(protocol, 256), &packets_of(protocol, 257))
        };
        let id = old.template_id();
        let mut session = Session::new(SessionOptions::udp(protocol, 1, 0));
        session.register(old).unwrap();
        // Never sent: free at once.
        session.retire(id, NOW_MS).unwrap();
        session.register(old).unwrap();
        send(&mut session, &[(old, 1)]);
        session.retire(id, NOW_MS).unwrap();
        assert!(!session.templates_due(NOW_MS + 60_000));
        assert_eq!(
            session.begin(&mut Vec::new(), NOW_MS).write(old, &1),
            Err(WriteError::NotRegistered(id))
        );
        if protocol == Protocol::Ipfix {
            // The id of the old one.
            assert_eq!(session.register(new), Err(RegisterError::Retired(id)));
            session.free_retired(FREE_MS - 1);
            assert_eq!(session.register(new), Err(RegisterError::Retired(id)));
        }
        // The same template may come back at any time. If it is not sent, that changes nothing.
        session.register(old).unwrap();
        session.retire(id, NOW_MS).unwrap();
        if protocol == Protocol::Ipfix {
            assert_eq!(session.register(new), Err(RegisterError::Retired(id)));
        }
        session.register(old).unwrap();
        session.retire(id, NOW_MS).unwrap();
        session.free_retired(FREE_MS);
        session.register(new).unwrap();
        assert_eq!(send(&mut session, &[(new, 1)]).len() % 4, 0);
    }

    let mut once = Session::new(SessionOptions {
        templates: TemplateSchedule::once(),
        ..SessionOptions::udp(Protocol::Ipfix, 1, 0)
    });
    once.register(&old).unwrap();
    send(&mut once, &[(&old, 1)]);
    once.retire(256, NOW_MS).unwrap();
    once.free_retired(u64::MAX);
    assert_eq!(once.register(&new), Err(RegisterError::Retired(256)));
}

/// Shows 3954/7/no-reuse.
#[test]
fn a_retired_id_of_v9_stays_taken() {
    let old = packets_of(Protocol::NetflowV9, 256);
    let new = Layout::builder(Protocol::NetflowV9, 256)
        .unsigned(ie::OCTET_DELTA_COUNT, 4, |value: &u64, _| *value)
        .build()
        .unwrap();
    let mut session = Session::new(SessionOptions::udp(Protocol::NetflowV9, 1, 0));
    session.register(&old).unwrap();
    send(&mut session, &[(&old, 1)]);
    session.retire(256, NOW_MS).unwrap();
    session.free_retired(u64::MAX);
    assert_eq!(session.register(&new), Err(RegisterError::Retired(256)));
    // With its old meaning it may come back.
    session.register(&old).unwrap();
    session.retire(256, NOW_MS).unwrap();
    session.free_retired(u64::MAX);
    assert_eq!(session.register(&new), Err(RegisterError::Retired(256)));
}

/// Wireshark 4.0 accepts withdrawals and does not act on them: it is no judge of an id's new meaning.
#[test]
fn tshark_reads_withdrawals() {
    let (old, new) = (packets(256), octets(257));
    let mut session = session();
    session.register(&old).unwrap();
    let first = send(&mut session, &[(&old, 7)]);
    session.withdraw(256).unwrap();
    session.register(&new).unwrap();
    let second = send(&mut session, &[(&new, 8)]);
    session.withdraw_all().unwrap();
    let third = send(&mut session, &[]);
    let capture = Capture::new(Protocol::Ipfix, &[first, second, third]);
    let rows = capture.dissect(&[
        "cflow.flowset_id",
        "cflow.packets",
        "cflow.octets",
        "_ws.expert.message",
        "_ws.malformed",
    ]);
    assert_eq!(
        rows,
        [
            ["2,256", "7", "", "", ""],
            ["2,2,257", "", "8", "", ""],
            ["2", "", "", "", ""],
        ]
    );
}
