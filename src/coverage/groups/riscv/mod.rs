// SPDX-License-Identifier: Apache-2.0
//! Covergroups that only the RISC-V formats have.

pub mod guest_rights;
pub mod host_rights;
pub mod walk_rights;

use crate::coverage::events::WalkStep;
use crate::format::riscv::Entry;
use crate::golden::Meaning;
use crate::mmu::FaultKind;

/// Returns the entry of a step, if it is a leaf whose rights were checked.
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
