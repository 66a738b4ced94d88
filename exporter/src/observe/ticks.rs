//! The kernel's ticks (`jiffies`), by which programs tell the time at no cost: how long they are, and
//! when the last one was.
//!
//! A tick's number is for programs only: user space has no way to read it. So a program that does
//! nothing else is run now and then.

use super::bpf;
use super::error::Error;
use std::io;
use std::os::fd::OwnedFd;

/// Writes `bpf_jiffies64()` to the first eight octets of the frame.
const PROGRAM: [u64; 10] = [
    0x0000_0000_0000_16bf, // r6 = r1
    0x0000_0076_0000_0085, // call bpf_jiffies64
    0x0000_0000_004c_6261, // r2 = *(u32 *)(r6 + 76)    data
    0x0000_0000_0050_6361, // r3 = *(u32 *)(r6 + 80)    data_end
    0x0000_0000_0000_24bf, // r4 = r2
    0x0000_0008_0000_0407, // r4 += 8
    0x0000_0000_0001_342d, // if r4 > r3 goto +1
    0x0000_0000_0000_027b, // *(u64 *)(r2 + 0) = r0
    0xffff_ffff_0000_00b7, // r0 = TC_ACT_UNSPEC
    0x0000_0000_0000_0095, // exit
];
/// The kernel asks for an Ethernet header.
const FRAME: [u8; 64] = [0; 64];
/// A reading is taken again where a tick falls into it.
const ATTEMPTS: usize = 8;

/// Reads ticks.
pub struct Ticks {
    program: OwnedFd,
    length_ns: u32,
}

/// One of the kernel's ticks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tick {
    /// Its number: `jiffies_64`.
    pub number: u64,
    /// When it was handled, by the monotonic clock.
    pub monotonic_ns: u64,
}

impl Ticks {
    /// Loads the program.
    pub fn new() -> Result<Self, Error> {
        let code: Vec<u8> = PROGRAM.iter().flat_map(|i| i.to_le_bytes()).collect();
        let ticks = Self {
            program: bpf::load_sched_cls("last_tick", &code, c"Dual MIT/GPL")?,
            length_ns: u32::try_from(bpf::tick_ns()).unwrap_or(u32::MAX),
        };
        ticks
            .last()
            .map_err(|e| Error::os("reading the kernel's ticks", e))?;
        Ok(ticks)
    }

    /// Nanoseconds from one to the next.
    pub fn length_ns(&self) -> u32 {
        self.length_ns
    }

    /// The last one.
    pub fn last(&self) -> io::Result<Tick> {
        for _ in 0..ATTEMPTS {
            let before = bpf::monotonic_at_last_tick_ns();
            let frame = bpf::run_once(&self.program, FRAME)?;
            if bpf::monotonic_at_last_tick_ns() == before {
                let (number, _) = frame.split_first_chunk().unwrap_or((&[0; 8], &[]));
                return Ok(Tick {
                    number: u64::from_le_bytes(*number),
                    monotonic_ns: before,
                });
            }
        }
        Err(io::Error::from(io::ErrorKind::TimedOut))
    }
}
