//! Filters in the kernel: what is meant is counted, what is not is counted as filtered, and nothing else.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ebpfix::filter::KernelFilter;
use ebpfix::filter::kernel::MAX_INSTRUCTIONS;
use ebpfix::observe::{Direction, FetcherOptions, FlowFetcher};
use ebpfix_probes::abi::{DROP_REASONS, DropReason, FlowId, IpAddress, MacAddress, Tally};
use ebpfix_tests::chance::Random;
use ebpfix_tests::frame::{self, Ipv4, protocol};
use ebpfix_tests::inject::{Injector, Order};
use ebpfix_tests::test_run::{Counted, FilterRun, Programs, Run};
use ebpfix_tests::{Count, Ebpfix, Flood, Lab, Ledger, Nfcapd, Settings, alone, filters, wait_for};
use nix::sys::signal::Signal;

const PORT: u16 = 9001;
/// Expressions by chance, unless `EBPFIX_FILTERS` has another number.
const EXPRESSIONS: u64 = 300;
/// Of as many one is tried in the programs themselves, whose loading takes long.
const BY_THE_PROGRAMS: u64 = 50;
/// Flow Keys that each is tried on.
const KEYS: u64 = 100;

// ---- Kernel and host ------------------------------------------------------------------------------

/// Expressions by chance over Flow Keys by chance: the kernel says of each what the host says.
#[test]
fn the_kernel_takes_what_the_host_takes() {
    let mut random = Random::from_environment("EBPFIX_SEED", "filters");
    let (mut taken, mut all) = (0, 0);
    for _ in 0..expressions() {
        let text = expression(&mut random, 5);
        let filter: KernelFilter = text.parse().expect(&text);
        let run = FilterRun::load(&filter);
        for _ in 0..KEYS {
            let id = key(&mut random);
            let takes = filter.takes(&id);
            assert_eq!(run.takes(&id), takes, "{text}: {id:?}");
            taken += u64::from(takes);
            all += 1;
        }
    }
    eprintln!("{taken} of {all} keys taken");
    assert!(
        taken > all / 10 && taken < all - all / 10,
        "{taken} of {all}"
    );
}

fn expressions() -> u64 {
    std::env::var("EBPFIX_FILTERS")
        .map_or(EXPRESSIONS, |text| text.parse().expect("EBPFIX_FILTERS"))
}

/// The same over frames of many kinds, by each of the programs: they count the flows that the host
/// takes, and the packets and octets of the others as filtered.
#[test]
fn the_programs_count_what_the_host_takes() {
    let expressions = (expressions() / BY_THE_PROGRAMS).max(1);
    let mut random = Random::from_environment("EBPFIX_SEED", "filters in the programs");
    let (_lab, a, _b) = Lab::pair("filters");
    a.enter(|| {
        let mut programs = Programs::load();
        programs.set_layer2_flows(true);
        let frames = frames();
        let mut cases = Vec::new();
        for frame in &frames {
            for ethernet in [true, false] {
                for direction in [Direction::Ingress, Direction::Egress] {
                    let run = Run {
                        frame,
                        ethernet,
                        direction,
                        if_index: 1,
                        tag: None,
                        segments: 0,
                        segment_octets: 0,
                        times: 1,
                    };
                    programs.run(&run).expect("a frame that the kernel takes");
                    let counted = programs.take();
                    // All that is no flow without a filter is none with one.
                    if let [record] = counted.records[..] {
                        cases.push((run, record.record.id, counted.observed));
                    }
                }
            }
        }
        assert!(cases.len() > 3 * frames.len(), "{} cases", cases.len());
        let (mut taken, mut left, mut load) = (0, 0, Duration::ZERO);
        for _ in 0..expressions {
            let text = expression(&mut random, 5);
            let filter: KernelFilter = text.parse().expect(&text);
            let start = Instant::now();
            programs.set_filter(&filter).expect(&text);
            load += start.elapsed();
            programs.turn();
            for (run, id, observed) in &cases {
                programs.run(run).expect("a frame that the kernel took");
                let found = judged(&programs.take(), *observed);
                let expected = filter.takes(id).then_some(*id);
                assert_eq!(found, expected, "{text}: {id:?}");
                *if expected.is_some() { &mut taken } else { &mut left } += 1;
            }
        }
        eprintln!(
            "{expressions} expressions: {taken} packets taken, {left} left out, four programs loaded in {:?}",
            load / u32::try_from(expressions).expect("a small number")
        );
        assert!(taken > left / 20 && left > taken / 20);
    });
}

/// The flow that was counted, or that the packet and its octets were counted as filtered.
#[track_caller]
fn judged(counted: &Counted, observed: Tally) -> Option<FlowId> {
    assert_eq!(counted.observed, observed);
    let mut dropped = [Tally::default(); DROP_REASONS];
    let flow = match counted.records[..] {
        [record] => {
            let metrics = record.record.metrics;
            assert_eq!(
                (metrics.packets, metrics.bytes),
                (observed.packets, observed.octets)
            );
            Some(record.record.id)
        }
        [] => {
            dropped[DropReason::Filtered as usize] = observed;
            None
        }
        _ => panic!("{counted:?}"),
    };
    assert_eq!(counted.dropped, dropped);
    flow
}

/// The longest filters that can be written are taken by the verifier, whatever is in them.
#[test]
fn the_verifier_takes_the_longest_filters() {
    let (_lab, a, _b) = Lab::pair("long-filters");
    a.enter(|| {
        let options = FetcherOptions {
            pin_dir: format!("/sys/fs/bpf/ebpfix-test-{}-long", std::process::id()).into(),
            cache_slots: Some(16),
            log_records: 1024,
            ..FetcherOptions::default()
        };
        let mut fetcher = FlowFetcher::new(&options).expect("the programs load");
        for (what, filter) in filters::long(MAX_INSTRUCTIONS) {
            let start = Instant::now();
            fetcher
                .set_filter(&filter)
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            eprintln!(
                "{what}: {} instructions, four programs loaded in {:?}",
                filter.instructions(),
                start.elapsed()
            );
        }
    });
}

const NETWORKS: [&str; 14] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.3",
    "192.0.2.0/25",
    "192.0.2.128/25",
    "0.0.0.0/0",
    "255.255.255.255",
    "::/0",
    "::",
    "2001:db8::/32",
    "2001:db8::1",
    "2001:db8::8000:0:0:0/65",
    "fe80::/10",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
];
/// A Flow Key of numbers that the tests name, or that are next to them.
fn key(random: &mut Random) -> FlowId {
    let port = |random: &mut Random| {
        random
            .one_of(&PORTS)
            .wrapping_add(random.one_of(&[0, 0, 1]))
    };
    let mac = |random: &mut Random| {
        let last = u8::try_from(random.below(3)).expect("a small number");
        MacAddress(random.one_of(&[[2, 0, 0, 0, 0, last], [0; 6]]))
    };
    let (source, destination) = match random.below(8) {
        0 => (IpAddress::default(), IpAddress::default()),
        _ => (address(random), address(random)),
    };
    FlowId {
        src_ip: source,
        dst_ip: destination,
        src_mac: mac(random),
        dst_mac: mac(random),
        src_port: port(random),
        dst_port: port(random),
        if_index: random.one_of(&[1, 2, u32::MAX]),
        eth_protocol: random.one_of(&[0, 0x0800, 0x86dd, 0x0806]),
        vlan_id: random.one_of(&[0, 7, 8, 9]),
        customer_vlan_id: random.one_of(&[0, 7, 8]),
        transport_protocol: random.one_of(&[0, 1, 6, 17, 33, 58, 132, 136, 255]),
        direction: random.one_of(&[0, 1]),
        sampling: random.one_of(&[1, 2, u32::MAX]),
    }
}

/// One in a network of the tests, or next to it.
fn address(random: &mut Random) -> IpAddress {
    let network = random.one_of(&NETWORKS);
    let (address, length) = network.split_once('/').unwrap_or((network, "128"));
    let ip: IpAddr = address.parse().expect("an address");
    let whole: u32 = if ip.is_ipv4() { 32 } else { 128 };
    let behind = whole.saturating_sub(length.parse().expect("a length"));
    let within = !u128::MAX.checked_shl(behind).unwrap_or(0);
    let first = u128::from_be_bytes(IpAddress::from(ip).0);
    let chance = u128::from(random.below(u64::MAX)) << 64 | u128::from(random.below(u64::MAX));
    let places = [
        first,
        first | within,
        first.wrapping_sub(1),
        (first | within).wrapping_add(1),
        first | chance & within,
    ];
    IpAddress(random.one_of(&places).to_be_bytes())
}

const PORTS: [u16; 6] = [0, 53, 80, 443, 40_000, 65_535];

fn expression(random: &mut Random, depth: u32) -> String {
    match random.below(if depth == 0 { 1 } else { 3 }) {
        0 => test(random),
        1 => format!("not {}", expression(random, depth - 1)),
        _ => {
            let join = random.one_of(&[" and ", " or "]);
            let count = 1 + random.below(6);
            let several: Vec<_> = (0..count).map(|_| expression(random, depth - 1)).collect();
            format!("({})", several.join(join))
        }
    }
}

fn test(random: &mut Random) -> String {
    let end = random.one_of(&["", "src ", "dst "]);
    let count = 1 + random.below(5);
    match random.below(8) {
        0..3 => {
            let networks: Vec<_> = (0..count).map(|_| random.one_of(&NETWORKS)).collect();
            format!("{end}net {}", networks.join(","))
        }
        3 | 4 => {
            let ports: Vec<_> = (0..count)
                .map(|_| random.one_of(&PORTS).to_string())
                .collect();
            format!("{end}port {}", ports.join(","))
        }
        5 => format!(
            "{end}mac {}",
            random.one_of(&[
                "02:00:00:00:00:01",
                "02:00:00:00:00:02",
                "00:00:00:00:00:00"
            ])
        ),
        6 => random
            .one_of(&[
                "tcp", "udp", "icmp", "icmp6", "sctp", "proto 0", "ip", "ip6", "arp", "ether 0",
            ])
            .to_owned(),
        _ => random
            .one_of(&[
                "in",
                "out",
                "vlan",
                "vlan 0",
                "vlan 7",
                "vlan 8",
                "if_index = 1",
                "if_index > 1",
                "sampling < 2",
            ])
            .to_owned(),
    }
}

/// Frames of which the tests above mean some.
fn frames() -> Vec<frame::Frame> {
    let mut frames = Vec::new();
    for [source, destination] in [
        [[10, 1, 2, 3], [192, 0, 2, 127]],
        [[192, 0, 2, 128], [10, 1, 2, 4]],
        [[10, 255, 255, 255], [255, 255, 255, 255]],
        [[9, 255, 255, 255], [11, 0, 0, 0]],
    ] {
        for (number, payload) in [
            (protocol::TCP, frame::tcp(40_000, 443, 2, b"")),
            (protocol::UDP, frame::udp(53, 65_535, b"data")),
            (protocol::SCTP, frame::ports(80, 0)),
            (protocol::ICMP, frame::icmp(8, 0)),
            (protocol::GRE, vec![0; 8]),
        ] {
            let packet = Ipv4::new(source, destination, number);
            frames.push(frame::ethernet(frame::IPV4, &packet.packet(&payload)));
        }
        let later = Ipv4 {
            fragment_offset: 3,
            ..Ipv4::new(source, destination, protocol::UDP)
        };
        frames.push(frame::ethernet(frame::IPV4, &later.packet(b"12345678")));
    }
    for [source, destination] in [
        ["2001:db8::1", "2001:db8::8000:0:0:1"],
        ["2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::1"],
        ["::", "ff02::1"],
        ["::", "::"],
        ["::ffff:10.1.2.3", "::fffe:ffff:ffff"],
        ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::1"],
    ] {
        for (number, payload) in [
            (protocol::TCP, frame::tcp(443, 53, 2, b"")),
            (protocol::ICMPV6, frame::icmp(128, 0)),
        ] {
            let packet = frame::ipv6(source, destination, number, &payload);
            frames.push(frame::ethernet(frame::IPV6, &packet));
        }
    }
    let packet = Ipv4::new([10, 1, 2, 3], [10, 9, 9, 9], protocol::UDP);
    let packet = packet.packet(&frame::udp(40_000, 80, b"data"));
    let inner = frame::tag(8, frame::IPV4, &packet);
    frames.push(frame::ethernet(
        frame::DOT1Q,
        &frame::tag(7, frame::IPV4, &packet),
    ));
    frames.push(frame::ethernet(
        frame::DOT1AD,
        &frame::tag(9, frame::DOT1Q, &inner),
    ));
    frames.push(frame::ethernet(0x0806, &[0; 28]));
    frames.push(frame::ethernet(0x88cc, &[0; 40]));
    frames
}

// ---- On the wire ------------------------------------------------------------------------------------

/// Of a list of filters what meets one of them arrives at the collector, and nothing else.
#[test]
fn only_what_is_meant_arrives() {
    let _alone = alone();
    let (lab, a, b) = Lab::pair("meant");
    let nfcapd = Nfcapd::start(&lab, &b, PORT);
    let settings = quick(Settings::new("b0", &["ingress"]))
        .observation("non-ip", "\"flow\"")
        .observation(
            "filter",
            r#"["net 10.0.0.0/8 and not port 53", "2001:db8::/32 and (tcp or icmp6)", "arp"]"#,
        )
        .collector(PORT, "ipfix");
    let ebpfix = Ebpfix::start(&lab, &b, &settings);
    let injector = Injector::new(&a, "a0");
    let (mut meant, mut others) = (Count::default(), Count::default());
    for (times, is_meant, frame) in [
        (3, true, ipv4([10, 1, 1, 1], 17, &frame::udp(1, 2, b"data"))),
        (
            4,
            false,
            ipv4([10, 1, 1, 1], 17, &frame::udp(1, 53, b"query")),
        ),
        // Of a fragment that is not the first the ports are not known.
        (
            5,
            true,
            frame::ethernet(
                frame::IPV4,
                &Ipv4 {
                    fragment_offset: 2,
                    ..Ipv4::new([10, 1, 1, 1], [192, 0, 2, 1], protocol::UDP)
                }
                .packet(b"12345678"),
            ),
        ),
        (
            6,
            false,
            ipv4([192, 0, 2, 9], 6, &frame::tcp(1, 80, 2, b"")),
        ),
        (7, true, ipv4([10, 1, 1, 1], 1, &frame::icmp(8, 0))),
        (8, true, ipv6("2001:db8::7", 6, &frame::tcp(9, 53, 2, b""))),
        (9, false, ipv6("2001:db8::7", 17, &frame::udp(9, 53, b""))),
        (
            10,
            false,
            ipv6("2001:db9::7", 6, &frame::tcp(9, 80, 2, b"")),
        ),
        (11, true, frame::ethernet(0x0806, &[0; 46])),
        (12, false, frame::ethernet(0x88cc, &[0; 46])),
    ] {
        for _ in 0..times {
            injector.send(&frame);
        }
        let count = if is_meant { &mut meant } else { &mut others };
        count.packets += times;
        count.octets += times * (u64::try_from(frame.len()).expect("a frame") - 14);
    }
    let ledger = ebpfix.wait_settled(meant.packets + others.packets);
    ledger.assert_balanced();
    assert_eq!(ledger.exported, meant, "{ledger:?}");
    assert_eq!(ledger.lost_by("filtered"), others, "{ledger:?}");
    assert_eq!(ledger.lost_in_all(), others, "{ledger:?}");
    let status = ebpfix.status();
    assert_eq!(
        status["kernel"]["filter"],
        "(net 10.0.0.0/8 and not port 53) or (2001:db8::/32 and (tcp or icmp6)) or (arp)"
    );
    let _ = ebpfix.stop();
    let nfcapd = nfcapd.stop();
    assert_eq!(
        (nfcapd.packets, nfcapd.octets),
        (meant.packets, meant.octets),
        "{}",
        nfcapd.log
    );
}

/// A filter comes, changes and goes while packets come in: every one is counted, as exported or as
/// filtered, and after a turn of the generations by the new filter alone. Both ways of attaching.
#[test]
fn a_filter_changes_in_the_midst_of_traffic() {
    for attach in ["tcx", "clsact"] {
        changed_in_traffic(attach);
    }
}

fn changed_in_traffic(attach: &str) {
    let _alone = alone();
    let (lab, a, b) = Lab::pair(attach);
    let nfcapd = Nfcapd::start(&lab, &b, PORT);
    let settings = |filter: &str| {
        let settings = quick(Settings::new("b0", &["ingress"]))
            .observation("attach", &format!("{attach:?}"))
            .observation("drain-interval", "\"50ms\"")
            .collector(PORT, "ipfix");
        match filter {
            "" => settings,
            filter => settings.observation("filter", &format!("{filter:?}")),
        }
    };
    let ebpfix = Ebpfix::start(&lab, &b, &settings(""));
    let flood = Flood {
        packets: 300_000,
        flows: 3_000,
        order: Order::Random(3),
        threads: 1,
    };
    let ledger = std::thread::scope(|scope| {
        let sender = scope.spawn(|| flood.send_at(100_000.0, &a, "a0"));
        let filters = [
            "src port 0-30000",
            "not udp",
            "src port 1-65535 and udp",
            "",
        ];
        let mut last = Ledger::default();
        for filter in filters.iter().cycle() {
            if sender.is_finished() {
                break;
            }
            ebpfix.reload(&settings(filter));
            let ledger = ebpfix.ledger();
            ledger.assert_balanced();
            assert!(ledger.observed >= last.observed && ledger.exported >= last.exported);
            last = ledger;
        }
        sender.join().expect("the flood");
        last
    });
    assert!(ledger.lost_by("filtered").packets > 1000, "{ledger:?}");
    ebpfix.reload(&settings("not udp"));
    let status = ebpfix.status();
    assert_eq!(status["interfaces"][0]["ingress"], attach, "{status}");
    wait_for_two_turns(&ebpfix);
    let before = ebpfix.wait_settled(b.counters("b0").rx_packets);
    refuse(&ebpfix, &settings("not udpp"));
    assert_eq!(ebpfix.status()["kernel"]["filter"], "not udp");

    let few = Flood {
        packets: 500,
        ..flood
    };
    let sent = few.send(&a, "a0");
    Injector::new(&a, "a0").send(&ipv4([10, 1, 1, 1], 1, &frame::icmp(8, 0)));
    let received = b.counters("b0").rx_packets;
    let ledger = ebpfix.wait_settled(received);
    ledger.assert_balanced();
    assert_eq!(ledger.observed.packets, received, "{ledger:?}");
    let filtered = ledger.lost_by("filtered");
    assert_eq!(ledger.lost_in_all(), filtered, "{ledger:?}");
    let by_then = before.lost_by("filtered");
    assert_eq!(
        (
            filtered.packets - by_then.packets,
            filtered.octets - by_then.octets
        ),
        (sent.packets, sent.octets)
    );
    assert_eq!(ledger.exported.packets - before.exported.packets, 1);

    // The next exporter goes by its own configuration, in the tables that it finds.
    let left = match attach {
        "tcx" => ebpfix.kill(),
        _ => ebpfix.hand_over(&lab).0,
    };
    let ebpfix = left.start_with(&lab, &settings("icmp or src port 0-65535"));
    let kernel = ebpfix.wait_taken_over();
    assert_eq!(kernel["adopted"], true, "{kernel}");
    assert_eq!(kernel["filter"], "icmp or src port 0-65535");
    let sent = few.send(&a, "a0");
    let after = ebpfix.wait_settled(received + sent.packets);
    assert_eq!(after.lost_by("filtered"), filtered, "{after:?}");
    assert_eq!(
        after.exported.packets - ledger.exported.packets,
        sent.packets
    );
    let _ = ebpfix.stop();
    let nfcapd = nfcapd.stop_with_losses();
    assert_eq!(
        (nfcapd.packets, nfcapd.octets),
        (after.exported.packets, after.exported.octets),
        "{}",
        nfcapd.log
    );
}

/// A configuration whose filter is wrong is refused, in words.
fn refuse(ebpfix: &Ebpfix, settings: &Settings) {
    ebpfix.configure(settings);
    ebpfix.process().signal(Signal::SIGHUP);
    let status = wait_for("a refusal", Duration::from_secs(10), || {
        let status = ebpfix.status();
        let errors = status["configuration"]["errors"].as_array()?;
        (!errors.is_empty()).then_some(status)
    });
    let error = status["configuration"]["errors"][0].to_string();
    assert!(
        error.contains("observation.filter: expected a test of what"),
        "{error}"
    );
}

/// Until whatever the kernel had counted before is read, and both generations are empty.
fn wait_for_two_turns(ebpfix: &Ebpfix) {
    let turns = || {
        ebpfix.status()["kernel"]["turns"]
            .as_u64()
            .expect("a number")
    };
    let before = turns();
    wait_for("two turns", Duration::from_secs(10), || {
        (turns() > before + 1).then_some(())
    });
}

/// What a sampled packet is not chosen for is not asked of the filter.
#[test]
fn sampling_comes_before_the_filter() {
    let _alone = alone();
    let (lab, a, b) = Lab::pair("sampled");
    let settings = quick(Settings::new("b0", &["ingress"]))
        .observation("sampling", "4")
        .observation("filter", "\"not udp\"")
        .collector(PORT, "ipfix");
    let ebpfix = Ebpfix::start(&lab, &b, &settings);
    let flood = Flood {
        packets: 40_000,
        flows: 10,
        order: Order::RoundRobin,
        threads: 1,
    };
    let sent = flood.send(&a, "a0");
    let ledger = ebpfix.wait_settled(sent.packets);
    let (sampled, filtered) = (ledger.lost_by("not_sampled"), ledger.lost_by("filtered"));
    assert_eq!(
        sampled.packets + filtered.packets,
        ledger.observed.packets,
        "{ledger:?}"
    );
    assert_eq!(
        sampled.octets + filtered.octets,
        ledger.observed.octets,
        "{ledger:?}"
    );
    // 10,000 with a standard deviation of 87.
    assert!((9_400..10_600).contains(&filtered.packets), "{ledger:?}");
    let _ = ebpfix.stop();
}

fn ipv4(source: [u8; 4], number: u8, payload: &[u8]) -> frame::Frame {
    let packet = Ipv4::new(source, [192, 0, 2, 1], number).packet(payload);
    frame::ethernet(frame::IPV4, &packet)
}

fn ipv6(source: &str, number: u8, payload: &[u8]) -> frame::Frame {
    frame::ethernet(
        frame::IPV6,
        &frame::ipv6(source, "fd00::1", number, payload),
    )
}

/// Flows end soon, so that all is exported while ebpfix still runs.
fn quick(settings: Settings) -> Settings {
    settings
        .metering("active-timeout", "\"1s\"")
        .metering("idle-timeout", "\"500ms\"")
}
