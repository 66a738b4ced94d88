//! Collectors that are not there, refuse, are slow, come and go, or move: what they were sent, what
//! waits and what is lost adds up at every look, the other collector gets everything meanwhile, and
//! once all is well again records and templates flow without a restart.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use ebpfix_tests::collector::{Datagram, NfcapdResult};
use ebpfix_tests::frame::{IPV4, Ipv4, ethernet, protocol, udp};
use ebpfix_tests::inject::Order;
use ebpfix_tests::{
    Ebpfix, Flood, Injector, Lab, Ledger, Namespace, Nfcapd, Recorder, Settings, VethOptions,
    alone, wait_for,
};
use ipfix::{Decoder, DecoderLimits, Sequence, elements as e};
use nix::sys::socket::sockopt::RcvBuf;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket,
};
use serde_json::Value;

/// Where the collector is that things happen to.
const FAR: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 2);
const FAR_PORT: u16 = 9001;
/// That of the collector on the router itself, to which nothing happens.
const NEAR_PORT: u16 = 9002;
/// IP octets of each packet.
const OCTETS: u64 = 32;
const SOON: Duration = Duration::from_secs(20);
/// Some twenty messages a second.
const SLOW: [&str; 4] = ["rate", "250kbit", "burst", "3kb"];
const FAST: [&str; 4] = ["rate", "2gbit", "burst", "1mb"];

/// A router with traffic on one side, and a collector beyond the other.
struct Setup {
    lab: Lab,
    traffic: Namespace,
    router: Namespace,
    far: Namespace,
    injector: Injector,
    near: Nfcapd,
}

impl Setup {
    fn new(name: &str) -> Self {
        let (mut lab, traffic, router) = Lab::pair(name);
        let far = lab.namespace("far");
        let ethernet = VethOptions {
            mtu: 1500,
            offloads: false,
        };
        lab.veth((&router, "r1"), (&far, "c0"), ethernet);
        router.address("r1", "10.7.0.1/24");
        // Neighbours that do not answer are given up after a third of a second.
        for key in ["retrans_time_ms", "delay_first_probe_time"] {
            let _ = router.try_sysctl(&format!("net/ipv4/neigh/r1/{key}"), "100");
        }
        Self {
            injector: Injector::new(&traffic, "a0"),
            near: Nfcapd::start(&lab, &router, NEAR_PORT),
            lab,
            traffic,
            router,
            far,
        }
    }

    /// Flows last a moment; `far` is the collector that things happen to, and its further keys.
    fn settings(far: &str, more: &str) -> Settings {
        Settings::new("b0", &["ingress"])
            .observation("drain-interval", "\"10ms\"")
            .metering("active-timeout", "\"100ms\"")
            .metering("idle-timeout", "\"100ms\"")
            .table(&format!(
                "[[collector]]\nname = \"far\"\naddress = \"{far}:{FAR_PORT}\"\n{more}"
            ))
            .collector(NEAR_PORT, "ipfix")
    }

    fn start(self, settings: &Settings) -> Running {
        Running {
            ebpfix: Ebpfix::start(&self.lab, &self.router, settings),
            setup: self,
            sent: 0,
        }
    }

    fn far_has_address(&self) {
        self.far.address("c0", "10.7.0.2/24");
    }

    /// How fast the way to the far collector is, and how long its queue.
    fn slow(&self, verb: &str, rate: [&str; 4], limit: &str) {
        let qdisc = ["qdisc", verb, "dev", "r1", "root", "tbf"];
        let all = [&qdisc[..], &rate, &["limit", limit]].concat();
        self.router.tc(&all);
    }

    fn far_listens(&self) -> Recorder {
        Recorder::start_on(&self.far, FAR, FAR_PORT)
    }
}

struct Running {
    setup: Setup,
    ebpfix: Ebpfix,
    /// Packets sent so far.
    sent: u64,
}

/// A collector's account in `status`.
#[derive(Debug)]
struct Account(Value);

impl Account {
    fn number(&self, path: &[&str]) -> u64 {
        let found = path.iter().fold(&self.0, |value, name| &value[name]);
        found.as_u64().unwrap_or_else(|| panic!("no {path:?}"))
    }

    fn packets(&self, what: &str) -> u64 {
        self.number(&[what, "packets"])
    }

    #[track_caller]
    fn assert_balanced(&self) {
        for unit in ["packets", "octets"] {
            let of = |what| self.number(&[what, unit]);
            let sum = of("exported") + of("held") + of("lost");
            assert_eq!(of("offered"), sum, "{unit}: {self:?}");
        }
        let records = |what| self.number(&[what]);
        let sum = records("records") + records("held_records") + records("lost_records");
        assert_eq!(records("offered_records"), sum, "{self:?}");
    }

    fn last_error(&self) -> &str {
        self.0["last_error"].as_str().unwrap_or_default()
    }
}

impl Running {
    /// Sends a packet of each of so many flows. All packets of a round have its number as destination
    /// port.
    fn send(&mut self, round: u16, flows: u16) {
        for port in 0..flows {
            let datagram = Ipv4::new([192, 0, 2, 1], [192, 0, 2, 2], protocol::UDP)
                .packet(&udp(port, round, b"data"));
            self.setup.injector.send(&ethernet(IPV4, &datagram));
        }
        self.sent += u64::from(flows);
        self.ebpfix.wait_observed(self.sent);
    }

    /// One reading of everything, after checking that it adds up.
    #[track_caller]
    fn look(&self) -> (Ledger, Account) {
        let mut status = self.ebpfix.status();
        let ledger = Ledger::from_json(&status["ledger"]);
        ledger.assert_balanced();
        let [far, near] = ["far", "c9002"].map(|name| {
            let all = status["collectors"].as_array_mut().expect("collectors");
            let found = all.iter_mut().find(|one| one["name"] == name);
            Account(found.expect("the collector").take())
        });
        far.assert_balanced();
        near.assert_balanced();
        assert_eq!(near.packets("lost"), 0, "{near:?}");
        (ledger, far)
    }

    /// Looks until the far collector's account is as wanted.
    fn wait_far(&self, what: &str, wanted: impl Fn(&Account) -> bool) -> Account {
        let mut last = None;
        let deadline = Instant::now() + ebpfix_tests::patience(SOON);
        while Instant::now() < deadline {
            let (_, far) = self.look();
            if wanted(&far) {
                return far;
            }
            last = Some(far);
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("waited in vain: {what}: {last:?}");
    }

    /// Waits until all that was sent has been exported to somebody: the near collector is not
    /// disturbed by what happens to the far one.
    fn wait_exported(&self) -> Account {
        let mut last = None;
        let deadline = Instant::now() + ebpfix_tests::patience(SOON);
        while Instant::now() < deadline {
            let (ledger, far) = self.look();
            if ledger.exported.packets == self.sent {
                return far;
            }
            last = Some(ledger);
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("not all of {} is exported: {last:?}", self.sent);
    }

    /// Waits until the far collector has been sent all as well.
    fn wait_all_sent(&self) -> Account {
        self.wait_far("the far collector is sent all", |far| {
            far.packets("exported") == self.sent
        })
    }

    /// Ends the exporter; the near collector has to have all of it, in sequence.
    fn finish(self) -> NfcapdResult {
        let (ledger, _) = self.look();
        assert_eq!(ledger.lost_in_all().packets, 0, "{ledger:?}");
        let _ = self.ebpfix.stop();
        let near = self.setup.near.stop();
        assert_eq!((near.packets, near.octets), (self.sent, self.sent * OCTETS));
        assert_eq!((near.sequence_errors, near.bad_packets), (0, 0));
        near
    }
}

/// What was in datagrams, by our decoder.
#[derive(Debug, Default)]
struct Received {
    /// Packets by the round they were sent in.
    rounds: [u64; 8],
    records: u64,
    octets: u64,
    /// Sets whose template was not known.
    unknown: usize,
    /// Data Records that the sequence numbers say are missing.
    missing: u64,
    /// Where the sequence numbers went back.
    back: usize,
    templates: usize,
}

impl Received {
    fn of(datagrams: &[Datagram]) -> Self {
        let mut decoder = Decoder::new(DecoderLimits::default());
        let mut received = Self::default();
        for datagram in datagrams {
            let decoded = decoder.decode(&datagram.from, &datagram.payload);
            let decoded = decoded.expect("a message");
            assert_eq!(decoded.errors(), []);
            received.unknown += decoded.unknown().len();
            received.templates += decoded.templates();
            match decoded.sequence() {
                Sequence::First | Sequence::InOrder => {}
                Sequence::Gap(records) => received.missing += u64::from(records),
                Sequence::Late(_) | Sequence::Restarted => received.back += 1,
            }
            for record in decoded.records() {
                if record.template().is_options() {
                    continue;
                }
                let number = |element| record.value(&element).and_then(|value| value.unsigned());
                let round = number(e::DESTINATION_TRANSPORT_PORT).expect("a port");
                let packets = number(e::PACKET_DELTA_COUNT).expect("packets");
                // A flood has no rounds.
                let round = usize::try_from(round).expect("a port");
                if let Some(round) = received.rounds.get_mut(round) {
                    *round += packets;
                }
                received.octets += number(e::OCTET_DELTA_COUNT).expect("octets");
                received.records += 1;
            }
        }
        received
    }

    fn packets(&self) -> u64 {
        self.rounds.iter().sum()
    }

    /// All was understood from the first message on, and nothing missing.
    #[track_caller]
    fn assert_whole(&self) {
        assert_eq!(
            (self.unknown, self.missing, self.back),
            (0, 0, 0),
            "{self:?}"
        );
        assert_eq!(self.octets, self.packets() * OCTETS, "{self:?}");
    }
}

/// Waits until the recorder has this many packets of the round.
#[track_caller]
fn wait_received(recorder: &Recorder, round: usize, packets: u64) -> Received {
    let mut last = Received::default();
    let deadline = Instant::now() + ebpfix_tests::patience(SOON);
    while Instant::now() < deadline {
        last = Received::of(&recorder.datagrams());
        if last.rounds[round] >= packets {
            return last;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("round {round} does not come: {last:?}");
}

#[test]
fn nobody_at_the_address_and_then_somebody() {
    let setup = Setup::new("absent");
    let mut running = setup.start(&Setup::settings("10.7.0.2", ""));
    running.send(1, 100);
    running.wait_exported();
    let far = running.wait_far("the neighbour is given up", |far| {
        far.number(&["refused"]) > 0
    });
    assert!(far.last_error().contains("No route to host"), "{far:?}");
    // Over UDP that is what being sent means: the kernel took it.
    assert_eq!(far.packets("exported"), 100, "{far:?}");
    running.setup.far_has_address();
    let recorder = running.setup.far_listens();
    running.send(2, 200);
    wait_received(&recorder, 2, 200).assert_whole();
    let far = running.wait_all_sent();
    assert_eq!(far.number(&["errors"]), 0, "{far:?}");
    let _ = running.finish();
}

#[test]
fn one_that_refuses_and_one_that_ends_and_begins_again() {
    let setup = Setup::new("refusing");
    setup.far_has_address();
    let mut running = setup.start(&Setup::settings("10.7.0.2", ""));
    let mut refused = 0;
    for round in [1, 3, 5] {
        // Nobody listens, and the kernel there says so.
        running.send(round, 100);
        running.wait_exported();
        // The first messages tell of it only when another is sent.
        let more = |far: &Account| far.number(&["refused"]) > refused;
        running.send(round, 10);
        let far = running.wait_far("the refusal is heard", more);
        assert!(far.last_error().contains("Connection refused"), "{far:?}");
        refused = far.number(&["refused"]);
        running.wait_all_sent();
        // Who begins now understands the first message that comes.
        let recorder = running.setup.far_listens();
        running.send(round + 1, 150);
        wait_received(&recorder, usize::from(round) + 1, 150).assert_whole();
        running.wait_all_sent();
    }
    let far = running.wait_all_sent();
    assert_eq!(far.number(&["errors"]), 0, "{far:?}");
    let _ = running.finish();
}

/// It has a small buffer and does not read. What it missed is what its sequence numbers say.
#[test]
fn one_that_does_not_read() {
    let setup = Setup::new("deaf");
    setup.far_has_address();
    let socket = setup
        .far
        .enter(|| UdpSocket::bind((FAR, FAR_PORT)))
        .unwrap();
    setsockopt(&socket, RcvBuf, &8192).unwrap();
    let mut running = setup.start(&Setup::settings("10.7.0.2", "max-message-size = 512\n"));
    running.send(1, 1000);
    running.wait_exported();
    running.wait_all_sent();
    let mut datagrams = Vec::new();
    let mut read = |socket: &UdpSocket| {
        let mut buffer = vec![0; 65536];
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            datagrams.push(Datagram {
                time: std::time::SystemTime::now(),
                from,
                payload: buffer[..length].to_vec(),
            });
        }
        Received::of(&datagrams)
    };
    let _ = read(&socket);
    // One message at a time: these are read.
    for _ in 0..3 {
        running.send(2, 1);
        running.wait_all_sent();
        let _ = read(&socket);
    }
    let received = read(&socket);
    let far = running.wait_all_sent();
    assert_eq!(received.rounds[2], 3, "{received:?}");
    assert!(received.missing > 500, "{received:?}");
    assert_eq!(
        received.records + received.missing,
        far.number(&["records"]),
        "{received:?}"
    );
    assert_eq!((received.unknown, received.back), (0, 0), "{received:?}");
    let _ = running.finish();
}

/// The way to it is lost: its route, the interface, or the address that datagrams come from. What was
/// not sent waits, and comes.
#[test]
fn the_way_to_it_is_lost_and_comes_back() {
    let setup = Setup::new("way");
    setup.far_has_address();
    setup.far.address("lo", "10.8.0.2/32");
    let route = ["route", "add", "10.8.0.0/24", "via", "10.7.0.2"];
    setup.router.ip(&route);
    let recorder = Recorder::start_on(&setup.far, Ipv4Addr::new(10, 8, 0, 2), FAR_PORT);
    let mut running = setup.start(&Setup::settings("10.8.0.2", ""));
    running.send(1, 100);
    wait_received(&recorder, 1, 100).assert_whole();
    for (round, lose, find, error) in [
        (2, "route del 10.8.0.0/24", "", "Network is unreachable"),
        (
            3,
            "link set r1 down",
            "link set r1 up",
            "Network is unreachable",
        ),
        (
            4,
            "address del 10.7.0.1/24 dev r1",
            "address add 10.7.0.9/24 dev r1",
            "",
        ),
    ] {
        let words = |text: &'static str| text.split_whitespace().collect::<Vec<_>>();
        let errors = running.look().1.number(&["errors"]);
        running.setup.router.ip(&words(lose));
        running.send(round, 200);
        running.wait_exported();
        let far = running.wait_far("it is tried", |far| far.number(&["errors"]) > errors);
        assert_eq!(far.packets("held"), 200, "{far:?}");
        assert!(far.last_error().contains(error), "{far:?}");
        if !find.is_empty() {
            running.setup.router.ip(&words(find));
        }
        running.setup.router.ip(&route);
        wait_received(&recorder, usize::from(round), 200).assert_whole();
        running.wait_all_sent();
    }
    let received = Received::of(&recorder.datagrams());
    assert_eq!(received.packets(), running.sent, "{received:?}");
    received.assert_whole();
    let _ = running.finish();
}

/// The socket's buffer has no room: what it does not take waits.
#[test]
fn a_way_that_is_slower_than_the_records_come() {
    let _alone = alone();
    let setup = Setup::new("slow");
    setup.far_has_address();
    // More than any socket's buffer.
    setup.slow("add", SLOW, "40mb");
    let recorder = setup.far_listens();
    // Many small messages: the buffer is full soon.
    let settings = Setup::settings("10.7.0.2", "max-message-size = 512\n");
    let mut running = setup.start(&settings);
    let flood = Flood {
        packets: 50_000,
        flows: 50_000,
        order: Order::RoundRobin,
        threads: 1,
    };
    let sent = flood.send(&running.setup.traffic, "a0");
    running.sent = sent.packets;
    // The other one has it all long before.
    let far = running.wait_exported();
    assert!(far.packets("held") > 5_000, "{far:?}");
    assert_eq!(far.number(&["errors"]), 0, "{far:?}");
    running.setup.slow("change", FAST, "40mb");
    running.wait_all_sent();
    wait_for("the device's queue is empty", SOON, || {
        let queue = running
            .setup
            .router
            .tc(&["-s", "qdisc", "show", "dev", "r1"]);
        queue.contains("backlog 0b 0p").then_some(())
    });
    // The recorder may be behind.
    let received = wait_for("all is recorded", SOON, || {
        let received = Received::of(&recorder.datagrams());
        (received.records >= sent.packets).then_some(received)
    });
    // Two CPUs that take turns at the queue change the order of what is in it: each comes, once.
    assert_eq!(
        (received.unknown, received.records, received.octets),
        (0, sent.packets, sent.octets)
    );
    let (ledger, _) = running.look();
    assert_eq!(ledger.lost_in_all().packets, 0, "{ledger:?}");
}

/// The device's queue is full, which without a word throws away what is too much (ip(7)): that was
/// not sent, and waits.
#[test]
fn a_way_whose_queue_is_full() {
    let setup = Setup::new("full");
    setup.far_has_address();
    setup.slow("add", SLOW, "4kb");
    let recorder = setup.far_listens();
    let mut running = setup.start(&Setup::settings("10.7.0.2", ""));
    running.send(1, 3000);
    let far = running.wait_exported();
    assert!(far.packets("held") > 1500, "{far:?}");
    assert!(far.number(&["errors"]) > 0, "{far:?}");
    assert!(
        far.last_error().contains("No buffer space available"),
        "{far:?}"
    );
    running.setup.slow("change", FAST, "1mb");
    running.wait_all_sent();
    wait_received(&recorder, 1, 3000).assert_whole();
    running.send(2, 100);
    wait_received(&recorder, 2, 100).assert_whole();
    let _ = running.finish();
}

/// More records than a queue holds, towards a collector that cannot be reached: what is too much is
/// lost to it alone.
#[test]
fn a_queue_that_runs_over() {
    const QUEUE: u64 = 262_144;
    let _alone = alone();
    let setup = Setup::new("overflow");
    setup.far_has_address();
    let far_collector = Nfcapd::start_on(&setup.lab, &setup.far, "10.7.0.2", FAR_PORT);
    setup.router.ip(&["link", "set", "r1", "down"]);
    let mut running = setup.start(&Setup::settings("10.7.0.2", ""));
    let flood = Flood {
        packets: 300_000,
        flows: 300_000,
        order: Order::RoundRobin,
        threads: 1,
    };
    let sent = flood.send(&running.setup.traffic, "a0");
    running.sent = sent.packets;
    running.wait_exported();
    let (ledger, far) = running.look();
    assert_eq!(ledger.lost_in_all().packets, 0, "{ledger:?}");
    assert_eq!(far.packets("lost") + far.packets("held"), sent.packets);
    assert!(far.number(&["held_records"]) <= QUEUE, "{far:?}");
    assert!(far.packets("lost") > 0, "{far:?}");
    running.setup.router.ip(&["link", "set", "r1", "up"]);
    let far = running.wait_far("the rest is sent", |far| far.packets("held") == 0);
    let _ = running.ebpfix.stop();
    let exported = far.packets("exported");
    let far = far_collector.stop();
    assert_eq!(
        (far.packets, far.sequence_errors),
        (exported, 0),
        "{}",
        far.log
    );
    let near = running.setup.near.stop();
    assert_eq!((near.packets, near.octets), (sent.packets, sent.octets));
}

/// The second of two gets what the first refuses, until that is well again.
#[test]
fn one_that_stands_in_for_another() {
    const STAND_IN: u16 = 9003;
    let setup = Setup::new("failover");
    setup.far_has_address();
    let stand_in = Recorder::start(&setup.router, STAND_IN);
    let pair = "failover = \"pair\"\n";
    // The one that is named first is the first.
    let second = format!("[[collector]]\naddress = \"127.0.0.1:{STAND_IN}\"\n{pair}");
    let settings = Setup::settings("10.7.0.2", pair).table(&second);
    let first = setup.far_listens();
    let mut running = setup.start(&settings);
    running.send(1, 100);
    wait_received(&first, 1, 100).assert_whole();
    drop(first);
    running.send(2, 100);
    running.wait_exported();
    running.wait_far("it is heard to refuse", |far| far.0["well"] == false);
    running.send(3, 100);
    let second = wait_received(&stand_in, 3, 100);
    second.assert_whole();
    assert_eq!((second.rounds[1], second.rounds[3]), (0, 100), "{second:?}");
    let first = running.setup.far_listens();
    running.wait_far("it is well again", |far| far.0["well"] == true);
    running.send(4, 100);
    let again = wait_received(&first, 4, 100);
    again.assert_whole();
    assert_eq!((again.rounds[3], again.rounds[4]), (0, 100), "{again:?}");
    running.wait_exported();
    let second = Received::of(&stand_in.datagrams());
    assert_eq!((second.rounds[3], second.rounds[4]), (100, 0), "{second:?}");
    let _ = running.finish();
}

/// The interface, and what the datagrams' headers say, are as configured.
#[test]
fn by_another_interface_and_with_a_mark() {
    const IP: usize = 14;
    let setup = Setup::new("mark");
    setup.far_has_address();
    // A second way, which the routing does not prefer.
    let ethernet = VethOptions {
        mtu: 1500,
        offloads: false,
    };
    setup
        .lab
        .veth((&setup.router, "r2"), (&setup.far, "c2"), ethernet);
    setup.router.address("r2", "10.9.0.1/24");
    setup.far.address("c2", "10.9.0.2/24");
    let route = ["10.7.0.0/24", "dev", "r2", "metric", "1000"];
    setup.router.ip(&[&["route", "add"][..], &route].concat());
    let frames = setup.far.enter(|| {
        let all = Some(SockProtocol::EthAll);
        socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_NONBLOCK,
            all,
        )
    });
    let frames = frames.expect("a packet socket");
    let recorder = setup.far_listens();
    let keys = "source-interface = \"r2\"\ndscp = 16\nttl = 9\n";
    let before = setup.router.counters("r1").tx_packets;
    let mut running = setup.start(&Setup::settings("10.7.0.2", keys));
    running.send(1, 100);
    wait_received(&recorder, 1, 100).assert_whole();
    let far = running.wait_all_sent();
    let source = far.0["source"].as_str().unwrap_or_default();
    assert!(source.starts_with("10.9.0.1:"), "{far:?}");
    assert_eq!(running.setup.router.counters("r1").tx_packets, before);
    let mut frame = vec![0; 65536];
    let mut messages = 0;
    while let Ok(length) = recv(frames.as_raw_fd(), &mut frame, MsgFlags::empty()) {
        let port = FAR_PORT.to_be_bytes();
        let Some(packet) = frame[..length]
            .get(IP..)
            .filter(|p| p.get(22..24) == Some(&port))
        else {
            continue;
        };
        assert_eq!((packet[1], packet[8]), (16 << 2, 9), "{packet:?}");
        messages += 1;
    }
    assert!(messages >= recorder.datagrams().len());
    let _ = running.finish();
}

/// Its name has another address by and by, without any failure. The resolver then fails, then does
/// not answer.
#[test]
fn a_name_that_gets_another_address() {
    const SECOND: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 3);
    let setup = Setup::new("name");
    setup.far_has_address();
    setup.far.address("c0", "10.7.0.3/24");
    let etc = setup.lab.folder().join("etc");
    fs::create_dir(&etc).unwrap();
    let hosts = |text: &str| fs::write(etc.join("hosts"), text).unwrap();
    fs::write(etc.join("nsswitch.conf"), "hosts: files dns\n").unwrap();
    fs::write(etc.join("resolv.conf"), "nameserver 127.0.0.53\n").unwrap();
    hosts("10.7.0.2 collector.test\n");
    let first = setup.far_listens();
    let second = Recorder::start_on(&setup.far, SECOND, FAR_PORT);
    let settings = Setup::settings("collector.test", "resolve-interval = \"1s\"\n");
    let mut running = setup.start(&settings.etc(&etc));
    let peer = |far: &Account| far.0["peer"].as_str().unwrap_or_default().to_owned();
    running.send(1, 100);
    let far = running.wait_all_sent();
    assert_eq!(peer(&far), "10.7.0.2:9001");
    let source = far.0["source"].clone();

    // One more address, before the one in use: that is no reason to move.
    hosts("10.7.0.3 collector.test\n10.7.0.2 collector.test\n");
    std::thread::sleep(Duration::from_millis(2200));
    running.send(2, 100);
    assert_eq!(peer(&running.wait_all_sent()), "10.7.0.2:9001");

    hosts("10.7.0.3 collector.test\n");
    let far = running.wait_far("it moves", |far| peer(far) == "10.7.0.3:9001");
    assert_eq!(far.0["source"], source, "the port stays");
    running.send(3, 100);
    running.wait_all_sent();
    let at_first = wait_received(&first, 2, 100);
    assert_eq!(at_first.rounds[1..4], [100, 100, 0]);
    // Understood from the first message on, and in sequence with what went to the other.
    let at_second = wait_received(&second, 3, 100);
    assert_eq!(at_second.rounds[1..4], [0, 0, 100]);
    at_second.assert_whole();
    let all = [first.datagrams(), second.datagrams()].concat();
    Received::of(&all).assert_whole();

    // No such name, and nobody at the name server's port; then somebody who says nothing.
    hosts("");
    std::thread::sleep(Duration::from_millis(1500));
    running.send(4, 100);
    running.wait_all_sent();
    let server = running
        .setup
        .router
        .enter(|| UdpSocket::bind("127.0.0.53:53"));
    let server = server.unwrap();
    server.set_read_timeout(Some(SOON)).unwrap();
    server.recv_from(&mut [0; 512]).expect("a question");
    for round in [5, 6] {
        let began = Instant::now();
        running.send(round, 100);
        running.wait_all_sent();
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
    }
    let received = wait_received(&second, 6, 100);
    received.assert_whole();
    assert_eq!(received.rounds[3..7], [100; 4]);
    let (_, far) = running.look();
    assert_eq!(
        (far.number(&["errors"]), far.packets("lost")),
        (0, 0),
        "{far:?}"
    );
    let _ = running.finish();
}
