//! The first process of a virtual machine: see `ebpfix_tests::vm`. It counts traffic as the tests of
//! the host do, leaves the verdict to the test that started the machine, and switches it off.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use ebpfix::filter::KernelFilter;
use ebpfix::observe::{FetcherOptions, FlowFetcher, Sizes, boot_clock_ns, load_net};
use ebpfix::record::UnixTime;
use ebpfix_tests::frame::{self, Ipv4, protocol};
use ebpfix_tests::process::Program;
use ebpfix_tests::vm::{CAPTURE, FLOOD, MODULE_FOLDER, MODULES, REPORT, TUNNEL, TunnelTraffic};
use ebpfix_tests::{
    Collect, Ebpfix, Injector, Lab, Namespace, Process, Settings, VethOptions, traffic, vm,
    wait_for,
};
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::Signal;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime, clock_settime};
use serde_json::{Value, json};

const PORT: u16 = 4739;
/// Instructions of each filter that is tried, about.
const FILTER_INSTRUCTIONS: usize = 30_000;
/// Octets that wait at a socket.
const BUFFER: &str = "67108864";
const A: &str = "10.0.0.1";
const B: &str = "10.0.0.2";

fn main() {
    assert_eq!(
        std::process::id(),
        1,
        "this is the first process of a virtual machine: see tests/src/vm.rs"
    );
    mount_all();
    let mut report = Report::open();
    for module in MODULES {
        load_module(&Path::new(MODULE_FOLDER).join(format!("{module}.ko")));
    }
    // Emulated, a collector falls behind: it must not be the one that loses.
    for parameter in ["rmem_max", "rmem_default"] {
        fs::write(Path::new("/proc/sys/net/core").join(parameter), BUFFER)
            .expect("to set a kernel parameter");
    }
    report.line(&load());
    report.line(&filters());
    let auto = both_directions("auto");
    let kind = auto["status"]["interfaces"][0]["ingress"].clone();
    report.line(&auto);
    if kind != "clsact" {
        report.line(&both_directions("clsact"));
    }
    report.line(&tunnel());
    report.line(&succession());
    // Once is enough: clocks are the same in all of them.
    if release().starts_with(vm::CLOCKS) {
        report.line(&clocks());
    }
    report.line(&json!({ "what": "end" }));
    // Closing a serial port waits for what is in it.
    drop(report);
    let error = reboot(RebootMode::RB_POWER_OFF);
    panic!("the machine cannot be switched off: {error:?}");
}

struct Report(File);

impl Report {
    fn open() -> Self {
        let port = OpenOptions::new().write(true).open(REPORT);
        Self(port.expect("a second serial port"))
    }

    fn line(&mut self, value: &Value) {
        writeln!(self.0, "{value}").expect("to write to the serial port");
    }
}

fn mount_all() {
    for (kind, to) in [
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("devtmpfs", "/dev"),
        ("tmpfs", "/run"),
        ("tmpfs", "/tmp"),
        ("bpf", "/sys/fs/bpf"),
    ] {
        let done = mount(Some(kind), to, Some(kind), MsFlags::empty(), None::<&str>);
        // Some kernels mount /dev by themselves.
        assert!(done.is_ok() || to == "/dev", "mounting {to}: {done:?}");
    }
}

fn load_module(path: &Path) {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    finit_module(&file, c"", ModuleInitFlags::empty())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc")
}

/// Whether the verifier takes all four programs, and how long it thinks about them.
fn load() -> Value {
    let sizes = Sizes {
        cpus: 2,
        sets: 2048,
        log_records: 16_384,
    };
    let start = Instant::now();
    let loaded = load_net().and_then(|spec| {
        spec.load(
            sizes,
            Path::new("/sys/fs/bpf/guest"),
            &KernelFilter::default(),
        )
    });
    json!({
        "what": "load",
        "kernel": release().trim(),
        "milliseconds": u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        "error": loaded.err().map(|error| error.to_string()),
    })
}

/// Whether the verifier takes long filters in all four programs, and how long it thinks about them.
fn filters() -> Value {
    let options = FetcherOptions {
        pin_dir: "/sys/fs/bpf/guest".into(),
        ..FetcherOptions::default()
    };
    let mut fetcher = FlowFetcher::new(&options).expect("the programs load");
    let mut filters = Vec::new();
    for (what, filter) in ebpfix_tests::filters::long(FILTER_INSTRUCTIONS) {
        let start = Instant::now();
        let loaded = fetcher.set_filter(&filter);
        filters.push(json!({
            "what": what,
            "instructions": filter.instructions(),
            "milliseconds": u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            "error": loaded.err().map(|error| error.to_string()),
        }));
    }
    json!({ "what": "filters", "filters": filters })
}

/// The capture, the flood and the frames made by hand, from `a0` to `b0`, counted at both.
fn both_directions(attach: &str) -> Value {
    let mut lab = Lab::new(attach);
    let host = lab.namespace("host");
    lab.veth((&host, "a0"), (&host, "b0"), VethOptions::default());
    let settings = Settings::default()
        .observation("interfaces", r#"["a0", "b0"]"#)
        .observation("directions", r#"["ingress", "egress"]"#)
        .observation("attach", &format!("\"{attach}\""))
        .metering("duplicates", "\"keep\"");
    let observer = Observer::start(&lab, &host, settings);
    let helpers = helpers(&lab, &host);

    let replayed = traffic::replay(&lab, &host, "a0", Path::new(CAPTURE));
    let flood = FLOOD.send(&host, "a0");
    let frames = vm::frames();
    let injector = Injector::new(&host, "a0");
    for frame in &frames {
        injector.send(&frame.octets);
    }
    let sent = replayed.sent + flood.packets + u64::try_from(frames.len()).expect("some");
    observer.ebpfix.wait_observed(2 * sent);
    let mut found = observer.finish();
    let filters = ["a0", "b0"].map(|interface| {
        ["ingress", "egress"]
            .map(|direction| host.tc(&["filter", "show", "dev", interface, direction]))
    });
    found["what"] = attach.into();
    found["sent"] = json!({ "capture": replayed.sent, "refused": replayed.refused, "all": sent });
    found["helpers"] = json!(helpers);
    found["filters"] = filters.concat().concat().into();
    found
}

/// Datagrams through a tunnel, counted where they enter it and where they leave it.
fn tunnel() -> Value {
    let (lab, a, b) = Lab::pair("tunnel");
    for (host, interface, [mine, other], mac, inner) in [
        (&a, "a0", [A, B], "02:00:00:00:00:02", TunnelTraffic::SOURCE),
        (
            &b,
            "b0",
            [B, A],
            "02:00:00:00:00:01",
            TunnelTraffic::DESTINATION,
        ),
    ] {
        host.address(interface, &format!("{mine}/24"));
        host.neighbour(interface, other, mac);
        host.ip(&[
            "link", "add", "t0", "type", "ipip", "local", mine, "remote", other,
        ]);
        host.ip(&["link", "set", "t0", "up"]);
        host.address("t0", &format!("{inner}/24"));
    }
    let leaving = Observer::start(&lab, &a, Settings::new("t0", &["egress"]));
    let entering = Observer::start(&lab, &b, Settings::new("t0", &["ingress"]));
    let receiver = b.enter(|| {
        UdpSocket::bind((TunnelTraffic::DESTINATION, TunnelTraffic::PORT)).expect("a receiver")
    });
    let mut sent = 0;
    for flow in 0..TUNNEL.flows {
        let sender = a.enter(|| {
            UdpSocket::bind((TunnelTraffic::SOURCE, TUNNEL.source_port(flow))).expect("a sender")
        });
        sender
            .connect((TunnelTraffic::DESTINATION, TunnelTraffic::PORT))
            .expect("a route");
        let payload = vec![0; usize::from(TUNNEL.payload(flow))];
        for _ in 0..TUNNEL.datagrams {
            sender.send(&payload).expect("to send");
            sent += 1;
        }
    }
    leaving.ebpfix.wait_observed(sent);
    entering.ebpfix.wait_observed(sent);
    drop(receiver);
    json!({
        "what": "tunnel",
        "sent": sent,
        "leaving": leaving.finish(),
        "entering": entering.finish(),
    })
}

/// The exporter is killed between two floods; another goes on after them.
fn succession() -> Value {
    let mut lab = Lab::new("succession");
    let host = lab.namespace("host");
    lab.veth((&host, "a0"), (&host, "b0"), VethOptions::default());
    let settings = Settings::new("b0", &["ingress"]).collector(PORT, "ipfix");
    let first = Ebpfix::start(&lab, &host, &settings);
    let before = FLOOD.send(&host, "a0");
    first.wait_observed(before.packets);
    let left = first.kill();
    let between = FLOOD.send(&host, "a0");
    let second = left.start(&lab);
    second.wait_taken_over();
    let status = second.status();
    let _ = second.stop();
    json!({
        "what": "succession",
        "sent": before.packets + between.packets,
        "status": status,
    })
}

/// Flows while the time of day is set forth and back, and while the machine sleeps.
fn clocks() -> Value {
    let mut lab = Lab::new("clocks");
    let host = lab.namespace("host");
    lab.veth((&host, "a0"), (&host, "b0"), VethOptions::default());
    let settings = |idle: &str| {
        Settings::new("b0", &["ingress"])
            .metering("active-timeout", "\"10m\"")
            .metering("idle-timeout", idle)
            .observation("drain-interval", "\"200ms\"")
            .collector(PORT, "ipfix")
            .collector(PORT + 1, "netflow-v9")
    };
    let collectors = [PORT, PORT + 1].map(|port| Collect::start(&lab, &host, port));
    let ebpfix = Ebpfix::start(&lab, &host, &settings("\"2s\""));
    let mut flows = Flows {
        injector: Injector::new(&host, "a0"),
        ebpfix: &ebpfix,
        sent: Vec::new(),
    };
    flows.send("before", || ());
    flows.send("an hour forth", || step(3600));
    flows.send("after an hour forth", || ());
    flows.send("two hours back", || step(-7200));
    flows.send("after two hours back", || ());
    step(3600);
    // Longer than the machine sleeps.
    ebpfix.reload(&settings("\"20s\""));
    let mut slept = Value::Null;
    flows.begin("a suspend", || slept = suspend());
    // Until the second packet is where the timeout is looked at.
    pause(1_500);
    ebpfix.reload(&settings("\"2s\""));
    flows.wait();
    flows.send("after a suspend", || ());
    let sent = flows.sent;
    let ledger = ebpfix.ledger();
    let done = ebpfix.stop();
    let [ipfix, version9] = collectors.map(|collect| collect.stop().0);
    json!({
        "what": "clocks",
        "sent": sent,
        "slept": slept,
        "observed": ledger.observed.packets,
        "exported": ledger.exported.packets,
        "errors": done.stderr.contains("ERROR"),
        "ipfix": ipfix,
        "netflow-v9": version9,
    })
}

/// Flows of two packets each, one after the other.
struct Flows<'a> {
    injector: Injector,
    ebpfix: &'a Ebpfix,
    sent: Vec<Value>,
}

impl Flows<'_> {
    /// A packet, what happens then, another packet; and waits until the flow is exported.
    fn send(&mut self, what: &str, between: impl FnOnce()) {
        self.begin(what, between);
        self.wait();
    }

    fn begin(&mut self, what: &str, between: impl FnOnce()) {
        let port = u16::try_from(self.sent.len()).expect("a few") + 1;
        let datagram = Ipv4::new([192, 0, 2, 1], [192, 0, 2, 2], protocol::UDP);
        let datagram = frame::ethernet(
            frame::IPV4,
            &datagram.packet(&frame::udp(port, 9, b"clock")),
        );
        let send = || {
            let before = boot_clock_ns();
            self.injector.send(&datagram);
            [before, boot_clock_ns()]
        };
        let start = send();
        pause(300);
        between();
        pause(300);
        let end = send();
        self.sent
            .push(json!({ "what": what, "port": port, "start": start, "end": end }));
    }

    /// Waits until all that was sent is exported, and notes of the last flow what time of day it has.
    fn wait(&mut self) {
        let packets = 2 * u64::try_from(self.sent.len()).expect("a few");
        wait_for("the flow is exported", Duration::from_secs(20), || {
            (self.ebpfix.ledger().exported.packets == packets).then_some(())
        });
        let (now, boot) = (SystemTime::now(), boot_clock_ns());
        let flow = self.sent.last_mut().expect("a flow");
        let waited = boot - flow["end"][1].as_u64().expect("a time");
        flow["waited_ms"] = (waited / 1_000_000).into();
        for (key, side) in [("start", 0), ("start", 1), ("end", 0), ("end", 1)] {
            let ago = boot - flow[key][side].as_u64().expect("a time");
            let time = UnixTime::from(now).saturating_sub_ns(ago);
            flow[key][side] = time.millis().into();
        }
    }
}

fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// Sets the time of day.
fn step(seconds: i64) {
    let clock = ClockId::CLOCK_REALTIME;
    let now = clock_gettime(clock).expect("the time of day");
    let then = TimeSpec::new(now.tv_sec() + seconds, now.tv_nsec());
    clock_settime(clock, then).expect("to set the time of day");
}

/// Sends the machine to sleep, to be woken by its clock; says how, and by how much the boot clock went
/// on while the monotonic one stood still.
fn suspend() -> Value {
    let offset = || {
        let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
        let monotonic = Duration::from(monotonic);
        Duration::from_nanos(boot_clock_ns()).saturating_sub(monotonic)
    };
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let before = offset();
    let alarm = fs::write("/sys/class/rtc/rtc0/wakealarm", "+4");
    let result = fs::write("/sys/power/state", "mem");
    json!({
        "mem_sleep": read("/sys/power/mem_sleep").trim(),
        "alarm": format!("{alarm:?}"),
        "result": format!("{result:?}"),
        "milliseconds": u64::try_from(offset().saturating_sub(before).as_millis()).unwrap_or(u64::MAX),
    })
}

/// An ebpfix and its collector.
struct Observer {
    ebpfix: Ebpfix,
    collector: Process,
    host: Namespace,
}

impl Observer {
    fn start(lab: &Lab, host: &Namespace, settings: Settings) -> Self {
        let collector = Program::new(ebpfix_tests::ebpfix::binary())
            .args(["collect", "--format", "json", "--listen"])
            .arg(format!("127.0.0.1:{PORT}"));
        let collector = lab.start(host, &collector);
        host.wait_for_udp(PORT);
        // What the verifier says is in the log of this level.
        let settings = settings
            .collector(PORT, "ipfix")
            .table("[log]\nlevel = \"debug\"");
        Self {
            ebpfix: Ebpfix::start(lab, host, &settings),
            collector,
            host: host.clone(),
        }
    }

    /// Ends both. `status` is that of before the end.
    fn finish(self) -> Value {
        let status = self.ebpfix.status();
        let done = self.ebpfix.stop();
        self.host.wait_until_read(PORT);
        let collected = self
            .collector
            .stop(Signal::SIGTERM, Duration::from_secs(30))
            .success();
        let ended = done.stderr.lines().find(|line| line.contains("balanced="));
        json!({
            "status": status,
            "ended": ended,
            "flows": sum(&collected.stdout),
        })
    }
}

/// The records of each flow at each interface and direction in one line, as short as may be: the
/// serial port is slow.
fn sum(lines: &str) -> Vec<Value> {
    let mut flows: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for line in lines.lines() {
        let flow: Value = serde_json::from_str(line).expect("a line of JSON");
        let key = [
            "interface",
            "direction",
            "src",
            "dst",
            "proto",
            "sport",
            "dport",
        ]
        .map(|name| flow[name].clone());
        let total = flows.entry(json!(key).to_string()).or_default();
        total.0 += flow["packets"].as_u64().expect("packets");
        total.1 += flow["bytes"].as_u64().expect("octets");
    }
    flows
        .into_iter()
        .map(|(key, (packets, octets))| {
            let mut flow: Vec<Value> = serde_json::from_str(&key).expect("what was written above");
            flow.extend([packets.into(), octets.into()]);
            flow.into()
        })
        .collect()
}

/// What a program calls, as the kernel has it.
fn helpers(lab: &Lab, host: &Namespace) -> BTreeSet<String> {
    let dump = Program::new("bpftool").args(["prog", "dump", "xlated", "name", "ingress_flow_pa"]);
    let done = lab.run(host, &dump, Duration::from_secs(20)).success();
    let calls = done
        .stdout
        .lines()
        .filter_map(|line| line.split_once(" call "));
    calls
        .filter_map(|(_, call)| call.split('#').next())
        .map(str::to_owned)
        .collect()
}
