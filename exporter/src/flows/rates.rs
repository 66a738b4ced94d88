//! What flows counted in an interval.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ebpfix_probes::abi::{FlowId, FlowMetrics};
use serde::{Deserialize, Serialize};

use super::field::Field;
use super::gather::{Answer, Gather, Query, Row};
use crate::ledger::Count;
use crate::record::{FlowEndReason, FlowJson, Record, UnixTime};

/// Flows of an interval that are told apart at most; what further ones count is missed.
pub const MAX_FLOWS: usize = if cfg!(test) { 1_000 } else { 262_144 };

/// What was counted since an interval began, by flow.
#[derive(Debug, Default)]
pub struct Interval {
    flows: HashMap<FlowId, FlowMetrics>,
    missed: Count,
}

/// What an interval was, in answer to a [`Query`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "R: Deserialize<'de>"))]
pub struct Report<R = Row> {
    /// When it ended.
    pub time: UnixTime,
    /// How long it was.
    pub seconds: f64,
    /// What was counted and is in no flow of the answer, because there was too much of it.
    pub missed: Count,
    /// The flows; their counts are those of the interval.
    pub answer: Answer<R>,
}

impl Interval {
    /// A flow counted something more.
    pub fn add(&mut self, id: &FlowId, metrics: &FlowMetrics) {
        if let Some(sum) = self.flows.get_mut(id) {
            sum.accumulate(metrics);
        } else if self.flows.len() < MAX_FLOWS {
            self.flows.insert(*id, *metrics);
        } else {
            self.miss(Count::new(metrics.packets, metrics.bytes));
        }
    }

    /// Something was counted of which no more is known.
    pub fn miss(&mut self, count: Count) {
        self.missed += count;
    }

    /// Ends the interval: its flows in answer to a query, and nothing is left.
    ///
    /// `now` and `mono_ns` are one moment on the two clocks, as in [`Record::new`]; `name` says what an
    /// interface is called. A flow that was seen at several places of this host (interfaces,
    /// directions, VLANs) is a duplicate but at that which counted most.
    pub fn report(
        &mut self,
        query: Query,
        seconds: f64,
        now: UnixTime,
        mono_ns: u64,
        name: impl Fn(u32) -> Arc<str>,
    ) -> Report {
        // The memory of a busy interval is not kept for a quiet one.
        let flows = std::mem::take(&mut self.flows);
        let missed = std::mem::take(&mut self.missed);
        let tells = query.by.is_empty() || query.by.contains(&Field::Duplicate);
        let asks = tells || !query.counts_duplicates() || query.filter.names_place();
        let most = asks.then(|| owners(&flows));
        let mut gather = Gather::new(query);
        for (id, metrics) in &flows {
            let record = Record {
                interface: name(id.if_index),
                duplicate: most
                    .as_ref()
                    .is_some_and(|most| most.get(&everywhere(id)).is_some_and(|(_, of)| *of != id)),
                end_reason: FlowEndReason::ForcedEnd,
                ..Record::new(*id, *metrics, now, mono_ns)
            };
            gather.add(&going_on(&record));
        }
        Report {
            time: now,
            seconds,
            missed,
            answer: gather.finish(),
        }
    }
}

/// A flow that goes on: it has no end reason.
pub fn going_on(record: &Record) -> FlowJson<'_> {
    FlowJson {
        end_reason: None,
        ..FlowJson::from(record)
    }
}

type Everywhere = (IpAddr, IpAddr, u16, u16, u8, u16);

/// What is the same of a packet at all places.
fn everywhere(id: &FlowId) -> Everywhere {
    (
        id.src_ip.ip(),
        id.dst_ip.ip(),
        id.src_port,
        id.dst_port,
        id.transport_protocol,
        id.eth_protocol,
    )
}

/// The place that counted most of each flow.
fn owners(flows: &HashMap<FlowId, FlowMetrics>) -> HashMap<Everywhere, (u64, &FlowId)> {
    let mut most: HashMap<Everywhere, (u64, &FlowId)> = HashMap::with_capacity(flows.len());
    // Frames that are not IP have no such places.
    for (id, metrics) in flows.iter().filter(|(id, _)| !id.is_layer_2()) {
        let place = |id: &FlowId| (id.if_index, id.direction, id.vlan_id, id.customer_vlan_id);
        let owner = most.entry(everywhere(id)).or_insert((metrics.bytes, id));
        let more = metrics.bytes > owner.0;
        // Of equals always the same one.
        if more || (metrics.bytes == owner.0 && place(id) < place(owner.1)) {
            *owner = (metrics.bytes, id);
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::Value;
    use ebpfix_probes::abi::{ETH_P_IP, IpAddress};

    fn id(if_index: u32, direction: u8, port: u16) -> FlowId {
        FlowId {
            src_ip: IpAddress::from_v4_octets([192, 0, 2, 1]),
            dst_ip: IpAddress::from_v4_octets([198, 51, 100, 7]),
            src_port: port,
            dst_port: 443,
            if_index,
            eth_protocol: ETH_P_IP,
            transport_protocol: 6,
            direction,
            sampling: 1,
            ..FlowId::default()
        }
    }

    fn metrics(packets: u64) -> FlowMetrics {
        FlowMetrics {
            packets,
            bytes: packets * 100,
            start_mono_time_ns: 1,
            end_mono_time_ns: 2,
            ..FlowMetrics::default()
        }
    }

    fn report(interval: &mut Interval, json: &str) -> Report {
        interval.report(
            serde_json::from_str(json).unwrap(),
            2.0,
            UnixTime::from_millis(5_000),
            2,
            |index| format!("eth{index}").into(),
        )
    }

    #[test]
    fn an_interval_adds_up_what_comes_and_is_empty_after_it() {
        let mut interval = Interval::default();
        for _ in 0..3 {
            interval.add(&id(1, 0, 1), &metrics(5));
        }
        interval.add(&id(1, 0, 2), &metrics(1));
        let Report {
            answer, seconds, ..
        } = report(&mut interval, "{}");
        assert_eq!((answer.rows.len(), answer.matched.packets), (2, 16));
        assert_eq!(answer.rows[0].value(Field::Packets), Value::Number(15));
        assert_eq!(
            answer.rows[0].value(Field::Interface),
            Value::Text("eth1".into())
        );
        assert_eq!(answer.rows[0].value(Field::EndReason), Value::None);
        assert!((seconds - 2.0).abs() < f64::EPSILON);
        assert_eq!(report(&mut interval, "{}").answer.seen.flows, 0);
    }

    #[test]
    fn a_routed_flow_counts_where_most_of_it_was_seen() {
        let flows = [
            (id(1, 0, 1), metrics(9)),
            (id(2, 1, 1), metrics(10)),
            // Both places saw as much: the lower one.
            (id(2, 1, 2), metrics(4)),
            (id(1, 0, 2), metrics(4)),
        ];
        for (json, packets) in [
            (r#"{"by":["src"]}"#, 14),
            (r#"{"by":["src","interface"]}"#, 27),
            (r#"{"by":["src"],"filter":"on eth1"}"#, 13),
        ] {
            let mut interval = Interval::default();
            for (id, metrics) in &flows {
                interval.add(id, metrics);
            }
            assert_eq!(
                report(&mut interval, json).answer.matched.packets,
                packets,
                "{json}"
            );
        }
        let mut interval = Interval::default();
        for (id, metrics) in &flows {
            interval.add(id, metrics);
        }
        let answer = report(&mut interval, r#"{"sort":"packets"}"#).answer;
        let duplicates: Vec<_> = answer
            .rows
            .iter()
            .map(|row| (row.value(Field::Interface), row.value(Field::Duplicate)))
            .collect();
        let expected = [
            ("eth2", false),
            ("eth1", true),
            ("eth1", false),
            ("eth2", true),
        ];
        let expected = expected.map(|(name, is)| (Value::Text(name.into()), Value::Truth(is)));
        assert_eq!(duplicates, expected);
    }

    #[test]
    fn what_does_not_fit_is_missed_and_counted() {
        let mut interval = Interval::default();
        let more = 3;
        for n in 0..u32::try_from(MAX_FLOWS).unwrap() + more {
            interval.add(&id(n, 0, 1), &metrics(2));
        }
        interval.add(&id(0, 0, 1), &metrics(1));
        interval.miss(Count::new(4, 400));
        let report = report(&mut interval, r#"{"by":["src"]}"#);
        assert_eq!(report.missed, Count::new(10, 1000));
        assert_eq!(report.answer.seen.flows, MAX_FLOWS as u64);
    }
}
