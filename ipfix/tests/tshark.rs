//! An independent judge: Wireshark's dissector reads what the writer writes.

mod judge;

use judge::Capture;

use ipfix::{Layout, Protocol, Session, SessionOptions, Written, elements as ie, v9_scope};

/// 2026-11-24 16:00:00.250 UTC.
const NOW_MS: u64 = 1_795_536_000_250;
const INIT_MS: u64 = NOW_MS - 3_600_000;

struct Flow {
    source: [u8; 4],
    source6: [u8; 16],
    source_port: u16,
    octets: u64,
    packets: u64,
    start_ms: u64,
    end_ms: u64,
}

const FLOW: Flow = Flow {
    source: [198, 51, 100, 7],
    source6: [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
    source_port: 49152,
    octets: 0x0001_0000_0007,
    packets: 70_000,
    start_ms: NOW_MS - 1_234,
    end_ms: NOW_MS - 1,
};

fn layout(protocol: Protocol, id: u16, ipv6: bool) -> Layout<Flow> {
    let builder = Layout::builder(protocol, id);
    let columns = if ipv6 {
        builder.octets(ie::SOURCE_IPV6_ADDRESS, |flow: &Flow, _| flow.source6)
    } else {
        builder.octets(ie::SOURCE_IPV4_ADDRESS, |flow: &Flow, _| flow.source)
    }
    .unsigned(ie::SOURCE_TRANSPORT_PORT, 2, |flow, _| {
        flow.source_port.into()
    })
    .unsigned(ie::PROTOCOL_IDENTIFIER, 1, |_, _| 6)
    .unsigned(ie::TCP_CONTROL_BITS, 1, |_, _| 0x1b)
    .unsigned(ie::OCTET_DELTA_COUNT, 8, |flow, _| flow.octets)
    .unsigned(ie::PACKET_DELTA_COUNT, 4, |flow, _| flow.packets)
    .unsigned(ie::FLOW_END_REASON, 1, |_, _| 3)
    .octets(ie::SOURCE_MAC_ADDRESS, |_, _| [2, 0, 0, 0, 0, 5]);
    match protocol {
        Protocol::Ipfix => columns
            .unsigned(ie::FLOW_START_MILLISECONDS, 8, |flow, _| flow.start_ms)
            .unsigned(ie::FLOW_END_MILLISECONDS, 8, |flow, _| flow.end_ms),
        Protocol::NetflowV9 | Protocol::NetflowV5 => columns
            .uptime(ie::FLOW_START_SYS_UP_TIME, |flow| flow.start_ms)
            .uptime(ie::FLOW_END_SYS_UP_TIME, |flow| flow.end_ms),
    }
    .build()
    .unwrap()
}

fn interface_names(protocol: Protocol) -> Layout<&'static str> {
    let builder = Layout::options_builder(protocol, 300);
    match protocol {
        Protocol::Ipfix => builder
            .unsigned(ie::INGRESS_INTERFACE, 4, |_, _| 2)
            .end_of_scope()
            .variable(ie::INTERFACE_NAME, |name: &&'static str| name.as_bytes()),
        Protocol::NetflowV9 | Protocol::NetflowV5 => builder
            .unsigned(v9_scope::INTERFACE, 4, |_, _| 2)
            .end_of_scope()
            .text(ie::INTERFACE_NAME, 16, |name| name),
    }
    .build()
    .unwrap()
}

#[test]
fn tshark_reads_what_was_written() {
    for protocol in [Protocol::Ipfix, Protocol::NetflowV9] {
        let layout_v4 = layout(protocol, 256, false);
        let layout_v6 = layout(protocol, 257, true);
        let names = interface_names(protocol);
        let mut session = Session::new(SessionOptions::udp(protocol, 42, INIT_MS));
        session.register(&layout_v4).unwrap();
        session.register(&layout_v6).unwrap();
        session.register(&names).unwrap();
        let mut messages = Vec::new();
        for _ in 0..2 {
            let mut buffer = Vec::new();
            let mut writer = session.begin(&mut buffer, NOW_MS);
            assert_eq!(writer.write(&layout_v4, &FLOW), Ok(Written::Done));
            assert_eq!(writer.write(&layout_v4, &FLOW), Ok(Written::Done));
            assert_eq!(writer.write(&layout_v6, &FLOW), Ok(Written::Done));
            assert_eq!(writer.write(&names, &"uplink0"), Ok(Written::Done));
            let message = writer.finish().unwrap();
            session.commit(message).unwrap();
            messages.push(buffer);
        }

        let capture = Capture::new(protocol, &messages);
        let row = |packet: usize, fields: &[&str]| capture.dissect(fields).swap_remove(packet);
        // In version 9 relative to a start of 1,795,536,001 - 3601 s, which the header tells.
        let (times, wanted_times) = match protocol {
            Protocol::Ipfix => (
                ["cflow.abstimestart", "cflow.abstimeend", "cflow.exporttime"],
                ["59:59.016", "00:00.249", "1795536000"],
            ),
            Protocol::NetflowV9 | Protocol::NetflowV5 => (
                ["cflow.timestart", "cflow.timeend", "cflow.unix_secs"],
                ["3599.016000000", "3600.249000000", "1795536001"],
            ),
        };
        let flows = [
            "cflow.version",
            "cflow.srcaddr",
            "cflow.srcaddrv6",
            "cflow.srcport",
            "cflow.protocol",
            "cflow.tcpflags",
            "cflow.octets",
            "cflow.packets",
            "cflow.flow_end_reason",
            "cflow.srcmac",
            "cflow.if_name",
        ];
        for packet in 0..2 {
            let got = row(packet, &flows);
            let version = protocol.version().to_string();
            assert_eq!(
                got,
                [
                    &*version,
                    "198.51.100.7,198.51.100.7",
                    "2001:db8::9",
                    "49152,49152,49152",
                    "6,6,6",
                    "0x1b,0x1b,0x1b",
                    "4294967303,4294967303,4294967303",
                    "70000,70000,70000",
                    "3,3,3",
                    "02:00:00:00:00:05,02:00:00:00:00:05,02:00:00:00:00:05",
                    "uplink0",
                ]
            );
            let got = row(packet, &times);
            for (at, count) in [(0, 3), (1, 3), (2, 1)] {
                let found = got[at].matches(wanted_times[at]).count();
                assert_eq!(found, count, "{}: {got:?}", times[at]);
            }
        }
        if protocol == Protocol::NetflowV9 {
            assert_eq!(row(0, &["cflow.sysuptime"]), ["3601.000000000"]);
        }
        let sequences = match protocol {
            Protocol::Ipfix => ["0", "4"],
            Protocol::NetflowV9 | Protocol::NetflowV5 => ["0", "1"],
        };
        // The header's count of version 9: 3 templates and 4 records, then 4 records.
        if protocol == Protocol::NetflowV9 {
            assert_eq!(capture.dissect(&["cflow.count"]), [["7"], ["4"]]);
        }
        for (packet, wanted) in sequences.into_iter().enumerate() {
            let sequence = row(
                packet,
                &["cflow.sequence", "cflow.od_id", "cflow.source_id"],
            );
            assert_eq!(sequence[0], wanted);
            assert!(sequence[1..].contains(&"42".to_owned()), "{sequence:?}");
        }
        // Nothing is malformed, unknown or out of sequence ...
        let problems = [
            "_ws.expert.message",
            "_ws.malformed",
            "cflow.sequence_analysis.expected_sn",
        ];
        assert_eq!(capture.dissect(&problems), [["", "", ""], ["", "", ""]]);
        // ... which tshark would say: the first message twice is a sequence error.
        let repeated = [messages[0].clone(), messages[0].clone()];
        drop(capture);
        let found = Capture::new(protocol, &repeated).dissect(&problems);
        assert_eq!(found[0], ["", "", ""]);
        assert_eq!(found[1][2], sequences[1]);
    }
}
