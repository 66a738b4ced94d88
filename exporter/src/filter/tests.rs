use std::borrow::Cow;

use ebpfix_probes::abi::MacAddress;
use proptest::prelude::*;

use super::*;

fn flow() -> FlowJson<'static> {
    FlowJson {
        src: Some(IpAddr::from([10, 1, 2, 3])),
        dst: "192.0.2.7".parse().ok(),
        proto: Some(6),
        sport: Some(40_000),
        dport: Some(443),
        packets: Some(10),
        bytes: Some(5_000),
        tcp_flags: Some(0x1b),
        direction: Some(0),
        if_index: Some(3),
        interface: Some(Cow::Borrowed("eth0")),
        src_mac: Some(MacAddress([2, 0, 0, 0, 0, 1])),
        dst_mac: Some(MacAddress([2, 0, 0, 0, 0, 0xab])),
        vlan: Some(7),
        customer_vlan: Some(0),
        eth_type: Some(0x0800),
        tos: Some(16),
        min_ttl: Some(60),
        max_ttl: Some(64),
        sampling: Some(1),
        duplicate: Some(false),
        ..FlowJson::default()
    }
}

#[track_caller]
fn takes(text: &str, flow: &FlowJson<'_>) -> bool {
    match text.parse::<Filter>() {
        Ok(filter) => filter.takes(flow),
        Err(error) => panic!("{error}\n{}", error.pointer()),
    }
}

#[test]
fn a_flow_is_taken_or_left() {
    for text in [
        "",
        "  ",
        "10.1.2.3",
        "10.0.0.0/8",
        "src 10.0.0.0/8",
        "src net 10.0.0.0/8",
        "dst host 192.0.2.7",
        "0.0.0.0/0",
        "port 443",
        "port 80,443",
        "dst port 400-500",
        "src port 40000",
        "tcp",
        "proto tcp",
        "proto 6",
        "ip",
        "ether 0x800",
        "ether 2048",
        "in",
        "in eth0",
        "in eth*",
        "on eth[0-3]",
        "mac 02:00:00:00:00:AB",
        "src mac 02:00:00:00:00:01",
        "vlan",
        "vlan 7",
        "flags S",
        "flags SFPA",
        "not duplicate",
        "packets = 10",
        "packets == 10",
        "packets >= 10",
        "bytes<10k",
        "bytes > 4k and bytes <= 5k",
        "tos != 0",
        "min_ttl < 64",
        "max_ttl = 64",
        "if_index = 3",
        "sampling = 1",
        "udp or tcp",
        "udp and port 53 or tcp",
        "udp and (port 53 or tcp) or port 443",
        "not udp and not icmp",
        "!udp && !(out || port 53)",
        "src 10.0.0.0/8 and (port 443 or proto icmp) and not in eth1",
        "vlan and tcp",
    ] {
        assert!(takes(text, &flow()), "{text}");
    }
    for text in [
        "10.1.2.4",
        "dst 10.0.0.0/8",
        "11.0.0.0/8",
        "::/0",
        "src port 443",
        "port 442",
        "udp",
        "ip6",
        "arp",
        "out",
        "out eth0",
        "in eth",
        "on wg0",
        "dst mac 02:00:00:00:00:01",
        "vlan 8",
        "flags R",
        "flags SR",
        "duplicate",
        "packets > 10",
        "packets != 10",
        "bytes >= 5001",
        "udp and tcp",
        "udp or not tcp",
        "not (tcp)",
    ] {
        assert!(!takes(text, &flow()), "{text}");
    }
}

#[test]
fn what_a_flow_does_not_tell_is_not_so() {
    let nothing = FlowJson::default();
    for text in [
        "0.0.0.0/0",
        "port 0-65535",
        "proto 0",
        "on *",
        "vlan 0",
        "flags S",
        "bytes >= 0",
        "duplicate",
        "in",
    ] {
        assert!(!takes(text, &nothing), "{text}");
        assert!(takes(&format!("not {text}"), &nothing), "{text}");
    }
    // The type of ICMP, which stands where ports do, is none.
    let icmp = FlowJson {
        proto: Some(1),
        sport: Some(0),
        dport: Some(2048),
        ..flow()
    };
    assert!(!takes("port 2048", &icmp) && takes("icmp", &icmp));
}

#[test]
fn ipv6_networks_hold_their_own() {
    let flow = FlowJson {
        src: "2001:db8::1".parse().ok(),
        dst: "fe80::2".parse().ok(),
        eth_type: Some(0x86dd),
        ..flow()
    };
    for text in [
        "2001:db8::/32",
        "src 2001:db8::1",
        "dst fe80::/10",
        "::/0",
        "ip6",
    ] {
        assert!(takes(text, &flow), "{text}");
    }
    for text in ["2001:db9::/32", "dst 2001:db8::/32", "0.0.0.0/0"] {
        assert!(!takes(text, &flow), "{text}");
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (text, column, said) in [
        (
            "port https",
            6,
            "expected ports from 0 to 65535, such as 53, 80,443 or 8000-8100, found \"https\"",
        ),
        ("port", 5, "found the end"),
        ("port 65536", 6, "found \"65536\""),
        ("port 20-10", 6, "found \"20-10\""),
        ("port +5", 6, "found \"+5\""),
        (
            "src 10.0.0.1/8",
            5,
            "without bits behind its prefix, found \"10.0.0.1/8\"",
        ),
        ("10.0.0.0/33", 1, "expected a test"),
        ("src 10.0.0", 5, "expected an IP address, or a network"),
        (
            "tcp port 80",
            5,
            "expected \"and\", \"or\" or the end, found \"port\"",
        ),
        (
            "tcp and",
            8,
            "expected a test, such as \"port 53\" or \"src 10.0.0.0/8\", found the end",
        ),
        (
            "(tcp or udp",
            12,
            "expected \"and\", \"or\" or \")\", found the end",
        ),
        ("tcp)", 4, "found \")\""),
        ("tcp & udp", 5, "found \"&\""),
        ("bytes", 6, "expected one of = != < <= > >=, found the end"),
        (
            "bytes > many",
            9,
            "expected a number, such as 1500, 10k, 5M or 2G, found \"many\"",
        ),
        ("bytes > 99999999999999999999G", 9, "expected a number"),
        ("proto 256", 7, "expected a protocol"),
        ("flags X", 7, "of the letters CEUAPRSF, found \"X\""),
        ("mac 02:00", 5, "expected a MAC address"),
        ("vlan 4096", 6, "expected a VLAN from 0 to 4095"),
        ("on", 3, "expected the name of an interface"),
        ("on e[th", 4, "expected the name of an interface"),
        ("Ä or ether 0xzz", 1, "expected a test"),
        ("tcp or Ä", 8, "found \"Ä\""),
        ("ether 0x+1", 7, "expected an ethertype"),
    ] {
        let error = text.parse::<Filter>().unwrap_err();
        assert_eq!(error.column(), column, "{text}: {error}");
        assert!(error.to_string().contains(said), "{text}: {error}");
    }
    let error = "tcp and porto 80".parse::<Filter>().unwrap_err();
    assert_eq!(error.pointer(), "tcp and porto 80\n        ^^^^^");
}

#[test]
fn depth_and_length_are_bounded() {
    let nested = |depth: usize| format!("{}tcp{}", "(".repeat(depth), ")".repeat(depth));
    assert!(nested(MAX_DEPTH - 1).parse::<Filter>().is_ok());
    assert!(nested(MAX_DEPTH).parse::<Filter>().is_err());
    assert!(
        format!("{}tcp", "not ".repeat(400))
            .parse::<Filter>()
            .is_err()
    );
    let long = format!("tcp{}", " ".repeat(MAX_OCTETS));
    let error = long.parse::<Filter>().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("at most 2048 octets, found 2051"),
        "{error}"
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in "[ a-z0-9().:/<>=!&|,*-]{0,60}|.{0,40}") {
        match text.parse::<Filter>() {
            Ok(filter) => drop(filter.takes(&flow())),
            Err(error) => prop_assert!(error.pointer().lines().count() == 2, "{error}"),
        }
    }

    #[test]
    fn any_words_of_the_language_are_read_or_refused(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "(", ")", "not", "and", "or", "src", "dst", "port", "80,443", "10.0.0.0/8", "tcp",
                "in", "eth0", "vlan", "7", "bytes", ">", "10k", "flags", "S",
            ]),
            0..24,
        )
    ) {
        let text = words.join(" ");
        if let Ok(filter) = text.parse::<Filter>() {
            let same: Filter = filter.text().parse().unwrap();
            prop_assert_eq!(same.takes(&flow()), filter.takes(&flow()));
            if !text.is_empty() {
                let not: Filter = format!("not ({text})").parse().unwrap();
                prop_assert_eq!(not.takes(&flow()), !filter.takes(&flow()));
            }
        }
    }

    #[test]
    fn a_network_holds_its_prefix(address: u32, other: u32, length in 0_u8..=32) {
        let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
        let network = Network::new(IpAddr::from((address & mask).to_be_bytes()), length).unwrap();
        prop_assert_eq!(
            network.contains(IpAddr::from(other.to_be_bytes())),
            address & mask == other & mask
        );
        prop_assert_eq!(
            Network::new(IpAddr::from(address.to_be_bytes()), length).is_some(),
            address & !mask == 0
        );
    }
}
