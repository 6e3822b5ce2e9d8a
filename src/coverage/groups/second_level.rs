// SPDX-License-Identifier: Apache-2.0
//! `second-level`: responses of the L2 TLB.

use crate::coverage::abilities::Abilities;
use crate::coverage::axes::{Mode, NOTHING_KEPT, has_l2_tlb};
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, axis, covergroup};
use crate::coverage::events::Response;
use crate::format::Format;

axis! {
    /// The page of a translation.
    pub enum Page {
        /// It is of the smallest size.
        Smallest = "of the smallest size",
        /// It is larger.
        Larger = "larger",
    }
}

covergroup! {
    "second-level":
    "responses of the second-level TLB";
    /// The L2 TLB returns a translation.
    pub struct SecondLevel {
        mode: Mode = "mode",
        page: Page = "page",
    }
}

impl Covergroup for SecondLevel {
    type Memory = ();

    fn is_able(self, device: &Abilities) -> bool {
        device.l2_tlb
    }

    fn is_of(format: Format) -> bool {
        has_l2_tlb(format)
    }

    fn rule(self, format: Format) -> Rule {
        Rule::unless(match self.page {
            _ if self.mode.is_bare() => Some(NOTHING_KEPT),
            Page::Larger if !format.has_superpages() => Some("all pages are of one size"),
            Page::Smallest | Page::Larger => None,
        })
    }

    #[inline]
    fn on_response(_: &mut (), response: &Response<'_>, out: &mut Sampling<'_>) {
        if let (true, Ok(translation)) = (response.by_l2, response.outcome) {
            let smallest = out.machine.format.geometry().offset_width;
            out.hit(Self {
                mode: Mode::of(&response.query.context),
                page: match translation.page_size > smallest {
                    true => Page::Larger,
                    false => Page::Smallest,
                },
            });
        }
    }
}
