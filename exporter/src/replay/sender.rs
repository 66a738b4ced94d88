//! Flow Records to one collector, one message after the other, as fast as it takes them.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ipfix::{NetflowV5Sampling, Protocol, Session, SessionOptions};

use super::local::LocalQueue;
use crate::config::{self, Endpoint, Host};
use crate::export::fill::{Filled, Impossible, fill};
use crate::export::pacing::{self, Bucket};
use crate::export::socket::{self, SAFE_MESSAGE_OCTETS, Trouble};
use crate::export::{Batch, Elements, Layouts, TemplateIds};
use crate::ledger::{Ledger, LossReason};
use crate::record::Record;

/// Octets, and some for each datagram, after which it is looked how full a collector on this host
/// is; and what may wait there then. Together, with what the kernel adds, they are less than an
/// untuned socket of Linux holds (208 KiB).
const LOOK_EVERY: usize = 40 << 10;
const LOOK_DATAGRAM: usize = 1 << 10;
const MAY_WAIT: u64 = 64 << 10;
/// How long a collector on this host may read nothing before it is taken to be stuck.
const STUCK: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_micros(200);
/// Attempts for one message where the socket reports the fate of earlier ones, or has no memory.
const ATTEMPTS: u32 = 5;
const NO_BUFFER_PAUSE: Duration = Duration::from_millis(20);

/// A socket that is connected to a collector, and the Transport Session over it.
pub struct Sender {
    socket: UdpSocket,
    peer: SocketAddr,
    local: Option<LocalQueue>,
    /// Since it was looked how full that is.
    unseen: usize,
    layouts: Layouts,
    session: Session,
    /// The pace towards a collector that cannot be seen: as `run` has it.
    charged: Bucket,
    records: Option<Bucket>,
    buffer: Vec<u8>,
    sent: Sent,
}

/// What a collector was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Messages.
    pub messages: u64,
    /// Octets of these messages.
    pub octets: u64,
    /// Flow Records.
    pub records: u64,
    /// Answers that nobody listens there (ICMP).
    pub refused: u64,
    /// What could not be sent, in words, the last time.
    pub error: Option<String>,
}

impl Sender {
    /// Connects to a collector. Nothing is sent yet.
    ///
    /// `system_init_ms`, in milliseconds since 1970, is the zero of sysUptime, from which `NetFlow`
    /// reckons; no flow is older than it. `rate_limit` is in records a second.
    pub fn connect(
        peer: SocketAddr,
        protocol: Protocol,
        domain: u32,
        system_init_ms: u64,
        rate_limit: Option<NonZeroU32>,
    ) -> io::Result<Self> {
        let endpoint = Endpoint {
            host: Host::Address(peer.ip()),
            port: NonZeroU16::new(peer.port()).ok_or(io::ErrorKind::InvalidInput)?,
        };
        let config = config::Collector::new(peer.to_string(), endpoint, protocol);
        let (socket, _) = socket::connect_to_any(&config, &[peer], 0)?;
        socket.set_nonblocking(false)?;
        let max_message = socket::path_message(&socket, peer).unwrap_or(SAFE_MESSAGE_OCTETS);
        let layouts = if protocol == Protocol::NetflowV5 {
            Layouts::netflow_v5()
        } else {
            let elements = Elements::of_default_profile(protocol);
            let first_template = TemplateIds::default().first(protocol, None);
            Layouts::new(protocol, &elements, first_template).map_err(io::Error::other)?
        };
        let mut session = Session::new(SessionOptions {
            max_message,
            ..SessionOptions::udp(protocol, domain, system_init_ms)
        });
        for layout in layouts.records() {
            session.register(layout).map_err(io::Error::other)?;
        }
        if protocol == Protocol::NetflowV5 {
            session.set_sampling(NetflowV5Sampling::none());
        }
        let now = Instant::now();
        Ok(Self {
            local: LocalQueue::of(peer),
            unseen: 0,
            socket,
            peer,
            layouts,
            session,
            charged: pacing::charged(rate_limit, now),
            records: rate_limit.map(|limit| pacing::records(limit, now)),
            buffer: Vec::new(),
            sent: Sent::default(),
        })
    }

    /// Where it sends to.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// What was sent so far.
    pub fn sent(&self) -> &Sent {
        &self.sent
    }

    /// Sends records that are in the ledger's queue, in messages with the export time `now_ms`.
    ///
    /// What cannot be sent is lost, by reason, and [told](Sent::error).
    pub fn send(&mut self, records: Vec<Record>, ledger: &Arc<Ledger>, now_ms: u64) {
        let records = self.layouts.limits().split(records);
        let batch = Batch::new(records, ledger.clone(), LossReason::NotSent);
        let mut from = 0;
        while from < batch.len() {
            let filled = match self.message(&batch, from, now_ms) {
                Ok(filled) => filled,
                Err(error) => {
                    self.sent.error = Some(error.to_string());
                    return;
                }
            };
            batch.sent(from..filled.next);
            self.sent.records += (filled.next - from) as u64;
            from = filled.next;
            if let Some(Impossible { records, error }) = filled.impossible {
                match error {
                    Some(error) => {
                        self.sent.error = Some(error.to_string());
                        batch.cannot_encode();
                    }
                    None => batch.not_in_protocol(from..from + records),
                }
                from += records;
            }
        }
    }

    /// Waits for answers to what was sent last, so long.
    pub fn listen(&mut self, patience: Duration) -> io::Result<()> {
        const STEP: Duration = Duration::from_millis(5);
        let end = Instant::now() + patience;
        loop {
            if let Some(error) = self.socket.take_error()? {
                return match socket::trouble(&self.socket, &error) {
                    Trouble::Refused(datagrams) => {
                        self.heard(&error, datagrams);
                        Ok(())
                    }
                    _ => Err(error),
                };
            }
            if Instant::now() >= end {
                return Ok(());
            }
            thread::sleep(STEP);
        }
    }

    /// Sends one message with records of a batch.
    fn message(&mut self, batch: &Batch, from: usize, now_ms: u64) -> io::Result<Filled> {
        let by_rate = self.pace();
        let mut attempt = 1;
        loop {
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.clear();
            let mut writer = self.session.begin(&mut buffer, now_ms);
            let filled = fill(&mut writer, &self.layouts, batch, from);
            let message = writer.finish();
            self.buffer = buffer;
            let Some(message) = message else {
                return Ok(filled);
            };
            // A connected socket gives back the errors of earlier datagrams before it takes another.
            let Err(error) = self.socket.send(&self.buffer) else {
                if by_rate {
                    self.charged.spend(pacing::charge(message.length()));
                }
                if let Some(records) = &mut self.records {
                    records.spend(f64::from(message.data_records()));
                }
                self.unseen += message.length() + LOOK_DATAGRAM;
                self.sent.messages += 1;
                self.sent.octets += message.length() as u64;
                // Begun last in its session, by construction.
                let _ = self.session.commit(message);
                return Ok(filled);
            };
            match socket::trouble(&self.socket, &error) {
                _ if attempt == ATTEMPTS => return Err(error),
                Trouble::NoRoom => thread::sleep(NO_BUFFER_PAUSE),
                Trouble::Refused(datagrams) => self.heard(&error, datagrams),
                // The kernel knows the path's MTU by now, and cuts what is longer.
                Trouble::TooLarge => {}
                Trouble::Other => return Err(error),
            }
            attempt += 1;
        }
    }

    /// Waits until the collector can take another datagram; returns whether by the rate alone.
    fn pace(&mut self) -> bool {
        if let Some(records) = &mut self.records {
            thread::sleep(records.wait(Instant::now()));
        }
        let Some(queue) = &self.local else {
            thread::sleep(self.charged.wait(Instant::now()));
            return true;
        };
        if self.unseen < LOOK_EVERY {
            return false;
        }
        self.unseen = 0;
        let mut least = u64::MAX;
        let mut progress = Instant::now();
        loop {
            let Some(waiting) = queue.octets() else {
                // Nobody listens, or in another namespace.
                thread::sleep(self.charged.wait(Instant::now()));
                return true;
            };
            if waiting <= MAY_WAIT {
                return false;
            }
            if waiting < least {
                least = waiting;
                progress = Instant::now();
            } else if progress.elapsed() > STUCK {
                return false;
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Takes note of ICMP errors that came back for earlier datagrams.
    fn heard(&mut self, error: &io::Error, datagrams: u64) {
        self.sent.refused += datagrams.max(1);
        self.sent.error = Some(format!("nobody listens at {}: {error}", self.peer));
        self.session.resend_templates();
    }
}
