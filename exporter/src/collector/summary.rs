//! What a collector counts.

use std::fmt;
use std::ops::AddAssign;

use super::StorageSummary;

/// What was received since the collector started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Connections that were taken; none over UDP.
    pub connections: u64,
    /// Connections that were not, because there were too many.
    pub refused_connections: u64,
    /// Connections that ended for what came over them, or within a message.
    pub broken_connections: u64,
    /// What became of it in the file, if it is stored.
    pub storage: Option<StorageSummary>,
    /// From whom something is missing: the first ones, as many as are told.
    pub gaps: Vec<Gap>,
}

/// What is missing of one exporter by its sequence numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Its address, protocol and Observation Domain.
    pub exporter: String,
    /// Messages (`NetFlow` v9) or Data Records.
    pub missing: u64,
}

/// Exporters that are told one by one.
const MAX_GAPS: usize = 100;

impl Summary {
    /// Notes that something of an exporter is missing.
    pub(super) fn gap(&mut self, exporter: &str, missing: u64) {
        let known = self.gaps.iter_mut().find(|gap| gap.exporter == exporter);
        if let Some(gap) = known {
            gap.missing += missing;
        } else if self.gaps.len() < MAX_GAPS {
            self.gaps.push(Gap {
                exporter: exporter.to_owned(),
                missing,
            });
        }
    }
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
        self.connections += other.connections;
        self.refused_connections += other.refused_connections;
        self.broken_connections += other.broken_connections;
        for Gap { exporter, missing } in other.gaps {
            self.gap(&exporter, missing);
        }
    }
}

impl fmt::Display for Summary {
    /// One line, and before it one for each exporter of which something is missing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            messages,
            exporters,
            records,
            options_records,
            missing,
            unknown_template_sets,
            garbage,
            connections,
            refused_connections,
            broken_connections,
            storage,
            gaps,
        } = self;
        for Gap { exporter, missing } in gaps {
            writeln!(f, "missing by sequence of {exporter}: {missing}")?;
        }
        write!(
            f,
            "messages: {messages}, exporters: {exporters}, flow records: {records}, options \
             records: {options_records}, missing by sequence: {missing}, sets without template: \
             {unknown_template_sets}, garbage: {garbage}"
        )?;
        if *connections > 0 || *refused_connections > 0 {
            write!(
                f,
                ", connections: {connections}, broken: {broken_connections}, refused: \
                 {refused_connections}"
            )?;
        }
        storage.map_or(Ok(()), |storage| write!(f, ", {storage}"))
    }
}
