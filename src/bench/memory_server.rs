// SPDX-License-Identifier: Apache-2.0
//! The model of host physical memory behind the memory port of the device. The scenario defines
//! latency, busy cycles, reordering and errors.

use std::borrow::Cow;
use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::draws::{Draws, Stream};
use super::memory_request::Update;
use crate::addr::Hpa;
use crate::dut::description::{Memory, UpdateScheme};
use crate::memory::{Hole, HostMemory};
use crate::scenario::Timing;

/// The data that accompany an error response. The device must ignore them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// 0.
    Zero,
    /// All ones.
    Ones,
    /// The last word that memory returned and that looks like a pointer.
    Pointer,
    /// The word at the address in memory.
    Truth,
    /// The word that memory returned last.
    Last,
    /// Random bits.
    Any,
}

impl Beside {
    /// All kinds of data.
    pub const ALL: [Self; 6] = [
        Self::Zero,
        Self::Ones,
        Self::Pointer,
        Self::Truth,
        Self::Last,
        Self::Any,
    ];

    /// Returns the name of the kind for reports.
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

/// A memory response that has not been accepted yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub id: u8,
    /// The word; none is an error response.
    pub word: Option<u64>,
    /// The data on the port: the word, or for an error the data that accompany it.
    pub data: u64,
    due: u64,
}

pub(super) struct MemoryServer {
    timing: Timing,
    /// The memory port of the device. If the port has no error signal, a read of an address without
    /// memory returns 0.
    port: Memory,
    /// By address: the word that the device has read last. The map is used only if an update does
    /// not carry the word that it expects.
    read: FxHashMap<Hpa, u64>,
    draws: Draws,
    /// The word that memory returned last. `pointer` is the last such word that looks like a
    /// pointer.
    last: u64,
    pointer: u64,
    /// The responses in flight, in the order in which memory accepted the requests.
    under_way: VecDeque<Reply>,
    /// The index in `under_way` of the response that was offered last.
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

    /// Changes the timing from a cycle on. Responses in flight keep their latency.
    pub fn set_timing(&mut self, timing: &Timing, cycle: u64) {
        self.draws = Draws::new(timing.seed, cycle);
        self.timing = timing.clone();
    }

    /// Returns true if no response is in flight.
    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Returns true if memory is ready to accept a memory request in a cycle. `waits`: a request
    /// was offered in the cycle before, and was not accepted.
    #[inline]
    pub fn ready(&self, waits: bool, cycle: u64) -> bool {
        let (busy, run) = (self.timing.memory_busy, self.timing.memory_run);
        let draw = || self.draws.in_spell(Stream::MemoryBusy, cycle, run);
        (!self.timing.after_valid || waits) && (busy == 0 || !draw().chance(busy))
    }

    /// Drops the responses in flight, because the device has been reset in a cycle. The draws
    /// restart in this cycle.
    pub fn reset(&mut self, cycle: u64) {
        self.under_way.clear();
        self.read.clear();
        self.draws.restart(cycle);
    }

    /// Converts an update to a compare-and-swap. An update by OR or by a plain write does not carry
    /// the word that it expects. This is then the word that the device has read last at the
    /// address.
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

    /// Performs an update. Returns the word that the response carries.
    fn update(&self, at: Hpa, update: Update, memory: &mut HostMemory) -> Result<u64, Hole> {
        let Update { expected, new } = update;
        let found = memory.read(at)?;
        match self.port.updates {
            UpdateScheme::None | UpdateScheme::CompareAndSwap => memory.update(at, expected, new),
            // An update by OR or by a plain write cannot fail, so its response carries the expected
            // word.
            UpdateScheme::Or => memory.update(at, found, found | new).map(|_| expected),
            UpdateScheme::Write => memory.update(at, found, new).map(|_| expected),
        }
    }

    /// Accepts a memory request, and puts its response in flight. The word is read in this cycle,
    /// whatever the latency of the response. If the response is an error, no update is made.
    /// Returns the word, and for an error the kind of data that accompany it.
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
                // The lowest four bits of a pointer are 0001 in the RISC-V formats, and have no
                // meaning in the others.
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

    /// Draws the data that accompany an error response.
    #[cold]
    fn beside_error(&self, at: Hpa, cycle: u64, memory: &HostMemory) -> (Beside, u64) {
        let draw = self.draws.of_address(Stream::Beside, at.0, cycle);
        let beside = Beside::ALL[draw.below(Beside::ALL.len() as u32) as usize];
        match (beside, memory.read(at)) {
            (Beside::Zero, _) => (beside, 0),
            (Beside::Ones, _) => (beside, u64::MAX),
            (Beside::Pointer, _) => (beside, self.pointer),
            (Beside::Truth, Ok(word)) => (beside, word),
            // An address without memory has no word.
            (Beside::Truth | Beside::Last, _) => (Beside::Last, self.last),
            (Beside::Any, _) => (beside, draw.bits()),
        }
    }

    /// Returns the response that memory offers in a cycle.
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

    /// Removes the response that was offered last, because the device has accepted it.
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
            // Software changes the entry between the read and the update of the device.
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
        // The draw of an address is the same for 32 cycles.
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
