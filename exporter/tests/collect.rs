//! The built-in collector over real UDP on the loopback: messages of the `ipfix` crate, of another
//! exporter (softflowd), and garbage.

mod collecting;

use std::collections::HashMap;
use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use collecting::{Running, Shared};
use ebpfix::cli::OutputFormat;
use ebpfix::collector::{self, Collector, Output, Printer, Storage, Summary};
use ebpfix::record::{FlowJson, UnixTime};
use ipfix::{Layout, Protocol, Session, SessionOptions, Written, elements};

const PROTOCOLS: [Protocol; 2] = [Protocol::Ipfix, Protocol::NetflowV9];

/// 2026-11-24 16:07:00 UTC.
const NOW_MS: u64 = 1_795_536_420_000;

/// What the tests export.
#[derive(Clone, Debug)]
struct Flow {
    src: [u8; 4],
    dst: [u8; 4],
    sport: u16,
    dport: u16,
    packets: u64,
    bytes: u64,
    start_ms: u64,
    end_ms: u64,
    if_index: u32,
}

fn flow(n: u16) -> Flow {
    Flow {
        src: [10, 0, (n >> 8) as u8, (n & 0xff) as u8],
        dst: [192, 0, 2, 7],
        sport: n,
        dport: 443,
        packets: u64::from(n) + 1,
        bytes: 100 * (u64::from(n) + 1),
        start_ms: NOW_MS - 2500,
        end_ms: NOW_MS - 1000,
        if_index: 3,
    }
}

fn flow_layout(protocol: Protocol, template_id: u16) -> Layout<Flow> {
    use elements as e;
    let layout = Layout::<Flow>::builder(protocol, template_id)
        .octets(e::SOURCE_IPV4_ADDRESS, |flow, _| flow.src)
        .octets(e::DESTINATION_IPV4_ADDRESS, |flow, _| flow.dst)
        .unsigned(e::SOURCE_TRANSPORT_PORT, 2, |flow, _| flow.sport.into())
        .unsigned(e::DESTINATION_TRANSPORT_PORT, 2, |flow, _| {
            flow.dport.into()
        })
        .unsigned(e::PROTOCOL_IDENTIFIER, 1, |_, _| 6)
        .unsigned(e::TCP_CONTROL_BITS, 1, |_, _| 0x1b)
        .unsigned(e::FLOW_END_REASON, 1, |_, _| 3)
        .unsigned(e::FLOW_DIRECTION, 1, |_, _| 0)
        .unsigned(e::PACKET_DELTA_COUNT, 8, |flow, _| flow.packets)
        .unsigned(e::OCTET_DELTA_COUNT, 8, |flow, _| flow.bytes)
        .unsigned(e::INGRESS_INTERFACE, 4, |flow, _| flow.if_index.into());
    let layout = match protocol {
        Protocol::Ipfix => layout
            .unsigned(e::FLOW_START_MILLISECONDS, 8, |flow, _| flow.start_ms)
            .unsigned(e::FLOW_END_MILLISECONDS, 8, |flow, _| flow.end_ms),
        Protocol::NetflowV9 | Protocol::NetflowV5 => layout
            .uptime(e::FLOW_START_SYS_UP_TIME, |flow| flow.start_ms)
            .uptime(e::FLOW_END_SYS_UP_TIME, |flow| flow.end_ms),
    };
    layout.build().unwrap()
}

/// An exporter of flows and of the name of interface 3 and the sampling.
struct Exporter {
    socket: UdpSocket,
    session: Session,
    flows: Layout<Flow>,
}

impl Exporter {
    fn new(protocol: Protocol, domain: u32, to: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(to).unwrap();
        let mut session = Session::new(SessionOptions::udp(protocol, domain, NOW_MS - 3_600_000));
        let flows = flow_layout(protocol, 256);
        session.register(&flows).unwrap();
        Self {
            socket,
            session,
            flows,
        }
    }

    /// The next message with these flows, noted as sent.
    fn message(&mut self, flows: &[Flow]) -> Vec<u8> {
        let mut buffer = Vec::new();
        let mut writer = self.session.begin(&mut buffer, NOW_MS);
        assert_eq!(writer.write_all(&self.flows, flows).unwrap(), flows.len());
        let message = writer.finish().unwrap();
        self.session.commit(message).unwrap();
        buffer
    }

    fn send(&mut self, flows: &[Flow]) {
        let message = self.message(flows);
        self.socket.send(&message).unwrap();
    }

    fn send_options(&mut self) {
        use elements as e;
        let protocol = self.session.options().protocol;
        let scope = match protocol {
            Protocol::Ipfix => e::INGRESS_INTERFACE,
            Protocol::NetflowV9 | Protocol::NetflowV5 => ipfix::v9_scope::INTERFACE,
        };
        let names = Layout::<()>::options_builder(protocol, 257)
            .unsigned(scope, 4, |(), _| 3)
            .end_of_scope()
            .text(e::INTERFACE_NAME, 16, |()| "eth0")
            .build()
            .unwrap();
        let scope = match protocol {
            Protocol::Ipfix => e::OBSERVATION_DOMAIN_ID,
            Protocol::NetflowV9 | Protocol::NetflowV5 => ipfix::v9_scope::SYSTEM,
        };
        let sampling = Layout::<()>::options_builder(protocol, 258)
            .unsigned(scope, 4, |(), _| 1)
            .end_of_scope()
            .unsigned(e::SAMPLING_INTERVAL, 4, |(), _| 100)
            .build()
            .unwrap();
        self.session.register(&names).unwrap();
        self.session.register(&sampling).unwrap();
        let mut buffer = Vec::new();
        let mut writer = self.session.begin(&mut buffer, NOW_MS);
        assert_eq!(writer.write(&names, &()).unwrap(), Written::Done);
        assert_eq!(writer.write(&sampling, &()).unwrap(), Written::Done);
        let message = writer.finish().unwrap();
        self.session.commit(message).unwrap();
        self.socket.send(&buffer).unwrap();
    }
}

/// Runs a collector while `send` sends; what arrived when it returns is printed. UDP over the
/// loopback delivers before the sender's call returns, so nothing has to be waited for.
fn collect(format: OutputFormat, send: impl FnOnce(SocketAddr)) -> (String, Summary) {
    let collector = collector::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    collect_with(collector, format, send)
}

fn collect_with(
    collector: Collector,
    format: OutputFormat,
    send: impl FnOnce(SocketAddr),
) -> (String, Summary) {
    let running = Running::start(collector, format);
    send(running.address);
    running.stop()
}

fn flows(printed: &str) -> Vec<FlowJson<'_>> {
    printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn flows_of_both_protocols_come_out_as_they_went_in() {
    for protocol in PROTOCOLS {
        let (printed, summary) = collect(OutputFormat::Json, |address| {
            let mut exporter = Exporter::new(protocol, 1, address);
            exporter.send(&[flow(0), flow(1)]);
            exporter.send(&[flow(300)]);
        });
        let received = flows(&printed);
        assert_eq!(received.len(), 3, "{printed}");
        for (received, sent) in received.iter().zip([flow(0), flow(1), flow(300)]) {
            let expected = FlowJson {
                src: Some(IpAddr::from(sent.src)),
                dst: Some(IpAddr::from(sent.dst)),
                proto: Some(6),
                sport: Some(sent.sport),
                dport: Some(443),
                packets: Some(sent.packets),
                bytes: Some(sent.bytes),
                start: Some(UnixTime::from_millis(sent.start_ms)),
                end: Some(UnixTime::from_millis(sent.end_ms)),
                tcp_flags: Some(0x1b),
                end_reason: Some(3),
                direction: Some(0),
                if_index: Some(3),
                agent: Some(IpAddr::from([127, 0, 0, 1])),
                ..FlowJson::default()
            };
            assert_eq!(*received, expected);
        }
        let expected = Summary {
            messages: 2,
            exporters: 1,
            records: 3,
            ..Summary::default()
        };
        assert_eq!(summary, expected);
    }
}

/// Shows 7011/4/combinations.
#[test]
fn names_and_sampling_come_from_the_options_of_the_same_exporter() {
    for protocol in PROTOCOLS {
        let (printed, summary) = collect(OutputFormat::Json, |address| {
            let mut named = Exporter::new(protocol, 1, address);
            let mut same_domain = Exporter::new(protocol, 1, address);
            named.send_options();
            named.send(&[flow(0)]);
            same_domain.send(&[flow(1)]);
        });
        let [named, other] = &flows(&printed)[..] else {
            panic!("{printed}")
        };
        assert_eq!(named.interface.as_deref(), Some("eth0"));
        assert_eq!(named.sampling, Some(100));
        assert_eq!(other.interface, None);
        assert_eq!(other.sampling, None);
        assert_eq!((summary.exporters, summary.options_records), (2, 2));
    }
}

#[test]
fn a_table_has_a_header_and_a_line_for_each_flow() {
    let (printed, _) = collect(OutputFormat::Table, |address| {
        let mut exporter = Exporter::new(Protocol::Ipfix, 1, address);
        exporter.send_options();
        exporter.send(&[flow(1), flow(2)]);
    });
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.len(), 3, "{printed}");
    assert!(lines[0].starts_with("START (UTC)"));
    let words: Vec<_> = lines[1].split_whitespace().collect();
    assert_eq!(
        words,
        [
            "2026-11-24",
            "16:06:57.500",
            "1.500",
            "TCP",
            "10.0.0.1:1",
            "192.0.2.7:443",
            "2",
            "200",
            "...AP.SF",
            "eth0",
            "in",
            "end",
            "-",
            "100",
        ]
    );
}

/// Shows 7011/3.1/domain-streams, 7011/8/domains, 3954/5.1/streams, 3954/7/domains.
#[test]
fn the_same_template_id_means_another_thing_to_each_exporter_and_domain() {
    for protocol in PROTOCOLS {
        let (printed, summary) = collect(OutputFormat::Json, |address| {
            let mut first = Exporter::new(protocol, 1, address);
            let mut second = Exporter::new(protocol, 2, address);
            // Another socket of the first one's domain, with another layout under the same id.
            let mut third = Exporter::new(protocol, 1, address);
            third.flows = Layout::<Flow>::builder(protocol, 256)
                .unsigned(elements::OCTET_DELTA_COUNT, 4, |flow, _| flow.bytes)
                .octets(elements::SOURCE_IPV4_ADDRESS, |flow, _| flow.src)
                .build()
                .unwrap();
            third.session = Session::new(SessionOptions::udp(protocol, 1, NOW_MS - 1000));
            third.session.register(&third.flows).unwrap();
            for _ in 0..3 {
                first.send(&[flow(10)]);
                third.send(&[flow(30)]);
                second.send(&[flow(20)]);
            }
        });
        let received = flows(&printed);
        let of = |n: u16| {
            let src = Some(IpAddr::from(flow(n).src));
            received.iter().filter(move |flow| flow.src == src)
        };
        for n in [10, 20, 30] {
            assert_eq!(of(n).count(), 3, "{printed}");
            assert!(of(n).all(|received| received.bytes == Some(flow(n).bytes)));
        }
        assert!(of(30).all(|flow| flow.dport.is_none() && flow.packets.is_none()));
        assert_eq!((summary.exporters, summary.missing), (3, 0));
    }
}

#[test]
fn a_socket_for_both_families_shows_the_exporters_own_address() {
    let collector = collector::bind("[::]:0".parse().unwrap()).unwrap();
    let port = collector.local_addr().port();
    let (printed, _) = collect_with(collector, OutputFormat::Json, |_| {
        let to = SocketAddr::from(([127, 0, 0, 1], port));
        Exporter::new(Protocol::Ipfix, 1, to).send(&[flow(0)]);
    });
    let agent = flows(&printed)[0].agent;
    assert_eq!(agent, Some(IpAddr::from([127, 0, 0, 1])));
}

/// Shows 7011/9/sequence-log, 7011/10.3.2/losses, 3954/5.1/sequence-use.
#[test]
fn a_message_that_is_missing_shows_in_the_sequence() {
    for (protocol, missing) in [(Protocol::Ipfix, 5), (Protocol::NetflowV9, 1)] {
        let (printed, summary) = collect(OutputFormat::Json, |address| {
            let mut exporter = Exporter::new(protocol, 1, address);
            exporter.send(&[flow(0)]);
            let lost: Vec<_> = (0..5).map(flow).collect();
            drop(exporter.message(&lost));
            exporter.send(&[flow(9)]);
        });
        assert_eq!(printed.lines().count(), 2);
        assert_eq!(summary.missing, missing, "{protocol:?}");
        // And of whom it is.
        let text = summary.to_string();
        let first = text.lines().next().unwrap();
        let name = match protocol {
            Protocol::Ipfix => "IPFIX",
            _ => "NetFlow v9",
        };
        assert!(
            first.starts_with("missing by sequence of 127.0.0.1:"),
            "{text}"
        );
        assert!(
            first.ends_with(&format!(", {name}, domain 1: {missing}")),
            "{text}"
        );
        assert_eq!(summary.gaps.len(), 1);
    }
}

/// Shows 7011/9.3/no-template.
#[test]
fn data_before_its_template_is_counted_and_the_rest_is_read() {
    for protocol in PROTOCOLS {
        let (printed, summary) = collect(OutputFormat::Json, |address| {
            let mut exporter = Exporter::new(protocol, 1, address);
            // The message with the template is lost.
            drop(exporter.message(&[flow(0)]));
            exporter.send(&[flow(1)]);
            exporter.session.resend_templates();
            exporter.send(&[flow(2)]);
        });
        let received = flows(&printed);
        assert_eq!(received.len(), 1, "{printed}");
        assert_eq!(received[0].sport, Some(2));
        assert_eq!(summary.unknown_template_sets, 1);
        assert_eq!(summary.garbage, 0);
    }
}

#[test]
fn garbage_is_counted_and_stops_nothing() {
    for protocol in PROTOCOLS {
        let (printed, summary) = collect(OutputFormat::Json, |address| {
            let mut exporter = Exporter::new(protocol, 1, address);
            exporter.send(&[flow(0)]);
            let good = exporter.message(&[flow(1), flow(2)]);

            let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
            stranger.connect(address).unwrap();
            for octets in [&b""[..], b"\x00", b"GET / HTTP/1.0\r\n\r\n", &[0xff; 1400]] {
                stranger.send(octets).unwrap();
            }
            // Every truncation of a message, and every octet of it changed.
            for length in 0..good.len() {
                stranger.send(&good[..length]).unwrap();
            }
            for at in 0..good.len() {
                for value in [0x00, 0x01, 0x7f, 0xff] {
                    let mut bad = good.clone();
                    bad[at] = value;
                    stranger.send(&bad).unwrap();
                }
                // The socket holds no more than a few hundred datagrams.
                if at % 25 == 0 {
                    thread::sleep(Duration::from_millis(20));
                }
            }
            exporter.socket.send(&good).unwrap();
        });
        assert!(summary.garbage >= 4, "{summary}");
        let received = flows(&printed);
        let ours: Vec<_> = received
            .iter()
            .filter(|flow| flow.dport == Some(443))
            .collect();
        for n in [0, 1, 2] {
            let src = Some(IpAddr::from(flow(n).src));
            assert!(ours.iter().any(|flow| flow.src == src), "{n}: {summary}");
        }
    }
}

/// IP packets and their octets, by protocol, in a capture of Ethernet frames.
fn capture_totals(path: &Path) -> HashMap<u8, (u64, u64)> {
    const MAGIC_LE_MICROS: [u8; 4] = [0xd4, 0xc3, 0xb2, 0xa1];
    let octets = fs::read(path).unwrap();
    assert_eq!(octets[..4], MAGIC_LE_MICROS, "{}", path.display());
    assert_eq!(octets[20..24], [1, 0, 0, 0], "Ethernet");
    let mut totals = HashMap::new();
    let mut rest = &octets[24..];
    while rest.len() >= 16 {
        let captured = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let frame = &rest[16..16 + captured];
        rest = &rest[16 + captured..];
        let mut at = 12;
        while frame.get(at..at + 2) == Some(&[0x81, 0x00]) {
            at += 4;
        }
        let Some((eth_type, packet)) = frame.get(at..).and_then(<[u8]>::split_first_chunk) else {
            continue;
        };
        let number = |at: usize| u64::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
        let (protocol, length) = match eth_type {
            [0x08, 0x00] => (packet[9], number(2)),
            [0x86, 0xdd] => {
                // Hop-by-Hop and Destination Options say what follows them.
                let (mut protocol, mut at) = (packet[6], 40);
                while protocol == 0 || protocol == 60 {
                    protocol = packet[at];
                    at += 8 * (usize::from(packet[at + 1]) + 1);
                }
                (protocol, number(4) + 40)
            }
            _ => continue,
        };
        let total: &mut (u64, u64) = totals.entry(protocol).or_default();
        *total = (total.0 + 1, total.1 + length);
    }
    totals
}

/// A capture of its own: TCP, UDP and ICMP over IPv4, UDP over IPv6, and ARP, which is no flow.
fn write_capture(path: &Path) {
    let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    file.extend([0xff, 0xff, 0, 0, 1, 0, 0, 0]);
    let mut frame = |seconds: u32, eth_type: [u8; 2], packet: &[u8]| {
        let length = u32::try_from(14 + packet.len()).unwrap();
        for number in [seconds, 0, length, length] {
            file.extend(number.to_le_bytes());
        }
        file.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
        file.extend(eth_type);
        file.extend(packet);
    };
    let ipv4 = |protocol: u8, host: u8, payload: &[u8]| {
        let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
        let mut packet = vec![
            0x45, 0, length[0], length[1], 0, 1, 0, 0, 64, protocol, 0, 0,
        ];
        packet.extend([10, 0, 0, host, 192, 0, 2, 7]);
        packet.extend(payload);
        packet
    };
    let ports = |source: u16, destination: u16, length: usize| {
        let mut header = source.to_be_bytes().to_vec();
        header.extend(destination.to_be_bytes());
        header.resize(length, 0);
        header
    };
    for n in 0..200_u16 {
        let seconds = 1_700_000_000 + u32::from(n) / 10;
        let host = u8::try_from(n % 20).unwrap();
        let mut tcp = ports(40000 + n % 7, 443, 20 + usize::from(n));
        (tcp[12], tcp[13]) = (0x50, 0x18);
        frame(seconds, [0x08, 0x00], &ipv4(6, host, &tcp));
        let udp = ports(5353, 53, 8 + usize::from(n % 50));
        frame(seconds, [0x08, 0x00], &ipv4(17, host, &udp));
        frame(
            seconds,
            [0x08, 0x00],
            &ipv4(1, host, &[8, 0, 0, 0, 0, 0, 0, 0]),
        );
        let mut ipv6 = vec![0x60, 0, 0, 0];
        ipv6.extend(u16::try_from(udp.len()).unwrap().to_be_bytes());
        ipv6.extend([17, 64]);
        ipv6.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]);
        ipv6.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
        ipv6.extend(&udp);
        frame(seconds, [0x86, 0xdd], &ipv6);
        frame(seconds, [0x08, 0x06], &[0; 28]);
    }
    fs::write(path, file).unwrap();
}

/// Where captures are: in the folder `pcaps` of what is shared, which the environment names, or
/// which is beside the project.
fn captures() -> PathBuf {
    env::var_os("EBPFIX_SHARED")
        .map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
            PathBuf::from,
        )
        .join("pcaps")
}

/// A directory that goes with its owner.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("ebpfix-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What another exporter says of a capture adds up to what is in the capture.
#[test]
fn softflowd_is_understood_to_the_packet_and_the_octet() {
    /// Those of which softflowd's own statistics are exact, too.
    const CAPTURES: [&str; 7] = [
        "ndpi-gnutella.pcap",
        "ndpi-http_ipv6.pcap",
        "ndpi-vxlan.pcap",
        "suri-gre-sample.pcap",
        "zeek-http-vlan.pcap",
        "zeek-icmp6-ping.pcap",
        "zeek-teredo.pcap",
    ];
    if let Err(error) = Command::new("softflowd").arg("-h").output() {
        panic!("softflowd is needed: {error}");
    }
    let scratch = Scratch::new("softflowd");
    let own = scratch.0.join("own.pcap");
    write_capture(&own);
    let mut paths = vec![own];
    for name in CAPTURES {
        let path = captures().join(name);
        assert!(
            path.exists(),
            "there is no {}: EBPFIX_SHARED is to name the folder that has pcaps/",
            path.display()
        );
        paths.push(path);
    }
    for path in &paths {
        for version in ["9", "10"] {
            let (printed, summary) = collect(OutputFormat::Json, |address| {
                softflowd(version, address, path, &scratch.0);
            });
            let mut totals: HashMap<u8, (u64, u64)> = HashMap::new();
            for flow in flows(&printed) {
                assert!(flow.src.is_some() && flow.dst.is_some(), "{flow:?}");
                let total = totals.entry(flow.proto.unwrap()).or_default();
                total.0 += flow.packets.unwrap();
                total.1 += flow.bytes.unwrap();
            }
            let path = path.display();
            assert_eq!(
                totals,
                capture_totals(path.to_string().as_ref()),
                "{path} v{version}"
            );
            assert_eq!(summary.garbage, 0, "{path} v{version}");
            assert_eq!(summary.unknown_template_sets, 0, "{path} v{version}");
            assert!(summary.messages > 0);
            if version == "9" {
                // In IPFIX, softflowd's sequence numbers count the message's own records, too.
                assert_eq!(summary.missing, 0, "{path}");
            }
        }
    }
}

/// Version 5 has no padding, no templates, and as sampling its header.
#[test]
fn softflowd_is_understood_in_version_5() {
    let scratch = Scratch::new("softflowd-v5");
    let own = scratch.0.join("own.pcap");
    write_capture(&own);
    let (printed, summary) = collect(OutputFormat::Json, |address| {
        softflowd("5", address, &own, &scratch.0);
    });
    let mut totals: HashMap<u8, (u64, u64)> = HashMap::new();
    for flow in flows(&printed) {
        let total = totals.entry(flow.proto.unwrap()).or_default();
        total.0 += flow.packets.unwrap();
        total.1 += flow.bytes.unwrap();
        assert!(flow.start.is_some() && flow.start <= flow.end, "{flow:?}");
    }
    // It holds IPv4 only: of UDP, half of the packets.
    let expected = capture_totals(&own);
    for protocol in [1, 6] {
        assert_eq!(totals[&protocol], expected[&protocol]);
    }
    assert_eq!(totals[&17].0 * 2, expected[&17].0);
    assert_eq!((summary.garbage, summary.missing), (0, 0));
}

/// Lets softflowd export a capture.
fn softflowd(version: &str, address: SocketAddr, capture: &Path, scratch: &Path) {
    let status = Command::new("softflowd")
        .args(["-v", version, "-n", &address.to_string()])
        .args(["-d", "-c", "none", "-p"])
        .arg(scratch.join("pid"))
        .arg("-r")
        .arg(capture)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("softflowd must be installed");
    assert!(status.success());
}

/// What is printed of what is received, and what is printed of the file it was stored in.
fn live_and_stored(scratch: &Path, send: impl FnOnce(SocketAddr)) -> (String, String, Summary) {
    let path = scratch.join("flows.ipfix");
    let storage = Storage::create(&path, true).unwrap();
    let collector = collector::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let (live, summary) = collect_with(collector.store_in(storage), OutputFormat::Json, send);
    let printed = Shared::default();
    let mut printer = Printer::new(Output::new(OutputFormat::Json, printed.clone()));
    printer
        .print("flows.ipfix", fs::File::open(&path).unwrap())
        .unwrap();
    assert!(printer.mistakes().is_empty(), "{:?}", printer.mistakes());
    let read = printer.summary();
    let (garbage, records) = (read.garbage, read.records);
    assert_eq!((garbage, records), (0, summary.records), "{read}");
    assert_eq!(read.options_records, summary.options_records);
    let storage = summary.storage.unwrap();
    assert_eq!(storage.records, summary.records + summary.options_records);
    assert_eq!(storage.lost_records, 0);
    let stored = printed.0.lock().unwrap().clone();
    (live, String::from_utf8(stored).unwrap(), summary)
}

#[test]
fn a_file_prints_what_was_printed_when_it_was_received() {
    let scratch = Scratch::new("store");
    let (live, stored, summary) = live_and_stored(&scratch.0, |address| {
        let mut exporters: Vec<Exporter> = Vec::new();
        // Domain 0 and 1 twice of each protocol, all with the same template ids.
        for protocol in PROTOCOLS {
            for domain in [0, 1, 1] {
                exporters.push(Exporter::new(protocol, domain, address));
            }
        }
        for (n, exporter) in (0..).zip(&mut exporters) {
            exporter.send(&[flow(n)]);
            if n % 2 == 0 {
                exporter.send_options();
            }
        }
        for (n, exporter) in (100..).zip(&mut exporters) {
            exporter.send(&[flow(n), flow(n + 100)]);
        }
        // Somebody restarts with another meaning of template 256.
        let first = &mut exporters[0];
        first.flows = Layout::<Flow>::builder(Protocol::Ipfix, 256)
            .unsigned(elements::OCTET_DELTA_COUNT, 4, |flow, _| flow.bytes)
            .unsigned(elements::EGRESS_INTERFACE, 2, |_, _| 3)
            .build()
            .unwrap();
        first.session = Session::new(SessionOptions::udp(Protocol::Ipfix, 0, NOW_MS - 1000));
        first.session.register(&first.flows).unwrap();
        first.send(&[flow(300)]);
    });
    assert_eq!(flows(&live).len(), 19);
    assert_eq!(stored, live);
    assert_eq!(summary.missing, 0);
    for flow in flows(&live) {
        assert_eq!(flow.agent, Some(IpAddr::from([127, 0, 0, 1])));
    }
    let named = flows(&live)
        .iter()
        .filter(|flow| flow.interface.as_deref() == Some("eth0") && flow.sampling == Some(100))
        .count();
    assert!(named >= 6, "{live}");
}

/// In IPFIX, options of domain 0 are about the whole exporter, but not about others.
#[test]
fn what_is_said_of_an_exporter_holds_in_the_file_for_that_one_only() {
    let scratch = Scratch::new("store-process");
    let (live, stored, _) = live_and_stored(&scratch.0, |address| {
        let mut one = Exporter::new(Protocol::Ipfix, 0, address);
        one.send_options();
        // The same socket, another domain.
        one.session = Session::new(SessionOptions::udp(Protocol::Ipfix, 7, NOW_MS - 1000));
        one.session.register(&one.flows).unwrap();
        one.send(&[flow(1)]);
        Exporter::new(Protocol::Ipfix, 7, address).send(&[flow(2)]);
    });
    assert_eq!(stored, live);
    let names: Vec<_> = flows(&live)
        .into_iter()
        .map(|flow| (flow.interface, flow.sampling))
        .collect();
    assert_eq!(names, [(Some("eth0".into()), Some(100)), (None, None)]);
}

#[test]
fn softflowds_flows_are_stored_whatever_the_version() {
    let scratch = Scratch::new("store-softflowd");
    let own = scratch.0.join("own.pcap");
    write_capture(&own);
    for version in ["5", "9", "10"] {
        let (live, stored, summary) = live_and_stored(&scratch.0, |address| {
            softflowd(version, address, &own, &scratch.0);
        });
        assert!(summary.records > 50, "{summary}");
        assert_eq!(stored, live, "version {version}");
    }
}

/// `ebpfix collect`, ended with its owner.
struct Process {
    child: Child,
    address: SocketAddr,
    stderr: Option<thread::JoinHandle<String>>,
}

impl Process {
    fn start(format: &str) -> Self {
        Self::start_with(&["--format", format])
    }

    fn start_with(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ebpfix"))
            .args(["collect", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let address = line.trim_end().rsplit_once("address=").unwrap().1;
        let address = address.parse().unwrap();
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        Self {
            child,
            address,
            stderr: Some(stderr),
        }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// The exit status and what was said on stderr after the first line.
    fn wait(&mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let stderr = self.stderr.take().unwrap().join().unwrap();
                return (status, stderr);
            }
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn signals_end_it_with_a_summary_and_0() {
    for signal in ["TERM", "INT"] {
        let mut process = Process::start("json");
        let mut exporter = Exporter::new(Protocol::Ipfix, 1, process.address);
        exporter.send(&[flow(0), flow(1)]);
        exporter.socket.send(b"garbage").unwrap();
        process.signal(signal);
        let (status, stderr) = process.wait();
        assert_eq!(status.code(), Some(0), "{stderr}");
        let summary = Summary {
            messages: 1,
            exporters: 1,
            records: 2,
            garbage: 1,
            ..Summary::default()
        };
        assert_eq!(
            stderr.lines().last(),
            Some(summary.to_string().as_str()),
            "{stderr}"
        );
        let mut stdout = String::new();
        let mut pipe = process.child.stdout.take().unwrap();
        pipe.read_to_string(&mut stdout).unwrap();
        assert_eq!(flows(&stdout).len(), 2);
    }
}

#[test]
fn flows_are_printed_as_they_come() {
    let mut process = Process::start("json");
    let mut exporter = Exporter::new(Protocol::NetflowV9, 1, process.address);
    let mut stdout = BufReader::new(process.child.stdout.take().unwrap());
    for n in 0..3 {
        exporter.send(&[flow(n)]);
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(flows(&line)[0].sport, Some(n));
    }
}

#[test]
fn a_closed_pipe_ends_it_in_silence_with_0() {
    let mut process = Process::start("table");
    let mut exporter = Exporter::new(Protocol::Ipfix, 1, process.address);
    drop(process.child.stdout.take());
    // The first write finds the pipe closed; then the socket may be gone.
    exporter.send(&[flow(0)]);
    let (status, stderr) = process.wait();
    assert_eq!(status.code(), Some(0));
    assert_eq!(stderr, "");
}

#[test]
fn a_reader_that_stopped_reading_does_not_keep_it_from_ending() {
    let mut process = Process::start("json");
    let mut exporter = Exporter::new(Protocol::Ipfix, 1, process.address);
    let many: Vec<_> = (0..20).map(flow).collect();
    // Far more than a pipe holds.
    for _ in 0..200 {
        exporter.send(&many);
    }
    process.signal("TERM");
    let (status, stderr) = process.wait();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("messages: "), "{stderr}");
}

/// `ebpfix collect` with these arguments and this on stdin: exit status, stdout and stderr.
fn run(arguments: &[&str], stdin: &[u8]) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ebpfix"))
        .arg("collect")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end without reading.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let output = child.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn with_write_it_stores_and_prints_nothing() {
    let scratch = Scratch::new("write");
    let path = scratch.0.join("flows.ipfix");
    let file = path.to_str().unwrap();
    let mut process = Process::start_with(&["--write", file]);
    let mut exporter = Exporter::new(Protocol::NetflowV9, 1, process.address);
    exporter.send(&[flow(0), flow(1)]);
    // Within a second it is in the file.
    let deadline = Instant::now() + Duration::from_secs(5);
    while fs::metadata(&path).unwrap().len() == 0 {
        assert!(Instant::now() < deadline, "nothing is written");
        thread::sleep(Duration::from_millis(20));
    }
    let (code, stdout, stderr) = run(&["--format", "json", file], b"");
    assert_eq!((code, flows(&stdout).len()), (Some(0), 2), "{stderr}");

    exporter.send(&[flow(2)]);
    process.signal("TERM");
    let (status, stderr) = process.wait();
    assert_eq!(status.code(), Some(0), "{stderr}");
    let summary = stderr.lines().last().unwrap();
    assert!(
        summary.ends_with(", stored: 3 records in 2 messages, not stored: 0"),
        "{stderr}"
    );
    let mut stdout = String::new();
    let mut pipe = process.child.stdout.take().unwrap();
    pipe.read_to_string(&mut stdout).unwrap();
    assert_eq!(stdout, "");
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode & 0o640, mode, "{mode:o}");
    assert_eq!(mode & 0o600, 0o600, "{mode:o}");

    let (code, stdout, stderr) = run(&[file], b"");
    assert_eq!((code, stdout.lines().count()), (Some(0), 4), "{stderr}");
    assert_eq!(
        stderr,
        "messages: 3, exporters: 1, flow records: 3, options records: 0, missing by sequence: 0, \
         sets without template: 0, garbage: 0\n"
    );
}

#[test]
fn a_file_that_exists_is_not_touched_without_force() {
    let scratch = Scratch::new("force");
    let path = scratch.0.join("flows.ipfix");
    fs::write(&path, "what somebody needs").unwrap();
    let file = path.to_str().unwrap();
    let (code, stdout, stderr) = run(&["--listen", "127.0.0.1:0", "--write", file], b"");
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert_eq!(
        stderr,
        format!(
            "ebpfix: {file} exists; choose another name, or replace it with --force (--write FILE)\n"
        )
    );
    assert_eq!(fs::read(&path).unwrap(), b"what somebody needs");

    let mut process = Process::start_with(&["--format", "json", "--write", file, "--force"]);
    Exporter::new(Protocol::Ipfix, 1, process.address).send(&[flow(0)]);
    process.signal("INT");
    let (status, stderr) = process.wait();
    assert_eq!(status.code(), Some(0), "{stderr}");
    let mut live = String::new();
    let mut pipe = process.child.stdout.take().unwrap();
    pipe.read_to_string(&mut live).unwrap();
    assert_eq!(flows(&live).len(), 1);
    let (code, stored, _) = run(&["--format", "json", file], b"");
    assert_eq!((code, stored), (Some(0), live));

    let missing = scratch.0.join("missing/flows.ipfix");
    let missing = missing.to_str().unwrap();
    let (code, _, stderr) = run(&["--listen", "127.0.0.1:0", "--write", missing], b"");
    assert_eq!(code, Some(1));
    let start = format!("ebpfix: cannot create {missing}: No such file or directory");
    assert!(stderr.starts_with(&start), "{stderr}");
    // A pipe that nobody reads.
    let pipe = scratch.0.join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let pipe = pipe.to_str().unwrap();
    let (code, _, stderr) = run(
        &["--listen", "127.0.0.1:0", "--write", pipe, "--force"],
        b"",
    );
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.starts_with(&format!("ebpfix: cannot create {pipe}: ")));
    let (code, _, stderr) = run(
        &["--listen", "127.0.0.1:0", "--write", "/dev/null", "--force"],
        b"",
    );
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains("cannot create /dev/null: it is no regular file"),
        "{stderr}"
    );
}

#[test]
fn files_are_read_as_far_as_they_go() {
    let scratch = Scratch::new("read");
    let (live, ..) = live_and_stored(&scratch.0, |address| {
        let mut exporter = Exporter::new(Protocol::Ipfix, 1, address);
        for n in 0..3 {
            exporter.send(&[flow(n)]);
        }
    });
    let good = fs::read(scratch.0.join("flows.ipfix")).unwrap();
    let file = scratch.0.join("flows.ipfix");
    let file = file.to_str().unwrap();
    let json = ["--format", "json"];
    let (code, stdout, stderr) = run(&[&json[..], &[file, "-"]].concat(), &good);
    assert_eq!((code, stdout), (Some(0), live.repeat(2)), "{stderr}");

    // Cut off: in the File Time Window, which is the last message.
    let (code, stdout, stderr) = run(&[&json[..], &["-"]].concat(), &good[..good.len() - 1]);
    assert_eq!((code, &stdout), (Some(1), &live));
    let window = good.len() - 64;
    assert_eq!(
        stderr.lines().last().unwrap(),
        format!(
            "ebpfix: stdin: octet {window}: the message is cut off: 64 octets needed, 63 there"
        )
    );

    // Damaged in front, and no file at all.
    let damaged = [b"\xff\xff\xff", &good[..]].concat();
    let other = scratch.0.join("other.ipfix");
    let other = other.to_str().unwrap();
    let (code, stdout, stderr) = run(&[&json[..], &["-", other]].concat(), &damaged);
    assert_eq!((code, &stdout), (Some(1), &live));
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(
        lines[1..],
        [
            "ebpfix: stdin: octet 0: no IPFIX message: version 65535 instead of 10; 3 octets passed \
             over",
            &format!("ebpfix: {other}: No such file or directory (os error 2)"),
        ]
    );
    let (code, stdout, stderr) = run(&["-"], b"\x1f\x8b\x08\x00and so on");
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(
        stderr.ends_with("; it is compressed: gzip -dc FILE | ebpfix collect -\n"),
        "{stderr}"
    );
    // A set that is longer than its message.
    let mut damaged = good.clone();
    damaged[18] = 0xff;
    let (code, _, stderr) = run(&["-"], &damaged);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("\nebpfix: stdin: octet 16: "), "{stderr}");

    let (code, _, _) = run(&[file, "--write", other], b"");
    assert_eq!(code, Some(2));
    let (code, _, _) = run(&["--force"], b"");
    assert_eq!(code, Some(2));
}

/// Shows 7011/10.1/ports.
#[test]
fn a_port_in_use_is_told_in_one_line_with_1() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (listen, reason) in [
        (address.as_str(), "the port is in use; stop the collector"),
        ("192.0.2.1:4739", "this host does not have the address"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_ebpfix"))
            .args(["collect", "--listen", listen])
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        let start = format!("ebpfix: cannot listen on UDP {listen}: {reason}");
        assert!(stderr.starts_with(&start), "{stderr}");
        assert!(stderr.ends_with("(--listen ADDR:PORT)\n"), "{stderr}");
    }
}
