use super::*;
use crate::export::{Column, Listed};

/// A configuration in which nothing has its default.
const FULL: &str = r#"
[observation]
domain-id = 4294967295
interfaces = ["eth*", "!eth7"]
directions = ["egress"]
sampling = 100
filter = ["net 10.0.0.0/8 and not port 53", "arp"]
attach = "clsact"
non-ip = "flow"
agent-address = "192.0.2.1"
cache-slots = 1024
log-records = 32768
drain-interval = "500ms"
[metering]
active-timeout = "5m"
idle-timeout = "1500ms"
max-flows = 1_000_000
duplicates = "drop"
[[collector]]
name = 'the "noc"'
address = "192.0.2.10"
protocol = "netflow-v9"
elements = ["sourceIPv4Address", "octetDeltaCount/4", "paddingOctets/3", "paddingOctets/1"]
resolve-interval = "90s"
source-address = "192.0.2.1"
source-port = 2056
source-interface = "mgmt0"
dscp = 16
ttl = 9
balance = "pair"
domain-id = 7
template-interval = "30s"
template-messages = 0
max-message-size = 1400
rate-limit = 1000
[[collector]]
address = "[2001:db8::1]:9995"
failover = "one"
[metrics]
listen = "[::1]:9464"
[daemon]
run-dir = "/run/other"
pin-dir = "/sys/fs/bpf/other"
[log]
level = "debug"
format = "json"
"#;

fn config(text: &str) -> Config {
    match parse("test.toml", text) {
        Ok(loaded) => loaded.config,
        Err(errors) => panic!("{errors}"),
    }
}

fn errors(text: &str) -> String {
    parse("f", text).unwrap_err().to_string()
}

fn warnings(text: &str) -> Vec<String> {
    let loaded = parse("f", text).unwrap();
    loaded.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn an_empty_file_gives_the_defaults() {
    assert_eq!(config(""), Config::default());
    assert_eq!(config("\u{feff}# only a comment\r\n"), Config::default());
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let config = Config::default();
    assert_eq!(config.observation.domain_id, 1);
    assert!(config.observation.interfaces.takes("eth0"));
    assert!(!config.observation.interfaces.takes("lo"));
    assert_eq!(config.observation.directions, Directions::Both);
    assert_eq!(config.observation.sampling.get(), 1);
    assert_eq!(config.observation.cache_slots, 4096);
    assert_eq!(config.metering.active_timeout, Duration::from_mins(1));
    assert_eq!(config.metering.idle_timeout, Duration::from_secs(15));
    assert_eq!(config.metering.max_flows.get(), 131_072);
    assert_eq!(config.metering.duplicates, DuplicatesMode::Mark);
    assert_eq!(config.metrics.listen, None);
    assert_eq!(
        config.daemon.control_socket(),
        Path::new("/run/ebpfix/control.sock")
    );
    assert_eq!(config.daemon.pin_dir, Path::new("/sys/fs/bpf/ebpfix"));
}

#[test]
fn the_defaults_are_the_meters_own() {
    let metering = Config::default().metering;
    let policy = crate::meter::Policy::default();
    assert_eq!(metering.active_timeout, policy.active_timeout);
    assert_eq!(metering.idle_timeout, policy.idle_timeout);
    assert_eq!(metering.max_flows, policy.max_flows);
    assert_eq!(metering.duplicates, policy.duplicates);
}

/// Shows 3954/3.2/inactive, 3954/3.2/active-configurable, 7011/10.1/ports,
/// 7011/8.4/again-configurable, 3954/7/configurable.
#[test]
fn every_key_reaches_its_field() {
    let config = config(FULL);
    let observation = &config.observation;
    assert_eq!(observation.domain_id, u32::MAX);
    assert!(observation.interfaces.takes("eth0") && !observation.interfaces.takes("eth7"));
    assert_eq!(observation.directions, Directions::Egress);
    assert_eq!(observation.sampling.get(), 100);
    assert_eq!(
        observation.filter.texts(),
        ["net 10.0.0.0/8 and not port 53", "arp"]
    );
    assert_eq!(observation.attach, Attach::Clsact);
    assert_eq!(observation.non_ip, NonIp::Flow);
    assert_eq!(
        observation.agent_address,
        Some(IpAddr::from([192, 0, 2, 1]))
    );
    assert_eq!(observation.cache_slots, 1024);
    assert_eq!(observation.log_records, 32768);
    assert_eq!(observation.drain_interval, Duration::from_millis(500));
    assert_eq!(config.metering.active_timeout, Duration::from_mins(5));
    assert_eq!(config.metering.idle_timeout, Duration::from_millis(1500));
    assert_eq!(config.metering.max_flows.get(), 1_000_000);
    assert_eq!(config.metering.duplicates, DuplicatesMode::Drop);
    let [first, second] = &config.collectors[..] else {
        panic!("two collectors")
    };
    assert_eq!(
        *first,
        Collector {
            name: "the \"noc\"".to_owned(),
            address: Endpoint {
                host: Host::Address(IpAddr::from([192, 0, 2, 10])),
                port: NonZeroU16::new(2055).unwrap(),
            },
            protocol: Protocol::NetflowV9,
            elements: Elements::new(
                [
                    ("sourceIPv4Address", None),
                    ("octetDeltaCount", Some(4)),
                    ("paddingOctets", Some(3)),
                    ("paddingOctets", Some(1)),
                ]
                .into_iter()
                .map(|(name, octets)| Listed::new(Column::named(name).unwrap(), octets).unwrap())
                .collect(),
            ),
            resolve_interval: Duration::from_secs(90),
            source_address: Some(IpAddr::from([192, 0, 2, 1])),
            source_port: NonZeroU16::new(2056),
            source_interface: Some("mgmt0".to_owned()),
            dscp: 16,
            ttl: Some(9),
            balance: Some("pair".to_owned()),
            failover: None,
            domain_id: Some(7),
            template_interval: Duration::from_secs(30),
            template_messages: 0,
            max_message_size: Some(1400),
            rate_limit: NonZeroU32::new(1000),
        }
    );
    let address = second.address.clone();
    assert_eq!(address.to_string(), "[2001:db8::1]:9995");
    assert_eq!(
        *second,
        Collector {
            failover: Some("one".to_owned()),
            ..Collector::new(address.to_string(), address, Protocol::Ipfix)
        }
    );
    assert_eq!(config.metrics.listen, "[::1]:9464".parse().ok());
    assert_eq!(config.daemon.run_dir, Path::new("/run/other"));
    assert_eq!(config.daemon.pin_dir, Path::new("/sys/fs/bpf/other"));
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn a_written_configuration_reads_as_the_same() {
    let zero = Config::zero(SocketAddr::from(([127, 0, 0, 1], 40000)));
    for config in [Config::default(), config(FULL), zero] {
        assert_eq!(self::config(&config.to_toml()), config);
    }
}

#[test]
fn a_written_configuration_has_every_key() {
    let written = config(FULL).to_toml();
    for table in TABLES {
        for key in table.keys {
            let line = format!("\n{} = ", key.name());
            assert!(written.contains(&line), "{}.{}", table.name, key.name());
        }
    }
}

#[test]
fn cache_slots_follow_max_flows() {
    for (max_flows, slots) in [(1, 16), (16, 16), (17, 32), (4096, 4096), (131_072, 4096)] {
        let config = config(&format!("[metering]\nmax-flows = {max_flows}"));
        assert_eq!(config.observation.cache_slots, slots, "{max_flows}");
    }
    assert_eq!(default_cache_slots(NonZeroU32::MAX), 4096);
}

#[test]
fn the_example_has_every_key_with_its_default() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/ebpfix.example.toml");
    let example = keys::example();
    if std::env::var_os("EBPFIX_UPDATE").is_some() {
        std::fs::write(path, &example).unwrap();
    }
    let file = std::fs::read_to_string(path).unwrap();
    assert_eq!(
        file, example,
        "run the tests with EBPFIX_UPDATE=1 to write it anew"
    );

    let config = config(&file);
    let noc = &config.collectors[0];
    let expected = Config {
        collectors: vec![Collector::new(
            "192.0.2.10:4739".to_owned(),
            noc.address.clone(),
            Protocol::Ipfix,
        )],
        ..Config::default()
    };
    assert_eq!(config, expected);
}

#[test]
fn the_example_reads_with_its_comments_taken_off() {
    let uncommented: String = keys::example()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') => format!("{key}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let config = config(&uncommented);
    assert_eq!(config.metrics.listen, "127.0.0.1:9464".parse().ok());
    assert_eq!(config.collectors[0].name, "noc");
    assert_eq!(config.collectors[0].source_port, NonZeroU16::new(49739));
}

#[test]
fn keys_are_described_once_and_in_full() {
    for table in TABLES {
        let mut names = std::collections::HashSet::new();
        for key in table.keys {
            assert!(names.insert(key.name()), "{} twice", key.name());
            assert!(key.doc().ends_with('.'), "{}: {}", key.name(), key.doc());
            assert!(!key.expected().is_empty());
        }
    }
    for name in [
        "observation",
        "metering",
        "collector",
        "metrics",
        "daemon",
        "log",
    ] {
        assert!(TABLES.iter().any(|table| table.name == name), "{name}");
    }
}

#[test]
fn the_key_of_elements_names_them_all_with_their_lengths() {
    let doc = keys::collector::ELEMENTS.doc;
    for column in crate::export::columns::COLUMNS {
        let name = column.element.name();
        let listed = [format!(" {name},"), format!(" {name}.")];
        assert!(listed.iter().any(|text| doc.contains(text)), "{name}");
        let (least, most) = column.lengths().into_inner();
        if least != most {
            let or = format!("{name} {least} or {most}");
            let to = [
                format!("{name} {least} to {most}"),
                format!("{name} and packetDeltaCount {least} to {most}"),
                format!("octetDeltaCount and {name} {least} to {most}"),
                or,
            ];
            assert!(to.iter().any(|text| doc.contains(text)), "{name}");
        }
    }
}

#[test]
fn elements_are_written_as_given() {
    let text = "[[collector]]\naddress = \"192.0.2.1\"\nelements = [\"octetDeltaCount/8\", \
                \"tcpControlBits\", \"interfaceName/16\", \"interfaceName\"]\n";
    assert!(errors(text).contains("found \"interfaceName\" again"));
    let text = text.replace(", \"interfaceName\"]", "]");
    let line = "\nelements = [\"octetDeltaCount/8\", \"tcpControlBits\", \"interfaceName/16\"]\n";
    assert!(config(&text).to_toml().contains(line));
}

#[test]
fn all_mistakes_of_a_file_are_reported_at_once() {
    let text = "[metering]\nidle-timeout = 15\nmax-flow = 3\n[log]\nlevel = \"loud\"\n";
    assert_eq!(
        errors(text),
        "f:2:16: metering.idle-timeout: expected a time from \"100ms\" to \"24h\", found 15\n\
         f:3:1: metering.max-flow: unknown key; did you mean \"max-flows\"?\n\
         f:5:9: log.level: expected \"error\", \"warn\", \"info\", \"debug\" or \"trace\", found \
         \"loud\""
    );
}

#[test]
fn a_line_that_cannot_be_read_is_reported_once_and_alone() {
    let text =
        "[metering]\nidle-timeout = 15s\nactive-timeout = \"1d\"\n[[collector]]\naddress = x\n";
    let errors = errors(text);
    let lines: Vec<_> = errors.lines().collect();
    assert_eq!(lines.len(), 3, "{errors}");
    assert!(lines[0].starts_with("f:2:"), "{errors}");
    assert!(
        lines[1].starts_with("f:3:18: metering.active-timeout: "),
        "{errors}"
    );
    assert!(lines[2].starts_with("f:5:11: "), "{errors}");
}

#[test]
fn what_a_mistake_in_syntax_leads_to_is_not_reported() {
    // The key of a line that cannot be read is not missing; what follows an unclosed table or list
    // is not unknown.
    for text in [
        "[[collector]]\naddress = 192.0.2.1\n",
        "[[collector]]\naddress : \"192.0.2.1\"\n",
        "[observation]\nsampling == 10\n",
        "[observation\nsampling = 10\n",
        "[observation]\nsampling =\ndomain-id = 1\n",
    ] {
        let errors = errors(text);
        assert_eq!(errors.lines().count(), 1, "{text}{errors}");
        assert!(errors.contains(": syntax error: "), "{text}{errors}");
    }
}

#[test]
fn columns_count_characters() {
    assert_eq!(
        errors("log = { \"größe\" = 1, levl = 2 }"),
        "f:1:9: log.\"größe\": unknown key; the keys of this table are level, format\n\
         f:1:22: log.levl: unknown key; did you mean \"level\"?"
    );
    assert_eq!(
        errors("[[collector]]\naddress = \"h\"\nname = \"ü\"\nprotocol = [\"ü\", 1]"),
        "f:4:12: collector.protocol: expected \"ipfix\", \"netflow-v9\" or \"netflow-v5\", found a list"
    );
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    const COLLECTOR: &str = "[[collector]]\naddress = \"192.0.2.1\"\n";
    assert_eq!(
        warnings(""),
        ["f: there is no [[collector]]: every flow is counted as lost (no_collector)"]
    );
    assert_eq!(warnings(COLLECTOR), [""; 0]);
    let timeouts = format!("{COLLECTOR}[metering]\nactive-timeout = \"10s\"\n");
    assert_eq!(
        warnings(&timeouts),
        ["f:3:1: metering.idle-timeout: 15s is longer than active-timeout, 10s: flows end by the \
          latter"]
            .map(|line| line.replace("15s", "\"15s\"").replace("10s", "\"10s\""))
    );
    let listener = format!("{COLLECTOR}[metrics]\nlisten = \"127.0.0.1:9464\"");
    assert_eq!(warnings(&listener), [""; 0]);
    let twice = format!("{COLLECTOR}name = \"a\"\n{COLLECTOR}name = \"b\"\n");
    assert_eq!(
        warnings(&twice),
        [
            "f:5:11: collector.address: 192.0.2.1:4739 is a collector in line 1 too: it gets \
          everything twice"
        ]
    );
    for (keys, expected) in [
        (
            "balance = \"x\"",
            "f:3:11: collector.balance: no other collector shares in \"x\": this one gets everything",
        ),
        (
            "failover = \"x\"",
            "f:3:12: collector.failover: no other collector is in \"x\"",
        ),
    ] {
        assert_eq!(warnings(&format!("{COLLECTOR}{keys}\n")), [expected]);
        let two = format!("{COLLECTOR}{keys}\n[[collector]]\naddress = \"192.0.2.9\"\n{keys}\n");
        assert_eq!(warnings(&two), [""; 0]);
    }
    let both = format!("{COLLECTOR}balance = \"x\"\nfailover = \"x\"\n");
    assert!(warnings(&both).contains(
        &"f:4:12: collector.failover: the key means nothing together with balance".to_owned()
    ));
    let version_5 = format!("{COLLECTOR}protocol = \"netflow-v5\"\n");
    assert_eq!(
        warnings(&version_5),
        [
            "f:3:12: collector.protocol: NetFlow v5 has no record for IPv6: without a collector of \
             another protocol it is counted as lost (not_in_protocol)"
        ]
    );
    let templates = format!("{version_5}template-messages = 5\ntemplate-interval = \"5s\"\n");
    assert_eq!(
        warnings(&templates)[1..],
        [
            "f:4:21: collector.template-messages: NetFlow v5 has no templates: the key means nothing",
            "f:5:21: collector.template-interval: NetFlow v5 has no templates: the key means nothing"
        ]
    );
    let both = version_5 + "[[collector]]\naddress = \"192.0.2.2\"\n";
    assert_eq!(warnings(&both), [""; 0]);
    let elements = |list: &str| warnings(&format!("{COLLECTOR}elements = [{list}]\n"));
    assert_eq!(
        elements("\"sourceIPv4Address\", \"octetDeltaCount\""),
        [
            "f:3:12: collector.elements: there are no addresses of IPv6 in the list: its flows are sent \
             without any"
        ]
    );
    for sound in [
        "\"sourceIPv4Address\", \"destinationIPv6Address\", \"octetDeltaCount\"",
        "\"octetDeltaCount\", \"ingressInterface\"",
    ] {
        assert_eq!(elements(sound), [""; 0]);
    }
    let rare = format!("{COLLECTOR}template-interval = \"1h\"\n");
    assert_eq!(warnings(&rare).len(), 1);
}

#[test]
fn no_mutilation_of_a_file_makes_the_reader_panic() {
    for (text, step) in [(FULL, 1), (&keys::example(), 7)] {
        for (at, _) in text.char_indices().step_by(step) {
            let (before, after) = text.split_at(at);
            let _ = parse("f", before);
            let _ = parse("f", after);
            let mut rest = after.chars();
            rest.next();
            let _ = parse("f", &format!("{before}{}", rest.as_str()));
        }
    }
    for c in ['"', '[', ']', '{', '=', '.', '\n', '#', '\0', 'ü'] {
        for (at, _) in FULL.char_indices() {
            let (before, after) = FULL.split_at(at);
            let problems = parse("f", &format!("{before}{c}{after}"));
            if let Err(errors) = problems {
                assert!(!errors.0.is_empty());
                for problem in errors.0 {
                    assert_eq!(problem.to_string().lines().count(), 1, "{problem}");
                }
            }
        }
    }
}

#[test]
fn files_that_cannot_be_read_are_named_in_one_line() {
    let message = |path: &str| Config::load(Path::new(path)).unwrap_err().to_string();
    assert_eq!(
        message("/nonexistent/e.toml"),
        "/nonexistent/e.toml: cannot be read: No such file or directory"
    );
    assert_eq!(message("/"), "/: cannot be read: Is a directory");
    assert_eq!(
        message("../conf/invalid/not-utf8.toml"),
        "../conf/invalid/not-utf8.toml:2:18: expected text in UTF-8, found the octet 0xf6"
    );
    assert_eq!(
        message("/dev/zero"),
        "/dev/zero: is no configuration: it has more than 1048576 octets"
    );
}
