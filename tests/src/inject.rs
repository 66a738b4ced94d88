//! Sending frames as they are, one by one or by the million.

use std::collections::HashMap;
use std::io::IoSlice;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, MultiHeaders, SockFlag, SockType, bind, send, sendmmsg,
    socket,
};

use crate::frame;
use crate::lab::Namespace;

/// A packet socket on an interface.
#[derive(Debug)]
pub struct Injector {
    socket: OwnedFd,
}

impl Injector {
    /// On the interface of the namespace. What is sent passes the interface's egress programs.
    pub fn new(namespace: &Namespace, interface: &str) -> Self {
        let socket = namespace.enter(|| {
            // Protocol 0: it sends, and nothing is ever queued at it.
            let socket = socket(
                AddressFamily::Packet,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                None,
            );
            let socket = socket.expect("a packet socket");
            let address = link_address(interface);
            bind(socket.as_raw_fd(), &address).expect("to bind to the interface");
            socket
        });
        Self { socket }
    }

    /// Sends a frame. On an interface without link-layer header it begins with the IP header.
    pub fn send(&self, frame: &[u8]) {
        let sent = send(self.socket.as_raw_fd(), frame, MsgFlags::empty());
        assert_eq!(sent, Ok(frame.len()), "a frame of {} octets", frame.len());
    }

    /// Sends a frame if the interface takes it: it may be down, or gone.
    pub fn try_send(&self, frame: &[u8]) -> bool {
        send(self.socket.as_raw_fd(), frame, MsgFlags::empty()).is_ok()
    }

    /// Sends the frames in order, waiting where the kernel has no room.
    fn send_batch(&self, frames: &[Frame], headers: &mut MultiHeaders<LinkAddr>) {
        let mut rest = frames;
        while !rest.is_empty() {
            let slices: Vec<[IoSlice; 1]> = rest
                .iter()
                .map(|frame| [IoSlice::new(&frame.octets[..frame.length])])
                .collect();
            let addresses: Vec<Option<LinkAddr>> = vec![None; rest.len()];
            let sent = sendmmsg(
                self.socket.as_raw_fd(),
                headers,
                &slices,
                &addresses,
                [],
                MsgFlags::empty(),
            );
            match sent {
                Ok(results) => {
                    let count = results.count();
                    rest = &rest[count..];
                }
                Err(Errno::ENOBUFS | Errno::EAGAIN | Errno::EINTR) => thread::yield_now(),
                Err(error) => panic!("sending frames: {error}"),
            }
        }
    }
}

/// Sends UDP datagrams of 32 octets of IP on the interface, one by one, each a flow of its own.
pub fn send_datagrams(namespace: &Namespace, interface: &str, packets: u16) {
    let injector = Injector::new(namespace, interface);
    for port in 0..packets {
        let datagram = frame::Ipv4::new([192, 0, 2, 1], [192, 0, 2, 2], frame::protocol::UDP)
            .packet(&frame::udp(port, 9, b"data"));
        injector.send(&frame::ethernet(frame::IPV4, &datagram));
    }
}

/// Many small UDP packets of many flows, the same ones for the same numbers.
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    /// How many packets.
    pub packets: u64,
    /// Of how many flows.
    pub flows: u32,
    /// In which order the flows take turns.
    pub order: Order,
    /// How many threads send at once.
    pub threads: u64,
}

/// In which order the flows of a [`Flood`] take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One after the other, and again.
    RoundRobin,
    /// By chance, from this seed.
    Random(u64),
}

/// What a [`Flood`] did.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Packets handed to the kernel.
    pub packets: u64,
    /// Their IP octets.
    pub octets: u64,
    /// In how much time.
    pub elapsed: Duration,
}

/// A flow of a [`Flood`]: source and destination address, source and destination port. All are UDP.
pub type FloodKey = (Ipv4Addr, Ipv4Addr, u16, u16);

impl Sent {
    /// Packets per second.
    #[allow(clippy::cast_precision_loss, reason = "a figure to read")]
    pub fn rate(&self) -> f64 {
        self.packets as f64 / self.elapsed.as_secs_f64()
    }
}

const BATCH: u64 = 256;
const IP_OFFSET: usize = 14;
const UDP_OFFSET: usize = 34;
const LARGEST: usize = 128;

#[derive(Clone, Copy)]
struct Frame {
    octets: [u8; LARGEST],
    length: usize,
}

impl Flood {
    /// Sends all packets on the interface as fast as it goes.
    pub fn send(&self, namespace: &Namespace, interface: &str) -> Sent {
        self.send_at(f64::INFINITY, namespace, interface)
    }

    /// Sends all packets on the interface, this many in a second at most, by each thread as many as
    /// by the others.
    pub fn send_at(&self, rate: f64, namespace: &Namespace, interface: &str) -> Sent {
        let start = Instant::now();
        thread::scope(|scope| {
            for part in 0..self.threads {
                let injector = Injector::new(namespace, interface);
                scope.spawn(move || {
                    let mut headers = MultiHeaders::preallocate(
                        usize::try_from(BATCH).expect("a small number"),
                        None,
                    );
                    let from = self.packets * part / self.threads;
                    let to = self.packets * (part + 1) / self.threads;
                    let mut next = from;
                    while next < to {
                        let end = to.min(next + BATCH);
                        let frames: Vec<Frame> =
                            (next..end).map(|packet| self.frame(packet)).collect();
                        injector.send_batch(&frames, &mut headers);
                        next = end;
                        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
                        let due = ((next - from) * self.threads) as f64 / rate;
                        let due = Duration::from_secs_f64(due);
                        thread::sleep(due.saturating_sub(start.elapsed()));
                    }
                });
            }
        });
        let elapsed = start.elapsed();
        let octets = (0..self.packets)
            .map(|packet| u64::from(ip_octets(self.flow(packet))))
            .sum();
        Sent {
            packets: self.packets,
            octets,
            elapsed,
        }
    }

    /// Packets and IP octets of every flow.
    pub fn expected(&self) -> HashMap<FloodKey, (u64, u64)> {
        let mut packets = vec![0u64; self.flows as usize];
        for packet in 0..self.packets {
            packets[self.flow(packet) as usize] += 1;
        }
        let flows = (0..self.flows).zip(packets);
        flows
            .filter(|(_, packets)| *packets > 0)
            .map(|(flow, packets)| (key(flow), (packets, packets * u64::from(ip_octets(flow)))))
            .collect()
    }

    fn flow(&self, packet: u64) -> u32 {
        let number = match self.order {
            Order::RoundRobin => packet,
            Order::Random(seed) => mix(seed ^ packet),
        };
        u32::try_from(number % u64::from(self.flows)).expect("less than the flows")
    }

    fn frame(&self, packet: u64) -> Frame {
        let flow = self.flow(packet);
        let (source, destination, source_port, destination_port) = key(flow);
        let total = ip_octets(flow);
        let mut octets = [0; LARGEST];
        octets[..6].copy_from_slice(&frame::SECOND_MAC);
        octets[6..12].copy_from_slice(&frame::FIRST_MAC);
        octets[12..14].copy_from_slice(&frame::IPV4.to_be_bytes());
        let ip = &mut octets[IP_OFFSET..UDP_OFFSET];
        ip[0] = 0x45;
        ip[2..4].copy_from_slice(&total.to_be_bytes());
        ip[8] = 64;
        ip[9] = frame::protocol::UDP;
        ip[12..16].copy_from_slice(&source.octets());
        ip[16..20].copy_from_slice(&destination.octets());
        let sum = frame::checksum(ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        let udp = &mut octets[UDP_OFFSET..];
        udp[..2].copy_from_slice(&source_port.to_be_bytes());
        udp[2..4].copy_from_slice(&destination_port.to_be_bytes());
        udp[4..6].copy_from_slice(&(total - 20).to_be_bytes());
        Frame {
            octets,
            length: IP_OFFSET + usize::from(total),
        }
    }
}

fn key(flow: u32) -> FloodKey {
    let [_, a, b, c] = flow.to_be_bytes();
    let port =
        |salt: u64| 1024 + u16::try_from(mix(u64::from(flow) ^ salt) % 60_000).expect("16 bits");
    (
        Ipv4Addr::new(10, a, b, c),
        Ipv4Addr::new(198, 18, c, b),
        port(1 << 40),
        port(2 << 40),
    )
}

/// The total length of the packets of a flow: 46 to 109 octets.
fn ip_octets(flow: u32) -> u16 {
    46 + u16::try_from(flow % 64).expect("less than 64")
}

/// `SplitMix64`'s output function.
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// The link-layer address of an interface of the current namespace, which holds its index.
fn link_address(interface: &str) -> LinkAddr {
    let addresses = nix::ifaddrs::getifaddrs().expect("the interfaces");
    addresses
        .filter(|entry| entry.interface_name == interface)
        .find_map(|entry| entry.address?.as_link_addr().copied())
        .unwrap_or_else(|| panic!("no interface {interface}"))
}
