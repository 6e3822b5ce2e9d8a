// SPDX-License-Identifier: Apache-2.0
//! Checks of responses: from walks, from the TLB and from the L2 TLB.

use super::{Checker, Response};
use crate::addr::Gva;
use crate::bench::mismatch::{
    ExpectedHit, Mismatch, MissReason, PairingViolation, ReplayViolation, RequestEvent,
    ResponseViolation, StaleOrigin, Violation,
};
use crate::bench::rules;
use crate::bench::scoreboard::Request;
use crate::dut::Outputs;
use crate::golden;
use crate::golden::occupancy::{Absence, history};
use crate::mmu::{Outcome, Query};

impl Checker {
    /// Checks a response.
    pub fn response(&mut self, outputs: &Outputs, cycle: u64) -> Result<Response, Box<Mismatch>> {
        let id = outputs.rsp_id;
        let Some(request) = self.board.request(id) else {
            return Err(rules::no_request(id, cycle, RequestEvent::Response));
        };
        let (query, fences) = (request.query, request.fences);
        if outputs.rsp_replay {
            let has_walk = request.has_walk();
            self.check_is_replay(id, outputs, cycle)?;
            if !has_walk {
                self.board.answer_unassigned();
            }
            let request = self.release(id, cycle)?;
            return Ok(Response::Replay { request });
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
                self.board.answer_unassigned();
            }
            (false, Some(walk)) => {
                if let Some(by) = self.board.walk(walk).replayed {
                    let observed = outcome;
                    let violation = ReplayViolation::Missing { by, observed };
                    return wrong(self, Violation::Replay(violation));
                }
                let Some(judged) = self.board.walk(walk).judged else {
                    let violation = PairingViolation::BeforeWalkEnd;
                    return wrong(self, Violation::OneResponse(violation));
                };
                // The golden walk is a function of the query and the words. If both are the same,
                // its result is the same, and need not be computed again.
                let same =
                    judged.query == query && judged.reads == self.board.walk(walk).reads.len();
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
        let request = self.release(id, cycle)?;
        Ok(Response::Answer {
            request,
            outcome,
            hit: outputs.rsp_hit,
        })
    }

    /// Removes a request from the scoreboard, because it has its response.
    fn release(&mut self, id: u8, cycle: u64) -> Result<Request, Box<Mismatch>> {
        let Some(request) = self.board.release(id) else {
            return Err(rules::no_request(id, cycle, RequestEvent::Response));
        };
        self.drop_invalidated();
        Ok(request)
    }

    /// Checks that the response of a TLB hit is a translation that the TLB may contain.
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

    /// Returns the reason why a request must miss. `fences`: the number of fences before the
    /// request.
    #[cold]
    fn why_no_hit(&self, query: &Query, fences: u64) -> MissReason {
        match self.tlb.absence(query, fences) {
            Absence::Invalidated { number, .. } => {
                MissReason::Invalidated(self.board.fence_of(number))
            }
            Absence::NeverFound => MissReason::NeverFound,
            Absence::NotFoundOfLate => MissReason::NotFoundOfLate {
                known: history::KEYS,
            },
        }
    }

    /// Returns the walk whose result a stale TLB hit gives; none if no walk has found this result.
    #[cold]
    fn origin(&self, query: &Query, fences: u64, outcome: &Outcome) -> Option<StaleOrigin> {
        let origin = self.tlb.origin(query, fences, outcome)?;
        Some(StaleOrigin {
            found: origin.found,
            by: self.board.fence_of(origin.number),
        })
    }

    /// Notes a hit of the L2 TLB, which answers a request and fills the TLB with its entry.
    pub fn second_hit(&mut self, id: u8, cycle: u64) -> Result<(), Box<Mismatch>> {
        let Some(request) = self.board.request_mut(id) else {
            return Err(rules::no_request(id, cycle, RequestEvent::L2TlbHit));
        };
        let (query, walk) = (request.query, request.walk);
        let is_answered = std::mem::replace(&mut request.by_l2, true);
        let (Some(l2_tlb), false, None) = (&mut self.l2_tlb, is_answered, walk) else {
            let violation = Violation::OneResponse(PairingViolation::L2HitAgain);
            return Err(self.mismatch(id, cycle, violation));
        };
        let sizes = self.tlb.on_l2_hit(&query);
        l2_tlb.on_hit(&query, sizes.is_smallest, sizes.is_larger);
        Ok(())
    }
}
