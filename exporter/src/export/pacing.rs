//! Smooths what is sent: a burst that fits a collector's receive buffer, then a steady rate.

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::num::NonZeroU32;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use tokio::net::unix::pipe::Receiver;

/// Octets that a receiver's kernel charges to a receive buffer, in a second, where no `rate-limit`
/// says otherwise: 640,000 records in messages of 1472 octets, 500,000 in messages of 8952.
const CHARGED_PER_SECOND: f64 = 84e6;
/// Such octets at once: half of what an untuned receive buffer of Linux has (208 KiB), for a reader
/// is not always ready.
const CHARGED_AT_ONCE: f64 = 106_496.0;
/// Octets that are charged for a record where messages are half full, or more.
const CHARGED_PER_RECORD: f64 = 256.0;
/// What is allowed at once of a `rate-limit`.
const RECORDS_AT_ONCE_SECONDS: f64 = 0.1;
/// The shortest pause: what a datagram's turn takes is less than it takes to fall asleep.
const GRAIN: Duration = Duration::from_micros(500);

/// When the next message may go.
#[derive(Debug)]
pub struct Pace {
    /// `None`: the collector itself says what it takes.
    charged: Option<Bucket>,
    records: Option<Bucket>,
    timer: Timer,
}

impl Pace {
    /// For at most so many records a second; `None`: for what an untuned collector can take. Must
    /// run in a tokio runtime.
    pub fn new(rate_limit: Option<NonZeroU32>, now: Instant) -> io::Result<Self> {
        Ok(Self {
            charged: Some(charged(rate_limit, now)),
            ..Self::of_a_connection(rate_limit, now)?
        })
    }

    /// The same where the collector says by itself what it takes.
    pub fn of_a_connection(rate_limit: Option<NonZeroU32>, now: Instant) -> io::Result<Self> {
        Ok(Self {
            charged: None,
            records: rate_limit.map(|limit| records(limit, now)),
            timer: Timer::new()?,
        })
    }

    /// Waits until there may be another message.
    pub async fn turn(&mut self) -> io::Result<()> {
        loop {
            let now = Instant::now();
            let buckets = [&mut self.charged, &mut self.records];
            let waits = buckets.into_iter().flatten().map(|bucket| bucket.wait(now));
            let wait = waits.max().unwrap_or_default();
            if wait.is_zero() {
                return Ok(());
            }
            self.timer.sleep(wait.max(GRAIN)).await?;
        }
    }

    /// A message of so many octets went, with so many Flow Records.
    pub fn sent(&mut self, octets: usize, records: u32) {
        if let Some(bucket) = &mut self.charged {
            bucket.spend(charge(octets));
        }
        if let Some(bucket) = &mut self.records {
            bucket.spend(f64::from(records));
        }
    }
}

/// The pace in what is [charged](charge), at `rate_limit` records a second or, with `None`, as an
/// untuned collector can take it.
pub(crate) fn charged(rate_limit: Option<NonZeroU32>, now: Instant) -> Bucket {
    // Who asks for more than the usual shall get it.
    let asked = rate_limit.map_or(0.0, |limit| f64::from(limit.get()) * CHARGED_PER_RECORD);
    Bucket::new(CHARGED_PER_SECOND.max(asked), CHARGED_AT_ONCE, now)
}

/// The pace in records, at so many a second.
pub(crate) fn records(limit: NonZeroU32, now: Instant) -> Bucket {
    let limit = f64::from(limit.get());
    Bucket::new(limit, limit * RECORDS_AT_ONCE_SECONDS, now)
}

/// What a receiver's kernel charges to a receive buffer for a datagram: memory comes in powers of
/// two, and with it what describes the packet.
pub(crate) fn charge(octets: usize) -> f64 {
    const DESCRIPTION: usize = 256;
    const LEAST: usize = 512;
    const HEADERS: usize = 64 + 320;
    let block = (octets + HEADERS).next_power_of_two().max(LEAST);
    u32::try_from(block + DESCRIPTION).map_or(f64::MAX, f64::from)
}

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

/// A timer of the kernel's high resolution. The runtime's own counts in milliseconds and comes up to
/// two late: at half a million records a second each burst would be a hundred messages.
#[derive(Debug)]
struct Timer {
    timer: TimerFd,
    /// The same. To the runtime it is a descriptor that becomes readable, as a pipe is.
    expired: Receiver,
}

impl Timer {
    fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let same = timer.as_fd().try_clone_to_owned()?;
        Ok(Self {
            timer,
            expired: Receiver::from_owned_fd_unchecked(same)?,
        })
    }

    async fn sleep(&mut self, time: Duration) -> io::Result<()> {
        self.timer.set(
            Expiration::OneShot(TimeSpec::from_duration(time)),
            TimerSetTimeFlags::empty(),
        )?;
        loop {
            self.expired.readable().await?;
            let mut expirations = [0; size_of::<u64>()];
            match self.expired.try_read(&mut expirations) {
                // What made it readable was a sleep that was given up.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                expired => return expired.map(|_| ()),
            }
        }
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

    #[test]
    fn a_burst_fits_an_untuned_receive_buffer_whatever_the_messages() {
        const RECEIVE_BUFFER: f64 = 212_992.0;
        for octets in [20, 400, 512, 1232, 1472, 8952, 65_507] {
            let now = Instant::now();
            let mut bucket = Bucket::new(CHARGED_PER_SECOND, CHARGED_AT_ONCE, now);
            let mut charged = 0.0;
            while bucket.wait(now).is_zero() {
                bucket.spend(charge(octets));
                charged += charge(octets);
            }
            assert!(charged <= RECEIVE_BUFFER, "{octets}: {charged}");
        }
    }

    #[tokio::test]
    async fn the_timer_is_no_millisecond_late() {
        let mut timer = Timer::new().unwrap();
        let late = async |timer: &mut Timer| {
            let end = Instant::now() + GRAIN;
            timer.sleep(GRAIN).await.unwrap();
            let late = Instant::now().checked_duration_since(end);
            late.expect("too early")
        };
        let mut best = Duration::MAX;
        for _ in 0..50 {
            best = best.min(late(&mut timer).await);
        }
        // On a machine that is busy, most of them are later.
        assert!(best < Duration::from_micros(500), "{best:?}");
        // A sleep that is given up leaves nothing behind.
        for _ in 0..20 {
            let _ = tokio::time::timeout(Duration::from_micros(100), timer.sleep(GRAIN)).await;
            late(&mut timer).await;
        }
    }
}
