// SPDX-License-Identifier: Apache-2.0
//! `pass-after`: hits in page-walk caches after fences that did not match the entry.

use super::cache_fence::ANY_GPA;
use crate::coverage::abilities::Abilities;
use crate::coverage::axes::CacheMet;
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{AxisValue, Covergroup, Rule, covergroup};
use crate::coverage::domain::Domain;
use crate::coverage::events::CacheHit;
use crate::dut::description::Visibility;
use crate::format::Format;
use crate::golden::occupancy::PageWalkCache;

/// The one operand by which fences did not match an entry since it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SparedBy(pub CacheMet);

impl AxisValue for SparedBy {
    fn values(_: &Domain) -> Vec<Self> {
        CacheMet::SPARED.map(Self).to_vec()
    }

    fn label(self, _: &Domain) -> String {
        self.0.name().to_owned()
    }

    fn position(self, _: &Domain) -> Option<usize> {
        CacheMet::SPARED.iter().position(|&known| known == self.0)
    }
}

covergroup! {
    "pass-after":
    "hits in page-walk caches, by the one operand with which fences spared the entry since it was \
     read";
    /// A walk hits in a page-walk cache.
    pub struct PassAfter {
        cache: PageWalkCache = "cache",
        spared: SparedBy = "spared",
    }
}

impl Covergroup for PassAfter {
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
        match (self.cache, self.spared) {
            (PageWalkCache::Guest { .. } | PageWalkCache::Nested, SparedBy(CacheMet::ByGpa)) => {
                Rule::Impossible(ANY_GPA)
            }
            _ => Rule::Reachable,
        }
    }

    #[inline]
    fn on_cache_hit(_: &mut (), hit: &CacheHit<'_>, out: &mut Sampling<'_>) {
        for by in CacheMet::SPARED {
            if by.is_in(Some(hit.spared)) {
                out.hit(Self {
                    cache: hit.cache,
                    spared: SparedBy(by),
                });
            }
        }
    }
}
