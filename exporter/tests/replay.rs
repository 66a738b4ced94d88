//! `ebpfix replay`, as a user runs it, on captures made here. What it prints is in `golden/`;
//! `EBPFIX_UPDATE=1` writes it anew.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use ipfix::{Decoder, DecoderLimits};

/// A folder that is gone when the test is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("ebpfix-replay-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, octets: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, octets).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The first packet's time: 2026-11-24T16:07:00Z.
const START: u32 = 1_795_536_420;

fn words(values: &[u32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// A pcap of this link type.
struct Pcap(Vec<u8>);

impl Pcap {
    fn new(link_type: u32) -> Self {
        let mut file = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, link_type]);
        file.reserve(1 << 16);
        Self(file)
    }

    /// A packet so many milliseconds after the start, of which `captured` octets are there.
    fn packet(&mut self, millis: u32, packet: &[u8], captured: usize) {
        let captured = &packet[..captured.min(packet.len())];
        self.0.extend(words(&[
            START + millis / 1000,
            millis % 1000 * 1000,
            u32::try_from(captured.len()).unwrap(),
            u32::try_from(packet.len()).unwrap(),
        ]));
        self.0.extend(captured);
    }
}

fn udp(source: u16, destination: u16, payload: usize) -> Vec<u8> {
    let mut udp = source.to_be_bytes().to_vec();
    udp.extend(destination.to_be_bytes());
    udp.extend(u16::try_from(8 + payload).unwrap().to_be_bytes());
    udp.resize(8 + payload, 0);
    udp
}

fn tcp(source: u16, destination: u16, flags: u8) -> Vec<u8> {
    let mut tcp = source.to_be_bytes().to_vec();
    tcp.extend(destination.to_be_bytes());
    tcp.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    tcp
}

fn ipv4(source: [u8; 4], destination: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let mut ip = vec![
        0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, protocol, 0, 0,
    ];
    ip.extend(source);
    ip.extend(destination);
    ip.extend(payload);
    ip
}

fn ipv6(source: u8, destination: u8, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let mut ip = vec![0x60, 0, 0, 0, length[0], length[1], protocol, 61];
    for last in [source, destination] {
        ip.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    ip.extend(payload);
    ip
}

fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

const CLIENT: [u8; 4] = [192, 0, 2, 1];
const SERVER: [u8; 4] = [198, 51, 100, 2];

/// A bit of everything: a connection that ends, a flow that goes on beyond both timeouts, ICMP,
/// IPv6, a VLAN, ARP, and a header that lies.
fn mixed() -> Pcap {
    let mut pcap = Pcap::new(1);
    let v4 =
        |millis, pcap: &mut Pcap, ip: Vec<u8>| pcap.packet(millis, &ethernet(0x0800, &ip), 9999);
    v4(
        0,
        &mut pcap,
        ipv4(CLIENT, SERVER, 6, &tcp(40_000, 443, 0x02)),
    );
    v4(
        1,
        &mut pcap,
        ipv4(SERVER, CLIENT, 6, &tcp(443, 40_000, 0x12)),
    );
    v4(
        2,
        &mut pcap,
        ipv4(CLIENT, SERVER, 6, &tcp(40_000, 443, 0x11)),
    );
    for millis in (0..90_000).step_by(10_000) {
        v4(
            millis,
            &mut pcap,
            ipv4(CLIENT, SERVER, 17, &udp(5_000, 5_001, 72)),
        );
    }
    v4(
        90_000,
        &mut pcap,
        ipv4(CLIENT, SERVER, 1, &[8, 0, 0, 0, 0, 0, 0, 0]),
    );
    let tagged = [&[0, 7, 0x86, 0xdd][..], &ipv6(1, 2, 17, &udp(53, 53, 12))].concat();
    pcap.packet(90_001, &ethernet(0x8100, &tagged), 9999);
    pcap.packet(90_002, &ethernet(0x0806, &[0; 46]), 9999);
    let mut lying = ipv4(CLIENT, SERVER, 17, &udp(1, 2, 3));
    lying[2] = 9;
    v4(90_003, &mut pcap, lying);
    pcap
}

fn replay(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ebpfix"))
        .arg("replay")
        .args(arguments)
        .output()
        .unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

/// stderr without how long it took.
fn report(output: &Output) -> String {
    let stderr = text(&output.stderr);
    let lines = stderr.split_inclusive('\n');
    lines
        .filter(|line| !line.ends_with("million a second\n"))
        .collect()
}

#[track_caller]
fn golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("EBPFIX_UPDATE").is_some() {
        fs::write(&path, found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(expected, found, "{name}");
}

#[test]
fn every_format_shows_the_same_flows() {
    let scratch = Scratch::new("formats");
    let file = scratch.file("mixed.pcap", &mixed().0);
    for format in ["table", "json", "csv"] {
        let output = replay(&[file.to_str().unwrap(), "--format", format]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        golden(&format!("replay.{format}"), &text(&output.stdout));
        golden("replay.ledger", &report(&output));
    }
    let output = replay(&[
        file.to_str().unwrap(),
        "--non-ip",
        "flow",
        "--idle-timeout",
        "5s",
    ]);
    golden("replay-other-policy.table", &text(&output.stdout));
}

#[test]
fn packets_cut_by_a_snap_length_count_as_they_were() {
    let scratch = Scratch::new("snap");
    let frame = ethernet(0x0800, &ipv4(CLIENT, SERVER, 17, &udp(1, 2, 1000)));
    for captured in [42, 46, 100, 9999] {
        let mut pcap = Pcap::new(1);
        pcap.packet(0, &frame, captured);
        let file = scratch.file("snap.pcap", &pcap.0);
        let output = replay(&[file.to_str().unwrap(), "--format", "json"]);
        let stdout = text(&output.stdout);
        assert!(
            stdout.contains("\"packets\":1,\"bytes\":1028,"),
            "{captured}: {stdout}"
        );
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn several_files_are_one_stream_and_so_is_stdin() {
    let scratch = Scratch::new("stream");
    let whole = mixed().0;
    let expected = text(&replay(&[scratch.file("whole", &whole).to_str().unwrap()]).stdout);
    // Cut between two packets: the second file has a header of its own.
    let cut = 24 + 2 * (16 + 54);
    let first = scratch.file("first", &whole[..cut]);
    let second = scratch.file("second", &[&whole[..24], &whole[cut..]].concat());
    let output = replay(&[first.to_str().unwrap(), second.to_str().unwrap()]);
    assert_eq!(text(&output.stdout), expected);

    let mut child = Command::new(env!("CARGO_BIN_EXE_ebpfix"))
        .args(["replay", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&whole).unwrap();
    drop(stdin);
    assert_eq!(text(&child.wait_with_output().unwrap().stdout), expected);
}

#[test]
fn what_is_wrong_with_files_is_told_and_what_they_hold_is_given() {
    let scratch = Scratch::new("damage");
    let mut wireless = Pcap::new(127);
    wireless.packet(0, &[0; 60], 9999);
    let mut cut = mixed().0;
    cut.truncate(cut.len() - 10);
    for (name, octets) in [
        ("cut.pcap", cut),
        ("wireless.pcap", wireless.0),
        ("empty.pcap", Vec::new()),
        ("text.pcap", b"no capture".to_vec()),
    ] {
        scratch.file(name, &octets);
    }
    let output = Command::new(env!("CARGO_BIN_EXE_ebpfix"))
        .args(["replay", "--format", "csv"])
        .args([
            "cut.pcap",
            "wireless.pcap",
            "empty.pcap",
            "text.pcap",
            "missing.pcap",
        ])
        .current_dir(&scratch.0)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    golden("replay-damage.ledger", &report(&output));
    assert_eq!(
        text(&output.stdout).lines().count(),
        7,
        "{}",
        text(&output.stdout)
    );
}

#[test]
fn a_collector_gets_what_is_printed_by_every_protocol() {
    let scratch = Scratch::new("collector");
    let file = scratch.file("mixed.pcap", &mixed().0);
    for (protocol, records, lost) in [("ipfix", 6, 0), ("netflow-v9", 6, 0), ("netflow-v5", 5, 1)] {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let output = replay(&[
            file.to_str().unwrap(),
            "--collector",
            &address,
            "--protocol",
            protocol,
        ]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "");
        let report = report(&output);
        assert!(
            report.contains(&format!("sent {records} records in ")),
            "{report}"
        );
        assert_eq!(
            report.contains("lost: not_in_protocol"),
            lost > 0,
            "{report}"
        );

        let mut decoder = Decoder::new(DecoderLimits::default());
        let mut buffer = vec![0; 65_536];
        let (mut received, mut times) = (0, Vec::new());
        while received < records {
            let (length, _) = socket.recv_from(&mut buffer).unwrap();
            let decoded = decoder.decode(&(), &buffer[..length]).unwrap();
            assert_eq!((decoded.errors().len(), decoded.unknown().len()), (0, 0));
            received += decoded.record_count();
            for record in decoded.records() {
                let start = [
                    &ipfix::elements::FLOW_START_MILLISECONDS,
                    &ipfix::elements::FLOW_START_SYS_UP_TIME,
                ]
                .into_iter()
                .find_map(|element| record.value(element)?.unix_ms());
                times.push(start.unwrap() / 1000);
            }
        }
        assert_eq!(received, records, "{protocol}");
        // The times are the capture's, in each protocol.
        let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        assert_eq!(
            (*first, *last),
            (START.into(), u64::from(START) + 90),
            "{protocol}"
        );
    }
}

#[test]
fn a_collector_that_does_not_listen_is_told() {
    let scratch = Scratch::new("refused");
    let file = scratch.file("mixed.pcap", &mixed().0);
    // Bound and closed: nobody listens there.
    let address = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let output = replay(&[file.to_str().unwrap(), "--collector", &address.to_string()]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    let expected = format!("ebpfix: nobody listens at {address}: Connection refused");
    assert!(stderr.contains(&expected), "{stderr}");
}

#[test]
fn recorded_speed_is_kept_and_a_signal_ends_it_with_what_was_read() {
    let scratch = Scratch::new("speed");
    let mut pcap = Pcap::new(1);
    let frame = ethernet(0x0800, &ipv4(CLIENT, SERVER, 17, &udp(1, 2, 0)));
    for millis in [0, 500, 1000, 600_000] {
        pcap.packet(millis, &frame, 9999);
    }
    let file = scratch.file("slow.pcap", &pcap.0[..pcap.0.len() - 16 - frame.len()]);
    let began = Instant::now();
    let output = replay(&[file.to_str().unwrap(), "--speed", "2", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        began.elapsed() >= Duration::from_millis(500),
        "{:?}",
        began.elapsed()
    );
    assert!(text(&output.stdout).contains("\"packets\":3,"));

    let file = scratch.file("slow.pcap", &pcap.0);
    let mut child = Command::new(env!("CARGO_BIN_EXE_ebpfix"))
        .args(["replay", "--realtime", "--format", "json"])
        .arg(file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_millis(1500));
    let status = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
    let status = child.wait().unwrap();
    let mut stdout = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    assert_eq!(status.code(), Some(0), "{stdout}");
    assert!(stdout.contains("\"packets\":3,"), "{stdout}");
}

#[test]
fn flows_from_a_pipe_are_printed_while_it_is_open() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ebpfix"))
        .args(["replay", "-", "--format", "json", "--idle-timeout", "1s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut pcap = Pcap::new(101);
    pcap.packet(0, &ipv4(CLIENT, SERVER, 17, &udp(1, 2, 0)), 9999);
    stdin.write_all(&pcap.0).unwrap();
    stdin.flush().unwrap();
    thread::sleep(Duration::from_millis(500));
    pcap.0.clear();
    pcap.packet(10_000, &ipv4(CLIENT, SERVER, 17, &udp(3, 4, 0)), 9999);
    stdin.write_all(&pcap.0).unwrap();
    stdin.flush().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let (sender, first) = channel();
    let reader = thread::spawn(move || {
        let mut first = [0; 19];
        stdout.read_exact(&mut first).unwrap();
        sender.send(first).unwrap();
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        rest
    });
    let first = first.recv_timeout(Duration::from_secs(20));
    drop(stdin);
    assert!(child.wait().unwrap().success());
    // Only now: what comes at the end is not meant.
    assert_eq!(&first.unwrap(), b"{\"src\":\"192.0.2.1\",");
    assert_eq!(reader.join().unwrap().lines().count(), 2);
}
