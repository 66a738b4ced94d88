//! One collector: its queue, its Transport Session over UDP, its account of what was sent.
//!
//! The task of a collector never gives up. Where there is no address, no route or no answer it
//! tries again; what does not fit its queue meanwhile is counted and left out.

use super::batch::Batch;
use super::layouts::{ExportingStatistics, InterfaceRecord, Layouts, MeteringReliability};
use super::pacing::Pacing;
use crate::config::{self, Host};
use crate::ledger::Count;
use crate::record::UnixTime;
use ipfix::{Layout, Message, Protocol, Session, SessionOptions, TemplateSchedule, Written};
use serde::Serialize;
use socket2::{Domain, Socket, Type};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};

/// Records that wait for one collector at most: about 40 MB.
const QUEUE_RECORDS: usize = 256 * 1024;
/// Datagrams a second without a configured limit: about half a million records.
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
/// Between attempts to find the collector's address, and to send where there is no route.
const RETRY: Duration = Duration::from_secs(5);
/// How often the session looks whether templates or options are due.
const TICK: Duration = Duration::from_millis(500);
/// How often options data are sent: often enough to be useful soon after a collector restarts.
const OPTIONS_EVERY: Duration = Duration::from_secs(60);
/// Attempts for one message where the socket reports an error of an earlier one (ICMP).
const ATTEMPTS: usize = 3;
/// The observation domain of what concerns the whole Exporting Process (RFC 7011 section 3.1).
const PROCESS_DOMAIN: u32 = 0;

/// What all collectors are told beside records. Set by the daemon, read by every session.
#[derive(Debug, Default)]
pub struct Shared {
    /// The interfaces that are observed.
    pub interfaces: Vec<InterfaceRecord>,
    /// 1 in this many packets is counted.
    pub sampling: u32,
    /// What the Metering Process ignored, and when first and last.
    pub ignored: Count,
    /// Milliseconds since 1970; 0: never.
    pub ignored_first_ms: u64,
    /// Milliseconds since 1970; 0: never.
    pub ignored_last_ms: u64,
}

/// What one collector was sent, and was not.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CollectorStatus {
    /// Its name in the configuration.
    pub name: String,
    /// As configured.
    pub address: String,
    /// Where datagrams go now.
    pub peer: Option<SocketAddr>,
    /// Where they come from.
    pub source: Option<SocketAddr>,
    /// `ipfix` or `netflow-v9`.
    pub protocol: &'static str,
    /// Octets of a message at most.
    pub max_message: u16,
    /// Messages sent.
    pub messages: u64,
    /// Octets of these messages.
    pub octets: u64,
    /// Flow Records sent.
    pub records: u64,
    /// Packets and octets of these records.
    pub exported: Count,
    /// Packets and octets of records that wait.
    pub held: Count,
    /// Packets and octets of records that were not sent.
    pub lost: Count,
    /// Records that were not sent.
    pub lost_records: u64,
    /// Answers that nobody listens there (ICMP).
    pub refused: u64,
    /// Attempts to send that failed.
    pub errors: u64,
    /// The last failure, in words.
    pub last_error: Option<String>,
}

/// A collector's queue.
#[derive(Clone)]
pub struct CollectorHandle {
    /// What it was made from, with the domain in force.
    made_from: Arc<(config::Collector, u32)>,
    queue: mpsc::UnboundedSender<Arc<Batch>>,
    queued: Arc<AtomicUsize>,
    status: Arc<Mutex<CollectorStatus>>,
}

/// The task's side of a collector.
pub struct Collector {
    config: config::Collector,
    domain: u32,
    queue: mpsc::UnboundedReceiver<Arc<Batch>>,
    queued: Arc<AtomicUsize>,
    status: Arc<Mutex<CollectorStatus>>,
    shared: watch::Receiver<Arc<Shared>>,
    layouts: Layouts,
    system_init_ms: u64,
    local: Option<SocketAddr>,
    /// Where the sequences of data and process go on after a reconnection.
    sequences: (u32, u32),
}

/// A socket towards the collector and the sessions over it.
struct Transport {
    socket: UdpSocket,
    /// Records, and the sampling that applies to them.
    data: Session,
    /// What concerns the whole process; `None` where it shares the domain of `data`.
    process: Option<Session>,
    options_sent: Option<Instant>,
    pacing: Pacing,
    buffer: Vec<u8>,
}

/// What was sent of a batch.
#[derive(Clone, Copy, Default)]
struct Sent {
    records: usize,
    count: Count,
}

/// Whether a message got out.
enum Outcome {
    Sent,
    /// It did not, and the socket may be at fault.
    Failed(io::Error),
}

impl CollectorHandle {
    /// Queues a batch if there is room.
    pub fn offer(&self, batch: &Arc<Batch>) {
        let records = batch.records().len();
        let total = sum(batch.records());
        let room = self
            .queued
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |queued| {
                // A batch alone may be larger than the queue.
                (queued == 0 || queued + records <= QUEUE_RECORDS).then_some(queued + records)
            })
            .is_ok();
        let mut status = lock(&self.status);
        if room {
            status.held += total;
            drop(status);
            if self.queue.send(batch.clone()).is_ok() {
                return;
            }
            status = lock(&self.status);
            status.held = status.held.saturating_sub(total);
        } else {
            batch.queue_full();
        }
        status.lost += total;
        status.lost_records += records as u64;
    }

    /// Whether the queue takes so many records more.
    pub fn has_room(&self, records: usize) -> bool {
        let queued = self.queued.load(Ordering::Acquire);
        queued == 0 || queued + records <= QUEUE_RECORDS
    }

    /// Whether this is just what the configuration asks for.
    pub fn is_for(&self, config: &config::Collector, domain: u32) -> bool {
        self.made_from.0 == *config && self.made_from.1 == domain
    }

    /// What it was sent.
    pub fn status(&self) -> CollectorStatus {
        lock(&self.status).clone()
    }
}

impl Collector {
    /// A collector as configured, and the handle to its queue.
    ///
    /// `system_init` is when this process began: the zero of sysUptime.
    pub fn new(
        config: config::Collector,
        domain: u32,
        system_init: UnixTime,
        shared: watch::Receiver<Arc<Shared>>,
    ) -> Result<(CollectorHandle, Self), ipfix::LayoutError> {
        let protocol = config.protocol;
        let (sender, queue) = mpsc::unbounded_channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let status = Arc::new(Mutex::new(CollectorStatus {
            name: config.name.clone(),
            address: config.address.to_string(),
            protocol: match protocol {
                Protocol::Ipfix => "ipfix",
                Protocol::NetflowV9 => "netflow-v9",
            },
            ..CollectorStatus::default()
        }));
        let handle = CollectorHandle {
            made_from: Arc::new((config.clone(), domain)),
            queue: sender,
            queued: queued.clone(),
            status: status.clone(),
        };
        let collector = Self {
            domain: config.domain_id.unwrap_or(domain),
            layouts: Layouts::new(protocol)?,
            system_init_ms: system_init.millis(),
            local: None,
            sequences: (0, 0),
            config,
            queue,
            queued,
            status,
            shared,
        };
        Ok((handle, collector))
    }

    /// Sends what comes until every handle is dropped and the queue is empty.
    pub async fn run(mut self) {
        loop {
            let Some(mut transport) = self.connect().await else {
                return;
            };
            if self.serve(&mut transport).await.is_none() {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Finds the collector and opens a socket towards it, however long it takes; `None` when the
    /// exporter ends meanwhile.
    async fn connect(&mut self) -> Option<Transport> {
        let mut told = false;
        loop {
            match self.open().await {
                Ok(transport) => return Some(transport),
                Err(error) => {
                    let text = format!("{}: {error}", self.config.address);
                    if !told {
                        tracing::warn!(collector = self.config.name, error = %text, "cannot reach the collector, trying on");
                        told = true;
                    }
                    let mut status = lock(&self.status);
                    status.errors += 1;
                    status.last_error = Some(text);
                }
            }
            // The queue is not read meanwhile: what does not fit it any more is counted there.
            if self.queue.is_closed() && self.queue.is_empty() {
                return None;
            }
            if self.queue.is_closed() {
                self.give_up();
                return None;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn open(&mut self) -> io::Result<Transport> {
        let peer = resolve(&self.config).await?;
        let socket = self.socket(peer)?;
        socket.connect(&peer.into())?;
        let source = socket.local_addr()?.as_socket();
        // The same port again after a reconnection: collectors tell exporters apart by it.
        self.local = source;
        let max_message = self.max_message(&socket, peer);
        let socket = UdpSocket::from_std(std::net::UdpSocket::from(socket))?;
        {
            let mut status = lock(&self.status);
            status.peer = Some(peer);
            status.source = source;
            status.max_message = max_message;
        }
        tracing::info!(
            collector = self.config.name, %peer, protocol = ?self.config.protocol, max_message,
            "exporting"
        );
        let options = |domain, first_sequence| SessionOptions {
            protocol: self.config.protocol,
            observation_domain: domain,
            max_message,
            system_init_ms: self.system_init_ms,
            first_sequence,
            templates: TemplateSchedule {
                every_ms: Some(millis(self.config.template_interval)),
                every_messages: match self.config.template_messages {
                    0 => None,
                    messages => Some(messages.into()),
                },
                ..TemplateSchedule::udp()
            },
        };
        let mut data = Session::new(options(self.domain, self.sequences.0));
        for layout in self.layouts.records() {
            register(&mut data, layout);
        }
        // NetFlow v9 counts packets, not records, so that options in the same domain disturb no
        // collector's sequence check; and it knows no domain for the process.
        let apart = self.domain != PROCESS_DOMAIN && self.config.protocol == Protocol::Ipfix;
        let mut process = apart.then(|| Session::new(options(PROCESS_DOMAIN, self.sequences.1)));
        let session = process.as_mut().unwrap_or(&mut data);
        register(session, &self.layouts.interfaces);
        if let Some(layout) = &self.layouts.metering {
            register(session, layout);
        }
        if let Some(layout) = &self.layouts.exporting {
            register(session, layout);
        }
        let per_second = self
            .config
            .rate_limit
            .map_or(DATAGRAMS_PER_SECOND, |records| {
                let per_message = f64::from(max_message) / RECORD_OCTETS;
                (f64::from(records.get()) / per_message).max(1.0)
            });
        Ok(Transport {
            socket,
            data,
            process,
            options_sent: None,
            pacing: Pacing::new(per_second, BURST.min(per_second.max(1.0)), Instant::now()),
            buffer: Vec::new(),
        })
    }

    fn socket(&self, peer: SocketAddr) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(peer), Type::DGRAM, None)?;
        socket.set_nonblocking(true)?;
        // A larger buffer is a kindness, not a need.
        let _ = socket.set_send_buffer_size(SEND_BUFFER_OCTETS);
        let any = match peer {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let address = self.config.source_address.unwrap_or(any);
        let port = self.config.source_port.map_or(0, std::num::NonZero::get);
        let kept = self.local.map_or(0, |local| local.port());
        let wanted = if port == 0 { kept } else { port };
        let bound = socket.bind(&SocketAddr::new(address, wanted).into());
        if bound.is_err() && port == 0 {
            socket.bind(&SocketAddr::new(address, 0).into())?;
            return Ok(socket);
        }
        bound.map_err(|e| {
            io::Error::new(
                e.kind(),
                format!("cannot send from {address} port {wanted}: {e}"),
            )
        })?;
        Ok(socket)
    }

    /// Octets of a message at most: as configured, else what the path takes.
    fn max_message(&self, socket: &Socket, peer: SocketAddr) -> u16 {
        if let Some(size) = self.config.max_message_size {
            return size;
        }
        let headers = match peer {
            SocketAddr::V4(_) => IPV4_UDP_OCTETS,
            SocketAddr::V6(_) => IPV6_UDP_OCTETS,
        };
        match crate::observe::path_mtu(socket, peer.is_ipv6()) {
            Some(mtu) => mtu
                .saturating_sub(headers)
                .clamp(SAFE_MESSAGE_OCTETS, MESSAGE_OCTETS),
            None => SAFE_MESSAGE_OCTETS,
        }
    }

    /// Sends until something is wrong with the socket (`Some`) or the exporter ends (`None`).
    async fn serve(&mut self, transport: &mut Transport) -> Option<()> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                batch = self.queue.recv() => {
                    let Some(batch) = batch else {
                        // The end: the last word on what was sent and lost.
                        let _ = self.send_options(transport).await;
                        return None;
                    };
                    // Options first: a collector then knows the names when the records come.
                    if transport.options_sent.is_none() {
                        let _ = self.send_options(transport).await;
                    }
                    let mut sent = Sent::default();
                    let outcome = self.send_batch(transport, &batch, &mut sent).await;
                    self.done(&batch, sent);
                    if let Outcome::Failed(error) = outcome {
                        self.failed(&error);
                        return Some(());
                    }
                }
                _ = tick.tick() => {
                    if transport.options_sent.is_none_or(|at| at.elapsed() >= OPTIONS_EVERY)
                        && let Outcome::Failed(error) = self.send_options(transport).await
                    {
                        self.failed(&error);
                        return Some(());
                    }
                    if let Outcome::Failed(error) = self.send_templates(transport).await {
                        self.failed(&error);
                        return Some(());
                    }
                }
            }
        }
    }

    /// Sends a batch's records, as many to a message as fit.
    async fn send_batch(
        &mut self,
        transport: &mut Transport,
        batch: &Batch,
        sent: &mut Sent,
    ) -> Outcome {
        // Records of one layout together: a set's header is paid once.
        let mut by_layout: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        for (position, record) in batch.records().iter().enumerate() {
            let layout = self.layouts.of(record);
            by_layout
                .entry(layout.template_id())
                .or_default()
                .push(position);
        }
        let order: Vec<usize> = by_layout.into_values().flatten().collect();
        let mut next = 0;
        while next < order.len() {
            let from = next;
            transport.buffer.clear();
            let now_ms = now_ms();
            let mut unwritten = Vec::new();
            let message = {
                let mut writer = transport.data.begin(&mut transport.buffer, now_ms);
                while let Some(&position) = order.get(next) {
                    let record = &batch.records()[position];
                    match writer.write(self.layouts.of(record), record) {
                        Ok(Written::Done) => next += 1,
                        Ok(Written::Full) => break,
                        Err(error) => {
                            tracing::error!(collector = self.config.name, %error, "cannot encode a record");
                            batch.cannot_encode();
                            unwritten.push(next);
                            next += 1;
                        }
                    }
                }
                writer.finish()
            };
            let Some(message) = message else {
                // Nothing fits: not even one record after the templates.
                break;
            };
            let written = |range: Range<usize>| {
                range
                    .filter(|n| !unwritten.contains(n))
                    .map(|n| order[n])
                    .collect::<Vec<_>>()
            };
            let positions = written(from..next);
            let records: Vec<_> = positions.iter().map(|&n| &batch.records()[n]).collect();
            let total: Count = records
                .iter()
                .map(|r| Count::new(r.metrics.packets, r.metrics.bytes))
                .sum();
            match self.send(transport, message, false).await {
                Outcome::Sent => {
                    let mut status = lock(&self.status);
                    status.records += positions.len() as u64;
                    status.exported += total;
                    status.held = status.held.saturating_sub(total);
                    drop(status);
                    sent.records += positions.len();
                    sent.count += total;
                    batch.sent(positions);
                }
                failed @ Outcome::Failed(_) => return failed,
            }
        }
        Outcome::Sent
    }

    /// Sends the templates that are due, where no record takes them along.
    async fn send_templates(&mut self, transport: &mut Transport) -> Outcome {
        for process in [false, true] {
            let now_ms = now_ms();
            transport.buffer.clear();
            let session = if process {
                transport.process.as_mut()
            } else {
                Some(&mut transport.data)
            };
            let Some(session) = session.filter(|session| session.templates_due(now_ms)) else {
                continue;
            };
            let Some(message) = session.begin(&mut transport.buffer, now_ms).finish() else {
                continue;
            };
            if let failed @ Outcome::Failed(_) = self.send(transport, message, process).await {
                return failed;
            }
        }
        Outcome::Sent
    }

    /// Sends options data: interfaces, sampling, what was sent and lost.
    async fn send_options(&mut self, transport: &mut Transport) -> Outcome {
        transport.options_sent = Some(Instant::now());
        let shared = self.shared.borrow().clone();
        if shared.sampling > 1 {
            register(&mut transport.data, &self.layouts.sampling);
            let outcome = self
                .send_all(transport, false, &[shared.sampling], |layouts| {
                    Some(&layouts.sampling)
                })
                .await;
            if let Outcome::Failed(_) = outcome {
                return outcome;
            }
        }
        let process = transport.process.is_some();
        let outcome = self
            .send_all(transport, process, &shared.interfaces, |layouts| {
                Some(&layouts.interfaces)
            })
            .await;
        if let Outcome::Failed(_) = outcome {
            return outcome;
        }
        let ignored = MeteringReliability {
            domain: self.domain,
            ignored_packets: shared.ignored.packets,
            ignored_octets: shared.ignored.octets,
            first_ms: shared.ignored_first_ms,
            last_ms: shared.ignored_last_ms,
        };
        let outcome = self
            .send_all(transport, process, &[ignored], |layouts| {
                layouts.metering.as_ref()
            })
            .await;
        if let Outcome::Failed(_) = outcome {
            return outcome;
        }
        let statistics = {
            let status = lock(&self.status);
            ExportingStatistics {
                domain: self.domain,
                messages: status.messages,
                octets: status.octets,
                flows: status.records,
                not_sent_flows: status.lost_records,
                not_sent_packets: status.lost.packets,
                not_sent_octets: status.lost.octets,
            }
        };
        self.send_all(transport, process, &[statistics], |layouts| {
            layouts.exporting.as_ref()
        })
        .await
    }

    /// Sends options records, in as many messages as it takes.
    async fn send_all<R: 'static + Sync>(
        &mut self,
        transport: &mut Transport,
        process: bool,
        records: &[R],
        layout: impl Fn(&Layouts) -> Option<&Layout<R>>,
    ) -> Outcome {
        let mut rest = records;
        while !rest.is_empty() {
            transport.buffer.clear();
            let session = match &mut transport.process {
                Some(session) if process => session,
                _ => &mut transport.data,
            };
            let message = {
                let Some(layout) = layout(&self.layouts) else {
                    return Outcome::Sent;
                };
                let mut writer = session.begin(&mut transport.buffer, now_ms());
                match writer.write_all(layout, rest) {
                    Ok(written) => rest = &rest[written..],
                    Err(error) => {
                        tracing::error!(collector = self.config.name, %error, "cannot encode options");
                        return Outcome::Sent;
                    }
                }
                writer.finish()
            };
            let Some(message) = message else {
                return Outcome::Sent;
            };
            if let failed @ Outcome::Failed(_) = self.send(transport, message, process).await {
                return failed;
            }
        }
        Outcome::Sent
    }

    /// Sends the message at the end of the buffer and commits it to its session.
    async fn send(
        &mut self,
        transport: &mut Transport,
        message: Message,
        process: bool,
    ) -> Outcome {
        while let Err(wait) = transport.pacing.take(Instant::now()) {
            // The timer's grain is a millisecond.
            tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
        }
        let from = transport.buffer.len() - message.length();
        for attempt in 1..=ATTEMPTS {
            match transport.socket.send(&transport.buffer[from..]).await {
                Ok(_) => {
                    let mut status = lock(&self.status);
                    status.messages += 1;
                    status.octets += message.length() as u64;
                    drop(status);
                    let session = match &mut transport.process {
                        Some(session) if process => session,
                        _ => &mut transport.data,
                    };
                    // Begun last in its session, by construction.
                    let _ = session.commit(message);
                    self.sequences.0 = transport.data.sequence();
                    if let Some(process) = &transport.process {
                        self.sequences.1 = process.sequence();
                    }
                    return Outcome::Sent;
                }
                Err(error) if attempt < ATTEMPTS && is_about_an_earlier_datagram(&error) => {
                    lock(&self.status).refused += 1;
                    // When the collector comes back it knows no templates.
                    transport.data.resend_templates();
                    if let Some(process) = &mut transport.process {
                        process.resend_templates();
                    }
                }
                Err(error) => return Outcome::Failed(error),
            }
        }
        Outcome::Failed(io::Error::from(io::ErrorKind::ConnectionRefused))
    }

    /// Takes a batch off the books of the queue: what was not sent by now is lost.
    fn done(&self, batch: &Batch, sent: Sent) {
        let records = batch.records().len();
        let unsent = sum(batch.records()).saturating_sub(sent.count);
        self.queued.fetch_sub(records, Ordering::AcqRel);
        let mut status = lock(&self.status);
        status.held = status.held.saturating_sub(unsent);
        status.lost += unsent;
        status.lost_records += records.saturating_sub(sent.records) as u64;
    }

    fn failed(&self, error: &io::Error) {
        tracing::warn!(collector = self.config.name, %error, "cannot send, trying on");
        let mut status = lock(&self.status);
        status.errors += 1;
        status.last_error = Some(error.to_string());
    }

    /// The exporter ends and the collector was never reached: its queue is lost.
    fn give_up(&mut self) {
        while let Ok(batch) = self.queue.try_recv() {
            self.done(&batch, Sent::default());
        }
    }
}

/// Octets of a usual record, for turning records a second into datagrams a second.
const RECORD_OCTETS: f64 = 90.0;

/// The collector's address now.
async fn resolve(config: &config::Collector) -> io::Result<SocketAddr> {
    let port = config.address.port.get();
    match &config.address.host {
        Host::Address(address) => Ok(SocketAddr::new(*address, port)),
        Host::Name(name) => {
            let wanted = |address: &SocketAddr| {
                config
                    .source_address
                    .is_none_or(|source| source.is_ipv4() == address.is_ipv4())
            };
            let mut found = tokio::net::lookup_host((name.as_str(), port)).await?;
            found.find(wanted).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::NotFound,
                    "the name has no address that fits source-address",
                )
            })
        }
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

/// An ICMP error that came back for an earlier datagram: this one was not sent, and may be.
fn is_about_an_earlier_datagram(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNREFUSED
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
                | libc::EPROTO
                | libc::EHOSTDOWN
        )
    )
}

fn register<R: 'static>(session: &mut Session, layout: &Layout<R>) {
    if let Err(error) = session.register(layout) {
        // Two layouts with one id: a defect of `layouts`, which its tests would show.
        tracing::error!(template = layout.template_id(), %error, "cannot register a template");
    }
}

fn sum(records: &[crate::record::Record]) -> Count {
    records
        .iter()
        .map(|record| Count::new(record.metrics.packets, record.metrics.bytes))
        .sum()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn now_ms() -> u64 {
    UnixTime::from(SystemTime::now()).millis()
}

fn lock(status: &Mutex<CollectorStatus>) -> MutexGuard<'_, CollectorStatus> {
    status.lock().unwrap_or_else(PoisonError::into_inner)
}
