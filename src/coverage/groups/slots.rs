// SPDX-License-Identifier: Apache-2.0
//! `slots`: walks in flight when a walk begins.

use crate::coverage::axes;
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{AxisValue, Covergroup, Rule, covergroup};
use crate::coverage::domain::Domain;
use crate::coverage::events::NewWalk;
use crate::format::Format;

/// A number of walks in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WalkCount(pub u32);

impl AxisValue for WalkCount {
    fn values(domain: &Domain) -> Vec<Self> {
        let most = axes::Slots::values(domain)
            .last()
            .map_or(1, |slots| slots.0);
        (1..=most).map(Self).collect()
    }

    fn label(self, _: &Domain) -> String {
        self.0.to_string()
    }

    #[inline]
    fn position(self, _: &Domain) -> Option<usize> {
        Some(self.0 as usize - 1)
    }
}

covergroup! {
    "slots":
    "walks in flight when a walk began";
    /// A walk begins.
    pub struct Slots {
        slots: axes::Slots = "slots",
        walks: WalkCount = "walks",
    }
}

impl Covergroup for Slots {
    type Memory = ();

    fn rule(self, _: Format) -> Rule {
        let is_more = self.walks.0 > self.slots.0;
        Rule::unless(is_more.then_some("there are not so many slots"))
    }

    #[inline]
    fn on_walk(_: &mut (), walk: &NewWalk, out: &mut Sampling<'_>) {
        let slots = out.machine.slots;
        if walk.walks <= slots as usize {
            out.hit(Self {
                slots: axes::Slots(slots),
                walks: WalkCount(walk.walks as u32),
            });
        }
    }
}
