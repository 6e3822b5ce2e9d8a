// SPDX-License-Identifier: Apache-2.0
//! The properties of a format that the parser uses, and the registration of formats.

use super::error::Result;
use super::handout::Handout;
use super::layout::{Kind, Layout};
use super::ops::Lowering;
use super::reader::{Field, Table};
use super::riscv::{ByRegisters, Riscv};
use crate::format::{Family, Format};
use crate::mmu::Fence;
use crate::scenario::{Machine, NamedContext};

/// Contexts, each with the registers that define it, if it is defined by registers.
pub(super) type Contexts = Vec<(NamedContext, Option<ByRegisters>)>;

/// The properties of a format that the parser uses.
pub(super) trait FileFormat: Sync {
    /// Lays out the tables of `[[host]]`.
    fn lay_hosts<'a>(&self, layout: &mut Layout<'a>, file: &Table<'a>) -> Result<()>;

    /// Lays out the tables of `[[guest]]`.
    fn lay_guests<'a>(&self, layout: &mut Layout<'a>, file: &Table<'a>) -> Result<()>;

    /// Reads `[[context]]`.
    fn contexts(
        &self,
        file: &Table<'_>,
        machine: &Machine,
        layout: &Layout<'_>,
    ) -> Result<Contexts>;

    /// Refuses keys of an `[[op]]` that belong to unsupported extensions.
    fn refuse_op(&self, table: &Table<'_>) -> Result<()>;

    /// Reads a `fence` that is not a string.
    fn fence(&self, field: &Field<'_>, format: Format) -> Result<Fence>;

    /// Returns the keys of `map`, or of `unmap`.
    fn edit_keys(&self, map: bool) -> &'static [&'static str];

    /// Lowers `map` or `unmap`: `table` is the operand, and `of` names a host or a guest.
    fn edit<'a>(
        &self,
        lowering: &mut Lowering<'a>,
        table: &Table<'a>,
        kind: Kind,
        of: &Field<'_>,
        map: bool,
    ) -> Result<()>;

    /// Returns the keys of an expectation that only this format has.
    fn expect_keys(&self) -> &'static [&'static str];
}

/// Returns the parser of a format.
pub(super) fn of(format: Format) -> &'static dyn FileFormat {
    match format.family() {
        Family::Handout => &Handout,
        Family::Riscv => &Riscv,
    }
}
