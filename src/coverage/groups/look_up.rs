// SPDX-License-Identifier: Apache-2.0
//! `look-up`: the results of TLB lookups.

use crate::coverage::axes::{Mode, NOTHING_KEPT, WalkPosition, hlvx};
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, axis, covergroup};
use crate::coverage::events::Response;
use crate::coverage::formats::{self, Feature};
use crate::format::Format;
use crate::mmu::Access;

axis! {
    /// The way in which a request got its response.
    pub enum Answer {
        /// The TLB hit.
        Hit = "hit",
        /// The TLB hit, and the guest leaf denies the access.
        GuestDenies = "hit, guest leaf denies",
        /// The TLB hit, and the host leaf denies the access.
        HostDenies = "hit, host leaf denies",
        /// The TLB contained an entry that denies the access, so the request was walked.
        WalkedAgain = "entry denies, walked again",
        /// The TLB missed.
        Miss = "miss",
        /// The TLB missed, and the request was coalesced with an earlier one.
        Coalesced = "shared",
    }
}

covergroup! {
    "look-up":
    "responses, and how requests got them";
    /// A request gets its response.
    pub struct LookUp {
        mode: Mode = "mode",
        access: Access = "access",
        answer: Answer = "answer",
    }
}

impl Covergroup for LookUp {
    type Memory = ();

    fn rule(self, format: Format) -> Rule {
        let Self { mode, answer, .. } = self;
        let rules = formats::of(format);
        let why = match answer {
            Answer::Miss => None,
            Answer::Coalesced if mode.is_bare() => {
                Some("a walk without reads is over before another request comes")
            }
            _ if mode.is_bare() => Some(NOTHING_KEPT),
            Answer::GuestDenies | Answer::HostDenies => match rules.lacks(Feature::FaultOnHit) {
                None if !mode.rights => Some("without rights mode everything is permitted"),
                None if answer == Answer::GuestDenies && mode.guest == 0 => {
                    Some("there is no guest leaf")
                }
                why => why,
            },
            Answer::WalkedAgain => rules.lacks(Feature::WalkOnDenial),
            Answer::Hit | Answer::Coalesced => None,
        };
        Rule::unless(why).and(|| hlvx(mode, self.access))
    }

    #[inline]
    fn on_response(_: &mut (), response: &Response<'_>, out: &mut Sampling<'_>) {
        let answer = match (response.hit, response.outcome) {
            (true, Ok(_)) => Answer::Hit,
            (true, Err(fault)) => match WalkPosition::of(&fault.at) {
                WalkPosition::Guest { .. } => Answer::GuestDenies,
                WalkPosition::Host { .. } => Answer::HostDenies,
            },
            (false, _) if response.coalesced => Answer::Coalesced,
            (false, _) if response.denied => Answer::WalkedAgain,
            (false, _) => Answer::Miss,
        };
        out.hit(Self {
            mode: Mode::of(&response.query.context),
            access: response.query.access,
            answer,
        });
    }
}
