//! `ebpfix check`.

use std::fmt::Write as _;

use super::Failure;
use crate::cli::CheckArgs;

/// Says on stdout that all that was read is right, or with `--print` what is in force and where it
/// comes from; warnings go to stderr.
pub fn run(args: &CheckArgs) -> Result<(), Failure> {
    let sources = args.overrides.over(args.config.checked());
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
    super::print(&text)
}
