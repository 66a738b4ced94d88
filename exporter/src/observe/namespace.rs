//! Network namespaces: the exporter's own, or another one that it looks into.
//!
//! A thread is in one namespace, and what it opens there (sockets, links of programs) stays of it. So
//! the exporter's threads stay at home, where its collectors are, and what belongs elsewhere is opened
//! by a thread of its own that ends with it.
#![forbid(unsafe_code)]

use super::error::Error;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Handle;

/// Where `ip netns` keeps namespaces by name.
const NAMED: &str = "/run/netns";

/// A network namespace, which lives as long as this does: it is to be let go of when its name is gone.
#[derive(Clone, Debug, Default)]
pub enum Namespace {
    /// That of this process.
    #[default]
    Own,
    /// Another one.
    Other(Arc<File>, NamespaceId),
    /// One that is not there.
    Nowhere,
}

/// What tells a namespace from all others that there are: device and inode of its file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NamespaceId {
    device: u64,
    inode: u64,
}

impl NamespaceId {
    /// Of the namespace at a path.
    ///
    /// # Errors
    /// Where there is nothing, or another thing than a namespace.
    pub fn at(path: &Path) -> io::Result<Self> {
        let found = std::fs::metadata(path)?;
        // `ip netns add` makes a plain file first, and puts the namespace over it.
        if found.dev() != std::fs::metadata("/proc/self/ns/net")?.dev() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "there is no network namespace at that path",
            ));
        }
        Ok(Self {
            device: found.dev(),
            inode: found.ino(),
        })
    }
}

impl PartialEq for Namespace {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Own, Self::Own) | (Self::Nowhere, Self::Nowhere) => true,
            (Self::Other(_, a), Self::Other(_, b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Namespace {}

impl Namespace {
    /// The path of a namespace that is given by its name (`ip netns`) or by its path.
    pub fn path_of(name: &str) -> PathBuf {
        if name.contains('/') {
            PathBuf::from(name)
        } else {
            Path::new(NAMED).join(name)
        }
    }

    /// The namespace at a path; [`Namespace::Nowhere`] where there is none.
    ///
    /// # Errors
    /// Where it must not be entered.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source: io::Error| match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Error::NamespacePrivilege {
                path: path.to_owned(),
            },
            _ => Error::Kernel {
                what: format!("entering the network namespace {}", path.display()),
                source,
            },
        };
        let open = || -> io::Result<Option<Self>> {
            let id = NamespaceId::at(path)?;
            let file = File::open(path)?;
            let found = file.metadata()?;
            let same = (found.dev(), found.ino()) == (id.device, id.inode);
            Ok(same.then(|| Self::Other(Arc::new(file), id)))
        };
        match open() {
            Ok(Some(namespace)) => {
                namespace.within(|| Ok(())).map_err(failed)?;
                Ok(namespace)
            }
            // It went, or another came to its place, meanwhile.
            Ok(None) => Ok(Self::Nowhere),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::Nowhere),
            Err(error) => Err(failed(error)),
        }
    }

    /// Which one it is, of others.
    pub fn id(&self) -> Option<NamespaceId> {
        match self {
            Self::Other(_, id) => Some(*id),
            _ => None,
        }
    }

    /// The inode of the namespace; 0, which none has, where there is none.
    ///
    /// # Errors
    /// Where the kernel does not tell which one is the process's own.
    pub fn inode(&self) -> Result<u64, Error> {
        const PATH: &str = "/proc/thread-self/ns/net";
        match self {
            Self::Own => std::fs::metadata(PATH)
                .map(|found| found.ino())
                .map_err(|e| Error::os(PATH, e)),
            Self::Other(_, id) => Ok(id.inode),
            Self::Nowhere => Ok(0),
        }
    }

    /// Does something in the namespace. What it opens with tokio belongs to this runtime.
    ///
    /// # Errors
    /// Also where the namespace must not be entered, or is [`Namespace::Nowhere`].
    pub fn within<T: Send>(&self, act: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let file = match self {
            Self::Own => return act(),
            Self::Other(file, _) => file,
            Self::Nowhere => {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    "the network namespace is not there",
                ));
            }
        };
        let runtime = Handle::try_current().ok();
        std::thread::scope(|scope| {
            let visit = std::thread::Builder::new()
                .name("namespace".to_owned())
                .spawn_scoped(scope, || {
                    let _runtime = runtime.as_ref().map(Handle::enter);
                    setns(file, CloneFlags::CLONE_NEWNET)?;
                    act()
                })?;
            visit
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_ip_netns_and_paths_are_paths() {
        for (name, path) in [
            ("blue", "/run/netns/blue"),
            ("/proc/1/ns/net", "/proc/1/ns/net"),
            ("./x", "./x"),
        ] {
            assert_eq!(Namespace::path_of(name), Path::new(path));
        }
    }

    #[test]
    fn what_is_no_namespace_is_nowhere() {
        for path in [
            "/run/netns/there-is-none",
            "/etc/passwd",
            "/proc/self/nothing",
        ] {
            assert_eq!(
                Namespace::open(Path::new(path)).unwrap(),
                Namespace::Nowhere
            );
        }
        let nowhere = Namespace::Nowhere.within(|| Ok(()));
        assert_eq!(nowhere.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(Namespace::Nowhere.inode().unwrap(), 0);
    }

    #[test]
    fn ones_own_can_be_named_too() {
        let own = NamespaceId::at(Path::new("/proc/self/ns/net")).unwrap();
        assert_eq!(own.inode, Namespace::Own.inode().unwrap());
    }
}
