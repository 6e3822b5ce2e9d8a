// SPDX-License-Identifier: Apache-2.0
//! Checks of responses: a response must be the result of some golden walk over the words that
//! memory has returned.

use super::PortChecker;
use super::attribution::{canonical, without_asid};
use super::streams::{Stream, wanted};
use super::words::{End, Followed, ServedIn, Words, each_walk, end_of};
use crate::addr::{Gpa, Gva};
use crate::bench::checker::Response;
use crate::bench::freedoms::Freedom;
use crate::bench::memory_request::RequestCounts;
use crate::bench::mismatch::{
    ExpectedRequest, Mismatch, NoReplayReason, ObservedRequest, ObservedResponse, ObservedTrap,
    ReplayViolation, RequestEvent, ResponseViolation, Violation, WalkEnd,
};
use crate::bench::rules;
use crate::bench::scoreboard::Request;
use crate::dut::description::{FaultOrder, PermissionCheck, Tval2};
use crate::dut::{MalformedResponse, Outputs};
use crate::golden::{self, Mapping};
use crate::mmu::{
    AddressSpaceTag, Context, Fault, FaultKind, Fence, Outcome, Position, Purpose, Query,
    StageControl,
};

/// The most legal outcomes that a mismatch lists.
const MOST_LEGAL: usize = 4;

/// Returns a request with the two stages of the context that has filled the TLB. A TLB compares
/// only the tags of contexts. So until a fence, a hit gives the result for the context of the fill.
fn with_stages_of(query: &Query, filled_by: &Context) -> Query {
    let mut query = *query;
    let context = &mut query.context;
    context.guest = StageControl {
        mxr: context.guest.mxr,
        ..filled_by.guest
    };
    context.host = StageControl {
        mxr: context.host.mxr,
        ..filled_by.host
    };
    context.napot = filled_by.napot;
    query
}

/// The search for a golden walk that explains a response.
struct Search<'a, 'b> {
    checker: &'a PortChecker,
    request: &'a Request,
    outputs: &'a Outputs,
    /// The legal outcomes that differ from the response, for the report.
    legal: &'b mut Vec<Outcome>,
    explained: Option<Outcome>,
    /// Translations that the TLB may contain from now on. Each has the cycle from which on fences
    /// invalidate it. There may be more than one, because several walks may explain a response.
    found: Vec<(Mapping, u64)>,
    /// There were too many golden walks, and not every one was followed.
    is_open: bool,
}

impl Search<'_, '_> {
    /// Notes a legal outcome. Returns true if the response has this outcome.
    fn may_be(&mut self, outcome: Outcome) -> bool {
        let agrees = self.checker.agrees(&outcome, self.outputs);
        if agrees {
            self.explained = Some(outcome);
        } else if self.legal.len() < MOST_LEGAL && !self.legal.contains(&outcome) {
            self.legal.push(outcome);
        }
        agrees
    }

    /// Follows the golden walks of a request over words until one explains the response. `all`:
    /// follows every golden walk, and collects the translations that the TLB may contain.
    fn follow(&mut self, query: &Query, words: Option<&Words>, all: bool) {
        let checker = self.checker;
        let mut has_fault = false;
        let at_entry = PermissionCheck::Entry;
        let followed = each_walk(checker.format, query, at_entry, &[], words, |walk| {
            let Some(end) = walk.end.found() else {
                return false;
            };
            if !checker.may_give(self.request, &end, walk.served) {
                return false;
            }
            let agrees = self.may_be(golden::outcome(&end));
            has_fault |= end.is_err();
            if let (true, Ok(mapping)) = (agrees && all, end) {
                let begun = walk.served.map_or(0, |served| checker.begun(served));
                self.found.push((mapping, begun));
            }
            agrees && !all
        });
        self.is_open |= followed == Followed::TooMany;
        if has_fault {
            self.follow_behind_faults(query, words, all);
        }
    }

    /// Follows the golden walks of a request that continue after a permission fault. The TLB may
    /// contain the pages that they find. If the device file declares that the order of faults is
    /// free, the device may report any of their faults.
    fn follow_behind_faults(&mut self, query: &Query, words: Option<&Words>, all: bool) {
        let checker = self.checker;
        let has_any_order = checker.description.responses.order == FaultOrder::Any;
        let is_any = self.explained.is_none() && has_any_order;
        let may_be_late = |kind| {
            use FaultKind::{AccessedDirty, Permission, Width};
            matches!(kind, AccessedDirty | Permission | Width)
        };
        let is_filled = all
            && matches!(&self.explained, Some(Err(fault)) if may_be_late(fault.kind))
            && checker.description.tlb.is_some();
        if !is_any && !is_filled {
            return;
        }
        let at_end = PermissionCheck::End;
        let followed = each_walk(checker.format, query, at_end, &[], words, |walk| {
            if let (Some(Ok(mapping)), true) = (walk.end.found(), is_filled) {
                let begun = walk.served.map_or(0, |served| checker.begun(served));
                self.found.push((mapping, begun));
            }
            if is_any {
                let last = walk.end.found().and_then(Result::err);
                for fault in walk.passed.iter().copied().chain(last) {
                    if self.explained.is_none()
                        && checker.may_give(self.request, &Err(fault), walk.served)
                        && self.may_be(Err(fault))
                    {
                        checker.uses.count(Freedom::FaultOrder);
                    }
                }
            }
            false
        });
        self.is_open |= followed == Followed::TooMany;
    }

    /// Looks for the response among the translations that the TLB may contain.
    fn look_into_tlb(&mut self) {
        if self.explained.is_some() || self.checker.description.tlb.is_none() {
            return;
        }
        let fences = self.request.fences_before();
        let translations = &self.checker.translations;
        for outcome in translations
            .may_contain(&self.request.query, fences)
            .flatten()
        {
            if self.may_be(outcome) {
                return;
            }
        }
    }
}

impl PortChecker {
    /// Checks a response.
    pub fn response(&mut self, outputs: &Outputs, cycle: u64) -> Result<Response, Box<Mismatch>> {
        let id = outputs.rsp_id;
        let Some(request) = self.board.request(id) else {
            return Err(rules::no_request(id, cycle, RequestEvent::Response));
        };
        let request = request.clone();
        self.requests_since = 0;
        if self.fields.replay && outputs.rsp_replay {
            if request.overtaken.is_none() {
                let violation = ReplayViolation::Unexpected(NoReplayReason::RequestNotOvertaken);
                return Err(self.mismatch(id, cycle, Violation::Replay(violation)));
            }
            self.release(&request, None, cycle)?;
            return Ok(Response::Replay { request });
        }
        if self.fields.gva && outputs.rsp_gva != request.query.gva.0 {
            let violation = ResponseViolation::Gva {
                expected: request.query.gva,
                observed: Gva(outputs.rsp_gva),
            };
            return Err(self.mismatch(id, cycle, Violation::WalkResponse(violation)));
        }
        let mut legal = Vec::new();
        let explained = self.explain(&request, outputs, &mut legal);
        let Some(outcome) = explained else {
            let violation = match self.observed(outputs) {
                Ok(observed) => ResponseViolation::NotLegal { legal, observed },
                Err(malformed) => ResponseViolation::Malformed(malformed),
            };
            return Err(self.mismatch(id, cycle, Violation::WalkResponse(violation)));
        };
        self.count_uses(&request, &outcome, outputs);
        self.release(&request, Some(&outcome), cycle)?;
        Ok(Response::Answer {
            // Without attribution a TLB hit cannot be distinguished from a walk.
            hit: self.is_attributed && self.walk_of(&request).is_none(),
            request,
            outcome,
        })
    }

    /// Counts the freedoms that a response uses.
    fn count_uses(&self, request: &Request, outcome: &Outcome, outputs: &Outputs) {
        let Err(fault) = outcome else {
            return;
        };
        let hit_may_fault = self.description.tlb.is_some_and(|tlb| tlb.hit_may_fault);
        let is_of_leaf = matches!(fault.kind, FaultKind::Permission | FaultKind::AccessedDirty);
        if hit_may_fault && is_of_leaf && self.is_attributed && self.walk_of(request).is_none() {
            self.uses.count(Freedom::HitMayFault);
        }
        let trap = fault.trap.unwrap_or_default();
        if self.fields.tval2 && outputs.rsp_trap_tval2 != trap.tval2 {
            self.uses.count(Freedom::Tval2);
        }
        if self.fields.fault_kind && outputs.rsp_fault_kind != fault.kind as u8 {
            self.uses.count(Freedom::FaultOrder);
        }
    }

    /// Returns the outcome of a response; none if it is not legal. Other legal outcomes are added
    /// to `legal`.
    fn explain(
        &mut self,
        request: &Request,
        outputs: &Outputs,
        legal: &mut Vec<Outcome>,
    ) -> Option<Outcome> {
        let query = &request.query;
        // With attribution and without page-walk caches, each entry of the TLB is the result of one
        // known walk.
        let is_whole = self.is_attributed && !self.has_walk_caches();
        let mut search = Search {
            checker: self,
            request,
            outputs,
            legal,
            explained: None,
            found: Vec::new(),
            is_open: false,
        };
        // A golden walk without memory requests needs no words.
        search.follow(query, None, false);
        if is_whole {
            let tlb = self.description.tlb;
            let hit_may_fault = tlb.is_some_and(|tlb| tlb.hit_may_fault);
            let kept = self.kept.get(&without_asid(&query.context));
            for kept in kept.into_iter().flat_map(|kept| kept.iter().rev()) {
                if search.explained.is_some() {
                    break;
                }
                let is_of_asid = kept.context.asid == query.context.asid;
                if is_of_asid {
                    search.follow(query, Some(&kept.words), false);
                }
                // A hit that faults has the fault of the walk that has filled the TLB.
                if hit_may_fault && (is_of_asid || kept.is_global) {
                    let as_filled = with_stages_of(query, &kept.context);
                    search.follow(&as_filled, Some(&kept.words), false);
                }
            }
        } else {
            search.follow(query, Some(&self.words), true);
        }
        search.look_into_tlb();
        if !is_whole && search.explained.is_none() {
            for view in self.views(query).iter().skip(1) {
                search.follow(view, Some(&self.words), true);
                if search.explained.is_some() {
                    break;
                }
            }
        }
        search.is_open |= self.mixes_contexts(query);
        let Search {
            mut explained,
            found,
            is_open,
            ..
        } = search;
        let is_known = !is_open && !self.has_forgotten && !self.may_be_from_before(request);
        if explained.is_none() && !is_known {
            // The response may come from a walk that is not known.
            let observed = self.observed(outputs).ok();
            explained = observed.and_then(|observed| observed.outcome().copied());
        }
        let filled = canonical(self.format, query);
        for (mapping, begun) in found {
            self.may_contain(&filled, &mapping, begun);
        }
        // The TLB may contain the result of a walk that was not followed.
        self.has_forgotten |= is_open;
        explained
    }

    /// Returns the cycle from which on fences invalidate the result of a walk over words. With
    /// page-walk caches this is the cycle of the last word: a fence may leave pointers in these
    /// caches, and so does not invalidate earlier words.
    fn begun(&self, served: ServedIn) -> u64 {
        match self.has_walk_caches() {
            true => served.last,
            false => served.first,
        }
    }

    /// Returns true if a request may get the result of a walk. `served`: the cycles in which memory
    /// returned the words of the walk.
    fn may_give(
        &self,
        request: &Request,
        found: &Result<Mapping, Fault>,
        served: Option<ServedIn>,
    ) -> bool {
        let Some(served) = served else {
            return true;
        };
        let is_fresh = served.last >= self.since[usize::from(request.id)];
        let may_be_kept = match found {
            Ok(_) => self.description.tlb.is_some(),
            Err(fault) => {
                let tlb = self.description.tlb;
                fault.kind != FaultKind::Memory && tlb.is_some_and(|tlb| tlb.hit_may_fault)
            }
        };
        if !is_fresh && !may_be_kept {
            return false;
        }
        let space = request.query.context.space();
        let before = &self.board.fences()[..request.fences_before() as usize];
        let begun = self.begun(served);
        let mut later = before.iter().rev().take_while(|event| event.cycle >= begun);
        !later.any(|event| match found {
            Ok(mapping) => {
                let extent = mapping.extent(request.query.gva);
                self.heeds(&event.fence, space, event.fence.matches(space, &extent))
            }
            Err(fault) => {
                let matches = self.surely_matches(&event.fence, &request.query, fault);
                self.heeds(&event.fence, space, matches)
            }
        })
    }

    /// Returns true if a fence matches an entry of an address space (`matches`), and the device may
    /// not ignore the fence there.
    fn heeds(&self, fence: &Fence, space: AddressSpaceTag, matches: bool) -> bool {
        let is_ignored = matches && self.may_ignore(fence, space);
        if is_ignored {
            self.uses.count(Freedom::IgnoresBare);
        }
        matches && !is_ignored
    }

    /// Returns true if a fence certainly invalidates the result of a walk that ended with a fault.
    fn surely_matches(&self, fence: &Fence, query: &Query, fault: &Fault) -> bool {
        let gpa = match fault.at {
            Position::Host { gpa, .. } => gpa,
            Position::Guest { .. } if fence.gpa.is_some() => return false,
            Position::Guest { .. } => Gpa::default(),
        };
        rules::surely_matches(self.format, fence, query, gpa)
    }

    /// Returns true if a response agrees with an outcome, in all fields for which the device has a
    /// port.
    fn agrees(&self, outcome: &Outcome, outputs: &Outputs) -> bool {
        let fields = &self.fields;
        match outcome {
            Ok(translation) => {
                outputs.rsp_fault_kind == 0
                    && outputs.rsp_hpa == translation.hpa.0
                    && (!fields.gpa || outputs.rsp_gpa == translation.gpa.0)
                    && (!fields.page_size
                        || u32::from(outputs.rsp_page_size) == translation.page_size)
                    && (!fields.memory_type
                        || outputs.rsp_attributes == translation.memory_type as u8)
            }
            Err(fault) => {
                let (stage, level, gpa) = match fault.at {
                    Position::Guest { level } => (0, level, 0),
                    Position::Host { level, gpa, .. } => (1, level, gpa.0),
                };
                let purpose = match fault.at {
                    Position::Host { purpose, .. } => match purpose {
                        Purpose::GuestEntry(level) => (0, level),
                        Purpose::Data => (1, 0),
                        Purpose::GuestUpdate(level) => (2, level),
                    },
                    Position::Guest { .. } => (0, 0),
                };
                let trap = fault.trap.unwrap_or_default();
                let freedoms = self.description.responses;
                let may_be_zero = freedoms.tval2 == Tval2::MayBeZero;
                // The trap cause distinguishes memory errors from page faults, but not the kinds of
                // page faults.
                let is_of_memory = |kind: u8| kind == FaultKind::Memory as u8;
                let is_kind = outputs.rsp_fault_kind == fault.kind as u8
                    || freedoms.order == FaultOrder::Any
                        && self.format.has_traps()
                        && is_of_memory(outputs.rsp_fault_kind) == is_of_memory(fault.kind as u8);
                outputs.rsp_fault_kind != 0
                    && (!fields.fault_kind || is_kind)
                    && (!fields.fault_stage || outputs.rsp_fault_stage == stage)
                    && (!fields.fault_level || u32::from(outputs.rsp_fault_level) == level)
                    && (!fields.fault_purpose || outputs.rsp_fault_purpose == purpose.0)
                    && (!fields.fault_for_level
                        || u32::from(outputs.rsp_fault_for_level) == purpose.1)
                    && (!fields.gpa || outputs.rsp_gpa == gpa)
                    && (!fields.cause || outputs.rsp_trap_cause == trap.cause)
                    && (!fields.trap_gva || outputs.rsp_trap_gva == trap.gva)
                    && (!fields.tval2
                        || outputs.rsp_trap_tval2 == trap.tval2
                        || may_be_zero && outputs.rsp_trap_tval2 == 0)
                    && (!fields.tinst || outputs.rsp_trap_tinst == trap.tinst)
            }
        }
    }

    /// Returns a response as far as the ports of the device tell it.
    fn observed(&self, outputs: &Outputs) -> Result<ObservedResponse, MalformedResponse> {
        let fields = &self.fields;
        if outputs.rsp_fault_kind != 0 && !fields.fault_kind {
            return Ok(ObservedResponse::Fault(ObservedTrap {
                cause: fields.cause.then_some(outputs.rsp_trap_cause),
                gva: fields.trap_gva.then_some(outputs.rsp_trap_gva),
                tval2: fields.tval2.then_some(outputs.rsp_trap_tval2),
                tinst: fields.tinst.then_some(outputs.rsp_trap_tinst),
            }));
        }
        let mut shown = outputs.clone();
        let has_place = self.fields.fault_stage && self.fields.fault_level;
        if outputs.rsp_fault_kind != 0 && !has_place {
            // Without ports for stage and level the fault is decoded as a guest-stage fault, which
            // has no gPA.
            shown.rsp_gpa = 0;
        }
        let outcome = shown.outcome(self.format.has_traps())?;
        Ok(ObservedResponse::Outcome(outcome))
    }

    /// Removes a request that has its response, and checks that no walk is still in flight for it
    /// alone. `outcome`: none for a replay.
    fn release(
        &mut self,
        request: &Request,
        outcome: Option<&Outcome>,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        self.board.answer_unassigned();
        self.board.release(request.id);
        if self.is_attributed {
            self.check_ended(request, cycle)?;
        }
        if self.tlbs.is_some() {
            self.touch_tlb(request, outcome, cycle);
        }
        if self.board.is_empty() {
            self.drop_invalidated();
        }
        Ok(())
    }

    /// Updates the must-contain set of the TLB with a request that has its response.
    fn touch_tlb(&mut self, request: &Request, outcome: Option<&Outcome>, cycle: u64) {
        let walk = self.walk_of(request);
        let end =
            |checks| walk.map(|walk| end_of(self.format, &request.query, checks, &walk.reads));
        let ends = (end(PermissionCheck::Entry), end(PermissionCheck::End));
        let is_fenced = self.board.fence_count() > request.fences_before();
        let index = self.tlb_index(&request.query);
        let query = canonical(self.format, &request.query);
        let (Some(tlbs), Some(declared)) = (&mut self.tlbs, self.description.tlb) else {
            return;
        };
        let tlb = &mut tlbs[index];
        match (ends.0, outcome) {
            (Some(End::Found(Ok(mapping))), Some(Ok(_))) if !is_fenced => {
                tlb.on_walk(&query, &mapping, &[], true, cycle);
            }
            // The walk has skipped reads by a page-walk cache hit, so its page is not known, and
            // neither is the set from now on.
            (Some(End::Wants(_)), Some(Ok(_))) => self.tlbs = None,
            (Some(_), _) => {
                // The device may have filled the TLB before it has checked the permissions or
                // executed the fence.
                if let Some(End::Found(Ok(mapping))) = ends.1 {
                    tlb.on_walk(&query, &mapping, &[], false, cycle);
                }
                if is_fenced || declared.hit_may_fault {
                    tlb.on_unknown_page();
                }
            }
            (None, Some(outcome @ Ok(_))) => tlb.on_hit(&request.query, outcome),
            (None, Some(Err(_))) if declared.hit_may_fault => tlb.on_unknown_page(),
            (None, _) => {}
        }
    }

    /// Checks that no walk is in flight that can only be for a request that has its response.
    fn check_ended(&self, request: &Request, cycle: u64) -> Result<(), Box<Mismatch>> {
        let is_in_flight = |query: &Query| {
            let mut requests = self.board.unassigned_requests();
            requests.any(|other| rules::may_share_walk(self.format, &other.query, query))
        };
        // A walk that starts from a page-walk cache entry of another context may have been for a
        // request that is not among its candidates.
        let may_be_of_another = |stream: &Stream| {
            let mut candidates = stream.walks.iter().flat_map(|walk| &walk.candidates);
            candidates.any(|candidate| {
                self.mixes_contexts(&candidate.query) || self.views(&candidate.query).len() > 1
            })
        };
        let is_orphan = |&(place, stream): &(usize, &Stream)| {
            !self.recovery.is_doubtful(place)
                && !stream.keeps(is_in_flight)
                && !may_be_of_another(stream)
        };
        let orphan = self.streams.iter().enumerate().find(is_orphan);
        let Some(walk) = orphan.and_then(|(_, stream)| stream.walks.first()) else {
            return Ok(());
        };
        let query = &walk.candidates[0].query;
        let Some(next) = wanted(self.format, query, &walk.reads, self.cached()) else {
            return Ok(());
        };
        let violation = Violation::Reads {
            expected: ExpectedRequest::Request {
                request: next.request.behind(&walk.reads),
                at: next.at,
            },
            observed: ObservedRequest::End(WalkEnd {
                made: RequestCounts::of(&walk.reads),
                id: request.id,
                response: None,
            }),
        };
        Err(Box::new(Mismatch {
            op: Some(request.op),
            query: Some(request.query),
            reads: walk.reads.clone(),
            wrong_read: Some(walk.reads.len()),
            ..*Mismatch::new(cycle, violation)
        }))
    }
}
