// SPDX-License-Identifier: Apache-2.0
//! `part`: hits of large pages, by the part of the page.

use crate::coverage::axes::{NOTHING_KEPT, PageSize};
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, axis, covergroup};
use crate::coverage::events::Response;
use crate::format::Format;

axis! {
    /// The part of a large page that a request accesses.
    pub enum Piece {
        /// The 4 KiB that the entry was filled for.
        Same = "the same",
        /// Another part.
        Another = "another",
    }
}

covergroup! {
    "part":
    "hits in large pages: in the 4 KiB that was walked for, or in another part";
    /// The TLB hits.
    pub struct Part {
        guest_page: PageSize = "guest page",
        host_page: PageSize = "host page",
        part: Piece = "part",
    }
}

impl Covergroup for Part {
    type Memory = ();

    fn is_of(format: Format) -> bool {
        format.has_superpages()
    }

    fn rule(self, format: Format) -> Rule {
        let (guest, host) = (self.guest_page.0, self.host_page.0);
        let smallest = format.geometry().offset_width;
        Rule::unless(match guest.into_iter().chain(host).min() {
            None => Some(NOTHING_KEPT),
            Some(size) if size == smallest && self.part == Piece::Another => {
                Some("the smaller page has no other part")
            }
            Some(_) => None,
        })
    }

    #[inline]
    fn on_response(_: &mut (), response: &Response<'_>, out: &mut Sampling<'_>) {
        if let (true, Some(entry)) = (response.hit, response.entry) {
            let (space, mapping) = (entry.page.space, &entry.page.mapping);
            out.hit(Self {
                guest_page: PageSize::of_stage(space.guest_levels, mapping.guest.page_size),
                host_page: PageSize::of_stage(space.host_levels, mapping.host.page_size),
                part: match entry.is_other_part {
                    true => Piece::Another,
                    false => Piece::Same,
                },
            });
        }
    }
}
