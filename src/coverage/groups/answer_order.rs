// SPDX-License-Identifier: Apache-2.0
//! `answer-order`: responses, before or after those of older requests.

use crate::coverage::axes::Order;
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, axis, covergroup};
use crate::coverage::events::Response;

axis! {
    /// The way in which a request got its response.
    pub enum Answer {
        /// The TLB hit.
        Hit = "hit",
        /// The TLB missed.
        Miss = "miss",
        /// The TLB missed, and the request was coalesced with an earlier one.
        Coalesced = "shared",
    }
}

covergroup! {
    "answer-order":
    "responses, before or after those of older requests";
    /// A request gets its response, before or after older requests.
    pub struct AnswerOrder {
        answer: Answer = "answer",
        order: Order = "order",
    }
}

impl Covergroup for AnswerOrder {
    type Memory = ();

    #[inline]
    fn on_response(_: &mut (), response: &Response<'_>, out: &mut Sampling<'_>) {
        out.hit(Self {
            answer: match (response.hit, response.coalesced) {
                (true, _) => Answer::Hit,
                (false, false) => Answer::Miss,
                (false, true) => Answer::Coalesced,
            },
            order: response.overtakes.into(),
        });
    }
}
