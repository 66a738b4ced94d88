//! Independent judges of what is exported: Wireshark's dissector and nfdump read records of every
//! kind.

mod export_common;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use export_common::{Exporter, PROTOCOLS, Sink, collector_at, eventually, records, unused_port};
use ipfix::Protocol;

/// A directory that goes with its owner.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ebpfix-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that is stopped with its owner.
struct Daemon(Child);

impl Daemon {
    /// Ends it as its operator would, and waits.
    fn terminate(&mut self) {
        let pid = self.0.id().to_string();
        let status = Command::new("kill").arg(pid).status().unwrap();
        assert!(status.success());
        self.0.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn output_of(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{} is needed: {e}", command.get_program().display()));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn write_capture(path: &Path, messages: &[Vec<u8>]) {
    const LINKTYPE_RAW: u32 = 101;
    let mut pcap = Vec::new();
    for word in [0xa1b2_c3d4, 0x0002_0004, 0, 0, 65_535, LINKTYPE_RAW] {
        pcap.extend(word.to_be_bytes());
    }
    for (second, message) in (1_795_536_420_u32..).zip(messages) {
        let udp_length = 8 + u16::try_from(message.len()).unwrap();
        let length = 20 + udp_length;
        for word in [second, 0, length.into(), length.into()] {
            pcap.extend(word.to_be_bytes());
        }
        pcap.extend([0x45, 0]);
        pcap.extend(length.to_be_bytes());
        pcap.extend([0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
        for half in [50_000, 4739, udp_length, 0] {
            pcap.extend(half.to_be_bytes());
        }
        pcap.extend(message);
    }
    fs::write(path, pcap).unwrap();
}

/// The values of a field in all packets, in order.
fn tshark(capture: &Path, field: &str) -> Vec<String> {
    let mut command = Command::new("tshark");
    command.env("TZ", "UTC").args(["-n", "-r"]).arg(capture);
    command.args(["-d", "udp.port==4739,cflow", "-T", "fields"]);
    command.args(["-E", "occurrence=a", "-E", "aggregator=;", "-e", field]);
    output_of(&mut command)
        .lines()
        .flat_map(|line| line.split(';'))
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Records 1 to 10 are one of each kind; in the order of their templates these are their numbers.
const NUMBERS: [u64; 10] = [10, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/// What `of` says of these records, in the order in which they are exported.
fn expected(numbers: &[u64], of: impl Fn(u64) -> String) -> Vec<String> {
    numbers.iter().map(|&n| of(n)).collect()
}

#[test]
fn tshark_reads_every_kind_of_record() {
    for protocol in PROTOCOLS {
        let mut sink = Sink::new("127.0.0.1:0".parse().unwrap());
        let exporter = Exporter::start(vec![collector_at(sink.address(), protocol)]);
        exporter.send(records(10));
        sink.receive_until(|sink| sink.records.len() == 10);
        drop(exporter.finish());
        sink.receive_rest();
        let scratch = Scratch::new(&format!("tshark-{}", protocol.version()));
        let capture = scratch.0.join("messages.pcap");
        write_capture(&capture, &sink.datagrams);
        let got = |field: &str| tshark(&capture, field);
        let is = |field: &str, numbers: &[u64], of: &dyn Fn(u64) -> String| {
            assert_eq!(got(field), expected(numbers, of), "{protocol:?} {field}");
        };
        let always = |text: &'static str| move |_| text.to_owned();
        let [v4, v6] = [[10, 1, 4, 5], [2, 3, 6, 7]];
        let ip = &NUMBERS[..8];
        let ingress = [10, 2, 4, 6, 8];
        let egress = [1, 3, 5, 7, 9];

        is("cflow.packets", &NUMBERS, &|n| n.to_string());
        is("cflow.octets", &NUMBERS, &|n| (n * 100).to_string());
        is("cflow.srcaddr", &v4, &|n| format!("10.0.0.{n}"));
        is("cflow.dstaddr", &v4, &always("192.0.2.7"));
        is("cflow.srcaddrv6", &v6, &|n| format!("2001:db8::{n}"));
        is("cflow.dstaddrv6", &v6, &always("2001:db8::7"));
        let tcp = |n: u64| n == 10 || n < 4;
        is("cflow.srcport", ip, &|n| {
            if tcp(n) { n } else { 0 }.to_string()
        });
        is("cflow.dstport", ip, &|n| {
            match n {
                4 | 5 => 0x0800,
                6 | 7 => 0x8000,
                _ => 443,
            }
            .to_string()
        });
        is("cflow.protocol", ip, &|n| {
            match n {
                4 | 5 => 1,
                6 | 7 => 58,
                _ => 6,
            }
            .to_string()
        });
        is("cflow.tcpflags", ip, &|n| {
            if tcp(n) { "0x1b" } else { "0x00" }.to_owned()
        });
        is("cflow.tos", ip, &always("0x10"));
        is("cflow.ttl_min", ip, &always("63"));
        is("cflow.ttl_max", ip, &always("64"));
        let icmp = |n: u64| if n < 6 { "0x0800" } else { "0x8000" }.to_owned();
        match protocol {
            Protocol::Ipfix => is("cflow.icmp_type_code_ipv4", &[4, 5], &icmp),
            Protocol::NetflowV9 | Protocol::NetflowV5 => {
                is("cflow.icmp_type_code_ipv4", &[4, 5, 6, 7], &icmp)
            }
        }
        is("cflow.ip_version", ip, &|n| {
            if v4.contains(&n) { "4" } else { "6" }.to_owned()
        });
        is("cflow.ethernet_type", &NUMBERS, &|n| {
            match n {
                8 | 9 => 0x88cc,
                n if v4.contains(&n) => 0x0800,
                _ => 0x86dd,
            }
            .to_string()
        });
        is("cflow.direction", &NUMBERS, &|n| {
            if egress.contains(&n) { "1" } else { "0" }.to_owned()
        });
        is("cflow.flow_end_reason", &NUMBERS, &always("3"));
        is("cflow.outputint", &NUMBERS, &|n| {
            if egress.contains(&n) { "3" } else { "0" }.to_owned()
        });
        let source = "02:00:00:00:00:01";
        let destination = "02:00:00:00:00:02";
        is("cflow.srcmac", &ingress, &always(source));
        is("cflow.post_srcmac", &egress, &always(source));
        is("cflow.dstmac", &ingress, &always(destination));
        is("cflow.post_dstmac", &egress, &always(destination));
        is("cflow.vlanid", &NUMBERS, &always("7"));
        is("cflow.dot1q_vlan_id", &NUMBERS, &always("7"));
        is("cflow.dot1q_customer_vlan_id", &NUMBERS, &always("9"));
        match protocol {
            Protocol::Ipfix => {
                let start = "Nov 24, 2026 16:06:57.623000000 UTC";
                let end = "Nov 24, 2026 16:07:00.123000000 UTC";
                is("cflow.abstimestart", &NUMBERS, &always(start));
                is("cflow.abstimeend", &NUMBERS, &always(end));
            }
            Protocol::NetflowV9 | Protocol::NetflowV5 => {
                // An hour after sysUptime began, which is rounded down to the second.
                is("cflow.timestart", &NUMBERS, &always("3597.623000000"));
                is("cflow.timeend", &NUMBERS, &always("3600.123000000"));
            }
        }
        assert_eq!(got("_ws.malformed"), [""; 0], "{protocol:?}");
    }
}

#[test]
fn nfdump_reads_macs_vlans_interfaces_directions_flags_and_times() {
    for protocol in PROTOCOLS {
        let scratch = Scratch::new(&format!("nfcapd-{}", protocol.version()));
        let SocketAddr::V4(address) = unused_port("127.0.0.1".parse().unwrap()) else {
            unreachable!()
        };
        let log = scratch.0.join("log");
        let mut command = Command::new("nfcapd");
        command.args(["-b", "127.0.0.1", "-p", &address.port().to_string(), "-w"]);
        command.arg(&scratch.0).args(["-t", "3600"]);
        command.stdout(fs::File::create(&log).unwrap());
        command.stderr(fs::File::create(scratch.0.join("errors")).unwrap());
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .expect("nfcapd is needed");
        let mut nfcapd = Daemon(child);
        // It listens when the port is taken.
        eventually(|| std::net::UdpSocket::bind(address).is_err().then_some(()));
        let exporter = Exporter::start(vec![collector_at(address.into(), protocol)]);
        exporter.send(records(10));
        let (status, _) = exporter.finish();
        assert_eq!((status[0].records, status[0].refused), (10, 0));
        // Its own reading of the socket is not to be seen from outside.
        std::thread::sleep(Duration::from_millis(1500));
        nfcapd.terminate();

        let file = fs::read_dir(&scratch.0)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| {
                path.file_name()
                    .unwrap()
                    .to_string_lossy()
                    .starts_with("nfcapd.")
            })
            .expect("nfcapd leaves a file");
        let mut command = Command::new("nfdump");
        command
            .env("TZ", "UTC")
            .arg("-r")
            .arg(&file)
            .args(["-q", "-N", "-6"]);
        command.args(["-o", "fmt:%pkt|%byt|%sa|%da|%sp|%dp|%pr|%flg|%tos|%in|%out|%dir|%ismc|%idmc|%osmc|%odmc|%svln|%ts|%te"]);
        let mut rows: Vec<Vec<String>> = output_of(&mut command)
            .lines()
            .map(|line| line.split('|').map(|cell| cell.trim().to_owned()).collect())
            .collect();
        rows.sort_by_key(|row: &Vec<String>| row[0].parse::<u64>().unwrap_or(0));
        let text = format!("{protocol:?} {rows:#?}");
        assert_eq!(rows.len(), 10, "{text}");
        for (row, n) in rows.iter().zip(1_u64..) {
            let (none, source, destination) = (
                "00:00:00:00:00:00",
                "02:00:00:00:00:01",
                "02:00:00:00:00:02",
            );
            let (v4, v6) = (format!("10.0.0.{n}"), format!("2001:db8::{n}"));
            let ipv4 = [v4.as_str(), "192.0.2.7"];
            let ipv6 = [v6.as_str(), "2001:db8::7"];
            let port = n.to_string();
            let tcp = [port.as_str(), "443", "6", "...AP.SF", "16"];
            let (addresses, rest) = match n {
                1 | 10 => (ipv4, tcp),
                2 | 3 => (ipv6, tcp),
                4 | 5 => (ipv4, ["0", "8.0", "1", "........", "16"]),
                6 | 7 => (ipv6, ["0", "128.0", "58", "........", "16"]),
                _ => (["0.0.0.0"; 2], ["0", "0", "0", "........", "0"]),
            };
            let place = if n % 2 == 0 {
                ["3", "0", "I", source, destination, none, none]
            } else {
                ["0", "3", "E", none, none, source, destination]
            };
            let last = ["7", "2026-11-24 16:06:57.623", "2026-11-24 16:07:00.123"];
            let counts = [n.to_string(), (n * 100).to_string()];
            let mut wanted: Vec<_> = counts.iter().map(String::as_str).collect();
            wanted.extend(addresses);
            wanted.extend(rest);
            wanted.extend(place);
            wanted.extend(last);
            assert_eq!(*row, wanted, "{text}");
        }
        let words = fs::read_to_string(log).unwrap()
            + &fs::read_to_string(scratch.0.join("errors")).unwrap();
        assert!(words.contains("Sequence Errors: 0"), "{words}");
    }
}
