//! The ledger: what became of every packet.
//!
//! At any reading `observed = exported + held + lost`, in packets and in octets. The law cannot be
//! broken from outside, because there is no way to write to one side alone: every operation moves a
//! [`Count`] from one place to the next.
//!
//! ```text
//!            kernel --observe--> cache --queue--> queue --export--> exported
//!               \                  \                \
//!                lost               lost             lost
//! ```
//!
//! With a [`Journal`] it goes on where the exporter before ended, also one that was killed.
#![forbid(unsafe_code)]

use std::fmt;
use std::ops::{Add, AddAssign};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

/// A number of packets, and of octets in them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// IP octets.
    pub octets: u64,
}

impl Count {
    /// Nothing.
    pub const ZERO: Self = Self {
        packets: 0,
        octets: 0,
    };

    /// This many packets, of this many octets in all.
    pub const fn new(packets: u64, octets: u64) -> Self {
        Self { packets, octets }
    }

    /// Whether it is no packet and no octet.
    pub const fn is_zero(self) -> bool {
        self.packets == 0 && self.octets == 0
    }

    /// What is left after `other` is taken away, each number at least 0.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self {
            packets: self.packets.saturating_sub(other.packets),
            octets: self.octets.saturating_sub(other.octets),
        }
    }

    /// The lesser of each number.
    #[must_use]
    fn min(self, other: Self) -> Self {
        Self {
            packets: self.packets.min(other.packets),
            octets: self.octets.min(other.octets),
        }
    }
}

impl Add for Count {
    type Output = Self;

    /// The sum, each number at most `u64::MAX`.
    fn add(self, other: Self) -> Self {
        Self {
            packets: self.packets.saturating_add(other.packets),
            octets: self.octets.saturating_add(other.octets),
        }
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::iter::Sum for Count {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::ZERO, Add::add)
    }
}

// The order is that of the ledger page in the kernel's memory, which one version leaves to the next:
// new reasons go to the end.
macro_rules! loss_reasons {
    ($($reason:ident: $name:literal, $description:literal;)*) => {
        /// Why packets that were observed are not exported.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum LossReason {
            $(#[doc = $description] $reason,)*
        }

        impl LossReason {
            /// Every reason, in the order in which they are shown.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$reason),*];

            /// The name in JSON, metrics and logs. It never changes.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$reason => $name,)*
                }
            }

            /// What it means, in one line.
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$reason => $description,)*
                }
            }
        }
    };
}

loss_reasons! {
    NotIp: "not_ip", "neither IPv4 nor IPv6, and layer-2 flows are not counted";
    Malformed: "malformed", "the headers contradict themselves or each other";
    Truncated: "truncated", "the packet ends within its headers";
    TooDeep: "too_deep", "more tags, labels or extension headers than are looked through";
    NotSampled: "not_sampled", "not selected by sampling";
    LogFull: "log_full", "the kernel's log of flow records was full";
    UnknownCpu: "unknown_cpu", "counted on a CPU that has no table";
    Unaccounted: "unaccounted", "observed in the kernel and never read from there";
    Duplicate: "duplicate", "seen on another interface too, and duplicates are dropped by configuration";
    ExportQueueFull: "export_queue_full", "the export queue was full";
    NotSent: "not_sent", "the message could not be sent";
    NoCollector: "no_collector", "no collector is configured";
    Encode: "encode", "the flow record could not be encoded";
    NotInProtocol: "not_in_protocol", "no collector's protocol has a record for it; version 5 has one for IPv4 alone";
    Crash: "crash", "the exporter that had read it from the kernel ended before it was exported";
    UnknownLink: "unknown_link", "of a link type that cannot be read, in a capture";
    Filtered: "filtered", "not meant by the filter of the configuration";
}

impl LossReason {
    /// Place in [`LossReason::ALL`].
    const fn index(self) -> usize {
        self as usize
    }

    /// The reason of this [name](LossReason::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A [`Count`] for each [`LossReason`].
///
/// In JSON a map from each reason's name, the zeros included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Losses([Count; LossReason::ALL.len()]);

impl Losses {
    /// Adds to what was lost for `reason`.
    pub fn add(&mut self, reason: LossReason, count: Count) {
        self.0[reason.index()] += count;
    }

    /// What was lost for `reason`.
    pub fn of(&self, reason: LossReason) -> Count {
        self.0[reason.index()]
    }

    /// What was lost for any reason.
    pub fn total(&self) -> Count {
        self.0.iter().copied().sum()
    }

    /// Every reason with what was lost for it.
    pub fn iter(&self) -> impl Iterator<Item = (LossReason, Count)> {
        LossReason::ALL.into_iter().zip(self.0)
    }
}

impl AddAssign<&Losses> for Losses {
    fn add_assign(&mut self, other: &Losses) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }
}

impl FromIterator<(LossReason, Count)> for Losses {
    fn from_iter<I: IntoIterator<Item = (LossReason, Count)>>(counts: I) -> Self {
        let mut losses = Self::default();
        for (reason, count) in counts {
            losses.add(reason, count);
        }
        losses
    }
}

impl Serialize for Losses {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(self.0.len()))?;
        for (reason, count) in self.iter() {
            map.serialize_entry(reason.name(), &count)?;
        }
        map.end()
    }
}

/// The kernel's own counters at one moment, since the exporter took over: what the exporter then
/// found in the kernel and had still to read belongs to `observed`, what was lost before does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KernelReading {
    /// All that was observed, whatever became of it.
    pub observed: Count,
    /// The part of it that was lost in the kernel.
    pub lost: Losses,
}

/// What has become of packets for good, and is to be known to the exporter that comes after this one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Past {
    /// What was exported.
    pub exported: Count,
    /// What was lost, but for what the present kernel counters say themselves.
    pub lost: Losses,
    /// What was observed by others than the present kernel counters.
    pub elsewhere: Count,
}

impl Past {
    /// What exporters before took from the kernel's present counters and brought to no end, if
    /// `taken` is all that they took.
    pub fn unfinished(&self, taken: Count) -> Count {
        (taken + self.elsewhere).saturating_sub(self.exported + self.lost.total())
    }
}

/// Where a [`Past`] is written down, each time that it changes.
pub trait Journal: Send {
    /// Writes it, all or nothing however the process ends; with it the number of the tables that it
    /// now has the contents of, if it is for them that it is written.
    fn write(&mut self, past: &Past, closed: Option<u64>);
}

/// Tables of the kernel that were read to the end and are gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Closed {
    /// Tells the tables from all others.
    pub id: u64,
    /// What was in their records: it is in the flow cache now.
    pub read: Count,
    /// What the kernel lost.
    pub dropped: Losses,
    /// What died with the exporter that had read it.
    pub unfinished: Count,
}

/// Where every packet is that was observed. Shared by all stages, which move packets on from one
/// to the next, a batch at a time.
///
/// A stage that moves on more than it was given has a bug. Then only what is there is moved, the law
/// still holds, and the rest shows as [`Snapshot::overdrawn`].
#[derive(Default)]
pub struct Ledger(Mutex<Books>);

#[derive(Default)]
struct Books {
    accounts: Accounts,
    journal: Option<Box<dyn Journal>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Accounts {
    /// What came to the exporter from elsewhere than the kernel programs that are running now.
    elsewhere: Count,
    cache: Count,
    queue: Count,
    exported: Count,
    lost: Losses,
    overdrawn: Count,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("accounts", &self.books().accounts)
            .finish_non_exhaustive()
    }
}

impl Ledger {
    /// A ledger with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// A ledger that goes on from `past`, and writes on in `journal`. What an exporter before had
    /// read from the kernel and not brought to an end is held by the kernel, as far as can be told,
    /// until it is [lost](Self::lose_from_kernel).
    pub fn resume(past: &Past, journal: Box<dyn Journal>) -> Self {
        Self(Mutex::new(Books {
            accounts: Accounts {
                elsewhere: past.elsewhere,
                exported: past.exported,
                lost: past.lost,
                ..Accounts::default()
            },
            journal: Some(journal),
        }))
    }

    /// Packets were read from the kernel, and are in the flow cache now.
    pub fn observe(&self, count: Count) {
        self.books().accounts.cache += count;
    }

    /// Packets were observed and lost at once by an observer that is not the kernel, such as the
    /// replay of a capture. What the kernel lost comes with its [`KernelReading`] alone.
    pub fn observe_lost(&self, reason: LossReason, count: Count) {
        self.change(|accounts| {
            accounts.elsewhere += count;
            accounts.lost.add(reason, count);
        });
    }

    /// Packets that the kernel observed, did not lose itself, and has no more.
    pub fn lose_from_kernel(&self, reason: LossReason, count: Count) {
        self.change(|accounts| accounts.lost.add(reason, count));
    }

    /// Tables other than those of the present kernel counters are at their end.
    pub fn close_tables(&self, closed: &Closed) {
        let Books { accounts, journal } = &mut *self.books();
        accounts.elsewhere += closed.read + closed.dropped.total() + closed.unfinished;
        accounts.cache += closed.read;
        accounts.lost += &closed.dropped;
        accounts.lost.add(LossReason::Crash, closed.unfinished);
        if let Some(journal) = journal {
            journal.write(&accounts.past(), Some(closed.id));
        }
    }

    /// Flows ended: packets went from the flow cache to the export queue.
    pub fn queue(&self, count: Count) {
        let Accounts {
            cache,
            queue,
            overdrawn,
            ..
        } = &mut self.books().accounts;
        *queue += take(cache, count, overdrawn);
    }

    /// Packets in the flow cache were lost.
    pub fn lose_from_cache(&self, reason: LossReason, count: Count) {
        self.change(|accounts| {
            let lost = take(&mut accounts.cache, count, &mut accounts.overdrawn);
            accounts.lost.add(reason, lost);
        });
    }

    /// Flow Records were exported: their packets left the export queue.
    pub fn export(&self, count: Count) {
        self.change(|accounts| {
            accounts.exported += take(&mut accounts.queue, count, &mut accounts.overdrawn);
        });
    }

    /// Packets in the export queue were lost.
    pub fn lose_from_queue(&self, reason: LossReason, count: Count) {
        self.change(|accounts| {
            let lost = take(&mut accounts.queue, count, &mut accounts.overdrawn);
            accounts.lost.add(reason, lost);
        });
    }

    /// The kernel programs are gone for good: their last counters are taken over, and what was
    /// observed and not read is lost as [`LossReason::Unaccounted`]. Those of other programs may
    /// follow, counting from 0.
    pub fn close_kernel(&self, last: &KernelReading) {
        self.change(|accounts| {
            let unread = accounts.in_kernel(last);
            accounts.lost += &last.lost;
            accounts.lost.add(LossReason::Unaccounted, unread);
            accounts.elsewhere = accounts.in_hands();
        });
    }

    /// The state of all stages, and of the kernel as it was read.
    ///
    /// `kernel` should be read after the last [`observe`](Ledger::observe); what was read out after
    /// `kernel` was read shows as [`Snapshot::kernel_excess`], and never unbalances anything. Where
    /// several threads are at work, [`snapshot_with`](Ledger::snapshot_with) is exact.
    pub fn snapshot(&self, kernel: &KernelReading) -> Snapshot {
        self.books().accounts.snapshot(kernel)
    }

    /// The state of all stages, and of the kernel as `read` finds it: nothing moves meanwhile.
    pub fn snapshot_with(&self, read: impl FnOnce() -> KernelReading) -> Snapshot {
        let books = self.books();
        books.accounts.snapshot(&read())
    }

    /// Changes what the journal is to know.
    fn change(&self, change: impl FnOnce(&mut Accounts)) {
        let Books { accounts, journal } = &mut *self.books();
        let before = accounts.past();
        change(accounts);
        let past = accounts.past();
        if let Some(journal) = journal.as_mut().filter(|_| past != before) {
            journal.write(&past, None);
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // Each operation leaves the books in order at every step that could panic (none can).
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes `count` out of `place`, or what is there; the rest is overdrawn.
fn take(place: &mut Count, count: Count, overdrawn: &mut Count) -> Count {
    let taken = count.min(*place);
    *place = place.saturating_sub(taken);
    *overdrawn += count.saturating_sub(taken);
    taken
}

impl Accounts {
    /// All that came to the exporter.
    fn in_hands(&self) -> Count {
        self.cache + self.queue + self.exported + self.lost.total()
    }

    /// What the kernel observed, did not lose, and still has.
    fn in_kernel(&self, kernel: &KernelReading) -> Count {
        (kernel.observed + self.elsewhere).saturating_sub(self.in_hands() + kernel.lost.total())
    }

    fn past(&self) -> Past {
        Past {
            exported: self.exported,
            lost: self.lost,
            elsewhere: self.elsewhere,
        }
    }

    fn snapshot(&self, kernel: &KernelReading) -> Snapshot {
        let in_kernel = self.in_kernel(kernel);
        let mut lost = self.lost;
        lost += &kernel.lost;
        let accounted = self.in_hands() + kernel.lost.total();
        Snapshot {
            observed: accounted + in_kernel,
            exported: self.exported,
            held_by: HeldBy {
                kernel: in_kernel,
                cache: self.cache,
                queue: self.queue,
            },
            lost,
            overdrawn: self.overdrawn,
            kernel_excess: accounted.saturating_sub(kernel.observed + self.elsewhere),
        }
    }
}

/// The ledger at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Snapshot {
    /// All packets observed since the start.
    pub observed: Count,
    /// Packets of the Flow Records that were exported.
    pub exported: Count,
    /// Packets that are still somewhere in the exporter.
    pub held_by: HeldBy,
    /// Packets that were lost, by reason.
    pub lost: Losses,
    /// What a stage moved on without having it. Anything but zero is a bug.
    pub overdrawn: Count,
    /// What was read from the kernel or lost there beyond what it says it observed: packets read
    /// after its counters were, or counted twice. Says nothing where no kernel is read (replay).
    pub kernel_excess: Count,
}

/// Where packets are that are neither exported nor lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct HeldBy {
    /// In the kernel's tables and log.
    pub kernel: Count,
    /// In the flow cache: of flows that go on.
    pub cache: Count,
    /// In the export queue: of flows that ended.
    pub queue: Count,
}

impl HeldBy {
    /// All of it.
    pub fn total(&self) -> Count {
        self.kernel + self.cache + self.queue
    }
}

impl Snapshot {
    /// Packets that are neither exported nor lost.
    pub fn held(&self) -> Count {
        self.held_by.total()
    }

    /// Whether `observed = exported + held + lost`, and no stage moved on what it did not have.
    pub fn is_balanced(&self) -> bool {
        self.observed == self.exported + self.held() + self.lost.total() && self.overdrawn.is_zero()
    }
}

impl Serialize for Snapshot {
    /// `observed`, `exported`, `held`, `held_by`, `lost`, and `overdrawn` where it is not zero.
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("observed", &self.observed)?;
        map.serialize_entry("exported", &self.exported)?;
        map.serialize_entry("held", &self.held())?;
        map.serialize_entry("held_by", &self.held_by)?;
        map.serialize_entry("lost", &self.lost)?;
        if !self.overdrawn.is_zero() {
            map.serialize_entry("overdrawn", &self.overdrawn)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// A journal to look into.
    #[derive(Clone, Default)]
    struct Notes(std::sync::Arc<Mutex<Past>>);

    impl Journal for Notes {
        fn write(&mut self, past: &Past, _: Option<u64>) {
            *self.0.lock().unwrap() = *past;
        }
    }

    fn idle() -> KernelReading {
        KernelReading::default()
    }

    #[test]
    fn packets_are_found_where_they_went() {
        let ledger = Ledger::new();
        ledger.observe(Count::new(10, 1_000));
        ledger.observe_lost(LossReason::Malformed, Count::new(1, 60));
        ledger.queue(Count::new(6, 600));
        ledger.lose_from_cache(LossReason::Duplicate, Count::new(2, 200));
        ledger.export(Count::new(3, 300));
        ledger.lose_from_queue(LossReason::NotSent, Count::new(1, 100));

        let snapshot = ledger.snapshot_with(|| KernelReading {
            observed: Count::new(19, 1_940),
            lost: Losses::from_iter([(LossReason::LogFull, Count::new(4, 400))]),
        });
        assert!(snapshot.is_balanced());
        assert_eq!(snapshot.observed, Count::new(20, 2_000));
        assert_eq!(snapshot.exported, Count::new(3, 300));
        let held_by = HeldBy {
            kernel: Count::new(5, 540),
            cache: Count::new(2, 200),
            queue: Count::new(2, 200),
        };
        assert_eq!(snapshot.held_by, held_by);
        assert_eq!(snapshot.lost.of(LossReason::LogFull), Count::new(4, 400));
        assert_eq!(snapshot.lost.total(), Count::new(8, 760));
        assert_eq!(snapshot.kernel_excess, Count::ZERO);
    }

    #[derive(Clone, Copy, Debug)]
    enum Operation {
        KernelObserves(Count),
        KernelLoses(LossReason, Count),
        Observe(Count),
        ObserveLost(LossReason, Count),
        Queue(Count),
        LoseFromCache(LossReason, Count),
        Export(Count),
        LoseFromQueue(LossReason, Count),
        CloseKernel,
        /// The exporter is killed, and another goes on.
        Die,
    }

    fn operation() -> impl Strategy<Value = Operation> {
        let count = || (0_u64..1_000, 0_u64..100_000).prop_map(|(p, o)| Count::new(p, o));
        let reason = || proptest::sample::select(LossReason::ALL.to_vec());
        prop_oneof![
            8 => count().prop_map(Operation::KernelObserves),
            1 => (reason(), count()).prop_map(|(r, c)| Operation::KernelLoses(r, c)),
            4 => count().prop_map(Operation::Observe),
            1 => (reason(), count()).prop_map(|(r, c)| Operation::ObserveLost(r, c)),
            2 => count().prop_map(Operation::Queue),
            1 => (reason(), count()).prop_map(|(r, c)| Operation::LoseFromCache(r, c)),
            2 => count().prop_map(Operation::Export),
            1 => (reason(), count()).prop_map(|(r, c)| Operation::LoseFromQueue(r, c)),
            1 => Just(Operation::CloseKernel),
            1 => Just(Operation::Die),
        ]
    }

    fn law_holds(snapshot: &Snapshot) -> bool {
        let HeldBy {
            kernel,
            cache,
            queue,
        } = snapshot.held_by;
        let sides = [
            snapshot.exported,
            kernel,
            cache,
            queue,
            snapshot.lost.total(),
        ];
        let packets = sides
            .iter()
            .map(|side| u128::from(side.packets))
            .sum::<u128>();
        let octets = sides
            .iter()
            .map(|side| u128::from(side.octets))
            .sum::<u128>();
        u128::from(snapshot.observed.packets) == packets
            && u128::from(snapshot.observed.octets) == octets
    }

    proptest! {
        /// Whatever the stages do, even moving on what they do not have or reading out more than the
        /// kernel says it observed, the law holds at every reading.
        #[test]
        fn the_law_holds_at_any_reading(operations in prop::collection::vec(operation(), 0..60)) {
            let notes = Notes::default();
            let mut ledger = Ledger::resume(&Past::default(), Box::new(notes.clone()));
            let mut kernel = idle();
            for operation in operations {
                match operation {
                    Operation::Die => {
                        let past = *notes.0.lock().unwrap();
                        ledger = Ledger::resume(&past, Box::new(notes.clone()));
                    }
                    Operation::KernelObserves(count) => kernel.observed += count,
                    Operation::KernelLoses(reason, count) => {
                        kernel.observed += count;
                        kernel.lost.add(reason, count);
                    }
                    Operation::Observe(count) => ledger.observe(count),
                    Operation::ObserveLost(reason, count) => ledger.observe_lost(reason, count),
                    Operation::Queue(count) => ledger.queue(count),
                    Operation::LoseFromCache(reason, count) => ledger.lose_from_cache(reason, count),
                    Operation::Export(count) => ledger.export(count),
                    Operation::LoseFromQueue(reason, count) => ledger.lose_from_queue(reason, count),
                    Operation::CloseKernel => {
                        ledger.close_kernel(&kernel);
                        kernel = idle();
                    }
                }
                let snapshot = ledger.snapshot(&kernel);
                prop_assert!(law_holds(&snapshot), "{snapshot:?}");
                prop_assert_eq!(snapshot.is_balanced(), snapshot.overdrawn.is_zero());
            }
        }

        /// Stages that move on only what they have, and a kernel that counts right, read exactly what
        /// was put in.
        #[test]
        fn honest_stages_read_what_was_observed(
            operations in prop::collection::vec(operation(), 0..60)
        ) {
            let notes = Notes::default();
            let mut ledger = Ledger::resume(&Past::default(), Box::new(notes.clone()));
            let mut kernel = idle();
            let mut observed = Count::ZERO;
            let mut exported = Count::ZERO;
            // What exporters that died had read, and what of it was not brought to an end.
            let mut crashed = Count::ZERO;
            for operation in operations {
                let before = ledger.snapshot(&kernel).held_by;
                match operation {
                    Operation::Die => {
                        let past = *notes.0.lock().unwrap();
                        let left = before.kernel;
                        let taken = kernel
                            .observed
                            .saturating_sub(kernel.lost.total() + left);
                        ledger = Ledger::resume(&past, Box::new(notes.clone()));
                        let unfinished = past.unfinished(taken);
                        prop_assert_eq!(unfinished, before.cache + before.queue);
                        ledger.lose_from_kernel(LossReason::Crash, unfinished);
                        crashed += unfinished;
                    }
                    Operation::KernelObserves(count) => {
                        kernel.observed += count;
                        observed += count;
                    }
                    Operation::KernelLoses(reason, count) => {
                        kernel.observed += count;
                        kernel.lost.add(reason, count);
                        observed += count;
                    }
                    Operation::Observe(count) => ledger.observe(count.min(before.kernel)),
                    Operation::ObserveLost(..) => {}
                    Operation::Queue(count) => ledger.queue(count.min(before.cache)),
                    Operation::LoseFromCache(reason, count) => {
                        ledger.lose_from_cache(reason, count.min(before.cache));
                    }
                    Operation::Export(count) => {
                        exported += count.min(before.queue);
                        ledger.export(count.min(before.queue));
                    }
                    Operation::LoseFromQueue(reason, count) => {
                        ledger.lose_from_queue(reason, count.min(before.queue));
                    }
                    Operation::CloseKernel => {
                        ledger.close_kernel(&kernel);
                        kernel = idle();
                    }
                }
                let snapshot = ledger.snapshot(&kernel);
                prop_assert!(snapshot.is_balanced());
                prop_assert_eq!(snapshot.observed, observed);
                prop_assert_eq!(snapshot.exported, exported);
                prop_assert_eq!(snapshot.kernel_excess, Count::ZERO);
            }
            let snapshot = ledger.snapshot(&kernel);
            prop_assert!(snapshot.lost.of(LossReason::Crash).packets >= crashed.packets);
        }
    }

    /// Negative control: the check sees a packet that vanished, and one that came from nowhere.
    #[test]
    fn a_broken_ledger_is_caught() {
        let ledger = Ledger::new();
        ledger.observe(Count::new(10, 1_000));
        ledger.queue(Count::new(5, 500));
        let sound = ledger.snapshot(&idle());
        assert!(sound.is_balanced() && law_holds(&sound));

        let one = Count::new(1, 100);
        let octet = Count::new(0, 1);
        let mut broken = [sound; 5];
        broken[0].held_by.cache = sound.held_by.cache.saturating_sub(one);
        broken[1].exported += one;
        broken[2].lost.add(LossReason::Encode, octet);
        broken[3].observed += octet;
        broken[4].held_by.kernel += octet;
        for snapshot in broken {
            assert!(!snapshot.is_balanced(), "{snapshot:?}");
        }

        // A stage that exports what was never queued is caught as well.
        ledger.export(Count::new(6, 600));
        let snapshot = ledger.snapshot(&idle());
        assert_eq!(snapshot.overdrawn, one);
        assert!(law_holds(&snapshot) && !snapshot.is_balanced());
    }

    #[test]
    fn a_stale_kernel_reading_unbalances_nothing() {
        let ledger = Ledger::new();
        let stale = KernelReading {
            observed: Count::new(3, 300),
            ..idle()
        };
        ledger.observe(Count::new(5, 500));
        let snapshot = ledger.snapshot(&stale);
        assert!(snapshot.is_balanced());
        assert_eq!(snapshot.observed, Count::new(5, 500));
        assert_eq!(snapshot.kernel_excess, Count::new(2, 200));
    }

    #[test]
    fn closing_the_kernel_loses_what_was_never_read() {
        let ledger = Ledger::new();
        ledger.observe(Count::new(5, 500));
        let last = KernelReading {
            observed: Count::new(10, 1_000),
            lost: Losses::from_iter([(LossReason::Truncated, Count::new(2, 200))]),
        };
        let before = ledger.snapshot(&last);
        ledger.close_kernel(&last);
        let after = ledger.snapshot(&idle());
        assert!(before.is_balanced() && after.is_balanced());
        assert_eq!(after.observed, before.observed);
        assert_eq!(before.held_by.kernel, Count::new(3, 300));
        assert_eq!(after.lost.of(LossReason::Unaccounted), Count::new(3, 300));
        assert_eq!(after.lost.of(LossReason::Truncated), Count::new(2, 200));
    }

    #[test]
    fn threads_may_read_while_others_move() {
        let ledger = Ledger::new();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        ledger.observe(Count::new(2, 120));
                        ledger.queue(Count::new(2, 120));
                        ledger.export(Count::new(1, 60));
                    }
                });
            }
            for _ in 0..200 {
                assert!(ledger.snapshot(&idle()).is_balanced());
            }
        });
        let snapshot = ledger.snapshot(&idle());
        assert_eq!(snapshot.exported, Count::new(4_000, 240_000));
        assert_eq!(snapshot.held_by.queue, Count::new(4_000, 240_000));
    }

    #[test]
    fn reasons_have_distinct_stable_names() {
        let names: HashSet<_> = LossReason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), LossReason::ALL.len());
        for reason in LossReason::ALL {
            assert_eq!(LossReason::from_name(reason.name()), Some(reason));
            assert!(
                reason
                    .name()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'_')
            );
            assert!(!reason.description().contains('\n'));
        }
    }

    #[test]
    fn json_has_the_shape_that_status_promises() {
        let ledger = Ledger::new();
        ledger.observe(Count::new(3, 180));
        ledger.lose_from_cache(LossReason::Duplicate, Count::new(1, 60));
        let json = serde_json::to_value(ledger.snapshot(&idle())).unwrap();
        assert_eq!(
            json["observed"],
            serde_json::json!({"packets": 3, "octets": 180})
        );
        assert_eq!(
            json["held"],
            serde_json::json!({"packets": 2, "octets": 120})
        );
        assert_eq!(json["held_by"]["cache"], json["held"]);
        assert_eq!(
            json["lost"]["duplicate"],
            serde_json::json!({"packets": 1, "octets": 60})
        );
        assert_eq!(
            json["lost"]["log_full"],
            serde_json::json!({"packets": 0, "octets": 0})
        );
        assert_eq!(
            json["lost"].as_object().unwrap().len(),
            LossReason::ALL.len()
        );
        assert_eq!(json.get("overdrawn"), None);
    }
}
