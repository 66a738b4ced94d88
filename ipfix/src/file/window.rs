//! The times of all flows of a file: the File Time Window (RFC 5655 section 8.1.2).

use crate::decode::{DataSet, Record, Value};
use crate::element::{AbstractType, Registry};
use crate::elements as ie;

/// From the first start of a flow to the last end, as far as it can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    times: Option<Times>,
    /// There are flows that do not tell their times as times: no window can be stated.
    unknown: bool,
}

/// In milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub start_ms: u64,
    pub end_ms: u64,
}

impl Window {
    /// Widens the window to the flows of a set.
    pub(super) fn include(&mut self, set: &DataSet<'_>) {
        if set.template().is_options() {
            return;
        }
        for record in set.records().map_while(Result::ok) {
            if self.unknown {
                return;
            }
            match times(&record) {
                Some(flow) => {
                    let times = self.times.get_or_insert(flow);
                    times.start_ms = times.start_ms.min(flow.start_ms);
                    times.end_ms = times.end_ms.max(flow.end_ms);
                }
                None => self.unknown = true,
            }
        }
    }

    /// The window, if there are flows and all of them tell their times.
    pub(super) fn times(&self) -> Option<Times> {
        self.times.filter(|_| !self.unknown)
    }
}

/// Start and end of a flow, outwards to whole milliseconds.
fn times(record: &Record<'_>) -> Option<Times> {
    let (mut start_ms, mut end_ms) = (None, None);
    for value in record.values() {
        let field = value.field();
        if field.registry() != Registry::Iana {
            continue;
        }
        if STARTS.contains(&field.id()) {
            start_ms = start_ms.or(value.unix_ms());
        } else if ENDS.contains(&field.id()) {
            end_ms = end_ms.or(rounded_up(&value));
        }
    }
    Some(Times {
        start_ms: start_ms?,
        end_ms: end_ms?,
    })
}

fn rounded_up(value: &Value<'_>) -> Option<u64> {
    const NS_PER_MS: u64 = 1_000_000;
    match value.field().element()?.data_type() {
        AbstractType::DateTimeMicroseconds | AbstractType::DateTimeNanoseconds => {
            Some(value.unix_ns()?.div_ceil(NS_PER_MS))
        }
        _ => value.unix_ms(),
    }
}

const STARTS: [u16; 5] = [
    ie::FLOW_START_MILLISECONDS.id(),
    ie::FLOW_START_MICROSECONDS.id(),
    ie::FLOW_START_NANOSECONDS.id(),
    ie::FLOW_START_SECONDS.id(),
    ie::FLOW_START_SYS_UP_TIME.id(),
];
const ENDS: [u16; 5] = [
    ie::FLOW_END_MILLISECONDS.id(),
    ie::FLOW_END_MICROSECONDS.id(),
    ie::FLOW_END_NANOSECONDS.id(),
    ie::FLOW_END_SECONDS.id(),
    ie::FLOW_END_SYS_UP_TIME.id(),
];
