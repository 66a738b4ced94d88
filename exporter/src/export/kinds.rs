//! The kinds of Flow Records: what decides which elements a record has.

use crate::record::Record;
use ebpfix_probes::abi::DIRECTION_EGRESS;
use std::fmt;

/// What a record is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// Frames that are not IP.
    Layer2,
}

/// A kind of record: each has a layout of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordKind {
    /// What it is about.
    pub family: Family,
    /// Whether packets were seen as they left the host, and not as they entered it.
    pub egress: bool,
    /// Whether it is about ICMP or `ICMPv6`.
    pub icmp: bool,
}

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

impl RecordKind {
    /// Every kind, in the order of their templates.
    pub const ALL: [Self; 10] = [
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

impl fmt::Display for RecordKind {
    /// As in "records of ICMP over IPv4 at egress".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.family, self.icmp) {
            (Family::Ipv4, false) => "IPv4",
            (Family::Ipv4, true) => "ICMP over IPv4",
            (Family::Ipv6, false) => "IPv6",
            (Family::Ipv6, true) => "ICMP over IPv6",
            (Family::Layer2, _) => "layer 2",
        })?;
        f.write_str(if self.egress {
            " at egress"
        } else {
            " at ingress"
        })
    }
}

/// The place of a record's kind in [`RecordKind::ALL`].
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
