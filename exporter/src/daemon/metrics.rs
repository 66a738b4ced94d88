//! Statistics for Prometheus: everything of [`Status`] that is a number, over HTTP.
//!
//! Off unless `metrics.listen` says where. `GET /metrics` answers in the format that is asked for:
//! `OpenMetrics` 1.0, or Prometheus' text format. Connections are few, short and bounded; each
//! answers one request, and what the daemon does for it is gather its status once.
#![forbid(unsafe_code)]

use super::status::{InterfaceStatus, Status};
use crate::export::{CollectorStatus, ConnectionState, ConnectionStatus, Failures};
use crate::ledger::Count;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit};
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Connections at once; others wait for their turn.
const CONNECTIONS: usize = 8;
/// Octets of a request's head at most.
const HEAD_OCTETS: usize = 8 * 1024;
/// How long a request's head may take to come.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection may take in all.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the daemon for its status.
pub type Scrapes = mpsc::Sender<oneshot::Sender<Status>>;

/// The listener. It ends when dropped; connections that are open go on to their end.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Listener {
    /// Listens at `address`. Must run in a tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn start(address: SocketAddr, scrapes: Scrapes) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok(Self {
            address,
            task: tokio::spawn(accept(listener, scrapes)),
        })
    }

    /// Where it was told to listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, scrapes: Scrapes) {
    /// After an error, such as too few descriptors.
    const PAUSE: Duration = Duration::from_millis(100);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // It is never closed.
        let place = places.clone().acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let scrapes = scrapes.clone();
        tokio::spawn(async move {
            let _place = place;
            let answer = service_fn(|request| {
                let scrapes = scrapes.clone();
                async move { Ok::<_, Infallible>(answer(&request, &scrapes).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_PATIENCE)
                .max_buf_size(HEAD_OCTETS)
                // A connection that waits for its next request keeps its place from others.
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answer);
            // Who asks badly, or does not read, is not worth a word.
            let _ = timeout(PATIENCE, connection).await;
        });
    }
}

async fn answer(request: &Request<Incoming>, scrapes: &Scrapes) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD are allowed\n");
        refused
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match request.uri().path() {
        "/metrics" => {}
        "/" => return plain(StatusCode::OK, "ebpfix: metrics are at /metrics\n"),
        _ => return plain(StatusCode::NOT_FOUND, "metrics are at /metrics\n"),
    }
    let (reply, status) = oneshot::channel();
    let gathered = match scrapes.send(reply).await {
        Ok(()) => status.await.ok(),
        Err(_) => None,
    };
    let Some(status) = gathered else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "the exporter is ending\n");
    };
    let asked = request.headers().get(ACCEPT);
    let format = Format::asked_for(asked.and_then(|value| value.to_str().ok()));
    match exposition(status, format) {
        Ok(text) => of_type(StatusCode::OK, format.content_type(), text),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn plain(status: StatusCode, text: impl Into<String>) -> Response<Full<Bytes>> {
    of_type(status, "text/plain; charset=utf-8", text.into())
}

fn of_type(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// How metrics are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Prometheus' text format, version 0.0.4.
    Prometheus,
    /// `OpenMetrics` 1.0.
    OpenMetrics,
}

impl Format {
    /// The one that an `Accept` header asks for.
    fn asked_for(accept: Option<&str>) -> Self {
        if accept.is_some_and(|accept| accept.contains("application/openmetrics-text")) {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A status as text.
///
/// # Errors
/// Never, as far as the library's own rules are kept.
pub fn exposition(status: Status, format: Format) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("ebpfix");
    registry.register_collector(Box::new(Numbers(status)));
    let mut text = String::new();
    match format {
        Format::Prometheus => prometheus_text::encode(&mut text, &registry)?,
        Format::OpenMetrics => text::encode(&mut text, &registry)?,
    }
    Ok(text)
}

/// Labels of a sample, and its value.
type Sample<'a, V> = (Vec<(&'static str, &'a str)>, V);

#[derive(Debug)]
struct Numbers(Status);

impl Collector for Numbers {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut writer = Writer(encoder);
        let status = &self.0;
        writer.information("build", "The program", &[("version", status.version)])?;
        writer.gauge(
            "uptime",
            "Time since this process began",
            Some(&Unit::Seconds),
            &[(vec![], status.uptime_s)],
        )?;
        ledger(&mut writer, status)?;
        kernel(&mut writer, status)?;
        collectors(&mut writer, status)?;
        configuration(&mut writer, status)
    }
}

fn ledger(writer: &mut Writer<'_>, status: &Status) -> Result<(), fmt::Error> {
    let ledger = &status.ledger;
    writer.count(
        "observed",
        "Observed in the kernel",
        &[(vec![], ledger.observed)],
    )?;
    writer.count(
        "exported",
        "Sent to a collector",
        &[(vec![], ledger.exported)],
    )?;
    let lost: Vec<_> = ledger
        .lost
        .iter()
        .map(|(reason, count)| (vec![("reason", reason.name())], count))
        .collect();
    writer.count("lost", "Observed and not exported, by reason", &lost)?;
    let held = ledger.held();
    writer.gauge(
        "held_packets",
        "Packets observed and neither exported nor lost so far",
        None,
        &[(vec![], held.packets)],
    )?;
    writer.gauge(
        "held",
        "IP octets observed and neither exported nor lost so far",
        Some(&Unit::Bytes),
        &[(vec![], held.octets)],
    )
}

fn kernel(writer: &mut Writer<'_>, status: &Status) -> Result<(), fmt::Error> {
    let hooks: Vec<_> = status
        .interfaces
        .iter()
        .flat_map(|interface| {
            let hook = |direction: &'static str, how: Option<&'static str>| {
                let labels = vec![
                    ("interface", interface.name.as_str()),
                    ("direction", direction),
                    ("how", how.unwrap_or("none")),
                ];
                (labels, u64::from(how.is_some()))
            };
            [
                hook("ingress", interface.ingress),
                hook("egress", interface.egress),
            ]
        })
        .collect();
    writer.gauge(
        "interface_attached",
        "Whether packets of an interface are seen in a direction, and how",
        None,
        &hooks,
    )?;
    interfaces(writer, status)?;
    let reattached: Vec<_> = status
        .interfaces
        .iter()
        .map(|interface| {
            let labels = vec![("interface", interface.name.as_str())];
            (labels, interface.reattached)
        })
        .collect();
    writer.counter(
        "interface_reattached",
        "How often somebody took a program off and it was attached again",
        None,
        &reattached,
    )?;
    tables(writer, status)
}

/// What the observed interfaces are.
fn interfaces(writer: &mut Writer<'_>, status: &Status) -> Result<(), fmt::Error> {
    let information: Vec<_> = status
        .interfaces
        .iter()
        .map(|interface| {
            vec![
                ("interface", interface.name.as_str()),
                ("kind", interface.kind.as_str()),
                ("alias", interface.alias.as_str()),
                ("duplex", interface.duplex.unwrap_or("unknown")),
            ]
        })
        .collect();
    writer.information_of_each(
        "interface",
        "An interface that is observed: its kind, ifAlias, duplex",
        &information,
    )?;
    let of_each = |value: fn(&InterfaceStatus) -> Option<u64>| -> Vec<_> {
        let values = status.interfaces.iter().filter_map(|interface| {
            let labels = vec![("interface", interface.name.as_str())];
            value(interface).map(|value| (labels, value))
        });
        values.collect()
    };
    writer.gauge(
        "interface_up",
        "Whether an interface is administratively up",
        None,
        &of_each(|interface| Some(u64::from(interface.up))),
    )?;
    writer.gauge(
        "interface_speed",
        "How fast an interface is in each direction, where its driver knows",
        // In octets, as others have it: see promtool.
        Some(&Unit::Other("bytes_per_second".to_owned())),
        &of_each(|interface| interface.speed_bits_per_second.map(|bits| bits / 8)),
    )
}

fn tables(writer: &mut Writer<'_>, status: &Status) -> Result<(), fmt::Error> {
    let kernel = &status.kernel;
    let one = |value: u64| [(vec![], value)];
    for (name, help, value) in [
        (
            "frames",
            "Frames seen by the programs",
            kernel.frames.packets,
        ),
        (
            "turns",
            "Generations of the kernel's cache that were read",
            kernel.turns,
        ),
        (
            "handovers",
            "Times that an exporter handed these tables over",
            kernel.handovers,
        ),
        (
            "crashes",
            "Times that an exporter left these tables without a handover",
            kernel.crashes,
        ),
    ] {
        writer.counter(name, help, None, &one(value))?;
    }
    writer.counter(
        "frame",
        "Octets of frames seen by the programs, link headers included",
        Some(&Unit::Bytes),
        &one(kernel.frames.octets),
    )?;
    for (name, help, value) in [
        (
            "log_records",
            "Records that wait in the kernel's logs",
            kernel.log_waiting,
        ),
        (
            "log_records_limit",
            "Records that the kernel's logs hold at most",
            kernel.log_records,
        ),
        ("flows", "Flows in the flow cache", status.meter.flows),
        (
            "flows_limit",
            "Flows that the flow cache holds at most",
            status.meter.max_flows.into(),
        ),
        (
            "taking_over",
            "Whether it still reads what an exporter before left",
            u64::from(kernel.taking_over),
        ),
    ] {
        writer.gauge(name, help, None, &one(value))?;
    }
    for (name, help, value) in [
        (
            "kernel_memory",
            "Memory of the kernel's tables",
            kernel.octets,
        ),
        (
            "flow_cache_memory",
            "Memory of the flow cache",
            status.meter.octets,
        ),
    ] {
        writer.gauge(name, help, Some(&Unit::Bytes), &one(value))?;
    }
    Ok(())
}

fn collectors(writer: &mut Writer<'_>, status: &Status) -> Result<(), fmt::Error> {
    let labels = |at: usize| {
        let collector = &status.collectors[at];
        vec![
            ("collector", collector.name.as_str()),
            ("protocol", collector.protocol),
        ]
    };
    let each = |value: &dyn Fn(usize) -> u64| -> Vec<Sample<'_, u64>> {
        (0..status.collectors.len())
            .map(|at| (labels(at), value(at)))
            .collect()
    };
    let of = |at: usize| &status.collectors[at];
    for (name, help, values) in [
        (
            "collector_messages",
            "Messages sent",
            each(&|at| of(at).messages),
        ),
        (
            "collector_records",
            "Flow Records sent",
            each(&|at| of(at).records),
        ),
        (
            "collector_lost_records",
            "Flow Records not sent",
            each(&|at| of(at).lost_records),
        ),
        (
            "collector_exported_packets",
            "Packets of the records sent",
            each(&|at| of(at).exported.packets),
        ),
        (
            "collector_lost_packets",
            "Packets of the records not sent",
            each(&|at| of(at).lost.packets),
        ),
        (
            "collector_refused",
            "Answers that nobody listens there (ICMP)",
            each(&|at| of(at).refused),
        ),
        (
            "collector_errors",
            "Attempts to send that failed",
            each(&|at| of(at).errors),
        ),
    ] {
        writer.counter(name, help, None, &values)?;
    }
    for (name, help, values) in [
        (
            "collector_sent",
            "Octets of the messages sent",
            each(&|at| of(at).octets),
        ),
        (
            "collector_exported",
            "IP octets of the records sent",
            each(&|at| of(at).exported.octets),
        ),
        (
            "collector_lost",
            "IP octets of the records not sent",
            each(&|at| of(at).lost.octets),
        ),
    ] {
        writer.counter(name, help, Some(&Unit::Bytes), &values)?;
    }
    writer.gauge(
        "collector_held_records",
        "Flow Records that wait to be sent",
        None,
        &each(&|at| of(at).held_records),
    )?;
    connections(writer, status)
}

/// Of collectors that are connected to, how it is with that.
fn connections(writer: &mut Writer<'_>, status: &Status) -> Result<(), fmt::Error> {
    let connected: Vec<(&CollectorStatus, &ConnectionStatus)> = status
        .collectors
        .iter()
        .filter_map(|collector| Some((collector, collector.connection.as_ref()?)))
        .collect();
    if connected.is_empty() {
        return Ok(());
    }
    let each = |value: &dyn Fn(&CollectorStatus, &ConnectionStatus) -> Option<u64>| {
        let samples = connected.iter().filter_map(|(collector, connection)| {
            let labels = vec![("collector", collector.name.as_str())];
            Some((labels, value(collector, connection)?))
        });
        samples.collect::<Vec<Sample<'_, u64>>>()
    };
    writer.gauge(
        "collector_connected",
        "Whether there is a connection that takes what is sent",
        None,
        &each(&|_, c| Some((c.state == ConnectionState::Connected).into())),
    )?;
    writer.counter(
        "collector_connections",
        "Connections that were made",
        None,
        &each(&|_, c| Some(c.made)),
    )?;
    let mut failures: Vec<Sample<'_, u64>> = Vec::new();
    for (collector, connection) in &connected {
        let Failures {
            connect,
            tls,
            closed,
            timed_out,
            broken,
        } = connection.failures;
        for (failure, count) in [
            ("connect", connect),
            ("tls", tls),
            ("closed", closed),
            ("timed_out", timed_out),
            ("broken", broken),
        ] {
            let labels = vec![("collector", collector.name.as_str()), ("failure", failure)];
            failures.push((labels, count));
        }
    }
    writer.counter(
        "collector_connection_failures",
        "Connections that could not be made, or ended otherwise than by this exporter",
        None,
        &failures,
    )?;
    writer.counter(
        "collector_unacknowledged_records",
        "Flow Records sent that may have arrived or not, because a connection broke",
        None,
        &each(&|s, _| Some(s.unacknowledged_records)),
    )?;
    writer.gauge(
        "collector_waiting",
        "Octets on their way in a connection",
        Some(&Unit::Bytes),
        &each(&|_, c| Some(c.waiting_octets)),
    )?;
    writer.gauge(
        "collector_certificate_expires_timestamp",
        "Until when the certificate is good that the collector was shown, since 1970",
        Some(&Unit::Seconds),
        &each(&|_, c| Some(c.tls.as_ref()?.certificate_expires_ms? / 1000)),
    )
}

fn configuration(writer: &mut Writer<'_>, status: &Status) -> Result<(), fmt::Error> {
    let configuration = &status.configuration;
    let one = |value: usize| [(vec![], value as u64)];
    writer.gauge(
        "configuration_errors",
        "Mistakes in the configuration file as it was last read; it is then not in force",
        None,
        &one(configuration.errors.len()),
    )?;
    writer.gauge(
        "configuration_restart_keys",
        "Keys that were changed and take effect at the next start only",
        None,
        &one(configuration.restart.len()),
    )?;
    writer.gauge(
        "configuration_read_timestamp",
        "When the configuration in force was read, in seconds since 1970",
        Some(&Unit::Seconds),
        &[(vec![], configuration.read_ms / 1000)],
    )
}

struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn information(
        &mut self,
        name: &str,
        help: &str,
        labels: &[(&'static str, &str)],
    ) -> Result<(), fmt::Error> {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Info)?;
        metric.encode_info(&labels)
    }

    /// The same of several things, each with its labels.
    fn information_of_each(
        &mut self,
        name: &str,
        help: &str,
        each: &[Vec<(&'static str, &str)>],
    ) -> Result<(), fmt::Error> {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Info)?;
        for labels in each {
            metric.encode_info(labels)?;
        }
        Ok(())
    }

    /// Packets and octets.
    fn count(
        &mut self,
        name: &str,
        help: &str,
        samples: &[Sample<'_, Count>],
    ) -> Result<(), fmt::Error> {
        let of = |value: fn(&Count) -> u64| -> Vec<Sample<'_, u64>> {
            samples
                .iter()
                .map(|(labels, count)| (labels.clone(), value(count)))
                .collect()
        };
        self.counter(
            &format!("{name}_packets"),
            &format!("{help}: packets"),
            None,
            &of(|count| count.packets),
        )?;
        self.counter(
            name,
            &format!("{help}: IP octets"),
            Some(&Unit::Bytes),
            &of(|count| count.octets),
        )
    }

    fn counter(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: &[Sample<'_, u64>],
    ) -> Result<(), fmt::Error> {
        const NO_EXEMPLAR: Option<&Exemplar<NoLabelSet, u64>> = None;
        let mut metric = self
            .0
            .encode_descriptor(name, help, unit, MetricType::Counter)?;
        for (labels, value) in samples {
            if labels.is_empty() {
                metric.encode_counter(value, NO_EXEMPLAR)?;
            } else {
                metric
                    .encode_family(labels)?
                    .encode_counter(value, NO_EXEMPLAR)?;
            }
        }
        Ok(())
    }

    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: &[Sample<'_, u64>],
    ) -> Result<(), fmt::Error> {
        let mut metric = self
            .0
            .encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for (labels, value) in samples {
            if labels.is_empty() {
                metric.encode_gauge(value)?;
            } else {
                metric.encode_family(labels)?.encode_gauge(value)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::{ConfigurationStatus, KernelStatus, MeterStatus};
    use super::*;
    use crate::export::TlsStatus;
    use crate::ledger::{KernelReading, Ledger, LossReason};
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::{Path, PathBuf};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    fn status() -> Status {
        let ledger = Ledger::new();
        let lost = [(LossReason::NotIp, Count::new(5, 230))];
        let reading = KernelReading {
            observed: Count::new(1_000, 90_000),
            lost: lost.into_iter().collect(),
        };
        ledger.observe(Count::new(900, 80_000));
        ledger.lose_from_cache(LossReason::Duplicate, Count::new(7, 700));
        Status {
            version: "0.0.0",
            uptime_s: 3601,
            ledger: ledger.snapshot_with(|| reading),
            collectors: vec![
                udp_collector(),
                CollectorStatus {
                    name: "south".to_owned(),
                    protocol: "ipfix",
                    transport: "tls",
                    unacknowledged_records: 40,
                    connection: Some(ConnectionStatus {
                        state: ConnectionState::Connected,
                        made: 3,
                        waiting_octets: 4242,
                        tls: Some(TlsStatus {
                            certificate_expires_ms: Some(1_827_072_420_123),
                            ..TlsStatus::default()
                        }),
                        failures: Failures {
                            closed: 2,
                            ..Failures::default()
                        },
                        ..ConnectionStatus::default()
                    }),
                    ..CollectorStatus::default()
                },
            ],
            namespace: None,
            interfaces: vec![InterfaceStatus {
                index: 2,
                name: "eth0".to_owned(),
                alias: "uplink".to_owned(),
                kind: "physical".to_owned(),
                up: true,
                speed_bits_per_second: Some(10_000_000_000),
                duplex: Some("full"),
                ingress: Some("tcx"),
                egress: None,
                reattached: 4,
            }],
            kernel: KernelStatus {
                filter: None,
                attached: BTreeMap::from([("tcx", 1)]),
                frames: Count::new(1_001, 104_000),
                cache_slots: 4096,
                cpus: 2,
                log_waiting: 3,
                log_records: 131_072,
                octets: 16_777_216,
                turns: 55,
                tables_since_ms: 1,
                adopted: false,
                taking_over: false,
                handovers: 1,
                crashes: 0,
            },
            meter: MeterStatus {
                flows: 17,
                max_flows: 131_072,
                octets: 4096,
            },
            configuration: ConfigurationStatus {
                read_ms: 1_795_536_420_123,
                errors: vec!["f:1:1: no".to_owned()],
                ..ConfigurationStatus::default()
            },
        }
    }

    fn udp_collector() -> CollectorStatus {
        CollectorStatus {
            name: "the \"north\" one".to_owned(),
            protocol: "ipfix",
            transport: "udp",
            messages: 12,
            octets: 14_000,
            records: 170,
            lost_records: 3,
            refused: 1,
            ..CollectorStatus::default()
        }
    }

    fn project(path: &str) -> PathBuf {
        let exporter = Path::new(env!("CARGO_MANIFEST_DIR"));
        exporter.parent().unwrap().join(path)
    }

    #[test]
    fn the_text_is_that_of_the_golden_files() {
        for (name, format) in [
            ("prometheus.txt", Format::Prometheus),
            ("openmetrics.txt", Format::OpenMetrics),
        ] {
            let text = exposition(status(), format).unwrap();
            let path = project("exporter/tests/metrics").join(name);
            if std::env::var_os("EBPFIX_UPDATE").is_some() {
                fs::write(&path, &text).unwrap();
            }
            assert_eq!(text, fs::read_to_string(&path).unwrap(), "{name}");
        }
    }

    /// The names of an exposition's samples.
    fn names(text: &str) -> BTreeSet<&str> {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples
            .filter_map(|line| line.split(['{', ' ']).next())
            .collect()
    }

    /// All words of a text that begin like a metric of ours.
    fn named_in(text: &str) -> BTreeSet<&str> {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .filter(|word| word.starts_with("ebpfix_"))
            .collect()
    }

    #[test]
    fn both_formats_have_the_same_names_by_convention() {
        let [prometheus, openmetrics] = [Format::Prometheus, Format::OpenMetrics]
            .map(|format| exposition(status(), format).unwrap());
        assert_eq!(names(&prometheus), names(&openmetrics));
        for line in prometheus
            .lines()
            .filter(|line| line.starts_with("# TYPE "))
        {
            let words: Vec<_> = line.split(' ').collect();
            assert_eq!(
                words[3] == "counter",
                words[2].ends_with("_total"),
                "{line}"
            );
        }
    }

    #[test]
    fn dashboard_and_alerts_name_only_what_there_is() {
        let text = exposition(status(), Format::Prometheus).unwrap();
        let known = names(&text);
        for (file, least) in [("grafana.json", 15), ("alerts.yml", 9)] {
            let text = fs::read_to_string(project("packaging/dashboards").join(file)).unwrap();
            let named = named_in(&text);
            assert!(named.len() >= least, "{file}: {named:?}");
            let unknown: Vec<_> = named.difference(&known).collect();
            assert_eq!(unknown, Vec::<&&str>::new(), "{file}");
            // Every reason that is looked for.
            for part in text.split("reason").skip(1) {
                let Some(quoted) = part
                    .strip_prefix("!~\"")
                    .or_else(|| part.strip_prefix("=\""))
                else {
                    continue;
                };
                for reason in quoted.split('"').next().unwrap().split('|') {
                    assert!(LossReason::from_name(reason).is_some(), "{file}: {reason}");
                }
            }
        }
        let dashboard = fs::read(project("packaging/dashboards/grafana.json")).unwrap();
        let dashboard: serde_json::Value = serde_json::from_slice(&dashboard).unwrap();
        assert!(dashboard["panels"].as_array().unwrap().len() > 10);
    }

    /// A listener at a free port, and who answers its scrapes.
    fn listening() -> (Listener, SocketAddr) {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let (scrapes, mut scraped) = mpsc::channel::<oneshot::Sender<Status>>(1);
        tokio::spawn(async move {
            while let Some(reply) = scraped.recv().await {
                let _ = reply.send(status());
            }
        });
        (Listener::start(address, scrapes).unwrap(), address)
    }

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // It may be answered, and closed, before all is sent.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn what_is_asked_is_answered_and_what_is_wrong_refused() {
        let (_listener, address) = listening();
        for (request, starts, has) in [
            (
                "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
                "HTTP/1.1 200",
                "version=0.0.4",
            ),
            (
                "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n\r\n",
                "HTTP/1.1 200",
                "\n# EOF\n",
            ),
            ("GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200", "at /metrics"),
            (
                "GET /etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
                "HTTP/1.1 404",
                "at /metrics",
            ),
            (
                "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
                "HTTP/1.1 405",
                "allow: GET, HEAD",
            ),
            ("nonsense\r\n\r\n", "HTTP/1.1 400", ""),
        ] {
            let answer = ask(address, request).await;
            assert!(
                answer.starts_with(starts) && answer.contains(has),
                "{request}\n{answer}"
            );
        }
        let long = format!(
            "GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n",
            "x".repeat(100_000)
        );
        let answer = ask(address, &long).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
            "{answer}"
        );
        let head = ask(address, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(
            head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
    }

    #[tokio::test]
    async fn who_is_silent_keeps_others_waiting_for_a_moment_only() {
        let (listener, address) = listening();
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let began = std::time::Instant::now();
        let answer = ask(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(began.elapsed() < HEAD_PATIENCE * 2, "{:?}", began.elapsed());
        // The port is free again when the listener is gone.
        drop(listener);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(TcpStream::connect(address).await.is_err());
    }
}
