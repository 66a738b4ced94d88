//! The flows of the cache, a row each.

use std::ops::{Index, IndexMut};

use ebpfix_probes::abi::{FlowId, FlowMetrics};
use ebpfix_probes::table;

/// No row: the end of a list.
pub(super) const NONE: u32 = u32::MAX;

/// A flow, what its record in progress has counted, and where the row hangs.
///
/// Two whole cache lines, so that finding it costs no third: the key in one, all else in the other.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(128))]
pub(super) struct Row {
    pub(super) id: FlowId,
    /// Empty when the last record was cut and no packet came since; then the end is still the time
    /// of the last packet.
    pub(super) metrics: FlowMetrics,
    /// The kernel's keyed hash of `id`.
    pub(super) hash: u32,
    /// The next row of the bucket, or the next free row.
    pub(super) next: u32,
    /// The row before in the bucket.
    pub(super) prev: u32,
    /// The bucket; right in a bucket's first row only.
    pub(super) bucket: u16,
    /// [`LIVE`], [`DUPLICATE`], [`OWNER`].
    pub(super) state: u8,
}

/// The row holds a flow.
pub(super) const LIVE: u8 = 1;
/// The record in progress counts what another view of the flow counts too.
pub(super) const DUPLICATE: u8 = 2;
/// The row's view owns the flow, and the row stands for it among the owners.
pub(super) const OWNER: u8 = 4;

/// The memory of a flow is mostly this.
const _: () = assert!(size_of::<Row>() == 128);

impl Row {
    /// Whether the row holds the flow of this key.
    #[inline]
    pub(super) fn holds(&self, words: &table::Words) -> bool {
        table::same(&table::words(&self.id), words)
    }

    #[inline]
    pub(super) fn is(&self, state: u8) -> bool {
        self.state & state != 0
    }
}

/// Rows by their numbers.
///
/// They are in segments that stay where they are: a table that grows copies nothing, and at no time
/// takes twice the memory.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// All but the last are full. The first one grows, lest a few flows take much.
    segments: Vec<Vec<Row>>,
    len: u32,
}

/// Rows of a segment, as a power of two.
const SEGMENT_BITS: u32 = 12;
const SEGMENT_ROWS: usize = 1 << SEGMENT_BITS;
/// Rows of the first allocation.
const FIRST_ROWS: usize = 64;

impl Rows {
    /// How many there are.
    #[inline]
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// Octets of memory they take.
    pub(super) fn memory(&self) -> usize {
        let rows: usize = self.segments.iter().map(Vec::capacity).sum();
        rows * size_of::<Row>() + self.segments.capacity() * size_of::<Vec<Row>>()
    }

    /// Adds a row and returns its number. There will be `most` rows at most.
    pub(super) fn push(&mut self, row: Row, most: u32) -> u32 {
        let number = self.len;
        let (segment, _) = split(number);
        if segment == self.segments.len() {
            let first = if segment == 0 {
                FIRST_ROWS
            } else {
                SEGMENT_ROWS
            };
            let rest = place(most.saturating_sub(number)).max(1);
            self.segments.push(Vec::with_capacity(first.min(rest)));
        }
        let segment = &mut self.segments[segment];
        if segment.len() == segment.capacity() {
            // Doubling, but never beyond what may be needed.
            let rest = place(most.saturating_sub(number)).max(1);
            segment.reserve_exact(segment.len().min(rest));
        }
        segment.push(row);
        self.len += 1;
        number
    }

    #[inline]
    pub(super) fn get(&self, row: u32) -> Option<&Row> {
        let (segment, place) = split(row);
        self.segments.get(segment)?.get(place)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, row: u32) -> Option<&mut Row> {
        let (segment, place) = split(row);
        self.segments.get_mut(segment)?.get_mut(place)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Row> {
        self.segments.iter().flatten()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Row> {
        self.segments.iter_mut().flatten()
    }

    /// The rows with their numbers.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (u32, &Row)> {
        (0..).zip(self.iter())
    }
}

impl Index<u32> for Rows {
    type Output = Row;

    #[inline]
    fn index(&self, row: u32) -> &Row {
        let (segment, place) = split(row);
        &self.segments[segment][place]
    }
}

impl IndexMut<u32> for Rows {
    #[inline]
    fn index_mut(&mut self, row: u32) -> &mut Row {
        let (segment, place) = split(row);
        &mut self.segments[segment][place]
    }
}

#[inline]
fn split(row: u32) -> (usize, usize) {
    (place(row >> SEGMENT_BITS), place(row) & (SEGMENT_ROWS - 1))
}

/// A number of rows, or the number of one.
#[inline]
pub(super) const fn place(row: u32) -> usize {
    row as usize
}
