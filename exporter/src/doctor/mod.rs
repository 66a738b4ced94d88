//! What keeps an exporter from working, or from seeing all packets: `ebpfix doctor`.
//!
//! Each part looks at something of this host and says what it [found](Finding). What the parts make
//! of what they read is apart from the reading, so that it can be tested on any host.
#![forbid(unsafe_code)]

mod collectors;
mod host;
mod interfaces;
mod kernel;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::config::{Config, Sources};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Info,
    /// It could not be looked at.
    Unknown,
    /// Something is less than it could be: packets unseen, a clock that is wrong.
    Warning,
    /// An exporter will not work as configured.
    Problem,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What it is about: `kernel`, `privileges`, `config`, `interface`, `collector`, `host`.
    pub area: &'static str,
    /// Which one, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What was found.
    pub text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    fn new(severity: Severity, area: &'static str, text: impl Into<String>) -> Self {
        Self {
            severity,
            area,
            subject: None,
            text: text.into(),
            advice: None,
        }
    }

    fn ok(area: &'static str, text: impl Into<String>) -> Self {
        Self::new(Severity::Ok, area, text)
    }

    fn info(area: &'static str, text: impl Into<String>) -> Self {
        Self::new(Severity::Info, area, text)
    }

    fn unknown(area: &'static str, text: impl Into<String>) -> Self {
        Self::new(Severity::Unknown, area, text)
    }

    fn warning(area: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            advice: Some(advice.into()),
            ..Self::new(Severity::Warning, area, text)
        }
    }

    fn problem(area: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            advice: Some(advice.into()),
            ..Self::new(Severity::Problem, area, text)
        }
    }

    /// Of this one among several.
    fn of(self, subject: &str) -> Self {
        Self {
            subject: Some(subject.to_owned()),
            ..self
        }
    }

    fn advised(self, advice: impl Into<String>) -> Self {
        Self {
            advice: Some(advice.into()),
            ..self
        }
    }
}

/// All that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// By area.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Findings that keep an exporter from working.
    pub fn problems(&self) -> usize {
        self.count(Severity::Problem)
    }

    fn count(&self, severity: Severity) -> usize {
        let same = |finding: &&Finding| finding.severity == severity;
        self.findings.iter().filter(same).count()
    }
}

impl Serialize for Report {
    /// `version`, how many of `problems`, `warnings` and `unknown`, and the `findings`.
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("version", env!("CARGO_PKG_VERSION"))?;
        map.serialize_entry("problems", &self.problems())?;
        map.serialize_entry("warnings", &self.count(Severity::Warning))?;
        map.serialize_entry("unknown", &self.count(Severity::Unknown))?;
        map.serialize_entry("findings", &self.findings)?;
        map.end()
    }
}

impl fmt::Display for Report {
    /// A line for each finding, and under it what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            let severity = match finding.severity {
                Severity::Ok => "ok",
                Severity::Info => "info",
                Severity::Unknown => "unknown",
                Severity::Warning => "WARNING",
                Severity::Problem => "PROBLEM",
            };
            write!(f, "{severity:<8} {}", finding.area)?;
            if let Some(subject) = &finding.subject {
                write!(f, " {subject}")?;
            }
            writeln!(f, ": {}", finding.text)?;
            if let Some(advice) = &finding.advice {
                writeln!(f, "{:<8}   -> {advice}", "")?;
            }
        }
        writeln!(
            f,
            "\nproblems: {}, warnings: {}, not looked at: {}",
            self.problems(),
            self.count(Severity::Warning),
            self.count(Severity::Unknown)
        )
    }
}

/// Examines this host for an exporter with this configuration; without a file for one with every
/// default. Needs a tokio runtime. Nothing is changed.
pub async fn examine(file: Option<&Path>) -> Report {
    let (config, mut findings) = config(file);
    findings.extend(kernel::findings(&config));
    findings.extend(host::findings(&config).await);
    findings.extend(interfaces::findings(&config).await);
    findings.extend(collectors::findings(&config).await);
    Report { findings }
}

/// The configuration to examine for, and what is to be said of it.
fn config(file: Option<&Path>) -> (Config, Vec<Finding>) {
    const AREA: &str = "config";
    let sources = Sources::new(file).with_environment(std::env::vars_os());
    let name = file.map_or_else(
        || "environment".to_owned(),
        |path| path.display().to_string(),
    );
    let loaded = sources.load();
    if let (None, Ok(loaded)) = (file, &loaded)
        && loaded.read.is_empty()
    {
        let text = "there is no file: examined for the defaults, every interface but lo";
        return (Config::default(), vec![Finding::info(AREA, text)]);
    }
    match loaded {
        Ok(loaded) => {
            let mut findings = vec![Finding::ok(AREA, format!("{name}: ok"))];
            findings.extend(
                loaded
                    .warnings
                    .iter()
                    .map(|warning| Finding::warning(AREA, warning.to_string(), "see ebpfix check")),
            );
            (loaded.config, findings)
        }
        Err(errors) => {
            let findings = errors.to_string();
            let findings = findings
                .lines()
                .map(|line| Finding::problem(AREA, line, "correct it; see ebpfix check"));
            (Config::default(), findings.collect())
        }
    }
}
