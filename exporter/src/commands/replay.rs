//! `ebpfix replay`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _, Read};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use crate::cli::{NonIpName, OutputFormat, ReplayArgs};
use crate::collector::Output;
use crate::config::{self, Host};
use crate::ledger::Count;
use crate::meter::Policy;
use crate::replay::{Outcome, Pace, Replay, Settings, Sink, Target};

/// Replays captures; says on stderr what became of every packet. SIGINT and SIGTERM end it: what was
/// read until then is exported.
pub fn run(args: &ReplayArgs) -> Result<(), Failure> {
    let target = args
        .collector
        .as_ref()
        .map(|collector| target_of(args, collector))
        .transpose()?;
    let settings = Settings {
        policy: Policy {
            active_timeout: args.active_timeout,
            idle_timeout: args.idle_timeout,
            max_flows: args.max_flows,
            duplicates: args.duplicates.into(),
            ..Policy::default()
        },
        layer2_flows: args.non_ip == NonIpName::Flow,
    };
    let sink = match target {
        Some(target) => Sink::collector(target),
        None => Sink::output(Output::stdout(args.format.unwrap_or(OutputFormat::Table))),
    };
    let mut replay = Replay::new(settings, sink, args.speed().map(Pace::new));
    let stop = stop_at_signal()?;
    let progress = Progress::new(&args.files, target.is_some());
    let began = Instant::now();
    let mut mistakes = Vec::new();
    let mut ended = Ok(());
    for path in &args.files {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (name, input) = match open(path, &progress) {
            Ok(opened) => opened,
            Err(mistake) => {
                mistakes.push(mistake);
                continue;
            }
        };
        match replay.capture(input, &stop) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => mistakes.push(format!("{name}: {error}")),
            Err(error) => {
                ended = Err(error);
                break;
            }
        }
    }
    let packets = replay.packets();
    let outcome = match ended.and_then(|()| replay.finish()) {
        Ok(outcome) => outcome,
        // Nobody reads stdout any more.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
        Err(error) if target.is_some() => return Err(Failure::Failed(error.to_string())),
        Err(error) => return Err(Failure::Failed(format!("cannot write the flows: {error}"))),
    };
    progress.finish();
    crate::logging::tell(&format_args!(
        "{}{}",
        summary(&outcome),
        speed(packets, began.elapsed())
    ));
    mistakes.extend(shortcomings(&outcome));
    match &*mistakes {
        [] => Ok(()),
        mistakes => Err(Failure::Failed(mistakes.join("\nebpfix: "))),
    }
}

/// The collector that is named, its address found.
fn target_of(args: &ReplayArgs, collector: &config::Target) -> Result<Target, Failure> {
    let protocol = args.protocol.into();
    Ok(Target {
        peer: resolve(collector, protocol)?,
        protocol,
        domain: args.domain_id,
        rate_limit: args.rate_limit,
    })
}

/// The first address of a collector.
pub(super) fn resolve(
    target: &config::Target,
    protocol: config::Protocol,
) -> Result<SocketAddr, Failure> {
    let port = target
        .port
        .unwrap_or(config::default_port(protocol, config::Transport::Udp))
        .get();
    let name = match &target.host {
        Host::Address(address) => return Ok(SocketAddr::new(*address, port)),
        Host::Name(name) => name,
    };
    let found = (name.as_str(), port)
        .to_socket_addrs()
        .map_err(|error| Failure::Failed(format!("cannot resolve {name}: {error}")))?
        .next();
    found.ok_or_else(|| Failure::Failed(format!("{name} has no address")))
}

/// Opens a capture, and says what it is called in messages.
fn open(path: &Path, progress: &Progress) -> Result<(String, Box<dyn Read>), String> {
    if path == Path::new("-") {
        let input = progress.0.wrap_read(io::stdin());
        return Ok(("stdin".to_owned(), Box::new(input)));
    }
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| format!("{name}: {error}"))?;
    Ok((name, Box::new(progress.0.wrap_read(file))))
}

/// A flag that is set by the first SIGINT or SIGTERM.
fn stop_at_signal() -> Result<Arc<AtomicBool>, Failure> {
    let failed = |error: io::Error| Failure::Failed(format!("cannot wait for signals: {error}"));
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = super::small_runtime()?;
    let (mut interrupt, mut terminate) = {
        let _in_runtime = runtime.enter();
        (
            signal(SignalKind::interrupt()).map_err(failed)?,
            signal(SignalKind::terminate()).map_err(failed)?,
        )
    };
    let flag = stop.clone();
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => (),
                    _ = terminate.recv() => (),
                }
            });
            flag.store(true, Ordering::Relaxed);
        })
        .map_err(failed)?;
    Ok(stop)
}

/// How far it is: on a terminal, unless that is where the flows go.
struct Progress(ProgressBar);

impl Progress {
    fn new(files: &[PathBuf], to_collector: bool) -> Self {
        let shown = io::stderr().is_terminal() && (to_collector || !io::stdout().is_terminal());
        if !shown {
            return Self(ProgressBar::hidden());
        }
        let length = |path: &PathBuf| {
            let file = path.metadata().ok()?;
            file.is_file().then_some(file.len())
        };
        let total: Option<u64> = files.iter().map(length).sum();
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let template = match total {
            Some(_) => "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            None => "{spinner} {bytes}, {bytes_per_sec}",
        };
        // Without it the bar has indicatif's own style.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }

    fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// What became of every packet, for people.
fn summary(outcome: &Outcome) -> String {
    let mut text = String::new();
    if let Some((first, last)) = outcome.times {
        let _ = writeln!(text, "captured from {first} to {last}");
    }
    if let Some(sent) = &outcome.sent {
        let _ = writeln!(
            text,
            "sent {} records in {} messages of {} octets",
            sent.records, sent.messages, sent.octets
        );
    }
    if outcome.late > 0 {
        let _ = writeln!(
            text,
            "{} packets are more than a second older than one before them: are the files in order?",
            outcome.late
        );
    }
    let ledger = &outcome.ledger;
    let _ = writeln!(text, "{:<24}{:>20}{:>24}", "ledger", "packets", "octets");
    let mut line = |name: &str, count: Count| {
        let _ = writeln!(text, "{name:<24}{:>20}{:>24}", count.packets, count.octets);
    };
    line("observed", ledger.observed);
    line("exported", ledger.exported);
    line("held", ledger.held());
    for (reason, count) in ledger.lost.iter().filter(|(_, count)| !count.is_zero()) {
        line(&format!("lost: {reason}"), count);
    }
    text
}

/// How fast it was.
fn speed(packets: u64, took: Duration) -> String {
    #[expect(clippy::cast_precision_loss, reason = "it is shown to three digits")]
    let millions = packets as f64 / took.as_secs_f64().max(1e-9) / 1e6;
    format!(
        "{packets} packets in {:.3} s: {millions:.3} million a second\n",
        took.as_secs_f64()
    )
}

/// What was not as it should be, a line each.
fn shortcomings(outcome: &Outcome) -> Vec<String> {
    let mut lines = Vec::new();
    for (interface, count) in &outcome.unreadable {
        lines.push(format!(
            "{interface}: {} packets that cannot be read",
            count.packets
        ));
    }
    if let Some(sent) = &outcome.sent
        && let Some(error) = &sent.error
    {
        lines.push(error.clone());
    }
    if !outcome.ledger.is_balanced() {
        lines.push("the ledger is not balanced: a defect, please report it".to_owned());
    }
    lines
}
