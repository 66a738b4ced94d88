//! `ebpfix status` and who it talks to.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

/// A directory that goes with its owner, with a configuration whose run directory it is.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ebpfix-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let config = format!(
            "[[collector]]\naddress = \"127.0.0.1:4739\"\nprotocol = \"ipfix\"\n[daemon]\nrun-dir = \"{}\"\n",
            path.display()
        );
        fs::write(path.join("ebpfix.toml"), config).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    fn status(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ebpfix"))
            .arg("status")
            .arg("--config")
            .arg(self.0.join("ebpfix.toml"))
            .args(arguments)
            .output()
            .unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Answers one request with `answer`.
fn answering(socket: &Path, answer: &'static str) -> thread::JoinHandle<()> {
    let listener = UnixListener::bind(socket).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        assert_eq!(line, "{\"version\":1,\"command\":\"status\"}\n");
        stream.write_all(answer.as_bytes()).unwrap();
    })
}

#[test]
fn without_a_daemon_there_is_one_clear_line_and_1() {
    let scratch = Scratch::new("no-daemon");
    for stale in [false, true] {
        if stale {
            drop(UnixListener::bind(scratch.socket()).unwrap());
        }
        for arguments in [&[][..], &["--json"]] {
            let output = scratch.status(arguments);
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{stderr}");
            assert_eq!(
                stderr,
                format!(
                    "ebpfix: no ebpfix is running: nothing answers at {} (daemon.run-dir says where)\n",
                    scratch.socket().display()
                )
            );
            assert!(output.stdout.is_empty());
        }
    }
}

#[test]
fn the_answer_is_printed_as_json_or_as_a_table() {
    let scratch = Scratch::new("daemon-json");
    let daemon = answering(
        &scratch.socket(),
        "{\"ok\":{\"version\":\"9.9.9\",\"uptime_s\":5}}\n",
    );
    let output = scratch.status(&["--json"]);
    daemon.join().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["version"], "9.9.9");
    fs::remove_file(scratch.socket()).unwrap();

    let daemon = answering(
        &scratch.socket(),
        "{\"ok\":{\"version\":\"9.9.9\",\"uptime_s\":5}}\n",
    );
    let output = scratch.status(&[]);
    daemon.join().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("ebpfix 9.9.9 up 5 s\n"), "{text}");
}

#[test]
fn an_answer_that_is_none_is_one_line_and_1() {
    for (answer, said) in [
        ("", "makes no sense"),
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "makes no sense"),
        (
            "{\"error\":\"the request is of version 1, this ebpfix speaks version 2\"}\n",
            "speaks version 2",
        ),
    ] {
        let scratch = Scratch::new("daemon-strange");
        let daemon = answering(&scratch.socket(), answer);
        let output = scratch.status(&[]);
        daemon.join().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
    }
}

/// The exporter that runs may be asked what is wrong with a file.
#[test]
fn mistakes_elsewhere_in_the_file_are_no_reason_not_to_ask() {
    let scratch = Scratch::new("daemon-mistakes");
    let file = scratch.0.join("ebpfix.toml");
    let good = fs::read_to_string(&file).unwrap();
    for mistake in [
        "[metring]\n",
        "[metering]\nmax-flows = 0\n",
        "[log]\nlevel = = 5\n",
    ] {
        fs::write(&file, format!("{good}{mistake}")).unwrap();
        let _ = fs::remove_file(scratch.socket());
        let daemon = answering(&scratch.socket(), "{\"ok\":{\"version\":\"9.9.9\"}}\n");
        let output = scratch.status(&["--json"]);
        daemon.join().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(output.stdout, b"{\"version\":\"9.9.9\"}\n");
        let expected = format!(
            "warning: {} has mistakes: `ebpfix check` lists them\n",
            file.display()
        );
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    }
}

#[test]
fn a_wrong_configuration_is_78() {
    let scratch = Scratch::new("daemon-config");
    fs::write(scratch.0.join("ebpfix.toml"), "[daemon]\nrun-dir = 7\n").unwrap();
    let output = scratch.status(&[]);
    assert_eq!(output.status.code(), Some(78));
}
