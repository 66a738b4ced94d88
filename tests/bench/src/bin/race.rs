//! A race: ebpfix and other flow exporters on the same work, one after the other, several rounds, one
//! table for each work.
//!
//! As root, with softflowd, pmacct, fprobe and tcpreplay installed. Each exporter observes an
//! interface at which the kernel itself produces the packets (see [`Blast`]), or which captures are
//! replayed to, and tells an nfcapd on the loopback. What the stream takes longer than without an
//! exporter is what the router feels.

#![allow(clippy::cast_precision_loss, reason = "figures to read")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;
use ebpfix::observe::Direction;
use ebpfix_bench::figures::{least, median};
use ebpfix_bench::{
    Account, Blast, BpfStats, Flows, Frames, attach_tcx, binary, load_empty, prepare,
};
use ebpfix_tests::process::Program;
use ebpfix_tests::{Lab, Namespace, Nfcapd, Process, VethOptions, oracle, shared, wait_for};
use nix::sys::signal::Signal;

const INTERFACE: &str = "b0";
const PORT: u16 = 9001;

/// Flow exporters on the same work, one table for each work.
#[derive(Parser)]
struct Arguments {
    /// What they have to do
    #[arg(long, value_delimiter = ',', value_name = "NAME,...", default_values_t = names(&WORKS))]
    works: Vec<String>,
    /// Who takes part; the first two are what the others are measured by
    #[arg(long, value_delimiter = ',', value_name = "NAME,...", default_values_t = names(&RUNNERS))]
    runners: Vec<String>,
    /// Packets of each run, about
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    packets: u32,
    /// Rounds: in each everybody runs once
    #[arg(long, default_value_t = 3, value_name = "N")]
    rounds: u32,
}

/// What there is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Work {
    /// Packets from the generator in the kernel.
    Generated(Flows, Frames),
    /// Captures, over and over.
    Captures,
}

const WORKS: [(&str, Work); 8] = [
    ("1", Work::Generated(Flows::Uniform(1), Frames::Ipv4)),
    ("1k", Work::Generated(Flows::Uniform(1_000), Frames::Ipv4)),
    ("16k", Work::Generated(Flows::Uniform(16_000), Frames::Ipv4)),
    (
        "256k",
        Work::Generated(Flows::Uniform(256_000), Frames::Ipv4),
    ),
    (
        "1m",
        Work::Generated(Flows::Uniform(1_000_000), Frames::Ipv4),
    ),
    ("zipf-256k", Work::Generated(Flows::Zipf(18), Frames::Ipv4)),
    ("syn", Work::Generated(Flows::New, Frames::Syn)),
    ("captures", Work::Captures),
];

/// The captures that are replayed.
const CAPTURES: [&str; 7] = [
    "ndpi-gnutella",
    "ndpi-http_ipv6",
    "ndpi-netflix",
    "ndpi-synscan",
    "ndpi-vxlan",
    "zeek-echo-connections",
    "zeek-http-qinq",
];

fn main() {
    let arguments = Arguments::parse();
    let works: Vec<_> = arguments
        .works
        .iter()
        .map(|name| named(&WORKS, name))
        .collect();
    let runners: Vec<_> = arguments
        .runners
        .iter()
        .map(|name| named(&RUNNERS, name).1)
        .collect();
    let rounds = arguments.rounds.max(1);
    println!(
        "{rounds} rounds in turns. The stream's nanoseconds are the receiving side's CPU, with captures \
         the time that the sender takes; the least, and behind the stroke the median. Slow-down: \
         median of what the stream takes longer than without an exporter in the same round. Losses, \
         memory and flows: of the worst round."
    );
    for (name, work) in works {
        let stream = Stream::new(work, arguments.packets);
        let mut results: Vec<Vec<Outcome>> = vec![Vec::new(); runners.len()];
        for round in 1..=rounds {
            for (runner, results) in runners.iter().zip(&mut results) {
                eprintln!("{name}, round {round}: {}", runner.title());
                results.push(run(*runner, &stream));
            }
        }
        print_table(name, &stream, &runners, &results);
    }
}

fn names<T>(all: &[(&'static str, T)]) -> Vec<String> {
    all.iter().map(|(name, _)| (*name).to_owned()).collect()
}

fn named<T: Copy>(all: &[(&'static str, T)], name: &str) -> (&'static str, T) {
    let found = all.iter().find(|(known, _)| *known == name);
    *found.unwrap_or_else(|| panic!("'{name}' is none of {}", names(all).join(", ")))
}

/// Packets on their way.
struct Stream {
    work: Work,
    /// Frames that are sent.
    frames: u32,
    /// IP packets among them.
    packets: u64,
    captures: Vec<PathBuf>,
    loops: u32,
}

impl Stream {
    fn new(work: Work, packets: u32) -> Self {
        let mut stream = Self {
            work,
            frames: packets,
            packets: u64::from(packets),
            captures: Vec::new(),
            loops: 1,
        };
        if work == Work::Captures {
            stream.captures = CAPTURES
                .map(|name| shared(&format!("pcaps/{name}.pcap")))
                .into();
            let sums = stream.captures.iter().map(|capture| oracle::sum(capture));
            let (mut frames, mut ip) = (0, 0);
            for sum in sums {
                frames += sum["frames"].as_u64().expect("a number");
                ip += sum["ip_frames"].as_u64().expect("a number");
            }
            let frames = u32::try_from(frames).expect("small captures");
            stream.loops = packets.div_ceil(frames).max(1);
            stream.frames = frames * stream.loops;
            stream.packets = ip * u64::from(stream.loops);
        }
        stream
    }

    /// Sends all of it; returns nanoseconds per frame: of CPU on the receiving side where the kernel
    /// produces them, else of time.
    fn send(&self, lab: &Lab, sender: &Namespace, receiver: &Namespace) -> f64 {
        let taken = match self.work {
            Work::Generated(flows, frames) => {
                let blast = Blast {
                    packets: self.frames,
                    flows,
                    frames,
                };
                let sent = blast.send(receiver, INTERFACE);
                sent.unwrap_or_else(|error| panic!("the generator: {error}"))
                    .cpu
            }
            Work::Captures => self.replay(lab, sender),
        };
        taken.as_secs_f64() * 1e9 / f64::from(self.frames)
    }

    fn replay(&self, lab: &Lab, sender: &Namespace) -> Duration {
        let program = Program::new("tcpreplay")
            .args(["--topspeed", "--preload-pcap", "--intf1", "a0"])
            .arg(format!("--loop={}", self.loops))
            .args(self.captures.iter().cloned());
        let done = lab.run(sender, &program, Duration::from_mins(2)).success();
        // Actual: 905250 packets (72613240 bytes) sent in 1.93 seconds
        let words = |label: &str| -> Vec<&str> {
            let mut lines = done.stdout.lines().map(str::trim);
            let line = lines.find_map(|line| line.strip_prefix(label));
            line.unwrap_or_default().split_whitespace().collect()
        };
        let ([sent, .., seconds, _], [refused]) =
            (&words("Actual:")[..], &words("Failed packets:")[..])
        else {
            panic!("tcpreplay says nothing of what it did:\n{}", done.stdout);
        };
        // The kernel refuses a frame without a whole Ethernet header, and so none of IP.
        let count = |number: &str| number.parse::<u32>().expect("a number");
        assert_eq!(count(sent) + count(refused), self.frames, "frames replayed");
        Duration::from_secs_f64(seconds.parse().expect("seconds"))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Runner {
    Nothing,
    EmptyProgram,
    EbpfixTcx,
    EbpfixClsact,
    Softflowd,
    Pmacctd,
    Fprobe,
}

const RUNNERS: [(&str, Runner); 7] = [
    ("none", Runner::Nothing),
    ("empty", Runner::EmptyProgram),
    ("ebpfix", Runner::EbpfixTcx),
    ("ebpfix-clsact", Runner::EbpfixClsact),
    ("softflowd", Runner::Softflowd),
    ("pmacctd", Runner::Pmacctd),
    ("fprobe", Runner::Fprobe),
];

impl Runner {
    fn title(self) -> &'static str {
        match self {
            Self::Nothing => "no exporter",
            Self::EmptyProgram => "an empty program (TCX)",
            Self::EbpfixTcx => "ebpfix, TCX, IPFIX",
            Self::EbpfixClsact => "ebpfix, clsact, v9",
            Self::Softflowd => "softflowd, v9",
            Self::Pmacctd => "pmacctd + nfprobe, v9",
            Self::Fprobe => "fprobe, v5",
        }
    }

    /// Whether it is an exporter.
    fn counts(self) -> bool {
        !matches!(self, Self::Nothing | Self::EmptyProgram)
    }

    /// Whether it has a program in the kernel.
    fn has_program(self) -> bool {
        matches!(
            self,
            Self::EmptyProgram | Self::EbpfixTcx | Self::EbpfixClsact
        )
    }

    /// Its process, ready to count.
    fn start(self, lab: &Lab, namespace: &Namespace) -> Option<Process> {
        let receiver = format!("127.0.0.1:{PORT}");
        let program = match self {
            Self::Nothing | Self::EmptyProgram => return None,
            Self::EbpfixTcx | Self::EbpfixClsact => {
                let (attach, protocol) = if self == Self::EbpfixTcx {
                    ("tcx", "ipfix")
                } else {
                    ("clsact", "netflow-v9")
                };
                let config = lab.folder().join("race.toml");
                let text = format!(
                    "[observation]\ninterfaces = [\"{INTERFACE}\"]\ndirections = [\"ingress\"]\nattach = \"{attach}\"\n\
                     [metering]\nmax-flows = 1000000\n\
                     [[collector]]\naddress = \"{receiver}\"\nprotocol = \"{protocol}\"\n\
                     [daemon]\nrun-dir = \"{0}/run\"\npin-dir = \"/sys/fs/bpf/ebpfix-race\"\n",
                    lab.folder().display()
                );
                fs::write(&config, text).expect("the configuration");
                Program::new(binary())
                    .args(["run", "--config"])
                    .arg(&config)
            }
            Self::Softflowd => Program::new("softflowd")
                .args([
                    "-i", INTERFACE, "-n", &receiver, "-v", "9", "-d", "-m", "1000000",
                ])
                .arg("-c")
                .arg(lab.folder().join("softflowd.ctl"))
                .arg("-p")
                .arg(lab.folder().join("softflowd.pid")),
            Self::Pmacctd => {
                let config = lab.folder().join("pmacctd.conf");
                let text = format!(
                    "daemonize: false\npcap_interface: {INTERFACE}\nplugins: nfprobe\n\
                     nfprobe_receiver: {receiver}\nnfprobe_version: 9\n\
                     aggregate: src_host, dst_host, src_port, dst_port, proto, tos\n\
                     nfprobe_maxflows: 1000000\nplugin_pipe_size: 67108864\nplugin_buffer_size: 65536\n"
                );
                fs::write(&config, text).expect("the configuration");
                Program::new("pmacctd").arg("-f").arg(config)
            }
            Self::Fprobe => Program::new("fprobe").args([
                "-i", INTERFACE, "-f", "", "-l", "2", "-B", "65536", "-q", "100000", &receiver,
            ]),
        };
        let process = lab.start(namespace, &program);
        wait_for("the exporter observes", Duration::from_mins(1), || {
            self.observes(lab, namespace).then_some(())
        });
        // All of them are soon idle: what they do first is no part of the race.
        settle(&process, Duration::from_secs(2));
        Some(process)
    }

    /// Whether its process, which was started, sees packets by now.
    fn observes(self, lab: &Lab, namespace: &Namespace) -> bool {
        if self.has_program() {
            let program = Program::new(binary())
                .args(["status", "--json", "--config"])
                .arg(lab.folder().join("race.toml"));
            let done = lab.run(namespace, &program, Duration::from_secs(20));
            return done.code() == Some(0);
        }
        // A packet socket, behind the line of titles.
        let sockets = || fs::read_to_string("/proc/thread-self/net/packet");
        let sockets = namespace.enter(sockets).expect("the packet sockets");
        sockets.lines().count() > 1
    }

    /// Ends it in the way that makes it export what it holds.
    fn stop(self, process: Process, lab: &Lab, namespace: &Namespace) {
        const PATIENCE: Duration = Duration::from_mins(1);
        let signal = match self {
            Self::Pmacctd => Signal::SIGINT,
            _ => Signal::SIGTERM,
        };
        if self == Self::Softflowd {
            // A signal alone does not wake it where no packets come any more.
            let control = lab.folder().join("softflowd.ctl");
            let program = Program::new("softflowctl")
                .arg("-c")
                .arg(control)
                .arg("shutdown");
            let _ = lab.run(namespace, &program, PATIENCE).success();
            settle(&process, Duration::from_secs(10));
        }
        let _ = process.stop(signal, PATIENCE);
    }
}

#[derive(Clone, Debug, Default)]
struct Outcome {
    /// Of the stream.
    nanoseconds_per_packet: f64,
    /// At the collector.
    packets: u64,
    flows: u64,
    sequence_errors: u64,
    /// CPU seconds of the exporter's processes.
    cpu: f64,
    peak_kib: u64,
    /// Of its program.
    bpf: Option<f64>,
}

fn run(runner: Runner, stream: &Stream) -> Outcome {
    let mut outcome = measure(runner, stream, false);
    if runner.has_program() {
        // The kernel's account costs time itself: a run of its own.
        let _stats = BpfStats::on().expect("root");
        outcome.bpf = measure(runner, stream, true).bpf;
    }
    outcome
}

fn measure(runner: Runner, stream: &Stream, account: bool) -> Outcome {
    let mut lab = Lab::new("race");
    let (a, b) = (lab.namespace("a"), lab.namespace("b"));
    let generated = stream.work != Work::Captures;
    let options = VethOptions {
        // With captures, none of the exporters is to see packets that were joined.
        offloads: generated,
        ..VethOptions::default()
    };
    lab.veth((&a, "a0"), (&b, INTERFACE), options);
    b.ip(&["link", "set", "dev", INTERFACE, "promisc", "on"]);
    if generated {
        prepare(&lab, &b, INTERFACE);
    }
    let collector = Nfcapd::start(&lab, &b, PORT);
    let empty = (runner == Runner::EmptyProgram).then(|| {
        b.enter(|| {
            let program = load_empty();
            let index = nix::net::if_::if_nametoindex(INTERFACE).expect("the interface");
            let link = attach_tcx(&program, index, Direction::Ingress);
            (program, link)
        })
    });
    let process = runner.start(&lab, &b);
    let before = process.as_ref().map_or(0.0, |process| usage(process).0);
    let mut outcome = Outcome {
        nanoseconds_per_packet: stream.send(&lab, &a, &b),
        ..Outcome::default()
    };
    if account {
        outcome.bpf = match (&empty, &process) {
            (Some((program, _)), _) => Some(Account::of(program).expect("the account").per_run()),
            (None, Some(process)) => Some(program_cost(process)),
            (None, None) => None,
        };
    }
    if let Some(process) = process {
        settle(&process, Duration::from_secs(20));
        let (cpu, peak_kib) = usage(&process);
        outcome.cpu = cpu - before;
        outcome.peak_kib = peak_kib;
        runner.stop(process, &lab, &b);
        let result = collector.stop_with_losses();
        outcome.packets = result.packets;
        outcome.flows = result.flows;
        outcome.sequence_errors = result.sequence_errors;
    }
    outcome
}

/// Waits until the exporter does next to nothing.
fn settle(process: &Process, patience: Duration) {
    let deadline = Instant::now() + patience;
    let mut last = usage(process).0;
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = usage(process).0;
        if now - last < 0.03 || Instant::now() > deadline {
            return;
        }
        last = now;
    }
}

/// CPU seconds so far and peak resident KiB of a process and those that it started.
fn usage(process: &Process) -> (f64, u64) {
    let group = process.id().to_string();
    let (mut nanoseconds, mut peak) = (0, 0);
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let path = entry.path();
        let Ok(stat) = fs::read_to_string(path.join("stat")) else {
            continue;
        };
        // After the name, which may hold anything: state, parent, process group, ...
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest);
        if fields.and_then(|fields| fields.split_whitespace().nth(2)) == Some(group.as_str()) {
            nanoseconds += cpu_ns(&path);
            peak += peak_kib(&path);
        }
    }
    (nanoseconds as f64 / 1e9, peak)
}

/// What the threads of a process ran, finer than in ticks.
fn cpu_ns(process: &Path) -> u64 {
    let threads = fs::read_dir(process.join("task"))
        .into_iter()
        .flatten()
        .flatten();
    threads
        .filter_map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        })
        .sum()
}

fn peak_kib(process: &Path) -> u64 {
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

/// Nanoseconds per run of the programs that a process holds.
fn program_cost(process: &Process) -> f64 {
    let folder = format!("/proc/{}/fdinfo", process.id());
    let (mut runs, mut nanoseconds) = (0u64, 0u64);
    for file in fs::read_dir(folder).expect("its descriptors").flatten() {
        let text = fs::read_to_string(file.path()).unwrap_or_default();
        let number = |label: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(label))
                .and_then(|rest| rest.trim().parse::<u64>().ok())
                .unwrap_or(0)
        };
        runs += number("run_cnt:");
        nanoseconds += number("run_time_ns:");
    }
    nanoseconds as f64 / runs.max(1) as f64
}

fn print_table(name: &str, stream: &Stream, runners: &[Runner], results: &[Vec<Outcome>]) {
    println!(
        "\n**{name}**: {} frames, {} of them IP\n",
        stream.frames, stream.packets
    );
    println!(
        "| exporter | offered | received | lost at the collector | stream ns/packet | slow-down | BPF net of empty | CPU s/Mpacket | peak MiB | flow records | sequence errors |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    let all = |outcomes: &[Outcome], value: &dyn Fn(&Outcome) -> f64| -> Vec<f64> {
        outcomes.iter().map(value).collect()
    };
    let of = |wanted: Runner| {
        let found = runners
            .iter()
            .zip(results)
            .find(|(runner, _)| **runner == wanted);
        found.map_or(&[][..], |(_, outcomes)| outcomes)
    };
    let (base, empty) = (of(Runner::Nothing), of(Runner::EmptyProgram));
    let empty = least(&all(empty, &|o| o.bpf.unwrap_or(f64::INFINITY)));
    for (runner, outcomes) in runners.iter().zip(results) {
        let times = all(outcomes, &|o| o.nanoseconds_per_packet);
        let slower: Vec<f64> = outcomes
            .iter()
            .zip(base)
            .map(|(own, base)| own.nanoseconds_per_packet / base.nanoseconds_per_packet - 1.0)
            .collect();
        let bpf = least(&all(outcomes, &|o| o.bpf.unwrap_or(f64::INFINITY)));
        let worst = outcomes
            .iter()
            .min_by_key(|o| o.packets)
            .cloned()
            .unwrap_or_default();
        let lost = stream.packets as f64 - worst.packets as f64;
        let cpu = all(outcomes, &|o| o.cpu / f64::from(stream.frames) * 1e6);
        let cell = |shown: bool, text: String| if shown { text } else { "-".to_owned() };
        let counts = runner.counts();
        println!(
            "| {} | {} | {} | {} | {:.0} / {:.0} | {} | {} | {} | {} | {} | {} |",
            runner.title(),
            stream.packets,
            cell(counts, worst.packets.to_string()),
            cell(
                counts,
                format!("{lost:.0} ({:.3} %)", lost / stream.packets as f64 * 100.0)
            ),
            least(&times),
            median(&times),
            cell(
                *runner != Runner::Nothing && !slower.is_empty(),
                format!("{:+.0} %", median(&slower) * 100.0)
            ),
            cell(
                bpf.is_finite() && empty.is_finite() && *runner != Runner::EmptyProgram,
                format!("{:.0}", bpf - empty)
            ),
            cell(counts, format!("{:.3} / {:.3}", least(&cpu), median(&cpu))),
            cell(counts, format!("{:.0}", worst.peak_kib as f64 / 1024.0)),
            cell(counts, worst.flows.to_string()),
            cell(counts, worst.sequence_errors.to_string()),
        );
    }
}
