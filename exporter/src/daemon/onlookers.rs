//! Who looks at what the meter does: shown flows, told counts, answered when all is flushed.
//!
//! The meter waits for none of them. Each has a short queue; what does not fit is shown in the next
//! round, or is missed and counted.

use crate::ledger::Count;
use crate::meter::FlowCache;
use ebpfix_probes::abi::{FlowId, FlowMetrics, FlowRecord, HashedRecord};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Rows of the flow cache that are looked at in a round.
const ROWS_AT_ONCE: usize = 8 * 1024;
/// Parts that wait for who looks on.
const WAITING: usize = 8;
/// How long a flush waits for collectors that take no records.
const FLUSH_PATIENCE: Duration = Duration::from_secs(10);

/// A flow that is held, as it was when it was looked at.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The Flow Key.
    pub id: FlowId,
    /// What its record in progress has counted.
    pub metrics: FlowMetrics,
    /// Whether another view of the flow counts the same packets.
    pub duplicate: bool,
}

/// Is shown every flow that is held, a part at a time.
pub struct Visitor {
    to: SyncSender<Vec<Seen>>,
    /// The next row to look at.
    at: usize,
    /// What had no room.
    part: Vec<Seen>,
}

impl Visitor {
    /// A visitor, and what it is shown; that ends with the last part.
    pub fn new() -> (Self, Receiver<Vec<Seen>>) {
        let (to, shown) = sync_channel(WAITING);
        let (at, part) = (0, Vec::new());
        (Self { to, at, part }, shown)
    }

    /// Presents the next part; returns whether there is more, and somebody to see it.
    fn show(&mut self, cache: &FlowCache) -> bool {
        if self.part.is_empty() {
            let next = self.at + ROWS_AT_ONCE;
            let flows = cache.flows_in(self.at..next).map(|flow| Seen {
                id: *flow.id,
                metrics: *flow.metrics,
                duplicate: flow.duplicate,
            });
            self.part.extend(flows);
            self.at = next;
        }
        if !self.part.is_empty() {
            match self.to.try_send(std::mem::take(&mut self.part)) {
                Ok(()) => {}
                Err(TrySendError::Full(part)) => {
                    self.part = part;
                    return true;
                }
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
        self.at < cache.rows()
    }
}

/// What was counted since the last one.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// What came from the kernel.
    pub records: Arc<[FlowRecord]>,
    /// What came before it and had no room.
    pub missed: Count,
    /// All of an interval of the kernel has come by now.
    pub turned: bool,
}

/// Is told what is counted, as it comes from the kernel.
pub struct Watcher {
    to: SyncSender<Counted>,
    missed: Count,
    /// It has not heard yet that all of an interval has come.
    turned: bool,
    gone: bool,
}

impl Watcher {
    /// A watcher, and what it is told; that ends with the exporter.
    pub fn new() -> (Self, Receiver<Counted>) {
        let (to, told) = sync_channel(WAITING);
        let watcher = Self {
            to,
            missed: Count::ZERO,
            turned: false,
            gone: false,
        };
        (watcher, told)
    }

    fn tell(&mut self, records: Arc<[FlowRecord]>) {
        let counted = Counted {
            records,
            missed: self.missed,
            turned: self.turned,
        };
        match self.to.try_send(counted) {
            Ok(()) => {
                self.missed = Count::ZERO;
                self.turned = false;
            }
            Err(TrySendError::Full(counted)) => {
                let count =
                    |record: &FlowRecord| Count::new(record.metrics.packets, record.metrics.bytes);
                self.missed += counted.records.iter().map(count).sum();
            }
            Err(TrySendError::Disconnected(_)) => self.gone = true,
        }
    }
}

/// What a flush did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flushed {
    /// Flows whose records ended.
    pub flows: u64,
    /// What they had counted.
    pub count: Count,
}

/// Who asked for a flush is told what it did, or why it ended before its end.
pub type FlushReply = oneshot::Sender<Result<Flushed, &'static str>>;

struct Flush {
    reply: FlushReply,
    /// When this many turns are asked for and done, the cache has what is to be exported.
    after: u64,
    /// The next row, when it has begun.
    at: Option<usize>,
    done: Flushed,
    /// Since when the collectors have had no room.
    full: Option<Instant>,
}

/// All who look on.
#[derive(Default)]
pub struct Onlookers {
    visitors: Vec<Visitor>,
    watchers: Vec<Watcher>,
    flush: Option<Flush>,
}

impl Onlookers {
    /// One more is shown what is held.
    pub fn add_visitor(&mut self, visitor: Visitor) {
        self.visitors.push(visitor);
    }

    /// One more is told what is counted.
    pub fn add_watcher(&mut self, watcher: Watcher) {
        self.watchers.push(watcher);
    }

    /// Presents to each visitor a part.
    pub fn visit(&mut self, cache: &FlowCache) {
        self.visitors.retain_mut(|visitor| visitor.show(cache));
    }

    /// Tells watchers what came.
    pub fn tell(&mut self, records: &[HashedRecord]) {
        if self.watchers.is_empty() {
            return;
        }
        let records: Arc<[FlowRecord]> = records.iter().map(|hashed| hashed.record).collect();
        self.tell_all(&records);
    }

    /// All has come of what the kernel counted up to turn `requested`.
    pub fn turned(&mut self, requested: u64) {
        for watcher in &mut self.watchers {
            watcher.turned = true;
        }
        self.tell_all(&Arc::default());
        if let Some(flush) = &mut self.flush
            && flush.at.is_none()
            && flush.after <= requested
        {
            flush.at = Some(0);
        }
    }

    fn tell_all(&mut self, records: &Arc<[FlowRecord]>) {
        self.watchers.retain_mut(|watcher| {
            watcher.tell(records.clone());
            !watcher.gone
        });
    }

    /// Every flow is to end, once turn `after` is done.
    pub fn ask_flush(&mut self, reply: FlushReply, after: u64) {
        if self.flush.is_some() {
            let _ = reply.send(Err("somebody else has asked for the same: wait for that"));
            return;
        }
        self.flush = Some(Flush {
            reply,
            after,
            at: None,
            done: Flushed::default(),
            full: None,
        });
    }

    /// Whether somebody waits for what the kernel has.
    pub fn wait_for_a_turn(&self) -> bool {
        self.flush.as_ref().is_some_and(|flush| flush.at.is_none())
    }

    /// The rows to end now; `has_room` says whether every collector takes so many records.
    pub fn rows_to_flush(
        &mut self,
        cache: &FlowCache,
        has_room: impl FnOnce(usize) -> bool,
    ) -> Option<Range<usize>> {
        let flush = self.flush.as_mut()?;
        let at = flush.at?;
        if at >= cache.rows() {
            self.end_flush(None);
            return None;
        }
        if has_room(ROWS_AT_ONCE) {
            flush.full = None;
            flush.at = Some(at + ROWS_AT_ONCE);
            return Some(at..at + ROWS_AT_ONCE);
        }
        if flush.full.get_or_insert_with(Instant::now).elapsed() > FLUSH_PATIENCE {
            self.end_flush(Some(
                "a collector's queue is full: what is not exported is held on, see status",
            ));
        }
        None
    }

    /// So many flows have ended.
    pub fn flushed(&mut self, flows: usize, count: Count) {
        if let Some(flush) = &mut self.flush {
            flush.done.flows += flows as u64;
            flush.done.count += count;
        }
    }

    fn end_flush(&mut self, error: Option<&'static str>) {
        if let Some(flush) = self.flush.take() {
            // Who asked may be gone.
            let _ = flush.reply.send(error.map_or(Ok(flush.done), Err));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Policy;

    fn record(port: u16, packets: u64) -> HashedRecord {
        let mut record = HashedRecord::default();
        record.record.id.src_port = port;
        record.record.metrics.packets = packets;
        record.record.metrics.bytes = packets * 100;
        record.hash = u32::from(port).wrapping_mul(0x9e37_79b9);
        record
    }

    fn cache(flows: u16) -> FlowCache {
        let mut cache = FlowCache::new(Policy::default());
        let records: Vec<_> = (0..flows).map(|port| record(port, 1)).collect();
        let _ = cache.merge(&records, 1, &mut Vec::new());
        cache
    }

    #[test]
    fn a_visitor_sees_each_flow_once_however_slowly_it_looks() {
        let cache = cache(60_000);
        let mut onlookers = Onlookers::default();
        let (visitor, shown) = Visitor::new();
        onlookers.add_visitor(visitor);
        let mut ports = Vec::new();
        for round in 0..100 {
            onlookers.visit(&cache);
            // It looks every third round, and the queue is full at times.
            if round % 3 == 0 {
                ports.extend(
                    shown
                        .try_iter()
                        .take(1)
                        .flatten()
                        .map(|flow| flow.id.src_port),
                );
            }
        }
        assert!(onlookers.visitors.is_empty());
        ports.extend(shown.iter().flatten().map(|flow| flow.id.src_port));
        ports.sort_unstable();
        assert_eq!(ports, (0..60_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_visitor_that_went_away_is_forgotten_and_one_of_nothing_is_done() {
        let mut onlookers = Onlookers::default();
        let (visitor, shown) = Visitor::new();
        onlookers.add_visitor(visitor);
        drop(shown);
        onlookers.visit(&cache(20_000));
        assert!(onlookers.visitors.is_empty());

        let (visitor, shown) = Visitor::new();
        onlookers.add_visitor(visitor);
        onlookers.visit(&cache(0));
        assert!(onlookers.visitors.is_empty());
        assert_eq!(shown.iter().count(), 0);
    }

    #[test]
    fn what_a_slow_watcher_is_not_told_it_is_told_of() {
        let mut onlookers = Onlookers::default();
        let (watcher, told) = Watcher::new();
        onlookers.add_watcher(watcher);
        for _ in 0..WAITING + 5 {
            onlookers.tell(&[record(1, 2), record(2, 1)]);
        }
        onlookers.turned(1);
        let heard: Vec<_> = told.try_iter().collect();
        assert_eq!(heard.len(), WAITING);
        assert!(
            heard
                .iter()
                .all(|counted| counted.records.len() == 2 && !counted.turned)
        );
        // What it missed, and that a turn was done, comes with the next one.
        onlookers.tell(&[record(1, 7)]);
        let next = told.try_recv().unwrap();
        assert_eq!((next.missed, next.turned), (Count::new(15, 1500), true));
        assert_eq!(next.records.len(), 1);
        onlookers.tell(&[]);
        let next = told.try_recv().unwrap();
        assert_eq!((next.missed, next.turned), (Count::ZERO, false));
        drop(told);
        onlookers.turned(2);
        assert!(onlookers.watchers.is_empty());
    }

    #[test]
    fn a_flush_waits_for_the_kernel_and_for_room_and_ends_every_row() {
        let mut cache = cache(20_000);
        let mut onlookers = Onlookers::default();
        let (reply, mut answer) = oneshot::channel();
        onlookers.ask_flush(reply, 5);
        let (second, mut refused) = oneshot::channel();
        onlookers.ask_flush(second, 5);
        assert!(
            refused
                .try_recv()
                .unwrap()
                .unwrap_err()
                .contains("somebody else")
        );
        onlookers.turned(4);
        assert!(onlookers.wait_for_a_turn());
        assert_eq!(onlookers.rows_to_flush(&cache, |_| true), None);
        onlookers.turned(5);
        assert!(!onlookers.wait_for_a_turn());
        assert_eq!(onlookers.rows_to_flush(&cache, |_| false), None);
        let mut ended = Vec::new();
        while let Some(rows) = onlookers.rows_to_flush(&cache, |_| true) {
            let before = ended.len();
            let moved = cache.end_rows(rows, &mut ended);
            onlookers.flushed(ended.len() - before, moved.ended);
        }
        assert!(cache.is_empty());
        let done = answer.try_recv().unwrap().unwrap();
        let count = Count::new(20_000, 2_000_000);
        assert_eq!(
            done,
            Flushed {
                flows: 20_000,
                count
            }
        );
    }
}
