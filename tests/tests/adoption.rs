//! The exporter is killed, or hands over, in the middle of traffic: counting goes on in the kernel, the
//! next exporter takes over, and what died with the one before is counted to the packet and the octet.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use ebpfix_probes::abi::{ABI, COUNTERS_VERSION, Control};
use ebpfix_tests::ebpfix::binary;
use ebpfix_tests::inject::{Order, Sent};
use ebpfix_tests::kernel::{assert_freed, held_by, patch};
use ebpfix_tests::process::Program;
use ebpfix_tests::{
    Count, Ebpfix, Flood, Lab, Ledger, Namespace, Nfcapd, Random, Settings, VethOptions, alone,
    send_datagrams, wait_for,
};

const PORT: u16 = 9001;
/// Packets a second: no cache or log of default size is in need at that.
const RATE: f64 = 20_000.0;
const FLOWS: u32 = 2_000;
/// Packets of a record, and records of a message: more than any has here.
const MESSAGE_PACKETS: u64 = 130 * 40;

/// A link with a collector at its second end.
struct Scene {
    lab: Lab,
    a: Namespace,
    b: Namespace,
    nfcapd: Nfcapd,
}

impl Scene {
    fn new(name: &str) -> Self {
        let (lab, a, b) = Lab::pair(name);
        let nfcapd = Nfcapd::start(&lab, &b, PORT);
        Self { lab, a, b, nfcapd }
    }

    /// Sends the flood while `meanwhile` has the exporter go from one process to the next; then waits
    /// until the last one holds nothing more.
    fn run(
        self,
        flood: Flood,
        settings: &Settings,
        meanwhile: impl FnOnce(&Self, Ebpfix) -> Ebpfix,
    ) -> Outcome {
        let first = Ebpfix::start(&self.lab, &self.b, settings);
        let (sent, last) = thread::scope(|scope| {
            let sender = scope.spawn(|| flood.send_at(RATE, &self.a, "a0"));
            let last = meanwhile(&self, first);
            (sender.join().expect("the flood"), last)
        });
        let received = self.b.counters("b0").rx_packets;
        assert_eq!(received, sent.packets, "the link itself lost something");
        let start = Instant::now();
        let ledger = loop {
            let ledger = last.ledger();
            if ledger.observed.packets >= received && ledger.held.packets == 0 {
                break ledger;
            }
            let waited = start.elapsed();
            assert!(
                waited < Duration::from_secs(30),
                "of {received} packets: {ledger:?}"
            );
            pause(50);
        };
        let stderr = last.stop().stderr;
        assert!(!stderr.contains("ERROR"), "{stderr}");
        Outcome {
            sent,
            ledger,
            collected: self.nfcapd.stop(),
            _lab: self.lab,
        }
    }
}

/// What became of a flood.
struct Outcome {
    sent: Sent,
    ledger: Ledger,
    collected: ebpfix_tests::collector::NfcapdResult,
    _lab: Lab,
}

impl Outcome {
    /// Every packet that was sent is in the ledger of the last exporter.
    #[track_caller]
    fn assert_all_observed(&self) {
        let Self { sent, ledger, .. } = self;
        let observed = (ledger.observed.packets, ledger.observed.octets);
        assert_eq!(observed, (sent.packets, sent.octets), "{ledger:?}");
    }

    /// Only what died with an exporter is lost, and something did.
    #[track_caller]
    fn assert_lost_by_crash_alone(&self) {
        let lost = self.ledger.lost_by("crash");
        assert!(lost.packets > 0, "nothing was tested: {:?}", self.ledger);
        assert_eq!(self.ledger.lost_in_all(), lost, "{:?}", self.ledger);
    }

    /// The collector has what the ledger says was exported; and at most one message more for each
    /// time that an exporter was killed between sending it and noting that.
    #[track_caller]
    fn assert_collected(&self, kills: u64) {
        let Count { packets, octets } = self.ledger.exported;
        let collected = &self.collected;
        let more = collected.packets.checked_sub(packets);
        let more = more.unwrap_or_else(|| {
            panic!("{} of {packets} packets came", collected.packets);
        });
        eprintln!("{more} packets were sent and not noted, with {kills} kills");
        assert!(more <= kills * MESSAGE_PACKETS, "{:?}", self.ledger);
        if more == 0 {
            assert_eq!(collected.octets, octets, "{:?}", self.ledger);
        }
    }
}

/// Flows end soon, so that there is something exported and something held at any time.
fn settings(attach: &str) -> Settings {
    Settings::new("b0", &["ingress"])
        .observation("attach", &format!("\"{attach}\""))
        .metering("active-timeout", "\"1s\"")
        .metering("idle-timeout", "\"500ms\"")
        .collector(PORT, "ipfix")
}

fn flood(packets: u64) -> Flood {
    Flood {
        packets,
        flows: FLOWS,
        order: Order::Random(3),
        threads: 1,
    }
}

fn pause(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}

#[test]
fn a_killed_exporter_misses_nothing_and_says_what_died_with_it() {
    let _alone = alone();
    for attach in ["tcx", "clsact"] {
        let outcome =
            Scene::new("killed").run(flood(100_000), &settings(attach), |scene, first| {
                pause(1500);
                assert!(first.ledger().exported.packets > 0);
                let left = first.kill();
                pause(1500);
                let second = left.start(&scene.lab);
                let kernel = second.wait_taken_over();
                assert_eq!(kernel["adopted"], true, "{kernel}");
                assert_eq!(
                    (&kernel["crashes"], &kernel["handovers"]),
                    (&1.into(), &0.into())
                );
                second
            });
        outcome.assert_all_observed();
        outcome.assert_lost_by_crash_alone();
        outcome.assert_collected(1);
    }
}

/// At moments by chance: also in the middle of a turn, of a reading, of the taking over itself.
#[test]
fn killed_again_and_again_at_any_moment() {
    let _alone = alone();
    for attach in ["tcx", "clsact"] {
        let mut random = Random::from_environment("EBPFIX_SEED", attach);
        let settings = settings(attach).observation("drain-interval", "\"50ms\"");
        let outcome =
            Scene::new("again and again").run(flood(240_000), &settings, |scene, first| {
                let mut ebpfix = first;
                for _ in 0..5 {
                    pause(random.below(1200));
                    let left = ebpfix.kill();
                    pause(random.below(200));
                    ebpfix = left.start(&scene.lab);
                }
                let kernel = ebpfix.wait_taken_over();
                assert_eq!(kernel["crashes"], 5, "{kernel}");
                ebpfix
            });
        outcome.assert_all_observed();
        outcome.assert_lost_by_crash_alone();
        outcome.assert_collected(5);
    }
}

/// While they start, and each with tables that do not fit the next: in the middle of going over from
/// the one to the other.
#[test]
fn killed_while_it_takes_over() {
    let _alone = alone();
    for attach in ["tcx", "clsact"] {
        let mut random = Random::from_environment("EBPFIX_SEED", attach);
        let sized = |slots: &str| {
            settings(attach)
                .observation("drain-interval", "\"50ms\"")
                .observation("cache-slots", slots)
        };
        let sizes = [sized("4096"), sized("2048"), sized("1024")];
        let outcome = Scene::new("taking over").run(flood(240_000), &sizes[0], |scene, first| {
            pause(700);
            let mut left = first.kill();
            for round in 1..=12 {
                let next = left.launch_with(&scene.lab, &sizes[round % 3]);
                // From before its first step to after its last, as a start goes here.
                pause(random.below(350));
                left = next.kill();
            }
            let last = left.start_with(&scene.lab, &sizes[1]);
            let _ = last.wait_taken_over();
            let sets = fs::read_dir(last.pin_dir()).expect("the pins").flatten();
            let sets = sets
                .filter(|pin| pin.file_name().to_string_lossy().starts_with("tables_"))
                .count();
            assert_eq!(sets, 1, "old tables are still there");
            last
        });
        outcome.assert_all_observed();
        outcome.assert_lost_by_crash_alone();
        outcome.assert_collected(13);
    }
}

#[test]
fn handing_over_loses_nothing() {
    let _alone = alone();
    for attach in ["tcx", "clsact"] {
        let outcome =
            Scene::new("handover").run(flood(120_000), &settings(attach), |scene, first| {
                let mut ebpfix = first;
                for times in 1..=3 {
                    pause(1000);
                    let (left, finished) = ebpfix.hand_over(&scene.lab);
                    assert!(finished.stderr.contains("balanced=true"), "{finished:?}");
                    pause(300);
                    ebpfix = left.start(&scene.lab);
                    let kernel = ebpfix.wait_taken_over();
                    assert_eq!(kernel["handovers"], times, "{kernel}");
                    assert_eq!(kernel["crashes"], 0, "{kernel}");
                }
                ebpfix
            });
        outcome.assert_all_observed();
        assert_eq!(
            outcome.ledger.lost_in_all(),
            Count::default(),
            "{:?}",
            outcome.ledger
        );
        outcome.assert_collected(0);
        assert_eq!(outcome.collected.packets, outcome.sent.packets);
        assert_eq!(outcome.collected.octets, outcome.sent.octets);
    }
}

/// The next exporter has tables of other sizes: the old ones are read out, and no packet is missed or
/// counted twice on the way.
#[test]
fn tables_of_another_size_are_read_out() {
    let _alone = alone();
    for attach in ["tcx", "clsact"] {
        for killed in [true, false] {
            let outcome =
                Scene::new("other sizes").run(flood(100_000), &settings(attach), |scene, first| {
                    pause(1500);
                    let left = if killed {
                        first.kill()
                    } else {
                        first.hand_over(&scene.lab).0
                    };
                    pause(500);
                    let other = settings(attach)
                        .observation("cache-slots", "1024")
                        .observation("log-records", "32768");
                    let second = left.start_with(&scene.lab, &other);
                    let kernel = second.status()["kernel"].take();
                    assert_eq!(kernel["adopted"], false, "{kernel}");
                    assert_eq!(kernel["cache_slots"], 1024, "{kernel}");
                    // What the second one took over goes to the third.
                    pause(500);
                    second.hand_over(&scene.lab).0.start(&scene.lab)
                });
            assert!(outcome.ledger.lost_by("log_full").packets == 0);
            outcome.assert_all_observed();
            if killed {
                outcome.assert_lost_by_crash_alone();
            } else {
                assert_eq!(outcome.ledger.lost_in_all(), Count::default());
            }
            outcome.assert_collected(u64::from(killed));
        }
    }
}

/// The records of tables of another version cannot be read, but how many packets were in them can.
#[test]
fn tables_of_another_version_are_counted() {
    let scene = Scene::new("other version");
    let first = Ebpfix::start(&scene.lab, &scene.b, &settings("auto"));
    send_datagrams(&scene.a, "a0", 7);
    let ledger = wait_for("all is exported", Duration::from_secs(20), || {
        let ledger = first.ledger();
        (ledger.exported.packets == 7).then_some(ledger)
    });
    assert_eq!(ledger.observed.packets, 7);
    let left = first.kill();
    send_datagrams(&scene.a, "a0", 5);
    let control = left.pin_dir().join("tables_1/control");
    patch(
        &control,
        std::mem::offset_of!(Control, abi),
        &(ABI + 1).to_le_bytes(),
    );
    let second = left.start(&scene.lab);
    send_datagrams(&scene.a, "a0", 3);
    let ledger = second.wait_observed(15);
    assert_eq!(ledger.observed.packets, 15, "{ledger:?}");
    assert_eq!(ledger.lost_by("crash").packets, 5, "{ledger:?}");
    assert_eq!(ledger.lost_by("crash").octets, 5 * 32, "{ledger:?}");
    // And where not even that: it is said, and the ledger goes on with what it knows.
    let left = second.kill();
    let control = left.pin_dir().join("tables_2/control");
    let unknown = u32::from(COUNTERS_VERSION + 1) << 16;
    patch(
        &control,
        std::mem::offset_of!(Control, abi),
        &unknown.to_le_bytes(),
    );
    let third = left.start(&scene.lab);
    send_datagrams(&scene.a, "a0", 2);
    let ledger = third.wait_observed(14);
    assert_eq!(
        ledger.exported.packets + ledger.held.packets,
        9,
        "{ledger:?}"
    );
    assert_eq!(ledger.lost_in_all().packets, 5, "{ledger:?}");
    let finished = third.stop();
    assert!(
        finished
            .stderr
            .contains("of a version that this one does not know"),
        "{}",
        finished.stderr
    );
}

/// One that comes too late finds the log full, and what did not fit counted.
#[test]
fn what_the_kernel_has_no_room_for_meanwhile_is_counted() {
    let _alone = alone();
    let scene = Scene::new("too late");
    let settings = settings("auto")
        .observation("cache-slots", "16")
        .observation("log-records", "1024");
    let first = Ebpfix::start(&scene.lab, &scene.b, &settings);
    let (left, _) = first.hand_over(&scene.lab);
    let sent = flood(100_000).send(&scene.a, "a0");
    let second = left.start(&scene.lab);
    let ledger = wait_for("nothing is held any more", Duration::from_secs(30), || {
        let ledger = second.ledger();
        (ledger.held.packets == 0).then_some(ledger)
    });
    assert_eq!(ledger.observed.packets, sent.packets, "{ledger:?}");
    assert_eq!(ledger.observed.octets, sent.octets, "{ledger:?}");
    let lost = ledger.lost_by("log_full");
    assert!(lost.packets > 0, "{ledger:?}");
    assert_eq!(ledger.lost_in_all(), lost, "{ledger:?}");
    assert!(ledger.exported.packets > 1024, "{ledger:?}");
    let _ = second.stop();
    let collected = scene.nfcapd.stop();
    assert_eq!(collected.packets, ledger.exported.packets);
}

#[test]
fn detach_leaves_nothing() {
    let _alone = alone();
    for attach in ["tcx", "clsact"] {
        let scene = Scene::new("detach");
        let settings = Settings::new("b0", &["ingress", "egress"])
            .observation("attach", &format!("\"{attach}\""))
            .collector(PORT, "ipfix");
        let ebpfix = Ebpfix::start(&scene.lab, &scene.b, &settings);
        let held = held_by(ebpfix.process());
        send_datagrams(&scene.a, "a0", 3);
        let _ = ebpfix.wait_observed(3);
        let refused = detach(&scene, &ebpfix);
        assert_eq!(refused.code(), Some(1), "{refused:?}");
        assert!(refused.stderr.contains("another ebpfix"), "{refused:?}");

        let left = ebpfix.kill();
        send_datagrams(&scene.a, "a0", 4);
        let done = left.detach(&scene.lab).success();
        assert_eq!(
            done.stdout,
            "taken off: 2 programs\nremoved: tables that had observed 7 packets; 7 packets, 224 octets of them were never exported\n",
            "{attach}"
        );
        assert_freed(&held, attach);
        assert!(!left.pin_dir().exists());
        for direction in ["ingress", "egress"] {
            let filters = scene.b.tc(&["filter", "show", "dev", "b0", direction]);
            assert_eq!(filters.trim(), "", "{attach}");
        }
        let again = left.detach(&scene.lab).success();
        assert!(again.stdout.starts_with("nothing is left"), "{again:?}");
    }
}

fn detach(scene: &Scene, ebpfix: &Ebpfix) -> ebpfix_tests::Finished {
    let program = Program::new(binary())
        .args(["detach", "--config"])
        .arg(ebpfix.config());
    scene.lab.run(&scene.b, &program, Duration::from_secs(20))
}

/// While nobody runs, an interface goes and a stranger gets its number; another comes that is wanted.
#[test]
fn a_reused_number_does_not_attach_to_a_stranger() {
    for attach in ["tcx", "clsact"] {
        let scene = Scene::new("stranger");
        let first = Ebpfix::start(&scene.lab, &scene.b, &settings(attach));
        send_datagrams(&scene.a, "a0", 2);
        let _ = first.wait_observed(2);
        let left = first.kill();
        let number = scene.b.if_index("b0").to_string();
        scene.b.ip(&["link", "del", "b0"]);
        scene.b.ip(&[
            "link",
            "add",
            "x0",
            "index",
            &number,
            "type",
            "veth",
            "peer",
            "name",
            "y0",
            "netns",
            scene.a.name(),
        ]);
        scene.b.ip(&["link", "set", "x0", "up"]);
        scene.a.ip(&["link", "set", "y0", "up"]);
        scene
            .lab
            .veth((&scene.a, "a0"), (&scene.b, "b0"), VethOptions::default());
        let second = left.start(&scene.lab);
        let status = second.status();
        let observed = status["interfaces"].as_array().expect("a list");
        assert_eq!(observed.len(), 1, "{status}");
        assert_eq!(observed[0]["name"], "b0", "{status}");
        assert_ne!(observed[0]["index"].to_string(), number, "{status}");
        send_datagrams(&scene.a, "y0", 5);
        send_datagrams(&scene.a, "a0", 3);
        let ledger = second.wait_observed(5);
        assert_eq!(ledger.observed.packets, 5, "{attach}: {ledger:?}");
        assert!(
            scene
                .b
                .tc(&["filter", "show", "dev", "x0", "ingress"])
                .trim()
                .is_empty()
        );
        let _ = second.stop();
    }
}

/// An interface that the next configuration does not want is left alone by then.
#[test]
fn what_is_no_longer_wanted_is_taken_off() {
    for attach in ["tcx", "clsact"] {
        let scene = Scene::new("unwanted");
        scene
            .lab
            .veth((&scene.a, "a1"), (&scene.b, "b1"), VethOptions::default());
        let both = Settings::new("b*", &["ingress", "egress"])
            .observation("attach", &format!("\"{attach}\""))
            .collector(PORT, "ipfix");
        let first = Ebpfix::start(&scene.lab, &scene.b, &both);
        send_datagrams(&scene.a, "a1", 2);
        let _ = first.wait_observed(2);
        let second = first.kill().start_with(&scene.lab, &settings(attach));
        send_datagrams(&scene.a, "a1", 5);
        send_datagrams(&scene.a, "a0", 1);
        let ledger = second.wait_observed(3);
        assert_eq!(ledger.observed.packets, 3, "{attach}: {ledger:?}");
        let pins = fs::read_dir(second.pin_dir()).expect("the pins").count();
        assert_eq!(pins, 2, "{attach}: one set of tables, one program");
        let _ = second.stop();
    }
}

/// Other ways to attach, other directions: what was attached before does not count beside it.
#[test]
fn another_way_to_attach_takes_the_place_of_the_first() {
    for ways in [["tcx", "clsact"], ["clsact", "tcx"]] {
        let scene = Scene::new("ways");
        let first = Ebpfix::start(&scene.lab, &scene.b, &settings(ways[0]));
        send_datagrams(&scene.a, "a0", 2);
        let _ = first.wait_observed(2);
        let second = first.kill().start_with(&scene.lab, &settings(ways[1]));
        send_datagrams(&scene.a, "a0", 3);
        let ledger = second.wait_observed(5);
        assert_eq!(ledger.observed.packets, 5, "{ways:?}: {ledger:?}");
        assert_eq!(second.status()["interfaces"][0]["ingress"], ways[1]);
        let _ = second.stop();
        let filters = scene.b.tc(&["filter", "show", "dev", "b0", "ingress"]);
        assert_eq!(filters.trim(), "", "{ways:?}");
    }
}

/// Two with one pin-dir: the second is refused, whatever its run-dir, and disturbs nothing.
#[test]
fn one_exporter_for_a_directory_of_pins() {
    let scene = Scene::new("one");
    let first = Ebpfix::start(&scene.lab, &scene.b, &settings("auto"));
    let config = scene.lab.folder().join("second.toml");
    let text = settings("auto").text(&scene.lab.folder().join("elsewhere"), first.pin_dir());
    fs::write(&config, text).expect("to write a configuration");
    let program = Program::new(binary())
        .args(["run", "--config"])
        .arg(&config);
    let second = scene.lab.run(&scene.b, &program, Duration::from_secs(20));
    assert_eq!(second.code(), Some(1), "{second:?}");
    let expected = format!(
        "ebpfix: {}: another ebpfix has its tables there: stop it, or give this one a daemon.pin-dir and a daemon.run-dir of its own\n",
        first.pin_dir().display()
    );
    assert!(second.stderr.ends_with(&expected), "{second:?}");
    send_datagrams(&scene.a, "a0", 2);
    assert_eq!(first.wait_observed(2).observed.packets, 2);
    let _ = first.stop();
}

/// Others must not be able to put pins where ours are.
#[test]
fn a_directory_of_pins_that_others_may_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new("open");
    let first = Ebpfix::start(&scene.lab, &scene.b, &settings("auto"));
    let mode = |path: &std::path::Path| {
        let found = fs::metadata(path).expect("the pins");
        found.permissions().mode() & 0o7777
    };
    assert_eq!(mode(first.pin_dir()), 0o700);
    send_datagrams(&scene.a, "a0", 2);
    let _ = first.wait_observed(2);
    let left = first.kill();
    let chmod = |bits| {
        let permissions = fs::Permissions::from_mode(bits);
        fs::set_permissions(left.pin_dir(), permissions).expect("to change the mode");
    };
    chmod(0o1777);
    let refused = left.try_start_with(&scene.lab, &settings("auto"));
    assert_eq!(refused.code(), Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("others may write there"),
        "{refused:?}"
    );
    chmod(0o700);
    let second = left.start(&scene.lab);
    assert_eq!(second.wait_observed(2).observed.packets, 2);
    let _ = second.stop();
}

/// A start that fails leaves what it found, and the next one loses nothing by it.
#[test]
fn a_start_that_fails_leaves_what_it_found() {
    let scene = Scene::new("fails");
    let first = Ebpfix::start(&scene.lab, &scene.b, &settings("auto"));
    send_datagrams(&scene.a, "a0", 2);
    let _ = first.wait_observed(2);
    let (left, _) = first.hand_over(&scene.lab);
    let wrong = Settings::new("nosuch0", &["ingress"]).collector(PORT, "ipfix");
    let failed = left.try_start_with(&scene.lab, &wrong);
    assert_eq!(failed.code(), Some(1), "{failed:?}");
    assert!(failed.stderr.contains("ebpfix detach"), "{failed:?}");
    send_datagrams(&scene.a, "a0", 3);
    let second = left.start_with(&scene.lab, &settings("auto"));
    let ledger = second.wait_observed(5);
    assert_eq!(ledger.observed.packets, 5, "{ledger:?}");
    let _ = second.stop();
    assert_eq!(scene.nfcapd.stop().packets, 5);
}
