// SPDX-License-Identifier: Apache-2.0
//! `next-read`: the time from a word of memory to the walk's next transaction.

use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, axis, covergroup};
use crate::coverage::events::{MemoryRead, MemoryReply, NewWalk};
use crate::coverage::slots::MOST_SLOTS;
use crate::dut::variants::VARIANTS;
use crate::format::Format;

axis! {
    /// The two kinds of devices.
    pub enum Device {
        /// The device has no read bypass.
        Registered = "no read bypass",
        /// The device has the read bypass.
        Bypass = "read bypass",
    }
}

axis! {
    /// The cycle of the walk's next read or update.
    pub enum Leaves {
        /// The cycle of the word from which it follows.
        AtOnce = "in the cycle of the word",
        /// The cycle after that.
        Next = "in the next",
        /// Later.
        Later = "later",
    }
}

covergroup! {
    "next-read":
    "reads and updates after a word of the same walk, in devices without and with the read bypass";
    /// A walk reads or updates an entry after a word from memory.
    pub struct NextRead {
        device: Device = "device",
        leaves: Leaves = "leaves",
    }
}

/// The cycle in which the walk of each slot got a word, until its next transaction.
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

    /// Returns true if the table of devices has a device of this kind. Devices that are only drawn
    /// have no bins.
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
