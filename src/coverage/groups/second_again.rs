// SPDX-License-Identifier: Apache-2.0
//! `second-again`: pages that the L2 TLB has returned to the TLB.

use crate::coverage::abilities::Abilities;
use crate::coverage::axes::has_l2_tlb;
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, axis, covergroup};
use crate::coverage::events::{FenceAccepted, FinishedWalk, L2Hit};
use crate::coverage::goal::{Goal, Situation};
use crate::format::Format;
use crate::golden::occupancy::FilledPage;
use crate::mmu::Fence;
use crate::scenario::Machine;
use std::collections::VecDeque;

/// The number of fills that the sampling rule remembers.
const MOST_FILLED: usize = 64;
/// The number of returned pages that the sampling rule remembers.
const MOST_BACK: usize = 8;
/// The largest number of cycles between a fill and an L2 hit that is close to it.
const BESIDE: u64 = 3;

axis! {
    /// An event of a page that the L2 TLB has returned.
    pub enum Then {
        /// A fence matches it by a gVA in another piece of the page.
        FencedByGva = "a fence names it by the gVA of another piece",
        /// A fence matches it by a gPA in another piece of the page.
        FencedByGpa = "a fence names it by the gPA of another piece",
        /// A fence has an ASID, and the page is global.
        SparedAsGlobal = "a fence by ASID spares it as global",
        /// It is returned within three cycles of a fill of its set.
        BesideFill = "it comes beside a fill of its set",
        /// Its set has been filled once since.
        AfterOne = "it comes after 1 other fill of its set",
        /// Its set has been filled twice or more since.
        AfterMore = "it comes after 2 or more other fills of its set",
    }
}

covergroup! {
    "second-again":
    "pages that the second-level TLB gave back to the first, and what happened to them";
    /// An event of a page that the L2 TLB has returned.
    pub struct SecondAgain {
        then: Then = "and",
    }
}

/// The pages of the smallest size that the TLB was filled with.
#[derive(Debug, Default)]
pub struct Pages {
    /// The last fills, the newest first.
    filled: VecDeque<FilledPage>,
    /// The set and the cycle of the last fill.
    filled_at: Option<(u64, u64)>,
    /// The pages that the L2 TLB has returned, the newest first.
    back: VecDeque<FilledPage>,
}

/// The numbers of pages and sets of a device with an L2 TLB.
#[derive(Clone, Copy)]
struct Sets {
    smallest: u32,
    sets: u64,
}

impl Sets {
    fn of(machine: &Machine) -> Option<Self> {
        Some(Self {
            smallest: machine.format.geometry().offset_width,
            sets: machine.tlb2?.sets.into(),
        })
    }

    fn page(self, address: u64) -> u64 {
        address >> self.smallest
    }

    fn set(self, gva: u64) -> u64 {
        self.page(gva) % self.sets
    }
}

impl Covergroup for SecondAgain {
    type Memory = Pages;

    fn is_able(self, device: &Abilities) -> bool {
        device.l2_tlb
    }

    fn is_of(format: Format) -> bool {
        has_l2_tlb(format)
    }

    fn rule(self, format: Format) -> Rule {
        let is_plain = !format.has_superpages() && !format.has_global_pages();
        Rule::unless(match self.then {
            Then::FencedByGva | Then::FencedByGpa | Then::SparedAsGlobal => {
                is_plain.then_some("all pages are of one size, and none is global")
            }
            Then::BesideFill | Then::AfterOne | Then::AfterMore => None,
        })
    }

    fn goal(self, _: Format) -> Option<Goal> {
        Some(Goal::Situation(Situation::SecondAgain(self)))
    }

    fn on_fence(pages: &mut Pages, accepted: &FenceAccepted<'_>, out: &mut Sampling<'_>) {
        let Some(sets) = Sets::of(out.machine) else {
            return;
        };
        let fence = accepted.fence;
        let is_elsewhere = |address: u64, operand: Option<u64>| {
            operand.is_some_and(|operand| sets.page(operand) != sets.page(address))
        };
        for page in &pages.back {
            let is_matched = page.is_matched_by(fence);
            if is_matched && is_elsewhere(page.gva.0, fence.gva.map(|gva| gva.0)) {
                out.hit(Self {
                    then: Then::FencedByGva,
                });
            }
            if is_matched && is_elsewhere(page.mapping.gpa.0, fence.gpa.map(|gpa| gpa.0)) {
                out.hit(Self {
                    then: Then::FencedByGpa,
                });
            }
            let without_asid = Fence {
                asid: None,
                ..*fence
            };
            let is_spared =
                fence.asid.is_some() && page.mapping.global && page.is_matched_by(&without_asid);
            if !is_matched && is_spared {
                out.hit(Self {
                    then: Then::SparedAsGlobal,
                });
            }
        }
        pages.back.retain(|page| !page.is_matched_by(fence));
        pages.filled.retain(|page| !page.is_matched_by(fence));
    }

    fn on_walk_end(pages: &mut Pages, walk: &FinishedWalk<'_>, out: &mut Sampling<'_>) {
        if let (true, Ok(mapping)) = (walk.fill, walk.found)
            && let Some(sets) = Sets::of(out.machine)
            && mapping.page_size == sets.smallest
        {
            pages.filled_at = Some((sets.set(walk.query.gva.0), walk.cycle));
            pages.filled.truncate(MOST_FILLED - 1);
            pages
                .filled
                .push_front(FilledPage::new(walk.query, mapping));
        }
    }

    fn on_l2_hit(pages: &mut Pages, hit: &L2Hit<'_>, out: &mut Sampling<'_>) {
        let Some(sets) = Sets::of(out.machine) else {
            return;
        };
        let gva = hit.query.gva.0;
        let set = sets.set(gva);
        if let Some((of_fill, filled)) = pages.filled_at
            && of_fill == set
            && hit.cycle - filled <= BESIDE
        {
            out.hit(Self {
                then: Then::BesideFill,
            });
        }
        let space = hit.query.context.space();
        let is_page = |filled: &FilledPage| {
            let mut tags = filled.space;
            if filled.mapping.global {
                tags.asid = space.asid;
            }
            if !space.virt {
                tags.vmid = space.vmid;
            }
            sets.page(filled.gva.0) == sets.page(gva) && tags == space
        };
        let Some(at) = pages.filled.iter().position(is_page) else {
            return;
        };
        let newer = pages.filled.iter().take(at);
        match newer.filter(|other| sets.set(other.gva.0) == set).count() {
            0 => {}
            1 => out.hit(Self {
                then: Then::AfterOne,
            }),
            _ => out.hit(Self {
                then: Then::AfterMore,
            }),
        }
        pages.back.truncate(MOST_BACK - 1);
        pages.back.push_front(pages.filled[at]);
    }
}
