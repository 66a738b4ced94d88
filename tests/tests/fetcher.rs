//! The library's way to flows, `FlowFetcher`, against the kernel: nothing lost, nothing twice.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ebpfix::observe::{AttachMode, FetcherOptions, FlowFetcher, Interface, load_net};
use ebpfix_probes::abi::{ERRNO_EVICTED, FlowId, FlowMetrics};
use ebpfix_tests::inject::{FloodKey, Order};
use ebpfix_tests::{Flood, Lab, Namespace, alone, runtime};

type Totals = HashMap<FloodKey, (u64, u64)>;

#[test]
fn every_flow_comes_with_its_packets_and_octets() {
    let flood = flood(100_000, 1000);
    let (totals, evicted) = observe("fetch-all", &options("fetch-all"), &flood);
    assert_eq!(totals, flood.expected());
    // A thousand flows fit the caches, but for those whose sets happen to be crowded.
    assert!(evicted < 5_000, "{evicted} records came by the log");
}

#[test]
fn what_does_not_fit_the_cache_comes_by_the_log() {
    let flood = flood(200_000, 5000);
    let options = FetcherOptions {
        cache_slots: Some(16),
        ..options("fetch-log")
    };
    let (totals, evicted) = observe("fetch-log", &options, &flood);
    assert_eq!(totals, flood.expected());
    assert!(evicted > 10_000, "only {evicted} records came by the log");
}

/// With a log that nobody reads for long, packets are lost, and every one of them is counted.
#[test]
fn what_fits_neither_cache_nor_log_is_counted() {
    let flood = flood(100_000, 20_000);
    let options = FetcherOptions {
        cache_slots: Some(16),
        log_records: 1024,
        ..options("fetch-full")
    };
    let lab = Link::new("fetch-full");
    let (flows, counters, settlement) = lab.b.enter(|| {
        let runtime = runtime();
        let mut fetcher = FlowFetcher::new(&options).expect("a fetcher");
        let interface = runtime
            .block_on(Interface::find("b0"))
            .expect("the interface");
        fetcher.register(&interface).expect("to attach");
        flood.send(&lab.a, "a0");
        let flows = fetcher.lookup_and_delete_map().expect("the flows");
        let settlement = *fetcher.settlement();
        let counters = fetcher.counters();
        fetcher.close();
        (flows, counters, settlement)
    });
    let packets: u64 = flows.values().map(|metrics| metrics.packets).sum();
    let octets: u64 = flows.values().map(|metrics| metrics.bytes).sum();
    let lost_packets: u64 = settlement.dropped.iter().map(|tally| tally.packets).sum();
    let lost_octets: u64 = settlement.dropped.iter().map(|tally| tally.octets).sum();
    assert_eq!(counters.observed.packets, 100_000);
    assert!(
        lost_packets > 10_000,
        "only {lost_packets} packets were lost"
    );
    assert_eq!(packets + lost_packets, 100_000);
    assert_eq!(octets + lost_octets, counters.observed.octets);
    assert_eq!(settlement.unaccounted.packets, 0);
    assert_eq!(settlement.surplus.packets, 0);
}

#[test]
fn an_interface_that_is_unregistered_is_no_longer_counted() {
    let lab = Link::new("fetch-unregister");
    let flood = flood(100, 10);
    for attach in [AttachMode::Tcx, AttachMode::Clsact] {
        let options = FetcherOptions {
            attach,
            ..options("fetch-unregister")
        };
        let counted = lab.b.enter(|| {
            let runtime = runtime();
            let mut fetcher = FlowFetcher::new(&options).expect("a fetcher");
            let by_name = runtime
                .block_on(Interface::find("b0"))
                .expect("the interface");
            let index = by_name.index.to_string();
            let by_index = runtime
                .block_on(Interface::find(&index))
                .expect("the interface");
            assert_eq!(by_name, by_index);
            fetcher.register(&by_name).expect("to attach");
            fetcher
                .register(&by_index)
                .expect("to attach once more, which changes nothing");
            flood.send(&lab.a, "a0");
            fetcher.unregister(&by_name);
            flood.send(&lab.a, "a0");
            let counted = fetcher.counters().observed.packets;
            fetcher.close();
            counted
        });
        assert_eq!(counted, 100, "{attach:?}");
    }
    let filters = lab.b.tc(&["filter", "show", "dev", "b0", "ingress"]);
    assert!(!filters.contains("ingress_flow"), "left behind: {filters}");
}

#[test]
fn an_interface_that_is_not_there_is_refused_by_name() {
    let lab = Link::new("fetch-missing");
    let error = lab.b.enter(|| {
        runtime()
            .block_on(Interface::find("nosuch0"))
            .map(|_| ())
            .unwrap_err()
            .to_string()
    });
    assert!(error.starts_with("nosuch0: no such interface"), "{error}");
}

#[test]
fn sampling_counts_about_one_in_n_and_says_so() {
    let lab = Link::new("fetch-sampling");
    let flood = flood(100_000, 100);
    let options = FetcherOptions {
        sampling: 10,
        ..options("fetch-sampling")
    };
    let (flows, settlement) = lab.b.enter(|| {
        let mut fetcher = FlowFetcher::new(&options).expect("a fetcher");
        let interface = runtime()
            .block_on(Interface::find("b0"))
            .expect("the interface");
        fetcher.register(&interface).expect("to attach");
        flood.send(&lab.a, "a0");
        let flows = fetcher.lookup_and_delete_map().expect("the flows");
        (flows, *fetcher.settlement())
    });
    let selected: u64 = flows.values().map(|metrics| metrics.packets).sum();
    let left_out: u64 = settlement.dropped.iter().map(|tally| tally.packets).sum();
    assert_eq!(selected + left_out, 100_000);
    // Binomial with a standard deviation of 95: this is beyond ten of them.
    assert!(
        (9_000..11_000).contains(&selected),
        "{selected} of 100000 selected"
    );
    assert!(flows.keys().all(|flow| flow.sampling == 10));
}

#[test]
fn the_object_lists_its_programs() {
    let spec = load_net().expect("the embedded object");
    let names: Vec<&str> = spec
        .programs
        .iter()
        .map(|program| program.name.as_str())
        .collect();
    for name in ["ingress_flow_parse", "egress_flow_parse"] {
        assert!(names.contains(&name), "{names:?}");
    }
}

/// Two ends, what is sent into `a0` arrives at `b0`.
struct Link {
    a: Namespace,
    b: Namespace,
    _lab: Lab,
}

impl Link {
    fn new(name: &str) -> Self {
        let (lab, a, b) = Lab::pair(name);
        Self { a, b, _lab: lab }
    }
}

/// Sends the flood while the fetcher is read back to back; returns what came of every flow, and
/// how many records came by the log.
fn observe(name: &str, options: &FetcherOptions, flood: &Flood) -> (Totals, u64) {
    let _alone = alone();
    let link = Link::new(name);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let (ready, attached) = std::sync::mpsc::channel();
        let (ended, link) = (&ended, &link);
        let reader = scope.spawn(move || {
            link.b.enter(|| {
                let runtime = runtime();
                let mut fetcher = FlowFetcher::new(options).expect("a fetcher");
                let interface = runtime
                    .block_on(Interface::find("b0"))
                    .expect("the interface");
                fetcher.register(&interface).expect("to attach");
                ready.send(()).expect("somebody waits");
                let mut totals = Totals::new();
                let mut evicted = 0;
                let mut last = false;
                loop {
                    let records = runtime.block_on(async {
                        let wait = Duration::from_millis(2);
                        tokio::time::timeout(wait, fetcher.read_ring_buf())
                            .await
                            .unwrap_or_default()
                    });
                    for record in &records {
                        assert_eq!(record.record.metrics.errno, ERRNO_EVICTED);
                        add(&mut totals, &record.record.id, &record.record.metrics);
                        evicted += 1;
                    }
                    for (flow, metrics) in fetcher.lookup_and_delete_map().expect("the flows") {
                        add(&mut totals, &flow, &metrics);
                    }
                    let settlement = fetcher.settlement();
                    assert_eq!(settlement.unaccounted.packets, 0);
                    assert_eq!(settlement.surplus.packets, 0);
                    assert!(settlement.dropped.iter().all(|tally| tally.packets == 0));
                    if last {
                        break;
                    }
                    last = ended.load(Ordering::Acquire);
                }
                fetcher.close();
                (totals, evicted)
            })
        });
        attached.recv().expect("the fetcher attaches");
        flood.send(&link.a, "a0");
        ended.store(true, Ordering::Release);
        reader.join().expect("the reader ends")
    })
}

fn add(totals: &mut Totals, flow: &FlowId, metrics: &FlowMetrics) {
    let ipv4 = |address: &ebpfix_probes::abi::IpAddress| address.ipv4().expect("an IPv4 flow");
    let key = (
        ipv4(&flow.src_ip),
        ipv4(&flow.dst_ip),
        flow.src_port,
        flow.dst_port,
    );
    let total = totals.entry(key).or_default();
    total.0 += metrics.packets;
    total.1 += metrics.bytes;
}

fn flood(packets: u64, flows: u32) -> Flood {
    Flood {
        packets,
        flows,
        order: Order::Random(7),
        threads: 1,
    }
}

fn options(name: &str) -> FetcherOptions {
    FetcherOptions {
        egress: false,
        pin_dir: PathBuf::from(format!("/sys/fs/bpf/ebpfix-{name}-{}", std::process::id())),
        ..FetcherOptions::default()
    }
}
