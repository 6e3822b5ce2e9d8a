// SPDX-License-Identifier: Apache-2.0
//! `update`: compare-and-swaps of leaves.

use crate::coverage::abilities::Abilities;
use crate::coverage::axes::{LeafStage, Level, POINTER_AT_0};
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, covergroup};
use crate::coverage::events::WalkStep;
use crate::coverage::goal::{Goal, Situation};
use crate::coverage::steps::UpdateOutcome;
use crate::format::Format;

covergroup! {
    "update":
    "compare-and-swaps of leaves, and their outcomes";
    /// A walk updates a leaf.
    pub struct Update {
        stage: LeafStage = "stage",
        level: Level = "level",
        outcome: UpdateOutcome = "outcome",
    }
}

impl Covergroup for Update {
    type Memory = ();

    fn is_able(self, device: &Abilities) -> bool {
        device.svadu
    }

    fn is_of(format: Format) -> bool {
        format.updates_entries()
    }

    fn rule(self, _: Format) -> Rule {
        match (self.level, self.outcome) {
            (Level(0), UpdateOutcome::LostToPointer) => Rule::Impossible(POINTER_AT_0),
            _ => Rule::Reachable,
        }
    }

    fn goal(self, _: Format) -> Option<Goal> {
        Some(Goal::Situation(Situation::Update(self)))
    }

    #[inline]
    fn on_step(_: &mut (), step: &WalkStep<'_>, out: &mut Sampling<'_>) {
        if let Some(outcome) = step.update {
            out.hit(Self {
                stage: LeafStage::of(step.entry),
                level: Level(step.entry.level()),
                outcome,
            });
        }
    }
}
