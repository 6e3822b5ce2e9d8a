// SPDX-License-Identifier: Apache-2.0
//! `host-rights` of RISC-V: the rights of host leaves of the data.

use super::checked_leaf;
use crate::coverage::abilities::Abilities;
use crate::coverage::axes::{LeafStage, Mxr, PageOwner};
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, covergroup};
use crate::coverage::events::WalkStep;
use crate::format::{Family, Format};
use crate::mmu::{Access, Rights};

covergroup! {
    "host-rights":
    "leaves of the host's stage whose rights were checked";
    /// The rights of a host leaf of the data are checked.
    pub struct HostRights {
        leaf: Rights = "leaf",
        page: PageOwner = "page",
        mxr: Mxr = "MXR",
        access: Access = "access",
    }
}

impl Covergroup for HostRights {
    type Memory = ();

    fn is_able(self, device: &Abilities) -> bool {
        device.has_stage(true) && (self.mxr == Mxr::Off || device.host_mxr)
    }

    #[inline]
    fn is_of(format: Format) -> bool {
        format.family() == Family::Riscv
    }

    #[inline]
    fn on_step(_: &mut (), step: &WalkStep<'_>, out: &mut Sampling<'_>) {
        if let Some(leaf) = checked_leaf(step)
            && LeafStage::of(step.entry) == LeafStage::HostForData
        {
            out.hit(Self {
                leaf: leaf.rights(),
                page: leaf.user().into(),
                mxr: step.query.context.host.mxr.into(),
                access: step.query.access,
            });
        }
    }
}
