//! Packets of captures, metered: the kernel's part of the work, done here.

use std::sync::Arc;

use ebpfix_probes::abi::{DIRECTION_INGRESS, DROP_REASONS, FlowId, FlowRecord, HashedRecord};
use ebpfix_probes::dissect::{Facts, Reason};
use ebpfix_probes::table;

use super::Settings;
use crate::capture::link::{self, Dissected};
use crate::capture::{Interfaces, Packet};
use crate::ledger::{Count, Ledger, LossReason};
use crate::meter::{EndedFlow, FlowCache, Movement};

/// Packets that are handed to the flow cache at once.
const BATCH: usize = 256;
/// Between two looks at the timeouts, by the capture's clock.
const EXPIRE_EVERY_NS: u64 = 100_000_000;
/// Flows that one look at the timeouts ends at most before they are handed on.
const EXPIRE_AT_ONCE: usize = 4096;
/// A packet is older than those before it: by more than writers of captures mix up on their own.
const TOLERANCE_NS: u64 = 1_000_000_000;

/// From packets to flows that ended.
///
/// It counts as the kernel programs do: the same dissector, the same hash, and the flow cache that
/// their records go to; but here each packet is a record of its own. Its only clock is that of the
/// packets.
pub struct Meter {
    settings: Settings,
    cache: FlowCache,
    ledger: Arc<Ledger>,
    hash_keys: [u32; 16],
    batch: Vec<HashedRecord>,
    /// What is in no flow, by the dissector's reason, and not in the ledger yet.
    dropped: [Count; DROP_REASONS],
    /// What was of an interface whose link type cannot be read, by the interface's place; in the
    /// ledger, too, but for what is new.
    unreadable: Vec<Count>,
    unreadable_new: Count,
    ended: Vec<EndedFlow>,
    /// The time of the newest packet.
    clock_ns: u64,
    /// When it is looked at the timeouts again.
    next_expiry_ns: u64,
    /// It was looked at the timeouts since this was asked last.
    looked: bool,
    /// The time of the first packet.
    first_ns: Option<u64>,
    packets: u64,
    late: u64,
}

impl Meter {
    /// A meter that has seen nothing. What becomes of packets goes into `ledger`; `hash_keys` should
    /// be random, so that no capture can be made to slow it down.
    pub fn new(settings: Settings, ledger: Arc<Ledger>, hash_keys: [u32; 16]) -> Self {
        Self {
            cache: FlowCache::new(settings.policy),
            settings,
            ledger,
            hash_keys,
            batch: Vec::with_capacity(BATCH),
            dropped: [Count::ZERO; DROP_REASONS],
            unreadable: Vec::new(),
            unreadable_new: Count::ZERO,
            ended: Vec::new(),
            clock_ns: 0,
            next_expiry_ns: 0,
            looked: false,
            first_ns: None,
            packets: 0,
            late: 0,
        }
    }

    /// Meters a packet. Whether flows have ended that are to be [taken](Self::ended).
    #[inline]
    pub fn packet(&mut self, packet: &Packet<'_>, interfaces: &Interfaces) -> bool {
        self.packets += 1;
        // To the flow cache 0 is no time.
        let now = packet.time_ns.max(1);
        if now > self.clock_ns {
            self.clock_ns = now;
            if self.first_ns.is_none() {
                self.first_ns = Some(now);
            }
        } else if now + TOLERANCE_NS < self.clock_ns {
            self.late += 1;
        }
        if now >= self.next_expiry_ns {
            // Before this packet counts: what has ended by now makes room.
            self.merge();
            self.expire(now);
        }
        let place = packet.interface.place();
        let Some(link) = interfaces.list().get(place).and_then(|found| found.link) else {
            self.unreadable(place, packet);
            return self.has_ended();
        };
        let mut id = FlowId {
            if_index: packet.interface.if_index(),
            direction: packet.direction.unwrap_or(DIRECTION_INGRESS),
            ..FlowId::default()
        };
        let mut facts = Facts::default();
        let Dissected {
            outcome,
            payload_octets,
        } = link::dissect(link, packet, &mut id, &mut facts);
        let octets = match outcome {
            Ok(()) => u64::from(facts.octets),
            Err(Reason::NotIp) if self.settings.layer2_flows => payload_octets,
            Err(reason) => {
                self.dropped[reason as usize] += Count::new(1, payload_octets);
                return self.has_ended();
            }
        };
        id.sampling = 1;
        let seen = table::Sighting {
            packets: 1,
            octets,
            flags: facts.flags,
            tos: facts.tos,
            ttl: facts.ttl,
        };
        let hash = table::hash(&table::words(&id), &self.hash_keys);
        self.batch.push(HashedRecord {
            record: FlowRecord {
                id,
                metrics: table::first(&seen, now),
            },
            hash,
            generation: 0,
        });
        if self.batch.len() == BATCH {
            self.merge();
        }
        self.has_ended()
    }

    #[inline]
    fn has_ended(&self) -> bool {
        self.ended.len() >= EXPIRE_AT_ONCE
    }

    #[cold]
    fn unreadable(&mut self, place: usize, packet: &Packet<'_>) {
        if self.unreadable.len() <= place {
            self.unreadable.resize(place + 1, Count::ZERO);
        }
        let count = Count::new(1, packet.wire_length.into());
        self.unreadable[place] += count;
        self.unreadable_new += count;
    }

    /// Ends what is due at `now_ns` of the capture's clock, with all packets so far counted: when
    /// none comes for a while. Whether flows have ended.
    pub fn wait(&mut self, now_ns: u64) -> bool {
        self.merge();
        self.expire(now_ns);
        !self.ended.is_empty()
    }

    /// Ends every flow: no packet will come. Whether flows have ended; to be asked until none has.
    pub fn finish(&mut self) -> bool {
        self.merge();
        if self.ended.is_empty() {
            // Those whose time had come end for that.
            self.expire(self.clock_ns);
            let moved = self.cache.flush(EXPIRE_AT_ONCE, &mut self.ended);
            self.note(moved);
        }
        !self.ended.is_empty()
    }

    /// Whether it was looked at the timeouts since this was asked last, and flows have ended that may
    /// be taken, however few.
    #[inline]
    pub fn has_few(&mut self) -> bool {
        std::mem::take(&mut self.looked) && !self.ended.is_empty()
    }

    /// The flows that have ended since they were taken last.
    pub fn ended(&mut self) -> &mut Vec<EndedFlow> {
        &mut self.ended
    }

    /// The time of the newest packet, nanoseconds since 1970; 0 before the first.
    pub fn clock_ns(&self) -> u64 {
        self.clock_ns
    }

    /// The time of the first packet.
    pub fn first_ns(&self) -> Option<u64> {
        self.first_ns
    }

    /// Packets so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Packets that were more than a second older than one before them.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Packets and octets of each interface, by its place, that could not be read for its link type.
    pub fn unreadable_interfaces(&self) -> &[Count] {
        &self.unreadable
    }

    fn merge(&mut self) {
        let moved = self
            .cache
            .merge(&self.batch, self.clock_ns, &mut self.ended);
        self.batch.clear();
        self.note(moved);
        for (reason, loss) in REASONS {
            let count = std::mem::take(&mut self.dropped[reason as usize]);
            if !count.is_zero() {
                self.ledger.observe_lost(loss, count);
            }
        }
        let unreadable = std::mem::take(&mut self.unreadable_new);
        if !unreadable.is_zero() {
            self.ledger
                .observe_lost(LossReason::UnknownLink, unreadable);
        }
    }

    /// Ends what is due, as far as one look takes it.
    fn expire(&mut self, now_ns: u64) {
        let limit = self.ended.len() + EXPIRE_AT_ONCE;
        let moved = self.cache.expire(now_ns, limit, &mut self.ended);
        self.note(moved);
        self.looked = true;
        // Where there is more to end the next look comes at once.
        if self.ended.len() < limit {
            self.next_expiry_ns = now_ns.saturating_add(EXPIRE_EVERY_NS);
        }
    }

    fn note(&self, moved: Movement) {
        self.ledger.observe(moved.taken);
        self.ledger
            .lose_from_cache(LossReason::Duplicate, moved.dropped);
        self.ledger.queue(moved.ended);
    }
}

/// The dissector's reasons in the ledger's words.
const REASONS: [(Reason, LossReason); 4] = [
    (Reason::NotIp, LossReason::NotIp),
    (Reason::Truncated, LossReason::Truncated),
    (Reason::Malformed, LossReason::Malformed),
    (Reason::TooDeep, LossReason::TooDeep),
];
