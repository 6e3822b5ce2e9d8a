// SPDX-License-Identifier: Apache-2.0
//! The shrinker: a search for a smaller scenario that fails with the same failure signature.
//!
//! A change is tried on the device. It is kept if the scenario still fails with the same failure
//! signature (`signature`). Changes that remove much come first. Time is bounded by the cycles of
//! all tries together, so the result does not depend on the machine.
//!
//! | module | changes |
//! |---|---|
//! | `timing` | memory and requester without delays, reordering and errors; the plainest device |
//! | `ops` | fewer and simpler operations, waits in their place, edits at the start |
//! | `contexts` | fewer contexts, switches off, small tags |
//! | `memory` | no words that are not read, plain entries |
//! | `tables` | stages off, fewer levels, low addresses |

mod confirm;
mod contexts;
mod formats;
mod handout;
mod memory;
mod ops;
mod riscv;
mod signature;
mod tables;
#[cfg(test)]
mod tests;
mod timing;

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::bench::{Failed, Observer, run_at};
use crate::dut::{Dut, is_ready};
use crate::scenario::{Machine, Op, Scenario, parse, write};
pub use confirm::{Found, confirm};
use signature::Signature;

/// The largest cost of all tries together, in cycles.
const BUDGET: u64 = 12_000_000;
/// The cost of a try besides its cycles: a reset, copies, and the check of a file.
const TRY: u64 = 1000;
/// The number of rounds over all passes. The second round finds changes that the first made
/// possible. Later rounds find next to nothing.
const ROUNDS: usize = 4;
/// The largest number of words of scenarios whose tries are remembered.
const FEW_WORDS: usize = 4096;

/// Makes a failing scenario smaller as long as it fails in the same way: fewer operations, mappings
/// and levels, simpler addresses and timing, the plainest device. Returns the scenario and its
/// failure.
///
/// `dut` is the device on which `scenario` has failed. The result depends only on the arguments,
/// and [`parse`](crate::scenario::parse::parse) accepts it as a file.
pub fn shrink(dut: &mut Dut, scenario: &Scenario, failed: &Failed) -> (Scenario, Failed) {
    let mut shrinker = Shrinker {
        own: dut,
        machine: scenario.machine,
        others: HashMap::new(),
        scenario: scenario.clone(),
        failed: failed.clone(),
        signature: Signature::of(&failed.failure),
        budget: BUDGET,
        tried: HashSet::new(),
        changes: 0,
    };
    shrinker.shrink();
    (shrinker.scenario, shrinker.failed)
}

struct Shrinker<'a> {
    /// The device on which the scenario has failed, and its parameters.
    own: &'a mut Dut,
    machine: Machine,
    /// Other devices of its format, by name; none if the program was built without the device.
    others: HashMap<&'static str, Option<Dut>>,
    /// The smallest scenario so far.
    scenario: Scenario,
    failed: Failed,
    signature: Signature,
    budget: u64,
    /// The hashes of the scenarios that were tried and did not fail in the same way.
    tried: HashSet<u64>,
    /// The number of changes that were kept.
    changes: usize,
}

impl Shrinker<'_> {
    fn shrink(&mut self) {
        // Operations that the run did not reach cannot matter: those after the last operation that
        // began, and after the operation that was on the port then.
        let begun = self.failed.begun;
        self.attempt(|s| s.ops.truncate(begun + 2));
        self.drop_words();
        self.simplify_timing();
        self.guess_ops();
        // If timing is drawn, the removal of an operation changes most draws. So the removals that
        // keep the draws come first.
        if !self.is_plain() {
            self.drop_ops_in_place();
        }
        self.drop_ops();
        self.drop_words();
        for _ in 0..ROUNDS {
            let before = self.changes;
            self.simplify_timing();
            self.simplify_machine();
            self.drop_ops();
            self.drop_ops_in_place();
            self.drop_pairs();
            self.replace_by_waits();
            self.merge_waits();
            self.fold_writes();
            self.simplify_contexts();
            self.drop_words();
            self.simplify_tables();
            self.simplify_ops();
            self.simplify_words();
            if self.changes == before || self.budget == 0 {
                break;
            }
        }
    }

    /// Keeps a change if the scenario still fails with the same signature.
    fn attempt(&mut self, change: impl FnOnce(&mut Scenario)) -> bool {
        let mut candidate = self.scenario.clone();
        change(&mut candidate);
        self.try_it(candidate)
    }

    fn try_it(&mut self, candidate: Scenario) -> bool {
        if self.budget == 0 || candidate.ops.is_empty() || same(&candidate, &self.scenario) {
            return false;
        }
        let hash = hash(&candidate);
        if hash.is_some_and(|hash| self.tried.contains(&hash)) {
            return false;
        }
        if let Some(failed) = self.same_failure(&candidate, &mut ())
            && survives_a_file(&candidate)
        {
            self.scenario = candidate;
            self.failed = failed;
            self.changes += 1;
            return true;
        }
        self.tried.extend(hash);
        false
    }

    /// Runs a scenario. Returns its failure if it has the same signature.
    fn same_failure<O: Observer>(
        &mut self,
        scenario: &Scenario,
        observer: &mut O,
    ) -> Option<Failed> {
        self.same_failure_at(scenario, &[], observer)
    }

    /// Does the same, with earliest cycles for its operations.
    fn same_failure_at<O: Observer>(
        &mut self,
        scenario: &Scenario,
        cycles: &[u64],
        observer: &mut O,
    ) -> Option<Failed> {
        let dut = if scenario.machine == self.machine {
            &mut *self.own
        } else {
            let variant = scenario.machine.variant().ok()?;
            self.others
                .entry(variant.name)
                // It takes longer to build a device than to shrink, so only devices that exist are
                // used.
                .or_insert_with(|| is_ready(variant).then(|| Dut::new(variant, 1).ok())?)
                .as_mut()?
        };
        // The state is the same as when a file is run: nothing of the earlier tries is left.
        dut.renew().ok()?;
        let failed = match run_at(dut, scenario, cycles, observer) {
            Ok(stats) => {
                self.budget = self.budget.saturating_sub(stats.cycles + TRY);
                return None;
            }
            Err(failed) => *failed,
        };
        self.budget = self
            .budget
            .saturating_sub(failed.failure.cycle().max(failed.stats.cycles) + TRY);
        self.signature
            .is_kept_by(&Signature::of(&failed.failure))
            .then_some(failed)
    }
}

/// Returns true if two scenarios run the same. Words are compared last, because there may be many.
fn same(a: &Scenario, b: &Scenario) -> bool {
    a.machine == b.machine
        && a.timing == b.timing
        && a.contexts == b.contexts
        && a.ops == b.ops
        && a.memory.regions() == b.memory.regions()
        && a.memory.words() == b.memory.words()
}

fn hash(scenario: &Scenario) -> Option<u64> {
    let words = scenario.memory.words();
    if words.len() > FEW_WORDS {
        return None;
    }
    // The hash has the keys of `new`, so it is the same on every machine.
    let mut hasher = DefaultHasher::new();
    write::to_toml(scenario).hash(&mut hasher);
    Some(hasher.finish())
}

/// Returns true if the scenario is the same after it is written to a file and read back.
fn survives_a_file(scenario: &Scenario) -> bool {
    let Ok(mut parsed) = parse::parse(&write::to_toml(scenario), "shrunk") else {
        return false;
    };
    for (parsed, op) in parsed.ops.iter_mut().zip(&scenario.ops) {
        // Line numbers belong to the file, not to the scenario.
        if let (Op::Access(parsed), Op::Access(access)) = (parsed, op) {
            parsed.line = access.line;
        }
    }
    same(&parsed, scenario)
}
