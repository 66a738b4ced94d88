//! Records as the kernel's programs write them, without a packet.

use ebpfix_probes::abi::{
    ERRNO_EVICTED, ETH_P_IP, FlowId, FlowMetrics, FlowRecord, HashedRecord, IpAddress,
};
use ebpfix_probes::table;

/// Some time after boot, in nanoseconds.
pub const NOW: u64 = 5_000_000_000_000;

/// Keys of the hash: any numbers.
pub const HASH_KEYS: [u32; 16] = [
    0x9e37_79b9,
    0x243f_6a88,
    0x85a3_08d3,
    0x1319_8a2e,
    0x0370_7344,
    0xa409_3822,
    0x299f_31d0,
    0x082e_fa98,
    0xec4e_6c89,
    0x4528_21e6,
    0x38d0_1377,
    0xbe54_66cf,
    0x34e9_0c6c,
    0xc0ac_29b7,
    0xc97c_50dd,
    0x3f84_d5b5,
];

/// A flow of its own for every number.
pub fn id(flow: u32) -> FlowId {
    let [_, _, high, low] = flow.wrapping_mul(40_503).to_be_bytes();
    FlowId {
        src_ip: IpAddress::from_v4_octets(flow.to_be_bytes()),
        dst_ip: IpAddress::from_v4_octets([198, 51, 100, 1]),
        src_port: u16::from_be_bytes([high, low]),
        dst_port: 4000,
        if_index: 2,
        eth_protocol: ETH_P_IP,
        transport_protocol: 17,
        sampling: 1,
        ..FlowId::default()
    }
}

/// A record of the flow with one packet.
pub fn record(flow: u32, time: u64) -> HashedRecord {
    let id = id(flow);
    HashedRecord {
        record: FlowRecord {
            id,
            metrics: FlowMetrics {
                packets: 1,
                bytes: 46,
                start_mono_time_ns: time,
                end_mono_time_ns: time,
                errno: ERRNO_EVICTED,
                min_ttl: 64,
                max_ttl: 64,
                ..FlowMetrics::default()
            },
        },
        hash: table::hash(&table::words(&id), &HASH_KEYS),
        generation: 0,
    }
}

/// So many records, each of one of so many flows at random: the same for the same seed.
pub fn records(count: u32, flows: u32, seed: u64, time: u64) -> Vec<HashedRecord> {
    (0..count)
        .map(|number| {
            let chosen = mix(seed << 32 | u64::from(number)) % u64::from(flows);
            record(
                u32::try_from(chosen).expect("less than the flows"),
                time + u64::from(number),
            )
        })
        .collect()
}

/// `SplitMix64`'s output function.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}
