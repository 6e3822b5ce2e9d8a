// SPDX-License-Identifier: Apache-2.0
//! Checks of walks: memory requests, steps and results are compared with the golden walk over the
//! same words.

use super::Checker;
use crate::bench::memory_request::{Read, RequestCounts};
use crate::bench::mismatch::{
    AssignmentViolation, ExpectedRequest, FillViolation, Mismatch, NoFillReason, ObservedRequest,
    RequestEvent, Violation, WalkCacheHit, WalkCacheViolation, WalkEnd,
};
use crate::bench::replay_memory::{Difference, ReplayMemory};
use crate::bench::rules;
use crate::bench::scoreboard::{Judged, Overtaken, Walk};
use crate::bench::steps::{self, StepRecord};
use crate::dut::Done;
use crate::golden::{self, Mapping, StepLog};
use crate::mmu::{Fault, Query};

/// A walk that has not ended is checked when its number of memory requests reaches this power of
/// two, and again at each higher power of two. The longest walk without updates makes at most half
/// as many.
const LONG_WALK: usize = 64;

/// A walk that has ended, with the result of the golden walk.
pub(in crate::bench) struct Ended {
    /// The record of the walk.
    pub walk: usize,
    pub query: Query,
    pub found: Result<Mapping, Fault>,
}

impl Checker {
    /// Returns the words that memory returned to a walk, as memory for the golden walk.
    pub(super) fn replay<'a>(&self, walk: &'a Walk) -> ReplayMemory<'a> {
        ReplayMemory::new(self.format, &walk.reads, &walk.reported)
    }

    /// Notes a memory request of a slot that memory has accepted, and checks it as far as the
    /// unfinished walk allows.
    #[inline]
    pub fn read(&mut self, slot: u8, read: &Read) -> Result<(), Box<Mismatch>> {
        let Some(record) = self.board.record_in(slot) else {
            return Err(Mismatch::of_no_walk(slot, read));
        };
        let walk = self.board.walk_mut(record);
        if walk.ended {
            return Err(Mismatch::of_no_walk(slot, read));
        }
        walk.reads.push(*read);
        let count = walk.reads.len();
        if let Some(Overtaken { by, .. }) = walk.overtaken
            && by.cycle < read.cycle
        {
            return Err(self.read_after_fence(record, read, by));
        }
        if let Some(violation) = self.turns.on_request(slot) {
            return Err(self.late_request(record, violation, read.cycle));
        }
        if count >= LONG_WALK && count.is_power_of_two() {
            return self.check_long_walk(record, read.cycle);
        }
        Ok(())
    }

    #[cold]
    fn late_request(&self, walk: usize, violation: Violation, cycle: u64) -> Box<Mismatch> {
        match (&violation, self.board.id_of(walk)) {
            (Violation::Stalled(_), Some(id)) => self.mismatch(id, cycle, violation),
            _ => Mismatch::new(cycle, violation),
        }
    }

    /// Notes that memory has responded to a slot in a cycle. If the slot offers its next memory
    /// request in the same cycle, [`Checker::wants_request`] has to be called before that request
    /// is noted.
    #[inline]
    pub fn served(&mut self, slot: u8, cycle: u64) {
        self.turns.on_want(slot);
        self.board.reply(slot, cycle);
    }

    /// Notes that a slot competes for the memory port from now on.
    #[inline]
    pub fn wants_request(&mut self, slot: u8) {
        self.turns.on_want(slot);
    }

    /// Compares a long walk that has not ended with the golden walk. A walk becomes long if its
    /// updates fail again and again, because software changes the entries.
    #[cold]
    fn check_long_walk(&self, walk: usize, cycle: u64) -> Result<(), Box<Mismatch>> {
        let state = self.board.walk(walk);
        let query = state.query;
        let mut memory = self.replay(state);
        let _ = golden::walk(self.format, &query, &mut memory, &mut ());
        match self.board.id_of(walk) {
            Some(id) if !memory.differs_behind_the_last() => {
                self.judge(walk, id, &query, cycle, &mut ()).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Checks that the result of a walk is given to a request that waits for it. For the first such
    /// request, the walk is compared with the golden walk, the steps of the golden walk are written
    /// to `log`, and the end of the walk is returned.
    pub fn done<L: StepLog>(
        &mut self,
        done: &Done,
        cycle: u64,
        log: &mut L,
    ) -> Result<Option<Ended>, Box<Mismatch>> {
        let Some(request) = self.board.request(done.id) else {
            return Err(rules::no_request(done.id, cycle, RequestEvent::WalkResult));
        };
        let wrong = |checker: &Self, violation| Err(checker.mismatch(done.id, cycle, violation));
        let walk = self.board.record_in(done.slot);
        let (Some(walk), true) = (walk, request.walk == walk) else {
            let violation = AssignmentViolation::OtherResult { slot: done.slot };
            return wrong(self, Violation::WrongWalk(violation));
        };
        let query = request.query;
        let mut ended = None;
        let replayed = match self.board.walk(walk).replayed {
            None => self.check_replay(walk, done.id, &query, cycle)?,
            replayed => replayed,
        };
        if let Some(by) = replayed {
            if done.fill {
                let reason = NoFillReason::Overtaken(by);
                return wrong(self, Violation::Fill(FillViolation::Unexpected(reason)));
            }
        } else if self.board.walk(walk).judged.is_none() {
            let found = match self.walk_caches {
                None => self.judge(walk, done.id, &query, cycle, log)?,
                Some(_) => self.judge_with_caches(walk, done.id, &query, cycle, log)?,
            };
            ended = Some(Ended { walk, query, found });
            let reads = self.board.walk(walk).reads.len();
            self.board.walk_mut(walk).judged = Some(Judged {
                query,
                reads,
                found,
            });
            if self.with_steps {
                self.check_steps(walk, done.id, cycle, reads)?;
            }
            let fill_is_legal =
                found.is_ok_and(|mapping| self.may_fill(walk, &query, &mapping, done.fill, cycle));
            if done.fill && !fill_is_legal {
                let reason = self.why_no_fill(walk, &query, &found);
                return wrong(self, Violation::Fill(FillViolation::Unexpected(reason)));
            }
            let translated = query.context.guest.levels + query.context.host.levels > 0;
            if !done.fill
                && found.is_ok()
                && translated
                && !self.board.walk(walk).is_overtaken_for(&query)
            {
                return wrong(self, Violation::Fill(FillViolation::Missing));
            }
        } else if done.fill {
            return wrong(self, Violation::Fill(FillViolation::Repeated));
        }
        self.board.give(walk);
        Ok(ended)
    }

    /// Compares the memory requests of a walk with the golden walk over the words that memory
    /// returned to the device. Returns the result of the golden walk.
    pub(super) fn judge<L: StepLog>(
        &self,
        walk: usize,
        id: u8,
        query: &Query,
        cycle: u64,
        log: &mut L,
    ) -> Result<Result<Mapping, Fault>, Box<Mismatch>> {
        let state = self.board.walk(walk);
        let mut memory = self.replay(state);
        let found = golden::walk(self.format, query, &mut memory, log);
        // A walk that gets a replay stops at the fence, so the golden walk may call for more memory
        // requests.
        if state.replayed.is_some() && memory.asks_on() {
            return Ok(found);
        }
        let (next, difference) = memory.end();
        if difference.is_none() && next == state.reads.len() {
            return Ok(found);
        }
        Err(self.wrong_reads(walk, id, cycle, (next, difference), &found))
    }

    /// Returns the mismatch for a walk that differs from the golden walk over the same words after
    /// `next` memory requests. `difference`: the memory request of the golden walk that the device
    /// has not made; none if the golden walk has ended with `found`, and the device has made
    /// further memory requests.
    #[cold]
    fn wrong_reads(
        &self,
        walk: usize,
        id: u8,
        cycle: u64,
        (next, difference): (usize, Option<Difference>),
        found: &Result<Mapping, Fault>,
    ) -> Box<Mismatch> {
        let state = self.board.walk(walk);
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
        let violation = match (difference, found) {
            // The golden walk reads a memory error where the device has made no memory request.
            (Some(Difference::Request(wanted)), Err(fault)) => Violation::Reads {
                expected: ExpectedRequest::Request {
                    request: wanted.behind(before),
                    at: fault.at,
                },
                observed,
            },
            (Some(Difference::WalkCache), _) => {
                Violation::WalkCache(WalkCacheViolation::NothingSkipped {
                    place: state.place_of(next),
                    hit: (state.reported.get(next)).and_then(|step| WalkCacheHit::of(&step.step)),
                    observed,
                })
            }
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

    /// Compares the reported steps of a walk with the steps of the golden walk over the same words.
    /// `kept`: the number of steps before a fence overtook the walk. Later steps must be reported
    /// as dropped.
    pub(super) fn check_steps(
        &self,
        walk: usize,
        id: u8,
        cycle: u64,
        kept: usize,
    ) -> Result<(), Box<Mismatch>> {
        let state = self.board.walk(walk);
        let mut memory = self.replay(state);
        let mut golden = Vec::new();
        // Requests that share the walk may differ in the page offset. The reported steps have the
        // offset of the request that started the walk.
        let _ = golden::walk(self.format, &state.query, &mut memory, &mut golden);
        let mut expected = steps::expected(&golden);
        expected.truncate(state.reads.len());
        for dropped in expected.iter_mut().skip(kept) {
            *dropped = dropped.dropped();
        }
        let reported = &state.reported;
        let pair = |n: usize| {
            let reported = reported.get(n).map(|step| StepRecord::reported(&step.step));
            (expected.get(n).copied(), reported)
        };
        let wrong = (0..expected.len().max(reported.len())).find(|&n| {
            let (expected, reported) = pair(n);
            expected != reported
        });
        match wrong {
            None => Ok(()),
            Some(n) => {
                let (expected, observed) = pair(n);
                let violation = Violation::Steps {
                    place: state.place_of(n),
                    expected,
                    observed,
                };
                let mut mismatch = self.mismatch(id, cycle, violation);
                mismatch.wrong_read = Some(n);
                Err(mismatch)
            }
        }
    }

    /// Adds the result of a walk to the may-contain set of the TLB. Returns true if the TLB may be
    /// filled with it.
    fn may_fill(
        &mut self,
        walk: usize,
        query: &Query,
        mapping: &Mapping,
        fills: bool,
        cycle: u64,
    ) -> bool {
        let fences = &self.board.walk(walk).fences;
        let found = self.tlb.on_walk(query, mapping, fences, fills, cycle);
        let Some(found) = found.filter(|found| found.is_valid) else {
            return false;
        };
        if fills && let Some(l2_tlb) = &mut self.l2_tlb {
            let waiting = self.board.unassigned_requests();
            let waiting = waiting.map(|request| &request.query);
            l2_tlb.on_fill(query, found.page, &found.mapping, waiting);
        }
        true
    }

    /// Returns the reason why the TLB must not be filled with the result of a walk.
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
        let mut fences = self.board.walk(walk).fences.iter();
        match fences.find(|(_, fence)| fence.matches(space, &extent)) {
            Some((number, _)) => NoFillReason::Invalidated(self.board.fence_of(*number)),
            None => NoFillReason::StagesOff,
        }
    }
}
