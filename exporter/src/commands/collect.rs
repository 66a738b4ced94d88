//! `ebpfix collect`.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _};
use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use crate::cli::{CollectArgs, ListenAt};
use crate::collector::{self, Ending, Output, Printer, Storage, Tls, View};
use crate::config::{Log, LogFormat, LogLevel, Transport};

/// Receives flows, or reads them from files; prints them, and a summary on stderr at the end. Ends in
/// silence when nobody reads stdout any more.
pub fn run(args: &CollectArgs) -> Result<(), Failure> {
    super::init_logging(Log {
        level: LogLevel::Info,
        format: LogFormat::Text,
    });
    let output = args
        .output_format()
        .map_or_else(Output::none, Output::stdout);
    if args.files.is_empty() {
        receive(args, output)
    } else {
        print(args, output)
    }
}

fn view(args: &CollectArgs) -> View {
    View {
        templates: args.show_templates,
        apply_sampling: args.apply_sampling,
    }
}

/// Whether there is a terminal that shows nothing else.
fn shows_rate(args: &CollectArgs) -> bool {
    let flows_elsewhere = args.output_format().is_none() || !io::stdout().is_terminal();
    io::stderr().is_terminal() && flows_elsewhere && !args.show_templates
}

/// Receives until SIGINT or SIGTERM.
fn receive(args: &CollectArgs, output: Output) -> Result<(), Failure> {
    let ListenAt { transport, address } = args.listen;
    let certificate = (&args.tls_certificate, &args.tls_key);
    let bound = match (transport, certificate) {
        (Transport::Udp, (None, _)) => collector::bind(address),
        (Transport::Tcp, (None, _)) => collector::bind_connections(address, None),
        (Transport::Tls, (Some(certificate), Some(key))) => {
            let tls = Tls::load(certificate, key, args.tls_ca.as_deref())
                .map_err(|error| Failure::Failed(format!("{error} (--tls-...)")))?;
            collector::bind_connections(address, Some(tls))
        }
        (Transport::Tls, _) => {
            let text = "--listen tls:... needs --tls-certificate and --tls-key";
            return Err(Failure::Failed(text.to_owned()));
        }
        (Transport::Udp | Transport::Tcp, _) => {
            let text = "--tls-certificate needs --listen tls:ADDR:PORT";
            return Err(Failure::Failed(text.to_owned()));
        }
    };
    let mut collector =
        bound.map_err(|error| Failure::Failed(format!("{error} (--listen ADDR:PORT)")))?;
    if let Some(path) = &args.write {
        let storage = Storage::create(path, args.force)
            .map_err(|error| Failure::Failed(format!("{error} (--write FILE)")))?;
        collector = collector.store_in(storage);
    }
    collector = collector.viewed(view(args));
    if shows_rate(args) {
        collector = collector.showing_rate();
    }
    let runtime = super::small_runtime()?;
    let ending = runtime.block_on(async {
        let shutdown = shutdown_signal()
            .map_err(|error| Failure::Failed(format!("cannot wait for signals: {error}")))?;
        let address = collector.local_addr();
        match transport {
            Transport::Udp => tracing::info!(%address, "listening for IPFIX, NetFlow v9 and v5"),
            Transport::Tcp => tracing::info!(%address, "listening for IPFIX over TCP"),
            Transport::Tls => tracing::info!(%address, "listening for IPFIX by TLS"),
        }
        collector
            .run(output, shutdown)
            .await
            .map_err(|error| Failure::Failed(error.to_string()))
    })?;
    if let Ending::Shutdown(summary) = ending {
        super::say(&summary);
    }
    Ok(())
}

/// Prints what is in the files. Whatever is wrong with them is told at the end.
fn print(args: &CollectArgs, output: Output) -> Result<(), Failure> {
    let mut printer = Printer::new(output).viewed(view(args));
    for path in &args.files {
        let name = path.display().to_string();
        let printed = if path == Path::new("-") {
            printer.print("stdin", io::stdin().lock())
        } else {
            match File::open(path) {
                Ok(file) => printer.print(&name, file),
                Err(error) => {
                    printer.unreadable(&name, &error);
                    Ok(())
                }
            }
        };
        match printed {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => {
                return Err(Failure::Failed(format!("cannot write the flows: {error}")));
            }
        }
    }
    super::say(&printer.summary());
    match printer.mistakes() {
        [] => Ok(()),
        mistakes => Err(Failure::Failed(mistakes.join("\nebpfix: "))),
    }
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
