//! From hash to row: open addressing, linear probing, four octets a slot.
//!
//! A slot holds a row's number plus one in its low bits, 0 for none. The bits that the largest
//! number leaves free hold the top bits of the row's hash, so that a row is hardly ever looked at in
//! vain: with a million rows one time in 2^11. The place of a hash is in its low bits.

/// The index of a table of rows. At most half of its slots are in use.
#[derive(Debug)]
pub(super) struct Index {
    slots: Vec<u32>,
    used: usize,
    row_bits: u32,
}

const EMPTY: u32 = 0;
const MIN_SLOTS: usize = 16;

impl Index {
    /// An index for rows with numbers below `max_rows`.
    pub(super) fn new(max_rows: u32) -> Self {
        Self {
            slots: vec![EMPTY; MIN_SLOTS],
            used: 0,
            row_bits: low_bits_for(max_rows),
        }
    }

    /// An index with `count` rows in it, given with their hashes.
    pub(super) fn with(
        max_rows: u32,
        count: usize,
        entries: impl Iterator<Item = (u32, u32)>,
    ) -> Self {
        let slots = (count * 2).next_power_of_two().max(MIN_SLOTS);
        let mut index = Self {
            slots: vec![EMPTY; slots],
            used: count,
            ..Self::new(max_rows)
        };
        for (row, hash) in entries {
            index.put(row, hash);
        }
        index
    }

    /// Octets of memory it takes.
    pub(super) fn memory(&self) -> usize {
        self.slots.capacity() * size_of::<u32>()
    }

    /// Whether it must [grow](Index::grow) before the next row is put in.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.used >= self.slots.len() / 2
    }

    /// Doubles the slots. `entries` are all rows that are in, with their hashes.
    pub(super) fn grow(&mut self, entries: impl Iterator<Item = (u32, u32)>) {
        self.slots = vec![EMPTY; self.slots.len() * 2];
        for (row, hash) in entries {
            self.put(row, hash);
        }
    }

    /// The row of this hash that `is_it`.
    #[inline]
    pub(super) fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut slot = self.home(hash);
        loop {
            let entry = self.slots[slot];
            if entry == EMPTY {
                return None;
            }
            if self.tag(entry) == self.tag(hash) && is_it(self.row(entry)) {
                return Some(self.row(entry));
            }
            slot = self.after(slot);
        }
    }

    /// The row that [`find`](Self::find) most likely asks about, where it asks at all: hardly a
    /// branch depends on what is there, so that the processor can look up many at a time.
    #[inline]
    pub(super) fn likely(&self, hash: u32) -> Option<u32> {
        const LOOK: usize = 4;
        let home = self.home(hash);
        let mut found = EMPTY;
        for ahead in (0..LOOK).rev() {
            let entry = self.slots[(home + ahead) & (self.slots.len() - 1)];
            let fits = self.tag(entry) == self.tag(hash) && entry != EMPTY;
            found = if fits { entry } else { found };
        }
        (found != EMPTY).then(|| self.row(found))
    }

    /// What stands at the place of `hash`: brings the slot into the processor's cache.
    #[inline]
    pub(super) fn peek(&self, hash: u32) -> u32 {
        self.slots[self.home(hash)]
    }

    /// Puts in a row that is not in; not when [full](Index::is_full).
    pub(super) fn insert(&mut self, row: u32, hash: u32) {
        debug_assert!(!self.is_full());
        self.used += 1;
        self.put(row, hash);
    }

    /// Lets `new` stand where `old` of the same hash stands.
    pub(super) fn replace(&mut self, old: u32, new: u32, hash: u32) {
        if let Some(slot) = self.slot_of(old, hash) {
            self.slots[slot] = self.entry(new, hash);
        }
    }

    /// Takes out a row. The entries behind move up, so that no gap stays in anybody's way; for that
    /// `hash_of` gives the hash of any row that is in.
    pub(super) fn remove(&mut self, row: u32, hash: u32, hash_of: impl Fn(u32) -> u32) {
        let Some(mut gap) = self.slot_of(row, hash) else {
            debug_assert!(false, "row {row} is not in the index");
            return;
        };
        let mask = self.slots.len() - 1;
        let mut slot = self.after(gap);
        loop {
            let entry = self.slots[slot];
            if entry == EMPTY {
                break;
            }
            let home = self.home(hash_of(self.row(entry)));
            // An entry may move up to the gap unless its place is behind the gap.
            if slot.wrapping_sub(home) & mask >= slot.wrapping_sub(gap) & mask {
                self.slots[gap] = entry;
                gap = slot;
            }
            slot = self.after(slot);
        }
        self.slots[gap] = EMPTY;
        self.used -= 1;
    }

    fn put(&mut self, row: u32, hash: u32) {
        let mut slot = self.home(hash);
        while self.slots[slot] != EMPTY {
            slot = self.after(slot);
        }
        self.slots[slot] = self.entry(row, hash);
    }

    fn slot_of(&self, row: u32, hash: u32) -> Option<usize> {
        let wanted = self.entry(row, hash);
        let mut slot = self.home(hash);
        loop {
            match self.slots[slot] {
                EMPTY => return None,
                entry if entry == wanted => return Some(slot),
                _ => slot = self.after(slot),
            }
        }
    }

    #[inline]
    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    #[inline]
    fn after(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }

    #[inline]
    fn entry(&self, row: u32, hash: u32) -> u32 {
        self.tag(hash) | (row + 1)
    }

    #[inline]
    fn tag(&self, entry_or_hash: u32) -> u32 {
        entry_or_hash & !self.row_bits
    }

    #[inline]
    fn row(&self, entry: u32) -> u32 {
        (entry & self.row_bits) - 1
    }
}

/// Ones in the bits that numbers up to `max` need.
const fn low_bits_for(max: u32) -> u32 {
    if max == 0 {
        0
    } else {
        u32::MAX >> max.leading_zeros()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn every_width_of_row_number_has_room() {
        assert_eq!(low_bits_for(1), 1);
        assert_eq!(low_bits_for(2), 3);
        assert_eq!(low_bits_for(131_072), 0x3_ffff);
        assert_eq!(low_bits_for(u32::MAX), u32::MAX);
    }

    /// A map that compares nothing but row numbers, as the index knows no keys.
    fn check(operations: Vec<(bool, u32)>, hash_of: impl Fn(u32) -> u32 + Copy, max: u32) {
        let mut index = Index::new(max);
        let mut model = HashMap::new();
        for (insert, row) in operations {
            let hash = hash_of(row);
            if insert && !model.contains_key(&row) {
                if index.is_full() {
                    index.grow(model.iter().map(|(&row, &hash)| (row, hash)));
                }
                index.insert(row, hash);
                model.insert(row, hash);
            } else if !insert && model.remove(&row).is_some() {
                index.remove(row, hash, hash_of);
            }
            for row in 0..max {
                let found = index.find(hash_of(row), |candidate| candidate == row);
                assert_eq!(found.is_some(), model.contains_key(&row), "row {row}");
            }
        }
        assert_eq!(index.used, model.len());
        assert_eq!(
            index.slots.iter().filter(|&&slot| slot != EMPTY).count(),
            model.len()
        );
    }

    proptest! {
        #[test]
        fn finds_what_is_in_and_nothing_else(
            operations in prop::collection::vec((any::<bool>(), 0_u32..40), 0..200)
        ) {
            // Spread, all in one place, clusters around the wrap, and all in one place with tags.
            check(operations.clone(), |row| row.wrapping_mul(0x9e37_79b9), 40);
            check(operations.clone(), |_| 7, 40);
            check(operations.clone(), |row| 0xffff_fffc | (row & 3), 40);
            check(operations, |row| row << 28 | 15, 40);
        }
    }

    #[test]
    fn replacing_keeps_the_place() {
        let mut index = Index::new(10);
        index.insert(1, 99);
        index.insert(2, 99);
        index.replace(1, 3, 99);
        assert_eq!(index.find(99, |row| row == 3), Some(3));
        assert_eq!(index.find(99, |row| row == 1), None);
        assert_eq!(index.find(99, |row| row == 2), Some(2));
    }
}
