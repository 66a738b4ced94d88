//! Numbers by chance that can be had again.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::inject::mix;

/// Numbers by chance, from a seed that is printed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From the seed that this environment variable has, else from the clock. `what` is for the line
    /// that says which it was.
    ///
    /// # Panics
    /// If the variable is no number.
    pub fn from_environment(variable: &str, what: &str) -> Self {
        let seed = std::env::var(variable).map_or_else(
            |_| {
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                u64::from(now.expect("a time after 1970").subsec_nanos())
            },
            |seed| {
                seed.parse()
                    .unwrap_or_else(|_| panic!("{variable}: no number"))
            },
        );
        eprintln!("{what}: {variable}={seed}");
        Self::new(seed)
    }

    /// From this seed. Seeds that are close have nothing in common.
    pub fn new(seed: u64) -> Self {
        // The generator wants a state with many bits set, and never 0.
        Self(mix(seed) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        let Self(state) = self;
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state % bound
    }

    /// One of these.
    ///
    /// # Panics
    /// If there is none.
    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        let count = u64::try_from(all.len()).expect("a length");
        all[usize::try_from(self.below(count)).expect("less than a length")]
    }

    /// Puts them into another order.
    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            let bound = u64::try_from(last + 1).expect("a length");
            all.swap(
                last,
                usize::try_from(self.below(bound)).expect("less than a length"),
            );
        }
    }
}
