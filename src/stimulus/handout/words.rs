// SPDX-License-Identifier: Apache-2.0
//! Words of the handout's tables that cause a fault.

use super::super::Draw;
use super::super::aim::End;
use super::super::formats::Words;
use crate::format::{Format, Geometry, handout};
use crate::golden::Step;
use crate::mmu::{FaultKind, Rights, Stage};

/// The words of the handout's tables.
pub(super) struct HandoutWords;

/// The width of the address in the entry of a step.
fn width(geometry: &Geometry, step: &Step) -> u32 {
    match step.at.stage() {
        Stage::Guest => geometry.gpa_width,
        Stage::Host => geometry.hpa_width,
    }
}

impl Words for HandoutWords {
    fn is_of_address(&self, kind: FaultKind) -> bool {
        matches!(kind, FaultKind::Width | FaultKind::Misaligned)
    }

    fn lead_astray(
        &self,
        format: Format,
        draw: &mut Draw,
        kind: FaultKind,
        parent: &Step,
        step: &Step,
    ) -> Option<u64> {
        let geometry = format.geometry();
        let word = parent.word?;
        if kind == FaultKind::Misaligned {
            return Some(word | 1 << draw.below(2));
        }
        // A table so high that the entry lies past the end.
        let entries = 1 + draw.below(step.index.max(1));
        Some((1 << width(&geometry, step)) - entries * geometry.pte_bytes())
    }

    fn word(&self, format: Format, draw: &mut Draw, end: End, step: &Step) -> Option<u64> {
        let geometry = format.geometry();
        let word = step.word?;
        let width = width(&geometry, step);
        let unused = u64::from(geometry.pte_width - width);
        let reserved = |draw: &mut Draw| match unused {
            0 => 0,
            unused => 1 << (u64::from(width) + draw.below(unused)),
        };
        match end {
            End::Fault(FaultKind::Reserved) => Some(word | reserved(draw)),
            // The entry is not valid, whatever its other bits are.
            End::Fault(FaultKind::Invalid) => {
                let odd = if draw.percent(50) { reserved(draw) } else { 0 };
                Some((word & !1) | odd)
            }
            End::Fault(FaultKind::Permission) => {
                let rights = Rights {
                    read: draw.percent(50),
                    write: draw.percent(50),
                    execute: draw.percent(50),
                };
                Some(word & !0xF | handout::leaf(0, rights))
            }
            _ => None,
        }
    }
}
