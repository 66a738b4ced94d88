//! Nothing is lost without being counted: floods at full rate, and the ledger read all the while.

use std::thread;
use std::time::{Duration, Instant};

use ebpfix_tests::inject::{Order, Sent};
use ebpfix_tests::{Ebpfix, Flood, Lab, Ledger, Nfcapd, Settings, alone, wait_for};

const PORT: u16 = 9001;

/// What a flood made of the ledger and of the collector.
struct Outcome {
    /// Holds the collector's files.
    _lab: Lab,
    sent: Sent,
    ledger: Ledger,
    flood: Flood,
    nfcapd: ebpfix_tests::collector::NfcapdResult,
}

#[test]
fn two_million_packets_with_drains_back_to_back() {
    let _alone = alone();
    let flood = Flood {
        packets: 2_000_000,
        flows: 20_000,
        order: Order::Random(7),
        threads: 1,
    };
    let settings =
        quick(Settings::new("b0", &["ingress"])).observation("drain-interval", "\"10ms\"");
    let outcome = flooded("drains back to back", flood, settings);
    outcome.assert_nothing_lost();
    outcome.assert_every_flow();
}

#[test]
fn two_million_packets_from_two_senders_with_room_for_sixteen_flows() {
    let _alone = alone();
    let flood = Flood {
        packets: 2_000_000,
        flows: 5_000,
        order: Order::Random(8),
        threads: 2,
    };
    let settings = quick(Settings::new("b0", &["ingress"]))
        .observation("drain-interval", "\"10ms\"")
        .metering("max-flows", "16");
    // Every packet may become a record of its own: what does not get out has to be counted.
    let _ = flooded("sixteen flows", flood, settings);
}

/// The same as packets leave, by filters on a clsact qdisc.
#[test]
fn a_million_packets_leaving_by_clsact() {
    let _alone = alone();
    let flood = Flood {
        packets: 1_000_000,
        flows: 10_000,
        order: Order::Random(11),
        threads: 2,
    };
    let settings = quick(Settings::new("a0", &["egress"]))
        .observation("attach", "\"clsact\"")
        .observation("drain-interval", "\"10ms\"");
    let outcome = flooded("leaving", flood, settings);
    outcome.assert_nothing_lost();
    outcome.assert_every_flow();
}

/// The kernel's cache and log as small as they can be: what they cannot hold is lost, and counted to the
/// packet and the octet.
#[test]
fn a_log_that_is_too_small_loses_nothing_without_counting_it() {
    let _alone = alone();
    let flood = Flood {
        packets: 1_000_000,
        flows: 100_000,
        order: Order::Random(10),
        threads: 2,
    };
    let settings = quick(Settings::new("b0", &["ingress"]))
        .observation("cache-slots", "16")
        .observation("log-records", "1024");
    let outcome = flooded("small log", flood, settings);
    let ledger = &outcome.ledger;
    assert!(
        ledger.lost_by("log_full").packets > 0,
        "nothing was lost, nothing tested: {ledger:?}"
    );
    assert_eq!(
        ledger.lost_in_all(),
        ledger.lost_by("log_full"),
        "{ledger:?}"
    );
    assert_eq!(ledger.observed.packets, outcome.sent.packets, "{ledger:?}");
}

#[test]
fn a_burst_of_200_000_flows_with_default_settings() {
    let _alone = alone();
    let flood = Flood {
        packets: 200_000,
        flows: 200_000,
        order: Order::RoundRobin,
        threads: 1,
    };
    let outcome = flooded("burst", flood, Settings::new("b0", &["ingress"]));
    assert!(
        outcome.sent.elapsed < Duration::from_millis(1500),
        "{:?}",
        outcome.sent
    );
    outcome.assert_nothing_lost();
    outcome.assert_every_flow();
}

/// The check itself can fail: a ledger that lacks one packet does not balance.
#[test]
#[should_panic(expected = "out of balance")]
fn a_ledger_that_lacks_a_packet_is_found() {
    let ledger = r#"{"observed":{"packets":3,"octets":120},"exported":{"packets":1,"octets":40},
        "held":{"packets":0,"octets":0},"lost":{"not_ip":{"packets":1,"octets":40}}}"#;
    Ledger::from_json(&serde_json::from_str(ledger).unwrap()).assert_balanced();
}

/// Flows end soon, so that all is exported while ebpfix still runs.
fn quick(settings: Settings) -> Settings {
    settings
        .metering("active-timeout", "\"1s\"")
        .metering("idle-timeout", "\"500ms\"")
}

/// Sends the flood past ebpfix, reads the ledger as often as it goes, and waits until nothing is held.
fn flooded(name: &str, flood: Flood, settings: Settings) -> Outcome {
    let (lab, a, b) = Lab::pair(name);
    // Where the settings say it is: a0 sends, b0 receives.
    let observer = if settings.observes("a0") { &a } else { &b };
    let nfcapd = Nfcapd::start(&lab, observer, PORT);
    let ebpfix = Ebpfix::start(&lab, observer, &settings.collector(PORT, "ipfix"));

    let sent = thread::scope(|scope| {
        let sender = scope.spawn(|| flood.send(&a, "a0"));
        let mut readings = 0;
        let mut last = Ledger::default();
        while !sender.is_finished() {
            let ledger = ebpfix.ledger();
            assert!(ledger.observed >= last.observed, "{last:?} then {ledger:?}");
            assert!(ledger.exported >= last.exported, "{last:?} then {ledger:?}");
            last = ledger;
            readings += 1;
            // As often as it goes, but a short burst needs the processors for itself.
            if flood.packets < 1_000_000 {
                thread::sleep(Duration::from_millis(100));
            }
        }
        assert!(readings > 0);
        eprintln!("{name}: {readings} readings balanced");
        sender.join().expect("the flood")
    });
    eprintln!("{name}: {:.0} packets/s", sent.rate());

    let counters = b.counters("b0");
    let start = Instant::now();
    let ledger = wait_for("nothing is held any more", Duration::from_mins(1), || {
        let ledger = ebpfix.ledger();
        let done = ledger.observed.packets >= counters.rx_packets && ledger.held.packets == 0;
        done.then_some(ledger)
    });
    eprintln!("{name}: settled after {:?}: {ledger:?}", start.elapsed());
    assert_eq!(ledger.observed.packets, counters.rx_packets, "{ledger:?}");
    let ip_octets = counters.rx_octets - 14 * counters.rx_packets;
    assert_eq!(ledger.observed.octets, ip_octets, "{ledger:?}");
    assert_eq!(a.counters("a0").tx_packets, counters.rx_packets);

    let _ = ebpfix.stop();
    let nfcapd = nfcapd.stop();
    assert_eq!(
        (nfcapd.packets, nfcapd.octets),
        (ledger.exported.packets, ledger.exported.octets),
        "{}",
        nfcapd.log
    );
    assert_eq!(nfcapd.sequence_errors, 0, "{}", nfcapd.log);
    Outcome {
        _lab: lab,
        sent,
        ledger,
        flood,
        nfcapd,
    }
}

impl Outcome {
    fn assert_nothing_lost(&self) {
        assert_eq!(self.ledger.lost_in_all().packets, 0, "{:?}", self.ledger);
        assert_eq!(self.ledger.exported.packets, self.sent.packets);
        assert_eq!(self.ledger.exported.octets, self.sent.octets);
    }

    /// Every flow has the packets and octets that were sent of it.
    fn assert_every_flow(&self) {
        let mut expected = self.flood.expected();
        for line in self.nfcapd.lines("%sa,%da,%sp,%dp,%pkt,%byt") {
            let fields: Vec<&str> = line.split(',').collect();
            let [
                source,
                destination,
                source_port,
                destination_port,
                packets,
                octets,
            ] = fields[..]
            else {
                panic!("nfdump: {line}")
            };
            let number = |text: &str| text.parse::<u64>().expect(&line);
            let key = (
                source.parse().expect(&line),
                destination.parse().expect(&line),
                source_port.parse().expect(&line),
                destination_port.parse().expect(&line),
            );
            let flow = expected.get_mut(&key);
            let flow = flow.unwrap_or_else(|| panic!("a flow that was never sent: {line}"));
            flow.0 = flow
                .0
                .checked_sub(number(packets))
                .expect("too many packets");
            flow.1 = flow.1.checked_sub(number(octets)).expect("too many octets");
        }
        expected.retain(|_, left| *left != (0, 0));
        assert!(
            expected.is_empty(),
            "{} flows lack packets: {:?}",
            expected.len(),
            expected.iter().next()
        );
    }
}

/// One packet in ten is recorded, the others are counted as not sampled, and a collector that is told
/// so makes ten of each.
#[test]
fn what_sampling_leaves_out_is_counted_and_announced() {
    let _alone = alone();
    let (lab, a, b) = Lab::pair("sampling");
    let nfcapd = Nfcapd::start(&lab, &b, PORT);
    let settings = quick(Settings::new("b0", &["ingress"]))
        .observation("sampling", "10")
        .collector(PORT, "ipfix");
    let ebpfix = Ebpfix::start(&lab, &b, &settings);
    let flood = Flood {
        packets: 200_000,
        flows: 100,
        order: Order::Random(9),
        threads: 1,
    };
    let sent = flood.send(&a, "a0");
    let received = b.counters("b0").rx_packets;
    let ledger = wait_for("nothing is held any more", Duration::from_secs(20), || {
        let ledger = ebpfix.ledger();
        let done = ledger.observed.packets >= received && ledger.held.packets == 0;
        done.then_some(ledger)
    });
    assert_eq!(ledger.observed.packets, received, "{ledger:?}");
    assert_eq!(ledger.observed.octets, sent.octets, "{ledger:?}");
    assert_eq!(
        ledger.lost_in_all(),
        ledger.lost_by("not_sampled"),
        "{ledger:?}"
    );
    // 20,000 with a standard deviation of 134.
    assert!(
        (19_000..21_000).contains(&ledger.exported.packets),
        "{ledger:?}"
    );
    let _ = ebpfix.stop();
    let nfcapd = nfcapd.stop();
    assert_eq!(
        nfcapd.packets,
        10 * ledger.exported.packets,
        "{}",
        nfcapd.log
    );
    assert_eq!(nfcapd.octets, 10 * ledger.exported.octets, "{}", nfcapd.log);
}
