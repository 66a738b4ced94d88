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
///
/// Aligned to 8 octets, so that it can be read and compared in whole words.
#[repr(C, align(8))]
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
    /// `destinationTransportPort`; for ICMP and `ICMPv6` type * 256 + code; 0 in later fragments.
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
    /// Boot clock of the first packet, nanoseconds, as exact as [`Timestamps`] says; 0: unset.
    pub start_mono_time_ns: u64,
    /// Boot clock of the last packet, as the start; 0: unset.
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

impl FlowId {
    /// Source address; of a layer-2 flow all zero.
    pub const fn src_ip(&self) -> &IpAddress {
        &self.src_ip
    }

    /// Destination address; of a layer-2 flow all zero.
    pub const fn dst_ip(&self) -> &IpAddress {
        &self.dst_ip
    }

    /// Source MAC address.
    pub const fn src_mac(&self) -> &MacAddress {
        &self.src_mac
    }

    /// Destination MAC address.
    pub const fn dst_mac(&self) -> &MacAddress {
        &self.dst_mac
    }

    /// Whether this is a layer-2 flow: what the frames carry is not IP, and no address is known.
    pub fn is_layer_2(&self) -> bool {
        self.src_ip == IpAddress::default() && self.dst_ip == IpAddress::default()
    }
}

impl FlowMetrics {
    /// Whether nothing has been counted.
    pub const fn is_empty(&self) -> bool {
        self.packets == 0 && self.bytes == 0
    }

    /// Adds what was counted of the same flow elsewhere (another CPU, an earlier or later record).
    ///
    /// Counts add and stay at their maximum instead of wrapping; the start is the earlier, the end
    /// the later one, where 0 means unset and loses; flags unite; the first errno that is not 0
    /// stays; `tos` is that of the side that started first; the TTLs are the extremes of both. A
    /// side that has counted nothing says nothing of `tos` and TTL.
    pub fn accumulate(&mut self, other: &FlowMetrics) {
        if self.is_empty() {
            self.tos = other.tos;
            self.min_ttl = other.min_ttl;
            self.max_ttl = other.max_ttl;
        } else if !other.is_empty() {
            if starts_before(other.start_mono_time_ns, self.start_mono_time_ns) {
                self.tos = other.tos;
            }
            self.min_ttl = self.min_ttl.min(other.min_ttl);
            self.max_ttl = self.max_ttl.max(other.max_ttl);
        }
        if starts_before(other.start_mono_time_ns, self.start_mono_time_ns) {
            self.start_mono_time_ns = other.start_mono_time_ns;
        }
        self.end_mono_time_ns = self.end_mono_time_ns.max(other.end_mono_time_ns);
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.flags |= other.flags;
        if self.errno == 0 {
            self.errno = other.errno;
        }
    }
}

/// Whether `start` is a time, and earlier than `other` or `other` is none.
const fn starts_before(start: u64, other: u64) -> bool {
    start != 0 && (other == 0 || start < other)
}

/// A record in octets that ended early.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShortRecord {
    /// The first field that is not there, or not in full.
    pub missing: &'static str,
    /// Octets of a whole record.
    pub needed: usize,
    /// Octets that were there.
    pub found: usize,
}

impl core::fmt::Display for ShortRecord {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self {
            missing,
            needed,
            found,
        } = self;
        write!(
            f,
            "flow record ends after {found} of {needed} octets: {missing} is missing"
        )
    }
}

impl core::error::Error for ShortRecord {}

impl FlowRecord {
    /// Octets of one record.
    pub const BYTES: usize = core::mem::size_of::<Self>();

    /// Reads one record from the start of `octets`: the fields in their order, numbers little-endian,
    /// addresses as on the wire. What follows the record is not looked at.
    ///
    /// Fails when `octets` is shorter than [`FlowRecord::BYTES`].
    pub fn from_le_octets(octets: &[u8]) -> Result<Self, ShortRecord> {
        let mut fields = Fields {
            rest: octets,
            found: octets.len(),
        };
        Ok(Self {
            id: FlowId {
                src_ip: IpAddress(fields.take("src_ip")?),
                dst_ip: IpAddress(fields.take("dst_ip")?),
                src_mac: MacAddress(fields.take("src_mac")?),
                dst_mac: MacAddress(fields.take("dst_mac")?),
                src_port: u16::from_le_bytes(fields.take("src_port")?),
                dst_port: u16::from_le_bytes(fields.take("dst_port")?),
                if_index: u32::from_le_bytes(fields.take("if_index")?),
                eth_protocol: u16::from_le_bytes(fields.take("eth_protocol")?),
                vlan_id: u16::from_le_bytes(fields.take("vlan_id")?),
                customer_vlan_id: u16::from_le_bytes(fields.take("customer_vlan_id")?),
                transport_protocol: u8::from_le_bytes(fields.take("transport_protocol")?),
                direction: u8::from_le_bytes(fields.take("direction")?),
                sampling: u32::from_le_bytes(fields.take("sampling")?),
            },
            metrics: FlowMetrics {
                packets: u64::from_le_bytes(fields.take("packets")?),
                bytes: u64::from_le_bytes(fields.take("bytes")?),
                start_mono_time_ns: u64::from_le_bytes(fields.take("start_mono_time_ns")?),
                end_mono_time_ns: u64::from_le_bytes(fields.take("end_mono_time_ns")?),
                flags: u16::from_le_bytes(fields.take("flags")?),
                errno: u8::from_le_bytes(fields.take("errno")?),
                tos: u8::from_le_bytes(fields.take("tos")?),
                min_ttl: u8::from_le_bytes(fields.take("min_ttl")?),
                max_ttl: u8::from_le_bytes(fields.take("max_ttl")?),
                reserved: u16::from_le_bytes(fields.take("reserved")?),
            },
        })
    }
}

/// The octets of a record that are still to be read.
struct Fields<'a> {
    rest: &'a [u8],
    found: usize,
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N], ShortRecord> {
        let short = ShortRecord {
            missing: name,
            needed: FlowRecord::BYTES,
            found: self.found,
        };
        let (field, rest) = self.rest.split_first_chunk::<N>().ok_or(short)?;
        self.rest = rest;
        Ok(*field)
    }
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

/// Version of the tables as a whole: their layout, and what the numbers in them mean to who writes and
/// who reads them. To be raised with every change of either, so that an exporter does not adopt what
/// it would misread.
pub const TABLES_VERSION: u16 = 3;
/// Version of [`CpuState`] alone: tables that are otherwise of another version can still be asked
/// what they observed.
pub const COUNTERS_VERSION: u16 = 2;
/// Both versions, as [`Control::abi`] has them.
pub const ABI: u32 = (COUNTERS_VERSION as u32) << 16 | TABLES_VERSION as u32;

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
    /// Seen by a CPU that came after the tables were made: it has no cache.
    UnknownCpu = 6,
    /// Its flow is not meant by the filter.
    Filtered = 7,
}

impl DropReason {
    /// Every reason in use, in the order of the counters.
    pub const ALL: [Self; DROP_REASONS] = [
        Self::NotIp,
        Self::Truncated,
        Self::Malformed,
        Self::TooDeep,
        Self::NotSampled,
        Self::LogFull,
        Self::UnknownCpu,
        Self::Filtered,
    ];
}

/// The loader gives this call, of a helper that no kernel has, its answer: whether there is a filter. A
/// number that it knows is one that the verifier knows, so that what is for a filter alone goes out of
/// a program that has none.
pub const CALL_HAS_FILTER: u32 = 0x00eb_f100;
/// The loader gives this call a function at the end of the program: the filter. Its argument is the
/// address of the eight words of a Flow Key; 0: the flow is not meant.
pub const CALL_FILTER: u32 = 0x00eb_f101;

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
    /// Zero. See [`crate::dissect::Frame::forget_path`].
    pub zero: u32,
    /// [`ABI`] of the exporter that made the tables. No program reads it.
    pub abi: u32,
    /// Secret keys of the hash, chosen at load.
    pub hash_keys: [u32; 16],
    /// The boot clock, in nanoseconds, of the kernel's tick number 0 (`jiffies`), modulo 2^64.
    /// Moves with the time spent in suspend; kept up to date by the exporter.
    pub tick_origin_ns: u64,
    /// Nanoseconds from tick to tick.
    pub tick_ns: u32,
    /// A [`Timestamps`].
    pub timestamps: u32,
}

/// Which packets are stamped by the fine clock; the others get the time of the kernel's last tick.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u32)]
pub enum Timestamps {
    /// None.
    Tick = 0,
    /// Those that bring a flow into the cache, and so the first one of every flow.
    #[default]
    FineStart = 1,
    /// All.
    Fine = 2,
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

/// State of one CPU. The map has one more than there are caches, for CPUs that have none; they share
/// it, and only its counters are used.
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

layout!(Control, 112, { generation: 0, sampling: 4, layer2_flows: 8, sets: 12, log_records: 16,
    cpus: 20, abi: 28, hash_keys: 32,
    tick_origin_ns: 96, tick_ns: 104, timestamps: 108 });
layout!(Tally, 16, { packets: 0, octets: 8 });
layout!(Counters, 160, { observed: 0, frames: 16, dropped: 32 });
layout!(CpuState, 512, { produced: 0, consumed: 64, counters: 128 });
layout!(Slot, 128, { entry: 0 });
#[cfg(test)]
mod tests {
    use super::*;

    fn counted(start: u64, end: u64) -> FlowMetrics {
        FlowMetrics {
            packets: 2,
            bytes: 100,
            start_mono_time_ns: start,
            end_mono_time_ns: end,
            flags: 0x02,
            errno: 0,
            tos: 4,
            min_ttl: 60,
            max_ttl: 64,
            reserved: 0,
        }
    }

    #[test]
    fn accumulating_adds_counts_and_widens_the_rest() {
        let mut metrics = counted(50, 70);
        let other = FlowMetrics {
            flags: 0x10,
            errno: 7,
            tos: 8,
            min_ttl: 1,
            max_ttl: 63,
            ..counted(40, 60)
        };
        metrics.accumulate(&other);
        let whole = FlowMetrics {
            packets: 4,
            bytes: 200,
            start_mono_time_ns: 40,
            end_mono_time_ns: 70,
            flags: 0x12,
            errno: 7,
            tos: 8,
            min_ttl: 1,
            max_ttl: 64,
            reserved: 0,
        };
        assert_eq!(metrics, whole);

        metrics.accumulate(&FlowMetrics {
            errno: 16,
            tos: 99,
            ..counted(45, 46)
        });
        assert_eq!(
            (metrics.errno, metrics.tos),
            (7, 8),
            "the first errno and the first tos stay"
        );
    }

    #[test]
    fn zero_times_and_empty_sides_are_unset() {
        let mut metrics = FlowMetrics::default();
        metrics.accumulate(&counted(50, 70));
        assert_eq!(metrics, counted(50, 70));
        metrics.accumulate(&FlowMetrics::default());
        assert_eq!(metrics, counted(50, 70));
        metrics.accumulate(&FlowMetrics {
            tos: 9,
            ..counted(0, 0)
        });
        assert_eq!(
            (
                metrics.start_mono_time_ns,
                metrics.end_mono_time_ns,
                metrics.tos
            ),
            (50, 70, 4)
        );
    }

    #[test]
    fn counts_stay_at_their_maximum() {
        let mut metrics = FlowMetrics {
            packets: u64::MAX - 1,
            bytes: u64::MAX,
            ..counted(1, 2)
        };
        metrics.accumulate(&counted(1, 2));
        assert_eq!((metrics.packets, metrics.bytes), (u64::MAX, u64::MAX));
    }

    #[test]
    fn a_record_is_read_little_endian_in_field_order() {
        let mut octets = [0_u8; FlowRecord::BYTES];
        for (at, octet) in octets.iter_mut().enumerate() {
            *octet = u8::try_from(at).unwrap();
        }
        let FlowRecord { id, metrics } = FlowRecord::from_le_octets(&octets).unwrap();
        assert_eq!(id.src_ip.0[15], 15);
        assert_eq!(id.dst_mac.0, [38, 39, 40, 41, 42, 43]);
        assert_eq!(
            (id.src_port, id.dst_port, id.if_index),
            (0x2d2c, 0x2f2e, 0x3332_3130)
        );
        assert_eq!(
            (id.transport_protocol, id.direction, id.sampling),
            (58, 59, 0x3f3e_3d3c)
        );
        assert_eq!(metrics.packets, 0x4746_4544_4342_4140);
        assert_eq!(
            (metrics.flags, metrics.errno, metrics.tos),
            (0x6160, 98, 99)
        );
        assert_eq!(
            (metrics.min_ttl, metrics.max_ttl, metrics.reserved),
            (100, 101, 0x6766)
        );
    }

    #[test]
    fn a_short_record_names_the_missing_field() {
        let octets = [0_u8; FlowRecord::BYTES];
        for (found, missing) in [
            (0, "src_ip"),
            (15, "src_ip"),
            (16, "dst_ip"),
            (103, "reserved"),
        ] {
            let error = FlowRecord::from_le_octets(&octets[..found]).unwrap_err();
            assert_eq!(
                error,
                ShortRecord {
                    missing,
                    needed: 104,
                    found
                }
            );
        }
        let error = FlowRecord::from_le_octets(&octets[..58]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "flow record ends after 58 of 104 octets: transport_protocol is missing"
        );
    }
}
