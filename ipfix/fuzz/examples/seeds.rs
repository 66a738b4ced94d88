//! Writes seeds for every target into `DIRECTORY/TARGET`, with our own writer: nothing to keep in
//! the repository, and never out of date.
//!
//! Usage: `seeds DIRECTORY`
#![forbid(unsafe_code)]

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ipfix::{
    AbstractType, Element, Layout, NetflowV5Record, NetflowV5Sampling, NetflowV5SamplingMode,
    Protocol, Semantics, Session, SessionOptions, TemplateSchedule, elements as e, v9_scope,
};
use ipfix_fuzz::{Datagram, decode_input};

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: seeds DIRECTORY");
        return ExitCode::FAILURE;
    };
    match write_all(&directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", directory.display());
            ExitCode::FAILURE
        }
    }
}

fn write_all(directory: &Path) -> io::Result<()> {
    for (target, seeds) in [
        ("decode", decode()),
        ("netflow_v5", random()),
        ("round_trip", random()),
    ] {
        let directory = directory.join(target);
        std::fs::create_dir_all(&directory)?;
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::write(directory.join(number.to_string()), seed)?;
        }
    }
    Ok(())
}

/// Sessions of each protocol alone, in wrong order, and mixed with each other.
fn decode() -> Vec<Vec<u8>> {
    let datagrams = |session, messages: &[Vec<u8>], forget| {
        decode_input(messages.iter().map(|octets| Datagram {
            session,
            forget,
            octets,
        }))
    };
    let mut seeds = Vec::new();
    let all = [messages(Protocol::Ipfix), messages(Protocol::NetflowV9)];
    for messages in &all {
        seeds.push(datagrams(0, messages, false));
        seeds.push(datagrams(1, messages, true));
        let mut backwards = messages.clone();
        backwards.reverse();
        seeds.push(datagrams(2, &backwards, false));
        seeds.extend(
            messages
                .iter()
                .map(|message| datagrams(3, std::slice::from_ref(message), false)),
        );
    }
    let [ipfix, v9] = &all;
    let mixed = ipfix.iter().zip(v9).zip(0..);
    seeds.push(decode_input(mixed.flat_map(|((ipfix, v9), session)| {
        [(0, ipfix), (session % 3, v9), (session % 2, ipfix)].map(|(session, octets)| Datagram {
            session,
            forget: false,
            octets,
        })
    })));
    // RFC 7011 section 8.1: one template withdrawn, then all.
    let withdrawals = [
        header(&[0, 2, 0, 8, 1, 0, 0, 0]),
        header(&[0, 2, 0, 8, 0, 2, 0, 0, 0, 3, 0, 8, 0, 3, 0, 0]),
    ];
    let mut withdrawn = ipfix.clone();
    withdrawn.splice(1..1, withdrawals);
    seeds.push(datagrams(0, &withdrawn, false));
    seeds.push(datagrams(0, &netflow_v5(), false));
    seeds
}

/// The octets choose everything: as good as any.
fn random() -> Vec<Vec<u8>> {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    [64, 256, 1024, 2048]
        .into_iter()
        .cycle()
        .take(24)
        .map(|length| {
            (0..length)
                .map(|_| {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    random.to_le_bytes()[4]
                })
                .collect()
        })
        .collect()
}

/// An IPFIX message of sequence and domain 0.
fn header(sets: &[u8]) -> Vec<u8> {
    let length = u8::try_from(16 + sets.len()).expect("short");
    let mut message = vec![0, 10, 0, length];
    message.resize(16, 0);
    message.extend(sets);
    message
}

fn netflow_v5() -> Vec<Vec<u8>> {
    let layout = Layout::netflow_v5(|flow: &NetflowV5Record, _| *flow);
    let mut session = Session::new(SessionOptions::udp(
        Protocol::NetflowV5,
        0x0203,
        NOW_MS - 100_000,
    ));
    session.register(&layout).expect("it fits");
    session
        .set_sampling(NetflowV5Sampling::new(NetflowV5SamplingMode::Random, 100).expect("14 bits"));
    [1, 2, 20]
        .map(|flows| {
            let flow = NetflowV5Record {
                packets: 7,
                octets: 500,
                last_ms: NOW_MS,
                ..NetflowV5Record::EMPTY
            };
            let mut buffer = Vec::new();
            let mut writer = session.begin(&mut buffer, NOW_MS);
            writer
                .write_all(&layout, &vec![flow; flows])
                .expect("it is registered");
            let message = writer.finish().expect("something fits");
            session.commit(message).expect("it is the last one");
            buffer
        })
        .into()
}

struct Flow {
    source: [u8; 4],
    source6: [u8; 16],
    packets: u64,
    end_ms: u64,
    name: String,
}

const NOW_MS: u64 = 1_795_536_000_250;

const SCORE: Element = Element::enterprise(
    64_512,
    7,
    "score",
    AbstractType::Signed32,
    Semantics::Quantity,
);

fn layouts(protocol: Protocol) -> [Layout<Flow>; 3] {
    let flows = |id, ipv6: bool| {
        let layout = Layout::builder(protocol, id);
        let layout = if ipv6 {
            layout.octets(e::SOURCE_IPV6_ADDRESS, |flow: &Flow, _| flow.source6)
        } else {
            layout.octets(e::SOURCE_IPV4_ADDRESS, |flow: &Flow, _| flow.source)
        }
        .unsigned(e::PACKET_DELTA_COUNT, 3, |flow, _| flow.packets)
        .octets(e::SOURCE_MAC_ADDRESS, |_, _| [2, 0, 0, 0, 0, 1]);
        match protocol {
            Protocol::Ipfix => layout
                .unsigned(e::FLOW_END_MILLISECONDS, 8, |flow, _| flow.end_ms)
                .timestamp(e::FLOW_END_NANOSECONDS, |flow| flow.end_ms * 1_000_000)
                .signed(SCORE, 2, |_, _| -5)
                .variable(e::INTERFACE_NAME, |flow| flow.name.as_bytes()),
            Protocol::NetflowV9 | Protocol::NetflowV5 => layout
                .uptime(e::FLOW_END_SYS_UP_TIME, |flow| flow.end_ms)
                .text(e::INTERFACE_NAME, 8, |flow| &flow.name),
        }
        .build()
        .expect("the columns suit their elements")
    };
    let options = Layout::<Flow>::options_builder(protocol, 300);
    let options = match protocol {
        Protocol::Ipfix => options.unsigned(e::OBSERVATION_DOMAIN_ID, 4, |_, _| 7),
        Protocol::NetflowV9 | Protocol::NetflowV5 => {
            options.unsigned(v9_scope::SYSTEM, 4, |_, _| 7)
        }
    }
    .end_of_scope()
    .unsigned(e::SAMPLING_INTERVAL, 4, |flow, _| flow.packets)
    .build()
    .expect("the columns suit their elements");
    [flows(256, false), flows(257, true), options]
}

fn messages(protocol: Protocol) -> Vec<Vec<u8>> {
    let layouts = layouts(protocol);
    let mut session = Session::new(SessionOptions {
        templates: TemplateSchedule {
            copy_after_messages: 2,
            ..TemplateSchedule::udp()
        },
        max_message: 400,
        ..SessionOptions::udp(protocol, 7, NOW_MS - 100_000)
    });
    for layout in &layouts {
        session.register(layout).expect("it fits");
    }
    (0..5_u8)
        .map(|number| {
            let flows: Vec<Flow> = (0..4)
                .map(|flow| Flow {
                    source: [192, 0, 2, flow],
                    source6: [flow; 16],
                    packets: u64::from(number) << (8 * flow),
                    end_ms: NOW_MS - u64::from(flow) * 1000,
                    // Once with the long form of the length.
                    name: "eth0".repeat(if number == 4 { 64 } else { flow.into() }),
                })
                .collect();
            let mut buffer = Vec::new();
            let mut writer = session.begin(&mut buffer, NOW_MS + u64::from(number));
            for layout in &layouts {
                writer.write_all(layout, &flows).expect("it is registered");
            }
            let message = writer.finish().expect("something fits");
            session.commit(message).expect("it is the last one");
            buffer
        })
        .collect()
}
