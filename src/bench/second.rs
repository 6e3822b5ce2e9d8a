// SPDX-License-Identifier: Apache-2.0
//! What the second-level TLB must hold: what walks have filled of late, until a fence may make it forget it.
//!
//! docs/ports.md, "Second-level TLB": a set of n ways, and the superpages of n entries, replace none of the log2(n) + 1 that were
//! filled or have answered last. A fence forgets what it names; if the one before it has not been through all sets, also what that has
//! not come to. What has been filled is known to the cycle, and so is who was answered, but not by which entry: one that may be there
//! twice, or that is not known, counts against every other.

use rustc_hash::FxHashSet;

use super::checker::Key;
use crate::addr::Gva;
use crate::dut::variants::SecondTlb;
use crate::format::Format;
use crate::golden::{self, Mapping};
use crate::mmu::{Fence, Query};

/// An entry that is there for sure.
struct Kept {
    key: Key,
    mapping: Mapping,
    /// Fills and answers since it was filled or has answered, at most.
    others: u32,
}

impl Kept {
    fn is_for(&self, query: &Query) -> bool {
        self.key.is_for(query)
    }

    fn answers(&self, format: Format, query: &Query) -> bool {
        golden::answer_from(format, query, &self.mapping).is_some()
    }
}

/// Ways that replace one another.
#[derive(Default)]
struct Set(Vec<Kept>);

impl Set {
    /// Something else has been filled or has answered.
    fn push(&mut self, ways: u32, is_own: impl Fn(&Kept) -> bool) {
        for kept in &mut self.0 {
            kept.others = if is_own(kept) { 0 } else { kept.others + 1 };
        }
        self.0.retain(|kept| kept.others <= ways.ilog2());
    }

    fn fill(&mut self, ways: u32, key: Key, mapping: Mapping) {
        self.0.retain(|kept| kept.key != key);
        self.push(ways, |_| false);
        self.0.push(Kept {
            key,
            mapping,
            others: 0,
        });
    }

    fn forget_named(&mut self, fence: &Fence) {
        self.0.retain(|kept| {
            let gva = Gva(kept.key.address());
            !fence.names(kept.key.space(), &kept.mapping.extent(gva))
        });
    }
}

pub(super) struct Second {
    format: Format,
    size: SecondTlb,
    sets: Vec<Set>,
    superpages: Set,
    /// Of the smallest pages: which have been filled, and which more than once and so may be there twice.
    filled: FxHashSet<Key>,
    filled_again: FxHashSet<Key>,
    /// An entry may be a piece of a larger page of the guest's.
    has_pieces: bool,
    /// Cycles since the last fence in which it can have read a set for it, while it may not have read all.
    swept: Option<u32>,
}

impl Second {
    pub fn new(format: Format, size: SecondTlb) -> Self {
        Self {
            format,
            size,
            sets: (0..size.sets).map(|_| Set::default()).collect(),
            superpages: Set::default(),
            filled: FxHashSet::default(),
            filled_again: FxHashSet::default(),
            has_pieces: false,
            swept: None,
        }
    }

    fn smallest(&self) -> u32 {
        self.format.geometry().offset_width
    }

    fn set_of(&mut self, query: &Query) -> &mut Set {
        let page = query.gva.0 >> self.smallest();
        &mut self.sets[(page % u64::from(self.size.sets)) as usize]
    }

    /// A request is taken. If the first level does not answer it, an entry that does not permit it is forgotten.
    pub fn taken(&mut self, query: &Query) {
        let format = self.format;
        let set = self.set_of(query);
        set.0
            .retain(|kept| !kept.is_for(query) || kept.answers(format, query));
    }

    /// A walk fills both levels. `held`: requests that are yet to be looked up.
    pub fn filled<'a>(
        &mut self,
        query: &Query,
        key: Key,
        mapping: &Mapping,
        mut held: impl Iterator<Item = &'a Query>,
    ) {
        let (format, size) = (self.format, self.size);
        if mapping.page_size > self.smallest() {
            if size.superpages > 0 {
                self.superpages.0.retain(|kept| !kept.key.overlaps(&key));
                self.superpages.fill(size.superpages, key, *mapping);
            }
            return;
        }
        self.has_pieces |= mapping.guest.page_size > self.smallest();
        if !self.filled.insert(key) {
            self.filled_again.insert(key);
        }
        let set = self.set_of(query);
        set.fill(size.ways, key, *mapping);
        set.0
            .pop_if(|kept| held.any(|query| kept.is_for(query) && !kept.answers(format, query)));
    }

    /// It has answered a request. Whether it can have had a smallest page for it, and a superpage.
    pub fn answered(&mut self, query: &Query, may_be_small: bool, may_be_large: bool) {
        let (format, size) = (self.format, self.size);
        self.taken(query);
        if may_be_large && size.superpages > 0 {
            self.superpages.push(size.superpages, |kept| {
                kept.is_for(query) && kept.answers(format, query)
            });
        }
        if may_be_small {
            let again = std::mem::take(&mut self.filled_again);
            let set = self.set_of(query);
            let is_own = |kept: &Kept| kept.is_for(query) && !again.contains(&kept.key);
            let is_one = set.0.iter().filter(|kept| kept.is_for(query)).count() == 1;
            set.push(size.ways, |kept| is_one && is_own(kept));
            self.filled_again = again;
        }
    }

    /// The page by which it must have answered a request that was given to a walk.
    pub fn must_answer(&self, query: &Query) -> Option<Key> {
        let sets = self.sets.iter().chain([&self.superpages]);
        let mut kept = sets.flat_map(|set| &set.0);
        kept.find(|kept| kept.is_for(query) && kept.answers(self.format, query))
            .map(|kept| kept.key)
    }

    /// A cycle begins. `is_free`: no request is taken in it, and none is held, so its memory can be read for the last fence.
    pub fn cycle(&mut self, is_free: bool) {
        if is_free && let Some(swept) = &mut self.swept {
            *swept += 1;
            if *swept >= self.size.sets {
                self.swept = None;
            }
        }
    }

    /// A fence. `is_free`: no request is held.
    pub fn fence(&mut self, fence: &Fence, is_free: bool) {
        for set in &mut self.sets {
            if self.swept.is_some() {
                set.0.clear();
            }
            set.forget_named(fence);
        }
        self.superpages.forget_named(fence);
        // By gVA it is in its own set only, which is read in the fence's cycle.
        let in_own_set = fence.gva.is_some() && !self.has_pieces && is_free;
        self.swept = (!in_own_set).then_some(0);
    }
}
