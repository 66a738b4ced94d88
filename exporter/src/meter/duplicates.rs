//! Which of several views of a flow is the first.

use std::hash::{BuildHasher, RandomState};

use ebpfix_probes::abi::{FlowId, IpAddress};

use super::index::Index;
use super::row::{DUPLICATE, OWNER, Row, Rows};

/// The rows that own their flow. Looked at when a record begins or a row goes, never per packet.
#[derive(Debug)]
pub(super) struct Owners {
    index: Index,
    keys: Keys,
}

/// What becomes of a record that begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Claim {
    /// Nobody owns the flow.
    Free,
    /// A row of the same view does.
    Same(u32),
    /// A row of another view does.
    Taken,
}

impl Owners {
    pub(super) fn new(max_rows: u32) -> Self {
        Self {
            index: Index::new(max_rows),
            keys: Keys::random(),
        }
    }

    /// Octets of memory they take.
    pub(super) fn memory(&self) -> usize {
        self.index.memory()
    }

    /// What stands at the place of a flow: brings the slot into the processor's cache.
    pub(super) fn peek(&self, id: &FlowId) -> u32 {
        self.index.peek(self.keys.hash(id))
    }

    /// A record of `row` begins: finds out whether it is a duplicate.
    pub(super) fn begin(&mut self, rows: &mut Rows, row: u32) {
        let Row { id, state, .. } = &rows[row];
        if state & OWNER != 0 || id.is_layer_2() {
            return;
        }
        let hash = self.keys.hash(id);
        match self.claim(rows, row, hash) {
            Claim::Free => self.own(rows, row, hash),
            // The view's latest row stands for it: the other one has, say, the MAC address of a
            // router that was replaced, and will go first.
            Claim::Same(owner) => {
                self.index.replace(owner, row, hash);
                rows[owner].state &= !OWNER;
                let row = &mut rows[row];
                row.state = row.state & !DUPLICATE | OWNER;
            }
            Claim::Taken => rows[row].state |= DUPLICATE,
        }
    }

    /// Whether the flow of `row`, so far a duplicate, is owned by nobody any more.
    pub(super) fn is_free(&self, rows: &Rows, row: u32) -> bool {
        let id = &rows[row].id;
        self.claim(rows, row, self.keys.hash(id)) == Claim::Free
    }

    /// The row goes, and what it owned is free.
    pub(super) fn end(&mut self, rows: &Rows, row: u32) {
        let Row { id, state, .. } = &rows[row];
        if state & OWNER != 0 {
            let hash_of = |row: u32| self.keys.hash(&rows[row].id);
            self.index.remove(row, self.keys.hash(id), hash_of);
        }
    }

    fn claim(&self, rows: &Rows, row: u32, hash: u32) -> Claim {
        let id = &rows[row].id;
        match self
            .index
            .find(hash, |owner| same_flow(&rows[owner].id, id))
        {
            None => Claim::Free,
            Some(owner) if same_view(&rows[owner].id, id) => Claim::Same(owner),
            Some(_) => Claim::Taken,
        }
    }

    fn own(&mut self, rows: &mut Rows, row: u32, hash: u32) {
        if self.index.is_full() {
            let keys = &self.keys;
            let owners = rows.numbered().filter(|(_, row)| row.is(OWNER));
            self.index
                .grow(owners.map(|(at, row)| (at, keys.hash(&row.id))));
        }
        self.index.insert(row, hash);
        let row = &mut rows[row];
        row.state = row.state & !DUPLICATE | OWNER;
    }
}

/// Keys of a hash, random so that nobody can send flows that all hash alike.
#[derive(Debug)]
struct Keys([u64; 6]);

impl Keys {
    fn random() -> Self {
        let random = RandomState::new();
        // An odd factor loses nothing.
        Self(std::array::from_fn(|at| random.hash_one(at) | 1))
    }

    /// The hash of what makes two views the same flow.
    #[inline]
    fn hash(&self, id: &FlowId) -> u32 {
        let [src_high, src_low] = halves(&id.src_ip);
        let [dst_high, dst_low] = halves(&id.dst_ip);
        let rest = u64::from(id.src_port) << 48
            | u64::from(id.dst_port) << 32
            | u64::from(id.eth_protocol) << 16
            | u64::from(id.transport_protocol);
        let keys = &self.0;
        // Three products that do not wait for each other.
        let src = fold(src_high ^ keys[0], src_low ^ keys[1]);
        let dst = fold(dst_high ^ keys[2], dst_low ^ keys[3]).rotate_left(21);
        let rest = fold(rest ^ keys[4], keys[5]).rotate_left(42);
        let hash = fold(src ^ dst ^ rest, keys[5]);
        u32::try_from(hash >> u32::BITS).unwrap_or(0)
    }
}

fn halves(ip: &IpAddress) -> [u64; 2] {
    let whole = u128::from_ne_bytes(ip.0);
    [low(whole >> u64::BITS), low(whole)]
}

/// The product of both, its high half mixed into the low one.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    low(product >> u64::BITS) ^ low(product)
}

fn low(number: u128) -> u64 {
    u64::try_from(number & u128::from(u64::MAX)).unwrap_or(0)
}

fn same_flow(a: &FlowId, b: &FlowId) -> bool {
    a.src_ip == b.src_ip
        && a.dst_ip == b.dst_ip
        && a.src_port == b.src_port
        && a.dst_port == b.dst_port
        && a.transport_protocol == b.transport_protocol
        && a.eth_protocol == b.eth_protocol
}

fn same_view(a: &FlowId, b: &FlowId) -> bool {
    a.if_index == b.if_index
        && a.direction == b.direction
        && a.vlan_id == b.vlan_id
        && a.customer_vlan_id == b.customer_vlan_id
}
