//! A virtual machine with another kernel, in which the program `guest` uses this crate as the tests
//! of the host do, and writes what it found.
//!
//! The machine has no disk: all it needs is in the archive that it starts from. It is emulated, so
//! that no virtualisation by hardware is asked for, and takes some ten times the host's time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cpio::newc::{self, ModeFileType};
use serde_json::Value;

use crate::frame::{self, Frame, Ipv4, protocol};
use crate::inject::Order;
use crate::{Flood, ebpfix};

/// Modules that the guest loads, each after those that it needs.
pub const MODULES: [&str; 6] = [
    "veth",
    "sch_ingress",
    "cls_bpf",
    "tunnel4",
    "ip_tunnel",
    "ipip",
];
/// Where the guest has the modules.
pub const MODULE_FOLDER: &str = "/modules";
/// Where the guest has the capture that it replays.
pub const CAPTURE: &str = "/capture.pcap";
/// The series of the kernel on which clocks are tried.
pub const CLOCKS: &str = "6.12";
/// Where the guest writes its findings, a line of JSON each: the second serial port.
pub const REPORT: &str = "/dev/ttyS1";

/// Programs that the guest runs, beside ebpfix.
const TOOLS: [&str; 5] = ["ip", "tc", "ethtool", "tcpreplay", "bpftool"];
const MEMORY: &str = "1024";

/// What the guest sends beside the capture: more flows than the cache in the kernel holds, so that
/// some pass through the log.
pub const FLOOD: Flood = Flood {
    packets: 30_000,
    flows: 12_000,
    order: Order::Random(5),
    threads: 2,
};

/// What the guest sends through a tunnel, whose packets begin with the IP header.
#[derive(Clone, Copy, Debug)]
pub struct TunnelTraffic {
    /// Source ports, one flow each.
    pub flows: u16,
    /// Datagrams of each.
    pub datagrams: u16,
}

/// What goes through the tunnel.
pub const TUNNEL: TunnelTraffic = TunnelTraffic {
    flows: 20,
    datagrams: 25,
};

impl TunnelTraffic {
    /// Where it comes from.
    pub const SOURCE: &str = "10.9.0.1";
    /// Where it goes to.
    pub const DESTINATION: &str = "10.9.0.2";
    /// The port that it goes to.
    pub const PORT: u16 = 5000;

    /// The source port of a flow.
    pub fn source_port(self, flow: u16) -> u16 {
        20_000 + flow
    }

    /// Octets of payload of each datagram of a flow.
    pub fn payload(self, flow: u16) -> u16 {
        flow * 60
    }
}

/// A frame made by hand, and what is to be said of it.
#[derive(Clone, Debug)]
pub struct Known {
    /// The frame.
    pub octets: Frame,
    /// Source, destination, protocol, source and destination port.
    pub key: (&'static str, &'static str, u8, u16, u16),
    /// IP octets.
    pub ip_octets: u64,
}

/// What the captures have not: one frame for each way through the dissector.
pub fn frames() -> Vec<Known> {
    const A: &str = "192.0.2.1";
    const B: &str = "192.0.2.2";
    const A6: &str = "2001:db8::1";
    const B6: &str = "2001:db8::2";
    let ipv4 = |protocol| Ipv4::new([192, 0, 2, 1], [192, 0, 2, 2], protocol);
    let known = |ethertype, packet: Frame, key| Known {
        ip_octets: u64::try_from(packet.len()).expect("a length"),
        octets: frame::ethernet(ethertype, &packet),
        key,
    };
    let with_options = Ipv4 {
        options: vec![1; 40],
        ..ipv4(protocol::TCP)
    };
    let later_fragment = Ipv4 {
        fragment_offset: 100,
        ..ipv4(protocol::UDP)
    };
    let transport = frame::tcp(9, 10, 0x12, b"abc");
    let last = frame::extension(protocol::TCP, &transport);
    let walked = frame::extension(
        protocol::ROUTING,
        &frame::extension(protocol::DESTINATION, &last),
    );
    let authenticated = frame::authentication(protocol::UDP, &frame::udp(11, 12, b"abcd"));
    let fragment = frame::fragment(protocol::UDP, 0, true, &frame::udp(13, 14, &[0; 32]));
    let inner = ipv4(protocol::UDP).packet(&frame::udp(15, 16, b"pppoe"));
    let session = Known {
        octets: frame::ethernet(frame::PPPOE, &frame::pppoe(1, 0x21, &inner)),
        ..known(frame::IPV4, inner, (A, B, protocol::UDP, 15, 16))
    };
    vec![
        known(
            frame::IPV4,
            with_options.packet(&frame::tcp(1, 2, 0x18, b"options")),
            (A, B, protocol::TCP, 1, 2),
        ),
        known(
            frame::IPV4,
            later_fragment.packet(&[0; 64]),
            (A, B, protocol::UDP, 0, 0),
        ),
        known(
            frame::IPV4,
            ipv4(protocol::ICMP).packet(&frame::icmp(3, 4)),
            (A, B, protocol::ICMP, 0, 0x0304),
        ),
        known(
            frame::IPV4,
            ipv4(protocol::SCTP).packet(&frame::ports(7, 8)),
            (A, B, protocol::SCTP, 7, 8),
        ),
        known(
            frame::IPV6,
            frame::ipv6(A6, B6, protocol::HOP_BY_HOP, &walked),
            (A6, B6, protocol::TCP, 9, 10),
        ),
        known(
            frame::IPV6,
            frame::ipv6(A6, B6, protocol::AUTHENTICATION, &authenticated),
            (A6, B6, protocol::UDP, 11, 12),
        ),
        known(
            frame::IPV6,
            frame::ipv6(A6, B6, protocol::FRAGMENT, &fragment),
            (A6, B6, protocol::UDP, 13, 14),
        ),
        session,
    ]
}

/// A kernel that the setup has fetched.
#[derive(Debug)]
pub struct Kernel {
    folder: PathBuf,
}

impl Kernel {
    /// That of this series (`6.1`).
    ///
    /// # Panics
    /// If the setup has not fetched it.
    pub fn of_series(series: &str) -> Self {
        assert_eq!(
            std::env::consts::ARCH,
            "x86_64",
            "the kernels that the setup fetches are for x86-64"
        );
        let test = std::env::current_exe().expect("the path of this test");
        // target/debug/deps/kernels-0123456789abcdef
        let target = test.ancestors().nth(3).expect("the folder of the build");
        let folder = target.join("kernels").join(series);
        assert!(
            folder.join("vmlinuz").exists(),
            "there is no Linux {series} in {}: run `make setup`",
            folder.display()
        );
        Self { folder }
    }

    /// Starts the machine with this program as its first process, waits until it has switched
    /// itself off, and gives the lines of the guest's report. The machine's files are in `folder`.
    ///
    /// # Panics
    /// After `limit`, or if the guest did not come to its end: with what it wrote to its console.
    pub fn run(&self, guest: &Path, capture: &Path, folder: &Path, limit: Duration) -> Vec<Value> {
        let archive = folder.join("initramfs.cpio");
        self.write_archive(guest, capture, folder, &archive)
            .unwrap_or_else(|error| panic!("{}: {error}", archive.display()));
        let (console, report) = (folder.join("console"), folder.join("report"));
        let mut machine = self.start(&archive, &console, &report);
        let texts = || {
            [&console, &report].map(|file| {
                String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
            })
        };
        let start = std::time::Instant::now();
        while machine.is_running() {
            let [console, report] = texts();
            assert!(
                start.elapsed() < limit,
                "the machine does not end within {limit:?}\n{console}\n{report}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        let [console, report] = texts();
        let lines: Vec<Value> = report
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| {
                    panic!("the guest wrote no JSON: {error}\n{line}\n{console}")
                })
            })
            .collect();
        let ended = lines.last().is_some_and(|line| line["what"] == "end");
        assert!(
            ended,
            "the guest did not come to its end:\n{console}\n{report}"
        );
        lines
    }

    fn start(&self, archive: &Path, console: &Path, report: &Path) -> Machine {
        let serial = |path: &Path| format!("file:{}", path.display());
        // What the kernel does not know goes to the first process's environment. A panic ends the
        // machine.
        let line =
            "console=ttyS0 quiet panic=-1 PATH=/bin EBPFIX_BIN=/bin/ebpfix EBPFIX_PATIENCE=5";
        let devices = ["-serial", &serial(console), "-serial", &serial(report)];
        Machine::start(self, archive, line, &devices)
    }

    /// The archive of the machine's files, as the kernel unpacks it.
    fn write_archive(
        &self,
        guest: &Path,
        capture: &Path,
        folder: &Path,
        archive: &Path,
    ) -> io::Result<()> {
        let mut files = BTreeMap::new();
        let binary = ebpfix::binary();
        for (program, to) in [(guest, "/init"), (&*binary, "/bin/ebpfix")] {
            libraries(program, &mut files);
            files.insert(PathBuf::from(to), stripped(program, folder));
        }
        for name in TOOLS {
            let program = find_tool(name);
            libraries(&program, &mut files);
            files.insert(Path::new("/bin").join(name), program);
        }
        for module in MODULES {
            let to = Path::new(MODULE_FOLDER).join(format!("{module}.ko"));
            files.insert(to, self.module(module));
        }
        files.insert(PathBuf::from(CAPTURE), capture.to_owned());
        write_archive(&files, &["/dev", "/proc", "/run", "/sys", "/tmp"], archive)
    }

    /// The file of a module.
    pub(crate) fn module(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.ko"))
    }

    /// What the setup has made beside the kernels, in this folder.
    pub(crate) fn beside(&self, folder: &str) -> PathBuf {
        let target = self
            .folder
            .ancestors()
            .nth(2)
            .expect("the folder of the build");
        target.join(folder)
    }
}

/// Writes an archive of these files (where they are in it, and where they come from) and folders, as a
/// kernel unpacks it. Everybody may run all of them.
pub(crate) fn write_archive(
    files: &BTreeMap<PathBuf, PathBuf>,
    folders: &[&str],
    archive: &Path,
) -> io::Result<()> {
    let mut folders: BTreeSet<PathBuf> = folders.iter().map(PathBuf::from).collect();
    for file in files.keys() {
        folders.extend(file.ancestors().skip(1).map(Path::to_owned));
    }
    folders.remove(Path::new("/"));

    let mut out = BufWriter::new(File::create(archive)?);
    let name = |path: &Path| path.to_string_lossy().trim_start_matches('/').to_owned();
    let mut inode = 1;
    let mut entry = |path: &Path, kind| {
        inode += 1;
        newc::Builder::new(&name(path))
            .ino(inode)
            .mode(0o755)
            .set_mode_file_type(kind)
    };
    for path in &folders {
        out = entry(path, ModeFileType::Directory)
            .write(out, 0)
            .finish()?;
    }
    for (path, source) in files {
        let octets = fs::read(source).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", source.display()))
        })?;
        let length = u32::try_from(octets.len()).map_err(io::Error::other)?;
        let mut writer = entry(path, ModeFileType::Regular).write(out, length);
        writer.write_all(&octets)?;
        out = writer.finish()?;
    }
    newc::trailer(out)?.flush()
}

/// A running machine. It is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Machine {
    child: Child,
}

impl Machine {
    /// Emulates a machine that starts this kernel from this archive, with the words of `line` and the
    /// devices that these options of qemu ask for.
    pub(crate) fn start(kernel: &Kernel, archive: &Path, line: &str, devices: &[&str]) -> Self {
        let child = Command::new("qemu-system-x86_64")
            .args(["-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", MEMORY])
            .args([
                "-nodefaults",
                "-no-user-config",
                "-no-reboot",
                "-display",
                "none",
            ])
            .args(devices)
            .arg("-kernel")
            .arg(kernel.folder.join("vmlinuz"))
            .arg("-initrd")
            .arg(archive)
            .args(["-append", line])
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("qemu-system-x86_64 does not run ({error}): run `make setup`")
            });
        Self { child }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.is_running() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Adds the shared libraries that the program asks for, under their own paths.
pub fn libraries(program: &Path, files: &mut BTreeMap<PathBuf, PathBuf>) {
    let text = output(Command::new("ldd").arg(program));
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    files.extend(paths.map(|path| (PathBuf::from(path), PathBuf::from(path))));
}

/// A copy of the program without what only debuggers read.
fn stripped(program: &Path, folder: &Path) -> PathBuf {
    let copy = folder.join(program.file_name().expect("a file's name"));
    output(Command::new("strip").arg("-o").arg(&copy).arg(program));
    copy
}

/// Where a program of this name is, outside of `PATH`, in which an administrator's may be missing.
///
/// # Panics
/// If it is not installed.
pub fn find_tool(name: &str) -> PathBuf {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{name} is not installed: run `make setup`"))
}

fn output(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not run: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
