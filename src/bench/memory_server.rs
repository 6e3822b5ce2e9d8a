//! Host physical memory as the device sees it: late, busy, out of order and with errors, as the scenario says.

use std::borrow::Cow;
use std::collections::VecDeque;

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::checker::Update;
use crate::addr::Hpa;
use crate::memory::HostMemory;
use crate::scenario::Timing;

/// What is on the data lines beside an error, where it means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// 0.
    Zero,
    /// All ones.
    Ones,
    /// The last word that was given and looks like a pointer.
    Pointer,
    /// What is really there.
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
    /// What is on the data lines: the word; beside an error, which makes it mean nothing, anything.
    pub data: u64,
    due: u64,
}

pub(super) struct MemoryServer {
    timing: Timing,
    rng: Xoshiro256PlusPlus,
    busy: Spells,
    /// For what comes with an error.
    noise: Xoshiro256PlusPlus,
    /// The word that was given last, and the last of them that looks like a pointer.
    last: u64,
    pointer: u64,
    /// In the order of their grants.
    under_way: VecDeque<Reply>,
    /// Of them, the one that was offered last.
    offered: usize,
}

/// True in `percent` of a hundred draws.
fn chance(rng: &mut Xoshiro256PlusPlus, percent: u32) -> bool {
    percent > 0 && below(rng, 100) < percent
}

/// Cycles in which something is busy, one by one or in spells.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spells {
    busy: bool,
}

impl Spells {
    /// Whether it is in the next cycle: in `percent` of a hundred, `run` in a row on average. Between two spells is a cycle at least.
    #[inline]
    pub fn next(&mut self, rng: &mut Xoshiro256PlusPlus, percent: u32, run: u32) -> bool {
        if run == 0 || percent == 0 {
            self.busy = false;
            return chance(rng, percent);
        }
        let turns = if self.busy { 100 - percent } else { percent };
        if below(rng, (100 - percent) * run) < turns {
            self.busy = !self.busy;
        }
        self.busy
    }
}

/// A number in `0..n`.
fn below(rng: &mut Xoshiro256PlusPlus, n: u32) -> u32 {
    ((u64::from(rng.next_u32()) * u64::from(n)) >> 32) as u32
}

/// A stream of its own, so that what comes with errors changes nothing else.
fn noise(timing: &Timing) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(timing.seed ^ 0xD1B5_4A32_D192_ED03)
}

impl MemoryServer {
    pub fn new(timing: &Timing) -> Self {
        Self {
            timing: timing.clone(),
            rng: Xoshiro256PlusPlus::seed_from_u64(timing.seed),
            busy: Spells::default(),
            noise: noise(timing),
            last: 0,
            pointer: 0,
            under_way: VecDeque::new(),
            offered: 0,
        }
    }

    /// Behaves otherwise from now on; what is under way keeps its time.
    pub fn set_timing(&mut self, timing: &Timing) {
        if self.timing.seed != timing.seed {
            self.rng = Xoshiro256PlusPlus::seed_from_u64(timing.seed);
            self.noise = noise(timing);
        }
        self.timing = timing.clone();
    }

    /// Whether nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether it takes a read in this cycle. `waits`: one was offered in the last, and was not taken.
    pub fn ready(&mut self, waits: bool) -> bool {
        let Timing {
            memory_busy,
            memory_run,
            after_valid,
            ..
        } = self.timing;
        !self.busy.next(&mut self.rng, memory_busy, memory_run) && (!after_valid || waits)
    }

    /// Drops what is on its way.
    pub fn forget(&mut self) {
        self.under_way.clear();
    }

    /// Takes a read or an update: the word is that of this moment, whenever it arrives. An error updates nothing. Gives the word, and
    /// what comes beside an error.
    #[inline]
    pub fn grant(
        &mut self,
        id: u8,
        at: Hpa,
        update: Option<Update>,
        cycle: u64,
        memory: &mut Cow<'_, HostMemory>,
    ) -> (Option<u64>, Option<Beside>) {
        let error = self.timing.errors > 0 && below(&mut self.rng, 1000) < self.timing.errors;
        let word = match update {
            _ if error => None,
            None => memory.read(at).ok(),
            Some(Update { expected, new }) => memory.to_mut().update(at, expected, new).ok(),
        };
        let (least, most) = (*self.timing.latency.start(), *self.timing.latency.end());
        let latency = if least == most {
            least
        } else {
            least + below(&mut self.rng, most - least + 1)
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
                let (kind, data) = self.beside_error(at, memory);
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

    /// Draws what comes with an error.
    #[cold]
    fn beside_error(&mut self, at: Hpa, memory: &HostMemory) -> (Beside, u64) {
        let beside = Beside::ALL[below(&mut self.noise, Beside::ALL.len() as u32) as usize];
        match (beside, memory.read(at)) {
            (Beside::Zero, _) => (beside, 0),
            (Beside::Ones, _) => (beside, u64::MAX),
            (Beside::Pointer, _) => (beside, self.pointer),
            (Beside::Truth, Ok(word)) => (beside, word),
            // Of a hole there is none.
            (Beside::Truth | Beside::Last, _) => (Beside::Last, self.last),
            (Beside::Any, _) => (beside, self.noise.next_u64()),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Format;

    fn rng() -> Xoshiro256PlusPlus {
        Xoshiro256PlusPlus::seed_from_u64(1)
    }

    /// The share of busy cycles in a thousand, and their number in a row on average.
    fn measured(percent: u32, run: u32) -> (usize, usize) {
        let (mut rng, mut spells) = (rng(), Spells::default());
        let busy: Vec<bool> = (0..200_000)
            .map(|_| spells.next(&mut rng, percent, run))
            .collect();
        let share = busy.iter().filter(|&&busy| busy).count();
        let runs = busy.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        (share * 1000 / busy.len(), share / runs.max(1))
    }

    #[test]
    fn spells_last_as_long_as_they_should_and_take_their_share() {
        for (percent, run) in [(25, 8), (70, 25), (50, 100), (90, 10)] {
            let (share, row) = measured(percent, run);
            let wanted = 10 * percent as usize;
            assert!(share.abs_diff(wanted) < 40, "{percent} {run}: {share}");
            assert!(
                row.abs_diff(run as usize) <= run as usize / 8,
                "{percent} {run}: {row}"
            );
        }
        let (share, row) = measured(70, 0);
        assert!(share.abs_diff(700) < 10 && row == 3, "{share} {row}");
        assert_eq!(measured(0, 25).0, 0);
    }

    #[test]
    fn everything_comes_beside_errors_and_nothing_else_is_drawn_for_it() {
        let mut memory = HostMemory::new(Format::Rv64);
        memory.write(Hpa(0x1000), 0x2001);
        let timing = Timing {
            errors: 500,
            latency: 1..=50,
            ..Timing::default()
        };
        let mut server = MemoryServer::new(&timing);
        let mut seen = [false; Beside::ALL.len()];
        let mut memory = Cow::Borrowed(&memory);
        let mut dues = Vec::new();
        for cycle in 0..200 {
            let (word, beside) = server.grant(0, Hpa(0x1000), None, cycle, &mut memory);
            assert_eq!(word.is_none(), beside.is_some());
            let reply = *server.under_way.back().unwrap();
            dues.push(reply.due);
            match beside {
                None => assert_eq!(reply.data, 0x2001),
                Some(Beside::Truth | Beside::Last | Beside::Pointer) if cycle > 20 => {
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
        // Without errors on the data lines, the same times: they come from another stream.
        let mut other = MemoryServer::new(&timing);
        other.noise = rng();
        for (cycle, due) in dues.into_iter().enumerate() {
            other.grant(0, Hpa(0x1000), None, cycle as u64, &mut memory);
            assert_eq!(other.under_way.back().unwrap().due, due);
        }
    }
}
