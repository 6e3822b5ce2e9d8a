// SPDX-License-Identifier: Apache-2.0
//! Table entries of the handout's machine (`HANDOUT`, `CLASSIC32`).
//!
//! | entry | address bits and up | below |
//! |---|---|---|
//! | pointer (PTP, L1) | reserved, 0 | byte address of the next table |
//! | leaf (PTE, L2) | reserved, 0 | page number, then the page offset's width of status bits |
//!
//! Status bits, read in rights mode only: 0 valid, 1 readable, 2 writable, 3 executable.

use bitvec::prelude::*;

use super::{Facts, Family, Geometry, LevelNames, fits};
use crate::mmu::{ASID_WIDTH, Access, Rights, VMID_WIDTH};

/// The machine of the handout.
pub(super) const HANDOUT: Facts = Facts {
    name: "handout",
    family: Family::Handout,
    geometry: Geometry {
        gva_width: 20,
        gpa_width: 20,
        hpa_width: 20,
        pte_width: 32,
        offset_width: 16,
        index_width: 2,
        levels: 2,
        host_root_extra: 0,
    },
    // The handout has L1 over L2.
    level_names: LevelNames::RootIsOne,
    level_choices: &[],
    accesses: &Access::ALL,
    asid_width: ASID_WIDTH,
    vmid_width: VMID_WIDTH,
    root_masks: [u64::MAX; 2],
    native_contexts: false,
    privileges: false,
    traps: false,
    updates_entries: false,
    superpages: false,
    global_pages: false,
    memory_types: false,
    napot_pages: false,
    walk_caches: false,
};

/// The rules of the handout on the classic 32-bit geometry.
pub(super) const CLASSIC32: Facts = Facts {
    name: "classic32",
    geometry: Geometry {
        gva_width: 32,
        gpa_width: 32,
        hpa_width: 32,
        pte_width: 32,
        offset_width: 12,
        index_width: 10,
        levels: 2,
        host_root_extra: 0,
    },
    ..HANDOUT
};

/// A table entry, which is read as a pointer or as a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    word: u64,
    address_width: u32,
    offset_width: u32,
}

impl Entry {
    /// Reads `word` as an entry whose addresses are `address_width` bits wide.
    #[inline]
    pub fn new(word: u64, address_width: u32, geometry: &Geometry) -> Self {
        Self {
            word,
            address_width,
            offset_width: geometry.offset_width,
        }
    }

    // Shifts are used because the checker decodes millions of entries in a second.
    #[inline]
    fn bit(&self, bit: u32) -> bool {
        (self.word >> bit) & 1 != 0
    }

    /// Returns true if a bit above the address is set.
    #[inline]
    pub fn reserved_set(&self) -> bool {
        !fits(self.word, self.address_width)
    }

    /// Returns the table of a pointer, a byte address.
    #[inline]
    pub fn table(&self) -> u64 {
        self.word & ((1 << self.address_width) - 1)
    }

    /// Returns the page of a leaf, the byte address of its start.
    #[inline]
    pub fn page(&self) -> u64 {
        self.table() >> self.offset_width << self.offset_width
    }

    /// Returns the valid bit of a leaf.
    #[inline]
    pub fn valid(&self) -> bool {
        self.bit(0)
    }

    /// Returns the rights of a leaf.
    #[inline]
    pub fn rights(&self) -> Rights {
        Rights {
            read: self.bit(1),
            write: self.bit(2),
            execute: self.bit(3),
        }
    }
}

/// Returns the word of a pointer to the table at `table`.
pub fn pointer(table: u64) -> u64 {
    table
}

/// Returns the word of a valid leaf for the page that starts at `page`.
pub fn leaf(page: u64, rights: Rights) -> u64 {
    let mut word = page;
    let bits = word.view_bits_mut::<Lsb0>();
    bits.set(0, true);
    bits.set(1, rights.read);
    bits.set(2, rights.write);
    bits.set(3, rights.execute);
    word
}
