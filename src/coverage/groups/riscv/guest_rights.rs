// SPDX-License-Identifier: Apache-2.0
//! `guest-rights` of RISC-V: the rights of leaves of the guest stage.

use super::checked_leaf;
use crate::coverage::abilities::Abilities;
use crate::coverage::axes::{Mxr, PageOwner, WalkPosition};
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, axis, covergroup};
use crate::coverage::events::WalkStep;
use crate::format::{Family, Format};
use crate::mmu::{Access, Rights};

axis! {
    /// The privilege of a request.
    pub enum Who {
        /// User mode.
        User = "user",
        /// Supervisor mode, SUM is 0.
        Supervisor = "supervisor",
        /// Supervisor mode, SUM is 1.
        SupervisorWithSum = "supervisor with SUM",
    }
}

covergroup! {
    "guest-rights":
    "leaves of the guest's stage whose rights were checked";
    /// The rights of a leaf of the guest stage are checked.
    pub struct GuestRights {
        leaf: Rights = "leaf",
        page: PageOwner = "page",
        who: Who = "who",
        mxr: Mxr = "MXR",
        access: Access = "access",
    }
}

impl Covergroup for GuestRights {
    type Memory = ();

    fn is_able(self, device: &Abilities) -> bool {
        let has_privilege = match self.who {
            Who::User => device.user.contains(&true),
            Who::Supervisor => device.user.contains(&false),
            Who::SupervisorWithSum => device.user.contains(&false) && device.sum,
        };
        has_privilege && device.has_stage(false) && (self.mxr == Mxr::Off || device.guest_mxr)
    }

    #[inline]
    fn is_of(format: Format) -> bool {
        format.family() == Family::Riscv
    }

    #[inline]
    fn on_step(_: &mut (), step: &WalkStep<'_>, out: &mut Sampling<'_>) {
        let context = &step.query.context;
        if let Some(leaf) = checked_leaf(step)
            && let WalkPosition::Guest { .. } = step.entry
        {
            out.hit(Self {
                leaf: leaf.rights(),
                page: leaf.user().into(),
                who: match (context.user, context.sum) {
                    (true, _) => Who::User,
                    (false, false) => Who::Supervisor,
                    (false, true) => Who::SupervisorWithSum,
                },
                mxr: context.guest.mxr.into(),
                access: step.query.access,
            });
        }
    }
}
