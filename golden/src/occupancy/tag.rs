// SPDX-License-Identifier: Apache-2.0
//! Address-space tags: the parts of an address space that a cache compares with a request's.
//!
//! An entry is found again only in the address space that it was filled for. Some parts of an
//! address space do not exist for some entries, and a cache must not compare them:
//!
//! - Without virtualization (V=0) there is no VMID: `hgatp` is not in use (privileged
//!   specification, "Hypervisor Guest Address Translation and Protection (hgatp) Register").
//! - A global mapping "exists in all address spaces", so it has no ASID (privileged specification,
//!   "Addressing and Memory Protection").
//! - The G-stage has neither an ASID nor a VS-stage mode: its tables translate the gPAs of every
//!   ASID (privileged specification, "Two-Stage Address Translation").
//!
//! These rules are implemented only here.

use crate::mmu::{AddressSpaceTag, Fence};

impl AddressSpaceTag {
    /// Returns the tag of a TLB entry. A part that does not exist is 0.
    #[inline]
    pub fn page_tag(self, is_global: bool) -> Self {
        Self {
            asid: if is_global { 0 } else { self.asid },
            vmid: if self.virt { self.vmid } else { 0 },
            ..self
        }
    }

    /// Returns the tag of an entry of the guest page-walk cache. It has the ASID even below a
    /// global pointer, because a page-walk cache does not share entries between ASIDs.
    #[inline]
    pub fn guest_table_tag(self) -> Self {
        self.page_tag(false)
    }

    /// Returns the tag of an entry of the host page-walk cache or of the nested TLB.
    #[inline]
    pub fn host_stage_tag(self) -> Self {
        Self {
            guest_levels: 0,
            asid: 0,
            ..self.page_tag(true)
        }
    }
}

impl Fence {
    /// Returns true if the fence is a fence of the host stage and matches the tag. HFENCE.GVMA has
    /// neither a gVA nor an ASID (privileged specification, "Hypervisor Memory-Management Fence
    /// Instructions").
    pub fn matches_host_stage(&self, tag: AddressSpaceTag) -> bool {
        self.gva.is_none() && self.asid.is_none() && self.matches_tag(tag)
    }

    /// Returns true if the fence has no operand. It matches every address space of its V.
    pub fn matches_everything(&self) -> bool {
        let everything = Self {
            virt: self.virt,
            ..Self::default()
        };
        *self == everything
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::{Gpa, Gva};

    const GUEST: AddressSpaceTag = AddressSpaceTag {
        virt: true,
        guest_levels: 3,
        host_levels: 4,
        rights: false,
        asid: 7,
        vmid: 9,
    };

    #[test]
    fn a_global_page_has_no_asid_and_no_page_has_a_vmid_without_virtualization() {
        let native = AddressSpaceTag {
            virt: false,
            host_levels: 0,
            ..GUEST
        };
        let parts = |tag: AddressSpaceTag| (tag.asid, tag.vmid);
        assert_eq!(parts(GUEST.page_tag(false)), (7, 9));
        assert_eq!(parts(GUEST.page_tag(true)), (0, 9));
        assert_eq!(parts(native.page_tag(false)), (7, 0));
        assert_eq!(parts(native.page_tag(true)), (0, 0));
        assert_eq!(parts(native.guest_table_tag()), (7, 0));
    }

    #[test]
    fn the_host_stage_is_tagged_by_v_mode_and_vmid_alone() {
        let other = AddressSpaceTag {
            guest_levels: 5,
            asid: 8,
            ..GUEST
        };
        assert_eq!(GUEST.host_stage_tag(), other.host_stage_tag());
        for different in [
            AddressSpaceTag { vmid: 8, ..GUEST },
            AddressSpaceTag {
                host_levels: 3,
                ..GUEST
            },
        ] {
            assert_ne!(GUEST.host_stage_tag(), different.host_stage_tag());
        }
        // The modes of both stages tell pages and guest tables apart.
        assert_ne!(GUEST.page_tag(false), other.page_tag(false));
        assert_ne!(GUEST.guest_table_tag(), other.guest_table_tag());
    }

    #[test]
    fn a_fence_of_the_host_stage_has_neither_a_gva_nor_an_asid() {
        let tag = GUEST.host_stage_tag();
        let fence = Fence::default();
        let gva = Some(Gva(0));
        let gpa = Some(Gpa(0));
        for (fence, matches) in [
            (fence, true),
            (Fence { gpa, ..fence }, true),
            (
                Fence {
                    vmid: Some(9),
                    ..fence
                },
                true,
            ),
            (
                Fence {
                    vmid: Some(8),
                    ..fence
                },
                false,
            ),
            (Fence { gva, ..fence }, false),
            (
                Fence {
                    asid: Some(0),
                    ..fence
                },
                false,
            ),
            (
                Fence {
                    virt: false,
                    ..fence
                },
                false,
            ),
        ] {
            assert_eq!(fence.matches_host_stage(tag), matches, "{fence}");
        }
    }

    #[test]
    fn only_a_fence_without_operands_matches_everything() {
        let fence = Fence::default();
        let native = Fence {
            virt: false,
            ..fence
        };
        assert!(fence.matches_everything() && native.matches_everything());
        for fence in [
            Fence {
                vmid: Some(0),
                ..native
            },
            Fence {
                gva: Some(Gva(0)),
                ..fence
            },
        ] {
            assert!(!fence.matches_everything(), "{fence}");
        }
    }
}
