//! From the fields of a Data Record to a flow.

use std::borrow::Cow;
use std::net::IpAddr;

use ebpfix_probes::abi::MacAddress;
use ipfix::{Record, Registry, Value};

use crate::record::{FlowJson, UnixTime};

macro_rules! ids {
    ($($name:ident)*) => {
        /// Numbers of the Information Elements that are of use; `NetFlow` v9 has the same.
        mod id {
            $(pub const $name: u16 = ipfix::elements::$name.id();)*
        }
    };
}

ids! {
    OCTET_DELTA_COUNT
    PACKET_DELTA_COUNT
    PROTOCOL_IDENTIFIER
    IP_CLASS_OF_SERVICE
    TCP_CONTROL_BITS
    SOURCE_TRANSPORT_PORT
    SOURCE_IPV4_ADDRESS
    INGRESS_INTERFACE
    DESTINATION_TRANSPORT_PORT
    DESTINATION_IPV4_ADDRESS
    EGRESS_INTERFACE
    FLOW_END_SYS_UP_TIME
    FLOW_START_SYS_UP_TIME
    POST_OCTET_DELTA_COUNT
    POST_PACKET_DELTA_COUNT
    SOURCE_IPV6_ADDRESS
    DESTINATION_IPV6_ADDRESS
    ICMP_TYPE_CODE_IPV4
    MINIMUM_TTL
    MAXIMUM_TTL
    SOURCE_MAC_ADDRESS
    POST_DESTINATION_MAC_ADDRESS
    VLAN_ID
    POST_VLAN_ID
    FLOW_DIRECTION
    DESTINATION_MAC_ADDRESS
    POST_SOURCE_MAC_ADDRESS
    INTERFACE_NAME
    OCTET_TOTAL_COUNT
    PACKET_TOTAL_COUNT
    EXPORTER_IPV4_ADDRESS
    EXPORTER_IPV6_ADDRESS
    FLOW_END_REASON
    ICMP_TYPE_CODE_IPV6
    FLOW_START_SECONDS
    FLOW_END_SECONDS
    FLOW_START_MILLISECONDS
    FLOW_END_MILLISECONDS
    FLOW_START_MICROSECONDS
    FLOW_END_MICROSECONDS
    FLOW_START_NANOSECONDS
    FLOW_END_NANOSECONDS
    FLOW_START_DELTA_MICROSECONDS
    FLOW_END_DELTA_MICROSECONDS
    FLOW_DURATION_MILLISECONDS
    IP_TTL
    DOT1Q_VLAN_ID
    DOT1Q_CUSTOMER_VLAN_ID
    ETHERNET_TYPE
}

/// What is known beside the record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    /// Export time of the message.
    pub export_time: UnixTime,
    /// When sysUptime was zero, if the exporter said so in another domain.
    pub system_init: Option<UnixTime>,
}

/// The fields of a record, gathered one by one.
#[derive(Debug, Default)]
pub(super) struct Fields {
    flow: FlowJson<'static>,
    post_octets: Option<u64>,
    post_packets: Option<u64>,
    total_octets: Option<u64>,
    total_packets: Option<u64>,
    ingress_interface: Option<u32>,
    egress_interface: Option<u32>,
    source_mac: Option<MacAddress>,
    destination_mac: Option<MacAddress>,
    post_source_mac: Option<MacAddress>,
    post_destination_mac: Option<MacAddress>,
    vlan: Option<u16>,
    post_vlan: Option<u16>,
    dot1q_vlan: Option<u16>,
    icmp_type_code: Option<u16>,
    ttl: Option<u8>,
    start_uptime: Option<u32>,
    end_uptime: Option<u32>,
    start_delta: Option<u64>,
    end_delta: Option<u64>,
    duration: Option<u64>,
    interface_name: Option<String>,
}

impl Fields {
    /// The fields of a record.
    pub fn of(record: Record<'_>) -> Self {
        let mut fields = Self::default();
        for value in record.values() {
            let field = value.field();
            if field.registry() == Registry::Iana {
                fields.take(field.id(), value);
            }
        }
        fields
    }

    /// Takes a value; one that is not of use, or has a length that means nothing, is passed over.
    fn take(&mut self, element: u16, value: Value<'_>) {
        let flow = &mut self.flow;
        match element {
            id::OCTET_DELTA_COUNT => flow.bytes = value.unsigned(),
            id::PACKET_DELTA_COUNT => flow.packets = value.unsigned(),
            id::POST_OCTET_DELTA_COUNT => self.post_octets = value.unsigned(),
            id::POST_PACKET_DELTA_COUNT => self.post_packets = value.unsigned(),
            id::OCTET_TOTAL_COUNT => self.total_octets = value.unsigned(),
            id::PACKET_TOTAL_COUNT => self.total_packets = value.unsigned(),
            id::PROTOCOL_IDENTIFIER => flow.proto = narrow(value),
            id::IP_CLASS_OF_SERVICE => flow.tos = narrow(value),
            id::TCP_CONTROL_BITS => flow.tcp_flags = narrow(value),
            id::SOURCE_TRANSPORT_PORT => flow.sport = narrow(value),
            id::DESTINATION_TRANSPORT_PORT => flow.dport = narrow(value),
            id::SOURCE_IPV4_ADDRESS | id::SOURCE_IPV6_ADDRESS => {
                flow.src = the_one_that_is_set(flow.src, value.ip_address());
            }
            id::DESTINATION_IPV4_ADDRESS | id::DESTINATION_IPV6_ADDRESS => {
                flow.dst = the_one_that_is_set(flow.dst, value.ip_address());
            }
            id::EXPORTER_IPV4_ADDRESS | id::EXPORTER_IPV6_ADDRESS => {
                flow.agent = the_one_that_is_set(flow.agent, value.ip_address());
            }
            id::INGRESS_INTERFACE => self.ingress_interface = narrow(value),
            id::EGRESS_INTERFACE => self.egress_interface = narrow(value),
            id::ICMP_TYPE_CODE_IPV4 | id::ICMP_TYPE_CODE_IPV6 => {
                self.icmp_type_code = narrow(value);
            }
            id::MINIMUM_TTL => flow.min_ttl = narrow(value),
            id::MAXIMUM_TTL => flow.max_ttl = narrow(value),
            id::IP_TTL => self.ttl = narrow(value),
            id::SOURCE_MAC_ADDRESS => self.source_mac = mac(value),
            id::DESTINATION_MAC_ADDRESS => self.destination_mac = mac(value),
            id::POST_SOURCE_MAC_ADDRESS => self.post_source_mac = mac(value),
            id::POST_DESTINATION_MAC_ADDRESS => self.post_destination_mac = mac(value),
            id::VLAN_ID => self.vlan = narrow(value),
            id::POST_VLAN_ID => self.post_vlan = narrow(value),
            id::DOT1Q_VLAN_ID => self.dot1q_vlan = narrow(value),
            id::DOT1Q_CUSTOMER_VLAN_ID => flow.customer_vlan = narrow(value),
            id::ETHERNET_TYPE => flow.eth_type = narrow(value),
            id::FLOW_DIRECTION => flow.direction = narrow(value),
            id::FLOW_END_REASON => flow.end_reason = narrow(value),
            id::INTERFACE_NAME => self.interface_name = text(value),
            _ => self.take_time(element, value),
        }
    }

    fn take_time(&mut self, element: u16, value: Value<'_>) {
        let flow = &mut self.flow;
        match element {
            id::FLOW_START_SECONDS | id::FLOW_START_MILLISECONDS => flow.start = millis(value),
            id::FLOW_END_SECONDS | id::FLOW_END_MILLISECONDS => flow.end = millis(value),
            id::FLOW_START_MICROSECONDS | id::FLOW_START_NANOSECONDS => flow.start = nanos(value),
            id::FLOW_END_MICROSECONDS | id::FLOW_END_NANOSECONDS => flow.end = nanos(value),
            id::FLOW_START_SYS_UP_TIME => {
                // Only in NetFlow v9 it can be told from the message alone.
                flow.start = flow.start.or(millis(value));
                self.start_uptime = narrow(value);
            }
            id::FLOW_END_SYS_UP_TIME => {
                flow.end = flow.end.or(millis(value));
                self.end_uptime = narrow(value);
            }
            id::FLOW_START_DELTA_MICROSECONDS => self.start_delta = value.unsigned(),
            id::FLOW_END_DELTA_MICROSECONDS => self.end_delta = value.unsigned(),
            id::FLOW_DURATION_MILLISECONDS => self.duration = value.unsigned(),
            _ => {}
        }
    }

    /// The flow; what the exporter said by options is the caller's to add.
    pub fn into_flow(self, context: Context) -> FlowJson<'static> {
        const EGRESS: u8 = 1;
        const ICMP: u8 = 1;
        const ICMPV6: u8 = 58;
        let (start, end) = self.times(context);
        let mut flow = self.flow;
        (flow.start, flow.end) = (start, end);

        let icmp = matches!(flow.proto, Some(ICMP | ICMPV6));
        if icmp && flow.dport.is_none_or(|port| port == 0) {
            flow.dport = self.icmp_type_code.or(flow.dport);
        }
        flow.packets = flow.packets.or(self.total_packets).or(self.post_packets);
        flow.bytes = flow.bytes.or(self.total_octets).or(self.post_octets);
        flow.min_ttl = flow.min_ttl.or(self.ttl);
        flow.max_ttl = flow.max_ttl.or(self.ttl);

        // An exporter may give both sides of each; which one is the Observation Point's own follows
        // from the direction.
        let egress = flow.direction == Some(EGRESS);
        let (first, second) = if egress {
            (self.egress_interface, self.ingress_interface)
        } else {
            (self.ingress_interface, self.egress_interface)
        };
        flow.if_index = first.filter(|index| *index != 0).or(second).or(first);
        flow.src_mac = if egress {
            self.post_source_mac.or(self.source_mac)
        } else {
            self.source_mac.or(self.post_source_mac)
        };
        flow.dst_mac = if egress {
            self.post_destination_mac.or(self.destination_mac)
        } else {
            self.destination_mac.or(self.post_destination_mac)
        };
        flow.vlan = self.dot1q_vlan.or(if egress {
            self.post_vlan.or(self.vlan)
        } else {
            self.vlan.or(self.post_vlan)
        });
        flow.interface = self.interface_name.map(Cow::Owned);
        flow
    }

    fn times(&self, context: Context) -> (Option<UnixTime>, Option<UnixTime>) {
        const NS_PER_US: u64 = 1_000;
        const NS_PER_MS: u64 = 1_000_000;
        let before_export = |micros: u64| {
            let nanos = micros.saturating_mul(NS_PER_US);
            context.export_time.saturating_sub_ns(nanos)
        };
        let since_init =
            |uptime: Option<u32>| uptime_time(uptime?, context.system_init?, context.export_time);
        let start = self.flow.start.or(self.start_delta.map(before_export));
        let end = self.flow.end.or(self.end_delta.map(before_export));
        let start = start.or_else(|| since_init(self.start_uptime));
        let end = end.or_else(|| since_init(self.end_uptime));
        let duration = self.duration.map(|millis| millis.saturating_mul(NS_PER_MS));
        match (start, end, duration) {
            (Some(start), None, Some(ns)) => (Some(start), Some(start.saturating_add_ns(ns))),
            (None, Some(end), Some(ns)) => (Some(end.saturating_sub_ns(ns)), Some(end)),
            (start, end, _) => (start, end),
        }
    }
}

/// The time of day of a sysUptime in milliseconds. It starts again every 49.7 days: of all times with
/// this uptime, the one nearest to the export.
fn uptime_time(uptime: u32, init: UnixTime, export_time: UnixTime) -> Option<UnixTime> {
    /// After which sysUptime starts again.
    const CYCLE_MS: i64 = 1 << 32;
    let millis = |time: UnixTime| i64::try_from(time.millis()).ok();
    let (init, export_time) = (millis(init)?, millis(export_time)?);
    let first = init.checked_add(i64::from(uptime))?;
    let cycles = (export_time - first + CYCLE_MS / 2).div_euclid(CYCLE_MS);
    let time = first.checked_add(cycles * CYCLE_MS)?;
    Some(UnixTime::from_millis(u64::try_from(time).ok()?))
}

/// The address of a record that may have fields for both families, of which one is zero.
fn the_one_that_is_set(before: Option<IpAddr>, now: Option<IpAddr>) -> Option<IpAddr> {
    match (before, now) {
        (Some(before), Some(now)) if now.is_unspecified() => Some(before),
        (before, None) => before,
        (_, now) => now,
    }
}

/// An unsigned integer, if it fits.
fn narrow<T: TryFrom<u64>>(value: Value<'_>) -> Option<T> {
    T::try_from(value.unsigned()?).ok()
}

fn mac(value: Value<'_>) -> Option<MacAddress> {
    value.mac_address().map(MacAddress)
}

fn text(value: Value<'_>) -> Option<String> {
    value
        .text()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

fn millis(value: Value<'_>) -> Option<UnixTime> {
    value.unix_ms().map(UnixTime::from_millis)
}

fn nanos(value: Value<'_>) -> Option<UnixTime> {
    let nanos = i64::try_from(value.unix_ns()?).ok()?;
    Some(UnixTime::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use ipfix::{Decoder, DecoderLimits, Protocol};

    use super::*;

    /// 2026-11-24 16:07:00 UTC.
    const NOW_MS: u64 = 1_795_536_420_000;

    /// sysUptime of the messages.
    const UPTIME_MS: u32 = 10_000;

    /// The only record of a message whose template has these fields.
    fn flow_in(
        protocol: Protocol,
        fields: &[(u16, &[u8])],
        system_init: Option<UnixTime>,
        uptime: u32,
    ) -> FlowJson<'static> {
        let number = |number: usize| u16::try_from(number).unwrap().to_be_bytes();
        let mut template = vec![1, 0];
        template.extend(number(fields.len()));
        let mut data = Vec::new();
        for (element, octets) in fields {
            template.extend(element.to_be_bytes());
            template.extend(number(octets.len()));
            data.extend_from_slice(octets);
        }
        let mut sets = protocol.template_set_id().unwrap().to_be_bytes().to_vec();
        sets.extend(number(4 + template.len()));
        sets.extend(template);
        sets.extend([1, 0]);
        sets.extend(number(4 + data.len()));
        sets.extend(data);
        let seconds = u32::try_from(NOW_MS / 1000).unwrap().to_be_bytes();
        let mut message = protocol.version().to_be_bytes().to_vec();
        match protocol {
            Protocol::Ipfix => {
                message.extend(number(16 + sets.len()));
                message.extend(seconds);
            }
            Protocol::NetflowV9 | Protocol::NetflowV5 => {
                message.extend(number(2));
                message.extend(uptime.to_be_bytes());
                message.extend(seconds);
            }
        }
        message.extend([0; 8]);
        message.extend(sets);

        let mut decoder = Decoder::new(DecoderLimits::default());
        let decoded = decoder.decode(&(), &message).unwrap();
        let mut records = decoded.records();
        let fields = Fields::of(records.next().unwrap());
        fields.into_flow(Context {
            export_time: UnixTime::from_millis(NOW_MS),
            system_init,
        })
    }

    fn flow(fields: &[(u16, &[u8])]) -> FlowJson<'static> {
        flow_in(Protocol::Ipfix, fields, None, UPTIME_MS)
    }

    #[test]
    fn reduced_sizes_are_read_and_others_passed_over() {
        let flow = flow(&[
            (id::OCTET_DELTA_COUNT, &[1, 2, 3]),
            (id::PACKET_DELTA_COUNT, &[7]),
            (id::TCP_CONTROL_BITS, &[0x1b]),
            (id::SOURCE_TRANSPORT_PORT, &[0, 0, 1]),
            (id::DESTINATION_TRANSPORT_PORT, &[1, 0, 0]),
            (id::SOURCE_IPV4_ADDRESS, &[192, 0, 2]),
            (id::DESTINATION_MAC_ADDRESS, &[1]),
            (id::PROTOCOL_IDENTIFIER, &[0; 9]),
        ]);
        assert_eq!(flow.bytes, Some(0x01_0203));
        assert_eq!((flow.packets, flow.tcp_flags), (Some(7), Some(0x1b)));
        assert_eq!((flow.sport, flow.dport), (Some(1), None));
        assert_eq!((flow.src, flow.dst_mac, flow.proto), (None, None, None));
    }

    #[test]
    fn the_direction_tells_which_side_is_meant() {
        let fields: &[(u16, &[u8])] = &[
            (id::INGRESS_INTERFACE, &[3]),
            (id::EGRESS_INTERFACE, &[4]),
            (id::SOURCE_MAC_ADDRESS, &[1; 6]),
            (id::POST_SOURCE_MAC_ADDRESS, &[2; 6]),
            (id::DESTINATION_MAC_ADDRESS, &[3; 6]),
            (id::POST_DESTINATION_MAC_ADDRESS, &[4; 6]),
            (id::VLAN_ID, &[0, 5]),
            (id::POST_VLAN_ID, &[0, 6]),
        ];
        for (direction, if_index, src, dst, vlan) in [(0, 3, 1, 3, 5), (1, 4, 2, 4, 6)] {
            let mut fields = fields.to_vec();
            let direction = [direction];
            fields.push((id::FLOW_DIRECTION, &direction));
            let flow = flow(&fields);
            assert_eq!(flow.if_index, Some(if_index));
            assert_eq!(flow.src_mac, Some(MacAddress([src; 6])));
            assert_eq!(flow.dst_mac, Some(MacAddress([dst; 6])));
            assert_eq!(flow.vlan, Some(vlan));
        }
        let other_side = flow(&[(id::INGRESS_INTERFACE, &[0]), (id::EGRESS_INTERFACE, &[4])]);
        assert_eq!(other_side.if_index, Some(4));
    }

    #[test]
    fn times_come_in_many_forms() {
        let start = UnixTime::from_millis(NOW_MS - 1500);
        let end = UnixTime::from_millis(NOW_MS - 500);
        let ms = |ms: u64| ms.to_be_bytes().to_vec();
        let ntp = |ms: u64| {
            let seconds = (ms / 1000 + 2_208_988_800) << 32;
            let fraction = ((ms % 1000) << 32) / 1000 + 1;
            (seconds + fraction).to_be_bytes().to_vec()
        };
        let init = NOW_MS - 100_000;
        for fields in [
            vec![(152, ms(NOW_MS - 1500)), (153, ms(NOW_MS - 500))],
            vec![(154, ntp(NOW_MS - 1500)), (157, ntp(NOW_MS - 500))],
            vec![(158, ms(1_500_000)), (159, ms(500_000))],
            vec![(152, ms(NOW_MS - 1500)), (161, ms(1000))],
            vec![(153, ms(NOW_MS - 500)), (161, ms(1000))],
            vec![(22, ms(98_500)), (21, ms(99_500)), (160, ms(init))],
        ] {
            let fields: Vec<_> = fields
                .iter()
                .map(|(id, octets)| (*id, &octets[..]))
                .collect();
            let flow = flow(&fields);
            let floor = |time: UnixTime| UnixTime::from_millis(time.millis());
            assert_eq!(flow.start.map(floor), Some(start), "{fields:?}");
            assert_eq!(flow.end.map(floor), Some(end), "{fields:?}");
        }
        let seconds = flow(&[(150, &[0x6b, 5, 0, 0])]).start;
        assert_eq!(seconds, Some(UnixTime::from_millis(0x6b05_0000 * 1000)));
    }

    #[test]
    fn uptimes_are_reckoned_from_what_is_known() {
        let uptimes: &[(u16, &[u8])] = &[(22, &[0, 0, 0x21, 0x34]), (21, &[0, 0, 0x25, 0x1c])];
        let expected = (
            Some(UnixTime::from_millis(NOW_MS - 1500)),
            Some(UnixTime::from_millis(NOW_MS - 500)),
        );
        let v9 = flow_in(Protocol::NetflowV9, uptimes, None, UPTIME_MS);
        assert_eq!((v9.start, v9.end), expected);
        let init = UnixTime::from_millis(NOW_MS - u64::from(UPTIME_MS));
        let ipfix = flow_in(Protocol::Ipfix, uptimes, Some(init), 0);
        assert_eq!((ipfix.start, ipfix.end), expected);
        // sysUptime started again twice since then.
        let init = UnixTime::from_millis(NOW_MS - u64::from(UPTIME_MS) - (2 << 32));
        let ipfix = flow_in(Protocol::Ipfix, uptimes, Some(init), 0);
        assert_eq!((ipfix.start, ipfix.end), expected);
        let unknown = flow(uptimes);
        assert_eq!((unknown.start, unknown.end), (None, None));
    }

    #[test]
    fn no_uptime_makes_the_arithmetic_overflow() {
        let times = [0, 1, 1 << 32, NOW_MS, i64::MAX as u64 / 1_000_000, u64::MAX];
        for uptime in [0, 1, u32::MAX] {
            for init in times {
                for export in times {
                    let (init, export) =
                        (UnixTime::from_millis(init), UnixTime::from_millis(export));
                    if let Some(time) = uptime_time(uptime, init, export) {
                        assert!(time.millis().abs_diff(export.millis()) <= 1 << 31);
                    }
                }
            }
        }
    }

    #[test]
    fn icmp_type_and_code_stand_in_the_port() {
        let icmp: &[(u16, &[u8])] = &[(4, &[1]), (32, &[8, 0]), (7, &[0, 0]), (11, &[0, 0])];
        assert_eq!(flow(icmp).dport, Some(0x0800));
        let tcp: &[(u16, &[u8])] = &[(4, &[6]), (32, &[8, 0]), (11, &[0, 0])];
        assert_eq!(flow(tcp).dport, Some(0));
    }

    #[test]
    fn a_record_with_both_families_has_the_one_that_is_set() {
        let v4: &[u8] = &[192, 0, 2, 1];
        let v6: &[u8] = &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let is = |fields: &[(u16, &[u8])], text: &str| {
            assert_eq!(flow(fields).src, text.parse().ok());
        };
        is(&[(8, v4), (27, &[0; 16])], "192.0.2.1");
        is(&[(8, &[0; 4]), (27, v6)], "2001:db8::1");
        is(&[(8, v4)], "192.0.2.1");
        is(&[(27, v6)], "2001:db8::1");
    }
}
