//! A screen with made-up flows.

use ebpfix::commands::top::source::Look;
use ebpfix::commands::top::state::App;
use ebpfix::flows::Field;
use ebpfix::flows::rates::Report;
use ebpfix::record::UnixTime;
use serde_json::{Value, json};
use std::time::Duration;

/// `top` after some looks at a router.
pub fn sample() -> App {
    let filter = "not port 22".parse().expect("a filter");
    let mut app = App::new("/run/ebpfix".to_owned(), Duration::from_secs(1), filter);
    for second in 0..90_u32 {
        let app_looks = look(&app, second);
        app.see(Ok(app_looks));
    }
    app.cost.cpu = 0.012;
    app.cost.octets = 1234.0;
    app
}

/// What is seen in this second, in answer to what is wanted.
pub fn look(app: &App, second: u32) -> Look {
    // Some waves, one on the other.
    let wave = f64::from(second);
    let load = 1.2 + (wave / 7.0).sin() * 0.6 + (wave / 3.0).sin() * 0.3;
    let query = app.wish().query;
    let mut rows: Vec<Value> = FLOWS.iter().map(|flow| row(flow, load)).collect();
    if !query.by.is_empty() {
        rows = add_up(&query.by, rows);
    }
    let sum = |field: &str| {
        rows.iter()
            .filter_map(|row| row[field].as_u64())
            .sum::<u64>()
    };
    let total =
        |flows: u64| json!({"flows": flows, "packets": sum("packets"), "bytes": sum("bytes")});
    let report = json!({
        "time": UnixTime::from_millis(1_795_536_420_123 + u64::from(second) * 1000),
        "seconds": 1.0,
        "missed": {"packets": 0, "octets": 0},
        "answer": {
            "seen": total(4217), "matched": total(4203), "duplicates": total(0),
            "rows_in_all": 4203, "truncated": true, "rows": rows,
        },
    });
    let report: Report<Value> = serde_json::from_value(report).expect("a report");
    Look {
        query,
        report,
        status: status(),
        detail: None,
    }
}

/// Flows added up by these fields.
fn add_up(by: &[Field], flows: Vec<Value>) -> Vec<Value> {
    let mut sums: Vec<Value> = Vec::new();
    for mut flow in flows {
        flow["service"] = flow["dport"].as_u64().min(flow["sport"].as_u64()).into();
        flow["flows"] = json!(1);
        let same = |sum: &&mut Value| {
            by.iter()
                .all(|field| sum[field.name()] == flow[field.name()])
        };
        let Some(sum) = sums.iter_mut().find(same) else {
            sums.push(flow);
            continue;
        };
        for field in ["flows", "packets", "bytes"] {
            let both = sum[field].as_u64().zip(flow[field].as_u64());
            sum[field] = both.map(|(a, b)| a + b).into();
        }
    }
    sums.sort_by_key(|sum| std::cmp::Reverse(sum["bytes"].as_u64()));
    sums
}

/// Protocol, source, destination, ports, interface, direction, flags, and its part of the load.
type Flow = (
    u8,
    &'static str,
    &'static str,
    u16,
    u16,
    &'static str,
    u8,
    u16,
    f64,
);

const FLOWS: [Flow; 12] = [
    (
        6,
        "203.0.113.80",
        "10.1.4.23",
        443,
        51_514,
        "wan0",
        0,
        0x18,
        0.31,
    ),
    (
        17,
        "2001:db8:40::53",
        "2001:db8:1:7::c3",
        443,
        40_022,
        "wan0",
        0,
        0,
        0.22,
    ),
    (
        6,
        "10.1.9.4",
        "198.51.100.7",
        39_412,
        873,
        "lan0",
        0,
        0x1a,
        0.14,
    ),
    (
        6,
        "203.0.113.80",
        "10.1.4.77",
        443,
        60_001,
        "wan0",
        0,
        0x1b,
        0.09,
    ),
    (
        17,
        "10.1.2.14",
        "192.0.2.129",
        4500,
        4500,
        "lan0",
        0,
        0,
        0.07,
    ),
    (
        6,
        "198.51.100.7",
        "10.1.9.4",
        873,
        39_412,
        "wan0",
        0,
        0x10,
        0.05,
    ),
    (50, "192.0.2.129", "203.0.113.1", 0, 0, "wan0", 0, 0, 0.04),
    (17, "10.1.3.3", "192.0.2.53", 33_044, 53, "lan0", 0, 0, 0.02),
    (
        6,
        "10.1.4.23",
        "203.0.113.80",
        51_514,
        443,
        "lan0",
        0,
        0x10,
        0.012,
    ),
    (58, "fe80::1", "ff02::1", 0, 134 * 256, "lan0", 1, 0, 0.001),
    (1, "10.1.4.23", "192.0.2.1", 0, 2048, "lan0", 0, 0, 0.0005),
    (
        6,
        "10.1.4.9",
        "198.51.100.200",
        50_111,
        23,
        "lan0",
        0,
        0x02,
        0.0001,
    ),
];

fn row(flow: &Flow, load: f64) -> Value {
    const OCTETS: f64 = 60_000_000.0;
    let (proto, src, dst, sport, dport, interface, direction, flags, part) = *flow;
    let bytes = (OCTETS * load * part).round();
    let packets = (bytes / if flags == 0x10 { 60.0 } else { 1100.0 }).ceil();
    let number = |float: f64| format!("{float:.0}").parse::<u64>().unwrap_or(0);
    json!({
        "src": src, "dst": dst, "proto": proto, "sport": sport, "dport": dport,
        "packets": number(packets), "bytes": number(bytes),
        "start": "2026-11-24T16:07:00.123Z", "end": "2026-11-24T16:07:01.100Z",
        "tcp_flags": flags, "direction": direction, "if_index": 2, "interface": interface,
        "src_mac": "02:00:00:00:00:01", "dst_mac": "02:00:00:00:00:02",
        "vlan": 0, "eth_type": 0x0800, "tos": 0, "min_ttl": 60, "max_ttl": 64, "sampling": 1,
        "duplicate": false,
    })
}

fn status() -> Value {
    let count = |packets: u64| json!({"packets": packets, "octets": packets * 900});
    json!({
        "ledger": {
            "observed": count(812_345_678), "exported": count(811_000_111), "held": count(1_345_455),
            "lost": {"not_ip": count(112), "log_full": count(0)},
        },
        "meter": {"flows": 38_211, "max_flows": 131_072},
        "collectors": [
            {"name": "noc", "records": 2_345_678, "held_records": 0, "lost_records": 0,
             "refused": 0, "last_error": null},
            {"name": "backup", "records": 12_001, "held_records": 4096, "lost_records": 12,
             "refused": 3, "last_error": "Connection refused"},
        ],
    })
}
