//! The metrics' listener: what it says is what `status` says, and Prometheus' own tool has nothing to say
//! against it, or against the alerts.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use ebpfix_tests::frame::{IPV4, Ipv4, ethernet, protocol, udp};
use ebpfix_tests::{Ebpfix, Injector, Lab, Namespace, Settings, project_root, wait_for};
use nix::sys::signal::Signal;

/// Runs promtool on an input; it must have nothing to say against it.
fn promtool(arguments: &[&str], input: &str) {
    let test = std::env::current_exe().expect("the path of this test");
    // target/debug/deps/metrics-0123456789abcdef
    let target = test.ancestors().nth(3).expect("the folder of the build");
    let promtool = target.join("tools/promtool");
    let mut child = Command::new(&promtool)
        .args(arguments)
        .current_dir(project_root().join("packaging/dashboards"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| {
            panic!(
                "{} does not run ({e}): run `make setup`",
                promtool.display()
            )
        });
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    if arguments[1] == "metrics" {
        assert_eq!(said, "", "promtool {arguments:?}");
    }
}

fn get(namespace: &Namespace, port: u16, more: &str) -> Option<String> {
    let request = format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{more}\r\n");
    namespace.enter(|| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    })
}

/// The value of a sample.
fn value(answer: &str, sample: &str) -> u64 {
    let line = answer
        .lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("no {sample} in\n{answer}"));
    line.parse()
        .unwrap_or_else(|e| panic!("{sample} {line}: {e}"))
}

#[test]
fn metrics_are_what_status_says_and_a_reload_moves_them() {
    let (lab, a, b) = Lab::pair("metrics");
    let settings = Settings::new("b0", &["ingress"])
        .metering("idle-timeout", "\"500ms\"")
        .collector(9001, "ipfix")
        .table("[metrics]\nlisten = \"127.0.0.1:9464\"");
    let ebpfix = Ebpfix::start(&lab, &b, &settings);
    let injector = Injector::new(&a, "a0");
    let datagram =
        Ipv4::new([192, 0, 2, 1], [192, 0, 2, 2], protocol::UDP).packet(&udp(7, 9, b"data"));
    for _ in 0..25 {
        injector.send(&ethernet(IPV4, &datagram));
    }
    let _ = ebpfix.wait_observed(25);
    wait_for("all has ended", Duration::from_secs(20), || {
        (ebpfix.ledger().held.packets == 0).then_some(())
    });
    let ledger = ebpfix.ledger();
    let answer = get(&b, 9464, "").expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(
        head.starts_with("HTTP/1.1 200") && head.contains("version=0.0.4"),
        "{head}"
    );
    assert_eq!(value(body, "ebpfix_observed_packets_total"), 25);
    assert_eq!(value(body, "ebpfix_observed_bytes_total"), 25 * 32);
    assert_eq!(
        value(body, "ebpfix_exported_packets_total"),
        ledger.exported.packets
    );
    let hook = "ebpfix_interface_attached{interface=\"b0\",direction=\"ingress\",how=\"tcx\"}";
    assert_eq!(value(body, hook), 1);
    // Whether the first datagram was refused before the record was written off is a race.
    let collector = "{collector=\"c9001\",protocol=\"ipfix\"}";
    let records = value(body, &format!("ebpfix_collector_records_total{collector}"))
        + value(body, &format!("ebpfix_collector_held_records{collector}"))
        + value(
            body,
            &format!("ebpfix_collector_lost_records_total{collector}"),
        );
    assert_eq!(records, 1);
    promtool(&["check", "metrics"], body);
    let open = get(&b, 9464, "Accept: application/openmetrics-text\r\n").expect("an answer");
    assert!(open.contains("openmetrics-text; version=1.0.0") && open.ends_with("\n# EOF\n"));

    let text = fs::read_to_string(ebpfix.config()).unwrap();
    fs::write(ebpfix.config(), text.replace("9464", "9465")).unwrap();
    ebpfix.process().signal(Signal::SIGHUP);
    wait_for("it listens elsewhere", Duration::from_secs(10), || {
        get(&b, 9465, "")
    });
    assert_eq!(get(&b, 9464, ""), None);

    // Where somebody else is, it cannot; the one in force stays.
    let taken = b
        .enter(|| TcpListener::bind("127.0.0.1:9466"))
        .expect("a port");
    fs::write(ebpfix.config(), text.replace("9464", "9466")).unwrap();
    ebpfix.process().signal(Signal::SIGHUP);
    let errors = wait_for("it is told", Duration::from_secs(10), || {
        let errors = ebpfix.status()["configuration"]["errors"].to_string();
        errors.contains("9466").then_some(errors)
    });
    assert!(
        errors.contains("metrics.listen: cannot listen at 127.0.0.1:9466"),
        "{errors}"
    );
    let answer = get(&b, 9465, "").expect("an answer");
    assert_eq!(value(&answer, "ebpfix_configuration_errors"), 1);
    drop(taken);
    let _ = ebpfix.stop();
}

#[test]
fn the_alerts_are_right_by_prometheus_own_tool() {
    promtool(&["check", "rules", "alerts.yml"], "");
    promtool(&["test", "rules", "alerts_test.yml"], "");
}

#[test]
fn a_port_that_is_taken_is_told_at_the_start() {
    let (lab, _a, b) = Lab::pair("metrics-taken");
    let _taken = b
        .enter(|| TcpListener::bind("127.0.0.1:9464"))
        .expect("a port");
    let settings =
        Settings::new("b0", &["ingress"]).table("[metrics]\nlisten = \"127.0.0.1:9464\"");
    let ebpfix = Ebpfix::launch(&lab, &b, &settings);
    let pins: PathBuf = ebpfix.pin_dir().to_owned();
    let done = ebpfix.wait(Duration::from_secs(20));
    assert_eq!(done.status.code(), Some(1), "{}", done.stderr);
    let said = "ebpfix: metrics.listen: cannot listen at 127.0.0.1:9464: ";
    assert!(
        done.stderr.lines().any(|line| line.starts_with(said)),
        "{}",
        done.stderr
    );
    assert_eq!(fs::read_dir(pins).into_iter().flatten().count(), 0);
}
