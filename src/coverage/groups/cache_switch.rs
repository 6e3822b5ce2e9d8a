// SPDX-License-Identifier: Apache-2.0
//! `cache-switch`: page-walk caches that are switched on and off.

use crate::coverage::abilities::Abilities;
use crate::coverage::axes::{CacheKind, CacheMet};
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{AxisValue, Covergroup, axis, covergroup};
use crate::coverage::domain::Domain;
use crate::coverage::events::{self, CacheFence, CacheHit};
use crate::coverage::goal::{Goal, Situation};
use crate::dut::description::Visibility;
use crate::format::Format;
use crate::golden::occupancy::page_walk_cache::SwitchedOff;
use crate::mmu::WalkCaches;

/// The kind of page-walk cache that is switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Switched(pub CacheKind);

impl AxisValue for Switched {
    fn values(_: &Domain) -> Vec<Self> {
        CacheKind::ALL.iter().copied().map(Self).collect()
    }

    fn label(self, _: &Domain) -> String {
        WalkCaches::NAMES[self.0 as usize].to_owned()
    }

    #[inline]
    fn position(self, _: &Domain) -> Option<usize> {
        Some(self.0 as usize)
    }
}

axis! {
    /// An event of a page-walk cache that is switched.
    pub enum Then {
        /// It is switched on.
        On = "it is switched on",
        /// It is switched off.
        Off = "it is switched off",
        /// It hits an entry that was read before it was switched off.
        HitOldEntry = "it leads by what it had before it was off",
        /// It hits an entry that was read while it was off.
        HitNewEntry = "it leads by what it has taken while it was off",
        /// A fence matches one of its entries while it is off.
        Fenced = "a fence names what it has while it is off",
    }
}

covergroup! {
    "cache-switch":
    "page-walk caches that are switched on and off while no walk is in flight";
    /// A page-walk cache is switched, or is used or matched by a fence after it was switched off.
    pub struct CacheSwitch {
        cache: Switched = "cache",
        then: Then = "and",
    }
}

impl Covergroup for CacheSwitch {
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

    fn goal(self, _: Format) -> Option<Goal> {
        Some(Goal::Situation(Situation::CacheSwitch(self)))
    }

    fn on_cache_switch(_: &mut (), switch: &events::CacheSwitch, out: &mut Sampling<'_>) {
        out.hit(Self {
            cache: Switched(switch.kind),
            then: if switch.is_on { Then::On } else { Then::Off },
        });
    }

    #[inline]
    fn on_cache_hit(_: &mut (), hit: &CacheHit<'_>, out: &mut Sampling<'_>) {
        if let Some(since) = hit.switched_off {
            out.hit(Self {
                cache: Switched(CacheKind::of(hit.cache)),
                then: match since {
                    SwitchedOff::Since => Then::HitOldEntry,
                    SwitchedOff::WhenRead => Then::HitNewEntry,
                },
            });
        }
    }

    #[inline]
    fn on_cache_fence(_: &mut (), fence: &CacheFence, out: &mut Sampling<'_>) {
        if !fence.is_used && fence.met == CacheMet::Matched {
            out.hit(Self {
                cache: Switched(CacheKind::of(fence.cache)),
                then: Then::Fenced,
            });
        }
    }
}
