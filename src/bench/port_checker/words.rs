// SPDX-License-Identifier: Apache-2.0
//! The words that memory has served, and every golden walk over them.
//!
//! A device may have read several words at one address: tables are edited, and until a fence each
//! of them is legal. So there may be more than one golden walk of a request.

use rustc_hash::FxHashMap;

use crate::addr::Hpa;
use crate::bench::memory_request::{MemoryRequest, Read, Update};
use crate::dut::description::PermissionCheck;
use crate::format::Format;
use crate::golden::{self, EntryMemory, Mapping};
use crate::mmu::{Fault, Position, Query};

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
    /// Its end.
    pub end: End,
    /// The number of memory requests of the device that it makes, in their order.
    pub made: usize,
    /// The cycles in which its words were served; none if it reads nothing.
    pub served: Option<ServedIn>,
    /// The faults that it has gone on behind.
    pub passed: Vec<Fault>,
}

/// The end of a golden walk over served words.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// The walk has ended.
    Found(Result<Mapping, Fault>),
    /// The walk calls for a word that memory has not served.
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

    /// Returns the memory request that the walk calls for, if it has not ended.
    pub fn wanted(self) -> Option<Wanted> {
        match self {
            Self::Found(_) => None,
            Self::Wants(wanted) => Some(wanted),
        }
    }
}

/// A memory request that a golden walk calls for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub request: MemoryRequest,
    /// The place of the request in the walk.
    pub at: Position,
}

/// The cycles in which memory served the words of a walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServedIn {
    /// The earliest of them.
    pub first: u64,
    /// The latest of them.
    pub last: u64,
}

impl ServedIn {
    /// Returns the cycles with one more.
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

/// Memory that serves each request of a golden walk with the next word of a device, or with one of
/// the words that are possible. A script makes the choices, so that every walk can be followed.
struct Choosing<'a> {
    /// Memory requests of a device that the walk has not made, in their order.
    reads: &'a [Read],
    words: Option<&'a Words>,
    /// By choice: the number that is chosen, and the number of possible words.
    script: Vec<(usize, usize)>,
    /// The choices that were made.
    choices: usize,
    /// The requests that were served.
    served: usize,
    served_in: Option<ServedIn>,
    /// The first request that was not served.
    wanted: Option<MemoryRequest>,
    /// The addresses of all requests, where they are asked for.
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
            // The device could also know the word from before; but then this request of the device
            // would be one too many.
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

    /// Returns one of the words that a request may be served with, by the script; none if there is
    /// none.
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
    /// There are too many walks.
    TooMany,
}

/// The choices that a golden walk has made, of how many each.
type Script = Vec<(usize, usize)>;

/// Follows the golden walk of a request that a script chooses: one that checks permissions at a
/// time. Returns it with the choices that it has made, and puts the addresses of its requests into
/// `addresses`.
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
            // To the golden walk, a word that memory has not served is an error.
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

/// Calls `visit` with every golden walk of a request in which each memory request is served with
/// the next of `reads`, or with one of `words`, until `visit` returns true.
///
/// `checks`: the time at which the golden walk checks permissions.
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
        // The next script differs in the last choice that has another word.
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

/// Returns the addresses of all golden walks of a request over words: of what they have read, and
/// of what they call for. None: there are too many walks.
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

/// Returns the end of the golden walk of a request over the words of a device's walk. `checks`: the
/// time at which it checks permissions.
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
