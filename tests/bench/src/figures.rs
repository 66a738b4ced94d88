//! Of several readings the least and the one in the middle.

use std::time::Duration;

/// The least; infinite where there is none.
pub fn least(readings: &[f64]) -> f64 {
    readings.iter().copied().fold(f64::INFINITY, f64::min)
}

/// The middle one, of an even number the mean of two.
pub fn median(readings: &[f64]) -> f64 {
    let mut sorted = readings.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (
        sorted.get(sorted.len().saturating_sub(1) / 2),
        sorted.get(sorted.len() / 2),
    ) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}

/// Pins the calling thread, and what it starts from now on, to a processor, counted from the last
/// one if there are several.
pub fn pin_to(from_last: usize) {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    if from_last < processors {
        let mut set = nix::sched::CpuSet::new();
        let wanted = set.set(processors - 1 - from_last);
        let pinned = wanted
            .and_then(|()| nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set));
        pinned.expect("to choose a processor");
    }
}

/// CPU time of the calling thread.
pub fn thread_cpu() -> Duration {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID);
    Duration::from(time.expect("a clock"))
}
