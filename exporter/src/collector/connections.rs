//! Connections from exporters, by TCP and by TLS (RFC 7011 sections 10.4 and 11): their octets, cut into
//! messages.
//!
//! Each connection has a task and room for one message; all of them share a short queue, so that a reader
//! that does not keep up makes exporters wait. A stream in which no message begins where one should is over
//! (section 9.1), and so is a connection that leaves a message unfinished for long.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::tls::{Heard, Layer};

/// Connections at once. More are closed as they come.
const CONNECTIONS: usize = 256;
/// Messages of all connections that wait to be read.
const WAITING: usize = 64;
/// How long TLS may take to agree, and a message to be whole once it has begun.
const TLS_PATIENCE: Duration = Duration::from_secs(10);
const MESSAGE_PATIENCE: Duration = Duration::from_secs(30);
/// Before the next attempt, where nobody can be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const HEADER_OCTETS: usize = 16;
const READ_OCTETS: usize = 1 << 14;

/// What happens at the connections.
#[derive(Debug)]
pub(super) enum Event {
    /// One begins, and with it a Transport Session: what was known of one from there is void.
    Opened(SocketAddr),
    /// One was not taken: there are too many.
    Refused(SocketAddr),
    /// A message came, whole by its own length.
    Message(SocketAddr, Vec<u8>),
    /// One is over: in order, or for this reason.
    Closed(SocketAddr, Option<String>),
}

/// All connections.
#[derive(Debug)]
pub(super) struct Connections {
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    open: HashMap<SocketAddr, Open>,
    /// Tells two connections from one place apart.
    serial: u64,
    sender: mpsc::Sender<(u64, Event)>,
    events: mpsc::Receiver<(u64, Event)>,
}

#[derive(Debug)]
struct Open {
    serial: u64,
    task: AbortHandle,
}

impl Connections {
    /// Takes who connects there. Must run in a tokio runtime.
    pub(super) fn at(listener: StdTcpListener, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        let (sender, events) = mpsc::channel(WAITING);
        Ok(Self {
            listener: TcpListener::from_std(listener)?,
            tls,
            open: HashMap::new(),
            serial: 0,
            sender,
            events,
        })
    }

    /// What happens next. May be given up at any time.
    pub(super) async fn next(&mut self) -> Event {
        loop {
            let accepted = tokio::select! {
                Some((serial, event)) = self.events.recv() => {
                    if let Some(event) = self.of_an_open_one(serial, event) {
                        return event;
                    }
                    continue;
                }
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, source)) => return self.take(socket, source),
                // Descriptors that are gone come back.
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    /// What has happened when nobody is accepted any more, within `patience` each time.
    pub(super) async fn rest(&mut self, patience: Duration) -> Option<Event> {
        loop {
            let (serial, event) = timeout(patience, self.events.recv()).await.ok()??;
            if let Some(event) = self.of_an_open_one(serial, event) {
                return Some(event);
            }
        }
    }

    /// Ends a connection at once.
    pub(super) fn cut(&mut self, source: SocketAddr) {
        if let Some(open) = self.open.remove(&source) {
            open.task.abort();
        }
    }

    fn take(&mut self, socket: TcpStream, source: SocketAddr) -> Event {
        // A socket for both families shows IPv4 addresses mapped.
        let source = SocketAddr::new(source.ip().to_canonical(), source.port());
        // From the same port only when the one before is over.
        self.cut(source);
        if self.open.len() >= CONNECTIONS {
            return Event::Refused(source);
        }
        // That a host is gone without a word is noticed by that.
        let keepalive = TcpKeepalive::new().with_time(MESSAGE_PATIENCE);
        let _ = SockRef::from(&socket).set_tcp_keepalive(&keepalive);
        self.serial += 1;
        let serial = self.serial;
        let (tls, sender) = (self.tls.clone(), self.sender.clone());
        let task = tokio::spawn(async move {
            let read = read(socket, tls, |message| {
                sender.send((serial, Event::Message(source, message)))
            });
            let reason = read.await.err().map(|error| error.to_string());
            // Where nobody listens any more, nobody needs to know.
            let _ = sender.send((serial, Event::Closed(source, reason))).await;
        });
        let task = task.abort_handle();
        self.open.insert(source, Open { serial, task });
        Event::Opened(source)
    }

    /// The event, if its connection was not cut.
    fn of_an_open_one(&mut self, serial: u64, event: Event) -> Option<Event> {
        let (Event::Opened(source)
        | Event::Refused(source)
        | Event::Message(source, _)
        | Event::Closed(source, _)) = &event;
        self.open.get(source).filter(|open| open.serial == serial)?;
        if let Event::Closed(source, _) = &event {
            self.open.remove(source);
        }
        Some(event)
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        for open in self.open.values() {
            open.task.abort();
        }
    }
}

/// Reads messages until the exporter ends the connection.
async fn read<E, F: Future<Output = Result<(), E>>>(
    mut socket: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    message: impl Fn(Vec<u8>) -> F,
) -> io::Result<()> {
    let mut tls = tls.map(Layer::server).transpose()?;
    let mut plain = Vec::new();
    if let Some(tls) = &mut tls {
        let agreed = timeout(TLS_PATIENCE, shake_hands(&mut socket, tls, &mut plain)).await;
        agreed.unwrap_or_else(|_| Err(too_long("TLS was not agreed on")))?;
    }
    let mut buffer = vec![0; READ_OCTETS];
    let mut out = Vec::new();
    loop {
        while let Some(length) = whole(&plain)? {
            let rest = plain.split_off(length);
            if message(std::mem::replace(&mut plain, rest)).await.is_err() {
                return Ok(());
            }
        }
        let octets = if plain.is_empty() {
            socket.read(&mut buffer).await?
        } else {
            let read = timeout(MESSAGE_PATIENCE, socket.read(&mut buffer)).await;
            read.unwrap_or_else(|_| Err(too_long("a message was not finished")))?
        };
        let heard = if octets == 0 {
            Heard::End
        } else if let Some(tls) = &mut tls {
            let heard = tls.open(&buffer[..octets], |o| plain.extend_from_slice(o), &mut out);
            answer(&mut socket, &mut out).await?;
            heard?
        } else {
            plain.extend_from_slice(&buffer[..octets]);
            Heard::More
        };
        if heard == Heard::End {
            while let Some(length) = whole(&plain)? {
                let rest = plain.split_off(length);
                let _ = message(std::mem::replace(&mut plain, rest)).await;
            }
            return if plain.is_empty() {
                Ok(())
            } else {
                Err(broken("it ended within a message"))
            };
        }
    }
}

/// Agrees with the exporter; what it sends with the last word of that goes to `plain`.
async fn shake_hands(
    socket: &mut TcpStream,
    tls: &mut Layer,
    plain: &mut Vec<u8>,
) -> io::Result<()> {
    let mut buffer = vec![0; READ_OCTETS];
    let mut out = Vec::new();
    while tls.is_handshaking() {
        let octets = socket.read(&mut buffer).await?;
        if octets == 0 {
            return Err(broken("it ended before TLS was agreed on"));
        }
        let heard = tls.open(&buffer[..octets], |o| plain.extend_from_slice(o), &mut out);
        answer(socket, &mut out).await?;
        heard?;
    }
    Ok(())
}

/// Sends what TLS has to say.
async fn answer(socket: &mut TcpStream, out: &mut Vec<u8>) -> io::Result<()> {
    let sent = timeout(TLS_PATIENCE, socket.write_all(out)).await;
    out.clear();
    sent.unwrap_or_else(|_| Err(too_long("it did not read")))
}

/// Octets of the message at the beginning, if it is whole.
fn whole(octets: &[u8]) -> io::Result<Option<usize>> {
    let [a, b, c, d, ..] = octets else {
        return Ok(None);
    };
    let version = u16::from_be_bytes([*a, *b]);
    let length = usize::from(u16::from_be_bytes([*c, *d]));
    if version != ipfix::Protocol::Ipfix.version() {
        return Err(broken(&format!(
            "version {version} where a message of IPFIX should begin"
        )));
    }
    if length < HEADER_OCTETS {
        return Err(broken(&format!("a message of {length} octets")));
    }
    Ok((octets.len() >= length).then_some(length))
}

fn broken(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn too_long(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_by_their_own_length() {
        let message = |length: u16| [&[0, 10][..], &length.to_be_bytes(), &[0; 12]].concat();
        assert_eq!(whole(&[]).unwrap(), None);
        assert_eq!(whole(&message(16)[..3]).unwrap(), None);
        assert_eq!(whole(&message(16)[..15]).unwrap(), None);
        assert_eq!(whole(&message(16)).unwrap(), Some(16));
        assert_eq!(
            whole(&[message(16), message(20)].concat()).unwrap(),
            Some(16)
        );
        assert_eq!(whole(&message(u16::MAX)).unwrap(), None);
        for wrong in [&message(15)[..], b"GET / HTTP/1.1", &[0, 9, 0, 1]] {
            assert!(whole(wrong).is_err(), "{wrong:?}");
        }
    }
}
