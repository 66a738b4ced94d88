//! How full the socket of a collector on this host is.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// A collector's receive buffer, as the kernel tells of it. UDP pushes nobody back: a sender that
/// does not look overruns a collector that has no CPU for a moment.
pub(super) struct LocalQueue {
    peer: SocketAddr,
}

impl LocalQueue {
    /// `None` where the address is not one of this host: then nothing can be seen.
    pub(super) fn of(peer: SocketAddr) -> Option<Self> {
        UdpSocket::bind((peer.ip(), 0)).ok()?;
        Some(Self { peer })
    }

    /// Octets that wait in the fullest socket that may be meant, with the kernel's overhead; `None`
    /// where there is none to be seen (it may be in another network namespace).
    pub(super) fn octets(&self) -> Option<u64> {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let v6 = read("/proc/self/net/udp6");
        let v4 = match self.peer {
            SocketAddr::V4(_) => read("/proc/self/net/udp"),
            // Sockets of IPv4 take no IPv6.
            SocketAddr::V6(_) => String::new(),
        };
        let waiting = |line: &str| waiting(line, self.peer);
        v4.lines().chain(v6.lines()).filter_map(waiting).max()
    }
}

/// What waits in the socket of this line of `/proc/net/udp` or `udp6`, if it is one that receives
/// what is sent to `peer`.
fn waiting(line: &str, peer: SocketAddr) -> Option<u64> {
    let mut columns = line.split_whitespace().skip(1);
    let (address, port) = columns.next()?.split_once(':')?;
    if u16::from_str_radix(port, 16).ok()? != peer.port() {
        return None;
    }
    let address = address_of(address)?;
    if !address.is_unspecified() && address.to_canonical() != peer.ip().to_canonical() {
        return None;
    }
    let (_, waiting) = columns.nth(2)?.split_once(':')?;
    u64::from_str_radix(waiting, 16).ok()
}

/// An address as these files have it: words of 32 bits in the host's byte order, in hexadecimal.
fn address_of(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut octets = [0; 16];
            for (at, part) in octets.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at * 8)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(octets)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_in_a_socket_is_seen() {
        for local in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
            let receiver = UdpSocket::bind(local).unwrap();
            let bound = receiver.local_addr().unwrap();
            let peer = match bound.ip() {
                ip if ip.is_unspecified() => SocketAddr::from(([127, 0, 0, 1], bound.port())),
                ip => SocketAddr::new(ip, bound.port()),
            };
            let queue = LocalQueue::of(peer).unwrap();
            assert_eq!(queue.octets(), Some(0), "{local}");
            let any = if peer.is_ipv4() {
                "0.0.0.0:0"
            } else {
                "[::]:0"
            };
            let sender = UdpSocket::bind(any).unwrap();
            sender.send_to(&[0; 1000], peer).unwrap();
            assert!(queue.octets().unwrap() >= 1000, "{local}");
            drop(receiver);
            assert_eq!(queue.octets(), None, "{local}");
        }
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 4739));
        assert!(LocalQueue::of(elsewhere).is_none());
    }

    #[test]
    fn other_lines_are_passed_over() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 4739));
        let line = |address: &str| {
            format!("  19: {address} 00000000:0000 07 00000000:00000400 00:00000000 00000000 0 0 1")
        };
        assert_eq!(waiting(&line("0100007F:1283"), peer), Some(1024));
        assert_eq!(waiting(&line("0100007F:1284"), peer), None);
        assert_eq!(waiting(&line("0200007F:1283"), peer), None);
        for text in [
            "",
            "sl  local_address",
            "1: x",
            "1: 0100007F:1283 0:0 07",
            "1: é:1283 a b c:d",
        ] {
            assert_eq!(waiting(text, peer), None, "{text}");
        }
    }
}
