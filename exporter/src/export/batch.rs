//! Batches of Flow Records on their way to one or more collectors.

use super::kinds;
use crate::ledger::{Count, Ledger, LossReason};
use crate::record::Record;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What became of a record: no collector was sent it so far, or some was, or it could not be for the
/// protocol.
const UNDECIDED: u8 = 0;
const SENT: u8 = 1;
const NOT_IN_PROTOCOL: u8 = 2;

/// Flow Records that left the meter together.
///
/// A batch stands in the ledger's export queue from [`Batch::new`] on. A record leaves it when the
/// first collector was sent it; those that no collector was sent are lost when the batch is dropped,
/// when the last collector has done with it: because of a protocol, or for the reason last given for
/// the batch.
#[derive(Debug)]
pub struct Batch {
    /// Those of one layout stand together.
    records: Vec<Record>,
    /// Where those of each layout end.
    ends: Vec<usize>,
    total: Count,
    fates: Box<[AtomicU8]>,
    ledger: Arc<Ledger>,
    /// What becomes of records that no collector was sent.
    otherwise: Mutex<LossReason>,
}

impl Batch {
    /// Takes records that were moved to the ledger's queue.
    ///
    /// They change places: records of one layout come together, each kind in the order it came in,
    /// so that they can be encoded many at a time and a set's header is paid once.
    pub fn new(mut records: Vec<Record>, ledger: Arc<Ledger>, otherwise: LossReason) -> Self {
        records.sort_by_key(kinds::position);
        let mut ends = Vec::new();
        for run in records.chunk_by(|a, b| kinds::position(a) == kinds::position(b)) {
            ends.push(ends.last().copied().unwrap_or(0) + run.len());
        }
        let fates = records.iter().map(|_| AtomicU8::new(UNDECIDED)).collect();
        Self {
            total: count(&records),
            records,
            ends,
            fates,
            ledger,
            otherwise: Mutex::new(otherwise),
        }
    }

    /// How many records it has.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it has no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The packets and octets of all of its records.
    pub fn total(&self) -> Count {
        self.total
    }

    /// The records from `position` on that have one layout.
    pub fn run(&self, position: usize) -> &[Record] {
        let end = self.ends.iter().find(|end| **end > position);
        end.and_then(|end| self.records.get(position..*end))
            .unwrap_or_default()
    }

    /// The sampling interval of the record at `position`; 1 where there is none.
    pub fn sampling(&self, position: usize) -> u32 {
        self.records
            .get(position)
            .map_or(1, |record| record.id.sampling)
    }

    /// The packets and octets of some of its records.
    pub fn count(&self, positions: Range<usize>) -> Count {
        count(self.records.get(positions).unwrap_or_default())
    }

    /// Notes that the records at `positions` were sent: those that were not before are exported. To
    /// be called at once, so that the ledger knows of every datagram even if the process is killed.
    pub fn sent(&self, positions: Range<usize>) {
        let fates = self.fates.get(positions.clone()).unwrap_or_default();
        let records = self.records.get(positions).unwrap_or_default();
        let first_time = records
            .iter()
            .zip(fates)
            .filter(|(_, fate)| fate.swap(SENT, Ordering::Relaxed) != SENT);
        self.ledger
            .export(first_time.map(|(record, _)| count_of(record)).sum());
    }

    /// Notes that a collector's protocol has no record for those at `positions`.
    pub fn not_in_protocol(&self, positions: Range<usize>) {
        for fate in self.fates.get(positions).unwrap_or_default() {
            // Where it was sent to another it stays sent, and then nothing is to be done.
            let _ = fate.compare_exchange(
                UNDECIDED,
                NOT_IN_PROTOCOL,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
    }

    /// Notes that records of it cannot be encoded.
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
        let mut lost = Count::ZERO;
        let mut not_in_protocol = Count::ZERO;
        for (record, fate) in self.records.iter().zip(&mut self.fates) {
            match *fate.get_mut() {
                SENT => {}
                NOT_IN_PROTOCOL => not_in_protocol += count_of(record),
                _ => lost += count_of(record),
            }
        }
        let reason = *self
            .otherwise
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        self.ledger.lose_from_queue(reason, lost);
        self.ledger
            .lose_from_queue(LossReason::NotInProtocol, not_in_protocol);
    }
}

fn count(records: &[Record]) -> Count {
    records.iter().map(count_of).sum()
}

fn count_of(record: &Record) -> Count {
    Count::new(record.metrics.packets, record.metrics.bytes)
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
        batch.sent(0..1);
        // At once, and once: by whichever collector was first.
        other.sent(0..1);
        drop(batch);
        let snapshot = ledger.snapshot(&KernelReading::default());
        assert_eq!(snapshot.exported, Count::new(1, 100));
        assert_eq!(snapshot.held(), Count::new(6, 600));
        other.sent(2..3);
        drop(other);
        let snapshot = ledger.snapshot(&KernelReading::default());
        assert_eq!(snapshot.exported, Count::new(5, 500));
        assert_eq!(snapshot.lost.of(LossReason::NotSent), Count::new(2, 200));
        assert!(snapshot.held().is_zero());
    }

    #[test]
    fn what_no_protocol_has_a_record_for_is_lost_for_that() {
        let ledger = Arc::new(Ledger::new());
        ledger.observe(Count::new(7, 700));
        ledger.queue(Count::new(7, 700));
        let records = vec![record(1), record(2), record(4)];
        let batch = Batch::new(records, ledger.clone(), LossReason::NotSent);
        batch.not_in_protocol(0..2);
        batch.sent(1..2);
        batch.not_in_protocol(1..2);
        drop(batch);
        let snapshot = ledger.snapshot(&KernelReading::default());
        assert_eq!(snapshot.exported, Count::new(2, 200));
        let lost = snapshot.lost;
        assert_eq!(lost.of(LossReason::NotInProtocol), Count::new(1, 100));
        assert_eq!(lost.of(LossReason::NotSent), Count::new(4, 400));
        assert!(snapshot.is_balanced() && snapshot.held().is_zero());
    }

    #[test]
    fn records_of_one_layout_stand_together_in_the_order_they_came() {
        let kinds = [(0, 6), (1, 6), (0, 1), (0, 6), (1, 1), (1, 6), (0, 1)];
        let records = kinds
            .into_iter()
            .zip(1..)
            .map(|((direction, protocol), packets)| {
                let mut record = record(packets);
                record.id.direction = direction;
                record.id.transport_protocol = protocol;
                record.id.eth_protocol = 0x0800;
                record.id.src_ip.0[10..].fill(0xff);
                record.id.dst_ip.0[10..].fill(0xff);
                record
            })
            .collect();
        let batch = Batch::new(records, Arc::new(Ledger::new()), LossReason::NotSent);
        let mut position = 0;
        let mut runs = Vec::new();
        while !batch.run(position).is_empty() {
            let run = batch.run(position);
            runs.push(run.iter().map(|r| r.metrics.packets).collect::<Vec<_>>());
            position += run.len();
        }
        assert_eq!(runs, [vec![1, 4], vec![2, 6], vec![3, 7], vec![5]]);
        assert_eq!(position, batch.len());
        assert_eq!(batch.count(0..2), Count::new(5, 500));
        assert_eq!(batch.total(), Count::new(28, 2800));
        assert!(batch.run(99).is_empty() && batch.count(3..99).is_zero());
    }
}
