//! Flows as comma-separated values (RFC 4180).

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::io::Write as _;

use crate::record::FlowJson;

/// Lines of comma-separated values, after one with the fields' names.
///
/// The fields are those of the JSON object, under the same names and in the same order; one that is
/// not known is empty.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Csv {
    begun: bool,
}

macro_rules! fields {
    ($($field:ident),* $(,)?) => {
        /// The names of the fields.
        const HEADER: &str = concat!($(stringify!($field), ","),*);

        /// Adds the fields of a flow, each with a comma behind it.
        fn write_fields(flow: &FlowJson<'_>, out: &mut Vec<u8>) {
            // A field that is added has to be named here.
            let FlowJson { $($field),* } = flow;
            $(write_field(out, $field.as_ref());)*
        }
    };
}

fields!(
    src,
    dst,
    proto,
    sport,
    dport,
    packets,
    bytes,
    start,
    end,
    tcp_flags,
    end_reason,
    direction,
    if_index,
    src_mac,
    dst_mac,
    interface,
    vlan,
    customer_vlan,
    eth_type,
    tos,
    min_ttl,
    max_ttl,
    sampling,
    duplicate,
    agent,
    packets_scaled,
    bytes_scaled,
);

impl Csv {
    /// Adds the line of a flow, after the names before the first.
    pub(super) fn line(&mut self, flow: &FlowJson<'_>, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            out.extend_from_slice(HEADER.as_bytes());
            end_line(out);
        }
        write_fields(flow, out);
        end_line(out);
    }
}

/// Puts the end of a line in the place of the last comma.
fn end_line(out: &mut Vec<u8>) {
    out.pop();
    out.push(b'\n');
}

fn write_field<T: Field>(out: &mut Vec<u8>, value: Option<&T>) {
    if let Some(value) = value {
        value.write(out);
    }
    out.push(b',');
}

trait Field {
    fn write(&self, out: &mut Vec<u8>);
}

macro_rules! plain {
    ($($type:ty),* $(,)?) => {
        $(impl Field for $type {
            fn write(&self, out: &mut Vec<u8>) {
                write_plain(out, self);
            }
        })*
    };
}

plain!(
    u8,
    u16,
    u32,
    u64,
    bool,
    std::net::IpAddr,
    crate::record::UnixTime,
    ebpfix_probes::abi::MacAddress,
);

/// What has neither commas nor quotes in it.
fn write_plain(out: &mut Vec<u8>, value: &impl Display) {
    // Writing to a Vec cannot fail.
    let _: Result<(), _> = write!(out, "{value}");
}

impl Field for Cow<'_, str> {
    /// A text from the network: in quotes where it has to be.
    fn write(&self, out: &mut Vec<u8>) {
        let plain = |c: char| c != ',' && c != '"' && !c.is_control() && !c.is_whitespace();
        if self.chars().all(plain) {
            out.extend_from_slice(self.as_bytes());
        } else {
            write_plain(out, &Quoted(self));
        }
    }
}

struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('"', "\"\""))
    }
}

#[cfg(test)]
mod tests {
    use ebpfix_probes::abi::MacAddress;

    use super::*;
    use crate::record::UnixTime;

    fn lines(flows: &[FlowJson<'_>]) -> String {
        let mut csv = Csv::default();
        let mut out = Vec::new();
        for flow in flows {
            csv.line(flow, &mut out);
        }
        String::from_utf8(out).unwrap()
    }

    fn full() -> FlowJson<'static> {
        FlowJson {
            src: "192.0.2.1".parse().ok(),
            dst: "2001:db8::1".parse().ok(),
            proto: Some(6),
            sport: Some(40_000),
            dport: Some(443),
            packets: Some(10),
            bytes: Some(5_000),
            start: Some(UnixTime::EPOCH),
            end: Some(UnixTime::from_millis(1)),
            tcp_flags: Some(0x1b),
            end_reason: Some(3),
            direction: Some(1),
            if_index: Some(3),
            src_mac: Some(MacAddress([2, 0, 0, 0, 0, 1])),
            dst_mac: Some(MacAddress([2, 0, 0, 0, 0, 2])),
            interface: Some(Cow::Borrowed("eth0")),
            vlan: Some(7),
            customer_vlan: Some(0),
            eth_type: Some(0x0800),
            tos: Some(0),
            min_ttl: Some(63),
            max_ttl: Some(64),
            sampling: Some(1),
            duplicate: Some(false),
            agent: "203.0.113.9".parse().ok(),
            packets_scaled: Some(20),
            bytes_scaled: Some(10_000),
        }
    }

    #[test]
    fn names_and_values_are_those_of_the_json() {
        let mut json = Vec::new();
        full().write_line(&mut json).unwrap();
        // In its order, which a parsed object would not keep.
        let json = String::from_utf8(json).unwrap();
        let (names, values): (Vec<_>, Vec<_>) = json
            .trim_matches(['{', '}', '\n'])
            .split(",\"")
            .map(|field| field.trim_start_matches('"').split_once("\":").unwrap())
            .map(|(name, value)| (name, value.trim_matches('"')))
            .unzip();
        let expected = format!("{}\n{}\n", names.join(","), values.join(","));
        assert_eq!(lines(&[full()]), expected);
    }

    #[test]
    fn what_is_not_known_is_empty_and_texts_are_quoted_where_they_must_be() {
        let commas = ",".repeat(26);
        let text = lines(&[FlowJson::default(), FlowJson::default()]);
        let found: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(found, [&commas, &commas]);
        for (name, field) in [
            ("eth0.5", "eth0.5"),
            ("a,b", "\"a,b\""),
            ("a \"b\"", "\"a \"\"b\"\"\""),
            ("a\nb", "\"a\nb\""),
        ] {
            let flow = FlowJson {
                interface: Some(Cow::Borrowed(name)),
                ..FlowJson::default()
            };
            let expected = format!("{}{field}{}\n", ",".repeat(15), ",".repeat(11));
            assert!(lines(&[flow]).ends_with(&expected), "{name}");
        }
    }
}
