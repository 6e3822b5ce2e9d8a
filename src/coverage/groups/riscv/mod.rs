// SPDX-License-Identifier: Apache-2.0
//! Covergroups of the RISC-V formats alone.

pub mod guest_rights;
pub mod host_rights;
pub mod walk_rights;

use crate::coverage::events::WalkStep;
use crate::format::riscv::Entry;
use crate::golden::Meaning;
use crate::mmu::FaultKind;

/// The entry of a step, if it is a leaf of which the rights were checked.
#[inline]
fn checked_leaf(step: &WalkStep<'_>) -> Option<Entry> {
    let is_checked = matches!(
        step.step.meaning,
        Meaning::DataGpa(_)
            | Meaning::Found(_)
            | Meaning::SetAccessedDirty
            | Meaning::Fault(FaultKind::Permission | FaultKind::AccessedDirty)
    );
    if is_checked {
        step.step.word.map(Entry)
    } else {
        None
    }
}
