//! Programs at the traffic control hooks, and what the kernel says of their cost.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const BPF_STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// The kernel's account of programs (`kernel.bpf_stats_enabled`), on until dropped.
#[derive(Debug)]
pub struct BpfStats {
    before: String,
}

impl BpfStats {
    /// Turns it on.
    pub fn on() -> io::Result<Self> {
        let before = fs::read_to_string(BPF_STATS)?;
        fs::write(BPF_STATS, "1")?;
        Ok(Self { before })
    }
}

impl Drop for BpfStats {
    fn drop(&mut self) {
        let _ = fs::write(BPF_STATS, self.before.trim());
    }
}

/// What a program has done since it was loaded, while the kernel kept account.
#[derive(Clone, Copy, Debug, Default)]
pub struct Account {
    /// How often it ran.
    pub runs: u64,
    /// Nanoseconds in all.
    pub nanoseconds: u64,
}

impl Account {
    /// Of the program with this descriptor.
    pub fn of(program: &impl AsRawFd) -> io::Result<Self> {
        // SAFETY: all zero is a valid request; the kernel fills what fits.
        unsafe {
            let mut info: bpf_sys::bpf_prog_info = mem::zeroed();
            let mut octets = u32::try_from(mem::size_of_val(&info)).expect("a small type");
            let failed = bpf_sys::bpf_obj_get_info_by_fd(
                program.as_raw_fd(),
                (&raw mut info).cast(),
                &raw mut octets,
            );
            if failed != 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Self {
                runs: info.run_cnt,
                nanoseconds: info.run_time_ns,
            })
        }
    }

    /// Nanoseconds per run.
    #[allow(clippy::cast_precision_loss, reason = "a figure to read")]
    pub fn per_run(&self) -> f64 {
        self.nanoseconds as f64 / self.runs.max(1) as f64
    }
}

/// `r0 = -1; exit`: `TC_ACT_UNSPEC` and nothing else.
pub fn load_empty() -> OwnedFd {
    const CODE: [u8; 16] = [
        0xb7, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x95, 0, 0, 0, 0, 0, 0, 0,
    ];
    const LICENSE: &CStr = c"GPL";
    // SAFETY: two whole instructions; pointers that outlive the call.
    unsafe {
        let mut attr: bpf_sys::bpf_load_program_attr = mem::zeroed();
        attr.prog_type = bpf_sys::bpf_prog_type_BPF_PROG_TYPE_SCHED_CLS;
        attr.name = c"empty".as_ptr();
        attr.insns = CODE.as_ptr().cast();
        attr.insns_cnt = 2;
        attr.license = LICENSE.as_ptr();
        let fd = bpf_sys::bpf_load_program_xattr(&raw const attr, std::ptr::null_mut(), 0);
        assert!(fd >= 0, "the empty program loads");
        OwnedFd::from_raw_fd(fd)
    }
}

/// Attaches a program at the device's ingress by TCX, until the descriptor is closed.
pub fn attach_tcx(program: &OwnedFd, if_index: u32) -> OwnedFd {
    const BPF_TCX_INGRESS: u32 = 46;
    // SAFETY: plain numbers.
    unsafe {
        let fd = bpf_sys::bpf_link_create(
            program.as_raw_fd(),
            if_index.cast_signed(),
            BPF_TCX_INGRESS,
            std::ptr::null(),
        );
        assert!(fd >= 0, "TCX takes it");
        OwnedFd::from_raw_fd(fd)
    }
}
