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

/// A case is a file NAME.toml, or a folder NAME with an ebpfix.toml, the files conf.d/*.toml beside it and,
/// where they matter, environment variables and further arguments, one a line.
#[test]
fn every_invalid_file_is_refused_in_the_expected_words() {
    let mut cases = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(root().join("conf/invalid")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "expected")
        {
            let case = path.with_extension("toml").exists() || path.with_extension("").is_dir();
            assert!(case, "{}", path.display());
            continue;
        }
        cases += 1;
        let name = path.file_name().unwrap().to_str().unwrap();
        let (config, expected) = if path.is_dir() {
            let config = format!("conf/invalid/{name}/ebpfix.toml");
            (config, path.with_file_name(format!("{name}.expected")))
        } else {
            (
                format!("conf/invalid/{name}"),
                path.with_extension("expected"),
            )
        };
        let lines = |name: &str| -> Vec<String> {
            let text = fs::read_to_string(path.join(name)).unwrap_or_default();
            text.lines().map(str::to_owned).collect()
        };
        let environment = lines("environment");
        let output = Command::new(env!("CARGO_BIN_EXE_ebpfix"))
            .args(["check", "--config", &config])
            .args(lines("arguments"))
            .envs(environment.iter().map(|line| line.split_once('=').unwrap()))
            .current_dir(root())
            .output()
            .unwrap();
        let stderr = text(&output.stderr);
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
    // Where values come from differs, of course.
    let values = |output: &Output| -> String {
        let lines = text(&output.stdout).lines();
        let lines = lines.map(|line| line.split("  # ").next().unwrap().trim_end());
        lines.collect::<Vec<_>>().join("\n")
    };
    let first = check(&["--config", "conf/ebpfix.example.toml", "--print"]);
    assert_eq!(first.status.code(), Some(0));
    let directory = std::env::temp_dir().join(format!("ebpfix-check-{}", std::process::id()));
    fs::create_dir(&directory).unwrap();
    let path = directory.join("printed.toml");
    fs::write(&path, &first.stdout).unwrap();
    let path = path.to_str().unwrap();
    let second = check(&[
        "--config",
        path,
        "--print",
        "--set",
        "metering.max-flows=5000",
    ]);
    fs::remove_dir_all(&directory).unwrap();
    let expected = values(&first).replace("max-flows = 131072", "max-flows = 5000");
    assert_eq!(values(&second), expected);
    let printed = text(&second.stdout);
    for (key, origin) in [
        (
            "max-flows = 5000",
            "--set metering.max-flows=5000".to_owned(),
        ),
        ("address = \"192.0.2.10:4739\"", format!("{path}:")),
        ("sampling = 1", format!("{path}:")),
    ] {
        let line = format!("{key:40}  # {origin}");
        assert!(printed.contains(&line), "{line}\n{printed}");
    }
}

#[test]
fn every_source_is_said_to_be_right() {
    let directory = std::env::temp_dir().join(format!("ebpfix-sources-{}", std::process::id()));
    fs::create_dir_all(directory.join("conf.d")).unwrap();
    fs::write(directory.join("ebpfix.toml"), "").unwrap();
    for (name, key) in [("b", "sampling = 2"), ("a", "domain-id = 9")] {
        let text = format!("[observation]\n{key}\n");
        fs::write(directory.join(format!("conf.d/{name}.toml")), text).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_ebpfix"))
        .args(["check", "-c", "ebpfix.toml", "--collector", "192.0.2.1"])
        .env("EBPFIX_LOG_LEVEL", "debug")
        .current_dir(&directory)
        .output()
        .unwrap();
    fs::remove_dir_all(&directory).unwrap();
    assert_eq!(text(&output.stderr), "");
    assert_eq!(
        text(&output.stdout),
        "ebpfix.toml: ok\nconf.d/a.toml: ok\nconf.d/b.toml: ok\nenvironment: EBPFIX_LOG_LEVEL: ok\n"
    );
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
