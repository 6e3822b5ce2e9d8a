// SPDX-License-Identifier: Apache-2.0
//! `fence-place`: the progress of the walks that fences match.

use crate::coverage::abilities::Abilities;
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, axis, covergroup};
use crate::coverage::events::FenceOffered;
use crate::coverage::formats::{self, Feature};
use crate::coverage::goal::{Goal, Situation};
use crate::coverage::slots::{LastEntry, WalkState};
use crate::dut::description::Visibility;
use crate::format::Format;

axis! {
    /// The number of requests that wait for a walk.
    pub enum Requests {
        /// One.
        One = "one",
        /// More.
        Several = "several",
    }
}

covergroup! {
    "fence-place":
    "walks that fences matched: their state, the entry that they took last, the number of requests \
     that waited for them";
    /// A fence is offered that matches a walk in flight.
    pub struct FencePlace {
        state: WalkState = "state",
        last: LastEntry = "last entry",
        requests: Requests = "requests",
    }
}

impl Covergroup for FencePlace {
    type Memory = ();

    fn visibility(self) -> Visibility {
        Visibility::Steps
    }

    fn is_able(self, device: &Abilities) -> bool {
        device.fence.is_some()
    }

    fn rule(self, format: Format) -> Rule {
        const TOOK: &str = "it has taken an entry before";
        const BEGINS: &str = "it has taken no entry yet";
        let Self { state, last, .. } = self;
        let is_of_update = state.is_update() || last == LastEntry::HostToUpdate;
        let no_update = match is_of_update {
            true => formats::of(format).lacks(Feature::Updates),
            false => None,
        };
        let is_first = last == LastEntry::NoEntry;
        let is_several = self.requests == Requests::Several;
        Rule::unless(no_update.or(match state {
            WalkState::NoWalk | WalkState::Begins if !is_first => Some(BEGINS),
            WalkState::NoWalk | WalkState::Begins if is_several => Some("it is one request's"),
            WalkState::ReadAnswered if is_first => Some(TOOK),
            _ if state.is_update() && is_first => Some(TOOK),
            WalkState::Ended if is_first && is_several => {
                Some("a walk without reads is over before another request comes")
            }
            _ => None,
        }))
    }

    fn goal(self, _: Format) -> Option<Goal> {
        Some(Goal::Situation(Situation::FencePlace(self)))
    }

    #[inline]
    fn on_fence_offered(_: &mut (), offered: &FenceOffered<'_>, out: &mut Sampling<'_>) {
        if offered.fence.matches_tag(offered.space) {
            out.hit(Self {
                state: offered.state,
                last: offered.last,
                requests: match offered.requests > 1 {
                    true => Requests::Several,
                    false => Requests::One,
                },
            });
        }
    }
}
