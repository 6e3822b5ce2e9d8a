// SPDX-License-Identifier: Apache-2.0
//! The paging formats: level geometry and the fields of a table entry.

pub mod handout;
pub mod riscv;

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::mmu::{ASID_WIDTH, VMID_WIDTH};

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
    /// RISC-V with MXLEN 64: Sv39, Sv48 or Sv57 over Sv39x4, Sv48x4 or Sv57x4, each stage on or off.
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
    /// Offset in a page.
    pub offset_width: u32,
    /// Index into the table of any level.
    pub index_width: u32,
    /// Number of levels of either stage; where a context chooses, the most.
    pub levels: u32,
    /// Bits that the index into the host's root table has more than any other.
    pub host_root_extra: u32,
}

impl Geometry {
    /// Bytes of a page.
    pub const fn page_bytes(&self) -> u64 {
        1 << self.offset_width
    }

    /// Entries of a table.
    pub const fn table_entries(&self) -> u64 {
        1 << self.index_width
    }

    /// Bytes of a table entry: the stride of a table.
    pub const fn pte_bytes(&self) -> u64 {
        self.pte_width as u64 / 8
    }

    /// Bytes of a table.
    pub const fn table_bytes(&self) -> u64 {
        self.table_entries() * self.pte_bytes()
    }

    /// The index of an address into the table of `level`, which counts down to the leaf's, 0.
    pub const fn index(&self, address: u64, level: u32) -> u64 {
        (address >> (self.offset_width + level * self.index_width)) & (self.table_entries() - 1)
    }

    /// The offset of an address in its page.
    pub const fn offset(&self, address: u64) -> u64 {
        address & (self.page_bytes() - 1)
    }

    /// The level that a walk starts at.
    pub const fn root_level(&self) -> u32 {
        self.levels - 1
    }
}

/// Whether `value` fits into `width` bits.
pub const fn fits(value: u64, width: u32) -> bool {
    width >= 64 || value >> width == 0
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 4] = [
        Format::Handout,
        Format::Classic32,
        Format::Rv32,
        Format::Rv64,
    ];

    /// The handout's format, and the others with its rules.
    pub const HANDOUT_KIND: [Format; 2] = [Format::Handout, Format::Classic32];

    /// The format's row of the geometry table.
    pub const fn geometry(self) -> Geometry {
        match self {
            Format::Handout => Geometry {
                gva_width: 20,
                gpa_width: 20,
                hpa_width: 20,
                pte_width: 32,
                offset_width: 16,
                index_width: 2,
                levels: 2,
                host_root_extra: 0,
            },
            Format::Classic32 => Geometry {
                gva_width: 32,
                gpa_width: 32,
                hpa_width: 32,
                pte_width: 32,
                offset_width: 12,
                index_width: 10,
                levels: 2,
                host_root_extra: 0,
            },
            Format::Rv32 => Geometry {
                gva_width: 32,
                gpa_width: 34,
                hpa_width: 34,
                pte_width: 32,
                offset_width: 12,
                index_width: 10,
                levels: 2,
                host_root_extra: 2,
            },
            Format::Rv64 => Geometry {
                gva_width: 64,
                // A gVA that is taken for a gPA may be as wide as that, and faults.
                gpa_width: 64,
                hpa_width: 56,
                pte_width: 64,
                offset_width: 12,
                index_width: 9,
                levels: 5,
                host_root_extra: 2,
            },
        }
    }

    /// Bits of an ASID. Of RISC-V that is ASIDMAX (privileged specification, "Supervisor Address
    /// Translation and Protection (satp) Register"): a register of RV32 has no more.
    pub const fn asid_width(self) -> u32 {
        match self {
            Format::Rv32 => 9,
            Format::Handout | Format::Classic32 | Format::Rv64 => ASID_WIDTH,
        }
    }

    /// Bits of a VMID. Of RISC-V that is VMIDMAX (privileged specification, "Hypervisor Guest
    /// Address Translation and Protection (hgatp) Register"): a register of RV32 has no more.
    pub const fn vmid_width(self) -> u32 {
        match self {
            Format::Rv32 => 7,
            Format::Handout | Format::Classic32 | Format::Rv64 => VMID_WIDTH,
        }
    }

    /// Whether the format is one of RISC-V, else of the handout's kind.
    pub const fn is_riscv(self) -> bool {
        matches!(self, Format::Rv32 | Format::Rv64)
    }

    /// Its name in scenarios and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Handout => "handout",
            Format::Classic32 => "classic32",
            Format::Rv32 => "rv32",
            Format::Rv64 => "rv64",
        }
    }

    /// What the format calls `level`, which counts down to the leaf's, 0: the handout has L1 over L2, the RISC-V specification counts
    /// as here.
    pub fn level_name(self, level: u32) -> String {
        match self {
            Format::Handout | Format::Classic32 => format!("L{}", self.geometry().levels - level),
            Format::Rv32 | Format::Rv64 => format!("L{level}"),
        }
    }

    /// The level of a name that [`Format::level_name`] gives.
    pub fn level_of_name(self, name: &str) -> Option<u32> {
        (0..self.geometry().levels).find(|&level| self.level_name(level) == name)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no format has.
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
