//! Programs on devices: by TCX where the kernel has it, else as a filter on clsact.

use super::bpf::{self, Direction, TcPlace};
use super::error::Error;
use super::links::Interface;
use super::object::NetPrograms;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

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
    fn is_there(&self, if_index: u32, direction: Direction) -> bool {
        match self {
            // A link that cannot be asked is no reason to attach twice.
            Self::Tcx { link } => {
                bpf::tcx_device(link).map_or(true, |device| device == Some(if_index))
            }
            Self::Clsact { program, place } => {
                bpf::clsact_program(if_index, direction, *place) == Some(*program)
            }
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

/// What is attached, and where.
#[derive(Debug)]
pub struct Attachments {
    /// Handle of our filters on clsact.
    handle: u32,
    by_place: BTreeMap<(u32, Direction), Attachment>,
}

impl Attachments {
    /// Nothing is attached. `instance` tells one exporter on this host from another: on clsact,
    /// one that starts again under the same name takes the place of what it left.
    pub fn new(instance: &Path) -> Self {
        Self {
            handle: handle(instance),
            by_place: BTreeMap::new(),
        }
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
            match attach_one(program, interface, direction, mode, self.handle) {
                Ok(attachment) => {
                    self.by_place.insert(place, attachment);
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

    /// Takes off what is attached to the device, and nothing else.
    pub fn detach(&mut self, if_index: u32) {
        for direction in [Direction::Ingress, Direction::Egress] {
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

    /// Forgets the programs on a device that somebody took off, and says in which directions.
    pub fn forget_lost(&mut self, if_index: u32) -> Vec<Direction> {
        let lost: Vec<Direction> = self
            .by_place
            .range((if_index, Direction::Ingress)..=(if_index, Direction::Egress))
            .filter(|&(&(_, direction), attachment)| !attachment.is_there(if_index, direction))
            .map(|(&(_, direction), _)| direction)
            .collect();
        for direction in &lost {
            self.by_place.remove(&(if_index, *direction));
        }
        lost
    }

    /// Forgets what was attached to a device that is gone, with its qdisc.
    pub fn forget(&mut self, if_index: u32) {
        self.by_place.retain(|&(index, _), _| index != if_index);
    }

    fn detach_one(&mut self, if_index: u32, direction: Direction) {
        // A TCX link is detached by closing it.
        if let Some(Attachment::Clsact { program, place }) =
            self.by_place.remove(&(if_index, direction))
        {
            // Somebody may have put another program in this place since.
            if bpf::clsact_program(if_index, direction, place) != Some(program) {
                return;
            }
            if let Err(error) = bpf::detach_clsact(if_index, direction, place) {
                tracing::warn!(if_index, ?direction, %error, "cannot take the filter off");
            }
        }
    }
}

impl Drop for Attachments {
    fn drop(&mut self) {
        self.detach_all();
    }
}

fn attach_one(
    program: &OwnedFd,
    interface: &Interface,
    direction: Direction,
    mode: AttachMode,
    handle: u32,
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
    if mode != AttachMode::Clsact {
        match bpf::attach_tcx(program, interface.index, direction) {
            Ok(link) => return Ok(Attachment::Tcx { link }),
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
    let place = bpf::attach_clsact(program, interface.index, direction, handle).map_err(failed)?;
    let program = bpf::program_id(program).map_err(failed)?;
    Ok(Attachment::Clsact { program, place })
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
