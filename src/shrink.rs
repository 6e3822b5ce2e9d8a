//! A smaller scenario that still fails in the same way.

use std::collections::BTreeSet;

use crate::addr::Hpa;
use crate::bench::{Failed, Failure, Observer, Read, run};
use crate::dut::Dut;
use crate::memory::HostMemory;
use crate::report::golden_beside;
use crate::scenario::{Op, Scenario, Timing};

/// Runs that shrinking may take.
const BUDGET: usize = 600;

/// Whether two failures are of the same kind.
fn alike(a: &Failure, b: &Failure) -> bool {
    match (a, b) {
        (Failure::Mismatch(a), Failure::Mismatch(b)) => a.check == b.check,
        (Failure::Hang { .. }, Failure::Hang { .. }) => true,
        (Failure::Device { .. }, Failure::Device { .. }) => true,
        _ => false,
    }
}

/// Makes a failing scenario smaller as long as it fails alike: fewer ops, simpler timing, no contexts and words that nobody uses.
/// Gives the scenario and its failure.
pub fn shrink(dut: &mut Dut, scenario: &Scenario, failed: &Failed) -> (Scenario, Failed) {
    let mut shrinker = Shrinker {
        dut,
        scenario: scenario.clone(),
        failed: failed.clone(),
        budget: BUDGET,
    };
    // Nothing behind the op that was begun last, and the one on the port behind it, can matter.
    shrinker.attempt(|s| s.ops.truncate(failed.begun + 2));
    shrinker.drop_ops();
    shrinker.simplify_timing();
    // With another timing more ops may be of no more use.
    shrinker.drop_ops();
    shrinker.drop_contexts();
    shrinker.drop_words();
    (shrinker.scenario, shrinker.failed)
}

struct Shrinker<'a> {
    dut: &'a mut Dut,
    scenario: Scenario,
    failed: Failed,
    budget: usize,
}

impl Shrinker<'_> {
    /// Keeps a change if the scenario still fails alike.
    fn attempt(&mut self, change: impl FnOnce(&mut Scenario)) -> bool {
        if self.budget == 0 {
            return false;
        }
        self.budget -= 1;
        let mut candidate = self.scenario.clone();
        change(&mut candidate);
        match run(self.dut, &candidate, &mut ()) {
            Err(failed) if alike(&failed.failure, &self.failed.failure) => {
                self.scenario = candidate;
                self.failed = *failed;
                true
            }
            _ => false,
        }
    }

    /// Leaves out ops, half of them to single ones at a time.
    fn drop_ops(&mut self) {
        let mut size = self.scenario.ops.len().div_ceil(2);
        while size > 0 && self.budget > 0 {
            let mut dropped = false;
            let mut end = self.scenario.ops.len();
            while end > 0 {
                let start = end.saturating_sub(size);
                dropped |= self.attempt(|s| drop(s.ops.drain(start..end)));
                end = start;
            }
            if size > 1 {
                size = size.div_ceil(2);
            } else if !dropped {
                return;
            }
        }
    }

    fn simplify_timing(&mut self) {
        type Change = fn(&mut Timing);
        let changes: [Change; 6] = [
            |t| *t = Timing::default(),
            |t| t.memory_busy = 0,
            |t| t.response_busy = 0,
            |t| t.request_idle = 0,
            |t| t.errors = 0,
            |t| t.reorder = false,
        ];
        for change in changes {
            self.attempt(|s| change(&mut s.timing));
        }
        self.attempt(|s| s.timing.latency = 1..=1);
    }

    fn drop_contexts(&mut self) {
        self.attempt(|s| {
            let used: BTreeSet<usize> = s
                .ops
                .iter()
                .filter_map(|op| match op {
                    Op::Access(access) => Some(access.context),
                    _ => None,
                })
                .collect();
            let used: Vec<usize> = used.into_iter().collect();
            s.contexts = used.iter().map(|&old| s.contexts[old].clone()).collect();
            for op in &mut s.ops {
                if let Op::Access(access) = op {
                    access.context = used.partition_point(|&old| old < access.context);
                }
            }
        });
    }

    /// Leaves out words that neither the device nor the golden walk of the failure reads.
    fn drop_words(&mut self) {
        struct Reads(BTreeSet<Hpa>);
        impl Observer for Reads {
            fn read(&mut self, _: u8, read: &Read) {
                self.0.insert(read.at);
            }
        }
        let mut reads = Reads(BTreeSet::new());
        if run(self.dut, &self.scenario, &mut reads).is_ok() {
            return;
        }
        if let Failure::Mismatch(mismatch) = &self.failed.failure
            && let Some(query) = &mismatch.query
        {
            let format = self.scenario.machine.format;
            let (steps, _) = golden_beside(format, query, &mismatch.reads, &self.failed.memory);
            reads.0.extend(steps.iter().filter_map(|step| step.hpa));
        }
        self.attempt(|s| {
            let mut memory = HostMemory::new(s.machine.format);
            for (at, word) in s.memory.words() {
                if reads.0.contains(&at) {
                    memory.write(at, word);
                }
            }
            s.memory = memory;
        });
    }
}
