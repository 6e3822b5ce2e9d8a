// SPDX-License-Identifier: Apache-2.0
//! `status`: leaves that permit the access but lack A or D.

use crate::coverage::abilities::Abilities;
use crate::coverage::axes::{LeafStage, RACE};
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, axis, covergroup};
use crate::coverage::events::WalkStep;
use crate::format::Format;
use crate::format::riscv::Entry;
use crate::golden::Meaning;
use crate::mmu::{Access, FaultKind};

axis! {
    /// The bits of a leaf that permits the access.
    pub enum Found {
        /// A and D are clear.
        Neither = "A=0 D=0",
        /// A is clear.
        DirtyOnly = "A=0 D=1",
        /// D is clear.
        AccessedOnly = "A=1 D=0",
    }
}

axis! {
    /// The action of the walk on the bits.
    pub enum Then {
        /// It sets the bits.
        Set = "set",
        /// It faults.
        Fault = "fault",
    }
}

covergroup! {
    "status":
    "leaves that permit the access but lack A or D: set by hardware, or a fault";
    /// A walk finds a leaf that lacks A or D.
    pub struct Status {
        stage: LeafStage = "stage",
        found: Found = "found",
        access: Access = "access",
        then: Then = "then",
    }
}

impl Covergroup for Status {
    type Memory = ();

    fn is_able(self, device: &Abilities) -> bool {
        self.then == Then::Fault || device.svadu
    }

    fn is_of(format: Format) -> bool {
        format.updates_entries()
    }

    fn rule(self, _: Format) -> Rule {
        let lacks_d_only = self.found == Found::AccessedOnly;
        match self.stage {
            LeafStage::Guest | LeafStage::HostForData
                if lacks_d_only && self.access != Access::Store =>
            {
                Rule::Impossible("only a store needs D")
            }
            LeafStage::HostToRead if lacks_d_only => {
                Rule::Impossible("the read of a guest entry needs no D")
            }
            LeafStage::HostToUpdate if !lacks_d_only => Rule::NotAsked(RACE),
            _ => Rule::Reachable,
        }
    }

    #[inline]
    fn on_step(_: &mut (), step: &WalkStep<'_>, out: &mut Sampling<'_>) {
        let then = match step.step.meaning {
            Meaning::SetAccessedDirty => Then::Set,
            Meaning::Fault(FaultKind::AccessedDirty) => Then::Fault,
            _ => return,
        };
        if let Some(word) = step.step.word {
            let entry = Entry(word);
            out.hit(Self {
                stage: LeafStage::of(step.entry),
                found: match (entry.accessed(), entry.dirty()) {
                    (false, false) => Found::Neither,
                    (false, true) => Found::DirtyOnly,
                    (true, _) => Found::AccessedOnly,
                },
                access: step.query.access,
                then,
            });
        }
    }
}
