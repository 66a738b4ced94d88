//! Who answers which question: the daemon's own task those about itself, a task of the client's those
//! that take their time.

use super::control::{self, Client, Question, Reply};
use super::metering::Command;
use super::onlookers::{Seen, Visitor, Watcher};
use crate::export::Shared;
use crate::flows::rates::{Interval, going_on};
use crate::flows::{Answer, Gather, Query};
use crate::logging;
use crate::observe::boot_clock_ns;
use crate::record::{Record, UnixTime};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;

/// Readings of all flows at once.
const READINGS: usize = 2;
/// Watchers at once.
const WATCHERS: usize = 4;
/// How long a reading waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// Intervals of a watcher, in milliseconds.
const INTERVAL_MS: std::ops::RangeInclusive<u64> = 100..=3_600_000;

/// Takes questions; one for each client.
#[derive(Clone)]
pub struct Desk {
    /// To the daemon's own task.
    orders: mpsc::Sender<(Question, Client)>,
    meter: Sender<Command>,
    /// Names of the interfaces.
    shared: watch::Receiver<Arc<Shared>>,
    readings: Arc<Semaphore>,
    watchers: Arc<Semaphore>,
}

impl Desk {
    /// The desk, and the questions that are left to the daemon.
    pub fn new(
        meter: Sender<Command>,
        shared: watch::Receiver<Arc<Shared>>,
    ) -> (Self, mpsc::Receiver<(Question, Client)>) {
        let (orders, ordered) = mpsc::channel(1);
        let desk = Self {
            orders,
            meter,
            shared,
            readings: Arc::new(Semaphore::new(READINGS)),
            watchers: Arc::new(Semaphore::new(WATCHERS)),
        };
        (desk, ordered)
    }

    /// Serves a client to its end.
    pub async fn serve(self, mut client: Client) {
        let reply = match control::read_request(&mut client).await {
            Err(error) => Reply::Error(error),
            Ok(Question::Flows { query }) => match self.flows(query).await {
                Ok(answer) => Reply::ok(&answer),
                Err(error) => Reply::Error(error),
            },
            Ok(Question::Watch { query, interval_ms }) => {
                match self.watch(query, interval_ms, &mut client).await {
                    Ok(()) => return,
                    Err(error) => Reply::Error(error),
                }
            }
            Ok(Question::Flush) => self.flush().await,
            Ok(Question::LogLevel { level }) => {
                if let Some(level) = level {
                    logging::set_level(level);
                    tracing::info!(?level, "the level of the log was set");
                }
                Reply::ok(&json!({"level": logging::level()}))
            }
            Ok(question) => match self.orders.send((question, client)).await {
                Ok(()) => return,
                Err(mpsc::error::SendError((_, refused))) => {
                    client = refused;
                    Reply::Error(ending())
                }
            },
        };
        control::write_reply(client, &reply).await;
    }

    async fn flows(&self, query: Query) -> Result<Answer, String> {
        query.check()?;
        let _turn = timeout(PATIENCE, self.readings.acquire())
            .await
            .map_err(|_| "others are reading all flows: try again".to_owned())?;
        let (visitor, shown) = Visitor::new();
        self.meter
            .send(Command::Visit(visitor))
            .map_err(|_| ending())?;
        let names = self.names();
        tokio::task::spawn_blocking(move || gather(query, &shown, &names))
            .await
            .map_err(|error| error.to_string())
    }

    async fn watch(
        &self,
        query: Query,
        interval_ms: u64,
        client: &mut Client,
    ) -> Result<(), String> {
        query.check()?;
        if !INTERVAL_MS.contains(&interval_ms) {
            return Err(format!(
                "interval_ms: expected {} to {}, found {interval_ms}",
                INTERVAL_MS.start(),
                INTERVAL_MS.end()
            ));
        }
        let _place = self
            .watchers
            .clone()
            .try_acquire_owned()
            .map_err(|_| format!("{WATCHERS} others are watching already"))?;
        let (watcher, told) = Watcher::new();
        self.meter
            .send(Command::Watch(watcher))
            .map_err(|_| ending())?;
        // One report waits while one is written; what comes meanwhile waits, or is missed, in the
        // watcher's queue.
        let (reports, mut made) = mpsc::channel(1);
        let shared = self.shared.clone();
        let interval = Duration::from_millis(interval_ms);
        tokio::task::spawn_blocking(move || {
            report(&query, interval, &told, &shared, |reply| {
                reports.blocking_send(reply).is_ok()
            });
        });
        while let Some(reply) = made.recv().await {
            if !control::write(client, &reply).await {
                break;
            }
        }
        Ok(())
    }

    async fn flush(&self) -> Reply {
        let (reply, answer) = oneshot::channel();
        if self.meter.send(Command::Flush(reply)).is_err() {
            return Reply::Error(ending());
        }
        match answer.await {
            Ok(Ok(flushed)) => Reply::ok(&json!({
                "flows": flushed.flows,
                "packets": flushed.count.packets,
                "bytes": flushed.count.octets,
            })),
            Ok(Err(error)) => Reply::Error(error.to_owned()),
            Err(_) => Reply::Error(ending()),
        }
    }

    fn names(&self) -> HashMap<u32, Arc<str>> {
        names(&self.shared.borrow())
    }
}

fn ending() -> String {
    "the exporter is ending already".to_owned()
}

fn names(shared: &Shared) -> HashMap<u32, Arc<str>> {
    let interfaces = shared.interfaces.iter();
    interfaces
        .map(|interface| (interface.index, interface.name.as_str().into()))
        .collect()
}

/// Gathers what is shown.
fn gather(query: Query, shown: &Receiver<Vec<Seen>>, names: &HashMap<u32, Arc<str>>) -> Answer {
    let (now, mono) = (UnixTime::from(SystemTime::now()), boot_clock_ns());
    let mut gather = Gather::new(query);
    for Seen {
        id,
        metrics,
        duplicate,
    } in shown.iter().flatten()
    {
        let record = Record {
            interface: names.get(&id.if_index).cloned().unwrap_or_default(),
            duplicate,
            ..Record::new(id, metrics, now, mono)
        };
        gather.add(&going_on(&record));
    }
    gather.finish()
}

/// Reports intervals until nobody takes them any more, or the exporter ends.
fn report(
    query: &Query,
    interval: Duration,
    told: &Receiver<super::onlookers::Counted>,
    shared: &watch::Receiver<Arc<Shared>>,
    mut take: impl FnMut(Reply) -> bool,
) {
    /// Of an interval: the kernel's are not as regular as that one looks for the next.
    const NEARLY: f64 = 0.9;
    let mut counted = Interval::default();
    let mut began = Instant::now();
    // What comes first was counted before anybody watched, partly.
    let mut began_with_a_turn = false;
    loop {
        match told.recv_timeout(Duration::from_secs(1)) {
            Ok(part) if !began_with_a_turn => {
                began_with_a_turn = part.turned;
                began = Instant::now();
            }
            Ok(part) => {
                counted.miss(part.missed);
                for record in part.records.iter() {
                    counted.add(&record.id, &record.metrics);
                }
                if !part.turned || began.elapsed() < interval.mul_f64(NEARLY) {
                    continue;
                }
                let names = names(&shared.borrow());
                let report = counted.report(
                    query.clone(),
                    began.elapsed().as_secs_f64(),
                    UnixTime::from(SystemTime::now()),
                    boot_clock_ns(),
                    |index| names.get(&index).cloned().unwrap_or_default(),
                );
                began = Instant::now();
                if !take(Reply::ok(&report)) {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
