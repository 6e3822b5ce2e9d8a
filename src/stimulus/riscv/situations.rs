// SPDX-License-Identifier: Apache-2.0
//! Episodes about the time at which something happens: a fence in a chosen cycle of a walk,
//! contexts that differ in one field only over one walk, ports that are held for long, pages that
//! return through a small first level of the TLB, walk caches that are switched.

use super::super::aim::Edit;
use super::super::{draw_hold, draw_timing, slow_timing};
use super::world::Wanted;
use super::{GOAL_TRIES, Ops, all_of, back, weights};
use crate::addr::{Gpa, Gva};
use crate::coverage::axes::{LeafStage, Operands};
use crate::coverage::groups::fence_walk::Matched;
use crate::coverage::groups::twin::TwinField;
use crate::coverage::groups::update::Update;
use crate::coverage::{Situation, UpdateOutcome, WalkPosition, WalkState};
use crate::mmu::{Access, Fence, Position, Query, WalkCaches};
use crate::scenario::{Held, Op, Timing};

/// Pages that are tried for a fence.
const PAGE_TRIES: u32 = 12;

/// A fence in a certain cycle that is wanted.
#[derive(Clone, Copy, Default)]
pub(super) struct FenceAt {
    /// Its operands.
    operands: Option<Operands>,
    /// The state of the walk that it is to meet.
    state: Option<WalkState>,
    /// The fence matches the walk.
    named: Option<bool>,
}

impl Ops<'_> {
    /// An episode of the kind that a bin is about.
    pub(super) fn toward_a_situation(&mut self, situation: &Situation) {
        match situation {
            Situation::FenceWalk(bin) => self.fence_at(Some(FenceAt {
                operands: Some(bin.operands),
                state: Some(bin.state),
                named: Some(bin.matched == Matched::Yes),
            })),
            Situation::FencePlace(bin) => self.fence_at(Some(FenceAt {
                state: Some(bin.state),
                named: Some(true),
                ..FenceAt::default()
            })),
            Situation::Twin(bin) => self.twins(Some(bin.field)),
            Situation::Wait(bin) => self.hold(Some(bin.port)),
            Situation::ErrorWord(_) => self.errors(),
            Situation::CacheSwitch(_) if self.world.has_walk_caches() => self.switch_caches(),
            Situation::SecondAgain(_) if self.world.second_sets().is_some() => self.come_back(),
            Situation::CacheSwitch(_) | Situation::SecondAgain(_) => self.roam(),
            Situation::Update(bin) => self.update_at(bin),
        }
    }

    /// An access that updates the leaf of a bin, with the outcome of the bin.
    fn update_at(&mut self, bin: &Update) {
        let is_there = |at: Position| {
            at.level() == bin.level.0 && LeafStage::of(WalkPosition::of(&at)) == bin.stage
        };
        for _ in 0..GOAL_TRIES {
            let context = self.draw.below(self.world.contexts.len() as u64) as usize;
            if self.world.pages[context].is_empty() {
                continue;
            }
            let page = *self.draw.of(&self.world.pages[context]);
            let context = self.other_mode(context, &page);
            // A store sets D, so that it can lose an update of A, and try again.
            let access = Access::Store;
            let gva = self.in_page(page.gva.0);
            let query = self.query(context, gva, access);
            // The host's leaf for an update is walked if the guest's leaf is to be updated.
            let cleared = match bin.stage {
                LeafStage::HostToUpdate => self.let_update(&query, true),
                _ => None,
            };
            let through = self.let_update_at(&query, is_there);
            let aimed = match (through, bin.outcome) {
                (None, _) => None,
                (Some(_), UpdateOutcome::Made) => {
                    self.ops.push(Op::Fence(all_of(query.context.virt)));
                    self.push_access(context, gva, access);
                    None
                }
                (Some(_), outcome) => self.lost_update(&query, is_there, Some(outcome)),
            };
            if let Some(aimed) = aimed {
                self.push_race(context, gva, access, aimed);
                self.push_edit(&back(aimed.edit));
            }
            for edit in [through, cleared].into_iter().flatten() {
                self.push_edit(&back(edit));
            }
            if aimed.is_some() || through.is_some() && bin.outcome == UpdateOutcome::Made {
                return;
            }
        }
        self.roam();
    }

    /// A walk, and a fence in a chosen cycle of it: of a walk without delays by its own time, or of
    /// one that is held there.
    pub(super) fn fence_at(&mut self, wanted: Option<FenceAt>) {
        let wanted = wanted.unwrap_or_default();
        let (context, page) = self.page_for(&wanted);
        let updates = match wanted.state {
            Some(state) => state.is_update(),
            None => self.draw.percent(weights::AT_UPDATE),
        };
        let access = match updates {
            true if self.draw.percent(60) => Access::Store,
            _ => self.access_kind(context),
        };
        let gva = self.in_page(page.gva.0);
        let query = self.query(context, gva, access);
        let of_guest = self.draw.percent(60);
        let cleared = match updates {
            true => self.let_update(&query, of_guest),
            false => None,
        };
        let mapping = self.image.look(&query).ok();
        let reads = self.image.steps().iter().filter(|step| step.hpa.is_some());
        let reads = reads.count() as u64;
        let first_update = self.image.steps().iter().position(|s| s.update.is_some());

        let latency = 1 + self.draw.below(5);
        self.ops.push(Op::Drain);
        self.ops.push(Op::Timing(Timing {
            latency: latency as u32..=latency as u32,
            ..Timing::default()
        }));
        // This makes sure that there is a walk.
        self.ops.push(Op::Fence(all_of(query.context.virt)));
        self.push_access(context, gva, access);
        let mut begun = 0;
        if self.draw.percent(weights::AT_SEVERAL) {
            for _ in 0..1 + self.draw.below(3) {
                let gva = self.in_page(gva);
                self.push_access(context, gva, access);
                begun += 1;
            }
        }

        // The cycle in which an access of the walk is offered, and what follows upon it.
        let which = match first_update {
            Some(first) if updates && self.draw.percent(70) => first as u64,
            _ => self.draw.below(reads + 1),
        };
        let offered = 1 + which * (latency + 1);
        let (what, within) = match wanted.state {
            Some(state) => state.hold_and_cycle(),
            None => (*self.draw.of(&Held::ALL), None),
        };
        let is_held = wanted.state.is_some_and(WalkState::needs_hold)
            || self.draw.percent(weights::AT_A_HOLD);
        let mut cycle = offered + within.unwrap_or_else(|| self.draw.below(latency + 2));
        if is_held {
            let cycles = 8 + self.draw.below(30);
            let before = offered.saturating_sub(self.draw.below(3)).max(1);
            let before = before.saturating_sub(begun).max(1);
            self.ops.push(Op::Wait(before as u32));
            self.ops.push(Op::Hold {
                what,
                cycles: cycles as u32,
            });
            // Within it, or about where it ends.
            cycle = match self.draw.percent(50) {
                true => 1 + self.draw.below(cycles),
                false => cycles + self.draw.below(4) - 1,
            };
        } else {
            cycle = (cycle + self.draw.below(3)).saturating_sub(1 + begun);
        }
        if cycle > 0 {
            self.ops.push(Op::Wait(cycle as u32));
        }

        let edit = self.reuse(&query);
        let fence = self.fence_of(&query, context, gva, wanted, mapping.as_ref());
        self.ops.push(Op::Fence(fence));
        // A walk that still follows an invalidated entry gives a wrong result.
        if let Some(edit) = &edit {
            self.push_edit(edit);
        }
        for _ in 0..=self.draw.below(3) {
            let gva = self.in_page(gva);
            self.push_access(context, gva, access);
        }
        if self.draw.percent(50) {
            self.ops.push(Op::Drain);
            self.use_again(context, &page);
        }
        self.ops.push(Op::Drain);
        let timing = draw_timing(self.draw);
        self.ops.push(Op::Timing(timing));
        for edit in [edit, cleared].into_iter().flatten() {
            self.mend(edit, context, gva, mapping.as_ref());
        }
    }

    /// A page of the kind of address space that a wanted fence can meet so.
    fn page_for(&mut self, wanted: &FenceAt) -> (usize, Wanted) {
        let wants_virt = match (wanted.operands, wanted.named) {
            (Some(operands), Some(true)) => Some(operands.virt),
            // With neither tag, a near miss is a fence of the other kind of address space.
            (Some(operands), Some(false)) if operands.has_no_tag() => Some(!operands.virt),
            _ => None,
        };
        let mut found = self.page();
        for _ in 0..PAGE_TRIES {
            let virt = self.world.contexts[found.0].context.virt;
            if wants_virt.is_none_or(|wanted| wanted == virt) {
                break;
            }
            self.context = self.draw.below(self.world.contexts.len() as u64) as usize;
            found = self.page();
        }
        found
    }

    /// Another word for an entry on the way of an access, as if its table were used for something
    /// else.
    fn reuse(&mut self, query: &Query) -> Option<Edit> {
        if !self.draw.percent(weights::REUSED) {
            return None;
        }
        let _ = self.image.look(query);
        let steps: Vec<_> = self
            .image
            .steps()
            .iter()
            .filter(|s| s.hpa.is_some())
            .collect();
        if steps.is_empty() {
            return None;
        }
        let step = **self.draw.of(&steps);
        let word = match self.draw.below(3) {
            0 => Some(0),
            1 => Some(self.draw.bits() & self.world.word_mask()),
            _ => step.word.map(|word| word ^ 1 << (12 + self.draw.below(8))),
        };
        self.image.edit(&step, word)
    }

    /// A fence of a given form, else one that matches a page or is a near miss.
    fn fence_of(
        &mut self,
        query: &Query,
        context: usize,
        gva: u64,
        wanted: FenceAt,
        mapping: Option<&crate::golden::Mapping>,
    ) -> Fence {
        let miss = match wanted.named {
            Some(named) => !named,
            None => self.near_miss(),
        };
        let Some(operands) = wanted.operands else {
            return self.draw_fence(context, gva, mapping, miss);
        };
        let tags = query.context;
        let gpa = mapping.map_or(gva, |mapping| mapping.gpa.0);
        let format = self.world.format;
        let off_asid = miss && (!operands.vmid || self.draw.percent(50));
        Fence {
            virt: operands.virt,
            gva: operands.gva.then(|| Gva(self.operand(gva, 12, false))),
            gpa: operands.gpa.then(|| Gpa(self.operand(gpa, 12, false))),
            asid: operands
                .asid
                .then(|| self.tag(tags.asid, format.asid_width(), off_asid)),
            vmid: operands
                .vmid
                .then(|| self.tag(tags.vmid, format.vmid_width(), miss && !off_asid)),
        }
    }

    /// One page under contexts that differ in one field only, in quick succession: over one walk if
    /// it lasts, and over its TLB entry.
    pub(super) fn twins(&mut self, field: Option<TwinField>) {
        let fitting: Vec<_> = (self.world.twins.iter())
            .filter(|(of, _, differ)| {
                field.is_none_or(|field| field == *differ) && !self.world.pages[*of].is_empty()
            })
            .copied()
            .collect();
        if fitting.is_empty() {
            return self.roam();
        }
        let (one, other, _) = *self.draw.of(&fitting);
        let page: Wanted = *self.draw.of(&self.world.pages[one]);
        let access = self.access_kind(one);
        let virt = self.world.contexts[one].context.virt;
        if self.draw.percent(80) {
            self.ops.push(Op::Fence(all_of(virt)));
        }
        if self.draw.percent(30) {
            // The walk lasts.
            let what = *self.draw.of(&[Held::Reads, Held::Answers]);
            let cycles = 10 + self.draw.below(30) as u32;
            self.ops.push(Op::Hold { what, cycles });
        }
        let mut turn = self.draw.below(2) as usize;
        for _ in 0..2 + self.draw.below(4) {
            let gva = self.in_page(page.gva.0);
            self.push_access([one, other][turn], gva, access);
            turn = match self.draw.percent(80) {
                true => 1 - turn,
                false => turn,
            };
            if self.draw.percent(20) {
                self.wait(6);
            }
        }
        if self.draw.percent(50) {
            self.ops.push(Op::Drain);
            for context in [one, other] {
                let gva = self.in_page(page.gva.0);
                self.push_access(context, gva, access);
            }
        }
    }

    /// A port is held for long while requests go on.
    pub(super) fn hold(&mut self, what: Option<Held>) {
        let hold = draw_hold(self.draw, what);
        let (context, page) = self.page();
        if self.draw.percent(50) {
            // This makes sure that there is something to hold.
            self.push_fence(context, page.gva.0, None, false);
        }
        self.use_page(context, &page);
        if self.draw.percent(50) {
            self.wait(12);
        }
        self.ops.push(hold);
        for _ in 0..self.draw.below(6) {
            self.roam();
        }
        if self.draw.percent(40) {
            self.fence_something();
        }
    }

    /// Some accesses over a memory that takes hundreds of cycles.
    pub(super) fn slow(&mut self) {
        let timing = slow_timing(self.draw);
        self.ops.push(Op::Timing(timing));
        for _ in 0..1 + self.draw.below(3) {
            self.roam();
        }
        let timing = draw_timing(self.draw);
        self.ops.push(Op::Drain);
        self.ops.push(Op::Timing(timing));
    }

    /// Some accesses over a memory that gives many errors.
    pub(super) fn errors(&mut self) {
        self.ops.push(Op::Timing(Timing {
            errors: 60 + self.draw.below(100) as u32,
            seed: self.draw.bits() >> 1,
            ..Timing::default()
        }));
        for _ in 0..2 + self.draw.below(3) {
            let (context, page) = self.page();
            if self.draw.percent(50) {
                let virt = self.world.contexts[context].context.virt;
                self.ops.push(Op::Fence(all_of(virt)));
            }
            let access = self.access_kind(context);
            let gva = self.in_page(page.gva.0);
            let query = self.query(context, gva, access);
            let cleared = match self.draw.percent(50) {
                true => self.let_update(&query, false),
                false => None,
            };
            self.push_access(context, gva, access);
            if let Some(cleared) = cleared {
                self.ops.push(Op::Drain);
                self.push_edit(&back(cleared));
            }
        }
        let timing = draw_timing(self.draw);
        self.ops.push(Op::Timing(timing));
    }

    /// A page leaves a small first level of the TLB and returns from the L2 TLB, a fence matches it
    /// by a piece or is a near miss, and the page is used again. Usually among pages of its set.
    pub(super) fn come_back(&mut self) {
        let Some((context, page, gva, mapping)) = self.mapped_page() else {
            return;
        };
        let sets = self.world.second_sets().unwrap_or(1);
        let pages = &self.world.pages[context];
        let others: Vec<Wanted> = pages
            .iter()
            .filter(|other| {
                (other.gva.0 ^ gva) >> 12 & (sets - 1) == 0 && other.gva.0 >> 12 != gva >> 12
            })
            .copied()
            .collect();
        // Pieces of one large page that differ above the set are of it too.
        let large = mapping.guest.page_size.max(mapping.host.page_size);
        let mut used = Vec::new();
        for _ in 0..2 + self.draw.below(4) {
            let other = if !others.is_empty() && self.draw.percent(60) {
                let other = *self.draw.of(&others);
                let context = self.other_mode(context, &other);
                (context, self.in_page(other.gva.0))
            } else if large > 14 && self.draw.percent(60) {
                let bit = 12 + self.draw.below(u64::from(large - 12));
                (context, gva ^ 1 << bit)
            } else {
                self.roam();
                continue;
            };
            let access = self.access_kind(other.0);
            self.push_access(other.0, other.1, access);
            used.push((other.0, other.1, access));
        }
        self.drain(40);
        for round in 0..1 + self.draw.below(3) {
            // A hit of the L2 TLB, in cycles of fills if the walks before have not ended.
            let access = self.access_kind(context);
            let piece = self.in_page(gva);
            self.push_access(context, piece, access);
            if self.draw.percent(60) {
                self.wait(8);
            } else {
                self.drain(50);
            }
            if round == 0 || self.draw.percent(50) {
                let edit = match self.draw.percent(40) {
                    true => {
                        let _ = self.image.look(&self.query(context, gva, Access::Load));
                        self.other_leaf()
                    }
                    false => None,
                };
                if let Some(edit) = &edit {
                    self.push_edit(edit);
                }
                let miss = self.near_miss();
                self.push_fence(context, gva, Some(&mapping), miss);
                let access = self.access_kind(context);
                self.push_access(context, gva, access);
                if let Some(edit) = edit {
                    self.mend(edit, context, gva, Some(&mapping));
                }
            }
            if !used.is_empty() {
                let (context, gva, access) = *self.draw.of(&used);
                self.push_access(context, gva, access);
            }
        }
        self.use_again(context, &page);
    }

    /// The walk caches in use change, and a fence matches the entries that they had before, or have
    /// taken meanwhile, or is a near miss.
    pub(super) fn switch_caches(&mut self) {
        let Some((context, page, gva, _)) = self.mapped_page() else {
            return;
        };
        let off = WalkCaches {
            guest: self.draw.percent(25),
            host: self.draw.percent(25),
            nested: self.draw.percent(25),
        };
        self.ops
            .push(Op::WalkCaches(self.world.walk_caches_there(off)));
        match self.draw.below(4) {
            0 => self.table(),
            1 => self.fence_something(),
            2 => self.use_again(context, &page),
            _ => {
                let fence = self.draw_fence(context, gva, None, false);
                self.ops.push(Op::Fence(fence));
            }
        }
        if self.draw.percent(50) {
            self.use_again(context, &page);
        }
        let on = match self.draw.percent(60) {
            true => WalkCaches::ALL,
            false => WalkCaches {
                guest: self.draw.percent(60),
                host: self.draw.percent(60),
                nested: self.draw.percent(60),
            },
        };
        self.ops
            .push(Op::WalkCaches(self.world.walk_caches_there(on)));
        let index_width = u64::from(self.world.format.geometry().index_width);
        for _ in 0..1 + self.draw.below(4) {
            // Beside the page: its tables are known, and it is not.
            let beside = gva ^ 1 << (12 + self.draw.below(index_width));
            let access = self.access_kind(context);
            self.push_access(context, beside, access);
        }
        self.use_again(context, &page);
    }
}
