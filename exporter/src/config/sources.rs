//! Where a configuration comes from: a file, the files beside it in `conf.d`, environment variables,
//! the command line.
//!
//! [`Sources`] remembers all of them, so that the files can be read again under the same overrides.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::keys::{self, Described, Table};
use super::read::{self, Errors, Form, Loaded, Position, Problem, Source};
use super::{Config, Daemon};
use crate::record::UnixTime;

/// The folder beside a configuration file whose files are read after it.
pub const INCLUDES: &str = "conf.d";
/// Files that are read from [`INCLUDES`] at most.
const MOST_FILES: usize = 256;
/// Octets of a file at most: no configuration is this large; `/dev/zero` is.
const LARGEST_FILE: u64 = 1 << 20;
/// Octets of all files together at most.
const LARGEST: usize = 4 << 20;

/// Where a configuration comes from. What comes later wins, key by key: defaults, the file, the files
/// beside it in [`INCLUDES`], the environment, the command line. Collectors of all of them add up.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    built_in: Option<String>,
    file: Option<PathBuf>,
    /// Names that begin with [`keys::VARIABLE_PREFIX`], in order, and their values.
    variables: Vec<(OsString, OsString)>,
    settings: Vec<String>,
    collectors: Vec<String>,
}

impl Sources {
    /// A file and the files beside it; without a file nothing but the defaults.
    pub fn new(file: Option<&Path>) -> Self {
        Self {
            file: file.map(Path::to_owned),
            ..Self::default()
        }
    }

    /// With what these environment variables say. Those whose names do not begin with `EBPFIX_` are
    /// another program's, and those with an empty value count as not set.
    #[must_use]
    pub fn with_environment(
        mut self,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let prefix = keys::VARIABLE_PREFIX.as_bytes();
        let ours = variables
            .into_iter()
            .filter(|(name, value)| name.as_bytes().starts_with(prefix) && !value.is_empty());
        self.variables.extend(ours);
        self.variables.sort();
        self
    }

    /// With what the command line says: each of `settings` is `TABLE.KEY=VALUE`, each of `collectors`
    /// an address, and behind commas `KEY=VALUE`.
    #[must_use]
    pub fn with_flags(mut self, settings: &[String], collectors: &[String]) -> Self {
        self.settings.extend_from_slice(settings);
        self.collectors.extend_from_slice(collectors);
        self
    }

    /// With a text of lower rank than the file, in place of the defaults.
    #[must_use]
    pub fn with_built_in(mut self, text: String) -> Self {
        self.built_in = Some(text);
        self
    }

    /// The file.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Whether collectors are named beside the files: in the environment or on the command line.
    pub fn names_collectors(&self) -> bool {
        let named = |(name, _): &(OsString, OsString)| name == keys::COLLECTOR_VARIABLE;
        !self.collectors.is_empty() || self.variables.iter().any(named)
    }

    /// Whether there is nothing but the defaults.
    pub fn is_empty(&self) -> bool {
        let sets = |(name, _): &(OsString, OsString)| {
            !matches!(variable(&name.to_string_lossy()), Ok(None))
        };
        self.built_in.is_none()
            && self.file.is_none()
            && self.settings.is_empty()
            && self.collectors.is_empty()
            && !self.variables.iter().any(sets)
    }

    /// Reads everything, and looks at the files that are named: a configuration, or every mistake.
    pub fn load(&self) -> Result<Loaded, Errors> {
        let mut gathered = self.gather().map_err(Errors)?;
        let problems = std::mem::take(&mut gathered.problems);
        let now = UnixTime::from(SystemTime::now());
        read::read(&gathered.sources, problems, Some(now))
    }

    /// Reads the `[daemon]` table alone: where the exporter is that began with it, whatever was made
    /// wrong in the rest since. `None` where a file cannot be read, or that table has mistakes.
    pub fn load_daemon(&self) -> Option<Daemon> {
        read::read_daemon(&self.gather().ok()?.sources)
    }

    /// All texts, in the order of their rank; or why a file cannot be read.
    fn gather(&self) -> Result<Gathered, Vec<Problem>> {
        let mut gathered = Gathered::default();
        if let Some(text) = &self.built_in {
            gathered.file("built-in".to_owned(), text.clone());
        }
        if let Some(path) = &self.file {
            gathered.read(path, false)?;
            for path in includes(path)? {
                gathered.read(&path, true)?;
            }
        }
        for (name, value) in &self.variables {
            gathered.variable(name, value);
        }
        for setting in &self.settings {
            gathered.setting(setting);
        }
        for collector in &self.collectors {
            gathered.collector(collector);
        }
        Ok(gathered)
    }
}

impl Config {
    /// Reads a file and those beside it in [`INCLUDES`]. Its path is its name in messages.
    pub fn load(path: &Path) -> Result<Loaded, Errors> {
        Sources::new(Some(path)).load()
    }
}

/// Whether there are files that would be read after this one.
pub fn has_includes(file: &Path) -> bool {
    // What cannot be looked at is better told than left out.
    includes(file).map_or(true, |files| !files.is_empty())
}

#[derive(Default)]
struct Gathered {
    sources: Vec<Source>,
    /// Overrides of no key.
    problems: Vec<Problem>,
    octets: usize,
}

impl Gathered {
    fn file(&mut self, name: String, text: String) {
        self.sources.push(Source {
            name,
            text,
            form: Form::File,
        });
    }

    fn read(&mut self, path: &Path, included: bool) -> Result<(), Vec<Problem>> {
        let name = read::one_line(&path.display().to_string());
        let problem = |position, message| {
            vec![Problem {
                file: name.clone(),
                position,
                key: None,
                message,
            }]
        };
        let text =
            read_text(path, included).map_err(|(position, message)| problem(position, message))?;
        self.octets += text.len();
        if self.octets > LARGEST {
            let message =
                format!("is too much: all files together have more than {LARGEST} octets");
            return Err(problem(None, message));
        }
        self.file(name, text);
        Ok(())
    }

    fn variable(&mut self, name: &OsStr, value: &OsStr) {
        let shown = read::one_line(&name.to_string_lossy());
        let mut problem = |message: String| {
            self.problems.push(Problem {
                file: read::ENVIRONMENT.to_owned(),
                position: None,
                key: Some(shown.clone()),
                message,
            });
        };
        let form = match variable(&name.to_string_lossy()) {
            Ok(Some(form)) => form,
            Ok(None) => return,
            Err(message) => return problem(message),
        };
        match value.to_str() {
            Some(text) => self.sources.push(Source {
                name: shown,
                text: text.to_owned(),
                form,
            }),
            None => problem("expected text in UTF-8".to_owned()),
        }
    }

    fn collector(&mut self, collector: &str) {
        let name = read::one_line(&format!("--collector {collector}"));
        if collector.trim().is_empty() {
            self.problems.push(Problem {
                file: name,
                position: None,
                key: None,
                message: "expected the address of a collector, found nothing".to_owned(),
            });
            return;
        }
        self.sources.push(Source {
            name,
            text: collector.to_owned(),
            form: Form::Collectors,
        });
    }

    fn setting(&mut self, setting: &str) {
        let name = read::one_line(&format!("--set {setting}"));
        match resolve(setting) {
            Ok((table, key, text)) => self.sources.push(Source {
                name,
                text: text.to_owned(),
                form: Form::Setting(table, key),
            }),
            Err(message) => self.problems.push(Problem {
                file: name,
                position: None,
                key: None,
                message,
            }),
        }
    }
}

/// What an environment variable sets; `None` where it is none of the configuration's.
///
/// Its own are the names that begin with a table's, as `EBPFIX_LOG_LEVEL` does: such a name must be a
/// key's. Others that look like a misspelt one are an error too.
fn variable(name: &str) -> Result<Option<Form>, String> {
    /// Above this a name is taken for a misspelt key (Jaro-Winkler).
    const NEAR: f64 = 0.92;
    if name == keys::COLLECTOR_VARIABLE {
        return Ok(Some(Form::Collectors));
    }
    let single = || keys::TABLES.iter().filter(|table| !table.many);
    let variables = || {
        single().flat_map(|table| {
            let keys = table.keys.iter();
            keys.map(move |key| (keys::variable(table.name, key.name()), table, *key))
        })
    };
    if let Some((_, table, key)) = variables().find(|(known, ..)| known == name) {
        return Ok(Some(Form::Variable(table, key)));
    }
    let begins_with = |table: &Table| name.starts_with(&keys::variable(table.name, ""));
    if let Some(table) = keys::TABLES
        .iter()
        .find(|table| table.many && begins_with(table))
    {
        return Err(format!(
            "there may be several [[{}]]: no variable sets one key of one of them; \
             {}=ADDRESS,KEY=VALUE adds one",
            table.name,
            keys::COLLECTOR_VARIABLE
        ));
    }
    // What all have in common says nothing.
    let likeness = |known: &str| {
        let [name, known] = [name, known].map(|name| name.strip_prefix(keys::VARIABLE_PREFIX));
        strsim::jaro_winkler(name.unwrap_or_default(), known.unwrap_or_default())
    };
    let nearest = variables()
        .map(|(known, ..)| (likeness(&known), known))
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let hint = |nearest: Option<(f64, String)>| {
        nearest.map_or_else(String::new, |(_, known)| format!("; did you mean {known}?"))
    };
    if single().any(begins_with) {
        return Err(format!("unknown key{}", hint(nearest)));
    }
    match nearest.filter(|(likeness, _)| *likeness >= NEAR) {
        Some(near) => Err(format!("unknown key{}", hint(Some(near)))),
        None => Ok(None),
    }
}

/// The key and the text of `TABLE.KEY=VALUE`.
fn resolve(setting: &str) -> Result<(&'static Table, &'static dyn Described, &str), String> {
    let Some((path, text)) = setting.split_once('=') else {
        return Err("expected TABLE.KEY=VALUE, such as observation.sampling=10".to_owned());
    };
    let path = path.trim();
    let Some((table, key)) = path.split_once('.') else {
        return Err(format!(
            "expected TABLE.KEY=VALUE, found no table{}",
            read::home_of(path).unwrap_or_default()
        ));
    };
    let Some(table) = keys::TABLES.iter().find(|known| known.name == table) else {
        let known = keys::TABLES.iter().map(|table| table.name);
        let hint = read::suggestion(table, known, "the tables are");
        return Err(format!("unknown table{hint}"));
    };
    if table.many {
        return Err(format!(
            "there may be several [[{}]]: --collector ADDRESS,KEY=VALUE adds one",
            table.name
        ));
    }
    match table.keys.iter().find(|known| known.name() == key) {
        Some(found) => Ok((table, *found, text.trim())),
        None => Err(format!("unknown key{}", read::unknown_key_hint(table, key))),
    }
}

/// The files that are read after this one: of the folder [`INCLUDES`] beside it those whose names end in
/// `.toml` and do not begin with a dot, in the order of the octets of their names.
fn includes(file: &Path) -> Result<Vec<PathBuf>, Vec<Problem>> {
    let folder = file.with_file_name(INCLUDES);
    let problem = |message: String| {
        vec![Problem {
            file: read::one_line(&folder.display().to_string()),
            position: None,
            key: None,
            message,
        }]
    };
    let unreadable = |error: &io::Error| problem(format!("cannot be read: {}", reason(error)));
    // A path without a name, as `/`, is no file: reading it has told.
    if file.file_name().is_none() {
        return Ok(Vec::new());
    }
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A link to nowhere is not the same as nothing.
            return match fs::symlink_metadata(&folder) {
                Ok(_) => Err(unreadable(&error)),
                Err(_) => Ok(Vec::new()),
            };
        }
        Err(error) => return Err(unreadable(&error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| unreadable(&error))?.file_name();
        let octets = name.as_bytes();
        if !octets.starts_with(b".") && octets.ends_with(b".toml") {
            names.push(name);
        }
        if names.len() > MOST_FILES {
            return Err(problem(format!(
                "has more than {MOST_FILES} files whose names end in .toml"
            )));
        }
    }
    names.sort();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

fn read_text(path: &Path, regular: bool) -> Result<String, (Option<Position>, String)> {
    let mut octets = Vec::new();
    open(path, regular)?
        .take(LARGEST_FILE + 1)
        .read_to_end(&mut octets)
        .map_err(|error| (None, format!("cannot be read: {}", reason(&error))))?;
    if octets.len() as u64 > LARGEST_FILE {
        let message = format!("is no configuration: it has more than {LARGEST_FILE} octets");
        return Err((None, message));
    }
    String::from_utf8(octets).map_err(|error| {
        let (good, bad) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        let position = Position::after(&String::from_utf8_lossy(good));
        let octet = bad.first().copied().unwrap_or_default();
        (
            Some(position),
            format!("expected text in UTF-8, found the octet {octet:#04x}"),
        )
    })
}

/// Opens a file, which must be a `regular` one where nobody has named it: a pipe would keep the start
/// waiting.
fn open(path: &Path, regular: bool) -> Result<File, (Option<Position>, String)> {
    let failed = |error: io::Error| (None, format!("cannot be read: {}", reason(&error)));
    if !regular {
        return File::open(path).map_err(failed);
    }
    // Whatever it is, it does not wait.
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    let kind = match &file {
        Ok(file) => file.metadata().map_err(failed)?.file_type(),
        // Of a socket, which cannot be opened, its kind says more.
        Err(error) => match fs::metadata(path) {
            Ok(found) => found.file_type(),
            Err(_) => return Err((None, format!("cannot be read: {}", reason(error)))),
        },
    };
    let found = if kind.is_file() {
        return file.map_err(failed);
    } else if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err((None, format!("expected a file, found {found}")))
}

/// What the system says, without the number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}
