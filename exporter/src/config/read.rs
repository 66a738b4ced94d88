//! From the text of a configuration file to a [`Config`], or to everything that is wrong with it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::ops::Range;
use std::time::Duration;

use toml::de::{DeArray, DeTable, DeValue};

use super::keys::{self, Key, Optional, Required, TABLES, Table, WithDefault};
use super::kind::{self, Kind, Mismatch, Spanned};
use super::{
    Collector, Config, Daemon, Elements, Endpoint, Log, Metering, Metrics, Observation, Protocol,
    default_cache_slots, default_port,
};
use crate::export::layouts::{self, Unfit};
use ipfix::elements as e;

/// Octets of a message where nothing else is known (RFC 7011 section 10.3.3).
const LEAST_MESSAGE: u16 = 512;
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

/// One thing that is wrong with a configuration file, or deserves attention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the caller named it.
    pub file: String,
    /// Where in the file, if it is in one place.
    pub position: Option<Position>,
    /// The key or table, dotted, if it is about one.
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
}

/// Everything that is wrong with a configuration file, in the order of the file; at least one.
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

/// Reads the text of a configuration file; `file` is its name in messages.
pub fn parse(file: &str, text: &str) -> Result<Loaded, Errors> {
    let (document, syntax) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        file,
        text,
        broken_lines: HashSet::new(),
        errors: Vec::new(),
        warnings: Vec::new(),
    };
    reader.syntax(&syntax);
    let config = reader.config(document.get_ref());
    reader.finish(config)
}

/// Reads the `[daemon]` table of a configuration file alone, whatever is wrong elsewhere in it; `None`
/// where that table has mistakes itself.
pub fn parse_daemon(text: &str) -> Option<Daemon> {
    let (document, syntax) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        file: "",
        text,
        broken_lines: HashSet::new(),
        errors: Vec::new(),
        warnings: Vec::new(),
    };
    reader.syntax(&syntax);
    let elsewhere = reader.errors.len();
    let daemon = reader.daemon(document.get_ref());
    (reader.errors.len() == elsewhere).then_some(daemon)
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    /// Lines with syntax errors: what the parser made of them means nothing.
    broken_lines: HashSet<usize>,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
}

/// A table as it stands in the file; without entries if it does not.
struct Section<'t, 'i> {
    table: &'static Table,
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

impl Reader<'_> {
    fn config(&mut self, document: &DeTable<'_>) -> Option<Config> {
        self.unknown_tables(document);

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
        let (table, value) = (table("collector"), document.get("collector"));
        let list = match value.map(|value| (value, value.get_ref())) {
            Some((_, DeValue::Array(list)))
                if list.iter().all(|item| item.get_ref().is_table()) =>
            {
                list
            }
            Some((value, other)) => {
                let found = match other {
                    DeValue::Table(_) => "[collector]".to_owned(),
                    other => kind::found(other),
                };
                self.error(
                    value.span(),
                    Some("collector".to_owned()),
                    format!("expected [[collector]] with double brackets, found {found}"),
                );
                return None;
            }
            None => &DeArray::new(),
        };
        if list.is_empty() && self.broken_lines.is_empty() {
            self.warnings.push(Problem {
                file: self.file.to_owned(),
                position: None,
                key: None,
                message: "there is no [[collector]]: every flow is counted as lost (no_collector)"
                    .to_owned(),
            });
        }
        let mut collectors = Vec::new();
        for item in list {
            let section = Section {
                table,
                entries: item.get_ref().as_table(),
                span: item.span(),
            };
            self.unknown_keys(&section);
            collectors.push(
                self.collector(&section)
                    .map(|collector| (collector, section)),
            );
        }
        let collectors: Vec<_> = collectors.into_iter().collect::<Option<_>>()?;
        self.clashes(&collectors);
        for (collector, section) in &collectors {
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
        let name = self.optional(section, &key::NAME);
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
            port: target.port.unwrap_or(default_port(protocol)),
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
        if template_interval.as_secs() > 600 {
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

    /// What the fixed form of `NetFlow` v5 has no room for.
    fn netflow_v5(
        &mut self,
        collector: &Collector,
        section: &Section<'_, '_>,
        observation: &Observation,
    ) {
        use keys::collector as key;
        if section.entry(key::ELEMENTS.name).is_some() {
            self.error(
                section.span_of(key::ELEMENTS.name),
                Some(dotted(&key::ELEMENTS)),
                "expected no such key, because NetFlow v5 has one record whose fields are fixed, found \
                 a list"
                    .to_owned(),
            );
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
        let max_message = collector.max_message_size.unwrap_or(LEAST_MESSAGE);
        let unfit = layouts::fits(collector.protocol, elements, max_message);
        if let Err(unfit) = unfit {
            self.error(
                section.span_of(name),
                Some(dotted(&key::ELEMENTS)),
                unfit_message(unfit, collector.max_message_size, elements),
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
            let line = self.position(section.span.start).line;
            let name = kind::quote(&collector.name);
            if let Some(first) = names.insert(&collector.name, line) {
                self.error(
                    section.span_of(key::NAME.name),
                    Some(dotted(&key::NAME)),
                    format!("expected a name of its own, found {name} as in line {first}"),
                );
            }
            if let Some(first) = addresses.insert(&collector.address, line) {
                self.warn(
                    section.span_of(key::ADDRESS.name),
                    dotted(&key::ADDRESS),
                    format!(
                        "{} is a collector in line {first} too: it gets everything twice",
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

    /// The table of this name; unknown keys in it are reported.
    fn section<'t, 'i>(&mut self, document: &'t DeTable<'i>, name: &str) -> Section<'t, 'i> {
        let mut section = Section {
            table: table(name),
            entries: None,
            span: 0..0,
        };
        let Some(value) = document.get(name) else {
            return section;
        };
        section.span = value.span();
        section.entries = value.get_ref().as_table();
        if section.entries.is_none() {
            let found = match value.get_ref() {
                DeValue::Array(list) if of_tables(list) => format!("[[{name}]]"),
                other => kind::found(other),
            };
            self.error(
                value.span(),
                Some(name.to_owned()),
                format!("expected the table [{name}], found {found}"),
            );
        }
        self.unknown_keys(&section);
        section
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
        if section.entry(key.name).is_none() && self.broken_lines.is_empty() {
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
        let mismatches = match key.kind.read_all(value) {
            Ok(value) => return Some(value),
            Err(mismatches) => mismatches,
        };
        for Mismatch {
            span,
            expected,
            found,
        } in mismatches
        {
            let expected = expected.unwrap_or_else(|| key.kind.expected());
            self.error(
                span.unwrap_or_else(|| value.span()),
                Some(dotted(key)),
                format!("expected {expected}, found {found}"),
            );
        }
        None
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

    fn unknown_keys(&mut self, section: &Section<'_, '_>) {
        for (name, _) in section.entries.into_iter().flat_map(DeTable::iter) {
            let (span, name) = (name.span(), name.get_ref());
            let table = section.table;
            if table.keys.iter().any(|key| key.name() == name) || self.uncertain(&span) {
                continue;
            }
            let known = table.keys.iter().map(|key| key.name());
            let hint = home_of(name)
                .unwrap_or_else(|| suggestion(name, known, "the keys of this table are"));
            self.error(
                span,
                Some(format!("{}.{}", table.name, shown(name))),
                format!("unknown key{hint}"),
            );
        }
    }

    fn syntax(&mut self, errors: &[toml::de::Error]) {
        for error in errors {
            let start = error.span().map_or(0, |span| span.start);
            let position = self.position(start);
            // One mistake makes the parser stumble several times; the first says most.
            if self.broken_lines.insert(position.line) {
                self.errors.push(Problem {
                    file: self.file.to_owned(),
                    position: Some(position),
                    key: None,
                    message: self.syntax_message(error),
                });
            }
        }
    }

    fn syntax_message(&self, error: &toml::de::Error) -> String {
        let message = error.message();
        match error.span().and_then(|span| self.text.get(span)) {
            Some(key) if message == "duplicate key" => {
                format!("{}: duplicate key or table", shown(key))
            }
            _ => format!("syntax error: {}", message.escape_debug()),
        }
    }

    /// Whether it is uncertain what table a key stands in: a mistake in syntax before it may have
    /// hidden the table's beginning or end.
    fn uncertain(&self, span: &Range<usize>) -> bool {
        let line = self.position(span.start).line;
        self.broken_lines.iter().any(|broken| *broken < line)
    }

    fn error(&mut self, span: Range<usize>, key: Option<String>, message: String) {
        let position = self.position(span.start);
        // The parser's stand-in for a value it could not read has an empty span.
        let stand_in = span.is_empty() && !self.broken_lines.is_empty();
        if !stand_in && !self.broken_lines.contains(&position.line) {
            self.errors.push(Problem {
                file: self.file.to_owned(),
                position: Some(position),
                key,
                message,
            });
        }
    }

    fn warn(&mut self, span: Range<usize>, key: String, message: String) {
        self.warnings.push(Problem {
            file: self.file.to_owned(),
            position: Some(self.position(span.start)),
            key: Some(key),
            message,
        });
    }

    fn position(&self, offset: usize) -> Position {
        Position::after(self.text.get(..offset).unwrap_or(self.text))
    }

    fn finish(mut self, config: Option<Config>) -> Result<Loaded, Errors> {
        self.errors.sort_by_key(|problem| problem.position);
        self.warnings.sort_by_key(|problem| problem.position);
        match config {
            Some(config) if self.errors.is_empty() => Ok(Loaded {
                config,
                warnings: self.warnings,
            }),
            _ => Err(Errors(self.errors)),
        }
    }
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
fn home_of(name: &str) -> Option<String> {
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

/// The nearest of the known names, or all of them if none is near.
fn suggestion<'a>(name: &str, known: impl Iterator<Item = &'a str>, all: &str) -> String {
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
