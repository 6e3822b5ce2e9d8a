// SPDX-License-Identifier: Apache-2.0
//! The nested page walk as an executable specification.
//!
//! The crate translates a guest virtual address (gVA) to a host physical address (hPA) through two
//! sets of page tables: the guest's (gVA=>gPA) and the host's (gPA=>hPA). It returns the result,
//! or the fault, and every memory read and update of the walk. It has no build script and needs no
//! C++ compiler.
//!
//! A walk through Sv39 over Sv39x4, the RISC-V hypervisor extension with three levels in each
//! stage:
//!
//! ```
//! use nestwalk_golden::addr::{Gpa, Gva, Hpa};
//! use nestwalk_golden::format::Format;
//! use nestwalk_golden::memory::HostMemory;
//! use nestwalk_golden::mmu::{Access, Context, Query};
//! use nestwalk_golden::tables::riscv::{GuestTable, HostTable, Page};
//! use nestwalk_golden::tables::{GuestRoom, TableFrames};
//! use nestwalk_golden::walk;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut memory = HostMemory::new(Format::Rv64);
//! let mut frames = TableFrames::new(Format::Rv64, Hpa(0x8000_0000), 0x10_0000)?;
//! let mut host = HostTable::new(Format::Rv64, 3, &mut memory, &mut frames)?;
//! let page = Page { size: 21, ..Page::of_host() };
//! host.map(&mut memory, &mut frames, Gpa(0x8000_0000), Hpa(0xC000_0000), &page)?.ignore();
//! let room = GuestRoom::from(Gpa(0x8000_1000));
//! let mut guest = GuestTable::new(Format::Rv64, 3, &mut memory, &mut host, room)?;
//! let to = Gpa(0x8010_0000);
//! guest.map(&mut memory, &mut host, Gva(0x40_0000), to, &Page::of_guest())?.ignore();
//!
//! let context = Context::riscv(3, guest.root(), 3, host.root());
//! let query = Query { context, gva: Gva(0x40_0123), access: Access::Load };
//! let mut steps = Vec::new();
//! let mapping = walk(Format::Rv64, &query, &mut memory, &mut steps).expect("the page is mapped");
//! assert_eq!(mapping.hpa, Hpa(0xC010_0123));
//! // Three guest entries, each behind two host entries, and two host entries for the data.
//! assert_eq!(steps.len(), 11);
//! # Ok(())
//! # }
//! ```
//!
//! The exercise of MIT's 6.823 handout, gVA 0x61EAC through a guest table whose root is gPA
//! 0xB29A0:
//!
//! ```
//! use nestwalk_golden::addr::{Gpa, Gva, Hpa};
//! use nestwalk_golden::format::Format;
//! use nestwalk_golden::memory::HostMemory;
//! use nestwalk_golden::mmu::{Access, Context, Query};
//! use nestwalk_golden::walk;
//!
//! let mut memory = HostMemory::new(Format::Handout);
//! for (at, word) in [
//!     (0x02004, 0x02010), (0x02008, 0x02038), (0x02010, 0x10084), (0x02040, 0x9FFEE),
//!     (0x02044, 0x293A4), (0x229A4, 0xA74CC), (0x974D4, 0x41234),
//! ] {
//!     memory.write(Hpa(at), word);
//! }
//! let context = Context::handout(Some(Gpa(0xB29A0)), Hpa(0x02000));
//! let query = Query { context, gva: Gva(0x61EAC), access: Access::Load };
//! let mapping = walk(Format::Handout, &query, &mut memory, &mut ()).expect("the page is mapped");
//! assert_eq!((mapping.gpa, mapping.hpa), (Gpa(0x41EAC), Hpa(0x11EAC)));
//! ```
//!
//! - [`addr`]: the three address types. They cannot be mixed up.
//! - [`mmu`]: the vocabulary: contexts, requests, faults, fences.
//! - [`format`](mod@format): widths, levels and entries of each table format; RISC-V control
//!   registers.
//! - [`memory`]: host physical memory; a read of a word that was never written is an error.
//! - [`tables`]: builds guest and host tables from mappings.
//! - [`walk`](mod@walk): the walk itself.
//! - [`occupancy`](mod@occupancy): what TLBs and page-walk caches may and must contain.

pub mod addr;
pub mod format;
pub mod memory;
pub mod mmu;
pub mod occupancy;
pub mod tables;
pub mod walk;

pub use walk::{
    EntryMemory, GuestTable, LateWalk, Leaf, Mapping, Meaning, Overlay, Step, StepLog, outcome,
    outcome_from, riscv, walk, walk_with_late_checks,
};
