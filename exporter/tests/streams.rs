//! IPFIX over TCP: what the collector gets, and what is counted where it gets nothing.

mod export_common;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use ebpfix::config::{self, Transport};
use ebpfix::export::{CollectorStatus, ConnectionState, ConnectionStatus};
use ebpfix::ledger::LossReason;
use export_common::streams::{Heard, Peer, read_all, read_some};
use export_common::*;
use ipfix::Protocol;

fn by_tcp(address: SocketAddr) -> config::Collector {
    config::Collector {
        transport: Transport::Tcp,
        ..collector_at(address, Protocol::Ipfix)
    }
}

fn connection(status: &CollectorStatus) -> &ConnectionStatus {
    status.connection.as_ref().unwrap()
}

#[track_caller]
fn assert_balanced(status: &CollectorStatus) {
    let sum = status.exported + status.held + status.lost;
    assert_eq!(status.offered, sum, "{status:?}");
    assert!(
        status.unacknowledged_records <= status.records,
        "{status:?}"
    );
}

#[test]
fn all_arrives_in_one_session_with_templates_once() {
    let peer = Peer::new();
    let exporter = Exporter::start(&[by_tcp(peer.address())]);
    let reader = thread::spawn({
        let socket = peer.accept();
        move || read_all(socket)
    });
    let sent = records(20_000);
    for part in sent.chunks(1000) {
        exporter.send(part.to_vec());
    }
    eventually(|| (exporter.status()[0].held_records == 0).then_some(()));
    let status = exporter.status().remove(0);
    assert_eq!(connection(&status).state, ConnectionState::Connected);
    assert!(status.well && status.last_error.is_none());
    assert_eq!((status.transport, status.max_message), ("tcp", 16_384));
    let (status, snapshot) = exporter.finish();
    let octets = reader.join().unwrap();
    let heard = Heard::of(&octets);
    heard.assert_new_session();
    assert_eq!(heard.with_templates[&1], 1);
    assert_eq!((heard.rest, heard.distinct().len()), (0, 20_000));
    assert!(
        (12_000..=16_384).contains(&heard.largest),
        "{}",
        heard.largest
    );
    assert_eq!(status[0].octets, octets.len() as u64);
    assert_eq!(status[0].messages, heard.messages as u64);
    assert_eq!(status[0].exported, total(&sent));
    assert!(status[0].unacknowledged.is_zero() && connection(&status[0]).made == 1);
    assert_balanced(&status[0]);
    assert_eq!(snapshot.exported, total(&sent));
    assert!(snapshot.is_balanced() && snapshot.held().is_zero());
}

#[test]
fn a_collector_that_is_killed_in_traffic_gets_nothing_twice_when_it_is_back() {
    let peer = Peer::new();
    let mut config = by_tcp(peer.address());
    config.rate_limit = std::num::NonZeroU32::new(20_000);
    let exporter = Exporter::start(&[config]);
    let sent = records(20_000);
    exporter.send(sent.clone());
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let socket = peer.accept();
        sessions.push(read_some(&socket, 150_001));
        // With octets unread, and a message half read: the kernel answers with a reset.
        drop(socket);
    }
    let reader = thread::spawn({
        let socket = peer.accept();
        move || read_all(socket)
    });
    eventually(|| (exporter.status()[0].held_records == 0).then_some(()));
    let (status, snapshot) = exporter.finish();
    sessions.push(reader.join().unwrap());
    let mut all = BTreeSet::new();
    let mut count = 0;
    for octets in &sessions {
        let heard = Heard::of(octets);
        heard.assert_new_session();
        assert_eq!(heard.with_templates[&1], 1);
        count += heard.distinct().len();
        all.extend(heard.records);
    }
    assert_eq!(all.len(), count, "a record was sent twice");
    let status = &status[0];
    assert_balanced(status);
    let connection = connection(status);
    assert_eq!(connection.made, 3, "{connection:?}");
    assert_eq!(connection.failures.closed + connection.failures.broken, 2);
    assert_eq!(status.exported, total(&sent));
    // What is missing was on its way to a collector that was killed: not acknowledged, or in the
    // receive buffer of its host.
    assert!(count < 20_000 && count > 15_000, "{count}");
    assert!(snapshot.is_balanced() && snapshot.held().is_zero());
}

#[test]
fn a_collector_that_starts_late_gets_all() {
    let address = unused_port(Ipv4Addr::LOCALHOST.into());
    let exporter = Exporter::start(&[by_tcp(address)]);
    exporter.send(records(1000));
    let status = eventually(|| {
        let status = exporter.status().remove(0);
        (connection(&status).failures.connect >= 1).then_some(status)
    });
    let expected = format!("cannot connect to {address}: Connection refused (os error 111)");
    assert_eq!(status.last_error.as_ref(), Some(&expected));
    assert_eq!((status.held_records, status.well), (1000, false));
    let peer = Peer::at(address);
    let socket = peer.accept();
    let reader = thread::spawn(move || read_all(socket));
    eventually(|| (exporter.status()[0].records == 1000).then_some(()));
    assert!(exporter.status()[0].well);
    let (status, _) = exporter.finish();
    assert_eq!(Heard::of(&reader.join().unwrap()).distinct().len(), 1000);
    assert!(status[0].unacknowledged.is_zero());
}

#[test]
fn one_that_never_reads_is_bounded_delays_nobody_and_is_stood_in_for() {
    const RECORDS: u64 = 400 * 1024;
    let silent = Peer::new();
    let good = Peer::new();
    let exporter = Exporter::start(&[by_tcp(silent.address()), by_tcp(good.address())]);
    let deaf = silent.accept();
    let reader = thread::spawn({
        let socket = good.accept();
        move || read_all(socket)
    });
    eventually(|| exporter.status().iter().all(|s| s.well).then_some(()));
    let began = Instant::now();
    for first in (0..RECORDS).step_by(1024) {
        exporter.send((first..first + 1024).map(|n| record(n + 1)).collect());
        eventually(|| (exporter.status()[1].held_records < 100_000).then_some(()));
    }
    eventually(|| (exporter.status()[1].held_records == 0).then_some(()));
    let status = eventually(|| {
        let status = exporter.status();
        let stalled = connection(&status[0]).state == ConnectionState::Stalled;
        stalled.then_some(status)
    });
    assert!(
        began.elapsed() < Duration::from_secs(50),
        "{:?}",
        began.elapsed()
    );
    assert!(!status[0].well && status[1].well);
    // A queue, and what fits the buffers of two kernels.
    assert!(status[0].held_records <= 256 * 1024, "{:?}", status[0]);
    assert!(status[0].lost_records > 0 && status[0].records > 0);
    assert!(connection(&status[0]).waiting_octets < 8 << 20);
    assert_balanced(&status[0]);
    let snapshot = exporter.snapshot();
    assert!(
        snapshot.lost.of(LossReason::ExportQueueFull).is_zero(),
        "the other got them"
    );
    drop(deaf);
    drop(silent);
    let (status, snapshot) = exporter.finish();
    assert!(status[0].unacknowledged_records > 0);
    assert_balanced(&status[0]);
    assert_eq!(
        Heard::of(&reader.join().unwrap()).distinct().len() as u64,
        RECORDS
    );
    assert!(snapshot.is_balanced() && snapshot.held().is_zero());
}

#[test]
fn one_that_talks_without_end_is_left_and_costs_no_memory() {
    let peer = Peer::new();
    let exporter = Exporter::start(&[by_tcp(peer.address())]);
    for _ in 0..2 {
        let mut socket = peer.accept();
        // Until the connection is over for that.
        while socket.write_all(&[0x55; 4096]).is_ok() {}
    }
    let status = eventually(|| {
        let status = exporter.status().remove(0);
        (status.errors >= 2).then_some(status)
    });
    let error = status.last_error.as_deref().unwrap();
    assert!(error.contains("it sends without end"), "{error}");
    assert_eq!(connection(&status).failures.broken, 2);
    let received = connection(&status).received_octets;
    assert!((64 << 10..1 << 20).contains(&received), "{received}");
    drop(peer);
    let (status, _) = exporter.finish();
    assert_balanced(&status[0]);
}

#[test]
fn one_that_says_little_is_not_minded() {
    let peer = Peer::new();
    let exporter = Exporter::start(&[by_tcp(peer.address())]);
    let mut socket = peer.accept();
    socket.write_all(b"hello").unwrap();
    eventually(|| (connection(&exporter.status()[0]).received_octets == 5).then_some(()));
    exporter.send(records(10));
    let reader = thread::spawn(move || read_all(socket));
    let (status, _) = exporter.finish();
    assert_eq!(Heard::of(&reader.join().unwrap()).distinct().len(), 10);
    assert_eq!((status[0].errors, status[0].records), (0, 10));
}
