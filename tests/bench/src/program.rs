//! Programs at the traffic control hooks, and what the kernel says of their cost.

use std::fs;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use ebpfix::observe::Direction;

use crate::assembly::{EXIT, Kind, call, load, set};

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

    /// What was added since an earlier account of the same programs.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            runs: self.runs - before.runs,
            nanoseconds: self.nanoseconds - before.nanoseconds,
        }
    }

    /// Nanoseconds per run.
    #[allow(clippy::cast_precision_loss, reason = "a figure to read")]
    pub fn per_run(&self) -> f64 {
        self.nanoseconds as f64 / self.runs.max(1) as f64
    }
}

/// `TC_ACT_UNSPEC` and nothing else.
pub fn load_empty() -> OwnedFd {
    load(Kind::SchedCls, c"empty", &[set(0, -1), EXIT]).expect("the empty program loads")
}

/// Sends every packet on: out by another device, or into it (`BPF_F_INGRESS`).
pub fn load_redirect(if_index: u32, direction: Direction) -> OwnedFd {
    const BPF_REDIRECT: i32 = 23;
    const BPF_F_INGRESS: i32 = 1;
    let flags = match direction {
        Direction::Ingress => BPF_F_INGRESS,
        Direction::Egress => 0,
    };
    let code = [
        set(1, if_index.cast_signed()),
        set(2, flags),
        call(BPF_REDIRECT),
        EXIT,
    ];
    load(Kind::SchedCls, c"redirect", &code).expect("the redirecting program loads")
}

/// Attaches a program to a device by TCX, until the descriptor is closed.
pub fn attach_tcx(program: &OwnedFd, if_index: u32, direction: Direction) -> OwnedFd {
    const BPF_TCX_INGRESS: u32 = 46;
    const BPF_TCX_EGRESS: u32 = 47;
    let hook = match direction {
        Direction::Ingress => BPF_TCX_INGRESS,
        Direction::Egress => BPF_TCX_EGRESS,
    };
    // SAFETY: plain numbers.
    unsafe {
        let fd = bpf_sys::bpf_link_create(
            program.as_raw_fd(),
            if_index.cast_signed(),
            hook,
            std::ptr::null(),
        );
        assert!(fd >= 0, "TCX takes it: {}", io::Error::last_os_error());
        OwnedFd::from_raw_fd(fd)
    }
}
