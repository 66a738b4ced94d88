//! `NetFlow` version 5: the one record it has, and what its header says of sampling.

use core::net::Ipv4Addr;

use crate::layout::Context;
use crate::wire::{put, v5_record};

/// A flow of `NetFlow` v5. [`Layout::netflow_v5`](crate::Layout::netflow_v5) makes records of it.
///
/// The fields are as wide as flows are elsewhere. What is too large for the 48 octets is fitted:
/// counters and interfaces saturate, autonomous systems beyond 16 bits become [`AS_TRANS`]
/// (RFC 6793 section 9). [`parts`](Self::parts) gives flows whose counters are too large as several
/// that are not.
///
/// [`AS_TRANS`]: Self::AS_TRANS
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NetflowV5Record {
    /// The source address.
    pub source: Ipv4Addr,
    /// The destination address.
    pub destination: Ipv4Addr,
    /// The next router's address, 0.0.0.0 where there is none.
    pub next_hop: Ipv4Addr,
    /// The index of the interface on which the flow came in, 0 where unknown. On the wire at most
    /// [`MAX_INTERFACE`](Self::MAX_INTERFACE), which then stands for all beyond.
    pub ingress_interface: u32,
    /// The index of the interface by which the flow left, as above.
    pub egress_interface: u32,
    /// Packets; at most [`MAX_COUNTER`](Self::MAX_COUNTER) on the wire.
    pub packets: u64,
    /// Octets of layer 3; at most [`MAX_COUNTER`](Self::MAX_COUNTER) on the wire.
    pub octets: u64,
    /// When the first packet was seen, in milliseconds since 1970-01-01 UTC; sysUptime on the wire.
    pub first_ms: u64,
    /// When the last packet was seen, in milliseconds since 1970-01-01 UTC; sysUptime on the wire.
    pub last_ms: u64,
    /// The source port.
    pub source_port: u16,
    /// The destination port; of ICMP, type * 256 + code.
    pub destination_port: u16,
    /// The union of the TCP flags.
    pub tcp_flags: u8,
    /// The number of the IP protocol.
    pub protocol: u8,
    /// The type of service (DSCP and ECN).
    pub tos: u8,
    /// The source's autonomous system, 0 where unknown.
    pub source_as: u32,
    /// The destination's autonomous system, 0 where unknown.
    pub destination_as: u32,
    /// The prefix length of the source's route, 0 where unknown.
    pub source_prefix_length: u8,
    /// The prefix length of the destination's route, 0 where unknown.
    pub destination_prefix_length: u8,
}

impl NetflowV5Record {
    /// The largest number of packets or octets that a record holds. At 1 Gbit/s it is reached in 34
    /// seconds.
    pub const MAX_COUNTER: u64 = 0xffff_ffff;
    /// The largest interface index that a record holds.
    pub const MAX_INTERFACE: u32 = 0xffff;
    /// The autonomous system that stands for any whose number has more than 16 bits.
    pub const AS_TRANS: u16 = 23_456;
    /// Records a packet has at most.
    pub const MAX_PER_PACKET: u16 = v5_record::MAX_COUNT;
    /// The length of a record in octets.
    pub const LENGTH: usize = v5_record::LENGTH;

    /// An empty flow of no protocol between nobody: for `..NetflowV5Record::EMPTY`.
    pub const EMPTY: Self = Self {
        source: Ipv4Addr::UNSPECIFIED,
        destination: Ipv4Addr::UNSPECIFIED,
        next_hop: Ipv4Addr::UNSPECIFIED,
        ingress_interface: 0,
        egress_interface: 0,
        packets: 0,
        octets: 0,
        first_ms: 0,
        last_ms: 0,
        source_port: 0,
        destination_port: 0,
        tcp_flags: 0,
        protocol: 0,
        tos: 0,
        source_as: 0,
        destination_as: 0,
        source_prefix_length: 0,
        destination_prefix_length: 0,
    };

    /// The same flow as records whose counters fit, and add up to this one's. It is one record, the
    /// flow itself, unless a counter is beyond [`MAX_COUNTER`](Self::MAX_COUNTER).
    ///
    /// All parts have the flow's times, and shares of its packets and octets that differ by one at
    /// most.
    pub fn parts(&self) -> impl Iterator<Item = Self> + use<> {
        let flow = *self;
        let count = flow
            .packets
            .max(flow.octets)
            .div_ceil(Self::MAX_COUNTER)
            .max(1);
        let share = move |total: u64, part| total / count + u64::from(part < total % count);
        (0..count).map(move |part| Self {
            packets: share(flow.packets, part),
            octets: share(flow.octets, part),
            ..flow
        })
    }

    /// The record's octets: the fields of [`v5_record::FIELDS`] one after the other.
    pub(crate) fn encode(&self, context: &Context) -> [u8; v5_record::LENGTH] {
        let mut row = Row {
            octets: [0; v5_record::LENGTH],
            at: 0,
        };
        row.push(self.source.octets());
        row.push(self.destination.octets());
        row.push(self.next_hop.octets());
        row.push(interface(self.ingress_interface));
        row.push(interface(self.egress_interface));
        row.push(counter(self.packets));
        row.push(counter(self.octets));
        row.push(context.uptime_ms(self.first_ms).to_be_bytes());
        row.push(context.uptime_ms(self.last_ms).to_be_bytes());
        row.push(self.source_port.to_be_bytes());
        row.push(self.destination_port.to_be_bytes());
        row.push([0, self.tcp_flags, self.protocol, self.tos]);
        row.push(autonomous_system(self.source_as));
        row.push(autonomous_system(self.destination_as));
        row.push([self.source_prefix_length, self.destination_prefix_length]);
        row.octets
    }
}

/// What a `NetFlow` v5 header says of sampling; [`Session::set_sampling`](crate::Session::set_sampling)
/// takes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NetflowV5Sampling {
    mode: NetflowV5SamplingMode,
    interval: u16,
}

/// How packets are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NetflowV5SamplingMode {
    /// All packets are metered, or nothing is said: 0 on the wire.
    #[default]
    None,
    /// One packet after every so many: 1 on the wire.
    Deterministic,
    /// One packet out of every so many, at random: 2 on the wire.
    Random,
}

impl NetflowV5Sampling {
    /// The largest interval that the header holds.
    pub const MAX_INTERVAL: u16 = 0x3fff;

    /// No sampling, or nothing said of it: two octets of zero.
    pub const fn none() -> Self {
        Self {
            mode: NetflowV5SamplingMode::None,
            interval: 0,
        }
    }

    /// One packet in `interval`. `None` for intervals beyond
    /// [`MAX_INTERVAL`](Self::MAX_INTERVAL), which the header cannot tell.
    pub const fn new(mode: NetflowV5SamplingMode, interval: u16) -> Option<Self> {
        if interval > Self::MAX_INTERVAL {
            return None;
        }
        Some(Self { mode, interval })
    }

    /// How packets are chosen.
    pub const fn mode(self) -> NetflowV5SamplingMode {
        self.mode
    }

    /// One packet in how many.
    pub const fn interval(self) -> u16 {
        self.interval
    }

    /// The header's 16 bits: two of mode, 14 of interval.
    pub(crate) const fn to_wire(self) -> u16 {
        let mode = match self.mode {
            NetflowV5SamplingMode::None => 0,
            NetflowV5SamplingMode::Deterministic => 1,
            NetflowV5SamplingMode::Random => 2,
        };
        mode << 14 | self.interval
    }
}

struct Row {
    octets: [u8; v5_record::LENGTH],
    at: usize,
}

impl Row {
    fn push<const N: usize>(&mut self, value: [u8; N]) {
        put(&mut self.octets, self.at, &value);
        self.at += N;
    }
}

fn counter(value: u64) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes()
}

fn interface(index: u32) -> [u8; 2] {
    u16::try_from(index).unwrap_or(u16::MAX).to_be_bytes()
}

fn autonomous_system(number: u32) -> [u8; 2] {
    u16::try_from(number)
        .unwrap_or(NetflowV5Record::AS_TRANS)
        .to_be_bytes()
}
