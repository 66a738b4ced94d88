//! The times of all flows of a file: the File Time Window (RFC 5655 section 8.1.2).

use crate::decode::{DataSet, Record, Value};
use crate::element::{AbstractType, Element};
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
        let template = set.template();
        if template.is_options() || set.record_count() == 0 {
            return;
        }
        let first = |elements: &[Element]| {
            elements
                .iter()
                .find_map(|element| template.position(element))
        };
        let (Some(start), Some(end)) = (first(&STARTS), first(&ENDS)) else {
            self.unknown = true;
            return;
        };
        for record in set.records().map_while(Result::ok) {
            let Some(flow) = times(&record, start, end) else {
                self.unknown = true;
                return;
            };
            let times = self.times.get_or_insert(flow);
            times.start_ms = times.start_ms.min(flow.start_ms);
            times.end_ms = times.end_ms.max(flow.end_ms);
        }
    }

    /// The window, if there are flows and all of them tell their times.
    pub(super) fn times(&self) -> Option<Times> {
        self.times.filter(|_| !self.unknown)
    }
}

/// Start and end of a flow, at these positions, outwards to whole milliseconds.
fn times(record: &Record<'_>, start: usize, end: usize) -> Option<Times> {
    Some(Times {
        start_ms: record.value_at(start)?.unix_ms()?,
        end_ms: rounded_up(&record.value_at(end)?)?,
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

const STARTS: [Element; 5] = [
    ie::FLOW_START_MILLISECONDS,
    ie::FLOW_START_MICROSECONDS,
    ie::FLOW_START_NANOSECONDS,
    ie::FLOW_START_SECONDS,
    ie::FLOW_START_SYS_UP_TIME,
];
const ENDS: [Element; 5] = [
    ie::FLOW_END_MILLISECONDS,
    ie::FLOW_END_MICROSECONDS,
    ie::FLOW_END_NANOSECONDS,
    ie::FLOW_END_SECONDS,
    ie::FLOW_END_SYS_UP_TIME,
];
