//! [`FlowFetcher`]: the observe stage as one object, for programs that want flows and nothing else.

use super::attach::{AttachMode, Attachments};
use super::bpf::{self, Direction};
use super::drain::{Drain, KernelCounters, Settlement, Tables, Turn};
use super::error::Error;
use super::links::Interface;
use super::namespace::Namespace;
use super::object::{NetObjects, NetSpec, Sizes, load_net};
use crate::filter::KernelFilter;
use ebpfix_probes::abi::{ABI, Control, FlowId, FlowMetrics, HashedRecord, Timestamps};
use rand::RngCore;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How often [`FlowFetcher::read_ring_buf`] looks into the logs.
const POLL: Duration = Duration::from_millis(5);
/// Records that one reading of the logs takes at most, about.
const READ_AT_ONCE: usize = 16 * 1024;

/// Options of a [`FlowFetcher`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetcherOptions {
    /// 1 in this many packets is counted, chosen at random; 0 and 1: every packet.
    pub sampling: u32,
    /// Flows to provide for. The kernel's caches are no larger than useful for that many.
    pub cache_max_size: u32,
    /// Observe packets that enter.
    pub ingress: bool,
    /// Observe packets that leave.
    pub egress: bool,
    /// How programs are attached.
    pub attach: AttachMode,
    /// Whether frames that are not IP become layer-2 flows.
    pub layer2_flows: bool,
    /// Which flows are counted. The packets of others are counted by [`DropReason::Filtered`] alone.
    ///
    /// [`DropReason::Filtered`]: ebpfix_probes::abi::DropReason::Filtered
    pub filter: KernelFilter,
    /// Which packets are stamped by the fine clock.
    pub timestamps: Timestamps,
    /// Slots of each CPU's cache, a power of two; `None`: by `cache_max_size`.
    pub cache_slots: Option<u32>,
    /// Records of each CPU's log, a power of two.
    pub log_records: u32,
    /// Directory on a BPF file system.
    pub pin_dir: PathBuf,
    /// Where the interfaces are.
    pub namespace: Namespace,
}

impl Default for FetcherOptions {
    fn default() -> Self {
        Self {
            sampling: 1,
            cache_max_size: 131_072,
            ingress: true,
            egress: true,
            attach: AttachMode::Auto,
            layer2_flows: false,
            filter: KernelFilter::default(),
            timestamps: Timestamps::FineStart,
            cache_slots: None,
            log_records: 65_536,
            pin_dir: PathBuf::from("/sys/fs/bpf/ebpfix"),
            namespace: Namespace::Own,
        }
    }
}

impl FetcherOptions {
    /// Looks whether this kernel will do, and says how large the tables are to be.
    pub(super) fn prepare(&self) -> Result<Sizes, Error> {
        bpf::silence_libbpf();
        check_kernel(&bpf::kernel_release())?;
        Ok(Sizes {
            cpus: present_cpus()?,
            sets: cache_slots(self) / u32::try_from(ebpfix_probes::abi::WAYS).unwrap_or(2),
            log_records: self.log_records.next_power_of_two(),
        })
    }

    /// What the programs of new tables are told.
    pub(super) fn control(&self, sizes: Sizes) -> Control {
        let mut control = Control {
            sampling: self.sampling,
            layer2_flows: u32::from(self.layer2_flows),
            timestamps: self.timestamps as u32,
            sets: sizes.sets,
            log_records: sizes.log_records,
            cpus: sizes.cpus,
            abi: ABI,
            ..Control::default()
        };
        // Secret, so that nobody can choose flows that all fall into one set.
        let mut rng = rand::rng();
        for key in &mut control.hash_keys {
            *key = rng.next_u32();
        }
        control
    }

    fn directions(&self) -> Vec<Direction> {
        directions(self.ingress, self.egress)
    }
}

fn directions(ingress: bool, egress: bool) -> Vec<Direction> {
    let ingress = ingress.then_some(Direction::Ingress);
    let egress = egress.then_some(Direction::Egress);
    ingress.into_iter().chain(egress).collect()
}

/// Counts the packets of every flow on the interfaces that are registered.
///
/// ```no_run
/// # async fn example() -> Result<(), ebpfix::observe::Error> {
/// use ebpfix::observe::{FetcherOptions, FlowFetcher, Interface};
///
/// let mut fetcher = FlowFetcher::new(&FetcherOptions::default())?;
/// fetcher.register(&Interface::find("eth0").await?)?;
/// for (flow, metrics) in fetcher.lookup_and_delete_map()? {
///     println!("{} -> {}: {} packets", flow.src_ip, flow.dst_ip, metrics.packets);
/// }
/// fetcher.close();
/// # Ok(())
/// # }
/// ```
pub struct FlowFetcher {
    objects: NetObjects,
    attachments: Attachments,
    directions: Vec<Direction>,
    attach: AttachMode,
    tables: Arc<Tables>,
    drain: Drain,
    turn: Turn,
    settlement: Settlement,
}

/// A fetcher taken apart, for a pipeline whose stages run in threads of their own.
pub struct Parts {
    /// Attaches and detaches.
    pub probes: Probes,
    /// The mapped tables: counters, sampling.
    pub tables: Arc<Tables>,
    /// Reads records.
    pub drain: Drain,
    /// Turns generations.
    pub turn: Turn,
}

/// The loaded programs and where they are attached.
pub struct Probes {
    objects: NetObjects,
    attachments: Attachments,
    directions: Vec<Direction>,
    mode: AttachMode,
}

/// Loads the programs anew, with this filter, and has them take the place of those that are attached.
fn put_in_place(
    filter: &KernelFilter,
    objects: &mut NetObjects,
    attachments: &mut Attachments,
) -> Result<(), Error> {
    let programs = objects.programs_with(filter)?;
    attachments.replace(&objects.programs, &programs)?;
    objects.programs = programs;
    Ok(())
}

impl FlowFetcher {
    /// Loads the programs and creates the tables; nothing is attached yet.
    pub fn new(options: &FetcherOptions) -> Result<Self, Error> {
        Self::with_net(load_net()?, options)
    }

    /// The same with programs from another object than the embedded one; see [`NetSpec::parse`].
    pub fn with_net(net: NetSpec, options: &FetcherOptions) -> Result<Self, Error> {
        let sizes = options.prepare()?;
        let objects = net.load(sizes, &options.pin_dir, &options.filter)?;
        let control = options.control(sizes);
        let tables = Arc::new(Tables::new(&objects.maps, sizes, control)?);
        Ok(Self {
            drain: Drain::new(tables.clone()),
            turn: Turn::new(tables.clone())?,
            tables,
            objects,
            attachments: Attachments::new(&options.pin_dir, options.namespace.clone()),
            directions: options.directions(),
            attach: options.attach,
            settlement: Settlement::default(),
        })
    }

    /// Attaches to an interface, in the directions of the options. Doing so twice does no harm.
    pub fn register(&mut self, interface: &Interface) -> Result<(), Error> {
        self.attachments.attach(
            &self.objects.programs,
            interface,
            &self.directions,
            self.attach,
        )
    }

    /// Detaches from an interface; what was counted there stays to be read.
    pub fn unregister(&mut self, interface: &Interface) {
        self.attachments.detach(interface.index);
    }

    /// The flows counted since the last call, each with what all CPUs counted of it: the caches
    /// and what waits in the logs. Waits for the kernel, milliseconds as a rule.
    pub fn lookup_and_delete_map(&mut self) -> Result<HashMap<FlowId, FlowMetrics>, Error> {
        let turned = self
            .turn
            .turn()
            .map_err(|e| Error::os("waiting for the kernel programs", e))?;
        let mut records = Vec::new();
        self.settlement = self.drain.settle(&turned, &mut records);
        let mut flows: HashMap<FlowId, FlowMetrics> = HashMap::with_capacity(records.len());
        for HashedRecord { record, .. } in &records {
            flows
                .entry(record.id)
                .or_default()
                .accumulate(&record.metrics);
        }
        Ok(flows)
    }

    /// Waits for records in the logs and returns them: flows whose slot another flow needed, their
    /// errno set. A flow may come several times, and again by
    /// [`lookup_and_delete_map`](Self::lookup_and_delete_map).
    pub async fn read_ring_buf(&mut self) -> Vec<HashedRecord> {
        let mut records = Vec::new();
        while self.drain.read_log(READ_AT_ONCE, &mut records) == 0 {
            tokio::time::sleep(POLL).await;
        }
        records
    }

    /// Takes another filter; see [`Probes::set_filter`].
    ///
    /// # Errors
    /// Where the kernel does not take it. The one before then stays.
    pub fn set_filter(&mut self, filter: &KernelFilter) -> Result<(), Error> {
        put_in_place(filter, &mut self.objects, &mut self.attachments)
    }

    /// What the last [`lookup_and_delete_map`](Self::lookup_and_delete_map) found besides flows:
    /// packets in no flow, by reason, and whether everything adds up.
    pub fn settlement(&self) -> &Settlement {
        &self.settlement
    }

    /// The kernel's counters, as they stand.
    pub fn counters(&self) -> KernelCounters {
        self.tables.counters()
    }

    /// Programs and maps in the kernel.
    pub fn objects(&self) -> &NetObjects {
        &self.objects
    }

    /// Detaches what this attached, and nothing else, and frees the tables.
    pub fn close(mut self) {
        self.attachments.detach_all();
    }

    /// Takes the fetcher apart.
    pub fn into_parts(self) -> Parts {
        Parts {
            probes: Probes {
                objects: self.objects,
                attachments: self.attachments,
                directions: self.directions,
                mode: self.attach,
            },
            tables: self.tables,
            drain: self.drain,
            turn: self.turn,
        }
    }
}

impl Probes {
    pub(super) fn new(
        objects: NetObjects,
        attachments: Attachments,
        options: &FetcherOptions,
    ) -> Self {
        Self {
            objects,
            attachments,
            directions: options.directions(),
            mode: options.attach,
        }
    }

    /// See [`FlowFetcher::register`].
    pub fn attach(&mut self, interface: &Interface) -> Result<(), Error> {
        self.attachments.attach(
            &self.objects.programs,
            interface,
            &self.directions,
            self.mode,
        )
    }

    /// Attaches to an interface in other directions or another way than the options say.
    pub fn attach_to(
        &mut self,
        interface: &Interface,
        directions: &[Direction],
        mode: AttachMode,
    ) -> Result<(), Error> {
        self.attachments
            .attach(&self.objects.programs, interface, directions, mode)
    }

    /// Takes another filter: programs with it are put in the place of those that are attached, one after
    /// the other and each between two packets, so that every packet is judged by the old filter or the
    /// new one, and counted. What the old one took and is in the cache is counted on there until the
    /// next turn of the generations.
    ///
    /// # Errors
    /// Where the kernel does not take it. The one before then stays, everywhere.
    pub fn set_filter(&mut self, filter: &KernelFilter) -> Result<(), Error> {
        put_in_place(filter, &mut self.objects, &mut self.attachments)
    }

    /// Takes other directions: what is attached in one that is not wanted any more comes off.
    /// [`attach`](Self::attach) adds to an interface what it lacks.
    pub fn set_directions(&mut self, ingress: bool, egress: bool) {
        self.directions = directions(ingress, egress);
        for direction in [Direction::Ingress, Direction::Egress] {
            if !self.directions.contains(&direction) {
                self.attachments.detach_direction(direction);
            }
        }
    }

    /// Detaches from the interface with this index.
    pub fn detach(&mut self, if_index: u32) {
        self.attachments.detach(if_index);
    }

    /// Detaches from everything.
    pub fn detach_all(&mut self) {
        self.attachments.detach_all();
    }

    /// Where and how they are attached.
    pub fn attachments(&mut self) -> &mut Attachments {
        &mut self.attachments
    }
}

/// The floor: ring positions in mapped arrays, the boot clock, bounded loops.
fn check_kernel(release: &str) -> Result<(), Error> {
    match bpf::version_of(release) {
        // One that does not say its version may well be new enough.
        Some(version) if version < (5, 10) => Err(Error::OldKernel {
            release: release.to_owned(),
            missing: "counting in BPF",
            needed: "5.10",
        }),
        _ => Ok(()),
    }
}

/// Slots of a cache: what is configured, else enough for the flows in question, within what fits
/// a CPU's own cache.
fn cache_slots(options: &FetcherOptions) -> u32 {
    options
        .cache_slots
        .unwrap_or_else(|| options.cache_max_size.clamp(16, 4096))
        .clamp(16, 16_384)
        .next_power_of_two()
}

/// One more than the highest CPU number that the machine has, also of those that are offline.
fn present_cpus() -> Result<u32, Error> {
    const PRESENT: &str = "/sys/devices/system/cpu/present";
    let text = std::fs::read_to_string(PRESENT).map_err(|e| Error::os(PRESENT, e))?;
    let highest = text
        .trim()
        .rsplit(['-', ','])
        .next()
        .and_then(|last| last.parse::<u32>().ok())
        .ok_or_else(|| Error::Kernel {
            what: format!("{PRESENT}: expected a list of CPUs, found {text:?}"),
            source: std::io::Error::from(std::io::ErrorKind::InvalidData),
        })?;
    Ok(highest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_before_the_floor_are_refused_in_words() {
        for release in [
            "6.18.44-generic",
            "5.10.0-21-amd64",
            "6.1.0",
            "12.0",
            "custom",
        ] {
            check_kernel(release).unwrap();
        }
        for release in ["5.9.16", "4.19.0-25-amd64", "5.4"] {
            let error = check_kernel(release).unwrap_err().to_string();
            assert!(error.contains(release) && error.contains("5.10"), "{error}");
        }
    }

    #[test]
    fn a_cache_is_no_larger_than_useful() {
        let slots = |flows, slots| {
            cache_slots(&FetcherOptions {
                cache_max_size: flows,
                cache_slots: slots,
                ..FetcherOptions::default()
            })
        };
        assert_eq!(slots(131_072, None), 4096);
        assert_eq!(slots(1000, None), 1024);
        assert_eq!(slots(1, None), 16);
        assert_eq!(slots(131_072, Some(16_384)), 16_384);
    }
}
