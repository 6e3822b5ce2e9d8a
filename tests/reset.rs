// SPDX-License-Identifier: Apache-2.0
//! A reset while work is in flight: no request from before it has a response after it, and no state
//! is kept.

use std::collections::BTreeMap;
use std::path::Path;

use nestwalk::bench::{Observer, Request, run};
use nestwalk::campaign::Devices;
use nestwalk::format::Format;
use nestwalk::mmu::Outcome;
use nestwalk::scenario::{Machine, Op, Scenario, parse};
use nestwalk::stimulus::{self, Profile};

/// For each operation with a response, whether the TLB hit.
#[derive(Default)]
struct Hits(BTreeMap<usize, bool>);

impl Observer for Hits {
    fn answered(&mut self, _: u64, request: &Request, _: &Outcome, hit: bool) {
        self.0.insert(request.op, hit);
    }
}

/// Returns a scenario in which one access of `file` replaces each `None` in the list of operations.
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
        // Every phase of a walk, including its last response on the port.
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

/// The cycles in which each request was accepted and had its response.
#[derive(Default)]
struct Cycles(Vec<(u64, usize, bool)>);

impl Observer for Cycles {
    fn accepted(&mut self, cycle: u64, request: &Request) {
        self.0.push((cycle, request.op, false));
    }

    fn answered(&mut self, cycle: u64, request: &Request, _: &Outcome, _: bool) {
        self.0.push((cycle, request.op, true));
    }
}

fn cycles(scenario: &Scenario) -> Vec<(u64, usize, bool)> {
    let mut cycles = Cycles::default();
    let mut dut = Devices::make(scenario).unwrap();
    run(&mut dut, scenario, &mut cycles).unwrap_or_else(|failed| panic!("{}", failed.failure));
    cycles.0
}

#[test]
fn after_a_reset_a_scenario_runs_cycle_by_cycle_as_it_does_at_the_start() {
    let profile = Profile {
        format: Format::Handout,
        rights: false,
    };
    let mut delayed = 0;
    for number in 0..12 {
        let mut alone = stimulus::scenario(profile, 3, number, 80);
        alone.machine = Machine::of(profile.format);
        // With edits, the second run would start with other tables.
        let is_edit = |op: &Op| matches!(op, Op::Write { .. } | Op::Reset);
        alone.ops.retain(|op| !is_edit(op));
        let timing = &alone.timing;
        delayed +=
            u32::from(timing.memory_busy > 0 && timing.latency.start() < timing.latency.end());

        let mut twice = alone.clone();
        twice.ops.extend([Op::Reset, Op::Timing(timing.clone())]);
        twice.ops.extend(alone.ops.clone());
        let expected = cycles(&alone);
        let all = cycles(&twice);
        let second: Vec<_> = all
            .iter()
            .filter(|(_, op, _)| *op > alone.ops.len())
            .collect();
        let shift = second[0].0 - expected[0].0;
        let second: Vec<_> = second
            .into_iter()
            .map(|&(cycle, op, is_answer)| (cycle - shift, op - alone.ops.len() - 2, is_answer))
            .collect();
        assert_eq!(second, expected, "scenario {number}");
    }
    assert!(delayed > 0, "some of it must hang on what is drawn");
}
