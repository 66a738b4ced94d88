//! The built-in collector: receives IPFIX and `NetFlow` v9 over UDP, from any number of exporters,
//! and prints the flows.
//!
//! [`bind`] takes the socket, [`Collector::run`] receives until it is told to stop. What is no
//! message, or cannot be read, is counted and told of once a second at most; nothing that comes in
//! ends it.
#![forbid(unsafe_code)]

mod exporters;
mod flow;
mod output;
mod summary;
mod table;

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket as StdUdpSocket};
use std::pin::pin;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{MissedTickBehavior, interval, timeout};

use exporters::Exporters;
use output::{Form, Writer};

pub use output::Output;
pub use summary::Summary;

/// Takes the socket. Datagrams wait there until [`Collector::run`] reads them.
///
/// Port 0 takes a free port; see [`Collector::local_addr`]. The address `[::]` takes IPv4 too.
pub fn bind(address: SocketAddr) -> Result<Collector, BindError> {
    let bind = || -> io::Result<Collector> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // Exporters send in bursts. The kernel gives less where its limit, net.core.rmem_max, is
        // lower, which is no error.
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let socket = StdUdpSocket::from(socket);
        Ok(Collector {
            address: socket.local_addr()?,
            socket,
        })
    };
    bind().map_err(|error| BindError { address, error })
}

const RECEIVE_BUFFER: usize = 8 << 20;

/// A collector that has its socket.
#[derive(Debug)]
pub struct Collector {
    socket: StdUdpSocket,
    address: SocketAddr,
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
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
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
        let (form, mut writer) = output.start()?;
        let socket = UdpSocket::from_std(self.socket)?;
        let mut receiver = Receiver {
            datagram: vec![0; MAX_DATAGRAM].into_boxed_slice(),
            exporters: Exporters::default(),
            form,
            printed: Vec::new(),
        };
        let mut shutdown = pin!(shutdown);
        let mut tick = interval(REPORT_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                result = &mut writer.result => return receiver.output_ended(flatten(result)),
                _ = tick.tick() => receiver.exporters.report(),
                permit = writer.chunks.reserve(), if !receiver.printed.is_empty() => {
                    // An error means that the thread has ended; its result comes next.
                    if let Ok(permit) = permit {
                        permit.send(std::mem::take(&mut receiver.printed));
                    }
                }
                ready = socket.readable(), if receiver.printed.len() < MAX_PRINTED => {
                    ready?;
                    receiver.receive(|buffer| socket.try_recv_from(buffer))?;
                }
            }
        }
        receiver.receive_rest(&socket.into_std()?)?;
        receiver.exporters.report();
        receiver.finish(writer).await
    }
}

/// The largest datagram there is.
const MAX_DATAGRAM: usize = 0xffff;
/// Datagrams read at once before anything else has its turn.
const BATCH: usize = 256;
/// Octets that wait for the output before the socket is left alone.
const MAX_PRINTED: usize = 1 << 20;
/// What went wrong is told this often at most.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// How long a reader may take for the rest of the output.
const OUTPUT_GRACE: Duration = Duration::from_secs(2);

struct Receiver {
    datagram: Box<[u8]>,
    exporters: Exporters,
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
                    let datagram = &self.datagram[..length];
                    self.exporters.datagram(source, datagram, |flow| {
                        self.form.line(flow, &mut self.printed);
                    });
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
        let summary = self.exporters.summary();
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
            Ok(error) => self.output_ended(error),
            Err(_) => {
                tracing::warn!("nobody takes the rest of the output; it is given up");
                Ok(Ending::Shutdown(summary))
            }
        }
    }

    fn output_ended(&self, result: io::Result<()>) -> io::Result<Ending> {
        match result {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                let message = format!("cannot write the flows: {error}");
                Err(io::Error::new(error.kind(), message))
            }
            _ => Ok(Ending::OutputClosed(self.exporters.summary())),
        }
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
    /// What the system says.
    pub error: io::Error,
}

impl fmt::Display for BindError {
    /// What, where, and what to do, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, error } = self;
        write!(f, "cannot listen on UDP {address}: ")?;
        match error.kind() {
            ErrorKind::AddrInUse => write!(
                f,
                "the port is in use; stop the collector that listens there (ss -lunp shows it) or \
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
