//! A generator within the kernel: frames by the million a second, as if they came in by an
//! interface.
//!
//! `BPF_PROG_TEST_RUN` with live frames (Linux 5.18) runs an XDP program over copies of one frame;
//! ours gives each the address and port of a flow and passes it on, into the traffic control
//! hooks and packet sockets of the interface. There is no sender beside that could be the slower one:
//! the time it takes is the time that the receiving side takes.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use ebpfix_tests::process::Program;
use ebpfix_tests::{Lab, Namespace, frame};

use crate::assembly::{
    self, EXIT, Kind, add, add_register, and, and_register, call, copy, instruction, load_word,
    multiply, or, or_register, remainder, set, set_word, shift_left, shift_right, store_half,
    store_word, to_network, xor,
};
use crate::figures::thread_cpu;

/// What is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Blast {
    /// How many packets.
    pub packets: u32,
    /// Of which flows.
    pub flows: Flows,
    /// In frames of which kind.
    pub frames: Frames,
}

/// What sending took.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// By the clock on the wall.
    pub elapsed: Duration,
    /// CPU time, which others on the same processor add nothing to: of making the packets, and of
    /// all that the kernel does with them where they come in.
    pub cpu: Duration,
}

/// Which flows the packets belong to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flows {
    /// This many, at most 2^24, each packet of one chosen at random.
    Uniform(u32),
    /// About 2 to this power, at most 24, of sizes by Zipf's law with the exponent 1, in octaves:
    /// the first, the next 2, the next 4 and so on have as many packets.
    Zipf(u8),
    /// Every packet begins one, but for the chance of 1 in 2^39.
    New,
}

/// What the frames are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frames {
    /// UDP over IPv4, 46 octets.
    Ipv4,
    /// TCP over IPv4, SYN alone, 40 octets.
    Syn,
    /// UDP over IPv6, 66 octets.
    Ipv6,
    /// As `Ipv4`, with a VLAN tag.
    Vlan,
    /// As `Ipv4`, with two VLAN tags.
    QinQ,
}

impl Flows {
    /// How many there are in so many packets, about.
    pub fn count(self, packets: u32) -> u32 {
        match self {
            Self::Uniform(flows) => flows.min(packets),
            Self::Zipf(bits) => (1 << bits.min(24)).min(packets),
            Self::New => packets,
        }
    }
}

impl Frames {
    /// Octets of the IP packet.
    pub fn ip_octets(self) -> u64 {
        match self {
            Self::Syn => 40,
            Self::Ipv4 | Self::Vlan | Self::QinQ => 46,
            Self::Ipv6 => 66,
        }
    }

    /// Where the IP header begins.
    fn ip_offset(self) -> i16 {
        match self {
            Self::Ipv4 | Self::Syn | Self::Ipv6 => ETHERNET,
            Self::Vlan => ETHERNET + TAG,
            Self::QinQ => ETHERNET + 2 * TAG,
        }
    }

    /// A frame whose flow is still to be filled in: what varies of the source address, the source
    /// port and the header checksum are zero.
    fn template(self) -> Vec<u8> {
        let payload = [0; 18];
        let packet = match self {
            Self::Ipv6 => {
                let datagram = frame::udp(0, 4000, &payload);
                frame::ipv6(
                    "2001:db8::",
                    "2001:db8:1::1",
                    frame::protocol::UDP,
                    &datagram,
                )
            }
            Self::Syn => ipv4(frame::protocol::TCP, &frame::tcp(0, 443, 0x02, &[])),
            _ => ipv4(frame::protocol::UDP, &frame::udp(0, 4000, &payload)),
        };
        let mut octets = match self {
            Self::Ipv4 | Self::Syn => frame::ethernet(frame::IPV4, &packet),
            Self::Ipv6 => frame::ethernet(frame::IPV6, &packet),
            Self::Vlan => frame::ethernet(frame::DOT1Q, &frame::tag(7, frame::IPV4, &packet)),
            Self::QinQ => {
                let inner = frame::tag(8, frame::IPV4, &packet);
                frame::ethernet(frame::DOT1AD, &frame::tag(7, frame::DOT1Q, &inner))
            }
        };
        octets.resize(octets.len().max(SHORTEST), 0);
        // To somebody else: behind the hooks, the kernel has no work with it.
        octets[..6].copy_from_slice(&[2, 0, 0, 0, 0, 0x99]);
        octets
    }
}

/// Octets of an Ethernet header.
const ETHERNET: i16 = 14;
/// Octets of a VLAN tag.
const TAG: i16 = 4;
/// Octets of the shortest frame.
const SHORTEST: usize = 60;

fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = frame::Ipv4::new([0; 4], [198, 51, 100, 1], protocol).packet(payload);
    packet[10..12].fill(0);
    packet
}

/// Makes an interface ready for it.
pub fn prepare(lab: &Lab, namespace: &Namespace, interface: &str) {
    // The interface needs the queues that come with GRO.
    let program = Program::new("ethtool").args(["-K", interface, "gro", "on"]);
    let done = lab.run(namespace, &program, Duration::from_secs(10));
    let _ = done.success();
}

impl Blast {
    /// Sends all through the interface, which must be a veth with offloads that is [prepared](prepare).
    pub fn send(&self, namespace: &Namespace, interface: &str) -> io::Result<Taken> {
        namespace.enter(|| {
            let index = nix::net::if_::if_nametoindex(interface)?;
            let program = assembly::load(Kind::Xdp, c"blast", &self.program())?;
            let template = self.frames.template();
            let (begin, cpu) = (Instant::now(), thread_cpu());
            run(&program, &template, index, self.packets)?;
            Ok(Taken {
                elapsed: begin.elapsed(),
                cpu: thread_cpu().saturating_sub(cpu),
            })
        })
    }

    /// The XDP program: writes the flow's part of the source address, its source port, and in IPv4
    /// the header checksum.
    fn program(&self) -> Vec<u64> {
        let template = self.frames.template();
        let ip = self.frames.ip_offset();
        let (address, port) = match self.frames {
            Frames::Ipv6 => (ip + 20, ip + 40),
            _ => (ip + 12, ip + 20),
        };
        let mut code = vec![
            load_word(2, 1, 0),
            load_word(3, 1, 4),
            copy(DATA, 2),
            copy(4, 2),
            add(4, template.len().try_into().expect("small")),
            // Shorter than our own frame: cannot be, and the verifier wants to know.
            instruction(0xbd, 4, 3, 2, 0),
            set(0, 1),
            EXIT,
        ];
        if ip > ETHERNET {
            // The kernel took a tag out, in place, of the frame that was in this memory before.
            for (at, word) in (0..ip).step_by(4).zip(template.chunks_exact(4)) {
                let word = i32::from_le_bytes(word.try_into().expect("four octets"));
                code.push(set_word(DATA, at, word));
            }
        }
        code.extend(self.flows.choose());
        code.extend([
            or(0, 0x0a00_0000),
            copy(1, 0),
            to_network(1, 32),
            // The source address, of IPv6 its last octets.
            store_word(DATA, 1, address),
        ]);
        if self.frames != Frames::Ipv6 {
            let from = usize::try_from(ip).expect("positive");
            code.extend(checksum(&template[from..from + 20]));
            code.push(store_half(DATA, 1, ip + 10));
        }
        code.extend([
            // 15 bits of the number times an odd one, and 1024 or more.
            multiply(NUMBER, 40_503),
            and(NUMBER, 0x7fff),
            add(NUMBER, 1024),
            to_network(NUMBER, 16),
            store_half(DATA, NUMBER, port),
            set(0, 2), // XDP_PASS
            EXIT,
        ]);
        code
    }
}

/// The register that points to the frame.
const DATA: u8 = 7;
/// The register that ports are made of.
const NUMBER: u8 = 8;

impl Flows {
    /// Leaves 24 bits for the address in register 0, and what the port is made of in [`NUMBER`].
    fn choose(self) -> Vec<u64> {
        const SCRATCH: u8 = 9;
        const GET_PRANDOM_U32: i32 = 7;
        let random = call(GET_PRANDOM_U32);
        match self {
            Self::Uniform(flows) => {
                let flows = i32::try_from(flows.clamp(1, 1 << 24)).expect("24 bits");
                vec![random, remainder(0, flows), copy(NUMBER, 0)]
            }
            Self::Zipf(bits) => vec![
                // An octave, and a number in it.
                random,
                remainder(0, i32::from(bits.clamp(1, 24))),
                set(SCRATCH, 1),
                shift_left(SCRATCH, 0),
                random,
                copy(NUMBER, SCRATCH),
                add(NUMBER, -1),
                and_register(NUMBER, 0),
                or_register(NUMBER, SCRATCH),
                copy(0, NUMBER),
            ],
            // The port has bits of its own.
            Self::New => vec![random, copy(NUMBER, 0), random, and(0, 0x00ff_ffff)],
        }
    }
}

/// Leaves the IPv4 header checksum in register 1: of this header with the source address that is in
/// register 0.
fn checksum(header: &[u8]) -> Vec<u64> {
    let words = header.chunks_exact(2);
    let rest = words.map(|word| i32::from(u16::from_be_bytes([word[0], word[1]])));
    // Add the two words of the address, fold twice, invert.
    let mut code = vec![
        copy(1, 0),
        and(1, 0xffff),
        shift_right(0, 16),
        add_register(1, 0),
        add(1, rest.sum()),
    ];
    for _ in 0..2 {
        code.extend([
            copy(2, 1),
            shift_right(2, 16),
            and(1, 0xffff),
            add_register(1, 2),
        ]);
    }
    code.extend([xor(1, 0xffff), to_network(1, 16)]);
    code
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
