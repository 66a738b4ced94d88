//! What happens to interfaces, and to what is attached to them, while ebpfix runs: seen, counted,
//! and put right.

use std::collections::BTreeMap;
use std::time::Duration;

use ebpfix_tests::kernel::{bpftool, held_by};
use ebpfix_tests::process::Program;
use ebpfix_tests::{
    Ebpfix, Lab, Namespace, Recorder, Settings, VethOptions, alone, send_datagrams, wait_for,
};
use nix::sys::signal::Signal;
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

/// The names of the interfaces that are observed, with their kinds.
fn observed(ebpfix: &Ebpfix) -> BTreeMap<String, String> {
    let status = ebpfix.status();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let interfaces = status["interfaces"].as_array().expect("a list").iter();
    interfaces
        .map(|interface| (text(&interface["name"]), text(&interface["kind"])))
        .collect()
}

fn wait_observed(ebpfix: &Ebpfix, expected: &[(&str, &str)]) {
    let expected: BTreeMap<String, String> = expected
        .iter()
        .map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned()))
        .collect();
    wait_for(
        &format!("these are observed: {expected:?}"),
        PATIENCE,
        || (observed(ebpfix) == expected).then_some(()),
    );
}

/// By kind and by alias, whatever their names; also what comes later.
#[test]
fn interfaces_are_chosen_by_what_they_are() {
    let (lab, a, b) = Lab::pair("kinds");
    for arguments in [
        "link add name one type bridge",
        "link add name two type ifb",
        "link add name three type vxlan id 7 dstport 4789 local 127.0.0.1",
        "tuntap add dev four mode tap",
    ] {
        b.ip(&arguments.split(' ').collect::<Vec<_>>());
    }
    let chosen = |patterns: &str| {
        Settings::default()
            .observation("interfaces", patterns)
            .collector(9001, "ipfix")
    };
    let by_kind = r#"["kind:bridge", "kind:ifb", "kind:tunnel"]"#;
    let ebpfix = Ebpfix::start(&lab, &b, &chosen(by_kind));
    let (one, two, three) = (("one", "bridge"), ("two", "ifb"), ("three", "vxlan"));
    wait_observed(&ebpfix, &[one, two, three]);
    ebpfix.reload(&chosen(r#"["*", "!kind:veth", "!kind:loopback"]"#));
    wait_observed(&ebpfix, &[one, two, three, ("four", "tun")]);
    b.ip(&["link", "add", "name", "five", "type", "bridge"]);
    b.ip(&["link", "del", "two"]);
    wait_observed(&ebpfix, &[one, three, ("four", "tun"), ("five", "bridge")]);
    ebpfix.reload(&chosen(r#"["kind:physical"]"#));
    wait_observed(&ebpfix, &[]);

    ebpfix.reload(&chosen(r#"["alias:uplink: *"]"#));
    wait_observed(&ebpfix, &[]);
    b.ip(&["link", "set", "b0", "alias", "uplink: north"]);
    wait_observed(&ebpfix, &[("b0", "veth")]);
    send_datagrams(&a, "a0", 3);
    ebpfix.wait_observed(3).assert_balanced();
    b.ip(&["link", "set", "b0", "alias", "to the north"]);
    wait_observed(&ebpfix, &[]);
    let _ = ebpfix.stop();
}

/// A port of a bridge is observed on as it becomes one and ceases to be: netlink tells of that as of an
/// interface that comes and goes.
#[test]
fn a_port_of_a_bridge_is_observed_without_a_gap() {
    let _alone = alone();
    let (lab, a, b) = Lab::pair("port");
    b.ip(&["link", "add", "name", "bridge", "type", "bridge"]);
    b.ip(&["link", "set", "b0", "alias", "the port"]);
    let ebpfix = Ebpfix::start(&lab, &b, &settings("b0", "tcx"));
    let links = tcx_links(&ebpfix);
    for round in 1..=3 {
        b.ip(&["link", "set", "b0", "master", "bridge"]);
        send_datagrams(&a, "a0", 1);
        b.ip(&["link", "set", "b0", "nomaster"]);
        send_datagrams(&a, "a0", 1);
        let ledger = ebpfix.wait_observed(2 * round);
        assert_eq!(ledger.observed.packets, 2 * round, "{ledger:?}");
    }
    assert_eq!(tcx_links(&ebpfix), links);
    assert_eq!(interface(&ebpfix, "b0")["alias"], "the port");
    let finished = ebpfix.stop();
    assert!(!finished.stderr.contains("is gone"), "{}", finished.stderr);
}

/// Name, alias, speed: `status` and the collectors know what they are now.
#[test]
fn what_is_known_of_an_interface_follows_it() {
    let (lab, a, b) = Lab::pair("known");
    b.ip(&["tuntap", "add", "dev", "tap0", "mode", "tap"]);
    b.ip(&["link", "set", "tap0", "up"]);
    let recorder = Recorder::start(&b, 9001);
    let settings = Settings::default()
        .observation("interfaces", r#"["b0", "tap*"]"#)
        .collector(9001, "ipfix");
    let ebpfix = Ebpfix::start(&lab, &b, &settings);
    let wait_speed = |name: &str, bits: u64, duplex: &str| {
        wait_for(
            &format!("{name} has {bits} bit/s, {duplex}"),
            PATIENCE,
            || {
                let found = interface(&ebpfix, name);
                (found["speed_bits_per_second"] == bits && found["duplex"] == duplex).then_some(())
            },
        );
    };
    wait_speed("b0", 10_000_000_000, "full");
    let ethtool = |arguments: &str| {
        let program = Program::new("ethtool").args(arguments.split(' '));
        let _ = lab.run(&b, &program, PATIENCE).success();
    };
    for (set, bits, duplex) in [
        ("speed 2500 duplex half", 2_500_000_000, "half"),
        ("speed 100 duplex full", 100_000_000, "full"),
    ] {
        ethtool(&format!("-s tap0 {set}"));
        wait_speed("tap0", bits, duplex);
    }
    b.ip(&["link", "set", "tap0", "alias", "to the north"]);
    wait_told(&recorder, "to the north");
    b.ip(&["link", "set", "tap0", "down"]);
    b.ip(&["link", "set", "tap0", "name", "tap9"]);
    wait_told(&recorder, "tap9");
    wait_speed("tap9", 100_000_000, "full");
    assert_eq!(interface(&ebpfix, "tap9")["up"], false);
    assert_eq!(interface(&ebpfix, "tap9")["alias"], "to the north");
    // One that comes later.
    b.ip(&["tuntap", "add", "dev", "tap1", "mode", "tap"]);
    wait_for("the speed of a new interface is known", PATIENCE, || {
        interface(&ebpfix, "tap1")["speed_bits_per_second"].as_u64()
    });
    send_datagrams(&a, "a0", 1);
    let _ = ebpfix.wait_observed(1);
    let _ = ebpfix.stop();
    let told = told_of_interfaces(&lab, &recorder);
    for (name, description) in [
        ("b0", "b0"),
        ("tap0", "tap0"),
        ("tap0", "to the north"),
        ("tap9", "to the north"),
        ("tap1", "tap1"),
    ] {
        let pair = (name.to_owned(), description.to_owned());
        assert!(told.contains(&pair), "{pair:?} of {told:?}");
    }
}

/// Waits until a collector was told this text.
fn wait_told(recorder: &Recorder, text: &str) {
    wait_for(&format!("collectors are told {text:?}"), PATIENCE, || {
        let datagrams = recorder.datagrams();
        let holds = |payload: &[u8]| {
            payload
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        };
        let told = datagrams.iter().any(|datagram| holds(&datagram.payload));
        told.then_some(())
    });
}

/// Names and descriptions, as tshark reads them.
fn told_of_interfaces(lab: &Lab, recorder: &Recorder) -> Vec<(String, String)> {
    let json = std::fs::read(recorder.tshark(lab)).expect("tshark's output");
    let json: Value = serde_json::from_slice(&json).expect("JSON");
    let mut told = Vec::new();
    gather(&json, &mut told);
    told
}

fn gather(value: &Value, told: &mut Vec<(String, String)>) {
    if let (Some(name), Some(description)) = (
        value["cflow.if_name"].as_str(),
        value["cflow.if_descr"].as_str(),
    ) {
        told.push((name.to_owned(), description.to_owned()));
    }
    let members = value
        .as_object()
        .into_iter()
        .flat_map(|object| object.values());
    for member in value.as_array().into_iter().flatten().chain(members) {
        gather(member, told);
    }
}

/// More happens than netlink can keep for an exporter that stands still: it takes stock anew.
#[test]
fn what_was_missed_is_made_up_for() {
    const OLD: u32 = 20;
    const NEW: u32 = 40;
    /// Of 2 KiB and more each.
    const FILLING: u32 = 6000;
    let (lab, a, b) = Lab::pair("missed");
    let ebpfix = Ebpfix::start(&lab, &b, &settings("v*", "auto"));
    let make = |n: u32| {
        let peer = format!("link add v{n} type veth peer name p{n} netns {}", a.name());
        format!("{peer}\nlink set v{n} up")
    };
    batch(&lab, &b, (0..OLD).map(make));
    let wait_count = |count: u32| {
        wait_for(&format!("{count} are observed"), PATIENCE, || {
            (observed(&ebpfix).len() == count as usize).then_some(())
        });
    };
    wait_count(OLD);
    let descriptors = ebpfix.process().descriptors();

    ebpfix.process().signal(Signal::SIGSTOP);
    // Until there is no room left for what follows.
    batch(
        &lab,
        &b,
        (0..FILLING).map(|n| format!("link set v3 alias {n}")),
    );
    batch(&lab, &b, (OLD..OLD + NEW).map(make));
    // Gone, renamed away, and back with the same name and index.
    let index = b.if_index("v1");
    batch(
        &lab,
        &b,
        [
            "link del v0".to_owned(),
            "link del v1".to_owned(),
            format!(
                "link add v1 index {index} type veth peer name p1 netns {}",
                a.name()
            ),
            "link set v1 up".to_owned(),
            "link set v2 down".to_owned(),
            "link set v2 name other".to_owned(),
        ]
        .into_iter(),
    );
    ebpfix.process().signal(Signal::SIGCONT);
    wait_count(OLD + NEW - 2);
    assert!(ebpfix.process().stderr().contains("taking stock anew"));
    let names = observed(&ebpfix);
    assert!(!names.contains_key("v0") && names.contains_key("v1"));
    let last = FILLING - 1;
    assert_eq!(interface(&ebpfix, "v3")["alias"], last.to_string());
    wait_for("v1 is attached to", PATIENCE, || {
        interface(&ebpfix, "v1")["ingress"]
            .is_string()
            .then_some(())
    });
    for n in [1, 3, OLD, OLD + NEW - 1] {
        let peer = format!("p{n}");
        a.ip(&["link", "set", &peer, "up"]);
        send_datagrams(&a, &peer, 1);
    }
    let ledger = ebpfix.wait_observed(4);
    ledger.assert_balanced();

    batch(
        &lab,
        &b,
        (1..OLD + NEW)
            .filter(|n| *n != 2)
            .map(|n| format!("link del v{n}")),
    );
    wait_count(0);
    // Two for each that was there at first.
    wait_for("no descriptor is left over", PATIENCE, || {
        (ebpfix.process().descriptors() + 2 * OLD as usize <= descriptors + 2).then_some(())
    });
    let finished = ebpfix.stop();
    assert!(!finished.stderr.contains("ERROR"), "{}", finished.stderr);
}

/// Runs these lines of `ip` in one process.
fn batch(lab: &Lab, namespace: &Namespace, lines: impl Iterator<Item = String>) {
    let file = lab.folder().join("batch");
    std::fs::write(&file, lines.collect::<Vec<_>>().join("\n")).expect("the batch file");
    namespace.ip(&["-batch", &file.to_string_lossy()]);
}
