//! What the decoder understands of options data, and how much of it it remembers.

use ipfix::{Decoder, DecoderLimits, Protocol, Sampling, Sequence, elements as ie};

const INIT_MS: u64 = 1_795_500_000_000;
const EXPORT_S: u32 = 1_795_536_000;

fn message(domain: u32, sequence: u32, sets: &[u8]) -> Vec<u8> {
    let length = u16::try_from(16 + sets.len()).unwrap();
    let mut message = vec![0, 10];
    message.extend(length.to_be_bytes());
    message.extend(EXPORT_S.to_be_bytes());
    message.extend(sequence.to_be_bytes());
    message.extend(domain.to_be_bytes());
    message.extend(sets);
    message
}

/// A set of one options template, all of whose fields but the first are no scope.
fn options_template(id: u8, fields: &[(u16, u16)]) -> Vec<u8> {
    let count = u8::try_from(fields.len()).unwrap();
    let mut set = vec![0, 3, 0, 10 + 4 * count, 1, id, 0, count, 0, 1];
    for (element, length) in fields {
        set.extend(element.to_be_bytes());
        set.extend(length.to_be_bytes());
    }
    set
}

fn data(id: u8, record: &[u8]) -> Vec<u8> {
    let length = u8::try_from(4 + record.len()).unwrap();
    [&[1, id, 0, length][..], record].concat()
}

/// Template 256: ingressInterface, samplerId, flowStartSysUpTime.
const FLOWS: [u8; 20] = [
    0, 2, 0, 20, 1, 0, 0, 3, 0, 10, 0, 1, 0, 48, 0, 1, 0, 22, 0, 4,
];

struct Exporter {
    decoder: Decoder<u8>,
    sequence: [u32; 2],
}

impl Exporter {
    fn new(limits: DecoderLimits) -> Self {
        let mut exporter = Self {
            decoder: Decoder::new(limits),
            sequence: [0; 2],
        };
        exporter.send(1, &FLOWS);
        exporter
    }

    fn send(&mut self, domain: u32, sets: &[u8]) -> (Sequence, Option<Sampling>, Option<u64>) {
        let sequence = &mut self.sequence[usize::try_from(domain).unwrap()];
        let octets = message(domain, *sequence, sets);
        let decoded = self.decoder.decode(&7, &octets).unwrap();
        assert_eq!((decoded.errors(), decoded.unknown()), (&[][..], &[][..]));
        *sequence += u32::try_from(decoded.record_count()).unwrap();
        let options = self.decoder.options(&7, Protocol::Ipfix, domain).unwrap();
        let flow = decoded
            .records()
            .find(|record| !record.template().is_options());
        let sampling = flow.and_then(|flow| options.sampling_of(&flow));
        let start = flow.and_then(|flow| flow.value(&ie::FLOW_START_SYS_UP_TIME)?.unix_ms());
        (decoded.sequence(), sampling, start)
    }

    fn sampling(&mut self, interface: u8, sampler: u8) -> Option<(u32, u32)> {
        let (_, sampling, _) = self.send(1, &data(0, &[interface, sampler, 0, 0, 0, 1]));
        sampling.map(|sampling| (sampling.taken(), sampling.of()))
    }
}

#[test]
fn sampling_is_found_from_the_most_specific_on() {
    let mut exporter = Exporter::new(DecoderLimits::default());
    assert_eq!(exporter.sampling(3, 7), None);
    // The whole exporter, in domain 0.
    exporter.send(0, &options_template(1, &[(144, 1), (34, 1)]));
    exporter.send(0, &data(1, &[1, 5]));
    assert_eq!(exporter.sampling(3, 7), Some((1, 5)));
    // The domain.
    exporter.send(1, &options_template(1, &[(149, 1), (34, 1)]));
    exporter.send(1, &data(1, &[1, 10]));
    assert_eq!(exporter.sampling(3, 7), Some((1, 10)));
    // An interface: samplingSize of samplingPopulation.
    exporter.send(1, &options_template(2, &[(10, 1), (309, 1), (310, 1)]));
    exporter.send(1, &data(2, &[3, 2, 21]));
    assert_eq!(exporter.sampling(3, 7), Some((2, 21)));
    assert_eq!(exporter.sampling(4, 7), Some((1, 10)));
    // A selector: interval and space.
    exporter.send(1, &options_template(3, &[(302, 1), (305, 1), (306, 1)]));
    exporter.send(1, &data(3, &[7, 3, 27]));
    assert_eq!(exporter.sampling(3, 7), Some((3, 30)));
    assert_eq!(exporter.sampling(3, 8), Some((2, 21)));
    // Zero says nothing.
    exporter.send(1, &data(1, &[1, 0]));
    assert_eq!(exporter.sampling(4, 8), Some((1, 10)));
}

#[test]
fn a_probability_is_a_fraction() {
    let mut exporter = Exporter::new(DecoderLimits::default());
    exporter.send(1, &options_template(1, &[(149, 1), (311, 8)]));
    exporter.send(1, &options_template(2, &[(149, 1), (311, 4)]));
    let mut read = |template, value: &[u8]| {
        // What nothing replaces stays.
        exporter.send(
            1,
            &data(1, &[&[1][..], &(7.0_f64 / 8.0).to_be_bytes()].concat()),
        );
        exporter.send(1, &data(template, &[&[1], value].concat()));
        exporter.sampling(3, 7).unwrap()
    };
    for (probability, fraction) in [
        (1.0, (1, 1)),
        (0.5, (1, 2)),
        (0.001, (1, 1000)),
        (1.0 / 3.0, (1, 3)),
        (2.0 / 21.0, (2, 21)),
        (0.999, (999, 1000)),
        (1.0 / 1_048_576.0, (1, 1_048_576)),
        (2_f64.powi(-31), (1, 1 << 31)),
        (0.0, (7, 8)),
        (-0.5, (7, 8)),
        (1.000_1, (7, 8)),
        (f64::NAN, (7, 8)),
        (f64::INFINITY, (7, 8)),
        (f64::MIN_POSITIVE / 2.0, (7, 8)),
        (2_f64.powi(-33), (7, 8)),
    ] {
        assert_eq!(
            read(1, &probability.to_be_bytes()),
            fraction,
            "{probability}"
        );
    }
    for (probability, fraction) in [(0.001_f32, (1, 1000)), (0.3, (3, 10)), (1.0, (1, 1))] {
        assert_eq!(
            read(2, &probability.to_be_bytes()),
            fraction,
            "{probability}"
        );
    }
    // As near as it gets.
    let (taken, of) = read(1, &std::f64::consts::FRAC_1_PI.to_be_bytes());
    let error = f64::from(taken) / f64::from(of) * std::f64::consts::PI - 1.0;
    assert!(error.abs() < 1e-6 && of < 1_000_000, "{taken} of {of}");
}

#[test]
fn sampling_in_numbers() {
    let of = |taken, of| Sampling::new(taken, of).unwrap();
    assert_eq!(of(1, 10).one_in(), 10);
    assert_eq!(of(2, 21).one_in(), 11);
    assert_eq!(of(3, u32::MAX).one_in(), u32::MAX / 3);
    assert!((of(2, 21).factor() - 10.5).abs() < f64::EPSILON);
    assert_eq!(Sampling::new(0, 1), None);
    assert_eq!(Sampling::new(2, 1), None);
}

#[test]
fn names_and_flow_keys() {
    let mut exporter = Exporter::new(DecoderLimits {
        option_text_octets: 4,
        ..DecoderLimits::default()
    });
    exporter.send(0, &options_template(1, &[(10, 2), (82, 6), (83, 0xffff)]));
    exporter.send(0, &data(1, b"\0\x03eth0\0\0\x06uplink"));
    exporter.send(1, &options_template(2, &[(145, 2), (173, 8)]));
    exporter.send(1, &data(2, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0b011]));
    let options = exporter.decoder.options(&7, Protocol::Ipfix, 1).unwrap();
    assert_eq!(options.interface_name(3), Some("eth0"));
    assert_eq!(options.interface_description(3), Some("upli"));
    assert_eq!(options.interface_name(4), None);
    assert_eq!(options.flow_keys(256), Some(0b011));
    assert_eq!(options.flow_keys(257), None);
    assert_eq!(exporter.decoder.option_entries(), 2);
    // A template that changes has other keys.
    exporter.send(1, &[0, 2, 0, 12, 1, 0, 0, 1, 0, 10, 0, 1]);
    let options = exporter.decoder.options(&7, Protocol::Ipfix, 1).unwrap();
    assert_eq!(options.flow_keys(256), None);
    assert_eq!(exporter.decoder.option_entries(), 1);
    assert!(exporter.decoder.options(&8, Protocol::Ipfix, 1).is_none());
    exporter.decoder.forget(&7);
    assert_eq!(exporter.decoder.option_entries(), 0);
}

/// Scopes of version 9: Interface and Template.
#[test]
fn netflow_v9_scopes() {
    let mut decoder = Decoder::new(DecoderLimits::default());
    let mut octets = vec![0, 9, 0, 2];
    octets.extend([0; 16]);
    octets.extend([
        0, 1, 0, 18, 1, 1, 0, 4, 0, 4, 0, 2, 0, 2, 0, 82, 0, 3, // 257: Interface, name
        0, 1, 0, 18, 1, 2, 0, 4, 0, 4, 0, 5, 0, 2, 0, 173, 0, 1, // 258: Template, keys
        1, 1, 0, 9, 0, 9, b'l', b'a', b'n', 1, 2, 0, 7, 1, 4, 5,
    ]);
    let decoded = decoder.decode(&(), &octets).unwrap();
    assert_eq!((decoded.errors(), decoded.record_count()), (&[][..], 2));
    let options = decoder.options(&(), Protocol::NetflowV9, 0).unwrap();
    assert_eq!(options.interface_name(9), Some("lan"));
    assert_eq!(options.flow_keys(260), Some(5));
}

/// When the system started makes times of sysUptime times of day, also across its wrap.
#[test]
fn system_init_time() {
    let mut exporter = Exporter::new(DecoderLimits::default());
    let flow = data(0, &[3, 7, 0, 0, 0x10, 0]);
    assert_eq!(exporter.send(1, &flow).2, None);
    let init = |id, init_ms: u64| {
        let mut sets = options_template(id, &[(144, 1), (160, 8)]);
        sets.extend(data(id, &[&[1][..], &init_ms.to_be_bytes()].concat()));
        sets
    };
    exporter.send(0, &init(1, INIT_MS));
    assert_eq!(exporter.send(1, &flow).2, Some(INIT_MS + 0x1000));
    // The domain's own goes first; options after the flow in the same message do.
    let both = [flow.clone(), init(1, INIT_MS + 5)].concat();
    assert_eq!(exporter.send(1, &both).2, Some(INIT_MS + 5 + 0x1000));
    // Fifty days before: sysUptime has wrapped once.
    let long_ago = INIT_MS - (1 << 32);
    exporter.send(1, &init(1, long_ago));
    assert_eq!(exporter.send(1, &flow).2, Some(INIT_MS + 0x1000));
    // The record's own.
    exporter.send(1, &[0, 2, 0, 16, 1, 9, 0, 2, 0, 22, 0, 4, 0, 160, 0, 8]);
    let own = [&[0, 0, 0, 9][..], &(INIT_MS + 70).to_be_bytes()].concat();
    assert_eq!(exporter.send(1, &data(9, &own)).2, Some(INIT_MS + 79));
}

/// What the previous run said is forgotten, what the new one said by then is kept.
#[test]
fn a_restart_ends_what_options_said() {
    let mut exporter = Exporter::new(DecoderLimits::default());
    exporter.send(0, &options_template(1, &[(144, 1), (34, 1)]));
    exporter.send(0, &data(1, &[1, 5]));
    exporter.send(1, &options_template(2, &[(10, 1), (34, 1)]));
    exporter.send(1, &data(2, &[3, 20]));
    exporter.send(1, &data(2, &[4, 20]));
    assert_eq!(exporter.sampling(3, 7), Some((1, 20)));
    exporter.sequence[1] = 0;
    let (sequence, ..) = exporter.send(1, &[&FLOWS[..], &data(2, &[4, 30])].concat());
    assert!(matches!(sequence, Sequence::Late(_)));
    assert_eq!(exporter.decoder.option_entries(), 2);
    let (sequence, ..) = exporter.send(1, &data(0, &[3, 7, 0, 0, 0, 0]));
    assert_eq!(sequence, Sequence::Restarted);
    assert_eq!(exporter.sampling(3, 7), None);
    assert_eq!(exporter.sampling(4, 7), Some((1, 30)));
    assert_eq!(exporter.decoder.option_entries(), 1);
}

#[test]
fn memory_is_bounded() {
    let limits = DecoderLimits {
        sessions: 8,
        option_entries_per_domain: 10,
        option_entries_per_session: 15,
        total_option_entries: 20,
        ..DecoderLimits::default()
    };
    let mut decoder = Decoder::new(limits);
    let template = options_template(1, &[(10, 4), (82, 4)]);
    let keys = options_template(2, &[(145, 2), (173, 4)]);
    let selectors = options_template(3, &[(302, 4), (50, 4)]);
    for round in 0..3000_u32 {
        let record = [round.to_be_bytes(), *b"eth0"].concat();
        let sets = match round % 3 {
            0 => [template.clone(), data(1, &record)],
            1 => [keys.clone(), data(2, &record[2..])],
            _ => [selectors.clone(), data(3, &record)],
        };
        let octets = message(round % 5, 0, &sets.concat());
        let session = round / 7 % 11;
        let decoded = decoder.decode(&session, &octets).unwrap();
        assert_eq!((decoded.errors(), decoded.record_count()), (&[][..], 1));
        assert!((1..=20).contains(&decoder.option_entries()));
        // What was told last is known.
        let options = decoder.options(&session, Protocol::Ipfix, round % 5);
        if round % 3 == 0 {
            assert_eq!(options.unwrap().interface_name(round), Some("eth0"));
        }
    }
    for session in 0..11 {
        decoder.forget(&session);
    }
    assert_eq!(
        (
            decoder.sessions(),
            decoder.fields(),
            decoder.option_entries()
        ),
        (0, 0, 0)
    );
}
