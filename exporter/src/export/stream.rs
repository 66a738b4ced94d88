//! A connection to a collector: messages over TCP (RFC 7011 section 10.4), by TLS or not (section 11).
//!
//! A message goes out whole, or the connection is over: never does half of one precede another. At most
//! one waits here for the kernel, which takes little more than what is on its way. What the kernel took
//! and the other host did not acknowledge by the time a connection breaks may have arrived or not; that is
//! counted, and not sent again.

use super::account::{CollectorStatus, ConnectionState, Failures, TlsStatus};
use super::in_flight::InFlight;
use super::socket;
use crate::config::{self, Host, Transport};
use crate::ledger::Count;
use crate::observe;
use crate::tls::{Client, Heard, Layer};
use socket2::SockRef;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// How long one address gets to answer, and then TLS to agree.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
const TLS_PATIENCE: Duration = Duration::from_secs(10);
/// How long a collector gets to say, by TLS 1.3, that it takes what it was shown. Those that say nothing
/// (they need not) are believed to; a certificate that is refused is refused by then.
const ACCEPT_PATIENCE: Duration = Duration::from_millis(500);
/// How long a collector may take nothing before others stand in for it, and before the connection is
/// over.
const STALLED: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_mins(1);
/// How often it is looked, at the end, whether all has arrived.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Octets that a collector may send in one connection, where it should send none: beside the handshake of
/// TLS only. And how many are read in one go.
const MAY_SAY: u64 = 64 << 10;
const MAY_SAY_SEALED: u64 = 1 << 20;
const READ_AT_ONCE: usize = 64 << 10;

/// A connection, and what is on its way in it.
pub struct Stream {
    socket: TcpStream,
    peer: SocketAddr,
    tls: Option<Layer>,
    /// Octets for the kernel: those of a message, and what TLS has to say.
    out: Vec<u8>,
    /// How many of these it has taken.
    taken_of_out: usize,
    /// How many it has taken since the connection began.
    taken: u64,
    in_flight: InFlight,
    /// What the collector said: as it came, and of that what is no part of TLS.
    heard: u64,
    said: u64,
    /// It broke: what the kernel still has of it is not to arrive later.
    broke: bool,
    /// The collector was told that nothing more comes.
    shut: bool,
    status: Arc<Mutex<CollectorStatus>>,
}

impl Stream {
    /// Connects to the first of these addresses that answers. Must run in a tokio runtime.
    pub async fn connect(
        config: &config::Collector,
        addresses: &[SocketAddr],
        status: Arc<Mutex<CollectorStatus>>,
    ) -> io::Result<Self> {
        // Files first: without a good certificate nobody needs to be asked.
        let client = match config.transport {
            Transport::Tls => Some(client(config, &status).await?),
            Transport::Udp | Transport::Tcp => None,
        };
        let (socket, peer) = match connect_to_any(config, addresses).await {
            Ok(connected) => connected,
            Err(error) => {
                fail(&status, |failures| &mut failures.connect);
                return Err(error);
            }
        };
        let mut stream = Self {
            socket,
            peer,
            tls: None,
            out: Vec::new(),
            taken_of_out: 0,
            taken: 0,
            in_flight: InFlight::default(),
            heard: 0,
            said: 0,
            broke: false,
            shut: false,
            status,
        };
        if let Some(client) = client
            && let Err(error) = stream.secure(config, &client).await
        {
            fail(&stream.status, |failures| &mut failures.tls);
            return Err(super::in_words(&error, &format!("TLS with {peer}")));
        }
        let mut status = super::lock(&stream.status);
        if let Some(connection) = &mut status.connection {
            connection.made += 1;
        }
        status.connection_is(ConnectionState::Connected, super::now_ms());
        drop(status);
        Ok(stream)
    }

    /// Whom it leads to.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Where it comes from.
    pub fn source(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Agrees with the collector by TLS.
    async fn secure(&mut self, config: &config::Collector, client: &Client) -> io::Result<()> {
        let name = server_name(config);
        let layer = client.connect(&name).map_err(in_file)?;
        self.tls = Some(layer);
        match timeout(TLS_PATIENCE, self.shake_hands()).await {
            Ok(agreed) => agreed?,
            Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer")),
        }
        let facts = self.tls.as_ref().and_then(Layer::facts);
        if let (Some(facts), Some(connection)) = (facts, &mut super::lock(&self.status).connection)
        {
            connection.tls = Some(TlsStatus {
                version: facts.version,
                cipher: facts.cipher,
                server_name: name,
                certificate_expires_ms: client.expires_ms,
            });
        }
        Ok(())
    }

    async fn shake_hands(&mut self) -> io::Result<()> {
        while let Some(tls) = &mut self.tls
            && tls.is_handshaking()
        {
            tls.take(&mut self.out)?;
            self.flush().await?;
            if self.tls.as_ref().is_some_and(Layer::is_handshaking) {
                self.socket.readable().await?;
                self.listen()?;
            }
        }
        self.flush().await?;
        // By TLS 1.3 the handshake is over for this side before the other has seen its certificate.
        let accepted = async {
            while !self.tls.as_ref().is_some_and(Layer::is_accepted) {
                self.socket.readable().await?;
                self.listen()?;
            }
            Ok(())
        };
        timeout(ACCEPT_PATIENCE, accepted).await.unwrap_or(Ok(()))
    }

    /// Gives a message to the kernel, all of it. Where the answer is an error the connection is over, and
    /// what of the message arrived is none to the collector.
    pub async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let sent = self.try_send(message).await;
        sent.map_err(|error| self.broken(&error))
    }

    async fn try_send(&mut self, message: &[u8]) -> io::Result<()> {
        self.listen()?;
        match &mut self.tls {
            Some(tls) => tls.seal(message, &mut self.out)?,
            None => self.out.extend_from_slice(message),
        }
        self.flush().await
    }

    /// Notes what the message had that was sent last.
    pub fn carried(&mut self, records: u64, count: Count) {
        self.in_flight.sent(self.taken, records, count);
        if self.in_flight.are_many() {
            self.look();
        }
    }

    /// Waits until the connection is over, and says why. May be given up at any time.
    pub async fn ended(&mut self) -> io::Error {
        loop {
            let heard = match self.socket.readable().await {
                // What TLS answers may wait for the next message, where the kernel has no room.
                Ok(()) => self.listen().and_then(|()| self.push()),
                Err(error) => Err(error),
            };
            if let Err(error) = heard {
                return self.broken(&error);
            }
        }
    }

    /// Brings up to date what is told of the connection.
    pub fn look(&mut self) {
        let unacknowledged = observe::unacknowledged(&self.socket).unwrap_or(0);
        let unacknowledged = unacknowledged.saturating_sub(u64::from(self.shut));
        self.in_flight
            .arrived(self.taken.saturating_sub(unacknowledged));
        let waiting = unacknowledged + (self.out.len() - self.taken_of_out) as u64;
        if let Some(connection) = &mut super::lock(&self.status).connection {
            connection.waiting_octets = waiting;
        }
    }

    /// Ends the connection in order: says so, and waits until all has arrived, but no longer than
    /// `patience`.
    pub async fn close(mut self, patience: Duration) {
        let in_order = async {
            if let Some(tls) = &mut self.tls {
                tls.close(&mut self.out);
            }
            self.flush().await?;
            SockRef::from(&self.socket).shutdown(std::net::Shutdown::Write)?;
            self.shut = true;
            while observe::unacknowledged(&self.socket).is_some_and(|octets| octets > 0) {
                let _ = timeout(LOOK_AGAIN, self.socket.readable()).await;
                match self.listen() {
                    // Where the collector ends its side too, there may be more on its way to it.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                        tokio::time::sleep(LOOK_AGAIN).await;
                    }
                    heard => heard?,
                }
            }
            Ok::<_, io::Error>(())
        };
        // What has not arrived by then is counted when the connection is dropped.
        let _ = timeout(patience, in_order).await;
    }

    /// Gives the kernel all there is for it.
    async fn flush(&mut self) -> io::Result<()> {
        let mut since = Instant::now();
        let mut before = self.taken;
        loop {
            self.push()?;
            if self.out.is_empty() {
                self.stalled(false);
                return Ok(());
            }
            if self.taken != before {
                (since, before) = (Instant::now(), self.taken);
            }
            let waited = since.elapsed();
            if waited >= PATIENCE {
                let text = format!("it took nothing for {} s", PATIENCE.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            self.stalled(waited >= STALLED);
            let next = if waited < STALLED { STALLED } else { PATIENCE };
            let ready = self.socket.ready(Interest::READABLE | Interest::WRITABLE);
            if let Ok(ready) = timeout(next.saturating_sub(waited), ready).await
                && ready?.is_readable()
            {
                self.listen()?;
            }
        }
    }

    /// Gives the kernel what it takes at once.
    fn push(&mut self) -> io::Result<()> {
        while self.taken_of_out < self.out.len() {
            match self.socket.try_write(&self.out[self.taken_of_out..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(octets) => {
                    self.taken_of_out += octets;
                    self.taken += octets as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.taken_of_out = 0;
        Ok(())
    }

    /// Reads what the collector sends, which is of use to TLS alone.
    fn listen(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        for _ in 0..READ_AT_ONCE / buffer.len() {
            let octets = match self.socket.try_read(&mut buffer) {
                Ok(0) => return Err(closed()),
                Ok(octets) => octets,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.hear(&buffer[..octets])?;
        }
        Ok(())
    }

    fn hear(&mut self, octets: &[u8]) -> io::Result<()> {
        let before = self.said;
        let said = &mut self.said;
        self.heard += octets.len() as u64;
        let heard = if let Some(tls) = &mut self.tls {
            tls.open(octets, |plain| *said += plain.len() as u64, &mut self.out)
        } else {
            *said += octets.len() as u64;
            Ok(Heard::More)
        };
        if let Some(connection) = &mut super::lock(&self.status).connection {
            connection.received_octets += self.said - before;
        }
        match heard {
            Ok(Heard::More) => {}
            Ok(Heard::End) => return Err(closed()),
            Err(error) => {
                // So that the collector knows why. It may not.
                let _ = self.push();
                return Err(error);
            }
        }
        if self.said > MAY_SAY || self.heard > MAY_SAY_SEALED {
            let text = "it sends without end, where a collector has nothing to say";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(())
    }

    fn stalled(&self, stalled: bool) {
        let mut status = super::lock(&self.status);
        let is = status
            .connection
            .as_ref()
            .map(|connection| connection.state);
        match (is, stalled) {
            (Some(ConnectionState::Connected), true) => {
                status.connection_is(ConnectionState::Stalled, super::now_ms());
            }
            (Some(ConnectionState::Stalled), false) => {
                status.connection_is(ConnectionState::Connected, super::now_ms());
            }
            _ => {}
        }
    }

    /// Notes that the connection is over, and says it with whom.
    fn broken(&mut self, error: &io::Error) -> io::Error {
        self.broke = true;
        fail(&self.status, |failures| match error.kind() {
            io::ErrorKind::UnexpectedEof => &mut failures.closed,
            io::ErrorKind::TimedOut => &mut failures.timed_out,
            io::ErrorKind::InvalidData if self.tls.is_some() => &mut failures.tls,
            _ => &mut failures.broken,
        });
        super::in_words(error, &format!("the connection to {}", self.peer))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.look();
        if self.broke {
            let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        }
        let (records, count) = self.in_flight.total();
        let mut status = super::lock(&self.status);
        status.connection_is(ConnectionState::Connecting, super::now_ms());
        if let Some(connection) = &mut status.connection {
            connection.waiting_octets = 0;
        }
        status.leave_unacknowledged(records, count);
        if records > 0 {
            tracing::warn!(
                collector = status.name,
                records,
                packets = count.packets,
                "a connection ended before the collector's host had acknowledged these"
            );
        }
    }
}

/// The files of a collector by TLS, as they are now.
async fn client(config: &config::Collector, status: &Mutex<CollectorStatus>) -> io::Result<Client> {
    let files = config.tls.clone();
    let read = tokio::task::spawn_blocking(move || Client::new(&files)).await;
    read.map_err(io::Error::other)?.map_err(|problem| {
        fail(status, |failures| &mut failures.tls);
        in_file(problem)
    })
}

fn in_file(problem: crate::tls::Problem) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, problem.text)
}

/// Whom the collector's certificate has to be for.
fn server_name(config: &config::Collector) -> String {
    config
        .tls
        .server_name
        .clone()
        .unwrap_or_else(|| match &config.address.host {
            Host::Address(address) => address.to_string(),
            // No name in a certificate ends with a dot.
            Host::Name(name) => name.strip_suffix('.').unwrap_or(name).to_owned(),
        })
}

/// A connection to the first of these addresses that takes one, and which it is. Where none does, the
/// error is that of the first.
async fn connect_to_any(
    config: &config::Collector,
    addresses: &[SocketAddr],
) -> io::Result<(TcpStream, SocketAddr)> {
    let mut error = None;
    for &peer in addresses {
        let no_answer = || {
            let text = format!("no answer from {peer} in {} s", CONNECT_PATIENCE.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        };
        let connected = timeout(CONNECT_PATIENCE, connect(config, peer)).await;
        let connected = connected.unwrap_or_else(|_| no_answer());
        match connected {
            Ok(socket) => return Ok((socket, peer)),
            Err(e) => error = error.or(Some(e)),
        }
    }
    Err(error.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

async fn connect(config: &config::Collector, peer: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket::for_connection(config, peer, PATIENCE)?;
    let connected = TcpSocket::from_std_stream(socket).connect(peer).await;
    connected.map_err(|e| super::in_words(&e, &format!("cannot connect to {peer}")))
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the collector has closed it")
}

fn fail(status: &Mutex<CollectorStatus>, which: impl Fn(&mut Failures) -> &mut u64) {
    if let Some(connection) = &mut super::lock(status).connection {
        *which(&mut connection.failures) += 1;
    }
}
