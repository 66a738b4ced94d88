//! Writes the manual pages and the shell completions into a folder:
//! `cargo run -p ebpfix-manual -- FOLDER`.
//!
//! Commands and options come from the command line's own definition, keys from the table from which
//! the parser reads them, so that the manual cannot tell anything else than the program does.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;
use ebpfix::cli::Cli;

mod page;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("ebpfix-manual FOLDER: writes the manual pages and the shell completions there");
        return ExitCode::from(2);
    };
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("ebpfix.8"), page::command(&mut Cli::command()))?;
        fs::write(folder.join("ebpfix.toml.5"), page::configuration())?;
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            clap_complete::generate_to(shell, &mut Cli::command(), "ebpfix", &folder)?;
        }
        Ok(())
    };
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ebpfix-manual: {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}
