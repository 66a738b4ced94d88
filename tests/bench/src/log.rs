//! Tables of the kernel with records in the log that no packet made, for measuring what reading costs.

use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use ebpfix::observe::{FetcherOptions, FlowFetcher, Parts};
use ebpfix_probes::abi::{CpuState, HashedRecord};

/// Tables that nothing is attached to, and the log of the first CPU from its other side.
pub struct Log {
    /// The exporter's side.
    pub parts: Parts,
    state: Mapping,
    records: Mapping,
    size: usize,
    produced: usize,
}

impl Log {
    /// Creates the tables. As root.
    pub fn new() -> Self {
        let options = FetcherOptions {
            pin_dir: PathBuf::from(format!("/sys/fs/bpf/ebpfix-bench-{}", std::process::id())),
            ..FetcherOptions::default()
        };
        let fetcher = FlowFetcher::new(&options).expect("the tables: is this root?");
        let size = fetcher.objects().sizes.log_records as usize;
        let maps = &fetcher.objects().maps;
        Self {
            state: Mapping::new(&maps.cpu_state, size_of::<CpuState>()),
            records: Mapping::new(&maps.direct_flows, size * size_of::<HashedRecord>()),
            parts: fetcher.into_parts(),
            size,
            produced: 0,
        }
    }

    /// Writes records as the kernel would, as many as the log holds at most, all of which were read
    /// before.
    pub fn write(&mut self, records: &[HashedRecord]) {
        assert!(records.len() <= self.size, "more than the log holds");
        for record in records {
            let place = self.produced % self.size;
            // SAFETY: in bounds, of plain data, and nobody reads it before it is published.
            unsafe {
                self.records
                    .base
                    .cast::<HashedRecord>()
                    .add(place)
                    .write(*record);
            }
            self.produced += 1;
        }
        // SAFETY: an aligned word of the mapping.
        let word = unsafe {
            let at = self.state.base.byte_add(offset_of!(CpuState, produced));
            AtomicU64::from_ptr(at.cast())
        };
        word.store(self.produced as u64, Ordering::Release);
    }
}

impl Default for Log {
    fn default() -> Self {
        Self::new()
    }
}

struct Mapping {
    /// Of a page.
    base: *mut libc::c_void,
    octets: usize,
}

impl Mapping {
    fn new(map: &OwnedFd, octets: usize) -> Self {
        // SAFETY: a new shared mapping at a place of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                octets,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        assert!(
            base != libc::MAP_FAILED,
            "to map: {}",
            io::Error::last_os_error()
        );
        Self { base, octets }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`.
        unsafe {
            libc::munmap(self.base, self.octets);
        }
    }
}
