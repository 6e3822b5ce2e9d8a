// SPDX-License-Identifier: Apache-2.0
//! Pages of address spaces: the keys of TLB entries.

use std::hash::{Hash, Hasher};

use crate::addr::Gva;
use crate::mmu::{AddressSpaceTag, Query};
use crate::walk::Mapping;

/// A page of an address space. A global page belongs to all address spaces that differ only in the
/// ASID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The address-space tag, by [`AddressSpaceTag::page_tag`].
    tag: AddressSpaceTag,
    kind: PageKind,
    /// The gVA, without the offset in the page.
    number: u64,
}

/// The kind of a page. A lookup tries one kind after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageKind {
    /// log2 of the page size in bytes.
    pub size: u32,
    /// The page is valid under every ASID.
    pub is_global: bool,
}

impl PageKind {
    /// Returns the kind of the page that a walk has found: the page of the smaller leaf.
    pub fn of(mapping: &Mapping) -> Self {
        Self {
            size: mapping.page_size,
            is_global: mapping.global,
        }
    }
}

impl Page {
    /// Returns the page of a kind that contains the query's address.
    #[inline]
    pub fn new(query: &Query, kind: PageKind) -> Self {
        Self {
            tag: query.context.space().page_tag(kind.is_global),
            kind,
            number: query.gva.0 >> kind.size,
        }
    }

    /// Returns the address-space tag.
    pub fn tag(&self) -> AddressSpaceTag {
        self.tag
    }

    /// Returns log2 of the page size in bytes.
    pub fn size(&self) -> u32 {
        self.kind.size
    }

    /// Returns the page's first gVA.
    pub fn first_gva(&self) -> Gva {
        Gva(self.number << self.kind.size)
    }

    /// Returns true if the query's address is in the page, and its tag matches the page's.
    #[inline]
    pub fn contains(&self, query: &Query) -> bool {
        *self == Self::new(query, self.kind)
    }

    /// Returns true if a query can be in both pages.
    pub fn overlaps(&self, other: &Self) -> bool {
        let size = self.kind.size.max(other.kind.size);
        let asids_meet =
            self.kind.is_global || other.kind.is_global || self.tag.asid == other.tag.asid;
        let other_tag = AddressSpaceTag {
            asid: self.tag.asid,
            ..other.tag
        };
        asids_meet
            && other_tag == self.tag
            && self.number >> (size - self.kind.size) == other.number >> (size - other.kind.size)
    }
}

impl Hash for Page {
    /// Hashes all fields at once. To hash each field takes longer than the lookup.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let AddressSpaceTag {
            virt,
            guest_levels,
            host_levels,
            rights,
            asid,
            vmid,
        } = self.tag;
        let tags = (u64::from(asid) << 16) | u64::from(vmid);
        let modes = (u64::from(guest_levels) << 5)
            | (u64::from(host_levels) << 2)
            | (u64::from(virt) << 1)
            | u64::from(rights);
        let kind = (u64::from(self.kind.size) << 1) | u64::from(self.kind.is_global);
        state.write_u64(self.number ^ (((tags << 2) ^ modes) << 30) ^ (kind << 57));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::occupancy::test_support::query;

    const SMALL: PageKind = PageKind {
        size: 12,
        is_global: false,
    };
    const GLOBAL: PageKind = PageKind {
        is_global: true,
        ..SMALL
    };
    const LARGE: PageKind = PageKind { size: 21, ..SMALL };

    fn of_asid(gva: u64, asid: u16) -> Query {
        let mut query = query(gva);
        query.context.asid = asid;
        query
    }

    #[test]
    fn a_page_contains_the_addresses_of_its_own_address_space() {
        let page = Page::new(&query(0x40_1234), SMALL);
        assert_eq!((page.first_gva(), page.size()), (Gva(0x40_1000), 12));
        assert!(page.contains(&query(0x40_1FFF)));
        assert!(!page.contains(&query(0x40_2000)));
        assert!(!page.contains(&of_asid(0x40_1234, 99)));
        let mut other = query(0x40_1234);
        other.context.vmid = 99;
        assert!(!page.contains(&other));
        let mut native = query(0x40_1234);
        native.context.virt = false;
        let page = Page::new(&native, SMALL);
        native.context.vmid = 99;
        assert!(page.contains(&native));
    }

    #[test]
    fn a_global_page_contains_the_addresses_of_every_asid() {
        let page = Page::new(&query(0x40_1234), GLOBAL);
        assert!(page.contains(&of_asid(0x40_1234, 99)));
        let mut other = query(0x40_1234);
        other.context.vmid = 99;
        assert!(!page.contains(&other));
    }

    #[test]
    fn pages_overlap_where_some_address_of_some_asid_is_in_both() {
        let page = |gva, asid, kind| Page::new(&of_asid(gva, asid), kind);
        let small = page(0x40_1000, 1, SMALL);
        for (other, overlaps) in [
            (page(0x40_1000, 1, SMALL), true),
            (page(0x40_2000, 1, SMALL), false),
            (page(0x40_1000, 2, SMALL), false),
            (page(0x40_1000, 2, GLOBAL), true),
            (page(0x5F_F000, 1, LARGE), true),
            (page(0x60_0000, 1, LARGE), false),
            (page(0x5F_F000, 2, LARGE), false),
        ] {
            assert_eq!(small.overlaps(&other), overlaps, "{other:?}");
            assert_eq!(other.overlaps(&small), overlaps, "{other:?}");
        }
    }
}
