// SPDX-License-Identifier: Apache-2.0
//! The golden walks of single lines of a trace.

use std::path::Path;

use super::{Fresh, Reader, Record, TraceError};
use crate::format::Format;
use crate::golden::{self, Mapping, Step};
use crate::memory::HostMemory;
use crate::mmu::{Fault, Query};

/// A line of a trace, with the golden walk on the memory of that moment.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The line, from 1.
    pub line: u64,
    /// Its text.
    pub text: String,
    /// The number of its context.
    pub context: usize,
    /// The request.
    pub query: Query,
    /// The steps of its walk.
    pub steps: Vec<Step>,
    /// The result of the walk.
    pub found: Result<Mapping, Fault>,
}

/// Reads a trace once more, up to the last of `lines`, which are lines of accesses.
///
/// # Errors
/// If it cannot be read.
pub fn explain(path: &Path, lines: &[u64]) -> Result<Vec<Explained>, TraceError> {
    let mut explained = Vec::new();
    let last = lines.iter().copied().max().unwrap_or(0);
    let mut memory = HostMemory::new(Format::Rv64);
    let mut reader = Reader::open(path)?;
    while reader.line() < last {
        match reader.next_record()? {
            None => break,
            Some(Record::Memory { at, word } | Record::Update { at, word }) => {
                reader.write(&mut memory, at, word)?;
            }
            Some(Record::Access(access)) if lines.contains(&reader.line()) => {
                let query = access.query(&reader);
                let mut steps = Vec::new();
                let mut fresh = Fresh::new(&memory);
                let found = golden::walk(Format::Rv64, &query, &mut fresh, &mut steps);
                explained.push(Explained {
                    line: reader.line(),
                    text: reader.text(),
                    context: access.context + 1,
                    query,
                    steps,
                    found,
                });
            }
            Some(Record::Access(_) | Record::Context | Record::Fence(_)) => {}
        }
    }
    Ok(explained)
}
