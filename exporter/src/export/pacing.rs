//! Smooths what is sent: a burst that fits a collector's receive buffer, then a steady rate.

use std::time::{Duration, Instant};

/// A token bucket over datagrams.
#[derive(Debug)]
pub struct Pacing {
    per_second: f64,
    burst: f64,
    tokens: f64,
    filled: Instant,
}

impl Pacing {
    /// `per_second` datagrams, `burst` of them at once after a rest.
    pub fn new(per_second: f64, burst: f64, now: Instant) -> Self {
        Self {
            per_second,
            burst,
            tokens: burst,
            filled: now,
        }
    }

    /// Takes a token, or says how long to wait for one.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let elapsed = now.saturating_duration_since(self.filled);
        self.filled = now;
        self.tokens = (self.tokens + elapsed.as_secs_f64() * self.per_second).min(self.burst);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64(
            (1.0 - self.tokens) / self.per_second,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_then_one_by_one() {
        let start = Instant::now();
        let mut pacing = Pacing::new(1000.0, 3.0, start);
        for _ in 0..3 {
            assert_eq!(pacing.take(start), Ok(()));
        }
        let wait = pacing.take(start).unwrap_err();
        assert_eq!(wait, Duration::from_millis(1));
        assert_eq!(pacing.take(start + wait), Ok(()));
        assert!(pacing.take(start + wait).is_err());
        // A long rest fills the bucket and no more.
        let later = start + Duration::from_secs(10);
        for _ in 0..3 {
            assert_eq!(pacing.take(later), Ok(()));
        }
        assert!(pacing.take(later).is_err());
    }
}
