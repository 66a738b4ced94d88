//! When to look at a row again.
//!
//! A wheel of buckets, one for each tick of 67 ms, the ring of 1024 reaching 69 s ahead. A row hangs
//! in one bucket, by links in the row itself. It is looked at no later than at its deadline, and
//! often earlier: packets move a deadline away without touching the wheel, and when its bucket comes
//! up the row is hung where the deadline then is. A deadline beyond the ring waits in the last bucket.

use super::row::{NONE, Row, Rows};

/// Nanoseconds of a tick, as a power of two.
const TICK_BITS: u32 = 26;
/// Buckets of the ring.
const RING: u16 = 1024;
/// The bucket of rows to be looked at now.
const DUE: u16 = RING;

/// The buckets of all rows.
#[derive(Debug)]
pub(super) struct Wheel {
    first: Box<[u32; RING as usize + 1]>,
    /// The tick whose bucket came up last.
    tick: u64,
    /// The earliest deadline that was hung into that bucket since.
    soonest: Option<u64>,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self {
            first: Box::new([NONE; RING as usize + 1]),
            tick: 0,
            soonest: None,
        }
    }

    /// Octets of memory it takes.
    pub(super) fn memory(&self) -> usize {
        size_of_val(&*self.first)
    }

    /// Hangs a row that hangs nowhere, to be looked at by `deadline`.
    pub(super) fn hang(&mut self, rows: &mut Rows, row: u32, deadline: u64) {
        let last = self.tick + u64::from(RING - 1);
        let tick = (deadline >> TICK_BITS).clamp(self.tick, last);
        if tick == self.tick {
            self.soonest = Some(
                self.soonest
                    .map_or(deadline, |soonest| soonest.min(deadline)),
            );
        }
        self.link(rows, row, bucket(tick));
    }

    /// Takes off a row that hangs somewhere.
    pub(super) fn take_off(&mut self, rows: &mut Rows, row: u32) {
        let Row {
            next, prev, bucket, ..
        } = rows[row];
        if prev == NONE {
            self.first[usize::from(bucket)] = next;
        } else {
            rows[prev].next = next;
        }
        if let Some(next) = rows.get_mut(next) {
            next.prev = prev;
            next.bucket = bucket;
        }
    }

    /// Takes off a row to be looked at: any row whose deadline is not after `now` comes, some others
    /// too. One that has not reached its deadline is to be hung again.
    pub(super) fn next_due(&mut self, rows: &mut Rows, now: u64) -> Option<u32> {
        loop {
            let row = self.first[usize::from(DUE)];
            if row != NONE {
                self.take_off(rows, row);
                return Some(row);
            }
            if !self.turn(rows, now) {
                return None;
            }
        }
    }

    /// Takes off any row. `bucket` is where to look first, 0 at first; it moves on.
    pub(super) fn next_of_all(&mut self, rows: &mut Rows, bucket: &mut usize) -> Option<u32> {
        let rest = self.first.get(*bucket..)?;
        *bucket += rest.iter().position(|&first| first != NONE)?;
        let row = self.first[*bucket];
        self.take_off(rows, row);
        Some(row)
    }

    /// Lets the next bucket come up, if it is time.
    fn turn(&mut self, rows: &mut Rows, now: u64) -> bool {
        let target = now >> TICK_BITS;
        if self.soonest.is_none_or(|soonest| soonest > now) {
            if self.tick >= target {
                return false;
            }
            // After a long pause every bucket comes up once.
            self.tick = (self.tick + 1).max(target.saturating_sub(u64::from(RING - 1)));
        }
        self.soonest = None;
        let bucket = bucket(self.tick);
        let first = std::mem::replace(&mut self.first[usize::from(bucket)], NONE);
        self.first[usize::from(DUE)] = first;
        if let Some(first) = rows.get_mut(first) {
            first.bucket = DUE;
        }
        true
    }

    fn link(&mut self, rows: &mut Rows, row: u32, bucket: u16) {
        let next = std::mem::replace(&mut self.first[usize::from(bucket)], row);
        if let Some(next) = rows.get_mut(next) {
            next.prev = row;
        }
        let row = &mut rows[row];
        row.next = next;
        row.prev = NONE;
        row.bucket = bucket;
    }
}

/// The bucket of a tick.
fn bucket(tick: u64) -> u16 {
    u16::try_from(tick % u64::from(RING)).unwrap_or(0)
}
