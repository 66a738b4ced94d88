//! `ebpfix status`.

use super::Failure;
use crate::cli::StatusArgs;
use crate::daemon::control::Question;
use crate::flows::show::csv_cell;
use crate::record::UnixTime;
use serde_json::Value;
use std::fmt::Write as _;

/// Asks the exporter that runs, and prints the answer.
pub fn run(args: &StatusArgs) -> Result<(), Failure> {
    let status: Value = super::ask(&super::daemon_of(&args.config)?, Question::Status)?;
    let text = if args.json {
        format!("{status}\n")
    } else if args.csv {
        csv(&status)
    } else {
        table(&status, super::terminal_width())
    };
    super::print(&text)
}

/// Every number and word with its name: the keys on the way to it, joined by dots.
fn csv(status: &Value) -> String {
    fn add(text: &mut String, name: &str, value: &Value) {
        let below = |key: &str| {
            if name.is_empty() {
                key.to_owned()
            } else {
                format!("{name}.{key}")
            }
        };
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    add(text, &below(key), value);
                }
            }
            Value::Array(list) => {
                for (index, value) in list.iter().enumerate() {
                    add(text, &below(&index.to_string()), value);
                }
            }
            value => {
                let name = csv_cell(&Value::String(name.to_owned()));
                let _ = writeln!(text, "{name},{}", csv_cell(value));
            }
        }
    }
    let mut text = "name,value\n".to_owned();
    add(&mut text, "", status);
    text
}

/// The status for people, on a terminal of so many columns.
fn table(status: &Value, terminal: Option<u16>) -> String {
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
    if let Some(filter) = kernel["filter"].as_str() {
        let _ = writeln!(text, "filter: {}", shortened(filter));
    }
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
    interfaces_and_collectors(&mut text, status, terminal);
    configuration(&mut text, &status["configuration"]);
    text
}

/// The beginning of a filter that is long, on one line.
fn shortened(filter: &str) -> String {
    const MOST: usize = 200;
    let line: String = filter.split_whitespace().collect::<Vec<_>>().join(" ");
    let length = line.chars().count();
    if length <= MOST {
        return line;
    }
    let beginning: String = line.chars().take(MOST).collect();
    format!("{beginning}… ({length} characters; `ebpfix check --print` has them all)")
}

fn words(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

fn interfaces_and_collectors(text: &mut String, status: &Value, terminal: Option<u16>) {
    text.push('\n');
    columns(
        text,
        terminal,
        &[
            ("interface", 0),
            (">index", 3),
            ("ingress", 0),
            ("egress", 0),
            (">reattached", 2),
        ],
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
        text,
        terminal,
        &[
            ("collector", 0),
            ("protocol", 4),
            ("address", 3),
            (">messages", 5),
            (">records", 0),
            (">held", 0),
            (">lost", 0),
            (">refused", 2),
            ("last error", 1),
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
}

fn configuration(text: &mut String, configuration: &Value) {
    let time = |key: &str| {
        let time = UnixTime::from_millis(configuration[key].as_u64()?);
        Some(time.to_string().replace('T', " ").replace('Z', ""))
    };
    let files: Vec<_> = list(&configuration["files"]).map(words).collect();
    if let (Some(read), false) = (time("read_ms"), files.is_empty()) {
        let _ = writeln!(text, "\nconfiguration read {read}: {}", files.join(", "));
    }
    let errors: Vec<_> = list(&configuration["errors"]).map(words).collect();
    if !errors.is_empty() {
        let when = time("tried_ms").map_or_else(String::new, |time| format!(" ({time})"));
        let _ = writeln!(
            text,
            "\nthe configuration was changed and is wrong{when}; the one before stays in force:\n{}",
            errors.join("\n")
        );
    }
    let restart: Vec<_> = list(&configuration["restart"]).map(words).collect();
    if !restart.is_empty() {
        let _ = writeln!(
            text,
            "\nchanged, but takes effect at the next start only: {}",
            restart.join(", ")
        );
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Columns as wide as what stands in them; a title that begins with `>` stands at the right. What a
/// terminal has no room for is left out, the highest rank first; 0 stays.
fn columns(
    text: &mut String,
    terminal: Option<u16>,
    titles: &[(&str, u8)],
    rows: impl Iterator<Item = Vec<String>>,
) {
    let plain = titles
        .iter()
        .map(|(title, _)| title.trim_start_matches('>').to_owned());
    let mut lines = vec![plain.collect::<Vec<_>>()];
    lines.extend(rows);
    let width = |n: usize| lines.iter().map(|line| line[n].chars().count()).max();
    let mut shown: Vec<_> = titles
        .iter()
        .enumerate()
        .map(|(n, (title, rank))| (n, title.starts_with('>'), *rank, width(n).unwrap_or(0)))
        .collect();
    while let Some(room) = terminal {
        let length: usize = shown.iter().map(|(.., width)| width + 2).sum();
        let least = shown.iter().map(|(_, _, rank, _)| *rank).max().unwrap_or(0);
        if length <= usize::from(room) + 2 || least == 0 {
            break;
        }
        shown.retain(|(_, _, rank, _)| *rank != least);
    }
    for line in &lines {
        let mut row = String::new();
        for &(n, right, _, width) in &shown {
            let cell = &line[n];
            let _ = if right {
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
        assert_eq!(table(&status, None), expected);
        assert_eq!(table(&status, Some(200)), expected);
        let narrow = table(&status, Some(80));
        let header = "collector                 records  held  lost  refused  last error";
        assert!(narrow.contains(header), "{narrow}");
        let narrow = table(&status, Some(40));
        assert!(
            narrow.contains("\ncollector                 records  held  lost\n"),
            "{narrow}"
        );
    }

    #[test]
    fn a_wrong_configuration_is_told_until_a_good_one_is_read() {
        let configuration = |errors: &[&str]| json!({"configuration": {"errors": errors, "restart": ["daemon", "log.format"]}});
        let text = table(
            &configuration(&["f:3:1: no such key", "f:7:2: no number"]),
            None,
        );
        assert!(
            text.ends_with(
                "\
the configuration was changed and is wrong; the one before stays in force:
f:3:1: no such key
f:7:2: no number

changed, but takes effect at the next start only: daemon, log.format
"
            ),
            "{text}"
        );
        assert!(!table(&configuration(&[]), None).contains("wrong"));

        let mut read = configuration(&["f:3:1: no such key"]);
        read["configuration"]["files"] = json!(["f", "conf.d/a.toml"]);
        read["configuration"]["read_ms"] = json!(1_764_000_000_000_u64);
        read["configuration"]["tried_ms"] = json!(1_764_000_001_500_u64);
        let text = table(&read, None);
        assert!(
            text.contains("\nconfiguration read 2025-11-24 16:00:00.000: f, conf.d/a.toml\n"),
            "{text}"
        );
        assert!(
            text.contains("is wrong (2025-11-24 16:00:01.500); the one before"),
            "{text}"
        );
    }

    #[test]
    fn csv_has_a_line_for_each_value() {
        let status = json!({
            "collectors": [{"name": "a, b", "last_error": null}],
            "ledger": {"lost": {"log_full": {"packets": 3}}},
        });
        assert_eq!(
            csv(&status),
            "\
name,value
collectors.0.last_error,
collectors.0.name,\"a, b\"
ledger.lost.log_full.packets,3
"
        );
    }

    #[test]
    fn an_answer_without_anything_is_shown_nevertheless() {
        let text = table(&json!({}), None);
        assert!(text.starts_with("ebpfix ? up null s\n"), "{text}");
    }
}
