// SPDX-License-Identifier: Apache-2.0
//! Page-walk caches, the entries that a hit leads to, and the effects of fences on them.

use super::super::covergroup::{AxisValue, axis};
use super::super::domain::Domain;
use super::WalkPosition;
use crate::dut::Pass;
use crate::golden::occupancy::PageWalkCache;
use crate::golden::occupancy::page_walk_cache::{FenceEffect, FenceEffects};
use crate::mmu::WalkCaches;

axis! {
    /// A kind of page-walk cache.
    pub enum CacheKind {
        /// The cache of guest tables.
        Guest = "guest cache",
        /// The cache of host tables.
        Host = "host cache",
        /// The nested TLB: the pages of guest tables.
        Nested = "nested TLB",
    }
}

impl CacheKind {
    /// Returns the kind of a cache.
    pub fn of(cache: PageWalkCache) -> Self {
        match cache {
            PageWalkCache::Guest { .. } => Self::Guest,
            PageWalkCache::Host { .. } => Self::Host,
            PageWalkCache::Nested => Self::Nested,
        }
    }

    /// Returns true if the kind is in `used`.
    pub fn is_in(self, used: WalkCaches) -> bool {
        match self {
            Self::Guest => used.guest,
            Self::Host => used.host,
            Self::Nested => used.nested,
        }
    }
}

impl AxisValue for PageWalkCache {
    fn values(domain: &Domain) -> Vec<Self> {
        Self::all(&domain.geometry).collect()
    }

    fn label(self, domain: &Domain) -> String {
        let name = |level| domain.format.level_name(level);
        match self {
            Self::Guest { level } => format!("guest {}", name(level)),
            Self::Host { level } => format!("host {}", name(level)),
            Self::Nested => "nested".to_owned(),
        }
    }

    #[inline]
    fn position(self, domain: &Domain) -> Option<usize> {
        Some(self.index(&domain.geometry))
    }
}

/// A hit in a page-walk cache: the cache, and the entry that it led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheHitAt {
    /// The cache.
    pub pass: Pass,
    /// The entry.
    pub entry: WalkPosition,
}

impl CacheHitAt {
    /// Returns the page-walk cache of the hit; none if there was no hit.
    pub fn cache(self) -> Option<PageWalkCache> {
        let level = self.entry.level();
        match self.pass {
            Pass::None => None,
            Pass::Guest => Some(PageWalkCache::Guest { level }),
            Pass::Host => Some(PageWalkCache::Host { level }),
            Pass::Nested => Some(PageWalkCache::Nested),
        }
    }
}

impl AxisValue for CacheHitAt {
    fn values(domain: &Domain) -> Vec<Self> {
        domain.cache_hits.clone()
    }

    fn label(self, domain: &Domain) -> String {
        let kind = self
            .cache()
            .map_or("nothing", |cache| CacheKind::of(cache).name());
        format!("{kind} to {}", self.entry.describe(domain.format))
    }

    fn position(self, domain: &Domain) -> Option<usize> {
        domain.cache_hits.iter().position(|&known| known == self)
    }
}

axis! {
    /// The way in which a fence meets an entry of a page-walk cache.
    pub enum CacheMet {
        /// It matches the entry.
        Matched = "what it names",
        /// It matches a guest table below a global pointer, by its ASID.
        MatchedGlobal = "what it names, behind a global pointer",
        /// The entry is of the other V.
        OtherV = "what is of the other V",
        /// Only its gVA does not match.
        ByGva = "what is spared by gVA",
        /// Only its gPA does not match.
        ByGpa = "what is spared by gPA",
        /// Only its ASID does not match.
        ByAsid = "what is spared by ASID",
        /// Only its VMID does not match.
        ByVmid = "what is spared by VMID",
        /// No entry of the cache is known.
        Nothing = "nothing",
    }
}

impl CacheMet {
    /// The ways in which an entry stays in its cache.
    pub const SPARED: [Self; 5] = [
        Self::OtherV,
        Self::ByGva,
        Self::ByGpa,
        Self::ByAsid,
        Self::ByVmid,
    ];

    /// Returns true if a fence met entries in this way, from its effects on a cache; none for an
    /// empty cache.
    pub fn is_in(self, effects: Option<FenceEffects>) -> bool {
        match (effects, self.effect()) {
            (Some(effects), Some(effect)) => effects.contains(effect),
            (effects, effect) => effects.is_none() && effect.is_none(),
        }
    }

    fn effect(self) -> Option<FenceEffect> {
        match self {
            Self::Matched => Some(FenceEffect::Invalidated),
            Self::MatchedGlobal => Some(FenceEffect::InvalidatedGlobal),
            Self::OtherV => Some(FenceEffect::OtherV),
            Self::ByGva => Some(FenceEffect::SparedByGva),
            Self::ByGpa => Some(FenceEffect::SparedByGpa),
            Self::ByAsid => Some(FenceEffect::SparedByAsid),
            Self::ByVmid => Some(FenceEffect::SparedByVmid),
            Self::Nothing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::model::Model;
    use crate::format::Format;

    #[test]
    fn a_way_to_meet_a_cache_is_an_effect_or_that_the_cache_is_empty() {
        for &met in CacheMet::ALL {
            let is_nothing = met == CacheMet::Nothing;
            assert_eq!(met.is_in(None), is_nothing, "{met:?}");
            assert!(!met.is_in(Some(FenceEffects::default())), "{met:?}");
        }
    }

    #[test]
    fn each_hit_on_the_axis_is_of_a_cache_of_the_format() {
        for format in [Format::Rv32, Format::Rv64] {
            let domain = &Model::of(format).domain;
            for hit in CacheHitAt::values(domain) {
                let cache = hit.cache().unwrap();
                assert!(PageWalkCache::values(domain).contains(&cache), "{hit:?}");
            }
        }
    }
}
