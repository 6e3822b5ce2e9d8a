// SPDX-License-Identifier: Apache-2.0
//! Translation vectors: single translations with their expected results, one JSON object per line,
//! plain or compressed with gzip.
//!
//! A vector has the control registers, the access, the words of memory, the result, and every table
//! entry that is read or updated. `docs/vectors.md` describes the fields. [`Vectors`] reads a file,
//! [`judge`] compares a vector with what was observed, [`device`] runs it on the RTL, and [`check`]
//! does all of this for a file.

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

/// A translation with its expected result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vector {
    /// Line of the file, from 1.
    pub line: u64,
    /// The name in the file.
    pub id: String,
    /// The generator of the vector.
    pub generator: String,
    /// The registers.
    pub csrs: Csrs,
    /// The access.
    pub kind: AccessKind,
    /// The virtual address.
    pub va: Gva,
    /// The context that follows from the registers.
    pub context: Context,
    /// Privilege and virtualization that the access must be made with.
    pub effective: (Privilege, bool),
    /// The words of memory before, by ascending address. Another does not exist.
    pub memory: Vec<(Hpa, u64)>,
    /// The expected result.
    pub expect: Answer,
    /// Every entry read, in order.
    pub reads: Vec<(Hpa, Tag)>,
    /// Every entry updated, in order, and its new word.
    pub writes: Vec<(Hpa, u64, Tag)>,
    /// The place and reason of the fault, in the words of the file. Empty: there is no fault.
    pub remark: String,
}

impl Vector {
    /// Returns the paging format.
    pub fn format(&self) -> Format {
        self.csrs.xlen.format()
    }

    /// Returns the request to the MMU.
    pub fn query(&self) -> Query {
        Query {
            context: self.context,
            gva: self.va,
            access: self.kind.access(),
        }
    }

    /// Returns the words of memory after, by ascending address.
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

/// The result of a translation, as a hart sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The translation was found.
    Found {
        /// The physical address.
        pa: u64,
        /// The gPA of the access, where there are two stages.
        gpa: Option<u64>,
    },
    /// The access traps.
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

/// The tag of a table entry: `S2` is level 2 of a single stage; `V2` is level 2 of the VS-stage;
/// `G1@V2` is level 1 of the G-stage on the way to the read of `V2`; `G1@W2` is the same for the
/// update of `V2`; `G1@F` belongs to the data access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tag {
    /// An entry of the only stage.
    Single(u32),
    /// An entry of the VS-stage.
    Guest(u32),
    /// An entry of the G-stage.
    Host(u32, Purpose),
}

impl Tag {
    /// Returns the tag of a walk's position, in a virtual machine or outside.
    pub fn of(at: Position, virt: bool) -> Self {
        match at {
            Position::Guest { level } if virt => Tag::Guest(level),
            Position::Guest { level } => Tag::Single(level),
            Position::Host { level, purpose, .. } => Tag::Host(level, purpose),
        }
    }

    /// Returns true if the entry is on the way to the update of a VS-stage entry. Not every MMU
    /// walks it.
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

/// An error in a vector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VectorError {
    /// No JSON object of the right fields.
    #[error("column {column}: {message}")]
    Json {
        /// The column in the line, from 1.
        column: usize,
        /// The error. For a missing field, its name.
        message: String,
    },
    /// A tag of an entry.
    #[error("{0:?} is not a tag of an entry; tags are like S2, V2, G1@V2, G1@W2 or G1@F")]
    Tag(String),
    /// A field has a value that is not possible.
    #[error("{field}: {message}")]
    Value {
        /// The field, with those that it is in.
        field: &'static str,
        /// The error.
        message: String,
    },
    /// Registers that do not define a translation.
    #[error("csrs: {0}")]
    Csrs(#[from] CsrError),
}

/// An error that ends the reading of a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be opened.
    #[error(
        "{}: {source}\n  Name a file of translation vectors: one JSON object per line, plain or \
         compressed with gzip.",
        shown::path(path)
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file cannot be read any further, or its compression is damaged.
    #[error(
        "{}:{line}: {source}\n  The file is truncated or damaged; the lines before this one are \
         readable.",
        shown::path(path)
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// The line that could not be read, from 1.
        line: u64,
        /// The reason.
        source: io::Error,
    },
    /// A line is not a vector.
    #[error("{}:{line}: {error}", shown::path(path))]
    Vector {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The error.
        error: VectorError,
    },
    /// The file has no vector.
    #[error("{}:1: the file has no vector", shown::path(path))]
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
    /// Opens a file. A file that begins like gzip is decompressed.
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

    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the next `count` lines or fewer, with their numbers, without empty lines. None at
    /// the end of the file. There are fewer if lines are long.
    ///
    /// # Errors
    /// If the file cannot be read any further.
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

    /// Returns every vector of the file.
    ///
    /// # Errors
    /// If the file cannot be read, or a line is not a vector.
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

/// The largest length of a line, in bytes. No vector is nearly as long.
const LONGEST_LINE: u64 = 1 << 20;
/// Bytes of lines that are read at once, but for the last line.
const MOST_AT_ONCE: usize = 1 << 20;
