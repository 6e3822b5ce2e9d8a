// SPDX-License-Identifier: Apache-2.0
//! What the device's walk caches hold, as `docs/ports.md`, "Walk caches", says: of what walks that have ended have read, as much
//! as there is room for, what was used last.
//!
//! A walk under way may have replaced some of it already: only a pass is proof that something was there.

use super::model::{CacheMet, WalkCache};
use crate::dut::variants::WalkCacheEntries;
use crate::format::Geometry;
use crate::mmu::{Fence, Query, Space, WalkCaches};

/// What a cache holds.
#[derive(Clone, Copy, Debug)]
struct Entry {
    space: Space,
    /// The gVA or gPA, from the bit up that counts.
    prefix: u64,
    /// A guest table with a global pointer before it.
    global: bool,
    /// What has spared it of fences since it was read: a set of [`CacheMet`].
    spared: u16,
    /// Its cache was not in use when it was read.
    read_off: bool,
    /// Its cache has not been in use at some time since.
    was_off: bool,
}

/// The walk caches of a device.
#[derive(Debug)]
pub(super) struct Held {
    geometry: Geometry,
    /// Entries that each kind of cache has room for, in the order of [`WalkCache::kind`].
    capacity: [usize; 3],
    used: WalkCaches,
    /// Each cache with its entries, the last used first.
    caches: Vec<(WalkCache, Vec<Entry>)>,
}

impl Held {
    /// They hold nothing.
    pub fn new(geometry: Geometry, entries: WalkCacheEntries, used: WalkCaches) -> Self {
        let capacity = [entries.guest, entries.host, entries.nested];
        let caches = WalkCache::all(&geometry);
        Self {
            geometry,
            capacity: capacity.map(|entries| entries as usize),
            used,
            caches: caches.map(|cache| (cache, Vec::new())).collect(),
        }
    }

    /// Other caches are in use from now on.
    pub fn use_now(&mut self, used: WalkCaches) {
        self.used = used;
        for (cache, entries) in &mut self.caches {
            if !cache.is_of(used) {
                entries.iter_mut().for_each(|entry| entry.was_off = true);
            }
        }
    }

    /// A cache is about to lead a walk. Where it has been switched on since what leads was read: the number of what that is in
    /// [`super::model::CACHE_SWITCHES`].
    pub fn led_after_switch(
        &mut self,
        cache: WalkCache,
        query: &Query,
        address: u64,
    ) -> Option<usize> {
        let (entries, entry) = self.taken(cache, query, address);
        let since = match (entry.read_off, entry.was_off) {
            (true, _) => Some(3),
            (false, true) => Some(2),
            (false, false) => None,
        };
        // It counts once.
        let (read_off, was_off) = (false, false);
        entries.insert(
            0,
            Entry {
                read_off,
                was_off,
                ..entry
            },
        );
        since
    }

    /// A walk has read what a cache keeps of an address.
    pub fn fill(&mut self, cache: WalkCache, query: &Query, address: u64, global: bool) {
        let read_off = !cache.is_of(self.used);
        let (entries, entry) = self.taken(cache, query, address);
        entries.insert(
            0,
            Entry {
                global,
                spared: 0,
                read_off,
                was_off: false,
                ..entry
            },
        );
    }

    /// A cache has led a walk. Gives what has spared the entry since it was read: a set of [`CacheMet`].
    pub fn pass(&mut self, cache: WalkCache, query: &Query, address: u64, global: bool) -> u16 {
        let (entries, entry) = self.taken(cache, query, address);
        entries.insert(0, Entry { global, ..entry });
        entry.spared
    }

    /// The entries of a cache, with room for one more, and that of an address, which is not among them any more.
    fn taken(&mut self, cache: WalkCache, query: &Query, address: u64) -> (&mut Vec<Entry>, Entry) {
        let space = space_of(cache, query);
        let prefix = address >> cache.reach(&self.geometry);
        let entries = &mut self.caches[cache.index(&self.geometry)].1;
        let at = entries
            .iter()
            .position(|entry| (entry.space, entry.prefix) == (space, prefix));
        let entry = match at {
            Some(at) => entries.remove(at),
            None => Entry {
                space,
                prefix,
                global: false,
                spared: 0,
                read_off: false,
                was_off: false,
            },
        };
        entries.truncate(self.capacity[cache.kind()].saturating_sub(1));
        (entries, entry)
    }

    /// What a fence meets in each cache, as a set of [`CacheMet`]; what it names is gone then.
    pub fn fence(&mut self, fence: &Fence) -> Vec<(WalkCache, u16)> {
        let geometry = &self.geometry;
        self.caches
            .iter_mut()
            .map(|(cache, entries)| {
                let mut met = 0;
                if entries.is_empty() {
                    met |= CacheMet::Nothing.bit();
                }
                entries.retain_mut(|entry| {
                    let how = meets(*cache, geometry, entry, fence);
                    met |= how.map_or(0, CacheMet::bit);
                    match how {
                        Some(CacheMet::Named | CacheMet::NamedGlobal) => false,
                        Some(spared) => {
                            entry.spared |= spared.bit();
                            true
                        }
                        None => true,
                    }
                });
                (*cache, met)
            })
            .collect()
    }
}

/// Of an address space, what a cache compares.
fn space_of(cache: WalkCache, query: &Query) -> Space {
    let space = query.context.space();
    match cache {
        WalkCache::Guest { .. } if space.virt => space,
        // Outside virtual machines there is no VMID.
        WalkCache::Guest { .. } => Space { vmid: 0, ..space },
        WalkCache::Host { .. } | WalkCache::Nested => Space {
            guest_levels: 0,
            asid: 0,
            ..space
        },
    }
}

/// How a fence meets an entry; none if several operands spare it.
fn meets(cache: WalkCache, geometry: &Geometry, entry: &Entry, fence: &Fence) -> Option<CacheMet> {
    let space = entry.space;
    if fence.virt != space.virt {
        return Some(CacheMet::OtherV);
    }
    let is_guest = matches!(cache, WalkCache::Guest { .. });
    let elsewhere = |address: u64| address >> cache.reach(geometry) != entry.prefix;
    let spared = [
        // Of the host's stage is no fence that names a gVA or an ASID.
        (
            fence.gva.is_some_and(|gva| !is_guest || elsewhere(gva.0)),
            CacheMet::ByGva,
        ),
        (
            matches!(cache, WalkCache::Host { .. })
                && fence.gpa.is_some_and(|gpa| elsewhere(gpa.0)),
            CacheMet::ByGpa,
        ),
        (
            fence
                .asid
                .is_some_and(|asid| !is_guest || asid != space.asid),
            CacheMet::ByAsid,
        ),
        (
            space.virt && fence.vmid.is_some_and(|vmid| vmid != space.vmid),
            CacheMet::ByVmid,
        ),
    ];
    let mut by = spared.iter().filter(|(spared, _)| *spared);
    match (by.next(), by.next()) {
        (None, _) if is_guest && entry.global && fence.asid.is_some() => {
            Some(CacheMet::NamedGlobal)
        }
        (None, _) => Some(CacheMet::Named),
        (Some((_, alone)), None) => Some(*alone),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::{Gpa, Gva};
    use crate::format::Format;
    use crate::mmu::{Access, Context, StageControl};

    const GUEST: WalkCache = WalkCache::Guest { level: 0 };
    const HOST: WalkCache = WalkCache::Host { level: 0 };

    fn query(virt: bool) -> Query {
        let host_levels = if virt { 3 } else { 0 };
        let stage = |levels| StageControl {
            levels,
            ..Default::default()
        };
        let context = Context {
            virt,
            guest: stage(3),
            host: stage(host_levels).with_root(Default::default()),
            asid: 1,
            vmid: 2,
            ..Context::handout(None, Default::default())
        };
        Query {
            context,
            gva: Gva(0),
            access: Access::Load,
        }
    }

    /// With an entry for address 0 in each cache.
    fn held(virt: bool, global: bool) -> Held {
        let geometry = Format::Rv64.geometry();
        let mut held = Held::new(geometry, WalkCacheEntries::all(2), WalkCaches::ALL);
        for cache in WalkCache::all(&geometry) {
            held.fill(cache, &query(virt), 0, global);
        }
        held
    }

    #[track_caller]
    fn assert_meets(held: &mut Held, fence: Fence, expected: [(WalkCache, CacheMet); 3]) {
        let met = held.fence(&fence);
        for (cache, how) in expected {
            let (_, met) = met.iter().find(|(other, _)| *other == cache).unwrap();
            assert_eq!(*met, how.bit(), "{cache:?}: {fence}");
        }
    }

    #[test]
    fn a_fence_names_or_spares_what_the_caches_hold() {
        use CacheMet::{ByAsid, ByGpa, ByGva, ByVmid, Named, NamedGlobal, Nothing, OtherV};
        let nested = WalkCache::Nested;
        let all = Fence::default();
        let near = Some(Gva(0x1F_F000));
        let far = Some(Gva(0x20_0000));
        let (near_gpa, far_gpa) = (Some(Gpa(0x1F_F000)), Some(Gpa(0x20_0000)));
        for (fence, guest, host, page) in [
            (all, Named, Named, Named),
            (Fence { virt: false, ..all }, OtherV, OtherV, OtherV),
            (Fence { gva: near, ..all }, Named, ByGva, ByGva),
            (Fence { gva: far, ..all }, ByGva, ByGva, ByGva),
            (
                Fence {
                    gpa: near_gpa,
                    ..all
                },
                Named,
                Named,
                Named,
            ),
            (
                Fence {
                    gpa: far_gpa,
                    ..all
                },
                Named,
                ByGpa,
                Named,
            ),
            (
                Fence {
                    asid: Some(1),
                    ..all
                },
                Named,
                ByAsid,
                ByAsid,
            ),
            (
                Fence {
                    asid: Some(3),
                    ..all
                },
                ByAsid,
                ByAsid,
                ByAsid,
            ),
            (
                Fence {
                    vmid: Some(2),
                    ..all
                },
                Named,
                Named,
                Named,
            ),
            (
                Fence {
                    vmid: Some(3),
                    ..all
                },
                ByVmid,
                ByVmid,
                ByVmid,
            ),
        ] {
            let mut held = held(true, false);
            assert_meets(
                &mut held,
                fence,
                [(GUEST, guest), (HOST, host), (nested, page)],
            );
            // What it names is gone, the rest is not.
            let again = |met| if met == Named { Nothing } else { met };
            let then = [guest, host, page].map(again);
            assert_meets(
                &mut held,
                fence,
                [(GUEST, then[0]), (HOST, then[1]), (nested, then[2])],
            );
        }
        let by_asid = Fence {
            asid: Some(1),
            ..all
        };
        let expected = [(GUEST, NamedGlobal), (HOST, ByAsid), (nested, ByAsid)];
        assert_meets(&mut held(true, true), by_asid, expected);
        // Several operands spare it: none does so alone.
        let several = Fence {
            gva: Some(Gva(1 << 50)),
            asid: Some(3),
            ..all
        };
        assert!(
            held(true, false)
                .fence(&several)
                .iter()
                .all(|(_, met)| *met == 0)
        );
        // Outside virtual machines a VMID says nothing.
        let native = Fence {
            virt: false,
            vmid: Some(9),
            ..all
        };
        assert_eq!(held(false, false).fence(&native)[0].1, Named.bit());
    }

    #[test]
    fn a_pass_tells_what_has_spared_its_entry_until_that_is_read_again() {
        let spares = Fence {
            vmid: Some(3),
            ..Fence::default()
        };
        let mut held = held(true, false);
        held.fence(&spares);
        assert_eq!(
            held.pass(GUEST, &query(true), 0x1000, false),
            CacheMet::ByVmid.bit()
        );
        held.fence(&Fence {
            virt: false,
            ..spares
        });
        let both = CacheMet::ByVmid.bit() | CacheMet::OtherV.bit();
        assert_eq!(held.pass(GUEST, &query(true), 0x1000, false), both);
        held.fill(GUEST, &query(true), 0x1000, false);
        assert_eq!(held.pass(GUEST, &query(true), 0x1000, false), 0);
    }

    #[test]
    fn what_was_used_last_is_held() {
        let spares = Fence {
            vmid: Some(3),
            ..Fence::default()
        };
        let mut held = held(true, false);
        held.fence(&spares);
        held.fill(GUEST, &query(true), 0x20_0000, false);
        assert_ne!(held.pass(GUEST, &query(true), 0, false), 0);
        held.fill(GUEST, &query(true), 0x40_0000, false);
        held.fill(GUEST, &query(true), 0x60_0000, false);
        // It has made room for the other two.
        assert_eq!(held.pass(GUEST, &query(true), 0, false), 0);
    }
}
