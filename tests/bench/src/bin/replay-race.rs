//! A race over a file: ebpfix and others read the same capture and tell an nfcapd on the loopback, one
//! after the other, several rounds, one table.
//!
//! `cargo run --release -p ebpfix-bench --bin replay-race -- [PACKETS [FLOWS [ROUNDS]]]`, as root, with
//! softflowd and pmacct installed. The capture is made here: UDP over IPv4 of 46 octets, flows at
//! random. CPU seconds count, which other work on the machine disturbs least; each was read to memory
//! before.

#![allow(clippy::cast_precision_loss, reason = "figures to read")]

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use ebpfix_bench::binary;
use ebpfix_tests::process::Program;
use ebpfix_tests::{Lab, Nfcapd, Process};
use nix::sys::signal::Signal;

const PORT: u16 = 9001;
/// pmacctd pauses for seconds on its way.
const QUIET: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_mins(5);

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| {
        argument.parse::<u32>().unwrap_or_else(|_| {
            panic!("'{argument}' is no number: replay-race [PACKETS [FLOWS [ROUNDS]]]")
        })
    });
    let packets = arguments.next().unwrap_or(5_000_000);
    let flows = arguments.next().unwrap_or(16_000).max(1);
    let rounds = arguments.next().unwrap_or(3).max(1);
    let lab = Lab::new("replay-race");
    let capture = lab.folder().join("race.pcap");
    write_capture(&capture, packets, flows).expect("room for a capture");
    println!("{packets} packets of {flows} flows at random, {rounds} rounds, the best of each");
    println!(
        "| program | CPU ns per packet | million packets per CPU second | s until quiet | packets at nfcapd | sequence errors | peak MiB |"
    );
    println!("|---|---|---|---|---|---|---|");
    for runner in Runner::ALL {
        let best = (0..rounds)
            .map(|_| run(runner, &capture))
            .min_by(|a, b| a.cpu.total_cmp(&b.cpu));
        let Some(outcome) = best else {
            continue;
        };
        let per_packet = outcome.cpu * 1e9 / f64::from(packets);
        println!(
            "| {} | {per_packet:.0} | {:.2} | {:.1} | {} | {} | {} |",
            runner.name(),
            1e3 / per_packet,
            outcome.seconds,
            outcome.packets,
            outcome.sequence_errors,
            outcome.peak_kib / 1024,
        );
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Runner {
    Ebpfix,
    EbpfixV9,
    EbpfixPrinting,
    Softflowd,
    Pmacctd,
}

impl Runner {
    const ALL: [Self; 5] = [
        Self::Ebpfix,
        Self::EbpfixV9,
        Self::EbpfixPrinting,
        Self::Softflowd,
        Self::Pmacctd,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Ebpfix => "ebpfix replay, IPFIX",
            Self::EbpfixV9 => "ebpfix replay, v9",
            Self::EbpfixPrinting => "ebpfix replay, JSON to stdout",
            Self::Softflowd => "softflowd -r, v9",
            Self::Pmacctd => "pmacctd, pcap_savefile, nfprobe v9",
        }
    }

    fn program(self, lab: &Lab, capture: &Path) -> Program {
        let receiver = format!("127.0.0.1:{PORT}");
        let replay = || Program::new(binary()).arg("replay").arg(capture);
        match self {
            Self::Ebpfix => replay().args(["--collector", &receiver]),
            Self::EbpfixV9 => replay().args(["--collector", &receiver, "--protocol", "netflow-v9"]),
            Self::EbpfixPrinting => replay().args(["--format", "json"]),
            Self::Softflowd => Program::new("softflowd")
                .args(["-n", &receiver, "-v", "9", "-d", "-m", "1000000", "-r"])
                .arg(capture),
            Self::Pmacctd => {
                let config = lab.folder().join("pmacctd.conf");
                let text = format!(
                    "daemonize: false\npcap_savefile: {}\nplugins: nfprobe\n\
                     nfprobe_receiver: {receiver}\nnfprobe_version: 9\n\
                     aggregate: src_host, dst_host, src_port, dst_port, proto, tos\n\
                     nfprobe_maxflows: 1000000\nplugin_pipe_size: 67108864\n\
                     plugin_buffer_size: 65536\n",
                    capture.display()
                );
                fs::write(&config, text).expect("the configuration");
                Program::new("pmacctd").arg("-f").arg(config)
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Outcome {
    /// Of the program's processes.
    cpu: f64,
    peak_kib: u64,
    /// Until it ended, or did nothing any more.
    seconds: f64,
    /// At the collector.
    packets: u64,
    sequence_errors: u64,
}

fn run(runner: Runner, capture: &Path) -> Outcome {
    let mut lab = Lab::new("replay-race");
    let namespace = lab.namespace("a");
    let collector = Nfcapd::start(&lab, &namespace, PORT);
    read_once(capture);
    let began = Instant::now();
    let mut process = lab.start(&namespace, &runner.program(&lab, capture));
    let mut outcome = Outcome::default();
    // Not all of them end by themselves: a while without work counts as the end.
    let mut worked = began;
    while process.is_running() && began.elapsed() < PATIENCE {
        let (cpu, peak_kib) = usage(&process);
        if cpu > outcome.cpu {
            worked = Instant::now();
        }
        outcome.cpu = outcome.cpu.max(cpu);
        outcome.peak_kib = outcome.peak_kib.max(peak_kib);
        if worked.elapsed() > QUIET {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    outcome.seconds = if process.is_running() {
        (worked - began).as_secs_f64()
    } else {
        began.elapsed().as_secs_f64()
    };
    let _ = process.stop(Signal::SIGINT, PATIENCE);
    let result = collector.stop();
    outcome.packets = result.packets;
    outcome.sequence_errors = result.sequence_errors;
    outcome
}

/// Has the file in memory.
fn read_once(path: &Path) {
    let mut file = File::open(path).expect("the capture");
    let mut buffer = vec![0; 1 << 20];
    while file.read(&mut buffer).expect("the capture") > 0 {}
}

/// CPU seconds so far and peak resident KiB of a process and those that it started.
fn usage(process: &Process) -> (f64, u64) {
    /// What `/proc` counts in, on every architecture of Linux that matters.
    const TICKS: f64 = 100.0;
    let group = process.id().to_string();
    let (mut ticks, mut peak) = (0_u64, 0_u64);
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        // After the name, which may hold anything: state, parent, process group, ...
        let Some((_, fields)) = stat.rsplit_once(')') else {
            continue;
        };
        let fields: Vec<&str> = fields.split_whitespace().collect();
        if fields.get(2) != Some(&group.as_str()) {
            continue;
        }
        let number = |at: usize| fields.get(at).and_then(|n| n.parse::<u64>().ok());
        ticks += number(11).unwrap_or(0) + number(12).unwrap_or(0);
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        peak += status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok())
            .unwrap_or(0);
    }
    (ticks as f64 / TICKS, peak)
}

/// Ethernet, two packets a microsecond, each of a flow at random.
fn write_capture(path: &Path, packets: u32, flows: u32) -> io::Result<()> {
    const PER_SECOND: u32 = 2_000_000;
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let word = |value: u32| value.to_le_bytes();
    file.write_all(&word(0xa1b2_c3d4))?;
    file.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
    file.write_all(&word(65_535))?;
    file.write_all(&word(1))?;
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    frame.extend([
        0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 0, 192, 0, 2, 1,
    ]);
    frame.extend([0, 0, 0, 53, 0, 26, 0, 0]);
    frame.resize(60, 0);
    // A xorshift generator.
    let mut state = 0x9e37_79b9_u32;
    for number in 0..packets {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let [_, a, b, c] = (state % flows).to_be_bytes();
        // Source address, source port.
        frame[27..30].copy_from_slice(&[a, b, c]);
        frame[34..36].copy_from_slice(&[b, c]);
        let micros = number % PER_SECOND / 2;
        for value in [1_795_536_420 + number / PER_SECOND, micros, 60, 60] {
            file.write_all(&word(value))?;
        }
        file.write_all(&frame)?;
    }
    file.flush()
}
