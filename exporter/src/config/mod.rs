//! The configuration: what the program uses ([`Config`]), apart from the form it has in a file.
//!
//! It is read whole: [`Sources::load`] gives either a configuration, every value of it parsed and in
//! range, or every mistake with its place: in a file, in a file beside it, in the environment or on the
//! command line. All keys are described in [`keys`].

pub mod keys;
pub mod kind;
mod read;
mod sources;
mod types;

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::time::Duration;

use keys::{Key, TABLES};
use kind::Kind;

pub(crate) use kind::time;

pub use crate::export::columns::Elements;
pub use crate::filter::KernelFilter;
pub use crate::meter::DuplicatesMode;
pub use ebpfix_probes::abi::Timestamps;
pub use ipfix::Protocol;
pub use read::{Errors, Loaded, Origins, Position, Problem, parse};
pub(crate) use sources::reason;
pub use sources::{INCLUDES, Sources, has_includes};
pub use types::{
    Attach, Directions, Endpoint, Host, InterfacePattern, Interfaces, InvalidPattern,
    InvalidTarget, LogFormat, LogLevel, NonIp, Profile, Target, TlsFiles, Transport, default_port,
};

/// The file that is read where the command line names none.
pub const DEFAULT_FILE: &str = "/etc/ebpfix/ebpfix.toml";

/// Everything an exporter can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What is observed, and how.
    pub observation: Observation,
    /// When a flow ends and becomes a record.
    pub metering: Metering,
    /// Who is told; names differ. May be empty: then every flow is counted as lost.
    pub collectors: Vec<Collector>,
    /// Statistics over HTTP.
    pub metrics: Metrics,
    /// Where things are on this host.
    pub daemon: Daemon,
    /// What is logged.
    pub log: Log,
}

/// The Observation Point and the kernel's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Observation Domain ID (RFC 7011 section 3.1; `NetFlow` v9: Source ID).
    pub domain_id: u32,
    /// Which interfaces are observed.
    pub interfaces: Interfaces,
    /// The network namespace that they are in, by name or path; the exporter's own if `None`.
    pub namespace: Option<String>,
    /// At which side of them.
    pub directions: Directions,
    /// 1 in this many packets is observed.
    pub sampling: NonZeroU32,
    /// Which flows are counted.
    pub filter: KernelFilter,
    /// How the programs are attached.
    pub attach: Attach,
    /// What becomes of frames that are not IP.
    pub non_ip: NonIp,
    /// Which packets are stamped by the fine clock.
    pub timestamps: Timestamps,
    /// `exporterIPv4Address` or `exporterIPv6Address`; `None`: the address that faces the collector.
    pub agent_address: Option<IpAddr>,
    /// Slots of the kernel's cache, per CPU; a power of two, 16 to 16384.
    pub cache_slots: u32,
    /// Records in the kernel's eviction log, per CPU; a power of two, 1024 to 1048576.
    pub log_records: u32,
    /// How often the kernel's cache is drained.
    pub drain_interval: Duration,
}

/// The Metering Process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metering {
    /// A flow that goes on is exported this often (RFC 5470 section 5.1.1).
    pub active_timeout: Duration,
    /// A flow without packets for this long has ended.
    pub idle_timeout: Duration,
    /// Flows held at most, 1 to 16777216.
    pub max_flows: NonZeroU32,
    /// What becomes of a flow seen on several interfaces.
    pub duplicates: DuplicatesMode,
}

/// A Collecting Process and how it is to be spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    /// What logs and statistics call it.
    pub name: String,
    /// Where it listens.
    pub address: Endpoint,
    /// What it understands.
    pub protocol: Protocol,
    /// What carries the messages; datagrams, where the protocol is not IPFIX.
    pub transport: Transport,
    /// What a connection by TLS goes by.
    pub tls: TlsFiles,
    /// What its records tell, where `elements` does not say.
    pub profile: Profile,
    /// What its records tell, element by element; `None`: what the profile says.
    pub elements: Option<Elements>,
    /// A host name is looked up this often.
    pub resolve_interval: Duration,
    /// The address to send from; `None`: the routing's choice.
    pub source_address: Option<IpAddr>,
    /// The UDP port to send from; `None`: a free one, kept.
    pub source_port: Option<NonZeroU16>,
    /// The interface to send by, or a VRF device; `None`: the routing's choice.
    pub source_interface: Option<String>,
    /// Differentiated services code point of packets, 0 to 63.
    pub dscp: u8,
    /// Time to live of packets, from 1; `None`: the system's default.
    pub ttl: Option<u8>,
    /// Collectors with the same name here share the flows; `None`: it gets all.
    pub balance: Option<String>,
    /// Of collectors with the same name here the first that is well gets all; `None`: it is always in
    /// use.
    pub failover: Option<String>,
    /// Observation Domain ID towards this collector, if not [`Observation::domain_id`].
    pub domain_id: Option<u32>,
    /// Templates are sent again this often, over UDP.
    pub template_interval: Duration,
    /// Templates are sent again after this many messages, over UDP; 0: by time only.
    pub template_messages: u32,
    /// Octets of a message at most, without IP and UDP headers, from 512 on, and over UDP up to 65507;
    /// `None`: what the path's MTU holds, or for a connection [`STREAM_MESSAGE_OCTETS`].
    pub max_message_size: Option<u16>,
    /// Flow records a second at most; `None`: what an untuned receive buffer takes, or over a
    /// connection the collector.
    pub rate_limit: Option<NonZeroU32>,
}

/// Octets of a message over a connection at most, where nothing else is said: what one record of TLS
/// holds (RFC 8446 section 5.1).
pub const STREAM_MESSAGE_OCTETS: u16 = 1 << 14;

impl Collector {
    /// A collector of which only the address is known; all else is the default.
    pub fn new(name: String, address: Endpoint, protocol: Protocol) -> Self {
        use keys::collector as key;
        Self {
            name,
            address,
            protocol,
            transport: (key::TRANSPORT.presence.0)(),
            tls: TlsFiles::default(),
            profile: Profile::Standard,
            elements: None,
            source_address: None,
            source_port: None,
            source_interface: None,
            dscp: (key::DSCP.presence.0)(),
            ttl: None,
            balance: None,
            failover: None,
            domain_id: None,
            resolve_interval: (key::RESOLVE_INTERVAL.presence.0)(),
            template_interval: (key::TEMPLATE_INTERVAL.presence.0)(),
            template_messages: (key::TEMPLATE_MESSAGES.presence.0)(),
            max_message_size: None,
            rate_limit: NonZeroU32::new((key::RATE_LIMIT.presence.0)()),
        }
    }
}

/// Statistics over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Where to listen; `None`: nowhere.
    pub listen: Option<SocketAddr>,
}

/// Where things are on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// The directory of the control socket.
    pub run_dir: PathBuf,
    /// The directory of pins, in a BPF file system.
    pub pin_dir: PathBuf,
}

impl Daemon {
    /// The control socket.
    pub fn control_socket(&self) -> PathBuf {
        self.run_dir.join("control.sock")
    }
}

/// What is logged, on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least severity.
    pub level: LogLevel,
    /// How lines look.
    pub format: LogFormat,
}

impl Default for Config {
    /// Every key's default: what an empty file gives. There is no collector.
    fn default() -> Self {
        let max_flows = (keys::metering::MAX_FLOWS.presence.0)();
        Self {
            observation: Observation {
                domain_id: (keys::observation::DOMAIN_ID.presence.0)(),
                interfaces: (keys::observation::INTERFACES.presence.0)(),
                namespace: None,
                directions: (keys::observation::DIRECTIONS.presence.0)(),
                sampling: (keys::observation::SAMPLING.presence.0)(),
                filter: KernelFilter::default(),
                attach: (keys::observation::ATTACH.presence.0)(),
                non_ip: (keys::observation::NON_IP.presence.0)(),
                timestamps: (keys::observation::TIMESTAMPS.presence.0)(),
                agent_address: None,
                cache_slots: default_cache_slots(max_flows),
                log_records: (keys::observation::LOG_RECORDS.presence.0)(),
                drain_interval: (keys::observation::DRAIN_INTERVAL.presence.0)(),
            },
            metering: Metering {
                active_timeout: (keys::metering::ACTIVE_TIMEOUT.presence.0)(),
                idle_timeout: (keys::metering::IDLE_TIMEOUT.presence.0)(),
                max_flows,
                duplicates: (keys::metering::DUPLICATES.presence.0)(),
            },
            collectors: Vec::new(),
            metrics: Metrics { listen: None },
            daemon: Daemon {
                run_dir: (keys::daemon::RUN_DIR.presence.0)(),
                pin_dir: (keys::daemon::PIN_DIR.presence.0)(),
            },
            log: Log {
                level: (keys::log::LEVEL.presence.0)(),
                format: (keys::log::FORMAT.presence.0)(),
            },
        }
    }
}

impl Config {
    /// What `run` uses where there is no file: every default, and the built-in collector, which
    /// listens at `collector`.
    pub fn zero(collector: SocketAddr) -> Self {
        let port = NonZeroU16::new(collector.port())
            .unwrap_or(default_port(Protocol::Ipfix, Transport::Udp));
        let address = Endpoint {
            host: Host::Address(collector.ip()),
            port,
        };
        let built_in = Collector::new("built-in".to_owned(), address, Protocol::Ipfix);
        Self {
            collectors: vec![built_in],
            ..Self::default()
        }
    }

    /// The configuration as a file, which reads as the same configuration. Only keys that are in
    /// force are in it.
    pub fn to_toml(&self) -> String {
        let Self {
            observation,
            metering,
            collectors,
            metrics,
            daemon,
            log,
        } = self;
        let mut out = Writer::default();

        out.table("observation");
        out.key(&keys::observation::DOMAIN_ID, &observation.domain_id);
        out.key(&keys::observation::INTERFACES, &observation.interfaces);
        out.some(
            &keys::observation::NAMESPACE,
            observation.namespace.as_ref(),
        );
        out.key(&keys::observation::DIRECTIONS, &observation.directions);
        out.key(&keys::observation::SAMPLING, &observation.sampling);
        let filter = Some(&observation.filter).filter(|filter| !filter.is_all());
        out.some(&keys::observation::FILTER, filter);
        out.key(&keys::observation::ATTACH, &observation.attach);
        out.key(&keys::observation::NON_IP, &observation.non_ip);
        out.key(&keys::observation::TIMESTAMPS, &observation.timestamps);
        out.some(
            &keys::observation::AGENT_ADDRESS,
            observation.agent_address.as_ref(),
        );
        out.key(&keys::observation::CACHE_SLOTS, &observation.cache_slots);
        out.key(&keys::observation::LOG_RECORDS, &observation.log_records);
        out.key(
            &keys::observation::DRAIN_INTERVAL,
            &observation.drain_interval,
        );

        out.table("metering");
        out.key(&keys::metering::ACTIVE_TIMEOUT, &metering.active_timeout);
        out.key(&keys::metering::IDLE_TIMEOUT, &metering.idle_timeout);
        out.key(&keys::metering::MAX_FLOWS, &metering.max_flows);
        out.key(&keys::metering::DUPLICATES, &metering.duplicates);

        for collector in collectors {
            use keys::collector as key;
            let target = Target {
                host: collector.address.host.clone(),
                port: Some(collector.address.port),
            };
            out.table("collector");
            out.key(&key::NAME, &collector.name);
            out.key(&key::ADDRESS, &target);
            out.key(&key::PROTOCOL, &collector.protocol);
            out.key(&key::TRANSPORT, &collector.transport);
            out.some(&key::CA, collector.tls.ca.as_ref());
            out.some(&key::CERTIFICATE, collector.tls.certificate.as_ref());
            out.some(&key::KEY, collector.tls.key.as_ref());
            out.some(&key::SERVER_NAME, collector.tls.server_name.as_ref());
            // The one or the other.
            match &collector.elements {
                Some(elements) => out.key(&key::ELEMENTS, elements),
                None if collector.protocol == Protocol::NetflowV5 => {}
                None => out.key(&key::PROFILE, &collector.profile),
            }
            out.key(&key::RESOLVE_INTERVAL, &collector.resolve_interval);
            out.some(&key::SOURCE_ADDRESS, collector.source_address.as_ref());
            out.some(&key::SOURCE_PORT, collector.source_port.as_ref());
            out.some(&key::SOURCE_INTERFACE, collector.source_interface.as_ref());
            out.key(&key::DSCP, &collector.dscp);
            out.some(&key::TTL, collector.ttl.as_ref());
            out.some(&key::BALANCE, collector.balance.as_ref());
            out.some(&key::FAILOVER, collector.failover.as_ref());
            out.some(&key::DOMAIN_ID, collector.domain_id.as_ref());
            // Over a connection they mean nothing.
            if !collector.transport.is_stream() {
                out.key(&key::TEMPLATE_INTERVAL, &collector.template_interval);
                out.key(&key::TEMPLATE_MESSAGES, &collector.template_messages);
            }
            out.some(&key::MAX_MESSAGE_SIZE, collector.max_message_size.as_ref());
            out.key(
                &key::RATE_LIMIT,
                &collector.rate_limit.map_or(0, NonZeroU32::get),
            );
        }

        out.table("metrics");
        out.some(&keys::metrics::LISTEN, metrics.listen.as_ref());

        out.table("daemon");
        out.key(&keys::daemon::RUN_DIR, &daemon.run_dir);
        out.key(&keys::daemon::PIN_DIR, &daemon.pin_dir);

        out.table("log");
        out.key(&keys::log::LEVEL, &log.level);
        out.key(&keys::log::FORMAT, &log.format);
        out.text
    }
}

impl Loaded {
    /// The configuration as a file, as [`Config::to_toml`] has it; behind each value a comment says
    /// where it comes from: `default`, `FILE:LINE`, `environment: VARIABLE` or the argument of the
    /// command line.
    pub fn to_toml(&self) -> String {
        /// Where comments begin, unless a value is in the way.
        const COLUMN: usize = 40;
        let mut text = String::new();
        let mut table = ("", 0);
        let mut seen = [0; TABLES.len()];
        for line in self.config.to_toml().lines() {
            let name = line.trim_matches(['[', ']']);
            let found = TABLES.iter().position(|table| table.name == name);
            if let (true, Some(at)) = (line.starts_with('['), found) {
                table = (TABLES[at].name, seen[at]);
                seen[at] += 1;
            }
            let origin = match line.split_once(" = ") {
                Some((key, _)) if !line.starts_with('[') => {
                    Some(self.origins.of(table.0, table.1, key).unwrap_or("default"))
                }
                _ => None,
            };
            let _ = match origin {
                Some(origin) => writeln!(text, "{line:COLUMN$}  # {origin}"),
                None => writeln!(text, "{line}"),
            };
        }
        text
    }
}

#[derive(Default)]
struct Writer {
    text: String,
}

impl Writer {
    fn table(&mut self, name: &str) {
        let many = TABLES.iter().any(|table| table.name == name && table.many);
        let (open, close) = if many { ("[[", "]]") } else { ("[", "]") };
        let gap = if self.text.is_empty() { "" } else { "\n" };
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{gap}{open}{name}{close}");
    }

    fn key<K: Kind, P>(&mut self, key: &Key<K, P>, value: &K::Value) {
        let _ = writeln!(self.text, "{} = {}", key.name, key.kind.write(value));
    }

    fn some<K: Kind, P>(&mut self, key: &Key<K, P>, value: Option<&K::Value>) {
        if let Some(value) = value {
            self.key(key, value);
        }
    }
}

/// Slots of the kernel's cache where the file does not say: no more than there may be flows, and
/// small enough for the CPU's own cache.
pub fn default_cache_slots(max_flows: NonZeroU32) -> u32 {
    max_flows.get().min(4096).next_power_of_two().max(16)
}

#[cfg(test)]
mod tests;
