// SPDX-License-Identifier: Apache-2.0
use super::tables::Renaming;
use super::*;
use crate::bench::{Check, Failure, Request, run};
use crate::dut::variants::{VARIANTS, Variant};
use crate::format::Format;
use crate::golden::Step;
use crate::mmu::Position;
use crate::report::golden_accesses;
use crate::scenario::Timing;
use crate::stimulus::{self, Profile};

/// Returns a device with a small TLB.
fn small(format: Format) -> &'static Variant {
    VARIANTS
        .iter()
        .find(|v| v.checked && v.tlb_entries == 4 && v.paging_format() == format)
        .expect("every format has one")
}

fn profile(format: Format) -> Profile {
    Profile {
        format,
        rights: false,
    }
}

/// Returns a scenario that fails on the device, because it claims a larger TLB: pages that should
/// hit are missed.
fn failing(dut: &mut Dut, format: Format, from: u64) -> (Scenario, Failed) {
    (from..from + 200)
        .find_map(|number| {
            let mut scenario = stimulus::scenario(profile(format), 1, number, 200);
            scenario.machine = Machine::of(format);
            let failed = run(dut, &scenario, &mut ()).err()?;
            Some((scenario, *failed))
        })
        .expect("one of many scenarios uses more pages than the TLB holds")
}

fn check(failed: &Failed) -> Option<Check> {
    match &failed.failure {
        Failure::Mismatch(mismatch) => Some(mismatch.check()),
        _ => None,
    }
}

#[test]
fn what_is_left_is_small_and_plain_and_fails_in_the_same_way_also_from_its_file() {
    for format in [Format::Handout, Format::Rv64] {
        let mut dut = Dut::new(small(format), 1).unwrap();
        for from in [0, 200] {
            let (scenario, failed) = failing(&mut dut, format, from);
            assert_eq!(check(&failed), Some(Check::MustHit));
            let (shrunk, shrunk_failed) = shrink(&mut dut, &scenario, &failed);
            assert_eq!(check(&shrunk_failed), Some(Check::MustHit));

            let file = write::to_toml(&shrunk);
            // A page, enough other pages to evict it from four entries, and the page once more.
            assert!(shrunk.ops.len() <= 12, "{} ops:\n{file}", shrunk.ops.len());
            assert_eq!(shrunk.timing, Timing::default(), "{file}");
            let parsed = parse::parse(&file, "shrunk").unwrap();
            let again = run(&mut dut, &parsed, &mut ()).unwrap_err();
            assert_eq!(again.failure, shrunk_failed.failure);
        }
    }
}

#[test]
fn the_same_failure_shrinks_to_the_same_scenario() {
    let format = Format::Rv64;
    let mut dut = Dut::new(small(format), 1).unwrap();
    let (scenario, failed) = failing(&mut dut, format, 400);
    let (first, first_failed) = shrink(&mut dut, &scenario, &failed);
    let mut other = Dut::new(small(format), 1).unwrap();
    let (second, second_failed) = shrink(&mut other, &scenario, &failed);
    assert_eq!(write::to_toml(&first), write::to_toml(&second));
    assert_eq!(first_failed.failure, second_failed.failure);
    // A scenario that is small already does not change.
    let (third, _) = shrink(&mut dut, &first, &first_failed);
    assert!(third.ops.len() <= first.ops.len());
}

#[test]
fn nothing_is_kept_that_a_file_cannot_say_or_that_the_budget_does_not_allow() {
    let format = Format::Handout;
    let mut dut = Dut::new(small(format), 1).unwrap();
    let (scenario, failed) = failing(&mut dut, format, 0);
    let mut shrinker = Shrinker {
        own: &mut dut,
        machine: scenario.machine,
        others: HashMap::new(),
        scenario: scenario.clone(),
        signature: Signature::of(&failed.failure),
        failed,
        budget: BUDGET,
        tried: HashSet::new(),
        changes: 0,
    };
    // The parser refuses a file without an access, so such a scenario is not run.
    assert!(!shrinker.attempt(|s| s.ops.clear()));
    assert_eq!(shrinker.budget, BUDGET);
    // Memory is busier than a file may request.
    assert!(!shrinker.attempt(|s| s.timing.memory_busy = 95));
    // A change without effect is kept, and its cost counts.
    assert!(shrinker.attempt(|s| s.ops.push(Op::Drain)));
    assert!(shrinker.budget < BUDGET);
    shrinker.budget = 0;
    assert!(!shrinker.attempt(|s| drop(s.ops.pop())));
    assert_eq!(shrinker.scenario.ops.len(), scenario.ops.len() + 1);
}

/// Returns the parts of a step that do not depend on addresses.
fn shape(step: &Step) -> (bool, u32, std::mem::Discriminant<crate::golden::Meaning>) {
    (
        matches!(step.at, Position::Guest { .. }),
        step.at.level(),
        std::mem::discriminant(&step.meaning),
    )
}

#[test]
fn walks_over_renamed_addresses_take_the_same_steps() {
    let mut renamed = 0;
    for format in [Format::Classic32, Format::Rv32, Format::Rv64] {
        for number in 0..60 {
            let mut scenario = stimulus::scenario(profile(format), 3, number, 40);
            // One access at a time, because together some words have two roles.
            let accesses: Vec<Op> = scenario
                .ops
                .iter()
                .filter(|op| matches!(op, Op::Access(_)))
                .cloned()
                .collect();
            for access in accesses.into_iter().step_by(7) {
                scenario.ops = vec![access];
                let Some(new) = Renaming::new(&scenario, false).apply(&scenario) else {
                    continue;
                };
                let steps = |scenario: &Scenario| -> Vec<_> {
                    golden_accesses(scenario)[0]
                        .steps
                        .iter()
                        .map(shape)
                        .collect()
                };
                renamed += u32::from(steps(&scenario) == steps(&new) && steps(&new).len() > 2);
            }
        }
    }
    // Not all can be renamed: a word may have two roles, or a page number may be above the memory.
    assert!(renamed > 300, "{renamed}");
}

/// The cycle in which each op was accepted.
struct Accepted(Vec<Option<u64>>);

impl Observer for Accepted {
    const LIVE: bool = false;

    fn accepted(&mut self, cycle: u64, request: &Request) {
        self.0[request.op] = Some(cycle);
    }
}

impl Accepted {
    /// Returns the cycles of a run that passes.
    fn of(dut: &mut Dut, scenario: &Scenario, cycles: &[u64]) -> Vec<Option<u64>> {
        let mut accepted = Accepted(vec![None; scenario.ops.len()]);
        run_at(dut, scenario, cycles, &mut accepted).unwrap();
        accepted.0
    }

    /// Returns the cycles of the accesses only, in their order.
    fn of_accesses(dut: &mut Dut, scenario: &Scenario, cycles: &[u64]) -> Vec<Option<u64>> {
        let accepted = Self::of(dut, scenario, cycles);
        let is_access = |op: &Op| matches!(op, Op::Access(_));
        let ops = scenario.ops.iter().zip(accepted);
        ops.filter(|(op, _)| is_access(op))
            .map(|(_, cycle)| cycle)
            .collect()
    }
}

fn starts_of(dut: &mut Dut, scenario: &Scenario, cycles: &[u64]) -> ops::Starts {
    let mut starts = ops::Starts::of(&scenario.ops);
    run_at(dut, scenario, cycles, &mut starts).unwrap();
    starts
}

#[test]
fn ops_are_left_out_in_place_so_that_the_others_begin_when_they_did() {
    let mut dut = Dut::new(small(Format::Rv64), 1).unwrap();
    let (mut kept, mut shifted, mut all) = (0, 0, 0);
    for number in 0..20 {
        let mut scenario = stimulus::scenario(profile(Format::Rv64), 5, number, 60);
        scenario.machine = Machine::of_variant(dut.variant());
        // A replayed request is sent again when the port is free, a hold lasts from the cycle in
        // which it begins, and a switch of walk caches waits for all walks. None of these has a
        // fixed cycle.
        scenario
            .ops
            .retain(|op| !matches!(op, Op::Fence(_) | Op::Hold { .. } | Op::WalkCaches(_)));
        let accepted = Accepted::of_accesses(&mut dut, &scenario, &[]);
        let starts = starts_of(&mut dut, &scenario, &[]);

        // Each request is accepted in its cycle, whatever stalled it before, and also with waits.
        let (pinned, cycles) = ops::ops_at_cycles(&scenario, &starts);
        assert_eq!(Accepted::of_accesses(&mut dut, &pinned, &cycles), accepted);
        let starts = starts_of(&mut dut, &pinned, &cycles);
        let mut waits = pinned.clone();
        waits.ops = ops::with_waits(&pinned.ops, &cycles, &starts).unwrap();
        assert_eq!(Accepted::of_accesses(&mut dut, &waits, &[]), accepted);

        let accepted = Accepted::of(&mut dut, &pinned, &cycles);
        for start in (0..pinned.ops.len() - 20).step_by(11) {
            let end = start + 8;
            let (mut without, mut cycles) = (pinned.clone(), cycles.clone());
            without.ops.drain(start..end);
            cycles.drain(start..end);
            let accepted_then = Accepted::of(&mut dut, &without, &cycles);
            let accepted_plain = Accepted::of(&mut dut, &without, &[]);
            for op in (end..pinned.ops.len()).filter(|&op| accepted[op].is_some()) {
                all += 1;
                kept += u32::from(accepted_then[op - 8] == accepted[op]);
                shifted += u32::from(accepted_plain[op - 8] == accepted[op]);
            }
        }
    }
    // A hit may become a miss without the operation before it. Without the cycles, hardly an
    // operation keeps its cycle.
    assert!(
        kept * 10 > all * 8 && shifted * 10 < all,
        "of {all}: {kept}, {shifted}"
    );
}
