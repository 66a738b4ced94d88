//! What a reload applies while packets come: every key that a running exporter can go over to, one after
//! the other, and at the end every packet is in a record or in a counter.

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use ebpfix_tests::collector::Collect;
use ebpfix_tests::frame::{IPV4, Ipv4, ethernet, protocol, udp};
use ebpfix_tests::process::{Finished, Program};
use ebpfix_tests::{Count, Ebpfix, Injector, Lab, Namespace, Nfcapd, Settings, wait_for};
use serde_json::{Value, json};

/// Flows that go on all the while.
const FLOWS: u16 = 300;
/// What no flow but one of a few packets is for.
const RARE_PORT: u16 = 7777;
/// An ethertype that is not IP, for experiments (RFC 5342).
const NOT_IP: u16 = 0x88b5;
const PATIENCE: Duration = Duration::from_secs(20);

/// Datagrams of 32 octets of IP, some thousands a second, until it is told to end.
fn traffic(namespace: &Namespace, sent: &AtomicU64, end: &AtomicBool) {
    let injector = Injector::new(namespace, "a0");
    let frames: Vec<_> = (0..FLOWS).map(|port| datagram(1000 + port, 9)).collect();
    for batch in frames.chunks(4).cycle() {
        if end.load(Ordering::Relaxed) {
            return;
        }
        for frame in batch {
            injector.send(frame);
            sent.fetch_add(1, Ordering::Relaxed);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn datagram(source: u16, destination: u16) -> Vec<u8> {
    let ip = Ipv4::new([192, 0, 2, 1], [192, 0, 2, 2], protocol::UDP);
    ethernet(IPV4, &ip.packet(&udp(source, destination, b"data")))
}

/// A configuration that is changed key by key.
#[derive(Clone, Default)]
struct Wanted {
    observation: BTreeMap<&'static str, String>,
    metering: BTreeMap<&'static str, String>,
    collector: String,
    rest: String,
}

impl Wanted {
    fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        for (key, value) in &self.observation {
            settings = settings.observation(key, value);
        }
        for (key, value) in &self.metering {
            settings = settings.metering(key, value);
        }
        settings.table(&self.collector).table(&self.rest)
    }

    fn observe(&mut self, key: &'static str, value: &str) -> Settings {
        self.observation.insert(key, value.to_owned());
        self.settings()
    }

    fn meter(&mut self, key: &'static str, value: &str) -> Settings {
        self.metering.insert(key, value.to_owned());
        self.settings()
    }

    /// To nfcapd at this port, and to the collector that tells the exporter's address too.
    fn collectors(&mut self, port: u16, more: &str) -> Settings {
        self.collector = format!(
            "[[collector]]\naddress = \"127.0.0.1:{port}\"\n\
             [[collector]]\naddress = \"127.0.0.1:9003\"\n{more}\n\
             elements = [\"sourceIPv4Address\", \"destinationIPv4Address\", \
             \"destinationTransportPort\", \"packetDeltaCount\", \"octetDeltaCount\", \
             \"flowEndReason\", \"exporterIPv4Address\", \"ethernetType\"]\n"
        );
        self.settings()
    }
}

fn command(lab: &Lab, namespace: &Namespace, ebpfix: &Ebpfix, name: &str) -> Finished {
    let program = Program::new(ebpfix_tests::ebpfix::binary())
        .args([name, "--config"])
        .arg(ebpfix.config());
    lab.run(namespace, &program, PATIENCE)
}

fn not_sampled(ebpfix: &Ebpfix) -> u64 {
    ebpfix.ledger().lost_by("not_sampled").packets
}

fn flow_with(collect: &Collect, key: &str, value: &Value) -> Option<()> {
    let flows = collect.flows();
    flows.iter().any(|flow| flow[key] == *value).then_some(())
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one key after the other, of one exporter"
)]
fn every_key_that_can_be_applied_is_applied_in_traffic_and_nothing_is_lost() {
    let (lab, a, b) = Lab::pair("reload keys");
    let nfcapds = [9001, 9002].map(|port| Nfcapd::start(&lab, &b, port));
    let collect = Collect::start_with(&lab, &b, 9003, &["--show-templates"]);
    let mut wanted = Wanted::default();
    let _ = wanted.observe("interfaces", "[\"b0\"]");
    let _ = wanted.observe("directions", "[\"ingress\"]");
    // So rarely that nothing happens before it is told otherwise.
    let _ = wanted.observe("drain-interval", "\"1m\"");
    let _ = wanted.meter("active-timeout", "\"1h\"");
    let _ = wanted.meter("idle-timeout", "\"1h\"");
    let ebpfix = Ebpfix::start(&lab, &b, &wanted.collectors(9001, ""));
    let (sent, end) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let _ = scope.spawn(|| traffic(&a, &sent, &end));
        // However the rest ends, the traffic does.
        let _ending = Ending(&end);
        let injector = Injector::new(&a, "a0");
        let inject = |frame: &[u8]| {
            injector.send(frame);
            sent.fetch_add(1, Ordering::Relaxed);
        };
        let status = |pointer: &str| {
            ebpfix
                .status()
                .pointer(pointer)
                .cloned()
                .unwrap_or_default()
        };
        let number = |pointer: &str| status(pointer).as_u64().unwrap_or_default();

        ebpfix.reload(&wanted.observe("drain-interval", "\"100ms\""));
        wait_for("the kernel is read more often", PATIENCE, || {
            (number("/kernel/turns") > 5).then_some(())
        });
        assert_eq!(ebpfix.ledger().exported, Count::default());
        ebpfix.reload(&wanted.meter("active-timeout", "\"500ms\""));
        wait_for("active flows are exported", PATIENCE, || {
            (ebpfix.ledger().exported.packets > 0).then_some(())
        });
        ebpfix.reload(&wanted.meter("active-timeout", "\"1h\""));
        inject(&datagram(1, RARE_PORT));
        ebpfix.reload(&wanted.meter("idle-timeout", "\"2s\""));
        wait_for("a flow that is idle is exported", PATIENCE, || {
            flow_with(&collect, "dport", &json!(RARE_PORT))
        });

        ebpfix.reload(&wanted.observe("sampling", "3"));
        wait_for("packets are passed over", PATIENCE, || {
            (not_sampled(&ebpfix) > 0).then_some(())
        });
        ebpfix.reload(&wanted.observe("sampling", "1"));
        let before = (not_sampled(&ebpfix), ebpfix.ledger().observed.packets);
        let _ = ebpfix.wait_observed(before.1 + 300);
        assert_eq!(not_sampled(&ebpfix), before.0);

        ebpfix.reload(&wanted.observe("directions", "[\"ingress\", \"egress\"]"));
        assert_eq!(status("/interfaces/0/egress"), "tcx");
        ebpfix.reload(&wanted.observe("directions", "[\"ingress\"]"));
        assert_eq!(status("/interfaces/0/egress"), Value::Null);
        assert_eq!(status("/interfaces/0/ingress"), "tcx");
        ebpfix.reload(&wanted.observe("interfaces", "[\"*\", \"!lo\"]"));
        assert_eq!(status("/interfaces/0/name"), "b0");

        for timestamps in ["\"fine\"", "\"tick\""] {
            ebpfix.reload(&wanted.observe("timestamps", timestamps));
        }
        for duplicates in ["\"drop\"", "\"keep\""] {
            ebpfix.reload(&wanted.meter("duplicates", duplicates));
        }

        inject(&ethernet(NOT_IP, &[0; 46]));
        let not_ip = || ebpfix.ledger().lost_by("not_ip").packets;
        wait_for("a frame that is not IP is counted", PATIENCE, || {
            (not_ip() == 1).then_some(())
        });
        ebpfix.reload(&wanted.observe("non-ip", "\"flow\""));
        inject(&ethernet(NOT_IP, &[0; 46]));
        wait_for("a frame that is not IP is a flow", PATIENCE, || {
            flow_with(&collect, "eth_type", &json!(NOT_IP))
        });
        assert_eq!(not_ip(), 1);

        wait_for("the flows are held", PATIENCE, || {
            (number("/meter/flows") >= u64::from(FLOWS)).then_some(())
        });
        ebpfix.reload(&wanted.meter("max-flows", "40"));
        wait_for("the table is small", PATIENCE, || {
            (number("/meter/flows") <= 40).then_some(())
        });
        // RFC 5102: lack of resources.
        wait_for("there is no room for flows", PATIENCE, || {
            flow_with(&collect, "end_reason", &json!(5))
        });
        ebpfix.reload(&wanted.meter("max-flows", "131072"));
        wait_for("the table is large", PATIENCE, || {
            (number("/meter/flows") >= u64::from(FLOWS)).then_some(())
        });

        ebpfix.reload(&wanted.observe("domain-id", "77"));
        ebpfix.reload(&wanted.observe("agent-address", "\"192.0.2.99\""));
        ebpfix.reload(&wanted.meter("active-timeout", "\"500ms\""));
        wait_for("the address is told", PATIENCE, || {
            flow_with(&collect, "agent", &json!("192.0.2.99"))
        });
        ebpfix.reload(&wanted.collectors(9002, "template-interval = \"5s\""));
        assert_eq!(status("/collectors/0/name"), "127.0.0.1:9002");

        let reaches = |port| b.enter(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        for (port, before) in [(9464, None), (9465, Some(9464))] {
            wanted.rest = format!("[metrics]\nlisten = \"127.0.0.1:{port}\"\n");
            ebpfix.reload(&wanted.settings());
            assert!(reaches(port), "{port}");
            assert!(before.is_none_or(|before| !reaches(before)));
        }
        // What cannot be had changes nothing, and says why.
        let taken = b.enter(|| TcpListener::bind(("127.0.0.1", 9466)).expect("to listen"));
        let good = wanted.clone();
        wanted.rest = "[metrics]\nlisten = \"127.0.0.1:9466\"\n".to_owned();
        ebpfix.configure(&wanted.observe("sampling", "9"));
        let refused = command(&lab, &b, &ebpfix, "reload");
        assert_eq!(refused.code(), Some(78), "{refused:?}");
        assert!(
            refused
                .stderr
                .contains("metrics.listen: cannot listen at 127.0.0.1:9466"),
            "{refused:?}"
        );
        assert!(reaches(9465));
        drop(taken);
        wanted = good;

        // A mistake changes nothing either.
        wanted.rest.push_str("[log]\nlevel = \"loud\"\n");
        let mut bad = wanted.clone();
        ebpfix.configure(&bad.observe("samplng", "9"));
        let refused = command(&lab, &b, &ebpfix, "reload");
        assert_eq!(refused.code(), Some(78), "{refused:?}");
        let configuration = status("/configuration");
        let errors = configuration["errors"].as_array().expect("a list");
        assert_eq!(errors.len(), 2, "{configuration}");
        for (error, said) in errors
            .iter()
            .zip(["did you mean \"sampling\"?", "found \"loud\""])
        {
            let error = error.as_str().unwrap_or_default();
            assert!(error.contains(said), "{error}");
            assert!(refused.stderr.contains(error), "{refused:?}");
            assert!(ebpfix.process().stderr().contains(error), "{error}");
        }
        assert!(configuration["tried_ms"].as_u64() > configuration["read_ms"].as_u64());
        let shown = command(&lab, &b, &ebpfix, "status").success().stdout;
        assert!(shown.contains("is wrong"), "{shown}");
        assert_eq!(not_sampled(&ebpfix), before.0);
        wanted.rest = wanted.rest.replace("loud", "debug");
        wanted.rest.push_str("format = \"json\"\n");
        ebpfix.reload(&wanted.settings());
        assert_eq!(status("/configuration/errors"), json!([]));
        assert_eq!(status("/configuration/log_level"), "debug");
        let said = ebpfix.process().stderr();
        let last = said.lines().rfind(|line| line.contains("was read again"));
        let last: Value = serde_json::from_str(last.unwrap_or_default()).expect(&said);
        assert_eq!(last["level"], "INFO", "{last}");

        // What waits for the next start is said, and the rest applies.
        let good = wanted.clone();
        let _ = wanted.observe("attach", "\"clsact\"");
        let _ = wanted.observe("cache-slots", "64");
        let _ = wanted.observe("log-records", "2048");
        let _ = wanted.meter("max-flows", "100000");
        ebpfix.configure(&wanted.settings());
        let later = [
            "observation.attach",
            "observation.cache-slots",
            "observation.log-records",
        ];
        assert_eq!(
            command(&lab, &b, &ebpfix, "reload").success().stdout,
            format!(
                "applied\ntakes effect at the next start only: {}\n",
                later.join(", ")
            )
        );
        assert_eq!(status("/configuration/restart"), json!(later));
        assert_eq!(number("/meter/max_flows"), 100_000);
        wanted = good;
        ebpfix.reload(&wanted.settings());
        assert_eq!(status("/configuration/restart"), json!([]));

        // A file beside it.
        let includes = lab.folder().join("conf.d");
        fs::create_dir(&includes).expect("a folder");
        let include = includes.join("10-sampling.toml");
        fs::write(&include, "[observation]\nsampling = 5\n").expect("a file");
        ebpfix.reload(&wanted.settings());
        let files = status("/configuration/files");
        assert_eq!(files[1], json!(include.display().to_string()), "{files}");
        wait_for("packets are passed over", PATIENCE, || {
            (not_sampled(&ebpfix) > before.0).then_some(())
        });
        fs::remove_file(&include).expect("to remove it");
        ebpfix.reload(&wanted.settings());
    });
    let sent = sent.into_inner();
    let ledger = ebpfix.wait_settled(sent);
    assert_eq!(ledger.observed.packets, sent, "{ledger:?}");
    let reasons: Vec<_> = ledger
        .lost
        .iter()
        .map(|(reason, _)| reason.as_str())
        .collect();
    assert_eq!(reasons, ["not_ip", "not_sampled"], "{ledger:?}");
    let _ = ebpfix.stop();
    let exported = (ledger.exported.packets, ledger.exported.octets);
    let received = nfcapds.map(Nfcapd::stop);
    for result in &received {
        assert!(result.packets > 0, "{}", result.log);
        // Not its sequence errors: it does not count options records, as RFC 7011 section 3.1 has it, and
        // another sampling interval is told by one.
        assert_eq!(result.bad_packets, 0, "{}", result.log);
    }
    let (flows, done) = collect.stop();
    let sum = |key: &str| {
        flows
            .iter()
            .filter_map(|flow| flow[key].as_u64())
            .sum::<u64>()
    };
    assert_eq!((sum("packets"), sum("bytes")), exported);
    // nfcapd has scaled up what was sampled, so that its records are counted.
    let records = received.iter().map(|result| result.flows).sum::<u64>();
    assert_eq!(records, flows.len() as u64);
    assert!(done.stderr.contains("domain 77"), "{}", done.stderr);
    assert!(
        done.stderr.contains("missing by sequence: 0,"),
        "{}",
        done.stderr
    );
}

/// Ends the traffic when it is dropped.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What was given at the start stays, whatever the file says later.
#[test]
fn a_reload_keeps_the_environment_and_the_command_line() {
    let (lab, _a, b) = Lab::pair("overrides");
    let settings = |max_flows: &str| {
        Settings::new("b0", &["ingress"])
            .metering("max-flows", max_flows)
            .table("[log]\nlevel = \"warn\"")
            .collector(9001, "ipfix")
    };
    let ebpfix = Ebpfix::launch_as(&lab, &b, &settings("1000"), |program| {
        program
            .args([
                "--set",
                "metering.max-flows=77",
                "--collector",
                "127.0.0.1:9009,name=more",
            ])
            .variable("EBPFIX_LOG_LEVEL", "debug")
    })
    .ready();
    for max_flows in ["1000", "2000"] {
        ebpfix.configure(&settings(max_flows));
        let reloaded = command(&lab, &b, &ebpfix, "reload").success();
        assert_eq!(reloaded.stdout, "applied\n");
        let status = ebpfix.status();
        assert_eq!(status["meter"]["max_flows"], 77);
        assert_eq!(status["configuration"]["log_level"], "debug");
        let names: Vec<_> = status["collectors"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|collector| collector["name"].clone())
            .collect();
        assert_eq!(names, ["c9001", "more"]);
    }
    let _ = ebpfix.stop();
}
