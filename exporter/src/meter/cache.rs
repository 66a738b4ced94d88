//! The flow cache.

use std::hint::black_box;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::{AddAssign, Range};
use std::sync::Arc;

use ebpfix_probes::abi::{FlowId, FlowMetrics, FlowRecord, HashedRecord};
use ebpfix_probes::table;

use super::duplicates::Owners;
use super::index::Index;
use super::policy::{DuplicatesMode, Policy, Timeouts};
use super::row::{DUPLICATE, LIVE, NONE, OWNER, Row, Rows, place};
use super::wheel::Wheel;
use crate::ledger::Count;
use crate::record::{FlowEndReason, Record, UnixTime};

/// A record of a flow that ended; the flow itself may go on in a new one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndedFlow {
    /// The Flow Key.
    pub id: FlowId,
    /// What was counted from the record's first packet to its last; never empty.
    pub metrics: FlowMetrics,
    /// Why the record ended.
    pub reason: FlowEndReason,
    /// Whether another view of the flow counts the same packets.
    pub duplicate: bool,
}

impl EndedFlow {
    /// The Flow Record for export: with times of day as [`Record::new`] reckons them, seen on the
    /// interface of that name by the exporter of that address.
    pub fn into_record(
        self,
        current_time: UnixTime,
        monotonic_current_time_ns: u64,
        interface: Arc<str>,
        agent_ip: IpAddr,
    ) -> Record {
        let Self {
            id,
            metrics,
            reason,
            duplicate,
        } = self;
        Record {
            interface,
            duplicate,
            agent_ip,
            end_reason: reason,
            ..Record::new(id, metrics, current_time, monotonic_current_time_ns)
        }
    }
}

/// A flow that is in the cache.
#[derive(Clone, Copy, Debug)]
pub struct HeldFlow<'a> {
    /// The Flow Key.
    pub id: &'a FlowId,
    /// What its record in progress has counted.
    pub metrics: &'a FlowMetrics,
    /// Whether another view of the flow counts the same packets.
    pub duplicate: bool,
}

/// What a call moved into the cache and out of it, for the [ledger](crate::ledger::Ledger): what the
/// cache holds changes by `taken - ended - dropped`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[must_use = "the ledger must hear of it"]
pub struct Movement {
    /// What went in.
    pub taken: Count,
    /// What went out with the ended flows.
    pub ended: Count,
    /// What went nowhere: duplicates, where they are [dropped](DuplicatesMode::Drop).
    pub dropped: Count,
}

impl AddAssign for Movement {
    fn add_assign(&mut self, other: Self) {
        self.taken += other.taken;
        self.ended += other.ended;
        self.dropped += other.dropped;
    }
}

/// Records that are looked up together, so that the processor waits for their rows' memory once and
/// not for each.
const GROUP: usize = 32;
/// Of a full cache this part is picked at a time to go next, so that a new flow pays for looking at
/// this many rows.
const VICTIMS_PART: usize = 16;
/// Rows that suggest what to pick.
const VICTIMS_SAMPLE: usize = 1024;

/// All flows that have not ended, at most [`Policy::max_flows`].
///
/// One row a flow: 128 octets, and 8 to 16 in the index, as much again where duplicates are looked
/// for; allocated as flows come. A row is found by the kernel's keyed hash and the whole Flow Key;
/// two flows of one hash are two flows.
///
/// A flow ends, or is cut into records, exactly as the [`Policy`] says, whenever the caller comes by:
/// a packet that comes at or after a flow's deadline is never counted in the record before. Records
/// may come in any order; one that is older than what the row has makes its record begin earlier.
///
/// **When it is full**, a new flow ends the flow whose last packet is the oldest, with
/// [`FlowEndReason::LackOfResources`]. The oldest are picked in batches of a sixteenth of the cache;
/// one that has a packet meanwhile stays. A count that would not fit 64 bits cuts the record
/// likewise.
#[derive(Debug)]
pub struct FlowCache {
    policy: Policy,
    timeouts: Timeouts,
    rows: Rows,
    /// The first free row.
    free: u32,
    /// Rows that hold a flow.
    live: u32,
    index: Index,
    owners: Option<Owners>,
    wheel: Wheel,
    /// Rows to go when room is needed, with the time of their last packet; the next one is the last.
    victims: Vec<(u64, u32)>,
}

impl FlowCache {
    /// An empty cache.
    pub fn new(policy: Policy) -> Self {
        let max = policy.max_flows.get();
        Self {
            policy,
            timeouts: Timeouts::from(&policy),
            rows: Rows::default(),
            free: NONE,
            live: 0,
            index: Index::new(max),
            owners: owners(&policy, max),
            wheel: Wheel::new(),
            victims: Vec::new(),
        }
    }

    /// What the cache does when.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Rows in use: flows, those included that were cut by the active timeout and had no packet since.
    pub fn len(&self) -> usize {
        place(self.live)
    }

    /// Whether no flow is held.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Octets of memory allocated.
    pub fn memory(&self) -> usize {
        self.rows.memory()
            + self.index.memory()
            + self.owners.as_ref().map_or(0, Owners::memory)
            + self.wheel.memory()
            + self.victims.capacity() * size_of::<(u64, u32)>()
    }

    /// The flows with a record in progress, in no particular order.
    pub fn flows(&self) -> impl Iterator<Item = HeldFlow<'_>> {
        self.rows.iter().filter_map(in_progress)
    }

    /// Rows that there are, in use or not: places for [`flows_in`](Self::flows_in).
    pub fn rows(&self) -> usize {
        place(self.rows.len())
    }

    /// Those of [`flows`](Self::flows) that are in these rows: for who looks at all of them a part at a
    /// time. A flow keeps its row while it lives; what is beyond the last row is nothing.
    pub fn flows_in(&self, rows: Range<usize>) -> impl Iterator<Item = HeldFlow<'_>> {
        rows.map_while(|row| self.rows.get(u32::try_from(row).ok()?))
            .filter_map(in_progress)
    }

    /// What all records in progress have counted: what the ledger says the cache holds. Looks at
    /// every row.
    pub fn held(&self) -> Count {
        self.flows().map(|flow| count(flow.metrics)).sum()
    }

    /// Adds a batch of the kernel's records. What ends by it is pushed to `ended`: a record whose
    /// deadline is not after the new packets, and flows that make room.
    ///
    /// `now_ns` is the boot clock; it stands in where a record has no times.
    pub fn merge(
        &mut self,
        batch: &[HashedRecord],
        now_ns: u64,
        ended: &mut Vec<EndedFlow>,
    ) -> Movement {
        let mut moved = Movement::default();
        for group in batch.chunks(GROUP) {
            let likely = self.fetch(group);
            for (record, likely) in group.iter().zip(likely) {
                self.add(record, likely, now_ns, ended, &mut moved);
            }
        }
        moved
    }

    /// Ends what is due at `now_ns` (boot clock), until `ended` holds `limit` flows. Call again while
    /// it does; then all flows are ended whose deadline is not after `now_ns`, and no other.
    pub fn expire(&mut self, now_ns: u64, limit: usize, ended: &mut Vec<EndedFlow>) -> Movement {
        let mut moved = Movement::default();
        while ended.len() < limit {
            let Some(row) = self.wheel.next_due(&mut self.rows, now_ns) else {
                break;
            };
            self.visit(row, now_ns, ended, &mut moved);
        }
        moved
    }

    /// Ends every flow, by force, until `ended` holds `limit` flows. Call again until the cache
    /// [is empty](FlowCache::is_empty).
    pub fn flush(&mut self, limit: usize, ended: &mut Vec<EndedFlow>) -> Movement {
        let mut moved = Movement::default();
        let mut bucket = 0;
        while ended.len() < limit {
            let Some(row) = self.wheel.next_of_all(&mut self.rows, &mut bucket) else {
                break;
            };
            self.cut(row, FlowEndReason::ForcedEnd, ended, &mut moved);
            self.remove(row);
        }
        moved
    }

    /// Ends every flow that is in these rows, by force: [`flush`](Self::flush) a part at a time, while
    /// flows come and go.
    pub fn end_rows(&mut self, rows: Range<usize>, ended: &mut Vec<EndedFlow>) -> Movement {
        let mut moved = Movement::default();
        for row in rows {
            let Ok(row) = u32::try_from(row) else { break };
            if row >= self.rows.len() {
                break;
            }
            if self.rows[row].is(LIVE) {
                self.end(row, FlowEndReason::ForcedEnd, ended, &mut moved);
            }
        }
        moved
    }

    /// Ends flows for want of room, those first whose last packet is the oldest, until there are no more
    /// than `flows` or `ended` holds `limit`. For a cache that is to become smaller
    /// ([`set_policy`](Self::set_policy)) and whose flows not everybody takes at once.
    pub fn shrink(
        &mut self,
        flows: NonZeroU32,
        limit: usize,
        ended: &mut Vec<EndedFlow>,
    ) -> Movement {
        let mut moved = Movement::default();
        while self.live > flows.get() && ended.len() < limit {
            self.make_room(ended, &mut moved);
        }
        moved
    }

    /// Ends every flow seen on an interface that went away, by force, so that another one that is
    /// given its index takes nothing over. Looks at every row.
    pub fn end_interface(&mut self, if_index: u32, ended: &mut Vec<EndedFlow>) -> Movement {
        let mut moved = Movement::default();
        for row in 0..self.rows.len() {
            let Row { id, .. } = &self.rows[row];
            if self.rows[row].is(LIVE) && id.if_index == if_index {
                self.end(row, FlowEndReason::ForcedEnd, ended, &mut moved);
            }
        }
        moved
    }

    /// Changes the policy. Flows beyond the new maximum end at once, the oldest first, for lack of
    /// resources; the other flows go on under the new policy, their records in progress included.
    /// Looks at every row.
    pub fn set_policy(&mut self, policy: Policy, ended: &mut Vec<EndedFlow>) -> Movement {
        let mut moved = Movement::default();
        while self.live > policy.max_flows.get() {
            self.make_room(ended, &mut moved);
        }
        self.victims = Vec::new();
        let max_rows = policy.max_flows.get().max(self.rows.len());
        let entries = self.rows.numbered().filter(|(_, row)| row.is(LIVE));
        self.index = Index::with(
            max_rows,
            self.len(),
            entries.map(|(at, row)| (at, row.hash)),
        );
        self.set_owners(owners(&policy, max_rows));
        self.policy = policy;
        self.timeouts = Timeouts::from(&policy);
        for row in 0..self.rows.len() {
            if self.rows[row].is(LIVE) {
                self.wheel.take_off(&mut self.rows, row);
                self.hang(row);
            }
        }
        moved
    }

    /// Lets the rows that own their flow own it there too, or all rows claim theirs where nobody has
    /// looked for duplicates so far.
    fn set_owners(&mut self, owners: Option<Owners>) {
        let claims = if self.owners.is_some() { OWNER } else { LIVE };
        let claiming: Vec<u32> = self
            .rows
            .numbered()
            .filter(|(_, row)| row.is(claims))
            .map(|(at, _)| at)
            .collect();
        for row in self.rows.iter_mut() {
            row.state &= if owners.is_some() { !OWNER } else { LIVE };
        }
        self.owners = owners;
        for row in claiming {
            self.find_owner(row);
        }
    }

    /// Loads the memory that a group of records will need, and says which row each most likely
    /// belongs to. Loads of one step do not wait for each other.
    fn fetch(&self, group: &[HashedRecord]) -> [u32; GROUP] {
        let victims: &[(u64, u32)] = if self.live < self.policy.max_flows.get() {
            &[]
        } else {
            &self.victims[self.victims.len().saturating_sub(group.len())..]
        };
        let row = |at: u32| self.rows.get(at);

        let slots = group.iter().map(|record| self.index.peek(record.hash));
        black_box(slots.fold(0, |a, b| a ^ b));
        let mut likely = [NONE; GROUP];
        for (record, likely) in group.iter().zip(&mut likely) {
            *likely = self.index.likely(record.hash).unwrap_or(NONE);
        }
        let going = victims.iter().filter_map(|&(_, at)| row(at));
        black_box(going.map(touch).fold(0, |a, b| a ^ b));

        let mut sum = 0;
        for (HashedRecord { record, .. }, &likely) in group.iter().zip(&likely) {
            match (row(likely), &self.owners) {
                (Some(row), _) => sum ^= touch(row),
                (None, Some(owners)) => sum ^= u64::from(owners.peek(&record.id)),
                (None, None) => {}
            }
        }
        for going in victims.iter().filter_map(|&(_, at)| row(at)) {
            sum ^= u64::from(self.index.peek(going.hash));
            let neighbours = [going.next, going.prev];
            sum ^= neighbours
                .into_iter()
                .filter_map(row)
                .map(touch)
                .fold(0, |a, b| a ^ b);
            if let Some(owners) = self.owners.as_ref().filter(|_| going.is(OWNER)) {
                sum ^= u64::from(owners.peek(&going.id));
            }
        }
        black_box(sum);
        likely
    }

    #[inline]
    fn add(
        &mut self,
        hashed: &HashedRecord,
        likely: u32,
        now_ns: u64,
        ended: &mut Vec<EndedFlow>,
        moved: &mut Movement,
    ) {
        let HashedRecord {
            record: FlowRecord { id, metrics },
            hash,
            ..
        } = hashed;
        if metrics.is_empty() {
            return;
        }
        let in_order;
        let metrics = if has_times(metrics) {
            metrics
        } else {
            in_order = with_times(metrics, now_ns);
            &in_order
        };
        moved.taken += count(metrics);
        let words = table::words(id);
        // Since it was looked up, the row may have gone, or have been given to another flow.
        let is_it = |row: &Row| row.is(LIVE) && row.holds(&words);
        let found = match self.rows.get(likely) {
            Some(row) if is_it(row) => Some(likely),
            _ => self.index.find(*hash, |row| self.rows[row].holds(&words)),
        };
        match found {
            Some(row) => self.update(row, metrics, ended, moved),
            None => self.insert(id, metrics, *hash, ended, moved),
        }
    }

    #[inline]
    fn update(
        &mut self,
        at: u32,
        metrics: &FlowMetrics,
        ended: &mut Vec<EndedFlow>,
        moved: &mut Movement,
    ) {
        let row = &self.rows[at];
        let (deadline, reason) = self.timeouts.deadline(&row.id, &row.metrics);
        if metrics.start_mono_time_ns >= deadline {
            self.cut(at, reason, ended, moved);
        } else if !fits(&row.metrics, metrics) {
            self.cut(at, FlowEndReason::LackOfResources, ended, moved);
        }

        let row = &mut self.rows[at];
        let begins = row.metrics.is_empty();
        if begins {
            row.metrics = *metrics;
        } else {
            row.metrics.accumulate(metrics);
        }
        // A deadline that moved away is found out when the wheel comes by.
        if self.timeouts.deadline(&row.id, &row.metrics).0 < deadline {
            self.wheel.take_off(&mut self.rows, at);
            self.hang(at);
        }
        if begins {
            self.find_owner(at);
        }
    }

    fn insert(
        &mut self,
        id: &FlowId,
        metrics: &FlowMetrics,
        hash: u32,
        ended: &mut Vec<EndedFlow>,
        moved: &mut Movement,
    ) {
        if self.live >= self.policy.max_flows.get() {
            self.make_room(ended, moved);
        }
        let row = Row {
            id: *id,
            metrics: *metrics,
            hash,
            next: NONE,
            prev: NONE,
            bucket: 0,
            state: LIVE,
        };
        let at = self.place_row(row);
        self.live += 1;
        self.hang(at);
        self.enter(at);
        self.find_owner(at);
    }

    /// Puts a row into a free place.
    fn place_row(&mut self, row: Row) -> u32 {
        if self.free != NONE {
            let at = self.free;
            self.free = self.rows[at].next;
            self.rows[at] = row;
            return at;
        }
        self.rows.push(row, self.policy.max_flows.get())
    }

    /// The wheel says that it may be time for a row, which hangs nowhere now.
    fn visit(&mut self, at: u32, now_ns: u64, ended: &mut Vec<EndedFlow>, moved: &mut Movement) {
        let row = &self.rows[at];
        let (deadline, reason) = self.timeouts.deadline(&row.id, &row.metrics);
        if deadline > now_ns {
            let owners = self.owners.as_ref();
            if row.is(DUPLICATE) && owners.is_some_and(|owners| owners.is_free(&self.rows, at)) {
                // Its owner is gone. What was counted so far was mostly counted there, so it stays
                // a duplicate.
                self.cut(at, FlowEndReason::ForcedEnd, ended, moved);
                self.find_owner(at);
            }
            self.hang(at);
        } else {
            self.cut(at, reason, ended, moved);
            if reason == FlowEndReason::ActiveTimeout {
                // The flow keeps its row, and what it owns, until it is idle.
                self.hang(at);
            } else {
                self.remove(at);
            }
        }
    }

    /// Ends the flow of a row that hangs in the wheel.
    fn end(
        &mut self,
        at: u32,
        reason: FlowEndReason,
        ended: &mut Vec<EndedFlow>,
        moved: &mut Movement,
    ) {
        self.wheel.take_off(&mut self.rows, at);
        self.cut(at, reason, ended, moved);
        self.remove(at);
    }

    /// Ends a row's record in progress, if there is one: its counts go out and the row is empty.
    fn cut(
        &mut self,
        at: u32,
        reason: FlowEndReason,
        ended: &mut Vec<EndedFlow>,
        moved: &mut Movement,
    ) {
        let row = &mut self.rows[at];
        if row.metrics.is_empty() {
            return;
        }
        let metrics = row.metrics;
        row.metrics = FlowMetrics {
            end_mono_time_ns: metrics.end_mono_time_ns,
            ..FlowMetrics::default()
        };
        let duplicate = row.is(DUPLICATE);
        if duplicate && self.policy.duplicates == DuplicatesMode::Drop {
            moved.dropped += count(&metrics);
        } else {
            moved.ended += count(&metrics);
            ended.push(EndedFlow {
                id: row.id,
                metrics,
                reason,
                duplicate,
            });
        }
    }

    /// Frees a row that is empty and hangs nowhere.
    fn remove(&mut self, at: u32) {
        if let Some(owners) = &mut self.owners {
            owners.end(&self.rows, at);
        }
        let rows = &self.rows;
        self.index.remove(at, rows[at].hash, |row| rows[row].hash);
        let row = &mut self.rows[at];
        row.state = 0;
        row.next = self.free;
        self.free = at;
        self.live -= 1;
    }

    /// Ends the flow whose last packet is the oldest.
    fn make_room(&mut self, ended: &mut Vec<EndedFlow>, moved: &mut Movement) {
        while self.live > 0 {
            let Some((last, at)) = self.victims.pop() else {
                self.pick_victims();
                continue;
            };
            let row = &self.rows[at];
            if row.is(LIVE) && row.metrics.end_mono_time_ns == last {
                self.end(at, FlowEndReason::LackOfResources, ended, moved);
                return;
            }
        }
    }

    /// Picks about a sixteenth of the flows: all whose last packet is not newer than some time, which
    /// a sample of them suggests. However good the sample is, what is picked is the oldest.
    fn pick_victims(&mut self) {
        let last = |row: &Row| row.metrics.end_mono_time_ns;
        let step = (place(self.rows.len()) / VICTIMS_SAMPLE).max(1);
        let sample = self.rows.iter().step_by(step).filter(|row| row.is(LIVE));
        let mut sample: Vec<u64> = sample.map(last).collect();
        // A sample may miss all flows of a nearly empty cache; then all are picked.
        let limit = if sample.is_empty() {
            u64::MAX
        } else {
            let part = sample.len() / VICTIMS_PART;
            *sample.select_nth_unstable(part).1
        };
        let rows = self.rows.numbered();
        let picked = rows.filter(|(_, row)| last(row) <= limit && row.is(LIVE));
        self.victims.clear();
        self.victims.extend(picked.map(|(at, row)| (last(row), at)));
        self.victims.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// Hangs a row at its deadline.
    fn hang(&mut self, at: u32) {
        let row = &self.rows[at];
        let (deadline, _) = self.timeouts.deadline(&row.id, &row.metrics);
        self.wheel.hang(&mut self.rows, at, deadline);
    }

    /// Enters a row of the table into the index.
    fn enter(&mut self, at: u32) {
        if self.index.is_full() {
            let rows = self.rows.numbered();
            let others = rows.filter(|&(row, r)| r.is(LIVE) && row != at);
            self.index.grow(others.map(|(row, r)| (row, r.hash)));
        }
        self.index.insert(at, self.rows[at].hash);
    }

    /// Finds out whether the record that begins in a row is a duplicate.
    fn find_owner(&mut self, at: u32) {
        if let Some(owners) = &mut self.owners {
            owners.begin(&mut self.rows, at);
        }
    }
}

fn owners(policy: &Policy, max_rows: u32) -> Option<Owners> {
    (policy.duplicates != DuplicatesMode::Keep).then(|| Owners::new(max_rows))
}

/// The row's flow, if its record has begun.
fn in_progress(row: &Row) -> Option<HeldFlow<'_>> {
    (row.is(LIVE) && !row.metrics.is_empty()).then_some(HeldFlow {
        id: &row.id,
        metrics: &row.metrics,
        duplicate: row.is(DUPLICATE),
    })
}

/// Something of both cache lines of a row: brings them into the processor's cache.
#[inline]
fn touch(row: &Row) -> u64 {
    row.metrics.bytes ^ u64::from(row.id.src_ip.0[0])
}

fn count(metrics: &FlowMetrics) -> Count {
    Count::new(metrics.packets, metrics.bytes)
}

/// Whether the sums of two counts fit their 64 bits.
fn fits(a: &FlowMetrics, b: &FlowMetrics) -> bool {
    a.packets.checked_add(b.packets).is_some() && a.bytes.checked_add(b.bytes).is_some()
}

/// Whether both times are set, and in order.
#[inline]
fn has_times(metrics: &FlowMetrics) -> bool {
    metrics.start_mono_time_ns != 0 && metrics.end_mono_time_ns >= metrics.start_mono_time_ns
}

/// The metrics with both times set, and in order.
fn with_times(metrics: &FlowMetrics, now_ns: u64) -> FlowMetrics {
    let (start, end) = match (metrics.start_mono_time_ns, metrics.end_mono_time_ns) {
        (0, 0) => (now_ns, now_ns),
        (0, time) | (time, 0) => (time, time),
        (start, end) => (start, end.max(start)),
    };
    FlowMetrics {
        start_mono_time_ns: start,
        end_mono_time_ns: end,
        ..*metrics
    }
}
