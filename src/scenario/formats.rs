// SPDX-License-Identifier: Apache-2.0
//! The properties of a format that scenarios use, and the registration of formats.

use std::fmt;

use super::handout::Handout;
use super::riscv::Riscv;
use super::write::{Hex, Writer};
use crate::format::{Family, Format};
use crate::mmu::Context;

/// The properties of a format that scenarios use.
pub(super) trait ScenarioFormat: Sync {
    /// Returns true if a response has the gPA of the data.
    fn answers_with_gpa(&self) -> bool;

    /// Renders a word of memory for a file.
    fn word(&self, writer: &Writer, word: u64) -> Hex;

    /// Writes the fields of a `[[context]]`.
    fn write_context(&self, writer: &mut Writer, context: &Context) -> fmt::Result;
}

/// Returns the rules of a format.
pub(super) fn of(format: Format) -> &'static dyn ScenarioFormat {
    match format.family() {
        Family::Handout => &Handout,
        Family::Riscv => &Riscv,
    }
}
