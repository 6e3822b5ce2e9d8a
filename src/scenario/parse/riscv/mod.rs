// SPDX-License-Identifier: Apache-2.0
//! What of a scenario file is different for the formats of RISC-V: contexts, tables, fences.

mod context;
mod layout;
mod ops;

pub(super) use context::contexts;
pub(super) use layout::Tables;
pub(super) use ops::fence;

use super::error::Result;
use super::reader::Field;
use crate::format::Format;
use crate::format::riscv::{level_choices, mode_name};
use crate::mmu::{MemoryType, Stage};
use crate::scenario::size_name;
use crate::tables::riscv::level_of_size;

/// Levels of a mode of the stage, by its name.
fn levels(field: &Field<'_>, format: Format, stage: Stage) -> Result<u8> {
    let modes: Vec<(&str, u8)> = level_choices(format)
        .iter()
        .filter_map(|&levels| Some((mode_name(stage, levels)?, levels)))
        .collect();
    let what = match stage {
        Stage::Guest => "mode",
        Stage::Host => "mode of the G-stage",
    };
    field.choice(what, &modes)
}

/// log2 of the bytes of a page, by its name: `"2m"`.
pub(super) fn page_size(field: &Field<'_>, format: Format) -> Result<u32> {
    let sizes: Vec<(String, u32)> = (12..64)
        .filter(|&size| level_of_size(format, size).is_some())
        .map(|size| (size_name(size), size))
        .collect();
    let sizes: Vec<(&str, u32)> = sizes
        .iter()
        .map(|(name, size)| (name.as_str(), *size))
        .collect();
    field.choice("page size", &sizes)
}

pub(super) fn memory_type(field: &Field<'_>) -> Result<MemoryType> {
    let types = [
        ("pma", MemoryType::Pma),
        ("nc", MemoryType::Nc),
        ("io", MemoryType::Io),
    ];
    field.choice("memory type", &types)
}
