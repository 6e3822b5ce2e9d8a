// SPDX-License-Identifier: Apache-2.0
//! Guest and host page tables, built into memory from mappings.
//!
//! A [`HostTable`] maps gPA=>hPA, a [`GuestTable`] gVA=>gPA. Both lie in host physical memory, but only the host knows
//! where: a guest table has addresses in guest physical memory, and each of its words is put where the host maps that
//! word's own gPA. So a guest table may straddle pages that the host keeps far apart.
//!
//! An entry that a walk can reach is never a hole. A pointer with nothing mapped below it points to a table that all
//! such pointers of its level share, and whose leaves are 0: not valid in rights mode. With rights mode off no leaf is
//! invalid, and what is not mapped is at page 0.
//!
//! That is the handout's tables; those of RISC-V are built by [`riscv`] in the same way.
//!
//! A change to a table may leave the TLB with what was true before, so each returns the [`FenceOwed`] that makes it
//! seen.
//!
//! ```
//! use nestwalk_golden::addr::{Gpa, Gva, Hpa};
//! use nestwalk_golden::format::Format;
//! use nestwalk_golden::memory::HostMemory;
//! use nestwalk_golden::mmu::{Access, Context, Query, Rights};
//! use nestwalk_golden::tables::{GuestRoom, GuestTable, HostTable, TableError, TableFrames};
//! use nestwalk_golden::walk;
//!
//! # fn main() -> Result<(), TableError> {
//! let format = Format::Handout;
//! let mut memory = HostMemory::new(format);
//! let mut frames = TableFrames::new(format, Hpa(0x0_2000), 0x100)?;
//!
//! // The VM has two pages, at the hPAs 0x90000 and 0x20000.
//! let mut host = HostTable::new(format, &mut memory, &mut frames)?;
//! for (from, to) in [(Gpa(0xA0000), Hpa(0x90000)), (Gpa(0xB0000), Hpa(0x20000))] {
//!     host.map(&mut memory, &mut frames, from, to, Rights::ALL)?.ignore();
//! }
//!
//! // Its process has one page, gPA 0xA0000, and its tables are in the other.
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

pub mod riscv;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Range;

use bitvec::prelude::*;

use crate::addr::{Gpa, Gva, Hpa};
use crate::format::handout::{self, Entry};
use crate::format::{Format, fits};
use crate::memory::HostMemory;
use crate::mmu::{Access, Context, Fence, Query, Rights};
use crate::walk::{self, EntryMemory};

/// An address of any of the three kinds, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// Guest virtual.
    Gva(Gva),
    /// Guest physical.
    Gpa(Gpa),
    /// Host physical.
    Hpa(Hpa),
}

impl Address {
    fn value(self) -> u64 {
        match self {
            Address::Gva(Gva(value)) | Address::Gpa(Gpa(value)) | Address::Hpa(Hpa(value)) => value,
        }
    }

    fn width(self, format: Format) -> u32 {
        let geometry = format.geometry();
        match self {
            Address::Gva(_) => geometry.gva_width,
            Address::Gpa(_) => geometry.gpa_width,
            Address::Hpa(_) => geometry.hpa_width,
        }
    }

    fn must_be_multiple_of(self, unit: u64) -> Result<(), TableError> {
        if self.value().is_multiple_of(unit) {
            Ok(())
        } else {
            Err(TableError::Unaligned {
                address: self,
                unit,
            })
        }
    }

    /// `bytes` from here on must be within the width of such addresses.
    fn must_fit(self, format: Format, bytes: u64) -> Result<(), TableError> {
        let width = self.width(format);
        match self.value().checked_add(bytes - 1) {
            Some(last) if fits(last, width) => Ok(()),
            _ => Err(TableError::Width {
                address: self,
                bytes,
                width,
            }),
        }
    }

    fn must_be_page(self, format: Format) -> Result<(), TableError> {
        let page = format.geometry().page_bytes();
        self.must_be_multiple_of(page)?;
        self.must_fit(format, page)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Gva(gva) => write!(f, "gVA {gva}"),
            Address::Gpa(gpa) => write!(f, "gPA {gpa}"),
            Address::Hpa(hpa) => write!(f, "hPA {hpa}"),
        }
    }
}

/// Why a table cannot be built or changed as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// A page or a table would not start where one can.
    #[error("{address} is not a multiple of 0x{unit:X}")]
    Unaligned {
        /// Where it would start.
        address: Address,
        /// What that must be a multiple of, in bytes.
        unit: u64,
    },
    /// It would lie, or end, past the last address of the format.
    #[error("0x{bytes:X} bytes at {address} do not fit into {width} bits of address")]
    Width {
        /// Where it would start.
        address: Address,
        /// Its size.
        bytes: u64,
        /// Width of such addresses, in bits.
        width: u32,
    },
    /// All frames for host tables are taken.
    #[error("no room for one more host table of {table} bytes in the 0x{bytes:X} at hPA {from}")]
    NoFrame {
        /// Where the room for host tables starts.
        from: Hpa,
        /// Its size in bytes.
        bytes: u64,
        /// Bytes of a table.
        table: u64,
    },
    /// All room for a guest table is taken.
    #[error("no room for one more guest table of {table} bytes")]
    NoGuestRoom {
        /// Bytes of a table.
        table: u64,
    },
    /// The host does not map what a guest table needs.
    #[error("the host does not map gPA {gpa}, where a word of the guest table lies")]
    GuestTableUnmapped {
        /// The word's address.
        gpa: Gpa,
    },
    /// RISC-V: the mode has no pages of that size.
    #[error("{mode} has no pages of 2^{size} bytes")]
    PageSize {
        /// The mode.
        mode: &'static str,
        /// log2 of the bytes.
        size: u32,
    },
    /// RISC-V: there is no such mode.
    #[error("the format has no tables of {levels} levels")]
    Levels {
        /// What was asked for.
        levels: u8,
    },
    /// RISC-V: the mode does not translate the address.
    #[error("{address} is none that {mode} translates")]
    Range {
        /// The address.
        address: Address,
        /// The mode.
        mode: &'static str,
    },
    /// RISC-V: a page of another size is mapped there.
    #[error(
        "a page of 2^{size} bytes at {page} would overlap one of 2^{other_size} that is mapped at {other}"
    )]
    Overlap {
        /// The page.
        page: Address,
        /// log2 of its bytes.
        size: u32,
        /// The one that is there.
        other: Address,
        /// log2 of its bytes.
        other_size: u32,
    },
    /// There is nothing to unmap.
    #[error("{page} is not mapped")]
    NotMapped {
        /// The page.
        page: Address,
    },
    /// Memory does not want a table's word there.
    #[error(transparent)]
    Occupied(#[from] Occupied),
}

/// A word that is something else already.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("hPA {at} is taken by {by}")]
pub struct Occupied {
    /// Where.
    pub at: Hpa,
    /// What is there, in words.
    pub by: String,
}

/// Where tables are built.
pub trait TableMemory {
    /// The word at `at`, or none.
    fn word(&self, at: Hpa) -> Option<u64>;

    /// Sets the word of a table.
    ///
    /// # Errors
    /// [`Occupied`], from a memory that knows what else is there. [`HostMemory`] does not, and takes everything.
    fn set(&mut self, at: Hpa, word: u64) -> Result<(), Occupied>;

    /// Sets a word of a guest table at `to`, because the host has moved the page, which was at `from`.
    ///
    /// # Errors
    /// As [`TableMemory::set`].
    fn carry(&mut self, from: Hpa, to: Hpa, word: u64) -> Result<(), Occupied> {
        let _ = from;
        self.set(to, word)
    }
}

impl TableMemory for HostMemory {
    fn word(&self, at: Hpa) -> Option<u64> {
        self.read(at).ok()
    }

    fn set(&mut self, at: Hpa, word: u64) -> Result<(), Occupied> {
        self.write(at, word);
        Ok(())
    }
}

/// The fence that a change to a table owes: until it is made, the TLB may answer with what was true before.
///
/// It names the page that changed. What it cannot know is who uses the table, so it is of every ASID and VMID until
/// [`of_asid`](Self::of_asid) and [`of_vmid`](Self::of_vmid) narrow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a change to a table is seen for certain only after its fence; `ignore` says that this is meant"]
pub struct FenceOwed {
    fence: Fence,
    /// The page is, or was, the same under every ASID.
    global: bool,
}

impl FenceOwed {
    fn of(fence: Fence) -> Self {
        Self {
            fence,
            global: false,
        }
    }

    /// Only of this ASID: no other uses the table. A fence of a global page stays one of every ASID, as one by ASID
    /// passes it over.
    pub fn of_asid(mut self, asid: u16) -> Self {
        if !self.global {
            self.fence.asid = Some(asid);
        }
        self
    }

    /// Only of this VMID: no other uses the table.
    pub fn of_vmid(mut self, vmid: u16) -> Self {
        self.fence.vmid = Some(vmid);
        self
    }

    /// Of accesses outside virtual machines, which alone use the table.
    pub fn outside_virtual_machines(mut self) -> Self {
        self.fence.virt = false;
        self
    }

    /// Of every page, for one who knows of guest tables in the page that the table does not know of.
    pub fn of_every_page(mut self) -> Self {
        self.fence.gva = None;
        self.fence.gpa = None;
        self
    }

    /// The fence, to be made.
    pub fn fence(self) -> Fence {
        self.fence
    }

    /// No fence is made: nothing has been translated yet, or stale answers are what is wanted.
    pub fn ignore(self) {}
}

/// The frames that host tables may take. The unit is one table.
#[derive(Clone, Debug)]
pub struct TableFrames {
    from: Hpa,
    bytes: u64,
    table: u64,
    used: BitVec,
    /// All frames below are taken.
    full_below: usize,
}

impl TableFrames {
    /// Room in `bytes` from `from` on.
    ///
    /// # Errors
    /// [`TableError::Unaligned`] if `from` is not a multiple of the size of an entry, and [`TableError::Width`] if the
    /// room does not fit the format's hPA.
    pub fn new(format: Format, from: Hpa, bytes: u64) -> Result<Self, TableError> {
        let geometry = format.geometry();
        let start = Address::Hpa(from);
        start.must_be_multiple_of(geometry.pte_bytes())?;
        start.must_fit(format, bytes.max(1))?;
        let table = geometry.table_bytes();
        Ok(Self {
            from,
            bytes,
            table,
            used: bitvec![0; (bytes / table) as usize],
            full_below: 0,
        })
    }

    /// Takes the lowest frame that is free.
    ///
    /// # Errors
    /// [`TableError::NoFrame`] if none is.
    pub fn take(&mut self) -> Result<Hpa, TableError> {
        let free = (self.used.get(self.full_below..))
            .and_then(BitSlice::first_zero)
            .ok_or(TableError::NoFrame {
                from: self.from,
                bytes: self.bytes,
                table: self.table,
            })?;
        let free = self.full_below + free;
        self.used.set(free, true);
        // No frame is ever given back.
        self.full_below = free + 1;
        Ok(Hpa(self.from.0 + free as u64 * self.table))
    }

    /// Takes the lowest `count` frames on end that start at a multiple of so many, in address.
    fn take_aligned(&mut self, count: usize) -> Result<Hpa, TableError> {
        let unit = count as u64 * self.table;
        let open = self.from.0 + self.full_below as u64 * self.table;
        let first = (open.next_multiple_of(unit) - self.from.0) / self.table;
        let free = (first as usize..self.used.len())
            .step_by(count)
            .find(|&at| (self.used.get(at..at + count)).is_some_and(|frames| frames.not_any()))
            .ok_or(TableError::NoFrame {
                from: self.from,
                bytes: self.bytes,
                table: unit,
            })?;
        if let Some(frames) = self.used.get_mut(free..free + count) {
            frames.fill(true);
        }
        Ok(Hpa(self.from.0 + free as u64 * self.table))
    }

    /// How many tables still have room.
    pub fn free(&self) -> usize {
        self.used.count_zeros()
    }
}

/// Words to be set, in this order.
type Words = Vec<(u64, u64)>;

/// A table of all levels, in whatever address space it lies.
#[derive(Clone, Debug)]
struct Radix {
    format: Format,
    root: u64,
    /// Of each level below the root's, the table of all ranges in which nothing is mapped.
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

    /// The words of a table of `level` at `table` below which nothing is mapped.
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

    /// The key in `tables` of the table of `level` that translates `address`.
    fn key(&self, level: u32, address: u64) -> (u32, u64) {
        let above = (level + 1) * self.format.geometry().index_width;
        (level, self.page(address) >> above)
    }

    /// Sets the leaf of `address`; makes the tables on the way to it.
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
        // From the leaf up, so that a walk under way never follows a pointer to a table that is not there yet.
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

    /// The valid leaf of `address`, if there is one.
    fn leaf(&self, address: u64, width: u32) -> Option<Entry> {
        let leaf = *self.leaves.get(&self.page(address))?;
        Some(self.entry(leaf, width)).filter(Entry::valid)
    }

    /// Valid leaves with the address of their page.
    fn pages(&self, width: u32) -> impl Iterator<Item = (u64, Entry)> {
        let offset_width = self.format.geometry().offset_width;
        self.leaves
            .iter()
            .map(move |(&page, &leaf)| (page << offset_width, self.entry(leaf, width)))
            .filter(|(_, entry)| entry.valid())
    }
}

/// A host table, gPA=>hPA: what a VM has for physical memory.
#[derive(Clone, Debug)]
pub struct HostTable {
    radix: Radix,
    /// Words of guest tables, by gPA, and where they lie.
    guest_words: BTreeMap<u64, (Hpa, u64)>,
}

impl HostTable {
    /// A table that maps nothing.
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

    /// What goes into the host table base register.
    pub fn root(&self) -> Hpa {
        Hpa(self.radix.root)
    }

    /// Maps the page at `from` to the one at `to`, whatever it was mapped to before. Words of guest tables in the page
    /// are carried along.
    ///
    /// # Errors
    /// [`TableError::Unaligned`] and [`TableError::Width`] if `from` or `to` is no page, [`TableError::NoFrame`] and
    /// [`TableError::Occupied`].
    pub fn map(
        &mut self,
        memory: &mut dyn TableMemory,
        frames: &mut TableFrames,
        from: Gpa,
        to: Hpa,
        rights: Rights,
    ) -> Result<FenceOwed, TableError> {
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

    /// Makes the leaf of the page at `from` 0, which is not valid in rights mode, and otherwise page 0.
    ///
    /// # Errors
    /// [`TableError::Unaligned`] and [`TableError::Width`] if `from` is no page, [`TableError::NotMapped`], and
    /// [`TableError::Occupied`].
    pub fn unmap(
        &mut self,
        memory: &mut dyn TableMemory,
        from: Gpa,
    ) -> Result<FenceOwed, TableError> {
        let page = Address::Gpa(from);
        page.must_be_page(self.radix.format)?;
        if self.mapped(from).is_none() {
            return Err(TableError::NotMapped { page });
        }
        // The page is mapped, so that no table is missing on the way to its leaf.
        let words = self
            .radix
            .set(from.0, 0, || Err(TableError::NotMapped { page }))?;
        put_host_words(memory, words)?;
        Ok(self.owed(from))
    }

    /// Where `gpa` is mapped to, and with which rights.
    pub fn mapped(&self, gpa: Gpa) -> Option<(Hpa, Rights)> {
        let geometry = self.radix.format.geometry();
        let leaf = self.radix.leaf(gpa.0, geometry.hpa_width)?;
        let hpa = Hpa(leaf.page() + geometry.offset(gpa.0));
        Some((hpa, leaf.rights()))
    }

    /// The pages mapped, in order: from, to, and with which rights.
    pub fn pages(&self) -> impl Iterator<Item = (Gpa, Hpa, Rights)> {
        self.radix
            .pages(self.radix.format.geometry().hpa_width)
            .map(|(from, leaf)| (Gpa(from), Hpa(leaf.page()), leaf.rights()))
    }

    /// Whether a word of a guest table lies in the page of `gpa`.
    pub fn holds_guest_table(&self, gpa: Gpa) -> bool {
        self.guest_words
            .range(page_range(self.radix.format, gpa))
            .next()
            .is_some()
    }

    /// A page with a guest table in it takes part in the translation of any gVA, so that a fence by its gPA, which is
    /// about translations *to* the page, is not enough.
    fn owed(&self, from: Gpa) -> FenceOwed {
        let owed = FenceOwed::of(Fence {
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

fn put_host_words(memory: &mut dyn TableMemory, words: Words) -> Result<(), TableError> {
    for (at, word) in words {
        memory.set(Hpa(at), word)?;
    }
    Ok(())
}

/// The addresses of the page of `gpa`.
fn page_range(format: Format, gpa: Gpa) -> Range<u64> {
    let geometry = format.geometry();
    let start = gpa.0 - geometry.offset(gpa.0);
    start..start + geometry.page_bytes()
}

/// The guest physical memory that guest tables lie in.
pub trait GuestMemory {
    /// Where the host has put `gpa`.
    fn locate(&self, memory: &dyn TableMemory, gpa: Gpa) -> Option<Hpa>;

    /// Takes note of a word of a guest table at `gpa`, which is at `hpa`.
    fn note(&mut self, gpa: Gpa, hpa: Hpa, word: u64);
}

impl GuestMemory for HostTable {
    fn locate(&self, _: &dyn TableMemory, gpa: Gpa) -> Option<Hpa> {
        Some(self.mapped(gpa)?.0)
    }

    fn note(&mut self, gpa: Gpa, hpa: Hpa, word: u64) {
        self.guest_words.insert(gpa.0, (hpa, word));
    }
}

/// A host table that somebody else has put into memory, of which only the root register is known. Rights in it are
/// not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRoot {
    /// The format of the table.
    pub format: Format,
    /// The host table base register.
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

/// The guest physical memory that the tables of a guest may take.
#[derive(Clone, Debug)]
pub struct GuestRoom {
    next: Option<Gpa>,
    pages: VecDeque<Gpa>,
}

impl From<Gpa> for GuestRoom {
    /// Everything from `gpa` on, one table right after the other.
    fn from(gpa: Gpa) -> Self {
        Self {
            next: Some(gpa),
            pages: VecDeque::new(),
        }
    }
}

impl FromIterator<Gpa> for GuestRoom {
    /// These pages, each given by its start.
    fn from_iter<I: IntoIterator<Item = Gpa>>(pages: I) -> Self {
        Self {
            next: None,
            pages: pages.into_iter().collect(),
        }
    }
}

impl GuestRoom {
    fn take(&mut self, format: Format) -> Result<u64, TableError> {
        let geometry = format.geometry();
        let table = geometry.table_bytes();
        let at = match (self.next, self.pages.front()) {
            (Some(next), _) => next,
            (None, Some(&page)) => page,
            (None, None) => return Err(TableError::NoGuestRoom { table }),
        };
        Address::Gpa(at).must_be_multiple_of(geometry.pte_bytes())?;
        Address::Gpa(at).must_fit(format, table)?;
        let end = at.0 + table;
        if let Some(page) = self.pages.front() {
            let full = end + table > page.0 + geometry.page_bytes();
            self.next = (!full).then_some(Gpa(end));
            if full {
                self.pages.pop_front();
            }
        } else {
            self.next = Some(Gpa(end));
        }
        Ok(at.0)
    }
}

/// A guest table, gVA=>gPA: what a process has for memory.
#[derive(Clone, Debug)]
pub struct GuestTable {
    radix: Radix,
    room: GuestRoom,
}

impl GuestTable {
    /// A table that maps nothing, at the start of `room`.
    ///
    /// # Errors
    /// [`TableError::Unaligned`], [`TableError::Width`] and [`TableError::NoGuestRoom`] if there is no room for it in
    /// guest physical memory, [`TableError::GuestTableUnmapped`] if there is none in the host's, and
    /// [`TableError::Occupied`].
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

    /// What goes into the guest table base register.
    pub fn root(&self) -> Gpa {
        Gpa(self.radix.root)
    }

    /// Maps the page at `from` to the one at `to`, whatever it was mapped to before.
    ///
    /// # Errors
    /// [`TableError::Unaligned`] and [`TableError::Width`] if `from` or `to` is no page, and the errors of
    /// [`GuestTable::new`] if a table is added.
    pub fn map(
        &mut self,
        memory: &mut dyn TableMemory,
        host: &mut dyn GuestMemory,
        from: Gva,
        to: Gpa,
        rights: Rights,
    ) -> Result<FenceOwed, TableError> {
        let format = self.radix.format;
        Address::Gva(from).must_be_page(format)?;
        Address::Gpa(to).must_be_page(format)?;
        let leaf = handout::leaf(to.0, rights);
        let words = self.radix.set(from.0, leaf, || self.room.take(format))?;
        put_guest_words(memory, host, words)?;
        Ok(Self::owed(from))
    }

    /// Makes the leaf of the page at `from` 0, which is not valid in rights mode, and otherwise page 0.
    ///
    /// # Errors
    /// [`TableError::Unaligned`] and [`TableError::Width`] if `from` is no page, [`TableError::NotMapped`],
    /// [`TableError::GuestTableUnmapped`] and [`TableError::Occupied`].
    pub fn unmap(
        &mut self,
        memory: &mut dyn TableMemory,
        host: &mut dyn GuestMemory,
        from: Gva,
    ) -> Result<FenceOwed, TableError> {
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

    /// Where `gva` is mapped to, and with which rights.
    pub fn mapped(&self, gva: Gva) -> Option<(Gpa, Rights)> {
        let geometry = self.radix.format.geometry();
        let leaf = self.radix.leaf(gva.0, geometry.gpa_width)?;
        let gpa = Gpa(leaf.page() + geometry.offset(gva.0));
        Some((gpa, leaf.rights()))
    }

    /// The pages mapped, in order: from, to, and with which rights.
    pub fn pages(&self) -> impl Iterator<Item = (Gva, Gpa, Rights)> {
        self.radix
            .pages(self.radix.format.geometry().gpa_width)
            .map(|(from, leaf)| (Gva(from), Gpa(leaf.page()), leaf.rights()))
    }

    fn owed(from: Gva) -> FenceOwed {
        FenceOwed::of(Fence {
            gva: Some(from),
            ..Fence::default()
        })
    }
}

/// Puts each word where the host has put its own gPA: the next word of a table may be in another page.
fn put_guest_words(
    memory: &mut dyn TableMemory,
    host: &mut dyn GuestMemory,
    words: Words,
) -> Result<(), TableError> {
    let mut placed = Vec::with_capacity(words.len());
    for (gpa, word) in words {
        let gpa = Gpa(gpa);
        let hpa = host
            .locate(memory, gpa)
            .ok_or(TableError::GuestTableUnmapped { gpa })?;
        placed.push((gpa, hpa, word));
    }
    for (gpa, hpa, word) in placed {
        memory.set(hpa, word)?;
        host.note(gpa, hpa, word);
    }
    Ok(())
}
