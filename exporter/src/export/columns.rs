//! Every element that the meter can fill, once: its lengths, the records that have it, and where
//! its value comes from. All layouts of records are lists over this table.
//!
//! An element is in the table only where a [`Record`] tells its value honestly, for every record of
//! the kinds it applies to.

use super::kinds::{Family, RecordKind};
use crate::config::Profile;
use crate::record::Record;
use ebpfix_probes::abi::DIRECTION_INGRESS;
use ipfix::{AbstractType, Element, LayoutBuilder, Protocol, VARIABLE_LENGTH, elements as e};
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

/// Octets of an interface's name as a field of fixed length (the kernel's names have at most 15).
const NAME_OCTETS: u16 = 16;

/// An element that the meter can fill.
pub struct Column {
    /// The element.
    pub element: Element,
    lengths: Lengths,
    applies: Applies,
    add: Add,
}

/// Lengths in octets.
#[derive(Clone, Copy)]
struct Lengths {
    /// Where a list says none; `None`: it has to.
    default: Option<u16>,
    /// The least: what is shorter could not hold every value.
    least: u16,
    /// The most.
    most: u16,
}

type Applies = fn(Protocol, RecordKind) -> bool;
type Add = fn(LayoutBuilder<Record>, Element, u16) -> LayoutBuilder<Record>;

const EVERY: Applies = |_, _| true;
const IPV4: Applies = |_, kind| kind.family == Family::Ipv4;
const IPV6: Applies = |_, kind| kind.family == Family::Ipv6;
const IP: Applies = |_, kind| kind.family != Family::Layer2;
const IP_EGRESS: Applies = |_, kind| kind.family != Family::Layer2 && kind.egress;
const INGRESS: Applies = |_, kind| !kind.egress;
const EGRESS: Applies = |_, kind| kind.egress;
const ICMPV4: Applies = |_, kind| kind.icmp && kind.family == Family::Ipv4;
const ICMPV6: Applies = |_, kind| kind.icmp && kind.family == Family::Ipv6;
/// `NetFlow` v9 has one field for both families (RFC 3954 section 8, `ICMP_TYPE`).
const ICMPV4_OR_V9: Applies =
    |protocol, kind| kind.icmp && (kind.family == Family::Ipv4 || protocol == Protocol::NetflowV9);

/// An unsigned integer or a time.
macro_rules! number {
    ($value:expr) => {
        |layout, element, octets| layout.unsigned(element, octets, $value)
    };
}

/// Octets in their wire form.
macro_rules! octets {
    ($value:expr) => {
        |layout, element, _| layout.octets(element, $value)
    };
}

/// A time of sysUptime.
macro_rules! uptime {
    ($value:expr) => {
        |layout, element, _| layout.uptime(element, $value)
    };
}

/// A time as NTP timestamp.
macro_rules! timestamp {
    ($value:expr) => {
        |layout, element, _| layout.timestamp(element, $value)
    };
}

/// The table, in the order in which people look for things.
pub static COLUMNS: &[Column] = &[
    // Who.
    fixed(
        e::SOURCE_IPV4_ADDRESS,
        IPV4,
        octets!(|r, _| v4(&r.id.src_ip.0)),
    ),
    fixed(
        e::DESTINATION_IPV4_ADDRESS,
        IPV4,
        octets!(|r, _| v4(&r.id.dst_ip.0)),
    ),
    fixed(e::SOURCE_IPV6_ADDRESS, IPV6, octets!(|r, _| r.id.src_ip.0)),
    fixed(
        e::DESTINATION_IPV6_ADDRESS,
        IPV6,
        octets!(|r, _| r.id.dst_ip.0),
    ),
    fixed(
        e::SOURCE_TRANSPORT_PORT,
        IP,
        number!(|r, _| r.id.src_port.into()),
    ),
    fixed(
        e::DESTINATION_TRANSPORT_PORT,
        IP,
        number!(|r, _| r.id.dst_port.into()),
    ),
    fixed(
        e::PROTOCOL_IDENTIFIER,
        IP,
        number!(|r, _| r.id.transport_protocol.into()),
    ),
    fixed(
        e::IP_VERSION,
        IP,
        number!(|r, _| if r.id.src_ip.is_ipv4() { 4 } else { 6 }),
    ),
    fixed(
        e::ICMP_TYPE_CODE_IPV4,
        ICMPV4_OR_V9,
        number!(|r, _| r.id.dst_port.into()),
    ),
    fixed(
        e::ICMP_TYPE_CODE_IPV6,
        ICMPV6,
        number!(|r, _| r.id.dst_port.into()),
    ),
    fixed(
        e::ICMP_TYPE_IPV4,
        ICMPV4,
        number!(|r, _| (r.id.dst_port >> 8).into()),
    ),
    fixed(
        e::ICMP_CODE_IPV4,
        ICMPV4,
        number!(|r, _| (r.id.dst_port & 0xff).into()),
    ),
    fixed(
        e::ICMP_TYPE_IPV6,
        ICMPV6,
        number!(|r, _| (r.id.dst_port >> 8).into()),
    ),
    fixed(
        e::ICMP_CODE_IPV6,
        ICMPV6,
        number!(|r, _| (r.id.dst_port & 0xff).into()),
    ),
    fixed(e::FLOW_ID, EVERY, number!(|r, _| flow_id(r))),
    // How much. What a shorter count cannot hold goes into several records: see `Limits`.
    between(
        e::OCTET_DELTA_COUNT,
        8,
        4,
        EVERY,
        number!(|r, _| r.metrics.bytes),
    ),
    between(
        e::PACKET_DELTA_COUNT,
        8,
        4,
        EVERY,
        number!(|r, _| r.metrics.packets),
    ),
    between(e::DELTA_FLOW_COUNT, 8, 1, EVERY, number!(|_, _| 1)),
    // When.
    fixed(
        e::FLOW_START_SECONDS,
        EVERY,
        number!(|r, _| r.time_flow_start.secs()),
    ),
    fixed(
        e::FLOW_END_SECONDS,
        EVERY,
        number!(|r, _| r.time_flow_end.secs()),
    ),
    fixed(
        e::FLOW_START_MILLISECONDS,
        EVERY,
        number!(|r, _| r.time_flow_start.millis()),
    ),
    fixed(
        e::FLOW_END_MILLISECONDS,
        EVERY,
        number!(|r, _| r.time_flow_end.millis()),
    ),
    fixed(
        e::FLOW_START_MICROSECONDS,
        EVERY,
        timestamp!(|r| nanos(r.time_flow_start.nanos())),
    ),
    fixed(
        e::FLOW_END_MICROSECONDS,
        EVERY,
        timestamp!(|r| nanos(r.time_flow_end.nanos())),
    ),
    fixed(
        e::FLOW_START_NANOSECONDS,
        EVERY,
        timestamp!(|r| nanos(r.time_flow_start.nanos())),
    ),
    fixed(
        e::FLOW_END_NANOSECONDS,
        EVERY,
        timestamp!(|r| nanos(r.time_flow_end.nanos())),
    ),
    fixed(
        e::FLOW_START_SYS_UP_TIME,
        EVERY,
        uptime!(|r| r.time_flow_start.millis()),
    ),
    fixed(
        e::FLOW_END_SYS_UP_TIME,
        EVERY,
        uptime!(|r| r.time_flow_end.millis()),
    ),
    fixed(
        e::SYSTEM_INIT_TIME_MILLISECONDS,
        EVERY,
        number!(|_, context| context.system_init_ms),
    ),
    fixed(
        e::FLOW_DURATION_MILLISECONDS,
        EVERY,
        number!(|r, _| duration_ns(r) / 1_000_000),
    ),
    fixed(
        e::FLOW_DURATION_MICROSECONDS,
        EVERY,
        number!(|r, _| duration_ns(r) / 1_000),
    ),
    fixed(
        e::FLOW_END_REASON,
        EVERY,
        number!(|r, _| r.end_reason.value().into()),
    ),
    // What kind of packets.
    fixed(
        e::IP_CLASS_OF_SERVICE,
        IP,
        number!(|r, _| r.metrics.tos.into()),
    ),
    fixed(
        e::POST_IP_CLASS_OF_SERVICE,
        IP_EGRESS,
        number!(|r, _| r.metrics.tos.into()),
    ),
    fixed(
        e::IP_DIFF_SERV_CODE_POINT,
        IP,
        number!(|r, _| (r.metrics.tos >> 2).into()),
    ),
    fixed(
        e::POST_IP_DIFF_SERV_CODE_POINT,
        IP_EGRESS,
        number!(|r, _| (r.metrics.tos >> 2).into()),
    ),
    fixed(
        e::IP_PRECEDENCE,
        IP,
        number!(|r, _| (r.metrics.tos >> 5).into()),
    ),
    fixed(
        e::POST_IP_PRECEDENCE,
        IP_EGRESS,
        number!(|r, _| (r.metrics.tos >> 5).into()),
    ),
    // One octet where nothing is said: some collectors read no flags at all from two (RFC 9565
    // allows both).
    between(
        e::TCP_CONTROL_BITS,
        1,
        1,
        IP,
        number!(|r, _| r.metrics.flags.into()),
    ),
    fixed(e::MINIMUM_TTL, IP, number!(|r, _| r.metrics.min_ttl.into())),
    fixed(e::MAXIMUM_TTL, IP, number!(|r, _| r.metrics.max_ttl.into())),
    // Where.
    fixed(
        e::INGRESS_INTERFACE,
        EVERY,
        number!(|r, _| if is_ingress(r) {
            r.id.if_index.into()
        } else {
            0
        }),
    ),
    fixed(
        e::EGRESS_INTERFACE,
        EVERY,
        number!(|r, _| if is_ingress(r) {
            0
        } else {
            r.id.if_index.into()
        }),
    ),
    Column {
        element: e::INTERFACE_NAME,
        lengths: Lengths {
            default: Some(VARIABLE_LENGTH),
            least: NAME_OCTETS - 1,
            most: 255,
        },
        applies: EVERY,
        add: |layout, element, octets| match octets {
            VARIABLE_LENGTH => layout.variable(element, |r| r.interface.as_bytes()),
            octets => layout.text(element, octets, |r| &r.interface),
        },
    },
    fixed(
        e::FLOW_DIRECTION,
        EVERY,
        number!(|r, _| (!is_ingress(r)).into()),
    ),
    // The Observation Point is the interface.
    between(
        e::OBSERVATION_POINT_ID,
        8,
        4,
        EVERY,
        number!(|r, _| r.id.if_index.into()),
    ),
    fixed(
        e::SOURCE_MAC_ADDRESS,
        INGRESS,
        octets!(|r, _| r.id.src_mac.0),
    ),
    fixed(
        e::DESTINATION_MAC_ADDRESS,
        INGRESS,
        octets!(|r, _| r.id.dst_mac.0),
    ),
    fixed(
        e::POST_SOURCE_MAC_ADDRESS,
        EGRESS,
        octets!(|r, _| r.id.src_mac.0),
    ),
    fixed(
        e::POST_DESTINATION_MAC_ADDRESS,
        EGRESS,
        octets!(|r, _| r.id.dst_mac.0),
    ),
    fixed(e::VLAN_ID, EVERY, number!(|r, _| r.id.vlan_id.into())),
    fixed(e::POST_VLAN_ID, EGRESS, number!(|r, _| r.id.vlan_id.into())),
    fixed(e::DOT1Q_VLAN_ID, EVERY, number!(|r, _| r.id.vlan_id.into())),
    fixed(
        e::POST_DOT1Q_VLAN_ID,
        EGRESS,
        number!(|r, _| r.id.vlan_id.into()),
    ),
    fixed(
        e::DOT1Q_CUSTOMER_VLAN_ID,
        EVERY,
        number!(|r, _| r.id.customer_vlan_id.into()),
    ),
    fixed(
        e::POST_DOT1Q_CUSTOMER_VLAN_ID,
        EGRESS,
        number!(|r, _| r.id.customer_vlan_id.into()),
    ),
    fixed(
        e::ETHERNET_TYPE,
        EVERY,
        number!(|r, _| r.id.eth_protocol.into()),
    ),
    // By whom, and how.
    fixed(
        e::EXPORTER_IPV4_ADDRESS,
        EVERY,
        octets!(|r, _| match r.agent_ip {
            IpAddr::V4(ip) => ip.octets(),
            IpAddr::V6(_) => [0; 4],
        }),
    ),
    fixed(
        e::EXPORTER_IPV6_ADDRESS,
        EVERY,
        octets!(|r, _| match r.agent_ip {
            IpAddr::V4(_) => [0; 16],
            IpAddr::V6(ip) => ip.octets(),
        }),
    ),
    fixed(
        e::METERING_PROCESS_ID,
        EVERY,
        number!(|_, _| std::process::id().into()),
    ),
    fixed(
        e::EXPORTING_PROCESS_ID,
        EVERY,
        number!(|_, _| std::process::id().into()),
    ),
    fixed(
        e::SAMPLING_INTERVAL,
        EVERY,
        number!(|r, _| r.id.sampling.into()),
    ),
    fixed(e::SAMPLING_ALGORITHM, EVERY, number!(|_, _| AT_RANDOM)),
    fixed(e::SAMPLER_MODE, EVERY, number!(|_, _| AT_RANDOM)),
    fixed(
        e::SAMPLER_RANDOM_INTERVAL,
        EVERY,
        number!(|r, _| r.id.sampling.into()),
    ),
    // Each packet is chosen by itself: no n of N, and no interval and space (RFC 5477 section 8.2.6).
    fixed(e::SAMPLING_PROBABILITY, EVERY, |layout, element, _| {
        layout.float64(element, |r, _| 1.0 / f64::from(r.id.sampling.max(1)))
    }),
    Column {
        element: e::PADDING_OCTETS,
        lengths: Lengths {
            default: None,
            least: 1,
            most: 255,
        },
        applies: EVERY,
        add: |layout, element, octets| layout.raw(element, octets, |_, _, _| ()),
    },
];

/// The elements that tell a part of the Flow Key, but for the interfaces.
const FLOW_KEYS: &[Element] = &[
    e::SOURCE_IPV4_ADDRESS,
    e::DESTINATION_IPV4_ADDRESS,
    e::SOURCE_IPV6_ADDRESS,
    e::DESTINATION_IPV6_ADDRESS,
    e::SOURCE_TRANSPORT_PORT,
    e::DESTINATION_TRANSPORT_PORT,
    e::PROTOCOL_IDENTIFIER,
    e::IP_VERSION,
    e::ICMP_TYPE_CODE_IPV4,
    e::ICMP_TYPE_CODE_IPV6,
    e::ICMP_TYPE_IPV4,
    e::ICMP_CODE_IPV4,
    e::ICMP_TYPE_IPV6,
    e::ICMP_CODE_IPV6,
    e::OBSERVATION_POINT_ID,
    e::FLOW_DIRECTION,
    e::SOURCE_MAC_ADDRESS,
    e::DESTINATION_MAC_ADDRESS,
    e::POST_SOURCE_MAC_ADDRESS,
    e::POST_DESTINATION_MAC_ADDRESS,
    e::VLAN_ID,
    e::POST_VLAN_ID,
    e::DOT1Q_VLAN_ID,
    e::POST_DOT1Q_VLAN_ID,
    e::DOT1Q_CUSTOMER_VLAN_ID,
    e::POST_DOT1Q_CUSTOMER_VLAN_ID,
    e::ETHERNET_TYPE,
    e::SAMPLING_INTERVAL,
];

/// `samplingAlgorithm` and `samplerMode` of random sampling.
const AT_RANDOM: u64 = 2;

/// A column of its natural length.
const fn fixed(element: Element, applies: Applies, add: Add) -> Column {
    let octets = natural(element);
    Column {
        element,
        lengths: Lengths {
            default: Some(octets),
            least: octets,
            most: octets,
        },
        applies,
        add,
    }
}

/// A column of which `least` octets hold every value (RFC 7011 section 6.2).
const fn between(element: Element, default: u16, least: u16, applies: Applies, add: Add) -> Column {
    Column {
        element,
        lengths: Lengths {
            default: Some(default),
            least,
            most: natural(element),
        },
        applies,
        add,
    }
}

/// The table has no element of free length but those that say their lengths.
const fn natural(element: Element) -> u16 {
    match element.data_type().natural_length() {
        Some(octets) => octets,
        None => panic!("an element of free length"),
    }
}

impl Column {
    /// The column of the element of this name; names are IANA's, case and all.
    pub fn named(name: &str) -> Option<&'static Self> {
        COLUMNS.iter().find(|column| column.element.name() == name)
    }

    /// The column of an element.
    pub fn of(element: Element) -> Option<&'static Self> {
        COLUMNS.iter().find(|column| column.element == element)
    }

    /// Whether the protocol has a form for its values.
    ///
    /// `NetFlow` v9 knows numbers, addresses and text of fixed length; NTP timestamps came with IPFIX
    /// (RFC 7011 section 6.1.9).
    pub fn is_carried_by(&self, protocol: Protocol) -> bool {
        let ntp = matches!(
            self.element.data_type(),
            AbstractType::DateTimeMicroseconds | AbstractType::DateTimeNanoseconds
        );
        protocol == Protocol::Ipfix || !ntp
    }

    /// Whether records of this kind have it.
    pub fn applies_to(&self, protocol: Protocol, kind: RecordKind) -> bool {
        (self.applies)(protocol, kind)
    }

    /// Whether it tells a part of the Flow Key ([`FlowId`](ebpfix_probes::abi::FlowId)) in records of
    /// this kind: what all packets of a flow have in common.
    pub fn is_flow_key(&self, kind: RecordKind) -> bool {
        match self.element {
            // The other one is not known.
            e::INGRESS_INTERFACE => !kind.egress,
            e::EGRESS_INTERFACE => kind.egress,
            element => FLOW_KEYS.contains(&element),
        }
    }

    /// The lengths in octets that a list may give.
    pub fn lengths(&self) -> std::ops::RangeInclusive<u16> {
        self.lengths.least..=self.lengths.most
    }

    /// Whether a list has to give the length.
    pub fn needs_length(&self) -> bool {
        self.lengths.default.is_none()
    }

    /// Whether it may stand in a list more than once.
    pub fn may_repeat(&self) -> bool {
        self.element == e::PADDING_OCTETS
    }
}

/// The table has an element once.
impl PartialEq for Column {
    fn eq(&self, other: &Self) -> bool {
        self.element == other.element
    }
}

impl Eq for Column {}

impl fmt::Debug for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.element)
    }
}

/// An element of a list, and the length in octets if the list says one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listed {
    /// The element.
    pub column: &'static Column,
    octets: Option<u16>,
}

impl Listed {
    /// `None` where the column may not have this length.
    pub fn new(column: &'static Column, octets: Option<u16>) -> Option<Self> {
        let fits = match octets {
            Some(octets) => column.lengths().contains(&octets),
            None => !column.needs_length(),
        };
        fits.then_some(Self { column, octets })
    }

    /// The length in octets on the wire, or [`VARIABLE_LENGTH`].
    pub fn octets(&self, protocol: Protocol) -> u16 {
        let given = self.octets.or(self.column.lengths.default);
        match (given, protocol) {
            (Some(VARIABLE_LENGTH), Protocol::NetflowV9) => NAME_OCTETS,
            (Some(octets), _) => octets,
            // `new` does not allow it.
            (None, _) => self.column.lengths.least,
        }
    }

    /// The same, or if it is variable, what the longest value takes.
    fn longest(&self, protocol: Protocol) -> u16 {
        match self.octets(protocol) {
            // One octet for the length of a name of 15.
            VARIABLE_LENGTH => NAME_OCTETS,
            octets => octets,
        }
    }

    /// Adds the column to a layout.
    pub(super) fn add(
        &self,
        protocol: Protocol,
        layout: LayoutBuilder<Record>,
    ) -> LayoutBuilder<Record> {
        (self.column.add)(layout, self.column.element, self.octets(protocol))
    }

    /// Adds a column of fixed length that holds the longest value.
    pub(super) fn add_longest(
        &self,
        protocol: Protocol,
        layout: LayoutBuilder<Record>,
    ) -> LayoutBuilder<Record> {
        (self.column.add)(layout, self.column.element, self.longest(protocol))
    }
}

impl fmt::Display for Listed {
    /// As it stands in a configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.column.element.name())?;
        match self.octets {
            Some(octets) => write!(f, "/{octets}"),
            None => Ok(()),
        }
    }
}

/// What is left of the default profile in the compact one.
const COMPACT: [Element; 16] = [
    e::SOURCE_IPV4_ADDRESS,
    e::DESTINATION_IPV4_ADDRESS,
    e::SOURCE_IPV6_ADDRESS,
    e::DESTINATION_IPV6_ADDRESS,
    e::OCTET_DELTA_COUNT,
    e::PACKET_DELTA_COUNT,
    e::FLOW_START_MILLISECONDS,
    e::FLOW_END_MILLISECONDS,
    e::FLOW_START_SYS_UP_TIME,
    e::FLOW_END_SYS_UP_TIME,
    e::SOURCE_TRANSPORT_PORT,
    e::DESTINATION_TRANSPORT_PORT,
    e::PROTOCOL_IDENTIFIER,
    e::TCP_CONTROL_BITS,
    e::INGRESS_INTERFACE,
    e::EGRESS_INTERFACE,
];

/// What the full profile has beside the default one.
const FULL: [Element; 6] = [
    e::FLOW_ID,
    e::FLOW_DURATION_MILLISECONDS,
    e::IP_DIFF_SERV_CODE_POINT,
    e::OBSERVATION_POINT_ID,
    e::INTERFACE_NAME,
    e::SAMPLING_INTERVAL,
];

/// Elements of the table in their usual lengths. Those of the profiles are all there (tested).
fn usual(elements: impl IntoIterator<Item = Element>) -> impl Iterator<Item = Listed> {
    elements
        .into_iter()
        .filter_map(|element| Listed::new(Column::of(element)?, None))
}

/// The elements of a collector's records, in their order: from them come its layouts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Elements(Vec<Listed>);

impl Elements {
    /// A list; `None` where it is empty or has an element twice that may not repeat.
    pub fn new(list: Vec<Listed>) -> Option<Self> {
        let repeats = list.iter().enumerate().any(|(index, listed)| {
            !listed.column.may_repeat()
                && list[..index]
                    .iter()
                    .any(|before| before.column == listed.column)
        });
        (!list.is_empty() && !repeats).then_some(Self(list))
    }

    /// The elements of a profile, in the order in which records have them.
    pub fn of_profile(profile: Profile, protocol: Protocol) -> Self {
        let mut elements = Self::of_default_profile(protocol);
        match profile {
            Profile::Standard => {}
            Profile::Compact => elements
                .0
                .retain(|listed| COMPACT.contains(&listed.column.element)),
            Profile::Full => elements.0.extend(usual(FULL)),
        }
        elements
    }

    /// The elements that every known collector decodes whole: IANA's only, one octet of TCP flags,
    /// times in milliseconds.
    pub fn of_default_profile(protocol: Protocol) -> Self {
        // Totals first: collectors that read a record only in part have the numbers.
        let mut list = vec![
            e::SOURCE_IPV4_ADDRESS,
            e::DESTINATION_IPV4_ADDRESS,
            e::SOURCE_IPV6_ADDRESS,
            e::DESTINATION_IPV6_ADDRESS,
            e::OCTET_DELTA_COUNT,
            e::PACKET_DELTA_COUNT,
        ];
        list.extend(match protocol {
            Protocol::Ipfix => [e::FLOW_START_MILLISECONDS, e::FLOW_END_MILLISECONDS],
            Protocol::NetflowV9 | Protocol::NetflowV5 => {
                [e::FLOW_START_SYS_UP_TIME, e::FLOW_END_SYS_UP_TIME]
            }
        });
        list.extend([
            e::SOURCE_TRANSPORT_PORT,
            e::DESTINATION_TRANSPORT_PORT,
            e::PROTOCOL_IDENTIFIER,
            e::IP_VERSION,
            e::IP_CLASS_OF_SERVICE,
            e::TCP_CONTROL_BITS,
            e::MINIMUM_TTL,
            e::MAXIMUM_TTL,
            e::ICMP_TYPE_CODE_IPV4,
        ]);
        if protocol == Protocol::Ipfix {
            // In NetFlow v9, collectors that do not know it would take the port to be 0.
            list.push(e::ICMP_TYPE_CODE_IPV6);
        }
        list.extend([
            e::INGRESS_INTERFACE,
            e::EGRESS_INTERFACE,
            e::SOURCE_MAC_ADDRESS,
            e::DESTINATION_MAC_ADDRESS,
            e::POST_SOURCE_MAC_ADDRESS,
            e::POST_DESTINATION_MAC_ADDRESS,
            e::VLAN_ID,
            e::DOT1Q_VLAN_ID,
            e::DOT1Q_CUSTOMER_VLAN_ID,
            e::ETHERNET_TYPE,
            e::FLOW_DIRECTION,
            e::FLOW_END_REASON,
        ]);
        Self(usual(list).collect())
    }

    /// The list.
    pub fn list(&self) -> &[Listed] {
        &self.0
    }

    /// Those that records of this kind have.
    pub(super) fn of_kind(
        &self,
        protocol: Protocol,
        kind: RecordKind,
    ) -> impl Iterator<Item = &Listed> {
        self.0
            .iter()
            .filter(move |listed| listed.column.applies_to(protocol, kind))
    }

    /// `flowKeyIndicator` of records of this kind: the n-th least significant bit is set where the n-th
    /// field is a Flow Key. There are bits for 64 fields.
    pub(super) fn flow_keys(&self, protocol: Protocol, kind: RecordKind) -> u64 {
        self.of_kind(protocol, kind)
            .zip(0..u64::BITS)
            .filter(|(listed, _)| listed.column.is_flow_key(kind))
            .fold(0, |keys, (_, bit)| keys | 1 << bit)
    }

    /// Whether there are times of sysUptime in the list, which mean nothing but with the time of its
    /// zero.
    pub(super) fn needs_system_init(&self) -> bool {
        self.0.iter().any(|listed| {
            let element = listed.column.element;
            element == e::FLOW_START_SYS_UP_TIME || element == e::FLOW_END_SYS_UP_TIME
        })
    }

    /// What a record may count at most.
    pub fn limits(&self) -> Limits {
        let largest = |element| {
            let octets = self
                .0
                .iter()
                .find(|listed| listed.column.element == element)
                .and_then(|listed| listed.octets);
            match octets {
                Some(octets @ 1..8) => (1 << (8 * octets)) - 1,
                _ => u64::MAX,
            }
        };
        Limits {
            packets: largest(e::PACKET_DELTA_COUNT),
            octets: largest(e::OCTET_DELTA_COUNT),
        }
    }
}

/// What one record can count at most.
///
/// A field that is too short for a count would have to tell less than was counted. So a record above
/// a limit becomes several ([`Limits::split`]), each with a share of packets and octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Packets.
    pub packets: u64,
    /// Octets.
    pub octets: u64,
}

impl Limits {
    /// Counts of 64 bits.
    pub const NONE: Self = Self {
        packets: u64::MAX,
        octets: u64::MAX,
    };

    /// The lower of both, each.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self {
            packets: self.packets.min(other.packets),
            octets: self.octets.min(other.octets),
        }
    }

    /// Replaces records above the limits by as few as can hold their counts, with all else alike.
    /// The sums stay.
    pub fn split(self, records: Vec<Record>) -> Vec<Record> {
        let fits = |record: &Record| {
            record.metrics.packets <= self.packets && record.metrics.bytes <= self.octets
        };
        if records.iter().all(fits) {
            return records;
        }
        let mut split = Vec::with_capacity(records.len() + 1);
        for record in records {
            let parts = self.parts(&record);
            for part in 0..parts {
                let mut record = record.clone();
                record.metrics.packets = share(record.metrics.packets, part, parts);
                record.metrics.bytes = share(record.metrics.bytes, part, parts);
                split.push(record);
            }
        }
        split
    }

    /// Records that it takes to hold the counts of this one.
    fn parts(self, record: &Record) -> u64 {
        let packets = record.metrics.packets.div_ceil(self.packets.max(1));
        let octets = record.metrics.bytes.div_ceil(self.octets.max(1));
        packets.max(octets).max(1)
    }
}

/// A part of `count` of which all are as even as whole numbers can be.
fn share(count: u64, part: u64, parts: u64) -> u64 {
    count / parts + u64::from(part < count % parts)
}

fn is_ingress(record: &Record) -> bool {
    record.id.direction == DIRECTION_INGRESS
}

/// The last four octets of an IPv4-mapped address.
fn v4(ip: &[u8; 16]) -> [u8; 4] {
    [ip[12], ip[13], ip[14], ip[15]]
}

/// The IPFIX types have no time before 1970.
fn nanos(unix_ns: i64) -> u64 {
    u64::try_from(unix_ns).unwrap_or(0)
}

fn duration_ns(record: &Record) -> u64 {
    let ns = record
        .time_flow_end
        .nanos()
        .saturating_sub(record.time_flow_start.nanos());
    nanos(ns)
}

/// A hash of the Flow Key: the same in every record of a flow, and in no two flows but by a chance
/// of 1 in 2^64.
fn flow_id(record: &Record) -> u64 {
    let mut hasher = DefaultHasher::new();
    record.id.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
