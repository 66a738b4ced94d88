//! A race: ebpfix and other flow exporters on the same work, one after the other, several rounds,
//! one table.
//!
//! `cargo run --release -p ebpfix-bench --bin race -- [PACKETS [FLOWS [ROUNDS]]]`, as root, with
//! softflowd, pmacct and fprobe installed. Each exporter observes an interface at which the kernel
//! itself produces the packets (see [`Blast`]), and tells an nfcapd on the loopback. What the stream
//! takes longer than without an exporter is what the router feels.

#![allow(clippy::cast_precision_loss, reason = "figures to read")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ebpfix::observe::Direction;
use ebpfix_bench::{Account, Blast, BpfStats, Flows, Frames, attach_tcx, load_empty, prepare};
use ebpfix_tests::process::Program;
use ebpfix_tests::{Lab, Namespace, Nfcapd, Process, VethOptions};
use nix::sys::signal::Signal;

const INTERFACE: &str = "b0";
const PORT: u16 = 9001;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| {
        argument.parse::<u32>().unwrap_or_else(|_| {
            panic!("'{argument}' is no number: race [PACKETS [FLOWS [ROUNDS]]]")
        })
    });
    let blast = Blast {
        packets: arguments.next().unwrap_or(3_000_000),
        flows: Flows::Uniform(arguments.next().unwrap_or(16_000)),
        frames: Frames::Ipv4,
    };
    let rounds = arguments.next().unwrap_or(3).max(1);
    println!(
        "{} packets of {:?} flows, {rounds} rounds; the least of the rounds for times, the \
         worst for losses",
        blast.packets, blast.flows
    );
    let runners = Runner::ALL;
    let mut results: Vec<Vec<Outcome>> = vec![Vec::new(); runners.len()];
    for round in 1..=rounds {
        for (runner, results) in runners.iter().zip(&mut results) {
            eprintln!("round {round}: {}", runner.name());
            results.push(run(*runner, blast));
        }
    }
    print_table(blast, &runners, &results);
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

impl Runner {
    const ALL: [Self; 7] = [
        Self::Nothing,
        Self::EmptyProgram,
        Self::EbpfixTcx,
        Self::EbpfixClsact,
        Self::Softflowd,
        Self::Pmacctd,
        Self::Fprobe,
    ];

    fn name(self) -> &'static str {
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
        // All of them are soon idle: what they do first is no part of the race.
        settle(&process, Duration::from_secs(2));
        Some(process)
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
    /// Of the exporter's processes.
    cpu: f64,
    peak_kib: u64,
    /// Of its program.
    bpf: Option<f64>,
}

fn run(runner: Runner, blast: Blast) -> Outcome {
    let mut outcome = measure(runner, blast, false);
    // The kernel's account costs time itself: a run of its own.
    if matches!(
        runner,
        Runner::EmptyProgram | Runner::EbpfixTcx | Runner::EbpfixClsact
    ) {
        let _stats = BpfStats::on().expect("root");
        outcome.bpf = measure(runner, blast, true).bpf;
    }
    outcome
}

fn measure(runner: Runner, blast: Blast, account: bool) -> Outcome {
    let mut lab = Lab::new("race");
    let (a, b) = (lab.namespace("a"), lab.namespace("b"));
    let options = VethOptions {
        offloads: true,
        ..VethOptions::default()
    };
    lab.veth((&a, "a0"), (&b, INTERFACE), options);
    b.ip(&["link", "set", "dev", INTERFACE, "promisc", "on"]);
    prepare(&lab, &b, INTERFACE);
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
    let elapsed = blast
        .send(&b, INTERFACE)
        .unwrap_or_else(|error| panic!("the generator: {error}"));
    let mut outcome = Outcome {
        nanoseconds_per_packet: elapsed.as_nanos() as f64 / f64::from(blast.packets),
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
        let result = collector.stop();
        outcome.packets = result.packets;
        outcome.flows = result.flows;
        outcome.sequence_errors = result.sequence_errors;
    }
    outcome
}

/// The exporter that was built together with this program, or what `EBPFIX_BIN` names.
fn binary() -> PathBuf {
    std::env::var_os("EBPFIX_BIN").map_or_else(
        || {
            let own = std::env::current_exe().expect("the path of this program");
            own.with_file_name("ebpfix")
        },
        PathBuf::from,
    )
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
    /// What `/proc` counts in, on every architecture of Linux that matters.
    const TICKS: f64 = 100.0;
    let group = process.id().to_string();
    let (mut ticks, mut peak) = (0u64, 0u64);
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let path = entry.path();
        let Ok(stat) = fs::read_to_string(path.join("stat")) else {
            continue;
        };
        // After the name, which may hold anything: state, parent, process group, ...
        let Some(fields) = stat.rsplit_once(')').map(|(_, rest)| rest) else {
            continue;
        };
        let fields: Vec<&str> = fields.split_whitespace().collect();
        if fields.get(2) != Some(&group.as_str()) {
            continue;
        }
        let number =
            |at: usize| -> u64 { fields.get(at).and_then(|n| n.parse().ok()).unwrap_or(0) };
        ticks += number(11) + number(12);
        peak += peak_kib(&path);
    }
    (ticks as f64 / TICKS, peak)
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

fn print_table(blast: Blast, runners: &[Runner], results: &[Vec<Outcome>]) {
    let least = |outcomes: &[Outcome], value: &dyn Fn(&Outcome) -> f64| {
        outcomes.iter().map(value).fold(f64::INFINITY, f64::min)
    };
    let stream = |outcomes: &[Outcome]| least(outcomes, &|o| o.nanoseconds_per_packet);
    let bpf = |outcomes: &[Outcome]| least(outcomes, &|o| o.bpf.unwrap_or(f64::INFINITY));
    let base = results.first().map_or(0.0, |outcomes| stream(outcomes));
    let empty = runners
        .iter()
        .zip(results)
        .find(|(runner, _)| **runner == Runner::EmptyProgram)
        .map_or(0.0, |(_, outcomes)| bpf(outcomes));
    println!(
        "\n| exporter | stream ns/packet | more than without | BPF net of empty | lost at the collector | sequence errors | CPU s/Mpacket | peak MiB | flow records |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (runner, outcomes) in runners.iter().zip(results) {
        let mine = stream(outcomes);
        let counts = !matches!(runner, Runner::Nothing | Runner::EmptyProgram);
        let cell = |text: String| if counts { text } else { "-".to_owned() };
        let worst = outcomes
            .iter()
            .min_by_key(|o| o.packets)
            .cloned()
            .unwrap_or_default();
        let lost = f64::from(blast.packets) - worst.packets as f64;
        let net = bpf(outcomes);
        println!(
            "| {} | {mine:.0} | {:+.0} ({:+.0} %) | {} | {} | {} | {} | {} | {} |",
            runner.name(),
            mine - base,
            (mine / base - 1.0) * 100.0,
            if net.is_finite() && *runner != Runner::EmptyProgram {
                format!("{:.0}", net - empty)
            } else {
                "-".to_owned()
            },
            cell(format!(
                "{:.0} ({:.3} %)",
                lost,
                lost / f64::from(blast.packets) * 100.0
            )),
            cell(worst.sequence_errors.to_string()),
            cell(format!(
                "{:.3}",
                least(outcomes, &|o| o.cpu) / f64::from(blast.packets) * 1e6
            )),
            cell(format!("{:.0}", worst.peak_kib as f64 / 1024.0)),
            cell(worst.flows.to_string()),
        );
    }
}
