//! `ebpfix run` without a configuration: the flows of this machine on the screen, told by IPFIX
//! over the loopback to a collector in the same process.

use super::Failure;
use crate::cli::OutputFormat;
use crate::collector::{self, Ending, Output};
use crate::config::{Config, Sources};
use crate::daemon;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Flows appear soon: this is for eyes, not for a database.
const ACTIVE_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(3);

/// Observes every interface but lo, where `sources` say nothing else, and prints the flows until
/// SIGTERM or SIGINT.
pub fn run(sources: Sources) -> Result<(), Failure> {
    let failed = |error: String| Failure::Failed(error);
    // Any free port: the standard one may belong to a real collector.
    let collector = collector::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .map_err(|error| failed(error.to_string()))?;
    let mut config = Config::zero(collector.local_addr());
    config.metering.active_timeout = ACTIVE_TIMEOUT;
    config.metering.idle_timeout = IDLE_TIMEOUT;
    let sources = sources.with_built_in(config.to_toml());
    let loaded = sources.load()?;
    super::init_logging(loaded.config.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let (ledger, ending) = super::runtime()?.block_on(async {
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let mut printing =
            tokio::spawn(collector.run(Output::stdout(OutputFormat::Table), async {
                let _ = ended.await;
            }));
        let ledger = tokio::select! {
            ledger = daemon::run(loaded, &sources) => {
                // What the exporter sent last is in the socket by now.
                let _ = end.send(());
                Some(ledger.map_err(|error| failed(error.to_string()))?)
            }
            // Nobody reads any more: there is nothing to observe for. Dropping the exporter takes
            // it off the interfaces.
            ending = &mut printing => return Ok::<_, Failure>((None, ending)),
        };
        Ok((ledger, printing.await))
    })?;
    let ending = ending
        .map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(error.to_string()))?;
    if let Ending::Shutdown(summary) = ending {
        super::say(&summary);
    }
    if let Some(ledger) = ledger {
        super::log_ledger(&ledger);
    }
    Ok(())
}
