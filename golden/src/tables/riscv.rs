// SPDX-License-Identifier: Apache-2.0
//! Page tables of RISC-V, built into memory from mappings.
//!
//! A [`HostTable`] is a G-stage table, gPA=>hPA. A [`GuestTable`] is a VS-stage table, gVA=>gPA;
//! for a host without a virtual machine it is the only table. A page may have any size of the mode.
//! Entries that map nothing are 0, which is not valid, so a walk never reads a hole.
//!
//! ```
//! use nestwalk_golden::addr::{Gpa, Gva, Hpa};
//! use nestwalk_golden::format::Format;
//! use nestwalk_golden::memory::HostMemory;
//! use nestwalk_golden::tables::riscv::{GuestTable, HostTable, Page};
//! use nestwalk_golden::tables::{GuestRoom, TableError, TableFrames};
//!
//! # fn main() -> Result<(), TableError> {
//! let format = Format::Rv64;
//! let mut memory = HostMemory::new(format);
//! let mut frames = TableFrames::new(format, Hpa(0x8000_0000), 0x10_0000)?;
//!
//! // Sv39x4: the virtual machine has 2 MiB at gPA 0x80000000. Sv39: its kernel has a page there.
//! let mut host = HostTable::new(format, 3, &mut memory, &mut frames)?;
//! let page = Page { size: 21, ..Page::of_host() };
//! host.map(&mut memory, &mut frames, Gpa(0x8000_0000), Hpa(0xC000_0000), &page)?.ignore();
//!
//! let room = GuestRoom::from(Gpa(0x8000_1000));
//! let mut guest = GuestTable::new(format, 3, &mut memory, &mut host, room)?;
//! let (from, to) = (Gva(0xFFFF_FFC0_0000_0000), Gpa(0x8010_0000));
//! let owed = guest.map(&mut memory, &mut host, from, to, &Page::of_guest())?;
//! assert_eq!(owed.of_asid(1).fence().gva, Some(from));
//! assert_eq!(host.mapped(to), Some(Hpa(0xC010_0000)));
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;

use super::{
    Address, FenceObligation, GuestMemory, GuestRoom, TableError, TableFrames, TableMemory, Words,
    put_guest_words, put_host_words,
};
use crate::addr::{Gpa, Gva, Hpa};
use crate::format::riscv::{Entry, NAPOT_PAGE_SIZE, mode_name};
use crate::format::{Format, fits};
use crate::mmu::{Fence, MemoryType, Rights, Stage};

/// The page of a leaf: all that the leaf stores besides the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// log2 of the page size in bytes: the size of a leaf of some level, or of a NAPOT page.
    pub size: u32,
    /// R, W and X.
    pub rights: Rights,
    /// U: a page of user mode. The G-stage treats every access as a user access.
    pub user: bool,
    /// G: valid under every ASID.
    pub global: bool,
    /// A: the page has been used.
    pub accessed: bool,
    /// D: the page has been written.
    pub dirty: bool,
    /// PBMT: its memory type.
    pub memory_type: MemoryType,
}

impl Page {
    /// Returns a page of supervisor mode of 4 KiB with all rights, accessed and dirty.
    pub const fn of_guest() -> Self {
        Self {
            size: 12,
            rights: Rights::ALL,
            user: false,
            global: false,
            accessed: true,
            dirty: true,
            memory_type: MemoryType::Pma,
        }
    }

    /// Returns the same page as the host stage needs it: with U set.
    pub const fn of_host() -> Self {
        Self {
            user: true,
            ..Self::of_guest()
        }
    }

    /// Returns the leaf for the page at `address`.
    pub fn leaf(&self, address: u64) -> Entry {
        let leaf = Entry::leaf(address, self.rights)
            .with_user(self.user)
            .with_global(self.global)
            .with_accessed(self.accessed)
            .with_dirty(self.dirty)
            .with_pbmt(self.memory_type as u8);
        if self.size == NAPOT_PAGE_SIZE {
            leaf.with_napot_64k()
        } else {
            leaf
        }
    }
}

/// Returns the level of a leaf for pages of 2^`size` bytes; none if the format has no such pages.
pub fn level_of_size(format: Format, size: u32) -> Option<u32> {
    let geometry = format.geometry();
    if size == NAPOT_PAGE_SIZE && format == Format::Rv64 {
        return Some(0);
    }
    let above = size.checked_sub(geometry.offset_width)?;
    let level = above / geometry.index_width;
    (above.is_multiple_of(geometry.index_width) && level < geometry.levels).then_some(level)
}

#[derive(Clone, Copy, Debug)]
struct Leaf {
    entry: Entry,
    size: u32,
}

/// The tables of all levels of one stage. Addresses are gPAs or hPAs, by stage.
#[derive(Clone, Debug)]
struct Tree {
    format: Format,
    stage: Stage,
    levels: u8,
    root: u64,
    /// Tables below the root, by level and by the address bits above those that they translate.
    tables: BTreeMap<(u32, u64), u64>,
    /// Leaves by the first address of their page, cut to the bits that the mode translates. Pages
    /// do not overlap.
    leaves: BTreeMap<u64, Leaf>,
}

impl Tree {
    fn new(
        format: Format,
        stage: Stage,
        levels: u8,
        allocate: impl FnOnce() -> Result<u64, TableError>,
    ) -> Result<(Self, Words), TableError> {
        if levels == 0 || !format.level_choices().contains(&levels) {
            return Err(TableError::Levels { levels });
        }
        let tree = Self {
            format,
            stage,
            levels,
            root: allocate()?,
            tables: BTreeMap::new(),
            leaves: BTreeMap::new(),
        };
        let words = tree.blank(tree.root, tree.root_level()).collect();
        Ok((tree, words))
    }

    fn root_level(&self) -> u32 {
        u32::from(self.levels) - 1
    }

    fn mode(&self) -> &'static str {
        mode_name(self.stage, self.levels).unwrap_or("bare")
    }

    /// Returns the number of address bits that the mode translates.
    fn width(&self) -> u32 {
        let geometry = self.format.geometry();
        let extra = match self.stage {
            Stage::Guest => 0,
            Stage::Host => geometry.host_root_extra,
        };
        geometry.offset_width + u32::from(self.levels) * geometry.index_width + extra
    }

    fn translated(&self, address: u64) -> u64 {
        address & (u64::MAX >> (64 - self.width()))
    }

    /// Returns the size in bytes of the table of a level.
    fn bytes(&self, level: u32) -> u64 {
        let geometry = self.format.geometry();
        match self.stage {
            Stage::Host if level == self.root_level() => {
                geometry.table_bytes() << geometry.host_root_extra
            }
            _ => geometry.table_bytes(),
        }
    }

    fn blank(&self, table: u64, level: u32) -> impl Iterator<Item = (u64, u64)> + use<> {
        let step = self.format.geometry().pte_bytes();
        (0..self.bytes(level) / step).map(move |i| (table + i * step, 0))
    }

    fn size_of_level(&self, level: u32) -> u32 {
        let geometry = self.format.geometry();
        geometry.offset_width + level * geometry.index_width
    }

    /// Returns the key in `tables` of the table of `level` that translates `address`.
    fn key(&self, level: u32, address: u64) -> (u32, u64) {
        (level, address >> self.size_of_level(level + 1))
    }

    /// Returns the offset in bytes of the entry of `address` in the table of `level`.
    fn offset(&self, level: u32, address: u64) -> u64 {
        (address >> self.size_of_level(level)) * self.format.geometry().pte_bytes()
            % self.bytes(level)
    }

    /// Returns the level of a leaf for pages of 2^`size` bytes.
    fn level(&self, size: u32) -> Result<u32, TableError> {
        level_of_size(self.format, size)
            .filter(|&level| level < u32::from(self.levels))
            .ok_or(TableError::PageSize {
                mode: self.mode(),
                size,
            })
    }

    /// Checks that the mode translates `from`, that `from` and `to` are multiples of 2^`size`, and
    /// that an entry can contain the page number of `to`.
    fn check(&self, from: Address, to: Option<Address>, size: u32) -> Result<(), TableError> {
        let unit = 1 << size;
        from.must_be_multiple_of(unit)?;
        let (address, width) = (from.value(), self.width());
        let in_range = match self.stage {
            Stage::Host => fits(address, width),
            Stage::Guest if width == self.format.geometry().gva_width => fits(address, width),
            Stage::Guest => {
                let unused = 64 - width;
                (address << unused) as i64 >> unused == address as i64
            }
        };
        if !in_range {
            return Err(TableError::Range {
                address: from,
                mode: self.mode(),
            });
        }
        if let Some(to) = to {
            to.must_be_multiple_of(unit)?;
            // In both stages the page number of an entry is as wide as an hPA's.
            let width = self.format.geometry().hpa_width;
            if !to
                .value()
                .checked_add(unit - 1)
                .is_some_and(|last| fits(last, width))
            {
                return Err(TableError::Width {
                    address: to,
                    bytes: unit,
                    width,
                });
            }
        }
        Ok(())
    }

    /// Returns the start of the page that contains `address`, and its leaf.
    fn leaf(&self, address: u64) -> Option<(u64, Leaf)> {
        let address = self.translated(address);
        let (&start, &leaf) = self.leaves.range(..=address).next_back()?;
        (address - start < 1 << leaf.size).then_some((start, leaf))
    }

    /// Returns the words of a leaf. A NAPOT page has as many as the pages of the smallest size in
    /// it.
    fn leaf_words(&self, table: u64, address: u64, level: u32, size: u32, word: u64) -> Words {
        let geometry = self.format.geometry();
        let count = 1 << (size - self.size_of_level(level));
        let at = table + self.offset(level, address);
        (0..count)
            .map(|i| (at + i * geometry.pte_bytes(), word))
            .collect()
    }

    /// Sets the leaf of the page at `from`, and makes the tables on the path to it. Returns the
    /// words, and true if the page was or is global.
    fn set(
        &mut self,
        from: Address,
        leaf: Leaf,
        mut allocate: impl FnMut() -> Result<u64, TableError>,
    ) -> Result<(Words, bool), TableError> {
        let Leaf { entry, size } = leaf;
        let leaf_level = self.level(size)?;
        let address = self.translated(from.value());
        let end = address + (1 << size);
        let before = self.leaves.range(..end).next_back();
        let mut global = entry.global();
        if let Some((&start, before)) = before
            && start + (1 << before.size) > address
        {
            if (start, before.size) != (address, size) {
                return Err(TableError::Overlap {
                    page: from,
                    size,
                    other: self.address_of(start),
                    other_size: before.size,
                });
            }
            global |= before.entry.global();
        }
        let mut made = Vec::new();
        let mut words = Words::new();
        // The pointer to the new table, for the table above it.
        let mut pointer = None;
        // The leaf is written first, and the pointers after it, so that a walk in flight never
        // follows a pointer to a table that is not written yet.
        for level in leaf_level..u32::from(self.levels) {
            let there = match level == self.root_level() {
                true => Some(self.root),
                false => self.tables.get(&self.key(level, address)).copied(),
            };
            let table = match there {
                Some(table) => table,
                None => {
                    let table = allocate()?;
                    made.push((self.key(level, address), table));
                    words.extend(self.blank(table, level));
                    table
                }
            };
            match pointer {
                Some(word) => words.push((table + self.offset(level, address), word)),
                None => words.extend(self.leaf_words(table, address, level, size, entry.0)),
            }
            if there.is_some() {
                break;
            }
            pointer = Some(Entry::pointer(table).0);
        }
        // A larger page replaces tables, which map nothing any more.
        let replaced: Vec<(u32, u64)> = (0..leaf_level)
            .flat_map(|level| {
                let shift = self.size_of_level(level + 1);
                let first = address.div_ceil(1 << shift);
                let last = (end - 1) >> shift;
                self.tables.range((level, first)..=(level, last.max(first)))
            })
            .map(|(key, _)| *key)
            .filter(|&(level, prefix)| {
                (address..end).contains(&(prefix << self.size_of_level(level + 1)))
            })
            .collect();
        for key in replaced {
            self.tables.remove(&key);
        }
        self.tables.extend(made);
        self.leaves.insert(address, leaf);
        Ok((words, global))
    }

    /// Removes the leaf of the page that starts at `from`. Returns its words and the leaf.
    fn clear(&mut self, from: Address) -> Result<(Words, Leaf), TableError> {
        let not_mapped = TableError::NotMapped { page: from };
        self.check(from, None, self.format.geometry().offset_width)?;
        let address = self.translated(from.value());
        let Some(&leaf) = self.leaves.get(&address) else {
            return Err(not_mapped);
        };
        let level = self.level(leaf.size)?;
        let table = match level == self.root_level() {
            true => Some(self.root),
            false => self.tables.get(&self.key(level, address)).copied(),
        };
        let words = self.leaf_words(table.ok_or(not_mapped)?, address, level, leaf.size, 0);
        self.leaves.remove(&address);
        Ok((words, leaf))
    }

    fn address_of(&self, address: u64) -> Address {
        match self.stage {
            Stage::Host => Address::Gpa(Gpa(address)),
            Stage::Guest => {
                let unused = 64 - self.width();
                let sign = ((address << unused) as i64 >> unused) as u64;
                let gva_width = self.format.geometry().gva_width;
                Address::Gva(Gva(sign & (u64::MAX >> (64 - gva_width))))
            }
        }
    }

    fn mapped(&self, address: u64) -> Option<u64> {
        let (start, leaf) = self.leaf(address)?;
        Some(base(&leaf) + (self.translated(address) - start))
    }

    /// Returns the start, the target and the leaf of every page, in order.
    fn pages(&self) -> impl Iterator<Item = (u64, u64, Leaf)> {
        self.leaves
            .iter()
            .map(|(&from, leaf)| (from, base(leaf), *leaf))
    }
}

/// Returns the target of a leaf: the first address of its page.
fn base(leaf: &Leaf) -> u64 {
    leaf.entry.address() >> leaf.size << leaf.size
}

/// A G-stage table, gPA=>hPA: the physical memory of a virtual machine.
#[derive(Clone, Debug)]
pub struct HostTable {
    tree: Tree,
    /// The words of guest tables by gPA, with their hPAs.
    guest_words: BTreeMap<u64, (Hpa, u64)>,
}

impl HostTable {
    /// Makes a table of `levels` levels that maps nothing. Its root table is 16 KiB.
    ///
    /// # Errors
    /// [`TableError::Levels`], [`TableError::Unaligned`] if the frames are not pages,
    /// [`TableError::NoFrame`] and [`TableError::Occupied`].
    pub fn new(
        format: Format,
        levels: u8,
        memory: &mut dyn TableMemory,
        frames: &mut TableFrames,
    ) -> Result<Self, TableError> {
        let geometry = format.geometry();
        Address::Hpa(frames.from).must_be_multiple_of(geometry.page_bytes())?;
        let (tree, words) = Tree::new(format, Stage::Host, levels, || {
            let root = frames.take_aligned(1 << geometry.host_root_extra)?;
            Ok(root.0)
        })?;
        put_host_words(memory, words)?;
        Ok(Self {
            tree,
            guest_words: BTreeMap::new(),
        })
    }

    /// Returns the address of the root table, for hgatp.
    pub fn root(&self) -> Hpa {
        Hpa(self.tree.root)
    }

    /// Returns the number of levels of the mode.
    pub fn levels(&self) -> u8 {
        self.tree.levels
    }

    /// Maps the page at `from` to the page at `to`, and replaces an earlier mapping of the same
    /// size. Words of guest tables in the page are moved with it.
    ///
    /// # Errors
    /// [`TableError::PageSize`], [`TableError::Range`], [`TableError::Unaligned`] and
    /// [`TableError::Width`] if the mode has no such page, [`TableError::Overlap`],
    /// [`TableError::NoFrame`] and [`TableError::Occupied`].
    pub fn map(
        &mut self,
        memory: &mut dyn TableMemory,
        frames: &mut TableFrames,
        from: Gpa,
        to: Hpa,
        page: &Page,
    ) -> Result<FenceObligation, TableError> {
        let from_address = Address::Gpa(from);
        self.tree.level(page.size)?;
        (self.tree).check(from_address, Some(Address::Hpa(to)), page.size)?;
        let leaf = Leaf {
            entry: page.leaf(to.0),
            size: page.size,
        };
        let (words, _) = (self.tree).set(from_address, leaf, || frames.take().map(|hpa| hpa.0))?;
        let end = from.0 + (1 << page.size);
        for (gpa, (at, word)) in self.guest_words.range_mut(from.0..end) {
            let new = Hpa(to.0 + (gpa - from.0));
            if *at != new {
                memory.carry(*at, new, *word)?;
                *at = new;
            }
        }
        put_host_words(memory, words)?;
        Ok(self.owed(from, page.size))
    }

    /// Sets the leaf of the page that starts at `from` to 0, which is not valid.
    ///
    /// # Errors
    /// [`TableError::Unaligned`] and [`TableError::Range`] if `from` is not the address of a page,
    /// [`TableError::NotMapped`], and [`TableError::Occupied`].
    pub fn unmap(
        &mut self,
        memory: &mut dyn TableMemory,
        from: Gpa,
    ) -> Result<FenceObligation, TableError> {
        let (words, leaf) = self.tree.clear(Address::Gpa(from))?;
        put_host_words(memory, words)?;
        Ok(self.owed(from, leaf.size))
    }

    /// Returns the hPA that `gpa` is mapped to.
    pub fn mapped(&self, gpa: Gpa) -> Option<Hpa> {
        self.tree.mapped(gpa.0).map(Hpa)
    }

    /// Returns the mapped pages in order: from, to, log2 of the size in bytes, and the rights.
    pub fn pages(&self) -> impl Iterator<Item = (Gpa, Hpa, u32, Rights)> {
        self.tree
            .pages()
            .map(|(from, to, leaf)| (Gpa(from), Hpa(to), leaf.size, leaf.entry.rights()))
    }

    /// Returns true if the 2^`size` bytes from `gpa` on contain a word of a guest table.
    pub fn holds_guest_table(&self, gpa: Gpa, size: u32) -> bool {
        let end = gpa.0 + (1 << size);
        self.guest_words.range(gpa.0..end).next().is_some()
    }

    /// Returns the fence obligation of a change to the page. If the page contains a guest table, it
    /// takes part in the translation of any gVA. A fence by its gPA matches only translations *to*
    /// the page, so the fence must match every page.
    fn owed(&self, from: Gpa, size: u32) -> FenceObligation {
        let owed = FenceObligation::of(Fence {
            gpa: Some(from),
            ..Fence::default()
        });
        if self.holds_guest_table(from, size) {
            owed.of_every_page()
        } else {
            owed
        }
    }
}

impl GuestMemory for HostTable {
    fn locate(&self, _: &dyn TableMemory, gpa: Gpa) -> Option<Hpa> {
        self.mapped(gpa)
    }

    fn note(&mut self, gpa: Gpa, hpa: Hpa, word: u64) {
        self.guest_words.insert(gpa.0, (hpa, word));
    }
}

/// Guest physical memory that equals host physical memory: there is no virtual machine, or its
/// G-stage is Bare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoHost;

impl GuestMemory for NoHost {
    fn locate(&self, _: &dyn TableMemory, gpa: Gpa) -> Option<Hpa> {
        Some(Hpa(gpa.0))
    }

    fn note(&mut self, _: Gpa, _: Hpa, _: u64) {}
}

/// A VS-stage table, gVA=>gPA: the memory of a process. With [`NoHost`] it is the table of the only
/// stage.
#[derive(Clone, Debug)]
pub struct GuestTable {
    tree: Tree,
    room: GuestRoom,
}

impl GuestTable {
    /// Makes a table of `levels` levels that maps nothing, at the start of `room`.
    ///
    /// # Errors
    /// [`TableError::Levels`]; [`TableError::Unaligned`], [`TableError::Width`] and
    /// [`TableError::NoGuestRoom`] if guest physical memory has no room for it,
    /// [`TableError::GuestTableUnmapped`] if the host does not map that room, and
    /// [`TableError::Occupied`].
    pub fn new(
        format: Format,
        levels: u8,
        memory: &mut dyn TableMemory,
        host: &mut dyn GuestMemory,
        mut room: GuestRoom,
    ) -> Result<Self, TableError> {
        let (tree, words) = Tree::new(format, Stage::Guest, levels, || {
            let root = room.take(format)?;
            Address::Gpa(Gpa(root)).must_be_multiple_of(format.geometry().page_bytes())?;
            Ok(root)
        })?;
        put_guest_words(memory, host, words)?;
        Ok(Self { tree, room })
    }

    /// Returns the address of the root table, for vsatp or satp.
    pub fn root(&self) -> Gpa {
        Gpa(self.tree.root)
    }

    /// Returns the number of levels of the mode.
    pub fn levels(&self) -> u8 {
        self.tree.levels
    }

    /// Maps the page at `from` to the page at `to`, and replaces an earlier mapping of the same
    /// size.
    ///
    /// # Errors
    /// [`TableError::PageSize`], [`TableError::Range`], [`TableError::Unaligned`] and
    /// [`TableError::Width`] if the mode has no such page, [`TableError::Overlap`], and the errors
    /// of [`GuestTable::new`] if a table is added.
    pub fn map(
        &mut self,
        memory: &mut dyn TableMemory,
        host: &mut dyn GuestMemory,
        from: Gva,
        to: Gpa,
        page: &Page,
    ) -> Result<FenceObligation, TableError> {
        let format = self.tree.format;
        let from_address = Address::Gva(from);
        self.tree.level(page.size)?;
        (self.tree).check(from_address, Some(Address::Gpa(to)), page.size)?;
        let leaf = Leaf {
            entry: page.leaf(to.0),
            size: page.size,
        };
        let (words, global) = (self.tree).set(from_address, leaf, || self.room.take(format))?;
        put_guest_words(memory, host, words)?;
        Ok(Self::owed(from, global))
    }

    /// Sets the leaf of the page that starts at `from` to 0, which is not valid.
    ///
    /// # Errors
    /// [`TableError::Unaligned`] and [`TableError::Range`] if `from` is not the address of a page,
    /// [`TableError::NotMapped`], [`TableError::GuestTableUnmapped`] and [`TableError::Occupied`].
    pub fn unmap(
        &mut self,
        memory: &mut dyn TableMemory,
        host: &mut dyn GuestMemory,
        from: Gva,
    ) -> Result<FenceObligation, TableError> {
        let (words, leaf) = self.tree.clear(Address::Gva(from))?;
        put_guest_words(memory, host, words)?;
        Ok(Self::owed(from, leaf.entry.global()))
    }

    /// Returns the gPA that `gva` is mapped to.
    pub fn mapped(&self, gva: Gva) -> Option<Gpa> {
        self.tree.mapped(gva.0).map(Gpa)
    }

    fn owed(from: Gva, global: bool) -> FenceObligation {
        let fence = Fence {
            gva: Some(from),
            ..Fence::default()
        };
        FenceObligation { fence, global }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::HostMemory;
    use crate::mmu::{Access, Context, Query, StageControl};
    use crate::walk;

    const RAM: Gpa = Gpa(0x8000_0000);

    struct Machine {
        memory: HostMemory,
        frames: TableFrames,
        host: HostTable,
    }

    /// Returns a virtual machine with 4 MiB, in two pages of 2 MiB. Host memory has them in the
    /// opposite order.
    fn machine(levels: u8) -> Machine {
        let format = Format::Rv64;
        let mut memory = HostMemory::new(format);
        let mut frames = TableFrames::new(format, Hpa(0x1000), 0x10_0000).unwrap();
        let mut host = HostTable::new(format, levels, &mut memory, &mut frames).unwrap();
        let page = Page {
            size: 21,
            ..Page::of_host()
        };
        for (from, to) in [(RAM.0, 0x4020_0000), (RAM.0 + 0x20_0000, 0x4000_0000)] {
            host.map(&mut memory, &mut frames, Gpa(from), Hpa(to), &page)
                .unwrap()
                .ignore();
        }
        Machine {
            memory,
            frames,
            host,
        }
    }

    fn load(machine: &mut Machine, guest: &GuestTable, gva: u64) -> Option<u64> {
        let on = |levels| StageControl {
            levels,
            ..StageControl::default()
        };
        let context = Context {
            guest: StageControl {
                root: guest.root(),
                ..on(guest.levels())
            },
            host: StageControl {
                levels: machine.host.levels(),
                root: machine.host.root(),
                ..StageControl::default()
            },
            napot: true,
            ..Context::handout(None, Hpa(0))
        };
        let query = Query {
            context,
            gva: Gva(gva),
            access: Access::Load,
        };
        let found = walk::walk(Format::Rv64, &query, &mut machine.memory, &mut ());
        found.ok().map(|mapping| mapping.hpa.0)
    }

    #[test]
    fn the_root_of_the_host_is_on_16_kib() {
        let machine = machine(3);
        assert_eq!(machine.host.root(), Hpa(0x4000));
        assert_eq!(
            machine.host.mapped(Gpa(RAM.0 + 0x20_0123)),
            Some(Hpa(0x4000_0123))
        );
        assert_eq!(machine.host.mapped(Gpa(RAM.0 + 0x40_0000)), None);
    }

    #[test]
    fn pages_of_every_size_and_mode_are_found_by_a_walk() {
        for (levels, sizes) in [
            (3, &[12, 16, 21, 30][..]),
            (4, &[12, 16, 21, 30, 39]),
            (5, &[12, 16, 21, 30, 39, 48]),
        ] {
            for host_levels in [3, 4, 5] {
                let mut machine = machine(host_levels);
                let room = GuestRoom::from(RAM);
                let Machine { memory, host, .. } = &mut machine;
                let mut guest = GuestTable::new(Format::Rv64, levels, memory, host, room).unwrap();
                for (i, &size) in (1u64..).zip(sizes) {
                    // One of the highest pages of its size, below a root entry of its own. It is
                    // mapped to gPA 0 if it is larger than the machine's memory.
                    let from = 0u64.wrapping_sub(i << (12 + 9 * (u32::from(levels) - 1)).max(size));
                    let to = if size <= 21 { RAM.0 + 0x20_0000 } else { 0 };
                    let page = Page {
                        size,
                        ..Page::of_guest()
                    };
                    let Machine { memory, host, .. } = &mut machine;
                    guest
                        .map(memory, host, Gva(from), Gpa(to), &page)
                        .unwrap()
                        .ignore();
                    let inside = (1 << size) - 8;
                    assert_eq!(guest.mapped(Gva(from + inside)), Some(Gpa(to + inside)));
                    let offset = if size <= 21 { inside } else { RAM.0 + 8 };
                    let expected = if size <= 21 {
                        0x4000_0000 + inside
                    } else {
                        0x4020_0008
                    };
                    if size <= 21 || offset < 1 << size {
                        let found = load(&mut machine, &guest, from + offset);
                        assert_eq!(found, Some(expected), "{levels} {host_levels} {size}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_unmapped_is_gone_and_a_page_of_another_size_can_take_its_place() {
        let mut machine = machine(3);
        let Machine { memory, host, .. } = &mut machine;
        let mut guest =
            GuestTable::new(Format::Rv64, 3, memory, host, GuestRoom::from(RAM)).unwrap();
        let small = Page::of_guest();
        let large = Page { size: 21, ..small };
        let to = Gpa(RAM.0 + 0x20_0000);
        let at = Gva(0x40_1000);
        guest.map(memory, host, at, to, &small).unwrap().ignore();
        let overlap = guest.map(memory, host, Gva(0x40_0000), to, &large);
        assert!(matches!(
            overlap,
            Err(TableError::Overlap {
                size: 21,
                other_size: 12,
                ..
            })
        ));
        guest.unmap(memory, host, at).unwrap().ignore();
        assert!(matches!(
            guest.unmap(memory, host, at),
            Err(TableError::NotMapped { .. })
        ));
        assert_eq!(load(&mut machine, &guest, 0x40_1000), None);
        let Machine { memory, host, .. } = &mut machine;
        guest
            .map(memory, host, Gva(0x40_0000), to, &large)
            .unwrap()
            .ignore();
        assert_eq!(load(&mut machine, &guest, 0x40_1000), Some(0x4000_1000));
        // And back: the table that was there before is not.
        let Machine { memory, host, .. } = &mut machine;
        guest.unmap(memory, host, Gva(0x40_0000)).unwrap().ignore();
        guest.map(memory, host, at, to, &small).unwrap().ignore();
        assert_eq!(load(&mut machine, &guest, 0x40_1000), Some(0x4000_0000));
        assert_eq!(load(&mut machine, &guest, 0x40_2000), None);
    }

    #[test]
    fn a_host_that_moves_a_page_takes_the_guests_tables_along() {
        let mut machine = machine(4);
        let Machine {
            memory,
            host,
            frames,
        } = &mut machine;
        let mut guest =
            GuestTable::new(Format::Rv64, 3, memory, host, GuestRoom::from(RAM)).unwrap();
        let to = Gpa(RAM.0 + 0x20_0000);
        let page = Page {
            global: true,
            ..Page::of_guest()
        };
        let owed = guest.map(memory, host, Gva(0x1000), to, &page).unwrap();
        assert_eq!(owed.of_asid(1).of_vmid(2).fence().asid, None);
        let page = Page {
            size: 21,
            ..Page::of_host()
        };
        let owed = host
            .map(memory, frames, RAM, Hpa(0x8000_0000), &page)
            .unwrap();
        assert_eq!(owed.fence().gpa, None);
        let owed = host
            .map(memory, frames, to, Hpa(0x8020_0000), &page)
            .unwrap();
        assert_eq!(owed.fence().gpa, Some(to));
        assert_eq!(load(&mut machine, &guest, 0x1008), Some(0x8020_0008));
    }

    #[test]
    fn what_a_mode_has_not_is_an_error() {
        let mut machine = machine(3);
        let Machine {
            memory,
            host,
            frames,
        } = &mut machine;
        let page = |size| Page {
            size,
            ..Page::of_host()
        };
        let mut map = |from, to, size| {
            host.map(memory, frames, Gpa(from), Hpa(to), &page(size))
                .unwrap_err()
        };
        assert!(matches!(
            map(0, 0, 39),
            TableError::PageSize {
                mode: "sv39x4",
                size: 39
            }
        ));
        assert!(matches!(map(0, 0, 13), TableError::PageSize { .. }));
        assert!(matches!(map(1 << 41, 0, 12), TableError::Range { .. }));
        assert!(matches!(map(0x1000, 0, 21), TableError::Unaligned { .. }));
        assert!(matches!(map(0, 0x1000, 21), TableError::Unaligned { .. }));
        assert!(matches!(
            map(0, 1 << 56, 12),
            TableError::Width { width: 56, .. }
        ));
        let no_such = HostTable::new(Format::Rv64, 2, memory, frames);
        assert!(matches!(no_such, Err(TableError::Levels { levels: 2 })));
    }
}
