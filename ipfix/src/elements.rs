//! The Information Elements of the IANA registry, generated from `iana/ipfix.csv` by the example
//! `generate_elements`. Do not edit: change the snapshot and run the example.

use core::ops::RangeInclusive;

use crate::element::{
    AbstractType as T, Element, REVERSE_PEN, Registry, Semantics as S, Status,
};

/// The IANA element with this id.
pub fn by_id(id: u16) -> Option<&'static Element> {
    ALL.binary_search_by_key(&id, Element::id).ok().and_then(|at| ALL.get(at))
}

/// The IANA element with this name, which is case-sensitive as in the registry.
pub fn by_name(name: &str) -> Option<&'static Element> {
    let element = |at: u16| ALL.get(usize::from(at));
    BY_NAME
        .binary_search_by(|&at| element(at).map_or("", Element::name).cmp(name))
        .ok()
        .and_then(|found| BY_NAME.get(found))
        .and_then(|&at| element(at))
}

/// The values that the registry allows, where it names a range; of an IANA element or its reverse.
pub fn range(element: &Element) -> Option<RangeInclusive<u64>> {
    if !matches!(element.registry(), Registry::Iana | Registry::Enterprise(REVERSE_PEN)) {
        return None;
    }
    let at = RANGES.binary_search_by_key(&element.id(), |&(id, ..)| id).ok()?;
    RANGES.get(at).map(|&(_, least, most)| least..=most)
}

/// `octetDeltaCount` (1): unsigned64, deltaCounter, octets.
pub const OCTET_DELTA_COUNT: Element = Element::iana(1, "octetDeltaCount", T::Unsigned64, S::DeltaCounter, "octets", Status::Current);
/// `packetDeltaCount` (2): unsigned64, deltaCounter, packets.
pub const PACKET_DELTA_COUNT: Element = Element::iana(2, "packetDeltaCount", T::Unsigned64, S::DeltaCounter, "packets", Status::Current);
/// `deltaFlowCount` (3): unsigned64, deltaCounter, flows.
pub const DELTA_FLOW_COUNT: Element = Element::iana(3, "deltaFlowCount", T::Unsigned64, S::DeltaCounter, "flows", Status::Current);
/// `protocolIdentifier` (4): unsigned8, identifier.
pub const PROTOCOL_IDENTIFIER: Element = Element::iana(4, "protocolIdentifier", T::Unsigned8, S::Identifier, "", Status::Current);
/// `ipClassOfService` (5): unsigned8, identifier.
pub const IP_CLASS_OF_SERVICE: Element = Element::iana(5, "ipClassOfService", T::Unsigned8, S::Identifier, "", Status::Current);
/// `tcpControlBits` (6): unsigned16, flags.
pub const TCP_CONTROL_BITS: Element = Element::iana(6, "tcpControlBits", T::Unsigned16, S::Flags, "", Status::Current);
/// `sourceTransportPort` (7): unsigned16, identifier.
pub const SOURCE_TRANSPORT_PORT: Element = Element::iana(7, "sourceTransportPort", T::Unsigned16, S::Identifier, "", Status::Current);
/// `sourceIPv4Address` (8): ipv4Address, default.
pub const SOURCE_IPV4_ADDRESS: Element = Element::iana(8, "sourceIPv4Address", T::Ipv4Address, S::Default, "", Status::Current);
/// `sourceIPv4PrefixLength` (9): unsigned8, default, bits.
pub const SOURCE_IPV4_PREFIX_LENGTH: Element = Element::iana(9, "sourceIPv4PrefixLength", T::Unsigned8, S::Default, "bits", Status::Current);
/// `ingressInterface` (10): unsigned32, identifier.
pub const INGRESS_INTERFACE: Element = Element::iana(10, "ingressInterface", T::Unsigned32, S::Identifier, "", Status::Current);
/// `destinationTransportPort` (11): unsigned16, identifier.
pub const DESTINATION_TRANSPORT_PORT: Element = Element::iana(11, "destinationTransportPort", T::Unsigned16, S::Identifier, "", Status::Current);
/// `destinationIPv4Address` (12): ipv4Address, default.
pub const DESTINATION_IPV4_ADDRESS: Element = Element::iana(12, "destinationIPv4Address", T::Ipv4Address, S::Default, "", Status::Current);
/// `destinationIPv4PrefixLength` (13): unsigned8, default, bits.
pub const DESTINATION_IPV4_PREFIX_LENGTH: Element = Element::iana(13, "destinationIPv4PrefixLength", T::Unsigned8, S::Default, "bits", Status::Current);
/// `egressInterface` (14): unsigned32, identifier.
pub const EGRESS_INTERFACE: Element = Element::iana(14, "egressInterface", T::Unsigned32, S::Identifier, "", Status::Current);
/// `ipNextHopIPv4Address` (15): ipv4Address, default.
pub const IP_NEXT_HOP_IPV4_ADDRESS: Element = Element::iana(15, "ipNextHopIPv4Address", T::Ipv4Address, S::Default, "", Status::Current);
/// `bgpSourceAsNumber` (16): unsigned32, identifier.
pub const BGP_SOURCE_AS_NUMBER: Element = Element::iana(16, "bgpSourceAsNumber", T::Unsigned32, S::Identifier, "", Status::Current);
/// `bgpDestinationAsNumber` (17): unsigned32, identifier.
pub const BGP_DESTINATION_AS_NUMBER: Element = Element::iana(17, "bgpDestinationAsNumber", T::Unsigned32, S::Identifier, "", Status::Current);
/// `bgpNextHopIPv4Address` (18): ipv4Address, default.
pub const BGP_NEXT_HOP_IPV4_ADDRESS: Element = Element::iana(18, "bgpNextHopIPv4Address", T::Ipv4Address, S::Default, "", Status::Current);
/// `postMCastPacketDeltaCount` (19): unsigned64, deltaCounter, packets.
pub const POST_M_CAST_PACKET_DELTA_COUNT: Element = Element::iana(19, "postMCastPacketDeltaCount", T::Unsigned64, S::DeltaCounter, "packets", Status::Current);
/// `postMCastOctetDeltaCount` (20): unsigned64, deltaCounter, octets.
pub const POST_M_CAST_OCTET_DELTA_COUNT: Element = Element::iana(20, "postMCastOctetDeltaCount", T::Unsigned64, S::DeltaCounter, "octets", Status::Current);
/// `flowEndSysUpTime` (21): unsigned32, default, milliseconds.
pub const FLOW_END_SYS_UP_TIME: Element = Element::iana(21, "flowEndSysUpTime", T::Unsigned32, S::Default, "milliseconds", Status::Current);
/// `flowStartSysUpTime` (22): unsigned32, default, milliseconds.
pub const FLOW_START_SYS_UP_TIME: Element = Element::iana(22, "flowStartSysUpTime", T::Unsigned32, S::Default, "milliseconds", Status::Current);
/// `postOctetDeltaCount` (23): unsigned64, deltaCounter, octets.
pub const POST_OCTET_DELTA_COUNT: Element = Element::iana(23, "postOctetDeltaCount", T::Unsigned64, S::DeltaCounter, "octets", Status::Current);
/// `postPacketDeltaCount` (24): unsigned64, deltaCounter, packets.
pub const POST_PACKET_DELTA_COUNT: Element = Element::iana(24, "postPacketDeltaCount", T::Unsigned64, S::DeltaCounter, "packets", Status::Current);
/// `minimumIpTotalLength` (25): unsigned64, default, octets.
pub const MINIMUM_IP_TOTAL_LENGTH: Element = Element::iana(25, "minimumIpTotalLength", T::Unsigned64, S::Default, "octets", Status::Current);
/// `maximumIpTotalLength` (26): unsigned64, default, octets.
pub const MAXIMUM_IP_TOTAL_LENGTH: Element = Element::iana(26, "maximumIpTotalLength", T::Unsigned64, S::Default, "octets", Status::Current);
/// `sourceIPv6Address` (27): ipv6Address, default.
pub const SOURCE_IPV6_ADDRESS: Element = Element::iana(27, "sourceIPv6Address", T::Ipv6Address, S::Default, "", Status::Current);
/// `destinationIPv6Address` (28): ipv6Address, default.
pub const DESTINATION_IPV6_ADDRESS: Element = Element::iana(28, "destinationIPv6Address", T::Ipv6Address, S::Default, "", Status::Current);
/// `sourceIPv6PrefixLength` (29): unsigned8, default, bits.
pub const SOURCE_IPV6_PREFIX_LENGTH: Element = Element::iana(29, "sourceIPv6PrefixLength", T::Unsigned8, S::Default, "bits", Status::Current);
/// `destinationIPv6PrefixLength` (30): unsigned8, default, bits.
pub const DESTINATION_IPV6_PREFIX_LENGTH: Element = Element::iana(30, "destinationIPv6PrefixLength", T::Unsigned8, S::Default, "bits", Status::Current);
/// `flowLabelIPv6` (31): unsigned32, identifier.
pub const FLOW_LABEL_IPV6: Element = Element::iana(31, "flowLabelIPv6", T::Unsigned32, S::Identifier, "", Status::Current);
/// `icmpTypeCodeIPv4` (32): unsigned16, identifier.
pub const ICMP_TYPE_CODE_IPV4: Element = Element::iana(32, "icmpTypeCodeIPv4", T::Unsigned16, S::Identifier, "", Status::Current);
/// `igmpType` (33): unsigned8, identifier.
pub const IGMP_TYPE: Element = Element::iana(33, "igmpType", T::Unsigned8, S::Identifier, "", Status::Current);
/// `samplingInterval` (34): unsigned32, quantity, packets; deprecated.
pub const SAMPLING_INTERVAL: Element = Element::iana(34, "samplingInterval", T::Unsigned32, S::Quantity, "packets", Status::Deprecated);
/// `samplingAlgorithm` (35): unsigned8, identifier; deprecated.
pub const SAMPLING_ALGORITHM: Element = Element::iana(35, "samplingAlgorithm", T::Unsigned8, S::Identifier, "", Status::Deprecated);
/// `flowActiveTimeout` (36): unsigned16, default, seconds.
pub const FLOW_ACTIVE_TIMEOUT: Element = Element::iana(36, "flowActiveTimeout", T::Unsigned16, S::Default, "seconds", Status::Current);
/// `flowIdleTimeout` (37): unsigned16, default, seconds.
pub const FLOW_IDLE_TIMEOUT: Element = Element::iana(37, "flowIdleTimeout", T::Unsigned16, S::Default, "seconds", Status::Current);
/// `engineType` (38): unsigned8, identifier; deprecated.
pub const ENGINE_TYPE: Element = Element::iana(38, "engineType", T::Unsigned8, S::Identifier, "", Status::Deprecated);
/// `engineId` (39): unsigned8, identifier; deprecated.
pub const ENGINE_ID: Element = Element::iana(39, "engineId", T::Unsigned8, S::Identifier, "", Status::Deprecated);
/// `exportedOctetTotalCount` (40): unsigned64, totalCounter, octets.
pub const EXPORTED_OCTET_TOTAL_COUNT: Element = Element::iana(40, "exportedOctetTotalCount", T::Unsigned64, S::TotalCounter, "octets", Status::Current);
/// `exportedMessageTotalCount` (41): unsigned64, totalCounter, messages.
pub const EXPORTED_MESSAGE_TOTAL_COUNT: Element = Element::iana(41, "exportedMessageTotalCount", T::Unsigned64, S::TotalCounter, "messages", Status::Current);
/// `exportedFlowRecordTotalCount` (42): unsigned64, totalCounter, flows.
pub const EXPORTED_FLOW_RECORD_TOTAL_COUNT: Element = Element::iana(42, "exportedFlowRecordTotalCount", T::Unsigned64, S::TotalCounter, "flows", Status::Current);
/// `ipv4RouterSc` (43): ipv4Address, default; deprecated.
pub const IPV4_ROUTER_SC: Element = Element::iana(43, "ipv4RouterSc", T::Ipv4Address, S::Default, "", Status::Deprecated);
/// `sourceIPv4Prefix` (44): ipv4Address, default.
pub const SOURCE_IPV4_PREFIX: Element = Element::iana(44, "sourceIPv4Prefix", T::Ipv4Address, S::Default, "", Status::Current);
/// `destinationIPv4Prefix` (45): ipv4Address, default.
pub const DESTINATION_IPV4_PREFIX: Element = Element::iana(45, "destinationIPv4Prefix", T::Ipv4Address, S::Default, "", Status::Current);
/// `mplsTopLabelType` (46): unsigned8, identifier.
pub const MPLS_TOP_LABEL_TYPE: Element = Element::iana(46, "mplsTopLabelType", T::Unsigned8, S::Identifier, "", Status::Current);
/// `mplsTopLabelIPv4Address` (47): ipv4Address, default.
pub const MPLS_TOP_LABEL_IPV4_ADDRESS: Element = Element::iana(47, "mplsTopLabelIPv4Address", T::Ipv4Address, S::Default, "", Status::Current);
/// `samplerId` (48): unsigned8, identifier; deprecated.
pub const SAMPLER_ID: Element = Element::iana(48, "samplerId", T::Unsigned8, S::Identifier, "", Status::Deprecated);
/// `samplerMode` (49): unsigned8, identifier; deprecated.
pub const SAMPLER_MODE: Element = Element::iana(49, "samplerMode", T::Unsigned8, S::Identifier, "", Status::Deprecated);
/// `samplerRandomInterval` (50): unsigned32, quantity; deprecated.
pub const SAMPLER_RANDOM_INTERVAL: Element = Element::iana(50, "samplerRandomInterval", T::Unsigned32, S::Quantity, "", Status::Deprecated);
/// `classId` (51): unsigned8, identifier; deprecated.
pub const CLASS_ID: Element = Element::iana(51, "classId", T::Unsigned8, S::Identifier, "", Status::Deprecated);
/// `minimumTTL` (52): unsigned8, default, hops.
pub const MINIMUM_TTL: Element = Element::iana(52, "minimumTTL", T::Unsigned8, S::Default, "hops", Status::Current);
/// `maximumTTL` (53): unsigned8, default, hops.
pub const MAXIMUM_TTL: Element = Element::iana(53, "maximumTTL", T::Unsigned8, S::Default, "hops", Status::Current);
/// `fragmentIdentification` (54): unsigned32, identifier.
pub const FRAGMENT_IDENTIFICATION: Element = Element::iana(54, "fragmentIdentification", T::Unsigned32, S::Identifier, "", Status::Current);
/// `postIpClassOfService` (55): unsigned8, identifier.
pub const POST_IP_CLASS_OF_SERVICE: Element = Element::iana(55, "postIpClassOfService", T::Unsigned8, S::Identifier, "", Status::Current);
/// `sourceMacAddress` (56): macAddress, default.
pub const SOURCE_MAC_ADDRESS: Element = Element::iana(56, "sourceMacAddress", T::MacAddress, S::Default, "", Status::Current);
/// `postDestinationMacAddress` (57): macAddress, default.
pub const POST_DESTINATION_MAC_ADDRESS: Element = Element::iana(57, "postDestinationMacAddress", T::MacAddress, S::Default, "", Status::Current);
/// `vlanId` (58): unsigned16, identifier.
pub const VLAN_ID: Element = Element::iana(58, "vlanId", T::Unsigned16, S::Identifier, "", Status::Current);
/// `postVlanId` (59): unsigned16, identifier.
pub const POST_VLAN_ID: Element = Element::iana(59, "postVlanId", T::Unsigned16, S::Identifier, "", Status::Current);
/// `ipVersion` (60): unsigned8, identifier.
pub const IP_VERSION: Element = Element::iana(60, "ipVersion", T::Unsigned8, S::Identifier, "", Status::Current);
/// `flowDirection` (61): unsigned8, identifier.
pub const FLOW_DIRECTION: Element = Element::iana(61, "flowDirection", T::Unsigned8, S::Identifier, "", Status::Current);
/// `ipNextHopIPv6Address` (62): ipv6Address, default.
pub const IP_NEXT_HOP_IPV6_ADDRESS: Element = Element::iana(62, "ipNextHopIPv6Address", T::Ipv6Address, S::Default, "", Status::Current);
/// `bgpNextHopIPv6Address` (63): ipv6Address, default.
pub const BGP_NEXT_HOP_IPV6_ADDRESS: Element = Element::iana(63, "bgpNextHopIPv6Address", T::Ipv6Address, S::Default, "", Status::Current);
/// `ipv6ExtensionHeaders` (64): unsigned32, flags; deprecated.
pub const IPV6_EXTENSION_HEADERS: Element = Element::iana(64, "ipv6ExtensionHeaders", T::Unsigned32, S::Flags, "", Status::Deprecated);
/// `mplsTopLabelStackSection` (70): octetArray, default.
pub const MPLS_TOP_LABEL_STACK_SECTION: Element = Element::iana(70, "mplsTopLabelStackSection", T::OctetArray, S::Default, "", Status::Current);
/// `mplsLabelStackSection2` (71): octetArray, default.
pub const MPLS_LABEL_STACK_SECTION2: Element = Element::iana(71, "mplsLabelStackSection2", T::OctetArray, S::Default, "", Status::Current);
/// `mplsLabelStackSection3` (72): octetArray, default.
pub const MPLS_LABEL_STACK_SECTION3: Element = Element::iana(72, "mplsLabelStackSection3", T::OctetArray, S::Default, "", Status::Current);
/// `mplsLabelStackSection4` (73): octetArray, default.
pub const MPLS_LABEL_STACK_SECTION4: Element = Element::iana(73, "mplsLabelStackSection4", T::OctetArray, S::Default, "", Status::Current);
/// `mplsLabelStackSection5` (74): octetArray, default.
pub const MPLS_LABEL_STACK_SECTION5: Element = Element::iana(74, "mplsLabelStackSection5", T::OctetArray, S::Default, "", Status::Current);
/// `mplsLabelStackSection6` (75): octetArray, default.
pub const MPLS_LABEL_STACK_SECTION6: Element = Element::iana(75, "mplsLabelStackSection6", T::OctetArray, S::Default, "", Status::Current);
/// `mplsLabelStackSection7` (76): octetArray, default.
pub const MPLS_LABEL_STACK_SECTION7: Element = Element::iana(76, "mplsLabelStackSection7", T::OctetArray, S::Default, "", Status::Current);
/// `mplsLabelStackSection8` (77): octetArray, default.
pub const MPLS_LABEL_STACK_SECTION8: Element = Element::iana(77, "mplsLabelStackSection8", T::OctetArray, S::Default, "", Status::Current);
/// `mplsLabelStackSection9` (78): octetArray, default.
pub const MPLS_LABEL_STACK_SECTION9: Element = Element::iana(78, "mplsLabelStackSection9", T::OctetArray, S::Default, "", Status::Current);
/// `mplsLabelStackSection10` (79): octetArray, default.
pub const MPLS_LABEL_STACK_SECTION10: Element = Element::iana(79, "mplsLabelStackSection10", T::OctetArray, S::Default, "", Status::Current);
/// `destinationMacAddress` (80): macAddress, default.
pub const DESTINATION_MAC_ADDRESS: Element = Element::iana(80, "destinationMacAddress", T::MacAddress, S::Default, "", Status::Current);
/// `postSourceMacAddress` (81): macAddress, default.
pub const POST_SOURCE_MAC_ADDRESS: Element = Element::iana(81, "postSourceMacAddress", T::MacAddress, S::Default, "", Status::Current);
/// `interfaceName` (82): string, default.
pub const INTERFACE_NAME: Element = Element::iana(82, "interfaceName", T::String, S::Default, "", Status::Current);
/// `interfaceDescription` (83): string, default.
pub const INTERFACE_DESCRIPTION: Element = Element::iana(83, "interfaceDescription", T::String, S::Default, "", Status::Current);
/// `samplerName` (84): string, default; deprecated.
pub const SAMPLER_NAME: Element = Element::iana(84, "samplerName", T::String, S::Default, "", Status::Deprecated);
/// `octetTotalCount` (85): unsigned64, totalCounter, octets.
pub const OCTET_TOTAL_COUNT: Element = Element::iana(85, "octetTotalCount", T::Unsigned64, S::TotalCounter, "octets", Status::Current);
/// `packetTotalCount` (86): unsigned64, totalCounter, packets.
pub const PACKET_TOTAL_COUNT: Element = Element::iana(86, "packetTotalCount", T::Unsigned64, S::TotalCounter, "packets", Status::Current);
/// `flagsAndSamplerId` (87): unsigned32, identifier; deprecated.
pub const FLAGS_AND_SAMPLER_ID: Element = Element::iana(87, "flagsAndSamplerId", T::Unsigned32, S::Identifier, "", Status::Deprecated);
/// `fragmentOffset` (88): unsigned16, quantity.
pub const FRAGMENT_OFFSET: Element = Element::iana(88, "fragmentOffset", T::Unsigned16, S::Quantity, "", Status::Current);
/// `forwardingStatus` (89): unsigned32, identifier.
pub const FORWARDING_STATUS: Element = Element::iana(89, "forwardingStatus", T::Unsigned32, S::Identifier, "", Status::Current);
/// `mplsVpnRouteDistinguisher` (90): octetArray, default.
pub const MPLS_VPN_ROUTE_DISTINGUISHER: Element = Element::iana(90, "mplsVpnRouteDistinguisher", T::OctetArray, S::Default, "", Status::Current);
/// `mplsTopLabelPrefixLength` (91): unsigned8, quantity, bits.
pub const MPLS_TOP_LABEL_PREFIX_LENGTH: Element = Element::iana(91, "mplsTopLabelPrefixLength", T::Unsigned8, S::Quantity, "bits", Status::Current);
/// `srcTrafficIndex` (92): unsigned32, identifier.
pub const SRC_TRAFFIC_INDEX: Element = Element::iana(92, "srcTrafficIndex", T::Unsigned32, S::Identifier, "", Status::Current);
/// `dstTrafficIndex` (93): unsigned32, identifier.
pub const DST_TRAFFIC_INDEX: Element = Element::iana(93, "dstTrafficIndex", T::Unsigned32, S::Identifier, "", Status::Current);
/// `applicationDescription` (94): string, default.
pub const APPLICATION_DESCRIPTION: Element = Element::iana(94, "applicationDescription", T::String, S::Default, "", Status::Current);
/// `applicationId` (95): octetArray, default.
pub const APPLICATION_ID: Element = Element::iana(95, "applicationId", T::OctetArray, S::Default, "", Status::Current);
/// `applicationName` (96): string, default.
pub const APPLICATION_NAME: Element = Element::iana(96, "applicationName", T::String, S::Default, "", Status::Current);
/// `postIpDiffServCodePoint` (98): unsigned8, identifier.
pub const POST_IP_DIFF_SERV_CODE_POINT: Element = Element::iana(98, "postIpDiffServCodePoint", T::Unsigned8, S::Identifier, "", Status::Current);
/// `multicastReplicationFactor` (99): unsigned32, quantity.
pub const MULTICAST_REPLICATION_FACTOR: Element = Element::iana(99, "multicastReplicationFactor", T::Unsigned32, S::Quantity, "", Status::Current);
/// `className` (100): string, default; deprecated.
pub const CLASS_NAME: Element = Element::iana(100, "className", T::String, S::Default, "", Status::Deprecated);
/// `classificationEngineId` (101): unsigned8, identifier.
pub const CLASSIFICATION_ENGINE_ID: Element = Element::iana(101, "classificationEngineId", T::Unsigned8, S::Identifier, "", Status::Current);
/// `layer2packetSectionOffset` (102): unsigned16, quantity; deprecated.
pub const LAYER2PACKET_SECTION_OFFSET: Element = Element::iana(102, "layer2packetSectionOffset", T::Unsigned16, S::Quantity, "", Status::Deprecated);
/// `layer2packetSectionSize` (103): unsigned16, quantity; deprecated.
pub const LAYER2PACKET_SECTION_SIZE: Element = Element::iana(103, "layer2packetSectionSize", T::Unsigned16, S::Quantity, "", Status::Deprecated);
/// `layer2packetSectionData` (104): octetArray, default; deprecated.
pub const LAYER2PACKET_SECTION_DATA: Element = Element::iana(104, "layer2packetSectionData", T::OctetArray, S::Default, "", Status::Deprecated);
/// `bgpNextAdjacentAsNumber` (128): unsigned32, identifier.
pub const BGP_NEXT_ADJACENT_AS_NUMBER: Element = Element::iana(128, "bgpNextAdjacentAsNumber", T::Unsigned32, S::Identifier, "", Status::Current);
/// `bgpPrevAdjacentAsNumber` (129): unsigned32, identifier.
pub const BGP_PREV_ADJACENT_AS_NUMBER: Element = Element::iana(129, "bgpPrevAdjacentAsNumber", T::Unsigned32, S::Identifier, "", Status::Current);
/// `exporterIPv4Address` (130): ipv4Address, default.
pub const EXPORTER_IPV4_ADDRESS: Element = Element::iana(130, "exporterIPv4Address", T::Ipv4Address, S::Default, "", Status::Current);
/// `exporterIPv6Address` (131): ipv6Address, default.
pub const EXPORTER_IPV6_ADDRESS: Element = Element::iana(131, "exporterIPv6Address", T::Ipv6Address, S::Default, "", Status::Current);
/// `droppedOctetDeltaCount` (132): unsigned64, deltaCounter, octets.
pub const DROPPED_OCTET_DELTA_COUNT: Element = Element::iana(132, "droppedOctetDeltaCount", T::Unsigned64, S::DeltaCounter, "octets", Status::Current);
/// `droppedPacketDeltaCount` (133): unsigned64, deltaCounter, packets.
pub const DROPPED_PACKET_DELTA_COUNT: Element = Element::iana(133, "droppedPacketDeltaCount", T::Unsigned64, S::DeltaCounter, "packets", Status::Current);
/// `droppedOctetTotalCount` (134): unsigned64, totalCounter, octets.
pub const DROPPED_OCTET_TOTAL_COUNT: Element = Element::iana(134, "droppedOctetTotalCount", T::Unsigned64, S::TotalCounter, "octets", Status::Current);
/// `droppedPacketTotalCount` (135): unsigned64, totalCounter, packets.
pub const DROPPED_PACKET_TOTAL_COUNT: Element = Element::iana(135, "droppedPacketTotalCount", T::Unsigned64, S::TotalCounter, "packets", Status::Current);
/// `flowEndReason` (136): unsigned8, identifier.
pub const FLOW_END_REASON: Element = Element::iana(136, "flowEndReason", T::Unsigned8, S::Identifier, "", Status::Current);
/// `commonPropertiesId` (137): unsigned64, identifier.
pub const COMMON_PROPERTIES_ID: Element = Element::iana(137, "commonPropertiesId", T::Unsigned64, S::Identifier, "", Status::Current);
/// `observationPointId` (138): unsigned64, identifier.
pub const OBSERVATION_POINT_ID: Element = Element::iana(138, "observationPointId", T::Unsigned64, S::Identifier, "", Status::Current);
/// `icmpTypeCodeIPv6` (139): unsigned16, identifier.
pub const ICMP_TYPE_CODE_IPV6: Element = Element::iana(139, "icmpTypeCodeIPv6", T::Unsigned16, S::Identifier, "", Status::Current);
/// `mplsTopLabelIPv6Address` (140): ipv6Address, default.
pub const MPLS_TOP_LABEL_IPV6_ADDRESS: Element = Element::iana(140, "mplsTopLabelIPv6Address", T::Ipv6Address, S::Default, "", Status::Current);
/// `lineCardId` (141): unsigned32, identifier.
pub const LINE_CARD_ID: Element = Element::iana(141, "lineCardId", T::Unsigned32, S::Identifier, "", Status::Current);
/// `portId` (142): unsigned32, identifier.
pub const PORT_ID: Element = Element::iana(142, "portId", T::Unsigned32, S::Identifier, "", Status::Current);
/// `meteringProcessId` (143): unsigned32, identifier.
pub const METERING_PROCESS_ID: Element = Element::iana(143, "meteringProcessId", T::Unsigned32, S::Identifier, "", Status::Current);
/// `exportingProcessId` (144): unsigned32, identifier.
pub const EXPORTING_PROCESS_ID: Element = Element::iana(144, "exportingProcessId", T::Unsigned32, S::Identifier, "", Status::Current);
/// `templateId` (145): unsigned16, identifier.
pub const TEMPLATE_ID: Element = Element::iana(145, "templateId", T::Unsigned16, S::Identifier, "", Status::Current);
/// `wlanChannelId` (146): unsigned8, identifier.
pub const WLAN_CHANNEL_ID: Element = Element::iana(146, "wlanChannelId", T::Unsigned8, S::Identifier, "", Status::Current);
/// `wlanSSID` (147): string, default.
pub const WLAN_SSID: Element = Element::iana(147, "wlanSSID", T::String, S::Default, "", Status::Current);
/// `flowId` (148): unsigned64, identifier.
pub const FLOW_ID: Element = Element::iana(148, "flowId", T::Unsigned64, S::Identifier, "", Status::Current);
/// `observationDomainId` (149): unsigned32, identifier.
pub const OBSERVATION_DOMAIN_ID: Element = Element::iana(149, "observationDomainId", T::Unsigned32, S::Identifier, "", Status::Current);
/// `flowStartSeconds` (150): dateTimeSeconds, default, seconds.
pub const FLOW_START_SECONDS: Element = Element::iana(150, "flowStartSeconds", T::DateTimeSeconds, S::Default, "seconds", Status::Current);
/// `flowEndSeconds` (151): dateTimeSeconds, default, seconds.
pub const FLOW_END_SECONDS: Element = Element::iana(151, "flowEndSeconds", T::DateTimeSeconds, S::Default, "seconds", Status::Current);
/// `flowStartMilliseconds` (152): dateTimeMilliseconds, default, milliseconds.
pub const FLOW_START_MILLISECONDS: Element = Element::iana(152, "flowStartMilliseconds", T::DateTimeMilliseconds, S::Default, "milliseconds", Status::Current);
/// `flowEndMilliseconds` (153): dateTimeMilliseconds, default, milliseconds.
pub const FLOW_END_MILLISECONDS: Element = Element::iana(153, "flowEndMilliseconds", T::DateTimeMilliseconds, S::Default, "milliseconds", Status::Current);
/// `flowStartMicroseconds` (154): dateTimeMicroseconds, default, microseconds.
pub const FLOW_START_MICROSECONDS: Element = Element::iana(154, "flowStartMicroseconds", T::DateTimeMicroseconds, S::Default, "microseconds", Status::Current);
/// `flowEndMicroseconds` (155): dateTimeMicroseconds, default, microseconds.
pub const FLOW_END_MICROSECONDS: Element = Element::iana(155, "flowEndMicroseconds", T::DateTimeMicroseconds, S::Default, "microseconds", Status::Current);
/// `flowStartNanoseconds` (156): dateTimeNanoseconds, default, nanoseconds.
pub const FLOW_START_NANOSECONDS: Element = Element::iana(156, "flowStartNanoseconds", T::DateTimeNanoseconds, S::Default, "nanoseconds", Status::Current);
/// `flowEndNanoseconds` (157): dateTimeNanoseconds, default, nanoseconds.
pub const FLOW_END_NANOSECONDS: Element = Element::iana(157, "flowEndNanoseconds", T::DateTimeNanoseconds, S::Default, "nanoseconds", Status::Current);
/// `flowStartDeltaMicroseconds` (158): unsigned32, default, microseconds.
pub const FLOW_START_DELTA_MICROSECONDS: Element = Element::iana(158, "flowStartDeltaMicroseconds", T::Unsigned32, S::Default, "microseconds", Status::Current);
/// `flowEndDeltaMicroseconds` (159): unsigned32, default, microseconds.
pub const FLOW_END_DELTA_MICROSECONDS: Element = Element::iana(159, "flowEndDeltaMicroseconds", T::Unsigned32, S::Default, "microseconds", Status::Current);
/// `systemInitTimeMilliseconds` (160): dateTimeMilliseconds, default, milliseconds.
pub const SYSTEM_INIT_TIME_MILLISECONDS: Element = Element::iana(160, "systemInitTimeMilliseconds", T::DateTimeMilliseconds, S::Default, "milliseconds", Status::Current);
/// `flowDurationMilliseconds` (161): unsigned32, default, milliseconds.
pub const FLOW_DURATION_MILLISECONDS: Element = Element::iana(161, "flowDurationMilliseconds", T::Unsigned32, S::Default, "milliseconds", Status::Current);
/// `flowDurationMicroseconds` (162): unsigned32, default, microseconds.
pub const FLOW_DURATION_MICROSECONDS: Element = Element::iana(162, "flowDurationMicroseconds", T::Unsigned32, S::Default, "microseconds", Status::Current);
/// `observedFlowTotalCount` (163): unsigned64, totalCounter, flows.
pub const OBSERVED_FLOW_TOTAL_COUNT: Element = Element::iana(163, "observedFlowTotalCount", T::Unsigned64, S::TotalCounter, "flows", Status::Current);
/// `ignoredPacketTotalCount` (164): unsigned64, totalCounter, packets.
pub const IGNORED_PACKET_TOTAL_COUNT: Element = Element::iana(164, "ignoredPacketTotalCount", T::Unsigned64, S::TotalCounter, "packets", Status::Current);
/// `ignoredOctetTotalCount` (165): unsigned64, totalCounter, octets.
pub const IGNORED_OCTET_TOTAL_COUNT: Element = Element::iana(165, "ignoredOctetTotalCount", T::Unsigned64, S::TotalCounter, "octets", Status::Current);
/// `notSentFlowTotalCount` (166): unsigned64, totalCounter, flows.
pub const NOT_SENT_FLOW_TOTAL_COUNT: Element = Element::iana(166, "notSentFlowTotalCount", T::Unsigned64, S::TotalCounter, "flows", Status::Current);
/// `notSentPacketTotalCount` (167): unsigned64, totalCounter, packets.
pub const NOT_SENT_PACKET_TOTAL_COUNT: Element = Element::iana(167, "notSentPacketTotalCount", T::Unsigned64, S::TotalCounter, "packets", Status::Current);
/// `notSentOctetTotalCount` (168): unsigned64, totalCounter, octets.
pub const NOT_SENT_OCTET_TOTAL_COUNT: Element = Element::iana(168, "notSentOctetTotalCount", T::Unsigned64, S::TotalCounter, "octets", Status::Current);
/// `destinationIPv6Prefix` (169): ipv6Address, default.
pub const DESTINATION_IPV6_PREFIX: Element = Element::iana(169, "destinationIPv6Prefix", T::Ipv6Address, S::Default, "", Status::Current);
/// `sourceIPv6Prefix` (170): ipv6Address, default.
pub const SOURCE_IPV6_PREFIX: Element = Element::iana(170, "sourceIPv6Prefix", T::Ipv6Address, S::Default, "", Status::Current);
/// `postOctetTotalCount` (171): unsigned64, totalCounter, octets.
pub const POST_OCTET_TOTAL_COUNT: Element = Element::iana(171, "postOctetTotalCount", T::Unsigned64, S::TotalCounter, "octets", Status::Current);
/// `postPacketTotalCount` (172): unsigned64, totalCounter, packets.
pub const POST_PACKET_TOTAL_COUNT: Element = Element::iana(172, "postPacketTotalCount", T::Unsigned64, S::TotalCounter, "packets", Status::Current);
/// `flowKeyIndicator` (173): unsigned64, flags.
pub const FLOW_KEY_INDICATOR: Element = Element::iana(173, "flowKeyIndicator", T::Unsigned64, S::Flags, "", Status::Current);
/// `postMCastPacketTotalCount` (174): unsigned64, totalCounter, packets.
pub const POST_M_CAST_PACKET_TOTAL_COUNT: Element = Element::iana(174, "postMCastPacketTotalCount", T::Unsigned64, S::TotalCounter, "packets", Status::Current);
/// `postMCastOctetTotalCount` (175): unsigned64, totalCounter, octets.
pub const POST_M_CAST_OCTET_TOTAL_COUNT: Element = Element::iana(175, "postMCastOctetTotalCount", T::Unsigned64, S::TotalCounter, "octets", Status::Current);
/// `icmpTypeIPv4` (176): unsigned8, identifier.
pub const ICMP_TYPE_IPV4: Element = Element::iana(176, "icmpTypeIPv4", T::Unsigned8, S::Identifier, "", Status::Current);
/// `icmpCodeIPv4` (177): unsigned8, identifier.
pub const ICMP_CODE_IPV4: Element = Element::iana(177, "icmpCodeIPv4", T::Unsigned8, S::Identifier, "", Status::Current);
/// `icmpTypeIPv6` (178): unsigned8, identifier.
pub const ICMP_TYPE_IPV6: Element = Element::iana(178, "icmpTypeIPv6", T::Unsigned8, S::Identifier, "", Status::Current);
/// `icmpCodeIPv6` (179): unsigned8, identifier.
pub const ICMP_CODE_IPV6: Element = Element::iana(179, "icmpCodeIPv6", T::Unsigned8, S::Identifier, "", Status::Current);
/// `udpSourcePort` (180): unsigned16, identifier.
pub const UDP_SOURCE_PORT: Element = Element::iana(180, "udpSourcePort", T::Unsigned16, S::Identifier, "", Status::Current);
/// `udpDestinationPort` (181): unsigned16, identifier.
pub const UDP_DESTINATION_PORT: Element = Element::iana(181, "udpDestinationPort", T::Unsigned16, S::Identifier, "", Status::Current);
/// `tcpSourcePort` (182): unsigned16, identifier.
pub const TCP_SOURCE_PORT: Element = Element::iana(182, "tcpSourcePort", T::Unsigned16, S::Identifier, "", Status::Current);
/// `tcpDestinationPort` (183): unsigned16, identifier.
pub const TCP_DESTINATION_PORT: Element = Element::iana(183, "tcpDestinationPort", T::Unsigned16, S::Identifier, "", Status::Current);
/// `tcpSequenceNumber` (184): unsigned32, default.
pub const TCP_SEQUENCE_NUMBER: Element = Element::iana(184, "tcpSequenceNumber", T::Unsigned32, S::Default, "", Status::Current);
/// `tcpAcknowledgementNumber` (185): unsigned32, default.
pub const TCP_ACKNOWLEDGEMENT_NUMBER: Element = Element::iana(185, "tcpAcknowledgementNumber", T::Unsigned32, S::Default, "", Status::Current);
/// `tcpWindowSize` (186): unsigned16, default.
pub const TCP_WINDOW_SIZE: Element = Element::iana(186, "tcpWindowSize", T::Unsigned16, S::Default, "", Status::Current);
/// `tcpUrgentPointer` (187): unsigned16, default.
pub const TCP_URGENT_POINTER: Element = Element::iana(187, "tcpUrgentPointer", T::Unsigned16, S::Default, "", Status::Current);
/// `tcpHeaderLength` (188): unsigned8, default, octets.
pub const TCP_HEADER_LENGTH: Element = Element::iana(188, "tcpHeaderLength", T::Unsigned8, S::Default, "octets", Status::Current);
/// `ipHeaderLength` (189): unsigned8, default, octets.
pub const IP_HEADER_LENGTH: Element = Element::iana(189, "ipHeaderLength", T::Unsigned8, S::Default, "octets", Status::Current);
/// `totalLengthIPv4` (190): unsigned16, default, octets.
pub const TOTAL_LENGTH_IPV4: Element = Element::iana(190, "totalLengthIPv4", T::Unsigned16, S::Default, "octets", Status::Current);
/// `payloadLengthIPv6` (191): unsigned16, default, octets.
pub const PAYLOAD_LENGTH_IPV6: Element = Element::iana(191, "payloadLengthIPv6", T::Unsigned16, S::Default, "octets", Status::Current);
/// `ipTTL` (192): unsigned8, default, hops.
pub const IP_TTL: Element = Element::iana(192, "ipTTL", T::Unsigned8, S::Default, "hops", Status::Current);
/// `nextHeaderIPv6` (193): unsigned8, default.
pub const NEXT_HEADER_IPV6: Element = Element::iana(193, "nextHeaderIPv6", T::Unsigned8, S::Default, "", Status::Current);
/// `mplsPayloadLength` (194): unsigned32, default, octets.
pub const MPLS_PAYLOAD_LENGTH: Element = Element::iana(194, "mplsPayloadLength", T::Unsigned32, S::Default, "octets", Status::Current);
/// `ipDiffServCodePoint` (195): unsigned8, identifier.
pub const IP_DIFF_SERV_CODE_POINT: Element = Element::iana(195, "ipDiffServCodePoint", T::Unsigned8, S::Identifier, "", Status::Current);
/// `ipPrecedence` (196): unsigned8, identifier.
pub const IP_PRECEDENCE: Element = Element::iana(196, "ipPrecedence", T::Unsigned8, S::Identifier, "", Status::Current);
/// `fragmentFlags` (197): unsigned8, flags.
pub const FRAGMENT_FLAGS: Element = Element::iana(197, "fragmentFlags", T::Unsigned8, S::Flags, "", Status::Current);
/// `octetDeltaSumOfSquares` (198): unsigned64, default.
pub const OCTET_DELTA_SUM_OF_SQUARES: Element = Element::iana(198, "octetDeltaSumOfSquares", T::Unsigned64, S::Default, "", Status::Current);
/// `octetTotalSumOfSquares` (199): unsigned64, default, octets.
pub const OCTET_TOTAL_SUM_OF_SQUARES: Element = Element::iana(199, "octetTotalSumOfSquares", T::Unsigned64, S::Default, "octets", Status::Current);
/// `mplsTopLabelTTL` (200): unsigned8, default, hops.
pub const MPLS_TOP_LABEL_TTL: Element = Element::iana(200, "mplsTopLabelTTL", T::Unsigned8, S::Default, "hops", Status::Current);
/// `mplsLabelStackLength` (201): unsigned32, default, octets.
pub const MPLS_LABEL_STACK_LENGTH: Element = Element::iana(201, "mplsLabelStackLength", T::Unsigned32, S::Default, "octets", Status::Current);
/// `mplsLabelStackDepth` (202): unsigned32, default, entries.
pub const MPLS_LABEL_STACK_DEPTH: Element = Element::iana(202, "mplsLabelStackDepth", T::Unsigned32, S::Default, "entries", Status::Current);
/// `mplsTopLabelExp` (203): unsigned8, flags.
pub const MPLS_TOP_LABEL_EXP: Element = Element::iana(203, "mplsTopLabelExp", T::Unsigned8, S::Flags, "", Status::Current);
/// `ipPayloadLength` (204): unsigned32, default, octets.
pub const IP_PAYLOAD_LENGTH: Element = Element::iana(204, "ipPayloadLength", T::Unsigned32, S::Default, "octets", Status::Current);
/// `udpMessageLength` (205): unsigned16, default, octets.
pub const UDP_MESSAGE_LENGTH: Element = Element::iana(205, "udpMessageLength", T::Unsigned16, S::Default, "octets", Status::Current);
/// `isMulticast` (206): unsigned8, flags.
pub const IS_MULTICAST: Element = Element::iana(206, "isMulticast", T::Unsigned8, S::Flags, "", Status::Current);
/// `ipv4IHL` (207): unsigned8, default, 4-octet words.
pub const IPV4_IHL: Element = Element::iana(207, "ipv4IHL", T::Unsigned8, S::Default, "4-octet words", Status::Current);
/// `ipv4Options` (208): unsigned32, flags.
pub const IPV4_OPTIONS: Element = Element::iana(208, "ipv4Options", T::Unsigned32, S::Flags, "", Status::Current);
/// `tcpOptions` (209): unsigned64, flags; deprecated.
pub const TCP_OPTIONS: Element = Element::iana(209, "tcpOptions", T::Unsigned64, S::Flags, "", Status::Deprecated);
/// `paddingOctets` (210): octetArray, default.
pub const PADDING_OCTETS: Element = Element::iana(210, "paddingOctets", T::OctetArray, S::Default, "", Status::Current);
/// `collectorIPv4Address` (211): ipv4Address, default.
pub const COLLECTOR_IPV4_ADDRESS: Element = Element::iana(211, "collectorIPv4Address", T::Ipv4Address, S::Default, "", Status::Current);
/// `collectorIPv6Address` (212): ipv6Address, default.
pub const COLLECTOR_IPV6_ADDRESS: Element = Element::iana(212, "collectorIPv6Address", T::Ipv6Address, S::Default, "", Status::Current);
/// `exportInterface` (213): unsigned32, identifier.
pub const EXPORT_INTERFACE: Element = Element::iana(213, "exportInterface", T::Unsigned32, S::Identifier, "", Status::Current);
/// `exportProtocolVersion` (214): unsigned8, identifier.
pub const EXPORT_PROTOCOL_VERSION: Element = Element::iana(214, "exportProtocolVersion", T::Unsigned8, S::Identifier, "", Status::Current);
/// `exportTransportProtocol` (215): unsigned8, identifier.
pub const EXPORT_TRANSPORT_PROTOCOL: Element = Element::iana(215, "exportTransportProtocol", T::Unsigned8, S::Identifier, "", Status::Current);
/// `collectorTransportPort` (216): unsigned16, identifier.
pub const COLLECTOR_TRANSPORT_PORT: Element = Element::iana(216, "collectorTransportPort", T::Unsigned16, S::Identifier, "", Status::Current);
/// `exporterTransportPort` (217): unsigned16, identifier.
pub const EXPORTER_TRANSPORT_PORT: Element = Element::iana(217, "exporterTransportPort", T::Unsigned16, S::Identifier, "", Status::Current);
/// `tcpSynTotalCount` (218): unsigned64, totalCounter, packets.
pub const TCP_SYN_TOTAL_COUNT: Element = Element::iana(218, "tcpSynTotalCount", T::Unsigned64, S::TotalCounter, "packets", Status::Current);
/// `tcpFinTotalCount` (219): unsigned64, totalCounter, packets.
pub const TCP_FIN_TOTAL_COUNT: Element = Element::iana(219, "tcpFinTotalCount", T::Unsigned64, S::TotalCounter, "packets", Status::Current);
/// `tcpRstTotalCount` (220): unsigned64, totalCounter, packets.
pub const TCP_RST_TOTAL_COUNT: Element = Element::iana(220, "tcpRstTotalCount", T::Unsigned64, S::TotalCounter, "packets", Status::Current);
/// `tcpPshTotalCount` (221): unsigned64, totalCounter, packets.
pub const TCP_PSH_TOTAL_COUNT: Element = Element::iana(221, "tcpPshTotalCount", T::Unsigned64, S::TotalCounter, "packets", Status::Current);
/// `tcpAckTotalCount` (222): unsigned64, totalCounter, packets.
pub const TCP_ACK_TOTAL_COUNT: Element = Element::iana(222, "tcpAckTotalCount", T::Unsigned64, S::TotalCounter, "packets", Status::Current);
/// `tcpUrgTotalCount` (223): unsigned64, totalCounter, packets.
pub const TCP_URG_TOTAL_COUNT: Element = Element::iana(223, "tcpUrgTotalCount", T::Unsigned64, S::TotalCounter, "packets", Status::Current);
/// `ipTotalLength` (224): unsigned64, default, octets.
pub const IP_TOTAL_LENGTH: Element = Element::iana(224, "ipTotalLength", T::Unsigned64, S::Default, "octets", Status::Current);
/// `postNATSourceIPv4Address` (225): ipv4Address, default.
pub const POST_NAT_SOURCE_IPV4_ADDRESS: Element = Element::iana(225, "postNATSourceIPv4Address", T::Ipv4Address, S::Default, "", Status::Current);
/// `postNATDestinationIPv4Address` (226): ipv4Address, default.
pub const POST_NAT_DESTINATION_IPV4_ADDRESS: Element = Element::iana(226, "postNATDestinationIPv4Address", T::Ipv4Address, S::Default, "", Status::Current);
/// `postNAPTSourceTransportPort` (227): unsigned16, identifier.
pub const POST_NAPT_SOURCE_TRANSPORT_PORT: Element = Element::iana(227, "postNAPTSourceTransportPort", T::Unsigned16, S::Identifier, "", Status::Current);
/// `postNAPTDestinationTransportPort` (228): unsigned16, identifier.
pub const POST_NAPT_DESTINATION_TRANSPORT_PORT: Element = Element::iana(228, "postNAPTDestinationTransportPort", T::Unsigned16, S::Identifier, "", Status::Current);
/// `natOriginatingAddressRealm` (229): unsigned8, identifier.
pub const NAT_ORIGINATING_ADDRESS_REALM: Element = Element::iana(229, "natOriginatingAddressRealm", T::Unsigned8, S::Identifier, "", Status::Current);
/// `natEvent` (230): unsigned8, identifier.
pub const NAT_EVENT: Element = Element::iana(230, "natEvent", T::Unsigned8, S::Identifier, "", Status::Current);
/// `initiatorOctets` (231): unsigned64, deltaCounter, octets.
pub const INITIATOR_OCTETS: Element = Element::iana(231, "initiatorOctets", T::Unsigned64, S::DeltaCounter, "octets", Status::Current);
/// `responderOctets` (232): unsigned64, deltaCounter, octets.
pub const RESPONDER_OCTETS: Element = Element::iana(232, "responderOctets", T::Unsigned64, S::DeltaCounter, "octets", Status::Current);
/// `firewallEvent` (233): unsigned8, default.
pub const FIREWALL_EVENT: Element = Element::iana(233, "firewallEvent", T::Unsigned8, S::Default, "", Status::Current);
/// `ingressVRFID` (234): unsigned32, default.
pub const INGRESS_VRFID: Element = Element::iana(234, "ingressVRFID", T::Unsigned32, S::Default, "", Status::Current);
/// `egressVRFID` (235): unsigned32, default.
pub const EGRESS_VRFID: Element = Element::iana(235, "egressVRFID", T::Unsigned32, S::Default, "", Status::Current);
/// `VRFname` (236): string, default.
pub const VR_FNAME: Element = Element::iana(236, "VRFname", T::String, S::Default, "", Status::Current);
/// `postMplsTopLabelExp` (237): unsigned8, flags.
pub const POST_MPLS_TOP_LABEL_EXP: Element = Element::iana(237, "postMplsTopLabelExp", T::Unsigned8, S::Flags, "", Status::Current);
/// `tcpWindowScale` (238): unsigned16, default.
pub const TCP_WINDOW_SCALE: Element = Element::iana(238, "tcpWindowScale", T::Unsigned16, S::Default, "", Status::Current);
/// `biflowDirection` (239): unsigned8, identifier.
pub const BIFLOW_DIRECTION: Element = Element::iana(239, "biflowDirection", T::Unsigned8, S::Identifier, "", Status::Current);
/// `ethernetHeaderLength` (240): unsigned8, quantity, octets.
pub const ETHERNET_HEADER_LENGTH: Element = Element::iana(240, "ethernetHeaderLength", T::Unsigned8, S::Quantity, "octets", Status::Current);
/// `ethernetPayloadLength` (241): unsigned16, quantity, octets.
pub const ETHERNET_PAYLOAD_LENGTH: Element = Element::iana(241, "ethernetPayloadLength", T::Unsigned16, S::Quantity, "octets", Status::Current);
/// `ethernetTotalLength` (242): unsigned16, quantity, octets.
pub const ETHERNET_TOTAL_LENGTH: Element = Element::iana(242, "ethernetTotalLength", T::Unsigned16, S::Quantity, "octets", Status::Current);
/// `dot1qVlanId` (243): unsigned16, identifier.
pub const DOT1Q_VLAN_ID: Element = Element::iana(243, "dot1qVlanId", T::Unsigned16, S::Identifier, "", Status::Current);
/// `dot1qPriority` (244): unsigned8, identifier.
pub const DOT1Q_PRIORITY: Element = Element::iana(244, "dot1qPriority", T::Unsigned8, S::Identifier, "", Status::Current);
/// `dot1qCustomerVlanId` (245): unsigned16, identifier.
pub const DOT1Q_CUSTOMER_VLAN_ID: Element = Element::iana(245, "dot1qCustomerVlanId", T::Unsigned16, S::Identifier, "", Status::Current);
/// `dot1qCustomerPriority` (246): unsigned8, identifier.
pub const DOT1Q_CUSTOMER_PRIORITY: Element = Element::iana(246, "dot1qCustomerPriority", T::Unsigned8, S::Identifier, "", Status::Current);
/// `metroEvcId` (247): string, default.
pub const METRO_EVC_ID: Element = Element::iana(247, "metroEvcId", T::String, S::Default, "", Status::Current);
/// `metroEvcType` (248): unsigned8, identifier.
pub const METRO_EVC_TYPE: Element = Element::iana(248, "metroEvcType", T::Unsigned8, S::Identifier, "", Status::Current);
/// `pseudoWireId` (249): unsigned32, identifier.
pub const PSEUDO_WIRE_ID: Element = Element::iana(249, "pseudoWireId", T::Unsigned32, S::Identifier, "", Status::Current);
/// `pseudoWireType` (250): unsigned16, identifier.
pub const PSEUDO_WIRE_TYPE: Element = Element::iana(250, "pseudoWireType", T::Unsigned16, S::Identifier, "", Status::Current);
/// `pseudoWireControlWord` (251): unsigned32, identifier.
pub const PSEUDO_WIRE_CONTROL_WORD: Element = Element::iana(251, "pseudoWireControlWord", T::Unsigned32, S::Identifier, "", Status::Current);
/// `ingressPhysicalInterface` (252): unsigned32, identifier.
pub const INGRESS_PHYSICAL_INTERFACE: Element = Element::iana(252, "ingressPhysicalInterface", T::Unsigned32, S::Identifier, "", Status::Current);
/// `egressPhysicalInterface` (253): unsigned32, identifier.
pub const EGRESS_PHYSICAL_INTERFACE: Element = Element::iana(253, "egressPhysicalInterface", T::Unsigned32, S::Identifier, "", Status::Current);
/// `postDot1qVlanId` (254): unsigned16, identifier.
pub const POST_DOT1Q_VLAN_ID: Element = Element::iana(254, "postDot1qVlanId", T::Unsigned16, S::Identifier, "", Status::Current);
/// `postDot1qCustomerVlanId` (255): unsigned16, identifier.
pub const POST_DOT1Q_CUSTOMER_VLAN_ID: Element = Element::iana(255, "postDot1qCustomerVlanId", T::Unsigned16, S::Identifier, "", Status::Current);
/// `ethernetType` (256): unsigned16, identifier.
pub const ETHERNET_TYPE: Element = Element::iana(256, "ethernetType", T::Unsigned16, S::Identifier, "", Status::Current);
/// `postIpPrecedence` (257): unsigned8, identifier.
pub const POST_IP_PRECEDENCE: Element = Element::iana(257, "postIpPrecedence", T::Unsigned8, S::Identifier, "", Status::Current);
/// `collectionTimeMilliseconds` (258): dateTimeMilliseconds, default, milliseconds.
pub const COLLECTION_TIME_MILLISECONDS: Element = Element::iana(258, "collectionTimeMilliseconds", T::DateTimeMilliseconds, S::Default, "milliseconds", Status::Current);
/// `exportSctpStreamId` (259): unsigned16, identifier.
pub const EXPORT_SCTP_STREAM_ID: Element = Element::iana(259, "exportSctpStreamId", T::Unsigned16, S::Identifier, "", Status::Current);
/// `maxExportSeconds` (260): dateTimeSeconds, default, seconds.
pub const MAX_EXPORT_SECONDS: Element = Element::iana(260, "maxExportSeconds", T::DateTimeSeconds, S::Default, "seconds", Status::Current);
/// `maxFlowEndSeconds` (261): dateTimeSeconds, default, seconds.
pub const MAX_FLOW_END_SECONDS: Element = Element::iana(261, "maxFlowEndSeconds", T::DateTimeSeconds, S::Default, "seconds", Status::Current);
/// `messageMD5Checksum` (262): octetArray, default.
pub const MESSAGE_MD5_CHECKSUM: Element = Element::iana(262, "messageMD5Checksum", T::OctetArray, S::Default, "", Status::Current);
/// `messageScope` (263): unsigned8, default.
pub const MESSAGE_SCOPE: Element = Element::iana(263, "messageScope", T::Unsigned8, S::Default, "", Status::Current);
/// `minExportSeconds` (264): dateTimeSeconds, default, seconds.
pub const MIN_EXPORT_SECONDS: Element = Element::iana(264, "minExportSeconds", T::DateTimeSeconds, S::Default, "seconds", Status::Current);
/// `minFlowStartSeconds` (265): dateTimeSeconds, default, seconds.
pub const MIN_FLOW_START_SECONDS: Element = Element::iana(265, "minFlowStartSeconds", T::DateTimeSeconds, S::Default, "seconds", Status::Current);
/// `opaqueOctets` (266): octetArray, default.
pub const OPAQUE_OCTETS: Element = Element::iana(266, "opaqueOctets", T::OctetArray, S::Default, "", Status::Current);
/// `sessionScope` (267): unsigned8, default.
pub const SESSION_SCOPE: Element = Element::iana(267, "sessionScope", T::Unsigned8, S::Default, "", Status::Current);
/// `maxFlowEndMicroseconds` (268): dateTimeMicroseconds, default, microseconds.
pub const MAX_FLOW_END_MICROSECONDS: Element = Element::iana(268, "maxFlowEndMicroseconds", T::DateTimeMicroseconds, S::Default, "microseconds", Status::Current);
/// `maxFlowEndMilliseconds` (269): dateTimeMilliseconds, default, milliseconds.
pub const MAX_FLOW_END_MILLISECONDS: Element = Element::iana(269, "maxFlowEndMilliseconds", T::DateTimeMilliseconds, S::Default, "milliseconds", Status::Current);
/// `maxFlowEndNanoseconds` (270): dateTimeNanoseconds, default, nanoseconds.
pub const MAX_FLOW_END_NANOSECONDS: Element = Element::iana(270, "maxFlowEndNanoseconds", T::DateTimeNanoseconds, S::Default, "nanoseconds", Status::Current);
/// `minFlowStartMicroseconds` (271): dateTimeMicroseconds, default, microseconds.
pub const MIN_FLOW_START_MICROSECONDS: Element = Element::iana(271, "minFlowStartMicroseconds", T::DateTimeMicroseconds, S::Default, "microseconds", Status::Current);
/// `minFlowStartMilliseconds` (272): dateTimeMilliseconds, default, milliseconds.
pub const MIN_FLOW_START_MILLISECONDS: Element = Element::iana(272, "minFlowStartMilliseconds", T::DateTimeMilliseconds, S::Default, "milliseconds", Status::Current);
/// `minFlowStartNanoseconds` (273): dateTimeNanoseconds, default, nanoseconds.
pub const MIN_FLOW_START_NANOSECONDS: Element = Element::iana(273, "minFlowStartNanoseconds", T::DateTimeNanoseconds, S::Default, "nanoseconds", Status::Current);
/// `collectorCertificate` (274): octetArray, default.
pub const COLLECTOR_CERTIFICATE: Element = Element::iana(274, "collectorCertificate", T::OctetArray, S::Default, "", Status::Current);
/// `exporterCertificate` (275): octetArray, default.
pub const EXPORTER_CERTIFICATE: Element = Element::iana(275, "exporterCertificate", T::OctetArray, S::Default, "", Status::Current);
/// `dataRecordsReliability` (276): boolean, default.
pub const DATA_RECORDS_RELIABILITY: Element = Element::iana(276, "dataRecordsReliability", T::Boolean, S::Default, "", Status::Current);
/// `observationPointType` (277): unsigned8, identifier.
pub const OBSERVATION_POINT_TYPE: Element = Element::iana(277, "observationPointType", T::Unsigned8, S::Identifier, "", Status::Current);
/// `newConnectionDeltaCount` (278): unsigned32, deltaCounter.
pub const NEW_CONNECTION_DELTA_COUNT: Element = Element::iana(278, "newConnectionDeltaCount", T::Unsigned32, S::DeltaCounter, "", Status::Current);
/// `connectionSumDurationSeconds` (279): unsigned64, default, seconds.
pub const CONNECTION_SUM_DURATION_SECONDS: Element = Element::iana(279, "connectionSumDurationSeconds", T::Unsigned64, S::Default, "seconds", Status::Current);
/// `connectionTransactionId` (280): unsigned64, identifier.
pub const CONNECTION_TRANSACTION_ID: Element = Element::iana(280, "connectionTransactionId", T::Unsigned64, S::Identifier, "", Status::Current);
/// `postNATSourceIPv6Address` (281): ipv6Address, default.
pub const POST_NAT_SOURCE_IPV6_ADDRESS: Element = Element::iana(281, "postNATSourceIPv6Address", T::Ipv6Address, S::Default, "", Status::Current);
/// `postNATDestinationIPv6Address` (282): ipv6Address, default.
pub const POST_NAT_DESTINATION_IPV6_ADDRESS: Element = Element::iana(282, "postNATDestinationIPv6Address", T::Ipv6Address, S::Default, "", Status::Current);
/// `natPoolId` (283): unsigned32, identifier.
pub const NAT_POOL_ID: Element = Element::iana(283, "natPoolId", T::Unsigned32, S::Identifier, "", Status::Current);
/// `natPoolName` (284): string, default.
pub const NAT_POOL_NAME: Element = Element::iana(284, "natPoolName", T::String, S::Default, "", Status::Current);
/// `anonymizationFlags` (285): unsigned16, flags.
pub const ANONYMIZATION_FLAGS: Element = Element::iana(285, "anonymizationFlags", T::Unsigned16, S::Flags, "", Status::Current);
/// `anonymizationTechnique` (286): unsigned16, identifier.
pub const ANONYMIZATION_TECHNIQUE: Element = Element::iana(286, "anonymizationTechnique", T::Unsigned16, S::Identifier, "", Status::Current);
/// `informationElementIndex` (287): unsigned16, identifier.
pub const INFORMATION_ELEMENT_INDEX: Element = Element::iana(287, "informationElementIndex", T::Unsigned16, S::Identifier, "", Status::Current);
/// `p2pTechnology` (288): string, default.
pub const P2P_TECHNOLOGY: Element = Element::iana(288, "p2pTechnology", T::String, S::Default, "", Status::Current);
/// `tunnelTechnology` (289): string, default.
pub const TUNNEL_TECHNOLOGY: Element = Element::iana(289, "tunnelTechnology", T::String, S::Default, "", Status::Current);
/// `encryptedTechnology` (290): string, default.
pub const ENCRYPTED_TECHNOLOGY: Element = Element::iana(290, "encryptedTechnology", T::String, S::Default, "", Status::Current);
/// `basicList` (291): basicList, list.
pub const BASIC_LIST: Element = Element::iana(291, "basicList", T::BasicList, S::List, "", Status::Current);
/// `subTemplateList` (292): subTemplateList, list.
pub const SUB_TEMPLATE_LIST: Element = Element::iana(292, "subTemplateList", T::SubTemplateList, S::List, "", Status::Current);
/// `subTemplateMultiList` (293): subTemplateMultiList, list.
pub const SUB_TEMPLATE_MULTI_LIST: Element = Element::iana(293, "subTemplateMultiList", T::SubTemplateMultiList, S::List, "", Status::Current);
/// `bgpValidityState` (294): unsigned8, identifier.
pub const BGP_VALIDITY_STATE: Element = Element::iana(294, "bgpValidityState", T::Unsigned8, S::Identifier, "", Status::Current);
/// `IPSecSPI` (295): unsigned32, identifier.
pub const IPSEC_SPI: Element = Element::iana(295, "IPSecSPI", T::Unsigned32, S::Identifier, "", Status::Current);
/// `greKey` (296): unsigned32, identifier.
pub const GRE_KEY: Element = Element::iana(296, "greKey", T::Unsigned32, S::Identifier, "", Status::Current);
/// `natType` (297): unsigned8, identifier.
pub const NAT_TYPE: Element = Element::iana(297, "natType", T::Unsigned8, S::Identifier, "", Status::Current);
/// `initiatorPackets` (298): unsigned64, deltaCounter, packets.
pub const INITIATOR_PACKETS: Element = Element::iana(298, "initiatorPackets", T::Unsigned64, S::DeltaCounter, "packets", Status::Current);
/// `responderPackets` (299): unsigned64, deltaCounter, packets.
pub const RESPONDER_PACKETS: Element = Element::iana(299, "responderPackets", T::Unsigned64, S::DeltaCounter, "packets", Status::Current);
/// `observationDomainName` (300): string, default.
pub const OBSERVATION_DOMAIN_NAME: Element = Element::iana(300, "observationDomainName", T::String, S::Default, "", Status::Current);
/// `selectionSequenceId` (301): unsigned64, identifier.
pub const SELECTION_SEQUENCE_ID: Element = Element::iana(301, "selectionSequenceId", T::Unsigned64, S::Identifier, "", Status::Current);
/// `selectorId` (302): unsigned64, identifier.
pub const SELECTOR_ID: Element = Element::iana(302, "selectorId", T::Unsigned64, S::Identifier, "", Status::Current);
/// `informationElementId` (303): unsigned16, identifier.
pub const INFORMATION_ELEMENT_ID: Element = Element::iana(303, "informationElementId", T::Unsigned16, S::Identifier, "", Status::Current);
/// `selectorAlgorithm` (304): unsigned16, identifier.
pub const SELECTOR_ALGORITHM: Element = Element::iana(304, "selectorAlgorithm", T::Unsigned16, S::Identifier, "", Status::Current);
/// `samplingPacketInterval` (305): unsigned32, quantity, packets.
pub const SAMPLING_PACKET_INTERVAL: Element = Element::iana(305, "samplingPacketInterval", T::Unsigned32, S::Quantity, "packets", Status::Current);
/// `samplingPacketSpace` (306): unsigned32, quantity, packets.
pub const SAMPLING_PACKET_SPACE: Element = Element::iana(306, "samplingPacketSpace", T::Unsigned32, S::Quantity, "packets", Status::Current);
/// `samplingTimeInterval` (307): unsigned32, quantity, microseconds.
pub const SAMPLING_TIME_INTERVAL: Element = Element::iana(307, "samplingTimeInterval", T::Unsigned32, S::Quantity, "microseconds", Status::Current);
/// `samplingTimeSpace` (308): unsigned32, quantity, microseconds.
pub const SAMPLING_TIME_SPACE: Element = Element::iana(308, "samplingTimeSpace", T::Unsigned32, S::Quantity, "microseconds", Status::Current);
/// `samplingSize` (309): unsigned32, quantity, packets.
pub const SAMPLING_SIZE: Element = Element::iana(309, "samplingSize", T::Unsigned32, S::Quantity, "packets", Status::Current);
/// `samplingPopulation` (310): unsigned32, quantity, packets.
pub const SAMPLING_POPULATION: Element = Element::iana(310, "samplingPopulation", T::Unsigned32, S::Quantity, "packets", Status::Current);
/// `samplingProbability` (311): float64, quantity.
pub const SAMPLING_PROBABILITY: Element = Element::iana(311, "samplingProbability", T::Float64, S::Quantity, "", Status::Current);
/// `dataLinkFrameSize` (312): unsigned16, quantity.
pub const DATA_LINK_FRAME_SIZE: Element = Element::iana(312, "dataLinkFrameSize", T::Unsigned16, S::Quantity, "", Status::Current);
/// `ipHeaderPacketSection` (313): octetArray, default.
pub const IP_HEADER_PACKET_SECTION: Element = Element::iana(313, "ipHeaderPacketSection", T::OctetArray, S::Default, "", Status::Current);
/// `ipPayloadPacketSection` (314): octetArray, default.
pub const IP_PAYLOAD_PACKET_SECTION: Element = Element::iana(314, "ipPayloadPacketSection", T::OctetArray, S::Default, "", Status::Current);
/// `dataLinkFrameSection` (315): octetArray, default.
pub const DATA_LINK_FRAME_SECTION: Element = Element::iana(315, "dataLinkFrameSection", T::OctetArray, S::Default, "", Status::Current);
/// `mplsLabelStackSection` (316): octetArray, default.
pub const MPLS_LABEL_STACK_SECTION: Element = Element::iana(316, "mplsLabelStackSection", T::OctetArray, S::Default, "", Status::Current);
/// `mplsPayloadPacketSection` (317): octetArray, default.
pub const MPLS_PAYLOAD_PACKET_SECTION: Element = Element::iana(317, "mplsPayloadPacketSection", T::OctetArray, S::Default, "", Status::Current);
/// `selectorIdTotalPktsObserved` (318): unsigned64, totalCounter, packets.
pub const SELECTOR_ID_TOTAL_PKTS_OBSERVED: Element = Element::iana(318, "selectorIdTotalPktsObserved", T::Unsigned64, S::TotalCounter, "packets", Status::Current);
/// `selectorIdTotalPktsSelected` (319): unsigned64, totalCounter, packets.
pub const SELECTOR_ID_TOTAL_PKTS_SELECTED: Element = Element::iana(319, "selectorIdTotalPktsSelected", T::Unsigned64, S::TotalCounter, "packets", Status::Current);
/// `absoluteError` (320): float64, quantity, inferred.
pub const ABSOLUTE_ERROR: Element = Element::iana(320, "absoluteError", T::Float64, S::Quantity, "inferred", Status::Current);
/// `relativeError` (321): float64, quantity.
pub const RELATIVE_ERROR: Element = Element::iana(321, "relativeError", T::Float64, S::Quantity, "", Status::Current);
/// `observationTimeSeconds` (322): dateTimeSeconds, default, seconds.
pub const OBSERVATION_TIME_SECONDS: Element = Element::iana(322, "observationTimeSeconds", T::DateTimeSeconds, S::Default, "seconds", Status::Current);
/// `observationTimeMilliseconds` (323): dateTimeMilliseconds, default, milliseconds.
pub const OBSERVATION_TIME_MILLISECONDS: Element = Element::iana(323, "observationTimeMilliseconds", T::DateTimeMilliseconds, S::Default, "milliseconds", Status::Current);
/// `observationTimeMicroseconds` (324): dateTimeMicroseconds, default, microseconds.
pub const OBSERVATION_TIME_MICROSECONDS: Element = Element::iana(324, "observationTimeMicroseconds", T::DateTimeMicroseconds, S::Default, "microseconds", Status::Current);
/// `observationTimeNanoseconds` (325): dateTimeNanoseconds, default, nanoseconds.
pub const OBSERVATION_TIME_NANOSECONDS: Element = Element::iana(325, "observationTimeNanoseconds", T::DateTimeNanoseconds, S::Default, "nanoseconds", Status::Current);
/// `digestHashValue` (326): unsigned64, quantity.
pub const DIGEST_HASH_VALUE: Element = Element::iana(326, "digestHashValue", T::Unsigned64, S::Quantity, "", Status::Current);
/// `hashIPPayloadOffset` (327): unsigned64, quantity.
pub const HASH_IP_PAYLOAD_OFFSET: Element = Element::iana(327, "hashIPPayloadOffset", T::Unsigned64, S::Quantity, "", Status::Current);
/// `hashIPPayloadSize` (328): unsigned64, quantity.
pub const HASH_IP_PAYLOAD_SIZE: Element = Element::iana(328, "hashIPPayloadSize", T::Unsigned64, S::Quantity, "", Status::Current);
/// `hashOutputRangeMin` (329): unsigned64, quantity.
pub const HASH_OUTPUT_RANGE_MIN: Element = Element::iana(329, "hashOutputRangeMin", T::Unsigned64, S::Quantity, "", Status::Current);
/// `hashOutputRangeMax` (330): unsigned64, quantity.
pub const HASH_OUTPUT_RANGE_MAX: Element = Element::iana(330, "hashOutputRangeMax", T::Unsigned64, S::Quantity, "", Status::Current);
/// `hashSelectedRangeMin` (331): unsigned64, quantity.
pub const HASH_SELECTED_RANGE_MIN: Element = Element::iana(331, "hashSelectedRangeMin", T::Unsigned64, S::Quantity, "", Status::Current);
/// `hashSelectedRangeMax` (332): unsigned64, quantity.
pub const HASH_SELECTED_RANGE_MAX: Element = Element::iana(332, "hashSelectedRangeMax", T::Unsigned64, S::Quantity, "", Status::Current);
/// `hashDigestOutput` (333): boolean, default.
pub const HASH_DIGEST_OUTPUT: Element = Element::iana(333, "hashDigestOutput", T::Boolean, S::Default, "", Status::Current);
/// `hashInitialiserValue` (334): unsigned64, quantity.
pub const HASH_INITIALISER_VALUE: Element = Element::iana(334, "hashInitialiserValue", T::Unsigned64, S::Quantity, "", Status::Current);
/// `selectorName` (335): string, default.
pub const SELECTOR_NAME: Element = Element::iana(335, "selectorName", T::String, S::Default, "", Status::Current);
/// `upperCILimit` (336): float64, quantity.
pub const UPPER_CI_LIMIT: Element = Element::iana(336, "upperCILimit", T::Float64, S::Quantity, "", Status::Current);
/// `lowerCILimit` (337): float64, quantity.
pub const LOWER_CI_LIMIT: Element = Element::iana(337, "lowerCILimit", T::Float64, S::Quantity, "", Status::Current);
/// `confidenceLevel` (338): float64, quantity.
pub const CONFIDENCE_LEVEL: Element = Element::iana(338, "confidenceLevel", T::Float64, S::Quantity, "", Status::Current);
/// `informationElementDataType` (339): unsigned8, default.
pub const INFORMATION_ELEMENT_DATA_TYPE: Element = Element::iana(339, "informationElementDataType", T::Unsigned8, S::Default, "", Status::Current);
/// `informationElementDescription` (340): string, default.
pub const INFORMATION_ELEMENT_DESCRIPTION: Element = Element::iana(340, "informationElementDescription", T::String, S::Default, "", Status::Current);
/// `informationElementName` (341): string, default.
pub const INFORMATION_ELEMENT_NAME: Element = Element::iana(341, "informationElementName", T::String, S::Default, "", Status::Current);
/// `informationElementRangeBegin` (342): unsigned64, quantity.
pub const INFORMATION_ELEMENT_RANGE_BEGIN: Element = Element::iana(342, "informationElementRangeBegin", T::Unsigned64, S::Quantity, "", Status::Current);
/// `informationElementRangeEnd` (343): unsigned64, quantity.
pub const INFORMATION_ELEMENT_RANGE_END: Element = Element::iana(343, "informationElementRangeEnd", T::Unsigned64, S::Quantity, "", Status::Current);
/// `informationElementSemantics` (344): unsigned8, default.
pub const INFORMATION_ELEMENT_SEMANTICS: Element = Element::iana(344, "informationElementSemantics", T::Unsigned8, S::Default, "", Status::Current);
/// `informationElementUnits` (345): unsigned16, default.
pub const INFORMATION_ELEMENT_UNITS: Element = Element::iana(345, "informationElementUnits", T::Unsigned16, S::Default, "", Status::Current);
/// `privateEnterpriseNumber` (346): unsigned32, identifier.
pub const PRIVATE_ENTERPRISE_NUMBER: Element = Element::iana(346, "privateEnterpriseNumber", T::Unsigned32, S::Identifier, "", Status::Current);
/// `virtualStationInterfaceId` (347): octetArray, default.
pub const VIRTUAL_STATION_INTERFACE_ID: Element = Element::iana(347, "virtualStationInterfaceId", T::OctetArray, S::Default, "", Status::Current);
/// `virtualStationInterfaceName` (348): string, default.
pub const VIRTUAL_STATION_INTERFACE_NAME: Element = Element::iana(348, "virtualStationInterfaceName", T::String, S::Default, "", Status::Current);
/// `virtualStationUUID` (349): octetArray, default.
pub const VIRTUAL_STATION_UUID: Element = Element::iana(349, "virtualStationUUID", T::OctetArray, S::Default, "", Status::Current);
/// `virtualStationName` (350): string, default.
pub const VIRTUAL_STATION_NAME: Element = Element::iana(350, "virtualStationName", T::String, S::Default, "", Status::Current);
/// `layer2SegmentId` (351): unsigned64, identifier.
pub const LAYER2_SEGMENT_ID: Element = Element::iana(351, "layer2SegmentId", T::Unsigned64, S::Identifier, "", Status::Current);
/// `layer2OctetDeltaCount` (352): unsigned64, deltaCounter, octets.
pub const LAYER2_OCTET_DELTA_COUNT: Element = Element::iana(352, "layer2OctetDeltaCount", T::Unsigned64, S::DeltaCounter, "octets", Status::Current);
/// `layer2OctetTotalCount` (353): unsigned64, totalCounter, octets.
pub const LAYER2_OCTET_TOTAL_COUNT: Element = Element::iana(353, "layer2OctetTotalCount", T::Unsigned64, S::TotalCounter, "octets", Status::Current);
/// `ingressUnicastPacketTotalCount` (354): unsigned64, totalCounter, packets.
pub const INGRESS_UNICAST_PACKET_TOTAL_COUNT: Element = Element::iana(354, "ingressUnicastPacketTotalCount", T::Unsigned64, S::TotalCounter, "packets", Status::Current);
/// `ingressMulticastPacketTotalCount` (355): unsigned64, totalCounter, packets.
pub const INGRESS_MULTICAST_PACKET_TOTAL_COUNT: Element = Element::iana(355, "ingressMulticastPacketTotalCount", T::Unsigned64, S::TotalCounter, "packets", Status::Current);
/// `ingressBroadcastPacketTotalCount` (356): unsigned64, totalCounter, packets.
pub const INGRESS_BROADCAST_PACKET_TOTAL_COUNT: Element = Element::iana(356, "ingressBroadcastPacketTotalCount", T::Unsigned64, S::TotalCounter, "packets", Status::Current);
/// `egressUnicastPacketTotalCount` (357): unsigned64, totalCounter, packets.
pub const EGRESS_UNICAST_PACKET_TOTAL_COUNT: Element = Element::iana(357, "egressUnicastPacketTotalCount", T::Unsigned64, S::TotalCounter, "packets", Status::Current);
/// `egressBroadcastPacketTotalCount` (358): unsigned64, totalCounter, packets.
pub const EGRESS_BROADCAST_PACKET_TOTAL_COUNT: Element = Element::iana(358, "egressBroadcastPacketTotalCount", T::Unsigned64, S::TotalCounter, "packets", Status::Current);
/// `monitoringIntervalStartMilliSeconds` (359): dateTimeMilliseconds, default, milliseconds.
pub const MONITORING_INTERVAL_START_MILLI_SECONDS: Element = Element::iana(359, "monitoringIntervalStartMilliSeconds", T::DateTimeMilliseconds, S::Default, "milliseconds", Status::Current);
/// `monitoringIntervalEndMilliSeconds` (360): dateTimeMilliseconds, default, milliseconds.
pub const MONITORING_INTERVAL_END_MILLI_SECONDS: Element = Element::iana(360, "monitoringIntervalEndMilliSeconds", T::DateTimeMilliseconds, S::Default, "milliseconds", Status::Current);
/// `portRangeStart` (361): unsigned16, identifier.
pub const PORT_RANGE_START: Element = Element::iana(361, "portRangeStart", T::Unsigned16, S::Identifier, "", Status::Current);
/// `portRangeEnd` (362): unsigned16, identifier.
pub const PORT_RANGE_END: Element = Element::iana(362, "portRangeEnd", T::Unsigned16, S::Identifier, "", Status::Current);
/// `portRangeStepSize` (363): unsigned16, identifier.
pub const PORT_RANGE_STEP_SIZE: Element = Element::iana(363, "portRangeStepSize", T::Unsigned16, S::Identifier, "", Status::Current);
/// `portRangeNumPorts` (364): unsigned16, identifier.
pub const PORT_RANGE_NUM_PORTS: Element = Element::iana(364, "portRangeNumPorts", T::Unsigned16, S::Identifier, "", Status::Current);
/// `staMacAddress` (365): macAddress, default.
pub const STA_MAC_ADDRESS: Element = Element::iana(365, "staMacAddress", T::MacAddress, S::Default, "", Status::Current);
/// `staIPv4Address` (366): ipv4Address, default.
pub const STA_IPV4_ADDRESS: Element = Element::iana(366, "staIPv4Address", T::Ipv4Address, S::Default, "", Status::Current);
/// `wtpMacAddress` (367): macAddress, default.
pub const WTP_MAC_ADDRESS: Element = Element::iana(367, "wtpMacAddress", T::MacAddress, S::Default, "", Status::Current);
/// `ingressInterfaceType` (368): unsigned32, identifier.
pub const INGRESS_INTERFACE_TYPE: Element = Element::iana(368, "ingressInterfaceType", T::Unsigned32, S::Identifier, "", Status::Current);
/// `egressInterfaceType` (369): unsigned32, identifier.
pub const EGRESS_INTERFACE_TYPE: Element = Element::iana(369, "egressInterfaceType", T::Unsigned32, S::Identifier, "", Status::Current);
/// `rtpSequenceNumber` (370): unsigned16, default.
pub const RTP_SEQUENCE_NUMBER: Element = Element::iana(370, "rtpSequenceNumber", T::Unsigned16, S::Default, "", Status::Current);
/// `userName` (371): string, default.
pub const USER_NAME: Element = Element::iana(371, "userName", T::String, S::Default, "", Status::Current);
/// `applicationCategoryName` (372): string, default.
pub const APPLICATION_CATEGORY_NAME: Element = Element::iana(372, "applicationCategoryName", T::String, S::Default, "", Status::Current);
/// `applicationSubCategoryName` (373): string, default.
pub const APPLICATION_SUB_CATEGORY_NAME: Element = Element::iana(373, "applicationSubCategoryName", T::String, S::Default, "", Status::Current);
/// `applicationGroupName` (374): string, default.
pub const APPLICATION_GROUP_NAME: Element = Element::iana(374, "applicationGroupName", T::String, S::Default, "", Status::Current);
/// `originalFlowsPresent` (375): unsigned64, deltaCounter, flows.
pub const ORIGINAL_FLOWS_PRESENT: Element = Element::iana(375, "originalFlowsPresent", T::Unsigned64, S::DeltaCounter, "flows", Status::Current);
/// `originalFlowsInitiated` (376): unsigned64, deltaCounter, flows.
pub const ORIGINAL_FLOWS_INITIATED: Element = Element::iana(376, "originalFlowsInitiated", T::Unsigned64, S::DeltaCounter, "flows", Status::Current);
/// `originalFlowsCompleted` (377): unsigned64, deltaCounter, flows.
pub const ORIGINAL_FLOWS_COMPLETED: Element = Element::iana(377, "originalFlowsCompleted", T::Unsigned64, S::DeltaCounter, "flows", Status::Current);
/// `distinctCountOfSourceIPAddress` (378): unsigned64, totalCounter.
pub const DISTINCT_COUNT_OF_SOURCE_IP_ADDRESS: Element = Element::iana(378, "distinctCountOfSourceIPAddress", T::Unsigned64, S::TotalCounter, "", Status::Current);
/// `distinctCountOfDestinationIPAddress` (379): unsigned64, totalCounter.
pub const DISTINCT_COUNT_OF_DESTINATION_IP_ADDRESS: Element = Element::iana(379, "distinctCountOfDestinationIPAddress", T::Unsigned64, S::TotalCounter, "", Status::Current);
/// `distinctCountOfSourceIPv4Address` (380): unsigned32, totalCounter.
pub const DISTINCT_COUNT_OF_SOURCE_IPV4_ADDRESS: Element = Element::iana(380, "distinctCountOfSourceIPv4Address", T::Unsigned32, S::TotalCounter, "", Status::Current);
/// `distinctCountOfDestinationIPv4Address` (381): unsigned32, totalCounter.
pub const DISTINCT_COUNT_OF_DESTINATION_IPV4_ADDRESS: Element = Element::iana(381, "distinctCountOfDestinationIPv4Address", T::Unsigned32, S::TotalCounter, "", Status::Current);
/// `distinctCountOfSourceIPv6Address` (382): unsigned64, totalCounter.
pub const DISTINCT_COUNT_OF_SOURCE_IPV6_ADDRESS: Element = Element::iana(382, "distinctCountOfSourceIPv6Address", T::Unsigned64, S::TotalCounter, "", Status::Current);
/// `distinctCountOfDestinationIPv6Address` (383): unsigned64, totalCounter.
pub const DISTINCT_COUNT_OF_DESTINATION_IPV6_ADDRESS: Element = Element::iana(383, "distinctCountOfDestinationIPv6Address", T::Unsigned64, S::TotalCounter, "", Status::Current);
/// `valueDistributionMethod` (384): unsigned8, default.
pub const VALUE_DISTRIBUTION_METHOD: Element = Element::iana(384, "valueDistributionMethod", T::Unsigned8, S::Default, "", Status::Current);
/// `rfc3550JitterMilliseconds` (385): unsigned32, quantity, milliseconds.
pub const RFC3550_JITTER_MILLISECONDS: Element = Element::iana(385, "rfc3550JitterMilliseconds", T::Unsigned32, S::Quantity, "milliseconds", Status::Current);
/// `rfc3550JitterMicroseconds` (386): unsigned32, quantity, microseconds.
pub const RFC3550_JITTER_MICROSECONDS: Element = Element::iana(386, "rfc3550JitterMicroseconds", T::Unsigned32, S::Quantity, "microseconds", Status::Current);
/// `rfc3550JitterNanoseconds` (387): unsigned32, quantity, nanoseconds.
pub const RFC3550_JITTER_NANOSECONDS: Element = Element::iana(387, "rfc3550JitterNanoseconds", T::Unsigned32, S::Quantity, "nanoseconds", Status::Current);
/// `dot1qDEI` (388): boolean, default.
pub const DOT1Q_DEI: Element = Element::iana(388, "dot1qDEI", T::Boolean, S::Default, "", Status::Current);
/// `dot1qCustomerDEI` (389): boolean, default.
pub const DOT1Q_CUSTOMER_DEI: Element = Element::iana(389, "dot1qCustomerDEI", T::Boolean, S::Default, "", Status::Current);
/// `flowSelectorAlgorithm` (390): unsigned16, identifier.
pub const FLOW_SELECTOR_ALGORITHM: Element = Element::iana(390, "flowSelectorAlgorithm", T::Unsigned16, S::Identifier, "", Status::Current);
/// `flowSelectedOctetDeltaCount` (391): unsigned64, deltaCounter, octets.
pub const FLOW_SELECTED_OCTET_DELTA_COUNT: Element = Element::iana(391, "flowSelectedOctetDeltaCount", T::Unsigned64, S::DeltaCounter, "octets", Status::Current);
/// `flowSelectedPacketDeltaCount` (392): unsigned64, deltaCounter, packets.
pub const FLOW_SELECTED_PACKET_DELTA_COUNT: Element = Element::iana(392, "flowSelectedPacketDeltaCount", T::Unsigned64, S::DeltaCounter, "packets", Status::Current);
/// `flowSelectedFlowDeltaCount` (393): unsigned64, deltaCounter, flows.
pub const FLOW_SELECTED_FLOW_DELTA_COUNT: Element = Element::iana(393, "flowSelectedFlowDeltaCount", T::Unsigned64, S::DeltaCounter, "flows", Status::Current);
/// `selectorIDTotalFlowsObserved` (394): unsigned64, default, flows.
pub const SELECTOR_ID_TOTAL_FLOWS_OBSERVED: Element = Element::iana(394, "selectorIDTotalFlowsObserved", T::Unsigned64, S::Default, "flows", Status::Current);
/// `selectorIDTotalFlowsSelected` (395): unsigned64, default, flows.
pub const SELECTOR_ID_TOTAL_FLOWS_SELECTED: Element = Element::iana(395, "selectorIDTotalFlowsSelected", T::Unsigned64, S::Default, "flows", Status::Current);
/// `samplingFlowInterval` (396): unsigned64, default, flows.
pub const SAMPLING_FLOW_INTERVAL: Element = Element::iana(396, "samplingFlowInterval", T::Unsigned64, S::Default, "flows", Status::Current);
/// `samplingFlowSpacing` (397): unsigned64, default, flows.
pub const SAMPLING_FLOW_SPACING: Element = Element::iana(397, "samplingFlowSpacing", T::Unsigned64, S::Default, "flows", Status::Current);
/// `flowSamplingTimeInterval` (398): unsigned64, default, microseconds.
pub const FLOW_SAMPLING_TIME_INTERVAL: Element = Element::iana(398, "flowSamplingTimeInterval", T::Unsigned64, S::Default, "microseconds", Status::Current);
/// `flowSamplingTimeSpacing` (399): unsigned64, default, microseconds.
pub const FLOW_SAMPLING_TIME_SPACING: Element = Element::iana(399, "flowSamplingTimeSpacing", T::Unsigned64, S::Default, "microseconds", Status::Current);
/// `hashFlowDomain` (400): unsigned16, identifier.
pub const HASH_FLOW_DOMAIN: Element = Element::iana(400, "hashFlowDomain", T::Unsigned16, S::Identifier, "", Status::Current);
/// `transportOctetDeltaCount` (401): unsigned64, deltaCounter, octets.
pub const TRANSPORT_OCTET_DELTA_COUNT: Element = Element::iana(401, "transportOctetDeltaCount", T::Unsigned64, S::DeltaCounter, "octets", Status::Current);
/// `transportPacketDeltaCount` (402): unsigned64, deltaCounter, packets.
pub const TRANSPORT_PACKET_DELTA_COUNT: Element = Element::iana(402, "transportPacketDeltaCount", T::Unsigned64, S::DeltaCounter, "packets", Status::Current);
/// `originalExporterIPv4Address` (403): ipv4Address, default.
pub const ORIGINAL_EXPORTER_IPV4_ADDRESS: Element = Element::iana(403, "originalExporterIPv4Address", T::Ipv4Address, S::Default, "", Status::Current);
/// `originalExporterIPv6Address` (404): ipv6Address, default.
pub const ORIGINAL_EXPORTER_IPV6_ADDRESS: Element = Element::iana(404, "originalExporterIPv6Address", T::Ipv6Address, S::Default, "", Status::Current);
/// `originalObservationDomainId` (405): unsigned32, identifier.
pub const ORIGINAL_OBSERVATION_DOMAIN_ID: Element = Element::iana(405, "originalObservationDomainId", T::Unsigned32, S::Identifier, "", Status::Current);
/// `intermediateProcessId` (406): unsigned32, identifier.
pub const INTERMEDIATE_PROCESS_ID: Element = Element::iana(406, "intermediateProcessId", T::Unsigned32, S::Identifier, "", Status::Current);
/// `ignoredDataRecordTotalCount` (407): unsigned64, totalCounter.
pub const IGNORED_DATA_RECORD_TOTAL_COUNT: Element = Element::iana(407, "ignoredDataRecordTotalCount", T::Unsigned64, S::TotalCounter, "", Status::Current);
/// `dataLinkFrameType` (408): unsigned16, flags.
pub const DATA_LINK_FRAME_TYPE: Element = Element::iana(408, "dataLinkFrameType", T::Unsigned16, S::Flags, "", Status::Current);
/// `sectionOffset` (409): unsigned16, quantity.
pub const SECTION_OFFSET: Element = Element::iana(409, "sectionOffset", T::Unsigned16, S::Quantity, "", Status::Current);
/// `sectionExportedOctets` (410): unsigned16, quantity.
pub const SECTION_EXPORTED_OCTETS: Element = Element::iana(410, "sectionExportedOctets", T::Unsigned16, S::Quantity, "", Status::Current);
/// `dot1qServiceInstanceTag` (411): octetArray, default.
pub const DOT1Q_SERVICE_INSTANCE_TAG: Element = Element::iana(411, "dot1qServiceInstanceTag", T::OctetArray, S::Default, "", Status::Current);
/// `dot1qServiceInstanceId` (412): unsigned32, identifier.
pub const DOT1Q_SERVICE_INSTANCE_ID: Element = Element::iana(412, "dot1qServiceInstanceId", T::Unsigned32, S::Identifier, "", Status::Current);
/// `dot1qServiceInstancePriority` (413): unsigned8, identifier.
pub const DOT1Q_SERVICE_INSTANCE_PRIORITY: Element = Element::iana(413, "dot1qServiceInstancePriority", T::Unsigned8, S::Identifier, "", Status::Current);
/// `dot1qCustomerSourceMacAddress` (414): macAddress, default.
pub const DOT1Q_CUSTOMER_SOURCE_MAC_ADDRESS: Element = Element::iana(414, "dot1qCustomerSourceMacAddress", T::MacAddress, S::Default, "", Status::Current);
/// `dot1qCustomerDestinationMacAddress` (415): macAddress, default.
pub const DOT1Q_CUSTOMER_DESTINATION_MAC_ADDRESS: Element = Element::iana(415, "dot1qCustomerDestinationMacAddress", T::MacAddress, S::Default, "", Status::Current);
/// `postLayer2OctetDeltaCount` (417): unsigned64, deltaCounter, octets.
pub const POST_LAYER2_OCTET_DELTA_COUNT: Element = Element::iana(417, "postLayer2OctetDeltaCount", T::Unsigned64, S::DeltaCounter, "octets", Status::Current);
/// `postMCastLayer2OctetDeltaCount` (418): unsigned64, deltaCounter, octets.
pub const POST_M_CAST_LAYER2_OCTET_DELTA_COUNT: Element = Element::iana(418, "postMCastLayer2OctetDeltaCount", T::Unsigned64, S::DeltaCounter, "octets", Status::Current);
/// `postLayer2OctetTotalCount` (420): unsigned64, totalCounter, octets.
pub const POST_LAYER2_OCTET_TOTAL_COUNT: Element = Element::iana(420, "postLayer2OctetTotalCount", T::Unsigned64, S::TotalCounter, "octets", Status::Current);
/// `postMCastLayer2OctetTotalCount` (421): unsigned64, totalCounter, octets.
pub const POST_M_CAST_LAYER2_OCTET_TOTAL_COUNT: Element = Element::iana(421, "postMCastLayer2OctetTotalCount", T::Unsigned64, S::TotalCounter, "octets", Status::Current);
/// `minimumLayer2TotalLength` (422): unsigned64, default, octets.
pub const MINIMUM_LAYER2_TOTAL_LENGTH: Element = Element::iana(422, "minimumLayer2TotalLength", T::Unsigned64, S::Default, "octets", Status::Current);
/// `maximumLayer2TotalLength` (423): unsigned64, default, octets.
pub const MAXIMUM_LAYER2_TOTAL_LENGTH: Element = Element::iana(423, "maximumLayer2TotalLength", T::Unsigned64, S::Default, "octets", Status::Current);
/// `droppedLayer2OctetDeltaCount` (424): unsigned64, deltaCounter, octets.
pub const DROPPED_LAYER2_OCTET_DELTA_COUNT: Element = Element::iana(424, "droppedLayer2OctetDeltaCount", T::Unsigned64, S::DeltaCounter, "octets", Status::Current);
/// `droppedLayer2OctetTotalCount` (425): unsigned64, totalCounter, octets.
pub const DROPPED_LAYER2_OCTET_TOTAL_COUNT: Element = Element::iana(425, "droppedLayer2OctetTotalCount", T::Unsigned64, S::TotalCounter, "octets", Status::Current);
/// `ignoredLayer2OctetTotalCount` (426): unsigned64, totalCounter, octets.
pub const IGNORED_LAYER2_OCTET_TOTAL_COUNT: Element = Element::iana(426, "ignoredLayer2OctetTotalCount", T::Unsigned64, S::TotalCounter, "octets", Status::Current);
/// `notSentLayer2OctetTotalCount` (427): unsigned64, totalCounter, octets.
pub const NOT_SENT_LAYER2_OCTET_TOTAL_COUNT: Element = Element::iana(427, "notSentLayer2OctetTotalCount", T::Unsigned64, S::TotalCounter, "octets", Status::Current);
/// `layer2OctetDeltaSumOfSquares` (428): unsigned64, deltaCounter, octets.
pub const LAYER2_OCTET_DELTA_SUM_OF_SQUARES: Element = Element::iana(428, "layer2OctetDeltaSumOfSquares", T::Unsigned64, S::DeltaCounter, "octets", Status::Current);
/// `layer2OctetTotalSumOfSquares` (429): unsigned64, totalCounter, octets.
pub const LAYER2_OCTET_TOTAL_SUM_OF_SQUARES: Element = Element::iana(429, "layer2OctetTotalSumOfSquares", T::Unsigned64, S::TotalCounter, "octets", Status::Current);
/// `layer2FrameDeltaCount` (430): unsigned64, deltaCounter, frames.
pub const LAYER2_FRAME_DELTA_COUNT: Element = Element::iana(430, "layer2FrameDeltaCount", T::Unsigned64, S::DeltaCounter, "frames", Status::Current);
/// `layer2FrameTotalCount` (431): unsigned64, totalCounter, frames.
pub const LAYER2_FRAME_TOTAL_COUNT: Element = Element::iana(431, "layer2FrameTotalCount", T::Unsigned64, S::TotalCounter, "frames", Status::Current);
/// `pseudoWireDestinationIPv4Address` (432): ipv4Address, default.
pub const PSEUDO_WIRE_DESTINATION_IPV4_ADDRESS: Element = Element::iana(432, "pseudoWireDestinationIPv4Address", T::Ipv4Address, S::Default, "", Status::Current);
/// `ignoredLayer2FrameTotalCount` (433): unsigned64, totalCounter, frames.
pub const IGNORED_LAYER2_FRAME_TOTAL_COUNT: Element = Element::iana(433, "ignoredLayer2FrameTotalCount", T::Unsigned64, S::TotalCounter, "frames", Status::Current);
/// `mibObjectValueInteger` (434): signed32, quantity.
pub const MIB_OBJECT_VALUE_INTEGER: Element = Element::iana(434, "mibObjectValueInteger", T::Signed32, S::Quantity, "", Status::Current);
/// `mibObjectValueOctetString` (435): octetArray, default.
pub const MIB_OBJECT_VALUE_OCTET_STRING: Element = Element::iana(435, "mibObjectValueOctetString", T::OctetArray, S::Default, "", Status::Current);
/// `mibObjectValueOID` (436): octetArray, default.
pub const MIB_OBJECT_VALUE_OID: Element = Element::iana(436, "mibObjectValueOID", T::OctetArray, S::Default, "", Status::Current);
/// `mibObjectValueBits` (437): octetArray, flags.
pub const MIB_OBJECT_VALUE_BITS: Element = Element::iana(437, "mibObjectValueBits", T::OctetArray, S::Flags, "", Status::Current);
/// `mibObjectValueIPAddress` (438): ipv4Address, default.
pub const MIB_OBJECT_VALUE_IP_ADDRESS: Element = Element::iana(438, "mibObjectValueIPAddress", T::Ipv4Address, S::Default, "", Status::Current);
/// `mibObjectValueCounter` (439): unsigned64, snmpCounter.
pub const MIB_OBJECT_VALUE_COUNTER: Element = Element::iana(439, "mibObjectValueCounter", T::Unsigned64, S::SnmpCounter, "", Status::Current);
/// `mibObjectValueGauge` (440): unsigned32, snmpGauge.
pub const MIB_OBJECT_VALUE_GAUGE: Element = Element::iana(440, "mibObjectValueGauge", T::Unsigned32, S::SnmpGauge, "", Status::Current);
/// `mibObjectValueTimeTicks` (441): unsigned32, quantity.
pub const MIB_OBJECT_VALUE_TIME_TICKS: Element = Element::iana(441, "mibObjectValueTimeTicks", T::Unsigned32, S::Quantity, "", Status::Current);
/// `mibObjectValueUnsigned` (442): unsigned32, quantity.
pub const MIB_OBJECT_VALUE_UNSIGNED: Element = Element::iana(442, "mibObjectValueUnsigned", T::Unsigned32, S::Quantity, "", Status::Current);
/// `mibObjectValueTable` (443): subTemplateList, list.
pub const MIB_OBJECT_VALUE_TABLE: Element = Element::iana(443, "mibObjectValueTable", T::SubTemplateList, S::List, "", Status::Current);
/// `mibObjectValueRow` (444): subTemplateList, list.
pub const MIB_OBJECT_VALUE_ROW: Element = Element::iana(444, "mibObjectValueRow", T::SubTemplateList, S::List, "", Status::Current);
/// `mibObjectIdentifier` (445): octetArray, default.
pub const MIB_OBJECT_IDENTIFIER: Element = Element::iana(445, "mibObjectIdentifier", T::OctetArray, S::Default, "", Status::Current);
/// `mibSubIdentifier` (446): unsigned32, identifier.
pub const MIB_SUB_IDENTIFIER: Element = Element::iana(446, "mibSubIdentifier", T::Unsigned32, S::Identifier, "", Status::Current);
/// `mibIndexIndicator` (447): unsigned64, flags.
pub const MIB_INDEX_INDICATOR: Element = Element::iana(447, "mibIndexIndicator", T::Unsigned64, S::Flags, "", Status::Current);
/// `mibCaptureTimeSemantics` (448): unsigned8, identifier.
pub const MIB_CAPTURE_TIME_SEMANTICS: Element = Element::iana(448, "mibCaptureTimeSemantics", T::Unsigned8, S::Identifier, "", Status::Current);
/// `mibContextEngineID` (449): octetArray, default.
pub const MIB_CONTEXT_ENGINE_ID: Element = Element::iana(449, "mibContextEngineID", T::OctetArray, S::Default, "", Status::Current);
/// `mibContextName` (450): string, default.
pub const MIB_CONTEXT_NAME: Element = Element::iana(450, "mibContextName", T::String, S::Default, "", Status::Current);
/// `mibObjectName` (451): string, default.
pub const MIB_OBJECT_NAME: Element = Element::iana(451, "mibObjectName", T::String, S::Default, "", Status::Current);
/// `mibObjectDescription` (452): string, default.
pub const MIB_OBJECT_DESCRIPTION: Element = Element::iana(452, "mibObjectDescription", T::String, S::Default, "", Status::Current);
/// `mibObjectSyntax` (453): string, default.
pub const MIB_OBJECT_SYNTAX: Element = Element::iana(453, "mibObjectSyntax", T::String, S::Default, "", Status::Current);
/// `mibModuleName` (454): string, default.
pub const MIB_MODULE_NAME: Element = Element::iana(454, "mibModuleName", T::String, S::Default, "", Status::Current);
/// `mobileIMSI` (455): string, default.
pub const MOBILE_IMSI: Element = Element::iana(455, "mobileIMSI", T::String, S::Default, "", Status::Current);
/// `mobileMSISDN` (456): string, default.
pub const MOBILE_MSISDN: Element = Element::iana(456, "mobileMSISDN", T::String, S::Default, "", Status::Current);
/// `httpStatusCode` (457): unsigned16, identifier.
pub const HTTP_STATUS_CODE: Element = Element::iana(457, "httpStatusCode", T::Unsigned16, S::Identifier, "", Status::Current);
/// `sourceTransportPortsLimit` (458): unsigned16, quantity, ports.
pub const SOURCE_TRANSPORT_PORTS_LIMIT: Element = Element::iana(458, "sourceTransportPortsLimit", T::Unsigned16, S::Quantity, "ports", Status::Current);
/// `httpRequestMethod` (459): string, default.
pub const HTTP_REQUEST_METHOD: Element = Element::iana(459, "httpRequestMethod", T::String, S::Default, "", Status::Current);
/// `httpRequestHost` (460): string, default.
pub const HTTP_REQUEST_HOST: Element = Element::iana(460, "httpRequestHost", T::String, S::Default, "", Status::Current);
/// `httpRequestTarget` (461): string, default.
pub const HTTP_REQUEST_TARGET: Element = Element::iana(461, "httpRequestTarget", T::String, S::Default, "", Status::Current);
/// `httpMessageVersion` (462): string, default.
pub const HTTP_MESSAGE_VERSION: Element = Element::iana(462, "httpMessageVersion", T::String, S::Default, "", Status::Current);
/// `natInstanceID` (463): unsigned32, identifier.
pub const NAT_INSTANCE_ID: Element = Element::iana(463, "natInstanceID", T::Unsigned32, S::Identifier, "", Status::Current);
/// `internalAddressRealm` (464): octetArray, identifier.
pub const INTERNAL_ADDRESS_REALM: Element = Element::iana(464, "internalAddressRealm", T::OctetArray, S::Identifier, "", Status::Current);
/// `externalAddressRealm` (465): octetArray, identifier.
pub const EXTERNAL_ADDRESS_REALM: Element = Element::iana(465, "externalAddressRealm", T::OctetArray, S::Identifier, "", Status::Current);
/// `natQuotaExceededEvent` (466): unsigned32, identifier.
pub const NAT_QUOTA_EXCEEDED_EVENT: Element = Element::iana(466, "natQuotaExceededEvent", T::Unsigned32, S::Identifier, "", Status::Current);
/// `natThresholdEvent` (467): unsigned32, identifier.
pub const NAT_THRESHOLD_EVENT: Element = Element::iana(467, "natThresholdEvent", T::Unsigned32, S::Identifier, "", Status::Current);
/// `httpUserAgent` (468): string, default.
pub const HTTP_USER_AGENT: Element = Element::iana(468, "httpUserAgent", T::String, S::Default, "", Status::Current);
/// `httpContentType` (469): string, default.
pub const HTTP_CONTENT_TYPE: Element = Element::iana(469, "httpContentType", T::String, S::Default, "", Status::Current);
/// `httpReasonPhrase` (470): string, default.
pub const HTTP_REASON_PHRASE: Element = Element::iana(470, "httpReasonPhrase", T::String, S::Default, "", Status::Current);
/// `maxSessionEntries` (471): unsigned32, identifier.
pub const MAX_SESSION_ENTRIES: Element = Element::iana(471, "maxSessionEntries", T::Unsigned32, S::Identifier, "", Status::Current);
/// `maxBIBEntries` (472): unsigned32, identifier.
pub const MAX_BIB_ENTRIES: Element = Element::iana(472, "maxBIBEntries", T::Unsigned32, S::Identifier, "", Status::Current);
/// `maxEntriesPerUser` (473): unsigned32, identifier.
pub const MAX_ENTRIES_PER_USER: Element = Element::iana(473, "maxEntriesPerUser", T::Unsigned32, S::Identifier, "", Status::Current);
/// `maxSubscribers` (474): unsigned32, identifier.
pub const MAX_SUBSCRIBERS: Element = Element::iana(474, "maxSubscribers", T::Unsigned32, S::Identifier, "", Status::Current);
/// `maxFragmentsPendingReassembly` (475): unsigned32, identifier.
pub const MAX_FRAGMENTS_PENDING_REASSEMBLY: Element = Element::iana(475, "maxFragmentsPendingReassembly", T::Unsigned32, S::Identifier, "", Status::Current);
/// `addressPoolHighThreshold` (476): unsigned32, identifier.
pub const ADDRESS_POOL_HIGH_THRESHOLD: Element = Element::iana(476, "addressPoolHighThreshold", T::Unsigned32, S::Identifier, "", Status::Current);
/// `addressPoolLowThreshold` (477): unsigned32, identifier.
pub const ADDRESS_POOL_LOW_THRESHOLD: Element = Element::iana(477, "addressPoolLowThreshold", T::Unsigned32, S::Identifier, "", Status::Current);
/// `addressPortMappingHighThreshold` (478): unsigned32, identifier.
pub const ADDRESS_PORT_MAPPING_HIGH_THRESHOLD: Element = Element::iana(478, "addressPortMappingHighThreshold", T::Unsigned32, S::Identifier, "", Status::Current);
/// `addressPortMappingLowThreshold` (479): unsigned32, identifier.
pub const ADDRESS_PORT_MAPPING_LOW_THRESHOLD: Element = Element::iana(479, "addressPortMappingLowThreshold", T::Unsigned32, S::Identifier, "", Status::Current);
/// `addressPortMappingPerUserHighThreshold` (480): unsigned32, identifier.
pub const ADDRESS_PORT_MAPPING_PER_USER_HIGH_THRESHOLD: Element = Element::iana(480, "addressPortMappingPerUserHighThreshold", T::Unsigned32, S::Identifier, "", Status::Current);
/// `globalAddressMappingHighThreshold` (481): unsigned32, identifier.
pub const GLOBAL_ADDRESS_MAPPING_HIGH_THRESHOLD: Element = Element::iana(481, "globalAddressMappingHighThreshold", T::Unsigned32, S::Identifier, "", Status::Current);
/// `vpnIdentifier` (482): octetArray, default.
pub const VPN_IDENTIFIER: Element = Element::iana(482, "vpnIdentifier", T::OctetArray, S::Default, "", Status::Current);
/// `bgpCommunity` (483): unsigned32, identifier.
pub const BGP_COMMUNITY: Element = Element::iana(483, "bgpCommunity", T::Unsigned32, S::Identifier, "", Status::Current);
/// `bgpSourceCommunityList` (484): basicList, list.
pub const BGP_SOURCE_COMMUNITY_LIST: Element = Element::iana(484, "bgpSourceCommunityList", T::BasicList, S::List, "", Status::Current);
/// `bgpDestinationCommunityList` (485): basicList, list.
pub const BGP_DESTINATION_COMMUNITY_LIST: Element = Element::iana(485, "bgpDestinationCommunityList", T::BasicList, S::List, "", Status::Current);
/// `bgpExtendedCommunity` (486): octetArray, default.
pub const BGP_EXTENDED_COMMUNITY: Element = Element::iana(486, "bgpExtendedCommunity", T::OctetArray, S::Default, "", Status::Current);
/// `bgpSourceExtendedCommunityList` (487): basicList, list.
pub const BGP_SOURCE_EXTENDED_COMMUNITY_LIST: Element = Element::iana(487, "bgpSourceExtendedCommunityList", T::BasicList, S::List, "", Status::Current);
/// `bgpDestinationExtendedCommunityList` (488): basicList, list.
pub const BGP_DESTINATION_EXTENDED_COMMUNITY_LIST: Element = Element::iana(488, "bgpDestinationExtendedCommunityList", T::BasicList, S::List, "", Status::Current);
/// `bgpLargeCommunity` (489): octetArray, default.
pub const BGP_LARGE_COMMUNITY: Element = Element::iana(489, "bgpLargeCommunity", T::OctetArray, S::Default, "", Status::Current);
/// `bgpSourceLargeCommunityList` (490): basicList, list.
pub const BGP_SOURCE_LARGE_COMMUNITY_LIST: Element = Element::iana(490, "bgpSourceLargeCommunityList", T::BasicList, S::List, "", Status::Current);
/// `bgpDestinationLargeCommunityList` (491): basicList, list.
pub const BGP_DESTINATION_LARGE_COMMUNITY_LIST: Element = Element::iana(491, "bgpDestinationLargeCommunityList", T::BasicList, S::List, "", Status::Current);
/// `srhFlagsIPv6` (492): unsigned8, flags.
pub const SRH_FLAGS_IPV6: Element = Element::iana(492, "srhFlagsIPv6", T::Unsigned8, S::Flags, "", Status::Current);
/// `srhTagIPv6` (493): unsigned16, identifier.
pub const SRH_TAG_IPV6: Element = Element::iana(493, "srhTagIPv6", T::Unsigned16, S::Identifier, "", Status::Current);
/// `srhSegmentIPv6` (494): ipv6Address, default.
pub const SRH_SEGMENT_IPV6: Element = Element::iana(494, "srhSegmentIPv6", T::Ipv6Address, S::Default, "", Status::Current);
/// `srhActiveSegmentIPv6` (495): ipv6Address, default.
pub const SRH_ACTIVE_SEGMENT_IPV6: Element = Element::iana(495, "srhActiveSegmentIPv6", T::Ipv6Address, S::Default, "", Status::Current);
/// `srhSegmentIPv6BasicList` (496): basicList, list.
pub const SRH_SEGMENT_IPV6_BASIC_LIST: Element = Element::iana(496, "srhSegmentIPv6BasicList", T::BasicList, S::List, "", Status::Current);
/// `srhSegmentIPv6ListSection` (497): octetArray, default.
pub const SRH_SEGMENT_IPV6_LIST_SECTION: Element = Element::iana(497, "srhSegmentIPv6ListSection", T::OctetArray, S::Default, "", Status::Current);
/// `srhSegmentsIPv6Left` (498): unsigned8, quantity.
pub const SRH_SEGMENTS_IPV6_LEFT: Element = Element::iana(498, "srhSegmentsIPv6Left", T::Unsigned8, S::Quantity, "", Status::Current);
/// `srhIPv6Section` (499): octetArray, default.
pub const SRH_IPV6_SECTION: Element = Element::iana(499, "srhIPv6Section", T::OctetArray, S::Default, "", Status::Current);
/// `srhIPv6ActiveSegmentType` (500): unsigned8, identifier.
pub const SRH_IPV6_ACTIVE_SEGMENT_TYPE: Element = Element::iana(500, "srhIPv6ActiveSegmentType", T::Unsigned8, S::Identifier, "", Status::Current);
/// `srhSegmentIPv6LocatorLength` (501): unsigned8, default.
pub const SRH_SEGMENT_IPV6_LOCATOR_LENGTH: Element = Element::iana(501, "srhSegmentIPv6LocatorLength", T::Unsigned8, S::Default, "", Status::Current);
/// `srhSegmentIPv6EndpointBehavior` (502): unsigned16, identifier.
pub const SRH_SEGMENT_IPV6_ENDPOINT_BEHAVIOR: Element = Element::iana(502, "srhSegmentIPv6EndpointBehavior", T::Unsigned16, S::Identifier, "", Status::Current);
/// `transportChecksum` (503): unsigned16, default.
pub const TRANSPORT_CHECKSUM: Element = Element::iana(503, "transportChecksum", T::Unsigned16, S::Default, "", Status::Current);
/// `icmpHeaderPacketSection` (504): octetArray, default.
pub const ICMP_HEADER_PACKET_SECTION: Element = Element::iana(504, "icmpHeaderPacketSection", T::OctetArray, S::Default, "", Status::Current);
/// `gtpuFlags` (505): unsigned8, flags.
pub const GTPU_FLAGS: Element = Element::iana(505, "gtpuFlags", T::Unsigned8, S::Flags, "", Status::Current);
/// `gtpuMsgType` (506): unsigned8, identifier.
pub const GTPU_MSG_TYPE: Element = Element::iana(506, "gtpuMsgType", T::Unsigned8, S::Identifier, "", Status::Current);
/// `gtpuTEid` (507): unsigned32, identifier.
pub const GTPU_T_EID: Element = Element::iana(507, "gtpuTEid", T::Unsigned32, S::Identifier, "", Status::Current);
/// `gtpuSequenceNum` (508): unsigned16, identifier.
pub const GTPU_SEQUENCE_NUM: Element = Element::iana(508, "gtpuSequenceNum", T::Unsigned16, S::Identifier, "", Status::Current);
/// `gtpuQFI` (509): unsigned8, identifier.
pub const GTPU_QFI: Element = Element::iana(509, "gtpuQFI", T::Unsigned8, S::Identifier, "", Status::Current);
/// `gtpuPduType` (510): unsigned8, identifier.
pub const GTPU_PDU_TYPE: Element = Element::iana(510, "gtpuPduType", T::Unsigned8, S::Identifier, "", Status::Current);
/// `bgpSourceAsPathList` (511): basicList, list.
pub const BGP_SOURCE_AS_PATH_LIST: Element = Element::iana(511, "bgpSourceAsPathList", T::BasicList, S::List, "", Status::Current);
/// `bgpDestinationAsPathList` (512): basicList, list.
pub const BGP_DESTINATION_AS_PATH_LIST: Element = Element::iana(512, "bgpDestinationAsPathList", T::BasicList, S::List, "", Status::Current);
/// `ipv6ExtensionHeaderType` (513): unsigned8, identifier.
pub const IPV6_EXTENSION_HEADER_TYPE: Element = Element::iana(513, "ipv6ExtensionHeaderType", T::Unsigned8, S::Identifier, "", Status::Current);
/// `ipv6ExtensionHeaderCount` (514): unsigned8, totalCounter.
pub const IPV6_EXTENSION_HEADER_COUNT: Element = Element::iana(514, "ipv6ExtensionHeaderCount", T::Unsigned8, S::TotalCounter, "", Status::Current);
/// `ipv6ExtensionHeadersFull` (515): unsigned256, flags.
pub const IPV6_EXTENSION_HEADERS_FULL: Element = Element::iana(515, "ipv6ExtensionHeadersFull", T::Unsigned256, S::Flags, "", Status::Current);
/// `ipv6ExtensionHeaderTypeCountList` (516): subTemplateList, list.
pub const IPV6_EXTENSION_HEADER_TYPE_COUNT_LIST: Element = Element::iana(516, "ipv6ExtensionHeaderTypeCountList", T::SubTemplateList, S::List, "", Status::Current);
/// `ipv6ExtensionHeadersLimit` (517): boolean, default.
pub const IPV6_EXTENSION_HEADERS_LIMIT: Element = Element::iana(517, "ipv6ExtensionHeadersLimit", T::Boolean, S::Default, "", Status::Current);
/// `ipv6ExtensionHeadersChainLength` (518): unsigned32, identifier.
pub const IPV6_EXTENSION_HEADERS_CHAIN_LENGTH: Element = Element::iana(518, "ipv6ExtensionHeadersChainLength", T::Unsigned32, S::Identifier, "", Status::Current);
/// `ipv6ExtensionHeaderChainLengthList` (519): subTemplateList, list.
pub const IPV6_EXTENSION_HEADER_CHAIN_LENGTH_LIST: Element = Element::iana(519, "ipv6ExtensionHeaderChainLengthList", T::SubTemplateList, S::List, "", Status::Current);
/// `tcpOptionsFull` (520): unsigned256, flags.
pub const TCP_OPTIONS_FULL: Element = Element::iana(520, "tcpOptionsFull", T::Unsigned256, S::Flags, "", Status::Current);
/// `tcpSharedOptionExID16` (521): unsigned16, identifier.
pub const TCP_SHARED_OPTION_EX_ID16: Element = Element::iana(521, "tcpSharedOptionExID16", T::Unsigned16, S::Identifier, "", Status::Current);
/// `tcpSharedOptionExID32` (522): unsigned32, identifier.
pub const TCP_SHARED_OPTION_EX_ID32: Element = Element::iana(522, "tcpSharedOptionExID32", T::Unsigned32, S::Identifier, "", Status::Current);
/// `tcpSharedOptionExID16List` (523): basicList, list.
pub const TCP_SHARED_OPTION_EX_ID16_LIST: Element = Element::iana(523, "tcpSharedOptionExID16List", T::BasicList, S::List, "", Status::Current);
/// `tcpSharedOptionExID32List` (524): basicList, list.
pub const TCP_SHARED_OPTION_EX_ID32_LIST: Element = Element::iana(524, "tcpSharedOptionExID32List", T::BasicList, S::List, "", Status::Current);
/// `udpSafeOptions` (525): unsigned256, flags.
pub const UDP_SAFE_OPTIONS: Element = Element::iana(525, "udpSafeOptions", T::Unsigned256, S::Flags, "", Status::Current);
/// `udpUnsafeOptions` (526): unsigned64, flags.
pub const UDP_UNSAFE_OPTIONS: Element = Element::iana(526, "udpUnsafeOptions", T::Unsigned64, S::Flags, "", Status::Current);
/// `udpExID` (527): unsigned16, identifier.
pub const UDP_EX_ID: Element = Element::iana(527, "udpExID", T::Unsigned16, S::Identifier, "", Status::Current);
/// `udpSafeExIDList` (528): basicList, list.
pub const UDP_SAFE_EX_ID_LIST: Element = Element::iana(528, "udpSafeExIDList", T::BasicList, S::List, "", Status::Current);
/// `udpUnsafeExIDList` (529): basicList, list.
pub const UDP_UNSAFE_EX_ID_LIST: Element = Element::iana(529, "udpUnsafeExIDList", T::BasicList, S::List, "", Status::Current);
/// `pathDelayMeanDeltaMicroseconds` (530): unsigned32, deltaCounter.
pub const PATH_DELAY_MEAN_DELTA_MICROSECONDS: Element = Element::iana(530, "pathDelayMeanDeltaMicroseconds", T::Unsigned32, S::DeltaCounter, "", Status::Current);
/// `pathDelayMinDeltaMicroseconds` (531): unsigned32, deltaCounter.
pub const PATH_DELAY_MIN_DELTA_MICROSECONDS: Element = Element::iana(531, "pathDelayMinDeltaMicroseconds", T::Unsigned32, S::DeltaCounter, "", Status::Current);
/// `pathDelayMaxDeltaMicroseconds` (532): unsigned32, deltaCounter.
pub const PATH_DELAY_MAX_DELTA_MICROSECONDS: Element = Element::iana(532, "pathDelayMaxDeltaMicroseconds", T::Unsigned32, S::DeltaCounter, "", Status::Current);
/// `pathDelaySumDeltaMicroseconds` (533): unsigned64, deltaCounter.
pub const PATH_DELAY_SUM_DELTA_MICROSECONDS: Element = Element::iana(533, "pathDelaySumDeltaMicroseconds", T::Unsigned64, S::DeltaCounter, "", Status::Current);

/// Every element of the snapshot, by ascending id.
pub static ALL: [Element; 502] = [
    OCTET_DELTA_COUNT,
    PACKET_DELTA_COUNT,
    DELTA_FLOW_COUNT,
    PROTOCOL_IDENTIFIER,
    IP_CLASS_OF_SERVICE,
    TCP_CONTROL_BITS,
    SOURCE_TRANSPORT_PORT,
    SOURCE_IPV4_ADDRESS,
    SOURCE_IPV4_PREFIX_LENGTH,
    INGRESS_INTERFACE,
    DESTINATION_TRANSPORT_PORT,
    DESTINATION_IPV4_ADDRESS,
    DESTINATION_IPV4_PREFIX_LENGTH,
    EGRESS_INTERFACE,
    IP_NEXT_HOP_IPV4_ADDRESS,
    BGP_SOURCE_AS_NUMBER,
    BGP_DESTINATION_AS_NUMBER,
    BGP_NEXT_HOP_IPV4_ADDRESS,
    POST_M_CAST_PACKET_DELTA_COUNT,
    POST_M_CAST_OCTET_DELTA_COUNT,
    FLOW_END_SYS_UP_TIME,
    FLOW_START_SYS_UP_TIME,
    POST_OCTET_DELTA_COUNT,
    POST_PACKET_DELTA_COUNT,
    MINIMUM_IP_TOTAL_LENGTH,
    MAXIMUM_IP_TOTAL_LENGTH,
    SOURCE_IPV6_ADDRESS,
    DESTINATION_IPV6_ADDRESS,
    SOURCE_IPV6_PREFIX_LENGTH,
    DESTINATION_IPV6_PREFIX_LENGTH,
    FLOW_LABEL_IPV6,
    ICMP_TYPE_CODE_IPV4,
    IGMP_TYPE,
    SAMPLING_INTERVAL,
    SAMPLING_ALGORITHM,
    FLOW_ACTIVE_TIMEOUT,
    FLOW_IDLE_TIMEOUT,
    ENGINE_TYPE,
    ENGINE_ID,
    EXPORTED_OCTET_TOTAL_COUNT,
    EXPORTED_MESSAGE_TOTAL_COUNT,
    EXPORTED_FLOW_RECORD_TOTAL_COUNT,
    IPV4_ROUTER_SC,
    SOURCE_IPV4_PREFIX,
    DESTINATION_IPV4_PREFIX,
    MPLS_TOP_LABEL_TYPE,
    MPLS_TOP_LABEL_IPV4_ADDRESS,
    SAMPLER_ID,
    SAMPLER_MODE,
    SAMPLER_RANDOM_INTERVAL,
    CLASS_ID,
    MINIMUM_TTL,
    MAXIMUM_TTL,
    FRAGMENT_IDENTIFICATION,
    POST_IP_CLASS_OF_SERVICE,
    SOURCE_MAC_ADDRESS,
    POST_DESTINATION_MAC_ADDRESS,
    VLAN_ID,
    POST_VLAN_ID,
    IP_VERSION,
    FLOW_DIRECTION,
    IP_NEXT_HOP_IPV6_ADDRESS,
    BGP_NEXT_HOP_IPV6_ADDRESS,
    IPV6_EXTENSION_HEADERS,
    MPLS_TOP_LABEL_STACK_SECTION,
    MPLS_LABEL_STACK_SECTION2,
    MPLS_LABEL_STACK_SECTION3,
    MPLS_LABEL_STACK_SECTION4,
    MPLS_LABEL_STACK_SECTION5,
    MPLS_LABEL_STACK_SECTION6,
    MPLS_LABEL_STACK_SECTION7,
    MPLS_LABEL_STACK_SECTION8,
    MPLS_LABEL_STACK_SECTION9,
    MPLS_LABEL_STACK_SECTION10,
    DESTINATION_MAC_ADDRESS,
    POST_SOURCE_MAC_ADDRESS,
    INTERFACE_NAME,
    INTERFACE_DESCRIPTION,
    SAMPLER_NAME,
    OCTET_TOTAL_COUNT,
    PACKET_TOTAL_COUNT,
    FLAGS_AND_SAMPLER_ID,
    FRAGMENT_OFFSET,
    FORWARDING_STATUS,
    MPLS_VPN_ROUTE_DISTINGUISHER,
    MPLS_TOP_LABEL_PREFIX_LENGTH,
    SRC_TRAFFIC_INDEX,
    DST_TRAFFIC_INDEX,
    APPLICATION_DESCRIPTION,
    APPLICATION_ID,
    APPLICATION_NAME,
    POST_IP_DIFF_SERV_CODE_POINT,
    MULTICAST_REPLICATION_FACTOR,
    CLASS_NAME,
    CLASSIFICATION_ENGINE_ID,
    LAYER2PACKET_SECTION_OFFSET,
    LAYER2PACKET_SECTION_SIZE,
    LAYER2PACKET_SECTION_DATA,
    BGP_NEXT_ADJACENT_AS_NUMBER,
    BGP_PREV_ADJACENT_AS_NUMBER,
    EXPORTER_IPV4_ADDRESS,
    EXPORTER_IPV6_ADDRESS,
    DROPPED_OCTET_DELTA_COUNT,
    DROPPED_PACKET_DELTA_COUNT,
    DROPPED_OCTET_TOTAL_COUNT,
    DROPPED_PACKET_TOTAL_COUNT,
    FLOW_END_REASON,
    COMMON_PROPERTIES_ID,
    OBSERVATION_POINT_ID,
    ICMP_TYPE_CODE_IPV6,
    MPLS_TOP_LABEL_IPV6_ADDRESS,
    LINE_CARD_ID,
    PORT_ID,
    METERING_PROCESS_ID,
    EXPORTING_PROCESS_ID,
    TEMPLATE_ID,
    WLAN_CHANNEL_ID,
    WLAN_SSID,
    FLOW_ID,
    OBSERVATION_DOMAIN_ID,
    FLOW_START_SECONDS,
    FLOW_END_SECONDS,
    FLOW_START_MILLISECONDS,
    FLOW_END_MILLISECONDS,
    FLOW_START_MICROSECONDS,
    FLOW_END_MICROSECONDS,
    FLOW_START_NANOSECONDS,
    FLOW_END_NANOSECONDS,
    FLOW_START_DELTA_MICROSECONDS,
    FLOW_END_DELTA_MICROSECONDS,
    SYSTEM_INIT_TIME_MILLISECONDS,
    FLOW_DURATION_MILLISECONDS,
    FLOW_DURATION_MICROSECONDS,
    OBSERVED_FLOW_TOTAL_COUNT,
    IGNORED_PACKET_TOTAL_COUNT,
    IGNORED_OCTET_TOTAL_COUNT,
    NOT_SENT_FLOW_TOTAL_COUNT,
    NOT_SENT_PACKET_TOTAL_COUNT,
    NOT_SENT_OCTET_TOTAL_COUNT,
    DESTINATION_IPV6_PREFIX,
    SOURCE_IPV6_PREFIX,
    POST_OCTET_TOTAL_COUNT,
    POST_PACKET_TOTAL_COUNT,
    FLOW_KEY_INDICATOR,
    POST_M_CAST_PACKET_TOTAL_COUNT,
    POST_M_CAST_OCTET_TOTAL_COUNT,
    ICMP_TYPE_IPV4,
    ICMP_CODE_IPV4,
    ICMP_TYPE_IPV6,
    ICMP_CODE_IPV6,
    UDP_SOURCE_PORT,
    UDP_DESTINATION_PORT,
    TCP_SOURCE_PORT,
    TCP_DESTINATION_PORT,
    TCP_SEQUENCE_NUMBER,
    TCP_ACKNOWLEDGEMENT_NUMBER,
    TCP_WINDOW_SIZE,
    TCP_URGENT_POINTER,
    TCP_HEADER_LENGTH,
    IP_HEADER_LENGTH,
    TOTAL_LENGTH_IPV4,
    PAYLOAD_LENGTH_IPV6,
    IP_TTL,
    NEXT_HEADER_IPV6,
    MPLS_PAYLOAD_LENGTH,
    IP_DIFF_SERV_CODE_POINT,
    IP_PRECEDENCE,
    FRAGMENT_FLAGS,
    OCTET_DELTA_SUM_OF_SQUARES,
    OCTET_TOTAL_SUM_OF_SQUARES,
    MPLS_TOP_LABEL_TTL,
    MPLS_LABEL_STACK_LENGTH,
    MPLS_LABEL_STACK_DEPTH,
    MPLS_TOP_LABEL_EXP,
    IP_PAYLOAD_LENGTH,
    UDP_MESSAGE_LENGTH,
    IS_MULTICAST,
    IPV4_IHL,
    IPV4_OPTIONS,
    TCP_OPTIONS,
    PADDING_OCTETS,
    COLLECTOR_IPV4_ADDRESS,
    COLLECTOR_IPV6_ADDRESS,
    EXPORT_INTERFACE,
    EXPORT_PROTOCOL_VERSION,
    EXPORT_TRANSPORT_PROTOCOL,
    COLLECTOR_TRANSPORT_PORT,
    EXPORTER_TRANSPORT_PORT,
    TCP_SYN_TOTAL_COUNT,
    TCP_FIN_TOTAL_COUNT,
    TCP_RST_TOTAL_COUNT,
    TCP_PSH_TOTAL_COUNT,
    TCP_ACK_TOTAL_COUNT,
    TCP_URG_TOTAL_COUNT,
    IP_TOTAL_LENGTH,
    POST_NAT_SOURCE_IPV4_ADDRESS,
    POST_NAT_DESTINATION_IPV4_ADDRESS,
    POST_NAPT_SOURCE_TRANSPORT_PORT,
    POST_NAPT_DESTINATION_TRANSPORT_PORT,
    NAT_ORIGINATING_ADDRESS_REALM,
    NAT_EVENT,
    INITIATOR_OCTETS,
    RESPONDER_OCTETS,
    FIREWALL_EVENT,
    INGRESS_VRFID,
    EGRESS_VRFID,
    VR_FNAME,
    POST_MPLS_TOP_LABEL_EXP,
    TCP_WINDOW_SCALE,
    BIFLOW_DIRECTION,
    ETHERNET_HEADER_LENGTH,
    ETHERNET_PAYLOAD_LENGTH,
    ETHERNET_TOTAL_LENGTH,
    DOT1Q_VLAN_ID,
    DOT1Q_PRIORITY,
    DOT1Q_CUSTOMER_VLAN_ID,
    DOT1Q_CUSTOMER_PRIORITY,
    METRO_EVC_ID,
    METRO_EVC_TYPE,
    PSEUDO_WIRE_ID,
    PSEUDO_WIRE_TYPE,
    PSEUDO_WIRE_CONTROL_WORD,
    INGRESS_PHYSICAL_INTERFACE,
    EGRESS_PHYSICAL_INTERFACE,
    POST_DOT1Q_VLAN_ID,
    POST_DOT1Q_CUSTOMER_VLAN_ID,
    ETHERNET_TYPE,
    POST_IP_PRECEDENCE,
    COLLECTION_TIME_MILLISECONDS,
    EXPORT_SCTP_STREAM_ID,
    MAX_EXPORT_SECONDS,
    MAX_FLOW_END_SECONDS,
    MESSAGE_MD5_CHECKSUM,
    MESSAGE_SCOPE,
    MIN_EXPORT_SECONDS,
    MIN_FLOW_START_SECONDS,
    OPAQUE_OCTETS,
    SESSION_SCOPE,
    MAX_FLOW_END_MICROSECONDS,
    MAX_FLOW_END_MILLISECONDS,
    MAX_FLOW_END_NANOSECONDS,
    MIN_FLOW_START_MICROSECONDS,
    MIN_FLOW_START_MILLISECONDS,
    MIN_FLOW_START_NANOSECONDS,
    COLLECTOR_CERTIFICATE,
    EXPORTER_CERTIFICATE,
    DATA_RECORDS_RELIABILITY,
    OBSERVATION_POINT_TYPE,
    NEW_CONNECTION_DELTA_COUNT,
    CONNECTION_SUM_DURATION_SECONDS,
    CONNECTION_TRANSACTION_ID,
    POST_NAT_SOURCE_IPV6_ADDRESS,
    POST_NAT_DESTINATION_IPV6_ADDRESS,
    NAT_POOL_ID,
    NAT_POOL_NAME,
    ANONYMIZATION_FLAGS,
    ANONYMIZATION_TECHNIQUE,
    INFORMATION_ELEMENT_INDEX,
    P2P_TECHNOLOGY,
    TUNNEL_TECHNOLOGY,
    ENCRYPTED_TECHNOLOGY,
    BASIC_LIST,
    SUB_TEMPLATE_LIST,
    SUB_TEMPLATE_MULTI_LIST,
    BGP_VALIDITY_STATE,
    IPSEC_SPI,
    GRE_KEY,
    NAT_TYPE,
    INITIATOR_PACKETS,
    RESPONDER_PACKETS,
    OBSERVATION_DOMAIN_NAME,
    SELECTION_SEQUENCE_ID,
    SELECTOR_ID,
    INFORMATION_ELEMENT_ID,
    SELECTOR_ALGORITHM,
    SAMPLING_PACKET_INTERVAL,
    SAMPLING_PACKET_SPACE,
    SAMPLING_TIME_INTERVAL,
    SAMPLING_TIME_SPACE,
    SAMPLING_SIZE,
    SAMPLING_POPULATION,
    SAMPLING_PROBABILITY,
    DATA_LINK_FRAME_SIZE,
    IP_HEADER_PACKET_SECTION,
    IP_PAYLOAD_PACKET_SECTION,
    DATA_LINK_FRAME_SECTION,
    MPLS_LABEL_STACK_SECTION,
    MPLS_PAYLOAD_PACKET_SECTION,
    SELECTOR_ID_TOTAL_PKTS_OBSERVED,
    SELECTOR_ID_TOTAL_PKTS_SELECTED,
    ABSOLUTE_ERROR,
    RELATIVE_ERROR,
    OBSERVATION_TIME_SECONDS,
    OBSERVATION_TIME_MILLISECONDS,
    OBSERVATION_TIME_MICROSECONDS,
    OBSERVATION_TIME_NANOSECONDS,
    DIGEST_HASH_VALUE,
    HASH_IP_PAYLOAD_OFFSET,
    HASH_IP_PAYLOAD_SIZE,
    HASH_OUTPUT_RANGE_MIN,
    HASH_OUTPUT_RANGE_MAX,
    HASH_SELECTED_RANGE_MIN,
    HASH_SELECTED_RANGE_MAX,
    HASH_DIGEST_OUTPUT,
    HASH_INITIALISER_VALUE,
    SELECTOR_NAME,
    UPPER_CI_LIMIT,
    LOWER_CI_LIMIT,
    CONFIDENCE_LEVEL,
    INFORMATION_ELEMENT_DATA_TYPE,
    INFORMATION_ELEMENT_DESCRIPTION,
    INFORMATION_ELEMENT_NAME,
    INFORMATION_ELEMENT_RANGE_BEGIN,
    INFORMATION_ELEMENT_RANGE_END,
    INFORMATION_ELEMENT_SEMANTICS,
    INFORMATION_ELEMENT_UNITS,
    PRIVATE_ENTERPRISE_NUMBER,
    VIRTUAL_STATION_INTERFACE_ID,
    VIRTUAL_STATION_INTERFACE_NAME,
    VIRTUAL_STATION_UUID,
    VIRTUAL_STATION_NAME,
    LAYER2_SEGMENT_ID,
    LAYER2_OCTET_DELTA_COUNT,
    LAYER2_OCTET_TOTAL_COUNT,
    INGRESS_UNICAST_PACKET_TOTAL_COUNT,
    INGRESS_MULTICAST_PACKET_TOTAL_COUNT,
    INGRESS_BROADCAST_PACKET_TOTAL_COUNT,
    EGRESS_UNICAST_PACKET_TOTAL_COUNT,
    EGRESS_BROADCAST_PACKET_TOTAL_COUNT,
    MONITORING_INTERVAL_START_MILLI_SECONDS,
    MONITORING_INTERVAL_END_MILLI_SECONDS,
    PORT_RANGE_START,
    PORT_RANGE_END,
    PORT_RANGE_STEP_SIZE,
    PORT_RANGE_NUM_PORTS,
    STA_MAC_ADDRESS,
    STA_IPV4_ADDRESS,
    WTP_MAC_ADDRESS,
    INGRESS_INTERFACE_TYPE,
    EGRESS_INTERFACE_TYPE,
    RTP_SEQUENCE_NUMBER,
    USER_NAME,
    APPLICATION_CATEGORY_NAME,
    APPLICATION_SUB_CATEGORY_NAME,
    APPLICATION_GROUP_NAME,
    ORIGINAL_FLOWS_PRESENT,
    ORIGINAL_FLOWS_INITIATED,
    ORIGINAL_FLOWS_COMPLETED,
    DISTINCT_COUNT_OF_SOURCE_IP_ADDRESS,
    DISTINCT_COUNT_OF_DESTINATION_IP_ADDRESS,
    DISTINCT_COUNT_OF_SOURCE_IPV4_ADDRESS,
    DISTINCT_COUNT_OF_DESTINATION_IPV4_ADDRESS,
    DISTINCT_COUNT_OF_SOURCE_IPV6_ADDRESS,
    DISTINCT_COUNT_OF_DESTINATION_IPV6_ADDRESS,
    VALUE_DISTRIBUTION_METHOD,
    RFC3550_JITTER_MILLISECONDS,
    RFC3550_JITTER_MICROSECONDS,
    RFC3550_JITTER_NANOSECONDS,
    DOT1Q_DEI,
    DOT1Q_CUSTOMER_DEI,
    FLOW_SELECTOR_ALGORITHM,
    FLOW_SELECTED_OCTET_DELTA_COUNT,
    FLOW_SELECTED_PACKET_DELTA_COUNT,
    FLOW_SELECTED_FLOW_DELTA_COUNT,
    SELECTOR_ID_TOTAL_FLOWS_OBSERVED,
    SELECTOR_ID_TOTAL_FLOWS_SELECTED,
    SAMPLING_FLOW_INTERVAL,
    SAMPLING_FLOW_SPACING,
    FLOW_SAMPLING_TIME_INTERVAL,
    FLOW_SAMPLING_TIME_SPACING,
    HASH_FLOW_DOMAIN,
    TRANSPORT_OCTET_DELTA_COUNT,
    TRANSPORT_PACKET_DELTA_COUNT,
    ORIGINAL_EXPORTER_IPV4_ADDRESS,
    ORIGINAL_EXPORTER_IPV6_ADDRESS,
    ORIGINAL_OBSERVATION_DOMAIN_ID,
    INTERMEDIATE_PROCESS_ID,
    IGNORED_DATA_RECORD_TOTAL_COUNT,
    DATA_LINK_FRAME_TYPE,
    SECTION_OFFSET,
    SECTION_EXPORTED_OCTETS,
    DOT1Q_SERVICE_INSTANCE_TAG,
    DOT1Q_SERVICE_INSTANCE_ID,
    DOT1Q_SERVICE_INSTANCE_PRIORITY,
    DOT1Q_CUSTOMER_SOURCE_MAC_ADDRESS,
    DOT1Q_CUSTOMER_DESTINATION_MAC_ADDRESS,
    POST_LAYER2_OCTET_DELTA_COUNT,
    POST_M_CAST_LAYER2_OCTET_DELTA_COUNT,
    POST_LAYER2_OCTET_TOTAL_COUNT,
    POST_M_CAST_LAYER2_OCTET_TOTAL_COUNT,
    MINIMUM_LAYER2_TOTAL_LENGTH,
    MAXIMUM_LAYER2_TOTAL_LENGTH,
    DROPPED_LAYER2_OCTET_DELTA_COUNT,
    DROPPED_LAYER2_OCTET_TOTAL_COUNT,
    IGNORED_LAYER2_OCTET_TOTAL_COUNT,
    NOT_SENT_LAYER2_OCTET_TOTAL_COUNT,
    LAYER2_OCTET_DELTA_SUM_OF_SQUARES,
    LAYER2_OCTET_TOTAL_SUM_OF_SQUARES,
    LAYER2_FRAME_DELTA_COUNT,
    LAYER2_FRAME_TOTAL_COUNT,
    PSEUDO_WIRE_DESTINATION_IPV4_ADDRESS,
    IGNORED_LAYER2_FRAME_TOTAL_COUNT,
    MIB_OBJECT_VALUE_INTEGER,
    MIB_OBJECT_VALUE_OCTET_STRING,
    MIB_OBJECT_VALUE_OID,
    MIB_OBJECT_VALUE_BITS,
    MIB_OBJECT_VALUE_IP_ADDRESS,
    MIB_OBJECT_VALUE_COUNTER,
    MIB_OBJECT_VALUE_GAUGE,
    MIB_OBJECT_VALUE_TIME_TICKS,
    MIB_OBJECT_VALUE_UNSIGNED,
    MIB_OBJECT_VALUE_TABLE,
    MIB_OBJECT_VALUE_ROW,
    MIB_OBJECT_IDENTIFIER,
    MIB_SUB_IDENTIFIER,
    MIB_INDEX_INDICATOR,
    MIB_CAPTURE_TIME_SEMANTICS,
    MIB_CONTEXT_ENGINE_ID,
    MIB_CONTEXT_NAME,
    MIB_OBJECT_NAME,
    MIB_OBJECT_DESCRIPTION,
    MIB_OBJECT_SYNTAX,
    MIB_MODULE_NAME,
    MOBILE_IMSI,
    MOBILE_MSISDN,
    HTTP_STATUS_CODE,
    SOURCE_TRANSPORT_PORTS_LIMIT,
    HTTP_REQUEST_METHOD,
    HTTP_REQUEST_HOST,
    HTTP_REQUEST_TARGET,
    HTTP_MESSAGE_VERSION,
    NAT_INSTANCE_ID,
    INTERNAL_ADDRESS_REALM,
    EXTERNAL_ADDRESS_REALM,
    NAT_QUOTA_EXCEEDED_EVENT,
    NAT_THRESHOLD_EVENT,
    HTTP_USER_AGENT,
    HTTP_CONTENT_TYPE,
    HTTP_REASON_PHRASE,
    MAX_SESSION_ENTRIES,
    MAX_BIB_ENTRIES,
    MAX_ENTRIES_PER_USER,
    MAX_SUBSCRIBERS,
    MAX_FRAGMENTS_PENDING_REASSEMBLY,
    ADDRESS_POOL_HIGH_THRESHOLD,
    ADDRESS_POOL_LOW_THRESHOLD,
    ADDRESS_PORT_MAPPING_HIGH_THRESHOLD,
    ADDRESS_PORT_MAPPING_LOW_THRESHOLD,
    ADDRESS_PORT_MAPPING_PER_USER_HIGH_THRESHOLD,
    GLOBAL_ADDRESS_MAPPING_HIGH_THRESHOLD,
    VPN_IDENTIFIER,
    BGP_COMMUNITY,
    BGP_SOURCE_COMMUNITY_LIST,
    BGP_DESTINATION_COMMUNITY_LIST,
    BGP_EXTENDED_COMMUNITY,
    BGP_SOURCE_EXTENDED_COMMUNITY_LIST,
    BGP_DESTINATION_EXTENDED_COMMUNITY_LIST,
    BGP_LARGE_COMMUNITY,
    BGP_SOURCE_LARGE_COMMUNITY_LIST,
    BGP_DESTINATION_LARGE_COMMUNITY_LIST,
    SRH_FLAGS_IPV6,
    SRH_TAG_IPV6,
    SRH_SEGMENT_IPV6,
    SRH_ACTIVE_SEGMENT_IPV6,
    SRH_SEGMENT_IPV6_BASIC_LIST,
    SRH_SEGMENT_IPV6_LIST_SECTION,
    SRH_SEGMENTS_IPV6_LEFT,
    SRH_IPV6_SECTION,
    SRH_IPV6_ACTIVE_SEGMENT_TYPE,
    SRH_SEGMENT_IPV6_LOCATOR_LENGTH,
    SRH_SEGMENT_IPV6_ENDPOINT_BEHAVIOR,
    TRANSPORT_CHECKSUM,
    ICMP_HEADER_PACKET_SECTION,
    GTPU_FLAGS,
    GTPU_MSG_TYPE,
    GTPU_T_EID,
    GTPU_SEQUENCE_NUM,
    GTPU_QFI,
    GTPU_PDU_TYPE,
    BGP_SOURCE_AS_PATH_LIST,
    BGP_DESTINATION_AS_PATH_LIST,
    IPV6_EXTENSION_HEADER_TYPE,
    IPV6_EXTENSION_HEADER_COUNT,
    IPV6_EXTENSION_HEADERS_FULL,
    IPV6_EXTENSION_HEADER_TYPE_COUNT_LIST,
    IPV6_EXTENSION_HEADERS_LIMIT,
    IPV6_EXTENSION_HEADERS_CHAIN_LENGTH,
    IPV6_EXTENSION_HEADER_CHAIN_LENGTH_LIST,
    TCP_OPTIONS_FULL,
    TCP_SHARED_OPTION_EX_ID16,
    TCP_SHARED_OPTION_EX_ID32,
    TCP_SHARED_OPTION_EX_ID16_LIST,
    TCP_SHARED_OPTION_EX_ID32_LIST,
    UDP_SAFE_OPTIONS,
    UDP_UNSAFE_OPTIONS,
    UDP_EX_ID,
    UDP_SAFE_EX_ID_LIST,
    UDP_UNSAFE_EX_ID_LIST,
    PATH_DELAY_MEAN_DELTA_MICROSECONDS,
    PATH_DELAY_MIN_DELTA_MICROSECONDS,
    PATH_DELAY_MAX_DELTA_MICROSECONDS,
    PATH_DELAY_SUM_DELTA_MICROSECONDS,
];

/// Positions in [`ALL`], by ascending name.
static BY_NAME: [u16; 502] = [
    265, 206, 290, 444, 445, 446, 447, 448, 255, 256, 342, 88, 344, 89, 90, 343,
    261, 451, 16, 480, 453, 456, 459, 454, 457, 98, 17, 62, 99, 15, 479, 452,
    455, 458, 264, 209, 50, 93, 94, 228, 244, 181, 182, 186, 107, 308, 249, 250,
    285, 282, 378, 246, 2, 11, 44, 12, 27, 139, 29, 74, 10, 296, 349, 351,
    353, 348, 350, 352, 359, 385, 216, 384, 215, 358, 214, 382, 383, 381, 213, 392,
    393, 102, 104, 103, 105, 87, 328, 13, 339, 223, 327, 205, 260, 38, 37, 210,
    211, 212, 226, 183, 184, 229, 185, 41, 40, 39, 245, 100, 101, 187, 114, 433,
    203, 81, 35, 60, 132, 131, 129, 125, 123, 127, 106, 121, 20, 118, 36, 143,
    30, 368, 369, 363, 361, 362, 360, 128, 124, 122, 126, 120, 21, 83, 167, 53,
    82, 449, 266, 473, 474, 478, 477, 476, 475, 303, 370, 297, 298, 304, 300, 299,
    302, 301, 437, 430, 438, 428, 427, 429, 425, 436, 147, 149, 472, 31, 109, 146,
    148, 32, 377, 401, 394, 135, 134, 309, 310, 273, 257, 311, 312, 313, 314, 315,
    326, 9, 338, 325, 222, 324, 204, 201, 268, 77, 76, 376, 432, 4, 165, 159,
    283, 14, 61, 174, 284, 166, 162, 194, 59, 177, 178, 42, 487, 482, 481, 484,
    63, 486, 483, 485, 176, 398, 399, 322, 396, 323, 397, 321, 97, 95, 96, 111,
    307, 440, 441, 230, 238, 239, 240, 231, 443, 439, 442, 25, 391, 52, 232, 233,
    113, 217, 218, 416, 417, 418, 415, 422, 420, 413, 419, 421, 405, 407, 408, 406,
    402, 404, 403, 412, 411, 409, 410, 414, 234, 241, 242, 243, 235, 24, 390, 51,
    423, 424, 330, 329, 172, 171, 286, 73, 65, 66, 67, 68, 69, 70, 71, 72,
    164, 287, 173, 46, 110, 85, 64, 170, 45, 84, 92, 200, 431, 199, 253, 254,
    434, 435, 267, 248, 163, 136, 395, 138, 137, 119, 270, 108, 247, 294, 293, 295,
    292, 133, 0, 168, 79, 169, 236, 373, 374, 347, 346, 345, 375, 258, 1, 80,
    180, 500, 498, 499, 501, 161, 112, 332, 334, 331, 333, 56, 225, 224, 54, 91,
    227, 386, 388, 387, 389, 19, 145, 18, 144, 207, 198, 197, 196, 252, 195, 251,
    22, 141, 23, 142, 75, 58, 316, 3, 221, 400, 219, 220, 291, 202, 269, 356,
    355, 357, 340, 47, 48, 78, 49, 34, 366, 367, 33, 275, 276, 280, 281, 279,
    277, 278, 380, 379, 271, 274, 364, 365, 272, 288, 289, 305, 237, 7, 43, 8,
    26, 140, 28, 55, 6, 426, 86, 463, 460, 468, 467, 462, 464, 470, 465, 469,
    466, 461, 336, 335, 262, 263, 130, 192, 155, 5, 153, 189, 158, 179, 488, 191,
    190, 154, 489, 491, 490, 492, 152, 188, 193, 157, 208, 156, 115, 160, 471, 371,
    372, 259, 151, 495, 175, 496, 493, 150, 497, 494, 306, 341, 354, 317, 318, 320,
    319, 57, 450, 116, 117, 337,
];

/// Ids, least and greatest values of those that have a range, by ascending id.
static RANGES: [(u16, u64, u64); 18] = [
    (9, 0, 0x0000_0020),
    (13, 0, 0x0000_0020),
    (29, 0, 0x0000_0080),
    (30, 0, 0x0000_0080),
    (31, 0, 0x000f_ffff),
    (88, 0, 0x0000_1fff),
    (91, 0, 0x0000_0080),
    (98, 0, 0x0000_003f),
    (195, 0, 0x0000_003f),
    (196, 0, 0x0000_0007),
    (229, 1, 0x0000_0002),
    (257, 0, 0x0000_0007),
    (263, 0, 0x0000_0000),
    (267, 0, 0x0000_0000),
    (412, 0, 0x00ff_ffff),
    (413, 0, 0x0000_0007),
    (457, 0, 0x0000_03e7),
    (458, 1, 0x0000_ffff),
];
