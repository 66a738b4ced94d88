//! What the kernel programs and the exporter share: plain types of fixed layout, map names, limits.
//!
//! Every type is `repr(C)`, without padding, in the machine's byte order; the asserts at the end of
//! this file hold size and offsets. Numbers inside (ports, ifindex, VLAN) are in host byte order;
//! addresses are octet strings as on the wire.

pub use crate::addr::{IpAddress, MacAddress};

/// The flow was seen where a packet enters the host (`flowDirection` 0).
pub const DIRECTION_INGRESS: u8 = 0;
/// The flow was seen where a packet leaves the host (`flowDirection` 1).
pub const DIRECTION_EGRESS: u8 = 1;

/// `eth_protocol` of IPv4.
pub const ETH_P_IP: u16 = 0x0800;
/// `eth_protocol` of IPv6.
pub const ETH_P_IPV6: u16 = 0x86dd;

/// The Flow Key: packets of one flow agree in every field.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, PartialOrd, Ord)]
pub struct FlowId {
    /// `sourceIPv4Address` or `sourceIPv6Address`; all zero in a layer-2 flow.
    pub src_ip: IpAddress,
    /// `destinationIPv4Address` or `destinationIPv6Address`; all zero in a layer-2 flow.
    pub dst_ip: IpAddress,
    /// `sourceMacAddress`; zero where the link has no addresses.
    pub src_mac: MacAddress,
    /// `destinationMacAddress`; zero where the link has no addresses.
    pub dst_mac: MacAddress,
    /// `sourceTransportPort`; 0 where the protocol has none, and in later fragments.
    pub src_port: u16,
    /// `destinationTransportPort`; for ICMP and ICMPv6 type * 256 + code; 0 in later fragments.
    pub dst_port: u16,
    /// The kernel's index of the interface at which the packet was seen.
    pub if_index: u32,
    /// `ethernetType` of what the frame finally carries, behind VLAN tags and MPLS labels.
    pub eth_protocol: u16,
    /// Identifier of the outer VLAN, 1 to 4094; 0: untagged or priority-tagged.
    pub vlan_id: u16,
    /// Identifier of the next VLAN inside (`dot1qCustomerVlanId`); 0: none.
    pub customer_vlan_id: u16,
    /// `protocolIdentifier`; in IPv6 the one behind the extension headers.
    pub transport_protocol: u8,
    /// [`DIRECTION_INGRESS`] or [`DIRECTION_EGRESS`].
    pub direction: u8,
    /// `samplingInterval` in force when the packets were counted: 1 in this many; 1 = every packet.
    pub sampling: u32,
}

/// What was counted of a flow.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FlowMetrics {
    /// Packets as on the wire: a segmentation-offload packet counts as its segments.
    pub packets: u64,
    /// IP octets, headers included (of a layer-2 flow: octets after the Ethernet header).
    pub bytes: u64,
    /// Boot clock of the first packet, nanoseconds; 0: unset.
    pub start_mono_time_ns: u64,
    /// Boot clock of the last packet, nanoseconds; 0: unset.
    pub end_mono_time_ns: u64,
    /// `tcpControlBits`: the union of the TCP headers' own twelve bits (RFC 9565).
    pub flags: u16,
    /// Why the record came by the log and not from the table: an errno, 0 for none.
    pub errno: u8,
    /// `ipClassOfService` of the first packet.
    pub tos: u8,
    /// `minimumTTL` (IPv6: hop limit).
    pub min_ttl: u8,
    /// `maximumTTL`.
    pub max_ttl: u8,
    /// Reserved, zero.
    pub reserved: u16,
}

/// A flow and what was counted of it: one entry of the kernel's table, one record of its log.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FlowRecord {
    /// The Flow Key.
    pub id: FlowId,
    /// The counts.
    pub metrics: FlowMetrics,
}

/// A record with the keyed hash of its Flow Key, computed once in the kernel.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HashedRecord {
    /// The record.
    pub record: FlowRecord,
    /// Keyed hash of `record.id`; 0 only by chance.
    pub hash: u32,
    /// The generation of the table that counted the record's packets.
    pub generation: u32,
}

macro_rules! layout {
    ($type:ty, $size:expr, { $($field:ident: $offset:expr),* $(,)? }) => {
        const _: () = {
            assert!(core::mem::size_of::<$type>() == $size);
            $(assert!(core::mem::offset_of!($type, $field) == $offset);)*
        };
    };
}

layout!(FlowId, 64, {
    src_ip: 0, dst_ip: 16, src_mac: 32, dst_mac: 38, src_port: 44, dst_port: 46, if_index: 48,
    eth_protocol: 52, vlan_id: 54, customer_vlan_id: 56, transport_protocol: 58, direction: 59,
    sampling: 60,
});
layout!(FlowMetrics, 40, {
    packets: 0, bytes: 8, start_mono_time_ns: 16, end_mono_time_ns: 24, flags: 32, errno: 34,
    tos: 35, min_ttl: 36, max_ttl: 37, reserved: 38,
});
layout!(FlowRecord, 104, { id: 0, metrics: 64 });
layout!(HashedRecord, 112, { record: 0, hash: 104, generation: 108 });

// ---- The flow table and what surrounds it -------------------------------------------------------

/// Name of the map that holds one [`Control`], written by the exporter.
pub const MAP_CONTROL: &str = "control";
/// Name of the map that holds one [`CpuState`] per CPU.
pub const MAP_CPU_STATE: &str = "cpu_state";
/// Name of the map of the per-CPU flow caches, in two generations.
pub const MAP_AGGREGATED_FLOWS: &str = "aggregated_flows";
/// Name of the map of the per-CPU eviction logs.
pub const MAP_DIRECT_FLOWS: &str = "direct_flows";

/// Generations of the cache: one is counted into, the other is quiet and read.
pub const GENERATIONS: usize = 2;
/// Slots of a cache set: a flow may stand in any slot of the set that its hash names.
pub const WAYS: usize = 2;
/// Number of [`DropReason`]s.
pub const DROP_REASONS: usize = 8;

/// `errno` of a record that came by the log because another flow needed its slot: `ENOSPC`.
pub const ERRNO_EVICTED: u8 = 28;

/// Why a packet that was observed is in no flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u32)]
pub enum DropReason {
    /// See [`crate::dissect::Reason::NotIp`].
    NotIp = 0,
    /// See [`crate::dissect::Reason::Truncated`].
    Truncated = 1,
    /// See [`crate::dissect::Reason::Malformed`].
    Malformed = 2,
    /// See [`crate::dissect::Reason::TooDeep`].
    TooDeep = 3,
    /// Not selected by the sampling.
    NotSampled = 4,
    /// The cache had no slot and the log no room.
    LogFull = 5,
    /// Reserved.
    Reserved6 = 6,
    /// Reserved.
    Reserved7 = 7,
}

impl DropReason {
    /// Every reason in use, in the order of the counters.
    pub const ALL: [Self; 6] = [
        Self::NotIp,
        Self::Truncated,
        Self::Malformed,
        Self::TooDeep,
        Self::NotSampled,
        Self::LogFull,
    ];
}

/// What the exporter tells the kernel programs. One element, mapped into the exporter.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Control {
    /// The generation counted into; its lowest bit names the cache.
    pub generation: u32,
    /// 1 in this many packets is counted; 0 and 1: every packet.
    pub sampling: u32,
    /// Not 0: frames that are not IP become layer-2 flows.
    pub layer2_flows: u32,
    /// Sets of one cache, a power of two.
    pub sets: u32,
    /// Records of one log, a power of two.
    pub log_records: u32,
    /// CPUs that have a cache and a log.
    pub cpus: u32,
    /// Reserved, zero.
    pub reserved: [u32; 2],
    /// Secret keys of the hash, chosen at load.
    pub hash_keys: [u32; 16],
}

/// Packets and octets.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Packets as on the wire.
    pub packets: u64,
    /// IP octets; of a frame that is not IP the octets after its link header.
    pub octets: u64,
}

/// What one CPU counted in generations of one parity. Never reset.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Everything that came by.
    pub observed: Tally,
    /// Frames as interface counters see them: a segmentation-offload packet is one; octets with
    /// the link header.
    pub frames: Tally,
    /// What is in no flow, by [`DropReason`].
    pub dropped: [Tally; DROP_REASONS],
}

/// State of one CPU.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CpuState {
    /// Records ever written to the log. Written by the kernel only.
    pub produced: u64,
    /// Keeps what the exporter writes off the kernel's cache line.
    pub pad0: [u64; 7],
    /// Records ever read from the log. Written by the exporter only.
    pub consumed: u64,
    /// As `pad0`.
    pub pad1: [u64; 7],
    /// The counters, by parity of the generation.
    pub counters: [Counters; GENERATIONS],
    /// To a whole number of cache lines.
    pub pad2: [u64; 8],
}

/// One entry of a cache; empty where it has no packets.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Slot {
    /// The flow.
    pub entry: HashedRecord,
    /// To two cache lines.
    pub pad: [u64; 2],
}

/// The slots that one hash value may use.
pub type Set = [Slot; WAYS];

layout!(Control, 96, { generation: 0, sampling: 4, layer2_flows: 8, sets: 12, log_records: 16,
    cpus: 20, hash_keys: 32 });
layout!(Tally, 16, { packets: 0, octets: 8 });
layout!(Counters, 160, { observed: 0, frames: 16, dropped: 32 });
layout!(CpuState, 512, { produced: 0, consumed: 64, counters: 128 });
layout!(Slot, 128, { entry: 0 });
