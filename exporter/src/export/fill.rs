//! Records of a batch into a message.

use super::batch::Batch;
use super::layouts::Layouts;
use crate::record::Record;
use ipfix::{MessageWriter, WriteError};

/// What of a batch went into a message.
pub(crate) struct Filled {
    /// The first record that did not.
    pub(crate) next: usize,
    /// The records from there on that never can.
    pub(crate) impossible: Option<Impossible>,
}

/// Records that no message of the collector's can have.
pub(crate) struct Impossible {
    pub(crate) records: usize,
    /// `None`: the protocol has no record for them.
    pub(crate) error: Option<WriteError>,
}

/// Fills a message with records of a batch.
pub(crate) fn fill(
    writer: &mut MessageWriter<'_>,
    layouts: &Layouts,
    batch: &Batch,
    from: usize,
) -> Filled {
    let sampling = batch.sampling(from);
    let mut next = from;
    let mut impossible = None;
    while let Some(first) = batch.run(next).first() {
        let mut run = batch.run(next);
        if layouts.sampling_in_header {
            let same = |record: &&Record| record.id.sampling == first.id.sampling;
            run = &run[..run.iter().take_while(same).count()];
        }
        let Some(layout) = layouts.of(first) else {
            impossible = Some(Impossible {
                records: run.len(),
                error: None,
            });
            break;
        };
        if layouts.sampling_in_header && first.id.sampling != sampling {
            break;
        }
        match writer.write_all(layout, run) {
            Ok(written) => {
                next += written;
                if written < run.len() {
                    break;
                }
            }
            Err(error) => {
                impossible = Some(Impossible {
                    records: run.len(),
                    error: Some(error),
                });
                break;
            }
        }
    }
    Filled { next, impossible }
}
