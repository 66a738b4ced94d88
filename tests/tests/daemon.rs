//! What the daemon does beyond counting: where it sends, what it does with duplicates, reloading.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use ebpfix_tests::frame::{IPV4, IPV6, Ipv4, ethernet, ipv6, protocol, udp};
use ebpfix_tests::process::Program;
use ebpfix_tests::{
    Count, Ebpfix, Injector, Lab, Namespace, Nfcapd, Settings, VethOptions, traffic, wait_for,
};
use nix::sys::signal::Signal;

/// One datagram of 32 octets of IP.
fn send(namespace: &Namespace, port: u16) {
    let datagram =
        Ipv4::new([192, 0, 2, 1], [192, 0, 2, 2], protocol::UDP).packet(&udp(port, 9, b"data"));
    Injector::new(namespace, "a0").send(&ethernet(IPV4, &datagram));
}

/// A flow whose next packets are still in the kernel is not idle.
#[test]
fn the_kernel_is_read_before_a_flow_is_idle() {
    let (lab, a, b) = Lab::pair("idle");
    let nfcapd = Nfcapd::start(&lab, &b, 9001);
    let settings = Settings::new("b0", &["ingress"])
        .observation("drain-interval", "\"4s\"")
        .metering("idle-timeout", "\"2s\"")
        .collector(9001, "ipfix");
    let ebpfix = Ebpfix::start(&lab, &b, &settings);
    for _ in 0..25 {
        send(&a, 1);
        std::thread::sleep(Duration::from_millis(200));
    }
    // By itself, within a reading of the kernel.
    let ledger = wait_for("the flow has ended", Duration::from_secs(10), || {
        let ledger = ebpfix.ledger();
        (ledger.exported.packets == 25).then_some(ledger)
    });
    ledger.assert_balanced();
    let _ = ebpfix.stop();
    let result = nfcapd.stop();
    assert_eq!((result.packets, result.flows), (25, 1), "{}", result.log);
}

#[test]
fn collectors_by_ipv6_address_and_by_name() {
    let (lab, a, b) = Lab::pair("addresses");
    let collectors = [
        Nfcapd::start_on(&lab, &b, "::1", 9001),
        Nfcapd::start_on(&lab, &b, "127.0.0.1", 9002),
    ];
    let settings = Settings::new("b0", &["ingress"])
        .table("[[collector]]\naddress = \"[::1]:9001\"")
        .table("[[collector]]\naddress = \"localhost:9002\"\nprotocol = \"netflow-v9\"");
    let ebpfix = Ebpfix::start(&lab, &b, &settings);
    send(&a, 1);
    let _ = ebpfix.wait_observed(1);
    let _ = ebpfix.stop();
    for nfcapd in collectors {
        let result = nfcapd.stop();
        assert_eq!((result.packets, result.octets), (1, 32), "{}", result.log);
    }
}

/// A router sees every packet twice: entering on one interface, leaving on the other.
#[test]
fn a_routed_flow_is_marked_dropped_or_kept() {
    for (duplicates, exported, dropped) in [("mark", 40, 0), ("keep", 40, 0), ("drop", 20, 20)] {
        let mut lab = Lab::new(duplicates);
        let [a, r, c] = ["a", "r", "c"].map(|name| lab.namespace(name));
        lab.veth((&a, "a0"), (&r, "r0"), VethOptions::default());
        lab.veth((&r, "r1"), (&c, "c0"), VethOptions::default());
        for (namespace, interface, address) in [
            (&a, "a0", "10.0.1.1/24"),
            (&r, "r0", "10.0.1.2/24"),
            (&r, "r1", "10.0.2.2/24"),
            (&c, "c0", "10.0.2.1/24"),
        ] {
            namespace.address(interface, address);
        }
        a.ip(&["route", "add", "default", "via", "10.0.1.2"]);
        c.ip(&["route", "add", "default", "via", "10.0.2.2"]);
        r.try_sysctl("net/ipv4/ip_forward", "1").unwrap();
        let nfcapd = Nfcapd::start(&lab, &r, 9001);
        let settings = Settings::new("r*", &["ingress", "egress"])
            .metering("duplicates", &format!("\"{duplicates}\""))
            .metering("idle-timeout", "\"500ms\"")
            .collector(9001, "ipfix");
        let ebpfix = Ebpfix::start(&lab, &r, &settings);
        traffic::ping(&lab, &a, "10.0.2.1", 10);
        // 10 requests and 10 answers, each at two interfaces, and ARP.
        let ledger = wait_for(
            "all is observed and has ended",
            Duration::from_secs(10),
            || {
                let ledger = ebpfix.ledger();
                let ip = ledger.observed.packets - ledger.lost_by("not_ip").packets;
                (ip == 40 && ledger.held.packets == 0).then_some(ledger)
            },
        );
        let expected = Count {
            packets: dropped,
            octets: dropped * 84,
        };
        assert_eq!(
            ledger.lost_by("duplicate"),
            expected,
            "{duplicates}: {ledger:?}"
        );
        let _ = ebpfix.stop();
        let result = nfcapd.stop();
        assert_eq!(
            (result.packets, result.octets),
            (exported, exported * 84),
            "{duplicates}: {}",
            result.log
        );
    }
}

/// SIGHUP reads the configuration again: another collector, without losing what is held; a mistake in it
/// changes nothing.
#[test]
fn a_reload_changes_the_collectors_and_loses_nothing() {
    let (lab, a, b) = Lab::pair("reload");
    let collectors = [9001, 9002].map(|port| Nfcapd::start(&lab, &b, port));
    let ebpfix = Ebpfix::start(
        &lab,
        &b,
        &Settings::new("b0", &["ingress"]).collector(9001, "ipfix"),
    );
    send(&a, 1);
    let _ = ebpfix.wait_observed(1);
    let good = fs::read_to_string(ebpfix.config()).unwrap();

    fs::write(ebpfix.config(), good.replace("[metering]", "[metring]")).unwrap();
    ebpfix.process().signal(Signal::SIGHUP);
    wait_for("the mistake is said", Duration::from_secs(10), || {
        ebpfix.process().stderr().contains("metring").then_some(())
    });
    fs::write(ebpfix.config(), good.replace("9001", "9002")).unwrap();
    let _ = ebpfix.ledger();
    ebpfix.process().signal(Signal::SIGHUP);
    wait_for(
        "the other collector is there",
        Duration::from_secs(10),
        || {
            let status = ebpfix.status();
            status["collectors"]
                .to_string()
                .contains("9002")
                .then_some(())
        },
    );
    send(&a, 2);
    let ledger = ebpfix.wait_observed(2);
    assert_eq!(ledger.lost_in_all(), Count::default(), "{ledger:?}");
    let _ = ebpfix.stop();
    let packets: u64 = collectors
        .into_iter()
        .map(|nfcapd| nfcapd.stop().packets)
        .sum();
    assert_eq!(packets, 2, "each packet at one of the collectors");
}

/// A collector's own elements, and others after SIGHUP: over one port, which is one Transport Session, and
/// in `NetFlow` v9. No template changes its meaning, no sequence number is missing, no packet is lost.
#[test]
fn a_list_of_elements_is_exported_and_may_change() {
    let lists = [
        "\"sourceIPv4Address\", \"sourceTransportPort\", \"packetDeltaCount/4\", \"octetDeltaCount/4\"",
        "\"octetDeltaCount\", \"packetDeltaCount\", \"destinationIPv4Address\", \"interfaceName\"",
    ];
    let (lab, a, b) = Lab::pair("elements");
    let collectors = [9001, 9002].map(|port| Nfcapd::start(&lab, &b, port));
    let mut settings = Settings::new("b0", &["ingress"]).metering("idle-timeout", "\"500ms\"");
    for (port, protocol) in [(9001, "ipfix"), (9002, "netflow-v9")] {
        let more = format!("source-port = {}\nelements = [{}]", port + 100, lists[0]);
        settings = settings.collector_with(port, protocol, &more);
    }
    let ebpfix = Ebpfix::start(&lab, &b, &settings);
    let mut observed = 0;
    for turn in 0..3 {
        if turn > 0 {
            let text = fs::read_to_string(ebpfix.config()).unwrap();
            let text = text.replace(lists[(turn + 1) % 2], lists[turn % 2]);
            fs::write(ebpfix.config(), &text).unwrap();
            ebpfix.process().signal(Signal::SIGHUP);
            wait_for("it is read", Duration::from_secs(10), || {
                let said = ebpfix.process().stderr();
                (said.matches("was read again").count() == turn).then_some(())
            });
        }
        for port in 1..=20 {
            send(&a, port);
        }
        observed += 20;
        let ledger = wait_for("all is exported", Duration::from_secs(30), || {
            let ledger = ebpfix.ledger();
            (ledger.exported.packets == observed).then_some(ledger)
        });
        assert_eq!(ledger.lost_in_all(), Count::default(), "{ledger:?}");
    }
    let _ = ebpfix.stop();
    for nfcapd in collectors {
        let result = nfcapd.stop();
        assert_eq!(
            (result.packets, result.octets),
            (60, 60 * 32),
            "{}",
            result.log
        );
        assert_eq!(
            (result.sequence_errors, result.bad_packets),
            (0, 0),
            "{}",
            result.log
        );
        let records = result.records();
        let with = |key: &str, value: &str| {
            let with = |record: &&serde_json::Value| record[key].as_str() == Some(value);
            records.iter().filter(with).count()
        };
        assert_eq!(with("src4_addr", "192.0.2.1"), 40, "{records:#?}");
        assert_eq!(with("dst4_addr", "192.0.2.2"), 20, "{records:#?}");
    }
}

/// `NetFlow` v5 has a record for IPv4: what it has none for is lost by its name, unless somebody else is
/// told.
#[test]
fn netflow_v5_tells_of_ipv4_and_the_rest_is_counted() {
    for others in [false, true] {
        let (lab, a, b) = Lab::pair("version5");
        let nfcapd = Nfcapd::start(&lab, &b, 9001);
        let mut settings = Settings::new("b0", &["ingress"])
            .metering("idle-timeout", "\"500ms\"")
            .collector(9001, "netflow-v5");
        let other = others.then(|| Nfcapd::start(&lab, &b, 9002));
        if others {
            settings = settings.collector(9002, "ipfix");
        }
        let ebpfix = Ebpfix::start(&lab, &b, &settings);
        for port in 1..=50 {
            send(&a, port);
        }
        let datagram = ipv6(
            "2001:db8::1",
            "2001:db8::2",
            protocol::UDP,
            &udp(7, 9, b"data"),
        );
        let injector = Injector::new(&a, "a0");
        for _ in 0..3 {
            injector.send(&ethernet(IPV6, &datagram));
        }
        let ledger = wait_for("all has ended", Duration::from_secs(20), || {
            let ledger = ebpfix.ledger();
            (ledger.observed.packets == 53 && ledger.held.packets == 0).then_some(ledger)
        });
        let packets = if others { 0 } else { 3 };
        let octets = packets * 52;
        let lost = ledger.lost_by("not_in_protocol");
        assert_eq!(lost, Count { packets, octets }, "{ledger:?}");
        assert_eq!(ledger.lost_in_all(), lost);
        let _ = ebpfix.stop();
        let result = nfcapd.stop();
        assert_eq!(
            (result.packets, result.octets),
            (50, 50 * 32),
            "{}",
            result.log
        );
        assert_eq!(
            (result.sequence_errors, result.bad_packets),
            (0, 0),
            "{}",
            result.log
        );
        if let Some(other) = other {
            assert_eq!(other.stop().packets, 53);
        }
    }
}

/// A service manager hears when the exporter is ready, alive, reloading and ending.
#[test]
fn a_service_manager_is_told() {
    let (lab, a, b) = Lab::pair("manager");
    let address = lab.folder().join("notify");
    let manager = UnixDatagram::bind(&address).expect("a socket");
    manager
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    let config = lab.folder().join("managed.toml");
    let run_dir = lab.folder().join("managed");
    let pin_dir = Path::new("/sys/fs/bpf/ebpfix-test-managed");
    let settings = Settings::new("b0", &["ingress"]).collector(9001, "ipfix");
    fs::write(&config, settings.text(&run_dir, pin_dir)).expect("the configuration");
    let program = Program::new("env")
        .arg(format!("NOTIFY_SOCKET={}", address.display()))
        .arg("WATCHDOG_USEC=600000")
        .arg(ebpfix_tests::ebpfix::binary())
        .args(["run", "--config"])
        .arg(&config);
    let process = lab.start(&b, &program);
    let hear = |what: &str| loop {
        let mut octets = [0; 4096];
        let length = manager
            .recv(&mut octets)
            .unwrap_or_else(|error| panic!("{what}: {error}\n{}", process.stderr()));
        let text = String::from_utf8_lossy(&octets[..length]).into_owned();
        if text.lines().any(|line| line == what) {
            return text;
        }
    };
    let ready = hear("READY=1");
    assert!(
        ready.contains("STATUS=interfaces: 1, collectors: 1"),
        "{ready}"
    );
    send(&a, 1);
    let _ = hear("WATCHDOG=1");
    let _ = hear("WATCHDOG=1");
    process.signal(Signal::SIGHUP);
    let reloading = hear("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    let _ = hear("READY=1");
    process.signal(Signal::SIGTERM);
    let _ = hear("STOPPING=1");
    let _ = process.wait(Duration::from_secs(20)).success();
}
