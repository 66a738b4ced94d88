//! What export costs: records that a collector's task brings from its queue to the wire, by CPU
//! second of that task and by the clock, and what became of those that were too many.
//!
//! Over a veth pair, on which the kernel's receiving side runs on the sender's time: `wire` throws
//! the packets away at its other end, at `collector` somebody reads them.
//!
//! `cargo run --release -p ebpfix-bench --bin export-speed -- 2000000`, as root.

#![allow(clippy::cast_precision_loss, reason = "figures to read")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ebpfix::config::{self, Endpoint, Host};
use ebpfix::export::{Collectors, Shared};
use ebpfix::ledger::{Count, KernelReading, Ledger, LossReason, Past};
use ebpfix::observe::{Account, Page};
use ebpfix::record::{Record, UnixTime};
use ebpfix_probes::abi::{FlowId, FlowMetrics};
use ebpfix_tests::{Lab, Namespace, VethOptions};
use ipfix::Protocol;
use tokio::sync::watch;

const COLLECTOR: Ipv4Addr = Ipv4Addr::new(10, 9, 9, 2);
const PORT: u16 = 4739;
/// As the meter hands them over.
const BATCH: usize = 1024;

/// Where datagrams go.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// Over a veth pair whose other end throws them away, for they are for another host.
    Wire,
    /// Over a veth pair to a socket in which they are read.
    Collector,
}

/// How records are offered.
#[derive(Clone, Copy)]
enum Offer {
    /// Where there is room in the queue.
    Patient,
    /// This many in a second, room or not.
    PerSecond(u32),
}

fn main() {
    let records = std::env::args()
        .nth(1)
        .map_or(1_000_000, |n| n.parse().expect("a number of records"));
    println!(
        "| way | protocol | MTU | offered | records/s | datagrams/s | records per CPU second | \
         sent | lost at the queue | lost at the collector's socket |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for way in [Way::Wire, Way::Collector] {
        for (protocol, mtu) in [
            (Protocol::Ipfix, 1500),
            (Protocol::Ipfix, 9000),
            (Protocol::NetflowV9, 1500),
        ] {
            row(records, way, protocol, mtu, Offer::Patient);
        }
    }
    for rate in [500_000, 2_000_000] {
        row(
            records,
            Way::Collector,
            Protocol::Ipfix,
            1500,
            Offer::PerSecond(rate),
        );
    }
}

fn row(records: u64, way: Way, protocol: Protocol, mtu: u32, offer: Offer) {
    let mut lab = Lab::new("export");
    let (a, b) = (lab.namespace("a"), lab.namespace("b"));
    let reader = connect(&lab, (&a, &b), way, mtu);
    let done = a.enter(|| export(records, protocol, offer));
    let (received, dropped) = reader.map_or((0, 0), |reader| {
        b.wait_for_udp(PORT);
        thread::sleep(Duration::from_millis(300));
        let (_, dropped) = b.udp_socket(PORT).expect("the collector's socket");
        (reader.stop(), dropped)
    });
    let Done {
        status,
        queue_full,
        cpu,
        elapsed,
    } = done;
    if way == Way::Collector {
        assert_eq!(received + dropped, status.messages, "datagrams on the way");
    }
    let sent = status.records as f64;
    println!(
        "| {} | {} | {mtu} | {} | {:.0} | {:.0} | {:.0} | {} | {} packets | {dropped} datagrams |",
        match way {
            Way::Wire => "wire",
            Way::Collector => "collector",
        },
        status.protocol,
        match offer {
            Offer::Patient => "as taken".to_owned(),
            Offer::PerSecond(rate) => format!("{rate}/s"),
        },
        sent / elapsed,
        status.messages as f64 / elapsed,
        sent / cpu,
        status.records,
        queue_full.packets,
    );
}

struct Done {
    status: ebpfix::export::CollectorStatus,
    queue_full: Count,
    /// Of the collector's task.
    cpu: f64,
    elapsed: f64,
}

/// The stages after the meter, in the present namespace.
fn export(records: u64, protocol: Protocol, offer: Offer) -> Done {
    let map = Page::create().expect("a ledger page: root");
    let page = Arc::new(Page::begin(&map, Account::default()).expect("a ledger page"));
    let ledger = Arc::new(Ledger::resume(&Past::default(), Box::new(page)));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let (_shared, told) = watch::channel(Arc::new(Shared {
        sampling: 1,
        ..Shared::default()
    }));
    let mut collectors = Collectors::new(UnixTime::from_millis(1_795_000_000_000), told);
    let endpoint = Endpoint {
        host: Host::Address(COLLECTOR.into()),
        port: NonZeroU16::new(PORT).expect("not 0"),
    };
    let config = config::Collector::new("collector".to_owned(), endpoint, protocol);
    let export = {
        let _in_runtime = runtime.enter();
        collectors.set(&[config], 1, &ledger).expect("a layout")
    };
    let batch: Vec<Record> = (0..BATCH as u64).map(record).collect();
    let total: Count = batch
        .iter()
        .map(|r| Count::new(r.metrics.packets, r.metrics.bytes))
        .sum();
    let cpu_of_task = || {
        runtime
            .block_on(runtime.spawn(async { thread_cpu() }))
            .expect("the runtime")
    };
    // It opens its socket first.
    thread::sleep(Duration::from_millis(100));
    let cpu = cpu_of_task();
    let start = Instant::now();
    let patience = start + Duration::from_mins(2);
    let mut offered = 0;
    while offered < records {
        match offer {
            Offer::Patient => export.wait_for_room(BATCH, patience),
            Offer::PerSecond(rate) => {
                let due = Duration::from_secs_f64(offered as f64 / f64::from(rate));
                thread::sleep(due.saturating_sub(start.elapsed()));
            }
        }
        let records = batch.clone();
        ledger.observe(total);
        ledger.queue(total);
        export.send(records);
        offered += BATCH as u64;
        if offered % (64 * BATCH as u64) == 0 {
            let snapshot = ledger.snapshot(&KernelReading::default());
            assert!(snapshot.is_balanced(), "{snapshot:?}");
        }
    }
    let observer = export.collectors()[0].observer();
    while observer().held_records > 0 {
        thread::sleep(Duration::from_millis(1));
    }
    let elapsed = start.elapsed().as_secs_f64();
    let cpu = cpu_of_task() - cpu;
    drop(export);
    assert!(runtime.block_on(collectors.end(Duration::from_secs(10))));
    let snapshot = ledger.snapshot(&KernelReading::default());
    assert!(snapshot.is_balanced(), "{snapshot:?}");
    Done {
        status: observer(),
        queue_full: snapshot.lost.of(LossReason::ExportQueueFull),
        cpu,
        elapsed,
    }
}

/// Connects the two, and reads in the second where it is to be read.
fn connect(lab: &Lab, (a, b): (&Namespace, &Namespace), way: Way, mtu: u32) -> Option<Reader> {
    let options = VethOptions {
        mtu,
        offloads: false,
    };
    lab.veth((a, "a0"), (b, "b0"), options);
    a.address("a0", "10.9.9.1/24");
    b.address("b0", "10.9.9.2/24");
    match way {
        Way::Wire => {
            let elsewhere = [
                "neighbour",
                "add",
                "10.9.9.2",
                "lladdr",
                "02:00:00:00:00:99",
            ];
            a.ip(&[&elsewhere[..], &["dev", "a0", "nud", "permanent"]].concat());
            None
        }
        Way::Collector => {
            let socket = b.enter(|| UdpSocket::bind((COLLECTOR, PORT)));
            Some(Reader::start(socket.expect("a socket")))
        }
    }
}

/// Reads with the receive buffer that Linux gives to whoever asks for nothing.
struct Reader {
    stop: Arc<AtomicBool>,
    received: Arc<AtomicU64>,
    thread: thread::JoinHandle<()>,
}

impl Reader {
    fn start(socket: UdpSocket) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let received = Arc::new(AtomicU64::new(0));
        let thread = thread::spawn({
            let (stop, received) = (stop.clone(), received.clone());
            move || {
                let patience = Some(Duration::from_millis(50));
                socket.set_read_timeout(patience).expect("a timeout");
                let mut buffer = vec![0; 1 << 16];
                while !stop.load(Ordering::Relaxed) {
                    let from: Result<(usize, SocketAddr), _> = socket.recv_from(&mut buffer);
                    if from.is_ok() {
                        received.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
        Self {
            stop,
            received,
            thread,
        }
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the reader");
        self.received.load(Ordering::Relaxed)
    }
}

/// TCP over IPv4, in and out.
fn record(n: u64) -> Record {
    let [.., high, low] = n.to_be_bytes();
    let mut id = FlowId {
        direction: u8::from(n.is_multiple_of(2)),
        if_index: 3,
        sampling: 1,
        src_port: 1024 + u16::from_be_bytes([high, low]),
        dst_port: 443,
        transport_protocol: 6,
        eth_protocol: 0x0800,
        ..FlowId::default()
    };
    let mapped = |last: [u8; 4]| {
        let mut ip = [0; 16];
        ip[10..12].fill(0xff);
        ip[12..].copy_from_slice(&last);
        ip
    };
    id.src_ip.0 = mapped([10, 0, high, low]);
    id.dst_ip.0 = mapped([192, 0, 2, 7]);
    let metrics = FlowMetrics {
        packets: 3,
        bytes: 300,
        flags: 0x1b,
        min_ttl: 63,
        max_ttl: 64,
        ..FlowMetrics::default()
    };
    Record::new(id, metrics, UnixTime::from_millis(1_795_000_100_000), 0)
}

/// CPU seconds of the calling thread.
fn thread_cpu() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat");
    let nanoseconds: u64 = text
        .split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .expect("a number");
    nanoseconds as f64 / 1e9
}
