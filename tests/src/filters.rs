//! Filters by chance, and long ones of every kind of test: what is hardest for a kernel's verifier.

use std::fmt::Write as _;
use std::net::IpAddr;

use ebpfix::filter::KernelFilter;
use ebpfix_probes::abi::{FlowId, IpAddress, MacAddress};

use crate::chance::Random;

/// One of many that are much alike.
type Part = fn(usize) -> String;

/// Each with what it is made of; of about as many BPF instructions as `most`, and no more. The first is
/// the hardest.
///
/// # Panics
/// Where one is no filter.
pub fn long(most: usize) -> impl Iterator<Item = (&'static str, KernelFilter)> {
    let kinds: [(&str, Part, &str); 6] = [
        (
            "pairs",
            |n| format!("src port {n} and dst {}.0.0.0/8 and udp", 1 + n % 200),
            " or ",
        ),
        (
            "networks of IPv4",
            |n| format!("{}.{}.{}.0/24", 1 + n / 8192, n / 32 % 256, n % 32 * 8),
            ",",
        ),
        ("addresses of IPv6", |n| format!("2001:db8::{n:x}:0:1"), ","),
        (
            "denials",
            |n| {
                let (upper, lower) = (n / 256, n % 256);
                format!("not (src 10.{upper}.{lower}.0/24 and (tcp or port {n}))")
            },
            " and ",
        ),
        (
            "ports",
            |n| format!("(src port {} or vlan {})", 2 * n, n % 4096),
            " and ",
        ),
        (
            "MAC addresses",
            |n| {
                let (upper, lower) = (n / 256, n % 256);
                format!("(mac 02:00:00:00:{upper:02x}:{lower:02x} and (tcp or in))")
            },
            " or ",
        ),
    ];
    kinds
        .into_iter()
        .map(move |(what, part, join)| (what, as_long_as(most, part, join)))
}

fn as_long_as(most: usize, part: Part, join: &str) -> KernelFilter {
    let of = |parts: usize| {
        let mut text = part(0);
        for n in 1..parts {
            let _ = write!(text, "{join}{}", part(n));
        }
        text.parse::<KernelFilter>().ok()
    };
    let mut parts = 16;
    let mut best = of(parts).expect("a filter");
    // It gets longer with every part, but not by the same always; and the text may get too long.
    let mut aim = most;
    for _ in 0..8 {
        if best.instructions() > most / 10 * 9 {
            break;
        }
        let more = parts * aim / best.instructions();
        match of(more) {
            Some(filter) if filter.instructions() <= most => {
                (parts, best) = (more, filter);
            }
            _ => aim -= aim / 8,
        }
    }
    assert!(
        best.instructions() > most / 2 || best.text().len() > 40_000,
        "{} of {most} instructions",
        best.instructions()
    );
    best
}

const NETWORKS: [&str; 14] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.3",
    "192.0.2.0/25",
    "192.0.2.128/25",
    "0.0.0.0/0",
    "255.255.255.255",
    "::/0",
    "::",
    "2001:db8::/32",
    "2001:db8::1",
    "2001:db8::8000:0:0:0/65",
    "fe80::/10",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
];
/// A Flow Key by chance, of numbers that [`expression`]s name, or that are next to them.
///
/// # Panics
/// Never: what it reads is right.
pub fn key(random: &mut Random) -> FlowId {
    let port = |random: &mut Random| {
        random
            .one_of(&PORTS)
            .wrapping_add(random.one_of(&[0, 0, 1]))
    };
    let mac = |random: &mut Random| {
        let last = u8::try_from(random.below(3)).expect("a small number");
        MacAddress(random.one_of(&[[2, 0, 0, 0, 0, last], [0; 6]]))
    };
    let (source, destination) = match random.below(8) {
        0 => (IpAddress::default(), IpAddress::default()),
        _ => (address(random), address(random)),
    };
    FlowId {
        src_ip: source,
        dst_ip: destination,
        src_mac: mac(random),
        dst_mac: mac(random),
        src_port: port(random),
        dst_port: port(random),
        if_index: random.one_of(&[1, 2, u32::MAX]),
        eth_protocol: random.one_of(&[0, 0x0800, 0x86dd, 0x0806]),
        vlan_id: random.one_of(&[0, 7, 8, 9]),
        customer_vlan_id: random.one_of(&[0, 7, 8]),
        transport_protocol: random.one_of(&[0, 1, 6, 17, 33, 58, 132, 136, 255]),
        direction: random.one_of(&[0, 1]),
        sampling: random.one_of(&[1, 2, u32::MAX]),
    }
}

/// One in a network of the tests, or next to it.
fn address(random: &mut Random) -> IpAddress {
    let network = random.one_of(&NETWORKS);
    let (address, length) = network.split_once('/').unwrap_or((network, "128"));
    let ip: IpAddr = address.parse().expect("an address");
    let whole: u32 = if ip.is_ipv4() { 32 } else { 128 };
    let behind = whole.saturating_sub(length.parse().expect("a length"));
    let within = !u128::MAX.checked_shl(behind).unwrap_or(0);
    let first = u128::from_be_bytes(IpAddress::from(ip).0);
    let chance = u128::from(random.below(u64::MAX)) << 64 | u128::from(random.below(u64::MAX));
    let places = [
        first,
        first | within,
        first.wrapping_sub(1),
        (first | within).wrapping_add(1),
        first | chance & within,
    ];
    IpAddress(random.one_of(&places).to_be_bytes())
}

const PORTS: [u16; 6] = [0, 53, 80, 443, 40_000, 65_535];

/// An expression by chance, which is no deeper than `depth`, as a filter over Flow Keys has it.
pub fn expression(random: &mut Random, depth: u32) -> String {
    match random.below(if depth == 0 { 1 } else { 3 }) {
        0 => test(random),
        1 => format!("not {}", expression(random, depth - 1)),
        _ => {
            let join = random.one_of(&[" and ", " or "]);
            let count = 1 + random.below(6);
            let several: Vec<_> = (0..count).map(|_| expression(random, depth - 1)).collect();
            format!("({})", several.join(join))
        }
    }
}

fn test(random: &mut Random) -> String {
    let end = random.one_of(&["", "src ", "dst "]);
    let count = 1 + random.below(5);
    match random.below(8) {
        0..3 => {
            let networks: Vec<_> = (0..count).map(|_| random.one_of(&NETWORKS)).collect();
            format!("{end}net {}", networks.join(","))
        }
        3 | 4 => {
            let ports: Vec<_> = (0..count)
                .map(|_| random.one_of(&PORTS).to_string())
                .collect();
            format!("{end}port {}", ports.join(","))
        }
        5 => format!(
            "{end}mac {}",
            random.one_of(&[
                "02:00:00:00:00:01",
                "02:00:00:00:00:02",
                "00:00:00:00:00:00"
            ])
        ),
        6 => random
            .one_of(&[
                "tcp", "udp", "icmp", "icmp6", "sctp", "proto 0", "ip", "ip6", "arp", "ether 0",
            ])
            .to_owned(),
        _ => random
            .one_of(&[
                "in",
                "out",
                "vlan",
                "vlan 0",
                "vlan 7",
                "vlan 8",
                "if_index = 1",
                "if_index > 1",
                "sampling < 2",
            ])
            .to_owned(),
    }
}
