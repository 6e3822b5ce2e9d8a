// SPDX-License-Identifier: Apache-2.0
//! Contexts of the handout's formats.

use super::super::error::{Result, Span};
use super::super::head::unique_name;
use super::super::layout::Layout;
use super::super::reader::Table;
use crate::addr::{Gpa, Hpa};
use crate::format::Format;
use crate::mmu::Context;
use crate::scenario::NamedContext;

/// Reads `[[context]]`.
pub(super) fn contexts(
    file: &Table<'_>,
    format: Format,
    layout: &Layout<'_>,
) -> Result<Vec<NamedContext>> {
    let mut contexts: Vec<NamedContext> = Vec::new();
    let mut names: Vec<(&str, Span)> = Vec::new();
    for table in file.tables("context", "[[context]]")? {
        table.only(&["name", "host", "guest", "rights", "asid", "vmid"])?;
        let name = unique_name(&table, "context", &mut names)?;
        let host_root = host_root(&table, format, layout)?;
        let guest_root = guest_root(&table, format, layout, host_root)?;
        let number = |key, width: u32| {
            let most = (1u32 << width) - 1;
            table
                .get(key)
                .map_or(Ok(0), |field| field.number_u16(most as u16))
        };
        let context = Context {
            rights: table.get("rights").map_or(Ok(false), |f| f.boolean())?,
            asid: number("asid", format.asid_width())?,
            vmid: number("vmid", format.vmid_width())?,
            ..Context::handout(guest_root, host_root)
        };
        contexts.push(NamedContext {
            name: name.to_owned(),
            context,
        });
    }
    Ok(contexts)
}

fn host_root(table: &Table<'_>, format: Format, layout: &Layout<'_>) -> Result<Hpa> {
    let what = "the name of a [[host]], or the host table base register";
    let field = table.require("host", what)?;
    if field.is_integer() {
        let root = field.address("hPA", format.geometry().hpa_width)?;
        return Ok(Hpa(root));
    }
    let index = layout.handout_host_index(&field, field.string(what)?)?;
    Ok(layout.handout_host(index).root())
}

fn guest_root(
    table: &Table<'_>,
    format: Format,
    layout: &Layout<'_>,
    host_root: Hpa,
) -> Result<Option<Gpa>> {
    let Some(field) = table.get("guest") else {
        return Ok(None);
    };
    if field.is_integer() {
        let root = field.address("gPA", format.geometry().gpa_width)?;
        return Ok(Some(Gpa(root)));
    }
    let name = field.string("the name of a [[guest]], or the guest table base register")?;
    let guest = layout.handout_guest_index(&field, name)?;
    if layout.root_of_handout_host(guest) != host_root {
        return Err(field
            .wrong(
                format!("guest table `{name}` is not in this host's memory"),
                "a guest table that has the same `host`",
            )
            .help(format!(
                "if that is meant, give its root register: guest = 0x{:05X}",
                layout.handout_guest(guest).root().0
            )));
    }
    Ok(Some(layout.handout_guest(guest).root()))
}
