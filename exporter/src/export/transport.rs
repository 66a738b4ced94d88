//! A UDP socket towards a collector and the Transport Sessions over it.

use super::account::CollectorStatus;
use super::layouts::Layouts;
use super::pacing::Bucket;
use crate::config::{self, Host};
use ipfix::{Layout, MessageWriter, Protocol, Session, SessionOptions, TemplateSchedule};
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZero;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// Datagrams a second: about half a million records.
const DATAGRAMS_PER_SECOND: f64 = 32_000.0;
/// Datagrams at once: what an untuned receive buffer of Linux (208 KiB) holds, with room to spare.
const BURST: f64 = 48.0;
/// IP and UDP headers before a message.
const IPV4_UDP_OCTETS: u16 = 28;
const IPV6_UDP_OCTETS: u16 = 48;
/// The most octets of a message, whatever the path takes: some collectors read no more than 10,000.
const MESSAGE_OCTETS: u16 = 8_952;
/// Where the path's MTU cannot be told (RFC 7011 section 10.3.3).
const SAFE_MESSAGE_OCTETS: u16 = 512;
const SEND_BUFFER_OCTETS: usize = 4 << 20;
/// Attempts for one message where the socket reports the fate of earlier ones, or has no memory.
const ATTEMPTS: usize = 3;
/// How long the system gets to find memory for a datagram.
const NO_BUFFER_PAUSE: Duration = Duration::from_millis(20);
/// The observation domain of what concerns the whole Exporting Process (RFC 7011 section 3.1).
const PROCESS_DOMAIN: u32 = 0;

/// Which of the two sessions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Of {
    /// Records, and the sampling that applies to them.
    Data,
    /// What concerns the whole process.
    Process,
}

/// What outlives a socket: the sessions over the next one go on with it.
#[derive(Clone, Copy, Default, Debug)]
pub struct Continuity {
    /// The source port: collectors tell exporters apart by it.
    port: u16,
    data_sequence: u32,
    process_sequence: u32,
}

/// A connected socket and the sessions over it.
pub struct Transport {
    socket: UdpSocket,
    peer: SocketAddr,
    data: Session,
    /// `None` where the process shares the domain of `data`.
    process: Option<Session>,
    datagrams: Bucket,
    records: Option<Bucket>,
    buffer: Vec<u8>,
    status: Arc<Mutex<CollectorStatus>>,
    continuity: Continuity,
}

impl Transport {
    /// Opens a socket to where the collector is now. Must run in a tokio runtime.
    ///
    /// Errors say what is wrong with which key, where it is one.
    pub async fn open(
        config: &config::Collector,
        domain: u32,
        system_init_ms: u64,
        layouts: &Layouts,
        status: Arc<Mutex<CollectorStatus>>,
        continuity: &Mutex<Continuity>,
    ) -> io::Result<Self> {
        let peer = resolve(config).await?;
        let kept_port = super::lock(continuity).port;
        let socket = bind(config, peer, kept_port)?;
        // Only now: nobody else sends from this port any more.
        let mut continuity = *super::lock(continuity);
        socket.connect(&peer.into())?;
        let source = socket.local_addr()?.as_socket();
        continuity.port = source.map_or(0, |source| source.port());
        let max_message = match config.max_message_size {
            Some(size) => size,
            None => path_message(&socket, peer).unwrap_or(SAFE_MESSAGE_OCTETS),
        };
        let socket = UdpSocket::from_std(std::net::UdpSocket::from(socket))?;
        {
            let mut status = super::lock(&status);
            status.peer = Some(peer);
            status.source = source;
            status.max_message = max_message;
        }
        let options = |observation_domain, first_sequence| SessionOptions {
            max_message,
            first_sequence,
            templates: TemplateSchedule {
                every_ms: Some(millis(config.template_interval)),
                every_messages: match config.template_messages {
                    0 => None,
                    messages => Some(messages.into()),
                },
                ..TemplateSchedule::udp()
            },
            ..SessionOptions::udp(config.protocol, observation_domain, system_init_ms)
        };
        let mut data = Session::new(options(domain, continuity.data_sequence));
        for layout in layouts.records() {
            register(&mut data, layout);
        }
        if let Some(layout) = &layouts.system_init {
            register(&mut data, layout);
        }
        // NetFlow v9 counts packets, not records, so that options in the same domain disturb no
        // collector's sequence check; and it knows no domain for the process.
        let apart = domain != PROCESS_DOMAIN && config.protocol == Protocol::Ipfix;
        let mut process =
            apart.then(|| Session::new(options(PROCESS_DOMAIN, continuity.process_sequence)));
        let session = process.as_mut().unwrap_or(&mut data);
        if let Some(layout) = &layouts.interfaces {
            register(session, layout);
        }
        if let Some(layout) = &layouts.metering {
            register(session, layout);
        }
        if let Some(layout) = &layouts.statistics {
            register(session, layout);
        }
        if let Some(layout) = &layouts.not_sent {
            register(session, layout);
        }
        if let Some(layout) = &layouts.flow_keys {
            register(session, layout);
        }
        let now = Instant::now();
        Ok(Self {
            socket,
            peer,
            data,
            process,
            datagrams: Bucket::new(DATAGRAMS_PER_SECOND, BURST, now),
            records: config.rate_limit.map(|limit| {
                let per_second = f64::from(limit.get());
                Bucket::new(per_second, per_second / 10.0, now)
            }),
            buffer: Vec::new(),
            status,
            continuity,
        })
    }

    /// Where it sends to.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Octets of a message at most.
    pub fn max_message(&self) -> u16 {
        self.data.options().max_message
    }

    /// What the sessions over the next socket go on with.
    pub fn continuity(&self) -> Continuity {
        Continuity {
            data_sequence: self.data.sequence(),
            process_sequence: self.process.as_ref().map_or(0, Session::sequence),
            ..self.continuity
        }
    }

    /// Whether the path takes less by now than the messages have.
    pub fn is_too_large_for_path(&self) -> bool {
        path_message(&self.socket, self.peer).is_some_and(|octets| octets < self.max_message())
    }

    /// The session in which messages of this kind go.
    pub fn session(&mut self, of: Of) -> &mut Session {
        match &mut self.process {
            Some(process) if of == Of::Process => process,
            _ => &mut self.data,
        }
    }

    /// Makes a layout known to a session.
    pub fn register<R: 'static>(&mut self, of: Of, layout: &Layout<R>) {
        register(self.session(of), layout);
    }

    /// Sends templates that are due.
    pub async fn send_templates(&mut self) -> io::Result<()> {
        for of in [Of::Data, Of::Process] {
            if self.session(of).templates_due(super::now_ms()) {
                self.send(of, |_| ()).await?;
            }
        }
        Ok(())
    }

    /// Sends a message that `fill` writes, if it writes anything; the answer of `fill` tells what.
    ///
    /// `fill` is called again where the socket reports meanwhile that an earlier datagram was
    /// refused: the message is then built anew with the templates in it, so that a collector that
    /// starts at this very moment understands it. Where the answer is an error, nothing was sent.
    pub async fn send<T>(
        &mut self,
        of: Of,
        mut fill: impl FnMut(&mut MessageWriter<'_>) -> T,
    ) -> io::Result<T> {
        self.pace().await;
        let mut attempt = 1;
        loop {
            if let Some(error) = self.socket.take_error()? {
                self.heard(error)?;
            }
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.clear();
            let mut writer = self.session(of).begin(&mut buffer, super::now_ms());
            let filled = fill(&mut writer);
            let message = writer.finish();
            self.buffer = buffer;
            let Some(message) = message else {
                return Ok(filled);
            };
            match self.socket.send(&self.buffer).await {
                Ok(_) => {
                    self.datagrams.spend(1.0);
                    if let (Of::Data, Some(records)) = (of, &mut self.records) {
                        records.spend(f64::from(message.data_records()));
                    }
                    {
                        let mut status = super::lock(&self.status);
                        status.messages += 1;
                        status.octets += message.length() as u64;
                    }
                    // Begun last in its session, by construction.
                    let _ = self.session(of).commit(message);
                    return Ok(filled);
                }
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(error) if is_no_buffer(&error) => tokio::time::sleep(NO_BUFFER_PAUSE).await,
                Err(error) => self.heard(error)?,
            }
            attempt += 1;
        }
    }

    /// Waits until there may be another datagram.
    async fn pace(&mut self) {
        loop {
            let now = Instant::now();
            let mut wait = self.datagrams.wait(now);
            if let Some(records) = &mut self.records {
                wait = wait.max(records.wait(now));
            }
            if wait.is_zero() {
                return;
            }
            // The timer's grain.
            tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
        }
    }

    /// Takes note of an ICMP error that came back for an earlier datagram. Any other error is given
    /// back.
    fn heard(&mut self, error: io::Error) -> io::Result<()> {
        if !is_about_an_earlier_datagram(&error) {
            return Err(error);
        }
        {
            let mut status = super::lock(&self.status);
            status.refused += 1;
            let text = format!("nobody listens at {}: {error}", self.peer);
            // One line for an outage, not one for each answer.
            if status.last_error.as_ref() != Some(&text) {
                tracing::warn!(collector = status.name, "{text}");
                status.last_error = Some(text);
            }
        }
        // When the collector comes back it knows no templates.
        self.data.resend_templates();
        if let Some(process) = &mut self.process {
            process.resend_templates();
        }
        Ok(())
    }
}

/// The local address that datagrams to the collector come from, by the routing; nothing is sent.
pub async fn address_facing(config: &config::Collector) -> io::Result<IpAddr> {
    let peer = resolve(config).await?;
    let socket = Socket::new(Domain::for_address(peer), Type::DGRAM, None)?;
    socket.connect(&peer.into())?;
    socket
        .local_addr()?
        .as_socket()
        .map(|address| address.ip())
        .ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))
}

/// The collector's address now.
async fn resolve(config: &config::Collector) -> io::Result<SocketAddr> {
    let port = config.address.port.get();
    let name = match &config.address.host {
        Host::Address(address) => return Ok(SocketAddr::new(*address, port)),
        Host::Name(name) => name,
    };
    let mut found = tokio::net::lookup_host((name.as_str(), port))
        .await
        .map_err(|e| in_words(&e, &format!("cannot resolve {name}")))?;
    let source = config.source_address;
    found
        .find(|address| source.is_none_or(|source| source.is_ipv4() == address.is_ipv4()))
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                match source {
                    Some(source) => {
                        format!("{name} has no address that source-address {source} can reach")
                    }
                    None => format!("{name} has no address"),
                },
            )
        })
}

/// A socket with the source that is configured, or else the port that was used before.
fn bind(config: &config::Collector, peer: SocketAddr, kept_port: u16) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(peer), Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    // A larger buffer is a kindness, not a need.
    let _ = socket.set_send_buffer_size(SEND_BUFFER_OCTETS);
    let any = match peer {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let address = config.source_address.unwrap_or(any);
    let to = |port| socket.bind(&SocketAddr::new(address, port).into());
    let bound = match config.source_port.map(NonZero::get) {
        Some(port) => to(port).map_err(|e| match e.kind() {
            io::ErrorKind::AddrInUse => in_words(&e, &format!("source-port {port} is in use")),
            _ => e,
        }),
        None => to(kept_port).or_else(|_| to(0)),
    };
    bound.map_err(|e| match e.kind() {
        io::ErrorKind::AddrNotAvailable => in_words(
            &e,
            &format!("this host does not have source-address {address}"),
        ),
        _ => e,
    })?;
    Ok(socket)
}

/// Octets of a message that the path takes whole, as far as is known by now.
fn path_message(socket: &impl std::os::fd::AsRawFd, peer: SocketAddr) -> Option<u16> {
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

/// An ICMP error that came back for an earlier datagram: this one was not sent, and may be.
fn is_about_an_earlier_datagram(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::EPROTO | libc::EHOSTDOWN)
    )
}

fn is_no_buffer(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM))
}

fn register<R: 'static>(session: &mut Session, layout: &Layout<R>) {
    if let Err(error) = session.register(layout) {
        // Two layouts with one id: a defect of `layouts`, which its tests would show.
        tracing::error!(template = layout.template_id(), %error, "cannot register a template");
    }
}

fn in_words(error: &io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
