// SPDX-License-Identifier: Apache-2.0
//! The entries of page-walk caches in the order of their use, for code that counts the entries that
//! fences and walks meet.
//!
//! The model contains the entries that ended walks have read, up to the capacity of each cache,
//! most recently used first (`docs/ports.md`, "Walk caches"). A walk in flight may already have
//! replaced some of them, so only a hit shows that an entry was present.

use super::{Entries, Key, PageWalkCache};
use crate::addr::Gpa;
use crate::format::Geometry;
use crate::mmu::{Fence, Query, WalkCaches};

/// The effect of a fence on an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FenceEffect {
    /// The fence has invalidated it.
    Invalidated,
    /// A fence by ASID has invalidated it, although a pointer on the path to it is global.
    InvalidatedGlobal,
    /// The entry is of the other V.
    OtherV,
    /// Only the fence's gVA does not match the entry.
    SparedByGva,
    /// Only the fence's gPA does not match the entry.
    SparedByGpa,
    /// Only the fence's ASID does not match the entry.
    SparedByAsid,
    /// Only the fence's VMID does not match the entry.
    SparedByVmid,
}

/// A set of effects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FenceEffects(u8);

impl FenceEffects {
    /// Returns true if the set has the effect.
    pub fn contains(self, effect: FenceEffect) -> bool {
        self.0 & 1 << effect as u8 != 0
    }

    /// Returns true if the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Adds an effect.
    fn insert(&mut self, effect: FenceEffect) {
        self.0 |= 1 << effect as u8;
    }
}

/// The time in which a cache was switched off, for an entry that hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchedOff {
    /// The cache was not in use when the entry was read.
    WhenRead,
    /// The cache was in use when the entry was read, and has not been in use at some time since.
    Since,
}

#[derive(Clone, Copy, Debug)]
struct RecentEntry {
    key: Key,
    /// The entry is a guest table below a global pointer.
    is_global: bool,
    /// The reasons for which fences have not matched the entry since it was read.
    spared: FenceEffects,
    switched_off: Option<SwitchedOff>,
}

#[derive(Debug)]
struct Cache {
    cache: PageWalkCache,
    /// The entries, most recently used first.
    entries: Vec<RecentEntry>,
}

/// The page-walk caches of a device.
#[derive(Debug)]
pub struct RecentEntries {
    geometry: Geometry,
    /// The number of entries of each cache.
    capacity: Entries,
    used: WalkCaches,
    caches: Vec<Cache>,
}

impl RecentEntries {
    /// Makes empty caches with `capacity` entries.
    pub fn new(geometry: Geometry, capacity: impl Into<Entries>, used: WalkCaches) -> Self {
        let caches = PageWalkCache::all(&geometry).map(|cache| Cache {
            cache,
            entries: Vec::new(),
        });
        Self {
            geometry,
            capacity: capacity.into(),
            used,
            caches: caches.collect(),
        }
    }

    /// Records that another set of caches is in use from now on.
    pub fn on_switch(&mut self, used: WalkCaches) {
        self.used = used;
        for Cache { cache, entries } in &mut self.caches {
            if !cache.is_in(used) {
                for entry in entries {
                    entry.switched_off.get_or_insert(SwitchedOff::Since);
                }
            }
        }
    }

    /// Records that a walk has read an entry that a cache keeps for a query and a gPA. `is_global`:
    /// it is a guest table below a global pointer.
    pub fn on_fill(&mut self, cache: PageWalkCache, query: &Query, gpa: Gpa, is_global: bool) {
        let is_off = !cache.is_in(self.used);
        let (entries, entry) = self.take(cache, query, gpa);
        entries.insert(
            0,
            RecentEntry {
                is_global,
                spared: FenceEffects::default(),
                switched_off: is_off.then_some(SwitchedOff::WhenRead),
                ..entry
            },
        );
    }

    /// Records a hit. Returns the effects of fences on the entry since it was read. The first hit
    /// after the cache was switched off also returns when that was.
    pub fn on_hit(
        &mut self,
        cache: PageWalkCache,
        query: &Query,
        gpa: Gpa,
        is_global: bool,
    ) -> (FenceEffects, Option<SwitchedOff>) {
        let (entries, entry) = self.take(cache, query, gpa);
        let switched_off = None;
        entries.insert(
            0,
            RecentEntry {
                is_global,
                switched_off,
                ..entry
            },
        );
        (entry.spared, entry.switched_off)
    }

    /// Removes the entry for a query and a gPA from a cache, and makes room for one. Returns a new
    /// entry if the cache has none.
    fn take(
        &mut self,
        cache: PageWalkCache,
        query: &Query,
        gpa: Gpa,
    ) -> (&mut Vec<RecentEntry>, RecentEntry) {
        let key = Key::new(&self.geometry, cache, query, gpa);
        let entries = &mut self.caches[cache.index(&self.geometry)].entries;
        let entry = match entries.iter().position(|entry| entry.key == key) {
            Some(at) => entries.remove(at),
            None => RecentEntry {
                key,
                is_global: false,
                spared: FenceEffects::default(),
                switched_off: None,
            },
        };
        entries.truncate(self.capacity.of(cache).saturating_sub(1) as usize);
        (entries, entry)
    }

    /// Records that a fence was accepted. Returns its effects on each cache; none for a cache that
    /// was empty.
    pub fn on_fence(&mut self, fence: &Fence) -> Vec<(PageWalkCache, Option<FenceEffects>)> {
        let geometry = &self.geometry;
        let effects_on = |Cache { cache, entries }: &mut Cache| {
            let mut effects = (!entries.is_empty()).then(FenceEffects::default);
            entries.retain_mut(|entry| {
                let effect = effect_on(geometry, entry, fence);
                if let (Some(effects), Some(effect)) = (&mut effects, effect) {
                    effects.insert(effect);
                }
                match effect {
                    Some(FenceEffect::Invalidated | FenceEffect::InvalidatedGlobal) => false,
                    Some(spared) => {
                        entry.spared.insert(spared);
                        true
                    }
                    None => true,
                }
            });
            (*cache, effects)
        };
        self.caches.iter_mut().map(effects_on).collect()
    }
}

/// Returns the effect of a fence on an entry; none if several operands do not match it.
fn effect_on(geometry: &Geometry, entry: &RecentEntry, fence: &Fence) -> Option<FenceEffect> {
    let Key { cache, tag, .. } = entry.key;
    if fence.virt != tag.virt {
        return Some(FenceEffect::OtherV);
    }
    let is_guest = matches!(cache, PageWalkCache::Guest { .. });
    let is_host = matches!(cache, PageWalkCache::Host { .. });
    let is_elsewhere = |address: u64| !entry.key.covers(geometry, address);
    let with_vmid_alone = Fence {
        virt: fence.virt,
        vmid: fence.vmid,
        ..Fence::default()
    };
    let spared = [
        // A fence with a gVA or an ASID is not a fence of the host stage.
        (
            (fence.gva).is_some_and(|gva| !is_guest || is_elsewhere(gva.0)),
            FenceEffect::SparedByGva,
        ),
        (
            is_host && fence.gpa.is_some_and(|gpa| is_elsewhere(gpa.0)),
            FenceEffect::SparedByGpa,
        ),
        (
            (fence.asid).is_some_and(|asid| !is_guest || asid != tag.asid),
            FenceEffect::SparedByAsid,
        ),
        (!with_vmid_alone.matches_tag(tag), FenceEffect::SparedByVmid),
    ];
    let mut by = spared.iter().filter(|(is_spared, _)| *is_spared);
    match (by.next(), by.next()) {
        (None, _) if is_guest && entry.is_global && fence.asid.is_some() => {
            Some(FenceEffect::InvalidatedGlobal)
        }
        (None, _) => Some(FenceEffect::Invalidated),
        (Some((_, alone)), None) => Some(*alone),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Gva;
    use crate::format::Format;
    use crate::occupancy::test_support::{ASID, VMID, native, query};

    const GUEST: PageWalkCache = PageWalkCache::Guest { level: 0 };
    const HOST: PageWalkCache = PageWalkCache::Host { level: 0 };
    const NESTED: PageWalkCache = PageWalkCache::Nested;

    /// Caches that each have an entry for address 0.
    fn filled(query: &Query, is_global: bool) -> RecentEntries {
        let geometry = Format::Rv64.geometry();
        let mut recent = RecentEntries::new(geometry, 2, WalkCaches::ALL);
        for cache in PageWalkCache::all(&geometry) {
            recent.on_fill(cache, query, Gpa(0), is_global);
        }
        recent
    }

    fn only(effect: FenceEffect) -> FenceEffects {
        let mut effects = FenceEffects::default();
        effects.insert(effect);
        effects
    }

    #[track_caller]
    fn assert_effects(
        recent: &mut RecentEntries,
        fence: Fence,
        expected: [Option<FenceEffect>; 3],
    ) {
        let effects = recent.on_fence(&fence);
        for (cache, effect) in [GUEST, HOST, NESTED].into_iter().zip(expected) {
            let (_, effects) = effects.iter().find(|(other, _)| *other == cache).unwrap();
            assert_eq!(*effects, effect.map(only), "{cache:?}: {fence}");
        }
    }

    #[test]
    fn a_fence_invalidates_or_spares_what_the_caches_contain() {
        use FenceEffect::{
            Invalidated, InvalidatedGlobal, OtherV, SparedByAsid, SparedByGpa, SparedByGva,
            SparedByVmid,
        };
        let all = Fence::default();
        let gva = |gva| Fence {
            gva: Some(Gva(gva)),
            ..all
        };
        let gpa = |gpa| Fence {
            gpa: Some(Gpa(gpa)),
            ..all
        };
        let asid = |asid| Fence {
            asid: Some(asid),
            ..all
        };
        let vmid = |vmid| Fence {
            vmid: Some(vmid),
            ..all
        };
        for (fence, effects) in [
            (all, [Invalidated; 3]),
            (Fence { virt: false, ..all }, [OtherV; 3]),
            (gva(0x1F_F000), [Invalidated, SparedByGva, SparedByGva]),
            (gva(0x20_0000), [SparedByGva; 3]),
            (gpa(0x1F_F000), [Invalidated; 3]),
            (gpa(0x20_0000), [Invalidated, SparedByGpa, Invalidated]),
            (asid(ASID), [Invalidated, SparedByAsid, SparedByAsid]),
            (asid(ASID + 1), [SparedByAsid; 3]),
            (vmid(VMID), [Invalidated; 3]),
            (vmid(VMID + 1), [SparedByVmid; 3]),
        ] {
            let mut recent = filled(&query(0), false);
            assert_effects(&mut recent, fence, effects.map(Some));
            // The entries that the fence has invalidated are absent then, and the others are
            // present.
            let again = effects.map(|effect| Some(effect).filter(|one| *one != Invalidated));
            assert_effects(&mut recent, fence, again);
        }
        let effects = [InvalidatedGlobal, SparedByAsid, SparedByAsid].map(Some);
        assert_effects(&mut filled(&query(0), true), asid(ASID), effects);
        // If several operands do not match an entry, none of them is the only one.
        let several = Fence {
            gva: Some(Gva(1 << 50)),
            ..asid(ASID + 1)
        };
        let effects = filled(&query(0), false).on_fence(&several);
        assert!(
            effects
                .iter()
                .all(|(_, effects)| effects.unwrap().is_empty())
        );
        // A VMID is ignored if V is 0.
        let fence = Fence {
            virt: false,
            ..vmid(VMID + 1)
        };
        let effects = filled(&native(0), false).on_fence(&fence);
        assert_eq!(effects[0].1, Some(only(Invalidated)));
    }

    #[test]
    fn a_hit_tells_what_has_spared_its_entry_until_the_entry_is_read_again() {
        let spares = Fence {
            vmid: Some(VMID + 1),
            ..Fence::default()
        };
        let mut recent = filled(&query(0), false);
        recent.on_fence(&spares);
        let hit = |recent: &mut RecentEntries| {
            let (spared, _) = recent.on_hit(GUEST, &query(0x1000), Gpa(0), false);
            spared
        };
        assert_eq!(hit(&mut recent), only(FenceEffect::SparedByVmid));
        recent.on_fence(&Fence {
            virt: false,
            ..spares
        });
        let mut both = only(FenceEffect::SparedByVmid);
        both.insert(FenceEffect::OtherV);
        assert_eq!(hit(&mut recent), both);
        assert!(both.contains(FenceEffect::OtherV));
        recent.on_fill(GUEST, &query(0x1000), Gpa(0), false);
        assert!(hit(&mut recent).is_empty());
    }

    #[test]
    fn a_hit_tells_once_that_its_cache_was_off() {
        let hit = |recent: &mut RecentEntries| {
            let (_, switched_off) = recent.on_hit(GUEST, &query(0), Gpa(0), false);
            switched_off
        };
        let off = WalkCaches {
            guest: false,
            ..WalkCaches::ALL
        };
        let mut recent = filled(&query(0), false);
        assert_eq!(hit(&mut recent), None);
        recent.on_switch(off);
        recent.on_switch(WalkCaches::ALL);
        assert_eq!(hit(&mut recent), Some(SwitchedOff::Since));
        assert_eq!(hit(&mut recent), None);
        recent.on_switch(off);
        recent.on_fill(GUEST, &query(0), Gpa(0), false);
        recent.on_switch(off);
        assert_eq!(hit(&mut recent), Some(SwitchedOff::WhenRead));
    }

    #[test]
    fn the_last_used_entries_are_there() {
        let spares = Fence {
            vmid: Some(VMID + 1),
            ..Fence::default()
        };
        let mut recent = filled(&query(0), false);
        recent.on_fence(&spares);
        let fill = |recent: &mut RecentEntries, gva| {
            recent.on_fill(GUEST, &query(gva), Gpa(0), false);
        };
        let is_there = |recent: &mut RecentEntries| {
            let (spared, _) = recent.on_hit(GUEST, &query(0), Gpa(0), false);
            !spared.is_empty()
        };
        fill(&mut recent, 0x20_0000);
        assert!(is_there(&mut recent));
        fill(&mut recent, 0x40_0000);
        fill(&mut recent, 0x60_0000);
        // The other entries have replaced it.
        assert!(!is_there(&mut recent));
    }
}
