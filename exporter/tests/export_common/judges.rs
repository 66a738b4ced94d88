//! Independent judges of what is exported: Wireshark's dissector and nfdump.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::eventually;

/// A directory that goes with its owner.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ebpfix-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// What nfcapd said.
    pub fn words(&self) -> String {
        ["log", "errors"]
            .map(|name| fs::read_to_string(self.0.join(name)).unwrap())
            .concat()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that is stopped with its owner.
pub struct Daemon(Child);

impl Daemon {
    /// Ends it as its operator would, and waits.
    pub fn terminate(&mut self) {
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

/// Messages as a capture of datagrams to port 4739.
pub fn write_capture(path: &Path, messages: &[Vec<u8>]) {
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
pub fn tshark(capture: &Path, field: &str) -> Vec<String> {
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

/// nfcapd at an address of IPv4, with its files in the directory.
pub fn nfcapd(scratch: &Scratch, address: SocketAddr) -> Daemon {
    let mut command = Command::new("nfcapd");
    command.args(["-b", &address.ip().to_string()]);
    command.args(["-p", &address.port().to_string(), "-w"]);
    command.arg(&scratch.0).args(["-t", "3600"]);
    command.stdout(fs::File::create(scratch.0.join("log")).unwrap());
    command.stderr(fs::File::create(scratch.0.join("errors")).unwrap());
    let child = command
        .stdin(Stdio::null())
        .spawn()
        .expect("nfcapd is needed");
    // It listens when the port is taken.
    eventually(|| std::net::UdpSocket::bind(address).is_err().then_some(()));
    Daemon(child)
}

/// What it left, as nfdump shows it, ordered by the number in the first column.
pub fn nfdump(scratch: &Scratch, format: &str) -> Vec<Vec<String>> {
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
        .args(["-q", "-N", "-6", "-o", format]);
    let mut rows: Vec<Vec<String>> = output_of(&mut command)
        .lines()
        .map(|line| line.split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect();
    rows.sort_by_key(|row: &Vec<String>| row[0].parse::<u64>().unwrap_or(0));
    rows
}
