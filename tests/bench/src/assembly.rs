//! Small BPF programs, written by hand.

use std::ffi::CStr;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `exit`.
pub const EXIT: u64 = 0x95;

/// What a program is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Traffic control.
    SchedCls,
    /// XDP.
    Xdp,
}

/// An instruction of the BPF machine.
pub fn instruction(code: u8, target: u8, source: u8, offset: i16, immediate: i32) -> u64 {
    let registers = target | source << 4;
    let [low, high] = offset.to_le_bytes();
    let [a, b, c, d] = immediate.to_le_bytes();
    u64::from_le_bytes([code, registers, low, high, a, b, c, d])
}

/// `target = *(u32 *)(source + offset)`.
pub fn load_word(target: u8, source: u8, offset: i16) -> u64 {
    instruction(0x61, target, source, offset, 0)
}

/// `target = *(u8 *)(source + offset)`.
pub fn load_octet(target: u8, source: u8, offset: i16) -> u64 {
    instruction(0x71, target, source, offset, 0)
}

/// `target = *(u16 *)(source + offset)`.
pub fn load_half(target: u8, source: u8, offset: i16) -> u64 {
    instruction(0x69, target, source, offset, 0)
}

/// `target = *(u64 *)(source + offset)`.
pub fn load_double(target: u8, source: u8, offset: i16) -> u64 {
    instruction(0x79, target, source, offset, 0)
}

/// `*(u8 *)(target + offset) = source`.
pub fn store_octet(target: u8, source: u8, offset: i16) -> u64 {
    instruction(0x73, target, source, offset, 0)
}

/// `*(u64 *)(target + offset) = source`.
pub fn store_double(target: u8, source: u8, offset: i16) -> u64 {
    instruction(0x7b, target, source, offset, 0)
}

/// `*(u64 *)(target + offset) = value`.
pub fn set_double(target: u8, offset: i16, value: i32) -> u64 {
    instruction(0x7a, target, 0, offset, value)
}

/// `*(u32 *)(target + offset) = source`.
pub fn store_word(target: u8, source: u8, offset: i16) -> u64 {
    instruction(0x63, target, source, offset, 0)
}

/// `*(u32 *)(target + offset) = value`.
pub fn set_word(target: u8, offset: i16, value: i32) -> u64 {
    instruction(0x62, target, 0, offset, value)
}

/// `*(u16 *)(target + offset) = source`.
pub fn store_half(target: u8, source: u8, offset: i16) -> u64 {
    instruction(0x6b, target, source, offset, 0)
}

/// `target = source`.
pub fn copy(target: u8, source: u8) -> u64 {
    instruction(0xbf, target, source, 0, 0)
}

/// `target = value`.
pub fn set(target: u8, value: i32) -> u64 {
    instruction(0xb7, target, 0, 0, value)
}

/// `target += value`.
pub fn add(target: u8, value: i32) -> u64 {
    instruction(0x07, target, 0, 0, value)
}

/// `target += source`.
pub fn add_register(target: u8, source: u8) -> u64 {
    instruction(0x0f, target, source, 0, 0)
}

/// `target *= value`.
pub fn multiply(target: u8, value: i32) -> u64 {
    instruction(0x27, target, 0, 0, value)
}

/// `target |= value`.
pub fn or(target: u8, value: i32) -> u64 {
    instruction(0x47, target, 0, 0, value)
}

/// `target |= source`.
pub fn or_register(target: u8, source: u8) -> u64 {
    instruction(0x4f, target, source, 0, 0)
}

/// `target &= value`.
pub fn and(target: u8, value: i32) -> u64 {
    instruction(0x57, target, 0, 0, value)
}

/// `target &= source`.
pub fn and_register(target: u8, source: u8) -> u64 {
    instruction(0x5f, target, source, 0, 0)
}

/// `target <<= source`.
pub fn shift_left(target: u8, source: u8) -> u64 {
    instruction(0x6f, target, source, 0, 0)
}

/// `target >>= value`.
pub fn shift_right(target: u8, value: i32) -> u64 {
    instruction(0x77, target, 0, 0, value)
}

/// `target ^= value`.
pub fn xor(target: u8, value: i32) -> u64 {
    instruction(0xa7, target, 0, 0, value)
}

/// The remainder of 32 bits: `target %= value`.
pub fn remainder(target: u8, value: i32) -> u64 {
    instruction(0x94, target, 0, 0, value)
}

/// The lowest `bits` of `target`, 16 or 32, in network byte order.
pub fn to_network(target: u8, bits: i32) -> u64 {
    instruction(0xdc, target, 0, 0, bits)
}

/// Calls a helper by its number.
pub fn call(helper: i32) -> u64 {
    instruction(0x85, 0, 0, 0, helper)
}

/// Loads a program; in the error stands what the verifier said.
pub fn load(kind: Kind, name: &CStr, code: &[u64]) -> io::Result<OwnedFd> {
    const LICENSE: &CStr = c"GPL";
    let mut log = vec![0u8; 1 << 16];
    // SAFETY: whole instructions; pointers that outlive the call.
    let fd = unsafe {
        let mut attr: bpf_sys::bpf_load_program_attr = mem::zeroed();
        attr.prog_type = match kind {
            Kind::SchedCls => bpf_sys::bpf_prog_type_BPF_PROG_TYPE_SCHED_CLS,
            Kind::Xdp => bpf_sys::bpf_prog_type_BPF_PROG_TYPE_XDP,
        };
        attr.name = name.as_ptr();
        attr.insns = code.as_ptr().cast();
        attr.insns_cnt = code.len() as u64;
        attr.license = LICENSE.as_ptr();
        bpf_sys::bpf_load_program_xattr(&raw const attr, log.as_mut_ptr().cast(), log.len() as u64)
    };
    if fd < 0 {
        let error = io::Error::last_os_error();
        let said = CStr::from_bytes_until_nul(&log).map(CStr::to_string_lossy);
        let said = said.unwrap_or_default();
        return Err(io::Error::new(error.kind(), format!("{error}: {said}")));
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A program under construction, with jumps to places that have names.
#[derive(Debug, Default)]
pub struct Assembly {
    code: Vec<u64>,
    /// Name of each place, and the instruction it stands before.
    places: Vec<(&'static str, usize)>,
    /// Each jump, and the place it goes to.
    jumps: Vec<(usize, &'static str)>,
}

/// When to jump.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum If {
    /// Always.
    Always,
    /// Register and value are equal.
    Equal(u8, i32),
    /// Register and value are not equal.
    NotEqual(u8, i32),
    /// The first register is greater than the second.
    Greater(u8, u8),
}

impl Assembly {
    /// Appends instructions.
    pub fn put(&mut self, code: impl IntoIterator<Item = u64>) -> &mut Self {
        self.code.extend(code);
        self
    }

    /// Names the place that has been reached.
    pub fn place(&mut self, name: &'static str) -> &mut Self {
        self.places.push((name, self.code.len()));
        self
    }

    /// Jumps to the next place of this name.
    pub fn jump(&mut self, to: &'static str, when: If) -> &mut Self {
        self.jumps.push((self.code.len(), to));
        self.put([match when {
            If::Always => instruction(0x05, 0, 0, 0, 0),
            If::Equal(register, value) => instruction(0x15, register, 0, 0, value),
            If::NotEqual(register, value) => instruction(0x55, register, 0, 0, value),
            If::Greater(a, b) => instruction(0x2d, a, b, 0, 0),
        }])
    }

    /// The instructions, every jump with its distance.
    pub fn finish(&self) -> Vec<u64> {
        let mut code = self.code.clone();
        for &(at, to) in &self.jumps {
            let place = self
                .places
                .iter()
                .filter(|(name, place)| *name == to && *place > at);
            let place = place.map(|(_, place)| *place).min().expect("a place ahead");
            let distance = i16::try_from(place - at - 1).expect("a short program");
            code[at] |= u64::from(distance.cast_unsigned()) << 16;
        }
        code
    }
}

/// `target = a map`, by its descriptor: two instructions.
pub fn load_map(target: u8, map: &impl AsRawFd) -> [u64; 2] {
    const PSEUDO_MAP_FD: u8 = 1;
    [
        instruction(0x18, target, PSEUDO_MAP_FD, 0, map.as_raw_fd()),
        0,
    ]
}

/// `target = the address of the only element of an array`, by its descriptor: two instructions.
pub fn load_element(target: u8, map: &impl AsRawFd) -> [u64; 2] {
    const PSEUDO_MAP_VALUE: u8 = 2;
    [
        instruction(0x18, target, PSEUDO_MAP_VALUE, 0, map.as_raw_fd()),
        0,
    ]
}
