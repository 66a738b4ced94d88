//! Whence the messages of a file came: the Message Details and Export Session Details of RFC 5655.

use core::net::{IpAddr, SocketAddr};

use crate::decode::{Header, Record};
use crate::elements as ie;
use crate::layout::{Layout, LayoutError};
use crate::netflow_v5::{NetflowV5Sampling, NetflowV5SamplingMode};
use crate::wire::Protocol;

/// A Transport Session as its Collecting Process sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Address and port of the Exporting Process.
    pub exporter: SocketAddr,
    /// Address and port of the Collecting Process; an unspecified address stands for one that is
    /// not known.
    pub collector: SocketAddr,
    /// The transport protocol by its IP protocol number: 17 for UDP, 6 for TCP.
    pub transport: u8,
}

impl Origin {
    /// A session over UDP.
    pub const fn udp(exporter: SocketAddr, collector: SocketAddr) -> Self {
        const UDP: u8 = 17;
        Self {
            exporter,
            collector,
            transport: UDP,
        }
    }

    /// A session over TCP, also under TLS.
    pub const fn tcp(exporter: SocketAddr, collector: SocketAddr) -> Self {
        const TCP: u8 = 6;
        Self {
            exporter,
            collector,
            transport: TCP,
        }
    }
}

/// What a file says of whence its messages came (RFC 5655 sections 8.1.3 and 8.1.4), as far as it
/// says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageDetails {
    /// When the message was received, in milliseconds since 1970-01-01 UTC.
    pub collection_time_ms: Option<u64>,
    /// Address of the Exporting Process.
    pub exporter: Option<IpAddr>,
    /// Its port.
    pub exporter_port: Option<u16>,
    /// Address of the Collecting Process.
    pub collector: Option<IpAddr>,
    /// Its port.
    pub collector_port: Option<u16>,
    /// IP protocol number of the transport.
    pub transport: Option<u8>,
    /// The version number of the messages as they were received: 10, 9 or 5.
    pub version: Option<u16>,
    /// The Observation Domain ID or Source ID in them (RFC 7119).
    pub observation_domain: Option<u32>,
    /// When sysUptime was zero by the header of a `NetFlow` message, in milliseconds since
    /// 1970-01-01 UTC.
    pub system_init_ms: Option<u64>,
}

/// What details apply to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetailsScope {
    /// The message that contains them.
    Message,
    /// The whole file.
    Session,
}

impl MessageDetails {
    /// The details in an options record, and what they apply to; `None` for any other record.
    pub fn of(record: &Record<'_>) -> Option<(DetailsScope, Self)> {
        let template = record.template();
        let scope = template.fields().first()?;
        let scope = if !template.is_options() {
            return None;
        } else if scope.is(&ie::MESSAGE_SCOPE) {
            DetailsScope::Message
        } else if scope.is(&ie::SESSION_SCOPE) {
            DetailsScope::Session
        } else {
            return None;
        };
        let number = |element| record.value(element)?.unsigned();
        let address = |v4, v6| {
            let value = record.value(v4).or_else(|| record.value(v6))?;
            value.ip_address()
        };
        let small = |element| u16::try_from(number(element)?).ok();
        let details = Self {
            collection_time_ms: number(&ie::COLLECTION_TIME_MILLISECONDS),
            exporter: address(&ie::EXPORTER_IPV4_ADDRESS, &ie::EXPORTER_IPV6_ADDRESS),
            exporter_port: small(&ie::EXPORTER_TRANSPORT_PORT),
            collector: address(&ie::COLLECTOR_IPV4_ADDRESS, &ie::COLLECTOR_IPV6_ADDRESS),
            collector_port: small(&ie::COLLECTOR_TRANSPORT_PORT),
            transport: number(&ie::EXPORT_TRANSPORT_PROTOCOL).and_then(|n| n.try_into().ok()),
            version: small(&ie::EXPORT_PROTOCOL_VERSION),
            observation_domain: number(&ie::ORIGINAL_OBSERVATION_DOMAIN_ID)
                .and_then(|n| n.try_into().ok()),
            system_init_ms: number(&ie::SYSTEM_INIT_TIME_MILLISECONDS),
        };
        (details != Self::default()).then_some((scope, details))
    }

    /// Address and port of the Exporting Process; port 0 if only the address is known.
    pub fn exporter(&self) -> Option<SocketAddr> {
        let port = self.exporter_port.unwrap_or_default();
        self.exporter.map(|address| SocketAddr::new(address, port))
    }
}

/// What the Message Details record of a message is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    pub origin: Origin,
    pub collection_time_ms: u64,
    pub version: u16,
    pub observation_domain: u32,
    /// `NetFlow` only.
    pub system_init_ms: Option<u64>,
    pub sampling: NetflowV5Sampling,
}

impl Received {
    pub(super) fn new(origin: Origin, collection_time_ms: u64, header: &Header) -> Self {
        Self {
            origin,
            collection_time_ms,
            version: header.protocol.version(),
            observation_domain: header.observation_domain,
            system_init_ms: header.system_init_ms().map(time_with_uptime),
            sampling: header.sampling.unwrap_or_default(),
        }
    }
}

/// Uptimes start again every 2^32 milliseconds, so a time before 1970, which no record can hold, has
/// later ones that serve as well.
fn time_with_uptime(init_ms: i64) -> u64 {
    const CYCLE_MS: i64 = 1 << 32;
    u64::try_from(init_ms).unwrap_or_else(|_| init_ms.rem_euclid(CYCLE_MS).cast_unsigned())
}

/// Template and record of the Message Details (RFC 5655 section 8.1.4), for all messages of a domain
/// of which this is the first. What that section calls
/// collectorTransportProtocol and collectorProtocolVersion are exportTransportProtocol and
/// exportProtocolVersion in the registry.
pub(super) fn layout(first: &Received, template_id: u16) -> Result<Layout<Received>, LayoutError> {
    let origin = &first.origin;
    let layout = Layout::options_builder(Protocol::Ipfix, template_id)
        .unsigned(ie::MESSAGE_SCOPE, 1, |_: &Received, _| 0)
        .end_of_scope()
        .unsigned(ie::COLLECTION_TIME_MILLISECONDS, 8, |received, _| {
            received.collection_time_ms
        });
    let layout = match origin.exporter.ip() {
        IpAddr::V4(_) => layout.octets(ie::EXPORTER_IPV4_ADDRESS, |received, _| {
            ipv4(received.origin.exporter)
        }),
        IpAddr::V6(_) => layout.octets(ie::EXPORTER_IPV6_ADDRESS, |received, _| {
            ipv6(received.origin.exporter)
        }),
    }
    .unsigned(ie::EXPORTER_TRANSPORT_PORT, 2, |received, _| {
        received.origin.exporter.port().into()
    });
    let layout = match origin.collector.ip() {
        address if address.is_unspecified() => layout,
        IpAddr::V4(_) => layout.octets(ie::COLLECTOR_IPV4_ADDRESS, |received, _| {
            ipv4(received.origin.collector)
        }),
        IpAddr::V6(_) => layout.octets(ie::COLLECTOR_IPV6_ADDRESS, |received, _| {
            ipv6(received.origin.collector)
        }),
    }
    .unsigned(ie::COLLECTOR_TRANSPORT_PORT, 2, |received, _| {
        received.origin.collector.port().into()
    })
    .unsigned(ie::EXPORT_TRANSPORT_PROTOCOL, 1, |received, _| {
        received.origin.transport.into()
    })
    .unsigned(ie::EXPORT_PROTOCOL_VERSION, 1, |received, _| {
        received.version.into()
    })
    .unsigned(ie::ORIGINAL_OBSERVATION_DOMAIN_ID, 4, |received, _| {
        received.observation_domain.into()
    });
    let layout = if first.system_init_ms.is_some() {
        layout.unsigned(ie::SYSTEM_INIT_TIME_MILLISECONDS, 8, |received, _| {
            received.system_init_ms.unwrap_or_default()
        })
    } else {
        layout
    };
    let layout = if first.sampling.interval() > 0 {
        layout
            .unsigned(ie::SAMPLING_INTERVAL, 4, |received, _| {
                received.sampling.interval().into()
            })
            .unsigned(ie::SAMPLING_ALGORITHM, 1, |received, _| {
                match received.sampling.mode() {
                    NetflowV5SamplingMode::None => 0,
                    NetflowV5SamplingMode::Deterministic => 1,
                    NetflowV5SamplingMode::Random => 2,
                }
            })
    } else {
        layout
    };
    layout.build()
}

fn ipv4(address: SocketAddr) -> [u8; 4] {
    match address.ip() {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(_) => [0; 4],
    }
}

fn ipv6(address: SocketAddr) -> [u8; 16] {
    match address.ip() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}
