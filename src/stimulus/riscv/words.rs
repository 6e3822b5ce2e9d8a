// SPDX-License-Identifier: Apache-2.0
//! Words of RISC-V tables that cause a fault or an update.

use super::super::Draw;
use super::super::aim::End;
use super::super::formats::Words;
use crate::format::Format;
use crate::format::riscv::Entry;
use crate::golden::Step;
use crate::mmu::{FaultKind, Rights};

/// The words of RISC-V tables.
pub(super) struct RiscvWords;

impl Words for RiscvWords {
    fn is_of_address(&self, kind: FaultKind) -> bool {
        kind == FaultKind::Width
    }

    fn lead_astray(
        &self,
        format: Format,
        draw: &mut Draw,
        _: FaultKind,
        parent: &Step,
        _: &Step,
    ) -> Option<u64> {
        // A page number with a bit beyond the host's width, high or low.
        let word = parent.word?;
        let bit = draw.below(u64::from(format.geometry().hpa_width) - 12);
        Some(word | 1 << (10 + bit))
    }

    fn word(&self, format: Format, draw: &mut Draw, end: End, step: &Step) -> Option<u64> {
        let geometry = format.geometry();
        let is64 = format == Format::Rv64;
        let entry = Entry(step.word?);
        let level = step.at.level();
        let size = geometry.page_size(level);
        // The leaf that the entry could be, if it is a pointer.
        let leaf = if entry.is_pointer() || !entry.valid() {
            Entry::leaf(entry.address() >> size << size, Rights::ALL).with_user(draw.percent(80))
        } else {
            entry
        };
        let word = match end {
            End::Update | End::Fault(FaultKind::AccessedDirty) => {
                let bits = draw.below(3);
                leaf.with_accessed(bits == 0).with_dirty(bits == 1).0
            }
            End::Fault(FaultKind::Invalid) if draw.percent(60) => {
                // Any value of the other bits.
                let any = if draw.percent(50) { draw.bits() } else { 0 };
                Entry(entry.0 ^ (any & (u64::MAX << 10)))
                    .with_valid(false)
                    .0
            }
            End::Fault(FaultKind::Invalid) => {
                let any = if draw.percent(50) { draw.bits() } else { 0 };
                let only_write = Rights {
                    read: false,
                    write: true,
                    execute: draw.percent(50),
                };
                Entry(entry.0 ^ (any & (u64::MAX << 10)))
                    .with_rights(only_write)
                    .0
            }
            End::Fault(FaultKind::Reserved) if entry.is_pointer() => match draw.below(7) {
                0 => entry.with_accessed(true).0,
                1 => entry.with_dirty(true).0,
                2 => entry.with_user(true).0,
                3 if is64 => entry.with_pbmt(1 + draw.below(3) as u8).0,
                4 if is64 => entry.0 | 1 << 63,
                _ if is64 => entry.0 | 1 << (54 + draw.below(7)),
                _ => entry.with_accessed(true).with_user(true).0,
            },
            End::Fault(FaultKind::Reserved) => match draw.below(7) {
                // A pointer with a bit that only a leaf has.
                which if which == 6 || !is64 => {
                    let pointer = Entry::pointer(entry.address());
                    let bit = draw.below(3);
                    (pointer.with_user(bit == 0))
                        .with_accessed(bit == 1)
                        .with_dirty(bit == 2)
                        .0
                }
                0 => entry.with_pbmt(3).0,
                1 => entry.with_pbmt(1 + draw.below(2) as u8).0,
                // A NAPOT encoding that there is not, or not here.
                2 => entry.with_napot_64k().with_address(draw.bits()).0 | 1 << 63,
                3 => entry.with_napot_64k().0,
                _ => entry.0 | 1 << (54 + draw.below(7)),
            },
            End::Fault(FaultKind::Misaligned) => {
                let low = u64::from(level * geometry.index_width);
                if low == 0 {
                    return None;
                }
                leaf.0 ^ 1 << (10 + draw.below(low))
            }
            End::Fault(FaultKind::Permission) => {
                leaf.with_rights(draw_rights(draw))
                    .with_user(leaf.user() ^ draw.percent(40))
                    .0
            }
            End::Fault(FaultKind::Pointer) => Entry::pointer(entry.address()).0,
            End::Fault(_) => return None,
        };
        Some(word & (u64::MAX >> (64 - geometry.pte_width)))
    }
}

/// Rights of a RISC-V leaf: none of the reserved ones, and not those of a pointer.
pub(super) fn draw_rights(draw: &mut Draw) -> Rights {
    let rights = |read, write, execute| Rights {
        read,
        write,
        execute,
    };
    *draw.of(&[
        rights(true, false, false),
        rights(true, true, false),
        rights(false, false, true),
        rights(true, false, true),
        Rights::ALL,
    ])
}
