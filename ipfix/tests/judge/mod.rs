//! Wireshark's dissector as a judge of messages.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use ipfix::Protocol;
use serde_json::Value as Json;

/// A capture file in a directory of its own.
pub struct Capture {
    _scratch: Scratch,
    file: PathBuf,
    port: u16,
}

impl Capture {
    /// A capture of these messages, each in a datagram to the protocol's port.
    pub fn new(protocol: Protocol, messages: &[Vec<u8>]) -> Self {
        const LINKTYPE_RAW: u32 = 101;
        const IPV4_HEADER_LENGTH: u16 = 20;
        const UDP_HEADER_LENGTH: u16 = 8;
        let scratch = Scratch::new("tshark");
        let port = match protocol {
            Protocol::Ipfix => 4739,
            Protocol::NetflowV9 | Protocol::NetflowV5 => 2055_u16,
        };
        let mut pcap = Vec::new();
        for word in [0xa1b2_c3d4, 0x0002_0004, 0, 0, 65_535, LINKTYPE_RAW] {
            pcap.extend(word.to_be_bytes());
        }
        for (second, message) in (1_795_536_000_u32..).zip(messages) {
            let udp_length = UDP_HEADER_LENGTH + u16::try_from(message.len()).unwrap();
            let length = IPV4_HEADER_LENGTH + udp_length;
            for word in [second, 0, length.into(), length.into()] {
                pcap.extend(word.to_be_bytes());
            }
            pcap.extend([0x45, 0]);
            pcap.extend(length.to_be_bytes());
            pcap.extend([0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
            for half in [50_000, port, udp_length, 0] {
                pcap.extend(half.to_be_bytes());
            }
            pcap.extend(message);
        }
        let file = scratch.path().join("messages.pcap");
        std::fs::write(&file, pcap).unwrap();
        Self {
            _scratch: scratch,
            file,
            port,
        }
    }

    /// These fields of every packet; several values of a field are joined by commas.
    pub fn dissect(&self, fields: &[&str]) -> Vec<Vec<String>> {
        let mut options = vec!["-T", "fields", "-E", "separator=/t", "-E", "occurrence=a"];
        options.extend(["-E", "aggregator=,"]);
        for field in fields {
            options.extend(["-e", field]);
        }
        self.tshark(&options)
            .lines()
            .map(|line| line.split('\t').map(str::to_owned).collect())
            .collect()
    }

    /// What the dissector makes of every packet, as a tree.
    pub fn trees(&self) -> Vec<Json> {
        let packets: Json = serde_json::from_str(&self.tshark(&["-T", "json"])).unwrap();
        let packets = packets.as_array().unwrap().iter();
        packets
            .map(|packet| packet["_source"]["layers"]["cflow"].clone())
            .collect()
    }

    fn tshark(&self, options: &[&str]) -> String {
        let output = Command::new("tshark")
            .env("TZ", "UTC")
            .args(["-n", "-r"])
            .arg(&self.file)
            .args(["-d", &format!("udp.port=={},cflow", self.port)])
            .args(options)
            .output()
            .expect("tshark must be installed");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// A directory of its own, removed when dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty directory whose name tells what it is for.
    pub fn new(purpose: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let path = std::env::temp_dir().join(format!("ipfix-{purpose}-{process}-{number}"));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
