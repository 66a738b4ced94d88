//! The system has no more to give: no room on a disk, no descriptors, no memory. The exporter goes on,
//! or ends with one clear line and leaves the next one all that it needs to account for it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ebpfix_tests::ebpfix::binary;
use ebpfix_tests::process::Program;
use ebpfix_tests::{
    Collect, Count, Ebpfix, Finished, Lab, Namespace, Nfcapd, Process, Settings, VethOptions,
    alone, send_datagrams, wait_for,
};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{PORT, SOON, during, flood, pause, settings};

/// A classic BPF program of one instruction, which returns `TC_ACT_UNSPEC`: the chain goes on.
const GOES_ON: &str = "1,6 0 0 4294967295";

/// A file system of this many octets; it goes with its owner.
struct Disk(PathBuf);

impl Disk {
    fn new(lab: &Lab, octets: usize) -> Self {
        let path = lab.folder().join("disk");
        fs::create_dir(&path).expect("a folder to mount on");
        let options = format!("size={octets}");
        let kind = Some("tmpfs");
        mount(kind, &path, kind, MsFlags::empty(), Some(options.as_str()))
            .unwrap_or_else(|error| panic!("mounting a tmpfs: {error}"));
        Self(path)
    }

    /// Gives it more room.
    fn grow(&self, octets: usize) {
        let options = format!("size={octets}");
        let none = None::<&str>;
        mount(
            none,
            &self.0,
            none,
            MsFlags::MS_REMOUNT,
            Some(options.as_str()),
        )
        .unwrap_or_else(|error| panic!("mounting it again: {error}"));
    }

    /// A file that takes all the room there is.
    fn fill(&self) {
        let mut file = File::create(self.0.join("fill")).expect("a file");
        let full = loop {
            if let Err(error) = file.write_all(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::StorageFull, "{full}");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// The disk of `ebpfix collect --write` is full, and has room again: flows are printed all the while,
/// the file is whole, and what is not in it is said to the record.
#[test]
fn a_full_disk_of_the_collector_costs_what_does_not_fit() {
    let (lab, a, b) = Lab::pair("disk");
    let disk = Disk::new(&lab, 32 << 10);
    let file = disk.0.join("flows.ipfix");
    let name = file.to_string_lossy().into_owned();
    let collect = Collect::start_with(&lab, &b, PORT, &["--write", &name]);
    let ebpfix = Ebpfix::start(&lab, &b, &settings().collector(PORT, "ipfix"));
    let mut expected = 0;
    let mut send = |datagrams: u16| {
        send_datagrams(&a, "a0", datagrams);
        expected += u64::from(datagrams);
        let _ = ebpfix.wait_settled(expected);
    };
    let said = |what: &str| {
        let what = what.to_owned();
        wait_for(&what.clone(), SOON, || {
            collect.process().stderr().contains(&what).then_some(())
        });
    };
    send(20);
    // A record takes some hundred octets with what goes with it.
    send(2_000);
    said("cannot write: flows are not stored until this works again");
    send(10);
    disk.grow(8 << 20);
    // Two, for the first may have been on its way.
    send(10);
    pause(1_100);
    send(10);
    said("flows are stored again");
    let _ = ebpfix.stop();
    let (printed, done) = collect.stop();
    assert_eq!(printed.len() as u64, expected, "{}", done.stderr);
    assert_eq!(
        done.stderr.matches("cannot write").count(),
        1,
        "{}",
        done.stderr
    );
    let after = |label: &str| -> u64 {
        let rest = done.stderr.rsplit_once(label).map(|(_, rest)| rest);
        let word = rest.and_then(|rest| rest.split_whitespace().next());
        word.and_then(|word| word.trim_end_matches(',').parse().ok())
            .unwrap_or_else(|| panic!("no '{label}': {}", done.stderr))
    };
    let program = Program::new(binary()).args(["collect", "--format", "json", &name]);
    let read = lab.run(&b, &program, SOON).success();
    let stored = read.stdout.lines().count() as u64;
    // Of each message there is a record with its details, and options are stored too.
    assert!(stored < expected && stored >= 40, "{stored} of {expected}");
    assert!(
        after("not stored: ") >= expected - stored,
        "{}",
        done.stderr
    );
    assert!(after("stored: ") >= stored, "{}", done.stderr);
    assert!(!read.stderr.contains("garbage: 1"), "{}", read.stderr);
}

/// Log lines that find no room are no reason to end: not at the start, not at the end, not in between.
#[test]
fn a_full_disk_of_the_log_stops_nobody() {
    let (lab, a, b) = Lab::pair("full log");
    let disk = Disk::new(&lab, 16 << 10);
    disk.fill();
    let log = disk.0.join("log");
    File::create(&log).expect("a file that is empty");
    for to in [Path::new("/dev/full"), &log] {
        let nfcapd = Nfcapd::start(&lab, &b, PORT);
        let settings = settings().collector(PORT, "ipfix");
        let ebpfix = Ebpfix::launch_as(&lab, &b, &settings, |program| program.stderr(to)).ready();
        send_datagrams(&a, "a0", 50);
        let _ = ebpfix.wait_observed(50);
        // The log has something to say to each of these.
        fs::write(
            ebpfix.config(),
            settings.text(&lab.folder().join("x"), ebpfix.pin_dir()) + "?",
        )
        .unwrap();
        ebpfix.process().signal(Signal::SIGHUP);
        pause(200);
        ebpfix.configure(&settings);
        ebpfix.process().signal(Signal::SIGHUP);
        lab.veth((&a, "a1"), (&b, "b1"), VethOptions::default());
        b.ip(&["link", "del", "b1"]);
        send_datagrams(&a, "a0", 50);
        let ledger = ebpfix.wait_settled(100);
        assert_eq!(ledger.observed.packets, 100, "{ledger:?}");
        assert_eq!(ledger.lost_in_all(), Count::default(), "{ledger:?}");
        let left = ebpfix.stop();
        assert_eq!(left.code(), Some(0), "{}: {left:?}", to.display());
        let collected = nfcapd.stop();
        assert_eq!(collected.packets, 100, "{}", collected.log);
        fs::remove_dir_all(&collected.folder).expect("nfcapd's files");
    }
    // And a failure has its status, though nobody can be told.
    for (arguments, status) in [
        (["run", "--config", "/nonexistent"], 78),
        (["status", "--config", "/nonexistent"], 78),
        (["collect", "--listen", "192.0.2.99:1"], 1),
    ] {
        let program = Program::new(binary()).args(arguments).stderr("/dev/full");
        let done = lab.run(&b, &program, SOON);
        assert_eq!(done.code(), Some(status), "{arguments:?}");
    }
}

/// How a start with too little of something came out.
enum Started {
    /// It runs, and answers.
    Answers(Ebpfix),
    /// It runs, but has nothing to answer with.
    Silent(Ebpfix),
    /// It ended.
    Ended(Finished),
}

/// Starts it with a limit, an option of prlimit. Wherever it ends by itself nothing is left of it.
fn start_limited(lab: &Lab, b: &Namespace, settings: &Settings, limit: &str) -> Started {
    let mut ebpfix = Ebpfix::launch_as(lab, b, settings, |program| program.limited(limit));
    let runs = wait_for("it ends or observes", SOON, || {
        let runs = ebpfix.process_mut().is_running();
        let observes = ebpfix.process().stderr().contains("observing");
        (!runs || observes).then_some(runs)
    });
    if runs {
        return match ebpfix.try_status() {
            Some(_) => Started::Answers(ebpfix),
            None => Started::Silent(ebpfix),
        };
    }
    let pins = ebpfix.pin_dir().to_owned();
    let done = ebpfix.wait(SOON);
    assert!(!done.stderr.contains("panicked"), "{limit}: {done:?}");
    if done.code() == Some(1) {
        let last = done.stderr.trim_end().lines().next_back();
        let last = last.unwrap_or_default();
        assert!(last.starts_with("ebpfix: "), "{limit}: {done:?}");
        eprintln!("{limit}: {last}");
    }
    if done.code().is_some() {
        assert_nothing_left(b, &pins);
    }
    Started::Ended(done)
}

#[track_caller]
fn assert_nothing_left(b: &Namespace, pins: &Path) {
    let left: Vec<_> = fs::read_dir(pins).into_iter().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    for direction in ["ingress", "egress"] {
        let filters = b.tc(&["filter", "show", "dev", "b0", direction]);
        assert_eq!(filters.trim(), "");
    }
}

/// With a few descriptors more at each attempt: every start that fails says why in one line and leaves
/// nothing, until one has enough, and counts.
#[test]
fn a_start_without_descriptors_fails_with_a_reason() {
    let _alone = alone();
    for attach in ["tcx", "clsact"] {
        let (lab, a, b) = Lab::pair("no descriptors");
        let settings = settings()
            .observation("attach", &format!("\"{attach}\""))
            .collector(PORT, "ipfix");
        let mut failures = 0;
        let works = (8..100).step_by(3).find_map(|descriptors| {
            let limit = format!("--nofile={descriptors}");
            match start_limited(&lab, &b, &settings, &limit) {
                Started::Answers(ebpfix) => return Some((ebpfix, limit)),
                Started::Silent(ebpfix) => {
                    let pins = ebpfix.pin_dir().to_owned();
                    let _ = ebpfix.stop();
                    assert_nothing_left(&b, &pins);
                }
                Started::Ended(done) => {
                    assert_eq!(done.code(), Some(1), "{limit}: {done:?}");
                    let reason = "Too many open files";
                    assert!(done.stderr.contains(reason), "{limit}: {done:?}");
                    failures += 1;
                }
            }
            None
        });
        let (ebpfix, limit) = works.expect("it starts with 99 descriptors");
        eprintln!("{attach}: {failures} starts failed; it runs with {limit}");
        assert!(failures > 3, "nothing was tested");
        send_datagrams(&a, "a0", 10);
        assert_eq!(ebpfix.wait_observed(10).observed.packets, 10);
        let _ = ebpfix.stop();
    }
}

/// The descriptors run out while it runs and others ask and change things: packets are counted and
/// exported all the same, nothing is taken for lost that is still attached, and when there are
/// descriptors again all is as it should be.
#[test]
fn without_descriptors_packets_are_counted_all_the_same() {
    let _alone = alone();
    for attach in ["tcx", "clsact"] {
        let (lab, a, b) = Lab::pair("descriptors run out");
        let nfcapd = Nfcapd::start(&lab, &b, PORT);
        let settings = Settings::new("b*", &["ingress", "egress"])
            .metering("active-timeout", "\"1s\"")
            .metering("idle-timeout", "\"500ms\"")
            .observation("attach", &format!("\"{attach}\""))
            .collector(PORT, "ipfix");
        let ebpfix = Ebpfix::start(&lab, &b, &settings);
        let socket = socket_of(&ebpfix);
        let (sent, ()) = during(flood(240_000), &a, || {
            pause(500);
            let before = ebpfix.ledger();
            let open = ebpfix.process().descriptors();
            // Not one more than it has.
            ebpfix.process().limit(&format!("--nofile={open}:4096"));
            let clients: Vec<_> = (0..40).map(|_| UnixStream::connect(&socket)).collect();
            // A new interface has no descriptor; a filter of somebody else is news of all filters.
            lab.veth((&a, "a1"), (&b, "b1"), VethOptions::default());
            b.tc(&["qdisc", "replace", "dev", "b0", "clsact"]);
            b.tc(&[
                "filter",
                "add",
                "dev",
                "b0",
                "ingress",
                "pref",
                "99",
                "protocol",
                "all",
                "bpf",
                "direct-action",
                "bytecode",
                GOES_ON,
            ]);
            // It looks at all programs every five seconds.
            pause(5_500);
            drop(clients);
            ebpfix.process().limit("--nofile=4096:4096");
            let after = wait_for("it answers again", SOON, || ebpfix.try_status());
            let after = ebpfix_tests::Ledger::from_json(&after["ledger"]);
            after.assert_balanced();
            assert!(
                after.observed.packets > before.observed.packets + 80_000,
                "{after:?}"
            );
            assert!(
                after.exported.packets > before.exported.packets + 50_000,
                "{after:?}"
            );
            wait_for("the new interface is observed", SOON, || {
                interface(&ebpfix, "b1").is_object().then_some(())
            });
        });
        assert_eq!(interface(&ebpfix, "b0")["reattached"], 0, "{attach}");
        let ledger = ebpfix.wait_settled(sent.packets);
        crate::assert_observed(&ledger, sent);
        assert_eq!(
            ledger.lost_in_all(),
            Count::default(),
            "{attach}: {ledger:?}"
        );
        // And at the end, when it has none left: the filters come off.
        let open = ebpfix.process().descriptors();
        ebpfix.process().limit(&format!("--nofile={open}:4096"));
        let stderr = ebpfix.stop().stderr;
        assert!(
            !stderr.contains("somebody took the program off"),
            "{stderr}"
        );
        // Each time that a client gives up there is room for one.
        let accepting = stderr
            .matches("cannot accept on the control socket")
            .count();
        assert!((1..8).contains(&accepting), "{stderr}");
        for direction in ["ingress", "egress"] {
            let left = b.tc(&["filter", "show", "dev", "b0", direction]);
            assert!(!left.contains("flow_parse"), "{attach}: {left}");
        }
        assert_eq!(nfcapd.stop().packets, sent.packets, "{attach}");
    }
}

/// What `status` says of an interface; null where it is not observed.
fn interface(ebpfix: &Ebpfix, name: &str) -> Value {
    let status = ebpfix.status();
    let found = status["interfaces"]
        .as_array()
        .and_then(|all| all.iter().find(|interface| interface["name"] == name));
    found.cloned().unwrap_or(Value::Null)
}

fn socket_of(ebpfix: &Ebpfix) -> PathBuf {
    let text = fs::read_to_string(ebpfix.config()).expect("the configuration");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("run-dir = "));
    let folder = line.expect("a run-dir").trim_matches('"');
    Path::new(folder).join("control.sock")
}

/// Too little address space for the tables, or for the program at all: the start fails with a reason,
/// and leaves nothing.
#[test]
fn a_start_without_memory_fails_with_a_reason() {
    let (lab, a, b) = Lab::pair("no memory");
    let settings = settings().collector(PORT, "ipfix");
    let mut reasons = 0;
    let megabytes = (8_u64..80).step_by(6).chain([100, 200, 500, 1_000]);
    let works = megabytes.into_iter().find_map(|megabytes| {
        // The soft limit alone, so that it can be taken off again.
        let limit = format!("--as={}:", megabytes << 20);
        match start_limited(&lab, &b, &settings, &limit) {
            Started::Answers(ebpfix) => return Some((ebpfix, megabytes)),
            Started::Silent(ebpfix) => {
                // Unless it has died by itself meanwhile.
                ebpfix.process().signal(Signal::SIGKILL);
                let _ = ebpfix.ended(SOON);
            }
            Started::Ended(done) => {
                // The system ends a program that it cannot even load; Rust's allocator aborts, and says
                // for how many octets; what loads programs has a status of its own.
                let unloadable = [Signal::SIGSEGV, Signal::SIGKILL].map(|signal| signal as i32);
                let aborted = done.signal() == Some(Signal::SIGABRT as i32);
                if !done.signal().is_some_and(|it| unloadable.contains(&it)) {
                    assert!(aborted || matches!(done.code(), Some(1 | 127)), "{done:?}");
                    assert!(!done.stderr.trim().is_empty(), "{limit}: no reason");
                }
                reasons += u64::from(done.code() == Some(1));
            }
        }
        None
    });
    let (ebpfix, megabytes) = works.expect("it starts with 1 GB");
    eprintln!("{reasons} starts failed with a reason; it runs in {megabytes} MB");
    assert!(reasons > 0, "nothing was tested");
    // That it starts says nothing of what else it may need.
    ebpfix.process().limit("--as=unlimited");
    send_datagrams(&a, "a0", 10);
    assert_eq!(ebpfix.wait_observed(10).observed.packets, 10);
    let _ = ebpfix.stop();
}

/// The memory limit is reached while it runs: by the flows that it holds, of which there may be any
/// number. It dies of it, and the next one knows what died with it, to the packet.
#[test]
fn an_exporter_that_dies_for_want_of_memory_is_accounted_for() {
    let _alone = alone();
    let (lab, a, b) = Lab::pair("memory runs out");
    let nfcapd = Nfcapd::start(&lab, &b, PORT);
    let settings = Settings::new("b0", &["ingress"])
        .metering("active-timeout", "\"1h\"")
        .metering("idle-timeout", "\"1h\"")
        .metering("max-flows", "2000000")
        .collector(PORT, "ipfix");
    let group = MemoryGroup::new(&lab);
    let ebpfix = Ebpfix::start(&lab, &b, &settings);
    let flood = ebpfix_tests::Flood {
        packets: 600_000,
        flows: 600_000,
        order: ebpfix_tests::inject::Order::RoundRobin,
        threads: 1,
    };
    let mut ebpfix = ebpfix;
    match &group {
        Some(group) => group.confine(ebpfix.process(), 48 << 20),
        None => ebpfix.process().limit(&format!(
            "--as={}",
            address_space(ebpfix.process()) + (8 << 20)
        )),
    }
    let sent = flood.send_at(100_000.0, &a, "a0");
    wait_for("it dies", SOON, || {
        (!ebpfix.process_mut().is_running()).then_some(())
    });
    let (left, done) = ebpfix.ended(SOON);
    let killed = [Signal::SIGKILL as i32, Signal::SIGABRT as i32];
    assert!(
        done.signal().is_some_and(|signal| killed.contains(&signal)),
        "{done:?}"
    );
    eprintln!(
        "{}: {:?}",
        if group.is_some() {
            "by its group"
        } else {
            "by its address space"
        },
        done.status
    );
    drop(group);
    let quick = crate::settings()
        .metering("max-flows", "2000000")
        .collector(PORT, "ipfix");
    let next = left.start_with(&lab, &quick);
    let kernel = next.wait_taken_over();
    assert_eq!(kernel["crashes"], 1, "{kernel}");
    let ledger = next.wait_settled(sent.packets);
    crate::assert_observed(&ledger, sent);
    let lost = ledger.lost_by("crash");
    assert!(lost.packets > 10_000, "{ledger:?}");
    let full = ledger.lost_by("log_full");
    assert_eq!(
        ledger.lost_in_all().packets,
        lost.packets + full.packets,
        "{ledger:?}"
    );
    let _ = next.stop();
    assert_eq!(nfcapd.stop().packets, ledger.exported.packets, "{ledger:?}");
}

/// Octets of address space.
fn address_space(process: &Process) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/statm", process.id())).expect("statm");
    let pages: u64 = text
        .split(' ')
        .next()
        .and_then(|word| word.parse().ok())
        .expect("pages");
    pages * 4096
}

/// A control group with a limit on memory; it goes with its owner.
struct MemoryGroup {
    path: PathBuf,
    limit: &'static str,
}

impl MemoryGroup {
    /// By version 2 or 1, whichever gives such groups here.
    fn new(lab: &Lab) -> Option<Self> {
        let name = lab.folder().file_name().expect("a name").to_owned();
        for (root, limit) in [
            ("/sys/fs/cgroup", "memory.max"),
            ("/sys/fs/cgroup/unified", "memory.max"),
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ] {
            let path = Path::new(root).join(&name);
            if fs::create_dir(&path).is_err() {
                continue;
            }
            let group = Self { path, limit };
            if group.path.join(limit).exists() {
                return Some(group);
            }
        }
        None
    }

    fn confine(&self, process: &Process, octets: u64) {
        let write = |file: &str, text: String| {
            let path = self.path.join(file);
            let mut file = OpenOptions::new()
                .write(true)
                .open(&path)
                .expect("a control file");
            file.write_all(text.as_bytes())
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        };
        write("cgroup.procs", process.id().to_string());
        write(self.limit, octets.to_string());
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // What was in it has to be gone first.
        for _ in 0..50 {
            if fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
