//! Messages that the kernel took and the collector's host has not acknowledged so far.

use crate::ledger::Count;
use std::collections::VecDeque;

/// The messages of one connection that carry records and may not have arrived yet.
#[derive(Debug, Default)]
pub struct InFlight {
    messages: VecDeque<Sent>,
    /// How many there may be before it is asked what has arrived.
    bound: usize,
}

#[derive(Debug)]
struct Sent {
    /// Octets of the connection up to the end of the message.
    end: u64,
    records: u64,
    count: Count,
}

/// Below this, nobody is asked.
const FEW: usize = 256;

impl InFlight {
    /// Notes a message that ends after so many octets of the connection.
    pub fn sent(&mut self, end: u64, records: u64, count: Count) {
        self.messages.push_back(Sent {
            end,
            records,
            count,
        });
    }

    /// Whether there are many: the kernel should be asked what has arrived.
    pub fn are_many(&self) -> bool {
        self.messages.len() >= self.bound.max(FEW)
    }

    /// So many octets of the connection have arrived.
    pub fn arrived(&mut self, octets: u64) {
        while self.messages.front().is_some_and(|sent| sent.end <= octets) {
            self.messages.pop_front();
        }
        // They are as many as the kernel's buffer has room for; asking costs as little as they do.
        self.bound = self.messages.len() * 2;
    }

    /// The records of those that have not arrived, and what they count.
    pub fn total(&self) -> (u64, Count) {
        let records = self.messages.iter().map(|sent| sent.records).sum();
        (records, self.messages.iter().map(|sent| sent.count).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_arrived_whole_is_no_longer_in_flight() {
        let mut in_flight = InFlight::default();
        for n in 1..=4 {
            in_flight.sent(n * 100, 1, Count::new(n, n * 10));
        }
        for (arrived, records, packets) in [(99, 4, 10), (100, 3, 9), (399, 1, 4), (400, 0, 0)] {
            in_flight.arrived(arrived);
            let total = in_flight.total();
            assert_eq!(total, (records, Count::new(packets, packets * 10)));
        }
    }

    #[test]
    fn the_kernel_is_asked_seldom_however_many_there_are() {
        let mut in_flight = InFlight::default();
        let mut asked = 0;
        for n in 0..100_000 {
            in_flight.sent(n, 1, Count::ZERO);
            if in_flight.are_many() {
                asked += 1;
                // A tenth of what was sent stays on its way.
                in_flight.arrived(n - n / 10);
            }
            assert!(in_flight.messages.len() < 40_000);
        }
        assert!((1..1000).contains(&asked), "{asked}");
    }
}
