//! The layouts of what is exported, in both protocols.
//!
//! One [`Layout`] is template and encoder at once. Those of records are made from a list of
//! [`Elements`], the default profile's or a collector's own: one for each kind of record, with the
//! elements that apply to it.

use super::columns::{Elements, Limits};
use super::kinds::{self, Family, RecordKind};
use crate::record::Record;
use ebpfix_probes::abi::DIRECTION_EGRESS;
use ipfix::options::{
    ExportingProcessReliability, FlowKeys, Interface, MeteringProcessReliability,
    MeteringProcessStatistics, Sampling, SystemInit,
};
use ipfix::{
    Layout, LayoutError, NetflowV5Record, NetflowV5Sampling, NetflowV5SamplingMode, Protocol,
    RegisterError, Session, SessionOptions,
};
use serde::Serialize;
use std::net::Ipv4Addr;

/// The first Template ID of the default profile's records; they follow in the order of
/// [`RecordKind::ALL`].
const FIRST_TEMPLATE: u16 = 256;
const INTERFACE_TEMPLATE: u16 = 300;
const SAMPLING_TEMPLATE: u16 = 301;
const METERING_TEMPLATE: u16 = 302;
const STATISTICS_TEMPLATE: u16 = 303;
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
    pub interfaces: Option<Layout<Interface>>,
    /// The sampling interval; not in `NetFlow` v5.
    pub sampling: Option<Layout<Sampling>>,
    /// Reliability of the Metering Process; IPFIX only.
    pub metering: Option<Layout<MeteringProcessReliability>>,
    /// Statistics of the Metering Process; IPFIX only.
    pub statistics: Option<Layout<MeteringProcessStatistics>>,
    /// Reliability of the Exporting Process; IPFIX only.
    pub not_sent: Option<Layout<ExportingProcessReliability>>,
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
            interfaces: Some(Interface::layout(protocol, INTERFACE_TEMPLATE)?),
            sampling: Some(Sampling::layout(protocol, SAMPLING_TEMPLATE)?),
            metering: ipfix
                .then(|| MeteringProcessReliability::layout(protocol, METERING_TEMPLATE))
                .transpose()?,
            statistics: ipfix
                .then(|| MeteringProcessStatistics::layout(protocol, STATISTICS_TEMPLATE))
                .transpose()?,
            not_sent: ipfix
                .then(|| ExportingProcessReliability::layout(protocol, NOT_SENT_TEMPLATE))
                .transpose()?,
            flow_keys: ipfix
                .then(|| FlowKeys::layout(protocol, FLOW_KEYS_TEMPLATE))
                .transpose()?,
            system_init: (ipfix && elements.needs_system_init())
                .then(|| SystemInit::layout(protocol, SYSTEM_INIT_TEMPLATE))
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
            statistics: None,
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

    /// Every template that is announced, options included; none in `NetFlow` v5.
    pub fn announced(&self) -> Vec<Announced> {
        let records = self.records.iter().map(Announced::of);
        let options = [
            self.interfaces.as_ref().map(Announced::of),
            self.sampling.as_ref().map(Announced::of),
            self.metering.as_ref().map(Announced::of),
            self.statistics.as_ref().map(Announced::of),
            self.not_sent.as_ref().map(Announced::of),
            self.flow_keys.as_ref().map(Announced::of),
            self.system_init.as_ref().map(Announced::of),
        ];
        records
            .chain(options.into_iter().flatten())
            .filter(|template| template.id != 0)
            .collect()
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
            observation_domain: domain,
            template_id: layout.template_id(),
            indicator: *keys,
        };
        self.records.iter().zip(&self.keys).map(of).collect()
    }
}

/// A template as it is announced to a collector.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Announced {
    /// Its Template ID.
    pub id: u16,
    /// Whether it is an Options Template.
    pub options: bool,
    /// Its fields in the order of the wire.
    pub fields: Vec<AnnouncedField>,
}

/// A field of a template.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AnnouncedField {
    /// The Information Element's name.
    pub name: &'static str,
    /// Its number.
    pub id: u16,
    /// Octets on the wire; none: of variable length.
    pub octets: Option<u16>,
}

impl Announced {
    fn of<R>(layout: &Layout<R>) -> Self {
        let field = |&(element, octets): &(ipfix::Element, u16)| AnnouncedField {
            name: element.name(),
            id: element.id(),
            octets: (octets != ipfix::VARIABLE_LENGTH).then_some(octets),
        };
        Self {
            id: layout.template_id(),
            options: layout.is_options(),
            fields: layout.fields().iter().map(field).collect(),
        }
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
