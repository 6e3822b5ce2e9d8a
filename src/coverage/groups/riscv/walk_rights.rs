// SPDX-License-Identifier: Apache-2.0
//! `walk-rights` of RISC-V: the rights of host leaves of guest entries.

use super::checked_leaf;
use crate::coverage::abilities::Abilities;
use crate::coverage::axes::{LeafStage, Mxr, PageOwner, RACE};
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, axis, covergroup};
use crate::coverage::events::WalkStep;
use crate::format::{Family, Format};
use crate::mmu::Rights;

axis! {
    /// The walk's own read or update of a guest entry.
    pub enum WalkAccess {
        /// It reads the entry.
        Read = "read",
        /// It updates the entry.
        Update = "update",
    }
}

covergroup! {
    "walk-rights":
    "leaves of the host's stage whose rights were checked for the walk's own access to a guest \
     entry";
    /// The rights of a host leaf of a guest entry are checked.
    pub struct WalkRights {
        purpose: WalkAccess = "purpose",
        leaf: Rights = "leaf",
        page: PageOwner = "page",
        mxr: Mxr = "MXR",
    }
}

impl Covergroup for WalkRights {
    type Memory = ();

    fn is_able(self, device: &Abilities) -> bool {
        device.has_stage(false)
            && device.has_stage(true)
            && (self.mxr == Mxr::Off || device.host_mxr)
            && (self.purpose == WalkAccess::Read || device.svadu)
    }

    #[inline]
    fn is_of(format: Format) -> bool {
        format.family() == Family::Riscv
    }

    fn rule(self, _: Format) -> Rule {
        match self.purpose {
            WalkAccess::Update if !self.leaf.read || self.page == PageOwner::Supervisor => {
                Rule::NotAsked(RACE)
            }
            _ => Rule::Reachable,
        }
    }

    #[inline]
    fn on_step(_: &mut (), step: &WalkStep<'_>, out: &mut Sampling<'_>) {
        let purpose = match LeafStage::of(step.entry) {
            LeafStage::HostToRead => WalkAccess::Read,
            LeafStage::HostToUpdate => WalkAccess::Update,
            LeafStage::Guest | LeafStage::HostForData => return,
        };
        if let Some(leaf) = checked_leaf(step) {
            out.hit(Self {
                purpose,
                leaf: leaf.rights(),
                page: leaf.user().into(),
                mxr: step.query.context.host.mxr.into(),
            });
        }
    }
}
