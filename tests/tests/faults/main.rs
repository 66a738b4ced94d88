//! What goes wrong while packets pass, and what is changed then: the ledger balances at each reading,
//! and every packet that was sent is in it.

mod resources;
mod soak;

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::Duration;

use ebpfix_tests::inject::{Order, Sent};
use ebpfix_tests::{
    Collect, Count, Ebpfix, Flood, Lab, Ledger, Namespace, Nfcapd, Settings, alone, wait_for,
};
use nix::sys::signal::Signal;
use serde_json::Value;

const PORT: u16 = 9001;
const OTHER_PORT: u16 = 9002;
/// Packets a second: no cache or log of default size is in need at that.
const RATE: f64 = 20_000.0;
const SOON: Duration = Duration::from_secs(20);

/// Flows end soon, so that there is something exported and something held at any time.
fn settings() -> Settings {
    quick(Settings::new("b0", &["ingress"]))
}

fn quick(settings: Settings) -> Settings {
    settings
        .metering("active-timeout", "\"1s\"")
        .metering("idle-timeout", "\"500ms\"")
}

fn flood(packets: u64) -> Flood {
    Flood {
        packets,
        flows: 2_000,
        order: Order::Random(21),
        threads: 1,
    }
}

fn pause(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}

/// Sends the flood while `meanwhile` runs; both are done when this returns.
fn during<T: Send>(flood: Flood, a: &Namespace, meanwhile: impl FnOnce() -> T) -> (Sent, T) {
    thread::scope(|scope| {
        let sender = scope.spawn(|| flood.send_at(RATE, a, "a0"));
        let result = meanwhile();
        (sender.join().expect("the flood"), result)
    })
}

/// What is said of a configuration with mistakes.
const STAYS: &str = "the configuration in force stays";

/// Has it read a configuration with mistakes, and puts the one before in its place again.
fn reload_wrong(ebpfix: &Ebpfix) {
    let good = fs::read_to_string(ebpfix.config()).expect("the configuration");
    let said = || ebpfix.process().stderr().matches(STAYS).count();
    let before = said();
    let wrong = "[metering]\nmax-flows = 0\n[[collector]]\n";
    fs::write(ebpfix.config(), wrong).expect("to write a configuration");
    ebpfix.process().signal(Signal::SIGHUP);
    wait_for("the mistakes are said", SOON, || {
        (said() > before).then_some(())
    });
    fs::write(ebpfix.config(), good).expect("to write a configuration");
}

#[track_caller]
fn assert_observed(ledger: &Ledger, sent: Sent) {
    let expected = Count {
        packets: sent.packets,
        octets: sent.octets,
    };
    assert_eq!(ledger.observed, expected, "{ledger:?}");
}

#[track_caller]
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value}"))
}

/// 1 in 1, 1 in 10, and back, in the middle of traffic. What was counted under one interval is in no
/// record of another: of the packets observed under 1 in 10, a tenth is in records, within what chance
/// allows.
#[test]
fn sampling_changes_in_the_middle_of_traffic() {
    let _alone = alone();
    let (lab, a, b) = Lab::pair("sampling");
    let collect = Collect::start(&lab, &b, PORT);
    let elements = "elements = [\"sourceIPv4Address\", \"sourceTransportPort\", \
        \"packetDeltaCount\", \"octetDeltaCount\", \"samplingInterval\"]";
    let sampled = |interval: &str| {
        settings()
            .observation("sampling", interval)
            .collector_with(PORT, "ipfix", elements)
    };
    let ebpfix = Ebpfix::start(&lab, &b, &sampled("1"));
    let (sent, ()) = during(flood(120_000), &a, || {
        for interval in ["10", "1", "10", "1"] {
            pause(1000);
            ebpfix.reload(&sampled(interval));
            let _ = ebpfix.ledger();
        }
    });
    let ledger = ebpfix.wait_settled(sent.packets);
    assert_observed(&ledger, sent);
    let left_out = ledger.lost_by("not_sampled");
    assert_eq!(ledger.lost_in_all(), left_out, "{ledger:?}");
    let _ = ebpfix.stop();

    let (flows, _) = collect.stop();
    let counted = |interval: u64| {
        let mut sum = Count::default();
        for flow in flows.iter().filter(|flow| flow["sampling"] == interval) {
            sum.packets += number(&flow["packets"]);
            sum.octets += number(&flow["bytes"]);
        }
        sum
    };
    let (all, tenth) = (counted(1), counted(10));
    let exported = Count {
        packets: all.packets + tenth.packets,
        octets: all.octets + tenth.octets,
    };
    assert_eq!(exported, ledger.exported, "of another interval: {ledger:?}");
    let under_ten = left_out.packets + tenth.packets;
    eprintln!("{all:?} under 1, {tenth:?} of {under_ten} packets under 10");
    assert!(
        all.packets > 10_000 && under_ten > 10_000,
        "nothing was tested: {ledger:?}"
    );
    // Six standard deviations: once in 500 million runs.
    let allowed = 6 * (under_ten * 9 / 100).isqrt();
    assert!(
        tenth.packets.abs_diff(under_ten / 10) <= allowed,
        "{tenth:?} of {under_ten}"
    );
    assert_eq!(all.packets + under_ten, sent.packets);
}

/// Everything that a reload may change is changed while packets pass, mistakes among it: nothing is
/// lost, and each packet is at the collector that there was at the time.
#[test]
fn reloads_in_the_middle_of_traffic_lose_nothing() {
    let _alone = alone();
    let (lab, a, b) = Lab::pair("reloads");
    let collectors = [PORT, OTHER_PORT].map(|port| Nfcapd::start(&lab, &b, port));
    let to = |settings: Settings, port| settings.collector(port, "ipfix");
    let ebpfix = Ebpfix::start(&lab, &b, &to(settings(), PORT));
    let others = [
        // Other timeouts.
        Settings::new("b0", &["ingress"])
            .metering("active-timeout", "\"300ms\"")
            .metering("idle-timeout", "\"100ms\""),
        // Less room than there are flows: some end early.
        settings().metering("max-flows", "100"),
        settings().metering("max-flows", "131072"),
        // Another pattern that takes the same interface; another pace of reading.
        quick(Settings::new("b*", &["ingress"])).observation("drain-interval", "\"20ms\""),
        settings().metering("duplicates", "\"drop\""),
        settings().observation("domain-id", "7"),
    ];
    let mistakes = others.len();
    let (sent, ()) = during(flood(140_000), &a, || {
        for (other, port) in others.into_iter().zip([OTHER_PORT, PORT].iter().cycle()) {
            pause(400);
            ebpfix.reload(&to(other, *port));
            let _ = ebpfix.ledger();
            reload_wrong(&ebpfix);
            let _ = ebpfix.ledger();
        }
        // As fast as they come.
        ebpfix.configure(&to(settings(), PORT));
        for _ in 0..30 {
            ebpfix.process().signal(Signal::SIGHUP);
            pause(3);
        }
        ebpfix.reload(&to(settings(), PORT));
    });
    let ledger = ebpfix.wait_settled(sent.packets);
    assert_observed(&ledger, sent);
    assert_eq!(ledger.lost_in_all(), Count::default(), "{ledger:?}");
    let stderr = ebpfix.stop().stderr;
    assert_eq!(stderr.matches(STAYS).count(), mistakes, "{stderr}");
    let collected = collectors.map(Nfcapd::stop);
    for nfcapd in &collected {
        assert!(nfcapd.packets > 0, "{}", nfcapd.log);
    }
    let sum = Count {
        packets: collected.iter().map(|nfcapd| nfcapd.packets).sum(),
        octets: collected.iter().map(|nfcapd| nfcapd.octets).sum(),
    };
    assert_eq!(sum, ledger.exported, "{ledger:?}");
}

/// The exporter is told to end while packets pass. Each is a flow of its own, and they come in order:
/// so what was exported has to be all of them up to one, and none after it.
#[test]
fn the_end_in_the_middle_of_traffic_counts_every_packet_up_to_the_detach() {
    let _alone = alone();
    for attach in ["tcx", "clsact"] {
        let (lab, a, b) = Lab::pair("end");
        let nfcapd = Nfcapd::start(&lab, &b, PORT);
        let settings = settings()
            .observation("attach", &format!("\"{attach}\""))
            .collector(PORT, "ipfix");
        let ebpfix = Ebpfix::start(&lab, &b, &settings);
        let packets = 60_000;
        let flood = Flood {
            packets: packets.into(),
            flows: packets,
            order: Order::RoundRobin,
            threads: 1,
        };
        let (_, (before, ended, after)) = during(flood, &a, || {
            pause(1500);
            let before = b.counters("b0").rx_packets;
            let ended = ebpfix.stop();
            (before, ended, b.counters("b0").rx_packets)
        });
        let line = ended.stderr.lines().find(|line| line.contains("balanced="));
        let line = line.unwrap_or_else(|| panic!("no last word: {}", ended.stderr));
        let said = |name: &str| {
            let value = line
                .split_whitespace()
                .find_map(|word| word.strip_prefix(&format!("{name}=")));
            value.unwrap_or_else(|| panic!("no {name}: {line}"))
        };
        let observed = said("observed");
        assert_eq!(
            ["exported", "held", "lost", "balanced"].map(said),
            [observed, "0", "0", "true"],
            "{attach}: {line}"
        );
        let observed: u64 = observed.parse().expect(line);
        assert!(
            (before..=after).contains(&observed),
            "{before}, {line}, {after}"
        );
        assert!(observed < u64::from(packets), "nothing was tested: {line}");
        let collected = nfcapd.stop();
        assert_eq!(collected.packets, observed, "{attach}: {}", collected.log);
        // The number of a flow is in its address: see `Flood`.
        let flows: BTreeSet<u32> = collected
            .lines("%sa")
            .iter()
            .map(|address| {
                let address: std::net::Ipv4Addr = address.parse().expect(address);
                u32::from(address) & 0x00ff_ffff
            })
            .collect();
        assert_eq!(
            flows.len() as u64,
            observed,
            "{attach}: twice the same flow"
        );
        assert_eq!(
            flows.last().map(|last| u64::from(*last) + 1),
            Some(observed),
            "{attach}: a packet before the last one is missing"
        );
    }
}
