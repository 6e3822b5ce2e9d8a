// SPDX-License-Identifier: Apache-2.0
//! `reply-order`: responses of memory, before or after those of older reads.

use crate::coverage::abilities::Abilities;
use crate::coverage::axes::Order;
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, axis, covergroup};
use crate::coverage::events::{MemoryRead, MemoryReply};
use crate::dut::description::Visibility;
use crate::format::Format;
use std::collections::VecDeque;

axis! {
    /// A number of reads and updates in flight.
    pub enum InFlight {
        /// 0.
        Zero = "0",
        /// 1.
        One = "1",
        /// 2.
        Two = "2",
        /// 3 or more.
        ThreeOrMore = "3 or more",
    }
}

covergroup! {
    "reply-order":
    "words from memory, before or after those of older reads";
    /// Memory responds to a read or an update.
    pub struct ReplyOrder {
        others: InFlight = "others in flight",
        order: Order = "order",
    }
}

impl Covergroup for ReplyOrder {
    /// The slots whose reads and updates are outstanding, the oldest first.
    type Memory = VecDeque<u8>;

    fn visibility(self) -> Visibility {
        Visibility::Ports
    }

    fn is_able(self, device: &Abilities) -> bool {
        (device.several_reads || self.others == InFlight::Zero)
            && (device.reorder || self.order == Order::InOrder)
    }

    fn rule(self, _: Format) -> Rule {
        match (self.others, self.order) {
            (InFlight::Zero, Order::Overtakes) => Rule::Impossible("there is nothing to overtake"),
            _ => Rule::Reachable,
        }
    }

    #[inline]
    fn on_read(slots: &mut VecDeque<u8>, read: &MemoryRead, _: &mut Sampling<'_>) {
        slots.push_back(read.slot);
    }

    #[inline]
    fn on_reply(slots: &mut VecDeque<u8>, reply: &MemoryReply, out: &mut Sampling<'_>) {
        if let Some(at) = slots.iter().position(|&slot| slot == reply.slot) {
            slots.remove(at);
            out.hit(Self {
                others: match slots.len() {
                    0 => InFlight::Zero,
                    1 => InFlight::One,
                    2 => InFlight::Two,
                    _ => InFlight::ThreeOrMore,
                },
                order: (at > 0).into(),
            });
        }
    }
}
