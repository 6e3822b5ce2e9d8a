// SPDX-License-Identifier: Apache-2.0
//! Tests of the checks of events: each check accepts a correct device, and reports each error of a
//! wrong device with its reason.
//!
//! A [`Rig`] plays an RV64 device in a virtual machine, with a guest stage of three levels and no
//! host stage. The rig behaves like a correct device, and each test adds one error.

use std::fmt;

use super::*;
use crate::addr::{Gpa, Gva, Hpa};
use crate::bench::memory_request::{Read, Update};
use crate::bench::mismatch::{Check, PortViolation};
use crate::dut::variants::SecondTlb;
use crate::dut::{Done, Miss, Next, Pass, WalkStep};
use crate::format::Format;
use crate::format::riscv::Entry;
use crate::golden::occupancy::history;
use crate::golden::{self, Mapping, Meaning, Step};
use crate::memory::HostMemory;
use crate::mmu::{
    Access, Context, Fault, FaultKind, Fence, MemoryType, Outcome, Position, Query, Rights,
    StageControl, Translation, WalkCaches,
};
use crate::report::mismatch::Sides;

const FORMAT: Format = Format::Rv64;
/// The most cycles for which the device may be idle.
const IDLE_CYCLES: u32 = 16;
const ROOT: u64 = 0x1000;
const MIDDLE: u64 = 0x2000;
const LAST: u64 = 0x3000;
/// The first mapped gVA. Consecutive 4K pages from here are mapped to consecutive pages from
/// [`HPA`] on.
const GVA: u64 = 0x4000_0000;
const HPA: u64 = 0x10_0000;
const PAGE: u64 = 0x1000;
/// A gVA in a 2M page.
const LARGE: u64 = GVA + (2 << 20);

const ASID: u16 = 7;
const VMID: u16 = 9;

fn context() -> Context {
    let guest = StageControl {
        levels: 3,
        root: Gpa(ROOT),
        ..StageControl::default()
    };
    Context {
        virt: true,
        guest,
        host: StageControl::default(),
        user: false,
        sum: false,
        napot: false,
        rights: false,
        asid: ASID,
        vmid: VMID,
    }
}

fn load(gva: u64) -> Query {
    Query {
        context: context(),
        gva: Gva(gva),
        access: Access::Load,
    }
}

fn store(gva: u64) -> Query {
    Query {
        access: Access::Store,
        ..load(gva)
    }
}

fn page(hpa: u64) -> Outcome {
    Ok(Translation {
        gpa: Gpa(hpa),
        hpa: Hpa(hpa),
        page_size: 12,
        memory_type: MemoryType::Pma,
    })
}

fn by_gpa(gpa: u64) -> Fence {
    Fence {
        gpa: Some(Gpa(gpa)),
        ..Fence::default()
    }
}

/// Returns the outputs of a device with a response on its port.
fn response(id: u8, query: &Query, outcome: &Outcome, hit: bool) -> Outputs {
    let mut outputs = Outputs {
        rsp_valid: true,
        rsp_id: id,
        rsp_gva: query.gva.0,
        rsp_hit: hit,
        ..Outputs::default()
    };
    match outcome {
        Ok(translation) => {
            outputs.rsp_gpa = translation.gpa.0;
            outputs.rsp_hpa = translation.hpa.0;
            outputs.rsp_page_size = translation.page_size as u8;
            outputs.rsp_attributes = translation.memory_type as u8;
        }
        Err(fault) => {
            let Position::Guest { level } = fault.at else {
                panic!("the rig has a guest stage only");
            };
            let trap = fault.trap.unwrap();
            outputs.rsp_fault_kind = fault.kind as u8;
            outputs.rsp_fault_level = level as u8;
            outputs.rsp_trap_cause = trap.cause;
            outputs.rsp_trap_gva = trap.gva;
            outputs.rsp_trap_tval2 = trap.tval2;
            outputs.rsp_trap_tinst = trap.tinst;
        }
    }
    outputs
}

type Checked<T = ()> = Result<T, Box<Mismatch>>;

/// The state of the simulated device, and the checker of its behaviour.
struct Rig {
    checker: Checker,
    memory: HostMemory,
    cycle: u64,
    ops: usize,
    /// The device reports its steps.
    reports: bool,
}

impl Rig {
    fn new() -> Self {
        Self::of(Machine::of(FORMAT))
    }

    fn of(machine: Machine) -> Self {
        let mut memory = HostMemory::new(FORMAT);
        let mut write = |table: u64, level: u32, gva: u64, entry: Entry| {
            let index = FORMAT.geometry().index(gva, level);
            memory.write(Hpa(table + 8 * index), entry.0);
        };
        write(ROOT, 2, GVA, Entry::pointer(MIDDLE));
        write(MIDDLE, 1, GVA, Entry::pointer(LAST));
        write(MIDDLE, 1, LARGE, Entry::leaf(2 << 20, Rights::ALL));
        for number in 0..64 {
            let offset = number * PAGE;
            let leaf = Entry::leaf(HPA + offset, Rights::ALL);
            write(LAST, 0, GVA + offset, leaf);
        }
        Self {
            checker: Checker::new(&machine, machine.walk_caches),
            memory,
            cycle: 0,
            ops: 0,
            reports: machine.checked || machine.walk_caches.any(),
        }
    }

    /// Maps a 4K page with another leaf.
    fn map(&mut self, gva: u64, leaf: Entry) {
        let index = FORMAT.geometry().index(gva, 0);
        self.memory.write(Hpa(LAST + 8 * index), leaf.0);
    }

    fn tick(&mut self) -> u64 {
        self.cycle += 1;
        self.cycle
    }

    fn accept(&mut self, id: u8, query: &Query) {
        let cycle = self.tick();
        self.ops += 1;
        self.checker.begins(true);
        (self.checker).accepted(id, self.ops - 1, query, &query.context, cycle);
    }

    fn fence(&mut self, fence: &Fence) -> u64 {
        let cycle = self.tick();
        self.checker.begins(false);
        self.checker.fence(fence, cycle);
        cycle
    }

    fn miss(&mut self, id: u8, slot: u8, merged: bool) -> Checked {
        let cycle = self.tick();
        self.checker.miss(&Miss { id, slot, merged }, cycle)
    }

    /// Returns the steps and the result of the golden walk of a request.
    fn golden(&mut self, query: &Query) -> (Vec<Step>, Result<Mapping, Fault>) {
        let mut steps = Vec::new();
        let found = golden::walk(FORMAT, query, &mut self.memory, &mut steps);
        (steps, found)
    }

    /// Returns the reads and updates of a walk as memory accepts them, each with the step that the
    /// device reports.
    fn reads(&mut self, slot: u8, query: &Query) -> Vec<(Read, WalkStep)> {
        let (steps, _) = self.golden(query);
        let mut reads = Vec::new();
        let mut before = 0;
        for (number, step) in steps.iter().enumerate() {
            let update = step.update.map(|new| Update {
                expected: before,
                new,
            });
            before = step.word.unwrap_or(0);
            let (next, fault) = match (step.meaning, steps.get(number + 1)) {
                (Meaning::Fault(kind), _) => (Next::Fault, kind as u8),
                (_, None) => (Next::Done, 0),
                (_, Some(behind)) if behind.update.is_some() => (Next::Update, 0),
                _ => (Next::Read, 0),
            };
            let hpa = step.hpa.unwrap();
            let read = Read {
                at: hpa,
                update,
                word: step.word,
                cycle: self.tick(),
            };
            let report = WalkStep {
                slot,
                host: false,
                guest_level: step.at.level() as u8,
                host_level: 0,
                purpose: 0,
                update: update.is_some(),
                pass: Pass::None,
                global: false,
                gpa: Gpa(step.entry),
                hpa,
                error: step.word.is_none(),
                word: before,
                next,
                fault,
            };
            reads.push((read, report));
        }
        reads
    }

    fn show(&mut self, slot: u8, reads: &[(Read, WalkStep)]) -> Checked {
        for (read, report) in reads {
            self.checker.read(slot, read)?;
            self.checker.wants_request(slot);
            self.checker.served(slot, read.cycle + 1);
            if self.reports {
                self.checker.step(report, read.cycle + 1)?;
            }
        }
        Ok(())
    }

    /// Plays all memory requests of a walk.
    fn walk(&mut self, slot: u8, query: &Query) -> Checked {
        let reads = self.reads(slot, query);
        self.show(slot, &reads)
    }

    fn done(&mut self, id: u8, slot: u8, fill: bool) -> Checked {
        let cycle = self.tick();
        let done = Done { id, slot, fill };
        self.checker.done(&done, cycle, &mut ()).map(drop)
    }

    fn respond(&mut self, outputs: &Outputs) -> Checked {
        let cycle = self.tick();
        self.checker.response(outputs, cycle).map(drop)
    }

    /// Plays a request that misses, and its walk, until the result of the walk is given to the
    /// request.
    fn walked(&mut self, id: u8, query: &Query) -> Checked {
        self.accept(id, query);
        self.miss(id, 0, false)?;
        self.walk(0, query)?;
        let (_, found) = self.golden(query);
        self.done(id, 0, found.is_ok())
    }

    /// Plays a request that misses, its walk and its response.
    fn found(&mut self, id: u8, query: &Query) -> Checked {
        self.walked(id, query)?;
        let (_, found) = self.golden(query);
        self.respond(&response(id, query, &golden::outcome(&found), false))
    }

    /// Plays a request that hits in the TLB with an outcome, and its response.
    fn hit(&mut self, id: u8, query: &Query, outcome: &Outcome) -> Checked {
        self.accept(id, query);
        self.respond(&response(id, query, outcome, true))
    }
}

/// Asserts that the given check fails, and that its mismatch is reported with the given texts.
#[track_caller]
fn wrong<T: fmt::Debug>(
    checked: Checked<T>,
    check: Check,
    expected: &str,
    observed: &str,
) -> Mismatch {
    let mismatch = checked.expect_err("the device is wrong");
    let sides = Sides::of(&mismatch.violation, FORMAT);
    let reported = (mismatch.check(), &sides.expected[..], &sides.observed[..]);
    assert_eq!(reported, (check, expected, observed));
    *mismatch
}

#[test]
fn of_a_right_device_nothing_is_said() {
    let mut rig = Rig::new();
    rig.found(0, &load(GVA)).unwrap();
    rig.hit(1, &store(GVA + 8), &page(HPA + 8)).unwrap();
    rig.fence(&by_gpa(HPA));
    rig.found(2, &load(GVA)).unwrap();
    rig.found(3, &load(LARGE)).unwrap();
    // Two equal requests are coalesced.
    let query = load(GVA + PAGE);
    rig.accept(4, &query);
    rig.miss(4, 1, false).unwrap();
    rig.accept(5, &load(GVA + PAGE + 8));
    rig.miss(5, 1, true).unwrap();
    rig.walk(1, &query).unwrap();
    rig.done(4, 1, true).unwrap();
    rig.done(5, 1, false).unwrap();
    rig.respond(&response(4, &query, &page(HPA + PAGE), false))
        .unwrap();
    let other = load(GVA + PAGE + 8);
    rig.respond(&response(5, &other, &page(HPA + PAGE + 8), false))
        .unwrap();
    assert!(rig.checker.board().oldest().is_none());
}

#[test]
fn reads_another_address_than_the_walk_calls_for_is_found() {
    let mut rig = Rig::new();
    let query = load(GVA);
    rig.accept(0, &query);
    rig.miss(0, 0, false).unwrap();
    let mut reads = rig.reads(0, &query);
    reads[1].0.at = Hpa(0x2008);
    rig.show(0, &reads).unwrap();
    let mismatch = wrong(
        rig.done(0, 0, true),
        Check::Reads,
        "memory read 2 of the walk: hPA 0x02000",
        "memory read 2 of the walk: hPA 0x02008 in cycle 4",
    );
    assert_eq!(mismatch.wrong_read, Some(1));
    assert_eq!(mismatch.reads.len(), 3);
}

#[test]
fn reads_that_are_missing_are_found_with_what_the_walk_has_ended_with() {
    for outcome in [
        page(HPA),
        Err(Fault {
            kind: FaultKind::Invalid,
            at: Position::Guest { level: 1 },
            trap: Some(Default::default()),
        }),
    ] {
        let mut rig = Rig::new();
        let query = load(GVA);
        rig.accept(3, &query);
        rig.miss(3, 0, false).unwrap();
        let mut reads = rig.reads(0, &query);
        reads.pop();
        rig.show(0, &reads).unwrap();
        let mut mismatch = wrong(
            rig.done(3, 0, true),
            Check::Reads,
            "memory read 3 of the walk: hPA 0x03000",
            "the end of the walk after 2 memory reads",
        );
        // The driver adds the response, which comes in the next cycle.
        let end = mismatch.walk_end_mut().unwrap();
        assert_eq!(end.id, 3);
        end.response = Some(response(3, &query, &outcome, false).outcome(true));
        let observed = match outcome {
            Ok(_) => {
                "the end of the walk after 2 memory reads; the response is hPA 0x100000, page of 4K"
            }
            Err(_) => {
                "the end of the walk after 2 memory reads; the response is invalid fault at guest L1 \
                 (store access fault, cause 0)"
            }
        };
        assert_eq!(Sides::of(&mismatch.violation, FORMAT).observed, observed);
    }
}

#[test]
fn reads_behind_the_end_of_the_walk_are_found_with_what_it_should_have_ended_with() {
    let mut rig = Rig::new();
    let query = load(GVA);
    rig.map(GVA, Entry(0));
    rig.accept(0, &query);
    rig.miss(0, 0, false).unwrap();
    let mut reads = rig.reads(0, &query);
    reads.push(reads[0]);
    rig.show(0, &reads).unwrap();
    wrong(
        rig.done(0, 0, false),
        Check::Reads,
        "the end of the walk after 3 memory reads; the outcome is invalid fault at guest L0 (load page fault, cause 13)",
        "memory read 4 of the walk: hPA 0x01008 in cycle 3",
    );
}

#[test]
fn reads_and_updates_are_counted_apart() {
    let mut rig = Rig::new();
    let mut query = store(GVA);
    query.context.guest.adue = true;
    let clear = Entry::leaf(HPA, Rights::ALL)
        .with_accessed(false)
        .with_dirty(false);
    rig.map(GVA, clear);
    rig.accept(0, &query);
    rig.miss(0, 0, false).unwrap();
    let mut reads = rig.reads(0, &query);
    assert_eq!(reads.len(), 4);
    let update = reads[3].0.update.as_mut().unwrap();
    let right = update.new;
    // The wrong update leaves D clear.
    update.new = Entry(right).with_dirty(false).0;
    let forgotten = update.new;
    let before = clear.0;
    rig.show(0, &reads).unwrap();
    wrong(
        rig.done(0, 0, true),
        Check::Reads,
        &format!("update 1 of the walk: hPA 0x03000 from 0x{before:X} to 0x{right:X}"),
        &format!(
            "update 1 of the walk: hPA 0x03000 from 0x{before:X} to 0x{forgotten:X} in cycle 6"
        ),
    );
}

#[test]
fn reads_by_a_slot_without_a_walk_are_found() {
    let mut rig = Rig::new();
    let read = Read {
        at: Hpa(0x1008),
        update: None,
        word: Some(0),
        cycle: 5,
    };
    wrong(
        rig.checker.read(2, &read),
        Check::Reads,
        "no memory request by slot 2, which has no walk in flight",
        "a memory read of hPA 0x01008 in cycle 5",
    );
}

#[test]
fn responses_of_walks_are_reported_with_the_sizes_of_both_pages() {
    let query = load(GVA + 8);
    let right = page(HPA + 8);
    let right_text = "hPA 0x100008, page of 4K";
    let large = Ok(Translation {
        page_size: 21,
        ..right.unwrap()
    });
    let found = |outcome: Outcome, expected: &str, observed: &str| {
        let mut rig = Rig::new();
        rig.walked(0, &query).unwrap();
        let outputs = response(0, &query, &outcome, false);
        let checked = rig.respond(&outputs);
        wrong(checked, Check::WalkResponse, expected, observed);
    };
    found(page(HPA + 16), right_text, "hPA 0x100010, page of 4K");
    found(large, right_text, "hPA 0x100008, page of 2M");
    // The report shows the gPA only if nothing else is wrong.
    let other_gpa = Ok(Translation {
        gpa: Gpa(HPA),
        ..right.unwrap()
    });
    found(
        other_gpa,
        "gPA 0x100008, hPA 0x100008, page of 4K",
        "gPA 0x100000, hPA 0x100008, page of 4K",
    );
    let with = |change: fn(&mut Outputs)| {
        let mut rig = Rig::new();
        rig.walked(0, &query).unwrap();
        let mut outputs = response(0, &query, &right, false);
        change(&mut outputs);
        rig.respond(&outputs)
    };
    with(|_| {}).unwrap();
    wrong(
        with(|outputs| outputs.rsp_gva += PAGE),
        Check::WalkResponse,
        "a response for gVA 0x40000008",
        "a response for gVA 0x40001008",
    );
    wrong(
        with(|outputs| outputs.rsp_trap_cause = 13),
        Check::WalkResponse,
        "a well-formed response",
        "a translation with trap fields that are not 0",
    );
}

#[test]
fn a_hit_of_a_page_that_no_walk_has_found_is_told_so() {
    let mut rig = Rig::new();
    rig.found(0, &load(GVA)).unwrap();
    rig.map(GVA + PAGE, Entry(0));
    rig.found(1, &load(GVA + PAGE)).unwrap();
    wrong(
        rig.hit(2, &load(GVA + PAGE), &page(HPA)),
        Check::Hit,
        "a miss: no walk has found this page since the reset",
        "a hit: hPA 0x100000, page of 4K",
    );
}

#[test]
fn a_stale_hit_is_told_with_the_fence_that_invalidated_the_page_however_long_ago() {
    for (fence, text) in [
        (by_gpa(HPA), "fence by gPA 0x100000"),
        (
            Fence {
                gva: Some(Gva(GVA)),
                vmid: Some(VMID),
                ..Fence::default()
            },
            "fence by gVA 0x40000000, VMID 9",
        ),
        (Fence::default(), "fence of everything"),
    ] {
        let mut rig = Rig::new();
        rig.found(0, &load(GVA)).unwrap();
        let found = rig.cycle - 1;
        let fenced = rig.fence(&fence);
        // While other requests come and go, the checker drops the entry that the fence invalidated.
        // The reason must be known all the same.
        for number in 1..8 {
            rig.found(0, &load(GVA + number * PAGE)).unwrap();
            rig.fence(&by_gpa(HPA + number * PAGE));
        }
        assert_eq!(rig.checker.tlb.may_contain(&load(GVA), 0).count(), 0);
        wrong(
            rig.hit(0, &load(GVA), &page(HPA)),
            Check::Hit,
            &format!(
                "a miss: fences have invalidated this page; the last was the {text} in cycle {fenced}"
            ),
            &format!(
                "a hit: hPA 0x100000, page of 4K; a walk found it in cycle {found}, \
                 and the {text} invalidated it in cycle {fenced}"
            ),
        );
    }
}

#[test]
fn a_stale_hit_in_place_of_a_valid_answer_is_told_with_where_it_comes_from() {
    let mut rig = Rig::new();
    rig.found(0, &load(GVA)).unwrap();
    let first = rig.cycle - 1;
    rig.map(GVA, Entry::leaf(0x20_0000, Rights::ALL));
    let fenced = rig.fence(&by_gpa(HPA));
    rig.found(0, &load(GVA)).unwrap();
    wrong(
        rig.hit(0, &load(GVA), &page(HPA)),
        Check::Hit,
        "hPA 0x200000, page of 4K",
        &format!(
            "a hit: hPA 0x100000, page of 4K; a walk found it in cycle {first}, \
             and the fence by gPA 0x100000 invalidated it in cycle {fenced}"
        ),
    );
}

#[test]
fn a_hit_that_the_page_does_not_permit_and_one_of_another_address_are_found() {
    let mut rig = Rig::new();
    let read_only = Rights {
        read: true,
        write: false,
        execute: false,
    };
    rig.map(GVA, Entry::leaf(HPA, read_only));
    rig.found(0, &load(GVA)).unwrap();
    rig.hit(0, &load(GVA), &page(HPA)).unwrap();
    wrong(
        rig.hit(0, &store(GVA), &page(HPA)),
        Check::Hit,
        "a miss: what walks have found does not permit this access",
        "a hit: hPA 0x100000, page of 4K",
    );
    let mut rig = Rig::new();
    rig.found(0, &load(GVA)).unwrap();
    wrong(
        rig.hit(0, &load(GVA), &page(HPA + 8)),
        Check::Hit,
        "hPA 0x100000, page of 4K",
        "a hit: hPA 0x100008, page of 4K",
    );
}

#[test]
fn a_request_before_the_fence_may_hit_and_one_behind_it_may_not() {
    for before in [true, false] {
        let mut rig = Rig::new();
        let query = load(GVA);
        rig.found(0, &query).unwrap();
        if before {
            rig.accept(1, &query);
        }
        rig.fence(&by_gpa(HPA));
        if !before {
            rig.accept(1, &query);
        }
        let checked = rig.respond(&response(1, &query, &page(HPA), true));
        assert_eq!(checked.is_ok(), before);
    }
}

#[test]
fn a_hit_of_an_overtaken_walks_page_is_told_as_such() {
    let mut rig = Rig::new();
    let query = load(GVA);
    rig.accept(0, &query);
    rig.miss(0, 0, false).unwrap();
    rig.walk(0, &query).unwrap();
    // The walk has made its last read, and its result has not been given to the request yet.
    let fenced = rig.fence(&by_gpa(HPA));
    rig.done(0, 0, false).unwrap();
    let found = rig.cycle;
    rig.respond(&response(0, &query, &page(HPA), false))
        .unwrap();
    wrong(
        rig.hit(1, &query, &page(HPA)),
        Check::Hit,
        &format!(
            "a miss: fences have invalidated this page; the last was the fence by gPA 0x100000 in cycle {fenced}"
        ),
        &format!(
            "a hit: hPA 0x100000, page of 4K; the walk that found it in cycle {found} was started \
             before the fence by gPA 0x100000 in cycle {fenced}"
        ),
    );
}

#[test]
fn a_miss_of_a_page_that_must_be_there_is_found_by_both_rules() {
    // A TLB of 32 entries must still contain the first of six pages.
    let mut rig = Rig::new();
    rig.found(0, &load(GVA)).unwrap();
    let found = rig.cycle - 1;
    for number in 1..6 {
        rig.found(0, &load(GVA + number * PAGE)).unwrap();
    }
    rig.accept(1, &load(GVA));
    wrong(
        rig.miss(1, 0, false),
        Check::MustHit,
        &format!(
            "a TLB hit: a walk found the 4K page of gVA 0x40000000 in cycle {found}, no fence has \
             invalidated it since, and the TLB of 32 entries has room for every page that it may \
             contain"
        ),
        "a miss",
    );
    // A TLB of four entries must contain the two pages that were used last.
    let mut rig = Rig::of(Machine {
        tlb_entries: 4,
        ..Machine::of(FORMAT)
    });
    for number in 0..6 {
        rig.found(0, &load(GVA + number * PAGE)).unwrap();
    }
    let found = rig.cycle - 1;
    rig.accept(1, &load(GVA));
    rig.miss(1, 0, false).unwrap();
    rig.accept(2, &load(GVA + 5 * PAGE));
    wrong(
        rig.miss(2, 1, false),
        Check::MustHit,
        &format!(
            "a TLB hit: a walk found the 4K page of gVA 0x40005000 in cycle {found}, no fence has \
             invalidated it since, and it is one of the last 2 that the TLB has filled or hit"
        ),
        "a miss",
    );
    // After a fence a miss is legal.
    rig.fence(&by_gpa(HPA + 4 * PAGE));
    rig.accept(3, &load(GVA + 4 * PAGE));
    rig.miss(3, 1, false).unwrap();
}

#[test]
fn a_miss_of_the_second_level_of_a_page_that_must_be_there_is_found() {
    let tlb2 = SecondTlb {
        sets: 4,
        ways: 2,
        superpages: 2,
    };
    let mut rig = Rig::of(Machine {
        tlb_entries: 2,
        tlb2: Some(tlb2),
        ..Machine::of(FORMAT)
    });
    rig.found(0, &load(GVA)).unwrap();
    let found = rig.cycle - 1;
    for number in 1..4 {
        rig.found(0, &load(GVA + number * PAGE)).unwrap();
    }
    rig.accept(1, &load(GVA));
    let answered = rig.checker.second_hit(1, rig.cycle);
    answered.unwrap();
    rig.respond(&response(1, &load(GVA), &page(HPA), true))
        .unwrap();
    rig.found(0, &load(GVA + 4 * PAGE)).unwrap();
    rig.found(0, &load(GVA + 5 * PAGE)).unwrap();
    rig.accept(2, &load(GVA));
    wrong(
        rig.miss(2, 0, false),
        Check::MustHit,
        &format!(
            "a hit of the L2 TLB: a walk found the 4K page of gVA 0x40000000 in cycle {found}, and no \
             fence and no replacement can have removed it since"
        ),
        "a miss",
    );
}

#[test]
fn fills_that_must_not_be_are_found_with_the_reason() {
    let no_fill = |rig: &mut Rig, query: &Query, fence: Option<&Fence>| {
        rig.accept(0, query);
        rig.miss(0, 0, false).unwrap();
        rig.walk(0, query).unwrap();
        if let Some(fence) = fence {
            rig.fence(fence);
        }
        rig.done(0, 0, true)
    };
    let mut rig = Rig::new();
    rig.map(GVA, Entry(0));
    wrong(
        no_fill(&mut rig, &load(GVA), None),
        Check::Fill,
        "no fill: the walk has ended with a fault; invalid fault at guest L0 (load page fault, cause 13)",
        "a fill",
    );
    wrong(
        no_fill(&mut Rig::new(), &load(GVA), Some(&by_gpa(HPA))),
        Check::Fill,
        "no fill: the fence by gPA 0x100000 in cycle 6 has invalidated what the walk has found",
        "a fill",
    );
    let mut bare = load(GVA);
    bare.context.guest.levels = 0;
    wrong(
        no_fill(&mut Rig::new(), &bare, None),
        Check::Fill,
        "no fill: both stages are off",
        "a fill",
    );
}

#[test]
fn a_fill_that_is_missing_or_comes_twice_is_found() {
    let mut rig = Rig::new();
    let query = load(GVA);
    rig.accept(0, &query);
    rig.miss(0, 0, false).unwrap();
    rig.walk(0, &query).unwrap();
    wrong(
        rig.done(0, 0, false),
        Check::Fill,
        "a fill: nothing has overtaken the walk",
        "no fill",
    );
    let mut rig = Rig::new();
    for id in [0, 1] {
        rig.accept(id, &query);
        rig.miss(id, 0, id == 1).unwrap();
    }
    rig.walk(0, &query).unwrap();
    rig.done(0, 0, true).unwrap();
    wrong(
        rig.done(1, 0, true),
        Check::Fill,
        "one fill for a walk",
        "a second fill",
    );
}

#[test]
fn equal_misses_that_are_walked_twice_are_found_and_other_pairs_are_right() {
    let context = context();
    let other_asid = Context { asid: 8, ..context };
    let pairs = [
        (load(GVA + 8), true),
        (store(GVA), false),
        (load(GVA + PAGE), false),
        (
            Query {
                context: other_asid,
                ..load(GVA)
            },
            false,
        ),
    ];
    for (second, equal) in pairs {
        let mut rig = Rig::new();
        rig.accept(0, &load(GVA));
        rig.miss(0, 0, false).unwrap();
        rig.accept(1, &second);
        let missed = rig.miss(1, 1, false);
        if equal {
            wrong(
                missed,
                Check::Coalescing,
                "the request shares the walk of slot 0",
                "a walk of its own in slot 1",
            );
        } else {
            missed.unwrap();
        }
    }
    // A second walk for an equal request is also legal after a fence.
    let mut rig = Rig::new();
    rig.accept(0, &load(GVA));
    rig.miss(0, 0, false).unwrap();
    rig.fence(&by_gpa(HPA + PAGE));
    rig.accept(1, &load(GVA));
    rig.miss(1, 1, false).unwrap();
}

#[test]
fn requests_given_to_walks_that_are_not_theirs_are_found() {
    let mut rig = Rig::new();
    rig.accept(0, &load(GVA));
    wrong(
        rig.miss(0, 2, true),
        Check::WrongWalk,
        "a walk of its own",
        "the request is assigned to slot 2, which has no walk in flight",
    );

    let mut rig = Rig::new();
    rig.accept(0, &load(GVA));
    rig.miss(0, 0, false).unwrap();
    rig.accept(1, &load(GVA + PAGE));
    wrong(
        rig.miss(1, 0, true),
        Check::WrongWalk,
        "a walk of its own, or the walk of an equal request",
        "the request is assigned to slot 0, which walks for load gVA 0x40000000 in VS-mode; Sv39 root \
         gPA 0x01000, Bare, ASID 7, VMID 9",
    );

    let mut rig = Rig::new();
    rig.accept(0, &load(GVA));
    rig.miss(0, 0, false).unwrap();
    rig.accept(1, &load(GVA + PAGE));
    wrong(
        rig.miss(1, 0, false),
        Check::WrongWalk,
        "a walk in a free slot",
        "a walk in slot 0, which has a walk in flight",
    );

    let mut rig = Rig::new();
    for id in [0, 1] {
        rig.accept(id, &load(GVA + u64::from(id) * PAGE));
        rig.miss(id, id, false).unwrap();
        rig.walk(id, &load(GVA + u64::from(id) * PAGE)).unwrap();
    }
    wrong(
        rig.done(0, 1, true),
        Check::WrongWalk,
        "the result of its own walk",
        "the result of the walk of slot 1",
    );
}

#[test]
fn a_walk_from_before_a_fence_answers_no_request_from_behind_it() {
    let mut rig = Rig::new();
    rig.accept(0, &load(GVA));
    rig.miss(0, 0, false).unwrap();
    let fenced = rig.fence(&by_gpa(HPA));
    rig.accept(1, &load(GVA));
    wrong(
        rig.miss(1, 0, true),
        Check::Overtaken,
        &format!("a walk that was started after the fence by gPA 0x100000 in cycle {fenced}"),
        "the request shares the walk of slot 0, started before it",
    );
    // A fence of another VMID does not matter.
    let elsewhere = Fence {
        vmid: Some(VMID + 1),
        ..Fence::default()
    };
    let mut rig = Rig::new();
    rig.accept(0, &load(GVA));
    rig.miss(0, 0, false).unwrap();
    rig.fence(&elsewhere);
    rig.accept(1, &load(GVA));
    rig.miss(1, 0, true).unwrap();
}

/// Returns the outputs of a device with a replay on its response port.
fn replay(id: u8, query: &Query) -> Outputs {
    Outputs {
        rsp_valid: true,
        rsp_id: id,
        rsp_gva: query.gva.0,
        rsp_replay: true,
        ..Outputs::default()
    }
}

#[test]
fn a_read_of_a_walk_that_a_fence_has_overtaken_is_found_from_the_cycle_after_it_on() {
    let query = load(GVA);
    for late in [false, true] {
        let mut rig = Rig::new();
        rig.accept(0, &query);
        rig.miss(0, 0, false).unwrap();
        let mut reads = rig.reads(0, &query);
        rig.show(0, &reads[..1]).unwrap();
        let fenced = rig.fence(&by_gpa(HPA));
        // A memory request that is accepted in the cycle of the handshake of the fence is legal,
        // because it was offered before.
        reads[1].0.cycle = fenced + u64::from(late);
        let checked = rig.checker.read(0, &reads[1].0);
        match late {
            false => checked.unwrap(),
            true => drop(wrong(
                checked,
                Check::AfterFence,
                &format!(
                    "no memory request of the walk after the fence by gPA 0x100000 in cycle {fenced}, \
                     which matches it"
                ),
                &format!(
                    "memory read 2 of the walk: hPA 0x02000 in cycle {}",
                    fenced + 1
                ),
            )),
        }
    }
}

#[test]
fn a_request_that_a_fence_has_overtaken_gets_no_walk_after_it() {
    let mut rig = Rig::new();
    rig.accept(0, &load(GVA));
    let fenced = rig.fence(&by_gpa(HPA));
    wrong(
        rig.miss(0, 0, false),
        Check::AfterFence,
        &format!(
            "no walk after the fence by gPA 0x100000 in cycle {fenced}, which matches the request"
        ),
        "a walk in slot 0",
    );
}

#[test]
fn a_replay_is_owed_where_a_fence_came_before_the_end_of_a_walk_and_nowhere_else() {
    let query = load(GVA);
    // If only some memory requests of the walk have their responses, the walk is overtaken, and its
    // request must get a replay.
    let overtaken = |answered: usize| {
        let mut rig = Rig::new();
        rig.accept(0, &query);
        rig.miss(0, 0, false).unwrap();
        let reads = rig.reads(0, &query);
        rig.show(0, &reads[..answered]).unwrap();
        let fenced = rig.fence(&by_gpa(HPA));
        rig.done(0, 0, false).unwrap();
        (rig, fenced)
    };
    for answered in 0..3 {
        let (mut rig, _) = overtaken(answered);
        rig.respond(&replay(0, &query)).unwrap();
        let (mut rig, fenced) = overtaken(answered);
        wrong(
            rig.respond(&response(0, &query, &page(HPA), false)),
            Check::Replay,
            &format!(
                "a replay: the fence by gPA 0x100000 in cycle {fenced} has overtaken the walk"
            ),
            "hPA 0x100000, page of 4K",
        );
    }
    // If all memory requests have their responses, the walk has ended, and its request must get the
    // result.
    let (mut rig, fenced) = overtaken(3);
    wrong(
        rig.respond(&replay(0, &query)),
        Check::Replay,
        &format!(
            "the response of its walk, which ended before the fence by gPA 0x100000 in cycle {fenced}"
        ),
        "a replay",
    );
    let mut rig = Rig::new();
    rig.walked(0, &query).unwrap();
    wrong(
        rig.respond(&replay(0, &query)),
        Check::Replay,
        "the response of its walk, which no fence has overtaken",
        "a replay",
    );
    // Requests without a walk.
    for fenced in [false, true] {
        let mut rig = Rig::new();
        rig.accept(0, &query);
        if fenced {
            rig.fence(&by_gpa(HPA));
            rig.respond(&replay(0, &query)).unwrap();
        } else {
            wrong(
                rig.respond(&replay(0, &query)),
                Check::Replay,
                "no replay: no fence has overtaken the request",
                "a replay",
            );
        }
    }
    // All other fields of a replay must be 0.
    let (mut rig, _) = overtaken(1);
    let outputs = Outputs {
        rsp_hpa: HPA,
        ..replay(0, &query)
    };
    wrong(
        rig.respond(&outputs),
        Check::Replay,
        "a replay with gVA 0x40000000, and all other fields 0",
        "a replay with another field that is not 0",
    );
}

#[test]
fn a_fence_that_waits_for_anything_but_an_offered_read_of_a_walk_that_it_matches_is_found() {
    let mut rig = Rig::new();
    rig.accept(0, &load(GVA));
    rig.miss(0, 2, false).unwrap();
    let elsewhere = Fence {
        vmid: Some(VMID + 1),
        ..Fence::default()
    };
    let mine = by_gpa(HPA);
    rig.checker.fence_waits(&mine, Some(2), 9).unwrap();
    for (fence, offered) in [(mine, None), (mine, Some(1)), (elsewhere, Some(2))] {
        let mismatch = rig.checker.fence_waits(&fence, offered, 9).unwrap_err();
        let expected = PortViolation::FenceStalled { fence };
        assert_eq!(mismatch.violation, Violation::Port(expected));
    }
}

#[test]
fn an_answer_of_a_walk_from_before_the_requests_fence_is_found() {
    // A request from after the fence is assigned to a walk from before the fence. The test writes
    // the fence into the scoreboard only after the assignment, so the check of the response must
    // find the error.
    let mut rig = Rig::new();
    let query = load(GVA);
    rig.walked(0, &query).unwrap();
    let fence = by_gpa(HPA);
    let board = &mut rig.checker.board;
    let number = board.fence(&fence, 40);
    board.walk_mut(0).fences.push((number, fence));
    board.request_mut(0).unwrap().fences = number;
    wrong(
        rig.respond(&response(0, &query, &page(HPA), false)),
        Check::Overtaken,
        "a walk that was started after the fence by gPA 0x100000 in cycle 40",
        "the response of a walk that was started before it",
    );
}

#[test]
fn responses_without_a_request_a_walk_or_a_hit_are_found() {
    let query = load(GVA);
    let outputs = response(5, &query, &page(HPA), false);
    let nobody = "nothing for id 5, which has no outstanding request";
    let mut rig = Rig::new();
    wrong(
        rig.respond(&outputs),
        Check::OneResponse,
        nobody,
        "a response",
    );
    wrong(rig.miss(5, 0, false), Check::OneResponse, nobody, "a miss");
    wrong(
        rig.done(5, 0, false),
        Check::OneResponse,
        nobody,
        "the result of a walk",
    );
    wrong(
        rig.checker.second_hit(5, 9),
        Check::OneResponse,
        nobody,
        "a hit of the L2 TLB",
    );
    // A second response to the same request is found.
    rig.found(5, &query).unwrap();
    wrong(
        rig.respond(&outputs),
        Check::OneResponse,
        nobody,
        "a response",
    );

    rig.accept(5, &load(GVA + PAGE));
    let of_next = |hit| response(5, &load(GVA + PAGE), &page(HPA + PAGE), hit);
    wrong(
        rig.respond(&of_next(false)),
        Check::OneResponse,
        "a TLB hit, or the result of a walk",
        "a response that is neither",
    );
    rig.miss(5, 0, false).unwrap();
    wrong(
        rig.respond(&of_next(false)),
        Check::OneResponse,
        "no response before the end of its walk",
        "a response",
    );
    wrong(
        rig.respond(&of_next(true)),
        Check::OneResponse,
        "the response of its walk",
        "a response that says that the TLB has hit",
    );
}

#[test]
fn a_response_that_changes_before_it_is_accepted_is_found() {
    let query = load(GVA);
    let first = response(1, &query, &page(HPA), false);
    let stalled = |second: &Outputs, taken| {
        let mut rig = Rig::new();
        rig.checker
            .ports(&first, (taken, false), false, 10)
            .unwrap();
        rig.checker.ports(second, (false, false), false, 11)
    };
    let other = response(1, &query, &page(HPA + 8), false);
    stalled(&first, false).unwrap();
    stalled(&other, true).unwrap();
    let rule =
        "the response stays until it is accepted: id 1, gVA 0x40000000, hPA 0x100000, page of 4K";
    wrong(
        stalled(&other, false),
        Check::Port,
        rule,
        "id 1, gVA 0x40000000, hPA 0x100008, page of 4K",
    );
    wrong(
        stalled(&Outputs::default(), false),
        Check::Port,
        rule,
        "no response",
    );
}

#[test]
fn a_read_that_changes_before_it_is_accepted_is_found() {
    let offered = |slot, hpa, update| Outputs {
        mem_req_valid: true,
        mem_req_id: slot,
        mem_req_hpa: hpa,
        mem_req_update: update,
        mem_req_expected: 1,
        mem_req_new: 0x41,
        ..Outputs::default()
    };
    let first = offered(2, 0x1008, false);
    let stalled = |second: &Outputs, taken| {
        let mut rig = Rig::new();
        rig.checker
            .ports(&first, (false, taken), false, 10)
            .unwrap();
        rig.checker.ports(second, (false, false), false, 11)
    };
    stalled(&first, false).unwrap();
    stalled(&offered(3, 0x1008, false), true).unwrap();
    for (second, now) in [
        (
            offered(3, 0x1008, false),
            "slot 3, a memory read of hPA 0x01008",
        ),
        (
            offered(2, 0x1010, false),
            "slot 2, a memory read of hPA 0x01010",
        ),
        (
            offered(2, 0x1008, true),
            "slot 2, an update of hPA 0x01008 from 0x1 to 0x41",
        ),
        (Outputs::default(), "no memory request"),
    ] {
        wrong(
            stalled(&second, false),
            Check::Port,
            "the memory request stays until it is accepted: slot 2, a memory read of hPA 0x01008",
            now,
        );
    }
}

#[test]
fn a_slot_that_waits_for_more_than_its_turn_is_found() {
    let mut rig = Rig::new();
    for id in [0, 1] {
        rig.accept(id, &load(GVA + u64::from(id) * PAGE));
        rig.miss(id, id, false).unwrap();
    }
    let read = Read {
        at: Hpa(ROOT),
        update: None,
        word: Some(0),
        cycle: 9,
    };
    for _ in 0..4 {
        rig.checker.read(0, &read).unwrap();
        rig.checker.wants_request(0);
    }
    wrong(
        rig.checker.read(1, &read),
        Check::Port,
        "slots are served round robin: slot 1 waits for 3 memory requests of others at most",
        "it has waited for 4",
    );
}

#[test]
fn a_walk_that_keeps_its_request_back_while_the_memory_port_is_free_is_found() {
    let mut rig = Rig::new();
    rig.accept(0, &load(GVA));
    rig.miss(0, 0, false).unwrap();
    let read = Read {
        at: Hpa(ROOT),
        update: None,
        word: Some(0),
        cycle: 9,
    };
    let quiet = |rig: &mut Rig, cycles| {
        for _ in 0..cycles {
            rig.checker.turns.on_quiet_cycle();
        }
    };
    // A slot may wait for five quiet cycles, because each of the four slots may have a lookup in
    // the page-walk caches first.
    quiet(&mut rig, 5);
    rig.checker.read(0, &read).unwrap();
    // Cycles in which the memory read is outstanding do not count.
    quiet(&mut rig, 90);
    rig.checker.wants_request(0);
    quiet(&mut rig, 6);
    let mismatch = wrong(
        rig.checker.read(0, &read),
        Check::Stalled,
        "the walk in slot 0 offers its next memory request: the memory port has offered and returned \
         nothing for more than 5 cycles since it could",
        "it has offered it only now",
    );
    assert_eq!((mismatch.op, mismatch.cycle), (Some(0), 9));
}

#[test]
fn a_device_that_does_nothing_for_too_long_is_found() {
    let mut rig = Rig::new();
    rig.accept(0, &load(GVA));
    for cycle in 0..u64::from(IDLE_CYCLES) {
        rig.checker.goes_on(false, cycle).unwrap();
    }
    rig.checker.goes_on(true, 20).unwrap();
    for cycle in 0..u64::from(IDLE_CYCLES) {
        rig.checker.goes_on(false, 21 + cycle).unwrap();
    }
    let mismatch = wrong(
        rig.checker.goes_on(false, 99),
        Check::Stalled,
        "a memory request, a response, or a request or fence accepted: nothing has been in flight for 16 \
         cycles",
        "nothing",
    );
    assert_eq!((mismatch.op, mismatch.cycle), (Some(0), 99));
}

#[test]
fn a_request_that_waits_beside_a_free_slot_is_found() {
    let mut rig = Rig::new();
    for cycle in 1..4 {
        assert!(!rig.checker.keeps_out(true, true, false), "{cycle}");
    }
    assert!(rig.checker.keeps_out(true, true, false));
    wrong(
        rig.checker
            .check_room(Some((load(GVA), load(GVA).context)), 9),
        Check::Stalled,
        "the request is assigned to a walk: 0 of 4 slots are in use, and 0 requests wait for their results",
        "it has waited for 4 cycles",
    );
    // With every slot in use the request may wait, unless it can share a walk in flight.
    for id in 0..4 {
        rig.accept(id, &load(GVA + u64::from(id) * PAGE));
        rig.miss(id, id, false).unwrap();
    }
    let waits = |rig: &Rig, page| {
        let query = load(GVA + page * PAGE);
        rig.checker.check_room(Some((query, query.context)), 9)
    };
    waits(&rig, 7).unwrap();
    wrong(
        waits(&rig, 3),
        Check::Stalled,
        "the request is assigned to a walk: 4 of 4 slots are in use, and 4 requests wait for their results",
        "it has waited for 4 cycles",
    );
}

#[test]
fn steps_that_are_reported_wrongly_are_found() {
    let checked = Machine {
        checked: true,
        ..Machine::of(FORMAT)
    };
    let reported = |change: fn(&mut Vec<(Read, WalkStep)>)| {
        let mut rig = Rig::of(checked);
        let query = load(GVA);
        rig.accept(0, &query);
        rig.miss(0, 0, false).unwrap();
        let mut reads = rig.reads(0, &query);
        change(&mut reads);
        rig.show(0, &reads).unwrap();
        rig.done(0, 0, true)
    };
    reported(|_| {}).unwrap();
    let root = Entry::pointer(MIDDLE).0;
    let expected = format!(
        "memory read 1 of the walk: guest L2, gPA 0x01008, memory read of hPA 0x01008 gives 0x{root:X}, \
         next: memory read"
    );
    for (change, got) in [
        (
            (|reads| reads[0].1.word ^= 0x40) as fn(&mut Vec<(Read, WalkStep)>),
            format!(
                "memory read 1 of the walk: guest L2, gPA 0x01008, memory read of hPA 0x01008 gives 0x{:X}, \
                 next: memory read",
                root ^ 0x40
            ),
        ),
        (
            |reads| {
                reads[0].1.next = Next::Fault;
                reads[0].1.fault = FaultKind::Invalid as u8;
            },
            format!(
                "memory read 1 of the walk: guest L2, gPA 0x01008, memory read of hPA 0x01008 gives 0x{root:X}, \
                 next: fault invalid"
            ),
        ),
        (
            |reads| {
                let step = &mut reads[0].1;
                (step.host, step.purpose, step.error) = (true, 3, true);
            },
            "memory read 1 of the walk: host L0, translating gPA 0x01008 for purpose 3, which does not exist, \
             gPA 0x01008, memory read of hPA 0x01008 gives an error, next: memory read"
                .to_owned(),
        ),
    ] {
        let mismatch = wrong(reported(change), Check::Steps, &expected, &got);
        assert_eq!(mismatch.wrong_read, Some(0));
    }
}

/// Returns a rig of a device with walk caches of two entries.
fn with_caches() -> Rig {
    Rig::of(Machine {
        walk_caches: WalkCaches::ALL,
        ..Machine::of(FORMAT)
    })
}

/// Plays a walk that hits in the guest page-walk cache and so reads only the leaf.
fn led(rig: &mut Rig, id: u8, slot: u8, query: &Query) -> Checked {
    rig.accept(id, query);
    rig.miss(id, slot, false)?;
    let mut reads = rig.reads(slot, query).split_off(2);
    reads[0].1.pass = Pass::Guest;
    rig.show(slot, &reads)?;
    rig.done(id, slot, true)
}

#[test]
fn what_a_walk_cache_may_know_it_may_give_and_its_word_is_no_evidence() {
    let mut rig = with_caches();
    rig.found(0, &load(GVA)).unwrap();
    led(&mut rig, 0, 0, &load(GVA + PAGE)).unwrap();

    let way = "the guest page-walk cache of L0";
    let got = format!("memory read 1 of the walk after a hit in {way}: hPA 0x03008");
    let mut rig = with_caches();
    let mismatch = wrong(
        led(&mut rig, 0, 0, &load(GVA + PAGE)),
        Check::WalkCache,
        &format!("a miss in {way}: no walk has read this entry since the reset"),
        &got,
    );
    assert_eq!(mismatch.wrong_read, Some(0));

    // The reason is known even if the fence that invalidated the entry was long ago.
    let mut rig = with_caches();
    rig.found(0, &load(GVA)).unwrap();
    let fence = Fence {
        asid: Some(ASID),
        vmid: Some(VMID),
        ..Fence::default()
    };
    let fenced = rig.fence(&fence);
    for _ in 0..3 {
        rig.found(0, &load(LARGE)).unwrap();
        rig.fence(&by_gpa(2 << 20));
    }
    wrong(
        led(&mut rig, 0, 0, &load(GVA + PAGE)),
        Check::WalkCache,
        &format!(
            "a miss in {way}: fences have invalidated this entry; the last was the fence by ASID 7, VMID 9 \
             in cycle {fenced}"
        ),
        &got,
    );

    // The hit points to another table than the entries that walks have read.
    let mut rig = with_caches();
    rig.found(0, &load(GVA)).unwrap();
    rig.memory.write(
        Hpa(MIDDLE + 8 * FORMAT.geometry().index(GVA, 1)),
        Entry::pointer(0x5000).0,
    );
    rig.memory
        .write(Hpa(0x5008), Entry::leaf(HPA, Rights::ALL).0);
    wrong(
        led(&mut rig, 0, 0, &load(GVA + PAGE)),
        Check::WalkCache,
        &format!("a hit in {way} that leads to the page of hPA 0x03000"),
        &format!("memory read 1 of the walk after a hit in {way}: hPA 0x05008"),
    );
}

#[test]
fn a_walk_cache_that_spares_nothing_where_it_must_is_found() {
    let mut rig = with_caches();
    rig.found(0, &load(GVA)).unwrap();
    rig.accept(1, &load(GVA + PAGE));
    rig.miss(1, 0, false).unwrap();
    let missed = rig.walk(0, &load(GVA + PAGE));
    let read = 6;
    let mismatch = wrong(
        missed,
        Check::WalkCache,
        &format!(
            "memory read 1 of the walk after a hit in the guest page-walk cache of L0, which has \
             contained the entry since cycle {read}"
        ),
        "memory read 1 of the walk after no page-walk cache hit",
    );
    assert_eq!(mismatch.wrong_read, Some(0));
    // After a fence the walk cache may miss.
    let mut rig = with_caches();
    rig.found(0, &load(GVA)).unwrap();
    rig.fence(&Fence::default());
    rig.accept(1, &load(GVA + PAGE));
    rig.miss(1, 0, false).unwrap();
    rig.walk(0, &load(GVA + PAGE)).unwrap();
}

#[test]
fn a_walk_cache_that_is_said_to_spare_what_was_read_is_found() {
    let mut rig = with_caches();
    rig.found(0, &load(GVA)).unwrap();
    let query = load(GVA + PAGE);
    rig.accept(0, &query);
    rig.miss(0, 0, false).unwrap();
    let mut reads = rig.reads(0, &query).split_off(2);
    reads[0].1.pass = Pass::Guest;
    // The device reads the leaf a second time.
    let more = reads[0];
    reads.push(more);
    rig.show(0, &reads).unwrap();
    wrong(
        rig.done(0, 0, true),
        Check::Reads,
        "the end of the walk after 1 memory read; the outcome is hPA 0x101000, page of 4K",
        "memory read 2 of the walk: hPA 0x03008 in cycle 12",
    );

    let mut rig = with_caches();
    rig.accept(0, &load(GVA));
    rig.miss(0, 0, false).unwrap();
    let mut reads = rig.reads(0, &load(GVA));
    reads[1].1.pass = Pass::Host;
    rig.show(0, &reads).unwrap();
    wrong(
        rig.done(0, 0, true),
        Check::WalkCache,
        "memory read 2 of the walk without a page-walk cache hit: nothing is skipped here",
        "memory read 2 of the walk: hPA 0x02000 in cycle 4 after a hit in the host page-walk cache of L0",
    );
}

#[test]
fn what_is_kept_for_reasons_is_bounded_and_what_was_dropped_is_not_denied() {
    let mut rig = Rig::new();
    rig.found(0, &load(GVA)).unwrap();
    rig.fence(&by_gpa(HPA));
    // The history of invalidated pages keeps two generations. Enough other pages are added to push
    // out both.
    let mapping = rig.golden(&load(GVA)).1.unwrap();
    let fences = [(1, Fence::default())];
    for number in 1..=2 * history::KEYS as u64 {
        let query = load(GVA + number * PAGE);
        (rig.checker.tlb).on_walk(&query, &mapping, &fences, false, rig.cycle);
    }
    wrong(
        rig.hit(0, &load(GVA), &page(HPA)),
        Check::Hit,
        "a miss: no walk has found this page recently; of the invalidated pages, the last 32768 are known",
        "a hit: hPA 0x100000, page of 4K",
    );
}
