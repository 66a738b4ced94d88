//! Messages to a collector over UDP (RFC 7011 section 10.3): each is a datagram.

use super::account::CollectorStatus;
use super::socket::{self, Trouble};
use crate::config;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// Attempts for one message where the socket reports the fate of earlier ones and cannot say of
/// which.
const ATTEMPTS: u32 = 3;
/// How long a message waits for room at a time.
const ROOM_PATIENCE: Duration = Duration::from_millis(500);
/// Between attempts where the device's queue is full, at first and at most.
const FIRST_NO_ROOM_PAUSE: Duration = Duration::from_millis(1);
const LAST_NO_ROOM_PAUSE: Duration = Duration::from_millis(32);
/// How long after the last ICMP error a collector may be without templates, and how often it is sent
/// them meanwhile. Hosts and routers send no more than one such error a second (RFC 1812 section
/// 4.3.2.8), so that what they do not answer may have been refused as well.
const DOUBT: Duration = Duration::from_secs(3);
const TEMPLATES_IN_DOUBT: Duration = Duration::from_millis(100);

/// A connected socket.
pub struct Datagrams {
    socket: UdpSocket,
    peer: SocketAddr,
    /// Whether messages are as long as the path takes.
    follows_path: bool,
    /// When the collector was last heard to refuse, and templates last sent because of that.
    doubt: Option<(Instant, Instant)>,
    /// The doubt is over, and nobody was told of it so far.
    came_back: bool,
    status: Arc<Mutex<CollectorStatus>>,
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// The kernel took it.
    Sent,
    /// It was not taken, and may be the next time.
    Again,
    /// So it is, and the collector may know no templates.
    AgainWithTemplates,
}

impl Datagrams {
    /// A socket to the first of these addresses for which there is a way, from the port that was used
    /// before if no other is configured. Must run in a tokio runtime.
    pub fn open(
        config: &config::Collector,
        addresses: &[SocketAddr],
        kept_port: u16,
        status: Arc<Mutex<CollectorStatus>>,
    ) -> io::Result<Self> {
        let (socket, peer) = socket::connect_to_any(config, addresses, kept_port)?;
        Ok(Self {
            socket: UdpSocket::from_std(socket)?,
            peer,
            follows_path: config.max_message_size.is_none(),
            doubt: None,
            came_back: false,
            status,
        })
    }

    /// Where they go.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Where they come from.
    pub fn source(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Octets of a message that the path takes whole, as far as is known.
    pub fn path_message(&self) -> Option<u16> {
        socket::path_message(&self.socket, self.peer)
    }

    /// Whether the path takes less by now than messages have, which are as long as it takes.
    pub fn is_too_large_for_path(&self, max_message: u16) -> bool {
        self.follows_path
            && self
                .path_message()
                .is_some_and(|octets| octets < max_message)
    }

    /// Whether the collector refused for a while and does no more, since this was asked last: it may
    /// have begun anew, and know nothing.
    pub fn came_back(&mut self) -> bool {
        std::mem::take(&mut self.came_back)
    }

    /// Whether it may be that the collector is not there.
    pub fn is_in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    /// Whether a collector that may be about to come back should be sent templates again.
    pub fn doubt_again(&mut self) -> bool {
        let Some((refused, told)) = self.doubt else {
            return false;
        };
        if refused.elapsed() > DOUBT {
            self.doubt = None;
            self.came_back = true;
            super::lock(&self.status).well = true;
            return false;
        }
        let again = told.elapsed() >= TEMPLATES_IN_DOUBT;
        if again {
            self.doubt = Some((refused, Instant::now()));
        }
        again
    }

    /// Gives a message to the kernel. Where the answer is an error, it was not taken; one of
    /// [`io::ErrorKind::WouldBlock`] says that there was no room for it so far.
    pub async fn send(&mut self, message: &[u8], attempts: &mut Attempts) -> io::Result<Fate> {
        // A connected socket gives back the errors of earlier datagrams before it takes another.
        let Err(error) = self.socket.try_send(message) else {
            return Ok(Fate::Sent);
        };
        match socket::trouble(&self.socket, &error) {
            Trouble::NoRoom => {
                self.note_no_room(&error);
                attempts.no_room.wait(&self.socket, &error).await?;
                Ok(Fate::Again)
            }
            Trouble::Refused(0) if attempts.number == ATTEMPTS => Err(error),
            Trouble::Refused(datagrams) => {
                attempts.number += u32::from(datagrams == 0);
                self.heard(&error, datagrams.max(1));
                Ok(Fate::AgainWithTemplates)
            }
            Trouble::TooLarge if !self.is_too_large_for_path(attempts.max_message) => {
                Ok(Fate::Again)
            }
            Trouble::TooLarge | Trouble::Other => Err(error),
        }
    }

    /// Takes note of ICMP errors that came back for earlier datagrams.
    fn heard(&mut self, error: &io::Error, datagrams: u64) {
        {
            let mut status = super::lock(&self.status);
            status.refused += datagrams;
            status.well = false;
            let text = format!("nobody listens at {}: {error}", self.peer);
            warn_once(&mut status, text);
        }
        // When the collector comes back it knows no templates.
        let now = Instant::now();
        self.doubt = Some((now, now));
    }

    /// Takes note that the way to the collector is slower than the records come. That a socket's
    /// buffer is full for a moment is nothing to speak of.
    fn note_no_room(&self, error: &io::Error) {
        if error.kind() != io::ErrorKind::WouldBlock {
            let mut status = super::lock(&self.status);
            status.errors += 1;
            let text = format!("no room in the queue of the way to {}: {error}", self.peer);
            warn_once(&mut status, text);
        }
    }
}

/// One line for an outage, not one for each answer.
fn warn_once(status: &mut CollectorStatus, text: String) {
    if status.last_error.as_ref() != Some(&text) {
        tracing::warn!(collector = status.name, "{text}");
        status.last_error = Some(text);
    }
}

/// The attempts to send one message.
pub struct Attempts {
    number: u32,
    /// Octets of a message at most.
    max_message: u16,
    no_room: NoRoom,
}

impl Attempts {
    /// None yet, for a message of at most so many octets.
    pub fn new(max_message: u16) -> Self {
        Self {
            number: 1,
            max_message,
            no_room: NoRoom::new(),
        }
    }
}

/// The wait for room for a message.
struct NoRoom {
    until: Instant,
    pause: Duration,
}

impl NoRoom {
    fn new() -> Self {
        Self {
            until: Instant::now() + ROOM_PATIENCE,
            pause: FIRST_NO_ROOM_PAUSE,
        }
    }

    /// Waits until there may be room; gives the error back when it took too long.
    async fn wait(&mut self, socket: &UdpSocket, error: &io::Error) -> io::Result<()> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if error.kind() == io::ErrorKind::WouldBlock {
            // The socket's own buffer: it says when.
            return match tokio::time::timeout(left, socket.writable()).await {
                Ok(writable) => writable,
                Err(_) => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        tokio::time::sleep(self.pause.min(left)).await;
        self.pause = LAST_NO_ROOM_PAUSE.min(self.pause * 2);
        Ok(())
    }
}
