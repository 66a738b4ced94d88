//! The collectors: is there a way, and does somebody listen?

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ipfix::Protocol;
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::timeout;

use super::Finding;
use crate::config::{Collector, Config, Host};
use crate::export::stream::Stream;
use crate::export::{CollectorStatus, ConnectionStatus};
use crate::record::UnixTime;

const COLLECTOR: &str = "collector";
/// How long a resolver and a collector's host get.
const PATIENCE: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_millis(500);
/// Below this a path's MTU makes small messages.
const USUAL_MTU: u16 = 1280;

pub(super) async fn findings(config: &Config) -> Vec<Finding> {
    if config.collectors.is_empty() {
        return vec![Finding::warning(
            COLLECTOR,
            "there is none: every flow would be lost (no_collector)",
            "add a [[collector]] with its address",
        )];
    }
    let mut findings = Vec::new();
    for collector in &config.collectors {
        let of = |finding: Finding| finding.of(&collector.name);
        findings.extend(examine(collector).await.into_iter().map(of));
    }
    findings
}

async fn examine(collector: &Collector) -> Vec<Finding> {
    let mut findings = Vec::new();
    let peer = match &collector.address.host {
        Host::Address(address) => SocketAddr::new(*address, collector.address.port.get()),
        Host::Name(name) => {
            let began = Instant::now();
            let found = timeout(
                PATIENCE,
                lookup_host((name.as_str(), collector.address.port.get())),
            );
            let found = match found.await {
                Ok(found) => found.map(|mut found| found.next()),
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer")),
            };
            let (finding, peer) = resolved(name, found, began.elapsed());
            findings.push(finding);
            let Some(peer) = peer else {
                return findings;
            };
            peer
        }
    };
    if collector.transport.is_stream() {
        findings.push(connected(collector, peer).await);
        return findings;
    }
    findings.extend(match probe(collector, peer).await {
        Ok((source, mtu, answer)) => {
            vec![reached(peer, source, mtu), answered(peer, answer.as_ref())]
        }
        Err(error) => vec![unreachable(peer, &error)],
    });
    findings
}

/// Whether the collector takes a connection, and by TLS agrees; it is ended at once.
async fn connected(collector: &Collector, peer: SocketAddr) -> Finding {
    let status = Arc::new(Mutex::new(CollectorStatus {
        name: collector.name.clone(),
        connection: Some(ConnectionStatus::default()),
        ..CollectorStatus::default()
    }));
    match Stream::connect(collector, &[peer], status.clone()).await {
        Ok(stream) => {
            let source = stream.source();
            stream.close(PATIENCE).await;
            let tls = status
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .connection
                .take()
                .and_then(|connection| connection.tls);
            // Writing to a String cannot fail.
            let mut text = format!("{peer} takes connections");
            if let Ok(source) = source {
                let _ = write!(text, " from {}", source.ip());
            }
            if let Some(tls) = tls {
                let _ = write!(text, ", by {}, as {}", tls.version, tls.server_name);
            }
            Finding::ok(COLLECTOR, text)
        }
        Err(error) => Finding::problem(
            COLLECTOR,
            error.to_string(),
            "is the collector running, is this its port and transport, and do certificates and names fit? \
             A firewall on the way may refuse, too",
        ),
    }
}

pub(super) fn resolved(
    name: &str,
    found: io::Result<Option<SocketAddr>>,
    took: Duration,
) -> (Finding, Option<SocketAddr>) {
    let advice = "see /etc/resolv.conf; or name the collector by its address";
    match found {
        Ok(Some(peer)) => {
            let millis = took.as_millis();
            let text = format!("{name} is {} (told in {millis} ms)", peer.ip());
            (Finding::ok(COLLECTOR, text), Some(peer))
        }
        Ok(None) => {
            let text = format!("{name} has no address");
            (Finding::problem(COLLECTOR, text, advice), None)
        }
        Err(error) => {
            let text = format!("{name} cannot be resolved: {error}");
            (Finding::problem(COLLECTOR, text, advice), None)
        }
    }
}

/// The address to send from, the path's MTU, and what came back for a message without records.
async fn probe(
    collector: &Collector,
    peer: SocketAddr,
) -> io::Result<(SocketAddr, Option<u16>, Option<io::Error>)> {
    let any = match peer {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((collector.source_address.unwrap_or(any), 0)).await?;
    socket.connect(peer).await?;
    let now = UnixTime::from(SystemTime::now());
    socket.send(&empty(collector.protocol, now)).await?;
    let mut buffer = [0; 1];
    let answer = match timeout(ANSWER, socket.recv(&mut buffer)).await {
        Ok(Err(error)) => Some(error),
        // Nothing is what collectors say.
        Ok(Ok(_)) | Err(_) => None,
    };
    let mtu = crate::observe::path_mtu(&socket, peer.is_ipv6());
    Ok((socket.local_addr()?, mtu, answer))
}

/// A message without records: a header alone (RFC 7011 section 3.1, RFC 3954 section 5.1).
pub(super) fn empty(protocol: Protocol, now: UnixTime) -> Vec<u8> {
    // It starts again in 2106.
    let seconds = u32::try_from(now.secs() & 0xffff_ffff)
        .unwrap_or(0)
        .to_be_bytes();
    let mut message = protocol.version().to_be_bytes().to_vec();
    match protocol {
        Protocol::Ipfix => {
            message.extend([0, 16]);
            message.extend(seconds);
        }
        Protocol::NetflowV9 | Protocol::NetflowV5 => {
            // No record, sysUptime 0.
            message.extend([0; 6]);
            message.extend(seconds);
        }
    }
    message.resize(protocol.header_length(), 0);
    message
}

pub(super) fn reached(peer: SocketAddr, source: SocketAddr, mtu: Option<u16>) -> Finding {
    let text = format!("{peer} is reached from {}", source.ip());
    match mtu {
        Some(mtu) if mtu < USUAL_MTU => Finding::warning(
            COLLECTOR,
            format!("{text}; the path's MTU is {mtu} only, so messages are small"),
            "see the interfaces on the way (ip link, tunnels)",
        ),
        Some(mtu) => Finding::ok(COLLECTOR, format!("{text}; the path's MTU is {mtu}")),
        None => Finding::ok(COLLECTOR, text),
    }
}

pub(super) fn answered(peer: SocketAddr, answer: Option<&io::Error>) -> Finding {
    match answer {
        None => Finding::info(
            COLLECTOR,
            format!(
                "no answer came that nobody listens at {peer}; ebpfix test-collector {peer} sends \
                 flows to look for"
            ),
        ),
        Some(error) => Finding::problem(
            COLLECTOR,
            format!("nobody listens at {peer}: {error}"),
            "start the collector, or correct the port; a firewall answers so, too",
        ),
    }
}

pub(super) fn unreachable(peer: SocketAddr, error: &io::Error) -> Finding {
    let (text, advice) = match error.kind() {
        io::ErrorKind::AddrNotAvailable => (
            format!("this host does not have the source-address for {peer}"),
            "correct source-address; see ip address",
        ),
        io::ErrorKind::PermissionDenied => (
            format!("sending to {peer} is forbidden: {error}"),
            "see the firewall's rules for what leaves (nft list ruleset)",
        ),
        _ => (
            format!("{peer} cannot be reached: {error}"),
            "see the route: ip route get ADDRESS",
        ),
    };
    Finding::problem(COLLECTOR, text, advice)
}
