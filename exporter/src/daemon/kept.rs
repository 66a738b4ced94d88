//! What the exporter keeps for the one after it: pins, and the ledger on its page.

use crate::ledger::{Count, Journal, LossReason, Past};
use crate::observe::{Account, PAGE_REASONS, Page, Pins};
use ebpfix_probes::abi::Tally;
use std::sync::Arc;

/// What outlives the exporter, unless it ends in good order.
#[derive(Clone)]
pub struct Kept {
    /// Programs and tables.
    pub pins: Arc<Pins>,
    /// The ledger page.
    pub page: Arc<Page>,
}

const _: () = assert!(LossReason::ALL.len() <= PAGE_REASONS);

impl Journal for Arc<Page> {
    fn write(&mut self, past: &Past, closed: Option<u64>) {
        let tally = |count: Count| Tally {
            packets: count.packets,
            octets: count.octets,
        };
        self.update(|account| {
            account.exported = tally(past.exported);
            account.elsewhere = tally(past.elsewhere);
            // Those of a later version are `unaccounted` by now: see `past`.
            let lost = past.lost.iter().map(|(_, lost)| tally(lost));
            let lost = lost.chain(std::iter::repeat(Tally::default()));
            for (lost, place) in lost.zip(&mut account.lost) {
                *place = lost;
            }
            account.closed = closed.unwrap_or(account.closed);
        });
    }
}

/// What a page says, in the ledger's terms. What was lost for reasons that only a later version has
/// is `unaccounted` here.
pub fn past(account: &Account) -> Past {
    let mut past = Past {
        exported: count(account.exported),
        elsewhere: count(account.elsewhere),
        ..Past::default()
    };
    let reasons = LossReason::ALL.into_iter().map(Some);
    let reasons = reasons.chain(std::iter::repeat(None));
    for (lost, reason) in account.lost.iter().zip(reasons) {
        past.lost
            .add(reason.unwrap_or(LossReason::Unaccounted), count(*lost));
    }
    past
}

/// A tally of the kernel as the ledger has it.
pub fn count(tally: Tally) -> Count {
    Count::new(tally.packets, tally.octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_version_lost_is_not_forgotten() {
        let mut account = Account::default();
        let one = Tally {
            packets: 1,
            octets: 100,
        };
        let last = LossReason::ALL.len() - 1;
        account.lost[last] = one;
        account.lost[PAGE_REASONS - 1] = one;
        let past = past(&account);
        assert_eq!(past.lost.of(LossReason::ALL[last]), Count::new(1, 100));
        assert_eq!(past.lost.of(LossReason::Unaccounted), Count::new(1, 100));
        assert_eq!(past.lost.total(), count(account.accounted()));
    }
}
