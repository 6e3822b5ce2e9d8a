// SPDX-License-Identifier: Apache-2.0
//! The limits of a scenario file. They bound the memory to some hundred MiB, and the time to some
//! seconds.

use super::error::{Problem, Result, Span};
use crate::memory::HostMemory;

/// The largest number of words of all images.
pub(super) const MOST_WORDS: u64 = 1 << 22;
/// The largest number of words of tables that are given as mappings.
const MOST_TABLE_WORDS: usize = 1 << 22;
/// The largest number of blocks of memory that have a word: see [`HostMemory::blocks`].
const MOST_BLOCKS: usize = 1 << 18;
/// The largest number of pages of all mappings, in tables and in operations.
pub(super) const MOST_PAGES: u64 = 1 << 20;
/// The largest number of hosts, and of guests.
const MOST_TABLES: usize = 64;
/// The largest number of contexts.
const MOST_CONTEXTS: usize = 1024;
/// The largest number of operations.
const MOST_OPS: usize = 1 << 16;
/// The largest number of cycles of all waits together, and of one.
pub(super) const MOST_WAIT: u32 = 1_000_000_000;
/// The largest number of fence obligations that are kept one by one. If there are more, one fence
/// of everything replaces them.
pub(super) const MOST_OWED: usize = 256;
/// The largest number of comparisons of edits with contexts and tables.
const MOST_WORK: u64 = 1 << 31;

/// The amounts that a file has requested so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spent {
    pages: u64,
    wait: u64,
    work: u64,
}

impl Spent {
    /// Counts pages that are mapped or unmapped.
    pub(super) fn pages(&mut self, pages: u64, place: &Span) -> Result<()> {
        self.pages = self.pages.saturating_add(pages);
        match self.pages > MOST_PAGES {
            true => Err(too_many_pages(place)),
            false => Ok(()),
        }
    }

    /// Counts the cycles of a wait.
    pub(super) fn wait(&mut self, cycles: u32, place: &Span) -> Result<()> {
        self.wait += u64::from(cycles);
        match self.wait > u64::from(MOST_WAIT) {
            true => Err(
                Problem::at(place, "the waits up to here are too long").label(format!(
                    "all waits of a file take at most {MOST_WAIT} cycles"
                )),
            ),
            false => Ok(()),
        }
    }

    /// Counts the comparisons of an edit of some pages with contexts and tables.
    pub(super) fn edit(
        &mut self,
        pages: u64,
        contexts: usize,
        tables: usize,
        place: &Span,
    ) -> Result<()> {
        self.work += pages * contexts as u64 * (tables as u64 + 1);
        match self.work > MOST_WORK {
            true => Err(Problem::at(place, "too many edits for so many contexts")
                .label("fewer edits, or fewer contexts and tables")),
            false => Ok(()),
        }
    }
}

pub(super) fn too_many_pages(place: &Span) -> Box<Problem> {
    Problem::at(place, "the mappings up to here have too many pages").label(format!(
        "all mappings of a file, including those of operations, have at most {MOST_PAGES} pages"
    ))
}

/// Checks that tables are within the limits of a file. `words` counts the words of tables.
pub(super) fn check_tables(memory: &HostMemory, words: usize, place: &Span) -> Result<()> {
    let is_too_much = words > MOST_TABLE_WORDS || memory.blocks() > MOST_BLOCKS;
    match is_too_much {
        true => Err(
            Problem::at(place, "the tables up to here take too much memory")
                .label("fewer pages, or pages that share tables")
                .help(format!(
                    "all tables of a file have at most {MOST_TABLE_WORDS} words, in at most \
                 {MOST_BLOCKS} different blocks of 64 words"
                )),
        ),
        false => Ok(()),
    }
}

/// Checks that images are within the limits of a file: `words` counts the words of all images, and
/// `memory` contains them.
pub(super) fn check_images(words: u64, memory: &HostMemory, place: &Span) -> Result<()> {
    match words > MOST_WORDS || memory.blocks() > MOST_BLOCKS {
        true => Err(
            Problem::at(place, "the images up to here have too many words").label(format!(
                "all images of a file have at most {MOST_WORDS} words, in at most {MOST_BLOCKS} \
             different blocks of 64 words"
            )),
        ),
        false => Ok(()),
    }
}

/// Returns the largest number of tables of a kind (`[[host]]`, `[[context]]`).
pub(super) fn most_named(kind: &str) -> usize {
    match kind {
        "context" => MOST_CONTEXTS,
        _ => MOST_TABLES,
    }
}

/// Checks that a list of operations is not longer than a file may have.
pub(super) fn check_ops(count: usize, place: &Span) -> Result<()> {
    match count > MOST_OPS {
        true => Err(Problem::at(place, format!("{count} ops"))
            .label(format!("a file has at most {MOST_OPS}"))
            .help(
                "`nestwalk fuzz` runs any number of accesses, `nestwalk trace` replays recorded \
                ones",
            )),
        false => Ok(()),
    }
}
