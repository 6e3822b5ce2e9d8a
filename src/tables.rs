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
//! A change to a table may leave the TLB with what was true before, so each returns the [`FenceOwed`] that makes it
//! seen.
//!
//! ```
//! use nestwalk::addr::{Gpa, Gva, Hpa};
//! use nestwalk::format::Format;
//! use nestwalk::golden;
//! use nestwalk::memory::HostMemory;
//! use nestwalk::mmu::{Access, Context, Query, Rights};
//! use nestwalk::tables::{GuestRoom, GuestTable, HostTable, TableError, TableFrames};
//!
//! # fn main() -> Result<(), TableError> {
//! let format = Format::Handout;
//! let mut memory = HostMemory::new();
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
//! let context = Context {
//!     guest_root: Some(guest.root()),
//!     host_root: host.root(),
//!     rights: false,
//!     asid: 1,
//!     vmid: 0,
//! };
//! assert_eq!(owed.of_asid(context.asid).fence().gva, Some(Gva(0x60000)));
//!
//! let query = Query { context, gva: Gva(0x61EAC), access: Access::Load };
//! let found = golden::walk(format, &query, &mut &memory, &mut ());
//! assert_eq!(found.unwrap().hpa, Hpa(0x91EAC));
//! # Ok(())
//! # }
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Range;

use bitvec::prelude::*;

use crate::addr::{Gpa, Gva, Hpa};
use crate::format::handout::{self, Entry};
use crate::format::{Format, fits};
use crate::golden::{self, EntrySource};
use crate::memory::HostMemory;
use crate::mmu::{Access, Context, Fence, Query, Rights};

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
    fn word(&self, at: Hpa) -> Option<u32>;

    /// Sets the word of a table.
    ///
    /// # Errors
    /// [`Occupied`], from a memory that knows what else is there. [`HostMemory`] does not, and takes everything.
    fn set(&mut self, at: Hpa, word: u32) -> Result<(), Occupied>;

    /// Sets a word of a guest table at `to`, because the host has moved the page, which was at `from`.
    ///
    /// # Errors
    /// As [`TableMemory::set`].
    fn carry(&mut self, from: Hpa, to: Hpa, word: u32) -> Result<(), Occupied> {
        let _ = from;
        self.set(to, word)
    }
}

impl TableMemory for HostMemory {
    fn word(&self, at: Hpa) -> Option<u32> {
        self.read(at).ok()
    }

    fn set(&mut self, at: Hpa, word: u32) -> Result<(), Occupied> {
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
pub struct FenceOwed(Fence);

impl FenceOwed {
    /// Only of this ASID: no other uses the table.
    pub fn of_asid(mut self, asid: u16) -> Self {
        self.0.asid = Some(asid);
        self
    }

    /// Only of this VMID: no other uses the table.
    pub fn of_vmid(mut self, vmid: u16) -> Self {
        self.0.vmid = Some(vmid);
        self
    }

    /// Of every page, for one who knows of guest tables in the page that the table does not know of.
    pub fn of_every_page(mut self) -> Self {
        self.0.gva = None;
        self.0.gpa = None;
        self
    }

    /// The fence, to be made.
    pub fn fence(self) -> Fence {
        self.0
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
        })
    }

    /// Takes the lowest frame that is free.
    ///
    /// # Errors
    /// [`TableError::NoFrame`] if none is.
    pub fn take(&mut self) -> Result<Hpa, TableError> {
        let free = self.used.first_zero().ok_or(TableError::NoFrame {
            from: self.from,
            bytes: self.bytes,
            table: self.table,
        })?;
        self.used.set(free, true);
        Ok(Hpa(self.from.0 + free as u64 * self.table))
    }

    /// How many tables still have room.
    pub fn free(&self) -> usize {
        self.used.count_zeros()
    }
}

/// Words to be set, in this order.
type Words = Vec<(u64, u32)>;

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
    leaves: BTreeMap<u64, u32>,
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
    fn blank(&self, table: u64, level: u32) -> impl Iterator<Item = (u64, u32)> {
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
        leaf: u32,
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

    fn entry(&self, leaf: u32, width: u32) -> Entry {
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
    guest_words: BTreeMap<u64, (Hpa, u32)>,
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
        let owed = FenceOwed(Fence {
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
    fn note(&mut self, gpa: Gpa, hpa: Hpa, word: u32);
}

impl GuestMemory for HostTable {
    fn locate(&self, _: &dyn TableMemory, gpa: Gpa) -> Option<Hpa> {
        Some(self.mapped(gpa)?.0)
    }

    fn note(&mut self, gpa: Gpa, hpa: Hpa, word: u32) {
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
            context: Context {
                guest_root: None,
                host_root: self.root,
                rights: false,
                asid: 0,
                vmid: 0,
            },
            gva: Gva(gpa.0),
            access: Access::Load,
        };
        let found = golden::walk(self.format, &query, &mut Words32(memory), &mut ());
        Some(found.ok()?.hpa)
    }

    fn note(&mut self, _: Gpa, _: Hpa, _: u32) {}
}

struct Words32<'a>(&'a dyn TableMemory);

impl EntrySource for Words32<'_> {
    fn read_entry(&mut self, at: Hpa) -> Option<u32> {
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
        FenceOwed(Fence {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(
        format: Format,
        memory: &HostMemory,
        context: Context,
        gva: Gva,
    ) -> Result<(Gpa, Hpa), crate::mmu::Fault> {
        let query = Query {
            context,
            gva,
            access: Access::Load,
        };
        golden::walk(format, &query, &mut &*memory, &mut ()).map(|m| (m.gpa, m.hpa))
    }

    struct Vm {
        format: Format,
        memory: HostMemory,
        frames: TableFrames,
        host: HostTable,
    }

    impl Vm {
        fn new(format: Format, pages: &[(u64, u64)]) -> Self {
            let mut memory = HostMemory::new();
            let mut frames = TableFrames::new(format, Hpa(0), 0x10000).unwrap();
            let host = HostTable::new(format, &mut memory, &mut frames).unwrap();
            let mut vm = Self {
                format,
                memory,
                frames,
                host,
            };
            for &(from, to) in pages {
                vm.map(from, to).unwrap().ignore();
            }
            vm
        }

        fn map(&mut self, from: u64, to: u64) -> Result<FenceOwed, TableError> {
            self.host.map(
                &mut self.memory,
                &mut self.frames,
                Gpa(from),
                Hpa(to),
                Rights::ALL,
            )
        }

        fn guest(&mut self, room: GuestRoom) -> Result<GuestTable, TableError> {
            GuestTable::new(self.format, &mut self.memory, &mut self.host, room)
        }

        fn context(&self, guest: Option<&GuestTable>, rights: bool) -> Context {
            Context {
                guest_root: guest.map(GuestTable::root),
                host_root: self.host.root(),
                rights,
                asid: 0,
                vmid: 0,
            }
        }
    }

    #[test]
    fn every_page_of_either_format_is_found_where_it_was_mapped() {
        for format in Format::ALL {
            let page = format.geometry().page_bytes();
            // Each page of the first table goes to the one at the opposite end.
            let count = 8;
            let pages: Vec<_> = (0..count).map(|i| (i * page, (15 - i) * page)).collect();
            let vm = Vm::new(format, &pages);
            for &(from, to) in &pages {
                let found = walk(format, &vm.memory, vm.context(None, true), Gva(from + 12));
                assert_eq!(found, Ok((Gpa(from + 12), Hpa(to + 12))));
            }
            assert_eq!(vm.host.pages().count(), count as usize);
        }
    }

    #[test]
    fn what_is_not_mapped_is_invalid_in_rights_mode_and_page_0_without_and_never_a_hole() {
        for format in Format::ALL {
            let page = format.geometry().page_bytes();
            let vm = Vm::new(format, &[(0, page)]);
            // Below a pointer with a table of its own, and below one without.
            let last = (1 << format.geometry().gpa_width) - page;
            for gva in [page, last] {
                let fault = walk(format, &vm.memory, vm.context(None, true), Gva(gva)).unwrap_err();
                assert_eq!(fault.kind, crate::mmu::FaultKind::Invalid);
                let found = walk(format, &vm.memory, vm.context(None, false), Gva(gva + 8));
                assert_eq!(found, Ok((Gpa(gva + 8), Hpa(8))));
            }
        }
    }

    #[test]
    fn each_word_of_a_guest_table_is_put_where_its_own_gpa_is_mapped() {
        let mut vm = Vm::new(Format::Handout, &[(0xB0000, 0x20000), (0xC0000, 0x90000)]);
        let mut guest = vm.guest(GuestRoom::from(Gpa(0xBFFF8))).unwrap();
        assert_eq!(guest.root(), Gpa(0xBFFF8));
        // The root's entries 0 and 1, then 2 and 3.
        for at in [0x2FFF8, 0x2FFFC, 0x90000, 0x90004] {
            assert_eq!(vm.memory.read(Hpa(at)), Ok(0xC0008), "{at:05X}");
        }
        guest
            .map(
                &mut vm.memory,
                &mut vm.host,
                Gva(0x80000),
                Gpa(0xB0000),
                Rights::ALL,
            )
            .unwrap()
            .ignore();
        assert_eq!(vm.memory.read(Hpa(0x90000)), Ok(0xC0018));
        let found = walk(
            vm.format,
            &vm.memory,
            vm.context(Some(&guest), true),
            Gva(0x81234),
        );
        assert_eq!(found, Ok((Gpa(0xB1234), Hpa(0x21234))));
    }

    #[test]
    fn a_page_with_a_guest_table_in_it_takes_the_table_along_and_owes_more_than_its_own_fence() {
        let mut vm = Vm::new(Format::Handout, &[(0xB0000, 0x20000), (0xC0000, 0x90000)]);
        let mut guest = vm.guest(GuestRoom::from(Gpa(0xB0000))).unwrap();
        guest
            .map(
                &mut vm.memory,
                &mut vm.host,
                Gva(0x40000),
                Gpa(0xC0000),
                Rights::ALL,
            )
            .unwrap()
            .ignore();
        assert_eq!(
            vm.map(0xC0000, 0x50000).unwrap().fence().gpa,
            Some(Gpa(0xC0000))
        );
        assert_eq!(
            vm.map(0xB0000, 0x70000).unwrap().of_vmid(3).fence(),
            Fence {
                vmid: Some(3),
                ..Fence::default()
            }
        );
        let found = walk(
            vm.format,
            &vm.memory,
            vm.context(Some(&guest), true),
            Gva(0x40004),
        );
        assert_eq!(found, Ok((Gpa(0xC0004), Hpa(0x50004))));
    }

    #[test]
    fn an_unmapped_page_is_invalid_and_cannot_be_unmapped_again() {
        let mut vm = Vm::new(Format::Classic32, &[(0x5000, 0x9000)]);
        let owed = vm.host.unmap(&mut vm.memory, Gpa(0x5000)).unwrap();
        assert_eq!(owed.fence().gpa, Some(Gpa(0x5000)));
        assert_eq!(vm.host.mapped(Gpa(0x5000)), None);
        walk(vm.format, &vm.memory, vm.context(None, true), Gva(0x5000)).unwrap_err();
        assert_eq!(
            vm.host.unmap(&mut vm.memory, Gpa(0x5000)),
            Err(TableError::NotMapped {
                page: Address::Gpa(Gpa(0x5000))
            })
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut vm = Vm::new(Format::Handout, &[(0xB0000, 0x20000)]);
        let mut errors = vec![
            vm.map(0xB0004, 0x20000).unwrap_err().to_string(),
            vm.map(0xB0000, 0x100000).unwrap_err().to_string(),
            vm.guest(GuestRoom::from(Gpa(0xB0002)))
                .unwrap_err()
                .to_string(),
            vm.guest(GuestRoom::from(Gpa(0xBFFF8)))
                .unwrap_err()
                .to_string(),
            vm.guest(GuestRoom::from_iter([])).unwrap_err().to_string(),
        ];
        vm.frames = TableFrames::new(Format::Handout, Hpa(0x100), 20).unwrap();
        vm.map(0x00000, 0x10000).unwrap().ignore();
        assert_eq!(vm.frames.free(), 0);
        errors.push(vm.map(0x40000, 0x10000).unwrap_err().to_string());
        assert_eq!(
            errors,
            [
                "gPA 0xB0004 is not a multiple of 0x10000",
                "0x10000 bytes at hPA 0x100000 do not fit into 20 bits of address",
                "gPA 0xB0002 is not a multiple of 0x4",
                "the host does not map gPA 0xC0000, where a word of the guest table lies",
                "no room for one more guest table of 16 bytes",
                "no room for one more host table of 16 bytes in the 0x14 at hPA 0x00100",
            ]
        );
    }

    #[test]
    fn guest_room_of_pages_fills_one_after_the_other_with_whole_tables() {
        let mut room = GuestRoom::from_iter([Gpa(0x8000), Gpa(0x3000)]);
        let taken: Vec<_> = (0..3).map(|_| room.take(Format::Classic32)).collect();
        assert_eq!(taken[0], Ok(0x8000));
        assert_eq!(taken[1], Ok(0x3000));
        assert_eq!(taken[2], Err(TableError::NoGuestRoom { table: 4096 }));
    }

    #[test]
    fn a_host_table_known_by_its_root_is_followed_to_place_a_guest_table() {
        let mut vm = Vm::new(Format::Handout, &[(0xB0000, 0x20000)]);
        let mut host = HostRoot {
            format: vm.format,
            root: vm.host.root(),
        };
        let room = GuestRoom::from(Gpa(0xB29A0));
        GuestTable::new(vm.format, &mut vm.memory, &mut host, room).unwrap();
        assert_eq!(vm.memory.read(Hpa(0x229A0)), Ok(0xB29B0));
    }
}
