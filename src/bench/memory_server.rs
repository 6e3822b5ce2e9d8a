// SPDX-License-Identifier: Apache-2.0
//! Host physical memory as the device sees it: late, busy, out of order and with errors, as the scenario says.

use std::borrow::Cow;
use std::collections::VecDeque;

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::checker::Update;
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
    rng: Xoshiro256PlusPlus,
    /// In the order of their grants.
    under_way: VecDeque<Reply>,
    /// Of them, the one that was offered last.
    offered: usize,
}

/// True in `percent` of a hundred draws.
pub(super) fn chance(rng: &mut Xoshiro256PlusPlus, percent: u32) -> bool {
    percent > 0 && below(rng, 100) < percent
}

/// A number in `0..n`.
fn below(rng: &mut Xoshiro256PlusPlus, n: u32) -> u32 {
    ((u64::from(rng.next_u32()) * u64::from(n)) >> 32) as u32
}

impl MemoryServer {
    pub fn new(timing: &Timing) -> Self {
        Self {
            timing: timing.clone(),
            rng: Xoshiro256PlusPlus::seed_from_u64(timing.seed),
            under_way: VecDeque::new(),
            offered: 0,
        }
    }

    /// Behaves otherwise from now on; what is under way keeps its time.
    pub fn set_timing(&mut self, timing: &Timing) {
        if self.timing.seed != timing.seed {
            self.rng = Xoshiro256PlusPlus::seed_from_u64(timing.seed);
        }
        self.timing = timing.clone();
    }

    /// Whether nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether it takes a read in this cycle. `waits`: one was offered in the last, and was not taken.
    pub fn ready(&mut self, waits: bool) -> bool {
        !chance(&mut self.rng, self.timing.memory_busy) && (!self.timing.after_valid || waits)
    }

    /// Drops what is on its way.
    pub fn forget(&mut self) {
        self.under_way.clear();
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
        let error = self.timing.errors > 0 && below(&mut self.rng, 1000) < self.timing.errors;
        let word = match update {
            _ if error => None,
            None => memory.walk_read(at).ok(),
            Some(Update { expected, new }) => memory.to_mut().update(at, expected, new).ok(),
        };
        let (least, most) = (*self.timing.latency.start(), *self.timing.latency.end());
        let latency = if least == most {
            least
        } else {
            least + below(&mut self.rng, most - least + 1)
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
