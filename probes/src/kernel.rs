//! The two TC programs, each for devices with and without an Ethernet header.
//!
//! The only place that touches kernel memory. A program never changes a packet and always returns
//! `TC_ACT_UNSPEC`, so that whatever else is attached runs as if ebpfix were not there.

use crate::abi::{
    Control, Counters, CpuState, DropReason, FlowId, HashedRecord, Set, Slot, Timestamps,
    CALL_FILTER, CALL_HAS_FILTER, DIRECTION_EGRESS, DIRECTION_INGRESS, ERRNO_EVICTED,
};
use crate::common::{common, Common};
use crate::dissect::{dissect, Facts, Frame, Head, Link, Reason, ETHERNET_HEADER_OCTETS};
use crate::table;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU64, Ordering};
use redbpf_macros::{map, tc_action};
use redbpf_probes::bindings::__sk_buff;
use redbpf_probes::helpers::gen::{
    bpf_get_prandom_u32, bpf_get_smp_processor_id, bpf_jiffies64, bpf_ktime_get_boot_ns,
    bpf_skb_load_bytes_relative, bpf_skb_pull_data,
};
use redbpf_probes::maps::Array;
use redbpf_probes::socket::SkBuff;
use redbpf_probes::tc::{TcAction, TcActionResult};

/// `bpf_skb_load_bytes_relative`: offsets from the network header.
const BPF_HDR_START_NET: u32 = 1;
/// The verifier's bound on offsets into a packet; no header that is looked at lies beyond.
const MAX_OFFSET: u32 = 0x7fff;
/// Octets fetched from the fragments of a socket buffer whose linear part ends inside the headers.
const PULL_OCTETS: u32 = 2048;

#[no_mangle]
#[link_section = "license"]
#[used]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[no_mangle]
#[link_section = "version"]
#[used]
static VERSION: u32 = 0xffff_fffe;

// Sizes here are placeholders: the loader sets `max_entries`, and makes the arrays mappable.
#[map(link_section = "maps/control")]
static mut control: Array<Control> = Array::with_max_entries(1);
#[map(link_section = "maps/cpu_state")]
static mut cpu_state: Array<CpuState> = Array::with_max_entries(1);
#[map(link_section = "maps/aggregated_flows")]
static mut aggregated_flows: Array<Set> = Array::with_max_entries(1);
#[map(link_section = "maps/direct_flows")]
static mut direct_flows: Array<HashedRecord> = Array::with_max_entries(1);

/// The element of a map at `index`, or null beyond its end.
macro_rules! element {
    ($map:ident, $type:ty, $index:expr) => {
        match (*(&raw mut $map)).get_mut($index) {
            Some(element) => element as *mut $type,
            None => core::ptr::null_mut(),
        }
    };
}

/// Counts packets that enter by an interface with Ethernet headers.
#[tc_action]
pub fn ingress_flow_parse(skb: SkBuff) -> TcActionResult {
    observe::<EthernetFrame>(skb.skb, DIRECTION_INGRESS);
    Ok(TcAction::Unspec)
}

/// Counts packets that leave by an interface with Ethernet headers.
#[tc_action]
pub fn egress_flow_parse(skb: SkBuff) -> TcActionResult {
    observe::<EthernetFrame>(skb.skb, DIRECTION_EGRESS);
    Ok(TcAction::Unspec)
}

/// Counts packets that enter by an interface without link headers (tun, ppp, wireguard).
#[tc_action]
pub fn ingress_flow_parse_l3(skb: SkBuff) -> TcActionResult {
    observe::<NetworkFrame>(skb.skb, DIRECTION_INGRESS);
    Ok(TcAction::Unspec)
}

/// Counts packets that leave by an interface without link headers.
#[tc_action]
pub fn egress_flow_parse_l3(skb: SkBuff) -> TcActionResult {
    observe::<NetworkFrame>(skb.skb, DIRECTION_EGRESS);
    Ok(TcAction::Unspec)
}

/// Counts one packet: its flow, or why it has none.
#[inline(always)]
fn observe<F: KernelFrame>(skb: *const __sk_buff, direction: u8) {
    // SAFETY: the verifier proves every access of this function at load: null checks on the maps'
    // elements, bounds on the packet, fields of the context by their own offsets. References into
    // maps are exclusive while they live, for a CPU's elements are touched only by that CPU, with
    // bottom halves off.
    unsafe {
        let settings = element!(control, Control, 0);
        if settings.is_null() {
            return;
        }
        let settings = &*settings;
        let generation = core::ptr::read_volatile(&settings.generation);
        let cpu = bpf_get_smp_processor_id();
        if cpu >= settings.cpus {
            without_cache::<F>(settings, skb, generation);
            return;
        }
        let state = element!(cpu_state, CpuState, cpu);
        if state.is_null() {
            return;
        }
        let state = &mut *state;
        let counters = &mut state.counters[(generation & 1) as usize];

        let frame_octets = (*skb).len as u64;
        counters.frames.packets += 1;
        counters.frames.octets += frame_octets;
        // The octets of a packet that gets no Flow Key.
        let payload_octets = frame_octets.saturating_sub(F::LINK_OCTETS as u64);

        let sampling = settings.sampling;
        if sampling > 1 && bpf_get_prandom_u32() % sampling != 0 {
            let segments = (*skb).gso_segs as u64;
            let packets = if segments == 0 { 1 } else { segments };
            drop_packets(counters, DropReason::NotSampled, packets, payload_octets);
            return;
        }

        let tag = if (*skb).vlan_present != 0 {
            Some((*skb).vlan_tci as u16)
        } else {
            None
        };
        let (mut words, facts, outcome) = match F::common(skb, tag) {
            Some(found) => (found.words, found.facts, Ok(())),
            None => uncommon::<F>(skb, settings.zero, tag),
        };
        let (packets, octets) = match outcome {
            Ok(()) => match (*skb).gso_size {
                0 => (1, facts.octets as u64),
                segment => facts.on_the_wire((*skb).gso_segs, segment),
            },
            Err(Reason::NotIp) if settings.layer2_flows != 0 => (1, payload_octets),
            Err(reason) => {
                drop_packets(counters, reason.into(), 1, payload_octets);
                return;
            }
        };
        let rate = if sampling > 1 { sampling } else { 1 };
        table::place(&mut words, (*skb).ifindex, direction, rate);
        let seen = table::Sighting {
            packets,
            octets,
            flags: facts.flags,
            tos: facts.tos,
            ttl: facts.ttl,
        };
        count(settings, state, cpu, generation, &words, &seen);
    }
}

/// Dissects header by header what is not as most frames are.
#[inline(always)]
unsafe fn uncommon<F: KernelFrame>(
    skb: *const __sk_buff,
    zero: u32,
    tag: Option<u16>,
) -> (table::Words, Facts, Result<(), Reason>) {
    let mut key = FlowId::default();
    // In memory: taken apart into registers, the octets of a key would need more than there are.
    let id = core::hint::black_box(&mut key);
    let mut facts = Facts::default();
    let mut outcome = Err(Reason::Truncated);
    for _ in 0..2 {
        let frame = F::of(skb, zero);
        outcome = dissect(&frame, F::LINK, tag, id, &mut facts);
        // Headers may lie in the fragments of a non-linear buffer: fetch them, look again.
        if !matches!(outcome, Err(Reason::Truncated)) || !frame.linearize() {
            break;
        }
        *id = FlowId::default();
        facts = Facts::default();
    }
    (table::words(id), facts, outcome)
}

/// Counts a packet that a CPU without a cache sees: one that was added while the exporter runs.
/// Several such CPUs share the counters, hence the atomic additions.
#[inline(always)]
unsafe fn without_cache<F: KernelFrame>(
    settings: &Control,
    skb: *const __sk_buff,
    generation: u32,
) {
    let state = element!(cpu_state, CpuState, settings.cpus);
    if state.is_null() {
        return;
    }
    let counters = &mut (*state).counters[(generation & 1) as usize];
    let frame_octets = (*skb).len as u64;
    let octets = frame_octets.saturating_sub(F::LINK_OCTETS as u64);
    let lost = &mut counters.dropped[DropReason::UnknownCpu as usize];
    for (counter, addend) in [
        (&mut counters.frames.packets, 1),
        (&mut counters.frames.octets, frame_octets),
        (&mut counters.observed.packets, 1),
        (&mut counters.observed.octets, octets),
        (&mut lost.packets, 1),
        (&mut lost.octets, octets),
    ] {
        AtomicU64::from_ptr(counter).fetch_add(addend, Ordering::Relaxed);
    }
}

/// Counts a packet in its flow's slot.
#[inline(always)]
unsafe fn count(
    settings: &Control,
    state: &mut CpuState,
    cpu: u32,
    generation: u32,
    words: &table::Words,
    seen: &table::Sighting,
) {
    let counters = &mut state.counters[(generation & 1) as usize];
    let hash = table::hash(words, &settings.hash_keys);
    let cache = (cpu * 2 + (generation & 1)) * settings.sets;
    let set = element!(aggregated_flows, Set, cache + (hash & (settings.sets - 1)));
    if set.is_null() {
        drop_packets(counters, DropReason::LogFull, seen.packets, seen.octets);
        return;
    }
    counters.observed.packets += seen.packets;
    counters.observed.octets += seen.octets;
    let set = &mut *set;
    let way = if holds(&set[0], hash, words) {
        0
    } else if holds(&set[1], hash, words) {
        1
    } else {
        2
    };
    if way < 2 {
        let now = time(settings, Timestamps::Fine);
        table::add(&mut set[way & 1].entry.record.metrics, seen, now);
        return;
    }
    // A flow that is in the cache has passed.
    if !passes(words) {
        let counters = &mut state.counters[(generation & 1) as usize];
        let filtered = &mut counters.dropped[DropReason::Filtered as usize];
        filtered.packets += seen.packets;
        filtered.octets += seen.octets;
        return;
    }
    let now = time(settings, Timestamps::FineStart);
    let slot = table::victim(set);
    let resident = slot.entry.record.metrics.packets;
    if resident != 0 && !evict(settings, state, cpu, slot) {
        // No room: the heavier flow keeps the slot, the other's packets are counted as lost.
        let counters = &mut state.counters[(generation & 1) as usize];
        let lost = &mut counters.dropped[DropReason::LogFull as usize];
        if resident > 1 {
            lost.packets += seen.packets;
            lost.octets += seen.octets;
            return;
        }
        lost.packets += resident;
        lost.octets += slot.entry.record.metrics.bytes;
    }
    slot.entry.record.id = table::flow_id(words);
    slot.entry.record.metrics = table::first(seen, now);
    slot.entry.hash = hash;
    slot.entry.generation = generation;
}

/// Whether the flow of these key words is meant. What is called here the loader puts in.
#[inline(always)]
unsafe fn passes(words: &table::Words) -> bool {
    let has_filter: extern "C" fn() -> u64 = core::mem::transmute(CALL_HAS_FILTER as usize);
    if has_filter() == 0 {
        return true;
    }
    let filter: extern "C" fn(*const table::Words) -> u64 =
        core::mem::transmute(CALL_FILTER as usize);
    // Of a copy: what has an address is not in registers, and the words are where they can be.
    let key = *words;
    filter(&key) != 0
}

/// The boot clock: as it is where the setting asks for `fine` stamps or more of them, else of the
/// last tick, which costs a load and a multiplication where a clock takes longer than the hash.
#[inline(always)]
unsafe fn time(settings: &Control, fine: Timestamps) -> u64 {
    if settings.timestamps >= fine as u32 {
        bpf_ktime_get_boot_ns()
    } else {
        bpf_jiffies64()
            .wrapping_mul(settings.tick_ns as u64)
            .wrapping_add(settings.tick_origin_ns)
    }
}

/// Whether the slot holds the flow of these key words.
#[inline(always)]
fn holds(slot: &Slot, hash: u32, words: &table::Words) -> bool {
    // The hash first: it is on the cache line of the counts, which are needed anyhow.
    slot.entry.hash == hash
        && table::same(&table::words(&slot.entry.record.id), words)
        && slot.entry.record.metrics.packets != 0
}

/// Writes the slot's record to the CPU's log; false where it is full.
#[inline(always)]
unsafe fn evict(settings: &Control, state: &mut CpuState, cpu: u32, slot: &Slot) -> bool {
    let produced = state.produced;
    let consumed = core::ptr::read_volatile(&state.consumed);
    if produced.wrapping_sub(consumed) >= settings.log_records as u64 {
        return false;
    }
    let place = cpu * settings.log_records + (produced as u32 & (settings.log_records - 1));
    let record = element!(direct_flows, HashedRecord, place);
    if record.is_null() {
        return false;
    }
    *record = slot.entry;
    (*record).record.metrics.errno = ERRNO_EVICTED;
    // The reader on another CPU must see the record before the position.
    // (LLVM's BPF has no fence for one thread; an empty statement that may touch memory is one.)
    core::arch::asm!("", options(nostack, preserves_flags));
    core::ptr::write_volatile(&mut state.produced, produced + 1);
    true
}

#[inline(always)]
fn drop_packets(counters: &mut Counters, reason: DropReason, packets: u64, octets: u64) {
    counters.observed.packets += packets;
    counters.observed.octets += octets;
    let tally = &mut counters.dropped[reason as usize];
    tally.packets += packets;
    tally.octets += octets;
}

impl From<Reason> for DropReason {
    #[inline(always)]
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::NotIp => Self::NotIp,
            Reason::Truncated => Self::Truncated,
            Reason::Malformed => Self::Malformed,
            Reason::TooDeep => Self::TooDeep,
        }
    }
}

/// A frame in a socket buffer.
trait KernelFrame: Frame {
    const LINK: Link;
    /// Octets of the link header, as far as they are the same for every frame.
    const LINK_OCTETS: u32;

    /// The frame in `skb`, as it is now. `zero` is 0, but the verifier must not know.
    fn of(skb: *const __sk_buff, zero: u32) -> Self;

    /// What [`common`] finds, where this kind of frame is for it.
    fn common(skb: *const __sk_buff, tag: Option<u16>) -> Option<Common>;

    /// Makes more of the frame readable; false where nothing more can be had. Afterwards the
    /// frame must be taken [`of`](Self::of) the socket buffer again.
    fn linearize(&self) -> bool;
}

/// A socket buffer that begins with an Ethernet header, its linear part read in place.
struct EthernetFrame {
    skb: *const __sk_buff,
    data: usize,
    data_end: usize,
    zero: u32,
    /// [`MAX_OFFSET`], but the compiler must not know: it would leave out what masks with it.
    offset_mask: usize,
}

impl KernelFrame for EthernetFrame {
    const LINK: Link = Link::Ethernet;
    const LINK_OCTETS: u32 = ETHERNET_HEADER_OCTETS;

    #[inline(always)]
    fn of(skb: *const __sk_buff, zero: u32) -> Self {
        // SAFETY: context fields, rewritten by the verifier.
        unsafe {
            Self {
                skb,
                data: (*skb).data as usize,
                data_end: (*skb).data_end as usize,
                zero,
                offset_mask: core::hint::black_box(MAX_OFFSET as usize),
            }
        }
    }

    #[inline(always)]
    fn common(skb: *const __sk_buff, tag: Option<u16>) -> Option<Common> {
        common(&Self::of(skb, 0), tag.unwrap_or(0))
    }

    #[inline(always)]
    fn linearize(&self) -> bool {
        pull(self.skb, self.data, self.data_end)
    }
}

/// The start of a frame whose first octets are known to be there.
struct InPlace(usize);

impl Head for InPlace {
    #[inline(always)]
    fn u8_at(&self, at: usize) -> u8 {
        // SAFETY: the verifier holds the place against the comparison with `data_end`. Unaligned, see
        // `read_words`.
        unsafe { *((self.0 + at) as *const u8) }
    }

    #[inline(always)]
    fn u16_at(&self, at: usize) -> u16 {
        // SAFETY: as above.
        unsafe { *((self.0 + at) as *const u16) }
    }

    #[inline(always)]
    fn u32_at(&self, at: usize) -> u32 {
        // SAFETY: as above.
        unsafe { *((self.0 + at) as *const u32) }
    }

    #[inline(always)]
    fn u64_at(&self, at: usize) -> u64 {
        // SAFETY: as above.
        unsafe { *((self.0 + at) as *const u64) }
    }
}

impl Frame for EthernetFrame {
    type Head = InPlace;

    #[inline(always)]
    fn head<const N: usize>(&self) -> Option<InPlace> {
        if self.data + N > self.data_end {
            return None;
        }
        Some(InPlace(self.data))
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        // SAFETY: a context field.
        unsafe { (*self.skb).len }
    }

    #[inline(always)]
    fn is_segmented(&self) -> bool {
        // SAFETY: a context field.
        unsafe { (*self.skb).gso_size != 0 }
    }

    #[inline(always)]
    fn forget_path(&self, offset: u32) -> u32 {
        offset.wrapping_add(self.zero)
    }

    #[inline(always)]
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        if offset > MAX_OFFSET {
            return None;
        }
        // As this comparison may be of another copy of the offset, for the verifier it bounds nothing.
        let start = self.data + (offset as usize & self.offset_mask);
        if start + N > self.data_end {
            return None;
        }
        // SAFETY: the comparison with `data_end` is what the verifier demands before the read.
        unsafe { Some(read_words::<N>(start)) }
    }
}

/// A socket buffer read from its network header on.
struct NetworkFrame(*const __sk_buff, u32);

impl KernelFrame for NetworkFrame {
    const LINK: Link = Link::None;
    const LINK_OCTETS: u32 = 0;

    #[inline(always)]
    fn of(skb: *const __sk_buff, zero: u32) -> Self {
        Self(skb, zero)
    }

    /// Every octet costs a helper's call.
    #[inline(always)]
    fn common(_: *const __sk_buff, _: Option<u16>) -> Option<Common> {
        None
    }

    /// The helper reads the linear part alone, whatever its name promises.
    #[inline(always)]
    fn linearize(&self) -> bool {
        // SAFETY: context fields, rewritten by the verifier.
        let (data, data_end) = unsafe { ((*self.0).data as usize, (*self.0).data_end as usize) };
        pull(self.0, data, data_end)
    }
}

impl Frame for NetworkFrame {
    type Head = InPlace;

    #[inline(always)]
    fn head<const N: usize>(&self) -> Option<InPlace> {
        None
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        // SAFETY: a context field.
        unsafe { (*self.0).len }
    }

    #[inline(always)]
    fn is_segmented(&self) -> bool {
        // SAFETY: a context field.
        unsafe { (*self.0).gso_size != 0 }
    }

    #[inline(always)]
    fn forget_path(&self, offset: u32) -> u32 {
        offset.wrapping_add(self.1)
    }

    #[inline(always)]
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        if offset > MAX_OFFSET {
            return None;
        }
        let mut octets = MaybeUninit::<[u8; N]>::uninit();
        // SAFETY: the helper writes N octets or fails.
        unsafe {
            let failed = bpf_skb_load_bytes_relative(
                self.0 as *const _,
                offset,
                octets.as_mut_ptr() as *mut _,
                N as u32,
                BPF_HDR_START_NET,
            );
            if failed != 0 {
                None
            } else {
                Some(octets.assume_init())
            }
        }
    }
}

/// Fetches headers from the fragments of a socket buffer whose linear part is from `data` to
/// `data_end`; false where nothing is to be had. No pointer into the packet is good after it.
#[inline(always)]
fn pull(skb: *const __sk_buff, data: usize, data_end: usize) -> bool {
    // SAFETY: a context field.
    let length = unsafe { (*skb).len };
    if data_end.wrapping_sub(data) as u32 >= length {
        return false;
    }
    let wanted = if length > PULL_OCTETS {
        PULL_OCTETS
    } else {
        length
    };
    // SAFETY: the helper checks its arguments.
    unsafe { bpf_skb_pull_data(skb as *mut _, wanted) == 0 }
}

/// Reads `N` octets in the widest pieces. The pointer is *not* aligned: the machines that BPF runs
/// on load unaligned words, but the compiler, asked for an unaligned load, would go octet by octet.
#[inline(always)]
unsafe fn read_words<const N: usize>(start: usize) -> [u8; N] {
    let mut octets = MaybeUninit::<[u8; N]>::uninit();
    let to = octets.as_mut_ptr() as *mut u8;
    let mut at = 0;
    while at + 8 <= N {
        (to.add(at) as *mut u64).write_unaligned(*((start + at) as *const u64));
        at += 8;
    }
    if at + 4 <= N {
        (to.add(at) as *mut u32).write_unaligned(*((start + at) as *const u32));
        at += 4;
    }
    if at + 2 <= N {
        (to.add(at) as *mut u16).write_unaligned(*((start + at) as *const u16));
        at += 2;
    }
    if at < N {
        to.add(at).write(*((start + at) as *const u8));
    }
    octets.assume_init()
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
