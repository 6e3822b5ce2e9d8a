// SPDX-License-Identifier: Apache-2.0
//! The freedoms of a device file, and their uses in a run.

use std::cell::Cell;

/// A freedom that a device file declares: the checks accept what they refuse by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freedom {
    /// A hit may fault.
    HitMayFault,
    /// A walk goes on behind a fault.
    LatePermissions,
    /// A walk reads other words of its lines, or any.
    FreeReads,
    /// A walk of no request reads.
    Speculative,
    /// A fence of a Bare stage keeps an entry.
    IgnoresBare,
    /// htval or mtval2 is 0.
    Tval2,
    /// A later fault of a walk is reported.
    FaultOrder,
}

impl Freedom {
    /// Each.
    pub const ALL: [Self; 7] = [
        Self::HitMayFault,
        Self::LatePermissions,
        Self::FreeReads,
        Self::Speculative,
        Self::IgnoresBare,
        Self::Tval2,
        Self::FaultOrder,
    ];

    /// Returns its section and its key in a device file.
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

/// The times that a run has used each freedom. A freedom that no run uses need not be declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FreedomUses([Cell<u64>; Freedom::ALL.len()]);

impl FreedomUses {
    /// Counts a use.
    pub(super) fn count(&self, freedom: Freedom) {
        let count = &self.0[freedom as usize];
        count.set(count.get() + 1);
    }

    /// Returns the number of uses.
    pub fn of(&self, freedom: Freedom) -> u64 {
        self.0[freedom as usize].get()
    }
}
