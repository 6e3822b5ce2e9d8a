// SPDX-License-Identifier: Apache-2.0
//! `wait`: the time that ports wait.

use crate::coverage::abilities::Abilities;
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{AxisValue, Covergroup, axis, covergroup};
use crate::coverage::domain::Domain;
use crate::coverage::events::{MemoryReply, PortWait};
use crate::coverage::goal::{Goal, Situation};
use crate::dut::description::Visibility;
use crate::format::Format;
use crate::scenario::Held;

impl AxisValue for Held {
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
    /// A number of clock cycles.
    pub enum Cycles {
        /// 0.
        Zero = "0",
        /// 1 to 3.
        Few = "1 to 3",
        /// 4 to 19.
        Several = "4 to 19",
        /// 20 to 99.
        Many = "20 to 99",
        /// 100 or more.
        Hundreds = "100 or more",
    }
}

impl Cycles {
    fn of(cycles: u64) -> Self {
        match cycles {
            0 => Self::Zero,
            1..=3 => Self::Few,
            4..=19 => Self::Several,
            20..=99 => Self::Many,
            _ => Self::Hundreds,
        }
    }
}

covergroup! {
    "wait":
    "cycles in which a port did not accept what was offered, or memory did not answer";
    /// A port accepts a transfer, or memory responds.
    pub struct Wait {
        port: Held = "port",
        cycles: Cycles = "cycles",
    }
}

impl Covergroup for Wait {
    type Memory = ();

    fn visibility(self) -> Visibility {
        match self.port {
            Held::Reads | Held::Responses => Visibility::Ports,
            // The time is counted for each walk.
            Held::Answers => Visibility::Requests,
        }
    }

    fn is_able(self, device: &Abilities) -> bool {
        self.port != Held::Responses || device.response_ready
    }

    fn goal(self, _: Format) -> Option<Goal> {
        Some(Goal::Situation(Situation::Wait(self)))
    }

    #[inline]
    fn on_wait(_: &mut (), wait: &PortWait, out: &mut Sampling<'_>) {
        out.hit(Self {
            port: wait.port,
            cycles: Cycles::of(wait.cycles),
        });
    }

    #[inline]
    fn on_reply(_: &mut (), reply: &MemoryReply, out: &mut Sampling<'_>) {
        if let Some(delay) = reply.delay {
            out.hit(Self {
                port: Held::Answers,
                cycles: Cycles::of(delay),
            });
        }
    }
}
