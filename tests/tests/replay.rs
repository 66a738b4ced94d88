//! `ebpfix replay`: the same per 5-tuple as an independent reading of the captures, on stdout and at
//! collectors, from whatever wrote the capture.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ebpfix_tests::ebpfix::binary;
use ebpfix_tests::oracle::{self, Source};
use ebpfix_tests::process::Program;
use ebpfix_tests::{Finished, Lab, Namespace, Nfcapd, Process, shared, traffic, wait_for};
use nix::sys::signal::Signal;

const CAPTURES: [&str; 14] = [
    "ndpi-dns_fragmented",
    "ndpi-gnutella",
    "ndpi-http_ipv6",
    "ndpi-netflix",
    "ndpi-synscan",
    "ndpi-vxlan",
    "suri-gre-sample",
    "tcpreplay-test",
    "zeek-echo-connections",
    "zeek-http-qinq",
    "zeek-http-vlan",
    "zeek-icmp6-ping",
    "zeek-mpls-in-vlan",
    "zeek-teredo",
];

/// Of this one frame 11 claims 255 octets of IP in a frame of 100: to ebpfix it is malformed, the
/// oracle believes it.
const LYING: &str = "tcpreplay-test";

fn capture(name: &str) -> PathBuf {
    shared(&format!("pcaps/{name}.pcap"))
}

fn replay(lab: &Lab, namespace: &Namespace, arguments: &[&str], files: &[&Path]) -> Finished {
    let program = Program::new(binary())
        .arg("replay")
        .args(arguments.iter().copied())
        .args(files.iter().copied());
    lab.run(namespace, &program, Duration::from_mins(2))
}

/// The number in the ledger's line of that name.
fn ledger(done: &Finished, name: &str) -> u64 {
    done.stderr
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|line| line.split_whitespace().next())
        .map_or(0, |number| number.parse().expect("a number"))
}

/// Replays `file` and compares with what the oracle reads in `expected`.
#[track_caller]
fn assert_same(lab: &Lab, namespace: &Namespace, file: &Path, expected: &Path, lies: bool) {
    let done = replay(lab, namespace, &["--format", "json"], &[file]).success();
    let lines = lab.folder().join("replayed.jsonl");
    fs::write(&lines, &done.stdout).expect("to write what was printed");
    let comparison = oracle::compare(expected, Source::Lines, &lines, &[]);
    let who = file.display();
    if lies {
        let total = |name| comparison.total(name);
        let missing = total("oracle_bytes") - total("collector_bytes");
        assert_eq!(
            (total("missing") + total("differ"), missing),
            (1, 255),
            "{who}"
        );
    } else {
        assert!(comparison.agrees, "{who}: {}", comparison.text);
    }
    let sum = oracle::sum(expected);
    let frames = sum["frames"].as_u64().expect("frames");
    let lost: u64 = ["not_ip", "malformed", "truncated"]
        .iter()
        .map(|reason| ledger(&done, &format!("lost: {reason}")))
        .sum();
    assert_eq!(ledger(&done, "observed"), frames, "{who}: {}", done.stderr);
    assert_eq!(
        ledger(&done, "exported") + lost,
        frames,
        "{who}: {}",
        done.stderr
    );
}

#[test]
fn every_capture_gives_the_flows_that_are_in_it() {
    let mut lab = Lab::new("replay");
    let namespace = lab.namespace("a");
    for name in CAPTURES {
        let file = capture(name);
        assert_same(&lab, &namespace, &file, &file, name == LYING);
    }
}

#[test]
fn nfcapd_has_all_captures_by_both_protocols() {
    let mut lab = Lab::new("replay-nfcapd");
    let namespace = lab.namespace("a");
    for (name, protocol, port) in [
        ("ndpi-netflix", "ipfix", 9001),
        ("ndpi-http_ipv6", "netflow-v9", 9002),
        ("zeek-http-qinq", "netflow-v9", 9003),
        ("ndpi-synscan", "ipfix", 9004),
        ("ndpi-synscan", "netflow-v5", 9005),
    ] {
        let file = capture(name);
        let nfcapd = Nfcapd::start(&lab, &namespace, port);
        let collector = format!("127.0.0.1:{port}");
        let to = ["--collector", &collector, "--protocol", protocol];
        let done = replay(&lab, &namespace, &to, &[&file]).success();
        let result = nfcapd.stop();
        let comparison = oracle::compare(&file, Source::Nfcapd, &result.folder, &[]);
        assert!(comparison.agrees, "{name}, {protocol}: {}", comparison.text);
        assert_eq!(result.packets, ledger(&done, "exported"), "{}", done.stderr);
        assert_eq!(
            (result.sequence_errors, result.bad_packets),
            (0, 0),
            "{}",
            result.log
        );
    }
}

/// The capture is read faster than nfcapd reads flows, and its receive buffer is the system's.
#[test]
fn an_nfcapd_that_nobody_tuned_loses_nothing() {
    const FLOWS: u32 = 200_000;
    let mut lab = Lab::new("replay-pacing");
    let namespace = lab.namespace("a");
    let file = lab.folder().join("flows.pcap");
    write_flows(&file, FLOWS);
    let nfcapd = Nfcapd::start_untuned(&lab, &namespace, 9001);
    let to = ["--collector", "127.0.0.1:9001"];
    let done = replay(&lab, &namespace, &to, &[&file]).success();
    let result = nfcapd.stop();
    let all = (u64::from(FLOWS), u64::from(FLOWS));
    assert_eq!(
        (result.flows, result.packets),
        all,
        "{}\n{}",
        result.log,
        done.stderr
    );
    assert_eq!(
        (result.sequence_errors, result.bad_packets),
        (0, 0),
        "{}",
        result.log
    );
}

/// A capture of raw IPv4 in which each packet is a flow.
fn write_flows(path: &Path, flows: u32) {
    let word = |value: u32| value.to_le_bytes();
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    let mut write = |octets: &[u8]| file.write_all(octets).expect("to write");
    write(&word(0xa1b2_c3d4));
    write(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    write(&word(65_535));
    write(&word(228));
    for number in 0..flows {
        for value in [1_795_536_420, number, 28, 28] {
            write(&word(value));
        }
        let [_, a, b, c] = number.to_be_bytes();
        write(&[
            0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, a, b, c, 192, 0, 2, 1,
        ]);
        write(&[0, 7, 0, 9, 0, 8, 0, 0]);
    }
}

/// What tcpdump and dumpcap write: Linux cooked of both versions, nanoseconds, pcapng of two
/// interfaces; cut by a snap length.
#[test]
fn captures_of_usual_programs_give_the_same() {
    for name in ["ndpi-http_ipv6", "zeek-http-vlan"] {
        let (lab, a, b) = Lab::pair("replay-tools");
        let path = |file: &str| lab.folder().join(file);
        let tcpdump = |arguments: &[&str], file: &str| {
            let program = Program::new("tcpdump")
                .args(["-U", "--immediate-mode", "-s", "128", "-Z", "root"])
                .args(arguments.iter().copied())
                .arg("-w")
                .arg(path(file));
            lab.start(&b, &program)
        };
        let recorders = [
            tcpdump(&["-i", "any", "-y", "LINUX_SLL"], "sll.pcap"),
            tcpdump(
                &[
                    "-i",
                    "any",
                    "-y",
                    "LINUX_SLL2",
                    "--time-stamp-precision=nano",
                ],
                "sll2.pcap",
            ),
            tcpdump(&["-i", "b0"], "ethernet.pcap"),
            lab.start(
                &b,
                &Program::new("dumpcap")
                    .args(["-q", "-s", "128", "-i", "lo", "-i", "b0", "-w"])
                    .arg(path("several.pcapng")),
            ),
        ];
        for recorder in &recorders {
            wait_for("the recorder listens", Duration::from_secs(20), || {
                let said = recorder.stderr();
                (said.contains("listening on") || said.contains("File:")).then_some(())
            });
        }
        let file = capture(name);
        let sent = traffic::replay(&lab, &a, "a0", &file).sent;
        let files = ["sll.pcap", "sll2.pcap", "ethernet.pcap", "several.pcapng"].map(path);
        // What is written is counted by the program under test: it tells of damage in a file that is
        // still being written, which here is only its end.
        wait_for(
            "all frames are in the files",
            Duration::from_secs(20),
            || {
                files
                    .iter()
                    .all(|file| ledger(&replay(&lab, &b, &[], &[file]), "observed") >= sent)
                    .then_some(())
            },
        );
        for recorder in recorders {
            let _: Finished = Process::stop(recorder, Signal::SIGINT, Duration::from_secs(20));
        }
        for recorded in &files {
            assert_same(&lab, &b, recorded, &file, false);
        }
    }
}
