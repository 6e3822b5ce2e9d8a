// SPDX-License-Identifier: Apache-2.0
//! Guest and host page tables, built into memory from mappings.
//!
//! A host table maps gPA=>hPA, and a guest table maps gVA=>gPA. Both lie in host physical memory,
//! but only the host knows where: a guest table has addresses in guest physical memory, and each of
//! its words is put where the host maps the gPA of that word. So a guest table may straddle pages
//! that the host keeps far apart.
//!
//! The formats stand side by side: [`handout`] and [`riscv`] build their tables with the memory,
//! the frames and the errors of this module.
//!
//! After a change to a table the TLB may still answer with the old translation. So each change
//! returns the [`FenceOwed`] after which it no longer does.

pub mod handout;
pub mod riscv;

use std::collections::VecDeque;
use std::fmt;

use bitvec::prelude::*;

use crate::addr::{Gpa, Gva, Hpa};
use crate::format::{Format, fits};
use crate::memory::HostMemory;
use crate::mmu::Fence;

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
    /// [`Occupied`], from a memory that knows what else is there. [`HostMemory`] does not, and
    /// takes everything.
    fn set(&mut self, at: Hpa, word: u64) -> Result<(), Occupied>;

    /// Sets a word of a guest table at `to`, because the host has moved the page, which was at
    /// `from`.
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

/// The fence that a change to a table owes: until it is made, the TLB may answer with what was true
/// before.
///
/// It names the page that changed. What it cannot know is who uses the table, so it is of every
/// ASID and VMID until [`of_asid`](Self::of_asid) and [`of_vmid`](Self::of_vmid) narrow it.
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

    /// Only of this ASID: no other uses the table. A fence of a global page stays one of every
    /// ASID, as one by ASID passes it over.
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

    /// Of every page, for one who knows of guest tables in the page that the table does not know
    /// of.
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
    /// [`TableError::Unaligned`] if `from` is not a multiple of the size of an entry, and
    /// [`TableError::Width`] if the room does not fit the format's hPA.
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

fn put_host_words(memory: &mut dyn TableMemory, words: Words) -> Result<(), TableError> {
    for (at, word) in words {
        memory.set(Hpa(at), word)?;
    }
    Ok(())
}

/// Puts each word where the host has put its own gPA: the next word of a table may be in another
/// page.
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

/// The guest physical memory that guest tables lie in.
pub trait GuestMemory {
    /// Where the host has put `gpa`.
    fn locate(&self, memory: &dyn TableMemory, gpa: Gpa) -> Option<Hpa>;

    /// Takes note of a word of a guest table at `gpa`, which is at `hpa`.
    fn note(&mut self, gpa: Gpa, hpa: Hpa, word: u64);
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
