// SPDX-License-Identifier: Apache-2.0
//! Stages off, fewer levels, low addresses.
//!
//! What a word is for is known from the golden walks of all accesses. A change renames addresses everywhere that they stand: in words, by
//! the role of each; in the places of words; in roots, accesses and fences. Whether it was right shows when it is run.

use std::collections::{BTreeMap, BTreeSet};

use super::Shrinker;
use crate::addr::{Gpa, Gva, Hpa};
use crate::format::riscv::Entry;
use crate::format::{Format, Geometry, handout};
use crate::golden::Meaning;
use crate::memory::HostMemory;
use crate::mmu::{Context, Position, Purpose, Stage};
use crate::report::golden_accesses;
use crate::scenario::{Op, Scenario};

/// Where moved tables and pages begin.
const LOW: u64 = 0x4000;
/// log2 of the bytes that a root of the host's stage is aligned to.
const ROOT_SHIFT: u32 = 14;

impl Shrinker<'_> {
    /// Both stages, one after the other; then low addresses.
    pub(super) fn simplify_tables(&mut self) {
        let riscv = self.scenario.machine.format.is_riscv();
        self.lower_addresses();
        self.switch_off(riscv);
        if riscv {
            let mut changed = true;
            while changed && self.budget > 0 {
                changed = false;
                for change in [fewer_guest_levels, fewer_host_levels] {
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

    /// The handout's machine always has its host's stage.
    fn switch_off(&mut self, riscv: bool) {
        let changes: &[fn(&Scenario) -> Option<Scenario>] = match riscv {
            true => &[guest_off, host_off],
            false => &[guest_off],
        };
        for change in changes {
            if let Some(candidate) = change(&self.scenario)
                && self.try_it(candidate)
            {
                self.drop_words();
            }
        }
        if !riscv {
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

/// What a word is read for.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Role {
    stage: Stage,
    level: u32,
    /// Of its table: a gPA for a guest's, else an hPA.
    base: u64,
    index: u64,
    /// A guest's entry whose addresses are hPAs, for there is no host's stage.
    native: bool,
}

/// The roles of all words that golden walks read. A word with two is known by the first.
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

/// The address in an entry: of a table, or of a page.
fn address(format: Format, level: u32, word: u64) -> Option<u64> {
    if !format.is_riscv() {
        let entry = handout::Entry::new(word, format.geometry().hpa_width, &format.geometry());
        return Some(if level > 0 {
            entry.table()
        } else {
            entry.page()
        });
    }
    let entry = Entry(word);
    let encoding = if entry.napot() { 0xFFFF } else { 0 };
    entry.valid().then(|| entry.address() & !encoding)
}

/// The entry with another address.
fn with_address(format: Format, level: u32, word: u64, address: u64) -> u64 {
    let Some(old) = self::address(format, level, word) else {
        return word;
    };
    if format.is_riscv() {
        let encoding = Entry(word).address() ^ old;
        Entry(word).with_address(address | encoding).0
    } else {
        word ^ old ^ address
    }
}

/// A page, or a table, of host memory, and where it goes.
#[derive(Clone, Copy)]
struct Block {
    at: u64,
    /// log2 of its bytes.
    size: u32,
    new: u64,
}

/// New names of addresses. In gVAs and gPAs, the indices in use at a level become 0, 1, 2...: the same for both kinds, which a superpage
/// ties together. In host memory, pages go to the lowest place there is.
pub(super) struct Renaming {
    format: Format,
    geometry: Geometry,
    /// By level: what an index becomes.
    indices: Vec<BTreeMap<u64, u64>>,
    /// The low bits of an index of level 0 that stay, where a page is larger than its level says.
    fixed: u64,
    blocks: Vec<Block>,
    /// Host tables of the handout's formats, which may begin anywhere.
    tables: BTreeMap<u64, u64>,
    roles: BTreeMap<Hpa, Role>,
}

impl Renaming {
    pub fn new(scenario: &Scenario, zero_stays: bool) -> Self {
        let format = scenario.machine.format;
        let geometry = format.geometry();
        let roles = roles(scenario);
        let mut pages: Vec<(u64, u32)> = Vec::new();
        let mut tables: BTreeSet<u64> = BTreeSet::new();
        let mut guests: Vec<u64> = Vec::new();
        // A guest table in two pages: then its entries stay where they are in their pages.
        let mut straddles = false;
        let page_shift = geometry.offset_width;

        for named in &scenario.contexts {
            let Context { guest, host, .. } = named.context;
            if host.levels > 0 {
                if format.is_riscv() {
                    pages.push((host.root.0, ROOT_SHIFT));
                } else {
                    tables.insert(host.root.0);
                }
                guests.extend((guest.levels > 0).then_some(guest.root.0));
            } else if guest.levels > 0 {
                pages.push((guest.root.0, page_shift));
            }
        }
        let mut napot = false;
        let words = scenario.memory.words().into_iter();
        let edits = scenario.ops.iter().filter_map(|op| match op {
            Op::Write { at, word } => Some((*at, (*word)?)),
            _ => None,
        });
        for (at, word) in words.chain(edits) {
            let Some(role) = roles.get(&at) else { continue };
            straddles |= role.stage == Stage::Guest
                && geometry.offset(role.base) + geometry.table_bytes() > geometry.page_bytes();
            let Some(address) = address(format, role.level, word) else {
                continue;
            };
            let is_leaf = match format.is_riscv() {
                true => !Entry(word).is_pointer(),
                false => role.level == 0,
            };
            napot |= format.is_riscv() && Entry(word).napot();
            let size = match is_leaf {
                true if format.is_riscv() && Entry(word).napot() => 16,
                true => page_shift + role.level * geometry.index_width,
                false => page_shift,
            };
            if role.stage == Stage::Guest && !role.native {
                guests.push(address);
            } else if is_leaf || format.is_riscv() {
                pages.push((address, size));
            } else {
                tables.insert(address);
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

        let fixed = if napot { 0xF } else { 0 };
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

    /// Gives every table and page a place: tables first, large pages last.
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
        blocks.sort_by_key(|&(_, size)| size > ROOT_SHIFT);
        let mut next = match self.format.is_riscv() {
            true => LOW,
            false => self.tables.len() as u64 * bytes,
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

    /// Of a gVA or a gPA.
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

    /// Of a gVA, which a number of levels may want to be canonical.
    fn gva(&self, gva: u64, levels: u8) -> u64 {
        let width = self.geometry.offset_width + u32::from(levels) * self.geometry.index_width;
        if self.format != Format::Rv64 || levels == 0 {
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
        // What is in a large page has the indices of the address that it is translated from.
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
        let Some(old) = address(self.format, role.level, word) else {
            return word;
        };
        let new = match role.stage == Stage::Host || role.native {
            true if role.level > 0 && !self.format.is_riscv() => self.host_table(old),
            true => self.host(old),
            false => self.guest(old),
        };
        with_address(self.format, role.level, word, new)
    }

    /// Where a word goes.
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

    /// None where two words would come to one place.
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

fn sign_extend(address: u64, width: u32) -> u64 {
    let unused = 64 - width;
    ((address << unused) as i64 >> unused) as u64
}

/// The next mode with fewer levels, if there is one.
fn next_fewer(format: Format, levels: u8) -> Option<u8> {
    let fewer = format
        .level_choices()
        .iter()
        .filter(|&&n| 0 < n && n < levels);
    fewer.max().copied()
}

/// The guest's stages with the most levels begin at the table below the root.
fn fewer_guest_levels(scenario: &Scenario) -> Option<Scenario> {
    let format = scenario.machine.format;
    let geometry = format.geometry();
    let most = scenario
        .contexts
        .iter()
        .map(|c| c.context.guest.levels)
        .max()?;
    let fewer = next_fewer(format, most)?;
    let mut roots: BTreeMap<usize, Gpa> = BTreeMap::new();
    for access in golden_accesses(scenario) {
        let below = access.steps.iter().find_map(|step| match step.meaning {
            Meaning::GuestTable(table) if step.at.level() == u32::from(fewer) => Some(table),
            _ => None,
        });
        if let Some(below) = below {
            roots.entry(access.access.context).or_insert(below);
        }
    }
    let mut new = scenario.clone();
    let width = geometry.offset_width + u32::from(fewer) * geometry.index_width;
    for (index, named) in new.contexts.iter_mut().enumerate() {
        let guest = &mut named.context.guest;
        if guest.levels == most {
            guest.levels = fewer;
            guest.root = roots.get(&index).copied().unwrap_or(guest.root);
        }
    }
    for op in &mut new.ops {
        match op {
            Op::Access(access)
                if scenario.contexts[access.context].context.guest.levels == most =>
            {
                access.gva = Gva(sign_extend(access.gva.0, width));
            }
            Op::Fence(fence) => {
                fence.gva = fence.gva.map(|gva| Gva(sign_extend(gva.0, width)));
            }
            _ => {}
        }
    }
    Some(new)
}

/// The host's stages with the most levels begin at the tables below the root, the first four of which make the new one.
fn fewer_host_levels(scenario: &Scenario) -> Option<Scenario> {
    let format = scenario.machine.format;
    let geometry = format.geometry();
    let most = scenario
        .contexts
        .iter()
        .map(|c| c.context.host.levels)
        .max()?;
    let fewer = next_fewer(format, most)?;
    let (bytes, table_bytes) = (geometry.pte_bytes(), geometry.table_bytes());
    let words = scenario.memory.words();
    let mut next = ((words.last()?.0.0 >> ROOT_SHIFT) + 1) << ROOT_SHIFT;
    if next >> geometry.hpa_width != 0 {
        return None;
    }
    let mut new = scenario.clone();
    let mut roots: BTreeMap<Hpa, Hpa> = BTreeMap::new();
    let mut moved: BTreeMap<u64, u64> = BTreeMap::new();
    for named in &mut new.contexts {
        let host = &mut named.context.host;
        if host.levels != most {
            continue;
        }
        let root = *roots.entry(host.root).or_insert_with(|| {
            let root = Hpa(next);
            next += 1 << ROOT_SHIFT;
            for index in 0..1 << geometry.host_root_extra {
                let entry = scenario.memory.read(Hpa(host.root.0 + index * bytes));
                if let Ok(word) = entry
                    && Entry(word).valid()
                    && Entry(word).is_pointer()
                {
                    moved.insert(Entry(word).address(), root.0 + index * table_bytes);
                }
            }
            root
        });
        host.levels = fewer;
        host.root = root;
    }
    let place = |at: Hpa| {
        let new = moved.get(&(at.0 / table_bytes * table_bytes))?;
        Some(Hpa(new + at.0 % table_bytes))
    };
    for (at, word) in words {
        if let Some(place) = place(at) {
            new.memory.write(place, word);
        }
    }
    for op in &mut new.ops {
        if let Op::Write { at, .. } = op {
            *at = place(*at).unwrap_or(*at);
        }
    }
    Some(new)
}

/// No guest's stage: accesses are to the gPAs that it made.
fn guest_off(scenario: &Scenario) -> Option<Scenario> {
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

/// No host's stage: guest tables lie where the guest says.
fn host_off(scenario: &Scenario) -> Option<Scenario> {
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
