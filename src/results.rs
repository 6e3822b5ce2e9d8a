// SPDX-License-Identifier: Apache-2.0
//! Results of campaigns as files, and the merged results of all shards.
//!
//! A shard cannot know whether another one fails at an earlier scenario, so its file has the
//! figures of each scenario. The merged results equal those of one run, bit for bit: the figures up
//! to the first scenario that fails, and that failure.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bench::Stats;
use crate::campaign::{Campaign, Outcome, Shape};
use crate::input;
use crate::report::{json as as_json, text};
use crate::shard::{MOST_SHARDS, Shard};
use crate::shown;
use crate::stimulus;
use crate::version::Versions;

/// Version of the format of these files.
pub const VERSION: u32 = 4;

/// The results of a campaign, or of a shard of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// [`VERSION`].
    pub nestwalk_results: u32,
    /// The campaign.
    pub campaign: Of,
    /// The part of it.
    pub shard: Shard,
    /// The run was interrupted: the figures count the scenarios that had run.
    pub interrupted: bool,
    /// Scenarios that ran, up to the first that failed.
    pub scenarios: u64,
    /// Their figures.
    pub stats: Stats,
    /// The first scenario that failed.
    pub failure: Option<Failed>,
    /// In the file of a shard, the figures of each scenario that passed, before the first that
    /// failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Vec<Row>>,
}

/// All inputs of which the result of a campaign is a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Of {
    /// Its profile, by name.
    pub profile: String,
    /// Its seed.
    pub seed: u64,
    /// Its accesses.
    pub count: u64,
    /// The other properties that the campaign depends on.
    pub shape: Shape,
    /// The versions that ran the campaign.
    pub versions: Versions,
}

/// The first scenario that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// Number of the scenario.
    pub scenario: u64,
    /// Statistics of the scenario up to the failure.
    pub stats: Stats,
    /// The failure, not shrunk.
    pub report: Value,
    /// The failure as text.
    pub text: String,
}

/// The figures of a scenario, in the order in which [`Stats`] has them.
pub type Row = [u64; 12];

fn row(stats: &Stats) -> Row {
    let Stats {
        cycles,
        accesses,
        hits,
        second_hits,
        faults,
        walks,
        merged,
        reads,
        updates,
        fences,
        replays,
        edits,
    } = *stats;
    [
        cycles,
        accesses,
        hits,
        second_hits,
        faults,
        walks,
        merged,
        reads,
        updates,
        fences,
        replays,
        edits,
    ]
}

fn stats(row: Row) -> Stats {
    let [
        cycles,
        accesses,
        hits,
        second_hits,
        faults,
        walks,
        merged,
        reads,
        updates,
        fences,
        replays,
        edits,
    ] = row;
    Stats {
        cycles,
        accesses,
        hits,
        second_hits,
        faults,
        walks,
        merged,
        reads,
        updates,
        fences,
        replays,
        edits,
    }
}

fn sum(rows: &[Row]) -> Stats {
    let mut total = Stats::default();
    for &one in rows {
        total.add(&stats(one));
    }
    total
}

/// The reason why results files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", shown::path(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file is of another kind.
    #[error(
        "{} is not a results file, as `nestwalk fuzz --results` writes it: {source}",
        shown::path(path)
    )]
    Form {
        /// The file.
        path: PathBuf,
        /// The place of the error, and its description.
        source: serde_json::Error,
    },
    /// The file has another version.
    #[error(
        "{} has version {found} of the format; this program reads version {VERSION}",
        shown::path(path)
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// Its figures do not fit together.
    #[error("{} is damaged: {what}", shown::path(path))]
    Broken {
        /// The file.
        path: PathBuf,
        /// The contradiction.
        what: String,
    },
    /// The run that wrote the file was interrupted.
    #[error(
        "{} has the results of an interrupted run\n  Run shard {shard} again.",
        shown::path(path)
    )]
    Interrupted {
        /// The file.
        path: PathBuf,
        /// The shard.
        shard: Shard,
    },
    /// The file belongs to another campaign than the first file.
    #[error(
        "{} belongs to another campaign than {}: {what}",
        shown::path(path),
        shown::path(first)
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The first file.
        first: PathBuf,
        /// The property that differs.
        what: String,
    },
    /// Two files have results of the same shard.
    #[error(
        "{} and {} are both shard {shard}",
        shown::path(first),
        shown::path(second)
    )]
    Doubled {
        /// A file.
        first: PathBuf,
        /// Another.
        second: PathBuf,
        /// The shard.
        shard: Shard,
    },
    /// Shards are missing.
    #[error("missing shards, of {of}: {missing}")]
    Missing {
        /// Number of shards.
        of: u64,
        /// The numbers of the missing shards.
        missing: String,
    },
}

impl Results {
    /// Returns the results of a run.
    pub fn new(campaign: &Campaign, shard: Shard, outcome: &Outcome) -> Self {
        Self {
            nestwalk_results: VERSION,
            campaign: Of {
                profile: campaign.profile.to_string(),
                seed: campaign.seed,
                count: campaign.count,
                shape: campaign.shape(),
                versions: campaign.versions(),
            },
            shard,
            interrupted: outcome.interrupted,
            scenarios: outcome.scenarios,
            stats: outcome.stats,
            failure: outcome.failed.as_ref().map(|(number, failed)| {
                let scenario = campaign.scenario(*number);
                Failed {
                    scenario: *number,
                    stats: failed.stats,
                    report: as_json::failure(&scenario, failed),
                    text: text::failure(&scenario, failed),
                }
            }),
            each: (!shard.is_whole()).then(|| outcome.each.iter().map(row).collect()),
        }
    }

    /// Returns the results as the text of a file, with one line for each scenario's figures.
    pub fn to_text(&self) -> String {
        let Some(each) = &self.each else {
            return serde_json::to_string_pretty(self).expect("figures and strings") + "\n";
        };
        let head = Self {
            each: None,
            ..self.clone()
        };
        let head = head.to_text();
        let head = head.trim_end().trim_end_matches('}').trim_end();
        let rows: Vec<_> = each.iter().map(|row| format!("\n    {row:?}")).collect();
        format!("{head},\n  \"each\": [{}\n  ]\n}}\n", rows.join(","))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, is not what it should be, or is of a run that was interrupted.
    pub fn read(path: &Path) -> Result<Self, ResultsError> {
        let form = |source| ResultsError::Form {
            path: path.to_owned(),
            source,
        };
        let text =
            input::read_text(path, input::MOST_RESULTS).map_err(|source| ResultsError::Read {
                path: path.to_owned(),
                source,
            })?;
        #[derive(Deserialize)]
        struct Version {
            nestwalk_results: u64,
        }
        let version: Version = serde_json::from_str(&text).map_err(form)?;
        if version.nestwalk_results != u64::from(VERSION) {
            return Err(ResultsError::Version {
                path: path.to_owned(),
                found: version.nestwalk_results,
            });
        }
        let results: Self = serde_json::from_str(&text).map_err(form)?;
        if results.interrupted {
            return Err(ResultsError::Interrupted {
                path: path.to_owned(),
                shard: results.shard,
            });
        }
        match results.contradiction() {
            None => Ok(results),
            Some(what) => Err(ResultsError::Broken {
                path: path.to_owned(),
                what: what.to_owned(),
            }),
        }
    }

    /// Returns a contradiction within the file, if there is one.
    fn contradiction(&self) -> Option<&'static str> {
        let Shard { index, of } = self.shard;
        if index >= of || of > MOST_SHARDS {
            return Some("there is no such shard");
        }
        let failed_at = self.failure.as_ref().map(|failed| failed.scenario);
        let all = stimulus::scenarios_of(self.campaign.count);
        if failed_at.is_some_and(|number| number >= all || !self.shard.has(number)) {
            return Some("the scenario that failed is none of this shard");
        }
        let passed = self.shard.share(failed_at.unwrap_or(all));
        if self.scenarios != passed + u64::from(failed_at.is_some()) {
            return Some("the number of scenarios is not that of the shard");
        }
        match &self.each {
            None if !self.shard.is_whole() => Some("a shard needs the figures of each scenario"),
            Some(_) if self.shard.is_whole() => Some("only a shard has figures of each scenario"),
            Some(each) if each.len() as u64 != passed => {
                Some("`each` has not as many lines as scenarios passed")
            }
            Some(each) => {
                let mut total = sum(each);
                if let Some(failed) = &self.failure {
                    total.add(&failed.stats);
                }
                (total != self.stats).then_some("the figures do not add up")
            }
            None => None,
        }
    }
}

/// Merges the results of all shards, in any order, into those of the whole campaign.
///
/// # Errors
/// If shards are missing or occur twice, or files belong to different campaigns.
///
/// # Panics
/// If there is no file at all.
pub fn merge(files: &[(PathBuf, Results)]) -> Result<Results, ResultsError> {
    let (first_path, first) = files.first().expect("at least one file");
    let of = first.shard.of;
    let mut by_shard: Vec<&(PathBuf, Results)> = Vec::new();
    for file in files {
        let (path, results) = file;
        if let Some(what) = difference(first, results) {
            return Err(ResultsError::Foreign {
                path: path.clone(),
                first: first_path.clone(),
                what,
            });
        }
        by_shard.push(file);
    }
    by_shard.sort_by_key(|(_, results)| results.shard.index);
    for pair in by_shard.windows(2) {
        if pair[0].1.shard == pair[1].1.shard {
            return Err(ResultsError::Doubled {
                first: pair[0].0.clone(),
                second: pair[1].0.clone(),
                shard: pair[0].1.shard,
            });
        }
    }
    if by_shard.len() as u64 != of {
        return Err(ResultsError::Missing {
            of,
            missing: missing(by_shard.iter().map(|(_, r)| r.shard.index), of),
        });
    }

    let failure = (by_shard.iter())
        .filter_map(|(_, results)| results.failure.as_ref())
        .min_by_key(|failed| failed.scenario);
    let mut merged = Results {
        shard: Shard::WHOLE,
        failure: failure.cloned(),
        each: None,
        ..first.clone()
    };
    if of == 1 {
        return Ok(merged);
    }
    merged.stats = failure.map_or_else(Stats::default, |failed| failed.stats);
    merged.scenarios = u64::from(failure.is_some());
    for (_, results) in by_shard {
        let each = results.each.as_deref().unwrap_or_default();
        // Count only the scenarios that one run would have counted.
        let counted = failure.map_or(each.len() as u64, |failed| {
            results.shard.share(failed.scenario)
        });
        let counted = &each[..counted as usize];
        merged.stats.add(&sum(counted));
        merged.scenarios += counted.len() as u64;
    }
    Ok(merged)
}

/// Returns the property in which two files differ if they belong to different campaigns.
fn difference(first: &Results, other: &Results) -> Option<String> {
    let of = |results: &Results| {
        let Of {
            profile,
            seed,
            count,
            shape:
                Shape {
                    device,
                    devices,
                    lean,
                    stimulus,
                    rtl,
                },
            versions,
        } = results.campaign.clone();
        let or = |name: Option<String>, none: &str| name.unwrap_or_else(|| none.to_owned());
        [
            ("profile", profile),
            ("seed", seed.to_string()),
            ("count", count.to_string()),
            ("program", versions.to_string()),
            ("RTL", rtl),
            ("device", or(device, "drawn for each scenario")),
            ("list of devices", format!("[{}]", devices.join(" "))),
            (
                "hash of the goals of --lean",
                or(lean, "there is no --lean"),
            ),
            ("generator of scenarios", stimulus),
            ("number of shards", results.shard.of.to_string()),
        ]
    };
    (of(first).into_iter().zip(of(other)))
        .find(|((_, here), (_, there))| here != there)
        .map(|((what, here), (_, there))| format!("{what} is {there}, not {here}"))
}

/// Lists the numbers below `of` that are not in `there`, which is in order. If there are many, it
/// lists only the first.
fn missing(there: impl Iterator<Item = u64>, of: u64) -> String {
    const SHOWN: usize = 20;
    let mut there = there.peekable();
    let mut missing = (0..of).filter(|index| there.next_if_eq(index).is_none());
    let shown: Vec<_> = (missing.by_ref().take(SHOWN))
        .map(|n| n.to_string())
        .collect();
    let more = if missing.next().is_some() {
        ", …"
    } else {
        ""
    };
    shown.join(", ") + more
}
