//! The layouts of what is exported, in both protocols.
//!
//! One [`Layout`] is template and encoder at once. Those of records are made from a list of
//! [`Elements`], the default profile's or a collector's own: one for each kind of record, with the
//! elements that apply to it.

use super::columns::{Elements, Limits};
use super::kinds::{self, Family, RecordKind};
use crate::record::Record;
use ebpfix_probes::abi::DIRECTION_EGRESS;
use ipfix::{
    Element, Layout, LayoutError, NetflowV5Record, NetflowV5Sampling, NetflowV5SamplingMode,
    Protocol, RegisterError, Session, SessionOptions, elements as e,
};
use std::net::Ipv4Addr;

/// Octets of an interface's name in options data (the kernel's names have at most 15).
const NAME_OCTETS: u16 = 16;
/// Octets of an interface's description in options data.
const DESCRIPTION_OCTETS: u16 = 32;

/// The first Template ID of the default profile's records; they follow in the order of
/// [`RecordKind::ALL`].
const FIRST_TEMPLATE: u16 = 256;
const INTERFACE_TEMPLATE: u16 = 300;
const SAMPLING_TEMPLATE: u16 = 301;
const METERING_TEMPLATE: u16 = 302;
const EXPORTING_TEMPLATE: u16 = 303;
const NOT_SENT_TEMPLATE: u16 = 304;
const FLOW_KEYS_TEMPLATE: u16 = 305;
const SYSTEM_INIT_TEMPLATE: u16 = 306;
/// From here on are blocks of Template IDs, one for each list of elements.
const FIRST_BLOCK: u16 = 512;
/// Template IDs of a block.
const BLOCK: u16 = 16;
/// How many blocks there are.
const BLOCKS: u16 = (u16::MAX - FIRST_BLOCK) / BLOCK;

/// Which Template IDs the records of which list of elements have.
///
/// A Template ID must not get another meaning while a collector may still know the old one (RFC 7011
/// sections 8.1 and 8.4), and some collectors do not tell Transport Sessions of one exporter apart.
/// So for the life of a process each list has IDs of its own. They follow from the list, so that
/// after a restart too another list has, but for rare chance, other IDs.
#[derive(Debug, Default)]
pub struct TemplateIds {
    /// The blocks that are taken.
    blocks: Vec<(u16, Protocol, Elements)>,
}

impl TemplateIds {
    /// The first Template ID for records with these elements; the default profile's for none.
    pub fn first(&mut self, protocol: Protocol, elements: Option<&Elements>) -> u16 {
        let Some(elements) = elements else {
            return FIRST_TEMPLATE;
        };
        let known = self
            .blocks
            .iter()
            .find(|(_, of, list)| *of == protocol && list == elements)
            .map(|(block, ..)| *block);
        let block = known.unwrap_or_else(|| {
            let own = own_block(elements);
            // With thousands of lists in one process an old one's block is used again.
            let block = (0..BLOCKS)
                .map(|further| (own + further) % BLOCKS)
                .find(|block| self.blocks.iter().all(|(taken, ..)| taken != block))
                .unwrap_or(own);
            self.blocks.push((block, protocol, elements.clone()));
            block
        });
        FIRST_BLOCK + block * BLOCK
    }
}

/// The block that a list of elements has unless another list has it: an FNV-1a hash.
fn own_block(elements: &Elements) -> u16 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let mut hash = OFFSET;
    for octet in elements.list().iter().flat_map(|listed| {
        let octets = listed.octets(Protocol::Ipfix);
        let [a, b] = listed.column.element.id().to_be_bytes();
        let [c, d] = octets.to_be_bytes();
        [a, b, c, d]
    }) {
        hash = (hash ^ u64::from(octet)).wrapping_mul(PRIME);
    }
    u16::try_from(hash % u64::from(BLOCKS)).unwrap_or_default()
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

/// Which fields of a template are Flow Keys (RFC 7011 section 4.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowKeys {
    /// `observationDomainId`: whose template it is.
    pub domain: u32,
    /// `templateId`.
    pub template: u16,
    /// `flowKeyIndicator`.
    pub keys: u64,
}

/// When sysUptime was zero, for records with times of sysUptime.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SystemInit {
    /// `observationDomainId`.
    pub domain: u32,
}

/// Every layout of a Transport Session.
pub struct Layouts {
    records: Vec<Layout<Record>>,
    /// The position in `records` of the layout of each kind, where the protocol has one.
    by_kind: [Option<usize>; RecordKind::ALL.len()],
    /// What its records can count.
    limits: Limits,
    /// Whether a message's header tells of sampling, and so of one interval only: `NetFlow` v5.
    pub sampling_in_header: bool,
    /// Names of interfaces; not in `NetFlow` v5.
    pub interfaces: Option<Layout<InterfaceRecord>>,
    /// The sampling interval; not in `NetFlow` v5.
    pub sampling: Option<Layout<Sampling>>,
    /// Reliability of the Metering Process; IPFIX only.
    pub metering: Option<Layout<MeteringReliability>>,
    /// Statistics of the Exporting Process; IPFIX only.
    pub exporting: Option<Layout<ExportingStatistics>>,
    /// Reliability of the Exporting Process; IPFIX only.
    pub not_sent: Option<Layout<ExportingReliability>>,
    /// Flow Keys of the templates of records; IPFIX only.
    pub flow_keys: Option<Layout<FlowKeys>>,
    /// The zero of sysUptime; IPFIX only, where records need it: in `NetFlow` v9 each header tells it.
    pub system_init: Option<Layout<SystemInit>>,
    /// `flowKeyIndicator` of each kind of record.
    keys: Vec<u64>,
}

impl Layouts {
    /// Those of a session whose records have these elements, with templates that have the IDs from
    /// `first_template` on ([`TemplateIds::first`]).
    pub fn new(
        protocol: Protocol,
        elements: &Elements,
        first_template: u16,
    ) -> Result<Self, LayoutError> {
        let ipfix = protocol == Protocol::Ipfix;
        Ok(Self {
            records: record_layouts(protocol, elements, first_template)?,
            by_kind: std::array::from_fn(Some),
            limits: elements.limits(),
            sampling_in_header: false,
            interfaces: Some(interface_layout(protocol)?),
            sampling: Some(sampling_layout(protocol)?),
            metering: ipfix.then(metering_layout).transpose()?,
            exporting: ipfix.then(exporting_layout).transpose()?,
            not_sent: ipfix.then(not_sent_layout).transpose()?,
            flow_keys: ipfix.then(flow_keys_layout).transpose()?,
            system_init: (ipfix && elements.needs_system_init())
                .then(system_init_layout)
                .transpose()?,
            keys: RecordKind::ALL
                .into_iter()
                .map(|kind| elements.flow_keys(protocol, kind))
                .collect(),
        })
    }

    /// Those of `NetFlow` v5: one, for all records of IPv4.
    pub fn netflow_v5() -> Self {
        Self {
            records: vec![Layout::netflow_v5(|record, _| netflow_v5_record(record))],
            by_kind: RecordKind::ALL.map(|kind| (kind.family == Family::Ipv4).then_some(0)),
            limits: Limits {
                packets: NetflowV5Record::MAX_COUNTER,
                octets: NetflowV5Record::MAX_COUNTER,
            },
            sampling_in_header: true,
            interfaces: None,
            sampling: None,
            metering: None,
            exporting: None,
            not_sent: None,
            flow_keys: None,
            system_init: None,
            keys: Vec::new(),
        }
    }

    /// The layout of a record; `None` where the protocol cannot tell of it.
    pub fn of(&self, record: &Record) -> Option<&Layout<Record>> {
        if self.sampling_in_header && netflow_v5_sampling(record.id.sampling).is_none() {
            return None;
        }
        let position = self.by_kind.get(kinds::position(record)).copied()??;
        self.records.get(position)
    }

    /// What a record can count at most.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The layouts of records.
    pub fn records(&self) -> &[Layout<Record>] {
        &self.records
    }

    /// The Flow Keys of the templates of records.
    pub fn keys(&self, domain: u32) -> Vec<FlowKeys> {
        let of = |(layout, keys): (&Layout<Record>, &u64)| FlowKeys {
            domain,
            template: layout.template_id(),
            keys: *keys,
        };
        self.records.iter().zip(&self.keys).map(of).collect()
    }
}

fn record_layouts(
    protocol: Protocol,
    elements: &Elements,
    first_template: u16,
) -> Result<Vec<Layout<Record>>, LayoutError> {
    RecordKind::ALL
        .into_iter()
        .zip(first_template..)
        .map(|(kind, template)| {
            elements
                .of_kind(protocol, kind)
                .fold(Layout::builder(protocol, template), |layout, listed| {
                    listed.add(protocol, layout)
                })
                .build()
        })
        .collect()
}

/// What `NetFlow` v5 tells of a record of IPv4. Interfaces beyond 65535 are 65535; the meter knows no
/// next hop, autonomous systems and prefixes.
fn netflow_v5_record(record: &Record) -> NetflowV5Record {
    let Record { id, metrics, .. } = record;
    let address = |ip: &[u8; 16]| Ipv4Addr::new(ip[12], ip[13], ip[14], ip[15]);
    let (ingress_interface, egress_interface) = if id.direction == DIRECTION_EGRESS {
        (0, id.if_index)
    } else {
        (id.if_index, 0)
    };
    NetflowV5Record {
        source: address(&id.src_ip.0),
        destination: address(&id.dst_ip.0),
        ingress_interface,
        egress_interface,
        packets: metrics.packets,
        octets: metrics.bytes,
        first_ms: record.time_flow_start.millis(),
        last_ms: record.time_flow_end.millis(),
        source_port: id.src_port,
        destination_port: id.dst_port,
        tcp_flags: metrics.flags.to_be_bytes()[1],
        protocol: id.transport_protocol,
        tos: metrics.tos,
        ..NetflowV5Record::EMPTY
    }
}

/// What the header of `NetFlow` v5 says of this sampling interval; `None` where it cannot.
pub fn netflow_v5_sampling(interval: u32) -> Option<NetflowV5Sampling> {
    if interval <= 1 {
        return Some(NetflowV5Sampling::none());
    }
    let interval = u16::try_from(interval).ok()?;
    NetflowV5Sampling::new(NetflowV5SamplingMode::Random, interval)
}

/// Why records with these elements cannot be exported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unfit {
    /// Records of this kind would have no field.
    Nothing(RecordKind),
    /// A template and one record of this kind do not fit a message.
    TooLong {
        /// The kind.
        kind: RecordKind,
        /// Octets of a message that they take.
        needed: usize,
    },
    /// The library refuses a layout of this kind.
    Layout(RecordKind, LayoutError),
}

/// Whether records of every kind can be exported with these elements, in messages of at most
/// `max_message` octets.
pub fn fits(protocol: Protocol, elements: &Elements, max_message: u16) -> Result<(), Unfit> {
    for kind in RecordKind::ALL {
        let layout = elements
            .of_kind(protocol, kind)
            .fold(
                Layout::builder(protocol, FIRST_TEMPLATE),
                |layout, listed| listed.add_longest(protocol, layout),
            )
            .build()
            .map_err(|error| match error {
                LayoutError::NoFields => Unfit::Nothing(kind),
                error => Unfit::Layout(kind, error),
            })?;
        let mut session = Session::new(SessionOptions {
            max_message,
            ..SessionOptions::udp(protocol, 0, 0)
        });
        if let Err(RegisterError::TooLong { needed, .. }) = session.register(&layout) {
            return Err(Unfit::TooLong { kind, needed });
        }
    }
    Ok(())
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

/// Beside the template its domain is in the scope: the records go in another one.
fn flow_keys_layout() -> Result<Layout<FlowKeys>, LayoutError> {
    Layout::options_builder(Protocol::Ipfix, FLOW_KEYS_TEMPLATE)
        .unsigned(e::OBSERVATION_DOMAIN_ID, 4, |r: &FlowKeys, _| {
            r.domain.into()
        })
        .unsigned(e::TEMPLATE_ID, 2, |r, _| r.template.into())
        .end_of_scope()
        .unsigned(e::FLOW_KEY_INDICATOR, 8, |r, _| r.keys)
        .build()
}

fn system_init_layout() -> Result<Layout<SystemInit>, LayoutError> {
    Layout::options_builder(Protocol::Ipfix, SYSTEM_INIT_TEMPLATE)
        .unsigned(e::OBSERVATION_DOMAIN_ID, 4, |r: &SystemInit, _| {
            r.domain.into()
        })
        .end_of_scope()
        .unsigned(e::SYSTEM_INIT_TIME_MILLISECONDS, 8, |_, context| {
            context.system_init_ms
        })
        .build()
}

/// A Scope Field: an element in IPFIX, a scope of its own kind in `NetFlow` v9.
fn scope(protocol: Protocol, ipfix: Element, v9: Element) -> Element {
    match protocol {
        Protocol::Ipfix => ipfix,
        Protocol::NetflowV9 | Protocol::NetflowV5 => v9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::columns::{Column, Listed};

    fn list(octets: u16, padding: u16) -> Elements {
        let listed = |name, octets| Listed::new(Column::named(name).unwrap(), octets).unwrap();
        Elements::new(vec![
            listed("octetDeltaCount", Some(octets)),
            listed("paddingOctets", Some(padding)),
        ])
        .unwrap()
    }

    #[test]
    fn a_template_id_has_one_meaning() {
        let mut ids = TemplateIds::default();
        assert_eq!(ids.first(Protocol::Ipfix, None), 256);
        assert_eq!(ids.first(Protocol::NetflowV9, None), 256);
        let mut given = std::collections::HashMap::new();
        // As many as make two hashes meet with near certainty.
        for octets in 4..=8 {
            for padding in 1..=200 {
                let elements = list(octets, padding);
                let first = ids.first(Protocol::Ipfix, Some(&elements));
                assert!((512..=u16::MAX - 15).contains(&first), "{first}");
                assert_eq!(first % 16, 0);
                assert_eq!(given.insert(first, elements), None, "{first} twice");
            }
        }
        for (first, elements) in &given {
            assert_eq!(ids.first(Protocol::Ipfix, Some(elements)), *first);
        }
        let own = given
            .iter()
            .filter(|(first, elements)| **first == FIRST_BLOCK + own_block(elements) * BLOCK);
        assert!((700..1000).contains(&own.count()));
    }

    #[test]
    fn template_ids_do_not_change_from_release_to_release() {
        let mut ids = TemplateIds::default();
        assert_eq!(ids.first(Protocol::Ipfix, Some(&list(4, 1))), 39_872);
    }

    #[test]
    fn with_all_template_ids_given_one_is_given_again() {
        let mut ids = TemplateIds::default();
        let long = |n: u16| {
            let mut listed = list(4, 1 + n % 255).list().to_vec();
            let padding = Column::named("paddingOctets").unwrap();
            listed.extend(Listed::new(padding, Some(1 + n / 255)));
            Elements::new(listed).unwrap()
        };
        for n in 0..BLOCKS + 10 {
            let first = ids.first(Protocol::Ipfix, Some(&long(n)));
            assert!(first >= FIRST_BLOCK);
        }
    }
}
