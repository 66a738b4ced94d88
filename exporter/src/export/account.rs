//! A collector's account: what it was offered, and what became of it.

use crate::ledger::Count;
use serde::Serialize;
use std::net::SocketAddr;

/// What one collector was sent, and was not.
///
/// At any reading `offered = exported + held + lost`, in packets, in octets and in records. What is
/// unacknowledged is a part of what was exported.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CollectorStatus {
    /// Its name in the configuration.
    pub name: String,
    /// As configured.
    pub address: String,
    /// Where messages go now.
    pub peer: Option<SocketAddr>,
    /// Where they come from.
    pub source: Option<SocketAddr>,
    /// `ipfix`, `netflow-v9` or `netflow-v5`.
    pub protocol: &'static str,
    /// `udp`, `tcp` or `tls`.
    pub transport: &'static str,
    /// The connection; `None`: there is none over UDP.
    pub connection: Option<ConnectionStatus>,
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
    /// all that can be known, and over a connection until the other host acknowledges them.
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
    /// Packets and octets of the records sent that may have arrived or not: the connection broke before
    /// the other host acknowledged them. They are not sent again, or some would be there twice.
    pub unacknowledged: Count,
    /// These records.
    pub unacknowledged_records: u64,
    /// Answers that nobody listens there (ICMP).
    pub refused: u64,
    /// Attempts to send that failed.
    pub errors: u64,
    /// Whether it takes what it is sent, as far as is known: sending did not fail the last time, and no
    /// ICMP error came back for some seconds; or there is a connection, and it took something in the last
    /// seconds.
    pub well: bool,
    /// The last failure, in words.
    pub last_error: Option<String>,
}

/// How it is with the connection to a collector.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ConnectionStatus {
    /// What it is.
    pub state: ConnectionState,
    /// Since when, in milliseconds since 1970; 0: from the beginning.
    pub since_ms: u64,
    /// Connections that were made so far, with TLS where it has to be.
    pub made: u64,
    /// Octets on their way in the present connection: not taken by the kernel yet, or not acknowledged.
    pub waiting_octets: u64,
    /// Octets that the collector sent, which means nothing, over all connections.
    pub received_octets: u64,
    /// What was agreed on in the present connection, or the last one; `None`: none was made by TLS.
    pub tls: Option<TlsStatus>,
    /// Connections that could not be made, or ended otherwise than by this exporter.
    pub failures: Failures,
}

/// What a connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionState {
    /// Not there: it is being made, or waits for the next attempt.
    #[default]
    Connecting,
    /// There, and takes what is sent.
    Connected,
    /// There, but nothing was taken for some seconds.
    Stalled,
}

/// What was agreed on by TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TlsStatus {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: String,
    /// The cipher suite, by its name in IANA's registry.
    pub cipher: String,
    /// The name, or address, that the collector's certificate is for.
    pub server_name: String,
    /// Until when the exporter's own certificate is good, in milliseconds since 1970; `None`: it has none.
    pub certificate_expires_ms: Option<u64>,
}

/// Connections that could not be made, or did not last, by what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Failures {
    /// Nobody could be connected to.
    pub connect: u64,
    /// No agreement by TLS: certificates, keys, names, versions.
    pub tls: u64,
    /// The collector ended the connection.
    pub closed: u64,
    /// The collector's host did not answer, or its collector took nothing, for too long.
    pub timed_out: u64,
    /// The connection broke otherwise.
    pub broken: u64,
}

impl CollectorStatus {
    /// The connection is this now.
    pub(super) fn connection_is(&mut self, state: ConnectionState, now_ms: u64) {
        self.well = state == ConnectionState::Connected;
        if let Some(connection) = &mut self.connection
            && connection.state != state
        {
            connection.state = state;
            connection.since_ms = now_ms;
        }
    }

    /// Records that were sent may have arrived or not.
    pub(super) fn leave_unacknowledged(&mut self, records: u64, count: Count) {
        self.unacknowledged += count;
        self.unacknowledged_records += records;
    }

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
