// SPDX-License-Identifier: Apache-2.0
//! The audit of a recording: the requests, memory requests, fences and responses of a device that
//! any simulator has recorded, judged by the checks of the ports.
//!
//! - A [`Map`] names the signals behind the ports of the socket, and describes the device.
//! - `wave` samples FST and VCD files, and [`events`] reads JSON lines. Both give the ports cycle
//!   by cycle ([`Observed`]).
//! - [`Auditor`] judges the cycles.
//!
//! `docs/audit.md` is the manual.

pub mod events;
mod map;
pub mod record;
mod signal;
mod wave;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

pub use self::map::{Map, template};
use crate::bench::auditor::{Auditor, Figures, Finding, Observed, RecordingError};
use crate::dut::description::{Description, Visibility};
use crate::scenario::parse::ParseError;
use crate::shown;

/// An audit cannot be made, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The map cannot be read.
    #[error(
        "cannot read {}: {source}\n  `nestwalk audit --new FILE` writes a map.",
        shown::path(path)
    )]
    ReadMap {
        /// The map.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Something in the map is wrong.
    #[error(transparent)]
    Map(#[from] ParseError),
    /// The recording cannot be opened or read.
    #[error("cannot read {}: {source}", shown::path(path))]
    Read {
        /// The recording.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The recording is none that can be read.
    #[error(
        "{} is no FST, no VCD and no JSON lines\n  Other formats of waves can be converted to one \
         of these.",
        shown::path(path)
    )]
    UnknownFormat {
        /// The recording.
        path: PathBuf,
    },
    /// A wave is damaged.
    #[error("{} cannot be read as {format}: {reason}", shown::path(path))]
    Damaged {
        /// The recording.
        path: PathBuf,
        /// The format of the wave.
        format: &'static str,
        /// The reason.
        reason: String,
    },
    /// A wave that is not one of this program.
    #[error(
        "{} has {what}, so it is not a wave of this device by `nestwalk wave`\n  \
         Describe the recording with --map.",
        shown::path(path)
    )]
    NotOurWave {
        /// The recording.
        path: PathBuf,
        /// What is not there.
        what: String,
    },
    /// The clock of the map never has its edge.
    #[error(
        "{}: {clock} has no {edge} edge, so there is no cycle",
        shown::path(path)
    )]
    NoCycles {
        /// The recording.
        path: PathBuf,
        /// The clock.
        clock: String,
        /// The edge.
        edge: &'static str,
    },
    /// The device is never out of reset.
    #[error(
        "{}: the reset of the map is active, or unknown, in each of {cycles} cycles",
        shown::path(path)
    )]
    AlwaysInReset {
        /// The recording.
        path: PathBuf,
        /// Its cycles.
        cycles: u64,
    },
    /// An input of the device has bits that are neither 0 nor 1, and that count.
    #[error(
        "{}: cycle {cycle}{}: `{port}` has bits that are neither 0 nor 1, out of reset",
        shown::path(path),
        at_time(*time)
    )]
    UnknownInput {
        /// The recording.
        path: PathBuf,
        /// The cycle.
        cycle: u64,
        /// Its time, in a wave.
        time: Option<u64>,
        /// The port.
        port: &'static str,
    },
    /// A line of JSON is wrong.
    #[error("{}:{line}: {problem}", shown::path(path))]
    Line {
        /// The recording.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The error in the line.
        problem: events::Problem,
    },
    /// The recording cannot be one of the device that the map describes.
    #[error("{}: {problem}", shown::path(path))]
    Recording {
        /// The recording.
        path: PathBuf,
        /// The reason.
        problem: RecordingError,
    },
}

fn at_time(time: Option<u64>) -> String {
    time.map_or_else(String::new, |time| format!(" (time {time})"))
}

/// The consumer of the cycles of a recording.
pub trait Cycles {
    /// Takes the next cycle, with its time in a wave.
    ///
    /// # Errors
    /// If the cycle cannot be one of the device.
    fn cycle(&mut self, observed: Observed, time: Option<u64>) -> Result<(), RecordingError>;

    /// Returns true if the recording is to be read no further.
    fn is_interrupted(&self) -> bool;
}

/// A recording that has been opened.
pub struct Recording {
    path: PathBuf,
    source: Source,
    description: Description,
}

enum Source {
    Wave(Box<wave::Wave>),
    Events(Box<events::Reader>),
}

impl Recording {
    /// Opens a recording. `-` is the standard input.
    ///
    /// # Errors
    /// If it cannot be read, or the map does not fit it.
    pub fn open(path: &Path, map: &Map) -> Result<Self, AuditError> {
        let cannot = |source| AuditError::Read {
            path: path.to_owned(),
            source,
        };
        let input: Box<dyn Read> = match path == Path::new("-") {
            true => Box::new(io::stdin()),
            false => {
                let mut file = File::open(path).map_err(cannot)?;
                if file.metadata().map_err(cannot)?.is_file() {
                    let is_events = starts_as_events(&mut file).map_err(cannot)?;
                    if !is_events {
                        let (wave, description) = wave::Wave::open(path, file, map)?;
                        return Ok(Self {
                            path: path.to_owned(),
                            source: Source::Wave(Box::new(wave)),
                            description,
                        });
                    }
                }
                Box::new(file)
            }
        };
        let description = map.of_events()?;
        let reader = events::Reader::open(path, BufReader::new(input), &description)?;
        Ok(Self {
            path: path.to_owned(),
            source: Source::Events(Box::new(reader)),
            description,
        })
    }

    /// The description of the device.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Tells whether the recording shows what is offered and not accepted.
    pub fn shows_waits(&self) -> bool {
        match &self.source {
            Source::Wave(_) => true,
            Source::Events(reader) => reader.shows_waits(),
        }
    }

    /// The checks of the device at a level of visibility.
    pub fn auditor(&self, visibility: Visibility) -> Auditor {
        Auditor::new(&self.description, visibility, self.shows_waits())
    }

    /// Hands the cycles of the recording to `to`, one after the other.
    ///
    /// # Errors
    /// If the recording is damaged, or cannot be one of the device.
    pub fn run(self, to: &mut impl Cycles) -> Result<(), AuditError> {
        match self.source {
            Source::Wave(wave) => wave.run(&self.path, to),
            Source::Events(reader) => reader.run(&self.path, to),
        }
    }
}

/// Returns true if a file begins as JSON lines do. The file is at its start again then.
fn starts_as_events(file: &mut File) -> io::Result<bool> {
    use std::io::Seek;
    let mut head = Vec::new();
    BufReader::new(&mut *file)
        .take(64)
        .read_until(b'{', &mut head)?;
    file.rewind()?;
    let blank = head.iter().take_while(|byte| byte.is_ascii_whitespace());
    Ok(head.get(blank.count()) == Some(&b'{'))
}

/// Judges the cycles of a recording.
pub struct Audit<F, I> {
    /// The checks.
    pub auditor: Auditor,
    /// Called with each violation.
    pub found: F,
    /// Returns true if the audit is to end early. Called for each cycle, with its number.
    pub interrupted: I,
}

impl<F: FnMut(&Auditor, Finding), I: Fn() -> bool> Audit<F, I> {
    /// Ends the audit, and returns its figures.
    pub fn finish(mut self) -> Figures {
        self.auditor.finish(&mut self.found)
    }
}

impl<F: FnMut(&Auditor, Finding), I: Fn() -> bool> Cycles for Audit<F, I> {
    fn cycle(&mut self, observed: Observed, time: Option<u64>) -> Result<(), RecordingError> {
        self.auditor.cycle(observed, time, &mut self.found)
    }

    fn is_interrupted(&self) -> bool {
        (self.interrupted)()
    }
}
