// SPDX-License-Identifier: Apache-2.0
//! The tables of a random RISC-V machine: virtual machines with guests in them, address spaces
//! outside, and contexts that use them.

use std::collections::BTreeMap;

use super::weights;
use super::words::draw_rights;
use crate::addr::{Gpa, Gva, Hpa};
use crate::coverage::Mode;
use crate::coverage::axes::ContextField;
use crate::coverage::groups::twin::TwinField;
use crate::dut::description::{Description, Modes};
use crate::format::riscv::Entry;
use crate::format::{Format, Geometry, fits};
use crate::memory::HostMemory;
use crate::mmu::{Context, Rights, Stage, StageControl, WalkCaches};
use crate::scenario::{Machine, NamedContext, abilities};
use crate::stimulus::Draw;

const PAGE: u32 = 12;
pub(super) const NAPOT: u32 = 16;

/// A page that an access may want.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// A gVA in it.
    pub gva: Gva,
    /// U of its guest leaf.
    pub user: bool,
}

/// A table word, for edits.
#[derive(Clone, Copy)]
pub(super) struct Word {
    pub at: Hpa,
    pub stage: Stage,
    /// The word as it was drawn at first, without a fault.
    pub sound: Entry,
}

/// The tables of one stage of one address space.
struct Tables {
    stage: Stage,
    levels: u32,
    root: u64,
    /// The tables by level, and by the address above the bits that the table translates.
    tables: BTreeMap<(u32, u64), u64>,
    leaves: Vec<Span>,
}

/// The mapping of a leaf.
#[derive(Clone, Copy)]
struct Span {
    from: u64,
    to: u64,
    size: u32,
    word: Option<usize>,
}

impl Tables {
    fn find(&self, address: u64) -> Option<Span> {
        let mut leaves = self.leaves.iter();
        leaves
            .find(|leaf| leaf.from >> leaf.size == address >> leaf.size)
            .copied()
    }
}

struct Vm {
    vmid: u16,
    /// None: the host stage is off.
    host: Option<Tables>,
    /// The gPA of the next guest table.
    next_table: u64,
    /// The regions of the guests' data.
    regions: Vec<u64>,
}

pub(super) struct World {
    pub format: Format,
    machine: Machine,
    /// The abilities of a foreign device.
    device: Option<&'static Description>,
    geometry: Geometry,
    pub memory: HostMemory,
    pub contexts: Vec<NamedContext>,
    /// The pages of each context.
    pub pages: Vec<Vec<Wanted>>,
    pub entries: Vec<Word>,
    /// Contexts that differ in one field only.
    pub twins: Vec<(usize, usize, TwinField)>,
    switches: Switches,
    /// The address of the next host table.
    next_frame: u64,
    vms: Vec<Vm>,
    wanted: Option<Mode>,
}

/// The properties that the contexts of one machine have in common.
#[derive(Clone, Copy)]
struct Switches {
    napot: bool,
    adue: [bool; 2],
    pbmte: [bool; 2],
}

impl World {
    /// `wanted`: a mode that most address spaces are in. All are in modes of the machine.
    pub fn new(machine: Machine, draw: &mut Draw, wanted: Option<Mode>) -> Self {
        let format = machine.format;
        let mut geometry = format.geometry();
        let device = machine.foreign_description();
        if let Some(device) = device {
            geometry.hpa_width = device.modes.hpa_width;
        }
        let has = |ability: fn(&Modes) -> bool| device.is_none_or(|d| ability(&d.modes));
        let mut world = Self {
            format,
            machine,
            device,
            geometry,
            memory: HostMemory::new(format),
            contexts: Vec::new(),
            pages: Vec::new(),
            entries: Vec::new(),
            twins: Vec::new(),
            switches: Switches {
                napot: draw.percent(85) && has(|modes| modes.svnapot),
                adue: [0; 2].map(|_| draw.percent(50) && machine.svadu),
                pbmte: [0; 2].map(|_| draw.percent(80) && has(|modes| modes.svpbmt)),
            },
            next_frame: 0,
            vms: Vec::new(),
            wanted,
        };
        let room = geometry.hpa_width - 26;
        world.next_frame = draw.below(1 << room) << 26;
        // Few tags, so that contexts meet in them.
        let tags = |width: u32| 1u64 << width;
        let (asids, vmids) = (tags(format.asid_width()), tags(format.vmid_width()));
        let asids = [0, 1, draw.below(asids) as u16, (asids - 1) as u16];
        let vmids = [0, 1, draw.below(vmids) as u16, (vmids - 1) as u16];
        let vms = match has(|modes| modes.virt.contains(&true)) {
            true => 1 + draw.below(2),
            false => 0,
        };
        for _ in 0..vms {
            let vmid = *draw.of(&vmids);
            world.add_vm(draw, vmid);
        }
        for vm in 0..world.vms.len() {
            for _ in 0..1 + draw.below(2) {
                let asid = *draw.of(&asids);
                world.add_space(draw, Some(vm), asid);
            }
        }
        let least = u64::from(wanted.is_some_and(|mode| !mode.virt) || vms == 0);
        let spaces = match has(|modes| modes.virt.contains(&false)) {
            true => draw.below(3).max(least),
            false => 0,
        };
        for _ in 0..spaces {
            let asid = *draw.of(&asids);
            world.add_space(draw, None, asid);
        }
        world
    }

    /// Draws one of the numbers of levels that a stage may have, 0 among them.
    fn draw_levels(&self, draw: &mut Draw, stage: Stage) -> u32 {
        let levels = match draw.percent(weights::STAGE_OFF) {
            true => 0,
            false => match self.format {
                Format::Rv64 => 3 + draw.below(u64::from(self.machine.max_levels) - 2) as u32,
                _ => 2,
            },
        };
        self.able_levels(levels, stage)
    }

    /// The number of levels that a foreign device has for a stage, and that is nearest to a number.
    fn able_levels(&self, levels: u32, stage: Stage) -> u32 {
        let Some(device) = self.device else {
            return levels;
        };
        let able = match stage {
            Stage::Guest => &device.modes.guest,
            Stage::Host => &device.modes.host,
        };
        abilities::nearest_levels(levels as u8, able).into()
    }

    fn frame(&mut self, draw: &mut Draw, align: u64) -> u64 {
        let at = (self.next_frame + draw.below(3) * 4096).next_multiple_of(align);
        self.next_frame = at + align;
        at
    }

    fn new_tables(&mut self, stage: Stage, levels: u32, root: u64) -> Tables {
        Tables {
            stage,
            levels,
            root,
            tables: BTreeMap::from([((levels - 1, 0), root)]),
            leaves: Vec::new(),
        }
    }

    /// Bits of an address that a stage of so many levels translates.
    fn width(&self, stage: Stage, levels: u32) -> u32 {
        let extra = match stage {
            Stage::Guest => 0,
            Stage::Host => self.geometry.host_root_extra,
        };
        PAGE + levels * self.geometry.index_width + extra
    }

    /// Bits of a gPA that a guest entry can express and the host stage can translate.
    fn reach(&self, host: Option<&Tables>) -> u32 {
        let most = self.geometry.hpa_width;
        host.map_or(most, |host| self.width(Stage::Host, host.levels).min(most))
    }

    fn add_vm(&mut self, draw: &mut Draw, vmid: u16) {
        let levels = match self.wanted {
            Some(mode) if mode.virt && draw.percent(85) => {
                self.able_levels(mode.host.into(), Stage::Host)
            }
            _ => self.draw_levels(draw, Stage::Host),
        };
        let host = (levels > 0).then(|| {
            let root = self.frame(draw, 4 * 4096);
            self.new_tables(Stage::Host, levels, root)
        });
        let width = self.reach(host.as_ref());
        let regions = (0..1 + draw.below(2))
            .map(|_| draw.below(1 << (width - 24)) << 24)
            .collect();
        self.vms.push(Vm {
            vmid,
            host,
            next_table: draw.below(1 << (width - 20)) << 20,
            regions,
        });
    }

    /// The hPA of a gPA of a virtual machine.
    fn locate(&self, vm: Option<usize>, gpa: u64) -> Option<u64> {
        match vm.and_then(|vm| self.vms[vm].host.as_ref()) {
            None => Some(gpa),
            Some(host) => host.find(gpa).map(|leaf| leaf.to + (gpa - leaf.from)),
        }
    }

    /// Room for a guest's table: its address there.
    fn guest_frame(&mut self, draw: &mut Draw, vm: Option<usize>) -> u64 {
        let Some(vm) = vm else {
            return self.frame(draw, 4096);
        };
        // Elsewhere now and then, so that one large page of the host does not map all of them.
        if draw.percent(weights::SCATTERED_TABLE) {
            let width = self.reach(self.vms[vm].host.as_ref());
            self.vms[vm].next_table = draw.below(1 << (width - 20)) << 20;
        }
        let at = self.vms[vm].next_table;
        self.vms[vm].next_table += 4096 * (1 + draw.below(2));
        self.map_gpa(draw, vm, at);
        at
    }

    /// Lets the host map the page of a gPA, if it does not.
    fn map_gpa(&mut self, draw: &mut Draw, vm: usize, gpa: u64) {
        let Some(mut host) = self.vms[vm].host.take() else {
            return;
        };
        if host.find(gpa).is_none() {
            let size = self.draw_size(draw, host.levels);
            let to = self.draw_hpa(draw, size);
            let flags = Flags::host(draw);
            self.map(draw, None, &mut host, gpa, size, to, flags);
        }
        self.vms[vm].host = Some(host);
    }

    fn draw_hpa(&mut self, draw: &mut Draw, size: u32) -> u64 {
        if size == PAGE {
            return self.frame(draw, 4096);
        }
        let width = self.geometry.hpa_width;
        draw.below(1 << (width - size)) << size
    }

    /// log2 of a page's bytes.
    fn draw_size(&self, draw: &mut Draw, levels: u32) -> u32 {
        let level = match draw.below(100) {
            0..45 => 0,
            45..65 => 1,
            65..75 => 2,
            _ => draw.below(levels.into()) as u32,
        };
        let level = level.min(levels - 1);
        let napot = if self.switches.napot {
            weights::NAPOT
        } else {
            1
        };
        if level == 0 && self.format == Format::Rv64 && draw.percent(napot) {
            return NAPOT;
        }
        PAGE + level * self.geometry.index_width
    }

    fn index(&self, tables: &Tables, address: u64, level: u32) -> u64 {
        let extra = match tables.stage {
            Stage::Host if level + 1 == tables.levels => self.geometry.host_root_extra,
            _ => 0,
        };
        let bits = self.geometry.index_width + extra;
        (address >> (PAGE + level * self.geometry.index_width)) & ((1 << bits) - 1)
    }

    /// Maps the page of `size` at `from` to `to`, or a smaller page if a table is in the way.
    /// Returns the mapping that `from` has then.
    #[allow(clippy::too_many_arguments)]
    fn map(
        &mut self,
        draw: &mut Draw,
        vm: Option<usize>,
        tables: &mut Tables,
        from: u64,
        size: u32,
        to: u64,
        flags: Flags,
    ) -> Option<Span> {
        if let Some(leaf) = tables.find(from) {
            return Some(leaf);
        }
        let mut level = tables.levels - 1;
        let mut table = tables.root;
        loop {
            let shift = PAGE + level * self.geometry.index_width;
            let at = table + self.index(tables, from, level) * self.geometry.pte_bytes();
            let below = (level.wrapping_sub(1), from >> shift);
            let has_table = level > 0 && tables.tables.contains_key(&below);
            if shift <= size && !has_table {
                // All 16 entries of a NAPOT page are written, so none may be in use.
                let is_free = |leaf: &Span| leaf.from >> NAPOT != from >> NAPOT;
                let size = match (level, size) {
                    (0, NAPOT) if tables.leaves.iter().all(is_free) => NAPOT,
                    _ => shift,
                };
                let mask = (1 << size) - 1;
                let span = Span {
                    from: from & !mask,
                    to: to & !mask,
                    size,
                    word: self.put_leaf(draw, vm, tables.stage, at, (size, to), flags),
                };
                tables.leaves.push(span);
                return Some(span);
            }
            table = match tables.tables.get(&below) {
                Some(&table) => table,
                None => {
                    let new = match tables.stage {
                        Stage::Host => self.frame(draw, 4096),
                        Stage::Guest => self.guest_frame(draw, vm),
                    };
                    let sound = Entry::pointer(new)
                        .with_global(draw.percent(weights::GLOBAL_POINTER))
                        .with_rsw(draw.below(4));
                    self.put(draw, vm, tables.stage, at, sound);
                    tables.tables.insert(below, new);
                    new
                }
            };
            level -= 1;
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn put_leaf(
        &mut self,
        draw: &mut Draw,
        vm: Option<usize>,
        stage: Stage,
        at: u64,
        (size, to): (u32, u64),
        flags: Flags,
    ) -> Option<usize> {
        let mut sound = Entry::leaf(to >> size << size, flags.rights)
            .with_user(flags.user)
            .with_global(flags.global)
            .with_accessed(flags.accessed)
            .with_dirty(flags.dirty)
            .with_rsw(draw.below(4));
        if self.format == Format::Rv64 {
            let pbmt = match (stage, self.switches.pbmte) {
                (Stage::Guest, [true, _]) | (Stage::Host, [_, true]) => weights::PBMT,
                _ => 1,
            };
            if draw.percent(pbmt) {
                sound = sound.with_pbmt(1 + draw.below(2) as u8);
            }
            if size == NAPOT {
                sound = sound.with_napot_64k();
                let group = 16 * self.geometry.pte_bytes();
                let first = at / group * group;
                for at in (first..first + group).step_by(group as usize / 16) {
                    if let Some(at) = self.place(vm, stage, at) {
                        self.memory.write(at, sound.0);
                    }
                }
            }
        }
        self.put(draw, vm, stage, at, sound)
    }

    pub fn word_mask(&self) -> u64 {
        u64::MAX >> (64 - self.geometry.pte_width)
    }

    /// The address of an entry of a stage in memory, if it has one.
    fn place(&self, vm: Option<usize>, stage: Stage, at: u64) -> Option<Hpa> {
        let at = match stage {
            Stage::Host => Some(at),
            Stage::Guest => self.locate(vm, at),
        };
        at.filter(|&at| fits(at, self.geometry.hpa_width)).map(Hpa)
    }

    /// Writes an entry, or a faulty one in its place, at an address of its stage. Returns its index
    /// if it has a place.
    fn put(
        &mut self,
        draw: &mut Draw,
        vm: Option<usize>,
        stage: Stage,
        at: u64,
        sound: Entry,
    ) -> Option<usize> {
        let word = Word {
            at: self.place(vm, stage, at)?,
            stage,
            sound,
        };
        let spoiled = if sound.is_pointer() {
            draw.per_mille(weights::SPOILED_POINTER)
        } else {
            draw.per_mille(weights::SPOILED_LEAF)
        };
        let content = if spoiled {
            self.spoil(draw, &word)
        } else {
            Some(sound.0)
        };
        if let Some(content) = content {
            self.memory.write(word.at, content);
        }
        self.entries.push(word);
        Some(self.entries.len() - 1)
    }

    /// A word in place of a sound one: of some fault class, or merely another one. None: a hole.
    pub fn spoil(&self, draw: &mut Draw, word: &Word) -> Option<u64> {
        let sound = word.sound;
        let is64 = self.format == Format::Rv64;
        let bit = |bit: u64| sound.0 ^ (1 << bit);
        let any_ppn = |draw: &mut Draw| {
            let ppn = draw.bits() & (u64::MAX >> (64 - self.geometry.hpa_width));
            sound.with_address(ppn).0
        };
        Some(match draw.below(20) {
            0 => sound.with_valid(false).0,
            1 => {
                let only_write = Rights {
                    read: false,
                    write: true,
                    execute: draw.percent(50),
                };
                sound.with_rights(only_write).0
            }
            2 if is64 => bit(54 + draw.below(7)),
            3 if is64 => sound.with_pbmt(1 + draw.below(3) as u8).0,
            4 if is64 => bit(63),
            5 if is64 => sound.with_napot_64k().with_address(draw.bits()).0 | 1 << 63,
            6 if is64 => sound.with_napot_64k().0,
            // A pointer in place of a leaf, and a leaf in place of a pointer.
            7 if sound.is_pointer() => Entry::leaf(sound.address(), Rights::ALL).0,
            4..=7 => Entry::pointer(sound.address()).0,
            // A pointer with bits that only a leaf has.
            2 | 3 => sound.with_rights(NO_RIGHTS).with_user(true).0,
            8 => sound.with_rights(draw_rights(draw)).0,
            // A, D, U, G: of a pointer, all but G are reserved.
            9 | 10 => bit(4 + draw.below(4)),
            11 => sound.with_accessed(false).with_dirty(false).0,
            12 => sound.with_dirty(false).0,
            13 if !sound.is_pointer() => bit(10 + draw.below(9)),
            14 if draw.percent(60) => any_ppn(draw),
            15 => bit(4),
            16 if draw.percent(60) => return None,
            17 if draw.percent(20) => draw.bits() & self.word_mask(),
            _ => sound.0 ^ (1 << (8 + draw.below(2))),
        })
    }

    fn add_space(&mut self, draw: &mut Draw, vm: Option<usize>, asid: u16) {
        let switches = self.switches;
        let levels = match self.wanted {
            Some(mode) if mode.virt == vm.is_some() && draw.percent(85) => {
                self.able_levels(mode.guest.into(), Stage::Guest)
            }
            _ => self.draw_levels(draw, Stage::Guest),
        };
        let mut tables = (levels > 0).then(|| {
            let root = self.guest_frame(draw, vm);
            self.new_tables(Stage::Guest, levels, root)
        });
        // Regions that share the upper tables.
        let width = match levels {
            0 => match vm.and_then(|vm| self.vms[vm].host.as_ref()) {
                Some(host) => self.width(Stage::Host, host.levels),
                None => self.geometry.hpa_width,
            },
            levels => self.width(Stage::Guest, levels),
        };
        let width = width.min(self.geometry.gva_width);
        let regions: Vec<u64> = (0..1 + draw.below(2))
            .map(|_| draw.below(1 << (width - 21)) << 21)
            .collect();
        let mut pages = Vec::new();
        for _ in 0..4 + draw.below(8) {
            let near = draw.below(1 << 21) & !0xFFF;
            let mut from = draw.of(&regions) + near;
            if draw.percent(20) {
                from = draw.below(1 << (width - PAGE)) << PAGE;
            }
            pages.extend(self.add_page(draw, vm, tables.as_mut(), from, width));
            // The neighbours of the page: if the guest's page is large, the host's pages may be
            // pieces of it, and the other way round.
            while draw.percent(weights::NEIGHBOUR) {
                let piece = from ^ 1 << (u64::from(PAGE) + draw.below(9));
                pages.extend(self.add_page(draw, vm, tables.as_mut(), piece, width));
            }
        }
        let host = vm.and_then(|vm| self.vms[vm].host.as_ref());
        let stage = |levels: u32, on: usize| StageControl {
            levels: levels as u8,
            root: 0u64,
            mxr: false,
            adue: switches.adue[on],
            pbmte: switches.pbmte[on] && self.format == Format::Rv64,
        };
        let guest = stage(levels, 0);
        let host_stage = stage(host.map_or(0, |host| host.levels), 1);
        let root = tables.as_ref().map_or(0, |tables| tables.root);
        let base = Context {
            virt: vm.is_some(),
            guest: guest.with_root(Gpa(root)),
            host: host_stage.with_root(Hpa(host.map_or(0, |host| host.root))),
            user: false,
            sum: false,
            napot: switches.napot && self.format == Format::Rv64,
            rights: false,
            asid,
            vmid: vm.map_or(0, |vm| self.vms[vm].vmid),
        };
        // The same address space in several modes.
        for _ in 0..2 + draw.below(3) {
            let context = self.vary(draw, base);
            self.add_context(context, &pages);
        }
        while draw.percent(weights::TWIN) {
            self.add_twin(draw);
        }
    }

    fn add_context(&mut self, mut context: Context, pages: &[Wanted]) -> usize {
        self.restrict(&mut context);
        let number = self.contexts.len();
        self.contexts.push(NamedContext {
            name: format!("c{number}"),
            context,
        });
        self.pages.push(pages.to_vec());
        number
    }

    /// Takes from a context what a foreign device does not have.
    fn restrict(&self, context: &mut Context) {
        if let Some(device) = self.device {
            abilities::restrict_context(context, device);
        }
    }

    /// A context that differs in one field only from one of those that there are.
    fn add_twin(&mut self, draw: &mut Draw) {
        let fields: Vec<_> = TwinField::ALL
            .into_iter()
            .filter(|&field| field != TwinField::Field(ContextField::RightsMode))
            .collect();
        let field = *draw.of(&fields);
        self.add_twin_in(draw, field);
    }

    /// Adds a context that differs in this field only.
    pub fn add_twin_in(&mut self, draw: &mut Draw, field: TwinField) {
        let of = draw.below(self.contexts.len() as u64) as usize;
        let mut context = self.contexts[of].context;
        self.change(draw, &mut context, field);
        self.restrict(&mut context);
        if context == self.contexts[of].context || !self.machine.serves(&context) {
            return;
        }
        let pages = self.pages[of].clone();
        let twin = self.add_context(context, &pages);
        self.twins.push((of, twin, field));
    }

    /// Changes one field of a context. If there is no other value, the context stays as it is.
    fn change(&self, draw: &mut Draw, context: &mut Context, field: TwinField) {
        let is64 = self.format == Format::Rv64;
        let root_of = |draw: &mut Draw| {
            self.contexts[draw.below(self.contexts.len() as u64) as usize].context
        };
        let field = match field {
            TwinField::Field(field) => field,
            TwinField::GuestRootBits => return context.guest.root.0 ^= 1 << draw.below(12),
            TwinField::HostRootBits => return context.host.root.0 ^= 1 << draw.below(14),
        };
        match field {
            // Outside virtual machines there is no host stage.
            ContextField::Virt => context.virt ^= context.host.levels == 0,
            ContextField::GuestMode if context.guest.levels > 0 => {
                context.guest.levels = self.draw_levels(draw, Stage::Guest) as u8;
            }
            ContextField::HostMode if context.host.levels > 0 => {
                context.host.levels = self.draw_levels(draw, Stage::Host) as u8;
            }
            ContextField::GuestMode | ContextField::HostMode => {}
            ContextField::GuestRoot => {
                let page = self.geometry.table_bytes() - 1;
                let root = root_of(draw).guest.root.0 & !page;
                context.guest.root.0 = root | context.guest.root.0 & page;
            }
            ContextField::HostRoot if context.virt => {
                let page = (self.geometry.table_bytes() << self.geometry.host_root_extra) - 1;
                let root = root_of(draw).host.root.0 & !page;
                context.host.root.0 = root | context.host.root.0 & page;
            }
            ContextField::HostRoot => {}
            ContextField::Asid => context.asid ^= 1 << draw.below(self.format.asid_width().into()),
            ContextField::Vmid => context.vmid ^= 1 << draw.below(self.format.vmid_width().into()),
            ContextField::User => context.user ^= true,
            ContextField::Sum => context.sum ^= true,
            ContextField::GuestMxr => context.guest.mxr ^= true,
            ContextField::HostMxr => context.host.mxr ^= true,
            ContextField::GuestAdue => context.guest.adue ^= true,
            ContextField::HostAdue => context.host.adue ^= true,
            ContextField::GuestPbmte => context.guest.pbmte ^= is64,
            ContextField::HostPbmte => context.host.pbmte ^= is64,
            ContextField::Napot => context.napot ^= is64,
            // RISC-V has no rights mode.
            ContextField::RightsMode => {}
        }
    }

    /// The fields of a context that the device uses.
    pub fn heeded(&self, number: usize) -> Context {
        self.machine.heeded(&self.contexts[number].context)
    }

    /// The walk caches, of these, that the device has.
    pub fn walk_caches_there(&self, caches: WalkCaches) -> WalkCaches {
        self.machine.walk_caches_there(caches)
    }

    /// Returns true if the device has a walk cache.
    pub fn has_walk_caches(&self) -> bool {
        self.machine.walk_cache_entries.any()
    }

    /// Sets of the second-level TLB, if there is one.
    pub fn second_sets(&self) -> Option<u64> {
        self.machine.tlb2.map(|size| u64::from(size.sets))
    }

    fn vary(&self, draw: &mut Draw, base: Context) -> Context {
        let mut context = base;
        context.user = draw.percent(50);
        context.sum = draw.percent(50);
        context.host.mxr = draw.percent(30);
        // HS-level MXR acts on both stages.
        context.guest.mxr = context.host.mxr || draw.percent(30);
        if !context.virt {
            context.host = StageControl {
                mxr: context.host.mxr,
                ..StageControl::default()
            };
        }
        let svadu = self.machine.svadu;
        // Without Svadu it must be ignored.
        let ignored = if svadu { 20 } else { weights::IGNORED };
        if draw.percent(ignored) {
            context.guest.adue = !context.guest.adue;
        }
        if draw.percent(ignored) && context.virt {
            context.host.adue = !context.host.adue;
        }
        // The same tables under another tag: TLB entries of one must not serve the other.
        if draw.percent(weights::OTHER_TAG) {
            context.asid ^= 1 << draw.below(self.format.asid_width().into());
        }
        // (Outside virtual machines hgatp keeps its VMID, which must mean nothing there.)
        if draw.percent(weights::OTHER_TAG) {
            context.vmid ^= 1 << draw.below(self.format.vmid_width().into());
        }
        if draw.percent(weights::ODD_MODE) && context.guest.levels > 0 {
            context.guest.levels = self.draw_levels(draw, Stage::Guest) as u8;
        }
        if draw.percent(weights::ODD_MODE) && context.host.levels > 0 {
            context.host.levels = self.draw_levels(draw, Stage::Host) as u8;
        }
        if draw.percent(weights::ODD_MODE) && self.format == Format::Rv64 {
            context.guest.pbmte = !context.guest.pbmte;
        }
        if draw.percent(weights::ODD_ROOT) && context.guest.levels > 0 {
            // Past the host's width, or in some page of no table.
            let bits = self.geometry.hpa_width - PAGE;
            context.guest.root.0 ^= 1 << (u64::from(PAGE) + draw.below(bits.into()));
        }
        if draw.percent(weights::IGNORED) {
            context.guest.root.0 |= draw.below(self.geometry.table_bytes());
        }
        if draw.percent(weights::IGNORED) {
            let bytes = self.geometry.table_bytes() << self.geometry.host_root_extra;
            context.host.root.0 |= draw.below(bytes);
        }
        context
    }

    fn add_page(
        &mut self,
        draw: &mut Draw,
        vm: Option<usize>,
        tables: Option<&mut Tables>,
        mut from: u64,
        width: u32,
    ) -> Option<Wanted> {
        let mut user = true;
        let (gpa, translated) = match tables {
            None => (from, false),
            Some(tables) => {
                let size = self.draw_size(draw, tables.levels);
                // A page larger than the reach of the host stage: the part of it that the stage can
                // translate.
                let reach = vm.and_then(|vm| {
                    let host = self.vms[vm].host.as_ref()?;
                    Some(self.width(Stage::Host, host.levels))
                });
                if let Some(reach) = reach.filter(|&reach| reach < size)
                    && draw.percent(70)
                {
                    from &= !((1 << size) - (1 << reach));
                }
                let to = match vm {
                    None => self.draw_hpa(draw, size),
                    Some(vm) => {
                        let region = *draw.of(&self.vms[vm].regions);
                        let near = draw.below(1 << 24);
                        (region + near) >> size << size
                    }
                };
                let flags = Flags::guest(draw);
                let leaf = self.map(draw, vm, tables, from, size, to, flags)?;
                user = leaf
                    .word
                    .is_some_and(|word| self.entries[word].sound.user());
                (leaf.to + (from - leaf.from), true)
            }
        };
        // The page may be past the host's width, for a guest's fault.
        if let Some(vm) = vm
            && let Some(host) = &self.vms[vm].host
            && fits(gpa, self.width(Stage::Host, host.levels))
        {
            self.map_gpa(draw, vm, gpa);
        }
        // Canonical: the bits above are those of the sign, where a table translates the address.
        let is_high = translated && width < self.geometry.gva_width && from >> (width - 1) & 1 != 0;
        let sign = if is_high { u64::MAX << width } else { 0 };
        Some(Wanted {
            gva: Gva(from | sign),
            user,
        })
    }

    /// Returns true if two contexts walk the same tables, in any modes and under any tags.
    pub fn same_roots(&self, one: usize, other: usize) -> bool {
        let roots = |number: usize| {
            let context = self.heeded(number);
            (context.virt, context.guest.root, context.host.root)
        };
        roots(one) == roots(other)
    }

    /// Returns true if two contexts walk the same tables in the same modes, under any tags.
    pub fn same_tables(&self, one: usize, other: usize) -> bool {
        let tables = |number: usize| {
            let context = self.heeded(number);
            let (guest, host) = (context.guest, context.host);
            (
                context.virt,
                guest.levels,
                guest.root,
                host.levels,
                host.root,
            )
        };
        tables(one) == tables(other)
    }
}

/// The bits of a leaf.
#[derive(Clone, Copy)]
struct Flags {
    rights: Rights,
    user: bool,
    global: bool,
    accessed: bool,
    dirty: bool,
}

const NO_RIGHTS: Rights = Rights {
    read: false,
    write: false,
    execute: false,
};

impl Flags {
    fn guest(draw: &mut Draw) -> Self {
        Self {
            rights: if draw.percent(75) {
                Rights::ALL
            } else {
                draw_rights(draw)
            },
            user: draw.percent(50),
            global: draw.percent(weights::GLOBAL_LEAF),
            accessed: !draw.percent(weights::NOT_ACCESSED),
            dirty: !draw.percent(weights::NOT_DIRTY),
        }
    }

    fn host(draw: &mut Draw) -> Self {
        Self {
            rights: if draw.percent(90) {
                Rights::ALL
            } else {
                draw_rights(draw)
            },
            user: true,
            // Reserved for software in this stage: it must mean nothing.
            global: draw.percent(20),
            accessed: !draw.percent(weights::NOT_ACCESSED),
            dirty: !draw.percent(weights::NOT_DIRTY),
        }
    }
}
