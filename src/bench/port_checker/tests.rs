// SPDX-License-Identifier: Apache-2.0
//! Tests of the port checks: they accept a correct device, and find each error of a wrong device.
//!
//! A [`Rig`] plays an RV64 device with one stage of three levels, outside virtual machines.

use super::*;
use crate::addr::{Gva, Hpa};
use crate::bench::checker::Response;
use crate::bench::memory_request::Update;
use crate::bench::mismatch::Check;
use crate::dut::description::Visibility;
use crate::format::riscv::Entry;
use crate::golden::{self, EntryMemory};
use crate::memory::HostMemory;
use crate::mmu::{Access, MemoryType, Outcome, StageControl, Translation};

const FORMAT: Format = Format::Rv64;
const ROOT: u64 = 0x1000;
const MIDDLE: u64 = 0x2000;
const LAST: u64 = 0x3000;
/// The first mapped gVA. Consecutive 4K pages from here are mapped to consecutive pages from
/// [`HPA`] on.
const GVA: u64 = 0x4000_0000;
const HPA: u64 = 0x10_0000;
const PAGE: u64 = 0x1000;

fn load(page: u64) -> Query {
    let guest = StageControl {
        levels: 3,
        root: crate::addr::Gpa(ROOT),
        ..StageControl::default()
    };
    Query {
        context: Context {
            virt: false,
            guest,
            host: StageControl::default(),
            user: false,
            sum: false,
            napot: false,
            rights: false,
            asid: 7,
            vmid: 0,
        },
        gva: Gva(GVA + page * PAGE),
        access: Access::Load,
    }
}

fn page(page: u64) -> Outcome {
    let hpa = HPA + page * PAGE;
    Ok(Translation {
        gpa: crate::addr::Gpa(hpa),
        hpa: Hpa(hpa),
        page_size: 12,
        memory_type: MemoryType::Pma,
    })
}

/// Memory that records the memory requests of a golden walk, one in each cycle.
struct Log<'a> {
    memory: &'a mut HostMemory,
    reads: Vec<Read>,
    cycle: u64,
}

impl EntryMemory for Log<'_> {
    fn read_entry(&mut self, at: Hpa) -> Option<u64> {
        let word = self.memory.read_entry(at);
        self.cycle += 1;
        self.reads.push(Read {
            at,
            update: None,
            word,
            cycle: self.cycle,
        });
        word
    }

    fn update_entry(&mut self, at: Hpa, expected: u64, new: u64) -> Option<u64> {
        let word = self.memory.update_entry(at, expected, new);
        self.cycle += 1;
        self.reads.push(Read {
            at,
            update: Some(Update { expected, new }),
            word,
            cycle: self.cycle,
        });
        word
    }
}

struct Rig {
    checker: PortChecker,
    memory: HostMemory,
    cycle: u64,
}

type Checked<T = ()> = Result<T, Box<Mismatch>>;

impl Rig {
    fn new(visibility: Visibility, change: impl FnOnce(&mut Description)) -> Self {
        let mut memory = HostMemory::new(FORMAT);
        let mut write = |table: u64, level: u32, gva: u64, entry: Entry| {
            let index = FORMAT.geometry().index(gva, level);
            memory.write(Hpa(table + 8 * index), entry.0);
        };
        write(ROOT, 2, GVA, Entry::pointer(MIDDLE));
        write(MIDDLE, 1, GVA, Entry::pointer(LAST));
        for page in 0..4 {
            let leaf = Entry(Entry::pointer(HPA + page * PAGE).0 | 0xCE);
            write(LAST, 0, GVA + page * PAGE, leaf);
        }
        let machine = Machine {
            visibility,
            ..Machine::of(FORMAT)
        };
        let mut description = machine.description();
        change(&mut description);
        Self {
            checker: PortChecker::new(&machine, description, WalkCaches::default()),
            memory,
            cycle: 0,
        }
    }

    /// Returns a rig of level `attributed` with at most one request in flight.
    fn alone() -> Self {
        Self::new(Visibility::Attributed, |description| {
            description.responses.outstanding = 1;
        })
    }

    fn edit(&mut self, page: u64, word: u64) {
        let at = LAST + 8 * FORMAT.geometry().index(GVA + page * PAGE, 0);
        self.memory.write(Hpa(at), word);
    }

    fn accept(&mut self, id: u8, query: &Query) {
        self.cycle += 1;
        let op = usize::from(id);
        self.checker
            .accepted(id, op, query, &query.context, self.cycle);
    }

    /// Returns the memory requests of the golden walk of a request over the current memory.
    fn reads(&mut self, query: &Query) -> Vec<Read> {
        let mut log = Log {
            memory: &mut self.memory,
            reads: Vec::new(),
            cycle: self.cycle,
        };
        let _ = golden::walk(FORMAT, query, &mut log, &mut ());
        let (reads, cycle) = (log.reads, log.cycle);
        self.cycle = cycle;
        reads
    }

    fn walk(&mut self, id: u8, query: &Query) -> Checked {
        let reads = self.reads(query);
        reads
            .iter()
            .try_for_each(|read| self.checker.read(id, read))
    }

    fn fence(&mut self) {
        self.cycle += 1;
        let fence = Fence {
            virt: false,
            ..Fence::default()
        };
        self.checker.fence(&fence, self.cycle);
    }

    fn respond(&mut self, id: u8, query: &Query, outcome: &Outcome) -> Checked<Response> {
        self.cycle += 1;
        let mut outputs = Outputs {
            rsp_valid: true,
            rsp_id: id,
            rsp_gva: query.gva.0,
            ..Outputs::default()
        };
        let translation = outcome.unwrap();
        outputs.rsp_gpa = translation.gpa.0;
        outputs.rsp_hpa = translation.hpa.0;
        outputs.rsp_page_size = translation.page_size as u8;
        self.checker.response(&outputs, self.cycle)
    }

    /// Plays a request, its walk and its response.
    fn serve(&mut self, id: u8, query: &Query, outcome: &Outcome) -> Checked<Response> {
        self.accept(id, query);
        self.walk(id, query)?;
        self.respond(id, query, outcome)
    }

    /// Plays a request that hits in the TLB, and its response.
    fn hit(&mut self, id: u8, query: &Query, outcome: &Outcome) -> Checked<Response> {
        self.accept(id, query);
        self.respond(id, query, outcome)
    }
}

/// The levels of visibility at which a device is checked by its ports alone.
const LEVELS: [Visibility; 2] = [Visibility::Ports, Visibility::Attributed];

fn found<T>(checked: Checked<T>) -> Check {
    checked.err().expect("the check finds it").violation.check()
}

#[test]
fn walks_and_hits_of_what_they_found_are_legal() {
    for level in LEVELS {
        let mut rig = Rig::new(level, |_| {});
        rig.serve(0, &load(1), &page(1)).unwrap();
        rig.hit(1, &load(1), &page(1)).unwrap();
        // Two walks in flight at the same time.
        rig.accept(2, &load(2));
        rig.accept(3, &load(3));
        let (two, three) = (rig.reads(&load(2)), rig.reads(&load(3)));
        for (read, other) in two.iter().zip(&three) {
            rig.checker.read(0, read).unwrap();
            rig.checker.read(1, other).unwrap();
        }
        rig.respond(3, &load(3), &page(3)).unwrap();
        rig.respond(2, &load(2), &page(2)).unwrap();
    }
}

#[test]
fn a_response_that_no_walk_gives_is_found() {
    for level in LEVELS {
        let mut rig = Rig::new(level, |_| {});
        assert_eq!(found(rig.serve(0, &load(1), &page(2))), Check::WalkResponse);
        let mut rig = Rig::new(level, |_| {});
        assert_eq!(found(rig.hit(0, &load(1), &page(1))), Check::WalkResponse);
    }
}

#[test]
fn before_a_fence_old_and_new_translations_are_legal_and_behind_it_the_new_one_alone() {
    for level in LEVELS {
        let mut rig = Rig::new(level, |_| {});
        rig.serve(0, &load(1), &page(1)).unwrap();
        rig.edit(1, Entry::pointer(HPA + 2 * PAGE).0 | 0xCE);
        rig.hit(1, &load(1), &page(1)).unwrap();
        rig.serve(2, &load(1), &page(2)).unwrap();
        rig.fence();
        rig.serve(3, &load(1), &page(2)).unwrap();
        assert_eq!(found(rig.hit(4, &load(1), &page(1))), Check::WalkResponse);
    }
}

#[test]
fn a_device_without_a_tlb_must_walk_for_each_request() {
    for level in LEVELS {
        let mut rig = Rig::new(level, |description| description.tlb = None);
        rig.serve(0, &load(1), &page(1)).unwrap();
        assert_eq!(found(rig.hit(1, &load(1), &page(1))), Check::WalkResponse);
    }
}

#[test]
fn a_read_of_no_request_is_found() {
    for level in LEVELS {
        let mut rig = Rig::new(level, |_| {});
        rig.serve(0, &load(1), &page(1)).unwrap();
        assert_eq!(found(rig.walk(0, &load(1))), Check::Reads);
    }
}

#[test]
fn a_read_that_no_walk_calls_for_is_found_where_reads_are_attributed() {
    let mut rig = Rig::new(Visibility::Attributed, |_| {});
    rig.accept(0, &load(1));
    let reads = rig.reads(&load(2));
    rig.checker.read(0, &reads[0]).unwrap();
    rig.checker.read(0, &reads[1]).unwrap();
    let mismatch = rig.checker.read(0, &reads[2]).unwrap_err();
    assert_eq!(mismatch.violation.check(), Check::Reads);
    assert_eq!((mismatch.op, mismatch.wrong_read), (Some(0), Some(2)));
}

#[test]
fn a_response_before_the_end_of_the_walk_is_found_where_reads_are_attributed() {
    let mut rig = Rig::new(Visibility::Attributed, |_| {});
    rig.serve(0, &load(1), &page(1)).unwrap();
    rig.accept(1, &load(1));
    let reads = rig.reads(&load(1));
    rig.checker.read(0, &reads[0]).unwrap();
    assert_eq!(found(rig.respond(1, &load(1), &page(1))), Check::Reads);
}

#[test]
fn a_miss_of_the_page_used_last_is_found_with_one_request_at_a_time() {
    let mut rig = Rig::alone();
    rig.serve(0, &load(1), &page(1)).unwrap();
    rig.accept(1, &load(1));
    assert_eq!(found(rig.walk(0, &load(1))), Check::MustHit);
    // After a fence that matches the page, a miss is legal.
    let mut rig = Rig::alone();
    rig.serve(0, &load(1), &page(1)).unwrap();
    rig.fence();
    rig.serve(1, &load(1), &page(1)).unwrap();
    // A fence whose operand is not a legal address of the mode, but has the same lower bits, also
    // makes a miss legal.
    rig.cycle += 1;
    let fence = Fence {
        virt: false,
        gva: Some(Gva((GVA + PAGE) | (1 << 60))),
        ..Fence::default()
    };
    rig.checker.fence(&fence, rig.cycle);
    rig.serve(1, &load(1), &page(1)).unwrap();
    // A fence after the request also makes a miss legal, because the device may not have looked up
    // the request yet.
    let mut rig = Rig::new(Visibility::Attributed, |description| {
        description.responses.outstanding = 1;
        description.ports = description.ports.without(&["rsp_replay_o"]);
    });
    rig.serve(1, &load(1), &page(1)).unwrap();
    rig.accept(2, &load(1));
    rig.fence();
    rig.walk(0, &load(1)).unwrap();
    rig.respond(2, &load(1), &page(1)).unwrap();
}

#[test]
fn a_request_in_flight_may_miss_behind_a_fence_that_matches_it() {
    let fence = Fence {
        virt: false,
        ..Fence::default()
    };
    let other = Fence {
        asid: Some(8),
        ..fence
    };
    for (fence, may_miss) in [(fence, true), (other, false)] {
        for is_accepted in [false, true] {
            let mut rig = Rig::new(Visibility::Attributed, |description| {
                description.responses.outstanding = 1;
                description.ports = description.ports.without(&["rsp_replay_o"]);
            });
            rig.serve(0, &load(1), &page(1)).unwrap();
            rig.accept(1, &load(1));
            match is_accepted {
                true => rig.checker.fence(&fence, rig.cycle),
                false => (rig.checker.fence_waits(&fence, false, rig.cycle)).unwrap(),
            }
            match may_miss {
                true => rig.walk(1, &load(1)).unwrap(),
                false => assert_eq!(found(rig.walk(1, &load(1))), Check::MustHit),
            }
        }
    }
}

#[test]
fn a_read_of_a_walk_behind_the_fence_that_overtakes_it_is_found_where_reads_are_attributed() {
    let mut rig = Rig::new(Visibility::Attributed, |_| {});
    rig.accept(0, &load(1));
    let reads = rig.reads(&load(1));
    rig.checker.read(0, &reads[0]).unwrap();
    rig.cycle = reads[0].cycle;
    rig.fence();
    let late = Read {
        cycle: rig.cycle + 1,
        ..reads[1]
    };
    assert_eq!(found(rig.checker.read(0, &late)), Check::AfterFence);
}

#[test]
fn memory_requests_without_an_end_are_found() {
    let mut rig = Rig::new(Visibility::Ports, |_| {});
    rig.accept(0, &load(1));
    let read = rig.reads(&load(1))[0];
    let first = (0..10_000).find_map(|_| rig.checker.read(0, &read).err());
    let mismatch = first.expect("the checker ends it");
    assert_eq!(mismatch.violation.check(), Check::Stalled);
    assert_eq!(mismatch.op, Some(0));
}

#[test]
fn a_response_of_no_request_and_an_unexpected_replay_are_found() {
    let mut rig = Rig::new(Visibility::Ports, |_| {});
    assert_eq!(
        found(rig.respond(3, &load(1), &page(1))),
        Check::OneResponse
    );
    rig.accept(0, &load(1));
    let replay = Outputs {
        rsp_valid: true,
        rsp_replay: true,
        rsp_gva: GVA + PAGE,
        ..Outputs::default()
    };
    assert_eq!(found(rig.checker.response(&replay, 9)), Check::Replay);
}

#[test]
fn a_fence_that_waits_for_too_long_is_found() {
    let mut rig = Rig::new(Visibility::Ports, |description| {
        description.stalls.fence = 3
    });
    let fence = Fence::default();
    for cycle in 0..3 {
        rig.checker.fence_waits(&fence, false, cycle).unwrap();
    }
    // A memory request is offered and not accepted, so the fence may wait.
    rig.checker.fence_waits(&fence, true, 3).unwrap();
    for cycle in 4..7 {
        rig.checker.fence_waits(&fence, false, cycle).unwrap();
    }
    assert_eq!(
        found(rig.checker.fence_waits(&fence, false, 7)),
        Check::Port
    );
}

#[test]
fn an_error_of_another_word_of_a_line_is_legal_for_a_device_that_reads_lines() {
    for (reads, is_legal) in [(Reads::Line(64), true), (Reads::Any, false)] {
        let mut rig = Rig::new(Visibility::Ports, |description| {
            description.walks.reads = reads;
        });
        rig.accept(0, &load(1));
        let mut reads = rig.reads(&load(1));
        // The entry of the root table is the second entry of its line.
        let first = reads[0];
        reads.push(Read {
            at: Hpa(first.at.0 ^ 8),
            word: None,
            ..first
        });
        reads
            .iter()
            .try_for_each(|read| rig.checker.read(0, read))
            .unwrap();
        let outputs = Outputs {
            rsp_valid: true,
            rsp_gva: GVA + PAGE,
            rsp_fault_kind: 1,
            rsp_fault_level: 2,
            rsp_trap_cause: 5,
            ..Outputs::default()
        };
        let wrong = rig.checker.response(&outputs, rig.cycle + 1).err();
        assert_eq!(wrong.is_none(), is_legal, "{wrong:?}");
    }
}

mod freedoms;
