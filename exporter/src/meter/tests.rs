//! Tests of the flow cache as a whole.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use ebpfix_probes::abi::{
    DIRECTION_EGRESS, DIRECTION_INGRESS, ETH_P_IP, FlowId, FlowMetrics, FlowRecord, HashedRecord,
    IpAddress, MacAddress,
};
use proptest::prelude::*;

use super::{DuplicatesMode, EndedFlow, FlowCache, Movement, Policy};
use crate::ledger::Count;
use crate::record::FlowEndReason::{
    self, ActiveTimeout, EndOfFlow, ForcedEnd, IdleTimeout, LackOfResources,
};
use crate::record::UnixTime;

/// Nanoseconds of a second.
const S: u64 = 1_000_000_000;
/// Some time after boot.
const T: u64 = 5_000 * S;
const UDP: u8 = 17;
const TCP: u8 = 6;
const FIN: u16 = 1;
const ACK: u16 = 0x10;
const ALL: usize = usize::MAX;

fn policy(max_flows: u32) -> Policy {
    Policy {
        max_flows: NonZeroU32::new(max_flows).unwrap(),
        duplicates: DuplicatesMode::Keep,
        ..Policy::default()
    }
}

fn cache(max_flows: u32) -> FlowCache {
    FlowCache::new(policy(max_flows))
}

fn cache_with(duplicates: DuplicatesMode) -> FlowCache {
    FlowCache::new(Policy {
        duplicates,
        ..policy(100)
    })
}

/// A flow of its own for every number.
fn id(number: u32) -> FlowId {
    FlowId {
        src_ip: IpAddress::from_v4_octets(number.to_be_bytes()),
        dst_ip: IpAddress::from_v4_octets([198, 51, 100, 1]),
        src_port: 1_000,
        dst_port: 53,
        if_index: 2,
        eth_protocol: ETH_P_IP,
        transport_protocol: UDP,
        direction: DIRECTION_INGRESS,
        sampling: 1,
        ..FlowId::default()
    }
}

/// A stand-in for the kernel's keyed hash.
fn hash(id: &FlowId) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    let mut mix = |octets: &[u8]| {
        for &octet in octets {
            hash = (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193);
        }
    };
    mix(&id.src_ip.0);
    mix(&id.dst_ip.0);
    mix(&id.src_mac.0);
    mix(&id.dst_mac.0);
    mix(&id.if_index.to_le_bytes());
    mix(&id.sampling.to_le_bytes());
    mix(&[id.direction, id.transport_protocol]);
    mix(&id.vlan_id.to_le_bytes());
    hash ^= hash >> 15;
    hash = hash.wrapping_mul(0x2c1b_3c6d);
    hash ^ hash >> 12
}

fn counted(packets: u64, start: u64, end: u64) -> FlowMetrics {
    FlowMetrics {
        packets,
        bytes: packets * 100,
        start_mono_time_ns: start,
        end_mono_time_ns: end,
        min_ttl: 64,
        max_ttl: 64,
        ..FlowMetrics::default()
    }
}

fn record(id: FlowId, metrics: FlowMetrics) -> HashedRecord {
    HashedRecord {
        record: FlowRecord { id, metrics },
        hash: hash(&id),
        generation: 0,
    }
}

/// One packet of a flow.
fn packet(id: FlowId, time: u64) -> HashedRecord {
    record(id, counted(1, time, time))
}

fn merge(cache: &mut FlowCache, batch: &[HashedRecord]) -> Vec<EndedFlow> {
    let mut ended = Vec::new();
    let _ = cache.merge(batch, T, &mut ended);
    ended
}

fn expire(cache: &mut FlowCache, now: u64) -> Vec<EndedFlow> {
    let mut ended = Vec::new();
    let _ = cache.expire(now, ALL, &mut ended);
    ended
}

fn flush(cache: &mut FlowCache) -> Vec<EndedFlow> {
    let mut ended = Vec::new();
    let _ = cache.flush(ALL, &mut ended);
    ended
}

/// What matters of ended flows, in order of flow and time.
fn summary(ended: &[EndedFlow]) -> Vec<(FlowId, u64, u64, u64, FlowEndReason)> {
    let mut all: Vec<_> = ended
        .iter()
        .map(
            |EndedFlow {
                 id,
                 metrics: m,
                 reason,
                 ..
             }| {
                (
                    *id,
                    m.start_mono_time_ns,
                    m.end_mono_time_ns,
                    m.packets,
                    *reason,
                )
            },
        )
        .collect();
    all.sort_unstable();
    all
}

#[test]
fn records_of_a_flow_become_one() {
    let mut cache = cache(10);
    let mut ended = Vec::new();
    let first = FlowMetrics {
        flags: 2,
        tos: 8,
        ..counted(3, T + 50, T + 60)
    };
    let second = FlowMetrics {
        flags: 16,
        tos: 4,
        min_ttl: 60,
        ..counted(2, T + 70, T + 90)
    };
    // An older record comes last: it moves the start, never the end.
    let older = FlowMetrics {
        tos: 12,
        ..counted(1, T + 10, T + 20)
    };
    let moved = cache.merge(
        &[
            record(id(1), first),
            record(id(1), second),
            record(id(1), older),
        ],
        T,
        &mut ended,
    );
    assert_eq!(
        moved,
        Movement {
            taken: Count::new(6, 600),
            ..Movement::default()
        }
    );
    assert_eq!((cache.len(), cache.held()), (1, Count::new(6, 600)));

    let moved = cache.flush(ALL, &mut ended);
    assert_eq!(
        moved,
        Movement {
            ended: Count::new(6, 600),
            ..Movement::default()
        }
    );
    let metrics = FlowMetrics {
        flags: 18,
        tos: 12,
        min_ttl: 60,
        max_ttl: 64,
        ..counted(6, T + 10, T + 90)
    };
    let flow = EndedFlow {
        id: id(1),
        metrics,
        reason: ForcedEnd,
        duplicate: false,
    };
    assert_eq!(ended, [flow]);
    assert!(cache.is_empty() && cache.held().is_zero());
}

/// Shows 3954/3.2/inactive.
#[test]
fn a_flow_is_idle_to_the_nanosecond() {
    let mut cache = cache(10);
    merge(&mut cache, &[packet(id(1), T), packet(id(2), T + 1)]);
    assert_eq!(expire(&mut cache, T + 15 * S - 1), []);
    let ended = expire(&mut cache, T + 15 * S);
    assert_eq!(summary(&ended), [(id(1), T, T, 1, IdleTimeout)]);
    let ended = expire(&mut cache, T + 15 * S + 1);
    assert_eq!(summary(&ended), [(id(2), T + 1, T + 1, 1, IdleTimeout)]);
    assert!(cache.is_empty());
}

#[test]
fn packets_keep_a_flow_from_being_idle() {
    let mut cache = cache(10);
    merge(&mut cache, &[packet(id(1), T)]);
    merge(&mut cache, &[packet(id(1), T + 15 * S - 1)]);
    assert_eq!(expire(&mut cache, T + 30 * S - 2), []);
    let ended = expire(&mut cache, T + 30 * S - 1);
    assert_eq!(
        summary(&ended),
        [(id(1), T, T + 15 * S - 1, 2, IdleTimeout)]
    );
}

#[test]
fn a_packet_after_the_idle_timeout_is_a_new_record_though_nobody_came_by() {
    let mut cache = cache(10);
    merge(&mut cache, &[packet(id(1), T)]);
    let ended = merge(&mut cache, &[packet(id(1), T + 15 * S)]);
    assert_eq!(summary(&ended), [(id(1), T, T, 1, IdleTimeout)]);
    let ended = flush(&mut cache);
    assert_eq!(
        summary(&ended),
        [(id(1), T + 15 * S, T + 15 * S, 1, ForcedEnd)]
    );
}

/// Shows 3954/3.2/active.
#[test]
fn the_active_timeout_cuts_a_flow_that_goes_on() {
    let mut cache = cache(10);
    for second in (0..60).step_by(10) {
        assert_eq!(merge(&mut cache, &[packet(id(1), T + second * S)]), []);
        assert_eq!(expire(&mut cache, T + second * S), []);
    }
    merge(&mut cache, &[packet(id(1), T + 60 * S - 1)]);
    assert_eq!(expire(&mut cache, T + 60 * S - 1), []);
    let ended = expire(&mut cache, T + 60 * S);
    assert_eq!(
        summary(&ended),
        [(id(1), T, T + 60 * S - 1, 7, ActiveTimeout)]
    );
    assert_eq!(cache.flows().count(), 0, "no record is in progress");

    // An older record that comes late is counted in the new record.
    merge(
        &mut cache,
        &[packet(id(1), T + 59 * S), packet(id(1), T + 61 * S)],
    );
    let ended = expire(&mut cache, T + 76 * S);
    assert_eq!(
        summary(&ended),
        [(id(1), T + 59 * S, T + 61 * S, 2, IdleTimeout)]
    );
    assert!(cache.is_empty());
}

#[test]
fn a_packet_at_the_active_timeout_is_a_new_record_though_nobody_came_by() {
    let mut cache = cache(10);
    for second in (0..=60).step_by(10) {
        let ended = merge(&mut cache, &[packet(id(1), T + second * S)]);
        assert_eq!(ended.is_empty(), second != 60);
    }
    let ended = flush(&mut cache);
    assert_eq!(
        summary(&ended),
        [(id(1), T + 60 * S, T + 60 * S, 1, ForcedEnd)]
    );
}

#[test]
fn a_flow_that_ended_with_its_active_timeout_leaves_nothing_behind() {
    let mut cache = cache(10);
    for second in (0..60).step_by(10) {
        merge(&mut cache, &[packet(id(1), T + second * S)]);
    }
    assert_eq!(expire(&mut cache, T + 60 * S).len(), 1);
    assert_eq!(cache.len(), 1);
    assert_eq!(expire(&mut cache, T + 65 * S - 1), []);
    assert_eq!(cache.len(), 1);
    assert_eq!(expire(&mut cache, T + 65 * S), []);
    assert!(cache.is_empty());
}

#[test]
fn a_closed_tcp_flow_ends_after_a_second_with_its_last_acknowledgements() {
    let mut cache = cache(10);
    let tcp = FlowId {
        transport_protocol: TCP,
        ..id(1)
    };
    let with = |flags, time| {
        record(
            tcp,
            FlowMetrics {
                flags,
                ..counted(1, time, time)
            },
        )
    };
    merge(&mut cache, &[with(ACK, T)]);
    expire(&mut cache, T + S);
    merge(&mut cache, &[with(ACK | FIN, T + 2 * S)]);
    merge(&mut cache, &[with(ACK, T + 3 * S - 1)]);
    assert_eq!(expire(&mut cache, T + 4 * S - 2), []);
    let ended = expire(&mut cache, T + 4 * S - 1);
    assert_eq!(summary(&ended), [(tcp, T, T + 3 * S - 1, 3, EndOfFlow)]);
    assert!(cache.is_empty());

    // The same bits mean nothing in another protocol.
    merge(
        &mut cache,
        &[record(
            id(1),
            FlowMetrics {
                flags: FIN,
                ..counted(1, T, T)
            },
        )],
    );
    assert_eq!(expire(&mut cache, T + 15 * S - 1), []);
}

#[test]
fn a_full_cache_of_one_flow_holds_the_newest() {
    let mut cache = cache(1);
    merge(&mut cache, &[packet(id(1), T)]);
    let ended = merge(&mut cache, &[packet(id(2), T + 1), packet(id(2), T + 2)]);
    assert_eq!(summary(&ended), [(id(1), T, T, 1, LackOfResources)]);
    let ended = merge(&mut cache, &[packet(id(1), T + 3)]);
    assert_eq!(summary(&ended), [(id(2), T + 1, T + 2, 2, LackOfResources)]);
    assert_eq!(cache.len(), 1);
}

#[test]
fn a_full_cache_ends_the_oldest_idle_flow() {
    let mut cache = cache(16);
    for number in 0..16 {
        merge(&mut cache, &[packet(id(number), T + u64::from(number))]);
    }
    // 0 is no longer the oldest, 1 is.
    merge(&mut cache, &[packet(id(0), T + 100)]);
    let ended = merge(&mut cache, &[packet(id(100), T + 101)]);
    assert_eq!(summary(&ended), [(id(1), T + 1, T + 1, 1, LackOfResources)]);
    merge(&mut cache, &[packet(id(2), T + 102)]);
    let ended = merge(&mut cache, &[packet(id(101), T + 103)]);
    assert_eq!(summary(&ended), [(id(3), T + 3, T + 3, 1, LackOfResources)]);
    assert_eq!(cache.len(), 16);
}

#[test]
fn a_count_beyond_64_bits_cuts_the_record() {
    let mut cache = cache(10);
    let huge = FlowMetrics {
        packets: 1,
        bytes: u64::MAX - 10,
        ..counted(1, T, T)
    };
    merge(&mut cache, &[record(id(1), huge)]);
    let small = FlowMetrics {
        bytes: 10,
        ..counted(1, T + 1, T + 1)
    };
    assert_eq!(merge(&mut cache, &[record(id(1), small)]), []);
    let ended = merge(&mut cache, &[packet(id(1), T + 2)]);
    assert_eq!(ended[0].metrics.bytes, u64::MAX);
    assert_eq!(ended[0].reason, LackOfResources);
    assert_eq!(flush(&mut cache)[0].metrics.bytes, 100);
}

#[test]
fn times_at_the_ends_of_the_clock_do_no_harm() {
    let mut cache = cache(10);
    merge(
        &mut cache,
        &[packet(id(1), u64::MAX), packet(id(2), 1), packet(id(3), 0)],
    );
    // The flow without times came now.
    assert_eq!(
        summary(&expire(&mut cache, T)),
        [(id(2), 1, 1, 1, IdleTimeout)]
    );
    assert_eq!(
        summary(&expire(&mut cache, T + 15 * S)),
        [(id(3), T, T, 1, IdleTimeout)]
    );
    let ended = expire(&mut cache, u64::MAX);
    assert_eq!(
        summary(&ended),
        [(id(1), u64::MAX, u64::MAX, 1, IdleTimeout)]
    );
    let reversed = record(id(4), counted(1, T + 9, T));
    assert_eq!(merge(&mut cache, &[reversed]), []);
    assert_eq!(
        summary(&flush(&mut cache)),
        [(id(4), T + 9, T + 9, 1, ForcedEnd)]
    );
}

#[test]
fn an_empty_record_is_no_flow() {
    let mut cache = cache(10);
    assert_eq!(merge(&mut cache, &[record(id(1), counted(0, T, T))]), []);
    assert!(cache.is_empty());
}

#[test]
fn flows_of_one_hash_are_flows_of_their_own() {
    let mut cache = cache(1_000);
    let batch: Vec<_> = (0..200)
        .flat_map(|number| [packet(id(number), T), packet(id(number), T + 1)])
        .map(|record| HashedRecord {
            hash: 0xffff_ffff,
            ..record
        })
        .collect();
    assert_eq!(merge(&mut cache, &batch), []);
    assert_eq!(cache.len(), 200);
    assert!(cache.flows().all(|flow| flow.metrics.packets == 2));
    let ended = expire(&mut cache, T + 60 * S);
    assert_eq!(ended.len(), 200);
    assert!(cache.is_empty());
}

#[test]
fn sampling_is_part_of_the_key() {
    let mut cache = cache(10);
    let sampled = FlowId {
        sampling: 10,
        ..id(1)
    };
    merge(
        &mut cache,
        &[packet(id(1), T), packet(sampled, T), packet(sampled, T + 1)],
    );
    let ended = flush(&mut cache);
    let expected = [
        (id(1), T, T, 1, ForcedEnd),
        (sampled, T, T + 1, 2, ForcedEnd),
    ];
    assert_eq!(summary(&ended), expected);
}

#[test]
fn an_interface_takes_its_flows_along() {
    let mut cache = cache(100);
    let on = |number, if_index| FlowId {
        if_index,
        ..id(number)
    };
    let batch: Vec<_> = (0..40)
        .map(|number| packet(on(number, 2 + number % 2), T))
        .collect();
    merge(&mut cache, &batch);
    let mut ended = Vec::new();
    let moved = cache.end_interface(3, &mut ended);
    assert_eq!(moved.ended, Count::new(20, 2_000));
    assert!(
        ended
            .iter()
            .all(|flow| flow.id.if_index == 3 && flow.reason == ForcedEnd)
    );
    assert_eq!((ended.len(), cache.len()), (20, 20));

    // The freed rows serve again, and the rest still ends.
    merge(&mut cache, &[packet(on(1, 3), T + 1)]);
    assert_eq!(expire(&mut cache, T + 60 * S).len(), 21);
    assert!(cache.is_empty());
}

#[test]
fn a_limit_stops_expiry_and_flush_which_then_go_on() {
    let mut cache = cache(1_000);
    let batch: Vec<_> = (0..100).map(|number| packet(id(number), T)).collect();
    merge(&mut cache, &batch);
    let mut ended = Vec::new();
    let _ = cache.expire(T + 20 * S, 30, &mut ended);
    assert_eq!((ended.len(), cache.len()), (30, 70));
    // In between a waiting flow lives up again.
    let waiting = *cache.flows().next().unwrap().id;
    let again = merge(&mut cache, &[packet(waiting, T + 20 * S)]);
    assert_eq!(summary(&again), [(waiting, T, T, 1, IdleTimeout)]);
    let _ = cache.expire(T + 20 * S, 1_000, &mut ended);
    assert_eq!((ended.len(), cache.len()), (99, 1));

    merge(&mut cache, &batch);
    ended.clear();
    let mut rounds = 0;
    while !cache.is_empty() {
        ended.clear();
        let _ = cache.flush(30, &mut ended);
        rounds += 1;
    }
    assert_eq!(rounds, 4);
}

#[test]
fn a_million_flows_are_found_again() {
    let mut cache = cache(1 << 20);
    let mut ended = Vec::new();
    let all: Vec<_> = (0..1 << 20).map(|number| packet(id(number), T)).collect();
    for batch in all.chunks(4_096) {
        let _ = cache.merge(batch, T, &mut ended);
    }
    for batch in all.chunks(4_096) {
        let _ = cache.merge(batch, T, &mut ended);
    }
    assert_eq!((ended.len(), cache.len()), (0, 1 << 20));
    assert!(cache.flows().all(|flow| flow.metrics.packets == 2));
    assert!(cache.memory() >> 20 <= 136, "{} octets", cache.memory());

    // One more makes room for itself.
    let _ = cache.merge(&[packet(id(u32::MAX), T + 1)], T, &mut ended);
    assert_eq!((ended.len(), cache.len()), (1, 1 << 20));
    ended.clear();
    let moved = cache.expire(T + 15 * S, ALL, &mut ended);
    assert_eq!((ended.len(), cache.len()), ((1 << 20) - 1, 1));
    assert_eq!(moved.ended.packets, 2 * ((1 << 20) - 1));
}

#[test]
fn memory_comes_with_the_flows() {
    let mut cache = cache(1 << 24);
    assert!(cache.memory() < 8_192);
    merge(&mut cache, &[packet(id(1), T)]);
    assert!(cache.memory() < 32_768);
}

#[test]
fn a_new_policy_holds_for_the_flows_that_are_there() {
    let mut cache = cache(100);
    let batch: Vec<_> = (0..60)
        .map(|number| packet(id(number), T + u64::from(number)))
        .collect();
    merge(&mut cache, &batch);
    let mut ended = Vec::new();
    let shorter = Policy {
        idle_timeout: Duration::from_secs(2),
        ..policy(20)
    };
    let _ = cache.set_policy(shorter, &mut ended);
    let numbers: Vec<_> = ended
        .iter()
        .map(|flow| flow.id.src_ip.int_encode_v4())
        .collect();
    assert_eq!(numbers, (0..40).collect::<Vec<_>>(), "the oldest go first");
    assert!(ended.iter().all(|flow| flow.reason == LackOfResources));
    assert_eq!(cache.policy(), &shorter);

    merge(&mut cache, &[packet(id(59), T + 100)]);
    assert_eq!(expire(&mut cache, T + 2 * S + 58).len(), 19);
    assert_eq!(expire(&mut cache, T + 2 * S + 100).len(), 1);

    // And a larger one lets more flows in.
    let _ = cache.set_policy(policy(200), &mut ended);
    let batch: Vec<_> = (0..200).map(|number| packet(id(number), T)).collect();
    assert_eq!(merge(&mut cache, &batch), []);
    assert_eq!(cache.len(), 200);
}

/// The same flow where it enters the router, and where it leaves it.
fn views() -> (FlowId, FlowId) {
    (
        id(1),
        FlowId {
            if_index: 3,
            direction: DIRECTION_EGRESS,
            ..id(1)
        },
    )
}

#[test]
fn the_second_view_of_a_flow_is_marked() {
    let mut cache = cache_with(DuplicatesMode::Mark);
    let (enters, leaves) = views();
    let in_vlan = FlowId {
        vlan_id: 5,
        ..enters
    };
    let other_mac = FlowId {
        src_mac: MacAddress([2, 0, 0, 0, 0, 9]),
        ..enters
    };
    let sampled = FlowId {
        sampling: 7,
        ..enters
    };
    let batch = [enters, leaves, in_vlan, other_mac, sampled, id(2)].map(|id| packet(id, T));
    merge(&mut cache, &batch);
    let ended = flush(&mut cache);
    assert_eq!(ended.len(), 6);
    for EndedFlow { id, duplicate, .. } in ended {
        assert_eq!(duplicate, id == leaves || id == in_vlan, "{id:?}");
    }
}

#[test]
fn duplicates_are_dropped_and_accounted() {
    let mut cache = cache_with(DuplicatesMode::Drop);
    let (enters, leaves) = views();
    let mut ended = Vec::new();
    let moved = cache.merge(&[packet(enters, T), packet(leaves, T + 1)], T, &mut ended);
    assert_eq!(moved.taken, Count::new(2, 200));
    let moved = cache.expire(T + 20 * S, ALL, &mut ended);
    assert_eq!(
        (moved.ended, moved.dropped),
        (Count::new(1, 100), Count::new(1, 100))
    );
    assert_eq!(summary(&ended), [(enters, T, T, 1, IdleTimeout)]);
}

#[test]
fn duplicates_are_kept_where_nobody_looks() {
    let mut cache = cache_with(DuplicatesMode::Keep);
    let (enters, leaves) = views();
    merge(&mut cache, &[packet(enters, T), packet(leaves, T)]);
    assert!(flush(&mut cache).iter().all(|flow| !flow.duplicate));
}

#[test]
fn layer_2_flows_are_never_duplicates() {
    let mut cache = cache_with(DuplicatesMode::Mark);
    let arp = FlowId {
        eth_protocol: 0x0806,
        if_index: 2,
        ..FlowId::default()
    };
    let elsewhere = FlowId { if_index: 3, ..arp };
    merge(&mut cache, &[packet(arp, T), packet(elsewhere, T)]);
    assert!(flush(&mut cache).iter().all(|flow| !flow.duplicate));
}

#[test]
fn the_owner_stays_the_same_over_active_timeouts() {
    let mut cache = cache_with(DuplicatesMode::Mark);
    let (enters, leaves) = views();
    let mut ended = Vec::new();
    for second in 0..200 {
        let time = T + second * S;
        let _ = cache.expire(time, ALL, &mut ended);
        // The views take turns in being read first.
        let mut batch = [packet(enters, time), packet(leaves, time)];
        if second > 0 && second % 2 == 0 {
            batch.reverse();
        }
        let _ = cache.merge(&batch, time, &mut ended);
    }
    let _ = cache.flush(ALL, &mut ended);
    assert_eq!(ended.len(), 8);
    assert!(
        ended
            .iter()
            .all(|flow| flow.duplicate == (flow.id == leaves))
    );
    let counted = ended
        .iter()
        .filter(|flow| !flow.duplicate)
        .map(|flow| flow.metrics.packets);
    assert_eq!(counted.sum::<u64>(), 200);
}

#[test]
fn a_view_that_lives_on_takes_over() {
    let mut cache = cache_with(DuplicatesMode::Mark);
    let (enters, leaves) = views();
    merge(&mut cache, &[packet(enters, T), packet(leaves, T)]);
    let mut ended = Vec::new();
    // The route changes: the first view sees nothing any more.
    for second in 1..50 {
        let _ = cache.merge(&[packet(leaves, T + second * S)], T, &mut ended);
        let _ = cache.expire(T + second * S, ALL, &mut ended);
    }
    let _ = cache.flush(ALL, &mut ended);
    let [first, as_duplicate, as_owner] = ended[..] else {
        panic!("{ended:?}")
    };
    assert_eq!(
        (first.id, first.reason, first.duplicate),
        (enters, IdleTimeout, false)
    );
    assert_eq!(as_duplicate.id, leaves);
    assert_eq!(
        (as_duplicate.reason, as_duplicate.duplicate),
        (ForcedEnd, true)
    );
    assert!(
        as_duplicate.metrics.end_mono_time_ns <= T + 31 * S,
        "within the two idle timeouts"
    );
    assert_eq!((as_owner.id, as_owner.duplicate), (leaves, false));
    assert_eq!(as_duplicate.metrics.packets + as_owner.metrics.packets, 50);
}

#[test]
fn a_view_that_took_over_owns_before_its_next_packet() {
    let mut cache = cache_with(DuplicatesMode::Mark);
    let (enters, leaves) = views();
    // Until the wheel knows the time, rows do not hang where their deadlines are.
    assert_eq!(expire(&mut cache, T), []);
    merge(&mut cache, &[packet(enters, T), packet(leaves, T + S)]);
    merge(&mut cache, &[packet(leaves, T + 14 * S)]);
    let ended = expire(&mut cache, T + 15 * S);
    assert_eq!(summary(&ended), [(enters, T, T, 1, IdleTimeout)]);
    // The wheel comes by the second view where its first deadline was.
    let ended = expire(&mut cache, T + 16 * S);
    assert_eq!(summary(&ended), [(leaves, T + S, T + 14 * S, 2, ForcedEnd)]);
    assert!(ended[0].duplicate);
    let third = FlowId {
        if_index: 4,
        ..enters
    };
    merge(
        &mut cache,
        &[packet(third, T + 16 * S), packet(leaves, T + 16 * S)],
    );
    for EndedFlow { id, duplicate, .. } in flush(&mut cache) {
        assert_eq!(duplicate, id == third, "{id:?}");
    }
}

#[test]
fn a_linger_longer_than_the_idle_timeout_is_cut_to_it() {
    let end_of_flow_linger = Duration::from_secs(100);
    let mut cache = FlowCache::new(Policy {
        end_of_flow_linger,
        ..policy(10)
    });
    let tcp = FlowId {
        transport_protocol: TCP,
        ..id(1)
    };
    merge(
        &mut cache,
        &[record(
            tcp,
            FlowMetrics {
                flags: FIN,
                ..counted(1, T, T)
            },
        )],
    );
    let ended = expire(&mut cache, T + 15 * S);
    assert_eq!(summary(&ended), [(tcp, T, T, 1, EndOfFlow)]);
}

#[test]
fn an_ended_flow_becomes_a_record() {
    let flow = EndedFlow {
        id: id(1),
        metrics: counted(3, T, T + S),
        reason: EndOfFlow,
        duplicate: true,
    };
    let agent = [203, 0, 113, 9].into();
    let now = UnixTime::from_nanos(1_700_000_000_000_000_000);
    let record = flow.into_record(now, T + 2 * S, "eth0".into(), agent);
    assert_eq!((record.id, record.metrics), (flow.id, flow.metrics));
    assert_eq!(record.time_flow_start, now.saturating_sub_ns(2 * S));
    assert_eq!(record.time_flow_end, now.saturating_sub_ns(S));
    assert_eq!((&*record.interface, record.agent_ip), ("eth0", agent));
    assert_eq!((record.end_reason, record.duplicate), (EndOfFlow, true));
}

#[test]
fn what_an_interface_owned_is_free_when_it_goes() {
    let mut cache = cache_with(DuplicatesMode::Drop);
    let (enters, leaves) = views();
    merge(&mut cache, &[packet(enters, T), packet(leaves, T)]);
    let mut ended = Vec::new();
    let _ = cache.end_interface(enters.if_index, &mut ended);
    assert_eq!(summary(&ended), [(enters, T, T, 1, ForcedEnd)]);
    let elsewhere = FlowId {
        if_index: 4,
        ..enters
    };
    merge(&mut cache, &[packet(elsewhere, T + 1)]);
    let ended = flush(&mut cache);
    assert_eq!(summary(&ended), [(elsewhere, T + 1, T + 1, 1, ForcedEnd)]);
}

#[test]
fn a_new_router_s_address_is_no_duplicate_and_owns_on() {
    let mut cache = cache_with(DuplicatesMode::Mark);
    let (enters, leaves) = views();
    let new_mac = FlowId {
        src_mac: MacAddress([2, 0, 0, 0, 0, 9]),
        ..enters
    };
    merge(
        &mut cache,
        &[
            packet(enters, T),
            packet(leaves, T),
            packet(new_mac, T + 10 * S),
        ],
    );
    // The row of the old address goes, the flow stays owned.
    merge(&mut cache, &[packet(leaves, T + 10 * S)]);
    let ended = expire(&mut cache, T + 15 * S);
    assert_eq!(summary(&ended), [(enters, T, T, 1, IdleTimeout)]);
    let elsewhere = FlowId {
        if_index: 9,
        ..enters
    };
    merge(&mut cache, &[packet(elsewhere, T + 16 * S)]);
    for EndedFlow { id, duplicate, .. } in flush(&mut cache) {
        assert_eq!(duplicate, id != new_mac, "{id:?}");
    }
}

#[test]
fn the_duplicates_mode_may_change() {
    let (enters, leaves) = views();
    let mut cache = cache_with(DuplicatesMode::Keep);
    merge(&mut cache, &[packet(enters, T), packet(leaves, T)]);
    let mut ended = Vec::new();
    for (duplicates, expected) in [
        (DuplicatesMode::Mark, Count::ZERO),
        (DuplicatesMode::Drop, Count::new(1, 100)),
        (DuplicatesMode::Keep, Count::ZERO),
    ] {
        let mut moved = cache.set_policy(
            Policy {
                duplicates,
                ..policy(100)
            },
            &mut ended,
        );
        moved += cache.flush(ALL, &mut ended);
        assert_eq!(moved.dropped, expected, "{duplicates:?}");
        let duplicate = ended.iter().any(|flow| flow.duplicate);
        assert_eq!(duplicate, duplicates == DuplicatesMode::Mark);
        ended.clear();
        merge(&mut cache, &[packet(enters, T), packet(leaves, T)]);
    }
}

/// What happens to a cache.
#[derive(Clone, Debug)]
enum Event {
    /// A batch comes: flow, packets, flags; start and end as nanoseconds before or after now.
    Merge(Vec<(u8, u8, u16, i64, u64)>),
    /// Time passes.
    Wait(u64),
    Expire,
    EndInterface,
    Flush,
}

fn event() -> impl Strategy<Value = Event> {
    let flags = prop_oneof![6 => Just(ACK), 1 => Just(FIN)];
    // Out of order by up to 3 s, and newer than now by up to 0.1 s.
    let offset = -3_000_000_000_i64..100_000_000;
    let long = prop_oneof![Just(0), 0..S];
    let record = (0_u8..6, 1_u8..4, flags, offset, long);
    prop_oneof![
        6 => prop::collection::vec(record, 1..12).prop_map(Event::Merge),
        4 => (0..2 * S).prop_map(Event::Wait),
        1 => (0..200 * S).prop_map(Event::Wait),
        4 => Just(Event::Expire),
        1 => Just(Event::EndInterface),
        1 => Just(Event::Flush),
    ]
}

/// The flow of a number in [`Event::Merge`]: even ones are TCP, every third is on interface 3.
fn flow(number: u8) -> FlowId {
    FlowId {
        transport_protocol: if number.is_multiple_of(2) { TCP } else { UDP },
        if_index: if number.is_multiple_of(3) { 3 } else { 2 },
        ..id(u32::from(number))
    }
}

fn records(records: &[(u8, u8, u16, i64, u64)], now: u64) -> Vec<HashedRecord> {
    let as_record = |&(number, packets, flags, offset, long): &(u8, u8, u16, i64, u64)| {
        let start = now.saturating_add_signed(offset);
        let metrics = FlowMetrics {
            flags,
            ..counted(packets.into(), start, start + long)
        };
        record(flow(number), metrics)
    };
    records.iter().map(as_record).collect()
}

/// The cache's rules, applied to every flow at every event.
#[derive(Default)]
struct Model(BTreeMap<FlowId, FlowMetrics>);

impl Model {
    fn deadline(id: &FlowId, m: &FlowMetrics) -> (u64, FlowEndReason) {
        let closing = id.transport_protocol == TCP && m.flags & FIN != 0;
        let quiet = if closing { S } else { 15 * S };
        let reason = if closing { EndOfFlow } else { IdleTimeout };
        let active = m.start_mono_time_ns + 60 * S;
        if active < m.end_mono_time_ns + quiet {
            (active, ActiveTimeout)
        } else {
            (m.end_mono_time_ns + quiet, reason)
        }
    }

    fn end(
        &mut self,
        ended: &mut Vec<EndedFlow>,
        due: impl Fn(&FlowId, &FlowMetrics) -> Option<FlowEndReason>,
    ) {
        self.0.retain(|id, metrics| {
            let reason = due(id, metrics);
            ended.extend(reason.map(|reason| EndedFlow {
                id: *id,
                metrics: *metrics,
                reason,
                duplicate: false,
            }));
            reason.is_none()
        });
    }

    fn merge(&mut self, batch: &[HashedRecord], ended: &mut Vec<EndedFlow>) {
        for HashedRecord {
            record: FlowRecord { id, metrics },
            ..
        } in batch
        {
            let start = metrics.start_mono_time_ns;
            self.end(ended, |other, row| {
                let (deadline, reason) = Self::deadline(other, row);
                (other == id && start >= deadline).then_some(reason)
            });
            self.0.entry(*id).or_default().accumulate(metrics);
        }
    }

    fn expire(&mut self, now: u64, ended: &mut Vec<EndedFlow>) {
        self.end(ended, |id, row| {
            let (deadline, reason) = Self::deadline(id, row);
            (deadline <= now).then_some(reason)
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// The cache ends the very flows at the very moments that the rules say.
    #[test]
    fn the_cache_follows_its_rules(events in prop::collection::vec(event(), 1..60)) {
        let mut cache = cache(100);
        let mut model = Model::default();
        let mut now = T;
        for event in events {
            let mut ended = Vec::new();
            let mut expected = Vec::new();
            let moved = match &event {
                Event::Merge(batch) => {
                    let batch = records(batch, now);
                    model.merge(&batch, &mut expected);
                    cache.merge(&batch, now, &mut ended)
                }
                Event::Wait(time) => {
                    now += time;
                    Movement::default()
                }
                Event::Expire => {
                    model.expire(now, &mut expected);
                    cache.expire(now, ALL, &mut ended)
                }
                Event::EndInterface => {
                    model.end(&mut expected, |id, _| (id.if_index == 3).then_some(ForcedEnd));
                    cache.end_interface(3, &mut ended)
                }
                Event::Flush => {
                    model.end(&mut expected, |_, _| Some(ForcedEnd));
                    cache.flush(ALL, &mut ended)
                }
            };
            prop_assert_eq!(summary(&ended), summary(&expected), "{:?}", event);
            let packets: u64 = ended.iter().map(|flow| flow.metrics.packets).sum();
            prop_assert_eq!(moved.ended.packets, packets);
            let held: BTreeMap<_, _> = cache.flows().map(|flow| (*flow.id, *flow.metrics)).collect();
            prop_assert_eq!(&held, &model.0);
        }
    }

    /// Whatever the mode and however full the cache: nothing is counted twice, nothing is lost.
    #[test]
    fn what_comes_in_goes_out_or_is_held(
        events in prop::collection::vec(event(), 1..60),
        max_flows in 1_u32..8,
        limit in 1_usize..5,
        duplicates in prop_oneof![
            Just(DuplicatesMode::Mark), Just(DuplicatesMode::Drop), Just(DuplicatesMode::Keep)
        ],
    ) {
        let mut cache = FlowCache::new(Policy { duplicates, ..policy(max_flows) });
        let mut now = T;
        let mut sum = Movement::default();
        let mut flows: BTreeMap<FlowId, u64> = BTreeMap::new();
        for event in events {
            let mut ended = Vec::new();
            sum += match &event {
                Event::Merge(batch) => {
                    // Two views of each flow.
                    let mut batch = records(batch, now);
                    for at in 0..batch.len() {
                        let mut view = batch[at];
                        view.record.id.if_index = 9;
                        view.hash = hash(&view.record.id);
                        batch.push(view);
                    }
                    for HashedRecord { record, .. } in &batch {
                        *flows.entry(record.id).or_default() += record.metrics.packets;
                    }
                    cache.merge(&batch, now, &mut ended)
                }
                Event::Wait(time) => {
                    now += time;
                    Movement::default()
                }
                Event::Expire => cache.expire(now, limit, &mut ended),
                Event::EndInterface => cache.end_interface(3, &mut ended),
                Event::Flush => cache.flush(limit, &mut ended),
            };
            for flow in &ended {
                *flows.entry(flow.id).or_default() -= flow.metrics.packets;
                prop_assert!(!flow.metrics.is_empty());
                prop_assert!(!flow.duplicate || duplicates == DuplicatesMode::Mark);
            }
            prop_assert!(cache.len() <= max_flows as usize);
            prop_assert_eq!(sum.taken, sum.ended + sum.dropped + cache.held());
            if duplicates != DuplicatesMode::Drop {
                prop_assert!(sum.dropped.is_zero());
                let held: BTreeMap<_, _> =
                    cache.flows().map(|flow| (*flow.id, flow.metrics.packets)).collect();
                flows.retain(|_, packets| *packets != 0);
                prop_assert_eq!(&held, &flows);
            }
        }
        let mut ended = Vec::new();
        sum += cache.flush(ALL, &mut ended);
        prop_assert_eq!(sum.taken, sum.ended + sum.dropped);
        prop_assert!(cache.is_empty());
    }

    /// A full cache ends exactly the flows whose last packets are the oldest.
    #[test]
    fn a_full_cache_is_exact(
        numbers in prop::collection::vec(0_u32..60, 1..300),
        max_flows in 1_u32..40,
    ) {
        let mut cache = cache(max_flows);
        let mut order: Vec<u32> = Vec::new();
        for (number, time) in numbers.into_iter().zip(T..) {
            let ended = merge(&mut cache, &[packet(id(number), time)]);
            let known = order.contains(&number);
            order.retain(|&other| other != number);
            let mut expected = Vec::new();
            if !known && order.len() == max_flows as usize {
                expected.push(id(order.remove(0)));
            }
            order.push(number);
            prop_assert_eq!(ended.iter().map(|flow| flow.id).collect::<Vec<_>>(), expected);
        }
    }
}
