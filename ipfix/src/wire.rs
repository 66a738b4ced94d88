//! Sizes and numbers of the wire formats, named once.

use core::fmt;

/// The protocol of a message, a layout or a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// IPFIX, RFC 7011.
    Ipfix,
    /// `NetFlow` version 9, RFC 3954.
    NetflowV9,
    /// `NetFlow` version 5: IPv4 flows in one fixed record format, without templates. No RFC
    /// describes it; Cisco published the format.
    NetflowV5,
}

impl Protocol {
    /// The version number that begins a message.
    pub const fn version(self) -> u16 {
        match self {
            Self::Ipfix => 0x000a,
            Self::NetflowV9 => 0x0009,
            Self::NetflowV5 => 0x0005,
        }
    }

    /// The length in octets of the Message Header (`NetFlow`: Packet Header).
    pub const fn header_length(self) -> usize {
        match self {
            Self::Ipfix => ipfix_header::LENGTH,
            Self::NetflowV9 => v9_header::LENGTH,
            Self::NetflowV5 => v5_header::LENGTH,
        }
    }

    /// The length in octets of a Set Header (RFC 7011 section 3.3.2); `NetFlow` v5 has none, its
    /// records follow the Packet Header.
    pub(crate) const fn set_header_length(self) -> usize {
        match self {
            Self::Ipfix | Self::NetflowV9 => SET_HEADER_LENGTH,
            Self::NetflowV5 => 0,
        }
    }

    /// The Set ID of Template Sets (RFC 7011 section 3.3.2, RFC 3954 section 5.2); `None` in
    /// `NetFlow` v5, which has no sets.
    pub const fn template_set_id(self) -> Option<u16> {
        match self {
            Self::Ipfix => Some(2),
            Self::NetflowV9 => Some(0),
            Self::NetflowV5 => None,
        }
    }

    /// The Set ID of Options Template Sets (RFC 7011 section 3.3.2, RFC 3954 section 6.1); `None`
    /// in `NetFlow` v5, which has no sets.
    pub const fn options_template_set_id(self) -> Option<u16> {
        match self {
            Self::Ipfix => Some(3),
            Self::NetflowV9 => Some(1),
            Self::NetflowV5 => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipfix => "IPFIX",
            Self::NetflowV9 => "NetFlow v9",
            Self::NetflowV5 => "NetFlow v5",
        })
    }
}

/// Data Set and Template ids start here; lower ones name sets of templates (RFC 7011 section 3.3.2).
pub const MIN_TEMPLATE_ID: u16 = 256;

/// Set Header: id and length (RFC 7011 section 3.3.2).
pub(crate) const SET_HEADER_LENGTH: usize = 4;
/// Sets are padded to this alignment.
pub(crate) const ALIGNMENT: usize = 4;

/// Offsets in the IPFIX Message Header (RFC 7011 section 3.1).
pub(crate) mod ipfix_header {
    pub(crate) const LENGTH_FIELD: usize = 2;
    pub(crate) const EXPORT_TIME: usize = 4;
    pub(crate) const SEQUENCE: usize = 8;
    pub(crate) const DOMAIN: usize = 12;
    pub(crate) const LENGTH: usize = 16;
}

/// Offsets in the `NetFlow` v9 Packet Header (RFC 3954 section 5.1).
pub(crate) mod v9_header {
    pub(crate) const COUNT: usize = 2;
    pub(crate) const SYS_UPTIME: usize = 4;
    pub(crate) const UNIX_SECS: usize = 8;
    pub(crate) const SEQUENCE: usize = 12;
    pub(crate) const SOURCE_ID: usize = 16;
    pub(crate) const LENGTH: usize = 20;
}

/// Offsets in the `NetFlow` v5 Packet Header.
pub(crate) mod v5_header {
    pub(crate) const COUNT: usize = 2;
    pub(crate) const SYS_UPTIME: usize = 4;
    pub(crate) const UNIX_SECS: usize = 8;
    pub(crate) const UNIX_NSECS: usize = 12;
    pub(crate) const SEQUENCE: usize = 16;
    /// Engine type and engine id, an octet each.
    pub(crate) const ENGINE: usize = 20;
    /// Two bits of sampling mode, 14 bits of interval.
    pub(crate) const SAMPLING: usize = 22;
    pub(crate) const LENGTH: usize = 24;
}

/// Records of `NetFlow` v5.
pub(crate) mod v5_record {
    use crate::element::Element;
    use crate::elements as e;

    pub(crate) const LENGTH: usize = 48;
    /// Records a packet has at most.
    pub(crate) const MAX_COUNT: u16 = 30;
    /// The fields in wire order with their lengths in octets, named by the elements that took their
    /// numbers over from `NetFlow` v9.
    pub(crate) const FIELDS: [(Element, u16); 20] = [
        (e::SOURCE_IPV4_ADDRESS, 4),
        (e::DESTINATION_IPV4_ADDRESS, 4),
        (e::IP_NEXT_HOP_IPV4_ADDRESS, 4),
        (e::INGRESS_INTERFACE, 2),
        (e::EGRESS_INTERFACE, 2),
        (e::PACKET_DELTA_COUNT, 4),
        (e::OCTET_DELTA_COUNT, 4),
        (e::FLOW_START_SYS_UP_TIME, 4),
        (e::FLOW_END_SYS_UP_TIME, 4),
        (e::SOURCE_TRANSPORT_PORT, 2),
        (e::DESTINATION_TRANSPORT_PORT, 2),
        (e::PADDING_OCTETS, 1),
        (e::TCP_CONTROL_BITS, 1),
        (e::PROTOCOL_IDENTIFIER, 1),
        (e::IP_CLASS_OF_SERVICE, 1),
        (e::BGP_SOURCE_AS_NUMBER, 2),
        (e::BGP_DESTINATION_AS_NUMBER, 2),
        (e::SOURCE_IPV4_PREFIX_LENGTH, 1),
        (e::DESTINATION_IPV4_PREFIX_LENGTH, 1),
        (e::PADDING_OCTETS, 2),
    ];
}

/// The low 16 bits.
pub(crate) const fn low16(value: usize) -> u16 {
    let [.., high, low] = value.to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// The low 32 bits: the value modulo 2^32.
pub(crate) const fn low32(value: u64) -> u32 {
    let [_, _, _, _, a, b, c, d] = value.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// Copies `value` to `at`; does nothing where it would not fit.
pub(crate) fn put(buffer: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = buffer.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}
