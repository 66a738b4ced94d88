//! The flow table's arithmetic: hash, comparison, counting, choice of the victim.

use ebpfix_probes::abi::{
    FlowId, FlowMetrics, IpAddress, MacAddress, Set, DIRECTION_EGRESS, ETH_P_IP,
};
use ebpfix_probes::table::{add, first, hash, same, victim, words, Sighting, Words};
use proptest::prelude::*;
use std::collections::HashSet;

/// Keys as if drawn at random, but the same in every run (Weyl sequence, Murmur's finalizer).
fn keys(seed: u32) -> [u32; 16] {
    let mut state = seed;
    std::array::from_fn(|_| {
        state = state.wrapping_add(0x9e37_79b9);
        let mut key = state;
        key = (key ^ key >> 16).wrapping_mul(0x85eb_ca6b);
        key = (key ^ key >> 13).wrapping_mul(0xc2b2_ae35);
        key ^ key >> 16
    })
}

fn flow() -> FlowId {
    FlowId {
        src_ip: IpAddress::from_v4_octets([10, 0, 0, 1]),
        dst_ip: IpAddress::from_v4_octets([10, 0, 1, 1]),
        src_mac: MacAddress([2, 0, 0, 0, 0, 1]),
        dst_mac: MacAddress([2, 0, 0, 0, 0, 2]),
        src_port: 1024,
        dst_port: 80,
        if_index: 2,
        eth_protocol: ETH_P_IP,
        vlan_id: 0,
        customer_vlan_id: 0,
        transport_protocol: 6,
        direction: DIRECTION_EGRESS,
        sampling: 1,
    }
}

// ---- Words --------------------------------------------------------------------------------------

#[test]
fn words_are_the_flow_key_in_memory_order() {
    let address = |from: u8| IpAddress(std::array::from_fn(|at| from + u8::try_from(at).unwrap()));
    let id = FlowId {
        src_ip: address(0),
        dst_ip: address(16),
        src_mac: MacAddress([32, 33, 34, 35, 36, 37]),
        dst_mac: MacAddress([38, 39, 40, 41, 42, 43]),
        src_port: u16::from_ne_bytes([44, 45]),
        dst_port: u16::from_ne_bytes([46, 47]),
        if_index: u32::from_ne_bytes([48, 49, 50, 51]),
        eth_protocol: u16::from_ne_bytes([52, 53]),
        vlan_id: u16::from_ne_bytes([54, 55]),
        customer_vlan_id: u16::from_ne_bytes([56, 57]),
        transport_protocol: 58,
        direction: 59,
        sampling: u32::from_ne_bytes([60, 61, 62, 63]),
    };
    let expected: Words = std::array::from_fn(|word| {
        u64::from_ne_bytes(std::array::from_fn(|octet| {
            u8::try_from(8 * word + octet).unwrap()
        }))
    });
    assert_eq!(words(&id), expected);
}

#[test]
fn flow_keys_are_the_same_only_in_every_bit() {
    let key = words(&flow());
    assert!(same(&key, &words(&flow())));
    for word in 0..8 {
        for bit in 0..64 {
            let mut other = key;
            other[word] ^= 1 << bit;
            assert!(!same(&key, &other), "bit {bit} of word {word}");
            assert!(!same(&other, &key), "bit {bit} of word {word}");
        }
    }
    // Differences that would cancel in a sum or an exclusive or.
    let mut other = key;
    other[0] ^= 1;
    other[1] ^= 1;
    assert!(!same(&key, &other));
}

// ---- Hash ---------------------------------------------------------------------------------------

#[test]
fn the_hash_is_a_function_of_flow_and_keys() {
    let key = words(&flow());
    assert_eq!(hash(&key, &keys(1)), hash(&words(&flow()), &keys(1)));
    let by_keys: HashSet<u32> = (0..1000).map(|seed| hash(&key, &keys(seed))).collect();
    assert!(by_keys.len() > 990, "{} hashes by 1000 keys", by_keys.len());
}

#[test]
fn the_hash_depends_on_every_bit() {
    for seed in 0..16 {
        let keys = keys(seed);
        let key = words(&flow());
        for word in 0..8 {
            for bit in 0..64 {
                let mut other = key;
                other[word] ^= 1 << bit;
                // That two flows agree is a chance of 2^-32: these do not.
                assert_ne!(
                    hash(&key, &keys),
                    hash(&other, &keys),
                    "bit {bit} of word {word}"
                );
            }
        }
    }
}

#[test]
fn the_hash_depends_on_every_key() {
    let key = words(&flow());
    for index in 0..16 {
        let mut other = keys(3);
        other[index] ^= 0x8000;
        assert_ne!(hash(&key, &keys(3)), hash(&key, &other), "key {index}");
    }
}

/// Sets of the default cache.
const SETS: usize = 2048;
const FLOWS: u32 = 65_536;
/// Chi-square with 2047 degrees of freedom: mean 2047, standard deviation 64. More than six
/// deviations above the mean is clustering.
const CHI_SQUARE_LIMIT: f64 = 2047.0 + 6.0 * 64.0;

/// Pearson's chi-square of the flows' distribution over the sets.
fn chi_square(keys: &[u32; 16], flow_of: impl Fn(u32) -> FlowId) -> f64 {
    let mut counts = vec![0_u32; SETS];
    for number in 0..FLOWS {
        let set = usize::try_from(hash(&words(&flow_of(number)), keys)).unwrap() % SETS;
        counts[set] += 1;
    }
    let expected = f64::from(FLOWS) / f64::from(u32::try_from(SETS).unwrap());
    counts
        .iter()
        .map(|count| (f64::from(*count) - expected).powi(2) / expected)
        .sum()
}

#[test]
fn sequential_flows_do_not_cluster() {
    type FlowOf = fn(u32) -> FlowId;
    let kinds: [(&str, FlowOf); 8] = [
        ("source ports", |n| FlowId {
            src_port: low(n),
            ..flow()
        }),
        ("destination ports", |n| FlowId {
            dst_port: low(n),
            ..flow()
        }),
        ("IPv4 sources", |n| FlowId {
            src_ip: v4(n),
            ..flow()
        }),
        ("IPv4 destinations", |n| FlowId {
            dst_ip: v4(n),
            ..flow()
        }),
        ("both IPv4 addresses", |n| FlowId {
            src_ip: v4(n & 0xff),
            dst_ip: v4(n >> 8),
            ..flow()
        }),
        ("IPv6 interface identifiers", |n| FlowId {
            src_ip: v6(n),
            ..flow()
        }),
        ("hosts and ports", |n| FlowId {
            src_ip: v4(n >> 8),
            src_port: low(n & 0xff),
            ..flow()
        }),
        ("source MAC addresses", |n| {
            let [_, _, high, low] = n.to_be_bytes();
            FlowId {
                src_mac: MacAddress([2, 0, 0, 0, high, low]),
                ..flow()
            }
        }),
    ];
    for (name, flow_of) in kinds {
        for seed in 0..4 {
            let found = chi_square(&keys(seed), flow_of);
            assert!(found < CHI_SQUARE_LIMIT, "{name}, keys {seed}: {found}");
        }
    }
}

fn low(number: u32) -> u16 {
    let [_, _, high, low] = number.to_be_bytes();
    u16::from_be_bytes([high, low])
}

fn v4(number: u32) -> IpAddress {
    let [_, _, high, low] = number.to_be_bytes();
    IpAddress::from_v4_octets([10, 1, high, low])
}

fn v6(number: u32) -> IpAddress {
    let mut octets = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    octets[12..].copy_from_slice(&number.to_be_bytes());
    IpAddress(octets)
}

proptest! {
    /// Whatever the flows, differing keys share a hash only by chance, and equal ones always do.
    #[test]
    fn arbitrary_flow_keys(a: [u64; 8], b: [u64; 8], seed: u32) {
        let keys = keys(seed);
        prop_assert_eq!(same(&a, &b), a == b);
        prop_assert!(same(&a, &a));
        prop_assert_eq!(hash(&a, &keys), hash(&a.clone(), &keys));
        prop_assert!(a == b || hash(&a, &keys) != hash(&b, &keys));
    }
}

// ---- Counting -----------------------------------------------------------------------------------

#[test]
fn the_first_packet_sets_everything() {
    let seen = Sighting {
        packets: 3,
        octets: 4_500,
        flags: 0x802,
        tos: 0xb8,
        ttl: 61,
    };
    let expected = FlowMetrics {
        packets: 3,
        bytes: 4_500,
        start_mono_time_ns: 77,
        end_mono_time_ns: 77,
        flags: 0x802,
        errno: 0,
        tos: 0xb8,
        min_ttl: 61,
        max_ttl: 61,
        reserved: 0,
    };
    assert_eq!(first(&seen, 77), expected);
}

#[test]
fn later_packets_add_up_and_widen() {
    let seen = |packets, octets, flags, tos, ttl| Sighting {
        packets,
        octets,
        flags,
        tos,
        ttl,
    };
    let mut metrics = first(&seen(1, 60, 0x002, 8, 64), 1_000);
    add(&mut metrics, &seen(10, 15_000, 0x010, 16, 63), 2_000);
    add(&mut metrics, &seen(1, 52, 0x101, 0, 255), 3_000);
    add(&mut metrics, &seen(1, 40, 0x000, 0, 64), 4_000);
    let expected = FlowMetrics {
        packets: 13,
        bytes: 15_152,
        start_mono_time_ns: 1_000,
        end_mono_time_ns: 4_000,
        flags: 0x113,
        errno: 0,
        tos: 8,
        min_ttl: 63,
        max_ttl: 255,
        reserved: 0,
    };
    assert_eq!(metrics, expected);
}

/// The exporter merges what two slots counted of a flow: the same as if one had counted it all.
#[test]
fn counted_apart_and_merged_is_as_counted_together() {
    let sightings: Vec<(Sighting, u64)> = (1..=20_u8)
        .map(|n| {
            let seen = Sighting {
                packets: u64::from(n % 3) + 1,
                octets: u64::from(n) * 100,
                flags: 1 << (n % 12),
                tos: n,
                ttl: 60 + (n * 7) % 11,
            };
            (seen, u64::from(n) * 1_000)
        })
        .collect();
    let counted = |part: &[(Sighting, u64)]| {
        let (seen, now) = &part[0];
        let mut metrics = first(seen, *now);
        for (seen, now) in &part[1..] {
            add(&mut metrics, seen, *now);
        }
        metrics
    };
    let together = counted(&sightings);
    for cut in 1..sightings.len() {
        let (early, late) = sightings.split_at(cut);
        let mut merged = counted(early);
        merged.accumulate(&counted(late));
        assert_eq!(merged, together, "early first, cut at {cut}");
        let mut merged = counted(late);
        merged.accumulate(&counted(early));
        assert_eq!(merged, together, "late first, cut at {cut}");
    }
}

// ---- The victim ---------------------------------------------------------------------------------

#[test]
fn the_victim_is_an_empty_slot_or_the_lightest() {
    for (packets, chosen) in [
        ([0, 0], 0),
        ([0, 5], 0),
        ([5, 0], 1),
        ([1, 2], 0),
        ([2, 1], 1),
        ([7, 7], 0),
        ([u64::MAX, u64::MAX - 1], 1),
    ] {
        let mut set = Set::default();
        for (slot, packets) in set.iter_mut().zip(packets) {
            slot.entry.record.metrics.packets = packets;
        }
        victim(&mut set).entry.hash = 0x5a5a;
        let hashes = set.map(|slot| slot.entry.hash);
        let mut expected = [0, 0];
        expected[chosen] = 0x5a5a;
        assert_eq!(hashes, expected, "packets {packets:?}");
    }
}
