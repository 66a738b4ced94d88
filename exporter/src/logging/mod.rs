//! Log lines: to stderr, from a severity on that may be changed while the program runs.
//!
//! `journal` is the protocol of systemd's journal, `limit` keeps one kind of event from flooding the log.
#![forbid(unsafe_code)]

mod journal;
mod limit;

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{FilterExt as _, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Log, LogFormat, LogLevel};

use self::journal::Journal;
use self::limit::Limit;

pub use self::limit::tell_omitted;

/// What is in force, and how it is changed.
struct InForce {
    level: LogLevel,
    set_level: Box<dyn Fn(Targets) -> bool + Send>,
    set_format: Box<dyn Fn(Lines) -> bool + Send>,
}

/// What makes lines of events.
type Lines = Box<dyn tracing_subscriber::Layer<Registry> + Send + Sync>;

static IN_FORCE: Mutex<Option<InForce>> = Mutex::new(None);

/// Sends log lines to stderr, or to the journal. Only the first call has an effect.
pub fn init(log: Log) {
    let (targets, level) = reload::Layer::new(targets(log.level));
    let (lines, format) = reload::Layer::new(lines(log.format));
    let filter = targets.and(Limit::new());
    let initialised = tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init();
    if initialised.is_ok() {
        *in_force() = Some(InForce {
            level: log.level,
            set_level: Box::new(move |targets| level.reload(targets).is_ok()),
            set_format: Box::new(move |lines| format.reload(lines).is_ok()),
        });
    }
}

/// Writes to stderr beside the log, if it can be written: a disk that is full, or a reader that is gone,
/// is no reason to panic, as `eprint!` would.
pub fn tell(text: &dyn fmt::Display) {
    let _ = write!(io::stderr(), "{text}");
}

/// The least severity that is logged; `None` where nothing is.
pub fn level() -> Option<LogLevel> {
    in_force().as_ref().map(|in_force| in_force.level)
}

/// Logs from another severity on; returns whether that could be done.
pub fn set_level(to: LogLevel) -> bool {
    let mut in_force = in_force();
    let Some(in_force) = in_force.as_mut() else {
        return false;
    };
    let changed = (in_force.set_level)(targets(to));
    if changed {
        in_force.level = to;
    }
    changed
}

/// Logs lines of another form; returns whether that could be done.
pub fn set_format(to: LogFormat) -> bool {
    let in_force = in_force();
    in_force
        .as_ref()
        .is_some_and(|in_force| (in_force.set_format)(lines(to)))
}

fn in_force() -> MutexGuard<'static, Option<InForce>> {
    IN_FORCE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lines(format: LogFormat) -> Lines {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        // It would tell stderr, by a macro that panics, that stderr cannot be written.
        .log_internal_errors(false)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Journal => Journal.boxed(),
        LogFormat::Auto if journal::is_stderr() => Journal.boxed(),
        // It has a clock of its own.
        LogFormat::Text if journal::is_stderr() => lines.without_time().boxed(),
        LogFormat::Auto | LogFormat::Text => lines.boxed(),
    }
}

fn targets(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // redbpf speaks of each failure that we put into words ourselves.
    let redbpf = if level >= LevelFilter::DEBUG {
        level
    } else {
        LevelFilter::OFF
    };
    Targets::new()
        .with_default(level)
        .with_target("redbpf", redbpf)
}
