//! What the values of a configuration are once they are parsed.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;
use ipfix::Protocol;
use serde::{Deserialize, Serialize};

use crate::observe::{Interface, KindName};

/// Which interfaces are observed: those that a pattern matches and no `!` pattern does. The order of
/// the patterns means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interfaces(Vec<InterfacePattern>);

impl Interfaces {
    /// `None` where there is no pattern without `!`: it would take no interface at all.
    pub fn new(patterns: Vec<InterfacePattern>) -> Option<Self> {
        patterns
            .iter()
            .any(|pattern| !pattern.excludes)
            .then_some(Self(patterns))
    }

    /// Every interface but the loopback: `["*", "!lo"]`.
    pub fn all_but_loopback() -> Self {
        let pattern = |glob: &str, excludes| InterfacePattern {
            matcher: Matcher::Name(glob::Pattern::new(glob).unwrap_or_default()),
            excludes,
        };
        Self(vec![pattern("*", false), pattern("lo", true)])
    }

    /// Whether this interface is to be observed.
    pub fn takes(&self, interface: &Interface) -> bool {
        let matches = |excludes| {
            self.0
                .iter()
                .any(|pattern| pattern.excludes == excludes && pattern.matcher.matches(interface))
        };
        matches(false) && !matches(true)
    }

    /// The patterns, in the order of the file.
    pub fn patterns(&self) -> &[InterfacePattern] {
        &self.0
    }
}

/// What an interface is known by, or with `!` before it an exclusion: a glob (`*`, `?`, `[a-z]`,
/// `[!a-z]`) over names; `kind:` and a kind; `alias:` and a glob over aliases (`ifAlias`). No name can
/// be taken for the latter, as the kernel allows no colon in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfacePattern {
    matcher: Matcher,
    excludes: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Matcher {
    Name(glob::Pattern),
    Kind(KindName),
    Alias(glob::Pattern),
}

impl Matcher {
    fn matches(&self, interface: &Interface) -> bool {
        match self {
            Self::Name(glob) => glob.matches(&interface.name),
            Self::Kind(kind) => interface.kind.is(*kind),
            Self::Alias(glob) => glob.matches(&interface.alias),
        }
    }
}

impl FromStr for InterfacePattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let (excludes, pattern) = match text.strip_prefix('!') {
            Some(pattern) => (true, pattern),
            None => (false, text),
        };
        let glob = |text: &str| glob::Pattern::new(text).map_err(|_| InvalidPattern::Glob);
        let matcher = match pattern.split_once(':') {
            Some(("kind", kind)) => {
                Matcher::Kind(KindName::named(kind).ok_or(InvalidPattern::Kind)?)
            }
            Some(("alias", alias)) if !alias.is_empty() => Matcher::Alias(glob(alias)?),
            // The kernel's own rule for names (dev_valid_name): nothing else could ever match.
            Some(_) => return Err(InvalidPattern::Glob),
            None if pattern.is_empty()
                || pattern.contains(|c: char| c == '/' || c.is_whitespace()) =>
            {
                return Err(InvalidPattern::Glob);
            }
            None => Matcher::Name(glob(pattern)?),
        };
        Ok(Self { matcher, excludes })
    }
}

impl InterfacePattern {
    /// The interface that it names outright, if it is neither a glob nor an exclusion.
    pub fn name(&self) -> Option<&str> {
        match &self.matcher {
            Matcher::Name(glob) => {
                let name = glob.as_str();
                (!self.excludes && !name.contains(['*', '?', '['])).then_some(name)
            }
            _ => None,
        }
    }
}

impl fmt::Display for InterfacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.excludes {
            f.write_str("!")?;
        }
        match &self.matcher {
            Matcher::Name(glob) => glob.fmt(f),
            Matcher::Kind(kind) => write!(f, "kind:{}", kind.name()),
            Matcher::Alias(glob) => write!(f, "alias:{glob}"),
        }
    }
}

/// Why a text is no [`InterfacePattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidPattern {
    /// Neither a name nor a glob.
    Glob,
    /// What comes after `kind:` is none.
    Kind,
}

/// At which side of an interface packets are observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directions {
    /// Packets that enter the host.
    Ingress,
    /// Packets that leave the host.
    Egress,
    /// Both.
    Both,
}

impl Directions {
    /// Whether packets that enter the host are observed.
    pub fn ingress(self) -> bool {
        self != Self::Egress
    }

    /// Whether packets that leave the host are observed.
    pub fn egress(self) -> bool {
        self != Self::Ingress
    }
}

/// How the programs are attached to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// TCX where the kernel has it (6.6 and later), else a filter on a clsact qdisc.
    Auto,
    /// TCX only.
    Tcx,
    /// A filter on a clsact qdisc, on any kernel.
    Clsact,
}

/// What becomes of frames that are not IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonIp {
    /// They are counted by reason and make no flow.
    Count,
    /// They make flows of their addresses of layer 2 and their ethertype.
    Flow,
}

/// What records tell, where there is no list of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// What every known collector reads whole.
    Standard,
    /// Who, with whom, how much and when; about half of the octets.
    Compact,
    /// Besides the standard what else the meter knows and collectors may pass over.
    Full,
}

/// What carries messages to a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams (RFC 7011 section 10.3).
    Udp,
    /// A connection (RFC 7011 section 10.4).
    Tcp,
    /// A connection that is encrypted and whose ends are known (RFC 7011 section 11).
    Tls,
}

impl Transport {
    /// Its word in the configuration, and for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// Whether messages go over a connection.
    pub fn is_stream(self) -> bool {
        self != Self::Udp
    }
}

/// What a connection by TLS goes by: paths of PEM files, and a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates that the collector's must come from; `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// The certificate to show, and those between it and the collector's trust.
    pub certificate: Option<PathBuf>,
    /// Its private key; there is one exactly where there is a certificate.
    pub key: Option<PathBuf>,
    /// The host name or address that the collector's certificate has to be for; `None`: the host of its
    /// address.
    pub server_name: Option<String>,
}

/// The port a collector listens on where nothing else is said: 4739 is IANA's for IPFIX and 4740 for
/// IPFIX by TLS, 2055 is custom for `NetFlow`.
pub fn default_port(protocol: Protocol, transport: Transport) -> NonZeroU16 {
    const IPFIX: NonZeroU16 = NonZeroU16::new(4739).unwrap();
    const IPFIX_SECURE: NonZeroU16 = NonZeroU16::new(4740).unwrap();
    const NETFLOW: NonZeroU16 = NonZeroU16::new(2055).unwrap();
    match (protocol, transport) {
        (Protocol::Ipfix, Transport::Tls) => IPFIX_SECURE,
        (Protocol::Ipfix, Transport::Udp | Transport::Tcp) => IPFIX,
        (Protocol::NetflowV9 | Protocol::NetflowV5, _) => NETFLOW,
    }
}

/// The least severity that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something does not work.
    Error,
    /// Something deserves attention.
    Warn,
    /// What an operator wants to know of a healthy exporter.
    Info,
    /// What helps to find out why.
    Debug,
    /// Everything.
    Trace,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// The journal's entries where stderr is the journal's, else text.
    Auto,
    /// Entries with fields, by the protocol of systemd's journal.
    Journal,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where a collector is: a host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The host.
    pub host: Host,
    /// The port.
    pub port: NonZeroU16,
}

/// A host, by address or by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A unicast or multicast address.
    Address(IpAddr),
    /// A name to resolve (also an IPv6 address with a zone, `fe80::1%eth0`).
    Name(String),
}

impl Host {
    /// The address, where the host is not given by name.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Name(_) => None,
        }
    }
}

impl Endpoint {
    /// The socket address, where the host is not given by name.
    pub fn socket_address(&self) -> Option<SocketAddr> {
        let address = self.host.address()?;
        Some(SocketAddr::new(address, self.port.get()))
    }
}

impl fmt::Display for Endpoint {
    /// `192.0.2.1:4739`, `[2001:db8::1]:4739`, `collector.example:4739`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        match host {
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}:{port}"),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{port}"),
            Host::Name(name) if name.contains(':') => write!(f, "[{name}]:{port}"),
            Host::Name(name) => write!(f, "{name}:{port}"),
        }
    }
}

/// An [`Endpoint`] as the file has it: the port may be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The host.
    pub host: Host,
    /// The port, if given.
    pub port: Option<NonZeroU16>,
}

impl FromStr for Target {
    type Err = InvalidTarget;

    /// `HOST`, `HOST:PORT`, `IPV4:PORT`, `[IPV6]:PORT`, or an IPv6 address alone.
    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let port = |text: &str| -> Result<NonZeroU16, InvalidTarget> {
            // `parse` takes a sign, which no port has.
            if !text.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(InvalidTarget);
            }
            text.parse().map_err(|_| InvalidTarget)
        };
        if let Some(rest) = text.strip_prefix('[') {
            let (inside, after) = rest.split_once(']').ok_or(InvalidTarget)?;
            let host = ipv6_host(inside)?;
            let port = match after.strip_prefix(':') {
                Some(digits) => Some(port(digits)?),
                None if after.is_empty() => None,
                None => return Err(InvalidTarget),
            };
            return Ok(Self { host, port });
        }
        if text.matches(':').count() > 1 {
            let host = ipv6_host(text)?;
            return Ok(Self { host, port: None });
        }
        let (name, port) = match text.split_once(':') {
            Some((name, digits)) => (name, Some(port(digits)?)),
            None => (text, None),
        };
        let host = match name.parse::<IpAddr>() {
            Ok(address) => known_address(address)?,
            Err(_) => host_name(name)?,
        };
        Ok(Self { host, port })
    }
}

/// The text is no [`Target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTarget;

fn known_address(address: IpAddr) -> Result<Host, InvalidTarget> {
    if address.is_unspecified() {
        return Err(InvalidTarget);
    }
    Ok(Host::Address(address))
}

fn ipv6_host(text: &str) -> Result<Host, InvalidTarget> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    let address: Ipv6Addr = address.parse().map_err(|_| InvalidTarget)?;
    match zone {
        None => known_address(IpAddr::V6(address)),
        Some("") => Err(InvalidTarget),
        Some(_) if text.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            Err(InvalidTarget)
        }
        Some(_) => Ok(Host::Name(text.to_owned())),
    }
}

fn host_name(text: &str) -> Result<Host, InvalidTarget> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    // A name of digits and dots only is a mistyped address.
    let address_like = name
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    if name.len() > 253 || address_like || !name.split('.').all(label) {
        return Err(InvalidTarget);
    }
    Ok(Host::Name(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::DeviceKind;

    fn interfaces(patterns: &[&str]) -> Interfaces {
        let patterns = patterns.iter().map(|text| text.parse().unwrap()).collect();
        Interfaces::new(patterns).unwrap()
    }

    fn named(name: &str) -> Interface {
        Interface {
            name: name.to_owned(),
            ..Interface::default()
        }
    }

    #[test]
    fn a_name_is_taken_whatever_the_order_of_the_patterns() {
        for patterns in [["*", "!lo"], ["!lo", "*"]] {
            let interfaces = interfaces(&patterns);
            assert!(interfaces.takes(&named("eth0")));
            assert!(!interfaces.takes(&named("lo")));
            assert!(interfaces.takes(&named("lo1")));
        }
        assert_eq!(
            Interfaces::all_but_loopback(),
            interfaces(&["*", "!lo"]),
            "the default in words"
        );
    }

    #[test]
    fn patterns_are_globs_over_the_whole_name() {
        let interfaces = interfaces(&["eth[0-3]", "wg?", "br-*", "!br-test*"]);
        for taken in ["eth0", "eth3", "wg0", "br-", "br-lan"] {
            assert!(interfaces.takes(&named(taken)), "{taken}");
        }
        for left in ["eth4", "eth10", "xeth0", "wg", "wg10", "br-test1", "ETH0"] {
            assert!(!interfaces.takes(&named(left)), "{left}");
        }
    }

    #[test]
    fn patterns_are_kinds_and_aliases_too() {
        let interface = |kind: DeviceKind, alias: &str| Interface {
            alias: alias.to_owned(),
            kind,
            ..named("x0")
        };
        let (veth, gre) = (DeviceKind::of_word("veth"), DeviceKind::of_word("gre"));
        let kinds = interfaces(&["kind:tunnel", "kind:veth", "!alias:* test"]);
        assert!(kinds.takes(&interface(gre.clone(), "")));
        assert!(kinds.takes(&interface(veth.clone(), "to the test lab")));
        assert!(!kinds.takes(&interface(veth.clone(), "a test")));
        assert!(!kinds.takes(&interface(DeviceKind::of_word("vlan"), "")));
        assert!(!interfaces(&["*", "!kind:veth"]).takes(&interface(veth.clone(), "")));
        let uplinks = interfaces(&["alias:uplink: *"]);
        assert!(uplinks.takes(&interface(veth.clone(), "uplink: north")));
        assert!(!uplinks.takes(&interface(veth, "uplink")));
    }

    #[test]
    fn exclusions_alone_are_no_choice() {
        assert_eq!(Interfaces::new(vec!["!lo".parse().unwrap()]), None);
        assert_eq!(Interfaces::new(vec![]), None);
    }

    #[test]
    fn what_no_interface_name_can_match_is_no_pattern() {
        for text in [
            "",
            "!",
            "a b",
            "eth/0",
            "[a",
            "a***",
            "eth0:1",
            "alias:",
            "Kind:veth",
            "!!kind:veth",
        ] {
            assert_eq!(
                text.parse::<InterfacePattern>(),
                Err(InvalidPattern::Glob),
                "{text}"
            );
        }
        for text in [
            "kind:",
            "kind:nonsense",
            "!kind:Veth",
            "kind:v*",
            "kind: veth",
        ] {
            assert_eq!(
                text.parse::<InterfacePattern>(),
                Err(InvalidPattern::Kind),
                "{text}"
            );
        }
        for text in [
            "*",
            "!lo",
            "eth0.10",
            "e[!a]*",
            "!!x",
            "kind:vlan",
            "!kind:veth",
            "alias:to: ?*",
            "kind",
        ] {
            assert_eq!(text.parse::<InterfacePattern>().unwrap().to_string(), text);
        }
        assert_eq!(
            "kind:vlan".parse::<InterfacePattern>().unwrap().name(),
            None
        );
    }

    #[test]
    fn targets_are_read_and_shown() {
        for (text, shown) in [
            ("192.0.2.10:4739", "192.0.2.10:4739"),
            ("192.0.2.10", "192.0.2.10:9"),
            ("[2001:db8::1]:4739", "[2001:db8::1]:4739"),
            ("[2001:db8::1]", "[2001:db8::1]:9"),
            ("2001:db8::1", "[2001:db8::1]:9"),
            ("[fe80::1%eth0]:2055", "[fe80::1%eth0]:2055"),
            ("collector.example.net:2055", "collector.example.net:2055"),
            ("localhost", "localhost:9"),
            ("noc.", "noc.:9"),
        ] {
            let Target { host, port } = text.parse().unwrap();
            let port = port.unwrap_or(NonZeroU16::new(9).unwrap());
            let endpoint = Endpoint { host, port };
            assert_eq!(endpoint.to_string(), shown);
            let again: Target = endpoint.to_string().parse().unwrap();
            assert_eq!(again.host, endpoint.host);
            assert_eq!(again.port, Some(endpoint.port));
        }
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for text in [
            "",
            ":4739",
            "host:",
            "host:0",
            "host:65536",
            "host:+5",
            "host:http",
            "1.2.3",
            "300.1.1.1:5",
            "0.0.0.0:4739",
            "[::]:4739",
            "[2001:db8::1",
            "[2001:db8::1]4739",
            "[192.0.2.1]:4739",
            "2001:db8:::1",
            "a b:5",
            "-a:5",
            "a..b",
            "[fe80::1%]:5",
            "ho/st",
            "udp://host:5",
        ] {
            assert_eq!(text.parse::<Target>(), Err(InvalidTarget), "{text}");
        }
    }
}
