//! Who gets which flows, where collectors share them.

use crate::record::Record;
use ebpfix_probes::abi::FlowId;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Who shares with whom.
///
/// Collectors with the same name for it form a pool; each pool gets every flow once. So does each
/// collector that is in none.
#[derive(Clone, Debug, Default)]
pub struct Shares {
    /// Of each collector its pool and its place in it; `None`: it gets everything.
    places: Vec<Option<Place>>,
    /// How many there are in each pool.
    pools: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    pool: usize,
    member: usize,
}

/// A part of the flows: those for which the same collector of each pool was chosen.
pub struct Share<'s> {
    shares: &'s Shares,
    /// The chosen members, as digits: the first pool's is the lowest.
    choice: usize,
}

impl Shares {
    /// From the name of each collector's pool.
    pub fn new<'n>(names: impl Iterator<Item = Option<&'n str>>) -> Self {
        let mut shares = Self::default();
        let mut known: Vec<&str> = Vec::new();
        for name in names {
            let place = name.map(|name| {
                let pool = known.iter().position(|known| *known == name);
                let pool = pool.unwrap_or_else(|| {
                    known.push(name);
                    shares.pools.push(0);
                    known.len() - 1
                });
                shares.pools[pool] += 1;
                Place {
                    pool,
                    member: shares.pools[pool] - 1,
                }
            });
            shares.places.push(place);
        }
        shares
    }

    /// The records by who gets them, in the order they came.
    pub fn split(&self, records: Vec<Record>) -> Vec<(Vec<Record>, Share<'_>)> {
        let choices: usize = self.pools.iter().product();
        if choices == 1 {
            let all = Share {
                shares: self,
                choice: 0,
            };
            return vec![(records, all)];
        }
        let mut parts: Vec<Vec<Record>> = Vec::new();
        parts.resize_with(choices, Vec::new);
        for record in records {
            parts[self.choice(&record.id)].push(record);
        }
        let parts = parts.into_iter().enumerate();
        parts
            .filter(|(_, records)| !records.is_empty())
            .map(|(choice, records)| {
                let share = Share {
                    shares: self,
                    choice,
                };
                (records, share)
            })
            .collect()
    }

    fn choice(&self, id: &FlowId) -> usize {
        let mut hash = conversation(id);
        let mut choice = 0;
        let mut weight = 1;
        for &members in &self.pools {
            let count = members as u64;
            let member = usize::try_from(hash % count).unwrap_or(0);
            // Another pool of as many members chooses anew.
            hash = (hash / count) ^ hash.rotate_left(32);
            choice += member * weight;
            weight *= members;
        }
        choice
    }
}

impl Share<'_> {
    /// Whether it is for the collector at this place of the list.
    pub fn is_for(&self, position: usize) -> bool {
        let Some(Some(Place { pool, member })) = self.shares.places.get(position) else {
            return true;
        };
        let pools = &self.shares.pools;
        let weight: usize = pools[..*pool].iter().product();
        self.choice / weight % pools[*pool] == *member
    }
}

/// A number for the conversation that a flow belongs to: the same for both directions and on every
/// interface.
fn conversation(id: &FlowId) -> u64 {
    const ICMP: u8 = 1;
    const ICMPV6: u8 = 58;
    // What ICMP has in place of a port is another one in the answer.
    let ports = if matches!(id.transport_protocol, ICMP | ICMPV6) {
        (0, 0)
    } else {
        (id.src_port, id.dst_port)
    };
    let mut ends = [(id.src_ip, ports.0), (id.dst_ip, ports.1)];
    ends.sort_unstable();
    // Without a secret: a flow goes to the same collector after a restart.
    let mut hasher = DefaultHasher::new();
    ends.hash(&mut hasher);
    id.transport_protocol.hash(&mut hasher);
    if id.is_layer_2() {
        let mut addresses = [id.src_mac, id.dst_mac];
        addresses.sort_unstable();
        addresses.hash(&mut hasher);
        id.eth_protocol.hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::UnixTime;
    use ebpfix_probes::abi::FlowMetrics;

    fn id(n: u16) -> FlowId {
        let mut id = FlowId {
            src_port: n,
            dst_port: 443,
            transport_protocol: 6,
            eth_protocol: 0x0800,
            if_index: 1,
            ..FlowId::default()
        };
        id.src_ip.0[15] = 1;
        id.dst_ip.0[15] = 2;
        id
    }

    fn record(id: FlowId) -> Record {
        Record::new(id, FlowMetrics::default(), UnixTime::EPOCH, 0)
    }

    /// Which collectors get the flow.
    fn who(shares: &Shares, collectors: usize, id: FlowId) -> Vec<usize> {
        let parts = shares.split(vec![record(id)]);
        let [(records, share)] = &parts[..] else {
            panic!("{} parts", parts.len())
        };
        assert_eq!(records.len(), 1);
        (0..collectors).filter(|&at| share.is_for(at)).collect()
    }

    #[test]
    fn without_pools_all_get_everything_in_one() {
        let shares = Shares::new([None, None].into_iter());
        assert_eq!(who(&shares, 2, id(1)), [0, 1]);
    }

    #[test]
    fn one_of_each_pool_gets_a_flow_and_all_others_do() {
        let pools = [Some("a"), None, Some("b"), Some("a"), Some("b"), Some("b")];
        let shares = Shares::new(pools.into_iter());
        let mut met = std::collections::BTreeMap::new();
        for n in 0..6000 {
            let who = who(&shares, pools.len(), id(n));
            let of = |pool| who.iter().filter(|&&at| pools[at] == pool).count();
            assert_eq!((of(None), of(Some("a")), of(Some("b"))), (1, 1, 1));
            *met.entry(who).or_insert(0) += 1;
        }
        // Every pair, and about as often.
        assert_eq!(met.len(), 6);
        assert!(
            met.values().all(|times| (800..1200).contains(times)),
            "{met:?}"
        );
    }

    #[test]
    fn both_directions_meet_on_every_interface() {
        let shares = Shares::new([Some("a"); 7].into_iter());
        for n in 0..200 {
            let mut forth = id(n);
            if n % 3 == 0 {
                // A request, and its answer.
                forth.transport_protocol = 1;
                (forth.src_port, forth.dst_port) = (0, 8 << 8);
            }
            let mut back = forth;
            std::mem::swap(&mut back.src_ip, &mut back.dst_ip);
            std::mem::swap(&mut back.src_port, &mut back.dst_port);
            if n % 3 == 0 {
                (back.src_port, back.dst_port) = (0, 0);
            }
            (back.if_index, back.direction, back.vlan_id) = (9, 1, 5);
            (back.src_mac.0, back.dst_mac.0) = ([1; 6], [2; 6]);
            assert_eq!(who(&shares, 7, forth), who(&shares, 7, back));
        }
        let mut frame = FlowId {
            eth_protocol: 0x88cc,
            ..FlowId::default()
        };
        (frame.src_mac.0, frame.dst_mac.0) = ([1; 6], [2; 6]);
        let mut back = frame;
        (back.src_mac, back.dst_mac) = (frame.dst_mac, frame.src_mac);
        assert_eq!(who(&shares, 7, frame), who(&shares, 7, back));
    }
}
