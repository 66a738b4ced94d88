//! A collector that takes connections, by TCP and by TLS.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use ipfix::{Decoder, DecoderLimits, Sequence, Transport, elements as e};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Nobody waits longer for octets.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came over one connection, read as IPFIX.
#[derive(Debug, Default)]
pub struct Heard {
    /// Packets of each record, in the order they came: record `n` of the tests has `n`.
    pub records: Vec<u64>,
    pub messages: usize,
    pub largest: usize,
    /// Messages with templates, by domain.
    pub with_templates: BTreeMap<u32, usize>,
    /// The first sequence number of each domain.
    pub first_sequences: BTreeMap<u32, u32>,
    /// Octets at the end that are no whole message.
    pub rest: usize,
}

impl Heard {
    /// Reads the octets of a connection from its beginning; all that is whole must be sound.
    pub fn of(octets: &[u8]) -> Self {
        let mut heard = Self::default();
        let mut decoder = Decoder::new(DecoderLimits::default()).over(Transport::Reliable);
        let mut rest = octets;
        while rest.len() >= 16 {
            assert_eq!(rest[..2], [0, 10], "no message of IPFIX begins here");
            let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            if rest.len() < length {
                break;
            }
            let (message, after) = rest.split_at(length);
            let decoded = decoder.decode(&0, message).unwrap();
            assert!(decoded.errors().is_empty() && decoded.unknown().is_empty());
            let domain = decoded.header().observation_domain;
            let sequence = decoded.sequence();
            assert!(
                matches!(sequence, Sequence::First | Sequence::InOrder),
                "{sequence:?}"
            );
            let first = u32::from_be_bytes(message[8..12].try_into().unwrap());
            heard.first_sequences.entry(domain).or_insert(first);
            if decoded.templates() > 0 {
                *heard.with_templates.entry(domain).or_default() += 1;
            }
            for record in decoded.records() {
                if !record.template().is_options() {
                    let packets = record.value(&e::PACKET_DELTA_COUNT);
                    heard.records.push(packets.unwrap().unsigned().unwrap());
                }
            }
            heard.messages += 1;
            heard.largest = heard.largest.max(length);
            rest = after;
        }
        heard.rest = rest.len();
        heard
    }

    /// It is a Transport Session of its own: counts from 0, templates once and in time.
    pub fn assert_new_session(&self) {
        assert!(
            self.first_sequences.values().all(|&first| first == 0),
            "{self:?}"
        );
        assert!(
            self.with_templates.contains_key(&1),
            "{:?}",
            self.with_templates
        );
    }

    pub fn distinct(&self) -> BTreeSet<u64> {
        let distinct: BTreeSet<_> = self.records.iter().copied().collect();
        assert_eq!(distinct.len(), self.records.len(), "a record came twice");
        distinct
    }
}

/// A socket that connections come to.
pub struct Peer {
    listener: TcpListener,
}

impl Peer {
    pub fn new() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap())
    }

    pub fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        Self { listener }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub fn accept(&self) -> TcpStream {
        let socket = super::eventually(|| {
            self.listener.set_nonblocking(true).unwrap();
            self.listener.accept().ok()
        });
        socket.0.set_nonblocking(false).unwrap();
        socket.0.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.0
    }
}

/// All octets until the other side ends the connection.
pub fn read_all(mut from: impl Read) -> Vec<u8> {
    let mut octets = Vec::new();
    from.read_to_end(&mut octets).unwrap();
    octets
}

/// At least so many octets.
pub fn read_some(mut from: impl Read, least: usize) -> Vec<u8> {
    let mut octets = vec![0; least];
    from.read_exact(&mut octets).unwrap();
    octets
}

/// The collector's end of a connection by TLS.
pub struct Secure(StreamOwned<ServerConnection, TcpStream>);

impl Secure {
    /// Agrees with who connects.
    pub fn agree(config: &Arc<ServerConfig>, socket: TcpStream) -> io::Result<Self> {
        let connection = ServerConnection::new(config.clone()).unwrap();
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        stream.flush()?;
        Ok(Self(stream))
    }

    pub fn read_all(mut self) -> Vec<u8> {
        let mut octets = Vec::new();
        // An end without close_notify is an error.
        self.0.read_to_end(&mut octets).unwrap();
        octets
    }

    /// What comes until the connection ends in any way.
    pub fn read_what_comes(mut self) -> Vec<u8> {
        let mut octets = Vec::new();
        let _ = self.0.read_to_end(&mut octets);
        octets
    }
}
