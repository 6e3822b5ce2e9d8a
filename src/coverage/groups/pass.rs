// SPDX-License-Identifier: Apache-2.0
//! `pass`: hits in page-walk caches.

use crate::coverage::abilities::Abilities;
use crate::coverage::axes::{CacheHitAt, Mode, OFF, WalkPosition};
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, covergroup};
use crate::coverage::events::CacheHit;
use crate::dut;
use crate::dut::description::Visibility;
use crate::format::Format;

covergroup! {
    "pass":
    "hits in page-walk caches, by the entry that they led to and by mode";
    /// A walk hits in a page-walk cache.
    pub struct Pass {
        mode: Mode = "mode",
        led: CacheHitAt = "led",
    }
}

impl Covergroup for Pass {
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

    fn rule(self, _: Format) -> Rule {
        const ROOT: &str = "a walk cache leads to no root but by way of the nested TLB";
        let CacheHitAt { pass, entry } = self.led;
        let is_nested = pass == dut::Pass::Nested;
        let levels = match entry {
            WalkPosition::Guest { .. } => self.mode.guest,
            WalkPosition::Host { .. } => self.mode.host,
        };
        let is_root = entry.level() + 1 == u32::from(levels);
        Rule::unless(match self.mode.lacks(entry) {
            None if is_nested && self.mode.host == 0 => Some(OFF),
            None if !is_nested && is_root => Some(ROOT),
            why => why,
        })
    }

    #[inline]
    fn on_cache_hit(_: &mut (), hit: &CacheHit<'_>, out: &mut Sampling<'_>) {
        out.hit(Self {
            mode: Mode::of(&hit.query.context),
            led: hit.at,
        });
    }
}
