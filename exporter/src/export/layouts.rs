//! The layouts of what is exported: which elements a record of each kind has, in both protocols.
//!
//! One [`Layout`] is template and encoder at once. The profile is the one that every known
//! collector decodes whole: one template per address family and direction, IANA's elements only,
//! one octet of TCP flags, times in milliseconds.

use crate::record::Record;
use ebpfix_probes::abi::{DIRECTION_EGRESS, DIRECTION_INGRESS};
use ipfix::{Element, Layout, LayoutBuilder, LayoutError, Protocol, elements as e};

/// Octets of an interface's name in options data (the kernel's names have at most 15).
const NAME_OCTETS: u16 = 16;
/// Octets of an interface's description in options data.
const DESCRIPTION_OCTETS: u16 = 32;

/// The first Template ID; those of records follow in the order of [`RecordKind::ALL`].
const FIRST_TEMPLATE: u16 = 256;
const INTERFACE_TEMPLATE: u16 = 300;
const SAMPLING_TEMPLATE: u16 = 301;
const METERING_TEMPLATE: u16 = 302;
const EXPORTING_TEMPLATE: u16 = 303;
const NOT_SENT_TEMPLATE: u16 = 304;

/// Elements that one kind of record has and another has not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Family {
    Ipv4,
    Ipv6,
    Layer2,
}

/// A kind of record: what decides its layout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct RecordKind {
    family: Family,
    egress: bool,
    icmp: bool,
}

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

impl RecordKind {
    const ALL: [Self; 10] = [
        Self::new(Family::Ipv4, false, false),
        Self::new(Family::Ipv4, true, false),
        Self::new(Family::Ipv6, false, false),
        Self::new(Family::Ipv6, true, false),
        Self::new(Family::Ipv4, false, true),
        Self::new(Family::Ipv4, true, true),
        Self::new(Family::Ipv6, false, true),
        Self::new(Family::Ipv6, true, true),
        Self::new(Family::Layer2, false, false),
        Self::new(Family::Layer2, true, false),
    ];

    const fn new(family: Family, egress: bool, icmp: bool) -> Self {
        Self {
            family,
            egress,
            icmp,
        }
    }
}

/// The place of a record's layout in [`Layouts::records`], the same in every protocol.
pub(super) fn position(record: &Record) -> usize {
    let egress = usize::from(record.id.direction == DIRECTION_EGRESS);
    if record.id.is_layer_2() {
        return 8 + egress;
    }
    let (family, icmp) = if record.id.src_ip.is_ipv4() {
        (0, record.id.transport_protocol == ICMP)
    } else {
        (2, record.id.transport_protocol == ICMPV6)
    };
    family + egress + if icmp { 4 } else { 0 }
}

/// An interface, as options data tell it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InterfaceRecord {
    /// `ingressInterface`.
    pub index: u32,
    /// `interfaceName`.
    pub name: String,
    /// `interfaceDescription`: the operator's alias, or the name.
    pub description: String,
}

/// How packets were selected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sampling {
    /// `observationDomainId`.
    pub domain: u32,
    /// `samplingInterval`: 1 in this many packets.
    pub interval: u32,
}

/// What the Metering Process lost (RFC 7011 section 4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MeteringReliability {
    /// `observationDomainId`.
    pub domain: u32,
    /// `ignoredPacketTotalCount`.
    pub ignored_packets: u64,
    /// `ignoredOctetTotalCount`.
    pub ignored_octets: u64,
    /// Milliseconds since 1970 of the first and the last that were ignored.
    pub first_ms: u64,
    /// See `first_ms`.
    pub last_ms: u64,
}

/// What the Exporting Process sent (RFC 7011 section 4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExportingStatistics {
    /// `observationDomainId`.
    pub domain: u32,
    /// `exportedMessageTotalCount`.
    pub messages: u64,
    /// `exportedOctetTotalCount`: octets of messages.
    pub octets: u64,
    /// `exportedFlowRecordTotalCount`.
    pub flows: u64,
}

/// What the Exporting Process did not send (RFC 7011 section 4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExportingReliability {
    /// `exportingProcessId`.
    pub process: u32,
    /// `notSentFlowTotalCount`.
    pub not_sent_flows: u64,
    /// `notSentPacketTotalCount`.
    pub not_sent_packets: u64,
    /// `notSentOctetTotalCount`.
    pub not_sent_octets: u64,
    /// Milliseconds since 1970 of the first and the last that were not sent; 0: never.
    pub first_ms: u64,
    /// See `first_ms`.
    pub last_ms: u64,
}

/// Every layout of a Transport Session.
pub struct Layouts {
    records: Vec<Layout<Record>>,
    /// Names of interfaces.
    pub interfaces: Layout<InterfaceRecord>,
    /// The sampling interval.
    pub sampling: Layout<Sampling>,
    /// Reliability of the Metering Process; IPFIX only.
    pub metering: Option<Layout<MeteringReliability>>,
    /// Statistics of the Exporting Process; IPFIX only.
    pub exporting: Option<Layout<ExportingStatistics>>,
    /// Reliability of the Exporting Process; IPFIX only.
    pub not_sent: Option<Layout<ExportingReliability>>,
}

impl Layouts {
    /// The default profile.
    pub fn new(protocol: Protocol) -> Result<Self, LayoutError> {
        let records = RecordKind::ALL
            .into_iter()
            .zip(FIRST_TEMPLATE..)
            .map(|(kind, template)| record_layout(protocol, template, kind))
            .collect::<Result<_, _>>()?;
        let ipfix = protocol == Protocol::Ipfix;
        Ok(Self {
            records,
            interfaces: interface_layout(protocol)?,
            sampling: sampling_layout(protocol)?,
            metering: ipfix.then(metering_layout).transpose()?,
            exporting: ipfix.then(exporting_layout).transpose()?,
            not_sent: ipfix.then(not_sent_layout).transpose()?,
        })
    }

    /// The layout of a record.
    pub fn of(&self, record: &Record) -> &Layout<Record> {
        &self.records[position(record)]
    }

    /// The layouts of records.
    pub fn records(&self) -> &[Layout<Record>] {
        &self.records
    }
}

fn record_layout(
    protocol: Protocol,
    template: u16,
    kind: RecordKind,
) -> Result<Layout<Record>, LayoutError> {
    let mut layout = Layout::builder(protocol, template);
    layout = match kind.family {
        Family::Ipv4 => layout
            .octets(e::SOURCE_IPV4_ADDRESS, |r: &Record, _| v4(&r.id.src_ip.0))
            .octets(e::DESTINATION_IPV4_ADDRESS, |r, _| v4(&r.id.dst_ip.0)),
        Family::Ipv6 => layout
            .octets(e::SOURCE_IPV6_ADDRESS, |r: &Record, _| r.id.src_ip.0)
            .octets(e::DESTINATION_IPV6_ADDRESS, |r, _| r.id.dst_ip.0),
        Family::Layer2 => layout,
    };
    // Totals first: collectors that read a record only in part have the numbers.
    layout = layout
        .unsigned(e::OCTET_DELTA_COUNT, 8, |r, _| r.metrics.bytes)
        .unsigned(e::PACKET_DELTA_COUNT, 8, |r, _| r.metrics.packets);
    layout = times(protocol, layout);
    if kind.family != Family::Layer2 {
        layout = layout
            .unsigned(e::SOURCE_TRANSPORT_PORT, 2, |r, _| r.id.src_port.into())
            .unsigned(e::DESTINATION_TRANSPORT_PORT, 2, |r, _| {
                r.id.dst_port.into()
            })
            .unsigned(e::PROTOCOL_IDENTIFIER, 1, |r, _| {
                r.id.transport_protocol.into()
            })
            .unsigned(
                e::IP_VERSION,
                1,
                |r, _| if r.id.src_ip.is_ipv4() { 4 } else { 6 },
            )
            .unsigned(e::IP_CLASS_OF_SERVICE, 1, |r, _| r.metrics.tos.into())
            // One octet: some collectors read no flags at all from two (RFC 7125 allows both).
            .unsigned(e::TCP_CONTROL_BITS, 1, |r, _| r.metrics.flags.into())
            .unsigned(e::MINIMUM_TTL, 1, |r, _| r.metrics.min_ttl.into())
            .unsigned(e::MAXIMUM_TTL, 1, |r, _| r.metrics.max_ttl.into());
    }
    if kind.icmp {
        let element = match (protocol, kind.family) {
            (Protocol::Ipfix, Family::Ipv6) => e::ICMP_TYPE_CODE_IPV6,
            // NetFlow v9 has one field for both (RFC 3954 section 8, ICMP_TYPE), and collectors
            // that do not know 139 there would take the port to be 0.
            _ => e::ICMP_TYPE_CODE_IPV4,
        };
        layout = layout.unsigned(element, 2, |r, _| r.id.dst_port.into());
    }
    layout = if kind.egress {
        layout
            .unsigned(e::INGRESS_INTERFACE, 4, |_, _| 0)
            .unsigned(e::EGRESS_INTERFACE, 4, |r, _| r.id.if_index.into())
            .octets(e::POST_SOURCE_MAC_ADDRESS, |r, _| r.id.src_mac.0)
            .octets(e::POST_DESTINATION_MAC_ADDRESS, |r, _| r.id.dst_mac.0)
    } else {
        layout
            .unsigned(e::INGRESS_INTERFACE, 4, |r, _| r.id.if_index.into())
            .unsigned(e::EGRESS_INTERFACE, 4, |_, _| 0)
            .octets(e::SOURCE_MAC_ADDRESS, |r, _| r.id.src_mac.0)
            .octets(e::DESTINATION_MAC_ADDRESS, |r, _| r.id.dst_mac.0)
    };
    layout
        .unsigned(e::VLAN_ID, 2, |r, _| r.id.vlan_id.into())
        .unsigned(e::DOT1Q_VLAN_ID, 2, |r, _| r.id.vlan_id.into())
        .unsigned(e::DOT1Q_CUSTOMER_VLAN_ID, 2, |r, _| {
            r.id.customer_vlan_id.into()
        })
        .unsigned(e::ETHERNET_TYPE, 2, |r, _| r.id.eth_protocol.into())
        .unsigned(e::FLOW_DIRECTION, 1, |r, _| match r.id.direction {
            DIRECTION_INGRESS => 0,
            _ => 1,
        })
        .unsigned(e::FLOW_END_REASON, 1, |r, _| r.end_reason.value().into())
        .build()
}

/// When the flow was seen, as each protocol says it.
fn times(protocol: Protocol, layout: LayoutBuilder<Record>) -> LayoutBuilder<Record> {
    match protocol {
        Protocol::Ipfix => layout
            .unsigned(e::FLOW_START_MILLISECONDS, 8, |r, _| {
                r.time_flow_start.millis()
            })
            .unsigned(e::FLOW_END_MILLISECONDS, 8, |r, _| r.time_flow_end.millis()),
        Protocol::NetflowV9 | Protocol::NetflowV5 => layout
            .uptime(e::FLOW_START_SYS_UP_TIME, |r| r.time_flow_start.millis())
            .uptime(e::FLOW_END_SYS_UP_TIME, |r| r.time_flow_end.millis()),
    }
}

fn interface_layout(protocol: Protocol) -> Result<Layout<InterfaceRecord>, LayoutError> {
    Layout::options_builder(protocol, INTERFACE_TEMPLATE)
        .unsigned(
            scope(protocol, e::INGRESS_INTERFACE, ipfix::v9_scope::INTERFACE),
            4,
            |r: &InterfaceRecord, _| r.index.into(),
        )
        .end_of_scope()
        .text(e::INTERFACE_NAME, NAME_OCTETS, |r| &r.name)
        .text(e::INTERFACE_DESCRIPTION, DESCRIPTION_OCTETS, |r| {
            &r.description
        })
        .build()
}

/// The sampling interval alone (34): of all ways to tell it the one that every collector takes.
fn sampling_layout(protocol: Protocol) -> Result<Layout<Sampling>, LayoutError> {
    Layout::options_builder(protocol, SAMPLING_TEMPLATE)
        .unsigned(
            scope(protocol, e::OBSERVATION_DOMAIN_ID, ipfix::v9_scope::SYSTEM),
            4,
            |r: &Sampling, _| r.domain.into(),
        )
        .end_of_scope()
        .unsigned(e::SAMPLING_INTERVAL, 4, |r, _| r.interval.into())
        .build()
}

fn metering_layout() -> Result<Layout<MeteringReliability>, LayoutError> {
    Layout::options_builder(Protocol::Ipfix, METERING_TEMPLATE)
        .unsigned(e::OBSERVATION_DOMAIN_ID, 4, |r: &MeteringReliability, _| {
            r.domain.into()
        })
        .end_of_scope()
        .unsigned(e::IGNORED_PACKET_TOTAL_COUNT, 8, |r, _| r.ignored_packets)
        .unsigned(e::IGNORED_OCTET_TOTAL_COUNT, 8, |r, _| r.ignored_octets)
        .unsigned(e::OBSERVATION_TIME_MILLISECONDS, 8, |r, _| r.first_ms)
        .unsigned(e::OBSERVATION_TIME_MILLISECONDS, 8, |r, _| r.last_ms)
        .build()
}

fn exporting_layout() -> Result<Layout<ExportingStatistics>, LayoutError> {
    Layout::options_builder(Protocol::Ipfix, EXPORTING_TEMPLATE)
        .unsigned(e::OBSERVATION_DOMAIN_ID, 4, |r: &ExportingStatistics, _| {
            r.domain.into()
        })
        .end_of_scope()
        .unsigned(e::EXPORTED_MESSAGE_TOTAL_COUNT, 8, |r, _| r.messages)
        .unsigned(e::EXPORTED_OCTET_TOTAL_COUNT, 8, |r, _| r.octets)
        .unsigned(e::EXPORTED_FLOW_RECORD_TOTAL_COUNT, 8, |r, _| r.flows)
        .build()
}

fn not_sent_layout() -> Result<Layout<ExportingReliability>, LayoutError> {
    Layout::options_builder(Protocol::Ipfix, NOT_SENT_TEMPLATE)
        .unsigned(e::EXPORTING_PROCESS_ID, 4, |r: &ExportingReliability, _| {
            r.process.into()
        })
        .end_of_scope()
        .unsigned(e::NOT_SENT_FLOW_TOTAL_COUNT, 8, |r, _| r.not_sent_flows)
        .unsigned(e::NOT_SENT_PACKET_TOTAL_COUNT, 8, |r, _| r.not_sent_packets)
        .unsigned(e::NOT_SENT_OCTET_TOTAL_COUNT, 8, |r, _| r.not_sent_octets)
        .unsigned(e::OBSERVATION_TIME_MILLISECONDS, 8, |r, _| r.first_ms)
        .unsigned(e::OBSERVATION_TIME_MILLISECONDS, 8, |r, _| r.last_ms)
        .build()
}

/// A Scope Field: an element in IPFIX, a scope of its own kind in `NetFlow` v9.
fn scope(protocol: Protocol, ipfix: Element, v9: Element) -> Element {
    match protocol {
        Protocol::Ipfix => ipfix,
        Protocol::NetflowV9 | Protocol::NetflowV5 => v9,
    }
}

/// The last four octets of an IPv4-mapped address.
fn v4(ip: &[u8; 16]) -> [u8; 4] {
    [ip[12], ip[13], ip[14], ip[15]]
}
