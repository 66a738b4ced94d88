//! The daemon: the stages wired together, and what goes on around them.
//!
//! [`run`] reads like the path of a packet: kernel programs, tables, meter, collectors. Around it:
//! which interfaces there are (`interfaces`), who asks how it goes ([`control`], [`status`]).

pub mod control;
mod desk;
mod interfaces;
mod kept;
mod manager;
mod metering;
pub mod metrics;
mod onlookers;
pub mod status;
mod whereabouts;

use crate::config::{self, Config, Loaded};
use crate::export::{CollectorHandle, Collectors, Shared, address_facing};
use crate::ledger::{Ledger, LossReason, Snapshot};
use crate::logging;
use crate::meter::{FlowCache, Policy};
use crate::observe::{
    Account, AttachMode, Error, FetcherOptions, InterfaceNames, LinkEvent, Links, Namespace, Parts,
    Pins, Succession, boot_clock_ns, raise_descriptor_limit,
};
use crate::record::UnixTime;
use control::{Client, Control, Question, Reply};
use desk::Desk;
use interfaces::Watched;
use kept::{Kept, past};
use manager::Watchdog;
use metering::{Command, Gauges, Metering};
use status::{ConfigurationStatus, NamespaceStatus, Reloaded, Sources, Status};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use whereabouts::Whereabouts;

pub(crate) use kept::count;
pub(crate) use metering::loss_reason;

/// How long collectors get, at the end, for what is queued.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// How long the start waits for the address that faces a collector given by name.
const RESOLVER_PATIENCE: Duration = Duration::from_secs(1);
/// How often what collectors are told of losses is brought up to date.
const SHARE_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked whether the programs are still attached.
const VERIFY_EVERY: Duration = Duration::from_secs(5);
/// Between two reports of lines that were too many to be logged.
const BETWEEN_OMISSIONS: Duration = Duration::from_secs(10);

/// Why the daemon cannot run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The kernel's side.
    #[error(transparent)]
    Observe(#[from] Error),
    /// The control socket, already in words.
    #[error("{0}")]
    Control(String),
    /// The system.
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
    /// The metrics' listener.
    #[error("metrics.listen: cannot listen at {0}: {1}")]
    Metrics(SocketAddr, io::Error),
    /// A layout that cannot be: a defect.
    #[error("the layouts of this version are damaged: {0}")]
    Layout(#[from] ipfix::LayoutError),
    /// The meter's thread ended by itself: a defect.
    #[error(
        "a defect ended the meter: programs and tables stay, and count on, for the next exporter"
    )]
    Meter,
}

/// Observes and exports until SIGTERM or SIGINT, or until it is told to hand over; then exports what
/// is held and returns the ledger as it was at the end.
///
/// `sources` are where the configuration is from, and are read again at SIGHUP. Where anything fails
/// before the first packet is counted, what was attached by then comes off again; what was found from an
/// exporter before stays as it was.
pub async fn run(loaded: Loaded, sources: &config::Sources) -> Result<Snapshot, DaemonError> {
    let Loaded { config, read, .. } = loaded;
    raise_descriptor_limit();
    let mut signals = Signals::new()?;
    let began = Instant::now();
    let control = Control::bind(&config.daemon.run_dir, &config.daemon.control_socket())
        .await
        .map_err(DaemonError::Control)?;
    let (scrapes, scraped) = mpsc::channel(1);
    let metrics = listen_for_metrics(&config, &scrapes)?;

    // kernel programs and tables: those of an exporter before this one, if it left any
    let now_ms = UnixTime::from(SystemTime::now()).millis();
    let whereabouts = Whereabouts::new(config.observation.namespace.as_deref());
    let options = fetcher_options(&config, whereabouts.open()?);
    let (parts, succession) = Parts::lasting(&options, now_ms)?;
    let Parts {
        probes,
        tables,
        drain,
        turn,
    } = parts;
    let Succession {
        pins,
        page,
        account,
        adopted,
        retired,
    } = succession;
    let inheritance = Inheritance(pins.clone());
    if adopted {
        say_taking_over(&pins, &account);
    }
    // -> meter
    let past = past(&account);
    let ledger = Arc::new(Ledger::resume(&past, Box::new(page.clone())));
    let gauges = Arc::new(Gauges::default());
    gauges
        .taking_over
        .store(adopted || !retired.is_empty(), Ordering::Relaxed);
    let gathered = Sources {
        ledger: ledger.clone(),
        tables,
        gauges: gauges.clone(),
        page: page.clone(),
        adopted,
    };
    let (meter, commands) = channel();
    let patterns = config.observation.interfaces.clone();
    let mut watched = Watched::new(patterns, options.namespace, probes, meter.clone());
    let mut links = watched.begin(&whereabouts).await?;
    // -> collectors, who are told the interfaces' names with their first message
    let (shared, told) = watch::channel(Arc::new(Shared {
        interfaces: watched.records(),
        sampling: config.observation.sampling.get(),
        ..Shared::default()
    }));
    let kept = Kept { pins, page };
    // RFC 3954 section 5.1: sysUptime counts from when the device was booted. So no flow began before
    // it, not even one of the exporter before this one.
    let booted = UnixTime::from(SystemTime::now()).saturating_sub_ns(boot_clock_ns());
    let mut collectors = Collectors::new(booted, told);
    let export = collectors.set(&config.collectors, config.observation.domain_id, &ledger)?;
    let metering = Metering {
        drain,
        drain_interval: config.observation.drain_interval,
        cache: FlowCache::new(policy(&config)),
        ledger: ledger.clone(),
        export,
        agent: agent_address(&config).await,
        gauges,
        names: InterfaceNames::default(),
        retired,
        past: adopted.then_some(past),
        kept: kept.clone(),
    };
    let thread = metering
        .spawn(turn, commands)
        .map_err(|e| DaemonError::System("starting the meter", e))?;
    // From here on it is this exporter's own, and goes with it.
    kept.pins.set_keep(false);
    drop(inheritance);

    let mut daemon = Daemon {
        started: config.clone(),
        config,
        configuration: ConfigurationStatus::read_from(sources.file(), read, now_ms),
        from: sources.clone(),
        began,
        sources: gathered,
        ledger,
        collectors,
        shared,
        watched,
        whereabouts,
        meter,
        kept,
        metrics,
        scrapes,
        addressing: None,
    };
    let end = daemon
        .serve(&mut signals, &control, scraped, &mut links, &thread)
        .await;
    daemon.stop(thread, end).await
}

fn say_taking_over(pins: &Pins, account: &Account) {
    tracing::info!(
        pin_dir = %pins.path().display(),
        handed_over = account.handed_over == 1,
        "taking over the tables of the exporter before this one"
    );
}

/// Why the exporter ends.
enum End {
    /// A signal says so.
    Signal,
    /// Somebody asks it to hand over.
    Successor(Client),
    /// The meter's thread has ended.
    Meter,
}

/// Says, where the start fails, that what was found is still at work.
struct Inheritance(Arc<Pins>);

impl Drop for Inheritance {
    fn drop(&mut self) {
        // Not after a panic: that speaks for itself.
        if self.0.keeps() && !std::thread::panicking() {
            tracing::warn!(
                pin_dir = %self.0.path().display(),
                "programs and tables stay, and count on, for the next exporter; `ebpfix detach` takes them off"
            );
        }
    }
}

/// The daemon while it runs.
struct Daemon {
    config: Config,
    /// That with which it began.
    started: Config,
    configuration: ConfigurationStatus,
    /// Where the configuration is from.
    from: config::Sources,
    began: Instant,
    sources: Sources,
    ledger: Arc<Ledger>,
    collectors: Collectors,
    shared: watch::Sender<Arc<Shared>>,
    watched: Watched,
    whereabouts: Whereabouts,
    meter: Sender<Command>,
    kept: Kept,
    metrics: Option<metrics::Listener>,
    scrapes: metrics::Scrapes,
    /// Looks for the agent's address.
    addressing: Option<tokio::task::JoinHandle<()>>,
}

impl Daemon {
    /// Everything that happens until something ends it.
    async fn serve(
        &mut self,
        signals: &mut Signals,
        control: &Control,
        mut scraped: mpsc::Receiver<oneshot::Sender<Status>>,
        links: &mut Option<Links>,
        meter: &JoinHandle<()>,
    ) -> End {
        let (desk, mut orders) = Desk::new(self.meter.clone(), self.shared.subscribe());
        let mut share = tokio::time::interval(SHARE_EVERY);
        let mut verify = tokio::time::interval(VERIFY_EVERY);
        let mut watchdog = Watchdog::new();
        let mut alive = tokio::time::interval(watchdog.interval());
        // Since when nobody can be accepted at the control socket.
        let mut refusing: Option<Instant> = None;
        let mut last_told = Instant::now();
        manager::ready(&self.summary());
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => return End::Signal,
                _ = signals.interrupt.recv() => return End::Signal,
                Some((question, client)) = orders.recv() => match question {
                    Question::Handover => return End::Successor(client),
                    question => {
                        let reply = self.answer(&question);
                        tokio::spawn(async move { control::write_reply(client, &reply).await });
                        self.settle(links).await;
                    }
                },
                _ = signals.hangup.recv() => {
                    self.reload();
                    self.settle(links).await;
                }
                () = self.whereabouts.changed() => self.settle(links).await,
                Some(reply) = scraped.recv() => { let _ = reply.send(self.status()); }
                _ = share.tick() => {
                    if meter.is_finished() {
                        return End::Meter;
                    }
                    self.share();
                    if last_told.elapsed() >= BETWEEN_OMISSIONS {
                        last_told = Instant::now();
                        logging::tell_omitted();
                    }
                }
                _ = alive.tick() => {
                    let rounds = self.sources.gauges.rounds.load(Ordering::Relaxed);
                    watchdog.alive(rounds, &self.summary());
                }
                _ = verify.tick() => {
                    if self.watched.verify() {
                        self.share();
                    }
                    self.settle(links).await;
                }
                event = next_event(links) => {
                    let (Some(event), Some(connected)) = (event, links.as_mut()) else {
                        tracing::error!("netlink is closed: changes of interfaces are no longer seen");
                        *links = None;
                        continue;
                    };
                    if self.watched.follow(event, connected).await {
                        self.share();
                    }
                }
                client = control.accept() => match client {
                    Ok(client) => {
                        if let Some(since) = refusing.take() {
                            let seconds = since.elapsed().as_secs();
                            tracing::info!(seconds, "the control socket is served again");
                        }
                        tokio::spawn(desk.clone().serve(client));
                    }
                    Err(error) => {
                        // Who asks waits, and it is tried on: one line for all of that.
                        if refusing.is_none() {
                            tracing::warn!(%error, "cannot accept on the control socket; trying on");
                            refusing = Some(Instant::now());
                        }
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
    }

    /// Goes where the interfaces are by now: the namespace may have come, or gone, or be another.
    async fn settle(&mut self, links: &mut Option<Links>) {
        if !self.whereabouts.is_elsewhere(self.watched.namespace()) {
            if *self.watched.namespace() == Namespace::Nowhere {
                *links = None;
            }
            return;
        }
        // Before anything is opened in the next one: what is open in this one keeps it alive.
        let left = self.leave();
        *links = None;
        let namespace = self.whereabouts.try_open();
        if namespace == Namespace::Nowhere {
            if left {
                self.whereabouts.say_waiting();
            }
            return;
        }
        match self.enter(namespace, links).await {
            Ok(()) => {
                let name = self.whereabouts.name();
                let interfaces = self.watched.status().len();
                tracing::info!(
                    namespace = name,
                    interfaces,
                    "observing this network namespace"
                );
            }
            Err(error) => {
                tracing::error!(%error, "cannot observe the network namespace; trying on");
                self.leave();
                *links = None;
            }
        }
        self.share();
    }

    async fn enter(
        &mut self,
        namespace: Namespace,
        links: &mut Option<Links>,
    ) -> Result<(), Error> {
        let inode = namespace.inode()?;
        let connected = links.insert(Links::connect(&namespace)?);
        self.kept.page.update(|account| account.namespace = inode);
        self.watched.enter(namespace, connected).await
    }

    /// Takes the programs off in the namespace that was observed so far, if there was one.
    fn leave(&mut self) -> bool {
        if *self.watched.namespace() == Namespace::Nowhere {
            return false;
        }
        self.watched.leave();
        // Its number may be given to another.
        self.kept.page.update(|account| account.namespace = 0);
        self.share();
        true
    }

    /// The end: all that was counted is exported as far as it can be. Nothing more is counted, or
    /// where there is a `successor`, for it.
    async fn stop(mut self, thread: JoinHandle<()>, end: End) -> Result<Snapshot, DaemonError> {
        manager::stopping();
        let interfaces = self.watched.records();
        match end {
            End::Successor(_) => {
                tracing::info!("handing over: exporting what is held; programs and tables stay");
                self.kept.pins.set_keep(true);
            }
            End::Signal => {
                tracing::info!("ending: exporting what is held");
                self.watched.stop();
            }
            End::Meter => {
                tracing::error!("ending: the meter's thread is gone");
                self.kept.pins.set_keep(true);
            }
        }
        let _ = self.meter.send(Command::Stop);
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        self.share_with(interfaces);
        logging::tell_omitted();
        // The queues end when the last handle is gone.
        if !self.collectors.end(LAST_WORDS).await {
            tracing::warn!("a collector took too long: what it was not sent is lost");
        }
        let ledger = self.sources.ledger();
        if let End::Meter = end {
            return Err(DaemonError::Meter);
        }
        if let End::Successor(client) = end {
            self.kept.page.update(|account| account.handed_over = 1);
            control::write_last_reply(client, &Reply::ok(&ledger)).await;
        }
        Ok(ledger)
    }

    /// Reads the configuration again, and tells the service manager meanwhile.
    fn reload(&mut self) -> Reloaded {
        manager::reloading();
        let outcome = self.try_reload();
        let now_ms = UnixTime::from(SystemTime::now()).millis();
        self.configuration.tried_ms = Some(now_ms);
        let reloaded = match outcome {
            Ok(warnings) => {
                self.configuration.read_ms = now_ms;
                self.configuration.errors.clear();
                let restart = &self.configuration.restart;
                Reloaded {
                    applied: true,
                    warnings,
                    restart: restart.iter().map(|key| (*key).to_owned()).collect(),
                    ..Reloaded::default()
                }
            }
            Err(errors) => {
                for error in &errors {
                    tracing::error!("{error}");
                }
                tracing::error!("the configuration in force stays");
                self.configuration.errors.clone_from(&errors);
                Reloaded {
                    errors,
                    ..Reloaded::default()
                }
            }
        };
        manager::ready(&self.summary());
        reloaded
    }

    /// Goes over to the configuration as it is in its file now: what is odd about it, or what is wrong
    /// with it, and the old one stays.
    fn try_reload(&mut self) -> Result<Vec<String>, Vec<String>> {
        let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let Some(file) = self.from.file().map(Path::to_owned) else {
            return Err(lines(
                "there is no configuration file to read again".to_owned(),
            ));
        };
        let loaded = self.from.load();
        let loaded = loaded.map_err(|errors| lines(errors.to_string()))?;
        let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let new = loaded.config;
        let old = self.config.clone();
        // Before anything is changed: these may fail.
        let moved = (new.metrics != self.config.metrics)
            .then(|| listen_for_metrics(&new, &self.scrapes))
            .transpose()
            .map_err(|error| lines(error.to_string()))?;
        let moving = new.observation.namespace != self.config.observation.namespace;
        let whereabouts = moving
            .then(|| {
                let whereabouts = Whereabouts::new(new.observation.namespace.as_deref());
                whereabouts.open().map(|_| whereabouts)
            })
            .transpose()
            .map_err(|error| lines(error.to_string()))?;
        if new.observation.filter != self.config.observation.filter {
            self.watched
                .set_filter(&new.observation.filter)
                .map_err(|error| lines(format!("observation.filter: {error}")))?;
        }
        let domain = new.observation.domain_id;
        let export = self
            .collectors
            .set(&new.collectors, domain, &self.ledger)
            .map_err(|error| {
                let _ = self.watched.set_filter(&self.config.observation.filter);
                lines(error.to_string())
            })?;
        let _ = self.meter.send(Command::Export(export));
        if let Some(listener) = moved {
            self.metrics = listener;
        }
        self.configuration.files = loaded.read;
        self.configuration.restart = needing_restart(&self.started, &new);
        for key in &self.configuration.restart {
            tracing::warn!(key, "changed, but takes effect at the next start only");
        }
        let _ = self.meter.send(Command::Policy(policy(&new)));
        let _ = self
            .meter
            .send(Command::DrainInterval(new.observation.drain_interval));
        self.sources
            .tables
            .set_sampling(new.observation.sampling.get());
        self.sources
            .tables
            .set_timestamps(new.observation.timestamps);
        self.sources
            .tables
            .set_layer2_flows(new.observation.non_ip == config::NonIp::Flow);
        let directions = new.observation.directions;
        if directions != old.observation.directions {
            self.watched
                .set_directions(directions.ingress(), directions.egress());
        }
        if let Some(whereabouts) = whereabouts {
            // The patterns are for what is there.
            self.leave();
            if whereabouts.is_elsewhere(&Namespace::Nowhere) {
                tracing::info!("going over to another network namespace");
            } else {
                whereabouts.say_waiting();
            }
            self.whereabouts = whereabouts;
        }
        self.watched.set_wanted(new.observation.interfaces.clone());
        if new.observation.agent_address != old.observation.agent_address
            || new.collectors != old.collectors
        {
            self.find_agent_address(&new);
        }
        // One that was set at the control socket stays as long as the file says what it said.
        if new.log.level != self.config.log.level {
            logging::set_level(new.log.level);
        }
        if new.log.format != old.log.format {
            logging::set_format(new.log.format);
        }
        self.config = new;
        self.share();
        tracing::info!(file = %file.display(), "the configuration was read again");
        Ok(warnings)
    }

    /// Has records name the address that the configuration wants, as soon as it is found.
    fn find_agent_address(&mut self, config: &Config) {
        let (config, meter) = (config.clone(), self.meter.clone());
        if let Some(before) = self.addressing.take() {
            before.abort();
        }
        self.addressing = Some(tokio::spawn(async move {
            let address = agent_address(&config).await;
            // Where none is found, the one before is better.
            if !address.is_unspecified() {
                let _ = meter.send(Command::Agent(address));
            }
        }));
    }

    /// The answer to a question about the daemon itself.
    fn answer(&mut self, question: &Question) -> Reply {
        match question {
            Question::Interfaces => Reply::ok(&self.watched.status()),
            Question::Collectors => {
                let collectors = self.collectors.running().iter();
                Reply::ok(&collectors.map(CollectorHandle::status).collect::<Vec<_>>())
            }
            Question::Templates { collector } => self.templates(collector.as_deref()),
            Question::Reload => Reply::ok(&self.reload()),
            _ => Reply::ok(&self.status()),
        }
    }

    fn templates(&self, collector: Option<&str>) -> Reply {
        let collectors: Vec<_> = self
            .collectors
            .running()
            .iter()
            .map(|handle| (handle.status(), handle))
            .filter(|(status, _)| collector.is_none_or(|name| name == status.name))
            .map(|(status, handle)| {
                serde_json::json!({
                    "collector": status.name,
                    "protocol": status.protocol,
                    "templates": handle.templates(),
                })
            })
            .collect();
        match collector {
            Some(name) if collectors.is_empty() => {
                Reply::Error(format!("no collector is called {name:?}"))
            }
            _ => Reply::ok(&collectors),
        }
    }

    fn status(&mut self) -> Status {
        let mut status = self.sources.status(
            self.began.elapsed().as_secs(),
            self.config.metering.max_flows.get(),
            self.collectors.running(),
            self.whereabouts.name().map(|name| NamespaceStatus {
                name: name.to_owned(),
                present: *self.watched.namespace() != Namespace::Nowhere,
            }),
            self.watched.status(),
            ConfigurationStatus {
                log_level: logging::level(),
                ..self.configuration.clone()
            },
        );
        let filter = &self.config.observation.filter;
        status.kernel.filter = (!filter.is_all()).then(|| filter.text());
        status
    }

    /// One line for `systemctl status`.
    fn summary(&mut self) -> String {
        let ledger = self.sources.ledger();
        let wrong = if self.configuration.errors.is_empty() {
            ""
        } else {
            "; the configuration was changed and is wrong, the one before stays in force"
        };
        format!(
            "interfaces: {}, collectors: {}, packets observed: {}, lost: {}{wrong}",
            self.watched.status().len(),
            self.collectors.running().len(),
            ledger.observed.packets,
            ledger.lost.total().packets
        )
    }

    /// Brings what collectors are told beside records up to date.
    fn share(&mut self) {
        let interfaces = self.watched.records();
        self.share_with(interfaces);
    }

    fn share_with(&mut self, interfaces: Vec<ipfix::options::Interface>) {
        let lost = self.sources.ledger().lost;
        // What was left out on purpose was not ignored: it was not selected.
        let left_out = lost.of(LossReason::NotSampled) + lost.of(LossReason::Filtered);
        let ignored = lost.total().saturating_sub(left_out);
        let before = self.shared.borrow().clone();
        let now_ms = UnixTime::from(SystemTime::now()).millis();
        let changed = ignored != before.ignored;
        let first = if changed && before.ignored_first_ms == 0 {
            now_ms
        } else {
            before.ignored_first_ms
        };
        let last = if changed {
            now_ms
        } else {
            before.ignored_last_ms
        };
        self.shared.send_replace(Arc::new(Shared {
            interfaces,
            sampling: self.config.observation.sampling.get(),
            ignored,
            ignored_first_ms: first,
            ignored_last_ms: last,
        }));
    }
}

/// What happens to interfaces next; never, while nobody tells.
async fn next_event(links: &mut Option<Links>) -> Option<LinkEvent> {
    match links {
        Some(links) => links.next().await,
        None => std::future::pending().await,
    }
}

/// The signals that the daemon heeds.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, DaemonError> {
        let catch = |kind| signal(kind).map_err(|e| DaemonError::System("waiting for signals", e));
        Ok(Self {
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
            hangup: catch(SignalKind::hangup())?,
        })
    }
}

/// Serves metrics where the configuration says so.
fn listen_for_metrics(
    config: &Config,
    scrapes: &metrics::Scrapes,
) -> Result<Option<metrics::Listener>, DaemonError> {
    let Some(address) = config.metrics.listen else {
        return Ok(None);
    };
    let listener = metrics::Listener::start(address, scrapes.clone())
        .map_err(|error| DaemonError::Metrics(address, error))?;
    tracing::info!(address = %listener.address(), "serving metrics");
    Ok(Some(listener))
}

fn fetcher_options(config: &Config, namespace: Namespace) -> FetcherOptions {
    let observation = &config.observation;
    FetcherOptions {
        sampling: observation.sampling.get(),
        cache_max_size: config.metering.max_flows.get(),
        ingress: observation.directions.ingress(),
        egress: observation.directions.egress(),
        attach: match observation.attach {
            config::Attach::Auto => AttachMode::Auto,
            config::Attach::Tcx => AttachMode::Tcx,
            config::Attach::Clsact => AttachMode::Clsact,
        },
        layer2_flows: observation.non_ip == config::NonIp::Flow,
        filter: observation.filter.clone(),
        timestamps: observation.timestamps,
        cache_slots: Some(observation.cache_slots),
        log_records: observation.log_records,
        pin_dir: config.daemon.pin_dir.clone(),
        namespace,
    }
}

fn policy(config: &Config) -> Policy {
    let metering = &config.metering;
    Policy {
        active_timeout: metering.active_timeout,
        idle_timeout: metering.idle_timeout,
        max_flows: metering.max_flows,
        duplicates: metering.duplicates,
        ..Policy::default()
    }
}

/// `AgentIP`: as configured, else the address that faces the first collector.
async fn agent_address(config: &Config) -> IpAddr {
    if let Some(address) = config.observation.agent_address {
        return address;
    }
    for collector in &config.collectors {
        // A resolver that hangs must not keep anybody waiting.
        let found = tokio::time::timeout(RESOLVER_PATIENCE, address_facing(collector)).await;
        if let Ok(Ok(address)) = found {
            return address;
        }
    }
    IpAddr::V4(Ipv4Addr::UNSPECIFIED)
}

/// Keys that differ and that a running exporter cannot go over to.
fn needing_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let (o, n) = (&old.observation, &new.observation);
    let changed = [
        ("observation.attach", o.attach != n.attach),
        ("observation.cache-slots", o.cache_slots != n.cache_slots),
        ("observation.log-records", o.log_records != n.log_records),
        ("daemon.run-dir", old.daemon.run_dir != new.daemon.run_dir),
        ("daemon.pin-dir", old.daemon.pin_dir != new.daemon.pin_dir),
    ];
    changed
        .into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(key, _)| key)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_wait_for_the_next_start_are_these_and_no_others() {
        let restart = |setting: &str| {
            let set = config::Sources::default().with_flags(&[setting.to_owned()], &[]);
            let new = set.load().map_or_else(|e| panic!("{e}"), |new| new.config);
            assert_ne!(new, Config::default(), "{setting}: the default");
            needing_restart(&Config::default(), &new)
        };
        for (setting, later) in [
            ("observation.attach=clsact", "observation.attach"),
            ("observation.cache-slots=64", "observation.cache-slots"),
            ("observation.log-records=2048", "observation.log-records"),
            // What follows from it.
            ("metering.max-flows=100", "observation.cache-slots"),
            ("daemon.run-dir=/run/x", "daemon.run-dir"),
            ("daemon.pin-dir=/sys/fs/bpf/x", "daemon.pin-dir"),
        ] {
            assert_eq!(restart(setting), [later], "{setting}");
            let key = config::keys::find(later).map_or("", |key| key.doc());
            assert!(
                key.ends_with("at a start, not at a reload."),
                "{later}: {key}"
            );
        }
        for setting in [
            "observation.domain-id=2",
            "observation.interfaces=eth0",
            "observation.directions=ingress",
            "observation.sampling=2",
            "observation.filter=udp",
            "observation.non-ip=flow",
            "observation.timestamps=tick",
            "observation.agent-address=192.0.2.1",
            "observation.drain-interval=2s",
            "metering.active-timeout=2s",
            "metering.idle-timeout=2s",
            "metering.max-flows=4096",
            "metering.duplicates=keep",
            "metrics.listen=127.0.0.1:1",
            "log.level=debug",
            "log.format=json",
        ] {
            assert_eq!(restart(setting), [""; 0], "{setting}");
            let name = setting.split('=').next().unwrap_or_default();
            let key = config::keys::find(name).map_or("", |key| key.doc());
            assert!(!key.is_empty() && !key.contains("reload"), "{name}: {key}");
        }
    }
}
