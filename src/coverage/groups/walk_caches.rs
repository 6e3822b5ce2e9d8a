// SPDX-License-Identifier: Apache-2.0
//! `walk-caches`: walks by the page-walk caches in use.

use crate::coverage::abilities::Abilities;
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{AxisValue, Covergroup, Rule, axis, covergroup};
use crate::coverage::domain::Domain;
use crate::coverage::events::FinishedWalk;
use crate::dut::description::Visibility;
use crate::format::Format;
use crate::mmu;

/// The kinds of page-walk caches in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InUse(pub mmu::WalkCaches);

impl AxisValue for InUse {
    fn values(_: &Domain) -> Vec<Self> {
        (0..8)
            .map(|bits| {
                Self(mmu::WalkCaches {
                    guest: bits & 1 != 0,
                    host: bits & 2 != 0,
                    nested: bits & 4 != 0,
                })
            })
            .collect()
    }

    fn label(self, _: &Domain) -> String {
        match self.0.any() {
            false => "none".to_owned(),
            true => self.0.names().collect::<Vec<_>>().join(" "),
        }
    }

    #[inline]
    fn position(self, _: &Domain) -> Option<usize> {
        let mmu::WalkCaches {
            guest,
            host,
            nested,
        } = self.0;
        Some(usize::from(guest) | usize::from(host) << 1 | usize::from(nested) << 2)
    }
}

axis! {
    /// A number of hits in page-walk caches.
    pub enum Times {
        /// 0.
        Zero = "0",
        /// 1.
        Once = "1",
        /// 2.
        Twice = "2",
        /// 3 or more.
        ThreeOrMore = "3 or more",
    }
}

covergroup! {
    "walk-caches":
    "walks by the page-walk caches in use, and their hits in them";
    /// A walk ends.
    pub struct WalkCaches {
        used: InUse = "in use",
        times: Times = "times",
    }
}

impl Covergroup for WalkCaches {
    type Memory = ();

    fn visibility(self) -> Visibility {
        Visibility::Steps
    }

    fn is_able(self, device: &Abilities) -> bool {
        device.walk_caches
    }

    fn is_of(format: Format) -> bool {
        format.has_walk_caches()
    }

    fn rule(self, format: Format) -> Rule {
        let mmu::WalkCaches {
            guest,
            host,
            nested,
        } = self.used.0;
        let times = self.times as usize;
        Rule::unless(match (guest, host, nested) {
            (false, false, false) if times > 0 => Some("none is in use"),
            (true, false, false) if times > 1 => {
                Some("a walk is looked up in the guest cache once, at its start")
            }
            (_, false, true) if times > format.geometry().levels as usize => {
                Some("a walk reads no more guest entries than there are levels")
            }
            _ => None,
        })
    }

    #[inline]
    fn on_walk_end(_: &mut (), walk: &FinishedWalk<'_>, out: &mut Sampling<'_>) {
        out.hit(Self {
            used: InUse(walk.used),
            times: match walk.cache_hits {
                0 => Times::Zero,
                1 => Times::Once,
                2 => Times::Twice,
                _ => Times::ThreeOrMore,
            },
        });
    }
}
