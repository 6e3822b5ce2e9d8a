// SPDX-License-Identifier: Apache-2.0
//! Coverage as a file: JSON, with every bin by its name, so that it can be read, compared and
//! merged by anything.
//!
//! ```json
//! {
//!   "nestwalk-coverage": 2,
//!   "runs": [{ "profile": "rv64", "seed": 1, ... }],
//!   "formats": {
//!     "rv64": {
//!       "model": "1c2d...",
//!       "groups": { "fault": { "V=1 sv39 over sv39x4 | load | invalid | guest L0": 12, ... }, ... }
//!     }
//!   }
//! }
//! ```
//!
//! A bin that was not hit is left out. `model` stands for the names and rules of all bins: files of
//! programs that differ there are not merged.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use super::model::Model;
use super::{Coverage, MergeError, Run};
use crate::format::Format;
use crate::shown;

/// The version of the format of the file.
pub const VERSION: u64 = 2;

/// The most runs of a file.
const MOST_RUNS: usize = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Looked at before the rest.
    #[serde(rename = "nestwalk-coverage")]
    _version: u64,
    runs: Vec<Run>,
    formats: BTreeMap<String, Counts>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Counts {
    model: String,
    groups: BTreeMap<String, BTreeMap<String, u64>>,
}

/// No coverage can be read from a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", shown::path(path))]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not such a file.
    #[error(
        "{}: not a coverage file: {source}\n  `nestwalk fuzz --coverage FILE` writes one.",
        shown::path(path)
    )]
    Json {
        /// Which.
        path: PathBuf,
        /// What, with line and column.
        source: serde_json::Error,
    },
    /// It is of another version.
    #[error(
        "{}: version {found} of coverage files, and this program knows version {VERSION}\n  Make it again with this program.",
        shown::path(path)
    )]
    Version {
        /// Which.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// It counts other bins than this program.
    #[error(
        "{}: coverage of {format} by a program with other bins (model {found}, here {expected})\n  Make it again with this program.",
        shown::path(path)
    )]
    Model {
        /// Which file.
        path: PathBuf,
        /// Which format.
        format: Format,
        /// The model of the file.
        found: String,
        /// That of this program.
        expected: String,
    },
    /// It names something that there is not.
    #[error("{}: there is no {what} {name:?}", shown::path(path))]
    Unknown {
        /// Which file.
        path: PathBuf,
        /// Format, group or bin.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Its runs are none that this program writes.
    #[error("{}: {what}\n  Make it again with this program.", shown::path(path))]
    Runs {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// It cannot be added to the others.
    #[error("{}: {source}\n  Name every file once.", shown::path(path))]
    Merge {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: MergeError,
    },
}

fn model_name(model: &Model) -> String {
    format!("{:016x}", model.hash)
}

/// As the text of a file. Of equal coverage the text is equal.
pub fn to_json(coverage: &Coverage) -> String {
    let formats: BTreeMap<&str, Value> = coverage
        .formats()
        .map(|format| {
            let model = Model::of(format);
            let groups: BTreeMap<&str, BTreeMap<String, u64>> = model
                .groups
                .iter()
                .map(|group| {
                    let counts = coverage.group(format, group).iter().enumerate();
                    let hit = counts.filter(|&(_, &count)| count > 0);
                    (
                        group.name,
                        hit.map(|(bin, &count)| (group.bin_name(bin), count))
                            .collect(),
                    )
                })
                .collect();
            (
                format.name(),
                json!({ "model": model_name(model), "groups": groups }),
            )
        })
        .collect();
    let file = json!({
        "nestwalk-coverage": VERSION,
        "runs": coverage.runs,
        "formats": formats,
    });
    format!("{file:#}\n")
}

/// Reads the text of a file; `path` is for errors.
///
/// # Errors
/// If it is not coverage of this program's bins.
pub fn parse(path: &Path, text: &str) -> Result<Coverage, FileError> {
    let json = |source| FileError::Json {
        path: path.into(),
        source,
    };
    let unknown = |what, name: &str| FileError::Unknown {
        path: path.into(),
        what,
        name: name.into(),
    };
    // The version first: another one may have other fields.
    #[derive(Deserialize)]
    struct OfVersion {
        #[serde(rename = "nestwalk-coverage")]
        version: Option<u64>,
    }
    let of: OfVersion = serde_json::from_str(text).map_err(json)?;
    if let Some(found) = of.version
        && found != VERSION
    {
        return Err(FileError::Version {
            path: path.into(),
            found,
        });
    }
    let file: File = serde_json::from_str(text).map_err(json)?;
    let wrong = match () {
        () if file.runs.len() > MOST_RUNS => Some("it has more than 4096 runs"),
        () if !file.runs.iter().all(Run::is_sound) => {
            Some("the shards of a run are not in order, or are none that a campaign has")
        }
        () => None,
    };
    if let Some(what) = wrong {
        return Err(FileError::Runs {
            path: path.into(),
            what,
        });
    }
    let mut coverage = Coverage {
        runs: file.runs,
        ..Coverage::default()
    };
    for (name, counts) in &file.formats {
        let format: Format = name.parse().map_err(|_| unknown("format", name))?;
        let model = Model::of(format);
        if counts.model != model_name(model) {
            return Err(FileError::Model {
                path: path.into(),
                format,
                found: counts.model.clone(),
                expected: model_name(model),
            });
        }
        let all = coverage.counts_mut(format);
        for (name, bins) in &counts.groups {
            let group = model.groups.iter().find(|group| group.name == name);
            let group = group.ok_or_else(|| unknown("group", name))?;
            for (name, &count) in bins {
                let bin = group.bin_of_name(name);
                let bin = bin.ok_or_else(|| unknown("bin", name))?;
                all[group.start + bin] = count;
            }
        }
    }
    Ok(coverage)
}
