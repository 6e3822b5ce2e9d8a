// SPDX-License-Identifier: Apache-2.0
//! `shared`: the numbers of requests that a walk answered.

use crate::coverage::axes::Slots;
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, axis, covergroup};
use crate::coverage::events::ReleasedWalk;
use crate::format::Format;

axis! {
    /// A number of requests.
    pub enum Requests {
        /// 1.
        One = "1",
        /// 2.
        Two = "2",
        /// 3.
        Three = "3",
        /// 4 to 7.
        FourToSeven = "4 to 7",
        /// 8 or more.
        EightOrMore = "8 or more",
    }
}

impl Requests {
    fn of(requests: u32) -> Self {
        match requests {
            0 | 1 => Self::One,
            2 => Self::Two,
            3 => Self::Three,
            4..=7 => Self::FourToSeven,
            _ => Self::EightOrMore,
        }
    }

    fn least(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Three => 3,
            Self::FourToSeven => 4,
            Self::EightOrMore => 8,
        }
    }
}

covergroup! {
    "shared":
    "requests that shared one walk";
    /// The last request of a walk gets its response.
    pub struct Shared {
        slots: Slots = "slots",
        requests: Requests = "requests",
    }
}

impl Covergroup for Shared {
    type Memory = ();

    fn rule(self, _: Format) -> Rule {
        let is_more = self.requests.least() > 2 * self.slots.0;
        Rule::unless(is_more.then_some("the miss table has two places a slot"))
    }

    #[inline]
    fn on_release(_: &mut (), walk: &ReleasedWalk, out: &mut Sampling<'_>) {
        out.hit(Self {
            slots: Slots(out.machine.slots),
            requests: Requests::of(walk.requests),
        });
    }
}
