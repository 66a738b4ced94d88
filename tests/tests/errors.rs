//! Bad input and bad circumstances: one clear line, the right exit status, nothing left behind.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use ebpfix_tests::ebpfix::binary;
use ebpfix_tests::frame::{IPV4, Ipv4, ethernet, udp};
use ebpfix_tests::process::Program;
use ebpfix_tests::{
    Ebpfix, Finished, Injector, Lab, Namespace, Process, Settings, alone, wait_for,
};
use nix::sys::signal::Signal;
use serde_json::Value;

/// `EX_CONFIG` of sysexits.h.
const CONFIG: i32 = 78;
const FAILURE: i32 = 1;
const SOON: Duration = Duration::from_secs(10);

struct Fixture {
    lab: Lab,
    a: Namespace,
    b: Namespace,
}

impl Fixture {
    fn new(name: &str) -> Self {
        let (lab, a, b) = Lab::pair(name);
        Self { lab, a, b }
    }

    fn run(&self, program: &Program) -> Finished {
        self.lab.run(&self.a, program, SOON)
    }

    /// `ebpfix run` with this text as configuration.
    fn run_with(&self, text: &str) -> Finished {
        let config = self.lab.folder().join("test.toml");
        fs::write(&config, text).unwrap();
        self.run(&Program::new(binary()).args(["run", "--config"]).arg(config))
    }

    /// A configuration that is right but for what is added.
    fn settings(&self, settings: &Settings) -> String {
        settings.text(&self.lab.folder().join("run"), &self.pins())
    }

    fn pins(&self) -> std::path::PathBuf {
        let name = self.lab.folder().file_name().unwrap();
        Path::new("/sys/fs/bpf").join(name)
    }
}

fn good() -> Settings {
    Settings::new("a0", &["ingress"]).collector(9001, "ipfix")
}

/// It ended with the status, and but for the log of what went well, what it says on its standard error
/// is one line with all the words.
#[track_caller]
fn assert_says(done: &Finished, status: i32, words: &[&str]) {
    let said = format!("status {:?}, stderr:\n{}", done.code(), done.stderr);
    assert_eq!(done.code(), Some(status), "{said}");
    assert!(!done.stderr.contains("panicked"), "{said}");
    let lines: Vec<&str> = done
        .stderr
        .lines()
        .filter(|line| !line.is_empty() && !line.contains(" INFO "))
        .collect();
    let [line] = lines[..] else {
        panic!("not one line: {said}")
    };
    for word in words {
        assert!(
            line.to_lowercase().contains(&word.to_lowercase()),
            "no '{word}': {said}"
        );
    }
}

#[test]
fn a_configuration_that_cannot_be_read() {
    let fixture = Fixture::new("unreadable");
    for path in ["/nonexistent/ebpfix.toml", "/etc"] {
        let done = fixture.run(&Program::new(binary()).args(["run", "--config", path]));
        assert_says(&done, CONFIG, &[path]);
    }
}

#[test]
fn a_configuration_with_a_mistake() {
    let fixture = Fixture::new("mistake");
    let done = fixture.run_with("[observation]\nsamplin = 1\n");
    assert_says(&done, CONFIG, &["test.toml:2:1", "samplin", "sampling"]);
    let done = fixture.run_with("[observation]\nsampling = \n");
    assert_says(&done, CONFIG, &["test.toml:2"]);
    let done = fixture.run_with("[[collector]]\naddress = \"300.1.1.1:4739\"\n");
    assert_says(&done, CONFIG, &["test.toml:2:11", "address", "300.1.1.1"]);
}

#[test]
fn every_mistake_is_named_at_once() {
    let fixture = Fixture::new("mistakes");
    let done = fixture.run_with("[observation]\nsampling = 0\n[metering]\nmax-flows = \"many\"\n");
    assert_eq!(done.code(), Some(CONFIG), "{}", done.stderr);
    let places = ["test.toml:2:12", "test.toml:4:13"];
    for place in places {
        assert!(done.stderr.contains(place), "no {place}: {}", done.stderr);
    }
}

#[test]
fn a_missing_interface() {
    let fixture = Fixture::new("interface");
    let settings = Settings::new("nosuch0", &["ingress"]).collector(9001, "ipfix");
    let done = fixture.run_with(&fixture.settings(&settings));
    assert!(matches!(done.code(), Some(CONFIG | FAILURE)), "{done:?}");
    assert_says(&done, done.code().unwrap(), &["nosuch0"]);
    assert!(!fixture.pins().exists());
}

#[test]
fn no_privilege() {
    let fixture = Fixture::new("nobody");
    // Where nobody may read.
    fs::set_permissions(fixture.lab.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = fixture.lab.folder().join("ebpfix");
    fs::copy(binary(), &copy).unwrap();
    let config = fixture.lab.folder().join("nobody.toml");
    let run_dir = fixture.lab.folder().join("nobody");
    fs::create_dir(&run_dir).unwrap();
    fs::set_permissions(&run_dir, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(&config, good().text(&run_dir, &fixture.pins())).unwrap();
    let program = Program::new(&copy).args(["run", "--config"]).arg(&config);
    let done = fixture.run(&program.user(65534));
    assert_says(&done, FAILURE, &["root"]);
}

#[test]
fn a_collector_port_that_is_in_use() {
    let fixture = Fixture::new("port");
    let socket = fixture
        .a
        .enter(|| UdpSocket::bind("127.0.0.1:4739"))
        .unwrap();
    let done = fixture.run(&Program::new(binary()).arg("collect"));
    assert_says(&done, FAILURE, &["127.0.0.1:4739", "in use"]);
    drop(socket);
}

#[test]
fn a_collector_address_that_is_not_of_this_host() {
    let fixture = Fixture::new("foreign");
    let program = Program::new(binary()).args(["collect", "--listen", "192.0.2.77:4739"]);
    assert_says(&fixture.run(&program), FAILURE, &["192.0.2.77:4739"]);
}

#[test]
fn pins_outside_a_bpf_file_system() {
    let fixture = Fixture::new("no bpffs");
    let elsewhere = fixture.lab.folder().join("pins");
    let text = good().text(&fixture.lab.folder().join("run"), &elsewhere);
    let done = fixture.run_with(&text);
    assert!(matches!(done.code(), Some(CONFIG | FAILURE)), "{done:?}");
    assert_says(&done, done.code().unwrap(), &["pins", "bpf"]);
}

#[test]
fn a_run_directory_that_cannot_be_made() {
    let fixture = Fixture::new("run-dir");
    let text = good().text(Path::new("/proc/nosuch/run"), &fixture.pins());
    let done = fixture.run_with(&text);
    assert!(matches!(done.code(), Some(CONFIG | FAILURE)), "{done:?}");
    assert_says(&done, done.code().unwrap(), &["/proc/nosuch/run"]);
    assert!(!fixture.pins().exists(), "pins were left behind");
}

#[test]
fn a_second_exporter_in_the_same_run_directory() {
    let fixture = Fixture::new("second");
    let first = Ebpfix::start(&fixture.lab, &fixture.a, &good());
    let program = Program::new(binary())
        .args(["run", "--config"])
        .arg(first.config());
    assert_says(&fixture.run(&program), FAILURE, &["run"]);
    // The first did not notice.
    let _ = first.ledger();
    let _ = first.stop();
}

#[test]
fn a_status_without_an_exporter() {
    let fixture = Fixture::new("status");
    let config = fixture.lab.folder().join("test.toml");
    fs::write(&config, fixture.settings(&good())).unwrap();
    let done = fixture.run(
        &Program::new(binary())
            .args(["status", "--json", "--config"])
            .arg(config),
    );
    assert_says(&done, FAILURE, &["control.sock"]);
}

/// Nobody listens, and the kernel says so by ICMP: retried without end, and the exporter goes on.
#[test]
fn a_collector_that_refuses_stops_nothing() {
    let fixture = Fixture::new("refused");
    let settings = good()
        .metering("active-timeout", "\"100ms\"")
        .metering("idle-timeout", "\"100ms\"");
    let ebpfix = Ebpfix::start(&fixture.lab, &fixture.a, &settings);
    let injector = Injector::new(&fixture.b, "b0");
    for round in 1..=4 {
        let datagram = Ipv4::new([192, 0, 2, 1], [192, 0, 2, 2], 17).packet(&udp(1, 9, b"data"));
        injector.send(&ethernet(IPV4, &datagram));
        let ledger = ebpfix.wait_observed(round);
        assert_eq!(ledger.observed.packets, round, "{ledger:?}");
        wait_for("the flow is sent", SOON, || {
            (ebpfix.ledger().held.packets == 0).then_some(())
        });
    }
    let _ = ebpfix.stop();
}

/// Without a configuration: every interface that is up but lo, flows as they come.
#[test]
fn run_without_a_configuration_shows_flows() {
    let _alone = alone();
    assert!(
        !Path::new("/etc/ebpfix/ebpfix.toml").exists(),
        "this machine has a configuration of its own"
    );
    let (lab, a, b) = Lab::pair("no config");
    a.address("a0", "10.0.0.1/24");
    b.address("b0", "10.0.0.2/24");
    let process = lab.start(&b, &Program::new(binary()).arg("run"));
    let status = Program::new(binary()).args(["status", "--json"]);
    wait_for("the exporter is ready", SOON, || {
        let done = lab.run(&b, &status, SOON);
        let status: Value = serde_json::from_str(&done.stdout).ok()?;
        status["interfaces"]
            .to_string()
            .contains("\"b0\"")
            .then_some(())
    });
    ebpfix_tests::traffic::ping(&lab, &a, "10.0.0.2", 3);
    // At the end all that is held is shown.
    let done = process
        .stop(Signal::SIGTERM, Duration::from_secs(20))
        .success();
    for address in ["10.0.0.1", "10.0.0.2"] {
        assert!(
            done.stdout.contains(address),
            "{}\n{}",
            done.stdout,
            done.stderr
        );
    }
}

/// Noise, cut-off messages and lies about lengths: counted, shown, and what is right still decoded.
#[test]
fn garbage_sent_to_collect_is_counted_and_never_fatal() {
    let fixture = Fixture::new("garbage");
    let program =
        Program::new(binary()).args(["collect", "--listen", "127.0.0.1:9001", "--format", "json"]);
    let mut collect: Process = fixture.lab.start(&fixture.a, &program);
    fixture.a.wait_for_udp(9001);
    let socket = fixture.a.enter(|| UdpSocket::bind("127.0.0.1:0")).unwrap();
    let send = |octets: &[u8]| {
        socket.send_to(octets, "127.0.0.1:9001").unwrap();
    };
    let message = message();
    // Cut off at every length, and every octet turned over.
    for length in 0..message.len() {
        send(&message[..length]);
    }
    for index in 0..message.len() {
        let mut wrong = message.clone();
        wrong[index] ^= 0xff;
        send(&wrong);
    }
    let mut state = 1u32;
    for length in 0..200 {
        let noise: Vec<u8> = (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            })
            .collect();
        send(&noise);
    }
    send(&message);
    fixture.a.wait_until_read(9001);
    assert!(collect.is_running(), "{}", collect.stderr());
    let flow = wait_for("the good message's flow", SOON, || {
        let text = collect.stdout();
        let line = text.lines().rfind(|line| line.contains("192.0.2.1"))?;
        serde_json::from_str::<Value>(line).ok()
    });
    assert_eq!(
        (&flow["src"], &flow["dst"], &flow["packets"], &flow["bytes"]),
        (
            &"192.0.2.1".into(),
            &"198.51.100.2".into(),
            &3.into(),
            &120.into()
        ),
        "{flow}"
    );
    let done = collect.stop(Signal::SIGTERM, SOON).success();
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    assert!(
        !done.stderr.trim().is_empty(),
        "no summary of what was not understood"
    );
}

/// An IPFIX message with a template and one record.
fn message() -> Vec<u8> {
    let template: [u8; 32] = [
        0, 2, 0, 32, 1, 0, 0, 6, 0, 8, 0, 4, 0, 12, 0, 4, 0, 4, 0, 1, 0, 7, 0, 2, 0, 2, 0, 4, 0, 1,
        0, 4,
    ];
    let mut data = vec![1, 0, 0, 23, 192, 0, 2, 1, 198, 51, 100, 2, 6, 0, 80];
    data.extend(3u32.to_be_bytes());
    data.extend(120u32.to_be_bytes());
    let length = u16::try_from(16 + template.len() + data.len()).unwrap();
    let mut message = vec![0, 10];
    message.extend(length.to_be_bytes());
    message.extend([0x67, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    message.extend(template);
    message.extend(data);
    message
}
