// SPDX-License-Identifier: Apache-2.0
//! `fault`: walks that end with a fault.

use crate::coverage::axes::{Mode, WalkPosition, hlvx};
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, covergroup};
use crate::coverage::events::FinishedWalk;
use crate::coverage::formats;
use crate::coverage::goal::{Goal, WalkGoal, WalkOutcome};
use crate::format::Format;
use crate::mmu::{Access, FaultKind, Purpose};

covergroup! {
    "fault":
    "walks that end with a fault, by its kind and entry, mode and access";
    /// A walk ends with a fault.
    pub struct Fault {
        mode: Mode = "mode",
        access: Access = "access",
        kind: FaultKind = "fault",
        entry: WalkPosition = "at",
    }
}

impl Covergroup for Fault {
    type Memory = ();

    fn rule(self, format: Format) -> Rule {
        let why = formats::of(format).no_fault(format, self.mode, self.kind, self.entry);
        Rule::unless(why).and(|| hlvx(self.mode, self.access))
    }

    fn goal(self, format: Format) -> Option<Goal> {
        let is_update = matches!(
            self.entry,
            WalkPosition::Host {
                purpose: Purpose::GuestUpdate(_),
                ..
            }
        );
        let by_rights = matches!(
            self.kind,
            FaultKind::Memory | FaultKind::Permission | FaultKind::AccessedDirty
        );
        Some(Goal::Walk(WalkGoal {
            format,
            mode: self.mode,
            access: self.access,
            outcome: WalkOutcome::Fault {
                kind: self.kind,
                at: self.entry,
                race: is_update && !by_rights,
            },
        }))
    }

    #[inline]
    fn on_walk_end(_: &mut (), walk: &FinishedWalk<'_>, out: &mut Sampling<'_>) {
        if let Err(fault) = walk.found {
            out.hit(Self {
                mode: Mode::of(&walk.query.context),
                access: walk.query.access,
                kind: fault.kind,
                entry: WalkPosition::of(&fault.at),
            });
        }
    }
}
