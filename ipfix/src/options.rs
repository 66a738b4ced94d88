//! Options records that an Exporting Process usually sends, ready made: each a plain struct and the
//! [`Layout`] of it.
//!
//! The scope is an element in IPFIX, one of the [scopes of `NetFlow` v9](crate::v9_scope) there.
//! `NetFlow` v5 has no options: `layout` gives [`LayoutError::NoTemplates`].
//!
//! ```
//! use ipfix::options::Sampling;
//! use ipfix::{Protocol, Session, SessionOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let layout = Sampling::layout(Protocol::Ipfix, 301)?;
//! let mut session = Session::new(SessionOptions::udp(Protocol::Ipfix, 1, 0));
//! session.register(&layout)?;
//! let mut buffer = Vec::new();
//! let mut writer = session.begin(&mut buffer, 1_795_536_000_000);
//! let one_in_16 = Sampling { observation_domain: 1, interval: 16 };
//! let _ = writer.write(&layout, &one_in_16)?;
//! # Ok(())
//! # }
//! ```

use crate::element::{Element, v9_scope};
use crate::elements as e;
use crate::layout::{Layout, LayoutBuilder, LayoutError};
use crate::wire::Protocol;

/// The sampling interval alone, by the element that every collector takes although it is deprecated:
/// `samplingInterval` (34). See [`Selector`] for today's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sampling {
    /// `observationDomainId`, the scope; in `NetFlow` v9 the scope is the System.
    pub observation_domain: u32,
    /// `samplingInterval`: one packet in this many is metered.
    pub interval: u32,
}

impl Sampling {
    /// Its layout.
    pub fn layout(protocol: Protocol, template_id: u16) -> Result<Layout<Self>, LayoutError> {
        in_domain(protocol, template_id, |record: &Self| {
            record.observation_domain
        })
        .unsigned(e::SAMPLING_INTERVAL, 4, |record, _| record.interval.into())
        .build()
    }
}

/// A Selector Report Interpretation of systematic count-based sampling (RFC 5476 section 6.5.2, the
/// elements are RFC 5477's): of every [`interval`](Self::interval) + [`space`](Self::space) packets
/// the first `interval` are selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Selector {
    /// `selectorId`, the scope in IPFIX; in `NetFlow` v9 a field, and the scope is the System.
    pub id: u64,
    /// `samplingPacketInterval`: packets in a row that are selected.
    pub interval: u32,
    /// `samplingPacketSpace`: packets in a row that are not.
    pub space: u32,
}

impl Selector {
    /// `selectorAlgorithm`: systematic count-based sampling.
    pub const ALGORITHM: u16 = 1;

    /// One packet in `interval`; 0 is taken as 1.
    pub const fn one_in(id: u64, interval: u32) -> Self {
        Self {
            id,
            interval: 1,
            space: interval.saturating_sub(1),
        }
    }

    /// Its layout.
    pub fn layout(protocol: Protocol, template_id: u16) -> Result<Layout<Self>, LayoutError> {
        let builder = Layout::options_builder(protocol, template_id);
        let id = |record: &Self, _: &_| record.id;
        match protocol {
            Protocol::Ipfix => builder.unsigned(e::SELECTOR_ID, 8, id).end_of_scope(),
            Protocol::NetflowV9 | Protocol::NetflowV5 => builder
                .unsigned(v9_scope::SYSTEM, 4, |_, _| 0)
                .end_of_scope()
                .unsigned(e::SELECTOR_ID, 8, id),
        }
        .unsigned(e::SELECTOR_ALGORITHM, 2, |_, _| Self::ALGORITHM.into())
        .unsigned(e::SAMPLING_PACKET_INTERVAL, 4, |record, _| {
            record.interval.into()
        })
        .unsigned(e::SAMPLING_PACKET_SPACE, 4, |record, _| record.space.into())
        .build()
    }
}

/// An interface and its names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Interface {
    /// `ingressInterface`, the scope; in `NetFlow` v9 the scope Interface.
    pub index: u32,
    /// `interfaceName`, in a field of [`NAME_LENGTH`](Self::NAME_LENGTH) octets.
    pub name: String,
    /// `interfaceDescription`, in a field of [`DESCRIPTION_LENGTH`](Self::DESCRIPTION_LENGTH) octets.
    pub description: String,
}

impl Interface {
    /// Octets of the name; longer ones are cut (Linux's have at most 15).
    pub const NAME_LENGTH: u16 = 16;
    /// Octets of the description; longer ones are cut.
    pub const DESCRIPTION_LENGTH: u16 = 32;

    /// Its layout.
    pub fn layout(protocol: Protocol, template_id: u16) -> Result<Layout<Self>, LayoutError> {
        let index = scope(protocol, e::INGRESS_INTERFACE, v9_scope::INTERFACE);
        Layout::options_builder(protocol, template_id)
            .unsigned(index, 4, |record: &Self, _| record.index.into())
            .end_of_scope()
            .text(e::INTERFACE_NAME, Self::NAME_LENGTH, |record| &record.name)
            .text(
                e::INTERFACE_DESCRIPTION,
                Self::DESCRIPTION_LENGTH,
                |record| &record.description,
            )
            .build()
    }
}

/// The Metering Process Statistics (RFC 7011 section 4.1): what was exported so far, this record's
/// own message not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MeteringProcessStatistics {
    /// `observationDomainId`, the scope; in `NetFlow` v9 the scope is the System.
    pub observation_domain: u32,
    /// `exportedMessageTotalCount`: messages.
    pub messages: u64,
    /// `exportedOctetTotalCount`: octets of these messages.
    pub octets: u64,
    /// `exportedFlowRecordTotalCount`: flow records.
    pub flow_records: u64,
}

impl MeteringProcessStatistics {
    /// Its layout.
    pub fn layout(protocol: Protocol, template_id: u16) -> Result<Layout<Self>, LayoutError> {
        in_domain(protocol, template_id, |record: &Self| {
            record.observation_domain
        })
        .unsigned(e::EXPORTED_MESSAGE_TOTAL_COUNT, 8, |record, _| {
            record.messages
        })
        .unsigned(e::EXPORTED_OCTET_TOTAL_COUNT, 8, |record, _| record.octets)
        .unsigned(e::EXPORTED_FLOW_RECORD_TOTAL_COUNT, 8, |record, _| {
            record.flow_records
        })
        .build()
    }
}

/// The Metering Process Reliability Statistics (RFC 7011 section 4.2): packets that came and were not
/// metered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MeteringProcessReliability {
    /// `observationDomainId`, the scope; in `NetFlow` v9 the scope is the System.
    pub observation_domain: u32,
    /// `ignoredPacketTotalCount`: packets.
    pub ignored_packets: u64,
    /// `ignoredOctetTotalCount`: their octets.
    pub ignored_octets: u64,
    /// `observationTimeMilliseconds` of the first of them, since 1970-01-01 UTC; 0: there was none.
    pub first_ms: u64,
    /// The same of the last of them.
    pub last_ms: u64,
}

impl MeteringProcessReliability {
    /// Its layout.
    pub fn layout(protocol: Protocol, template_id: u16) -> Result<Layout<Self>, LayoutError> {
        in_domain(protocol, template_id, |record: &Self| {
            record.observation_domain
        })
        .unsigned(e::IGNORED_PACKET_TOTAL_COUNT, 8, |record, _| {
            record.ignored_packets
        })
        .unsigned(e::IGNORED_OCTET_TOTAL_COUNT, 8, |record, _| {
            record.ignored_octets
        })
        .unsigned(e::OBSERVATION_TIME_MILLISECONDS, 8, |record, _| {
            record.first_ms
        })
        .unsigned(e::OBSERVATION_TIME_MILLISECONDS, 8, |record, _| {
            record.last_ms
        })
        .build()
    }
}

/// The Exporting Process Reliability Statistics (RFC 7011 section 4.3): flows that were metered and
/// not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExportingProcessReliability {
    /// `exportingProcessId`, the scope; in `NetFlow` v9 the scope is the System.
    pub exporting_process: u32,
    /// `notSentFlowTotalCount`: flow records.
    pub not_sent_flows: u64,
    /// `notSentPacketTotalCount`: their packets.
    pub not_sent_packets: u64,
    /// `notSentOctetTotalCount`: their octets.
    pub not_sent_octets: u64,
    /// `observationTimeMilliseconds` of the first of them, since 1970-01-01 UTC; 0: there was none.
    pub first_ms: u64,
    /// The same of the last of them.
    pub last_ms: u64,
}

impl ExportingProcessReliability {
    /// Its layout.
    pub fn layout(protocol: Protocol, template_id: u16) -> Result<Layout<Self>, LayoutError> {
        let process = scope(protocol, e::EXPORTING_PROCESS_ID, v9_scope::SYSTEM);
        Layout::options_builder(protocol, template_id)
            .unsigned(process, 4, |record: &Self, _| {
                record.exporting_process.into()
            })
            .end_of_scope()
            .unsigned(e::NOT_SENT_FLOW_TOTAL_COUNT, 8, |record, _| {
                record.not_sent_flows
            })
            .unsigned(e::NOT_SENT_PACKET_TOTAL_COUNT, 8, |record, _| {
                record.not_sent_packets
            })
            .unsigned(e::NOT_SENT_OCTET_TOTAL_COUNT, 8, |record, _| {
                record.not_sent_octets
            })
            .unsigned(e::OBSERVATION_TIME_MILLISECONDS, 8, |record, _| {
                record.first_ms
            })
            .unsigned(e::OBSERVATION_TIME_MILLISECONDS, 8, |record, _| {
                record.last_ms
            })
            .build()
    }
}

/// The Flow Keys of a template (RFC 7011 section 4.4): which of its fields tell flows apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKeys {
    /// `observationDomainId`: whose template it is. In IPFIX it is part of the scope, so that these
    /// records can go in domain 0 beside others of the whole process; in `NetFlow` v9 they go in the
    /// source ID of the template.
    pub observation_domain: u32,
    /// `templateId`, in the scope; in `NetFlow` v9 the scope Template.
    pub template_id: u16,
    /// `flowKeyIndicator`: bit 0, the lowest, stands for the template's first field.
    pub indicator: u64,
}

impl FlowKeys {
    /// The Flow Keys of a layout: those fields whose element `is_key` says to be one. `None` if one of
    /// them is not among the first 64 fields, for which alone there are bits.
    pub fn of<R>(
        layout: &Layout<R>,
        observation_domain: u32,
        is_key: impl Fn(&Element) -> bool,
    ) -> Option<Self> {
        let mut indicator = 0;
        for (position, (element, _)) in (0..).zip(layout.fields()) {
            if is_key(element) {
                indicator |= 1_u64.checked_shl(position)?;
            }
        }
        Some(Self {
            observation_domain,
            template_id: layout.template_id(),
            indicator,
        })
    }

    /// The layout of these records.
    pub fn layout(protocol: Protocol, template_id: u16) -> Result<Layout<Self>, LayoutError> {
        let builder = Layout::options_builder(protocol, template_id);
        let template = |record: &Self, _: &_| record.template_id.into();
        match protocol {
            Protocol::Ipfix => builder
                .unsigned(e::OBSERVATION_DOMAIN_ID, 4, |record: &Self, _| {
                    record.observation_domain.into()
                })
                .unsigned(e::TEMPLATE_ID, 2, template),
            Protocol::NetflowV9 | Protocol::NetflowV5 => {
                builder.unsigned(v9_scope::TEMPLATE, 2, template)
            }
        }
        .end_of_scope()
        .unsigned(e::FLOW_KEY_INDICATOR, 8, |record, _| record.indicator)
        .build()
    }
}

/// When sysUptime was zero (element 160, RFC 7012): what elements 21 and 22 count from, which no
/// header of IPFIX tells. Headers of `NetFlow` do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SystemInit {
    /// `observationDomainId`, the scope; in `NetFlow` v9 the scope is the System.
    pub observation_domain: u32,
    /// `systemInitTimeMilliseconds`: milliseconds since 1970-01-01 UTC.
    pub system_init_ms: u64,
}

impl SystemInit {
    /// Its layout.
    pub fn layout(protocol: Protocol, template_id: u16) -> Result<Layout<Self>, LayoutError> {
        in_domain(protocol, template_id, |record: &Self| {
            record.observation_domain
        })
        .unsigned(e::SYSTEM_INIT_TIME_MILLISECONDS, 8, |record, _| {
            record.system_init_ms
        })
        .build()
    }
}

/// Begins a layout with the scope that is an Observation Domain.
fn in_domain<R: 'static>(
    protocol: Protocol,
    template_id: u16,
    domain: impl Fn(&R) -> u32 + Send + Sync + 'static,
) -> LayoutBuilder<R> {
    let element = scope(protocol, e::OBSERVATION_DOMAIN_ID, v9_scope::SYSTEM);
    Layout::options_builder(protocol, template_id)
        .unsigned(element, 4, move |record, _| domain(record).into())
        .end_of_scope()
}

fn scope(protocol: Protocol, ipfix: Element, v9: Element) -> Element {
    match protocol {
        Protocol::Ipfix => ipfix,
        Protocol::NetflowV9 | Protocol::NetflowV5 => v9,
    }
}
