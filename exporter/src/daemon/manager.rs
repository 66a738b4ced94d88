//! What the service manager is told (`sd_notify(3)`): that the exporter is ready, that it reads its
//! configuration again, that it ends, and that it is alive. Without a manager nobody is told.

use sd_notify::NotifyState;
use std::time::Duration;

/// The interfaces are observed, the collectors are tried; `status` is one line for people.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read again; [`ready`] ends that.
pub fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// The end has begun.
pub fn stopping() {
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("exporting what is held"),
    ]);
}

/// The manager's watchdog: it starts the exporter again when it hears nothing.
#[derive(Debug)]
pub struct Watchdog {
    /// How long it waits; `None`: it does not.
    patience: Option<Duration>,
    /// The meter's rounds when it heard so last.
    rounds: u64,
}

impl Watchdog {
    /// Reads from the environment what the manager wants.
    pub fn new() -> Self {
        Self {
            patience: sd_notify::watchdog_enabled(),
            rounds: 0,
        }
    }

    /// How often [`alive`](Self::alive) is to be called: well within the manager's patience.
    pub fn interval(&self) -> Duration {
        const UNASKED: Duration = Duration::from_mins(1);
        const LEAST: Duration = Duration::from_millis(100);
        self.patience
            .map_or(UNASKED, |patience| (patience / 3).max(LEAST))
    }

    /// The exporter is alive if its meter is: `rounds` is how often the meter has gone round. Of a
    /// meter that stands still nothing is said.
    pub fn alive(&mut self, rounds: u64, status: &str) {
        if self.patience.is_some() && rounds != self.rounds {
            tell(&[NotifyState::Watchdog, NotifyState::Status(status)]);
        }
        self.rounds = rounds;
    }
}

/// A manager that cannot be reached is no reason to stop counting.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}
