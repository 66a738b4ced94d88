//! What ebpfix has in the kernel: programs, maps, links.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::process::Process;
use crate::wait_for;

/// What a process holds of BPF: `prog`, `map` or `link`, and its number in the kernel.
pub fn held_by(process: &Process) -> Vec<(&'static str, String)> {
    held_by_id(process.id())
}

/// The same of the process of this number.
pub fn held_by_id(process: u32) -> Vec<(&'static str, String)> {
    let folder = format!("/proc/{process}/fdinfo");
    let files = fs::read_dir(folder).expect("the descriptors of ebpfix");
    let texts = files.filter_map(|file| fs::read_to_string(file.ok()?.path()).ok());
    let mut held = Vec::new();
    for text in texts {
        for line in text.lines() {
            for (label, kind) in [
                ("prog_id:", "prog"),
                ("map_id:", "map"),
                ("link_id:", "link"),
            ] {
                if let Some(number) = line.strip_prefix(label) {
                    held.push((kind, number.trim().to_owned()));
                }
            }
        }
    }
    held
}

/// Waits until the kernel has freed all of them, which it does a moment after the last use.
pub fn assert_freed(held: &[(&'static str, String)], attach: &str) {
    let exists = |(kind, number): &(&'static str, String)| {
        let arguments = [kind, "show", "id", number];
        let output = Command::new("bpftool").args(arguments).output();
        let output = output
            .unwrap_or_else(|error| panic!("bpftool does not run ({error}): run `make setup`"));
        output.status.success()
    };
    assert!(!held.is_empty());
    wait_for(
        &format!("{attach}: {held:?} are gone"),
        Duration::from_secs(10),
        || (!held.iter().any(exists)).then_some(()),
    );
}

/// Runs bpftool and gives its output.
#[track_caller]
pub fn bpftool(arguments: &[&str]) -> String {
    let output = Command::new("bpftool").args(arguments).output();
    let output =
        output.unwrap_or_else(|error| panic!("bpftool does not run ({error}): run `make setup`"));
    assert!(output.status.success(), "bpftool {arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Writes octets into the only element of a pinned map.
#[track_caller]
pub fn patch(map: &Path, offset: usize, octets: &[u8]) {
    let path = map.to_string_lossy();
    let dump = bpftool(&["-j", "map", "dump", "pinned", &path]);
    let dump: Value = serde_json::from_str(&dump).expect("JSON of bpftool");
    let value = dump[0]["value"].as_array().expect("octets");
    let mut value: Vec<String> = value
        .iter()
        .map(|octet| octet.as_str().expect("an octet").to_owned())
        .collect();
    for (octet, place) in octets.iter().zip(&mut value[offset..]) {
        *place = format!("{octet:#04x}");
    }
    let mut arguments = vec!["map", "update", "pinned", &path, "key", "0", "0", "0", "0"];
    arguments.push("value");
    arguments.extend(value.iter().map(String::as_str));
    let _ = bpftool(&arguments);
}
