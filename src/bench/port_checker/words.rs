// SPDX-License-Identifier: Apache-2.0
//! The words that memory has served, and every golden walk over them.
//!
//! A device may have read several words at one address: tables are edited, and until a fence each of
//! them is legal. So there may be more than one golden walk of a request.

use rustc_hash::FxHashMap;

use crate::addr::Hpa;
use crate::bench::memory_request::{Read, Update};
use crate::format::Format;
use crate::golden::{self, EntryMemory, Mapping};
use crate::mmu::{Fault, Query};

/// Golden walks that are followed for one request. A request with more of them is not judged.
const MOST_WALKS: usize = 128;

/// Memory requests of a golden walk that is followed. One with more has lost the same updates again
/// and again, and is followed no further.
const MOST_REQUESTS: usize = 256;

/// A word that memory has served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    /// The update that it answers; none for a read.
    update: Option<Update>,
    /// None is an error.
    word: Option<u64>,
    /// Cycle in which memory served it last.
    cycle: u64,
}

/// Words that memory has served, by address.
#[derive(Clone, Debug, Default)]
pub(super) struct Words(FxHashMap<Hpa, Vec<Word>>);

impl Words {
    /// Adds the word of a memory request. An update leaves the new word, or has found another one.
    pub fn add(&mut self, read: &Read) {
        let Read {
            at,
            update,
            word,
            cycle,
        } = *read;
        self.insert(
            at,
            Word {
                update,
                word,
                cycle,
            },
        );
        // After an update the device knows the entry as it is then.
        if let (Some(update), Some(found)) = (update, word) {
            let word = match found == update.expected {
                true => update.new,
                false => found,
            };
            self.insert(
                at,
                Word {
                    update: None,
                    word: Some(word),
                    cycle,
                },
            );
        }
    }

    fn insert(&mut self, at: Hpa, new: Word) {
        let words = self.0.entry(at).or_default();
        let same = |word: &&mut Word| word.update == new.update && word.word == new.word;
        match words.iter_mut().find(same) {
            Some(word) => word.cycle = new.cycle,
            None => words.push(new),
        }
    }

    /// Returns the words that a memory request may have been served with.
    fn served(&self, at: Hpa, update: Option<Update>) -> impl Iterator<Item = &Word> + Clone {
        let words = self.0.get(&at).map_or(&[][..], Vec::as_slice);
        words.iter().filter(move |word| word.update == update)
    }
}

/// A golden walk over served words.
#[derive(Clone, Debug)]
pub(super) struct GoldenWalk {
    /// Its end; none if it calls for a word that memory has not served.
    pub found: Option<Result<Mapping, Fault>>,
    /// The memory request that it calls for, if it has no end.
    pub wanted: Option<(Hpa, Option<Update>)>,
    /// The fault that the golden walk would have if memory had no such word: the place of the
    /// request that it calls for.
    pub wanted_at: Option<Fault>,
    /// The number of the `reads` that it has made, in their order.
    pub made: usize,
    /// The cycle in which the first of its words was served; none if it has read nothing.
    pub first: Option<u64>,
    /// The cycle in which the last of its words was served.
    pub last: Option<u64>,
}

/// Memory that serves each request of a golden walk with one of the words that are possible. The
/// choices are made by a script, so that every walk can be followed.
struct Choosing<'a> {
    /// Memory requests of a device, in their order. Each may be the next, or not.
    reads: &'a [Read],
    words: &'a [&'a Words],
    made: usize,
    /// By choice: the number that is chosen, and how many there are.
    script: Vec<(usize, usize)>,
    choices: usize,
    served: usize,
    wanted: Option<(Hpa, Option<Update>)>,
    first: Option<u64>,
    last: Option<u64>,
}

impl Choosing<'_> {
    fn serve(&mut self, at: Hpa, update: Option<Update>) -> Option<u64> {
        if self.wanted.is_some() {
            return None;
        }
        let next = self.reads.get(self.made);
        let next = next.filter(|read| read.at == at && read.update == update);
        let words = self.words;
        // The device could also know the word from before; but then the next request, which is the
        // same, would be one too many.
        let words = if next.is_some() { &[][..] } else { words };
        let mut possible = words.iter().flat_map(|words| words.served(at, update));
        let count = usize::from(next.is_some()) + possible.clone().count();
        let choice = match count {
            _ if self.served == MOST_REQUESTS => {
                self.wanted = Some((at, update));
                return None;
            }
            0 => {
                self.wanted = Some((at, update));
                return None;
            }
            1 => 0,
            _ => {
                if self.choices == self.script.len() {
                    self.script.push((0, count));
                }
                let (choice, _) = self.script[self.choices];
                self.choices += 1;
                choice
            }
        };
        self.served += 1;
        let (word, cycle) = match next {
            Some(read) if choice == 0 => {
                self.made += 1;
                (read.word, read.cycle)
            }
            _ => {
                let word = possible.nth(choice - usize::from(next.is_some()))?;
                (word.word, word.cycle)
            }
        };
        self.first = Some(self.first.map_or(cycle, |first| first.min(cycle)));
        self.last = Some(self.last.map_or(cycle, |last| last.max(cycle)));
        word
    }
}

impl EntryMemory for Choosing<'_> {
    fn read_entry(&mut self, at: Hpa) -> Option<u64> {
        self.serve(at, None)
    }

    fn update_entry(&mut self, at: Hpa, expected: u64, new: u64) -> Option<u64> {
        self.serve(at, Some(Update { expected, new }))
    }
}

/// The end of [`each_walk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Followed {
    /// `visit` has returned true.
    Stopped,
    /// Every walk was visited.
    All,
    /// There are too many walks.
    TooMany,
}

/// Calls `visit` with every golden walk of a request in which each memory request is served with the
/// next of `reads`, or with one of `words`, until `visit` returns true.
pub(super) fn each_walk(
    format: Format,
    query: &Query,
    reads: &[Read],
    words: &[&Words],
    mut visit: impl FnMut(&GoldenWalk) -> bool,
) -> Followed {
    let mut script: Vec<(usize, usize)> = Vec::new();
    for _ in 0..MOST_WALKS {
        let mut memory = Choosing {
            reads,
            words,
            made: 0,
            script: std::mem::take(&mut script),
            choices: 0,
            served: 0,
            wanted: None,
            first: None,
            last: None,
        };
        let found = golden::walk(format, query, &mut memory, &mut ());
        let is_open = memory.wanted.is_some();
        let walk = GoldenWalk {
            wanted: memory.wanted,
            wanted_at: found.err().filter(|_| is_open),
            found: (!is_open).then_some(found),
            made: memory.made,
            first: memory.first,
            last: memory.last,
        };
        if visit(&walk) {
            return Followed::Stopped;
        }
        // The next script: the last choice that has another is made anew.
        script = memory.script;
        script.truncate(memory.choices);
        while script
            .pop_if(|(choice, count)| *choice + 1 == *count)
            .is_some()
        {}
        match script.last_mut() {
            Some((choice, _)) => *choice += 1,
            None => return Followed::All,
        }
    }
    Followed::TooMany
}
