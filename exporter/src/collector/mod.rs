//! The built-in collector: receives IPFIX, `NetFlow` v9 and v5 over UDP, or IPFIX over TCP and TLS, from
//! any number of exporters, prints the flows, and stores what it receives in an IPFIX File.
//!
//! ```text
//!  UDP ---------+
//!  Connections -+-> Receiver -> Exporters::decode -+-> Storage             -> file
//!                                        |                           |
//!                                        +-> Exporters::flows        v
//!                                                   |            Printer -> Exporters::decode, flows
//!                                                   v                              |
//!                                            Output: lines  <----------------------+
//! ```
//!
//! [`bind`] takes the socket, [`Collector::run`] receives until it is told to stop. What is no
//! message, or cannot be read, is counted and told of once a second at most; nothing that comes in
//! ends it. [`Storage`] is the file, [`Printer`] reads files.
#![forbid(unsafe_code)]

mod connections;
mod csv;
mod exporters;
mod file;
mod flow;
mod output;
mod rate;
mod show;
mod storage;
mod summary;
mod table;
mod trouble;

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener as StdTcpListener, UdpSocket as StdUdpSocket};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ipfix::{Origin, Transport};
use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{MissedTickBehavior, interval, timeout};

use connections::{Connections, Event};
use exporters::{Exporters, Sender};
use output::{Form, Writer};
use rate::{Rate, Traffic};
use show::Shown;
use trouble::Trouble;

use crate::record::UnixTime;
use crate::tls;

pub use file::Printer;
pub(crate) use output::Lines;
pub use output::{Output, table};
pub use storage::{CreateError, Storage, StorageSummary};
pub use summary::{Gap, Summary};

/// Takes the socket. Datagrams wait there until [`Collector::run`] reads them.
///
/// Port 0 takes a free port; see [`Collector::local_addr`]. The address `[::]` takes IPv4 too.
pub fn bind(address: SocketAddr) -> Result<Collector, BindError> {
    let bind = || -> io::Result<Collector> {
        let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
        // Exporters send in bursts. The kernel gives less where its limit, net.core.rmem_max, is
        // lower, which is no error.
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.bind(&address.into())?;
        let socket = StdUdpSocket::from(socket);
        Ok(Collector::at(
            socket.local_addr()?,
            Listening::Datagrams(socket),
        ))
    };
    bind().map_err(|error| BindError {
        address,
        over: "UDP",
        error,
    })
}

/// Takes the socket that connections come to, by TLS where that is given.
///
/// Port 0 takes a free port; see [`Collector::local_addr`]. The address `[::]` takes IPv4 too.
pub fn bind_connections(address: SocketAddr, tls: Option<Tls>) -> Result<Collector, BindError> {
    let bind = || -> io::Result<Collector> {
        let socket = socket(address, Type::STREAM, Protocol::TCP)?;
        // Connections of a collector before this one may linger.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let socket = StdTcpListener::from(socket);
        Ok(Collector::at(
            socket.local_addr()?,
            Listening::Connections(socket, tls.map(|tls| tls.0)),
        ))
    };
    bind().map_err(|error| BindError {
        address,
        over: "TCP",
        error,
    })
}

/// A socket for this address that is not bound yet.
fn socket(address: SocketAddr, form: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), form, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A certificate and a key for connections by TLS, and whether exporters need one.
#[derive(Clone, Debug)]
pub struct Tls(Arc<ServerConfig>);

impl Tls {
    /// From PEM files. With `ca`, exporters have to show a certificate that comes from one of those in it.
    ///
    /// # Errors
    /// In one line: which file cannot be used, and why.
    pub fn load(certificate: &Path, key: &Path, ca: Option<&Path>) -> Result<Self, String> {
        let config = tls::server(certificate, key, ca).map_err(|problem| problem.to_string())?;
        Ok(Self(config))
    }
}

/// Connections that wait to be taken.
const BACKLOG: i32 = 128;

const RECEIVE_BUFFER: usize = 8 << 20;

/// A collector that has its socket.
#[derive(Debug)]
pub struct Collector {
    socket: Listening,
    address: SocketAddr,
    storage: Option<Storage>,
    view: View,
    show_rate: bool,
}

/// What it listens at.
#[derive(Debug)]
enum Listening {
    Datagrams(StdUdpSocket),
    Connections(StdTcpListener, Option<Arc<ServerConfig>>),
}

/// What is shown beside the flows, and how they are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Templates, when they are first used and when they have changed, and options go to stderr, a
    /// line each.
    pub templates: bool,
    /// Flows have estimates of what there was, `packets_scaled` and `bytes_scaled`: what was counted
    /// times the sampling interval that the exporter told; 1 where it told none.
    pub apply_sampling: bool,
}

/// How the run of a collector ended.
#[derive(Debug)]
pub enum Ending {
    /// It was told to; what it received until then is printed, as far as the reader took it.
    Shutdown(Summary),
    /// Nobody reads the output any more.
    OutputClosed(Summary),
}

impl Collector {
    fn at(address: SocketAddr, socket: Listening) -> Self {
        Self {
            address,
            socket,
            storage: None,
            view: View::default(),
            show_rate: false,
        }
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Stores what is received, too, and as it was sent.
    #[must_use]
    pub fn store_in(self, storage: Storage) -> Self {
        Self {
            storage: Some(storage),
            ..self
        }
    }

    /// With more to see.
    #[must_use]
    pub fn viewed(self, view: View) -> Self {
        Self { view, ..self }
    }

    /// With a line on stderr, which is a terminal, that says each second what comes in.
    #[must_use]
    pub fn showing_rate(self) -> Self {
        Self {
            show_rate: true,
            ..self
        }
    }

    /// Receives and prints flows until `shutdown` completes. What has arrived by then is still
    /// printed. If the output does not keep up, datagrams wait in the socket and are lost there
    /// when it is full, which the sequence numbers tell.
    ///
    /// Must be called in a tokio runtime with I/O and time. Fails when the output does, except for
    /// a closed pipe, or the socket cannot be read.
    pub async fn run(
        self,
        output: Output,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<Ending> {
        let (form, writer) = output.start()?;
        let transport = match &self.socket {
            Listening::Datagrams(_) => Transport::Unreliable,
            Listening::Connections(..) => Transport::Reliable,
        };
        let receiver = Receiver {
            datagram: vec![0; MAX_DATAGRAM].into_boxed_slice(),
            address: self.address,
            transport,
            exporters: Exporters::over(transport, self.view.apply_sampling),
            trouble: Trouble::default(),
            shown: self.view.templates.then(Shown::default),
            rate: self.show_rate.then(|| (Rate::default(), Instant::now())),
            traffic: Traffic::default(),
            storage: self.storage,
            form,
            printed: Vec::new(),
        };
        let source = match self.socket {
            Listening::Datagrams(socket) => Source::Datagrams(UdpSocket::from_std(socket)?),
            Listening::Connections(listener, tls) => {
                Source::Connections(Connections::at(listener, tls)?)
            }
        };
        receive(receiver, source, writer, shutdown).await
    }
}

/// Where messages come from.
enum Source {
    Datagrams(UdpSocket),
    Connections(Connections),
}

/// That something came.
enum Arrival {
    Datagrams,
    Event(Event),
}

impl Source {
    /// Waits for something to come. Dropped before it is done, it loses nothing.
    async fn next(&mut self) -> io::Result<Arrival> {
        match self {
            Self::Datagrams(socket) => socket.readable().await.map(|()| Arrival::Datagrams),
            Self::Connections(connections) => Ok(Arrival::Event(connections.next().await)),
        }
    }

    /// Takes what came.
    fn take(&mut self, arrival: Arrival, receiver: &mut Receiver) -> io::Result<()> {
        match (self, arrival) {
            (Self::Datagrams(socket), _) => receiver
                .receive(|buffer| socket.try_recv_from(buffer))
                .map(|_| ()),
            (Self::Connections(connections), Arrival::Event(event)) => {
                receiver.event(event, connections);
                Ok(())
            }
            (Self::Connections(_), Arrival::Datagrams) => Ok(()),
        }
    }

    /// Takes what has come by now; exporters that go on sending are not waited for.
    async fn take_rest(self, receiver: &mut Receiver) -> io::Result<()> {
        match self {
            Self::Datagrams(socket) => receiver.receive_rest(&socket.into_std()?),
            Self::Connections(mut connections) => {
                let end = Instant::now() + OUTPUT_GRACE;
                while Instant::now() < end
                    && let Some(event) = connections.rest(REST_PATIENCE).await
                {
                    receiver.event(event, &mut connections);
                }
                Ok(())
            }
        }
    }
}

/// Receives messages until `shutdown` completes.
async fn receive(
    mut receiver: Receiver,
    mut source: Source,
    mut writer: Writer,
    shutdown: impl Future<Output = ()>,
) -> io::Result<Ending> {
    let mut shutdown = pin!(shutdown);
    let mut tick = interval(REPORT_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            result = &mut writer.result => {
                return output_ended(flatten(result), receiver.summary());
            }
            _ = tick.tick() => receiver.tick(),
            permit = writer.chunks.reserve(), if !receiver.printed.is_empty() => {
                // An error means that the thread has ended; its result comes next.
                if let Ok(permit) = permit {
                    permit.send(std::mem::take(&mut receiver.printed));
                }
            }
            arrival = source.next(), if receiver.printed.len() < MAX_PRINTED => {
                source.take(arrival?, &mut receiver)?;
            }
        }
    }
    source.take_rest(&mut receiver).await?;
    receiver.clear_rate();
    receiver.trouble.report();
    receiver.finish(writer).await
}

/// The largest datagram there is.
const MAX_DATAGRAM: usize = 0xffff;
/// Datagrams read at once before anything else has its turn.
const BATCH: usize = 256;
/// Octets that wait for the output before the socket is left alone.
const MAX_PRINTED: usize = 1 << 20;
/// What went wrong is told this often at most, and what is stored gets into the file this often at
/// least.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// How long connections are silent before what has come is all.
const REST_PATIENCE: Duration = Duration::from_millis(100);
/// How long a reader may take for the rest of the output.
const OUTPUT_GRACE: Duration = Duration::from_secs(2);

struct Receiver {
    datagram: Box<[u8]>,
    /// Where it listens.
    address: SocketAddr,
    transport: Transport,
    exporters: Exporters,
    trouble: Trouble,
    shown: Option<Shown>,
    /// What was shown of the rate, and when.
    rate: Option<(Rate, Instant)>,
    traffic: Traffic,
    storage: Option<Storage>,
    form: Form,
    /// Lines that wait for the output.
    printed: Vec<u8>,
}

impl Receiver {
    /// Reads what has arrived, up to a batch. Whether there may be more.
    fn receive(
        &mut self,
        read: impl Fn(&mut [u8]) -> io::Result<(usize, SocketAddr)>,
    ) -> io::Result<bool> {
        for _ in 0..BATCH {
            match read(&mut self.datagram) {
                Ok((length, source)) => {
                    self.message(length, source);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                // Left over from a message we never sent; no reason to stop.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(error) => {
                    let message = format!("cannot read from the socket: {error}");
                    return Err(io::Error::new(error.kind(), message));
                }
            }
        }
        Ok(true)
    }

    /// Takes note of what happens at the connections. Those that go wrong are cut.
    fn event(&mut self, event: Event, connections: &mut Connections) {
        match event {
            Event::Opened(source) => self.exporters.begin(source),
            Event::Refused(source) => self.exporters.refuse(source),
            Event::Message(source, message) => {
                let length = message.len().min(self.datagram.len());
                self.datagram[..length].copy_from_slice(&message[..length]);
                if !self.message(length, source) {
                    // RFC 7011 section 9.1.
                    connections.cut(source);
                    self.exporters.end(source, false);
                }
            }
            Event::Closed(source, reason) => {
                self.exporters.end(source, reason.is_none());
                if let Some(reason) = reason {
                    self.trouble.broken(source, reason);
                }
            }
        }
    }

    /// Stores and prints the message in the buffer. Whether it was sound.
    fn message(&mut self, length: usize, source: SocketAddr) -> bool {
        // A socket for both families shows IPv4 addresses mapped.
        let source = SocketAddr::new(source.ip().to_canonical(), source.port());
        let octets = &self.datagram[..length];
        let decoded = match self.exporters.decode(Some(source), octets) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.trouble.garbage(source, &error);
                return false;
            }
        };
        let sound = decoded.errors().is_empty();
        self.trouble.note(source, &decoded);
        if let Some(storage) = &mut self.storage {
            let now = UnixTime::from(SystemTime::now());
            let origin = match self.transport {
                Transport::Unreliable => Origin::udp(source, self.address),
                Transport::Reliable => Origin::tcp(source, self.address),
            };
            storage.store(&origin, now, &decoded);
        }
        let sender = Sender::of(source, decoded.header());
        if let Some(shown) = &mut self.shown {
            crate::logging::tell(&shown.lines(sender, &decoded));
        }
        let printed = &mut self.printed;
        let traffic = &mut self.traffic;
        traffic.messages += 1;
        self.exporters
            .flows(Some(source), sender, &decoded, |flow| {
                traffic.flows += 1;
                traffic.packets = traffic.packets.saturating_add(flow.packets.unwrap_or(0));
                traffic.octets = traffic.octets.saturating_add(flow.bytes.unwrap_or(0));
                self.form.line(flow, printed);
            });
        sound
    }

    /// What is due once a second.
    fn tick(&mut self) {
        self.clear_rate();
        self.trouble.report();
        if let Some((rate, shown)) = &mut self.rate {
            let now = Instant::now();
            let line = rate.line(self.traffic, now - std::mem::replace(shown, now));
            crate::logging::tell(&line);
        }
        if let Some(storage) = &mut self.storage {
            storage.flush();
        }
    }

    /// Takes the rate's line away, for another line.
    fn clear_rate(&self) {
        if self.rate.is_some() {
            crate::logging::tell(&rate::CLEAR);
        }
    }

    /// Completes the file, if there is one, and says what was received.
    fn summary(&mut self) -> Summary {
        let now = UnixTime::from(SystemTime::now());
        Summary {
            storage: self.storage.take().map(|storage| storage.finish(now)),
            ..self.exporters.summary()
        }
    }

    /// Reads what has arrived before the shutdown: no more than the socket can hold, even if more
    /// keeps coming.
    fn receive_rest(&mut self, socket: &StdUdpSocket) -> io::Result<()> {
        const SMALLEST: usize = 16;
        for _ in 0..RECEIVE_BUFFER / SMALLEST / BATCH {
            if !self.receive(|buffer| socket.recv_from(buffer))? {
                break;
            }
        }
        Ok(())
    }

    async fn finish(mut self, writer: Writer) -> io::Result<Ending> {
        let Writer { chunks, mut result } = writer;
        let summary = self.summary();
        let rest = std::mem::take(&mut self.printed);
        let written = async {
            if !rest.is_empty() {
                // An error means that the thread has ended, which its result says better.
                let _ = chunks.send(rest).await;
            }
            drop(chunks);
            flatten((&mut result).await)
        };
        match timeout(OUTPUT_GRACE, written).await {
            Ok(Ok(())) => Ok(Ending::Shutdown(summary)),
            Ok(error) => output_ended(error, summary),
            Err(_) => {
                tracing::warn!("nobody takes the rest of the output; it is given up");
                Ok(Ending::Shutdown(summary))
            }
        }
    }
}

fn output_ended(result: io::Result<()>, summary: Summary) -> io::Result<Ending> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let message = format!("cannot write the flows: {error}");
            Err(io::Error::new(error.kind(), message))
        }
        _ => Ok(Ending::OutputClosed(summary)),
    }
}

/// A thread that ended without a word has panicked.
fn flatten<E>(result: Result<io::Result<()>, E>) -> io::Result<()> {
    result.unwrap_or_else(|_| Err(io::Error::other("the output's thread has ended")))
}

/// A socket that could not be had.
#[derive(Debug)]
pub struct BindError {
    /// The address that was wanted.
    pub address: SocketAddr,
    /// `UDP` or `TCP`.
    pub over: &'static str,
    /// What the system says.
    pub error: io::Error,
}

impl fmt::Display for BindError {
    /// What, where, and what to do, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            address,
            over,
            error,
        } = self;
        write!(f, "cannot listen on {over} {address}: ")?;
        match error.kind() {
            ErrorKind::AddrInUse => write!(
                f,
                "the port is in use; stop the collector that listens there (ss -lntup shows it) or \
                 choose another port"
            ),
            ErrorKind::AddrNotAvailable => write!(
                f,
                "this host does not have the address; choose one of its own, or 0.0.0.0 for all"
            ),
            ErrorKind::PermissionDenied => {
                write!(f, "ports below 1024 need privileges; choose a higher port")
            }
            _ => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
