// SPDX-License-Identifier: Apache-2.0
//! The nested walk as an executable specification: recursive, address by address.
//!
//! [`walk`] implements, by format, one of two specifications: "6.823 Computer System Architecture,
//! Nested Paging" with the rules of `docs/formats.md` where the handout leaves one open, or the
//! two-stage translation of the RISC-V privileged specification. Memory is a trait, so that the
//! checker can also walk the words that a device actually read.
//! ask what follows from the words that a device was really given.

mod handout;
pub mod riscv;

use crate::addr::{Gpa, Gva, Hpa};
use crate::format::{Family, Format};
use crate::memory::HostMemory;
use crate::mmu::{
    Fault, FaultKind, FenceMatch, MemoryType, Outcome, Position, Query, Rights, Translation,
};

/// Memory that a walk reads table entries from, and sets their accessed and dirty bits in.
pub trait EntryMemory {
    /// Returns the word at `at`; none if memory returns an error.
    fn read_entry(&mut self, at: Hpa) -> Option<u64>;

    /// Performs a compare-and-swap: sets the word at `at` to `new` if it equals `expected`. Returns
    /// the word before; none if memory returns an error.
    fn update_entry(&mut self, at: Hpa, expected: u64, new: u64) -> Option<u64>;

    /// Returns a guest table from which the walk may start below the root. An implementation "may
    /// cache" what it has read of tables until a fence matches it ("Supervisor Memory-Management
    /// Fence Instruction"). The walk asks for it before it uses the guest's root.
    fn known_guest_table(&mut self) -> Option<GuestTable> {
        None
    }

    /// Returns a host table, with its level, from which the translation of `gpa` may start below
    /// the root. The walk asks for it before it uses the host's root.
    fn known_host_table(&mut self, gpa: Gpa) -> Option<(u32, Hpa)> {
        let _ = gpa;
        None
    }

    /// Returns the hPA of the guest entry at `gpa` if no host walk is needed to find it.
    fn known_entry(&mut self, gpa: Gpa) -> Option<Hpa> {
        let _ = gpa;
        None
    }
}

/// A guest table from which a walk may start below the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestTable {
    /// The level of the table.
    pub level: u32,
    /// The gPA of the table.
    pub gpa: Gpa,
    /// The hPA of the table.
    pub hpa: Hpa,
    /// A pointer on the path from the root to the table is global.
    pub global: bool,
}

impl EntryMemory for HostMemory {
    fn read_entry(&mut self, at: Hpa) -> Option<u64> {
        self.walk_read(at).ok()
    }

    fn update_entry(&mut self, at: Hpa, expected: u64, new: u64) -> Option<u64> {
        self.update(at, expected, new).ok()
    }
}

/// Memory with the updates of a walk, which are kept apart and not written to it.
#[derive(Debug)]
pub struct Overlay<'a> {
    memory: &'a HostMemory,
    /// The updates, in order: the address and the new word of each.
    pub updates: Vec<(Hpa, u64)>,
}

impl<'a> Overlay<'a> {
    /// Makes an overlay over `memory` without updates.
    pub fn new(memory: &'a HostMemory) -> Self {
        Self {
            memory,
            updates: Vec::new(),
        }
    }
}

impl EntryMemory for Overlay<'_> {
    fn read_entry(&mut self, at: Hpa) -> Option<u64> {
        if !self.memory.permits(at, false) {
            return None;
        }
        let updated = self.updates.iter().rev().find(|(place, _)| *place == at);
        updated
            .map(|&(_, word)| word)
            .or_else(|| self.memory.walk_read(at).ok())
    }

    fn update_entry(&mut self, at: Hpa, expected: u64, new: u64) -> Option<u64> {
        if !self.memory.permits(at, true) {
            return None;
        }
        let updated = self.updates.iter().rev().find(|(place, _)| *place == at);
        let found = match updated {
            Some(&(_, word)) => word,
            None => self.memory.read(at).ok()?,
        };
        if found == expected {
            self.updates.push((at, new));
        }
        Some(found)
    }
}

/// A step of a walk: one entry that was read or updated, or whose address is a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The position of the entry.
    pub at: Position,
    /// The base of its table: a gPA for a guest table, an hPA for a host table.
    pub base: u64,
    /// The index of the entry in its table.
    pub index: u64,
    /// The address of the entry: the base plus the offset of the index. It is a gPA for a guest
    /// entry.
    pub entry: u64,
    /// The hPA at which the entry was read or updated; none if its address is a fault.
    pub hpa: Option<Hpa>,
    /// The entry that memory returned; none if there was no read, or if memory returned an error.
    pub word: Option<u64>,
    /// The new word, if the step is an update. The update takes place if `word` is the entry that
    /// the walk has read.
    pub update: Option<u64>,
    /// The decision that follows from the entry.
    pub meaning: Meaning,
}

/// The decision that follows from an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The next guest table, at a gPA.
    GuestTable(Gpa),
    /// The next host table, at an hPA.
    HostTable(Hpa),
    /// The guest leaf gives the gPA of the data.
    DataGpa(Gpa),
    /// The host leaf gives the hPA of the data or of a guest entry.
    Found(Hpa),
    /// The leaf permits the access, but its accessed or dirty bit must be set first.
    SetAccessedDirty,
    /// A fault.
    Fault(FaultKind),
}

/// A receiver of the steps of a walk.
pub trait StepLog {
    /// Receives one step.
    fn step(&mut self, step: Step);
}

/// Ignores all steps.
impl StepLog for () {
    fn step(&mut self, _: Step) {}
}

impl StepLog for Vec<Step> {
    fn step(&mut self, step: Step) {
        self.push(step);
    }
}

/// The part of a leaf that a TLB stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Leaf {
    /// The rights of the leaf.
    pub rights: Rights,
    /// The U bit.
    pub user: bool,
    /// The D bit. If it is set, stores need no update.
    pub dirty: bool,
    /// log2 of the page size in bytes.
    pub page_size: u32,
}

/// The result of a successful walk: the translation, and the parts of both leaves that a TLB
/// stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// The data's gPA.
    pub gpa: Gpa,
    /// The data's hPA.
    pub hpa: Hpa,
    /// The guest leaf. If the guest stage is off, it permits every access, and its page size is the
    /// host leaf's.
    pub guest: Leaf,
    /// The host leaf. If the host stage is off, it permits every access, and its page size is the
    /// guest leaf's.
    pub host: Leaf,
    /// The translation is valid under every ASID, because a guest entry is global.
    pub global: bool,
    /// The page's memory type.
    pub memory_type: MemoryType,
    /// log2 of the size in bytes of the range that the translation covers: the smaller of the two
    /// pages. If both stages are off, it is the smallest page.
    pub page_size: u32,
}

impl Mapping {
    /// Returns the parts of the mapping that a fence compares.
    pub fn extent(&self, gva: Gva) -> FenceMatch {
        FenceMatch {
            gva,
            gpa: self.gpa,
            guest_size: self.guest.page_size,
            host_size: self.host.page_size,
            global: self.global,
        }
    }
}

/// Walks both tables for `query`.
///
/// # Errors
/// The fault that the walk ends with.
pub fn walk<M: EntryMemory, L: StepLog>(
    format: Format,
    query: &Query,
    memory: &mut M,
    log: &mut L,
) -> Result<Mapping, Fault> {
    match format.family() {
        Family::Handout => handout::walk(format, query, Checks::AtEntry, memory, log),
        Family::Riscv => riscv::walk(format, query, Checks::AtEntry, memory, log),
    }
}

/// A walk that applies checks late: see [`walk_with_late_checks`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateWalk {
    /// The end of the walk, as if no late check had failed. It is that of [`walk`] if none has.
    pub found: Result<Mapping, Fault>,
    /// The late checks that have failed, in the order of the walk. The first of them is the fault of
    /// [`walk`].
    pub passed: Vec<Fault>,
}

/// The time at which a walk applies the checks that its way through the tables does not depend on:
/// the width of the address, the rights of a leaf, and its A and D bits.
enum Checks<'a> {
    /// The walk applies them to the address and to each leaf, and ends with the first that fails.
    AtEntry,
    /// The walk notes those that fail, and goes on.
    AtEnd(&'a mut Vec<Fault>),
}

impl Checks<'_> {
    /// A check fails. Returns the fault if the walk ends with it.
    fn fail(&mut self, fault: Fault) -> Result<(), Fault> {
        match self {
            Checks::AtEntry => Err(fault),
            Checks::AtEnd(passed) => {
                passed.push(fault);
                Ok(())
            }
        }
    }
}

/// Walks both tables for `query` as [`walk`] does, but goes on behind a fault of the address's
/// width, of the rights of a leaf, and of its A and D bits. It sets no A or D bit behind such a
/// fault. A leaf with A clear has no rights in the mapping.
///
/// The specification names the fault of an access, and not what else a walk reads before it reports
/// the fault. So this is the walk of an implementation that applies these checks at the end.
pub fn walk_with_late_checks<M: EntryMemory, L: StepLog>(
    format: Format,
    query: &Query,
    memory: &mut M,
    log: &mut L,
) -> LateWalk {
    let mut passed = Vec::new();
    let checks = Checks::AtEnd(&mut passed);
    let found = match format.family() {
        Family::Handout => handout::walk(format, query, checks, memory, log),
        Family::Riscv => riscv::walk(format, query, checks, memory, log),
    };
    LateWalk { found, passed }
}

/// Returns the response that an MMU must give for the result of a walk.
pub fn outcome(found: &Result<Mapping, Fault>) -> Outcome {
    found.map(|mapping| Translation {
        gpa: mapping.gpa,
        hpa: mapping.hpa,
        page_size: mapping.page_size,
        memory_type: mapping.memory_type,
    })
}

/// Returns the response that an MMU must give to `query` from a mapping in its TLB that covers the
/// query's address. The response equals that of a walk with the same leaves. It is none if the MMU
/// must walk: on RISC-V, if the mapping does not permit the access.
pub fn outcome_from(format: Format, query: &Query, remembered: &Mapping) -> Option<Outcome> {
    match format.family() {
        Family::Handout => Some(handout::outcome_from(format, query, remembered)),
        Family::Riscv => riscv::outcome_from(query, remembered).map(Ok),
    }
}
