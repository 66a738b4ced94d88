//! `ebpfix check`.

use std::fmt::Write as _;

use super::Failure;
use crate::cli::CheckArgs;
use crate::config::Sources;

/// Says on stdout that all that was read is right, or with `--print` what is in force and where it
/// comes from; warnings go to stderr.
pub fn run(args: &CheckArgs) -> Result<(), Failure> {
    let mut sources = args.overrides.over(args.config.sources());
    if sources.is_empty() {
        // There is nothing to check but the file that is not there.
        sources = Sources::new(Some(args.config.path()));
    }
    let loaded = sources.load()?;
    for warning in &loaded.warnings {
        super::say(&format_args!("warning: {warning}"));
    }
    if args.print {
        return super::print(&loaded.to_toml());
    }
    let mut text = String::new();
    for name in &loaded.read {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}: ok");
    }
    if loaded.read.is_empty() {
        text.push_str("command line: ok\n");
    }
    super::print(&text)
}
