//! What a collector counts.

use std::fmt;

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
        } = self;
        write!(
            f,
            "messages: {messages}, exporters: {exporters}, flow records: {records}, options \
             records: {options_records}, missing by sequence: {missing}, sets without template: \
             {unknown_template_sets}, garbage: {garbage}"
        )
    }
}
