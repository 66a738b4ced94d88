//! What a collector counts.

use std::fmt;
use std::ops::AddAssign;

use super::StorageSummary;

/// What was received since the collector started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Messages that were whole.
    pub messages: u64,
    /// Exporters heard of: pairs of source address and Observation Domain.
    pub exporters: u64,
    /// Flow Records printed.
    pub records: u64,
    /// Options Data Records.
    pub options_records: u64,
    /// Messages (`NetFlow` v9) or Data Records (IPFIX) that are missing by the sequence numbers.
    pub missing: u64,
    /// Data Sets whose template was not known.
    pub unknown_template_sets: u64,
    /// Datagrams that are no message, or broken ones.
    pub garbage: u64,
    /// What became of it in the file, if it is stored.
    pub storage: Option<StorageSummary>,
}

impl AddAssign for Summary {
    /// Adds all but what was stored.
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.exporters += other.exporters;
        self.records += other.records;
        self.options_records += other.options_records;
        self.missing += other.missing;
        self.unknown_template_sets += other.unknown_template_sets;
        self.garbage += other.garbage;
    }
}

impl fmt::Display for Summary {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            messages,
            exporters,
            records,
            options_records,
            missing,
            unknown_template_sets,
            garbage,
            storage,
        } = self;
        write!(
            f,
            "messages: {messages}, exporters: {exporters}, flow records: {records}, options \
             records: {options_records}, missing by sequence: {missing}, sets without template: \
             {unknown_template_sets}, garbage: {garbage}"
        )?;
        storage.map_or(Ok(()), |storage| write!(f, ", {storage}"))
    }
}
