// SPDX-License-Identifier: Apache-2.0
//! Compares all that a device does with the golden model.
//!
//! - A walk must be the golden walk over the very words that the device was given. Then the walk
//!   has made the memory requests that the golden walk calls for, in that order and no more, and
//!   its result follows from them, whatever was edited meanwhile (`walks`).
//! - A hit must be what some earlier walk found and no fence has matched since: the legal responses
//!   are those of a TLB without limits. A page that the TLB certainly contains must hit
//!   (`responses`, `assignment`).
//! - What a walk has not read it must have from a page-walk cache. The cache may contain only what
//!   an earlier walk has read and no fence has matched since. It certainly contains what was filled
//!   or hit last (`walk_caches`).
//! - A walk that a fence has overtaken makes no memory request after the fence's handshake, fills
//!   nothing and is not shared by later requests. If it had not ended, its requests are answered
//!   with a replay (`fences`). Equal misses share one walk (`assignment`).
//! - Every request has one response. The device does not stall without a visible cause.

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
    /// It ends the access of an op.
    Answer {
        request: Request,
        outcome: Outcome,
        /// The TLB gave it.
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
    /// The page-walk caches that are in use at any time.
    walk_caches_ever: WalkCaches,
    /// The translations that the TLB may contain, and those that it must contain.
    tlb: Tlb,
    /// The translations that the L2 TLB must contain, if there is one.
    l2_tlb: Option<L2Tlb>,
    /// The entries that the page-walk caches and the nested TLB may contain, and those that they
    /// must contain; none if no such cache is in use at any time.
    walk_caches: Option<PageWalkCaches>,
    board: Scoreboard,
    ports: StablePorts,
    turns: RoundRobin,
    progress: Progress,
}

impl Checker {
    /// Returns the checker of a device. The steps that a checked device reports are checked too.
    /// `ever`: the page-walk caches that are in use at any time.
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
        // As many as the device can name, if it goes wrong.
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

    /// The device is reset: nothing is left.
    pub fn reset(&mut self, machine: &Machine) {
        let mut board = std::mem::replace(&mut self.board, Scoreboard::new(0));
        board.reset();
        *self = Self::new(machine, self.walk_caches_ever);
        self.board = board;
    }

    /// The device has accepted a request. `driven`: its context as it is driven, with the fields
    /// that the device ignores.
    pub fn accepted(&mut self, id: u8, op: usize, query: &Query, driven: &Context, cycle: u64) {
        let fences = self.board.fence_count();
        let must_hit = self.tlb.must_contain(query);
        self.board
            .accept(Request::new(id, op, query, driven, cycle, fences, must_hit));
        if let Some(l2_tlb) = &mut self.l2_tlb {
            l2_tlb.on_request(query);
        }
    }

    /// A cycle begins, in which a request is accepted, or none.
    #[inline]
    pub fn begins(&mut self, request_accepted: bool) {
        if let Some(l2_tlb) = &mut self.l2_tlb {
            l2_tlb.on_cycle(!request_accepted && !self.board.has_unassigned());
        }
    }

    /// Other page-walk caches are in use from now on.
    pub fn use_walk_caches(&mut self, used: WalkCaches) {
        if let Some(caches) = &mut self.walk_caches {
            caches.must_mut().on_switch(used);
        }
    }

    /// Checks that the ports are stable in a cycle. `accepted`: whether the response, and the
    /// memory request, is accepted in it. `replied`: memory has answered a slot.
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

    /// Checks that the device makes progress. `is_fine`: it did something in the cycle, or has a
    /// cause to do nothing.
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
