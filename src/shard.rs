// SPDX-License-Identifier: Apache-2.0
//! Shards: a campaign in parts, each run by itself, on any machine.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A part of a campaign: of its scenarios, those whose number is `index` modulo `of`. Neighbours go to different shards, so that
/// shards take equally long whatever changes in the course of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// From 0.
    pub index: u64,
    /// How many there are.
    pub of: u64,
}

/// The most shards of a campaign.
pub const MOST_SHARDS: u64 = 1_000_000;

/// What is no shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// Not of the form.
    #[error("{0:?} is no shard: say I/N, with N shards of which I is one of 0 to N-1, or auto")]
    Form(String),
    /// The number is not among them.
    #[error("there is no shard {index} of {of}: shards are numbered from 0 to N-1")]
    Range {
        /// The number.
        index: u64,
        /// How many there are.
        of: u64,
    },
    /// There are too many.
    #[error("{0} shards: a campaign has at most {MOST_SHARDS}")]
    TooMany(u64),
    /// No variable says which.
    #[error(
        "--shard auto: none of {0} is set\n  Run it as a task of a job array or of a parallel CI job, or say --shard I/N."
    )]
    NoArray(String),
    /// More than one scheduler says which.
    #[error("--shard auto: {0} and {1} are both set\n  Say which is meant: --shard I/N.")]
    Several(&'static str, &'static str),
    /// A variable is missing.
    #[error("--shard auto: {there} is set, but {missing} is not\n  Say --shard I/N.")]
    Missing {
        /// One that is there.
        there: &'static str,
        /// One that would have to be.
        missing: &'static str,
    },
    /// A variable is no number.
    #[error("--shard auto: {name} is {value:?}, which is no number\n  Say --shard I/N.")]
    NoNumber {
        /// The variable.
        name: &'static str,
        /// What it is.
        value: String,
    },
    /// Variables contradict one another, or the array is one with gaps.
    #[error("--shard auto: {0}\n  Say --shard I/N.")]
    Inconsistent(String),
}

impl Shard {
    /// The whole campaign.
    pub const WHOLE: Shard = Shard { index: 0, of: 1 };

    /// Shard `index` of `of`.
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

    /// Whether two shards, of whatever numbers of them, share one of the first `scenarios` scenarios.
    pub fn overlaps(self, other: Shard, scenarios: u64) -> bool {
        let (mut common, mut rest) = (self.of, other.of);
        while rest != 0 {
            (common, rest) = (rest, common % rest);
        }
        if common == 0 || self.index % common != other.index % common {
            return false;
        }
        // The first that both have comes before the product of the two numbers; a step finds it among as many as the smaller one.
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

    /// Whether it is the whole campaign.
    pub fn is_whole(self) -> bool {
        self.of == 1
    }

    /// Whether a scenario belongs to it.
    pub fn has(self, scenario: u64) -> bool {
        scenario % self.of == self.index
    }

    /// How many of the first `scenarios` scenarios belong to it.
    pub fn share(self, scenarios: u64) -> u64 {
        scenarios / self.of + u64::from(self.index < scenarios % self.of)
    }

    /// The shard that the variables of a job array's task, or of a parallel CI job, name. `variable` gives a variable's value.
    ///
    /// # Errors
    /// If none are set, or those of two schedulers, or some are missing, or they do not fit together.
    pub fn of_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ShardError> {
        // Grid Engine sets its variables to this where there is no array.
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
                        "{}={id} is no task of an array without gaps from {from} to {to} in steps of {by}{count}",
                        scheduler.index
                    ))
                })?;
                Self::new(index, of)
            }
        }
    }
}

/// The shard that is task `id` of an array that runs from the first to the last number in steps. None if it is not in it, or if
/// the array has gaps.
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

/// How a scheduler tells its tasks which one they are.
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

/// After their manuals: sbatch(1) "OUTPUT ENVIRONMENT VARIABLES", qsub(1) of Grid Engine, and the lists of predefined variables of
/// GitLab CI, Buildkite and CircleCI.
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
