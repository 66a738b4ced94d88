//! The system calls: one safe function for each, over `bpf-sys` (libbpf) and `libc`.
//!
//! With [`mapped`](super::mapped) the only unsafe code of the exporter.

use super::error::Error;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// `attach_type` of TCX programs (`enum bpf_attach_type`, Linux 6.6).
const BPF_TCX_INGRESS: u32 = 46;
const BPF_TCX_EGRESS: u32 = 47;
/// Attach before all others.
const BPF_F_BEFORE: u32 = 1 << 3;
/// Of an array that can be mapped.
pub const BPF_F_MMAPABLE: u32 = 1 << 10;
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;

/// Which way packets go past a program.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Direction {
    /// Into the host.
    Ingress,
    /// Out of the host.
    Egress,
}

/// The place of a filter on a clsact hook.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcPlace {
    /// Order among the filters; the lowest comes first.
    pub priority: u32,
    /// Tells apart the filters of one priority: an instance of ebpfix has its own.
    pub handle: u32,
}

/// Priorities that are tried, the first before others.
const TC_PRIORITIES: std::ops::RangeInclusive<u32> = 1..=64;
/// How the names of our programs begin (the kernel keeps 15 characters).
const OUR_PROGRAMS: [&str; 2] = ["ingress_flow_pa", "egress_flow_par"];

/// Opens a pinned object.
pub fn open_pinned(path: &Path) -> Result<OwnedFd, Error> {
    let c_path = c_string(path.as_os_str().as_bytes());
    // SAFETY: a NUL-terminated path that outlives the call.
    let fd = unsafe { bpf_sys::bpf_obj_get(c_path.as_ptr()) };
    owned(fd, || format!("opening {}", path.display()))
}

/// Pins an object to a path on a BPF file system.
pub fn pin(object: &OwnedFd, path: &Path) -> io::Result<()> {
    let c_path = c_string(path.as_os_str().as_bytes());
    // SAFETY: a NUL-terminated path that outlives the call.
    let failed = unsafe { bpf_sys::bpf_obj_pin(object.as_raw_fd(), c_path.as_ptr()) };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// What a map is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapShape {
    /// The kernel's number of the map.
    pub id: u32,
    /// Whether it is an array that can be mapped.
    pub mappable_array: bool,
    /// Octets of an element.
    pub value_octets: u32,
    /// Elements.
    pub entries: u32,
}

/// Asks what a map is like.
pub fn map_shape(map: &OwnedFd) -> io::Result<MapShape> {
    // SAFETY: all zero is a valid `bpf_map_info`; room for the answer, and its size.
    let info = unsafe {
        let mut info: bpf_sys::bpf_map_info = mem::zeroed();
        let mut octets = u32::try_from(mem::size_of_val(&info)).unwrap_or(0);
        let failed = bpf_sys::bpf_obj_get_info_by_fd(
            map.as_raw_fd(),
            (&raw mut info).cast(),
            &raw mut octets,
        );
        if failed != 0 {
            return Err(io::Error::last_os_error());
        }
        info
    };
    Ok(MapShape {
        id: info.id,
        mappable_array: info.type_ == bpf_sys::bpf_map_type_BPF_MAP_TYPE_ARRAY
            && info.key_size == 4
            && info.map_flags == BPF_F_MMAPABLE,
        value_octets: info.value_size,
        entries: info.max_entries,
    })
}

/// Creates an array of one element that can be mapped.
pub fn create_page(name: &CStr, octets: usize) -> Result<OwnedFd, Error> {
    let octets = libc::c_int::try_from(octets).unwrap_or(libc::c_int::MAX);
    // SAFETY: a NUL-terminated name that outlives the call, and plain numbers.
    let fd = unsafe {
        bpf_sys::bpf_create_map_name(
            bpf_sys::bpf_map_type_BPF_MAP_TYPE_ARRAY,
            name.as_ptr(),
            4,
            octets,
            1,
            BPF_F_MMAPABLE,
        )
    };
    owned(fd, || "creating a BPF map".to_owned())
}

/// Whether `path` (or its nearest existing ancestor) is on a BPF file system.
pub fn on_bpf_file_system(path: &Path) -> bool {
    let Some(existing) = path.ancestors().find(|p| p.exists()) else {
        return false;
    };
    let c_path = c_string(existing.as_os_str().as_bytes());
    let mut stat = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: a NUL-terminated path and room for the answer; all zero is a valid `statfs`.
    unsafe {
        libc::statfs(c_path.as_ptr(), stat.as_mut_ptr()) == 0
            && stat.assume_init().f_type == BPF_FS_MAGIC
    }
}

/// Loads a program for the traffic control hooks.
///
/// `instructions` are whole `bpf_insn`s, their maps already in place.
pub fn load_sched_cls(name: &str, instructions: &[u8], license: &CStr) -> Result<OwnedFd, Error> {
    let c_name = c_string(name.as_bytes());
    // The verifier's words are asked for only after a refusal: a log that does not fit its buffer
    // would itself be one.
    let mut log = Vec::new();
    let first = load(&c_name, instructions, license, &mut log);
    let error = match first {
        Ok(fd) => return Ok(fd),
        Err(error) => error,
    };
    if matches!(error.raw_os_error(), Some(libc::EPERM)) {
        return Err(Error::os(format!("loading the program {name}"), error));
    }
    log.resize(16 << 20, 0);
    if let Ok(fd) = load(&c_name, instructions, license, &mut log) {
        return Ok(fd);
    }
    let text = CStr::from_bytes_until_nul(&log)
        .map(|text| text.to_string_lossy().into_owned())
        .unwrap_or_default();
    tracing::debug!(program = name, "verifier log:\n{text}");
    let mut lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("processed ") && !line.is_empty())
        .collect();
    let last = lines.split_off(lines.len().saturating_sub(2)).join("; ");
    Err(Error::Verifier {
        program: name.to_owned(),
        summary: if last.is_empty() {
            error.to_string()
        } else {
            format!("{error}: {last}")
        },
    })
}

fn load(name: &CStr, instructions: &[u8], license: &CStr, log: &mut [u8]) -> io::Result<OwnedFd> {
    // SAFETY: all zero is a valid attribute; the pointers outlive the call; the count is that of
    // whole instructions in the slice, which the kernel copies.
    let fd = unsafe {
        let mut attr: bpf_sys::bpf_load_program_attr = mem::zeroed();
        attr.prog_type = bpf_sys::bpf_prog_type_BPF_PROG_TYPE_SCHED_CLS;
        attr.name = name.as_ptr();
        attr.insns = instructions.as_ptr().cast();
        attr.insns_cnt = (instructions.len() / mem::size_of::<bpf_sys::bpf_insn>()) as u64;
        attr.license = license.as_ptr();
        attr.log_level = u32::from(!log.is_empty());
        let (buffer, octets) = if log.is_empty() {
            (ptr::null_mut(), 0)
        } else {
            (log.as_mut_ptr().cast(), log.len() as u64)
        };
        bpf_sys::bpf_load_program_xattr(&raw const attr, buffer, octets)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Runs a program once on a frame (`BPF_PROG_TEST_RUN`), and returns the frame as the program left
/// it.
pub fn run_once<const N: usize>(program: &OwnedFd, frame: [u8; N]) -> io::Result<[u8; N]> {
    let mut out = [0; N];
    // SAFETY: all zero is a valid attribute; lengths are those of the arrays, which outlive the call.
    let failed = unsafe {
        let mut attr: bpf_sys::bpf_prog_test_run_attr = mem::zeroed();
        attr.prog_fd = program.as_raw_fd();
        attr.repeat = 1;
        attr.data_in = frame.as_ptr().cast();
        attr.data_size_in = u32::try_from(N).unwrap_or(0);
        attr.data_out = out.as_mut_ptr().cast();
        attr.data_size_out = attr.data_size_in;
        bpf_sys::bpf_prog_test_run_xattr(&raw mut attr)
    };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(out)
}

/// Attaches a program by TCX, before the others. It stays as long as the descriptor that is
/// returned (or a pin of it).
pub fn attach_tcx(program: &OwnedFd, if_index: u32, direction: Direction) -> io::Result<OwnedFd> {
    let attach_type = match direction {
        Direction::Ingress => BPF_TCX_INGRESS,
        Direction::Egress => BPF_TCX_EGRESS,
    };
    let target =
        RawFd::try_from(if_index).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    // SAFETY: all zero but for size and flags is a valid set of options.
    let fd = unsafe {
        let mut options: bpf_sys::bpf_link_create_opts = mem::zeroed();
        options.sz = mem::size_of::<bpf_sys::bpf_link_create_opts>() as u64;
        options.flags = BPF_F_BEFORE;
        bpf_sys::bpf_link_create(program.as_raw_fd(), target, attach_type, &raw const options)
    };
    if fd < 0 {
        return Err(last_or(-fd));
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Puts another program in the place of a TCX link's, between two packets.
pub fn update_tcx(link: &OwnedFd, program: &OwnedFd) -> io::Result<()> {
    // SAFETY: descriptors that outlive the call; no options.
    let result =
        unsafe { bpf_sys::bpf_link_update(link.as_raw_fd(), program.as_raw_fd(), ptr::null()) };
    if result < 0 {
        return Err(last_or(-result));
    }
    Ok(())
}

/// The device that a TCX link is attached to; `None` when somebody detached it, or the device left
/// this network namespace: the link then exists, and its program never runs.
pub fn tcx_device(link: &OwnedFd) -> io::Result<Option<u32>> {
    /// The kernel's `struct bpf_link_info` up to what is wanted here.
    #[repr(C)]
    #[derive(Default)]
    struct LinkInfo {
        kind: u32,
        id: u32,
        program: u32,
        padding: u32,
        if_index: u32,
        attach_type: u32,
    }
    let mut info = LinkInfo::default();
    let mut octets = u32::try_from(mem::size_of_val(&info)).unwrap_or(0);
    // SAFETY: room for the answer, and its size; the kernel writes no more.
    let failed = unsafe {
        bpf_sys::bpf_obj_get_info_by_fd(link.as_raw_fd(), (&raw mut info).cast(), &raw mut octets)
    };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((info.if_index != 0).then_some(info.if_index))
}

/// Attaches a program as a filter on the device's clsact qdisc, creating the qdisc where there is
/// none, replacing the filter where this instance (that is, this `handle`) left one. Returns the
/// place that it has.
///
/// Filters of other kinds own their priority, so that the first is taken where ours can be; that of
/// `known`, a place and the program there that is known to be ours, before all others.
pub fn attach_clsact(
    program: &OwnedFd,
    if_index: u32,
    direction: Direction,
    handle: u32,
    known: Option<(TcPlace, u32)>,
) -> io::Result<TcPlace> {
    let mut hook = hook(if_index, direction)?;
    // SAFETY: a valid hook that outlives the call.
    let created = unsafe { bpf_sys::bpf_tc_hook_create(&raw mut hook) };
    if created < 0 && created != -libc::EEXIST {
        return Err(io::Error::from_raw_os_error(-created));
    }
    let mut last = io::Error::from_raw_os_error(libc::EEXIST);
    let others = TC_PRIORITIES.map(|priority| TcPlace { priority, handle });
    let (known, known_program) = known.unzip();
    for place in known.into_iter().chain(others) {
        let resident = clsact_program(if_index, direction, place)?;
        if resident.is_some_and(|id| known_program != Some(id) && !is_ours(id)) {
            continue;
        }
        let mut options = options(place);
        options.prog_fd = program.as_raw_fd();
        options.flags = bpf_sys::bpf_tc_flags_BPF_TC_F_REPLACE;
        // SAFETY: a valid hook and options that outlive the call.
        let attached = unsafe { bpf_sys::bpf_tc_attach(&raw const hook, &raw mut options) };
        if attached == 0 {
            return Ok(place);
        }
        last = io::Error::from_raw_os_error(-attached);
        // What the kernel says of a priority that another kind of filter has.
        if !matches!(-attached, libc::EINVAL | libc::EEXIST) {
            break;
        }
    }
    Err(last)
}

/// The filters of ours under this handle on the device's clsact qdisc.
pub fn clsact_leftovers(if_index: u32, direction: Direction, handle: u32) -> Vec<TcPlace> {
    TC_PRIORITIES
        .map(|priority| TcPlace { priority, handle })
        .filter(|place| {
            let resident = clsact_program(if_index, direction, *place);
            resident.is_ok_and(|program| program.is_some_and(is_ours))
        })
        .collect()
}

/// Identifier of the program in a place on the device's clsact qdisc, if there is one.
///
/// # Errors
/// Where the kernel cannot be asked, for want of a descriptor for one: that says nothing of the
/// place.
pub fn clsact_program(
    if_index: u32,
    direction: Direction,
    place: TcPlace,
) -> io::Result<Option<u32>> {
    let hook = hook(if_index, direction)?;
    let mut options = options(place);
    // SAFETY: a valid hook and options that outlive the call.
    let failed = unsafe { bpf_sys::bpf_tc_query(&raw const hook, &raw mut options) };
    match -failed {
        0 => Ok(Some(options.prog_id)),
        // No filter; no qdisc, or a filter of another kind; no device.
        libc::ENOENT | libc::EINVAL | libc::ENODEV => Ok(None),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Takes the filter in a place off the device's clsact qdisc; the qdisc stays, others may use it.
pub fn detach_clsact(if_index: u32, direction: Direction, place: TcPlace) -> io::Result<()> {
    let hook = hook(if_index, direction)?;
    let options = options(place);
    // SAFETY: as above.
    let result = unsafe { bpf_sys::bpf_tc_detach(&raw const hook, &raw const options) };
    if result < 0 {
        return Err(io::Error::from_raw_os_error(-result));
    }
    Ok(())
}

/// Whether a loaded program, attached under our handle, is one of ebpfix's.
pub fn is_ours(program_id: u32) -> bool {
    // SAFETY: a plain number.
    let fd = unsafe { bpf_sys::bpf_prog_get_fd_by_id(program_id) };
    let program = match owned(fd, String::new) {
        Ok(program) => program,
        // To look into any program takes CAP_SYS_ADMIN. The handle alone then has to tell: nobody
        // else has one of 32 bits made from our name.
        Err(Error::Privilege { .. }) => return true,
        Err(_) => return false,
    };
    program_info(&program).is_ok_and(|info| {
        // SAFETY: the kernel ends the name with NUL.
        let name = unsafe { CStr::from_ptr(info.name.as_ptr()) };
        OUR_PROGRAMS
            .iter()
            .any(|ours| ours.as_bytes() == name.to_bytes())
    })
}

/// Whether a program of this name is one of ebpfix's.
pub fn is_ours_by_name(name: &[u8]) -> bool {
    OUR_PROGRAMS.iter().any(|ours| ours.as_bytes() == name)
}

/// The name of a loaded program.
pub fn program_name(id: u32) -> io::Result<String> {
    // SAFETY: a plain number; the descriptor that comes back is nobody else's.
    let program = unsafe {
        let fd = bpf_sys::bpf_prog_get_fd_by_id(id);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    let info = program_info(&program)?;
    // SAFETY: the kernel ends the name with NUL.
    let name = unsafe { CStr::from_ptr(info.name.as_ptr()) };
    Ok(name.to_string_lossy().into_owned())
}

/// Identifiers of the TCX programs on a device, in the order in which they run.
pub fn query_tcx(if_index: u32, direction: Direction) -> io::Result<Vec<u32>> {
    const MOST: u32 = 64;
    let kind = match direction {
        Direction::Ingress => BPF_TCX_INGRESS,
        Direction::Egress => BPF_TCX_EGRESS,
    };
    let mut ids = [0_u32; MOST as usize];
    let mut count = MOST;
    // SAFETY: room for as many identifiers as `count` says; of a TCX hook the target is the device's
    // index.
    let failed = unsafe {
        bpf_sys::bpf_prog_query(
            if_index.cast_signed(),
            kind,
            0,
            ptr::null_mut(),
            ids.as_mut_ptr(),
            &raw mut count,
        )
    };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(ids.into_iter().take(count as usize).collect())
}

/// Asks a device's driver (`SIOCETHTOOL`). The command is the first word of `request`, and the answer
/// takes its place.
///
/// The command decides how much is written: the caller has to give a command that writes no more
/// than `request` has room for, which is why this is for [`super::inspect`] alone.
pub(super) fn ethtool(name: &str, request: &mut [u32]) -> io::Result<()> {
    const SIOCETHTOOL: u32 = 0x8946;
    let socket = std::net::UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    // SAFETY: all zero is a valid `ifreq`.
    let mut asked: libc::ifreq = unsafe { mem::zeroed() };
    let room = asked.ifr_name.len() - 1;
    if name.len() > room {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    for (to, from) in asked.ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    asked.ifr_ifru.ifru_data = request.as_mut_ptr().cast();
    // SAFETY: a name that ends with NUL, and a buffer that outlives the call.
    let failed = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL.into(), &raw mut asked) };
    if failed < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Tells when something is mounted or unmounted.
pub struct MountTable(AsyncFd<File>);

impl MountTable {
    const CHANGE: Interest = Interest::PRIORITY.add(Interest::ERROR);

    /// That of this process's mount namespace. Needs a tokio runtime.
    pub fn open() -> io::Result<Self> {
        let table = File::open("/proc/self/mountinfo")?;
        // SAFETY: the file owns its descriptor, which stays the same and open until the file is
        // dropped with what is made here.
        let table = unsafe { AsyncFd::register_with_interest(table, Self::CHANGE)? };
        Ok(Self(table))
    }

    /// Waits for the next change.
    pub async fn changed(&self) -> io::Result<()> {
        self.0.ready(Self::CHANGE).await?.clear_ready();
        Ok(())
    }
}

/// Whether something keeps the clock right; `None` where the system does not tell.
pub fn clock_is_synchronised() -> Option<bool> {
    let mut state = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: all zero is a valid request that changes nothing, and there is room for the answer.
    let (result, state) = unsafe { (libc::adjtimex(state.as_mut_ptr()), state.assume_init()) };
    (result >= 0).then_some(result != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0)
}

/// Identifier of a loaded program.
pub fn program_id(program: &OwnedFd) -> io::Result<u32> {
    program_info(program).map(|info| info.id)
}

fn program_info(program: &OwnedFd) -> io::Result<bpf_sys::bpf_prog_info> {
    // SAFETY: all zero is a valid `bpf_prog_info`: no arrays are asked for.
    unsafe {
        let mut info: bpf_sys::bpf_prog_info = mem::zeroed();
        let mut octets = u32::try_from(mem::size_of_val(&info)).unwrap_or(0);
        let failed = bpf_sys::bpf_obj_get_info_by_fd(
            program.as_raw_fd(),
            (&raw mut info).cast(),
            &raw mut octets,
        );
        if failed != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(info)
    }
}

/// Waits until every program that runs at the time of the call has ended.
///
/// The kernel waits for a grace period of RCU before it returns from the update of a map of maps
/// (`maybe_wait_bpf_programs`), so that a program never sees an element that is being replaced.
/// That wait is all that this map is for.
pub struct GracePeriod {
    outer: OwnedFd,
    inner: OwnedFd,
}

impl GracePeriod {
    /// Creates the two maps.
    pub fn new() -> Result<Self, Error> {
        // SAFETY: plain numbers; a descriptor that outlives the call.
        unsafe {
            let inner =
                bpf_sys::bpf_create_map(bpf_sys::bpf_map_type_BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0);
            let inner = owned(inner, || "creating a BPF map".to_owned())?;
            let outer = bpf_sys::bpf_create_map_in_map(
                bpf_sys::bpf_map_type_BPF_MAP_TYPE_ARRAY_OF_MAPS,
                c"grace_period".as_ptr(),
                4,
                inner.as_raw_fd(),
                1,
                0,
            );
            let outer = owned(outer, || "creating a BPF map of maps".to_owned())?;
            Ok(Self { outer, inner })
        }
    }

    /// Waits. Under load this takes tens of milliseconds.
    pub fn wait(&self) -> io::Result<()> {
        let key = 0u32;
        let value = self.inner.as_raw_fd();
        // SAFETY: pointers to a key and a value of the map's sizes.
        let failed = unsafe {
            bpf_sys::bpf_map_update_elem(
                self.outer.as_raw_fd(),
                (&raw const key).cast(),
                (&raw const value).cast(),
                0,
            )
        };
        if failed != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

/// MTU of the path that a connected datagram socket takes, as far as the kernel knows it.
pub fn path_mtu(socket: &impl AsRawFd, ipv6: bool) -> Option<u16> {
    let (level, name) = if ipv6 {
        (libc::IPPROTO_IPV6, libc::IPV6_MTU)
    } else {
        (libc::IPPROTO_IP, libc::IP_MTU)
    };
    let mut mtu: libc::c_int = 0;
    let mut octets = libc::socklen_t::try_from(mem::size_of_val(&mtu)).unwrap_or(0);
    // SAFETY: room for the answer, and its size.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw mut mtu).cast(),
            &raw mut octets,
        )
    };
    // Loopback's is beyond what 16 bits hold.
    (failed == 0 && mtu > 0).then(|| u16::try_from(mtu).unwrap_or(u16::MAX))
}

/// Octets that a connected TCP socket was given and the other host has not acknowledged; the end of the
/// stream, once it was sent, counts as one. `None` where the kernel does not say.
pub fn unacknowledged(socket: &impl AsRawFd) -> Option<u64> {
    let mut octets: libc::c_int = 0;
    // SAFETY: SIOCOUTQ (tcp(7)) stores an int, for which there is room.
    let failed = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut octets) };
    if failed != 0 {
        return None;
    }
    u64::try_from(octets).ok()
}

/// The boot clock in nanoseconds: what the programs stamp packets with.
pub fn boot_clock_ns() -> u64 {
    clock_ns(libc::CLOCK_BOOTTIME)
}

/// How far the boot clock is ahead of the monotonic one, in nanoseconds: the time spent in suspend.
pub fn boot_offset_ns() -> u64 {
    // Read in this order the difference is never too small, and too large by what the call takes.
    let monotonic = clock_ns(libc::CLOCK_MONOTONIC);
    boot_clock_ns().saturating_sub(monotonic)
}

/// The monotonic clock at the kernel's last tick, nanoseconds.
pub fn monotonic_at_last_tick_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC_COARSE)
}

/// Nanoseconds from one of the kernel's ticks to the next.
pub fn tick_ns() -> u64 {
    let mut time = NO_TIME;
    // SAFETY: room for the answer. The call cannot fail for a clock that exists since Linux 2.6.32.
    unsafe {
        libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &raw mut time);
    }
    in_ns(time)
}

const NO_TIME: libc::timespec = libc::timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = NO_TIME;
    // SAFETY: room for the answer. The call cannot fail for a clock that exists since Linux 2.6.39.
    unsafe {
        libc::clock_gettime(clock, &raw mut time);
    }
    in_ns(time)
}

fn in_ns(time: libc::timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds)
}

/// Lets this process have as many descriptors as it may: those of a TCX link at each hook of a
/// thousand interfaces are more than what is usual at first. Where it fails, nothing changes.
pub fn raise_descriptor_limit() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: room for the answer, and a limit that was valid before but for its lower half.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// The user that this process runs as.
pub fn user() -> u32 {
    // SAFETY: no arguments, and it cannot fail.
    unsafe { libc::geteuid() }
}

/// What `uname -r` says.
pub fn kernel_release() -> String {
    let mut names = MaybeUninit::<libc::utsname>::zeroed();
    // SAFETY: room for the answer, which ends with NUL; all zero is valid.
    unsafe {
        libc::uname(names.as_mut_ptr());
        CStr::from_ptr(names.assume_init_ref().release.as_ptr())
            .to_string_lossy()
            .into_owned()
    }
}

/// Major and minor number of a kernel release, if it begins with them.
pub fn version_of(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse::<u32>().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Keeps libbpf from writing to stderr by itself: its errors reach the caller anyway.
pub fn silence_libbpf() {
    // SAFETY: no function means no output.
    unsafe {
        bpf_sys::libbpf_set_print(None);
    }
}

fn hook(if_index: u32, direction: Direction) -> io::Result<bpf_sys::bpf_tc_hook> {
    // SAFETY: all zero is a valid hook.
    let mut hook: bpf_sys::bpf_tc_hook = unsafe { mem::zeroed() };
    hook.sz = mem::size_of::<bpf_sys::bpf_tc_hook>() as u64;
    hook.ifindex =
        i32::try_from(if_index).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    hook.attach_point = match direction {
        Direction::Ingress => bpf_sys::bpf_tc_attach_point_BPF_TC_INGRESS,
        Direction::Egress => bpf_sys::bpf_tc_attach_point_BPF_TC_EGRESS,
    };
    Ok(hook)
}

fn options(place: TcPlace) -> bpf_sys::bpf_tc_opts {
    // SAFETY: all zero is a valid set of options.
    let mut options: bpf_sys::bpf_tc_opts = unsafe { mem::zeroed() };
    options.sz = mem::size_of::<bpf_sys::bpf_tc_opts>() as u64;
    options.handle = place.handle;
    options.priority = place.priority;
    options
}

fn owned(fd: RawFd, what: impl FnOnce() -> String) -> Result<OwnedFd, Error> {
    if fd < 0 {
        return Err(Error::os(what(), last_or(-fd)));
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// libbpf answers -1 with `errno` set, or `-errno`, by function and version.
fn last_or(errno: i32) -> io::Error {
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(0) => io::Error::from_raw_os_error(errno),
        error => error,
    }
}

/// A path or name without NUL; what follows one is cut, as the kernel would.
fn c_string(octets: &[u8]) -> CString {
    let end = octets
        .iter()
        .position(|&octet| octet == 0)
        .unwrap_or(octets.len());
    CString::new(&octets[..end]).unwrap_or_default()
}
