// SPDX-License-Identifier: Apache-2.0
//! `error-word`: the word on the data lines together with an error of memory.

use crate::bench::Beside;
use crate::coverage::abilities::Abilities;
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{AxisValue, Covergroup, Rule, axis, covergroup};
use crate::coverage::domain::Domain;
use crate::coverage::events::MemoryError;
use crate::coverage::formats::{self, Feature};
use crate::coverage::goal::{Goal, Situation};
use crate::dut::description::Visibility;
use crate::format::Format;

impl AxisValue for Beside {
    fn values(_: &Domain) -> Vec<Self> {
        Self::ALL.to_vec()
    }

    fn label(self, _: &Domain) -> String {
        self.name().to_owned()
    }

    #[inline]
    fn position(self, _: &Domain) -> Option<usize> {
        Some(self as usize)
    }
}

axis! {
    /// The transaction that memory answers with an error.
    pub enum Failed {
        /// A read.
        Read = "a read",
        /// An update.
        Update = "an update",
    }
}

covergroup! {
    "error-word":
    "words on the data lines beside an error of memory";
    /// Memory responds with an error.
    pub struct ErrorWord {
        of: Failed = "of",
        word: Beside = "word",
    }
}

impl Covergroup for ErrorWord {
    type Memory = ();

    fn visibility(self) -> Visibility {
        Visibility::Ports
    }

    fn is_able(self, device: &Abilities) -> bool {
        device.errors && (self.of == Failed::Read || device.svadu)
    }

    fn rule(self, format: Format) -> Rule {
        Rule::unless(match self.of {
            Failed::Read => None,
            Failed::Update => formats::of(format).lacks(Feature::Updates),
        })
    }

    fn goal(self, _: Format) -> Option<Goal> {
        Some(Goal::Situation(Situation::ErrorWord(self)))
    }

    #[inline]
    fn on_error(_: &mut (), error: &MemoryError, out: &mut Sampling<'_>) {
        out.hit(Self {
            of: match error.is_update {
                true => Failed::Update,
                false => Failed::Read,
            },
            word: error.word,
        });
    }
}
