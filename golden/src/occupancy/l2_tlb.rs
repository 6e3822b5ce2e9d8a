// SPDX-License-Identifier: Apache-2.0
//! The must-contain model of the second-level TLB (L2 TLB). Its may-contain model is the TLB's.
//!
//! `docs/ports.md`, "Second-level TLB": a set of n ways, and the n entries for superpages, never
//! replace the log2(n) + 1 pages that were filled or hit last. A fence invalidates the entries it
//! matches. A fence issued during a sweep also invalidates every entry that the sweep of the fence
//! before it has not reached. The cycle of a fill is known, and so is the request that hit, but not
//! the entry that it hit. So an entry that may be present twice, or that is not in the model,
//! counts as a use against every other entry.

use rustc_hash::FxHashSet;

use super::page::Page;
use super::tree_plru_others;
use crate::format::Format;
use crate::mmu::{Fence, Query};
use crate::walk::{self, Mapping};

/// The size of an L2 TLB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L2Size {
    /// Number of sets for pages of the smallest size, a power of two.
    pub sets: u32,
    /// Number of ways of each set, a power of two.
    pub ways: u32,
    /// Number of entries for larger pages; 0 if there are none.
    pub superpages: u32,
}

/// A page that is certainly present.
#[derive(Debug)]
struct CertainEntry {
    page: Page,
    mapping: Mapping,
    /// Upper bound of the fills and hits of other entries since the entry was filled or hit.
    others: u32,
}

impl CertainEntry {
    fn is_for(&self, query: &Query) -> bool {
        self.page.contains(query)
    }

    fn answers(&self, format: Format, query: &Query) -> bool {
        walk::outcome_from(format, query, &self.mapping).is_some()
    }
}

/// The ways of a set, which replace one another.
#[derive(Debug, Default)]
struct Set(Vec<CertainEntry>);

impl Set {
    /// Records a fill or a hit. `is_it` selects the entry, if it is known.
    fn touch(&mut self, ways: u32, is_it: impl Fn(&CertainEntry) -> bool) {
        for entry in &mut self.0 {
            entry.others = if is_it(entry) { 0 } else { entry.others + 1 };
        }
        self.0
            .retain(|entry| entry.others <= tree_plru_others(ways));
    }

    fn fill(&mut self, ways: u32, page: Page, mapping: Mapping) {
        self.0.retain(|entry| entry.page != page);
        self.touch(ways, |_| false);
        self.0.push(CertainEntry {
            page,
            mapping,
            others: 0,
        });
    }

    fn invalidate(&mut self, fence: &Fence) {
        self.0.retain(|entry| {
            let extent = entry.mapping.extent(entry.page.first_gva());
            !fence.matches(entry.page.tag(), &extent)
        });
    }
}

/// The contents of an L2 TLB.
#[derive(Debug)]
pub struct L2Tlb {
    format: Format,
    size: L2Size,
    sets: Vec<Set>,
    superpages: Set,
    /// The pages of the smallest size that have been filled. `filled_again` has those filled more
    /// than once, which may be present twice.
    filled: FxHashSet<Page>,
    filled_again: FxHashSet<Page>,
    /// An entry may be a piece of a larger guest page.
    has_pieces: bool,
    /// The number of cycles in which the sweep of the last fence can have read a set; none once it
    /// has reached every set.
    swept: Option<u32>,
}

impl L2Tlb {
    /// Makes an empty L2 TLB.
    pub fn new(format: Format, size: L2Size) -> Self {
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

    /// Returns log2 of the size in bytes of the smallest page.
    fn smallest(&self) -> u32 {
        self.format.geometry().offset_width
    }

    fn set_of(&mut self, query: &Query) -> &mut Set {
        let page = query.gva.0 >> self.smallest();
        &mut self.sets[(page % u64::from(self.size.sets)) as usize]
    }

    /// Records that a request was accepted. If the TLB does not answer it, an L2 TLB entry that
    /// does not permit it is dropped.
    pub fn on_request(&mut self, query: &Query) {
        let format = self.format;
        let set = self.set_of(query);
        set.0
            .retain(|entry| !entry.is_for(query) || entry.answers(format, query));
    }

    /// Records a fill of both levels by a walk. `waiting` are the requests that wait for a lookup.
    pub fn on_fill<'a>(
        &mut self,
        query: &Query,
        page: Page,
        mapping: &Mapping,
        mut waiting: impl Iterator<Item = &'a Query>,
    ) {
        let (format, size) = (self.format, self.size);
        if mapping.page_size > self.smallest() {
            if size.superpages > 0 {
                let superpages = &mut self.superpages;
                superpages.0.retain(|entry| !entry.page.overlaps(&page));
                superpages.fill(size.superpages, page, *mapping);
            }
            return;
        }
        self.has_pieces |= mapping.guest.page_size > self.smallest();
        if !self.filled.insert(page) {
            self.filled_again.insert(page);
        }
        let set = self.set_of(query);
        set.fill(size.ways, page, *mapping);
        set.0.pop_if(|entry| {
            waiting.any(|query| entry.is_for(query) && !entry.answers(format, query))
        });
    }

    /// Records a hit. The page may have been of the smallest size, or larger, or either.
    pub fn on_hit(&mut self, query: &Query, may_be_smallest: bool, may_be_larger: bool) {
        let (format, size) = (self.format, self.size);
        self.on_request(query);
        if may_be_larger && size.superpages > 0 {
            self.superpages.touch(size.superpages, |entry| {
                entry.is_for(query) && entry.answers(format, query)
            });
        }
        if may_be_smallest {
            let again = std::mem::take(&mut self.filled_again);
            let set = self.set_of(query);
            let is_it = |entry: &CertainEntry| entry.is_for(query) && !again.contains(&entry.page);
            let is_one = set.0.iter().filter(|entry| entry.is_for(query)).count() == 1;
            set.touch(size.ways, |entry| is_one && is_it(entry));
            self.filled_again = again;
        }
    }

    /// Returns the page that must hit for a request; none if a miss is legal.
    pub fn must_contain(&self, query: &Query) -> Option<Page> {
        let sets = self.sets.iter().chain([&self.superpages]);
        let mut entries = sets.flat_map(|set| &set.0);
        entries
            .find(|entry| entry.is_for(query) && entry.answers(self.format, query))
            .map(|entry| entry.page)
    }

    /// Records the start of a cycle. `is_free` is true if no request is accepted in it and none
    /// waits for a lookup, so that the sweep can read a set.
    pub fn on_cycle(&mut self, is_free: bool) {
        if is_free && let Some(swept) = &mut self.swept {
            *swept += 1;
            if *swept >= self.size.sets {
                self.swept = None;
            }
        }
    }

    /// Records that a fence was accepted. `is_free` is true if no request waits for a lookup.
    pub fn on_fence(&mut self, fence: &Fence, is_free: bool) {
        for set in &mut self.sets {
            if self.swept.is_some() {
                set.0.clear();
            }
            set.invalidate(fence);
        }
        self.superpages.invalidate(fence);
        // A fence by gVA affects only the set of that gVA, which is read in the fence's cycle.
        let is_in_own_set = fence.gva.is_some() && !self.has_pieces && is_free;
        self.swept = (!is_in_own_set).then_some(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::{Gpa, Gva};
    use crate::mmu::Access;
    use crate::occupancy::page::PageKind;
    use crate::occupancy::test_support::{ASID, VMID, clean, mapping, query};

    const SETS: u32 = 4;
    const PAGE: u64 = 0x1000;
    /// The distance to the next page of the same set.
    const STRIDE: u64 = SETS as u64 * PAGE;

    fn tlb(ways: u32) -> L2Tlb {
        let size = L2Size {
            sets: SETS,
            ways,
            superpages: 2,
        };
        L2Tlb::new(Format::Rv64, size)
    }

    fn fill_with(tlb: &mut L2Tlb, gva: u64, mapping: &Mapping) {
        let query = query(gva);
        let page = Page::new(&query, PageKind::of(mapping));
        tlb.on_fill(&query, page, mapping, std::iter::empty());
    }

    fn fill(tlb: &mut L2Tlb, gva: u64) {
        fill_with(tlb, gva, &mapping(gva, 12, 12));
    }

    fn must(tlb: &L2Tlb, gva: u64) -> bool {
        tlb.must_contain(&query(gva)).is_some()
    }

    fn sweep(tlb: &mut L2Tlb) {
        for _ in 0..SETS {
            tlb.on_cycle(true);
        }
    }

    #[test]
    fn a_set_keeps_one_more_than_the_log_of_its_ways() {
        for (ways, last) in [(2, 2), (4, 3), (8, 4)] {
            let mut tlb = tlb(ways);
            // Pages of another set do not count.
            fill(&mut tlb, PAGE);
            for number in 0..10 {
                fill(&mut tlb, number * STRIDE);
            }
            for number in 0..10 {
                let kept = must(&tlb, number * STRIDE);
                assert_eq!(kept, number >= 10 - last, "{ways} ways, {number}");
            }
            assert!(must(&tlb, PAGE));
        }
    }

    #[test]
    fn an_answer_makes_its_page_the_last_used_where_it_is_there_once() {
        let mut once = tlb(2);
        fill(&mut once, 0);
        fill(&mut once, STRIDE);
        once.on_hit(&query(0), true, false);
        fill(&mut once, 2 * STRIDE);
        assert!(must(&once, 0) && !must(&once, STRIDE));

        let mut twice = tlb(2);
        fill(&mut twice, 0);
        fill(&mut twice, 0);
        fill(&mut twice, STRIDE);
        twice.on_hit(&query(0), true, false);
        // It is not known which of the two entries has answered, so it counts as a use against both
        // of the others.
        assert!(!must(&twice, 0));
        assert!(must(&twice, STRIDE));
    }

    #[test]
    fn superpages_have_entries_of_their_own() {
        let mut tlb = tlb(2);
        let large = |number: u64| number << 21;
        for number in 0..3 {
            fill_with(&mut tlb, large(number), &mapping(large(number), 21, 21));
        }
        fill(&mut tlb, large(9));
        assert!(!must(&tlb, large(0)));
        assert!(must(&tlb, large(1) + PAGE) && must(&tlb, large(2)));
        tlb.on_hit(&query(large(1)), false, true);
        fill_with(&mut tlb, large(3), &mapping(large(3), 21, 21));
        assert!(must(&tlb, large(1)) && !must(&tlb, large(2)));
        // A larger page replaces all pages that it overlaps.
        fill_with(&mut tlb, large(0), &mapping(large(0), 30, 30));
        assert!(must(&tlb, large(1)));
        assert_eq!(tlb.superpages.0.len(), 1);
        // Without entries for superpages, the model contains no superpage.
        let size = L2Size {
            superpages: 0,
            ..tlb.size
        };
        let mut none = L2Tlb::new(Format::Rv64, size);
        fill_with(&mut none, 0, &mapping(0, 21, 21));
        none.on_hit(&query(0), false, true);
        assert!(!must(&none, 0));
    }

    #[test]
    fn an_entry_that_does_not_permit_a_request_is_dropped() {
        let store = Query {
            access: Access::Store,
            ..query(0)
        };
        let mut tlb = tlb(4);
        fill_with(&mut tlb, 0, &clean(mapping(0, 12, 12)));
        assert!(must(&tlb, 0) && tlb.must_contain(&store).is_none());
        tlb.on_request(&query(0));
        assert!(must(&tlb, 0));
        tlb.on_request(&store);
        assert!(!must(&tlb, 0));
        // An entry is dropped as well if a request that it refuses waits while it is filled.
        let clean = clean(mapping(0, 12, 12));
        let page = Page::new(&store, PageKind::of(&clean));
        tlb.on_fill(&query(0), page, &clean, [&store].into_iter());
        assert!(!must(&tlb, 0));
    }

    #[test]
    fn a_fence_invalidates_by_each_operand_and_spares_the_rest() {
        let fence = Fence::default();
        let gva = |gva| Fence {
            gva: Some(Gva(gva)),
            ..fence
        };
        let gpa = |gpa| Fence {
            gpa: Some(Gpa(gpa)),
            ..fence
        };
        for (fence, is_kept) in [
            (fence, false),
            (
                Fence {
                    virt: false,
                    ..fence
                },
                true,
            ),
            (gva(0xFFF), false),
            (gva(PAGE), true),
            (gpa(0xFFF), false),
            (gpa(PAGE), true),
            (
                Fence {
                    asid: Some(ASID),
                    ..fence
                },
                false,
            ),
            (
                Fence {
                    asid: Some(ASID + 1),
                    ..fence
                },
                true,
            ),
            (
                Fence {
                    vmid: Some(VMID),
                    ..fence
                },
                false,
            ),
            (
                Fence {
                    vmid: Some(VMID + 1),
                    ..fence
                },
                true,
            ),
        ] {
            let mut tlb = tlb(2);
            fill(&mut tlb, 0);
            tlb.on_fence(&fence, true);
            assert_eq!(must(&tlb, 0), is_kept, "{fence}");
        }
    }

    #[test]
    fn a_fence_during_a_sweep_invalidates_what_the_sweep_has_not_reached() {
        let elsewhere = Fence {
            vmid: Some(VMID + 1),
            ..Fence::default()
        };
        let mut tlb = tlb(2);
        fill(&mut tlb, 0);
        tlb.on_fence(&elsewhere, true);
        assert!(must(&tlb, 0));
        tlb.on_cycle(false);
        tlb.on_fence(&elsewhere, true);
        assert!(!must(&tlb, 0));
        // After the sweep has ended, nothing is left for it to invalidate.
        fill(&mut tlb, 0);
        sweep(&mut tlb);
        tlb.on_fence(&elsewhere, true);
        assert!(must(&tlb, 0));
    }

    #[test]
    fn a_fence_by_gva_needs_no_sweep_unless_an_entry_is_a_piece_or_a_request_waits() {
        let by_gva = Fence {
            gva: Some(Gva(PAGE)),
            ..Fence::default()
        };
        let kept = |guest_size, is_free| {
            let mut tlb = tlb(2);
            fill_with(&mut tlb, 0, &mapping(0, guest_size, 12));
            tlb.on_fence(&by_gva, is_free);
            fill(&mut tlb, 2 * PAGE);
            tlb.on_fence(&by_gva, is_free);
            must(&tlb, 2 * PAGE)
        };
        assert!(kept(12, true));
        assert!(!kept(12, false));
        assert!(!kept(21, true));
    }

    #[test]
    fn a_piece_of_a_guest_superpage_leaves_by_any_gva_of_the_superpage() {
        let mut tlb = tlb(2);
        fill_with(&mut tlb, 0, &mapping(0, 21, 12));
        assert!(must(&tlb, 0) && !must(&tlb, PAGE));
        tlb.on_fence(
            &Fence {
                gva: Some(Gva(0x1F_F000)),
                ..Fence::default()
            },
            true,
        );
        assert!(!must(&tlb, 0));
    }
}
