//! Where looks come from: the exporter that runs, or probes of this command's own.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use ebpfix_probes::abi::{DropReason, FlowRecord, HashedRecord};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::daemon::control::{self, Answers, Question};
use crate::daemon::loss_reason;
use crate::filter::Filter;
use crate::flows::rates::{Interval, Report, going_on};
use crate::flows::{Answer, Gather, Query};
use crate::ledger::Count;
use crate::meter::{FlowCache, Policy};
use crate::observe::{FetcherOptions, FlowFetcher, Interface, InterfaceNames, boot_clock_ns};
use crate::record::{Record, UnixTime};

/// What is wanted of each look.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wish {
    /// The flows, and how.
    pub query: Query,
    /// Beside them what these flows have counted since their records began.
    pub detail: Option<Filter>,
}

/// What was seen in an interval.
#[derive(Clone, Debug)]
pub struct Look {
    /// The query that it answers.
    pub query: Query,
    /// The flows.
    pub report: Report<Value>,
    /// As `ebpfix status --json` has it; of probes of our own there is less.
    pub status: Value,
    /// The flow in detail.
    pub detail: Option<Value>,
}

/// What comes from a source; an error is for now, and another look may follow.
pub type Looks = mpsc::Receiver<Result<Look, String>>;

/// Looks at the exporter that answers at `socket`, until nobody takes them any more. Where it ends, the
/// next one is waited for.
pub async fn exporter(
    socket: PathBuf,
    interval: Duration,
    mut wishes: watch::Receiver<Wish>,
    looks: mpsc::Sender<Result<Look, String>>,
) {
    /// Between two attempts.
    const AGAIN: Duration = Duration::from_secs(1);
    loop {
        let wish = wishes.borrow_and_update().clone();
        let error = tokio::select! {
            error = look_on(&socket, interval, &wish, &looks) => error,
            changed = wishes.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        if looks.send(Err(error)).await.is_err() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            _ = wishes.changed() => {}
        }
    }
}

/// Looks until there is a reason not to.
async fn look_on(
    socket: &std::path::Path,
    interval: Duration,
    wish: &Wish,
    looks: &mpsc::Sender<Result<Look, String>>,
) -> String {
    let one = async || -> Result<(), String> {
        let question = Question::Watch {
            query: wish.query.clone(),
            interval_ms: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
        };
        let mut answers = Answers::ask(socket, question).await?;
        loop {
            let report = answers.next().await?;
            let status = control::ask(socket, Question::Status).await?;
            let detail = match &wish.detail {
                Some(filter) => {
                    let query = Query {
                        filter: filter.clone(),
                        limit: 1,
                        ..Query::default()
                    };
                    let answer: Answer<Value> =
                        control::ask(socket, Question::Flows { query }).await?;
                    answer.rows.into_iter().next()
                }
                None => None,
            };
            let look = Look {
                query: wish.query.clone(),
                report,
                status,
                detail,
            };
            if looks.send(Ok(look)).await.is_err() {
                return Ok(());
            }
        }
    };
    match one().await {
        Ok(()) => "nobody looks".to_owned(),
        Err(error) => error,
    }
}

/// Probes of this command's own; taken off when it is dropped.
pub struct Probes {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Observes these interfaces.
///
/// # Errors
/// In words.
pub async fn probes(
    names: &[String],
    interval: Duration,
    wishes: watch::Receiver<Wish>,
    looks: mpsc::Sender<Result<Look, String>>,
) -> Result<Probes, String> {
    let mut interfaces = Vec::new();
    for name in names {
        interfaces.push(Interface::find(name).await.map_err(|e| e.to_string())?);
    }
    let options = FetcherOptions {
        // None of a running exporter's.
        pin_dir: format!("/sys/fs/bpf/ebpfix-top-{}", std::process::id()).into(),
        ..FetcherOptions::default()
    };
    let mut fetcher = FlowFetcher::new(&options).map_err(|e| e.to_string())?;
    for interface in &interfaces {
        if let Err(error) = fetcher.register(interface) {
            fetcher.close();
            return Err(error.to_string());
        }
    }
    let mut names = InterfaceNames::default();
    for interface in &interfaces {
        names.set(interface.index, &interface.name);
    }
    let observing = Observing {
        fetcher,
        interfaces,
        names,
        cache: FlowCache::new(Policy::default()),
        hasher: RandomState::new(),
        lost: HashMap::new(),
        began: Instant::now(),
    };
    let end = Arc::new(AtomicBool::new(false));
    let ended = end.clone();
    let thread = thread::Builder::new()
        .name("probes".to_owned())
        .spawn(move || observing.run(interval, &wishes, &looks, &ended))
        .map_err(|error| format!("cannot start: {error}"))?;
    Ok(Probes {
        end,
        thread: Some(thread),
    })
}

struct Observing {
    fetcher: FlowFetcher,
    interfaces: Vec<Interface>,
    names: InterfaceNames,
    cache: FlowCache,
    hasher: RandomState,
    lost: HashMap<&'static str, Count>,
    began: Instant,
}

impl Observing {
    fn run(
        mut self,
        interval: Duration,
        wishes: &watch::Receiver<Wish>,
        looks: &mpsc::Sender<Result<Look, String>>,
        ended: &AtomicBool,
    ) {
        /// So soon it is noticed that it ends.
        const SOON: Duration = Duration::from_millis(20);
        let mut began = Instant::now();
        while !ended.load(Ordering::Relaxed) {
            if began.elapsed() < interval {
                thread::sleep(SOON.min(interval.saturating_sub(began.elapsed())));
                continue;
            }
            let look = self.look(began.elapsed().as_secs_f64(), &wishes.borrow().clone());
            began = Instant::now();
            // Of a screen that is slow to take them the latest are not worth waiting for.
            if let Err(mpsc::error::TrySendError::Closed(_)) = looks.try_send(look) {
                break;
            }
        }
        self.fetcher.close();
    }

    fn look(&mut self, seconds: f64, wish: &Wish) -> Result<Look, String> {
        let flows = self
            .fetcher
            .lookup_and_delete_map()
            .map_err(|e| e.to_string())?;
        let mut interval = Interval::default();
        let (now, mono) = (UnixTime::from(SystemTime::now()), boot_clock_ns());
        let mut records = Vec::with_capacity(flows.len());
        for (id, metrics) in flows {
            interval.add(&id, &metrics);
            // Half of a good hash is one.
            let hash = u32::try_from(self.hasher.hash_one(id) >> 32).unwrap_or_default();
            records.push(HashedRecord {
                record: FlowRecord { id, metrics },
                hash,
                ..HashedRecord::default()
            });
        }
        let mut ended = Vec::new();
        let _ = self.cache.merge(&records, mono, &mut ended);
        let _ = self.cache.expire(mono, usize::MAX, &mut ended);
        let dropped = &self.fetcher.settlement().dropped;
        for (reason, tally) in DropReason::ALL.into_iter().zip(dropped) {
            *self.lost.entry(loss_reason(reason).name()).or_default() +=
                Count::new(tally.packets, tally.octets);
        }
        let names = &self.names;
        let report = interval.report(wish.query.clone(), seconds, now, mono, |index| {
            names.get(index)
        });
        // By way of JSON, as it comes from an exporter.
        let report = serde_json::to_value(&report)
            .and_then(serde_json::from_value)
            .map_err(|e| e.to_string())?;
        Ok(Look {
            query: wish.query.clone(),
            report,
            status: self.status(),
            detail: self.detail(wish.detail.as_ref(), now, mono),
        })
    }

    fn detail(&self, filter: Option<&Filter>, now: UnixTime, mono: u64) -> Option<Value> {
        let mut gather = Gather::new(Query {
            filter: filter?.clone(),
            limit: 1,
            ..Query::default()
        });
        for flow in self.cache.flows() {
            let record = Record {
                interface: self.names.get(flow.id.if_index),
                duplicate: flow.duplicate,
                ..Record::new(*flow.id, *flow.metrics, now, mono)
            };
            gather.add(&going_on(&record));
        }
        let row = gather.finish().rows.into_iter().next()?;
        serde_json::to_value(row).ok()
    }

    /// What there is of a status.
    fn status(&self) -> Value {
        let observed = self.fetcher.counters().observed;
        let interfaces = self.interfaces.iter();
        let interfaces = interfaces.map(|interface| json!({"name": interface.name}));
        json!({
            "uptime_s": self.began.elapsed().as_secs(),
            "interfaces": interfaces.collect::<Vec<_>>(),
            "ledger": {
                "observed": Count::new(observed.packets, observed.octets),
                "lost": self.lost,
            },
            "meter": {"flows": self.cache.len(), "max_flows": self.cache.policy().max_flows},
        })
    }
}
