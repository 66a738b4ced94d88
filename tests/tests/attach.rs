//! Programs of others stay as they are, ours come and go without a trace.

use std::time::Duration;

use ebpfix_tests::kernel::{assert_freed, held_by};
use ebpfix_tests::stranger::{Place, Verdict};
use ebpfix_tests::{
    Ebpfix, Lab, Namespace, Settings, Stranger, VethOptions, alone, send_datagrams, wait_for,
};

fn settings(attach: &str) -> Settings {
    Settings::new("b0", &["ingress", "egress"])
        .observation("attach", &format!("\"{attach}\""))
        .collector(9001, "ipfix")
}

/// Filters of a direction, by their text.
fn filters(namespace: &Namespace, direction: &str) -> String {
    namespace.tc(&["filter", "show", "dev", "b0", direction])
}

#[test]
fn nothing_is_left_in_the_kernel_after_the_end() {
    let _alone = alone();
    for attach in ["tcx", "clsact"] {
        let (lab, a, b) = Lab::pair(attach);
        let ebpfix = Ebpfix::start(&lab, &b, &settings(attach));
        let held = held_by(ebpfix.process());
        assert!(held.iter().any(|(kind, _)| *kind == "prog"), "{held:?}");
        send_datagrams(&a, "a0", 3);
        let _ = ebpfix.wait_observed(3);
        let _ = ebpfix.stop();
        assert_freed(&held, attach);
        for direction in ["ingress", "egress"] {
            assert_eq!(filters(&b, direction).trim(), "", "{attach}, {direction}");
        }
    }
}

/// What a killed exporter leaves is taken over, and goes with the exporter that took it over.
#[test]
fn a_killed_exporter_can_be_started_again() {
    let _alone = alone();
    for attach in ["tcx", "clsact"] {
        let (lab, a, b) = Lab::pair(attach);
        let first = Ebpfix::start(&lab, &b, &settings(attach));
        let killed = held_by(first.process());
        let second = first.kill_and_start_again(&lab);
        let held = held_by(second.process());
        send_datagrams(&a, "a0", 5);
        let ledger = second.wait_observed(5);
        assert_eq!(ledger.observed.packets, 5, "{attach}: {ledger:?}");
        let _ = second.stop();
        for direction in ["ingress", "egress"] {
            let left = filters(&b, direction);
            assert!(
                !left.contains("flow_parse"),
                "{attach}, {direction}: {left}"
            );
        }
        assert_freed(&held, attach);
        assert_freed(&killed, attach);
    }
}

/// Filters on a clsact qdisc: another's before ours, another's after; all see every packet.
#[test]
fn filters_of_others_on_clsact_stay_and_run() {
    let _alone = alone();
    for attach in ["clsact", "tcx"] {
        let (lab, a, b) = Lab::pair("others");
        b.tc(&["qdisc", "add", "dev", "b0", "clsact"]);
        b.ip(&["link", "add", "ifb0", "type", "ifb"]);
        b.ip(&["link", "set", "ifb0", "up"]);
        // They take every packet, count it, and let the chain go on.
        for preference in ["1", "50000"] {
            b.tc(&[
                "filter", "add", "dev", "b0", "ingress", "pref", preference, "protocol", "all",
                "u32", "match", "u32", "0", "0", "action", "mirred", "egress", "mirror", "dev",
                "ifb0", "continue",
            ]);
        }
        let before = filters(&b, "ingress");
        let ebpfix = Ebpfix::start(&lab, &b, &settings(attach));
        send_datagrams(&a, "a0", 7);
        let ledger = ebpfix.wait_observed(7);
        assert_eq!(ledger.observed.packets, 7, "{attach}: {ledger:?}");
        for preference in ["pref 1 ", "pref 50000 "] {
            let seen = b.tc(&["-s", "filter", "show", "dev", "b0", "ingress"]);
            let ours = seen
                .split("filter ")
                .filter(|filter| filter.contains(preference));
            let counted = ours.collect::<Vec<_>>().join("");
            assert!(counted.contains("7 pkt"), "{attach}, {preference}: {seen}");
        }
        let _ = ebpfix.stop();
        assert_eq!(filters(&b, "ingress"), before, "{attach}");
        assert!(
            b.tc(&["qdisc", "show", "dev", "b0"]).contains("clsact"),
            "{attach}"
        );
    }
}

/// What a program of somebody else does to what ours counts, by where it is and what it returns. Ours
/// lets the chain go on, so that whoever is behind it runs. One that is before ours and ends the chain
/// hides packets from it: they are in no number of ours.
#[test]
fn programs_of_others_before_and_after_ours() {
    use Order::{After, Before};
    use Place::{Clsact, TcxFirst, TcxLast};
    let _alone = alone();
    // How ours is attached, where the other one is, and where that is as seen from ours if it comes
    // after ours, or is there when ours comes.
    let cases = [
        // Ours goes before those that are there; who wants to be first then goes before ours.
        ("tcx", TcxFirst, Before, After),
        ("tcx", TcxLast, After, After),
        // The kernel asks clsact after TCX.
        ("tcx", Clsact(1), After, After),
        ("clsact", TcxFirst, Before, Before),
        ("clsact", TcxLast, Before, Before),
        // Ours takes the first preference; of one preference the last that came is the first.
        ("clsact", Clsact(1), Before, After),
        ("clsact", Clsact(2), After, After),
        ("clsact", Clsact(50_000), After, After),
    ];
    for attach in ["tcx", "clsact"] {
        let (lab, a, b) = Lab::pair("strangers");
        b.tc(&["qdisc", "add", "dev", "b0", "clsact"]);
        let here = cases.iter().filter(|(kind, ..)| *kind == attach);
        let ebpfix = Ebpfix::start(&lab, &b, &settings(attach));
        for (_, place, order, _) in here.clone() {
            for verdict in [Verdict::GoOn, Verdict::Pass, Verdict::Drop] {
                let stranger = Stranger::attach(&b, "b0", *place, verdict);
                assert_order(&a, &ebpfix, stranger, *order, verdict);
            }
        }
        let stderr = ebpfix.stop().stderr;
        assert!(!stderr.contains("took the program off"), "{stderr}");
        for (_, place, _, order) in here {
            let verdict = Verdict::Drop;
            let stranger = Stranger::attach(&b, "b0", *place, verdict);
            let ebpfix = Ebpfix::start(&lab, &b, &settings(attach));
            assert_order(&a, &ebpfix, stranger, *order, verdict);
            let _ = ebpfix.stop();
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    Before,
    After,
}

/// The stranger runs for each packet. Ours counts it unless the stranger is before it and ends the
/// chain; and again when the stranger is gone.
#[track_caller]
fn assert_order(
    a: &Namespace,
    ebpfix: &Ebpfix,
    mut stranger: Stranger,
    order: Order,
    verdict: Verdict,
) {
    const PACKETS: u16 = 5;
    let what = format!("{order:?}, {verdict:?}, {stranger:?}");
    let before = ebpfix.ledger().observed.packets;
    let hidden = order == Order::Before && verdict != Verdict::GoOn;
    let seen = if hidden { 0 } else { u64::from(PACKETS) };
    send_datagrams(a, "a0", PACKETS);
    wait_for(&what, Duration::from_secs(5), || {
        (stranger.runs() == u64::from(PACKETS)).then_some(())
    });
    let ledger = ebpfix.wait_observed(before + seen);
    assert_eq!(ledger.observed.packets, before + seen, "{what}: {ledger:?}");
    drop(stranger);
    send_datagrams(a, "a0", PACKETS);
    let all = before + seen + u64::from(PACKETS);
    let ledger = ebpfix.wait_observed(all);
    assert_eq!(ledger.observed.packets, all, "{what}: {ledger:?}");
}

/// Two exporters on one interface: each counts all, and one's end is not noticed by the other.
#[test]
fn two_exporters_on_one_interface() {
    let _alone = alone();
    for [one, other] in [["tcx", "tcx"], ["tcx", "clsact"], ["clsact", "clsact"]] {
        let (lab, a, b) = Lab::pair("two");
        eprintln!("{one} and {other}");
        let first = Ebpfix::start(&lab, &b, &settings(one));
        let second = Ebpfix::start(&lab, &b, &settings(other));
        send_datagrams(&a, "a0", 4);
        for ebpfix in [&first, &second] {
            let ledger = ebpfix.wait_observed(4);
            assert_eq!(ledger.observed.packets, 4, "{one}, {other}: {ledger:?}");
        }
        let _ = first.stop();
        send_datagrams(&a, "a0", 4);
        let ledger = second.wait_observed(8);
        assert_eq!(ledger.observed.packets, 8, "{one}, {other}: {ledger:?}");
        let _ = second.stop();
    }
}

/// Interfaces that come, go and come again while the exporter runs.
#[test]
fn interfaces_come_and_go() {
    let (lab, a, b) = Lab::pair("come and go");
    let settings = Settings::new("b*", &["ingress"]).collector(9001, "ipfix");
    let ebpfix = Ebpfix::start(&lab, &b, &settings);
    send_datagrams(&a, "a0", 2);
    let mut expected = 2;
    let _ = ebpfix.wait_observed(expected);
    for _ in 0..2 {
        lab.veth((&a, "a1"), (&b, "b1"), VethOptions::default());
        let index = b.if_index("b1");
        wait_for(
            "the new interface is observed",
            Duration::from_secs(10),
            || {
                let status = ebpfix.status();
                status["interfaces"]
                    .to_string()
                    .contains("\"b1\"")
                    .then_some(())
            },
        );
        send_datagrams(&a, "a1", 3);
        expected += 3;
        let ledger = ebpfix.wait_observed(expected);
        assert_eq!(
            ledger.observed.packets, expected,
            "{ledger:?}, index {index}"
        );
        b.ip(&["link", "del", "b1"]);
    }
    send_datagrams(&a, "a0", 2);
    let ledger = ebpfix.wait_observed(expected + 2);
    assert_eq!(ledger.observed.packets, expected + 2, "{ledger:?}");
    let _ = ebpfix.stop();
}
