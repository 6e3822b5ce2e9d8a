// SPDX-License-Identifier: Apache-2.0
//! The TLB: full gVA=>hPA translations that walks have found.
//!
//! - *May contain*: each page that a walk has found and that no fence has invalidated since, as in
//!   a TLB of unlimited size (privileged specification, "Supervisor Memory-Management Fence
//!   Instruction" and "Hypervisor Memory-Management Fence Instructions"). If tables were edited and
//!   no fence was issued, a page has several legal mappings.
//! - *Must contain*, by `docs/ports.md`, "TLB": every page, as long as all pages that the TLB may
//!   contain fit into it; otherwise the pages that were filled or hit last. A fill replaces every
//!   page that it overlaps.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use super::history::{Absence, History, Invalidated};
use super::page::{Page, PageKind};
use super::{NumberedFence, VALID};
use crate::format::Format;
use crate::mmu::{AddressSpaceTag, Fence, Outcome, Query};
use crate::walk::{self, Mapping};

/// A mapping that a walk has found, and that the TLB may contain.
#[derive(Clone, Copy, Debug)]
struct Legal {
    mapping: Mapping,
    /// The number of the fence that has invalidated it; [`VALID`] if none has.
    fenced: u64,
    /// The last cycle in which a walk found it.
    found: u64,
}

impl Legal {
    fn is_valid(&self) -> bool {
        self.fenced == VALID
    }
}

/// A mapping that a fence has invalidated, kept to give the reason in a mismatch.
#[derive(Clone, Copy, Debug)]
struct Found {
    mapping: Mapping,
    /// The last cycle in which a walk found it.
    cycle: u64,
}

impl PartialEq for Found {
    /// Compares the mappings. The cycles in which they were found may differ.
    fn eq(&self, other: &Self) -> bool {
        self.mapping == other.mapping
    }
}

/// A page that the TLB certainly contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertainPage {
    /// The page.
    pub page: Page,
    /// The last cycle in which a walk found the page.
    pub found: u64,
    /// The reason why nothing can have replaced the page.
    pub because: Certainty,
}

/// The reason why nothing can have replaced a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// The page is one of the last that were filled or hit.
    Recent,
    /// All pages that the TLB may contain fit into it.
    RoomForAll,
}

/// A page that a walk has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundPage {
    /// The page.
    pub page: Page,
    /// The mapping of the page's first address.
    pub mapping: Mapping,
    /// No fence since the walk began has invalidated the page, so the TLB may be filled with it.
    pub is_valid: bool,
}

/// The origin of a stale response: a mapping that a fence has invalidated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The last cycle in which a walk found the mapping.
    pub found: u64,
    /// The fence that has invalidated it; the last if there are several.
    pub fence: Fence,
    /// The fence's number since the reset, from 1.
    pub number: u64,
}

/// The sizes of the page that an L2 TLB may have hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PossibleSizes {
    /// The page may have the smallest size.
    pub is_smallest: bool,
    /// The page may be larger.
    pub is_larger: bool,
}

/// The contents of a TLB.
#[derive(Debug)]
pub struct Tlb {
    format: Format,
    capacity: usize,
    recent_pages: u32,
    /// The mappings that a hit may use, and, until [`Tlb::drop_invalidated`], those that fences
    /// have invalidated.
    legal: FxHashMap<Page, Vec<Legal>>,
    /// The kinds of the pages that walks have found.
    kinds: Vec<PageKind>,
    any_invalidated: bool,
    history: History<Page, Found>,
    /// The pages that the TLB may contain (`possible`), and those of them that it must contain
    /// (`certain`). Both are maintained only as long as all possible pages fit.
    possible: FxHashSet<Page>,
    certain: FxHashSet<Page>,
    possible_all_fit: bool,
    /// The pages that were filled or hit last, the latest first. A page is none if it is not known,
    /// or if a fence has invalidated it.
    recent: VecDeque<Option<Page>>,
    /// The TLB contains no page of V=0 (first) or of V=1 (second): nothing was filled since reset,
    /// or since a fence that matched everything.
    cleared: [bool; 2],
    /// The cycle of the last fence, and the number of possible pages before it. A fill in the cycle
    /// of the fence cannot use room that the fence makes.
    before_fence: (u64, usize),
}

impl Tlb {
    /// Makes an empty TLB with `entries` entries. `recent_pages`: the number of pages, of those filled
    /// or hit last, that are certainly present. For a tree pseudo-LRU of n entries it is log2(n), one
    /// less than the replacement keeps: a hit is known only when its response is accepted, which may
    /// be after a fill.
    pub fn new(format: Format, entries: u32, recent_pages: u32) -> Self {
        Self {
            format,
            capacity: entries as usize,
            recent_pages,
            legal: FxHashMap::default(),
            kinds: Vec::new(),
            any_invalidated: false,
            history: History::default(),
            possible: FxHashSet::default(),
            certain: FxHashSet::default(),
            possible_all_fit: true,
            recent: VecDeque::new(),
            cleared: [true; 2],
            before_fence: (u64::MAX, 0),
        }
    }

    /// Returns the number of entries.
    pub fn entries(&self) -> u32 {
        self.capacity as u32
    }

    /// Returns the number of pages, of those filled or hit last, that are certainly present.
    pub fn recent_pages(&self) -> u32 {
        self.recent_pages
    }

    /// Returns the pages that an entry for the query may have.
    #[inline]
    fn pages(&self, query: &Query) -> impl Iterator<Item = Page> {
        self.kinds.iter().map(|&kind| Page::new(query, kind))
    }

    /// Returns the legal responses of a hit for a request. `fences` fences were accepted before the
    /// request. A response of none stands for a mapping that does not permit the access.
    #[inline]
    pub fn may_contain(&self, query: &Query, fences: u64) -> impl Iterator<Item = Option<Outcome>> {
        self.pages(query)
            .filter_map(|page| self.legal.get(&page))
            .flatten()
            .filter(move |one| one.fenced > fences)
            .map(|one| walk::outcome_from(self.format, query, &one.mapping))
    }

    /// Returns the page that must hit for the query, with the reason; none if a miss is legal.
    pub fn must_contain(&self, query: &Query) -> Option<CertainPage> {
        self.pages(query).find_map(|page| {
            let is_recent = self.recent.contains(&Some(page));
            let is_there = is_recent || self.possible_all_fit && self.certain.contains(&page);
            if !is_there {
                return None;
            }
            let legal = self.legal.get(&page)?;
            let valid = || legal.iter().filter(|one| one.is_valid());
            valid()
                .all(|one| walk::outcome_from(self.format, query, &one.mapping).is_some())
                .then(|| CertainPage {
                    page,
                    found: valid().map(|one| one.found).max().unwrap_or(0),
                    because: match is_recent {
                        true => Certainty::Recent,
                        false => Certainty::RoomForAll,
                    },
                })
        })
    }

    /// Records that a walk has found a mapping. `fences` are the fences since the walk began.
    /// `is_filled`: the TLB was filled. Returns none if both stages are off, because the TLB does
    /// not store such a page.
    pub fn on_walk(
        &mut self,
        query: &Query,
        mapping: &Mapping,
        fences: &[NumberedFence],
        is_filled: bool,
        cycle: u64,
    ) -> Option<FoundPage> {
        let space = query.context.space();
        if space.guest_levels == 0 && space.host_levels == 0 {
            return None;
        }
        let kind = PageKind::of(mapping);
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
        }
        let page = Page::new(query, kind);
        let extent = mapping.extent(query.gva);
        let mut fences_of_page = fences.iter();
        let invalidated = fences_of_page.find(|(_, fence)| fence.matches(space, &extent));
        let is_overtaken = fences.iter().any(|(_, fence)| fence.matches_tag(space));
        let first = |address: u64| address >> kind.size << kind.size;
        let mut mapping = *mapping;
        mapping.gpa.0 = first(mapping.gpa.0);
        mapping.hpa.0 = first(mapping.hpa.0);
        if let Some((number, fence)) = invalidated {
            self.any_invalidated = true;
            let found = Found { mapping, cycle };
            self.history
                .note(page, Invalidated::new(found, fence, *number));
        }
        let fenced = invalidated.map_or(VALID, |(number, _)| *number);
        let legal = self.legal.entry(page).or_default();
        let mut same = legal.iter_mut();
        match same.find(|one| one.mapping == mapping && one.fenced == fenced) {
            Some(one) => one.found = cycle,
            None => legal.push(Legal {
                mapping,
                fenced,
                found: cycle,
            }),
        }
        let is_valid = invalidated.is_none();
        if is_valid {
            self.cleared[usize::from(space.virt)] = false;
            if is_filled {
                self.on_fill(page);
            }
            self.note_possible(page, !is_overtaken, cycle);
        }
        Some(FoundPage {
            page,
            mapping,
            is_valid,
        })
    }

    /// Records a fill. The page replaces all pages that it overlaps.
    fn on_fill(&mut self, page: Page) {
        for recent in &mut self.recent {
            recent.take_if(|recent| *recent != page && recent.overlaps(&page));
        }
        self.touch(Some(page));
    }

    /// Adds a page to those that the TLB may contain, and to those that it must contain if it
    /// `is_certain`.
    fn note_possible(&mut self, page: Page, is_certain: bool, cycle: u64) {
        if !self.possible_all_fit {
            return;
        }
        self.possible.insert(page);
        if self.kinds.len() > 1 {
            // If two pages overlap, the TLB contains the later one.
            self.certain.retain(|other| !other.overlaps(&page));
        }
        if is_certain {
            self.certain.insert(page);
        }
        let (fence_cycle, before) = self.before_fence;
        let had_room = fence_cycle != cycle || before < self.capacity;
        if self.possible.len() > self.capacity || !had_room {
            self.possible_all_fit = false;
            self.possible.clear();
            self.certain.clear();
        }
    }

    /// Records the fill or the hit of a page; none if the page is not known.
    fn touch(&mut self, page: Option<Page>) {
        if let Some(place) = page.and_then(|_| self.recent.iter().position(|one| *one == page)) {
            self.recent.remove(place);
        }
        self.recent.push_front(page);
        self.recent.truncate(self.recent_pages() as usize);
    }

    /// Records a hit. The page is known if only one page can have given the response.
    pub fn on_hit(&mut self, query: &Query, outcome: &Outcome) {
        let answers = |legal: &[Legal]| {
            legal.iter().any(|one| {
                walk::outcome_from(self.format, query, &one.mapping).as_ref() == Some(outcome)
            })
        };
        // A page that a fence has invalidated since is absent, and so is a page that a fill of this
        // cycle overlaps.
        let is_there = |page: &Page, legal: &[Legal]| {
            let mut recent = self.recent.iter().flatten();
            legal.iter().all(Legal::is_valid)
                && !recent.any(|other| other != page && other.overlaps(page))
        };
        let mut candidates = (None, 0);
        for page in self.pages(query) {
            if let Some(legal) = self.legal.get(&page)
                && answers(legal)
            {
                candidates = (is_there(&page, legal).then_some(page), candidates.1 + 1);
            }
        }
        match candidates {
            (page, 1) => self.touch(page),
            _ => self.touch(None),
        }
    }

    /// Records that a page was filled or hit which is not known.
    pub fn on_unknown_page(&mut self) {
        self.touch(None);
    }

    /// Records a hit in the L2 TLB, which fills the TLB with the page. Returns the sizes that the
    /// page may have.
    pub fn on_l2_hit(&mut self, query: &Query) -> PossibleSizes {
        let smallest = self.format.geometry().offset_width;
        let found: Vec<Page> = self
            .pages(query)
            .filter(|page| self.legal.contains_key(page))
            .collect();
        let replaces = |other: &Page| {
            let mut found = found.iter();
            found.any(|page| page != other && page.overlaps(other))
        };
        for recent in &mut self.recent {
            recent.take_if(|recent| replaces(recent));
        }
        self.certain.retain(|other| !replaces(other));
        let is_valid = |page: &Page| {
            let mut legal = self.legal.get(page).into_iter().flatten();
            legal.all(Legal::is_valid)
        };
        let filled = match found[..] {
            [page] if is_valid(&page) => Some(page),
            _ => None,
        };
        self.touch(filled);
        PossibleSizes {
            is_smallest: found.iter().any(|page| page.size() == smallest),
            is_larger: found.iter().any(|page| page.size() > smallest),
        }
    }

    /// Records that a fence was accepted.
    pub fn on_fence(&mut self, fence: &Fence, number: u64, cycle: u64) {
        self.on_fence_for(fence, number, cycle, |_| true);
    }

    /// Records that a fence was accepted which the TLB heeds for some address spaces alone.
    pub fn on_fence_for(
        &mut self,
        fence: &Fence,
        number: u64,
        cycle: u64,
        heeds: impl Fn(AddressSpaceTag) -> bool,
    ) {
        self.before_fence = (cycle, self.possible.len());
        let heeded = self.legal.iter_mut().filter(|(page, _)| heeds(page.tag()));
        for (page, legal) in heeded {
            let gva = page.first_gva();
            let mut is_invalidated = false;
            for one in legal.iter_mut().filter(|one| one.is_valid()) {
                if fence.matches(page.tag(), &one.mapping.extent(gva)) {
                    one.fenced = number;
                    is_invalidated = true;
                    let found = Found {
                        mapping: one.mapping,
                        cycle: one.found,
                    };
                    self.history
                        .note(*page, Invalidated::new(found, fence, number));
                }
            }
            if is_invalidated {
                self.any_invalidated = true;
                // If walks found several gPAs for the page, the TLB may have contained any of them.
                self.certain.remove(page);
                for recent in &mut self.recent {
                    recent.take_if(|recent| recent == page);
                }
                if !legal.iter().any(Legal::is_valid) {
                    self.possible.remove(page);
                }
            }
        }
        if fence.matches_everything() {
            self.cleared[usize::from(fence.virt)] = true;
        }
        // Machines of the handout, and machines that were just reset, contain nothing of V=0.
        if self.cleared == [true; 2] {
            self.possible.clear();
            self.certain.clear();
            self.possible_all_fit = true;
        }
    }

    /// Drops all that fences have invalidated. The caller makes sure that every request accepted
    /// before such a fence has its response.
    pub fn drop_invalidated(&mut self) {
        if self.any_invalidated {
            self.legal.retain(|_, legal| {
                legal.retain(Legal::is_valid);
                !legal.is_empty()
            });
            self.any_invalidated = false;
        }
    }

    /// Returns the reason why a request must miss. `fences` fences were accepted before the
    /// request, and no legal response is left.
    #[cold]
    pub fn absence(&self, query: &Query, fences: u64) -> Absence {
        self.history.absence(self.pages(query), fences)
    }

    /// Returns the origin of a response, if one of the first `fences` fences has invalidated it.
    #[cold]
    pub fn origin(&self, query: &Query, fences: u64, outcome: &Outcome) -> Option<Origin> {
        let is_answer = |one: &&Invalidated<Found>| {
            let mapping = &one.fact.mapping;
            walk::outcome_from(self.format, query, mapping).as_ref() == Some(outcome)
        };
        let invalidated = self
            .pages(query)
            .flat_map(|page| self.history.of(&page, fences));
        let last = invalidated.filter(is_answer).max_by_key(|one| one.number)?;
        Some(Origin {
            found: last.fact.cycle,
            fence: last.fence,
            number: last.number,
        })
    }

    /// Returns the last cycle in which a walk found a page that no fence has invalidated since; 0
    /// if there is no such page.
    pub fn found_in(&self, page: &Page) -> u64 {
        let legal = self.legal.get(page).into_iter().flatten();
        let valid = legal.filter(|one| one.is_valid());
        valid.map(|one| one.found).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::{Gpa, Gva, Hpa};
    use crate::mmu::Access;
    use crate::occupancy::test_support::{ASID, VMID, clean, mapping, native, query};

    const FORMAT: Format = Format::Rv64;
    const PAGE: u64 = 0x1000;

    fn tlb(entries: u32) -> Tlb {
        Tlb::new(FORMAT, entries, crate::occupancy::tree_plru_others(entries))
    }

    /// Fills the TLB with a 4K page, as a walk does.
    fn fill(tlb: &mut Tlb, gva: u64, cycle: u64) {
        fill_with(tlb, gva, &mapping(gva, 12, 12), cycle);
    }

    fn fill_with(tlb: &mut Tlb, gva: u64, mapping: &Mapping, cycle: u64) {
        let found = tlb.on_walk(&query(gva), mapping, &[], true, cycle);
        assert!(found.unwrap().is_valid);
    }

    fn answer(mapping: &Mapping) -> Outcome {
        walk::outcome(&Ok(*mapping))
    }

    fn may(tlb: &Tlb, query: &Query, fences: u64) -> Vec<Option<Outcome>> {
        tlb.may_contain(query, fences).collect()
    }

    fn must(tlb: &Tlb, gva: u64) -> Option<Certainty> {
        tlb.must_contain(&query(gva)).map(|page| page.because)
    }

    fn by_gva(gva: u64) -> Fence {
        Fence {
            gva: Some(Gva(gva)),
            ..Fence::default()
        }
    }

    #[test]
    fn a_page_that_a_walk_has_found_may_answer_all_of_its_addresses() {
        let mut tlb = tlb(4);
        assert!(may(&tlb, &query(0), 0).is_empty());
        fill(&mut tlb, PAGE + 8, 1);
        let expected = answer(&mapping(PAGE + 0x10, 12, 12));
        assert_eq!(may(&tlb, &query(PAGE + 0x10), 0), [Some(expected)]);
        assert!(may(&tlb, &query(2 * PAGE), 0).is_empty());
        let mut other = query(PAGE);
        other.context.asid += 1;
        assert!(may(&tlb, &other, 0).is_empty());
    }

    #[test]
    fn a_global_page_may_answer_every_asid_and_a_native_page_whatever_the_vmid() {
        let mut tlb = tlb(4);
        let global = Mapping {
            global: true,
            ..mapping(0, 12, 12)
        };
        fill_with(&mut tlb, 0, &global, 1);
        let mut other = query(0);
        other.context.asid += 1;
        assert_eq!(may(&tlb, &other, 0).len(), 1);
        assert!(tlb.must_contain(&other).is_some());
        let found = tlb.on_walk(&native(PAGE), &mapping(PAGE, 12, 12), &[], true, 2);
        assert!(found.unwrap().is_valid);
        let mut other = native(PAGE);
        other.context.vmid += 1;
        assert_eq!(may(&tlb, &other, 0).len(), 1);
    }

    #[test]
    fn a_mapping_that_refuses_the_access_answers_nothing_and_need_not_be_hit() {
        let mut tlb = tlb(4);
        fill_with(&mut tlb, 0, &clean(mapping(0, 12, 12)), 1);
        let store = Query {
            access: Access::Store,
            ..query(0)
        };
        assert_eq!(may(&tlb, &store, 0), [None]);
        assert!(tlb.must_contain(&store).is_none());
        assert!(must(&tlb, 0).is_some());
    }

    #[test]
    fn where_no_stage_translates_nothing_is_kept() {
        let mut tlb = tlb(4);
        let mut bare = native(0);
        bare.context.guest.levels = 0;
        assert!(
            tlb.on_walk(&bare, &mapping(0, 12, 12), &[], false, 1)
                .is_none()
        );
        assert!(may(&tlb, &bare, 0).is_empty());
    }

    #[test]
    fn an_edited_page_has_both_of_its_mappings_until_the_fence() {
        let mut tlb = tlb(4);
        fill(&mut tlb, 0, 1);
        let edited = Mapping {
            hpa: Hpa(0x9000),
            ..mapping(0, 12, 12)
        };
        fill_with(&mut tlb, 0, &edited, 2);
        let both = [mapping(0, 12, 12), edited].map(|mapping| Some(answer(&mapping)));
        assert_eq!(may(&tlb, &query(0), 0), both);
        tlb.on_fence(&by_gva(0), 1, 3);
        assert!(may(&tlb, &query(0), 1).is_empty());
        // A request that was accepted before the fence may still hit.
        assert_eq!(may(&tlb, &query(0), 0), both);
        tlb.drop_invalidated();
        assert!(may(&tlb, &query(0), 0).is_empty());
    }

    #[test]
    fn a_fence_invalidates_by_each_operand_and_spares_the_rest() {
        let all = Fence::default();
        let gpa = |gpa| Fence {
            gpa: Some(Gpa(gpa)),
            ..all
        };
        let asid = |asid| Fence {
            asid: Some(asid),
            ..all
        };
        let vmid = |vmid| Fence {
            vmid: Some(vmid),
            ..all
        };
        let native = Fence { virt: false, ..all };
        // The page is a 4K page of the guest, in a 2M page of the host.
        for (fence, is_global, is_kept) in [
            (all, false, false),
            (native, false, true),
            (by_gva(0xFFF), false, false),
            (by_gva(PAGE), false, true),
            (gpa(0x1F_F000), false, false),
            (gpa(0x20_0000), false, true),
            (asid(ASID), false, false),
            (asid(ASID), true, true),
            (asid(ASID + 1), false, true),
            (vmid(VMID), false, false),
            (vmid(VMID), true, false),
            (vmid(VMID + 1), false, true),
        ] {
            let mapping = Mapping {
                global: is_global,
                ..mapping(0, 12, 21)
            };
            let mut tlb = tlb(4);
            fill_with(&mut tlb, 0, &mapping, 1);
            tlb.on_fence(&fence, 1, 2);
            assert_eq!(!may(&tlb, &query(0), 1).is_empty(), is_kept, "{fence}");
            assert_eq!(must(&tlb, 0).is_some(), is_kept, "{fence}");
            // The result is the same if the fence was accepted before the end of the walk.
            let mut tlb = self::tlb(4);
            let found = tlb.on_walk(&query(0), &mapping, &[(1, fence)], false, 1);
            assert_eq!(found.unwrap().is_valid, is_kept, "{fence}");
            assert_eq!(!may(&tlb, &query(0), 1).is_empty(), is_kept, "{fence}");
        }
    }

    #[test]
    fn a_piece_of_a_superpage_leaves_by_any_address_of_the_superpage() {
        let mut tlb = tlb(4);
        fill_with(&mut tlb, 0, &mapping(0, 21, 12), 1);
        assert!(may(&tlb, &query(PAGE), 0).is_empty());
        tlb.on_fence(&by_gva(0x1F_F000), 1, 2);
        assert!(may(&tlb, &query(0), 1).is_empty());
    }

    #[test]
    fn all_pages_must_be_there_while_they_fit_and_then_the_last() {
        let mut tlb = tlb(4);
        for page in 0..4 {
            fill(&mut tlb, page * PAGE, page);
        }
        let room = Some(Certainty::RoomForAll);
        let recent = Some(Certainty::Recent);
        let all = |tlb: &Tlb| [0, 1, 2, 3, 4].map(|page| must(tlb, page * PAGE));
        assert_eq!(all(&tlb), [room, room, recent, recent, None]);
        fill(&mut tlb, 4 * PAGE, 4);
        assert_eq!(all(&tlb), [None, None, None, recent, recent]);
        // A hit makes its page the most recent.
        tlb.on_hit(&query(3 * PAGE), &answer(&mapping(3 * PAGE, 12, 12)));
        fill(&mut tlb, 0, 5);
        assert_eq!(all(&tlb), [recent, None, None, recent, None]);
        // A fence of everything empties the TLB, and all pages fit again.
        tlb.on_fence(&Fence::default(), 1, 6);
        assert_eq!(all(&tlb), [None; 5]);
        for page in 0..4 {
            fill(&mut tlb, page * PAGE, 7 + page);
        }
        assert_eq!(all(&tlb), [room, room, recent, recent, None]);
    }

    #[test]
    fn the_last_pages_are_as_many_as_the_log_of_the_entries() {
        for (entries, last) in [(2, 1), (8, 3), (16, 4), (32, 5)] {
            let mut tlb = tlb(entries);
            for page in 0..64 {
                fill(&mut tlb, page * PAGE, page);
            }
            for page in 0..64 {
                let is_there = must(&tlb, page * PAGE).is_some();
                assert_eq!(is_there, page >= 64 - last, "{entries} entries, {page}");
            }
        }
    }

    #[test]
    fn a_hit_whose_page_is_not_known_counts_against_every_other() {
        let mut tlb = tlb(4);
        for page in 0..5 {
            fill(&mut tlb, page * PAGE, page);
        }
        // Its mapping is not legal any more, so the model does not know that it is present.
        tlb.on_fence(&by_gva(0), 1, 9);
        tlb.on_hit(&query(0), &answer(&mapping(0, 12, 12)));
        assert_eq!(must(&tlb, 0), None);
        assert_eq!(must(&tlb, 4 * PAGE), Some(Certainty::Recent));
        assert_eq!(must(&tlb, 3 * PAGE), None);
    }

    #[test]
    fn a_fill_takes_the_place_of_what_it_overlaps() {
        let mut tlb = tlb(4);
        fill(&mut tlb, 0, 1);
        fill_with(&mut tlb, PAGE, &mapping(PAGE, 21, 21), 2);
        // The small page is legal, but it need not be present.
        assert_eq!(may(&tlb, &query(0), 0).len(), 2);
        let large = tlb.must_contain(&query(0)).unwrap();
        assert_eq!((large.found, large.because), (2, Certainty::Recent));
        fill(&mut tlb, 0, 3);
        let small = tlb.must_contain(&query(0)).unwrap();
        assert_eq!((small.found, small.because), (3, Certainty::Recent));
        assert_eq!(must(&tlb, PAGE), None);
    }

    #[test]
    fn an_overtaken_walk_makes_its_page_possible_but_not_certain() {
        let mut tlb = tlb(4);
        let elsewhere = by_gva(PAGE);
        let found = tlb.on_walk(&query(0), &mapping(0, 12, 12), &[(1, elsewhere)], false, 1);
        assert!(found.unwrap().is_valid);
        assert_eq!(may(&tlb, &query(0), 1).len(), 1);
        assert_eq!(must(&tlb, 0), None);
    }

    #[test]
    fn a_fill_in_the_cycle_of_a_fence_finds_no_room_that_the_fence_makes() {
        let all_fit = |cycle| {
            let mut tlb = tlb(2);
            fill(&mut tlb, 0, 1);
            fill(&mut tlb, PAGE, 2);
            tlb.on_fence(&by_gva(0), 1, 3);
            fill(&mut tlb, 2 * PAGE, cycle);
            must(&tlb, PAGE) == Some(Certainty::RoomForAll)
        };
        assert!(all_fit(4));
        assert!(!all_fit(3));
    }

    #[test]
    fn a_hit_of_the_l2_tlb_fills_the_one_page_that_it_can_have_been() {
        let sizes = |is_smallest, is_larger| PossibleSizes {
            is_smallest,
            is_larger,
        };
        let mut one = tlb(4);
        for page in 0..8 {
            fill(&mut one, page * PAGE, page);
        }
        assert_eq!(must(&one, 0), None);
        assert_eq!(one.on_l2_hit(&query(0)), sizes(true, false));
        assert_eq!(must(&one, 0), Some(Certainty::Recent));
        // The L2 TLB has hit one of two pages, so neither is known to be present.
        let mut two = tlb(8);
        fill(&mut two, 0, 1);
        fill_with(&mut two, PAGE, &mapping(PAGE, 21, 21), 2);
        assert_eq!(two.on_l2_hit(&query(0)), sizes(true, true));
        assert_eq!(must(&two, 0), None);
    }

    #[test]
    fn the_reason_of_a_miss_and_the_origin_of_a_stale_answer_outlive_the_fence() {
        let mut tlb = tlb(4);
        assert_eq!(tlb.absence(&query(0), 0), Absence::NeverFound);
        fill(&mut tlb, 0, 1);
        assert_eq!(
            tlb.found_in(&Page::new(&query(0), PageKind::of(&mapping(0, 12, 12)))),
            1
        );
        let fence = by_gva(0);
        tlb.on_fence(&fence, 1, 5);
        tlb.drop_invalidated();
        let number = 1;
        assert_eq!(
            tlb.absence(&query(0), 1),
            Absence::Invalidated { fence, number }
        );
        let found = 1;
        let stale = answer(&mapping(0, 12, 12));
        let origin = Origin {
            found,
            fence,
            number,
        };
        assert_eq!(tlb.origin(&query(0), 1, &stale), Some(origin));
        assert_eq!(tlb.origin(&query(0), 0, &stale), None);
        let other = answer(&mapping(PAGE, 12, 12));
        assert_eq!(tlb.origin(&query(0), 1, &other), None);
    }
}
