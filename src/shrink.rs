//! A smaller scenario that still fails in the same way.

use crate::bench::{Failed, Failure, run};
use crate::dut::Dut;
use crate::scenario::Scenario;

/// Runs that shrinking may take.
const BUDGET: usize = 400;

/// Whether two failures are of the same kind.
fn alike(a: &Failure, b: &Failure) -> bool {
    match (a, b) {
        (Failure::Mismatch(a), Failure::Mismatch(b)) => a.check == b.check,
        (Failure::Hang { .. }, Failure::Hang { .. }) => true,
        (Failure::Device { .. }, Failure::Device { .. }) => true,
        _ => false,
    }
}

/// Leaves out ops, half of them to single ones at a time, as long as the scenario fails alike; then contexts that are
/// not used. Gives the scenario and its failure.
pub fn shrink(dut: &mut Dut, scenario: &Scenario, failed: &Failed) -> (Scenario, Failed) {
    let mut best = (scenario.clone(), failed.clone());
    let mut budget = BUDGET;
    let mut try_it = |candidate: Scenario, best: &mut (Scenario, Failed)| {
        if budget == 0 {
            return false;
        }
        budget -= 1;
        match run(dut, &candidate, &mut ()) {
            Err(failed) if alike(&failed.failure, &best.1.failure) => {
                *best = (candidate, *failed);
                true
            }
            _ => false,
        }
    };

    // Nothing behind the op that was begun last can matter.
    let mut cut = scenario.clone();
    cut.ops.truncate(failed.begun + 2);
    try_it(cut, &mut best);

    let mut size = best.0.ops.len().div_ceil(2);
    loop {
        let mut end = best.0.ops.len();
        let mut removed = false;
        while end > 0 {
            let start = end.saturating_sub(size);
            let mut candidate = best.0.clone();
            candidate.ops.drain(start..end);
            removed |= try_it(candidate, &mut best);
            end = start;
        }
        if size > 1 {
            size = size.div_ceil(2);
        } else if !removed {
            break;
        }
        if size > best.0.ops.len() {
            size = best.0.ops.len().max(1);
        }
    }
    best
}
