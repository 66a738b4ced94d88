//! `ebpfix status`.

use super::Failure;
use crate::cli::StatusArgs;
use crate::daemon::control::Question;
use serde_json::Value;
use std::fmt::Write as _;

/// Asks the exporter that runs, and prints the answer.
pub fn run(args: &StatusArgs) -> Result<(), Failure> {
    let status = super::ask(&super::daemon_of(&args.config)?, Question::Status)?;
    let text = if args.json {
        format!("{status}\n")
    } else {
        table(&status)
    };
    super::print(&text)
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
    let kernel = &status["kernel"];
    let number = |key: &str| kernel[key].as_u64().unwrap_or(0);
    if number("handovers") + number("crashes") > 0 {
        let _ = writeln!(
            text,
            "tables taken over from an exporter before: {} handed over, {} not{}",
            number("handovers"),
            number("crashes"),
            if kernel["taking_over"] == true {
                "; being read"
            } else {
                ""
            }
        );
    }
    let words = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    text.push('\n');
    columns(
        &mut text,
        &["interface", ">index", "ingress", "egress", ">reattached"],
        list(&status["interfaces"]).map(|interface| {
            vec![
                words(&interface["name"]),
                interface["index"].to_string(),
                words(&interface["ingress"]),
                words(&interface["egress"]),
                interface["reattached"].to_string(),
            ]
        }),
    );
    text.push('\n');
    columns(
        &mut text,
        &[
            "collector",
            "protocol",
            "address",
            ">messages",
            ">records",
            ">held",
            ">lost",
            ">refused",
            "last error",
        ],
        list(&status["collectors"]).map(|collector| {
            vec![
                words(&collector["name"]),
                words(&collector["protocol"]),
                words(&collector["address"]),
                collector["messages"].to_string(),
                collector["records"].to_string(),
                collector["held_records"].to_string(),
                collector["lost_records"].to_string(),
                collector["refused"].to_string(),
                words(&collector["last_error"]),
            ]
        }),
    );
    text
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Columns as wide as what stands in them; a title that begins with `>` stands at the right.
fn columns(text: &mut String, titles: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let plain = titles
        .iter()
        .map(|title| title.trim_start_matches('>').to_owned());
    let mut lines = vec![plain.collect::<Vec<_>>()];
    lines.extend(rows);
    let width = |n: usize| lines.iter().map(|line| line[n].chars().count()).max();
    let widths: Vec<_> = (0..titles.len()).map(|n| width(n).unwrap_or(0)).collect();
    for line in &lines {
        let mut row = String::new();
        for ((cell, title), &width) in line.iter().zip(titles).zip(&widths) {
            let _ = if title.starts_with('>') {
                write!(row, "{cell:>width$}  ")
            } else {
                write!(row, "{cell:<width$}  ")
            };
        }
        let _ = writeln!(text, "{}", row.trim_end());
    }
}

fn count_line(text: &mut String, name: &str, count: &Value) {
    let _ = writeln!(
        text,
        "{name:<24}{:>20}{:>24}",
        count["packets"].to_string(),
        count["octets"].to_string()
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_is_this() {
        let count = |packets: u64| json!({"packets": packets, "octets": packets * 100});
        let status = json!({
            "version": "0.1.0",
            "uptime_s": 3601,
            "ledger": {
                "observed": count(1_000_000),
                "exported": count(999_000),
                "held": count(900),
                "lost": {"log_full": count(0), "export_queue_full": count(100)},
            },
            "meter": {"flows": 17, "max_flows": 131_072, "octets": 4096},
            "kernel": {
                "log_waiting": 3, "log_records": 131_072, "octets": 10_485_760, "handovers": 2,
                "crashes": 1, "taking_over": false,
            },
            "interfaces": [
                {"name": "eth0", "index": 2, "ingress": "tcx", "egress": "clsact", "reattached": 0},
                {
                    "name": "wan-uplink-0015", "index": 1234, "ingress": "tcx", "egress": null,
                    "reattached": 12,
                },
            ],
            "collectors": [
                {
                    "name": "noc", "protocol": "ipfix", "address": "192.0.2.10:4739",
                    "messages": 1200, "records": 17000, "held_records": 9, "lost_records": 0,
                    "refused": 0, "last_error": null,
                },
                {
                    "name": "the one with a long name", "protocol": "netflow-v9",
                    "address": "[2001:db8:1234:5678:9abc:def0:1234:5678]:2055",
                    "messages": 3, "records": 40, "held_records": 0, "lost_records": 12,
                    "refused": 2, "last_error": "cannot resolve it",
                },
            ],
        });
        let expected = "\
ebpfix 0.1.0 up 3601 s

ledger                               packets                  octets
observed                             1000000               100000000
exported                              999000                99900000
held                                     900                   90000
lost: export_queue_full                  100                   10000

flows 17 of 131072, log 3 of 131072 records, kernel memory 10240 KiB
tables taken over from an exporter before: 2 handed over, 1 not

interface        index  ingress  egress  reattached
eth0                 2  tcx      clsact           0
wan-uplink-0015   1234  tcx      -               12

collector                 protocol    address                                        messages  records  held  lost  refused  last error
noc                       ipfix       192.0.2.10:4739                                    1200    17000     9     0        0  -
the one with a long name  netflow-v9  [2001:db8:1234:5678:9abc:def0:1234:5678]:2055         3       40     0    12        2  cannot resolve it
";
        assert_eq!(table(&status), expected);
    }

    #[test]
    fn an_answer_without_anything_is_shown_nevertheless() {
        let text = table(&json!({}));
        assert!(text.starts_with("ebpfix ? up null s\n"), "{text}");
    }
}
