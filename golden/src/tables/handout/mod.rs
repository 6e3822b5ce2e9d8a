// SPDX-License-Identifier: Apache-2.0
//! Guest and host page tables of the handout's formats.
//!
//! An entry that a walk can reach is never a hole. A pointer below which nothing is mapped points
//! to a table that all such pointers of its level share. The leaves of that table are 0, which is
//! not valid in rights mode. Without rights mode every leaf is valid, and a page that is not mapped
//! maps to page 0.
//!
//! ```
//! use nestwalk_golden::addr::{Gpa, Gva, Hpa};
//! use nestwalk_golden::format::Format;
//! use nestwalk_golden::memory::HostMemory;
//! use nestwalk_golden::mmu::{Access, Context, Query, Rights};
//! use nestwalk_golden::tables::handout::{GuestTable, HostTable};
//! use nestwalk_golden::tables::{GuestRoom, TableError, TableFrames};
//! use nestwalk_golden::walk;
//!
//! # fn main() -> Result<(), TableError> {
//! let format = Format::Handout;
//! let mut memory = HostMemory::new(format);
//! let mut frames = TableFrames::new(format, Hpa(0x0_2000), 0x100)?;
//!
//! // The VM has two pages, at hPA 0x90000 and hPA 0x20000.
//! let mut host = HostTable::new(format, &mut memory, &mut frames)?;
//! for (from, to) in [(Gpa(0xA0000), Hpa(0x90000)), (Gpa(0xB0000), Hpa(0x20000))] {
//!     host.map(&mut memory, &mut frames, from, to, Rights::ALL)?.ignore();
//! }
//!
//! // Its process has one page, gPA 0xA0000. The process's tables are in the other page.
//! let room = GuestRoom::from(Gpa(0xB29A0));
//! let mut guest = GuestTable::new(format, &mut memory, &mut host, room)?;
//! let owed = guest.map(&mut memory, &mut host, Gva(0x60000), Gpa(0xA0000), Rights::ALL)?;
//!
//! let context = Context { asid: 1, ..Context::handout(Some(guest.root()), host.root()) };
//! assert_eq!(owed.of_asid(context.asid).fence().gva, Some(Gva(0x60000)));
//!
//! let query = Query { context, gva: Gva(0x61EAC), access: Access::Load };
//! let found = walk(format, &query, &mut memory, &mut ());
//! assert_eq!(found.unwrap().hpa, Hpa(0x91EAC));
//! # Ok(())
//! # }
//! ```

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;

use super::{
    Address, FenceObligation, GuestMemory, GuestRoom, TableError, TableFrames, TableMemory, Words,
    put_guest_words, put_host_words,
};
use crate::addr::{Gpa, Gva, Hpa};
use crate::format::Format;
use crate::format::handout::{self, Entry};
use crate::mmu::{Access, Context, Fence, Query, Rights};
use crate::walk::{self, EntryMemory};

/// The tables of all levels of one stage. Addresses are gPAs or hPAs, by stage.
#[derive(Clone, Debug)]
struct Radix {
    format: Format,
    root: u64,
    /// For each level below the root's, the table of all ranges in which nothing is mapped.
    empty: Vec<u64>,
    /// The other tables, by level and by the address bits above those that they translate.
    tables: BTreeMap<(u32, u64), u64>,
    /// Leaves by page number; 0 where a page was unmapped.
    leaves: BTreeMap<u64, u64>,
}

impl Radix {
    fn new(
        format: Format,
        mut allocate: impl FnMut() -> Result<u64, TableError>,
    ) -> Result<(Self, Words), TableError> {
        let levels = format.geometry().root_level();
        let root = allocate()?;
        let mut empty = vec![0; levels as usize];
        for table in empty.iter_mut().rev() {
            *table = allocate()?;
        }
        let radix = Self {
            format,
            root,
            empty,
            tables: BTreeMap::new(),
            leaves: BTreeMap::new(),
        };
        let mut words: Words = radix.blank(root, levels).collect();
        for (level, &table) in (0..levels).zip(&radix.empty).rev() {
            words.extend(radix.blank(table, level));
        }
        Ok((radix, words))
    }

    /// Returns the words of an empty table of `level` at `table`.
    fn blank(&self, table: u64, level: u32) -> impl Iterator<Item = (u64, u64)> {
        let geometry = self.format.geometry();
        let word = match level.checked_sub(1) {
            Some(below) => handout::pointer(self.empty[below as usize]),
            None => 0,
        };
        (0..geometry.table_entries()).map(move |i| (table + i * geometry.pte_bytes(), word))
    }

    fn page(&self, address: u64) -> u64 {
        address >> self.format.geometry().offset_width
    }

    /// Returns the key in `tables` of the table of `level` that translates `address`.
    fn key(&self, level: u32, address: u64) -> (u32, u64) {
        let above = (level + 1) * self.format.geometry().index_width;
        (level, self.page(address) >> above)
    }

    /// Sets the leaf of `address`, and makes the tables on the path to it.
    fn set(
        &mut self,
        address: u64,
        leaf: u64,
        mut allocate: impl FnMut() -> Result<u64, TableError>,
    ) -> Result<Words, TableError> {
        let geometry = self.format.geometry();
        let mut made = Vec::new();
        let mut words = Words::new();
        let mut word = leaf;
        // The leaf is written first, and the pointers after it, so that a walk in flight never
        // follows a pointer to a table that is not written yet.
        for level in 0..geometry.levels {
            let there = if level == geometry.root_level() {
                Some(self.root)
            } else {
                self.tables.get(&self.key(level, address)).copied()
            };
            let offset = geometry.index(address, level) * geometry.pte_bytes();
            if let Some(table) = there {
                words.push((table + offset, word));
                break;
            }
            let table = allocate()?;
            for (at, blank) in self.blank(table, level) {
                let is_entry = at == table + offset;
                words.push((at, if is_entry { word } else { blank }));
            }
            made.push((self.key(level, address), table));
            word = handout::pointer(table);
        }
        self.tables.extend(made);
        self.leaves.insert(self.page(address), leaf);
        Ok(words)
    }

    fn entry(&self, leaf: u64, width: u32) -> Entry {
        Entry::new(leaf, width, &self.format.geometry())
    }

    /// Returns the valid leaf of `address`, if there is one.
    fn leaf(&self, address: u64, width: u32) -> Option<Entry> {
        let leaf = *self.leaves.get(&self.page(address))?;
        Some(self.entry(leaf, width)).filter(Entry::valid)
    }

    /// Returns the valid leaves with the addresses of their pages.
    fn pages(&self, width: u32) -> impl Iterator<Item = (u64, Entry)> {
        let offset_width = self.format.geometry().offset_width;
        self.leaves
            .iter()
            .map(move |(&page, &leaf)| (page << offset_width, self.entry(leaf, width)))
            .filter(|(_, entry)| entry.valid())
    }
}

/// A host table, gPA=>hPA: the physical memory of a VM.
#[derive(Clone, Debug)]
pub struct HostTable {
    radix: Radix,
    /// The words of guest tables by gPA, with their hPAs.
    guest_words: BTreeMap<u64, (Hpa, u64)>,
}

impl HostTable {
    /// Makes a table that maps nothing.
    ///
    /// # Errors
    /// [`TableError::NoFrame`] and [`TableError::Occupied`].
    pub fn new(
        format: Format,
        memory: &mut dyn TableMemory,
        frames: &mut TableFrames,
    ) -> Result<Self, TableError> {
        let (radix, words) = Radix::new(format, || frames.take().map(|hpa| hpa.0))?;
        let table = Self {
            radix,
            guest_words: BTreeMap::new(),
        };
        put_host_words(memory, words)?;
        Ok(table)
    }

    /// Returns the value of the host table base register.
    pub fn root(&self) -> Hpa {
        Hpa(self.radix.root)
    }

    /// Maps the page at `from` to the page at `to`, and replaces an earlier mapping. Words of guest
    /// tables in the page are moved with it.
    ///
    /// # Errors
    /// [`TableError::Unaligned`] and [`TableError::Width`] if `from` or `to` is not the address of
    /// a page, [`TableError::NoFrame`] and [`TableError::Occupied`].
    pub fn map(
        &mut self,
        memory: &mut dyn TableMemory,
        frames: &mut TableFrames,
        from: Gpa,
        to: Hpa,
        rights: Rights,
    ) -> Result<FenceObligation, TableError> {
        let format = self.radix.format;
        Address::Gpa(from).must_be_page(format)?;
        Address::Hpa(to).must_be_page(format)?;
        for (gpa, (at, word)) in self.guest_words.range_mut(page_range(format, from)) {
            let new = Hpa(to.0 + format.geometry().offset(*gpa));
            if *at != new {
                memory.carry(*at, new, *word)?;
                *at = new;
            }
        }
        let leaf = handout::leaf(to.0, rights);
        let words = self
            .radix
            .set(from.0, leaf, || frames.take().map(|hpa| hpa.0))?;
        put_host_words(memory, words)?;
        Ok(self.owed(from))
    }

    /// Sets the leaf of the page at `from` to 0. In rights mode that is not valid; otherwise it
    /// maps to page 0.
    ///
    /// # Errors
    /// [`TableError::Unaligned`] and [`TableError::Width`] if `from` is not the address of a page,
    /// [`TableError::NotMapped`], and [`TableError::Occupied`].
    pub fn unmap(
        &mut self,
        memory: &mut dyn TableMemory,
        from: Gpa,
    ) -> Result<FenceObligation, TableError> {
        let page = Address::Gpa(from);
        page.must_be_page(self.radix.format)?;
        if self.mapped(from).is_none() {
            return Err(TableError::NotMapped { page });
        }
        // The page is mapped, so all tables on the path to its leaf exist.
        let words = self
            .radix
            .set(from.0, 0, || Err(TableError::NotMapped { page }))?;
        put_host_words(memory, words)?;
        Ok(self.owed(from))
    }

    /// Returns the hPA that `gpa` is mapped to, and the rights.
    pub fn mapped(&self, gpa: Gpa) -> Option<(Hpa, Rights)> {
        let geometry = self.radix.format.geometry();
        let leaf = self.radix.leaf(gpa.0, geometry.hpa_width)?;
        let hpa = Hpa(leaf.page() + geometry.offset(gpa.0));
        Some((hpa, leaf.rights()))
    }

    /// Returns the mapped pages in order: from, to, and the rights.
    pub fn pages(&self) -> impl Iterator<Item = (Gpa, Hpa, Rights)> {
        self.radix
            .pages(self.radix.format.geometry().hpa_width)
            .map(|(from, leaf)| (Gpa(from), Hpa(leaf.page()), leaf.rights()))
    }

    /// Returns true if the page of `gpa` contains a word of a guest table.
    pub fn holds_guest_table(&self, gpa: Gpa) -> bool {
        self.guest_words
            .range(page_range(self.radix.format, gpa))
            .next()
            .is_some()
    }

    /// Returns the fence obligation of a change to the page. If the page contains a guest table, it
    /// takes part in the translation of any gVA. A fence by its gPA matches only translations *to*
    /// the page, so the fence must match every page.
    fn owed(&self, from: Gpa) -> FenceObligation {
        let owed = FenceObligation::of(Fence {
            gpa: Some(from),
            ..Fence::default()
        });
        if self.holds_guest_table(from) {
            owed.of_every_page()
        } else {
            owed
        }
    }
}

/// Returns the gPAs of the page that contains `gpa`.
fn page_range(format: Format, gpa: Gpa) -> Range<u64> {
    let geometry = format.geometry();
    let start = gpa.0 - geometry.offset(gpa.0);
    start..start + geometry.page_bytes()
}

impl GuestMemory for HostTable {
    fn locate(&self, _: &dyn TableMemory, gpa: Gpa) -> Option<Hpa> {
        Some(self.mapped(gpa)?.0)
    }

    fn note(&mut self, gpa: Gpa, hpa: Hpa, word: u64) {
        self.guest_words.insert(gpa.0, (hpa, word));
    }
}

/// A host table that other software has put into memory. Only its root register is known. Its
/// rights are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRoot {
    /// The format of the table.
    pub format: Format,
    /// The value of the host table base register.
    pub root: Hpa,
}

impl GuestMemory for HostRoot {
    fn locate(&self, memory: &dyn TableMemory, gpa: Gpa) -> Option<Hpa> {
        let query = Query {
            context: Context::handout(None, self.root),
            gva: Gva(gpa.0),
            access: Access::Load,
        };
        let found = walk::walk(self.format, &query, &mut TableWords(memory), &mut ());
        Some(found.ok()?.hpa)
    }

    fn note(&mut self, _: Gpa, _: Hpa, _: u64) {}
}

struct TableWords<'a>(&'a dyn TableMemory);

impl EntryMemory for TableWords<'_> {
    fn read_entry(&mut self, at: Hpa) -> Option<u64> {
        self.0.word(at)
    }

    fn update_entry(&mut self, at: Hpa, _: u64, _: u64) -> Option<u64> {
        // The formats of these tables have no accessed and dirty bits.
        self.0.word(at)
    }
}

/// A guest table, gVA=>gPA: the memory of a process.
#[derive(Clone, Debug)]
pub struct GuestTable {
    radix: Radix,
    room: GuestRoom,
}

impl GuestTable {
    /// Makes a table that maps nothing, at the start of `room`.
    ///
    /// # Errors
    /// [`TableError::Unaligned`], [`TableError::Width`] and [`TableError::NoGuestRoom`] if guest
    /// physical memory has no room for it, [`TableError::GuestTableUnmapped`] if the host does not
    /// map that room, and [`TableError::Occupied`].
    pub fn new(
        format: Format,
        memory: &mut dyn TableMemory,
        host: &mut dyn GuestMemory,
        mut room: GuestRoom,
    ) -> Result<Self, TableError> {
        let (radix, words) = Radix::new(format, || room.take(format))?;
        put_guest_words(memory, host, words)?;
        Ok(Self { radix, room })
    }

    /// Returns the value of the guest table base register.
    pub fn root(&self) -> Gpa {
        Gpa(self.radix.root)
    }

    /// Maps the page at `from` to the page at `to`, and replaces an earlier mapping.
    ///
    /// # Errors
    /// [`TableError::Unaligned`] and [`TableError::Width`] if `from` or `to` is not the address of
    /// a page, and the errors of [`GuestTable::new`] if a table is added.
    pub fn map(
        &mut self,
        memory: &mut dyn TableMemory,
        host: &mut dyn GuestMemory,
        from: Gva,
        to: Gpa,
        rights: Rights,
    ) -> Result<FenceObligation, TableError> {
        let format = self.radix.format;
        Address::Gva(from).must_be_page(format)?;
        Address::Gpa(to).must_be_page(format)?;
        let leaf = handout::leaf(to.0, rights);
        let words = self.radix.set(from.0, leaf, || self.room.take(format))?;
        put_guest_words(memory, host, words)?;
        Ok(Self::owed(from))
    }

    /// Sets the leaf of the page at `from` to 0. In rights mode that is not valid; otherwise it
    /// maps to page 0.
    ///
    /// # Errors
    /// [`TableError::Unaligned`] and [`TableError::Width`] if `from` is not the address of a page,
    /// [`TableError::NotMapped`], [`TableError::GuestTableUnmapped`] and [`TableError::Occupied`].
    pub fn unmap(
        &mut self,
        memory: &mut dyn TableMemory,
        host: &mut dyn GuestMemory,
        from: Gva,
    ) -> Result<FenceObligation, TableError> {
        let page = Address::Gva(from);
        page.must_be_page(self.radix.format)?;
        if self.mapped(from).is_none() {
            return Err(TableError::NotMapped { page });
        }
        let words = self
            .radix
            .set(from.0, 0, || Err(TableError::NotMapped { page }))?;
        put_guest_words(memory, host, words)?;
        Ok(Self::owed(from))
    }

    /// Returns the gPA that `gva` is mapped to, and the rights.
    pub fn mapped(&self, gva: Gva) -> Option<(Gpa, Rights)> {
        let geometry = self.radix.format.geometry();
        let leaf = self.radix.leaf(gva.0, geometry.gpa_width)?;
        let gpa = Gpa(leaf.page() + geometry.offset(gva.0));
        Some((gpa, leaf.rights()))
    }

    /// Returns the mapped pages in order: from, to, and the rights.
    pub fn pages(&self) -> impl Iterator<Item = (Gva, Gpa, Rights)> {
        self.radix
            .pages(self.radix.format.geometry().gpa_width)
            .map(|(from, leaf)| (Gva(from), Gpa(leaf.page()), leaf.rights()))
    }

    fn owed(from: Gva) -> FenceObligation {
        FenceObligation::of(Fence {
            gva: Some(from),
            ..Fence::default()
        })
    }
}
