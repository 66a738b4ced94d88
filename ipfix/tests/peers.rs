//! What other exporters write is read as they meant it: softflowd and the nfprobe of pmacct over
//! captures, with Wireshark's dissector and nfcapd reading the same messages.

mod judge;

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ipfix::{Decoder, DecoderLimits, Element, Protocol, Record, elements as ie};
use judge::{Capture, Scratch};
use serde_json::Value as Json;

/// Flows over IPv4 and IPv6, ICMP, fragments, VLANs; more than one message.
const CAPTURES: [&str; 5] = [
    "tcpreplay-test.pcap",
    "ndpi-http_ipv6.pcap",
    "ndpi-gnutella.pcap",
    "zeek-icmp6-ping.pcap",
    "zeek-http-vlan.pcap",
];

/// Version 5 has no other flows.
const CAPTURES_WITH_IPV4: [&str; 3] = [
    "tcpreplay-test.pcap",
    "ndpi-gnutella.pcap",
    "zeek-http-vlan.pcap",
];

#[test]
fn softflowd_version_5() {
    for_each(&CAPTURES_WITH_IPV4, |capture| {
        compare(&softflowd(5, &["-a"], capture), times_since_1970(capture));
    });
}

#[test]
fn softflowd_version_9() {
    for_each(&CAPTURES, |capture| {
        // `-a`: the header has the time of the capture, so that times can be told.
        compare(&softflowd(9, &["-a"], capture), times_since_1970(capture));
    });
}

#[test]
fn softflowd_ipfix() {
    for_each(&CAPTURES, |capture| {
        // sysUptime, whose zero is in an options record.
        let times = match times_since_1970(capture) {
            TimesOfNfcapd::Known => TimesOfNfcapd::Swapped,
            other => other,
        };
        compare(&softflowd(10, &["-a"], capture), times);
    });
    // With MAC addresses and VLANs; times since 1970 in seconds, in milliseconds and as NTP's.
    for_each(&["sec", "milli", "micro", "nano"], |unit| {
        let messages = softflowd(10, &["-T", "ether", "-A", unit], "zeek-http-vlan.pcap");
        compare(
            &messages,
            match unit {
                "milli" => TimesOfNfcapd::Known,
                _ => TimesOfNfcapd::Unknown,
            },
        );
    });
}

#[test]
fn pmacctd_version_5() {
    for_each(&CAPTURES_WITH_IPV4, |capture| {
        // The header has the time of day, the flows that of the capture.
        compare(&pmacctd(5, capture), TimesOfNfcapd::Unknown);
    });
}

#[test]
fn pmacctd_version_9() {
    for_each(&CAPTURES, |capture| {
        compare(&pmacctd(9, capture), TimesOfNfcapd::Known);
    });
}

#[test]
fn pmacctd_ipfix() {
    for_each(&CAPTURES, |capture| {
        compare(&pmacctd(10, capture), TimesOfNfcapd::Known);
    });
}

/// What nfcapd makes of times of sysUptime in a header with the time of the capture.
fn times_since_1970(capture: &str) -> TimesOfNfcapd {
    match capture {
        // It was made in the first minutes of 1970, which nfcapd takes for a mistake.
        "ndpi-gnutella.pcap" => TimesOfNfcapd::Unknown,
        _ => TimesOfNfcapd::Known,
    }
}

/// Does it for all at a time: these programs mostly sleep.
fn for_each<'a>(items: &[&'a str], test: impl Fn(&'a str) + Sync) {
    std::thread::scope(|scope| {
        for item in items {
            scope.spawn(|| test(item));
        }
    });
}

/// We read the same as the other collectors.
fn compare(messages: &[Vec<u8>], times_of_nfcapd: TimesOfNfcapd) {
    assert!(!messages.is_empty(), "no message came");
    let mut ours = ours(messages);
    assert!(!ours.flows.is_empty());

    let of_tshark = of_tshark(messages);
    assert_eq!(ours.records, of_tshark.records, "records, all kinds");
    assert_same(ours.flows, of_tshark.flows);

    let mut of_nfcapd = of_nfcapd(messages);
    match times_of_nfcapd {
        TimesOfNfcapd::Known => {}
        TimesOfNfcapd::Swapped => of_nfcapd
            .iter_mut()
            .filter_map(|flow| flow.times.as_mut())
            .for_each(|times| times.reverse()),
        TimesOfNfcapd::Unknown => {
            for flow in ours.seen.iter_mut().chain(&mut of_nfcapd) {
                flow.times = None;
            }
        }
    }
    assert_same(ours.seen, of_nfcapd);
}

/// What nfcapd 1.7.1 makes of the times in the records.
#[derive(Clone, Copy)]
enum TimesOfNfcapd {
    Known,
    /// Of sysUptime in IPFIX: it takes the end (21) for the start and the start (22) for the end.
    Swapped,
    /// It does not know the elements.
    Unknown,
}

/// In any order.
fn assert_same<T: Ord + std::fmt::Debug>(mut ours: Vec<T>, mut theirs: Vec<T>) {
    ours.sort();
    theirs.sort();
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.len(), theirs.len());
}

/// What a decoder found.
#[derive(Default)]
struct Found {
    /// Data Records of all kinds.
    records: usize,
    flows: Vec<Flow>,
    seen: Vec<Seen>,
}

/// What all exporters tell of a flow; `None` is what a record has no field for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flow {
    source: IpAddr,
    destination: IpAddr,
    protocol: Option<u64>,
    source_port: Option<u64>,
    destination_port: Option<u64>,
    packets: Option<u64>,
    octets: Option<u64>,
    start: Option<Time>,
    end: Option<Time>,
}

/// What nfcapd keeps of a flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    source: IpAddr,
    destination: IpAddr,
    protocol: u64,
    /// Where the protocol has them: it keeps ICMP's type as a port.
    ports: Option<[u64; 2]>,
    packets: u64,
    octets: u64,
    /// Of the first and the last packet, in milliseconds since 1970.
    times: Option<[u64; 2]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Time {
    /// Milliseconds since 1970.
    UnixMs(u64),
    /// Milliseconds of sysUptime.
    UptimeMs(u64),
}

fn ours(messages: &[Vec<u8>]) -> Found {
    let mut decoder = Decoder::new(DecoderLimits::default());
    let mut found = Found::default();
    for message in messages {
        let decoded = decoder.decode(&(), message).unwrap();
        assert_eq!(decoded.length(), message.len());
        assert_eq!(decoded.errors(), []);
        assert_eq!(decoded.unknown(), []);
        for record in decoded.records() {
            found.records += 1;
            if !record.template().is_options() {
                let flow = flow_of(&record);
                found.seen.push(seen_of(&record, &flow));
                found.flows.push(flow);
            }
        }
    }
    found
}

fn flow_of(record: &Record<'_>) -> Flow {
    let address = |elements: [Element; 2]| {
        let mut values = elements.iter().filter_map(|element| record.value(element));
        values.next().and_then(|value| value.ip_address()).unwrap()
    };
    let number = |element| record.value(&element).and_then(|value| value.unsigned());
    let time = |uptime, absolute: [Element; 4]| {
        let mut absolute = absolute.iter().filter_map(|element| record.value(element));
        match absolute.next() {
            Some(value) => Some(Time::UnixMs(value.unix_ms().unwrap())),
            None => number(uptime).map(Time::UptimeMs),
        }
    };
    Flow {
        source: address([ie::SOURCE_IPV4_ADDRESS, ie::SOURCE_IPV6_ADDRESS]),
        destination: address([ie::DESTINATION_IPV4_ADDRESS, ie::DESTINATION_IPV6_ADDRESS]),
        protocol: number(ie::PROTOCOL_IDENTIFIER),
        source_port: number(ie::SOURCE_TRANSPORT_PORT),
        destination_port: number(ie::DESTINATION_TRANSPORT_PORT),
        packets: number(ie::PACKET_DELTA_COUNT),
        octets: number(ie::OCTET_DELTA_COUNT),
        start: time(
            ie::FLOW_START_SYS_UP_TIME,
            [
                ie::FLOW_START_SECONDS,
                ie::FLOW_START_MILLISECONDS,
                ie::FLOW_START_MICROSECONDS,
                ie::FLOW_START_NANOSECONDS,
            ],
        ),
        end: time(
            ie::FLOW_END_SYS_UP_TIME,
            [
                ie::FLOW_END_SECONDS,
                ie::FLOW_END_MILLISECONDS,
                ie::FLOW_END_MICROSECONDS,
                ie::FLOW_END_NANOSECONDS,
            ],
        ),
    }
}

fn seen_of(record: &Record<'_>, flow: &Flow) -> Seen {
    let time = |name: &str| {
        let mut values = record.values();
        values
            .find(|value| {
                let element = value.field().element();
                element.is_some_and(|element| element.name().starts_with(name))
            })
            .and_then(|value| value.unix_ms())
    };
    let times = [time("flowStart"), time("flowEnd")];
    Seen {
        source: flow.source,
        destination: flow.destination,
        protocol: flow.protocol.unwrap(),
        ports: ports(flow.protocol.unwrap(), || {
            [flow.source_port.unwrap(), flow.destination_port.unwrap()]
        }),
        packets: flow.packets.unwrap(),
        octets: flow.octets.unwrap(),
        times: match times {
            [Some(start), Some(end)] => Some([start, end]),
            _ => None,
        },
    }
}

fn ports(protocol: u64, ports: impl FnOnce() -> [u64; 2]) -> Option<[u64; 2]> {
    const TCP: u64 = 6;
    const UDP: u64 = 17;
    [TCP, UDP].contains(&protocol).then(ports)
}

/// Has a running nfcapd collect the messages.
fn of_nfcapd(messages: &[Vec<u8>]) -> Vec<Seen> {
    let scratch = Scratch::new("nfcapd");
    let flows = scratch.path().join("flows");
    fs::create_dir(&flows).unwrap();
    let log = scratch.path().join("log");
    let said = || fs::read_to_string(&log).unwrap();
    let output = File::create(&log).unwrap();
    let (mut process, port) = start_nfcapd(&flows, &output, &said);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for message in messages {
        socket.send_to(message, ("127.0.0.1", port)).unwrap();
    }
    // The kernel's table of sockets has what waits to be read.
    wait("nfcapd does not read", &said, || nothing_waits(port));
    let mut tries = 0;
    wait("nfcapd does not end", &said, || {
        // A signal that comes just before it waits for a message does not wake it.
        if tries % 50 == 0 {
            let process = process.0.id().to_string();
            let status = Command::new("kill").arg(process).status().unwrap();
            assert!(status.success());
        }
        tries += 1;
        process.0.try_wait().unwrap().is_some()
    });

    let output = Command::new("nfdump")
        .env("TZ", "UTC")
        .args(["-o", "json", "-R"])
        .arg(&flows)
        .output()
        .expect("nfdump must be installed");
    assert!(output.status.success(), "{}", said());
    let flows: Json = serde_json::from_slice(&output.stdout).unwrap();
    flows
        .as_array()
        .unwrap()
        .iter()
        .map(|flow| {
            let number = |name: &str| {
                flow[name]
                    .as_u64()
                    .unwrap_or_else(|| panic!("{name}: {flow}"))
            };
            let address = |names: [&str; 2]| -> IpAddr {
                let text = names.iter().find_map(|name| flow[name].as_str());
                text.unwrap().parse().unwrap()
            };
            let time = |name: &str| unix_ms_of_iso(flow[name].as_str().unwrap());
            Seen {
                source: address(["src4_addr", "src6_addr"]),
                destination: address(["dst4_addr", "dst6_addr"]),
                protocol: number("proto"),
                ports: ports(number("proto"), || [number("src_port"), number("dst_port")]),
                packets: number("in_packets"),
                octets: number("in_bytes"),
                times: Some([time("first"), time("last")]),
            }
        })
        .collect()
}

/// It, and the port where it listens.
fn start_nfcapd(flows: &Path, output: &File, said: &dyn Fn() -> String) -> (Process, u16) {
    for _ in 0..5 {
        // A port that was free a moment ago.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        drop(socket);
        let mut process = Process(
            Command::new("nfcapd")
                .args(["-b", "127.0.0.1", "-t", "86400", "-B", "4000000"])
                .args(["-p", &port.to_string(), "-w"])
                .arg(flows)
                .stdout(output.try_clone().unwrap())
                .stderr(output.try_clone().unwrap())
                .spawn()
                .expect("nfcapd must be installed"),
        );
        let mut ended = false;
        wait("nfcapd does not start", said, || {
            ended = process.0.try_wait().unwrap().is_some();
            ended || said().contains("Startup nfcapd")
        });
        if !ended {
            return (process, port);
        }
    }
    panic!("nfcapd does not start: {}", said());
}

fn wait(what: &str, said: &dyn Fn() -> String, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LONGEST, "{what}: {}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// For anything that a program does here; a busy machine has time enough.
const LONGEST: Duration = Duration::from_mins(1);

/// Whether all that came to a UDP socket of 127.0.0.1 has been read.
fn nothing_waits(port: u16) -> bool {
    let table = fs::read_to_string("/proc/net/udp").unwrap();
    let socket = table
        .lines()
        .find(|line| line.contains(&format!("0100007F:{port:04X} ")))
        .unwrap_or_else(|| panic!("no socket has the port {port}"));
    // Octets to be sent, and received ones, in hex.
    let queues = socket.split_whitespace().nth(4).unwrap();
    queues.ends_with(":00000000")
}

fn of_tshark(messages: &[Vec<u8>]) -> Found {
    let mut found = Found::default();
    // In version 9, softflowd counts the flows in the header and not the templates; tshark reads as
    // many records as the header counts, and no more.
    let mut messages = messages.to_vec();
    for message in &mut messages {
        if message.starts_with(&[0, 9]) {
            message[2..4].fill(0xff);
        }
    }
    // Whatever the protocol is: the dissector goes by the version number.
    let trees = Capture::new(Protocol::Ipfix, &messages).trees();
    assert_eq!(trees.len(), messages.len());
    for tree in trees {
        let tree = tree.as_object().unwrap();
        let sets = tree.iter().filter(|(name, _)| name.contains("Set "));
        let in_sets = sets.flat_map(|(_, set)| set.as_object().unwrap());
        for (name, record) in tree.iter().chain(in_sets) {
            // "pdu" in version 5.
            if name.starts_with("Flow ") || name.starts_with("pdu ") {
                found.records += 1;
                found.flows.extend(flow_of_tree(record));
            }
        }
    }
    found
}

fn flow_of_tree(record: &Json) -> Option<Flow> {
    let text = |name: &str| record[name].as_str();
    let number = |name| text(name).map(|text| text.parse().unwrap());
    let address = |names: [&str; 2]| {
        let text = names.iter().find_map(|name| text(name))?;
        Some(text.parse().unwrap())
    };
    let times = &record["cflow.timedelta_tree"];
    let time = |uptime, absolute| {
        let text = |name: &str| times[name].as_str();
        match text(absolute) {
            // What it makes of a sysUptime of zero.
            Some("Jan  1, 1970 00:00:00.000000000 UTC") => Some(Time::UptimeMs(0)),
            Some(text) => Some(Time::UnixMs(unix_ms(text))),
            None => text(uptime).map(|text| Time::UptimeMs(ms(text))),
        }
    };
    Some(Flow {
        source: address(["cflow.srcaddr", "cflow.srcaddrv6"])?,
        destination: address(["cflow.dstaddr", "cflow.dstaddrv6"])?,
        protocol: number("cflow.protocol"),
        source_port: number("cflow.srcport"),
        destination_port: number("cflow.dstport"),
        packets: number("cflow.packets"),
        octets: number("cflow.octets"),
        start: time("cflow.timestart", "cflow.abstimestart"),
        end: time("cflow.timeend", "cflow.abstimeend"),
    })
}

/// `Jan 23, 2012 20:02:27.338000000 UTC`, cut to milliseconds.
fn unix_ms(text: &str) -> u64 {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let [month, day, year, time, "UTC"] = text.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("'{text}' is no time");
    };
    let month = MONTHS.iter().position(|name| *name == month).unwrap() + 1;
    let date = [year, &month.to_string(), day.trim_end_matches(',')];
    unix_ms_of(date.map(|part| part.parse().unwrap()), time)
}

/// `2012-01-23T20:02:27.338`.
fn unix_ms_of_iso(text: &str) -> u64 {
    let (date, time) = text.split_once('T').unwrap();
    let parts: Vec<u64> = date.split('-').map(|part| part.parse().unwrap()).collect();
    unix_ms_of(parts.try_into().unwrap(), time)
}

fn unix_ms_of([year, month, day]: [u64; 3], time: &str) -> u64 {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let of_month = |month: u64| match month {
        2 => 28 + u64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let years: u64 = (1970..year).map(|year| 365 + u64::from(leap(year))).sum();
    let months: u64 = (1..month).map(of_month).sum();
    let days = years + months + day - 1;
    let [hours, minutes, seconds] = time.split(':').collect::<Vec<_>>()[..] else {
        panic!("'{time}' is no time of day");
    };
    let hours = days * 24 + hours.parse::<u64>().unwrap();
    let minutes = hours * 60 + minutes.parse::<u64>().unwrap();
    minutes * 60_000 + ms(seconds)
}

/// Seconds with a fraction, cut to milliseconds.
fn ms(text: &str) -> u64 {
    let (seconds, fraction) = text.split_once('.').unwrap();
    assert!(fraction.len() >= 3);
    seconds.parse::<u64>().unwrap() * 1000 + fraction[..3].parse::<u64>().unwrap()
}

/// The messages of softflowd about a capture.
fn softflowd(version: u16, options: &[&str], capture: &str) -> Vec<Vec<u8>> {
    export(|collector, scratch| {
        let mut command = Command::new("softflowd");
        command
            .args(["-d", "-c", "none", "-v", &version.to_string()])
            .args(["-n", &collector.to_string()])
            .args(options)
            .arg("-p")
            .arg(scratch.join("pid"))
            .arg("-r")
            .arg(shared_capture(capture));
        command
    })
}

/// The messages of pmacct's probe about a capture.
fn pmacctd(version: u16, capture: &str) -> Vec<Vec<u8>> {
    export(|collector, scratch| {
        let configuration = format!(
            "daemonize: false\n\
             pcap_savefile: {}\n\
             plugins: nfprobe\n\
             aggregate: src_host, dst_host, src_port, dst_port, proto, tos, tcpflags\n\
             nfprobe_receiver: {collector}\n\
             nfprobe_version: {version}\n",
            shared_capture(capture).display()
        );
        let file = scratch.join("pmacctd.conf");
        fs::write(&file, configuration).unwrap();
        let mut command = Command::new("pmacctd");
        // `-z`: reading a file takes no rights.
        command.arg("-z").arg("-f").arg(file);
        command
    })
}

/// Runs an exporter to its end and gives the messages that it sent.
fn export(exporter: impl FnOnce(SocketAddr, &Path) -> Command) -> Vec<Vec<u8>> {
    const SILENCE: Duration = Duration::from_millis(300);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    let scratch = Scratch::new("exporter");
    let log = scratch.path().join("log");
    let output = File::create(&log).unwrap();
    let mut command = exporter(socket.local_addr().unwrap(), scratch.path());
    let mut process = Process(
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} must be installed: {error}")),
    );
    let start = Instant::now();
    let mut messages = Vec::new();
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let ended = process.0.try_wait().unwrap();
        match socket.recv(&mut buffer) {
            Ok(length) => messages.push(buffer[..length].to_vec()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if let Some(status) = ended {
                    let said = fs::read_to_string(&log).unwrap();
                    // pmacctd's core sometimes sees its plugin, which has done all, end before it.
                    let done = status.success() || said.contains("no more plugins active");
                    assert!(done, "{command:?}: {status}: {said}");
                    return messages;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("{error}"),
        }
        assert!(start.elapsed() < LONGEST, "{command:?} does not end");
    }
}

/// A capture among those that are kept beside the repository.
fn shared_capture(name: &str) -> PathBuf {
    let shared = std::env::var_os("EBPFIX_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let path = shared.join("pcaps").join(name);
    assert!(
        path.exists(),
        "there is no {}: EBPFIX_SHARED is to name the folder that has pcaps/",
        path.display()
    );
    path
}

/// A process that ends with its owner.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
