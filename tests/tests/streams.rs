//! IPFIX over connections to peers that are not ours: tshark reads it from the wire, and openssl takes it
//! by TLS, each side with its certificate. And to ours, which has to count the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ebpfix_tests::frame::{IPV4, Ipv4, ethernet, protocol, udp};
use ebpfix_tests::process::{Process, Program};
use ebpfix_tests::{Collect, Ebpfix, Injector, Lab, Namespace, Settings, wait_for};
use ipfix::{Decoder, DecoderLimits, Sequence, Transport, elements as e};
use nix::sys::signal::Signal;
use serde_json::Value;

/// By TCP and by TLS to `ebpfix collect`, by TLS to openssl.
const TCP: u16 = 9001;
const TLS: u16 = 9002;
const OPENSSL: u16 = 9003;
const FLOWS: u16 = 3000;
const ROUNDS: u16 = 2;
/// IP octets of each packet.
const OCTETS: u64 = 32;

/// A certificate authority, and a certificate for 127.0.0.1 that either side shows.
struct Certificates(PathBuf);

impl Certificates {
    fn new(lab: &Lab) -> Self {
        let folder = lab.folder().join("tls");
        fs::create_dir_all(&folder).expect("a folder for certificates");
        let config = "[req]\ndistinguished_name = dn\n[dn]\n[ca]\nbasicConstraints = critical, CA:TRUE\n\
                      [leaf]\nbasicConstraints = critical, CA:FALSE\nsubjectAltName = IP:127.0.0.1\n";
        fs::write(folder.join("openssl.cnf"), config).expect("openssl's configuration");
        let made = Self(folder);
        made.request("authority", "ca", &[]);
        made.request(
            "own",
            "leaf",
            &["-CA", "authority.pem", "-CAkey", "authority.key"],
        );
        made
    }

    fn request(&self, name: &str, extensions: &str, more: &[&str]) {
        let output = Command::new("openssl")
            .current_dir(&self.0)
            .args([
                "req",
                "-x509",
                "-config",
                "openssl.cnf",
                "-extensions",
                extensions,
            ])
            .args([
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
            ])
            .args(["-days", "2", "-subj", &format!("/CN={name}")])
            .args([
                "-keyout",
                &format!("{name}.key"),
                "-out",
                &format!("{name}.pem"),
            ])
            .args(more)
            .output()
            .unwrap_or_else(|error| panic!("openssl does not run ({error}): run `make setup`"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl: {stderr}");
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn keys(&self) -> String {
        format!(
            "transport = \"tls\"\nca = \"{}\"\ncertificate = \"{}\"\nkey = \"{}\"",
            self.path("authority.pem"),
            self.path("own.pem"),
            self.path("own.key")
        )
    }
}

fn wait_for_tcp(namespace: &Namespace, port: u16) {
    let listening = format!(":{port:04X} 00000000:0000 0A");
    wait_for("somebody listens", Duration::from_secs(20), || {
        let table = namespace.enter(|| fs::read_to_string("/proc/thread-self/net/tcp"));
        table.ok()?.contains(&listening).then_some(())
    });
}

/// What came over a connection: packets and octets of each record. All of it is sound.
fn read_stream(octets: &[u8]) -> Vec<(u64, u64)> {
    let mut decoder = Decoder::new(DecoderLimits::default()).over(Transport::Reliable);
    let mut records = Vec::new();
    let mut rest = octets;
    while !rest.is_empty() {
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let (message, after) = rest.split_at(length);
        let decoded = decoder.decode(&(), message).expect("a message of IPFIX");
        assert!(decoded.errors().is_empty() && decoded.unknown().is_empty());
        let sequence = decoded.sequence();
        assert!(
            matches!(sequence, Sequence::First | Sequence::InOrder),
            "{sequence:?}"
        );
        for record in decoded
            .records()
            .filter(|record| !record.template().is_options())
        {
            let number = |element| record.value(element).and_then(|value| value.unsigned());
            let packets = number(&e::PACKET_DELTA_COUNT).expect("packets");
            records.push((packets, number(&e::OCTET_DELTA_COUNT).expect("octets")));
        }
        rest = after;
    }
    records
}

/// Packets and octets of each flow that tshark finds in the connections of a capture.
fn tshark(capture: &Path, port: u16) -> Vec<(u64, u64)> {
    let output = Command::new("tshark")
        .args([
            "-n",
            "-T",
            "fields",
            "-e",
            "cflow.packets",
            "-e",
            "cflow.octets",
            "-d",
        ])
        .arg(format!("tcp.port=={port},cflow"))
        .args([
            "-o",
            "tcp.reassemble_out_of_order:TRUE",
            "-Y",
            "cflow",
            "-r",
        ])
        .arg(capture)
        .output()
        .unwrap_or_else(|error| panic!("tshark does not run ({error}): run `make setup`"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tshark: {stderr}");
    let text = String::from_utf8(output.stdout).expect("text");
    let numbers = |list: &str| -> Vec<u64> {
        let numbers = list.split(',').filter(|number| !number.is_empty());
        numbers
            .map(|number| number.parse().expect("a number"))
            .collect()
    };
    let mut flows = Vec::new();
    for line in text.lines() {
        let (packets, octets) = line.split_once('\t').expect("two fields");
        let (packets, octets) = (numbers(packets), numbers(octets));
        assert_eq!(packets.len(), octets.len());
        flows.extend(packets.into_iter().zip(octets));
    }
    flows
}

fn sum(records: impl IntoIterator<Item = (u64, u64)>) -> (u64, u64) {
    records
        .into_iter()
        .fold((0, 0), |(packets, octets), record| {
            (packets + record.0, octets + record.1)
        })
}

fn of_json(flows: &[Value]) -> (u64, u64) {
    let number = |value: &Value| value.as_u64().expect("a number");
    sum(flows
        .iter()
        .map(|flow| (number(&flow["packets"]), number(&flow["bytes"]))))
}

#[test]
fn tshark_openssl_and_collect_get_every_packet_over_connections() {
    let (lab, traffic, router) = Lab::pair("streams");
    let certificates = Certificates::new(&lab);
    let injector = Injector::new(&traffic, "a0");
    let capture = lab.folder().join("tcp.pcap");
    let tcpdump = lab.start(
        &router,
        &Program::new("tcpdump")
            .args(["-i", "lo", "--immediate-mode", "-U", "-B", "16384", "-w"])
            .arg(&capture)
            .arg("tcp"),
    );
    wait_for("tcpdump listens", Duration::from_secs(20), || {
        tcpdump.stderr().contains("listening on").then_some(())
    });
    let by_tcp = Collect::start_connections(&lab, &router, &format!("tcp:127.0.0.1:{TCP}"), &[]);
    let tls = ["--tls-certificate", "--tls-key", "--tls-ca"];
    let files = ["own.pem", "own.key", "authority.pem"].map(|name| certificates.path(name));
    let tls: Vec<_> = tls
        .into_iter()
        .zip(&files)
        .flat_map(|(k, v)| [k, v])
        .collect();
    let by_tls = Collect::start_connections(&lab, &router, &format!("tls:127.0.0.1:{TLS}"), &tls);
    let stream = lab.folder().join("stream");
    let openssl = s_server(&lab, &router, &certificates, &stream);
    for port in [TCP, TLS, OPENSSL] {
        wait_for_tcp(&router, port);
    }

    let settings = Settings::new("b0", &["ingress"])
        .observation("drain-interval", "\"10ms\"")
        .metering("active-timeout", "\"100ms\"")
        .metering("idle-timeout", "\"100ms\"")
        .collector_with(TCP, "ipfix", "transport = \"tcp\"")
        .collector_with(TLS, "ipfix", &certificates.keys())
        .collector_with(OPENSSL, "ipfix", &certificates.keys());
    let ebpfix = Ebpfix::start(&lab, &router, &settings);
    for round in 0..ROUNDS {
        for port in 0..FLOWS {
            let datagram = Ipv4::new([192, 0, 2, 1], [192, 0, 2, 2], protocol::UDP)
                .packet(&udp(port, round, b"data"));
            injector.send(&ethernet(IPV4, &datagram));
        }
        ebpfix.wait_observed(u64::from(FLOWS) * u64::from(round + 1));
    }
    let packets = u64::from(FLOWS) * u64::from(ROUNDS);
    let all = (packets, packets * OCTETS);
    let status = wait_for("all is sent to all", Duration::from_secs(30), || {
        let status = ebpfix.status();
        let collectors = status["collectors"].as_array().expect("collectors");
        let sent = collectors
            .iter()
            .all(|one| one["exported"]["packets"] == packets);
        sent.then_some(status)
    });
    ebpfix.ledger().assert_balanced();
    for collector in status["collectors"].as_array().expect("collectors") {
        assert_eq!(collector["connection"]["state"], "connected", "{collector}");
        assert_eq!(collector["connection"]["made"], 1, "{collector}");
        let version = &collector["connection"]["tls"]["version"];
        match collector["transport"].as_str() {
            Some("tcp") => assert!(version.is_null(), "{collector}"),
            _ => assert_eq!(version, "TLSv1.3", "{collector}"),
        }
    }
    let _ = ebpfix.stop().success();

    // It ends with the connection.
    let _ = openssl.wait(Duration::from_secs(20)).success();
    wait_until_still(&capture);
    let _ = tcpdump.stop(Signal::SIGINT, Duration::from_secs(20));
    let octets = fs::read(&stream).expect("what openssl received");
    assert_eq!(sum(read_stream(&octets)), all);
    assert_eq!(sum(tshark(&capture, TCP)), all);
    let whole = fs::read(&capture).expect("the capture");
    // Of three streams one is in clear: the first records' source and destination.
    let known = [192, 0, 2, 1, 192, 0, 2, 2];
    assert!(whole.windows(8).filter(|w| *w == known).count() >= usize::from(FLOWS));
    assert_eq!(tshark(&capture, OPENSSL), []);
    for collect in [by_tcp, by_tls] {
        let (flows, done) = collect.stop_connections();
        assert_eq!(of_json(&flows), all, "{}", done.stderr);
        assert!(
            done.stderr
                .contains("missing by sequence: 0, sets without template: 0, garbage: 0"),
            "{}",
            done.stderr
        );
        let connections = "connections: 1, broken: 0, refused: 0";
        assert!(done.stderr.contains(connections), "{}", done.stderr);
    }
}

/// Waits until the file grows no more.
fn wait_until_still(file: &Path) {
    let length = || fs::metadata(file).expect("the capture").len();
    let mut last = 0;
    wait_for("all is captured", Duration::from_secs(20), || {
        std::thread::sleep(Duration::from_millis(200));
        (std::mem::replace(&mut last, length()) == last).then_some(())
    });
}

/// openssl, which writes what it receives by TLS, from one who has a certificate, into a file.
fn s_server(
    lab: &Lab,
    namespace: &Namespace,
    certificates: &Certificates,
    stream: &Path,
) -> Process {
    // A pipe that nobody writes to: at the end of its input it would end.
    let script = format!(
        "mkfifo input && exec openssl s_server -accept 127.0.0.1:{OPENSSL} -naccept 1 -quiet \
         -cert own.pem -key own.key -CAfile authority.pem -Verify 1 -verify_return_error \
         <>input >{}",
        stream.display()
    );
    let program = Program::new("sh")
        .args(["-c", &script])
        .folder(&certificates.0);
    lab.start(namespace, &program)
}
