// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::addr::{Gpa, Gva, Hpa};
use crate::bench::memory_request::{RequestCounts, Update, WalkRequest};
use crate::bench::mismatch::{FenceEvent, Page, PortRequest, StaleOrigin, WalkCacheHit, WalkEnd};
use crate::mmu::Translation;

/// Returns the signature of a mismatch; its common part does not matter.
fn signature(violation: Violation) -> Signature {
    Signature::of(&Failure::Mismatch(Box::new(Mismatch {
        cycle: 7,
        op: Some(3),
        query: None,
        reads: Vec::new(),
        wrong_read: Some(2),
        violation,
    })))
}

#[track_caller]
fn same(first: Violation, second: Violation) {
    let (first, second) = (signature(first), signature(second));
    assert_eq!(first, second);
    assert!(first.is_kept_by(&second) && second.is_kept_by(&first));
}

#[track_caller]
fn other(first: Violation, second: Violation) {
    let (first, second) = (signature(first), signature(second));
    assert!(!first.is_kept_by(&second), "{first:?}, {second:?}");
}

fn page(hpa: u64, page_size: u32, memory_type: MemoryType) -> Outcome {
    Ok(Translation {
        gpa: Gpa(0x9000),
        hpa: Hpa(hpa),
        page_size,
        memory_type,
    })
}

fn small(hpa: u64) -> Outcome {
    page(hpa, 12, MemoryType::Pma)
}

fn fault(kind: FaultKind, at: Position, trap: Trap) -> Outcome {
    Err(Fault {
        kind,
        at,
        trap: Some(trap),
    })
}

fn host(level: u32, gpa: u64, purpose: Purpose) -> Position {
    Position::Host {
        level,
        gpa: Gpa(gpa),
        purpose,
    }
}

fn trap(cause: u8, tval2: u64) -> Trap {
    Trap {
        cause,
        gva: true,
        tval2,
        tinst: 0,
    }
}

fn response(expected: Outcome, observed: Outcome) -> Violation {
    Violation::WalkResponse(ResponseViolation::Outcome { expected, observed })
}

fn request(hpa: u64, update: bool, number: usize) -> (MemoryRequest, WalkPlace) {
    let update = update.then_some(Update {
        expected: hpa,
        new: hpa | 0x40,
    });
    let request = MemoryRequest {
        hpa: Hpa(hpa),
        update,
    };
    let place = WalkPlace {
        is_update: update.is_some(),
        number,
    };
    (request, place)
}

fn expected(hpa: u64, update: bool, number: usize, at: Position) -> ExpectedRequest {
    let (request, place) = request(hpa, update, number);
    ExpectedRequest::Request {
        request: WalkRequest { request, place },
        at,
    }
}

fn observed(hpa: u64, update: bool, number: usize) -> ObservedRequest {
    let (request, place) = request(hpa, update, number);
    ObservedRequest::Request {
        request,
        place: Some(place),
        cycle: hpa,
    }
}

fn end(reads: usize, response: Option<Outcome>) -> ObservedRequest {
    ObservedRequest::End(WalkEnd {
        made: RequestCounts { reads, updates: 0 },
        id: reads as u8,
        response: response.map(Ok),
    })
}

fn fence(cycle: u64, gpa: Option<u64>) -> FenceEvent {
    FenceEvent {
        fence: Fence {
            gpa: gpa.map(Gpa),
            ..Fence::default()
        },
        cycle,
    }
}

fn hit(expected: ExpectedHit, observed: Outcome) -> Violation {
    Violation::Hit {
        expected,
        observed,
        origin: None,
    }
}

#[test]
fn addresses_levels_and_cycles_of_a_walk_are_no_part_and_its_deciding_step_is() {
    let reads = |expected, observed| Violation::Reads { expected, observed };
    let guest = Position::Guest { level: 1 };
    same(
        reads(
            expected(0x1000, false, 3, guest),
            observed(0x2000, false, 3),
        ),
        reads(
            expected(0xABCDE, false, 12, Position::Guest { level: 0 }),
            observed(0x8, false, 12),
        ),
    );
    let first = || {
        reads(
            expected(0x1000, false, 3, guest),
            observed(0x2000, false, 3),
        )
    };
    other(
        first(),
        reads(expected(0x1000, true, 1, guest), observed(0x2000, false, 3)),
    );
    other(
        first(),
        reads(expected(0x1000, false, 3, guest), observed(0x2000, true, 1)),
    );
    other(
        first(),
        reads(expected(0x1000, false, 3, guest), end(2, None)),
    );
    let entry = host(1, 0x5000, Purpose::GuestEntry(2));
    other(
        first(),
        reads(
            expected(0x1000, false, 3, entry),
            observed(0x2000, false, 3),
        ),
    );
    same(
        reads(
            expected(0x1000, false, 3, entry),
            observed(0x2000, false, 3),
        ),
        reads(
            expected(0x8, false, 2, host(0, 0x7000, Purpose::GuestEntry(0))),
            observed(0x2000, false, 2),
        ),
    );
    other(
        reads(
            expected(0x1000, false, 3, entry),
            observed(0x2000, false, 3),
        ),
        reads(
            expected(0x1000, false, 3, host(1, 0x5000, Purpose::Data)),
            observed(0x2000, false, 3),
        ),
    );
    // The response of a walk that ended too early only explains the mismatch.
    same(
        reads(
            expected(0x1000, false, 3, guest),
            end(2, Some(small(0x1000))),
        ),
        reads(expected(0x1000, false, 3, guest), end(1, None)),
    );
    // If a walk continues after its end, the fault that ends it decides.
    let behind = |outcome: Outcome| {
        let made = RequestCounts {
            reads: 3,
            updates: 0,
        };
        reads(
            ExpectedRequest::End { made, outcome },
            observed(0x2000, false, 4),
        )
    };
    let invalid = fault(FaultKind::Invalid, guest, trap(13, 0));
    same(
        behind(small(0x1000)),
        behind(page(0x2000, 21, MemoryType::Nc)),
    );
    other(behind(small(0x1000)), behind(invalid));
    other(
        behind(fault(FaultKind::Reserved, guest, trap(13, 0))),
        behind(invalid),
    );
    other(
        reads(
            ExpectedRequest::NoWalk { slot: 1 },
            observed(0x2000, false, 1),
        ),
        first(),
    );
}

#[test]
fn of_two_outcomes_the_fields_that_differ_are_a_part_and_their_values_are_not() {
    same(
        response(small(0x1000), small(0x2000)),
        response(small(0x8), small(0x10)),
    );
    let large = |hpa| page(hpa, 21, MemoryType::Pma);
    // Both pages are large, or only one of them.
    same(
        response(small(0x1000), small(0x2000)),
        response(large(0x1000), large(0x2000)),
    );
    other(
        response(small(0x1000), small(0x2000)),
        response(small(0x1000), large(0x2000)),
    );
    other(
        response(small(0x1000), large(0x2000)),
        response(small(0x1000), small(0x2000)),
    );
    other(
        response(small(0x1000), large(0x1000)),
        response(small(0x1000), large(0x2000)),
    );
    // A wrong gPA together with the right hPA. If the hPA is wrong, the gPA may be wrong as well.
    let with_gpa = |hpa, gpa| {
        let mut outcome = small(hpa).unwrap();
        outcome.gpa = Gpa(gpa);
        Ok(outcome)
    };
    other(
        response(small(0x1000), with_gpa(0x1000, 0x5000)),
        response(small(0x1000), small(0x2000)),
    );
    same(
        response(small(0x1000), with_gpa(0x2000, 0x5000)),
        response(small(0x1000), small(0x2000)),
    );
    let nc = page(0x1000, 12, MemoryType::Nc);
    other(
        response(small(0x1000), nc),
        response(small(0x1000), small(0x2000)),
    );
    other(response(nc, small(0x1000)), response(small(0x1000), nc));
}

#[test]
fn of_a_fault_its_kind_stage_purpose_and_exception_are_a_part() {
    let permission = |at, trap| fault(FaultKind::Permission, at, trap);
    let of_load = permission(host(1, 0x2008, Purpose::GuestEntry(2)), trap(21, 0x802));
    let of_store = permission(host(0, 0x4, Purpose::GuestEntry(0)), trap(23, 1));
    same(
        response(small(0x1000), of_load),
        response(small(0x1000), of_store),
    );
    for changed in [
        permission(host(1, 0x2008, Purpose::Data), trap(21, 0x802)),
        permission(host(1, 0x2008, Purpose::GuestUpdate(2)), trap(21, 0x802)),
        permission(Position::Guest { level: 1 }, trap(13, 0)),
        permission(host(1, 0x2008, Purpose::GuestEntry(2)), trap(13, 0x802)),
        permission(host(1, 0x2008, Purpose::GuestEntry(2)), trap(21, 0)),
        fault(
            FaultKind::Reserved,
            host(1, 0x2008, Purpose::GuestEntry(2)),
            trap(21, 0x802),
        ),
        small(0x1000),
    ] {
        other(
            response(small(0x2000), of_load),
            response(small(0x2000), changed),
        );
        other(
            response(of_load, small(0x2000)),
            response(changed, small(0x2000)),
        );
    }
    // Two faults of one kind differ by their fields.
    let guest = |level| Position::Guest { level };
    let right = permission(guest(1), trap(13, 0));
    let level = permission(guest(0), trap(13, 0));
    let cause = permission(guest(1), trap(15, 0));
    other(response(right, level), response(right, cause));
    same(
        response(right, level),
        response(
            permission(guest(2), trap(12, 0)),
            permission(guest(0), trap(12, 0)),
        ),
    );
}

#[test]
fn of_a_hit_fewer_responses_may_be_legal_and_the_fence_only_explains() {
    let any_of = |legal: &[Outcome]| ExpectedHit::AnyOf(legal.to_vec());
    let nc = page(0x3000, 12, MemoryType::Nc);
    let both = signature(hit(any_of(&[small(0x1000), nc]), small(0x2000)));
    let one = signature(hit(any_of(&[small(0x4000)]), small(0x8000)));
    assert!(both.is_kept_by(&one) && !one.is_kept_by(&both));
    let miss = |reason| hit(ExpectedHit::Miss(reason), small(0x2000));
    same(
        miss(MissReason::Invalidated(fence(7, Some(0x1000)))),
        miss(MissReason::Invalidated(fence(12, None))),
    );
    other(
        miss(MissReason::NeverFound),
        miss(MissReason::Invalidated(fence(7, None))),
    );
    other(miss(MissReason::NotPermitted), miss(MissReason::NeverFound));
    other(
        miss(MissReason::NeverFound),
        hit(any_of(&[small(0)]), small(0x2000)),
    );
    let stale = Violation::Hit {
        expected: ExpectedHit::Miss(MissReason::NeverFound),
        observed: small(0x5000),
        origin: Some(StaleOrigin {
            found: 3,
            by: fence(7, None),
        }),
    };
    same(miss(MissReason::NeverFound), stale);
}

#[test]
fn why_a_page_must_be_there_is_no_part_and_where_is() {
    let must_hit = |size, because| Violation::MustHit {
        page: Page {
            gva: Gva(0x1000),
            size,
        },
        found: 9,
        because,
    };
    let recent = HitReason::Recent { of: 2 };
    same(
        must_hit(12, recent),
        must_hit(21, HitReason::Room { entries: 32 }),
    );
    other(must_hit(12, recent), must_hit(12, HitReason::L2));
}

#[test]
fn the_operands_of_a_fence_that_overtakes_are_a_part_and_their_values_are_not() {
    let walk = |by| Violation::AfterFence {
        by,
        observed: ActionAfterFence::Walk { slot: 1 },
    };
    same(walk(fence(7, Some(0x1000))), walk(fence(9, Some(0x2000))));
    other(walk(fence(7, Some(0x1000))), walk(fence(7, None)));
    let read = |update| {
        let (request, place) = request(0x1000, update, 1);
        Violation::AfterFence {
            by: fence(7, None),
            observed: ActionAfterFence::Request {
                request: WalkRequest { request, place },
                cycle: 3,
            },
        }
    };
    other(read(false), read(true));
    other(read(false), walk(fence(7, None)));
    let replay = |violation| Violation::Replay(violation);
    let missing = |by, observed| replay(ReplayViolation::Missing { by, observed });
    same(
        missing(fence(7, None), small(0x1000)),
        missing(fence(9, None), small(0x2000)),
    );
    other(
        missing(fence(7, None), small(0x1000)),
        missing(fence(7, None), page(0, 12, MemoryType::Io)),
    );
    other(
        replay(ReplayViolation::Unexpected(
            NoReplayReason::WalkNotOvertaken,
        )),
        replay(ReplayViolation::Unexpected(
            NoReplayReason::RequestNotOvertaken,
        )),
    );
}

#[test]
fn reasons_and_rules_are_a_part_by_their_kinds() {
    let fill = |reason| Violation::Fill(FillViolation::Unexpected(reason));
    same(
        fill(NoFillReason::Invalidated(fence(1, None))),
        fill(NoFillReason::Invalidated(fence(2, Some(0x1000)))),
    );
    other(
        fill(NoFillReason::StagesOff),
        fill(NoFillReason::Invalidated(fence(1, None))),
    );
    other(
        Violation::Fill(FillViolation::Missing),
        Violation::Fill(FillViolation::Repeated),
    );
    let slot = |slot| Violation::WrongWalk(AssignmentViolation::SlotInUse { slot });
    same(slot(1), slot(2));
    other(
        slot(1),
        Violation::WrongWalk(AssignmentViolation::NoWalk { slot: 1 }),
    );
    let nobody =
        |id, observed| Violation::OneResponse(PairingViolation::NoRequest { id, observed });
    same(nobody(1, RequestEvent::Miss), nobody(2, RequestEvent::Miss));
    other(
        nobody(1, RequestEvent::Miss),
        nobody(1, RequestEvent::Response),
    );
    let changed = |slot| {
        let stalled = PortRequest {
            slot,
            request: request(0x1000, false, 1).0,
        };
        Violation::Port(PortViolation::MemoryRequestChanged { stalled, now: None })
    };
    same(changed(1), changed(2));
    other(changed(1), Violation::Port(PortViolation::RequestWithFence));
    let stall = |cycles| Violation::Stalled(Stall::Idle { cycles });
    same(stall(1), stall(2));
    other(stall(1), changed(1));
}

#[test]
fn of_steps_and_walk_caches_the_kinds_are_a_part_and_levels_are_not() {
    let record = |level, word, next, fault| {
        Some(StepRecord {
            at: StepPosition::Entry(Position::Guest { level }),
            gpa: Gpa(0x1000),
            hpa: Hpa(0x1000),
            update: false,
            word,
            next,
            fault,
        })
    };
    let steps = |number, observed| Violation::Steps {
        place: WalkPlace {
            is_update: false,
            number,
        },
        expected: record(2, Some(1), Next::Read, None),
        observed,
    };
    same(
        steps(1, record(2, Some(2), Next::Read, None)),
        steps(3, record(0, Some(5), Next::Read, None)),
    );
    for changed in [
        record(2, None, Next::Read, None),
        record(2, Some(2), Next::Done, None),
        record(2, Some(2), Next::Fault, Some(StepFault::Overtaken)),
        None,
    ] {
        other(
            steps(1, record(2, Some(2), Next::Read, None)),
            steps(1, changed),
        );
    }
    let illegal = |cache, level, because| {
        Violation::WalkCache(WalkCacheViolation::Illegal {
            place: WalkPlace {
                is_update: false,
                number: 1,
            },
            observed: WalkCacheHit { cache, level },
            hpa: Hpa(0x1000),
            because,
        })
    };
    same(
        illegal(WalkCache::Guest, 1, NoWalkCacheHit::NeverRead),
        illegal(WalkCache::Guest, 0, NoWalkCacheHit::NeverRead),
    );
    other(
        illegal(WalkCache::Guest, 1, NoWalkCacheHit::NeverRead),
        illegal(WalkCache::Host, 1, NoWalkCacheHit::NeverRead),
    );
    other(
        illegal(WalkCache::Guest, 1, NoWalkCacheHit::NeverRead),
        illegal(WalkCache::Guest, 1, NoWalkCacheHit::Elsewhere(vec![Hpa(0)])),
    );
}

#[test]
fn assertions_are_the_same_by_their_names() {
    let hang = |cycle| Failure::Hang {
        cycle,
        op: 1,
        since: 0,
    };
    assert_eq!(Signature::of(&hang(1)), Signature::of(&hang(2)));
    let assertion = |cycle| Failure::Device {
        cycle,
        error: crate::dut::DutError::Stopped("assertion Name_A failed".into()),
    };
    assert_eq!(Signature::of(&assertion(1)), Signature::of(&assertion(2)));
    assert_ne!(Signature::of(&assertion(1)), Signature::of(&hang(1)));
}
