//! What a packet costs: nanoseconds that the kernel spends in the program, by its own account
//! (`kernel.bpf_stats_enabled`), beside an empty program on the same traffic; and CPU seconds of
//! this process, which reads and drops the records, per million packets.
//!
//! `cargo run --release -p ebpfix-bench --bin packet-cost -- 2000000`, as root.

#![allow(clippy::cast_precision_loss, reason = "figures to read")]

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ebpfix::observe::{FetcherOptions, FlowFetcher, Interface};
use ebpfix_bench::{Account, BpfStats, attach_tcx, load_empty};
use ebpfix_tests::inject::Order;
use ebpfix_tests::{Flood, Lab, runtime};

fn main() {
    let packets = std::env::args()
        .nth(1)
        .map_or(1_000_000, |n| n.parse().expect("a number of packets"));
    let _stats = BpfStats::on().expect("root");
    println!("| flows | program ns/packet | empty program | net | own CPU s/Mpacket | packets/s |");
    println!("|---|---|---|---|---|---|");
    for flows in [1, 1000, 16_000, 256_000] {
        row(packets, flows);
    }
}

fn row(packets: u64, flows: u32) {
    let (_lab, a, b) = Lab::pair("cost");
    let flood = Flood {
        packets,
        flows,
        order: Order::Random(3),
        threads: 1,
    };
    let empty = b.enter(|| {
        let program = load_empty();
        let interface = runtime()
            .block_on(Interface::find("b0"))
            .expect("the interface");
        let _link = attach_tcx(&program, interface.index);
        flood.send(&a, "a0");
        Account::of(&program).expect("the account").per_run()
    });
    let ended = AtomicBool::new(false);
    let (cost, cpu, rate) = thread::scope(|scope| {
        let (ready, attached) = std::sync::mpsc::channel();
        let ended = &ended;
        let b = &b;
        let reader = scope.spawn(move || {
            b.enter(|| {
                let options = FetcherOptions {
                    egress: false,
                    pin_dir: PathBuf::from("/sys/fs/bpf/ebpfix-cost"),
                    ..FetcherOptions::default()
                };
                let runtime = runtime();
                let mut fetcher = FlowFetcher::new(&options).expect("a fetcher");
                let interface = runtime
                    .block_on(Interface::find("b0"))
                    .expect("the interface");
                fetcher.register(&interface).expect("to attach");
                ready.send(()).expect("somebody waits");
                let cpu = thread_cpu();
                let mut rounds = 0u32;
                while !ended.load(Ordering::Acquire) {
                    let wait = Duration::from_millis(5);
                    let _ = runtime.block_on(async {
                        tokio::time::timeout(wait, fetcher.read_ring_buf()).await
                    });
                    rounds += 1;
                    if rounds.is_multiple_of(100) {
                        fetcher.lookup_and_delete_map().expect("the flows");
                    }
                }
                let cpu = thread_cpu() - cpu;
                let program = &fetcher.objects().programs.ingress_flow_parse;
                let account = Account::of(program).expect("the account");
                (account.per_run(), cpu)
            })
        });
        attached.recv().expect("the fetcher attaches");
        let sent = flood.send(&a, "a0");
        ended.store(true, Ordering::Release);
        let (cost, cpu) = reader.join().expect("the reader");
        (cost, cpu, sent.rate())
    });
    println!(
        "| {flows} | {cost:.0} | {empty:.0} | {:.0} | {:.3} | {rate:.0} |",
        cost - empty,
        cpu * 1e6 / flood.packets as f64
    );
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
