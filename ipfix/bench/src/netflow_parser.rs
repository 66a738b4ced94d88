//! `netflow_parser`.

use std::hint::black_box;

use netflow_parser::variable_versions::field_value::{DurationValue, FieldValue};
use netflow_parser::variable_versions::ipfix::lookup::{IANAIPFixField, IPFixField};
use netflow_parser::variable_versions::{ipfix as npipfix, v9 as npv9};
use netflow_parser::{DataNumber, NetflowPacket, NetflowParser, V9Field};

use crate::{Contender, Messages, Sample};

const NAME: &str = "netflow_parser";

/// Serialises packets that exist already; each time into a buffer of its own, it has no other way.
pub(crate) fn encode(messages: &Messages) -> Contender {
    let mut peer = peer(messages);
    let packets: Vec<NetflowPacket> = messages
        .data
        .iter()
        .map(|message| parse(&mut peer, message))
        .collect();
    for (packet, wanted) in packets.iter().zip(&messages.data) {
        assert_eq!(&write(packet), wanted, "{NAME} writes other octets");
    }
    Contender::new(NAME, move || {
        packets
            .iter()
            .map(|packet| {
                black_box(write(packet));
                records(packet)
            })
            .sum()
    })
}

/// Parses into its packets, which own typed values.
pub(crate) fn decode(messages: Messages) -> Contender {
    let mut peer = peer(&messages);
    let read: Vec<Sample> = messages
        .data
        .iter()
        .flat_map(|message| samples(&parse(&mut peer, message)))
        .collect();
    assert_eq!(read, crate::samples(&messages), "{NAME} reads otherwise");
    Contender::new(NAME, move || {
        messages
            .data
            .iter()
            .map(|message| records(&black_box(parse(&mut peer, message))))
            .sum()
    })
}

fn peer(messages: &Messages) -> NetflowParser {
    let mut peer = NetflowParser::default();
    parse(&mut peer, &messages.template);
    peer
}

fn parse(peer: &mut NetflowParser, message: &[u8]) -> NetflowPacket {
    let mut result = peer.parse_bytes(message);
    assert!(result.error.is_none(), "{NAME}: {:?}", result.error);
    assert_eq!(result.packets.len(), 1, "{NAME}");
    result.packets.swap_remove(0)
}

fn write(packet: &NetflowPacket) -> Vec<u8> {
    match packet {
        NetflowPacket::IPFix(packet) => packet.to_be_bytes(),
        NetflowPacket::V9(packet) => packet.to_be_bytes(),
        _ => unreachable!("we wrote neither version 5 nor 7"),
    }
    .expect("it parsed the same")
}

fn records(packet: &NetflowPacket) -> u64 {
    let records: usize = match packet {
        NetflowPacket::IPFix(packet) => packet
            .flowsets
            .iter()
            .map(|set| match &set.body {
                npipfix::FlowSetBody::Data(data) => data.fields.len(),
                _ => 0,
            })
            .sum(),
        NetflowPacket::V9(packet) => packet
            .flowsets
            .iter()
            .map(|set| match &set.body {
                npv9::FlowSetBody::Data(data) => data.fields.len(),
                _ => 0,
            })
            .sum(),
        _ => 0,
    };
    records.try_into().unwrap_or(u64::MAX)
}

fn samples(packet: &NetflowPacket) -> Vec<Sample> {
    let mut samples = Vec::new();
    match packet {
        NetflowPacket::IPFix(packet) => {
            for set in &packet.flowsets {
                if let npipfix::FlowSetBody::Data(data) = &set.body {
                    samples.extend(data.fields.iter().map(|record| {
                        sample(record.iter().filter_map(|(field, value)| match field {
                            IPFixField::IANA(field) => Some((column_of_ipfix(*field)?, value)),
                            _ => None,
                        }))
                    }));
                }
            }
        }
        NetflowPacket::V9(packet) => {
            for set in &packet.flowsets {
                if let npv9::FlowSetBody::Data(data) = &set.body {
                    samples.extend(data.fields.iter().map(|record| {
                        sample(
                            record
                                .iter()
                                .filter_map(|(field, value)| Some((column_of_v9(*field)?, value))),
                        )
                    }));
                }
            }
        }
        _ => {}
    }
    samples
}

/// The fields of a [`Sample`].
enum Column {
    Source,
    Octets,
    SourcePort,
    DestinationMac,
    EndMs,
    EndReason,
}

fn column_of_ipfix(field: IANAIPFixField) -> Option<Column> {
    Some(match field {
        IANAIPFixField::SourceIpv4address => Column::Source,
        IANAIPFixField::OctetDeltaCount => Column::Octets,
        IANAIPFixField::SourceTransportPort => Column::SourcePort,
        IANAIPFixField::DestinationMacaddress => Column::DestinationMac,
        IANAIPFixField::FlowEndMilliseconds => Column::EndMs,
        IANAIPFixField::FlowEndReason => Column::EndReason,
        _ => return None,
    })
}

fn column_of_v9(field: V9Field) -> Option<Column> {
    Some(match field {
        V9Field::Ipv4SrcAddr => Column::Source,
        V9Field::InBytes => Column::Octets,
        V9Field::L4SrcPort => Column::SourcePort,
        V9Field::InDstMac => Column::DestinationMac,
        V9Field::LastSwitched => Column::EndMs,
        V9Field::FlowEndReason => Column::EndReason,
        _ => return None,
    })
}

fn sample<'a>(values: impl Iterator<Item = (Column, &'a FieldValue)>) -> Sample {
    let mut sample = Sample::default();
    for (column, value) in values {
        match column {
            Column::Source => sample.source = value.try_into().ok(),
            Column::Octets => sample.octets = number(value),
            Column::SourcePort => {
                sample.source_port = number(value).and_then(|port| port.try_into().ok());
            }
            Column::DestinationMac => {
                sample.destination_mac = match value {
                    FieldValue::MacAddr(address) => Some(*address),
                    _ => None,
                };
            }
            Column::EndMs => sample.end_ms = number(value),
            Column::EndReason => {
                sample.end_reason = match value {
                    FieldValue::FlowEndReason(reason) => Some((*reason).into()),
                    _ => None,
                };
            }
        }
    }
    sample
}

fn number(value: &FieldValue) -> Option<u64> {
    match value {
        FieldValue::DataNumber(DataNumber::U64(number)) => Some(*number),
        FieldValue::DataNumber(number) => number.as_u16().map(u64::from),
        FieldValue::Duration(DurationValue::Millis { value, .. }) => Some(*value),
        _ => None,
    }
}
