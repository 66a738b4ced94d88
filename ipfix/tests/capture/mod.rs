//! Messages in a capture file, and what Wireshark's `tshark` reads in it.

use std::path::PathBuf;
use std::process::Command;

/// UDP ports of the messages in a capture.
const PORTS: [u16; 3] = [4739, 2055, 9995];

/// A message in a capture: the last octet of the address it is from, and its octets.
pub type Packet<'a> = (u8, &'a [u8]);

/// A capture file in a directory of its own, removed when dropped.
pub struct Capture {
    directory: PathBuf,
    file: PathBuf,
}

impl Capture {
    /// `name` tells it apart from others of the process.
    pub fn new<'a>(name: &str, packets: impl IntoIterator<Item = Packet<'a>>) -> Self {
        const LINKTYPE_RAW: u32 = 101;
        const IPV4_HEADER_LENGTH: u16 = 20;
        const UDP_HEADER_LENGTH: u16 = 8;
        let directory =
            std::env::temp_dir().join(format!("ipfix-tshark-{}-{name}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let mut pcap = Vec::new();
        for word in [0xa1b2_c3d4, 0x0002_0004, 0, 0, 65_535, LINKTYPE_RAW] {
            pcap.extend(word.to_be_bytes());
        }
        for (second, (source, message)) in (1_795_536_000_u32..).zip(packets) {
            let port = match message[1] {
                10 => PORTS[0],
                9 => PORTS[1],
                _ => PORTS[2],
            };
            let udp_length = UDP_HEADER_LENGTH + u16::try_from(message.len()).unwrap();
            let length = IPV4_HEADER_LENGTH + udp_length;
            for word in [second, 0, length.into(), length.into()] {
                pcap.extend(word.to_be_bytes());
            }
            pcap.extend([0x45, 0]);
            pcap.extend(length.to_be_bytes());
            pcap.extend([0, 0, 0, 0, 64, 17, 0, 0]);
            pcap.extend([192, 0, 2, source, 192, 0, 2, 200]);
            for half in [50_000, port, udp_length, 0] {
                pcap.extend(half.to_be_bytes());
            }
            pcap.extend(message);
        }
        let file = directory.join("messages.pcap");
        std::fs::write(&file, pcap).unwrap();
        Self { directory, file }
    }

    /// These fields of every packet; several values of a field are joined by commas.
    pub fn dissect(&self, fields: &[&str]) -> Vec<Vec<String>> {
        let mut command = Command::new("tshark");
        command.env("TZ", "UTC").args(["-n", "-r"]).arg(&self.file);
        for port in PORTS {
            command.args(["-d", &format!("udp.port=={port},cflow")]);
        }
        command.args(["-T", "fields", "-E", "separator=/t", "-E", "occurrence=a"]);
        command.args(["-E", "aggregator=,"]);
        for field in fields {
            command.args(["-e", field]);
        }
        let output = command.output().expect("tshark must be installed");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| line.split('\t').map(str::to_owned).collect())
            .collect()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
