// SPDX-License-Identifier: Apache-2.0
//! Holds all that a device does against the golden model.
//!
//! - A walk must be the golden walk over the very words that the device was given: then it has read what the walk calls
//!   for, in that order and no more, and its answer follows from it, whatever was edited meanwhile.
//! - A hit must be what some earlier walk found and no fence has named since: the legal answers are those of a TLB without
//!   limits. A page that cannot have left the TLB must hit.
//! - What a walk has not read it must have from a walk cache, which may know what an earlier walk has read and no fence has named since.
//!   What was filled or used last cannot have left its walk cache, and must spare what it can.
//! - A walk that a fence has overtaken asks memory for nothing after the fence's handshake, fills nothing and is not shared by
//!   later requests; if it had not ended, its requests are answered with a replay. Equal misses share one walk.
//! - Every request has one answer, and the device does not stand still without a reason.

use super::memory_request::{MemoryRequest, Read, RequestCounts, Update, WalkPlace};
use super::mismatch::{
    ActionAfterFence, AssignmentViolation, ExpectedHit, ExpectedRequest, FenceEvent, FillViolation,
    HitReason, Mismatch, MissReason, NoFillReason, NoReplayReason, NoWalkCacheHit, ObservedRequest,
    OvertakenUse, PairingViolation, PortRequest, PortResponse, PortViolation, ReplayViolation,
    RequestEvent, ResponseViolation, StaleOrigin, Stall, Violation, WalkCacheHit,
    WalkCacheViolation, WalkEnd,
};
use super::reported::{self, ReportedStep};
use super::requests::Requests;
use super::steps::{self, StepRecord};
use crate::addr::{Gpa, Gva, Hpa};
use crate::dut::{Done, Miss, Next, Outputs, Pass, WalkStep};
use crate::format::{Format, Geometry};
use crate::golden::occupancy::page_walk_cache::{LookUp, LookUpResult, Setup, WhyNot};
use crate::golden::occupancy::tlb::{CertainPage, Certainty};
use crate::golden::occupancy::{
    Absence, L2Tlb, NumberedFence, PageWalkCache, PageWalkCaches, Tlb, history,
};
use crate::golden::{self, EntryMemory, GuestTable, Mapping, Step, StepLog};
use crate::mmu::{
    Context, Fault, Fence, FenceMatch, Outcome, Position, Purpose, Query, WalkCaches,
};
use crate::scenario::Machine;

struct Request {
    op: usize,
    query: Query,
    /// The context, with what the device must not heed.
    driven: Context,
    /// Fences before it.
    fences: u64,
    walk: Option<usize>,
    /// The second-level TLB has answered it.
    by_second: bool,
    /// The page by which the TLB must answer it.
    must_hit: Option<CertainPage>,
    accepted: u64,
    /// The first fence since it was accepted that matches it, if it had no walk by then.
    overtaken: Option<FenceEvent>,
}

/// The first fence that matched a walk in flight.
#[derive(Clone, Copy)]
struct Overtaken {
    by: FenceEvent,
    /// Reads and updates of the walk that memory had answered by the end of that cycle.
    answered: usize,
}

/// A response that has been judged.
pub(super) enum Response {
    /// It ends the access of an op.
    Answer {
        op: usize,
        outcome: Outcome,
        /// The TLB gave it.
        hit: bool,
    },
    /// A fence has overtaken the request of an op.
    Replay { op: usize },
}

#[derive(Default)]
struct Walk {
    query: Option<Query>,
    /// The context that it was begun with, with what the device must not heed.
    driven: Option<Context>,
    reads: Vec<Read>,
    /// Its steps, as the device tells them; where they are wanted.
    told: Vec<ReportedStep>,
    /// Fences, when the last of them was told or the walk was begun.
    fences_at_step: u64,
    /// Its look-up in the walk caches, until what it has come to is told; where any is in use.
    look: Option<LookUp>,
    /// Fences since it was started, with their numbers.
    fences: Vec<NumberedFence>,
    /// The first of them that matches it.
    overtaken: Option<Overtaken>,
    /// Reads and updates that memory has answered.
    answered: usize,
    /// The fence, if it came before the end of the walk: its requests are answered with a replay.
    replayed: Option<FenceEvent>,
    /// Requests that wait for its result.
    requests: u32,
    /// Requests that wait for its answer.
    unanswered: u32,
    ended: bool,
    judged: Option<Judged>,
}

/// What a walk came to, by the golden model.
#[derive(Clone, Copy)]
struct Judged {
    query: Query,
    reads: usize,
    found: Result<Mapping, Fault>,
}

/// A walk that has ended: what it was for, and what it found by the golden model.
pub(super) struct Ended {
    /// Its place among the checker's.
    walk: usize,
    pub query: Query,
    pub found: Result<Mapping, Fault>,
}

/// Cycles that a request may wait in, while there is room for it.
const MOST_KEPT_OUT: u32 = 4;

/// Accesses after which a walk is looked at while it goes on; twice those of the longest without updates, and a power of two.
const LONG_WALK: usize = 64;

/// Cycles that a device may do nothing in, while it has something to do and nothing to wait for.
const MOST_IDLE: u32 = 16;

pub(super) struct Checker {
    format: Format,
    slot_count: u32,
    with_steps: bool,
    walk_caches_ever: WalkCaches,
    /// What the TLB may and must contain.
    tlb: Tlb,
    /// What the L2 TLB must contain, if there is one.
    l2_tlb: Option<L2Tlb>,
    /// What the page-walk caches and the nested TLB may and must contain, if any is in use.
    walk_caches: Option<PageWalkCaches>,
    requests: Requests<Request>,
    walks: Vec<Walk>,
    free_walks: Vec<usize>,
    /// The walk of each slot.
    slots: Vec<Option<usize>>,
    fences: u64,
    /// The cycle of each fence, by its number from 1. Reasons are told by it.
    fence_cycles: Vec<u64>,
    /// Requests that were taken, and have neither hit nor been given to a walk.
    unassigned: usize,
    /// Cycles in a row in which a request has waited for no reason that shows.
    kept_out: u32,
    /// Cycles in a row in which the device has done nothing, with something to do.
    idle: u32,
    /// Reads and updates that memory has taken, and how many it had when each slot began to want one.
    grants: u64,
    wants_since: Vec<u64>,
    /// Cycles in which the memory port offered and returned nothing, and how many there had been
    /// when each slot began to want a read or an update.
    quiet: u64,
    quiet_since: Vec<u64>,
    response_is_stalled: bool,
    /// The response that was not taken, while there is one.
    stalled_response: Outputs,
    stalled_read: Option<PortRequest>,
}

/// The words that a device was given, as memory for the golden walk.
struct Served<'a> {
    geometry: Geometry,
    reads: &'a [Read],
    /// What the device told of each, where it is wanted.
    told: &'a [ReportedStep],
    next: usize,
    /// What a walk cache has spared before the next read has been passed over.
    passed: bool,
    /// Where the device did otherwise.
    wrong: Option<Wrong>,
}

enum Wrong {
    /// The memory request that the walk called for, and that the device did not make.
    Asked(MemoryRequest),
    /// A walk cache has spared what it cannot have known, or nothing that was to be read.
    Pass,
}

impl<'a> Served<'a> {
    fn new(format: Format, walk: &'a Walk) -> Self {
        Self {
            geometry: format.geometry(),
            reads: &walk.reads,
            told: &walk.told,
            next: 0,
            passed: false,
            wrong: None,
        }
    }

    #[inline]
    fn serve(&mut self, at: Hpa, update: Option<Update>) -> Option<u64> {
        if self.wrong.is_some() {
            return None;
        }
        match self.reads.get(self.next) {
            Some(read) if read.at == at && read.update == update => {
                if !self.passed && self.pass().is_some() {
                    self.wrong = Some(Wrong::Pass);
                    return None;
                }
                self.next += 1;
                self.passed = false;
                read.word
            }
            _ => {
                self.wrong = Some(Wrong::Asked(MemoryRequest { hpa: at, update }));
                None
            }
        }
    }

    /// The step after which the device went on, if a walk cache has led to it and that was not passed over yet.
    #[inline]
    fn pass(&self) -> Option<&'a WalkStep> {
        let told = self.told.get(self.next).filter(|_| !self.passed)?;
        Some(&told.step).filter(|step| step.pass != Pass::None)
    }

    /// Passes over what a kind of walk cache has spared here, if one has.
    #[inline]
    fn pass_over(&mut self, kind: Pass) -> Option<&'a WalkStep> {
        let step = self.pass().filter(|step| step.pass == kind)?;
        self.passed = true;
        Some(step)
    }
}

impl EntryMemory for Served<'_> {
    #[inline]
    fn read_entry(&mut self, at: Hpa) -> Option<u64> {
        self.serve(at, None)
    }

    fn update_entry(&mut self, at: Hpa, expected: u64, new: u64) -> Option<u64> {
        self.serve(at, Some(Update { expected, new }))
    }

    #[inline]
    fn known_guest_table(&mut self) -> Option<GuestTable> {
        let step = self.pass_over(Pass::Guest)?;
        Some(reported::guest_table(&self.geometry, step))
    }

    #[inline]
    fn known_host_table(&mut self, gpa: Gpa) -> Option<(u32, Hpa)> {
        // Where a request shares the walk of another, its gPA differs in the offset.
        let page = |gpa: Gpa| gpa.0 >> self.geometry.offset_width;
        self.pass().filter(|step| page(step.gpa) == page(gpa))?;
        let step = self.pass_over(Pass::Host)?;
        Some(reported::host_table(&self.geometry, step))
    }

    #[inline]
    fn known_entry(&mut self, gpa: Gpa) -> Option<Hpa> {
        self.pass().filter(|step| step.gpa == gpa)?;
        let step = self.pass_over(Pass::Nested)?;
        Some(reported::entry_in_page(&self.geometry, step, gpa))
    }
}

impl Checker {
    /// For a device. What a checked one tells of walks' steps is checked too.
    /// `ever`: the walk caches that are in use at any time.
    pub fn new(machine: &Machine, ever: WalkCaches) -> Self {
        let &Machine {
            format,
            slots,
            tlb_entries,
            tlb2,
            ..
        } = machine;
        let setup = Setup {
            entries: machine.walk_cache_entries.into(),
            max_levels: machine.max_levels,
            used: machine.walk_caches,
            ever,
        };
        Self {
            format,
            slot_count: slots,
            with_steps: machine.checked,
            walk_caches_ever: ever,
            tlb: Tlb::new(format, tlb_entries),
            l2_tlb: tlb2.map(|size| L2Tlb::new(format, reported::l2_size(size))),
            walk_caches: ever.any().then(|| PageWalkCaches::new(format, &setup)),
            requests: Requests::new(),
            walks: Vec::new(),
            free_walks: Vec::new(),
            // As many as the device can name, if it goes wrong.
            slots: vec![None; slots.next_power_of_two().max(2) as usize],
            fences: 0,
            fence_cycles: Vec::new(),
            unassigned: 0,
            kept_out: 0,
            idle: 0,
            grants: 0,
            wants_since: vec![0; slots.next_power_of_two().max(2) as usize],
            quiet: 0,
            quiet_since: vec![0; slots.next_power_of_two().max(2) as usize],
            response_is_stalled: false,
            stalled_response: Outputs::default(),
            stalled_read: None,
        }
    }

    /// The request that has waited longest: its id, op and cycle of acceptance.
    pub fn oldest(&self) -> Option<(usize, u64)> {
        self.requests
            .iter()
            .map(|r| (r.op, r.accepted))
            .min_by_key(|&(_, accepted)| accepted)
    }

    /// The device has taken a request. `driven`: its context, with what the device must not heed.
    pub fn accepted(&mut self, id: u8, op: usize, query: &Query, driven: &Context, cycle: u64) {
        let request = Request {
            op,
            query: *query,
            driven: *driven,
            fences: self.fences,
            walk: None,
            by_second: false,
            must_hit: self.tlb.must_contain(query),
            accepted: cycle,
            overtaken: None,
        };
        self.requests.insert(id, request);
        self.unassigned += 1;
        if let Some(l2_tlb) = &mut self.l2_tlb {
            l2_tlb.on_request(query);
        }
    }

    /// A cycle begins, in which a request is taken, or none.
    #[inline]
    pub fn begins(&mut self, request_taken: bool) {
        if let Some(l2_tlb) = &mut self.l2_tlb {
            l2_tlb.on_cycle(!request_taken && self.unassigned == 0);
        }
    }

    /// The second-level TLB has answered a request: the first takes what it has found.
    pub fn second_hit(&mut self, id: u8, cycle: u64) -> Result<(), Box<Mismatch>> {
        let Some(request) = self.requests.get_mut(id) else {
            return Err(Self::no_request(id, cycle, RequestEvent::L2TlbHit));
        };
        let (query, walk) = (request.query, request.walk);
        let is_answered = std::mem::replace(&mut request.by_second, true);
        let (Some(l2_tlb), false, None) = (&mut self.l2_tlb, is_answered, walk) else {
            let violation = Violation::OneResponse(PairingViolation::L2HitAgain);
            return Err(self.mismatch(id, cycle, violation));
        };
        let sizes = self.tlb.on_l2_hit(&query);
        l2_tlb.on_hit(&query, sizes.is_smallest, sizes.is_larger);
        Ok(())
    }

    pub fn fence(&mut self, fence: &Fence, cycle: u64) {
        self.fences += 1;
        self.fence_cycles.push(cycle);
        let number = self.fences;
        for walk in &mut self.walks {
            if walk.requests > 0 && !walk.ended {
                walk.fences.push((number, *fence));
                if walk.overtaken.is_none() && walk.is_matched_by(fence) {
                    walk.overtaken = Some(Overtaken {
                        by: FenceEvent {
                            fence: *fence,
                            cycle,
                        },
                        answered: walk.answered,
                    });
                }
            }
        }
        if self.unassigned > 0 {
            for request in self.requests.iter_mut() {
                let matches = fence.matches_tag(request.query.context.space());
                if request.walk.is_none() && request.overtaken.is_none() && matches {
                    request.overtaken = Some(FenceEvent {
                        fence: *fence,
                        cycle,
                    });
                }
            }
        }
        self.tlb.on_fence(fence, number, cycle);
        if let Some(caches) = &mut self.walk_caches {
            caches.on_fence(fence, number);
        }
        if let Some(l2_tlb) = &mut self.l2_tlb {
            l2_tlb.on_fence(fence, self.unassigned == 0);
        }
        self.drop_invalidated();
    }

    /// A fence is offered and not taken: docs/ports.md allows that while a read or an update of a walk that the fence matches is
    /// offered to memory and not granted. `offered` is the slot of the one that is offered and not granted, if there is one.
    pub fn fence_waits(
        &self,
        fence: &Fence,
        offered: Option<u8>,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        let walk = offered.and_then(|slot| *self.slots.get(usize::from(slot))?);
        if walk.is_some_and(|walk| self.walks[walk].is_matched_by(fence)) {
            return Ok(());
        }
        let violation = PortViolation::FenceStalled { fence: *fence };
        Err(Mismatch::new(cycle, Violation::Port(violation)))
    }

    /// Drops what fences have invalidated, once no request is outstanding that came before them.
    fn drop_invalidated(&mut self) {
        if self.requests.is_empty() {
            self.tlb.drop_invalidated();
            if let Some(caches) = &mut self.walk_caches {
                caches.drop_invalidated();
            }
        }
    }

    #[inline]
    pub fn read(&mut self, slot: u8, read: &Read) -> Result<(), Box<Mismatch>> {
        let most_waited = self.most_waited();
        let most_quiet = self.most_quiet();
        if let Some(&Some(walk)) = self.slots.get(usize::from(slot))
            && let Some(state) = self.walks.get_mut(walk)
            && !state.ended
        {
            state.reads.push(*read);
            if let Some(Overtaken { by, .. }) = state.overtaken
                && by.cycle < read.cycle
            {
                return Err(self.read_after_fence(walk, read, by));
            }
            // "Slots are served round robin": none waits for more than one turn of each other.
            let waited = self.grants - self.wants_since[usize::from(slot)];
            self.grants += 1;
            if waited >= most_waited {
                return Err(Self::unfair(slot, waited, most_waited, read.cycle));
            }
            let quiet = self.quiet - self.quiet_since[usize::from(slot)];
            if quiet > most_quiet {
                return Err(self.walk_waits(slot, read.cycle));
            }
            if state.reads.len() >= LONG_WALK && state.reads.len().is_power_of_two() {
                return self.check_long_walk(walk, read.cycle);
            }
            return Ok(());
        }
        Err(Self::read_of_no_walk(slot, read))
    }

    /// A slot wants a read or an update from this cycle on.
    #[inline]
    fn wants_from_now(&mut self, slot: usize) {
        self.wants_since[slot] = self.grants;
        self.quiet_since[slot] = self.quiet;
    }

    /// The memory port offers nothing and returns nothing in a cycle.
    #[inline]
    pub fn memory_port_is_quiet(&mut self) {
        self.quiet += 1;
    }

    /// Reads of others that a slot waits for at most. A walk that is looked up in walk caches waits for its turn there first, and while
    /// reads of others fill them: at most those between two look-ups of each other, the levels of the host's stage, some with an update.
    #[inline]
    fn most_waited(&self) -> u64 {
        let turn = u64::from(self.slot_count);
        match self.walk_caches {
            None => turn,
            Some(_) => (2 * u64::from(self.format.geometry().levels) + 2) * turn,
        }
    }

    /// Cycles with nothing on the memory port that a walk waits for at most before it offers its
    /// next request: a lookup in page-walk caches for each slot, and one cycle to offer it.
    #[inline]
    fn most_quiet(&self) -> u64 {
        u64::from(self.slot_count) + 1
    }

    #[cold]
    fn walk_waits(&self, slot: u8, cycle: u64) -> Box<Mismatch> {
        let cycles = self.most_quiet();
        let walk = self.slots[usize::from(slot)];
        let id = walk.and_then(|walk| self.id_of(walk)).unwrap_or_default();
        let violation = Violation::Stalled(Stall::Walk { slot, cycles });
        self.mismatch(id, cycle, violation)
    }

    #[cold]
    fn unfair(slot: u8, waited: u64, bound: u64, cycle: u64) -> Box<Mismatch> {
        let violation = PortViolation::NotRoundRobin {
            slot,
            waited,
            most: bound - 1,
        };
        Mismatch::new(cycle, Violation::Port(violation))
    }

    #[cold]
    fn read_after_fence(&self, walk: usize, read: &Read, by: FenceEvent) -> Box<Mismatch> {
        let id = self.id_of(walk).unwrap_or_default();
        let (_, before) = self.walks[walk].reads.split_last().unwrap_or((read, &[]));
        let observed = ActionAfterFence::Request {
            request: MemoryRequest::of(read).behind(before),
            cycle: read.cycle,
        };
        let violation = Violation::AfterFence { by, observed };
        let mut mismatch = self.mismatch(id, read.cycle, violation);
        mismatch.wrong_read = Some(before.len());
        mismatch
    }

    /// The data of a read or an update of a slot have come.
    #[inline]
    pub fn served(&mut self, slot: u8, cycle: u64) {
        if let Some(&Some(walk)) = self.slots.get(usize::from(slot)) {
            let walk = &mut self.walks[walk];
            walk.answered += 1;
            if let Some(overtaken) = &mut walk.overtaken
                && overtaken.by.cycle == cycle
            {
                overtaken.answered += 1;
            }
        }
    }

    /// Memory has answered a slot.
    #[inline]
    pub fn replied(&mut self, slot: u8) {
        let slot = usize::from(slot);
        if slot < self.wants_since.len() {
            self.wants_from_now(slot);
        }
    }

    /// Whether it wants to be told the steps of walks.
    #[inline]
    pub fn wants_steps(&self) -> bool {
        self.with_steps || self.walk_caches.is_some()
    }

    /// The device tells a step of a walk.
    pub fn step(&mut self, step: &WalkStep, cycle: u64) -> Result<(), Box<Mismatch>> {
        let Some(&Some(walk)) = self.slots.get(usize::from(step.slot)) else {
            return Ok(());
        };
        let state = &mut self.walks[walk];
        state.told.push(ReportedStep {
            step: *step,
            fences: state.fences_at_step,
        });
        state.fences_at_step = self.fences;
        match self.hold(walk, step, cycle) {
            None => Ok(()),
            Some(missed) => Err(self.missed(walk, step, missed, cycle)),
        }
    }

    /// Follows what the walk caches must hold, and says what of it a step should have come by and has not.
    fn hold(&mut self, walk: usize, step: &WalkStep, cycle: u64) -> Option<PageWalkCache> {
        let must = self.walk_caches.as_mut()?.must_mut();
        let look = self.walks[walk].look.take();
        let state = &self.walks[walk];
        let query = state.query.as_ref()?;
        let number = state.told.len() - 1;
        // A step of something that was not read is for the end of the walk to find.
        let read = state.reads.get(number)?;
        let (walks, slots) = (&self.walks, &self.slots);
        let open = |of_guest: bool, before: u64| {
            let looks = slots.iter().flatten().filter_map(|&walk| {
                let look = walks[walk].look.filter(|_| !walks[walk].ended)?;
                (look.since < before && (look.is_first || !of_guest)).then_some(())
            });
            looks.count() as u32
        };
        let entry = reported::taken_entry(step, read.word);
        if let Some(look_up) = look {
            let result = LookUpResult {
                query,
                entry: &entry,
                look_up,
                read: read.cycle,
                is_fenced: state.told[number].fences != self.fences,
            };
            let missed = must.missed(&result, open);
            if missed.is_some() {
                return missed;
            }
            must.on_hit(&result, open);
        }
        let space = query.context.space();
        let mut fences = state.fences.iter();
        // An overtaken walk fills nothing.
        if !fences.any(|(_, fence)| fence.matches_tag(space)) {
            must.on_fill(query, &entry, cycle, open);
        }
        // After a guest's entry the host's stage is walked for the next gPA.
        let looks = !step.host && step.next == Next::Read && query.context.host.levels > 0;
        self.walks[walk].look = looks.then_some(LookUp {
            since: cycle,
            is_first: false,
        });
        None
    }

    /// A page-walk cache contains an entry that leads further than the walk has been led.
    #[cold]
    fn missed(
        &self,
        walk: usize,
        step: &WalkStep,
        missed: PageWalkCache,
        cycle: u64,
    ) -> Box<Mismatch> {
        let query = self.walks[walk].query.as_ref();
        let number = self.walks[walk].told.len() - 1;
        let word = self.walks[walk]
            .reads
            .get(number)
            .and_then(|read| read.word);
        let entry = reported::taken_entry(step, word);
        let since = (self.walk_caches.as_ref().zip(query))
            .and_then(|(caches, query)| caches.must().since(query, &entry, missed));
        let violation = Violation::WalkCache(WalkCacheViolation::Missed {
            place: self.place_of(walk, number),
            expected: missed.into(),
            since,
            observed: WalkCacheHit::of(step),
        });
        let id = self.id_of(walk).unwrap_or_default();
        let mut mismatch = self.mismatch(id, cycle, violation);
        mismatch.wrong_read = Some(number);
        mismatch
    }

    /// Returns the place in a walk of the memory request with an index.
    fn place_of(&self, walk: usize, index: usize) -> WalkPlace {
        WalkPlace::of(&self.walks[walk].reads, index)
    }

    /// The id of a request that waits for a walk.
    fn id_of(&self, walk: usize) -> Option<u8> {
        (0..=u8::MAX).find(|&id| {
            let request = self.requests.get(id);
            request.is_some_and(|request| request.walk == Some(walk))
        })
    }

    /// Compares what the device told of a walk's steps with the golden walk over the same words. After the first `kept` of them the walk
    /// had been overtaken: what came then was dropped.
    fn check_steps(
        &self,
        walk: usize,
        id: u8,
        cycle: u64,
        kept: usize,
    ) -> Result<(), Box<Mismatch>> {
        let state = &self.walks[walk];
        // The request that it was begun for: those that share it differ in the offset.
        let Some(query) = &state.query else {
            return Ok(());
        };
        let mut served = Served::new(self.format, state);
        let mut golden = Vec::new();
        let _ = golden::walk(self.format, query, &mut served, &mut golden);
        let mut expected = steps::expected(&golden);
        expected.truncate(state.reads.len());
        for dropped in expected.iter_mut().skip(kept) {
            *dropped = dropped.dropped();
        }
        let told = &state.told;
        let pair = |n: usize| {
            let reported = told.get(n).map(|told| StepRecord::reported(&told.step));
            (expected.get(n).copied(), reported)
        };
        let wrong = (0..expected.len().max(told.len())).find(|&n| {
            let (expected, reported) = pair(n);
            expected != reported
        });
        match wrong {
            None => Ok(()),
            Some(n) => {
                let (expected, observed) = pair(n);
                let violation = Violation::Steps {
                    place: self.place_of(walk, n),
                    expected,
                    observed,
                };
                let mut mismatch = self.mismatch(id, cycle, violation);
                mismatch.wrong_read = Some(n);
                Err(mismatch)
            }
        }
    }

    /// A walk that does not end must at least be on its way: it may be that updates have been lost.
    #[cold]
    fn check_long_walk(&self, walk: usize, cycle: u64) -> Result<(), Box<Mismatch>> {
        let state = &self.walks[walk];
        let Some(query) = state.query else {
            return Ok(());
        };
        let mut served = Served::new(self.format, state);
        // Over when it asks for what has not been served yet, or before.
        let _ = golden::walk(self.format, &query, &mut served, &mut ());
        let asks_on = served.wrong.is_some() && served.next == state.reads.len();
        match self.id_of(walk) {
            Some(id) if !asks_on => self.judge(walk, id, &query, cycle, &mut ()).map(drop),
            _ => Ok(()),
        }
    }

    #[cold]
    fn read_of_no_walk(slot: u8, read: &Read) -> Box<Mismatch> {
        let violation = Violation::Reads {
            expected: ExpectedRequest::NoWalk { slot },
            observed: ObservedRequest::Request {
                request: MemoryRequest::of(read),
                place: None,
                cycle: read.cycle,
            },
        };
        Box::new(Mismatch {
            reads: vec![*read],
            wrong_read: Some(0),
            ..*Mismatch::new(read.cycle, violation)
        })
    }

    pub fn miss(&mut self, miss: &Miss, cycle: u64) -> Result<(), Box<Mismatch>> {
        let slot = usize::from(miss.slot);
        let Some(request) = self.requests.get(miss.id) else {
            return Err(Self::no_request(miss.id, cycle, RequestEvent::Miss));
        };
        let (query, driven, fences) = (request.query, request.driven, request.fences);
        let wrong = |checker: &Self, violation| Err(checker.mismatch(miss.id, cycle, violation));
        if let Some(by) = request.overtaken {
            let observed = ActionAfterFence::Walk { slot: miss.slot };
            return wrong(self, Violation::AfterFence { by, observed });
        }
        if let Some(must_hit) = request.must_hit {
            let because = match must_hit.because {
                Certainty::Recent => HitReason::Recent {
                    of: self.tlb.recent_pages(),
                },
                Certainty::RoomForAll => HitReason::Room {
                    entries: self.tlb.entries(),
                },
            };
            let violation = Violation::MustHit {
                page: must_hit.page.into(),
                found: must_hit.found,
                because,
            };
            return wrong(self, violation);
        }
        if request.by_second {
            let violation = PairingViolation::MissAfterL2Hit;
            return wrong(self, Violation::OneResponse(violation));
        }
        if let Some(l2_tlb) = &mut self.l2_tlb {
            if let Some(page) = l2_tlb.must_contain(&query) {
                let violation = Violation::MustHit {
                    page: page.into(),
                    found: self.tlb.found_in(&page),
                    because: HitReason::L2,
                };
                return wrong(self, violation);
            }
            l2_tlb.on_request(&query);
        }
        if miss.merged {
            let walk = self.slots[slot].filter(|&walk| !self.walks[walk].ended);
            let Some(walk) = walk else {
                let violation = AssignmentViolation::NoWalk { slot: miss.slot };
                return wrong(self, Violation::WrongWalk(violation));
            };
            self.assign(miss.id, walk);
            if let Some(other) = self.walks[walk].query
                && !self.is_equal(walk, &query)
            {
                let violation = AssignmentViolation::OtherRequest {
                    slot: miss.slot,
                    query: other,
                };
                return wrong(self, Violation::WrongWalk(violation));
            }
            let overtaken = self.walks[walk].fences.iter().find(|(number, fence)| {
                *number <= fences && fence.matches_tag(query.context.space())
            });
            if let Some((number, fence)) = overtaken {
                let violation = Violation::Overtaken {
                    by: self.event_of(*number, fence),
                    observed: OvertakenUse::Shared { slot: miss.slot },
                };
                return wrong(self, violation);
            }
            self.walks[walk].requests += 1;
            return Ok(());
        }
        if let Some(other) = (0..self.slots.len()).find(|&other| {
            self.slots[other].is_some_and(|walk| {
                !self.walks[walk].ended
                    && self.must_be_shared(walk, &query, &driven)
                    && !self.is_overtaken(walk, &query)
            })
        }) {
            let violation = Violation::Coalescing {
                walk: other as u8,
                second: miss.slot,
            };
            return wrong(self, violation);
        }
        if self.slots[slot].is_some_and(|walk| !self.walks[walk].ended) {
            let violation = AssignmentViolation::SlotInUse { slot: miss.slot };
            return wrong(self, Violation::WrongWalk(violation));
        }
        let walk = self.free_walks.pop().unwrap_or_else(|| {
            self.walks.push(Walk::default());
            self.walks.len() - 1
        });
        self.wants_from_now(slot);
        let state = &mut self.walks[walk];
        state.query = Some(query);
        state.driven = Some(driven);
        state.reads.clear();
        state.told.clear();
        state.fences_at_step = self.fences;
        state.look = self.walk_caches.is_some().then_some(LookUp {
            since: cycle,
            is_first: true,
        });
        state.fences.clear();
        state.overtaken = None;
        state.answered = 0;
        state.replayed = None;
        state.requests = 1;
        state.unanswered = 0;
        state.ended = false;
        state.judged = None;
        self.slots[slot] = Some(walk);
        self.assign(miss.id, walk);
        Ok(())
    }

    fn assign(&mut self, id: u8, walk: usize) {
        if let Some(request) = self.requests.get_mut(id) {
            request.walk = Some(walk);
            self.walks[walk].unanswered += 1;
            self.unassigned = self.unassigned.saturating_sub(1);
        }
    }

    /// Whether a fence names the translation for `query`, of which only its gPA is known.
    fn names_surely(&self, fence: &Fence, query: &Query, gpa: Gpa) -> bool {
        let smallest = self.format.geometry().offset_width;
        let extent = FenceMatch {
            gva: query.gva,
            gpa,
            guest_size: smallest,
            host_size: smallest,
            // It may turn out to be, and is not named then.
            global: self.format.has_global_pages(),
        };
        fence.matches(query.context.space(), &extent)
    }

    fn is_equal(&self, walk: usize, query: &Query) -> bool {
        let smallest = self.format.geometry().offset_width;
        let any_access = !self.format.has_privileges() && !query.context.rights;
        self.walks[walk].query.is_some_and(|other| {
            other.context == query.context
                && other.gva.0 >> smallest == query.gva.0 >> smallest
                && (other.access == query.access || any_access)
        })
    }

    /// Whether they are equal and look it: a device may tell contexts apart that mean the same.
    fn must_be_shared(&self, walk: usize, query: &Query, driven: &Context) -> bool {
        self.is_equal(walk, query) && self.walks[walk].driven.as_ref() == Some(driven)
    }

    /// Whether a fence has named the address space of a walk under way, whatever the address.
    fn is_overtaken(&self, walk: usize, query: &Query) -> bool {
        let space = query.context.space();
        let mut fences = self.walks[walk].fences.iter();
        fences.any(|(_, fence)| fence.matches_tag(space))
    }

    /// What the request of an id is for.
    #[inline]
    pub fn query(&self, id: u8) -> Option<Query> {
        self.requests.get(id).map(|request| request.query)
    }

    /// A walk's result is given to a request: at the first, the walk is judged, with its steps to `log`, and what it found given.
    pub fn done<L: StepLog>(
        &mut self,
        done: &Done,
        cycle: u64,
        log: &mut L,
    ) -> Result<Option<Ended>, Box<Mismatch>> {
        let Some(request) = self.requests.get(done.id) else {
            return Err(Self::no_request(done.id, cycle, RequestEvent::WalkResult));
        };
        let wrong = |checker: &Self, violation| Err(checker.mismatch(done.id, cycle, violation));
        let walk = self.slots[usize::from(done.slot)];
        let (Some(walk), true) = (walk, request.walk == walk) else {
            let violation = AssignmentViolation::OtherResult { slot: done.slot };
            return wrong(self, Violation::WrongWalk(violation));
        };
        let query = request.query;
        let mut ended = None;
        let replayed = match self.walks[walk].replayed {
            None => self.check_replay(walk, done.id, &query, cycle)?,
            replayed => replayed,
        };
        if let Some(by) = replayed {
            if done.fill {
                let reason = NoFillReason::Overtaken(by);
                return wrong(self, Violation::Fill(FillViolation::Unexpected(reason)));
            }
        } else if self.walks[walk].judged.is_none() {
            let found = match self.walk_caches {
                None => self.judge(walk, done.id, &query, cycle, log)?,
                Some(_) => self.judge_with_caches(walk, done.id, &query, cycle, log)?,
            };
            ended = Some(Ended { walk, query, found });
            self.walks[walk].judged = Some(Judged {
                query,
                reads: self.walks[walk].reads.len(),
                found,
            });
            if self.with_steps {
                let all = self.walks[walk].reads.len();
                self.check_steps(walk, done.id, cycle, all)?;
            }
            let fill_is_legal =
                found.is_ok_and(|mapping| self.remember(walk, &query, &mapping, done.fill, cycle));
            if done.fill && !fill_is_legal {
                let reason = self.why_no_fill(walk, &query, &found);
                return wrong(self, Violation::Fill(FillViolation::Unexpected(reason)));
            }
            let translated = query.context.guest.levels + query.context.host.levels > 0;
            if !done.fill && found.is_ok() && translated && !self.is_overtaken(walk, &query) {
                return wrong(self, Violation::Fill(FillViolation::Missing));
            }
        } else if done.fill {
            return wrong(self, Violation::Fill(FillViolation::Repeated));
        }
        self.walks[walk].requests -= 1;
        if self.walks[walk].requests == 0 {
            self.walks[walk].ended = true;
        }
        Ok(ended)
    }

    /// Whether a walk owes its requests a replay: a fence has overtaken it before memory had answered all that it called for. What it
    /// has read must be what the golden walk begins with.
    fn check_replay(
        &mut self,
        walk: usize,
        id: u8,
        query: &Query,
        cycle: u64,
    ) -> Result<Option<FenceEvent>, Box<Mismatch>> {
        let state = &self.walks[walk];
        let Some(Overtaken { answered, by }) = state.overtaken else {
            return Ok(None);
        };
        let mut served = Served::new(self.format, state);
        served.reads = &state.reads[..answered.min(state.reads.len())];
        let _ = golden::walk(self.format, query, &mut served, &mut ());
        let asks_on = matches!(served.wrong, Some(Wrong::Asked(_))) && served.next == answered;
        if !asks_on {
            return Ok(None);
        }
        self.walks[walk].replayed = Some(by);
        // A read in flight is dropped, and must have been asked for rightly all the same.
        match self.walk_caches {
            None => self.judge(walk, id, query, cycle, &mut ()).map(drop)?,
            Some(_) => self
                .judge_with_caches(walk, id, query, cycle, &mut ())
                .map(drop)?,
        }
        if self.with_steps {
            self.check_steps(walk, id, cycle, answered)?;
        }
        let look = self.walks[walk].look.take();
        if let (Some(caches), Some(look_up)) = (&mut self.walk_caches, look) {
            caches.must_mut().on_abandoned(look_up, by.cycle);
        }
        Ok(Some(by))
    }

    /// The steps of a walk that has ended, by number, that walk caches have led it to: what they knew has been judged.
    #[inline]
    pub fn passes(&self, ended: &Ended) -> impl Iterator<Item = (usize, &WalkStep)> {
        let told = self.walks[ended.walk].told.iter().enumerate();
        told.filter(|(_, told)| told.step.pass != Pass::None)
            .map(|(number, told)| (number, &told.step))
    }

    /// The same with walk caches: what they have spared must be what they may know; and what this walk has read, they may know.
    fn judge_with_caches<L: StepLog>(
        &mut self,
        walk: usize,
        id: u8,
        query: &Query,
        cycle: u64,
        log: &mut L,
    ) -> Result<Result<Mapping, Fault>, Box<Mismatch>> {
        let mut steps: Vec<Step> = Vec::new();
        let found = self.judge(walk, id, query, cycle, &mut steps)?;
        for step in &steps {
            log.step(*step);
        }
        self.check_passes(walk, id, query, cycle)?;
        if let Some(caches) = &mut self.walk_caches {
            self.walks[walk].fill(caches, self.format, query, &steps);
        }
        Ok(found)
    }

    /// What walk caches have spared a walk must be what they may know.
    fn check_passes(
        &mut self,
        walk: usize,
        id: u8,
        query: &Query,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        if self.unknown_pass(walk, query).is_some() {
            // Caches are filled step by step, not at the end of a walk.
            self.learn_under_way();
            if let Some(number) = self.unknown_pass(walk, query)
                && let Some(hit) = WalkCacheHit::of(&self.walks[walk].told[number].step)
            {
                let violation = Violation::WalkCache(WalkCacheViolation::Illegal {
                    place: self.place_of(walk, number),
                    observed: hit,
                    hpa: self.walks[walk].told[number].step.hpa,
                    because: self.why_no_pass(walk, query, number),
                });
                let mut mismatch = self.mismatch(id, cycle, violation);
                mismatch.wrong_read = Some(number);
                return Err(mismatch);
            }
        }
        Ok(())
    }

    /// The number of the first step of a walk that a walk cache has led to without knowing of it.
    fn unknown_pass(&self, walk: usize, query: &Query) -> Option<usize> {
        let caches = self.walk_caches.as_ref()?;
        let geometry = self.format.geometry();
        let told = &self.walks[walk].told;
        told.iter().position(|told| {
            let hit = reported::hit(&geometry, &told.step);
            hit.is_some_and(|hit| !caches.may_contain(query, &hit, told.fences))
        })
    }

    /// What walks have read that are not over.
    fn learn_under_way(&mut self) {
        let Some(caches) = &mut self.walk_caches else {
            return;
        };
        for walk in self.slots.iter().flatten().map(|&walk| &self.walks[walk]) {
            if let Some(query) = &walk.query
                && walk.judged.is_none()
            {
                let mut steps = Vec::new();
                let mut served = Served::new(self.format, walk);
                // It ends with what has not been read yet, as an error: nothing is learnt from that.
                let _ = golden::walk(self.format, query, &mut served, &mut steps);
                walk.fill(caches, self.format, query, &steps);
            }
        }
    }

    /// The golden walk over the words that the device was given.
    fn judge<L: StepLog>(
        &self,
        walk: usize,
        id: u8,
        query: &Query,
        cycle: u64,
        log: &mut L,
    ) -> Result<Result<Mapping, Fault>, Box<Mismatch>> {
        let state = &self.walks[walk];
        let reads = &state.reads;
        let mut served = Served::new(self.format, state);
        let found = golden::walk(self.format, query, &mut served, log);
        let (next, wrong) = (served.next, served.wrong);
        if state.replayed.is_some() && next == reads.len() && matches!(wrong, Some(Wrong::Asked(_)))
        {
            // It has read all that it was to read before the fence overtook it.
            return Ok(found);
        }
        if wrong.is_none() && next == reads.len() {
            return Ok(found);
        }
        Err(self.wrong_reads(walk, id, cycle, (next, wrong), &found))
    }

    /// Returns the mismatch of a walk that differs from the golden walk over the same words after
    /// `next` memory requests. `found` is the end of the golden walk, if the device goes on behind
    /// it; else `wrong` says what the golden walk calls for.
    #[cold]
    fn wrong_reads(
        &self,
        walk: usize,
        id: u8,
        cycle: u64,
        (next, wrong): (usize, Option<Wrong>),
        found: &Result<Mapping, Fault>,
    ) -> Box<Mismatch> {
        let state = &self.walks[walk];
        let (before, behind) = state.reads.split_at(next);
        let made = RequestCounts::of(before);
        let observed = match behind.first() {
            Some(read) => ObservedRequest::behind(read, before),
            None => ObservedRequest::End(WalkEnd {
                made,
                id,
                response: None,
            }),
        };
        let violation = match (wrong, found) {
            // A word that the device has not asked for is an error to the golden walk.
            (Some(Wrong::Asked(wanted)), Err(fault)) => Violation::Reads {
                expected: ExpectedRequest::Request {
                    request: wanted.behind(before),
                    at: fault.at,
                },
                observed,
            },
            (Some(Wrong::Pass), _) => Violation::WalkCache(WalkCacheViolation::NothingSkipped {
                place: self.place_of(walk, next),
                hit: (state.told.get(next)).and_then(|told| WalkCacheHit::of(&told.step)),
                observed,
            }),
            _ => Violation::Reads {
                expected: ExpectedRequest::End {
                    made,
                    outcome: golden::outcome(found),
                },
                observed,
            },
        };
        let mut mismatch = self.mismatch(id, cycle, violation);
        mismatch.wrong_read = Some(next);
        mismatch
    }

    /// Remembers what a walk has found as what a hit may say, and says whether the TLB may take it.
    fn remember(
        &mut self,
        walk: usize,
        query: &Query,
        mapping: &Mapping,
        fills: bool,
        cycle: u64,
    ) -> bool {
        let fences = &self.walks[walk].fences;
        let found = self.tlb.on_walk(query, mapping, fences, fills, cycle);
        let Some(found) = found.filter(|found| found.is_valid) else {
            return false;
        };
        if fills && let Some(l2_tlb) = &mut self.l2_tlb {
            let waiting = self
                .requests
                .iter()
                .filter(|request| request.walk.is_none())
                .map(|request| &request.query);
            l2_tlb.on_fill(query, found.page, &found.mapping, waiting);
        }
        true
    }

    /// Judges a response.
    pub fn response(&mut self, outputs: &Outputs, cycle: u64) -> Result<Response, Box<Mismatch>> {
        let id = outputs.rsp_id;
        let Some(request) = self.requests.get(id) else {
            return Err(Self::no_request(id, cycle, RequestEvent::Response));
        };
        let (op, query, fences) = (request.op, request.query, request.fences);
        if outputs.rsp_replay {
            self.check_is_replay(id, outputs, cycle)?;
            if request_has_no_walk(self.requests.get(id)) {
                self.unassigned = self.unassigned.saturating_sub(1);
            }
            self.release(id);
            return Ok(Response::Replay { op });
        }
        let wrong = |checker: &Self, violation| Err(checker.mismatch(id, cycle, violation));
        let outcome = match outputs.outcome(self.format.has_traps()) {
            Ok(outcome) if outputs.rsp_gva == query.gva.0 => outcome,
            Ok(_) => {
                let violation = ResponseViolation::Gva {
                    expected: query.gva,
                    observed: Gva(outputs.rsp_gva),
                };
                return wrong(self, Violation::WalkResponse(violation));
            }
            Err(malformed) => {
                let violation = ResponseViolation::Malformed(malformed);
                return wrong(self, Violation::WalkResponse(violation));
            }
        };
        match (outputs.rsp_hit, request.walk) {
            (true, None) => {
                self.check_hit(id, &query, fences, &outcome, cycle)?;
                self.tlb.on_hit(&query, &outcome);
                self.unassigned = self.unassigned.saturating_sub(1);
            }
            (false, Some(walk)) => {
                if let Some(by) = self.walks[walk].replayed {
                    let observed = outcome;
                    let violation = ReplayViolation::Missing { by, observed };
                    return wrong(self, Violation::Replay(violation));
                }
                let Some(judged) = self.walks[walk].judged else {
                    let violation = PairingViolation::BeforeWalkEnd;
                    return wrong(self, Violation::OneResponse(violation));
                };
                // Of the same query over the same reads, the golden model would say the same again.
                let same = judged.query == query && judged.reads == self.walks[walk].reads.len();
                let found = if same {
                    judged.found
                } else {
                    self.judge(walk, id, &query, cycle, &mut ())?
                };
                let expected = golden::outcome(&found);
                if expected != outcome {
                    let violation = ResponseViolation::Outcome {
                        expected,
                        observed: outcome,
                    };
                    return wrong(self, Violation::WalkResponse(violation));
                }
                self.check_not_stale(walk, id, &query, fences, &found, cycle)?;
            }
            (true, Some(_)) => {
                return wrong(self, Violation::OneResponse(PairingViolation::HitOfWalk));
            }
            (false, None) => {
                let violation = PairingViolation::NeitherHitNorWalk;
                return wrong(self, Violation::OneResponse(violation));
            }
        }
        self.release(id);
        let hit = outputs.rsp_hit;
        Ok(Response::Answer { op, outcome, hit })
    }

    /// A replay says nothing but whose it is, and a fence has overtaken its request.
    #[cold]
    fn check_is_replay(&self, id: u8, outputs: &Outputs, cycle: u64) -> Result<(), Box<Mismatch>> {
        let Some(request) = self.requests.get(id) else {
            return Ok(());
        };
        let reason = match request.walk.map(|walk| &self.walks[walk]) {
            Some(walk) if walk.replayed.is_some() => None,
            Some(walk) => Some(match walk.overtaken {
                Some(overtaken) => NoReplayReason::WalkEnded(overtaken.by),
                None => NoReplayReason::WalkNotOvertaken,
            }),
            None if request.overtaken.is_some() => None,
            None => Some(NoReplayReason::RequestNotOvertaken),
        };
        let expected = request.query.gva;
        let observed = Gva(outputs.rsp_gva);
        let violation = match reason {
            Some(reason) => ReplayViolation::Unexpected(reason),
            None if observed == expected && outputs.is_bare_replay() => return Ok(()),
            None => ReplayViolation::Fields { expected, observed },
        };
        Err(self.mismatch(id, cycle, Violation::Replay(violation)))
    }

    /// A shared walk must not be older than a fence before the request that names what it found.
    fn check_not_stale(
        &self,
        walk: usize,
        id: u8,
        query: &Query,
        fences: u64,
        found: &Result<Mapping, Fault>,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        let names = |fence: &Fence| match found {
            Ok(mapping) => fence.matches(query.context.space(), &mapping.extent(query.gva)),
            Err(Fault {
                at:
                    Position::Host {
                        gpa,
                        purpose: Purpose::Data,
                        ..
                    },
                ..
            }) => self.names_surely(fence, query, *gpa),
            Err(_) => false,
        };
        let stale = self.walks[walk]
            .fences
            .iter()
            .find(|(number, fence)| *number <= fences && names(fence));
        match stale {
            None => Ok(()),
            Some((number, fence)) => {
                let violation = Violation::Overtaken {
                    by: self.event_of(*number, fence),
                    observed: OvertakenUse::Answered,
                };
                Err(self.mismatch(id, cycle, violation))
            }
        }
    }

    fn check_hit(
        &self,
        id: u8,
        query: &Query,
        fences: u64,
        outcome: &Outcome,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        let mut legal = Vec::new();
        let mut refused = false;
        for answer in self.tlb.may_contain(query, fences) {
            match answer {
                Some(answer) if answer == *outcome => return Ok(()),
                Some(answer) => legal.push(answer),
                None => refused = true,
            }
        }
        let violation = Violation::Hit {
            expected: if !legal.is_empty() {
                ExpectedHit::AnyOf(legal)
            } else if refused {
                ExpectedHit::Miss(MissReason::NotPermitted)
            } else {
                ExpectedHit::Miss(self.why_no_hit(query, fences))
            },
            observed: *outcome,
            origin: self.origin(query, fences, outcome),
        };
        Err(self.mismatch(id, cycle, violation))
    }

    // The reasons that follow come from facts that are kept until the reset, or say what is not known
    // any more.

    /// Returns a fence with the cycle of its handshake, by its number.
    fn event_of(&self, number: u64, fence: &Fence) -> FenceEvent {
        FenceEvent {
            fence: *fence,
            cycle: self.fence_cycles[number as usize - 1],
        }
    }

    /// Returns why a request must miss that was accepted after so many fences: no response is legal.
    #[cold]
    fn why_no_hit(&self, query: &Query, fences: u64) -> MissReason {
        match self.tlb.absence(query, fences) {
            Absence::Invalidated { fence, number } => {
                MissReason::Invalidated(self.event_of(number, &fence))
            }
            Absence::NeverFound => MissReason::NeverFound,
            Absence::NotFoundOfLate => MissReason::NotFoundOfLate {
                known: history::KEYS,
            },
        }
    }

    /// Returns the walk from which the response of a hit comes, if fences have invalidated it.
    #[cold]
    fn origin(&self, query: &Query, fences: u64, outcome: &Outcome) -> Option<StaleOrigin> {
        let origin = self.tlb.origin(query, fences, outcome)?;
        Some(StaleOrigin {
            found: origin.found,
            by: self.event_of(origin.number, &origin.fence),
        })
    }

    /// Returns why the TLB must not take what a walk has found.
    #[cold]
    fn why_no_fill(
        &self,
        walk: usize,
        query: &Query,
        found: &Result<Mapping, Fault>,
    ) -> NoFillReason {
        let space = query.context.space();
        let mapping = match found {
            Ok(mapping) => mapping,
            Err(fault) => return NoFillReason::Fault(*fault),
        };
        let extent = mapping.extent(query.gva);
        let mut fences = self.walks[walk].fences.iter();
        match fences.find(|(_, fence)| fence.matches(space, &extent)) {
            Some((number, fence)) => NoFillReason::Invalidated(self.event_of(*number, fence)),
            None => NoFillReason::StagesOff,
        }
    }

    /// Returns why a page-walk cache must not have led a walk to the step of a number.
    #[cold]
    fn why_no_pass(&self, walk: usize, query: &Query, number: usize) -> NoWalkCacheHit {
        let told = &self.walks[walk].told[number];
        let hit = reported::hit(&self.format.geometry(), &told.step);
        let why = (self.walk_caches.as_ref().zip(hit))
            .map(|(caches, hit)| caches.why_not(query, &hit, told.fences));
        match why.unwrap_or(WhyNot::Absent(Absence::NeverFound)) {
            WhyNot::Absent(Absence::NeverFound) => NoWalkCacheHit::NeverRead,
            WhyNot::Absent(Absence::NotFoundOfLate) => NoWalkCacheHit::NotReadOfLate {
                known: history::KEYS,
            },
            WhyNot::Absent(Absence::Invalidated { fence, number }) => {
                NoWalkCacheHit::Invalidated(self.event_of(number, &fence))
            }
            WhyNot::Elsewhere(places) => NoWalkCacheHit::Elsewhere(places),
        }
    }

    fn release(&mut self, id: u8) {
        if let Some(request) = self.requests.take(id)
            && let Some(walk) = request.walk
        {
            self.release_walk(walk);
        }
        self.drop_invalidated();
    }

    /// A walk's record serves again when its last request has been answered.
    fn release_walk(&mut self, walk: usize) {
        let state = &mut self.walks[walk];
        state.unanswered -= 1;
        if state.ended && state.unanswered == 0 {
            for slot in self.slots.iter_mut().filter(|slot| **slot == Some(walk)) {
                *slot = None;
            }
            self.free_walks.push(walk);
        }
    }

    /// What a port offers and is not taken stays as it is.
    #[inline]
    pub fn ports(
        &mut self,
        outputs: &Outputs,
        rsp_taken: bool,
        read_taken: bool,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        if self.response_is_stalled {
            let has_traps = self.format.has_traps();
            let stalled = &self.stalled_response;
            let same = outputs.rsp_valid
                && stalled.rsp_id == outputs.rsp_id
                && stalled.rsp_hit == outputs.rsp_hit
                && stalled.rsp_replay == outputs.rsp_replay
                && stalled.rsp_gva == outputs.rsp_gva
                && stalled.outcome(has_traps) == outputs.outcome(has_traps);
            if !same && let Some(stalled) = PortResponse::on_port(stalled, self.format) {
                let violation = PortViolation::ResponseChanged {
                    stalled,
                    now: PortResponse::on_port(outputs, self.format),
                };
                return Err(Mismatch::new(cycle, Violation::Port(violation)));
            }
        }
        self.response_is_stalled = outputs.rsp_valid && !rsp_taken;
        if self.response_is_stalled {
            self.stalled_response.clone_from(outputs);
        }
        if let Some(stalled) = self.stalled_read.take() {
            let now = PortRequest::on_port(outputs);
            if now != Some(stalled) {
                let violation = PortViolation::MemoryRequestChanged { stalled, now };
                return Err(Mismatch::new(cycle, Violation::Port(violation)));
            }
        }
        if outputs.mem_req_valid && !read_taken {
            self.stalled_read = PortRequest::on_port(outputs);
        }
        Ok(())
    }

    /// A device with something to do and nothing to wait for does something, soon.
    #[inline]
    pub fn goes_on(&mut self, fine: bool, cycle: u64) -> Result<(), Box<Mismatch>> {
        self.idle = if fine { 0 } else { self.idle + 1 };
        if self.idle > MOST_IDLE {
            let cycles = MOST_IDLE;
            return Err(self.stalled(cycle, Stall::Idle { cycles }));
        }
        Ok(())
    }

    /// What a reset leaves: nothing.
    pub fn reset(&mut self, machine: &Machine) {
        *self = Self::new(machine, self.walk_caches_ever);
    }

    /// Other walk caches are in use from now on.
    pub fn use_walk_caches(&mut self, used: WalkCaches) {
        if let Some(caches) = &mut self.walk_caches {
            caches.must_mut().on_switch(used);
        }
    }

    /// Counts cycles in which a request waits, and says whether there is to be a reason. A waiting request is looked up in each
    /// cycle in which the response register is free and neither a fence nor an ended walk goes first. `looks`: this is such a
    /// cycle. `is_offered`: a request is on the port, and was not taken. `progress`: one was looked up with success.
    #[inline]
    pub fn keeps_out(&mut self, looks: bool, is_offered: bool, progress: bool) -> bool {
        let waits = is_offered || self.unassigned > 0;
        if !waits || !looks || progress {
            self.kept_out = 0;
            return false;
        }
        self.kept_out += 1;
        self.kept_out.is_multiple_of(MOST_KEPT_OUT)
    }

    /// Whether a request that a fence matches has no walk and no response yet.
    pub fn has_held(&self, fence: &Fence) -> bool {
        let mut requests = self
            .requests
            .iter()
            .filter(|request| request.walk.is_none());
        requests.any(|request| fence.matches_tag(request.query.context.space()))
    }

    /// A request that waits must have no room: `offered` is the one on the port, if there is one.
    #[cold]
    pub fn check_room(
        &self,
        offered: Option<(Query, Context)>,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        // One that was taken goes before the one on the port.
        let held = self.requests.iter().find(|request| request.walk.is_none());
        let held_asks = held.map(|request| (request.query, request.driven));
        let Some((query, driven)) = held_asks.or(offered) else {
            return Ok(());
        };
        let under_way: Vec<usize> = self
            .slots
            .iter()
            .flatten()
            .copied()
            .filter(|&walk| !self.walks[walk].ended)
            .collect();
        let waiting: u32 = under_way
            .iter()
            .map(|&walk| self.walks[walk].requests)
            .sum();
        let may_share = under_way.iter().any(|&walk| {
            self.must_be_shared(walk, &query, &driven) && !self.is_overtaken(walk, &query)
        });
        let slot_is_free = under_way.len() < self.slot_count as usize;
        // As many requests can wait for walks as `MissEntries` of sim/tb_top.sv says.
        if waiting >= 2 * self.slot_count || !(slot_is_free || may_share) {
            return Ok(());
        }
        let stall = Stall::Unassigned {
            slots: self.slot_count,
            in_use: under_way.len(),
            waiting,
            cycles: MOST_KEPT_OUT,
        };
        let mut mismatch = self.stalled(cycle, stall);
        mismatch.op = held.map(|request| request.op);
        mismatch.query = Some(query);
        Err(mismatch)
    }

    #[cold]
    fn stalled(&self, cycle: u64, stall: Stall) -> Box<Mismatch> {
        let waits = self.requests.iter().min_by_key(|request| request.accepted);
        Box::new(Mismatch {
            op: waits.map(|request| request.op),
            query: waits.map(|request| request.query),
            ..*Mismatch::new(cycle, Violation::Stalled(stall))
        })
    }

    #[cold]
    fn no_request(id: u8, cycle: u64, observed: RequestEvent) -> Box<Mismatch> {
        let violation = PairingViolation::NoRequest { id, observed };
        Mismatch::new(cycle, Violation::OneResponse(violation))
    }

    /// Returns a mismatch that concerns the request of an id.
    #[cold]
    fn mismatch(&self, id: u8, cycle: u64, violation: Violation) -> Box<Mismatch> {
        let request = self.requests.get(id);
        let walk = request.and_then(|request| request.walk);
        Box::new(Mismatch {
            op: request.map(|request| request.op),
            query: request.map(|request| request.query),
            reads: walk.map_or_else(Vec::new, |walk| self.walks[walk].reads.clone()),
            ..*Mismatch::new(cycle, violation)
        })
    }
}

impl Walk {
    /// Fills the page-walk caches with what the walk has read, by some steps of the golden walk.
    fn fill(&self, caches: &mut PageWalkCaches, format: Format, query: &Query, steps: &[Step]) {
        let geometry = format.geometry();
        let hit = |number: usize| reported::hit(&geometry, &self.told.get(number)?.step);
        caches.on_walk(query, steps, hit, &self.fences);
    }

    /// Whether a fence matches it, by V, ASID and VMID: its addresses and whether it is global are known for certain only when it ends.
    fn is_matched_by(&self, fence: &Fence) -> bool {
        self.query
            .is_some_and(|query| fence.matches_tag(query.context.space()))
    }
}

fn request_has_no_walk(request: Option<&Request>) -> bool {
    request.is_some_and(|request| request.walk.is_none())
}

#[cfg(test)]
mod tests;
