//! `NetFlow` v5, written and read again.

use arbitrary::{Arbitrary, Result, Unstructured};
use ipfix::{
    Decoder, DecoderLimits, Layout, NetflowV5Record, NetflowV5Sampling, NetflowV5SamplingMode,
    Protocol, Record, Sequence, Session, SessionOptions, elements as e,
};

/// Writes flows made up from the input in several packets and decodes those. What is decoded must be
/// the flows, fitted into the record as its documentation says; writing again what was decoded must
/// give the same octets; and the parts of a flow must add up to it.
pub fn netflow_v5(input: &[u8]) {
    // An input that ends early has been used up to there: there is nothing to tell.
    let _ = try_netflow_v5(&mut Unstructured::new(input));
}

fn try_netflow_v5(input: &mut Unstructured<'_>) -> Result<()> {
    let mut options = SessionOptions::udp(
        Protocol::NetflowV5,
        input.arbitrary()?,
        input.arbitrary::<u32>()?.into(),
    );
    options.max_message = input.int_in_range(72..=1600)?;
    options.first_sequence = input.arbitrary()?;
    let mut sessions = [Session::new(options), Session::new(options)];
    let init_ms = sessions[0].options().system_init_ms;
    let layout = Layout::netflow_v5(|flow: &NetflowV5Record, _| *flow);
    for session in &mut sessions {
        session.register(&layout).expect("a record fits");
    }
    let mut decoder = Decoder::new(DecoderLimits::default());
    let mut now_ms = init_ms;
    for position in 0..input.int_in_range(1..=4)? {
        // Not back in time: sysUptime would be zero.
        now_ms += u64::from(input.arbitrary::<u32>()?);
        if input.arbitrary()? {
            let sampling = sampling(input)?;
            for session in &mut sessions {
                session.set_sampling(sampling);
            }
        }
        let flows = (0..input.int_in_range(0..=40)?)
            .map(|_| flow(input, now_ms))
            .collect::<Result<Vec<_>>>()?;
        let Some(packet) = write(&mut sessions[0], &layout, &flows, now_ms) else {
            assert!(flows.is_empty());
            break;
        };
        let decoded = decoder.decode(&(), &packet).expect("a packet");
        assert_eq!(decoded.length(), packet.len());
        assert_eq!(decoded.errors(), []);
        let in_order = match position {
            0 => Sequence::First,
            _ => Sequence::InOrder,
        };
        assert_eq!(decoded.sequence(), in_order);
        let header = decoded.header();
        assert_eq!(header.sampling, Some(sessions[0].sampling()));
        assert_eq!(
            header.observation_domain,
            options.observation_domain & 0xffff
        );
        let read: Vec<NetflowV5Record> = decoded
            .records()
            .map(|record| flow_of(&record, init_ms))
            .collect();
        assert!(!read.is_empty());
        for (read, flow) in read.iter().zip(&flows) {
            assert_eq!(*read, fitted(flow, init_ms));
        }
        let again = write(&mut sessions[1], &layout, &read, now_ms);
        assert_eq!(again, Some(packet));
    }
    Ok(())
}

/// One packet of as many as fit.
fn write(
    session: &mut Session,
    layout: &Layout<NetflowV5Record>,
    flows: &[NetflowV5Record],
    now_ms: u64,
) -> Option<Vec<u8>> {
    let fit = (usize::from(session.options().max_message) - 24) / NetflowV5Record::LENGTH;
    let fit = fit.min(NetflowV5Record::MAX_PER_PACKET.into());
    let mut packet = Vec::new();
    let mut writer = session.begin(&mut packet, now_ms);
    let written = writer.write_all(layout, flows).expect("it is registered");
    assert_eq!(written, flows.len().min(fit));
    let message = writer.finish()?;
    session.commit(message).expect("it is the last one");
    Some(packet)
}

fn sampling(input: &mut Unstructured<'_>) -> Result<NetflowV5Sampling> {
    let mode = *input.choose(&[
        NetflowV5SamplingMode::None,
        NetflowV5SamplingMode::Deterministic,
        NetflowV5SamplingMode::Random,
    ])?;
    let interval = input.int_in_range(0..=0x3fff)?;
    Ok(NetflowV5Sampling::new(mode, interval).expect("14 bits"))
}

fn flow(input: &mut Unstructured<'_>, now_ms: u64) -> Result<NetflowV5Record> {
    // More are right too, and take for ever.
    const MOST_PARTS: u64 = 64;
    // Counters of any size, not always as large as 64 random bits.
    let mut counter = || -> Result<u64> {
        let shift = input.int_in_range(0..=63)?;
        Ok(u64::arbitrary(input)? >> shift)
    };
    let (packets, octets) = (counter()?, counter()?);
    let flow = NetflowV5Record {
        source: input.arbitrary::<u32>()?.into(),
        destination: input.arbitrary::<u32>()?.into(),
        next_hop: input.arbitrary::<u32>()?.into(),
        ingress_interface: input.arbitrary()?,
        egress_interface: input.arbitrary()?,
        packets,
        octets,
        first_ms: now_ms.saturating_sub(input.arbitrary::<u32>()?.into()),
        last_ms: now_ms.saturating_sub(input.arbitrary::<u32>()?.into()),
        source_port: input.arbitrary()?,
        destination_port: input.arbitrary()?,
        tcp_flags: input.arbitrary()?,
        protocol: input.arbitrary()?,
        tos: input.arbitrary()?,
        source_as: input.arbitrary()?,
        destination_as: input.arbitrary()?,
        source_prefix_length: input.arbitrary()?,
        destination_prefix_length: input.arbitrary()?,
    };
    if packets.max(octets) < MOST_PARTS * NetflowV5Record::MAX_COUNTER {
        let parts: Vec<NetflowV5Record> = flow.parts().collect();
        let sum = parts.iter().fold((0, 0), |(packets, octets), part| {
            assert!(part.packets.max(part.octets) <= NetflowV5Record::MAX_COUNTER);
            (packets + part.packets, octets + part.octets)
        });
        assert_eq!(sum, (packets, octets));
    }
    Ok(flow)
}

/// The flow as a record has it; its times as of a sysUptime that has not wrapped.
fn fitted(flow: &NetflowV5Record, init_ms: u64) -> NetflowV5Record {
    let number = |number| match u16::try_from(number) {
        Ok(number) => number.into(),
        Err(_) => NetflowV5Record::AS_TRANS.into(),
    };
    let uptime = |ms: u64| init_ms + (ms.wrapping_sub(init_ms) & 0xffff_ffff);
    NetflowV5Record {
        ingress_interface: flow.ingress_interface.min(NetflowV5Record::MAX_INTERFACE),
        egress_interface: flow.egress_interface.min(NetflowV5Record::MAX_INTERFACE),
        packets: flow.packets.min(NetflowV5Record::MAX_COUNTER),
        octets: flow.octets.min(NetflowV5Record::MAX_COUNTER),
        first_ms: uptime(flow.first_ms),
        last_ms: uptime(flow.last_ms),
        source_as: number(flow.source_as),
        destination_as: number(flow.destination_as),
        ..*flow
    }
}

fn flow_of(record: &Record<'_>, init_ms: u64) -> NetflowV5Record {
    let number = |element| {
        let value = record.value(&element).expect("version 5 has it");
        value.unsigned().expect("it is a number")
    };
    let word = |element| u32::try_from(number(element)).expect("four octets");
    let half = |element| u16::try_from(number(element)).expect("two octets");
    let octet = |element| u8::try_from(number(element)).expect("one octet");
    NetflowV5Record {
        source: word(e::SOURCE_IPV4_ADDRESS).into(),
        destination: word(e::DESTINATION_IPV4_ADDRESS).into(),
        next_hop: word(e::IP_NEXT_HOP_IPV4_ADDRESS).into(),
        ingress_interface: word(e::INGRESS_INTERFACE),
        egress_interface: word(e::EGRESS_INTERFACE),
        packets: number(e::PACKET_DELTA_COUNT),
        octets: number(e::OCTET_DELTA_COUNT),
        first_ms: init_ms + number(e::FLOW_START_SYS_UP_TIME),
        last_ms: init_ms + number(e::FLOW_END_SYS_UP_TIME),
        source_port: half(e::SOURCE_TRANSPORT_PORT),
        destination_port: half(e::DESTINATION_TRANSPORT_PORT),
        tcp_flags: octet(e::TCP_CONTROL_BITS),
        protocol: octet(e::PROTOCOL_IDENTIFIER),
        tos: octet(e::IP_CLASS_OF_SERVICE),
        source_as: word(e::BGP_SOURCE_AS_NUMBER),
        destination_as: word(e::BGP_DESTINATION_AS_NUMBER),
        source_prefix_length: octet(e::SOURCE_IPV4_PREFIX_LENGTH),
        destination_prefix_length: octet(e::DESTINATION_IPV4_PREFIX_LENGTH),
    }
}
