// SPDX-License-Identifier: Apache-2.0
//! The walk caches: the reads that they save, the entries that a fence invalidates, the entries
//! that they never contain, and the entries that they must contain.

#[path = "common/riscv.rs"]
mod rig;

use nestwalk::addr::{Gpa, Gva};
use nestwalk::bench::mismatch::{Violation, WalkCache, WalkCacheViolation};
use nestwalk::bench::{self, Failure};
use nestwalk::dut::Dut;
use nestwalk::dut::variants::{VARIANTS, WalkCacheEntries};
use nestwalk::format::Format;
use nestwalk::format::riscv::Entry;
use nestwalk::mmu::{Access, Fence, Rights, WalkCaches};
use nestwalk::scenario::{Machine, Op, Scenario, Timing};
use nestwalk::stimulus::{self, Profile};
use rig::{PAGE, Rig, access, run};

/// The number of entries of each walk cache, for each level, in the larger of the built-in devices.
const ENTRIES: u32 = 8;

fn machine(format: Format, walk_caches: WalkCaches) -> Machine {
    Machine {
        walk_cache_entries: WalkCacheEntries::all(ENTRIES),
        walk_caches,
        ..Machine::of(format)
    }
}

const GVA: u64 = 0x4000_0000;
const GPA: u64 = 0x8000_0000;
const HPA: u64 = 0x1_0000_0000;

/// Returns 4K pages in both stages, contiguous in all three address spaces.
fn contiguous(format: Format, levels: u8, pages: u64) -> Rig {
    let mut rig = Rig::new(format, levels, levels);
    for page in 0..pages {
        let offset = page * PAGE;
        let leaf = |at| Entry::leaf(at, Rights::ALL);
        rig.map_host(GPA + offset, 0, leaf(HPA + offset).with_user(true));
        rig.map_guest(GVA + offset, 0, leaf(GPA + offset));
    }
    rig
}

/// Returns the reads of the last of some accesses. Each access waits for the one before it. Fences
/// come between them.
fn reads_of_the_last(rig: &Rig, caches: WalkCaches, ops: Vec<Op>) -> usize {
    let count = |ops: Vec<Op>| {
        let mut scenario = rig.scenario(&[rig.context()], Timing::default(), ops);
        scenario.machine = machine(rig.format, caches);
        run(&scenario).reads.len()
    };
    let mut before = ops.clone();
    before.pop();
    count(ops) - count(before)
}

/// Returns a number below `n`, the next of a fixed sequence.
fn draw(state: &mut u64, n: u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % n
}

#[test]
fn uniform_accesses_over_16_mib_take_two_reads_a_walk_with_eight_entries_a_level() {
    println!("| levels | cold | with walk caches, mean | most, warm |");
    for (format, levels, cold) in [
        (Format::Rv32, 2, 8),
        (Format::Rv64, 3, 15),
        (Format::Rv64, 4, 24),
    ] {
        let pages = (16 << 20) / PAGE;
        let rig = contiguous(format, levels, pages);
        let mut state = 1;
        let ops: Vec<Op> = (0..20_000)
            .flat_map(|_| {
                let gva = GVA + draw(&mut state, pages) * PAGE;
                [access(0, gva, Access::Load), Op::Drain]
            })
            .collect();
        let first = rig.scenario(&[rig.context()], Timing::default(), ops[..1].to_vec());
        assert_eq!(run(&first).reads.len(), cold);

        let mut scenario = rig.scenario(&[rig.context()], Timing::default(), ops);
        scenario.machine = machine(format, WalkCaches::ALL);
        let seen = run(&scenario);
        // One access at a time: the reads between two responses are those of one walk.
        let mut walks = Vec::new();
        let mut reads = seen.reads.iter().peekable();
        for (_, answered, _, hit) in seen.answers.values() {
            let mut count = 0;
            while reads.next_if(|read| read.cycle < *answered).is_some() {
                count += 1;
            }
            assert_eq!(count == 0, *hit);
            walks.extend((!hit).then_some(count));
        }
        let mean = walks.iter().sum::<usize>() as f64 / walks.len() as f64;
        // By then, each of the tables has been used.
        let most = *walks[200..].iter().max().unwrap();
        println!("| {levels} | {cold} | {mean:.3} | {most} |");
        assert!(mean < 2.02, "{format}, {levels} levels: {mean}");
        assert!(most <= 3, "{format}, {levels} levels: {most}");
    }
}

#[test]
fn each_walk_cache_spares_its_part_and_none_that_is_not_in_use_does() {
    let rig = contiguous(Format::Rv64, 3, 2);
    let used = |guest, host, nested| WalkCaches {
        guest,
        host,
        nested,
    };
    for (caches, reads) in [
        (used(false, false, false), 15),
        // The guest leaf, and the whole walk for the data.
        (used(true, false, false), 1 + 3),
        // The host leaf of each of four translations.
        (used(false, true, false), 3 + 4),
        // The guest tables, and the whole walk for the data.
        (used(false, false, true), 3 + 3),
        (used(true, true, false), 1 + 1),
        (used(false, true, true), 3 + 1),
        (used(true, false, true), 1 + 3),
        (used(true, true, true), 1 + 1),
    ] {
        let ops = vec![
            access(0, GVA, Access::Load),
            Op::Drain,
            access(0, GVA + PAGE, Access::Load),
        ];
        assert_eq!(reads_of_the_last(&rig, caches, ops), reads, "{caches:?}");
    }
}

#[test]
fn each_look_up_of_a_walk_takes_one_cycle_and_there_is_none_where_the_host_stage_is_off() {
    let guest_alone = WalkCaches {
        guest: true,
        ..WalkCaches::default()
    };
    // One lookup before the walk's first entry, and one after each guest entry, before the host
    // stage.
    for (host_levels, reads, looks) in [(3, 15, 1 + 3), (0, 3, 1)] {
        let mut rig = Rig::new(Format::Rv64, 3, host_levels);
        let leaf = |at| Entry::leaf(at, Rights::ALL);
        if host_levels > 0 {
            rig.map_host(GPA, 0, leaf(HPA).with_user(true));
        }
        rig.map_guest(GVA, 0, leaf(GPA));
        let cycles = |caches| {
            let ops = vec![access(0, GVA, Access::Load)];
            let mut scenario = rig.scenario(&[rig.context()], Timing::default(), ops);
            scenario.machine = machine(Format::Rv64, caches);
            let seen = run(&scenario);
            assert_eq!(seen.reads.len(), reads);
            let (accepted, answered, ..) = seen.answers[&0];
            answered - accepted
        };
        let without = cycles(WalkCaches::default());
        assert_eq!(cycles(guest_alone), without + looks, "{host_levels}");
    }
}

#[test]
fn a_fence_makes_the_walk_caches_forget_what_it_names_and_nothing_else() {
    const GIB: u64 = 1 << 30;
    const MIB: u64 = 1 << 20;
    let rig = contiguous(Format::Rv64, 3, 2);
    let fence = Fence::default();
    // A fence of the guest stage: the three guest tables are read again, through the nested TLB. A
    // fence of everything: host tables that the walk itself has read need not be read again, and
    // all guest tables are in one GiB.
    let (nothing, guest, all) = (2, 4, (3 + 1) + (1 + 1) + (1 + 1) + 3);
    // A fence of the host stage, by a gPA that none of its tables is for: the entries for all guest
    // tables, and for their pages, are invalidated.
    let tables = 3 * 2 + 1;
    for (fence, reads) in [
        (fence, all),
        (
            Fence {
                virt: false,
                ..fence
            },
            nothing,
        ),
        (
            Fence {
                vmid: Some(2),
                ..fence
            },
            all,
        ),
        (
            Fence {
                vmid: Some(3),
                ..fence
            },
            nothing,
        ),
        (
            Fence {
                asid: Some(1),
                vmid: Some(2),
                ..fence
            },
            guest,
        ),
        (
            Fence {
                asid: Some(2),
                vmid: Some(2),
                ..fence
            },
            nothing,
        ),
        (
            Fence {
                asid: Some(1),
                vmid: Some(3),
                ..fence
            },
            nothing,
        ),
        (
            Fence {
                gva: Some(Gva(GVA + MIB)),
                vmid: Some(2),
                ..fence
            },
            guest,
        ),
        // The table of the level above is invalidated, but not needed.
        (
            Fence {
                gva: Some(Gva(GVA + 4 * MIB)),
                vmid: Some(2),
                ..fence
            },
            nothing,
        ),
        (
            Fence {
                gva: Some(Gva(GVA + GIB)),
                vmid: Some(2),
                ..fence
            },
            nothing,
        ),
        (
            Fence {
                gpa: Some(Gpa(8 * GIB)),
                vmid: Some(2),
                ..fence
            },
            tables,
        ),
        (
            Fence {
                gpa: Some(Gpa(8 * GIB)),
                vmid: Some(3),
                ..fence
            },
            nothing,
        ),
        // The host tables of the data are invalidated too.
        (
            Fence {
                gpa: Some(Gpa(GPA + MIB)),
                vmid: Some(2),
                ..fence
            },
            tables + 2,
        ),
    ] {
        let ops = vec![
            access(0, GVA, Access::Load),
            Op::Drain,
            Op::Fence(fence),
            access(0, GVA + PAGE, Access::Load),
        ];
        let count = reads_of_the_last(&rig, WalkCaches::ALL, ops);
        assert_eq!(count, reads, "{fence}");
    }
}

#[test]
fn what_was_not_valid_is_read_again_without_a_fence() {
    let mut rig = contiguous(Format::Rv64, 3, 2);
    let page = GVA + PAGE;
    let leaf = Entry::leaf(GPA + PAGE, Rights::ALL);
    let at = rig.map_guest(page, 0, leaf.with_valid(false));
    let ops = vec![
        access(0, GVA, Access::Load),
        access(0, page, Access::Load),
        Op::Drain,
        Op::Write {
            at,
            word: Some(leaf.0),
        },
        access(0, page, Access::Load),
    ];
    let mut scenario = rig.scenario(&[rig.context()], Timing::default(), ops);
    scenario.machine = machine(rig.format, WalkCaches::ALL);
    let seen = run(&scenario);
    assert!(seen.answers[&1].2.is_err());
    assert!(seen.answers[&4].2.is_ok());
}

/// Returns accesses to guest tables of level 0, one after the other. A table that is accessed a
/// second time is accessed by another page.
fn tables_in_turn(tables: &[u64]) -> Scenario {
    const REACH: u64 = 2 << 20;
    let mut rig = Rig::new(Format::Rv64, 3, 3);
    for table in 0..8 {
        for page in 0..4 {
            let offset = table * REACH + page * PAGE;
            let leaf = |at| Entry::leaf(at, Rights::ALL);
            rig.map_host(GPA + offset, 0, leaf(HPA + offset).with_user(true));
            rig.map_guest(GVA + offset, 0, leaf(GPA + offset));
        }
    }
    let mut times = [0; 8];
    let ops = tables.iter().flat_map(|&table| {
        let page = &mut times[table as usize];
        *page += 1;
        let gva = GVA + table * REACH + (*page - 1) * PAGE;
        [access(0, gva, Access::Load), Op::Drain]
    });
    rig.scenario(&[rig.context()], Timing::default(), ops.collect())
}

#[test]
fn caches_that_hold_less_than_they_must_are_found_out() {
    let small = VARIANTS.iter().find(|v| v.name == "rv64").unwrap();
    let used = |guest, host, nested| WalkCaches {
        guest,
        host,
        nested,
    };
    let guest = used(true, false, false);
    for (tables, caches, by) in [
        // Two entries keep the two that were touched last, as they must; eight must keep four.
        (&[0, 0][..], guest, None),
        (&[0, 1, 0], guest, None),
        (&[0, 1, 2, 0], guest, Some(WalkCache::Guest)),
        (&[0, 1, 2, 3, 0], guest, Some(WalkCache::Guest)),
        (&[0, 1, 2, 3, 4, 0], guest, None),
        (
            &[0, 1, 2, 0],
            used(false, true, false),
            Some(WalkCache::Host),
        ),
        (
            &[0, 1, 2, 0],
            used(false, false, true),
            Some(WalkCache::Nested),
        ),
    ] {
        let mut scenario = tables_in_turn(tables);
        scenario.machine = Machine {
            walk_caches: caches,
            ..Machine::of_variant(small)
        };
        run(&scenario);
        // The same device, declared with more entries.
        scenario.machine.walk_cache_entries = WalkCacheEntries::all(ENTRIES);
        let mut device = Dut::new(small, 1).unwrap();
        match (bench::run(&mut device, &scenario, &mut ()), by) {
            (Ok(_), None) => {}
            (Err(failed), Some(by)) => {
                let Failure::Mismatch(mismatch) = &failed.failure else {
                    panic!("{}", failed.failure);
                };
                let Violation::WalkCache(WalkCacheViolation::Missed { expected, .. }) =
                    mismatch.violation
                else {
                    panic!("{mismatch:?}");
                };
                assert_eq!((expected.cache, expected.level), (by, 0));
            }
            (ran, _) => panic!("{tables:?}, {caches:?}: {:?}", ran.map_err(|f| f.failure)),
        }
    }
}

#[test]
fn random_walks_are_led_by_what_eight_entries_must_hold() {
    for (format, name) in [(Format::Rv32, "rv32_c8"), (Format::Rv64, "rv64_c8")] {
        let variant = VARIANTS.iter().find(|v| v.name == name).unwrap();
        let mut device = Dut::new(variant, 1).unwrap();
        let profile = Profile {
            format,
            rights: false,
        };
        for number in 0..40 {
            let mut scenario = stimulus::scenario(profile, 1, number, 500);
            scenario.machine = Machine {
                walk_caches: WalkCaches::ALL,
                ..Machine::of_variant(variant)
            };
            if let Err(failed) = bench::run(&mut device, &scenario, &mut ()) {
                panic!("{format}, scenario {number}: {}", failed.failure);
            }
        }
    }
}
