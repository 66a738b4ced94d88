//! Records of elements that a user lists: over sockets, read by the decoder, by Wireshark's dissector
//! and by nfdump; and what becomes of Transport Sessions when the list changes.

mod export_common;

use std::net::SocketAddr;
use std::num::NonZeroU16;

use ebpfix::config::{self, Elements};
use ebpfix::ledger::Count;
use ebpfix::record::Record;
use export_common::judges::{Daemon, Scratch, nfcapd, nfdump, tshark, write_capture};
use export_common::{
    Exporter, NOW_MS, PROTOCOLS, Sink, collector_at, record, records, total, unused_port,
};
use ipfix::{Protocol, elements as e};

/// A collector's list, read as from a file.
fn elements(protocol: Protocol, list: &str) -> Option<Elements> {
    let protocol = match protocol {
        Protocol::Ipfix => "ipfix",
        Protocol::NetflowV9 | Protocol::NetflowV5 => "netflow-v9",
    };
    let text = format!(
        "[[collector]]\naddress = \"192.0.2.1\"\nprotocol = \"{protocol}\"\nelements = [{list}]\n"
    );
    let loaded = config::parse("test", &text).unwrap_or_else(|errors| panic!("{errors}"));
    loaded.config.collectors[0].elements.clone()
}

fn with_elements(address: SocketAddr, protocol: Protocol, list: &str) -> config::Collector {
    config::Collector {
        elements: elements(protocol, list),
        ..collector_at(address, protocol)
    }
}

fn sink() -> Sink {
    Sink::new("127.0.0.1:0".parse().unwrap())
}

const SHORT: &str = "\"packetDeltaCount/4\", \"octetDeltaCount/4\", \"sourceIPv4Address\", \
                     \"sourceIPv6Address\", \"interfaceName\"";

/// Record 10 (of IPv4) with the counts of a large flow.
fn large(packets: u64, octets: u64) -> Record {
    let mut record = record(10);
    record.metrics.packets = packets;
    record.metrics.bytes = octets;
    record
}

#[test]
fn records_have_what_is_listed_and_applies_to_them() {
    for protocol in PROTOCOLS {
        let mut sink = sink();
        let exporter = Exporter::start(&[with_elements(sink.address(), protocol, SHORT)]);
        exporter.send(records(1000));
        sink.receive_until(|sink| sink.records.len() == 1000);
        let (status, snapshot) = exporter.finish();
        sink.receive_rest();
        sink.assert_sound();
        assert_eq!(sink.total(), total(&records(1000)));
        assert_eq!(status[0].exported, total(&records(1000)));
        assert!(snapshot.is_balanced());
        let name = match protocol {
            Protocol::Ipfix => 0xffff,
            Protocol::NetflowV9 | Protocol::NetflowV5 => 16,
        };
        let data: Vec<_> = sink
            .meanings
            .iter()
            .filter(|((_, id), _)| *id >= 512)
            .map(|(_, fields)| fields.clone())
            .collect();
        let v4 = vec![(2, 4), (1, 4), (8, 4), (82, name)];
        let v6 = vec![(2, 4), (1, 4), (27, 16), (82, name)];
        let layer_2 = vec![(2, 4), (1, 4), (82, name)];
        // In the order of their templates: IPv4, IPv6, ICMP over each, layer 2; each at both sides.
        let wanted = [&v4, &v4, &v6, &v6, &v4, &v4, &v6, &v6, &layer_2, &layer_2];
        assert!(data.iter().eq(wanted), "{data:?}");
    }
}

#[test]
fn counts_above_a_short_field_go_into_several_records_and_none_is_lost() {
    const MAX: u64 = u32::MAX as u64;
    for protocol in PROTOCOLS {
        let mut short = sink();
        let mut whole = sink();
        let exporter = Exporter::start(&[
            with_elements(short.address(), protocol, SHORT),
            collector_at(whole.address(), protocol),
        ]);
        let sent = vec![
            large(10_000_000, MAX),
            large(20_000_000, MAX + 1),
            large(30_000_000, 10_000_000_000),
            large(2 * MAX + 1, MAX),
        ];
        exporter.send(sent.clone());
        for sink in [&mut short, &mut whole] {
            sink.receive_until(|sink| sink.records.len() == 1 + 2 + 3 + 3);
            sink.assert_sound();
            // Nothing stands at the largest number but what counts just that.
            let largest = |r: &&export_common::Received| r.octets == MAX || r.packets == MAX;
            assert_eq!(sink.records.iter().filter(largest).count(), 1);
            assert_eq!(sink.total(), total(&sent));
        }
        let (status, snapshot) = exporter.finish();
        assert_eq!(snapshot.exported, total(&sent));
        assert!(snapshot.is_balanced() && snapshot.held().is_zero());
        for status in status {
            assert_eq!((status.exported, status.records), (total(&sent), 9));
            assert_eq!(status.lost, Count::ZERO);
        }
    }
}

const LISTS: [Option<&str>; 4] = [
    Some(SHORT),
    None,
    Some("\"octetDeltaCount\", \"packetDeltaCount\", \"flowEndMilliseconds\""),
    Some(SHORT),
];

/// The list changes while records come: the collector gets them all, in templates that never change
/// their meaning. Where the port is its own, so is the session: its numbers go on.
///
/// Shows 7011/8/new-id, 3954/7/constant, 3954/7/no-reuse.
#[test]
fn another_list_gets_other_template_ids_and_no_gap() {
    for protocol in PROTOCOLS {
        for source_port in [
            None,
            NonZeroU16::new(unused_port("127.0.0.1".parse().unwrap()).port()),
        ] {
            let mut sink = sink();
            let configs = LISTS.map(|list| config::Collector {
                source_port,
                elements: list.and_then(|list| elements(protocol, list)),
                ..collector_at(sink.address(), protocol)
            });
            let mut exporter = Exporter::start(&[configs[0].clone()]);
            let mut sent = 0;
            let mut ids = Vec::new();
            for (turn, config) in configs.iter().enumerate() {
                if turn > 0 {
                    exporter.reload(std::slice::from_ref(config));
                }
                exporter.send(records(500));
                sent += 500;
                let before = sink.records.len();
                sink.receive_until(|sink| sink.records.len() == sent);
                let last = sink.records[before..].iter().map(|r| r.template);
                ids.push(last.min().unwrap());
            }
            let (status, snapshot) = exporter.finish();
            sink.receive_rest();
            sink.assert_sound();
            assert_eq!(status[0].lost, Count::ZERO);
            assert!(snapshot.is_balanced());
            assert_eq!(snapshot.exported, sink.total());
            // The default profile has its own, every other list another.
            assert_eq!(ids[1], 256);
            assert_eq!(ids[0], ids[3]);
            assert!(ids[0] >= 512 && ids[2] >= 512 && ids[0].abs_diff(ids[2]) >= 16);
            let sources = if source_port.is_some() { 1 } else { 4 };
            assert_eq!(sink.sources.len(), sources, "{protocol:?}");
        }
    }
}

/// As the test above, but with many records that wait for the old sessions when the list changes.
#[test]
fn what_waits_for_an_old_list_is_sent_by_it() {
    let port = unused_port("127.0.0.1".parse().unwrap()).port();
    for protocol in PROTOCOLS {
        for source_port in [None, NonZeroU16::new(port)] {
            let mut sink = sink();
            let configs = LISTS.map(|list| config::Collector {
                source_port,
                rate_limit: std::num::NonZeroU32::new(4000),
                elements: list.and_then(|list| elements(protocol, list)),
                ..collector_at(sink.address(), protocol)
            });
            let mut exporter = Exporter::start(&[configs[0].clone()]);
            exporter.send(records(1500));
            exporter.reload(&configs[1..2]);
            exporter.send(records(500));
            sink.receive_until(|sink| sink.records.len() == 2000);
            let (status, snapshot) = exporter.finish();
            sink.receive_rest();
            sink.assert_sound();
            assert_eq!(snapshot.exported, sink.total());
            assert_eq!(status[0].records, 500);
            let old = sink.records.iter().filter(|r| r.template >= 512);
            assert_eq!(old.count(), 1500);
        }
    }
}

/// Times of sysUptime mean something in IPFIX too: the collector is told of its zero.
#[test]
fn the_zero_of_sys_uptime_is_told_where_records_need_it() {
    const INIT_MS: u64 = NOW_MS / 1000 * 1000 - 3_600_000;
    for (list, needed) in [
        (SHORT, false),
        (
            "\"packetDeltaCount\", \"octetDeltaCount\", \"flowEndSysUpTime\"",
            true,
        ),
    ] {
        let mut sink = sink();
        let collector = with_elements(sink.address(), Protocol::Ipfix, list);
        let exporter = Exporter::start(&[collector]);
        exporter.send(records(10));
        sink.receive_until(|sink| {
            sink.records.len() == 10 && sink.options_with(e::FLOW_KEY_INDICATOR) > 0
        });
        drop(exporter.finish());
        sink.receive_rest();
        sink.assert_sound();
        let told: Vec<_> = sink
            .options
            .iter()
            .filter_map(|o| Some((o.domain, o.number(e::SYSTEM_INIT_TIME_MILLISECONDS)?)))
            .collect();
        if needed {
            assert!(!told.is_empty() && told.iter().all(|told| *told == (1, INIT_MS)));
        } else {
            assert_eq!(told, []);
        }
    }
}

const JUDGED: &str = "\"sourceIPv4Address\", \"destinationIPv4Address\", \"sourceIPv6Address\", \
    \"destinationIPv6Address\", \"sourceTransportPort\", \"destinationTransportPort\", \
    \"protocolIdentifier\", \"packetDeltaCount/4\", \"octetDeltaCount/4\", \"tcpControlBits\", \
    \"ipClassOfService\", \"ingressInterface\", \"egressInterface\", \"flowDirection\"";

#[test]
fn tshark_reads_listed_elements() {
    for (protocol, times) in [
        (
            Protocol::Ipfix,
            "\"flowStartNanoseconds\", \"flowEndMicroseconds\", \"interfaceName\", \
             \"flowStartSysUpTime\", \"flowEndSysUpTime\"",
        ),
        (
            Protocol::NetflowV9,
            "\"flowStartMilliseconds\", \"flowEndSysUpTime\", \"interfaceName\"",
        ),
    ] {
        let list = format!(
            "{JUDGED}, {times}, \"flowDurationMilliseconds\", \"samplingInterval\", \
             \"samplingAlgorithm\", \"ipDiffServCodePoint\", \"paddingOctets/3\", \"flowId\", \
             \"icmpTypeIPv4\", \"icmpCodeIPv4\", \"icmpTypeIPv6\", \"observationPointId/4\""
        );
        let mut sink = sink();
        let exporter = Exporter::start(&[with_elements(sink.address(), protocol, &list)]);
        let mut sent = records(10);
        for record in &mut sent {
            record.interface = format!("name-{}", record.metrics.packets).into();
        }
        exporter.send(sent);
        sink.receive_until(|sink| sink.records.len() == 10);
        drop(exporter.finish());
        sink.receive_rest();
        sink.assert_sound();
        let scratch = Scratch::new(&format!("elements-{}", protocol.version()));
        let capture = scratch.0.join("messages.pcap");
        write_capture(&capture, &sink.datagrams);
        let got = |field: &str| tshark(&capture, field);
        // In the order of their templates these are the numbers of the records.
        let all = [10, 1, 2, 3, 4, 5, 6, 7, 8, 9];
        let texts = |of: &dyn Fn(u64) -> String| all.map(of).to_vec();
        assert_eq!(got("cflow.packets"), texts(&|n| n.to_string()));
        assert_eq!(got("cflow.octets"), texts(&|n| (n * 100).to_string()));
        assert_eq!(
            got("cflow.srcaddr"),
            [10, 1, 4, 5].map(|n| format!("10.0.0.{n}"))
        );
        assert_eq!(
            got("cflow.srcaddrv6"),
            [2, 3, 6, 7].map(|n| format!("2001:db8::{n}"))
        );
        let named: Vec<_> = got("cflow.if_name")
            .into_iter()
            .filter(|name| name.starts_with("name-"))
            .collect();
        assert_eq!(named, texts(&|n| format!("name-{n}")));
        assert_eq!(got("cflow.sampling_algorithm"), vec!["2"; 10]);
        match protocol {
            Protocol::Ipfix => {
                let start = "Nov 24, 2026 16:06:57.623000000 UTC";
                assert_eq!(got("cflow.abstimestart"), vec![start; 10]);
                let ends = got("cflow.abstimeend");
                assert_eq!(ends.len(), 10);
                assert_eq!(got("cflow.timestart"), vec!["3597.623000000"; 10]);
                assert_eq!(got("cflow.timeend"), vec!["3600.123000000"; 10]);
                for end in ends {
                    assert!(end.starts_with("Nov 24, 2026 16:07:00.12300"), "{end}");
                }
            }
            Protocol::NetflowV9 | Protocol::NetflowV5 => {
                let start = "Nov 24, 2026 16:06:57.623000000 UTC";
                assert_eq!(got("cflow.abstimestart"), vec![start; 10]);
                assert_eq!(got("cflow.timeend"), vec!["3600.123000000"; 10]);
            }
        }
        assert_eq!(got("_ws.malformed"), [""; 0], "{protocol:?}");
    }
}

#[test]
fn nfdump_adds_up_listed_elements() {
    const MILLISECONDS: &str = "\"flowStartMilliseconds\", \"flowEndMilliseconds\"";
    const UPTIME: &str = "\"flowStartSysUpTime\", \"flowEndSysUpTime\"";
    const UPTIME_AND_ZERO: &str =
        "\"flowStartSysUpTime\", \"flowEndSysUpTime\", \"systemInitTimeMilliseconds\"";
    for (protocol, times) in [
        (Protocol::Ipfix, MILLISECONDS),
        (Protocol::Ipfix, UPTIME),
        (Protocol::Ipfix, UPTIME_AND_ZERO),
        (Protocol::NetflowV9, MILLISECONDS),
        (Protocol::NetflowV9, UPTIME),
    ] {
        let scratch = Scratch::new(&format!("elements-nfcapd-{}", protocol.version()));
        let address = unused_port("127.0.0.1".parse().unwrap());
        let mut collector: Daemon = nfcapd(&scratch, address);
        let list = format!("{JUDGED}, {times}");
        let exporter = Exporter::start(&[with_elements(address, protocol, &list)]);
        let mut sent = records(9);
        sent.push(large(9_000_000, 12_345_678_901));
        exporter.send(sent.clone());
        let (status, _) = exporter.finish();
        assert_eq!((status[0].records, status[0].refused), (12, 0));
        std::thread::sleep(std::time::Duration::from_millis(1500));
        collector.terminate();
        let rows = nfdump(&scratch, "fmt:%pkt|%byt|%sa|%dp|%flg|%ts|%te");
        assert_eq!(rows.len(), 12, "{rows:?}");
        let sum = |column: usize| -> u64 {
            let cells = rows.iter().map(|row| row[column].parse::<u64>().unwrap());
            cells.sum()
        };
        assert_eq!(Count::new(sum(0), sum(1)), total(&sent), "{rows:?}");
        for row in &rows {
            let [start, end] = ["2026-11-24 16:06:57.623", "2026-11-24 16:07:00.123"];
            // nfcapd 1.7.1 takes 21 for 22 in IPFIX, and 22 for 21 (tshark does not).
            let swapped = protocol == Protocol::Ipfix && times.starts_with(UPTIME);
            let wanted = if swapped { [end, start] } else { [start, end] };
            assert_eq!(row[5..], wanted, "{times} {rows:?}");
        }
        let large: Vec<_> = rows.iter().filter(|row| row[2] == "10.0.0.10").collect();
        assert_eq!(large.len(), 3);
        let words = scratch.words();
        assert!(words.contains("Sequence Errors: 0"), "{words}");
    }
}
