//! A collector's account: what it was offered, and what became of it.

use crate::ledger::Count;
use serde::Serialize;
use std::net::SocketAddr;

/// What one collector was sent, and was not.
///
/// At any reading `offered = exported + held + lost`, in packets, in octets and in records.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CollectorStatus {
    /// Its name in the configuration.
    pub name: String,
    /// As configured.
    pub address: String,
    /// Where datagrams go now.
    pub peer: Option<SocketAddr>,
    /// Where they come from.
    pub source: Option<SocketAddr>,
    /// `ipfix` or `netflow-v9`.
    pub protocol: &'static str,
    /// Octets of a message at most.
    pub max_message: u16,
    /// Messages sent.
    pub messages: u64,
    /// Octets of these messages.
    pub octets: u64,
    /// Packets and octets of all records that were meant for it.
    pub offered: Count,
    /// These records.
    pub offered_records: u64,
    /// Packets and octets of the records that were sent: given to the network, which over UDP is
    /// all that can be known.
    pub exported: Count,
    /// Flow Records sent.
    pub records: u64,
    /// Packets and octets of records that wait.
    pub held: Count,
    /// Records that wait.
    pub held_records: u64,
    /// Packets and octets of records that were not sent.
    pub lost: Count,
    /// Records that were not sent.
    pub lost_records: u64,
    /// When the first of these was given up, in milliseconds since 1970; 0: never.
    pub first_lost_ms: u64,
    /// When the last one was.
    pub last_lost_ms: u64,
    /// Answers that nobody listens there (ICMP).
    pub refused: u64,
    /// Attempts to send that failed.
    pub errors: u64,
    /// Whether it takes what it is sent, as far as is known: sending did not fail the last time, and no
    /// ICMP error came back for some seconds.
    pub well: bool,
    /// The last failure, in words.
    pub last_error: Option<String>,
}

impl CollectorStatus {
    /// Records were queued.
    pub(super) fn hold(&mut self, records: usize, count: Count) {
        self.offered += count;
        self.offered_records += records as u64;
        self.held += count;
        self.held_records += records as u64;
    }

    /// Records were turned away at the queue.
    pub(super) fn turn_away(&mut self, records: usize, count: Count, now_ms: u64) {
        self.hold(records, count);
        self.lose(records, count, now_ms);
    }

    /// Records that were held are sent.
    pub(super) fn export(&mut self, records: usize, count: Count) {
        self.release(records, count);
        self.exported += count;
        self.records += records as u64;
    }

    /// Records that were held will not be sent.
    pub(super) fn lose(&mut self, records: usize, count: Count, now_ms: u64) {
        if self.lost_records == 0 {
            self.first_lost_ms = now_ms;
        }
        self.last_lost_ms = now_ms;
        self.release(records, count);
        self.lost += count;
        self.lost_records += records as u64;
    }

    /// Nothing more will be sent.
    pub(super) fn lose_all(&mut self) {
        self.lost += std::mem::take(&mut self.held);
        self.lost_records += std::mem::take(&mut self.held_records);
    }

    fn release(&mut self, records: usize, count: Count) {
        self.held = self.held.saturating_sub(count);
        self.held_records = self.held_records.saturating_sub(records as u64);
    }
}
