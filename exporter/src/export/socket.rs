//! The socket towards a collector: how it is bound, and what its errors mean.

use crate::config;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZero;
use std::time::Duration;

/// IP and UDP headers before a message.
const IPV4_UDP_OCTETS: u16 = 28;
const IPV6_UDP_OCTETS: u16 = 48;
/// The most octets of a message, whatever the path takes: some collectors read no more than 10,000.
const MESSAGE_OCTETS: u16 = 8_952;
/// Where the path's MTU cannot be told (RFC 7011 section 10.3.3).
pub const SAFE_MESSAGE_OCTETS: u16 = 512;
const SEND_BUFFER_OCTETS: usize = 4 << 20;
/// Octets of a connection that the kernel takes beyond those on their way.
const UNSENT_OCTETS: u32 = 64 << 10;

/// What an error of sending says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// There is no room for a datagram now: in the socket's buffer, in the device's queue.
    NoRoom,
    /// An ICMP error came back for so many earlier datagrams. This one was not sent, and may be.
    Refused(u64),
    /// The path takes less than an earlier datagram had.
    TooLarge,
    /// This datagram cannot be sent.
    Other,
}

/// A socket to the first of these addresses to which there is a way, and which it is. Where there is
/// none to any, the error is that of the first.
pub fn connect_to_any(
    config: &config::Collector,
    addresses: &[SocketAddr],
    kept_port: u16,
) -> io::Result<(std::net::UdpSocket, SocketAddr)> {
    let mut error = None;
    for &peer in addresses {
        match connect(config, peer, kept_port) {
            Ok(socket) => return Ok((socket, peer)),
            Err(e) => error = error.or(Some(e)),
        }
    }
    Err(error.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

/// A socket to the peer, with the source that is configured, or else the port that was used before.
fn connect(
    config: &config::Collector,
    peer: SocketAddr,
    kept_port: u16,
) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(peer), Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    // A larger buffer is a kindness, not a need.
    let _ = socket.set_send_buffer_size(SEND_BUFFER_OCTETS);
    // Every ICMP error is heard, not only the fatal ones; and a datagram that the device's queue has
    // no room for is an error and not gone in silence (ip(7)).
    if peer.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
    }
    mark(&socket, config, peer)?;
    bind(&socket, config, peer, kept_port)?;
    socket.connect(&peer.into())?;
    Ok(socket.into())
}

/// A socket that is not connected yet, for a connection to the peer.
///
/// What the other host does not acknowledge for `patience` ends the connection.
pub fn for_connection(
    config: &config::Collector,
    peer: SocketAddr,
    patience: Duration,
) -> io::Result<std::net::TcpStream> {
    let socket = Socket::new(Domain::for_address(peer), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // Messages are whole: none waits for another.
    socket.set_tcp_nodelay(true)?;
    // What is not on its way yet may still be sent over another connection, or be counted.
    socket.set_tcp_notsent_lowat(UNSENT_OCTETS)?;
    socket.set_tcp_user_timeout(Some(patience))?;
    let keepalive = TcpKeepalive::new()
        .with_time(patience / 2)
        .with_interval(patience / 6);
    socket.set_tcp_keepalive(&keepalive)?;
    mark(&socket, config, peer)?;
    bind(&socket, config, peer, 0)?;
    Ok(socket.into())
}

/// What the packets' IP headers say, and by which interface they leave.
fn mark(socket: &Socket, config: &config::Collector, peer: SocketAddr) -> io::Result<()> {
    bind_to_interface(socket, config)?;
    let traffic_class = u32::from(config.dscp) << 2;
    let group = peer.ip().is_multicast();
    match (peer, config.ttl.map(u32::from)) {
        (SocketAddr::V4(_), ttl) => {
            socket.set_tos_v4(traffic_class)?;
            match ttl {
                Some(ttl) if group => socket.set_multicast_ttl_v4(ttl)?,
                Some(ttl) => socket.set_ttl_v4(ttl)?,
                None => {}
            }
        }
        (SocketAddr::V6(_), hops) => {
            socket.set_tclass_v6(traffic_class)?;
            match hops {
                Some(hops) if group => socket.set_multicast_hops_v6(hops)?,
                Some(hops) => socket.set_unicast_hops_v6(hops)?,
                None => {}
            }
        }
    }
    Ok(())
}

fn bind_to_interface(socket: &Socket, config: &config::Collector) -> io::Result<()> {
    let Some(name) = &config.source_interface else {
        return Ok(());
    };
    socket
        .bind_device(Some(name.as_bytes()))
        .map_err(|e| super::in_words(&e, &format!("cannot send by source-interface {name}")))
}

fn bind(
    socket: &Socket,
    config: &config::Collector,
    peer: SocketAddr,
    kept_port: u16,
) -> io::Result<()> {
    let any = match peer {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let address = config.source_address.unwrap_or(any);
    let to = |port| socket.bind(&SocketAddr::new(address, port).into());
    let bound = match config.source_port.map(NonZero::get) {
        Some(port) => to(port).map_err(|e| match e.kind() {
            io::ErrorKind::AddrInUse => {
                super::in_words(&e, &format!("source-port {port} is in use"))
            }
            _ => e,
        }),
        None => to(kept_port).or_else(|_| to(0)),
    };
    bound.map_err(|e| match e.kind() {
        io::ErrorKind::AddrNotAvailable => super::in_words(
            &e,
            &format!("this host does not have source-address {address}"),
        ),
        _ => e,
    })
}

/// The local address that packets to the peer come from, by the routing; nothing is sent.
pub fn local_address(config: &config::Collector, peer: SocketAddr) -> io::Result<IpAddr> {
    let socket = Socket::new(Domain::for_address(peer), Type::DGRAM, None)?;
    bind_to_interface(&socket, config)?;
    socket.connect(&peer.into())?;
    socket
        .local_addr()?
        .as_socket()
        .map(|address| address.ip())
        .ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))
}

/// Octets of a message that the path takes whole, as far as is known by now.
pub fn path_message(socket: &impl std::os::fd::AsRawFd, peer: SocketAddr) -> Option<u16> {
    let headers = match peer {
        SocketAddr::V4(_) => IPV4_UDP_OCTETS,
        SocketAddr::V6(_) => IPV6_UDP_OCTETS,
    };
    let mtu = crate::observe::path_mtu(socket, peer.is_ipv6())?;
    Some(
        mtu.saturating_sub(headers)
            .clamp(SAFE_MESSAGE_OCTETS, MESSAGE_OCTETS),
    )
}

/// What became of a datagram that the socket did not take. Whatever ICMP errors wait are heard by
/// that.
pub fn trouble<'s>(socket: impl Into<SockRef<'s>>, error: &io::Error) -> Trouble {
    if error.kind() == io::ErrorKind::WouldBlock
        || matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM))
    {
        return Trouble::NoRoom;
    }
    // The error of a datagram that was sent earlier stands in a queue of its own.
    let earlier = errors_heard(&socket.into());
    match error.raw_os_error() {
        Some(libc::EMSGSIZE) if earlier > 0 => Trouble::TooLarge,
        _ if earlier > 0 => Trouble::Refused(earlier),
        // As the kernel translates ICMP, where the queue had no room.
        Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::EPROTO | libc::EHOSTDOWN) => {
            Trouble::Refused(0)
        }
        _ => Trouble::Other,
    }
}

/// Empties the queue of errors that came back (`IP_RECVERR`), and says how many there were.
fn errors_heard(socket: &SockRef<'_>) -> u64 {
    // What was sent comes with it, as far as there is room. Nobody wants it.
    let mut start = [MaybeUninit::uninit(); 1];
    let mut heard = 0;
    while socket
        .recv_with_flags(&mut start, libc::MSG_ERRQUEUE)
        .is_ok()
    {
        heard += 1;
    }
    heard
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Endpoint, Host, Protocol};
    use std::num::NonZeroU16;
    use std::time::Instant;

    fn config() -> config::Collector {
        let endpoint = Endpoint {
            host: Host::Name("collector.example".to_owned()),
            port: NonZeroU16::new(9).unwrap(),
        };
        config::Collector::new("noc".to_owned(), endpoint, Protocol::Ipfix)
    }

    #[test]
    fn an_address_to_which_there_is_no_way_is_passed_over() {
        // Nobody may send to all without asking for it.
        let barred: SocketAddr = "255.255.255.255:9".parse().unwrap();
        let own: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let (_, peer) = connect_to_any(&config(), &[barred, own], 0).unwrap();
        assert_eq!(peer, own);
        let error = connect_to_any(&config(), &[barred, barred], 0).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EACCES));
    }

    #[test]
    fn an_interface_that_is_not_there_is_said_by_name() {
        let mut config = config();
        config.source_interface = Some("no-such-if0".to_owned());
        let own = ["127.0.0.1:9".parse().unwrap()];
        let error = connect_to_any(&config, &own, 0).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("cannot send by source-interface no-such-if0: "),
            "{text}"
        );
    }

    #[test]
    fn a_connection_is_marked_as_datagrams_are_and_given_up_in_time() {
        let mut config = config();
        config.dscp = 16;
        config.ttl = Some(9);
        config.source_address = Some("127.0.0.5".parse().unwrap());
        let peer = "127.0.0.1:9".parse().unwrap();
        let socket = for_connection(&config, peer, Duration::from_mins(1)).unwrap();
        let socket = SockRef::from(&socket);
        assert_eq!(
            (socket.tos_v4().unwrap(), socket.ttl_v4().unwrap()),
            (64, 9)
        );
        assert_eq!(
            socket.tcp_user_timeout().unwrap(),
            Some(Duration::from_mins(1))
        );
        assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
        let source = socket.local_addr().unwrap().as_socket().unwrap();
        assert_eq!(source.ip().to_string(), "127.0.0.5");
        config.source_address = None;
        let peer = "[::1]:9".parse().unwrap();
        let socket = for_connection(&config, peer, Duration::from_mins(1)).unwrap();
        let socket = SockRef::from(&socket);
        assert_eq!(
            (
                socket.tclass_v6().unwrap(),
                socket.unicast_hops_v6().unwrap()
            ),
            (64, 9)
        );
    }

    /// The error of an earlier datagram is told from that of this one, and counted once.
    #[test]
    fn refusals_are_counted_and_leave_the_socket_as_it_was() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = std::net::UdpSocket::bind(address).unwrap();
            let peer = listener.local_addr().unwrap();
            let (socket, _) = connect_to_any(&config(), &[peer], 0).unwrap();
            drop(listener);
            socket.send(b"refused").unwrap();
            let patience = Instant::now() + Duration::from_secs(10);
            let error = loop {
                if let Err(error) = socket.send(b"refused") {
                    break error;
                }
                assert!(Instant::now() < patience, "no refusal is heard");
            };
            let Trouble::Refused(heard) = trouble(&socket, &error) else {
                panic!("{error}");
            };
            assert!(heard >= 1);
            assert!(socket.take_error().unwrap().is_none());
            socket.send(b"taken").unwrap();
        }
    }
}
