// SPDX-License-Identifier: Apache-2.0
//! What of a scenario file is different for the formats of RISC-V: contexts, tables, fences.

mod context;
mod layout;
pub(super) mod not_there;
mod ops;

pub(super) use context::{ByRegisters, contexts, fits_access};
pub(super) use layout::Tables;
pub(super) use ops::fence;

use super::error::Result;
use super::reader::{Field, one_of};
use crate::format::Format;
use crate::format::riscv::mode_name;
use crate::mmu::{MemoryType, Stage};
use crate::scenario::size_name;
use crate::tables::riscv::level_of_size;

/// Levels of a mode of the stage, by its name.
fn levels(field: &Field<'_>, format: Format, stage: Stage) -> Result<u8> {
    let modes: Vec<(&str, u8)> = format
        .level_choices()
        .iter()
        .filter_map(|&levels| Some((mode_name(stage, levels)?, levels)))
        .collect();
    let what = match stage {
        Stage::Guest => "mode",
        Stage::Host => "mode of the G-stage",
    };
    let of_other_xlen = (2..=5).find(|&levels| {
        mode_name(stage, levels).is_some_and(|name| field.is_text(name))
            && !format.level_choices().contains(&levels)
    });
    if let Some(levels) = of_other_xlen {
        let name = mode_name(stage, levels).unwrap_or_default();
        let (bits, other) = if levels == 2 { (32, 64) } else { (64, 32) };
        let legal: Vec<&str> = modes.iter().map(|&(name, _)| name).collect();
        return Err(field
            .wrong(
                format!("`{name}` is a mode of RV{bits}, and the format is rv{other}"),
                format!("modes of RV{other}: {}", one_of(&legal)),
            )
            .help(
                "XLEN is the same in every mode: no machine has a guest of another XLEN (hstatus.VSXL)",
            ));
    }
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
