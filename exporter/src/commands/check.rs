//! `ebpfix check`.

use std::io::{self, Write as _};

use super::Failure;
use crate::cli::CheckArgs;
use crate::config::Config;

/// Says on stdout that the file is right, or with `--print` what is in force; warnings go to stderr.
pub fn run(args: &CheckArgs) -> Result<(), Failure> {
    let path = args.config.path();
    let loaded = Config::load(path)?;
    for warning in &loaded.warnings {
        super::say(&format_args!("warning: {warning}"));
    }
    let text = if args.print {
        loaded.config.to_toml()
    } else {
        format!("{}: ok\n", path.display())
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}
