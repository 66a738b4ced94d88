//! What else there is on this host that has to do with packets: looked at, never changed.

use super::bpf::{self, Direction};
use super::error::Error;
use super::namespace::Namespace;
use futures_util::TryStreamExt;
use rtnetlink::packet_route::link::{LinkAttribute, LinkXdp};
use rtnetlink::packet_route::tc::TcAttribute;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// Programs of others on a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DevicePrograms {
    /// Identifiers of the XDP programs, which see what enters before all others.
    pub xdp: BTreeSet<u32>,
    /// Filters on the clsact qdisc, by direction.
    pub filters: BTreeMap<Direction, Vec<Filter>>,
}

/// A filter on a device's clsact qdisc.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Filter {
    /// Order among the filters; the lowest comes first.
    pub priority: u32,
    /// What decides: `bpf`, `flower`, `u32` and so on.
    pub kind: String,
}

/// What is on the devices of a network namespace, by their index. Needs a tokio runtime.
pub async fn device_programs(
    namespace: &Namespace,
    indices: &[u32],
) -> Result<BTreeMap<u32, DevicePrograms>, Error> {
    let failed = |what: &str, e: rtnetlink::Error| Error::Kernel {
        what: what.to_owned(),
        source: io::Error::other(e),
    };
    let (connection, handle, _) = namespace
        .within(rtnetlink::new_connection)
        .map_err(|e| Error::os("connecting to netlink", e))?;
    let connection = tokio::spawn(connection);
    let outcome = async {
        let mut devices: BTreeMap<u32, DevicePrograms> = indices
            .iter()
            .map(|index| (*index, DevicePrograms::default()))
            .collect();
        let mut links = handle.link().get().execute();
        while let Some(link) = links
            .try_next()
            .await
            .map_err(|e| failed("listing the interfaces", e))?
        {
            let Some(device) = devices.get_mut(&link.header.index) else {
                continue;
            };
            for attribute in &link.attributes {
                if let LinkAttribute::Xdp(xdp) = attribute {
                    device.xdp.extend(xdp.iter().filter_map(|xdp| match xdp {
                        LinkXdp::ProgId(id)
                        | LinkXdp::DrvProgId(id)
                        | LinkXdp::SkbProgId(id)
                        | LinkXdp::HwProgId(id) => Some(*id),
                        _ => None,
                    }));
                }
            }
        }
        for (index, device) in &mut devices {
            let Ok(index) = i32::try_from(*index) else {
                continue;
            };
            for direction in [Direction::Ingress, Direction::Egress] {
                let request = handle.traffic_filter(index).get();
                let request = match direction {
                    Direction::Ingress => request.ingress(),
                    Direction::Egress => request.egress(),
                };
                let mut filters = BTreeSet::new();
                let mut found = request.execute();
                // A device without the qdisc answers with an error or with nothing.
                while let Ok(Some(filter)) = found.try_next().await {
                    let kind = filter
                        .attributes
                        .iter()
                        .find_map(|attribute| match attribute {
                            TcAttribute::Kind(kind) => Some(kind.clone()),
                            _ => None,
                        });
                    let priority = filter.header.info >> 16;
                    filters.extend(kind.map(|kind| Filter { priority, kind }));
                }
                device
                    .filters
                    .insert(direction, filters.into_iter().collect());
            }
        }
        Ok(devices)
    };
    let outcome = outcome.await;
    connection.abort();
    outcome
}

/// Identifiers of the TCX programs on a device, in the order in which they run.
pub fn tcx_programs(
    namespace: &Namespace,
    if_index: u32,
    direction: Direction,
) -> io::Result<Vec<u32>> {
    namespace.within(|| bpf::query_tcx(if_index, direction))
}

/// The name of a loaded program and whether it is one of ebpfix's; an error where it may not be looked
/// at, or is gone.
pub fn program(id: u32) -> io::Result<(String, bool)> {
    let name = bpf::program_name(id)?;
    let ours = bpf::is_ours_by_name(name.as_bytes());
    Ok((name, ours))
}

/// Whether an array can be made that user space maps (Linux 5.5): makes one and lets it go.
pub fn can_map_arrays() -> Result<(), Error> {
    bpf::create_page(c"doctor", 8).map(drop)
}

/// Whether there is a BPF file system at this path, or where it would be made.
pub fn on_bpf_file_system(path: &std::path::Path) -> bool {
    bpf::on_bpf_file_system(path)
}

/// Whether something keeps the clock right; `None` where the system does not tell.
pub fn clock_is_synchronised() -> Option<bool> {
    bpf::clock_is_synchronised()
}

/// Names of the offloads that are at work on a device, as `ethtool -k` knows them.
pub fn active_features(namespace: &Namespace, name: &str) -> io::Result<Vec<String>> {
    namespace.within(|| features(name))
}

fn features(name: &str) -> io::Result<Vec<String>> {
    const GET_SIZES: u32 = 0x37;
    const GET_NAMES: u32 = 0x1b;
    const GET_FEATURES: u32 = 0x3a;
    const FEATURES: u32 = 4;
    const NAME_OCTETS: usize = 32;
    /// Command, number of the set or of blocks, and length.
    const HEAD: usize = 3;
    /// Words of a block of 32 features: available, requested, active, never changed.
    const BLOCK: usize = 4;
    /// No kernel has so many; room for more than it says, as the names come without a limit.
    const MOST: usize = 1024;

    let mut sizes = [GET_SIZES, 0, 1 << FEATURES, 0, 0];
    bpf::ethtool(name, &mut sizes)?;
    let count = usize::try_from(sizes[4]).unwrap_or(MOST).min(MOST);
    let mut names = vec![0_u32; HEAD + MOST * NAME_OCTETS / 4];
    names[..2].copy_from_slice(&[GET_NAMES, FEATURES]);
    bpf::ethtool(name, &mut names)?;
    let blocks = count.div_ceil(32);
    let mut features = vec![0_u32; 2 + blocks * BLOCK];
    features[..2].copy_from_slice(&[GET_FEATURES, u32::try_from(blocks).unwrap_or(0)]);
    bpf::ethtool(name, &mut features)?;

    let octets: Vec<u8> = names[HEAD..]
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect();
    let is_active = |place: &usize| {
        let active = features.get(2 + place / 32 * BLOCK + 2).copied();
        active.unwrap_or(0) >> (place % 32) & 1 == 1
    };
    let name_at = |place: usize| {
        let text = octets.get(place * NAME_OCTETS..)?.get(..NAME_OCTETS)?;
        let text = text.split(|octet| *octet == 0).next()?;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    Ok((0..count).filter(is_active).filter_map(name_at).collect())
}

/// What `uname -r` says, and its first two numbers.
pub fn kernel() -> (String, Option<(u32, u32)>) {
    let release = bpf::kernel_release();
    let version = bpf::version_of(&release);
    (release, version)
}

/// How the programs would be attached to a device of this ARPHRD number: with an Ethernet header,
/// without; `None`: not at all.
pub fn has_ethernet_header(link_type: u16) -> Option<bool> {
    super::attach::has_ethernet_header(link_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopbacks_features_are_known() {
        let features = active_features(&Namespace::Own, "lo").unwrap();
        // It is a netif that never needs a checksum.
        assert!(
            features.iter().any(|name| name == "loopback"),
            "{features:?}"
        );
        assert!(features.iter().all(|name| !name.is_empty()), "{features:?}");
        assert!(active_features(&Namespace::Own, "no-such-device").is_err());
        assert!(active_features(&Namespace::Own, "a name that no device can ever have").is_err());
    }
}
