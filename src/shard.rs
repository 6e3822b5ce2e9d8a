// SPDX-License-Identifier: Apache-2.0
//! Shards: a campaign in parts, each run by itself, on any machine.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A part of a campaign: the scenarios whose number is `index` modulo `of`. Neighbours run in
/// different shards, so all shards take about the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// From 0.
    pub index: u64,
    /// Number of shards.
    pub of: u64,
}

/// The most shards of a campaign.
pub const MOST_SHARDS: u64 = 1_000_000;

/// An error in the description of a shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// The text does not have the form I/N.
    #[error("{0:?} is not a shard: give I/N, where I is from 0 to N-1, or auto")]
    Form(String),
    /// The number of the shard is too large.
    #[error("there is no shard {index} of {of}: the last of N shards is number N-1")]
    Range {
        /// The number.
        index: u64,
        /// Number of shards.
        of: u64,
    },
    /// There are too many.
    #[error("{0} shards: a campaign has at most {MOST_SHARDS}")]
    TooMany(u64),
    /// No variable gives the shard.
    #[error(
        "--shard auto: none of {0} is set\n  Run it as a task of a job array or of a parallel CI \
         job, or give --shard I/N."
    )]
    NoArray(String),
    /// The variables of several schedulers give a shard.
    #[error("--shard auto: {0} and {1} are both set\n  Give the shard: --shard I/N.")]
    Several(&'static str, &'static str),
    /// A variable is missing.
    #[error("--shard auto: {there} is set, but {missing} is not\n  Give --shard I/N.")]
    Missing {
        /// A variable that is set.
        there: &'static str,
        /// The variable that is missing.
        missing: &'static str,
    },
    /// A variable is not a number.
    #[error("--shard auto: {name} is {value:?}, which is not a number\n  Give --shard I/N.")]
    NoNumber {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// Variables contradict one another, or the array is one with gaps.
    #[error("--shard auto: {0}\n  Give --shard I/N.")]
    Inconsistent(String),
}

impl Shard {
    /// The whole campaign.
    pub const WHOLE: Shard = Shard { index: 0, of: 1 };

    /// Returns shard `index` of `of`.
    ///
    /// # Errors
    /// If there is no such shard.
    pub fn new(index: u64, of: u64) -> Result<Self, ShardError> {
        match index < of {
            true if of > MOST_SHARDS => Err(ShardError::TooMany(of)),
            true => Ok(Self { index, of }),
            false => Err(ShardError::Range { index, of }),
        }
    }

    /// Returns true if two shards, of any numbers of shards, share one of the first `scenarios`
    /// scenarios.
    pub fn overlaps(self, other: Shard, scenarios: u64) -> bool {
        let (mut common, mut rest) = (self.of, other.of);
        while rest != 0 {
            (common, rest) = (rest, common % rest);
        }
        if common == 0 || self.index % common != other.index % common {
            return false;
        }
        // The first common scenario comes before the product of the two numbers. A search in steps
        // of the larger number finds it within as many steps as the smaller number.
        let (coarse, fine) = if self.of > other.of {
            (self, other)
        } else {
            (other, self)
        };
        (0..fine.of / common)
            .map_while(|step| step.checked_mul(coarse.of)?.checked_add(coarse.index))
            .take_while(|number| *number < scenarios)
            .any(|number| fine.has(number))
    }

    /// Returns true if the shard is the whole campaign.
    pub fn is_whole(self) -> bool {
        self.of == 1
    }

    /// Returns true if a scenario belongs to the shard.
    pub fn has(self, scenario: u64) -> bool {
        scenario % self.of == self.index
    }

    /// Returns the number of the first `scenarios` scenarios that belong to the shard.
    pub fn share(self, scenarios: u64) -> u64 {
        scenarios / self.of + u64::from(self.index < scenarios % self.of)
    }

    /// Returns the shard given by the variables of a job array's task or of a parallel CI job.
    /// `variable` returns the value of a variable.
    ///
    /// # Errors
    /// If no variable is set, the variables of two schedulers are set, some are missing, or they
    /// contradict each other.
    pub fn of_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ShardError> {
        // Grid Engine sets its variables to this value outside an array.
        let value = |name: &str| variable(name).filter(|value| value != "undefined");
        let mut set = (SCHEDULERS.iter()).filter(|scheduler| value(scheduler.index).is_some());
        let Some(scheduler) = set.next() else {
            let names: Vec<_> = (SCHEDULERS.iter())
                .map(|scheduler| format!("{} ({})", scheduler.index, scheduler.name))
                .collect();
            return Err(ShardError::NoArray(names.join(", ")));
        };
        if let Some(other) = set.next() {
            return Err(ShardError::Several(scheduler.index, other.index));
        }
        let number = |name: &'static str| -> Result<u64, ShardError> {
            let value = value(name).ok_or(ShardError::Missing {
                there: scheduler.index,
                missing: name,
            })?;
            let number = value.trim().parse();
            number.map_err(|_| ShardError::NoNumber { name, value })
        };
        let id = number(scheduler.index)?;
        match scheduler.numbers {
            Numbers::Count { count, first } => {
                let of = number(count)?;
                let index = id.checked_sub(first).filter(|index| *index < of);
                let index = index.ok_or_else(|| {
                    ShardError::Inconsistent(format!(
                        "{}={id} is not from {first} on, {count}={of} in all",
                        scheduler.index
                    ))
                })?;
                Self::new(index, of)
            }
            Numbers::Range {
                first,
                last,
                step,
                count,
            } => {
                let range = (number(first)?, number(last)?, number(step)?);
                let count = count.map(number).transpose()?;
                let Shard { index, of } = of_range(id, range, count).ok_or_else(|| {
                    let (from, to, by) = range;
                    let count = count.map_or(String::new(), |count| format!(", {count} tasks"));
                    ShardError::Inconsistent(format!(
                        "{}={id} is not a task of an array without gaps from {from} to {to} in \
                         steps of {by}{count}",
                        scheduler.index
                    ))
                })?;
                Self::new(index, of)
            }
        }
    }
}

/// Returns the shard that is task `id` of an array from the first to the last number in steps;
/// none if the task is not in the array, or the array has gaps.
fn of_range(id: u64, (first, last, step): (u64, u64, u64), count: Option<u64>) -> Option<Shard> {
    let steps_to = |number: u64| {
        let way = number.checked_sub(first)?;
        (step > 0 && way.is_multiple_of(step)).then(|| way / step)
    };
    // A last number that no step reaches is cut to the last that one does.
    let of = last.checked_sub(first)?.checked_div(step)?.checked_add(1)?;
    let index = steps_to(id)?;
    (index < of && count.is_none_or(|count| count == of)).then_some(Shard { index, of })
}

/// The variables by which a scheduler tells its tasks their numbers.
struct Scheduler {
    name: &'static str,
    /// The variable with the task's number.
    index: &'static str,
    numbers: Numbers,
}

enum Numbers {
    Count {
        count: &'static str,
        first: u64,
    },
    Range {
        first: &'static str,
        last: &'static str,
        step: &'static str,
        count: Option<&'static str>,
    },
}

/// From the manuals: sbatch(1) "OUTPUT ENVIRONMENT VARIABLES", qsub(1) of Grid Engine, and the
/// lists of predefined variables of GitLab CI, Buildkite and CircleCI.
const SCHEDULERS: [Scheduler; 5] = [
    Scheduler {
        name: "Slurm",
        index: "SLURM_ARRAY_TASK_ID",
        numbers: Numbers::Range {
            first: "SLURM_ARRAY_TASK_MIN",
            last: "SLURM_ARRAY_TASK_MAX",
            step: "SLURM_ARRAY_TASK_STEP",
            count: Some("SLURM_ARRAY_TASK_COUNT"),
        },
    },
    Scheduler {
        name: "Grid Engine",
        index: "SGE_TASK_ID",
        numbers: Numbers::Range {
            first: "SGE_TASK_FIRST",
            last: "SGE_TASK_LAST",
            step: "SGE_TASK_STEPSIZE",
            count: None,
        },
    },
    Scheduler {
        name: "GitLab CI",
        index: "CI_NODE_INDEX",
        numbers: Numbers::Count {
            count: "CI_NODE_TOTAL",
            first: 1,
        },
    },
    Scheduler {
        name: "Buildkite",
        index: "BUILDKITE_PARALLEL_JOB",
        numbers: Numbers::Count {
            count: "BUILDKITE_PARALLEL_JOB_COUNT",
            first: 0,
        },
    },
    Scheduler {
        name: "CircleCI",
        index: "CIRCLE_NODE_INDEX",
        numbers: Numbers::Count {
            count: "CIRCLE_NODE_TOTAL",
            first: 0,
        },
    },
];

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || ShardError::Form(text.to_owned());
        let (index, of) = text.split_once('/').ok_or_else(form)?;
        Self::new(
            index.parse().map_err(|_| form())?,
            of.parse().map_err(|_| form())?,
        )
    }
}
