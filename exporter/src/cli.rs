//! The command line.
#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help texts, which are no Markdown"
)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::DEFAULT_FILE;

mod view;
pub use view::*;

/// Flow exporter: counts every packet of every flow in the kernel, tells collectors by IPFIX or
/// NetFlow v9.
#[derive(Debug, Parser)]
#[command(name = "ebpfix", version, max_term_width = 100)]
#[command(after_help = "\
Exit status: 0 success; 1 failure; 2 wrong use of the command line; 78 wrong configuration.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Observe and export, in the foreground
    ///
    /// SIGTERM and SIGINT end it: what is held is exported first. SIGHUP makes it read its
    /// configuration again. Without a configuration it observes every interface but lo,
    /// and prints the flows to stdout by way of a collector of its own on the loopback.
    Run(RunArgs),
    /// Check a configuration
    ///
    /// Says "FILE: ok", or else every mistake, one a line, as FILE:LINE:COLUMN: KEY: what is
    /// expected, what was found; and exits with 78.
    Check(CheckArgs),
    /// Receive IPFIX, NetFlow v9 and v5 and print the flows, or store them in a file
    ///
    /// From any number of exporters, over UDP. SIGTERM and SIGINT end it with a summary on stderr.
    /// With FILEs it prints the flows that are stored in them, as they would have been printed when
    /// they were received, and ends.
    Collect(CollectArgs),
    /// Ask the running exporter how it does
    ///
    /// Prints the ledger (what was observed, exported, is held, was lost and why), the collectors
    /// and the interfaces.
    Status(StatusArgs),
    /// Show the flows that the running exporter holds
    ///
    /// Flows that have not ended, with what their record in progress has counted: which, in which order
    /// and how many, one by one or added up by any fields.
    Flows(FlowsArgs),
    /// Watch flows, talkers, services and interfaces
    ///
    /// A screen of what counts most, second by second; ? shows the keys. It asks the running exporter,
    /// or with -i it observes these interfaces by itself (as root) and takes its programs off again.
    /// Where stdout is no terminal, or a dumb one, it writes lines.
    Top(TopArgs),
    /// Show the templates that the running exporter announces to its collectors
    Templates(TemplatesArgs),
    /// Have the running exporter read its configuration again
    ///
    /// As SIGHUP does, and says what came of it. Where there is a mistake, each is told as `check`
    /// does, the configuration in force stays, and the exit status is 78.
    Reload(ReloadArgs),
    /// Have the running exporter export every flow that it holds
    ///
    /// The flows go on in new records. Returns when all are on their way to the collectors.
    Flush(FlushArgs),
    /// Show or set what the running exporter logs
    ///
    /// Until it ends, or reads another level in its configuration.
    LogLevel(LogLevelArgs),
    /// Have the running exporter end for another to go on
    ///
    /// It exports what it holds and ends, but leaves its programs attached and its tables in the
    /// kernel. They count on, and the next `ebpfix run` with the same pin-dir takes them over: so a
    /// new version, or a new configuration, misses no packet. Returns when the exporter has ended.
    /// Until the next one starts the kernel holds what it has room for (log-records); what it has not
    /// is counted as lost, log_full.
    Handover(HandoverArgs),
    /// Take off what an exporter left in the kernel
    ///
    /// After `handover`, or after an exporter was killed, when no other is to follow: detaches its
    /// programs and removes its tables, and says what was still in them. It refuses while an exporter
    /// runs. To be run in the network namespace that was observed.
    Detach(DetachArgs),
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The file to use instead of the default
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The file to use instead of the default
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print what is in force, defaults included, as a configuration file
    #[arg(long)]
    pub print: bool,
}

/// Arguments of `collect`.
#[derive(Debug, Args)]
pub struct CollectArgs {
    /// Where to listen; an IPv6 address stands in brackets
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:4739")]
    pub listen: SocketAddr,
    /// How flows are printed [default: table; with --write: not at all]
    #[arg(long, value_enum)]
    pub format: Option<OutputFormat>,
    /// Store what is received in this file, an IPFIX File (RFC 5655)
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Replace the file to write if it exists
    #[arg(long, requires = "write")]
    pub force: bool,
    /// Print the flows of these IPFIX Files instead of receiving any; - is stdin
    #[arg(value_name = "FILE", conflicts_with_all = ["listen", "write"])]
    pub files: Vec<PathBuf>,
}

impl CollectArgs {
    /// How flows are printed, if they are.
    pub fn output_format(&self) -> Option<OutputFormat> {
        let default = self.write.is_none().then_some(OutputFormat::Table);
        self.format.or(default)
    }
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The file to use instead of the default
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print one JSON object
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Print every number and word of the JSON as a line of comma-separated values: NAME,VALUE
    #[arg(long)]
    pub csv: bool,
}

/// Arguments of `handover`.
#[derive(Debug, Args)]
pub struct HandoverArgs {
    /// The file to use instead of the default
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Arguments of `detach`.
#[derive(Debug, Args)]
pub struct DetachArgs {
    /// The file to use instead of the default
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Which configuration file.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// Configuration file [default: /etc/ebpfix/ebpfix.toml]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl ConfigFile {
    /// The file that is named, else the default file.
    pub fn path(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE))
    }

    /// The file that is named, else the default file if it exists.
    pub fn existing(&self) -> Option<&Path> {
        // Of a file that may not be looked at, reading it says more than leaving it out.
        let default = Path::new(DEFAULT_FILE);
        let default = || (!matches!(default.try_exists(), Ok(false))).then_some(default);
        self.config.as_deref().or_else(default)
    }
}

/// How flows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Columns, for people
    Table,
    /// A JSON object a line
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let cli = Cli::try_parse_from(["ebpfix", "collect"]).unwrap();
        let Command::Collect(args) = cli.command else {
            panic!("{cli:?}")
        };
        assert_eq!(args.listen, SocketAddr::from(([127, 0, 0, 1], 4739)));
        assert_eq!(args.output_format(), Some(OutputFormat::Table));

        let cli = Cli::try_parse_from(["ebpfix", "check"]).unwrap();
        let Command::Check(args) = cli.command else {
            panic!("{cli:?}")
        };
        assert_eq!(args.config.path(), Path::new("/etc/ebpfix/ebpfix.toml"));
    }

    #[test]
    fn a_named_file_is_used_whether_it_exists_or_not() {
        let cli = Cli::try_parse_from(["ebpfix", "run", "--config", "/nonexistent"]).unwrap();
        let Command::Run(args) = cli.command else {
            panic!("{cli:?}")
        };
        assert_eq!(args.config.existing(), Some(Path::new("/nonexistent")));
    }

    #[test]
    fn the_help_names_the_default_file() {
        let help = Cli::command()
            .find_subcommand_mut("check")
            .unwrap()
            .render_help()
            .to_string();
        assert!(help.contains(DEFAULT_FILE), "{help}");
    }
}
