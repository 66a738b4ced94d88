//! Values by type, lists in values, elements of one's own.

use ipfix::{
    AbstractType, DecodeErrorKind, Decoder, DecoderLimits, Element, ListSemantic, Protocol,
    Registry, Semantics, TypedValue, elements as ie,
};

/// One field with one value, of variable length in the template.
fn message(element: &Element, value: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    if let Registry::Enterprise(pen) = element.registry() {
        field.extend((0x8000 | element.id()).to_be_bytes());
        field.extend([0xff, 0xff]);
        field.extend(pen.to_be_bytes());
    } else {
        field.extend(element.id().to_be_bytes());
        field.extend([0xff, 0xff]);
    }
    let length = |octets: usize| u16::try_from(octets).unwrap().to_be_bytes();
    let mut sets = vec![0, 2];
    sets.extend(length(8 + field.len()));
    sets.extend([1, 0, 0, 1]);
    sets.extend(field);
    sets.extend([1, 0]);
    sets.extend(length(4 + 3 + value.len()));
    sets.push(0xff);
    sets.extend(length(value.len()));
    sets.extend(value);
    let mut message = vec![0, 10];
    message.extend(length(16 + sets.len()));
    message.extend([0; 12]);
    message.extend(sets);
    message
}

const OWN: &[Element] = &[
    Element::enterprise(9, 300, "big", AbstractType::Unsigned256, Semantics::Default),
    Element::enterprise(9, 1, "mac", AbstractType::MacAddress, Semantics::Default),
    Element::enterprise(9, 2, "ratio", AbstractType::Float64, Semantics::Default),
    Element::enterprise(9, 3, "yes", AbstractType::Boolean, Semantics::Default),
    Element::enterprise(9, 4, "delta", AbstractType::Signed32, Semantics::Default),
];

fn printed(element: &Element, value: &[u8]) -> String {
    let mut decoder = Decoder::new(DecoderLimits::default()).with_elements(OWN);
    let octets = message(element, value);
    let decoded = decoder.decode(&(), &octets).unwrap();
    assert_eq!(decoded.errors(), &[]);
    let record = decoded.records().next().unwrap();
    let value = record.value(element).unwrap();
    assert_eq!(value.field().element(), Some(element));
    value.typed().to_string()
}

#[test]
fn values_print_by_their_type() {
    assert_eq!(printed(&ie::PACKET_DELTA_COUNT, &[1, 0, 0]), "65536");
    assert_eq!(
        printed(&ie::PACKET_DELTA_COUNT, &[0xff; 8]),
        u64::MAX.to_string()
    );
    assert_eq!(printed(&ie::PROTOCOL_IDENTIFIER, &[1, 2]), "0x0102");
    assert_eq!(printed(&OWN[0], &[7]), "7");
    assert_eq!(
        printed(&OWN[0], &[0xff; 32]),
        "115792089237316195423570985008687907853269984665640564039457584007913129639935"
    );
    let mut beyond_64_bits = [0; 9];
    beyond_64_bits[0] = 1;
    assert_eq!(printed(&OWN[0], &beyond_64_bits), "18446744073709551616");
    assert_eq!(
        printed(&OWN[1], &[2, 0, 0, 0, 0, 0xab]),
        "02:00:00:00:00:ab"
    );
    assert_eq!(printed(&OWN[2], &1.5_f32.to_be_bytes()), "1.5");
    assert_eq!(printed(&OWN[2], &(-0.25_f64).to_be_bytes()), "-0.25");
    assert_eq!(printed(&OWN[3], &[1]), "true");
    assert_eq!(printed(&OWN[3], &[2]), "false");
    assert_eq!(printed(&OWN[3], &[3]), "0x03");
    assert_eq!(printed(&OWN[4], &[0xff, 0xfe]), "-2");
    assert_eq!(printed(&ie::INTERFACE_NAME, b"eth0\0\0"), "eth0");
    assert_eq!(printed(&ie::INTERFACE_NAME, b"\x1b[1m\n"), "\\u{1b}[1m\\n");
    assert_eq!(printed(&ie::INTERFACE_NAME, &[0xff]), "0xff");
    assert_eq!(
        printed(&ie::SOURCE_IPV4_ADDRESS, &[192, 0, 2, 1]),
        "192.0.2.1"
    );
    assert_eq!(
        printed(
            &ie::SOURCE_IPV6_ADDRESS,
            &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
        ),
        "2001:db8::1"
    );
    assert_eq!(
        printed(&ie::SOURCE_IPV6_ADDRESS, &[1, 2, 3, 4]),
        "0x01020304"
    );
}

#[test]
fn times_print_as_rfc_3339() {
    let seconds = |seconds: u32| printed(&ie::FLOW_START_SECONDS, &seconds.to_be_bytes());
    assert_eq!(seconds(0), "1970-01-01T00:00:00Z");
    assert_eq!(seconds(951_782_399), "2000-02-28T23:59:59Z");
    assert_eq!(seconds(951_782_400), "2000-02-29T00:00:00Z");
    assert_eq!(seconds(951_868_800), "2000-03-01T00:00:00Z");
    assert_eq!(seconds(1_709_164_800), "2024-02-29T00:00:00Z");
    assert_eq!(seconds(1_735_603_200), "2024-12-31T00:00:00Z");
    assert_eq!(seconds(4_107_542_400), "2100-03-01T00:00:00Z");
    assert_eq!(seconds(4_107_542_399), "2100-02-28T23:59:59Z");
    let millis = |millis: u64| printed(&ie::FLOW_START_MILLISECONDS, &millis.to_be_bytes());
    assert_eq!(millis(1_795_536_000_250), "2026-11-24T16:00:00.250Z");
    assert_eq!(millis(u64::MAX), "584556019-04-03T14:25:51.615Z");
    // Half a second after 1970 in NTP time, with rubbish in the 11 bits that carry nothing.
    let half = 2_208_988_800_u64 << 32 | 1 << 31;
    let ntp = |element, value: u64| printed(element, &value.to_be_bytes());
    assert_eq!(
        ntp(&ie::FLOW_START_MICROSECONDS, half | 0x7ff),
        "1970-01-01T00:00:00.500000Z"
    );
    assert_eq!(
        ntp(&ie::FLOW_START_NANOSECONDS, half | 0x7ff),
        "1970-01-01T00:00:00.500000476Z"
    );
    // The next era.
    assert_eq!(
        ntp(&ie::FLOW_START_NANOSECONDS, 0),
        "2036-02-07T06:28:16.000000000Z"
    );
}

fn list_value<T>(
    element: &Element,
    octets: &[u8],
    read: impl FnOnce(ipfix::Value<'_>, &Decoder<()>) -> T,
) -> T {
    let mut decoder = Decoder::new(DecoderLimits::default());
    // Template 300: sourceTransportPort and an interfaceName of variable length.
    let mut template = vec![0, 10, 0, 32];
    template.extend([0; 12]);
    template.extend([0, 2, 0, 16, 1, 44, 0, 2, 0, 7, 0, 2, 0, 82, 0xff, 0xff]);
    let _ = decoder.decode(&(), &template).unwrap();
    let octets = message(element, octets);
    let decoded = decoder.decode(&(), &octets).unwrap();
    let record = decoded.records().next().unwrap();
    read(record.values().next().unwrap(), &decoder)
}

#[test]
fn basic_lists() {
    let read = |octets: &[u8]| {
        list_value(&ie::BASIC_LIST, octets, |value, _| {
            let list = value.basic_list()?;
            assert_eq!(list.semantic(), ListSemantic::AllOf);
            list.values()
                .map(|value| Ok(value?.typed().to_string()))
                .collect::<Result<Vec<_>, ipfix::DecodeError>>()
        })
    };
    assert_eq!(
        read(&[3, 0, 7, 0, 2, 0, 80, 1, 187]).unwrap(),
        ["80", "443"]
    );
    assert_eq!(
        read(&[3, 0, 82, 0xff, 0xff, 2, b'l', b'o', 0]).unwrap(),
        ["lo", ""]
    );
    assert_eq!(read(&[3, 0, 7, 0, 2]).unwrap(), Vec::<String>::new());
    // An enterprise's element that nobody knows.
    assert_eq!(
        read(&[3, 0x80, 7, 0, 2, 0, 0, 0, 9, 1, 2]).unwrap(),
        ["0x0102"]
    );
    let error = |octets: &[u8]| read(octets).unwrap_err().to_string();
    assert_eq!(
        error(&[]),
        "octet 0: basicList: 1 octets needed, 0 there (RFC 6313 section 4.5.1)"
    );
    assert_eq!(
        error(&[3, 0, 7, 0]),
        "octet 3: basicList: 2 octets needed, 1 there (RFC 6313 section 4.5.1)"
    );
    assert_eq!(
        error(&[3, 0, 7, 0, 0, 1]),
        "octet 1: basicList: its records would have no octets (RFC 6313 section 4.5.1)"
    );
    assert_eq!(
        error(&[3, 0, 7, 0, 2, 0, 80, 1]),
        "octet 7: field: 2 octets needed, 1 there (RFC 7011 section 3.4.3)"
    );
    assert_eq!(
        error(&[3, 0, 82, 0xff, 0xff, 9, 1]),
        "octet 5: field: 10 octets needed, 2 there (RFC 7011 section 7)"
    );
}

#[test]
fn sub_template_lists() {
    let octets = [1, 1, 44, 0, 80, 1, b'a', 1, 187, 0];
    list_value(&ie::SUB_TEMPLATE_LIST, &octets, |value, decoder| {
        assert!(matches!(value.typed(), TypedValue::SubTemplateList(..)));
        let list = value.sub_template_list().unwrap();
        assert_eq!(list.semantic(), ListSemantic::ExactlyOneOf);
        let template = |id| decoder.template(&(), Protocol::Ipfix, 0, id);
        let records: Vec<_> = list
            .records(template(list.template_id()).unwrap())
            .unwrap()
            .map(|record| record.unwrap().value_at(0).unwrap().unsigned())
            .collect();
        assert_eq!(records, [Some(80), Some(443)]);
        // Template 256 is that of the record itself.
        let error = list.records(template(256).unwrap()).unwrap_err();
        assert_eq!(error.clause(), None);
        assert_eq!(
            error.kind,
            DecodeErrorKind::OtherTemplate {
                wanted: 300,
                given: 256
            }
        );
        assert!(template(301).is_none());
    });
    // The name of the second record is cut off.
    list_value(&ie::SUB_TEMPLATE_LIST, &octets[..9], |value, decoder| {
        let list = value.sub_template_list().unwrap();
        let template = decoder.template(&(), Protocol::Ipfix, 0, 300).unwrap();
        let records: Vec<_> = list.records(template).unwrap().collect();
        // Two octets are shorter than any record, which is padding.
        assert_eq!(records.len(), 1);
    });
}

#[test]
fn sub_template_multi_lists() {
    let read = |octets: &[u8]| {
        list_value(&ie::SUB_TEMPLATE_MULTI_LIST, octets, |value, _| {
            value
                .sub_template_multi_list()?
                .lists()
                .map(|list| list.map(|list| (list.template_id(), list.octets().to_vec())))
                .collect::<Result<Vec<_>, _>>()
        })
    };
    assert_eq!(
        read(&[0xff, 1, 44, 0, 7, 0, 80, 0, 1, 45, 0, 4]).unwrap(),
        [(300, vec![0, 80, 0]), (301, vec![])]
    );
    assert_eq!(read(&[4]).unwrap(), []);
    let error = |octets: &[u8]| read(octets).unwrap_err().to_string();
    assert_eq!(
        error(&[4, 1, 44, 0, 3]),
        "octet 1: subTemplateMultiList: length 3 is shorter than the header (RFC 6313 section 4.5.3)"
    );
    assert_eq!(
        error(&[4, 1, 44, 0, 9, 1]),
        "octet 1: subTemplateMultiList: 9 octets needed, 5 there (RFC 6313 section 4.5.3)"
    );
}

#[test]
fn positions_are_looked_up_once() {
    let mut decoder = Decoder::new(DecoderLimits::default());
    let mut octets = vec![0, 10, 0, 50];
    octets.extend([0; 12]);
    // 256: ports twice, a name, a protocol; one record.
    octets.extend([
        0, 2, 0, 24, 1, 0, 0, 4, 0, 7, 0, 2, 0, 7, 0, 2, 0, 82, 0xff, 0xff, 0, 4, 0, 1, //
        1, 0, 0, 10, 0, 80, 0, 90, 0, 6,
    ]);
    let decoded = decoder.decode(&(), &octets).unwrap();
    let record = decoded.records().next().unwrap();
    let template = record.template();
    assert_eq!(template.position(&ie::SOURCE_TRANSPORT_PORT), Some(0));
    assert_eq!(template.position(&ie::PROTOCOL_IDENTIFIER), Some(3));
    assert_eq!(template.position(&ie::PROTOCOL_IDENTIFIER.reverse()), None);
    assert_eq!(template.record_length(), None);
    let numbers: Vec<_> = (0..5)
        .map(|position| {
            record
                .value_at(position)
                .map(|value| value.octets().to_vec())
        })
        .collect();
    let wanted = [
        Some(vec![0, 80]),
        Some(vec![0, 90]),
        Some(vec![]),
        Some(vec![6]),
        None,
    ];
    assert_eq!(numbers, wanted);
    let values: Vec<_> = record
        .values()
        .map(|value| Some(value.octets().to_vec()))
        .collect();
    assert_eq!(values, wanted[..4]);
}
