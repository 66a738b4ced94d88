//! The command line.
#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help texts, which are no Markdown"
)]

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{self, DEFAULT_FILE, DuplicatesMode, Protocol, Sources, Target, has_includes};

mod view;
pub use view::*;

/// Flow exporter: counts every packet of every flow in the kernel, tells collectors by IPFIX or
/// NetFlow v9.
#[derive(Debug, Parser)]
#[command(name = "ebpfix", version, max_term_width = 100)]
#[command(after_help = "\
Exit status: 0 success; 1 failure; 2 wrong use of the command line; 78 wrong configuration.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Observe and export, in the foreground
    ///
    /// SIGTERM and SIGINT end it: what is held is exported first. SIGHUP makes it read its
    /// configuration again. Without a configuration it observes every interface but lo,
    /// and prints the flows to stdout by way of a collector of its own on the loopback.
    Run(RunArgs),
    /// Check a configuration
    ///
    /// Says "FILE: ok", or else every mistake, one a line, as FILE:LINE:COLUMN: KEY: what is
    /// expected, what was found; and exits with 78.
    Check(CheckArgs),
    /// Receive IPFIX, NetFlow v9 and v5 and print the flows, or store them in a file
    ///
    /// From any number of exporters: over UDP, or IPFIX over TCP or TLS. SIGTERM and SIGINT end it with a summary on stderr.
    /// With FILEs it prints the flows that are stored in them, as they would have been printed when
    /// they were received, and ends.
    Collect(CollectArgs),
    /// Meter captures of packets, and print the flows or send them to a collector
    ///
    /// FILEs are captures in the formats pcap or pcapng, plain or compressed by gzip, of Ethernet, raw
    /// IP, Linux cooked (v1 and v2), loopback or PPP; - is stdin. Several are one stream, in the order
    /// given: flows go on from one to the next. Packets are read, counted and made into flows as `run`
    /// does, by the captures' own clock. Packets that a snap length has cut count with the length that
    /// their IP header tells. At the end a ledger on stderr says what became of every packet.
    ///
    /// A damaged file gives what it holds. It is told with the place of the damage, and the exit
    /// status is 1; so it is for link types that cannot be read and for a collector that does not
    /// listen.
    Replay(ReplayArgs),
    /// Send a few known flows to a collector
    ///
    /// So that a collector can be checked end to end: ten flows of TCP, UDP and ICMP over IPv4 and
    /// IPv6 (five in NetFlow v5, which has no IPv6), between addresses that are reserved for
    /// documentation. Says what was sent, what the collector should show and how to see it. The exit
    /// status is 1 if the collector's host answers that nobody listens.
    TestCollector(TestCollectorArgs),
    /// Look for what keeps an exporter from working, or from seeing all packets
    ///
    /// The kernel and what it can do, privileges, the BPF file system; of each interface that is to
    /// be observed what else is attached and what packets pass it by; of each collector the route,
    /// the path's MTU and whether somebody listens (it is sent a message without records); the clock;
    /// what an exporter left. Each finding says what to do. Nothing is changed, and what cannot be
    /// looked at without privileges is said. The exit status is 1 if there is a problem, 0 if there
    /// are warnings only.
    Doctor(DoctorArgs),
    /// Ask the running exporter how it does
    ///
    /// Prints the ledger (what was observed, exported, is held, was lost and why), the collectors
    /// and the interfaces.
    Status(StatusArgs),
    /// Show the flows that the running exporter holds
    ///
    /// Flows that have not ended, with what their record in progress has counted: which, in which order
    /// and how many, one by one or added up by any fields.
    Flows(FlowsArgs),
    /// Watch flows, talkers, services and interfaces
    ///
    /// A screen of what counts most, second by second; ? shows the keys. It asks the running exporter,
    /// or with -i it observes these interfaces by itself (as root) and takes its programs off again.
    /// Where stdout is no terminal, or a dumb one, it writes lines.
    Top(TopArgs),
    /// Show the templates that the running exporter announces to its collectors
    Templates(TemplatesArgs),
    /// Have the running exporter read its configuration again
    ///
    /// As SIGHUP does, and says what came of it. Where there is a mistake, each is told as `check`
    /// does, the configuration in force stays, and the exit status is 78.
    Reload(ReloadArgs),
    /// Have the running exporter export every flow that it holds
    ///
    /// The flows go on in new records. Returns when all are on their way to the collectors.
    Flush(FlushArgs),
    /// Show or set what the running exporter logs
    ///
    /// Until it ends, or reads another level in its configuration.
    LogLevel(LogLevelArgs),
    /// Have the running exporter end for another to go on
    ///
    /// It exports what it holds and ends, but leaves its programs attached and its tables in the
    /// kernel. They count on, and the next `ebpfix run` with the same pin-dir takes them over: so a
    /// new version, or a new configuration, misses no packet. Returns when the exporter has ended.
    /// Until the next one starts the kernel holds what it has room for (log-records); what it has not
    /// is counted as lost, log_full.
    Handover(HandoverArgs),
    /// Take off what an exporter left in the kernel
    ///
    /// After `handover`, or after an exporter was killed, when no other is to follow: detaches its
    /// programs and removes its tables, and says what was still in them. It refuses while an exporter
    /// runs. To be run in the network namespace that was observed.
    Detach(DetachArgs),
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The file to use instead of the default
    #[command(flatten)]
    pub config: ConfigFile,
    /// What wins over the file
    #[command(flatten)]
    pub overrides: Overrides,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The file to use instead of the default
    #[command(flatten)]
    pub config: ConfigFile,
    /// What wins over the file
    #[command(flatten)]
    pub overrides: Overrides,
    /// Print what is in force, defaults included, as a configuration file; a comment behind each value
    /// says where it comes from
    #[arg(long)]
    pub print: bool,
}

/// Arguments of `collect`.
#[derive(Debug, Args)]
pub struct CollectArgs {
    /// Where to listen: over UDP, or with tcp: or tls: before it for connections; an IPv6 address stands
    /// in brackets
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:4739")]
    pub listen: ListenAt,
    /// With tls: PEM file of the certificate to show to exporters, and after it those between it and
    /// their trust
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// With tls: PEM file of its private key, which only its owner and group may read
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// With tls: PEM file of the certificates that those of exporters must come from [default: exporters
    /// need none]
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub tls_ca: Option<PathBuf>,
    /// How flows are printed [default: table; with --write: not at all]
    #[arg(long, value_enum)]
    pub format: Option<OutputFormat>,
    /// Store what is received in this file, an IPFIX File (RFC 5655)
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Replace the file to write if it exists
    #[arg(long, requires = "write")]
    pub force: bool,
    /// Print templates, when they are first used and when they have changed, and options, on stderr
    #[arg(long)]
    pub show_templates: bool,
    /// Estimate what there was: packets and octets times the sampling interval that the exporter told
    ///
    /// In the table they stand under ~PACKETS and ~BYTES, in JSON and CSV in packets_scaled and
    /// bytes_scaled, beside packets and bytes as they were counted. An exporter that told no interval
    /// is taken to count every packet.
    #[arg(long)]
    pub apply_sampling: bool,
    /// Print the flows of these IPFIX Files instead of receiving any; - is stdin
    #[arg(value_name = "FILE", conflicts_with_all = ["listen", "write"])]
    pub files: Vec<PathBuf>,
}

/// Where to listen, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAt {
    /// For datagrams, or for connections.
    pub transport: config::Transport,
    /// Where.
    pub address: SocketAddr,
}

impl std::str::FromStr for ListenAt {
    type Err = String;

    /// `ADDR:PORT`, perhaps with `udp:`, `tcp:` or `tls:` before it.
    fn from_str(text: &str) -> Result<Self, String> {
        use config::Transport::{Tcp, Tls, Udp};
        let (transport, address) = [("udp:", Udp), ("tcp:", Tcp), ("tls:", Tls)]
            .into_iter()
            .find_map(|(word, transport)| Some((transport, text.strip_prefix(word)?)))
            .unwrap_or((Udp, text));
        let address = address
            .parse()
            .map_err(|_| "expected ADDR:PORT, tcp:ADDR:PORT or tls:ADDR:PORT".to_owned())?;
        Ok(Self { transport, address })
    }
}

impl CollectArgs {
    /// How flows are printed, if they are.
    pub fn output_format(&self) -> Option<OutputFormat> {
        let default = self.write.is_none().then_some(OutputFormat::Table);
        self.format.or(default)
    }
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Captures, in the order of time; - is stdin
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Send the flows to this collector; without a port to 4739 (IPFIX) or 2055 (NetFlow)
    #[arg(long, value_name = "ADDR:PORT", value_parser = target)]
    pub collector: Option<Target>,
    /// What the collector understands
    #[arg(long, value_enum, default_value = "ipfix", requires = "collector")]
    pub protocol: ProtocolName,
    /// Observation Domain ID towards the collector
    #[arg(long, value_name = "N", default_value_t = 1, requires = "collector")]
    pub domain_id: u32,
    /// Records a second to the collector at most [default: what it takes, if it is on this host; else
    /// 32000 messages]
    #[arg(long, value_name = "N", requires = "collector")]
    pub rate_limit: Option<NonZeroU32>,
    /// How flows are printed [default: table; with --collector: not at all]
    #[arg(long, value_enum, conflicts_with = "collector")]
    pub format: Option<OutputFormat>,
    /// So many times as fast as recorded, such as 1, 10 or 0.5 [default: as fast as it goes]
    #[arg(long, value_name = "N", value_parser = speed)]
    pub speed: Option<f64>,
    /// As fast as recorded: --speed 1
    #[arg(long, conflicts_with = "speed")]
    pub realtime: bool,
    /// A flow that goes on has a record this often
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = timeout)]
    pub active_timeout: Duration,
    /// A flow without packets for this long has ended
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = timeout)]
    pub idle_timeout: Duration,
    /// Flows held at most; when full, the one without packets for longest ends early
    #[arg(long, value_name = "N", default_value = "131072")]
    pub max_flows: NonZeroU32,
    /// What becomes of frames that are not IP
    #[arg(long, value_enum, default_value = "count")]
    pub non_ip: NonIpName,
    /// What becomes of a flow that is seen on several interfaces of a capture
    #[arg(long, value_enum, default_value = "keep")]
    pub duplicates: DuplicatesName,
}

impl ReplayArgs {
    /// How many times as fast as recorded; `None`: as fast as it goes.
    pub fn speed(&self) -> Option<f64> {
        self.speed.or(self.realtime.then_some(1.0))
    }
}

/// Arguments of `test-collector`.
#[derive(Debug, Args)]
pub struct TestCollectorArgs {
    /// The collector; without a port to 4739 (IPFIX) or 2055 (NetFlow)
    #[arg(value_name = "ADDR:PORT", value_parser = target)]
    pub collector: Target,
    /// What the collector understands
    #[arg(long, value_enum, default_value = "ipfix")]
    pub protocol: ProtocolName,
    /// Observation Domain ID
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub domain_id: u32,
}

fn target(text: &str) -> Result<Target, String> {
    text.parse().map_err(|_| {
        "expected HOST:PORT, IPV4:PORT or [IPV6]:PORT; the port may be left out".to_owned()
    })
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(speed),
        _ => Err("expected a number above 0".to_owned()),
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    const MIN: Duration = Duration::from_millis(1);
    const MAX: Duration = Duration::from_hours(24 * 365);
    match config::time(text) {
        Some(time) if (MIN..=MAX).contains(&time) => Ok(time),
        _ => Err("expected a time such as 15s, 1m30s, 500ms or 1h, up to a year".to_owned()),
    }
}

/// A protocol to a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProtocolName {
    /// IPFIX (RFC 7011)
    Ipfix,
    /// NetFlow v9 (RFC 3954)
    NetflowV9,
    /// NetFlow v5: IPv4 only
    NetflowV5,
}

impl From<ProtocolName> for Protocol {
    fn from(name: ProtocolName) -> Self {
        match name {
            ProtocolName::Ipfix => Self::Ipfix,
            ProtocolName::NetflowV9 => Self::NetflowV9,
            ProtocolName::NetflowV5 => Self::NetflowV5,
        }
    }
}

/// What becomes of frames that are not IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NonIpName {
    /// They are counted in the ledger and make no flow
    Count,
    /// They make flows of their MAC addresses and their ethertype
    Flow,
}

/// What becomes of a flow that is seen on several interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DuplicatesName {
    /// Each interface has its flow
    Keep,
    /// As keep, and the later ones say that they are duplicates
    Mark,
    /// The later ones are left out, and counted in the ledger
    Drop,
}

impl From<DuplicatesName> for DuplicatesMode {
    fn from(name: DuplicatesName) -> Self {
        match name {
            DuplicatesName::Keep => Self::Keep,
            DuplicatesName::Mark => Self::Mark,
            DuplicatesName::Drop => Self::Drop,
        }
    }
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The file to use instead of the default
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The file to use instead of the default
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print one JSON object
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Print every number and word of the JSON as a line of comma-separated values: NAME,VALUE
    #[arg(long)]
    pub csv: bool,
}

/// Arguments of `handover`.
#[derive(Debug, Args)]
pub struct HandoverArgs {
    /// The file to use instead of the default
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Arguments of `detach`.
#[derive(Debug, Args)]
pub struct DetachArgs {
    /// The file to use instead of the default
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Which configuration file.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// Configuration file; files conf.d/*.toml in its folder are read after it [default:
    /// /etc/ebpfix/ebpfix.toml]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl ConfigFile {
    /// The file that is named, else the default file.
    pub fn path(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE))
    }

    /// The file that is named, else the default file if it exists, or others that are read after it.
    pub fn existing(&self) -> Option<&Path> {
        // Of a file that may not be looked at, reading it says more than leaving it out.
        let default = Path::new(DEFAULT_FILE);
        let exists = || !matches!(default.try_exists(), Ok(false)) || has_includes(default);
        let default = || exists().then_some(default);
        self.config.as_deref().or_else(default)
    }

    /// The file, if there is one, and the environment of this process.
    pub fn sources(&self) -> Sources {
        Sources::new(self.existing()).with_environment(std::env::vars_os())
    }
}

/// What wins over a configuration file.
#[derive(Debug, Default, Args)]
pub struct Overrides {
    /// Set a key, whatever the files and the environment say, such as observation.sampling=10; may be
    /// given several times
    #[arg(long, value_name = "TABLE.KEY=VALUE")]
    pub set: Vec<String>,
    /// Add a collector, with other keys behind commas, such as 192.0.2.10:2055,protocol=netflow-v9; may
    /// be given several times
    #[arg(long, value_name = "ADDR:PORT")]
    pub collector: Vec<String>,
}

impl Overrides {
    /// The sources, with this above all.
    pub fn over(&self, sources: Sources) -> Sources {
        sources.with_flags(&self.set, &self.collector)
    }
}

/// How flows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Columns, for people
    Table,
    /// A JSON object a line
    Json,
    /// Comma-separated values, the names of JSON's fields in the first line
    Csv,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let cli = Cli::try_parse_from(["ebpfix", "collect"]).unwrap();
        let Command::Collect(args) = cli.command else {
            panic!("{cli:?}")
        };
        assert_eq!(args.listen, "udp:127.0.0.1:4739".parse().unwrap());
        assert_eq!(args.output_format(), Some(OutputFormat::Table));

        let cli = Cli::try_parse_from(["ebpfix", "check"]).unwrap();
        let Command::Check(args) = cli.command else {
            panic!("{cli:?}")
        };
        assert_eq!(args.config.path(), Path::new("/etc/ebpfix/ebpfix.toml"));
    }

    #[test]
    fn a_named_file_is_used_whether_it_exists_or_not() {
        let cli = Cli::try_parse_from(["ebpfix", "run", "--config", "/nonexistent"]).unwrap();
        let Command::Run(args) = cli.command else {
            panic!("{cli:?}")
        };
        assert_eq!(args.config.existing(), Some(Path::new("/nonexistent")));
    }

    #[test]
    fn the_help_names_the_default_file() {
        let help = Cli::command()
            .find_subcommand_mut("check")
            .unwrap()
            .render_help()
            .to_string();
        assert!(help.contains(DEFAULT_FILE), "{help}");
    }
}
