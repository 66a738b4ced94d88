//! `ebpfix test-collector`.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ebpfix_probes::abi::{
    DIRECTION_INGRESS, ETH_P_IP, ETH_P_IPV6, FlowId, FlowMetrics, IpAddress, MacAddress,
};

use super::{Failure, replay};
use crate::cli::TestCollectorArgs;
use crate::collector;
use crate::config::Protocol;
use crate::ledger::{Count, Ledger};
use crate::record::{FlowEndReason, FlowJson, Record, UnixTime};
use crate::replay::{Sender, Sent};

/// How long the collector's host gets to say that nobody listens.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends a few flows that are known to a collector, and says what it should show.
pub fn run(args: &TestCollectorArgs) -> Result<(), Failure> {
    let protocol = args.protocol.into();
    let peer = replay::resolve(&args.collector, protocol)?;
    let failed =
        |error: &dyn std::fmt::Display| Failure::Failed(format!("cannot send to {peer}: {error}"));
    let now = UnixTime::from(SystemTime::now());
    // The zero of sysUptime: before the flows begin.
    let system_init = now.saturating_sub_ns(60 * NS_PER_S);
    let mut sender = Sender::connect(peer, protocol, args.domain_id, system_init.millis(), None)
        .map_err(|error| failed(&error))?;
    let flows = flows(protocol, now);
    let ledger = Arc::new(Ledger::new());
    ledger.observe(total(&flows));
    ledger.queue(total(&flows));
    sender.send(flows.clone(), &ledger, now.millis());
    sender.listen(PATIENCE).map_err(|error| failed(&error))?;
    let sent = sender.sent();
    if let (0, Some(error)) = (sent.records, &sent.error) {
        return Err(failed(error));
    }
    super::print(&report(peer, protocol, args.domain_id, &flows, sent))?;
    match &sent.error {
        None => Ok(()),
        Some(error) => Err(Failure::Failed(format!(
            "{error}; is the collector running, and is this its port? A firewall answers so, too"
        ))),
    }
}

const NS_PER_S: u64 = 1_000_000_000;

/// A flow of the test.
struct Known {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    source_port: u16,
    /// Of ICMP type * 256 + code.
    destination_port: u16,
    packets: u64,
    octets: u64,
    tcp_flags: u16,
}

/// What is sent: both sides of a connection and of a question, and pings, by IPv4 and by IPv6. All
/// addresses are reserved for documentation (RFC 5737, RFC 3849): no network has them.
fn known() -> [Known; 10] {
    const ICMP: u8 = 1;
    const TCP: u8 = 6;
    const UDP: u8 = 17;
    const ICMPV6: u8 = 58;
    const ECHO: u16 = 8 << 8;
    const ECHO_V6: u16 = 128 << 8;
    /// FIN, SYN, PSH and ACK.
    const WHOLE_CONNECTION: u16 = 0x1b;
    let v4 = |octets: [u8; 4]| IpAddr::from(octets);
    let v6 = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
    let client = v4([192, 0, 2, 1]);
    let server = v4([198, 51, 100, 2]);
    let resolver = v4([203, 0, 113, 53]);
    let flow =
        |source, source_port, destination, destination_port, protocol, packets, octets| Known {
            source,
            destination,
            protocol,
            source_port,
            destination_port,
            packets,
            octets,
            tcp_flags: if protocol == TCP { WHOLE_CONNECTION } else { 0 },
        };
    [
        flow(client, 49_152, server, 443, TCP, 10, 1_000),
        flow(server, 443, client, 49_152, TCP, 9, 9_000),
        flow(client, 49_153, resolver, 53, UDP, 1, 60),
        flow(resolver, 53, client, 49_153, UDP, 1, 200),
        flow(client, 0, server, ECHO, ICMP, 4, 336),
        flow(v6(1), 49_152, v6(2), 443, TCP, 20, 2_000),
        flow(v6(2), 443, v6(1), 49_152, TCP, 19, 19_000),
        flow(v6(1), 49_153, v6(0x53), 53, UDP, 2, 160),
        flow(v6(0x53), 53, v6(1), 49_153, UDP, 2, 400),
        flow(v6(1), 0, v6(2), ECHO_V6, ICMPV6, 3, 312),
    ]
}

/// The records of those that the protocol can tell of, as they are sent at `now`.
fn flows(protocol: Protocol, now: UnixTime) -> Vec<Record> {
    let known = known();
    let told = |flow: &&Known| protocol != Protocol::NetflowV5 || flow.source.is_ipv4();
    known
        .iter()
        .filter(told)
        .map(|flow| record(flow, now))
        .collect()
}

fn record(flow: &Known, now: UnixTime) -> Record {
    /// When the flows began and ended, before they are sent.
    const BEGAN_NS: u64 = 10 * NS_PER_S;
    const ENDED_NS: u64 = 8 * NS_PER_S;
    const NOW_NS: u64 = 100 * NS_PER_S;
    let address = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => IpAddress::from_v4_octets(ip.octets()),
        IpAddr::V6(ip) => IpAddress(ip.octets()),
    };
    // Reserved for documentation (RFC 7042 section 2.1.2).
    let mac = |last| MacAddress([0, 0, 0x5e, 0, 0x53, last]);
    let id = FlowId {
        src_ip: address(flow.source),
        dst_ip: address(flow.destination),
        src_mac: mac(1),
        dst_mac: mac(2),
        src_port: flow.source_port,
        dst_port: flow.destination_port,
        if_index: 1,
        eth_protocol: if flow.source.is_ipv4() {
            ETH_P_IP
        } else {
            ETH_P_IPV6
        },
        transport_protocol: flow.protocol,
        direction: DIRECTION_INGRESS,
        sampling: 1,
        ..FlowId::default()
    };
    let metrics = FlowMetrics {
        packets: flow.packets,
        bytes: flow.octets,
        start_mono_time_ns: NOW_NS - BEGAN_NS,
        end_mono_time_ns: NOW_NS - ENDED_NS,
        flags: flow.tcp_flags,
        min_ttl: 64,
        max_ttl: 64,
        ..FlowMetrics::default()
    };
    Record {
        agent_ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        end_reason: FlowEndReason::EndOfFlow,
        ..Record::new(id, metrics, now, NOW_NS)
    }
}

fn total(flows: &[Record]) -> Count {
    flows
        .iter()
        .map(|flow| Count::new(flow.metrics.packets, flow.metrics.bytes))
        .sum()
}

/// What was sent, and what the collector should show.
fn report(
    peer: SocketAddr,
    protocol: Protocol,
    domain: u32,
    flows: &[Record],
    sent: &Sent,
) -> String {
    let name = match protocol {
        Protocol::Ipfix => "IPFIX",
        Protocol::NetflowV9 => "NetFlow v9",
        Protocol::NetflowV5 => "NetFlow v5, which has no records for IPv6",
    };
    let Count { packets, octets } = total(flows);
    let mut text = collector::table(flows.iter().map(FlowJson::from));
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "\n\
         sent to {peer} by {name}: {} records in {} messages of {} octets, observation domain \
         {domain}\n\
         \n\
         The collector should show these {} flows, {packets} packets and {octets} octets in all. \
         nfdump:\n\
         \n    \
         nfdump -R DIRECTORY -o long 'net 192.0.2.0/24 or net 198.51.100.0/24 or net \
         203.0.113.0/24 or net 2001:db8::/32'\n\
         \n\
         It shows them when nfcapd has closed its file, 5 minutes after it began unless -t says \
         otherwise.\n\
         If they are missing: tcpdump -ni any udp port {} on the collector tells whether they \
         arrive.\n",
        sent.records,
        sent.messages,
        sent.octets,
        flows.len(),
        peer.port(),
    );
    if sent.refused == 0 {
        text.push_str(
            "No answer came that nobody listens there. Over UDP that is all that can be known here.\n",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_this() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/golden/test-collector.txt"
        );
        let now: UnixTime = "2026-11-24T16:07:00.000Z".parse().unwrap();
        let mut text = String::new();
        for (protocol, port) in [
            (Protocol::Ipfix, 4739),
            (Protocol::NetflowV9, 2055),
            (Protocol::NetflowV5, 2055),
        ] {
            let flows = flows(protocol, now);
            let sent = Sent {
                messages: 1,
                octets: 1234,
                records: flows.len() as u64,
                refused: u64::from(protocol == Protocol::NetflowV5),
                error: None,
            };
            let peer = SocketAddr::from(([192, 0, 2, 10], port));
            text += &report(peer, protocol, 1, &flows, &sent);
            text += "----\n";
        }
        if std::env::var_os("EBPFIX_UPDATE").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), text);
    }
}
