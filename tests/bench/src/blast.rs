//! A generator within the kernel: frames by the million a second, as if they came in by an
//! interface.
//!
//! `BPF_PROG_TEST_RUN` with live frames (Linux 5.18) runs an XDP program over copies of one frame;
//! ours gives each the addresses and ports of a flow and passes it on, into the traffic control
//! hooks and packet sockets of the interface. There is no sender beside that could be the slower one:
//! the time it takes is the time that the receiving side takes.

use std::ffi::CStr;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use ebpfix_tests::{Namespace, frame};

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub struct Blast {
    /// How many frames.
    pub packets: u32,
    /// Of how many flows, chosen at random; at most 2^24.
    pub flows: u32,
    /// Which transport protocol: of TCP, every packet is a SYN.
    pub tcp: bool,
}

/// IP octets of each packet.
pub const IP_OCTETS: u64 = 46;

impl Blast {
    /// Sends all through the interface, which must be a veth with GRO on (`VethOptions::offloads`):
    /// only then it has the queues that the kernel asks for.
    pub fn send(&self, namespace: &Namespace, interface: &str) -> io::Result<Duration> {
        namespace.enter(|| {
            let index = nix::net::if_::if_nametoindex(interface)?;
            let program = load(&self.program())?;
            let begin = Instant::now();
            run(&program, &self.frame(), index, self.packets)?;
            Ok(begin.elapsed())
        })
    }

    fn frame(&self) -> [u8; LENGTH] {
        let mut octets = [0; LENGTH];
        octets[..6].copy_from_slice(&[2, 0, 0, 0, 0, 0x99]);
        octets[6..12].copy_from_slice(&frame::FIRST_MAC);
        octets[12..14].copy_from_slice(&frame::IPV4.to_be_bytes());
        octets[14] = 0x45;
        octets[17] = 46;
        octets[22] = 64;
        octets[23] = if self.tcp { 6 } else { frame::protocol::UDP };
        octets[30..34].copy_from_slice(&[198, 51, 100, 1]);
        if self.tcp {
            octets[36..38].copy_from_slice(&443u16.to_be_bytes());
            octets[46] = 0x50;
            octets[47] = 0x02;
        } else {
            octets[36..38].copy_from_slice(&4000u16.to_be_bytes());
            octets[39] = 26;
        }
        octets
    }

    /// The sum of the IP header's 16-bit words but for source address and checksum.
    fn constant_sum(&self) -> i32 {
        let frame = self.frame();
        frame[14..34]
            .chunks_exact(2)
            .map(|word| i32::from(u16::from_be_bytes([word[0], word[1]])))
            .sum()
    }

    /// The XDP program: source address 10.a.b.c and a source port from the flow's number, the IP
    /// checksum right.
    fn program(&self) -> Vec<u64> {
        let flows = i32::try_from(self.flows.clamp(1, 1 << 24)).expect("24 bits");
        let mut code = vec![
            ldx_w(2, 1, 0),
            ldx_w(3, 1, 4),
            mov(7, 2),
            mov(4, 2),
            add(4, LENGTH.try_into().expect("small")),
            // Shorter than our own frame: cannot be, and the verifier wants to know.
            instruction(0xbd, 4, 3, 2, 0),
            mov_imm(0, 1),
            EXIT,
            call(7), // bpf_get_prandom_u32
            instruction(0x94, 0, 0, 0, flows),
            mov(8, 0),
            // The source address.
            instruction(0x47, 0, 0, 0, 0x0a00_0000),
            mov(1, 0),
            instruction(0xdc, 1, 0, 0, 32),
            instruction(0x63, 7, 1, 26, 0),
            // The checksum: add the two words of it, fold, fold, invert.
            mov(1, 0),
            instruction(0x57, 1, 0, 0, 0xffff),
            instruction(0x77, 0, 0, 0, 16),
            instruction(0x0f, 1, 0, 0, 0),
            add(1, self.constant_sum()),
        ];
        for _ in 0..2 {
            code.extend([
                mov(2, 1),
                instruction(0x77, 2, 0, 0, 16),
                instruction(0x57, 1, 0, 0, 0xffff),
                instruction(0x0f, 1, 2, 0, 0),
            ]);
        }
        code.extend([
            instruction(0xa7, 1, 0, 0, 0xffff),
            instruction(0xdc, 1, 0, 0, 16),
            instruction(0x6b, 7, 1, 24, 0),
            // The source port: the low bits of the number times an odd one, 1024 and more.
            instruction(0x27, 8, 0, 0, 40_503),
            instruction(0x57, 8, 0, 0, 0x7fff),
            add(8, 1024),
            instruction(0xdc, 8, 0, 0, 16),
            instruction(0x6b, 7, 8, 34, 0),
            mov_imm(0, 2), // XDP_PASS
            EXIT,
        ]);
        code
    }
}

const LENGTH: usize = 60;
const EXIT: u64 = 0x95;

/// An instruction of the BPF machine.
fn instruction(code: u8, target: u8, source: u8, offset: i16, immediate: i32) -> u64 {
    let registers = target | source << 4;
    let [low, high] = offset.to_le_bytes();
    let [a, b, c, d] = immediate.to_le_bytes();
    u64::from_le_bytes([code, registers, low, high, a, b, c, d])
}

fn ldx_w(target: u8, source: u8, offset: i16) -> u64 {
    instruction(0x61, target, source, offset, 0)
}

fn mov(target: u8, source: u8) -> u64 {
    instruction(0xbf, target, source, 0, 0)
}

fn mov_imm(target: u8, value: i32) -> u64 {
    instruction(0xb7, target, 0, 0, value)
}

fn add(target: u8, value: i32) -> u64 {
    instruction(0x07, target, 0, 0, value)
}

fn call(helper: i32) -> u64 {
    instruction(0x85, 0, 0, 0, helper)
}

fn load(code: &[u64]) -> io::Result<OwnedFd> {
    const LICENSE: &CStr = c"GPL";
    const BPF_PROG_TYPE_XDP: u32 = 6;
    let mut log = vec![0u8; 1 << 16];
    // SAFETY: whole instructions; pointers that outlive the call.
    let fd = unsafe {
        let mut attr: bpf_sys::bpf_load_program_attr = mem::zeroed();
        attr.prog_type = BPF_PROG_TYPE_XDP;
        attr.name = c"blast".as_ptr();
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

fn run(program: &OwnedFd, frame: &[u8], index: u32, packets: u32) -> io::Result<()> {
    /// What the kernel's `union bpf_attr` has for `BPF_PROG_TEST_RUN`.
    #[repr(C)]
    #[derive(Default)]
    struct TestRun {
        program: u32,
        result: u32,
        data_in_octets: u32,
        data_out_octets: u32,
        data_in: u64,
        data_out: u64,
        repeat: u32,
        duration: u32,
        context_in_octets: u32,
        context_out_octets: u32,
        context_in: u64,
        context_out: u64,
        flags: u32,
        cpu: u32,
        batch: u32,
        padding: u32,
    }
    /// `struct xdp_md`.
    #[repr(C)]
    #[derive(Default)]
    struct Context {
        data: u32,
        data_end: u32,
        data_meta: u32,
        ingress_ifindex: u32,
        rx_queue_index: u32,
        egress_ifindex: u32,
    }
    const BPF_PROG_TEST_RUN: libc::c_int = 10;
    const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;
    const BATCH: u32 = 64;
    let octets = u32::try_from(frame.len()).expect("a small frame");
    let context = Context {
        data_end: octets,
        ingress_ifindex: index,
        ..Context::default()
    };
    let mut attr = TestRun {
        program: program.as_raw_fd().cast_unsigned(),
        data_in_octets: octets,
        data_in: frame.as_ptr().addr() as u64,
        repeat: packets,
        context_in_octets: u32::try_from(mem::size_of::<Context>()).expect("a small type"),
        context_in: (&raw const context).addr() as u64,
        flags: BPF_F_TEST_XDP_LIVE_FRAMES,
        batch: BATCH,
        ..TestRun::default()
    };
    // SAFETY: an attribute of the layout that the command has, whose pointers outlive the call.
    let failed = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_TEST_RUN,
            &raw mut attr,
            mem::size_of::<TestRun>(),
        )
    };
    if failed < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
