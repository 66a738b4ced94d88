//! Where the interfaces are: in the exporter's own network namespace, or in one that may come and go.

use crate::observe::{Error, MountTable, Namespace, NamespaceId};
use std::path::PathBuf;

/// The network namespace that the configuration names.
pub struct Whereabouts {
    /// `None`: the exporter's own.
    place: Option<Place>,
    /// Why it cannot be entered, as far as the log told.
    trouble: Option<String>,
}

struct Place {
    /// As in the configuration.
    name: String,
    path: PathBuf,
    /// The table of mounts: the kernel tells when it changes, which it does when `ip netns` makes a
    /// namespace or takes its name away.
    mounts: Option<MountTable>,
}

impl Whereabouts {
    /// Of a namespace by name or path. Needs a tokio runtime.
    pub fn new(name: Option<&str>) -> Self {
        let place = name.map(|name| Place {
            name: name.to_owned(),
            path: Namespace::path_of(name),
            mounts: MountTable::open()
                .inspect_err(|error| tracing::debug!(%error, "cannot watch the table of mounts"))
                .ok(),
        });
        Self {
            place,
            trouble: None,
        }
    }

    /// As in the configuration; `None`: the exporter's own.
    pub fn name(&self) -> Option<&str> {
        self.place.as_ref().map(|place| place.name.as_str())
    }

    /// The namespace as it is now; [`Namespace::Nowhere`] where there is none.
    ///
    /// # Errors
    /// Where it must not be entered.
    pub fn open(&self) -> Result<Namespace, Error> {
        self.place
            .as_ref()
            .map_or(Ok(Namespace::Own), |place| Namespace::open(&place.path))
    }

    /// The same; a reason why it cannot be entered is told once.
    pub fn try_open(&mut self) -> Namespace {
        match self.open() {
            Ok(namespace) => {
                self.trouble = None;
                namespace
            }
            Err(error) => {
                let error = error.to_string();
                if self.trouble.as_ref() != Some(&error) {
                    tracing::error!("{error}; trying on");
                    self.trouble = Some(error);
                }
                Namespace::Nowhere
            }
        }
    }

    /// Whether it is another one than `namespace` by now, or is there no more.
    pub fn is_elsewhere(&self, namespace: &Namespace) -> bool {
        match &self.place {
            None => *namespace != Namespace::Own,
            Some(place) => {
                *namespace == Namespace::Own || NamespaceId::at(&place.path).ok() != namespace.id()
            }
        }
    }

    /// Says that there is no such namespace.
    pub fn say_waiting(&self) {
        if let Some(namespace) = self.name() {
            tracing::warn!(
                namespace,
                "there is no such network namespace; it is observed when it appears"
            );
        }
    }

    /// Waits until it may be another one. Not every way to make one is told of: look from time to
    /// time, too.
    pub async fn changed(&self) {
        let Some(mounts) = self.place.as_ref().and_then(|place| place.mounts.as_ref()) else {
            return std::future::pending().await;
        };
        if mounts.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
