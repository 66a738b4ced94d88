//! An exporter without its kernel side, and a collector that decodes what it gets.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod judges;
pub mod pki;
pub mod streams;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ebpfix::config::{self, Endpoint, Host};
use ebpfix::export::{CollectorHandle, CollectorStatus, Collectors, Export, Shared};
use ebpfix::ledger::{Count, KernelReading, Ledger, Snapshot};
use ebpfix::record::{FlowEndReason, Record, UnixTime};
use ebpfix_probes::abi::{FlowId, FlowMetrics};
use ipfix::{Decoder, DecoderLimits, Element, Protocol, Sequence, elements as e};
use tokio::sync::watch;

pub const PROTOCOLS: [Protocol; 2] = [Protocol::Ipfix, Protocol::NetflowV9];

/// 2026-11-24 16:07:00.123 UTC.
pub const NOW_MS: u64 = 1_795_536_420_123;

/// Patience with a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// Record `n` from 1 on: of kind `n` modulo 10, with `n` packets.
pub fn record(n: u64) -> Record {
    let [.., high, low] = n.to_be_bytes();
    let kind = n % 10;
    let mut id = FlowId {
        direction: u8::from(kind % 2 == 1),
        if_index: 3,
        vlan_id: 7,
        customer_vlan_id: 9,
        sampling: 1,
        src_port: u16::from_be_bytes([high, low]),
        dst_port: 443,
        transport_protocol: 6,
        eth_protocol: 0x0800,
        ..FlowId::default()
    };
    id.src_mac.0 = [2, 0, 0, 0, 0, 1];
    id.dst_mac.0 = [2, 0, 0, 0, 0, 2];
    match kind {
        0 | 1 | 4 | 5 => {
            let mapped = |last: [u8; 4]| {
                let mut ip = [0; 16];
                ip[10..12].fill(0xff);
                ip[12..].copy_from_slice(&last);
                ip
            };
            id.src_ip.0 = mapped([10, 0, high, low]);
            id.dst_ip.0 = mapped([192, 0, 2, 7]);
            if kind >= 4 {
                (id.transport_protocol, id.src_port, id.dst_port) = (1, 0, 0x0800);
            }
        }
        2 | 3 | 6 | 7 => {
            id.eth_protocol = 0x86dd;
            id.src_ip.0 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low];
            id.dst_ip.0 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
            if kind >= 4 {
                (id.transport_protocol, id.src_port, id.dst_port) = (58, 0, 0x8000);
            }
        }
        _ => {
            (id.transport_protocol, id.src_port, id.dst_port) = (0, 0, 0);
            id.eth_protocol = 0x88cc;
        }
    }
    let metrics = FlowMetrics {
        packets: n,
        bytes: n * 100,
        flags: if id.transport_protocol == 6 { 0x1b } else { 0 },
        tos: 16,
        min_ttl: 63,
        max_ttl: 64,
        ..FlowMetrics::default()
    };
    let mut record = Record::new(id, metrics, UnixTime::from_millis(NOW_MS), 0);
    record.time_flow_start = UnixTime::from_millis(NOW_MS - 2500);
    record.end_reason = FlowEndReason::EndOfFlow;
    record
}

/// Records 1 to `n`.
pub fn records(n: u64) -> Vec<Record> {
    (1..=n).map(record).collect()
}

pub fn total(records: &[Record]) -> Count {
    records
        .iter()
        .map(|record| Count::new(record.metrics.packets, record.metrics.bytes))
        .sum()
}

pub fn collector_at(address: SocketAddr, protocol: Protocol) -> config::Collector {
    let endpoint = Endpoint {
        host: Host::Address(address.ip()),
        port: NonZeroU16::new(address.port()).unwrap(),
    };
    config::Collector::new(address.to_string(), endpoint, protocol)
}

/// A port that nobody listens at.
pub fn unused_port(address: IpAddr) -> SocketAddr {
    UdpSocket::bind((address, 0)).unwrap().local_addr().unwrap()
}

/// Waits for `look` to find something.
pub fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The stages after the meter.
pub struct Exporter {
    runtime: tokio::runtime::Runtime,
    ledger: Arc<Ledger>,
    collectors: Collectors,
    export: Export,
    shared: watch::Sender<Arc<Shared>>,
}

impl Exporter {
    pub fn start(configs: &[config::Collector]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (shared, told) = watch::channel(Arc::new(Shared {
            sampling: 1,
            ..Shared::default()
        }));
        let ledger = Arc::new(Ledger::new());
        // sysUptime began an hour ago.
        let init = UnixTime::from_millis(NOW_MS - 3_600_000);
        let mut collectors = Collectors::new(init, told);
        let export = {
            let _in_runtime = runtime.enter();
            collectors.set(configs, 1, &ledger).unwrap()
        };
        Self {
            runtime,
            ledger,
            collectors,
            export,
            shared,
        }
    }

    /// As the daemon does it at SIGHUP.
    pub fn reload(&mut self, configs: &[config::Collector]) {
        let _in_runtime = self.runtime.enter();
        self.export = self.collectors.set(configs, 1, &self.ledger).unwrap();
    }

    /// As the meter does it.
    pub fn send(&self, records: Vec<Record>) {
        self.ledger.observe(total(&records));
        self.ledger.queue(total(&records));
        self.export.send(records);
    }

    pub fn share(&self, shared: Shared) {
        self.shared.send_replace(Arc::new(shared));
    }

    pub fn status(&self) -> Vec<CollectorStatus> {
        let collectors = self.export.collectors();
        collectors.iter().map(CollectorHandle::status).collect()
    }

    pub fn snapshot(&self) -> Snapshot {
        self.ledger.snapshot(&KernelReading::default())
    }

    /// Lets the tasks come to their end, as the daemon does within 10 seconds.
    pub fn finish(self) -> (Vec<CollectorStatus>, Snapshot) {
        let Self {
            runtime,
            ledger,
            collectors,
            export,
            ..
        } = self;
        let observers: Vec<_> = export
            .collectors()
            .iter()
            .map(CollectorHandle::observer)
            .collect();
        drop(export);
        let ended = runtime.block_on(collectors.end(PATIENCE));
        assert!(ended, "a collector does not end");
        runtime.shutdown_background();
        let status = observers.iter().map(|status| status()).collect();
        (status, ledger.snapshot(&KernelReading::default()))
    }
}

/// What is checked of a record.
#[derive(Clone, Debug)]
pub struct Received {
    pub template: u16,
    pub packets: u64,
    pub octets: u64,
}

/// A record of options data.
#[derive(Clone, Debug)]
pub struct OptionRecord {
    pub domain: u32,
    values: Vec<(Element, Vec<u8>)>,
}

impl OptionRecord {
    fn octets(&self, element: Element) -> Option<&[u8]> {
        let found = self.values.iter().find(|(e, _)| *e == element);
        found.map(|(_, octets)| octets.as_slice())
    }

    /// The octets of a field as a number; of a text, only whether it is there.
    pub fn number(&self, element: Element) -> Option<u64> {
        let octets = self.octets(element)?;
        Some(
            octets
                .iter()
                .fold(0, |number, &octet| (number << 8) | u64::from(octet)),
        )
    }

    pub fn text(&self, element: Element) -> String {
        let octets = self.octets(element).unwrap();
        String::from_utf8(octets.to_vec())
            .unwrap()
            .trim_end_matches('\0')
            .to_owned()
    }
}

/// A collector.
pub struct Sink {
    socket: UdpSocket,
    decoder: Decoder<SocketAddr>,
    pub records: Vec<Received>,
    pub options: Vec<OptionRecord>,
    /// Sets whose template was not known.
    pub unknown: usize,
    pub gaps: Vec<Sequence>,
    pub errors: usize,
    pub messages: u64,
    pub octets: u64,
    pub largest: usize,
    pub sources: BTreeSet<SocketAddr>,
    /// Messages with templates in the domain of data.
    pub data_template_messages: usize,
    /// Every datagram as it came.
    pub datagrams: Vec<Vec<u8>>,
    /// What each template of a domain means: its fields and their lengths.
    pub meanings: BTreeMap<(u32, u16), Vec<(u16, u16)>>,
}

impl Sink {
    pub fn new(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        let buffer = 16 << 20;
        socket2::SockRef::from(&socket)
            .set_recv_buffer_size(buffer)
            .unwrap();
        Self {
            socket,
            decoder: Decoder::new(DecoderLimits::default()),
            records: Vec::new(),
            options: Vec::new(),
            unknown: 0,
            gaps: Vec::new(),
            errors: 0,
            messages: 0,
            octets: 0,
            largest: 0,
            sources: BTreeSet::new(),
            data_template_messages: 0,
            datagrams: Vec::new(),
            meanings: BTreeMap::new(),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub fn receive_until(&mut self, enough: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !enough(self) {
            self.receive(Duration::from_millis(100));
            assert!(
                Instant::now() < deadline,
                "only {} records, {} of options, {} unknown sets",
                self.records.len(),
                self.options.len(),
                self.unknown
            );
        }
    }

    pub fn receive_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.receive(left.max(Duration::from_millis(1)));
        }
    }

    /// What is in the socket when the exporter is gone. UDP over the loopback delivers before the
    /// sender's call returns.
    pub fn receive_rest(&mut self) {
        while self.receive(Duration::from_millis(50)) {}
    }

    pub fn receive_what_is_there(&mut self) {
        while self.receive(Duration::from_micros(500)) {}
    }

    fn receive(&mut self, patience: Duration) -> bool {
        let mut buffer = vec![0; 1 << 16];
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let Ok((length, source)) = self.socket.recv_from(&mut buffer) else {
            return false;
        };
        let octets = &buffer[..length];
        self.messages += 1;
        self.octets += length as u64;
        self.largest = self.largest.max(length);
        self.sources.insert(source);
        let decoded = self.decoder.decode(&source, octets).unwrap();
        let domain = decoded.header().observation_domain;
        self.unknown += decoded.unknown().len();
        self.errors += decoded.errors().len();
        if !matches!(decoded.sequence(), Sequence::First | Sequence::InOrder) {
            self.gaps.push(decoded.sequence());
        }
        if decoded.templates() > 0 && domain != 0 {
            self.data_template_messages += 1;
        }
        for record in decoded.records() {
            let template = record.template();
            let fields = template.fields().iter();
            let meaning: Vec<_> = fields.map(|field| (field.id(), field.length())).collect();
            let known = self
                .meanings
                .entry((domain, template.id()))
                .or_insert_with(|| meaning.clone());
            // Wherever it comes from: some collectors do not tell source ports apart.
            assert_eq!(*known, meaning, "template {} is redefined", template.id());
            if record.template().is_options() {
                let values = record
                    .values()
                    .filter_map(|value| Some((*value.field().element()?, value.octets().to_vec())))
                    .collect();
                self.options.push(OptionRecord { domain, values });
            } else {
                let number = |element| record.value(element).unwrap().unsigned().unwrap();
                self.records.push(Received {
                    template: record.template().id(),
                    packets: number(&e::PACKET_DELTA_COUNT),
                    octets: number(&e::OCTET_DELTA_COUNT),
                });
            }
        }
        self.datagrams.push(octets.to_vec());
        true
    }

    pub fn total(&self) -> Count {
        self.records
            .iter()
            .map(|record| Count::new(record.packets, record.octets))
            .sum()
    }

    /// The last record of options data with this element: everything has been said by then.
    pub fn option(&self, element: Element) -> Option<&OptionRecord> {
        self.options
            .iter()
            .rev()
            .find(|o| o.octets(element).is_some())
    }

    pub fn options_with(&self, element: Element) -> usize {
        let with = |option: &&OptionRecord| option.octets(element).is_some();
        self.options.iter().filter(with).count()
    }

    /// Everything was understood, and nothing was missing between the messages.
    pub fn assert_sound(&self) {
        assert_eq!((self.unknown, self.errors), (0, 0));
        assert_eq!(self.gaps, []);
    }
}
