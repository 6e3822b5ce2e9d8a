// SPDX-License-Identifier: Apache-2.0
//! Checks of fences: how long a fence may wait, what a walk must not do after a fence has overtaken
//! it, and which requests get a replay.

use super::Checker;
use crate::addr::Gva;
use crate::bench::memory_request::{MemoryRequest, Read};
use crate::bench::mismatch::{
    ActionAfterFence, FenceEvent, Mismatch, NoReplayReason, OvertakenUse, PortViolation,
    ReplayViolation, Violation,
};
use crate::bench::rules;
use crate::bench::scoreboard::Overtaken;
use crate::dut::Outputs;
use crate::golden::{self, Mapping};
use crate::mmu::{Fault, Fence, Position, Purpose, Query};

impl Checker {
    /// The device has accepted a fence.
    pub fn fence(&mut self, fence: &Fence, cycle: u64) {
        let number = self.board.fence(fence, cycle);
        self.tlb.on_fence(fence, number, cycle);
        if let Some(caches) = &mut self.walk_caches {
            caches.on_fence(fence, number);
        }
        if let Some(l2_tlb) = &mut self.l2_tlb {
            l2_tlb.on_fence(fence, !self.board.has_unassigned());
        }
        self.drop_invalidated();
    }

    /// Checks that a fence may wait. By docs/ports.md a fence waits only while a memory request of
    /// a walk that it matches is offered and not accepted. `offered`: the slot of the memory
    /// request that is offered and not accepted, if there is one.
    pub fn fence_waits(
        &self,
        fence: &Fence,
        offered: Option<u8>,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        let walk = offered.and_then(|slot| self.board.walk_in(slot));
        if walk.is_some_and(|walk| walk.is_matched_by(fence)) {
            return Ok(());
        }
        let violation = PortViolation::FenceStalled { fence: *fence };
        Err(Mismatch::new(cycle, Violation::Port(violation)))
    }

    /// Removes what fences have invalidated from the may-contain sets. The removal waits until no
    /// request is in flight, because a request from before a fence may still hit these entries.
    pub(super) fn drop_invalidated(&mut self) {
        if self.board.is_empty() {
            self.tlb.drop_invalidated();
            if let Some(caches) = &mut self.walk_caches {
                caches.drop_invalidated();
            }
        }
    }

    /// Returns the mismatch for a memory request that a walk has made after the fence that overtook
    /// the walk.
    #[cold]
    pub(super) fn read_after_fence(
        &self,
        walk: usize,
        read: &Read,
        by: FenceEvent,
    ) -> Box<Mismatch> {
        let id = self.board.id_of(walk).unwrap_or_default();
        let (_, before) = self
            .board
            .walk(walk)
            .reads
            .split_last()
            .unwrap_or((read, &[]));
        let observed = ActionAfterFence::Request {
            request: MemoryRequest::of(read).behind(before),
            cycle: read.cycle,
        };
        let violation = Violation::AfterFence { by, observed };
        let mut mismatch = self.mismatch(id, read.cycle, violation);
        mismatch.wrong_read = Some(before.len());
        mismatch
    }

    /// Returns the fence because of which the requests of a walk must get a replay: the fence
    /// overtook the walk before memory had responded to all memory requests of the walk. Returns
    /// none if the walk had ended before the fence. The memory requests up to the fence must agree
    /// with the beginning of the golden walk.
    pub(super) fn check_replay(
        &mut self,
        walk: usize,
        id: u8,
        query: &Query,
        cycle: u64,
    ) -> Result<Option<FenceEvent>, Box<Mismatch>> {
        let state = self.board.walk(walk);
        let Some(Overtaken { answered, by }) = state.overtaken else {
            return Ok(None);
        };
        let mut memory = self.replay(state).truncated(answered);
        let _ = golden::walk(self.format, query, &mut memory, &mut ());
        if !memory.asks_on() {
            return Ok(None);
        }
        self.board.walk_mut(walk).replayed = Some(by);
        // The walk drops the response to its outstanding memory request, but this memory request
        // must agree with the golden walk all the same.
        match self.walk_caches {
            None => self.judge(walk, id, query, cycle, &mut ()).map(drop)?,
            Some(_) => self
                .judge_with_caches(walk, id, query, cycle, &mut ())
                .map(drop)?,
        }
        if self.with_steps {
            self.check_steps(walk, id, cycle, answered)?;
        }
        let look_up = self.board.walk_mut(walk).look_up.take();
        if let (Some(caches), Some(look_up)) = (&mut self.walk_caches, look_up) {
            caches.must_mut().on_abandoned(look_up, by.cycle);
        }
        Ok(Some(by))
    }

    /// Checks a replay: a fence must have overtaken the request, and all fields of the response
    /// except the gVA must be 0.
    #[cold]
    pub(super) fn check_is_replay(
        &self,
        id: u8,
        outputs: &Outputs,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        let Some(request) = self.board.request(id) else {
            return Ok(());
        };
        let reason = match request.walk.map(|walk| self.board.walk(walk)) {
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

    /// Checks the result of a walk that a coalesced request shares: no fence between the start of
    /// the walk and the acceptance of the request may match the result.
    pub(super) fn check_not_stale(
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
            }) => rules::surely_matches(self.format, fence, query, *gpa),
            Err(_) => false,
        };
        let stale = self
            .board
            .walk(walk)
            .fences
            .iter()
            .find(|(number, fence)| *number <= fences && names(fence));
        match stale {
            None => Ok(()),
            Some((number, _)) => {
                let violation = Violation::Overtaken {
                    by: self.board.fence_of(*number),
                    observed: OvertakenUse::Answered,
                };
                Err(self.mismatch(id, cycle, violation))
            }
        }
    }
}
