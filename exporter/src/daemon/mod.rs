//! The daemon: the stages wired together, and what goes on around them.
//!
//! [`run`] reads like the path of a packet: kernel programs, tables, meter, collectors. Around it:
//! which interfaces there are (`interfaces`), who asks how it goes ([`control`], [`status`]).

pub mod control;
mod interfaces;
mod manager;
mod metering;
pub mod status;

use crate::config::{self, Config};
use crate::export::{Collectors, Shared, address_facing};
use crate::ledger::{Ledger, Snapshot};
use crate::meter::{FlowCache, Policy};
use crate::observe::{
    AttachMode, Error, FetcherOptions, FlowFetcher, InterfaceNames, Links, Parts,
};
use crate::record::UnixTime;
use control::{Control, Question, Reply};
use interfaces::Watched;
use manager::Watchdog;
use metering::{Command, Gauges, Metering};
use status::Sources;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// How long collectors get, at the end, for what is queued.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// How long the start waits for the address that faces a collector given by name.
const RESOLVER_PATIENCE: Duration = Duration::from_secs(1);
/// How often what collectors are told of losses is brought up to date.
const SHARE_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked whether the programs are still attached.
const VERIFY_EVERY: Duration = Duration::from_secs(5);

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
    /// A layout that cannot be: a defect.
    #[error("the layouts of this version are damaged: {0}")]
    Layout(#[from] ipfix::LayoutError),
}

/// Observes and exports until SIGTERM or SIGINT; then exports what is held and returns the ledger
/// as it was at the end.
///
/// `file` is read again at SIGHUP. Where anything fails before the first packet is counted, what
/// was attached by then comes off again.
pub async fn run(config: Config, file: Option<&Path>) -> Result<Snapshot, DaemonError> {
    let mut signals = Signals::new()?;
    let began = Instant::now();
    let control = Control::bind(&config.daemon.run_dir, &config.daemon.control_socket())
        .await
        .map_err(DaemonError::Control)?;

    // kernel programs and tables
    let fetcher = FlowFetcher::new(&fetcher_options(&config))?;
    let Parts {
        probes,
        tables,
        drain,
        turn,
    } = fetcher.into_parts();
    // -> meter
    let ledger = Arc::new(Ledger::new());
    let gauges = Arc::new(Gauges::default());
    let sources = Sources {
        ledger: ledger.clone(),
        tables,
        gauges: gauges.clone(),
    };
    let (meter, commands) = channel();
    let mut watched = Watched::new(config.observation.interfaces.clone(), probes, meter.clone());
    let mut links = Links::connect()?;
    watched.start(&links).await?;
    // -> collectors, who are told the interfaces' names with their first message
    let (shared, told) = watch::channel(Arc::new(Shared {
        interfaces: watched.records(),
        sampling: config.observation.sampling.get(),
        ..Shared::default()
    }));
    let mut collectors = Collectors::new(UnixTime::from(SystemTime::now()), told);
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
    };
    let thread = metering
        .spawn(turn, commands)
        .map_err(|e| DaemonError::System("starting the meter", e))?;

    let mut daemon = Daemon {
        config,
        file: file.map(Path::to_owned),
        began,
        sources,
        ledger,
        collectors,
        shared,
        watched,
        meter,
    };
    daemon.serve(&mut signals, &control, &mut links).await;
    Ok(daemon.stop(thread).await)
}

/// The daemon while it runs.
struct Daemon {
    config: Config,
    file: Option<PathBuf>,
    began: Instant,
    sources: Sources,
    ledger: Arc<Ledger>,
    collectors: Collectors,
    shared: watch::Sender<Arc<Shared>>,
    watched: Watched,
    meter: Sender<Command>,
}

impl Daemon {
    /// Everything that happens until a signal ends it.
    async fn serve(&mut self, signals: &mut Signals, control: &Control, links: &mut Links) {
        let mut share = tokio::time::interval(SHARE_EVERY);
        let mut verify = tokio::time::interval(VERIFY_EVERY);
        let mut watchdog = Watchdog::new();
        let mut alive = tokio::time::interval(watchdog.interval());
        let mut netlink = true;
        manager::ready(&self.summary());
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => return,
                _ = signals.interrupt.recv() => return,
                _ = signals.hangup.recv() => {
                    manager::reloading();
                    self.reload();
                    manager::ready(&self.summary());
                }
                _ = share.tick() => self.share(),
                _ = alive.tick() => {
                    let rounds = self.sources.gauges.rounds.load(Ordering::Relaxed);
                    watchdog.alive(rounds, &self.summary());
                }
                _ = verify.tick() => if self.watched.verify() {
                    self.share();
                },
                event = links.next(), if netlink => {
                    let Some(event) = event else {
                        tracing::error!("netlink is closed: changes of interfaces are no longer seen");
                        netlink = false;
                        continue;
                    };
                    if self.watched.follow(event, links).await {
                        self.share();
                    }
                }
                client = control.accept() => match client {
                    Ok(mut stream) => {
                        let answer = self.status();
                        tokio::spawn(async move {
                            let reply = match control::read_request(&mut stream).await {
                                Ok(Question::Status) => answer,
                                Err(error) => Reply::Error(error),
                            };
                            control::write_reply(stream, &reply).await;
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept on the control socket");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
    }

    /// The end: nothing more is counted, all that was is exported as far as it can be.
    async fn stop(mut self, thread: JoinHandle<()>) -> Snapshot {
        tracing::info!("ending: exporting what is held");
        manager::stopping();
        let interfaces = self.watched.records();
        self.watched.stop();
        let _ = self.meter.send(Command::Stop);
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        self.share_with(interfaces);
        // The queues end when the last handle is gone.
        if !self.collectors.end(LAST_WORDS).await {
            tracing::warn!("a collector took too long: what it was not sent is lost");
        }
        self.sources.ledger()
    }

    /// Reads the configuration again. What is wrong with it is said, and the old one stays.
    fn reload(&mut self) {
        let Some(file) = self.file.clone() else {
            tracing::warn!("SIGHUP: there is no configuration file to read again");
            return;
        };
        let loaded = match Config::load(&file) {
            Ok(loaded) => loaded,
            Err(errors) => {
                for line in errors.to_string().lines() {
                    tracing::error!("{line}");
                }
                tracing::error!("the configuration in force stays");
                return;
            }
        };
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let new = loaded.config;
        for key in needing_restart(&self.config, &new) {
            tracing::warn!(key, "changed, but takes effect at the next start only");
        }
        let domain = new.observation.domain_id;
        match self.collectors.set(&new.collectors, domain, &self.ledger) {
            Ok(export) => {
                let _ = self.meter.send(Command::Export(export));
            }
            Err(error) => {
                tracing::error!(%error, "the collectors in force stay");
                return;
            }
        }
        let _ = self.meter.send(Command::Policy(policy(&new)));
        let _ = self
            .meter
            .send(Command::DrainInterval(new.observation.drain_interval));
        self.sources
            .tables
            .set_sampling(new.observation.sampling.get());
        self.watched.set_wanted(new.observation.interfaces.clone());
        self.config = new;
        self.share();
        tracing::info!(file = %file.display(), "the configuration was read again");
    }

    fn status(&mut self) -> Reply {
        let status = self.sources.status(
            self.began.elapsed().as_secs(),
            self.config.metering.max_flows.get(),
            self.collectors.running(),
            self.watched.status(),
        );
        match serde_json::to_value(&status) {
            Ok(value) => Reply::Ok(value),
            Err(error) => Reply::Error(error.to_string()),
        }
    }

    /// One line for `systemctl status`.
    fn summary(&mut self) -> String {
        let ledger = self.sources.ledger();
        format!(
            "interfaces: {}, collectors: {}, packets observed: {}, lost: {}",
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
        let ignored = lost
            .total()
            .saturating_sub(lost.of(crate::ledger::LossReason::NotSampled));
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

fn fetcher_options(config: &Config) -> FetcherOptions {
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
        cache_slots: Some(observation.cache_slots),
        log_records: observation.log_records,
        pin_dir: config.daemon.pin_dir.clone(),
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
        ("observation.directions", o.directions != n.directions),
        ("observation.attach", o.attach != n.attach),
        ("observation.non-ip", o.non_ip != n.non_ip),
        (
            "observation.agent-address",
            o.agent_address != n.agent_address,
        ),
        ("observation.cache-slots", o.cache_slots != n.cache_slots),
        ("observation.log-records", o.log_records != n.log_records),
        ("daemon", old.daemon != new.daemon),
        ("metrics", old.metrics != new.metrics),
        ("log", old.log != new.log),
    ];
    changed
        .into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(key, _)| key)
        .collect()
}
