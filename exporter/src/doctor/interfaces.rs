//! The interfaces that are to be observed: what else is there, and what passes the programs by.

use super::Finding;
use crate::config::{Attach, Config};
use crate::observe::inspect::{self, DevicePrograms, Filter};
use crate::observe::{Direction, Interface, Links, Namespace};
use std::collections::BTreeMap;

const INTERFACE: &str = "interface";
const NAMESPACE: &str = "namespace";

pub(super) async fn findings(config: &Config) -> Vec<Finding> {
    let namespace = match place(config) {
        Ok(namespace) => namespace,
        Err(finding) => return vec![finding],
    };
    let list = async { Links::connect(&namespace)?.list().await };
    let interfaces = match list.await {
        Ok(interfaces) => interfaces,
        Err(error) => return vec![Finding::unknown(INTERFACE, error.to_string())],
    };
    let wanted = &config.observation.interfaces;
    let mut findings = missing(config, &interfaces);
    let observed: Vec<_> = interfaces
        .iter()
        .filter(|interface| wanted.takes(interface))
        .collect();
    if observed.is_empty() && findings.is_empty() {
        findings.push(Finding::problem(
            INTERFACE,
            "none is to be observed",
            "see observation.interfaces, and ip link",
        ));
    }
    let indices: Vec<_> = observed.iter().map(|interface| interface.index).collect();
    let programs = match inspect::device_programs(&namespace, &indices).await {
        Ok(programs) => programs,
        Err(error) => {
            findings.push(Finding::unknown(INTERFACE, error.to_string()));
            BTreeMap::new()
        }
    };
    for interface in observed {
        let named = wanted
            .patterns()
            .iter()
            .any(|pattern| pattern.name() == Some(&interface.name));
        let programs = programs.get(&interface.index).cloned().unwrap_or_default();
        findings.extend(of(config, &namespace, interface, named, &programs));
        let relations = relations(interface, &interfaces).into_iter();
        findings.extend(relations.map(|finding| finding.of(&interface.name)));
    }
    findings
}

/// The namespace that they are in, if it can be looked at.
fn place(config: &Config) -> Result<Namespace, Finding> {
    let Some(name) = &config.observation.namespace else {
        return Ok(Namespace::Own);
    };
    match Namespace::open(&Namespace::path_of(name)) {
        Ok(Namespace::Nowhere) => Err(Finding::warning(
            NAMESPACE,
            "there is none of this name; it is observed when it appears",
            "see observation.namespace, and ip netns",
        )
        .of(name)),
        Ok(namespace) => Ok(namespace),
        Err(error) => Err(Finding::problem(
            NAMESPACE,
            error.to_string(),
            "give the exporter CAP_SYS_ADMIN",
        )
        .of(name)),
    }
}

/// Names that nothing has.
fn missing(config: &Config, interfaces: &[Interface]) -> Vec<Finding> {
    let patterns = config.observation.interfaces.patterns().iter();
    patterns
        .filter_map(|pattern| pattern.name())
        .filter(|name| !interfaces.iter().any(|interface| interface.name == *name))
        .map(|name| {
            Finding::warning(
                INTERFACE,
                "there is none of this name; it is taken when it appears",
                "see observation.interfaces, and ip link",
            )
            .of(name)
        })
        .collect()
}

fn of(
    config: &Config,
    namespace: &Namespace,
    interface: &Interface,
    named: bool,
    programs: &DevicePrograms,
) -> Vec<Finding> {
    let mut findings = vec![kind(interface, named)];
    findings.extend(xdp(programs));
    for (direction, asked) in [
        (Direction::Ingress, config.observation.directions.ingress()),
        (Direction::Egress, config.observation.directions.egress()),
    ] {
        if !asked {
            continue;
        }
        let filters = programs
            .filters
            .get(&direction)
            .map_or(&[][..], Vec::as_slice);
        findings.extend(others(direction, filters, config.observation.attach));
        findings.extend(tcx(
            direction,
            inspect::tcx_programs(namespace, interface.index, direction)
                .unwrap_or_default()
                .into_iter()
                .map(|id| inspect::program(id).ok())
                .collect(),
        ));
    }
    findings.extend(offload(
        &inspect::active_features(namespace, &interface.name).unwrap_or_default(),
    ));
    findings
        .into_iter()
        .map(|finding| finding.of(&interface.name))
        .collect()
}

pub(super) fn kind(interface: &Interface, named: bool) -> Finding {
    let number = interface.link_type;
    let state = if interface.up { "up" } else { "down" };
    match inspect::has_ethernet_header(number) {
        Some(true) => Finding::ok(
            INTERFACE,
            format!("{}, {state}, with Ethernet headers", interface.kind),
        ),
        Some(false) => Finding::ok(
            INTERFACE,
            format!("{}, {state}, packets begin with IP", interface.kind),
        ),
        None if named => Finding::problem(
            INTERFACE,
            format!("its kind (ARPHRD {number}) cannot be observed"),
            "take it out of observation.interfaces",
        ),
        None => Finding::info(
            INTERFACE,
            format!("its kind (ARPHRD {number}) cannot be observed; it is passed over"),
        ),
    }
}

fn xdp(programs: &DevicePrograms) -> Option<Finding> {
    let names: Vec<_> = programs
        .xdp
        .iter()
        .map(|id| match inspect::program(*id) {
            Ok((name, _)) => format!("{name} ({id})"),
            Err(_) => id.to_string(),
        })
        .collect();
    xdp_programs(&names)
}

pub(super) fn xdp_programs(names: &[String]) -> Option<Finding> {
    (!names.is_empty()).then(|| {
        Finding::warning(
            INTERFACE,
            format!(
                "XDP programs see packets before ebpfix does: {}. What they drop or redirect is not \
                 counted",
                names.join(", ")
            ),
            "ip link show says more; ip link set dev NAME xdp off takes them off",
        )
    })
}

/// What the hardware may do by itself.
pub(super) fn offload(features: &[String]) -> Option<Finding> {
    let active = |name: &str| features.iter().any(|feature| feature == name);
    active("hw-tc-offload").then(|| {
        Finding::warning(
            INTERFACE,
            "its hardware may carry out filters and forward by itself (hw-tc-offload): such packets \
             are not seen",
            "ethtool -K NAME hw-tc-offload off, unless nothing uses it (tc filter show, in_hw)",
        )
    })
}

/// Filters of others on clsact.
pub(super) fn others(direction: Direction, filters: &[Filter], attach: Attach) -> Option<Finding> {
    // Filters of BPF may be ebpfix's own.
    let others: Vec<_> = filters
        .iter()
        .filter(|filter| filter.kind != "bpf")
        .map(|filter| format!("{} at priority {}", filter.kind, filter.priority))
        .collect();
    if others.is_empty() {
        return None;
    }
    let text = format!(
        "{}: filters of others: {}",
        name(direction),
        others.join(", ")
    );
    Some(if attach == Attach::Clsact {
        Finding::warning(
            INTERFACE,
            text + "; what those before ebpfix's own decide is not counted",
            "say attach = \"auto\" where the kernel has TCX (Linux 6.6), which comes before all filters",
        )
    } else {
        Finding::info(INTERFACE, text + "; by TCX ebpfix sees packets before them")
    })
}

/// TCX programs in their order: name and whether it is ours, or `None` where that may not be known.
pub(super) fn tcx(direction: Direction, programs: Vec<Option<(String, bool)>>) -> Option<Finding> {
    let ours = programs
        .iter()
        .position(|program| matches!(program, Some((_, true))));
    let names = |programs: Vec<Option<(String, bool)>>| {
        let names = programs.into_iter();
        names
            .filter(|program| !matches!(program, Some((_, true))))
            .map(|program| program.map_or_else(|| "?".to_owned(), |(name, _)| name))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let direction = name(direction);
    match ours {
        None | Some(0) => {
            let names = names(programs);
            (!names.is_empty()).then(|| {
                let text =
                    format!("{direction}: other TCX programs: {names}; ebpfix goes before them");
                Finding::info(INTERFACE, text)
            })
        }
        Some(place) => {
            let before = names(programs.into_iter().take(place).collect());
            Some(Finding::warning(
                INTERFACE,
                format!(
                    "{direction}: TCX programs before ebpfix's: {before}. What they drop or redirect \
                     is not counted"
                ),
                "attach them after it, or start ebpfix again, which goes to the front",
            ))
        }
    }
}

fn name(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}

/// Other devices that have the same packets.
pub(super) fn relations(interface: &Interface, all: &[Interface]) -> Vec<Finding> {
    /// What passes all of its packets on to the interface that it is made upon.
    const UPON: [&str; 6] = ["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "macsec"];

    let master = interface
        .master
        .and_then(|index| all.iter().find(|other| other.index == index));
    let mut findings = Vec::new();
    if let Some(master) = master {
        let what = match master.kind.name() {
            bridge @ "bridge" => bridge,
            _ => "device",
        };
        findings.push(Finding::info(
            INTERFACE,
            format!(
                "a port of the {what} {}: its packets are counted there, too, if that is observed",
                master.name
            ),
        ));
    }
    let mut upper: Vec<_> = all
        .iter()
        .filter(|other| other.lower == Some(interface.index) && UPON.contains(&other.kind.name()))
        .map(|other| other.name.as_str())
        .collect();
    upper.sort_unstable();
    if !upper.is_empty() {
        findings.push(Finding::info(
            INTERFACE,
            format!(
                "beneath {} (VLAN, macvlan and the like): packets for those are counted twice if \
                 both are observed; what macvlan devices send to each other is not seen here",
                upper.join(", ")
            ),
        ));
    }
    findings
}
