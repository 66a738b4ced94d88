//! From Flow Records to messages on their way: layouts, Transport Sessions, collectors.
//!
//! [`Export`] is what the meter sees: a place to put batches that never blocks. Behind it each
//! collector has a queue and a task of its own ([`collector`]), so that one that is slow, away or
//! refusing stops nobody.

#![forbid(unsafe_code)]

mod account;
mod balance;
mod batch;
pub mod collector;
mod collectors;
pub mod columns;
mod datagrams;
pub(crate) mod fill;
mod in_flight;
pub mod kinds;
pub mod layouts;
pub(crate) mod pacing;
mod resolver;
pub(crate) mod socket;
pub(crate) mod stream;
mod transport;

pub use account::{CollectorStatus, ConnectionState, ConnectionStatus, Failures, TlsStatus};
use balance::Shares;
pub use batch::Batch;
pub use collector::{Collector, CollectorHandle, Shared};
pub use collectors::Collectors;
pub use columns::{Column, Elements, Limits, Listed};
pub use layouts::{Announced, Layouts, TemplateIds};
pub use transport::address_facing;

use crate::config;
use crate::ledger::{Ledger, LossReason};
use crate::record::{Record, UnixTime};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The collectors' queues, for the meter to fill.
#[derive(Clone)]
pub struct Export {
    ledger: Arc<Ledger>,
    collectors: Vec<CollectorHandle>,
    shares: Shares,
    /// What every collector's records can count.
    limits: Limits,
}

impl Export {
    /// For these collectors; with none, everything that comes is lost as `no_collector`.
    pub fn new(ledger: Arc<Ledger>, collectors: Vec<CollectorHandle>) -> Self {
        let limits = collectors
            .iter()
            .map(CollectorHandle::limits)
            .fold(Limits::NONE, Limits::min);
        Self {
            ledger,
            shares: Shares::new(collectors.iter().map(CollectorHandle::pool)),
            collectors,
            limits,
        }
    }

    /// Hands a batch of records, already in the ledger's queue, to every collector that it is for. A
    /// collector whose queue is full does not get it. Records that count more than some collector's fields can
    /// hold are split before.
    pub fn send(&self, records: Vec<Record>) {
        if records.is_empty() {
            return;
        }
        let otherwise = if self.collectors.is_empty() {
            LossReason::NoCollector
        } else {
            LossReason::NotSent
        };
        let records = self.limits.split(records);
        let is_well = |position: usize| self.collectors[position].is_well();
        for (records, share) in self.shares.split(records, is_well) {
            let batch = Arc::new(Batch::new(records, self.ledger.clone(), otherwise));
            for (position, collector) in self.collectors.iter().enumerate() {
                if share.is_for(position) {
                    collector.offer(&batch);
                }
            }
        }
    }

    /// Waits until every queue has room for `records` more, at most until `deadline`. Only for the
    /// end, when nothing is being observed that could be missed meanwhile.
    pub fn wait_for_room(&self, records: usize, deadline: Instant) {
        const LOOK_AGAIN: Duration = Duration::from_millis(2);
        while Instant::now() < deadline
            && !self
                .collectors
                .iter()
                .all(|collector| collector.has_room(records))
        {
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// The collectors.
    pub fn collectors(&self) -> &[CollectorHandle] {
        &self.collectors
    }
}

fn now_ms() -> u64 {
    UnixTime::from(SystemTime::now()).millis()
}

fn in_words(error: &io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
