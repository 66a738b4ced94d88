//! From the kernel's tables to owned batches of records, nothing lost, nothing twice.
//!
//! Two sources: the eviction logs, read all the time without a system call, and the caches, of
//! which the one that is not counted into is read once a turn. A turn is: name the other
//! generation, wait until no program still counts into the old one ([`Turn`], in a thread of its
//! own, for the wait is long under load), read the log up to where it stood then, read the quiet
//! cache, and compare what came with what the kernel says it observed. What does not add up is
//! reported, to the packet.

use super::bpf::{GracePeriod, boot_offset_ns};
use super::error::Error;
use super::mapped::{Mapped, load_acquire};
use super::object::{NetMaps, Sizes};
use super::ticks::Ticks;
use ebpfix_probes::abi::{
    Control, Counters, CpuState, DROP_REASONS, GENERATIONS, HashedRecord, Set, Slot, Tally,
    Timestamps,
};
use std::io;
use std::mem::offset_of;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Records read from one log before its position is given back to the kernel.
const LOG_BATCH: usize = 512;

/// Differences of the clocks' distance below this are of its measuring.
const CLOCK_NOISE_NS: u64 = 1_000_000;

/// The tables, mapped.
pub struct Tables {
    control: Mapped<Control>,
    cpu_state: Mapped<CpuState>,
    aggregated_flows: Mapped<Set>,
    direct_flows: Mapped<HashedRecord>,
    sizes: Sizes,
    /// How far the boot clock is ahead of the monotonic one, as the ticks' origin has it.
    suspended_ns: Mutex<u64>,
}

/// Reads the tables. One at a time.
pub struct Drain {
    tables: Arc<Tables>,
    cpus: Vec<CpuAccount>,
    /// What came in records of the generation that is counted into, and of the one before.
    merged: [Tally; GENERATIONS],
    /// The generation that is counted into, as far as this side has got.
    generation: u32,
    scratch: Vec<Set>,
}

/// What is known of one CPU's counters, by parity of the generation, at the last turn. The last one
/// is that of CPUs without a cache.
#[derive(Clone, Copy, Default)]
struct CpuAccount {
    settled: [Counters; GENERATIONS],
}

/// Turns the generation. Belongs in a thread of its own.
pub struct Turn {
    tables: Arc<Tables>,
    grace_period: GracePeriod,
    ticks: Ticks,
}

/// A turn that is done: the generation before it is quiet.
#[derive(Debug)]
pub struct Turned {
    /// The generation that is quiet now.
    quiet: u32,
    /// Where each log stood after the wait: every record of the quiet generation is before.
    produced: Vec<u64>,
}

/// What a turn brought beside the records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Settlement {
    /// What the kernel observed in the generation.
    pub observed: Tally,
    /// What it put in no flow, by [`ebpfix_probes::abi::DropReason`].
    pub dropped: [Tally; DROP_REASONS],
    /// Observed, but neither in a record nor dropped. Zero unless something is broken.
    pub unaccounted: Tally,
    /// In records, but never observed. Zero unless something is broken.
    pub surplus: Tally,
}

/// The kernel's own counters, as they stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KernelCounters {
    /// Everything that came by.
    pub observed: Tally,
    /// Frames and octets as interface counters see them.
    pub frames: Tally,
    /// What is in no flow, by [`ebpfix_probes::abi::DropReason`].
    pub dropped: [Tally; DROP_REASONS],
}

impl Tables {
    /// Maps new tables and writes what the programs need to know.
    pub fn new(maps: &NetMaps, sizes: Sizes, control: Control) -> Result<Self, Error> {
        let tables = Self::map(maps, sizes)?;
        tables.control.write(0, control);
        Ok(tables)
    }

    /// Maps tables that are counted into, and changes nothing in them.
    pub(super) fn map(maps: &NetMaps, sizes: Sizes) -> Result<Self, Error> {
        let elements = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        Ok(Self {
            control: Mapped::new(&maps.control, 1)?,
            cpu_state: Mapped::new(&maps.cpu_state, elements(sizes.cpus + 1))?,
            aggregated_flows: Mapped::new(
                &maps.aggregated_flows,
                elements(sizes.cpus * 2 * sizes.sets),
            )?,
            direct_flows: Mapped::new(
                &maps.direct_flows,
                elements(sizes.cpus * sizes.log_records),
            )?,
            sizes,
            suspended_ns: Mutex::new(boot_offset_ns()),
        })
    }

    /// How large they are.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Sets whether frames that are not IP become layer-2 flows.
    pub fn set_layer2_flows(&self, layer2_flows: bool) {
        // `sets` shares the word, and stays.
        let word = self.control.word(0, offset_of!(Control, layer2_flows));
        let sets = word.load(Ordering::Relaxed) & !0xffff_ffff;
        word.store(sets | u64::from(layer2_flows), Ordering::Relaxed);
    }

    /// The kernel's counters now. Each number is exact, but they are not of one instant: what is
    /// dropped is read first, so that it never exceeds what was observed.
    pub fn counters(&self) -> KernelCounters {
        counters_of(&self.cpu_state)
    }

    /// Sets the sampling to 1 in `interval` packets; 0 and 1: every packet. Records carry the
    /// interval that they were counted under.
    pub fn set_sampling(&self, interval: u32) {
        // `generation` shares the word and may be turned at the same time.
        let word = self.control.word(0, offset_of!(Control, generation));
        let _ = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            Some(word & 0xffff_ffff | u64::from(interval) << 32)
        });
    }

    /// Sets which packets are stamped by the fine clock.
    pub fn set_timestamps(&self, timestamps: Timestamps) {
        // `tick_ns` shares the word.
        let word = self.control.word(0, offset_of!(Control, tick_ns));
        let _ = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            Some(word & 0xffff_ffff | u64::from(timestamps as u32) << 32)
        });
    }

    /// Tells the programs when the kernel's ticks are, by the boot clock. To be called now and then.
    fn follow_ticks(&self, ticks: &Ticks) {
        let Ok(tick) = ticks.last() else {
            // What the programs were told last is right until the clocks drift apart.
            return;
        };
        let mut suspended = self.suspended();
        *suspended = boot_offset_ns();
        let length = u64::from(ticks.length_ns());
        let word = self.control.word(0, offset_of!(Control, tick_ns));
        let _ = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            Some(word & !0xffff_ffff | length)
        });
        let origin =
            (tick.monotonic_ns + *suspended).wrapping_sub(tick.number.wrapping_mul(length));
        let word = self.control.word(0, offset_of!(Control, tick_origin_ns));
        let told = word.load(Ordering::Relaxed);
        // The least of several readings is the best: a tick is handled late at times, never early.
        let later = origin.wrapping_sub(told).cast_signed();
        if later < 0 || later.unsigned_abs() > length {
            word.store(origin, Ordering::Relaxed);
        }
    }

    /// Moves the ticks by what the machine was suspended since the last call. To be called often: each
    /// packet until then gets a time before the suspend.
    fn follow_suspend(&self) {
        let mut suspended = self.suspended();
        let offset = boot_offset_ns();
        // What the two readings are apart by is no suspend.
        if suspended.abs_diff(offset) > CLOCK_NOISE_NS {
            self.control
                .word(0, offset_of!(Control, tick_origin_ns))
                .fetch_add(offset.wrapping_sub(*suspended), Ordering::Relaxed);
            *suspended = offset;
        }
    }

    fn suspended(&self) -> MutexGuard<'_, u64> {
        self.suspended_ns
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Records in all logs that wait to be read, and how many there is room for.
    pub fn log_fill(&self) -> (u64, u64) {
        let waiting = (0..self.cpus())
            .map(|cpu| {
                load_acquire(self.produced(cpu)) - self.consumed(cpu).load(Ordering::Relaxed)
            })
            .sum();
        (
            waiting,
            u64::from(self.sizes.cpus) * u64::from(self.sizes.log_records),
        )
    }

    /// CPUs that have a cache and a log.
    fn cpus(&self) -> usize {
        self.cpu_state.len() - 1
    }

    fn produced(&self, cpu: usize) -> &AtomicU64 {
        self.cpu_state.word(cpu, offset_of!(CpuState, produced))
    }

    fn consumed(&self, cpu: usize) -> &AtomicU64 {
        self.cpu_state.word(cpu, offset_of!(CpuState, consumed))
    }
}

/// Adds up the counters of all CPUs.
pub(super) fn counters_of(cpu_state: &Mapped<CpuState>) -> KernelCounters {
    let mut sum = KernelCounters::default();
    for cpu in 0..cpu_state.len() {
        let state = cpu_state.read(cpu);
        for counters in &state.counters {
            for (sum, dropped) in sum.dropped.iter_mut().zip(&counters.dropped) {
                add(sum, *dropped);
            }
        }
    }
    for cpu in 0..cpu_state.len() {
        let state = cpu_state.read(cpu);
        for counters in &state.counters {
            add(&mut sum.observed, counters.observed);
            add(&mut sum.frames, counters.frames);
        }
    }
    sum
}

impl Turn {
    /// For these tables.
    pub fn new(tables: Arc<Tables>) -> Result<Self, Error> {
        let ticks = Ticks::new()?;
        tables.follow_ticks(&ticks);
        Ok(Self {
            tables,
            grace_period: GracePeriod::new()?,
            ticks,
        })
    }

    /// Names the other generation and waits until nothing counts into the old one. The old one
    /// must have been settled ([`Drain::settle`]) since the turn before: its cache is used next.
    pub fn turn(&mut self) -> io::Result<Turned> {
        self.tables.follow_ticks(&self.ticks);
        let word = self.tables.control.word(0, offset_of!(Control, generation));
        // Kept from carrying into the sampling, which is the other half of the word.
        let old = word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                let generation = u64::from(low(word).wrapping_add(1));
                Some(word & !0xffff_ffff | generation)
            })
            .unwrap_or_else(|word| word);
        self.wait_for(low(old))
    }

    /// Waits until nothing counts into the generation before the present one: what an exporter that
    /// was killed turned and may not have settled. To be settled before the first turn.
    pub fn quiesce(&mut self) -> io::Result<Turned> {
        let word = self.tables.control.word(0, offset_of!(Control, generation));
        self.wait_for(low(word.load(Ordering::Acquire)).wrapping_sub(1))
    }

    fn wait_for(&mut self, quiet: u32) -> io::Result<Turned> {
        self.grace_period.wait()?;
        let produced = (0..self.tables.cpus())
            .map(|cpu| load_acquire(self.tables.produced(cpu)))
            .collect();
        Ok(Turned { quiet, produced })
    }
}

impl Drain {
    /// For these tables, from their first generation on.
    ///
    /// Where another exporter read them before, what it took is [`unaccounted`] in the first two
    /// settlements: that of [`Turn::quiesce`] and that of the first turn.
    ///
    /// [`unaccounted`]: Settlement::unaccounted
    pub fn new(tables: Arc<Tables>) -> Self {
        let cpus = vec![CpuAccount::default(); tables.cpu_state.len()];
        let generation = low(tables
            .control
            .word(0, offset_of!(Control, generation))
            .load(Ordering::Acquire));
        Self {
            tables,
            cpus,
            merged: Default::default(),
            generation,
            scratch: Vec::new(),
        }
    }

    /// Records of one log that [`read_log`](Self::read_log) takes where they are there, at least:
    /// where fewer came in all, no more are waiting.
    pub const SHARE: usize = LOG_BATCH;

    /// Records that the log of one CPU holds.
    pub fn log_records(&self) -> u32 {
        self.tables.sizes.log_records
    }

    /// Appends records that wait in the logs to `out`, about `most` of them; returns how many.
    pub fn read_log(&mut self, most: usize, out: &mut Vec<HashedRecord>) -> usize {
        // Here, and not at turns alone: after a suspend every packet until then gets a time before it.
        self.tables.follow_suspend();
        let before = out.len();
        // Every CPU gets its share of a batch, lest one that floods starves the others.
        let share = (most / self.tables.cpus()).max(LOG_BATCH);
        for cpu in 0..self.tables.cpus() {
            let end = load_acquire(self.tables.produced(cpu));
            self.read_log_of(cpu, end, share, out);
        }
        out.len() - before
    }

    /// Brings a turn to its end: appends what the logs hold of the quiet generation and its cache
    /// to `out`, and says whether all of it is there.
    pub fn settle(&mut self, turned: &Turned, out: &mut Vec<HashedRecord>) -> Settlement {
        for (cpu, &end) in turned.produced.iter().enumerate() {
            self.read_log_of(cpu, end, usize::MAX, out);
        }
        let parity = parity_of(turned.quiet);
        let mut settlement = Settlement::default();
        for cpu in 0..self.cpus.len() {
            let counters = self.tables.cpu_state.read(cpu).counters[parity];
            let before = std::mem::replace(&mut self.cpus[cpu].settled[parity], counters);
            if counters == before {
                // Nothing came by on this CPU: its cache is as empty as it was left.
                continue;
            }
            add(
                &mut settlement.observed,
                difference(counters.observed, before.observed),
            );
            for reason in 0..DROP_REASONS {
                add(
                    &mut settlement.dropped[reason],
                    difference(counters.dropped[reason], before.dropped[reason]),
                );
            }
            if cpu < self.tables.cpus() {
                self.read_cache_of(cpu, parity, out);
            }
        }
        let merged = std::mem::take(&mut self.merged[parity]);
        self.generation = turned.quiet.wrapping_add(1);
        let mut expected = settlement.observed;
        for dropped in settlement.dropped {
            expected = difference(expected, dropped);
        }
        settlement.unaccounted = Tally {
            packets: expected.packets.saturating_sub(merged.packets),
            octets: expected.octets.saturating_sub(merged.octets),
        };
        settlement.surplus = Tally {
            packets: merged.packets.saturating_sub(expected.packets),
            octets: merged.octets.saturating_sub(expected.octets),
        };
        settlement
    }

    /// Reads one CPU's log up to `end`, `most` records of it.
    fn read_log_of(&mut self, cpu: usize, end: u64, most: usize, out: &mut Vec<HashedRecord>) {
        let records = u64::from(self.tables.sizes.log_records);
        let mut position = self.tables.consumed(cpu).load(Ordering::Relaxed);
        let mut left = most;
        while position < end && left > 0 {
            let place = position % records;
            // As far as the log goes without wrapping around.
            let count = (end - position).min(records - place).min(LOG_BATCH as u64);
            let count = usize::try_from(count).unwrap_or(LOG_BATCH).min(left);
            let first = usize::try_from(cpu as u64 * records + place).unwrap_or(usize::MAX);
            let from = out.len();
            self.tables.direct_flows.copy_out(first, count, out);
            for record in &out[from..] {
                let metrics = &record.record.metrics;
                add(
                    &mut self.merged[parity_of(record.generation)],
                    Tally {
                        packets: metrics.packets,
                        octets: metrics.bytes,
                    },
                );
            }
            position += count as u64;
            left -= count;
            // Often, so that a log which is nearly full has room again soon.
            self.tables.consumed(cpu).store(position, Ordering::Release);
        }
    }

    /// Moves the records of one CPU's quiet cache to `out` and leaves it empty.
    fn read_cache_of(&mut self, cpu: usize, parity: usize, out: &mut Vec<HashedRecord>) {
        let sets = usize::try_from(self.tables.sizes.sets).unwrap_or(usize::MAX);
        let first = (cpu * GENERATIONS + parity) * sets;
        self.scratch.clear();
        self.tables
            .aggregated_flows
            .copy_out(first, sets, &mut self.scratch);
        let packets =
            offset_of!(Slot, entry) + offset_of!(HashedRecord, record) + PACKETS_IN_RECORD;
        for (index, set) in self.scratch.iter().enumerate() {
            for (way, slot) in set.iter().enumerate() {
                let metrics = slot.entry.record.metrics;
                if metrics.packets == 0 {
                    continue;
                }
                out.push(slot.entry);
                add(
                    &mut self.merged[parity],
                    Tally {
                        packets: metrics.packets,
                        octets: metrics.bytes,
                    },
                );
                self.tables
                    .aggregated_flows
                    .word(first + index, way * size_of::<Slot>() + packets)
                    .store(0, Ordering::Relaxed);
            }
        }
    }
}

/// Where the packets stand in a record: no packets, no record.
const PACKETS_IN_RECORD: usize = offset_of!(ebpfix_probes::abi::FlowRecord, metrics)
    + offset_of!(ebpfix_probes::abi::FlowMetrics, packets);

fn parity_of(generation: u32) -> usize {
    usize::from(generation & 1 == 1)
}

fn low(word: u64) -> u32 {
    u32::try_from(word & 0xffff_ffff).unwrap_or(0)
}

fn add(sum: &mut Tally, tally: Tally) {
    sum.packets += tally.packets;
    sum.octets += tally.octets;
}

fn difference(now: Tally, before: Tally) -> Tally {
    Tally {
        packets: now.packets.wrapping_sub(before.packets),
        octets: now.octets.wrapping_sub(before.octets),
    }
}
