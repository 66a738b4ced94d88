//! The control socket and the commands that ask it: flows, templates, reload, flush, log-level.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use ebpfix_tests::frame::{IPV4, IPV6, Ipv4, ethernet, ipv6, protocol, tcp, udp};
use ebpfix_tests::process::Program;
use ebpfix_tests::{Ebpfix, Finished, Injector, Lab, Namespace, Nfcapd, Settings, wait_for};
use serde_json::{Value, json};

/// Long enough that nothing ends by itself.
fn settings() -> Settings {
    Settings::new("b0", &["ingress"])
        .metering("idle-timeout", "\"5m\"")
        .metering("active-timeout", "\"5m\"")
        .observation("drain-interval", "\"200ms\"")
}

/// Runs `ebpfix` with its configuration.
fn ask(lab: &Lab, namespace: &Namespace, ebpfix: &Ebpfix, arguments: &[&str]) -> Finished {
    let program = Program::new(ebpfix_tests::ebpfix::binary())
        .args(arguments.iter().copied())
        .arg("--config")
        .arg(ebpfix.config());
    lab.run(namespace, &program, Duration::from_secs(30))
}

fn lines(done: &Finished) -> Vec<Value> {
    let lines = done.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

/// Ten datagrams to each of the ports 1 to 20, one TCP segment, three datagrams over IPv6.
fn send(a: &Namespace) {
    let injector = Injector::new(a, "a0");
    for port in 1..=20 {
        let datagram = Ipv4::new([192, 0, 2, 1], [192, 0, 2, 2], protocol::UDP)
            .packet(&udp(port, 53, b"data"));
        for _ in 0..10 {
            injector.send(&ethernet(IPV4, &datagram));
        }
    }
    let segment = Ipv4::new([192, 0, 2, 9], [192, 0, 2, 2], protocol::TCP)
        .packet(&tcp(40_000, 443, 0x02, b""));
    injector.send(&ethernet(IPV4, &segment));
    let datagram = ipv6(
        "2001:db8::1",
        "2001:db8::2",
        protocol::UDP,
        &udp(7, 9, b"data"),
    );
    for _ in 0..3 {
        injector.send(&ethernet(IPV6, &datagram));
    }
}

const SENT: u64 = 204;

#[test]
fn flows_that_are_held_are_shown_sorted_filtered_and_added_up() {
    let (lab, a, b) = Lab::pair("flows");
    let ebpfix = Ebpfix::start(&lab, &b, &settings());
    send(&a);
    let _ = ebpfix.wait_observed(SENT);
    let ask = |arguments: &[&str]| {
        let mut all = vec!["flows"];
        all.extend(arguments);
        ask(&lab, &b, &ebpfix, &all)
    };
    // What was observed is in the cache within an interval.
    wait_for("all flows are held", Duration::from_secs(10), || {
        (lines(&ask(&["--json"]).success()).len() == 22).then_some(())
    });

    let rows = lines(
        &ask(&[
            "--json", "--sort", "sport", "udp", "and", "dst", "port", "53",
        ])
        .success(),
    );
    assert_eq!(rows.len(), 20);
    for (row, port) in rows.iter().zip(1..) {
        assert_eq!(row["sport"], port);
        let expected = json!({
            "src": "192.0.2.1", "dst": "192.0.2.2", "proto": 17, "sport": port, "dport": 53,
            "packets": 10, "bytes": 320, "start": row["start"], "end": row["end"],
            "tcp_flags": 0, "end_reason": null, "direction": 0, "if_index": b.if_index("b0"),
            "src_mac": row["src_mac"], "dst_mac": row["dst_mac"], "interface": "b0", "vlan": 0,
            "customer_vlan": 0, "eth_type": 2048, "tos": 0, "min_ttl": 64, "max_ttl": 64,
            "sampling": 1, "duplicate": false,
        });
        assert_eq!(*row, expected);
    }

    let rows = lines(&ask(&["--json", "--by", "src,dport", "--sort", "packets"]).success());
    let brief: Vec<_> = rows
        .iter()
        .map(|row| {
            json!([
                row["src"],
                row["dport"],
                row["flows"],
                row["packets"],
                row["bytes"]
            ])
        })
        .collect();
    assert_eq!(
        brief,
        [
            json!(["192.0.2.1", 53, 20, 200, 6400]),
            json!(["2001:db8::1", 9, 1, 3, 156]),
            json!(["192.0.2.9", 443, 1, 1, 40]),
        ]
    );

    lines_for_programs_and_people(&ask);
    mistakes_are_told(&ask);
    let _ = ebpfix.stop();
}

fn lines_for_programs_and_people(ask: &dyn Fn(&[&str]) -> Finished) {
    let csv = ask(&["--csv", "--by", "proto", "--top", "1", "--reverse"]).success();
    assert!(
        csv.stdout
            .starts_with("proto,flows,packets,bytes,start,end,tcp_flags\n6,1,1,40,")
    );
    assert_eq!(csv.stdout.lines().count(), 2);
    assert_eq!(csv.stderr, "ebpfix: these are 1 of 2 rows (--top N)\n");

    let table = ask(&["tcp", "or", "ip6"]).success().stdout;
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows[0][..5],
        ["PROTO", "SOURCE", "DESTINATION", "PACKETS", "BYTES"]
    );
    assert_eq!(
        rows[1][..5],
        ["UDP", "[2001:db8::1]:7", "[2001:db8::2]:9", "3", "156"]
    );
    assert_eq!(
        rows[2][..6],
        [
            "TCP",
            "192.0.2.9:40000",
            "192.0.2.2:443",
            "1",
            "40",
            "......S."
        ]
    );
    assert!(
        table.ends_with("\n2 of 22 flows: 4 packets, 196 bytes\n"),
        "{table}"
    );
}

fn mistakes_are_told(ask: &dyn Fn(&[&str]) -> Finished) {
    for (arguments, said) in [
        (
            &["tcp", "port", "80"][..],
            "ebpfix: filter, column 5: expected \"and\", \"or\" or the end, found \"port\"\n  tcp port 80\n      ^^^^\n",
        ),
        (
            &["--by", "src", "--sort", "dst"],
            "ebpfix: rows cannot be sorted by dst",
        ),
    ] {
        let done = ask(arguments);
        assert_eq!(done.status.code(), Some(1));
        assert!(done.stderr.starts_with(said), "{}", done.stderr);
    }
}

#[test]
fn following_shows_what_is_counted_and_how_fast() {
    let (lab, a, b) = Lab::pair("follow");
    let ebpfix = Ebpfix::start(&lab, &b, &settings());
    let program = Program::new(ebpfix_tests::ebpfix::binary())
        .args([
            "flows",
            "--json",
            "-f",
            "--interval",
            "500ms",
            "--by",
            "proto",
            "--config",
        ])
        .arg(ebpfix.config());
    let following = lab.start(&b, &program);
    let report = || -> (Vec<Value>, usize) {
        let text = following.stdout();
        // The last line may be on its way.
        let lines = text.lines().map(serde_json::from_str);
        let rows: Vec<Value> = lines.filter_map(Result::ok).collect();
        let mut times: Vec<&str> = rows.iter().filter_map(|row| row["time"].as_str()).collect();
        times.dedup();
        let intervals = times.len();
        (rows, intervals)
    };
    let mut sent = 0;
    let rows = wait_for("three intervals", Duration::from_secs(20), || {
        send(&a);
        sent += SENT;
        let (rows, intervals) = report();
        (intervals >= 3).then_some(rows)
    });
    let packets: u64 = rows.iter().filter_map(|row| row["packets"].as_u64()).sum();
    assert!((1..=sent).contains(&packets), "{packets} of {sent}");
    for row in &rows {
        let seconds = row["seconds"].as_f64().unwrap();
        assert!((0.4..5.0).contains(&seconds), "{row}");
        assert!([6, 17].contains(&row["proto"].as_u64().unwrap()), "{row}");
    }
    drop(following);
    let _ = ebpfix.stop();
}

#[test]
fn a_flush_exports_what_is_held_and_counting_goes_on() {
    let (lab, a, b) = Lab::pair("flush");
    let nfcapd = Nfcapd::start(&lab, &b, 9001);
    let ebpfix = Ebpfix::start(&lab, &b, &settings().collector(9001, "ipfix"));
    let mut observed = 0;
    for _ in 0..2 {
        send(&a);
        observed += SENT;
        let _ = ebpfix.wait_observed(observed);
        let done = ask(&lab, &b, &ebpfix, &["flush"]).success();
        assert_eq!(done.stdout, "exported: 22 flows, 204 packets, 6596 bytes\n");
        let ledger = wait_for("all is exported", Duration::from_secs(10), || {
            let ledger = ebpfix.ledger();
            (ledger.exported.packets == observed).then_some(ledger)
        });
        assert_eq!(ledger.held.packets, 0, "{ledger:?}");
    }
    let _ = ebpfix.stop();
    let result = nfcapd.stop();
    assert_eq!(
        (result.packets, result.flows),
        (2 * SENT, 44),
        "{}",
        result.log
    );
}

#[test]
fn a_reload_says_what_is_wrong_and_status_goes_on_saying_it() {
    let (lab, _a, b) = Lab::pair("reload-asked");
    let ebpfix = Ebpfix::start(&lab, &b, &settings().collector(9001, "ipfix"));
    let good = fs::read_to_string(ebpfix.config()).unwrap();
    let right = ebpfix.config().to_owned();
    fs::write(&right, good.replace("[metering]", "[metring]")).unwrap();
    let ask_with = |arguments: &[&str]| ask(&lab, &b, &ebpfix, arguments);
    let done = ask_with(&["reload"]);
    assert_eq!(done.status.code(), Some(78), "{}", done.stderr);
    let place = format!("\n{}:", right.display());
    assert!(
        done.stderr.contains(&place) && done.stderr.contains("metring"),
        "{}",
        done.stderr
    );
    let status: Value =
        serde_json::from_str(&ask_with(&["status", "--json"]).success().stdout).unwrap();
    let errors = status["configuration"]["errors"].to_string();
    assert!(errors.contains("metring"), "{errors}");
    let table = ask_with(&["status"]).success().stdout;
    assert!(
        table.contains("the configuration was changed and is wrong") && table.contains("metring"),
        "{table}"
    );
    let csv = ask_with(&["status", "--csv"]).success().stdout;
    assert!(csv.contains("\nledger.observed.packets,0\n"), "{csv}");

    let other = good
        .replace("9001", "9002")
        .replace("[observation]\n", "[observation]\nlog-records = 2048\n");
    fs::write(&right, other + "[log]\nlevel = \"debug\"\n").unwrap();
    let done = ask_with(&["reload"]).success();
    assert_eq!(
        done.stdout,
        "applied\ntakes effect at the next start only: observation.log-records\n"
    );
    let status = ebpfix.status();
    assert_eq!(status["configuration"]["errors"], json!([]));
    assert_eq!(
        status["configuration"]["restart"],
        json!(["observation.log-records"])
    );
    assert_eq!(status["collectors"][0]["address"], "127.0.0.1:9002");

    assert_eq!(ask_with(&["log-level"]).success().stdout, "debug\n");
    assert_eq!(ask_with(&["log-level", "warn"]).success().stdout, "warn\n");
    assert_eq!(ebpfix.status()["configuration"]["log_level"], "warn");
    let templates = ask_with(&["templates", "--json"]).success().stdout;
    let templates: Value = serde_json::from_str(&templates).unwrap();
    let first = &templates[0]["templates"][0];
    assert_eq!(
        (&first["id"], &first["options"]),
        (&json!(256), &json!(false))
    );
    assert!(first["fields"].to_string().contains("octetDeltaCount"));
    let done = ask_with(&["templates", "nobody"]);
    assert_eq!(done.stderr, "ebpfix: no collector is called \"nobody\"\n");
    let _ = ebpfix.stop();
}

/// A client that asks for much and reads nothing, or goes away in the middle, stops nobody.
#[test]
fn slow_and_rude_clients_stop_nobody() {
    let (lab, a, b) = Lab::pair("rude");
    let ebpfix = Ebpfix::start(&lab, &b, &settings());
    send(&a);
    let _ = ebpfix.wait_observed(SENT);
    let status = ebpfix.status();
    let rounds = |ebpfix: &Ebpfix| ebpfix.status()["kernel"]["turns"].as_u64().unwrap();
    assert!(status["configuration"]["file"].as_str().is_some());
    let socket = {
        let text = fs::read_to_string(ebpfix.config()).unwrap();
        let run_dir = text.split("run-dir = \"").nth(1).unwrap();
        let run_dir = run_dir.split('"').next().unwrap();
        std::path::Path::new(run_dir).join("control.sock")
    };
    let say = |request: &Value| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        writeln!(stream, "{request}").unwrap();
        stream
    };
    let watch = json!({
        "version": 1, "command": "watch", "interval_ms": 100,
        "query": {"limit": 10000},
    });
    // Four may watch; none of these reads.
    let silent: Vec<_> = (0..4).map(|_| say(&watch)).collect();
    let refused = wait_for("a fifth is refused", Duration::from_secs(5), || {
        let mut line = String::new();
        BufReader::new(say(&watch)).read_line(&mut line).unwrap();
        line.contains("error").then_some(line)
    });
    assert_eq!(refused, "{\"error\":\"4 others are watching already\"}\n");
    let flows = json!({"version": 1, "command": "flows", "query": {"by": ["src"]}});
    for _ in 0..20 {
        drop(say(&flows));
    }
    let before = rounds(&ebpfix);
    for _ in 0..5 {
        send(&a);
    }
    let ledger = ebpfix.wait_observed(6 * SENT);
    assert_eq!(ledger.lost_in_all().packets, 0, "{ledger:?}");
    wait_for("the kernel is read on", Duration::from_secs(5), || {
        (rounds(&ebpfix) > before + 2).then_some(())
    });
    let mut answer = String::new();
    say(&flows).read_to_string(&mut answer).unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["ok"]["rows_in_all"], 3, "{answer}");
    assert_eq!(answer["ok"]["truncated"], false);
    drop(silent);
    let _ = ebpfix.stop();
}
