// SPDX-License-Identifier: Apache-2.0
//! `global`: global entries of the guest stage.

use crate::coverage::axes::{Level, POINTER_AT_0, WalkPosition};
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, axis, covergroup};
use crate::coverage::events::WalkStep;
use crate::coverage::formats;
use crate::coverage::steps::UpdateOutcome;
use crate::format::Format;
use crate::golden::Meaning;

axis! {
    /// The kind of a global entry.
    pub enum GlobalEntry {
        /// A pointer.
        Pointer = "pointer",
        /// A leaf.
        Leaf = "leaf",
    }
}

covergroup! {
    "global":
    "entries of the guest's stage with G set";
    /// A walk continues from a global entry of the guest stage.
    pub struct Global {
        entry: GlobalEntry = "entry",
        level: Level = "level",
    }
}

impl Covergroup for Global {
    type Memory = ();

    fn is_of(format: Format) -> bool {
        format.has_global_pages()
    }

    fn rule(self, _: Format) -> Rule {
        match (self.entry, self.level) {
            (GlobalEntry::Pointer, Level(0)) => Rule::Impossible(POINTER_AT_0),
            _ => Rule::Reachable,
        }
    }

    #[inline]
    fn on_step(_: &mut (), step: &WalkStep<'_>, out: &mut Sampling<'_>) {
        let WalkPosition::Guest { level } = step.entry else {
            return;
        };
        let entry = match step.step.meaning {
            Meaning::GuestTable(_) => GlobalEntry::Pointer,
            Meaning::DataGpa(_) => GlobalEntry::Leaf,
            _ => return,
        };
        let is_global = |word| formats::of(out.machine.format).is_global(word);
        // After a successful update, the entry is the one that the walk read before.
        if step.update != Some(UpdateOutcome::Made) && step.step.word.is_some_and(is_global) {
            out.hit(Self {
                entry,
                level: Level(level),
            });
        }
    }
}
