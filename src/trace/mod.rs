// SPDX-License-Identifier: Apache-2.0
//! Replays recorded MMU traces: the requests of a hart that ran an operating system and its guests,
//! in program order, with the table words that the walks read.
//!
//! [`Reader`] reads a trace line by line. [`golden`](mod@golden) walks each access on the golden
//! model. [`device`] makes a [`Scenario`](crate::scenario::Scenario) of the trace and compares the
//! responses of the RTL. [`explain`](fn@explain) shows the walks of single lines.

pub mod device;
mod explain;
pub mod golden;
mod parse;

pub use explain::{Explained, explain};
pub use parse::{
    AccessLine, Counts, Exception, Mark, Problem, Reader, Record, RecordKind, TraceError,
};

use crate::addr::Hpa;
use crate::golden::EntryMemory;
use crate::memory::HostMemory;
use crate::mmu::{Outcome, Query};

/// Differences that are kept; more are counted.
pub const KEPT: usize = 5;

/// An access whose result differs from the trace.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// The line of the access, from 1.
    pub line: u64,
    /// The value in the trace.
    pub expected: String,
    /// The observed value.
    pub observed: String,
}

/// The differences of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Number of differences.
    pub count: u64,
    /// The first [`KEPT`].
    pub first: Vec<Difference>,
}

impl Differences {
    #[cold]
    fn add(&mut self, line: u64, expected: impl Into<String>, observed: impl Into<String>) {
        self.count += 1;
        if self.first.len() < KEPT {
            self.first.push(Difference {
                line,
                expected: expected.into(),
                observed: observed.into(),
            });
        }
    }
}

impl AccessLine {
    /// Returns the request of the line.
    fn query(&self, reader: &Reader) -> Query {
        Query {
            context: reader.contexts()[self.context],
            gva: self.gva,
            access: self.access,
        }
    }
}

/// Returns true if an outcome is the result in the trace.
#[inline]
fn is_result(outcome: &Outcome, result: &Result<Hpa, Exception>, virt: bool) -> bool {
    match (outcome, result) {
        (Ok(translation), Ok(pa)) => translation.hpa == *pa,
        (Err(fault), Err(exception)) => fault.trap.is_some_and(|trap| {
            trap.cause == exception.cause
                && trap.tval2 == exception.tval2
                && trap.tinst == exception.tinst
                && trap.gva == virt
        }),
        _ => false,
    }
}

/// Returns a result of a trace in its own notation.
fn describe_result(result: &Result<Hpa, Exception>) -> String {
    match result {
        Ok(pa) => format!("={:x}", pa.0),
        Err(Exception {
            cause,
            tval2,
            tinst,
        }) => format!("!{cause:x} tval2 {tval2:x} tinst {tinst:x}"),
    }
}

/// Returns an outcome in the notation of a trace, as far as that goes.
fn describe_outcome(outcome: &Outcome) -> String {
    match outcome {
        Ok(translation) => describe_result(&Ok(translation.hpa)),
        Err(fault) => match fault.trap {
            Some(trap) => {
                let text = describe_result(&Err(Exception {
                    cause: trap.cause,
                    tval2: trap.tval2,
                    tinst: trap.tinst,
                }));
                format!("{text}, GVA {}", u8::from(trap.gva))
            }
            None => format!("a {} fault without a trap", fault.kind),
        },
    }
}

/// Updates in the notation of a trace.
fn describe_updates(updates: &[(Hpa, u64)]) -> String {
    if updates.is_empty() {
        return "no W".to_owned();
    }
    let updates: Vec<String> = updates
        .iter()
        .map(|(at, word)| format!("W {:x} {word:x}", at.0))
        .collect();
    updates.join(", ")
}

/// Memory for the walk of one access: it counts the reads, and keeps the updates to itself.
struct Fresh<'a> {
    memory: &'a HostMemory,
    reads: u64,
    updates: Vec<(Hpa, u64)>,
}

impl<'a> Fresh<'a> {
    fn new(memory: &'a HostMemory) -> Self {
        Self {
            memory,
            reads: 0,
            updates: Vec::new(),
        }
    }

    #[inline]
    fn word(&self, at: Hpa) -> Option<u64> {
        let updated = self.updates.iter().rev().find(|(place, _)| *place == at);
        updated
            .map(|&(_, word)| word)
            .or_else(|| self.memory.read(at).ok())
    }
}

impl EntryMemory for Fresh<'_> {
    #[inline]
    fn read_entry(&mut self, at: Hpa) -> Option<u64> {
        self.reads += 1;
        self.word(at)
    }

    fn update_entry(&mut self, at: Hpa, expected: u64, new: u64) -> Option<u64> {
        let found = self.word(at)?;
        if found == expected {
            self.updates.push((at, new));
        }
        Some(found)
    }
}
