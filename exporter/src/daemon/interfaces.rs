//! Which interfaces are observed: what the configuration names, of what netlink tells.

use super::metering::Command;
use super::status::InterfaceStatus;
use super::whereabouts::Whereabouts;
use crate::config::{Interfaces, KernelFilter};
use crate::observe::{Direction, Error, Interface, LinkEvent, LinkSpeed, Links, Namespace, Probes};
use ipfix::options;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::Sender;

/// The interfaces of a network namespace, and the probes on those that are observed.
pub struct Watched {
    wanted: Interfaces,
    /// Where they are.
    namespace: Namespace,
    probes: Probes,
    known: BTreeMap<u32, Interface>,
    speeds: BTreeMap<u32, LinkSpeed>,
    /// How often programs were attached again, by interface.
    reattached: BTreeMap<u32, u64>,
    /// Interfaces that cannot be observed for now, of which the log told.
    failing: BTreeSet<u32>,
    meter: Sender<Command>,
}

impl Watched {
    /// Nothing is known or observed yet. `namespace` is that of `probes`.
    pub fn new(
        wanted: Interfaces,
        namespace: Namespace,
        probes: Probes,
        meter: Sender<Command>,
    ) -> Self {
        Self {
            wanted,
            namespace,
            probes,
            known: BTreeMap::new(),
            speeds: BTreeMap::new(),
            reattached: BTreeMap::new(),
            failing: BTreeSet::new(),
            meter,
        }
    }

    /// Attaches to what there is now, if the namespace is there, and takes off what an exporter before
    /// this one had attached to other interfaces. Gives what tells of changes.
    ///
    /// # Errors
    /// See [`start`](Self::start).
    pub async fn begin(&mut self, whereabouts: &Whereabouts) -> Result<Option<Links>, Error> {
        let links = if self.namespace == Namespace::Nowhere {
            whereabouts.say_waiting();
            None
        } else {
            let links = Links::connect(&self.namespace)?;
            self.start(&links).await?;
            Some(links)
        };
        self.end_inherited();
        Ok(links)
    }

    /// Attaches to what there is now.
    ///
    /// A device of a kind that cannot be observed is passed over with a word in the log, unless it
    /// is named outright. Names that match nothing are an error only if nothing else matches: an
    /// interface may come later, but a mistyped name must not look like a quiet network.
    async fn start(&mut self, links: &Links) -> Result<(), Error> {
        for interface in links.list().await? {
            let named = self.is_named(&interface.name);
            self.known.insert(interface.index, interface.clone());
            self.tell(&interface);
            if !self.wanted.takes(&interface) {
                continue;
            }
            match self.probes.attach(&interface) {
                // Where there is none, it is gone since it was listed.
                Ok(()) | Err(Error::NoInterface { .. }) => {}
                Err(error @ Error::LinkType { .. }) if !named => {
                    tracing::info!("{error}: passed over");
                }
                Err(error) => return Err(error),
            }
        }
        let missing: Vec<String> = self
            .wanted
            .patterns()
            .iter()
            .filter_map(|pattern| pattern.name())
            .filter(|name| !self.known.values().any(|interface| interface.name == *name))
            .map(str::to_owned)
            .collect();
        let observed = self.status();
        if let (true, Some(name)) = (observed.is_empty(), missing.first()) {
            return Err(Error::NoInterface {
                interface: name.clone(),
            });
        }
        for name in missing {
            tracing::warn!(
                interface = name,
                "no such interface yet; it is taken when it appears"
            );
        }
        if observed.is_empty() {
            tracing::warn!("no interface matches observation.interfaces yet");
        }
        for InterfaceStatus { name, index, .. } in observed {
            tracing::info!(interface = name, index, "observing");
        }
        Ok(())
    }

    /// Takes off what an exporter before this one had attached and this one does not want.
    fn end_inherited(&mut self) {
        let programs = self.probes.attachments().detach_inherited();
        if programs > 0 {
            tracing::info!(
                programs,
                "taken off: what the exporter before this one had attached and this one does not want"
            );
        }
    }

    /// Where the interfaces are.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Leaves the namespace: what is attached there comes off, and flows seen there end.
    pub fn leave(&mut self) {
        self.move_to(Namespace::Nowhere);
        for index in std::mem::take(&mut self.known).into_keys() {
            let _ = self.meter.send(Command::Gone { index });
        }
        self.speeds.clear();
        self.reattached.clear();
        self.failing.clear();
    }

    /// Goes into a namespace after [`leave`](Self::leave), and attaches to what there is.
    pub async fn enter(&mut self, namespace: Namespace, links: &Links) -> Result<(), Error> {
        self.move_to(namespace);
        for interface in links.list().await? {
            self.changed(&interface);
        }
        Ok(())
    }

    fn move_to(&mut self, namespace: Namespace) {
        self.probes.attachments().set_namespace(namespace.clone());
        self.namespace = namespace;
    }

    /// Follows a change; returns whether what collectors are told of interfaces changed.
    pub async fn follow(&mut self, event: LinkEvent, links: &mut Links) -> bool {
        match event {
            LinkEvent::Changed(interface) => self.changed(&interface),
            LinkEvent::Gone { index } => self.gone(index),
            LinkEvent::Speed { index, speed } => {
                // Nothing that collectors are told of.
                self.speeds.insert(index, speed);
                false
            }
            LinkEvent::Filters { index } => self.verify_one(index),
            LinkEvent::Missed => match links.take_stock().await {
                Ok(found) => {
                    tracing::info!(
                        interfaces = found.len(),
                        "more happened to interfaces than netlink keeps: taking stock anew"
                    );
                    let gone: Vec<u32> = self
                        .known
                        .keys()
                        .copied()
                        .filter(|index| !found.iter().any(|i| i.index == *index))
                        .collect();
                    for index in gone {
                        self.gone(index);
                    }
                    for interface in &found {
                        self.changed(interface);
                    }
                    self.verify();
                    true
                }
                Err(error) => {
                    tracing::error!(%error, "cannot list the interfaces");
                    false
                }
            },
        }
    }

    /// Looks whether every program is still where it was put, and attaches again those that somebody
    /// took off. Netlink tells of filters at once; of TCX it tells nothing, so that this is called
    /// from time to time.
    pub fn verify(&mut self) -> bool {
        let known: Vec<u32> = self.known.keys().copied().collect();
        let mut changed = false;
        for index in known {
            changed |= self.verify_one(index);
        }
        changed
    }

    /// Takes other patterns: attaches and detaches what they say.
    pub fn set_wanted(&mut self, wanted: Interfaces) {
        self.wanted = wanted;
        let known: Vec<Interface> = self.known.values().cloned().collect();
        for interface in known {
            self.place(&interface);
        }
    }

    /// Takes another filter: see [`Probes::set_filter`].
    pub fn set_filter(&mut self, filter: &KernelFilter) -> Result<(), Error> {
        self.probes.set_filter(filter)
    }

    /// Takes other directions: attaches and detaches what they say.
    pub fn set_directions(&mut self, ingress: bool, egress: bool) {
        self.probes.set_directions(ingress, egress);
        let wanted = |interface: &&Interface| self.wanted.takes(interface);
        let known: Vec<Interface> = self.known.values().filter(wanted).cloned().collect();
        for interface in known {
            self.attach(&interface);
        }
    }

    /// The interfaces that are observed.
    pub fn status(&mut self) -> Vec<InterfaceStatus> {
        let attachments = self.probes.attachments();
        attachments
            .interfaces()
            .into_iter()
            .map(|index| {
                let interface = self
                    .known
                    .get(&index)
                    .cloned()
                    .unwrap_or_else(|| Interface {
                        name: index.to_string(),
                        ..Interface::default()
                    });
                let speed = self.speeds.get(&index).copied().unwrap_or_default();
                InterfaceStatus {
                    index,
                    name: interface.name,
                    alias: interface.alias,
                    kind: interface.kind.to_string(),
                    up: interface.up,
                    speed_bits_per_second: speed.bits_per_second,
                    duplex: speed
                        .full_duplex
                        .map(|full| if full { "full" } else { "half" }),
                    ingress: attachments.kind(index, Direction::Ingress),
                    egress: attachments.kind(index, Direction::Egress),
                    reattached: self.reattached.get(&index).copied().unwrap_or(0),
                }
            })
            .collect()
    }

    /// The observed interfaces as collectors are told of them.
    pub fn records(&mut self) -> Vec<options::Interface> {
        self.status()
            .into_iter()
            .map(|status| options::Interface {
                index: status.index,
                description: if status.alias.is_empty() {
                    status.name.clone()
                } else {
                    status.alias
                },
                name: status.name,
            })
            .collect()
    }

    /// Detaches from everything.
    pub fn stop(&mut self) {
        self.probes.detach_all();
    }

    fn changed(&mut self, interface: &Interface) -> bool {
        let before = self.known.insert(interface.index, interface.clone());
        if before.as_ref() == Some(interface) {
            return false;
        }
        if before
            .as_ref()
            .is_none_or(|before| before.name != interface.name)
        {
            self.tell(interface);
        }
        self.place(interface);
        true
    }

    fn gone(&mut self, index: u32) -> bool {
        let Some(interface) = self.known.remove(&index) else {
            return false;
        };
        let was_observed = self.is_observed(index);
        self.probes.attachments().forget(index);
        self.reattached.remove(&index);
        self.speeds.remove(&index);
        self.failing.remove(&index);
        let _ = self.meter.send(Command::Gone { index });
        if was_observed {
            tracing::info!(interface = interface.name, index, "the interface is gone");
        }
        was_observed
    }

    /// Attaches to an interface, or detaches from it, as the patterns say.
    fn place(&mut self, interface: &Interface) {
        let observed = self.is_observed(interface.index);
        let wanted = self.wanted.takes(interface);
        let (name, index) = (&interface.name, interface.index);
        if wanted && !observed && self.attach(interface) {
            tracing::info!(interface = name, index, "observing");
        } else if !wanted && observed {
            self.probes.detach(index);
            tracing::info!(interface = name, index, "no longer observing");
        }
    }

    /// Whether something changed.
    fn verify_one(&mut self, index: u32) -> bool {
        let lost = self.probes.attachments().forget_lost(index);
        let Some(interface) = self.known.get(&index).cloned() else {
            return !lost.is_empty();
        };
        if lost.is_empty() && !self.failing.contains(&index) {
            return false;
        }
        if !self.wanted.takes(&interface) {
            return !lost.is_empty();
        }
        for direction in &lost {
            tracing::warn!(
                interface = interface.name,
                index,
                ?direction,
                "somebody took the program off: packets since the last look were not observed"
            );
        }
        if !lost.is_empty() {
            // Counted even where attaching fails for now: it is tried until it succeeds.
            *self.reattached.entry(index).or_default() += lost.len() as u64;
        }
        if self.attach(&interface) {
            tracing::info!(interface = interface.name, index, "observing again");
        }
        true
    }

    /// Attaches what is missing. A failure is told once.
    fn attach(&mut self, interface: &Interface) -> bool {
        match self.probes.attach(interface) {
            Ok(()) => {
                self.failing.remove(&interface.index);
                true
            }
            Err(Error::LinkType { .. } | Error::NoInterface { .. }) => false,
            Err(error) => {
                if self.failing.insert(interface.index) {
                    tracing::error!(%error, "cannot observe the interface; trying on");
                }
                false
            }
        }
    }

    fn is_observed(&mut self, index: u32) -> bool {
        self.probes.attachments().interfaces().contains(&index)
    }

    fn is_named(&self, name: &str) -> bool {
        self.wanted
            .patterns()
            .iter()
            .any(|pattern| pattern.name() == Some(name))
    }

    fn tell(&self, interface: &Interface) {
        let _ = self.meter.send(Command::Interface {
            index: interface.index,
            name: interface.name.clone(),
        });
    }
}
