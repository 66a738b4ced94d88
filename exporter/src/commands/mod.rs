//! The subcommands: each takes its arguments and says how the process ends.

pub mod check;
pub mod collect;
pub mod detach;
pub mod doctor;
pub mod flows;
pub mod handover;
pub mod orders;
pub mod replay;
pub mod run;
pub mod status;
pub mod templates;
pub mod test_collector;
pub mod top;
mod zero;

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use serde::de::DeserializeOwned;

use crate::cli::{Command, ConfigFile};
use crate::config::{Daemon, Errors};
use crate::daemon::control::{self, Question};
use crate::ledger::Snapshot;
pub use crate::logging::init as init_logging;

/// Why a command ended without success: the line or lines for stderr and the exit status.
#[derive(Debug)]
pub enum Failure {
    /// Anything but the configuration: exit status 1.
    Failed(String),
    /// The configuration is wrong: exit status 78 (`EX_CONFIG`).
    Config(Errors),
    /// So it is, as the exporter that runs says, a line each.
    Reload(Vec<String>),
}

impl Failure {
    /// The exit status.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(_) => ExitCode::FAILURE,
            Self::Config(_) | Self::Reload(_) => ExitCode::from(78),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(message) => write!(f, "ebpfix: {message}"),
            Self::Config(errors) => fmt::Display::fmt(errors, f),
            Self::Reload(errors) => f.write_str(&errors.join("\n")),
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
        Command::Collect(args) => collect::run(args),
        Command::Detach(args) => detach::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Flows(args) => flows::run(args),
        Command::Flush(args) => orders::flush(args),
        Command::Handover(args) => handover::run(args),
        Command::LogLevel(args) => orders::log_level(args),
        Command::Reload(args) => orders::reload(args),
        Command::Replay(args) => replay::run(args),
        Command::Run(args) => run::run(args),
        Command::Status(args) => status::run(args),
        Command::Templates(args) => templates::run(args),
        Command::TestCollector(args) => test_collector::run(args),
        Command::Top(args) => top::run(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure);
            failure.exit_code()
        }
    }
}

/// The runtime of the stages that wait for sockets.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    /// The two of the runtime, the meter's two.
    const THREADS: usize = 4;
    // Where the runtime cannot have a thread, it panics, and waits for ever for the others.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let threads: Result<Vec<_>, _> = (0..THREADS)
        .map(|_| {
            let held = held.clone();
            std::thread::Builder::new().spawn(move || drop(held.lock().map(|held| held.recv())))
        })
        .collect();
    drop(release);
    for thread in threads.map_err(cannot_start)? {
        let _ = thread.join();
    }
    build(tokio::runtime::Builder::new_multi_thread().worker_threads(2))
}

/// The runtime of a command that waits for little.
fn small_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    build(&mut tokio::runtime::Builder::new_current_thread())
}

fn build(runtime: &mut tokio::runtime::Builder) -> Result<tokio::runtime::Runtime, Failure> {
    /// More than it takes by itself.
    const DESCRIPTORS: usize = 12;
    // Where it finds no descriptor for its signals, it panics.
    (0..DESCRIPTORS)
        .map(|_| File::open("/dev/null"))
        .collect::<Result<Vec<_>, _>>()
        .map(drop)
        .and_then(|()| runtime.enable_all().build())
        .map_err(cannot_start)
}

#[allow(clippy::needless_pass_by_value, reason = "what `map_err` hands over")]
fn cannot_start(error: io::Error) -> Failure {
    Failure::Failed(format!("cannot start: {error}"))
}

/// Writes a line to stderr, if it can be written.
fn say(line: &dyn fmt::Display) {
    crate::logging::tell(&format_args!("{line}\n"));
}

/// Columns of the terminal that stdout is, if it is one.
fn terminal_width() -> Option<u16> {
    let stdout = io::stdout();
    let size = stdout
        .is_terminal()
        .then(|| terminal_size::terminal_size_of(&stdout));
    size.flatten().map(|(width, _)| width.0)
}

/// Writes a command's answer.
fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// The `[daemon]` table in force: where the exporter that is meant has its directories. Mistakes in the
/// rest of the file are no reason not to ask it: it may be asked for their sake.
fn daemon_of(file: &ConfigFile) -> Result<Daemon, Failure> {
    let sources = file.sources();
    let errors = match sources.load() {
        Ok(loaded) => return Ok(loaded.config.daemon),
        Err(errors) => errors,
    };
    let daemon = sources.load_daemon().ok_or(Failure::Config(errors))?;
    let has = match sources.file() {
        Some(path) => format!("{} has", path.display()),
        None => "the environment has".to_owned(),
    };
    say(&format_args!(
        "warning: {has} mistakes: `ebpfix check` lists them"
    ));
    Ok(daemon)
}

/// The network namespace of a configuration, as far as it can be read.
fn namespace_of(file: &ConfigFile) -> Option<String> {
    file.sources().load().ok()?.config.observation.namespace
}

/// Asks the exporter that runs.
fn ask<T: DeserializeOwned>(daemon: &Daemon, question: Question) -> Result<T, Failure> {
    small_runtime()?
        .block_on(control::ask(&daemon.control_socket(), question))
        .map_err(Failure::Failed)
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
