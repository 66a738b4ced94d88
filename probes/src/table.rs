//! The flow table: a small exact-match cache per CPU and an eviction log behind it.
//!
//! The cache stays in the CPU's own L2, so counting a packet of a known flow costs a hash and a
//! compare. When another flow needs a slot, the slot's record goes to the log, which the exporter
//! reads without a system call and merges into its own big table. What is evicted is written
//! before the slot is given away; what fits neither is counted. Nothing is forgotten in silence.
//!
//! Everything here is plain arithmetic over references that the caller obtained from the maps, so
//! it runs in host tests as it does in the kernel.

use crate::abi::{FlowId, FlowMetrics, Set, Slot};

/// The eight words of a Flow Key, for hashing and comparing.
pub type Words = [u64; 8];

/// Reads a Flow Key as words.
#[inline(always)]
pub fn words(id: &FlowId) -> Words {
    // SAFETY: FlowId is 64 octets without padding (asserted in `abi`), and every bit pattern is a
    // valid u64.
    unsafe { core::mem::transmute_copy(id) }
}

/// The Flow Key of these words.
#[inline(always)]
pub fn flow_id(words: &Words) -> FlowId {
    // SAFETY: as in `words`; every bit pattern is a valid FlowId, too.
    unsafe { core::mem::transmute_copy(words) }
}

/// Puts where and how a packet was seen into the words of its Flow Key, which have nothing there yet.
#[inline(always)]
pub fn place(words: &mut Words, if_index: u32, direction: u8, sampling: u32) {
    words[6] |= u64::from(if_index);
    words[7] |= u64::from(direction) << 24 | u64::from(sampling) << 32;
}

/// Keyed hash of a Flow Key: NH over 32-bit halves (as in UMAC, RFC 4418 section 5.2.2), then a
/// finalizer, so that neither sequential nor chosen flows cluster while the keys are secret.
#[inline(always)]
pub fn hash(words: &Words, keys: &[u32; 16]) -> u32 {
    let mut sum = 0u64;
    let mut i = 0;
    while i < 8 {
        #[allow(clippy::cast_possible_truncation, reason = "the lower half is meant")]
        let low = (words[i] as u32).wrapping_add(keys[2 * i]);
        let high = ((words[i] >> 32) as u32).wrapping_add(keys[2 * i + 1]);
        sum = sum.wrapping_add(u64::from(low).wrapping_mul(u64::from(high)));
        i += 1;
    }
    sum ^= sum >> 32;
    sum = sum.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (sum >> 32) as u32
}

/// Whether two Flow Keys are equal.
#[inline(always)]
pub fn same(a: &Words, b: &Words) -> bool {
    let mut difference = 0;
    let mut i = 0;
    while i < 8 {
        difference |= a[i] ^ b[i];
        i += 1;
    }
    difference == 0
}

/// What one packet (or super-packet) adds to its flow.
#[derive(Clone, Copy)]
pub struct Sighting {
    /// Packets on the wire.
    pub packets: u64,
    /// IP octets on the wire.
    pub octets: u64,
    /// TCP control bits.
    pub flags: u16,
    /// Type of service octet.
    pub tos: u8,
    /// Time to live.
    pub ttl: u8,
}

/// Adds a packet at `now` (boot clock, nanoseconds) to a flow that is in the cache.
#[inline(always)]
pub fn add(metrics: &mut FlowMetrics, seen: &Sighting, now: u64) {
    metrics.packets += seen.packets;
    metrics.bytes += seen.octets;
    // The last tick may be before the fine clock that stamped the first packet.
    if now > metrics.end_mono_time_ns {
        metrics.end_mono_time_ns = now;
    }
    metrics.flags |= seen.flags;
    if seen.ttl < metrics.min_ttl {
        metrics.min_ttl = seen.ttl;
    }
    if seen.ttl > metrics.max_ttl {
        metrics.max_ttl = seen.ttl;
    }
}

/// The metrics of a flow whose first packet came at `now`.
#[inline(always)]
pub fn first(seen: &Sighting, now: u64) -> FlowMetrics {
    FlowMetrics {
        packets: seen.packets,
        bytes: seen.octets,
        start_mono_time_ns: now,
        end_mono_time_ns: now,
        flags: seen.flags,
        errno: 0,
        tos: seen.tos,
        min_ttl: seen.ttl,
        max_ttl: seen.ttl,
        reserved: 0,
    }
}

/// The slot to give to a new flow: an empty one, else the one with the fewest packets, which is
/// the least likely to be seen again soon.
#[inline(always)]
pub fn victim(set: &mut Set) -> &mut Slot {
    let [a, b] = &*set;
    // The sign of the difference and no branch: which one it is cannot be predicted. No flow has
    // 2^63 packets.
    let second = b
        .entry
        .record
        .metrics
        .packets
        .wrapping_sub(a.entry.record.metrics.packets)
        >> 63;
    &mut set[(second & 1) as usize]
}
