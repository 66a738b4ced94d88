//! Datagrams of several sessions into one decoder.

use std::hint::black_box;
use std::ops::Range;

use ipfix::{
    AbstractType, Decoded, Decoder, DecoderLimits, Element, Record, Semantics, Transport, Value,
};

/// One input of the decoder.
pub struct Datagram<'a> {
    /// The Transport Session it comes from.
    pub session: u8,
    /// Whether the session ends before it.
    pub forget: bool,
    /// What came.
    pub octets: &'a [u8],
}

/// Decodes whatever comes and checks that it stays within bounds: no panic, memory within the
/// limits, records, values and lists inside the message they came in.
///
/// The input: ten octets of limits, then datagrams, each after an octet of session and its length in
/// two; see [`decode_input`].
pub fn decode(input: &[u8]) {
    let Some((limits, rest)) = input.split_first_chunk::<10>() else {
        return;
    };
    let limits = limits.map(usize::from);
    let limits = DecoderLimits {
        sessions: limits[0],
        domains_per_session: limits[1],
        templates_per_domain: limits[2],
        fields_per_template: limits[3],
        fields_per_session: 2 * limits[4],
        total_fields: 4 * limits[5],
        option_entries_per_domain: limits[6],
        option_entries_per_session: limits[7],
        total_option_entries: limits[8],
        option_text_octets: limits[9],
    };
    let mut decoder = Decoder::new(limits).with_elements(&own_elements());
    // Odd: over UDP, and templates live for a few datagrams.
    decoder = if limits.option_text_octets.is_multiple_of(2) {
        decoder.over(Transport::Reliable)
    } else {
        decoder.with_template_lifetime(LIFETIME)
    };
    for (now, datagram) in (0..).zip(datagrams(rest)) {
        let session = datagram.session;
        if datagram.forget {
            decoder.forget(&session);
        }
        let before = (decoder.fields(), decoder.option_entries());
        match decoder.decode_at(&session, datagram.octets, now) {
            Ok(decoded) => {
                check(&decoder, session, &decoded, datagram.octets);
            }
            Err(error) => {
                // Nothing is learned; a session or its old templates may make room.
                let after = (decoder.fields(), decoder.option_entries());
                assert!(after.0 <= before.0 && after.1 <= before.1, "{error}");
                assert!(error.offset <= datagram.octets.len(), "{error}");
                black_box((error.to_string(), error.clause()));
            }
        }
        assert!(decoder.sessions() <= limits.sessions.max(1));
        assert!(decoder.fields() <= limits.total_fields);
        assert!(decoder.option_entries() <= limits.total_option_entries.max(1));
    }
    for session in 0..=u8::MAX {
        decoder.forget(&session);
    }
    let remembered = [
        decoder.sessions(),
        decoder.fields(),
        decoder.option_entries(),
    ];
    assert_eq!(remembered, [0, 0, 0]);
}

const LIFETIME: u64 = 3;

/// An element of an enterprise of every type, and one in the place of one of IANA's.
fn own_elements() -> Vec<Element> {
    let types = [
        AbstractType::Unsigned64,
        AbstractType::Unsigned256,
        AbstractType::Signed32,
        AbstractType::Float64,
        AbstractType::Boolean,
        AbstractType::String,
        AbstractType::DateTimeNanoseconds,
        AbstractType::BasicList,
        AbstractType::SubTemplateList,
        AbstractType::SubTemplateMultiList,
    ];
    (0..)
        .zip(types)
        .map(|(id, data_type)| Element::enterprise(1, id, "own", data_type, Semantics::Default))
        .collect()
}

/// The input of [`decode`] that makes it decode these.
pub fn decode_input<'a>(datagrams: impl IntoIterator<Item = Datagram<'a>>) -> Vec<u8> {
    let mut input = vec![4, 4, 16, 64, 128, 128, 16, 32, 64, 20];
    for datagram in datagrams {
        let session = datagram.session & SESSION;
        let forget = if datagram.forget { FORGET } else { 0 };
        input.push(session | forget);
        let length = u16::try_from(datagram.octets.len()).expect("a datagram");
        input.extend(length.to_be_bytes());
        input.extend(datagram.octets);
    }
    input
}

const SESSION: u8 = 0x0f;
const FORGET: u8 = 0x80;

fn datagrams(mut input: &[u8]) -> impl Iterator<Item = Datagram<'_>> {
    std::iter::from_fn(move || {
        let ([session, high, low], rest) = input.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (octets, rest) = rest.split_at(length);
        input = rest;
        Some(Datagram {
            session: session & SESSION,
            forget: session & FORGET != 0,
            octets,
        })
    })
}

fn check(decoder: &Decoder<u8>, session: u8, decoded: &Decoded<'_>, message: &[u8]) {
    let length = decoded.length();
    assert!(length <= message.len());
    let message = &message[..length];
    let ignored = decoded.withdrawals_ignored() + decoded.withdrawals_unknown();
    assert!(ignored <= decoded.withdrawals());
    let known = decoded.templates_repeated() + decoded.templates_changed();
    assert!(known <= decoded.templates());
    for error in decoded.errors() {
        assert!(error.offset <= length, "{error}");
        black_box((error.to_string(), error.clause()));
    }
    for set in decoded.unknown() {
        assert!(set.offset + set.length <= length, "{set:?}");
    }
    let header = decoded.header();
    black_box((header.system_init_ms(), header.export_time_ms()));
    let options = decoder.options(&session, header.protocol, header.observation_domain);
    let mut end = 0;
    for record in decoded.records() {
        let place = place(record.octets(), message);
        assert!(place.start >= end, "records overlap");
        assert!(!place.is_empty());
        end = place.end;
        check_values(&record, &|id| {
            decoder.template(&session, header.protocol, header.observation_domain, id)
        });
        if let Some(options) = options {
            black_box(options.sampling_of(&record).map(ipfix::Sampling::factor));
        }
    }
    if let Some(options) = options {
        black_box((options.sampling(), options.system_init_ms()));
        for number in 0..4 {
            black_box(options.flow_keys(256 + number));
            black_box(options.interface_name(number.into()));
            black_box(options.interface_description(number.into()));
        }
    }
    // Set by set there are the same records, and perhaps an error at the end of a set.
    let sets = decoded.data_sets().iter();
    let records: usize = sets.map(|set| set.records().flatten().count()).sum();
    assert_eq!(records, decoded.records().count());
    assert_eq!(records, decoded.record_count());
}

/// Finds a template by its id.
type Templates<'t> = dyn Fn(u16) -> Option<&'t ipfix::Template> + 't;

fn check_values(record: &Record<'_>, templates: &Templates<'_>) {
    let fields = record.template().fields();
    assert!(record.template().scope_fields() <= fields.len());
    let mut values = 0;
    let mut end = 0;
    for (value, field) in record.values().zip(fields) {
        assert_eq!(value.field(), field);
        let here = place(value.octets(), record.octets());
        assert!(here.start >= end, "values overlap");
        end = here.end;
        let same = record.value_at(values).expect("it is there");
        assert_eq!(place(same.octets(), record.octets()), here);
        check_value(&value, templates, 0);
        if let Some(element) = field.element() {
            assert!(field.is(element));
            let first = record.value(element).expect("it is there");
            assert!(place(first.octets(), record.octets()).start <= here.start);
            assert!(record.template().position(element) <= Some(values));
        }
        values += 1;
    }
    assert_eq!(values, fields.len());
    assert!(record.value_at(values).is_none());
    assert_eq!(end, record.octets().len(), "octets of no field");
    if let Some(length) = record.template().record_length() {
        assert_eq!(length, record.octets().len());
    }
}

/// Reads a value in every way, and the lists that it can be taken for. Each level multiplies the work:
/// lists in lists in lists will do.
fn check_value(value: &Value<'_>, templates: &Templates<'_>, depth: usize) {
    const DEEPEST: usize = 3;
    black_box((value.unsigned(), value.signed(), value.unsigned256()));
    black_box((value.float(), value.boolean(), value.ip_address()));
    black_box((value.mac_address(), value.text()));
    black_box((value.unix_ms(), value.unix_ns()));
    black_box(value.date_time().map(|time| time.to_string()));
    black_box(value.typed().to_string());
    if depth == DEEPEST {
        return;
    }
    if let Ok(list) = value.basic_list() {
        for item in list.values().flatten() {
            place(item.octets(), value.octets());
            check_value(&item, templates, depth + 1);
        }
    }
    let walk = |list: ipfix::SubTemplateList<'_>| {
        place(list.octets(), value.octets());
        let Some(template) = templates(list.template_id()) else {
            return;
        };
        let records = list.records(template).expect("it is that template");
        for record in records.flatten() {
            place(record.octets(), value.octets());
            for item in record.values() {
                check_value(&item, templates, depth + 1);
            }
        }
    };
    if let Ok(list) = value.sub_template_list() {
        walk(list);
    }
    if let Ok(lists) = value.sub_template_multi_list() {
        lists.lists().flatten().for_each(walk);
    }
}

/// Where `part` lies in `whole`, which it must be a part of.
fn place(part: &[u8], whole: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize)
        .checked_sub(whole.as_ptr() as usize)
        .expect("the part begins before the whole");
    assert!(start + part.len() <= whole.len());
    start..start + part.len()
}
