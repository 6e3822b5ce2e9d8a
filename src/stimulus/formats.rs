// SPDX-License-Identifier: Apache-2.0
//! The properties of a format that the generator uses, and the registration of formats.

use super::aim::End;
use super::handout::Handout;
use super::riscv::Riscv;
use super::{Draw, Parts, Wanted};
use crate::format::{Family, Format};
use crate::golden::Step;
use crate::mmu::FaultKind;

/// The properties of a format that the generator uses.
pub(super) trait StimulusFormat: Sync {
    /// Draws the memory, the contexts and the ops of a scenario.
    fn draw(&self, wanted: &Wanted<'_>, draw: &mut Draw) -> Parts;

    /// Returns true if goals of walks can be drawn.
    fn can_lean(&self) -> bool;

    /// The words of its tables.
    fn words(&self) -> &'static dyn Words;
}

/// Words of a format's tables that let a walk end in a certain way.
pub(super) trait Words: Sync {
    /// Returns true if a fault is one of an address, which the previous entry holds.
    fn is_of_address(&self, kind: FaultKind) -> bool;

    /// A word for the entry before `step`, `parent`, whose address causes a fault there.
    fn lead_astray(
        &self,
        format: Format,
        draw: &mut Draw,
        kind: FaultKind,
        parent: &Step,
        step: &Step,
    ) -> Option<u64>;

    /// A word for the entry of `step` that may let the walk end there.
    fn word(&self, format: Format, draw: &mut Draw, end: End, step: &Step) -> Option<u64>;
}

/// The generator of a format.
pub(super) fn of(format: Format) -> &'static dyn StimulusFormat {
    match format.family() {
        Family::Handout => &Handout,
        Family::Riscv => &Riscv,
    }
}
