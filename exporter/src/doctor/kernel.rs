//! The kernel and what this process may do with it.

use std::fs;

use super::Finding;
use crate::config::{Attach, Config};
use crate::observe::inspect;

const KERNEL: &str = "kernel";
const PRIVILEGES: &str = "privileges";

/// The oldest kernel, which has ring buffers (5.8) and batch operations (5.6), and the first with TCX.
const OLDEST: (u32, u32) = (5, 10);
const TCX: (u32, u32) = (6, 6);
/// From here on BPF's memory is accounted to the control group and not to the memlock limit.
const NO_MEMLOCK: (u32, u32) = (5, 11);

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let read = |path: &str| fs::read_to_string(path).ok();
    let (release, kernel) = inspect::kernel();
    let mut findings = version(&release, kernel, config.observation.attach);
    findings.push(jit(read("/proc/sys/net/core/bpf_jit_enable").as_deref()));
    let btf = std::path::Path::new("/sys/kernel/btf/vmlinux").exists();
    findings.extend(not_needed(kernel, btf));
    findings.extend(unprivileged(
        read("/proc/sys/kernel/unprivileged_bpf_disabled").as_deref(),
    ));
    findings.extend(lockdown(read("/sys/kernel/security/lockdown").as_deref()));
    findings.extend(real_time(read("/sys/kernel/realtime").as_deref()));
    let status = read("/proc/self/status").unwrap_or_default();
    let privileges = Privileges::of(&status);
    findings.extend(capabilities(privileges));
    findings.push(match inspect::can_map_arrays() {
        Ok(()) => Finding::ok(KERNEL, "makes arrays that can be mapped"),
        Err(error) if !privileges.is_some_and(Privileges::suffice) => Finding::unknown(
            KERNEL,
            format!("whether it makes arrays that can be mapped: {error}"),
        )
        .advised("run ebpfix doctor as root"),
        Err(error) => Finding::problem(
            KERNEL,
            format!("makes no arrays that can be mapped: {error}"),
            "CONFIG_BPF_SYSCALL is needed, and enough locked memory (ulimit -l)",
        ),
    });
    findings.extend(memlock(
        &read("/proc/self/limits").unwrap_or_default(),
        kernel,
    ));
    findings
}

pub(super) fn version(release: &str, version: Option<(u32, u32)>, attach: Attach) -> Vec<Finding> {
    let Some(version) = version else {
        let text = format!("its version cannot be told from {release}");
        return vec![Finding::unknown(KERNEL, text)];
    };
    if version < OLDEST {
        let text = format!("Linux {release} is older than 5.10");
        let advice = "a kernel of 5.10 or newer is needed";
        return vec![Finding::problem(KERNEL, text, advice)];
    }
    let text = |how: &str| format!("Linux {release}: {how}");
    vec![match (version >= TCX, attach) {
        (true, Attach::Auto | Attach::Tcx) => {
            Finding::ok(KERNEL, text("programs are attached by TCX"))
        }
        (_, Attach::Clsact) | (false, Attach::Auto) => Finding::ok(
            KERNEL,
            text("programs are attached as filters on the clsact qdisc"),
        ),
        (false, Attach::Tcx) => Finding::problem(
            KERNEL,
            text("it has no TCX, which observation.attach asks for"),
            "say attach = \"auto\", or use Linux 6.6 or newer",
        ),
    }]
}

pub(super) fn jit(enabled: Option<&str>) -> Finding {
    match enabled.map(str::trim) {
        Some("0") => Finding::warning(
            KERNEL,
            "BPF programs are interpreted, not compiled: each packet costs many times more",
            "sysctl -w net.core.bpf_jit_enable=1",
        ),
        Some(_) => Finding::ok(KERNEL, "BPF programs are compiled (JIT)"),
        None => Finding::unknown(KERNEL, "whether BPF programs are compiled (JIT)"),
    }
}

/// What operators look for because other programs need it. Of an older kernel something worse is said.
pub(super) fn not_needed(version: Option<(u32, u32)>, btf: bool) -> Option<Finding> {
    version.filter(|version| *version >= OLDEST)?;
    let types = if btf { "its types" } else { "not its types" };
    Some(Finding::info(
        KERNEL,
        format!(
            "it has BPF ring buffers and batch operations, and tells {types} (BTF); ebpfix needs none of these"
        ),
    ))
}

pub(super) fn unprivileged(disabled: Option<&str>) -> Option<Finding> {
    Some(match disabled?.trim() {
        "0" => Finding::warning(
            KERNEL,
            "anybody on this host may load BPF programs (kernel.unprivileged_bpf_disabled is 0)",
            "ebpfix does not need that: sysctl -w kernel.unprivileged_bpf_disabled=2",
        ),
        _ => Finding::ok(KERNEL, "only the privileged may load BPF programs"),
    })
}

pub(super) fn lockdown(state: Option<&str>) -> Option<Finding> {
    // The one in force stands in brackets.
    let state = state?.split('[').nth(1)?.split(']').next()?;
    Some(match state {
        "confidentiality" => Finding::warning(
            KERNEL,
            "locked down (confidentiality): it may refuse what BPF programs do",
            "if ebpfix run says so, boot with lockdown=integrity",
        ),
        "none" => Finding::ok(KERNEL, "not locked down"),
        other => Finding::ok(
            KERNEL,
            format!("locked down ({other}), which does not matter"),
        ),
    })
}

pub(super) fn real_time(state: Option<&str>) -> Option<Finding> {
    (state?.trim() == "1").then(|| {
        Finding::problem(
            KERNEL,
            "it is a PREEMPT_RT kernel: counts could be wrong",
            "use a kernel without PREEMPT_RT",
        )
    })
}

/// Effective capabilities.
#[derive(Clone, Copy, Debug)]
pub(super) struct Privileges(u64);

impl Privileges {
    const NET_ADMIN: u32 = 12;
    const SYS_ADMIN: u32 = 21;
    const BPF: u32 = 39;

    /// Of `/proc/self/status`.
    pub(super) fn of(status: &str) -> Option<Self> {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:"))?;
        u64::from_str_radix(line.trim(), 16).ok().map(Self)
    }

    fn has(self, capability: u32) -> bool {
        self.0 >> capability & 1 == 1
    }

    /// Whether they suffice to load programs and to attach them.
    fn suffice(self) -> bool {
        self.has(Self::SYS_ADMIN) || self.has(Self::BPF) && self.has(Self::NET_ADMIN)
    }
}

pub(super) fn capabilities(privileges: Option<Privileges>) -> Option<Finding> {
    let privileges = privileges?;
    if privileges.has(Privileges::SYS_ADMIN) && privileges.has(Privileges::NET_ADMIN) {
        return Some(Finding::ok(PRIVILEGES, "those that ebpfix run needs"));
    }
    Some(if privileges.suffice() {
        Finding::ok(
            PRIVILEGES,
            "those that ebpfix run needs, but for CAP_SYS_ADMIN: programs of others cannot be looked at",
        )
    } else {
        Finding::unknown(
            PRIVILEGES,
            "ebpfix run needs CAP_NET_ADMIN and CAP_BPF or CAP_SYS_ADMIN, which this process does \
             not have: some things cannot be looked at",
        )
        .advised("run ebpfix doctor as root")
    })
}

/// The limit of locked memory, where BPF's memory counts as that.
pub(super) fn memlock(limits: &str, version: Option<(u32, u32)>) -> Option<Finding> {
    const NEEDED: u64 = 64 << 20;
    if version.is_none_or(|version| version >= NO_MEMLOCK) {
        return None;
    }
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max locked memory"))?;
    let limit = line.split_whitespace().next()?;
    let octets = limit.parse::<u64>().unwrap_or(u64::MAX);
    Some(if octets < NEEDED {
        Finding::warning(
            KERNEL,
            format!("locked memory is limited to {limit} octets, and on Linux 5.10 BPF's counts"),
            "ulimit -l unlimited, or LimitMEMLOCK=infinity in the unit",
        )
    } else {
        Finding::ok(KERNEL, "enough memory may be locked")
    })
}
