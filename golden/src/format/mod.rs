// SPDX-License-Identifier: Apache-2.0
//! The paging formats: their facts, their geometry and the fields of a table entry.
//!
//! [`handout`] and [`riscv`] stand side by side. Each states the facts of its formats; a format is
//! registered in [`Format`].

pub mod handout;
pub mod riscv;

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::mmu::Access;

/// A paging format, as the RTL parameter `Format` selects it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The machine of the 6.823 handout: 20-bit addresses, 2|2|16.
    Handout,
    /// The same rules on the classic 32-bit geometry: 10|10|12.
    Classic32,
    /// RISC-V with MXLEN 32: Sv32 over Sv32x4, each stage on or off.
    Rv32,
    /// RISC-V with MXLEN 64: Sv39, Sv48 or Sv57 over Sv39x4, Sv48x4 or Sv57x4, each stage on or
    /// off.
    Rv64,
}

/// Widths and counts of a format, in bits unless stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Width of a gVA.
    pub gva_width: u32,
    /// Width of a gPA.
    pub gpa_width: u32,
    /// Width of an hPA.
    pub hpa_width: u32,
    /// Width of a table entry.
    pub pte_width: u32,
    /// Width of the offset in a page of the smallest size.
    pub offset_width: u32,
    /// Width of the index into a table of any level.
    pub index_width: u32,
    /// Number of levels of either stage; the maximum if a context selects the number.
    pub levels: u32,
    /// Number of bits by which the index into the host's root table is wider than other indices.
    pub host_root_extra: u32,
}

impl Geometry {
    /// Returns the size in bytes of the smallest page.
    pub const fn page_bytes(&self) -> u64 {
        1 << self.offset_width
    }

    /// Returns the number of entries of a table.
    pub const fn table_entries(&self) -> u64 {
        1 << self.index_width
    }

    /// Returns the size in bytes of a table entry.
    pub const fn pte_bytes(&self) -> u64 {
        self.pte_width as u64 / 8
    }

    /// Returns the size in bytes of a table.
    pub const fn table_bytes(&self) -> u64 {
        self.table_entries() * self.pte_bytes()
    }

    /// Returns the index of an address in the table of `level`. Levels count down to the leaf's, 0.
    pub const fn index(&self, address: u64, level: u32) -> u64 {
        (address >> (self.offset_width + level * self.index_width)) & (self.table_entries() - 1)
    }

    /// Returns the offset of an address in its page.
    pub const fn offset(&self, address: u64) -> u64 {
        address & (self.page_bytes() - 1)
    }

    /// Returns log2 of the size in bytes of a page that a leaf of `level` maps.
    pub const fn page_size(&self, level: u32) -> u32 {
        self.offset_width + level * self.index_width
    }

    /// Returns the level of the root table.
    pub const fn root_level(&self) -> u32 {
        self.levels - 1
    }
}

/// Returns true if `value` fits into `width` bits.
pub const fn fits(value: u64, width: u32) -> bool {
    width >= 64 || value >> width == 0
}

/// The rules that formats follow: what an entry means, and what a walk does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// The rules of the 6.823 handout.
    Handout,
    /// The RISC-V privileged specification.
    Riscv,
}

/// The convention by which a format names levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LevelNames {
    /// The root is L1, and the leaf's level has the highest number.
    RootIsOne,
    /// The leaf's level is L0.
    LeafIsZero,
}

/// The facts of a format that generic code uses. Each format states its facts beside the layout of
/// its entries.
#[derive(Debug)]
struct Facts {
    /// See [`Format::name`].
    name: &'static str,
    /// See [`Format::family`].
    family: Family,
    /// See [`Format::geometry`].
    geometry: Geometry,
    /// See [`Format::level_name`].
    level_names: LevelNames,
    /// See [`Format::level_choices`].
    level_choices: &'static [u8],
    /// See [`Format::accesses`].
    accesses: &'static [Access],
    /// See [`Format::asid_width`].
    asid_width: u32,
    /// See [`Format::vmid_width`].
    vmid_width: u32,
    /// See [`Format::root_masks`].
    root_masks: [u64; 2],
    /// See [`Format::has_native_contexts`].
    native_contexts: bool,
    /// See [`Format::has_privileges`].
    privileges: bool,
    /// See [`Format::has_traps`].
    traps: bool,
    /// See [`Format::updates_entries`].
    updates_entries: bool,
    /// See [`Format::has_superpages`].
    superpages: bool,
    /// See [`Format::has_global_pages`].
    global_pages: bool,
    /// See [`Format::has_memory_types`].
    memory_types: bool,
    /// See [`Format::has_napot_pages`].
    napot_pages: bool,
    /// See [`Format::has_walk_caches`].
    walk_caches: bool,
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 4] = [
        Format::Handout,
        Format::Classic32,
        Format::Rv32,
        Format::Rv64,
    ];

    /// The formats with the rules of the handout.
    pub const HANDOUT_KIND: [Format; 2] = [Format::Handout, Format::Classic32];

    /// Returns the facts of the format. A new format is registered here.
    const fn facts(self) -> &'static Facts {
        match self {
            Format::Handout => &handout::HANDOUT,
            Format::Classic32 => &handout::CLASSIC32,
            Format::Rv32 => &riscv::RV32,
            Format::Rv64 => &riscv::RV64,
        }
    }

    /// Returns the rules that the format follows.
    pub const fn family(self) -> Family {
        self.facts().family
    }

    /// Returns the format's widths and levels.
    pub const fn geometry(self) -> Geometry {
        self.facts().geometry
    }

    /// Returns the kinds of access that a request may have.
    pub const fn accesses(self) -> &'static [Access] {
        self.facts().accesses
    }

    /// Returns the numbers of levels that a stage may have, 0 for off; empty if they are fixed.
    pub const fn level_choices(self) -> &'static [u8] {
        self.facts().level_choices
    }

    /// Returns the width of an ASID in bits.
    pub const fn asid_width(self) -> u32 {
        self.facts().asid_width
    }

    /// Returns the width of a VMID in bits.
    pub const fn vmid_width(self) -> u32 {
        self.facts().vmid_width
    }

    /// Returns the bits of the guest's and of the host's root that have a meaning. A device ignores
    /// the other bits.
    pub const fn root_masks(self) -> [u64; 2] {
        self.facts().root_masks
    }

    /// Returns true if the format has contexts outside virtual machines (V=0), and fences of them.
    pub const fn has_native_contexts(self) -> bool {
        self.facts().native_contexts
    }

    /// Returns true if the context of a request has a privilege and its switches (user mode, SUM,
    /// MXR). Otherwise the context has rights mode.
    pub const fn has_privileges(self) -> bool {
        self.facts().privileges
    }

    /// Returns true if a fault has the values of the trap registers of a hart.
    pub const fn has_traps(self) -> bool {
        self.facts().traps
    }

    /// Returns true if a walk can update entries: it sets accessed and dirty bits.
    pub const fn updates_entries(self) -> bool {
        self.facts().updates_entries
    }

    /// Returns true if an entry above level 0 may be a leaf.
    pub const fn has_superpages(self) -> bool {
        self.facts().superpages
    }

    /// Returns true if an entry of the guest stage may be global: valid under every ASID.
    pub const fn has_global_pages(self) -> bool {
        self.facts().global_pages
    }

    /// Returns true if leaves have memory types (Svpbmt).
    pub const fn has_memory_types(self) -> bool {
        self.facts().memory_types
    }

    /// Returns true if the format has NAPOT pages (Svnapot).
    pub const fn has_napot_pages(self) -> bool {
        self.facts().napot_pages
    }

    /// Returns true if a device of the format may have page-walk caches.
    pub const fn has_walk_caches(self) -> bool {
        self.facts().walk_caches
    }

    /// Returns its name in scenarios and on the command line.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// Returns the format's name of `level`. Levels count down to the leaf's, 0.
    pub fn level_name(self, level: u32) -> String {
        match self.facts().level_names {
            LevelNames::RootIsOne => format!("L{}", self.geometry().levels - level),
            LevelNames::LeafIsZero => format!("L{level}"),
        }
    }

    /// Returns the level that has a name of [`Format::level_name`].
    pub fn level_of_name(self, name: &str) -> Option<u32> {
        (0..self.geometry().levels).find(|&level| self.level_name(level) == name)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The error of a name that no format has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown format {0:?}: there are handout, classic32, rv32 and rv64")]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Format::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| UnknownFormat(name.into()))
    }
}
