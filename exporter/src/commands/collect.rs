//! `ebpfix collect`.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use crate::cli::CollectArgs;
use crate::collector::{self, Ending, Output};
use crate::config::{Log, LogFormat, LogLevel};

/// Receives and prints flows until SIGINT or SIGTERM, then a summary on stderr; ends in silence
/// when nobody reads stdout any more.
pub fn run(args: &CollectArgs) -> Result<(), Failure> {
    super::init_logging(Log {
        level: LogLevel::Info,
        format: LogFormat::Text,
    });
    let collector = collector::bind(args.listen)
        .map_err(|error| Failure::Failed(format!("{error} (--listen ADDR:PORT)")))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start: {error}")))?;
    let ending = runtime.block_on(async {
        let shutdown = shutdown_signal()
            .map_err(|error| Failure::Failed(format!("cannot wait for signals: {error}")))?;
        tracing::info!(address = %collector.local_addr(), "listening for IPFIX and NetFlow v9");
        collector
            .run(Output::stdout(args.format), shutdown)
            .await
            .map_err(|error| Failure::Failed(error.to_string()))
    })?;
    if let Ending::Shutdown(summary) = ending {
        eprintln!("{summary}");
    }
    Ok(())
}

/// Completes at the first SIGINT or SIGTERM; the signals are caught from the call on.
fn shutdown_signal() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => (),
            _ = terminate.recv() => (),
        }
    })
}
