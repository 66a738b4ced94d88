//! A UDP socket towards a collector and the Transport Sessions over it.

use super::account::CollectorStatus;
use super::layouts::Layouts;
use super::pacing::Pace;
use super::resolver::{Resolver, look_up};
use super::socket::{self, SAFE_MESSAGE_OCTETS, Trouble};
use crate::config;
use ipfix::{Layout, Message, MessageWriter, Protocol, Session, SessionOptions, TemplateSchedule};
use std::io;
use std::net::{IpAddr, SocketAddr};
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
    pace: Pace,
    /// Whether messages are as long as the path takes.
    follows_path: bool,
    buffer: Vec<u8>,
    /// When the collector was last heard to refuse, and templates last sent because of that.
    doubt: Option<(Instant, Instant)>,
    /// The doubt is over, and nobody was told of it so far.
    came_back: bool,
    status: Arc<Mutex<CollectorStatus>>,
    continuity: Continuity,
}

impl Transport {
    /// Opens a socket to where the collector is now: to the first of its addresses for which there is
    /// a way. Must run in a tokio runtime.
    ///
    /// Errors say what is wrong with which key, where it is one.
    pub async fn open(
        config: &config::Collector,
        domain: u32,
        system_init_ms: u64,
        layouts: &Layouts,
        status: Arc<Mutex<CollectorStatus>>,
        continuity: &Mutex<Continuity>,
        resolver: &mut Resolver,
    ) -> io::Result<Self> {
        let addresses = resolver.locate().await?;
        let kept_port = super::lock(continuity).port;
        let (socket, peer) = socket::connect_to_any(config, &addresses, kept_port)?;
        resolver.uses(peer);
        // Only now: nobody else sends from this port any more.
        let mut continuity = *super::lock(continuity);
        let source = socket.local_addr()?;
        continuity.port = source.port();
        let max_message = match config.max_message_size {
            Some(size) => size,
            None => socket::path_message(&socket, peer).unwrap_or(SAFE_MESSAGE_OCTETS),
        };
        let socket = UdpSocket::from_std(socket)?;
        {
            let mut status = super::lock(&status);
            status.peer = Some(peer);
            status.source = Some(source);
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
            pace: Pace::new(config.rate_limit, now)?,
            follows_path: config.max_message_size.is_none(),
            buffer: Vec::new(),
            doubt: None,
            came_back: false,
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

    /// Whether the collector refused for a while and does no more, since this was asked last: it may
    /// have begun anew, and know nothing.
    pub fn came_back(&mut self) -> bool {
        std::mem::take(&mut self.came_back)
    }

    /// Whether it may be that the collector is not there.
    pub fn is_in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    /// Whether the path takes less by now than the messages have.
    pub fn is_too_large_for_path(&self) -> bool {
        self.follows_path
            && socket::path_message(&self.socket, self.peer)
                .is_some_and(|octets| octets < self.max_message())
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
    /// starts at this very moment understands it. Where the answer is an error, nothing was sent. One
    /// of [`io::ErrorKind::WouldBlock`] says that there was no room for it so far.
    pub async fn send<T>(
        &mut self,
        of: Of,
        mut fill: impl FnMut(&mut MessageWriter<'_>) -> T,
    ) -> io::Result<T> {
        self.pace.turn().await?;
        self.doubt_again();
        let mut attempt = 1;
        let mut no_room = NoRoom::new();
        loop {
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.clear();
            let mut writer = self.session(of).begin(&mut buffer, super::now_ms());
            let filled = fill(&mut writer);
            let message = writer.finish();
            self.buffer = buffer;
            let Some(message) = message else {
                return Ok(filled);
            };
            // A connected socket gives back the errors of earlier datagrams before it takes another.
            let Err(error) = self.socket.try_send(&self.buffer) else {
                self.note_sent(of, message);
                return Ok(filled);
            };
            match socket::trouble(&self.socket, &error) {
                Trouble::NoRoom => {
                    self.note_no_room(&error);
                    no_room.wait(&self.socket, &error).await?;
                }
                Trouble::Refused(0) if attempt == ATTEMPTS => return Err(error),
                Trouble::Refused(datagrams) => {
                    attempt += u32::from(datagrams == 0);
                    self.heard(&error, datagrams.max(1));
                }
                // The kernel knows the path's MTU by now, and cuts what is longer.
                Trouble::TooLarge if !self.is_too_large_for_path() => {}
                Trouble::TooLarge | Trouble::Other => return Err(error),
            }
        }
    }

    /// The kernel took the message.
    fn note_sent(&mut self, of: Of, message: Message) {
        let records = match of {
            Of::Data => message.data_records(),
            Of::Process => 0,
        };
        self.pace.sent(message.length(), records);
        {
            let mut status = super::lock(&self.status);
            status.messages += 1;
            status.octets += message.length() as u64;
        }
        // Begun last in its session, by construction.
        let _ = self.session(of).commit(message);
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
        self.resend_templates();
    }

    /// Sends templates again and again to a collector that may be about to come back.
    pub fn doubt_again(&mut self) {
        if let Some((refused, told)) = self.doubt {
            if refused.elapsed() > DOUBT {
                self.doubt = None;
                self.came_back = true;
                super::lock(&self.status).well = true;
            } else if told.elapsed() >= TEMPLATES_IN_DOUBT {
                self.doubt = Some((refused, Instant::now()));
                self.resend_templates();
            }
        }
    }

    fn resend_templates(&mut self) {
        self.data.resend_templates();
        if let Some(process) = &mut self.process {
            process.resend_templates();
        }
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

/// The local address that datagrams to the collector come from, by the routing; nothing is sent.
pub async fn address_facing(config: &config::Collector) -> io::Result<IpAddr> {
    let port = config.address.port.get();
    let peers = look_up(&config.address.host, port, config.source_address).await?;
    let peer = peers.first().ok_or(io::ErrorKind::NotFound)?;
    socket::local_address(config, *peer)
}

fn register<R: 'static>(session: &mut Session, layout: &Layout<R>) {
    if let Err(error) = session.register(layout) {
        // Two layouts with one id: a defect of `layouts`, which its tests would show.
        tracing::error!(template = layout.template_id(), %error, "cannot register a template");
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
