// SPDX-License-Identifier: Apache-2.0
//! Queries and mappings for the tests of the models.

use crate::addr::{Gpa, Gva, Hpa};
use crate::mmu::{Access, Context, MemoryType, Query, Rights};
use crate::walk::{Leaf, Mapping};

/// The ASID and the VMID of [`query`].
pub const ASID: u16 = 1;
pub const VMID: u16 = 2;

/// Returns a load in a virtual machine with Sv39 over Sv39x4.
pub fn query(gva: u64) -> Query {
    let context = Context {
        asid: ASID,
        vmid: VMID,
        ..Context::riscv(3, Gpa(0), 3, Hpa(0))
    };
    Query {
        context,
        gva: Gva(gva),
        access: Access::Load,
    }
}

/// Returns the same load without virtualization, in Sv39.
pub fn native(gva: u64) -> Query {
    let mut query = query(gva);
    query.context.virt = false;
    query.context.host.levels = 0;
    query
}

/// Returns the identity mapping of a gVA with pages of 2^`guest_size` and 2^`host_size` bytes.
/// Every access is permitted.
pub fn mapping(gva: u64, guest_size: u32, host_size: u32) -> Mapping {
    let leaf = |page_size, user| Leaf {
        rights: Rights::ALL,
        user,
        dirty: true,
        page_size,
    };
    Mapping {
        gpa: Gpa(gva),
        hpa: Hpa(gva),
        guest: leaf(guest_size, false),
        // The G-stage treats every access as a user access.
        host: leaf(host_size, true),
        global: false,
        memory_type: MemoryType::Pma,
        page_size: guest_size.min(host_size),
    }
}

/// Returns the same mapping with D clear in the guest leaf, so that stores must walk.
pub fn clean(mapping: Mapping) -> Mapping {
    let guest = Leaf {
        dirty: false,
        ..mapping.guest
    };
    Mapping { guest, ..mapping }
}
