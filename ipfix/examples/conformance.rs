//! Writes `CONFORMANCE.md` from `conformance/clauses.toml`, the requirements of the RFCs one by one,
//! and from the tests that say which of them they show. Run it after either changes:
//!
//! ```text
//! cargo run -p ipfix --example conformance
//! ```
//!
//! A test says so in a line of its documentation:
//!
//! ```text
//! /// Shows 7011/3.1/length, 7011/3.3.1/padding-zero.
//! #[test]
//! fn name() {
//! ```
//!
//! and a file of `tests/golden` in the comment behind the octets. The test `conformance` fails while
//! the committed file is not what this writes, a clause that is shown has no test, or a test names a
//! clause that there is not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Deserialize;

/// Writes the file anew.
#[allow(
    dead_code,
    reason = "the test that includes this file calls the functions"
)]
fn main() -> ExitCode {
    let written = read()
        .and_then(|conformance| page(&conformance))
        .and_then(|page| std::fs::write(page_path(), page).map_err(|e| e.to_string()));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            ExitCode::FAILURE
        }
    }
}

/// Where the page is.
pub fn page_path() -> PathBuf {
    crate_root().join("CONFORMANCE.md")
}

/// Requirements and tests as they are in the sources.
pub fn read() -> Result<Conformance, String> {
    let root = crate_root();
    let path = root.join("conformance/clauses.toml");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut evidence = Vec::new();
    for folder in TEST_FOLDERS {
        let folder = root.join(folder);
        for file in files(&folder)? {
            let text =
                std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
            let name = shown_path(root, &file);
            match file.extension().and_then(|extension| extension.to_str()) {
                Some("rs") => evidence.extend(shown_by_tests(&name, &text)?),
                Some("txt") => evidence.extend(shown_by_octets(&name, &text)),
                _ => {}
            }
        }
    }
    Ok(Conformance {
        document: parse(&text)?,
        evidence,
    })
}

/// Where tests are, from the crate on: those of the exporter show what the library leaves to it.
const TEST_FOLDERS: [&str; 6] = [
    "src",
    "tests",
    "../exporter/src",
    "../exporter/tests",
    "../tests/src",
    "../tests/tests",
];

/// Requirements, and what shows them.
pub struct Conformance {
    /// The requirements.
    pub document: Document,
    /// What shows them.
    pub evidence: Vec<Evidence>,
}

/// A test, or a file of octets, that shows a clause.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Evidence {
    /// The id of the clause.
    pub clause: String,
    /// The file, from the workspace on.
    pub file: String,
    /// The function; for a file of octets none.
    pub test: Option<String>,
}

/// The file of requirements.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Sections of RFCs, in order.
    section: Vec<Section>,
    /// Requirements, in the order of their sections.
    clause: Vec<Clause>,
}

/// A section of an RFC.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    /// RFC and section, as in `7011/3.1`.
    id: String,
    title: String,
    /// How often the section says MUST, SHOULD, RECOMMENDED, with NOT or without; not MAY.
    #[serde(default)]
    words: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Clause {
    /// The section's id and a name.
    id: String,
    level: Level,
    binds: Side,
    requires: String,
    status: Status,
    /// What a user must do, or why it is not so; for what is shown a remark.
    note: Option<String>,
    /// How many of the section's capital words this is, where it is not one.
    words: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Level {
    #[serde(rename = "MUST")]
    Must,
    #[serde(rename = "MUST NOT")]
    MustNot,
    #[serde(rename = "SHOULD")]
    Should,
    #[serde(rename = "SHOULD NOT")]
    ShouldNot,
    #[serde(rename = "RECOMMENDED")]
    Recommended,
    /// Without such a word, as most of the formats are.
    #[serde(rename = "stated")]
    Stated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    Writing,
    Reading,
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
enum Status {
    #[serde(rename = "shown")]
    Shown,
    #[serde(rename = "caller")]
    Caller,
    #[serde(rename = "n/a")]
    NotApplicable,
    #[serde(rename = "not done")]
    NotDone,
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::MustNot => "MUST NOT",
            Self::Should => "SHOULD",
            Self::ShouldNot => "SHOULD NOT",
            Self::Recommended => "RECOMMENDED",
            Self::Stated => "stated",
        }
    }
}

impl Side {
    const fn name(self) -> &'static str {
        match self {
            Self::Writing => "writing",
            Self::Reading => "reading",
            Self::Both => "both",
        }
    }
}

impl Status {
    const ALL: [Self; 4] = [
        Self::Shown,
        Self::Caller,
        Self::NotApplicable,
        Self::NotDone,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::Caller => "caller",
            Self::NotApplicable => "n/a",
            Self::NotDone => "not done",
        }
    }
}

impl Clause {
    fn section(&self) -> &str {
        self.id.rsplit_once('/').map_or("", |(section, _)| section)
    }

    fn words(&self) -> usize {
        let one = usize::from(self.level != Level::Stated);
        self.words.unwrap_or(one)
    }
}

impl Section {
    fn rfc(&self) -> &str {
        self.id.split('/').next().unwrap_or_default()
    }

    fn number(&self) -> &str {
        self.id.split('/').nth(1).unwrap_or_default()
    }
}

/// Reads `clauses.toml`, and refuses what cannot be right in it.
pub fn parse(text: &str) -> Result<Document, String> {
    let document: Document = toml::from_str(text).map_err(|e| e.to_string())?;
    let mut mistakes = Vec::new();
    let mut ids = BTreeSet::new();
    let mut place = 0;
    for clause in &document.clause {
        let id = &clause.id;
        if !ids.insert(id) {
            mistakes.push(format!("{id} is there twice"));
        }
        let of_section = |section: &Section| section.id == clause.section();
        match document.section.iter().position(of_section) {
            None => mistakes.push(format!("{id} is in no section")),
            Some(section) if section < place => mistakes.push(format!("{id} is out of order")),
            Some(section) => place = section,
        }
        if !clause.requires.ends_with('.') || clause.requires.contains(['|', '\n']) {
            mistakes.push(format!("{id}: {:?} is no sentence", clause.requires));
        }
        if clause.status != Status::Shown && clause.note.is_none() {
            mistakes.push(format!("{id}: {} needs a note", clause.status.name()));
        }
    }
    for section in &document.section {
        let clauses = document.clause.iter();
        let words: usize = clauses
            .filter(|clause| clause.section() == section.id)
            .map(Clause::words)
            .sum();
        if words != section.words {
            mistakes.push(format!(
                "{}: the section has {} capital words, its clauses {words}",
                section.id, section.words
            ));
        }
    }
    if mistakes.is_empty() {
        Ok(document)
    } else {
        Err(mistakes.join("\n"))
    }
}

/// What the tests of a source file say that they show.
///
/// # Errors
/// The line stands over something that is no test, or does not end with a full stop.
pub fn shown_by_tests(file: &str, source: &str) -> Result<Vec<Evidence>, String> {
    const MARK: &str = "/// Shows ";
    let mut evidence = Vec::new();
    let mut lines = source.lines().map(str::trim).enumerate();
    while let Some((at, line)) = lines.next() {
        let Some(line) = line.strip_prefix(MARK) else {
            continue;
        };
        let place = format!("{file}:{}", at + 1);
        // The list goes on in the lines below until a full stop; then attributes; then the function.
        let mut list = line.to_owned();
        let mut is_test = false;
        let mut in_attribute = false;
        let name = loop {
            let Some((_, line)) = lines.next() else {
                return Err(format!("{place}: no function follows"));
            };
            if in_attribute {
                in_attribute = !line.ends_with(']');
            } else if let Some(text) = line.strip_prefix("///") {
                if let Some(more) = text.strip_prefix(" Shows ") {
                    list = format!("{list}, {more}");
                } else if !list.ends_with('.') {
                    list = format!("{list} {}", text.trim());
                }
            } else if line.starts_with("#[") {
                is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
                in_attribute = !line.ends_with(']');
            } else if let Some(name) = function_name(line) {
                break name;
            } else {
                return Err(format!("{place}: {line:?} is no function"));
            }
        };
        if !is_test {
            return Err(format!("{place}: {name} is no test"));
        }
        if !list.ends_with('.') {
            return Err(format!("{place}: the list does not end with a full stop"));
        }
        let clauses = list.split(',').map(|id| id.trim().trim_end_matches('.'));
        evidence.extend(clauses.map(|clause| Evidence {
            clause: clause.to_owned(),
            file: file.to_owned(),
            test: Some(name.to_owned()),
        }));
    }
    Ok(evidence)
}

fn function_name(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line);
    line.strip_prefix("fn ")?.split(['(', '<']).next()
}

/// The clauses in the comments of a file of octets.
fn shown_by_octets(file: &str, text: &str) -> BTreeSet<Evidence> {
    let is_octet = |word: &str| word.len() == 2 && word.bytes().all(|b| b.is_ascii_hexdigit());
    text.lines()
        .filter(|line| line.split(' ').next().is_some_and(is_octet))
        .filter_map(|line| line.split_once('#'))
        .flat_map(|(_, comment)| comment.split([',', ' ', ':', ';']))
        .filter(|word| word.starts_with("7011/") || word.starts_with("3954/"))
        .map(|clause| Evidence {
            clause: clause.to_owned(),
            file: file.to_owned(),
            test: None,
        })
        .collect()
}

/// What does not fit together, one thing a line; nothing if all does.
pub fn mistakes(conformance: &Conformance) -> Vec<String> {
    let Conformance { document, evidence } = conformance;
    let mut mistakes = Vec::new();
    for evidence in evidence {
        let known = document.clause.iter().find(|c| c.id == evidence.clause);
        let place = place(evidence);
        match known.map(|clause| clause.status) {
            None => mistakes.push(format!("{place}: there is no clause {}", evidence.clause)),
            Some(status @ (Status::NotApplicable | Status::NotDone)) => mistakes.push(format!(
                "{place}: {} is said to be {}",
                evidence.clause,
                status.name()
            )),
            Some(Status::Shown | Status::Caller) => {}
        }
    }
    for clause in &document.clause {
        let shown = evidence.iter().any(|shown| shown.clause == clause.id);
        if clause.status == Status::Shown && !shown {
            mistakes.push(format!("{}: no test shows it", clause.id));
        }
    }
    mistakes
}

fn place(evidence: &Evidence) -> String {
    match &evidence.test {
        Some(test) => format!("{}::{test}", evidence.file),
        None => evidence.file.clone(),
    }
}

/// The text of `CONFORMANCE.md`.
///
/// # Errors
/// The [`mistakes`], if there are any.
pub fn page(conformance: &Conformance) -> Result<String, String> {
    let mistakes = mistakes(conformance);
    if !mistakes.is_empty() {
        return Err(mistakes.join("\n"));
    }
    let mut out = String::from(HEAD);
    write_page(&mut out, conformance).map_err(|e| e.to_string())?;
    Ok(out)
}

const HEAD: &str = "\
# Conformance, clause by clause

Written by `cargo run -p ipfix --example conformance`. Do not edit: change `conformance/clauses.toml`, or
the lines `/// Shows …` over tests.

A row is a requirement of an RFC, in our words. **Level** is the RFC's word; *stated* is what it says
without one, as it does of most formats. **Binds** says whom: who writes messages (Exporting Process,
Exporter), who reads them (Collecting Process, Collector), or both. **Status** is one of

- *shown*: the tests named show it;
- *caller*: it is beyond a library without sockets and clocks; the note says what its user has to do, and
  where the exporter of this project does it;
- *n/a*: it is about something that is not here;
- *not done*: it is not so, or nothing shows it.

Every MUST, SHOULD and RECOMMENDED (MAY apart) of the sections below is in a row: the number of these words
in each section is part of `clauses.toml` and has to agree with the rows.

";

fn write_page(out: &mut String, conformance: &Conformance) -> std::fmt::Result {
    let Conformance { document, evidence } = conformance;
    let mut by_clause: BTreeMap<&str, BTreeSet<&Evidence>> = BTreeMap::new();
    for evidence in evidence {
        by_clause
            .entry(&evidence.clause)
            .or_default()
            .insert(evidence);
    }
    let mut rfcs: Vec<&str> = document.section.iter().map(Section::rfc).collect();
    rfcs.dedup();

    writeln!(
        out,
        "| | {} | all |",
        Status::ALL.map(Status::name).join(" | ")
    )?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    for rfc in &rfcs {
        let of_rfc = |clause: &&Clause| clause.id.split('/').next() == Some(rfc);
        write!(out, "| RFC {rfc} |")?;
        for status in Status::ALL {
            let clauses = document.clause.iter().filter(of_rfc);
            let count = clauses.filter(|clause| clause.status == status).count();
            write!(out, " {count} |")?;
        }
        writeln!(out, " {} |", document.clause.iter().filter(of_rfc).count())?;
    }

    writeln!(out, "\n## Not done\n")?;
    let is_not_done = |clause: &&Clause| clause.status == Status::NotDone;
    for clause in document.clause.iter().filter(is_not_done) {
        let note = clause.note.as_deref().unwrap_or_default();
        writeln!(
            out,
            "- `{}` ({}): {} *{note}*",
            clause.id,
            clause.level.name(),
            clause.requires
        )?;
    }
    for rfc in rfcs {
        writeln!(out, "\n## RFC {rfc}")?;
        for section in document
            .section
            .iter()
            .filter(|section| section.rfc() == rfc)
        {
            writeln!(out, "\n### {} {}\n", section.number(), section.title)?;
            writeln!(
                out,
                "| clause | level | binds | requirement | status | shown by |"
            )?;
            writeln!(out, "|---|---|---|---|---|---|")?;
            let of_section = |clause: &&Clause| clause.section() == section.id;
            for clause in document.clause.iter().filter(of_section) {
                write_row(out, clause, by_clause.get(clause.id.as_str()))?;
            }
        }
    }
    Ok(())
}

fn write_row(
    out: &mut String,
    clause: &Clause,
    evidence: Option<&BTreeSet<&Evidence>>,
) -> std::fmt::Result {
    let name = clause.id.rsplit('/').next().unwrap_or_default();
    write!(
        out,
        "| {name} | {} | {} | {}",
        clause.level.name(),
        clause.binds.name(),
        clause.requires
    )?;
    if let Some(note) = &clause.note {
        write!(out, " *{note}*")?;
    }
    write!(out, " | {} | ", clause.status.name())?;
    writeln!(out, "{} |", places(evidence.into_iter().flatten().copied()))
}

/// Files with their tests, and the files of octets together.
fn places<'a>(evidence: impl Iterator<Item = &'a Evidence>) -> String {
    const OCTETS: &str = "tests/golden/";
    let mut by_file: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for evidence in evidence {
        let (file, name) = match (&evidence.test, evidence.file.strip_prefix(OCTETS)) {
            (Some(test), _) => (evidence.file.as_str(), test.as_str()),
            (None, name) => (OCTETS, name.unwrap_or(&evidence.file)),
        };
        by_file.entry(file).or_default().push(name);
    }
    let places: Vec<String> = by_file
        .into_iter()
        .map(|(file, names)| format!("`{file}`: {}", names.join(", ")))
        .collect();
    places.join("; ")
}

fn crate_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files of a folder and the folders in it, sorted.
fn files(folder: &Path) -> Result<BTreeSet<PathBuf>, String> {
    let wrong = |e: std::io::Error| format!("{}: {e}", folder.display());
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.insert(path);
        }
    }
    Ok(found)
}

/// A path as it is told: from this crate on, or from the workspace for other crates.
fn shown_path(root: &Path, file: &Path) -> String {
    let path = file.strip_prefix(root).unwrap_or(file);
    path.to_string_lossy()
        .trim_start_matches("../")
        .replace('\\', "/")
}
