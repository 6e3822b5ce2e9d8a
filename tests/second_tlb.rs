// SPDX-License-Identifier: Apache-2.0
//! The L2 TLB: its hits and their time, the entries that a fence invalidates, and the entries that
//! it must contain.

#[path = "common/riscv.rs"]
mod rig;

use nestwalk::addr::{Gpa, Gva};
use nestwalk::bench::mismatch::{HitReason, Violation};
use nestwalk::bench::{self, Failure};
use nestwalk::dut::Dut;
use nestwalk::dut::variants::{VARIANTS, Variant};
use nestwalk::format::Format;
use nestwalk::format::riscv::Entry;
use nestwalk::mmu::{Access, Context, Fence, Rights};
use nestwalk::scenario::{Machine, Op, Timing};
use rig::{PAGE, Rig, access, page_size, run};

fn variant(name: &str) -> &'static Variant {
    VARIANTS.iter().find(|v| v.name == name).unwrap()
}

/// A page that is looked up, aligned to every page size, and other pages in other sets: one more
/// than the first level has entries.
const LOOKED_AT: u64 = 0x4000_0000;
const OTHERS: [u64; 5] = [
    0x8000_1000,
    0x8000_3000,
    0x8000_5000,
    0x8000_7000,
    0x8000_9000,
];
const GPA: u64 = 0x8000_0000;
const HPA: u64 = 0x1_0000_0000;

/// Returns a rig with the page in leaves of level `guest` and `host`, and the other pages in 4K
/// leaves.
fn rig_of(format: Format, levels: u8, guest: u32, host: u32) -> Rig {
    let mut rig = Rig::new(format, levels, levels);
    rig.map_host(GPA, host, host_leaf(HPA));
    rig.map_guest(LOOKED_AT, guest, guest_leaf(GPA));
    for gva in OTHERS {
        // The gPA is outside the largest page that [`GPA`] may be in.
        let gpa = 0xC000_0000 + gva % (1 << 20);
        rig.map_host(gpa, 0, host_leaf(HPA + gpa));
        rig.map_guest(gva, 0, guest_leaf(gpa));
    }
    rig
}

fn guest_leaf(gpa: u64) -> Entry {
    Entry::leaf(gpa, Rights::ALL)
}

fn host_leaf(hpa: u64) -> Entry {
    Entry::leaf(hpa, Rights::ALL).with_user(true)
}

fn load(gva: u64) -> [Op; 2] {
    [access(0, gva, Access::Load), Op::Drain]
}

/// Returns the cycles of each access, and whether it hit the TLB. Each access waits for the one
/// before.
fn timed(rig: &Rig, machine: Machine, contexts: &[Context], ops: Vec<Op>) -> Vec<(u64, bool)> {
    let mut scenario = rig.scenario(contexts, Timing::default(), ops);
    scenario.machine = machine;
    let seen = run(&scenario);
    let answers = seen.answers.values();
    answers
        .map(|(accepted, answered, outcome, hit)| {
            assert!(outcome.is_ok(), "{outcome:?}");
            (answered - accepted, *hit)
        })
        .collect()
}

/// Returns loads of the page and of the others, which evict it from the first level.
fn out_of_the_first_level() -> Vec<Op> {
    let gvas = [LOOKED_AT].into_iter().chain(OTHERS);
    gvas.flat_map(load).collect()
}

#[test]
fn a_page_of_any_size_that_has_left_the_first_level_is_answered_in_three_cycles_and_then_in_one() {
    for (name, levels) in [("rv64_l2", 3), ("rv64_l2", 4), ("rv32_l2", 2)] {
        let variant = variant(name);
        let format = variant.paging_format();
        for (guest, host) in (0..u32::from(levels)).flat_map(|g| (0..3).map(move |h| (g, h))) {
            // The sizes are 1G or 4M at most, because the addresses are aligned to no more.
            let most = u32::from(levels).min(3);
            if guest >= most || host >= most {
                continue;
            }
            let rig = rig_of(format, levels, guest, host);
            let mut ops = out_of_the_first_level();
            // The last 4K of the smaller leaf's page.
            let last = (1 << page_size(format, guest.min(host))) - PAGE;
            ops.extend([load(LOOKED_AT + last), load(LOOKED_AT)].concat());
            let seen = timed(&rig, Machine::of_variant(variant), &[rig.context()], ops);
            let what = format!("{name}, {levels} levels, leaves of {guest} and {host}");
            assert_eq!(seen[6..], [(3, true), (1, true)], "{what}");
            assert!(
                !seen[0].1 && seen[1..6].iter().all(|seen| !seen.1),
                "{what}"
            );
        }
    }
}

#[test]
fn a_miss_takes_two_cycles_more_for_the_look_up() {
    for latency in [1, 10, 50] {
        for (name, more) in [("rv64", 0), ("rv64_l2", 2)] {
            let rig = rig_of(Format::Rv64, 3, 0, 0);
            let timing = Timing {
                latency: latency..=latency,
                ..Timing::default()
            };
            let mut scenario = rig.scenario(&[rig.context()], timing, load(LOOKED_AT).to_vec());
            scenario.machine = Machine::of_variant(variant(name));
            let seen = run(&scenario);
            let (accepted, answered, ..) = seen.answers[&0];
            let expected = 15 * (u64::from(latency) + 1) + 2 + more;
            assert_eq!(answered - accepted, expected, "{name}, L = {latency}");
        }
    }
}

#[test]
fn as_many_pages_as_it_has_room_for_are_walked_once() {
    let variant = variant("rv64_l2_c8");
    let mut rig = Rig::new(Format::Rv64, 3, 3);
    let pages = 128;
    for page in 0..pages {
        let offset = page * PAGE;
        rig.map_host(GPA + offset, 0, host_leaf(HPA + offset));
        rig.map_guest(LOOKED_AT + offset, 0, guest_leaf(GPA + offset));
    }
    // In this order, a first level of 32 entries has evicted each page before the page is used
    // again.
    let rounds = 5;
    let ops = (0..rounds * pages).flat_map(|n| load(LOOKED_AT + n % pages * PAGE));
    let machine = Machine::of_variant(variant);
    let seen = timed(&rig, machine, &[rig.context()], ops.collect());
    let (first, rest) = seen.split_at(pages as usize);
    assert!(first.iter().all(|&(_, hit)| !hit));
    assert!(rest.iter().all(|&seen| seen == (3, true)));
}

#[test]
fn an_answer_counts_when_a_way_is_replaced() {
    let mut rig = rig_of(Format::Rv64, 3, 0, 0);
    // Two other pages in the set of two ways of the page.
    let beside = [LOOKED_AT + 4 * PAGE, LOOKED_AT + 8 * PAGE];
    for gva in beside {
        let gpa = 0xC000_0000 + gva % (1 << 20);
        rig.map_host(gpa, 0, host_leaf(HPA + gpa));
        rig.map_guest(gva, 0, guest_leaf(gpa));
    }
    let last = |answered: &[u64], gva| {
        let gvas = [
            &[LOOKED_AT, beside[0]][..],
            &OTHERS,
            answered,
            &[beside[1]],
            &OTHERS,
            &[gva],
        ]
        .concat();
        let ops = gvas.into_iter().flat_map(load).collect();
        let machine = Machine::of_variant(variant("rv64_l2"));
        let seen = timed(&rig, machine, &[rig.context()], ops);
        seen.last().unwrap().1
    };
    // The page that was filled first is evicted, unless it has hit since.
    assert!(!last(&[], LOOKED_AT));
    assert!(last(&[], beside[0]));
    assert!(last(&[LOOKED_AT], LOOKED_AT));
    assert!(!last(&[LOOKED_AT], beside[0]));
}

#[test]
fn a_page_that_two_walks_have_filled_is_answered_by_one_of_them() {
    let latency = 10;
    let timing = Timing {
        latency: latency..=latency,
        ..Timing::default()
    };
    let mut rig = rig_of(Format::Rv64, 3, 0, 0);
    let moved = GPA + 3 * PAGE;
    rig.map_host(moved, 0, host_leaf(HPA + 0x5_5000));
    rig.map_host(GPA, 0, host_leaf(HPA + 0x2_2000));
    let leaf = rig.map_guest(LOOKED_AT, 0, guest_leaf(GPA));
    // The first walk has read the guest leaf, its twelfth entry, and not the last entry. So the
    // second request, for another access, is a walk of its own and finds another page.
    let read = 12 * (latency + 1) + 4;
    let mut ops = vec![
        access(0, LOOKED_AT, Access::Load),
        Op::Wait(read),
        Op::Write {
            at: leaf,
            word: Some(guest_leaf(moved).0),
        },
        access(0, LOOKED_AT, Access::Fetch),
        Op::Drain,
    ];
    ops.extend(OTHERS.into_iter().flat_map(load));
    ops.extend(load(LOOKED_AT));
    let mut scenario = rig.scenario(&[rig.context()], timing, ops);
    scenario.machine = Machine::of_variant(variant("rv64_l2"));
    let seen = run(&scenario);
    let answers: Vec<_> = seen.answers.values().collect();
    let hpa = |number: usize| answers[number].2.as_ref().unwrap().hpa;
    let last = answers.len() - 1;
    assert!(!answers[0].3 && !answers[1].3 && answers[last].3);
    assert_ne!(hpa(0), hpa(1));
    assert!([hpa(0), hpa(1)].contains(&hpa(last)));
}

/// Returns the parts of a page that hit after a fence, at once and after some time. The first level
/// has evicted the page before.
fn is_kept(rig: &Rig, variant: &Variant, fences: &[Fence], gva: u64) -> [bool; 2] {
    [0, 20].map(|wait| {
        let mut ops = out_of_the_first_level();
        ops.extend(fences.iter().map(|&fence| Op::Fence(fence)));
        ops.push(Op::Wait(wait));
        ops.extend(load(gva));
        let machine = Machine::of_variant(variant);
        let seen = timed(rig, machine, &[rig.context()], ops);
        seen.last().unwrap().1
    })
}

#[test]
fn a_fence_forgets_what_it_names_at_once_and_keeps_the_rest() {
    let all = Fence::default();
    let gva = |gva| Fence {
        gva: Some(Gva(gva)),
        ..all
    };
    let gpa = |gpa| Fence {
        gpa: Some(Gpa(gpa)),
        ..all
    };
    let outside = Fence { virt: false, ..all };
    for (guest, host) in [(0, 0), (1, 0), (0, 1), (1, 1), (2, 1)] {
        let rig = rig_of(Format::Rv64, 3, guest, host);
        // A page of the leaf next to the loaded page, and the page after the leaf.
        let [guest_end, host_end] = [guest, host].map(|level| 1 << page_size(Format::Rv64, level));
        for (fence, kept) in [
            (all, false),
            (outside, true),
            (gva(LOOKED_AT), false),
            (gva(LOOKED_AT + guest_end - PAGE), false),
            (gva(LOOKED_AT + guest_end), true),
            (gpa(GPA), false),
            (gpa(GPA + host_end - PAGE), false),
            (gpa(GPA + host_end), true),
            (
                Fence {
                    asid: Some(1),
                    ..all
                },
                false,
            ),
            (
                Fence {
                    asid: Some(3),
                    ..all
                },
                true,
            ),
            (
                Fence {
                    vmid: Some(2),
                    ..all
                },
                false,
            ),
            (
                Fence {
                    vmid: Some(3),
                    ..all
                },
                true,
            ),
        ] {
            let seen = is_kept(&rig, variant("rv64_l2"), &[fence], LOOKED_AT);
            let what = format!("leaves of {guest} and {host}, {fence}");
            assert_eq!(seen, [kept; 2], "{what}");
        }
    }
}

#[test]
fn fences_by_gva_one_after_the_other_keep_what_none_names() {
    let by = |gva| Fence {
        gva: Some(Gva(gva)),
        ..Fence::default()
    };
    let rig = rig_of(Format::Rv64, 3, 0, 0);
    let fences: Vec<Fence> = OTHERS.map(by).to_vec();
    let seen = is_kept(&rig, variant("rv64_l2"), &fences, LOOKED_AT);
    assert_eq!(seen, [true; 2]);
    // The fence that matches the page counts, whatever the number of fences.
    for place in 0..=fences.len() {
        let mut fences = fences.clone();
        fences.insert(place, by(LOOKED_AT));
        let seen = is_kept(&rig, variant("rv64_l2"), &fences, LOOKED_AT);
        assert_eq!(seen, [false; 2], "{place}");
    }
}

#[test]
fn a_fence_that_does_not_wait_for_the_one_before_loses_none_of_what_both_name() {
    let of = |vmid| Fence {
        vmid: Some(vmid),
        ..Fence::default()
    };
    let rig = rig_of(Format::Rv64, 3, 0, 0);
    for fences in [[of(2), of(3)], [of(3), of(2)], [of(2), of(2)]] {
        let seen = is_kept(&rig, variant("rv64_l2"), &fences, LOOKED_AT);
        assert_eq!(seen, [false; 2], "{fences:?}");
    }
}

#[test]
fn a_second_level_that_holds_less_than_it_must_is_found_out() {
    // The same device without an L2 TLB, declared to have one: sets of two, and two superpages.
    let small = variant("rv64_checked");
    let large = variant("rv64_l2");
    let others: Vec<u64> = OTHERS.to_vec();
    let mut in_its_set = others.clone();
    in_its_set.extend([0x8000_0000 + 16 * PAGE, 0x8000_0000 + 20 * PAGE]);
    for (size, others, found) in [
        (0, &others, true),
        (0, &in_its_set, false),
        (1, &others, true),
    ] {
        let mut rig = rig_of(Format::Rv64, 3, size, size);
        for &gva in &in_its_set[OTHERS.len()..] {
            rig.map_host(0xC000_0000 + gva % (1 << 20), 0, host_leaf(HPA));
            rig.map_guest(gva, 0, guest_leaf(0xC000_0000 + gva % (1 << 20)));
        }
        let gvas = [LOOKED_AT].iter().chain(others).chain([&LOOKED_AT]);
        let ops = gvas.flat_map(|&gva| load(gva)).collect();
        let mut scenario = rig.scenario(&[rig.context()], Timing::default(), ops);
        scenario.machine = Machine {
            tlb2: large.tlb2,
            ..Machine::of_variant(small)
        };
        let mut device = Dut::new(small, 1).unwrap();
        match bench::run(&mut device, &scenario, &mut ()) {
            Ok(_) => assert!(!found, "{size}, {others:x?}"),
            Err(failed) => {
                let Failure::Mismatch(mismatch) = &failed.failure else {
                    panic!("{}", failed.failure);
                };
                let in_l2_tlb = matches!(
                    mismatch.violation,
                    Violation::MustHit {
                        because: HitReason::L2,
                        ..
                    }
                );
                assert!(found && in_l2_tlb, "{mismatch:?}");
            }
        }
        scenario.machine = Machine::of_variant(large);
        run(&scenario);
    }
}
