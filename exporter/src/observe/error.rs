//! What can go wrong between the exporter and the kernel, in the operator's words.

use std::io;
use std::path::PathBuf;

/// An error of the observe stage: what was tried, on what, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The process may not use BPF.
    #[error(
        "{what}: permission denied: run as root, or with the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON (before Linux 5.8: CAP_SYS_ADMIN)"
    )]
    Privilege {
        /// What was tried.
        what: String,
    },
    /// There is no BPF file system where the pins belong.
    #[error(
        "{}: not on a BPF file system: mount one with `mount -t bpf bpf /sys/fs/bpf`, or set daemon.pin-dir to a folder on one",
        path.display()
    )]
    NoBpfFileSystem {
        /// The directory of the pins.
        path: PathBuf,
    },
    /// Another exporter has its pins there.
    #[error(
        "{}: another ebpfix has its tables there: stop it, or give this one a daemon.pin-dir and a daemon.run-dir of its own",
        path.display()
    )]
    PinsInUse {
        /// The directory of the pins.
        path: PathBuf,
    },
    /// Others may put pins there.
    #[error(
        "{}: others may write there, or own it: set daemon.pin-dir to a folder that is yours alone (chmod 0700)",
        path.display()
    )]
    PinsOpen {
        /// The directory of the pins.
        path: PathBuf,
    },
    /// A kernel that lacks what is needed.
    #[error("Linux {release} is too old: {missing} needs Linux {needed} or newer")]
    OldKernel {
        /// `uname -r`.
        release: String,
        /// What is missing.
        missing: &'static str,
        /// The first release that has it.
        needed: &'static str,
    },
    /// The verifier refused a program: its last words.
    #[error("the kernel refuses the program {program}: {summary}")]
    Verifier {
        /// Name of the program.
        program: String,
        /// The last lines of the verifier's log.
        summary: String,
    },
    /// The embedded object is not what this version expects; a defect of the build.
    #[error("the embedded kernel object is damaged: {0}")]
    Object(String),
    /// The interface does not exist.
    #[error("{interface}: no such interface: `ip link` lists those of this network namespace")]
    NoInterface {
        /// As it was asked for.
        interface: String,
    },
    /// The interface's link type cannot be read.
    #[error(
        "{interface}: cannot observe a device of link type {link_type} (ARPHRD_*): neither Ethernet nor plain IP"
    )]
    LinkType {
        /// Name of the interface.
        interface: String,
        /// The kernel's ARPHRD number.
        link_type: u16,
    },
    /// TCX was asked for and the kernel has none.
    #[error(
        "{interface}: this kernel has no TCX (Linux 6.6 has): set observation.attach to \"auto\" or \"clsact\""
    )]
    NoTcx {
        /// Name of the interface.
        interface: String,
    },
    /// Another network namespace must not be entered.
    #[error(
        "{}: cannot enter this network namespace: that takes CAP_SYS_ADMIN, and in a systemd unit \
         RestrictNamespaces=net (see observation.namespace)",
        path.display()
    )]
    NamespacePrivilege {
        /// Where the namespace is.
        path: PathBuf,
    },
    /// A call to the kernel failed.
    #[error("{what}: {source}")]
    Kernel {
        /// What was tried.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl Error {
    /// The error of a call that just failed with `errno`; permission is told apart.
    pub(super) fn os(what: impl Into<String>, source: io::Error) -> Self {
        let what = what.into();
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::Privilege { what },
            _ => Self::Kernel { what, source },
        }
    }
}
