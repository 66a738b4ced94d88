//! Programs on devices: by TCX where the kernel has it, else as a filter on clsact.

use super::bpf::{self, Direction, TcPlace};
use super::error::Error;
use super::links::Interface;
use super::namespace::Namespace;
use super::object::NetPrograms;
use super::pins::{Pins, Place};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// How programs are attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AttachMode {
    /// TCX where the kernel has it, else clsact.
    #[default]
    Auto,
    /// TCX (Linux 6.6 and newer) or not at all.
    Tcx,
    /// A filter of our own on the device's clsact qdisc, which is shared with others.
    Clsact,
}

/// How a program came to be attached.
#[derive(Debug)]
enum Attachment {
    /// Held by the link's descriptor.
    Tcx { link: OwnedFd },
    /// Held by the qdisc until taken off; `program` tells our filter from a stranger's.
    Clsact { program: u32, place: TcPlace },
}

impl Attachment {
    /// Whether the program is still where it was put.
    fn is_there(&self, namespace: &Namespace, if_index: u32, direction: Direction) -> bool {
        match self {
            // What cannot be asked is no reason to attach twice.
            Self::Tcx { link } => {
                bpf::tcx_device(link).map_or(true, |device| device == Some(if_index))
            }
            Self::Clsact { program, place } => namespace
                .within(|| bpf::clsact_program(if_index, direction, *place))
                .map_or(true, |there| there == Some(*program)),
        }
    }
}

/// ARPHRD numbers of devices whose frames begin with an Ethernet header.
const ETHERNET: [u16; 2] = [libc::ARPHRD_ETHER, libc::ARPHRD_LOOPBACK];
/// ARPHRD numbers of devices whose packets begin with the network header: tun and wireguard
/// (NONE), ppp, raw IP (cellular modems), tunnels.
const NETWORK: [u16; 8] = [
    libc::ARPHRD_NONE,
    libc::ARPHRD_PPP,
    519, // ARPHRD_RAWIP
    libc::ARPHRD_TUNNEL,
    libc::ARPHRD_TUNNEL6,
    libc::ARPHRD_SIT,
    libc::ARPHRD_IPGRE,
    823, // ARPHRD_IP6GRE
];

/// Whether the packets of a device of this ARPHRD number begin with an Ethernet header or with IP;
/// `None`: with something else.
pub fn has_ethernet_header(link_type: u16) -> Option<bool> {
    if ETHERNET.contains(&link_type) {
        Some(true)
    } else {
        NETWORK.contains(&link_type).then_some(false)
    }
}

/// What is attached, and where.
#[derive(Debug)]
pub struct Attachments {
    /// Handle of our filters on clsact.
    handle: u32,
    by_place: BTreeMap<(u32, Direction), Attachment>,
    /// Where the devices are.
    namespace: Namespace,
    /// Whether the frames of a device that something is attached to begin with an Ethernet header.
    ethernet: BTreeMap<u32, bool>,
    /// Where they are kept beyond the life of this process.
    pins: Option<Arc<Pins>>,
    /// What an exporter before this one left attached, until it is taken over or taken off.
    inherited: BTreeMap<(u32, Direction), Attachment>,
    /// Given up while a filter is taken off, which takes a descriptor: it must not stay because all
    /// others are in use.
    spare: Option<File>,
}

impl Attachments {
    /// Nothing is attached; the devices are those of `namespace`. `instance` tells one exporter on this host from another: on clsact,
    /// one that starts again under the same name takes the place of what it left.
    pub fn new(instance: &Path, namespace: Namespace) -> Self {
        Self {
            handle: handle(instance),
            by_place: BTreeMap::new(),
            namespace,
            ethernet: BTreeMap::new(),
            pins: None,
            inherited: BTreeMap::new(),
            spare: spare(),
        }
    }

    /// The same, kept by pins. What is pinned there and still attached is taken over by
    /// [`attach`](Self::attach), program by program and in place; [`detach_inherited`] takes off
    /// the rest.
    ///
    /// [`detach_inherited`]: Self::detach_inherited
    ///
    /// # Errors
    /// Where it cannot be told what is attached.
    pub fn pinned(pins: Arc<Pins>, namespace: Namespace) -> Result<Self, Error> {
        let asking = |e| Error::os("asking for a filter", e);
        let mut attachments = Self::new(pins.path(), namespace);
        for (place, object) in pins.places()? {
            let Place {
                if_index,
                direction,
                priority,
            } = place;
            // Its device may be gone, and another have got its number: then it is nowhere.
            let attachment = match priority {
                None => Some(Attachment::Tcx { link: object })
                    .filter(|link| link.is_there(&attachments.namespace, if_index, direction)),
                Some(priority) => {
                    let handle = attachments.handle;
                    let place = TcPlace { priority, handle };
                    // One that was killed between replacing the filter and pinning its program
                    // left a pin of the one before.
                    let pinned = bpf::program_id(&object).ok();
                    attachments
                        .namespace
                        .within(|| bpf::clsact_program(if_index, direction, place))
                        .map_err(asking)?
                        .filter(|&id| pinned == Some(id) || bpf::is_ours(id))
                        .map(|program| Attachment::Clsact { program, place })
                }
            };
            if let Some(attachment) = attachment {
                attachments
                    .inherited
                    .insert((if_index, direction), attachment);
            } else {
                pins.remove(place);
            }
        }
        attachments.pins = Some(pins);
        Ok(attachments)
    }

    /// Takes off what was inherited and is not wanted; returns how many programs that was.
    pub fn detach_inherited(&mut self) -> usize {
        let inherited = std::mem::take(&mut self.inherited);
        let count = inherited.len();
        for ((if_index, direction), attachment) in inherited {
            self.take_off(if_index, direction, attachment);
        }
        count
    }

    /// Programs that were inherited and not yet taken over.
    pub fn inherited(&self) -> usize {
        self.inherited.len()
    }

    /// Takes off filters of ours on a device that no pin tells of: those of an exporter that was
    /// killed before it pinned them. Returns how many.
    pub fn detach_leftovers(&mut self, if_index: u32) -> usize {
        let mut count = 0;
        for direction in [Direction::Ingress, Direction::Egress] {
            let detach = || {
                let places = bpf::clsact_leftovers(if_index, direction, self.handle).into_iter();
                let taken_off = places
                    .filter(|place| bpf::detach_clsact(if_index, direction, *place).is_ok())
                    .count();
                Ok(taken_off)
            };
            count += self.namespace.within(detach).unwrap_or(0);
        }
        count
    }

    /// Attaches the fitting program to each of `directions` of a device. All or nothing: where
    /// one fails, those that this call attached come off again.
    pub fn attach(
        &mut self,
        programs: &NetPrograms,
        interface: &Interface,
        directions: &[Direction],
        mode: AttachMode,
    ) -> Result<(), Error> {
        let ethernet = ETHERNET.contains(&interface.link_type);
        if !ethernet && !NETWORK.contains(&interface.link_type) {
            return Err(Error::LinkType {
                interface: interface.name.clone(),
                link_type: interface.link_type,
            });
        }
        let mut done = Vec::new();
        for &direction in directions {
            let place = (interface.index, direction);
            if self.by_place.contains_key(&place) {
                continue;
            }
            let program = programs.for_device(ethernet, direction);
            match self.attach_one(program, interface, direction, mode) {
                Ok(attachment) => {
                    self.by_place.insert(place, attachment);
                    self.ethernet.insert(interface.index, ethernet);
                    done.push(direction);
                }
                Err(error) => {
                    for direction in done {
                        self.detach_one(interface.index, direction);
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Puts `programs` in the places of `present`, which are attached; each between two packets. All or
    /// nothing: where one fails, the places before it get back what they had. What somebody took off
    /// meanwhile is passed over.
    ///
    /// # Errors
    /// Where a program cannot be put in its place.
    pub fn replace(&mut self, present: &NetPrograms, programs: &NetPrograms) -> Result<(), Error> {
        let places: Vec<_> = self.by_place.keys().copied().collect();
        for (done, &place) in places.iter().enumerate() {
            let Err(error) = self.replace_one(place, programs) else {
                continue;
            };
            for &(if_index, direction) in &places[..done] {
                if let Err(error) = self.replace_one((if_index, direction), present) {
                    tracing::error!(if_index, ?direction, %error, "cannot put the program back");
                }
            }
            return Err(error);
        }
        Ok(())
    }

    /// Takes off what is attached to the device, and nothing else.
    pub fn detach(&mut self, if_index: u32) {
        for direction in [Direction::Ingress, Direction::Egress] {
            self.detach_one(if_index, direction);
        }
    }

    /// Takes off what is attached in this direction, to whatever device.
    pub fn detach_direction(&mut self, direction: Direction) {
        let places = self.by_place.keys();
        let places: Vec<_> = places
            .copied()
            .filter(|place| place.1 == direction)
            .collect();
        for (if_index, direction) in places {
            self.detach_one(if_index, direction);
        }
    }

    /// Takes off everything that was attached.
    pub fn detach_all(&mut self) {
        let places: Vec<_> = self.by_place.keys().copied().collect();
        for (if_index, direction) in places {
            self.detach_one(if_index, direction);
        }
    }

    /// How the device is observed in a direction: `tcx`, `clsact`, or not at all.
    pub fn kind(&self, if_index: u32, direction: Direction) -> Option<&'static str> {
        self.by_place
            .get(&(if_index, direction))
            .map(|attachment| match attachment {
                Attachment::Tcx { .. } => "tcx",
                Attachment::Clsact { .. } => "clsact",
            })
    }

    /// The devices that something is attached to.
    pub fn interfaces(&self) -> Vec<u32> {
        let mut indices: Vec<u32> = self.by_place.keys().map(|&(index, _)| index).collect();
        indices.dedup();
        indices
    }

    /// Goes over to the devices of another namespace: what is attached comes off first.
    pub fn set_namespace(&mut self, namespace: Namespace) {
        self.detach_all();
        self.namespace = namespace;
    }

    /// Forgets the programs on a device that somebody took off, and says in which directions.
    pub fn forget_lost(&mut self, if_index: u32) -> Vec<Direction> {
        let lost: Vec<Direction> = self
            .by_place
            .range((if_index, Direction::Ingress)..=(if_index, Direction::Egress))
            .filter(|&(&(_, direction), attachment)| {
                !attachment.is_there(&self.namespace, if_index, direction)
            })
            .map(|(&(_, direction), _)| direction)
            .collect();
        for direction in &lost {
            if let Some(attachment) = self.by_place.remove(&(if_index, *direction)) {
                self.unpin(if_index, *direction, &attachment);
            }
        }
        lost
    }

    /// Forgets what was attached to a device that is gone, with its qdisc.
    pub fn forget(&mut self, if_index: u32) {
        for direction in [Direction::Ingress, Direction::Egress] {
            if let Some(attachment) = self.by_place.remove(&(if_index, direction)) {
                self.unpin(if_index, direction, &attachment);
            }
        }
    }

    /// Attaches a program, in the place of the one that was inherited if there is one: between two
    /// packets. Between two kinds of attachment the old one comes off first, lest both count.
    fn attach_one(
        &mut self,
        program: &OwnedFd,
        interface: &Interface,
        direction: Direction,
        mode: AttachMode,
    ) -> Result<Attachment, Error> {
        let failed = |error: io::Error| match error.raw_os_error() {
            Some(libc::ENODEV) => Error::NoInterface {
                interface: interface.name.clone(),
            },
            _ => Error::os(
                format!("{}: attaching to {direction:?}", interface.name),
                error,
            ),
        };
        let mut known = None;
        match self.inherited.remove(&(interface.index, direction)) {
            Some(Attachment::Tcx { link }) if mode != AttachMode::Clsact => {
                match bpf::update_tcx(&link, program) {
                    Ok(()) => return Ok(Attachment::Tcx { link }),
                    // Somebody detached it since it was looked at.
                    Err(error) => {
                        tracing::debug!(%error, interface = interface.name, "cannot update the link");
                        self.take_off(interface.index, direction, Attachment::Tcx { link });
                    }
                }
            }
            Some(Attachment::Clsact { program, place }) if mode != AttachMode::Tcx => {
                known = Some((place, program));
            }
            Some(other) => self.take_off(interface.index, direction, other),
            None => {}
        }
        // A filter that was inherited is replaced by a filter, also where TCX is to be had.
        if mode != AttachMode::Clsact && known.is_none() {
            let attach = || bpf::attach_tcx(program, interface.index, direction);
            match self.namespace.within(attach) {
                Ok(link) => {
                    let attachment = Attachment::Tcx { link };
                    self.pin(interface.index, direction, &attachment, program)?;
                    return Ok(attachment);
                }
                // What kernels before 6.6 answer to an unknown attach type.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    if mode == AttachMode::Tcx {
                        return Err(Error::NoTcx {
                            interface: interface.name.clone(),
                        });
                    }
                }
                Err(error) => return Err(failed(error)),
            }
        }
        let attach = || bpf::attach_clsact(program, interface.index, direction, self.handle, known);
        let place = self.namespace.within(attach).map_err(failed)?;
        if let Some((known, _)) = known.filter(|(known, _)| *known != place) {
            // Another's filter has its place by now, and ours is not there any more.
            self.unpin_place(pin_place(interface.index, direction, Some(known.priority)));
        }
        let attachment = Attachment::Clsact {
            program: bpf::program_id(program).map_err(failed)?,
            place,
        };
        if let Err(error) = self.pin(interface.index, direction, &attachment, program) {
            self.take_off(interface.index, direction, attachment);
            return Err(error);
        }
        Ok(attachment)
    }

    fn replace_one(
        &mut self,
        (if_index, direction): (u32, Direction),
        programs: &NetPrograms,
    ) -> Result<(), Error> {
        let failed = |error| {
            Error::os(
                format!("interface {if_index}: replacing the program"),
                error,
            )
        };
        let Some(attachment) = self.by_place.get(&(if_index, direction)) else {
            return Ok(());
        };
        let ethernet = self.ethernet.get(&if_index).copied().unwrap_or(true);
        let program = programs.for_device(ethernet, direction);
        let (place, known) = match attachment {
            Attachment::Tcx { link } => match bpf::update_tcx(link, program) {
                Err(error) if attachment.is_there(&self.namespace, if_index, direction) => {
                    return Err(failed(error));
                }
                _ => return Ok(()),
            },
            Attachment::Clsact { .. }
                if !attachment.is_there(&self.namespace, if_index, direction) =>
            {
                return Ok(());
            }
            Attachment::Clsact { program, place } => (*place, *program),
        };
        let known = Some((place, known));
        let attach = || bpf::attach_clsact(program, if_index, direction, self.handle, known);
        let taken = self.namespace.within(attach).map_err(failed)?;
        if taken != place {
            self.unpin_place(pin_place(if_index, direction, Some(place.priority)));
        }
        let attachment = Attachment::Clsact {
            program: bpf::program_id(program).map_err(failed)?,
            place: taken,
        };
        let pinned = self.pin(if_index, direction, &attachment, program);
        self.by_place.insert((if_index, direction), attachment);
        pinned
    }

    fn detach_one(&mut self, if_index: u32, direction: Direction) {
        if let Some(attachment) = self.by_place.remove(&(if_index, direction)) {
            self.take_off(if_index, direction, attachment);
        }
    }

    fn take_off(&mut self, if_index: u32, direction: Direction, attachment: Attachment) {
        self.unpin(if_index, direction, &attachment);
        drop(self.spare.take());
        match attachment {
            // It is detached when neither pin nor descriptor holds it.
            Attachment::Tcx { link } => drop(link),
            // Somebody may have put another program in this place since.
            Attachment::Clsact { program, place } => {
                let taken_off = self.namespace.within(|| {
                    if bpf::clsact_program(if_index, direction, place)? == Some(program) {
                        bpf::detach_clsact(if_index, direction, place)?;
                    }
                    Ok(())
                });
                if let Err(error) = taken_off {
                    tracing::warn!(if_index, ?direction, %error, "cannot take the filter off");
                }
            }
        }
        self.spare = spare();
    }

    /// Pins a link, or the program of a filter, which the qdisc holds by itself: its pin says where
    /// it is.
    fn pin(
        &self,
        if_index: u32,
        direction: Direction,
        attachment: &Attachment,
        program: &OwnedFd,
    ) -> Result<(), Error> {
        let Some(pins) = &self.pins else {
            return Ok(());
        };
        match attachment {
            Attachment::Tcx { link } => pins.add(pin_place(if_index, direction, None), link),
            Attachment::Clsact { place, .. } => pins.add(
                pin_place(if_index, direction, Some(place.priority)),
                program,
            ),
        }
    }

    fn unpin(&self, if_index: u32, direction: Direction, attachment: &Attachment) {
        let priority = match attachment {
            Attachment::Tcx { .. } => None,
            Attachment::Clsact { place, .. } => Some(place.priority),
        };
        self.unpin_place(pin_place(if_index, direction, priority));
    }

    fn unpin_place(&self, place: Place) {
        if let Some(pins) = &self.pins {
            pins.remove(place);
        }
    }
}

impl Drop for Attachments {
    /// Takes everything off, unless it is pinned and to stay.
    fn drop(&mut self) {
        if !self.pins.as_ref().is_some_and(|pins| pins.keeps()) {
            self.detach_all();
            self.detach_inherited();
        }
    }
}

/// A descriptor, of whatever is there on every system.
fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

fn pin_place(if_index: u32, direction: Direction, priority: Option<u32>) -> Place {
    Place {
        if_index,
        direction,
        priority,
    }
}

/// A handle for an instance: FNV-1a over its name, never 0 (which asks the kernel to choose).
fn handle(instance: &Path) -> u32 {
    const OFFSET_BASIS: u32 = 0x811c_9dc5;
    const PRIME: u32 = 0x0100_0193;
    let hash = instance
        .as_os_str()
        .as_bytes()
        .iter()
        .fold(OFFSET_BASIS, |hash, octet| {
            (hash ^ u32::from(*octet)).wrapping_mul(PRIME)
        });
    hash.max(1)
}
