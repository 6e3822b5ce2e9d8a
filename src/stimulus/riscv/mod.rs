// SPDX-License-Identifier: Apache-2.0
//! Random scenarios of the RISC-V formats.
//!
//! Tables are drawn sound, except for a few words. Then the generator draws one episode after the
//! other. An episode chooses an event (a fault at a level of a stage, an update that loses, a fence
//! that overtakes a walk, a hit of an entry that a fence does not match), learns from the golden
//! model which words it takes (`aim.rs`), and emits its operations. All episodes share tables, tags
//! and TLB entries, and no episode waits for another, so they disturb one another. [`weights`] has
//! their frequencies.

mod situations;
mod words;
mod world;

use super::aim::{Aimed, Edit, End, Image, When, Window};
use super::{Draw, draw_timing};
use crate::addr::{Gpa, Gva};
use crate::coverage::{Goal, Mode, Situation, UpdateOutcome, WalkGoal, WalkOutcome, WalkPosition};
use crate::format::riscv::Entry;
use crate::golden::{Mapping, Step};
use crate::mmu::{Access, FaultKind, Fence, Position, Purpose, Query, Rights, Stage};
use crate::scenario::{AccessOp, Machine, Op, Timing};
use words::draw_rights;
use world::{Wanted, World};

/// Frequencies of events. Percentages unless stated.
pub mod weights {
    /// Several accesses to one page in a row: equal ones share a walk.
    pub const EQUAL: u32 = 5;
    /// A fault of a class, at an entry of the walk.
    pub const FAULT: u32 = 10;
    /// A leaf changes, a fence matches it or is a near miss, and its page is used again.
    pub const STALE: u32 = 9;
    /// A fence overtakes a walk, or does not match it.
    pub const OVERTAKE: u32 = 5;
    /// A fence by one piece of a large page of which the TLB has several.
    pub const SPLINTER: u32 = 4;
    /// An update that meets another word than it expects.
    pub const RACE: u32 = 4;
    /// A page becomes part of a larger one, without a fence.
    pub const RESIZE: u32 = 2;
    /// One page under the other tags of its tables.
    pub const ALIAS: u32 = 4;
    /// A table on the way to a page moves, a fence matches it or is a near miss, and a neighbouring
    /// page is used.
    pub const TABLE: u32 = 4;
    /// A fence of some form.
    pub const FENCE: u32 = 2;
    /// A spoiled word that stays for a while.
    pub const EDIT: u32 = 2;
    /// A wait of a few cycles.
    pub const WAIT: u32 = 2;
    /// A wait for every response.
    pub const DRAIN: u32 = 2;
    /// Another behaviour of memory and requester.
    pub const TIMING: u32 = 1;
    /// A fence in a certain cycle of a walk.
    pub const FENCE_AT: u32 = 3;
    /// One page under contexts that differ in one field only.
    pub const TWINS: u32 = 2;
    /// A port is held for long.
    pub const HOLD: u32 = 1;
    /// Pages that come back through a small first level of the TLB, where there is a second.
    pub const COME_BACK: u32 = 10;
    /// Other walk caches are in use, where they are switched.
    pub const SWITCH_CACHES: u32 = 3;
    /// A memory that gives many errors.
    pub const ERRORS: u32 = 1;
    // The rest of a hundred: accesses to pages in use, and new ones.

    /// An episode is for a goal, if there are any.
    pub const LEAN: u32 = 50;
    /// Accesses to pages in use in a row, at most.
    pub const ROAM_ACCESSES: u64 = 8;
    /// An access is in another context than the one before.
    pub const SWITCH: u32 = 25;
    /// An access is to a page among the few used last.
    pub const AGAIN: u32 = 60;
    /// An access is to any address at all.
    pub const WILD: u32 = 2;
    /// An access goes to another part of what may be a large page, or to an address that differs in
    /// a bit.
    pub const ELSEWHERE: u32 = 6;
    /// The privilege of an access does not care for the page's U bit.
    pub const ANY_PRIVILEGE: u32 = 10;
    /// A page that is used under several tags is made global on the way.
    pub const BECOMES_GLOBAL: u32 = 60;
    /// A fence has no operand but its kind of address space.
    pub const FENCE_ALL: u32 = 30;
    /// A fence has one operand that is one bit off what was used.
    pub const NEAR_MISS: u32 = 30;
    /// A large page has a neighbour in the tables.
    pub const NEIGHBOUR: u32 = 25;
    /// An episode waits for the earlier accesses before it changes a word.
    pub const DRAINED: u32 = 45;
    /// An episode restores its change at its end; otherwise a later episode does.
    pub const MENDED: u32 = 75;
    /// A change is followed by a fence.
    pub const FENCED: u32 = 75;
    /// A page is looked up just before the fence that matches it, so that the fence meets the
    /// lookup in a level of the TLB.
    pub const FENCE_IN_LOOK_UP: u32 = 40;
    /// A fault is one of the walk's own update of a guest leaf.
    pub const UPDATE_FAULT: u32 = 20;
    /// A fault has a second one on its way.
    pub const SECOND_FAULT: u32 = 15;
    /// Changes that have not been put back, at most.
    pub const MOST_BROKEN: usize = 3;
    /// A fence in a certain cycle: by what a port is held for, not by the walk's own time.
    pub const AT_A_HOLD: u32 = 45;
    /// A fence in a certain cycle meets several requests of the walk.
    pub const AT_SEVERAL: u32 = 40;
    /// A fence in a certain cycle is for a walk that updates an entry.
    pub const AT_UPDATE: u32 = 40;
    /// Tables are used for something else right after the fence that matches them.
    pub const REUSED: u32 = 35;
    /// Walk caches are switched in a scenario of a device that has some.
    pub const SWITCHED_CACHES: u32 = 20;
    /// A context has twins that differ from it in one field.
    pub const TWIN: u32 = 30;
    /// A field that the device must ignore has a value.
    pub const IGNORED: u32 = 30;

    /// The table of a guest is not next to the one before.
    pub const SCATTERED_TABLE: u32 = 25;
    /// A stage is off.
    pub const STAGE_OFF: u32 = 12;
    /// A leaf of the lowest level is a NAPOT page.
    pub const NAPOT: u32 = 15;
    /// A leaf has a memory type.
    pub const PBMT: u32 = 15;
    /// A guest leaf is global.
    pub const GLOBAL_LEAF: u32 = 15;
    /// A pointer is global.
    pub const GLOBAL_POINTER: u32 = 3;
    /// A leaf's A bit is clear.
    pub const NOT_ACCESSED: u32 = 8;
    /// A leaf's D bit is clear.
    pub const NOT_DIRTY: u32 = 15;
    /// A context has another ASID, or VMID, than others over its tables.
    pub const OTHER_TAG: u32 = 25;
    /// A context has other modes than its tables, or another switch of memory types.
    pub const ODD_MODE: u32 = 3;
    /// A context's guest root is not that of its table.
    pub const ODD_ROOT: u32 = 2;
    /// Per mille: a pointer is spoiled.
    pub const SPOILED_POINTER: u32 = 2;
    /// Per mille: a leaf is spoiled.
    pub const SPOILED_LEAF: u32 = 10;
}

/// Pages that are tried for a goal.
const GOAL_TRIES: u32 = 6;

/// The RISC-V formats.
pub(super) struct Riscv;

impl super::formats::StimulusFormat for Riscv {
    fn draw(&self, wanted: &super::Wanted<'_>, draw: &mut Draw) -> super::Parts {
        self::draw(wanted.machine, draw, wanted.accesses, wanted.goals)
    }

    fn can_lean(&self) -> bool {
        true
    }

    fn words(&self) -> &'static dyn super::formats::Words {
        &words::RiscvWords
    }
}

/// Draws the memory, the contexts and the ops of a scenario.
fn draw(machine: Machine, draw: &mut Draw, accesses: u64, goals: &[Goal]) -> super::Parts {
    let walks: Vec<WalkGoal> = goals.iter().filter_map(Goal::walk).collect();
    let situations: Vec<Situation> = goals.iter().filter_map(Goal::situation).collect();
    // Walks of one mode at a time: its tables are what the machine is made for.
    let mode = match walks.as_slice() {
        [] => None,
        walks => Some(draw.of(walks).mode),
    };
    let goals: Vec<WalkGoal> = walks
        .into_iter()
        .filter(|goal| Some(goal.mode) == mode)
        .collect();
    let world = World::new(machine, draw, mode);
    let mut ops = Ops {
        world: &world,
        image: Image::new(machine.format, &world.memory),
        draw,
        ops: Vec::with_capacity(accesses as usize * 3 / 2),
        left: accesses,
        context: 0,
        recent: Vec::new(),
        broken: Vec::new(),
        goals,
        situations,
        is_long: accesses > super::weights::ACCESSES,
        switches_caches: false,
    };
    ops.switches_caches =
        machine.walk_cache_entries.any() && ops.draw.percent(weights::SWITCHED_CACHES);
    ops.fill();
    let ops = ops.ops;
    (world.memory, world.contexts, ops)
}

struct Ops<'a> {
    world: &'a World,
    image: Image,
    draw: &'a mut Draw,
    ops: Vec<Op>,
    /// Accesses that are still wanted.
    left: u64,
    context: usize,
    /// Pages used last, with their contexts.
    recent: Vec<(usize, Wanted)>,
    /// Edits that have not been put back.
    broken: Vec<Edit>,
    /// The goals of the bias.
    goals: Vec<WalkGoal>,
    situations: Vec<Situation>,
    /// A scenario of thousands of accesses, without a reset.
    is_long: bool,
    /// Walk caches are switched.
    switches_caches: bool,
}

impl Ops<'_> {
    fn fill(&mut self) {
        while self.left > 0 {
            let leans = !self.goals.is_empty() || !self.situations.is_empty();
            if leans && self.draw.percent(weights::LEAN) {
                self.toward_a_goal();
                continue;
            }
            let mut kind = self.draw.below(100) as u32;
            let mut is = |weight: u32| {
                let is = kind < weight;
                kind = kind.wrapping_sub(weight);
                is
            };
            if is(weights::EQUAL) {
                self.equal_accesses();
            } else if is(weights::FAULT) {
                self.fault();
            } else if is(weights::STALE) {
                self.stale();
            } else if is(weights::OVERTAKE) {
                self.overtake();
            } else if is(weights::SPLINTER) {
                self.splinter();
            } else if is(weights::RACE) {
                self.race();
            } else if is(weights::RESIZE) {
                self.resize();
            } else if is(weights::ALIAS) {
                self.alias();
            } else if is(weights::TABLE) {
                self.table();
            } else if is(weights::FENCE) {
                self.fence_something();
            } else if is(weights::EDIT) {
                self.spoil_something();
            } else if is(weights::WAIT) {
                self.wait(30);
            } else if is(weights::DRAIN) {
                self.ops.push(Op::Drain);
            } else if is(weights::FENCE_AT) {
                self.fence_at(None);
            } else if is(weights::TWINS) {
                self.twins(None);
            } else if is(weights::HOLD) {
                self.hold(None);
            } else if is(weights::ERRORS) {
                self.errors();
            } else if self.world.second_sets().is_some() && is(weights::COME_BACK) {
                self.come_back();
            } else if self.switches_caches && is(weights::SWITCH_CACHES) {
                self.switch_caches();
            } else if !is(weights::TIMING) {
                for _ in 0..=self.draw.below(weights::ROAM_ACCESSES) {
                    self.roam();
                }
            } else if !self.is_long && self.draw.per_mille(super::weights::RESET) {
                if self.draw.percent(super::weights::RESET_LATER) {
                    self.wait(30);
                }
                self.ops.push(Op::Reset);
            } else if self.draw.per_mille(super::weights::SLOW) {
                self.slow();
            } else {
                let timing = draw_timing(self.draw);
                self.ops.push(Op::Timing(timing));
            }
        }
    }

    ///////////////////
    // Single ops    //
    ///////////////////

    fn query(&self, context: usize, gva: u64, access: Access) -> Query {
        Query {
            context: self.world.heeded(context),
            gva: Gva(gva),
            access,
        }
    }

    fn push_access(&mut self, context: usize, gva: u64, access: Access) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        let query = self.query(context, gva, access);
        self.image.access(&query);
        let speculative = self.draw.percent(super::weights::SPECULATIVE);
        self.ops.push(Op::Access(AccessOp {
            context,
            gva: query.gva,
            access,
            speculative,
            expect: None,
            line: None,
        }));
    }

    fn push_edit(&mut self, edit: &Edit) {
        self.image.write(edit.at, edit.word);
        self.ops.push(Op::Write {
            at: edit.at,
            word: edit.word,
        });
    }

    /// Up to so many cycles.
    fn wait(&mut self, most: u64) {
        let cycles = 1 + self.draw.below(most) as u32;
        self.ops.push(Op::Wait(cycles));
    }

    fn drain(&mut self, percent: u32) {
        if self.draw.percent(percent) {
            self.ops.push(Op::Drain);
        }
    }

    /// Pushes a fence of any form for an address space in use, with operands that match. `miss`:
    /// one of its operands is a near miss.
    fn push_fence(&mut self, context: usize, gva: u64, mapping: Option<&Mapping>, miss: bool) {
        let fence = self.draw_fence(context, gva, mapping, miss);
        self.ops.push(Op::Fence(fence));
    }

    fn draw_fence(
        &mut self,
        context: usize,
        gva: u64,
        mapping: Option<&Mapping>,
        miss: bool,
    ) -> Fence {
        let context = self.world.contexts[context].context;
        let smallest = self.world.format.geometry().offset_width;
        let sizes = mapping.map_or((smallest, smallest), |mapping| {
            (mapping.guest.page_size, mapping.host.page_size)
        });
        let gpa = mapping.map_or(gva, |mapping| mapping.gpa.0);
        let any = self.draw.below(4);
        let (first, second) = (any & 1 != 0, any & 2 != 0);
        // The operand that is a near miss.
        let off = if miss { 1 + self.draw.below(2) } else { 0 };
        // SFENCE.VMA and HFENCE.VVMA, or HFENCE.GVMA.
        let by_guest = !context.virt || self.draw.percent(55);
        let mut fence = Fence {
            virt: context.virt,
            ..Fence::default()
        };
        let format = self.world.format;
        let (asid_width, vmid_width) = (format.asid_width(), format.vmid_width());
        if by_guest {
            fence.gva = first.then(|| Gva(self.operand(gva, sizes.0, off == 1)));
            fence.asid = second.then(|| self.tag(context.asid, asid_width, off == 2));
            if context.virt {
                let off = off == 2 && !second;
                fence.vmid = Some(self.tag(context.vmid, vmid_width, off));
            } else if self.draw.percent(20) {
                // It is ignored there.
                fence.vmid = Some(self.draw.below(1 << vmid_width) as u16);
            }
        } else {
            fence.gpa = first.then(|| Gpa(self.operand(gpa, sizes.1, off == 1)));
            fence.vmid = second.then(|| self.tag(context.vmid, vmid_width, off == 2));
        }
        fence
    }

    fn tag(&mut self, value: u16, width: u32, off: bool) -> u16 {
        if off {
            value ^ (1 << self.draw.below(width.into()))
        } else {
            value
        }
    }

    /// An address in the page of 2^`size` bytes around another, or, with `off`, in a page whose
    /// address differs in a bit.
    fn operand(&mut self, address: u64, size: u32, off: bool) -> u64 {
        let width = self.world.format.geometry().gva_width;
        let inside = (1u64 << size) - 1;
        let mut operand = address & !inside | self.draw.bits() & inside;
        if off {
            // The lowest bits are those that a wrong page size gets wrong.
            let bits = u64::from(width - size);
            let bit = if self.draw.percent(60) {
                self.draw.below(bits.min(12))
            } else {
                self.draw.below(bits)
            };
            operand ^= 1 << (u64::from(size) + bit);
        }
        operand & (u64::MAX >> (64 - width))
    }

    fn near_miss(&mut self) -> bool {
        self.draw.percent(weights::NEAR_MISS)
    }

    /// Restores a word, at once or, if few pages depend on it, later.
    fn mend(&mut self, mut edit: Edit, context: usize, gva: u64, mapping: Option<&Mapping>) {
        // The word that an earlier episode has left there is not the original one.
        if let Some(earlier) = self.broken.iter().position(|other| other.at == edit.at) {
            edit.before = self.broken.swap_remove(earlier).before;
        }
        let is_leaf = edit.before.is_some_and(|word| !Entry(word).is_pointer());
        let has_room = self.broken.len() < weights::MOST_BROKEN;
        if is_leaf && has_room && !self.draw.percent(weights::MENDED) {
            self.broken.push(edit);
            return;
        }
        self.drain(weights::DRAINED / 2);
        self.push_edit(&back(edit));
        if self.draw.percent(weights::FENCED) {
            self.push_fence(context, gva, mapping, false);
        }
    }

    ///////////////////
    // Pages         //
    ///////////////////

    /// A page, and the context to use it in.
    fn page(&mut self) -> (usize, Wanted) {
        if !self.recent.is_empty() && self.draw.percent(weights::AGAIN) {
            let (context, page) = *self.draw.of(&self.recent);
            return (self.other_mode(context, &page), page);
        }
        if self.draw.percent(weights::SWITCH) {
            self.context = self.draw.below(self.world.contexts.len() as u64) as usize;
        }
        let pages = &self.world.pages[self.context];
        let page = if pages.is_empty() || self.draw.percent(weights::WILD) {
            self.wild()
        } else {
            *self.draw.of(pages)
        };
        let context = self.other_mode(self.context, &page);
        let used = (context, page);
        if self.recent.len() < 6 {
            self.recent.push(used);
        } else {
            let oldest = self.draw.below(6) as usize;
            self.recent[oldest] = used;
        }
        used
    }

    /// Any address: mostly one that is almost right.
    fn wild(&mut self) -> Wanted {
        let width = self.world.format.geometry().gva_width;
        let near = self.world.pages[self.context]
            .first()
            .map(|page| page.gva.0);
        let gva = match near {
            Some(gva) if self.draw.percent(70) => gva ^ (1 << self.draw.below(width.into())),
            _ => self.draw.bits() & (u64::MAX >> (64 - width)),
        };
        Wanted {
            gva: Gva(gva),
            user: self.draw.percent(50),
        }
    }

    /// A context over the same tables, mostly one in which the page can be used.
    fn other_mode(&mut self, context: usize, page: &Wanted) -> usize {
        let suits = |other: usize| {
            self.world.same_tables(context, other)
                && self.world.contexts[other].context.user == page.user
        };
        let suiting: Vec<usize> = (0..self.world.contexts.len())
            .filter(|&other| suits(other))
            .collect();
        if suiting.is_empty() || self.draw.percent(weights::ANY_PRIVILEGE) {
            return context;
        }
        *self.draw.of(&suiting)
    }

    fn access_kind(&mut self, context: usize) -> Access {
        let kind = *self.draw.of(&[
            Access::Load,
            Access::Load,
            Access::Store,
            Access::Store,
            Access::Fetch,
            Access::LoadExecute,
        ]);
        match kind {
            // There is no HLVX outside the address spaces of virtual machines.
            Access::LoadExecute if !self.world.contexts[context].context.virt => Access::Load,
            kind => kind,
        }
    }

    /// An address in the smallest page of another.
    fn in_page(&mut self, gva: u64) -> u64 {
        gva & !0xFFF | self.draw.below(4096)
    }

    /// An access to a page, of some kind.
    fn use_page(&mut self, context: usize, page: &Wanted) {
        let mut gva = self.in_page(page.gva.0);
        // Another part of what may be a larger page, or an address that differs in a bit.
        if self.draw.percent(weights::ELSEWHERE) {
            let width = self.world.format.geometry().gva_width;
            let bits = *self.draw.of(&[9, u64::from(width) - 12]);
            gva ^= 1 << (12 + self.draw.below(bits));
        }
        let access = self.access_kind(context);
        self.push_access(context, gva, access);
    }

    /// One to three accesses to a page, in some of the modes that its tables are used in.
    fn use_again(&mut self, context: usize, page: &Wanted) {
        for _ in 0..=self.draw.below(3) {
            let context = self.other_mode(context, page);
            self.use_page(context, page);
        }
    }

    ///////////////////
    // Episodes      //
    ///////////////////

    fn roam(&mut self) {
        let (context, page) = self.page();
        self.use_page(context, &page);
    }

    fn equal_accesses(&mut self) {
        let (context, page) = self.page();
        let access = self.access_kind(context);
        for _ in 0..2 + self.draw.below(8) {
            // Sometimes an access that differs only in its kind.
            let access = if self.draw.percent(25) {
                self.access_kind(context)
            } else {
                access
            };
            let gva = self.in_page(page.gva.0);
            self.push_access(context, gva, access);
        }
    }

    /// Changes one word so that an access ends with a fault of a drawn class, at a drawn entry of
    /// its walk.
    fn fault(&mut self) {
        let (context, page) = self.page();
        let access = self.access_kind(context);
        let gva = self.in_page(page.gva.0);
        let query = self.query(context, gva, access);
        // First an entry that must be updated, if the update is to fail.
        let updated = match self.draw.percent(weights::UPDATE_FAULT) {
            true => self.let_update(&query, true),
            false => None,
        };
        let aimed = match &updated {
            Some(_) => {
                let image = &mut self.image;
                image.aim(self.draw, &query, When::Before, is_of_update, any_end)
            }
            None => self.aim(&query, When::Before),
        };
        let Some(Aimed { edit, .. }) = aimed else {
            return self.push_access(context, gva, access);
        };
        let mapping = self.image.look(&query).ok();
        if self.draw.percent(40) {
            // The TLB may know the page.
            self.push_access(context, gva, access);
            self.drain(weights::DRAINED);
        }
        self.push_edit(&edit);
        if let Some(updated) = &updated {
            // The access before may have set the bits.
            self.push_edit(updated);
        }
        let second = match self.draw.percent(weights::SECOND_FAULT) {
            true => self.aim(&query, When::Before),
            false => None,
        };
        if let Some(second) = &second {
            self.push_edit(&second.edit);
        }
        if self.draw.percent(weights::FENCED) {
            let fence = match self.draw.percent(50) {
                // An entry that is not a leaf leads to many pages.
                true => all_of(query.context.virt),
                false => self.draw_fence(context, gva, mapping.as_ref(), false),
            };
            self.ops.push(Op::Fence(fence));
        }
        self.push_access(context, gva, access);
        if self.draw.percent(60) {
            self.use_again(context, &page);
        }
        if let Some(second) = second {
            self.mend(second.edit, context, gva, mapping.as_ref());
        }
        self.mend(edit, context, gva, mapping.as_ref());
        if self.draw.percent(40) {
            self.push_access(context, gva, access);
        }
    }

    /// Clears bits of some leaf on the way of an access, so that the access must set them: of the
    /// guest leaf, or of any leaf.
    fn let_update(&mut self, query: &Query, guest: bool) -> Option<Edit> {
        self.let_update_at(query, |at| !guest || matches!(at, Position::Guest { .. }))
    }

    fn let_update_at(&mut self, query: &Query, at: impl Fn(Position) -> bool) -> Option<Edit> {
        let update = |_: &mut Draw, _| Some(End::Update);
        let aimed = self.image.aim(self.draw, query, When::Before, at, update)?;
        self.push_edit(&aimed.edit);
        Some(aimed.edit)
    }

    /// A page that has just been used, with its mapping, where it has one.
    fn mapped_page(&mut self) -> Option<(usize, Wanted, u64, Mapping)> {
        let (context, page) = self.page();
        let access = self.access_kind(context);
        let gva = self.in_page(page.gva.0);
        self.push_access(context, gva, access);
        let query = self.query(context, gva, access);
        let mapping = self.image.look(&query).ok()?;
        Some((context, page, gva, mapping))
    }

    /// Another word for a leaf of the last walk: with another page, with other rights, or faulty.
    fn other_leaf(&mut self) -> Option<Edit> {
        let stage = *self.draw.of(&[Stage::Guest, Stage::Host]);
        let leaf = self
            .image
            .leaf(stage)
            .or_else(|| self.image.steps().last().copied())?;
        let entry = Entry(leaf.word?);
        let word = match self.draw.below(10) {
            0..4 => self.elsewhere(&leaf, entry),
            4..6 => entry.with_rights(draw_rights(self.draw)),
            6 => entry.with_user(!entry.user()),
            7 => entry.with_dirty(false),
            8 => entry.with_global(!entry.global()),
            _ => entry.with_valid(false),
        };
        self.image.edit(&leaf, Some(word.0))
    }

    /// The leaf of a step, to another page of its size that differs in a bit.
    fn elsewhere(&mut self, leaf: &Step, entry: Entry) -> Entry {
        let geometry = self.world.format.geometry();
        let size = match entry.napot() {
            true => world::NAPOT,
            false => geometry.offset_width + leaf.at.level() * geometry.index_width,
        };
        let bit = self.draw.below(u64::from(geometry.hpa_width - size).min(8));
        entry.with_address(entry.address() ^ 1 << (u64::from(size) + bit))
    }

    fn stale(&mut self) {
        let Some((context, page, gva, mapping)) = self.mapped_page() else {
            return;
        };
        let in_look_up = self.draw.percent(weights::FENCE_IN_LOOK_UP);
        if in_look_up {
            // Out of a small first level of the TLB.
            for _ in 0..2 + self.draw.below(3) {
                self.roam();
            }
            let _ = self.image.look(&self.query(context, gva, Access::Load));
        }
        self.drain(70);
        let edit = match self.draw.percent(80) {
            true => self.other_leaf(),
            false => None,
        };
        if let Some(edit) = &edit {
            self.push_edit(edit);
        }
        if in_look_up {
            let access = self.access_kind(context);
            self.push_access(context, gva, access);
            self.wait(2);
        }
        let miss = self.near_miss();
        self.push_fence(context, gva, Some(&mapping), miss);
        if self.draw.percent(30) {
            self.wait(8);
        }
        self.use_again(context, &page);
        if let Some(edit) = edit {
            self.mend(edit, context, gva, Some(&mapping));
        }
    }

    fn overtake(&mut self) {
        let (context, page) = self.page();
        let access = self.access_kind(context);
        let gva = self.in_page(page.gva.0);
        let query = self.query(context, gva, access);
        let mapping = self.image.look(&query).ok();
        // This makes sure that there is a walk.
        self.push_fence(context, gva, mapping.as_ref(), false);
        self.push_access(context, gva, access);
        if self.draw.percent(70) {
            let most = *self.draw.of(&[3, 12, 60, 200]);
            self.wait(most);
        }
        let _ = self.image.look(&query);
        let edit = match self.draw.percent(60) {
            true => self.other_leaf(),
            false => None,
        };
        if let Some(edit) = &edit {
            self.push_edit(edit);
        }
        let miss = self.near_miss();
        self.push_fence(context, gva, mapping.as_ref(), miss);
        for _ in 0..=self.draw.below(3) {
            let gva = self.in_page(gva);
            self.push_access(context, gva, access);
        }
        if self.draw.percent(50) {
            self.ops.push(Op::Drain);
            self.use_again(context, &page);
        }
        if let Some(edit) = edit {
            self.mend(edit, context, gva, mapping.as_ref());
        }
    }

    /// Pieces of the larger of a page's two leaves are used, that leaf changes, and a fence matches
    /// it by one piece.
    fn splinter(&mut self) {
        let Some((context, page, gva, mapping)) = self.mapped_page() else {
            return;
        };
        let large = mapping.guest.page_size.max(mapping.host.page_size);
        let small = mapping.page_size;
        let pieces: Vec<u64> = (0..2 + self.draw.below(3))
            .map(|_| match large - small {
                0 => gva,
                bits => gva ^ 1 << (u64::from(small) + self.draw.below(bits.into())),
            })
            .collect();
        let access = self.access_kind(context);
        for &piece in &pieces {
            self.push_access(context, piece, access);
        }
        self.drain(80);
        let _ = self.image.look(&self.query(context, gva, access));
        let edit = self.other_leaf();
        if let Some(edit) = &edit {
            self.push_edit(edit);
        }
        let piece = *self.draw.of(&pieces);
        let miss = self.near_miss();
        self.push_fence(context, piece, Some(&mapping), miss);
        for &piece in &pieces {
            self.push_access(context, piece, access);
        }
        self.use_page(context, &page);
        if let Some(edit) = edit {
            self.mend(edit, context, gva, Some(&mapping));
        }
    }

    /// A word changes while a walk is between two accesses to it: usually a word that the walk
    /// reads and then updates.
    fn race(&mut self) {
        let (context, page) = self.page();
        let access = self.access_kind(context);
        let gva = self.in_page(page.gva.0);
        let query = self.query(context, gva, access);
        let of_guest = self.draw.percent(50);
        let cleared = match self.draw.percent(90) {
            true => self.let_update(&query, of_guest),
            false => None,
        };
        // And the host's leaf that this update goes through.
        let of_both = of_guest && cleared.is_some() && self.draw.percent(75);
        let through = match of_both {
            true => self.let_update_at(&query, is_of_update),
            false => None,
        };
        let aimed = match self.draw.percent(40) {
            true => self.aim(&query, When::Meanwhile),
            false => self.lost_update(&query, |_| true, None),
        };
        let Some(aimed) = aimed else {
            return self.push_access(context, gva, access);
        };
        self.push_race(context, gva, access, aimed);
        self.use_again(context, &page);
        self.mend(aimed.edit, context, gva, None);
        for edit in [through, cleared].into_iter().flatten() {
            self.mend(edit, context, gva, None);
        }
    }

    /// An edit for any end, anywhere.
    fn aim(&mut self, query: &Query, when: When) -> Option<Aimed> {
        self.image.aim(self.draw, query, when, |_| true, any_end)
    }

    /// An access, and an edit in a window of its walk.
    fn push_race(&mut self, context: usize, gva: u64, access: Access, aimed: Aimed) {
        let Aimed {
            edit,
            window: Some(Window { first, second }),
        } = aimed
        else {
            return;
        };
        let is_timed = self.draw.percent(70);
        let latency = 1 + self.draw.below(6) as u32;
        if is_timed {
            // Nobody else is in the way: then each access of the walk has its cycle.
            self.ops.push(Op::Drain);
            self.ops.push(Op::Timing(Timing {
                latency: latency..=latency,
                ..Timing::default()
            }));
        }
        let virt = self.world.contexts[context].context.virt;
        self.ops.push(Op::Fence(all_of(virt)));
        self.push_access(context, gva, access);
        let between = (second - first) as u64 * u64::from(latency + 1);
        let cycles = first as u64 * u64::from(latency + 1) + 1 + self.draw.below(between);
        self.ops.push(Op::Wait(cycles as u32));
        self.push_edit(&edit);
        if is_timed {
            self.ops.push(Op::Drain);
            let timing = draw_timing(self.draw);
            self.ops.push(Op::Timing(timing));
        }
    }

    /// Makes an episode for one of the goals, if a page can reach it.
    fn toward_a_goal(&mut self) {
        // There are more walks by far, of which one after the other is reached.
        if !self.situations.is_empty() && (self.goals.is_empty() || self.draw.percent(30)) {
            let situation = *self.draw.of(&self.situations);
            return self.toward_a_situation(&situation);
        }
        let goal = *self.draw.of(&self.goals);
        let fitting: Vec<usize> = (0..self.world.contexts.len())
            .filter(|&number| Mode::of(&self.world.contexts[number].context) == goal.mode)
            .filter(|&number| !self.world.pages[number].is_empty())
            .collect();
        if fitting.is_empty() {
            return self.roam();
        }
        for _ in 0..GOAL_TRIES {
            let context = *self.draw.of(&fitting);
            let page = *self.draw.of(&self.world.pages[context]);
            let context = self.other_mode(context, &page);
            let gva = self.in_page(page.gva.0);
            let query = self.query(context, gva, goal.access);
            let is_reached = match goal.outcome {
                WalkOutcome::Translation {
                    guest_size,
                    host_size,
                } => self.translate_by(&query, context, guest_size, host_size),
                WalkOutcome::Fault { kind, at, race } => {
                    self.fault_at(&query, context, kind, at, race)
                }
            };
            if is_reached {
                return;
            }
        }
        self.roam();
    }

    /// An access, if it translates by pages of these sizes.
    fn translate_by(
        &mut self,
        query: &Query,
        context: usize,
        guest_size: Option<u32>,
        host_size: Option<u32>,
    ) -> bool {
        let fits = self.image.look(query).is_ok_and(|mapping| {
            guest_size.is_none_or(|size| size == mapping.guest.page_size)
                && host_size.is_none_or(|size| size == mapping.host.page_size)
        });
        if fits {
            self.ops.push(Op::Fence(all_of(query.context.virt)));
            self.push_access(context, query.gva.0, query.access);
        }
        fits
    }

    /// An access that faults so, if a word can bring that about.
    fn fault_at(
        &mut self,
        query: &Query,
        context: usize,
        kind: FaultKind,
        at: WalkPosition,
        race: bool,
    ) -> bool {
        let of_update = matches!(
            at,
            WalkPosition::Host {
                purpose: Purpose::GuestUpdate(_),
                ..
            }
        );
        let cleared = match of_update {
            true => self.let_update(query, true),
            false => None,
        };
        // An update takes the same way as the read before it. So a memory error of the update is a
        // hole that appears in between.
        let when = match race || of_update && kind == FaultKind::Memory {
            true => When::Meanwhile,
            false => When::Before,
        };
        let is_there = |position| WalkPosition::of(&position) == at;
        let end = |_: &mut Draw, _| Some(End::Fault(kind));
        let aimed = self.image.aim(self.draw, query, when, is_there, end);
        let gva = query.gva.0;
        if let Some(aimed) = aimed {
            if aimed.window.is_some() {
                self.push_race(context, gva, query.access, aimed);
            } else {
                self.push_edit(&aimed.edit);
                self.ops.push(Op::Fence(all_of(query.context.virt)));
                self.push_access(context, gva, query.access);
                self.drain(weights::DRAINED);
            }
            self.push_edit(&back(aimed.edit));
        }
        if let Some(cleared) = cleared {
            self.push_edit(&back(cleared));
        }
        aimed.is_some()
    }

    /// An edit of a word that an access updates at one of the positions selected by `at`, between
    /// its read of the word and the update. `outcome`: what becomes of the update; drawn, if none
    /// is wanted.
    fn lost_update(
        &mut self,
        query: &Query,
        at: impl Fn(Position) -> bool,
        outcome: Option<UpdateOutcome>,
    ) -> Option<Aimed> {
        let _ = self.image.look(query);
        let window = self.image.draw_update(self.draw, at)?;
        let step = self.image.steps()[window.second];
        let clean = Entry(step.word?);
        let which = match outcome {
            None => self.draw.below(10),
            Some(UpdateOutcome::LostToFault) => self.draw.below(2),
            Some(UpdateOutcome::LostAndSet) => 3,
            Some(UpdateOutcome::LostToPointer) => 4,
            Some(UpdateOutcome::Error) => 6,
            Some(UpdateOutcome::LostAndTriedAgain) => 8,
            Some(UpdateOutcome::Made) => return None,
        };
        let word = match which {
            0 => Some(clean.with_valid(false)),
            1 => Some(clean.with_rights(draw_rights(self.draw))),
            2 => Some(clean.with_accessed(true)),
            3 => Some(clean.with_accessed(true).with_dirty(true)),
            4 | 5 => Some(Entry::pointer(clean.address())),
            6 | 7 => None,
            _ => Some(clean.with_rsw(self.draw.below(4))),
        };
        let edit = self.image.edit(&step, word.map(|word| word.0))?;
        Some(Aimed {
            edit,
            window: Some(window),
        })
    }

    /// A pointer on the way to a page becomes a large leaf. Without a fence both are legal, and TLB
    /// entries may overlap.
    fn resize(&mut self) {
        let Some((context, page, gva, mapping)) = self.mapped_page() else {
            return;
        };
        let geometry = self.world.format.geometry();
        let pointers: Vec<Step> = self
            .image
            .steps()
            .iter()
            .filter(|step| step.at.level() > 0 && step.word.is_some_and(|w| Entry(w).is_pointer()))
            .copied()
            .collect();
        if pointers.is_empty() {
            return;
        }
        self.drain(weights::DRAINED);
        let pointer = *self.draw.of(&pointers);
        let size = geometry.offset_width + pointer.at.level() * geometry.index_width;
        let table = Entry(pointer.word.unwrap_or_default()).address();
        let user = pointer.at.stage() == Stage::Host || page.user;
        let leaf = Entry::leaf(table >> size << size, Rights::ALL).with_user(user);
        let Some(edit) = self.image.edit(&pointer, Some(leaf.0)) else {
            return;
        };
        self.push_edit(&edit);
        for _ in 0..2 + self.draw.below(3) {
            // Past the page that the TLB has, then that page too.
            let bit = 12 + self.draw.below(u64::from(size - 12));
            let piece = *self.draw.of(&[gva, gva ^ 1 << bit, gva ^ 1 << bit]);
            let access = self.access_kind(context);
            self.push_access(context, piece, access);
        }
        self.drain(weights::DRAINED);
        self.push_edit(&back(edit));
        if self.draw.percent(50) {
            self.push_fence(context, gva, Some(&mapping), false);
        }
        self.use_again(context, &page);
    }

    /// A page is used under each tag of its tables, back and forth.
    fn alias(&mut self) {
        let (context, page) = self.page();
        let access = self.access_kind(context);
        let others: Vec<usize> = (0..self.world.contexts.len())
            .filter(|&other| {
                self.world.same_tables(context, other)
                    || self.draw.percent(25)
                    || self.world.same_roots(context, other) && self.draw.percent(60)
            })
            .collect();
        let becomes_global = match self.draw.percent(weights::BECOMES_GLOBAL) {
            true => self.becomes_global(context, &page, access),
            false => None,
        };
        for round in 0..2 {
            for (number, &other) in others.iter().enumerate() {
                let gva = self.in_page(page.gva.0);
                self.push_access(other, gva, access);
                if let Some(edit) = &becomes_global
                    && (round, number) == (0, 0)
                {
                    // The TLB has the page of one ASID, and gets it of all.
                    self.ops.push(Op::Drain);
                    self.push_edit(edit);
                }
            }
            self.drain(weights::DRAINED);
        }
        if let Some(edit) = becomes_global {
            self.mend(edit, context, page.gva.0, None);
        }
    }

    /// Makes the guest's leaf of a page global, if it is not.
    fn becomes_global(&mut self, context: usize, page: &Wanted, access: Access) -> Option<Edit> {
        let _ = self.image.look(&self.query(context, page.gva.0, access));
        let leaf = self.image.leaf(Stage::Guest)?;
        let entry = Entry(leaf.word?);
        if entry.global() {
            return None;
        }
        self.image.edit(&leaf, Some(entry.with_global(true).0))
    }

    /// The entry that points at a table on a page's way changes, and a fence matches it or is a
    /// near miss. A neighbouring page is not in the TLB yet, but its tables may be in walk caches.
    fn table(&mut self) {
        let Some((context, page, gva, mapping)) = self.mapped_page() else {
            return;
        };
        self.drain(70);
        let leads_to_table = |step: &&Step| match step.at {
            Position::Guest { level } => level > 0,
            Position::Host { level, purpose, .. } => level > 0 || purpose != Purpose::Data,
        };
        let steps: Vec<Step> = self
            .image
            .steps()
            .iter()
            .filter(leads_to_table)
            .copied()
            .collect();
        if steps.is_empty() {
            return;
        }
        let step = *self.draw.of(&steps);
        let Some(entry) = step.word.map(Entry) else {
            return;
        };
        let geometry = self.world.format.geometry();
        let level = step.at.level();
        let size = match entry.napot() {
            true => world::NAPOT,
            false => geometry.offset_width + level * geometry.index_width,
        };
        let edit = match self.draw.percent(60) {
            true => {
                let bit = u64::from(size.max(geometry.offset_width)) + self.draw.below(3);
                let word = match entry.is_pointer() {
                    true => entry.with_address(entry.address() ^ 1 << (12 + self.draw.below(3))),
                    false => entry.with_address(entry.address() ^ 1 << bit),
                };
                self.image.edit(&step, Some(word.0))
            }
            false => None,
        };
        if let Some(edit) = &edit {
            self.push_edit(edit);
        }
        let tags = self.world.contexts[context].context;
        let (off, by_tag) = (self.near_miss(), self.draw.percent(50));
        let mut fence = all_of(tags.virt);
        match step.at {
            Position::Guest { .. } => {
                fence.gva = Some(Gva(self.operand(gva, size, off)));
                fence.asid = by_tag.then_some(tags.asid);
                fence.vmid = tags.virt.then_some(tags.vmid);
            }
            Position::Host { gpa, .. } => {
                fence.gpa = Some(Gpa(self.operand(gpa.0, size, off)));
                fence.vmid = by_tag.then_some(tags.vmid);
            }
        }
        self.ops.push(Op::Fence(fence));
        let access = self.access_kind(context);
        for _ in 0..1 + self.draw.below(3) {
            let beside = gva ^ 1 << (12 + self.draw.below(u64::from(geometry.index_width)));
            self.push_access(context, beside, access);
        }
        self.use_again(context, &page);
        if let Some(edit) = edit {
            self.mend(edit, context, gva, Some(&mapping));
        }
    }

    fn fence_something(&mut self) {
        let virt = self.draw.percent(75);
        let used = match self.recent.as_slice() {
            [] => None,
            recent => Some(*self.draw.of(recent)),
        };
        match used {
            Some((context, page)) if !self.draw.percent(weights::FENCE_ALL) => {
                let query = self.query(context, page.gva.0, Access::Load);
                let mapping = self.image.look(&query).ok();
                let miss = self.near_miss();
                self.push_fence(context, page.gva.0, mapping.as_ref(), miss);
            }
            _ => {
                // Everything is invalidated sometimes. For a while after that, what must hit is
                // known.
                let kinds = [virt, !virt];
                for &virt in &kinds[..1 + self.draw.below(2) as usize] {
                    self.ops.push(Op::Fence(all_of(virt)));
                }
            }
        }
    }

    /// Any word of a table in place of a sound one; or a changed one is put back.
    fn spoil_something(&mut self) {
        if self.broken.len() >= weights::MOST_BROKEN || self.world.entries.is_empty() {
            if !self.broken.is_empty() {
                let which = self.draw.below(self.broken.len() as u64) as usize;
                let edit = self.broken.swap_remove(which);
                self.push_edit(&back(edit));
                self.fence_something();
            }
            return;
        }
        let entry = *self.draw.of(&self.world.entries);
        let edit = Edit {
            at: entry.at,
            word: self.world.spoil(self.draw, &entry),
            before: self.image.read(entry.at),
            stage: entry.stage,
        };
        if self.broken.iter().any(|other| other.at == edit.at) {
            return;
        }
        self.push_edit(&edit);
        self.broken.push(edit);
        if self.draw.percent(weights::FENCED) {
            let virt = edit.stage == Stage::Host || self.draw.percent(75);
            self.ops.push(Op::Fence(all_of(virt)));
        }
    }
}

/// The edit that puts back what another has changed.
fn back(edit: Edit) -> Edit {
    Edit {
        word: edit.before,
        before: edit.word,
        ..edit
    }
}

/// Everything of one kind of address space.
fn all_of(virt: bool) -> Fence {
    Fence {
        virt,
        ..Fence::default()
    }
}

/// The host's walk for an update.
fn is_of_update(at: Position) -> bool {
    matches!(
        at,
        Position::Host {
            purpose: Purpose::GuestUpdate(_),
            ..
        }
    )
}

/// Every end that there is; which of them an entry can have shows in the try.
fn any_end(draw: &mut Draw, at: Position) -> Option<End> {
    // A fault of the table above, or of this entry.
    let kind = *draw.of(&FaultKind::ALL);
    match (kind, at) {
        (FaultKind::Pointer, _) if at.level() > 0 => None,
        (FaultKind::Misaligned, _) if at.level() == 0 => None,
        _ if draw.percent(12) => Some(End::Update),
        _ => Some(End::Fault(kind)),
    }
}
