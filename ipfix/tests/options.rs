//! The ready-made options records: their octets, and Wireshark as a judge of them.

mod judge;

use ipfix::options::{
    ExportingProcessReliability, FlowKeys, Interface, MeteringProcessReliability,
    MeteringProcessStatistics, Sampling, Selector, SystemInit,
};
use ipfix::{Layout, LayoutError, Protocol, Session, SessionOptions, Written, elements as ie};
use judge::Capture;

const NOW_MS: u64 = 1_795_536_000_250;

/// Writes messages of one template and record each; gives both in hexadecimal.
struct Writer {
    session: Session,
    buffers: Vec<Vec<u8>>,
}

impl Writer {
    fn new(protocol: Protocol) -> Self {
        Self {
            session: Session::new(SessionOptions::udp(protocol, 7, 0)),
            buffers: Vec::new(),
        }
    }

    fn write<R: 'static>(
        &mut self,
        layout: Result<Layout<R>, LayoutError>,
        record: &R,
    ) -> (String, String) {
        let layout = layout.unwrap();
        assert!(layout.is_options());
        self.session.register(&layout).unwrap();
        let mut buffer = Vec::new();
        let mut writer = self.session.begin(&mut buffer, NOW_MS);
        assert_eq!(writer.write(&layout, record), Ok(Written::Done));
        let message = writer.finish().unwrap();
        assert_eq!((message.templates(), message.data_records()), (1, 1));
        self.session.commit(message).unwrap();
        let length = layout.record_length().unwrap();
        let set = 4 + length.next_multiple_of(4);
        let record = hex(&buffer[buffer.len() - set + 4..][..length]);
        self.buffers.push(buffer);
        (hex(layout.template_record()), record)
    }
}

fn hex(octets: &[u8]) -> String {
    use std::fmt::Write as _;
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

fn every_kind(protocol: Protocol) -> (Vec<(String, String)>, Writer) {
    let mut w = Writer::new(protocol);
    let keys = Layout::<()>::builder(protocol, 256)
        .octets(ie::SOURCE_IPV4_ADDRESS, |(), _| [0; 4])
        .unsigned(ie::PACKET_DELTA_COUNT, 8, |(), _| 0)
        .unsigned(ie::PROTOCOL_IDENTIFIER, 1, |(), _| 0)
        .build()
        .unwrap();
    let is_key = |element: &_| *element != ie::PACKET_DELTA_COUNT;
    let written = vec![
        w.write(
            Interface::layout(protocol, 300),
            &Interface {
                index: 2,
                name: "a name of 17 octets".into(),
                description: "uplink".into(),
            },
        ),
        w.write(
            Sampling::layout(protocol, 301),
            &Sampling {
                observation_domain: 7,
                interval: 16,
            },
        ),
        w.write(
            MeteringProcessReliability::layout(protocol, 302),
            &MeteringProcessReliability {
                observation_domain: 7,
                ignored_packets: 1,
                ignored_octets: 2,
                first_ms: NOW_MS,
                last_ms: NOW_MS,
            },
        ),
        w.write(
            MeteringProcessStatistics::layout(protocol, 303),
            &MeteringProcessStatistics {
                observation_domain: 7,
                messages: 1,
                octets: 2,
                flow_records: 3,
            },
        ),
        w.write(
            ExportingProcessReliability::layout(protocol, 304),
            &ExportingProcessReliability {
                exporting_process: 9,
                not_sent_flows: 1,
                not_sent_packets: 2,
                not_sent_octets: 3,
                first_ms: NOW_MS,
                last_ms: NOW_MS,
            },
        ),
        w.write(Selector::layout(protocol, 305), &Selector::one_in(5, 16)),
        w.write(
            FlowKeys::layout(protocol, 306),
            &FlowKeys::of(&keys, 7, is_key).unwrap(),
        ),
        w.write(
            SystemInit::layout(protocol, 307),
            &SystemInit {
                observation_domain: 7,
                system_init_ms: NOW_MS,
            },
        ),
    ];
    (written, w)
}

const NAMES: &str = concat!(
    "61206e616d65206f66203137206f6374",
    "75706c696e6b0000000000000000000000000000000000000000000000000000",
);
const TIMES: &str = "000001a20e4914fa000001a20e4914fa";

#[test]
fn golden_ipfix() {
    let (written, _) = every_kind(Protocol::Ipfix);
    #[rustfmt::skip]
    let wanted = [
        ("012c00030001" .to_owned() + "000a0004" + "00520010" + "00530020", "00000002".to_owned() + NAMES),
        ("012d00020001".to_owned() + "00950004" + "00220004", "00000007".to_owned() + "00000010"),
        ("012e00050001".to_owned() + "00950004" + "00a40008" + "00a50008" + "01430008" + "01430008",
         "00000007".to_owned() + "0000000000000001" + "0000000000000002" + TIMES),
        ("012f00040001".to_owned() + "00950004" + "00290008" + "00280008" + "002a0008",
         "00000007".to_owned() + "0000000000000001" + "0000000000000002" + "0000000000000003"),
        ("013000060001".to_owned() + "00900004" + "00a60008" + "00a70008" + "00a80008" + "01430008" + "01430008",
         "00000009".to_owned() + "0000000000000001" + "0000000000000002" + "0000000000000003" + TIMES),
        ("013100040001".to_owned() + "012e0008" + "01300002" + "01310004" + "01320004",
         "0000000000000005".to_owned() + "0001" + "00000001" + "0000000f"),
        ("013200030002".to_owned() + "00950004" + "00910002" + "00ad0008",
         "00000007".to_owned() + "0100" + "0000000000000005"),
        ("013300020001".to_owned() + "00950004" + "00a00008", "00000007".to_owned() + "000001a20e4914fa"),
    ];
    assert_eq!(written, wanted);
}

#[test]
fn golden_netflow_v9() {
    let (written, _) = every_kind(Protocol::NetflowV9);
    let scopes: Vec<_> = written
        .iter()
        .map(|(template, _)| &template[4..20])
        .collect();
    // Octets of scope specifiers, octets of option specifiers; scope types System (1), Interface (2)
    // and Template (5).
    #[rustfmt::skip]
    assert_eq!(scopes, [
        "0004000800020004", "0004000400010004", "0004001000010004", "0004000c00010004",
        "0004001400010004", "0004001000010004", "0004000400050002", "0004000400010004",
    ]);
    assert_eq!(written[5].1, "0000000000000000000000050001000000010000000f");
    // Otherwise the records are those of IPFIX.
    let (ipfix, _) = every_kind(Protocol::Ipfix);
    for kind in [0, 1, 2, 3, 4, 7] {
        assert_eq!(written[kind].1, ipfix[kind].1);
    }
    // The scope Template, without the domain.
    assert_eq!(written[6].1, ipfix[6].1[8..]);
}

#[test]
fn netflow_v5_has_no_options() {
    let v5 = Protocol::NetflowV5;
    let none = LayoutError::NoTemplates;
    assert_eq!(Interface::layout(v5, 300).unwrap_err(), none);
    assert_eq!(Sampling::layout(v5, 300).unwrap_err(), none);
    assert_eq!(Selector::layout(v5, 300).unwrap_err(), none);
    assert_eq!(FlowKeys::layout(v5, 300).unwrap_err(), none);
    assert_eq!(SystemInit::layout(v5, 300).unwrap_err(), none);
    assert_eq!(
        MeteringProcessStatistics::layout(v5, 300).unwrap_err(),
        none
    );
    assert_eq!(
        MeteringProcessReliability::layout(v5, 300).unwrap_err(),
        none
    );
    assert_eq!(
        ExportingProcessReliability::layout(v5, 300).unwrap_err(),
        none
    );
}

/// RFC 7011 section 4.4: there are bits for 64 fields.
#[test]
fn keys_beyond_64_fields_cannot_be_told() {
    let mut builder = Layout::<()>::builder(Protocol::Ipfix, 256);
    for _ in 0..63 {
        builder = builder.unsigned(ie::PACKET_DELTA_COUNT, 1, |(), _| 0);
    }
    let layout = builder
        .unsigned(ie::SOURCE_TRANSPORT_PORT, 2, |(), _| 0)
        .unsigned(ie::DESTINATION_TRANSPORT_PORT, 2, |(), _| 0)
        .build()
        .unwrap();
    let keys = FlowKeys::of(&layout, 7, |element| *element == ie::SOURCE_TRANSPORT_PORT);
    assert_eq!(keys.unwrap().indicator, 1 << 63);
    assert_eq!(
        FlowKeys::of(&layout, 7, |element| *element
            == ie::DESTINATION_TRANSPORT_PORT),
        None
    );
    assert_eq!(FlowKeys::of(&layout, 7, |_| false).unwrap().indicator, 0);
    assert_eq!(Selector::one_in(1, 0), Selector::one_in(1, 1));
}

#[test]
fn tshark_reads_them() {
    for protocol in [Protocol::Ipfix, Protocol::NetflowV9] {
        let (_, writer) = every_kind(protocol);
        let capture = Capture::new(protocol, &writer.buffers);
        let wanted = [
            (0, "cflow.if_name", "a name of 17 oct"),
            (0, "cflow.if_descr", "uplink"),
            (1, "cflow.sampling_interval", "16"),
            (2, "cflow.ignore_packets", "1"),
            (3, "cflow.flowsexp", "3"),
            (4, "cflow.notsent_octets", "3"),
            (5, "cflow.sampling_packet_interval", "1"),
            (5, "cflow.sampling_packet_space", "15"),
            (5, "cflow.selector_algorithm", "1"),
        ];
        let rows = capture.dissect(&wanted.map(|(_, field, _)| field));
        for (column, (packet, field, wanted)) in wanted.into_iter().enumerate() {
            assert_eq!(rows[packet][column], wanted, "{protocol} {field}");
        }
        for row in capture.dissect(&["_ws.expert.message", "_ws.malformed"]) {
            assert_eq!(row, ["", ""], "{protocol}");
        }
    }
}
