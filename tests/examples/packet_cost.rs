//! What a packet costs: nanoseconds that the kernel spends in the program, by its own account
//! (`kernel.bpf_stats_enabled`), beside an empty program on the same traffic; and CPU seconds of
//! this process, which reads and drops the records, per million packets.
//!
//! `cargo run --release -p ebpfix-tests --example packet_cost -- 2000000`, as root.

#![allow(clippy::cast_precision_loss, reason = "figures to read")]

use std::ffi::CStr;
use std::fs;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ebpfix::observe::{FetcherOptions, FlowFetcher, Interface};
use ebpfix_tests::inject::Order;
use ebpfix_tests::{Flood, Lab, VethOptions, runtime};

const BPF_STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";

fn main() {
    let packets = std::env::args()
        .nth(1)
        .map_or(1_000_000, |n| n.parse().expect("a number of packets"));
    let before = fs::read_to_string(BPF_STATS).expect("root");
    fs::write(BPF_STATS, "1").expect("root");
    println!("| flows | program ns/packet | empty program | net | own CPU s/Mpacket | packets/s |");
    println!("|---|---|---|---|---|---|");
    for flows in [1, 1000, 16_000, 256_000] {
        row(packets, flows);
    }
    fs::write(BPF_STATS, before.trim()).expect("root");
}

fn row(packets: u64, flows: u32) {
    let mut lab = Lab::new("cost");
    let (a, b) = (lab.namespace("a"), lab.namespace("b"));
    lab.veth((&a, "a0"), (&b, "b0"), VethOptions::default());
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
        let _link = attach(&program, interface.index);
        flood.send(&a, "a0");
        cost(program.as_raw_fd())
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
                let program = fetcher.objects().programs.ingress_flow_parse.as_raw_fd();
                (cost(program), cpu)
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

/// Nanoseconds per run of a program since it was loaded.
fn cost(program: i32) -> f64 {
    // SAFETY: all zero is a valid request; the kernel fills what fits.
    unsafe {
        let mut info: bpf_sys::bpf_prog_info = mem::zeroed();
        let mut octets = u32::try_from(mem::size_of_val(&info)).expect("a small type");
        let failed =
            bpf_sys::bpf_obj_get_info_by_fd(program, (&raw mut info).cast(), &raw mut octets);
        assert_eq!(failed, 0);
        info.run_time_ns as f64 / info.run_cnt as f64
    }
}

/// `r0 = -1; exit`: `TC_ACT_UNSPEC` and nothing else.
fn load_empty() -> OwnedFd {
    const CODE: [u8; 16] = [
        0xb7, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x95, 0, 0, 0, 0, 0, 0, 0,
    ];
    const LICENSE: &CStr = c"GPL";
    // SAFETY: two whole instructions; pointers that outlive the call.
    unsafe {
        let mut attr: bpf_sys::bpf_load_program_attr = mem::zeroed();
        attr.prog_type = bpf_sys::bpf_prog_type_BPF_PROG_TYPE_SCHED_CLS;
        attr.name = c"empty".as_ptr();
        attr.insns = CODE.as_ptr().cast();
        attr.insns_cnt = 2;
        attr.license = LICENSE.as_ptr();
        let fd = bpf_sys::bpf_load_program_xattr(&raw const attr, std::ptr::null_mut(), 0);
        assert!(fd >= 0, "the empty program loads");
        OwnedFd::from_raw_fd(fd)
    }
}

fn attach(program: &OwnedFd, if_index: u32) -> OwnedFd {
    const BPF_TCX_INGRESS: u32 = 46;
    // SAFETY: plain numbers.
    unsafe {
        let fd = bpf_sys::bpf_link_create(
            program.as_raw_fd(),
            if_index.cast_signed(),
            BPF_TCX_INGRESS,
            std::ptr::null(),
        );
        assert!(fd >= 0, "TCX takes it");
        OwnedFd::from_raw_fd(fd)
    }
}
