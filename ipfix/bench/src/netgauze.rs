//! `netgauze-flow-pkt`.

use std::hint::black_box;

use ipfix::Protocol;
use netgauze_flow_pkt::ie::Field;
use netgauze_flow_pkt::ipfix::{self as ngipfix, IpfixPacket};
use netgauze_flow_pkt::netflow::{self as ngv9, NetFlowV9Packet};
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput;
use netgauze_parse_utils::{WritablePduWithOneInput, WritablePduWithTwoInputs};

use crate::{BUFFER, Contender, Messages, Sample};

const NAME: &str = "netgauze-flow-pkt";

/// Serialises packets that exist already into a buffer that is used again.
pub(crate) fn encode(protocol: Protocol, messages: &Messages) -> Contender {
    let mut peer = Peer::new(protocol, messages);
    let packets: Vec<Packet> = messages.data.iter().map(|data| peer.parse(data)).collect();
    let mut buffer = Vec::with_capacity(BUFFER);
    for (packet, wanted) in packets.iter().zip(&messages.data) {
        buffer.clear();
        peer.write(packet, &mut buffer);
        assert_eq!(&buffer, wanted, "{NAME} writes other octets");
    }
    Contender::new(NAME, move || {
        packets
            .iter()
            .map(|packet| {
                buffer.clear();
                peer.write(packet, &mut buffer);
                black_box(&buffer);
                packet.records()
            })
            .sum()
    })
}

/// Parses into its packets, which own typed values.
pub(crate) fn decode(protocol: Protocol, messages: Messages) -> Contender {
    let mut peer = Peer::new(protocol, &messages);
    let samples: Vec<Sample> = messages
        .data
        .iter()
        .flat_map(|message| peer.parse(message).samples())
        .collect();
    assert_eq!(samples, crate::samples(&messages), "{NAME} reads otherwise");
    Contender::new(NAME, move || {
        messages
            .data
            .iter()
            .map(|message| black_box(peer.parse(message)).records())
            .sum()
    })
}

/// The templates of one exporter.
enum Peer {
    Ipfix(ngipfix::TemplatesMap),
    NetflowV9(ngv9::TemplatesMap),
}

enum Packet {
    Ipfix(IpfixPacket),
    NetflowV9(NetFlowV9Packet),
}

impl Peer {
    fn new(protocol: Protocol, messages: &Messages) -> Self {
        let mut peer = match protocol {
            Protocol::Ipfix => Self::Ipfix(ngipfix::TemplatesMap::new()),
            Protocol::NetflowV9 | Protocol::NetflowV5 => Self::NetflowV9(ngv9::TemplatesMap::new()),
        };
        peer.parse(&messages.template);
        peer
    }

    fn parse(&mut self, message: &[u8]) -> Packet {
        let mut reader = SliceReader::new(message);
        match self {
            Self::Ipfix(templates) => Packet::Ipfix(
                IpfixPacket::parse(&mut reader, templates).expect("it reads our messages"),
            ),
            Self::NetflowV9(templates) => Packet::NetflowV9(
                NetFlowV9Packet::parse(&mut reader, templates).expect("it reads our messages"),
            ),
        }
    }

    fn write(&self, packet: &Packet, buffer: &mut Vec<u8>) {
        match (self, packet) {
            (Self::Ipfix(templates), Packet::Ipfix(packet)) => packet
                .write(buffer, Some(templates))
                .expect("it parsed the same"),
            (Self::NetflowV9(templates), Packet::NetflowV9(packet)) => {
                // With padding, as ours.
                WritablePduWithTwoInputs::write(packet, buffer, Some(templates), true)
                    .expect("it parsed the same");
            }
            _ => unreachable!("one protocol in a peer"),
        }
    }
}

impl Packet {
    fn records(&self) -> u64 {
        let records: usize = match self {
            Self::Ipfix(packet) => packet
                .sets()
                .iter()
                .map(|set| match set {
                    ngipfix::Set::Data { records, .. } => records.len(),
                    _ => 0,
                })
                .sum(),
            Self::NetflowV9(packet) => packet
                .sets()
                .iter()
                .map(|set| match set {
                    ngv9::Set::Data { records, .. } => records.len(),
                    _ => 0,
                })
                .sum(),
        };
        records.try_into().unwrap_or(u64::MAX)
    }

    fn samples(&self) -> Vec<Sample> {
        match self {
            Self::Ipfix(packet) => packet
                .sets()
                .iter()
                .flat_map(|set| match set {
                    ngipfix::Set::Data { records, .. } => &**records,
                    _ => &[],
                })
                .map(|record| sample(record.fields()))
                .collect(),
            Self::NetflowV9(packet) => packet
                .sets()
                .iter()
                .flat_map(|set| match set {
                    ngv9::Set::Data { records, .. } => &**records,
                    _ => &[],
                })
                .map(|record| sample(record.fields()))
                .collect(),
        }
    }
}

fn sample(fields: &[Field]) -> Sample {
    let mut sample = Sample::default();
    for field in fields {
        match field {
            Field::sourceIPv4Address(address) => sample.source = Some((*address).into()),
            Field::octetDeltaCount(octets) => sample.octets = Some(*octets),
            Field::sourceTransportPort(port) => sample.source_port = Some(*port),
            Field::destinationMacAddress(address) => sample.destination_mac = Some(*address),
            Field::flowEndMilliseconds(time) => {
                sample.end_ms = u64::try_from(time.timestamp_millis()).ok();
            }
            Field::flowEndSysUpTime(time) => sample.end_ms = Some((*time).into()),
            Field::flowEndReason(reason) => sample.end_reason = Some((*reason).into()),
            _ => {}
        }
    }
    sample
}
