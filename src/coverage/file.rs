// SPDX-License-Identifier: Apache-2.0
//! Coverage as a file. It is JSON with every bin by its name, so that other programs can read,
//! compare and merge it.
//!
//! ```json
//! {
//!   "nestwalk-coverage": 2,
//!   "runs": [{ "profile": "rv64", "seed": 1, ... }],
//!   "formats": {
//!     "rv64": {
//!       "model": "1c2d...",
//!       "groups": {
//!         "fault": { "V=1 sv39 over sv39x4 | load | invalid | guest L0": 12, ... },
//!         ...
//!       }
//!     }
//!   }
//! }
//! ```
//!
//! Bins that were not hit are left out. `model` is a hash of the names and rules of all bins. Files
//! with different hashes are not merged.

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

/// The largest number of runs in a file.
const MOST_RUNS: usize = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The version, which [`parse`] checks first.
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

/// The reason why no coverage can be read from a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", shown::path(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file is not a coverage file.
    #[error(
        "{}: not a coverage file: {source}\n  `nestwalk fuzz --coverage FILE` writes one.",
        shown::path(path)
    )]
    Json {
        /// The file.
        path: PathBuf,
        /// The error, with line and column.
        source: serde_json::Error,
    },
    /// The file has another version.
    #[error(
        "{}: version {found} of coverage files, but this program reads version {VERSION}\n  Make \
         the file again with this program.",
        shown::path(path)
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The version of the file.
        found: u64,
    },
    /// The file counts other bins than this program.
    #[error(
        "{}: coverage of {format} by a program with other bins (model {found}, here {expected})\n  \
         Make the file again with this program.",
        shown::path(path)
    )]
    Model {
        /// The file.
        path: PathBuf,
        /// The format.
        format: Format,
        /// The model of the file.
        found: String,
        /// The model of this program.
        expected: String,
    },
    /// The file names a format, group or bin that does not exist.
    #[error("{}: there is no {what} {name:?}", shown::path(path))]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Format, group or bin.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The file has runs that this program does not write.
    #[error(
        "{}: {what}\n  Make the file again with this program.",
        shown::path(path)
    )]
    Runs {
        /// The file.
        path: PathBuf,
        /// The error.
        what: &'static str,
    },
    /// The file cannot be merged with the others.
    #[error("{}: {source}\n  Name every file once.", shown::path(path))]
    Merge {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: MergeError,
    },
}

fn model_name(model: &Model) -> String {
    format!("{:016x}", model.hash)
}

/// Renders coverage as the text of a file. Equal coverage has equal text.
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

/// Reads the text of a file. `path` is for errors.
///
/// # Errors
/// If the text is not coverage of this program's bins.
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
    // The version is read first, because another version may have other fields.
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
            Some("the shards of a run are not in order, or a campaign cannot have them")
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
