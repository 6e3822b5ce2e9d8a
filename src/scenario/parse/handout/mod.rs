// SPDX-License-Identifier: Apache-2.0
//! The parts of a scenario file for the handout's formats: contexts, tables, fences.

mod context;
mod layout;
mod ops;

pub(super) use layout::Tables;

use super::error::Result;
use super::formats::{Contexts, FileFormat};
use super::layout::{Kind, Layout};
use super::ops::Lowering;
use super::reader::{Field, Table};
use crate::format::Format;
use crate::mmu::Fence;
use crate::scenario::Machine;

/// The handout's formats.
pub(super) struct Handout;

impl FileFormat for Handout {
    fn lay_hosts<'a>(&self, layout: &mut Layout<'a>, file: &Table<'a>) -> Result<()> {
        layout.lay_handout_hosts(file)
    }

    fn lay_guests<'a>(&self, layout: &mut Layout<'a>, file: &Table<'a>) -> Result<()> {
        layout.lay_handout_guests(file)
    }

    fn contexts(
        &self,
        file: &Table<'_>,
        machine: &Machine,
        layout: &Layout<'_>,
    ) -> Result<Contexts> {
        let contexts = context::contexts(file, machine.format, layout)?;
        Ok(contexts
            .into_iter()
            .map(|context| (context, None))
            .collect())
    }

    fn refuse_op(&self, _: &Table<'_>) -> Result<()> {
        Ok(())
    }

    fn fence(&self, field: &Field<'_>, format: Format) -> Result<Fence> {
        ops::fence(field, format)
    }

    fn edit_keys(&self, map: bool) -> &'static [&'static str] {
        match map {
            true => &["guest", "host", "from", "to", "pages", "rights"],
            false => &["guest", "host", "from", "pages"],
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
        lowering.edit_handout(table, kind, of, map)
    }

    fn expect_keys(&self) -> &'static [&'static str] {
        &[]
    }
}
