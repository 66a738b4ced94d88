//! The subcommands: each takes its arguments and says how the process ends.

pub mod check;
pub mod run;
pub mod status;

use std::fmt;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use tracing::level_filters::LevelFilter;

use crate::cli::Command;
use crate::config::{Errors, Log, LogFormat, LogLevel};
use crate::ledger::Snapshot;

/// Why a command ended without success: the line or lines for stderr and the exit status.
#[derive(Debug)]
pub enum Failure {
    /// Anything but the configuration: exit status 1.
    Failed(String),
    /// The configuration is wrong: exit status 78 (`EX_CONFIG`).
    Config(Errors),
}

impl Failure {
    /// The exit status.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(_) => ExitCode::FAILURE,
            Self::Config(_) => ExitCode::from(78),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(message) => write!(f, "ebpfix: {message}"),
            Self::Config(errors) => fmt::Display::fmt(errors, f),
        }
    }
}

impl From<Errors> for Failure {
    fn from(errors: Errors) -> Self {
        Self::Config(errors)
    }
}

/// Does what the command line says, and says how the process ends.
pub fn dispatch(command: &Command) -> ExitCode {
    let outcome = match command {
        Command::Check(args) => check::run(args),
        Command::Run(args) => run::run(args),
        Command::Status(args) => status::run(args),
        Command::Collect(_) => Err(Failure::Failed("not in this build".to_owned())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit_code()
        }
    }
}

/// Says in one line what became of every packet.
fn log_ledger(ledger: &Snapshot) {
    let lost = ledger.lost.total();
    tracing::info!(
        observed = ledger.observed.packets,
        exported = ledger.exported.packets,
        held = ledger.held().packets,
        lost = lost.packets,
        balanced = ledger.is_balanced(),
        "ended"
    );
    for (reason, count) in ledger.lost.iter().filter(|(_, count)| !count.is_zero()) {
        tracing::info!(%reason, packets = count.packets, octets = count.octets, "lost: {}", reason.description());
    }
}

/// Sends log lines to stderr. Only the first call has an effect.
pub fn init_logging(log: Log) {
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    // The journal has a clock of its own.
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let _ = match log.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text if journal => builder.without_time().try_init(),
        LogFormat::Text => builder.try_init(),
    };
}
