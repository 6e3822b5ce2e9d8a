// SPDX-License-Identifier: Apache-2.0
//! Host physical memory as the device sees it: late, busy, out of order and with errors, as the
//! scenario defines.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::draws::{Draws, Stream};
use super::memory_request::Update;
use crate::addr::Hpa;
use crate::memory::HostMemory;
use crate::scenario::Timing;

/// The data beside an error. They mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// 0.
    Zero,
    /// All ones.
    Ones,
    /// The last word that was given and looks like a pointer.
    Pointer,
    /// The word in memory.
    Truth,
    /// The word that was given last.
    Last,
    /// Any.
    Any,
}

impl Beside {
    /// Each.
    pub const ALL: [Self; 6] = [
        Self::Zero,
        Self::Ones,
        Self::Pointer,
        Self::Truth,
        Self::Last,
        Self::Any,
    ];

    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zero => "0",
            Self::Ones => "all ones",
            Self::Pointer => "a pointer",
            Self::Truth => "what is there",
            Self::Last => "the word before",
            Self::Any => "any",
        }
    }
}

/// A read on its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub id: u8,
    /// None: an error.
    pub word: Option<u64>,
    /// The data: the word, or anything beside an error.
    pub data: u64,
    due: u64,
}

pub(super) struct MemoryServer {
    timing: Timing,
    /// The device can tell an error from data. Otherwise 0 is read where there is no memory.
    has_errors: bool,
    draws: Draws,
    /// The word that was given last, and the last of them that looks like a pointer.
    last: u64,
    pointer: u64,
    /// In the order of their grants.
    under_way: VecDeque<Reply>,
    /// The index of the reply that was offered last.
    offered: usize,
}

impl MemoryServer {
    pub fn new(timing: &Timing, has_errors: bool) -> Self {
        Self {
            timing: timing.clone(),
            has_errors,
            draws: Draws::new(timing.seed, 0),
            last: 0,
            pointer: 0,
            under_way: VecDeque::new(),
            offered: 0,
        }
    }

    /// Changes the timing from a cycle on. Replies in flight keep their time.
    pub fn set_timing(&mut self, timing: &Timing, cycle: u64) {
        self.draws = Draws::new(timing.seed, cycle);
        self.timing = timing.clone();
    }

    /// Returns true if no reply is in flight.
    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Returns true if it accepts a memory request in a cycle. `waits`: a request was offered in
    /// the cycle before, and was not accepted.
    #[inline]
    pub fn ready(&self, waits: bool, cycle: u64) -> bool {
        let (busy, run) = (self.timing.memory_busy, self.timing.memory_run);
        let draw = || self.draws.in_spell(Stream::MemoryBusy, cycle, run);
        (!self.timing.after_valid || waits) && (busy == 0 || !draw().chance(busy))
    }

    /// Drops the replies in flight: the device has been reset in a cycle. From it on the draws are
    /// those of a start.
    pub fn reset(&mut self, cycle: u64) {
        self.under_way.clear();
        self.draws.restart(cycle);
    }

    /// Accepts a memory request. The word is that of this moment, whenever it arrives. An error
    /// updates nothing. Returns the word, and the data beside an error.
    #[inline]
    pub fn grant(
        &mut self,
        id: u8,
        at: Hpa,
        update: Option<Update>,
        cycle: u64,
        memory: &mut Cow<'_, HostMemory>,
    ) -> (Option<u64>, Option<Beside>) {
        let draw = |stream| self.draws.of_address(stream, at.0, cycle);
        let errors = self.timing.errors;
        let error = errors > 0 && draw(Stream::Error).below(1000) < errors;
        let word = match update {
            _ if error => None,
            None => memory.walk_read(at).ok(),
            Some(Update { expected, new }) => memory.to_mut().update(at, expected, new).ok(),
        };
        let word = word.or((!self.has_errors).then_some(0));
        let (least, most) = (*self.timing.latency.start(), *self.timing.latency.end());
        let latency = if least == most {
            least
        } else {
            least + draw(Stream::Latency).below(most - least + 1)
        };
        let mut beside = None;
        let data = match word {
            Some(word) => {
                self.last = word;
                // In every format a pointer has its lowest four bits 0001, or says nothing there.
                if word & 0xF <= 1 && word != 0 {
                    self.pointer = word;
                }
                word
            }
            None => {
                let (kind, data) = self.beside_error(at, cycle, memory);
                beside = Some(kind);
                data
            }
        };
        self.under_way.push_back(Reply {
            id,
            word,
            data,
            due: cycle + u64::from(latency),
        });
        (word, beside)
    }

    /// Draws the data beside an error.
    #[cold]
    fn beside_error(&self, at: Hpa, cycle: u64, memory: &HostMemory) -> (Beside, u64) {
        let draw = self.draws.of_address(Stream::Beside, at.0, cycle);
        let beside = Beside::ALL[draw.below(Beside::ALL.len() as u32) as usize];
        match (beside, memory.read(at)) {
            (Beside::Zero, _) => (beside, 0),
            (Beside::Ones, _) => (beside, u64::MAX),
            (Beside::Pointer, _) => (beside, self.pointer),
            (Beside::Truth, Ok(word)) => (beside, word),
            // A hole has no word.
            (Beside::Truth | Beside::Last, _) => (Beside::Last, self.last),
            (Beside::Any, _) => (beside, draw.bits()),
        }
    }

    /// Returns the reply that memory offers in a cycle.
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

    /// The reply that was offered last has been accepted.
    pub fn taken(&mut self) {
        self.under_way.remove(self.offered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Format;

    #[test]
    fn a_device_without_errors_reads_0_where_there_is_no_memory() {
        let memory = HostMemory::new(Format::Rv64);
        for (has_errors, word) in [(true, None), (false, Some(0))] {
            let mut server = MemoryServer::new(&Timing::default(), has_errors);
            let mut memory = Cow::Borrowed(&memory);
            assert_eq!(server.grant(0, Hpa(0x1000), None, 1, &mut memory).0, word);
        }
    }

    #[test]
    fn everything_comes_beside_errors() {
        let mut memory = HostMemory::new(Format::Rv64);
        memory.write(Hpa(0x1000), 0x2001);
        let timing = Timing {
            errors: 500,
            latency: 1..=50,
            ..Timing::default()
        };
        let mut server = MemoryServer::new(&timing, true);
        let mut seen = [false; Beside::ALL.len()];
        let mut memory = Cow::Borrowed(&memory);
        // Draws of one address last for some cycles.
        for cycle in (0..6400).step_by(32) {
            let (word, beside) = server.grant(0, Hpa(0x1000), None, cycle, &mut memory);
            assert_eq!(word.is_none(), beside.is_some());
            let reply = *server.under_way.back().unwrap();
            match beside {
                None => assert_eq!(reply.data, 0x2001),
                Some(Beside::Truth | Beside::Last | Beside::Pointer) if cycle > 640 => {
                    assert_eq!(reply.data, 0x2001);
                }
                Some(Beside::Zero) => assert_eq!(reply.data, 0),
                Some(Beside::Ones) => assert_eq!(reply.data, u64::MAX),
                Some(_) => {}
            }
            if let Some(beside) = beside {
                seen[beside as usize] = true;
            }
        }
        assert_eq!(seen, [true; Beside::ALL.len()]);
    }
}
