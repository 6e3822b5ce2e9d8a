// SPDX-License-Identifier: Apache-2.0
//! Free reads: memory reads that a device may make although no golden walk of a request in flight
//! makes them. They read the other words of a line, or belong to speculative walks. The device file
//! declares them (`walks.reads`, `walks.speculative`).
//!
//! A device with free reads is checked as at level `ports`, because a free read cannot be
//! distinguished from a read of a walk.

use std::collections::BTreeSet;

use rustc_hash::FxHashSet;

use super::PortChecker;
use super::streams::Stream;
use super::words::every_address;
use crate::addr::Hpa;
use crate::bench::freedoms::Freedom;
use crate::bench::memory_request::Read;
use crate::bench::mismatch::Mismatch;
use crate::bench::scoreboard::Request;
use crate::dut::description::{Reads, Walks};
use crate::format::riscv::Entry;
use crate::format::{Family, Format, Geometry};
use crate::mmu::Context;

/// For a device that may read anything: the most memory requests for each memory request of a
/// golden walk. More of them count as a livelock.
const MOST_FREE: u64 = 16;

/// The free reads of a device.
#[derive(Clone, Debug)]
pub(super) enum FreeReads {
    /// The device makes no free reads.
    No,
    /// Reads in the lines of the entries that walks of requests read.
    InLines(Lines),
    /// Reads in tables that the device can know from a root register or from an entry that it has
    /// read.
    InTables(Tables),
    /// Reads of any address.
    Any,
}

impl FreeReads {
    /// Returns the free reads of a device, by the section `walks` of its device file.
    pub fn of(format: Format, walks: &Walks) -> Self {
        match walks.reads {
            Reads::Any => Self::Any,
            _ if walks.speculative => Self::InTables(Tables::new(format)),
            Reads::Line(bytes) => Self::InLines(Lines {
                bytes: u64::from(bytes),
                wanted: FxHashSet::default(),
            }),
            Reads::Exact => Self::No,
        }
    }

    /// Returns true if the device makes no free reads.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::No)
    }

    /// Notes that the device has accepted a request. `is_alone`: no other request is in flight.
    pub fn on_request(&mut self, context: &Context, is_alone: bool) {
        match self {
            Self::InLines(lines) if is_alone => lines.wanted.clear(),
            Self::InTables(tables) => tables.add_roots(context),
            _ => {}
        }
    }

    /// Notes a word that memory has returned.
    pub fn on_word(&mut self, read: &Read) {
        if let Self::InTables(tables) = self {
            let updated = read.update.map(|update| update.new);
            for word in read.word.into_iter().chain(updated) {
                tables.add_word(word);
            }
        }
    }

    /// Returns the most memory requests that the device may make for each memory request of a
    /// golden walk.
    pub fn for_each(&self, geometry: &Geometry) -> u64 {
        match self {
            Self::No => 1,
            Self::InLines(lines) => (lines.bytes / geometry.pte_bytes()).max(1),
            Self::InTables(_) | Self::Any => MOST_FREE,
        }
    }
}

/// The lines that contain the entries of the golden walks of requests.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    /// The size of a line in bytes.
    bytes: u64,
    /// The numbers of the lines that golden walks have read. The set is cleared when a request is
    /// accepted while no other request is in flight.
    wanted: FxHashSet<u64>,
}

/// The tables that the roots of requests, and the words that memory has returned, point to.
///
/// "Implementations must only perform implicit reads of the translation data structures pointed to
/// by the current contents of the satp register or a subsequent valid (V=1) translation data
/// structure entry" (privileged specification, "Supervisor Memory-Management Fence Instruction").
/// Earlier roots and entries count as well, because an address-translation cache may contain them
/// until a fence.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    format: Format,
    /// The first addresses of tables.
    tables: BTreeSet<u64>,
    /// The pages that may contain guest tables: log2 of the size, and the number of each.
    pages: FxHashSet<(u32, u64)>,
    /// The highest number of host levels of all contexts with two stages; 0 if there is no such
    /// context. If it is not 0, guest tables are in pages that the host stage maps.
    host_levels: u32,
}

impl Tables {
    fn new(format: Format) -> Self {
        Self {
            format,
            tables: BTreeSet::new(),
            pages: FxHashSet::default(),
            host_levels: 0,
        }
    }

    fn add_roots(&mut self, context: &Context) {
        let geometry = self.format.geometry();
        let [guest_bits, host_bits] = self.format.root_masks();
        let has_host = context.host.levels > 0;
        if context.guest.levels > 0 && !has_host {
            self.tables.insert(context.guest.root.0 & guest_bits);
        }
        if has_host {
            let root = context.host.root.0 & host_bits;
            let parts = 0..1u64 << geometry.host_root_extra;
            self.tables
                .extend(parts.map(|part| root + part * geometry.table_bytes()));
            if context.guest.levels > 0 {
                self.host_levels = self.host_levels.max(u32::from(context.host.levels));
            }
        }
    }

    fn add_word(&mut self, word: u64) {
        let geometry = self.format.geometry();
        let size = geometry.offset_width;
        if self.format.family() == Family::Handout {
            // In the handout's formats a word does not show its level, so it may point to a table
            // or to a page.
            self.tables.insert(word);
            self.pages.insert((size, word >> size));
            return;
        }
        let entry = Entry(word);
        match entry.valid() {
            true if entry.is_pointer() => {
                self.tables.insert(entry.address());
            }
            true => {
                // The level of the leaf is not known. The largest size that fits the alignment of
                // the address is assumed.
                let sizes = (0..self.host_levels).map(|level| size + level * geometry.index_width);
                let fits = |size: &u32| entry.address() & ((1 << size) - 1) == 0;
                let largest = sizes.filter(fits).max().unwrap_or(size);
                let largest = match entry.napot() {
                    true => largest.max(crate::format::riscv::NAPOT_PAGE_SIZE),
                    false => largest,
                };
                self.pages.insert((largest, entry.address() >> largest));
            }
            false => {}
        }
    }

    fn contains(&self, at: Hpa) -> bool {
        let bytes = self.format.geometry().table_bytes();
        let in_table = self
            .tables
            .range(..=at.0)
            .next_back()
            .is_some_and(|base| at.0 - base < bytes);
        let mut pages = self.pages.iter();
        in_table || self.host_levels > 0 && pages.any(|&(size, number)| at.0 >> size == number)
    }
}

impl PortChecker {
    /// Counts a free read: a read that no golden walk of a request in flight makes.
    fn count_free_read(&self, read: &Read) {
        let freedom = match &self.free_reads {
            FreeReads::No => return,
            FreeReads::InTables(_) => Freedom::Speculative,
            FreeReads::InLines(_) | FreeReads::Any => Freedom::FreeReads,
        };
        let is_wanted = |request: &Request| {
            let addresses = every_address(self.format, &request.query, &self.words);
            addresses.is_none_or(|addresses| addresses.contains(&read.at))
        };
        if !self.board.unassigned_requests().any(is_wanted) {
            self.uses.count(freedom);
        }
    }

    /// Checks a read of a device with free reads.
    pub(super) fn check_free_read(&mut self, id: u8, read: &Read) -> Result<(), Box<Mismatch>> {
        self.count_free_read(read);
        let is_legal = match &mut self.free_reads {
            FreeReads::No | FreeReads::Any => true,
            FreeReads::InTables(tables) => tables.contains(read.at),
            FreeReads::InLines(lines) => {
                let line = read.at.0 / lines.bytes;
                if !lines.wanted.contains(&line) {
                    for request in self.board.unassigned_requests() {
                        let Some(addresses) =
                            every_address(self.format, &request.query, &self.words)
                        else {
                            // There are too many golden walks to list their lines, so the line is
                            // accepted.
                            lines.wanted.insert(line);
                            break;
                        };
                        lines
                            .wanted
                            .extend(addresses.iter().map(|at| at.0 / lines.bytes));
                    }
                }
                lines.wanted.contains(&line)
            }
        };
        match is_legal {
            true => Ok(()),
            false => Err(self.wrong_request(&Stream::default(), id, read)),
        }
    }
}
