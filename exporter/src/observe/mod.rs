//! Everything that talks to the kernel: programs, tables, devices. The only unsafe code is here.
//!
//! Data leaves this stage as owned batches of [`HashedRecord`](ebpfix_probes::abi::HashedRecord)s.
//! Read in this order: [`fetcher`] (the whole as one object), [`object`] (load), [`attach`]
//! (devices), [`drain`] (records out), [`links`] (what devices there are, and how fast), `namespace`
//! (where they are), [`succession`] (from one
//! exporter to the next, by `pins` and `page`), `bpf` and `mapped` (system calls and memory).

pub mod attach;
mod bpf;
mod device_kind;
pub mod drain;
mod error;
pub mod fetcher;
pub mod inspect;
pub mod links;
#[allow(unsafe_code)]
mod mapped;
mod namespace;
pub mod object;
mod page;
mod pins;
mod speeds;
pub mod succession;
mod ticks;

pub use attach::AttachMode;
pub use bpf::{
    Direction, MountTable, boot_clock_ns, path_mtu, raise_descriptor_limit, unacknowledged,
};
pub use device_kind::{DeviceKind, KindName};
pub use drain::{Drain, KernelCounters, Settlement, Tables, Turn, Turned};
pub use error::Error;
pub use fetcher::{FetcherOptions, FlowFetcher, Parts, Probes};
pub use links::{Interface, InterfaceNames, LinkEvent, Links};
pub use namespace::{Namespace, NamespaceId};
pub use object::{NetMaps, NetObjects, NetPrograms, NetSpec, Sizes, embedded_object, load_net};
pub use page::{Account, PAGE_REASONS, Page};
pub use pins::Pins;
pub use speeds::LinkSpeed;
pub use succession::{ReadOut, Retired, Succession};
