//! Independent judges of what is exported: Wireshark's dissector and nfdump read records of every
//! kind.

mod export_common;

use std::time::Duration;

use export_common::judges::{Scratch, nfcapd, nfdump, tshark, write_capture};
use export_common::{Exporter, PROTOCOLS, Sink, collector_at, records, unused_port};
use ipfix::Protocol;

/// Records 1 to 10 are one of each kind; in the order of their templates these are their numbers.
const NUMBERS: [u64; 10] = [10, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/// What `of` says of these records, in the order in which they are exported.
fn expected(numbers: &[u64], of: impl Fn(u64) -> String) -> Vec<String> {
    numbers.iter().map(|&n| of(n)).collect()
}

#[test]
fn tshark_reads_every_kind_of_record() {
    for protocol in PROTOCOLS {
        let mut sink = Sink::new("127.0.0.1:0".parse().unwrap());
        let exporter = Exporter::start(&[collector_at(sink.address(), protocol)]);
        exporter.send(records(10));
        sink.receive_until(|sink| sink.records.len() == 10);
        drop(exporter.finish());
        sink.receive_rest();
        let scratch = Scratch::new(&format!("tshark-{}", protocol.version()));
        let capture = scratch.0.join("messages.pcap");
        write_capture(&capture, &sink.datagrams);
        let got = |field: &str| tshark(&capture, field);
        let is = |field: &str, numbers: &[u64], of: &dyn Fn(u64) -> String| {
            assert_eq!(got(field), expected(numbers, of), "{protocol:?} {field}");
        };
        let always = |text: &'static str| move |_| text.to_owned();
        let [v4, v6] = [[10, 1, 4, 5], [2, 3, 6, 7]];
        let ip = &NUMBERS[..8];
        let ingress = [10, 2, 4, 6, 8];
        let egress = [1, 3, 5, 7, 9];

        is("cflow.packets", &NUMBERS, &|n| n.to_string());
        is("cflow.octets", &NUMBERS, &|n| (n * 100).to_string());
        is("cflow.srcaddr", &v4, &|n| format!("10.0.0.{n}"));
        is("cflow.dstaddr", &v4, &always("192.0.2.7"));
        is("cflow.srcaddrv6", &v6, &|n| format!("2001:db8::{n}"));
        is("cflow.dstaddrv6", &v6, &always("2001:db8::7"));
        let tcp = |n: u64| n == 10 || n < 4;
        is("cflow.srcport", ip, &|n| {
            if tcp(n) { n } else { 0 }.to_string()
        });
        is("cflow.dstport", ip, &|n| {
            match n {
                4 | 5 => 0x0800,
                6 | 7 => 0x8000,
                _ => 443,
            }
            .to_string()
        });
        is("cflow.protocol", ip, &|n| {
            match n {
                4 | 5 => 1,
                6 | 7 => 58,
                _ => 6,
            }
            .to_string()
        });
        is("cflow.tcpflags", ip, &|n| {
            if tcp(n) { "0x1b" } else { "0x00" }.to_owned()
        });
        is("cflow.tos", ip, &always("0x10"));
        is("cflow.ttl_min", ip, &always("63"));
        is("cflow.ttl_max", ip, &always("64"));
        let icmp = |n: u64| if n < 6 { "0x0800" } else { "0x8000" }.to_owned();
        match protocol {
            Protocol::Ipfix => is("cflow.icmp_type_code_ipv4", &[4, 5], &icmp),
            Protocol::NetflowV9 | Protocol::NetflowV5 => {
                is("cflow.icmp_type_code_ipv4", &[4, 5, 6, 7], &icmp);
            }
        }
        is("cflow.ip_version", ip, &|n| {
            if v4.contains(&n) { "4" } else { "6" }.to_owned()
        });
        is("cflow.ethernet_type", &NUMBERS, &|n| {
            match n {
                8 | 9 => 0x88cc,
                n if v4.contains(&n) => 0x0800,
                _ => 0x86dd,
            }
            .to_string()
        });
        is("cflow.direction", &NUMBERS, &|n| {
            if egress.contains(&n) { "1" } else { "0" }.to_owned()
        });
        is("cflow.flow_end_reason", &NUMBERS, &always("3"));
        is("cflow.outputint", &NUMBERS, &|n| {
            if egress.contains(&n) { "3" } else { "0" }.to_owned()
        });
        let source = "02:00:00:00:00:01";
        let destination = "02:00:00:00:00:02";
        is("cflow.srcmac", &ingress, &always(source));
        is("cflow.post_srcmac", &egress, &always(source));
        is("cflow.dstmac", &ingress, &always(destination));
        is("cflow.post_dstmac", &egress, &always(destination));
        is("cflow.vlanid", &NUMBERS, &always("7"));
        is("cflow.dot1q_vlan_id", &NUMBERS, &always("7"));
        is("cflow.dot1q_customer_vlan_id", &NUMBERS, &always("9"));
        match protocol {
            Protocol::Ipfix => {
                let start = "Nov 24, 2026 16:06:57.623000000 UTC";
                let end = "Nov 24, 2026 16:07:00.123000000 UTC";
                is("cflow.abstimestart", &NUMBERS, &always(start));
                is("cflow.abstimeend", &NUMBERS, &always(end));
            }
            Protocol::NetflowV9 | Protocol::NetflowV5 => {
                // An hour after sysUptime began, which is rounded down to the second.
                is("cflow.timestart", &NUMBERS, &always("3597.623000000"));
                is("cflow.timeend", &NUMBERS, &always("3600.123000000"));
            }
        }
        assert_eq!(got("_ws.malformed"), [""; 0], "{protocol:?}");
    }
}

#[test]
fn nfdump_reads_macs_vlans_interfaces_directions_flags_and_times() {
    for protocol in PROTOCOLS {
        let scratch = Scratch::new(&format!("nfcapd-{}", protocol.version()));
        let address = unused_port("127.0.0.1".parse().unwrap());
        let mut nfcapd = nfcapd(&scratch, address);
        let exporter = Exporter::start(&[collector_at(address, protocol)]);
        exporter.send(records(10));
        let (status, _) = exporter.finish();
        assert_eq!((status[0].records, status[0].refused), (10, 0));
        // Its own reading of the socket is not to be seen from outside.
        std::thread::sleep(Duration::from_millis(1500));
        nfcapd.terminate();

        let rows = nfdump(
            &scratch,
            "fmt:%pkt|%byt|%sa|%da|%sp|%dp|%pr|%flg|%tos|%in|%out|%dir|%ismc|%idmc|%osmc|%odmc|%svln|%ts|%te",
        );
        let text = format!("{protocol:?} {rows:#?}");
        assert_eq!(rows.len(), 10, "{text}");
        for (row, n) in rows.iter().zip(1_u64..) {
            let (none, source, destination) = (
                "00:00:00:00:00:00",
                "02:00:00:00:00:01",
                "02:00:00:00:00:02",
            );
            let (v4, v6) = (format!("10.0.0.{n}"), format!("2001:db8::{n}"));
            let ipv4 = [v4.as_str(), "192.0.2.7"];
            let ipv6 = [v6.as_str(), "2001:db8::7"];
            let port = n.to_string();
            let tcp = [port.as_str(), "443", "6", "...AP.SF", "16"];
            let (addresses, rest) = match n {
                1 | 10 => (ipv4, tcp),
                2 | 3 => (ipv6, tcp),
                4 | 5 => (ipv4, ["0", "8.0", "1", "........", "16"]),
                6 | 7 => (ipv6, ["0", "128.0", "58", "........", "16"]),
                _ => (["0.0.0.0"; 2], ["0", "0", "0", "........", "0"]),
            };
            let place = if n % 2 == 0 {
                ["3", "0", "I", source, destination, none, none]
            } else {
                ["0", "3", "E", none, none, source, destination]
            };
            let last = ["7", "2026-11-24 16:06:57.623", "2026-11-24 16:07:00.123"];
            let counts = [n.to_string(), (n * 100).to_string()];
            let mut wanted: Vec<_> = counts.iter().map(String::as_str).collect();
            wanted.extend(addresses);
            wanted.extend(rest);
            wanted.extend(place);
            wanted.extend(last);
            assert_eq!(*row, wanted, "{text}");
        }
        let words = scratch.words();
        assert!(words.contains("Sequence Errors: 0"), "{words}");
    }
}
