// SPDX-License-Identifier: Apache-2.0
//! The pages that a TLB certainly contains, in the order of their use.
//!
//! [`super::Tlb`] checks responses. This model lists the entries that are certainly present, for
//! code that counts what a request or a fence meets. `docs/ports.md`, "TLB": as long as everything
//! ever filled fits, nothing is replaced. Otherwise a tree pseudo-LRU of n entries keeps the
//! log2(n) + 1 entries that were used last, in any order of use before.

use super::page::{Page, PageKind};
use super::tree_plru_others;
use crate::addr::Gva;
use crate::format::Format;
use crate::mmu::{AddressSpaceTag, Fence, FenceMatch, Outcome, Query};
use crate::walk::{self, Mapping};

/// A page that a walk has filled into a TLB.
#[derive(Clone, Copy, Debug)]
pub struct FilledPage {
    page: Page,
    /// The address space of the walk, with the parts that the address-space tag leaves out.
    pub space: AddressSpaceTag,
    /// The gVA of the walk.
    pub gva: Gva,
    /// The mapping of that gVA.
    pub mapping: Mapping,
}

impl FilledPage {
    /// Makes the page that a walk for a query has found.
    pub fn new(query: &Query, mapping: &Mapping) -> Self {
        Self {
            page: Page::new(query, PageKind::of(mapping)),
            space: query.context.space(),
            gva: query.gva,
            mapping: *mapping,
        }
    }

    /// Returns true if the query's address and address space are the page's. The page may still
    /// refuse the access.
    #[inline]
    pub fn is_for(&self, query: &Query) -> bool {
        self.covers(query.gva) && self.page.contains(query)
    }

    /// Returns true if a fence matches the page.
    pub fn is_matched_by(&self, fence: &Fence) -> bool {
        fence.matches(self.space, &self.extent())
    }

    /// Returns true if a gVA is in the page, in any address space.
    #[inline]
    pub fn covers(&self, gva: Gva) -> bool {
        let size = self.mapping.page_size;
        self.gva.0 >> size == gva.0 >> size
    }

    /// Returns the response to a query that the page is for; none if the page refuses the access.
    pub fn outcome(&self, format: Format, query: &Query) -> Option<Outcome> {
        walk::outcome_from(format, query, &self.mapping)
    }

    /// Returns the part of the mapping that fences compare.
    pub fn extent(&self) -> FenceMatch {
        self.mapping.extent(self.gva)
    }
}

/// The entries that a TLB certainly contains, most recently used first.
#[derive(Debug)]
pub struct RecentPages {
    capacity: usize,
    /// The machine has address spaces of V=0.
    has_native: bool,
    /// The entries, most recently used first. An entry is none if it is not known which entry was
    /// used.
    entries: Vec<Option<FilledPage>>,
    /// The TLB may contain entries that are not in `entries`, of V=0 and of V=1.
    others: [bool; 2],
}

impl RecentPages {
    /// Makes an empty TLB with `entries` entries.
    pub fn new(format: Format, entries: u32) -> Self {
        Self {
            capacity: entries as usize,
            has_native: format.has_native_contexts(),
            entries: Vec::new(),
            others: [false; 2],
        }
    }

    /// Returns the entries that are certainly present, most recently used first.
    pub fn must_contain(&self) -> impl Iterator<Item = &FilledPage> {
        self.entries.iter().flatten()
    }

    /// Returns true if the TLB is certainly empty.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.others == [false; 2]
    }

    /// Returns the entry that is for a query, if it is certainly present. It may refuse the access.
    pub fn find(&self, query: &Query) -> Option<&FilledPage> {
        self.must_contain().find(|entry| entry.is_for(query))
    }

    /// Records a fill by a walk. The page replaces all pages that it overlaps.
    pub fn on_fill(&mut self, query: &Query, mapping: &Mapping) {
        let new = FilledPage::new(query, mapping);
        self.entries
            .retain(|old| old.is_none_or(|old| !old.page.overlaps(&new.page)));
        if self.entries.len() >= self.capacity {
            self.keep_recent();
        }
        self.push(Some(new));
    }

    /// Records a hit of the entry that is for a query.
    pub fn on_hit(&mut self, query: &Query) {
        let is_it = |entry: &Option<FilledPage>| entry.is_some_and(|entry| entry.is_for(query));
        if let Some(at) = self.entries.iter().position(is_it) {
            let entry = self.entries.remove(at);
            self.push(entry);
        }
    }

    /// Records a hit of an entry that is not in the model.
    pub fn on_unknown_hit(&mut self) {
        self.push(None);
    }

    /// Records a hit of the L2 TLB. The TLB has been filled with an entry that only the response
    /// describes, and any entry may have been replaced.
    pub fn on_l2_hit(&mut self) {
        self.push(None);
        self.keep_recent();
    }

    /// Records that a fence was accepted.
    pub fn on_fence(&mut self, fence: &Fence) {
        // A fill in the cycle of the fence cannot use room that the fence makes.
        if self.entries.len() >= self.capacity {
            self.keep_recent();
        }
        self.entries
            .retain(|entry| entry.is_none_or(|entry| !entry.is_matched_by(fence)));
        if fence.matches_everything() {
            self.others[usize::from(fence.virt)] = false;
        }
        if self.others == [false; 2] {
            self.entries.retain(Option::is_some);
        }
    }

    /// Keeps only the entries that a replacement cannot have removed: those that were used last.
    fn keep_recent(&mut self) {
        let kept = tree_plru_others(self.capacity as u32) as usize + 1;
        for entry in self.entries.drain(kept.min(self.entries.len())..) {
            match entry {
                Some(entry) => self.others[usize::from(entry.space.virt)] = true,
                None => self.others = [self.has_native, true],
            }
        }
    }

    /// Records the use of an entry: it becomes the first.
    fn push(&mut self, entry: Option<FilledPage>) {
        self.entries.insert(0, entry);
        if self.others != [false; 2] {
            self.keep_recent();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::occupancy::test_support::{mapping, native, query};

    fn tlb(capacity: u32) -> RecentPages {
        RecentPages::new(Format::Rv64, capacity)
    }

    fn fill(tlb: &mut RecentPages, virt: bool, page: u64, size: u32) {
        let gva = page << 12;
        let query = if virt { query(gva) } else { native(gva) };
        tlb.on_fill(&query, &mapping(gva, size, size));
    }

    fn pages(tlb: &RecentPages) -> Vec<u64> {
        tlb.must_contain().map(|entry| entry.gva.0 >> 12).collect()
    }

    #[test]
    fn all_pages_are_certain_while_they_fit_and_then_the_last_used() {
        let mut tlb = tlb(4);
        for page in 0..4 {
            fill(&mut tlb, true, page, 12);
        }
        assert_eq!(pages(&tlb), [3, 2, 1, 0]);
        fill(&mut tlb, true, 4, 12);
        assert_eq!(pages(&tlb), [4, 3, 2]);
        // A hit of another entry is one of the last three uses now. It may be any entry.
        tlb.on_unknown_hit();
        assert_eq!(pages(&tlb), [4, 3]);
        fill(&mut tlb, true, 5, 12);
        assert_eq!(pages(&tlb), [5, 4]);
    }

    #[test]
    fn a_hit_moves_its_page_to_the_front() {
        let mut tlb = tlb(4);
        for page in 0..3 {
            fill(&mut tlb, true, page, 12);
        }
        assert!(tlb.find(&query(0)).is_some());
        tlb.on_hit(&query(0));
        assert_eq!(pages(&tlb), [0, 2, 1]);
        tlb.on_hit(&query(7 << 12));
        assert_eq!(pages(&tlb), [0, 2, 1]);
    }

    #[test]
    fn a_hit_of_the_l2_tlb_may_replace_all_but_the_last_used() {
        let mut tlb = tlb(4);
        for page in 0..4 {
            fill(&mut tlb, true, page, 12);
        }
        tlb.on_l2_hit();
        assert_eq!(pages(&tlb), [3, 2]);
    }

    #[test]
    fn a_fence_of_everything_makes_all_pages_certain_again() {
        let mut tlb = tlb(4);
        for page in 0..6 {
            fill(&mut tlb, page % 2 == 0, page, 12);
        }
        assert_eq!(tlb.others, [true; 2]);
        let everything = |virt| Fence {
            virt,
            ..Fence::default()
        };
        tlb.on_fence(&everything(true));
        assert_eq!(pages(&tlb), [5, 3]);
        assert_eq!(tlb.others, [true, false]);
        tlb.on_fence(&everything(false));
        assert!(tlb.is_empty());
        for page in 0..4 {
            fill(&mut tlb, true, page, 12);
        }
        assert_eq!(pages(&tlb), [3, 2, 1, 0]);
    }

    #[test]
    fn a_fence_keeps_what_it_does_not_match_as_far_as_a_fill_beside_it_can_not_replace_it() {
        let mut tlb = tlb(4);
        for page in 0..4 {
            fill(&mut tlb, true, page, 12);
        }
        tlb.on_fence(&Fence {
            gva: Some(Gva(2 << 12)),
            ..Fence::default()
        });
        // The TLB was full: page 0 may have been replaced in the cycle of the fence.
        assert_eq!(pages(&tlb), [3, 1]);
    }

    #[test]
    fn a_fill_takes_the_place_of_what_it_overlaps() {
        let mut tlb = tlb(4);
        for page in 0..3 {
            fill(&mut tlb, true, page, 12);
        }
        fill(&mut tlb, false, 1, 12);
        fill(&mut tlb, true, 0x100, 21);
        assert_eq!(pages(&tlb), [0x100, 1]);
        let found = tlb.find(&query(0x1F_F000)).unwrap();
        assert!(found.covers(Gva(0)) && !found.covers(Gva(0x20_0000)));
        assert!(tlb.find(&query(0x20_0000)).is_none());
        let mut other = query(0x1000);
        other.context.asid = 9;
        assert!(tlb.find(&other).is_none());
    }
}
