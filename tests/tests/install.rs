//! The packages: what they hold, and what they do to a machine when they are installed, upgraded, removed
//! and purged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use ebpfix_tests::{Lab, Ledger, System, project_root, vm};
use serde_json::Value;

/// The version that is upgraded from.
const OLDER: &str = "0.0.9";
/// Who maintains the packages of the tests.
const MAINTAINER: (&str, &str) = ("Net Ops", "ops@example.org");
/// What the machine may take, emulated and giving way to other tests.
const LIMIT: Duration = Duration::from_mins(12);
/// The exposure that `systemd-analyze security` may find, of 10. What is left is what an exporter is for:
/// the network, programs in the kernel, collectors anywhere.
const EXPOSURE: f64 = 1.7;

/// A machine's whole life with the package, told in order.
#[test]
fn debian() {
    let packages = packages();
    let lab = Lab::new("debian");
    let files = [
        ("/srv/older.deb", packages.older_deb.clone()),
        ("/srv/newer.deb", packages.deb.clone()),
        ("/srv/send", project_root().join("tests/system/send")),
        (
            "/srv/init-script",
            project_root().join("packaging/openrc/ebpfix"),
        ),
    ];
    let clock = Instant::now();
    let mut story = Story {
        system: System::start(&files, lab.folder(), LIMIT),
        sent: BTreeMap::new(),
        clock,
    };
    story.prepare();
    story.install();
    story.restart();
    story.reload();
    story.hardening();
    story.kill();
    story.watchdog();
    story.upgrade();
    story.elsewhere();
    story.remove();
    story.flows();
    story.purge();
    story.openrc();
}

struct Story {
    system: System,
    /// Packets sent from each port.
    sent: BTreeMap<u16, u64>,
    clock: Instant,
}

impl Story {
    /// A link to another namespace, on which nothing moves but what the story sends; a collector.
    fn prepare(&mut self) {
        self.done("started");
        let release = self.system.success("uname -r");
        println!("Debian's Linux {}", release.trim());
        self.system.success(
            "set -e
            ip netns add far
            ip link add a0 type veth peer name b0 netns far
            echo 1 >/proc/sys/net/ipv6/conf/a0/disable_ipv6
            ip addr add 10.9.0.1/24 dev a0
            ip link set a0 up
            ip -n far link set b0 up
            ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev a0
            mkdir /srv/flows
            nfcapd -D -w /srv/flows -p 4739 -t 3600
            systemctl is-system-running --wait",
        );
    }

    /// The service starts, starts with the machine, and has its user and its files.
    fn install(&mut self) {
        self.system
            .success("DEBIAN_FRONTEND=noninteractive dpkg -i /srv/older.deb");
        self.done("installed");
        self.expect("systemctl is-active ebpfix", "active");
        self.expect("systemctl is-enabled ebpfix", "enabled");
        for (file, owner) in [
            ("/etc/ebpfix/ebpfix.toml", "root:ebpfix 640"),
            ("/etc/ebpfix/conf.d", "root:ebpfix 750"),
            ("/run/ebpfix", "ebpfix:ebpfix 700"),
            ("/sys/fs/bpf/ebpfix", "ebpfix:ebpfix 700"),
        ] {
            self.expect(&format!("stat -c '%U:%G %a' {file}"), owner);
        }
        // What it was told by sd_notify(3).
        let status = self.system.success("systemctl show -P StatusText ebpfix");
        assert!(status.contains("interface"), "{status}");
        self.system
            .success("bash -n /usr/share/bash-completion/completions/ebpfix");
    }

    /// A configuration of the administrator's; flows arrive at the collector.
    fn restart(&mut self) {
        self.system.success(
            "set -e
            cat >/etc/ebpfix/ebpfix.toml <<'END'
[observation]
interfaces = [\"a0\"]
directions = [\"egress\"]
[metering]
active-timeout = \"1h\"
idle-timeout = \"1h\"
[[collector]]
name = \"before\"
address = \"127.0.0.1:4739\"
END
            mkdir /etc/systemd/system/ebpfix.service.d
            printf '[Service]\\nWatchdogSec=12\\n' >/etc/systemd/system/ebpfix.service.d/watchdog.conf
            systemctl daemon-reload
            systemctl restart ebpfix",
        );
        self.done("restarted");
        self.send(1001, 100);
        let status = self.flush();
        assert_eq!(status["ledger"]["exported"]["packets"], 100, "{status}");
        // What it logs has fields, by which it can be found.
        let entries = self.system.success(
            "journalctl -u ebpfix EBPFIX_INTERFACE=a0 -o cat --output-fields=PRIORITY,MESSAGE",
        );
        assert!(entries.contains("observing interface=\"a0\""), "{entries}");
        // The kernel's modules were there for the asking, and nobody asked but the exporter.
        assert_eq!(status["interfaces"][0]["egress"], "clsact", "{status}");
    }

    /// A good configuration takes effect; a bad one does not, and the journal says where it is bad.
    fn reload(&mut self) {
        let pid = self.pid();
        self.system
            .success("sed -i s/before/noc/ /etc/ebpfix/ebpfix.toml && systemctl reload ebpfix");
        assert_eq!(self.status()["collectors"][0]["name"], "noc");
        self.system
            .success("echo 'port = 4739' >>/etc/ebpfix/ebpfix.toml");
        let answer = self.system.run("systemctl reload ebpfix");
        assert_ne!(answer.status, 0, "{}", answer.text);
        let journal = self.journal();
        assert!(
            journal.contains("/etc/ebpfix/ebpfix.toml:10:1: collector.port"),
            "{journal}"
        );
        self.expect("systemctl is-active ebpfix", "active");
        assert_eq!(self.status()["collectors"][0]["name"], "noc");
        assert_eq!(self.pid(), pid);
        self.system
            .success("sed -i '/^port/d' /etc/ebpfix/ebpfix.toml && systemctl reload ebpfix");
        self.done("reloaded");
    }

    fn hardening(&mut self) {
        let text = self
            .system
            .success("systemd-analyze security --no-pager ebpfix.service");
        let last = text.lines().last().expect("a verdict");
        println!("{last}");
        let figure = last
            .split_whitespace()
            .find_map(|word| word.parse::<f64>().ok());
        let figure = figure.unwrap_or_else(|| panic!("no figure: {last}"));
        assert!(figure <= EXPOSURE, "{text}");
    }

    /// An exporter that is killed comes back, and has what was counted meanwhile.
    fn kill(&mut self) {
        self.flush();
        let pid = self.pid();
        self.system.success(&format!("kill -9 {pid}"));
        self.send(1002, 100);
        self.wait_for_another(&pid);
        let status = self.flush();
        assert_eq!(status["kernel"]["crashes"], 1, "{status}");
        self.done("killed, and started again");
    }

    /// So does one that stands still.
    fn watchdog(&mut self) {
        let pid = self.pid();
        self.system.success(&format!("kill -STOP {pid}"));
        self.send(1003, 100);
        self.wait_for_another(&pid);
        let journal = self.journal();
        assert!(journal.contains("Watchdog timeout"), "{journal}");
        self.done("stopped, and started again by the watchdog");
    }

    /// Not a packet is missed, and the administrator's configuration stays.
    fn upgrade(&mut self) {
        let before = self.system.success("sha256sum /etc/ebpfix/ebpfix.toml");
        let pid = self.pid();
        // Ends by itself where the story does not get there.
        self.system
            .success("/srv/send 1004 100000 </dev/null >/srv/sent 2>&1 & sleep 1");
        self.system
            .success("DEBIAN_FRONTEND=noninteractive dpkg -i /srv/newer.deb");
        self.system.success("sleep 1; touch /run/stop-sending");
        let sent = self.system.wait("grep . /srv/sent");
        let sent = sent.trim().parse().expect("a number of packets");
        println!("{sent} packets were sent during the upgrade");
        assert!(sent > 300, "too few packets for a test: {sent}");
        self.sent.insert(1004, sent);
        self.expect("sha256sum /etc/ebpfix/ebpfix.toml", before.trim());
        self.expect("systemctl is-active ebpfix", "active");
        assert_ne!(self.pid(), pid);
        let status = self.flush();
        assert_eq!(status["kernel"]["adopted"], true, "{status}");
        assert_eq!(status["kernel"]["handovers"], 1, "{status}");
        let ledger = Ledger::from_json(&status["ledger"]);
        ledger.assert_balanced();
        assert_eq!(ledger.lost_by("crash").packets, 0, "{ledger:?}");
        let version = self.system.success("dpkg-query -W -f '${Version}' ebpfix");
        assert_ne!(version, format!("{OLDER}-1"));
        self.done("upgraded");
    }

    /// Another network namespace, with what README.md says the unit needs for it.
    fn elsewhere(&mut self) {
        self.system.success(
            "set -e
            cat >/etc/systemd/system/ebpfix.service.d/namespace.conf <<'END'
[Service]
AmbientCapabilities=CAP_SYS_ADMIN
CapabilityBoundingSet=CAP_SYS_ADMIN
RestrictNamespaces=
RestrictNamespaces=net
END
            cat >/etc/ebpfix/conf.d/namespace.toml <<'END'
[observation]
namespace = \"far\"
interfaces = [\"b0\"]
END
            systemctl daemon-reload
            systemctl restart ebpfix",
        );
        let status = self.status();
        assert_eq!(status["namespace"]["present"], true, "{status}");
        assert_eq!(status["interfaces"][0]["name"], "b0", "{status}");
        self.system.success(
            "set -e
            rm /etc/systemd/system/ebpfix.service.d/namespace.conf /etc/ebpfix/conf.d/namespace.toml
            systemctl daemon-reload
            systemctl restart ebpfix",
        );
        self.done("observed another namespace");
    }

    /// Nothing observes any more; the configuration stays.
    fn remove(&mut self) {
        self.system.success("dpkg -r ebpfix");
        self.expect("systemctl is-active ebpfix", "inactive");
        let filters = self
            .system
            .success("tc filter show dev a0 egress; tc filter show dev a0 ingress");
        assert!(!filters.contains("gress_flow"), "{filters}");
        self.expect("ls -A /sys/fs/bpf", "");
        self.system.success("test -f /etc/ebpfix/ebpfix.toml");
        self.done("removed");
    }

    /// What the collector has, all in all, is what was sent.
    fn flows(&mut self) {
        self.system.success("pkill -x nfcapd");
        self.system.wait("! pgrep -x nfcapd");
        let text = self
            .system
            .success("nfdump -N -q -R /srv/flows -o 'fmt:%sp %dp %pkt %byt'");
        let mut found: BTreeMap<u16, u64> = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let port = words.next().and_then(|word| word.parse().ok());
            let packets: Option<u64> = words.nth(1).and_then(|word| word.parse().ok());
            let (Some(port), Some(packets)) = (port, packets) else {
                panic!("nfdump writes {line:?}\n{text}")
            };
            *found.entry(port).or_default() += packets;
        }
        assert_eq!(found, self.sent, "by source port:\n{text}");
    }

    /// Nothing is left that anybody could find.
    fn purge(&mut self) {
        // The administrator's own.
        self.system
            .success("rm -r /etc/systemd/system/ebpfix.service.d");
        self.system.success("dpkg -P ebpfix");
        self.expect(
            "find / -xdev -name '*ebpfix*' -not -path '/srv/*' -not -path '/proc/*' 2>/dev/null; find /run /sys/fs/bpf /tmp -name '*ebpfix*'",
            "",
        );
        self.expect("getent passwd ebpfix; getent group ebpfix; dpkg -l ebpfix 2>/dev/null | grep ^[a-z].*ebpfix", "");
        self.expect(
            "systemctl list-units --all --no-legend '*ebpfix*'; systemctl --failed --no-legend",
            "",
        );
        self.done("purged");
    }

    /// The same machine by `OpenRC`'s programs, although its first process is another: start, reload, a kill, a
    /// restart that is refused, and a stop that leaves nothing attached.
    fn openrc(&mut self) {
        let states = "starting started stopping inactive wasinactive failed hotplugged daemons options \
                      exclusive scheduled init.d tmp";
        self.system.success(&format!(
            "set -e
            tar -C /srv/openrc -c . | tar -x -C / --keep-directory-symlink
            ldconfig
            dpkg-deb --fsys-tarfile /srv/newer.deb |
                tar -x -C / --keep-directory-symlink ./usr/sbin/ebpfix ./etc/ebpfix
            sed -i 's/^interfaces.*/interfaces = [\"a0\"]/' /etc/ebpfix/ebpfix.toml
            mkdir -p /run/openrc
            (cd /run/openrc && touch softlevel && mkdir {states})
            touch /etc/insserv.conf
            umount /sys/fs/bpf
            install -m 755 /srv/init-script /etc/init.d/ebpfix
            rc-service ebpfix start"
        ));
        self.system.wait("ebpfix status");
        let status = self.system.success("rc-service ebpfix status");
        assert!(status.contains("started"), "{status}");
        let reload = self.system.success("rc-service ebpfix reload");
        assert!(reload.contains("applied"), "{reload}");
        self.system
            .success("echo 'x = 1' >>/etc/ebpfix/ebpfix.toml");
        for refused in ["reload", "restart"] {
            let answer = self.system.run(&format!("rc-service ebpfix {refused}"));
            assert_ne!(answer.status, 0, "{refused}: {}", answer.text);
            assert!(answer.text.contains("ebpfix.toml:"), "{}", answer.text);
        }
        self.system
            .success("sed -i '/^x = 1/d' /etc/ebpfix/ebpfix.toml && ebpfix status");
        self.system
            .success("pgrep -xo ebpfix >/run/killed; kill -9 $(cat /run/killed)");
        self.system
            .wait("ebpfix status && ! pgrep -x ebpfix | grep -qx \"$(cat /run/killed)\"");
        self.system.success("rc-service ebpfix stop");
        self.expect(
            "pgrep -x ebpfix; ls -A /sys/fs/bpf; tc filter show dev a0 egress",
            "",
        );
        self.done("started, reloaded, killed and stopped by OpenRC");
    }

    fn send(&mut self, port: u16, packets: u64) {
        let sent = self.system.success(&format!("/srv/send {port} {packets}"));
        assert_eq!(sent.trim(), packets.to_string());
        self.sent.insert(port, packets);
    }

    /// The status after all that is held was exported.
    fn flush(&mut self) -> Value {
        self.system.wait("ebpfix flush");
        self.status()
    }

    fn status(&mut self) -> Value {
        let text = self.system.success("ebpfix status --json 2>/dev/null");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    fn pid(&mut self) -> String {
        let pid = self.system.success("systemctl show -P MainPID ebpfix");
        pid.trim().to_owned()
    }

    /// Waits until the service is active with another process than this.
    fn wait_for_another(&mut self, pid: &str) {
        self.system.wait(&format!(
            "systemctl is-active ebpfix && test \"$(systemctl show -P MainPID ebpfix)\" != {pid}"
        ));
    }

    fn journal(&mut self) -> String {
        self.system
            .success("journalctl -u ebpfix --no-pager -o cat -n 40")
    }

    #[track_caller]
    fn expect(&mut self, command: &str, text: &str) {
        let answer = self.system.run(command);
        assert_eq!(answer.text.trim(), text, "{command}");
    }

    fn done(&self, what: &str) {
        println!("{:5.1} s: {what}", self.clock.elapsed().as_secs_f32());
    }
}

/// What lintian says of the package, and what is in it.
#[test]
fn deb() {
    let package = &packages().deb;
    let said = output(
        Command::new("lintian")
            .args(["--fail-on", "error,warning"])
            .arg(package),
    );
    let tags: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("E:") || line.starts_with("W:"))
        .collect();
    assert_eq!(tags, [""; 0]);

    let field = |name: &str| output(Command::new("dpkg-deb").arg("-f").arg(package).arg(name));
    let (name, address) = MAINTAINER;
    assert_eq!(field("Maintainer").trim(), format!("{name} <{address}>"));
    let depends = field("Depends");
    for needed in ["libc6 (>= ", "libelf1 (>= ", "zlib1g (>= ", "systemd | "] {
        assert!(depends.contains(needed), "{depends}");
    }
    let list = output(Command::new("dpkg-deb").arg("-c").arg(package));
    for (mode, file) in [
        ("-rwxr-xr-x", "usr/sbin/ebpfix"),
        ("-rw-r-----", "etc/ebpfix/ebpfix.toml"),
        ("-rw-r--r--", "usr/lib/systemd/system/ebpfix.service"),
        ("-rw-r--r--", "usr/lib/sysusers.d/ebpfix.conf"),
        ("-rw-r--r--", "usr/lib/tmpfiles.d/ebpfix.conf"),
        ("-rw-r--r--", "usr/share/man/man8/ebpfix.8.gz"),
        ("-rw-r--r--", "usr/share/man/man5/ebpfix.toml.5.gz"),
        ("-rw-r--r--", "usr/share/bash-completion/completions/ebpfix"),
        ("-rw-r--r--", "usr/share/zsh/vendor-completions/_ebpfix"),
        (
            "-rw-r--r--",
            "usr/share/fish/vendor_completions.d/ebpfix.fish",
        ),
        (
            "-rw-r--r--",
            "usr/share/doc/ebpfix/examples/ebpfix.example.toml",
        ),
        ("-rw-r--r--", "usr/share/doc/ebpfix/changelog.gz"),
        ("-rw-r--r--", "usr/share/doc/ebpfix/changelog.Debian.gz"),
        ("-rw-r--r--", "usr/share/doc/ebpfix/copyright"),
    ] {
        let line = list
            .lines()
            .find(|line| line.ends_with(&format!(" ./{file}")));
        let line = line.unwrap_or_else(|| panic!("{file} is missing:\n{list}"));
        assert!(line.starts_with(mode), "{line}");
    }
    let conffiles = Command::new("dpkg-deb")
        .arg("-I")
        .arg(package)
        .arg("conffiles")
        .output();
    let conffiles = conffiles.expect("dpkg-deb").stdout;
    assert_eq!(
        String::from_utf8_lossy(&conffiles).trim(),
        "/etc/ebpfix/ebpfix.toml"
    );
}

/// Installed, verified, upgraded and erased in a root that has nothing but what the scripts call.
#[test]
fn rpm() {
    let packages = packages();
    let lab = Lab::new("rpm");
    let root = lab.folder().join("root");
    make_root(&root);
    let rpm = |arguments: &[&str], package: Option<&Path>| {
        let mut command = Command::new("rpm");
        command
            .arg("--root")
            .arg(&root)
            .args(arguments)
            .args(package);
        output(&mut command)
    };
    rpm(&["--initdb"], None);
    let empty = tree(&root);

    // What it needs is on this machine, of which this root has no database.
    let install = ["--nodeps", "--noplugins", "-i"];
    rpm(&install, Some(&packages.older_rpm));
    assert_eq!(
        rpm(&["-q", "--qf", "%{VERSION} %{VENDOR}", "ebpfix"], None),
        format!("{OLDER} {} <{}>", MAINTAINER.0, MAINTAINER.1)
    );
    assert_eq!(rpm(&["-V", "--nodeps", "ebpfix"], None), "");
    let group = fs::read_to_string(root.join("etc/group")).expect("groups");
    assert!(group.contains("ebpfix:"), "{group}");
    let modes = output(
        Command::new("chroot")
            .arg(&root)
            .args(["stat", "-c", "%U:%G %a"])
            .args([
                "/etc/ebpfix/ebpfix.toml",
                "/etc/ebpfix/conf.d",
                "/usr/sbin/ebpfix",
            ]),
    );
    assert_eq!(modes, "root:ebpfix 640\nroot:ebpfix 750\nroot:root 755\n");
    let configuration = root.join("etc/ebpfix/ebpfix.toml");
    let mine = "# The administrator's own.\n";
    fs::write(&configuration, mine).expect("to write a configuration");

    rpm(&["--nodeps", "--noplugins", "-U"], Some(&packages.rpm));
    assert_ne!(rpm(&["-q", "--qf", "%{VERSION}", "ebpfix"], None), OLDER);
    assert_eq!(
        fs::read_to_string(&configuration).expect("a configuration"),
        mine
    );
    // The program runs there.
    let said = output(
        Command::new("chroot")
            .arg(&root)
            .args(["/usr/sbin/ebpfix", "--version"]),
    );
    assert!(said.starts_with("ebpfix "), "{said}");

    rpm(&["--noplugins", "-e", "ebpfix"], None);
    // Saved by rpm, since it was changed.
    let saved = root.join("etc/ebpfix/ebpfix.toml.rpmsave");
    assert_eq!(
        fs::read_to_string(&saved).expect("a saved configuration"),
        mine
    );
    fs::remove_dir_all(root.join("etc/ebpfix")).expect("to remove what was saved");
    // The user stays, and the files that tell of users have copies and a lock.
    let of_users = [
        ".pwd.lock",
        "group-",
        "gshadow-",
        "passwd-",
        "shadow-",
        "subgid-",
        "subuid-",
    ];
    let mut left = tree(&root);
    left.retain(|file| !empty.contains(file) && !of_users.iter().any(|name| file.ends_with(name)));
    assert_eq!(left, BTreeSet::new());
}

/// What the scripts call, a program's libraries, and users.
fn make_root(root: &Path) {
    for name in ["bin", "sbin", "lib", "lib64"] {
        fs::create_dir_all(root.join("usr").join(name)).expect("to make a folder");
        symlink(Path::new("usr").join(name), root.join(name)).expect("to make a link");
    }
    let mut files = BTreeMap::new();
    for name in [
        "sh", "getent", "useradd", "mkdir", "rmdir", "chgrp", "chmod", "stat",
    ] {
        let program = vm::find_tool(name);
        vm::libraries(&program, &mut files);
        files.insert(program.clone(), program);
    }
    vm::libraries(&ebpfix_tests::ebpfix::binary(), &mut files);
    for (to, from) in files {
        let to = root.join(to.strip_prefix("/").expect("a path from the root"));
        fs::create_dir_all(to.parent().expect("a folder")).expect("to make a folder");
        fs::copy(&from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
    // What a distribution's own package of folders has.
    for folder in [
        "dev",
        "etc",
        "usr/lib/systemd/system",
        "usr/lib/sysusers.d",
        "usr/lib/tmpfiles.d",
        "usr/share/bash-completion/completions",
        "usr/share/doc",
        "usr/share/fish/vendor_completions.d",
        "usr/share/licenses",
        "usr/share/man/man5",
        "usr/share/man/man8",
        "usr/share/zsh/site-functions",
        "var/tmp",
    ] {
        fs::create_dir_all(root.join(folder)).expect("to make a folder");
    }
    // Takes what scripts throw away.
    fs::write(root.join("dev/null"), "").expect("to write a file");
    // As the tools of users expect it.
    let etc = root.join("etc");
    for (name, text) in [
        ("passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        ("group", "root:x:0:\n"),
        ("shadow", "root:*:20000::::::\n"),
        ("gshadow", "root:*::\n"),
        ("nsswitch.conf", "passwd: files\ngroup: files\n"),
    ] {
        fs::write(etc.join(name), text).expect("to write a file");
    }
}

/// Every file and folder below.
fn tree(root: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let path = entry.path();
            if entry.file_type().expect("a kind").is_dir() {
                folders.push(path.clone());
            }
            found.insert(path.strip_prefix(root).expect("a path below").to_owned());
        }
    }
    found
}

/// The packages of this build, and the same program as an older version.
struct Packages {
    deb: PathBuf,
    older_deb: PathBuf,
    rpm: PathBuf,
    older_rpm: PathBuf,
}

fn packages() -> &'static Packages {
    static PACKAGES: OnceLock<Packages> = OnceLock::new();
    PACKAGES.get_or_init(|| {
        let test = std::env::current_exe().expect("the path of this test");
        // target/debug/deps/install-0123456789abcdef
        let target = test.ancestors().nth(3).expect("the folder of the build");
        let start = Instant::now();
        let build = |kind: &str, version: Option<&str>| {
            let folder = target.join("install").join(version.unwrap_or("this"));
            let mut command = Command::new(project_root().join("packaging/build.sh"));
            command
                .arg(kind)
                .arg(&folder)
                .env("CARGO_TARGET_DIR", target)
                .env("DEBFULLNAME", MAINTAINER.0)
                .env("DEBEMAIL", MAINTAINER.1);
            if let Some(version) = version {
                command.env("EBPFIX_VERSION", version);
            }
            let said = output(&mut command);
            let path = said.lines().last().expect("the path of the package");
            PathBuf::from(path.trim())
        };
        let packages = Packages {
            deb: build("deb", None),
            older_deb: build("deb", Some(OLDER)),
            rpm: build("rpm", None),
            older_rpm: build("rpm", Some(OLDER)),
        };
        println!(
            "four packages built in {:.0} s",
            start.elapsed().as_secs_f32()
        );
        packages
    })
}

#[track_caller]
fn output(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not run ({error}): run `make setup`"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
