//! Captures through the dissector and the meter, to a collector or to stdout: `ebpfix replay`.
//!
//! ```text
//!  Capture -> Meter: dissector, FlowCache -> Record -> Sink: lines | Sender -> UDP
//!                        (the capture's clock)             ledger
//! ```
//!
//! All stages run in one thread, one after the other: none loses what a later one is slow to take.
#![forbid(unsafe_code)]

mod local;
mod meter;
mod pace;
mod sender;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use ipfix::Protocol;

use crate::capture::link::Link;
use crate::capture::{Capture, Damage, Interfaces};
use crate::collector::{Lines, Output};
use crate::ledger::{Count, KernelReading, Ledger, Snapshot};
use crate::meter::Policy;
use crate::record::{FlowJson, Record, UnixTime};

pub use meter::Meter;
pub use pace::Pace;
pub use sender::{Sender, Sent};

/// How captures are metered.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// When flows end.
    pub policy: Policy,
    /// Whether frames that are not IP become layer-2 flows.
    pub layer2_flows: bool,
}

/// A collector, and how it is spoken to.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Where it listens.
    pub peer: SocketAddr,
    /// What it understands.
    pub protocol: Protocol,
    /// Observation Domain ID.
    pub domain: u32,
    /// Records a second at most.
    pub rate_limit: Option<NonZeroU32>,
}

/// Where flows go.
pub struct Sink(Inner);

enum Inner {
    Lines {
        lines: Lines,
        flushed: Instant,
    },
    Collector {
        target: Target,
        /// Since the first record: its clock begins with the capture's.
        sender: Option<Box<Sender>>,
    },
}

impl Sink {
    /// Printed.
    pub fn output(output: Output) -> Self {
        Self(Inner::Lines {
            lines: output.lines(),
            flushed: Instant::now(),
        })
    }

    /// Sent to a collector.
    pub fn collector(target: Target) -> Self {
        Self(Inner::Collector {
            target,
            sender: None,
        })
    }

    /// Takes records that are in the ledger's queue. `first` and `now` are the times of the first
    /// and the newest packet.
    ///
    /// Fails when the output does, or there is no way to the collector.
    fn take(
        &mut self,
        records: Vec<Record>,
        ledger: &Arc<Ledger>,
        first: UnixTime,
        now: UnixTime,
    ) -> io::Result<()> {
        /// So that a reader sees flows soon.
        const FLUSH_EVERY: Duration = Duration::from_millis(200);
        match &mut self.0 {
            Inner::Lines { lines, flushed } => {
                let mut count = Count::ZERO;
                for record in &records {
                    lines.add(&FlowJson::from(record));
                    count += Count::new(record.metrics.packets, record.metrics.bytes);
                }
                if flushed.elapsed() >= FLUSH_EVERY {
                    lines.flush()?;
                    *flushed = Instant::now();
                } else {
                    lines.flush_if_much()?;
                }
                ledger.export(count);
                Ok(())
            }
            Inner::Collector { target, sender } => {
                let sender = match sender {
                    Some(sender) => sender,
                    None => sender.insert(Box::new(connect(target, first)?)),
                };
                // The times of NetFlow's flows are reckoned from the header's: it has to be of their
                // day.
                let export_time = match target.protocol {
                    Protocol::Ipfix => UnixTime::from(SystemTime::now()),
                    Protocol::NetflowV9 | Protocol::NetflowV5 => now,
                };
                sender.send(records, ledger, export_time.millis());
                Ok(())
            }
        }
    }

    /// Writes what is left, or waits a moment for a collector's answer.
    fn finish(&mut self) -> io::Result<Option<Sent>> {
        match &mut self.0 {
            Inner::Lines { lines, .. } => lines.flush().map(|()| None),
            Inner::Collector { sender: None, .. } => Ok(Some(Sent::default())),
            Inner::Collector {
                sender: Some(sender),
                ..
            } => {
                sender.listen(pace::ANSWER)?;
                Ok(Some(sender.sent().clone()))
            }
        }
    }
}

fn connect(target: &Target, first: UnixTime) -> io::Result<Sender> {
    /// Packets may come out of order: sysUptime is 0 this long before the first.
    const BEFORE_NS: u64 = 3_600_000_000_000;
    Sender::connect(
        target.peer,
        target.protocol,
        target.domain,
        first.saturating_sub_ns(BEFORE_NS).millis(),
        target.rate_limit,
    )
    .map_err(|error| {
        let peer = target.peer;
        io::Error::new(error.kind(), format!("cannot send to {peer}: {error}"))
    })
}

/// Captures on their way, one after the other, as one stream.
pub struct Replay {
    meter: Meter,
    interfaces: Interfaces,
    ledger: Arc<Ledger>,
    sink: Sink,
    pace: Option<Pace>,
    handed_on: Instant,
}

/// What became of captures.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Where every packet is.
    pub ledger: Snapshot,
    /// What the collector was sent, if there is one.
    pub sent: Option<Sent>,
    /// Times of the first and the newest packet.
    pub times: Option<(UnixTime, UnixTime)>,
    /// Packets more than a second older than one before them.
    pub late: u64,
    /// What could not be read for its link type: the interface in words, and how much.
    pub unreadable: Vec<(String, Count)>,
}

impl Replay {
    /// Nothing replayed so far. With a `pace` packets are taken when their time has come, without
    /// as fast as it goes.
    pub fn new(settings: Settings, sink: Sink, pace: Option<Pace>) -> Self {
        let ledger = Arc::new(Ledger::new());
        Self {
            meter: Meter::new(settings, ledger.clone(), rand::random()),
            interfaces: Interfaces::default(),
            ledger,
            sink,
            pace,
            handed_on: Instant::now(),
        }
    }

    /// Replays a capture, to its end or until `stop` is set. What is wrong with it is the inner
    /// result: all that is before it was replayed. Fails when the sink does.
    pub fn capture(
        &mut self,
        input: Box<dyn io::Read>,
        stop: &AtomicBool,
    ) -> io::Result<Result<(), CaptureError>> {
        /// Flows wait no longer than this for others to be handed on with, where packets come
        /// slowly, as by a pipe from a program that captures.
        const AT_LEAST_EVERY: Duration = Duration::from_millis(200);
        /// Packets between two looks at `stop`.
        const LOOK_EVERY: u64 = 4096;
        let mut capture = match Capture::open(input, &mut self.interfaces) {
            Ok(capture) => capture,
            Err(damage) => {
                return Ok(Err(CaptureError {
                    damage,
                    decompressed: false,
                }));
            }
        };
        let decompressed = capture.is_compressed();
        let mut left = LOOK_EVERY;
        loop {
            let packet = match capture.next(&mut self.interfaces) {
                Ok(Some(packet)) => packet,
                Ok(None) => return Ok(Ok(())),
                Err(damage) => {
                    return Ok(Err(CaptureError {
                        damage,
                        decompressed,
                    }));
                }
            };
            // Packets that are due at once need no look at the timeouts between them.
            while let Some(now_ns) = self.due(packet.time_ns, stop) {
                if self.meter.wait(now_ns) {
                    self.hand_on()?;
                }
            }
            if self.meter.packet(&packet, &self.interfaces)
                || self.meter.has_few() && self.handed_on.elapsed() >= AT_LEAST_EVERY
            {
                self.handed_on = Instant::now();
                self.hand_on()?;
            }
            left -= 1;
            if left == 0 || self.pace.is_some() {
                left = LOOK_EVERY;
                if stop.load(Ordering::Relaxed) {
                    return Ok(Ok(()));
                }
            }
        }
    }

    /// Packets so far.
    pub fn packets(&self) -> u64 {
        self.meter.packets()
    }

    /// Ends every flow and hands them on. Fails when the sink does.
    pub fn finish(mut self) -> io::Result<Outcome> {
        while self.meter.finish() {
            self.hand_on()?;
        }
        let sent = self.sink.finish()?;
        let unreadable = self.meter.unreadable_interfaces().iter().copied();
        let unreadable = unreadable
            .zip(self.interfaces.list())
            .filter(|(count, _)| !count.is_zero())
            .map(|(count, interface)| (interface.to_string(), count))
            .collect();
        Ok(Outcome {
            ledger: self.ledger.snapshot(&KernelReading::default()),
            sent,
            times: self
                .meter
                .first_ns()
                .map(|first| (time(first), time(self.meter.clock_ns()))),
            late: self.meter.late(),
            unreadable,
        })
    }

    /// Waits for a packet of this time at the recorded speed, if that is asked for; returns the
    /// capture's clock meanwhile, `None` when the packet is due.
    fn due(&mut self, time_ns: u64, stop: &AtomicBool) -> Option<u64> {
        self.pace.as_mut()?.wait(time_ns, stop)
    }

    /// Hands the flows that have ended to the sink.
    fn hand_on(&mut self) -> io::Result<()> {
        /// Records in a batch at most.
        const BATCH: usize = 1024;
        const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let clock_ns = self.meter.clock_ns();
        let now = time(clock_ns);
        let first = time(self.meter.first_ns().unwrap_or(clock_ns));
        let nameless: Arc<str> = Arc::default();
        // Packets of Linux "cooked" captures have the numbers of the host that captured.
        let interfaces = &self.interfaces;
        let numbered = interfaces
            .list()
            .iter()
            .any(|interface| interface.link == Some(Link::Cooked2));
        let ended = self.meter.ended();
        for flows in ended.chunks(BATCH) {
            let records = flows.iter().map(|flow| {
                let place =
                    usize::try_from(flow.id.if_index).map_or(0, |index| index.wrapping_sub(1));
                let interface = interfaces.list().get(place).filter(|_| !numbered);
                let name = interface.and_then(|interface| interface.name.clone());
                let name = name.unwrap_or_else(|| nameless.clone());
                flow.into_record(now, clock_ns, name, UNKNOWN)
            });
            self.sink
                .take(records.collect(), &self.ledger, first, now)?;
        }
        ended.clear();
        Ok(())
    }
}

/// The time of day of a capture's clock.
fn time(ns: u64) -> UnixTime {
    UnixTime::from_nanos(i64::try_from(ns).unwrap_or(i64::MAX))
}

/// What is wrong with a capture.
#[derive(Debug)]
pub struct CaptureError {
    damage: Damage,
    /// The octet is one of what came out of a compressed file.
    decompressed: bool,
}

impl std::fmt::Display for CaptureError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.decompressed {
            f.write_str("decompressed, ")?;
        }
        self.damage.fmt(f)
    }
}

impl std::error::Error for CaptureError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.damage)
    }
}
