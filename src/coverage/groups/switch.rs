// SPDX-License-Identifier: Apache-2.0
//! `switch`: requests of another context than the request before.

use crate::coverage::axes::ContextField;
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, axis, covergroup};
use crate::coverage::events::Request;
use crate::coverage::formats;
use crate::format::Format;
use crate::mmu::Context;

axis! {
    /// The state of the walks of the context before.
    pub enum InFlight {
        /// No walk of it is in flight.
        No = "no walk of the one before",
        /// A walk of it is in flight.
        Yes = "a walk of the one before",
    }
}

covergroup! {
    "switch":
    "requests of another context than the request before: the field that differs, and whether a \
     walk of the context before was in flight";
    /// A request is of another context than the request before.
    pub struct Switch {
        field: ContextField = "differs in",
        in_flight: InFlight = "under way",
    }
}

impl Covergroup for Switch {
    /// The context of the request before.
    type Memory = Option<Context>;

    fn rule(self, format: Format) -> Rule {
        let rules = formats::of(format);
        rules
            .context_field(format, self.field)
            .and(|| match self.field {
                ContextField::Napot => Rule::NotAsked("a hart has Svnapot or has it not"),
                _ => Rule::Reachable,
            })
    }

    fn on_request(before: &mut Option<Context>, request: &Request<'_>, out: &mut Sampling<'_>) {
        let now = request.driven;
        let Some(before) = before.replace(*now).filter(|before| before != now) else {
            return;
        };
        let mut walks = request.walks.iter();
        let in_flight = match walks.any(|walk| !walk.ended && walk.context == before) {
            true => InFlight::Yes,
            false => InFlight::No,
        };
        for &field in ContextField::ALL {
            if field.differs(&before, now) {
                out.hit(Self { field, in_flight });
            }
        }
    }
}
