// SPDX-License-Identifier: Apache-2.0
//! Applies the checks to the observations of each cycle.

use super::observer::{Observer, Steps, Walked};
use super::{Run, is_wanted};
use crate::bench::checker::{Checker, Response};
use crate::bench::freedoms::FreedomUses;
use crate::bench::memory_request::Read;
use crate::bench::mismatch::{Mismatch, PortViolation, Violation};
use crate::bench::port_checker::PortChecker;
use crate::bench::scoreboard::Scoreboard;
use crate::dut::description::{Description, Visibility};
use crate::dut::{Clocked, Outputs, Requests};
use crate::mmu::{Context, Fence, Query, WalkCaches};
use crate::scenario::{Held, Machine, Op};

/// The results of lookups that the event record of a cycle reports.
#[derive(Default)]
struct Lookups {
    /// A lookup of a request ended with a miss or with a hit of the L2 TLB.
    any: bool,
    /// The result of a walk was given to a request.
    is_walk_answered: bool,
}

/// The checks of a run. The level of visibility of the device selects the variant.
pub(super) enum Judge {
    /// The device shows its events: they are checked together with the ports.
    Events(Box<Checker>),
    /// The device shows its ports alone.
    Ports(Box<PortChecker>),
}

impl Judge {
    /// Returns the checks of a device. `ever`: the page-walk caches that are in use at some time in
    /// the run.
    pub fn new(machine: &Machine, description: Description, ever: WalkCaches) -> Self {
        match description.visibility_with(ever) >= Visibility::Requests {
            true => Self::Events(Box::new(Checker::new(machine, ever))),
            false => Self::Ports(Box::new(PortChecker::new(machine, description, ever))),
        }
    }

    /// The transactions in flight.
    #[inline]
    pub fn board(&self) -> &Scoreboard {
        match self {
            Self::Events(checker) => checker.board(),
            Self::Ports(checker) => checker.board(),
        }
    }

    /// The uses of the freedoms of the device file, if the device is checked by its ports.
    pub fn freedom_uses(&self) -> Option<&FreedomUses> {
        match self {
            Self::Events(_) => None,
            Self::Ports(checker) => Some(checker.uses()),
        }
    }

    /// Resets the checks with the device.
    pub fn reset(&mut self, machine: &Machine) {
        match self {
            Self::Events(checker) => checker.reset(machine),
            Self::Ports(checker) => checker.reset(machine),
        }
    }

    /// Sets the page-walk caches that are in use from now on.
    pub fn use_walk_caches(&mut self, used: WalkCaches) {
        match self {
            Self::Events(checker) => checker.use_walk_caches(used),
            // These checks assume in the whole run that every cache of `ever` may be in use.
            Self::Ports(_) => {}
        }
    }

    /// Returns the checks of events; none if the device does not show its events.
    #[inline]
    fn events(&mut self) -> Option<&mut Checker> {
        match self {
            Self::Events(checker) => Some(checker),
            Self::Ports(_) => None,
        }
    }

    #[inline]
    fn begins(&mut self, request_accepted: bool) {
        if let Self::Events(checker) = self {
            checker.begins(request_accepted);
        }
    }

    fn accepted(&mut self, id: u8, op: usize, query: &Query, driven: &Context, cycle: u64) {
        match self {
            Self::Events(checker) => checker.accepted(id, op, query, driven, cycle),
            Self::Ports(checker) => checker.accepted(id, op, query, driven, cycle),
        }
    }

    fn fence(&mut self, fence: &Fence, cycle: u64) {
        match self {
            Self::Events(checker) => checker.fence(fence, cycle),
            Self::Ports(checker) => checker.fence(fence, cycle),
        }
    }

    /// Checks that a fence may wait. `offered`: the id of the memory request that is offered and
    /// not accepted, if there is one.
    fn fence_waits(
        &mut self,
        fence: &Fence,
        offered: Option<u8>,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        match self {
            Self::Events(checker) => checker.fence_waits(fence, offered, cycle),
            Self::Ports(checker) => checker.fence_waits(fence, offered.is_some(), cycle),
        }
    }

    /// Checks a memory request that memory has accepted. `follows`: in the same cycle memory has
    /// responded to the previous request with the same id.
    #[inline]
    fn read(&mut self, id: u8, read: &Read, follows: bool) -> Result<(), Box<Mismatch>> {
        match self {
            Self::Events(checker) => {
                if follows {
                    checker.wants_request(id);
                }
                checker.read(id, read)
            }
            Self::Ports(checker) => checker.read(id, read),
        }
    }

    #[inline]
    fn response(&mut self, outputs: &Outputs, cycle: u64) -> Result<Response, Box<Mismatch>> {
        match self {
            Self::Events(checker) => checker.response(outputs, cycle),
            Self::Ports(checker) => checker.response(outputs, cycle),
        }
    }

    /// Checks that stalled ports have not changed since the last cycle. `accepted`: a handshake of
    /// the response port, and of the memory request port, takes place. `replied`: memory returns a
    /// response.
    #[inline]
    fn ports(
        &mut self,
        outputs: &Outputs,
        accepted: (bool, bool),
        replied: bool,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        match self {
            Self::Events(checker) => checker.ports(outputs, accepted, replied, cycle),
            Self::Ports(checker) => checker.ports(outputs, accepted, cycle),
        }
    }

    #[inline]
    fn goes_on(&mut self, is_fine: bool, cycle: u64) -> Result<(), Box<Mismatch>> {
        match self {
            Self::Events(checker) => checker.goes_on(is_fine, cycle),
            Self::Ports(checker) => checker.goes_on(is_fine, cycle),
        }
    }
}

impl Run<'_> {
    /// Applies all checks to the observations of a cycle.
    #[inline]
    pub(super) fn judge_cycle<O: Observer>(
        &mut self,
        dut: &Clocked<'_>,
        index: usize,
        cycle: u64,
        observer: &mut O,
    ) -> Result<(), Box<Mismatch>> {
        if let Some(used) = self.seen[index].walk_caches.take() {
            self.checker.use_walk_caches(used);
            observer.walk_caches(cycle, used);
        }
        let seen = &self.seen[index];
        let outputs = &seen.outputs;
        if O::BEGUN {
            observer.begun(cycle, seen.op);
        }
        self.checker.begins(seen.request_taken.is_some());
        let fence = seen
            .fence_offered
            .and_then(|op| match self.scenario.ops.get(op) {
                Some(Op::Fence(fence)) => Some((op, fence)),
                _ => None,
            });
        if let Some(op) = seen.request_taken
            && let Some(Op::Access(access)) = self.scenario.ops.get(op)
        {
            let query = self.query(access);
            if seen.fence_taken {
                let violation = PortViolation::RequestWithFence;
                return Err(Mismatch::new(cycle, Violation::Port(violation)));
            }
            if let Some((_, &fence)) = fence
                && fence.matches_tag(query.context.space())
            {
                let violation = PortViolation::RequestBeforeFence { fence };
                return Err(Mismatch::new(cycle, Violation::Port(violation)));
            }
            let driven = self.driven(access).context;
            self.checker.accepted(seen.id, op, &query, &driven, cycle);
            if let Some(request) = self.checker.board().request(seen.id) {
                observer.accepted(cycle, request);
            }
        }
        if let Some((op, fence)) = fence {
            if seen.fence_taken {
                self.checker.fence(fence, cycle);
                observer.fenced(cycle, op, fence);
                self.stats.fences += 1;
            } else {
                let waits_for =
                    (outputs.mem_req_valid && !seen.read_ready).then_some(outputs.mem_req_id);
                self.checker.fence_waits(fence, waits_for, cycle)?;
            }
        }

        if let Some(slot) = seen.replied {
            observer.replied(cycle, slot);
        }
        if let Some(read) = &seen.read {
            let walk = self.checker.board().walk_in(outputs.mem_req_id);
            observer.read(outputs.mem_req_id, walk, read);
            if let Some(beside) = seen.beside {
                observer.erred(read.update.is_some(), beside);
            }
            if read.update.is_some() {
                self.stats.updates += 1;
            } else {
                self.stats.reads += 1;
            }
            let follows = seen.replied == Some(outputs.mem_req_id);
            self.checker.read(outputs.mem_req_id, read, follows)?;
        }
        if let Some(slot) = seen.replied
            && let Some(checker) = self.checker.events()
        {
            checker.served(slot, cycle);
        }

        let lookups = self.judge_event(dut, index, cycle, observer)?;
        let seen = &self.seen[index];
        let outputs = &seen.outputs;

        let response_taken = outputs.rsp_valid && seen.rsp_ready;
        for (at, what, offered, ready) in [
            (0, Held::Reads, outputs.mem_req_valid, seen.read_ready),
            (1, Held::Responses, outputs.rsp_valid, seen.rsp_ready),
        ] {
            if offered && ready {
                observer.waited(what, std::mem::take(&mut self.waited[at]));
            } else if offered {
                self.waited[at] += 1;
            }
        }
        self.judge_wait(index, fence.map(|(_, fence)| fence), &lookups, cycle)?;
        let seen = &self.seen[index];
        let outputs = &seen.outputs;
        if response_taken {
            match self.checker.response(outputs, cycle)? {
                Response::Answer {
                    request,
                    outcome,
                    hit,
                } => {
                    observer.answered(cycle, &request, &outcome, hit);
                    self.stats.accesses += 1;
                    self.stats.hits += u64::from(hit);
                    self.stats.faults += u64::from(outcome.is_err());
                }
                Response::Replay { request } => {
                    observer.replayed(cycle, &request);
                    self.stats.replays += 1;
                    if !is_wanted(self.scenario, request.op) {
                        observer.abandoned(cycle, request.op);
                        self.stats.accesses += 1;
                    }
                }
            }
        }
        if let Some((op, fence)) = fence
            && self.fence_seen != Some(op)
        {
            self.fence_seen = Some(op);
            let waits = outputs.mem_req_valid && !seen.read_ready;
            let port = waits.then_some(outputs.mem_req_id);
            let response = outputs.rsp_valid.then_some(outputs.rsp_id);
            observer.fence_offered(cycle, fence, port, response);
        }
        let accepted = (response_taken, seen.read_ready);
        self.checker
            .ports(outputs, accepted, seen.replied.is_some(), cycle)?;
        let is_visible = matches!(self.checker, Judge::Events(_));
        let is_active = outputs.mem_req_valid
            || outputs.rsp_valid
            || (is_visible && outputs.event_valid)
            || seen.request_taken.is_some()
            || seen.fence_taken;
        self.checker.goes_on(is_active || !seen.owes, cycle)?;
        self.stats.cycles += 1;
        Ok(())
    }
    /// Checks the event record of a cycle, if the device shows its events.
    #[inline]
    fn judge_event<O: Observer>(
        &mut self,
        dut: &Clocked<'_>,
        index: usize,
        cycle: u64,
        observer: &mut O,
    ) -> Result<Lookups, Box<Mismatch>> {
        let mut lookups = Lookups::default();
        let outputs = &self.seen[index].outputs;
        let Some(checker) = self.checker.events().filter(|_| outputs.event_valid) else {
            return Ok(lookups);
        };
        let Requests { miss, done, second } = dut.requests_of_event(outputs);
        if O::EVENTS
            && let Some(event) = dut.event(outputs)
        {
            observer.event(cycle, &event);
        }
        if (O::STEPS || checker.wants_steps())
            && let Some(step) = dut.step_of_event(outputs)
        {
            observer.took(&step);
            if checker.wants_steps() {
                checker.step(&step, cycle)?;
            }
        }
        if let Some(miss) = miss {
            lookups.any = true;
            checker.miss(&miss, cycle)?;
            let board = checker.board();
            if let Some(request) = board.request(miss.id)
                && let Some(walk) = board.walk_in(miss.slot)
            {
                observer.assigned(cycle, request, walk);
            }
            if miss.merged {
                self.stats.merged += 1;
            } else {
                self.stats.walks += 1;
            }
        }
        if let Some(id) = second {
            lookups.any = true;
            checker.second_hit(id, cycle)?;
            if let Some(request) = checker.board().request(id) {
                observer.second_hit(cycle, request);
            }
            self.stats.second_hits += 1;
        }
        if let Some(done) = done {
            lookups.is_walk_answered = true;
            let request = checker.board().request(done.id);
            let query = request.map(|request| request.query);
            let judged = checker.done(&done, cycle, &mut Steps { observer, query })?;
            if let Some(ended) = judged {
                for (number, step) in checker.passes(&ended) {
                    observer.passed(number, step);
                }
                let walked = Walked {
                    walk: checker.board().walk(ended.walk),
                    query: ended.query,
                    found: ended.found,
                    fill: done.fill,
                };
                observer.walked(cycle, &walked);
            }
            observer.given(cycle, &done);
        }
        Ok(lookups)
    }

    /// Checks that a request that waits has a cause, if the device shows its events.
    #[inline]
    fn judge_wait(
        &mut self,
        index: usize,
        fence: Option<&Fence>,
        lookups: &Lookups,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        let seen = &self.seen[index];
        let outputs = &seen.outputs;
        let (scenario, contexts) = (self.scenario, &self.contexts);
        let offered = seen.offered.and_then(|op| match scenario.ops.get(op) {
            Some(Op::Access(access)) => {
                let query = Query {
                    context: contexts[access.context],
                    gva: access.gva,
                    access: access.access,
                };
                Some((query, scenario.contexts[access.context].context))
            }
            _ => None,
        });
        let Judge::Events(checker) = &mut self.checker else {
            return Ok(());
        };
        // There is no lookup in the cycle of the handshake of a fence. While a fence waits, there
        // is no lookup of a request that the fence matches.
        let is_stopped = fence.is_some_and(|fence| {
            let matches = |query: &Query| fence.matches_tag(query.context.space());
            seen.fence_taken
                || offered.is_some_and(|(query, _)| matches(&query))
                || checker.has_held(fence)
        });
        let response_taken = outputs.rsp_valid && seen.rsp_ready;
        let looks =
            (!outputs.rsp_valid || seen.rsp_ready) && !is_stopped && !lookups.is_walk_answered;
        let progress = seen.request_taken.is_some()
            || lookups.any
            || response_taken && (outputs.rsp_hit || outputs.rsp_replay);
        if checker.keeps_out(looks, seen.offered.is_some(), progress) {
            checker.check_room(offered, cycle)?;
        }
        Ok(())
    }
}
