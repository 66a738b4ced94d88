//! `ebpfix check`, as a user runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn check(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ebpfix"))
        .arg("check")
        .args(args)
        .current_dir(root())
        .output()
        .unwrap()
}

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap()
}

#[test]
fn every_invalid_file_is_refused_in_the_expected_words() {
    let mut cases = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(root().join("conf/invalid")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            assert!(path.with_extension("toml").exists(), "{}", path.display());
            continue;
        }
        cases += 1;
        let name = path.file_name().unwrap().to_str().unwrap();
        let output = check(&["--config", &format!("conf/invalid/{name}")]);
        let stderr = text(&output.stderr);
        let expected = path.with_extension("expected");
        // To write what is expected anew; then read the difference.
        if std::env::var_os("EBPFIX_UPDATE").is_some() {
            fs::write(&expected, stderr).unwrap();
        }
        assert_eq!(output.status.code(), Some(78), "{name}");
        assert_eq!(text(&output.stdout), "", "{name}");
        if fs::read_to_string(&expected).unwrap_or_default() != stderr {
            wrong.push(format!("{name}:\n{stderr}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases >= 20, "{cases} cases");
}

#[test]
fn the_files_we_ship_are_right() {
    let output = check(&["--config", "conf/ebpfix.toml"]);
    assert_eq!(text(&output.stdout), "conf/ebpfix.toml: ok\n");
    assert_eq!(
        text(&output.stderr),
        "warning: conf/ebpfix.toml: there is no [[collector]]: every flow is counted as lost \
         (no_collector)\n"
    );
    assert_eq!(output.status.code(), Some(0));

    let output = check(&["-c", "conf/ebpfix.example.toml"]);
    assert_eq!(text(&output.stdout), "conf/ebpfix.example.toml: ok\n");
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_short_file_is_right_with_its_collector_uncommented() {
    let short = fs::read_to_string(root().join("conf/ebpfix.toml")).unwrap();
    let uncommented: String = short
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') => format!("{key}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert_ne!(uncommented, short);
    let loaded = ebpfix::config::parse("short", &uncommented).unwrap();
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.collectors[0].name, "noc");
}

#[test]
fn what_is_printed_checks_and_prints_the_same() {
    let first = check(&["--config", "conf/ebpfix.example.toml", "--print"]);
    assert_eq!(first.status.code(), Some(0));
    let directory = std::env::temp_dir().join(format!("ebpfix-check-{}", std::process::id()));
    fs::create_dir(&directory).unwrap();
    let path = directory.join("printed.toml");
    fs::write(&path, &first.stdout).unwrap();
    let second = check(&["--config", path.to_str().unwrap(), "--print"]);
    fs::remove_dir_all(&directory).unwrap();
    assert_eq!(text(&second.stdout), text(&first.stdout));
    assert!(text(&first.stdout).contains("address = \"192.0.2.10:4739\"\n"));
}

#[test]
fn a_file_that_is_not_there_is_a_wrong_configuration() {
    for (path, reason) in [
        (
            "conf/nothing.toml",
            "cannot be read: No such file or directory",
        ),
        ("conf", "cannot be read: Is a directory"),
        ("conf/ebpfix.toml/x", "cannot be read: Not a directory"),
    ] {
        let output = check(&["--config", path]);
        assert_eq!(output.status.code(), Some(78));
        assert_eq!(text(&output.stderr), format!("{path}: {reason}\n"));
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    for args in [&["--colour"][..], &["file.toml"], &["--config"]] {
        let output = check(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            text(&output.stderr).contains("For more information"),
            "{args:?}"
        );
    }
}
