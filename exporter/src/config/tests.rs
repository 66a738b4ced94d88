use super::*;
use crate::export::{Column, Listed};
use crate::observe::Interface;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// A configuration in which nothing has its default.
const FULL: &str = r#"
[observation]
domain-id = 4294967295
interfaces = ["eth*", "!eth7"]
namespace = "blue"
directions = ["egress"]
sampling = 100
filter = ["net 10.0.0.0/8 and not port 53", "arp"]
attach = "clsact"
non-ip = "flow"
timestamps = "tick"
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
transport = "tls"
ca = "/etc/ca.pem"
certificate = "/etc/own.pem"
key = "/etc/own.key"
server-name = "collector.example"
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

fn takes(config: &Config, name: &str) -> bool {
    config.observation.interfaces.takes(&Interface {
        name: name.to_owned(),
        ..Interface::default()
    })
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
    assert!(takes(&config, "eth0") && !takes(&config, "lo"));
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
    assert!(takes(&config, "eth0") && !takes(&config, "eth7"));
    assert_eq!(observation.namespace.as_deref(), Some("blue"));
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
            transport: Transport::Udp,
            tls: TlsFiles::default(),
            profile: Profile::Standard,
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
            transport: Transport::Tls,
            tls: TlsFiles {
                ca: Some("/etc/ca.pem".into()),
                certificate: Some("/etc/own.pem".into()),
                key: Some("/etc/own.key".into()),
                server_name: Some("collector.example".to_owned()),
            },
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
    let uncommented = |but: &[&str]| -> String {
        let is_left_out = |key: &str| but.iter().any(|but| key.starts_with(&format!("{but} = ")));
        let example = keys::example();
        let lines = example.lines().map(|line| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') && !is_left_out(key) => format!("{key}\n"),
            _ => format!("{line}\n"),
        });
        lines.collect()
    };
    let udp = config(&uncommented(&["ca", "certificate", "key", "server-name"]));
    assert_eq!(udp.metrics.listen, "127.0.0.1:9464".parse().ok());
    assert_eq!(udp.collectors[0].name, "noc");
    assert_eq!(udp.collectors[0].source_port, NonZeroU16::new(49739));
    let text = uncommented(&["source-port"]);
    let tls = config(&text.replace("transport = \"udp\"", "transport = \"tls\""));
    let files = &tls.collectors[0].tls;
    assert!(files.ca.is_some() && files.certificate.is_some() && files.key.is_some());
}

#[test]
fn the_port_follows_protocol_and_transport() {
    for (keys, port) in [
        ("", 4739),
        ("transport = \"tcp\"", 4739),
        ("transport = \"tls\"", 4740),
        ("protocol = \"netflow-v9\"", 2055),
    ] {
        let config = config(&format!("[[collector]]\naddress = \"192.0.2.1\"\n{keys}\n"));
        assert_eq!(config.collectors[0].address.port.get(), port, "{keys}");
    }
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
    let connection = format!("{COLLECTOR}transport = \"tcp\"\ntemplate-interval = \"1h\"\n");
    assert_eq!(
        warnings(&connection),
        [
            "f:4:21: collector.template-interval: over a connection templates are sent once, at its \
             start: the key means nothing"
        ]
    );
    let written = config("[[collector]]\naddress = \"192.0.2.1\"\ntransport = \"tcp\"\n").to_toml();
    assert_eq!(warnings(&written), [""; 0]);
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

/// A folder of its own, gone with the value.
struct Folder(PathBuf);

impl Folder {
    /// With these files in it.
    fn with(name: &str, files: &[(&str, &str)]) -> Self {
        let folder = std::env::temp_dir().join(format!("ebpfix-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join(INCLUDES)).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        Self(folder)
    }

    fn sources(&self) -> Sources {
        Sources::new(Some(&self.0.join("ebpfix.toml")))
    }

    /// The text without this folder's name.
    fn plain(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn environment(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    variables
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)))
        .collect()
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn files_beside_the_file_are_read_after_it_in_the_order_of_their_names() {
    let folder = Folder::with(
        "includes",
        &[
            (
                "ebpfix.toml",
                "[observation]\ndomain-id = 7\nsampling = 2\n[metering]\nidle-timeout = \"5s\"\n\
                 [[collector]]\nname = \"a\"\naddress = \"192.0.2.1\"\n",
            ),
            (
                "conf.d/10.toml",
                "[observation]\nsampling = 10\n[log]\nlevel = \"warn\"\n",
            ),
            (
                "conf.d/9.toml",
                "observation.sampling = 9\n[[collector]]\nname = \"c\"\naddress = \"192.0.2.3\"\n",
            ),
            (
                "conf.d/A.toml",
                "[[collector]]\nname = \"d\"\naddress = \"192.0.2.4\"\n[metering]\nmax-flows = 16\n",
            ),
            ("conf.d/.hidden.toml", "no TOML"),
            ("conf.d/a.toml~", "no TOML"),
            ("conf.d/a.toml.dpkg-old", "no TOML"),
            ("conf.d/README", "no TOML"),
        ],
    );
    let loaded = folder.sources().load().unwrap();
    let config = &loaded.config;
    // By octets: 1 is before 9, digits are before letters.
    assert_eq!(config.observation.sampling.get(), 9);
    assert_eq!(config.observation.domain_id, 7);
    assert_eq!(config.metering.idle_timeout, Duration::from_secs(5));
    assert_eq!(config.metering.max_flows.get(), 16);
    assert_eq!(config.observation.cache_slots, 16);
    assert_eq!(config.log.level, LogLevel::Warn);
    let names: Vec<_> = config.collectors.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["a", "c", "d"]);
    let read: Vec<_> = loaded.read.iter().map(|name| folder.plain(name)).collect();
    assert_eq!(
        read,
        [
            "ebpfix.toml",
            "conf.d/10.toml",
            "conf.d/9.toml",
            "conf.d/A.toml"
        ]
    );
    let printed = folder.plain(&loaded.to_toml());
    for (key, origin) in [
        ("domain-id = 7", "ebpfix.toml:2"),
        ("sampling = 9", "conf.d/9.toml:1"),
        ("directions = [\"ingress\", \"egress\"]", "default"),
        ("max-flows = 16", "conf.d/A.toml:5"),
        ("name = \"c\"", "conf.d/9.toml:3"),
        ("address = \"192.0.2.4:4739\"", "conf.d/A.toml:3"),
        ("level = \"warn\"", "conf.d/10.toml:4"),
        ("cache-slots = 16", "default"),
    ] {
        let line = format!("{key:40}  # {origin}\n");
        assert!(printed.contains(&line), "{line}{printed}");
    }
    assert_eq!(parse("printed", &printed).unwrap().config, *config);
}

#[test]
fn the_environment_wins_over_files_and_the_command_line_over_both() {
    let folder = Folder::with(
        "overrides",
        &[(
            "ebpfix.toml",
            "[observation]\nsampling = 2\ndomain-id = 2\ndirections = [\"egress\"]\n\
             [[collector]]\naddress = \"192.0.2.1\"\n",
        )],
    );
    let loaded = folder
        .sources()
        .with_environment(environment(&[
            ("EBPFIX_OBSERVATION_SAMPLING", "10"),
            ("EBPFIX_OBSERVATION_DOMAIN_ID", "3"),
            ("EBPFIX_OBSERVATION_INTERFACES", "eth*, !eth7"),
            ("EBPFIX_METERING_ACTIVE_TIMEOUT", "30s"),
            ("EBPFIX_OBSERVATION_AGENT_ADDRESS", "2001:db8::1"),
            ("EBPFIX_METRICS_LISTEN", " \"127.0.0.1:9464\" "),
            ("EBPFIX_LOG_LEVEL", ""),
            (
                "EBPFIX_COLLECTOR",
                "192.0.2.7 [2001:db8::7]:99,protocol=netflow-v9,name=v9",
            ),
            ("EBPFIX_BIN", "/bin/ebpfix"),
            ("LOG_LEVEL", "loud"),
        ]))
        .with_flags(
            &strings(&[
                "observation.domain-id=4",
                "observation.domain-id = 5",
                "log.format=json",
                "observation.directions=ingress",
                "daemon.run-dir='/run/a b'",
            ]),
            &strings(&[
                "noc.example:4739,elements=[\"octetDeltaCount/4\", \"sourceIPv4Address\"],dscp=16",
            ]),
        )
        .load();
    let loaded = loaded.unwrap_or_else(|errors| panic!("{errors}"));
    let config = &loaded.config;
    assert_eq!(config.observation.sampling.get(), 10);
    assert_eq!(config.observation.domain_id, 5);
    assert!(takes(config, "eth1") && !takes(config, "eth7"));
    assert_eq!(config.observation.directions, Directions::Ingress);
    assert_eq!(config.metering.active_timeout, Duration::from_secs(30));
    assert_eq!(config.observation.agent_address, "2001:db8::1".parse().ok());
    assert_eq!(config.metrics.listen, "127.0.0.1:9464".parse().ok());
    assert_eq!(config.log.level, LogLevel::Info);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.daemon.run_dir, Path::new("/run/a b"));
    let [_, second, third, fourth] = &config.collectors[..] else {
        panic!("{:?}", config.collectors)
    };
    assert_eq!(second.address.to_string(), "192.0.2.7:4739");
    assert_eq!(third.name, "v9");
    assert_eq!(third.protocol, Protocol::NetflowV9);
    assert_eq!(third.address.to_string(), "[2001:db8::7]:99");
    assert_eq!(
        fourth
            .elements
            .as_ref()
            .map(|elements| elements.list().len()),
        Some(2)
    );
    assert_eq!(fourth.dscp, 16);
    let printed = folder.plain(&loaded.to_toml());
    for (key, origin) in [
        ("sampling = 10", "environment: EBPFIX_OBSERVATION_SAMPLING"),
        ("domain-id = 5", "--set observation.domain-id = 5"),
        ("dscp = 16", "--collector noc.example:4739,elements="),
        ("name = \"v9\"", "environment: EBPFIX_COLLECTOR"),
        ("address = \"192.0.2.1:4739\"", "ebpfix.toml:6"),
    ] {
        let line = format!("{key:40}  # {origin}");
        assert!(printed.contains(&line), "{line}\n{printed}");
    }
    assert_eq!(parse("printed", &printed).unwrap().config, *config);
    assert_eq!(
        folder.plain(&loaded.read.join("\n")).lines().next(),
        Some("ebpfix.toml")
    );
}

#[test]
fn every_key_of_a_single_table_can_be_set_by_a_variable_and_by_a_flag() {
    let written = config(FULL);
    let text = written.to_toml();
    for table in TABLES.iter().filter(|table| !table.many) {
        let header = format!("[{}]\n", table.name);
        let section = text.split(&header).nth(1).unwrap();
        let section = section.split("\n[").next().unwrap();
        for key in table.keys {
            let line = format!("{} = ", key.name());
            let value = section
                .lines()
                .find_map(|found| found.strip_prefix(&line))
                .unwrap();
            let alone = config(&format!("{header}{line}{value}\n"));
            assert_ne!(alone, Config::default(), "{}: the default", key.name());
            // As TOML, and where it is text, or a list of texts, without what marks it as such.
            let bare = value.trim_matches(['[', ']']).replace('"', "");
            for value in [value, bare.as_str()] {
                let variable = keys::variable(table.name, key.name());
                let by_variable = Sources::default()
                    .with_environment(environment(&[(&variable, value)]))
                    .load();
                assert_eq!(by_variable.unwrap().config, alone, "{variable}={value}");
                let setting = format!("{}.{}={value}", table.name, key.name());
                let by_flag = Sources::default().with_flags(&[setting], &[]).load();
                assert_eq!(by_flag.unwrap().config, alone);
            }
        }
    }
}

#[test]
fn overrides_that_are_wrong_are_named() {
    let errors = Sources::default()
        .with_environment(environment(&[
            ("EBPFIX_OBSERVATION_SAMPLNG", "10"),
            ("EBPFIX_OBSERVATOIN_SAMPLING", "10"),
            ("EBPFIX_COLLECTOR_ADDRESS", "192.0.2.1"),
            ("EBPFIX_METERING_IDLE_TIMEOUT", "15"),
            ("EBPFIX_OBSERVATION_DIRECTIONS", "ingress,outgress"),
            (
                "EBPFIX_COLLECTOR",
                "192.0.2.1,protocl=ipfix,ttl=0 protocol=ipfix",
            ),
            ("EBPFIX_LOG_LEVEL", "loud"),
        ]))
        .with_flags(
            &strings(&[
                "observation.sampling=0",
                "sampling=10",
                "observation.samplng=10",
                "collector.name=x",
                "log",
                "observation.interfaces=",
                "log.level",
                "metrics.listen=9464\n",
            ]),
            &strings(&["192.0.2.2:0", ""]),
        )
        .load()
        .unwrap_err()
        .to_string();
    let expected = "\
environment: EBPFIX_COLLECTOR: collector.protocl: unknown key; did you mean \"protocol\"?
environment: EBPFIX_COLLECTOR: collector.ttl: expected an integer from 1 to 255, found 0
environment: EBPFIX_COLLECTOR: collector.address: expected \"HOST:PORT\", \"IPV4:PORT\" or \"[IPV6]:PORT\", found nothing: the key is required
environment: EBPFIX_LOG_LEVEL: expected \"error\", \"warn\", \"info\", \"debug\" or \"trace\", found \"loud\"
environment: EBPFIX_METERING_IDLE_TIMEOUT: expected a time from \"100ms\" to \"24h\", found 15
environment: EBPFIX_OBSERVATION_DIRECTIONS: expected \"ingress\" or \"egress\", found \"outgress\"
--set observation.sampling=0: expected an integer from 1 to 4294967295, found 0
--set observation.interfaces=: expected an interface name, a glob such as \"eth*\", \"kind:\" and a kind, or \"alias:\" and a glob, found \"\"
--set metrics.listen=9464\\n: expected \"IPV4:PORT\" or \"[IPV6]:PORT\", found 9464
--collector 192.0.2.2:0: collector.address: expected \"HOST:PORT\", \"IPV4:PORT\" or \"[IPV6]:PORT\", found \"192.0.2.2:0\"
environment: EBPFIX_COLLECTOR_ADDRESS: there may be several [[collector]]: no variable sets one key of one of them; EBPFIX_COLLECTOR=ADDRESS,KEY=VALUE adds one
environment: EBPFIX_OBSERVATION_SAMPLNG: unknown key; did you mean EBPFIX_OBSERVATION_SAMPLING?
environment: EBPFIX_OBSERVATOIN_SAMPLING: unknown key; did you mean EBPFIX_OBSERVATION_SAMPLING?
--set sampling=10: expected TABLE.KEY=VALUE, found no table here; it belongs in [observation]
--set observation.samplng=10: unknown key; did you mean \"sampling\"?
--set collector.name=x: there may be several [[collector]]: --collector ADDRESS,KEY=VALUE adds one
--set log: expected TABLE.KEY=VALUE, such as observation.sampling=10
--set log.level: expected TABLE.KEY=VALUE, such as observation.sampling=10
--collector : expected the address of a collector, found nothing";
    assert_eq!(errors, expected);
}

/// What builds, tests and packages call theirs is nobody's misspelt key.
#[test]
fn other_variables_are_left_alone() {
    let others = [
        "BIN",
        "SHARED",
        "UPDATE",
        "SEED",
        "PATIENCE",
        "KEEP",
        "SOAK_SECONDS",
        "SOAK_SEED",
        "EXECUTIONS",
        "DUMP_PROBE",
        "PROBE",
        "OPTS",
        "ARGS",
        "CONFIG",
        "USER",
        "HOME",
        "DAEMON",
        "LOG",
        "VERSION",
    ];
    for name in others {
        let variable = format!("EBPFIX_{name}");
        let loaded = Sources::default()
            .with_environment(environment(&[(&variable, "x")]))
            .load();
        let loaded = loaded.unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(loaded.config, Config::default());
    }
}

#[test]
fn where_the_exporter_is_can_be_read_of_a_configuration_with_mistakes() {
    let folder = Folder::with(
        "daemon",
        &[
            (
                "ebpfix.toml",
                "[observaton]\nx = 1\n[daemon]\nrun-dir = \"/run/one\"\n",
            ),
            (
                "conf.d/1.toml",
                "[daemon]\nrun-dir = \"/run/two\"\n[log]\nlevel = loud\n",
            ),
        ],
    );
    let daemon = |variables: &[(&str, &str)]| {
        let sources = folder.sources().with_environment(environment(variables));
        assert!(sources.load().is_err());
        sources.load_daemon().map(|daemon| daemon.run_dir)
    };
    assert_eq!(daemon(&[]), Some("/run/two".into()));
    let three = ("EBPFIX_DAEMON_RUN_DIR", "/run/three");
    assert_eq!(daemon(&[three]), Some("/run/three".into()));
    assert_eq!(
        daemon(&[("EBPFIX_LOG_LEVEL", "loud"), three]),
        Some("/run/three".into())
    );
    assert_eq!(daemon(&[("EBPFIX_DAEMON_RUN_DIR", "three")]), None);
}

#[test]
fn what_cannot_be_read_beside_the_file_is_an_error() {
    let folder = Folder::with("unreadable", &[("ebpfix.toml", "")]);
    let message = || folder.plain(&folder.sources().load().unwrap_err().to_string());
    let includes = folder.0.join(INCLUDES);
    let place = includes.join("5.toml");

    fs::create_dir(&place).unwrap();
    assert_eq!(message(), "conf.d/5.toml: expected a file, found a folder");
    fs::remove_dir(&place).unwrap();
    let mkfifo = std::process::Command::new("mkfifo").arg(&place).status();
    assert!(mkfifo.unwrap().success());
    assert_eq!(message(), "conf.d/5.toml: expected a file, found a pipe");
    fs::remove_file(&place).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &place).unwrap();
    assert_eq!(message(), "conf.d/5.toml: expected a file, found a device");
    fs::remove_file(&place).unwrap();
    std::os::unix::fs::symlink("nowhere", &place).unwrap();
    assert_eq!(
        message(),
        "conf.d/5.toml: cannot be read: No such file or directory"
    );
    fs::remove_file(&place).unwrap();

    // A link to a file is a file.
    let elsewhere = folder.0.join("elsewhere");
    fs::write(&elsewhere, "[observation]\nsampling = 3\n").unwrap();
    std::os::unix::fs::symlink(&elsewhere, &place).unwrap();
    let loaded = folder.sources().load().unwrap();
    assert_eq!(loaded.config.observation.sampling.get(), 3);
    assert!(has_includes(&folder.0.join("ebpfix.toml")));

    let large = "#".repeat(1 << 20);
    for name in ["6", "7", "8", "9"] {
        fs::write(includes.join(format!("{name}.toml")), &large).unwrap();
    }
    assert_eq!(
        message(),
        "conf.d/9.toml: is too much: all files together have more than 4194304 octets"
    );
    for number in 0..300 {
        fs::write(includes.join(format!("x{number}.toml")), "").unwrap();
    }
    assert_eq!(
        message(),
        "conf.d: has more than 256 files whose names end in .toml"
    );
    fs::remove_dir_all(&includes).unwrap();
    assert!(folder.sources().load().is_ok());
    assert!(!has_includes(&folder.0.join("ebpfix.toml")));
    fs::write(&includes, "").unwrap();
    assert_eq!(message(), "conf.d: cannot be read: Not a directory");
}

proptest::proptest! {
    /// Nothing that stands in the environment or on the command line makes the reader panic, and each
    /// mistake is told in one line.
    #[test]
    fn no_override_makes_the_reader_panic(
        key in 0_usize..TABLES.iter().map(|table| table.keys.len()).sum(),
        value in "(?s)([0-9a-z,=.\"'\\[\\]{} \n\u{e9}]|.){0,24}",
        setting in "(?s)[a-z.=-]{0,20}.{0,10}",
    ) {
        let keys = || TABLES.iter().flat_map(|table| table.keys.iter().map(move |key| (table, key)));
        let (table, key) = keys().nth(key).unwrap();
        let settings = [format!("{}.{}={value}", table.name, key.name()), setting];
        let collectors = [value.clone(), format!("192.0.2.1,{}={value}", key.name())];
        let variable = keys::variable(table.name, key.name());
        let loaded = Sources::default()
            .with_environment(environment(&[(&variable, &value), ("EBPFIX_COLLECTOR", &value)]))
            .with_flags(&settings, &collectors)
            .load();
        if let Err(errors) = loaded {
            assert!(!errors.0.is_empty());
            for problem in errors.0 {
                assert_eq!(problem.to_string().lines().count(), 1, "{problem}");
            }
        }
    }
}
