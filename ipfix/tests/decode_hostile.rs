//! Properties of reading that hold for whatever octets come: nothing panics, everything ends, all
//! that is remembered is within the limits.

use std::fmt::Write as _;

use ipfix::{Decoder, DecoderLimits, Field, Protocol, Value};
use proptest::collection::vec;
use proptest::prelude::*;

const LIMITS: DecoderLimits = DecoderLimits {
    sessions: 3,
    domains_per_session: 3,
    templates_per_domain: 4,
    fields_per_template: 12,
    fields_per_session: 24,
    total_fields: 40,
    option_entries_per_domain: 3,
    option_entries_per_session: 5,
    total_option_entries: 8,
    option_text_octets: 5,
};

/// Elements that the decoder looks into, lists, and any other.
fn element() -> impl Strategy<Value = u16> {
    prop_oneof![
        prop::sample::select(vec![
            1, 2, 4, 8, 10, 14, 21, 22, 34, 48, 50, 61, 82, 83, 145, 152, 154, 156, 160, 173, 291,
            292, 293, 302, 305, 306, 309, 310,
        ]),
        any::<u16>(),
    ]
}

fn length() -> impl Strategy<Value = u16> {
    prop_oneof![4 => 0..10_u16, 1 => Just(0xffff), 1 => any::<u16>()]
}

/// A set of a kind, mostly well formed.
fn set(protocol: Protocol) -> impl Strategy<Value = Vec<u8>> {
    let fields = vec((element(), length()), 0..8);
    let template = (0..6_u8, any::<bool>(), 0..3_usize, fields).prop_map(
        move |(id, options, scope, fields)| {
            let count = |number: usize| u16::try_from(number).unwrap().to_be_bytes();
            let mut body = vec![1, id];
            match (options, protocol) {
                (true, Protocol::Ipfix) => {
                    body.extend(count(fields.len()));
                    body.extend(count(scope));
                }
                (true, _) => {
                    let scope = scope.min(fields.len());
                    body.extend(count(4 * scope));
                    body.extend(count(4 * (fields.len() - scope)));
                }
                (false, _) => body.extend(count(fields.len())),
            }
            for (element, length) in fields {
                body.extend(element.to_be_bytes());
                body.extend(length.to_be_bytes());
                if protocol == Protocol::Ipfix && element >= 0x8000 {
                    body.extend([0, 0, 0, 9]);
                }
            }
            let id = if options {
                protocol.options_template_set_id()
            } else {
                protocol.template_set_id()
            };
            framed(id.unwrap_or(0), &body)
        },
    );
    let data = (0..6_u16, vec(any::<u8>(), 0..120)).prop_map(|(id, body)| framed(256 + id, &body));
    let other = (any::<u16>(), vec(any::<u8>(), 0..20)).prop_map(|(id, body)| framed(id, &body));
    prop_oneof![6 => template, 6 => data, 1 => other]
}

fn framed(id: u16, body: &[u8]) -> Vec<u8> {
    let mut set = id.to_be_bytes().to_vec();
    set.extend(u16::try_from(4 + body.len()).unwrap().to_be_bytes());
    set.extend(body);
    set
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let template_based = prop::sample::select(vec![Protocol::Ipfix, Protocol::NetflowV9])
        .prop_flat_map(|protocol| {
            let sets = vec(set(protocol), 0..6);
            (Just(protocol), 0..5_u8, 0..20_u8, sets)
        })
        .prop_map(|(protocol, domain, sequence, sets)| {
            let sets = sets.concat();
            let mut message = protocol.version().to_be_bytes().to_vec();
            let length = u16::try_from(16 + sets.len()).unwrap().to_be_bytes();
            message.extend(length);
            message.resize(protocol.header_length(), 0x5a);
            let end = message.len();
            message[end - 8..].copy_from_slice(&[0, 0, 0, sequence, 0, 0, 0, domain]);
            message.extend(sets);
            message
        });
    let v5 = (0..40_u8, vec(any::<u8>(), 20..1500)).prop_map(|(count, octets)| {
        let mut message = vec![0, 5, 0, count];
        message.extend(octets);
        message
    });
    prop_oneof![6 => template_based, 2 => v5, 1 => vec(any::<u8>(), 0..100)]
}

/// All readings of a value; lists are followed this deep.
fn read(value: &Value<'_>, depth: u32, out: &mut String) {
    out.clear();
    write!(out, "{}", value.typed()).unwrap();
    let _ = (
        value.unsigned(),
        value.signed(),
        value.float(),
        value.text(),
    );
    let _ = (value.boolean(), value.mac_address(), value.ip_address());
    let _ = (value.unix_ms(), value.unix_ns(), value.unsigned256());
    if depth == 0 {
        return;
    }
    if let Ok(list) = value.basic_list() {
        let items = list.values();
        assert!(items.clone().count() <= value.octets().len());
        items
            .flatten()
            .for_each(|value| read(&value, depth - 1, out));
    }
    if let Ok(list) = value.sub_template_multi_list() {
        assert!(list.lists().count() <= value.octets().len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_comes(messages in vec((0..5_u8, message()), 1..24)) {
        let mut decoder = Decoder::new(LIMITS);
        let mut out = String::new();
        for (session, octets) in &messages {
            let decoded = match decoder.decode(session, octets) {
                Ok(decoded) => decoded,
                Err(error) => {
                    prop_assert!(error.offset <= octets.len());
                    prop_assert!(error.clause().is_some());
                    continue;
                }
            };
            let header = *decoded.header();
            prop_assert!(decoded.length() <= octets.len());
            prop_assert_eq!(decoded.records().count(), decoded.record_count());
            let options = decoder.options(session, header.protocol, header.observation_domain);
            let options = options.expect("the domain has just been heard of");
            for record in decoded.records() {
                let sampling = options.sampling_of(&record);
                prop_assert!(sampling.is_none_or(|it| it.factor() >= 1.0 && it.one_in() >= 1));
                let fields = record.template().fields();
                prop_assert_eq!(record.values().count(), fields.len());
                for (position, value) in record.values().enumerate() {
                    // Both ways to a value lead to the same.
                    let same = record.value_at(position).expect("there is a value");
                    prop_assert_eq!(same.octets(), value.octets());
                    let field: &Field = value.field();
                    if let Some(element) = field.element() {
                        let first = record.template().position(element);
                        prop_assert!(first.is_some_and(|first| first <= position));
                    }
                    read(&value, 3, &mut out);
                    if let Ok(list) = value.sub_template_list() {
                        let domain = header.observation_domain;
                        let id = list.template_id();
                        let template = decoder.template(session, header.protocol, domain, id);
                        if let Some(template) = template {
                            let records = list.records(template).expect("it is the same id");
                            prop_assert!(records.count() <= list.octets().len() + 1);
                        }
                    }
                }
                prop_assert!(record.value_at(fields.len()).is_none());
            }
            for index in 0..20 {
                let name = options.interface_name(index).unwrap_or_default();
                prop_assert!(name.len() <= LIMITS.option_text_octets);
            }
            prop_assert!(decoder.sessions() <= LIMITS.sessions);
            prop_assert!(decoder.fields() <= LIMITS.total_fields);
            prop_assert!(decoder.option_entries() <= LIMITS.total_option_entries);
        }
        for session in 0..5 {
            decoder.forget(&session);
        }
        let left = (decoder.sessions(), decoder.fields(), decoder.option_entries());
        prop_assert_eq!(left, (0, 0, 0));
    }
}
