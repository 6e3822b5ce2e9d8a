// SPDX-License-Identifier: Apache-2.0
//! A reset in the middle of work: nothing that was asked before it is answered after it, and nothing is remembered.

use std::collections::BTreeMap;
use std::path::Path;

use nestwalk::bench::{Observer, run};
use nestwalk::campaign::Devices;
use nestwalk::mmu::Outcome;
use nestwalk::scenario::{Op, Scenario, parse};

/// Of each op that was answered, whether by the TLB.
#[derive(Default)]
struct Hits(BTreeMap<usize, bool>);

impl Observer for Hits {
    fn answered(&mut self, _: u64, op: usize, _: &Outcome, hit: bool) {
        self.0.insert(op, hit);
    }
}

/// A scenario in which one access of `file` is made as the list of ops says, in the place of each `None`.
fn scenario(file: &str, ops: &[Option<Op>]) -> Scenario {
    let path = Path::new("scenarios").join(file);
    let mut scenario = parse::load(&path).unwrap();
    let is_access = |op: &Op| matches!(op, Op::Access(_));
    let access = scenario
        .ops
        .iter()
        .find(|op| is_access(op))
        .unwrap()
        .clone();
    scenario.ops = ops
        .iter()
        .map(|op| op.clone().unwrap_or_else(|| access.clone()))
        .collect();
    scenario
}

fn hits(scenario: &Scenario) -> BTreeMap<usize, bool> {
    let mut hits = Hits::default();
    let mut dut = Devices::make(scenario).unwrap();
    run(&mut dut, scenario, &mut hits).unwrap_or_else(|failed| panic!("{}", failed.failure));
    hits.0
}

#[test]
fn the_tlb_is_empty_after_a_reset() {
    for file in ["exercise.toml", "sv39-kvm.toml"] {
        let drain = Some(Op::Drain);
        let ops = [None, drain.clone(), None, drain, Some(Op::Reset), None];
        let expected = BTreeMap::from([(0, false), (2, true), (5, false)]);
        assert_eq!(hits(&scenario(file, &ops)), expected, "{file}");
    }
}

#[test]
fn what_is_under_way_at_a_reset_is_not_answered_and_disturbs_nobody_after_it() {
    for file in ["exercise.toml", "sv39-kvm.toml"] {
        // In every phase of a walk, its last answer on the port among them.
        for cycles in 1..40 {
            let ops = [
                None,
                Some(Op::Wait(cycles)),
                Some(Op::Reset),
                None,
                Some(Op::Drain),
                None,
            ];
            let mut hits = hits(&scenario(file, &ops));
            let before = hits.remove(&0);
            assert!(before.is_none() || before == Some(false), "{file}");
            assert_eq!(
                hits,
                BTreeMap::from([(3, false), (5, true)]),
                "{file}, {cycles}"
            );
        }
    }
}
