//! Network namespaces and the links between them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Once};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use serde_json::Value;

use crate::process::{Finished, Process, Program};
use crate::wait_for;

/// Namespaces of a test, and a folder for its files. All are gone when this is dropped, also when
/// the test failed; with `EBPFIX_KEEP=1` in the environment the folder stays.
#[derive(Debug)]
pub struct Lab {
    folder: PathBuf,
    prefix: String,
    namespaces: Vec<Namespace>,
}

/// A network namespace.
#[derive(Clone, Debug)]
pub struct Namespace {
    name: String,
    handle: Arc<File>,
}

/// What a veth pair is like.
#[derive(Clone, Copy, Debug)]
pub struct VethOptions {
    /// Octets of the largest IP packet.
    pub mtu: u32,
    /// Segmentation and checksum offloads, with which the kernel passes packets larger than the MTU.
    pub offloads: bool,
}

impl Default for VethOptions {
    fn default() -> Self {
        Self {
            mtu: 65535,
            offloads: false,
        }
    }
}

/// What the kernel counted on an interface: packets and octets of the link layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Packets received.
    pub rx_packets: u64,
    /// Octets received, with Ethernet headers.
    pub rx_octets: u64,
    /// Packets received and thrown away.
    pub rx_dropped: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Octets sent, with Ethernet headers.
    pub tx_octets: u64,
    /// Packets to be sent that were thrown away.
    pub tx_dropped: u64,
}

const PREFIX: &str = "ebpfix-test-";

impl Lab {
    /// A lab without namespaces. The name is for messages.
    ///
    /// # Panics
    /// Without root, or without the BPF file system.
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        static ONCE: Once = Once::new();
        assert!(
            nix::unistd::geteuid().is_root(),
            "the end-to-end tests need root: they make network namespaces and load programs into \
             the kernel (`make test` uses sudo)"
        );
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        assert!(
            mounts.contains(" /sys/fs/bpf bpf "),
            "no BPF file system on /sys/fs/bpf: run `make setup`"
        );
        ONCE.call_once(remove_leftovers);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("{PREFIX}{}-{number}", std::process::id());
        // Short: the path of a Unix socket inside has room for 107 octets.
        let folder = std::env::temp_dir().join(&prefix);
        fs::create_dir_all(&folder).expect("a folder for the test's files");
        eprintln!("{name}: files in {}", folder.display());
        Self {
            folder,
            prefix,
            namespaces: Vec::new(),
        }
    }

    /// A lab with two namespaces, a and b, joined by a0 and b0.
    pub fn pair(name: &str) -> (Self, Namespace, Namespace) {
        let mut lab = Self::new(name);
        let (a, b) = (lab.namespace("a"), lab.namespace("b"));
        lab.veth((&a, "a0"), (&b, "b0"), VethOptions::default());
        (lab, a, b)
    }

    /// The folder of the test's files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A new namespace with its loopback up. No interface in it ever speaks by itself: no IPv6
    /// address is made up, no router asked for, no address checked for duplicates.
    pub fn namespace(&mut self, name: &str) -> Namespace {
        let full = format!("{}-{name}", self.prefix);
        ip(&["netns", "add", &full]);
        let handle = File::open(format!("/run/netns/{full}")).expect("the new namespace");
        let namespace = Namespace {
            name: full,
            handle: Arc::new(handle),
        };
        self.namespaces.push(namespace.clone());
        for conf in ["all", "default"] {
            for (key, value) in [
                ("accept_dad", "0"),
                ("dad_transmits", "0"),
                ("accept_ra", "0"),
                ("autoconf", "0"),
                ("router_solicitations", "0"),
                ("addr_gen_mode", "1"),
                // A multicast group is reported at once, and again only hours later.
                ("mldv2_unsolicited_report_interval", "100000000"),
            ] {
                // `all` has not every key; what matters is in `default`, before an interface exists.
                let _ = namespace.try_sysctl(&format!("net/ipv6/conf/{conf}/{key}"), value);
            }
        }
        namespace.ip(&["link", "set", "lo", "up"]);
        namespace
    }

    /// A veth pair, both ends up. Their MAC addresses are 02:00:00:00:00:01 for the first and
    /// 02:00:00:00:00:02 for the second end.
    pub fn veth(
        &self,
        first: (&Namespace, &str),
        second: (&Namespace, &str),
        options: VethOptions,
    ) {
        let mtu = options.mtu.to_string();
        first.0.ip(&[
            "link",
            "add",
            first.1,
            "address",
            "02:00:00:00:00:01",
            "mtu",
            &mtu,
            "type",
            "veth",
            "peer",
            "name",
            second.1,
            "address",
            "02:00:00:00:00:02",
            "mtu",
            &mtu,
            "netns",
            &second.0.name,
        ]);
        for (namespace, interface) in [first, second] {
            if !options.offloads {
                namespace.ethtool(
                    &[
                        "-K", interface, "tx", "off", "rx", "off", "sg", "off", "tso", "off",
                        "gso", "off", "gro", "off", "txvlan", "off", "rxvlan", "off",
                    ],
                    self.folder(),
                );
            }
            namespace.ip(&["link", "set", interface, "up"]);
        }
        for (namespace, interface) in [first, second] {
            wait_for("the veth pair is up", Duration::from_secs(5), || {
                let link = &namespace.ip_json(&["link", "show", "dev", interface])[0];
                (link["operstate"] == "UP").then_some(())
            });
        }
    }

    /// Starts a program in the namespace.
    pub fn start(&self, namespace: &Namespace, program: &Program) -> Process {
        Process::start(program, namespace, &self.folder)
    }

    /// Runs a program in the namespace to its end.
    pub fn run(&self, namespace: &Namespace, program: &Program, timeout: Duration) -> Finished {
        self.start(namespace, program).wait(timeout)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in &self.namespaces {
            let _ = std::process::Command::new("ip")
                .args(["netns", "del", &namespace.name])
                .output();
        }
        // The folders of pins are named after the lab: see `Ebpfix::launch`.
        let pins = fs::read_dir("/sys/fs/bpf").into_iter().flatten().flatten();
        for entry in pins {
            let name = entry.file_name();
            if name
                .to_string_lossy()
                .starts_with(&format!("{}-", self.prefix))
            {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        if std::env::var_os("EBPFIX_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

impl Namespace {
    /// Its name under /run/netns.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs the closure in a thread of its own that is in this namespace.
    pub fn enter<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&*self.handle, CloneFlags::CLONE_NEWNET).expect("to enter the namespace");
                run()
            });
            inside
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs `ip` on this namespace and gives its output.
    #[track_caller]
    pub fn ip(&self, arguments: &[&str]) -> String {
        let mut all = vec!["-n", &self.name];
        all.extend(arguments);
        ip(&all)
    }

    /// Runs `ip -json -details -statistics` on this namespace.
    #[track_caller]
    pub fn ip_json(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["-json", "-details", "-statistics"];
        all.extend(arguments);
        let text = self.ip(&all);
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("ip wrote no JSON: {error}\n{text}"))
    }

    /// Runs `tc` on this namespace and gives its output.
    #[track_caller]
    pub fn tc(&self, arguments: &[&str]) -> String {
        let mut all = vec!["-n", &self.name];
        all.extend(arguments);
        tool("tc", &all)
    }

    /// The number by which the kernel knows the interface.
    #[track_caller]
    pub fn if_index(&self, interface: &str) -> u64 {
        let link = &self.ip_json(&["link", "show", "dev", interface])[0];
        link["ifindex"].as_u64().expect("an interface index")
    }

    /// The interface's counters.
    #[track_caller]
    pub fn counters(&self, interface: &str) -> LinkCounters {
        let link = &self.ip_json(&["link", "show", "dev", interface])[0];
        let count = |direction: &str, what: &str| {
            link["stats64"][direction][what]
                .as_u64()
                .unwrap_or_else(|| panic!("no {direction} {what} in {link}"))
        };
        LinkCounters {
            rx_packets: count("rx", "packets"),
            rx_octets: count("rx", "bytes"),
            rx_dropped: count("rx", "dropped"),
            tx_packets: count("tx", "packets"),
            tx_octets: count("tx", "bytes"),
            tx_dropped: count("tx", "dropped"),
        }
    }

    /// Gives the interface an address at once (no duplicate address detection).
    #[track_caller]
    pub fn address(&self, interface: &str, address: &str) {
        if address.contains(':') {
            self.ip(&["address", "add", address, "dev", interface, "nodad"]);
        } else {
            self.ip(&["address", "add", address, "dev", interface]);
        }
    }

    /// Makes a neighbour known for good: nobody asks for it, and no such packet is counted.
    pub fn neighbour(&self, interface: &str, address: &str, mac: &str) {
        self.ip(&[
            "neigh",
            "replace",
            address,
            "lladdr",
            mac,
            "dev",
            interface,
            "nud",
            "permanent",
        ]);
    }

    /// Sets a kernel parameter of this namespace, named by its path under /proc/sys.
    pub fn try_sysctl(&self, path: &str, value: &str) -> std::io::Result<()> {
        self.enter(|| fs::write(Path::new("/proc/sys").join(path), value))
    }

    /// Waits until a UDP socket in this namespace is bound to the port.
    pub fn wait_for_udp(&self, port: u16) {
        let what = format!("somebody listens on UDP port {port}");
        wait_for(&what, Duration::from_secs(20), || {
            self.udp_socket(port).map(|_| ())
        });
    }

    /// Waits until all that came to the UDP port has been read from there.
    ///
    /// # Panics
    /// If the socket had to drop something: then the test is wrong, not ebpfix.
    pub fn wait_until_read(&self, port: u16) {
        let what = format!("all is read from UDP port {port}");
        let dropped = wait_for(&what, Duration::from_secs(30), || {
            let (waiting, dropped) = self.udp_socket(port)?;
            (waiting == 0).then_some(dropped)
        });
        assert_eq!(
            dropped, 0,
            "datagrams that found no room at UDP port {port}"
        );
    }

    /// Octets that wait at the UDP port, and datagrams that found no room there.
    pub fn udp_socket(&self, port: u16) -> Option<(u64, u64)> {
        let suffix = format!(":{port:04X}");
        let line_of = |family: &str| {
            let table = fs::read_to_string(format!("/proc/thread-self/net/{family}")).ok()?;
            let mut fields = table
                .lines()
                .map(|line| line.split_whitespace().collect::<Vec<_>>());
            let line =
                fields.find(|line| line.get(1).is_some_and(|local| local.ends_with(&suffix)))?;
            let (_, waiting) = line.get(4)?.split_once(':')?;
            let waiting = u64::from_str_radix(waiting, 16).ok()?;
            Some((waiting, line.last()?.parse().ok()?))
        };
        self.enter(|| ["udp", "udp6"].into_iter().find_map(line_of))
    }

    #[track_caller]
    fn ethtool(&self, arguments: &[&str], folder: &Path) {
        let program = Program::new("ethtool").args(arguments.iter().copied());
        let done = Process::start(&program, self, folder).wait(Duration::from_secs(10));
        let _ = done.success();
    }
}

/// Namespaces and folders that a killed run of the tests left.
fn remove_leftovers() {
    let orphaned = |name: &str| {
        let pid = name.strip_prefix(PREFIX)?.split('-').next()?;
        let pid: u32 = pid.parse().ok()?;
        (!Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    };
    let names = |folder: &Path| -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| orphaned(name).is_some()).collect()
    };
    for name in names(Path::new("/run/netns")) {
        ip(&["netns", "del", &name]);
    }
    for name in names(&std::env::temp_dir()) {
        let _ = fs::remove_dir_all(std::env::temp_dir().join(name));
    }
    for name in names(Path::new("/sys/fs/bpf")) {
        let _ = fs::remove_dir_all(Path::new("/sys/fs/bpf").join(name));
    }
}

#[track_caller]
fn ip(arguments: &[&str]) -> String {
    tool("ip", arguments)
}

#[track_caller]
fn tool(name: &str, arguments: &[&str]) -> String {
    let output = std::process::Command::new(name)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{name} does not run ({error}): run `make setup`"));
    assert!(
        output.status.success(),
        "{name} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
