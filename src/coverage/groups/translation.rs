// SPDX-License-Identifier: Apache-2.0
//! `translation`: walks that end with a translation.

use crate::coverage::axes::{Mode, PageSize, hlvx};
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, covergroup};
use crate::coverage::events::FinishedWalk;
use crate::coverage::goal::{Goal, WalkGoal, WalkOutcome};
use crate::format::Format;
use crate::mmu::Access;

covergroup! {
    "translation":
    "walks that end with a translation: the pages of both leaves";
    /// A walk ends with a translation.
    pub struct Translation {
        mode: Mode = "mode",
        access: Access = "access",
        guest_page: PageSize = "guest page",
        host_page: PageSize = "host page",
    }
}

impl Covergroup for Translation {
    type Memory = ();

    fn rule(self, format: Format) -> Rule {
        let geometry = format.geometry();
        let no_such_page = |levels: u8, page: PageSize| match (levels, page.0) {
            (0, None) => None,
            (0, Some(_)) => Some("a stage that is off has no page"),
            (_, None) => Some("a stage that is on has a page"),
            (levels, Some(size)) => {
                let level = (size - geometry.offset_width) / geometry.index_width;
                (level >= u32::from(levels)).then_some("the mode has no such page")
            }
        };
        let guest = no_such_page(self.mode.guest, self.guest_page);
        let why = guest.or(no_such_page(self.mode.host, self.host_page));
        Rule::unless(why).and(|| hlvx(self.mode, self.access))
    }

    fn goal(self, format: Format) -> Option<Goal> {
        Some(Goal::Walk(WalkGoal {
            format,
            mode: self.mode,
            access: self.access,
            outcome: WalkOutcome::Translation {
                guest_size: self.guest_page.0,
                host_size: self.host_page.0,
            },
        }))
    }

    #[inline]
    fn on_walk_end(_: &mut (), walk: &FinishedWalk<'_>, out: &mut Sampling<'_>) {
        if let Ok(mapping) = walk.found {
            let context = &walk.query.context;
            out.hit(Self {
                mode: Mode::of(context),
                access: walk.query.access,
                guest_page: PageSize::of_stage(context.guest.levels, mapping.guest.page_size),
                host_page: PageSize::of_stage(context.host.levels, mapping.host.page_size),
            });
        }
    }
}
