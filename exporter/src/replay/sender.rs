//! Flow Records to one collector, one message after the other, as fast as it takes them.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ipfix::{MessageWriter, NetflowV5Sampling, Protocol, Session, SessionOptions};

use super::local::LocalQueue;
use crate::export::pacing::Bucket;
use crate::export::{Batch, Elements, Layouts, TemplateIds};
use crate::ledger::{Ledger, LossReason};
use crate::record::Record;

/// IP and UDP headers before a message.
const IPV4_UDP_OCTETS: u16 = 28;
const IPV6_UDP_OCTETS: u16 = 48;
/// Octets of a message, at most and at least: as `run` has them.
const MESSAGE_OCTETS: u16 = 8_952;
const SAFE_MESSAGE_OCTETS: u16 = 512;
/// Datagrams a second towards a collector that cannot be seen, and at once: as `run` has them.
const DATAGRAMS_PER_SECOND: f64 = 32_000.0;
const BURST: f64 = 48.0;
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
    datagrams: Bucket,
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
        let socket = match peer {
            SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
            SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?,
        };
        socket.connect(peer)?;
        let headers = if peer.is_ipv4() {
            IPV4_UDP_OCTETS
        } else {
            IPV6_UDP_OCTETS
        };
        let max_message =
            crate::observe::path_mtu(&socket, peer.is_ipv6()).map_or(SAFE_MESSAGE_OCTETS, |mtu| {
                mtu.saturating_sub(headers)
                    .clamp(SAFE_MESSAGE_OCTETS, MESSAGE_OCTETS)
            });
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
            datagrams: Bucket::new(DATAGRAMS_PER_SECOND, BURST, now),
            records: rate_limit.map(|limit| {
                let per_second = f64::from(limit.get());
                Bucket::new(per_second, per_second / 10.0, now)
            }),
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
            if let Some(Impossible { records, encode }) = filled.impossible {
                match encode {
                    Some(error) => {
                        self.sent.error = Some(error);
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
                self.heard(error)?;
                return Ok(());
            }
            if Instant::now() >= end {
                return Ok(());
            }
            thread::sleep(STEP);
        }
    }

    /// Sends one message with records of a batch.
    fn message(&mut self, batch: &Batch, from: usize, now_ms: u64) -> io::Result<Filled> {
        self.pace();
        let mut attempt = 1;
        loop {
            if let Some(error) = self.socket.take_error()? {
                self.heard(error)?;
            }
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.clear();
            let mut writer = self.session.begin(&mut buffer, now_ms);
            let filled = fill(&mut writer, &self.layouts, batch, from);
            let message = writer.finish();
            self.buffer = buffer;
            let Some(message) = message else {
                return Ok(filled);
            };
            match self.socket.send(&self.buffer) {
                Ok(_) => {
                    self.datagrams.spend(1.0);
                    if let Some(records) = &mut self.records {
                        records.spend(f64::from(message.data_records()));
                    }
                    self.unseen += message.length() + LOOK_DATAGRAM;
                    self.sent.messages += 1;
                    self.sent.octets += message.length() as u64;
                    // Begun last in its session, by construction.
                    let _ = self.session.commit(message);
                    return Ok(filled);
                }
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(error) if is_no_buffer(&error) => thread::sleep(NO_BUFFER_PAUSE),
                Err(error) => self.heard(error)?,
            }
            attempt += 1;
        }
    }

    /// Waits until the collector can take another datagram.
    fn pace(&mut self) {
        if let Some(records) = &mut self.records {
            thread::sleep(records.wait(Instant::now()));
        }
        let Some(queue) = &self.local else {
            thread::sleep(self.datagrams.wait(Instant::now()));
            return;
        };
        if self.unseen < LOOK_EVERY {
            return;
        }
        self.unseen = 0;
        let mut least = u64::MAX;
        let mut progress = Instant::now();
        loop {
            let Some(waiting) = queue.octets() else {
                // Nobody listens, or in another namespace.
                thread::sleep(self.datagrams.wait(Instant::now()));
                return;
            };
            if waiting <= MAY_WAIT {
                return;
            }
            if waiting < least {
                least = waiting;
                progress = Instant::now();
            } else if progress.elapsed() > STUCK {
                return;
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Takes note of an ICMP error that came back for an earlier datagram. Any other error is given
    /// back.
    fn heard(&mut self, error: io::Error) -> io::Result<()> {
        if !is_about_an_earlier_datagram(&error) {
            return Err(error);
        }
        self.sent.refused += 1;
        self.sent.error = Some(format!("nobody listens at {}: {error}", self.peer));
        self.session.resend_templates();
        Ok(())
    }
}

/// What of a batch went into a message.
struct Filled {
    /// The first record that did not.
    next: usize,
    impossible: Option<Impossible>,
}

/// Records that no message can have.
struct Impossible {
    records: usize,
    /// `None`: the protocol has no record for them.
    encode: Option<String>,
}

fn fill(writer: &mut MessageWriter<'_>, layouts: &Layouts, batch: &Batch, from: usize) -> Filled {
    let mut next = from;
    loop {
        let run = batch.run(next);
        let Some(first) = run.first() else {
            break;
        };
        let impossible = |encode| {
            Some(Impossible {
                records: run.len(),
                encode,
            })
        };
        let Some(layout) = layouts.of(first) else {
            return Filled {
                next,
                impossible: impossible(None),
            };
        };
        match writer.write_all(layout, run) {
            Ok(written) => {
                next += written;
                if written < run.len() {
                    break;
                }
            }
            Err(error) => {
                return Filled {
                    next,
                    impossible: impossible(Some(error.to_string())),
                };
            }
        }
    }
    Filled {
        next,
        impossible: None,
    }
}

/// An ICMP error that came back for an earlier datagram: this one was not sent, and may be.
fn is_about_an_earlier_datagram(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::EPROTO | libc::EHOSTDOWN)
    )
}

fn is_no_buffer(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM))
}
