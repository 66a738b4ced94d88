//! A meter as a process of its own, told over its standard input what to do, so that two builds can
//! be compared in turns, and what each takes is known.
//!
//! The process is a benchmark program called with `serve`. What it is told and what it answers are
//! lines: `attach INTERFACE DIRECTION MODE` and `ok`; `detach` and the [`Round`].

use std::fmt;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use ebpfix::meter::{FlowCache, Policy};
use ebpfix::observe::{
    AttachMode, Direction, Drain, FetcherOptions, FlowFetcher, Interface, NetSpec, Parts,
    boot_clock_ns, load_net,
};
use ebpfix_probes::abi::{DropReason, HashedRecord, Timestamps};
use ebpfix_tests::{Namespace, runtime};

use crate::figures::{pin_to, thread_cpu};
use crate::program::Account;
use crate::reference::PerCpuHash;

/// What a contender did between attaching and detaching.
#[derive(Clone, Copy, Debug, Default)]
pub struct Round {
    /// The kernel's account of its programs.
    pub account: Account,
    /// Packets that its programs observed.
    pub observed: u64,
    /// Records that it read.
    pub records: u64,
    /// Packets that found no room, in the log or the hash.
    pub no_room: u64,
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
    /// What it serves.
    pub table: Table,
}

/// Which table packets are counted into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Table {
    /// That of the object that the program embeds.
    #[default]
    Embedded,
    /// The same, with every packet stamped by the kernel's tick.
    Ticks,
    /// The same, with a filter.
    Filtered(String),
    /// That of this object file.
    Object(PathBuf),
    /// A BPF hash per CPU, which ours is compared with.
    PerCpuHash,
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
        match &meter.table {
            Table::Embedded => {}
            Table::Ticks => {
                command.arg("--ticks");
            }
            Table::Filtered(filter) => {
                command.arg("--filter").arg(filter);
            }
            Table::Object(object) => {
                command.arg("--object").arg(object);
            }
            Table::PerCpuHash => {
                command.arg("--per-cpu-hash");
            }
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
            no_room,
            astray,
            read_ns,
            merge_ns,
        } = self;
        write!(
            f,
            "runs={runs} nanoseconds={nanoseconds} observed={observed} records={records} \
             no_room={no_room} astray={astray} read_ns={read_ns:.0} merge_ns={merge_ns:.0}"
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
            no_room: count("no_room"),
            astray: count("astray"),
            read_ns: number("read_ns"),
            merge_ns: number("merge_ns"),
        }
    }
}

/// Pause between two looks into the logs.
const POLL: Duration = Duration::from_millis(5);
/// Records that one look takes at most, about.
const READ_AT_ONCE: usize = 32 * 1024;
/// Records that are read and merged together, about.
const TOGETHER: usize = 2 * 1024;
/// Flows that one look at the timeouts ends at most.
const EXPIRE_AT_ONCE: usize = 16 * 1024;
/// Flows held: more than any row has.
const MAX_FLOWS: u32 = 1 << 21;

/// The other side: a meter that obeys its standard input until that ends.
pub fn serve(table: &Table) {
    pin_to(0);
    let mut served: Box<dyn Served> = match table {
        Table::Embedded => Box::new(Cache::new(load_net().expect("our object"), "")),
        Table::Filtered(filter) => Box::new(Cache::new(load_net().expect("our object"), filter)),
        Table::Ticks => {
            let cache = Cache::new(load_net().expect("our object"), "");
            cache.parts.tables.set_timestamps(Timestamps::Tick);
            Box::new(cache)
        }
        Table::Object(path) => {
            let image = std::fs::read(path);
            let image = image.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            Box::new(Cache::new(
                NetSpec::parse(&image).expect("an object of ours"),
                "",
            ))
        }
        Table::PerCpuHash => Box::new(Hash::new()),
    };
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
                let answer = obey(served.as_mut(), &line);
                println!("{answer}");
                stdout().flush().expect("somebody reads");
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn obey(served: &mut dyn Served, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["attach", interface, direction, mode] => {
            let interface = runtime().block_on(Interface::find(interface));
            let direction = match direction {
                "Ingress" => Direction::Ingress,
                _ => Direction::Egress,
            };
            let mode = match mode {
                "Tcx" => AttachMode::Tcx,
                _ => AttachMode::Clsact,
            };
            served.attach(&interface.expect("the interface"), direction, mode);
            "ok".to_owned()
        }
        ["detach"] => served.detach().to_string(),
        _ => panic!("an unknown command: {line}"),
    }
}

/// A table and what reads it.
trait Served {
    fn attach(&mut self, interface: &Interface, direction: Direction, mode: AttachMode);

    /// Reads and adds up what waits; returns how many records came.
    fn look(&mut self) -> usize;

    fn detach(&mut self) -> Round;
}

/// The exporter's side of any of them.
struct Side {
    cache: FlowCache,
    records: Vec<HashedRecord>,
    round: Round,
}

impl Side {
    fn new() -> Self {
        Self {
            cache: FlowCache::new(Policy {
                max_flows: NonZeroU32::new(MAX_FLOWS).expect("not zero"),
                ..Policy::default()
            }),
            records: Vec::with_capacity(TOGETHER),
            round: Round::default(),
        }
    }

    fn read<T>(&mut self, read: impl FnOnce(&mut Vec<HashedRecord>) -> T) -> T {
        let begin = thread_cpu();
        let result = read(&mut self.records);
        self.round.read_ns += nanoseconds_since(begin);
        result
    }

    fn merge(&mut self) -> usize {
        let begin = thread_cpu();
        let mut ended = Vec::new();
        let now = boot_clock_ns();
        let _ = self.cache.merge(&self.records, now, &mut ended);
        let _ = self.cache.expire(now, EXPIRE_AT_ONCE, &mut ended);
        let count = self.records.len();
        self.records.clear();
        self.round.merge_ns += nanoseconds_since(begin);
        self.round.records += count as u64;
        count
    }
}

/// Nanoseconds of CPU since an earlier reading.
fn nanoseconds_since(begin: Duration) -> f64 {
    thread_cpu().saturating_sub(begin).as_secs_f64() * 1e9
}

/// The exporter's own table.
struct Cache {
    parts: Parts,
    programs: Vec<OwnedFd>,
    attached: Option<u32>,
    before: Account,
    side: Side,
}

impl Cache {
    fn new(net: NetSpec, filter: &str) -> Self {
        let options = FetcherOptions {
            filter: filter.parse().expect("a filter"),
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
            attached: None,
            before: Account::default(),
            side: Side::new(),
        }
    }

    fn account(&self) -> Account {
        let accounts = self.programs.iter();
        let accounts = accounts.map(|program| Account::of(program).expect("an account"));
        accounts.fold(Account::default(), |sum, account| Account {
            runs: sum.runs + account.runs,
            nanoseconds: sum.nanoseconds + account.nanoseconds,
        })
    }
}

impl Served for Cache {
    fn attach(&mut self, interface: &Interface, direction: Direction, mode: AttachMode) {
        self.side.round = Round::default();
        self.before = self.account();
        let probes = &mut self.parts.probes;
        let attached = probes.attach_to(interface, &[direction], mode);
        attached.expect("to attach");
        self.attached = Some(interface.index);
    }

    fn look(&mut self) -> usize {
        let mut read = 0;
        while read < READ_AT_ONCE {
            let drain = &mut self.parts.drain;
            self.side.read(|records| drain.read_log(TOGETHER, records));
            let count = self.side.merge();
            read += count;
            if count < Drain::SHARE {
                break;
            }
        }
        read
    }

    fn detach(&mut self) -> Round {
        if let Some(if_index) = self.attached.take() {
            self.parts.probes.detach(if_index);
        }
        while self.look() > 0 {}
        let turned = self.parts.turn.turn().expect("to wait for the programs");
        let drain = &mut self.parts.drain;
        let settlement = self.side.read(|records| drain.settle(&turned, records));
        self.side.merge();
        Round {
            account: self.account().since(self.before),
            observed: settlement.observed.packets,
            no_room: settlement.dropped[DropReason::LogFull as usize].packets,
            astray: settlement.unaccounted.packets + settlement.surplus.packets,
            ..self.side.round
        }
    }
}

/// The table that the exporter's is compared with.
struct Hash {
    table: PerCpuHash,
    before: Account,
    side: Side,
}

impl Hash {
    fn new() -> Self {
        Self {
            table: PerCpuHash::new().expect("the reference"),
            before: Account::default(),
            side: Side::new(),
        }
    }

    fn account(&self) -> Account {
        Account::of(self.table.program()).expect("an account")
    }
}

impl Served for Hash {
    fn attach(&mut self, interface: &Interface, direction: Direction, mode: AttachMode) {
        assert_eq!(mode, AttachMode::Tcx, "the reference is attached by TCX");
        self.side.round = Round::default();
        self.before = self.account();
        self.table.attach(interface.index, direction);
    }

    fn look(&mut self) -> usize {
        0
    }

    fn detach(&mut self) -> Round {
        self.table.detach();
        self.table.turn().expect("to turn the generation");
        let table = &self.table;
        let read = self.side.read(|records| table.read(records));
        read.expect("to read the hash");
        let records = self.side.records.iter();
        let counted: u64 = records.map(|record| record.record.metrics.packets).sum();
        self.side.merge();
        let account = self.account().since(self.before);
        let no_room = self.table.without_room().expect("the count");
        Round {
            account,
            observed: account.runs,
            no_room,
            astray: account.runs.abs_diff(counted + no_room),
            ..self.side.round
        }
    }
}
