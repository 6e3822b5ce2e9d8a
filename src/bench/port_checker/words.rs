// SPDX-License-Identifier: Apache-2.0
//! The words that memory has returned, and the golden walks over them.
//!
//! A device may have read several words at one address, because software edits tables. Until a
//! fence each of these words is legal. So a request may have more than one golden walk.

use rustc_hash::FxHashMap;

use crate::addr::Hpa;
use crate::bench::memory_request::{MemoryRequest, Read, Update};
use crate::dut::description::PermissionCheck;
use crate::format::Format;
use crate::golden::{self, EntryMemory, Mapping};
use crate::mmu::{Fault, Position, Query};

/// The most golden walks that are followed for one request. A request with more golden walks is not
/// judged.
const MOST_WALKS: usize = 128;

/// The most memory requests of a golden walk. A longer golden walk repeats the same failed updates
/// again and again, and is followed no further.
const MOST_REQUESTS: usize = 256;

/// A word that memory has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    /// The update that returned the word; none for a read.
    update: Option<Update>,
    /// The word; none is an error response.
    word: Option<u64>,
    /// Cycle in which memory last returned the word.
    cycle: u64,
}

/// Words that memory has returned, by address.
#[derive(Clone, Debug, Default)]
pub(super) struct Words(FxHashMap<Hpa, Vec<Word>>);

impl Words {
    /// Adds the word of a memory request. After an update, the device also knows the new word of
    /// the entry.
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
        // After an update the device knows the entry: the new word if the update succeeded, else
        // the word that the update found.
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

    /// Returns the words that memory has returned for such a memory request.
    fn served(&self, at: Hpa, update: Option<Update>) -> impl Iterator<Item = &Word> + Clone {
        let words = self.0.get(&at).map_or(&[][..], Vec::as_slice);
        words.iter().filter(move |word| word.update == update)
    }
}

/// A golden walk over words that memory has returned.
#[derive(Clone, Debug)]
pub(super) struct GoldenWalk {
    /// The end of the walk.
    pub end: End,
    /// The number of the device's memory requests that the golden walk makes as well, in the same
    /// order.
    pub made: usize,
    /// The cycles in which memory returned the words of the walk; none if the walk reads nothing.
    pub served: Option<ServedIn>,
    /// The faults after which the walk has continued, because it checks permissions at its end.
    pub passed: Vec<Fault>,
}

/// The end of a golden walk over words that memory has returned.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// The walk has ended.
    Found(Result<Mapping, Fault>),
    /// The walk needs a word that memory has not returned.
    Wants(Wanted),
}

impl End {
    /// Returns the result of the walk, if it has ended.
    pub fn found(self) -> Option<Result<Mapping, Fault>> {
        match self {
            Self::Found(found) => Some(found),
            Self::Wants(_) => None,
        }
    }

    /// Returns the next memory request of the walk, if the walk has not ended.
    pub fn wanted(self) -> Option<Wanted> {
        match self {
            Self::Found(_) => None,
            Self::Wants(wanted) => Some(wanted),
        }
    }
}

/// The next memory request of a golden walk that has not ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub request: MemoryRequest,
    /// The position of the entry in the page tables.
    pub at: Position,
}

/// The cycles in which memory returned the words of a walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServedIn {
    /// The earliest of these cycles.
    pub first: u64,
    /// The latest of these cycles.
    pub last: u64,
}

impl ServedIn {
    /// Returns the range extended by a cycle.
    fn with(this: Option<Self>, cycle: u64) -> Self {
        let Self { first, last } = this.unwrap_or(Self {
            first: cycle,
            last: cycle,
        });
        Self {
            first: first.min(cycle),
            last: last.max(cycle),
        }
    }
}

/// Memory for a golden walk. It returns the word of the device's next memory request if the
/// requests are the same, and else one of the words that memory has returned for such a request
/// before. A script selects one of several possible words. With all scripts, all golden walks are
/// followed.
struct Choosing<'a> {
    /// The device's memory requests that the golden walk has not made yet, in their order.
    reads: &'a [Read],
    words: Option<&'a Words>,
    /// By choice: the index of the selected word, and the number of possible words.
    script: Vec<(usize, usize)>,
    /// Number of choices that were made.
    choices: usize,
    /// Number of memory requests of the golden walk that were served.
    served: usize,
    served_in: Option<ServedIn>,
    /// The first memory request for which there was no word.
    wanted: Option<MemoryRequest>,
    /// The addresses of all memory requests, if the caller wants them.
    addresses: Option<Vec<Hpa>>,
}

impl Choosing<'_> {
    fn serve(&mut self, hpa: Hpa, update: Option<Update>) -> Option<u64> {
        if self.wanted.is_some() {
            return None;
        }
        if let Some(addresses) = &mut self.addresses {
            addresses.push(hpa);
        }
        let (word, cycle) = match self.reads.split_first() {
            _ if self.served == MOST_REQUESTS => return self.want(hpa, update),
            // A page-walk cache could also give an older word here. But then the device's memory
            // request would not belong to the walk.
            Some((next, behind)) if next.at == hpa && next.update == update => {
                self.reads = behind;
                (next.word, next.cycle)
            }
            _ => match self.choose(hpa, update) {
                Some(word) => (word.word, word.cycle),
                None => return self.want(hpa, update),
            },
        };
        self.served += 1;
        self.served_in = Some(ServedIn::with(self.served_in, cycle));
        word
    }

    fn want(&mut self, hpa: Hpa, update: Option<Update>) -> Option<u64> {
        self.wanted = Some(MemoryRequest { hpa, update });
        None
    }

    /// Returns the word that the script selects for a memory request; none if memory has returned
    /// no word for such a request.
    fn choose(&mut self, hpa: Hpa, update: Option<Update>) -> Option<Word> {
        let mut possible = self.words?.served(hpa, update);
        let count = possible.clone().count();
        let choice = match count {
            0 | 1 => 0,
            _ => {
                if self.choices == self.script.len() {
                    self.script.push((0, count));
                }
                let (choice, _) = self.script[self.choices];
                self.choices += 1;
                choice
            }
        };
        possible.nth(choice).copied()
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

/// The reason why [`each_walk`] has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Followed {
    /// `visit` has returned true.
    Stopped,
    /// Every walk was visited.
    All,
    /// There are too many golden walks, and some were not visited.
    TooMany,
}

/// The choices of a golden walk: for each, the index of the selected word and the number of
/// possible words.
type Script = Vec<(usize, usize)>;

/// Computes the golden walk of a request that a script selects. `checks`: when the walk checks
/// permissions. Returns the walk and the choices that it has made. The addresses of its memory
/// requests are added to `addresses`.
fn walk_by(
    format: Format,
    query: &Query,
    checks: PermissionCheck,
    reads: &[Read],
    words: Option<&Words>,
    script: Script,
    addresses: Option<&mut Vec<Hpa>>,
) -> (GoldenWalk, Script) {
    let mut memory = Choosing {
        reads,
        words,
        script,
        choices: 0,
        served: 0,
        served_in: None,
        wanted: None,
        addresses: addresses.is_some().then(Vec::new),
    };
    let (found, passed) = match checks {
        PermissionCheck::Entry => {
            let found = golden::walk(format, query, &mut memory, &mut ());
            (found, Vec::new())
        }
        PermissionCheck::End => {
            let late = golden::walk_with_late_checks(format, query, &mut memory, &mut ());
            (late.found, late.passed)
        }
    };
    if let (Some(addresses), Some(more)) = (addresses, &mut memory.addresses) {
        addresses.append(more);
    }
    let walk = GoldenWalk {
        end: match (memory.wanted, found) {
            // The golden walk reads a memory error where there is no word.
            (Some(request), Err(fault)) => End::Wants(Wanted {
                request,
                at: fault.at,
            }),
            (_, found) => End::Found(found),
        },
        made: reads.len() - memory.reads.len(),
        served: memory.served_in,
        passed,
    };
    memory.script.truncate(memory.choices);
    (walk, memory.script)
}

/// Calls `visit` with every golden walk of a request until `visit` returns true. Each memory
/// request of a golden walk gets the word of the next memory request in `reads`, or one of `words`.
///
/// `checks`: when the golden walk checks permissions.
pub(super) fn each_walk(
    format: Format,
    query: &Query,
    checks: PermissionCheck,
    reads: &[Read],
    words: Option<&Words>,
    visit: impl FnMut(&GoldenWalk) -> bool,
) -> Followed {
    every_walk(format, query, checks, reads, words, None, visit)
}

fn every_walk(
    format: Format,
    query: &Query,
    checks: PermissionCheck,
    reads: &[Read],
    words: Option<&Words>,
    mut addresses: Option<&mut Vec<Hpa>>,
    mut visit: impl FnMut(&GoldenWalk) -> bool,
) -> Followed {
    let mut script = Vec::new();
    for _ in 0..MOST_WALKS {
        let (walk, choices) = walk_by(
            format,
            query,
            checks,
            reads,
            words,
            script,
            addresses.as_deref_mut(),
        );
        if visit(&walk) {
            return Followed::Stopped;
        }
        // The next script selects the next word at the last choice that has one.
        script = choices;
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

/// Returns the addresses of all memory requests of all golden walks of a request over words,
/// including requests for which there is no word. None if there are too many golden walks.
pub(super) fn every_address(format: Format, query: &Query, words: &Words) -> Option<Vec<Hpa>> {
    let mut addresses = Vec::new();
    let followed = every_walk(
        format,
        query,
        PermissionCheck::End,
        &[],
        Some(words),
        Some(&mut addresses),
        |_| false,
    );
    (followed == Followed::All).then_some(addresses)
}

/// Returns the end of the golden walk of a request over the words of a walk of the device.
/// `checks`: when the golden walk checks permissions.
pub(super) fn end_of(
    format: Format,
    query: &Query,
    checks: PermissionCheck,
    reads: &[Read],
) -> End {
    walk_by(format, query, checks, reads, None, Vec::new(), None)
        .0
        .end
}
