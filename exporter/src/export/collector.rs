//! One collector: its queue, and the task that empties it.
//!
//! The task never gives up while the exporter runs. Where there is no address, no route or no
//! answer it tries again, with the very record that was not sent; what does not fit the queue
//! meanwhile is counted and left out.

use super::account::{CollectorStatus, ConnectionStatus};
use super::balance::Division;
use super::batch::Batch;
use super::columns::{Elements, Limits};
use super::fill::{Filled, Impossible, fill};
use super::layouts::{self, Announced, Layouts, TemplateIds};
use super::resolver::Resolver;
use super::transport::{Continuity, Of, Transport};
use crate::config::{self, Profile};
use crate::ledger::Count;
use crate::record::UnixTime;
use ipfix::options::{
    ExportingProcessReliability, Interface, MeteringProcessReliability, MeteringProcessStatistics,
    Sampling, SystemInit,
};
use ipfix::{Layout, Protocol};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Records that wait for one collector at most: about 50 MB.
const QUEUE_RECORDS: u64 = 256 * 1024;
/// Between attempts to find the collector's address, or to send where there is no route: at first,
/// and at most.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(5);
/// The same for connections, which cost their host more: a quarter more or less by chance, so that
/// exporters that lost one collector do not come back as one. A connection that lasted as long as the
/// longest pause counts as one that works.
const FIRST_RECONNECT: Duration = Duration::from_millis(500);
const LAST_RECONNECT: Duration = Duration::from_secs(30);
/// How long what is on its way in a connection gets to arrive when it ends in order.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Failures in a row, at the end of the exporter, after which what is queued is given up.
const LAST_FAILURES: u32 = 4;
/// How often the session looks whether templates or options are due.
const TICK: Duration = Duration::from_millis(500);
/// How often options data are sent: often enough to be useful soon after a collector restarts.
const OPTIONS_EVERY: Duration = Duration::from_mins(1);

/// What all collectors are told beside records. Set by the daemon, read by every session.
#[derive(Debug, Default)]
pub struct Shared {
    /// The interfaces that are observed.
    pub interfaces: Vec<Interface>,
    /// 1 in this many packets is counted.
    pub sampling: u32,
    /// What the Metering Process ignored, and when first and last.
    pub ignored: Count,
    /// Milliseconds since 1970; 0: never.
    pub ignored_first_ms: u64,
    /// Milliseconds since 1970; 0: never.
    pub ignored_last_ms: u64,
}

/// A collector's queue.
#[derive(Clone)]
pub struct CollectorHandle {
    /// What it was made from, with the domain in force.
    made_from: Arc<(config::Collector, u32)>,
    queue: mpsc::UnboundedSender<Arc<Batch>>,
    status: Arc<Mutex<CollectorStatus>>,
    limits: Limits,
    templates: Arc<[Announced]>,
    continuity: Arc<Mutex<Continuity>>,
}

/// The task's side of a collector.
pub struct Collector {
    config: config::Collector,
    domain: u32,
    queue: mpsc::UnboundedReceiver<Arc<Batch>>,
    /// The batch in hand, and the position of its first record that is still to be sent.
    current: Option<(Arc<Batch>, usize)>,
    status: Arc<Mutex<CollectorStatus>>,
    shared: watch::Receiver<Arc<Shared>>,
    layouts: Layouts,
    system_init_ms: u64,
    continuity: Arc<Mutex<Continuity>>,
    resolver: Resolver,
    /// Failures in a row.
    failures: u32,
    /// When the way to the collector was last opened.
    opened: Instant,
}

/// What the collector was told over the present socket beside records.
struct Told {
    at: Instant,
    shared: Arc<Shared>,
}

/// What is done.
enum Done {
    /// All that was to be sent.
    Exporter,
    /// All that was to go to this address.
    Socket,
}

impl CollectorHandle {
    /// Queues a batch if there is room.
    pub fn offer(&self, batch: &Arc<Batch>) {
        let records = batch.len();
        let mut status = super::lock(&self.status);
        if !has_room(&status, records) {
            batch.queue_full();
            status.turn_away(records, batch.total(), super::now_ms());
            return;
        }
        // Under the lock, so that nobody reads of a batch that is held and is in no queue.
        match self.queue.send(batch.clone()) {
            Ok(()) => status.hold(records, batch.total()),
            Err(_) => status.turn_away(records, batch.total(), super::now_ms()),
        }
    }

    /// Whether the queue takes so many records more.
    pub fn has_room(&self, records: usize) -> bool {
        has_room(&super::lock(&self.status), records)
    }

    /// What its records can count.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The templates that are announced to it.
    pub fn templates(&self) -> &[Announced] {
        &self.templates
    }

    /// Whether this is just what the configuration asks for.
    pub fn is_for(&self, config: &config::Collector, domain: u32) -> bool {
        self.made_from.0 == *config && self.made_from.1 == domain
    }

    /// Those with whom it divides the flows, by their name; `None`: it gets all.
    pub(super) fn pool(&self) -> Option<(Division, &str)> {
        let config = &self.made_from.0;
        let balance = config
            .balance
            .as_deref()
            .map(|name| (Division::Balance, name));
        let failover = config.failover.as_deref();
        balance.or(failover.map(|name| (Division::Failover, name)))
    }

    /// Whether it takes what it is sent, as far as is known.
    pub fn is_well(&self) -> bool {
        super::lock(&self.status).well
    }

    /// What it was sent.
    pub fn status(&self) -> CollectorStatus {
        super::lock(&self.status).clone()
    }

    /// Tells what it was sent without keeping its queue open: also when all handles are gone, which
    /// ends it.
    pub fn observer(&self) -> impl Fn() -> CollectorStatus + use<> {
        let status = self.status.clone();
        move || super::lock(&status).clone()
    }
}

/// A batch alone may be larger than the queue.
fn has_room(status: &CollectorStatus, records: usize) -> bool {
    status.held_records == 0 || status.held_records + records as u64 <= QUEUE_RECORDS
}

impl Collector {
    /// A collector as configured, and the handle to its queue.
    ///
    /// `system_init` is the zero of sysUptime: when this host was booted. `templates` is one for all
    /// collectors of a process.
    pub fn new(
        config: config::Collector,
        domain: u32,
        system_init: UnixTime,
        shared: watch::Receiver<Arc<Shared>>,
        templates: &mut TemplateIds,
    ) -> Result<(CollectorHandle, Self), ipfix::LayoutError> {
        let protocol = config.protocol;
        let layouts = if protocol == Protocol::NetflowV5 {
            Layouts::netflow_v5()
        } else {
            let elements = config
                .elements
                .clone()
                .unwrap_or_else(|| Elements::of_profile(config.profile, protocol));
            // The default profile has template IDs of its own.
            let is_default = config.elements.is_none() && config.profile == Profile::Standard;
            let first_template = templates.first(protocol, (!is_default).then_some(&elements));
            Layouts::new(protocol, &elements, first_template)?
        };
        let (sender, queue) = mpsc::unbounded_channel();
        let status = Arc::new(Mutex::new(CollectorStatus {
            name: config.name.clone(),
            address: config.address.to_string(),
            protocol: match protocol {
                Protocol::Ipfix => "ipfix",
                Protocol::NetflowV9 => "netflow-v9",
                Protocol::NetflowV5 => "netflow-v5",
            },
            transport: config.transport.name(),
            connection: config.transport.is_stream().then(ConnectionStatus::default),
            // Of a connection it is known when there is one.
            well: !config.transport.is_stream(),
            ..CollectorStatus::default()
        }));
        let continuity = Arc::new(Mutex::new(Continuity::default()));
        let handle = CollectorHandle {
            made_from: Arc::new((config.clone(), domain)),
            queue: sender,
            status: status.clone(),
            limits: layouts.limits(),
            templates: layouts.announced().into(),
            continuity: continuity.clone(),
        };
        let collector = Self {
            domain: config.domain_id.unwrap_or(domain),
            layouts,
            system_init_ms: system_init.millis(),
            continuity,
            resolver: Resolver::new(&config),
            failures: 0,
            opened: Instant::now(),
            current: None,
            config,
            queue,
            status,
            shared,
        };
        Ok((handle, collector))
    }

    /// Goes on with another collector's Transport Session if it has to: where both are configured to
    /// send from one port to one place in one domain, they are one session to whoever listens there,
    /// whose sequence numbers have to go on. The other one has been told to end, or will be.
    ///
    /// Whether it does.
    pub fn succeed(&mut self, handle: &mut CollectorHandle, other: &CollectorHandle) -> bool {
        let (before, domain) = &*other.made_from;
        let now = &self.config;
        let same = now.source_port.is_some()
            && now.source_port == before.source_port
            && now.source_address == before.source_address
            && now.address == before.address
            && now.protocol == before.protocol
            && self.domain == before.domain_id.unwrap_or(*domain);
        if same {
            self.continuity = other.continuity.clone();
            handle.continuity = other.continuity.clone();
        }
        same
    }

    /// Sends what comes until every handle is dropped and the queue is empty, or nothing can be
    /// sent any more.
    pub async fn run(mut self) {
        loop {
            match self.serve().await {
                Ok(Done::Exporter) => return,
                Ok(Done::Socket) => continue,
                Err(error) => self.failed(&error),
            }
            if self.queue.is_closed() && self.failures >= LAST_FAILURES {
                return;
            }
            self.pause().await;
        }
    }

    /// Opens a socket and sends until something is wrong with it, or something ends.
    async fn serve(&mut self) -> io::Result<Done> {
        let mut transport = Transport::open(
            &self.config,
            self.domain,
            self.system_init_ms,
            &self.layouts,
            self.status.clone(),
            &self.continuity,
            &mut self.resolver,
        )
        .await?;
        tracing::info!(
            collector = self.config.name, peer = %transport.peer(), protocol = ?self.config.protocol,
            transport = self.config.transport.name(), max_message = transport.max_message(), "exporting"
        );
        self.opened = Instant::now();
        let outcome = self.send_through(&mut transport).await;
        // Before the socket is closed: whoever has the port next goes on from here.
        *super::lock(&self.continuity) = transport.continuity();
        if outcome.is_ok() {
            transport.close(LAST_WORDS).await;
        }
        outcome
    }

    async fn send_through(&mut self, transport: &mut Transport) -> io::Result<Done> {
        let mut told = None;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut looked = Instant::now();
        loop {
            let mut look = looked.elapsed() >= TICK;
            if self.current.is_none() {
                tokio::select! {
                    batch = self.queue.recv() => {
                        let Some(batch) = batch else {
                            // The last word on what was sent and lost. Nothing else depends on it.
                            let _ = self.tell(transport, &mut told).await;
                            return Ok(Done::Exporter);
                        };
                        self.current = Some((batch, 0));
                    }
                    _ = tick.tick() => look = true,
                    error = transport.ended() => return Err(error),
                }
            }
            // Options before records: a collector then knows the names when the records come.
            if transport.came_back() || self.news(told.as_ref()) {
                later(self.tell(transport, &mut told).await)?;
            }
            if look {
                looked = Instant::now();
                if self.resolver.has_moved(transport.peer()).await {
                    tracing::info!(
                        collector = self.config.name, from = %transport.peer(), "it has another address now"
                    );
                    return Ok(Done::Socket);
                }
                if transport.is_too_large_for_path() {
                    return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
                }
                transport.doubt_again();
                transport.look();
                later(transport.send_templates().await)?;
            }
            later(self.send_records(transport).await)?;
        }
    }

    /// Sends one message of the batch in hand.
    async fn send_records(&mut self, transport: &mut Transport) -> io::Result<()> {
        let Some((batch, from)) = self.current.take() else {
            return Ok(());
        };
        let layouts = &self.layouts;
        let sampling = layouts.sampling_in_header.then(|| batch.sampling(from));
        if let Some(sampling) = sampling.and_then(layouts::netflow_v5_sampling) {
            transport.session(Of::Data).set_sampling(sampling);
        }
        let filled = transport
            .send(Of::Data, |writer| fill(writer, layouts, &batch, from))
            .await;
        let Filled {
            mut next,
            impossible,
        } = match filled {
            Ok(filled) => filled,
            Err(error) => {
                self.current = Some((batch, from));
                return Err(error);
            }
        };
        batch.sent(from..next);
        let count = batch.count(from..next);
        super::lock(&self.status).export(next - from, count);
        transport.carried(next - from, count);
        let mut status = super::lock(&self.status);
        status.well = !transport.is_in_doubt();
        if let Some(Impossible { records, error }) = impossible {
            match error {
                Some(error) => {
                    tracing::error!(collector = self.config.name, %error, records, "cannot encode records");
                    batch.cannot_encode();
                }
                None => batch.not_in_protocol(next..next + records),
            }
            status.lose(records, batch.count(next..next + records), super::now_ms());
            next += records;
        }
        drop(status);
        self.works();
        if next < batch.len() {
            self.current = Some((batch, next));
        }
        Ok(())
    }

    /// Whether there is something to tell beside records.
    fn news(&mut self, told: Option<&Told>) -> bool {
        let Some(told) = told else {
            return true;
        };
        told.at.elapsed() >= OPTIONS_EVERY
            || self.shared.has_changed().unwrap_or(false) && {
                let shared = self.shared.borrow_and_update();
                shared.sampling != told.shared.sampling
                    || shared.interfaces != told.shared.interfaces
            }
    }

    /// Sends options data: sampling, the zero of sysUptime, Flow Keys, interfaces, what was sent and
    /// lost.
    async fn tell(&mut self, transport: &mut Transport, told: &mut Option<Told>) -> io::Result<()> {
        let shared = self.shared.borrow().clone();
        let layouts = &self.layouts;
        // Who was told of sampling must be told of its end.
        let was_sampled = told.as_ref().is_some_and(|told| told.shared.sampling > 1);
        if let Some(layout) = &layouts.sampling
            && (shared.sampling > 1 || was_sampled)
        {
            transport.register(Of::Data, layout);
            let sampling = Sampling {
                observation_domain: self.domain,
                interval: shared.sampling.max(1),
            };
            send_all(transport, Of::Data, layout, &[sampling]).await?;
        }
        if let Some(layout) = &layouts.system_init {
            let system_init = SystemInit {
                observation_domain: self.domain,
                // As the session has it: on a whole second.
                system_init_ms: transport.session(Of::Data).options().system_init_ms,
            };
            send_all(transport, Of::Data, layout, &[system_init]).await?;
        }
        if let Some(layout) = &layouts.flow_keys {
            send_all(transport, Of::Process, layout, &layouts.keys(self.domain)).await?;
        }
        if let Some(layout) = &layouts.interfaces {
            send_all(transport, Of::Process, layout, &shared.interfaces).await?;
        }
        // Its times are those of packets that were ignored: without any there is nothing to say.
        if let Some(layout) = &layouts.metering
            && !shared.ignored.is_zero()
        {
            let ignored = MeteringProcessReliability {
                observation_domain: self.domain,
                ignored_packets: shared.ignored.packets,
                ignored_octets: shared.ignored.octets,
                first_ms: shared.ignored_first_ms,
                last_ms: shared.ignored_last_ms,
            };
            send_all(transport, Of::Process, layout, &[ignored]).await?;
        }
        if let Some(layout) = &layouts.statistics {
            let statistics = {
                let status = super::lock(&self.status);
                MeteringProcessStatistics {
                    observation_domain: self.domain,
                    messages: status.messages,
                    octets: status.octets,
                    flow_records: status.records,
                }
            };
            send_all(transport, Of::Process, layout, &[statistics]).await?;
        }
        if let Some(layout) = &layouts.not_sent {
            let not_sent = {
                let status = super::lock(&self.status);
                ExportingProcessReliability {
                    exporting_process: std::process::id(),
                    not_sent_flows: status.lost_records,
                    not_sent_packets: status.lost.packets,
                    not_sent_octets: status.lost.octets,
                    first_ms: status.first_lost_ms,
                    last_ms: status.last_lost_ms,
                }
            };
            send_all(transport, Of::Process, layout, &[not_sent]).await?;
        }
        *told = Some(Told {
            at: Instant::now(),
            shared,
        });
        self.works();
        super::lock(&self.status).well = !transport.is_in_doubt();
        Ok(())
    }

    /// Something was sent: there are no failures in a row any more.
    fn works(&mut self) {
        if !self.config.transport.is_stream() || self.opened.elapsed() >= LAST_RECONNECT {
            self.failures = 0;
        }
    }

    fn failed(&mut self, error: &io::Error) {
        let text = error.to_string();
        let mut status = super::lock(&self.status);
        status.errors += 1;
        status.well = false;
        // One line for an outage, not one for each attempt.
        if self.failures == 0 || status.last_error.as_ref() != Some(&text) {
            tracing::warn!(collector = self.config.name, address = %self.config.address, error = text, "cannot send, trying on");
        }
        status.last_error = Some(text);
        self.failures = self.failures.saturating_add(1);
    }

    /// Waits before the next attempt, the longer the more have failed.
    async fn pause(&mut self) {
        let end = Instant::now() + pause(self.config.transport.is_stream(), self.failures);
        // The end of the exporter is no time for patience.
        while Instant::now() < end {
            tokio::time::sleep(FIRST_RETRY).await;
            if self.queue.is_closed() {
                return;
            }
        }
    }
}

impl Drop for Collector {
    /// What was not sent by now is lost to this collector.
    fn drop(&mut self) {
        self.queue.close();
        super::lock(&self.status).lose_all();
    }
}

/// How long to wait after so many failures in a row.
fn pause(connects: bool, failures: u32) -> Duration {
    let (first, last) = if connects {
        (FIRST_RECONNECT, LAST_RECONNECT)
    } else {
        (FIRST_RETRY, LAST_RETRY)
    };
    let pause = last.min(first * (1 << failures.saturating_sub(1).min(6)));
    if connects {
        pause.mul_f64(rand::random_range(0.75..1.25))
    } else {
        pause
    }
}

/// What has no room now waits: that is no failure of the socket.
fn later(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        _ => outcome,
    }
}

/// Sends options records, in as many messages as it takes.
async fn send_all<R: 'static>(
    transport: &mut Transport,
    of: Of,
    layout: &Layout<R>,
    records: &[R],
) -> io::Result<()> {
    let mut rest = records;
    while !rest.is_empty() {
        match transport
            .send(of, |writer| writer.write_all(layout, rest))
            .await?
        {
            Ok(written) => rest = &rest[written..],
            Err(error) => {
                tracing::error!(%error, "cannot encode options");
                return Ok(());
            }
        }
    }
    Ok(())
}
