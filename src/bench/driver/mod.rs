// SPDX-License-Identifier: Apache-2.0
//! Clocks a device through a scenario.

mod judge;
mod observer;

use std::borrow::Cow;
use std::collections::VecDeque;

use self::judge::Judge;
pub use self::observer::{Observer, Walked};
use super::draws::{Draws, Stream};
use super::memory_request::{Read, Update};
use super::memory_server::{Beside, MemoryServer};
use super::mismatch::{Mismatch, WalkEnd};
use crate::addr::Hpa;
use crate::dut::description::{ContextTime, Description};
use crate::dut::{Clocked, Dut, DutError, Inputs, Outputs};
use crate::memory::HostMemory;
use crate::mmu::{Context, Query, WalkCaches};
use crate::scenario::{Held, Op, Scenario, Timing};

/// Cycles for which the run continues after the last response, to find anything that the device
/// does although nothing is in flight.
const TAIL: u64 = 24;
/// Cycles from one search for requests that have waited too long to the next.
const LOOK_FOR_HANG: u64 = 256;
/// Cycles that are checked together if no observer is live. The code of a model alone fills the
/// instruction cache, so checking after every single cycle would be slow. [`LOOK_FOR_HANG`] is a
/// multiple of this number.
const BATCH: usize = 16;

/// The figures of one run or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stats {
    /// Clock cycles.
    pub cycles: u64,
    /// Accesses that have ended: with a response, abandoned after a replay, or lost by a reset.
    pub accesses: u64,
    /// Accesses with a TLB hit.
    pub hits: u64,
    /// Accesses with a hit of the L2 TLB.
    pub second_hits: u64,
    /// Accesses that have ended with a fault.
    pub faults: u64,
    /// Walks that were started.
    pub walks: u64,
    /// Requests that were coalesced with a walk in flight.
    pub merged: u64,
    /// Reads of table entries.
    pub reads: u64,
    /// Updates of table entries (accessed and dirty bits), including updates that failed because
    /// the entry had changed.
    pub updates: u64,
    /// Fences that the device has accepted.
    pub fences: u64,
    /// Replays: responses to requests that a fence has overtaken.
    pub replays: u64,
    /// Edits of memory by software.
    pub edits: u64,
}

impl Stats {
    /// Adds the figures of another run.
    pub fn add(&mut self, other: &Stats) {
        // The addition saturates, because figures that were read from a file can have any value.
        let add = |mine: &mut u64, other: u64| *mine = mine.saturating_add(other);
        add(&mut self.cycles, other.cycles);
        add(&mut self.accesses, other.accesses);
        add(&mut self.hits, other.hits);
        add(&mut self.second_hits, other.second_hits);
        add(&mut self.faults, other.faults);
        add(&mut self.walks, other.walks);
        add(&mut self.merged, other.merged);
        add(&mut self.reads, other.reads);
        add(&mut self.updates, other.updates);
        add(&mut self.fences, other.fences);
        add(&mut self.replays, other.replays);
        add(&mut self.edits, other.edits);
    }
}

/// The reason why a run ended early.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// A check has failed.
    #[error("{} in cycle {}: {:?}", .0.check().name(), .0.cycle, .0.violation)]
    Mismatch(Box<Mismatch>),
    /// The device hangs.
    #[error("the device hangs: in cycle {cycle}, op {op} has waited since cycle {since}")]
    Hang {
        /// The cycle in which the run was given up.
        cycle: u64,
        /// The index of the operation that waits.
        op: usize,
        /// The cycle since which the operation has waited.
        since: u64,
    },
    /// An RTL assertion failed.
    #[error("in cycle {cycle}: {error}")]
    Device {
        /// The cycle.
        cycle: u64,
        /// The error.
        error: DutError,
    },
}

impl Failure {
    /// Returns the cycle in which the failure was noticed.
    pub fn cycle(&self) -> u64 {
        match self {
            Failure::Mismatch(mismatch) => mismatch.cycle,
            Failure::Hang { cycle, .. } | Failure::Device { cycle, .. } => *cycle,
        }
    }
}

/// A run that ended early.
#[derive(Clone, Debug)]
pub struct Failed {
    /// The reason.
    pub failure: Failure,
    /// The figures up to the cycle of the failure.
    pub stats: Stats,
    /// The index of the operation that was to begin next at the cycle of the failure.
    pub begun: usize,
    /// The contents of memory in the cycle of the failure.
    pub memory: HostMemory,
}

impl From<Box<Mismatch>> for Failure {
    fn from(mismatch: Box<Mismatch>) -> Self {
        Failure::Mismatch(mismatch)
    }
}

/// The random behaviour of the requester.
struct Requester {
    draws: Draws,
    idle: u32,
    response_busy: u32,
    run: u32,
    response_after_valid: bool,
}

impl Requester {
    /// Returns a requester whose draws start in a cycle.
    fn new(timing: &Timing, cycle: u64) -> Self {
        Self {
            draws: Draws::new(timing.seed, cycle),
            idle: timing.request_idle,
            response_busy: timing.response_busy,
            run: timing.request_run,
            response_after_valid: timing.response_after_valid,
        }
    }

    /// Returns true if the requester begins no request in a cycle.
    #[inline]
    fn is_idle(&self, cycle: u64) -> bool {
        let draw = || self.draws.in_spell(Stream::RequestIdle, cycle, self.run);
        self.idle > 0 && draw().chance(self.idle)
    }

    /// Returns true if the requester is ready to accept a response in a cycle. `waits`: a response
    /// was offered in the cycle before, and was not accepted.
    #[inline]
    fn accepts(&self, waits: bool, cycle: u64) -> bool {
        let draw = || self.draws.in_spell(Stream::ResponseBusy, cycle, self.run);
        (!self.response_after_valid || waits)
            && (self.response_busy == 0 || !draw().chance(self.response_busy))
    }
}

/// Returns the number of cycles after which a request without a response counts as a hang, for a
/// timing of memory and requester. The number is many times the response time of the slowest device
/// that serves 16 slots round robin.
fn patience(scenario: &Scenario, timing: &Timing) -> u64 {
    let levels = u64::from(scenario.machine.format.geometry().levels);
    // The factor 2 leaves room for updates and for repeated walks before an update.
    let reads = 2 * ((levels + 1) * (levels + 1) - 1);
    let slots = u64::from(scenario.machine.slots);
    let a_read = u64::from(*timing.latency.end()) + slots + 4;
    let memory_free = u64::from(100 - timing.memory_busy.min(99));
    let response_free = u64::from(100 - timing.response_busy.min(99));
    1000 + 16 * reads * a_read * 100 / memory_free * 100 / response_free
}

/// Returns true if the requester sends the request of an access again after a replay.
fn is_wanted(scenario: &Scenario, op: usize) -> bool {
    matches!(scenario.ops.get(op), Some(Op::Access(access)) if !access.speculative)
}

/// Returns inputs without a request, a fence or a memory response.
fn idle_inputs(walk_caches: WalkCaches) -> Inputs {
    let mut inputs = Inputs::default();
    inputs.set_walk_caches(walk_caches);
    inputs
}

/// Runs a scenario on a device, from its reset state, with all checks.
///
/// # Errors
/// The first mismatch, a hang, or a failure of the device.
pub fn run<O: Observer>(
    dut: &mut Dut,
    scenario: &Scenario,
    observer: &mut O,
) -> Result<Stats, Box<Failed>> {
    run_at(dut, scenario, &[], observer)
}

/// Runs a scenario as [`run`] does, but no op begins before its cycle in `cycles`, counted from the
/// start. Ops behind the end of `cycles` have no such cycle.
pub(crate) fn run_at<O: Observer>(
    dut: &mut Dut,
    scenario: &Scenario,
    cycles: &[u64],
    observer: &mut O,
) -> Result<Stats, Box<Failed>> {
    let mut run = Run::new(scenario, cycles);
    let finished = run.finish(dut, observer);
    if let Some(uses) = run.checker.freedom_uses() {
        observer.used(uses);
    }
    match finished {
        Ok(()) => Ok(run.stats),
        Err(failure) => Err(Box::new(Failed {
            failure,
            stats: run.stats,
            begun: run.op,
            memory: run.memory.into_owned(),
        })),
    }
}

/// The observations of a cycle, to which the checks are applied.
#[derive(Debug, Default)]
struct Seen {
    outputs: Outputs,
    /// The operation whose request the device accepted. The id of the request is `id`.
    request_taken: Option<usize>,
    id: u8,
    /// The operation whose fence was offered. `fence_taken`: the device accepted the fence.
    fence_offered: Option<usize>,
    fence_taken: bool,
    /// The memory request that was accepted, with the word that memory will return. `beside`: the
    /// kind of data that accompany the response, if it is an error.
    read: Option<Read>,
    beside: Option<Beside>,
    /// The slot to which memory has returned a response.
    replied: Option<u8>,
    read_ready: bool,
    rsp_ready: bool,
    /// The operation whose request was offered and not accepted.
    offered: Option<usize>,
    /// The device has something to do, and waits for nothing outside it: no memory response is
    /// outstanding.
    owes: bool,
    /// The operation to begin next, after this cycle.
    op: usize,
    /// The walk caches that are in use from this cycle on; none if they do not change.
    walk_caches: Option<WalkCaches>,
}

/// A change of a word of memory, by an edit of the scenario or by an update of the device, with the
/// word before it. A mismatch in an earlier cycle undoes the change.
struct Edit {
    cycle: u64,
    at: Hpa,
    before: Option<u64>,
    by_device: bool,
}

/// The limits of a device that the requester has to observe.
struct Limits {
    /// The most requests in flight.
    outstanding: usize,
    /// The number of ids of requests.
    ids: usize,
    /// The request that follows a fence may be offered while the fence waits.
    overlaps_fences: bool,
    /// The requester can delay a response.
    has_response_ready: bool,
}

impl Limits {
    fn of(description: &Description) -> Self {
        Self {
            outstanding: match description.context {
                ContextTime::Request => description.outstanding() as usize,
                // The inputs of the context are not sampled with the request, so they must not
                // change while a request is in flight.
                ContextTime::Live => 1,
            },
            ids: description.request_ids() as usize,
            overlaps_fences: description.has_replays(),
            has_response_ready: description.has_response_ready(),
        }
    }
}

/// A run in progress. One part drives the inputs of the device in each cycle. The other part
/// applies the checks to the observations, up to [`BATCH`] cycles later.
struct Run<'a> {
    scenario: &'a Scenario,
    /// By operation: the earliest cycle in which the operation may begin.
    cycles: &'a [u64],
    /// The contexts of the scenario, with the fields that the device uses.
    contexts: Vec<Context>,
    /// Host physical memory. It borrows the memory of the scenario until the first edit.
    memory: Cow<'a, HostMemory>,
    server: MemoryServer,
    requester: Requester,
    checker: Judge,
    /// The figures up to the last cycle that was judged. The number of edits also counts cycles
    /// that are not judged yet.
    stats: Stats,
    inputs: Inputs,
    cycle: u64,
    /// The observations of the cycles that are not judged yet.
    seen: Vec<Seen>,
    unjudged: usize,
    /// The changes of memory in the cycles that are not judged yet.
    edits: Vec<Edit>,
    /// The number of requests that have no response yet.
    outstanding: usize,
    /// By id: the index of the operation that has sent the request.
    op_of_id: [usize; 256],
    /// Accesses whose requests are to be sent again after a replay.
    replays: VecDeque<usize>,
    patience: u64,
    /// The next operation to begin, and the cycle since which it is the next.
    op: usize,
    op_since: u64,
    /// Cycles that remain of the current wait operation.
    waiting: u32,
    /// By held port: the first cycle in which transfers are possible again. `any_held_until` is the
    /// largest of these cycles.
    held_until: [u64; Held::ALL.len()],
    any_held_until: u64,
    /// Sum of the cycles of all hold operations so far. These cycles do not count towards a hang.
    held: u64,
    /// The walk caches that are in use.
    walk_caches: WalkCaches,
    /// Cycles for which the current memory request, and the current response, have been offered and
    /// not accepted.
    waited: [u32; 2],
    /// The operation of the fence that was offered last.
    fence_seen: Option<usize>,
    /// The operation whose request is on the port. It is the next operation, the operation after
    /// the fence that is offered, or an access after a replay.
    requesting: Option<usize>,
    /// The device has accepted the request of the operation after the fence that is offered. The
    /// fence does not match this request.
    taken_ahead: bool,
    free_ids: VecDeque<u8>,
    limits: Limits,
    /// Cycles since the last operation has ended.
    tail: u64,
    /// The device is to be reset before the next cycle.
    wants_reset: bool,
    /// The device offered a response in the last cycle, which was not accepted.
    response_waits: bool,
    read_waits: bool,
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario, cycles: &'a [u64]) -> Self {
        let machine = &scenario.machine;
        let description = machine.description();
        let limits = Limits::of(&description);
        Self {
            scenario,
            cycles,
            contexts: {
                let contexts = scenario.contexts.iter();
                contexts
                    .map(|named| machine.heeded(&named.context))
                    .collect()
            },
            memory: Cow::Borrowed(&scenario.memory),
            server: MemoryServer::new(&scenario.timing, description.memory),
            requester: Requester::new(&scenario.timing, 0),
            checker: Judge::new(machine, description, scenario.walk_caches_ever()),
            stats: Stats::default(),
            inputs: idle_inputs(machine.walk_caches),
            cycle: 0,
            seen: Vec::new(),
            unjudged: 0,
            edits: Vec::new(),
            outstanding: 0,
            op_of_id: [0; 256],
            replays: VecDeque::new(),
            patience: patience(scenario, &scenario.timing),
            op: 0,
            op_since: 0,
            waiting: 0,
            held_until: [0; Held::ALL.len()],
            any_held_until: 0,
            held: 0,
            walk_caches: machine.walk_caches,
            waited: [0; 2],
            fence_seen: None,
            requesting: None,
            taken_ahead: false,
            free_ids: (0..=255).take(limits.ids).collect(),
            limits,
            tail: 0,
            wants_reset: false,
            response_waits: false,
            read_waits: false,
        }
    }

    fn finish<O: Observer>(&mut self, dut: &mut Dut, observer: &mut O) -> Result<(), Failure> {
        let device = |cycle| move |error| Failure::Device { cycle, error };
        dut.reset().map_err(device(0))?;
        let dut = &mut dut.clocked();
        let batch = if O::LIVE { 1 } else { BATCH };
        self.seen.resize_with(batch, Seen::default);
        while self.prepare() {
            if std::mem::take(&mut self.wants_reset) {
                self.judge(dut, observer)?;
                dut.reset().map_err(device(self.cycle))?;
                self.forget();
                observer.reset();
                observer.walk_caches(self.cycle, self.walk_caches);
                continue;
            }
            let outputs = &mut self.seen[self.unjudged].outputs;
            if let Err(error) = dut.tick(&self.inputs, outputs) {
                self.judge(dut, observer)?;
                return Err(device(self.cycle)(error));
            }
            if O::PORTS {
                observer.ports(self.cycle, &self.inputs, outputs);
            }
            self.react();
            if self.unjudged == batch {
                self.judge(dut, observer)?;
                if self.cycle.is_multiple_of(LOOK_FOR_HANG) {
                    self.look_for_hang()?;
                    if observer.is_interrupted() {
                        break;
                    }
                }
            }
        }
        self.judge(dut, observer)
    }

    /// Sets the inputs of the next cycle. Returns false if the run is over.
    #[inline(always)]
    fn prepare(&mut self) -> bool {
        // The check for operations to begin is skipped in the most frequent case: the next
        // operation is already on the request port.
        if self.requesting != Some(self.op) && !self.begin_ops() {
            return false;
        }
        self.inputs.rsp_ready = !self.limits.has_response_ready
            || self.requester.accepts(self.response_waits, self.cycle);
        self.inputs.mem_req_ready = self.server.ready(self.read_waits, self.cycle);
        match self.server.offer(self.cycle) {
            Some(reply) => {
                self.inputs.mem_rsp_valid = true;
                self.inputs.mem_rsp_id = reply.id;
                self.inputs.mem_rsp_error = reply.word.is_none();
                self.inputs.mem_rsp_data = reply.data;
            }
            None => self.inputs.mem_rsp_valid = false,
        }
        if self.cycle < self.any_held_until {
            self.hold();
        }
        true
    }

    /// Stops the transfers on the ports that are held.
    #[cold]
    fn hold(&mut self) {
        let is_held = self.held_until.map(|until| self.cycle < until);
        self.inputs.mem_req_ready &= !is_held[Held::Reads as usize];
        self.inputs.mem_rsp_valid &= !is_held[Held::Answers as usize];
        self.inputs.rsp_ready &= !is_held[Held::Responses as usize];
    }

    /// Drops all requests and memory responses in flight, because the device is reset.
    fn forget(&mut self) {
        self.stats.accesses += self.begun_accesses() as u64;
        self.checker.reset(&self.scenario.machine);
        self.checker.use_walk_caches(self.walk_caches);
        self.seen
            .iter_mut()
            .for_each(|seen| seen.walk_caches = None);
        self.waited = [0; 2];
        self.server.reset(self.cycle);
        self.requester.draws.restart(self.cycle);
        self.inputs = idle_inputs(self.walk_caches);
        self.requesting = None;
        self.outstanding = 0;
        self.replays.clear();
        self.free_ids = (0..=255).take(self.limits.ids).collect();
        self.response_waits = false;
        self.read_waits = false;
    }

    /// Returns the number of accesses that have begun and not ended.
    fn begun_accesses(&self) -> usize {
        let asked_again = self.requesting.is_some_and(|op| op < self.op);
        self.outstanding + self.replays.len() + usize::from(asked_again)
    }

    /// Begins the operations that can begin in the next cycle. Returns false if the run is over.
    fn begin_ops(&mut self) -> bool {
        let ops = &self.scenario.ops;
        let is_timed = matches!(ops.get(self.op), Some(Op::Access(_) | Op::Fence(_)));
        if self.waiting > 0 || !is_timed {
            self.begin_timeless_ops();
            if self.wants_reset {
                return true;
            }
        }
        if self.op == ops.len() && self.begun_accesses() == 0 {
            self.tail += 1;
            if self.tail > TAIL {
                return false;
            }
        }

        if self.waiting == 0
            && self.is_time_for(self.op)
            && let Some(Op::Fence(fence)) = ops.get(self.op)
        {
            self.inputs.set_fence(fence);
        }
        if self.requesting.is_none()
            && self.outstanding < self.limits.outstanding
            && let Some((access, query)) = self.next_request()
            && self.is_time_for(access)
            && let Some(&id) = self.free_ids.front()
            && !self.requester.is_idle(self.cycle)
        {
            self.free_ids.pop_front();
            if self.replays.front() == Some(&access) {
                self.replays.pop_front();
            }
            self.inputs.set_request(id, &query);
            self.requesting = Some(access);
        }
        true
    }

    /// Returns the next access to send, with its request. An access after a replay has priority
    /// over a new access.
    fn next_request(&self) -> Option<(usize, Query)> {
        let op = match self.replays.front() {
            Some(&op) => op,
            None if self.waiting > 0 || self.taken_ahead => return None,
            // The request of the operation after a fence is offered together with the fence, to
            // check that the device does not accept it before a fence that matches it.
            None => match self.scenario.ops.get(self.op)? {
                Op::Fence(_) if !self.limits.overlaps_fences => return None,
                Op::Fence(_) => self.op + 1,
                _ => self.op,
            },
        };
        match self.scenario.ops.get(op)? {
            Op::Access(access) => Some((op, self.driven(access))),
            _ => None,
        }
    }

    /// Returns the first cycle in which an op may begin.
    #[inline]
    fn first_cycle_of(&self, op: usize) -> u64 {
        self.cycles.get(op).copied().unwrap_or(0)
    }

    #[inline]
    fn is_time_for(&self, op: usize) -> bool {
        self.first_cycle_of(op) <= self.cycle
    }

    /// Returns the request of an access as it is driven, with the fields that the device ignores.
    #[inline]
    fn driven(&self, op: &crate::scenario::AccessOp) -> Query {
        Query {
            context: self.scenario.contexts[op.context].context,
            gva: op.gva,
            access: op.access,
        }
    }

    /// Returns the request of an access, with the fields that the device uses.
    #[inline]
    fn query(&self, op: &crate::scenario::AccessOp) -> Query {
        Query {
            context: self.contexts[op.context],
            gva: op.gva,
            access: op.access,
        }
    }

    /// Executes the ops that take no cycle.
    fn begin_timeless_ops(&mut self) {
        while let Some(op) = self.scenario.ops.get(self.op) {
            match op {
                _ if !self.is_time_for(self.op) => return,
                _ if self.waiting > 0 => {
                    self.waiting -= 1;
                    if self.waiting > 0 {
                        return;
                    }
                }
                Op::Write { at, word } => {
                    self.edits.push(Edit {
                        cycle: self.cycle,
                        at: *at,
                        before: self.memory.read(*at).ok(),
                        by_device: false,
                    });
                    self.edit(*at, *word);
                    self.stats.edits += 1;
                }
                Op::Timing(timing) => {
                    self.server.set_timing(timing, self.cycle);
                    self.requester = Requester::new(timing, self.cycle);
                    self.patience = self.patience.max(patience(self.scenario, timing));
                }
                Op::Wait(cycles) if *cycles > 0 => {
                    self.waiting = *cycles;
                    return;
                }
                Op::Wait(_) => {}
                Op::Reset => {
                    self.wants_reset = true;
                    self.next_op();
                    return;
                }
                Op::Hold { what, cycles } => {
                    let until = &mut self.held_until[*what as usize];
                    *until = (*until).max(self.cycle + u64::from(*cycles));
                    self.any_held_until = self.any_held_until.max(*until);
                    self.held += u64::from(*cycles);
                }
                Op::WalkCaches(used) if self.begun_accesses() == 0 => {
                    self.walk_caches = *used;
                    self.inputs.set_walk_caches(*used);
                    self.seen[self.unjudged].walk_caches = Some(*used);
                }
                Op::Drain if self.begun_accesses() == 0 => {}
                Op::Drain | Op::WalkCaches(_) | Op::Access(_) | Op::Fence(_) => return,
            }
            self.next_op();
        }
    }

    fn next_op(&mut self) {
        self.op += 1;
        self.op_since = self.cycle;
    }

    fn edit(&mut self, at: Hpa, word: Option<u64>) {
        let memory = self.memory.to_mut();
        match word {
            Some(word) => memory.write(at, word),
            None => memory.remove(at),
        }
    }

    /// Reacts to the outputs of the device, as memory and as requester.
    #[inline(always)]
    fn react(&mut self) {
        let cycle = self.cycle;
        let seen = &mut self.seen[self.unjudged];
        let outputs = &seen.outputs;

        seen.replied = None;
        if self.inputs.mem_rsp_valid && outputs.mem_rsp_ready {
            self.server.taken();
            seen.replied = Some(self.inputs.mem_rsp_id);
        }

        seen.id = self.inputs.req_id;
        seen.fence_offered = self.inputs.fence_valid.then_some(self.op);
        seen.fence_taken = self.inputs.fence_valid && outputs.fence_ready;
        seen.request_taken = match self.inputs.req_valid && outputs.req_ready {
            true => self.requesting,
            false => None,
        };
        if let Some(op) = seen.request_taken {
            self.inputs.req_valid = false;
            self.requesting = None;
            self.outstanding += 1;
            self.op_of_id[usize::from(seen.id)] = op;
            if op == self.op {
                self.op += 1;
                self.op_since = cycle;
            } else if op > self.op {
                self.taken_ahead = true;
            }
        }
        if seen.fence_taken {
            self.inputs.fence_valid = false;
            self.op += 1 + usize::from(std::mem::take(&mut self.taken_ahead));
            self.op_since = cycle;
        }

        seen.read = (outputs.mem_req_valid && self.inputs.mem_req_ready).then(|| {
            let at = Hpa(outputs.mem_req_hpa);
            let update = Update::on_port(outputs)
                .map(|update| self.server.as_swap(at, update, &self.memory));
            let before = update.and_then(|_| self.memory.read(at).ok());
            let (word, beside) =
                self.server
                    .grant(outputs.mem_req_id, at, update, cycle, &mut self.memory);
            if let Some(update) = update
                && word == Some(update.expected)
            {
                self.edits.push(Edit {
                    cycle,
                    at,
                    before,
                    by_device: true,
                });
            }
            seen.beside = beside;
            Read {
                at,
                update,
                word,
                cycle,
            }
        });

        if outputs.rsp_valid && self.inputs.rsp_ready {
            self.free_ids.push_back(outputs.rsp_id);
            // A response to no request would make the count negative. The checks report this
            // response later.
            self.outstanding = self.outstanding.saturating_sub(1);
            if outputs.rsp_replay {
                let op = self.op_of_id[usize::from(outputs.rsp_id)];
                if is_wanted(self.scenario, op) {
                    self.replays.push_back(op);
                }
            }
        }

        self.response_waits = outputs.rsp_valid && !self.inputs.rsp_ready;
        self.read_waits = outputs.mem_req_valid && !self.inputs.mem_req_ready;
        seen.offered = self.requesting.filter(|_| self.inputs.req_valid);
        seen.read_ready = self.inputs.mem_req_ready;
        seen.rsp_ready = self.inputs.rsp_ready;
        let is_asked = self.outstanding > 0 || self.inputs.req_valid || self.inputs.fence_valid;
        seen.owes = is_asked && self.server.is_idle() && !self.inputs.mem_rsp_valid;
        seen.op = self.op;
        self.unjudged += 1;
        self.cycle += 1;
    }

    /// Applies the checks to the cycles that are not judged yet.
    fn judge<O: Observer>(
        &mut self,
        dut: &mut Clocked<'_>,
        observer: &mut O,
    ) -> Result<(), Failure> {
        let first = self.cycle - self.unjudged as u64;
        for index in 0..self.unjudged {
            let cycle = first + index as u64;
            if let Err(mut mismatch) = self.judge_cycle(dut, index, cycle, observer) {
                if let Some(end) = mismatch.walk_end_mut() {
                    self.add_response(dut, index, end);
                }
                self.go_back(index, cycle);
                return Err(mismatch.into());
            }
        }
        self.unjudged = 0;
        self.edits.clear();
        Ok(())
    }

    /// Adds the response of a walk to the report of a wrong end of the walk. The mismatch is found
    /// in the cycle in which the result enters the response register. The response is on its port
    /// one cycle later: in the cycle after `index` if it was simulated, else in an idle cycle that
    /// is simulated here.
    #[cold]
    fn add_response(&self, dut: &mut Clocked<'_>, index: usize, end: &mut WalkEnd) {
        let mut outputs = Outputs::default();
        let next = match self.seen[..self.unjudged].get(index + 1) {
            Some(seen) => &seen.outputs,
            None => {
                let idle = idle_inputs(self.walk_caches);
                // If an assertion fails, the mismatch is reported without the response.
                if dut.tick(&idle, &mut outputs).is_err() {
                    return;
                }
                &outputs
            }
        };
        if next.rsp_valid && next.rsp_id == end.id {
            end.response = Some(next.outcome(self.scenario.machine.format.has_traps()));
        }
    }

    /// Restores the state that a failure reports (memory, figures, next operation) to its values in
    /// a cycle.
    fn go_back(&mut self, index: usize, cycle: u64) {
        self.op = self.seen[index].op;
        while let Some(edit) = self.edits.pop_if(|edit| edit.cycle > cycle) {
            self.edit(edit.at, edit.before);
            self.stats.edits -= u64::from(!edit.by_device);
        }
    }

    fn look_for_hang(&self) -> Result<(), Failure> {
        let hang = |op, since| Failure::Hang {
            cycle: self.cycle,
            op,
            since,
        };
        if let Some(oldest) = self.checker.board().oldest()
            && self.cycle - oldest.accepted > self.patience + self.held
        {
            return Err(hang(oldest.op, oldest.accepted));
        }
        let waits_for_device = self.waiting == 0
            && matches!(
                self.scenario.ops.get(self.op),
                Some(Op::Access(_) | Op::Fence(_))
            );
        let since = self.op_since.max(self.first_cycle_of(self.op));
        if waits_for_device && self.cycle.saturating_sub(since) > self.patience + self.held {
            return Err(hang(self.op, since));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::mismatch::{ExpectedRequest, ObservedRequest, Violation};
    use super::*;
    use crate::addr::{Gpa, Gva};
    use crate::dut::variants::VARIANTS;
    use crate::format::riscv::Entry;
    use crate::format::{Family, Format};
    use crate::mmu::{Access, Context, FaultKind, Position, Rights, StageControl};
    use crate::scenario::{AccessOp, Holes, Machine, NamedContext};
    use crate::stimulus::{self, Profile};

    /// An observer for which every cycle is judged immediately.
    struct Live;

    impl Observer for Live {}

    /// By held port: the most cycles for which a transfer has waited.
    #[derive(Default)]
    struct Waits([u32; Held::ALL.len()]);

    impl Observer for Waits {
        fn waited(&mut self, what: Held, cycles: u32) {
            let most = &mut self.0[what as usize];
            *most = (*most).max(cycles);
        }
    }

    #[test]
    fn a_hold_lets_nothing_pass_for_its_cycles_and_is_no_hang() {
        let default = &VARIANTS[0];
        let mut dut = Dut::new(default, 1).unwrap();
        let profile = Profile {
            format: default.paging_format(),
            rights: false,
        };
        let mut scenario = stimulus::scenario(profile, 1, 0, 1);
        let access = scenario.ops.iter().find(|op| matches!(op, Op::Access(_)));
        let access = access.unwrap().clone();
        scenario.machine = Machine::of(profile.format);
        scenario.timing = Timing::default();
        scenario.ops = vec![access.clone()];
        let free = run(&mut dut, &scenario, &mut ()).unwrap();
        // The hold is longer than a request may wait without a cause.
        let cycles = 60_000;
        for what in Held::ALL {
            scenario.ops = vec![Op::Hold { what, cycles }, access.clone()];
            let mut waits = Waits::default();
            let held = run(&mut dut, &scenario, &mut waits).unwrap();
            let longer = held.cycles - free.cycles;
            let most = u64::from(cycles);
            assert!(
                (most - free.cycles..=most).contains(&longer),
                "{what:?}: {longer}"
            );
            let waited = u64::from(waits.0[what as usize]);
            match what {
                // Memory accepts the requests and returns no response.
                Held::Answers => assert_eq!(waited, 0),
                Held::Reads | Held::Responses => assert!(waited > most - free.cycles),
            }
        }
    }

    #[test]
    fn a_run_comes_to_the_same_whether_or_not_cycles_are_judged_at_once() {
        let small = VARIANTS
            .iter()
            .find(|v| v.tlb_entries < 16 && v.paging_format().family() == Family::Handout)
            .unwrap();
        let mut dut = Dut::new(small, 1).unwrap();
        let format = small.paging_format();
        let profile = Profile {
            format,
            rights: false,
        };
        let (mut passed, mut failed, mut undone) = (0, 0, 0);
        for number in 0..100 {
            let mut scenario = stimulus::scenario(profile, 1, number, 200);
            // The checker assumes a larger TLB than the device has, and so finds pages that should
            // have hit.
            scenario.machine = Machine::of(format);
            let live = run(&mut dut, &scenario, &mut Live);
            let batched = run(&mut dut, &scenario, &mut ());
            match (live, batched) {
                (Ok(live), Ok(batched)) => {
                    assert_eq!(live, batched, "scenario {number}");
                    passed += 1;
                }
                (Err(live), Err(batched)) => {
                    assert_eq!(live.failure, batched.failure, "scenario {number}");
                    assert_eq!(live.stats, batched.stats, "scenario {number}");
                    assert_eq!(live.begun, batched.begun, "scenario {number}");
                    assert!(
                        live.memory.words() == batched.memory.words(),
                        "scenario {number}"
                    );
                    failed += 1;
                    undone += u64::from(!live.stats.cycles.is_multiple_of(BATCH as u64));
                }
                (live, batched) => panic!("scenario {number}: {live:?} and {batched:?}"),
            }
        }
        assert!(
            failed > 20 && undone > 10,
            "{passed} passed, {failed} failed, {undone} undone"
        );
    }

    /// Returns a scenario that accesses a page whose leaf has A clear, with ADUE set, and then
    /// other pages.
    fn to_be_updated(machine: Machine) -> Scenario {
        let leaf = Entry::leaf(0x10_0000, Rights::ALL).with_accessed(false);
        let mut memory = HostMemory::new(machine.format);
        for (at, entry) in [
            (0x1000, Entry::pointer(0x2000)),
            (0x2000, Entry::pointer(0x3000)),
            (0x3000, leaf),
        ] {
            memory.write(Hpa(at), entry.0);
        }
        let guest = StageControl {
            levels: 3,
            root: Gpa(0x1000),
            adue: true,
            ..StageControl::default()
        };
        let context = Context {
            guest,
            ..Context::handout(None, Hpa(0))
        };
        let context = Context {
            virt: false,
            host: StageControl::default(),
            ..context
        };
        let access = |gva| {
            Op::Access(AccessOp {
                context: 0,
                gva: Gva(gva),
                access: Access::Load,
                speculative: false,
                expect: None,
                line: None,
            })
        };
        Scenario {
            title: "a test".to_owned(),
            machine,
            memory,
            holes: Holes::Fault,
            timing: Timing::default(),
            contexts: vec![NamedContext {
                name: "c0".to_owned(),
                context,
            }],
            ops: [0x10, 0x20, 0x1000].map(access).into(),
        }
    }

    #[test]
    fn a_walk_that_ends_too_early_is_reported_with_its_response() {
        // The variant cannot set A, and the golden model assumes that it can.
        let variant = VARIANTS
            .iter()
            .find(|v| !v.svadu && v.paging_format() == Format::Rv64)
            .unwrap();
        let mut dut = Dut::new(variant, 1).unwrap();
        let scenario = to_be_updated(Machine {
            svadu: true,
            ..Machine::of_variant(variant)
        });
        let live = run(&mut dut, &scenario, &mut Live).unwrap_err();
        let batched = run(&mut dut, &scenario, &mut ()).unwrap_err();
        assert_eq!(live.failure, batched.failure);
        let Failure::Mismatch(mismatch) = live.failure else {
            panic!("{}", live.failure);
        };
        let Violation::Reads {
            expected: ExpectedRequest::Request { request, .. },
            observed: ObservedRequest::End(end),
        } = &mismatch.violation
        else {
            panic!("{mismatch:?}");
        };
        assert_eq!(request.request.hpa, Hpa(0x3000));
        assert!(request.request.update.is_some() && request.place.number == 1);
        assert_eq!((end.made.reads, end.made.updates), (3, 0));
        let Some(Ok(Err(fault))) = end.response else {
            panic!("{end:?}");
        };
        assert_eq!(fault.kind, FaultKind::AccessedDirty);
        assert_eq!(fault.at, Position::Guest { level: 0 });
        assert_eq!(fault.trap.unwrap().cause, 13);
    }
}
