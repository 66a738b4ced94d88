//! What the end-to-end tests are made of.
//!
//! A [`Lab`] holds network namespaces joined by veth pairs in which nothing moves but what a test
//! sends. [`Ebpfix`] is the binary under test in one of them; [`Nfcapd`], [`Nfacctd`] and
//! [`Recorder`] (read by tshark) are the collectors it exports to; [`oracle`] and [`tshark`] say what a
//! capture holds, independently of ebpfix. [`Frame`] builds frames by hand, [`Injector`] and [`Flood`]
//! send them; a [`test_run`] is a frame that the programs see without being sent. A [`vm`] runs the
//! same on another kernel.
//!
//! Everything here panics with a reason instead of returning an error: the only callers are tests,
//! and a tool or a right that is missing has to fail the test that needs it.
#![deny(unsafe_code)]
#![allow(
    clippy::missing_panics_doc,
    reason = "the crate's own rule: see its description"
)]

pub mod capture;
pub mod chance;
pub mod collector;
pub mod ebpfix;
pub mod filters;
pub mod frame;
pub mod inject;
pub mod kernel;
pub mod lab;
pub mod oracle;
pub mod process;
pub mod stranger;
pub mod system;
#[allow(unsafe_code, reason = "it asks the kernel what no library asks")]
pub mod test_run;
pub mod traffic;
pub mod tshark;
pub mod vm;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub use chance::Random;
pub use collector::{Collect, Nfacctd, Nfcapd, Recorder};
pub use ebpfix::{Count, Ebpfix, Ledger, Left, Settings};
pub use frame::Frame;
pub use inject::{Flood, Injector, send_datagrams};
pub use lab::{Lab, Namespace, VethOptions};
pub use process::{Finished, Process};
pub use stranger::Stranger;
pub use system::System;

/// The root of the project.
pub fn project_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A file of the folder shared with the project: captures and the oracle.
///
/// The folder is `../shared` beside the project, or what `EBPFIX_SHARED` names.
pub fn shared(path: &str) -> PathBuf {
    let folder = std::env::var_os("EBPFIX_SHARED")
        .map_or_else(|| project_root().join("../shared"), PathBuf::from);
    let file = folder.join(path);
    assert!(
        file.exists(),
        "{} does not exist: set EBPFIX_SHARED to the folder that holds {path}",
        file.display()
    );
    file
}

/// Asks `condition` until it gives something, and gives that.
///
/// # Panics
/// After `timeout` (see [`patience`]), saying `what` was waited for.
pub fn wait_for<T>(what: &str, timeout: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let timeout = patience(timeout);
    let start = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(
            start.elapsed() < timeout,
            "waited {timeout:?} in vain: {what}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// A timeout that is right for a machine of today, as it has to be on this one: `EBPFIX_PATIENCE`
/// says how many times slower it is.
pub fn patience(timeout: Duration) -> Duration {
    let factor = std::env::var("EBPFIX_PATIENCE").ok();
    timeout * factor.and_then(|factor| factor.parse().ok()).unwrap_or(1)
}

/// A runtime for the asynchronous parts of the library under test.
///
/// # Panics
/// Without descriptors.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Held by a test that wants the processors for itself, for as long as it wants them. Tests of
/// other files never run at the same time.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // A test that failed while it held this took nothing with it.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
