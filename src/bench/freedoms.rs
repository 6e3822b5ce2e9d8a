// SPDX-License-Identifier: Apache-2.0
//! The freedoms that a device file can declare, and how often a run has used each.

use std::cell::Cell;

/// A freedom that a device file can declare. With it the checks accept a behaviour that they reject
/// by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freedom {
    /// A TLB hit may end with a permission fault, from an entry that does not permit the access.
    HitMayFault,
    /// A walk may check permissions at its end, and so read further entries after an entry that
    /// denies the access.
    LatePermissions,
    /// A walk may read other words than its entries: the other words of their lines, or any words.
    FreeReads,
    /// The device may read entries speculatively, for a walk of no request.
    Speculative,
    /// The device may ignore a fence with an operand of a stage that is Bare.
    IgnoresBare,
    /// htval or mtval2 may be 0 where the golden model expects another value.
    Tval2,
    /// The device may report a later fault of a walk in place of its first fault.
    FaultOrder,
}

impl Freedom {
    /// All freedoms.
    pub const ALL: [Self; 7] = [
        Self::HitMayFault,
        Self::LatePermissions,
        Self::FreeReads,
        Self::Speculative,
        Self::IgnoresBare,
        Self::Tval2,
        Self::FaultOrder,
    ];

    /// Returns the section and the key of the freedom in a device file.
    pub const fn key(self) -> (&'static str, &'static str) {
        match self {
            Self::HitMayFault => ("tlb", "hit_may_fault"),
            Self::LatePermissions => ("walks", "permissions"),
            Self::FreeReads => ("walks", "reads"),
            Self::Speculative => ("walks", "speculative"),
            Self::IgnoresBare => ("fences", "ignores_bare"),
            Self::Tval2 => ("responses", "tval2"),
            Self::FaultOrder => ("responses", "order"),
        }
    }
}

/// By freedom: how often a run has used it. A freedom that no run uses can be removed from the
/// device file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FreedomUses([Cell<u64>; Freedom::ALL.len()]);

impl FreedomUses {
    /// Counts a use of a freedom.
    pub(super) fn count(&self, freedom: Freedom) {
        let count = &self.0[freedom as usize];
        count.set(count.get() + 1);
    }

    /// Returns the number of uses of a freedom.
    pub fn of(&self, freedom: Freedom) -> u64 {
        self.0[freedom as usize].get()
    }
}
