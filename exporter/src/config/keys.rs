//! Every key of the configuration file, once: its name, kind, range, default and meaning.
//!
//! From this table come what the parser knows, what `check --print` writes, and the commented
//! example file.
#![expect(
    clippy::doc_markdown,
    reason = "the meanings of the keys go into the example file too, which is no Markdown"
)]

use std::fmt::Write as _;
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use super::kind::{
    Address, CollectorAddress, Device, DirectionList, Directory, ElementList, FilePath, FilterText,
    Integer, Kind, Listen, Mismatch, Name, NetworkNamespace, OneOf, Patterns, PowerOfTwo,
    ServerIdentity, Spanned, Time,
};
use super::types::{
    Attach, Directions, Interfaces, LogFormat, LogLevel, NonIp, Profile, Transport,
};
use super::{DuplicatesMode, Protocol, Timestamps};

/// A key, its kind `K`, and what its absence means `P`.
pub struct Key<K, P> {
    /// Its table.
    pub table: &'static str,
    /// Its name in the table.
    pub name: &'static str,
    /// What its values are.
    pub kind: K,
    /// What its absence means.
    pub presence: P,
    /// Its meaning, for people.
    pub doc: &'static str,
}

/// The key may be absent and has a default.
pub struct WithDefault<T: 'static>(pub fn() -> T);

/// The key may be absent; then the value is found otherwise.
pub struct Optional {
    /// What applies when it is absent.
    pub otherwise: &'static str,
    /// A value for the example, as TOML.
    pub example: &'static str,
}

/// The key must be there.
pub struct Required {
    /// A value for the example, as TOML.
    pub example: &'static str,
}

/// A key without its types.
pub trait Described: Sync {
    /// Its name in the table.
    fn name(&self) -> &'static str;
    /// What may stand in the file.
    fn expected(&self) -> String;
    /// What its absence means.
    fn presence(&self) -> Presence;
    /// Its meaning, for people.
    fn doc(&self) -> &'static str;
    /// What is wrong with a value; nothing where it is right.
    fn mismatches(&self, value: &Spanned<'_>) -> Vec<Mismatch>;
}

/// What the absence of a key means.
#[derive(Debug, PartialEq, Eq)]
pub enum Presence {
    /// The default applies, here as TOML.
    Default(String),
    /// Something else applies.
    Optional {
        /// What.
        otherwise: &'static str,
        /// A value for the example, as TOML.
        example: &'static str,
    },
    /// It is an error.
    Required {
        /// A value for the example, as TOML.
        example: &'static str,
    },
}

/// A table of the file and its keys.
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Whether it is `[[name]]` and there may be any number of them.
    pub many: bool,
    /// Its meaning, for people.
    pub doc: &'static str,
    /// Its keys, in the order they are shown.
    pub keys: &'static [&'static dyn Described],
}

macro_rules! presence_type {
    ($kind:ty, (default $value:expr)) => { WithDefault<<$kind as Kind>::Value> };
    ($kind:ty, (optional $otherwise:literal, $example:literal)) => { Optional };
    ($kind:ty, (required $example:literal)) => { Required };
}

macro_rules! presence {
    ((default $value:expr)) => {
        WithDefault(|| $value)
    };
    ((optional $otherwise:literal, $example:literal)) => {
        Optional {
            otherwise: $otherwise,
            example: $example,
        }
    };
    ((required $example:literal)) => {
        Required { example: $example }
    };
}

macro_rules! keys {
    ($(
        $table:ident $many:literal $intro:literal {
            $($name:ident $text:literal: $kind:ty = $build:expr, $presence:tt, $doc:literal;)*
        }
    )*) => {
        $(
            #[doc = $intro]
            pub mod $table {
                use super::*;
                $(
                    #[doc = $doc]
                    pub static $name: Key<$kind, presence_type!($kind, $presence)> = Key {
                        table: stringify!($table),
                        name: $text,
                        kind: $build,
                        presence: presence!($presence),
                        doc: $doc,
                    };
                )*
            }
        )*

        /// Every table, in the order they are shown.
        pub static TABLES: &[Table] = &[$(
            Table {
                name: stringify!($table),
                many: $many,
                doc: $intro,
                keys: &[$(&$table::$name),*],
            },
        )*];
    };
}

const fn one_in(n: u32) -> NonZeroU32 {
    match NonZeroU32::new(n) {
        Some(n) => n,
        None => NonZeroU32::MIN,
    }
}

const DAY: Duration = Duration::from_hours(24);

keys! {
    observation false "What is observed, and how." {
        DOMAIN_ID "domain-id": Integer<u32> = Integer { min: 0, max: u32::MAX }, (default 1),
            "Observation Domain ID (NetFlow v9: source ID) in every message. Give each exporter its own: some collectors tell exporters apart by it alone.";
        INTERFACES "interfaces": Patterns = Patterns, (default Interfaces::all_but_loopback()),
            "The interfaces to observe, by name or glob (*, ?, [a-z]), by kind (\"kind:physical\", \"kind:vlan\", \"kind:bridge\", \"kind:veth\", \"kind:tunnel\" and the kernel's other words, as ip -d link has them) or by alias (\"alias:uplink*\"); \"!\" excludes, in any order. New interfaces are taken as they appear.";
        NAMESPACE "namespace": NetworkNamespace = NetworkNamespace, (optional "the exporter's own", "\"blue\""),
            "The network namespace whose interfaces are observed, by name (ip netns) or path; it is waited for, and followed when it is made anew. Collectors, metrics and control socket stay in the exporter's own. Takes CAP_SYS_ADMIN. For several namespaces run an exporter for each, with daemon.run-dir and daemon.pin-dir of its own.";
        DIRECTIONS "directions": DirectionList = DirectionList, (default Directions::Both),
            "Observe packets as they enter the host, as they leave it, or both.";
        SAMPLING "sampling": Integer<NonZeroU32> = Integer { min: NonZeroU32::MIN, max: NonZeroU32::MAX }, (default one_in(1)),
            "Observe 1 in this many packets, at random; 1 observes all. Collectors are told.";
        FILTER "filter": FilterText = FilterText, (optional "everything", "\"not (net 10.0.0.0/8 and port 53)\""),
            "Which packets are counted: an expression as `ebpfix flows` takes it, over addresses, ports, protocol, ethertype, VLAN, MAC addresses and direction; or a list of them, of which one has to be met. The kernel leaves out the others, after sampling, and counts them (filtered).";
        ATTACH "attach": OneOf<Attach> = OneOf(&[("auto", Attach::Auto), ("tcx", Attach::Tcx), ("clsact", Attach::Clsact)]), (default Attach::Auto),
            "How to attach to interfaces: \"tcx\" (kernel 6.6 and later), \"clsact\" (any kernel), or \"auto\", which is tcx where there is one. Takes effect at a start, not at a reload.";
        NON_IP "non-ip": OneOf<NonIp> = OneOf(&[("count", NonIp::Count), ("flow", NonIp::Flow)]), (default NonIp::Count),
            "Frames that are not IP: \"count\" them by reason, or make a \"flow\" of their layer 2 addresses and ethertype.";
        TIMESTAMPS "timestamps": OneOf<Timestamps> = OneOf(&[("tick", Timestamps::Tick), ("fine-start", Timestamps::FineStart), ("fine", Timestamps::Fine)]), (default Timestamps::FineStart),
            "How exact the times of flows are: \"fine-start\" has the first packet of each flow to the nanosecond and the last one to the kernel's tick before it (1 to 10 ms, by its configuration), \"fine\" has both to the nanosecond, \"tick\" both to the tick. A fine stamp costs a packet about 30 ns, a tick nothing.";
        AGENT_ADDRESS "agent-address": Address = Address, (optional "the address that faces the collector", "\"192.0.2.1\""),
            "This exporter's own address, as written into its records.";
        CACHE_SLOTS "cache-slots": PowerOfTwo = PowerOfTwo { min: 16, max: 16384 }, (optional "as many as max-flows, rounded up to a power of two, but at most 4096", "4096"),
            "Flows in the kernel's cache, per CPU. Small is fast: the cache should stay in the CPU's own cache (256 octets a slot). Takes effect at a start, not at a reload.";
        LOG_RECORDS "log-records": PowerOfTwo = PowerOfTwo { min: 1024, max: 1_048_576 }, (default 65536),
            "Flows in the kernel's log of those evicted from the cache, per CPU (112 octets each). When the exporter does not read it fast enough, what does not fit is counted as lost. Takes effect at a start, not at a reload.";
        DRAIN_INTERVAL "drain-interval": Time = Time { min: Duration::from_millis(10), max: Duration::from_mins(1) }, (default Duration::from_secs(1)),
            "How often the kernel's cache is emptied into the exporter's.";
    }
    metering false "When a flow ends and becomes a record." {
        ACTIVE_TIMEOUT "active-timeout": Time = Time { min: Duration::from_millis(100), max: DAY }, (default Duration::from_mins(1)),
            "A flow that goes on is exported this often.";
        IDLE_TIMEOUT "idle-timeout": Time = Time { min: Duration::from_millis(100), max: DAY }, (default Duration::from_secs(15)),
            "A flow that had no packet for this long has ended.";
        MAX_FLOWS "max-flows": Integer<NonZeroU32> = Integer { min: NonZeroU32::MIN, max: one_in(16_777_216) }, (default one_in(131_072)),
            "Flows held at most (about 144 octets each). When full, the flow that was idle longest is exported early.";
        DUPLICATES "duplicates": OneOf<DuplicatesMode> = OneOf(&[("mark", DuplicatesMode::Mark), ("drop", DuplicatesMode::Drop), ("keep", DuplicatesMode::Keep)]), (default DuplicatesMode::Mark),
            "A flow seen on several interfaces: \"mark\" the later ones, \"drop\" and count them, or \"keep\" all alike.";
    }
    collector true "Who is told: one [[collector]] for each. All get everything, but for those that share it (balance) or stand in for one another (failover)." {
        NAME "name": Name = Name, (optional "the address", "\"noc\""),
            "What logs and statistics call this collector; no two have the same name.";
        ADDRESS "address": CollectorAddress = CollectorAddress, (required "\"192.0.2.10:4739\""),
            "Where it listens. Without a port: 4739 for ipfix, by tls 4740; 2055 for netflow-v9 and netflow-v5.";
        PROTOCOL "protocol": OneOf<Protocol> = OneOf(&[("ipfix", Protocol::Ipfix), ("netflow-v9", Protocol::NetflowV9), ("netflow-v5", Protocol::NetflowV5)]), (default Protocol::Ipfix),
            "What it understands. NetFlow v5 has a record for IPv4 alone: what is not sent to another collector is counted as lost (not_in_protocol). It tells interfaces up to 65535, sampling up to 16383, and the domain in 16 bits (engine type and ID).";
        TRANSPORT "transport": OneOf<Transport> = OneOf(&[("udp", Transport::Udp), ("tcp", Transport::Tcp), ("tls", Transport::Tls)]), (default Transport::Udp),
            "What carries the messages; \"tcp\" and \"tls\" are for ipfix only. A connection that breaks, or in which the collector takes nothing for a minute, is made anew, at first after half a second and at last every 30 seconds; each begins with templates and counts from 0. Records wait for it in the queue. Nothing is sent twice: what was on its way when a connection broke may have arrived or not, and is counted as such (unacknowledged).";
        CA "ca": FilePath = FilePath, (optional "the system's certificates", "\"/etc/ebpfix/tls/ca.pem\""),
            "With tls: PEM file of the certificates that the collector's must come from. This file and those of certificate and key are read for each connection: a renewed one is used from the next on.";
        CERTIFICATE "certificate": FilePath = FilePath, (optional "the collector is shown none", "\"/etc/ebpfix/tls/exporter.pem\""),
            "With tls: PEM file of the certificate to show to the collector, and after it those between it and the collector's trust. RFC 7011 wants both sides to have one.";
        KEY "key": FilePath = FilePath, (optional "none, like certificate", "\"/etc/ebpfix/tls/exporter.key\""),
            "With tls: PEM file of the private key of certificate, without a password. The exporter's user has to be able to read it, and only its owner and group may.";
        SERVER_NAME "server-name": ServerIdentity = ServerIdentity, (optional "the host of address", "\"collector.example\""),
            "With tls: the name, or IP address, that the collector's certificate has to be for (subjectAltName).";
        PROFILE "profile": OneOf<Profile> = OneOf(&[("standard", Profile::Standard), ("compact", Profile::Compact), ("full", Profile::Full)]), (default Profile::Standard),
            "What a record tells, where elements does not say: \"standard\" is what every known collector reads whole; \"compact\" is addresses, ports, protocol, TCP flags, counts, times and interfaces alone, in some half of the octets; \"full\" is the standard and flowId, flowDurationMilliseconds, ipDiffServCodePoint, observationPointId, interfaceName and samplingInterval.";
        ELEMENTS "elements": ElementList = ElementList, (optional "those of the profile", "[\"sourceIPv4Address\", \"destinationIPv4Address\", \"sourceIPv6Address\", \"destinationIPv6Address\", \"sourceTransportPort\", \"destinationTransportPort\", \"protocolIdentifier\", \"packetDeltaCount/4\", \"octetDeltaCount/4\", \"flowStartMilliseconds\", \"flowEndMilliseconds\"]"),
            "What a record tells, in this order, by IANA's names; not with netflow-v5. A record has those of the list that apply to it: of IPv4 or IPv6, of ICMP, of packets that entered (sourceMacAddress and the like) or left (post...); name both of a pair. The address of this exporter is all zero in the element of the other family. A slash and a number after a name give its length in octets, where it can have another than the usual one: octetDeltaCount and packetDeltaCount 4 to 8 (usually 8), tcpControlBits 1 or 2 (usually 1), deltaFlowCount 1 to 8 (usually 8), observationPointId 4 to 8 (usually 8), interfaceName 15 to 255 (usually variable, in NetFlow v9 16), paddingOctets 1 to 255 (must be given). What a shorter count cannot hold is sent as several records, to every collector: no octet is lost. There are: sourceIPv4Address, destinationIPv4Address, sourceIPv6Address, destinationIPv6Address, sourceTransportPort, destinationTransportPort, protocolIdentifier, ipVersion, icmpTypeCodeIPv4, icmpTypeCodeIPv6, icmpTypeIPv4, icmpCodeIPv4, icmpTypeIPv6, icmpCodeIPv6, flowId, octetDeltaCount, packetDeltaCount, deltaFlowCount, flowStartSeconds, flowEndSeconds, flowStartMilliseconds, flowEndMilliseconds, flowStartMicroseconds, flowEndMicroseconds, flowStartNanoseconds, flowEndNanoseconds, flowStartSysUpTime, flowEndSysUpTime, systemInitTimeMilliseconds, flowDurationMilliseconds, flowDurationMicroseconds, flowEndReason, ipClassOfService, postIpClassOfService, ipDiffServCodePoint, postIpDiffServCodePoint, ipPrecedence, postIpPrecedence, tcpControlBits, minimumTTL, maximumTTL, ingressInterface, egressInterface, interfaceName, flowDirection, observationPointId, sourceMacAddress, destinationMacAddress, postSourceMacAddress, postDestinationMacAddress, vlanId, postVlanId, dot1qVlanId, postDot1qVlanId, dot1qCustomerVlanId, postDot1qCustomerVlanId, ethernetType, exporterIPv4Address, exporterIPv6Address, meteringProcessId, exportingProcessId, samplingInterval, samplingAlgorithm, samplerMode, samplerRandomInterval, samplingProbability, paddingOctets.";
        RESOLVE_INTERVAL "resolve-interval": Time = Time { min: Duration::from_secs(1), max: DAY }, (default Duration::from_mins(1)),
            "A host name is looked up this often. Messages go to another address once the one in use is no longer among the answers; a resolver that fails or does not answer changes nothing.";
        SOURCE_ADDRESS "source-address": Address = Address, (optional "the address of the way to the collector", "\"192.0.2.1\""),
            "The address to send from. Many collectors know exporters by it.";
        SOURCE_PORT "source-port": Integer<NonZeroU16> = Integer { min: NonZeroU16::MIN, max: NonZeroU16::MAX }, (optional "a free port, kept while the exporter runs", "49739"),
            "The UDP port to send from. Connections (tcp, tls) have a free one each.";
        SOURCE_INTERFACE "source-interface": Device = Device, (optional "that of the way to the collector", "\"mgmt0\""),
            "The interface to send by, or the VRF device whose routes apply (SO_BINDTODEVICE).";
        DSCP "dscp": Integer<u8> = Integer { min: 0, max: 63 }, (default 0),
            "The differentiated services code point of packets to this collector, such as 16 (CS2), which RFC 4594 has for network management.";
        TTL "ttl": Integer<u8> = Integer { min: 1, max: u8::MAX }, (optional "the system's, and 1 to a multicast group", "16"),
            "The time to live (hop limit) of packets to this collector.";
        BALANCE "balance": Name = Name, (optional "it gets everything", "\"pair\""),
            "Collectors that have the same name here share the flows: each flow goes to one of them, the two directions of a conversation to the same one, whatever the interface. One that is away keeps its share, which waits for it. Other collectors get everything besides.";
        FAILOVER "failover": Name = Name, (optional "it is always in use", "\"pair\""),
            "Of collectors that have the same name here one gets everything: the first in this file that is well. One is not when sending fails, or when it was heard to refuse (ICMP) in the last 3 seconds, or by tcp and tls when it is not connected or took nothing for 5 seconds; by udp it is sent templates meanwhile, to find out (by NetFlow v5, which has none, after these seconds flows again). What waits for one that is not well goes on waiting for it. With balance the key means nothing.";
        DOMAIN_ID "domain-id": Integer<u32> = Integer { min: 0, max: u32::MAX }, (optional "observation.domain-id", "1"),
            "Observation Domain ID towards this collector only.";
        TEMPLATE_INTERVAL "template-interval": Time = Time { min: Duration::from_secs(1), max: DAY }, (default Duration::from_mins(1)),
            "Templates are sent again this often: a collector that starts later understands nothing before. By tcp and tls they are sent once, at the start of each connection, and these two keys mean nothing.";
        TEMPLATE_MESSAGES "template-messages": Integer<u32> = Integer { min: 0, max: 1_000_000 }, (default 1000),
            "Templates are also sent again after this many messages; 0: by time only. 1000 cost less than a thousandth of the traffic, and a busy exporter's collector is without them for seconds, not a minute.";
        MAX_MESSAGE_SIZE "max-message-size": Integer<u16> = Integer { min: 512, max: u16::MAX }, (optional "what the path's MTU holds; by tcp and tls 16384", "1400"),
            "Octets of a message at most, without IP and UDP headers; by udp 65507 at most, and what exceeds the path's MTU is sent in fragments.";
        RATE_LIMIT "rate-limit": Integer<u32> = Integer { min: 0, max: u32::MAX }, (default 0),
            "Flow records sent per second at most; 0: by udp what the receive buffer of a collector takes that was not tuned, about half a million, by tcp and tls what the collector takes. By udp more than that is sent only where it is said here. What finds no room in the queue (262144 records) is counted as lost (export_queue_full).";
    }
    metrics false "Statistics for Prometheus." {
        LISTEN "listen": Listen = Listen, (optional "no listener", "\"127.0.0.1:9464\""),
            "Where to serve them over HTTP, at /metrics, to whoever can connect: there is no password.";
    }
    daemon false "Where things are on this host." {
        RUN_DIR "run-dir": Directory = Directory { max_len: 90, dots: true }, (default "/run/ebpfix".into()),
            "Holds control.sock, which \"ebpfix status\" asks. Several exporters on one host have one each. Takes effect at a start, not at a reload.";
        PIN_DIR "pin-dir": Directory = Directory { max_len: 200, dots: false }, (default "/sys/fs/bpf/ebpfix".into()),
            "In a BPF file system: holds programs and tables, so that they outlive an exporter that is killed or hands over, and the next one finds them. Nobody else may write there. Several exporters on one host have one each. Takes effect at a start, not at a reload.";
    }
    log false "What the exporter says, on stderr. Of one kind of event 200 lines at once are logged and 10 a second: then a line says how many more there were." {
        LEVEL "level": OneOf<LogLevel> = OneOf(&[("error", LogLevel::Error), ("warn", LogLevel::Warn), ("info", LogLevel::Info), ("debug", LogLevel::Debug), ("trace", LogLevel::Trace)]), (default LogLevel::Info),
            "The least severity that is logged.";
        FORMAT "format": OneOf<LogFormat> = OneOf(&[("auto", LogFormat::Auto), ("journal", LogFormat::Journal), ("text", LogFormat::Text), ("json", LogFormat::Json)]), (default LogFormat::Auto),
            "Lines of \"text\" for people, a \"json\" object a line, or entries of systemd's \"journal\" with a priority and a field for each fact (EBPFIX_COLLECTOR=noc); \"auto\" is journal where stderr goes there, else text.";
    }
}

/// What the names of the environment variables begin with that set a key.
pub const VARIABLE_PREFIX: &str = "EBPFIX_";
/// The environment variable that adds collectors.
pub const COLLECTOR_VARIABLE: &str = "EBPFIX_COLLECTOR";

/// The environment variable that sets a key of a table that there is one of: `EBPFIX_LOG_LEVEL`.
pub fn variable(table: &str, key: &str) -> String {
    let name = format!("{VARIABLE_PREFIX}{table}_{key}");
    name.replace('-', "_").to_uppercase()
}

/// The key of this dotted name, such as `log.level`.
pub fn find(dotted: &str) -> Option<&'static dyn Described> {
    let (table, key) = dotted.split_once('.')?;
    let table = TABLES.iter().find(|known| known.name == table)?;
    table.keys.iter().copied().find(|known| known.name() == key)
}

/// From where values come and which wins, for people: a paragraph each.
pub const PRECEDENCE: &[&str] = &[
    "The files conf.d/*.toml in the folder of the configuration file are read after it, in the order of their names (by octets); hidden files and files of other names are passed over. Of a key in several files the last one counts. What stands in double brackets adds up: the collectors of all files, in this order.",
    "A key of a table in single brackets can also be given by an environment variable, EBPFIX_TABLE_KEY, such as EBPFIX_OBSERVATION_SAMPLING=10 or EBPFIX_METERING_ACTIVE_TIMEOUT=30s, and by \"ebpfix run --set TABLE.KEY=VALUE\", such as --set observation.sampling=10. The value is TOML; text needs no quotes, and a list of text can be written with commas alone: --set \"observation.interfaces=eth*,!eth7\". EBPFIX_COLLECTOR and --collector add a collector: its address, and behind commas other keys, such as 192.0.2.10:2055,protocol=netflow-v9; several in the variable stand apart by spaces. An empty variable counts as not set; a misspelt one is an error.",
    "What comes later wins: defaults, the configuration file, conf.d, environment, command line. The files are read again at a reload; environment and command line stay as they were at the start. \"ebpfix check --print\" says of every value where it comes from.",
];

/// The commented example: every key with its default, or where it has none, an example in a comment.
pub fn example() -> String {
    let mut text = String::from(
        "# Every key of the configuration of ebpfix, with its default. A key that has no fixed\n\
         # default stands in a comment, with an example. `ebpfix check --config FILE` says whether a\n\
         # file is right; `--print` adds what is in force.\n",
    );
    for paragraph in PRECEDENCE {
        text.push_str("#\n");
        comment(&mut text, paragraph);
    }
    for table in TABLES {
        let (open, close) = if table.many { ("[[", "]]") } else { ("[", "]") };
        text.push('\n');
        comment(&mut text, table.doc);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{open}{}{close}", table.name);
        for key in table.keys {
            let name = key.name();
            let expected = key.expected();
            text.push('\n');
            comment(&mut text, key.doc());
            let _ = match key.presence() {
                Presence::Default(value) => {
                    comment(&mut text, &format!("Takes {expected}."));
                    writeln!(text, "{name} = {value}")
                }
                Presence::Optional { otherwise, example } => {
                    comment(
                        &mut text,
                        &format!("Takes {expected}. Default: {otherwise}."),
                    );
                    writeln!(text, "#{name} = {example}")
                }
                Presence::Required { example } => {
                    comment(&mut text, &format!("Takes {expected}. Required."));
                    writeln!(text, "{name} = {example}")
                }
            };
        }
    }
    text
}

/// The text as comment lines of at most 100 columns.
fn comment(out: &mut String, text: &str) {
    const COLUMNS: usize = 100;
    let mut column = 0;
    for word in text.split(' ') {
        if column == 0 || column + 1 + word.len() > COLUMNS {
            out.push_str(if column == 0 { "#" } else { "\n#" });
            column = 1;
        }
        out.push(' ');
        out.push_str(word);
        column += 1 + word.len();
    }
    out.push('\n');
}

impl<K: Kind> Described for Key<K, WithDefault<K::Value>> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn expected(&self) -> String {
        self.kind.expected()
    }

    fn presence(&self) -> Presence {
        Presence::Default(self.kind.write(&(self.presence.0)()))
    }

    fn doc(&self) -> &'static str {
        self.doc
    }

    fn mismatches(&self, value: &Spanned<'_>) -> Vec<Mismatch> {
        self.kind.read_all(value).err().unwrap_or_default()
    }
}

impl<K: Kind> Described for Key<K, Optional> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn expected(&self) -> String {
        self.kind.expected()
    }

    fn presence(&self) -> Presence {
        Presence::Optional {
            otherwise: self.presence.otherwise,
            example: self.presence.example,
        }
    }

    fn doc(&self) -> &'static str {
        self.doc
    }

    fn mismatches(&self, value: &Spanned<'_>) -> Vec<Mismatch> {
        self.kind.read_all(value).err().unwrap_or_default()
    }
}

impl<K: Kind> Described for Key<K, Required> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn expected(&self) -> String {
        self.kind.expected()
    }

    fn presence(&self) -> Presence {
        Presence::Required {
            example: self.presence.example,
        }
    }

    fn doc(&self) -> &'static str {
        self.doc
    }

    fn mismatches(&self, value: &Spanned<'_>) -> Vec<Mismatch> {
        self.kind.read_all(value).err().unwrap_or_default()
    }
}
