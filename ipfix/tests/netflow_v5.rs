//! `NetFlow` version 5: octets written down by hand from the published format, limits, and two
//! judges that know the format by themselves.

mod judge;

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use judge::{Capture, Scratch};

use ipfix::{
    Layout, LayoutError, NetflowV5Record, NetflowV5Sampling, NetflowV5SamplingMode, Protocol,
    RegisterError, Session, SessionOptions, WriteError, Written, elements as ie,
};

/// 2026-11-24 16:00:00.250 UTC.
const NOW_MS: u64 = 1_795_536_000_250;
/// 100.25 seconds before, a whole second.
const INIT_MS: u64 = NOW_MS - 100_250;

const FLOW: NetflowV5Record = NetflowV5Record {
    source: Ipv4Addr::new(192, 0, 2, 1),
    destination: Ipv4Addr::new(198, 51, 100, 2),
    next_hop: Ipv4Addr::new(203, 0, 113, 3),
    ingress_interface: 0x0102,
    egress_interface: 0x0304,
    packets: 0x0506_0708,
    octets: 0x090a_0b0c,
    first_ms: NOW_MS - 50_000,
    last_ms: NOW_MS,
    source_port: 0x1112,
    destination_port: 0x1314,
    tcp_flags: 0x1b,
    protocol: 6,
    tos: 0xb8,
    source_as: 64_496,
    destination_as: 0x0001_0000,
    source_prefix_length: 24,
    destination_prefix_length: 16,
};

fn layout() -> Layout<NetflowV5Record> {
    Layout::netflow_v5(|flow: &NetflowV5Record, _| *flow)
}

fn session() -> Session {
    Session::new(SessionOptions {
        first_sequence: 0x0a0b_0c0d,
        max_message: 1500,
        ..SessionOptions::udp(Protocol::NetflowV5, 0x7777_0203, INIT_MS)
    })
}

/// One message with these flows, committed.
fn message(session: &mut Session, flows: &[NetflowV5Record]) -> Vec<u8> {
    let mut buffer = vec![];
    let mut writer = session.begin(&mut buffer, NOW_MS);
    assert_eq!(writer.write_all(&layout(), flows), Ok(flows.len()));
    let message = writer.finish().unwrap();
    session.commit(message).unwrap();
    buffer
}

#[test]
fn golden() {
    let layout = layout();
    let mut session = session();
    session.register(&layout).unwrap();
    session.set_sampling(
        NetflowV5Sampling::new(NetflowV5SamplingMode::Random, 0x0123).expect("14 bits"),
    );
    let mut buffer = vec![0x77];
    let mut writer = session.begin(&mut buffer, NOW_MS);
    assert_eq!(writer.write(&layout, &FLOW), Ok(Written::Done));
    let mouse = NetflowV5Record {
        packets: 1,
        octets: 40,
        first_ms: INIT_MS,
        last_ms: INIT_MS,
        ..NetflowV5Record::EMPTY
    };
    assert_eq!(writer.write(&layout, &mouse), Ok(Written::Done));
    let message = writer.finish().unwrap();

    #[rustfmt::skip]
    let wanted = [
        // Version, count, sysUptime 100,250 ms, seconds, nanoseconds 250,000,000.
        0x00, 0x05, 0x00, 0x02, 0x00, 0x01, 0x87, 0x9a,
        0x6b, 0x05, 0xb4, 0x80, 0x0e, 0xe6, 0xb2, 0x80,
        // Flow sequence, engine type, engine id, sampling mode 2 and interval 0x123.
        0x0a, 0x0b, 0x0c, 0x0d, 0x02, 0x03, 0x81, 0x23,
        // Source, destination, next hop; input, output.
        192, 0, 2, 1, 198, 51, 100, 2, 203, 0, 113, 3,
        0x01, 0x02, 0x03, 0x04,
        // Packets, octets; first 50,250 ms, last 100,250 ms.
        0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c,
        0x00, 0x00, 0xc4, 0x4a, 0x00, 0x01, 0x87, 0x9a,
        // Ports; padding, TCP flags, protocol, type of service.
        0x11, 0x12, 0x13, 0x14, 0x00, 0x1b, 6, 0xb8,
        // Autonomous systems, the second AS_TRANS; prefix lengths; padding.
        0xfb, 0xf0, 0x5b, 0xa0, 24, 16, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 1, 0, 0, 0, 40, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    assert_eq!(buffer[1..], wanted);
    assert_eq!(buffer[0], 0x77);
    assert_eq!((message.length(), message.data_records()), (24 + 96, 2));
    assert_eq!(message.templates(), 0);
    session.commit(message).unwrap();
    // Flows are counted.
    assert_eq!(session.sequence(), 0x0a0b_0c0f);
}

#[test]
fn a_packet_has_at_most_30_records() {
    let layout = layout();
    let mut session = session();
    let flows = [FLOW; 100];
    for max_message in [1463, 1464, 1465, u16::MAX] {
        let most = if max_message < 1464 { 29 } else { 30 };
        session = Session::new(SessionOptions {
            max_message,
            ..*session.options()
        });
        let mut buffer = vec![0xa5; 3];
        let mut writer = session.begin(&mut buffer, NOW_MS);
        assert_eq!(writer.write_all(&layout, &flows), Ok(most));
        assert_eq!(writer.write(&layout, &FLOW), Ok(Written::Full));
        let message = writer.finish().unwrap();
        assert_eq!(message.length(), 24 + most * 48);
        assert_eq!(usize::from(buffer[3 + 3]), most);
        let batch = buffer.clone();
        buffer.truncate(3);
        let mut writer = session.begin(&mut buffer, NOW_MS);
        for _ in 0..most {
            assert_eq!(writer.write(&layout, &FLOW), Ok(Written::Done));
        }
        assert_eq!(writer.write(&layout, &FLOW), Ok(Written::Full));
        let _ = writer.finish().unwrap();
        assert_eq!(buffer, batch);
    }
}

#[test]
fn an_empty_or_impossible_packet_is_none() {
    let layout = layout();
    let mut session = session();
    let mut buffer = vec![1];
    assert!(!session.templates_due(NOW_MS));
    assert!(session.begin(&mut buffer, NOW_MS).finish().is_none());
    assert_eq!(buffer, [1]);
    let mut small = Session::new(SessionOptions {
        max_message: 71,
        ..*session.options()
    });
    let error = RegisterError::TooLong {
        template_id: 0,
        needed: 72,
        max_message: 71,
    };
    assert_eq!(small.register(&layout), Err(error));
    let error = WriteError::TooLong {
        template_id: 0,
        length: 48,
        needed: 72,
        max_message: 71,
    };
    assert_eq!(
        small.begin(&mut buffer, NOW_MS).write(&layout, &FLOW),
        Err(error)
    );
    assert_eq!(buffer, [1]);
}

#[test]
fn protocols_do_not_mix() {
    let other = Layout::builder(Protocol::Ipfix, 256)
        .unsigned(ie::PACKET_DELTA_COUNT, 8, |flow: &NetflowV5Record, _| {
            flow.packets
        })
        .build()
        .unwrap();
    let mut v5 = session();
    let mut buffer = vec![];
    assert_eq!(
        v5.begin(&mut buffer, NOW_MS).write(&other, &FLOW),
        Err(WriteError::NotRegistered(256))
    );
    let mut ipfix = Session::new(SessionOptions::udp(Protocol::Ipfix, 1, INIT_MS));
    assert_eq!(
        ipfix.register(&layout()),
        Err(RegisterError::Protocol {
            layout: Protocol::NetflowV5,
            session: Protocol::Ipfix
        })
    );
    assert_eq!(
        ipfix.begin(&mut buffer, NOW_MS).write(&layout(), &FLOW),
        Err(WriteError::NotRegistered(0))
    );
    let columns = Layout::builder(Protocol::NetflowV5, 256)
        .unsigned(ie::PACKET_DELTA_COUNT, 4, |flow: &NetflowV5Record, _| {
            flow.packets
        })
        .build();
    assert_eq!(columns.unwrap_err(), LayoutError::NoTemplates);
}

/// Layouts of different records share a packet; the fields say what the 48 octets are.
#[test]
fn layouts_describe_their_records_and_mix() {
    let (flows, ports) = (
        layout(),
        Layout::netflow_v5(|port: &u16, _| NetflowV5Record {
            source_port: *port,
            ..NetflowV5Record::EMPTY
        }),
    );
    assert_eq!(flows.record_length(), Some(NetflowV5Record::LENGTH));
    assert!(flows.template_record().is_empty() && !flows.is_options());
    let octets: usize = flows
        .fields()
        .iter()
        .map(|field| usize::from(field.1))
        .sum();
    assert_eq!(octets, NetflowV5Record::LENGTH);
    let mut session = session();
    let mut buffer = vec![];
    let mut writer = session.begin(&mut buffer, NOW_MS);
    assert_eq!(writer.write(&ports, &443), Ok(Written::Done));
    assert_eq!(writer.write(&flows, &FLOW), Ok(Written::Done));
    assert_eq!(writer.write(&ports, &53), Ok(Written::Done));
    let message = writer.finish().unwrap();
    assert_eq!(message.data_records(), 3);
    assert_eq!(buffer.len(), 24 + 3 * 48);
    // The source port, where the elements say that it is.
    let at: usize = flows
        .fields()
        .iter()
        .take_while(|field| field.0 != ie::SOURCE_TRANSPORT_PORT)
        .map(|field| usize::from(field.1))
        .sum();
    let port = |record: usize| &buffer[24 + record * 48 + at..][..2];
    assert_eq!(
        [port(0), port(1), port(2)],
        [[1, 187], [0x11, 0x12], [0, 53]]
    );
}

#[test]
fn what_does_not_fit_is_fitted() {
    let flow = NetflowV5Record {
        packets: NetflowV5Record::MAX_COUNTER + 1,
        octets: NetflowV5Record::MAX_COUNTER,
        ingress_interface: NetflowV5Record::MAX_INTERFACE + 1,
        egress_interface: NetflowV5Record::MAX_INTERFACE,
        source_as: u32::MAX,
        destination_as: 0xffff,
        first_ms: INIT_MS - 1,
        last_ms: INIT_MS + (1 << 32) + 5,
        ..FLOW
    };
    let octets = message(&mut session(), &[flow]);
    assert_eq!(
        octets[24 + 12..][..20],
        [
            0xff, 0xff, 0xff, 0xff, // interfaces
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // counters
            0xff, 0xff, 0xff, 0xff, 0, 0, 0, 5, // before sysUptime's zero; after its wrap
        ]
    );
    assert_eq!(octets[24 + 40..][..4], [0x5b, 0xa0, 0xff, 0xff]);
}

#[test]
fn flows_that_are_too_large_come_in_parts() {
    const MAX: u64 = NetflowV5Record::MAX_COUNTER;
    let parts = |packets, octets| {
        let flow = NetflowV5Record {
            packets,
            octets,
            ..FLOW
        };
        flow.parts().take(100).collect::<Vec<_>>()
    };
    assert_eq!(
        parts(7, MAX),
        [NetflowV5Record {
            packets: 7,
            octets: MAX,
            ..FLOW
        }]
    );
    assert_eq!(parts(0, 0).len(), 1);
    assert_eq!(parts(u64::MAX, 1).len(), 100);
    for (packets, octets, count) in [
        (7, MAX + 1, 2),
        (3 * MAX + 1, 4 * MAX, 4),
        (5 * MAX, 5 * MAX, 5),
        (5 * MAX + 1, 0, 6),
    ] {
        let parts = parts(packets, octets);
        assert_eq!(parts.len(), count);
        assert_eq!(parts.iter().map(|part| part.packets).sum::<u64>(), packets);
        assert_eq!(parts.iter().map(|part| part.octets).sum::<u64>(), octets);
        for part in parts {
            assert!(part.packets <= MAX && part.octets <= MAX);
            assert_eq!(
                NetflowV5Record {
                    packets,
                    octets,
                    ..part
                },
                NetflowV5Record {
                    packets,
                    octets,
                    ..FLOW
                }
            );
        }
    }
}

#[test]
fn sampling_changes_with_the_next_message() {
    const MAX: u16 = NetflowV5Sampling::MAX_INTERVAL;
    let mut session = session();
    assert_eq!(
        NetflowV5Sampling::new(NetflowV5SamplingMode::Random, MAX + 1),
        None
    );
    for (sampling, wanted) in [
        (NetflowV5Sampling::none(), [0, 0]),
        (
            NetflowV5Sampling::new(NetflowV5SamplingMode::Deterministic, 100).unwrap(),
            [0x40, 100],
        ),
        (
            NetflowV5Sampling::new(NetflowV5SamplingMode::Random, MAX).unwrap(),
            [0xbf, 0xff],
        ),
        (NetflowV5Sampling::default(), [0, 0]),
    ] {
        session.set_sampling(sampling);
        assert_eq!(session.sampling(), sampling);
        assert_eq!(message(&mut session, &[FLOW])[22..24], wanted);
    }
}

/// Two packets that the judges read.
fn judged() -> [Vec<u8>; 2] {
    let mut session = session();
    session.set_sampling(NetflowV5Sampling::new(NetflowV5SamplingMode::Deterministic, 16).unwrap());
    [
        message(&mut session, &[FLOW; 30]),
        message(&mut session, &[FLOW]),
    ]
}

#[test]
fn tshark_reads_it() {
    let capture = Capture::new(Protocol::NetflowV5, &judged());
    let rows = capture.dissect(&[
        "cflow.version",
        "cflow.count",
        "cflow.sysuptime",
        "cflow.unix_secs",
        "cflow.unix_nsecs",
        "cflow.sequence",
        "cflow.engine_type",
        "cflow.engine_id",
        "cflow.samplingmode",
        "cflow.samplerate",
        "cflow.srcaddr",
        "cflow.dstaddr",
        "cflow.nexthop",
        "cflow.inputint",
        "cflow.outputint",
        "cflow.packets",
        "cflow.octets",
        "cflow.timestart",
        "cflow.timeend",
        "cflow.srcport",
        "cflow.dstport",
        "cflow.tcpflags",
        "cflow.protocol",
        "cflow.tos",
        "cflow.srcas",
        "cflow.dstas",
        "cflow.srcmask",
        "cflow.dstmask",
        "_ws.expert.message",
        "_ws.malformed",
    ]);
    assert_eq!(
        rows[1],
        [
            "5",
            "1",
            "100.250000000",
            "1795536000",
            "250000000",
            "168496171",
            "2",
            "3",
            "1",
            "16",
            "192.0.2.1",
            "198.51.100.2",
            "203.0.113.3",
            "258",
            "772",
            "84281096",
            "151653132",
            "50.250000000",
            "100.250000000",
            "4370",
            "4884",
            "0x1b",
            "6",
            "0xb8",
            "64496",
            "23456",
            "24",
            "16",
            "",
            "",
        ]
    );
    assert_eq!(rows[0][1], "30");
    assert_eq!(rows[0][5], "168496141");
    assert_eq!(rows[0][10].matches("192.0.2.1").count(), 30);
    assert_eq!(rows[0][28..], ["", ""]);
}

#[test]
fn nfcapd_receives_it() {
    let scratch = Scratch::new("nfcapd");
    let folder = scratch.path();
    let port = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let (log, errors) = (folder.join("log"), folder.join("errors"));
    let child = Command::new("nfcapd")
        .args([
            "-b",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "-t",
            "3600",
            "-w",
        ])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(fs::File::create(&log).unwrap())
        .stderr(fs::File::create(&errors).unwrap())
        .spawn()
        .expect("nfcapd must be installed");
    let mut nfcapd = Running(child);
    // It listens when the port is taken.
    let deadline = Instant::now() + Duration::from_secs(20);
    while UdpSocket::bind(("127.0.0.1", port)).is_ok() {
        assert!(Instant::now() < deadline, "nfcapd does not listen");
        sleep(Duration::from_millis(20));
    }
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for octets in judged() {
        socket.send_to(&octets, ("127.0.0.1", port)).unwrap();
    }
    // Its own reading of the socket is not to be seen from outside.
    sleep(Duration::from_millis(1500));
    nfcapd.terminate();
    let rows = nfdump(folder);
    assert_eq!(rows.len(), 31, "{rows:#?}");
    for row in rows {
        // It took the sampling interval, 16, from the header, and multiplied the counters.
        assert_eq!(
            row,
            concat!(
                "192.0.2.1|198.51.100.2|203.0.113.3|258|772|1348497536|2426450112|4370|4884|",
                "...AP.SF|6|184|64496|23456|2026-11-24 15:59:10.250|2026-11-24 16:00:00.250",
            )
        );
    }
    let words = fs::read_to_string(log).unwrap() + &fs::read_to_string(errors).unwrap();
    assert!(words.contains("Sequence Errors: 0"), "{words}");
}

/// What nfdump reads from the file in `folder`, a line a flow.
fn nfdump(folder: &Path) -> Vec<String> {
    let file = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("nfcapd.")
        })
        .expect("nfcapd leaves a file");
    let output = Command::new("nfdump")
        .env("TZ", "UTC")
        .arg("-r")
        .arg(file)
        .args(["-q", "-N", "-o"])
        .arg("fmt:%sa|%da|%nh|%in|%out|%pkt|%byt|%sp|%dp|%flg|%pr|%tos|%sas|%das|%ts|%te")
        .output()
        .expect("nfdump must be installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let cells = |line: &str| line.split('|').map(str::trim).collect::<Vec<_>>().join("|");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(cells)
        .collect()
}

/// A child that does not outlive the test.
struct Running(Child);

impl Running {
    /// Ends it in the orderly way, which writes its file.
    fn terminate(&mut self) {
        let pid = self.0.id().to_string();
        let status = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(status.success());
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
