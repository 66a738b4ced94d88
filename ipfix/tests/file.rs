//! IPFIX Files: what goes into one comes out again, whoever sent it and wherever it is cut.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};

use ipfix::{
    Decoder, DecoderLimits, DetailsScope, FileError, FileLimits, FileReader, FileWriter,
    FrameError, FrameErrorKind, Framer, Layout, MessageDetails, Origin, Protocol, Registry,
    Sequence, Session, SessionOptions, Stored, Written, elements as ie,
};

/// 2026-11-24 16:00:00.250 UTC.
const NOW_MS: u64 = 1_795_536_000_250;
const NOW: u32 = 1_795_536_000;

/// A set of templates or data.
fn set(id: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + body.len()).unwrap();
    [&id.to_be_bytes(), &length.to_be_bytes(), body].concat()
}

/// The message of an exporter, of which nothing but the sequence number is taken from `sequence`.
fn message(protocol: Protocol, domain: u32, sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let sets = sets.concat();
    let mut message = protocol.version().to_be_bytes().to_vec();
    match protocol {
        Protocol::Ipfix => {
            message.extend(u16::try_from(16 + sets.len()).unwrap().to_be_bytes());
        }
        Protocol::NetflowV9 => {
            message.extend([0, 1]);
            message.extend(100_192_u32.to_be_bytes());
        }
        Protocol::NetflowV5 => panic!("it has no sets"),
    }
    message.extend(NOW.to_be_bytes());
    message.extend(sequence.to_be_bytes());
    message.extend(domain.to_be_bytes());
    message.extend(sets);
    message
}

/// Numbers in 16 bits each, as templates are made of.
fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn origin(host: u8, port: u16) -> Origin {
    Origin::udp(
        SocketAddr::from(([192, 0, 2, host], port)),
        SocketAddr::from(([198, 51, 100, 1], 2055)),
    )
}

/// A Collecting Process that stores what it receives.
struct Collector {
    decoder: Decoder<Origin>,
    writer: FileWriter,
    file: Vec<u8>,
}

impl Collector {
    fn new() -> Self {
        Self::with_limits(FileLimits::default())
    }

    fn with_limits(limits: FileLimits) -> Self {
        Self {
            decoder: Decoder::new(DecoderLimits::default()),
            writer: FileWriter::new(limits),
            file: Vec::new(),
        }
    }

    fn receive(&mut self, origin: Origin, message: &[u8]) -> Stored {
        let decoded = self.decoder.decode(&origin, message).unwrap();
        assert_eq!(decoded.errors(), []);
        self.writer.store(&origin, NOW_MS, &decoded, &mut self.file)
    }

    fn finish(mut self) -> Vec<u8> {
        self.writer.finish(NOW_MS + 60_000, &mut self.file);
        self.file
    }
}

/// A Data Record of a file, but for the details of the message.
#[derive(Clone, Debug, PartialEq)]
struct Stored1 {
    /// What the details say of the exporter, its protocol and domain.
    exporter: SocketAddr,
    version: u16,
    domain: u32,
    /// The domain in the file.
    file_domain: u32,
    template_id: u16,
    fields: Vec<(Registry, u16)>,
    scope_fields: usize,
    octets: Vec<u8>,
}

/// Reads a whole file as one Transport Session; all must be in order.
fn read(file: &[u8]) -> Vec<Stored1> {
    let mut reader = FileReader::new(file);
    let mut decoder = Decoder::new(DecoderLimits::default());
    let mut records = Vec::new();
    while let Some(message) = reader.next_message().unwrap() {
        let decoded = decoder.decode(&(), message.octets).unwrap();
        assert_eq!(decoded.length(), message.octets.len());
        assert_eq!((decoded.errors(), decoded.unknown()), (&[][..], &[][..]));
        assert!(matches!(
            decoded.sequence(),
            Sequence::First | Sequence::InOrder
        ));
        let mut details = None;
        for record in decoded.records() {
            match MessageDetails::of(&record) {
                Some((DetailsScope::Message, found)) => details = Some(found),
                Some((DetailsScope::Session, _)) => panic!("not written"),
                None => {
                    // The time window comes without.
                    let Some(details) = details else { continue };
                    assert_eq!(details.collection_time_ms, Some(NOW_MS));
                    records.push(Stored1 {
                        exporter: details.exporter().unwrap(),
                        version: details.version.unwrap(),
                        domain: details.observation_domain.unwrap(),
                        file_domain: decoded.header().observation_domain,
                        template_id: record.template().id(),
                        fields: record
                            .template()
                            .fields()
                            .iter()
                            .map(|field| (field.registry(), field.id()))
                            .collect(),
                        scope_fields: record.template().scope_fields(),
                        octets: record.octets().to_vec(),
                    });
                }
            }
        }
    }
    records
}

/// Octets from text: hexadecimal, with comments.
fn unhex(text: &str) -> Vec<u8> {
    let digits: String = text
        .lines()
        .map(|line| line.split('#').next().unwrap())
        .flat_map(str::split_whitespace)
        .collect();
    assert_eq!(digits.len() % 2, 0);
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

fn hex(octets: &[u8]) -> String {
    octets.chunks(16).fold(String::new(), |mut text, line| {
        for octet in line {
            write!(text, "{octet:02x}").unwrap();
        }
        text + "\n"
    })
}

/// The template of the golden file, as a set of version 9.
fn v9_template() -> Vec<u8> {
    set(0, &words(&[256, 5, 8, 4, 1, 4, 22, 4, 21, 4, 11, 2]))
}

fn v9_flow() -> Vec<u8> {
    let mut record = vec![10, 0, 0, 1];
    for number in [1500_u32, 100_000, 100_100] {
        record.extend(number.to_be_bytes());
    }
    record.extend([1, 0xbb]);
    record
}

fn golden() -> Vec<u8> {
    let mut collector = Collector::new();
    // Padded to 4 octets, as version 9 wants it.
    let data = set(256, &[&v9_flow()[..], &[0, 0]].concat());
    let message = message(Protocol::NetflowV9, 7, 3, &[v9_template(), data]);
    let stored = collector.receive(origin(1, 50_000), &message);
    let expected = Stored {
        messages: 1,
        records: 1,
        too_long: 0,
    };
    assert_eq!(stored, expected);
    collector.finish()
}

#[test]
fn the_golden_file_is_written() {
    let wanted = unhex(include_str!("files/collected.ipfix.hex"));
    assert_eq!(hex(&golden()), hex(&wanted));
}

#[test]
fn the_golden_file_is_read() {
    let file = unhex(include_str!("files/collected.ipfix.hex"));
    let mut reader = FileReader::new(&file[..]);
    let mut decoder = Decoder::new(DecoderLimits::default());
    let message = reader.next_message().unwrap().unwrap();
    assert_eq!((message.offset, message.octets.len()), (0, 155));
    let decoded = decoder.decode(&(), message.octets).unwrap();
    assert_eq!(decoded.header().export_time, NOW);
    let records: Vec<_> = decoded.records().collect();
    let [details, flow] = records[..] else {
        panic!("{records:?}")
    };
    let expected = MessageDetails {
        collection_time_ms: Some(NOW_MS),
        exporter: Some(IpAddr::from([192, 0, 2, 1])),
        exporter_port: Some(50_000),
        collector: Some(IpAddr::from([198, 51, 100, 1])),
        collector_port: Some(2055),
        transport: Some(17),
        version: Some(9),
        observation_domain: Some(7),
        system_init_ms: Some(u64::from(NOW) * 1000 - 100_192),
    };
    assert_eq!(
        MessageDetails::of(&details),
        Some((DetailsScope::Message, expected))
    );
    assert_eq!(MessageDetails::of(&flow), None);
    assert_eq!(flow.octets(), v9_flow());

    let message = reader.next_message().unwrap().unwrap();
    assert_eq!(message.offset, 155);
    let decoded = decoder.decode(&(), message.octets).unwrap();
    let window = decoded.records().next().unwrap();
    let time = |element| window.value(element).unwrap().unix_ms().unwrap();
    let flow_start = u64::from(NOW) * 1000 - 192;
    assert_eq!(time(&ie::MIN_FLOW_START_MILLISECONDS), flow_start);
    assert_eq!(time(&ie::MAX_FLOW_END_MILLISECONDS), flow_start + 100);
    assert_eq!(reader.next_message().unwrap(), None);
    assert_eq!(reader.next_message().unwrap(), None);
}

#[test]
fn domains_of_several_exporters_and_protocols_keep_apart() {
    // Everybody has domain 1 and template 256, which means another thing to each.
    let exporters = [
        (Protocol::Ipfix, origin(1, 4000), 8, [10, 0, 0, 1]),
        (Protocol::Ipfix, origin(2, 4000), 12, [10, 0, 0, 2]),
        (Protocol::Ipfix, origin(1, 4001), 15, [10, 0, 0, 3]),
        (Protocol::NetflowV9, origin(1, 4000), 18, [10, 0, 0, 4]),
    ];
    let mut collector = Collector::new();
    for round in 0..3 {
        for (protocol, origin, element, value) in &exporters {
            let template = set(
                protocol.template_set_id().unwrap(),
                &words(&[256, 1, *element, 4]),
            );
            let sets = match round {
                // The template is repeated.
                0 | 2 => vec![template, set(256, value)],
                _ => vec![set(256, value)],
            };
            let stored = collector.receive(*origin, &message(*protocol, 1, round, &sets));
            assert_eq!((stored.messages, stored.records), (1, 1));
        }
    }
    let file = collector.finish();
    let records = read(&file);
    assert_eq!(records.len(), 12);
    for (number, record) in records.iter().enumerate() {
        let (protocol, origin, element, value) = exporters[number % 4];
        assert_eq!(record.exporter, origin.exporter);
        assert_eq!(record.version, protocol.version());
        assert_eq!(record.fields, [(Registry::Iana, element)]);
        assert_eq!(record.octets, value);
        assert_eq!((record.domain, record.template_id), (1, 256));
        let file_domain = [1, u32::MAX, u32::MAX - 1, u32::MAX - 2][number % 4];
        assert_eq!(record.file_domain, file_domain);
    }
    // Each template went into the file once.
    for (_, _, element, _) in exporters {
        let specifier = words(&[256, 1, element, 4]);
        let copies = file.windows(8).filter(|octets| *octets == specifier);
        assert_eq!(copies.count(), 1);
    }
}

/// In a file domain 0 would be about all exporters (RFC 7011 section 3.1).
#[test]
fn nobody_keeps_domain_0() {
    let mut collector = Collector::new();
    for (sequence, protocol) in (0..).zip([Protocol::Ipfix, Protocol::NetflowV9]) {
        let templates = protocol.template_set_id().unwrap();
        let sets = [
            set(templates, &words(&[256, 1, 8, 4])),
            set(256, &[10, 0, 0, 1]),
        ];
        let _ = collector.receive(origin(1, 1), &message(protocol, 0, sequence, &sets));
    }
    let records = read(&collector.finish());
    let domains = records
        .iter()
        .map(|record| (record.file_domain, record.domain));
    assert!(domains.eq([(u32::MAX, 0), (u32::MAX - 1, 0)]));
}

#[test]
fn ids_given_out_are_not_taken_for_an_exporters_own() {
    let mut collector = Collector::new();
    let sets = [set(2, &words(&[256, 1, 8, 4])), set(256, &[10, 0, 0, 1])];
    let domains = [u32::MAX, 5, 5, u32::MAX - 1, u32::MAX];
    for (host, domain) in (1..).zip(domains) {
        let message = message(Protocol::Ipfix, domain, 0, &sets);
        let _ = collector.receive(origin(host, 1), &message);
    }
    let records = read(&collector.finish());
    let ids: Vec<_> = records.iter().map(|record| record.file_domain).collect();
    assert_eq!(ids, [u32::MAX, 5, u32::MAX - 1, u32::MAX - 2, u32::MAX - 3]);
    assert!(records.iter().map(|record| record.domain).eq(domains));
}

#[test]
fn a_template_with_a_new_meaning_gets_an_id_of_its_own() {
    let mut collector = Collector::new();
    let from = origin(1, 1);
    let meanings: [(u16, &[u16], &[u16]); 4] = [
        (2, &[256, 1, 8, 4], &[8]),
        (2, &[256, 2, 7, 2, 11, 2], &[7, 11]),
        // From a template to an options template and back.
        (3, &[256, 2, 1, 10, 2, 34, 2], &[10, 34]),
        (2, &[256, 1, 8, 4], &[8]),
    ];
    for (sequence, (set_id, template, _)) in (0..).zip(meanings) {
        let sets = [set(set_id, &words(template)), set(256, &[1, 2, 3, 4])];
        let _ = collector.receive(from, &message(Protocol::Ipfix, 1, sequence, &sets));
    }
    let records = read(&collector.finish());
    for (record, (.., elements)) in records.iter().zip(meanings) {
        let found: Vec<u16> = record.fields.iter().map(|(_, id)| *id).collect();
        assert_eq!(found, elements);
        assert_eq!(record.octets, [1, 2, 3, 4]);
    }
    let ids: Vec<_> = records.iter().map(|record| record.template_id).collect();
    assert_eq!(ids, [256, 65534, 65533, 65532]);
}

#[test]
fn references_to_templates_follow_their_ids() {
    for protocol in [Protocol::Ipfix, Protocol::NetflowV9] {
        let mut collector = Collector::new();
        let (templates, options) = match protocol {
            Protocol::Ipfix => (2, set(3, &words(&[300, 3, 1, 34, 2, 145, 2, 210, 1]))),
            _ => (0, set(1, &words(&[300, 8, 4, 1, 2, 5, 2, 210, 1]))),
        };
        let about = |id: u16| set(300, &[&[0, 9], &id.to_be_bytes()[..], &[7]].concat());
        let meaning = |element| set(templates, &words(&[256, 1, element, 4]));
        let messages = [
            vec![meaning(8), options, about(256), about(999)],
            vec![meaning(12), about(256)],
        ];
        for (sequence, sets) in (0..).zip(&messages) {
            let message = message(protocol, 1, sequence, sets);
            let _ = collector.receive(origin(1, 1), &message);
        }
        let records = read(&collector.finish());
        let octets: Vec<_> = records.iter().map(|record| &record.octets[..]).collect();
        let [other, own] = 65534_u16.to_be_bytes();
        assert_eq!(
            octets,
            [[0, 9, 1, 0, 7], [0, 9, 3, 231, 7], [0, 9, other, own, 7]]
        );
    }
}

#[test]
fn a_domain_that_used_up_its_template_ids_goes_on_as_another() {
    let mut collector = Collector::new();
    let mut sequence = 0;
    let mut stored = 0;
    while stored < 70_000 {
        let mut sets = Vec::new();
        for n in 0..1000_u16 {
            sets.push(set(2, &words(&[256, 1, 8 + 4 * (n % 2), 4])));
            sets.push(set(256, &(stored + u32::from(n)).to_be_bytes()));
        }
        let message = message(Protocol::Ipfix, 1, sequence, &sets);
        sequence += 1000;
        let result = collector.receive(origin(1, 1), &message);
        assert_eq!((result.records, result.too_long), (1000, 0));
        stored += 1000;
    }
    let records = read(&collector.finish());
    for (number, record) in (0..stored).zip(&records) {
        assert_eq!(record.octets, number.to_be_bytes());
        let element = [8, 12][usize::from(number % 2 == 1)];
        assert_eq!(record.fields, [(Registry::Iana, element)]);
    }
    assert_eq!(records.len(), stored as usize);
    assert_eq!(records[0].file_domain, 1);
    assert_eq!(records.last().unwrap().file_domain, u32::MAX);
}

#[test]
fn two_meanings_within_one_message_are_both_kept() {
    let mut collector = Collector::new();
    let sets = [
        set(2, &words(&[256, 1, 8, 4])),
        set(256, &[1, 1, 1, 1]),
        set(2, &words(&[256, 1, 12, 4])),
        set(256, &[2, 2, 2, 2]),
    ];
    let _ = collector.receive(origin(1, 1), &message(Protocol::Ipfix, 1, 0, &sets));
    let sets = [set(256, &[3, 3, 3, 3])];
    let _ = collector.receive(origin(1, 1), &message(Protocol::Ipfix, 1, 2, &sets));
    let records = read(&collector.finish());
    let found: Vec<_> = records
        .iter()
        .map(|record| (record.fields[0].1, record.octets[0]))
        .collect();
    assert_eq!(found, [(8, 1), (12, 2), (12, 3)]);
}

#[test]
fn an_exporter_may_have_the_ids_of_the_details() {
    let mut collector = Collector::new();
    for (sequence, id) in (0..).zip([65535, 65534, 256, 65535, 65534]) {
        let sets = [set(2, &words(&[id, 1, 8, 4])), set(id, &[1, 2, 3, 4])];
        let _ = collector.receive(origin(1, 1), &message(Protocol::Ipfix, 1, sequence, &sets));
    }
    let records = read(&collector.finish());
    let ids: Vec<_> = records.iter().map(|record| record.template_id).collect();
    assert_eq!(ids, [65534, 65533, 256, 65534, 65533]);
    assert!(records.iter().all(|record| record.octets == [1, 2, 3, 4]));
}

#[test]
fn records_stay_as_they_are_to_the_octet() {
    let mut collector = Collector::new();
    // An unknown enterprise field, a list of unknown content, text of variable length, and a
    // length no element of that type has.
    let mut template = words(&[300, 4, 0x8001, 3, 0, 32473, 292, 0xffff, 82, 0xffff]);
    template.extend(words(&[8, 3]));
    let mut first = vec![1, 2, 3, 5, 0xff, 0x01, 0x2c, 7, 7];
    first.extend([4, b'e', b't', b'h', b'0', 192, 0, 2]);
    let long = [&[9, 9, 9, 0xff, 1, 0][..], &[5; 256], &[0, 8, 8, 8]].concat();
    let sets = [set(2, &template), set(300, &[&first[..], &long].concat())];
    let stored = collector.receive(origin(1, 1), &message(Protocol::Ipfix, 9, 0, &sets));
    assert_eq!(stored.records, 2);
    let file = collector.finish();
    assert!(
        file.windows(template.len())
            .any(|octets| octets == template)
    );
    let records = read(&file);
    assert_eq!(records[0].octets, first);
    assert_eq!(records[1].octets, long);
}

#[test]
fn scopes_of_version_9_become_elements() {
    // Scope and its length, then the element expected.
    let scopes = [
        (1, 4, 144),
        (1, 0, 266),
        (1, 8, 266),
        (2, 2, 10),
        (3, 4, 141),
        (4, 2, 266),
        (5, 2, 145),
        (77, 3, 266),
    ];
    let mut collector = Collector::new();
    for (sequence, (scope, length, _)) in (0..).zip(scopes) {
        let template = words(&[256, 4, 4, scope, length, 34, 4]);
        let mut data = vec![7; length.into()];
        data.extend([0, 0, 0, 100]);
        // The same id each time: new meanings.
        let sets = [set(1, &template), set(256, &data)];
        let message = message(Protocol::NetflowV9, 1, sequence, &sets);
        let stored = collector.receive(origin(1, 1), &message);
        assert_eq!(stored.records, 1);
    }
    // No scope at all, which IPFIX does not have.
    let sets = [
        set(1, &words(&[256, 0, 4, 34, 4])),
        set(256, &[0, 0, 0, 100]),
    ];
    let _ = collector.receive(origin(1, 1), &message(Protocol::NetflowV9, 1, 8, &sets));
    let mut records = read(&collector.finish());
    let unscoped = records.pop().unwrap();
    assert_eq!(
        unscoped.fields,
        [(Registry::Iana, 267), (Registry::Iana, 34)]
    );
    assert_eq!(unscoped.octets, [0, 0, 0, 0, 100]);
    for (record, (_, length, element)) in records.iter().zip(scopes) {
        assert_eq!(
            record.fields,
            [(Registry::Iana, element), (Registry::Iana, 34)]
        );
        assert_eq!(record.scope_fields, 1);
        assert_eq!(record.octets.len(), usize::from(length) + 4);
    }
}

#[test]
fn field_types_of_version_9_without_a_place_in_ipfix_are_set_apart() {
    let mut collector = Collector::new();
    let template = set(0, &words(&[256, 2, 33002, 2, 8, 4]));
    let sets = [template, set(256, &[7, 226, 10, 0, 0, 1, 0, 0])];
    let _ = collector.receive(origin(1, 1), &message(Protocol::NetflowV9, 1, 0, &sets));
    let records = read(&collector.finish());
    assert_eq!(
        records[0].fields,
        [
            (Registry::Enterprise(u32::MAX), 33002 - 32768),
            (Registry::Iana, 8)
        ]
    );
    assert_eq!(records[0].octets, [7, 226, 10, 0, 0, 1]);
}

/// A packet of version 5 from engine 1/2 with one flow.
fn v5_packet(sequence: u32, sampling: u16) -> Vec<u8> {
    let mut packet = vec![0, 5, 0, 1];
    packet.extend(100_192_u32.to_be_bytes());
    packet.extend(NOW.to_be_bytes());
    packet.extend(250_000_000_u32.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend([1, 2]);
    packet.extend(sampling.to_be_bytes());
    packet.extend(v5_record());
    packet
}

fn v5_record() -> Vec<u8> {
    let mut record = vec![10, 0, 0, 1, 192, 0, 2, 7, 192, 0, 2, 254, 0, 3, 0, 4];
    for number in [3_u32, 1500, 100_000, 100_100] {
        record.extend(number.to_be_bytes());
    }
    record.extend([0x9c, 0x40, 1, 0xbb, 0, 0x1b, 6, 0, 0xfd, 0xe8, 0xfd, 0xe9]);
    record.extend([24, 16, 0, 0]);
    record
}

#[test]
fn version_5_becomes_ipfix_with_its_sampling_and_its_times() {
    // Nothing of sampling, then 1 in 100 at random, then nothing again.
    let samplings = [0, 0x8064, 0, 0];
    let mut collector = Collector::new();
    for (sequence, sampling) in (0..).zip(samplings) {
        let stored = collector.receive(origin(1, 1), &v5_packet(sequence, sampling));
        assert_eq!((stored.messages, stored.records), (1, 1));
    }
    let file = collector.finish();
    let records = read(&file);
    assert_eq!(records.len(), 4);
    for record in &records {
        assert_eq!((record.version, record.domain), (5, 0x0102));
        assert_eq!(record.octets, v5_record());
    }

    let mut reader = FileReader::new(&file[..]);
    let mut decoder = Decoder::new(DecoderLimits::default());
    for sampling in samplings {
        let message = reader.next_message().unwrap().unwrap();
        let decoded = decoder.decode(&(), message.octets).unwrap();
        let flow = decoded.records().last().unwrap();
        let time = |element| flow.value(element).unwrap().unix_ms();
        // The header says 250 ms after the second at an uptime of 100,192 ms.
        assert_eq!(time(&ie::FLOW_START_SYS_UP_TIME), Some(NOW_MS - 192));
        assert_eq!(time(&ie::FLOW_END_SYS_UP_TIME), Some(NOW_MS - 92));
        let domain = decoded.header().observation_domain;
        let options = decoder.options(&(), Protocol::Ipfix, domain).unwrap();
        let one_in = options.sampling_of(&flow).map(ipfix::Sampling::one_in);
        assert_eq!(one_in, (sampling != 0).then_some(100));
    }
}

#[test]
fn nothing_new_is_not_stored_and_unknown_data_cannot_be() {
    let mut collector = Collector::new();
    let from = origin(1, 1);
    let template = set(2, &words(&[256, 1, 8, 4]));
    let data = set(256, &[1, 2, 3, 4]);
    let message = |sets: &[Vec<u8>]| message(Protocol::Ipfix, 1, 0, sets);
    let stored = collector.receive(from, &message(std::slice::from_ref(&data)));
    assert_eq!((stored, collector.file.len()), (Stored::default(), 0));
    let stored = collector.receive(from, &message(std::slice::from_ref(&template)));
    assert_eq!((stored.messages, stored.records), (1, 0));
    let length = collector.file.len();
    let stored = collector.receive(from, &message(std::slice::from_ref(&template)));
    assert_eq!((stored, collector.file.len()), (Stored::default(), length));
    let stored = collector.receive(from, &message(&[data]));
    assert_eq!((stored.messages, stored.records), (1, 1));
}

#[test]
fn what_becomes_too_long_is_split() {
    // 65 records of 1000 octets and one that fills the longest message there is.
    let rest = 65_535 - 16 - (8 + 4) * 2 - 4 - 65 * 1000 - 4;
    let templates = words(&[256, 1, 313, 1000, 257, 1, 314, rest]);
    let thousands: Vec<u8> = (0..65).flat_map(|n| [n; 1000]).collect();
    let sets = [
        set(2, &templates[..8]),
        set(2, &templates[8..]),
        set(256, &thousands),
        set(257, &vec![65; rest.into()]),
    ];
    let message = message(Protocol::Ipfix, 1, 0, &sets);
    assert_eq!(message.len(), 65_535);
    let mut collector = Collector::new();
    let stored = collector.receive(origin(1, 1), &message);
    assert_eq!((stored.messages, stored.records), (2, 66));
    let records = read(&collector.finish());
    let lengths: Vec<_> = records.iter().map(|record| record.octets.len()).collect();
    assert_eq!(lengths[..65], [1000; 65]);
    assert_eq!(lengths[65..], [usize::from(rest)]);
    for (n, record) in (0..).zip(&records) {
        assert!(record.octets.iter().all(|octet| *octet == n));
    }
}

#[test]
fn a_record_that_fits_nowhere_is_counted() {
    let mut collector = Collector::new();
    let length = 65_535 - 16 - 4 - 12;
    let template = set(2, &words(&[256, 1, 313, length]));
    let data = set(256, &vec![1; length.into()]);
    let huge = message(Protocol::Ipfix, 1, 0, &[template, data]);
    let expected = Stored {
        messages: 1,
        records: 0,
        too_long: 1,
    };
    // The template is there, and nothing that could not be read.
    assert_eq!(collector.receive(origin(1, 1), &huge), expected);
    let sets = [set(2, &words(&[257, 1, 8, 4])), set(257, &[1, 2, 3, 4])];
    let _ = collector.receive(origin(1, 1), &message(Protocol::Ipfix, 1, 1, &sets));
    assert_eq!(read(&collector.finish()).len(), 1);
}

#[test]
fn memory_is_bounded() {
    let limits = FileLimits {
        domains: 4,
        templates_per_domain: 3,
        fields_per_domain: 20,
        total_fields: 40,
    };
    let mut collector = Collector::with_limits(limits);
    let mut sequences = [0_u32; 10];
    let mut number = 0_u32;
    for round in 0..5_u16 {
        for host in 0..10_u8 {
            for id in 256..261_u16 {
                let fields = 1 + id - 256 + round;
                let mut template = words(&[id, fields]);
                for _ in 0..fields {
                    template.extend(words(&[210, 4]));
                }
                number += 1;
                let mut data = number.to_be_bytes().to_vec();
                data.resize(usize::from(fields) * 4, 0);
                let sequence = &mut sequences[usize::from(host)];
                let sets = [set(2, &template), set(id, &data)];
                let message = message(Protocol::Ipfix, host.into(), *sequence, &sets);
                *sequence += 1;
                let stored = collector.receive(origin(host, 1), &message);
                assert_eq!(stored.records, 1);
            }
        }
    }
    // The reader needs no more memory than the writer did.
    let file = collector.finish();
    let mut reader = FileReader::new(&file[..]);
    let mut decoder = Decoder::new(DecoderLimits {
        domains_per_session: 4,
        templates_per_domain: 4,
        ..DecoderLimits::default()
    });
    let mut expected = 0;
    let mut domains = std::collections::HashSet::new();
    while let Some(message) = reader.next_message().unwrap() {
        let decoded = decoder.decode(&(), message.octets).unwrap();
        assert_eq!((decoded.errors(), decoded.unknown()), (&[][..], &[][..]));
        domains.insert(decoded.header().observation_domain);
        for record in decoded.records() {
            if MessageDetails::of(&record).is_none() {
                expected += 1;
                assert_eq!(record.octets()[..4], u32::to_be_bytes(expected));
            }
        }
    }
    assert_eq!(expected, number);
    // Domains that were forgotten came back as others.
    assert!(domains.len() >= 50, "{}", domains.len());
}

#[test]
fn what_got_lost_is_missing_and_the_rest_can_be_read() {
    let mut collector = Collector::new();
    let from = origin(1, 1);
    let data = |n: u8| set(256, &[n; 4]);
    let sets = [set(2, &words(&[256, 1, 8, 4])), data(0)];
    let _ = collector.receive(from, &message(Protocol::Ipfix, 1, 0, &sets));
    let good = collector.file.len();
    // Another meaning, of which the file gets a part only.
    let sets = [set(2, &words(&[256, 1, 12, 4])), data(1)];
    let _ = collector.receive(from, &message(Protocol::Ipfix, 1, 1, &sets));
    collector.file.truncate(good);
    collector.writer.lost();
    let _ = collector.receive(from, &message(Protocol::Ipfix, 1, 2, &[data(2)]));

    let mut reader = FileReader::new(&collector.file[..]);
    let mut decoder = Decoder::new(DecoderLimits::default());
    let first = reader.next_message().unwrap().unwrap();
    decoder.decode(&(), first.octets).unwrap();
    let second = reader.next_message().unwrap().unwrap();
    let decoded = decoder.decode(&(), second.octets).unwrap();
    assert_eq!((decoded.errors(), decoded.unknown()), (&[][..], &[][..]));
    // A flow, and the details of its message.
    assert_eq!(decoded.sequence(), Sequence::Gap(2));
    let flow = decoded.records().last().unwrap();
    assert_eq!(flow.template().fields()[0].id(), 12);
    assert_eq!(flow.octets(), [2; 4]);
}

#[test]
fn a_file_is_good_up_to_wherever_it_is_cut() {
    let file = golden();
    for length in 0..file.len() {
        let mut reader = FileReader::new(&file[..length]);
        let whole = length >= 155;
        if whole {
            let message = reader.next_message().unwrap().unwrap();
            assert_eq!(message.octets, &file[..155]);
        }
        let start = if whole { 155 } else { 0 };
        let available = length - start;
        let result = reader.next_message();
        if available == 0 {
            assert!(matches!(result, Ok(None)), "{length}");
        } else {
            let Err(FileError::Frame(error)) = result else {
                panic!("{length}: {result:?}")
            };
            let needed = match (available, whole) {
                (..4, _) => 16,
                (_, true) => 64,
                (_, false) => 155,
            };
            let expected = FrameError {
                offset: start as u64,
                kind: FrameErrorKind::Truncated { needed, available },
            };
            assert_eq!(error, expected);
            assert_eq!(
                error.to_string(),
                format!(
                    "octet {start}: the message is cut off: {needed} octets needed, {available} there"
                )
            );
            assert!(reader.next_message().unwrap().is_none());
        }
    }
}

#[test]
fn the_stream_may_come_in_pieces_of_any_size() {
    let file = golden();
    for piece in 1..file.len() {
        let mut framer = Framer::new();
        let mut found = Vec::new();
        for octets in file.chunks(piece) {
            let mut octets = octets;
            while !octets.is_empty() {
                let taken = framer.push(octets);
                octets = &octets[taken..];
                while let Some(message) = framer.next_message().unwrap() {
                    found.push((message.offset, message.octets.len()));
                }
            }
        }
        framer.finish().unwrap();
        assert_eq!(found, [(0, 155), (155, 64)]);
        assert_eq!(framer.offset(), file.len() as u64);
    }
}

#[test]
fn a_framer_holds_two_messages_at_most() {
    let mut framer = Framer::new();
    let mut header = vec![0; 16];
    header[..4].copy_from_slice(&[0, 10, 0xff, 0xff]);
    assert_eq!(framer.push(&header), 16);
    let endless = vec![0; 1 << 20];
    let taken = framer.push(&endless) + 16;
    assert_eq!(taken, 1 << 17);
    assert_eq!(framer.push(&endless), 0);
    assert_eq!(framer.next_message().unwrap().unwrap().octets.len(), 65_535);
    assert_eq!(framer.push(&endless), 65_535);
}

#[test]
fn garbage_is_an_error_with_its_place_and_can_be_passed_over() {
    let file = golden();
    let (first, second) = file.split_at(155);
    // It has what looks like a header, and like half of one at its end.
    let garbage = [
        0xde, 0xad, 0, 10, 0, 20, 0, 10, 0, 2, 0, 10, 0xff, 0xff, 1, 0,
    ];
    let damaged = [first, &garbage, second, first].concat();
    let mut reader = FileReader::new(&damaged[..]);
    reader.next_message().unwrap().unwrap();
    let error = reader.next_message().unwrap_err();
    assert_eq!(error.offset(), 155);
    assert_eq!(
        error.to_string(),
        "octet 155: no IPFIX message: version 57005 instead of 10"
    );
    assert_eq!(reader.next_message().unwrap(), None);
    assert_eq!(reader.resynchronize().unwrap(), Some(16));
    let message = reader.next_message().unwrap().unwrap();
    assert_eq!((message.offset, message.octets), (171, second));
    let message = reader.next_message().unwrap().unwrap();
    assert_eq!((message.offset, message.octets), (171 + 64, first));
    assert_eq!(reader.next_message().unwrap(), None);

    let mut short = first.to_vec();
    short.extend([0, 10, 0, 15]);
    short.extend(second);
    let mut reader = FileReader::new(&short[..]);
    reader.next_message().unwrap().unwrap();
    assert_eq!(
        reader.next_message().unwrap_err().to_string(),
        "octet 155: no IPFIX message: length 15 is shorter than a header"
    );
    assert_eq!(reader.resynchronize().unwrap(), Some(4));
    assert_eq!(reader.next_message().unwrap().unwrap().octets, second);

    let mut reader = FileReader::new(&b"GIF89a, no flows at all"[..]);
    assert!(reader.next_message().is_err());
    assert_eq!(reader.resynchronize().unwrap(), None);
    assert_eq!(reader.next_message().unwrap(), None);
}

/// Gives octets one at a time, then fails.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some((first, rest)) = self.0.split_first() else {
            return Err(io::Error::other("the disk is gone"));
        };
        self.0 = rest;
        into[0] = *first;
        Ok(1)
    }
}

#[test]
fn an_error_of_the_disk_is_told_with_its_place() {
    let file = golden();
    let mut reader = FileReader::new(Failing(&file[..200]));
    assert!(reader.next_message().unwrap().is_some());
    let error = reader.next_message().unwrap_err();
    assert_eq!(
        error.to_string(),
        "octet 200: cannot be read: the disk is gone"
    );
}

#[test]
fn no_file_makes_the_reader_panic() {
    let golden = golden();
    let mut random = 0x1234_5678_u32;
    let mut next = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        random >> 16
    };
    for _ in 0..2000 {
        let mut file = golden.clone();
        for _ in 0..=next() % 4 {
            let at = next() as usize % file.len();
            file[at] = (next() & 0xff) as u8;
        }
        file.truncate(next() as usize % (file.len() + 1));
        let mut reader = FileReader::new(&file[..]);
        let mut decoder = Decoder::new(DecoderLimits::default());
        let mut collector = FileWriter::new(FileLimits::default());
        let mut again = Vec::new();
        loop {
            match reader.next_message() {
                Ok(Some(message)) => {
                    let Ok(decoded) = decoder.decode(&(), message.octets) else {
                        continue;
                    };
                    let _ = collector.store(&origin(1, 1), NOW_MS, &decoded, &mut again);
                }
                Ok(None) => break,
                Err(_) => {
                    if reader.resynchronize().unwrap().is_none() {
                        break;
                    }
                }
            }
        }
        // Whatever was stored is a file.
        let mut reader = FileReader::new(&again[..]);
        while let Some(message) = reader.next_message().unwrap() {
            decoder.decode(&(), message.octets).unwrap();
        }
    }
}

#[test]
fn a_window_is_stated_only_if_all_flows_tell_their_times() {
    let window = |sets: &[Vec<u8>]| {
        let mut collector = Collector::new();
        let _ = collector.receive(origin(1, 1), &message(Protocol::Ipfix, 1, 0, sets));
        let before = collector.file.len();
        let file = collector.finish();
        let mut decoder = Decoder::new(DecoderLimits::default());
        let decoded = decoder.decode(&(), file.get(before..)?).ok()?;
        let record = decoded.records().next()?;
        let time = |element| record.value(element)?.unix_ms();
        Some((
            time(&ie::MIN_FLOW_START_MILLISECONDS)?,
            time(&ie::MAX_FLOW_END_MILLISECONDS)?,
        ))
    };
    let times = |start: u64, end: u64| [start.to_be_bytes(), end.to_be_bytes()].concat();
    let milliseconds = set(2, &words(&[256, 2, 152, 8, 153, 8]));
    let flows = [times(5000, 6000), times(4000, 4500), times(4500, 9000)].concat();
    assert_eq!(
        window(&[milliseconds.clone(), set(256, &flows)]),
        Some((4000, 9000))
    );
    // Outwards: 1.5 ms after the second.
    let ntp = |ms_times_2: u64| {
        let fraction = (ms_times_2 << 32) / 2000 + 1;
        ((2_208_988_800 + 7) << 32) + fraction
    };
    let nanoseconds = set(2, &words(&[257, 2, 156, 8, 157, 8]));
    assert_eq!(
        window(&[nanoseconds, set(257, &times(ntp(3), ntp(3)))]),
        Some((7001, 7002))
    );
    // A flow without times; uptimes without a base; no flows.
    let no_times = set(2, &words(&[258, 1, 8, 4]));
    let both = [
        milliseconds.clone(),
        set(256, &flows),
        no_times,
        set(258, &[1, 2, 3, 4]),
    ];
    assert_eq!(window(&both), None);
    let uptimes = set(2, &words(&[259, 2, 22, 4, 21, 4]));
    assert_eq!(window(&[uptimes, set(259, &[1; 8])]), None);
    assert_eq!(window(&[milliseconds]), None);
}

/// What an Exporting Process writes itself.
#[test]
fn the_messages_of_a_session_are_a_file() {
    let layout = Layout::builder(Protocol::Ipfix, 256)
        .unsigned(ie::PACKET_DELTA_COUNT, 4, |n: &u64, _| *n)
        .build()
        .unwrap();
    let mut session = Session::new(SessionOptions::file(Protocol::Ipfix, 1, 0));
    session.register(&layout).unwrap();
    let numbers: Vec<u64> = (0..40_000).collect();
    let mut file = Vec::new();
    let mut rest = &numbers[..];
    while !rest.is_empty() {
        let mut writer = session.begin(&mut file, NOW_MS);
        let written = writer.write_all(&layout, rest).unwrap();
        rest = &rest[written..];
        let written = writer.finish().unwrap();
        session.commit(written).unwrap();
    }
    let mut reader = FileReader::new(&file[..]);
    let mut decoder = Decoder::new(DecoderLimits::default());
    let mut found = Vec::new();
    let mut templates = 0;
    while let Some(message) = reader.next_message().unwrap() {
        let decoded = decoder.decode(&(), message.octets).unwrap();
        templates += decoded.templates();
        let number = |record: ipfix::Record<'_>| record.values().next()?.unsigned();
        found.extend(decoded.records().filter_map(number));
    }
    assert_eq!(found, numbers);
    assert_eq!(templates, 1);
}

/// An independent judge: Wireshark opens IPFIX Files.
#[test]
fn tshark_reads_the_file() {
    let mut collector = Collector::new();
    let v4 = [
        set(2, &words(&[256, 3, 8, 4, 7, 2, 152, 8])),
        set(
            256,
            &[&[10, 0, 0, 1, 1, 187][..], &NOW_MS.to_be_bytes()].concat(),
        ),
    ];
    let _ = collector.receive(origin(1, 1), &message(Protocol::Ipfix, 1, 0, &v4));
    // The same domain and template id in version 9, with another meaning.
    let v9 = [v9_template(), set(256, &v9_flow())];
    let _ = collector.receive(origin(2, 2), &message(Protocol::NetflowV9, 1, 0, &v9));
    // An options template, and the first template redefined.
    let options = [
        set(1, &words(&[257, 4, 8, 2, 2, 34, 4, 82, 4])),
        set(257, &[0, 3, 0, 0, 0, 100, b'e', b't', b'h', b'0']),
    ];
    let _ = collector.receive(origin(2, 2), &message(Protocol::NetflowV9, 1, 1, &options));
    let v6 = [
        set(2, &words(&[256, 1, 27, 16])),
        set(
            256,
            &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
        ),
    ];
    let _ = collector.receive(origin(1, 1), &message(Protocol::Ipfix, 1, 1, &v6));
    let fields = [
        "cflow.version",
        "cflow.od_id",
        "cflow.sequence",
        "cflow.srcaddr",
        "cflow.srcaddrv6",
        "cflow.octets",
        "cflow.exporter_addr",
        "cflow.exporter_port",
        "cflow.export_protocol_version",
        "cflow.sampling_interval",
        "cflow.if_name",
        "_ws.expert.message",
    ];
    let lines = dissect(&collector.finish(), &fields);
    let other = (u32::MAX).to_string();
    let expected = [
        [
            "10",
            "1",
            "0",
            "10.0.0.1",
            "",
            "",
            "192.0.2.1",
            "1",
            "10",
            "",
            "",
            "",
        ],
        [
            "10",
            &other,
            "0",
            "10.0.0.1",
            "",
            "1500",
            "192.0.2.2",
            "2",
            "9",
            "",
            "",
            "",
        ],
        [
            "10",
            &other,
            "2",
            "",
            "",
            "",
            "192.0.2.2",
            "2",
            "9",
            "100",
            "eth0",
            "",
        ],
        [
            "10",
            "1",
            "2",
            "",
            "2001:db8::9",
            "",
            "192.0.2.1",
            "1",
            "10",
            "",
            "",
            "",
        ],
    ];
    assert_eq!(lines, expected);
}

/// What tshark finds in every message of a file; several values of a field are joined by commas.
fn dissect(file: &[u8], fields: &[&str]) -> Vec<Vec<String>> {
    let path = std::env::temp_dir().join(format!("ipfix-file-{}.ipfix", std::process::id()));
    std::fs::write(&path, file).unwrap();
    let mut command = Command::new("tshark");
    command.env("TZ", "UTC").args(["-n", "-r"]).arg(&path);
    command.args(["-T", "fields", "-E", "separator=/t", "-E", "aggregator=,"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command
        .stdin(Stdio::null())
        .output()
        .expect("tshark must be installed");
    std::fs::remove_file(&path).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}

/// Layouts of the library's own writer come back, too.
#[test]
fn written_by_a_session_and_stored_it_is_the_same() {
    for protocol in [Protocol::Ipfix, Protocol::NetflowV9] {
        let layout = Layout::builder(protocol, 300)
            .octets(ie::SOURCE_IPV4_ADDRESS, |n: &u8, _| [10, 0, 0, *n])
            .unsigned(ie::OCTET_DELTA_COUNT, 8, |n, _| u64::from(*n) << 33)
            .build()
            .unwrap();
        let mut session = Session::new(SessionOptions::udp(protocol, 4, NOW_MS - 10_000));
        session.register(&layout).unwrap();
        let mut collector = Collector::new();
        for n in 0..20 {
            let mut buffer = Vec::new();
            let mut writer = session.begin(&mut buffer, NOW_MS);
            for record in [n, 2 * n] {
                assert_eq!(writer.write(&layout, &record).unwrap(), Written::Done);
            }
            let written = writer.finish().unwrap();
            session.commit(written).unwrap();
            let _ = collector.receive(origin(1, 1), &buffer);
        }
        let records = read(&collector.finish());
        assert_eq!(records.len(), 40);
        for (number, record) in (0..).zip(&records) {
            let n = number / 2 * (1 + number % 2);
            let mut expected = vec![10, 0, 0, n];
            expected.extend((u64::from(n) << 33).to_be_bytes());
            assert_eq!(record.octets, expected);
            assert_eq!((record.file_domain, record.template_id), (4, 300));
        }
    }
}
