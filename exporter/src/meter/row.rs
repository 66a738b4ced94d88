//! One flow of the cache.

use ebpfix_probes::abi::{FlowId, FlowMetrics};

/// No row: the end of a list.
pub(super) const NONE: u32 = u32::MAX;

/// A flow, what its record in progress has counted, and where the row hangs.
#[derive(Clone, Copy, Debug)]
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
const _: () = assert!(size_of::<Row>() == 120);

impl Row {
    #[inline]
    pub(super) fn is(&self, state: u8) -> bool {
        self.state & state != 0
    }
}

/// The place of a row in the table.
#[inline]
pub(super) const fn place(row: u32) -> usize {
    row as usize
}
