// SPDX-License-Identifier: Apache-2.0
//! The must-contain model of page-walk caches: the entries that were filled or used last, until a
//! fence may have invalidated them.
//!
//! `docs/ports.md`, "Walk caches": of n entries, the log2(n) + 1 that were filled or used last are
//! present. The cycle of a fill is known. The cycle of a use is not known: it is between the event
//! before the lookup and the next read. So a use counts against other entries from its earliest
//! cycle on. It counts for its own entry only if no other use or fill can have come later.

use super::{AcceptedEntry, Entries, Key, NextAccess, PageWalkCache};
use crate::addr::Gpa;
use crate::format::riscv::Entry;
use crate::format::{Format, Geometry};
use crate::mmu::{Fence, Query, WalkCaches};
use crate::occupancy::tree_plru_others;

/// Number of levels that a device can report.
const LEVELS: usize = 8;

/// The page-walk caches of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The number of entries of each cache.
    pub entries: Entries,
    /// The largest number of levels of a stage.
    pub max_levels: u32,
    /// The caches that are in use after reset.
    pub used: WalkCaches,
    /// The caches that are in use at some time. These are filled at all times.
    pub ever: WalkCaches,
}

/// A lookup of a walk in the caches, which is outstanding or done.
#[derive(Clone, Copy, Debug)]
pub struct LookUp {
    /// The cycle in which the walk began, or accepted the entry before.
    pub since: u64,
    /// It is the lookup before the walk's first entry. Guest tables are looked up only then.
    pub is_first: bool,
}

/// A lookup that is done: the walk has accepted an entry since.
#[derive(Debug)]
pub struct LookUpResult<'a> {
    /// The walk's query.
    pub query: &'a Query,
    /// The entry.
    pub entry: &'a AcceptedEntry,
    /// The look-up.
    pub look_up: LookUp,
    /// The cycle in which memory granted the read of the entry.
    pub read: u64,
    /// A fence was accepted after the earliest cycle of the lookup.
    pub is_fenced: bool,
}

/// An entry that a cache certainly contains.
#[derive(Clone, Copy, Debug)]
struct CertainEntry {
    key: Key,
    /// The entry has been present in every cycle since this one.
    since: u64,
    /// The entry was last touched (filled or used) between `earliest` and `latest`, both included.
    earliest: u64,
    latest: u64,
    /// Upper bound of the other entries that were touched since.
    others: u32,
    /// The cycle of the last fill of another entry since. Only a fill replaces an entry.
    pushed: Option<u64>,
}

impl CertainEntry {
    /// Returns true if the entry is certainly present, even if each outstanding lookup has touched
    /// another entry. `open` returns the number of outstanding lookups that began before a cycle.
    fn is_sure(&self, most: u32, open: impl FnOnce(u64) -> u32) -> bool {
        self.pushed
            .is_none_or(|pushed| self.others + open(pushed) <= most)
    }
}

#[derive(Debug)]
struct Cache {
    /// Number of other entries that may be touched after an entry before a fill can replace it.
    most: u32,
    entries: Vec<CertainEntry>,
    /// The latest cycle in which an entry may have been touched.
    touched: u64,
}

impl Cache {
    fn new(entries: u32) -> Self {
        Self {
            most: tree_plru_others(entries.max(1)),
            entries: Vec::new(),
            touched: 0,
        }
    }
}

/// A touch of an entry: a fill or a use.
enum Touch {
    Fill {
        cycle: u64,
    },
    /// A use between two cycles. `is_fenced`: a fence may have invalidated the entry since.
    Use {
        after: u64,
        before: u64,
        is_fenced: bool,
    },
}

/// The must-contain model of page-walk caches.
#[derive(Debug)]
pub struct MustContain {
    geometry: Geometry,
    /// Number of gPA bits that the device compares.
    host_width: u32,
    used: WalkCaches,
    ever: WalkCaches,
    /// The caches of guest tables by level, those of host tables by level, and the nested TLB.
    caches: [Cache; 2 * LEVELS + 1],
}

/// Returns the number of gPA bits that matter: the bits that a host stage of so many levels
/// translates, or the bits of an hPA if those are more, because a gPA is an hPA with the host stage
/// off.
fn host_width(geometry: &Geometry, levels: u32) -> u32 {
    let mapped = geometry.offset_width
        + levels.min(geometry.levels) * geometry.index_width
        + geometry.host_root_extra;
    mapped.max(geometry.hpa_width)
}

impl MustContain {
    /// Makes empty caches.
    pub fn new(format: Format, setup: &Setup) -> Self {
        let geometry = format.geometry();
        Self {
            geometry,
            host_width: host_width(&geometry, setup.max_levels),
            used: setup.used,
            ever: setup.ever,
            caches: std::array::from_fn(|place| {
                let Entries {
                    guest,
                    host,
                    nested,
                } = setup.entries;
                Cache::new(match place / LEVELS {
                    0 => guest,
                    1 => host,
                    _ => nested,
                })
            }),
        }
    }

    /// Records that another set of caches is in use from now on. No walk is in flight.
    pub fn on_switch(&mut self, used: WalkCaches) {
        self.used = used;
    }

    fn place(cache: PageWalkCache) -> usize {
        match cache {
            PageWalkCache::Guest { level } => level as usize % LEVELS,
            PageWalkCache::Host { level } => LEVELS + level as usize % LEVELS,
            PageWalkCache::Nested => 2 * LEVELS,
        }
    }

    fn key(&self, cache: PageWalkCache, query: &Query, gpa: Gpa) -> Key {
        Key::new(&self.geometry, cache, query, gpa)
    }

    /// Returns a cache in which the walk's lookup must have hit, but did not: it contained an entry
    /// that points further down than the entry the walk has accepted. `open` returns the number of
    /// outstanding lookups of other walks that began before a cycle; with true, only lookups of
    /// guest tables count.
    pub fn missed(
        &self,
        result: &LookUpResult<'_>,
        open: impl Fn(bool, u64) -> u32,
    ) -> Option<PageWalkCache> {
        let LookUpResult { query, entry, .. } = *result;
        let guest_levels = u32::from(query.context.guest.levels);
        let host_levels = u32::from(query.context.host.levels);
        let must_contain = |cache: &PageWalkCache| {
            let is_guest = matches!(cache, PageWalkCache::Guest { .. });
            let key = self.key(*cache, query, entry.gpa);
            let Cache { entries, most, .. } = &self.caches[Self::place(*cache)];
            let mut entries = entries.iter();
            entries.find(|one| one.key == key).is_some_and(|one| {
                one.since <= result.look_up.since
                    && one.is_sure(*most, |cycle| open(is_guest, cycle))
            })
        };

        if self.used.guest && result.look_up.is_first {
            let levels = match entry.led_by {
                // The root's level counts as the level above the topmost cache.
                Some(PageWalkCache::Guest { level }) => level + 1,
                _ => guest_levels,
            };
            let levels = levels.min(guest_levels).saturating_sub(1);
            let mut caches = (0..levels).map(|level| PageWalkCache::Guest { level });
            if let Some(cache) = caches.find(must_contain) {
                return Some(cache);
            }
        }
        let leads_to_guest_entry = matches!(
            entry.led_by,
            Some(PageWalkCache::Guest { .. } | PageWalkCache::Nested)
        );
        if leads_to_guest_entry || host_levels == 0 {
            return None;
        }
        let nested = PageWalkCache::Nested;
        if self.used.nested && entry.is_for_guest_entry && must_contain(&nested) {
            return Some(nested);
        }
        if self.used.host {
            let levels = match entry.led_by {
                Some(PageWalkCache::Host { level }) => level + 1,
                _ => host_levels,
            };
            let levels = levels.min(host_levels).saturating_sub(1);
            let mut caches = (0..levels).map(|level| PageWalkCache::Host { level });
            return caches.find(must_contain);
        }
        None
    }

    /// Returns the cycle since which a cache has contained the entry that a walk must have hit.
    #[cold]
    pub fn since(&self, query: &Query, entry: &AcceptedEntry, cache: PageWalkCache) -> Option<u64> {
        let key = self.key(cache, query, entry.gpa);
        let mut entries = self.caches[Self::place(cache)].entries.iter();
        entries.find(|one| one.key == key).map(|one| one.since)
    }

    /// Records a lookup of a walk. If it hit, the cache has used an entry.
    pub fn on_hit(&mut self, result: &LookUpResult<'_>, open: impl Fn(bool, u64) -> u32) {
        let LookUpResult { query, entry, .. } = *result;
        if let Some(cache) = entry.led_by {
            let touch = Touch::Use {
                after: result.look_up.since,
                before: result.read,
                is_fenced: result.is_fenced,
            };
            self.touch(self.key(cache, query, entry.gpa), &touch, open);
        }
    }

    /// Records that a walk which no fence has overtaken has accepted an entry. The caches are
    /// filled with the parts of it that they can keep.
    pub fn on_fill(
        &mut self,
        query: &Query,
        entry: &AcceptedEntry,
        cycle: u64,
        open: impl Fn(bool, u64) -> u32,
    ) {
        let Some(word) = entry.word.filter(|_| entry.next != NextAccess::Fault) else {
            return;
        };
        let fill = Touch::Fill { cycle };
        let (level, levels, is_used) = match entry.table {
            PageWalkCache::Guest { level } => (level, query.context.guest.levels, self.ever.guest),
            PageWalkCache::Host { level } => (level, query.context.host.levels, self.ever.host),
            PageWalkCache::Nested => return,
        };
        if is_used && !entry.is_update && level + 1 < levels.into() {
            self.touch(self.key(entry.table, query, entry.gpa), &fill, &open);
        }
        // The entry is a leaf, and A and D need no update, because the guest entry is read next.
        let is_host = matches!(entry.table, PageWalkCache::Host { .. });
        let is_found = entry.next == NextAccess::Read && !Entry(word).is_pointer();
        if is_host && self.ever.nested && entry.is_for_guest_entry && is_found {
            let key = self.key(PageWalkCache::Nested, query, entry.gpa);
            self.touch(key, &fill, &open);
        }
    }

    fn touch(&mut self, key: Key, touch: &Touch, open: impl Fn(bool, u64) -> u32) {
        let is_guest = matches!(key.cache, PageWalkCache::Guest { .. });
        let open = |cycle| open(is_guest, cycle);
        let Cache {
            most,
            entries,
            touched,
        } = &mut self.caches[Self::place(key.cache)];
        let most = *most;
        let (earliest, latest, fill) = match *touch {
            Touch::Fill { cycle } => (cycle, cycle, Some(cycle)),
            Touch::Use { after, before, .. } => (after, before, None),
        };

        let own = entries.iter().position(|one| one.key == key);
        let own_is_sure = own.is_some_and(|own| entries[own].is_sure(most, open));
        let counted_until = own.filter(|_| own_is_sure).map(|own| entries[own].latest);
        for other in entries.iter_mut().filter(|one| one.key != key) {
            // If the entry itself has been present since a touch after the other's, it has been
            // counted already.
            let counts = latest > other.earliest
                && counted_until.is_none_or(|until| until <= other.earliest);
            other.others += u32::from(counts);
            other.pushed = fill.or(other.pushed);
        }

        let is_last = match *touch {
            Touch::Fill { .. } => true,
            Touch::Use {
                after, is_fenced, ..
            } => *touched <= after && !is_fenced,
        };
        if is_last {
            let since = match own {
                Some(own) if own_is_sure => entries[own].since,
                _ => latest,
            };
            let one = CertainEntry {
                key,
                since,
                earliest,
                latest,
                others: 0,
                pushed: None,
            };
            match own {
                Some(own) => entries[own] = one,
                None => entries.push(one),
            }
        } else if let Some(own) = own {
            entries[own].latest = entries[own].latest.max(latest);
        }
        *touched = latest.max(*touched);
        entries.retain(|one| one.others <= most);
    }

    /// Records that a walk was overtaken before it accepted the entry after its lookup. The lookup
    /// may have touched one entry of each cache.
    pub fn on_abandoned(&mut self, look_up: LookUp, cycle: u64) {
        let first_of_host = LEVELS;
        for (place, cache) in self.caches.iter_mut().enumerate() {
            if place < first_of_host && !look_up.is_first {
                continue;
            }
            for one in cache.entries.iter_mut().filter(|one| cycle > one.earliest) {
                one.others += 1;
            }
            let most = cache.most;
            cache.entries.retain(|one| one.others <= most);
            cache.touched = cache.touched.max(cycle);
        }
    }

    /// Records that a fence was accepted. It may invalidate the entries that it matches.
    pub fn on_fence(&mut self, fence: &Fence) {
        let (geometry, width) = (&self.geometry, self.host_width);
        for cache in &mut self.caches {
            cache
                .entries
                .retain(|one| !matches(geometry, width, fence, &one.key));
        }
    }
}

/// Returns true if a fence matches an entry, whatever table or page the entry points to.
fn matches(geometry: &Geometry, host_width: u32, fence: &Fence, key: &Key) -> bool {
    match key.cache {
        PageWalkCache::Guest { .. } => {
            fence.matches_tag(key.tag) && fence.gva.is_none_or(|gva| key.covers(geometry, gva.0))
        }
        // Bits of a gPA above those that the widest host stage translates are not compared.
        PageWalkCache::Host { .. } => {
            let mapped = |gpa: Gpa| gpa.0 & !(u64::MAX << host_width);
            fence.matches_host_stage(key.tag)
                && (fence.gpa).is_none_or(|gpa| key.covers(geometry, mapped(gpa)))
        }
        PageWalkCache::Nested => fence.matches_host_stage(key.tag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Gva;
    use crate::mmu::Rights;
    use crate::occupancy::test_support::{ASID, VMID, query};

    const MIB: u64 = 1 << 20;
    const GUEST: PageWalkCache = PageWalkCache::Guest { level: 0 };

    fn caches(entries: u32) -> MustContain {
        let setup = Setup {
            entries: entries.into(),
            max_levels: 5,
            used: WalkCaches::ALL,
            ever: WalkCaches::ALL,
        };
        MustContain::new(Format::Rv64, &setup)
    }

    /// Returns a guest entry of a level, after a hit in a cache.
    fn guest_entry(level: u32, led_by: Option<PageWalkCache>) -> AcceptedEntry {
        AcceptedEntry {
            table: PageWalkCache::Guest { level },
            gpa: Gpa(0),
            is_for_guest_entry: true,
            led_by,
            is_update: false,
            next: NextAccess::Read,
            word: Some(Entry::leaf(0, Rights::ALL).0),
        }
    }

    fn fill(caches: &mut MustContain, gva: u64, cycle: u64) {
        caches.on_fill(&query(gva), &guest_entry(0, None), cycle, |_, _| 0);
    }

    /// Returns true if a walk that began in a cycle must hit in the cache of level 0. `open` is the
    /// number of outstanding lookups of other walks.
    fn must_lead(caches: &MustContain, gva: u64, since: u64, open: u32) -> bool {
        let result = LookUpResult {
            query: &query(gva),
            entry: &guest_entry(1, None),
            look_up: LookUp {
                since,
                is_first: true,
            },
            read: since + 2,
            is_fenced: false,
        };
        let missed = caches.missed(&result, |_, _| open);
        assert!(missed.is_none_or(|cache| cache == GUEST));
        missed.is_some()
    }

    fn lead(caches: &mut MustContain, gva: u64, since: u64, read: u64) {
        let result = LookUpResult {
            query: &query(gva),
            entry: &guest_entry(0, Some(GUEST)),
            look_up: LookUp {
                since,
                is_first: true,
            },
            read,
            is_fenced: false,
        };
        caches.on_hit(&result, |_, _| 0);
    }

    #[test]
    fn the_last_entries_must_lead_one_more_than_the_log_of_their_number() {
        for (entries, last) in [(2, 2), (4, 3), (8, 4)] {
            let mut caches = caches(entries);
            for table in 0..10 {
                fill(&mut caches, table * 2 * MIB, 10 + table);
            }
            for table in 0..10 {
                let must = must_lead(&caches, table * 2 * MIB, 30, 0);
                assert_eq!(must, table >= 10 - last, "{entries} entries, {table}");
            }
        }
    }

    #[test]
    fn each_cache_has_entries_of_its_own_number() {
        let entries = Entries {
            guest: 2,
            host: 2,
            nested: 8,
        };
        let setup = Setup {
            entries,
            max_levels: 5,
            used: WalkCaches::ALL,
            ever: WalkCaches::ALL,
        };
        let mut caches = MustContain::new(Format::Rv64, &setup);
        let leaf = |gpa: u64| AcceptedEntry {
            table: PageWalkCache::Host { level: 0 },
            gpa: Gpa(gpa),
            ..guest_entry(0, None)
        };
        for table in 0..4 {
            caches.on_fill(&query(0), &leaf(table * 2 * MIB), 10 + table, |_, _| 0);
        }
        let since = |cache| caches.since(&query(0), &leaf(0), cache);
        assert_eq!(since(PageWalkCache::Host { level: 0 }), None);
        assert_eq!(since(PageWalkCache::Nested), Some(10));
    }

    #[test]
    fn what_is_filled_after_a_walk_has_begun_need_not_lead_it() {
        let mut caches = caches(2);
        fill(&mut caches, 0, 10);
        assert!(must_lead(&caches, MIB, 10, 0));
        assert!(!must_lead(&caches, MIB, 9, 0));
        // After another fill, the entry counts as present since the first fill.
        fill(&mut caches, 0, 20);
        assert!(must_lead(&caches, MIB, 10, 0));
        let since = caches.since(&query(MIB), &guest_entry(1, None), GUEST);
        assert_eq!(since, Some(10));
    }

    #[test]
    fn a_walk_that_was_led_as_far_or_further_has_missed_nothing() {
        let mut caches = caches(2);
        fill(&mut caches, 0, 10);
        let pointer = AcceptedEntry {
            word: Some(Entry::pointer(0).0),
            ..guest_entry(1, None)
        };
        caches.on_fill(&query(0), &pointer, 11, |_, _| 0);
        let above = PageWalkCache::Guest { level: 1 };
        for (entry, missed) in [
            (guest_entry(0, Some(GUEST)), None),
            (guest_entry(1, Some(above)), Some(GUEST)),
            (guest_entry(2, Some(PageWalkCache::Nested)), Some(GUEST)),
        ] {
            let look_up = LookUp {
                since: 20,
                is_first: true,
            };
            let result = LookUpResult {
                query: &query(0),
                entry: &entry,
                look_up,
                read: 22,
                is_fenced: false,
            };
            assert_eq!(caches.missed(&result, |_, _| 0), missed, "{entry:?}");
        }
    }

    #[test]
    fn the_nested_tlb_and_the_host_cache_must_lead_a_walk_of_the_host_stage() {
        let leaf = AcceptedEntry {
            table: PageWalkCache::Host { level: 0 },
            ..guest_entry(0, None)
        };
        let missed = |used, entry: &AcceptedEntry| {
            let mut caches = caches(2);
            caches.on_fill(&query(0), &leaf, 10, |_, _| 0);
            caches.on_switch(used);
            let look_up = LookUp {
                since: 20,
                is_first: false,
            };
            let result = LookUpResult {
                query: &query(0),
                entry,
                look_up,
                read: 22,
                is_fenced: false,
            };
            caches.missed(&result, |_, _| 0)
        };
        let root = AcceptedEntry {
            table: PageWalkCache::Host { level: 2 },
            ..leaf
        };
        let host = PageWalkCache::Host { level: 0 };
        let all = WalkCaches::ALL;
        let without_nested = WalkCaches {
            nested: false,
            ..all
        };
        assert_eq!(missed(all, &root), Some(PageWalkCache::Nested));
        assert_eq!(missed(without_nested, &root), Some(host));
        // A cache that is switched off need not hit.
        assert_eq!(missed(WalkCaches::default(), &root), None);
        // The nested TLB serves only reads of guest entries.
        let data = AcceptedEntry {
            is_for_guest_entry: false,
            ..root
        };
        assert_eq!(missed(all, &data), Some(host));
        let led = AcceptedEntry {
            led_by: Some(host),
            ..data
        };
        assert_eq!(missed(all, &led), None);
    }

    #[test]
    fn a_cache_that_is_never_in_use_need_not_be_filled() {
        let setup = Setup {
            entries: 2.into(),
            max_levels: 5,
            used: WalkCaches::ALL,
            ever: WalkCaches {
                guest: false,
                ..WalkCaches::ALL
            },
        };
        let mut caches = MustContain::new(Format::Rv64, &setup);
        fill(&mut caches, 0, 10);
        assert!(!must_lead(&caches, 0, 20, 0));
    }

    #[test]
    fn an_outstanding_look_up_may_have_used_another_entry_before_a_fill() {
        let mut caches = caches(2);
        fill(&mut caches, 0, 10);
        // No fill has come since, and a use replaces nothing.
        assert!(must_lead(&caches, 0, 30, 3));
        fill(&mut caches, 2 * MIB, 20);
        assert!(must_lead(&caches, 0, 30, 0));
        assert!(!must_lead(&caches, 0, 30, 1));
        // The last fill itself is certain.
        assert!(must_lead(&caches, 2 * MIB, 30, 3));
    }

    #[test]
    fn an_abandoned_look_up_may_have_used_another_entry() {
        let filled = || {
            let mut caches = caches(2);
            fill(&mut caches, 0, 10);
            fill(&mut caches, 2 * MIB, 20);
            caches
        };
        for (is_first, cycle, kept) in [(true, 30, false), (true, 10, true), (false, 30, true)] {
            let mut caches = filled();
            let look_up = LookUp {
                since: 25,
                is_first,
            };
            caches.on_abandoned(look_up, cycle);
            assert_eq!(must_lead(&caches, 0, 40, 0), kept, "{is_first}, {cycle}");
        }
    }

    #[test]
    fn a_use_makes_its_entry_the_last_only_where_nothing_can_have_come_after_it() {
        let tables = [0, 2 * MIB, 4 * MIB];
        let mut last = caches(2);
        fill(&mut last, tables[0], 10);
        fill(&mut last, tables[1], 11);
        lead(&mut last, tables[0], 20, 30);
        fill(&mut last, tables[2], 40);
        assert!(must_lead(&last, tables[0], 50, 0));
        assert!(!must_lead(&last, tables[1], 50, 0));

        // Another fill comes between the walk's beginning and its read.
        let mut unsure = caches(2);
        fill(&mut unsure, tables[0], 10);
        fill(&mut unsure, tables[1], 25);
        lead(&mut unsure, tables[0], 20, 30);
        fill(&mut unsure, tables[2], 40);
        assert!(!must_lead(&unsure, tables[0], 50, 0));
        assert!(!must_lead(&unsure, tables[1], 50, 0));
        assert!(must_lead(&unsure, tables[2], 50, 0));
    }

    #[test]
    fn a_fence_invalidates_what_it_matches_and_nothing_else() {
        let fence = Fence::default();
        for (fence, kept) in [
            (fence, false),
            (
                Fence {
                    virt: false,
                    ..fence
                },
                true,
            ),
            (
                Fence {
                    asid: Some(ASID),
                    vmid: Some(VMID),
                    ..fence
                },
                false,
            ),
            (
                Fence {
                    asid: Some(ASID + 1),
                    ..fence
                },
                true,
            ),
            (
                Fence {
                    gva: Some(Gva(MIB)),
                    ..fence
                },
                false,
            ),
            (
                Fence {
                    gva: Some(Gva(2 * MIB)),
                    ..fence
                },
                true,
            ),
            // A fence by gPA, for any gPA.
            (
                Fence {
                    gpa: Some(Gpa(1 << 40)),
                    ..fence
                },
                false,
            ),
        ] {
            let mut caches = caches(2);
            fill(&mut caches, 0, 10);
            caches.on_fence(&fence);
            assert_eq!(must_lead(&caches, 0, 20, 0), kept, "{fence}");
        }
    }

    #[test]
    fn a_fence_by_gpa_matches_by_the_bits_that_a_host_stage_can_map() {
        let geometry = Format::Rv64.geometry();
        let cache = PageWalkCache::Host { level: 0 };
        let key = Key::new(&geometry, cache, &query(0), Gpa(0x1234_5678));
        for (levels, gpa, is_matched) in [
            (5, 0x1235_0000, true),
            (5, 0x1435_0000, false),
            (5, 1 << 58 | 0x1235_0000, false),
            (5, 1 << 59 | 0x1235_0000, true),
            // The gPAs of Sv39x4 are narrower than an hPA.
            (3, 1 << 55 | 0x1235_0000, false),
            (3, 1 << 56 | 0x1235_0000, true),
        ] {
            let fence = Fence {
                gpa: Some(Gpa(gpa)),
                ..Fence::default()
            };
            let width = host_width(&geometry, levels);
            let got = matches(&geometry, width, &fence, &key);
            assert_eq!(got, is_matched, "{fence}");
        }
    }

    #[test]
    fn neither_a_fault_nor_an_error_nor_an_update_nor_the_root_is_kept() {
        let entry = guest_entry(0, None);
        for entry in [
            AcceptedEntry {
                next: NextAccess::Fault,
                ..entry
            },
            AcceptedEntry {
                is_update: true,
                ..entry
            },
            guest_entry(2, None),
            AcceptedEntry {
                word: None,
                ..entry
            },
        ] {
            let mut caches = caches(2);
            caches.on_fill(&query(0), &entry, 10, |_, _| 0);
            assert!(!must_lead(&caches, 0, 20, 0), "{entry:?}");
        }
    }
}
