// SPDX-License-Identifier: Apache-2.0
//! `fence-walk`: fences, and the state of the walks in flight.

use crate::coverage::axes::Operands;
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, axis, covergroup};
use crate::coverage::events::FenceOffered;
use crate::coverage::formats::{self, Feature};
use crate::coverage::goal::{Goal, Situation};
use crate::coverage::slots::WalkState;
use crate::dut::description::Visibility;
use crate::format::Format;

axis! {
    /// The relation of a fence and a walk.
    pub enum Matched {
        /// The fence matches the walk.
        Yes = "names",
        /// The fence does not match the walk.
        No = "leaves alone",
    }
}

covergroup! {
    "fence-walk":
    "fences by their operands, and the state of the walks in flight when they were offered";
    /// A fence is offered while a request is outstanding.
    pub struct FenceWalk {
        operands: Operands = "operands",
        state: WalkState = "met",
        matched: Matched = "which it",
    }
}

impl Covergroup for FenceWalk {
    type Memory = ();

    fn visibility(self) -> Visibility {
        Visibility::Steps
    }

    fn rule(self, format: Format) -> Rule {
        let rules = formats::of(format);
        let no_update = match self.state.is_update() {
            true => rules.lacks(Feature::Updates),
            false => None,
        };
        let is_of_all = !format.has_native_contexts() && self.operands.has_no_tag();
        let no_other =
            (is_of_all && self.matched == Matched::No).then_some("the fence names every walk");
        Rule::unless(no_update.or(no_other)).and(|| rules.fence(self.operands))
    }

    fn goal(self, _: Format) -> Option<Goal> {
        Some(Goal::Situation(Situation::FenceWalk(self)))
    }

    #[inline]
    fn on_fence_offered(_: &mut (), offered: &FenceOffered<'_>, out: &mut Sampling<'_>) {
        out.hit(Self {
            operands: Operands::of(offered.fence),
            state: offered.state,
            matched: match offered.fence.matches_tag(offered.space) {
                true => Matched::Yes,
                false => Matched::No,
            },
        });
    }
}
