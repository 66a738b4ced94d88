//! What the values of a configuration are once they are parsed.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::str::FromStr;

use clap::ValueEnum;
use ipfix::Protocol;
use serde::{Deserialize, Serialize};

/// Which interfaces are observed: those whose name a pattern matches and no `!` pattern does. The
/// order of the patterns means nothing.
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
            glob: glob::Pattern::new(glob).unwrap_or_default(),
            excludes,
        };
        Self(vec![pattern("*", false), pattern("lo", true)])
    }

    /// Whether the interface of this name is to be observed.
    pub fn takes(&self, name: &str) -> bool {
        let matches = |excludes| {
            self.0
                .iter()
                .any(|pattern| pattern.excludes == excludes && pattern.glob.matches(name))
        };
        matches(false) && !matches(true)
    }

    /// The patterns, in the order of the file.
    pub fn patterns(&self) -> &[InterfacePattern] {
        &self.0
    }
}

/// A glob over interface names (`*`, `?`, `[a-z]`, `[!a-z]`), or with `!` before it an exclusion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfacePattern {
    glob: glob::Pattern,
    excludes: bool,
}

impl FromStr for InterfacePattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let (excludes, glob) = match text.strip_prefix('!') {
            Some(glob) => (true, glob),
            None => (false, text),
        };
        // The kernel's own rule for names (dev_valid_name): nothing else could ever match.
        if glob.is_empty() || glob.contains(|c: char| c == '/' || c.is_whitespace()) {
            return Err(InvalidPattern);
        }
        let glob = glob::Pattern::new(glob).map_err(|_| InvalidPattern)?;
        Ok(Self { glob, excludes })
    }
}

impl InterfacePattern {
    /// The interface that it names outright, if it is neither a glob nor an exclusion.
    pub fn name(&self) -> Option<&str> {
        let name = self.glob.as_str();
        (!self.excludes && !name.contains(['*', '?', '['])).then_some(name)
    }
}

impl fmt::Display for InterfacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.excludes { "!" } else { "" };
        write!(f, "{sign}{}", self.glob)
    }
}

/// The text is no [`InterfacePattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPattern;

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

/// The port a collector listens on where nothing else is said: 4739 is IANA's for IPFIX, 2055 is
/// custom for `NetFlow`.
pub fn default_port(protocol: Protocol) -> NonZeroU16 {
    const IPFIX: NonZeroU16 = NonZeroU16::new(4739).unwrap();
    const NETFLOW: NonZeroU16 = NonZeroU16::new(2055).unwrap();
    match protocol {
        Protocol::Ipfix => IPFIX,
        Protocol::NetflowV9 | Protocol::NetflowV5 => NETFLOW,
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
    /// The UDP port.
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

    fn interfaces(patterns: &[&str]) -> Interfaces {
        let patterns = patterns.iter().map(|text| text.parse().unwrap()).collect();
        Interfaces::new(patterns).unwrap()
    }

    #[test]
    fn a_name_is_taken_whatever_the_order_of_the_patterns() {
        for patterns in [["*", "!lo"], ["!lo", "*"]] {
            let interfaces = interfaces(&patterns);
            assert!(interfaces.takes("eth0"));
            assert!(!interfaces.takes("lo"));
            assert!(interfaces.takes("lo1"));
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
            assert!(interfaces.takes(taken), "{taken}");
        }
        for left in ["eth4", "eth10", "xeth0", "wg", "wg10", "br-test1", "ETH0"] {
            assert!(!interfaces.takes(left), "{left}");
        }
    }

    #[test]
    fn exclusions_alone_are_no_choice() {
        assert_eq!(Interfaces::new(vec!["!lo".parse().unwrap()]), None);
        assert_eq!(Interfaces::new(vec![]), None);
    }

    #[test]
    fn what_no_interface_name_can_match_is_no_pattern() {
        for text in ["", "!", "a b", "eth/0", "[a", "a***"] {
            assert_eq!(
                text.parse::<InterfacePattern>(),
                Err(InvalidPattern),
                "{text}"
            );
        }
        for text in ["*", "!lo", "eth0.10", "e[!a]*", "!!x"] {
            assert_eq!(text.parse::<InterfacePattern>().unwrap().to_string(), text);
        }
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
