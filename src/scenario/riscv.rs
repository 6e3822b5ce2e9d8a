// SPDX-License-Identifier: Apache-2.0
//! Scenarios of the RISC-V formats.

use std::fmt::{self, Write};

use super::formats::ScenarioFormat;
use super::write::{Hex, Writer, string};
use crate::format::riscv::mode_name;
use crate::mmu::{Context, Stage};

/// The RISC-V formats.
pub(super) struct Riscv;

impl ScenarioFormat for Riscv {
    fn answers_with_gpa(&self) -> bool {
        true
    }

    fn word(&self, writer: &Writer, word: u64) -> Hex {
        Hex(word, 2 * writer.word_bytes() as usize)
    }

    /// Writes all fields. Fields that are off, false or 0 are left out, unless a reader would miss
    /// them.
    fn write_context(&self, writer: &mut Writer, context: &Context) -> fmt::Result {
        let Context {
            virt, guest, host, ..
        } = context;
        let mode = |stage, levels| string(mode_name(stage, levels).unwrap_or("bare"));
        writeln!(writer.out, "v = {virt}")?;
        let privilege = if context.user { "u" } else { "s" };
        writeln!(writer.out, "priv = {}", string(privilege))?;
        writeln!(writer.out, "mode = {}", mode(Stage::Guest, guest.levels))?;
        if guest.levels > 0 || guest.root.0 != 0 {
            writeln!(writer.out, "root = {}", writer.address(guest.root.0))?;
        }
        if *virt || host.root.0 != 0 {
            writeln!(writer.out, "g_mode = {}", mode(Stage::Host, host.levels))?;
        }
        if host.levels > 0 || host.root.0 != 0 {
            writeln!(writer.out, "g_root = {}", writer.address(host.root.0))?;
        }
        writeln!(writer.out, "asid = {}", context.asid)?;
        if *virt || context.vmid != 0 {
            writeln!(writer.out, "vmid = {}", context.vmid)?;
        }
        // `mxr` applies to both stages, unless `g_mxr` is given.
        let both = guest.mxr && (host.mxr || !virt);
        for (key, set) in [
            ("sum", context.sum),
            ("mxr", both),
            ("vs_mxr", guest.mxr && !both),
            ("g_mxr", host.mxr && !(both && *virt)),
            ("adue", guest.adue),
            ("g_adue", host.adue),
            ("pbmte", guest.pbmte),
            ("g_pbmte", host.pbmte),
            ("svnapot", context.napot),
        ] {
            if set {
                writeln!(writer.out, "{key} = true")?;
            }
        }
        Ok(())
    }
}
