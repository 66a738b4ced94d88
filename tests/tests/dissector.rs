//! The programs in the kernel beside the same source on the host, on frames of every kind, mutated.
//!
//! `EBPFIX_SEED` repeats a run whose seed a failure has told, `EBPFIX_EXECUTIONS` makes it longer.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use ebpfix::observe::{
    Direction, FetcherOptions, FlowFetcher, Interface, Settlement, boot_clock_ns,
};
use ebpfix_probes::abi::{
    DROP_REASONS, DropReason, ERRNO_EVICTED, FlowId, FlowMetrics, FlowRecord, Tally,
};
use ebpfix_probes::dissect::{Facts, Link, Reason, SliceFrame, dissect};
use ebpfix_tests::process::Program;
use ebpfix_tests::test_run::{Counted, Programs, Run};
use ebpfix_tests::{Lab, Namespace, capture, project_root, runtime, shared};

#[path = "../../probes/tests/frames/mod.rs"]
mod frames;

/// Executions of a program that a test asks for, unless told of another number.
const EXECUTIONS: u64 = 250_000;
/// Octets of the longest frame: a test run takes no more than fit a page.
const LONGEST: usize = 3000;
const ETHERNET: usize = 14;
/// Nanoseconds that the programs' clocks may differ from this process's: they are the kernel's fast ones.
const CLOCKS: u64 = 20_000_000;

/// Every frame, with every program, gives the Flow Key, counts and reasons that the host gives.
#[test]
fn the_kernel_counts_each_frame_as_the_host_does() {
    let executions = from_environment("EBPFIX_EXECUTIONS").unwrap_or(EXECUTIONS);
    let seed = seed();
    let done = in_a_lab(|interface| {
        let mut comparison = Comparison::new(seed, interface, right);
        comparison.run(executions)
    });
    let done = done.unwrap_or_else(|difference| panic!("{difference}"));
    eprintln!("{executions} executions, seed {seed}: {done:?}");
    // All of it has been compared: every verdict, flows that left by the log, frames of several
    // packets, both of what the kernel takes and what it does not.
    let at_least = |count: u64, share: u64| assert!(count > executions / share, "{done:?}");
    at_least(done.flows, 4);
    at_least(done.layer_2_flows, 100);
    at_least(done.evicted, 100);
    at_least(done.segmented, 20);
    at_least(done.tagged, 20);
    for dropped in done.dropped {
        at_least(dropped, 200);
    }
    assert!(done.refused < executions / 10, "{done:?}");
}

/// The comparison finds out a host whose dissector is another one, however slightly.
#[test]
fn a_host_that_differs_is_found_out() {
    const FAULTS: [(&str, Dissect); 4] = [
        ("the accurate ECN flag is no flag", |frame, run| {
            let seen = right(frame, run);
            let facts = Facts {
                flags: seen.facts.flags & 0xff,
                ..seen.facts
            };
            Seen { facts, ..seen }
        }),
        ("the inner VLAN is passed over", |frame, run| {
            let seen = right(frame, run);
            let id = FlowId {
                customer_vlan_id: 0,
                ..seen.id
            };
            Seen { id, ..seen }
        }),
        ("a tag is no tag when it travels beside", |frame, run| {
            right(frame, &Run { tag: None, ..*run })
        }),
        ("super-packets must say their length", |frame, run| {
            right(&frame.segmented(false), run)
        }),
    ];
    for (fault, dissect) in FAULTS {
        let found = in_a_lab(|interface| Comparison::new(seed(), interface, dissect).run(50_000));
        let difference = found.expect_err(fault);
        assert!(difference.contains("kernel"), "{fault}: {difference}");
    }
}

/// Test runs make socket buffers of one piece alone. These come from a packet ring: all that is
/// behind the link header lies in page fragments. First with an Ethernet header, then without.
#[test]
fn the_kernel_reads_page_fragments_as_the_host_does() {
    for ethernet in [true, false] {
        page_fragments(ethernet);
    }
}

// ---- One frame after the other -------------------------------------------------------------------

/// What a dissector says.
#[derive(Clone, Copy)]
struct Seen {
    id: FlowId,
    facts: Facts,
    outcome: Result<(), Reason>,
}

type Dissect = fn(&SliceFrame<'_>, &Run<'_>) -> Seen;

fn right(frame: &SliceFrame<'_>, run: &Run<'_>) -> Seen {
    let link = if run.ethernet {
        Link::Ethernet
    } else {
        Link::None
    };
    let mut id = FlowId::default();
    let mut facts = Facts::default();
    let outcome = dissect(frame, link, run.tag, &mut id, &mut facts);
    Seen { id, facts, outcome }
}

/// What a comparison went through.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    flows: u64,
    layer_2_flows: u64,
    /// By [`Reason`].
    dropped: [u64; 4],
    evicted: u64,
    segmented: u64,
    tagged: u64,
    /// Frames that the kernel makes no socket buffer of.
    refused: u64,
}

struct Comparison {
    programs: Programs,
    generator: Generator,
    interface: u32,
    seed: u64,
    dissect: Dissect,
    layer2_flows: bool,
    done: Done,
}

/// A frame as it was run: what a [`Run`] is of.
#[derive(Clone, Debug)]
struct Attempt {
    octets: Vec<u8>,
    run: Run<'static>,
}

impl Comparison {
    fn new(seed: u64, interface: u32, dissect: Dissect) -> Self {
        Self {
            programs: Programs::load(),
            generator: Generator::new(seed),
            interface,
            seed,
            dissect,
            layer2_flows: false,
            done: Done::default(),
        }
    }

    /// Compares this many executions; gives what was different, in words.
    fn run(&mut self, executions: u64) -> Result<Done, String> {
        let mut executed = 0;
        while executed < executions {
            self.layer2_flows = self.generator.random.one_in(2);
            self.programs.set_layer2_flows(self.layer2_flows);
            self.programs.turn();
            // One frame as a rule; sometimes more than the cache has slots.
            let size = match self.generator.random.below(16) {
                0 => 40,
                1 => 7,
                _ => 1,
            };
            let attempts: Vec<Attempt> = (0..size).map(|_| self.attempt()).collect();
            executed += attempts
                .iter()
                .map(|attempt| u64::from(attempt.run.times))
                .sum::<u64>();
            self.compare(&attempts, true).map_err(|difference| {
                // Which of them it is.
                let alone = attempts.iter().find_map(|attempt| {
                    let attempt = std::slice::from_ref(attempt);
                    self.compare(attempt, false).err()
                });
                let seed = self.seed;
                format!("seed {seed}: {}", alone.unwrap_or(difference))
            })?;
        }
        Ok(self.done)
    }

    fn attempt(&mut self) -> Attempt {
        let random = &mut self.generator.random;
        let ethernet = random.one_in(2);
        let tag = random.one_in(5).then(|| match random.below(4) {
            0 => 0,
            1 => 0xf000,
            _ => random.number(),
        });
        let (segments, segment_octets) = match random.below(8) {
            0 => (0, random.below(1500)),
            1 => (random.below(50), random.below(1500)),
            2 => (random.below(3), 0),
            _ => (0, 0),
        };
        let run = Run {
            frame: &[],
            ethernet,
            direction: if random.one_in(2) {
                Direction::Ingress
            } else {
                Direction::Egress
            },
            if_index: if random.one_in(2) { self.interface } else { 1 },
            tag,
            segments: u16::try_from(segments).expect("a small number"),
            segment_octets: u32::try_from(segment_octets).expect("a small number"),
            times: match tag {
                None if random.one_in(8) => 3,
                _ => 1,
            },
        };
        let octets = self.generator.frame(ethernet);
        Attempt { octets, run }
    }

    fn compare(&mut self, attempts: &[Attempt], first_time: bool) -> Result<(), String> {
        let mut expected = Expected::default();
        let mut done = Done::default();
        let before = boot_clock_ns();
        for attempt in attempts {
            let run = Run {
                frame: &attempt.octets,
                ..attempt.run
            };
            match self.programs.run(&run) {
                Ok(()) => self.expect(&run, &mut expected, &mut done),
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    if !is_too_short(run.frame) {
                        return Err(format!("the kernel does not take {run:02x?}"));
                    }
                    done.refused += 1;
                }
                Err(error) => return Err(format!("the kernel: {error}: {run:02x?}")),
            }
        }
        let counted = self.programs.take();
        let after = boot_clock_ns();
        for record in &counted.records {
            let FlowMetrics {
                start_mono_time_ns: start,
                end_mono_time_ns: end,
                errno,
                ..
            } = record.record.metrics;
            if start + CLOCKS < before || start > end || end > after + CLOCKS {
                return Err(format!("the kernel's time: {before} {record:?} {after}"));
            }
            done.evicted += u64::from(errno == ERRNO_EVICTED);
        }
        let found = Expected::of(&counted);
        if found == expected {
            if first_time {
                self.done.add(&done);
            }
            return Ok(());
        }
        let mut difference = format!("kernel: {found:#?}\nhost: {expected:#?}\n");
        for Attempt { octets, run } in attempts.iter().take(3) {
            let _ = writeln!(difference, "{run:?} of {octets:02x?}");
        }
        Err(difference)
    }

    /// What the kernel must count: as `kernel.rs` says, of what the host's dissector says.
    fn expect(&self, run: &Run<'_>, expected: &mut Expected, done: &mut Done) {
        let length = octets(run.frame.len());
        // A test run never takes the Ethernet header off: where there should be none, the frame is
        // that much longer than what is read of it.
        let (read, link_octets) = if run.ethernet {
            (run.frame, 14)
        } else {
            (&run.frame[ETHERNET..], 0)
        };
        let frame = SliceFrame::new(read)
            .with_wire_length(length)
            .segmented(run.segment_octets != 0);
        let seen = (self.dissect)(&frame, run);
        for _ in 0..run.times {
            expected.add(
                &seen,
                u64::from(length),
                link_octets,
                (run.segments, run.segment_octets),
                self.layer2_flows,
                |id| FlowId {
                    if_index: run.if_index,
                    direction: match run.direction {
                        Direction::Ingress => 0,
                        Direction::Egress => 1,
                    },
                    sampling: 1,
                    ..id
                },
            );
        }
        match seen.outcome {
            Ok(()) => done.flows += 1,
            Err(Reason::NotIp) if self.layer2_flows => done.layer_2_flows += 1,
            Err(reason) => done.dropped[reason as usize] += 1,
        }
        done.segmented += u64::from(run.segment_octets != 0 && seen.outcome.is_ok());
        done.tagged += u64::from(run.tag.is_some() && seen.outcome.is_ok());
    }
}

/// Whether a test run may refuse the frame: nothing behind its Ethernet header, or an IP header that is
/// not whole. (Behind a tag the kernel does not look for one; and a packet ring takes them all.)
fn is_too_short(frame: &[u8]) -> bool {
    let shortest = match frame.get(12..ETHERNET) {
        Some([0x08, 0x00]) => 20,
        Some([0x86, 0xdd]) => 40,
        _ => 1,
    };
    frame.len() < ETHERNET + shortest
}

impl Done {
    fn add(&mut self, other: &Self) {
        self.flows += other.flows;
        self.layer_2_flows += other.layer_2_flows;
        for (sum, number) in self.dropped.iter_mut().zip(other.dropped) {
            *sum += number;
        }
        self.evicted += other.evicted;
        self.segmented += other.segmented;
        self.tagged += other.tagged;
        self.refused += other.refused;
    }
}

/// What is counted of frames, wherever in the tables.
#[derive(Clone, PartialEq, Debug, Default)]
struct Expected {
    /// Without times and errno.
    flows: HashMap<FlowId, FlowMetrics>,
    observed: Tally,
    frames: Tally,
    dropped: [Tally; DROP_REASONS],
}

impl Expected {
    fn of(counted: &Counted) -> Self {
        let mut flows: HashMap<FlowId, FlowMetrics> = HashMap::new();
        for record in &counted.records {
            let FlowRecord { id, metrics } = &record.record;
            flows.entry(*id).or_default().accumulate(metrics);
        }
        Self {
            flows: without_times(flows),
            observed: counted.observed,
            frames: counted.frames,
            dropped: counted.dropped,
        }
    }

    fn add(
        &mut self,
        seen: &Seen,
        frame_octets: u64,
        link_octets: u64,
        (segments, segment_octets): (u16, u32),
        layer2_flows: bool,
        complete: impl FnOnce(FlowId) -> FlowId,
    ) {
        self.frames.add(1, frame_octets);
        let payload_octets = frame_octets.saturating_sub(link_octets);
        let (packets, octets) = match seen.outcome {
            Ok(()) => seen.facts.on_the_wire(segments.into(), segment_octets),
            Err(Reason::NotIp) if layer2_flows => (1, payload_octets),
            Err(reason) => {
                self.observed.add(1, payload_octets);
                self.dropped[drop_reason(reason) as usize].add(1, payload_octets);
                return;
            }
        };
        self.observed.add(packets, octets);
        let Facts {
            flags, tos, ttl, ..
        } = seen.facts;
        let flow = self.flows.entry(complete(seen.id)).or_insert(FlowMetrics {
            tos,
            min_ttl: ttl,
            max_ttl: ttl,
            ..FlowMetrics::default()
        });
        flow.packets += packets;
        flow.bytes += octets;
        flow.flags |= flags;
        flow.min_ttl = flow.min_ttl.min(ttl);
        flow.max_ttl = flow.max_ttl.max(ttl);
    }
}

trait Add {
    fn add(&mut self, packets: u64, octets: u64);
}

impl Add for Tally {
    fn add(&mut self, packets: u64, octets: u64) {
        self.packets += packets;
        self.octets += octets;
    }
}

fn without_times(mut flows: HashMap<FlowId, FlowMetrics>) -> HashMap<FlowId, FlowMetrics> {
    for metrics in flows.values_mut() {
        metrics.start_mono_time_ns = 0;
        metrics.end_mono_time_ns = 0;
        metrics.errno = 0;
    }
    flows
}

fn drop_reason(reason: Reason) -> DropReason {
    match reason {
        Reason::NotIp => DropReason::NotIp,
        Reason::Truncated => DropReason::Truncated,
        Reason::Malformed => DropReason::Malformed,
        Reason::TooDeep => DropReason::TooDeep,
    }
}

/// Runs the closure in a namespace with an interface, whose index it is told.
fn in_a_lab<T: Send>(run: impl FnOnce(u32) -> T + Send) -> T {
    let (_lab, a, _b) = Lab::pair("dissector");
    a.enter(|| run(index_of("a0")))
}

fn index_of(interface: &str) -> u32 {
    nix::net::if_::if_nametoindex(interface).expect("the interface")
}

// ---- Page fragments ------------------------------------------------------------------------------

/// What the programs fetch of a socket buffer whose headers are in page fragments.
const FETCHED: usize = 2048;
const FROM_THE_RING: usize = 6000;

fn page_fragments(ethernet: bool) {
    let (lab, a, _b) = Lab::pair("page-fragments");
    let interface = if ethernet { "a0" } else { "l3" };
    if !ethernet {
        a.ip(&["tuntap", "add", "dev", interface, "mode", "tun"]);
        a.ip(&["link", "set", interface, "mtu", "65535", "up"]);
    }
    let seed = seed();
    let mut generator = Generator::new(seed);
    let frames: Vec<Vec<u8>> = (0..FROM_THE_RING)
        .map(|_| {
            let frame = generator.frame(ethernet);
            frame[if ethernet { 0 } else { ETHERNET }..].to_vec()
        })
        .filter(|frame| frame.len() > if ethernet { ETHERNET } else { 0 })
        .collect();
    let (flows, settlement) = counted_of(&lab, &a, interface, &frames);

    let if_index = a.enter(|| index_of(interface));
    let mut expected = Expected::default();
    for frame in &frames {
        let run = Run {
            frame,
            ethernet,
            direction: Direction::Egress,
            if_index: 0,
            tag: None,
            segments: 0,
            segment_octets: 0,
            times: 1,
        };
        let length = octets(frame.len());
        let fetched = &frame[..frame.len().min(FETCHED)];
        let seen = right(&SliceFrame::new(fetched).with_wire_length(length), &run);
        let link_octets = if ethernet { 14 } else { 0 };
        expected.add(&seen, length.into(), link_octets, (0, 0), false, |id| {
            FlowId {
                if_index,
                direction: 1,
                sampling: 1,
                ..id
            }
        });
    }
    let flows = without_times(flows);
    assert_eq!(settlement.dropped, expected.dropped, "seed {seed}");
    assert_eq!(settlement.observed, expected.observed, "seed {seed}");
    assert_eq!(settlement.unaccounted, Tally::default());
    for (id, metrics) in &expected.flows {
        assert_eq!(flows.get(id), Some(metrics), "seed {seed}: {id:?}");
    }
    assert_eq!(flows.len(), expected.flows.len(), "seed {seed}");
    assert!(flows.len() > FROM_THE_RING / 10);
}

/// Has the programs, attached where the frames leave, count them.
fn counted_of(
    lab: &Lab,
    namespace: &Namespace,
    interface: &str,
    frames: &[Vec<u8>],
) -> (HashMap<FlowId, FlowMetrics>, Settlement) {
    let file = lab.folder().join("frames");
    let mut lines = String::new();
    for frame in frames {
        for octet in frame {
            let _ = write!(lines, "{octet:02x}");
        }
        lines.push('\n');
    }
    fs::write(&file, lines).expect("a file of frames");
    namespace.enter(|| {
        let options = FetcherOptions {
            ingress: false,
            pin_dir: Path::new("/sys/fs/bpf").join(format!(
                "{}-ring",
                lab.folder().file_name().expect("a name").to_string_lossy()
            )),
            ..FetcherOptions::default()
        };
        let runtime = runtime();
        runtime.block_on(async {
            let mut fetcher = FlowFetcher::new(&options).expect("the programs load");
            let device = Interface::find(interface).await.expect("the interface");
            fetcher.register(&device).expect("the programs attach");
            let sender = Program::new("/usr/bin/python3")
                .arg(project_root().join("tests/scripts/tx_ring.py"))
                .arg(interface)
                .arg(&file);
            let sent = lab.run(namespace, &sender, Duration::from_secs(30));
            assert!(sent.status.success(), "{sent:?}");
            let flows = fetcher.lookup_and_delete_map().expect("the flows");
            let settlement = *fetcher.settlement();
            fetcher.close();
            (flows, settlement)
        })
    })
}

// ---- Frames --------------------------------------------------------------------------------------

/// Makes frames: those of the dissector's own tests and those of captures, mutated.
struct Generator {
    random: Random,
    samples: Vec<Sample>,
}

/// A frame with an Ethernet header.
#[derive(Clone)]
struct Sample {
    octets: Vec<u8>,
    /// Where the network header begins, or would begin.
    network: usize,
}

/// Frames taken of each capture, evenly spread.
const OF_A_CAPTURE: usize = 40;

impl Generator {
    fn new(seed: u64) -> Self {
        let built = frames::corpus::corpus().into_iter().map(|case| {
            if case.link == Link::Ethernet {
                return Sample {
                    network: case.network,
                    octets: case.octets,
                };
            }
            let version = case.octets.first().map_or(0, |first| first >> 4);
            let ethertype = if version == 6 { 0x86dd } else { 0x0800 };
            Sample {
                octets: frames::ethernet(ethertype, &case.octets),
                network: ETHERNET,
            }
        });
        let mut samples: Vec<Sample> = built.collect();
        for entry in fs::read_dir(shared("pcaps")).expect("the captures") {
            let frames = capture::read(&entry.expect("a capture").path());
            let step = frames.len().div_ceil(OF_A_CAPTURE).max(1);
            let frames = frames.into_iter().step_by(step);
            samples.extend(frames.map(|frame| Sample {
                octets: frame.with_ethernet().octets,
                network: ETHERNET,
            }));
        }
        Self {
            random: Random(seed),
            samples,
        }
    }

    /// A frame that begins with an Ethernet header; for a device that has none, as a rule, IP is
    /// right behind it.
    fn frame(&mut self, ethernet: bool) -> Vec<u8> {
        let random = &mut self.random;
        let mut sample = random.of(&self.samples).clone();
        if !ethernet && !random.one_in(8) {
            let network = sample.network.min(sample.octets.len());
            sample.octets.drain(ETHERNET.min(network)..network);
            sample.network = ETHERNET;
        }
        for _ in 0..random.few() {
            let other = random.of(&self.samples);
            mutate(&mut sample, other, random);
        }
        sample.octets.truncate(LONGEST);
        if sample.octets.len() < ETHERNET {
            sample.octets.resize(ETHERNET, 0);
        }
        sample.octets
    }
}

/// Numbers of which a field has some more often than by chance.
const PROTOCOLS: [u8; 18] = [
    0, 1, 4, 6, 17, 33, 41, 43, 44, 47, 50, 51, 58, 59, 60, 132, 135, 136,
];
const ETHERTYPES: [u16; 10] = [
    0x0800, 0x86dd, 0x8100, 0x88a8, 0x9100, 0x8847, 0x8848, 0x8864, 0x0806, 0x05ff,
];

/// Changes a frame in one way.
fn mutate(sample: &mut Sample, other: &Sample, random: &mut Random) {
    let Sample { octets, network } = sample;
    let length = octets.len();
    if length < ETHERNET {
        octets.resize(ETHERNET + 20, 0x45);
        return;
    }
    // Somewhere in the headers, where there are any.
    let header = |random: &mut Random, reach: usize| {
        let end = length.min(*network + reach);
        random.below(end.max(1))
    };
    let put = |octets: &mut Vec<u8>, at: usize, value: &[u8]| {
        if let Some(place) = octets.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    };
    let version = octets.get(*network).map_or(0, |first| first >> 4);
    match random.below(16) {
        // One bit or several.
        0 => {
            for _ in 0..=random.below(4) {
                let at = header(random, 60);
                octets[at] ^= 1 << random.below(8);
            }
        }
        1 => {
            let at = header(random, 100);
            octets[at] = random.octet();
        }
        // A number of two octets that is near a length, or at an end.
        2 => {
            let at = header(random, 48);
            let value = match random.below(4) {
                0 => u16::try_from(length.saturating_sub(*network)).unwrap_or(0),
                1 => 0xffff,
                2 => u16::try_from(random.below(80)).expect("a small number"),
                _ => random.number(),
            };
            put(octets, at, &value.to_be_bytes());
        }
        3 => octets.truncate(ETHERNET + random.below(length - ETHERNET + 1)),
        // Cut inside the headers.
        4 => octets.truncate(ETHERNET + random.below(100).min(length - ETHERNET)),
        5 => {
            let more = random.below(100);
            octets.extend((0..more).map(|_| random.octet()));
        }
        // The head of one, the tail of another.
        6 => {
            let (from, to) = (random.below(other.octets.len().max(1)), header(random, 80));
            octets.truncate(to.max(ETHERNET));
            octets.extend(other.octets.get(from..).unwrap_or_default());
        }
        // A tag, a label or a session header.
        7 | 8 => {
            let count = if random.one_in(6) { 9 } else { 1 };
            for _ in 0..count {
                encapsulate(octets, network, random);
            }
        }
        9 => put(octets, 12, &random.of(&ETHERTYPES).to_be_bytes()),
        // Another protocol; fragments; hop limit and class.
        10 => {
            let at = *network + if version == 6 { 6 } else { 9 };
            put(octets, at, &[*random.of(&PROTOCOLS)]);
        }
        11 if version == 4 => {
            let fragment = match random.below(4) {
                0 => 0x2000,
                1 => 0x4000,
                2 => 1,
                _ => random.number(),
            };
            put(octets, *network + 6, &fragment.to_be_bytes());
        }
        12 if version == 4 => {
            let words = random.below(11);
            let at = (*network + 20).min(length);
            octets.splice(at..at, (0..words * 4).map(|_| 1));
            if let Some(first) = octets.get_mut(*network) {
                *first = 0x40 | u8::try_from(5 + words).expect("15 at most");
            }
            add_to_length(octets, *network + 2, words * 4);
        }
        11..=13 if version == 6 => {
            let count = if random.one_in(6) { 9 } else { 1 };
            for _ in 0..count {
                extend(octets, *network, random);
            }
        }
        _ => {
            let at = random.below(length);
            octets[at] = *random.of(&[
                0, 1, 2, 4, 5, 8, 0x0f, 0x10, 0x40, 0x45, 0x60, 0x7f, 0x80, 0xff,
            ]);
        }
    }
}

fn encapsulate(octets: &mut Vec<u8>, network: &mut usize, random: &mut Random) {
    let ethertype = [octets[12], octets[13]];
    let (outer, header) = match random.below(6) {
        0 => (0x8864, {
            let protocol = if ethertype == [0x86, 0xdd] {
                0x57
            } else {
                0x21
            };
            vec![0x11, 0, 0, 1, 0, 0, 0, protocol]
        }),
        1 | 2 => {
            let bottom = u8::from(ethertype[0] != 0x88);
            (
                0x8847,
                vec![0, random.octet(), random.octet() & 0xf0 | bottom, 64],
            )
        }
        which => {
            let [c0, c1] = random.number().to_be_bytes();
            let outer = [0x8100, 0x88a8, 0x9100][which - 3];
            (outer, vec![c0, c1, ethertype[0], ethertype[1]])
        }
    };
    *network += header.len();
    octets.splice(ETHERNET..ETHERNET, header);
    octets[12..14].copy_from_slice(&u16::to_be_bytes(outer));
}

/// Puts an extension header right behind the IPv6 header.
fn extend(octets: &mut Vec<u8>, network: usize, random: &mut Random) {
    let (Some(&next), at) = (octets.get(network + 6), network + 40) else {
        return;
    };
    if octets.len() < at {
        return;
    }
    let kind = *random.of(&[0, 43, 44, 51, 60, 135, 139, 140]);
    let header = match kind {
        44 => {
            let field = if random.one_in(3) { random.number() } else { 1 };
            let [f0, f1] = field.to_be_bytes();
            vec![next, 0, f0, f1, 0, 0, 0, 1]
        }
        51 => {
            let words = 2 + random.below(6);
            let mut header = vec![0; words * 4];
            header[..2].copy_from_slice(&[next, u8::try_from(words - 2).expect("small")]);
            header
        }
        _ => {
            let units = if random.one_in(10) {
                40
            } else {
                random.below(4)
            };
            let mut header = vec![0; 8 + units * 8];
            header[..2].copy_from_slice(&[next, u8::try_from(units).expect("small")]);
            header
        }
    };
    octets[network + 6] = kind;
    let more = header.len();
    octets.splice(at..at, header);
    add_to_length(octets, network + 4, more);
}

fn add_to_length(octets: &mut [u8], at: usize, more: usize) {
    if let Some(&mut [ref mut high, ref mut low]) = octets.get_mut(at..at + 2) {
        let more = u16::try_from(more).expect("a small number");
        [*high, *low] = u16::from_be_bytes([*high, *low])
            .wrapping_add(more)
            .to_be_bytes();
    }
}

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ value >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("64 bits");
        usize::try_from(self.next() % bound).expect("less than the bound")
    }

    fn one_in(&mut self, number: usize) -> bool {
        self.below(number) == 0
    }

    /// 0 rather than 1 rather than 2, and so on.
    fn few(&mut self) -> u32 {
        self.next().trailing_ones().min(6)
    }

    fn number(&mut self) -> u16 {
        u16::try_from(self.next() >> 48).expect("16 bits")
    }

    fn octet(&mut self) -> u8 {
        self.number().to_be_bytes()[0]
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

fn seed() -> u64 {
    from_environment("EBPFIX_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        u64::from(now.expect("after 1970").subsec_nanos())
    })
}

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

fn octets(length: usize) -> u32 {
    u32::try_from(length).expect("a frame")
}
