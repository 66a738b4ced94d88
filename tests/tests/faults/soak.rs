//! Traffic of all kinds that never rests, and one fault after the other, by chance: the ledger is read
//! all along and balances each time, and at the end it has what was sent.
//!
//! `EBPFIX_SOAK_SECONDS` says for how long, `EBPFIX_SOAK_SEED` from which seed: with the same seed come
//! the same faults in the same order.
//!
//! What can be demanded, and is:
//!
//! - Over `b0` nothing ever happens: each packet there is in `observed`. What is sent over the victim,
//!   `b1`, while it is down, renamed, removed or robbed of its program, may be observed or not; all else
//!   is. So `observed` is what was sent, less at most that.
//! - Nothing is lost but by sampling, by the exporter that is killed (`crash`), and by the kernel's log
//!   where the exporter stands still or is away (`log_full`).
//! - The collector that is always there has what was exported, to the packet and the octet; each time
//!   that the exporter is killed, up to half a second of traffic more or less: what was sent to the one
//!   collector and not yet to the other, or not yet noted.
//! - The collector that dies again and again has it but for what was exported while it was dead.

use std::fmt::Write as _;
use std::fs;
use std::io::{IoSlice, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ebpfix_tests::frame::{
    self, DOT1AD, DOT1Q, Frame, IPV4, IPV6, Ipv4, ethernet, ipv6, protocol, tag, udp,
};
use ebpfix_tests::kernel::bpftool;
use ebpfix_tests::{
    Collect, Count, Ebpfix, Injector, Lab, Ledger, Left, Namespace, Nfacctd, Random, Settings,
    VethOptions, traffic, vm, wait_for,
};
use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};
use serde_json::Value;

use crate::{PORT, SOON, number, pause, reload_wrong};

/// Seconds, if nobody says otherwise: enough for each fault once or twice.
const SECONDS: u64 = 60;
const MORTAL_PORT: u16 = 9002;
const MORTAL: &str = "10.77.0.1";
const HOSTS: [(&str, &str); 2] = [("10.0.0.1", "2001:db8:1::1"), ("10.0.0.2", "2001:db8:1::2")];
const VICTIM: &str = "b1";
/// Flows of plain datagrams.
const FLOWS: u64 = 3_000;
const TICK: Duration = Duration::from_millis(20);
/// Until what was handed to the kernel is at the other end of a link.
const ON_ITS_WAY: u64 = 30;

#[test]
fn soak() {
    let mut random = Random::from_environment("EBPFIX_SOAK_SEED", "soak");
    let seconds = std::env::var("EBPFIX_SOAK_SECONDS").map_or(SECONDS, |text| {
        text.parse().expect("a number in EBPFIX_SOAK_SECONDS")
    });
    let attach = random.one_of(&["tcx", "clsact"]);
    let mut lab = Lab::new("soak");
    let (a, b) = (lab.namespace("a"), lab.namespace("b"));
    connect(&lab, &a, &b);
    b.ip(&["address", "add", &format!("{MORTAL}/32"), "dev", "lo"]);
    let steady = Nfacctd::start(&lab, &b, PORT);
    let mortal = Collect::start_on(&lab, &b, MORTAL, MORTAL_PORT, &[]);

    let sent = Sent::default();
    let before = traffic::segments(&a) + traffic::segments(&b);
    let config = Config::new(attach);
    let ebpfix = Ebpfix::start(&lab, &b, &config.settings());
    let mut soak = Soak {
        lab: &lab,
        a: &a,
        b: &b,
        sent: &sent,
        start: Instant::now(),
        random,
        ebpfix: Some(ebpfix),
        config,
        mortal: Some(mortal),
        last: Ledger::default(),
        readings: 0,
        kills: 0,
        handovers: 0,
        victim_unknown: 0,
        mortal_has: Count::default(),
        mortal_missed: 0,
    };
    thread::scope(|scope| {
        // Also where this thread panics: nobody waits for the others for ever.
        let _stop = Stop(&sent.stop);
        scope.spawn(|| sent.frames(&a));
        scope.spawn(|| sent.connections(&a, &b));
        scope.spawn(|| sent.segments(&a, &b));
        scope.spawn(|| sent.victims());
        *sent.gate() = Some(Injector::new(&a, "a1"));
        soak.run(Duration::from_secs(seconds));
    });
    let segments = traffic::segments(&a) + traffic::segments(&b) - before;
    soak.conclude(segments, steady);
}

/// The link over which nothing ever happens, and the victim.
fn connect(lab: &Lab, a: &Namespace, b: &Namespace) {
    let steady = VethOptions {
        mtu: 1500,
        offloads: true,
    };
    lab.veth((a, "a0"), (b, "b0"), steady);
    for (host, interface, mine, other, mac) in [
        (a, "a0", HOSTS[0], HOSTS[1], "02:00:00:00:00:02"),
        (b, "b0", HOSTS[1], HOSTS[0], "02:00:00:00:00:01"),
    ] {
        host.address(interface, &format!("{}/24", mine.0));
        host.address(interface, &format!("{}/64", mine.1));
        for neighbour in [other.0, other.1] {
            host.neighbour(interface, neighbour, mac);
        }
    }
    victim(lab, a, b);
    // Each address makes its host join a group and report that. Let it be over.
    let mut before = b.counters("b0");
    wait_for("the link is quiet", SOON, || {
        pause(300);
        let now = b.counters("b0");
        let quiet = now == before;
        before = now;
        quiet.then_some(())
    });
}

fn victim(lab: &Lab, a: &Namespace, b: &Namespace) {
    lab.veth((a, "a1"), (b, VICTIM), VethOptions::default());
}

/// Ends the traffic.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The traffic, and what there was of it.
#[derive(Default)]
struct Sent {
    stop: AtomicBool,
    /// Frames made by hand over the steady link, and the answers that some of them get.
    packets: AtomicU64,
    octets: AtomicU64,
    /// Datagrams by segmentation offload.
    segmented: AtomicU64,
    /// Over the victim.
    victims: AtomicU64,
    /// Sends over the victim; whoever holds the gate stops that.
    gate: Mutex<Option<Injector>>,
}

impl Sent {
    fn gate(&self) -> MutexGuard<'_, Option<Injector>> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// One of each known frame, tagged ones, an echo request, and datagrams of many flows.
    fn frames(&self, a: &Namespace) {
        let injector = Injector::new(a, "a0");
        let datagram = |port| {
            Ipv4::new([192, 0, 2, 1], [192, 0, 2, 2], protocol::UDP).packet(&udp(port, 9, b"data"))
        };
        let ip_octets = |packet: &Frame| u64::try_from(packet.len()).expect("a length");
        // The frame, the octets of IP in it, and how many packets come of it.
        let mut known: Vec<(Frame, u64, u64)> = vm::frames()
            .into_iter()
            .map(|known| (known.octets, known.ip_octets, 1))
            .collect();
        let plain = datagram(1);
        for octets in [
            ethernet(DOT1Q, &tag(7, IPV4, &plain)),
            ethernet(DOT1AD, &tag(8, DOT1Q, &tag(9, IPV4, &plain))),
        ] {
            known.push((octets, ip_octets(&plain), 1));
        }
        let six = ipv6(
            "2001:db8::1",
            "2001:db8::2",
            protocol::UDP,
            &udp(1, 2, b"six"),
        );
        known.push((ethernet(IPV6, &six), ip_octets(&six), 1));
        let echo = Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2], protocol::ICMP).packet(&echo_request());
        known.push((ethernet(IPV4, &echo), ip_octets(&echo), 2));
        let mut random = Random::new(1);
        while self.goes_on() {
            for (octets, ip, times) in &known {
                injector.send(octets);
                self.packets.fetch_add(*times, Ordering::Relaxed);
                self.octets.fetch_add(ip * times, Ordering::Relaxed);
            }
            for _ in 0..25 {
                let packet = datagram(u16::try_from(random.below(FLOWS)).expect("16 bits"));
                injector.send(&ethernet(IPV4, &packet));
                self.packets.fetch_add(1, Ordering::Relaxed);
                self.octets.fetch_add(ip_octets(&packet), Ordering::Relaxed);
            }
            thread::sleep(TICK);
        }
    }

    /// TCP connections, one after the other, by IPv4 and IPv6 in turn. The hosts count the segments.
    fn connections(&self, a: &Namespace, b: &Namespace) {
        let listeners = [HOSTS[1].0, HOSTS[1].1].map(|address| {
            b.enter(|| TcpListener::bind((address, 7777)))
                .expect("to listen")
        });
        for listener in listeners.iter().cycle() {
            if !self.goes_on() {
                return;
            }
            let address = listener.local_addr().expect("an address");
            let mut sender = a.enter(|| TcpStream::connect(address)).expect("to connect");
            let (mut receiver, _) = listener.accept().expect("a connection");
            for stream in [&sender, &receiver] {
                stream.set_read_timeout(Some(SOON)).expect("a timeout");
            }
            thread::scope(|scope| {
                scope.spawn(|| {
                    let received = std::io::copy(&mut receiver, &mut std::io::sink());
                    assert_eq!(received.expect("to receive"), 100_000);
                });
                sender.write_all(&vec![7; 100_000]).expect("to send");
                sender.shutdown(Shutdown::Write).expect("to end");
            });
            drop(receiver);
            assert_eq!(sender.read(&mut [0]).expect("its end"), 0);
            pause(300);
        }
    }

    /// Datagrams ten at a time, cut by the kernel at the last moment.
    fn segments(&self, a: &Namespace, b: &Namespace) {
        const DATAGRAM: u16 = 1000;
        let receiver = b
            .enter(|| UdpSocket::bind((HOSTS[1].0, 7777)))
            .expect("a receiver");
        let sender = a
            .enter(|| UdpSocket::bind((HOSTS[0].0, 7778)))
            .expect("a sender");
        let address: SockaddrStorage = receiver.local_addr().expect("an address").into();
        let payload = vec![7; 10 * usize::from(DATAGRAM)];
        while self.goes_on() {
            let sent = sendmsg(
                sender.as_raw_fd(),
                &[IoSlice::new(&payload)],
                &[ControlMessage::UdpGsoSegments(&DATAGRAM)],
                MsgFlags::empty(),
                Some(&address),
            );
            assert_eq!(sent, Ok(payload.len()));
            self.segmented.fetch_add(10, Ordering::Relaxed);
            thread::sleep(5 * TICK);
        }
    }

    fn victims(&self) {
        let mut port = 0;
        while self.goes_on() {
            if let Some(injector) = &*self.gate() {
                for _ in 0..10 {
                    port = (port + 1) % 500;
                    let packet = Ipv4::new([198, 51, 100, 1], [198, 51, 100, 2], protocol::UDP)
                        .packet(&udp(port, 9, b"victim"));
                    if injector.try_send(&ethernet(IPV4, &packet)) {
                        self.victims.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            thread::sleep(TICK);
        }
    }
}

fn echo_request() -> Frame {
    let mut message = frame::icmp(8, 0);
    let sum = frame::checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// What changes in the configuration.
#[derive(Clone, Debug)]
struct Config {
    attach: &'static str,
    sampling: u64,
    active: u64,
    idle: u64,
    drain: u64,
    max_flows: u64,
    slots: u64,
    log: u64,
}

impl Config {
    fn new(attach: &'static str) -> Self {
        Self {
            attach,
            sampling: 1,
            active: 1_000,
            idle: 500,
            drain: 200,
            max_flows: 100_000,
            slots: 4096,
            log: 65_536,
        }
    }

    fn settings(&self) -> Settings {
        let time = |milliseconds: u64| format!("\"{milliseconds}ms\"");
        Settings::new("b*", &["ingress", "egress"])
            .observation("attach", &format!("\"{}\"", self.attach))
            .observation("sampling", &self.sampling.to_string())
            .observation("drain-interval", &time(self.drain))
            .observation("cache-slots", &self.slots.to_string())
            .observation("log-records", &self.log.to_string())
            .metering("active-timeout", &time(self.active))
            .metering("idle-timeout", &time(self.idle))
            .metering("max-flows", &self.max_flows.to_string())
            .metering("duplicates", "\"keep\"")
            .collector(PORT, "ipfix")
            .table(&format!(
                "[[collector]]\nname = \"mortal\"\naddress = \"{MORTAL}:{MORTAL_PORT}\"\n\
                 protocol = \"netflow-v9\""
            ))
    }
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Reload,
    ReloadWrong,
    Sampling,
    LinkDown,
    Renamed,
    RenamedAway,
    Recreated,
    Robbed,
    AnotherInterface,
    CollectorKilled,
    RouteLost,
    Killed,
    HandedOver,
    OtherSizes,
    Stopped,
}

const FAULTS: [Fault; 15] = [
    Fault::Reload,
    Fault::ReloadWrong,
    Fault::Sampling,
    Fault::LinkDown,
    Fault::Renamed,
    Fault::RenamedAway,
    Fault::Recreated,
    Fault::Robbed,
    Fault::AnotherInterface,
    Fault::CollectorKilled,
    Fault::RouteLost,
    Fault::Killed,
    Fault::HandedOver,
    Fault::OtherSizes,
    Fault::Stopped,
];

/// What happens to the victim while no exporter runs.
#[derive(Clone, Copy, Debug)]
enum Meanwhile {
    Nothing,
    Recreated,
    Renamed,
    Robbed,
}

struct Soak<'a> {
    lab: &'a Lab,
    a: &'a Namespace,
    b: &'a Namespace,
    sent: &'a Sent,
    start: Instant,
    random: Random,
    ebpfix: Option<Ebpfix>,
    config: Config,
    mortal: Option<Collect>,
    last: Ledger,
    readings: u64,
    kills: u64,
    handovers: u64,
    /// Packets over the victim of which it is not known whether they were observed.
    victim_unknown: u64,
    /// What the collectors that died had received.
    mortal_has: Count,
    /// Packets that were exported while it was dead.
    mortal_missed: u64,
}

impl Soak<'_> {
    fn run(&mut self, time: Duration) {
        let mut deck = Vec::new();
        while self.start.elapsed() < time {
            let rest = 300 + self.random.below(1_000);
            self.watch(Duration::from_millis(rest));
            let fault = deck.pop().unwrap_or_else(|| {
                deck.extend(FAULTS);
                self.random.shuffle(&mut deck);
                deck.pop().expect("a fault")
            });
            self.say(&format!("{fault:?}"));
            self.happen(fault);
        }
        self.say("the end of the traffic");
        // No sampling, so that the end is quick to see.
        let last = Config::new(self.config.attach);
        self.config = Config {
            slots: self.config.slots,
            log: self.config.log,
            ..last
        };
        self.exporter().reload(&self.config.settings());
    }

    /// When, and what: the story of a run that fails.
    fn say(&self, what: &str) {
        eprintln!("{:8.3} s  {what}", self.start.elapsed().as_secs_f64());
    }

    fn exporter(&self) -> &Ebpfix {
        self.ebpfix.as_ref().expect("an exporter")
    }

    /// Reads the ledger again and again.
    fn watch(&mut self, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time {
            self.read();
            pause(150);
        }
    }

    fn read(&mut self) -> Ledger {
        let status = self.exporter().status();
        let ledger = Ledger::from_json(&status["ledger"]);
        ledger.assert_balanced();
        assert_eq!(status["ledger"]["overdrawn"], Value::Null, "{ledger:?}");
        assert_eq!(
            ledger.lost_by("unaccounted"),
            Count::default(),
            "{ledger:?}"
        );
        // What old tables hold is unknown until they are read out.
        if status["kernel"]["taking_over"] == false {
            for (then, now) in [
                (self.last.observed, ledger.observed),
                (self.last.exported, ledger.exported),
            ] {
                assert!(
                    now.packets >= then.packets && now.octets >= then.octets,
                    "{:?} then {ledger:?}",
                    self.last
                );
            }
            self.last = ledger.clone();
        }
        self.readings += 1;
        ledger
    }

    fn happen(&mut self, fault: Fault) {
        match fault {
            Fault::Reload => {
                self.config.active = 300 + self.random.below(2_000);
                self.config.idle = 100 + self.random.below(900);
                self.config.drain = 10 + self.random.below(1_000);
                self.config.max_flows = self.random.one_of(&[16, 1_000, 100_000]);
                self.reload();
            }
            Fault::ReloadWrong => reload_wrong(self.exporter()),
            Fault::Sampling => {
                let others = match self.config.sampling {
                    1 => [2, 10],
                    _ => [1, 3],
                };
                self.config.sampling = self.random.one_of(&others);
                self.reload();
            }
            Fault::LinkDown => {
                let time = 100 + self.random.below(700);
                self.on_the_victim(|soak| {
                    soak.b.ip(&["link", "set", VICTIM, "down"]);
                    soak.watch(Duration::from_millis(time));
                    soak.b.ip(&["link", "set", VICTIM, "up"]);
                });
            }
            Fault::Renamed => self.rename("b9"),
            Fault::RenamedAway => self.rename("other"),
            Fault::Recreated => self.on_the_victim(|soak| {
                soak.a.ip(&["link", "del", "a1"]);
                let gone = |soak: &Self| soak.interface(VICTIM).is_null().then_some(());
                wait_for("the victim is gone", SOON, || gone(soak));
                victim(soak.lab, soak.a, soak.b);
            }),
            Fault::Robbed => {
                let which = self.random.below(3);
                self.on_the_victim(|soak| {
                    let before = number(&soak.interface(VICTIM)["reattached"]);
                    let pins = soak.exporter().pin_dir().to_owned();
                    soak.rob(which, &pins);
                    wait_for("the program is back", SOON, || {
                        let times = soak.interface(VICTIM)["reattached"].as_u64();
                        times.is_some_and(|times| times > before).then_some(())
                    });
                });
            }
            Fault::AnotherInterface => {
                for _ in 0..3 {
                    self.b
                        .ip(&["link", "add", "b5", "type", "veth", "peer", "name", "c5"]);
                    self.b.ip(&["link", "set", "b5", "up"]);
                    self.read();
                    self.b.ip(&["link", "del", "b5"]);
                }
            }
            Fault::CollectorKilled => self.kill_collector(),
            Fault::RouteLost => {
                let address = format!("{MORTAL}/32");
                let time = 300 + self.random.below(1_700);
                self.b.ip(&["address", "del", &address, "dev", "lo"]);
                self.watch(Duration::from_millis(time));
                self.b.ip(&["address", "add", &address, "dev", "lo"]);
            }
            Fault::Killed => self.succeed(true, &self.config.clone()),
            Fault::HandedOver => self.succeed(false, &self.config.clone()),
            Fault::OtherSizes => {
                let other = Config {
                    slots: self.random.one_of(&[16, 256, 2_048, 8_192]),
                    log: self.random.one_of(&[1_024, 16_384, 131_072]),
                    ..self.config.clone()
                };
                let kill = self.random.below(2) == 0;
                self.succeed(kill, &other);
            }
            Fault::Stopped => {
                let time = 500 + self.random.below(1_500);
                self.exporter().process().signal(Signal::SIGSTOP);
                pause(time);
                self.exporter().process().signal(Signal::SIGCONT);
            }
        }
        self.read();
    }

    fn reload(&self) {
        self.say(&format!("  {:?}", self.config));
        self.exporter().reload(&self.config.settings());
    }

    /// Does something to the victim, with or without traffic over it; after that it is as it was, and
    /// observed.
    fn on_the_victim(&mut self, what: impl FnOnce(&mut Self)) {
        let quiet = self.random.below(2) == 0;
        self.say(if quiet {
            "  without traffic there"
        } else {
            "  in its traffic"
        });
        let before = {
            let mut gate = self.sent.gate();
            pause(ON_ITS_WAY);
            if quiet {
                *gate = None;
            }
            self.sent.victims.load(Ordering::Relaxed)
        };
        what(self);
        wait_for("the victim is observed", SOON, || {
            let found = self.interface(VICTIM);
            (found["ingress"].is_string() && found["egress"].is_string()).then_some(())
        });
        let mut gate = self.sent.gate();
        pause(ON_ITS_WAY);
        self.victim_unknown += self.sent.victims.load(Ordering::Relaxed) - before;
        // It may be another device of that name.
        *gate = Some(Injector::new(self.a, "a1"));
    }

    fn rename(&mut self, name: &str) {
        let time = self.random.below(500);
        self.on_the_victim(|soak| {
            soak.b.ip(&["link", "set", VICTIM, "name", name]);
            wait_for("the victim's name is known", SOON, || {
                let observed = name.starts_with('b');
                let found = soak.interface(VICTIM).is_null()
                    && soak.interface(name).is_object() == observed;
                found.then_some(())
            });
            soak.watch(Duration::from_millis(time));
            soak.b.ip(&["link", "set", name, "name", VICTIM]);
        });
    }

    /// Takes programs off the victim.
    fn rob(&self, which: u64, pins: &std::path::Path) {
        let direction = ["ingress", "egress"][usize::from(which == 1)];
        if self.config.attach == "tcx" {
            let index = self.b.if_index(VICTIM);
            let link = pins.join(format!("link_{index}_{direction}"));
            let _ = bpftool(&["link", "detach", "pinned", &link.to_string_lossy()]);
        } else if which == 2 {
            self.b.tc(&["qdisc", "del", "dev", VICTIM, "clsact"]);
        } else {
            self.b.tc(&["filter", "del", "dev", VICTIM, direction]);
        }
    }

    fn kill_collector(&mut self) {
        let before = self.read().exported.packets;
        // What it was sent by then it has printed.
        pause(500);
        let mortal = self.mortal.take().expect("a collector");
        let received = mortal.kill();
        add(&mut self.mortal_has, sum(&received));
        // Long enough for the exporter to notice: it then sends templates again.
        let time = 500 + self.random.below(1_500);
        self.watch(Duration::from_millis(time));
        self.mortal = Some(Collect::start_on(
            self.lab,
            self.b,
            MORTAL,
            MORTAL_PORT,
            &[],
        ));
        pause(500);
        self.mortal_missed += self.read().exported.packets - before;
    }

    /// The exporter ends, and another takes its place.
    fn succeed(&mut self, kill: bool, next: &Config) {
        let meanwhile = self.random.one_of(&[
            Meanwhile::Nothing,
            Meanwhile::Nothing,
            Meanwhile::Recreated,
            Meanwhile::Renamed,
            Meanwhile::Robbed,
        ]);
        let (time, which) = (self.random.below(500), self.random.below(3));
        self.say(&format!(
            "  {next:?}, killed: {kill}, meanwhile: {meanwhile:?}"
        ));
        self.config = next.clone();
        let change = |soak: &mut Self| {
            let ebpfix = soak.ebpfix.take().expect("an exporter");
            let left = if kill {
                soak.kills += 1;
                ebpfix.kill()
            } else {
                soak.handovers += 1;
                ebpfix.hand_over(soak.lab).0
            };
            pause(time);
            soak.meanwhile(meanwhile, which, &left);
            soak.ebpfix = Some(left.start_with(soak.lab, &soak.config.settings()));
            soak.read();
            if matches!(meanwhile, Meanwhile::Renamed) {
                soak.b.ip(&["link", "set", "b9", "name", VICTIM]);
            }
        };
        if matches!(meanwhile, Meanwhile::Nothing) {
            change(self);
        } else {
            self.on_the_victim(change);
        }
        let kernel = self.exporter().wait_taken_over();
        assert_eq!(number(&kernel["crashes"]), self.kills, "{kernel}");
        assert_eq!(number(&kernel["handovers"]), self.handovers, "{kernel}");
    }

    fn meanwhile(&self, what: Meanwhile, which: u64, left: &Left) {
        match what {
            Meanwhile::Nothing => {}
            Meanwhile::Recreated => {
                self.a.ip(&["link", "del", "a1"]);
                victim(self.lab, self.a, self.b);
            }
            Meanwhile::Renamed => {
                self.b.ip(&["link", "set", VICTIM, "name", "b9"]);
            }
            Meanwhile::Robbed => self.rob(which, left.pin_dir()),
        }
    }

    /// What `status` says of an interface; null where it is not observed.
    fn interface(&self, name: &str) -> Value {
        let status = self.exporter().status();
        let found = status["interfaces"]
            .as_array()
            .and_then(|all| all.iter().find(|interface| interface["name"] == name));
        found.cloned().unwrap_or(Value::Null)
    }

    /// The traffic is over, and `segments` of TCP were sent.
    fn conclude(mut self, segments: u64, steady: Nfacctd) {
        let victims = self.sent.victims.load(Ordering::Relaxed);
        let sent = self.sent.packets.load(Ordering::Relaxed)
            + self.sent.segmented.load(Ordering::Relaxed)
            + segments
            + victims;
        let least = sent - self.victim_unknown;
        let _ = self.exporter().wait_settled(least);
        // Nothing comes any more, and what came is exported.
        pause(1_000);
        let ledger = self.exporter().wait_settled(least);
        self.read();
        let mut story = format!(
            "{} readings balanced, {} kills, {} handovers; {sent} packets sent, {} of them unknown\n",
            self.readings, self.kills, self.handovers, self.victim_unknown
        );
        let _ = write!(story, "{ledger:?}");
        eprintln!("{story}");
        assert!((least..=sent).contains(&ledger.observed.packets), "{story}");
        for (reason, _) in &ledger.lost {
            let expected = match reason.as_str() {
                "crash" => self.kills > 0,
                "not_sampled" | "log_full" => true,
                _ => false,
            };
            assert!(expected, "lost by {reason}: {story}");
        }
        let finished = self.ebpfix.take().expect("an exporter").stop();
        let ended = finished
            .stderr
            .lines()
            .find(|line| line.contains("balanced="));
        let ended = ended.unwrap_or_default();
        assert!(
            ended.contains("held=0") && ended.contains("balanced=true"),
            "{ended}"
        );

        let seconds = self.start.elapsed().as_secs().max(1);
        let allowed = self.kills * sent / seconds / 2;
        steady.finish();
        let steady = steady_sum(&steady.stop());
        let apart = steady.packets.abs_diff(ledger.exported.packets);
        eprintln!("the steady collector has {steady:?}, {apart} apart, {allowed} allowed");
        assert!(apart <= allowed, "{steady:?}: {story}");
        if self.kills == 0 {
            assert_eq!(steady, ledger.exported, "{story}");
        }
        let (received, _) = self.mortal.take().expect("a collector").stop();
        add(&mut self.mortal_has, sum(&received));
        let missed = ledger
            .exported
            .packets
            .saturating_sub(self.mortal_has.packets);
        let surplus = self
            .mortal_has
            .packets
            .saturating_sub(ledger.exported.packets);
        eprintln!(
            "the mortal collector misses {missed} packets, of {} that were exported meanwhile",
            self.mortal_missed
        );
        assert!(missed <= self.mortal_missed + allowed, "{story}");
        assert!(surplus <= allowed, "{:?}: {story}", self.mortal_has);
    }
}

fn sum(flows: &[Value]) -> Count {
    let mut sum = Count::default();
    for flow in flows {
        add(
            &mut sum,
            Count {
                packets: number(&flow["packets"]),
                octets: number(&flow["bytes"]),
            },
        );
    }
    sum
}

fn steady_sum(file: &std::path::Path) -> Count {
    let text = fs::read_to_string(file).expect("nfacctd's file");
    let lines = text.lines();
    let flows: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect();
    sum(&flows)
}

fn add(sum: &mut Count, more: Count) {
    sum.packets += more.packets;
    sum.octets += more.octets;
}
