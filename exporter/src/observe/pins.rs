//! What an exporter keeps pinned while it runs, so that counting goes on however it ends.
//!
//! In `pin-dir`, which is locked by the exporter that runs:
//!
//! ```text
//! tables_1/control … ledger     the tables that are counted into, and the ledger page
//! link_5_ingress                a TCX link: it holds its program on the device
//! filter_5_egress_1             the program of our filter on a clsact qdisc, of priority 1
//! ```
//!
//! A set of tables is whole when its `ledger` is there: that is pinned last and removed first. There
//! is more than one set only while an exporter goes over from tables that do not fit it.

use super::bpf::{self, Direction};
use super::error::Error;
use super::object::{MAP_NAMES, NetMaps};
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

const TABLES: &str = "tables_";
const LEDGER: &str = "ledger";
const LINK: &str = "link_";
const FILTER: &str = "filter_";
/// Before the name of what is about to get it.
const NEW: &str = "new_";
const DIRECTIONS: [(&str, Direction); 2] = [
    ("ingress", Direction::Ingress),
    ("egress", Direction::Egress),
];

/// The directory, held by this process alone.
#[derive(Debug)]
pub struct Pins {
    path: PathBuf,
    /// Unlocked by the system however the process ends.
    _lock: File,
    keep: AtomicBool,
}

/// Tables that are pinned.
#[derive(Debug)]
pub struct TableSet {
    /// Tells it from other sets; a later one has a greater number.
    pub number: u32,
    /// The tables.
    pub maps: NetMaps,
    /// The ledger page.
    pub ledger: OwnedFd,
}

/// A place at which a program is pinned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The device.
    pub if_index: u32,
    /// The hook.
    pub direction: Direction,
    /// Of a filter on clsact, its priority; `None`: a TCX link.
    pub priority: Option<u32>,
}

impl Pins {
    /// Makes the directory where it is missing, and locks it.
    ///
    /// # Errors
    /// Where another process has it, or other users might.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if !bpf::on_bpf_file_system(path) {
            return Err(Error::NoBpfFileSystem {
                path: path.to_owned(),
            });
        }
        loop {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(|e| Error::os(format!("creating {}", path.display()), e))?;
            if let Some(pins) = Self::open_existing(path)? {
                // What is pinned there is trusted.
                let found =
                    fs::metadata(path).map_err(|e| Error::os(path.display().to_string(), e))?;
                if found.uid() != bpf::user() || found.mode() & 0o022 != 0 {
                    pins.set_keep(true);
                    return Err(Error::PinsOpen {
                        path: path.to_owned(),
                    });
                }
                return Ok(pins);
            }
        }
    }

    /// Locks the directory, whoever owns it; `None` where there is none.
    pub fn open_existing(path: &Path) -> Result<Option<Self>, Error> {
        let failed = |e| Error::os(path.display().to_string(), e);
        let lock = match File::open(path) {
            Ok(lock) => lock,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::PinsInUse {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        let locked = lock.metadata().map_err(failed)?;
        // An exporter that ended meanwhile may have removed what was just locked.
        match fs::metadata(path) {
            Ok(there) if (there.dev(), there.ino()) == (locked.dev(), locked.ino()) => {}
            Ok(_) => return Self::open_existing(path),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(e)),
        }
        let pins = Self {
            path: path.to_owned(),
            _lock: lock,
            keep: AtomicBool::new(false),
        };
        for name in pins.names().unwrap_or_default() {
            if name.starts_with(NEW) {
                let _ = fs::remove_file(path.join(name));
            }
        }
        Ok(Some(pins))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether what is pinned stays when this process ends in good order.
    pub fn set_keep(&self, keep: bool) {
        self.keep.store(keep, Ordering::Relaxed);
    }

    /// Whether it stays. After a panic it does: that is no good order.
    pub fn keeps(&self) -> bool {
        self.keep.load(Ordering::Relaxed) || std::thread::panicking()
    }

    /// The sets of tables, the latest last. What is left of a set that is not whole is removed: no
    /// program ever counted into it, or none does any more.
    pub fn tables(&self) -> Result<Vec<TableSet>, Error> {
        let mut sets = Vec::new();
        for number in self.numbers()? {
            let folder = self.folder(number);
            if !folder.join(LEDGER).exists() {
                self.remove_tables(number);
                continue;
            }
            sets.push(TableSet {
                number,
                maps: NetMaps::collect(|name| bpf::open_pinned(&folder.join(name)))?,
                ledger: bpf::open_pinned(&folder.join(LEDGER))?,
            });
        }
        sets.sort_by_key(|set| set.number);
        Ok(sets)
    }

    /// Pins a set of tables.
    pub fn add_tables(&self, number: u32, maps: &NetMaps, ledger: &OwnedFd) -> Result<(), Error> {
        let folder = self.folder(number);
        let failed = |path: &Path, e| Error::os(format!("pinning to {}", path.display()), e);
        DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(|e| failed(&folder, e))?;
        let named = MAP_NAMES.map(|name| (name, maps.by_name(name)));
        for (name, map) in named.into_iter().chain([(LEDGER, Some(ledger))]) {
            let path = folder.join(name);
            if let Some(map) = map {
                bpf::pin(map, &path).map_err(|e| failed(&path, e))?;
            }
        }
        Ok(())
    }

    /// Unpins a set of tables.
    pub fn remove_tables(&self, number: u32) {
        let folder = self.folder(number);
        let _ = fs::remove_file(folder.join(LEDGER));
        for name in MAP_NAMES {
            let _ = fs::remove_file(folder.join(name));
        }
        let _ = fs::remove_dir(folder);
    }

    /// The places at which something is pinned, each with the link or the program.
    ///
    /// # Errors
    /// Where one cannot be opened: a program that is attached and not known of would count beside
    /// that of this process.
    pub fn places(&self) -> Result<Vec<(Place, OwnedFd)>, Error> {
        self.names()?
            .into_iter()
            .filter_map(|name| Some((Place::from_name(&name)?, name)))
            .map(|(place, name)| Ok((place, bpf::open_pinned(&self.path.join(name))?)))
            .collect()
    }

    /// Pins the link or the program of a place.
    pub fn add(&self, place: Place, object: &OwnedFd) -> Result<(), Error> {
        let path = self.path.join(place.name());
        let fresh = self.path.join(format!("{NEW}{}", place.name()));
        let _ = fs::remove_file(&fresh);
        bpf::pin(object, &fresh)
            .map_err(|e| Error::os(format!("pinning to {}", fresh.display()), e))?;
        // In one step, for there may be one of the program before.
        fs::rename(&fresh, &path)
            .map_err(|e| Error::os(format!("pinning to {}", path.display()), e))
    }

    /// Unpins what is pinned for a place.
    pub fn remove(&self, place: Place) {
        let _ = fs::remove_file(self.path.join(place.name()));
    }

    fn numbers(&self) -> Result<Vec<u32>, Error> {
        let names = self.names()?.into_iter();
        Ok(names
            .filter_map(|name| name.strip_prefix(TABLES)?.parse().ok())
            .collect())
    }

    /// A directory that cannot be read is not an empty one.
    fn names(&self) -> Result<Vec<String>, Error> {
        let failed = |e| Error::os(self.path.display().to_string(), e);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            names.extend(entry.map_err(failed)?.file_name().into_string());
        }
        Ok(names)
    }

    fn folder(&self, number: u32) -> PathBuf {
        self.path.join(format!("{TABLES}{number}"))
    }
}

impl Drop for Pins {
    /// Unless it is to stay: removes every table, and the directory where nothing else is in it.
    fn drop(&mut self) {
        if self.keeps() {
            return;
        }
        for number in self.numbers().unwrap_or_default() {
            self.remove_tables(number);
        }
        let _ = fs::remove_dir(&self.path);
    }
}

impl Place {
    fn name(&self) -> String {
        let direction = DIRECTIONS
            .iter()
            .find(|(_, direction)| *direction == self.direction)
            .map_or("", |(name, _)| name);
        match self.priority {
            None => format!("{LINK}{}_{direction}", self.if_index),
            Some(priority) => format!("{FILTER}{}_{direction}_{priority}", self.if_index),
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        let (rest, filter) = match name.strip_prefix(LINK) {
            Some(rest) => (rest, false),
            None => (name.strip_prefix(FILTER)?, true),
        };
        let mut parts = rest.split('_');
        let if_index = parts.next()?.parse().ok()?;
        let word = parts.next()?;
        let (_, direction) = *DIRECTIONS.iter().find(|(name, _)| *name == word)?;
        let priority = if filter {
            Some(parts.next()?.parse().ok()?)
        } else {
            None
        };
        parts.next().is_none().then_some(Self {
            if_index,
            direction,
            priority,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pins_are_read_as_they_are_written() {
        for direction in [Direction::Ingress, Direction::Egress] {
            for priority in [None, Some(1), Some(64)] {
                let place = Place {
                    if_index: 17,
                    direction,
                    priority,
                };
                let name = place.name();
                assert!(
                    !name.contains('.'),
                    "{name}: a BPF file system takes no dot"
                );
                assert_eq!(Place::from_name(&name), Some(place), "{name}");
            }
        }
        for strange in [
            "link_5",
            "link_x_ingress",
            "link_5_sideways",
            "link_5_ingress_1",
            "filter_5_ingress",
            "filter_5_ingress_1_2",
            "tables_1",
            "control",
        ] {
            assert_eq!(Place::from_name(strange), None, "{strange}");
        }
    }

    #[test]
    fn pins_belong_on_a_bpf_file_system() {
        let error = Pins::open(&std::env::temp_dir().join("ebpfix-pins")).unwrap_err();
        assert!(matches!(error, Error::NoBpfFileSystem { .. }), "{error}");
    }
}
