// SPDX-License-Identifier: Apache-2.0
//! Fences and edits of RISC-V.

use super::super::error::{Problem, Result};
use super::super::layout::Kind;
use super::super::ops::{Lowering, MOST_PAGE_FENCES};
use super::super::reader::{Field, Table};
use super::layout::Mapping;
use crate::addr::{Gpa, Gva};
use crate::format::Format;
use crate::mmu::{Context, Fence};
use crate::tables::FenceObligation;

const INSTRUCTIONS: [&str; 3] = ["sfence_vma", "hfence_vvma", "hfence_gvma"];

/// Reads a fence that is a table: an instruction with the values of its registers, or the operands
/// of the port.
pub(super) fn fence(field: &Field<'_>, format: Format) -> Result<Fence> {
    if !field.is_table() {
        return Err(field.wrong_kind(
            "\"all\", \"owed\" or an instruction, like { hfence_gvma = { gpa = ..., vmid = ... } }",
        ));
    }
    let table = field.table("`fence`")?;
    let operands = ["virt", "gva", "gpa", "asid", "vmid"];
    table.only(&[&INSTRUCTIONS[..], &operands].concat())?;
    let named = INSTRUCTIONS.into_iter().find_map(|name| table.get(name));
    let Some(instruction) = named else {
        let virt = table.require(
            "virt",
            "V of the translations to invalidate; or the fence's instruction, like hfence_gvma = { \
             vmid = 1 }",
        )?;
        return Ok(Fence {
            virt: virt.boolean()?,
            gva: gva(&table, "gva", format)?,
            gpa: gpa(&table, format)?,
            asid: tag(&table, "asid", format.asid_width())?,
            vmid: tag(&table, "vmid", format.vmid_width())?,
        });
    };
    if let Some((key, span)) = table
        .keys()
        .into_iter()
        .find(|(key, _)| *key != instruction.name)
    {
        return Err(
            Problem::at(&span, format!("`{key}` next to `{}`", instruction.name))
                .label("a fence has one instruction, which contains the operands"),
        );
    }
    let operands = instruction.table("the fence")?;
    let asid = |operands: &Table<'_>| register(operands, "asid", format, format.asid_width());
    match instruction.name {
        "sfence_vma" => {
            operands.only(&["va", "asid"])?;
            Ok(Fence {
                virt: false,
                gva: gva(&operands, "va", format)?,
                asid: asid(&operands)?,
                ..Fence::default()
            })
        }
        "hfence_vvma" => {
            operands.only(&["va", "asid", "vmid"])?;
            operands.require(
                "vmid",
                "the VMID of hgatp, which the instruction always uses",
            )?;
            Ok(Fence {
                gva: gva(&operands, "va", format)?,
                asid: asid(&operands)?,
                // It is a field of hgatp and not an operand, so it has no more bits.
                vmid: tag(&operands, "vmid", format.vmid_width())?,
                ..Fence::default()
            })
        }
        _ => {
            operands.only(&["gpa", "vmid"])?;
            Ok(Fence {
                gpa: gpa(&operands, format)?,
                vmid: register(&operands, "vmid", format, format.vmid_width())?,
                ..Fence::default()
            })
        }
    }
}

fn gva(table: &Table<'_>, key: &'static str, format: Format) -> Result<Option<Gva>> {
    let width = format.geometry().gva_width;
    let address = table.get(key).map(|field| field.address("gVA", width));
    Ok(address.transpose()?.map(Gva))
}

fn gpa(table: &Table<'_>, format: Format) -> Result<Option<Gpa>> {
    let width = format.geometry().gpa_width;
    let address = table.get("gpa").map(|field| field.address("gPA", width));
    Ok(address.transpose()?.map(Gpa))
}

/// Reads an ASID or VMID with the width of the port or of a register's field. A wider one is an
/// error.
fn tag(table: &Table<'_>, key: &'static str, width: u32) -> Result<Option<u16>> {
    let most = ((1u32 << width) - 1) as u16;
    table
        .get(key)
        .map(|field| field.number_u16(most))
        .transpose()
}

/// Reads an ASID or VMID in a register that is an operand, rs2: bits above those of the field
/// "should be zeroed by software and ignored by current implementations" ("Supervisor
/// Memory-Management Fence Instruction", "Hypervisor Memory-Management Fence Instructions"). The
/// hart drops them.
fn register(
    table: &Table<'_>,
    key: &'static str,
    format: Format,
    width: u32,
) -> Result<Option<u16>> {
    // rs2 has XLEN bits, as a gVA has.
    let most = u64::MAX >> (64 - format.geometry().gva_width);
    let operand = table.get(key).map(|field| field.number(0, most));
    Ok(operand
        .transpose()?
        .map(|value| (value & ((1 << width) - 1)) as u16))
}

impl<'a> Lowering<'a> {
    /// Lowers `map` or `unmap`: `table` is the operand, and `of` names a host or a guest.
    pub(in super::super) fn edit_riscv(
        &mut self,
        table: &Table<'a>,
        kind: Kind,
        of: &Field<'_>,
        map: bool,
    ) -> Result<()> {
        let name = of.string("the name of a table, in quotes")?;
        let index = match kind {
            Kind::Host => self.layout.riscv_host_index(of, name)?,
            Kind::Guest => self.layout.riscv_guest_index(of, name)?,
        };
        let mapping = Mapping::read(table, kind, map, self.format)?;
        self.spend(mapping.pages, &mapping.span)?;
        let mut owed = self.layout.map_riscv(kind, index, &mapping)?;
        if mapping.pages > MOST_PAGE_FENCES {
            // A fence by ASID does not match global pages, and there may be one among so many
            // pages.
            owed.truncate(1);
            owed = owed
                .into_iter()
                .map(FenceObligation::of_every_page)
                .collect();
        }
        let layout = &self.layout;
        let users: Vec<Context> = self
            .contexts
            .iter()
            .map(|context| context.context)
            .filter(|context| match kind {
                Kind::Host => layout.uses_riscv_host(context, index),
                Kind::Guest => layout.uses_riscv_guest(context, index),
            })
            .collect();
        for owed in owed {
            for context in &users {
                let owed = match context.virt {
                    true => owed.of_vmid(context.vmid),
                    false => owed.outside_virtual_machines(),
                };
                let owed = match kind {
                    Kind::Guest if mapping.pages > MOST_PAGE_FENCES => owed,
                    Kind::Guest => owed.of_asid(context.asid),
                    // The pages of a guest table that is known by its root register alone are not
                    // known.
                    Kind::Host if self.layout.is_unknown_riscv_guest(context) => {
                        owed.of_every_page()
                    }
                    Kind::Host => owed,
                };
                self.owe(owed.fence());
            }
        }
        Ok(())
    }
}
