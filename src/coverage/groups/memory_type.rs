// SPDX-License-Identifier: Apache-2.0
//! `memory-type`: the memory types of a translation's leaves.

use crate::coverage::abilities::Abilities;
use crate::coverage::axes::LeafStage;
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{AxisValue, Covergroup, Rule, covergroup};
use crate::coverage::domain::Domain;
use crate::coverage::events::{FinishedWalk, WalkStep};
use crate::format::Format;
use crate::format::riscv::Entry;
use crate::golden::Meaning;
use crate::mmu;

/// The memory type of a leaf; none for a stage that is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LeafType(pub Option<mmu::MemoryType>);

impl LeafType {
    const TYPES: [mmu::MemoryType; 3] = [
        mmu::MemoryType::Pma,
        mmu::MemoryType::Nc,
        mmu::MemoryType::Io,
    ];
}

impl AxisValue for LeafType {
    fn values(_: &Domain) -> Vec<Self> {
        let types = Self::TYPES.into_iter().map(Some);
        std::iter::once(None).chain(types).map(Self).collect()
    }

    fn label(self, _: &Domain) -> String {
        self.0.map_or("off", mmu::MemoryType::name).to_owned()
    }

    #[inline]
    fn position(self, _: &Domain) -> Option<usize> {
        Some(self.0.map_or(0, |of_leaf| 1 + of_leaf as usize))
    }

    fn is_able(self, device: &Abilities) -> bool {
        device.svpbmt || self.0.is_none_or(|of_leaf| of_leaf == mmu::MemoryType::Pma)
    }
}

covergroup! {
    "memory-type":
    "memory types of both leaves of a translation";
    /// A walk ends with a translation.
    pub struct MemoryType {
        guest: LeafType = "guest",
        host: LeafType = "host",
    }
}

/// The memory types of the leaves that a walk has read.
#[derive(Debug, Default)]
pub struct Leaves {
    guest: LeafType,
    host: LeafType,
}

impl Covergroup for MemoryType {
    type Memory = Leaves;

    #[inline]
    fn is_of(format: Format) -> bool {
        format.has_memory_types()
    }

    fn rule(self, _: Format) -> Rule {
        match (self.guest.0, self.host.0) {
            (None, None) => Rule::Impossible("without a leaf there is no memory type"),
            _ => Rule::Reachable,
        }
    }

    #[inline]
    fn on_step(leaves: &mut Leaves, step: &WalkStep<'_>, _: &mut Sampling<'_>) {
        let is_leaf = matches!(step.step.meaning, Meaning::DataGpa(_) | Meaning::Found(_));
        let leaf = match LeafStage::of(step.entry) {
            LeafStage::Guest => &mut leaves.guest,
            LeafStage::HostForData => &mut leaves.host,
            LeafStage::HostToRead | LeafStage::HostToUpdate => return,
        };
        if let (true, Some(word)) = (is_leaf, step.step.word) {
            *leaf = LeafType(mmu::MemoryType::of(Entry(word).pbmt()));
        }
    }

    #[inline]
    fn on_walk_end(leaves: &mut Leaves, walk: &FinishedWalk<'_>, out: &mut Sampling<'_>) {
        let Leaves { guest, host } = std::mem::take(leaves);
        if walk.found.is_ok() && (guest.0.is_some() || host.0.is_some()) {
            out.hit(Self { guest, host });
        }
    }
}
