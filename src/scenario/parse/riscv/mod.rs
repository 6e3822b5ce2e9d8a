// SPDX-License-Identifier: Apache-2.0
//! The parts of a scenario file for the RISC-V formats: contexts, tables, fences.

mod context;
mod layout;
mod not_there;
mod ops;

pub(super) use context::{ByRegisters, fits_access};
pub(super) use layout::Tables;

use super::error::Result;
use super::formats::{Contexts, FileFormat};
use super::layout::{Kind, Layout};
use super::ops::Lowering;
use super::reader::{Field, Table, one_of};
use crate::format::Format;
use crate::format::riscv::mode_name;
use crate::mmu::{Fence, MemoryType, Stage};
use crate::scenario::{Machine, size_name};
use crate::tables::riscv::level_of_size;

/// The RISC-V formats.
pub(super) struct Riscv;

impl FileFormat for Riscv {
    fn lay_hosts<'a>(&self, layout: &mut Layout<'a>, file: &Table<'a>) -> Result<()> {
        layout.lay_riscv_hosts(file)
    }

    fn lay_guests<'a>(&self, layout: &mut Layout<'a>, file: &Table<'a>) -> Result<()> {
        layout.lay_riscv_guests(file)
    }

    fn contexts(
        &self,
        file: &Table<'_>,
        machine: &Machine,
        layout: &Layout<'_>,
    ) -> Result<Contexts> {
        context::contexts(file, machine, layout)
    }

    fn refuse_op(&self, table: &Table<'_>) -> Result<()> {
        not_there::refuse(table, not_there::ACCESS)
    }

    fn fence(&self, field: &Field<'_>, format: Format) -> Result<Fence> {
        ops::fence(field, format)
    }

    fn edit_keys(&self, map: bool) -> &'static [&'static str] {
        match map {
            true => &[
                "guest", "host", "from", "to", "size", "pages", "rights", "u", "g", "a", "d",
                "pbmt",
            ],
            false => &["guest", "host", "from", "size", "pages"],
        }
    }

    fn edit<'a>(
        &self,
        lowering: &mut Lowering<'a>,
        table: &Table<'a>,
        kind: Kind,
        of: &Field<'_>,
        map: bool,
    ) -> Result<()> {
        lowering.edit_riscv(table, kind, of, map)
    }

    fn expect_keys(&self) -> &'static [&'static str] {
        &["cause", "tval2", "tinst", "gva", "page", "memory_type"]
    }
}

/// Returns the number of levels of a mode of the stage, by its name.
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
                "XLEN is the same in every mode: no machine has a guest of another XLEN \
                 (hstatus.VSXL)",
            ));
    }
    field.choice(what, &modes)
}

/// Reads the name of a page size, such as `"2m"`. Returns log2 of the size in bytes.
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
