//! From one exporter to the next: what is pinned is adopted, and counting is never interrupted.
//!
//! [`Parts::lasting`] is what the daemon starts from. It finds in `pin-dir` one of these:
//!
//! - nothing: tables are made, and pinned;
//! - tables that this exporter would have made just so: they are adopted, with all that is in them;
//! - tables of other sizes or another version: new ones are made, the programs are replaced where
//!   they are, so that each packet is counted in the one or the other, and what the old tables hold
//!   is read out ([`Retired`]) as far as this version can read it.

use super::attach::Attachments;
use super::bpf;
use super::drain::{Drain, Tables, Turn, counters_of};
use super::error::Error;
use super::fetcher::{FetcherOptions, Parts, Probes};
use super::mapped::Mapped;
use super::namespace::Namespace;
use super::object::{NetMaps, Sizes, load_net};
use super::page::{Account, Page};
use super::pins::{Pins, TableSet};
use ebpfix_probes::abi::{
    ABI, COUNTERS_VERSION, Control, CpuState, DROP_REASONS, HashedRecord, Set, Tally,
};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

/// What outlives the exporter.
pub struct Succession {
    /// What is pinned.
    pub pins: Arc<Pins>,
    /// The ledger page of the tables in use.
    pub page: Arc<Page>,
    /// What the page said at the start; zeros where there was none.
    pub account: Account,
    /// Whether the tables in use are those of an exporter before.
    pub adopted: bool,
    /// Tables that did not fit, the oldest first.
    pub retired: Vec<Retired>,
}

/// Tables of an exporter before that do not fit this one. To be read out when no program counts
/// into them any more.
pub struct Retired {
    number: u32,
    /// The kernel's number of its `cpu_state`.
    id: u64,
    account: Option<Account>,
    contents: Contents,
}

enum Contents {
    /// Of other sizes.
    Whole(Arc<Tables>),
    /// Of another version, whose counters are as this version's are.
    Counters(Mapped<CpuState>),
    /// Of a version that this one does not know.
    Unknown,
}

/// What tables had counted that are gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReadOut {
    /// Everything that came by.
    pub observed: Tally,
    /// What is in no flow, by [`ebpfix_probes::abi::DropReason`].
    pub dropped: [Tally; DROP_REASONS],
    /// What is in no record that is still there: exporters before have taken it out.
    pub taken: Tally,
}

impl Parts {
    /// Adopts what is in `options.pin_dir`, or begins anew. Nothing is attached yet; what was
    /// attached before still counts, by its own programs. `now_ms` is the time of day in milliseconds
    /// since 1970.
    ///
    /// # Errors
    /// Also where another exporter uses the directory. What was found there stays as it was.
    pub fn lasting(options: &FetcherOptions, now_ms: u64) -> Result<(Self, Succession), Error> {
        let sizes = options.prepare()?;
        let pins = Arc::new(Pins::open(&options.pin_dir)?);
        // Until this exporter is at work, what is there is another's.
        pins.set_keep(true);
        let mut sets = pins.tables()?;
        pins.set_keep(!sets.is_empty());
        let namespace = options.namespace.inode()?;
        let current = sets.last().map(Found::look).transpose()?;
        let mut spec = load_net()?;
        let mut control = options.control(sizes);
        let (tables, objects, page, account, adopted) = match current {
            Some(Found {
                sizes: Some(found),
                page: Some(page),
                ..
            }) if found == sizes && page.account().namespace == namespace => {
                let Some(TableSet { maps, .. }) = sets.pop() else {
                    unreachable!("it was looked at");
                };
                let tables = Tables::map(&maps, sizes)?;
                tables.set_sampling(control.sampling);
                tables.set_layer2_flows(control.layer2_flows != 0);
                tables.set_timestamps(options.timestamps);
                let account = page.account();
                let objects = spec.load_over(maps, sizes, &options.filter)?;
                page.update(|account| {
                    if account.handed_over == 1 {
                        account.handovers += 1;
                    } else {
                        account.crashes += 1;
                    }
                    account.handed_over = 0;
                });
                (tables, objects, page, account, true)
            }
            found => {
                let (keys, page) =
                    found.map_or((None, None), |found| (found.hash_keys, found.page));
                // A flow then has the same hash in the old tables' records and in the new ones'.
                control.hash_keys = keys.unwrap_or(control.hash_keys);
                let before = page.map(|page| page.account()).unwrap_or_default();
                let maps = spec.create_maps(sizes, &options.pin_dir)?;
                let tables = Tables::new(&maps, sizes, control)?;
                let ledger = Page::create()?;
                let page = Page::begin(
                    &ledger,
                    Account {
                        elsewhere: before.accounted(),
                        since_ms: now_ms,
                        handovers: before.handovers + before.handed_over,
                        crashes: before.crashes
                            + u64::from(!sets.is_empty() && before.handed_over == 0),
                        handed_over: 0,
                        namespace,
                        ..before
                    },
                )?;
                let objects = spec.load_over(maps, sizes, &options.filter)?;
                let number = sets.last().map_or(1, |set| set.number + 1);
                pins.add_tables(number, &objects.maps, &ledger)?;
                let account = page.account();
                (tables, objects, page, account, false)
            }
        };
        let retired = sets
            .iter()
            .map(Retired::new)
            .collect::<Result<Vec<_>, _>>()?;
        let mut attachments = Attachments::pinned(pins.clone(), options.namespace.clone())?;
        if retired.iter().any(|set| set.is_of_another(namespace)) {
            // Its devices are not those that have their numbers here.
            attachments.detach_inherited();
        }
        let tables = Arc::new(tables);
        let parts = Self {
            probes: Probes::new(objects, attachments, options),
            drain: Drain::new(tables.clone()),
            turn: Turn::new(tables.clone())?,
            tables,
        };
        let succession = Succession {
            pins,
            page: Arc::new(page),
            account,
            adopted,
            retired,
        };
        Ok((parts, succession))
    }
}

/// Takes off and unpins what an exporter left in `pin_dir` and on `devices` of `namespace`.
///
/// # Errors
/// Where an exporter runs there.
pub fn detach(pin_dir: &Path, namespace: &Namespace, devices: &[u32]) -> Result<Detached, Error> {
    bpf::silence_libbpf();
    let mut detached = Detached::default();
    let pins = Pins::open_existing(pin_dir)?.map(Arc::new);
    let here = namespace.inode()?;
    if let Some(pins) = &pins {
        // Until it is known what is in it.
        pins.set_keep(true);
        for set in pins.tables()? {
            let of = Found::look(&set)?.page.map(|page| page.account().namespace);
            detached.elsewhere |= of.is_some_and(|of| of != here);
        }
    }
    let mut attachments = match &pins {
        Some(pins) => Attachments::pinned(pins.clone(), namespace.clone())?,
        None => Attachments::new(pin_dir, namespace.clone()),
    };
    detached.programs = attachments.detach_inherited();
    for &device in devices {
        detached.programs += attachments.detach_leftovers(device);
    }
    drop(attachments);
    if let Some(pins) = pins {
        for set in pins.tables()? {
            let mut retired = Retired::new(&set)?;
            let account = retired.account;
            let read = retired.read_out(&mut Vec::new())?;
            detached.tables.push((account, read));
        }
        pins.set_keep(false);
    }
    Ok(detached)
}

/// What [`detach`] found.
#[derive(Debug, Default)]
pub struct Detached {
    /// Programs that were attached.
    pub programs: usize,
    /// The exporter was in another network namespace: filters on clsact qdiscs there are out of reach.
    pub elsewhere: bool,
    /// Of each set of tables what its page said, and what it had counted: `None` where this version
    /// cannot tell.
    pub tables: Vec<(Option<Account>, Option<ReadOut>)>,
}

/// A set of tables, as far as it is understood.
struct Found {
    /// Where all of it is as this version would make it.
    sizes: Option<Sizes>,
    /// Where the counters are.
    counters: bool,
    /// Where all of it is.
    hash_keys: Option<[u32; 16]>,
    page: Option<Page>,
}

impl Found {
    fn look(set: &TableSet) -> Result<Self, Error> {
        let NetMaps {
            control,
            cpu_state,
            aggregated_flows,
            direct_flows,
        } = &set.maps;
        let entries = |map: &OwnedFd, octets: usize| {
            let shape = bpf::map_shape(map).map_err(|e| Error::os("reading a BPF map", e))?;
            let fits = shape.mappable_array && usize::try_from(shape.value_octets) == Ok(octets);
            Ok::<_, Error>(fits.then_some(shape.entries))
        };
        let page = Page::open(&set.ledger)?;
        let unknown = Self {
            sizes: None,
            counters: false,
            hash_keys: None,
            page: None,
        };
        let (Some(_), Some(states)) = (
            entries(control, size_of::<Control>())?,
            entries(cpu_state, size_of::<CpuState>())?,
        ) else {
            return Ok(Self { page, ..unknown });
        };
        let control: Control = Mapped::new(control, 1)?.read(0);
        let sizes = Sizes {
            cpus: states.saturating_sub(1),
            sets: control.sets,
            log_records: control.log_records,
        };
        let [_, _, sets, records] = sizes.entries();
        let whole = control.abi == ABI
            && control.cpus == sizes.cpus
            && entries(aggregated_flows, size_of::<Set>())? == Some(sets)
            && entries(direct_flows, size_of::<HashedRecord>())? == Some(records);
        Ok(Self {
            sizes: whole.then_some(sizes),
            hash_keys: whole.then_some(control.hash_keys),
            counters: control.abi >> 16 == u32::from(COUNTERS_VERSION),
            page,
        })
    }
}

impl Retired {
    fn new(set: &TableSet) -> Result<Self, Error> {
        let found = Found::look(set)?;
        let shape =
            bpf::map_shape(&set.maps.cpu_state).map_err(|e| Error::os("reading a BPF map", e))?;
        let contents = match found.sizes {
            Some(sizes) => Contents::Whole(Arc::new(Tables::map(&set.maps, sizes)?)),
            None if found.counters => Contents::Counters(Mapped::new(
                &set.maps.cpu_state,
                usize::try_from(shape.entries).unwrap_or(0),
            )?),
            None => Contents::Unknown,
        };
        Ok(Self {
            number: set.number,
            id: u64::from(shape.id),
            account: found.page.map(|page| page.account()),
            contents,
        })
    }

    /// What its ledger page said at last; `None` where this version cannot read it.
    pub fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// Tells it from all other tables of this host, in [`Account::closed`].
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whether this version reads the records in it.
    pub fn is_readable(&self) -> bool {
        matches!(self.contents, Contents::Whole(_))
    }

    /// Waits until no program counts into it, and appends the records in it to `out`. `None` where
    /// this version cannot tell what it had counted.
    ///
    /// The records are there again after a failure or the end of the process half way, but for
    /// those that were read: they are in [`ReadOut::taken`] then.
    pub fn read_out(&mut self, out: &mut Vec<HashedRecord>) -> Result<Option<ReadOut>, Error> {
        let waiting = |e| Error::os("waiting for the kernel programs", e);
        match &self.contents {
            Contents::Whole(tables) => {
                let mut drain = Drain::new(tables.clone());
                let mut turn = Turn::new(tables.clone())?;
                let mut read = ReadOut::default();
                for turned in [
                    turn.quiesce().map_err(waiting)?,
                    turn.turn().map_err(waiting)?,
                ] {
                    let settlement = drain.settle(&turned, out);
                    add(&mut read.observed, settlement.observed);
                    for (sum, dropped) in read.dropped.iter_mut().zip(settlement.dropped) {
                        add(sum, dropped);
                    }
                    add(&mut read.taken, settlement.unaccounted);
                }
                Ok(Some(read))
            }
            Contents::Counters(cpu_state) => {
                bpf::GracePeriod::new()?.wait().map_err(waiting)?;
                let counters = counters_of(cpu_state);
                let mut taken = counters.observed;
                for dropped in counters.dropped {
                    taken.packets = taken.packets.saturating_sub(dropped.packets);
                    taken.octets = taken.octets.saturating_sub(dropped.octets);
                }
                Ok(Some(ReadOut {
                    observed: counters.observed,
                    dropped: counters.dropped,
                    taken,
                }))
            }
            Contents::Unknown => Ok(None),
        }
    }

    /// Unpins it: what it had counted is accounted for elsewhere.
    pub fn remove(self, pins: &Pins) {
        pins.remove_tables(self.number);
    }

    fn is_of_another(&self, namespace: u64) -> bool {
        self.account
            .is_none_or(|account| account.namespace != namespace)
    }
}

impl Account {
    /// What is exported or lost.
    pub fn accounted(&self) -> Tally {
        let mut sum = self.exported;
        for lost in self.lost {
            add(&mut sum, lost);
        }
        sum
    }
}

fn add(sum: &mut Tally, more: Tally) {
    sum.packets = sum.packets.saturating_add(more.packets);
    sum.octets = sum.octets.saturating_add(more.octets);
}
