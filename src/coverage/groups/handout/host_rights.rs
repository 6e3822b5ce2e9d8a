// SPDX-License-Identifier: Apache-2.0
//! `host-rights` of the handout's formats: the rights of host leaves of the data.

use super::checked_rights;
use crate::coverage::axes::LeafStage;
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, covergroup};
use crate::coverage::events::WalkStep;
use crate::format::{Family, Format};
use crate::mmu::{Access, Rights};

covergroup! {
    "host-rights":
    "rights mode: leaves of the host whose rights were checked";
    /// The rights of a host leaf of the data are checked.
    pub struct HostRights {
        leaf: Rights = "leaf",
        access: Access = "access",
    }
}

impl Covergroup for HostRights {
    type Memory = ();

    #[inline]
    fn is_of(format: Format) -> bool {
        format.family() == Family::Handout
    }

    #[inline]
    fn on_step(_: &mut (), step: &WalkStep<'_>, out: &mut Sampling<'_>) {
        if LeafStage::of(step.entry) == LeafStage::HostForData
            && let Some(leaf) = checked_rights(step, out.machine.format)
        {
            out.hit(Self {
                leaf,
                access: step.query.access,
            });
        }
    }
}
