// SPDX-License-Identifier: Apache-2.0
//! The page-walk caches and the nested TLB.
//!
//! | cache | from | to |
//! |---|---|---|
//! | guest, of a level | address space, gVA prefix | the guest table of that level: gPA and hPA |
//! | host, of a level | host stage, gPA prefix | the host table of that level: hPA |
//! | nested TLB | host stage, gPA page of a guest table | the page's hPA |
//!
//! - [`MayContain`]: the entries that walks have read and no fence has invalidated since.
//! - [`MustContain`]: the entries that were filled or used last, as `docs/ports.md`, "Walk caches",
//!   promises.
//! - [`RecentEntries`]: the entries in the order of their use, with the fences that did not match
//!   them, for code that counts.

mod may_contain;
mod must_contain;
mod recent_entries;

pub use may_contain::{MayContain, WhyNot};
pub use must_contain::{LookUp, LookUpResult, MustContain, Setup};
pub use recent_entries::{FenceEffect, FenceEffects, RecentEntries, SwitchedOff};

use super::NumberedFence;
use crate::addr::{Gpa, Hpa};
use crate::format::{Format, Geometry};
use crate::mmu::{AddressSpaceTag, Fence, Query, WalkCaches};
use crate::walk::Step;

/// A page-walk cache, or the nested TLB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PageWalkCache {
    /// The guest page-walk cache of a level. Its entries point to guest tables of that level.
    Guest {
        /// The level of the tables.
        level: u32,
    },
    /// The host page-walk cache of a level. Its entries point to host tables of that level.
    Host {
        /// The level of the tables.
        level: u32,
    },
    /// The nested TLB. Its entries are the hPAs of pages of guest tables.
    Nested,
}

impl PageWalkCache {
    /// Returns the caches of a format: guest, host, nested. There is none for the root level,
    /// because no pointer points to a root table.
    pub fn all(geometry: &Geometry) -> impl Iterator<Item = Self> + use<> {
        let levels = 0..geometry.levels - 1;
        let guest = levels.clone().map(|level| Self::Guest { level });
        let host = levels.map(|level| Self::Host { level });
        guest.chain(host).chain(std::iter::once(Self::Nested))
    }

    /// Returns its index in [`PageWalkCache::all`].
    pub fn index(self, geometry: &Geometry) -> usize {
        let tables = geometry.levels - 1;
        let index = match self {
            Self::Guest { level } => level,
            Self::Host { level } => tables + level,
            Self::Nested => 2 * tables,
        };
        index as usize
    }

    /// Returns log2 of the size in bytes of the range that an entry covers.
    #[inline]
    pub fn reach(self, geometry: &Geometry) -> u32 {
        let index_bits = match self {
            Self::Guest { level } | Self::Host { level } => (level + 1) * geometry.index_width,
            Self::Nested => 0,
        };
        geometry.offset_width + index_bits
    }

    /// Returns true if it is of a kind in `used`.
    pub fn is_in(self, used: WalkCaches) -> bool {
        match self {
            Self::Guest { .. } => used.guest,
            Self::Host { .. } => used.host,
            Self::Nested => used.nested,
        }
    }

    /// Returns the tag of its entries in an address space.
    #[inline]
    fn tag(self, space: AddressSpaceTag) -> AddressSpaceTag {
        match self {
            Self::Guest { .. } => space.guest_table_tag(),
            Self::Host { .. } | Self::Nested => space.host_stage_tag(),
        }
    }

    /// Returns the address of a lookup: the gVA or a gPA.
    fn address(self, query: &Query, gpa: Gpa) -> u64 {
        match self {
            Self::Guest { .. } => query.gva.0,
            Self::Host { .. } | Self::Nested => gpa.0,
        }
    }
}

/// The number of entries of each page-walk cache and of the nested TLB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entries {
    /// Entries of the guest page-walk cache, for each level.
    pub guest: u32,
    /// Entries of the host page-walk cache, for each level.
    pub host: u32,
    /// Entries of the nested TLB.
    pub nested: u32,
}

impl Entries {
    /// Returns the number of entries of a cache.
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
    tag: AddressSpaceTag,
    /// The address bits that the cache compares, of the gVA or the gPA.
    prefix: u64,
}

impl Key {
    /// Makes the key of the entry that a cache has for a query, or, in the host stage, for a gPA.
    #[inline]
    fn new(geometry: &Geometry, cache: PageWalkCache, query: &Query, gpa: Gpa) -> Self {
        Self {
            cache,
            tag: cache.tag(query.context.space()),
            prefix: prefix(cache.address(query, gpa), cache.reach(geometry)),
        }
    }

    /// Returns true if the key covers an address, which is a gVA or a gPA as the cache has it.
    fn covers(&self, geometry: &Geometry, address: u64) -> bool {
        prefix(address, self.cache.reach(geometry)) == self.prefix
    }
}

/// Returns the bits of an address from bit `size` up.
#[inline]
fn prefix(address: u64, size: u32) -> u64 {
    address.checked_shr(size).unwrap_or(0)
}

/// Returns the page that contains an entry. Unless the entry is in the host's root table, this is
/// its table.
fn page_of(geometry: &Geometry, entry: Hpa) -> Hpa {
    Hpa(prefix(entry.0, geometry.offset_width) << geometry.offset_width)
}

/// A hit in a page-walk cache, with the table or page that it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The cache.
    pub cache: PageWalkCache,
    /// The gPA of the guest table, for a guest cache; otherwise the gPA of the lookup.
    pub gpa: Gpa,
    /// The hPA of the table, or of the page.
    pub hpa: Hpa,
    /// A guest pointer on the path to the table is global.
    pub is_global: bool,
}

/// A table entry that a walk has accepted from memory, as far as page-walk caches depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedEntry {
    /// The table that contains the entry, given as the cache that points to it. It is never the
    /// nested TLB.
    pub table: PageWalkCache,
    /// The gPA of the translation, or the gPA of the guest entry.
    pub gpa: Gpa,
    /// The gPA is translated to read a guest entry.
    pub is_for_guest_entry: bool,
    /// The cache whose hit led to the entry.
    pub led_by: Option<PageWalkCache>,
    /// The entry is the response to an update.
    pub is_update: bool,
    /// The next action of the walk.
    pub next: NextAccess,
    /// The entry that memory returned; none if memory returned an error.
    pub word: Option<u64>,
}

/// The action of a walk after an entry.
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

/// The may-contain and must-contain models of the page-walk caches and the nested TLB.
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

    /// Returns true if a hit for `query` is legal. `fences` fences were accepted before the walk's
    /// lookup.
    pub fn may_contain(&self, query: &Query, hit: &Hit, fences: u64) -> bool {
        self.may.may_contain(query, hit, fences)
    }

    /// Returns the reason why a hit is not legal.
    #[cold]
    pub fn why_not(&self, query: &Query, hit: &Hit, fences: u64) -> WhyNot {
        self.may.why_not(query, hit, fences)
    }

    /// Returns the must-contain model.
    pub fn must(&self) -> &MustContain {
        &self.must
    }

    /// Returns the must-contain model, to report events to it.
    pub fn must_mut(&mut self) -> &mut MustContain {
        &mut self.must
    }

    /// Records steps of a walk; see [`MayContain::on_walk`].
    pub fn on_walk(
        &mut self,
        query: &Query,
        steps: &[Step],
        hit: impl Fn(usize) -> Option<Hit>,
        fences: &[NumberedFence],
    ) {
        self.may.on_walk(query, steps, hit, fences);
    }

    /// Records that a fence was accepted.
    pub fn on_fence(&mut self, fence: &Fence, number: u64) {
        self.may.on_fence(fence, number);
        self.must.on_fence(fence);
    }

    /// Drops all that fences have invalidated. The caller makes sure that every request accepted
    /// before such a fence has its response.
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
        // A level that no table has. A faulty device may report it.
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
