//! What a capture holds, by a program that has nothing in common with ebpfix.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::shared;

/// Which program's output is compared with a capture.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// A folder written by nfcapd.
    Nfcapd,
    /// The JSON lines of nfacctd's print plugin.
    Nfacctd,
    /// The JSON of tshark.
    Tshark,
    /// JSON lines with src, dst, proto, sport, dport, packets, bytes.
    Lines,
}

/// A comparison of every 5-tuple's packets and octets.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Whether all agree.
    pub agrees: bool,
    /// The totals: `oracle_packets`, `collector_packets`, `missing`, `extra`, `differ` and others.
    pub totals: Value,
    /// What the oracle said, for messages.
    pub text: String,
}

impl Comparison {
    /// One of the totals.
    pub fn total(&self, name: &str) -> u64 {
        self.totals[name]
            .as_u64()
            .unwrap_or_else(|| panic!("no {name} in {}", self.totals))
    }
}

/// Compares what a collector has with what the capture holds.
pub fn compare(capture: &Path, source: Source, received: &Path, options: &[&str]) -> Comparison {
    let source = match source {
        Source::Nfcapd => "nfdir",
        Source::Nfacctd => "nfacctd",
        Source::Tshark => "tshark",
        Source::Lines => "jsonl",
    };
    let mut arguments: Vec<OsString> = vec![capture.into(), source.into(), received.into()];
    arguments.extend(options.iter().map(OsString::from));
    let output = run("compare", &arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let first = text.lines().next().unwrap_or_default();
    let totals = serde_json::from_str(first).unwrap_or_else(|error| {
        let stderr = String::from_utf8_lossy(&output.stderr);
        panic!("the oracle gave no totals: {error}\n{text}\n{stderr}")
    });
    Comparison {
        agrees: output.status.success(),
        totals,
        text,
    }
}

/// Totals of a capture: `frames`, `ip_frames`, `ip_l3bytes`, `l2bytes`, `nonip_frames` and others.
pub fn sum(capture: &Path) -> Value {
    let output = run("sum", &[capture.into()]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        let stderr = String::from_utf8_lossy(&output.stderr);
        panic!("the oracle gave no sum: {error}\n{stderr}")
    })
}

/// Every flow of a capture.
pub fn flows(capture: &Path) -> Vec<Value> {
    let output = run("flows", &[capture.into()]);
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect()
}

fn run(command: &str, arguments: &[OsString]) -> Output {
    // Debian's Python: it is the one that has python3-dpkt.
    Command::new("/usr/bin/python3")
        .arg(shared("tools/oracle.py"))
        .arg(command)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("python3 does not run ({error}): run `make setup`"))
}
