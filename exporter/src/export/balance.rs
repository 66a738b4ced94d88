//! Who gets which flows, where collectors share them or stand in for one another.

use crate::record::Record;
use ebpfix_probes::abi::FlowId;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// How a pool of collectors divides the flows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Division {
    /// Each conversation has its collector.
    Balance,
    /// The first that is well gets all, or where none is, the first.
    Failover,
}

/// Who shares with whom.
///
/// Collectors with the same name for it form a pool; each pool gets every flow once. So does each
/// collector that is in none.
#[derive(Clone, Debug, Default)]
pub struct Shares {
    /// Of each collector its pool and its place in it; `None`: it gets everything.
    places: Vec<Option<Place>>,
    pools: Vec<Pool>,
}

#[derive(Clone, Debug)]
struct Pool {
    division: Division,
    /// The places of its collectors in the list of all.
    members: Vec<usize>,
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
    /// From the kind and the name of each collector's pool.
    pub fn new<'n>(names: impl Iterator<Item = Option<(Division, &'n str)>>) -> Self {
        let mut shares = Self::default();
        let mut known: Vec<(Division, &str)> = Vec::new();
        for (position, name) in names.enumerate() {
            let place = name.map(|name| {
                let pool = known.iter().position(|known| *known == name);
                let pool = pool.unwrap_or_else(|| {
                    known.push(name);
                    shares.pools.push(Pool {
                        division: name.0,
                        members: Vec::new(),
                    });
                    known.len() - 1
                });
                let members = &mut shares.pools[pool].members;
                members.push(position);
                Place {
                    pool,
                    member: members.len() - 1,
                }
            });
            shares.places.push(place);
        }
        shares
    }

    /// The records by who gets them, in the order they came; `is_well` tells of the collector at a
    /// place of the list.
    pub fn split(
        &self,
        records: Vec<Record>,
        is_well: impl Fn(usize) -> bool,
    ) -> Vec<(Vec<Record>, Share<'_>)> {
        let in_use: Vec<usize> = self
            .pools
            .iter()
            .map(|pool| pool.members.iter().position(|&at| is_well(at)).unwrap_or(0))
            .collect();
        let balanced = |pool: &Pool| pool.division == Division::Balance;
        if !self.pools.iter().any(balanced) {
            let all = Share {
                shares: self,
                choice: self.choice(0, &in_use),
            };
            return vec![(records, all)];
        }
        let choices: usize = self.pools.iter().map(|pool| pool.members.len()).product();
        let mut parts: Vec<Vec<Record>> = Vec::new();
        parts.resize_with(choices, Vec::new);
        for record in records {
            parts[self.choice(conversation(&record.id), &in_use)].push(record);
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

    /// The choice of a member of each pool.
    fn choice(&self, mut hash: u64, in_use: &[usize]) -> usize {
        let mut choice = 0;
        let mut weight = 1;
        for (pool, in_use) in self.pools.iter().zip(in_use) {
            let members = pool.members.len();
            let member = match pool.division {
                Division::Failover => *in_use,
                Division::Balance => {
                    let count = members as u64;
                    let member = usize::try_from(hash % count).unwrap_or(0);
                    // Another pool of as many members chooses anew.
                    hash = (hash / count) ^ hash.rotate_left(32);
                    member
                }
            };
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
        let members = |pool: &Pool| pool.members.len();
        let pools = &self.shares.pools;
        let weight: usize = pools[..*pool].iter().map(members).product();
        self.choice / weight % members(&pools[*pool]) == *member
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
        let parts = shares.split(vec![record(id)], |_| true);
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
        let names = pools.map(|name| name.map(|name| (Division::Balance, name)));
        let shares = Shares::new(names.into_iter());
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
    fn the_first_that_is_well_stands_in_for_the_others() {
        let pools = [
            None,
            Some((Division::Failover, "a")),
            Some((Division::Balance, "a")),
            Some((Division::Failover, "a")),
            Some((Division::Balance, "a")),
            Some((Division::Failover, "a")),
        ];
        let shares = Shares::new(pools.into_iter());
        for (well, chosen) in [
            (vec![1, 3, 5], 1),
            (vec![3, 5], 3),
            (vec![5], 5),
            (vec![1, 5], 1),
            (vec![], 1),
        ] {
            for n in 0..20 {
                let parts = shares.split(vec![record(id(n))], |at| well.contains(&at));
                let [(_, share)] = &parts[..] else { panic!() };
                let got: Vec<_> = (0..6).filter(|&at| share.is_for(at)).collect();
                assert_eq!(got.len(), 3, "{got:?}");
                assert!(
                    got.contains(&0) && got.contains(&chosen),
                    "{well:?}: {got:?}"
                );
            }
        }
    }

    #[test]
    fn both_directions_meet_on_every_interface() {
        let shares = Shares::new([Some((Division::Balance, "a")); 7].into_iter());
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
