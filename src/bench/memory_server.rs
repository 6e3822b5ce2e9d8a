// SPDX-License-Identifier: Apache-2.0
//! Host physical memory as the device sees it: late, busy, out of order and with errors, as the scenario says.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::checker::Update;
use super::draws::{Draws, Stream};
use crate::addr::Hpa;
use crate::memory::HostMemory;
use crate::scenario::Timing;

/// A read on its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub id: u8,
    /// None: an error.
    pub word: Option<u64>,
    due: u64,
}

pub(super) struct MemoryServer {
    timing: Timing,
    draws: Draws,
    /// In the order of their grants.
    under_way: VecDeque<Reply>,
    /// Of them, the one that was offered last.
    offered: usize,
}

impl MemoryServer {
    pub fn new(timing: &Timing) -> Self {
        Self {
            timing: timing.clone(),
            draws: Draws::new(timing.seed, 0),
            under_way: VecDeque::new(),
            offered: 0,
        }
    }

    /// Behaves otherwise from a cycle on; what is under way keeps its time.
    pub fn set_timing(&mut self, timing: &Timing, cycle: u64) {
        self.draws = Draws::new(timing.seed, cycle);
        self.timing = timing.clone();
    }

    /// Whether nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether it takes a read in a cycle. `waits`: one was offered in the last, and was not taken.
    #[inline]
    pub fn ready(&self, waits: bool, cycle: u64) -> bool {
        let busy = self.timing.memory_busy;
        (!self.timing.after_valid || waits)
            && (busy == 0 || !self.draws.in_cycle(Stream::MemoryBusy, cycle).chance(busy))
    }

    /// Drops what is on its way: the device has been reset in a cycle. From it on the draws are those of a start.
    pub fn reset(&mut self, cycle: u64) {
        self.under_way.clear();
        self.draws.restart(cycle);
    }

    /// Takes a read or an update: the word is that of this moment, whenever it arrives. An error updates nothing.
    #[inline]
    pub fn grant(
        &mut self,
        id: u8,
        at: Hpa,
        update: Option<Update>,
        cycle: u64,
        memory: &mut Cow<'_, HostMemory>,
    ) -> Option<u64> {
        let draw = |stream| self.draws.of_address(stream, at.0, cycle);
        let errors = self.timing.errors;
        let error = errors > 0 && draw(Stream::Error).below(1000) < errors;
        let word = match update {
            _ if error => None,
            None => memory.walk_read(at).ok(),
            Some(Update { expected, new }) => memory.to_mut().update(at, expected, new).ok(),
        };
        let (least, most) = (*self.timing.latency.start(), *self.timing.latency.end());
        let latency = if least == most {
            least
        } else {
            least + draw(Stream::Latency).below(most - least + 1)
        };
        self.under_way.push_back(Reply {
            id,
            word,
            due: cycle + u64::from(latency),
        });
        word
    }

    /// The reply that memory offers in a cycle.
    pub fn offer(&mut self, cycle: u64) -> Option<&Reply> {
        self.offered = if self.timing.reorder {
            let by_time = |&at: &usize| (self.under_way[at].due, at);
            (0..self.under_way.len()).min_by_key(by_time).unwrap_or(0)
        } else {
            0
        };
        let next = self.under_way.get(self.offered);
        next.filter(|reply| reply.due <= cycle)
    }

    /// The reply that was offered last has been taken.
    pub fn taken(&mut self) {
        self.under_way.remove(self.offered);
    }
}
