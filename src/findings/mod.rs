// SPDX-License-Identifier: Apache-2.0
//! A list of defects: a campaign that goes on after a failure.
//!
//! When a scenario fails, the rest of it is run as a scenario of its own ([`rest`]) on a device
//! without state. So each finding has a scenario that fails by itself. Findings with one
//! [`Signature`] are one defect of the list, as far as this can be told.

pub mod deviations;
pub mod signature;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use crate::bench::{Failed, Failure, Stats, run};
use crate::campaign::{Campaign, Devices};
use crate::dut::DutError;
use crate::scenario::{Op, Scenario};
use crate::shrink::{Found, confirm};
use deviations::{Condition, Deviation, accepting};
use signature::Signature;

/// The largest number of findings of one scenario. The rest of the scenario is not run then.
pub const MOST_OF_SCENARIO: u32 = 256;
/// The largest number of signatures whose scenarios are shrunk.
pub const MOST_SHRUNK: usize = 32;
/// The largest number of scenarios that are kept for a signature. The second one is shrunk if the
/// first one has not become small.
const KEPT: usize = 2;
/// A scenario of so many ops is small.
const SMALL: usize = 2;

/// The place of a finding in a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Place {
    /// The number of the scenario.
    pub scenario: u64,
    /// The part of the scenario: 0, and 1 more after each finding.
    pub part: u32,
}

/// A finding: a scenario that fails.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Its place.
    pub place: Place,
    /// The scenario, or a rest of it.
    pub scenario: Scenario,
    /// The failure.
    pub failed: Failed,
}

/// The findings with one signature.
#[derive(Clone, Debug)]
pub struct Group {
    /// The signature.
    pub signature: Signature,
    /// Their number.
    pub count: u64,
    /// The first of them.
    pub first: Finding,
    /// The scenario to report, shrunk if it is one of the first [`MOST_SHRUNK`], and its place.
    pub found: Found,
    /// The place of `found`.
    pub place: Place,
}

/// The outcome of a campaign that goes on after a failure.
#[derive(Debug)]
pub struct Outcome {
    /// Statistics of every scenario.
    pub stats: Stats,
    /// The number of scenarios that were run.
    pub scenarios: u64,
    /// The number of scenarios that were given up after [`MOST_OF_SCENARIO`] findings.
    pub given_up: u64,
    /// The campaign was interrupted.
    pub interrupted: bool,
    /// The number of findings that each deviation has accepted.
    pub accepted: Vec<u64>,
    /// The first findings of each signature, and their number, in the order of their signatures.
    kept: BTreeMap<Signature, Kept>,
    /// Errors of devices that could not be made.
    pub problems: Vec<DutError>,
}

/// The first findings of a signature.
#[derive(Debug, Default)]
struct Kept {
    count: u64,
    first: BTreeMap<Place, Finding>,
}

impl Kept {
    fn add(&mut self, finding: Finding) {
        self.count += 1;
        self.first.insert(finding.place, finding);
        if self.first.len() > KEPT {
            self.first.pop_last();
        }
    }
}

impl Outcome {
    fn new(deviations: usize) -> Self {
        Self {
            stats: Stats::default(),
            scenarios: 0,
            given_up: 0,
            interrupted: false,
            accepted: vec![0; deviations],
            kept: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// Returns the number of signatures that no deviation has accepted.
    pub fn signatures(&self) -> usize {
        self.kept.len()
    }

    /// Returns the number of findings that no deviation has accepted.
    pub fn findings(&self) -> u64 {
        self.kept.values().map(|kept| kept.count).sum()
    }
}

/// Returns the rest of a scenario behind a failure, as a scenario for a device without state; none
/// if there is no rest. Memory is that of the failure. Accesses and fences up to the failure are
/// left out: the device has nothing in flight and nothing cached.
pub fn rest(scenario: &Scenario, failed: &Failed) -> Option<Scenario> {
    let concerned = match &failed.failure {
        Failure::Mismatch(mismatch) => mismatch.op,
        Failure::Hang { op, .. } => Some(*op),
        Failure::Device { .. } => None,
    };
    let last = failed.begun.max(concerned.unwrap_or(0));
    let (before, after) = scenario.ops.split_at_checked(last.checked_add(1)?)?;
    if !after
        .iter()
        .any(|op| matches!(op, Op::Access(_) | Op::Fence(_)))
    {
        return None;
    }
    let mut rest = Scenario {
        memory: failed.memory.clone(),
        ops: after.to_vec(),
        title: scenario.title.clone(),
        timing: scenario.timing.clone(),
        contexts: scenario.contexts.clone(),
        ..*scenario
    };
    for (index, op) in before.iter().enumerate() {
        match op {
            // Edits of earlier ops are in memory.
            Op::Write { at, word } if index >= failed.begun => match word {
                Some(word) => rest.memory.write(*at, *word),
                None => rest.memory.remove(*at),
            },
            Op::Timing(timing) => rest.timing = timing.clone(),
            Op::WalkCaches(used) => rest.machine.walk_caches = *used,
            _ => {}
        }
    }
    Some(rest)
}

/// Runs all of a campaign, and goes on after each failure. `devices` makes the devices of a thread.
/// `progress` is called with the accesses of each finished scenario. Findings that a deviation
/// covers are counted for the first such deviation. The result does not depend on the number of
/// threads.
///
/// # Errors
/// If a device cannot be made and nothing was found.
pub fn run_all(
    campaign: &Campaign,
    known: &[Deviation],
    devices: &(dyn Fn() -> Devices + Sync),
    progress: &(dyn Fn(u64) + Sync),
    interrupt: &AtomicBool,
) -> Result<Outcome, DutError> {
    let next = AtomicU64::new(0);
    let outcome = Mutex::new(Outcome::new(known.len()));
    let worker = || -> Result<(), DutError> {
        let mut devices = devices();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= campaign.scenarios() || interrupt.load(Ordering::Relaxed) {
                return Ok(());
            }
            let parts = run_parts(&campaign.scenario(number), number, &mut devices);
            progress(parts.stats.accesses);
            let mut outcome = outcome.lock().unwrap_or_else(|e| e.into_inner());
            outcome.stats.add(&parts.stats);
            outcome.scenarios += 1;
            outcome.given_up += u64::from(parts.is_given_up);
            for finding in parts.findings {
                let signature = Signature::of(&finding.failed.failure);
                let accepting = accepting(conditions(known), &signature);
                for &index in &accepting {
                    outcome.accepted[index] += 1;
                }
                if accepting.is_empty() {
                    outcome.kept.entry(signature).or_default().add(finding);
                }
            }
            if let Some(problem) = parts.problem {
                return Err(problem);
            }
        }
    };
    let problems = in_threads(campaign.jobs as u64, campaign.scenarios(), &worker);
    let mut outcome = outcome.into_inner().unwrap_or_else(|e| e.into_inner());
    outcome.interrupted = interrupt.load(Ordering::Relaxed);
    outcome.problems = problems;
    match outcome.problems.is_empty() || outcome.signatures() > 0 {
        true => Ok(outcome),
        false => Err(outcome.problems.swap_remove(0)),
    }
}

fn conditions(known: &[Deviation]) -> impl Iterator<Item = &Condition> + Clone {
    known.iter().map(|known| &known.when)
}

/// Runs a worker in threads, this thread among them, and returns the errors.
fn in_threads(
    jobs: u64,
    tasks: u64,
    worker: &(dyn Fn() -> Result<(), DutError> + Sync),
) -> Vec<DutError> {
    let mut problems = Vec::new();
    thread::scope(|scope| {
        // If no more threads can be created, the existing ones do the work.
        let others: Vec<_> = (1..jobs.min(tasks))
            .map_while(|_| thread::Builder::new().spawn_scoped(scope, worker).ok())
            .collect();
        problems.extend(worker().err());
        for other in others {
            match other.join() {
                Ok(result) => problems.extend(result.err()),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    problems
}

/// The outcome of a scenario and its rests.
#[derive(Default)]
struct Parts {
    stats: Stats,
    findings: Vec<Finding>,
    /// The scenario was given up after [`MOST_OF_SCENARIO`] findings.
    is_given_up: bool,
    /// The device for the rest could not be made.
    problem: Option<DutError>,
}

/// Runs a scenario and its rests.
fn run_parts(scenario: &Scenario, number: u64, devices: &mut Devices) -> Parts {
    let mut parts = Parts::default();
    let mut scenario = scenario.clone();
    for part in 0..MOST_OF_SCENARIO {
        let device = match devices.get(&scenario) {
            Ok(device) => device,
            Err(problem) => {
                parts.problem = Some(problem);
                return parts;
            }
        };
        let failed = match run(device, &scenario, &mut ()) {
            Ok(figures) => {
                parts.stats.add(&figures);
                return parts;
            }
            Err(failed) => *failed,
        };
        parts.stats.add(&failed.stats);
        let next = rest(&scenario, &failed);
        parts.findings.push(Finding {
            place: Place {
                scenario: number,
                part,
            },
            scenario,
            failed,
        });
        match next {
            Some(next) => scenario = next,
            None => return parts,
        }
    }
    parts.is_given_up = true;
    parts
}

/// Makes the list of defects: shrinks the first findings of each signature if `small`, and sorts
/// them by the signatures that they have afterwards. Findings of deviations that cover such a
/// signature move there. The list is in the order of the first findings.
///
/// # Errors
/// Devices that could not be made, beside the list.
pub fn list(
    campaign: &Campaign,
    outcome: &mut Outcome,
    known: &[Deviation],
    devices: &(dyn Fn() -> Devices + Sync),
    small: bool,
) -> (Vec<Group>, Vec<DutError>) {
    let mut kept: Vec<Kept> = std::mem::take(&mut outcome.kept).into_values().collect();
    kept.sort_by_key(|kept| kept.first.keys().next().copied());
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let problems = Mutex::new(Vec::new());
    let worker = || -> Result<(), DutError> {
        let devices = devices();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(kept) = kept.get(index) else {
                return Ok(());
            };
            let mut best: Option<(Place, Found)> = None;
            for finding in kept.first.values() {
                let is_small = small && index < MOST_SHRUNK;
                let found = confirm(
                    &devices,
                    finding.scenario.clone(),
                    &finding.failed,
                    is_small,
                )
                .unwrap_or_else(|error| {
                    let mut problems = problems.lock().unwrap_or_else(|e| e.into_inner());
                    problems.push(error);
                    (finding.scenario.clone(), finding.failed.clone()).into()
                });
                let rank = |found: &Found| (found.not_again.is_some(), found.scenario.ops.len());
                if best
                    .as_ref()
                    .is_none_or(|(_, best)| rank(&found) < rank(best))
                {
                    best = Some((finding.place, found));
                }
                let is_enough =
                    |found: &Found| found.not_again.is_none() && found.scenario.ops.len() <= SMALL;
                if !is_small || best.as_ref().is_some_and(|(_, best)| is_enough(best)) {
                    break;
                }
            }
            if let Some((place, found)) = best {
                let mut done = done.lock().unwrap_or_else(|e| e.into_inner());
                done.push((index, place, found));
            }
        }
    };
    let mut errors = in_threads(campaign.jobs as u64, kept.len() as u64, &worker);
    errors.extend(problems.into_inner().unwrap_or_else(|e| e.into_inner()));
    let mut done = done.into_inner().unwrap_or_else(|e| e.into_inner());
    done.sort_by_key(|(index, ..)| *index);

    let mut groups: Vec<Group> = Vec::new();
    for (index, place, found) in done {
        let Kept { count, first } = &mut kept[index];
        let signature = Signature::of(&found.failed.failure);
        let accepting = accepting(conditions(known), &signature);
        if !accepting.is_empty() {
            for index in accepting {
                outcome.accepted[index] += *count;
            }
            continue;
        }
        let Some((_, first)) = first.pop_first() else {
            continue;
        };
        match groups.iter_mut().find(|group| group.signature == signature) {
            Some(group) => {
                group.count += *count;
                if found.scenario.ops.len() < group.found.scenario.ops.len() {
                    (group.found, group.place) = (found, place);
                }
            }
            None => groups.push(Group {
                signature,
                count: *count,
                first,
                found,
                place,
            }),
        }
    }
    (groups, errors)
}
