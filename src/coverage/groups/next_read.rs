// SPDX-License-Identifier: Apache-2.0
//! `next-read`: when the access leaves that follows upon a word.

use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, axis, covergroup};
use crate::coverage::events::{MemoryRead, MemoryReply, NewWalk};
use crate::coverage::slots::MOST_SLOTS;
use crate::dut::variants::VARIANTS;
use crate::format::Format;

axis! {
    /// Whether a device has the read bypass.
    pub enum Device {
        /// It has not.
        Registered = "no read bypass",
        /// It has.
        Bypass = "read bypass",
    }
}

axis! {
    /// When an access leaves.
    pub enum Leaves {
        /// In the cycle of the word that it follows upon.
        AtOnce = "in the cycle of the word",
        /// In the cycle after.
        Next = "in the next",
        /// Later.
        Later = "later",
    }
}

covergroup! {
    "next-read":
    "reads and updates after a word of the same walk, in devices without and with the read bypass";
    /// A walk reads or updates an entry after a word.
    pub struct NextRead {
        device: Device = "device",
        leaves: Leaves = "leaves",
    }
}

/// For each slot, the cycle in which its walk got a word that it has not gone on from.
#[derive(Debug, Default)]
pub struct Words([Option<u64>; MOST_SLOTS]);

impl Words {
    fn of(&mut self, slot: u8) -> Option<&mut Option<u64>> {
        self.0.get_mut(usize::from(slot))
    }
}

impl Device {
    fn of(read_bypass: bool) -> Self {
        match read_bypass {
            true => Self::Bypass,
            false => Self::Registered,
        }
    }

    /// Returns true if a device of the table of devices is one of these. A device that is only
    /// drawn has no bins.
    fn has_a_name(self, format: Format) -> bool {
        VARIANTS.iter().any(|variant| {
            variant.paging_format() == format && Self::of(variant.read_bypass) == self
        })
    }
}

impl Covergroup for NextRead {
    type Memory = Words;

    fn rule(self, format: Format) -> Rule {
        Rule::unless(match (self.device, self.leaves) {
            _ if !self.device.has_a_name(format) => Some("the format has no such device"),
            (Device::Registered, Leaves::AtOnce) => {
                Some("without the read bypass it is registered")
            }
            _ => None,
        })
    }

    #[inline]
    fn on_walk(words: &mut Words, walk: &NewWalk, _: &mut Sampling<'_>) {
        if let Some(word) = words.of(walk.slot) {
            *word = None;
        }
    }

    #[inline]
    fn on_read(words: &mut Words, read: &MemoryRead, out: &mut Sampling<'_>) {
        if let Some(word) = words.of(read.slot).and_then(Option::take) {
            let device = Device::of(out.machine.read_bypass);
            if !device.has_a_name(out.machine.format) {
                return;
            }
            out.hit(Self {
                device,
                leaves: match read.cycle - word {
                    0 => Leaves::AtOnce,
                    1 => Leaves::Next,
                    _ => Leaves::Later,
                },
            });
        }
    }

    #[inline]
    fn on_reply(words: &mut Words, reply: &MemoryReply, _: &mut Sampling<'_>) {
        if let Some(word) = words.of(reply.slot) {
            *word = Some(reply.cycle);
        }
    }
}
