// SPDX-License-Identifier: Apache-2.0
//! Scenarios of the handout's formats.

use std::fmt::{self, Write};

use super::formats::ScenarioFormat;
use super::write::{Hex, Writer};
use crate::mmu::Context;

/// The handout's formats.
pub(super) struct Handout;

impl ScenarioFormat for Handout {
    fn answers_with_gpa(&self) -> bool {
        false
    }

    fn word(&self, writer: &Writer, word: u64) -> Hex {
        // The word is written as an address: both have the width of the machine.
        writer.address(word)
    }

    fn write_context(&self, writer: &mut Writer, context: &Context) -> fmt::Result {
        writeln!(writer.out, "host = {}", writer.address(context.host.root.0))?;
        if let Some(root) = context.guest_root() {
            writeln!(writer.out, "guest = {}", writer.address(root.0))?;
        }
        writeln!(writer.out, "rights = {}", context.rights)?;
        writeln!(writer.out, "asid = {}", context.asid)?;
        writeln!(writer.out, "vmid = {}", context.vmid)
    }
}
