// SPDX-License-Identifier: Apache-2.0
//! Changes of tables: stages off, fewer levels, low addresses.
//!
//! The golden walks of all accesses show what each word is read for. A change renames addresses in
//! all places: in words, by the role of each; in the addresses of words; in roots, accesses and
//! fences. A run shows whether the renaming was right.

use std::collections::{BTreeMap, BTreeSet};

use super::Shrinker;
use super::formats::{self, ShrinkFormat};
use crate::addr::{Gpa, Gva, Hpa};
use crate::format::{Format, Geometry};
use crate::memory::HostMemory;
use crate::mmu::{Context, Position, Purpose, Stage};
use crate::report::golden_accesses;
use crate::scenario::{Op, Scenario};

/// log2 of the size in bytes of the largest block that is placed among the small ones.
const SMALL: u32 = 14;

impl Shrinker<'_> {
    /// Switches off the stages, one after the other, removes levels, and lowers addresses.
    pub(super) fn simplify_tables(&mut self) {
        let rules = formats::of(self.scenario.machine.format);
        self.lower_addresses();
        self.switch_off(rules);
        if !rules.fewer_levels().is_empty() {
            let mut changed = true;
            while changed && self.budget > 0 {
                changed = false;
                for change in rules.fewer_levels() {
                    let candidate = change(&self.scenario);
                    changed |= candidate.is_some_and(|candidate| self.try_it(candidate));
                }
                if changed {
                    self.drop_words();
                }
            }
            self.lower_addresses();
        }
    }

    fn lower_addresses(&mut self) {
        for zero_stays in [false, true] {
            let candidate = Renaming::new(&self.scenario, zero_stays).apply(&self.scenario);
            if let Some(candidate) = candidate
                && (self.try_it(candidate) || self.budget == 0)
            {
                return;
            }
        }
    }

    fn switch_off(&mut self, rules: &dyn ShrinkFormat) {
        for change in rules.stages_off() {
            if let Some(candidate) = change(&self.scenario)
                && self.try_it(candidate)
            {
                self.drop_words();
            }
        }
        if !self.scenario.machine.format.has_native_contexts() {
            return;
        }
        self.attempt(|s| {
            for named in &mut s.contexts {
                let context = &mut named.context;
                if context.host.levels == 0 {
                    context.virt = false;
                    context.vmid = 0;
                    context.host = Default::default();
                }
            }
            for op in &mut s.ops {
                if let Op::Fence(fence) = op {
                    fence.virt = false;
                    fence.vmid = None;
                    fence.gpa = None;
                }
            }
        });
    }
}

/// The role of a word: the table entry for which a golden walk reads it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Role {
    stage: Stage,
    level: u32,
    /// The base of its table: a gPA for a guest table, an hPA for a host table.
    base: u64,
    index: u64,
    /// A guest entry that contains hPAs, because the host stage is off.
    native: bool,
}

/// Returns the roles of all words that golden walks read. If a word has two roles, the first
/// counts.
fn roles(scenario: &Scenario) -> BTreeMap<Hpa, Role> {
    let mut roles = BTreeMap::new();
    for access in golden_accesses(scenario) {
        for step in &access.steps {
            if let Some(hpa) = step.hpa {
                roles.entry(hpa).or_insert(Role {
                    stage: step.at.stage(),
                    level: step.at.level(),
                    base: step.base,
                    index: step.index,
                    native: access.query.context.host.levels == 0,
                });
            }
        }
    }
    roles
}

/// A page or a table of host memory, with its new address.
#[derive(Clone, Copy)]
struct Block {
    at: u64,
    /// log2 of its size in bytes.
    size: u32,
    new: u64,
}

/// New addresses for all addresses. In gVAs and gPAs, the indices in use at a level become 0, 1, 2
/// and so on. Both kinds of address have the same new indices, because a superpage keeps the
/// indices below it. In host memory, pages move to the lowest free address.
pub(super) struct Renaming {
    format: Format,
    rules: &'static dyn ShrinkFormat,
    geometry: Geometry,
    /// The new index of each index, by level.
    indices: Vec<BTreeMap<u64, u64>>,
    /// The low bits of an index of level 0 that do not change, because a page is larger than its
    /// level.
    fixed: u64,
    blocks: Vec<Block>,
    /// Host tables that may begin at any address, with their new addresses.
    tables: BTreeMap<u64, u64>,
    roles: BTreeMap<Hpa, Role>,
}

impl Renaming {
    pub fn new(scenario: &Scenario, zero_stays: bool) -> Self {
        let format = scenario.machine.format;
        let geometry = format.geometry();
        let rules = formats::of(format);
        let roles = roles(scenario);
        let mut pages: Vec<(u64, u32)> = Vec::new();
        let mut tables: BTreeSet<u64> = BTreeSet::new();
        let mut guests: Vec<u64> = Vec::new();
        // A guest table crosses a page boundary: then its entries keep their offsets.
        let mut straddles = false;
        let page_shift = geometry.offset_width;

        for named in &scenario.contexts {
            let Context { guest, host, .. } = named.context;
            if host.levels > 0 {
                match rules.root_size() {
                    Some(size) => pages.push((host.root.0, size)),
                    None => _ = tables.insert(host.root.0),
                }
                guests.extend((guest.levels > 0).then_some(guest.root.0));
            } else if guest.levels > 0 {
                pages.push((guest.root.0, page_shift));
            }
        }
        let mut fixed = 0;
        let words = scenario.memory.words().into_iter();
        let edits = scenario.ops.iter().filter_map(|op| match op {
            Op::Write { at, word } => Some((*at, (*word)?)),
            _ => None,
        });
        for (at, word) in words.chain(edits) {
            let Some(role) = roles.get(&at) else { continue };
            straddles |= role.stage == Stage::Guest
                && geometry.offset(role.base) + geometry.table_bytes() > geometry.page_bytes();
            let Some(target) = rules.target(format, role.level, word) else {
                continue;
            };
            fixed |= target.fixed;
            if role.stage == Stage::Guest && !role.native {
                guests.push(target.address);
            } else {
                match target.size {
                    Some(size) => pages.push((target.address, size)),
                    None => _ = tables.insert(target.address),
                }
            }
        }
        for access in golden_accesses(scenario) {
            guests.push(access.query.gva.0);
            guests.extend(access.found.ok().map(|mapping| mapping.gpa.0));
            guests.extend(access.steps.iter().filter_map(|step| match step.at {
                Position::Host { gpa, .. } => Some(gpa.0),
                Position::Guest { .. } => None,
            }));
        }
        for op in &scenario.ops {
            if let Op::Fence(fence) = op {
                guests.extend(fence.gva.map(|gva| gva.0));
                guests.extend(fence.gpa.map(|gpa| gpa.0));
            }
        }

        let indices = (0..geometry.levels)
            .map(|level| {
                let fixed = if level == 0 { fixed } else { 0 };
                let mut used: BTreeSet<u64> = guests
                    .iter()
                    .map(|&guest| geometry.index(guest, level) & !fixed)
                    .collect();
                if zero_stays {
                    used.insert(0);
                }
                used.into_iter()
                    .zip((0..).map(|n| n * (fixed + 1)))
                    .collect()
            })
            .collect();
        let mut renaming = Self {
            format,
            rules,
            geometry,
            indices,
            fixed,
            blocks: Vec::new(),
            tables: BTreeMap::new(),
            roles,
        };
        if straddles {
            renaming.indices.clear();
        }
        renaming.place(tables, pages);
        renaming
    }

    /// Gives every table and page a new address: tables first, large pages last.
    fn place(&mut self, tables: BTreeSet<u64>, pages: Vec<(u64, u32)>) {
        let bytes = self.geometry.table_bytes();
        self.tables = tables.into_iter().zip((0..).map(|n| n * bytes)).collect();
        let mut blocks: Vec<(u64, u32)> = Vec::new();
        for (at, size) in pages {
            let start = at >> size << size;
            let within = |&(other, other_size): &(u64, u32)| {
                size <= other_size && start >> other_size == other >> other_size
            };
            if !blocks.iter().any(within) {
                blocks.retain(|&(other, other_size)| {
                    !(other_size <= size && other >> size == start >> size)
                });
                blocks.push((start, size));
            }
        }
        blocks.sort_by_key(|&(_, size)| size > SMALL);
        let mut next = match self.rules.lowest_page() {
            Some(lowest) => lowest,
            None => self.tables.len() as u64 * bytes,
        };
        for (at, size) in blocks {
            let new = next.div_ceil(1 << size) << size;
            next = new + (1 << size);
            self.blocks.push(Block { at, size, new });
        }
    }

    fn index(&self, level: u32, index: u64) -> u64 {
        let fixed = if level == 0 { self.fixed } else { 0 };
        let map = self.indices.get(level as usize);
        match map.and_then(|map| map.get(&(index & !fixed))) {
            Some(&new) => new | index & fixed,
            None => index,
        }
    }

    /// Returns the new address of a gVA or a gPA.
    fn guest(&self, address: u64) -> u64 {
        let mut new = self.geometry.offset(address);
        for level in 0..self.geometry.levels {
            let shift = self.geometry.offset_width + level * self.geometry.index_width;
            new |= self.index(level, self.geometry.index(address, level)) << shift;
        }
        let top = self.geometry.offset_width + self.geometry.levels * self.geometry.index_width;
        match top {
            0..64 if address >> top != 0 => new | address >> top << top,
            _ => new,
        }
    }

    /// Returns the new address of a gVA. It stays canonical if it was.
    fn gva(&self, gva: u64, levels: u8) -> u64 {
        let width = self.geometry.offset_width + u32::from(levels) * self.geometry.index_width;
        if levels == 0 || width == self.geometry.gva_width {
            return self.guest(gva);
        }
        let low = (1 << width) - 1;
        let is_canonical = sign_extend(gva, width) == gva;
        match is_canonical {
            true => sign_extend(self.guest(gva) & low, width),
            false => self.guest(gva & low) | gva & !low,
        }
    }

    fn host(&self, address: u64) -> u64 {
        let Some(block) = self.block(address) else {
            return address;
        };
        let offset = address & ((1 << block.size) - 1);
        let is_page = block.size > self.geometry.offset_width
            && (block.size - self.geometry.offset_width).is_multiple_of(self.geometry.index_width);
        // The contents of a large page have the indices of the address that is translated to them.
        block.new
            + if is_page {
                self.guest(offset) & ((1 << block.size) - 1)
            } else {
                offset
            }
    }

    fn host_table(&self, base: u64) -> u64 {
        match self.tables.get(&base) {
            Some(&new) => new,
            None => self.host(base),
        }
    }

    fn block(&self, address: u64) -> Option<&Block> {
        self.blocks
            .iter()
            .find(|block| block.at >> block.size == address >> block.size)
    }

    fn word(&self, at: Hpa, word: u64) -> u64 {
        let Some(role) = self.roles.get(&at) else {
            return word;
        };
        let Some(old) = self.rules.target(self.format, role.level, word) else {
            return word;
        };
        let new = match (role.stage == Stage::Host || role.native, old.size) {
            (true, None) => self.host_table(old.address),
            (true, Some(_)) => self.host(old.address),
            (false, _) => self.guest(old.address),
        };
        self.rules.with_address(word, old.address, new)
    }

    /// Returns the new address of a word.
    fn location(&self, at: Hpa) -> Hpa {
        let Some(role) = self.roles.get(&at) else {
            return Hpa(self.host(at.0));
        };
        let width = self.geometry.index_width;
        let index = self.index(role.level, role.index & ((1 << width) - 1))
            | self.index(role.level + 1, role.index >> width) << width;
        let index = if role.index >> width == 0 {
            index & ((1 << width) - 1)
        } else {
            index
        };
        let bytes = self.geometry.pte_bytes();
        match role.stage {
            Stage::Host => Hpa(self.host_table(role.base) + index * bytes),
            Stage::Guest => {
                let offset = self.geometry.offset(at.0);
                let table = offset.saturating_sub(role.index * bytes);
                let offset = match self.indices.is_empty() {
                    true => offset,
                    false => table + index * bytes,
                };
                Hpa(self.host(at.0 - self.geometry.offset(at.0)) + offset)
            }
        }
    }

    /// Applies the renaming to a scenario; none if two words would have the same address.
    pub fn apply(&self, scenario: &Scenario) -> Option<Scenario> {
        if !scenario.memory.regions().is_empty() {
            // Words of one region may come to lie apart.
            return None;
        }
        let mut new = scenario.clone();
        new.memory = HostMemory::new(self.format);
        let mut taken = BTreeSet::new();
        for (at, word) in scenario.memory.words() {
            let location = self.location(at);
            if !location.0.is_multiple_of(self.geometry.pte_bytes()) || !taken.insert(location) {
                return None;
            }
            new.memory.write(location, self.word(at, word));
        }
        for named in &mut new.contexts {
            let Context { guest, host, .. } = &mut named.context;
            if guest.levels > 0 {
                guest.root = Gpa(match host.levels {
                    0 => self.host(guest.root.0),
                    _ => self.guest(guest.root.0),
                });
            }
            if host.levels > 0 {
                host.root = Hpa(self.host_table(host.root.0));
            }
        }
        for op in &mut new.ops {
            match op {
                Op::Access(access) => {
                    let levels = scenario.contexts[access.context].context.guest.levels;
                    access.gva = Gva(self.gva(access.gva.0, levels));
                }
                Op::Fence(fence) => {
                    let levels = scenario.contexts.iter().map(|c| c.context.guest.levels);
                    let levels = levels.max().unwrap_or(0);
                    fence.gva = fence.gva.map(|gva| Gva(self.gva(gva.0, levels)));
                    fence.gpa = fence.gpa.map(|gpa| Gpa(self.guest(gpa.0)));
                }
                Op::Write { at, word } => {
                    *word = word.map(|word| self.word(*at, word));
                    *at = self.location(*at);
                }
                Op::Timing(_)
                | Op::Wait(_)
                | Op::Drain
                | Op::Reset
                | Op::Hold { .. }
                | Op::WalkCaches(_) => {}
            }
        }
        Some(new)
    }
}

pub(super) fn sign_extend(address: u64, width: u32) -> u64 {
    let unused = 64 - width;
    ((address << unused) as i64 >> unused) as u64
}

/// Switches the guest stage off. Accesses use the gPAs that it translated them to.
pub(super) fn guest_off(scenario: &Scenario) -> Option<Scenario> {
    let mut new = scenario.clone();
    for access in golden_accesses(scenario) {
        if access.query.context.guest.levels == 0 {
            continue;
        }
        let gpa = match &access.found {
            Ok(mapping) => mapping.gpa,
            Err(fault) => match fault.at {
                Position::Host {
                    gpa,
                    purpose: Purpose::Data,
                    ..
                } => gpa,
                _ => return None,
            },
        };
        if let Op::Access(op) = &mut new.ops[access.op] {
            op.gva = Gva(gpa.0);
        }
    }
    for named in &mut new.contexts {
        named.context.guest = Default::default();
    }
    Some(new)
}

/// Switches the host stage off. Guest tables move to their gPAs.
pub(super) fn host_off(scenario: &Scenario) -> Option<Scenario> {
    if !scenario.memory.regions().is_empty() {
        return None;
    }
    let mut new = scenario.clone();
    let mut places: BTreeMap<Hpa, Hpa> = BTreeMap::new();
    for access in golden_accesses(scenario) {
        for step in &access.steps {
            if let (Position::Guest { .. }, Some(hpa)) = (step.at, step.hpa) {
                places.insert(hpa, Hpa(step.entry));
            }
        }
    }
    new.memory = HostMemory::new(scenario.machine.format);
    let width = scenario.machine.format.geometry().hpa_width;
    for (at, word) in scenario.memory.words() {
        let place = places.get(&at).copied().unwrap_or(at);
        if place.0 >> width != 0 {
            return None;
        }
        new.memory.write(place, word);
    }
    for op in &mut new.ops {
        if let Op::Write { at, .. } = op {
            *at = places.get(at).copied().unwrap_or(*at);
        }
    }
    for named in &mut new.contexts {
        named.context.host = Default::default();
    }
    Some(new)
}
