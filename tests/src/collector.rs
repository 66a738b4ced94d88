//! The collectors that ebpfix exports to.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use serde_json::Value;

use crate::frame;
use crate::lab::{Lab, Namespace};
use crate::process::{Finished, Process, Program};

/// Octets of the receive buffers: a collector must not be the one that loses.
const BUFFER: usize = 64 << 20;

/// A running nfcapd.
#[derive(Debug)]
pub struct Nfcapd {
    process: Process,
    namespace: Namespace,
    port: u16,
    folder: PathBuf,
}

/// What an nfcapd received.
#[derive(Debug)]
pub struct NfcapdResult {
    /// The folder of its files, for nfdump.
    pub folder: PathBuf,
    /// Flows by its own log.
    pub flows: u64,
    /// Packets by its own log.
    pub packets: u64,
    /// Octets by its own log.
    pub octets: u64,
    /// Gaps in the sequence numbers.
    pub sequence_errors: u64,
    /// Messages it could not read.
    pub bad_packets: u64,
    /// All its log.
    pub log: String,
}

impl Nfcapd {
    /// Starts it on 127.0.0.1 of the namespace.
    pub fn start(lab: &Lab, namespace: &Namespace, port: u16) -> Self {
        Self::start_on(lab, namespace, "127.0.0.1", port)
    }

    /// Starts it on an address of the namespace.
    pub fn start_on(lab: &Lab, namespace: &Namespace, address: &str, port: u16) -> Self {
        Self::start_with(lab, namespace, address, port, &["-B", "4000000"])
    }

    /// Starts it on 127.0.0.1 of the namespace with the receive buffer that the system gives.
    pub fn start_untuned(lab: &Lab, namespace: &Namespace, port: u16) -> Self {
        Self::start_with(lab, namespace, "127.0.0.1", port, &[])
    }

    fn start_with(
        lab: &Lab,
        namespace: &Namespace,
        address: &str,
        port: u16,
        more: &[&str],
    ) -> Self {
        let folder = lab.folder().join(format!("nfcapd.{port}"));
        fs::create_dir_all(&folder).expect("a folder for nfcapd");
        let program = Program::new("nfcapd")
            .args(["-b", address, "-t", "86400"])
            .args(more.iter().copied())
            .arg("-p")
            .arg(port.to_string())
            .arg("-w")
            .arg(&folder);
        let process = lab.start(namespace, &program);
        namespace.wait_for_udp(port);
        Self {
            process,
            namespace: namespace.clone(),
            port,
            folder,
        }
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process.stderr()
    }

    /// Ends it once it has read all that was sent to it.
    pub fn stop(self) -> NfcapdResult {
        self.namespace.wait_until_read(self.port);
        self.end()
    }

    /// The same where it may have been sent more than it had room for.
    pub fn stop_with_losses(self) -> NfcapdResult {
        crate::wait_for("all is read by nfcapd", Duration::from_secs(30), || {
            let (waiting, _) = self.namespace.udp_socket(self.port)?;
            (waiting == 0).then_some(())
        });
        self.end()
    }

    fn end(self) -> NfcapdResult {
        let done = self
            .process
            .stop(Signal::SIGTERM, Duration::from_secs(30))
            .success();
        let log = done.stdout + &done.stderr;
        // One such line for each file.
        let sum = |label: &str| {
            log.lines()
                .filter(|line| line.contains("Sequence Errors:"))
                .map(|line| {
                    let number = line
                        .split(label)
                        .nth(1)
                        .and_then(|rest| rest.trim().split(',').next());
                    number
                        .and_then(|number| number.trim().parse::<u64>().ok())
                        .unwrap_or_else(|| panic!("nfcapd says no '{label}': {line}"))
                })
                .sum()
        };
        assert!(
            log.contains("Sequence Errors:"),
            "nfcapd wrote no totals:\n{log}"
        );
        NfcapdResult {
            flows: sum(" Flows:"),
            packets: sum(" Packets:"),
            octets: sum(" Bytes:"),
            sequence_errors: sum("Sequence Errors:"),
            bad_packets: sum("Bad Packets:"),
            folder: self.folder,
            log,
        }
    }
}

impl NfcapdResult {
    /// The flows, each as the JSON object that nfdump makes of it.
    pub fn records(&self) -> Vec<Value> {
        let text = self.nfdump(&["-q", "-N", "-o", "json"]);
        if text.trim() == "No matching flows" {
            return Vec::new();
        }
        // nfdump 1.7.1 writes bare objects with commas between them, later ones an array.
        let text = text.trim().trim_start_matches('[').trim_end_matches(']');
        let array = format!("[{}]", text.trim().trim_matches(','));
        serde_json::from_str(&array)
            .unwrap_or_else(|error| panic!("nfdump wrote no JSON: {error}\n{text}"))
    }

    /// The flows as lines of nfdump's format, such as `%sa,%da,%sp,%dp,%pkt,%byt`, without spaces.
    pub fn lines(&self, format: &str) -> Vec<String> {
        let text = self.nfdump(&["-q", "-N", "-6", "-o", &format!("fmt:{format}")]);
        text.lines()
            .map(|line| line.replace(' ', ""))
            .filter(|line| !line.is_empty())
            .collect()
    }

    fn nfdump(&self, options: &[&str]) -> String {
        let output = std::process::Command::new("nfdump")
            .arg("-R")
            .arg(&self.folder)
            .args(options)
            .output()
            .unwrap_or_else(|error| panic!("nfdump does not run ({error}): run `make setup`"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "nfdump: {stderr}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// A running `ebpfix collect`, which prints the flows that it receives as JSON.
#[derive(Debug)]
pub struct Collect {
    process: Process,
    namespace: Namespace,
    port: u16,
}

impl Collect {
    /// Starts it on 127.0.0.1 of the namespace.
    pub fn start(lab: &Lab, namespace: &Namespace, port: u16) -> Self {
        Self::start_with(lab, namespace, port, &[])
    }

    /// The same, with more arguments.
    pub fn start_with(lab: &Lab, namespace: &Namespace, port: u16, more: &[&str]) -> Self {
        Self::start_on(lab, namespace, "127.0.0.1", port, more)
    }

    /// Starts it on an address of the namespace, with more arguments.
    pub fn start_on(
        lab: &Lab,
        namespace: &Namespace,
        address: &str,
        port: u16,
        more: &[&str],
    ) -> Self {
        let program = Program::new(crate::ebpfix::binary())
            .args(["collect", "--format", "json", "--listen"])
            .arg(format!("{address}:{port}"))
            .args(more.iter().copied());
        let process = lab.start(namespace, &program);
        namespace.wait_for_udp(port);
        Self {
            process,
            namespace: namespace.clone(),
            port,
        }
    }

    /// Starts it to take connections, at such as `tcp:127.0.0.1:4739`, with more arguments.
    pub fn start_connections(
        lab: &Lab,
        namespace: &Namespace,
        listen: &str,
        more: &[&str],
    ) -> Self {
        let program = Program::new(crate::ebpfix::binary())
            .args(["collect", "--format", "json", "--listen", listen])
            .args(more.iter().copied());
        let port = listen.rsplit(':').next().and_then(|port| port.parse().ok());
        Self {
            process: lab.start(namespace, &program),
            namespace: namespace.clone(),
            port: port.expect("a port to listen at"),
        }
    }

    /// Ends it when exporters have ended their connections.
    pub fn stop_connections(self) -> (Vec<Value>, Finished) {
        let done = self
            .process
            .stop(Signal::SIGTERM, Duration::from_secs(30))
            .success();
        (flows(&done.stdout), done)
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The flows so far.
    pub fn flows(&self) -> Vec<Value> {
        flows(&self.process.stdout())
    }

    /// Kills it, and gives the flows that it had printed.
    pub fn kill(self) -> Vec<Value> {
        let done = self.process.stop(Signal::SIGKILL, Duration::from_secs(10));
        flows(&done.stdout)
    }

    /// Ends it once it has read all that was sent to it.
    pub fn stop(self) -> (Vec<Value>, Finished) {
        self.namespace.wait_until_read(self.port);
        let done = self
            .process
            .stop(Signal::SIGTERM, Duration::from_secs(30))
            .success();
        (flows(&done.stdout), done)
    }
}

/// The flows of JSON lines; the last one may be on its way still.
fn flows(lines: &str) -> Vec<Value> {
    let whole = lines.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines = whole.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// A running nfacctd.
#[derive(Debug)]
pub struct Nfacctd {
    process: Process,
    namespace: Namespace,
    port: u16,
    output: PathBuf,
}

impl Nfacctd {
    /// Starts it on 127.0.0.1 of the namespace.
    pub fn start(lab: &Lab, namespace: &Namespace, port: u16) -> Self {
        let output = lab.folder().join(format!("nfacctd.{port}.json"));
        let config = lab.folder().join(format!("nfacctd.{port}.conf"));
        let text = format!(
            "daemonize: false\n\
             nfacctd_ip: 127.0.0.1\n\
             nfacctd_port: {port}\n\
             nfacctd_pipe_size: 4000000\n\
             plugins: print\n\
             plugin_pipe_size: 33554432\n\
             plugin_buffer_size: 1024\n\
             print_output: json\n\
             print_output_file: {}\n\
             print_refresh_time: 86400\n\
             print_num_protos: true\n\
             aggregate: src_host, dst_host, src_port, dst_port, proto, tcpflags, tos, vlan, in_iface, \
             out_iface, src_mac, dst_mac\n",
            output.display()
        );
        fs::write(&config, text).expect("nfacctd's configuration");
        let program = Program::new("nfacctd").arg("-f").arg(&config);
        let process = lab.start(namespace, &program);
        namespace.wait_for_udp(port);
        // What the core receives before its plugin is there is lost.
        crate::wait_for("nfacctd's plugin starts", Duration::from_secs(20), || {
            process
                .stderr()
                .contains("setting object handlers")
                .then_some(())
        });
        Self {
            process,
            namespace: namespace.clone(),
            port,
            output,
        }
    }

    /// Tells it to end, once it has read all that was sent to it. It takes two seconds over that.
    pub fn finish(&self) {
        self.namespace.wait_until_read(self.port);
        // Read is not yet counted: the core hands records to the plugin.
        thread::sleep(Duration::from_millis(100));
        self.process.signal(Signal::SIGINT);
    }

    /// The file of its JSON lines, after [`Nfacctd::finish`].
    pub fn stop(self) -> PathBuf {
        let _: Finished = self.process.wait(Duration::from_secs(30));
        crate::wait_for("nfacctd writes its file", Duration::from_secs(10), || {
            self.output.exists().then_some(())
        });
        self.output
    }
}

/// A UDP socket that keeps every datagram it receives, for tshark to decode.
#[derive(Debug)]
pub struct Recorder {
    port: u16,
    datagrams: Arc<Mutex<Vec<Datagram>>>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

/// A datagram that a [`Recorder`] received.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// When.
    pub time: SystemTime,
    /// From where.
    pub from: SocketAddr,
    /// The UDP payload.
    pub payload: Vec<u8>,
}

impl Recorder {
    /// Binds the port on 127.0.0.1 of the namespace.
    pub fn start(namespace: &Namespace, port: u16) -> Self {
        Self::start_on(namespace, Ipv4Addr::LOCALHOST, port)
    }

    /// Binds the port on an address of the namespace.
    pub fn start_on(namespace: &Namespace, address: Ipv4Addr, port: u16) -> Self {
        let socket = namespace.enter(|| UdpSocket::bind((address, port)));
        let socket = socket.unwrap_or_else(|error| panic!("UDP port {port}: {error}"));
        setsockopt(&socket, RcvBufForce, &BUFFER).expect("a large receive buffer");
        let patience = Some(Duration::from_millis(50));
        socket.set_read_timeout(patience).expect("a read timeout");
        let datagrams = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let reader = thread::spawn({
            let (datagrams, stop) = (Arc::clone(&datagrams), Arc::clone(&stop));
            move || record(&socket, &datagrams, &stop)
        });
        Self {
            port,
            datagrams,
            stop,
            reader: Some(reader),
        }
    }

    /// What has come so far.
    pub fn datagrams(&self) -> Vec<Datagram> {
        self.datagrams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Writes what has come so far as a capture of raw IPv4.
    pub fn write_capture(&self, path: &Path) {
        let mut file = Vec::new();
        let word = |value: u32| value.to_le_bytes();
        file.extend(word(0xa1b2_c3d4));
        file.extend([2, 0, 4, 0]);
        file.extend([0; 8]);
        file.extend(word(65535));
        // LINKTYPE_IPV4
        file.extend(word(228));
        for datagram in self.datagrams() {
            let udp = frame::udp(datagram.from.port(), self.port, &datagram.payload);
            let IpAddr::V4(source) = datagram.from.ip() else {
                panic!("a datagram from {}", datagram.from);
            };
            let packet = frame::Ipv4::new(source.octets(), [127, 0, 0, 1], frame::protocol::UDP)
                .packet(&udp);
            let time = datagram.time.duration_since(UNIX_EPOCH).unwrap_or_default();
            let length = u32::try_from(packet.len()).expect("at most 64 KiB");
            file.extend(word(
                u32::try_from(time.as_secs()).expect("a time before 2106"),
            ));
            file.extend(word(time.subsec_micros()));
            file.extend(word(length));
            file.extend(word(length));
            file.extend(packet);
        }
        fs::write(path, file).expect("to write a capture");
    }

    /// What tshark makes of what has come so far: the path of its JSON.
    pub fn tshark(&self, lab: &Lab) -> PathBuf {
        let capture = lab.folder().join(format!("recorded.{}.pcap", self.port));
        self.write_capture(&capture);
        let output = std::process::Command::new("tshark")
            .args(["-n", "-T", "json", "-Y", "cflow", "-d"])
            .arg(format!("udp.port=={},cflow", self.port))
            .arg("-r")
            .arg(&capture)
            .output()
            .unwrap_or_else(|error| panic!("tshark does not run ({error}): run `make setup`"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tshark: {stderr}");
        let path = lab.folder().join(format!("tshark.{}.json", self.port));
        fs::write(&path, output.stdout).expect("to write tshark's output");
        path
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn record(socket: &UdpSocket, datagrams: &Mutex<Vec<Datagram>>, stop: &AtomicBool) {
    let mut buffer = vec![0; 65536];
    while !stop.load(Ordering::Relaxed) {
        // The error is the timeout.
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let datagram = Datagram {
                time: SystemTime::now(),
                from,
                payload: buffer[..length].to_vec(),
            };
            datagrams
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(datagram);
        }
    }
}
