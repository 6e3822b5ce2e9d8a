// SPDX-License-Identifier: Apache-2.0
//! The assignment of requests to walks: which requests may miss, which must be coalesced with a
//! walk in flight, and when a free walk slot must be used.

use super::Checker;
use crate::bench::mismatch::{
    ActionAfterFence, AssignmentViolation, HitReason, Mismatch, OvertakenUse, PairingViolation,
    RequestEvent, Stall, Violation,
};
use crate::bench::rules;
use crate::bench::scoreboard::Walk;
use crate::dut::Miss;
use crate::golden::occupancy::page_walk_cache::LookUp;
use crate::mmu::{Context, Fence, Query};

impl Checker {
    /// Checks that a request may miss, and that it is assigned to the right walk.
    pub fn miss(&mut self, miss: &Miss, cycle: u64) -> Result<(), Box<Mismatch>> {
        let Some(request) = self.board.request(miss.id) else {
            return Err(rules::no_request(miss.id, cycle, RequestEvent::Miss));
        };
        let (query, driven, fences) = (request.query, request.driven, request.fences);
        let wrong = |checker: &Self, violation| Err(checker.mismatch(miss.id, cycle, violation));
        if let Some(by) = request.overtaken {
            let observed = ActionAfterFence::Walk { slot: miss.slot };
            return wrong(self, Violation::AfterFence { by, observed });
        }
        if let Some(must_hit) = request.must_hit {
            return wrong(self, rules::must_hit(&self.tlb, &must_hit));
        }
        if request.by_l2 {
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
        match miss.merged {
            true => self.share_walk(miss, &query, fences, cycle),
            false => self.start_walk(miss, &query, &driven, cycle),
        }
    }

    /// Assigns a coalesced request to the walk in flight of a slot, and checks that the request may
    /// share this walk. `fences`: the number of fences before the request.
    fn share_walk(
        &mut self,
        miss: &Miss,
        query: &Query,
        fences: u64,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        let wrong = |checker: &Self, violation| Err(checker.mismatch(miss.id, cycle, violation));
        let in_slot = self.board.record_in(miss.slot);
        let Some(record) = in_slot.filter(|&record| !self.board.walk(record).ended) else {
            let violation = AssignmentViolation::NoWalk { slot: miss.slot };
            return wrong(self, Violation::WrongWalk(violation));
        };
        self.board.assign(miss.id, record);
        let walk = self.board.walk(record);
        if !rules::may_share_walk(self.format, &walk.query, query) {
            let violation = AssignmentViolation::OtherRequest {
                slot: miss.slot,
                query: walk.query,
            };
            return wrong(self, Violation::WrongWalk(violation));
        }
        let overtaken = walk
            .fences
            .iter()
            .find(|(number, fence)| *number <= fences && fence.matches_tag(query.context.space()));
        if let Some((number, _)) = overtaken {
            let violation = Violation::Overtaken {
                by: self.board.fence_of(*number),
                observed: OvertakenUse::Shared { slot: miss.slot },
            };
            return wrong(self, violation);
        }
        self.board.join(miss.id, record);
        Ok(())
    }

    /// Starts a walk for a request in a slot, and checks that the slot is free and that no walk in
    /// flight must be shared instead.
    fn start_walk(
        &mut self,
        miss: &Miss,
        query: &Query,
        driven: &Context,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        let wrong = |checker: &Self, violation| Err(checker.mismatch(miss.id, cycle, violation));
        let mut in_flight = self.board.walks_in_flight();
        if let Some(other) = in_flight.find(|walk| self.must_share(walk, query, driven)) {
            let violation = Violation::Coalescing {
                walk: other.slot,
                second: miss.slot,
            };
            return wrong(self, violation);
        }
        drop(in_flight);
        if self
            .board
            .walk_in(miss.slot)
            .is_some_and(|walk| !walk.ended)
        {
            let violation = AssignmentViolation::SlotInUse { slot: miss.slot };
            return wrong(self, Violation::WrongWalk(violation));
        }
        let look_up = self.walk_caches.is_some().then_some(LookUp {
            since: cycle,
            is_first: true,
        });
        self.turns.on_want(miss.slot);
        self.board.start_walk(miss.slot, miss.id, look_up);
        Ok(())
    }

    /// Returns true if a request must share a walk: the requests are equal, no fence has overtaken
    /// the walk, and all context fields are driven with the same values. Two contexts that differ
    /// only in ignored fields need not share a walk, because the device may compare these fields as
    /// well.
    fn must_share(&self, walk: &Walk, query: &Query, driven: &Context) -> bool {
        rules::may_share_walk(self.format, &walk.query, query)
            && walk.driven == *driven
            && !walk.is_overtaken_for(query)
    }

    /// Counts the cycles in which a request waits for a walk or a response. Returns true if the
    /// request has waited for so long that [`Checker::check_room`] has to find a cause. `looks`:
    /// the device looks up a waiting request in this cycle, because the response register is free
    /// and neither a fence nor an ended walk has priority. `is_offered`: a request is on the port
    /// and was not accepted. `progress`: a lookup in this cycle ended with a hit or with an
    /// assignment to a walk.
    #[inline]
    pub fn keeps_out(&mut self, looks: bool, is_offered: bool, progress: bool) -> bool {
        let waits = is_offered || self.board.has_unassigned();
        self.progress.needs_a_cause(waits && looks && !progress)
    }

    /// Returns true if a request that a fence matches has no walk and no response yet.
    pub fn has_held(&self, fence: &Fence) -> bool {
        let mut requests = self.board.unassigned_requests();
        requests.any(|request| fence.matches_tag(request.query.context.space()))
    }

    /// Checks that a waiting request has a cause to wait: there is neither a free walk slot nor a
    /// walk to share, or the miss table is full. `offered`: the request on the port, if there is
    /// one.
    #[cold]
    pub fn check_room(
        &self,
        offered: Option<(Query, Context)>,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        // A request that was accepted has priority over the request on the port.
        let held = self.board.unassigned_requests().next();
        let held_asks = held.map(|request| (request.query, request.driven));
        let Some((query, driven)) = held_asks.or(offered) else {
            return Ok(());
        };
        let in_use = self.board.walks_in_flight().count();
        let waiting: u32 = self.board.walks_in_flight().map(|walk| walk.requests).sum();
        let mut in_flight = self.board.walks_in_flight();
        let may_share = in_flight.any(|walk| self.must_share(walk, &query, &driven));
        let slot_is_free = in_use < self.slot_count as usize;
        if waiting >= self.limits.miss_entries || !(slot_is_free || may_share) {
            return Ok(());
        }
        let stall = Stall::Unassigned {
            slots: self.slot_count,
            in_use,
            waiting,
            cycles: self.limits.stall_cycles,
        };
        let mut mismatch = rules::stalled(&self.board, cycle, stall);
        mismatch.op = held.map(|request| request.op);
        mismatch.query = Some(query);
        Err(mismatch)
    }
}
