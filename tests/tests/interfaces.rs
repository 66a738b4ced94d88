//! What happens to interfaces, and to what is attached to them, while ebpfix runs: seen, counted,
//! and put right.

use std::time::Duration;

use ebpfix_tests::kernel::{bpftool, held_by};
use ebpfix_tests::{Ebpfix, Lab, Settings, VethOptions, alone, send_datagrams, wait_for};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

fn settings(interfaces: &str, attach: &str) -> Settings {
    Settings::new(interfaces, &["ingress", "egress"])
        .observation("attach", &format!("\"{attach}\""))
        .collector(9001, "ipfix")
}

/// What `status` says of an interface; null where it is not observed.
fn interface(ebpfix: &Ebpfix, name: &str) -> Value {
    let status = ebpfix.status();
    let found = status["interfaces"]
        .as_array()
        .and_then(|all| all.iter().find(|interface| interface["name"] == name));
    found.cloned().unwrap_or(Value::Null)
}

fn wait_reattached(ebpfix: &Ebpfix, name: &str, times: u64) {
    wait_for(
        &format!("{name} was attached again {times} times"),
        PATIENCE,
        || {
            let found = interface(ebpfix, name);
            (found["reattached"] == times
                && found["ingress"].is_string()
                && found["egress"].is_string())
            .then_some(())
        },
    );
}

/// Identifiers of the TCX links that ebpfix holds.
fn tcx_links(ebpfix: &Ebpfix) -> Vec<String> {
    let held = held_by(ebpfix.process()).into_iter();
    held.filter(|(kind, _)| *kind == "link")
        .map(|(_, id)| id)
        .collect()
}

/// A filter deleted, the whole qdisc deleted, a filter in our place: each is seen and put right.
#[test]
fn filters_that_somebody_deletes_come_back() {
    let (lab, a, b) = Lab::pair("deleted filter");
    let ebpfix = Ebpfix::start(&lab, &b, &settings("b0", "clsact"));
    send_datagrams(&a, "a0", 3);
    let mut expected = 3;
    let _ = ebpfix.wait_observed(expected);
    let attacks: [(&[&str], u64); 3] = [
        (&["filter", "del", "dev", "b0", "ingress"], 1),
        (&["filter", "del", "dev", "b0", "egress"], 2),
        (&["qdisc", "del", "dev", "b0", "clsact"], 4),
    ];
    for (attack, reattached) in attacks {
        b.tc(attack);
        wait_reattached(&ebpfix, "b0", reattached);
        send_datagrams(&a, "a0", 3);
        expected += 3;
        let ledger = ebpfix.wait_observed(expected);
        assert_eq!(ledger.observed.packets, expected, "{attack:?}: {ledger:?}");
        ledger.assert_balanced();
    }
    let finished = ebpfix.stop();
    assert!(
        finished.stderr.contains("somebody took the program off"),
        "{}",
        finished.stderr
    );
    for direction in ["ingress", "egress"] {
        let left = b.tc(&["filter", "show", "dev", "b0", direction]);
        assert_eq!(left.trim(), "", "{direction}");
    }
}

/// Of TCX links netlink tells nothing: they are looked at from time to time.
#[test]
fn links_that_somebody_detaches_come_back() {
    let _alone = alone();
    let (lab, a, b) = Lab::pair("detached link");
    let ebpfix = Ebpfix::start(&lab, &b, &settings("b0", "tcx"));
    let links = tcx_links(&ebpfix);
    assert_eq!(links.len(), 2, "{links:?}");
    send_datagrams(&a, "a0", 3);
    let _ = ebpfix.wait_observed(3);
    for id in &links {
        let _ = bpftool(&["link", "detach", "id", id]);
    }
    wait_reattached(&ebpfix, "b0", 2);
    assert!(tcx_links(&ebpfix).iter().all(|id| !links.contains(id)));
    send_datagrams(&a, "a0", 4);
    let ledger = ebpfix.wait_observed(7);
    assert_eq!(ledger.observed.packets, 7, "{ledger:?}");
    let _ = ebpfix.stop();
}

/// Down and up, renamed, into another namespace and back: counted wherever it is ours to observe.
#[test]
fn an_interface_goes_its_ways() {
    for attach in ["tcx", "clsact"] {
        let mut lab = Lab::new("ways");
        let (a, b, c) = (lab.namespace("a"), lab.namespace("b"), lab.namespace("c"));
        lab.veth((&a, "a0"), (&b, "b0"), VethOptions::default());
        let ebpfix = Ebpfix::start(&lab, &b, &settings("b*", attach));
        send_datagrams(&a, "a0", 1);
        let _ = ebpfix.wait_observed(1);

        b.ip(&["link", "set", "b0", "down"]);
        b.ip(&["link", "set", "b0", "up"]);
        send_datagrams(&a, "a0", 1);
        let _ = ebpfix.wait_observed(2);

        b.ip(&["link", "set", "b0", "name", "b9"]);
        wait_for("the new name is known", PATIENCE, || {
            interface(&ebpfix, "b9").is_object().then_some(())
        });
        send_datagrams(&a, "a0", 1);
        let _ = ebpfix.wait_observed(3);

        b.ip(&["link", "set", "b9", "name", "other"]);
        wait_for("a name that is not wanted is left alone", PATIENCE, || {
            let status = ebpfix.status();
            let observed = status["interfaces"].as_array().map(Vec::len);
            (observed == Some(0)).then_some(())
        });
        send_datagrams(&a, "a0", 5);
        b.ip(&["link", "set", "other", "name", "b0"]);
        wait_for("it is observed again", PATIENCE, || {
            interface(&ebpfix, "b0").is_object().then_some(())
        });
        send_datagrams(&a, "a0", 1);
        let ledger = ebpfix.wait_observed(4);
        assert_eq!(ledger.observed.packets, 4, "{attach}: {ledger:?}");

        b.ip(&["link", "set", "b0", "netns", c.name()]);
        wait_for("it is gone", PATIENCE, || {
            interface(&ebpfix, "b0").is_null().then_some(())
        });
        c.ip(&["link", "set", "b0", "up"]);
        send_datagrams(&a, "a0", 5);
        c.ip(&["link", "set", "b0", "netns", b.name()]);
        b.ip(&["link", "set", "b0", "up"]);
        wait_for("it is back", PATIENCE, || {
            interface(&ebpfix, "b0").is_object().then_some(())
        });
        send_datagrams(&a, "a0", 2);
        let ledger = ebpfix.wait_observed(6);
        assert_eq!(ledger.observed.packets, 6, "{attach}: {ledger:?}");
        ledger.assert_balanced();
        let _ = ebpfix.stop();
    }
}

/// Two hundred interfaces created, each used, and removed: none is missed, and nothing is left.
#[test]
fn two_hundred_interfaces_come_and_go() {
    const INTERFACES: u64 = 200;
    let (lab, a, b) = Lab::pair("many");
    let ebpfix = Ebpfix::start(&lab, &b, &settings("v*", "auto"));
    // One process for all.
    let batch = |name: &str, lines: &dyn Fn(u64) -> String| {
        let file = lab.folder().join(name);
        let lines: Vec<String> = (0..INTERFACES).map(lines).collect();
        std::fs::write(&file, lines.join("\n")).expect("the batch file");
        b.ip(&["-batch", &file.to_string_lossy()]);
    };
    batch("create", &|n| {
        format!(
            "link add v{n} type veth peer name p{n} netns {}\nlink set v{n} up",
            a.name()
        )
    });
    wait_for("all are observed", Duration::from_mins(1), || {
        let status = ebpfix.status();
        let observed = status["interfaces"].as_array().map(Vec::len);
        (observed == Some(200)).then_some(())
    });
    for n in 0..INTERFACES {
        let peer = format!("p{n}");
        a.ip(&["link", "set", &peer, "up"]);
        send_datagrams(&a, &peer, 1);
    }
    let ledger = ebpfix.wait_observed(INTERFACES);
    let counted =
        |ledger: &ebpfix_tests::Ledger| ledger.observed.packets - ledger.lost_by("not_ip").packets;
    assert!(counted(&ledger) >= INTERFACES, "{ledger:?}");
    batch("remove", &|n| format!("link del v{n}"));
    wait_for("all are gone", Duration::from_mins(1), || {
        let status = ebpfix.status();
        let observed = status["interfaces"].as_array().map(Vec::len);
        (observed == Some(0)).then_some(())
    });
    let finished = ebpfix.stop();
    assert!(!finished.stderr.contains("ERROR"), "{}", finished.stderr);
}
