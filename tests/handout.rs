// SPDX-License-Identifier: Apache-2.0
//! The handout's machine: the official results of the exercise, on golden model and device.

use nestwalk::addr::{Gpa, Gva, Hpa};
use nestwalk::bench;
use nestwalk::campaign::Devices;
use nestwalk::format::Format;
use nestwalk::golden::{self, Step};
use nestwalk::memory::HostMemory;
use nestwalk::mmu::{Access, Context, Outcome, Query};
use nestwalk::report::Recorder;
use nestwalk::scenario::{AccessOp, Holes, Machine, NamedContext, Op, Scenario, Timing};

/// Returns the snapshot of the exercise, and the word that the walk needs beyond it.
fn snapshot() -> HostMemory {
    let mut memory = HostMemory::new(Format::Handout);
    for (from, words) in [
        (
            0x02000,
            &[
                0x02048, 0x02010, 0x02038, 0x02028, 0x10084, 0x50DA8, 0x611A0, 0xB9944, 0xC7FFF,
                0x4B000, 0x730B1, 0xD2E5C, 0x3A000, 0x6010C, 0xA74C0, 0x8A524, 0x9FFEE, 0x293A4,
                0xA74D0, 0x3FD40,
            ][..],
        ),
        (0x22998, &[0xD2E5C, 0x3A000, 0x6010C, 0xA74CC, 0x730B1]),
        (0x52994, &[0x611A0, 0xBF149, 0xC7BFF, 0x4B020, 0xFA120]),
        (0xA299C, &[0x8A624, 0x9FEED, 0x293A4, 0xA7440, 0x3FD40]),
        (0x974D4, &[0x41234]),
    ] {
        for (number, word) in words.iter().enumerate() {
            memory.write(Hpa(from + 4 * number as u64), *word);
        }
    }
    memory
}

fn query(guest_root: Option<u64>, gva: u64) -> Query {
    Query {
        context: Context::handout(guest_root.map(Gpa), Hpa(0x02000)),
        gva: Gva(gva),
        access: Access::Load,
    }
}

/// Returns the golden walk: its outcome and steps.
fn golden(query: &Query) -> (Outcome, Vec<Step>) {
    let mut steps = Vec::new();
    let found = golden::walk(Format::Handout, query, &mut snapshot(), &mut steps);
    (golden::outcome(&found), steps)
}

/// Returns the walk of the device: its outcome and reads.
fn device(query: &Query) -> (Outcome, Vec<u64>) {
    let scenario = Scenario {
        title: String::new(),
        machine: Machine::of(Format::Handout),
        memory: snapshot(),
        holes: Holes::Fault,
        timing: Timing::default(),
        contexts: vec![NamedContext {
            name: "it".into(),
            context: query.context,
        }],
        ops: vec![Op::Access(AccessOp {
            context: 0,
            gva: query.gva,
            access: query.access,
            speculative: false,
            expect: None,
            line: None,
        })],
    };
    let mut dut = Devices::make(&scenario).expect("the default device is built in");
    let mut recorder = Recorder::new(&scenario);
    bench::run(&mut dut, &scenario, &mut recorder).expect("the device agrees with the model");
    let (_, outcome, hit) = recorder.accesses[0].answered.expect("it has answered");
    assert!(!hit);
    (
        outcome,
        recorder.reads(0).iter().map(|read| read.at.0).collect(),
    )
}

fn reads(steps: &[Step]) -> Vec<u64> {
    steps
        .iter()
        .filter_map(|step| step.hpa)
        .map(|hpa| hpa.0)
        .collect()
}

fn assert_both(query: &Query, hpa: u64, expected_reads: &[u64]) {
    let (outcome, steps) = golden(query);
    assert_eq!(outcome.map(|t| t.hpa), Ok(Hpa(hpa)));
    assert_eq!(reads(&steps), expected_reads);
    let (outcome, device_reads) = device(query);
    assert_eq!(outcome.map(|t| t.hpa), Ok(Hpa(hpa)));
    assert_eq!(device_reads, expected_reads);
}

#[test]
fn the_one_level_machine_translates_b29a0_to_229a0_in_two_reads() {
    assert_both(&query(None, 0xB29A0), 0x229A0, &[0x02008, 0x02044]);
}

#[test]
fn gpa_b29a4_is_hpa_229a4_and_its_data_takes_three_accesses() {
    assert_both(&query(None, 0xB29A4), 0x229A4, &[0x02008, 0x02044]);
    let (_, steps) = golden(&query(None, 0xB29A4));
    assert_eq!(reads(&steps).len() + 1, 3);
}

#[test]
fn the_guest_l1_entry_is_at_b29a4_and_229a4_and_takes_three_accesses() {
    let (_, steps) = golden(&query(Some(0xB29A0), 0x61EAC));
    let entry = steps[2];
    assert_eq!(entry.entry, 0xB29A4);
    assert_eq!(entry.hpa, Some(Hpa(0x229A4)));
    assert_eq!(entry.word, Some(0xA74CC));
}

#[test]
fn gva_61eac_takes_the_eight_reads_in_order_and_nine_accesses() {
    let eight = [
        0x02008, 0x02044, 0x229A4, 0x02008, 0x02040, 0x974D4, 0x02004, 0x02010,
    ];
    assert_both(&query(Some(0xB29A0), 0x61EAC), 0x11EAC, &eight);
    let levels = u64::from(Format::Handout.geometry().levels);
    assert_eq!(eight.len() as u64 + 1, (levels + 1) * (levels + 1));
}

#[test]
fn base_and_index_are_added_not_joined() {
    // 0x02038 | 0xC is 0x0203C, whose word points to page 8.
    let (outcome, steps) = golden(&query(None, 0xB29A0));
    assert_eq!(steps[1].entry, 0x02038 + 0xC);
    assert_ne!(steps[1].entry, 0x02038 | 0xC);
    assert_ne!(outcome.map(|t| t.hpa.0 >> 16), Ok(8));
    assert_ne!(
        device(&query(None, 0xB29A0)).0.map(|t| t.hpa.0 >> 16),
        Ok(8)
    );
}

#[test]
fn every_gva_of_the_snapshot_has_the_same_answer_and_reads_on_both() {
    for page in 0..16 {
        for guest_root in [None, Some(0xB29A0), Some(0xB299C), Some(0x02000)] {
            let query = query(guest_root, (page << 16) + 0x1EAC);
            let (expected, steps) = golden(&query);
            assert_eq!(device(&query), (expected, reads(&steps)), "{query:?}");
        }
    }
}
