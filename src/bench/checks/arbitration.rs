// SPDX-License-Identifier: Apache-2.0
//! The memory port serves the walk slots round robin, and no walk keeps its request back while the
//! port is free (docs/ports.md, "Memory").

use crate::bench::mismatch::{PortViolation, Stall, Violation};

/// Counts how long each slot waits for its turn on the memory port.
pub(in crate::bench) struct RoundRobin {
    /// Memory requests of others after which a slot has waited for too many.
    too_many: u64,
    /// Cycles for which a slot may wait while the port offers and returns nothing.
    most_quiet: u64,
    /// Memory requests that memory has accepted.
    accepted: u64,
    /// Cycles in which the port offered and returned nothing.
    quiet: u64,
    /// By slot: the counts when the slot began to want a memory request.
    since: Vec<Since>,
}

/// The counts of [`RoundRobin`] at a time.
#[derive(Clone, Copy, Default)]
struct Since {
    accepted: u64,
    quiet: u64,
}

impl RoundRobin {
    /// Returns the check of a device with so many slots. A slot that has waited for `too_many`
    /// memory requests of other slots, or for more than `most_quiet` cycles in which the port was
    /// quiet, has waited for more than its turn.
    pub fn new(slots: usize, too_many: u64, most_quiet: u64) -> Self {
        Self {
            too_many,
            most_quiet,
            accepted: 0,
            quiet: 0,
            since: vec![Since::default(); slots],
        }
    }

    /// The port offers and returns nothing in a cycle.
    #[inline]
    pub fn on_quiet_cycle(&mut self) {
        self.quiet += 1;
    }

    /// A slot begins to want a memory request: its walk starts, or memory has answered it.
    #[inline]
    pub fn on_want(&mut self, slot: u8) {
        if let Some(since) = self.since.get_mut(usize::from(slot)) {
            *since = Since {
                accepted: self.accepted,
                quiet: self.quiet,
            };
        }
    }

    /// Checks that a slot whose memory request is accepted has not waited for too long. Returns the
    /// rule that is broken, if one is.
    #[inline]
    pub fn on_request(&mut self, slot: u8) -> Option<Violation> {
        let since = self.since[usize::from(slot)];
        let waited = self.accepted - since.accepted;
        self.accepted += 1;
        if waited >= self.too_many {
            return Some(Violation::Port(PortViolation::NotRoundRobin {
                slot,
                waited,
                most: self.too_many - 1,
            }));
        }
        let is_late = self.quiet - since.quiet > self.most_quiet;
        is_late.then_some(Violation::Stalled(Stall::Walk {
            slot,
            cycles: self.most_quiet,
        }))
    }
}
