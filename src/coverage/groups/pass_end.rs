// SPDX-License-Identifier: Apache-2.0
//! `pass-end`: the ends of walks that hit in page-walk caches.

use crate::coverage::abilities::Abilities;
use crate::coverage::axes::{CacheKind, LeafStage, WalkPosition};
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, axis, covergroup};
use crate::coverage::events::FinishedWalk;
use crate::dut::description::Visibility;
use crate::format::Format;
use crate::mmu::Access;

axis! {
    /// The end of a walk, or an event before it.
    pub enum Then {
        /// It finds a translation.
        Translation = "a translation",
        /// It ends with a fault of the guest stage.
        GuestFault = "a fault of the guest's",
        /// It ends with a fault of the host stage, to read a guest entry.
        FaultToRead = "a fault of the host's, to read",
        /// It ends with a fault of the host stage, to update a guest entry.
        FaultToUpdate = "a fault of the host's, to update",
        /// It ends with a fault of the host stage, to reach the data.
        FaultForData = "a fault of the host's, for the data",
        /// It updates an entry.
        Updated = "an update is made",
        /// It loses an update: the entry has changed.
        LostUpdate = "an update is lost",
        /// A fence matches its address space.
        Overtaken = "a fence overtakes it",
    }
}

covergroup! {
    "pass-end":
    "walks that hit in page-walk caches, by access, and how they ended";
    /// A walk ends that has hit in page-walk caches.
    pub struct PassEnd {
        led_by: CacheKind = "led by",
        access: Access = "access",
        then: Then = "then",
    }
}

impl Covergroup for PassEnd {
    type Memory = ();

    fn visibility(self) -> Visibility {
        Visibility::Steps
    }

    fn is_able(self, device: &Abilities) -> bool {
        device.walk_caches
    }

    fn is_of(format: Format) -> bool {
        format.has_walk_caches()
    }

    fn rule(self, format: Format) -> Rule {
        let leads_to_leaf = format.geometry().levels == 2 && self.led_by == CacheKind::Guest;
        let why = (leads_to_leaf && self.then == Then::FaultToRead)
            .then_some("the guest cache of two levels leads to the guest's last entry");
        Rule::unless(why)
    }

    #[inline]
    fn on_walk_end(_: &mut (), walk: &FinishedWalk<'_>, out: &mut Sampling<'_>) {
        let end = match walk.found {
            Ok(_) => Then::Translation,
            Err(fault) => match LeafStage::of(WalkPosition::of(&fault.at)) {
                LeafStage::Guest => Then::GuestFault,
                LeafStage::HostToRead => Then::FaultToRead,
                LeafStage::HostToUpdate => Then::FaultToUpdate,
                LeafStage::HostForData => Then::FaultForData,
            },
        };
        let ends = [
            (end, true),
            (Then::Updated, walk.updated),
            (Then::LostUpdate, walk.lost_update),
            (Then::Overtaken, walk.overtaken),
        ];
        for &led_by in walk.led_by {
            for (then, _) in ends.into_iter().filter(|(_, is_so)| *is_so) {
                out.hit(Self {
                    led_by,
                    access: walk.query.access,
                    then,
                });
            }
        }
    }
}
