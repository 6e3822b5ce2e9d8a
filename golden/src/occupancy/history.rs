// SPDX-License-Identifier: Apache-2.0
//! The facts that fences have invalidated, kept to give the reason in a mismatch.
//!
//! A check needs an invalidated fact only until every request that was accepted before the fence
//! has its response. A reason needs the fact as long as a faulty device may still use it, which is
//! until reset. So the models remove such facts from what they check, and keep them here.
//!
//! The memory is bounded to [`FACTS`] facts per key and 2 × [`KEYS`] keys. If there are more keys,
//! the oldest are dropped, and [`History::is_complete`] returns false.

use std::hash::Hash;
use std::mem;

use rustc_hash::FxHashMap;

use crate::mmu::Fence;

/// Number of different facts kept per key: those invalidated last.
pub const FACTS: usize = 4;
/// Number of keys kept at least: those with a fact invalidated last.
pub const KEYS: usize = 32_768;

/// A fact that a fence has invalidated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Invalidated<F> {
    /// The fact.
    pub fact: F,
    /// The fence that has invalidated it.
    pub fence: Fence,
    /// The number of the fence since the reset, from 1.
    pub number: u64,
}

/// The reason why a cache must not contain what a device has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// No walk has found it since the reset.
    NeverFound,
    /// No walk in the history has found it, but older facts were dropped.
    NotFoundOfLate,
    /// Fences have invalidated all that walks have found. This is the last of these fences.
    Invalidated {
        /// The fence.
        fence: Fence,
        /// Its number since the reset, from 1.
        number: u64,
    },
}

impl<F> Invalidated<F> {
    /// Makes a fact that the fence with a number has invalidated.
    pub fn new(fact: F, fence: &Fence, number: u64) -> Self {
        let fence = *fence;
        Self {
            fact,
            fence,
            number,
        }
    }
}

/// The facts of each key, by the numbers of their fences.
type Facts<K, F> = FxHashMap<K, Vec<Invalidated<F>>>;

/// The invalidated facts of every key.
#[derive(Debug)]
pub struct History<K, F> {
    /// At most [`KEYS`] keys.
    recent: Facts<K, F>,
    /// The generation before, of at most [`KEYS`] keys.
    older: Facts<K, F>,
    is_complete: bool,
}

impl<K, F> Default for History<K, F> {
    /// Returns an empty history.
    fn default() -> Self {
        Self {
            recent: FxHashMap::default(),
            older: FxHashMap::default(),
            is_complete: true,
        }
    }
}

impl<K: Eq + Hash, F: PartialEq> History<K, F> {
    /// Records that a fence has invalidated a fact of a key.
    pub fn note(&mut self, key: K, invalidated: Invalidated<F>) {
        let facts = match self.recent.get_mut(&key) {
            Some(facts) => facts,
            None => {
                let facts = self.older.remove(&key).unwrap_or_default();
                if self.recent.len() == KEYS {
                    let dropped = mem::replace(&mut self.older, mem::take(&mut self.recent));
                    self.is_complete &= dropped.is_empty();
                }
                self.recent.entry(key).or_insert(facts)
            }
        };
        // An overtaken walk ends late, so a later fence may have been recorded already.
        let same = facts.iter().position(|one| one.fact == invalidated.fact);
        if let Some(same) = same {
            if facts[same].number > invalidated.number {
                return;
            }
            facts.remove(same);
        }
        let place = facts.partition_point(|one| one.number <= invalidated.number);
        facts.insert(place, invalidated);
        if facts.len() > FACTS {
            facts.remove(0);
        }
    }

    /// Returns the facts of a key that fences up to a number have invalidated, the latest first.
    pub fn of<'a>(
        &'a self,
        key: &K,
        up_to: u64,
    ) -> impl Iterator<Item = &'a Invalidated<F>> + use<'a, K, F> {
        let facts = self.recent.get(key).or_else(|| self.older.get(key));
        let facts = facts.map_or(&[][..], Vec::as_slice);
        facts.iter().rev().filter(move |one| one.number <= up_to)
    }

    /// Returns the reason why a cache contains none of the keys after fence number `up_to`.
    pub fn absence(&self, keys: impl Iterator<Item = K>, up_to: u64) -> Absence {
        let invalidated = keys.flat_map(|key| self.of(&key, up_to));
        match invalidated.max_by_key(|one| one.number) {
            Some(one) => Absence::Invalidated {
                fence: one.fence,
                number: one.number,
            },
            None if self.is_complete => Absence::NeverFound,
            None => Absence::NotFoundOfLate,
        }
    }

    /// Returns true if no key with an invalidated fact has been dropped.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invalidated(fact: u32, number: u64) -> Invalidated<u32> {
        Invalidated::new(fact, &Fence::default(), number)
    }

    fn numbers(history: &History<usize, u32>, key: usize, up_to: u64) -> Vec<u64> {
        history.of(&key, up_to).map(|one| one.number).collect()
    }

    #[test]
    fn of_a_key_the_facts_that_were_invalidated_last_are_kept_each_once() {
        let mut history = History::default();
        for number in 1..=6 {
            history.note(7, invalidated(number as u32, number));
        }
        assert_eq!(numbers(&history, 7, u64::MAX), [6, 5, 4, 3]);
        assert_eq!(numbers(&history, 7, 4), [4, 3]);
        assert!(numbers(&history, 8, u64::MAX).is_empty());
        history.note(7, invalidated(4, 9));
        assert_eq!(numbers(&history, 7, u64::MAX), [9, 6, 5, 3]);
    }

    #[test]
    fn a_fact_that_is_noted_late_has_its_place_by_the_number_of_its_fence() {
        let mut history = History::default();
        for (fact, number) in [(1, 5), (2, 3), (1, 4), (3, 4)] {
            history.note(7, invalidated(fact, number));
        }
        assert_eq!(numbers(&history, 7, u64::MAX), [5, 4, 3]);
        let facts: Vec<u32> = history.of(&7, 9).map(|one| one.fact).collect();
        assert_eq!(facts, [1, 3, 2]);
    }

    #[test]
    fn an_absence_names_the_last_fence_of_all_keys_up_to_a_number() {
        let mut history = History::default();
        let absence =
            |history: &History<usize, u32>, up_to| history.absence([7, 8].into_iter(), up_to);
        assert_eq!(absence(&history, 9), Absence::NeverFound);
        history.note(7, invalidated(0, 3));
        history.note(8, invalidated(0, 5));
        for (up_to, number) in [(9, 5), (5, 5), (4, 3)] {
            let fence = Fence::default();
            assert_eq!(
                absence(&history, up_to),
                Absence::Invalidated { fence, number }
            );
        }
        assert_eq!(absence(&history, 2), Absence::NeverFound);
        history.is_complete = false;
        assert_eq!(absence(&history, 2), Absence::NotFoundOfLate);
    }

    #[test]
    fn memory_is_bounded_and_what_was_dropped_is_said() {
        let mut history = History::default();
        for key in 0..2 * KEYS {
            history.note(key, invalidated(0, 1));
        }
        assert!(history.is_complete());
        for key in 2 * KEYS..5 * KEYS {
            // One key is used all the time.
            for key in [0, key] {
                history.note(key, invalidated(0, 1));
            }
            assert!(history.recent.len() <= KEYS && history.older.len() <= KEYS);
            assert!(!history.is_complete());
        }
        let kept = |key| !numbers(&history, key, 1).is_empty();
        assert!(kept(0) && !kept(1));
        assert!((4 * KEYS + 1..5 * KEYS).all(kept));
    }
}
