// SPDX-License-Identifier: Apache-2.0
//! The page-walk caches and the nested TLB.
//!
//! | cache | from | to |
//! |---|---|---|
//! | guest, of a level | address space, gVA prefix | the guest table of that level: gPA and hPA |
//! | host, of a level | host stage, gPA prefix | the host table of that level: hPA |
//! | nested TLB | host stage, gPA page of a guest table | the page's hPA |
//!
//! - [`MayContain`]: what walks have read and no fence has invalidated since.
//! - [`MustContain`]: what was filled or used last, as `docs/ports.md`, "Walk caches", promises.
//! - [`RecentEntries`]: the entries in the order of their use, with the fences that have spared
//!   them, for readers that count.

mod may_contain;
mod must_contain;
mod recent_entries;

pub use may_contain::{MayContain, WhyNot};
pub use must_contain::{LookUp, LookUpResult, MustContain, Setup};
pub use recent_entries::{FenceEffect, FenceEffects, RecentEntries, SwitchedOff};

use super::NumberedFence;
use crate::addr::{Gpa, Hpa};
use crate::format::{Format, Geometry};
use crate::mmu::{Fence, Query, Space, WalkCaches};
use crate::walk::Step;

/// A page-walk cache, or the nested TLB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PageWalkCache {
    /// The guest page-walk cache of a level: it leads to guest tables of that level.
    Guest {
        /// The level of the tables.
        level: u32,
    },
    /// The host page-walk cache of a level: it leads to host tables of that level.
    Host {
        /// The level of the tables.
        level: u32,
    },
    /// The nested TLB: it leads to pages of guest tables.
    Nested,
}

impl PageWalkCache {
    /// Returns those of a format: guest, host, nested. No pointer leads to a root table, so there
    /// are none of its level.
    pub fn all(geometry: &Geometry) -> impl Iterator<Item = Self> + use<> {
        let levels = 0..geometry.levels - 1;
        let guest = levels.clone().map(|level| Self::Guest { level });
        let host = levels.map(|level| Self::Host { level });
        guest.chain(host).chain(std::iter::once(Self::Nested))
    }

    /// Returns its place among [`PageWalkCache::all`].
    pub fn index(self, geometry: &Geometry) -> usize {
        let tables = geometry.levels - 1;
        let index = match self {
            Self::Guest { level } => level,
            Self::Host { level } => tables + level,
            Self::Nested => 2 * tables,
        };
        index as usize
    }

    /// Returns log2 of the bytes that an entry is for.
    #[inline]
    pub fn reach(self, geometry: &Geometry) -> u32 {
        let index_bits = match self {
            Self::Guest { level } | Self::Host { level } => (level + 1) * geometry.index_width,
            Self::Nested => 0,
        };
        geometry.offset_width + index_bits
    }

    /// Whether it is one of those that are in use.
    pub fn is_in(self, used: WalkCaches) -> bool {
        match self {
            Self::Guest { .. } => used.guest,
            Self::Host { .. } => used.host,
            Self::Nested => used.nested,
        }
    }

    /// Returns the tag that its entries have in an address space.
    #[inline]
    fn tag(self, space: Space) -> Space {
        match self {
            Self::Guest { .. } => space.guest_table_tag(),
            Self::Host { .. } | Self::Nested => space.host_stage_tag(),
        }
    }

    /// Returns the address that it is looked up by: the gVA, or a gPA.
    fn address(self, query: &Query, gpa: Gpa) -> u64 {
        match self {
            Self::Guest { .. } => query.gva.0,
            Self::Host { .. } | Self::Nested => gpa.0,
        }
    }
}

/// The entries of each page-walk cache, and of the nested TLB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entries {
    /// Of the guest page-walk cache, of each level.
    pub guest: u32,
    /// Of the host page-walk cache, of each level.
    pub host: u32,
    /// Of the nested TLB.
    pub nested: u32,
}

impl Entries {
    /// Returns the entries of a cache.
    fn of(self, cache: PageWalkCache) -> u32 {
        match cache {
            PageWalkCache::Guest { .. } => self.guest,
            PageWalkCache::Host { .. } => self.host,
            PageWalkCache::Nested => self.nested,
        }
    }
}

impl From<u32> for Entries {
    /// Returns the same number of entries for each cache.
    fn from(entries: u32) -> Self {
        Self {
            guest: entries,
            host: entries,
            nested: entries,
        }
    }
}

/// The key of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    cache: PageWalkCache,
    tag: Space,
    /// The gVA or gPA, from the bit up that the cache compares.
    prefix: u64,
}

impl Key {
    /// The key of the entry that a cache has for a query, and for a gPA where it is one of the
    /// host's stage.
    #[inline]
    fn new(geometry: &Geometry, cache: PageWalkCache, query: &Query, gpa: Gpa) -> Self {
        Self {
            cache,
            tag: cache.tag(query.context.space()),
            prefix: prefix(cache.address(query, gpa), cache.reach(geometry)),
        }
    }

    /// Whether an address, a gVA or a gPA as the cache has it, is one of those that the key is for.
    fn covers(&self, geometry: &Geometry, address: u64) -> bool {
        prefix(address, self.cache.reach(geometry)) == self.prefix
    }
}

/// Returns the bits of an address from a size up.
#[inline]
fn prefix(address: u64, size: u32) -> u64 {
    address.checked_shr(size).unwrap_or(0)
}

/// Returns the page that an entry is in: but for the host's root, that of its table.
fn page_of(geometry: &Geometry, entry: Hpa) -> Hpa {
    Hpa(prefix(entry.0, geometry.offset_width) << geometry.offset_width)
}

/// A hit: what a page-walk cache has led a walk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The cache.
    pub cache: PageWalkCache,
    /// Of a guest cache: the gPA of the guest's table. Else the gPA that was looked up.
    pub gpa: Gpa,
    /// The hPA of the table, or of the page.
    pub hpa: Hpa,
    /// A pointer of the guest's on the way is global.
    pub is_global: bool,
}

/// A table entry that a walk has taken, as far as page-walk caches depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenEntry {
    /// The table that the entry is in, by the cache that leads there: never the nested TLB.
    pub table: PageWalkCache,
    /// The gPA that is being translated, or that of the guest's entry.
    pub gpa: Gpa,
    /// The gPA is translated to read a guest entry.
    pub is_for_guest_entry: bool,
    /// The cache that has led the walk to the entry.
    pub led_by: Option<PageWalkCache>,
    /// The entry is the answer to an update.
    pub is_update: bool,
    /// What the walk does next.
    pub next: NextAccess,
    /// The entry as memory gave it; none for an error.
    pub word: Option<u64>,
}

/// What a walk does after an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAccess {
    /// It reads another entry.
    Read,
    /// It updates the entry.
    Update,
    /// It ends with a translation.
    Done,
    /// It ends with a fault.
    Fault,
}

/// What the page-walk caches and the nested TLB may and must contain.
#[derive(Debug)]
pub struct PageWalkCaches {
    may: MayContain,
    must: MustContain,
}

impl PageWalkCaches {
    /// Makes empty caches.
    pub fn new(format: Format, setup: &Setup) -> Self {
        Self {
            may: MayContain::new(format),
            must: MustContain::new(format, setup),
        }
    }

    /// Whether a cache may have led a walk for `query` to what it has: the walk was looked up after
    /// so many fences.
    pub fn may_contain(&self, query: &Query, hit: &Hit, fences: u64) -> bool {
        self.may.may_contain(query, hit, fences)
    }

    /// Returns why a cache must not have led a walk to what it has.
    #[cold]
    pub fn why_not(&self, query: &Query, hit: &Hit, fences: u64) -> WhyNot {
        self.may.why_not(query, hit, fences)
    }

    /// Returns what the caches must contain.
    pub fn must(&self) -> &MustContain {
        &self.must
    }

    /// Returns what the caches must contain, to be told what happens.
    pub fn must_mut(&mut self) -> &mut MustContain {
        &mut self.must
    }

    /// A walk has made some steps; see [`MayContain::on_walk`].
    pub fn on_walk(
        &mut self,
        query: &Query,
        steps: &[Step],
        hit: impl Fn(usize) -> Option<Hit>,
        fences: &[NumberedFence],
    ) {
        self.may.on_walk(query, steps, hit, fences);
    }

    /// A fence of a number has been accepted.
    pub fn on_fence(&mut self, fence: &Fence, number: u64) {
        self.may.on_fence(fence, number);
        self.must.on_fence(fence);
    }

    /// Drops what fences have invalidated. The caller sees to it that no request is outstanding
    /// that was accepted before such a fence.
    pub fn drop_invalidated(&mut self) {
        self.may.drop_invalidated();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::occupancy::test_support::{native, query};

    #[test]
    fn the_caches_of_a_format_stand_in_the_order_of_their_index() {
        let geometry = Format::Rv64.geometry();
        let all: Vec<_> = PageWalkCache::all(&geometry).collect();
        assert_eq!(all.len(), 9);
        for (at, cache) in all.iter().enumerate() {
            assert_eq!(cache.index(&geometry), at, "{cache:?}");
        }
    }

    #[test]
    fn an_entry_is_for_what_its_table_maps() {
        let geometry = Format::Rv64.geometry();
        let gpa = Gpa(0x8020_1000);
        for (cache, reach) in [
            (PageWalkCache::Guest { level: 0 }, 21),
            (PageWalkCache::Guest { level: 3 }, 48),
            (PageWalkCache::Host { level: 1 }, 30),
            (PageWalkCache::Nested, 12),
        ] {
            assert_eq!(cache.reach(&geometry), reach);
            let key = Key::new(&geometry, cache, &query(0x4020_1000), gpa);
            let address = match cache {
                PageWalkCache::Guest { .. } => 0x4020_1000,
                _ => gpa.0,
            };
            let first = address >> reach << reach;
            assert!(key.covers(&geometry, first + (1 << reach) - 1));
            assert!(!key.covers(&geometry, first + (1 << reach)));
        }
        // A level that no table has, as a wrong device may report it.
        let cache = PageWalkCache::Guest { level: 7 };
        let key = Key::new(&geometry, cache, &query(1 << 40), gpa);
        assert_eq!(key, Key::new(&geometry, cache, &query(0), gpa));
    }

    #[test]
    fn entries_are_tagged_by_what_their_stage_depends_on() {
        let geometry = Format::Rv64.geometry();
        let key = |cache, query: &Query| Key::new(&geometry, cache, query, Gpa(0));
        let mut other = query(0);
        other.context.asid += 1;
        other.context.guest.levels = 5;
        let guest = PageWalkCache::Guest { level: 0 };
        assert_ne!(key(guest, &query(0)), key(guest, &other));
        for cache in [PageWalkCache::Host { level: 0 }, PageWalkCache::Nested] {
            assert_eq!(key(cache, &query(0)), key(cache, &other));
            let mut other_vm = query(0);
            other_vm.context.vmid += 1;
            assert_ne!(key(cache, &query(0)), key(cache, &other_vm));
        }
        let mut native_other = native(0);
        native_other.context.vmid += 1;
        assert_eq!(key(guest, &native(0)), key(guest, &native_other));
    }
}
