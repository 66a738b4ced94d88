//! Datagrams of several sessions into one decoder.

use std::hint::black_box;
use std::ops::Range;

use ipfix::{Decoded, Decoder, DecoderLimits, Record};

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
/// limits, records and values inside the message they came in.
///
/// The input: six octets of limits, then datagrams, each after an octet of session and its length in
/// two; see [`decode_input`].
pub fn decode(input: &[u8]) {
    let Some((limits, rest)) = input.split_first_chunk::<6>() else {
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
    };
    let mut decoder = Decoder::new(limits);
    for datagram in datagrams(rest) {
        if datagram.forget {
            decoder.forget(&datagram.session);
        }
        match decoder.decode(&datagram.session, datagram.octets) {
            Ok(decoded) => check(&decoded, datagram.octets),
            Err(error) => {
                assert!(error.offset <= datagram.octets.len(), "{error}");
                black_box(error.to_string());
            }
        }
        assert!(decoder.sessions() <= limits.sessions.max(1));
        assert!(decoder.fields() <= limits.total_fields);
    }
    for session in 0..=u8::MAX {
        decoder.forget(&session);
    }
    assert_eq!((decoder.sessions(), decoder.fields()), (0, 0));
}

/// The input of [`decode`] that makes it decode these.
pub fn decode_input<'a>(datagrams: impl IntoIterator<Item = Datagram<'a>>) -> Vec<u8> {
    let mut input = vec![4, 4, 16, 64, 128, 128];
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

fn check(decoded: &Decoded<'_>, message: &[u8]) {
    let length = decoded.length();
    assert!(length <= message.len());
    let message = &message[..length];
    for error in decoded.errors() {
        assert!(error.offset <= length, "{error}");
        black_box(error.to_string());
    }
    for set in decoded.unknown() {
        assert!(set.offset + set.length <= length, "{set:?}");
    }
    black_box(decoded.header().system_init_ms());
    let mut end = 0;
    for record in decoded.records() {
        let place = place(record.octets(), message);
        assert!(place.start >= end, "records overlap");
        assert!(!place.is_empty());
        end = place.end;
        check_values(&record);
    }
    // Set by set there are the same records, and perhaps an error at the end of a set.
    let records: usize = decoded
        .data_sets()
        .iter()
        .map(|set| set.records().flatten().count())
        .sum();
    assert_eq!(records, decoded.records().count());
}

fn check_values(record: &Record<'_>) {
    let fields = record.template().fields();
    assert!(record.template().scope_fields() <= fields.len());
    let mut values = 0;
    let mut end = 0;
    for (value, field) in record.values().zip(fields) {
        assert_eq!(value.field(), field);
        let place = place(value.octets(), record.octets());
        assert!(place.start >= end, "values overlap");
        end = place.end;
        black_box(value.unsigned());
        black_box(value.signed());
        black_box(value.float());
        black_box(value.boolean());
        black_box(value.ip_address());
        black_box(value.mac_address());
        black_box(value.text());
        black_box(value.unix_ms());
        black_box(value.unix_ns());
        if let Some(element) = field.element() {
            assert!(field.is(element));
            assert!(record.value(element).is_some());
        }
        values += 1;
    }
    assert_eq!(values, fields.len());
    assert_eq!(end, record.octets().len(), "octets of no field");
}

/// Where `part` lies in `whole`, which it must be a part of.
fn place(part: &[u8], whole: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize)
        .checked_sub(whole.as_ptr() as usize)
        .expect("the part begins before the whole");
    assert!(start + part.len() <= whole.len());
    start..start + part.len()
}
