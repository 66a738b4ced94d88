//! What sort of device an interface is: hardware, VLAN, bridge, tunnel.
#![forbid(unsafe_code)]

use super::bpf;
use std::fmt;
use std::sync::OnceLock;

/// The sort of a network device.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeviceKind {
    /// `IFLA_INFO_KIND`: the kernel's word for devices that software makes, as `ip -d link` has it.
    word: Option<String>,
    physical: bool,
    loopback: bool,
}

/// A kind that can be asked for: one of the kernel's words, or one of ours for many of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KindName(&'static str);

const PHYSICAL: &str = "physical";
const LOOPBACK: &str = "loopback";
const OTHER: &str = "other";
const TUNNEL: &str = "tunnel";

/// What encapsulates packets in packets.
const TUNNELS: [&str; 20] = [
    "amt",
    "bareudp",
    "erspan",
    "geneve",
    "gre",
    "gretap",
    "gtp",
    "ip6erspan",
    "ip6gre",
    "ip6gretap",
    "ip6tnl",
    "ipip",
    "ovpn",
    "pfcp",
    "sit",
    "vti",
    "vti6",
    "vxlan",
    "wireguard",
    "xfrm",
];

/// The kernel's other words, and ours.
const OTHERS: [&str; 35] = [
    PHYSICAL,
    LOOPBACK,
    TUNNEL,
    "bond",
    "bridge",
    "vlan",
    "veth",
    "vrf",
    "dummy",
    "tun",
    "ppp",
    "macvlan",
    "macvtap",
    "ipvlan",
    "ipvtap",
    "macsec",
    "team",
    "ifb",
    "netkit",
    "batadv",
    "can",
    "dsa",
    "hsr",
    "ipoib",
    "lowpan",
    "netdevsim",
    "nlmon",
    "openvswitch",
    "rmnet",
    "vcan",
    "virt_wifi",
    "vsockmon",
    "vxcan",
    "wwan",
    OTHER,
];

impl DeviceKind {
    /// From what the kernel tells: the word of `IFLA_INFO_KIND`, whether it names a parent (the
    /// device on a bus that the interface belongs to), whether it is the loopback.
    pub(super) fn new(word: Option<String>, has_parent: bool, loopback: bool) -> Self {
        Self::told(word, has_parent, loopback, kernel_tells_parents())
    }

    fn told(word: Option<String>, has_parent: bool, loopback: bool, parents_told: bool) -> Self {
        // This one is made upon another network device, and names that.
        let of_software = word.as_deref() == Some("virt_wifi");
        let physical = if has_parent {
            !of_software
        } else {
            !parents_told && word.is_none() && !loopback
        };
        Self {
            word,
            physical,
            loopback,
        }
    }

    /// What software has made, by the kernel's word for it.
    pub fn of_word(word: &str) -> Self {
        Self::told(Some(word.to_owned()), false, false, true)
    }

    /// The kernel's word where there is one (`veth`), else `physical`, `loopback` or `other`.
    pub fn name(&self) -> &str {
        match &self.word {
            Some(word) => word,
            None if self.physical => PHYSICAL,
            None if self.loopback => LOOPBACK,
            None => OTHER,
        }
    }

    /// Whether it is hardware, or what looks so to a virtual machine. The ports of a switch and
    /// modems are, also where the kernel has a word for them.
    pub fn is_physical(&self) -> bool {
        self.physical
    }

    /// Whether it is of this kind.
    pub fn is(&self, kind: KindName) -> bool {
        match kind.0 {
            PHYSICAL => self.physical,
            TUNNEL => self
                .word
                .as_deref()
                .is_some_and(|word| TUNNELS.contains(&word)),
            name => self.name() == name,
        }
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl KindName {
    /// The kind of this name, if one is known.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|known| known.0 == name)
    }

    /// Every kind that is known, in the order of the alphabet.
    pub fn all() -> impl Iterator<Item = Self> {
        let mut all: Vec<_> = OTHERS.into_iter().chain(TUNNELS).collect();
        all.sort_unstable();
        all.into_iter().map(Self)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.0
    }
}

/// `IFLA_PARENT_DEV_NAME` came with Linux 5.14. Before, everything that no software has made counts
/// as hardware.
fn kernel_tells_parents() -> bool {
    static TELLS: OnceLock<bool> = OnceLock::new();
    *TELLS.get_or_init(|| {
        bpf::version_of(&bpf::kernel_release()).is_none_or(|version| version >= (5, 14))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(kind: &DeviceKind, name: &str) -> bool {
        kind.is(KindName::named(name).unwrap())
    }

    #[test]
    fn hardware_is_what_has_a_parent_and_software_is_what_its_word_says() {
        let word = |word: &str| Some(word.to_owned());
        for (kind, name, physical) in [
            (DeviceKind::told(None, true, false, true), "physical", true),
            (DeviceKind::told(None, false, true, true), "loopback", false),
            (DeviceKind::told(None, false, false, true), "other", false),
            (
                DeviceKind::told(word("dsa"), true, false, true),
                "dsa",
                true,
            ),
            (
                DeviceKind::told(word("veth"), false, false, true),
                "veth",
                false,
            ),
            (
                DeviceKind::told(word("virt_wifi"), true, false, true),
                "virt_wifi",
                false,
            ),
            // A kernel that tells of no parents.
            (
                DeviceKind::told(None, false, false, false),
                "physical",
                true,
            ),
            (
                DeviceKind::told(None, false, true, false),
                "loopback",
                false,
            ),
            (
                DeviceKind::told(word("vlan"), false, false, false),
                "vlan",
                false,
            ),
        ] {
            assert_eq!(kind.name(), name, "{kind:?}");
            assert_eq!(kind.is_physical(), physical, "{kind:?}");
            assert_eq!(is(&kind, "physical"), physical, "{kind:?}");
            assert!(is(&kind, name), "{kind:?}");
        }
    }

    #[test]
    fn a_group_has_all_of_its_kinds_and_no_other() {
        for (word, tunnel) in [
            ("gre", true),
            ("vxlan", true),
            ("wireguard", true),
            ("tun", false),
            ("vlan", false),
        ] {
            let kind = DeviceKind::told(Some(word.to_owned()), false, false, true);
            assert_eq!(is(&kind, "tunnel"), tunnel, "{word}");
            assert!(is(&kind, word));
        }
        let unheard_of = DeviceKind::told(Some("tunnel".to_owned()), false, false, true);
        assert!(!is(&unheard_of, "tunnel"));
    }

    #[test]
    fn each_kind_has_one_name() {
        let names: Vec<_> = KindName::all().map(KindName::name).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
        assert_eq!(KindName::named("nonsense"), None);
    }
}
