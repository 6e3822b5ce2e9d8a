// SPDX-License-Identifier: Apache-2.0
//! Tables that a file gives as mappings: the places of their words, the words that exist already,
//! and the fence obligations of a change.

use rustc_hash::{FxHashMap, FxHashSet};

use super::error::{Lines, Problem, Result, Span};
use super::head::{Image, Memory};
use super::limits::{self, Spent};
use super::reader::Field;
use super::{handout, riscv};
use crate::addr::Hpa;
use crate::format::Format;
use crate::memory::HostMemory;
use crate::mmu::Rights;
use crate::tables::{Occupied, TableError, TableFrames, TableMemory};

/// Host memory that records the owner of each word, and the words that are written.
pub(super) struct Ledger {
    memory: HostMemory,
    /// Sorted: from, to, line.
    images: Vec<(u64, u64, usize)>,
    /// The words of tables, and the words that operations have written into holes.
    owners: FxHashMap<u64, usize>,
    /// The names of owners, by number.
    names: Vec<String>,
    pub(super) writer: usize,
    written: Vec<(Hpa, u64)>,
}

enum Owner {
    Image { line: usize },
    Named(usize),
}

impl Ledger {
    fn new(format: Format, images: &[Image], lines: &Lines) -> Result<Self> {
        let mut memory = HostMemory::new(format);
        for image in images {
            let words = image.words.iter().cycle();
            for (at, &word) in (image.at..image.end())
                .step_by(memory.word_bytes() as usize)
                .zip(words)
            {
                memory.write(Hpa(at), word);
            }
            limits::check_images(0, &memory, &image.span)?;
        }
        let images = images
            .iter()
            .map(|image| (image.at, image.end(), lines.line_of(image.span.start)))
            .collect();
        Ok(Self {
            memory,
            images,
            owners: FxHashMap::default(),
            names: Vec::new(),
            writer: 0,
            written: Vec::new(),
        })
    }

    /// Checks that memory is within the limits of a file.
    pub(super) fn check(&self, place: &Span) -> Result<()> {
        limits::check_tables(&self.memory, self.owners.len(), place)
    }

    pub(super) fn add_name(&mut self, name: String) -> usize {
        self.names.push(name);
        self.names.len() - 1
    }

    fn owner(&self, at: Hpa) -> Option<Owner> {
        if let Some(&owner) = self.owners.get(&at.0) {
            return Some(Owner::Named(owner));
        }
        let next = self.images.partition_point(|&(from, _, _)| from <= at.0);
        let &(_, to, line) = self.images.get(next.checked_sub(1)?)?;
        (at.0 < to).then_some(Owner::Image { line })
    }

    /// Returns the pages of host memory that have a word.
    pub(super) fn pages(&self, format: Format) -> FxHashSet<u64> {
        let page = |at: u64| at >> format.geometry().offset_width;
        let of_images = self
            .images
            .iter()
            .flat_map(|&(from, to, _)| page(from)..=page(to - 1));
        self.owners
            .keys()
            .map(|&at| page(at))
            .chain(of_images)
            .collect()
    }

    fn put(&mut self, at: Hpa, word: u64, owner: usize) -> std::result::Result<(), Occupied> {
        let by = match self.owner(at) {
            Some(Owner::Image { line }) => Some(format!("the image of line {line}")),
            Some(Owner::Named(other)) if other != owner => Some(self.names[other].clone()),
            _ => None,
        };
        if let Some(by) = by {
            return Err(Occupied { at, by });
        }
        self.owners.insert(at.0, owner);
        self.memory.write(at, word);
        self.written.push((at, word));
        Ok(())
    }
}

impl TableMemory for Ledger {
    fn word(&self, at: Hpa) -> Option<u64> {
        self.memory.read(at).ok()
    }

    fn set(&mut self, at: Hpa, word: u64) -> std::result::Result<(), Occupied> {
        self.put(at, word, self.writer)
    }

    fn carry(&mut self, from: Hpa, to: Hpa, word: u64) -> std::result::Result<(), Occupied> {
        let host = self.writer;
        self.writer = self.owners.remove(&from.0).unwrap_or(host);
        let put = self.put(to, word, self.writer);
        self.writer = host;
        put
    }
}

/// The kind of a table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Host,
    Guest,
}

pub(super) fn rights(field: &Field<'_>) -> Result<Rights> {
    let expected = "any of the letters r, w, x, or \"\" for no rights";
    let mut rights = Rights {
        read: false,
        write: false,
        execute: false,
    };
    for letter in field.string(expected)?.chars() {
        let right = match letter {
            'r' => &mut rights.read,
            'w' => &mut rights.write,
            'x' => &mut rights.execute,
            _ => return Err(field.wrong(format!("unknown right `{letter}`"), expected)),
        };
        if std::mem::replace(right, true) {
            return Err(field.wrong(format!("the right `{letter}` is given twice"), expected));
        }
    }
    Ok(rights)
}

/// All tables that are given as mappings, and the memory that holds them.
pub(super) struct Layout<'a> {
    pub(super) format: Format,
    pub(super) ledger: Ledger,
    pub(super) frames: Option<TableFrames>,
    pub(super) spent: Spent,
    /// The tables of the handout's formats.
    pub(super) handout: handout::Tables<'a>,
    /// The tables of the RISC-V formats.
    pub(super) riscv: riscv::Tables<'a>,
}

impl<'a> Layout<'a> {
    pub(super) fn new(format: Format, memory: &Memory, lines: &Lines) -> Result<Self> {
        let frames = memory
            .tables
            .map(|(from, bytes)| TableFrames::new(format, from, bytes))
            .transpose()
            .map_err(|error| Problem::at(&memory.tables_span, error.to_string()))?;
        let mut ledger = Ledger::new(format, &memory.images, lines)?;
        ledger.memory.set_regions(memory.regions.clone());
        Ok(Self {
            format,
            ledger,
            spent: Spent::default(),
            frames,
            handout: handout::Tables::default(),
            riscv: riscv::Tables::default(),
        })
    }

    /// Records that a word is written, or made a hole, by an operation.
    pub(super) fn write(&mut self, at: Hpa, word: Option<u64>, line: usize) {
        match word {
            Some(word) => {
                self.ledger.memory.write(at, word);
                if self.ledger.owner(at).is_none() {
                    let owner = self.ledger.add_name(format!("the `write` of line {line}"));
                    self.ledger.owners.insert(at.0, owner);
                }
            }
            None => self.ledger.memory.remove(at),
        }
    }

    /// Returns the number of tables that are given as mappings.
    pub(super) fn count(&self) -> usize {
        self.handout.count() + self.riscv.count()
    }

    /// Returns the words of tables that were changed since the last call.
    pub(super) fn take_written(&mut self) -> Vec<(Hpa, u64)> {
        std::mem::take(&mut self.ledger.written)
    }

    /// Returns the memory at the start, and leaves it empty here.
    pub(super) fn take_memory(&mut self) -> HostMemory {
        self.ledger.written.clear();
        self.ledger.memory.clone()
    }
}

pub(super) fn index_of<'n>(
    field: &Field<'_>,
    kind: &str,
    name: &str,
    names: impl Iterator<Item = &'n str> + Clone,
) -> Result<usize> {
    (names.clone().position(|known| known == name))
        .ok_or_else(|| field.unknown(kind, name, &names.collect::<Vec<_>>()))
}

pub(super) fn host_problem(place: &Span, name: &str, error: &TableError) -> Box<Problem> {
    table_problem(place, &format!("host table `{name}`"), error)
}

pub(super) fn guest_problem(place: &Span, name: &str, error: &TableError) -> Box<Problem> {
    let problem = table_problem(place, &format!("guest table `{name}`"), error);
    match error {
        TableError::NoGuestRoom { .. } => problem.help(
            "guest tables are placed in pages that the host maps readable, and to which no guest \
             maps anything: map another page, or give the gPA where the tables start: tables = ...",
        ),
        TableError::GuestTableUnmapped { .. } => {
            problem.help("map that page in the host table, or give another gPA: tables = ...")
        }
        _ => problem,
    }
}

fn table_problem(place: &Span, table: &str, error: &TableError) -> Box<Problem> {
    match error {
        TableError::Occupied(occupied) => Problem::at(
            place,
            format!("overlapping: a word of {table} is at the address of another word: {occupied}"),
        ),
        TableError::NoFrame { .. } => Problem::at(place, format!("{table}: {error}"))
            .help("make it larger: `bytes` of `tables` in [memory]"),
        _ => Problem::at(place, format!("{table}: {error}")),
    }
}
