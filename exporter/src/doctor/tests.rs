//! What is made of what was read, on any host.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::config::Attach;
use crate::observe::inspect::Filter;
use crate::observe::{DeviceKind, Direction, Interface};
use crate::record::UnixTime;

/// Every kind of finding, in the words in which it is printed.
fn all() -> Report {
    let mut findings = of_the_kernel();
    findings.extend(of_the_host());
    findings.extend(of_interfaces());
    findings.extend(of_collectors());
    Report { findings }
}

fn of_the_kernel() -> Vec<Finding> {
    let mut findings = Vec::new();
    for (release, attach) in [
        ("4.19.0", Attach::Auto),
        ("5.10.0-32-amd64", Attach::Auto),
        ("6.1.0", Attach::Tcx),
        ("6.18.1", Attach::Auto),
        ("6.18.1", Attach::Clsact),
        ("next", Attach::Auto),
    ] {
        let mut numbers = release.split('.').map(|number| number.parse::<u32>().ok());
        let version = numbers.next().flatten().zip(numbers.next().flatten());
        findings.extend(kernel::version(release, version, attach));
        findings.extend(kernel::not_needed(version, attach == Attach::Auto));
    }
    findings.extend([Some("0\n"), Some("1\n"), None].map(kernel::jit));
    findings.extend(
        [None, Some("0\n"), Some("1\n"), Some("2\n")]
            .map(kernel::unprivileged)
            .into_iter()
            .flatten(),
    );
    for state in [
        None,
        Some("[none] integrity confidentiality\n"),
        Some("none [integrity] confidentiality\n"),
        Some("none integrity [confidentiality]\n"),
        Some("nonsense"),
    ] {
        findings.extend(kernel::lockdown(state));
    }
    findings.extend(
        [None, Some("0"), Some("1\n")]
            .map(kernel::real_time)
            .into_iter()
            .flatten(),
    );
    for status in [
        "Name:\tx\nCapEff:\t000001ffffffffff\n",
        "CapEff:\t0000008000001000\n",
        "CapEff:\t0000000000000000\n",
        "CapEff:\tx\n",
    ] {
        findings.extend(kernel::capabilities(kernel::Privileges::of(status)));
    }
    let limits =
        "Limit   Soft Limit\nMax locked memory         65536                65536   bytes\n";
    findings.extend(kernel::memlock(limits, Some((5, 10))));
    findings.extend(kernel::memlock(
        &limits.replace("65536", "unlimited"),
        Some((5, 10)),
    ));
    findings.extend(kernel::memlock(limits, Some((6, 1))));
    findings
}

fn of_the_host() -> Vec<Finding> {
    let mut findings = vec![host::exporter(Ok(()))];
    findings.push(host::exporter(Err("no ebpfix is running")));
    let names = ["link_3_ingress", "link_3_egress", "tables_1", "x"].map(str::to_owned);
    findings.extend(host::leftovers(
        Path::new("/sys/fs/bpf/ebpfix"),
        &names,
        false,
    ));
    findings.extend(host::leftovers(
        Path::new("/sys/fs/bpf/ebpfix"),
        &names,
        true,
    ));
    findings.extend(host::leftovers(
        Path::new("/sys/fs/bpf/ebpfix"),
        &names[3..],
        false,
    ));
    let now = UnixTime::from_millis(1_795_536_420_000);
    for state in [Some(true), Some(false), None] {
        findings.push(host::clock(state, now));
    }
    findings.push(host::clock(Some(true), UnixTime::EPOCH));
    for (hardware, software) in [(0, 0), (0, 2), (3, 2)] {
        findings.extend(host::offloaded(hardware, software));
    }
    findings
}

fn of_interfaces() -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut interface = Interface {
        index: 2,
        name: "eth0".to_owned(),
        link_type: 1,
        up: true,
        ..Interface::default()
    };
    findings.push(interfaces::kind(&interface, false).of("eth0"));
    interface.link_type = 65_534;
    interface.kind = DeviceKind::of_word("tun");
    interface.up = false;
    findings.push(interfaces::kind(&interface, false).of("tun0"));
    interface.link_type = 24;
    findings.push(interfaces::kind(&interface, true).of("fw0"));
    findings.push(interfaces::kind(&interface, false).of("fw0"));
    let named = |index, name: &str, kind: &str| Interface {
        index,
        name: name.to_owned(),
        kind: DeviceKind::of_word(kind),
        ..Interface::default()
    };
    let port = Interface {
        master: Some(7),
        ..named(6, "b0", "veth")
    };
    let upon = |index, name: &str, kind: &str| Interface {
        lower: Some(6),
        ..named(index, name, kind)
    };
    let all = [
        port.clone(),
        named(7, "lan", "bridge"),
        upon(9, "b0.6", "vlan"),
        upon(8, "b0.5", "vlan"),
        upon(10, "peer", "veth"),
    ];
    for finding in interfaces::relations(&port, &all) {
        findings.push(finding.of("b0"));
    }
    assert!(interfaces::relations(&all[1], &all).is_empty());
    findings.extend(interfaces::xdp_programs(&[]));
    findings.extend(interfaces::xdp_programs(&[
        "firewall (7)".to_owned(),
        "8".to_owned(),
    ]));
    let features = ["hw-tc-offload", "rx-gro"].map(str::to_owned);
    findings.extend(interfaces::offload(&features));
    findings.extend(interfaces::offload(&features[1..]));
    let filters = [("bpf", 1), ("flower", 2)].map(|(kind, priority)| Filter {
        priority,
        kind: kind.to_owned(),
    });
    for attach in [Attach::Auto, Attach::Clsact] {
        findings.extend(interfaces::others(Direction::Egress, &filters, attach));
        findings.extend(interfaces::others(Direction::Egress, &filters[..1], attach));
    }
    let program = |name: &str, ours| Some((name.to_owned(), ours));
    let ours = || program("ingress_flow_pa", true);
    for programs in [
        vec![],
        vec![ours()],
        vec![ours(), program("cil_from_netdev", false)],
        vec![None],
        vec![program("drop", false), None, ours()],
    ] {
        findings.extend(interfaces::tcx(Direction::Ingress, programs));
    }
    findings
}

fn of_collectors() -> Vec<Finding> {
    let mut findings = Vec::new();
    let peer = SocketAddr::from(([192, 0, 2, 10], 4739));
    let refused = io::Error::from_raw_os_error(libc::ECONNREFUSED);
    let took = Duration::from_millis(12);
    let found = |found| collectors::resolved("noc.example", found, took).0;
    findings.push(found(Ok(Some(peer))).of("noc"));
    findings.push(found(Ok(None)).of("noc"));
    findings.push(found(Err(io::Error::other("no such name"))).of("noc"));
    let source = SocketAddr::from(([192, 0, 2, 1], 40_000));
    for mtu in [None, Some(1500), Some(576)] {
        findings.push(collectors::reached(peer, source, mtu).of("noc"));
    }
    findings.push(collectors::answered(peer, None));
    findings.push(collectors::answered(peer, Some(&refused)));
    for error in [
        io::Error::from_raw_os_error(libc::ENETUNREACH),
        io::Error::from_raw_os_error(libc::EADDRNOTAVAIL),
        io::Error::from_raw_os_error(libc::EPERM),
    ] {
        findings.push(collectors::unreachable(peer, &error));
    }
    findings
}

#[test]
fn every_finding_is_said_so() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/doctor.txt");
    let text = all().to_string();
    if std::env::var_os("EBPFIX_UPDATE").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), text);
}

#[test]
fn what_is_wrong_comes_with_what_to_do() {
    for finding in all().findings {
        let wrong = matches!(finding.severity, Severity::Warning | Severity::Problem);
        assert!(!wrong || finding.advice.is_some(), "{finding:?}");
    }
}

#[test]
fn the_json_has_counts_and_findings() {
    let report = Report {
        findings: vec![
            Finding::ok("kernel", "fine"),
            Finding::problem("collector", "nobody listens", "start it").of("noc"),
        ],
    };
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "problems": 1,
            "warnings": 0,
            "unknown": 0,
            "findings": [
                {"severity": "ok", "area": "kernel", "text": "fine"},
                {
                    "severity": "problem", "area": "collector", "subject": "noc",
                    "text": "nobody listens", "advice": "start it",
                },
            ],
        })
    );
}

#[test]
fn messages_without_records_are_messages() {
    use ipfix::{Decoder, DecoderLimits, Protocol};
    let now = UnixTime::from_millis(1_795_536_420_000);
    for protocol in [Protocol::Ipfix, Protocol::NetflowV9, Protocol::NetflowV5] {
        let message = collectors::empty(protocol, now);
        let mut decoder = Decoder::new(DecoderLimits::default());
        let decoded = decoder.decode(&(), &message).unwrap();
        assert_eq!(
            (decoded.record_count(), decoded.errors()),
            (0, &[][..]),
            "{protocol:?}"
        );
        assert_eq!(
            decoded.header().export_time_ms(),
            now.millis(),
            "{protocol:?}"
        );
    }
}
