//! Interfaces of another network namespace than the exporter's own.

use std::process::Command;
use std::time::Duration;

use ebpfix_tests::ebpfix::binary;
use ebpfix_tests::process::Program;
use ebpfix_tests::{
    Ebpfix, Lab, Namespace, Nfcapd, Settings, VethOptions, send_datagrams, wait_for,
};
use nix::sys::signal::Signal;

const PATIENCE: Duration = Duration::from_secs(20);

fn settings(namespace: &str, attach: &str) -> Settings {
    Settings::default()
        .observation("namespace", &format!("\"{namespace}\""))
        .observation("interfaces", r#"["*", "!lo"]"#)
        .observation("attach", &format!("\"{attach}\""))
        .metering("idle-timeout", "\"5m\"")
        .metering("active-timeout", "\"5m\"")
        .collector(9001, "ipfix")
}

/// The names of the interfaces that are observed.
fn observed(ebpfix: &Ebpfix) -> Vec<String> {
    let status = ebpfix.status();
    let interfaces = status["interfaces"].as_array().expect("a list").iter();
    interfaces
        .map(|interface| interface["name"].as_str().expect("a name").to_owned())
        .collect()
}

fn wait_observed(ebpfix: &Ebpfix, expected: &[&str]) {
    wait_for(&format!("{expected:?} is observed"), PATIENCE, || {
        (observed(ebpfix) == expected).then_some(())
    });
}

/// Named, by path, and changed by a reload: what is there is observed, and what is told goes to the
/// collector here.
#[test]
fn another_namespace_is_observed_from_here() {
    for attach in ["tcx", "clsact"] {
        let mut lab = Lab::new("elsewhere");
        let home = lab.namespace("home");
        let (peer, blue, red) = (
            lab.namespace("peer"),
            lab.namespace("blue"),
            lab.namespace("red"),
        );
        for (near, far, to) in [
            ("h0", "home0", &home),
            ("p0", "blue0", &blue),
            ("q0", "red0", &red),
        ] {
            lab.veth((&peer, near), (to, far), VethOptions::default());
        }
        let nfcapd = Nfcapd::start(&lab, &home, 9001);
        let ebpfix = Ebpfix::start(&lab, &home, &settings(blue.name(), attach));
        wait_observed(&ebpfix, &["blue0"]);
        let status = ebpfix.status();
        assert_eq!(status["namespace"]["name"], blue.name());
        assert_eq!(status["namespace"]["present"], true);
        assert_eq!(status["interfaces"][0]["index"], blue.if_index("blue0"));
        assert_eq!(status["interfaces"][0]["ingress"], attach);
        send_datagrams(&peer, "p0", 5);
        send_datagrams(&peer, "q0", 7);
        send_datagrams(&peer, "h0", 7);
        assert_eq!(ebpfix.wait_observed(5).observed.packets, 5);

        // What is put right there, is found there.
        if attach == "clsact" {
            blue.tc(&["qdisc", "del", "dev", "blue0", "clsact"]);
            wait_for("it is attached again", PATIENCE, || {
                (ebpfix.status()["interfaces"][0]["reattached"] == 2).then_some(())
            });
        }
        let path = format!("/run/netns/{}", red.name());
        ebpfix.reload(&settings(&path, attach));
        wait_observed(&ebpfix, &["red0"]);
        assert_eq!(blue.tc(&["filter", "show", "dev", "blue0", "ingress"]), "");
        send_datagrams(&peer, "p0", 7);
        send_datagrams(&peer, "q0", 3);
        assert_eq!(ebpfix.wait_observed(8).observed.packets, 8);

        // Killed, and found where it was.
        let ebpfix = ebpfix.kill_and_start_again(&lab);
        assert_eq!(ebpfix.status()["kernel"]["adopted"], true);
        wait_observed(&ebpfix, &["red0"]);
        send_datagrams(&peer, "q0", 4);
        let _ = ebpfix.wait_observed(12);
        // What the one before had read is known to be lost once its tables were read.
        wait_for("it has taken over", PATIENCE, || {
            (ebpfix.status()["kernel"]["taking_over"] == false).then_some(())
        });
        let ledger = ebpfix.ledger();
        assert_eq!(ledger.observed.packets, 12, "{ledger:?}");
        ledger.assert_balanced();
        let _ = ebpfix.stop();
        assert_eq!(red.tc(&["filter", "show", "dev", "red0", "ingress"]), "");
        let crashed = ledger.lost_by("crash").packets;
        let exported = nfcapd.stop_with_losses().packets;
        assert_eq!(exported + crashed, 12, "{ledger:?}");
    }
}

/// A namespace that only its name keeps.
struct Fleeting<'a> {
    name: String,
    peer: &'a Namespace,
}

impl<'a> Fleeting<'a> {
    fn new(name: &str, peer: &'a Namespace) -> Self {
        let new = Self {
            name: name.to_owned(),
            peer,
        };
        ip(&["netns", "add", name]);
        let add = "link add p0 address 02:00:00:00:00:01 type veth peer name b0 address \
                   02:00:00:00:00:02 netns";
        let add: Vec<_> = add.split(' ').chain([name]).collect();
        peer.ip(&add);
        // It is not to speak by itself.
        ip(&["-n", name, "link", "set", "b0", "addrgenmode", "none"]);
        ip(&["-n", name, "link", "set", "b0", "up"]);
        peer.ip(&["link", "set", "p0", "up"]);
        new
    }

    /// Takes the name away, and waits until the namespace is gone: the other end of its cable is, too.
    fn remove(self) {
        ip(&["netns", "del", &self.name]);
        wait_for("nobody keeps the namespace", PATIENCE, || {
            let links = self.peer.ip_json(&["link"]);
            let mut links = links.as_array().expect("a list").iter();
            (!links.any(|link| link["ifname"] == "p0")).then_some(())
        });
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("ip");
    assert!(output.status.success(), "ip {arguments:?}: {output:?}");
}

/// Not there at the start, there, gone, there again: nothing is lost, and nothing keeps it alive.
#[test]
fn a_namespace_comes_and_goes() {
    for attach in ["tcx", "clsact"] {
        let mut lab = Lab::new("fleeting");
        let (home, peer) = (lab.namespace("home"), lab.namespace("peer"));
        let name = format!("{}-fleeting", home.name());
        let nfcapd = Nfcapd::start(&lab, &home, 9001);
        let ebpfix = Ebpfix::start(&lab, &home, &settings(&name, attach));
        assert_eq!(ebpfix.status()["namespace"]["present"], false);
        assert_eq!(observed(&ebpfix), [""; 0]);
        let mut expected = 0;
        for round in 1..=3_u16 {
            let fleeting = Fleeting::new(&name, &peer);
            wait_observed(&ebpfix, &["b0"]);
            send_datagrams(&peer, "p0", 10 * round);
            expected += u64::from(10 * round);
            let ledger = ebpfix.wait_observed(expected);
            assert_eq!(ledger.observed.packets, expected, "{ledger:?}");
            fleeting.remove();
            wait_observed(&ebpfix, &[]);
            assert_eq!(ebpfix.status()["namespace"]["present"], false);
            // Long before the idle timeout.
            let ledger = ebpfix.wait_settled(expected);
            ledger.assert_balanced();
        }
        let finished = ebpfix.stop();
        assert!(!finished.stderr.contains("ERROR"), "{}", finished.stderr);
        assert_eq!(nfcapd.stop().packets, expected);
    }
}

/// Who may not enter it is told what that takes.
#[test]
fn entering_a_namespace_takes_a_right() {
    let mut lab = Lab::new("right");
    let (home, blue) = (lab.namespace("home"), lab.namespace("blue"));
    let file = lab.folder().join("ebpfix.toml");
    let folder = lab.folder().join("run");
    let pins = format!("/sys/fs/bpf/{}-pins", home.name());
    let text = settings(blue.name(), "auto").text(&folder, pins.as_ref());
    std::fs::write(&file, text).expect("to write a configuration");
    let program = Program::new("setpriv")
        .args(["--bounding-set", "-sys_admin", "--"])
        .arg(binary())
        .args(["run", "--config"])
        .arg(&file);
    let finished = lab.run(&home, &program, PATIENCE);
    assert_eq!(finished.code(), Some(1), "{finished:?}");
    let stderr = &finished.stderr;
    let path = format!("/run/netns/{}: cannot enter", blue.name());
    assert!(
        stderr.contains(&path)
            && stderr.contains("CAP_SYS_ADMIN")
            && stderr.contains("RestrictNamespaces=net"),
        "{stderr}"
    );
}

/// `doctor` looks where the exporter looks, and `detach` takes off there what was left.
#[test]
fn doctor_and_detach_look_there_too() {
    let mut lab = Lab::new("looked at");
    let (home, blue) = (lab.namespace("home"), lab.namespace("blue"));
    lab.veth((&home, "home0"), (&blue, "blue0"), VethOptions::default());
    let ebpfix = Ebpfix::start(&lab, &home, &settings(blue.name(), "clsact"));
    wait_observed(&ebpfix, &["blue0"]);
    let doctor = Program::new(binary())
        .args(["doctor", "--config"])
        .arg(ebpfix.config());
    let report = lab.run(&home, &doctor, PATIENCE).stdout;
    assert!(report.contains("interface blue0: veth, up"), "{report}");
    assert!(!report.contains("home0"), "{report}");
    let left = ebpfix.kill();
    assert!(!filters(&blue).is_empty());
    let _ = left.detach(&lab).success();
    assert_eq!(filters(&blue), "");
}

fn filters(namespace: &Namespace) -> String {
    namespace.tc(&["filter", "show", "dev", "blue0", "ingress"])
}

/// A namespace in which nobody has a name for it: by the path of a process.
#[test]
fn a_namespace_is_found_by_a_process_in_it() {
    let mut lab = Lab::new("process");
    let (home, blue) = (lab.namespace("home"), lab.namespace("blue"));
    lab.veth((&home, "home0"), (&blue, "blue0"), VethOptions::default());
    let inside = lab.start(&blue, &Program::new("sleep").arg("60"));
    let path = format!("/proc/{}/ns/net", inside.id());
    let ebpfix = Ebpfix::start(&lab, &home, &settings(&path, "auto"));
    wait_observed(&ebpfix, &["blue0"]);
    send_datagrams(&home, "home0", 2);
    assert_eq!(ebpfix.wait_observed(2).observed.packets, 2);
    let _ = inside.stop(Signal::SIGTERM, PATIENCE);
    wait_observed(&ebpfix, &[]);
    let _ = ebpfix.stop();
}
