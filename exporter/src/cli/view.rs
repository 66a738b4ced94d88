//! The commands that look at a running exporter, or tell it something.
use std::str::FromStr as _;
use std::time::Duration;

use clap::Args;

use super::ConfigFile;
use crate::config::LogLevel;
use crate::filter::Filter;
use crate::flows::{Field, MAX_ROWS};

/// What filters are, for the help.
const FILTERS: &str = "\
A FILTER is made of tests, joined by and, or, not and parentheses; and binds closer than or:

  10.0.0.1, 2001:db8::/32, src 10.0.0.0/8, dst 192.0.2.1   an address, or a network
  net 10.0.0.0/8,192.0.2.0/24                              one of several
  port 53, src port 1024-65535, dst port 80,443            ports
  tcp, udp, icmp, icmp6, sctp, gre, ..., proto 89          a protocol
  ip, ip6, arp, ether 0x88cc                               an ethertype
  in eth0, out wan*, on wg0, in, out                       where it was seen
  mac 02:00:00:00:00:01, vlan, vlan 7, duplicate           layer 2
  flags SR                                                 TCP flags, all of them
  packets > 100, bytes >= 10k, tos = 16, min_ttl < 5       numbers (= != < <= > >=)

Such as: src 10.0.0.0/8 and (port 443 or icmp) and not in eth0";

/// What fields there are, for the help.
const FIELDS: &str = "\
Fields to add up by: src, dst, proto, sport, dport, service (the lower of both ports), direction,
if_index, interface, src_mac, dst_mac, vlan, customer_vlan, eth_type, tos, sampling, duplicate.
Sums have these, and flows, packets, bytes, start, end, tcp_flags. Single flows have all fields but
service and flows, and min_ttl, max_ttl.

A packet that is seen at several places of this host (routed: entering here, leaving there) counts
once in a sum, unless the fields or the filter ask for a place: interface, direction, VLAN, MAC.";

/// Arguments of `flows`.
#[derive(Debug, Args)]
#[command(after_long_help = format!("{FILTERS}\n\n{FIELDS}"))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct FlowsArgs {
    /// The file to use instead of the default
    #[command(flatten)]
    pub config: ConfigFile,
    /// Only these flows; all words together are one filter, see below
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
    /// Add flows up by these fields
    #[arg(long, value_name = "FIELD,...", value_delimiter = ',', value_parser = key)]
    pub by: Vec<Field>,
    /// The field that says the order: the most first of what is counted, else the least first
    #[arg(long, value_name = "FIELD", default_value = "bytes", value_parser = Field::from_str)]
    pub sort: Field,
    /// The other way round
    #[arg(long)]
    pub reverse: bool,
    /// Rows at most, up to 10000 [default: 100; with --json and --csv: 10000]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub top: Option<u16>,
    /// A JSON object a row
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Comma-separated values (RFC 4180), the first line has the names
    #[arg(long)]
    pub csv: bool,
    /// Go on: after each interval what flows have counted in it, with rates
    #[arg(short, long)]
    pub follow: bool,
    /// Of --follow; not less than how often the kernel is read (drain-interval)
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
}

impl FlowsArgs {
    /// Rows at most.
    pub fn limit(&self) -> usize {
        const FOR_PEOPLE: usize = 100;
        match self.top {
            Some(rows) => rows.into(),
            None if self.json || self.csv => MAX_ROWS,
            None => FOR_PEOPLE,
        }
    }
}

/// Arguments of `top`.
#[derive(Debug, Args)]
#[command(after_long_help = FILTERS)]
pub struct TopArgs {
    /// The file to use instead of the default
    #[command(flatten)]
    pub config: ConfigFile,
    /// Only these flows; all words together are one filter, see below
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
    /// Observe this interface, without an exporter; may be given several times
    #[arg(short, long, value_name = "NAME")]
    pub interface: Vec<String>,
    /// Between two looks
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
    /// No colours; as if NO_COLOR were set
    #[arg(long)]
    pub no_color: bool,
    /// Write lines instead of a screen, as it is done where the terminal is none or dumb
    #[arg(short, long)]
    pub batch: bool,
    /// End after so many looks
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub iterations: Option<u32>,
}

/// Arguments of `templates`.
#[derive(Debug, Args)]
pub struct TemplatesArgs {
    /// The file to use instead of the default
    #[command(flatten)]
    pub config: ConfigFile,
    /// Only of this collector, by its name
    #[arg(value_name = "COLLECTOR")]
    pub collector: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `reload`.
#[derive(Debug, Args)]
pub struct ReloadArgs {
    /// The file to use instead of the default
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Arguments of `flush`.
#[derive(Debug, Args)]
pub struct FlushArgs {
    /// The file to use instead of the default
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Arguments of `log-level`.
#[derive(Debug, Args)]
pub struct LogLevelArgs {
    /// The file to use instead of the default
    #[command(flatten)]
    pub config: ConfigFile,
    /// The least severity that is to be logged
    #[arg(value_name = "LEVEL", value_enum)]
    pub level: Option<LogLevel>,
}

/// The filter that several words are.
///
/// # Errors
/// In words, with a second and third line that show the place.
pub fn filter(words: &[String]) -> Result<Filter, String> {
    Filter::from_str(&words.join(" ")).map_err(|error| {
        let pointer = error.pointer().replace('\n', "\n  ");
        format!("{error}\n  {pointer}")
    })
}

fn key(name: &str) -> Result<Field, String> {
    let field: Field = name.parse().map_err(|error| format!("{error}"))?;
    if field.is_key() {
        Ok(field)
    } else {
        Err(format!("flows cannot be added up by {field}"))
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    const LEAST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_hours(1);
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let millis = units.into_iter().find_map(|(unit, millis)| {
        let number = text.strip_suffix(unit)?;
        let digits = number.bytes().all(|octet| octet.is_ascii_digit());
        digits.then(|| number.parse::<u64>().ok()?.checked_mul(millis))?
    });
    millis
        .map(Duration::from_millis)
        .filter(|time| (LEAST..=MOST).contains(time))
        .ok_or_else(|| "expected a time from 100ms to 1h, such as 500ms, 2s or 1m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_units_and_bounds() {
        for (text, millis) in [
            ("100ms", 100),
            ("2s", 2_000),
            ("1m", 60_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(interval(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "1",
            "s",
            "99ms",
            "2h",
            "-1s",
            "+1s",
            "1 s",
            "99999999999999999999s",
        ] {
            assert!(interval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_help_names_every_field_and_every_number() {
        for field in Field::ALL
            .into_iter()
            .filter(|field| field.is_key() || field.is_sum())
        {
            assert!(FIELDS.contains(field.name()), "{field}");
        }
        let lines: Vec<_> = FILTERS
            .lines()
            .filter(|line| line.starts_with("  "))
            .collect();
        assert!(lines.len() > 5);
        for line in lines {
            // Up to the explanation, example by example.
            let examples = line.trim().split("  ").next().unwrap();
            for example in examples.split(", ").filter(|example| *example != "...") {
                let example = example.split(" (").next().unwrap();
                assert!(Filter::from_str(example).is_ok(), "{example}");
            }
        }
        let (_, example) = FILTERS.split_once("Such as: ").unwrap();
        assert!(Filter::from_str(example).is_ok());
    }

    #[test]
    fn a_wrong_filter_is_shown_with_its_place() {
        let words = ["tcp", "and", "prot", "80"].map(str::to_owned);
        let error = filter(&words).unwrap_err();
        assert!(
            error.starts_with("filter, column 9: expected a test: "),
            "{error}"
        );
        assert!(
            error.ends_with("\n  tcp and prot 80\n          ^^^^"),
            "{error}"
        );
    }
}
