//! Random scenarios of the RISC-V formats.
//!
//! Tables are drawn sound, then entries are spoiled, at first and by edits on the way: so that faults of every class
//! come at every level of both stages, and what is behind them is reached too. How often stands in [`weights`].

mod world;

use super::{Draw, draw_timing};
use crate::addr::{Gpa, Gva};
use crate::format::Format;
use crate::memory::HostMemory;
use crate::mmu::{ASID_WIDTH, Access, Fence, Stage, VMID_WIDTH};
use crate::scenario::{AccessOp, NamedContext, Op};
use world::{Wanted, World};

/// How often things happen. Percentages unless stated.
pub mod weights {
    /// What an op is: an access.
    pub const ACCESS: u32 = 74;
    /// Several accesses to one page in a row.
    pub const EQUAL_ACCESSES: u32 = 5;
    /// A fence.
    pub const FENCE: u32 = 5;
    /// An edit of a table word.
    pub const EDIT: u32 = 8;
    /// An edit that races with the update of the entry.
    pub const RACE: u32 = 2;
    /// A wait of a few cycles.
    pub const WAIT: u32 = 3;
    /// A wait for every answer.
    pub const DRAIN: u32 = 2;
    /// Another behaviour of memory and requester. (The rest of a hundred.)
    pub const TIMING: u32 = 1;

    /// An access is in another context than the one before.
    pub const SWITCH: u32 = 25;
    /// An access is to a page among the few used last.
    pub const AGAIN: u32 = 60;
    /// An access is to any address at all.
    pub const WILD: u32 = 2;
    /// An access is to another part of what may be a large page.
    pub const ELSEWHERE: u32 = 4;
    /// The privilege of an access does not care for the page's U bit.
    pub const ANY_PRIVILEGE: u32 = 10;
    /// A fence names nothing but its kind of address space.
    pub const FENCE_ALL: u32 = 15;
    /// An operand of a fence is not of what was used last.
    pub const OTHER_OPERAND: u32 = 15;
    /// An edit is followed at once by a fence.
    pub const EDIT_FENCED: u32 = 55;
    /// An edit waits for the accesses before it.
    pub const EDIT_DRAINED: u32 = 30;
    /// An edit makes a spoiled word sound again; else it spoils one.
    pub const EDIT_MENDS: u32 = 60;
    /// Words that edits have spoiled and not mended, at most.
    pub const MOST_BROKEN: usize = 3;

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
    /// A context's guest root is not that of its table.
    pub const ODD_ROOT: u32 = 1;
    /// Per mille: a pointer is spoiled.
    pub const SPOILED_POINTER: u32 = 2;
    /// Per mille: a leaf is spoiled.
    pub const SPOILED_LEAF: u32 = 10;
}

/// What of a scenario is of RISC-V: memory, contexts and ops.
pub(super) fn draw(
    format: Format,
    draw: &mut Draw,
    accesses: u64,
) -> (HostMemory, Vec<NamedContext>, Vec<Op>) {
    let world = World::new(format, draw);
    let mut ops = Ops {
        world: &world,
        draw,
        ops: Vec::with_capacity(accesses as usize * 5 / 4),
        context: 0,
        recent: Vec::new(),
        broken: Vec::new(),
    };
    ops.fill(accesses);
    let ops = ops.ops;
    (world.memory, world.contexts, ops)
}

struct Ops<'a> {
    world: &'a World,
    draw: &'a mut Draw,
    ops: Vec<Op>,
    context: usize,
    /// Pages used last, with their contexts.
    recent: Vec<(usize, Wanted)>,
    /// Entries that an edit has spoiled, by index.
    broken: Vec<usize>,
}

impl Ops<'_> {
    fn fill(&mut self, accesses: u64) {
        let mut left = accesses;
        while left > 0 {
            let mut kind = self.draw.below(100) as u32;
            let mut is = |weight: u32| {
                let is = kind < weight;
                kind = kind.wrapping_sub(weight);
                is
            };
            if is(weights::ACCESS) {
                self.access();
                left -= 1;
            } else if is(weights::EQUAL_ACCESSES) {
                let equal = (2 + self.draw.below(8)).min(left);
                self.equal_accesses(equal);
                left -= equal;
            } else if is(weights::FENCE) {
                let fence = self.fence();
                self.ops.push(Op::Fence(fence));
            } else if is(weights::EDIT) {
                self.edit();
            } else if is(weights::RACE) {
                self.race();
                left -= 1;
            } else if is(weights::WAIT) {
                let cycles = 1 + self.draw.below(30) as u32;
                self.ops.push(Op::Wait(cycles));
            } else if is(weights::DRAIN) {
                self.ops.push(Op::Drain);
            } else {
                let timing = draw_timing(self.draw);
                self.ops.push(Op::Timing(timing));
            }
        }
    }

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
            gpa: Gpa(gva),
            user: self.draw.percent(50),
            leaves: [None; 2],
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
            // There is no HLVX outside virtual machines' address spaces.
            Access::LoadExecute if !self.world.contexts[context].context.virt => Access::Load,
            kind => kind,
        }
    }

    fn push_access(&mut self, context: usize, page: &Wanted, access: Access) {
        let offset = self.draw.below(4096);
        let mut gva = page.gva.0 & !0xFFF | offset;
        // Another part of what may be a larger page.
        if self.draw.percent(weights::ELSEWHERE) {
            gva ^= 1 << (12 + self.draw.below(9));
        }
        self.ops.push(Op::Access(AccessOp {
            context,
            gva: Gva(gva),
            access,
            expect: None,
            line: None,
        }));
    }

    fn access(&mut self) {
        let (context, page) = self.page();
        let access = self.access_kind(context);
        self.push_access(context, &page, access);
    }

    fn equal_accesses(&mut self, count: u64) {
        let (context, page) = self.page();
        let access = self.access_kind(context);
        for _ in 0..count {
            let access = if self.draw.percent(25) {
                self.access_kind(context)
            } else {
                access
            };
            self.push_access(context, &page, access);
        }
    }

    /// A fence of some form, mostly one that names what was used last.
    fn fence(&mut self) -> Fence {
        let virt = self.draw.percent(75);
        if self.draw.percent(weights::FENCE_ALL) {
            return Fence {
                virt,
                ..Fence::default()
            };
        }
        let used = match self.recent.as_slice() {
            [] => None,
            recent => Some(*self.draw.of(recent)),
        };
        let Some((context, page)) = used else {
            return Fence {
                virt,
                ..Fence::default()
            };
        };
        let context = &self.world.contexts[context].context;
        let virt = if self.draw.percent(90) {
            context.virt
        } else {
            virt
        };
        let (asid, vmid) = (
            self.operand(context.asid, ASID_WIDTH),
            self.operand(context.vmid, VMID_WIDTH),
        );
        let any = self.draw.below(4);
        let (first, second) = (any & 1 != 0, any & 2 != 0);
        let none = Fence {
            virt,
            ..Fence::default()
        };
        // SFENCE.VMA and HFENCE.VVMA, or HFENCE.GVMA.
        if !virt || self.draw.percent(60) {
            Fence {
                gva: first.then(|| Gva(self.near(page.gva.0))),
                asid: second.then_some(asid),
                vmid: virt.then_some(vmid),
                ..none
            }
        } else {
            Fence {
                gpa: first.then(|| Gpa(self.near(page.gpa.0))),
                vmid: second.then_some(vmid),
                ..none
            }
        }
    }

    fn operand(&mut self, value: u16, width: u32) -> u16 {
        if self.draw.percent(weights::OTHER_OPERAND) {
            value ^ (1 << self.draw.below(width.into()))
        } else {
            value
        }
    }

    /// An address in the page of another, or in another part of what may be a larger page, or in a neighbour.
    fn near(&mut self, address: u64) -> u64 {
        let flip = match self.draw.below(100) {
            0..50 => 0,
            50..85 => 1 << (12 + self.draw.below(10)),
            _ => 1 << (12 + self.draw.below(24)),
        };
        let width = self.world.format.geometry().gva_width;
        (address ^ flip) & (u64::MAX >> (64 - width)) | self.draw.below(4096)
    }

    fn edit(&mut self) {
        let mend = match self.broken.len() {
            0 => false,
            weights::MOST_BROKEN.. => true,
            _ => self.draw.percent(weights::EDIT_MENDS),
        };
        // Mostly a leaf of a page in use.
        let leaf = match self.recent.as_slice() {
            [] => None,
            recent => {
                let (_, page) = *self.draw.of(recent);
                page.leaves[self.draw.below(2) as usize]
            }
        };
        let entry = match leaf {
            _ if mend => {
                let which = self.draw.below(self.broken.len() as u64) as usize;
                self.broken.swap_remove(which)
            }
            Some(leaf) if self.draw.percent(60) => leaf,
            _ if self.world.entries.is_empty() => return,
            _ => self.draw.below(self.world.entries.len() as u64) as usize,
        };
        if !mend {
            self.broken.push(entry);
        }
        let entry = self.world.entries[entry];
        let word = if mend {
            Some(entry.sound.0)
        } else {
            self.world.spoil(self.draw, &entry)
        };
        if self.draw.percent(weights::EDIT_DRAINED) {
            self.ops.push(Op::Drain);
        }
        self.ops.push(Op::Write { at: entry.at, word });
        if self.draw.percent(weights::EDIT_FENCED) {
            let fence = match (self.draw.percent(50), entry.stage) {
                (true, _) => self.fence(),
                (false, Stage::Host) => Fence::default(),
                (false, Stage::Guest) => Fence {
                    virt: self.draw.percent(75),
                    ..Fence::default()
                },
            };
            self.ops.push(Op::Fence(fence));
        }
    }

    /// An access that must set bits of a leaf, which changes meanwhile.
    fn race(&mut self) {
        let (context, page) = self.page();
        let stage = self.draw.below(2) as usize;
        let Some(leaf) = page.leaves[stage] else {
            return self.push_access(context, &page, Access::Store);
        };
        let entry = self.world.entries[leaf];
        let clean = entry.sound.with_accessed(false).with_dirty(false);
        self.ops.push(Op::Write {
            at: entry.at,
            word: Some(clean.0),
        });
        self.ops.push(Op::Fence(Fence {
            virt: self.world.contexts[context].context.virt,
            ..Fence::default()
        }));
        let access = self.access_kind(context);
        self.push_access(context, &page, access);
        self.ops.push(Op::Wait(1 + self.draw.below(120) as u32));
        let word = match self.draw.below(4) {
            0 => self.world.spoil(self.draw, &entry),
            1 => Some(entry.sound.0),
            _ => Some(clean.with_rsw(self.draw.below(4)).0),
        };
        self.ops.push(Op::Write { at: entry.at, word });
    }
}
