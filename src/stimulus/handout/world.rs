// SPDX-License-Identifier: Apache-2.0
//! The tables of a random scenario: some virtual machines, some guests in each, and contexts that
//! use them.

use super::super::{Draw, Profile, weights};
use crate::addr::{Gpa, Gva, Hpa};
use crate::format::Geometry;
use crate::format::handout::{leaf, pointer};
use crate::golden;
use crate::memory::HostMemory;
use crate::mmu::{Access, Context, Query, Rights};
use crate::scenario::NamedContext;

/// A table word, for edits.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub at: Hpa,
    kind: Kind,
    /// The virtual machine.
    vm: usize,
}

#[derive(Clone, Copy)]
enum Kind {
    HostPointer,
    HostLeaf,
    GuestPointer,
    GuestLeaf,
}

pub(super) struct World {
    pub memory: HostMemory,
    pub contexts: Vec<NamedContext>,
    pub vm_of_context: Vec<usize>,
    /// Page numbers that each context's tables lead somewhere.
    pub gva_pages: Vec<Vec<u64>>,
    /// Page numbers that each virtual machine's host table leads somewhere.
    pub gpa_pages: Vec<Vec<u64>>,
    pub entries: Vec<Entry>,
    /// Contexts that differ in one field only.
    pub twins: Vec<(usize, usize)>,
    /// Host leaf tables, to point elsewhere.
    host_tables: Vec<u64>,
    /// Guest leaf tables of each virtual machine.
    guest_tables: Vec<Vec<u64>>,
}

impl World {
    pub fn new(profile: Profile, draw: &mut Draw) -> Self {
        let mut world = World {
            memory: HostMemory::new(profile.format),
            contexts: Vec::new(),
            vm_of_context: Vec::new(),
            gva_pages: Vec::new(),
            gpa_pages: Vec::new(),
            entries: Vec::new(),
            twins: Vec::new(),
            host_tables: Vec::new(),
            guest_tables: Vec::new(),
        };
        let vms = 1 + draw.below(3) as usize;
        let mut guests = Vec::new();
        let mut roots = Vec::new();
        for vm in 0..vms {
            roots.push(world.add_host_table(profile, draw, vm));
            world.guest_tables.push(Vec::new());
            for _ in 0..1 + draw.below(2) {
                let (root, pages) = world.add_guest_table(profile, draw, vm, roots[vm]);
                guests.push((vm, root, pages));
            }
        }

        // Few tags, so that contexts meet in them.
        let asids = [0, 1, draw.below(1 << 16) as u16, 0xFFFF];
        let vmids = [0, 1, draw.below(1 << 14) as u16, 0x3FFF];
        for number in 0..2 + draw.below(6) {
            let (vm, guest_root, pages) = if draw.percent(80) {
                let (vm, root, pages) = draw.of(&guests);
                (*vm, Some(*root), pages.clone())
            } else {
                let vm = draw.below(vms as u64) as usize;
                (vm, None, world.gpa_pages[vm].clone())
            };
            world.contexts.push(NamedContext {
                name: format!("c{number}"),
                context: Context {
                    rights: profile.rights && draw.percent(85),
                    asid: *draw.of(&asids),
                    vmid: *draw.of(&vmids),
                    ..Context::handout(guest_root, roots[vm])
                },
            });
            world.vm_of_context.push(vm);
            world.gva_pages.push(pages);
        }
        while draw.percent(weights::TWIN) {
            world.add_twin(profile, draw);
        }
        world
    }

    /// A context that differs in one field only from one of those that there are.
    fn add_twin(&mut self, profile: Profile, draw: &mut Draw) {
        let of = draw.below(self.contexts.len() as u64) as usize;
        let other = *draw.of(&self.contexts.iter().map(|c| c.context).collect::<Vec<_>>());
        let mut context = self.contexts[of].context;
        match draw.below(6) {
            0 => context.asid ^= 1 << draw.below(16),
            1 => context.vmid ^= 1 << draw.below(14),
            2 => context.rights ^= profile.rights,
            // A guest stage that is off has root 0. If it is turned on with that root, the twins
            // differ in the mode alone.
            3 if context.guest.levels == 0 => {
                context.guest = Context::handout(Some(Gpa(0)), context.host.root).guest;
            }
            3 => context.guest = Context::handout(None, context.host.root).guest,
            4 if other.guest.levels > 0 && context.guest.levels > 0 => {
                context.guest.root = other.guest.root;
            }
            _ => context.host.root = other.host.root,
        }
        if context == self.contexts[of].context {
            return;
        }
        let twin = self.contexts.len();
        self.twins.push((of, twin));
        self.contexts.push(NamedContext {
            name: format!("c{twin}"),
            context,
        });
        self.vm_of_context.push(self.vm_of_context[of]);
        self.gva_pages.push(self.gva_pages[of].clone());
    }

    /// A new word for an entry: mostly one that leads somewhere.
    pub fn draw_edit(&self, profile: Profile, draw: &mut Draw, entry: &Entry) -> Option<u64> {
        let geometry = profile.format.geometry();
        let word = match entry.kind {
            Kind::HostPointer => pointer(*draw.of(&self.host_tables)),
            Kind::GuestPointer => pointer(*draw.of(&self.guest_tables[entry.vm])),
            Kind::HostLeaf => {
                let frames = 1 << (geometry.hpa_width - geometry.offset_width);
                let page = draw.below(frames) << geometry.offset_width;
                draw_leaf(profile, draw, page)
            }
            Kind::GuestLeaf => {
                let page = self.draw_gpa_page(draw, entry.vm, &geometry);
                draw_leaf(profile, draw, page)
            }
        };
        spoil(profile, draw, entry, word)
    }

    /// The address of a gPA page, mostly one that the host's table leads somewhere.
    fn draw_gpa_page(&self, draw: &mut Draw, vm: usize, geometry: &Geometry) -> u64 {
        let pages = &self.gpa_pages[vm];
        let page = if pages.is_empty() || draw.percent(weights::WILD) {
            draw.below(1 << (geometry.gpa_width - geometry.offset_width))
        } else {
            *draw.of(pages)
        };
        page << geometry.offset_width
    }

    /// Lays out a leaf.
    fn put_leaf(&mut self, profile: Profile, draw: &mut Draw, entry: Entry) {
        if let Some(word) = self.draw_edit(profile, draw, &entry) {
            self.memory.write(entry.at, word);
        }
        self.entries.push(entry);
    }

    /// Lays out a pointer to a table.
    fn put_pointer(&mut self, profile: Profile, draw: &mut Draw, entry: Entry, table: u64) {
        if let Some(word) = spoil(profile, draw, &entry, pointer(table)) {
            self.memory.write(entry.at, word);
        }
        self.entries.push(entry);
    }

    /// Adds a host table, and returns its root. Its leaf tables are spread over memory, and may be
    /// shared with others.
    fn add_host_table(&mut self, profile: Profile, draw: &mut Draw, vm: usize) -> Hpa {
        let geometry = profile.format.geometry();
        let root = draw_base(draw, &geometry, geometry.hpa_width);
        let mut pages = Vec::new();
        for upper in draw_indexes(draw, &geometry) {
            let table = draw_base(draw, &geometry, geometry.hpa_width);
            self.host_tables.push(table);
            let at = root + upper * geometry.pte_bytes();
            if let Some(at) = word_address(at, geometry.hpa_width) {
                let kind = Kind::HostPointer;
                self.put_pointer(profile, draw, Entry { at, kind, vm }, table);
            }
            for lower in draw_indexes(draw, &geometry) {
                pages.push((upper << geometry.index_width) + lower);
                let at = table + lower * geometry.pte_bytes();
                if let Some(at) = word_address(at, geometry.hpa_width) {
                    let kind = Kind::HostLeaf;
                    self.put_leaf(profile, draw, Entry { at, kind, vm });
                }
            }
        }
        self.gpa_pages.push(pages);
        Hpa(root)
    }

    /// Adds a guest table in the guest physical memory of a virtual machine. Returns its root, and
    /// the pages that it maps.
    fn add_guest_table(
        &mut self,
        profile: Profile,
        draw: &mut Draw,
        vm: usize,
        host_root: Hpa,
    ) -> (Gpa, Vec<u64>) {
        let geometry = profile.format.geometry();
        let root = self.draw_guest_base(draw, vm, &geometry);
        let mut pages = Vec::new();
        for upper in draw_indexes(draw, &geometry) {
            let table = self.draw_guest_base(draw, vm, &geometry);
            self.guest_tables[vm].push(table);
            let at = Gpa(root + upper * geometry.pte_bytes());
            if let Some(at) = self.guest_word(profile, at, host_root) {
                let kind = Kind::GuestPointer;
                self.put_pointer(profile, draw, Entry { at, kind, vm }, table);
            }
            for lower in draw_indexes(draw, &geometry) {
                pages.push((upper << geometry.index_width) + lower);
                let at = Gpa(table + lower * geometry.pte_bytes());
                if let Some(at) = self.guest_word(profile, at, host_root) {
                    let kind = Kind::GuestLeaf;
                    self.put_leaf(profile, draw, Entry { at, kind, vm });
                }
            }
        }
        (Gpa(root), pages)
    }

    fn draw_guest_base(&self, draw: &mut Draw, vm: usize, geometry: &Geometry) -> u64 {
        let base = draw_base(draw, geometry, geometry.gpa_width);
        if !crate::format::fits(base + geometry.table_bytes(), geometry.gpa_width) {
            return base;
        }
        if draw.percent(weights::STRADDLE) {
            // A place that the host table maps for both pages, if there is one.
            let pages = &self.gpa_pages[vm];
            let first = match pages
                .windows(2)
                .filter(|w| w[0] + 1 == w[1])
                .nth(draw.below(3) as usize)
            {
                Some(pair) => pair[0] << geometry.offset_width,
                None => self.draw_gpa_page(draw, vm, geometry),
            };
            let entries = 1 + draw.below(geometry.table_entries() - 1);
            return first + geometry.page_bytes() - entries * geometry.pte_bytes();
        }
        self.draw_gpa_page(draw, vm, geometry) + geometry.offset(base)
    }

    /// The hPA of a guest word, if the host table maps it.
    fn guest_word(&self, profile: Profile, at: Gpa, host_root: Hpa) -> Option<Hpa> {
        let geometry = profile.format.geometry();
        word_address(at.0, geometry.gpa_width)?;
        let query = Query {
            context: Context::handout(None, host_root),
            gva: Gva(at.0),
            access: Access::Load,
        };
        let found = golden::walk(
            profile.format,
            &query,
            &mut golden::Overlay::new(&self.memory),
            &mut (),
        );
        found.ok().map(|mapping| mapping.hpa)
    }
}

/// Now and then, a word that is a fault of some class in place of the right one; none is a hole.
fn spoil(profile: Profile, draw: &mut Draw, entry: &Entry, word: u64) -> Option<u64> {
    let geometry = profile.format.geometry();
    let width = match entry.kind {
        Kind::HostPointer | Kind::HostLeaf => geometry.hpa_width,
        Kind::GuestPointer | Kind::GuestLeaf => geometry.gpa_width,
    };
    if draw.per_mille(weights::HOLE) {
        None
    } else if draw.per_mille(weights::ANY_WORD) {
        Some(draw.word())
    } else if width < 32 && draw.per_mille(weights::RESERVED) {
        Some(word | 1 << (u64::from(width) + draw.below(u64::from(32 - width))))
    } else {
        Some(word)
    }
}

fn word_address(at: u64, width: u32) -> Option<Hpa> {
    (at.is_multiple_of(4) && crate::format::fits(at, width)).then_some(Hpa(at))
}

/// Draws the base of a table: aligned to its size or only to a word, seldom not even to a word,
/// seldom at the end of the width.
fn draw_base(draw: &mut Draw, geometry: &Geometry, width: u32) -> u64 {
    if draw.per_mille(weights::BASE_HIGH) {
        let entries = 1 + draw.below(geometry.table_entries());
        return (1u64 << width) - entries * geometry.pte_bytes();
    }
    let size = geometry.table_bytes();
    let mut base = draw.below((1u64 << width) / size - 1) * size;
    if draw.percent(weights::BASE_UNALIGNED) {
        base += draw.below(geometry.table_entries()) * geometry.pte_bytes();
    }
    if draw.per_mille(weights::BASE_MISALIGNED) {
        base += 1 + draw.below(3);
    }
    base
}

/// Some indexes into a table, all where there are few.
fn draw_indexes(draw: &mut Draw, geometry: &Geometry) -> Vec<u64> {
    let entries = geometry.table_entries();
    if entries <= 4 {
        return (0..entries).collect();
    }
    let mut indexes: Vec<u64> = (0..2 + draw.below(3))
        .map(|_| draw.below(entries))
        .collect();
    // Neighbours, for tables that straddle two pages.
    for index in indexes.clone() {
        if index + 1 < entries && draw.percent(60) {
            indexes.push(index + 1);
        }
    }
    // The ends of a table, where an addition carries furthest.
    if draw.percent(30) {
        indexes.push(entries - 1);
    }
    indexes.sort_unstable();
    indexes.dedup();
    indexes
}

fn draw_leaf(profile: Profile, draw: &mut Draw, page: u64) -> u64 {
    let geometry = profile.format.geometry();
    let mut right = || !draw.percent(weights::NOT_PERMITTED);
    let rights = Rights {
        read: right(),
        write: right(),
        execute: right(),
    };
    let mut word = leaf(page, rights);
    if draw.percent(weights::INVALID) {
        word &= !1;
    }
    // Status bits that mean nothing.
    word | (draw.word() & ((1 << geometry.offset_width) - 1) & !0xF)
}
