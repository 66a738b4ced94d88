//! The way to a collector, datagrams or a connection, and the Transport Sessions over it.

use super::account::CollectorStatus;
use super::datagrams::{Attempts, Datagrams, Fate};
use super::layouts::Layouts;
use super::pacing::Pace;
use super::resolver::{Resolver, look_up};
use super::socket::{self, SAFE_MESSAGE_OCTETS};
use super::stream::Stream;
use crate::config::{self, STREAM_MESSAGE_OCTETS};
use crate::ledger::Count;
use ipfix::{Layout, Message, MessageWriter, Protocol, Session, SessionOptions, TemplateSchedule};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

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

/// What outlives a UDP socket: the sessions over the next one go on with it. A connection leaves nothing.
#[derive(Clone, Copy, Default, Debug)]
pub struct Continuity {
    /// The source port: collectors tell exporters apart by it.
    port: u16,
    data_sequence: u32,
    process_sequence: u32,
}

/// A way to a collector and the sessions over it.
pub struct Transport {
    carrier: Carrier,
    data: Session,
    /// `None` where the process shares the domain of `data`.
    process: Option<Session>,
    pace: Pace,
    buffer: Vec<u8>,
    status: Arc<Mutex<CollectorStatus>>,
    continuity: Continuity,
}

/// What carries the messages.
enum Carrier {
    Datagrams(Datagrams),
    Stream(Stream),
}

impl Transport {
    /// Opens a way to where the collector is now: to the first of its addresses for which there is
    /// one. Must run in a tokio runtime.
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
        let carrier = if config.transport.is_stream() {
            Carrier::Stream(Stream::connect(config, &addresses, status.clone()).await?)
        } else {
            let kept_port = super::lock(continuity).port;
            let datagrams = Datagrams::open(config, &addresses, kept_port, status.clone())?;
            Carrier::Datagrams(datagrams)
        };
        let (peer, source, max_message, pace, continuity) = match &carrier {
            Carrier::Datagrams(datagrams) => {
                let source = datagrams.source()?;
                // Only now: nobody else sends from this port any more.
                let mut continuity = *super::lock(continuity);
                continuity.port = source.port();
                let path = || datagrams.path_message().unwrap_or(SAFE_MESSAGE_OCTETS);
                let max_message = config.max_message_size.unwrap_or_else(path);
                let pace = Pace::new(config.rate_limit, Instant::now())?;
                (datagrams.peer(), source, max_message, pace, continuity)
            }
            // A Transport Session of its own (RFC 7011 section 2): it counts from 0.
            Carrier::Stream(stream) => (
                stream.peer(),
                stream.source()?,
                config.max_message_size.unwrap_or(STREAM_MESSAGE_OCTETS),
                Pace::of_a_connection(config.rate_limit, Instant::now())?,
                Continuity::default(),
            ),
        };
        resolver.uses(peer);
        {
            let mut status = super::lock(&status);
            status.peer = Some(peer);
            status.source = Some(source);
            status.max_message = max_message;
        }
        let options = |observation_domain, first_sequence| {
            let (protocol, domain) = (config.protocol, observation_domain);
            let usual = match &carrier {
                Carrier::Datagrams(_) => SessionOptions {
                    templates: schedule(config),
                    ..SessionOptions::udp(protocol, domain, system_init_ms)
                },
                Carrier::Stream(_) => SessionOptions::reliable(protocol, domain, system_init_ms),
            };
            SessionOptions {
                max_message,
                first_sequence,
                ..usual
            }
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
        Ok(Self {
            carrier,
            data,
            process,
            pace,
            buffer: Vec::new(),
            status,
            continuity,
        })
    }

    /// Where it sends to.
    pub fn peer(&self) -> SocketAddr {
        match &self.carrier {
            Carrier::Datagrams(datagrams) => datagrams.peer(),
            Carrier::Stream(stream) => stream.peer(),
        }
    }

    /// Octets of a message at most.
    pub fn max_message(&self) -> u16 {
        self.data.options().max_message
    }

    /// What the sessions over the next socket go on with.
    pub fn continuity(&self) -> Continuity {
        match self.carrier {
            Carrier::Datagrams(_) => Continuity {
                data_sequence: self.data.sequence(),
                process_sequence: self.process.as_ref().map_or(0, Session::sequence),
                ..self.continuity
            },
            Carrier::Stream(_) => Continuity::default(),
        }
    }

    /// Whether the collector refused for a while and does no more, since this was asked last: it may
    /// have begun anew, and know nothing.
    pub fn came_back(&mut self) -> bool {
        match &mut self.carrier {
            Carrier::Datagrams(datagrams) => datagrams.came_back(),
            Carrier::Stream(_) => false,
        }
    }

    /// Whether it may be that the collector is not there.
    pub fn is_in_doubt(&self) -> bool {
        match &self.carrier {
            Carrier::Datagrams(datagrams) => datagrams.is_in_doubt(),
            Carrier::Stream(_) => false,
        }
    }

    /// Whether the path takes less by now than the messages have.
    pub fn is_too_large_for_path(&self) -> bool {
        match &self.carrier {
            Carrier::Datagrams(datagrams) => datagrams.is_too_large_for_path(self.max_message()),
            Carrier::Stream(_) => false,
        }
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
    /// starts at this very moment understands it. Where the answer is an error, nothing was sent; a
    /// connection is then over. One of [`io::ErrorKind::WouldBlock`] says that there was no room for a
    /// datagram so far. A connection waits until there is.
    pub async fn send<T>(
        &mut self,
        of: Of,
        mut fill: impl FnMut(&mut MessageWriter<'_>) -> T,
    ) -> io::Result<T> {
        self.pace.turn().await?;
        self.doubt_again();
        let mut attempts = Attempts::new(self.max_message());
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
            let fate = match &mut self.carrier {
                Carrier::Datagrams(datagrams) => {
                    datagrams.send(&self.buffer, &mut attempts).await?
                }
                Carrier::Stream(stream) => {
                    stream.send(&self.buffer).await?;
                    Fate::Sent
                }
            };
            match fate {
                Fate::Sent => {
                    self.note_sent(of, message);
                    return Ok(filled);
                }
                Fate::Again => {}
                Fate::AgainWithTemplates => self.resend_templates(),
            }
        }
    }

    /// Notes which records were in the message that was sent last.
    pub fn carried(&mut self, records: usize, count: Count) {
        if let Carrier::Stream(stream) = &mut self.carrier {
            stream.carried(records as u64, count);
        }
    }

    /// Waits until a connection is over, and says why; datagrams have none. May be given up at any time.
    pub async fn ended(&mut self) -> io::Error {
        match &mut self.carrier {
            Carrier::Datagrams(_) => std::future::pending().await,
            Carrier::Stream(stream) => stream.ended().await,
        }
    }

    /// Brings up to date what is told of a connection.
    pub fn look(&mut self) {
        if let Carrier::Stream(stream) = &mut self.carrier {
            stream.look();
        }
    }

    /// Ends it in order: what is on its way in a connection arrives, if that takes no longer than
    /// `patience`.
    pub async fn close(self, patience: Duration) {
        if let Carrier::Stream(stream) = self.carrier {
            stream.close(patience).await;
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

    /// Sends templates again and again to a collector that may be about to come back.
    pub fn doubt_again(&mut self) {
        if let Carrier::Datagrams(datagrams) = &mut self.carrier
            && datagrams.doubt_again()
        {
            self.resend_templates();
        }
    }

    fn resend_templates(&mut self) {
        self.data.resend_templates();
        if let Some(process) = &mut self.process {
            process.resend_templates();
        }
    }
}

/// The local address that messages to the collector come from, by the routing; nothing is sent.
pub async fn address_facing(config: &config::Collector) -> io::Result<IpAddr> {
    let port = config.address.port.get();
    let peers = look_up(&config.address.host, port, config.source_address).await?;
    let peer = peers.first().ok_or(io::ErrorKind::NotFound)?;
    socket::local_address(config, *peer)
}

/// When templates are sent over UDP.
fn schedule(config: &config::Collector) -> TemplateSchedule {
    TemplateSchedule {
        every_ms: Some(millis(config.template_interval)),
        every_messages: match config.template_messages {
            0 => None,
            messages => Some(messages.into()),
        },
        ..TemplateSchedule::udp()
    }
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
