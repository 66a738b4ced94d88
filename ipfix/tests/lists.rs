//! Structured data, against octets written down by hand from RFC 6313.

use ipfix::list::{BasicListWriter, ListError, SubTemplateListWriter, SubTemplateMultiListWriter};
use ipfix::{
    AbstractType, Context, Decoder, DecoderLimits, Element, Layout, ListSemantic, Protocol,
    Semantics, Session, SessionOptions, VARIABLE_LENGTH, WriteError, Written, elements as ie,
    v9_scope,
};

const CONTEXT: Context = Context {
    export_time_ms: 1_795_536_000_250,
    system_init_ms: 0,
};
const SECRET: Element = Element::enterprise(
    0x0001_0203,
    5,
    "secret",
    AbstractType::Unsigned32,
    Semantics::Identifier,
);

fn ports(template_id: u16) -> Layout<u16> {
    Layout::builder(Protocol::Ipfix, template_id)
        .unsigned(ie::SOURCE_TRANSPORT_PORT, 2, |port: &u16, _| (*port).into())
        .build()
        .unwrap()
}

fn names(template_id: u16) -> Layout<String> {
    Layout::builder(Protocol::Ipfix, template_id)
        .variable_text(ie::INTERFACE_NAME, |name: &String| name)
        .build()
        .unwrap()
}

/// Section 4.5.1, figures 1 and 2.
#[test]
fn basic_lists() {
    let mut out = vec![0xa5];
    let mut list =
        BasicListWriter::begin(&mut out, ListSemantic::AllOf, ie::EGRESS_INTERFACE, 4).unwrap();
    list.push(&[0, 0, 0, 1]).unwrap();
    list.push(&[0, 0, 0, 4]).unwrap();
    assert_eq!(out, [0xa5, 3, 0, 14, 0, 4, 0, 0, 0, 1, 0, 0, 0, 4]);

    let mut out = vec![];
    let mut list = BasicListWriter::begin(&mut out, ListSemantic::Undefined, SECRET, 1).unwrap();
    list.push(&[9]).unwrap();
    let error = ListError::Element {
        element: SECRET,
        length: 2,
    };
    assert_eq!(list.push(&[9, 9]), Err(error));
    assert_eq!(out, [255, 0x80, 5, 0, 1, 0, 1, 2, 3, 9]);

    let mut out = vec![];
    let mut list = BasicListWriter::begin(
        &mut out,
        ListSemantic::Ordered,
        ie::INTERFACE_NAME,
        VARIABLE_LENGTH,
    )
    .unwrap();
    list.push(b"lo").unwrap();
    list.push(b"").unwrap();
    list.push(&[b'x'; 255]).unwrap();
    assert_eq!(out[..11], [4, 0, 82, 255, 255, 2, b'l', b'o', 0, 255, 0]);
    assert_eq!(out.len(), 11 + 1 + 255);
}

#[test]
fn mistakes_in_basic_lists() {
    let mut out = vec![7];
    for (element, length) in [
        (ie::EGRESS_INTERFACE, VARIABLE_LENGTH),
        (ie::EGRESS_INTERFACE, 5),
        (ie::SOURCE_IPV4_ADDRESS, 3),
        (ie::INTERFACE_NAME, 0),
        (v9_scope::SYSTEM, 4),
    ] {
        let error =
            BasicListWriter::begin(&mut out, ListSemantic::AllOf, element, length).unwrap_err();
        assert_eq!(error, ListError::Element { element, length });
    }
    assert_eq!(out, [7]);
}

/// Section 4.5.2 and 4.5.3: the length of a block counts its own header.
#[test]
fn lists_of_records() {
    let (ports, names) = (ports(0x0100), names(0x0101));
    let mut out = vec![];
    let mut list =
        SubTemplateListWriter::begin(&mut out, ListSemantic::OneOrMoreOf, &ports).unwrap();
    list.push(&53, &CONTEXT).unwrap();
    list.push(&443, &CONTEXT).unwrap();
    assert_eq!(out, [2, 1, 0, 0, 53, 1, 187]);

    let mut out = vec![];
    let mut list = SubTemplateMultiListWriter::begin(&mut out, ListSemantic::AllOf);
    list.push_all(&ports, &[53, 443], &CONTEXT).unwrap();
    list.push_all(&names, &["lo".to_owned()], &CONTEXT).unwrap();
    list.push_all(&ports, &[], &CONTEXT).unwrap();
    assert_eq!(
        out,
        [
            3, 1, 0, 0, 8, 0, 53, 1, 187, 1, 1, 0, 7, 2, b'l', b'o', 1, 0, 0, 4
        ]
    );

    let v9 = Layout::builder(Protocol::NetflowV9, 256)
        .unsigned(ie::SOURCE_TRANSPORT_PORT, 2, |port: &u16, _| (*port).into())
        .build()
        .unwrap();
    let error = ListError::Protocol(Protocol::NetflowV9);
    let mut list = SubTemplateMultiListWriter::begin(&mut out, ListSemantic::AllOf);
    assert_eq!(list.push_all(&v9, &[1], &CONTEXT), Err(error));
    let list = SubTemplateListWriter::begin(&mut out, ListSemantic::AllOf, &v9);
    assert_eq!(list.unwrap_err(), error);
}

/// A list ends where its length would not fit 16 bits, and what does not fit leaves no trace.
#[test]
fn lists_are_never_longer_than_a_field() {
    let (ports, names) = (ports(256), names(257));
    let mut out = vec![0xa5; 10];
    let mut list = BasicListWriter::begin(
        &mut out,
        ListSemantic::AllOf,
        ie::INTERFACE_NAME,
        VARIABLE_LENGTH,
    )
    .unwrap();
    list.push(&vec![0; 65_000]).unwrap();
    assert_eq!(
        list.push(&[0; 530]),
        Err(ListError::TooLong(5 + 65_003 + 533))
    );
    list.push(&[0; 524]).unwrap();
    assert_eq!(out.len(), 10 + 65_535);

    let mut out = vec![];
    let mut list = SubTemplateListWriter::begin(&mut out, ListSemantic::AllOf, &ports).unwrap();
    let mut pushed = 0;
    while list.push(&1, &CONTEXT).is_ok() {
        pushed += 1;
    }
    assert_eq!(pushed, (65_535 - 3) / 2);
    assert_eq!(out.len(), 65_535);

    let mut out = vec![];
    let mut list = SubTemplateMultiListWriter::begin(&mut out, ListSemantic::AllOf);
    let long = ["x".repeat(30_000), "y".repeat(40_000)];
    assert_eq!(
        list.push_all(&names, &long, &CONTEXT),
        Err(ListError::TooLong(1 + 4 + 30_003 + 40_003))
    );
    list.push_all(&names, &long[..1], &CONTEXT).unwrap();
    assert_eq!(
        list.push_all(&ports, &vec![1; 20_000], &CONTEXT),
        Err(ListError::TooLong(65_536))
    );
    assert_eq!(out.len(), 1 + 4 + 30_003);
}

/// A template that only list members have is announced before the record with the list.
#[test]
fn announce() {
    let ports = ports(256);
    let flows = Layout::builder(Protocol::Ipfix, 257)
        .variable(ie::SUB_TEMPLATE_LIST, |list: &Vec<u8>| list)
        .build()
        .unwrap();
    let mut session = Session::new(SessionOptions {
        // Room for the templates of one or the other at the head.
        max_message: 36,
        ..SessionOptions::udp(Protocol::Ipfix, 1, 0)
    });
    let mut buffer = vec![];
    let mut writer = session.begin(&mut buffer, 0);
    assert_eq!(writer.announce(&ports), Err(WriteError::NotRegistered(256)));
    drop(writer);
    session.register(&flows).unwrap();
    let message = {
        let mut writer = session.begin(&mut buffer, 0);
        assert_eq!(writer.write(&flows, &vec![1]), Ok(Written::Done));
        writer.finish().unwrap()
    };
    session.commit(message).unwrap();
    session.register(&ports).unwrap();
    for round in 0..3 {
        let mut buffer = vec![];
        let mut writer = session.begin(&mut buffer, 0);
        assert_eq!(writer.announce(&ports), Ok(Written::Done));
        assert_eq!(writer.announce(&ports), Ok(Written::Done));
        let message = writer.finish();
        assert_eq!(message.is_some(), round == 0);
        if let Some(message) = message {
            assert_eq!(message.templates(), 1);
            session.commit(message).unwrap();
        }
    }

    // In the middle of a message; and where there is no room.
    let layouts: Vec<_> = (300..304).map(self::ports).collect();
    let mut session = Session::new(SessionOptions {
        max_message: 40,
        ..SessionOptions::udp(Protocol::Ipfix, 1, 0)
    });
    for layout in &layouts {
        session.register(layout).unwrap();
    }
    let mut writer = session.begin(&mut buffer, 0);
    assert_eq!(writer.announce(&layouts[1]), Ok(Written::Done));
    assert_eq!(writer.announce(&layouts[2]), Ok(Written::Full));
    let _ = writer.finish().unwrap();
}

/// What was written is what the reading side reads.
#[test]
fn lists_are_read_again() {
    let ports = ports(256);
    let mut basic = vec![];
    let semantic = ListSemantic::Ordered;
    let mut list = BasicListWriter::begin(&mut basic, semantic, SECRET, 4).unwrap();
    for value in [7_u32, 8, 9] {
        list.push(&value.to_be_bytes()).unwrap();
    }
    let mut records = vec![];
    let mut list = SubTemplateListWriter::begin(&mut records, semantic, &ports).unwrap();
    list.push(&53, &CONTEXT).unwrap();
    list.push(&443, &CONTEXT).unwrap();
    let mut several = vec![];
    let mut list = SubTemplateMultiListWriter::begin(&mut several, ListSemantic::NoneOf);
    list.push_all(&ports, &[1, 2], &CONTEXT).unwrap();
    list.push_all(&ports, &[3], &CONTEXT).unwrap();

    let flows = Layout::builder(Protocol::Ipfix, 257)
        .variable(ie::BASIC_LIST, |lists: &[Vec<u8>; 3]| &lists[0])
        .variable(ie::SUB_TEMPLATE_LIST, |lists| &lists[1])
        .variable(ie::SUB_TEMPLATE_MULTI_LIST, |lists| &lists[2])
        .build()
        .unwrap();
    let mut session = Session::new(SessionOptions::udp(Protocol::Ipfix, 1, 0));
    session.register(&ports).unwrap();
    session.register(&flows).unwrap();
    let mut buffer = vec![];
    let mut writer = session.begin(&mut buffer, 0);
    assert_eq!(writer.announce(&ports), Ok(Written::Done));
    // A record of the member's template too, which shows the decoder's template of it.
    assert_eq!(writer.write(&ports, &5), Ok(Written::Done));
    let lists = [basic, records, several];
    assert_eq!(writer.write(&flows, &lists), Ok(Written::Done));
    let _ = writer.finish().unwrap();

    let mut decoder = Decoder::new(DecoderLimits::default());
    let decoded = decoder.decode(&1, &buffer).unwrap();
    assert!(decoded.errors().is_empty());
    let records: Vec<_> = decoded.records().collect();
    let port = |record: ipfix::Record<'_>| record.values().next().unwrap().unsigned().unwrap();
    let values: Vec<_> = records[1].values().collect();

    let list = values[0].basic_list().unwrap();
    assert_eq!(list.semantic(), semantic);
    let octets: Vec<_> = list
        .values()
        .map(|value| value.unwrap().octets().to_vec())
        .collect();
    assert_eq!(octets, [[0, 0, 0, 7], [0, 0, 0, 8], [0, 0, 0, 9]]);

    let list = values[1].sub_template_list().unwrap();
    assert_eq!((list.semantic(), list.template_id()), (semantic, 256));
    let template = records[0].template();
    let found: Vec<_> = list
        .records(template)
        .unwrap()
        .map(|record| port(record.unwrap()))
        .collect();
    assert_eq!(found, [53, 443]);

    let list = values[2].sub_template_multi_list().unwrap();
    assert_eq!(list.semantic(), ListSemantic::NoneOf);
    let found: Vec<Vec<_>> = list
        .lists()
        .map(|list| {
            let list = list.unwrap();
            list.records(template)
                .unwrap()
                .map(|record| port(record.unwrap()))
                .collect()
        })
        .collect();
    assert_eq!(found, [vec![1, 2], vec![3]]);
}
