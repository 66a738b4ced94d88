//! What `ebpfix status` shows: gathered on demand, from the ledger, the tables and the collectors.

use super::metering::{Gauges, kernel_reading};
use crate::config::LogLevel;
use crate::export::{CollectorHandle, CollectorStatus};
use crate::ledger::{Count, Ledger, Snapshot};
use crate::observe::{Page, Tables};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// An interface that is observed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct InterfaceStatus {
    /// The kernel's index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `ifAlias`, the operator's description; empty where there is none.
    pub alias: String,
    /// What sort of device it is: the kernel's word for it, else `physical`, `loopback` or `other`.
    pub kind: String,
    /// Administratively up.
    pub up: bool,
    /// How fast it is in each direction; none where its driver does not know.
    pub speed_bits_per_second: Option<u64>,
    /// `full` or `half`; none where its driver does not know.
    pub duplex: Option<&'static str>,
    /// How packets that enter are seen: `tcx`, `clsact`, or not at all.
    pub ingress: Option<&'static str>,
    /// How packets that leave are seen.
    pub egress: Option<&'static str>,
    /// How often somebody took a program off and it was attached again.
    pub reattached: u64,
}

/// The network namespace that the configuration names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NamespaceStatus {
    /// Its name or path, as configured.
    pub name: String,
    /// Whether it is there; else it is waited for.
    pub present: bool,
}

/// The state of an exporter.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Of the program.
    pub version: &'static str,
    /// Seconds since it began.
    pub uptime_s: u64,
    /// What became of every packet.
    pub ledger: Snapshot,
    /// The collectors.
    pub collectors: Vec<CollectorStatus>,
    /// The network namespace that they are in; none: the exporter's own.
    pub namespace: Option<NamespaceStatus>,
    /// The interfaces that are observed.
    pub interfaces: Vec<InterfaceStatus>,
    /// The kernel's side.
    pub kernel: KernelStatus,
    /// The flow cache.
    pub meter: MeterStatus,
    /// The configuration.
    pub configuration: ConfigurationStatus,
}

/// The configuration in force, and what came of the last attempt to read another.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ConfigurationStatus {
    /// Where it is read from; none: every value is the default.
    pub file: Option<String>,
    /// All that was read, in the order in which it counts: that file, the files beside it in `conf.d`,
    /// and the environment variables.
    pub files: Vec<String>,
    /// When it was read, in milliseconds since 1970.
    pub read_ms: u64,
    /// When it was last tried to read it again, in milliseconds since 1970; none: never since the start.
    /// It was in vain if there are `errors`.
    pub tried_ms: Option<u64>,
    /// What was wrong when it was last tried to read it, a mistake each; the configuration in force is
    /// then the one before. Empty once a good one was read.
    pub errors: Vec<String>,
    /// Keys that say something else than at the start, and take effect at the next one.
    pub restart: Vec<&'static str>,
    /// The least severity that is logged.
    pub log_level: Option<LogLevel>,
}

impl ConfigurationStatus {
    /// Of a configuration that was read without a mistake.
    pub(super) fn read_from(file: Option<&Path>, files: Vec<String>, read_ms: u64) -> Self {
        Self {
            files,
            file: file.map(|file| file.display().to_string()),
            read_ms,
            ..Self::default()
        }
    }
}

/// What came of reading the configuration again.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Reloaded {
    /// Whether it is in force.
    pub applied: bool,
    /// Why it is not.
    pub errors: Vec<String>,
    /// What is odd about it.
    pub warnings: Vec<String>,
    /// Keys that take effect at the next start.
    pub restart: Vec<String>,
}

/// The kernel's side.
#[derive(Debug, Serialize)]
pub struct KernelStatus {
    /// The filter in force; `None`: there is none. What it leaves out is lost by `filtered`.
    pub filter: Option<String>,
    /// How programs are attached, and to how many hooks so.
    pub attached: BTreeMap<&'static str, usize>,
    /// Frames, and their octets with link headers, as interface counters have them.
    pub frames: Count,
    /// Slots of each CPU's cache.
    pub cache_slots: u32,
    /// CPUs that are provided for.
    pub cpus: u32,
    /// Records that wait in the logs.
    pub log_waiting: u64,
    /// Records that the logs hold at most.
    pub log_records: u64,
    /// Octets of kernel memory.
    pub octets: u64,
    /// Generations read so far.
    pub turns: u64,
    /// When the tables were made, in milliseconds since 1970.
    pub tables_since_ms: u64,
    /// Whether this exporter found them, made by another.
    pub adopted: bool,
    /// Whether it is still reading what it found: until then `held` may have packets that will turn
    /// out to be lost by `crash`.
    pub taking_over: bool,
    /// How often an exporter handed over to the next.
    pub handovers: u64,
    /// How often an exporter ended without.
    pub crashes: u64,
}

/// The flow cache.
#[derive(Debug, Serialize)]
pub struct MeterStatus {
    /// Flows held.
    pub flows: u64,
    /// Flows held at most.
    pub max_flows: u32,
    /// Octets of memory.
    pub octets: u64,
}

/// What a [`Status`] is gathered from.
#[derive(Clone)]
pub struct Sources {
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// The kernel's tables.
    pub tables: Arc<Tables>,
    /// The meter's numbers.
    pub gauges: Arc<Gauges>,
    /// The ledger page.
    pub page: Arc<Page>,
    /// Whether the tables were found.
    pub adopted: bool,
}

impl Sources {
    /// The ledger at this moment, the kernel's part included.
    pub fn ledger(&self) -> Snapshot {
        self.ledger.snapshot_with(|| kernel_reading(&self.tables))
    }

    /// Everything.
    pub fn status(
        &self,
        uptime_s: u64,
        max_flows: u32,
        collectors: &[CollectorHandle],
        namespace: Option<NamespaceStatus>,
        interfaces: Vec<InterfaceStatus>,
        configuration: ConfigurationStatus,
    ) -> Status {
        use std::sync::atomic::Ordering::Relaxed;
        let mut attached = BTreeMap::new();
        for interface in &interfaces {
            for kind in [interface.ingress, interface.egress].into_iter().flatten() {
                *attached.entry(kind).or_default() += 1;
            }
        }
        let sizes = self.tables.sizes();
        let (log_waiting, log_records) = self.tables.log_fill();
        let frames = self.tables.counters().frames;
        let account = self.page.account();
        Status {
            version: env!("CARGO_PKG_VERSION"),
            uptime_s,
            ledger: self.ledger(),
            collectors: collectors.iter().map(CollectorHandle::status).collect(),
            namespace,
            interfaces,
            kernel: KernelStatus {
                filter: None,
                attached,
                frames: Count::new(frames.packets, frames.octets),
                cache_slots: sizes.sets * 2,
                cpus: sizes.cpus,
                log_waiting,
                log_records,
                octets: sizes.octets(),
                turns: self.gauges.turns.load(Relaxed),
                tables_since_ms: account.since_ms,
                adopted: self.adopted,
                taking_over: self.gauges.taking_over.load(Relaxed),
                handovers: account.handovers,
                crashes: account.crashes,
            },
            meter: MeterStatus {
                flows: self.gauges.flows.load(Relaxed),
                max_flows,
                octets: self.gauges.cache_octets.load(Relaxed),
            },
            configuration,
        }
    }
}
