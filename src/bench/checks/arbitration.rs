// SPDX-License-Identifier: Apache-2.0
//! Checks the arbitration of the memory port: the walk slots are served round robin, and no slot
//! withholds its next memory request while the port is free (docs/ports.md, "Memory").

use crate::bench::mismatch::{PortViolation, Stall, Violation};

/// Counts how long each slot waits for its turn on the memory port.
pub(in crate::bench) struct RoundRobin {
    /// A slot has waited for too long if this number of memory requests of other slots were
    /// accepted since it began to wait.
    too_many: u64,
    /// The most cycles without activity on the memory port for which a slot may wait.
    most_quiet: u64,
    /// Number of memory requests of all slots that memory has accepted.
    accepted: u64,
    /// Number of cycles in which the port had neither a request nor a response.
    quiet: u64,
    /// By slot: the values of the two counts when the slot began to wait for the port.
    since: Vec<Since>,
}

/// Copies of the counts of [`RoundRobin`], taken when a slot began to wait.
#[derive(Clone, Copy, Default)]
struct Since {
    accepted: u64,
    quiet: u64,
}

impl RoundRobin {
    /// Returns the check of a device with `slots` walk slots. It fails if a slot waits while
    /// `too_many` memory requests of other slots are accepted, or for more than `most_quiet` cycles
    /// without activity on the port.
    pub fn new(slots: usize, too_many: u64, most_quiet: u64) -> Self {
        Self {
            too_many,
            most_quiet,
            accepted: 0,
            quiet: 0,
            since: vec![Since::default(); slots],
        }
    }

    /// Counts a cycle in which the port has neither a request nor a response.
    #[inline]
    pub fn on_quiet_cycle(&mut self) {
        self.quiet += 1;
    }

    /// Notes that a slot begins to wait for the port: its walk has started, or memory has responded
    /// to its last request.
    #[inline]
    pub fn on_want(&mut self, slot: u8) {
        if let Some(since) = self.since.get_mut(usize::from(slot)) {
            *since = Since {
                accepted: self.accepted,
                quiet: self.quiet,
            };
        }
    }

    /// Checks that the slot whose memory request is accepted has not waited for too long. Returns
    /// the violation, if there is one.
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
