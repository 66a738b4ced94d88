//! From the texts of a configuration to a [`Config`], or to everything that is wrong with them.
//!
//! Each text is a [`Source`]. All are merged into one document, in the order of their rank; the places
//! of a value there are offsets into all texts one after the other, so that each tells its source too.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::ops::Range;
use std::time::Duration;

use toml::de::{DeArray, DeString, DeTable, DeValue};

use super::keys::{self, Described, Key, Optional, Required, TABLES, Table, WithDefault};
use super::kind::{self, Kind, Mismatch, Spanned};
use super::{
    Collector, Config, Daemon, Elements, Endpoint, Log, Metering, Metrics, Observation, Profile,
    Protocol, STREAM_MESSAGE_OCTETS, TlsFiles, Transport, default_cache_slots, default_port,
};
use crate::export::layouts::{self, Unfit};
use crate::record::UnixTime;
use crate::tls;
use ipfix::elements as e;

/// Octets of a message where nothing else is known (RFC 7011 section 10.3.3).
const LEAST_MESSAGE: u16 = 512;
/// The first length of a message that no datagram holds.
const BEYOND_DATAGRAMS: u16 = 65_508;
/// The longest active timeout with which a flow's duration fits 32 bits of microseconds.
const LONGEST_MICROSECONDS: Duration = Duration::from_hours(1);

/// A line and a column, both from 1; columns are counted in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Position {
    /// The place after this text, the beginning of a file.
    pub(super) fn after(text: &str) -> Self {
        let line_start = text.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: 1 + text.bytes().filter(|octet| *octet == b'\n').count(),
            column: 1 + text[line_start..].chars().count(),
        }
    }
}

/// One thing that is wrong with a configuration, or deserves attention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the caller named it; or `environment`, or the argument of the command line.
    pub file: String,
    /// Where in the file, if it is in one place.
    pub position: Option<Position>,
    /// The key or table, dotted, if it is about one; before it the environment variable, if it is in
    /// one.
    pub key: Option<String>,
    /// What was expected and what was found.
    pub message: String,
}

impl fmt::Display for Problem {
    /// `FILE:LINE:COLUMN: KEY: MESSAGE`, as far as they are known; always one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// A configuration and what deserves attention in it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Problem>,
    /// What was read: files and environment variables, in the order of their rank.
    pub read: Vec<String>,
    /// Where each value comes from that is not the default.
    pub origins: Origins,
}

/// Where the values of a configuration come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(BTreeMap<(&'static str, usize, String), String>);

impl Origins {
    /// The place from which the key of this name has its value, in the so manieth table of its name:
    /// `FILE:LINE`, `environment: VARIABLE` or the argument of the command line. `None` where the
    /// default is in force.
    pub fn of(&self, table: &'static str, index: usize, key: &str) -> Option<&str> {
        let place = self.0.get(&(table, index, key.to_owned()));
        place.map(String::as_str)
    }
}

/// Everything that is wrong with a configuration, in the order of its files; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(pub Vec<Problem>);

impl fmt::Display for Errors {
    /// One line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// What messages call the environment.
pub(super) const ENVIRONMENT: &str = "environment";

/// A text that says something of the configuration.
pub(super) struct Source {
    /// Its name in messages: a file's, a variable's, or the argument of the command line.
    pub name: String,
    /// The text; of an override its value alone.
    pub text: String,
    /// What it is.
    pub form: Form,
}

/// What a [`Source`] is.
pub(super) enum Form {
    /// A whole document.
    File,
    /// The value of a key, in the environment.
    Variable(&'static Table, &'static dyn Described),
    /// The value of a key, on the command line.
    Setting(&'static Table, &'static dyn Described),
    /// Collectors, `ADDRESS,KEY=VALUE`, spaces between them. In the environment where the source has
    /// that variable's name.
    Collectors,
}

/// Reads the text of a configuration file; `file` is its name in messages. Files that it names are not
/// looked at.
pub fn parse(file: &str, text: &str) -> Result<Loaded, Errors> {
    let source = Source {
        name: file.to_owned(),
        text: text.to_owned(),
        form: Form::File,
    };
    read(&[source], Vec::new(), None)
}

/// Reads all sources, the least in rank first; `problems` are mistakes that were found before. Told the
/// time, it looks whether the files that are named can be used then.
pub(super) fn read(
    sources: &[Source],
    problems: Vec<Problem>,
    now: Option<UnixTime>,
) -> Result<Loaded, Errors> {
    let mut reader = Reader::new(sources);
    reader.now = now;
    // Behind all that has a place.
    reader.errors = problems
        .into_iter()
        .map(|problem| (Some(usize::MAX), problem))
        .collect();
    let document = reader.merge(sources, None);
    let config = reader.config(&document);
    let origins = reader.origins(&document);
    reader.finish(config, origins)
}

/// Reads the `[daemon]` table alone, whatever is wrong elsewhere; `None` where that table has mistakes
/// itself.
pub(super) fn read_daemon(sources: &[Source]) -> Option<Daemon> {
    let mut reader = Reader::new(sources);
    let document = reader.merge(sources, Some("daemon"));
    // Lines that cannot be read may be anything's.
    let is_syntax = |problem: &Problem| problem.key.is_none() && problem.position.is_some();
    reader.errors.retain(|(_, problem)| !is_syntax(problem));
    let daemon = reader.daemon(&document);
    reader.errors.is_empty().then_some(daemon)
}

struct Reader<'a> {
    sources: &'a [Source],
    /// The offset of each source in all of them.
    bases: Vec<usize>,
    /// When files are looked at; `None`: they are not.
    now: Option<UnixTime>,
    /// Where each line of each source begins, in its text.
    lines: Vec<Vec<usize>>,
    /// Sources and their lines with syntax errors: what the parser made of them means nothing.
    broken_lines: HashSet<(usize, usize)>,
    /// Each with its offset, if it has one.
    errors: Vec<(Option<usize>, Problem)>,
    warnings: Vec<(Option<usize>, Problem)>,
}

/// A table as it stands in the file; without entries if it does not.
struct Section<'t, 'i> {
    entries: Option<&'t DeTable<'i>>,
    span: Range<usize>,
}

impl<'t, 'i> Section<'t, 'i> {
    fn entry(&self, name: &str) -> Option<&'t Spanned<'i>> {
        self.entries?.get(name)
    }

    fn span_of(&self, name: &str) -> Range<usize> {
        self.entry(name)
            .map_or_else(|| self.span.clone(), toml::Spanned::span)
    }
}

impl<'a> Reader<'a> {
    fn new(sources: &'a [Source]) -> Self {
        let mut end = 0;
        let bases = sources
            .iter()
            .map(|source| {
                let base = end;
                // Its end is not the next one's beginning.
                end = base + source.text.len() + 1;
                base
            })
            .collect();
        let lines = |source: &Source| -> Vec<usize> {
            let newlines = source.text.match_indices('\n').map(|(at, _)| at + 1);
            std::iter::once(0).chain(newlines).collect()
        };
        Self {
            sources,
            bases,
            now: None,
            lines: sources.iter().map(lines).collect(),
            broken_lines: HashSet::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The sources as one document of known tables, each of the right form; or `only` the table of this
    /// name.
    fn merge(&mut self, sources: &'a [Source], only: Option<&str>) -> DeTable<'a> {
        let wanted = |table: &Table| only.is_none_or(|only| only == table.name);
        let mut merged = DeTable::new();
        for (index, source) in sources.iter().enumerate() {
            let base = self.bases[index];
            match &source.form {
                Form::File => {
                    let (document, syntax) = DeTable::parse_recoverable(&source.text);
                    self.syntax(index, &syntax);
                    let document = shift_table(document.into_inner(), base);
                    if only.is_none() {
                        self.unknown_tables(&document);
                    }
                    for (name, value) in document {
                        let table = TABLES.iter().find(|table| table.name == name.get_ref());
                        if let Some(table) = table.filter(|table| wanted(table)) {
                            self.add(&mut merged, table, name, value);
                        }
                    }
                }
                Form::Variable(table, key) | Form::Setting(table, key) if wanted(table) => {
                    let value = shift(overriding(*key, &source.text), base);
                    let span = value.span();
                    let name = |name| toml::Spanned::new(span.clone(), DeString::Borrowed(name));
                    let mut entries = DeTable::new();
                    entries.insert(name(key.name()), value);
                    let entries = toml::Spanned::new(span.clone(), DeValue::Table(entries));
                    self.add(&mut merged, table, name(table.name), entries);
                }
                Form::Collectors if wanted(table("collector")) => {
                    let list = DeValue::Array(collectors(&source.text));
                    let list = shift(toml::Spanned::new(0..source.text.len(), list), base);
                    let name = toml::Spanned::new(list.span(), DeString::Borrowed("collector"));
                    self.add(&mut merged, table("collector"), name, list);
                }
                Form::Variable(..) | Form::Setting(..) | Form::Collectors => {}
            }
        }
        merged
    }

    /// Adds what a source has under the name of a table: to tables in double brackets more of them, to
    /// another table its keys, in place of those that are there. What is wrong with the form is told,
    /// and what is wrong with values that are replaced.
    fn add<'i>(
        &mut self,
        merged: &mut DeTable<'i>,
        table: &'static Table,
        name: toml::Spanned<DeString<'i>>,
        value: Spanned<'i>,
    ) {
        let span = value.span();
        match value.into_inner() {
            DeValue::Array(list)
                if table.many && list.iter().all(|item| item.get_ref().is_table()) =>
            {
                for entries in list.iter().filter_map(|item| item.get_ref().as_table()) {
                    self.unknown_keys(table, entries);
                }
                let before = merged.remove(table.name).map(toml::Spanned::into_inner);
                let before = match before {
                    Some(DeValue::Array(before)) => before,
                    _ => DeArray::new(),
                };
                let all = before.into_iter().chain(list).collect();
                merged.insert(name, toml::Spanned::new(span, DeValue::Array(all)));
            }
            DeValue::Table(entries) if !table.many => {
                self.unknown_keys(table, &entries);
                let before = merged.remove(table.name).map(toml::Spanned::into_inner);
                let mut all = match before {
                    Some(DeValue::Table(before)) => before,
                    _ => DeTable::new(),
                };
                for (name, value) in entries {
                    let key = table.keys.iter().find(|key| key.name() == name.get_ref());
                    if let (Some(key), Some(before)) = (key, all.remove(&name)) {
                        self.mismatches(table, *key, &before);
                    }
                    all.insert(name, value);
                }
                merged.insert(name, toml::Spanned::new(span, DeValue::Table(all)));
            }
            other => {
                let name = table.name;
                let found = match &other {
                    DeValue::Table(_) => format!("[{name}]"),
                    DeValue::Array(list) if of_tables(list) => format!("[[{name}]]"),
                    other => kind::found(other),
                };
                let expected = if table.many {
                    format!("[[{name}]] with double brackets")
                } else {
                    format!("the table [{name}]")
                };
                self.error(
                    span,
                    Some(name.to_owned()),
                    format!("expected {expected}, found {found}"),
                );
            }
        }
    }

    /// Tells what is wrong with a value that does not count, because another one replaces it.
    fn mismatches(&mut self, table: &Table, key: &dyn Described, value: &Spanned<'_>) {
        let dotted = format!("{}.{}", table.name, key.name());
        self.mismatched(value, &dotted, &key.expected(), key.mismatches(value));
    }

    fn mismatched(
        &mut self,
        value: &Spanned<'_>,
        dotted: &str,
        expected_of_all: &str,
        mismatches: Vec<Mismatch>,
    ) {
        for Mismatch {
            span,
            expected,
            found,
        } in mismatches
        {
            let expected = expected.as_deref().unwrap_or(expected_of_all);
            self.error(
                span.unwrap_or_else(|| value.span()),
                Some(dotted.to_owned()),
                format!("expected {expected}, found {found}"),
            );
        }
    }

    /// Where the values of the document come from.
    fn origins(&self, document: &DeTable<'_>) -> Origins {
        let mut origins = Origins::default();
        if !self.errors.is_empty() {
            return origins;
        }
        for table in TABLES {
            let sections: Vec<&DeTable<'_>> =
                match document.get(table.name).map(toml::Spanned::get_ref) {
                    Some(DeValue::Table(entries)) => vec![entries],
                    Some(DeValue::Array(list)) => list
                        .iter()
                        .filter_map(|item| item.get_ref().as_table())
                        .collect(),
                    _ => Vec::new(),
                };
            for (index, entries) in sections.into_iter().enumerate() {
                for (name, value) in entries {
                    let key = (table.name, index, name.get_ref().to_string());
                    origins.0.insert(key, self.place(value.span().start));
                }
            }
        }
        origins
    }

    fn config(&mut self, document: &DeTable<'_>) -> Option<Config> {
        let section = self.section(document, "observation");
        let observation = self.observation(&section);
        let section = self.section(document, "metering");
        let metering = self.metering(&section, &observation);
        let collectors = self.collectors(document, &observation.observation, &metering);
        let section = self.section(document, "metrics");
        let metrics = self.metrics(&section);
        let daemon = self.daemon(document);
        let section = self.section(document, "log");
        let log = Log {
            level: self.value(&section, &keys::log::LEVEL),
            format: self.value(&section, &keys::log::FORMAT),
        };

        let observation = observation.with_max_flows(metering.max_flows);
        Some(Config {
            observation,
            metering,
            collectors: collectors?,
            metrics,
            daemon,
            log,
        })
    }

    fn daemon(&mut self, document: &DeTable<'_>) -> Daemon {
        let section = self.section(document, "daemon");
        Daemon {
            run_dir: self.value(&section, &keys::daemon::RUN_DIR),
            pin_dir: self.value(&section, &keys::daemon::PIN_DIR),
        }
    }

    fn observation(&mut self, section: &Section<'_, '_>) -> ObservationSection {
        use keys::observation as key;
        ObservationSection {
            cache_slots: self.optional(section, &key::CACHE_SLOTS),
            observation: Observation {
                domain_id: self.value(section, &key::DOMAIN_ID),
                interfaces: self.value(section, &key::INTERFACES),
                namespace: self.optional(section, &key::NAMESPACE),
                directions: self.value(section, &key::DIRECTIONS),
                sampling: self.value(section, &key::SAMPLING),
                filter: self.optional(section, &key::FILTER).unwrap_or_default(),
                attach: self.value(section, &key::ATTACH),
                non_ip: self.value(section, &key::NON_IP),
                timestamps: self.value(section, &key::TIMESTAMPS),
                agent_address: self.optional(section, &key::AGENT_ADDRESS),
                cache_slots: 0,
                log_records: self.value(section, &key::LOG_RECORDS),
                drain_interval: self.value(section, &key::DRAIN_INTERVAL),
            },
        }
    }

    fn metering(
        &mut self,
        section: &Section<'_, '_>,
        observation: &ObservationSection,
    ) -> Metering {
        use keys::metering as key;
        let metering = Metering {
            active_timeout: self.value(section, &key::ACTIVE_TIMEOUT),
            idle_timeout: self.value(section, &key::IDLE_TIMEOUT),
            max_flows: self.value(section, &key::MAX_FLOWS),
            duplicates: self.value(section, &key::DUPLICATES),
        };
        let write = |time| key::IDLE_TIMEOUT.kind.write(time);
        let idle = &metering.idle_timeout;
        if *idle > metering.active_timeout {
            let (active, idle) = (write(&metering.active_timeout), write(idle));
            self.warn(
                section.span_of(key::IDLE_TIMEOUT.name),
                dotted(&key::IDLE_TIMEOUT),
                format!("{idle} is longer than active-timeout, {active}: flows end by the latter"),
            );
        } else if *idle < observation.observation.drain_interval {
            let drain = write(&observation.observation.drain_interval);
            self.warn(
                section.span_of(key::IDLE_TIMEOUT.name),
                dotted(&key::IDLE_TIMEOUT),
                format!(
                    "{} is shorter than observation.drain-interval, {drain}: flows with packets all \
                     the time are cut",
                    write(idle)
                ),
            );
        }
        metering
    }

    fn metrics(&mut self, section: &Section<'_, '_>) -> Metrics {
        use keys::metrics as key;
        let listen = self.optional(section, &key::LISTEN);
        Metrics { listen }
    }

    /// `None` where a collector is unusable (which is an error).
    fn collectors(
        &mut self,
        document: &DeTable<'_>,
        observation: &Observation,
        metering: &Metering,
    ) -> Option<Vec<Collector>> {
        let list = document.get("collector").map(toml::Spanned::get_ref);
        let none = DeArray::new();
        let list = list.and_then(DeValue::as_array).unwrap_or(&none);
        if list.is_empty()
            && self.broken_lines.is_empty()
            && let Some(first) = self.sources.first()
        {
            let problem = Problem {
                file: first.name.clone(),
                position: None,
                key: None,
                message: "there is no [[collector]]: every flow is counted as lost (no_collector)"
                    .to_owned(),
            };
            self.warnings.push((None, problem));
        }
        let mut collectors = Vec::new();
        for item in list {
            let section = Section {
                entries: item.get_ref().as_table(),
                span: item.span(),
            };
            collectors.push(
                self.collector(&section)
                    .map(|collector| (collector, section)),
            );
        }
        let collectors: Vec<_> = collectors.into_iter().collect::<Option<_>>()?;
        self.clashes(&collectors);
        for (collector, section) in &collectors {
            self.tls_files(collector, section);
            if collector.protocol == Protocol::NetflowV5 {
                self.netflow_v5(collector, section, observation);
            } else {
                self.elements(collector, section, observation, metering);
            }
        }
        let mut protocols = collectors.iter().map(|(collector, _)| collector.protocol);
        if let Some((_, section)) = collectors.first()
            && protocols.all(|protocol| protocol == Protocol::NetflowV5)
        {
            self.warn(
                section.span_of(keys::collector::PROTOCOL.name),
                dotted(&keys::collector::PROTOCOL),
                "NetFlow v5 has no record for IPv6: without a collector of another protocol it is \
                 counted as lost (not_in_protocol)"
                    .to_owned(),
            );
        }
        Some(
            collectors
                .into_iter()
                .map(|(collector, _)| collector)
                .collect(),
        )
    }

    fn collector(&mut self, section: &Section<'_, '_>) -> Option<Collector> {
        use keys::collector as key;
        let protocol = self.value(section, &key::PROTOCOL);
        let target = self.required(section, &key::ADDRESS);
        let transport = self.transport(section, protocol);
        let tls = self.tls(section, transport);
        let name = self.optional(section, &key::NAME);
        let profile = self.value(section, &key::PROFILE);
        let elements = self.optional(section, &key::ELEMENTS);
        let resolve_interval = self.value(section, &key::RESOLVE_INTERVAL);
        let source_address = self.optional(section, &key::SOURCE_ADDRESS);
        let source_port = self.optional(section, &key::SOURCE_PORT);
        let source_interface = self.optional(section, &key::SOURCE_INTERFACE);
        let dscp = self.value(section, &key::DSCP);
        let ttl = self.optional(section, &key::TTL);
        let balance = self.optional(section, &key::BALANCE);
        let failover = self.optional(section, &key::FAILOVER);
        if balance.is_some() && failover.is_some() {
            self.warn(
                section.span_of(key::FAILOVER.name),
                dotted(&key::FAILOVER),
                "the key means nothing together with balance".to_owned(),
            );
        }
        let domain_id = self.optional(section, &key::DOMAIN_ID);
        let template_interval = self.value(section, &key::TEMPLATE_INTERVAL);
        let template_messages = self.value(section, &key::TEMPLATE_MESSAGES);
        let max_message_size = self.optional(section, &key::MAX_MESSAGE_SIZE);
        let rate_limit = self.value(section, &key::RATE_LIMIT);

        let target = target?;
        let address = Endpoint {
            host: target.host,
            port: target.port.unwrap_or(default_port(protocol, transport)),
        };
        if let (Some(source), Some(host)) = (source_address, address.host.address())
            && source.is_ipv4() != host.is_ipv4()
        {
            let family = |address: IpAddr| if address.is_ipv4() { "IPv4" } else { "IPv6" };
            self.error(
                section.span_of(key::SOURCE_ADDRESS.name),
                Some(dotted(&key::SOURCE_ADDRESS)),
                format!(
                    "expected an {} address like the collector's, found {source}",
                    family(host)
                ),
            );
        }
        if transport.is_stream() {
            self.stream(section, &address);
        } else if let Some(size @ BEYOND_DATAGRAMS..) = max_message_size {
            self.error(
                section.span_of(key::MAX_MESSAGE_SIZE.name),
                Some(dotted(&key::MAX_MESSAGE_SIZE)),
                format!(
                    "expected at most 65507 octets, which is what a datagram holds, found {size}"
                ),
            );
        }
        if template_interval.as_secs() > 600 && !transport.is_stream() {
            self.warn(
                section.span_of(key::TEMPLATE_INTERVAL.name),
                dotted(&key::TEMPLATE_INTERVAL),
                "above 10 minutes some collectors forget a template before it comes again"
                    .to_owned(),
            );
        }
        Some(Collector {
            name: name.unwrap_or_else(|| address.to_string()),
            address,
            protocol,
            transport,
            tls,
            profile,
            elements,
            resolve_interval,
            source_address,
            source_port,
            source_interface,
            dscp,
            ttl,
            balance,
            failover,
            domain_id,
            template_interval,
            template_messages,
            max_message_size,
            rate_limit: NonZeroU32::new(rate_limit),
        })
    }

    /// What carries the messages; where the protocol cannot be carried so, that is noted.
    fn transport(&mut self, section: &Section<'_, '_>, protocol: Protocol) -> Transport {
        use keys::collector as key;
        let transport = self.value(section, &key::TRANSPORT);
        if transport.is_stream() && protocol != Protocol::Ipfix {
            self.error(
                section.span_of(key::TRANSPORT.name),
                Some(dotted(&key::TRANSPORT)),
                format!(
                    "expected \"udp\", because {protocol} goes over nothing else, found \"{}\"",
                    transport.name()
                ),
            );
        }
        transport
    }

    /// What a connection by TLS goes by. That there are such files is looked at elsewhere.
    fn tls(&mut self, section: &Section<'_, '_>, transport: Transport) -> TlsFiles {
        use keys::collector as key;
        let files = TlsFiles {
            ca: self.optional(section, &key::CA),
            certificate: self.optional(section, &key::CERTIFICATE),
            key: self.optional(section, &key::KEY),
            server_name: self.optional(section, &key::SERVER_NAME),
        };
        let (certificate, private) = (key::CERTIFICATE.name, key::KEY.name);
        if transport == Transport::Tls {
            let has = |name| section.entry(name).is_some();
            for (one, other) in [(certificate, private), (private, certificate)] {
                if has(one) && !has(other) {
                    self.error(
                        section.span_of(one),
                        Some(format!("collector.{one}")),
                        format!("expected the key {other} too, found {one} alone"),
                    );
                }
            }
        } else {
            for name in [key::CA.name, certificate, private, key::SERVER_NAME.name] {
                if section.entry(name).is_some() {
                    self.error(
                        section.span_of(name),
                        Some(format!("collector.{name}")),
                        format!(
                            "expected no such key without transport = \"tls\", found it with \"{}\"",
                            transport.name()
                        ),
                    );
                }
            }
        }
        files
    }

    /// Whether the files are there that a connection by TLS needs, and what is in them.
    fn tls_files(&mut self, collector: &Collector, section: &Section<'_, '_>) {
        let Some(now) = self.now.filter(|_| collector.transport == Transport::Tls) else {
            return;
        };
        let name = |part| match part {
            tls::Part::Ca => keys::collector::CA.name,
            tls::Part::Certificate => keys::collector::CERTIFICATE.name,
            tls::Part::Key => keys::collector::KEY.name,
        };
        if collector.tls.certificate.is_some() != collector.tls.key.is_some() {
            return;
        }
        let examined = tls::examine(&collector.tls, now);
        for problem in examined.problems {
            let name = name(problem.part);
            let key = Some(format!("collector.{name}"));
            self.error(section.span_of(name), key, problem.text);
        }
        for warning in examined.warnings {
            let name = name(warning.part);
            self.warn(
                section.span_of(name),
                format!("collector.{name}"),
                warning.text,
            );
        }
    }

    /// What a connection cannot have, or has no use for.
    fn stream(&mut self, section: &Section<'_, '_>, address: &Endpoint) {
        use keys::collector as key;
        if let Some(group) = address.host.address()
            && group.is_multicast()
        {
            self.error(
                section.span_of(key::ADDRESS.name),
                Some(dotted(&key::ADDRESS)),
                format!(
                    "expected the address of one host for a connection, found the group {group}"
                ),
            );
        }
        if section.entry(key::SOURCE_PORT.name).is_some() {
            self.error(
                section.span_of(key::SOURCE_PORT.name),
                Some(dotted(&key::SOURCE_PORT)),
                "expected no such key with a transport that connects, because a new connection cannot \
                 have the port of the one before for a while, found it"
                    .to_owned(),
            );
        }
        for name in [key::TEMPLATE_INTERVAL.name, key::TEMPLATE_MESSAGES.name] {
            if section.entry(name).is_some() {
                self.warn(
                    section.span_of(name),
                    format!("collector.{name}"),
                    "over a connection templates are sent once, at its start: the key means nothing"
                        .to_owned(),
                );
            }
        }
    }

    /// What the fixed form of `NetFlow` v5 has no room for.
    fn netflow_v5(
        &mut self,
        collector: &Collector,
        section: &Section<'_, '_>,
        observation: &Observation,
    ) {
        use keys::collector as key;
        for (name, found) in [
            (key::ELEMENTS.name, "a list"),
            (key::PROFILE.name, "a profile"),
        ] {
            if section.entry(name).is_some() {
                self.error(
                    section.span_of(name),
                    Some(format!("collector.{name}")),
                    format!(
                        "expected no such key, because NetFlow v5 has one record whose fields are \
                         fixed, found {found}"
                    ),
                );
            }
        }
        for name in [key::TEMPLATE_INTERVAL.name, key::TEMPLATE_MESSAGES.name] {
            if section.entry(name).is_some() {
                self.warn(
                    section.span_of(name),
                    format!("collector.{name}"),
                    "NetFlow v5 has no templates: the key means nothing".to_owned(),
                );
            }
        }
        let domain = collector.domain_id.unwrap_or(observation.domain_id);
        if u16::try_from(domain).is_err() {
            self.error(
                section.span_of(key::DOMAIN_ID.name),
                Some(dotted(&key::DOMAIN_ID)),
                format!(
                    "expected an integer from 0 to 65535 for the engine type and ID of NetFlow v5, \
                     found {domain}"
                ),
            );
        }
        let sampling = observation.sampling.get();
        if layouts::netflow_v5_sampling(sampling).is_none() {
            self.error(
                section.span_of(key::PROTOCOL.name),
                Some(dotted(&key::PROTOCOL)),
                format!(
                    "expected \"ipfix\" or \"netflow-v9\" with observation.sampling = {sampling}, \
                     because NetFlow v5 tells at most 16383, found \"netflow-v5\""
                ),
            );
        }
    }

    /// Whether a collector's elements can be what it is sent.
    fn elements(
        &mut self,
        collector: &Collector,
        section: &Section<'_, '_>,
        observation: &Observation,
        metering: &Metering,
    ) {
        use keys::collector as key;
        let Some(elements) = &collector.elements else {
            return;
        };
        if collector.profile != Profile::Standard {
            self.error(
                section.span_of(key::PROFILE.name),
                Some(dotted(&key::PROFILE)),
                "expected no such key beside elements, which say it all, found both".to_owned(),
            );
        }
        let name = key::ELEMENTS.name;
        let items = section
            .entry(name)
            .and_then(|value| value.get_ref().as_array());
        let mut sound = true;
        for (item, listed) in items.into_iter().flatten().zip(elements.list()) {
            let expected = if !listed.column.is_carried_by(collector.protocol) {
                "an element that NetFlow v9 can carry, which has no timestamps of microseconds or \
                 nanoseconds"
                    .to_owned()
            } else if let Some(expected) = unfilled(listed.column.element, observation, metering) {
                expected
            } else {
                continue;
            };
            sound = false;
            let found = kind::found(item.get_ref());
            self.error(
                item.span(),
                Some(dotted(&key::ELEMENTS)),
                format!("expected {expected}, found {found}"),
            );
        }
        if !sound {
            return;
        }
        // Where the path's MTU decides, it may decide for the least.
        let limit = collector.max_message_size;
        let limit = limit.or(collector
            .transport
            .is_stream()
            .then_some(STREAM_MESSAGE_OCTETS));
        let max_message = limit.unwrap_or(LEAST_MESSAGE);
        let unfit = layouts::fits(collector.protocol, elements, max_message);
        if let Err(unfit) = unfit {
            self.error(
                section.span_of(name),
                Some(dotted(&key::ELEMENTS)),
                unfit_message(unfit, limit, elements),
            );
        }
        let has = |element| {
            let list = elements.list().iter();
            list.map(|listed| listed.column.element)
                .any(|listed| listed == element)
        };
        let ipv4 = has(e::SOURCE_IPV4_ADDRESS) || has(e::DESTINATION_IPV4_ADDRESS);
        let ipv6 = has(e::SOURCE_IPV6_ADDRESS) || has(e::DESTINATION_IPV6_ADDRESS);
        if ipv4 != ipv6 {
            let family = if ipv4 { "IPv6" } else { "IPv4" };
            self.warn(
                section.span_of(name),
                dotted(&key::ELEMENTS),
                format!(
                    "there are no addresses of {family} in the list: its flows are sent without any"
                ),
            );
        }
    }

    /// What two collectors cannot have, or should not.
    fn clashes(&mut self, collectors: &[(Collector, Section<'_, '_>)]) {
        use keys::collector as key;
        let mut names = HashMap::new();
        let mut addresses = HashMap::new();
        for (index, (collector, section)) in collectors.iter().enumerate() {
            let start = section.span.start;
            let name = kind::quote(&collector.name);
            if let Some(first) = names.insert(&collector.name, start) {
                let first = self.place_beside(first, start);
                self.error(
                    section.span_of(key::NAME.name),
                    Some(dotted(&key::NAME)),
                    format!("expected a name of its own, found {name} as in {first}"),
                );
            }
            if let Some(first) = addresses.insert(&collector.address, start) {
                let first = self.place_beside(first, start);
                self.warn(
                    section.span_of(key::ADDRESS.name),
                    dotted(&key::ADDRESS),
                    format!(
                        "{} is a collector in {first} too: it gets everything twice",
                        collector.address
                    ),
                );
            }
            let shares = |(other, _): &&(Collector, _)| other.balance == collector.balance;
            if let Some(name) = &collector.balance
                && collectors.iter().filter(shares).count() == 1
            {
                self.warn(
                    section.span_of(key::BALANCE.name),
                    dotted(&key::BALANCE),
                    format!(
                        "no other collector shares in {}: this one gets everything",
                        kind::quote(name)
                    ),
                );
            }
            let stands_in = |(other, _): &&(Collector, _)| other.failover == collector.failover;
            if let Some(name) = &collector.failover
                && collectors.iter().filter(stands_in).count() == 1
            {
                self.warn(
                    section.span_of(key::FAILOVER.name),
                    dotted(&key::FAILOVER),
                    format!("no other collector is in {}", kind::quote(name)),
                );
            }
            let bound = |other: &Collector| same_socket(other, collector);
            let other = collectors[..index].iter().find(|(other, _)| bound(other));
            if let (Some((other, _)), Some(port)) = (other, collector.source_port) {
                self.error(
                    section.span_of(key::SOURCE_PORT.name),
                    Some(dotted(&key::SOURCE_PORT)),
                    format!(
                        "expected a port of its own, found {port} as in {}",
                        kind::quote(&other.name)
                    ),
                );
            }
        }
    }

    /// The table of this name.
    #[expect(clippy::unused_self, reason = "every section is the reader's")]
    fn section<'t, 'i>(&self, document: &'t DeTable<'i>, name: &str) -> Section<'t, 'i> {
        let value = document.get(name);
        Section {
            entries: value.and_then(|value| value.get_ref().as_table()),
            span: value.map_or(0..0, toml::Spanned::span),
        }
    }

    /// The value of a key with a default. Where it is wrong, that is noted and the default stands
    /// in, so that the rest can be read.
    fn value<K: Kind>(
        &mut self,
        section: &Section<'_, '_>,
        key: &Key<K, WithDefault<K::Value>>,
    ) -> K::Value {
        self.read(section, key).unwrap_or_else(key.presence.0)
    }

    fn optional<K: Kind>(
        &mut self,
        section: &Section<'_, '_>,
        key: &Key<K, Optional>,
    ) -> Option<K::Value> {
        self.read(section, key)
    }

    fn required<K: Kind>(
        &mut self,
        section: &Section<'_, '_>,
        key: &Key<K, Required>,
    ) -> Option<K::Value> {
        // In a file with syntax errors the key may stand in a line that could not be read.
        if section.entry(key.name).is_none() && !self.is_broken(section.span.start) {
            self.error(
                section.span.clone(),
                Some(dotted(key)),
                format!(
                    "expected {}, found nothing: the key is required",
                    key.kind.expected()
                ),
            );
        }
        self.read(section, key)
    }

    fn read<K: Kind, P>(&mut self, section: &Section<'_, '_>, key: &Key<K, P>) -> Option<K::Value> {
        let value = section.entry(key.name)?;
        match key.kind.read_all(value) {
            Ok(value) => Some(value),
            Err(mismatches) => {
                self.mismatched(value, &dotted(key), &key.kind.expected(), mismatches);
                None
            }
        }
    }

    fn unknown_tables(&mut self, document: &DeTable<'_>) {
        for (name, value) in document {
            let (span, name) = (name.span(), name.get_ref());
            if TABLES.iter().any(|table| table.name == name) || self.uncertain(&span) {
                continue;
            }
            let is_table = match value.get_ref() {
                DeValue::Table(_) => true,
                DeValue::Array(list) => of_tables(list),
                _ => false,
            };
            let message = if is_table {
                let known = TABLES.iter().map(|table| table.name);
                format!("unknown table{}", suggestion(name, known, "the tables are"))
            } else {
                let home = home_of(name).unwrap_or_else(|| ": every key stands in a table".into());
                format!("unknown key{home}")
            };
            self.error(span, Some(shown(name)), message);
        }
    }

    fn unknown_keys(&mut self, table: &Table, entries: &DeTable<'_>) {
        for (name, _) in entries {
            let (span, name) = (name.span(), name.get_ref());
            if table.keys.iter().any(|key| key.name() == name) || self.uncertain(&span) {
                continue;
            }
            let hint = unknown_key_hint(table, name);
            self.error(
                span,
                Some(format!("{}.{}", table.name, shown(name))),
                format!("unknown key{hint}"),
            );
        }
    }

    fn syntax(&mut self, source: usize, errors: &[toml::de::Error]) {
        for error in errors {
            let start = self.bases[source] + error.span().map_or(0, |span| span.start);
            let Some(line) = self.line(start) else {
                continue;
            };
            // One mistake makes the parser stumble several times; the first says most.
            if self.broken_lines.insert(line) {
                let message = syntax_message(&self.sources[source].text, error);
                let problem = self.problem(start, None, message);
                self.errors.push((Some(start), problem));
            }
        }
    }

    /// Whether it is uncertain what table a key stands in: a mistake in syntax before it may have
    /// hidden the table's beginning or end.
    fn uncertain(&self, span: &Range<usize>) -> bool {
        let Some((source, line)) = self.line(span.start) else {
            return false;
        };
        let mut broken = self.broken_lines.iter();
        broken.any(|broken| broken.0 == source && broken.1 < line)
    }

    /// Whether there are syntax errors in the source of this place.
    fn is_broken(&self, offset: usize) -> bool {
        let source = self.source(offset);
        self.broken_lines
            .iter()
            .any(|(broken, _)| Some(*broken) == source)
    }

    fn error(&mut self, span: Range<usize>, key: Option<String>, message: String) {
        // The parser's stand-in for a value it could not read has an empty span.
        let stand_in = span.is_empty() && self.is_broken(span.start);
        let line = self.line(span.start);
        if !stand_in && line.is_none_or(|line| !self.broken_lines.contains(&line)) {
            let problem = self.problem(span.start, key, message);
            self.errors.push((Some(span.start), problem));
        }
    }

    fn warn(&mut self, span: Range<usize>, key: String, message: String) {
        let problem = self.problem(span.start, Some(key), message);
        self.warnings.push((Some(span.start), problem));
    }

    /// What is to be said of a place.
    fn problem(&self, offset: usize, key: Option<String>, message: String) -> Problem {
        let Some(index) = self.source(offset) else {
            return Problem {
                file: "configuration".to_owned(),
                position: None,
                key,
                message,
            };
        };
        let Source { name, form, .. } = &self.sources[index];
        let dotted =
            |table: &Table, known: &dyn Described| format!("{}.{}", table.name, known.name());
        let (file, position, key) = match form {
            Form::File => (name.as_str(), Some(self.position(index, offset)), key),
            // The variable's own key is its name already.
            Form::Variable(table, known) => {
                let key = key.filter(|key| *key != dotted(table, *known));
                let key = key.map_or_else(|| name.clone(), |key| format!("{name}: {key}"));
                (ENVIRONMENT, None, Some(key))
            }
            Form::Setting(table, known) => {
                let key = key.filter(|key| *key != dotted(table, *known));
                (name.as_str(), None, key)
            }
            Form::Collectors if name == keys::COLLECTOR_VARIABLE => {
                let key = key.map_or_else(|| name.clone(), |key| format!("{name}: {key}"));
                (ENVIRONMENT, None, Some(key))
            }
            Form::Collectors => (name.as_str(), None, key),
        };
        Problem {
            file: file.to_owned(),
            position,
            key,
            message,
        }
    }

    /// The source that the offset is in.
    fn source(&self, offset: usize) -> Option<usize> {
        let after = self.bases.partition_point(|base| *base <= offset);
        after.checked_sub(1)
    }

    /// The source that the offset is in, and the number of the line, from 1.
    fn line(&self, offset: usize) -> Option<(usize, usize)> {
        let source = self.source(offset)?;
        let at = offset - self.bases[source];
        let line = self.lines[source].partition_point(|start| *start <= at);
        Some((source, line))
    }

    fn position(&self, source: usize, offset: usize) -> Position {
        let text = &self.sources[source].text;
        Position::after(text.get(..offset - self.bases[source]).unwrap_or(text))
    }

    /// A place in words that say it alone: `FILE:LINE`.
    fn place(&self, offset: usize) -> String {
        let Some((index, line)) = self.line(offset) else {
            return String::new();
        };
        let name = &self.sources[index].name;
        match &self.sources[index].form {
            Form::File => format!("{name}:{line}"),
            Form::Variable(..) => format!("{ENVIRONMENT}: {name}"),
            Form::Collectors if name == keys::COLLECTOR_VARIABLE => {
                format!("{ENVIRONMENT}: {name}")
            }
            Form::Setting(..) | Form::Collectors => name.clone(),
        }
    }

    /// A place in a message about another one: `line LINE` where it is in the same file.
    fn place_beside(&self, offset: usize, other: usize) -> String {
        match self.line(offset) {
            Some((index, line)) if matches!(self.sources[index].form, Form::File) => {
                if self.source(other) == Some(index) {
                    format!("line {line}")
                } else {
                    format!("line {line} of {}", self.sources[index].name)
                }
            }
            _ => self.place(offset),
        }
    }

    fn finish(mut self, config: Option<Config>, origins: Origins) -> Result<Loaded, Errors> {
        let in_order = |mut problems: Vec<(Option<usize>, Problem)>| -> Vec<Problem> {
            problems.sort_by_key(|(offset, _)| *offset);
            problems.into_iter().map(|(_, problem)| problem).collect()
        };
        let errors = in_order(std::mem::take(&mut self.errors));
        match config {
            Some(config) if errors.is_empty() => Ok(Loaded {
                config,
                warnings: in_order(self.warnings),
                read: self
                    .sources
                    .iter()
                    .filter_map(|source| match source.form {
                        Form::File => Some(source.name.clone()),
                        Form::Variable(..) => Some(format!("{ENVIRONMENT}: {}", source.name)),
                        Form::Collectors if source.name == keys::COLLECTOR_VARIABLE => {
                            Some(format!("{ENVIRONMENT}: {}", source.name))
                        }
                        Form::Setting(..) | Form::Collectors => None,
                    })
                    .collect(),
                origins,
            }),
            _ => Err(Errors(errors)),
        }
    }
}

/// The value of a key as an override has it: TOML, or text without quotes, or a list of such texts with
/// commas between them; what the key takes decides.
fn overriding<'i>(key: &dyn Described, text: &'i str) -> Spanned<'i> {
    let trimmed = text.trim();
    let start = text.len() - text.trim_start().len();
    let toml = DeValue::parse(trimmed).ok();
    if let Some(value) = &toml
        && key.mismatches(value).is_empty()
    {
        return shift(value.clone(), start);
    }
    let whole = 0..trimmed.len();
    let plain = toml::Spanned::new(whole.clone(), DeValue::String(DeString::Borrowed(trimmed)));
    if key.mismatches(&plain).is_empty() {
        return shift(plain, start);
    }
    let items = split(trimmed, |c| c == ',').into_iter();
    let items = items.map(|(at, item)| {
        let value = DeValue::String(DeString::Borrowed(unquoted(item)));
        toml::Spanned::new(at..at + item.len(), value)
    });
    let list = toml::Spanned::new(whole, DeValue::Array(items.collect()));
    let mismatches = key.mismatches(&list);
    // Of what is right in no form, that form is told which the key takes.
    let takes_lists = mismatches
        .iter()
        .all(|mismatch| mismatch.found != kind::found(list.get_ref()));
    let value = match toml {
        Some(value) if !takes_lists || (value.get_ref().is_array() && !mismatches.is_empty()) => {
            value
        }
        _ if takes_lists => list,
        _ => plain,
    };
    shift(value, start)
}

/// The collectors of an override.
fn collectors(text: &str) -> DeArray<'_> {
    let table = table("collector");
    split(text, char::is_whitespace)
        .into_iter()
        .filter(|(_, item)| !item.is_empty())
        .map(|(start, item)| {
            let mut entries = DeTable::new();
            for (index, (at, part)) in split(item, |c| c == ',').into_iter().enumerate() {
                let base = start + at;
                let (name, name_at, value, value_at) = match part.split_once('=') {
                    Some((name, value)) => (name.trim(), base, value, base + name.len() + 1),
                    None if index == 0 => (keys::collector::ADDRESS.name, base, part, base),
                    // Nothing is a key of this name.
                    None => (part.trim(), base, part, base),
                };
                let key = table.keys.iter().find(|key| key.name() == name);
                let value = key.map_or_else(
                    || toml::Spanned::new(0..value.len(), DeValue::Boolean(true)),
                    |key| overriding(*key, value),
                );
                let name = toml::Spanned::new(name_at..name_at + name.len(), name.into());
                entries.insert(name, shift(value, value_at));
            }
            toml::Spanned::new(start..start + item.len(), DeValue::Table(entries))
        })
        .collect()
}

/// The parts between separators that are not in quotes or brackets, each with its place.
fn split(text: &str, separates: impl Fn(char) -> bool) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut depth, mut quote) = (0, 0_usize, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth = depth.saturating_sub(1),
            (None, c) if depth == 0 && separates(c) => {
                parts.push((start, &text[start..at]));
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push((start, &text[start..]));
    parts
}

/// An item of a list without what stands around it.
fn unquoted(item: &str) -> &str {
    let item = item.trim();
    let inside = |quote| item.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(item)
}

/// The value with its places moved.
fn shift(value: Spanned<'_>, by: usize) -> Spanned<'_> {
    let Range { start, end } = value.span();
    let inner = match value.into_inner() {
        DeValue::Array(list) => {
            DeValue::Array(list.into_iter().map(|item| shift(item, by)).collect())
        }
        DeValue::Table(table) => DeValue::Table(shift_table(table, by)),
        other => other,
    };
    toml::Spanned::new(start + by..end + by, inner)
}

fn shift_table(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    table
        .into_iter()
        .map(|(name, value)| {
            let Range { start, end } = name.span();
            let name = toml::Spanned::new(start + by..end + by, name.into_inner());
            (name, shift(value, by))
        })
        .collect()
}

fn syntax_message(text: &str, error: &toml::de::Error) -> String {
    let message = error.message();
    match error.span().and_then(|span| text.get(span)) {
        Some(key) if message == "duplicate key" => {
            format!("{}: duplicate key or table", shown(key))
        }
        _ => format!("syntax error: {}", message.escape_debug()),
    }
}

/// A name of a file or an argument, fit for a message of one line.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_debug());
        } else {
            line.push(c);
        }
    }
    line
}

/// An [`Observation`] whose `cache_slots` waits for `metering.max-flows`.
struct ObservationSection {
    observation: Observation,
    cache_slots: Option<u32>,
}

impl ObservationSection {
    fn with_max_flows(self, max_flows: NonZeroU32) -> Observation {
        Observation {
            cache_slots: self
                .cache_slots
                .unwrap_or_else(|| default_cache_slots(max_flows)),
            ..self.observation
        }
    }
}

/// What would have to be different that the meter can fill an element, or `None` if it can.
fn unfilled(
    element: ipfix::Element,
    observation: &Observation,
    metering: &Metering,
) -> Option<String> {
    let agent = observation.agent_address;
    if element == e::EXPORTER_IPV4_ADDRESS && agent.is_some_and(|agent| agent.is_ipv6()) {
        return Some("exporterIPv6Address like observation.agent-address".to_owned());
    }
    if element == e::EXPORTER_IPV6_ADDRESS && agent.is_some_and(|agent| agent.is_ipv4()) {
        return Some("exporterIPv4Address like observation.agent-address".to_owned());
    }
    // Its 32 bits end after 71 minutes.
    if element == e::FLOW_DURATION_MICROSECONDS && metering.active_timeout > LONGEST_MICROSECONDS {
        return Some(
            "flowDurationMilliseconds, or metering.active-timeout of at most \"1h\"".to_owned(),
        );
    }
    None
}

/// Why a list of elements cannot be a collector's.
fn unfit_message(unfit: Unfit, max_message: Option<u16>, elements: &Elements) -> String {
    match unfit {
        Unfit::Nothing(kind) => format!(
            "expected also an element that every record has, such as \"octetDeltaCount\", found none \
             for records of {kind}"
        ),
        Unfit::TooLong { kind, needed } => {
            let limit = match max_message {
                Some(octets) => format!("max-message-size, {octets} octets"),
                None => format!(
                    "{LEAST_MESSAGE} octets, the least that a path takes (max-message-size allows more)"
                ),
            };
            format!(
                "expected elements of which a template and a record fit in {limit}, found {} that take \
                 {needed} for records of {kind}",
                elements.list().len()
            )
        }
        // What else the library asks of a layout the table keeps to.
        Unfit::Layout(kind, error) => format!("expected a layout of {kind}, found: {error}"),
    }
}

/// Whether two collectors would have to share one local socket address.
fn same_socket(one: &Collector, other: &Collector) -> bool {
    let family = |collector: &Collector| {
        let known = collector
            .address
            .host
            .address()
            .or(collector.source_address);
        known.map(|address| address.is_ipv4())
    };
    let may_meet = |a: Option<bool>, b: Option<bool>| a.is_none() || b.is_none() || a == b;
    let port: Option<NonZeroU16> = one.source_port;
    port.is_some()
        && port == other.source_port
        && may_meet(family(one), family(other))
        && (one.source_address.is_none()
            || other.source_address.is_none()
            || one.source_address == other.source_address)
}

/// Whether the list has the meaning of `[[name]]` tables.
fn of_tables(list: &DeArray<'_>) -> bool {
    !list.is_empty() && list.iter().all(|item| item.get_ref().is_table())
}

fn dotted<K, P>(key: &Key<K, P>) -> String {
    format!("{}.{}", key.table, key.name)
}

/// The known table of this name.
fn table(name: &str) -> &'static Table {
    // Every caller names a table that is there (tested); the first is as good as any otherwise.
    TABLES
        .iter()
        .find(|table| table.name == name)
        .unwrap_or(&TABLES[0])
}

/// Where a key of this name would belong, if some table has one.
pub(super) fn home_of(name: &str) -> Option<String> {
    let meant = normal(name);
    let homes: Vec<_> = TABLES
        .iter()
        .filter(|table| table.keys.iter().any(|key| key.name() == meant))
        .map(|table| {
            if table.many {
                format!("[[{}]]", table.name)
            } else {
                format!("[{}]", table.name)
            }
        })
        .collect();
    let homes = (!homes.is_empty()).then(|| homes.join(" or "))?;
    Some(if meant == name {
        format!(" here; it belongs in {homes}")
    } else {
        format!("; did you mean \"{meant}\" in {homes}?")
    })
}

/// The name as it would be spelled here.
fn normal(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

/// What to say of a name that is no key of the table, after the words "unknown key".
pub(super) fn unknown_key_hint(table: &Table, name: &str) -> String {
    let known = table.keys.iter().map(|key| key.name());
    home_of(name).unwrap_or_else(|| suggestion(name, known, "the keys of this table are"))
}

/// The nearest of the known names, or all of them if none is near.
pub(super) fn suggestion<'a>(
    name: &str,
    known: impl Iterator<Item = &'a str>,
    all: &str,
) -> String {
    /// Below this the names have too little in common (Jaro-Winkler).
    const NEAR: f64 = 0.8;
    let known: Vec<_> = known.collect();
    let normal = normal(name);
    let nearest = known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(&normal, candidate), candidate))
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    match nearest {
        Some((likeness, nearest)) if likeness >= NEAR => format!("; did you mean \"{nearest}\"?"),
        _ => format!("; {all} {}", known.join(", ")),
    }
}

/// A name from the file, fit for a message of one line.
fn shown(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(bare) {
        name.to_owned()
    } else {
        kind::found(&DeValue::String(name.into()))
    }
}
