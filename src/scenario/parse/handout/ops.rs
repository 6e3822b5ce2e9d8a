// SPDX-License-Identifier: Apache-2.0
//! Fences and edits of the handout's formats.

use super::super::error::{Problem, Result};
use super::super::layout::Kind;
use super::super::ops::{Lowering, MOST_PAGE_FENCES};
use super::super::reader::{Field, Table};
use super::layout::Mapping;
use crate::addr::{Gpa, Gva};
use crate::format::Format;
use crate::mmu::{ASID_WIDTH, Context, Fence, VMID_WIDTH};
use crate::scenario::NamedContext;
use crate::tables::FenceObligation;

/// Reads a fence that is a table: its operands.
pub(super) fn fence(field: &Field<'_>, format: Format) -> Result<Fence> {
    const EXPECTED: &str =
        "\"all\", \"owed\" or any of { gva = ..., gpa = ..., asid = ..., vmid = ... }";
    if !field.is_table() {
        return Err(field.wrong_kind(EXPECTED));
    }
    let table = field.table("`fence`")?;
    table.only(&["gva", "gpa", "asid", "vmid"])?;
    if table.keys().is_empty() {
        return Err(field
            .wrong("a fence without an operand", EXPECTED)
            .help("a fence of everything is: fence = \"all\""));
    }
    let geometry = format.geometry();
    let number = |key, width: u32| {
        table
            .get(key)
            .map(|field| field.number_u16(((1u32 << width) - 1) as u16))
            .transpose()
    };
    Ok(Fence {
        virt: true,
        gva: table
            .get("gva")
            .map(|field| field.address("gVA", geometry.gva_width))
            .transpose()?
            .map(Gva),
        gpa: table
            .get("gpa")
            .map(|field| field.address("gPA", geometry.gpa_width))
            .transpose()?
            .map(Gpa),
        asid: number("asid", ASID_WIDTH)?,
        vmid: number("vmid", VMID_WIDTH)?,
    })
}

impl<'a> Lowering<'a> {
    /// Lowers `map` or `unmap`: `table` is the operand, and `of` names a host or a guest.
    pub(super) fn edit_handout(
        &mut self,
        table: &Table<'a>,
        kind: Kind,
        of: &Field<'_>,
        map: bool,
    ) -> Result<()> {
        let table_name = of.string("the name of a table, in quotes")?;
        let index = match kind {
            Kind::Host => self.layout.handout_host_index(of, table_name)?,
            Kind::Guest => self.layout.handout_guest_index(of, table_name)?,
        };
        if !map {
            self.must_have_rights_mode(kind, index, of)?;
        }
        let mapping = Mapping::read(table, kind, map, self.format)?;
        self.spend(mapping.pages, &mapping.span)?;
        let owed = match kind {
            Kind::Host => self.layout.map_handout_host(index, &mapping)?,
            Kind::Guest => self.layout.map_handout_guest(index, &mapping)?,
        };
        if mapping.pages > MOST_PAGE_FENCES {
            for owed in owed.into_iter().take(1) {
                self.owe_of(kind, index, owed.of_every_page());
            }
        } else {
            for owed in owed {
                self.owe_of(kind, index, owed);
            }
        }
        Ok(())
    }

    /// Returns the contexts that translate through a table.
    fn users(&self, kind: Kind, index: usize) -> impl Iterator<Item = &'a NamedContext> {
        let (host_root, guest_root) = match kind {
            Kind::Host => (self.layout.handout_host(index).root(), None),
            Kind::Guest => (
                self.layout.root_of_handout_host(index),
                Some(self.layout.handout_guest(index).root()),
            ),
        };
        self.contexts.iter().filter(move |context| {
            context.context.host.root == host_root
                && (guest_root.is_none() || context.context.guest_root() == guest_root)
        })
    }

    fn must_have_rights_mode(&self, kind: Kind, index: usize, of: &Field<'_>) -> Result<()> {
        match self.users(kind, index).find(|user| !user.context.rights) {
            None => Ok(()),
            Some(user) => Err(Problem::at(
                &of.span,
                format!("`unmap`, but context `{}` has no rights mode", user.name),
            )
            .label("used by that context")
            .help(
                "with `rights` = false no entry is invalid, and an entry that is 0 maps page 0: \
                 set `rights` = true in the context, or `map` the page to another",
            )),
        }
    }

    /// Adds the fence obligations of a change of a table, for the contexts that use the table.
    fn owe_of(&mut self, kind: Kind, index: usize, owed: FenceObligation) {
        let users: Vec<Context> = self.users(kind, index).map(|c| c.context).collect();
        for context in users {
            let owed = owed.of_vmid(context.vmid);
            let owed = match kind {
                Kind::Guest => owed.of_asid(context.asid),
                // The pages of a guest table that is known by its root register alone are not
                // known.
                Kind::Host if self.has_unknown_guest(&context) => owed.of_every_page(),
                Kind::Host => owed,
            };
            self.owe(owed.fence());
        }
    }

    fn has_unknown_guest(&self, context: &Context) -> bool {
        context
            .guest_root()
            .is_some_and(|root| !self.layout.knows_handout_guest(context.host.root, root))
    }
}
