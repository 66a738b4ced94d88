//! What a packet costs: nanoseconds that the kernel spends in the program, by its own account
//! (`kernel.bpf_stats_enabled`), net of an empty program on the same packets, and what reading and
//! adding up the records takes.
//!
//! Builds are compared in turns: each round runs the empty program, then every build, each on as
//! many packets from the generator in the kernel. As root.
#![allow(clippy::cast_precision_loss, reason = "figures to read")]

use std::path::{Path, PathBuf};
use std::thread;

use clap::{Parser, Subcommand};
use ebpfix::observe::{AttachMode, Direction, embedded_object};
use ebpfix_bench::figures::{least, median, pin_to};
use ebpfix_bench::{
    Account, Blast, BpfStats, Contender, Flows, Frames, Meter, Round, Table, attach_tcx,
    load_empty, load_redirect, serve,
};
use ebpfix_tests::{Lab, Namespace, VethOptions};

/// What a packet costs in the kernel, and its record in the exporter.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// Rows of the table
    #[arg(long, value_delimiter = ',', value_name = "NAME,...", default_values_t = all_rows())]
    rows: Vec<String>,
    /// Packets of each run
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    packets: u32,
    /// Rounds: each runs the empty program and every build once
    #[arg(long, default_value_t = 5, value_name = "N")]
    rounds: u32,
    /// Compare with this object file too, of tables of the same layout (may come several times)
    #[arg(long, value_name = "FILE")]
    object: Vec<PathBuf>,
    /// Compare with another build of this program too, with its own tables and reader (may come
    /// several times)
    #[arg(long, value_name = "PROGRAM")]
    against: Vec<PathBuf>,
    /// Compare with this build under this filter too (may come several times)
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Compare with a BPF hash per CPU too, where the packets are IPv4 without tags, coming in
    #[arg(long)]
    per_cpu_hash: bool,
    /// Write the object that this build embeds to a file, and do nothing else
    #[arg(long, value_name = "FILE")]
    save_object: Option<PathBuf>,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// Be the meter that is measured (started by this program itself)
    #[command(hide = true)]
    Serve {
        #[arg(long)]
        object: Option<PathBuf>,
        #[arg(long)]
        per_cpu_hash: bool,
        #[arg(long)]
        ticks: bool,
        #[arg(long)]
        filter: Option<String>,
    },
}

/// A kind of load.
#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    flows: Flows,
    frames: Frames,
    hook: Hook,
    mode: AttachMode,
    /// Processors that packets come in by at the same time.
    processors: u32,
}

impl Row {
    /// Whether the reference can take part.
    fn suits_reference(&self) -> bool {
        matches!(self.frames, Frames::Ipv4 | Frames::Syn)
            && matches!(self.hook, Hook::Ingress)
            && self.mode == AttachMode::Tcx
    }
}

/// Where the packets are observed.
#[derive(Clone, Copy)]
enum Hook {
    /// Where they come in.
    Ingress,
    /// Where they leave.
    Egress,
    /// Where they come in by a device without link headers.
    IngressL3,
    /// Where they leave by one.
    EgressL3,
}

const fn row(name: &'static str, flows: Flows, frames: Frames) -> Row {
    Row {
        name,
        flows,
        frames,
        hook: Hook::Ingress,
        mode: AttachMode::Tcx,
        processors: 1,
    }
}

const fn by_two(name: &'static str, flows: Flows) -> Row {
    Row {
        processors: 2,
        ..row(name, flows, Frames::Ipv4)
    }
}

const fn hooked(name: &'static str, hook: Hook, mode: AttachMode) -> Row {
    Row {
        hook,
        mode,
        ..row(name, THOUSAND, Frames::Ipv4)
    }
}

const THOUSAND: Flows = Flows::Uniform(1_000);

const ROWS: [Row; 18] = [
    row("1", Flows::Uniform(1), Frames::Ipv4),
    row("1k", THOUSAND, Frames::Ipv4),
    row("16k", Flows::Uniform(16_000), Frames::Ipv4),
    row("256k", Flows::Uniform(256_000), Frames::Ipv4),
    row("1m", Flows::Uniform(1_000_000), Frames::Ipv4),
    row("zipf-256k", Flows::Zipf(18), Frames::Ipv4),
    row("syn", Flows::New, Frames::Syn),
    by_two("1k-by-2", THOUSAND),
    by_two("16k-by-2", Flows::Uniform(16_000)),
    by_two("256k-by-2", Flows::Uniform(256_000)),
    row("ipv6", THOUSAND, Frames::Ipv6),
    row("vlan", THOUSAND, Frames::Vlan),
    row("qinq", THOUSAND, Frames::QinQ),
    hooked("clsact", Hook::Ingress, AttachMode::Clsact),
    hooked("egress", Hook::Egress, AttachMode::Tcx),
    hooked("egress-clsact", Hook::Egress, AttachMode::Clsact),
    hooked("l3", Hook::IngressL3, AttachMode::Tcx),
    hooked("l3-egress", Hook::EgressL3, AttachMode::Tcx),
];

fn all_rows() -> Vec<String> {
    ROWS.iter().map(|row| row.name.to_owned()).collect()
}

fn main() {
    let arguments = Arguments::parse();
    if let Some(Role::Serve {
        object,
        per_cpu_hash,
        ticks,
        filter,
    }) = arguments.role
    {
        serve(&match object {
            Some(object) => Table::Object(object),
            None if per_cpu_hash => Table::PerCpuHash,
            None if ticks => Table::Ticks,
            None => filter.map_or(Table::Embedded, Table::Filtered),
        });
        return;
    }
    if let Some(path) = arguments.save_object {
        std::fs::write(path, embedded_object()).expect("to write the object");
        return;
    }
    let rows: Vec<Row> = arguments.rows.iter().map(|name| find(name)).collect();
    let ticks = Meter {
        table: Table::Ticks,
        ..Meter::default()
    };
    let mut builds = vec![
        ("this build".to_owned(), Meter::default()),
        ("timestamps = \"tick\"".to_owned(), ticks),
    ];
    for object in arguments.object {
        let meter = Meter {
            table: Table::Object(object.clone()),
            ..Meter::default()
        };
        builds.push((name_of(&object), meter));
    }
    for filter in arguments.filter {
        let name = if filter.len() > 40 {
            let beginning: String = filter.chars().take(20).collect();
            format!("{beginning}… of {} characters", filter.len())
        } else {
            filter.clone()
        };
        let meter = Meter {
            table: Table::Filtered(filter),
            ..Meter::default()
        };
        builds.push((name, meter));
    }
    for program in arguments.against {
        let meter = Meter {
            program: Some(program.clone()),
            ..Meter::default()
        };
        builds.push((name_of(&program), meter));
    }
    if arguments.per_cpu_hash {
        let meter = Meter {
            table: Table::PerCpuHash,
            ..Meter::default()
        };
        builds.push(("per-CPU hash".to_owned(), meter));
    }
    let _stats = BpfStats::on().expect("root");
    println!(
        "{} packets a run, {} rounds in turns; least and median; net of an empty program on the \
         same packets; ratio: median of net beside the first build in the same round\n",
        arguments.packets, arguments.rounds
    );
    println!(
        "| row | build | BPF ns/packet | empty | net | net, median | ratio | read ns/packet | merge ns/packet | records/packet | no room |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for row in rows {
        let blast = Blast {
            packets: arguments.packets,
            flows: row.flows,
            frames: row.frames,
        };
        let fits = |(_, meter): &&(String, Meter)| {
            meter.table != Table::PerCpuHash || row.suits_reference()
        };
        let builds: Vec<_> = builds.iter().filter(fits).collect();
        measure(row, blast, arguments.rounds.max(1), &builds);
    }
}

fn find(name: &str) -> Row {
    let row = ROWS.into_iter().find(|row| row.name == name);
    row.unwrap_or_else(|| panic!("no row '{name}': {}", all_rows().join(", ")))
}

fn name_of(path: &Path) -> String {
    path.display().to_string()
}

/// What one build did in one round, and the empty program before it.
#[derive(Clone, Copy)]
struct Reading {
    empty: f64,
    round: Round,
}

impl Reading {
    fn net(&self) -> f64 {
        self.round.account.per_run() - self.empty
    }

    fn by_packet(&self, value: f64) -> f64 {
        value / self.round.observed.max(1) as f64
    }
}

fn measure(row: Row, blast: Blast, rounds: u32, builds: &[&(String, Meter)]) {
    let track = Track::new(row.hook);
    let mut contenders: Vec<Contender> = builds
        .iter()
        .map(|(_, meter)| Contender::start(&track.namespace, meter))
        .collect();
    let mut readings: Vec<Vec<Reading>> = vec![Vec::new(); builds.len()];
    // One more: the first is to warm up.
    for number in 0..=rounds {
        let empty = track.empty(blast, row.processors);
        // Who begins changes.
        let first = number as usize % builds.len();
        for place in (0..builds.len()).map(|place| (place + first) % builds.len()) {
            let contender = &mut contenders[place];
            contender.attach(track.device, track.direction, row.mode);
            track.send(blast, row.processors);
            let round = contender.detach();
            assert_eq!(round.astray, 0, "packets that do not add up: {round}");
            check_number(round.observed, blast);
            if number > 0 {
                readings[place].push(Reading { empty, round });
            }
        }
    }
    for ((name, _), own) in builds.iter().copied().zip(&readings) {
        let all = |value: &dyn Fn(&Reading) -> f64| own.iter().map(value).collect::<Vec<f64>>();
        let cost = least(&all(&|r| r.round.account.per_run()));
        let empty = least(&all(&|r| r.empty));
        let ratios: Vec<f64> = own
            .iter()
            .zip(&readings[0])
            .map(|(own, first)| own.net() / first.net())
            .collect();
        let read = all(&|r| r.by_packet(r.round.read_ns));
        let merge = all(&|r| r.by_packet(r.round.merge_ns));
        let records = all(&|r| r.by_packet(r.round.records as f64));
        let no_room: u64 = own.iter().map(|r| r.round.no_room).sum();
        println!(
            "| {} | {name} | {cost:.0} | {empty:.0} | {:.0} | {:.0} | {:.3} | {:.1} / {:.1} | {:.1} / {:.1} | {:.2} | {no_room} |",
            row.name,
            cost - empty,
            median(&all(&Reading::net)),
            median(&ratios),
            least(&read),
            median(&read),
            least(&merge),
            median(&merge),
            median(&records),
        );
    }
}

/// Every packet came by, and hardly another: a device that was set up tells its multicast groups.
fn check_number(packets: u64, blast: Blast) {
    let surplus = packets.checked_sub(u64::from(blast.packets));
    assert!(
        surplus.is_some_and(|surplus| surplus < 20),
        "{packets} packets observed of {}",
        blast.packets
    );
}

/// Where the packets go.
struct Track {
    _lab: Lab,
    namespace: Namespace,
    device: &'static str,
    direction: Direction,
    /// The program that sends them on, and its link.
    _redirect: Option<(std::os::fd::OwnedFd, std::os::fd::OwnedFd)>,
}

const ENTRY: &str = "b0";

impl Track {
    fn new(hook: Hook) -> Self {
        let mut lab = Lab::new("packet-cost");
        let (a, b) = (lab.namespace("a"), lab.namespace("b"));
        let options = VethOptions {
            offloads: true,
            ..VethOptions::default()
        };
        lab.veth((&a, "a0"), (&b, ENTRY), options);
        ebpfix_bench::prepare(&lab, &b, ENTRY);
        let (device, direction) = match hook {
            Hook::Ingress => (ENTRY, Direction::Ingress),
            // Back to where they came from.
            Hook::Egress => (ENTRY, Direction::Egress),
            Hook::IngressL3 | Hook::EgressL3 => {
                b.ip(&["tuntap", "add", "t0", "mode", "tun"]);
                let direction = if matches!(hook, Hook::IngressL3) {
                    Direction::Ingress
                } else {
                    Direction::Egress
                };
                ("t0", direction)
            }
        };
        let redirect = (!matches!(hook, Hook::Ingress)).then(|| {
            b.ip(&["link", "set", device, "up"]);
            b.enter(|| {
                let index = |name: &str| nix::net::if_::if_nametoindex(name).expect("a device");
                let program = load_redirect(index(device), direction);
                let link = attach_tcx(&program, index(ENTRY), Direction::Ingress);
                (program, link)
            })
        });
        Self {
            _lab: lab,
            namespace: b,
            device,
            direction,
            _redirect: redirect,
        }
    }

    /// Sends all packets, from so many processors a part each.
    fn send(&self, blast: Blast, processors: u32) {
        let part = |number: u32| Blast {
            packets: blast.packets * (number + 1) / processors
                - blast.packets * number / processors,
            ..blast
        };
        thread::scope(|scope| {
            for number in 0..processors {
                scope.spawn(move || {
                    // The meters have the last processor; only a second stream comes in there too.
                    pin_to(usize::from(number == 0));
                    let sent = part(number).send(&self.namespace, ENTRY);
                    sent.unwrap_or_else(|error| panic!("the generator: {error}"));
                });
            }
        });
    }

    /// Nanoseconds per packet of the empty program.
    fn empty(&self, blast: Blast, processors: u32) -> f64 {
        let (program, _link) = self.namespace.enter(|| {
            let program = load_empty();
            let index = nix::net::if_::if_nametoindex(self.device).expect("the device");
            let link = attach_tcx(&program, index, self.direction);
            (program, link)
        });
        self.send(blast, processors);
        let account = Account::of(&program).expect("an account");
        check_number(account.runs, blast);
        account.per_run()
    }
}
