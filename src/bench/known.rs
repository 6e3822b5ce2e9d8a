// SPDX-License-Identifier: Apache-2.0
//! What walk caches may know: what walks have read of tables, until a fence names it.
//!
//! As with hits, the legal contents are those of caches without limits. RISC-V lets an implementation keep any valid entry that it
//! has read ("Supervisor Memory-Management Fence Instruction", "Hypervisor Memory-Management Fence Instructions"): a fence that
//! names a gVA or an ASID is of the guest's stage, one of a gPA of the host's.

use rustc_hash::FxHashMap;

use super::history::{History, Invalidated};
use crate::addr::{Gpa, Gva, Hpa};
use crate::dut::{Pass, WalkStep};
use crate::format::riscv::{Entry, NAPOT_PAGE_SIZE};
use crate::format::{Format, Geometry};
use crate::golden::{GuestTable, Meaning, Step};
use crate::mmu::{Fence, Position, Purpose, Query, Space};

/// Number of the fence that named it: none has.
const LIVE: u64 = u64::MAX;

/// What something is known of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Of {
    /// The guest's table of a level for a gVA.
    Guest { space: Space, level: u32 },
    /// The host's table of a level for a gPA.
    Host { space: Space, level: u32 },
    /// The page of a guest's table.
    Nested { space: Space },
}

/// An address's part that leads to it, and of what address spaces.
pub(super) type Key = (Of, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fact {
    /// The guest's table.
    gpa: Gpa,
    /// The table, or the page.
    hpa: Hpa,
    /// log2 of the bytes of the host's page that the guest's table is in.
    host_size: u32,
    global: bool,
    /// Number of the fence that named it, if one has.
    fenced: u64,
}

/// A step as the device told it, and the number of fences when the one before it was told: what led to it was looked up since.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub step: WalkStep,
    pub fences: u64,
}

/// Makes the keys of a format.
pub(super) struct Keys {
    geometry: Geometry,
}

impl Keys {
    pub fn new(format: Format) -> Self {
        Self {
            geometry: format.geometry(),
        }
    }

    /// log2 of the bytes that a table of a level is for.
    fn reach(&self, level: u32) -> u32 {
        self.geometry.offset_width + (level + 1) * self.geometry.index_width
    }

    /// Bits of the gPAs that a host's stage of so many levels maps, or that are hPAs where it is off.
    pub fn host_width(&self, levels: u32) -> u32 {
        let Geometry {
            hpa_width,
            offset_width,
            index_width,
            host_root_extra,
            ..
        } = self.geometry;
        let mapped =
            offset_width + levels.min(self.geometry.levels) * index_width + host_root_extra;
        mapped.max(hpa_width)
    }

    fn page(&self, address: u64) -> u64 {
        address >> self.geometry.offset_width
    }

    /// Of the guest's table of a level.
    pub fn guest(&self, query: &Query, level: u32) -> Key {
        let mut space = query.context.space();
        if !space.virt {
            space.vmid = 0;
        }
        (
            Of::Guest { space, level },
            prefix(query.gva.0, self.reach(level)),
        )
    }

    /// Of the host's table of a level.
    pub fn host(&self, query: &Query, gpa: Gpa, level: u32) -> Key {
        let space = host_space(query);
        (Of::Host { space, level }, prefix(gpa.0, self.reach(level)))
    }

    /// Of the page of a guest's table.
    pub fn nested(&self, query: &Query, gpa: Gpa) -> Key {
        let space = host_space(query);
        (Of::Nested { space }, self.page(gpa.0))
    }

    /// Whether an address is one of those that a key is for.
    pub fn is_for(&self, key: &Key, address: u64) -> bool {
        let (of, part) = *key;
        match of {
            Of::Guest { level, .. } | Of::Host { level, .. } => {
                prefix(address, self.reach(level)) == part
            }
            Of::Nested { .. } => self.page(address) == part,
        }
    }
}

pub(super) struct Known {
    geometry: Geometry,
    keys: Keys,
    facts: FxHashMap<Key, Vec<Fact>>,
    any_fenced: bool,
    /// What fences have invalidated, for [`Known::why_not`].
    history: History<Key, Fact>,
}

/// Why a walk cache must not have led a walk to a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WhyNot {
    /// No walk has read what an entry could hold.
    NeverRead,
    /// As far as is known: more has been invalidated than is kept.
    NotReadOfLate,
    /// A fence has invalidated all that walks have read: the last, with its number.
    Invalidated(Fence, u64),
    /// Walks have read that an entry leads elsewhere: to these tables or pages.
    Elsewhere(Vec<Hpa>),
}

impl Known {
    pub fn new(format: Format) -> Self {
        Self {
            geometry: format.geometry(),
            keys: Keys::new(format),
            facts: FxHashMap::default(),
            any_fenced: false,
            history: History::new(),
        }
    }

    fn is_known(&self, key: Key, fences: u64, is_it: impl Fn(&Fact) -> bool) -> bool {
        let facts = self.facts.get(&key);
        facts.is_some_and(|facts| facts.iter().any(|one| one.fenced > fences && is_it(one)))
    }

    /// Whether a walk cache may have led a walk for `query` to a step.
    pub fn allows(&self, query: &Query, told: &Told) -> bool {
        let step = &told.step;
        match step.pass {
            Pass::None => true,
            Pass::Guest => {
                let table = guest_table(&self.geometry, step);
                let key = self.keys.guest(query, table.level);
                self.is_known(key, told.fences, |one| {
                    (one.gpa, one.hpa, one.global) == (table.gpa, table.hpa, table.global)
                })
            }
            Pass::Host => {
                let level = u32::from(step.host_level);
                let table = table_of(&self.geometry, step.hpa);
                let key = self.keys.host(query, step.gpa, level);
                self.is_known(key, told.fences, |one| one.hpa == table)
            }
            Pass::Nested => {
                let page = table_of(&self.geometry, step.hpa);
                let key = self.keys.nested(query, step.gpa);
                self.is_known(key, told.fences, |one| one.hpa == page)
            }
        }
    }

    /// What the entry of a walk cache is kept by that has led a walk for `query` to a step.
    fn key_of(&self, query: &Query, step: &WalkStep) -> Option<Key> {
        match step.pass {
            Pass::None => None,
            Pass::Guest => Some(self.keys.guest(query, step.guest_level.into())),
            Pass::Host => Some(self.keys.host(query, step.gpa, step.host_level.into())),
            Pass::Nested => Some(self.keys.nested(query, step.gpa)),
        }
    }

    /// Why [`Known::allows`] does not allow a step.
    #[cold]
    pub fn why_not(&self, query: &Query, told: &Told) -> WhyNot {
        let Some(key) = self.key_of(query, &told.step) else {
            return WhyNot::NeverRead;
        };
        let facts = self.facts.get(&key).into_iter().flatten();
        let valid: Vec<Hpa> = facts
            .filter(|one| one.fenced > told.fences)
            .map(|one| one.hpa)
            .collect();
        if !valid.is_empty() {
            return WhyNot::Elsewhere(valid);
        }
        match self.history.of(&key, told.fences).next() {
            Some(one) => WhyNot::Invalidated(one.fence, one.number),
            None if self.history.is_complete() => WhyNot::NeverRead,
            None => WhyNot::NotReadOfLate,
        }
    }

    /// Whether a fence names a fact.
    fn names(&self, fence: &Fence, key: &Key, fact: &Fact) -> bool {
        let (of, part) = *key;
        let same =
            |address: u64, other: u64, size: u32| prefix(address, size) == prefix(other, size);
        match of {
            Of::Guest { space, .. } => {
                let in_reach = |gva: Gva| self.keys.is_for(key, gva.0);
                fence.names_space(space)
                    && !(fact.global && fence.asid.is_some())
                    && fence.gva.is_none_or(in_reach)
                    && fence
                        .gpa
                        .is_none_or(|gpa| same(gpa.0, fact.gpa.0, fact.host_size))
            }
            Of::Host { space, .. } => {
                let in_reach = |gpa: Gpa| self.keys.is_for(key, gpa.0);
                is_of_host(fence, space) && fence.gpa.is_none_or(in_reach)
            }
            Of::Nested { space } => {
                let gpa_of_page = part << self.geometry.offset_width;
                is_of_host(fence, space)
                    && fence
                        .gpa
                        .is_none_or(|gpa| same(gpa.0, gpa_of_page, fact.host_size))
            }
        }
    }

    /// A fence, of a number.
    pub fn fence(&mut self, fence: &Fence, number: u64) {
        let mut facts = std::mem::take(&mut self.facts);
        for (key, facts) in &mut facts {
            for fact in facts.iter_mut().filter(|fact| fact.fenced == LIVE) {
                if self.names(fence, key, fact) {
                    self.history
                        .note(*key, Invalidated::new(*fact, fence, number));
                    fact.fenced = number;
                    self.any_fenced = true;
                }
            }
        }
        self.facts = facts;
    }

    /// Forgets what fences have named.
    pub fn forget_fenced(&mut self) {
        if self.any_fenced {
            self.facts.retain(|_, facts| {
                facts.retain(|one| one.fenced == LIVE);
                !facts.is_empty()
            });
            self.any_fenced = false;
        }
    }

    /// Learns from a walk's steps, by the golden model, what the device may remember of them. `fences` are those since the walk was
    /// begun.
    pub fn learn(&mut self, query: &Query, steps: &[Step], told: &[Told], fences: &[(u64, Fence)]) {
        let is_read =
            |step: &&Step| step.word.is_some() && !matches!(step.meaning, Meaning::Fault(_));
        let mut global = false;
        let mut host_size = self.geometry.offset_width;
        for (number, step) in steps.iter().filter(|step| step.hpa.is_some()).enumerate() {
            let hpa = step.hpa.unwrap_or_default();
            let table = Hpa(hpa.0 - step.index * self.geometry.pte_bytes());
            let fact = |gpa, hpa, host_size, global| Fact {
                gpa,
                hpa,
                host_size,
                global,
                fenced: LIVE,
            };
            let pass = told.get(number).map(|told| &told.step);
            // What a walk cache has led to it must have known before: that is nothing new, and no
            // evidence for itself.
            let is_led = |by| pass.is_some_and(|step| step.pass == by);
            match step.at {
                Position::Guest { level } => {
                    if let Some(step) = pass.filter(|step| step.pass != Pass::None) {
                        global = step.global;
                        host_size = self.geometry.offset_width;
                    }
                    if is_read(&step)
                        && step.update.is_none()
                        && !is_led(Pass::Guest)
                        && level + 1 < query.context.guest.levels.into()
                    {
                        let gpa = Gpa(step.base);
                        let key = self.keys.guest(query, level);
                        self.add(key, fact(gpa, table, host_size, global), fences);
                    }
                    global |= step.word.is_some_and(|word| {
                        Entry(word).global() && matches!(step.meaning, Meaning::GuestTable(_))
                    });
                }
                Position::Host {
                    level,
                    gpa,
                    purpose,
                } => {
                    if !is_read(&step) {
                        continue;
                    }
                    if step.update.is_none()
                        && !is_led(Pass::Host)
                        && level + 1 < query.context.host.levels.into()
                    {
                        let key = self.keys.host(query, gpa, level);
                        self.add(key, fact(gpa, table, 0, false), fences);
                    }
                    if let (Meaning::Found(found), Purpose::GuestEntry(_)) = (step.meaning, purpose)
                    {
                        host_size = match step.word.map(Entry) {
                            Some(entry) if entry.napot() => NAPOT_PAGE_SIZE,
                            _ => self.geometry.offset_width + level * self.geometry.index_width,
                        };
                        let page = table_of(&self.geometry, found);
                        let key = self.keys.nested(query, gpa);
                        self.add(key, fact(gpa, page, host_size, false), fences);
                    }
                }
            }
        }
    }

    fn add(&mut self, key: Key, fact: Fact, fences: &[(u64, Fence)]) {
        let named = fences
            .iter()
            .find(|(_, fence)| self.names(fence, &key, &fact));
        if let Some((number, fence)) = named {
            self.history
                .note(key, Invalidated::new(fact, fence, *number));
        }
        let fact = Fact {
            fenced: named.map_or(LIVE, |(number, _)| *number),
            ..fact
        };
        self.any_fenced |= fact.fenced != LIVE;
        let facts = self.facts.entry(key).or_default();
        if !facts.contains(&fact) {
            facts.push(fact);
        }
    }
}

/// The bits of an address from a size up.
fn prefix(address: u64, size: u32) -> u64 {
    address.checked_shr(size).unwrap_or(0)
}

/// What the host's stage is known by.
fn host_space(query: &Query) -> Space {
    Space {
        guest_levels: 0,
        asid: 0,
        ..query.context.space()
    }
}

pub(super) fn is_of_host(fence: &Fence, space: Space) -> bool {
    fence.gva.is_none() && fence.asid.is_none() && fence.names_space(space)
}

/// The page that an entry is in: but for the host's root, that of its table.
fn table_of(geometry: &Geometry, entry: Hpa) -> Hpa {
    Hpa(entry.0 >> geometry.offset_width << geometry.offset_width)
}

/// The guest's table that a step is in.
pub(super) fn guest_table(geometry: &Geometry, step: &WalkStep) -> GuestTable {
    GuestTable {
        level: step.guest_level.into(),
        gpa: Gpa(table_of(geometry, Hpa(step.gpa.0)).0),
        hpa: table_of(geometry, step.hpa),
        global: step.global,
    }
}

/// Where the guest entry of a gPA is, in the page that a step is in.
pub(super) fn entry_in_page(geometry: &Geometry, step: &WalkStep, gpa: Gpa) -> Hpa {
    let page = table_of(geometry, step.hpa);
    Hpa(page.0 | gpa.0 & ((1 << geometry.offset_width) - 1))
}

/// The host's table that a step is in, with its level.
pub(super) fn host_table(geometry: &Geometry, step: &WalkStep) -> (u32, Hpa) {
    (step.host_level.into(), table_of(geometry, step.hpa))
}
