//! When a packet's time has come.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a collector gets for its answer that it does not listen.
pub(super) const ANSWER: Duration = Duration::from_millis(100);
/// The longest sleep: flows end meanwhile.
const STEP: Duration = Duration::from_millis(50);

/// The clock of a capture, run at a multiple of its speed from the first packet on.
///
/// Where packets go back in time they are due at once; where they leap it is waited for.
#[derive(Debug)]
pub struct Pace {
    speed: f64,
    began: Option<(Instant, u64)>,
}

impl Pace {
    /// So many times as fast as it was recorded; above 0.
    pub fn new(speed: f64) -> Self {
        Self { speed, began: None }
    }

    /// Sleeps a little if a packet of this time is not due: then returns what time it is in the
    /// capture, and is to be asked again. `None`: it is due, or `stop` is set.
    pub(super) fn wait(&mut self, time_ns: u64, stop: &AtomicBool) -> Option<u64> {
        let (began, first_ns) = *self.began.get_or_insert_with(|| (Instant::now(), time_ns));
        let ahead = Duration::from_nanos(time_ns.saturating_sub(first_ns));
        // A time beyond what a Duration holds never comes.
        let due =
            Duration::try_from_secs_f64(ahead.as_secs_f64() / self.speed).unwrap_or(Duration::MAX);
        let left = due.saturating_sub(began.elapsed());
        if left.is_zero() || stop.load(Ordering::Relaxed) {
            return None;
        }
        thread::sleep(left.min(STEP));
        let passed = began.elapsed().as_secs_f64() * self.speed;
        let passed = Duration::try_from_secs_f64(passed).unwrap_or(Duration::MAX);
        let passed = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
        // Never after the packet that is waited for.
        Some(first_ns.saturating_add(passed).min(time_ns))
    }
}
