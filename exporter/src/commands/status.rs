//! `ebpfix status`.

use super::Failure;
use crate::cli::StatusArgs;
use crate::config::Config;
use crate::daemon::control::{self, Question};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Asks the exporter that runs, and prints the answer.
pub fn run(args: &StatusArgs) -> Result<(), Failure> {
    let daemon = match args.config.existing() {
        Some(path) => Config::load(path)?.config.daemon,
        None => Config::default().daemon,
    };
    let status = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start: {error}")))?
        .block_on(control::ask(&daemon.control_socket(), Question::Status))
        .map_err(Failure::Failed)?;
    let text = if args.json {
        format!("{status}\n")
    } else {
        table(&status)
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// The status for people.
fn table(status: &Value) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "ebpfix {} up {} s",
        status["version"].as_str().unwrap_or("?"),
        status["uptime_s"]
    );
    let ledger = &status["ledger"];
    let _ = writeln!(text, "\n{:<24}{:>20}{:>24}", "ledger", "packets", "octets");
    for place in ["observed", "exported", "held"] {
        count_line(&mut text, place, &ledger[place]);
    }
    for (reason, count) in ledger["lost"].as_object().into_iter().flatten() {
        if count["packets"] != 0 || count["octets"] != 0 {
            count_line(&mut text, &format!("lost: {reason}"), count);
        }
    }
    let _ = writeln!(
        text,
        "\nflows {} of {}, log {} of {} records, kernel memory {} KiB",
        status["meter"]["flows"],
        status["meter"]["max_flows"],
        status["kernel"]["log_waiting"],
        status["kernel"]["log_records"],
        status["kernel"]["octets"].as_u64().unwrap_or(0) / 1024
    );
    let _ = writeln!(
        text,
        "\n{:<16}{:>8}  {:<8}{:<8}",
        "interface", "index", "ingress", "egress"
    );
    for interface in status["interfaces"].as_array().into_iter().flatten() {
        let _ = writeln!(
            text,
            "{:<16}{:>8}  {:<8}{:<8}",
            interface["name"].as_str().unwrap_or("?"),
            interface["index"].to_string(),
            interface["ingress"].as_str().unwrap_or("-"),
            interface["egress"].as_str().unwrap_or("-")
        );
    }
    let _ = writeln!(
        text,
        "\n{:<16}{:<12}{:<28}{:>12}{:>12}{:>10}  last error",
        "collector", "protocol", "address", "messages", "records", "lost"
    );
    for collector in status["collectors"].as_array().into_iter().flatten() {
        let _ = writeln!(
            text,
            "{:<16}{:<12}{:<28}{:>12}{:>12}{:>10}  {}",
            collector["name"].as_str().unwrap_or("?"),
            collector["protocol"].as_str().unwrap_or("?"),
            collector["address"].as_str().unwrap_or("?"),
            collector["messages"].to_string(),
            collector["records"].to_string(),
            collector["lost_records"].to_string(),
            collector["last_error"].as_str().unwrap_or("-")
        );
    }
    text
}

fn count_line(text: &mut String, name: &str, count: &Value) {
    let _ = writeln!(
        text,
        "{name:<24}{:>20}{:>24}",
        count["packets"].to_string(),
        count["octets"].to_string()
    );
}
