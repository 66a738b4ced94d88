//! Reading `NetFlow` v5, from octets written by hand.

use std::net::{IpAddr, Ipv4Addr};

use ipfix::{Decoder, DecoderLimits, NetflowV5SamplingMode, Protocol, Sequence, elements as ie};

const RECORD: [u8; 48] = [
    192, 0, 2, 1, 198, 51, 100, 7, 203, 0, 113, 9, // addresses, next hop
    0, 3, 0, 4, 0, 0, 0, 10, 0, 0, 0x13, 0x88, // interfaces, packets, octets
    0, 0, 0x03, 0xe8, 0, 0, 0x07, 0xd0, // first 1 s, last 2 s
    0x9c, 0x40, 1, 187, 0, 0x1b, 6, 8, // ports, padding, flags, protocol, ToS
    0xfd, 0xe8, 0xfd, 0xe9, 24, 16, 0, 0, // autonomous systems, masks, padding
];

fn packet(count: u16, sequence: u32, records: usize) -> Vec<u8> {
    let mut packet = vec![0, 5];
    packet.extend(count.to_be_bytes());
    packet.extend(10_000_u32.to_be_bytes());
    packet.extend(1_795_536_000_u32.to_be_bytes());
    packet.extend(250_999_999_u32.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend([2, 5, 0x40, 100]);
    (0..records).for_each(|_| packet.extend(RECORD));
    packet
}

#[test]
fn a_packet_is_a_data_set_like_any_other() {
    let mut decoder = Decoder::new(DecoderLimits::default());
    let octets = packet(2, 77, 2);
    let decoded = decoder.decode(&(), &octets).unwrap();
    let header = decoded.header();
    assert_eq!(header.protocol, Protocol::NetflowV5);
    assert_eq!((header.length, header.count), (24 + 96, Some(2)));
    assert_eq!(header.observation_domain, 0x0205);
    assert_eq!(header.export_time_nanos, Some(250_999_999));
    assert_eq!(header.export_time_ms(), 1_795_536_000_250);
    assert_eq!(header.system_init_ms(), Some(1_795_535_990_250));
    let sampling = header.sampling.unwrap();
    assert_eq!(sampling.mode(), NetflowV5SamplingMode::Deterministic);
    assert_eq!(sampling.interval(), 100);
    assert_eq!((decoded.errors(), decoded.unknown()), (&[][..], &[][..]));
    assert_eq!(decoded.data_sets().len(), 1);
    assert_eq!(decoded.record_count(), 2);

    let options = decoder.options(&(), Protocol::NetflowV5, 0x0205).unwrap();
    for record in decoded.records() {
        assert_eq!(record.octets(), RECORD);
        assert_eq!(options.sampling_of(&record).unwrap().one_in(), 100);
        let address = |element| record.value(&element).unwrap().ip_address();
        let number = |element| record.value(&element).unwrap().unsigned();
        let v4 = |a, b, c, d| Some(IpAddr::from(Ipv4Addr::new(a, b, c, d)));
        assert_eq!(address(ie::SOURCE_IPV4_ADDRESS), v4(192, 0, 2, 1));
        assert_eq!(address(ie::DESTINATION_IPV4_ADDRESS), v4(198, 51, 100, 7));
        assert_eq!(address(ie::IP_NEXT_HOP_IPV4_ADDRESS), v4(203, 0, 113, 9));
        for (element, wanted) in [
            (ie::INGRESS_INTERFACE, 3),
            (ie::EGRESS_INTERFACE, 4),
            (ie::PACKET_DELTA_COUNT, 10),
            (ie::OCTET_DELTA_COUNT, 5000),
            (ie::SOURCE_TRANSPORT_PORT, 40000),
            (ie::DESTINATION_TRANSPORT_PORT, 443),
            (ie::TCP_CONTROL_BITS, 0x1b),
            (ie::PROTOCOL_IDENTIFIER, 6),
            (ie::IP_CLASS_OF_SERVICE, 8),
            (ie::BGP_SOURCE_AS_NUMBER, 65000),
            (ie::BGP_DESTINATION_AS_NUMBER, 65001),
            (ie::SOURCE_IPV4_PREFIX_LENGTH, 24),
            (ie::DESTINATION_IPV4_PREFIX_LENGTH, 16),
        ] {
            assert_eq!(number(element), Some(wanted), "{element}");
        }
        let time = |element| record.value(&element).unwrap().unix_ms();
        assert_eq!(time(ie::FLOW_START_SYS_UP_TIME), Some(1_795_535_991_250));
        assert_eq!(time(ie::FLOW_END_SYS_UP_TIME), Some(1_795_535_992_250));
    }
}

#[test]
fn the_sequence_counts_flows() {
    let mut decoder = Decoder::new(DecoderLimits::default());
    let mut see = |octets: &[u8]| {
        let decoded = decoder.decode(&(), octets).unwrap();
        (decoded.sequence(), decoded.missing())
    };
    assert_eq!(see(&packet(3, 10, 3)), (Sequence::First, 0));
    // Cut short: the exporter sent five all the same.
    assert_eq!(see(&packet(5, 13, 2)), (Sequence::InOrder, 0));
    assert_eq!(see(&packet(1, 18, 1)), (Sequence::InOrder, 0));
    assert_eq!(see(&packet(1, 26, 1)), (Sequence::Gap(7), 7));
    assert_eq!(see(&packet(4, 20, 4)), (Sequence::Late(7), 3));
}

#[test]
fn what_is_tolerated_and_what_is_not() {
    let mut decoder = Decoder::new(DecoderLimits::default());
    let mut read = |octets: &[u8]| {
        let decoded = decoder
            .decode(&(), octets)
            .map_err(|error| error.to_string())?;
        let errors = decoded.errors().iter().map(ToString::to_string);
        let read = (decoded.length(), decoded.record_count(), errors.collect());
        Ok::<(usize, usize, Vec<String>), String>(read)
    };
    assert_eq!(read(&packet(0, 1, 0)), Ok((24, 0, vec![])));
    // Octets after the records are not looked at.
    assert_eq!(read(&packet(1, 1, 3)), Ok((72, 1, vec![])));
    let mut short = packet(3, 1, 2);
    short.extend([0; 47]);
    assert_eq!(
        read(&short),
        Ok((
            24 + 143,
            2,
            vec![
                "octet 24: records: 144 octets needed, 143 there (NetFlow v5, export datagram \
                 format)"
                    .to_owned()
            ]
        ))
    );
    assert_eq!(
        read(&packet(31, 1, 31)),
        Err(
            "octet 2: message header: 31 records, at most 30 fit (NetFlow v5, export datagram \
             format)"
                .to_owned()
        )
    );
    assert_eq!(
        read(&packet(1, 1, 1)[..23]),
        Err(
            "octet 0: message header: 24 octets needed, 23 there (NetFlow v5, export datagram \
             format)"
                .to_owned()
        )
    );
}
