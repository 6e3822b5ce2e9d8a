// SPDX-License-Identifier: Apache-2.0
//! Translation vectors: single translations with the answer that they must have, one JSON object a line, gzipped or not.
//!
//! A vector has the control registers, the access, the words of memory, the answer, and every table entry that is read or updated on
//! the way; `docs/vectors.md` has the fields. [`Vectors`] reads a file, [`judge`] compares a vector with what was seen, [`device`]
//! runs it on the RTL, and [`check`] does all of it for a file.

pub mod check;
pub mod device;
pub mod judge;
pub mod record;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::addr::{Gva, Hpa};
use crate::format::Format;
use crate::format::riscv::{AccessKind, CsrError, Csrs, Privilege};
use crate::mmu::{Context, Position, Purpose, Query};
use crate::shown;

/// A translation with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vector {
    /// Line of the file, from 1.
    pub line: u64,
    /// Its name in the file.
    pub id: String,
    /// How it was made.
    pub generator: String,
    /// The registers.
    pub csrs: Csrs,
    /// The access.
    pub kind: AccessKind,
    /// Of this address.
    pub va: Gva,
    /// How the access is translated, by the registers.
    pub context: Context,
    /// Privilege and virtualization that the access must be made with.
    pub effective: (Privilege, bool),
    /// The words of memory before, by ascending address. Another does not exist.
    pub memory: Vec<(Hpa, u64)>,
    /// The answer.
    pub expect: Answer,
    /// Every entry read, in order.
    pub reads: Vec<(Hpa, Tag)>,
    /// Every entry updated, in order, and its new word.
    pub writes: Vec<(Hpa, u64, Tag)>,
    /// Where and why the walk stops, in the words of the file; empty where it does not.
    pub remark: String,
}

impl Vector {
    /// The paging format.
    pub fn format(&self) -> Format {
        self.csrs.xlen.format()
    }

    /// What an MMU is asked.
    pub fn query(&self) -> Query {
        Query {
            context: self.context,
            gva: self.va,
            access: self.kind.access(),
        }
    }

    /// The words of memory after, by ascending address.
    pub fn memory_after(&self) -> Vec<(Hpa, u64)> {
        let mut memory = self.memory.clone();
        for &(at, word, _) in &self.writes {
            if let Ok(index) = memory.binary_search_by_key(&at, |&(at, _)| at) {
                memory[index].1 = word;
            }
        }
        memory
    }
}

/// What a hart sees of a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was found.
    Found {
        /// The physical address.
        pa: u64,
        /// The gPA of the access, where there are two stages.
        gpa: Option<u64>,
    },
    /// It traps.
    Trap {
        /// xcause.
        cause: u64,
        /// xtval.
        tval: u64,
        /// htval or mtval2.
        tval2: u64,
        /// htinst or mtinst.
        tinst: u64,
        /// GVA of hstatus or mstatus.
        gva: bool,
        /// The gPA of the access, where there are two stages and the first has found it.
        gpa: Option<u64>,
    },
}

/// Which table entry: `S2` of a single stage, level 2; `V2` of VS-stage; `G1@V2` of G-stage, level 1, to read the VS-stage entry of
/// level 2; `G1@W2` the same to update it; `G1@F` for the access itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tag {
    /// Of the only stage.
    Single(u32),
    /// Of VS-stage.
    Guest(u32),
    /// Of G-stage.
    Host(u32, Purpose),
}

impl Tag {
    /// Of a walk's position, in a virtual machine or not.
    pub fn of(at: Position, virt: bool) -> Self {
        match at {
            Position::Guest { level } if virt => Tag::Guest(level),
            Position::Guest { level } => Tag::Single(level),
            Position::Host { level, purpose, .. } => Tag::Host(level, purpose),
        }
    }

    /// Whether it is on the way to the update of a VS-stage entry, which not every MMU has to go.
    pub fn is_for_update(self) -> bool {
        matches!(self, Tag::Host(_, Purpose::GuestUpdate(_)))
    }
}

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Tag::Single(level) => write!(f, "S{level}"),
            Tag::Guest(level) => write!(f, "V{level}"),
            Tag::Host(level, Purpose::GuestEntry(n)) => write!(f, "G{level}@V{n}"),
            Tag::Host(level, Purpose::GuestUpdate(n)) => write!(f, "G{level}@W{n}"),
            Tag::Host(level, Purpose::Data) => write!(f, "G{level}@F"),
        }
    }
}

impl std::str::FromStr for Tag {
    type Err = VectorError;

    fn from_str(text: &str) -> Result<Self, VectorError> {
        let level = |text: &str| match text.as_bytes() {
            [digit @ b'0'..=b'4'] => Some(u32::from(digit - b'0')),
            _ => None,
        };
        let parse = || {
            let (place, purpose) = match text.split_once('@') {
                Some((place, purpose)) => (place, Some(purpose)),
                None => (text, None),
            };
            let at = level(place.get(1..)?)?;
            match (place.as_bytes().first()?, purpose) {
                (b'S', None) => Some(Tag::Single(at)),
                (b'V', None) => Some(Tag::Guest(at)),
                (b'G', Some("F")) => Some(Tag::Host(at, Purpose::Data)),
                (b'G', Some(purpose)) => {
                    let of = level(purpose.get(1..)?)?;
                    match purpose.as_bytes().first()? {
                        b'V' => Some(Tag::Host(at, Purpose::GuestEntry(of))),
                        b'W' => Some(Tag::Host(at, Purpose::GuestUpdate(of))),
                        _ => None,
                    }
                }
                _ => None,
            }
        };
        parse().ok_or_else(|| VectorError::Tag(text.into()))
    }
}

/// What is wrong with a vector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VectorError {
    /// No JSON object of the right fields.
    #[error("column {column}: {message}")]
    Json {
        /// Where in the line, from 1.
        column: usize,
        /// What; of a field that is missing, its name.
        message: String,
    },
    /// A tag of an entry.
    #[error("{0:?} is no tag of an entry; one is like S2, V2, G1@V2, G1@W2 or G1@F")]
    Tag(String),
    /// A field whose value cannot be.
    #[error("{field}: {message}")]
    Value {
        /// The field, with those that it is in.
        field: &'static str,
        /// What is wrong.
        message: String,
    },
    /// Registers that do not say how to translate.
    #[error("csrs: {0}")]
    Csrs(#[from] CsrError),
}

/// What keeps a file from being read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened.
    #[error(
        "{}: {source}\n  Name a file of translation vectors: one JSON object a line, gzipped or not.",
        shown::path(path)
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be read on, or is not compressed properly.
    #[error(
        "{}:{line}: {source}\n  The file is cut off or damaged; the lines before this one are readable.",
        shown::path(path)
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// The line that could not be read, from 1.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// A line is no vector.
    #[error("{}:{line}: {error}", shown::path(path))]
    Vector {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        error: VectorError,
    },
    /// There is no vector in it.
    #[error("{}:1: there is no vector in the file", shown::path(path))]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// The first bytes of a gzip file.
const GZIP: [u8; 2] = [0x1F, 0x8B];

/// The lines of a file of vectors.
pub struct Vectors {
    path: PathBuf,
    text: Box<dyn BufRead + Send>,
    line: u64,
}

impl Vectors {
    /// Opens a file. It is taken for gzip if it begins like that, else for text.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let open = || -> io::Result<Box<dyn BufRead + Send>> {
            let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
            if file.fill_buf()?.starts_with(&GZIP) {
                let text = MultiGzDecoder::new(file);
                return Ok(Box::new(BufReader::with_capacity(1 << 16, text)));
            }
            Ok(Box::new(file))
        };
        Ok(Self {
            text: open().map_err(|source| FileError::Open {
                path: path.into(),
                source,
            })?,
            path: path.into(),
            line: 0,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Up to `count` further lines, fewer of long ones, with their numbers, and without empty ones; none at the end of the file.
    ///
    /// # Errors
    /// If the file cannot be read on.
    pub fn lines(&mut self, count: usize) -> Result<Vec<(u64, String)>, FileError> {
        let mut lines = Vec::with_capacity(count);
        let mut bytes = 0;
        while lines.len() < count && bytes < MOST_AT_ONCE {
            let mut line = String::new();
            self.line += 1;
            let read = self
                .text
                .by_ref()
                .take(LONGEST_LINE)
                .read_line(&mut line)
                .and_then(|length| match length as u64 {
                    LONGEST_LINE => Err(io::Error::other("the line is too long for a vector")),
                    _ => Ok(length),
                });
            match read {
                Ok(0) => break,
                Ok(_) if line.trim().is_empty() => {}
                Ok(length) => {
                    bytes += length;
                    lines.push((self.line, line));
                }
                Err(source) => {
                    return Err(FileError::Read {
                        path: self.path.clone(),
                        line: self.line,
                        source,
                    });
                }
            }
        }
        Ok(lines)
    }

    /// Every vector of the file.
    ///
    /// # Errors
    /// If the file cannot be read, or a line is no vector.
    pub fn all(path: &Path) -> Result<Vec<Vector>, FileError> {
        let mut vectors = Vec::new();
        let mut file = Self::open(path)?;
        loop {
            let lines = file.lines(1024)?;
            if lines.is_empty() {
                return Ok(vectors);
            }
            for (line, text) in lines {
                vectors.push(
                    record::parse(line, &text).map_err(|error| FileError::Vector {
                        path: path.into(),
                        line,
                        error,
                    })?,
                );
            }
        }
    }
}

/// No vector is nearly as long, in bytes: what goes on like that is something else.
const LONGEST_LINE: u64 = 1 << 20;
/// Bytes of lines that are read at once, but for the last line.
const MOST_AT_ONCE: usize = 1 << 20;
