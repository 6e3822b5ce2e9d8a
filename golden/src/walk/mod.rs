// SPDX-License-Identifier: Apache-2.0
//! The nested walk as an executable specification: recursive, address by address.
//!
//! [`walk`] is, by format, the machine of "6.823 Computer System Architecture, Nested Paging" with
//! the rules of `docs/formats.md` where the handout leaves one open, or the two-stage translation
//! of the RISC-V privileged specification. It takes memory as a trait, so that the checker can also
//! ask what follows from the words that a device was really given.

mod handout;
pub mod riscv;

use crate::addr::{Gpa, Gva, Hpa};
use crate::format::{Family, Format};
use crate::memory::HostMemory;
use crate::mmu::{
    Extent, Fault, FaultKind, MemoryType, Outcome, Position, Query, Rights, Translation,
};

/// Where a walk reads table entries, and sets their accessed and dirty bits.
pub trait EntryMemory {
    /// The word at `at`, or none where the memory answers with an error.
    fn read_entry(&mut self, at: Hpa) -> Option<u64>;

    /// Compare-and-swap: sets the word at `at` to `new` if it is `expected`. Gives what was there;
    /// none is an error.
    fn update_entry(&mut self, at: Hpa, expected: u64, new: u64) -> Option<u64>;

    /// A guest's table on the way, if the walk may go on from there: an implementation "may cache"
    /// what it has read of tables until a fence names it ("Supervisor Memory-Management Fence
    /// Instruction"). Asked before the guest's root.
    fn known_guest_table(&mut self) -> Option<GuestTable> {
        None
    }

    /// A host's table on the way of `gpa`, with its level, if the walk may go on from there. Asked
    /// before the host's root.
    fn known_host_table(&mut self, gpa: Gpa) -> Option<(u32, Hpa)> {
        let _ = gpa;
        None
    }

    /// Where the guest entry at `gpa` is to be read, if that need not be walked for.
    fn known_entry(&mut self, gpa: Gpa) -> Option<Hpa> {
        let _ = gpa;
        None
    }
}

/// A guest's table that a walk may go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestTable {
    /// Its level.
    pub level: u32,
    /// Where it is.
    pub gpa: Gpa,
    /// And where that is.
    pub hpa: Hpa,
    /// A pointer on the way to it is global.
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

/// Memory as a walk would leave it, without writing it.
#[derive(Debug)]
pub struct Overlay<'a> {
    memory: &'a HostMemory,
    /// Every update that was made, in order: where, and the new word.
    pub updates: Vec<(Hpa, u64)>,
}

impl<'a> Overlay<'a> {
    /// Over `memory`, no update made.
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

/// A step of a walk: one entry read or updated, or found to be out of reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which entry.
    pub at: Position,
    /// The base of its table: a gPA for a guest's table, an hPA for a host's.
    pub base: u64,
    /// Its index there.
    pub index: u64,
    /// Base and index added up. For a guest entry it is a gPA.
    pub entry: u64,
    /// Where the entry was read or updated; none if its address made a fault.
    pub hpa: Option<Hpa>,
    /// The entry as memory gave it; none if there was no access, or it failed.
    pub word: Option<u64>,
    /// The new word, if this was an update, which takes place if `word` is as the walk has read it.
    pub update: Option<u64>,
    /// What follows from it.
    pub meaning: Meaning,
}

/// What an entry leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The next guest table, at a gPA.
    GuestTable(Gpa),
    /// The next host table, at an hPA.
    HostTable(Hpa),
    /// The guest leaf: the data's gPA.
    DataGpa(Gpa),
    /// The host leaf: the hPA of the guest entry sought, or of the data.
    Found(Hpa),
    /// A leaf that permits the access, whose accessed or dirty bits must be set first.
    SetAccessedDirty,
    /// A fault.
    Fault(FaultKind),
}

/// Takes the steps of a walk as they happen.
pub trait StepLog {
    /// One more step.
    fn step(&mut self, step: Step);
}

/// Nobody wants to know.
impl StepLog for () {
    fn step(&mut self, _: Step) {}
}

impl StepLog for Vec<Step> {
    fn step(&mut self, step: Step) {
        self.push(step);
    }
}

/// What a TLB keeps of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Leaf {
    /// What it permits.
    pub rights: Rights,
    /// The U bit.
    pub user: bool,
    /// The D bit: stores need no update.
    pub dirty: bool,
    /// log2 of its page's bytes.
    pub page_size: u32,
}

/// What a walk finds out, beyond the answer: what a TLB keeps of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// The data's gPA.
    pub gpa: Gpa,
    /// The data's hPA.
    pub hpa: Hpa,
    /// The guest's leaf; where the guest's stage is off, all is permitted, and the page is as the
    /// host's.
    pub guest: Leaf,
    /// The host's leaf; where the host's stage is off, all is permitted, and the page is as the
    /// guest's.
    pub host: Leaf,
    /// The guest's entries say that it is the same under every ASID.
    pub global: bool,
    /// The page's memory type.
    pub memory_type: MemoryType,
    /// log2 of the bytes that it holds for: of the smaller page; the smallest page where no stage
    /// is on.
    pub page_size: u32,
}

impl Mapping {
    /// What a fence goes by.
    pub fn extent(&self, gva: Gva) -> Extent {
        Extent {
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
        Family::Handout => handout::walk(format, query, memory, log),
        Family::Riscv => riscv::walk(format, query, memory, log),
    }
}

/// The answer that an MMU owes for what a walk found.
pub fn answer(found: &Result<Mapping, Fault>) -> Outcome {
    found.map(|mapping| Translation {
        gpa: mapping.gpa,
        hpa: mapping.hpa,
        page_size: mapping.page_size,
        memory_type: mapping.memory_type,
    })
}

/// The answer that an MMU owes to `query` for a mapping that it remembers, which covers the query's
/// address: that of a walk which finds the same leaves. None where it must walk: on RISC-V, when
/// the mapping does not permit the access.
pub fn answer_from(format: Format, query: &Query, remembered: &Mapping) -> Option<Outcome> {
    match format.family() {
        Family::Handout => Some(handout::answer_from(format, query, remembered)),
        Family::Riscv => riscv::answer_from(query, remembered).map(Ok),
    }
}
