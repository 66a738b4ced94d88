//! The built-in collector over connections: what our exporter sends it by TCP and by TLS, and what others
//! can do to it, which is to make counters rise.

mod collecting;
mod export_common;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use collecting::Running;
use ebpfix::cli::OutputFormat;
use ebpfix::collector::{self, Summary, Tls};
use ebpfix::config::{TlsFiles, Transport};
use ebpfix::record::FlowJson;
use export_common::pki::{Authority, Folder};
use export_common::*;
use ipfix::Protocol;

fn start(tls: Option<Tls>) -> Running {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let collector = collector::bind_connections(any, tls).unwrap();
    Running::start(collector, OutputFormat::Json)
}

fn connect(collector: &Running) -> TcpStream {
    let socket = TcpStream::connect(collector.address).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    socket
}

/// Packets of each flow, and what was counted.
fn stop(collector: Running) -> (Vec<u64>, Summary) {
    let (printed, summary) = collector.stop();
    let flows = printed
        .lines()
        .map(|line| serde_json::from_str::<FlowJson<'_>>(line).unwrap());
    (flows.map(|flow| flow.packets.unwrap()).collect(), summary)
}

#[test]
fn what_is_sent_by_tcp_and_by_tls_is_printed() {
    let folder = Folder::new("collect-tls");
    let authority = Authority::new(&folder, "authority");
    let own = authority.sign(&folder, "own", &["127.0.0.1"]);
    let tls = Tls::load(&own.certificate, &own.key, Some(&authority.file)).unwrap();
    for (transport, tls) in [(Transport::Tcp, None), (Transport::Tls, Some(tls))] {
        let collector = start(tls);
        let mut config = collector_at(collector.address, Protocol::Ipfix);
        config.transport = transport;
        config.tls = TlsFiles {
            ca: Some(authority.file.clone()),
            certificate: Some(own.certificate.clone()),
            key: Some(own.key.clone()),
            server_name: None,
        };
        let mut other = config.clone();
        other.name = "other".to_owned();
        // Two connections with the same templates in two domains of one id.
        let exporter = Exporter::start(&[config, other]);
        exporter.send(records(5000));
        eventually(|| {
            exporter
                .status()
                .iter()
                .all(|s| s.records == 5000)
                .then_some(())
        });
        let (status, _) = exporter.finish();
        assert!(status.iter().all(|s| s.unacknowledged.is_zero()));
        let (mut packets, summary) = stop(collector);
        packets.sort_unstable();
        let twice: Vec<u64> = (1..=5000).flat_map(|n| [n, n]).collect();
        assert_eq!(packets, twice, "{transport:?}");
        assert_eq!(
            (summary.records, summary.missing, summary.garbage),
            (10_000, 0, 0)
        );
        assert_eq!((summary.connections, summary.broken_connections), (2, 0));
        assert_eq!(summary.unknown_template_sets, 0);
    }
}

/// A message of domain 1 with these sets.
fn message(sequence: u8, sets: &[u8]) -> Vec<u8> {
    let length = u16::try_from(16 + sets.len()).unwrap();
    let mut message = vec![0, 10];
    message.extend(length.to_be_bytes());
    message.extend([0x6b, 5, 0, 0, 0, 0, 0, sequence, 0, 0, 0, 1]);
    message.extend(sets);
    message
}

/// Template 256: packetDeltaCount in an octet; and a record of it.
const TEMPLATE: [u8; 12] = [0, 2, 0, 12, 1, 0, 0, 1, 0, 2, 0, 1];
const RECORD: [u8; 5] = [1, 0, 0, 5, 7];

#[test]
fn each_connection_has_templates_of_its_own_and_octets_may_come_one_by_one() {
    let collector = start(None);
    let mut one = connect(&collector);
    for octet in [message(0, &TEMPLATE), message(0, &RECORD)].concat() {
        one.write_all(&[octet]).unwrap();
    }
    eventually(|| (!collector.printed.0.lock().unwrap().is_empty()).then_some(()));
    // Another does not know the template.
    let mut two = connect(&collector);
    two.write_all(&message(0, &RECORD)).unwrap();
    two.shutdown(std::net::Shutdown::Write).unwrap();
    let mut nothing = Vec::new();
    two.read_to_end(&mut nothing).unwrap();
    assert!(nothing.is_empty());
    drop(one);
    let (packets, summary) = stop(collector);
    assert_eq!(packets, [7]);
    assert_eq!((summary.unknown_template_sets, summary.messages), (1, 3));
    assert_eq!((summary.connections, summary.broken_connections), (2, 0));
}

#[test]
fn a_stream_that_goes_wrong_is_cut_and_counted_and_others_go_on() {
    let collector = start(None);
    let mut good = connect(&collector);
    good.write_all(&message(0, &TEMPLATE)).unwrap();
    let wrong: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",
        // A message shorter than its header.
        &[0, 10, 0, 15, 0, 0],
        // Another version, after a good message.
        &[&message(0, &TEMPLATE)[..], &[0, 9, 0, 0]].concat(),
        // A set that is longer than its message.
        &message(0, &[1, 0, 0, 200, 7]),
        // The end within a message.
        &message(0, &TEMPLATE)[..20],
    ];
    for octets in wrong {
        let mut bad = connect(&collector);
        bad.write_all(octets).unwrap();
        let _ = bad.shutdown(std::net::Shutdown::Write);
        let mut nothing = Vec::new();
        // An end, perhaps a hard one.
        let _ = bad.read_to_end(&mut nothing);
        assert!(nothing.is_empty());
    }
    good.write_all(&message(0, &RECORD)).unwrap();
    good.shutdown(std::net::Shutdown::Write).unwrap();
    let _ = good.read_to_end(&mut Vec::new());
    let (packets, summary) = stop(collector);
    assert_eq!(packets, [7]);
    assert_eq!(
        (summary.connections, summary.broken_connections),
        (6, 5),
        "{summary}"
    );
    assert_eq!(summary.garbage, 1);
}

#[test]
fn who_connects_too_often_is_turned_away() {
    let collector = start(None);
    let crowd: Vec<_> = (0..300).map(|_| connect(&collector)).collect();
    // Those that were turned away read the end.
    let mut turned_away = 0;
    for mut socket in crowd.iter().skip(256) {
        turned_away += usize::from(socket.read(&mut [0; 1]).is_ok_and(|octets| octets == 0));
    }
    assert_eq!(turned_away, 44);
    drop(crowd);
    let (_, summary) = stop(collector);
    assert_eq!(
        (summary.connections, summary.refused_connections),
        (256, 44)
    );
}
