// SPDX-License-Identifier: Apache-2.0
//! `walk-rights` of the handout's formats: the rights of host leaves of guest entries.

use super::checked_rights;
use crate::coverage::axes::LeafStage;
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, covergroup};
use crate::coverage::events::WalkStep;
use crate::format::{Family, Format};
use crate::mmu::Rights;

covergroup! {
    "walk-rights":
    "rights mode: leaves of the host whose rights were checked for the walk's read of a guest \
     entry";
    /// The rights of a host leaf of a guest entry are checked.
    pub struct WalkRights {
        leaf: Rights = "leaf",
    }
}

impl Covergroup for WalkRights {
    type Memory = ();

    #[inline]
    fn is_of(format: Format) -> bool {
        format.family() == Family::Handout
    }

    #[inline]
    fn on_step(_: &mut (), step: &WalkStep<'_>, out: &mut Sampling<'_>) {
        if LeafStage::of(step.entry) == LeafStage::HostToRead
            && let Some(leaf) = checked_rights(step, out.machine.format)
        {
            out.hit(Self { leaf });
        }
    }
}
