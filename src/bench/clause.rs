// SPDX-License-Identifier: Apache-2.0
//! The clauses of specifications that checks are based on.

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use crate::format::{Family, Format};
use crate::mmu::Stage;

/// A section of a document that specifies the behaviour that a check expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Clause {
    /// A section of `docs/ports.md`, by its title.
    Ports(&'static str),
    /// A section of `docs/formats.md`, by its title.
    Formats(&'static str),
    /// A section of the RISC-V privileged specification, by its title.
    Privileged(&'static str),
}

impl Clause {
    /// Returns the clause for a format: `handout` for the formats of the handout, `riscv` for the
    /// RISC-V formats.
    const fn by_format(format: Format, handout: Self, riscv: Self) -> Self {
        match format.family() {
            Family::Riscv => riscv,
            Family::Handout => handout,
        }
    }

    /// Returns the clause on page-table walks: of two stages if `virt` is set, else of one stage.
    pub(super) const fn of_walk(format: Format, virt: bool) -> Self {
        let title = match virt {
            true => "Two-Stage Address Translation",
            false => "Virtual Address Translation Process",
        };
        Self::by_format(format, Self::Formats("The walk"), Self::Privileged(title))
    }

    /// Returns the clause on the faults of a stage.
    pub(super) const fn of_fault(format: Format, stage: Stage) -> Self {
        let title = match stage {
            Stage::Guest => "Virtual Address Translation Process",
            Stage::Host => "Guest-Page Faults",
        };
        let handout = Self::Formats("The fields of a fault");
        Self::by_format(format, handout, Self::Privileged(title))
    }

    /// Returns the clause on what a fence invalidates.
    pub(super) const fn of_fence(format: Format, virt: bool) -> Self {
        let title = match virt {
            true => "Hypervisor Memory-Management Fence Instructions",
            false => "Supervisor Memory-Management Fence Instruction",
        };
        Self::by_format(format, Self::Ports("Fence"), Self::Privileged(title))
    }

    /// The document, by its path or its title.
    pub const fn document(self) -> &'static str {
        match self {
            Self::Ports(_) => "docs/ports.md",
            Self::Formats(_) => "docs/formats.md",
            Self::Privileged(_) => "RISC-V privileged specification",
        }
    }

    /// The title of the section.
    pub const fn section(self) -> &'static str {
        match self {
            Self::Ports(section) | Self::Formats(section) | Self::Privileged(section) => section,
        }
    }
}

/// Serializes the clause as an object with the document and the section.
impl Serialize for Clause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut clause = serializer.serialize_struct("Clause", 2)?;
        clause.serialize_field("document", self.document())?;
        clause.serialize_field("section", self.section())?;
        clause.end()
    }
}
