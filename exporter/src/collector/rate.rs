//! What comes in at the moment, in a line on the terminal.

use std::time::Duration;

/// What came in: since the beginning, or since a reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) messages: u64,
    pub(super) flows: u64,
    pub(super) packets: u64,
    pub(super) octets: u64,
}

/// The rates since the line before.
#[derive(Debug, Default)]
pub(super) struct Rate {
    before: Traffic,
}

/// Goes back to the beginning of a terminal's line and empties it.
pub(super) const CLEAR: &str = "\r\x1b[K";

impl Rate {
    /// A line for what came since the one before, which was so long ago.
    pub(super) fn line(&mut self, now: Traffic, elapsed: Duration) -> String {
        let before = std::mem::replace(&mut self.before, now);
        let per_second = |now: u64, before: u64| {
            let millis = elapsed.as_millis().max(1);
            let thousandths = u128::from(now.saturating_sub(before)) * 1_000 / millis;
            short(thousandths)
        };
        format!(
            "{} flows/s, {} packets/s, {} octets/s, {} messages/s; {} flows in all",
            per_second(now.flows, before.flows),
            per_second(now.packets, before.packets),
            per_second(now.octets, before.octets),
            per_second(now.messages, before.messages),
            short(now.flows.into())
        )
    }
}

/// A number with four digits at most, and a letter for the thousands.
fn short(number: u128) -> String {
    const LETTERS: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let mut scale = 1_u128;
    for letter in LETTERS {
        if number < scale * 10_000 {
            return match letter {
                "" => number.to_string(),
                _ if number < scale * 100 => {
                    format!("{}.{}{letter}", number / scale, number % scale * 10 / scale)
                }
                _ => format!("{}{letter}", number / scale),
            };
        }
        scale *= 1_000;
    }
    number.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_time_since_the_last_line() {
        let mut rate = Rate::default();
        let first = Traffic {
            messages: 2,
            flows: 50,
            packets: 12_345,
            octets: 123_456_789,
        };
        assert_eq!(
            rate.line(first, Duration::from_secs(1)),
            "50 flows/s, 12.3k packets/s, 123M octets/s, 2 messages/s; 50 flows in all"
        );
        let second = Traffic {
            messages: 2,
            flows: 100,
            ..first
        };
        assert_eq!(
            rate.line(second, Duration::from_millis(500)),
            "100 flows/s, 0 packets/s, 0 octets/s, 0 messages/s; 100 flows in all"
        );
    }

    #[test]
    fn numbers_are_short() {
        for (number, text) in [
            (0, "0"),
            (9_999, "9999"),
            (10_000, "10.0k"),
            (99_999, "99.9k"),
            (100_000, "100k"),
            (9_999_999, "9999k"),
            (10_000_000, "10.0M"),
            (u128::from(u64::MAX), "18.4E"),
        ] {
            assert_eq!(short(number), text);
        }
    }
}
