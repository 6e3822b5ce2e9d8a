// SPDX-License-Identifier: Apache-2.0
//! Covergroups that only the handout's formats have.

pub mod guest_rights;
pub mod host_rights;
pub mod walk_rights;

use crate::coverage::events::WalkStep;
use crate::format::Format;
use crate::format::handout::Entry;
use crate::golden::Meaning;
use crate::mmu::{FaultKind, Rights};

/// Returns the rights of a step's entry, if it is a leaf whose rights were checked.
#[inline]
fn checked_rights(step: &WalkStep<'_>, format: Format) -> Option<Rights> {
    let is_checked = matches!(
        step.step.meaning,
        Meaning::DataGpa(_) | Meaning::Found(_) | Meaning::Fault(FaultKind::Permission)
    );
    if !is_checked || !step.query.context.rights {
        return None;
    }
    let geometry = format.geometry();
    let entry = Entry::new(step.step.word?, geometry.hpa_width, &geometry);
    Some(entry.rights())
}
