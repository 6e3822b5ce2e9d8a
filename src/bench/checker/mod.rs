// SPDX-License-Identifier: Apache-2.0
//! Compares all that a device does with the golden model.
//!
//! - A walk must agree with the golden walk over the words that memory returned to the device. The
//!   walk makes exactly the memory requests of the golden walk, in the same order, and has the same
//!   result. Edits of memory during the walk do not matter, because both walks use the same words
//!   (`walks`).
//! - The response of a TLB hit must be a translation that an earlier walk found and that no fence
//!   has invalidated since. These are the responses of a TLB that never evicts. A request to a page
//!   that the TLB certainly contains must hit (`responses`, `assignment`).
//! - A walk that skips memory reads must have hit in a page-walk cache. The cache may contain only
//!   entries that an earlier walk has read and that no fence has invalidated since. The cache must
//!   contain the entries that were filled or hit most recently (`walk_caches`).
//! - A walk that a fence has overtaken makes no memory request after the handshake of the fence,
//!   fills no cache and is not shared by later requests. If the walk had not ended before the
//!   fence, its requests get a replay (`fences`).
//! - Equal misses share one walk (`assignment`).

mod assignment;
mod fences;
mod responses;
mod walk_caches;
mod walks;

use super::checks::{Progress, RoundRobin, StablePorts};
use super::mismatch::{Mismatch, Stall, Violation};
use super::scoreboard::{Request, Scoreboard};
use super::{reported, rules};
use crate::dut::Outputs;
use crate::dut::description::Visibility;
use crate::dut::microarchitecture::Microarchitecture;
use crate::format::Format;
use crate::golden::occupancy::page_walk_cache::Setup;
use crate::golden::occupancy::{L2Tlb, PageWalkCaches, Tlb};
use crate::mmu::{Context, Outcome, Query, WalkCaches};
use crate::scenario::Machine;

pub(super) use walks::Ended;

/// A response that agrees with the golden model.
pub(super) enum Response {
    /// The response carries an outcome, and so ends the access of an operation.
    Answer {
        request: Request,
        outcome: Outcome,
        /// The response comes from the TLB, not from a walk.
        hit: bool,
    },
    /// A fence has overtaken the request.
    Replay { request: Request },
}

/// Checks a device whose events are visible.
pub(super) struct Checker {
    format: Format,
    limits: Microarchitecture,
    slot_count: u32,
    with_steps: bool,
    /// The page-walk caches that are in use at some time in the run.
    walk_caches_ever: WalkCaches,
    /// The translations that the TLB may contain, and those that it must contain.
    tlb: Tlb,
    /// The translations that the L2 TLB must contain, if there is one.
    l2_tlb: Option<L2Tlb>,
    /// The entries that the page-walk caches and the nested TLB may contain, and those that they
    /// must contain; none if no such cache is in use at some time in the run.
    walk_caches: Option<PageWalkCaches>,
    board: Scoreboard,
    ports: StablePorts,
    turns: RoundRobin,
    progress: Progress,
}

impl Checker {
    /// Returns the checker of a device. If the device is a checked build, the checker also compares
    /// the steps of its event records. `ever`: the page-walk caches that are in use at some time in
    /// the run.
    pub fn new(machine: &Machine, ever: WalkCaches) -> Self {
        let &Machine {
            format,
            slots,
            tlb_entries,
            tlb2,
            ..
        } = machine;
        let limits = machine.microarchitecture();
        let setup = Setup {
            entries: machine.walk_cache_entries.into(),
            max_levels: machine.max_levels,
            used: machine.walk_caches,
            ever,
        };
        // The scoreboard has a slot for each value of the slot field, because a wrong device may
        // name a slot that does not exist.
        let names = slots.next_power_of_two().max(2) as usize;
        Self {
            format,
            limits,
            slot_count: slots,
            with_steps: machine.checked && machine.visibility == Visibility::Steps,
            walk_caches_ever: ever,
            tlb: Tlb::new(format, tlb_entries, limits.recent_pages),
            l2_tlb: tlb2.map(|size| L2Tlb::new(format, reported::l2_size(size))),
            walk_caches: ever.any().then(|| PageWalkCaches::new(format, &setup)),
            board: Scoreboard::new(names),
            ports: StablePorts::default(),
            turns: RoundRobin::new(names, limits.turn(ever.any()), limits.quiet_cycles),
            progress: Progress::new(limits.idle_cycles, limits.stall_cycles),
        }
    }

    /// The transactions in flight.
    #[inline]
    pub fn board(&self) -> &Scoreboard {
        &self.board
    }

    /// Resets the checker with the device: no transaction is in flight, and all caches are empty.
    pub fn reset(&mut self, machine: &Machine) {
        let mut board = std::mem::replace(&mut self.board, Scoreboard::new(0));
        board.reset();
        *self = Self::new(machine, self.walk_caches_ever);
        self.board = board;
    }

    /// Notes that the device has accepted a request. `driven`: the context as it is driven, with
    /// the fields that the device ignores.
    pub fn accepted(&mut self, id: u8, op: usize, query: &Query, driven: &Context, cycle: u64) {
        let fences = self.board.fence_count();
        let must_hit = self.tlb.must_contain(query);
        self.board
            .accept(Request::new(id, op, query, driven, cycle, fences, must_hit));
        if let Some(l2_tlb) = &mut self.l2_tlb {
            l2_tlb.on_request(query);
        }
    }

    /// Begins a cycle. `request_accepted`: the device accepts a request in it.
    #[inline]
    pub fn begins(&mut self, request_accepted: bool) {
        if let Some(l2_tlb) = &mut self.l2_tlb {
            l2_tlb.on_cycle(!request_accepted && !self.board.has_unassigned());
        }
    }

    /// Sets the page-walk caches that are in use from now on.
    pub fn use_walk_caches(&mut self, used: WalkCaches) {
        if let Some(caches) = &mut self.walk_caches {
            caches.must_mut().on_switch(used);
        }
    }

    /// Checks that stalled ports have not changed since the last cycle. `accepted`: a handshake of
    /// the response port, and of the memory request port, takes place in this cycle. `replied`:
    /// memory returns a response to a slot.
    #[inline]
    pub fn ports(
        &mut self,
        outputs: &Outputs,
        accepted: (bool, bool),
        replied: bool,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        if !outputs.mem_req_valid && !replied {
            self.turns.on_quiet_cycle();
        }
        self.ports.on_cycle(outputs, accepted, self.format, cycle)
    }

    /// Checks that the device makes progress. `is_fine`: the device did something in the cycle, or
    /// has a cause to do nothing.
    #[inline]
    pub fn goes_on(&mut self, is_fine: bool, cycle: u64) -> Result<(), Box<Mismatch>> {
        if self.progress.is_idle_for_too_long(is_fine) {
            let cycles = self.limits.idle_cycles;
            return Err(rules::stalled(&self.board, cycle, Stall::Idle { cycles }));
        }
        Ok(())
    }

    /// Returns a mismatch that concerns the request of an id.
    #[cold]
    fn mismatch(&self, id: u8, cycle: u64, violation: Violation) -> Box<Mismatch> {
        let request = self.board.request(id);
        let walk = request.and_then(|request| request.walk);
        Box::new(Mismatch {
            op: request.map(|request| request.op),
            query: request.map(|request| request.query),
            reads: walk.map_or_else(Vec::new, |walk| self.board.walk(walk).reads.clone()),
            ..*Mismatch::new(cycle, violation)
        })
    }
}

#[cfg(test)]
mod tests;
