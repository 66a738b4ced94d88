//! Export over real sockets: a collector is spoken to, is away, comes back, is slow, cannot be
//! reached; what it got is read by the decoder, and the accounts have to agree with it.

mod export_common;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::num::{NonZeroU16, NonZeroU32};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use ebpfix::config::{Endpoint, Host};
use ebpfix::export::{CollectorStatus, Shared};
use ebpfix::ledger::{Count, LossReason};
use export_common::{
    Exporter, PROTOCOLS, Sink, collector_at, eventually, record, records, total, unused_port,
};
use ipfix::options::Interface;
use ipfix::{Protocol, elements as e};

fn addresses() -> [IpAddr; 2] {
    ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()]
}

#[test]
fn records_of_every_kind_arrive_whole_and_in_sequence() {
    for protocol in PROTOCOLS {
        for address in addresses() {
            let mut sink = Sink::new(SocketAddr::new(address, 0));
            let mut config = collector_at(sink.address(), protocol);
            config.max_message_size = Some(1400);
            let exporter = Exporter::start(&[config]);
            let sent = records(5000);
            for batch in sent.chunks(700) {
                exporter.send(batch.to_vec());
            }
            sink.receive_until(|sink| sink.records.len() == sent.len());
            let (status, snapshot) = exporter.finish();
            sink.receive_rest();

            sink.assert_sound();
            let mut ids: Vec<_> = sink.records.iter().map(|r| r.packets).collect();
            ids.sort_unstable();
            assert!(ids.into_iter().eq(1..=5000), "{protocol:?} {address}");
            assert_eq!(sink.total(), total(&sent));
            assert!(
                sink.largest <= 1400 && sink.largest > 1300,
                "{}",
                sink.largest
            );
            assert_eq!(sink.sources.len(), 1);
            assert_eq!(snapshot.exported, total(&sent));
            assert!(snapshot.is_balanced() && snapshot.held().is_zero());
            let [status] = &status[..] else { panic!() };
            assert_eq!((status.exported, status.records), (total(&sent), 5000));
            assert_eq!(status.messages, sink.messages);
            assert_eq!(status.octets, sink.octets);
            assert_eq!((status.errors, status.refused), (0, 0), "{status:?}");
        }
    }
}

#[test]
fn messages_are_full() {
    // Records of one kind stand together, so that few octets go for headers.
    let mut sink = Sink::new(SocketAddr::new(addresses()[0], 0));
    let exporter = Exporter::start(&[collector_at(sink.address(), Protocol::Ipfix)]);
    let sent = records(2000);
    exporter.send(sent.clone());
    sink.receive_until(|sink| sink.records.len() == sent.len());
    let (status, _) = exporter.finish();
    sink.receive_rest();
    sink.assert_sound();
    let limit = usize::from(status[0].max_message);
    assert!(
        (limit - 120..=limit).contains(&sink.largest),
        "{} of {limit}",
        sink.largest
    );
    assert!(sink.octets < 2000 * 110, "{} octets", sink.octets);
}

#[test]
fn who_starts_late_understands_the_first_message() {
    for protocol in PROTOCOLS {
        for address in addresses() {
            let port = unused_port(address);
            let exporter = Exporter::start(&[collector_at(port, protocol)]);
            for n in 1..40 {
                exporter.send(vec![record(n)]);
                thread::sleep(Duration::from_millis(5));
            }
            let status = eventually(|| {
                let status = exporter.status();
                (status[0].held_records == 0).then_some(status)
            });
            assert!(status[0].refused > 10, "{:?}", status[0]);
            assert!(
                status[0]
                    .last_error
                    .as_ref()
                    .unwrap()
                    .contains("nobody listens"),
                "{:?}",
                status[0]
            );
            let mut sink = Sink::new(port);
            exporter.send(records(50));
            sink.receive_until(|sink| sink.records.len() >= 50);
            assert_eq!(sink.unknown, 0, "{protocol:?}");
            assert_eq!(sink.total(), total(&records(50)));
            let (status, snapshot) = exporter.finish();
            assert_eq!(status[0].errors, 0, "{:?}", status[0]);
            assert!(snapshot.is_balanced());
            assert_eq!(snapshot.lost.total(), Count::ZERO);
        }
    }
}

/// Shows 7011/8.4/again, 7011/8.4/again-configurable, 3954/7/regular, 3954/7/configurable.
#[test]
fn templates_go_twice_at_the_start_and_then_by_messages_and_by_time() {
    for protocol in PROTOCOLS {
        let mut sink = Sink::new(SocketAddr::new(addresses()[0], 0));
        let mut config = collector_at(sink.address(), protocol);
        config.template_interval = Duration::from_secs(1);
        config.template_messages = 0;
        let exporter = Exporter::start(&[config]);
        sink.receive_for(Duration::from_millis(3600));
        // At the start, half a second later, and then each second.
        let rounds = sink.data_template_messages;
        assert!((4..=6).contains(&rounds), "{protocol:?}: {rounds}");
        drop(exporter.finish());

        let mut sink = Sink::new(SocketAddr::new(addresses()[0], 0));
        let mut config = collector_at(sink.address(), protocol);
        config.template_messages = 10;
        let exporter = Exporter::start(&[config]);
        for n in 1..=100 {
            exporter.send(vec![record(n)]);
        }
        sink.receive_until(|sink| sink.records.len() == 100);
        let rounds = sink.data_template_messages;
        assert!((10..=13).contains(&rounds), "{protocol:?}: {rounds}");
        drop(exporter.finish());
    }
}

#[test]
fn a_name_that_cannot_be_resolved_is_tried_again_and_what_waits_is_lost_at_the_end() {
    let mut config = collector_at("127.0.0.1:9".parse().unwrap(), Protocol::Ipfix);
    config.address.host = Host::Name("no-such-host.invalid".into());
    let exporter = Exporter::start(&[config]);
    let sent = records(10);
    exporter.send(sent.clone());
    let status = eventually(|| {
        let status = exporter.status().remove(0);
        (status.errors >= 2).then_some(status)
    });
    let error = status.last_error.unwrap();
    assert!(
        error.starts_with("cannot resolve no-such-host.invalid: "),
        "{error}"
    );
    assert_eq!(status.held, total(&sent));
    let (status, snapshot) = exporter.finish();
    assert_eq!((status[0].lost, status[0].lost_records), (total(&sent), 10));
    assert_eq!(snapshot.lost.of(LossReason::NotSent), total(&sent));
    assert!(snapshot.is_balanced() && snapshot.held().is_zero());
}

#[test]
fn a_name_is_resolved_to_an_address_that_the_source_can_reach() {
    let mut sink = Sink::new(SocketAddr::new(addresses()[0], 0));
    let config = ebpfix::config::Collector {
        address: Endpoint {
            host: Host::Name("localhost".into()),
            port: NonZeroU16::new(sink.address().port()).unwrap(),
        },
        source_address: Some("127.0.0.5".parse().unwrap()),
        ..collector_at(sink.address(), Protocol::Ipfix)
    };
    let exporter = Exporter::start(&[config]);
    exporter.send(records(3));
    sink.receive_until(|sink| sink.records.len() == 3);
    assert_eq!(sink.sources.first().unwrap().ip().to_string(), "127.0.0.5");
    drop(exporter.finish());
}

#[test]
fn a_source_that_cannot_be_had_is_said_and_tried_again() {
    let taken = UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut sink = Sink::new(SocketAddr::new(addresses()[0], 0));
    let mut config = collector_at(sink.address(), Protocol::Ipfix);
    config.source_port = NonZeroU16::new(port);
    let mut foreign = collector_at(sink.address(), Protocol::Ipfix);
    foreign.source_address = Some("192.0.2.1".parse().unwrap());
    let exporter = Exporter::start(&[config, foreign]);
    exporter.send(records(100));
    let status = eventually(|| {
        let status = exporter.status();
        status.iter().all(|s| s.errors >= 2).then_some(status)
    });
    let error = |n: usize| status[n].last_error.clone().unwrap();
    assert!(
        error(0).starts_with(&format!("source-port {port} is in use: ")),
        "{}",
        error(0)
    );
    assert!(
        error(1).starts_with("this host does not have source-address 192.0.2.1: "),
        "{}",
        error(1)
    );
    drop(taken);
    sink.receive_until(|sink| sink.records.len() == 100);
    assert_eq!(sink.sources.first().unwrap().port(), port);
    let (status, snapshot) = exporter.finish();
    assert_eq!(status[0].exported, total(&records(100)));
    assert_eq!(status[1].lost, total(&records(100)));
    // One of two was sent it all.
    assert_eq!(snapshot.exported, total(&records(100)));
    assert!(snapshot.is_balanced());
}

#[test]
fn a_queue_that_is_full_at_one_collector_takes_nothing_from_another() {
    const RECORDS: u64 = 300 * 1024;
    let mut sink = Sink::new(SocketAddr::new(addresses()[0], 0));
    let good = collector_at(sink.address(), Protocol::Ipfix);
    let mut away = good.clone();
    away.source_address = Some("192.0.2.1".parse().unwrap());
    for with_good in [true, false] {
        let mut configs = vec![away.clone()];
        configs.extend(with_good.then(|| good.clone()));
        let exporter = Exporter::start(&configs);
        let mut sent = Count::ZERO;
        for first in (0..RECORDS).step_by(1024) {
            let batch: Vec<_> = (first..first + 1024).map(|n| record(n + 1)).collect();
            sent += total(&batch);
            exporter.send(batch);
            if with_good {
                // Nothing may be missing: the sink keeps up.
                sink.receive_until(|sink| sink.records.len() as u64 >= first + 1024);
            }
        }
        let status = &exporter.status()[0];
        assert_eq!(status.held_records, 256 * 1024);
        assert_eq!(status.lost_records, RECORDS - 256 * 1024);
        let turned_away = status.lost;
        let (status, snapshot) = exporter.finish();
        assert!(snapshot.is_balanced() && snapshot.held().is_zero());
        assert_eq!(status[0].lost, sent);
        if with_good {
            assert_eq!(snapshot.exported, sent);
            assert_eq!(status[1].exported, sent);
            assert_eq!(sink.total(), sent);
        } else {
            assert_eq!(snapshot.lost.of(LossReason::ExportQueueFull), turned_away);
            let waited = sent.saturating_sub(turned_away);
            assert_eq!(snapshot.lost.of(LossReason::NotSent), waited);
        }
    }
}

/// More than can be encoded and sent in the time.
#[test]
fn what_comes_too_fast_is_refused_and_counted() {
    const BATCHES: u64 = 800;
    // Nobody reads: what the receiver's kernel throws away is the receiver's.
    let sink = Sink::new(SocketAddr::new(addresses()[0], 0));
    let exporter = Exporter::start(&[collector_at(sink.address(), Protocol::Ipfix)]);
    let batch = records(1024);
    let mut most_held = 0;
    for n in 0..BATCHES {
        exporter.send(batch.clone());
        if n % 20 == 0 {
            let snapshot = exporter.snapshot();
            assert!(snapshot.is_balanced(), "{snapshot:?}");
            let status = &exporter.status()[0];
            let accounted = status.records + status.held_records + status.lost_records;
            assert_eq!(status.offered_records, accounted);
            most_held = most_held.max(status.held_records);
        }
    }
    let (status, snapshot) = exporter.finish();
    assert!((200_000..=262_144).contains(&most_held), "{most_held}");
    assert_eq!(status[0].offered_records, BATCHES * 1024);
    assert!(snapshot.is_balanced() && snapshot.held().is_zero());
    let full = snapshot.lost.of(LossReason::ExportQueueFull);
    assert_eq!(
        (full, snapshot.exported),
        (status[0].lost, status[0].exported)
    );
    assert_eq!(snapshot.lost.total(), full);
    assert!(status[0].lost_records > 100_000, "{:?}", status[0]);
}

#[test]
fn collectors_that_share_get_each_flow_once() {
    let mut sinks: Vec<_> = (0..3)
        .map(|_| Sink::new(SocketAddr::new(addresses()[0], 0)))
        .collect();
    let mut configs: Vec<_> = sinks
        .iter()
        .map(|sink| collector_at(sink.address(), Protocol::Ipfix))
        .collect();
    configs[0].balance = Some("pair".to_owned());
    configs[2].balance = Some("pair".to_owned());
    let exporter = Exporter::start(&configs);
    // Forth, and back.
    let forth = records(4000);
    let back: Vec<_> = (4001..=8000)
        .zip(&forth)
        .map(|(n, record)| {
            let mut record = record.clone();
            record.metrics.packets = n;
            let id = &mut record.id;
            std::mem::swap(&mut id.src_ip, &mut id.dst_ip);
            std::mem::swap(&mut id.src_mac, &mut id.dst_mac);
            if !matches!(id.transport_protocol, 1 | 58) {
                std::mem::swap(&mut id.src_port, &mut id.dst_port);
            }
            id.direction ^= 1;
            record
        })
        .collect();
    for batch in forth.chunks(1000).chain(back.chunks(1000)) {
        exporter.send(batch.to_vec());
    }
    sinks[1].receive_until(|sink| sink.records.len() == 8000);
    let (status, snapshot) = exporter.finish();
    let got: Vec<std::collections::BTreeSet<u64>> = sinks
        .iter_mut()
        .map(|sink| {
            sink.receive_rest();
            sink.assert_sound();
            sink.records.iter().map(|record| record.packets).collect()
        })
        .collect();
    assert_eq!(got[1].len(), 8000);
    assert!(got[0].is_disjoint(&got[2]));
    assert_eq!(got[0].len() + got[2].len(), 8000);
    for n in 1..=4000 {
        assert_eq!(got[0].contains(&n), got[0].contains(&(n + 4000)), "{n}");
    }
    assert!((2400..5600).contains(&got[0].len()), "{}", got[0].len());
    for (status, got) in status.iter().zip(&got) {
        assert_eq!((status.records, status.lost_records), (got.len() as u64, 0));
    }
    assert_eq!(snapshot.exported, total(&forth) + total(&back));
    assert!(snapshot.is_balanced() && snapshot.lost.total().is_zero());
}

#[test]
fn without_a_collector_everything_is_lost_by_its_name() {
    let exporter = Exporter::start(&[]);
    exporter.send(records(7));
    let (_, snapshot) = exporter.finish();
    assert_eq!(
        snapshot.lost.of(LossReason::NoCollector),
        total(&records(7))
    );
    assert!(snapshot.is_balanced() && snapshot.held().is_zero());
}

#[test]
fn the_rate_limit_holds_and_nothing_is_lost_by_it() {
    for max_message in [600, 1400] {
        let mut sink = Sink::new(SocketAddr::new(addresses()[0], 0));
        let mut config = collector_at(sink.address(), Protocol::Ipfix);
        config.rate_limit = NonZeroU32::new(500);
        config.max_message_size = Some(max_message);
        let exporter = Exporter::start(&[config]);
        let began = Instant::now();
        exporter.send(records(1000));
        sink.receive_until(|sink| sink.records.len() == 1000);
        let took = began.elapsed();
        // The first 50 and the last message's come without waiting.
        assert!(took > Duration::from_millis(1750), "{took:?}");
        assert!(took < Duration::from_secs(4), "{took:?}");
        let (status, _) = exporter.finish();
        assert_eq!(status[0].lost, Count::ZERO);
    }
}

#[test]
fn all_that_is_queued_is_sent_before_the_end() {
    for protocol in PROTOCOLS {
        let sink = Sink::new(SocketAddr::new(addresses()[0], 0));
        let exporter = Exporter::start(&[collector_at(sink.address(), protocol)]);
        let sent = records(20_000);
        for batch in sent.chunks(1024) {
            exporter.send(batch.to_vec());
        }
        let reader = thread::spawn(move || {
            let mut sink = sink;
            sink.receive_until(|sink| sink.records.len() == 20_000);
            sink
        });
        let (status, snapshot) = exporter.finish();
        let sink = reader.join().unwrap();
        assert_eq!(snapshot.exported, total(&sent));
        assert_eq!(status[0].exported, total(&sent));
        assert_eq!(sink.total(), total(&sent));
        sink.assert_sound();
    }
}

/// Shows 7011/3.1/domain-zero, 7011/4.1/contents, 7011/4.2/contents, 7011/4.3/contents.
#[test]
fn options_say_what_the_interfaces_are_called_what_is_sampled_and_what_was_lost() {
    let shared = |sampling, names: &[&str]| Shared {
        interfaces: names
            .iter()
            .zip(3..)
            .map(|(name, index)| Interface {
                index,
                name: (*name).to_owned(),
                description: format!("the uplink {name}"),
            })
            .collect(),
        sampling,
        ignored: Count::new(12, 1234),
        ignored_first_ms: 1_795_536_000_000,
        ignored_last_ms: 1_795_536_001_000,
    };
    for protocol in PROTOCOLS {
        let mut sink = Sink::new(SocketAddr::new(addresses()[0], 0));
        let mut config = collector_at(sink.address(), protocol);
        config.domain_id = Some(77);
        let exporter = Exporter::start(&[config]);
        exporter.share(shared(1, &["eth0"]));
        exporter.send(records(20));
        sink.receive_until(|sink| {
            sink.records.len() == 20 && sink.option(e::INTERFACE_NAME).is_some()
        });
        assert!(
            sink.option(e::SAMPLING_INTERVAL).is_none(),
            "told only where there is sampling"
        );
        // A new interface and another sampling are told at once.
        exporter.share(shared(100, &["eth0", "wan1"]));
        sink.receive_until(|sink| sink.options_with(e::SAMPLING_INTERVAL) > 0);
        sink.receive_until(|sink| sink.options_with(e::INTERFACE_NAME) >= 3);
        exporter.share(shared(1, &["eth0", "wan1"]));
        sink.receive_until(|sink| sink.options_with(e::SAMPLING_INTERVAL) > 1);
        let (status, _) = exporter.finish();
        sink.receive_rest();
        sink.assert_sound();

        let process_domain = match protocol {
            Protocol::Ipfix => 0,
            Protocol::NetflowV9 | Protocol::NetflowV5 => 77,
        };
        let names: Vec<_> = sink
            .options
            .iter()
            .filter(|option| option.number(e::INTERFACE_NAME).is_some())
            .collect();
        for option in &names {
            assert_eq!(option.domain, process_domain);
        }
        let last = names.last().unwrap();
        assert_eq!(last.text(e::INTERFACE_NAME), "wan1");
        assert_eq!(last.text(e::INTERFACE_DESCRIPTION), "the uplink wan1");
        let scope = match protocol {
            Protocol::Ipfix => e::INGRESS_INTERFACE,
            Protocol::NetflowV9 | Protocol::NetflowV5 => ipfix::v9_scope::INTERFACE,
        };
        assert_eq!(last.number(scope), Some(4));
        let sampling: Vec<_> = sink
            .options
            .iter()
            .filter_map(|o| Some((o.domain, o.number(e::SAMPLING_INTERVAL)?)))
            .collect();
        assert_eq!(sampling.first(), Some(&(77, 100)));
        assert_eq!(sampling.last(), Some(&(77, 1)));
        if protocol == Protocol::NetflowV9 {
            continue;
        }
        let metering = sink.option(e::IGNORED_PACKET_TOTAL_COUNT).unwrap();
        assert_eq!(metering.number(e::OBSERVATION_DOMAIN_ID), Some(77));
        assert_eq!(metering.number(e::IGNORED_PACKET_TOTAL_COUNT), Some(12));
        assert_eq!(metering.number(e::IGNORED_OCTET_TOTAL_COUNT), Some(1234));
        assert_eq!(metering.domain, 0);
        let exporting = sink.option(e::EXPORTED_MESSAGE_TOTAL_COUNT).unwrap();
        assert_eq!(
            exporting.number(e::EXPORTED_FLOW_RECORD_TOTAL_COUNT),
            Some(20)
        );
        let messages = exporting.number(e::EXPORTED_MESSAGE_TOTAL_COUNT).unwrap();
        assert_eq!(
            messages + 2,
            status[0].messages,
            "all but the one that says it and the one after"
        );
        let not_sent = sink.option(e::NOT_SENT_FLOW_TOTAL_COUNT).unwrap();
        let process = not_sent.number(e::EXPORTING_PROCESS_ID).unwrap();
        assert_eq!(process, u64::from(std::process::id()));
        assert_eq!(not_sent.number(e::NOT_SENT_FLOW_TOTAL_COUNT), Some(0));
        assert_eq!(not_sent.number(e::OBSERVATION_TIME_MILLISECONDS), Some(0));
    }
}

/// Shows 7011/3.1/domain-zero, 7011/4.4/contents.
#[test]
fn options_say_which_fields_are_flow_keys() {
    let mut sink = Sink::new(SocketAddr::new(addresses()[0], 0));
    let mut config = collector_at(sink.address(), Protocol::Ipfix);
    config.domain_id = Some(77);
    let exporter = Exporter::start(&[config]);
    exporter.send(records(20));
    sink.receive_until(|sink| {
        sink.records.len() == 20 && sink.options_with(e::FLOW_KEY_INDICATOR) == 10
    });
    drop(exporter.finish());
    sink.receive_rest();
    sink.assert_sound();
    let not_keys = [
        e::OCTET_DELTA_COUNT,
        e::PACKET_DELTA_COUNT,
        e::FLOW_START_MILLISECONDS,
        e::FLOW_END_MILLISECONDS,
        e::IP_CLASS_OF_SERVICE,
        e::TCP_CONTROL_BITS,
        e::MINIMUM_TTL,
        e::MAXIMUM_TTL,
        e::FLOW_END_REASON,
    ];
    for option in &sink.options {
        let Some(keys) = option.number(e::FLOW_KEY_INDICATOR) else {
            continue;
        };
        assert_eq!(option.number(e::OBSERVATION_DOMAIN_ID), Some(77));
        assert_eq!(
            option.domain, 0,
            "nobody's sequence of records is disturbed"
        );
        let template = u16::try_from(option.number(e::TEMPLATE_ID).unwrap()).unwrap();
        let fields = &sink.meanings[&(77, template)];
        // The templates alternate between ingress and egress.
        let elsewhere = if template % 2 == 0 {
            e::EGRESS_INTERFACE
        } else {
            e::INGRESS_INTERFACE
        };
        for (bit, (id, _)) in fields.iter().enumerate() {
            let is_key = not_keys.iter().all(|e| e.id() != *id) && elsewhere.id() != *id;
            assert_eq!(keys >> bit & 1 == 1, is_key, "{template}: {id}");
        }
        assert_eq!(keys >> fields.len(), 0);
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .expect("iproute2 is needed");
    assert!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs `test` in a thread with a network namespace of its own. Needs root.
fn in_a_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = thread::spawn(|| {
        // SAFETY: concerns this thread alone.
        let failed = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        assert_eq!(
            failed,
            0,
            "{}: root is needed",
            std::io::Error::last_os_error()
        );
        ip("link set lo up");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Shows 7011/10.3.3/limit.
#[test]
fn messages_follow_the_mtu_of_the_path() {
    for protocol in PROTOCOLS {
        for address in addresses() {
            let headers = if address.is_ipv4() { 28 } else { 48 };
            in_a_namespace(move || {
                ip("link set lo mtu 1500");
                let mut sink = Sink::new(SocketAddr::new(address, 0));
                let exporter = Exporter::start(&[collector_at(sink.address(), protocol)]);
                exporter.send(records(1000));
                sink.receive_until(|sink| sink.records.len() == 1000);
                assert_eq!(exporter.status()[0].max_message, 1500 - headers);
                assert!(sink.largest <= usize::from(1500 - headers));
                ip("link set lo mtu 1300");
                let status = eventually(|| {
                    let status = exporter.status().remove(0);
                    (status.max_message == 1300 - headers).then_some(status)
                });
                assert!(status.last_error.unwrap().contains("Message too long"));
                sink.largest = 0;
                exporter.send(records(1000));
                sink.receive_until(|sink| sink.records.len() == 2000);
                let (_, snapshot) = exporter.finish();
                sink.receive_rest();
                assert!(sink.largest <= usize::from(1300 - headers));
                assert_eq!(snapshot.lost.total(), Count::ZERO);
                assert_eq!(sink.sources.len(), 1, "the port stays");
                sink.assert_sound();
            });
        }
    }
}

#[test]
fn nothing_is_lost_where_there_is_no_route_for_a_while() {
    for protocol in PROTOCOLS {
        in_a_namespace(move || {
            ip("addr add 203.0.113.1/32 dev lo");
            let mut sink = Sink::new("203.0.113.1:0".parse().unwrap());
            let exporter = Exporter::start(&[collector_at(sink.address(), protocol)]);
            exporter.send(records(1000));
            sink.receive_until(|sink| sink.records.len() == 1000);
            for round in 1..=2 {
                ip("addr del 203.0.113.1/32 dev lo");
                exporter.send(records(500));
                exporter.send(records(500));
                let status = eventually(|| {
                    let status = exporter.status().remove(0);
                    (status.errors >= 2 * round).then_some(status)
                });
                assert_eq!(status.held, total(&records(500)) + total(&records(500)));
                let error = status.last_error.unwrap();
                assert!(error.contains("Network is unreachable"), "{error}");
                ip("addr add 203.0.113.1/32 dev lo");
                let expected = 1000 + usize::try_from(round).unwrap() * 1000;
                sink.receive_until(|sink| sink.records.len() == expected);
            }
            let (status, snapshot) = exporter.finish();
            sink.receive_rest();
            sink.assert_sound();
            assert_eq!(sink.sources.len(), 1, "the port stays");
            assert_eq!(snapshot.exported, sink.total());
            assert_eq!(status[0].exported, sink.total());
            assert_eq!(snapshot.lost.total(), Count::ZERO);
        });
    }
}

/// Failures at random, and a reader that looks at the accounts all the while.
#[test]
fn accounts_balance_at_any_reading() {
    fn balances(status: &CollectorStatus) -> bool {
        status.offered == status.exported + status.held + status.lost
            && status.offered_records == status.records + status.held_records + status.lost_records
    }
    in_a_namespace(|| {
        ip("addr add 203.0.113.1/32 dev lo");
        let mut sink = Sink::new("203.0.113.1:0".parse().unwrap());
        let absent = unused_port("127.0.0.1".parse().unwrap());
        let exporter = Exporter::start(&[
            collector_at(sink.address(), Protocol::Ipfix),
            collector_at(absent, Protocol::NetflowV9),
        ]);
        let seed = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        eprintln!("seed {seed}");
        let mut random = seed | 1;
        let mut below = |n: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % n
        };
        let mut sent = Count::ZERO;
        let mut up = true;
        for _ in 0..60 {
            if below(5) == 0 {
                up = !up;
                let change = if up { "add" } else { "del" };
                ip(&format!("addr {change} 203.0.113.1/32 dev lo"));
            }
            let batch = records(1 + below(800));
            sent += total(&batch);
            exporter.send(batch);
            for _ in 0..20 {
                for status in exporter.status() {
                    assert!(balances(&status), "{status:?}");
                }
                let snapshot = exporter.snapshot();
                assert!(snapshot.is_balanced(), "{snapshot:?}");
                assert_eq!(snapshot.observed, sent);
                sink.receive_what_is_there();
            }
        }
        if !up {
            ip("addr add 203.0.113.1/32 dev lo");
        }
        let (status, snapshot) = exporter.finish();
        sink.receive_rest();
        for status in &status {
            assert!(balances(status) && status.held.is_zero(), "{status:?}");
            assert_eq!(status.offered, sent);
        }
        assert!(snapshot.is_balanced() && snapshot.held().is_zero());
        assert_eq!(snapshot.exported + snapshot.lost.total(), sent);
        assert_eq!(sink.total(), status[0].exported);
        sink.assert_sound();
    });
}
