//! `ebpfix test-collector` against real collectors: what it says is what they show.

use std::time::Duration;

use ebpfix_tests::ebpfix::binary;
use ebpfix_tests::process::Program;
use ebpfix_tests::{Finished, Lab, Namespace, Nfacctd, Nfcapd};
use nix::sys::signal::Signal;
use serde_json::Value;

fn test_collector(lab: &Lab, namespace: &Namespace, port: u16, protocol: &str) -> Finished {
    let program = Program::new(binary())
        .arg("test-collector")
        .arg(format!("127.0.0.1:{port}"))
        .args(["--protocol", protocol]);
    lab.run(namespace, &program, Duration::from_secs(30))
}

/// Source, destination, ports (ICMP's type and code as one), packets and octets: sorted lines.
fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

const IPV4: [&str; 5] = [
    "192.0.2.1,198.51.100.2,49152,443,6,10,1000",
    "198.51.100.2,192.0.2.1,443,49152,6,9,9000",
    "192.0.2.1,203.0.113.53,49153,53,17,1,60",
    "203.0.113.53,192.0.2.1,53,49153,17,1,200",
    "192.0.2.1,198.51.100.2,0,2048,1,4,336",
];
const IPV6: [&str; 5] = [
    "2001:db8::1,2001:db8::2,49152,443,6,20,2000",
    "2001:db8::2,2001:db8::1,443,49152,6,19,19000",
    "2001:db8::1,2001:db8::53,49153,53,17,2,160",
    "2001:db8::53,2001:db8::1,53,49153,17,2,400",
    "2001:db8::1,2001:db8::2,0,32768,58,3,312",
];

fn expected(protocol: &str) -> Vec<String> {
    let v6: &[&str] = if protocol == "netflow-v5" { &[] } else { &IPV6 };
    sorted(
        IPV4.iter()
            .chain(v6)
            .map(|line| (*line).to_owned())
            .collect(),
    )
}

#[test]
fn nfcapd_shows_what_was_said() {
    let mut lab = Lab::new("test-nfcapd");
    let namespace = lab.namespace("a");
    for (protocol, port) in [("ipfix", 9001), ("netflow-v9", 9002), ("netflow-v5", 9003)] {
        let nfcapd = Nfcapd::start(&lab, &namespace, port);
        let done = test_collector(&lab, &namespace, port, protocol).success();
        let count = expected(protocol).len();
        assert!(
            done.stdout.contains(&format!("these {count} flows")),
            "{}",
            done.stdout
        );
        assert!(done.stdout.contains("No answer came"), "{}", done.stdout);
        let result = nfcapd.stop();
        let lines = result.lines("%sa,%da,%sp,%dp,%pr,%pkt,%byt");
        // nfdump shows ICMP's type and code as T.C, and names the protocols.
        let names = [("TCP", "6"), ("UDP", "17"), ("ICMP6", "58"), ("ICMP", "1")];
        let lines = lines
            .iter()
            .map(|line| {
                let mut fields: Vec<_> = line.split(',').map(str::to_owned).collect();
                if let Some((kind, code)) = fields[3].clone().split_once('.') {
                    let number = |text: &str| text.parse::<u32>().expect("a number");
                    fields[3] = (number(kind) * 256 + number(code)).to_string();
                }
                if let Some((_, number)) = names.iter().find(|(name, _)| *name == fields[4]) {
                    fields[4] = (*number).to_owned();
                }
                fields.join(",")
            })
            .collect();
        assert_eq!(sorted(lines), expected(protocol), "{protocol}");
        assert_eq!(
            (result.sequence_errors, result.bad_packets),
            (0, 0),
            "{}",
            result.log
        );
    }
}

#[test]
fn nfacctd_shows_what_was_said() {
    let mut lab = Lab::new("test-nfacctd");
    let namespace = lab.namespace("a");
    let nfacctd = Nfacctd::start(&lab, &namespace, 9001);
    let _ = test_collector(&lab, &namespace, 9001, "ipfix").success();
    nfacctd.finish();
    let text = std::fs::read_to_string(nfacctd.stop()).expect("what nfacctd wrote");
    // It knows no type and code of ICMP.
    let totals = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"))
        .filter(|flow| flow["ip_proto"] == "6" || flow["ip_proto"] == "17")
        .map(|flow| {
            let text = |name: &str| flow[name].as_str().unwrap_or_default().to_owned();
            let number = |name: &str| flow[name].to_string();
            [
                text("ip_src"),
                text("ip_dst"),
                number("port_src"),
                number("port_dst"),
                text("ip_proto"),
                number("packets"),
                number("bytes"),
            ]
            .join(",")
        })
        .collect();
    let expected = expected("ipfix")
        .into_iter()
        .filter(|line| line.contains(",6,") || line.contains(",17,"))
        .collect();
    assert_eq!(sorted(totals), sorted(expected), "{text}");
}

#[test]
fn collect_shows_what_was_said_and_what_it_was_told_beside() {
    let mut lab = Lab::new("test-collect");
    let namespace = lab.namespace("a");
    for (protocol, port) in [("ipfix", 9001), ("netflow-v9", 9002), ("netflow-v5", 9003)] {
        let program = Program::new(binary())
            .args([
                "collect",
                "--format",
                "csv",
                "--show-templates",
                "--apply-sampling",
            ])
            .arg("--listen")
            .arg(format!("127.0.0.1:{port}"));
        let collect = lab.start(&namespace, &program);
        namespace.wait_for_udp(port);
        let _ = test_collector(&lab, &namespace, port, protocol).success();
        let done = collect
            .stop(Signal::SIGINT, Duration::from_secs(10))
            .success();
        let mut lines = done.stdout.lines();
        let names: Vec<_> = lines.next().expect("names").split(',').collect();
        let place = |name: &str| names.iter().position(|found| *found == name).expect(name);
        let found = lines
            .map(|line| {
                let fields: Vec<_> = line.split(',').collect();
                let of = |name: &str| fields[place(name)];
                assert_eq!(of("packets"), of("packets_scaled"), "{line}");
                ["src", "dst", "sport", "dport", "proto", "packets", "bytes"]
                    .map(of)
                    .join(",")
            })
            .collect();
        assert_eq!(sorted(found), expected(protocol), "{protocol}");
        let templates = done
            .stderr
            .lines()
            .filter(|line| line.starts_with("template "));
        // Of IPv4 and IPv6, each of ICMP and others.
        let count = if protocol == "netflow-v5" { 0 } else { 4 };
        assert_eq!(templates.count(), count, "{}", done.stderr);
    }
}

#[test]
fn where_nobody_listens_that_is_told() {
    let mut lab = Lab::new("test-refused");
    let namespace = lab.namespace("a");
    let done = test_collector(&lab, &namespace, 9001, "ipfix");
    assert_eq!(done.code(), Some(1), "{}", done.stderr);
    assert!(
        done.stderr
            .contains("nobody listens at 127.0.0.1:9001: Connection refused"),
        "{}",
        done.stderr
    );
    assert!(!done.stdout.contains("No answer came"), "{}", done.stdout);
}
