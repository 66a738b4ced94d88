//! Which flows are meant: a small language, close to that of tcpdump.
//!
//! ```text
//! expression = conjunction { ("or" | "||") conjunction }
//! conjunction = term { ("and" | "&&") term }
//! term = ("not" | "!") term | "(" expression ")" | test
//! ```
//!
//! `and` binds closer than `or`. The tests:
//!
//! | test | a flow that |
//! |---|---|
//! | `10.0.0.1`, `2001:db8::/32`, `10.0.0.0/8,192.0.2.0/24`, `src …`, `dst …`, `host …`, `net …` | has that address, or one of that network or these, at either end, or at the one named |
//! | `port 53`, `port 80,443,8000-8100`, `src port …`, `dst port …` | has one of these TCP, UDP or SCTP ports |
//! | `proto udp`, `proto 47`, or only `tcp` `udp` `icmp` `icmp6` `igmp` `gre` `esp` `ah` `sctp` `ospf` `pim` `vrrp` | has that protocol |
//! | `ip`, `ip6`, `arp`, `ether 0x88cc` | has that ethertype |
//! | `in eth0`, `out eth*`, `on wg0` | entered, left, or was seen there; a glob over names |
//! | `in`, `out` with nothing behind | was seen as it entered, or left, anywhere |
//! | `mac 02:00:00:00:00:01`, `src mac …`, `dst mac …` | has that MAC address |
//! | `vlan`, `vlan 7` | is in any VLAN, or in that one |
//! | `flags SF` | has all these TCP flags (of `CEUAPRSF`) |
//! | `duplicate` | is counted in another record too |
//! | `packets > 100`, `bytes >= 10k`, `tos = 16`, `min_ttl < 5`, … | compares so; `k`, `M`, `G` are powers of 1000 |
//!
//! A [`Filter`] is an [`Expr`] and the text it was read from. It looks at [`FlowJson`], which is what
//! every stage of this program can give, and at nothing else: a test of what a flow does not tell
//! (an interface's name in a record that has none) is false, and its `not` true.
//!
//! A [`KernelFilter`] is in the same language, without what only a flow tells and no packet does: the
//! kernel evaluates it before anything is counted.
#![forbid(unsafe_code)]

mod code;
pub mod kernel;
mod parse;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ebpfix_probes::abi::MacAddress;
use serde::{Deserialize, Serialize};

use crate::record::FlowJson;

pub use kernel::KernelFilter;
pub use parse::{FilterError, MAX_DEPTH, MAX_OCTETS};

/// A filter: an expression, or none, which takes every flow. In JSON it is its text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Cow<str>", into = "String")]
pub struct Filter {
    text: String,
    expr: Option<Expr>,
}

/// What a flow is tested for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// All of these.
    And(Vec<Expr>),
    /// One of these.
    Or(Vec<Expr>),
    /// Not this.
    Not(Box<Expr>),
    /// A single test.
    Test(Test),
}

/// Which end of a flow a test looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The source.
    Source,
    /// The destination.
    Destination,
    /// One of the two.
    Either,
}

/// A single test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// The address is in this network.
    Network(End, Network),
    /// The port is in one of these ranges, both ends included.
    Port(End, Vec<(u16, u16)>),
    /// `protocolIdentifier`.
    Protocol(u8),
    /// `ethernetType`.
    EtherType(u16),
    /// The interface's name matches.
    Interface(glob::Pattern),
    /// `flowDirection`.
    Direction(u8),
    /// The MAC address.
    Mac(End, MacAddress),
    /// The VLAN, outer or inner; `None`: any but 0.
    Vlan(Option<u16>),
    /// All of these TCP flags are set.
    Flags(u16),
    /// The same packets are counted in another record.
    Duplicate,
    /// A number of the flow compares so.
    Number(Quantity, Comparison, u64),
}

/// A network: an address and the length of its prefix in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    length: u8,
}

/// A number that a flow has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Packets.
    Packets,
    /// IP octets.
    Bytes,
    /// `ipClassOfService`.
    Tos,
    /// `minimumTTL`.
    MinTtl,
    /// `maximumTTL`.
    MaxTtl,
    /// Index of the interface.
    IfIndex,
    /// The sampling interval.
    Sampling,
}

/// How two numbers compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `>=`
    GreaterOrEqual,
    /// `>`
    Greater,
}

impl Filter {
    /// The filter that takes every flow.
    pub fn all() -> Self {
        Self::default()
    }

    /// The text it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is tested; `None`: nothing.
    pub fn expr(&self) -> Option<&Expr> {
        self.expr.as_ref()
    }

    /// Whether it takes the flow.
    pub fn takes(&self, flow: &FlowJson<'_>) -> bool {
        self.expr.as_ref().is_none_or(|expr| expr.takes(flow))
    }

    /// Whether it asks at which place of this host packets were seen: an interface, a direction, a
    /// VLAN, a MAC address.
    pub fn names_place(&self) -> bool {
        self.expr.as_ref().is_some_and(Expr::names_place)
    }
}

impl TryFrom<Cow<'_, str>> for Filter {
    type Error = FilterError;

    fn try_from(text: Cow<'_, str>) -> Result<Self, FilterError> {
        text.parse()
    }
}

impl From<Filter> for String {
    fn from(filter: Filter) -> Self {
        filter.text
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    /// Reads an expression; a text of spaces only is the filter that takes every flow.
    fn from_str(text: &str) -> Result<Self, FilterError> {
        Ok(Self {
            text: text.trim().to_owned(),
            expr: parse::expression(text, parse::Scope::Flow)?,
        })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Expr {
    /// Whether the flow passes.
    pub fn takes(&self, flow: &FlowJson<'_>) -> bool {
        match self {
            Self::And(all) => all.iter().all(|expr| expr.takes(flow)),
            Self::Or(any) => any.iter().any(|expr| expr.takes(flow)),
            Self::Not(expr) => !expr.takes(flow),
            Self::Test(test) => test.takes(flow),
        }
    }

    fn names_place(&self) -> bool {
        match self {
            Self::And(several) | Self::Or(several) => several.iter().any(Self::names_place),
            Self::Not(expr) => expr.names_place(),
            Self::Test(test) => matches!(
                test,
                Test::Interface(_)
                    | Test::Direction(_)
                    | Test::Mac(..)
                    | Test::Vlan(_)
                    | Test::Duplicate
                    | Test::Number(Quantity::IfIndex, ..)
            ),
        }
    }
}

impl End {
    fn takes<T>(self, source: Option<T>, destination: Option<T>, test: impl Fn(T) -> bool) -> bool {
        match self {
            Self::Source => source.is_some_and(test),
            Self::Destination => destination.is_some_and(test),
            Self::Either => source.is_some_and(&test) || destination.is_some_and(&test),
        }
    }
}

/// Protocols whose ports are ports: TCP, UDP, DCCP, SCTP, UDP-Lite. Of others `dport` may hold
/// something else, such as the type and code of ICMP.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];

impl Test {
    fn takes(&self, flow: &FlowJson<'_>) -> bool {
        match self {
            Self::Network(end, network) => {
                end.takes(flow.src, flow.dst, |address| network.contains(address))
            }
            Self::Port(end, ranges) => {
                flow.proto.is_some_and(|proto| WITH_PORTS.contains(&proto))
                    && end.takes(flow.sport, flow.dport, |port| {
                        ranges
                            .iter()
                            .any(|&(first, last)| (first..=last).contains(&port))
                    })
            }
            Self::Protocol(proto) => {
                flow.proto == Some(*proto) && (flow.src.is_some() || flow.dst.is_some())
            }
            Self::EtherType(eth_type) => flow.eth_type == Some(*eth_type),
            Self::Interface(glob) => flow
                .interface
                .as_deref()
                .is_some_and(|name| glob.matches(name)),
            Self::Direction(direction) => flow.direction == Some(*direction),
            Self::Mac(end, mac) => end.takes(flow.src_mac, flow.dst_mac, |found| found == *mac),
            Self::Vlan(wanted) => [flow.vlan, flow.customer_vlan]
                .into_iter()
                .flatten()
                .any(|vlan| wanted.map_or(vlan != 0, |wanted| vlan == wanted)),
            Self::Flags(flags) => {
                const TCP: u8 = 6;
                flow.proto == Some(TCP) && flow.tcp_flags.is_some_and(|has| has & flags == *flags)
            }
            Self::Duplicate => flow.duplicate == Some(true),
            Self::Number(quantity, comparison, number) => quantity
                .of(flow)
                .is_some_and(|found| comparison.holds(found, *number)),
        }
    }
}

impl Network {
    /// The network of this prefix; `None` where the address has not so many bits, or has bits set
    /// behind the prefix.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let network = Self { address, length };
        let whole = bits(address).1;
        (length <= whole && network.contains(address) && network.first() == address)
            .then_some(network)
    }

    /// The network of one address.
    pub fn host(address: IpAddr) -> Self {
        Self {
            address,
            length: bits(address).1,
        }
    }

    /// Whether the address is in it. No IPv4 address is in an IPv6 network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (ours, whole) = bits(self.address);
        let (theirs, of_theirs) = bits(address);
        let behind = u32::from(whole.saturating_sub(self.length));
        whole == of_theirs && (ours ^ theirs).checked_shr(behind).unwrap_or(0) == 0
    }

    /// The first address.
    fn first(&self) -> IpAddr {
        let (ours, whole) = bits(self.address);
        let behind = u32::from(whole.saturating_sub(self.length));
        let first = ours
            .checked_shr(behind)
            .and_then(|prefix| prefix.checked_shl(behind))
            .unwrap_or(0);
        match self.address {
            IpAddr::V4(_) => u32::try_from(first).unwrap_or(0).to_be_bytes().into(),
            IpAddr::V6(_) => first.to_be_bytes().into(),
        }
    }
}

/// An address as a number, and how many bits it has.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    }
}

impl Quantity {
    /// Each with its name, which is that of the JSON field.
    pub const ALL: [(Self, &str); 7] = [
        (Self::Packets, "packets"),
        (Self::Bytes, "bytes"),
        (Self::Tos, "tos"),
        (Self::MinTtl, "min_ttl"),
        (Self::MaxTtl, "max_ttl"),
        (Self::IfIndex, "if_index"),
        (Self::Sampling, "sampling"),
    ];

    fn of(self, flow: &FlowJson<'_>) -> Option<u64> {
        match self {
            Self::Packets => flow.packets,
            Self::Bytes => flow.bytes,
            Self::Tos => flow.tos.map(u64::from),
            Self::MinTtl => flow.min_ttl.map(u64::from),
            Self::MaxTtl => flow.max_ttl.map(u64::from),
            Self::IfIndex => flow.if_index.map(u64::from),
            Self::Sampling => flow.sampling.map(u64::from),
        }
    }
}

impl Comparison {
    fn holds(self, left: u64, right: u64) -> bool {
        match self {
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::GreaterOrEqual => left >= right,
            Self::Greater => left > right,
        }
    }
}

#[cfg(test)]
mod tests;
