// SPDX-License-Identifier: Apache-2.0
//! `entry`: entries from which walks continue, by mode.

use crate::coverage::axes::{EntryKind, Mode, WalkPosition};
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, covergroup};
use crate::coverage::events::WalkStep;
use crate::coverage::formats::{self, Feature};
use crate::format::Format;
use crate::golden::Meaning;

covergroup! {
    "entry":
    "entries from which a walk went on, by mode";
    /// A walk continues from an entry.
    pub struct Entry {
        mode: Mode = "mode",
        entry: WalkPosition = "at",
        kind: EntryKind = "entry",
    }
}

impl Covergroup for Entry {
    type Memory = ();

    fn rule(self, format: Format) -> Rule {
        Rule::unless(self.mode.lacks(self.entry)).and(|| rule(format, self.entry, self.kind))
    }

    #[inline]
    fn on_step(_: &mut (), step: &WalkStep<'_>, out: &mut Sampling<'_>) {
        if let Some(kind) = kind(step, out.machine.format) {
            out.hit(Self {
                mode: Mode::of(&step.query.context),
                entry: step.entry,
                kind,
            });
        }
    }
}

/// Returns the kind of the entry, if the walk continues from it.
#[inline]
pub(super) fn kind(step: &WalkStep<'_>, format: Format) -> Option<EntryKind> {
    let word = step.step.word?;
    match step.step.meaning {
        Meaning::GuestTable(_) | Meaning::HostTable(_) => Some(EntryKind::Pointer),
        Meaning::DataGpa(_) | Meaning::Found(_) => {
            Some(formats::of(format).leaf_kind(format, word))
        }
        Meaning::SetAccessedDirty | Meaning::Fault(_) => None,
    }
}

/// Returns the rule for a walk that continues from such an entry, in a mode that has its level.
pub(super) fn rule(format: Format, entry: WalkPosition, kind: EntryKind) -> Rule {
    let level = entry.level();
    Rule::unless(match kind {
        EntryKind::Pointer => (level == 0).then_some("an entry of level 0 is a leaf, or a fault"),
        EntryKind::Leaf if level > 0 => formats::of(format).lacks(Feature::Superpages),
        EntryKind::Leaf => None,
        EntryKind::NapotLeaf if !format.has_napot_pages() => Some("the format has no NAPOT pages"),
        EntryKind::NapotLeaf => (level > 0).then_some("a NAPOT page is of level 0"),
    })
}
