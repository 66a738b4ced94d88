//! `ebpfix doctor` beside an exporter that runs, one that was killed, and without privileges.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ebpfix_tests::ebpfix::binary;
use ebpfix_tests::process::Program;
use ebpfix_tests::{Ebpfix, Finished, Lab, Namespace, Nfcapd, Settings};
use serde_json::Value;

fn doctor(lab: &Lab, namespace: &Namespace, config: &Path, user: Option<u32>) -> (Finished, Value) {
    let mut program = Program::new(binary())
        .args(["doctor", "--json", "--config"])
        .arg(config);
    if let Some(user) = user {
        program = program.user(user);
    }
    let done = lab.run(namespace, &program, Duration::from_secs(30));
    let report = serde_json::from_str(&done.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", done.stdout, done.stderr));
    (done, report)
}

/// Texts of the findings of this severity.
fn texts(report: &Value, severity: &str) -> Vec<String> {
    let findings = report["findings"].as_array().expect("findings");
    let same = findings
        .iter()
        .filter(|finding| finding["severity"] == severity);
    same.map(|finding| finding["text"].as_str().expect("a text").to_owned())
        .collect()
}

#[track_caller]
fn assert_says(report: &Value, severity: &str, part: &str) {
    let texts = texts(report, severity);
    assert!(
        texts.iter().any(|text| text.contains(part)),
        "no {part:?} among {texts:#?}"
    );
}

/// All that tc and ip tell of the device, but for its counters.
fn state(namespace: &Namespace) -> [String; 3] {
    [
        namespace.tc(&["qdisc", "show", "dev", "b0"]),
        namespace.tc(&["filter", "show", "dev", "b0", "ingress"]),
        namespace.ip(&["-details", "link", "show", "dev", "b0"]),
    ]
}

/// Where a copy is that another user may read.
fn readable(lab: &Lab, config: &Path) -> PathBuf {
    let path = lab.folder().join("readable.toml");
    std::fs::copy(config, &path).expect("a copy of the configuration");
    for (path, mode) in [(lab.folder(), 0o755), (&path, 0o644)] {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("to open it to others");
    }
    path
}

#[test]
fn what_is_wrong_is_found_and_nothing_is_changed() {
    let (lab, _a, b) = Lab::pair("doctor");
    b.tc(&["qdisc", "add", "dev", "b0", "clsact"]);
    b.tc(&[
        "filter", "add", "dev", "b0", "ingress", "pref", "7", "protocol", "all", "u32", "match",
        "u32", "0", "0",
    ]);
    let settings = Settings::new("b0", &["ingress", "egress"]).collector(9001, "ipfix");
    let ebpfix = Ebpfix::start(&lab, &b, &settings);
    let config = ebpfix.config().to_owned();
    let before = state(&b);

    let (done, report) = doctor(&lab, &b, &config, None);
    assert_eq!(done.code(), Some(1), "{report:#}");
    assert_eq!(report["problems"], 1, "{report:#}");
    assert_says(&report, "problem", "nobody listens at 127.0.0.1:9001");
    assert_says(&report, "ok", "an exporter is running");
    assert_says(&report, "ok", "up, with Ethernet headers");
    assert_says(&report, "ok", "the path's MTU is ");
    assert_says(&report, "info", "u32 at priority 7");

    let nfcapd = Nfcapd::start(&lab, &b, 9001);
    let (done, report) = doctor(&lab, &b, &config, None);
    assert_eq!(
        (done.code(), &report["problems"]),
        (Some(0), &Value::from(0)),
        "{report:#}"
    );
    assert_eq!(state(&b), before);

    let left = ebpfix.kill();
    let (_, report) = doctor(&lab, &b, &config, None);
    assert_says(&report, "info", "no ebpfix is running");
    assert_says(&report, "warning", "2 attached programs in ");
    let _ = left.detach(&lab).success();
    let (_, report) = doctor(&lab, &b, &config, None);
    let left = texts(&report, "warning");
    assert!(
        !left.iter().any(|text| text.contains("attached programs")),
        "{left:?}"
    );
    let result = nfcapd.stop();
    assert_eq!(result.bad_packets, 0, "{}", result.log);
}

#[test]
fn without_privileges_it_says_what_it_could_not_look_at() {
    const NOBODY: u32 = 65534;
    let (lab, _a, b) = Lab::pair("doctor-nobody");
    let config = lab.folder().join("some.toml");
    std::fs::write(
        &config,
        "[observation]\ninterfaces = [\"b0\", \"gone0\"]\n[[collector]]\naddress = \"192.0.2.77:4739\"\n",
    )
    .expect("a configuration");
    let (done, report) = doctor(&lab, &b, &readable(&lab, &config), Some(NOBODY));
    assert_eq!(done.code(), Some(1), "{report:#}");
    assert_says(&report, "unknown", "which this process does not have");
    assert_says(&report, "ok", "up, with Ethernet headers");
    assert_says(&report, "warning", "there is none of this name");
    assert_says(&report, "problem", "192.0.2.77:4739 cannot be reached");
}

#[test]
fn mistakes_of_the_configuration_are_problems() {
    let mut lab = Lab::new("doctor-config");
    let namespace = lab.namespace("a");
    let config = lab.folder().join("wrong.toml");
    std::fs::write(&config, "[observation]\nsampling = 0\nnonsense = 1\n").expect("a file");
    let (done, report) = doctor(&lab, &namespace, &config, None);
    assert_eq!(done.code(), Some(1));
    assert_says(
        &report,
        "problem",
        "observation.sampling: expected an integer",
    );
    assert_says(&report, "problem", "observation.nonsense: unknown key");
    // There is but lo in this namespace.
    assert_says(&report, "problem", "none is to be observed");
}
