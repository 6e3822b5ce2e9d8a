// SPDX-License-Identifier: Apache-2.0
//! `use`: entries from which walks continue, by access.

use super::entry;
use crate::coverage::axes::{EntryKind, WalkPosition};
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, covergroup};
use crate::coverage::events::WalkStep;
use crate::format::Format;
use crate::mmu::Access;

covergroup! {
    "use":
    "entries from which a walk went on, by access";
    /// A walk for an access continues from an entry.
    pub struct Use {
        entry: WalkPosition = "at",
        kind: EntryKind = "entry",
        access: Access = "access",
    }
}

impl Covergroup for Use {
    type Memory = ();

    fn rule(self, format: Format) -> Rule {
        entry::rule(format, self.entry, self.kind)
    }

    #[inline]
    fn on_step(_: &mut (), step: &WalkStep<'_>, out: &mut Sampling<'_>) {
        if let Some(kind) = entry::kind(step, out.machine.format) {
            out.hit(Self {
                entry: step.entry,
                kind,
                access: step.query.access,
            });
        }
    }
}
