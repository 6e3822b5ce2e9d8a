// SPDX-License-Identifier: Apache-2.0
//! The properties of the RISC-V formats that the shrinker needs.

use std::collections::BTreeMap;

use super::formats::{Change, PlainWord, ShrinkFormat, Target};
use super::tables::{guest_off, host_off, sign_extend};
use crate::addr::{Gpa, Gva, Hpa};
use crate::format::Format;
use crate::format::riscv::{Entry, NAPOT_PAGE_SIZE};
use crate::golden::Meaning;
use crate::mmu::Rights;
use crate::report::golden_accesses;
use crate::scenario::{Op, Scenario};

/// The lowest address for pages.
const LOWEST_PAGE: u64 = 0x4000;
/// log2 of the alignment in bytes of a root of the host stage.
const ROOT_SIZE: u32 = 14;

/// The RISC-V formats.
pub(super) struct Riscv;

impl ShrinkFormat for Riscv {
    fn target(&self, format: Format, level: u32, word: u64) -> Option<Target> {
        let geometry = format.geometry();
        let entry = Entry(word);
        if !entry.valid() {
            return None;
        }
        // The low bits of the page number of a NAPOT page encode its size.
        let is_napot = entry.napot();
        let encoding = if is_napot { 0xFFFF } else { 0 };
        Some(Target {
            address: entry.address() & !encoding,
            size: Some(match (entry.is_pointer(), is_napot) {
                (true, _) => geometry.offset_width,
                (false, true) => NAPOT_PAGE_SIZE,
                (false, false) => geometry.page_size(level),
            }),
            fixed: if is_napot { 0xF } else { 0 },
        })
    }

    fn with_address(&self, word: u64, old: u64, new: u64) -> u64 {
        let entry = Entry(word);
        let encoding = entry.address() ^ old;
        entry.with_address(new | encoding).0
    }

    fn root_size(&self) -> Option<u32> {
        Some(ROOT_SIZE)
    }

    fn lowest_page(&self) -> Option<u64> {
        Some(LOWEST_PAGE)
    }

    fn stages_off(&self) -> &'static [Change] {
        &[guest_off, host_off]
    }

    fn fewer_levels(&self) -> &'static [Change] {
        &[fewer_guest_levels, fewer_host_levels]
    }

    fn plain_words(&self) -> &'static [PlainWord] {
        const OF_LEAF: fn(u64, fn(Entry) -> Entry) -> u64 = |word, change| {
            let entry = Entry(word);
            match entry.valid() && !entry.is_pointer() {
                true => change(entry).0,
                false => word,
            }
        };
        &[
            |word, _| Entry(word).with_rsw(0).0,
            |word, _| Entry(word).with_global(false).0,
            |word, _| OF_LEAF(word, |e| e.with_pbmt(0)),
            |word, _| OF_LEAF(word, |e| e.with_accessed(true).with_dirty(true)),
            |word, _| OF_LEAF(word, |e| e.with_rights(Rights::ALL)),
            // The other bits of an entry that is not valid are ignored.
            |word, _| if Entry(word).valid() { word } else { 0 },
        ]
    }
}

/// Returns the next mode with fewer levels; none if there is none.
fn next_fewer(format: Format, levels: u8) -> Option<u8> {
    let fewer = format
        .level_choices()
        .iter()
        .filter(|&&n| 0 < n && n < levels);
    fewer.max().copied()
}

/// Removes the root level of the guest stages with the most levels: they begin at the table below.
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

/// Removes the root level of the host stages with the most levels. The first four tables below the
/// root become the new root table.
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
    let mut next = ((words.last()?.0.0 >> ROOT_SIZE) + 1) << ROOT_SIZE;
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
            next += 1 << ROOT_SIZE;
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
