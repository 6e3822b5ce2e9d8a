//! Table entries of the handout's machine (`HANDOUT`, `CLASSIC32`).
//!
//! | entry | address bits and up | below |
//! |---|---|---|
//! | pointer (PTP, L1) | reserved, 0 | byte address of the next table |
//! | leaf (PTE, L2) | reserved, 0 | page number, then the page offset's width of status bits |
//!
//! Status bits, read in rights mode only: 0 valid, 1 readable, 2 writable, 3 executable.

use bitvec::prelude::*;

use super::Geometry;
use crate::mmu::Rights;

/// A table entry of either kind, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    word: u32,
    address_width: usize,
    offset_width: usize,
}

impl Entry {
    /// Reads `word` as an entry whose addresses are `address_width` bits wide.
    pub fn new(word: u32, address_width: u32, geometry: &Geometry) -> Self {
        Self {
            word,
            address_width: address_width as usize,
            offset_width: geometry.offset_width as usize,
        }
    }

    fn bits(&self) -> &BitSlice<u32, Lsb0> {
        self.word.view_bits()
    }

    /// Whether a bit above the address is set.
    pub fn reserved_set(&self) -> bool {
        self.bits()[self.address_width..].any()
    }

    /// A pointer's table, a byte address.
    pub fn table(&self) -> u64 {
        self.bits()[..self.address_width].load_le::<u64>()
    }

    /// A leaf's page, the byte address of its start.
    pub fn page(&self) -> u64 {
        self.bits()[self.offset_width..self.address_width].load_le::<u64>() << self.offset_width
    }

    /// A leaf's valid bit.
    pub fn valid(&self) -> bool {
        self.bits()[0]
    }

    /// A leaf's rights.
    pub fn rights(&self) -> Rights {
        Rights {
            read: self.bits()[1],
            write: self.bits()[2],
            execute: self.bits()[3],
        }
    }
}

/// The word of a pointer to the table at `table`.
pub fn pointer(table: u64) -> u32 {
    table as u32
}

/// The word of a valid leaf for the page that starts at `page`.
pub fn leaf(page: u64, rights: Rights) -> u32 {
    let mut word = page as u32;
    let bits = word.view_bits_mut::<Lsb0>();
    bits.set(0, true);
    bits.set(1, rights.read);
    bits.set(2, rights.write);
    bits.set(3, rights.execute);
    word
}
