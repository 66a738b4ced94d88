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
    connections(&mut text, status, terminal);
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

/// `10 Gb/s`, and `half` where it is not both ways at once.
fn speed(interface: &Value) -> String {
    if interface["up"] == false {
        return "down".to_owned();
    }
    let Some(bits) = interface["speed_bits_per_second"].as_u64() else {
        return "-".to_owned();
    };
    let (whole, thousandths, unit) = if bits >= 1_000_000_000 {
        (bits / 1_000_000_000, bits / 1_000_000 % 1000, "Gb/s")
    } else {
        (bits / 1_000_000, bits / 1000 % 1000, "Mb/s")
    };
    let mut text = whole.to_string();
    if thousandths > 0 {
        let _ = write!(
            text,
            ".{}",
            format!("{thousandths:03}").trim_end_matches('0')
        );
    }
    let half = if interface["duplex"] == "half" {
        " half"
    } else {
        ""
    };
    format!("{text} {unit}{half}")
}

/// What an operator says of an interface, made fit for a terminal.
fn on_one_line(text: &str) -> String {
    text.replace(char::is_control, "?")
}

fn interfaces_and_collectors(text: &mut String, status: &Value, terminal: Option<u16>) {
    text.push('\n');
    if let Some(namespace) = status["namespace"]["name"].as_str() {
        let waited_for = if status["namespace"]["present"] == false {
            " (not there; it is waited for)"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "network namespace {}{waited_for}",
            on_one_line(namespace)
        );
    }
    columns(
        text,
        terminal,
        &[
            ("interface", 0),
            (">index", 3),
            ("kind", 4),
            (">speed", 5),
            ("ingress", 0),
            ("egress", 0),
            (">reattached", 2),
            ("alias", 6),
        ],
        list(&status["interfaces"]).map(|interface| {
            vec![
                words(&interface["name"]),
                interface["index"].to_string(),
                words(&interface["kind"]),
                speed(interface),
                words(&interface["ingress"]),
                words(&interface["egress"]),
                interface["reattached"].to_string(),
                on_one_line(interface["alias"].as_str().unwrap_or_default()),
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
                match collector["transport"].as_str() {
                    None | Some("udp") => words(&collector["protocol"]),
                    Some(transport) => format!("{}/{transport}", words(&collector["protocol"])),
                },
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

/// Of collectors that are connected to, how it is with that.
fn connections(text: &mut String, status: &Value, terminal: Option<u16>) {
    let connected = |collector: &&Value| !collector["connection"].is_null();
    if list(&status["collectors"]).find(connected).is_none() {
        return;
    }
    text.push('\n');
    columns(
        text,
        terminal,
        &[
            ("connection", 0),
            ("state", 0),
            ("since", 2),
            (">made", 1),
            (">failed", 0),
            (">octets waiting", 3),
            (">records unacknowledged", 0),
            ("by", 4),
        ],
        list(&status["collectors"])
            .filter(connected)
            .map(|collector| {
                let connection = &collector["connection"];
                let number = |value: &Value| value.as_u64().unwrap_or(0);
                let failures = connection["failures"].as_object();
                let failed: u64 = failures.into_iter().flatten().map(|(_, n)| number(n)).sum();
                let tls = &connection["tls"];
                vec![
                    words(&collector["name"]),
                    words(&connection["state"]),
                    match number(&connection["since_ms"]) {
                        0 => "-".to_owned(),
                        since => UnixTime::from_millis(since).to_string(),
                    },
                    connection["made"].to_string(),
                    failed.to_string(),
                    connection["waiting_octets"].to_string(),
                    collector["unacknowledged_records"].to_string(),
                    if tls.is_null() {
                        words(&collector["transport"])
                    } else {
                        let (version, cipher) = (words(&tls["version"]), words(&tls["cipher"]));
                        format!("{version} {cipher} {}", words(&tls["server_name"]))
                    },
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
                {
                    "name": "eth0", "index": 2, "ingress": "tcx", "egress": "clsact", "reattached": 0,
                    "kind": "physical", "alias": "", "up": true,
                    "speed_bits_per_second": 2_500_000_000_u64, "duplex": "full",
                },
                {
                    "name": "wan-uplink-0015", "index": 1234, "ingress": "tcx", "egress": null,
                    "reattached": 12, "kind": "vlan", "alias": "to the\u{1b}north", "up": true,
                    "speed_bits_per_second": 10_000_000, "duplex": "half",
                },
                {
                    "name": "tun0", "index": 5, "ingress": "tcx", "egress": "tcx", "reattached": 0,
                    "kind": "tun", "alias": "", "up": false, "speed_bits_per_second": null,
                    "duplex": null,
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

interface        index  kind             speed  ingress  egress  reattached  alias
eth0                 2  physical      2.5 Gb/s  tcx      clsact           0
wan-uplink-0015   1234  vlan      10 Mb/s half  tcx      -               12  to the?north
tun0                 5  tun               down  tcx      tcx              0

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
    fn connections_have_a_table_of_their_own() {
        let failures = |closed| json!({"connect": 1, "tls": 0, "closed": closed});
        let collector = |name, transport, connection| {
            json!({
                "name": name, "protocol": "ipfix", "transport": transport,
                "unacknowledged_records": 40, "connection": connection,
            })
        };
        let status = json!({"collectors": [
            collector("noc", "udp", Value::Null),
            collector("lab", "tcp", json!({
                "state": "connecting", "since_ms": 0, "made": 0, "failures": failures(0),
                "waiting_octets": 0, "tls": null,
            })),
            collector("far", "tls", json!({
                "state": "connected", "since_ms": 1_795_536_420_123_u64, "made": 3,
                "failures": failures(2), "waiting_octets": 4242,
                "tls": {
                    "version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384",
                    "server_name": "collector.example",
                },
            })),
        ]});
        let text = table(&status, None);
        assert!(text.contains("\nlab        ipfix/tcp "), "{text}");
        let expected = "
connection  state       since                     made  failed  octets waiting  records unacknowledged  by
lab         connecting  -                            0       1               0                      40  tcp
far         connected   2026-11-24T16:07:00.123Z     3       3            4242                      40  TLSv1.3 TLS_AES_256_GCM_SHA384 collector.example
";
        assert!(text.contains(expected), "{text}");
        let udp = json!({"collectors": [collector("noc", "udp", Value::Null)]});
        assert!(!table(&udp, None).contains("connection"));
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
