//! Which interfaces are observed: what the configuration names, of what netlink tells.

use super::metering::Command;
use super::status::InterfaceStatus;
use crate::config::Interfaces;
use crate::export::InterfaceRecord;
use crate::observe::{Direction, Error, Interface, LinkEvent, Links, Probes};
use std::collections::BTreeMap;
use std::sync::mpsc::Sender;

/// The interfaces of this network namespace, and the probes on those that are observed.
pub struct Watched {
    wanted: Interfaces,
    probes: Probes,
    known: BTreeMap<u32, Interface>,
    meter: Sender<Command>,
}

impl Watched {
    /// Nothing is known or observed yet.
    pub fn new(wanted: Interfaces, probes: Probes, meter: Sender<Command>) -> Self {
        Self {
            wanted,
            probes,
            known: BTreeMap::new(),
            meter,
        }
    }

    /// Attaches to what there is now.
    ///
    /// A device of a kind that cannot be observed is passed over with a word in the log, unless it
    /// is named outright. Names that match nothing are an error only if nothing else matches: an
    /// interface may come later, but a mistyped name must not look like a quiet network.
    pub async fn start(&mut self, links: &Links) -> Result<(), Error> {
        for interface in links.list().await? {
            let named = self.is_named(&interface.name);
            self.known.insert(interface.index, interface.clone());
            self.tell(&interface);
            if !self.wanted.takes(&interface.name) {
                continue;
            }
            match self.probes.attach(&interface) {
                Ok(()) => {}
                Err(error @ Error::LinkType { .. }) if !named => {
                    tracing::info!("{error}: passed over");
                }
                // Gone since it was listed.
                Err(Error::NoInterface { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let missing: Vec<String> = self
            .wanted
            .patterns()
            .iter()
            .filter(|pattern| pattern.name().is_some())
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

    /// Follows a change; returns whether what collectors are told of interfaces changed.
    pub async fn follow(&mut self, event: LinkEvent, links: &Links) -> bool {
        match event {
            LinkEvent::Changed(interface) => self.changed(interface),
            LinkEvent::Gone { index } => self.gone(index),
            LinkEvent::Missed => match links.list().await {
                Ok(found) => {
                    let gone: Vec<u32> = self
                        .known
                        .keys()
                        .copied()
                        .filter(|index| !found.iter().any(|i| i.index == *index))
                        .collect();
                    for index in gone {
                        self.gone(index);
                    }
                    for interface in found {
                        self.changed(interface);
                    }
                    true
                }
                Err(error) => {
                    tracing::error!(%error, "cannot list the interfaces");
                    false
                }
            },
        }
    }

    /// Takes other patterns: attaches and detaches what they say.
    pub fn set_wanted(&mut self, wanted: Interfaces) {
        self.wanted = wanted;
        let known: Vec<Interface> = self.known.values().cloned().collect();
        for interface in known {
            self.place(&interface);
        }
    }

    /// The interfaces that are observed.
    pub fn status(&mut self) -> Vec<InterfaceStatus> {
        let attachments = self.probes.attachments();
        attachments
            .interfaces()
            .into_iter()
            .map(|index| InterfaceStatus {
                index,
                name: self
                    .known
                    .get(&index)
                    .map_or_else(|| index.to_string(), |interface| interface.name.clone()),
                ingress: attachments.kind(index, Direction::Ingress),
                egress: attachments.kind(index, Direction::Egress),
            })
            .collect()
    }

    /// The observed interfaces as collectors are told of them.
    pub fn records(&mut self) -> Vec<InterfaceRecord> {
        self.status()
            .into_iter()
            .map(|InterfaceStatus { index, name, .. }| {
                let alias = self
                    .known
                    .get(&index)
                    .map_or("", |interface| &interface.alias);
                InterfaceRecord {
                    index,
                    description: if alias.is_empty() {
                        name.clone()
                    } else {
                        alias.to_owned()
                    },
                    name,
                }
            })
            .collect()
    }

    /// Detaches from everything.
    pub fn stop(&mut self) {
        self.probes.detach_all();
    }

    fn changed(&mut self, interface: Interface) -> bool {
        let before = self.known.insert(interface.index, interface.clone());
        if before.as_ref() == Some(&interface) {
            return false;
        }
        if before
            .as_ref()
            .is_none_or(|before| before.name != interface.name)
        {
            self.tell(&interface);
        }
        self.place(&interface);
        true
    }

    fn gone(&mut self, index: u32) -> bool {
        let Some(interface) = self.known.remove(&index) else {
            return false;
        };
        let was_observed = self.is_observed(index);
        self.probes.attachments().forget(index);
        let _ = self.meter.send(Command::Gone { index });
        if was_observed {
            tracing::info!(interface = interface.name, index, "the interface is gone");
        }
        was_observed
    }

    /// Attaches to an interface, or detaches from it, as its name says.
    fn place(&mut self, interface: &Interface) {
        let observed = self.is_observed(interface.index);
        match (self.wanted.takes(&interface.name), observed) {
            (true, false) => match self.probes.attach(interface) {
                Ok(()) => {
                    tracing::info!(
                        interface = interface.name,
                        index = interface.index,
                        "observing"
                    );
                }
                Err(Error::LinkType { .. } | Error::NoInterface { .. }) => {}
                Err(error) => tracing::error!(%error, "cannot observe the interface"),
            },
            (false, true) => {
                self.probes.detach(interface.index);
                tracing::info!(
                    interface = interface.name,
                    index = interface.index,
                    "no longer observing"
                );
            }
            _ => {}
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
