//! A whole Debian in a virtual machine: booted by its own systemd with Debian's kernel, from a disk that the
//! setup has made and that nothing changes. A test runs commands in it as root.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::project_root;
use crate::vm::{Kernel, Machine, find_tool, write_archive};

/// The series of the kernel.
const SERIES: &str = "6.1";
/// The release of Debian.
const RELEASE: &str = "bookworm";
/// Modules without which there is no disk, each after those that it needs.
const DISK_MODULES: [&str; 6] = [
    "virtio",
    "virtio_ring",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_blk",
];
/// Modules that the kernel finds when it wants them.
const MODULES: [&str; 3] = ["veth", "sch_ingress", "cls_bpf"];
/// Units that a machine without a screen, a user and a network has no use for.
const MASKED: [&str; 8] = [
    "getty@tty1.service",
    "serial-getty@ttyS0.service",
    "systemd-logind.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_reap.service",
    "systemd-update-utmp.service",
];
/// How long one command may take, emulated and giving way to other tests.
const COMMAND: Duration = Duration::from_mins(5);

/// The machine. It is switched off, and what happened on its disk is forgotten, when this is dropped.
#[derive(Debug)]
pub struct System {
    machine: Machine,
    agent: BufReader<UnixStream>,
    console: PathBuf,
    until: Instant,
}

/// What became of a command.
#[derive(Debug)]
pub struct Answer {
    /// The exit status.
    pub status: u32,
    /// All that it wrote.
    pub text: String,
}

impl System {
    /// Starts the machine with these files (where they are in it, and where they come from) added to its
    /// disk. Its own files are in `folder`. All that a test does with it has to be done within `limit`.
    ///
    /// # Panics
    /// If the setup has not made it, or if it does not start: with what it wrote to its console.
    pub fn start(files: &[(&str, PathBuf)], folder: &Path, limit: Duration) -> Self {
        let until = Instant::now() + limit;
        let kernel = Kernel::of_series(SERIES);
        let disk = kernel.beside("systems").join(format!("{RELEASE}.ext4"));
        assert!(
            disk.exists(),
            "there is no Debian in {}: run `make setup`",
            disk.display()
        );
        let archive = folder.join("start.cpio");
        write_files(&kernel, files, folder, &archive);

        let (console, socket) = (folder.join("console"), folder.join("agent"));
        let masks: Vec<String> = MASKED.map(|unit| format!("systemd.mask={unit}")).into();
        let line = format!(
            "console=ttyS0 quiet panic=-1 rw systemd.wants=agent.service systemd.show_status=false {}",
            masks.join(" ")
        );
        let drive = format!("file={},format=raw,if=virtio,snapshot=on", disk.display());
        let serial = [
            format!("file:{}", console.display()),
            format!("unix:{},server=on,wait=off", socket.display()),
        ];
        let devices = [
            "-drive", &drive, "-serial", &serial[0], "-serial", &serial[1],
        ];
        let machine = Machine::start(&kernel, &archive, &line, &devices);
        let agent = crate::wait_for("the machine's serial port", Duration::from_secs(30), || {
            UnixStream::connect(&socket).ok()
        });
        agent
            .set_read_timeout(Some(Duration::from_secs(1)))
            .expect("a timeout that is not zero");
        let mut system = Self {
            machine,
            agent: BufReader::new(agent),
            console,
            until,
        };
        let first = system.line("the start", COMMAND);
        assert_eq!(first, "ready", "what the agent says first");
        system
    }

    /// Runs this in a shell of the machine, as root.
    ///
    /// # Panics
    /// If it does not end in time: with what the machine wrote to its console.
    pub fn run(&mut self, command: &str) -> Answer {
        let port = self.agent.get_mut();
        write!(port, "{} {command}", command.len()).expect("to write to the serial port");
        let line = self.line(command, COMMAND);
        let mut numbers = line.split_whitespace().map(str::parse);
        let (Some(Ok(status)), Some(Ok(length))) = (numbers.next(), numbers.next()) else {
            panic!("{command}: the agent says {line:?}\n{}", self.last_words())
        };
        let text = self.octets(command, usize::try_from(length).expect("a length"), COMMAND);
        Answer {
            status,
            text: String::from_utf8_lossy(&text).into_owned(),
        }
    }

    /// The same, of a command that has to succeed; gives what it wrote.
    #[track_caller]
    pub fn success(&mut self, command: &str) -> String {
        let answer = self.run(command);
        assert_eq!(answer.status, 0, "{command}\n{}", answer.text);
        answer.text
    }

    /// Asks this until it succeeds.
    #[track_caller]
    pub fn wait(&mut self, command: &str) -> String {
        let until = Instant::now() + COMMAND;
        loop {
            let answer = self.run(command);
            if answer.status == 0 {
                return answer.text;
            }
            assert!(
                Instant::now() < until,
                "waited in vain: {command}\n{}\n{}",
                answer.text,
                self.last_words()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The next line from the agent.
    fn line(&mut self, what: &str, limit: Duration) -> String {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            line.extend(self.octets(what, 1, limit));
        }
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }

    /// So many octets from the agent.
    fn octets(&mut self, what: &str, length: usize, limit: Duration) -> Vec<u8> {
        let until = self.until.min(Instant::now() + limit);
        let mut octets = vec![0; length];
        let mut filled = 0;
        while filled < length {
            assert!(
                Instant::now() < until && self.machine.is_running(),
                "no end in time, or the machine is gone: {what}\n{}",
                self.last_words()
            );
            match self.agent.read(&mut octets[filled..]) {
                Ok(0) => std::thread::sleep(Duration::from_millis(50)),
                Ok(read) => filled += read,
                Err(error) => assert!(
                    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                    "{what}: {error}"
                ),
            }
        }
        octets
    }

    fn last_words(&self) -> String {
        let console = fs::read(&self.console).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        let lines: Vec<&str> = console.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

/// What the machine starts from: tests/system/init and what that needs, and the files of the test.
fn write_files(kernel: &Kernel, files: &[(&str, PathBuf)], folder: &Path, archive: &Path) {
    let own = |name: &str| project_root().join("tests/system").join(name);
    let order = folder.join("boot-modules");
    fs::write(&order, format!("{}\n", DISK_MODULES.join("\n"))).expect("to write a list");
    let mut all: BTreeMap<PathBuf, PathBuf> = [
        ("/init", own("init")),
        ("/bin/busybox", find_tool("busybox")),
        ("/boot-modules", order),
        ("/files/usr/local/bin/agent", own("agent")),
        (
            "/files/etc/systemd/system/agent.service",
            own("agent.service"),
        ),
    ]
    .map(|(to, from)| (PathBuf::from(to), from))
    .into();
    for module in DISK_MODULES.iter().chain(&MODULES) {
        let to = PathBuf::from(format!("/modules/{module}.ko"));
        all.insert(to, kernel.module(module));
    }
    for (to, from) in files {
        all.insert(PathBuf::from(format!("/files{to}")), from.clone());
    }
    write_archive(&all, &["/dev", "/proc", "/root"], archive)
        .unwrap_or_else(|error| panic!("{}: {error}", archive.display()));
}
