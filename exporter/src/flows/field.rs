//! The fields of a flow by their names, which are those of its JSON.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ebpfix_probes::abi::MacAddress;
use serde::{Deserialize, Serialize, Serializer};

use crate::record::{FlowJson, UnixTime};

macro_rules! fields {
    ($($field:ident: $name:literal, $kind:ident, $doc:literal;)*) => {
        /// A field of a flow, or of a sum of flows.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
        #[serde(try_from = "Cow<str>", into = "&str")]
        pub enum Field {
            $(#[doc = $doc] $field,)*
        }

        impl Field {
            /// Every field, in the order in which they are shown.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$field),*];

            /// The name, in JSON and on the command line. It never changes.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$field => $name,)* }
            }

            /// What it means, in one line.
            pub const fn description(self) -> &'static str {
                match self { $(Self::$field => $doc,)* }
            }

            /// What kind of field it is.
            const fn kind(self) -> Kind {
                match self { $(Self::$field => Kind::$kind,)* }
            }
        }
    };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Tells flows apart.
    Key,
    /// The same, and tells at which place of this host: the same packets may be seen at others.
    Place,
    /// Is added up.
    Sum,
    /// Of single flows only.
    Single,
}

fields! {
    Src: "src", Key, "Source address.";
    Dst: "dst", Key, "Destination address.";
    Proto: "proto", Key, "Protocol, a number of IANA's.";
    Sport: "sport", Key, "Source port.";
    Dport: "dport", Key, "Destination port; of ICMP 256 times the type plus the code.";
    Service: "service", Key, "The lower of the two ports, as a rule that of the server.";
    Flows: "flows", Sum, "Flows in the sum.";
    Packets: "packets", Sum, "Packets.";
    Bytes: "bytes", Sum, "IP octets.";
    Start: "start", Sum, "Time of the first packet, RFC 3339, UTC.";
    End: "end", Sum, "Time of the last packet, RFC 3339, UTC.";
    TcpFlags: "tcp_flags", Sum, "All TCP flags seen, a number.";
    EndReason: "end_reason", Single, "flowEndReason, a number; of a flow that goes on there is none.";
    Direction: "direction", Place, "0: entering, 1: leaving.";
    IfIndex: "if_index", Place, "Index of the interface.";
    SrcMac: "src_mac", Place, "Source MAC address.";
    DstMac: "dst_mac", Place, "Destination MAC address.";
    Interface: "interface", Place, "Name of the interface.";
    Vlan: "vlan", Place, "Identifier of the outer VLAN; 0: none.";
    CustomerVlan: "customer_vlan", Place, "Identifier of the inner VLAN; 0: none.";
    EthType: "eth_type", Key, "Ethertype, a number.";
    Tos: "tos", Key, "ipClassOfService of the first packet.";
    MinTtl: "min_ttl", Single, "Least TTL or hop limit.";
    MaxTtl: "max_ttl", Single, "Greatest TTL or hop limit.";
    Sampling: "sampling", Key, "Packets were counted 1 in this many.";
    Duplicate: "duplicate", Place, "Whether the same packets are counted in another flow.";
}

/// A field's value.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Value {
    /// Not known.
    None,
    /// A number.
    Number(u64),
    /// An address.
    Address(IpAddr),
    /// A MAC address.
    Mac(MacAddress),
    /// Yes or no.
    Truth(bool),
    /// A time of day.
    Time(UnixTime),
    /// A name.
    Text(Box<str>),
}

impl Field {
    /// Whether flows can be added up by it.
    pub fn is_key(self) -> bool {
        matches!(self.kind(), Kind::Key | Kind::Place)
    }

    /// Whether it tells at which place of this host a flow was seen.
    pub fn is_place(self) -> bool {
        self.kind() == Kind::Place
    }

    /// Whether a sum of flows has it beside its keys.
    pub fn is_sum(self) -> bool {
        self.kind() == Kind::Sum
    }

    /// The fields of a single flow.
    pub fn of_flows() -> impl Iterator<Item = Self> {
        Self::ALL
            .into_iter()
            .filter(|field| !matches!(field, Self::Flows | Self::Service | Self::EndReason))
    }

    /// The fields of a sum by `keys`.
    pub fn of_sums(keys: &[Self]) -> impl Iterator<Item = Self> {
        let sums = Self::ALL.into_iter().filter(|field| field.is_sum());
        keys.iter().copied().chain(sums)
    }

    /// Its value in a flow.
    pub fn of(self, flow: &FlowJson<'_>) -> Value {
        fn number<T: Into<u64>>(number: Option<T>) -> Value {
            number.map_or(Value::None, |number| Value::Number(number.into()))
        }
        let address = |address: Option<IpAddr>| address.map_or(Value::None, Value::Address);
        let mac = |mac: Option<MacAddress>| mac.map_or(Value::None, Value::Mac);
        let time = |time: Option<UnixTime>| time.map_or(Value::None, Value::Time);
        match self {
            Self::Src => address(flow.src),
            Self::Dst => address(flow.dst),
            Self::Proto => number(flow.proto),
            Self::Sport => number(flow.sport),
            Self::Dport => number(flow.dport),
            Self::Service => number(service(flow)),
            Self::Flows => Value::Number(1),
            Self::Packets => number(flow.packets),
            Self::Bytes => number(flow.bytes),
            Self::Start => time(flow.start),
            Self::End => time(flow.end),
            Self::TcpFlags => number(flow.tcp_flags),
            Self::EndReason => number(flow.end_reason),
            Self::Direction => number(flow.direction),
            Self::IfIndex => number(flow.if_index),
            Self::SrcMac => mac(flow.src_mac),
            Self::DstMac => mac(flow.dst_mac),
            Self::Interface => flow
                .interface
                .as_deref()
                .map_or(Value::None, |name| Value::Text(name.into())),
            Self::Vlan => number(flow.vlan),
            Self::CustomerVlan => number(flow.customer_vlan),
            Self::EthType => number(flow.eth_type),
            Self::Tos => number(flow.tos),
            Self::MinTtl => number(flow.min_ttl),
            Self::MaxTtl => number(flow.max_ttl),
            Self::Sampling => number(flow.sampling),
            Self::Duplicate => flow.duplicate.map_or(Value::None, Value::Truth),
        }
    }
}

/// Without ports there is no service; of ICMP it is type and code.
fn service(flow: &FlowJson<'_>) -> Option<u16> {
    const ICMP: u8 = 1;
    const ICMPV6: u8 = 58;
    match (flow.proto, flow.sport, flow.dport) {
        (Some(ICMP | ICMPV6), _, dport) => dport,
        (_, Some(sport), Some(dport)) => Some(sport.min(dport)),
        (_, sport, dport) => sport.or(dport),
    }
}

/// A name that no field has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownField(String);

impl fmt::Display for UnknownField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Field::ALL.iter().map(|field| field.name()).collect();
        write!(f, "no field is called {:?}", self.0)?;
        let near = names
            .iter()
            .map(|name| (strsim::osa_distance(name, &self.0), *name))
            .min();
        match near {
            Some((1..=2, name)) => write!(f, "; is {name:?} meant?"),
            _ => write!(f, "; fields are: {}", names.join(", ")),
        }
    }
}

impl std::error::Error for UnknownField {}

impl FromStr for Field {
    type Err = UnknownField;

    fn from_str(name: &str) -> Result<Self, UnknownField> {
        Self::ALL
            .into_iter()
            .find(|field| field.name() == name)
            .ok_or_else(|| UnknownField(name.to_owned()))
    }
}

impl TryFrom<Cow<'_, str>> for Field {
    type Error = UnknownField;

    fn try_from(name: Cow<'_, str>) -> Result<Self, UnknownField> {
        name.parse()
    }
}

impl From<Field> for &'static str {
    fn from(field: Field) -> Self {
        field.name()
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => s.serialize_none(),
            Self::Number(number) => s.serialize_u64(*number),
            Self::Address(address) => address.serialize(s),
            Self::Mac(mac) => mac.serialize(s),
            Self::Truth(truth) => s.serialize_bool(*truth),
            Self::Time(time) => time.serialize(s),
            Self::Text(text) => s.serialize_str(text),
        }
    }
}
