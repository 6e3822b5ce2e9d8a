// SPDX-License-Identifier: Apache-2.0
//! Host physical memory as the device sees it: late, busy, out of order and with errors, as the
//! scenario defines.

use std::borrow::Cow;
use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::draws::{Draws, Stream};
use super::memory_request::Update;
use crate::addr::Hpa;
use crate::dut::description::{Memory, UpdateScheme};
use crate::memory::{Hole, HostMemory};
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
    /// The port of the device. A device without errors reads 0 where there is no memory.
    port: Memory,
    /// The words that the device has read last, by address, if an update does not tell.
    read: FxHashMap<Hpa, u64>,
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
    pub fn new(timing: &Timing, port: Memory) -> Self {
        Self {
            timing: timing.clone(),
            port,
            read: FxHashMap::default(),
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
        self.read.clear();
        self.draws.restart(cycle);
    }

    /// Returns an update as a compare-and-swap. An update by OR or by a plain write does not tell
    /// the word that it replaces: the device has read it before.
    pub fn as_swap(&self, at: Hpa, update: Update, memory: &HostMemory) -> Update {
        match self.port.updates {
            UpdateScheme::Or | UpdateScheme::Write => Update {
                expected: match self.read.get(&at) {
                    Some(word) => *word,
                    None => memory.read(at).unwrap_or(0),
                },
                ..update
            },
            UpdateScheme::None | UpdateScheme::CompareAndSwap => update,
        }
    }

    /// Performs an update. Returns the word that the device has found.
    fn update(&self, at: Hpa, update: Update, memory: &mut HostMemory) -> Result<u64, Hole> {
        let Update { expected, new } = update;
        let found = memory.read(at)?;
        match self.port.updates {
            UpdateScheme::None | UpdateScheme::CompareAndSwap => memory.update(at, expected, new),
            // Such a device takes its update for made.
            UpdateScheme::Or => memory.update(at, found, found | new).map(|_| expected),
            UpdateScheme::Write => memory.update(at, found, new).map(|_| expected),
        }
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
            Some(update) => self.update(at, update, memory.to_mut()).ok(),
        };
        let word = word.or((!self.port.errors).then_some(0));
        if let (UpdateScheme::Or | UpdateScheme::Write, Some(word)) = (self.port.updates, word) {
            self.read
                .insert(at, update.map_or(word, |update| update.new));
        }
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

    const PORT: Memory = Memory {
        updates: UpdateScheme::CompareAndSwap,
        errors: true,
        ids: 1,
        reorder: true,
    };

    #[test]
    fn an_update_by_or_or_by_a_plain_write_is_made_whatever_the_entry_has_become() {
        let at = Hpa(0x1000);
        for (updates, found, after) in [
            (UpdateScheme::CompareAndSwap, 0x900, 0x900),
            (UpdateScheme::Or, 0x201, 0x900 | 0x241),
            (UpdateScheme::Write, 0x201, 0x241),
        ] {
            let mut memory = HostMemory::new(Format::Rv64);
            memory.write(at, 0x201);
            let mut memory = Cow::Owned(memory);
            let port = Memory { updates, ..PORT };
            let mut server = MemoryServer::new(&Timing::default(), port);
            let mut grant = |update: Option<Update>, memory: &mut Cow<'_, HostMemory>| {
                let update = update.map(|update| server.as_swap(at, update, memory));
                server.grant(0, at, update, 1, memory).0
            };
            assert_eq!(grant(None, &mut memory), Some(0x201));
            // Software changes the entry in between.
            memory.to_mut().write(at, 0x900);
            let update = Update {
                expected: if updates == UpdateScheme::CompareAndSwap {
                    0x201
                } else {
                    0
                },
                new: 0x241,
            };
            assert_eq!(grant(Some(update), &mut memory), Some(found));
            assert_eq!(memory.read(at).ok(), Some(after), "{updates:?}");
        }
    }

    #[test]
    fn a_device_without_errors_reads_0_where_there_is_no_memory() {
        let memory = HostMemory::new(Format::Rv64);
        for (errors, word) in [(true, None), (false, Some(0))] {
            let port = Memory { errors, ..PORT };
            let mut server = MemoryServer::new(&Timing::default(), port);
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
        let mut server = MemoryServer::new(&timing, PORT);
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
