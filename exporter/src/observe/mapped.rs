//! BPF arrays in the exporter's own memory: read and written without system calls.

use super::error::Error;
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

/// A BPF array (`BPF_F_MMAPABLE`) of `T`, mapped for as long as this lives.
///
/// The kernel writes to it at any time. So there are no references into it: elements are copied
/// out and written by volatile accesses of single words or of elements known to be quiet.
pub struct Mapped<T> {
    base: NonNull<T>,
    elements: usize,
    octets: usize,
    _elements: PhantomData<T>,
}

// SAFETY: the mapping is process-wide memory; all access goes through volatile or atomic words.
unsafe impl<T: Send> Send for Mapped<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Mapped<T> {}

/// What may be mapped: plain data of the ABI, valid for every bit pattern.
///
/// # Safety
/// `repr(C)`, no padding, no invalid values, size a multiple of 8.
pub unsafe trait Plain: Copy {}
// SAFETY: asserted in `ebpfix_probes::abi`.
unsafe impl Plain for ebpfix_probes::abi::Control {}
// SAFETY: as above.
unsafe impl Plain for ebpfix_probes::abi::CpuState {}
// SAFETY: as above.
unsafe impl Plain for ebpfix_probes::abi::Set {}
// SAFETY: as above.
unsafe impl Plain for ebpfix_probes::abi::HashedRecord {}
// SAFETY: words, without padding between them.
unsafe impl<const WORDS: usize> Plain for [u64; WORDS] {}

impl<T: Plain> Mapped<T> {
    /// Maps `elements` elements of the array `map`.
    pub fn new(map: &OwnedFd, elements: usize) -> Result<Self, Error> {
        const { assert!(size_of::<T>().is_multiple_of(8)) };
        let octets = elements * size_of::<T>();
        // SAFETY: a new shared mapping at a place of the kernel's choice.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                octets,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        match NonNull::new(address.cast::<T>()) {
            Some(base) if address != libc::MAP_FAILED => Ok(Self {
                base,
                elements,
                octets,
                _elements: PhantomData,
            }),
            _ => Err(Error::os("mapping a BPF array", io::Error::last_os_error())),
        }
    }

    /// Elements in the array.
    pub fn len(&self) -> usize {
        self.elements
    }

    /// A copy of the element at `index`: each 64-bit word is whole, but they need not be of one
    /// instant where the kernel writes meanwhile.
    ///
    /// # Panics
    /// Where `index` is beyond the end.
    pub fn read(&self, index: usize) -> T {
        let from = self.at(index).cast::<u64>();
        let mut value = MaybeUninit::<T>::uninit();
        for word in 0..size_of::<T>() / 8 {
            // SAFETY: in bounds (checked in `at`), mapped while `self` lives; a whole number of
            // words is written to `value`.
            unsafe {
                let word_read = ptr::read_volatile(from.add(word));
                value
                    .as_mut_ptr()
                    .cast::<u64>()
                    .add(word)
                    .write_unaligned(word_read);
            }
        }
        // SAFETY: every word is written, and every bit pattern is valid.
        unsafe { value.assume_init() }
    }

    /// Writes the element at `index`.
    ///
    /// # Panics
    /// Where `index` is beyond the end.
    pub fn write(&self, index: usize, value: T) {
        // SAFETY: as in `read`.
        unsafe { ptr::write_volatile(self.at(index), value) }
    }

    /// The 64-bit word at `offset` octets into the element at `index`.
    ///
    /// # Panics
    /// Where it is beyond the element or not aligned.
    pub fn word(&self, index: usize, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= size_of::<T>());
        // SAFETY: in bounds, aligned to 8 (mappings are page-aligned, elements multiples of 8),
        // and only accessed atomically on this side.
        unsafe { AtomicU64::from_ptr(self.at(index).cast::<u8>().add(offset).cast()) }
    }

    /// Copies elements `range` to the end of `out`, which the kernel does not write to meanwhile.
    ///
    /// # Panics
    /// Where the range is beyond the end.
    pub fn copy_out(&self, first: usize, count: usize, out: &mut Vec<T>) {
        assert!(first <= self.elements && count <= self.elements - first);
        out.reserve(count);
        // SAFETY: in bounds by the assertion; the room was reserved; quiet by the caller's word,
        // and plain data whatever it holds.
        unsafe {
            ptr::copy_nonoverlapping(
                self.base.as_ptr().add(first),
                out.as_mut_ptr().add(out.len()),
                count,
            );
            out.set_len(out.len() + count);
        }
    }

    fn at(&self, index: usize) -> *mut T {
        assert!(
            index < self.elements,
            "element {index} of {}",
            self.elements
        );
        // SAFETY: in bounds by the assertion.
        unsafe { self.base.as_ptr().add(index) }
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`; nothing refers into it any more.
        unsafe {
            libc::munmap(self.base.as_ptr().cast(), self.octets);
        }
    }
}

/// Reads a word that the kernel publishes: what it wrote before is visible after.
pub fn load_acquire(word: &AtomicU64) -> u64 {
    word.load(Ordering::Acquire)
}
