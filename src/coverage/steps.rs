// SPDX-License-Identifier: Apache-2.0
//! The steps of a walk that ended, one after the other.

use super::covergroup::axis;
use super::formats::CoverageFormat;
use crate::dut;
use crate::golden::{Meaning, Step};
use crate::mmu::{Position, Purpose};

axis! {
    /// The outcome of a compare-and-swap.
    pub enum UpdateOutcome {
        /// The entry was still the word that the walk had read, and was updated.
        Made = "made",
        /// The entry had changed, and the new word needs no update of A or D.
        LostAndSet = "lost, nothing more to set",
        /// The entry had changed, and the new word also needs an update of A or D.
        LostAndTriedAgain = "lost, tried again",
        /// The entry had become a pointer.
        LostToPointer = "lost, then a pointer",
        /// The entry had changed, and the new word is a fault.
        LostToFault = "lost, then a fault",
        /// Memory returned an error.
        Error = "memory error",
    }
}

/// An entry that a walk has read or updated.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryRead {
    /// Its position.
    pub at: Position,
    /// It was read, and is not a fault.
    pub is_read: bool,
    /// It is a global pointer of the guest stage.
    pub global: bool,
    /// It is the host leaf of a guest entry that the walk reads next.
    pub found_page: bool,
}

impl EntryRead {
    pub fn of(step: &Step, format: &dyn CoverageFormat) -> Self {
        let is_fault = matches!(step.meaning, Meaning::Fault(_));
        let is_entry_page = matches!(
            step.at,
            Position::Host {
                purpose: Purpose::GuestEntry(_),
                ..
            }
        );
        Self {
            at: step.at,
            is_read: step.word.is_some() && step.update.is_none() && !is_fault,
            global: matches!(step.meaning, Meaning::GuestTable(_))
                && step.word.is_some_and(|word| format.is_global(word)),
            found_page: is_entry_page && matches!(step.meaning, Meaning::Found(_)),
        }
    }
}

/// The facts that the steps of a walk have shown so far.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// The word of the leaf that the walk updates next, in the guest stage and in the host stage.
    to_update: [u64; 2],
    /// The walk updated an entry.
    pub updated: bool,
    /// The walk lost an update.
    pub lost_update: bool,
    /// The entries that the walk read or updated, if page-walk caches are in use.
    pub entries: Vec<EntryRead>,
    /// The hits of the walk in page-walk caches: the index of the entry that each led to, and the
    /// reported step.
    pub cache_hits: Vec<(usize, dut::WalkStep)>,
}

impl Steps {
    /// Adds a step. Returns the outcome of the compare-and-swap, if the step is an update.
    pub fn add(&mut self, step: &Step) -> Option<UpdateOutcome> {
        let expected = &mut self.to_update[step.at.stage() as usize];
        let outcome = step.update.map(|_| match (step.word, step.meaning) {
            (None, _) => UpdateOutcome::Error,
            (Some(word), _) if word == *expected => UpdateOutcome::Made,
            (_, Meaning::SetAccessedDirty) => UpdateOutcome::LostAndTriedAgain,
            (_, Meaning::GuestTable(_) | Meaning::HostTable(_)) => UpdateOutcome::LostToPointer,
            (_, Meaning::Fault(_)) => UpdateOutcome::LostToFault,
            (_, Meaning::DataGpa(_) | Meaning::Found(_)) => UpdateOutcome::LostAndSet,
        });
        match outcome {
            Some(UpdateOutcome::Made) => self.updated = true,
            Some(UpdateOutcome::Error) | None => {}
            Some(_) => self.lost_update = true,
        }
        if let (Some(word), Meaning::SetAccessedDirty) = (step.word, step.meaning) {
            *expected = word;
        }
        outcome
    }
}
