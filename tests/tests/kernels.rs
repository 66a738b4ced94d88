//! Other kernels: the programs load, and count every flow at every hook to the packet and the octet.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ebpfix::record::UnixTime;
use ebpfix_tests::oracle::{self, Source};
use ebpfix_tests::vm::{self, FLOOD, Kernel, TUNNEL, TunnelTraffic};
use ebpfix_tests::{Count, Lab, Ledger, alone, shared};
use serde_json::{Value, json};

/// Captures in which no header lies and every frame can be sent.
const CAPTURES: [&str; 11] = [
    "ndpi-dns_fragmented",
    "ndpi-http_ipv6",
    "ndpi-netflix",
    "ndpi-synscan",
    "ndpi-vxlan",
    "suri-gre-sample",
    "zeek-http-qinq",
    "zeek-http-vlan",
    "zeek-icmp6-ping",
    "zeek-mpls-in-vlan",
    "zeek-teredo",
];
/// What a machine may take, emulated and giving way to other tests.
const LIMIT: Duration = Duration::from_mins(40);
/// Where a packet is counted: interface and `flowDirection`.
const HOOKS: [(&str, u64); 2] = [("a0", 1), ("b0", 0)];

/// The oldest that is promised.
#[test]
fn linux_5_10() {
    counts_exactly("5.10", "clsact");
}

#[test]
fn linux_6_1() {
    counts_exactly("6.1", "clsact");
}

#[test]
fn linux_6_12() {
    counts_exactly("6.12", "tcx");
}

/// `attached` is how the programs come to be attached when nothing is asked for.
fn counts_exactly(series: &str, attached: &str) {
    let _alone = alone();
    let lab = Lab::new(series);
    let capture = merged_captures(&lab);
    let guest = Path::new(env!("CARGO_BIN_EXE_guest"));
    let report = Kernel::of_series(series).run(guest, &capture, lab.folder(), LIMIT);

    let load = &report[0];
    assert_eq!(load["error"], Value::Null, "{load}");
    let release = load["kernel"].as_str().expect("a release");
    assert!(release.starts_with(&format!("{series}.")), "{release}");
    println!(
        "{release}: four programs loaded in {} ms (emulated)",
        load["milliseconds"]
    );

    for filter in section(&report, "filters")["filters"]
        .as_array()
        .expect("filters")
    {
        assert_eq!(filter["error"], Value::Null, "{filter}");
        println!("{release}: filter of {filter}");
    }

    let kinds = match attached {
        "clsact" => vec![("auto", "clsact")],
        _ => vec![("auto", attached), ("clsact", "clsact")],
    };
    for (asked, kind) in kinds {
        let run = section(&report, asked);
        println!("{release}: {asked} is {kind}; helpers {}", run["helpers"]);
        assert_interfaces(&run["status"], &["a0", "b0"], kind);
        check_run(&lab, &capture, run);
    }
    check_tunnel(section(&report, "tunnel"), attached);
    check_succession(section(&report, "succession"), attached);
    if series == vm::CLOCKS {
        check_clocks(section(&report, "clocks"), release);
    }
}

fn section<'a>(report: &'a [Value], what: &str) -> &'a Value {
    let found = report.iter().find(|line| line["what"] == what);
    found.unwrap_or_else(|| panic!("nothing about {what} in the report"))
}

/// Every way in and out of these interfaces is observed in this way, or not at all.
#[track_caller]
fn assert_interfaces(status: &Value, names: &[&str], kind: &str) {
    let interfaces = status["interfaces"].as_array().expect("interfaces");
    let mut found: Vec<&str> = interfaces
        .iter()
        .filter_map(|interface| interface["name"].as_str())
        .collect();
    found.sort_unstable();
    assert_eq!(found, names, "{status}");
    let ways = interfaces
        .iter()
        .flat_map(|interface| [&interface["ingress"], &interface["egress"]])
        .filter(|way| way.is_string());
    assert!(ways.clone().count() > 0, "{status}");
    for way in ways {
        assert_eq!(way, kind, "{status}");
    }
}

/// The capture, the flood and the frames made by hand, all of them where they leave and where they
/// enter.
fn check_run(lab: &Lab, capture: &Path, run: &Value) {
    let what = run["what"].as_str().expect("a name");
    let sum = oracle::sum(capture);
    let number = |value: &Value| value.as_u64().expect("a number");
    assert_eq!(run["sent"]["refused"], 0, "{what}");
    assert_eq!(run["sent"]["capture"], sum["frames"], "{what}");

    let mut expected: BTreeMap<Key, Count> = BTreeMap::new();
    for ((source, destination, sport, dport), (packets, octets)) in FLOOD.expected() {
        let key = (
            source.to_string(),
            destination.to_string(),
            17,
            u64::from(sport),
            u64::from(dport),
        );
        expected.insert(key, Count { packets, octets });
    }
    for frame in vm::frames() {
        let (source, destination, protocol, sport, dport) = frame.key;
        let key = (
            source.to_owned(),
            destination.to_owned(),
            u64::from(protocol),
            u64::from(sport),
            u64::from(dport),
        );
        let count = expected.entry(key).or_default();
        count.packets += 1;
        count.octets += frame.ip_octets;
    }

    // Nothing but what is no IP is lost, and the ledger has it all.
    let ledger = Ledger::from_json(&run["status"]["ledger"]);
    ledger.assert_balanced();
    let no_ip = sum["nonip_frames"].as_u64().unwrap_or(0);
    assert_eq!(
        ledger.observed.packets,
        2 * number(&run["sent"]["all"]),
        "{what}: {ledger:?}"
    );
    assert_eq!(
        ledger.lost_by("not_ip").packets,
        2 * no_ip,
        "{what}: {ledger:?}"
    );
    assert_eq!(
        ledger.lost_in_all().packets,
        2 * no_ip,
        "{what}: {ledger:?}"
    );
    let octets =
        number(&sum["ip_l3bytes"]) + expected.values().map(|count| count.octets).sum::<u64>();
    assert_eq!(
        ledger.exported.octets + ledger.held.octets,
        2 * octets,
        "{what}: {ledger:?}"
    );
    let ended = run["ended"].as_str().unwrap_or_default();
    assert!(
        ended.contains("held=0") && ended.contains("balanced=true"),
        "{what}: {run}"
    );
    // More flows than slots: some records came by the log.
    let slots = number(&run["status"]["kernel"]["cache_slots"]);
    assert!(u64::from(FLOOD.flows) > slots, "{what}: {slots} slots");

    for (interface, direction) in HOOKS {
        let mut flows = flows(&run["flows"], interface, direction);
        for (key, count) in &expected {
            assert_eq!(
                flows.remove(key).as_ref(),
                Some(count),
                "{what}, {interface}: {key:?}"
            );
        }
        // What is left came from the capture.
        let file = lab.folder().join(format!("{what}.{interface}.json"));
        write_lines(&file, &flows);
        let comparison = oracle::compare(capture, Source::Lines, &file, &[]);
        assert!(
            comparison.agrees,
            "{what}, {interface}: {}",
            comparison.text
        );
        assert_eq!(
            comparison.total("collector_packets"),
            number(&sum["ip_frames"]),
            "{what}, {interface}: {}",
            comparison.text
        );
    }

    let filters = run["filters"].as_str().expect("what tc says");
    assert!(
        !filters.contains("gress_flow"),
        "{what}: left behind: {filters}"
    );
}

/// What a killed exporter left goes on counting, is taken over, and lacks what died with it alone.
fn check_succession(run: &Value, attached: &str) {
    let status = &run["status"];
    assert_interfaces(status, &["b0"], attached);
    assert_eq!(status["kernel"]["adopted"], true, "{status}");
    assert_eq!(status["kernel"]["crashes"], 1, "{status}");
    let ledger = Ledger::from_json(&status["ledger"]);
    ledger.assert_balanced();
    assert_eq!(run["sent"], ledger.observed.packets, "{ledger:?}");
    assert!(ledger.lost_by("crash").packets > 0, "{ledger:?}");
    assert_eq!(ledger.lost_in_all(), ledger.lost_by("crash"), "{ledger:?}");
}

/// Whatever was done to the time of day, each flow is one record; its times are those that its packets
/// have by the time of day at its end, its length is that of the boot clock, and it ended in time. In
/// both protocols, of which one reckons its times from an uptime.
fn check_clocks(run: &Value, release: &str) {
    /// What an emulated machine takes from one step to the next.
    const TOLERANCE_MS: u64 = 400;
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{value} in {run}"));
    println!("{release}: suspend: {}", run["slept"]);
    assert!(number(&run["slept"]["milliseconds"]) > 2_000, "{run}");
    let sent = run["sent"].as_array().expect("flows");
    assert_eq!(sent.len(), 7, "{run}");
    let packets = 2 * sent.len();
    assert_eq!(
        (&run["observed"], &run["exported"]),
        (&packets.into(), &packets.into())
    );
    assert_eq!(run["errors"], false, "{run}");
    for flow in sent {
        // The idle timeout is two seconds.
        let waited = number(&flow["waited_ms"]);
        assert!((1_500..15_000).contains(&waited), "{flow}");
        for kind in ["ipfix", "netflow-v9"] {
            let records = run[kind].as_array().expect("records");
            let mut records = records
                .iter()
                .filter(|record| record["sport"] == flow["port"]);
            let (Some(record), None) = (records.next(), records.next()) else {
                panic!("{kind}: {flow} has not one record: {}", run[kind])
            };
            assert_eq!(record["packets"], 2, "{kind}: {record}");
            let time = |key: &str| {
                let text = record[key].as_str().expect("a time");
                text.parse::<UnixTime>().expect("a time of day").millis()
            };
            let (start, end) = (time("start"), time("end"));
            // Before and after the packet was sent, which may be long on a busy machine.
            let [start_range, end_range] =
                ["start", "end"].map(|key| (number(&flow[key][0]), number(&flow[key][1])));
            for (key, time, (from, to)) in [("start", start, start_range), ("end", end, end_range)]
            {
                assert!(
                    (from - TOLERANCE_MS..=to + TOLERANCE_MS).contains(&time),
                    "{release}, {kind}: {key} is {time}, not {from} to {to}: {flow} {record}"
                );
            }
            let length = end.checked_sub(start).expect("no end before the start");
            let (least, most) = (end_range.0 - start_range.1, end_range.1 - start_range.0);
            assert!(
                (least - TOLERANCE_MS.min(least)..=most + TOLERANCE_MS).contains(&length),
                "{release}, {kind}: {length} ms, not {least} to {most}: {flow} {record}"
            );
        }
    }
}

/// By the programs for interfaces without link header.
fn check_tunnel(tunnel: &Value, attached: &str) {
    for (end, direction) in [("leaving", 1), ("entering", 0)] {
        let run = &tunnel[end];
        assert_interfaces(&run["status"], &["t0"], attached);
        let ledger = Ledger::from_json(&run["status"]["ledger"]);
        ledger.assert_balanced();
        assert_eq!(ledger.lost, [], "{end}");
        let flows = flows(&run["flows"], "t0", direction);
        let expected: BTreeMap<Key, Count> = (0..TUNNEL.flows)
            .map(|flow| {
                let key = (
                    TunnelTraffic::SOURCE.to_owned(),
                    TunnelTraffic::DESTINATION.to_owned(),
                    17,
                    u64::from(TUNNEL.source_port(flow)),
                    u64::from(TunnelTraffic::PORT),
                );
                let packets = u64::from(TUNNEL.datagrams);
                // Headers of IPv4 and UDP.
                let octets = packets * (28 + u64::from(TUNNEL.payload(flow)));
                (key, Count { packets, octets })
            })
            .collect();
        assert_eq!(flows, expected, "{end}");
    }
}

/// Source, destination, protocol, source and destination port.
type Key = (String, String, u64, u64, u64);

/// The flows of the report that were counted at this hook.
fn flows(report: &Value, interface: &str, direction: u64) -> BTreeMap<Key, Count> {
    let flows = report.as_array().expect("flows");
    let here = flows
        .iter()
        .filter(|flow| flow[0] == interface && flow[1] == direction);
    here.map(|flow| {
        let text = |index: usize| flow[index].as_str().expect("text").to_owned();
        let number = |index: usize| flow[index].as_u64().expect("a number");
        let key = (text(2), text(3), number(4), number(5), number(6));
        let count = Count {
            packets: number(7),
            octets: number(8),
        };
        (key, count)
    })
    .collect()
}

fn write_lines(file: &Path, flows: &BTreeMap<Key, Count>) {
    let lines: Vec<String> = flows
        .iter()
        .map(|((src, dst, proto, sport, dport), count)| {
            json!({
                "src": src, "dst": dst, "proto": proto, "sport": sport, "dport": dport,
                "packets": count.packets, "bytes": count.octets,
            })
            .to_string()
        })
        .collect();
    fs::write(file, lines.join("\n")).expect("to write flows");
}

/// All captures, one after the other.
fn merged_captures(lab: &Lab) -> PathBuf {
    let file = lab.folder().join("captures.pcap");
    let merged = Command::new("mergecap")
        .args(["-a", "-F", "pcap", "-w"])
        .arg(&file)
        .args(CAPTURES.map(|name| shared(&format!("pcaps/{name}.pcap"))))
        .output()
        .expect("mergecap, which comes with tshark: run `make setup`");
    assert!(
        merged.status.success(),
        "mergecap: {}",
        String::from_utf8_lossy(&merged.stderr)
    );
    file
}
