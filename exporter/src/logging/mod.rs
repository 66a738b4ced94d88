//! Log lines: to stderr, from a severity on that may be changed while the program runs.
//!
//! `journal` is the protocol of systemd's journal, `limit` keeps one kind of event from flooding the log.
#![forbid(unsafe_code)]

mod journal;
mod limit;

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{FilterExt as _, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Log, LogFormat, LogLevel};

use self::journal::Journal;
use self::limit::Limit;

pub use self::limit::tell_omitted;

type Change = Box<dyn Fn(Targets) -> bool + Send>;

/// The level in force, and how it is changed.
static LEVEL: Mutex<Option<(LogLevel, Change)>> = Mutex::new(None);

/// Sends log lines to stderr, or to the journal. Only the first call has an effect.
pub fn init(log: Log) {
    let (targets, handle) = reload::Layer::new(targets(log.level));
    let filter = targets.and(Limit::new());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        // It would tell stderr, by a macro that panics, that stderr cannot be written.
        .log_internal_errors(false)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    let lines = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Journal => Journal.boxed(),
        LogFormat::Auto if journal::is_stderr() => Journal.boxed(),
        // It has a clock of its own.
        LogFormat::Text if journal::is_stderr() => lines.without_time().boxed(),
        LogFormat::Auto | LogFormat::Text => lines.boxed(),
    };
    let initialised = tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init();
    if initialised.is_ok() {
        let change = move |targets| handle.reload(targets).is_ok();
        *LEVEL.lock().unwrap_or_else(PoisonError::into_inner) = Some((log.level, Box::new(change)));
    }
}

/// Writes to stderr beside the log, if it can be written: a disk that is full, or a reader that is gone,
/// is no reason to panic, as `eprint!` would.
pub fn tell(text: &dyn fmt::Display) {
    let _ = write!(io::stderr(), "{text}");
}

/// The least severity that is logged; `None` where nothing is.
pub fn level() -> Option<LogLevel> {
    let level = LEVEL.lock().unwrap_or_else(PoisonError::into_inner);
    level.as_ref().map(|(level, _)| *level)
}

/// Logs from another severity on; returns whether that could be done.
pub fn set_level(to: LogLevel) -> bool {
    let mut level = LEVEL.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((level, change)) = level.as_mut() else {
        return false;
    };
    let changed = change(targets(to));
    if changed {
        *level = to;
    }
    changed
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
