//! The kernel programs, run on one frame after the other by `BPF_PROG_TEST_RUN`, and what they counted.
//!
//! The programs and tables are those of the exporter, loaded by its library. Nothing is attached and
//! no packet is on any wire: a frame goes in, and the tables tell what came of it.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::ptr;

use ebpfix::filter::KernelFilter;
use ebpfix::observe::{Direction, FetcherOptions, FlowFetcher, NetObjects};
use ebpfix_probes::abi::{
    Control, Counters, CpuState, DROP_REASONS, FlowId, GENERATIONS, HashedRecord, Set, Slot, Tally,
    WAYS,
};
use ebpfix_probes::table;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// A frame, and how it comes to a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run<'a> {
    /// The frame, with its Ethernet header also where the program is one for devices that have none:
    /// it then reads behind it.
    pub frame: &'a [u8],
    /// Whether the program is that for devices with Ethernet headers.
    pub ethernet: bool,
    /// The program's direction.
    pub direction: Direction,
    /// Index of the interface, in the network namespace of the thread; 0 and 1 are the loopback.
    pub if_index: u32,
    /// The VLAN tag beside the frame.
    pub tag: Option<u16>,
    /// `gso_segs`: packets that the frame stands for.
    pub segments: u16,
    /// `gso_size`: octets of payload of each.
    pub segment_octets: u32,
    /// How often the frame comes. With a tag beside it only once.
    pub times: u32,
}

/// What was counted, on the CPU of the thread that asks.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Counted {
    /// Flows: those evicted to the log in their order, then those of the cache.
    pub records: Vec<HashedRecord>,
    /// Everything that came by.
    pub observed: Tally,
    /// The same as interfaces count.
    pub frames: Tally,
    /// What is in no flow.
    pub dropped: [Tally; DROP_REASONS],
}

/// The programs and their tables. It belongs to the thread that made it, which stays on one CPU.
pub struct Programs {
    fetcher: FlowFetcher,
    tagging: Tagging,
    control: Mapped<Control>,
    cpu_state: Mapped<CpuState>,
    cache: Mapped<Set>,
    log: Mapped<HashedRecord>,
    cpu: usize,
    counted: Counters,
    pin_dir: PathBuf,
}

/// Slots of a cache: few, so that the log has something to do.
pub const CACHE_SLOTS: u32 = 16;
/// Records of a log.
pub const LOG_RECORDS: u32 = 64;

const RETURNED: u32 = u32::MAX;
const LONGEST: usize = 4096;

impl Programs {
    /// Loads the programs over tables of their own.
    pub fn load() -> Self {
        let cpu = stay_on_this_cpu();
        let pin_dir = PathBuf::from(format!(
            "/sys/fs/bpf/ebpfix-test-{}-run-{}",
            std::process::id(),
            nix::unistd::gettid()
        ));
        let options = FetcherOptions {
            cache_slots: Some(CACHE_SLOTS),
            log_records: LOG_RECORDS,
            pin_dir: pin_dir.clone(),
            ..FetcherOptions::default()
        };
        let fetcher = FlowFetcher::new(&options).expect("the programs load");
        let objects = fetcher.objects();
        let cpus = objects.sizes.cpus as usize;
        let sets = objects.sizes.sets as usize;
        Self {
            tagging: Tagging::load(objects),
            control: Mapped::new(&objects.maps.control, 1),
            cpu_state: Mapped::new(&objects.maps.cpu_state, cpus + 1),
            cache: Mapped::new(&objects.maps.aggregated_flows, cpus * GENERATIONS * sets),
            log: Mapped::new(&objects.maps.direct_flows, cpus * LOG_RECORDS as usize),
            fetcher,
            cpu,
            counted: Counters::default(),
            pin_dir,
        }
    }

    /// Runs the program of the direction and kind of device on the frame.
    ///
    /// # Errors
    /// What the kernel says where it makes no socket buffer of this.
    ///
    /// # Panics
    /// Where the program returns something else than `TC_ACT_UNSPEC`, or changes the frame.
    pub fn run(&self, run: &Run<'_>) -> io::Result<()> {
        let programs = &self.fetcher.objects().programs;
        let (program, mark) = match run.tag {
            None => (programs.for_device(run.ethernet, run.direction), 0),
            Some(tci) => {
                assert_eq!(run.times, 1, "each time one tag more");
                let place = Tagging::place(run.ethernet, run.direction);
                (&self.tagging.program, place << 16 | u32::from(tci))
            }
        };
        let mut out = [0_u8; LONGEST];
        // SAFETY: all zero is a valid context and a valid request; lengths and pointers are those of
        // memory that outlives the call.
        let returned = unsafe {
            let mut context: bpf_sys::__sk_buff = mem::zeroed();
            context.mark = mark;
            context.ifindex = run.if_index;
            context.gso_segs = run.segments.into();
            context.gso_size = run.segment_octets;
            let mut request: bpf_sys::bpf_prog_test_run_attr = mem::zeroed();
            request.prog_fd = program.as_raw_fd();
            request.repeat = run.times.cast_signed();
            request.data_in = run.frame.as_ptr().cast();
            request.data_size_in = u32::try_from(run.frame.len()).expect("a frame");
            request.data_out = out.as_mut_ptr().cast();
            request.data_size_out = u32::try_from(out.len()).expect("a small number");
            request.ctx_in = (&raw const context).cast();
            request.ctx_size_in = u32::try_from(mem::size_of_val(&context)).expect("a small type");
            if bpf_sys::bpf_prog_test_run_xattr(&raw mut request) != 0 {
                return Err(io::Error::last_os_error());
            }
            (request.retval, request.data_size_out as usize)
        };
        let (verdict, length) = returned;
        assert_eq!(verdict, RETURNED, "{run:02x?}");
        assert_eq!(&out[..length], run.frame, "the program changed the frame");
        Ok(())
    }

    /// Loads the programs anew, with this filter, over the same tables.
    ///
    /// # Errors
    /// Where the kernel does not take it.
    pub fn set_filter(&mut self, filter: &KernelFilter) -> Result<(), ebpfix::observe::Error> {
        self.fetcher.set_filter(filter)?;
        self.tagging = Tagging::load(self.fetcher.objects());
        Ok(())
    }

    /// Whether frames that are not IP become flows from now on.
    pub fn set_layer2_flows(&self, on: bool) {
        self.control.change(0, |control| {
            control.layer2_flows = u32::from(on);
        });
    }

    /// Has the programs count into the other cache from now on, which must be empty.
    pub fn turn(&self) {
        self.control.change(0, |control| {
            control.generation = control.generation.wrapping_add(1);
        });
    }

    /// What was counted since it was last asked for, taken out of the tables.
    pub fn take(&mut self) -> Counted {
        let mut counted = Counted::default();
        let state = self.cpu_state.read(self.cpu);
        let size = u64::from(LOG_RECORDS);
        for position in state.consumed..state.produced {
            let place = usize::try_from(position % size).expect("a small number");
            let log = self.cpu * LOG_RECORDS as usize;
            counted.records.push(self.log.read(log + place));
        }
        self.cpu_state.change(self.cpu, |other| {
            other.consumed = state.produced;
        });
        let sets = self.cache.elements / self.fetcher.objects().sizes.cpus as usize;
        for set in self.cpu * sets..(self.cpu + 1) * sets {
            if self.cache.read(set).iter().any(is_occupied) {
                let slots = self.cache.read(set).into_iter();
                let records = slots.filter(is_occupied).map(|slot| slot.entry);
                counted.records.extend(records);
                self.cache.write(set, [Slot::default(); WAYS]);
            }
        }
        let sum = sum(&state.counters);
        counted.observed = difference(sum.observed, self.counted.observed);
        counted.frames = difference(sum.frames, self.counted.frames);
        for (reason, tally) in counted.dropped.iter_mut().enumerate() {
            *tally = difference(sum.dropped[reason], self.counted.dropped[reason]);
        }
        self.counted = sum;
        counted
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.pin_dir);
    }
}

/// A filter in the kernel by itself: a program that takes a Flow Key for a frame and answers what the
/// filter's function does.
pub struct FilterRun {
    program: OwnedFd,
}

impl FilterRun {
    /// What stands before the key, for the kernel looks for a link header there.
    const LINK: usize = 14;

    /// Loads the function of the filter, which must test something.
    pub fn load(filter: &KernelFilter) -> Self {
        const SKB_LOAD_BYTES: u32 = 26;
        const KEY: u32 = 0xffc0; // -64
        let offset = u32::try_from(Self::LINK).expect("a small number");
        let mut code = vec![
            instruction(0xb7, 2, 0, 0, offset),        // r2 = where the key is
            instruction(0xbf, 3, 10, 0, 0),            // r3 = the stack
            instruction(0x07, 3, 0, 0, KEY | !0xffff), //      64 octets of it
            instruction(0xb7, 4, 0, 0, 64),            // r4 = 64
            instruction(0x85, 0, 0, 0, SKB_LOAD_BYTES), // r0 = load(context, r2, r3, r4)
            instruction(0x55, 0, 0, 3, 0),             // if it failed: out, with its errno
            instruction(0xbf, 1, 10, 0, 0),            // r1 = the key
            instruction(0x07, 1, 0, 0, KEY | !0xffff), //
            instruction(0x85, 0, 1, 0, 1),             // r0 = filter(r1)
            instruction(0x95, 0, 0, 0, 0),             // exit
        ];
        let filter = filter.code().chunks_exact(8);
        code.extend(filter.map(|octets| u64::from_ne_bytes(octets.try_into().expect("eight"))));
        Self {
            program: load(&code),
        }
    }

    /// What the kernel says of a Flow Key.
    ///
    /// # Panics
    /// Where it says something else than yes or no.
    pub fn takes(&self, id: &FlowId) -> bool {
        let mut frame = [0_u8; Self::LINK + 64];
        for (octets, word) in frame[Self::LINK..].chunks_mut(8).zip(table::words(id)) {
            octets.copy_from_slice(&word.to_ne_bytes());
        }
        // SAFETY: all zero is a valid request; the frame outlives the call.
        let returned = unsafe {
            let mut request: bpf_sys::bpf_prog_test_run_attr = mem::zeroed();
            request.prog_fd = self.program.as_raw_fd();
            request.repeat = 1;
            request.data_in = frame.as_ptr().cast();
            request.data_size_in = u32::try_from(frame.len()).expect("a small number");
            let failed = bpf_sys::bpf_prog_test_run_xattr(&raw mut request);
            assert_eq!(failed, 0, "{}", io::Error::last_os_error());
            request.retval
        };
        match returned {
            0 => false,
            1 => true,
            other => panic!("{other} is no answer"),
        }
    }
}

/// Binds the thread to the CPU that it is on, and gives its number.
fn stay_on_this_cpu() -> usize {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).expect("the thread's CPUs");
    let allowed: Vec<usize> = (0..CpuSet::count())
        .filter(|&cpu| allowed.is_set(cpu).unwrap_or(false))
        .collect();
    // Threads that do so at the same time are not to share one.
    let thread = usize::try_from(nix::unistd::gettid().as_raw()).unwrap_or(0);
    let cpu = allowed[thread % allowed.len()];
    let mut only = CpuSet::new();
    only.set(cpu).expect("it was in a set");
    sched_setaffinity(this, &only).expect("to stay on one of them");
    cpu
}

fn is_occupied(slot: &Slot) -> bool {
    slot.entry.record.metrics.packets != 0
}

fn sum(counters: &[Counters; GENERATIONS]) -> Counters {
    let add = |a: Tally, b: Tally| Tally {
        packets: a.packets + b.packets,
        octets: a.octets + b.octets,
    };
    let [a, b] = counters;
    let mut dropped = a.dropped;
    for (tally, other) in dropped.iter_mut().zip(&b.dropped) {
        *tally = add(*tally, *other);
    }
    Counters {
        observed: add(a.observed, b.observed),
        frames: add(a.frames, b.frames),
        dropped,
    }
}

fn difference(now: Tally, before: Tally) -> Tally {
    Tally {
        packets: now.packets - before.packets,
        octets: now.octets - before.octets,
    }
}

/// A program that puts a VLAN tag beside the frame, as a network card does, and goes on to one of
/// ours. The mark of the packet says which tag and which program.
struct Tagging {
    program: OwnedFd,
    /// Where it finds ours.
    _programs: OwnedFd,
}

impl Tagging {
    fn place(ethernet: bool, direction: Direction) -> u32 {
        u32::from(ethernet) << 1 | u32::from(direction == Direction::Egress)
    }

    fn load(objects: &NetObjects) -> Self {
        // SAFETY: plain numbers, and keys and values of the map's sizes.
        let programs = unsafe {
            let map =
                bpf_sys::bpf_create_map(bpf_sys::bpf_map_type_BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4, 0);
            assert!(map >= 0, "a map: {}", io::Error::last_os_error());
            OwnedFd::from_raw_fd(map)
        };
        for ethernet in [false, true] {
            for direction in [Direction::Ingress, Direction::Egress] {
                let place = Self::place(ethernet, direction);
                let program = objects.programs.for_device(ethernet, direction).as_raw_fd();
                // SAFETY: a key and a value of the map's sizes.
                let failed = unsafe {
                    bpf_sys::bpf_map_update_elem(
                        programs.as_raw_fd(),
                        (&raw const place).cast(),
                        (&raw const program).cast(),
                        0,
                    )
                };
                assert_eq!(failed, 0, "{}", io::Error::last_os_error());
            }
        }
        Self {
            program: load(&Self::code(&programs)),
            _programs: programs,
        }
    }

    fn code(programs: &OwnedFd) -> Vec<u64> {
        const VLAN_PUSH: u32 = 18;
        const TAIL_CALL: u32 = 12;
        const MARK: u32 = 8;
        /// 802.1Q's, as it is in memory.
        const TPID: u32 = 0x0081;
        let map = programs.as_raw_fd().cast_unsigned();
        vec![
            instruction(0xbf, 6, 1, 0, 0),         // r6 = context
            instruction(0x61, 7, 1, MARK, 0),      // r7 = mark
            instruction(0xb7, 2, 0, 0, TPID),      // r2 = TPID
            instruction(0xbf, 3, 7, 0, 0),         // r3 = mark
            instruction(0x57, 3, 0, 0, 0xffff),    //      its TCI
            instruction(0x85, 0, 0, 0, VLAN_PUSH), // r0 = vlan_push(context, r2, r3)
            instruction(0x55, 0, 0, 7, 0),         // if it failed: out, with its errno
            instruction(0xbf, 1, 6, 0, 0),         // r1 = context
            instruction(0x18, 2, 1, 0, map),       // r2 = map
            instruction(0x00, 0, 0, 0, 0),         //
            instruction(0x77, 7, 0, 0, 16),        // r7 = mark's program
            instruction(0xbf, 3, 7, 0, 0),         // r3 = program
            instruction(0x85, 0, 0, 0, TAIL_CALL), // go on there
            instruction(0xb7, 0, 0, 0, 2),         // r0 = TC_ACT_SHOT: it is not there
            instruction(0x95, 0, 0, 0, 0),         // exit
        ]
    }
}

/// One `struct bpf_insn`.
fn instruction(code: u8, to: u8, from: u8, offset: u32, constant: u32) -> u64 {
    u64::from(code)
        | u64::from(to) << 8
        | u64::from(from) << 12
        | u64::from(offset) << 16
        | u64::from(constant) << 32
}

fn load(code: &[u64]) -> OwnedFd {
    const LICENSE: &CStr = c"GPL";
    let mut words = vec![0_i8; 1 << 22];
    // SAFETY: whole instructions; pointers that outlive the call.
    unsafe {
        let mut attr: bpf_sys::bpf_load_program_attr = mem::zeroed();
        attr.prog_type = bpf_sys::bpf_prog_type_BPF_PROG_TYPE_SCHED_CLS;
        attr.name = c"tagging".as_ptr();
        attr.insns = code.as_ptr().cast();
        attr.insns_cnt = code.len() as u64;
        attr.license = LICENSE.as_ptr();
        attr.log_level = 1;
        let fd = bpf_sys::bpf_load_program_xattr(
            &raw const attr,
            words.as_mut_ptr(),
            words.len() as u64,
        );
        let error = io::Error::last_os_error();
        let words = CStr::from_ptr(words.as_ptr()).to_string_lossy();
        assert!(fd >= 0, "{error}: {words}");
        OwnedFd::from_raw_fd(fd)
    }
}

/// A BPF array in memory. The kernel writes it only within [`Programs::run`], in the same thread.
struct Mapped<T> {
    base: *mut T,
    elements: usize,
    _elements: PhantomData<T>,
}

impl<T: Copy> Mapped<T> {
    fn new(map: &OwnedFd, elements: usize) -> Self {
        // SAFETY: a new shared mapping at a place of the kernel's choice.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                elements * size_of::<T>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        assert_ne!(address, libc::MAP_FAILED, "{}", io::Error::last_os_error());
        Self {
            base: address.cast(),
            elements,
            _elements: PhantomData,
        }
    }

    fn read(&self, index: usize) -> T {
        assert!(index < self.elements);
        // SAFETY: in bounds, and plain data of the ABI.
        unsafe { ptr::read_volatile(self.base.add(index)) }
    }

    fn write(&self, index: usize, value: T) {
        assert!(index < self.elements);
        // SAFETY: as in `read`.
        unsafe { ptr::write_volatile(self.base.add(index), value) }
    }

    fn change(&self, index: usize, change: impl FnOnce(&mut T)) {
        let mut value = self.read(index);
        change(&mut value);
        self.write(index, value);
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`; nothing refers into it any more.
        unsafe {
            libc::munmap(self.base.cast(), self.elements * size_of::<T>());
        }
    }
}
