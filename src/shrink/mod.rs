// SPDX-License-Identifier: Apache-2.0
//! A smaller scenario that still fails in the same way.
//!
//! A change is tried on the device. It is kept if the scenario still fails with the same failure
//! signature (`signature`). Changes that take much away come first. Time is bounded by the cycles
//! that all tries together may take, so the result does not depend on the machine.
//!
//! | | |
//! |---|---|
//! | `timing` | memory and requester without delays, order, errors; the plainest device |
//! | `ops` | fewer ops: left out by halves to single ones, with waits in place of them and without, edits made at the start; simpler ones |
//! | `contexts` | fewer contexts, without switches, with small tags |
//! | `memory` | no words that nobody reads, plain entries |
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

/// What all tries together may cost, in cycles.
const BUDGET: u64 = 12_000_000;
/// What a try costs besides its cycles: a reset, copies, the check of a file.
const TRY: u64 = 1000;
/// Rounds over all passes. The second finds what became possible by the first, later ones next to
/// nothing.
const ROUNDS: usize = 4;
/// Tries of scenarios with no more words than this are remembered.
const FEW_WORDS: usize = 4096;

/// Makes a failing scenario smaller as long as it fails in the same way: fewer ops, mappings and
/// levels, simpler addresses and timing, the plainest device. Gives the scenario and its failure.
///
/// `dut` is the device that `scenario` has failed on. What comes out depends on nothing but the
/// arguments, and [`parse`](crate::scenario::parse::parse) accepts it as a file.
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
    /// The device that the scenario has failed on, and what it is.
    own: &'a mut Dut,
    machine: Machine,
    /// Others of its format, by name; none where the program was built without.
    others: HashMap<&'static str, Option<Dut>>,
    /// The smallest so far.
    scenario: Scenario,
    failed: Failed,
    signature: Signature,
    budget: u64,
    /// Hashes of what has been tried in vain.
    tried: HashSet<u64>,
    /// Changes that were kept.
    changes: usize,
}

impl Shrinker<'_> {
    fn shrink(&mut self) {
        // What the failure has not got to cannot matter: ops behind the one that was begun last,
        // and the one on the port behind it.
        let begun = self.failed.begun;
        self.attempt(|s| s.ops.truncate(begun + 2));
        self.drop_words();
        self.simplify_timing();
        self.guess_ops();
        // Where timing has to be drawn, most of it is drawn anew without an op: what keeps it goes
        // first.
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

    /// Keeps a change if the scenario still fails alike.
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
        if let Some(failed) = self.fails_alike(&candidate, &mut ())
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

    /// Runs a scenario: how it fails, if it does so alike.
    fn fails_alike<O: Observer>(
        &mut self,
        scenario: &Scenario,
        observer: &mut O,
    ) -> Option<Failed> {
        self.fails_alike_at(scenario, &[], observer)
    }

    /// The same, with earliest cycles for its ops.
    fn fails_alike_at<O: Observer>(
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
                // To build a device takes longer than to shrink: those that are there will do.
                .or_insert_with(|| is_ready(variant).then(|| Dut::new(variant, 1).ok())?)
                .as_mut()?
        };
        // As it is when a file is run: nothing is left of the tries before.
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

/// Whether two scenarios run the same. Words are compared last, for there may be many.
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
    // With the keys of `new`, it is the same everywhere.
    let mut hasher = DefaultHasher::new();
    write::to_toml(scenario).hash(&mut hasher);
    Some(hasher.finish())
}

/// Whether the scenario comes back from a file as it is.
fn survives_a_file(scenario: &Scenario) -> bool {
    let Ok(mut parsed) = parse::parse(&write::to_toml(scenario), "shrunk") else {
        return false;
    };
    for (parsed, op) in parsed.ops.iter_mut().zip(&scenario.ops) {
        // Lines are not of the scenario, but of its file.
        if let (Op::Access(parsed), Op::Access(access)) = (parsed, op) {
            parsed.line = access.line;
        }
    }
    same(&parsed, scenario)
}
