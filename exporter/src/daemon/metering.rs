//! The meter's thread: from the kernel's records to ended flows on their way to the collectors.
//!
//! It never waits for anybody: the turn of a generation runs in a thread of its own, and the
//! collectors' queues drop (and count) what they cannot take.

use super::kept::{Kept, count, past};
use super::onlookers::{FlushReply, Onlookers, Visitor, Watcher};
use crate::export::Export;
use crate::ledger::{Closed, Count, KernelReading, Ledger, LossReason, Losses, Past};
use crate::meter::{EndedFlow, FlowCache, Movement, Policy};
use crate::observe::{
    Drain, InterfaceNames, KernelCounters, Retired, Settlement, Tables, Turn, Turned, boot_clock_ns,
};
use crate::record::UnixTime;
use ebpfix_probes::abi::{DROP_REASONS, DropReason, HashedRecord, Tally};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

/// Records that one look into the logs takes at most, about.
const READ_AT_ONCE: usize = 32 * 1024;
/// Records that are read and merged together, about: few enough to stay in the CPU's own cache.
const TOGETHER: usize = 2 * 1024;
/// Flows that one look at the timeouts ends at most; the rest follows after the next reading.
const EXPIRE_AT_ONCE: usize = 16 * 1024;
/// Between two looks at the timeouts.
const EXPIRE_EVERY: Duration = Duration::from_millis(100);
/// How long a cache that is to become smaller waits for collectors that take records slowly.
const SHRINK_PATIENCE: Duration = Duration::from_secs(10);
/// Records in a batch at most.
const BATCH: usize = 1024;
/// How long the end waits for collectors that take records slowly.
const LAST_BATCHES: Duration = Duration::from_secs(10);

/// Numbers that the meter's thread leaves for others to read.
#[derive(Debug, Default)]
pub struct Gauges {
    /// How often the thread has gone round: it stands still when the thread does.
    pub rounds: AtomicU64,
    /// Flows in the cache.
    pub flows: AtomicU64,
    /// Octets of the cache's memory.
    pub cache_octets: AtomicU64,
    /// Generations of the kernel's table that were read.
    pub turns: AtomicU64,
    /// It is not yet known what an exporter before had taken out of the tables.
    pub taking_over: AtomicBool,
}

/// What the meter is told while it runs.
pub enum Command {
    /// An interface is there, or has a new name.
    Interface {
        /// Its index.
        index: u32,
        /// Its name now.
        name: String,
    },
    /// An interface is gone: its flows end under the name that it had.
    Gone {
        /// Its index.
        index: u32,
    },
    /// Other timeouts, another size.
    Policy(Policy),
    /// Other collectors.
    Export(Export),
    /// Another `AgentIP` of the records.
    Agent(IpAddr),
    /// The kernel is read once a this long.
    DrainInterval(Duration),
    /// Show every flow that is held.
    Visit(Visitor),
    /// Tell what is counted from here on.
    Watch(Watcher),
    /// Export every flow that is held, with what the kernel has of it by now.
    Flush(FlushReply),
    /// Read all that the kernel has, end every flow, and return. Nothing is attached any more, or
    /// what is counted from here on is for another exporter.
    Stop,
}

/// What the thread is made of.
pub struct Metering {
    /// Reads the kernel's records.
    pub drain: Drain,
    /// How often its generations are turned.
    pub drain_interval: Duration,
    /// The flows.
    pub cache: FlowCache,
    /// Where everything is written down.
    pub ledger: Arc<Ledger>,
    /// Where ended flows go.
    pub export: Export,
    /// `AgentIP` of the records.
    pub agent: IpAddr,
    /// For `status`.
    pub gauges: Arc<Gauges>,
    /// Names of the interfaces.
    pub names: InterfaceNames,
    /// Tables of an exporter before that no program counts into any more, to be read out first.
    pub retired: Vec<Retired>,
    /// What was written down by exporters before this one that read the same tables.
    pub past: Option<Past>,
    /// Where what is pinned is, and the ledger page.
    pub kept: Kept,
}

impl Metering {
    /// Starts the thread, and that which turns the generations.
    pub fn spawn(self, turn: Turn, commands: Receiver<Command>) -> io::Result<JoinHandle<()>> {
        let mut turns = Turns::spawn(turn)?;
        let takeover = self.past.map(|past| {
            turns.quiesce();
            Takeover {
                past,
                settlements: 2,
                taken: Count::ZERO,
            }
        });
        let thread = Thread {
            with: self,
            turns,
            takeover,
            commands,
            gone: Vec::new(),
            records: Vec::with_capacity(TOGETHER),
            ended: Vec::new(),
            policy: None,
            onlookers: Onlookers::default(),
        };
        thread::Builder::new()
            .name("meter".to_owned())
            .spawn(move || thread.run())
    }
}

/// Tables are being taken over: until each of their two generations was read once, it is not known
/// what exporters before had taken out of them.
struct Takeover {
    past: Past,
    /// Those still to come.
    settlements: u32,
    taken: Count,
}

struct Thread {
    with: Metering,
    turns: Turns,
    takeover: Option<Takeover>,
    commands: Receiver<Command>,
    /// Interfaces that are gone, and the turn after which nothing more can come of each.
    gone: Vec<(u32, u64)>,
    /// Reused from one look to the next.
    records: Vec<HashedRecord>,
    /// Flows that ended and are not on their way yet.
    ended: Vec<EndedFlow>,
    /// What the cache is to go over to, and since when it waits for a collector's queue.
    policy: Option<(Policy, Option<Instant>)>,
    /// Who looks on.
    onlookers: Onlookers,
}

impl Thread {
    fn run(mut self) {
        for retired in std::mem::take(&mut self.with.retired) {
            self.read_out(retired);
        }
        let taking_over = self.takeover.is_some();
        self.with
            .gauges
            .taking_over
            .store(taking_over, Ordering::Relaxed);
        let mut next_expiry = Instant::now();
        let mut next_turn = Instant::now() + self.with.drain_interval;
        let log_records = self.with.drain.log_records();
        let mut last_look = Instant::now();
        loop {
            let read = self.read();
            let now = Instant::now();
            let pause = pause(read, now - last_look, log_records);
            last_look = now;
            // An interface that is gone waits for its last packets, and the ledger to know what died
            // with an exporter before: no need to let them wait long.
            // It may have become shorter since.
            next_turn = next_turn.min(now + self.with.drain_interval);
            let hurry = !self.gone.is_empty()
                || self.takeover.is_some()
                || self.onlookers.wait_for_a_turn();
            if (now >= next_turn || hurry) && self.turns.request() {
                next_turn = now + self.with.drain_interval;
            }
            if now >= next_expiry {
                // A flow was idle until then; of what is still in the kernel nobody knows.
                let known = self.turns.read_until_ns;
                let moved = self
                    .with
                    .cache
                    .expire(known, EXPIRE_AT_ONCE, &mut self.ended);
                self.note(moved);
                if self.ended.len() < EXPIRE_AT_ONCE {
                    next_expiry = now + EXPIRE_EVERY;
                }
            }
            self.onlookers.visit(&self.with.cache);
            self.flush();
            self.take_policy();
            self.send();
            self.with.gauges.rounds.fetch_add(1, Ordering::Relaxed);
            self.with
                .gauges
                .flows
                .store(self.with.cache.len() as u64, Ordering::Relaxed);
            self.with
                .gauges
                .cache_octets
                .store(self.with.cache.memory() as u64, Ordering::Relaxed);
            let pause = if self.turns.pending {
                pause.min(TURN_POLL)
            } else {
                pause.min(self.with.drain_interval)
            };
            match self.commands.recv_timeout(pause) {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(command) => self.obey(command),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        self.finish();
    }

    /// Reads the logs, and the quiet cache when a turn is done; returns how many records the logs
    /// had.
    fn read(&mut self) -> usize {
        let mut read = 0;
        while read < READ_AT_ONCE {
            self.records.clear();
            let count = self.with.drain.read_log(TOGETHER, &mut self.records);
            self.merge();
            read += count;
            if count < Drain::SHARE {
                break;
            }
        }
        if let Some(turned) = self.turns.done() {
            self.records.clear();
            self.settle(&turned);
            self.merge();
            self.end_gone();
            self.onlookers.turned(self.turns.requested);
        }
        read
    }

    fn settle(&mut self, turned: &Turned) {
        let settlement = self.with.drain.settle(turned, &mut self.records);
        self.with.gauges.turns.fetch_add(1, Ordering::Relaxed);
        self.check(&settlement);
    }

    /// What does not add up is said aloud, and lost.
    fn check(&mut self, settlement: &Settlement) {
        if let Some(takeover) = &mut self.takeover {
            takeover.taken += count(settlement.unaccounted);
            takeover.settlements -= 1;
            if takeover.settlements == 0 {
                let lost = takeover.past.unfinished(takeover.taken);
                say_crash(lost);
                self.with.ledger.lose_from_kernel(LossReason::Crash, lost);
                self.takeover = None;
                self.with.gauges.taking_over.store(false, Ordering::Relaxed);
            }
        } else if settlement.unaccounted != Tally::default() {
            let Tally { packets, octets } = settlement.unaccounted;
            tracing::error!(
                packets,
                octets,
                "the kernel observed packets that are in no record"
            );
            self.with
                .ledger
                .lose_from_kernel(LossReason::Unaccounted, count(settlement.unaccounted));
        }
        if settlement.surplus != Tally::default() {
            let Tally { packets, octets } = settlement.surplus;
            tracing::error!(
                packets,
                octets,
                "records hold packets that the kernel never observed"
            );
        }
    }

    /// Reads tables that are no longer counted into, to the end.
    fn read_out(&mut self, mut retired: Retired) {
        let Kept { pins, page } = self.with.kept.clone();
        if page.account().closed == retired.id() {
            // It was done, but for this.
            retired.remove(&pins);
            return;
        }
        let whole = retired.is_readable();
        let mut records = Vec::new();
        let read = match retired.read_out(&mut records) {
            Ok(read) => read,
            Err(error) => {
                // It stays for the next start.
                tracing::error!(%error, "cannot read the tables of the exporter before this one");
                return;
            }
        };
        match (read, retired.account()) {
            (Some(read), Some(account)) => {
                let mut closed = Closed {
                    id: retired.id(),
                    dropped: losses(&read.dropped),
                    unfinished: past(account).unfinished(count(read.taken)),
                    ..Closed::default()
                };
                closed.read =
                    count(read.observed).saturating_sub(closed.dropped.total() + count(read.taken));
                // In one go with its number: it must not be read out again.
                self.with.ledger.close_tables(&closed);
                tracing::warn!(
                    packets = closed.read.packets,
                    readable = whole,
                    "the tables of the exporter before this one do not fit this one's: new ones are in use, the old ones were read out"
                );
                say_crash(closed.unfinished);
                for records in records.chunks(READ_AT_ONCE) {
                    let moved = self
                        .with
                        .cache
                        .merge(records, boot_clock_ns(), &mut self.ended);
                    self.note(Movement {
                        // It is in the ledger's flow cache by now.
                        taken: Count::ZERO,
                        ..moved
                    });
                    self.send();
                }
            }
            (read, account) => {
                let observed = read.map(|read| read.observed.packets);
                tracing::warn!(
                    observed,
                    accounted = account.map(|account| account.accounted().packets),
                    "the tables of the exporter before this one are of a version that this one does not know: what they held is lost, and in no ledger"
                );
            }
        }
        retired.remove(&pins);
    }

    fn merge(&mut self) {
        if self.records.is_empty() {
            return;
        }
        let moved = self
            .with
            .cache
            .merge(&self.records, boot_clock_ns(), &mut self.ended);
        self.note(moved);
        self.onlookers.tell(&self.records);
    }

    /// Ends a part of what is held, where somebody asks for all of it and the queues have room.
    fn flush(&mut self) {
        let Some(rows) = self.onlookers.rows_to_flush(&self.with.cache, |records| {
            let collectors = self.with.export.collectors();
            collectors
                .iter()
                .all(|collector| collector.has_room(records))
        }) else {
            return;
        };
        let before = self.ended.len();
        let moved = self.with.cache.end_rows(rows, &mut self.ended);
        self.note(moved);
        self.onlookers
            .flushed(self.ended.len() - before, moved.ended);
    }

    /// Goes over to another policy. Of flows that it has no room for a part is ended at a time, as the
    /// queues have room: none is lost for that the cache became smaller.
    fn take_policy(&mut self) {
        let Some((policy, waiting)) = &mut self.policy else {
            return;
        };
        let policy = *policy;
        let flows = usize::try_from(policy.max_flows.get()).unwrap_or(usize::MAX);
        if self.with.cache.len() <= flows {
            self.policy = None;
            let moved = self.with.cache.set_policy(policy, &mut self.ended);
            self.note(moved);
            return;
        }
        let mut collectors = self.with.export.collectors().iter();
        if collectors.all(|collector| collector.has_room(EXPIRE_AT_ONCE)) {
            *waiting = None;
        } else if waiting.get_or_insert_with(Instant::now).elapsed() < SHRINK_PATIENCE {
            return;
        }
        let cache = &mut self.with.cache;
        let moved = cache.shrink(policy.max_flows, EXPIRE_AT_ONCE, &mut self.ended);
        self.note(moved);
    }

    /// Writes down what moved.
    fn note(&self, moved: Movement) {
        self.with.ledger.observe(moved.taken);
        self.with
            .ledger
            .lose_from_cache(LossReason::Duplicate, moved.dropped);
        self.with.ledger.queue(moved.ended);
    }

    /// Hands what ended to the collectors.
    fn send(&mut self) {
        if self.ended.is_empty() {
            return;
        }
        // One pair of readings for all: the flows' times keep their distances.
        let (now, mono) = (UnixTime::from(SystemTime::now()), boot_clock_ns());
        for flows in self.ended.chunks(BATCH) {
            let records = flows
                .iter()
                .map(|flow| {
                    flow.into_record(
                        now,
                        mono,
                        self.with.names.get(flow.id.if_index),
                        self.with.agent,
                    )
                })
                .collect();
            self.with.export.send(records);
        }
        self.ended.clear();
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Interface { index, name } => {
                let reused = self.gone.iter().any(|&(gone, _)| gone == index);
                if reused || self.with.names.differs(index, &name) {
                    // What the kernel has of the old name must not come under the new one.
                    self.gone.retain(|&(gone, _)| gone != index);
                    self.turn_now();
                    self.merge();
                    self.end_interface(index);
                }
                self.with.names.set(index, &name);
            }
            Command::Gone { index } => self.gone.push((index, self.turns.requested + 1)),
            Command::Policy(policy) => self.policy = Some((policy, None)),
            Command::Export(export) => self.with.export = export,
            Command::Agent(address) => self.with.agent = address,
            Command::DrainInterval(interval) => self.with.drain_interval = interval,
            Command::Visit(visitor) => self.onlookers.add_visitor(visitor),
            Command::Watch(watcher) => self.onlookers.add_watcher(watcher),
            // A turn that is under way may have begun before what is meant was counted.
            Command::Flush(reply) => self.onlookers.ask_flush(reply, self.turns.requested + 1),
            Command::Stop => {}
        }
    }

    /// Ends the flows of interfaces that are gone, once all that was counted there has come.
    fn end_gone(&mut self) {
        let settled = self.turns.requested;
        let gone: Vec<u32> = self
            .gone
            .extract_if(.., |&mut (_, turn)| turn <= settled)
            .map(|(index, _)| index)
            .collect();
        for index in gone {
            self.end_interface(index);
            self.with.names.remove(index);
        }
    }

    /// Ends the flows of an interface while its name is still that under which they were seen.
    fn end_interface(&mut self, index: u32) {
        let moved = self.with.cache.end_interface(index, &mut self.ended);
        self.note(moved);
        self.send();
    }

    /// Turns the generation and waits for it.
    fn turn_now(&mut self) {
        self.records.clear();
        if let Some(turned) = self.turns.finish_pending() {
            self.settle(&turned);
        }
        if let Some(turned) = self.turns.turn() {
            self.settle(&turned);
        }
    }

    /// The end: everything is read, ended, and sent as far as the collectors take it.
    fn finish(&mut self) {
        self.turn_now();
        self.merge();
        let deadline = Instant::now() + LAST_BATCHES;
        self.send();
        while !self.with.cache.is_empty() {
            self.with.export.wait_for_room(BATCH, deadline);
            let moved = self.with.cache.flush(BATCH, &mut self.ended);
            self.note(moved);
            self.send();
        }
        self.with.gauges.flows.store(0, Ordering::Relaxed);
    }
}

/// Looks for a turn that is under way are no further apart than this.
const TURN_POLL: Duration = Duration::from_millis(5);

/// How long until the next look into the logs, after one that found `read` records, `elapsed` after
/// the look before: so long that a log of `log_records` gets an eighth full at the same rate, and no
/// longer than a CPU takes to fill it that evicts a flow with every packet from now on.
fn pause(read: usize, elapsed: Duration, log_records: u32) -> Duration {
    /// Records that a CPU writes in a second at most: 250 ns for a packet are not enough for all that
    /// a kernel does with it.
    const FASTEST: u32 = 4_000_000;
    const SHORTEST_IDLE: Duration = Duration::from_millis(5);
    const LONGEST: Duration = Duration::from_millis(20);
    let idle = Duration::from_secs(1) * log_records / FASTEST;
    let idle = idle.clamp(SHORTEST_IDLE, LONGEST);
    match u32::try_from(read) {
        Ok(0) => idle,
        // As if one CPU had written all of it.
        Ok(read) if usize::try_from(read).unwrap_or(usize::MAX) < READ_AT_ONCE => {
            (elapsed * (log_records / 8) / read).min(idle)
        }
        _ => Duration::ZERO,
    }
}

/// The thread that waits for the kernel.
struct Turns {
    requests: Sender<Wait>,
    results: Receiver<io::Result<Turned>>,
    pending: bool,
    /// Turns asked for so far; all but one that is pending are done.
    requested: u64,
    /// When the last one was asked for, by the boot clock.
    asked_ns: u64,
    /// Packets that came before this moment, by the boot clock, are no longer in the kernel.
    read_until_ns: u64,
}

/// What the thread is asked for.
enum Wait {
    /// [`Turn::turn`].
    Turn,
    /// [`Turn::quiesce`].
    Quiesce,
}

impl Turns {
    fn spawn(mut turn: Turn) -> io::Result<Self> {
        let (requests, requested) = channel::<Wait>();
        let (done, results) = channel();
        thread::Builder::new()
            .name("turn".to_owned())
            .spawn(move || {
                for wait in requested {
                    let result = match wait {
                        Wait::Turn => turn.turn(),
                        Wait::Quiesce => turn.quiesce(),
                    };
                    if done.send(result).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self {
            requests,
            results,
            pending: false,
            requested: 0,
            asked_ns: 0,
            read_until_ns: 0,
        })
    }

    /// Asks for a turn, unless one is under way; returns whether it was asked for.
    fn request(&mut self) -> bool {
        let now_ns = boot_clock_ns();
        let asked = self.ask(Wait::Turn);
        if asked {
            self.asked_ns = now_ns;
        }
        asked
    }

    /// Asks for the generation to be quiet that was counted into before this process began.
    fn quiesce(&mut self) {
        self.ask(Wait::Quiesce);
    }

    fn ask(&mut self, wait: Wait) -> bool {
        if self.pending {
            return false;
        }
        self.pending = self.requests.send(wait).is_ok();
        self.requested += u64::from(self.pending);
        self.pending
    }

    /// The turn that was asked for, if it is done.
    fn done(&mut self) -> Option<Turned> {
        let result = self.results.try_recv().ok()?;
        self.pending = false;
        // Also where it failed: flows have to end some time.
        self.read_until_ns = self.asked_ns;
        accept(result)
    }

    /// Waits for the turn that is under way, if one is.
    fn finish_pending(&mut self) -> Option<Turned> {
        if !self.pending {
            return None;
        }
        self.pending = false;
        accept(self.results.recv().ok()?)
    }

    /// Asks for a turn and waits for it.
    fn turn(&mut self) -> Option<Turned> {
        self.request().then(|| self.finish_pending()).flatten()
    }
}

fn accept(result: io::Result<Turned>) -> Option<Turned> {
    result
        .inspect_err(|error| tracing::error!(%error, "cannot wait for the kernel programs"))
        .ok()
}

/// The kernel's counters as the ledger reads them.
pub fn kernel_reading(tables: &Tables) -> KernelReading {
    let KernelCounters {
        observed, dropped, ..
    } = tables.counters();
    KernelReading {
        observed: count(observed),
        lost: losses(&dropped),
    }
}

fn losses(dropped: &[Tally; DROP_REASONS]) -> Losses {
    DropReason::ALL
        .into_iter()
        .map(|reason| (loss_reason(reason), count(dropped[reason as usize])))
        .collect()
}

/// The ledger's name for what the kernel dropped a packet for.
pub fn loss_reason(reason: DropReason) -> LossReason {
    match reason {
        DropReason::NotIp => LossReason::NotIp,
        DropReason::Truncated => LossReason::Truncated,
        DropReason::Malformed => LossReason::Malformed,
        DropReason::TooDeep => LossReason::TooDeep,
        DropReason::NotSampled => LossReason::NotSampled,
        DropReason::LogFull => LossReason::LogFull,
        DropReason::UnknownCpu => LossReason::UnknownCpu,
        DropReason::Filtered => LossReason::Filtered,
    }
}

/// Says what died with an exporter that was killed.
fn say_crash(lost: Count) {
    if !lost.is_zero() {
        tracing::warn!(
            packets = lost.packets,
            octets = lost.octets,
            "lost with the exporter before this one: it had read them and not exported them"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuller_a_log_gets_the_sooner_it_is_looked_at_again() {
        const LOG: u32 = 65_536;
        let ms = Duration::from_millis;
        let idle = pause(0, ms(5), LOG);
        // Nothing that a CPU can do fills the log meanwhile.
        assert_eq!(idle, Duration::from_micros(16_384));
        assert_eq!(pause(1, ms(16), LOG), idle);
        assert_eq!(pause(8192, ms(10), LOG), ms(10));
        assert_eq!(pause(16_384, ms(10), LOG), ms(5));
        assert_eq!(pause(READ_AT_ONCE, ms(10), LOG), Duration::ZERO);
        // The look that comes at once says nothing of the rate, and then waits like an idle one.
        assert_eq!(pause(0, Duration::ZERO, LOG), idle);
        // A small log is not polled all the time for nothing, a large one not forgotten.
        assert_eq!(pause(0, ms(5), 1024), ms(5));
        assert_eq!(pause(0, ms(5), 1 << 20), ms(20));
        assert_eq!(pause(128, ms(5), 1024), ms(5));
        assert_eq!(pause(1024, ms(5), 1024), Duration::from_micros(625));
    }
}
