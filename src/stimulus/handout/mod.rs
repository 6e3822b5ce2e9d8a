// SPDX-License-Identifier: Apache-2.0
//! Random scenarios of the handout's formats.

mod words;
mod world;

use super::aim::{Aimed, End, Image, When};
use super::{Draw, Parts, Profile, Wanted, draw_hold, draw_timing, slow_timing, weights};
use crate::addr::{Gpa, Gva, Hpa};
use crate::coverage::{Goal, Situation};
use crate::mmu::{Access, FaultKind, Fence, Query};
use crate::scenario::{AccessOp, Held, Op, Timing};
use world::World;

/// The handout's formats.
pub(super) struct Handout;

impl super::formats::StimulusFormat for Handout {
    fn draw(&self, wanted: &Wanted<'_>, draw: &mut Draw) -> Parts {
        let Wanted {
            profile, accesses, ..
        } = *wanted;
        let world = World::new(profile, draw);
        let mut ops = Ops {
            profile,
            world: &world,
            image: Image::new(profile.format, &world.memory),
            draw,
            ops: Vec::with_capacity(accesses as usize * 5 / 4),
            left: accesses,
            context: 0,
            recent: Vec::new(),
            is_long: accesses > weights::ACCESSES,
        };
        ops.fill(wanted.goals);
        let ops = ops.ops;
        (world.memory, world.contexts, ops)
    }

    fn can_lean(&self) -> bool {
        false
    }

    fn words(&self) -> &'static dyn super::formats::Words {
        &words::HandoutWords
    }
}

struct Ops<'a> {
    profile: Profile,
    world: &'a World,
    image: Image,
    draw: &'a mut Draw,
    ops: Vec<Op>,
    /// Accesses that are still wanted.
    left: u64,
    context: usize,
    /// Pages used last, with their contexts.
    recent: Vec<(usize, u64)>,
    /// A scenario of thousands of accesses, without a reset.
    is_long: bool,
}

impl Ops<'_> {
    fn fill(&mut self, goals: &[Goal]) {
        let situations: Vec<Situation> = goals.iter().filter_map(Goal::situation).collect();
        while self.left > 0 {
            if !situations.is_empty() && self.draw.percent(weights::LEAN) {
                match *self.draw.of(&situations) {
                    Situation::FenceWalk(_) | Situation::FencePlace(_) => self.fence_at(),
                    Situation::Twin(_) => self.twins(),
                    Situation::Wait(_) => self.hold(),
                    Situation::ErrorWord(_) => self.errors(),
                    Situation::CacheSwitch(_)
                    | Situation::SecondAgain(_)
                    | Situation::Update(_) => {
                        let (context, page) = self.page();
                        self.use_page(context, page);
                    }
                }
                continue;
            }
            let mut kind = self.draw.below(100) as u32;
            let mut is = |weight: u32| {
                let is = kind < weight;
                kind = kind.wrapping_sub(weight);
                is
            };
            if is(weights::ACCESS) {
                let (context, page) = self.page();
                self.use_page(context, page);
            } else if is(weights::EQUAL_ACCESSES) {
                self.equal_accesses();
            } else if is(weights::FAULT) {
                self.fault();
            } else if is(weights::OVERTAKE) {
                self.overtake();
            } else if is(weights::FENCE) {
                let fence = self.fence();
                self.ops.push(Op::Fence(fence));
            } else if is(weights::EDIT) {
                self.edit();
            } else if is(weights::WAIT) {
                let cycles = 1 + self.draw.below(30) as u32;
                self.ops.push(Op::Wait(cycles));
            } else if is(weights::DRAIN) {
                self.ops.push(Op::Drain);
            } else if is(weights::HOLD) {
                self.hold();
            } else if is(weights::TWINS) {
                self.twins();
            } else if is(weights::FENCE_AT) {
                self.fence_at();
            } else if !self.is_long && self.draw.per_mille(weights::RESET) {
                if self.draw.percent(weights::RESET_LATER) {
                    let cycles = 1 + self.draw.below(30) as u32;
                    self.ops.push(Op::Wait(cycles));
                }
                self.ops.push(Op::Reset);
            } else if self.draw.per_mille(weights::SLOW) {
                let timing = slow_timing(self.draw);
                self.ops.push(Op::Timing(timing));
                for _ in 0..1 + self.draw.below(3) {
                    let (context, page) = self.page();
                    self.use_page(context, page);
                }
                let timing = draw_timing(self.draw);
                self.ops.extend([Op::Drain, Op::Timing(timing)]);
            } else {
                let timing = draw_timing(self.draw);
                self.ops.push(Op::Timing(timing));
            }
        }
    }

    fn page(&mut self) -> (usize, u64) {
        let geometry = self.profile.format.geometry();
        if !self.recent.is_empty() && self.draw.percent(weights::AGAIN) {
            return *self.draw.of(&self.recent);
        }
        if self.draw.percent(weights::SWITCH) {
            self.context = self.draw.below(self.world.contexts.len() as u64) as usize;
        }
        let pages = &self.world.gva_pages[self.context];
        let page = if pages.is_empty() || self.draw.percent(weights::WILD) {
            self.draw
                .below(1 << (geometry.gva_width - geometry.offset_width))
        } else {
            *self.draw.of(pages)
        };
        let used = (self.context, page);
        if self.recent.len() < 6 {
            self.recent.push(used);
        } else {
            let oldest = self.draw.below(6) as usize;
            self.recent[oldest] = used;
        }
        used
    }

    fn access_kind(&mut self) -> Access {
        *self
            .draw
            .of(&[Access::Load, Access::Load, Access::Store, Access::Fetch])
    }

    fn push_access(&mut self, context: usize, gva: Gva, access: Access) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        let speculative = self.draw.percent(weights::SPECULATIVE);
        self.ops.push(Op::Access(AccessOp {
            context,
            gva,
            access,
            speculative,
            expect: None,
            line: None,
        }));
    }

    fn push_edit(&mut self, at: Hpa, word: Option<u64>) {
        self.image.write(at, word);
        self.ops.push(Op::Write { at, word });
    }

    /// An address in a page.
    fn in_page(&mut self, page: u64) -> Gva {
        let geometry = self.profile.format.geometry();
        let offset = self.draw.below(geometry.page_bytes());
        Gva((page << geometry.offset_width) + offset)
    }

    fn use_page(&mut self, context: usize, page: u64) {
        let access = self.access_kind();
        let gva = self.in_page(page);
        self.push_access(context, gva, access);
    }

    fn equal_accesses(&mut self) {
        let (context, page) = self.page();
        let access = self.access_kind();
        for _ in 0..2 + self.draw.below(8) {
            // Sometimes an access that differs only in its kind.
            let access = if self.draw.percent(10) {
                self.access_kind()
            } else {
                access
            };
            let gva = self.in_page(page);
            self.push_access(context, gva, access);
        }
    }

    /// Changes one word so that an access ends with a fault of a drawn class, at a drawn entry of
    /// its walk.
    fn fault(&mut self) {
        let (context, page) = self.page();
        let query = Query {
            context: self.world.contexts[context].context,
            gva: self.in_page(page),
            access: self.access_kind(),
        };
        let any = |draw: &mut Draw, _| Some(End::Fault(*draw.of(&FaultKind::ALL)));
        let aimed = self
            .image
            .aim(self.draw, &query, When::Before, |_| true, any);
        let Some(Aimed { edit, .. }) = aimed else {
            return self.push_access(context, query.gva, query.access);
        };
        if self.draw.percent(30) {
            self.push_access(context, query.gva, query.access);
        }
        self.push_edit(edit.at, edit.word);
        self.fence_page(context, page);
        self.push_access(context, query.gva, query.access);
        self.use_page(context, page);
        if self.draw.percent(50) {
            self.ops.push(Op::Drain);
        }
        self.push_edit(edit.at, edit.before);
        if self.draw.percent(weights::EDIT_FENCED) {
            self.fence_page(context, page);
        }
    }

    /// A fence that usually matches a page.
    fn fence_page(&mut self, context: usize, page: u64) {
        let space = self.world.contexts[context].context.space();
        let gva = self.in_page(page);
        let operands = self.draw.below(8);
        self.ops.push(Op::Fence(Fence {
            gva: (operands & 1 != 0).then_some(gva),
            asid: (operands & 2 != 0).then_some(space.asid),
            vmid: (operands & 4 != 0).then_some(space.vmid),
            ..Fence::default()
        }));
    }

    /// A walk that a fence overtakes, and the same request again.
    fn overtake(&mut self) {
        let (context, page) = self.page();
        let access = self.access_kind();
        // This makes sure that there is a walk.
        self.fence_page(context, page);
        let gva = self.in_page(page);
        self.push_access(context, gva, access);
        let most = *self.draw.of(&[2, 8, 40, 120]);
        let cycles = 1 + self.draw.below(most) as u32;
        self.ops.push(Op::Wait(cycles));
        if self.draw.percent(70) {
            self.fence_page(context, page);
        } else {
            let fence = self.fence();
            self.ops.push(Op::Fence(fence));
        }
        for _ in 0..=self.draw.below(3) {
            let gva = self.in_page(page);
            self.push_access(context, gva, access);
        }
    }

    /// A fence in a chosen cycle of a walk: of a walk without delays by its own time, or of one
    /// that is held there.
    fn fence_at(&mut self) {
        let (context, page) = self.page();
        let access = self.access_kind();
        let levels = u64::from(self.profile.format.geometry().levels);
        let latency = 1 + self.draw.below(5);
        self.ops.extend([
            Op::Drain,
            Op::Timing(Timing {
                latency: latency as u32..=latency as u32,
                ..Timing::default()
            }),
            // This makes sure that there is a walk.
            Op::Fence(Fence::default()),
        ]);
        for _ in 0..=self.draw.below(3) {
            let gva = self.in_page(page);
            self.push_access(context, gva, access);
        }
        let reads = (levels + 1) * (levels + 1) - 1;
        let offered = 1 + self.draw.below(reads + 1) * (latency + 1);
        if self.draw.percent(45) {
            let (what, cycles) = (*self.draw.of(&Held::ALL), 8 + self.draw.below(30) as u32);
            let before = offered.saturating_sub(self.draw.below(4)).max(1) as u32;
            let within = 1 + self.draw.below(u64::from(cycles) + 2) as u32;
            self.ops.extend([
                Op::Wait(before),
                Op::Hold { what, cycles },
                Op::Wait(within),
            ]);
        } else {
            let within = self.draw.below(latency + 2);
            self.ops.push(Op::Wait((offered + within) as u32));
        }
        if self.draw.percent(75) {
            self.fence_page(context, page);
        } else {
            let fence = self.fence();
            self.ops.push(Op::Fence(fence));
        }
        if self.draw.percent(35) {
            // A walk that still follows an invalidated entry gives a wrong result.
            self.edit();
        }
        for _ in 0..=self.draw.below(3) {
            let gva = self.in_page(page);
            self.push_access(context, gva, access);
        }
        let timing = draw_timing(self.draw);
        self.ops.extend([Op::Drain, Op::Timing(timing)]);
    }

    /// One page under contexts that differ in one field only, in quick succession.
    fn twins(&mut self) {
        let (one, other) = match self.world.twins.as_slice() {
            [] => {
                let (context, page) = self.page();
                return self.use_page(context, page);
            }
            twins => *self.draw.of(twins),
        };
        let page = match self.world.gva_pages[one].as_slice() {
            [] => return,
            pages => *self.draw.of(pages),
        };
        let access = self.access_kind();
        if self.draw.percent(80) {
            self.ops.push(Op::Fence(Fence::default()));
        }
        if self.draw.percent(30) {
            let hold = draw_hold(self.draw, None);
            self.ops.push(hold);
        }
        let mut turn = self.draw.below(2) as usize;
        for _ in 0..2 + self.draw.below(4) {
            let gva = self.in_page(page);
            self.push_access([one, other][turn], gva, access);
            if self.draw.percent(80) {
                turn = 1 - turn;
            }
        }
    }

    /// A port is held for long while requests go on.
    fn hold(&mut self) {
        let (context, page) = self.page();
        if self.draw.percent(50) {
            self.fence_page(context, page);
        }
        self.use_page(context, page);
        let cycles = 1 + self.draw.below(12) as u32;
        let hold = draw_hold(self.draw, None);
        self.ops.extend([Op::Wait(cycles), hold]);
        for _ in 0..self.draw.below(6) {
            let (context, page) = self.page();
            self.use_page(context, page);
        }
        if self.draw.percent(40) {
            self.fence_page(context, page);
        }
    }

    /// Some accesses over a memory that gives many errors.
    fn errors(&mut self) {
        self.ops.push(Op::Timing(Timing {
            errors: 150,
            seed: self.draw.bits() >> 1,
            ..Timing::default()
        }));
        for _ in 0..4 + self.draw.below(6) {
            let (context, page) = self.page();
            self.fence_page(context, page);
            self.use_page(context, page);
        }
        let timing = draw_timing(self.draw);
        self.ops.push(Op::Timing(timing));
    }

    fn fence(&mut self) -> Fence {
        if self.draw.percent(weights::FENCE_ALL) {
            return Fence::default();
        }
        let geometry = self.profile.format.geometry();
        let (context, page) = match self.recent.as_slice() {
            [] => (0, 0),
            recent => *self.draw.of(recent),
        };
        let space = self.world.contexts[context].context.space();
        let operands = self.draw.below(16);
        let offset = self.draw.below(geometry.page_bytes());
        let vm = self.world.vm_of_context[context];
        let gpa_page = match self.world.gpa_pages[vm].as_slice() {
            [] => page,
            pages => *self.draw.of(pages),
        };
        // Usually a value that matches a page in use, sometimes its neighbour.
        let mut other = |value: u16, width: u32| {
            if self.draw.percent(15) {
                value ^ (1 << self.draw.below(width.into()))
            } else {
                value
            }
        };
        Fence {
            virt: true,
            gva: (operands & 1 != 0).then(|| Gva((page << geometry.offset_width) + offset)),
            gpa: (operands & 2 != 0).then(|| Gpa((gpa_page << geometry.offset_width) + offset)),
            asid: (operands & 4 != 0).then(|| other(space.asid, crate::mmu::ASID_WIDTH)),
            vmid: (operands & 8 != 0).then(|| other(space.vmid, crate::mmu::VMID_WIDTH)),
        }
    }

    fn edit(&mut self) {
        if self.world.entries.is_empty() {
            return;
        }
        let entry = *self.draw.of(&self.world.entries);
        let word = self.world.draw_edit(self.profile, self.draw, &entry);
        if self.draw.percent(weights::EDIT_DRAINED) {
            self.ops.push(Op::Drain);
        }
        self.push_edit(entry.at, word);
        if self.draw.percent(weights::EDIT_FENCED) {
            let fence = if self.draw.percent(50) {
                Fence::default()
            } else {
                self.fence()
            };
            self.ops.push(Op::Fence(fence));
        }
    }
}
