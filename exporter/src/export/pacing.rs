//! Smooths what is sent: a burst that fits a collector's receive buffer, then a steady rate.

use std::time::{Duration, Instant};

/// A bucket of tokens that fills at a steady rate.
///
/// It may be overdrawn: what costs more than is left waits for the first token only, and the next
/// one waits for the rest. Over time the rate holds whatever the single costs.
#[derive(Debug)]
pub struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// `per_second` tokens, above 0, of which `burst`, at least 1, are there after a rest.
    pub fn new(per_second: f64, burst: f64, now: Instant) -> Self {
        let burst = burst.max(1.0);
        Self {
            per_second,
            burst,
            tokens: burst,
            filled: now,
        }
    }

    /// How long it takes until there is a token.
    pub fn wait(&mut self, now: Instant) -> Duration {
        let elapsed = now.saturating_duration_since(self.filled);
        self.filled = now;
        self.tokens = (self.tokens + elapsed.as_secs_f64() * self.per_second).min(self.burst);
        Duration::try_from_secs_f64((1.0 - self.tokens) / self.per_second).unwrap_or_default()
    }

    /// Takes tokens, also such as are not there yet.
    pub fn spend(&mut self, tokens: f64) {
        self.tokens -= tokens;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_then_one_by_one() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1000.0, 3.0, start);
        for _ in 0..3 {
            assert_eq!(bucket.wait(start), Duration::ZERO);
            bucket.spend(1.0);
        }
        let wait = bucket.wait(start);
        assert_eq!(wait, Duration::from_millis(1));
        assert_eq!(bucket.wait(start + wait), Duration::ZERO);
        bucket.spend(1.0);
        assert!(!bucket.wait(start + wait).is_zero());
        // A long rest fills the bucket and no more.
        let later = start + Duration::from_secs(10);
        for _ in 0..3 {
            assert_eq!(bucket.wait(later), Duration::ZERO);
            bucket.spend(1.0);
        }
        assert!(!bucket.wait(later).is_zero());
    }

    #[test]
    fn the_rate_holds_where_each_cost_is_far_above_it() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10.0, 1.0, start);
        let mut now = start;
        let mut spent = 0.0;
        while now < start + Duration::from_secs(1000) {
            let wait = bucket.wait(now);
            if wait.is_zero() {
                bucket.spend(99.0);
                spent += 99.0;
            }
            // A timer's grain.
            now += wait.max(Duration::from_millis(1));
        }
        assert!((9_900.0..10_200.0).contains(&spent), "{spent}");
    }
}
