//! The `ebpfix` command.

use std::process::ExitCode;

use clap::Parser as _;
use ebpfix::cli::Cli;

fn main() -> ExitCode {
    // Exits with 2 where the command line is wrong.
    let cli = Cli::parse();
    ebpfix::commands::dispatch(&cli.command)
}
