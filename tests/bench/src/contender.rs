//! A meter as a process of its own, told over its standard input what to do, so that two builds can
//! be compared in turns, and what each takes is known.
//!
//! The process is a benchmark program called with `serve`. What it is told and what it answers are
//! lines: `attach INTERFACE DIRECTION MODE` and `ok`; `detach` and the [`Round`].

use std::fmt;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use ebpfix::meter::{FlowCache, Policy};
use ebpfix::observe::{
    AttachMode, Direction, FetcherOptions, FlowFetcher, Interface, NetSpec, Parts, boot_clock_ns,
    load_net,
};
use ebpfix_probes::abi::{DropReason, HashedRecord};
use ebpfix_tests::{Namespace, runtime};

use crate::figures::{pin_to, thread_cpu_ns};
use crate::program::Account;

/// What a contender did between attaching and detaching.
#[derive(Clone, Copy, Debug, Default)]
pub struct Round {
    /// The kernel's account of its programs.
    pub account: Account,
    /// Packets that its programs observed.
    pub observed: u64,
    /// Records that it read.
    pub records: u64,
    /// Packets that found no room in the log.
    pub log_full: u64,
    /// Packets that do not add up. Not zero: something is broken.
    pub astray: u64,
    /// Nanoseconds of CPU for reading the records.
    pub read_ns: f64,
    /// Nanoseconds of CPU for adding them up.
    pub merge_ns: f64,
}

/// What the process is to be.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    /// Which program serves; none: this one.
    pub program: Option<PathBuf>,
    /// An object file to load instead of the one that it embeds.
    pub object: Option<PathBuf>,
}

/// The process.
#[derive(Debug)]
pub struct Contender {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Contender {
    /// Starts it in a namespace. Nothing is attached yet.
    pub fn start(namespace: &Namespace, meter: &Meter) -> Self {
        let own = std::env::current_exe().expect("the path of this program");
        let mut command = Command::new(meter.program.as_ref().unwrap_or(&own));
        command
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(object) = &meter.object {
            command.arg("--object").arg(object);
        }
        let mut child = namespace
            .enter(move || command.spawn())
            .expect("the program starts");
        let commands = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("it is a pipe"));
        Self {
            child,
            commands,
            answers,
        }
    }

    /// Attaches it.
    pub fn attach(&mut self, interface: &str, direction: Direction, mode: AttachMode) {
        let answer = self.ask(&format!("attach {interface} {direction:?} {mode:?}"));
        assert_eq!(answer, "ok", "a contender that attaches");
    }

    /// Detaches it, has it read what is left, and says what it did.
    pub fn detach(&mut self) -> Round {
        Round::parse(&self.ask("detach"))
    }

    fn ask(&mut self, command: &str) -> String {
        let commands = self.commands.as_mut().expect("open until dropped");
        writeln!(commands, "{command}").expect("the contender listens");
        let mut answer = String::new();
        let octets = self.answers.read_line(&mut answer).expect("an answer");
        assert!(octets > 0, "the contender ended: what it said is above");
        answer.trim().to_owned()
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        // It ends with its input.
        self.commands = None;
        let _ = self.child.wait();
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            account: Account { runs, nanoseconds },
            observed,
            records,
            log_full,
            astray,
            read_ns,
            merge_ns,
        } = self;
        write!(
            f,
            "runs={runs} nanoseconds={nanoseconds} observed={observed} records={records} \
             log_full={log_full} astray={astray} read_ns={read_ns:.0} merge_ns={merge_ns:.0}"
        )
    }
}

impl Round {
    /// Reads what `Display` writes. What another build does not say is zero.
    fn parse(text: &str) -> Self {
        let number = |name: &str| -> f64 {
            text.split(' ')
                .filter_map(|word| word.split_once('='))
                .find(|(key, _)| *key == name)
                .map_or(0.0, |(_, value)| value.parse().expect("a number"))
        };
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counts far below 2^53"
        )]
        let count = |name: &str| number(name) as u64;
        Self {
            account: Account {
                runs: count("runs"),
                nanoseconds: count("nanoseconds"),
            },
            observed: count("observed"),
            records: count("records"),
            log_full: count("log_full"),
            astray: count("astray"),
            read_ns: number("read_ns"),
            merge_ns: number("merge_ns"),
        }
    }
}

/// Pause between two looks into the logs, as the exporter's.
const POLL: Duration = Duration::from_millis(5);
/// Records that one look takes at most, about.
const READ_AT_ONCE: usize = 32 * 1024;
/// Flows that one look at the timeouts ends at most.
const EXPIRE_AT_ONCE: usize = 16 * 1024;
/// Flows held: more than any row has.
const MAX_FLOWS: u32 = 1 << 21;

/// The other side: a meter that obeys its standard input until that ends.
pub fn serve(object: Option<&Path>) {
    pin_to(0);
    let net = object.map_or_else(load_net, |path| {
        let image = std::fs::read(path);
        NetSpec::parse(&image.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    });
    let mut served = Served::new(net.expect("an object of ours"));
    let (lines, commands) = channel();
    thread::spawn(move || {
        for line in stdin().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    loop {
        let pause = if served.look() >= READ_AT_ONCE / 4 {
            Duration::ZERO
        } else {
            POLL
        };
        match commands.recv_timeout(pause) {
            Ok(line) => {
                let answer = served.obey(&line);
                println!("{answer}");
                stdout().flush().expect("somebody reads");
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

struct Served {
    parts: Parts,
    programs: Vec<std::os::fd::OwnedFd>,
    cache: FlowCache,
    attached: Option<u32>,
    before: Account,
    round: Round,
    records: Vec<HashedRecord>,
}

impl Served {
    fn new(net: NetSpec) -> Self {
        let options = FetcherOptions {
            pin_dir: PathBuf::from(format!("/sys/fs/bpf/ebpfix-bench-{}", std::process::id())),
            ..FetcherOptions::default()
        };
        let fetcher = FlowFetcher::with_net(net, &options).expect("the tables");
        let programs = &fetcher.objects().programs;
        let programs = [
            &programs.ingress_flow_parse,
            &programs.egress_flow_parse,
            &programs.ingress_flow_parse_l3,
            &programs.egress_flow_parse_l3,
        ];
        let programs = programs.map(|program| program.try_clone().expect("a descriptor"));
        Self {
            programs: programs.into(),
            parts: fetcher.into_parts(),
            cache: FlowCache::new(Policy {
                max_flows: NonZeroU32::new(MAX_FLOWS).expect("not zero"),
                ..Policy::default()
            }),
            attached: None,
            before: Account::default(),
            round: Round::default(),
            records: Vec::with_capacity(READ_AT_ONCE),
        }
    }

    fn obey(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["attach", interface, direction, mode] => {
                self.attach(interface, direction, mode);
                "ok".to_owned()
            }
            ["detach"] => self.detach().to_string(),
            _ => panic!("an unknown command: {line}"),
        }
    }

    fn attach(&mut self, interface: &str, direction: &str, mode: &str) {
        let interface = runtime().block_on(Interface::find(interface));
        let interface = interface.expect("the interface");
        let direction = match direction {
            "Ingress" => Direction::Ingress,
            _ => Direction::Egress,
        };
        let mode = match mode {
            "Tcx" => AttachMode::Tcx,
            _ => AttachMode::Clsact,
        };
        self.round = Round::default();
        self.before = self.account();
        let attached = self.parts.probes.attach_to(&interface, &[direction], mode);
        attached.expect("to attach");
        self.attached = Some(interface.index);
    }

    fn detach(&mut self) -> Round {
        if let Some(if_index) = self.attached.take() {
            self.parts.probes.detach(if_index);
        }
        while self.look() > 0 {}
        let turned = self.parts.turn.turn().expect("to wait for the programs");
        let settlement = self.parts.drain.settle(&turned, &mut self.records);
        self.merge();
        self.round.account = self.account().since(self.before);
        self.round.observed = settlement.observed.packets;
        self.round.log_full = settlement.dropped[DropReason::LogFull as usize].packets;
        self.round.astray = settlement.unaccounted.packets + settlement.surplus.packets;
        self.round
    }

    /// Reads and adds up what waits; returns how many records came.
    fn look(&mut self) -> usize {
        let begin = thread_cpu_ns();
        self.parts.drain.read_log(READ_AT_ONCE, &mut self.records);
        self.round.read_ns += thread_cpu_ns() - begin;
        self.merge()
    }

    fn merge(&mut self) -> usize {
        let begin = thread_cpu_ns();
        let mut ended = Vec::new();
        let now = boot_clock_ns();
        let _ = self.cache.merge(&self.records, now, &mut ended);
        let _ = self.cache.expire(now, EXPIRE_AT_ONCE, &mut ended);
        let count = self.records.len();
        self.records.clear();
        self.round.merge_ns += thread_cpu_ns() - begin;
        self.round.records += count as u64;
        count
    }

    fn account(&self) -> Account {
        let accounts = self
            .programs
            .iter()
            .map(|program| Account::of(program).expect("an account"));
        accounts.fold(Account::default(), |sum, account| Account {
            runs: sum.runs + account.runs,
            nanoseconds: sum.nanoseconds + account.nanoseconds,
        })
    }
}
