//! Batches of Flow Records on their way to one or more collectors.

use crate::ledger::{Count, Ledger, LossReason};
use crate::record::Record;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Flow Records that left the meter together.
///
/// A batch stands in the ledger's export queue from [`Batch::new`] until it is dropped, when the
/// last collector has done with it. Each of its records was sent to some collector by then, or is
/// lost for the reason last given.
#[derive(Debug)]
pub struct Batch {
    records: Vec<Record>,
    sent: Box<[AtomicBool]>,
    ledger: Arc<Ledger>,
    /// What becomes of records that no collector was sent.
    otherwise: Mutex<LossReason>,
}

impl Batch {
    /// Takes records that were moved to the ledger's queue.
    pub fn new(records: Vec<Record>, ledger: Arc<Ledger>, otherwise: LossReason) -> Self {
        let sent = records.iter().map(|_| AtomicBool::new(false)).collect();
        Self {
            records,
            sent,
            ledger,
            otherwise: Mutex::new(otherwise),
        }
    }

    /// The records.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Notes that the records at `positions` were sent.
    pub fn sent(&self, positions: impl IntoIterator<Item = usize>) {
        for position in positions {
            if let Some(sent) = self.sent.get(position) {
                sent.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Notes that a record cannot be encoded.
    pub fn cannot_encode(&self) {
        self.set_otherwise(LossReason::Encode);
    }

    /// Notes that a collector's queue had no room for the batch.
    pub fn queue_full(&self) {
        self.set_otherwise(LossReason::ExportQueueFull);
    }

    fn set_otherwise(&self, reason: LossReason) {
        *self
            .otherwise
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = reason;
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let mut exported = Count::ZERO;
        let mut lost = Count::ZERO;
        for (record, sent) in self.records.iter().zip(&self.sent) {
            let count = Count::new(record.metrics.packets, record.metrics.bytes);
            if sent.load(Ordering::Relaxed) {
                exported += count;
            } else {
                lost += count;
            }
        }
        let reason = *self
            .otherwise
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        self.ledger.export(exported);
        self.ledger.lose_from_queue(reason, lost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::KernelReading;
    use crate::record::UnixTime;
    use ebpfix_probes::abi::{FlowId, FlowMetrics};

    fn record(packets: u64) -> Record {
        let metrics = FlowMetrics {
            packets,
            bytes: packets * 100,
            ..FlowMetrics::default()
        };
        Record::new(FlowId::default(), metrics, UnixTime::EPOCH, 0)
    }

    #[test]
    fn what_one_of_two_collectors_was_sent_is_exported_and_the_rest_is_lost() {
        let ledger = Arc::new(Ledger::new());
        ledger.observe(Count::new(7, 700));
        ledger.queue(Count::new(7, 700));
        let records = vec![record(1), record(2), record(4)];
        let batch = Arc::new(Batch::new(records, ledger.clone(), LossReason::NotSent));
        let other = batch.clone();
        batch.sent([0]);
        drop(batch);
        assert_eq!(
            ledger.snapshot(&KernelReading::default()).held(),
            Count::new(7, 700)
        );
        other.sent([0, 2]);
        drop(other);
        let snapshot = ledger.snapshot(&KernelReading::default());
        assert_eq!(snapshot.exported, Count::new(5, 500));
        assert_eq!(snapshot.lost.of(LossReason::NotSent), Count::new(2, 200));
        assert!(snapshot.held().is_zero());
    }
}
