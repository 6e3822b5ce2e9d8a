// SPDX-License-Identifier: Apache-2.0
//! Guest and host page tables, built into memory from mappings.
//!
//! A host table maps gPA=>hPA, and a guest table maps gVA=>gPA. Both are in host physical memory,
//! but a guest table has addresses in guest physical memory: each of its words is put at the hPA
//! that the host maps the word's gPA to. So a guest table may cross pages that are far apart in
//! host memory.
//!
//! The formats stand side by side: [`handout`] and [`riscv`] build their tables with the memory,
//! the frames and the errors of this module.
//!
//! After a change to a table, a TLB may still respond with the old translation. So each change
//! returns a [`FenceObligation`]: the fence that makes the TLB respond with the new one.

pub mod handout;
pub mod riscv;

use std::collections::VecDeque;
use std::fmt;

use bitvec::prelude::*;

use crate::addr::{Gpa, Gva, Hpa};
use crate::format::{Format, fits};
use crate::memory::HostMemory;
use crate::mmu::Fence;

/// An address of one of the three kinds, for messages.
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

    /// Checks that `bytes` from this address on are within the width of such addresses.
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

/// The reason why a table cannot be built or changed as requested.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// A page or a table would start at an address that is not a multiple of its unit.
    #[error("{address} is not a multiple of 0x{unit:X}")]
    Unaligned {
        /// The address where it would start.
        address: Address,
        /// The unit, in bytes.
        unit: u64,
    },
    /// The range would start or end past the last address of the format.
    #[error("0x{bytes:X} bytes at {address} do not fit into {width} bits of address")]
    Width {
        /// The address where the range would start.
        address: Address,
        /// Size of the range in bytes.
        bytes: u64,
        /// Width of such addresses, in bits.
        width: u32,
    },
    /// All frames for host tables are in use.
    #[error(
        "no room for another host table of {table} bytes in the 0x{bytes:X} bytes at hPA {from}"
    )]
    NoFrame {
        /// The start of the memory for host tables.
        from: Hpa,
        /// Size of that memory in bytes.
        bytes: u64,
        /// Size of a table in bytes.
        table: u64,
    },
    /// All memory for guest tables is in use.
    #[error("no room for another guest table of {table} bytes")]
    NoGuestRoom {
        /// Size of a table in bytes.
        table: u64,
    },
    /// The host does not map a gPA that a guest table needs.
    #[error("the host does not map gPA {gpa}, the address of a word of a guest table")]
    GuestTableUnmapped {
        /// The address of the guest table's word.
        gpa: Gpa,
    },
    /// RISC-V: the mode has no pages of this size.
    #[error("{mode} has no pages of 2^{size} bytes")]
    PageSize {
        /// The mode.
        mode: &'static str,
        /// log2 of the page size in bytes.
        size: u32,
    },
    /// RISC-V: the format has no mode with this number of levels.
    #[error("the format has no mode with {levels} levels")]
    Levels {
        /// The requested number of levels.
        levels: u8,
    },
    /// RISC-V: the mode does not translate the address.
    #[error("{mode} does not translate {address}")]
    Range {
        /// The address.
        address: Address,
        /// The mode.
        mode: &'static str,
    },
    /// RISC-V: a page of another size is mapped there.
    #[error(
        "a page of 2^{size} bytes at {page} would overlap the page of 2^{other_size} bytes that is \
         mapped at {other}"
    )]
    Overlap {
        /// The page.
        page: Address,
        /// log2 of its size in bytes.
        size: u32,
        /// The page that is already mapped.
        other: Address,
        /// log2 of its size in bytes.
        other_size: u32,
    },
    /// The page to unmap is not mapped.
    #[error("{page} is not mapped")]
    NotMapped {
        /// The page.
        page: Address,
    },
    /// The word's address is in use for something else.
    #[error(transparent)]
    Occupied(#[from] Occupied),
}

/// The error of a write to a word that is in use for something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("hPA {at} is already used by {by}")]
pub struct Occupied {
    /// The address of the word.
    pub at: Hpa,
    /// A description of its present use.
    pub by: String,
}

/// Memory that tables are built in.
pub trait TableMemory {
    /// Returns the word at `at`, if there is one.
    fn word(&self, at: Hpa) -> Option<u64>;

    /// Sets the word of a table.
    ///
    /// # Errors
    /// [`Occupied`] from a memory that knows what else is in use. [`HostMemory`] does not know, and
    /// accepts every word.
    fn set(&mut self, at: Hpa, word: u64) -> Result<(), Occupied>;

    /// Sets a word of a guest table at `to`. The host has moved its page; the word was at `from`.
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

/// The fence obligation of a change to a table. Until the fence is issued, the TLB may respond with
/// the translation before the change.
///
/// The fence matches the page that changed. A table does not know its users, so the fence matches
/// every ASID and VMID until [`of_asid`](Self::of_asid) and [`of_vmid`](Self::of_vmid) narrow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a TLB may respond with the old translation until the fence is issued; call \
              `ignore` if that is intended"]
pub struct FenceObligation {
    fence: Fence,
    /// The page is, or was, global.
    global: bool,
}

impl FenceObligation {
    fn of(fence: Fence) -> Self {
        Self {
            fence,
            global: false,
        }
    }

    /// Narrows the fence to an ASID, the only user of the table. If the page is global, the fence
    /// still matches every ASID, because a fence by ASID does not match global translations.
    pub fn of_asid(mut self, asid: u16) -> Self {
        if !self.global {
            self.fence.asid = Some(asid);
        }
        self
    }

    /// Narrows the fence to a VMID, the only user of the table.
    pub fn of_vmid(mut self, vmid: u16) -> Self {
        self.fence.vmid = Some(vmid);
        self
    }

    /// Makes it a fence of V=0, for a table that only accesses outside virtual machines use.
    pub fn outside_virtual_machines(mut self) -> Self {
        self.fence.virt = false;
        self
    }

    /// Widens the fence to every page. The caller does so if the page contains guest tables that
    /// the host table does not know.
    pub fn of_every_page(mut self) -> Self {
        self.fence.gva = None;
        self.fence.gpa = None;
        self
    }

    /// Returns the fence, to be issued.
    pub fn fence(self) -> Fence {
        self.fence
    }

    /// Drops the obligation: nothing has been translated yet, or stale responses are intended.
    pub fn ignore(self) {}
}

/// The memory for host tables, in frames of the size of one table.
#[derive(Clone, Debug)]
pub struct TableFrames {
    from: Hpa,
    bytes: u64,
    table: u64,
    used: BitVec,
    /// All frames below this index are in use.
    full_below: usize,
}

impl TableFrames {
    /// Makes frames in the `bytes` bytes from `from` on.
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

    /// Allocates the lowest free frame.
    ///
    /// # Errors
    /// [`TableError::NoFrame`] if no frame is free.
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
        // Frames are never freed.
        self.full_below = free + 1;
        Ok(Hpa(self.from.0 + free as u64 * self.table))
    }

    /// Allocates the lowest `count` adjacent frames whose address is a multiple of their total
    /// size.
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

    /// Returns the number of free frames.
    pub fn free(&self) -> usize {
        self.used.count_zeros()
    }
}

/// Words to write, with their addresses, in this order.
type Words = Vec<(u64, u64)>;

fn put_host_words(memory: &mut dyn TableMemory, words: Words) -> Result<(), TableError> {
    for (at, word) in words {
        memory.set(Hpa(at), word)?;
    }
    Ok(())
}

/// Writes each word at the hPA that the host maps its gPA to. The next word of a table may be in
/// another page.
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

/// The guest physical memory that contains guest tables.
pub trait GuestMemory {
    /// Returns the hPA that the host maps `gpa` to.
    fn locate(&self, memory: &dyn TableMemory, gpa: Gpa) -> Option<Hpa>;

    /// Records a word of a guest table at `gpa`, which the host maps to `hpa`.
    fn note(&mut self, gpa: Gpa, hpa: Hpa, word: u64);
}

/// The guest physical memory that is free for the tables of a guest.
#[derive(Clone, Debug)]
pub struct GuestRoom {
    next: Option<Gpa>,
    pages: VecDeque<Gpa>,
}

impl From<Gpa> for GuestRoom {
    /// Returns room for tables from `gpa` on, one directly after another.
    fn from(gpa: Gpa) -> Self {
        Self {
            next: Some(gpa),
            pages: VecDeque::new(),
        }
    }
}

impl FromIterator<Gpa> for GuestRoom {
    /// Returns room in these pages, each given by its first address.
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
