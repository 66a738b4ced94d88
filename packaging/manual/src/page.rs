//! The pages: ebpfix(8) and ebpfix.toml(5).

use clap::{Arg, Command};
use ebpfix::config::keys::{PRECEDENCE, Presence, TABLES, variable};
use roff::{Inline, Roff, bold, italic, roman};

const VERSION: &str = concat!("ebpfix ", env!("CARGO_PKG_VERSION"));

/// ebpfix(8).
pub fn command(command: &mut Command) -> String {
    command.build();
    let mut page = Roff::new();
    page.control("TH", ["EBPFIX", "8", "", VERSION, "System administration"]);
    section(&mut page, "NAME");
    page.text([roman(
        "ebpfix - flow exporter: counts every packet of every flow in the kernel, tells collectors by IPFIX and NetFlow",
    )]);
    section(&mut page, "SYNOPSIS");
    for subcommand in subcommands(command) {
        let mut line = vec![bold(format!("ebpfix {}", subcommand.get_name()))];
        for argument in subcommand.get_arguments().filter(|a| !a.is_hide_set()) {
            if !is_common(argument) {
                line.push(roman(" "));
                line.extend(usage(argument));
            }
        }
        page.text(line);
        page.control("br", []);
    }
    section(&mut page, "DESCRIPTION");
    for text in DESCRIPTION {
        paragraph(&mut page, text);
    }
    section(&mut page, "COMMANDS");
    for subcommand in subcommands(command) {
        page.control("SS", [format!("ebpfix {}", subcommand.get_name()).as_str()]);
        let about = subcommand
            .get_long_about()
            .or_else(|| subcommand.get_about())
            .map(ToString::to_string)
            .unwrap_or_default();
        for text in about.split("\n\n") {
            paragraph(&mut page, &text.replace('\n', " "));
        }
        for argument in subcommand.get_arguments().filter(|a| !a.is_hide_set()) {
            if !is_common(argument) {
                option(&mut page, argument);
            }
        }
        if let Some(more) = subcommand.get_after_long_help() {
            page.control("PP", []);
            page.control("nf", []);
            for line in more.to_string().lines() {
                page.text([roman(line)]);
            }
            page.control("fi", []);
        }
    }
    for (title, entries) in SECTIONS {
        section(&mut page, title);
        for (term, text) in *entries {
            tagged(&mut page, vec![bold(*term)], text);
        }
    }
    section(&mut page, "SEE ALSO");
    page.text([
        bold("ebpfix.toml"),
        roman("(5), "),
        bold("tc"),
        roman("(8), "),
        bold("bpftool"),
        roman("(8), "),
        bold("nfcapd"),
        roman("(1)"),
    ]);
    page.text([roman(
        "RFC 7011 (IPFIX), RFC 7012 (its information model), RFC 3954 (NetFlow version 9)",
    )]);
    page.to_roff()
}

/// ebpfix.toml(5).
pub fn configuration() -> String {
    let mut page = Roff::new();
    page.control("TH", ["EBPFIX.TOML", "5", "", VERSION, "File formats"]);
    section(&mut page, "NAME");
    page.text([roman("ebpfix.toml - the configuration of ebpfix(8)")]);
    section(&mut page, "DESCRIPTION");
    for text in FORMAT {
        paragraph(&mut page, text);
    }
    section(&mut page, "PRECEDENCE");
    for text in PRECEDENCE {
        paragraph(&mut page, text);
    }
    for table in TABLES {
        let (open, close) = if table.many { ("[[", "]]") } else { ("[", "]") };
        section(&mut page, &format!("{open}{}{close}", table.name));
        paragraph(&mut page, table.doc);
        for key in table.keys {
            let mut takes = format!("Takes {}.", key.expected());
            match key.presence() {
                Presence::Default(value) => {
                    takes.push_str(" Default: ");
                    takes.push_str(&value);
                    takes.push('.');
                }
                Presence::Optional { otherwise, .. } => {
                    takes.push_str(" Default: ");
                    takes.push_str(otherwise);
                    takes.push('.');
                }
                Presence::Required { .. } => takes.push_str(" Required."),
            }
            if !table.many {
                takes.push_str(" Environment: ");
                takes.push_str(&variable(table.name, key.name()));
                takes.push('.');
            }
            tagged(&mut page, vec![bold(key.name())], key.doc());
            page.control("sp", []);
            page.text([roman(takes)]);
        }
    }
    section(&mut page, "EXAMPLE");
    page.control("nf", []);
    for line in EXAMPLE.lines() {
        page.text([roman(line)]);
    }
    page.control("fi", []);
    section(&mut page, "SEE ALSO");
    page.text([bold("ebpfix"), roman("(8)")]);
    page.to_roff()
}

fn subcommands(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|subcommand| subcommand.get_name() != "help" && !subcommand.is_hide_set())
}

/// Of every command: not worth a line in each.
fn is_common(argument: &Arg) -> bool {
    matches!(argument.get_id().as_str(), "help" | "version")
}

fn usage(argument: &Arg) -> Vec<Inline> {
    let mut parts = Vec::new();
    if let Some(long) = argument.get_long() {
        parts.push(bold(format!("--{long}")));
        if takes_value(argument) {
            parts.push(roman(" "));
        }
    }
    if takes_value(argument) {
        parts.push(italic(value_name(argument)));
    }
    if !argument.is_required_set() {
        parts.insert(0, roman("["));
        parts.push(roman("]"));
    }
    parts
}

fn option(page: &mut Roff, argument: &Arg) {
    let mut term = Vec::new();
    if let Some(short) = argument.get_short() {
        term.push(bold(format!("-{short}")));
        term.push(roman(", "));
    }
    if let Some(long) = argument.get_long() {
        term.push(bold(format!("--{long}")));
        if takes_value(argument) {
            term.push(roman(" "));
        }
    }
    if takes_value(argument) {
        term.push(italic(value_name(argument)));
    }
    let help = argument
        .get_long_help()
        .or_else(|| argument.get_help())
        .map(ToString::to_string)
        .unwrap_or_default();
    let mut text = help.replace("\n\n", " ").replace('\n', " ");
    if !text.ends_with(['.', ']']) {
        text.push('.');
    }
    let values: Vec<String> = argument
        .get_possible_values()
        .iter()
        .map(|value| match value.get_help() {
            Some(help) => format!("{} ({help})", value.get_name()),
            None => value.get_name().to_owned(),
        })
        .collect();
    if takes_value(argument) && !values.is_empty() {
        text.push_str(" One of: ");
        text.push_str(&values.join(", "));
        text.push('.');
    }
    let defaults: Vec<String> = argument
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    if takes_value(argument) && !defaults.is_empty() {
        text.push_str(" Default: ");
        text.push_str(&defaults.join(", "));
        text.push('.');
    }
    tagged(page, term, &text);
}

fn takes_value(argument: &Arg) -> bool {
    argument.get_action().takes_values()
}

fn value_name(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    if names.is_empty() {
        argument.get_id().as_str().to_uppercase()
    } else {
        names.join(" ")
    }
}

fn section(page: &mut Roff, title: &str) {
    page.control("SH", [title]);
}

fn paragraph(page: &mut Roff, text: &str) {
    page.control("PP", []);
    page.text([roman(text)]);
}

fn tagged(page: &mut Roff, term: Vec<Inline>, text: &str) {
    page.control("TP", []);
    page.text(term);
    page.text([roman(text)]);
}

const DESCRIPTION: &[&str] = &[
    "Two small programs at the traffic control hooks of each interface count every packet of every flow in the kernel, as it enters and as it leaves. The exporter reads the counts, ends flows by the usual timeouts, and tells one or more collectors by IPFIX or NetFlow over UDP.",
    "At any moment every packet that the kernel observed is in a record that was sent, is held, or is in a counter that says why it was lost: \"ebpfix status\" shows this ledger. A collector that is away, slow or refusing stops nothing and no other.",
];

/// Sections of terms and their meaning.
type Section = (&'static str, &'static [(&'static str, &'static str)]);

const SECTIONS: &[Section] = &[
    (
        "SIGNALS",
        &[
            (
                "SIGTERM, SIGINT",
                "End: everything that is held is exported, everything that was attached comes off.",
            ),
            (
                "SIGHUP",
                "Read the configuration again. What is held stays held, and nothing is lost. A file with a mistake changes nothing: the log and \"ebpfix status\" say where the mistake is. They say too which changed keys take effect at the next start only.",
            ),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            (
                "EBPFIX_TABLE_KEY",
                "Sets a key of the configuration, as EBPFIX_LOG_LEVEL does; see ebpfix.toml(5).",
            ),
            (
                "EBPFIX_COLLECTOR",
                "Adds collectors: addresses, with other keys behind commas, spaces between them.",
            ),
        ],
    ),
    (
        "EXIT STATUS",
        &[
            ("0", "Success."),
            ("1", "Failure; standard error says what and why."),
            ("2", "The command line is wrong."),
            ("78", "The configuration is wrong."),
        ],
    ),
    (
        "FILES",
        &[
            (
                "/etc/ebpfix/ebpfix.toml",
                "The configuration, see ebpfix.toml(5).",
            ),
            (
                "/etc/ebpfix/conf.d/*.toml",
                "Read after it, in the order of their names.",
            ),
            (
                "/run/ebpfix/control.sock",
                "Where the exporter answers; only its own user and root may connect.",
            ),
            (
                "/sys/fs/bpf/ebpfix",
                "Where the kernel's tables are made known.",
            ),
        ],
    ),
    (
        "PRIVILEGES",
        &[(
            "CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON",
            "What the exporter needs (before Linux 5.8: CAP_SYS_ADMIN). It needs no root beside these.",
        )],
    ),
];

const FORMAT: &[&str] = &[
    "The file is TOML. Every key has a default but for the address of a collector. Unknown keys and values out of range are errors: \"ebpfix check\" says each with its line and column.",
    "Times are numbers with a unit: \"500ms\", \"15s\", \"1m\", \"2h\".",
];

const EXAMPLE: &str = "\
[observation]
domain-id = 1
interfaces = [\"eth*\", \"!eth9\"]

[[collector]]
name = \"noc\"
address = \"192.0.2.10:4739\"
protocol = \"ipfix\"";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;
    use ebpfix::cli::Cli;
    use std::io::Write as _;
    use std::process::{Command as Process, Stdio};

    /// What a reader sees, by groff, which must find nothing to warn of.
    fn read(page: &str) -> String {
        let mut groff = Process::new("groff")
            .args(["-man", "-Tutf8", "-P-cbou", "-ww", "-rLL=300n", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("groff does not run ({error}): run `make setup`"));
        let mut input = groff.stdin.take().unwrap();
        input.write_all(page.as_bytes()).unwrap();
        drop(input);
        let output = groff.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn the_command_page_has_every_command_and_option() {
        let mut cli = Cli::command();
        let text = read(&command(&mut cli));
        let mut options = 0;
        for subcommand in subcommands(&cli) {
            assert!(text.contains(&format!("ebpfix {}", subcommand.get_name())));
            for argument in subcommand.get_arguments().filter(|a| !is_common(a)) {
                let Some(long) = argument.get_long() else {
                    continue;
                };
                options += 1;
                assert!(text.contains(&format!("--{long}")), "--{long}:\n{text}");
            }
        }
        assert!(options > 5, "{options}");
        assert!(text.contains("src 10.0.0.0/8 and (port 443 or icmp) and not in eth0"));
    }

    #[test]
    fn the_configuration_page_has_every_key_and_what_it_takes() {
        let text = read(&configuration()).replace('\u{ad}', "");
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = squeezed(&text);
        let mut keys = 0;
        for table in TABLES {
            for key in table.keys {
                keys += 1;
                if !table.many {
                    assert!(text.contains(&variable(table.name, key.name())));
                }
                let takes = squeezed(&format!("Takes {}.", key.expected()));
                // The quotes of the page are typographic or not, as the device has them.
                let plain = |text: &str| text.replace(['"', '“', '”', '‐', '-'], "");
                assert!(plain(&text).contains(&plain(&takes)), "{takes}\n{text}");
            }
        }
        assert!(keys > 20, "{keys}");
    }
}
