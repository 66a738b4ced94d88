use std::net::Ipv6Addr;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::filter::Filter;
use ebpfix_probes::abi::{ETH_P_IP, ETH_P_IPV6};
use ebpfix_probes::table::words;

// ---- A machine for the few instructions that there are, written from RFC 9669 --------------------

struct Machine {
    registers: [u64; 11],
    memory: [u8; 64],
    executed: usize,
}

/// The answer of the function for a Flow Key, and how many instructions it took.
///
/// # Panics
/// Where an instruction is none of the compiler's, reads beyond the key or a register that was never
/// set, or jumps back.
fn execute(code: &[u8], id: &FlowId) -> (bool, usize) {
    let mut memory = [0; 64];
    for (octets, word) in memory.chunks_mut(8).zip(words(id)) {
        octets.copy_from_slice(&word.to_ne_bytes());
    }
    let mut machine = Machine {
        registers: [0xdead_beef_dead_beef; 11],
        memory,
        executed: 0,
    };
    let mut set = [false; 11];
    let instructions: Vec<[u8; 8]> = code.chunks(8).map(|i| i.try_into().unwrap()).collect();
    let mut at = 0;
    loop {
        let [opcode, registers, rest @ ..] = instructions[at];
        let (destination, source) = (usize::from(registers & 15), usize::from(registers >> 4));
        let offset = i16::from_ne_bytes([rest[0], rest[1]]);
        let immediate = i32::from_ne_bytes([rest[2], rest[3], rest[4], rest[5]]);
        machine.executed += 1;
        at += 1;
        let Machine {
            registers, memory, ..
        } = &mut machine;
        let extended = i64::from(immediate).cast_unsigned();
        // (class, takes a register as operand)
        match opcode {
            0x61 | 0x69 | 0x71 | 0x79 => {
                assert_eq!(source, 1, "the argument alone is an address");
                let octets = match opcode {
                    0x61 => 4,
                    0x69 => 2,
                    0x71 => 1,
                    _ => 8,
                };
                let offset = usize::try_from(offset).unwrap();
                assert_eq!(offset % octets, 0, "aligned");
                let mut number = [0; 8];
                number[..octets].copy_from_slice(&memory[offset..offset + octets]);
                registers[destination] = u64::from_le_bytes(number);
                set[destination] = true;
            }
            0x18 => {
                let upper = i32::from_ne_bytes(instructions[at][4..].try_into().unwrap());
                at += 1;
                registers[destination] =
                    u64::from(immediate.cast_unsigned()) | u64::from(upper.cast_unsigned()) << 32;
                set[destination] = true;
            }
            0xb7 => {
                registers[destination] = extended;
                set[destination] = true;
            }
            0x4f => {
                assert!(set[source] && set[destination]);
                registers[destination] |= registers[source];
            }
            0x67 => {
                assert!(set[destination]);
                registers[destination] <<= immediate;
            }
            0xdc => {
                assert!(set[destination]);
                let number = registers[destination];
                registers[destination] = match immediate {
                    16 => u64::from(u16::try_from(number & 0xffff).unwrap().swap_bytes()),
                    32 => u64::from(u32::try_from(number & 0xffff_ffff).unwrap().swap_bytes()),
                    64 => number.swap_bytes(),
                    other => panic!("{other} bits"),
                };
            }
            0x95 => {
                assert!(set[0]);
                return (registers[0] != 0, machine.executed);
            }
            0x05 => at += usize::try_from(offset).expect("forward"),
            _ => {
                let operand = if opcode & 0x08 == 0 {
                    extended
                } else {
                    assert!(set[source]);
                    registers[source]
                };
                assert!(set[destination]);
                let (left, right) = match opcode & 0x07 {
                    0x05 => (registers[destination], operand),
                    0x06 => (registers[destination] & 0xffff_ffff, operand & 0xffff_ffff),
                    class => panic!("class {class}"),
                };
                let taken = match opcode & 0xf0 {
                    0x20 => left > right,
                    0x30 => left >= right,
                    0x50 => left != right,
                    0xa0 => left < right,
                    other => panic!("jump {other:02x}"),
                };
                if taken {
                    at += usize::try_from(offset).expect("forward");
                }
            }
        }
    }
}

#[track_caller]
fn filter(text: &str) -> KernelFilter {
    text.parse()
        .unwrap_or_else(|error: FilterError| panic!("{error}\n{}", error.pointer()))
}

fn tcp(source: &str, destination: &str, ports: (u16, u16)) -> FlowId {
    let [src_ip, dst_ip] =
        [source, destination].map(|text| IpAddress::from(text.parse::<IpAddr>().unwrap()));
    FlowId {
        src_ip,
        dst_ip,
        src_port: ports.0,
        dst_port: ports.1,
        eth_protocol: if src_ip.is_ipv4() {
            ETH_P_IP
        } else {
            ETH_P_IPV6
        },
        transport_protocol: 6,
        if_index: 3,
        sampling: 1,
        src_mac: MacAddress([2, 0, 0, 0, 0, 1]),
        dst_mac: MacAddress([2, 0, 0, 0xff, 0xee, 0xdd]),
        ..FlowId::default()
    }
}

#[test]
fn what_is_meant_is_taken_and_nothing_else() {
    let web = tcp("10.1.2.3", "192.0.2.7", (40_000, 443));
    let icmp = FlowId {
        src_port: 0,
        dst_port: 8 << 8,
        transport_protocol: 1,
        ..web
    };
    // A later fragment has no ports.
    let fragment = FlowId {
        src_port: 0,
        dst_port: 0,
        ..web
    };
    let frame = FlowId {
        eth_protocol: 0x88cc,
        src_mac: web.src_mac,
        if_index: 3,
        sampling: 1,
        direction: 1,
        ..FlowId::default()
    };
    let six = tcp("2001:db8::1", "fe80::2", (50, 60));
    let tagged = FlowId {
        vlan_id: 7,
        customer_vlan_id: 9,
        ..six
    };
    for (text, taken) in [
        ("10.0.0.0/8", vec![web, icmp, fragment]),
        ("dst 10.0.0.0/8", vec![]),
        (
            "net 192.0.2.0/24,2001:db8::/32",
            vec![web, icmp, fragment, six, tagged],
        ),
        ("0.0.0.0/0", vec![web, icmp, fragment]),
        ("::/0", vec![six, tagged]),
        ("port 443", vec![web]),
        ("port 0", vec![fragment]),
        ("port 0-65535", vec![web, fragment, six, tagged]),
        ("icmp", vec![icmp]),
        ("proto 0", vec![]),
        ("not tcp", vec![icmp, frame]),
        ("ether 0x88cc or ip", vec![web, icmp, fragment, frame]),
        ("vlan", vec![tagged]),
        ("vlan 9", vec![tagged]),
        ("not vlan 7 and ip6", vec![six]),
        ("vlan 0", vec![web, icmp, fragment, frame, six]),
        ("out", vec![frame]),
        (
            "src mac 02:00:00:00:00:01",
            vec![web, icmp, fragment, frame, six, tagged],
        ),
        (
            "mac 02:00:00:ff:ee:dd",
            vec![web, icmp, fragment, six, tagged],
        ),
        ("dst mac 02:00:00:ff:ee:dc", vec![]),
        ("if_index = 3 and sampling < 2 and ip6", vec![six, tagged]),
        ("if_index > 4294967296", vec![]),
        (
            "if_index <= 4294967296",
            vec![web, icmp, fragment, frame, six, tagged],
        ),
        (
            "not (net 10.0.0.0/8 and port 443)",
            vec![icmp, fragment, frame, six, tagged],
        ),
    ] {
        let filter = filter(text);
        for id in [web, icmp, fragment, frame, six, tagged] {
            let expected = taken.contains(&id);
            assert_eq!(filter.takes(&id), expected, "{text}: {id:?}");
            assert_eq!(execute(filter.code(), &id).0, expected, "{text}: {id:?}");
        }
    }
}

#[test]
fn nothing_to_test_is_every_flow_and_no_code() {
    for texts in [vec![], vec![""], vec!["  "], vec!["tcp", ""]] {
        let filter = KernelFilter::any(&texts).unwrap();
        assert!(filter.is_all() && filter.code().is_empty() && filter.takes(&FlowId::default()));
        assert_eq!(filter, KernelFilter::default());
    }
}

#[test]
fn one_of_several_is_enough() {
    let filter = KernelFilter::any(&["10.0.0.0/8 and tcp", "udp", "10.0.0.0/8"]).unwrap();
    assert_eq!(
        filter.text(),
        "(10.0.0.0/8 and tcp) or (udp) or (10.0.0.0/8)"
    );
    let same = filter.text().parse::<KernelFilter>().unwrap();
    assert_eq!(same.code(), filter.code());
    let error = KernelFilter::any(&["tcp", "udp or", "x"]).unwrap_err();
    assert_eq!((error.0, error.1.column()), (1, 7));
}

#[test]
fn what_no_flow_key_answers_is_refused_with_its_place() {
    for (text, column, said) in [
        (
            "tcp and packets > 10",
            9,
            "a test of what a packet's flow key has: an address",
        ),
        ("bytes > 1", 1, "found \"bytes\""),
        ("tos = 16", 1, "if_index, sampling"),
        ("min_ttl < 5", 1, "found \"min_ttl\""),
        ("not flags S", 5, "found \"flags\""),
        ("udp or duplicate", 8, "found \"duplicate\""),
        ("on eth0", 1, "found \"on\""),
        (
            "tcp and in eth0",
            12,
            "observation.interfaces names those that are observed, found \"eth0\"",
        ),
        ("tcpp", 1, "found \"tcpp\""),
        ("port 80 port 81", 9, "expected \"and\", \"or\" or the end"),
    ] {
        let error = text.parse::<KernelFilter>().unwrap_err();
        assert_eq!(error.column(), column, "{text}: {error}");
        assert!(error.to_string().contains(said), "{text}: {error}");
    }
    assert!("in and tcp or out".parse::<KernelFilter>().is_ok());
}

/// A list of networks takes as many comparisons as its number has digits, in base 2.
#[test]
fn long_lists_are_searched_by_halves() {
    let networks = |count: u32| {
        let list = (0..count).map(|n| format!("10.{}.{}.0/24", n / 64, n % 64 * 4));
        list.collect::<Vec<_>>().join(",")
    };
    for (count, most) in [(1, 12), (10, 16), (100, 19), (1000, 22)] {
        let filter = filter(&format!("src {}", networks(count)));
        let inside = tcp("10.0.4.9", "192.0.2.1", (1, 2));
        let outside = tcp("10.0.5.9", "192.0.2.1", (1, 2));
        assert_eq!(execute(filter.code(), &inside).0, count > 1);
        let (taken, executed) = execute(filter.code(), &outside);
        assert!(!taken && executed <= most, "{count}: {executed}");
        assert!(filter.instructions() < 12 + 3 * usize::try_from(count).unwrap());
    }
    // Not those of the list: a set as well.
    let none = filter(&format!("not {}", networks(300).replace(',', " and not ")));
    assert!(
        none.instructions() < 2 * 3 * 300 + 30,
        "{}",
        none.instructions()
    );
}

#[test]
fn what_is_too_long_is_refused_with_its_number() {
    let texts: Vec<_> = (0..2000).map(|n| format!("2001:db8::{n:x}:0:1")).collect();
    let (place, error) = KernelFilter::any(&texts).unwrap_err();
    assert_eq!(place, 1999);
    let said = error.to_string();
    assert!(
        said.starts_with(
            "filter, column 1: expected a filter of at most 30000 BPF instructions, found one of "
        ),
        "{said}"
    );
    // However long it is.
    let texts: Vec<_> = (0..9000).map(|n| format!("2001:db8::{n:x}:0:1")).collect();
    assert!(KernelFilter::any(&texts).is_err());
}

// ---- Any expression ------------------------------------------------------------------------------

const NETWORKS: [&str; 22] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.3",
    "10.1.2.4",
    "192.0.2.0/25",
    "192.0.2.128/25",
    "0.0.0.0/0",
    "0.0.0.0",
    "255.255.255.255",
    "128.0.0.0/1",
    "::/0",
    "::",
    "::/64",
    "::1",
    "::fffe:0:0/95",
    "8000::/1",
    "2001:db8::/32",
    "2001:db8::1",
    "2001:db8::8000:0:0:0/65",
    "2001:db8:0:0:8000::2",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fe80::/10",
];

fn test() -> impl Strategy<Value = String> {
    let end = select(vec!["", "src ", "dst "]);
    let networks = proptest::collection::vec(select(NETWORKS.to_vec()), 1..8)
        .prop_map(|networks| networks.join(","));
    prop_oneof![
        4 => (end.clone(), networks).prop_map(|(end, networks)| format!("{end}net {networks}")),
        3 => (end.clone(), select(vec!["0", "53", "53,80-90,443", "0-65535", "1024-65535", "90,91,92"]))
            .prop_map(|(end, ports)| format!("{end}port {ports}")),
        2 => select(vec!["tcp", "udp", "icmp", "sctp", "proto 0", "proto 255", "ip", "ip6", "arp"])
            .prop_map(str::to_owned),
        1 => (end, select(vec!["02:00:00:00:00:01", "02:00:00:00:00:02", "ff:ff:ff:ff:ff:ff"]))
            .prop_map(|(end, mac)| format!("{end}mac {mac}")),
        1 => select(vec!["vlan", "vlan 0", "vlan 7", "vlan 8", "in", "out", "ether 0"])
            .prop_map(str::to_owned),
        1 => (
            select(vec!["if_index", "sampling"]),
            select(vec!["<", "<=", "=", "!=", ">=", ">"]),
            select(vec!["0", "1", "3", "4294967295", "4294967296"]),
        )
            .prop_map(|(quantity, comparison, number)| format!("{quantity} {comparison} {number}")),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    test().prop_recursive(6, 48, 8, |inner| {
        let several = proptest::collection::vec(inner.clone(), 1..8);
        prop_oneof![
            (several, select(vec![" and ", " or "]))
                .prop_map(|(several, join)| format!("({})", several.join(join))),
            inner.prop_map(|inner| format!("not {inner}")),
        ]
    })
}

/// An address in or beside one of the networks.
fn address() -> impl Strategy<Value = IpAddress> {
    (select(NETWORKS.to_vec()), 0..5, any::<u128>()).prop_map(|(network, place, random)| {
        let (address, length) = network.split_once('/').unwrap_or((network, "128"));
        let ip: IpAddr = address.parse().unwrap();
        let first = u128::from_be_bytes(IpAddress::from(ip).0);
        let length: u32 = length.parse().unwrap();
        let behind = if ip.is_ipv4() {
            32_u32.saturating_sub(length)
        } else {
            128 - length
        };
        let within = !u128::MAX.checked_shl(behind).unwrap_or(0);
        let address = match place {
            0 => first,
            1 => first | within,
            2 => first.wrapping_sub(1),
            3 => (first | within).wrapping_add(1),
            _ => first | random & within,
        };
        IpAddress::from(IpAddr::V6(Ipv6Addr::from(address)))
    })
}

/// Addresses as they are, of which some say IPv4-mapped.
fn key() -> impl Strategy<Value = FlowId> {
    let port = select(vec![
        0_u16, 52, 53, 54, 80, 90, 91, 92, 93, 443, 1023, 1024, 65_535,
    ]);
    let mac = select(vec![
        [2_u8, 0, 0, 0, 0, 1],
        [2, 0, 0, 0, 0, 2],
        [0xff; 6],
        [0; 6],
    ]);
    let addresses = prop_oneof![
        8 => (address(), address()),
        1 => Just((IpAddress::default(), IpAddress::default())),
    ];
    (
        addresses,
        (port.clone(), port),
        (mac.clone(), mac),
        select(vec![0_u16, 0x0800, 0x86dd, 0x0806]),
        select(vec![0_u8, 1, 6, 17, 33, 58, 132, 136, 255]),
        (select(vec![0_u16, 7, 8]), select(vec![0_u16, 7, 8])),
        0..2_u8,
        (
            select(vec![0_u32, 1, 2, 3, u32::MAX]),
            select(vec![1_u32, 3, u32::MAX]),
        ),
    )
        .prop_map(
            |(addresses, ports, macs, eth_protocol, protocol, vlans, direction, rest)| FlowId {
                src_ip: addresses.0,
                dst_ip: addresses.1,
                src_mac: MacAddress(macs.0),
                dst_mac: MacAddress(macs.1),
                src_port: ports.0,
                dst_port: ports.1,
                if_index: rest.0,
                eth_protocol,
                vlan_id: vlans.0,
                customer_vlan_id: vlans.1,
                transport_protocol: protocol,
                direction,
                sampling: rest.1,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// The instructions say what the expression says, whatever the two are.
    #[test]
    fn the_code_takes_what_the_expression_takes(
        text in expression(),
        keys in proptest::collection::vec(key(), 32),
    ) {
        let filter: KernelFilter = text.parse().unwrap();
        let of_flows: Filter = text.parse().unwrap();
        for id in keys {
            let expected = filter.takes(&id);
            prop_assert_eq!(execute(filter.code(), &id).0, expected, "{}: {:?}", text, id);
            prop_assert_eq!(of_flows.takes(&FlowJson::from(&id)), expected);
        }
    }
}
