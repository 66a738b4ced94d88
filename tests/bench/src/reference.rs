//! What the cache and its log are compared with: a BPF hash per CPU, in two generations.
//!
//! The program is written by hand. It knows nothing but IPv4 over Ethernet, without tags, options or
//! fragments, and so does less for a packet than ours: the comparison is in its favour. Its Flow Key
//! and counts are those of ours. The quiet generation is read by batches, each element with the
//! counts of every CPU.

use std::ffi::CStr;
use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use ebpfix::observe::Direction;
use ebpfix_probes::abi::{FlowId, FlowMetrics, FlowRecord, HashedRecord};
use ebpfix_probes::table;

use crate::assembly::{
    Assembly, EXIT, If, Kind, add, add_register, call, copy, load, load_double, load_element,
    load_half, load_map, load_octet, load_word, or_register, set, set_double, set_word,
    store_double, store_half, store_octet, store_word, to_network,
};
use crate::program::attach_tcx;
use crate::records::HASH_KEYS;

/// The table, and the program that counts into it.
#[derive(Debug)]
pub struct PerCpuHash {
    control: OwnedFd,
    generations: [OwnedFd; 2],
    program: OwnedFd,
    link: Option<OwnedFd>,
    current: u32,
    cpus: usize,
    /// Packets without room in rounds before.
    without_room: u64,
}

/// The only element of the array beside the hashes: the generation, and packets without room.
const CONTROL_OCTETS: u32 = 16;
const WITHOUT_ROOM: i16 = 8;
/// Flows of a generation at most.
const FLOWS: u32 = 1_310_720;
/// Elements that one system call reads.
const BATCH: usize = 4096;

/// Places on the program's stack.
const KEY: i16 = -64;
const VALUE: i16 = -104;
const FLAGS: i16 = -112;

impl PerCpuHash {
    /// Creates the maps and loads the program.
    pub fn new() -> io::Result<Self> {
        let control = create_map(
            bpf_sys::bpf_map_type_BPF_MAP_TYPE_ARRAY,
            4,
            CONTROL_OCTETS,
            1,
        )?;
        let hash = || {
            create_map(
                bpf_sys::bpf_map_type_BPF_MAP_TYPE_PERCPU_HASH,
                size::<FlowId>(),
                size::<FlowMetrics>(),
                FLOWS,
            )
        };
        let generations = [hash()?, hash()?];
        let program = load(
            Kind::SchedCls,
            c"reference",
            &program(&control, &generations),
        )?;
        Ok(Self {
            control,
            generations,
            program,
            link: None,
            current: 0,
            cpus: possible_cpus()?,
            without_room: 0,
        })
    }

    /// The program.
    pub fn program(&self) -> &OwnedFd {
        &self.program
    }

    /// Attaches it by TCX.
    pub fn attach(&mut self, if_index: u32, direction: Direction) {
        self.link = Some(attach_tcx(&self.program, if_index, direction));
    }

    /// Detaches it.
    pub fn detach(&mut self) {
        self.link = None;
    }

    /// Turns the generation. Nothing must be counted at this time: there is no waiting.
    pub fn turn(&mut self) -> io::Result<()> {
        self.current ^= 1;
        let mut element = self.control_element()?;
        element[..4].copy_from_slice(&self.current.to_ne_bytes());
        let key = 0u32;
        // SAFETY: key and value are of the map's sizes.
        let failed = unsafe {
            bpf_sys::bpf_map_update_elem(
                self.control.as_raw_fd(),
                (&raw const key).cast(),
                element.as_ptr().cast(),
                0,
            )
        };
        if failed == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// Moves what the quiet generation has to `out`.
    pub fn read(&self, out: &mut Vec<HashedRecord>) -> io::Result<()> {
        let map = &self.generations[(self.current ^ 1) as usize];
        let mut keys = vec![FlowId::default(); BATCH];
        let mut values = vec![FlowMetrics::default(); BATCH * self.cpus];
        let (mut from, mut to) = ([0u64; 8], [0u64; 8]);
        let mut first = true;
        loop {
            let mut count = u32::try_from(BATCH).expect("a small number");
            // SAFETY: room for as many keys and values as are asked for; a hash's place is a u32.
            let failed = unsafe {
                bpf_sys::bpf_map_lookup_and_delete_batch(
                    map.as_raw_fd(),
                    if first {
                        std::ptr::null_mut()
                    } else {
                        from.as_mut_ptr().cast()
                    },
                    to.as_mut_ptr().cast(),
                    keys.as_mut_ptr().cast(),
                    values.as_mut_ptr().cast(),
                    &raw mut count,
                    std::ptr::null(),
                )
            };
            let error = io::Error::last_os_error();
            let read = keys
                .iter()
                .zip(values.chunks_exact(self.cpus))
                .take(count as usize);
            out.extend(read.map(|(id, by_cpu)| record(id, by_cpu)));
            if failed != 0 {
                return match error.raw_os_error() {
                    Some(libc::ENOENT) => Ok(()),
                    _ => Err(error),
                };
            }
            first = false;
            from = to;
        }
    }

    /// Packets without room since the last call.
    pub fn without_room(&mut self) -> io::Result<u64> {
        let element = self.control_element()?;
        let (_, count) = element.split_at(8);
        let count = u64::from_ne_bytes(count.try_into().expect("eight octets"));
        Ok(count - std::mem::replace(&mut self.without_room, count))
    }

    fn control_element(&self) -> io::Result<[u8; CONTROL_OCTETS as usize]> {
        let key = 0u32;
        let mut element = [0; CONTROL_OCTETS as usize];
        // SAFETY: key and value are of the map's sizes.
        let failed = unsafe {
            bpf_sys::bpf_map_lookup_elem(
                self.control.as_raw_fd(),
                (&raw const key).cast(),
                element.as_mut_ptr().cast(),
            )
        };
        if failed == 0 {
            Ok(element)
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

/// The record of a flow, as ours would be.
fn record(id: &FlowId, by_cpu: &[FlowMetrics]) -> HashedRecord {
    let mut metrics = FlowMetrics::default();
    for of_cpu in by_cpu {
        metrics.accumulate(of_cpu);
    }
    HashedRecord {
        record: FlowRecord { id: *id, metrics },
        hash: table::hash(&table::words(id), &HASH_KEYS),
        generation: 0,
    }
}

/// Dissects a packet and counts it into the hash of the generation.
fn program(control: &OwnedFd, generations: &[OwnedFd; 2]) -> Vec<u64> {
    const CONTEXT: u8 = 6;
    const DATA: u8 = 7;
    const OCTETS: u8 = 9;
    const STACK: u8 = 10;
    const V4_MAPPED: i32 = 0xffff_0000_u32.cast_signed();
    const TCP: i32 = 6;
    let key = |field: usize| KEY + i16::try_from(field).expect("a small type");
    let mut code = Assembly::default();
    // `struct __sk_buff`: data at 76, data_end at 80, ifindex at 40.
    code.put([
        copy(CONTEXT, 1),
        load_word(DATA, 1, 76),
        load_word(2, 1, 80),
        copy(3, DATA),
        add(3, 54),
    ]);
    code.jump("end", If::Greater(3, 2));
    code.put([load_half(4, DATA, 12)]);
    code.jump("end", If::NotEqual(4, 0x0008));
    code.put([load_octet(4, DATA, 14)]);
    code.jump("end", If::NotEqual(4, 0x45));
    for (field, octet) in [
        (offset_of!(FlowId, src_ip), 26),
        (offset_of!(FlowId, dst_ip), 30),
    ] {
        code.put([
            set_double(STACK, key(field), 0),
            set_word(STACK, key(field) + 8, V4_MAPPED),
            load_word(4, DATA, octet),
            store_word(STACK, 4, key(field) + 12),
        ]);
    }
    let (source, destination) = (offset_of!(FlowId, src_mac), offset_of!(FlowId, dst_mac));
    code.put([
        load_word(4, DATA, 6),
        store_word(STACK, 4, key(source)),
        load_half(4, DATA, 10),
        store_half(STACK, 4, key(source) + 4),
        load_half(4, DATA, 0),
        store_half(STACK, 4, key(destination)),
        load_word(4, DATA, 2),
        store_word(STACK, 4, key(destination) + 2),
    ]);
    for (field, octet) in [
        (offset_of!(FlowId, src_port), 34),
        (offset_of!(FlowId, dst_port), 36),
    ] {
        code.put([
            load_half(4, DATA, octet),
            to_network(4, 16),
            store_half(STACK, 4, key(field)),
        ]);
    }
    code.put([
        load_word(4, CONTEXT, 40),
        store_word(STACK, 4, key(offset_of!(FlowId, if_index))),
        // `eth_protocol` and no VLAN.
        set_word(STACK, key(offset_of!(FlowId, eth_protocol)), 0x0800),
        // No VLAN inside, ingress.
        set_word(STACK, key(offset_of!(FlowId, customer_vlan_id)), 0),
        load_octet(4, DATA, 23),
        store_octet(STACK, 4, key(offset_of!(FlowId, transport_protocol))),
        set_word(STACK, key(offset_of!(FlowId, sampling)), 1),
        load_half(OCTETS, DATA, 16),
        to_network(OCTETS, 16),
        set_double(STACK, FLAGS, 0),
    ]);
    code.jump("flags are known", If::NotEqual(4, TCP));
    code.put([load_octet(5, DATA, 47), store_octet(STACK, 5, FLAGS)]);
    code.place("flags are known");
    code.put(load_element(1, control));
    code.put([load_word(8, 1, 0)]);
    let [even, odd] = generations;
    code.jump("odd", If::NotEqual(8, 0));
    count(&mut code, control, even);
    code.place("odd");
    count(&mut code, control, odd);
    code.place("end");
    code.put([set(0, -1), EXIT]);
    code.finish()
}

/// Counts a packet into a hash, and ends.
fn count(code: &mut Assembly, control: &OwnedFd, hash: &OwnedFd) {
    const FOUND: u8 = 7;
    const OCTETS: u8 = 9;
    const STACK: u8 = 10;
    const MAP_LOOKUP_ELEM: i32 = 1;
    const MAP_UPDATE_ELEM: i32 = 2;
    const KTIME_GET_BOOT_NS: i32 = 125;
    const KTIME_GET_COARSE_NS: i32 = 160;
    let metrics = |field: usize| i16::try_from(field).expect("a small type");
    let packets = metrics(offset_of!(FlowMetrics, packets));
    let octets = metrics(offset_of!(FlowMetrics, bytes));
    let start = metrics(offset_of!(FlowMetrics, start_mono_time_ns));
    let end = metrics(offset_of!(FlowMetrics, end_mono_time_ns));
    let flags = metrics(offset_of!(FlowMetrics, flags));
    code.put(load_map(1, hash));
    code.put([
        copy(2, STACK),
        add(2, i32::from(KEY)),
        call(MAP_LOOKUP_ELEM),
    ]);
    code.jump("new", If::Equal(0, 0));
    code.put([
        copy(FOUND, 0),
        call(KTIME_GET_COARSE_NS),
        store_double(FOUND, 0, end),
        load_double(1, FOUND, packets),
        add(1, 1),
        store_double(FOUND, 1, packets),
        load_double(1, FOUND, octets),
        add_register(1, OCTETS),
        store_double(FOUND, 1, octets),
        load_half(1, FOUND, flags),
        load_half(2, STACK, FLAGS),
        or_register(1, 2),
        store_half(FOUND, 1, flags),
        set(0, -1),
        EXIT,
    ]);
    code.place("new");
    code.put([
        call(KTIME_GET_BOOT_NS),
        set_double(STACK, VALUE + packets, 1),
        store_double(STACK, OCTETS, VALUE + octets),
        store_double(STACK, 0, VALUE + start),
        store_double(STACK, 0, VALUE + end),
        load_double(1, STACK, FLAGS),
        store_double(STACK, 1, VALUE + flags),
    ]);
    code.put(load_map(1, hash));
    code.put([
        copy(2, STACK),
        add(2, i32::from(KEY)),
        copy(3, STACK),
        add(3, i32::from(VALUE)),
        set(4, 0),
        call(MAP_UPDATE_ELEM),
    ]);
    code.jump("counted", If::Equal(0, 0));
    code.put(load_element(1, control));
    code.put([
        load_double(2, 1, WITHOUT_ROOM),
        add(2, 1),
        store_double(1, 2, WITHOUT_ROOM),
    ]);
    code.place("counted");
    code.put([set(0, -1), EXIT]);
}

fn size<T>() -> u32 {
    u32::try_from(size_of::<T>()).expect("a small type")
}

fn create_map(kind: u32, key_octets: u32, value_octets: u32, entries: u32) -> io::Result<OwnedFd> {
    const NAME: &CStr = c"reference";
    let number = u32::cast_signed;
    // SAFETY: plain numbers, and a name that outlives the call.
    let fd = unsafe {
        bpf_sys::bpf_create_map_name(
            kind,
            NAME.as_ptr(),
            number(key_octets),
            number(value_octets),
            number(entries),
            0,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// CPUs that an element of a per-CPU map has values for.
fn possible_cpus() -> io::Result<usize> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible")?;
    let last = text.trim().rsplit(['-', ',']).next().unwrap_or_default();
    let last: usize = last.parse().map_err(io::Error::other)?;
    Ok(last + 1)
}
