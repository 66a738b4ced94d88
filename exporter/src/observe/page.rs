//! The ledger page: what an exporter has exported and lost, kept where the kernel keeps its counters.
//!
//! It is a map of one element that no program reads. Pinned beside the tables it lives just as long
//! as they do, so that whoever takes them over can tell, to the packet, what died with the exporter
//! before.
//!
//! A process can be killed between any two stores. So there are two copies of the account, and a
//! counter whose lowest bit names the one that is valid: the other is written, then the counter.

use super::bpf;
use super::error::Error;
use super::mapped::Mapped;
use ebpfix_probes::abi::Tally;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Reasons of loss that there is room for.
pub const PAGE_REASONS: usize = 32;

/// Says that this is a ledger page, and of which version.
const MAGIC: u64 = 0x6562_7066_6978_0001;
/// Words of an [`Account`].
const ACCOUNT_WORDS: usize = 2 * (2 + PAGE_REASONS) + 6;
/// Where the counter stands, after [`MAGIC`].
const COUNTER: usize = 1;
/// Where the copies begin.
const COPIES: usize = 2;
/// Words of the page.
const PAGE_WORDS: usize = COPIES + 2 * ACCOUNT_WORDS;

/// What the page says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Account {
    /// What was exported.
    pub exported: Tally,
    /// What was observed by other tables than those that the page belongs to: they are gone.
    pub elsewhere: Tally,
    /// What was lost, by the place of the reason in the ledger's list.
    pub lost: [Tally; PAGE_REASONS],
    /// When the tables were made, in milliseconds since 1970.
    pub since_ms: u64,
    /// How often one exporter handed over to the next.
    pub handovers: u64,
    /// How often an exporter ended without that.
    pub crashes: u64,
    /// 1: the exporter has handed over and is done.
    pub handed_over: u64,
    /// The kernel's number of the last `cpu_state` whose contents went into this account.
    pub closed: u64,
    /// The network namespace that the exporter observes: the number of its inode.
    pub namespace: u64,
}

/// The page, mapped. One process writes to it.
pub struct Page {
    words: Mapped<[u64; PAGE_WORDS]>,
    account: Mutex<Account>,
}

impl Page {
    /// Creates the map of a page.
    pub fn create() -> Result<OwnedFd, Error> {
        bpf::create_page(c"ledger", size_of::<[u64; PAGE_WORDS]>())
    }

    /// Maps a new page and writes the account.
    pub fn begin(map: &OwnedFd, account: Account) -> Result<Self, Error> {
        let page = Self {
            words: Mapped::new(map, 1)?,
            account: Mutex::new(account),
        };
        page.commit(&account);
        page.word(0).store(MAGIC, Ordering::Release);
        Ok(page)
    }

    /// Maps a page that is there; `None` where it is of another version.
    pub fn open(map: &OwnedFd) -> Result<Option<Self>, Error> {
        let shape = bpf::map_shape(map).map_err(|e| Error::os("reading the ledger page", e))?;
        let octets = u32::try_from(size_of::<[u64; PAGE_WORDS]>()).unwrap_or(0);
        if !shape.mappable_array || shape.value_octets != octets {
            return Ok(None);
        }
        let page = Self {
            words: Mapped::new(map, 1)?,
            account: Mutex::default(),
        };
        if page.word(0).load(Ordering::Acquire) != MAGIC {
            return Ok(None);
        }
        let valid = page.word(COUNTER).load(Ordering::Acquire) & 1;
        let mut words = [0; ACCOUNT_WORDS];
        for (at, word) in words.iter_mut().enumerate() {
            *word = page.word(copy_at(valid) + at).load(Ordering::Relaxed);
        }
        *page.lock() = Account::from_words(&words);
        Ok(Some(page))
    }

    /// The account as it stands.
    pub fn account(&self) -> Account {
        *self.lock()
    }

    /// Changes the account, all of it or nothing however the process ends.
    pub fn update(&self, change: impl FnOnce(&mut Account)) {
        let mut account = self.lock();
        change(&mut account);
        self.commit(&account);
    }

    fn commit(&self, account: &Account) {
        let counter = self.word(COUNTER);
        let next = counter.load(Ordering::Relaxed).wrapping_add(1);
        for (at, word) in account.to_words().into_iter().enumerate() {
            self.word(copy_at(next & 1) + at)
                .store(word, Ordering::Relaxed);
        }
        counter.store(next, Ordering::Release);
    }

    fn word(&self, at: usize) -> &std::sync::atomic::AtomicU64 {
        self.words.word(0, at * size_of::<u64>())
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a copy begins.
fn copy_at(parity: u64) -> usize {
    COPIES + if parity == 0 { 0 } else { ACCOUNT_WORDS }
}

impl Account {
    fn to_words(self) -> [u64; ACCOUNT_WORDS] {
        let mut words = [0; ACCOUNT_WORDS];
        let tallies = [self.exported, self.elsewhere].into_iter().chain(self.lost);
        let values = tallies
            .flat_map(|tally| [tally.packets, tally.octets])
            .chain([
                self.since_ms,
                self.handovers,
                self.crashes,
                self.handed_over,
                self.closed,
                self.namespace,
            ]);
        for (word, value) in words.iter_mut().zip(values) {
            *word = value;
        }
        words
    }

    fn from_words(words: &[u64; ACCOUNT_WORDS]) -> Self {
        let mut words = words.iter().copied();
        let mut next = || words.next().unwrap_or(0);
        let mut tally = || Tally {
            packets: next(),
            octets: next(),
        };
        let (exported, elsewhere) = (tally(), tally());
        let lost = std::array::from_fn(|_| tally());
        Self {
            exported,
            elsewhere,
            lost,
            since_ms: next(),
            handovers: next(),
            crashes: next(),
            handed_over: next(),
            closed: next(),
            namespace: next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_comes_back_as_it_was_written() {
        let tally = |n| Tally {
            packets: n,
            octets: n * 100,
        };
        let account = Account {
            exported: tally(1),
            elsewhere: tally(2),
            lost: std::array::from_fn(|n| tally(10 + n as u64)),
            since_ms: 3,
            handovers: 4,
            crashes: 5,
            handed_over: 6,
            closed: 7,
            namespace: 8,
        };
        let words = account.to_words();
        assert_eq!(Account::from_words(&words), account);
        // Every word is used, and none twice.
        let distinct: std::collections::HashSet<u64> = words.into_iter().collect();
        assert_eq!(distinct.len(), ACCOUNT_WORDS);
    }
}
