//! From flows to an answer.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::field::{Field, Value};
use crate::filter::Filter;
use crate::record::{FlowJson, UnixTime};

/// Rows of an answer at most.
pub const MAX_ROWS: usize = 10_000;
/// Different sums that are told apart at most; flows of further ones are not in any row.
pub const MAX_GROUPS: usize = if cfg!(test) { 1_000 } else { 262_144 };
const DEFAULT_ROWS: usize = 100;

/// Which flows are meant, and how they are to be told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Query {
    /// Those it takes.
    pub filter: Filter,
    /// Fields by which they are added up; none: single flows.
    pub by: Vec<Field>,
    /// The order of the rows: the greatest first of what is added up, else the least first.
    pub sort: Field,
    /// The other way round.
    pub reverse: bool,
    /// Rows at most, up to [`MAX_ROWS`].
    pub limit: usize,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            filter: Filter::all(),
            by: Vec::new(),
            sort: Field::Bytes,
            reverse: false,
            limit: DEFAULT_ROWS,
        }
    }
}

impl Query {
    /// Whether it can be answered.
    ///
    /// # Errors
    /// In words.
    pub fn check(&self) -> Result<(), String> {
        if let Some(field) = self.by.iter().find(|field| !field.is_key()) {
            return Err(format!("flows cannot be added up by {field}"));
        }
        let fields: Vec<Field> = if self.by.is_empty() {
            Field::of_flows().collect()
        } else {
            Field::of_sums(&self.by).collect()
        };
        if !fields.contains(&self.sort) {
            return Err(format!(
                "rows cannot be sorted by {}, which they do not have",
                self.sort
            ));
        }
        if self.limit > MAX_ROWS {
            return Err(format!(
                "limit: at most {MAX_ROWS} rows, not {}",
                self.limit
            ));
        }
        Ok(())
    }

    /// Whether flows that are duplicates of others count: where a sum does not tell at which place of
    /// this host packets were seen, nor is asked for one, each is to count once. Of single flows all
    /// are rows, and their total is such a sum.
    pub fn counts_duplicates(&self) -> bool {
        self.by.iter().any(|field| field.is_place()) || self.filter.names_place()
    }
}

/// Flows, and what they count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Total {
    /// Flows.
    pub flows: u64,
    /// Packets.
    pub packets: u64,
    /// IP octets.
    pub bytes: u64,
}

impl Total {
    fn add(&mut self, flow: &FlowJson<'_>) {
        self.flows = self.flows.saturating_add(1);
        self.packets = self.packets.saturating_add(flow.packets.unwrap_or(0));
        self.bytes = self.bytes.saturating_add(flow.bytes.unwrap_or(0));
    }
}

/// The answer to a [`Query`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(bound(deserialize = "R: Deserialize<'de>"))]
pub struct Answer<R = Row> {
    /// All flows that were looked at.
    pub seen: Total,
    /// Those that the filter took and that count.
    pub matched: Total,
    /// Those that the filter took and that do not count, being duplicates: only among single flows are
    /// they rows.
    pub duplicates: Total,
    /// Rows that there would be without a limit.
    pub rows_in_all: u64,
    /// Whether these are not all rows.
    pub truncated: bool,
    /// The rows, in order.
    pub rows: Vec<R>,
}

/// A row of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Row {
    /// A single flow.
    Flow(Box<FlowJson<'static>>),
    /// A sum of flows.
    Sum {
        /// By which fields.
        by: Arc<[Field]>,
        /// Their values.
        key: Vec<Value>,
        /// What was added up.
        sums: Sums,
    },
}

/// What is added up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sums {
    total: Total,
    start: Option<UnixTime>,
    end: Option<UnixTime>,
    tcp_flags: u16,
}

impl Sums {
    fn add(&mut self, flow: &FlowJson<'_>) {
        self.total.add(flow);
        self.start = match (self.start, flow.start) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
        self.end = self.end.max(flow.end);
        self.tcp_flags |= flow.tcp_flags.unwrap_or(0);
    }

    fn value(&self, field: Field) -> Value {
        let time = |time: Option<UnixTime>| time.map_or(Value::None, Value::Time);
        match field {
            Field::Flows => Value::Number(self.total.flows),
            Field::Packets => Value::Number(self.total.packets),
            Field::Bytes => Value::Number(self.total.bytes),
            Field::Start => time(self.start),
            Field::End => time(self.end),
            Field::TcpFlags => Value::Number(self.tcp_flags.into()),
            _ => Value::None,
        }
    }
}

impl Row {
    /// The value of a field.
    pub fn value(&self, field: Field) -> Value {
        match self {
            Self::Flow(flow) => field.of(flow),
            Self::Sum { by, key, sums } => by
                .iter()
                .position(|by| *by == field)
                .and_then(|at| key.get(at).cloned())
                .unwrap_or_else(|| sums.value(field)),
        }
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Flow(flow) => flow.serialize(s),
            Self::Sum { by, .. } => {
                let mut map = s.serialize_map(None)?;
                for field in Field::of_sums(by) {
                    map.serialize_entry(field.name(), &self.value(field))?;
                }
                map.end()
            }
        }
    }
}

/// Takes flows one by one. It holds at most twice the rows of the answer, or [`MAX_GROUPS`] sums.
#[derive(Debug)]
pub struct Gather {
    query: Query,
    counts_duplicates: bool,
    seen: Total,
    matched: Total,
    duplicates: Total,
    beyond: u64,
    found: Found,
}

#[derive(Debug)]
enum Found {
    Flows {
        flows: Vec<Row>,
        /// There are enough that are before this one, or at its place.
        worst: Option<Value>,
    },
    Sums {
        by: Arc<[Field]>,
        sums: HashMap<Vec<Value>, Sums>,
        /// Reused from one flow to the next.
        key: Vec<Value>,
    },
}

impl Gather {
    /// For a query that was [checked](Query::check).
    pub fn new(query: Query) -> Self {
        let found = if query.by.is_empty() {
            Found::Flows {
                flows: Vec::new(),
                worst: None,
            }
        } else {
            Found::Sums {
                by: query.by.clone().into(),
                sums: HashMap::new(),
                key: Vec::new(),
            }
        };
        Self {
            counts_duplicates: query.counts_duplicates(),
            query,
            seen: Total::default(),
            matched: Total::default(),
            duplicates: Total::default(),
            beyond: 0,
            found,
        }
    }

    /// Looks at a flow.
    pub fn add(&mut self, flow: &FlowJson<'_>) {
        self.seen.add(flow);
        if !self.query.filter.takes(flow) {
            return;
        }
        if flow.duplicate == Some(true) && !self.counts_duplicates {
            self.duplicates.add(flow);
            if !self.query.by.is_empty() {
                return;
            }
        } else {
            self.matched.add(flow);
        }
        match &mut self.found {
            Found::Flows { flows, worst } => {
                let value = self.query.sort.of(flow);
                let late = worst
                    .as_ref()
                    .is_some_and(|worst| order(&self.query, &value, worst).is_ge());
                if late {
                    return;
                }
                flows.push(Row::Flow(Box::new(owned(flow))));
                let most = self.query.limit.max(DEFAULT_ROWS) * 2;
                if flows.len() >= most {
                    sort(&self.query, flows);
                    flows.truncate(self.query.limit);
                    *worst = Some(match flows.last() {
                        Some(last) => last.value(self.query.sort),
                        // With a limit of 0 nothing is kept, whatever it is.
                        None => value,
                    });
                }
            }
            Found::Sums { by, sums, key } => {
                key.clear();
                key.extend(by.iter().map(|field| field.of(flow)));
                if let Some(sum) = sums.get_mut(key.as_slice()) {
                    sum.add(flow);
                } else if sums.len() < MAX_GROUPS {
                    sums.entry(key.clone()).or_default().add(flow);
                } else {
                    self.beyond += 1;
                }
            }
        }
    }

    /// The answer.
    pub fn finish(self) -> Answer {
        let (mut rows, rows_in_all) = match self.found {
            Found::Flows { flows, .. } => (flows, self.matched.flows + self.duplicates.flows),
            Found::Sums { by, sums, .. } => {
                let rows_in_all = sums.len() as u64 + self.beyond;
                let row = |(key, sums)| Row::Sum {
                    by: by.clone(),
                    key,
                    sums,
                };
                (sums.into_iter().map(row).collect(), rows_in_all)
            }
        };
        sort(&self.query, &mut rows);
        rows.truncate(self.query.limit);
        Answer {
            seen: self.seen,
            matched: self.matched,
            duplicates: self.duplicates,
            truncated: rows_in_all > rows.len() as u64,
            rows_in_all,
            rows,
        }
    }
}

fn sort(query: &Query, rows: &mut [Row]) {
    rows.sort_by(|a, b| {
        let by_value = order(query, &a.value(query.sort), &b.value(query.sort));
        // What is equal has an order nevertheless: a list that is asked for again looks the same.
        by_value.then_with(|| tie(query, a, b))
    });
}

fn order(query: &Query, a: &Value, b: &Value) -> Ordering {
    let order = a.cmp(b);
    if query.sort.is_sum() == query.reverse {
        order
    } else {
        order.reverse()
    }
}

fn tie(query: &Query, a: &Row, b: &Row) -> Ordering {
    const KEYS: [Field; 8] = [
        Field::Src,
        Field::Dst,
        Field::Proto,
        Field::Sport,
        Field::Dport,
        Field::IfIndex,
        Field::Direction,
        Field::Vlan,
    ];
    let keys: &[Field] = if query.by.is_empty() {
        &KEYS
    } else {
        &query.by
    };
    keys.iter()
        .map(|field| a.value(*field).cmp(&b.value(*field)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn owned(flow: &FlowJson<'_>) -> FlowJson<'static> {
    FlowJson {
        interface: flow.interface.as_deref().map(|name| name.to_owned().into()),
        src: flow.src,
        dst: flow.dst,
        proto: flow.proto,
        sport: flow.sport,
        dport: flow.dport,
        packets: flow.packets,
        bytes: flow.bytes,
        start: flow.start,
        end: flow.end,
        tcp_flags: flow.tcp_flags,
        end_reason: flow.end_reason,
        direction: flow.direction,
        if_index: flow.if_index,
        src_mac: flow.src_mac,
        dst_mac: flow.dst_mac,
        vlan: flow.vlan,
        customer_vlan: flow.customer_vlan,
        eth_type: flow.eth_type,
        tos: flow.tos,
        min_ttl: flow.min_ttl,
        max_ttl: flow.max_ttl,
        sampling: flow.sampling,
        duplicate: flow.duplicate,
        agent: flow.agent,
        packets_scaled: flow.packets_scaled,
        bytes_scaled: flow.bytes_scaled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;
    use std::net::IpAddr;

    /// A flow from 10.0.0.`host` to a port, with so many packets of 100 octets.
    fn flow(host: u8, dport: u16, packets: u64) -> FlowJson<'static> {
        FlowJson {
            src: Some(IpAddr::from([10, 0, 0, host])),
            dst: Some(IpAddr::from([192, 0, 2, 1])),
            proto: Some(6),
            sport: Some(40_000),
            dport: Some(dport),
            packets: Some(packets),
            bytes: Some(packets * 100),
            start: Some(UnixTime::from_millis(packets)),
            end: Some(UnixTime::from_millis(1_000 + packets)),
            tcp_flags: Some(1 << (host % 8)),
            direction: Some(0),
            interface: Some(Cow::Borrowed("eth0")),
            duplicate: Some(false),
            ..FlowJson::default()
        }
    }

    fn query(json: &str) -> Query {
        let query: Query = serde_json::from_str(json).unwrap();
        query.check().unwrap();
        query
    }

    fn gather(query: Query, flows: &[FlowJson<'_>]) -> Answer {
        let mut gather = Gather::new(query);
        for flow in flows {
            gather.add(flow);
        }
        gather.finish()
    }

    fn column(answer: &Answer, field: Field) -> Vec<Value> {
        answer.rows.iter().map(|row| row.value(field)).collect()
    }

    #[test]
    fn the_greatest_come_first_however_many_there_are() {
        for limit in [0, 1, 7, 100] {
            let query = Query {
                limit,
                ..Query::default()
            };
            // 1000 flows in an order that is none.
            let flows: Vec<_> = (0..1000_u64).map(|n| flow(1, 80, n * 377 % 1000)).collect();
            let answer = gather(query, &flows);
            let expected: Vec<_> = (0..limit as u64).map(|n| Value::Number(999 - n)).collect();
            assert_eq!(column(&answer, Field::Packets), expected);
            assert_eq!((answer.rows_in_all, answer.truncated), (1000, true));
            assert_eq!(answer.matched.packets, 999 * 500);
        }
    }

    #[test]
    fn the_order_can_be_any() {
        let flows = [flow(2, 80, 5), flow(1, 443, 7), flow(3, 22, 6)];
        for (json, hosts) in [
            (r#"{"sort":"packets"}"#, [1, 3, 2]),
            (r#"{"sort":"packets","reverse":true}"#, [2, 3, 1]),
            (r#"{"sort":"src"}"#, [1, 2, 3]),
            (r#"{"sort":"dport"}"#, [3, 2, 1]),
            (r#"{"sort":"dport","reverse":true}"#, [1, 2, 3]),
            (r#"{"sort":"start"}"#, [1, 3, 2]),
        ] {
            let answer = gather(query(json), &flows);
            let expected = hosts.map(|host| Value::Address(IpAddr::from([10, 0, 0, host])));
            assert_eq!(column(&answer, Field::Src), expected, "{json}");
            assert!(!answer.truncated);
        }
    }

    #[test]
    fn flows_are_added_up_by_any_fields() {
        let flows = [
            flow(1, 80, 5),
            flow(1, 443, 7),
            flow(2, 80, 6),
            flow(3, 22, 1),
        ];
        let answer = gather(query(r#"{"by":["dport"],"filter":"not port 22"}"#), &flows);
        assert_eq!(answer.seen.flows, 4);
        assert_eq!(answer.matched.flows, 3);
        let rows = serde_json::to_string(&answer.rows).unwrap();
        assert_eq!(
            rows,
            concat!(
                r#"[{"dport":80,"flows":2,"packets":11,"bytes":1100,"start":"1970-01-01T00:00:00.005Z","#,
                r#""end":"1970-01-01T00:00:01.006Z","tcp_flags":6},"#,
                r#"{"dport":443,"flows":1,"packets":7,"bytes":700,"start":"1970-01-01T00:00:00.007Z","#,
                r#""end":"1970-01-01T00:00:01.007Z","tcp_flags":2}]"#
            )
        );
        let answer = gather(query(r#"{"by":["src","service"],"limit":2}"#), &flows);
        assert_eq!((answer.rows_in_all, answer.truncated), (4, true));
        assert_eq!(
            column(&answer, Field::Service),
            [443, 80].map(Value::Number)
        );
    }

    #[test]
    fn a_packet_that_was_seen_twice_counts_once_unless_it_is_asked_where() {
        let again = FlowJson {
            duplicate: Some(true),
            direction: Some(1),
            interface: Some(Cow::Borrowed("eth1")),
            ..flow(1, 80, 5)
        };
        let flows = [flow(1, 80, 5), again];
        for (json, packets, duplicates) in [
            (r"{}", 5, 1),
            (r#"{"filter":"on eth*"}"#, 10, 0),
            (r#"{"by":["src"]}"#, 5, 1),
            (r#"{"by":["src","interface"]}"#, 10, 0),
            (r#"{"by":["src"],"filter":"on eth1"}"#, 5, 0),
            (r#"{"by":["src"],"filter":"not (tcp and in eth7)"}"#, 10, 0),
            (r#"{"by":["src"],"filter":"tcp"}"#, 5, 1),
        ] {
            let answer = gather(query(json), &flows);
            assert_eq!(answer.matched.packets, packets, "{json}");
            assert_eq!(answer.duplicates.flows, duplicates, "{json}");
            if json == "{}" {
                assert_eq!((answer.rows.len(), answer.rows_in_all), (2, 2));
            }
        }
    }

    #[test]
    fn sums_beyond_the_bound_are_counted() {
        let mut gather = Gather::new(query(r#"{"by":["src"],"limit":1}"#));
        let beyond = 10;
        for n in 0..u32::try_from(MAX_GROUPS).unwrap() + beyond {
            gather.add(&FlowJson {
                src: Some(IpAddr::from(n.to_be_bytes())),
                ..flow(1, 80, 1)
            });
        }
        let answer = gather.finish();
        assert_eq!(answer.rows_in_all, MAX_GROUPS as u64 + u64::from(beyond));
        assert!(answer.truncated);
    }

    #[test]
    fn what_cannot_be_answered_is_told() {
        for (json, said) in [
            (r#"{"by":["bytes"]}"#, "flows cannot be added up by bytes"),
            (
                r#"{"by":["src"],"sort":"dst"}"#,
                "rows cannot be sorted by dst, which they do not have",
            ),
            (r#"{"sort":"flows"}"#, "rows cannot be sorted by flows"),
            (r#"{"limit":10001}"#, "at most 10000 rows"),
        ] {
            let query: Query = serde_json::from_str(json).unwrap();
            assert!(query.check().unwrap_err().contains(said), "{json}");
        }
        for (json, said) in [
            (
                r#"{"by":["source"]}"#,
                "no field is called \"source\"; fields are: src, dst, ",
            ),
            (r#"{"by":["dsport"]}"#, "is \"dport\" meant?"),
            (
                r#"{"filter":"tcp or"}"#,
                "filter, column 7: expected a test",
            ),
            (r#"{"filtre":"tcp"}"#, "unknown field `filtre`"),
        ] {
            let error = serde_json::from_str::<Query>(json).unwrap_err().to_string();
            assert!(error.contains(said), "{json}: {error}");
        }
    }
}
