//! Clocks a device through a scenario.

use std::borrow::Cow;
use std::collections::VecDeque;

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::checker::{Checker, Mismatch, Read, Update};
use super::memory_server::{MemoryServer, chance};
use crate::addr::Hpa;
use crate::dut::{Clocked, Done, Dut, DutError, Event, Inputs, Miss, Outputs, Requests, WalkStep};
use crate::golden::{Mapping, Step, StepLog};
use crate::memory::HostMemory;
use crate::mmu::{Fault, Fence, Outcome, Query};
use crate::scenario::{Machine, Op, Scenario, Timing};

/// Cycles without anything to do after the last answer, in which nothing may come any more.
const TAIL: u64 = 24;
/// How often the bench looks for requests that have waited too long, in cycles.
const LOOK_FOR_HANG: u64 = 256;
/// Cycles that are checked together where nobody watches. A model fills the instruction cache by itself, so code that runs
/// in turns with it is slow. [`LOOK_FOR_HANG`] is a multiple of it.
const BATCH: usize = 16;

/// Watches a run. Every method may be left out.
#[allow(unused_variables)]
pub trait Observer {
    /// Whether the device must stop in the very cycle of a mismatch, and the other methods be called in the cycle that they
    /// are about. If not, both may come some cycles later. A run comes to the same either way.
    const LIVE: bool = true;
    /// Whether [`Observer::event`] wants steps of walks; they cost time to take apart.
    const EVENTS: bool = false;

    /// Whether the run is to end before its time: then it comes to the figures until then. Asked from time to time.
    fn is_interrupted(&self) -> bool {
        false
    }
    /// The device has taken the request of an op.
    fn accepted(&mut self, cycle: u64, op: usize, id: u8) {}
    /// The device has answered the request of an op.
    fn answered(&mut self, cycle: u64, op: usize, outcome: &Outcome, hit: bool) {}
    /// The device has taken a fence.
    fn fenced(&mut self, cycle: u64, op: usize, fence: &Fence) {}
    /// The device has been reset: what has no answer yet gets none.
    fn reset(&mut self) {}
    /// Memory has taken a read or an update.
    fn read(&mut self, slot: u8, read: &Read) {}
    /// Memory has answered the read or update of a slot.
    fn replied(&mut self, cycle: u64, slot: u8) {}
    /// An event of the device.
    fn event(&mut self, cycle: u64, event: &Event) {}
    /// A request has been given to a walk.
    fn missed(&mut self, cycle: u64, miss: &Miss) {}
    /// The second-level TLB has answered the request of an id.
    fn second_hit(&mut self, cycle: u64, id: u8) {}
    /// A request has been given its walk's result.
    fn given(&mut self, cycle: u64, done: &Done) {}
    /// A step of a walk that has ended, by the golden model; [`Observer::walked`] comes after its last.
    fn step(&mut self, query: &Query, step: &Step) {}
    /// A walk cache has led a walk that has ended to an entry: to that of [`Observer::step`]'s steps, of those that read or update
    /// one, that has the number. Comes before [`Observer::walked`].
    fn passed(&mut self, number: usize, step: &WalkStep) {}
    /// A walk has ended, as the golden model says.
    fn walked(&mut self, cycle: u64, walked: &Walked) {}
}

/// A walk that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Walked {
    /// Its slot.
    pub slot: u8,
    /// What it was for.
    pub query: Query,
    /// What it found.
    pub found: Result<Mapping, Fault>,
    /// The TLB takes it.
    pub fill: bool,
}

/// Hands the steps of a walk to an observer.
struct Steps<'a, O> {
    observer: &'a mut O,
    query: Option<Query>,
}

impl<O: Observer> StepLog for Steps<'_, O> {
    #[inline]
    fn step(&mut self, step: Step) {
        if let Some(query) = &self.query {
            self.observer.step(query, &step);
        }
    }
}

/// Nobody watches.
impl Observer for () {
    const LIVE: bool = false;
}

/// Figures of a run, or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stats {
    /// Clock cycles.
    pub cycles: u64,
    /// Accesses that have ended: answered, or given up for a reset.
    pub accesses: u64,
    /// Of them, by the TLB.
    pub hits: u64,
    /// Of these, by its second level.
    pub second_hits: u64,
    /// Of all, with a fault.
    pub faults: u64,
    /// Walks.
    pub walks: u64,
    /// Requests that shared a walk under way.
    pub merged: u64,
    /// Reads of table entries.
    pub reads: u64,
    /// Updates of table entries (accessed and dirty bits), also those that found another entry than they expected.
    pub updates: u64,
    /// Fences.
    pub fences: u64,
    /// Edits of memory.
    pub edits: u64,
}

impl Stats {
    /// Adds the figures of another run.
    pub fn add(&mut self, other: &Stats) {
        // Figures may come from a file.
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
        add(&mut self.edits, other.edits);
    }
}

/// Why a run ended early.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The device did something wrong.
    #[error("{}: expected {}, got {}", .0.check, .0.expected, .0.got)]
    Mismatch(Box<Mismatch>),
    /// The device does not go on.
    #[error("the device hangs: in cycle {cycle}, op {op} has waited since cycle {since}")]
    Hang {
        /// When it was given up.
        cycle: u64,
        /// The op that waits, by index.
        op: usize,
        /// Since when.
        since: u64,
    },
    /// An RTL assertion failed.
    #[error("in cycle {cycle}: {error}")]
    Device {
        /// When.
        cycle: u64,
        /// What.
        error: DutError,
    },
}

impl Failure {
    /// When it was noticed.
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
    /// Why.
    pub failure: Failure,
    /// The figures until then.
    pub stats: Stats,
    /// The op that was begun last, or was the next to begin.
    pub begun: usize,
    /// Memory as it was then.
    pub memory: HostMemory,
}

impl From<Box<Mismatch>> for Failure {
    fn from(mismatch: Box<Mismatch>) -> Self {
        Failure::Mismatch(mismatch)
    }
}

/// What the requester does by chance.
struct Requester {
    rng: Xoshiro256PlusPlus,
    idle: u32,
    response_busy: u32,
    response_after_valid: bool,
}

impl Requester {
    fn new(timing: &Timing) -> Self {
        Self {
            // Not the memory's stream, though of the same seed.
            rng: Xoshiro256PlusPlus::seed_from_u64(timing.seed ^ 0x9E37_79B9_7F4A_7C15),
            idle: timing.request_idle,
            response_busy: timing.response_busy,
            response_after_valid: timing.response_after_valid,
        }
    }
}

/// Cycles that a request may wait for its answer, with the timing at hand, before the device counts as dead: many times
/// what the slowest device needs that gives each of 16 slots its turn.
fn patience(scenario: &Scenario, timing: &Timing) -> u64 {
    let levels = u64::from(scenario.machine.format.geometry().levels);
    // And as many again for updates and the walks that go before them.
    let reads = 2 * ((levels + 1) * (levels + 1) - 1);
    let slots = u64::from(scenario.machine.slots);
    let a_read = u64::from(*timing.latency.end()) + slots + 4;
    let memory_free = u64::from(100 - timing.memory_busy.min(99));
    let response_free = u64::from(100 - timing.response_busy.min(99));
    1000 + 16 * reads * a_read * 100 / memory_free * 100 / response_free
}

/// Nothing is asked of a device.
fn idle_inputs(machine: &Machine) -> Inputs {
    let mut inputs = Inputs::default();
    inputs.set_walk_caches(machine.walk_caches);
    inputs
}

/// Runs a scenario on a device, from its reset state, with all checks.
///
/// # Errors
/// The first thing that the device does wrong.
pub fn run<O: Observer>(
    dut: &mut Dut,
    scenario: &Scenario,
    observer: &mut O,
) -> Result<Stats, Box<Failed>> {
    let mut run = Run::new(scenario);
    match run.finish(dut, observer) {
        Ok(()) => Ok(run.stats),
        Err(failure) => Err(Box::new(Failed {
            failure,
            stats: run.stats,
            begun: run.op,
            memory: run.memory.into_owned(),
        })),
    }
}

/// All that a cycle is judged by.
#[derive(Debug, Default)]
struct Seen {
    outputs: Outputs,
    /// The device took the request of op `taken`, which has the id.
    request_taken: bool,
    id: u8,
    /// The device took the fence of op `taken`.
    fence_taken: bool,
    taken: usize,
    /// What memory took, and will give.
    read: Option<Read>,
    /// The slot whose read or update memory has answered.
    replied: Option<u8>,
    read_ready: bool,
    rsp_ready: bool,
    fence_offered: bool,
    /// The op whose request was offered and not taken.
    offered: Option<usize>,
    /// Something is asked of the device, and no answer of memory is on its way: it has nothing to wait for.
    owes: bool,
    /// The op to begin next, after this cycle.
    op: usize,
}

/// An edit that can be undone, of the scenario or by an update of the device.
struct Edit {
    cycle: u64,
    at: Hpa,
    before: Option<u64>,
    by_device: bool,
}

/// A run under way: the part that answers the device in each cycle, and, up to [`BATCH`] cycles behind it, the part that
/// judges what was seen.
struct Run<'a> {
    scenario: &'a Scenario,
    /// That of the scenario until the first edit.
    memory: Cow<'a, HostMemory>,
    server: MemoryServer,
    requester: Requester,
    checker: Checker,
    /// The figures up to the last cycle that was judged; but the edits are those of all.
    stats: Stats,
    inputs: Inputs,
    cycle: u64,
    /// Cycles that were seen and not judged.
    seen: Vec<Seen>,
    unjudged: usize,
    /// Edits in them.
    edits: Vec<Edit>,
    /// Requests without an answer.
    outstanding: usize,
    patience: u64,
    /// The next op to begin, and since when it is the next.
    op: usize,
    op_since: u64,
    /// Cycles that a wait still takes.
    waiting: u32,
    /// The op whose request is on the port.
    requesting: Option<usize>,
    free_ids: VecDeque<u8>,
    /// Cycles since there has been nothing to do.
    tail: u64,
    /// The device is to be reset before the next cycle.
    wants_reset: bool,
    /// What the device offered in the last cycle and was not taken.
    response_waits: bool,
    read_waits: bool,
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let machine = &scenario.machine;
        Self {
            scenario,
            memory: Cow::Borrowed(&scenario.memory),
            server: MemoryServer::new(&scenario.timing),
            requester: Requester::new(&scenario.timing),
            checker: Checker::new(machine),
            stats: Stats::default(),
            inputs: idle_inputs(machine),
            cycle: 0,
            seen: Vec::new(),
            unjudged: 0,
            edits: Vec::new(),
            outstanding: 0,
            patience: patience(scenario, &scenario.timing),
            op: 0,
            op_since: 0,
            waiting: 0,
            requesting: None,
            free_ids: (0..=255).collect(),
            tail: 0,
            wants_reset: false,
            response_waits: false,
            read_waits: false,
        }
    }

    fn finish<O: Observer>(&mut self, dut: &mut Dut, observer: &mut O) -> Result<(), Failure> {
        let device = |cycle| move |error| Failure::Device { cycle, error };
        dut.reset().map_err(device(0))?;
        let mut dut = dut.clocked();
        let batch = if O::LIVE { 1 } else { BATCH };
        self.seen.resize_with(batch, Seen::default);
        while self.prepare() {
            if std::mem::take(&mut self.wants_reset) {
                self.judge(&dut, observer)?;
                dut.reset().map_err(device(self.cycle))?;
                self.forget();
                observer.reset();
                continue;
            }
            let outputs = &mut self.seen[self.unjudged].outputs;
            if let Err(error) = dut.tick(&self.inputs, outputs) {
                self.judge(&dut, observer)?;
                return Err(device(self.cycle)(error));
            }
            self.react();
            if self.unjudged == batch {
                self.judge(&dut, observer)?;
                if self.cycle.is_multiple_of(LOOK_FOR_HANG) {
                    self.look_for_hang()?;
                    if observer.is_interrupted() {
                        break;
                    }
                }
            }
        }
        self.judge(&dut, observer)
    }

    /// Sets the inputs of the next cycle; false when the run is over.
    #[inline(always)]
    fn prepare(&mut self) -> bool {
        // In most cycles there is nothing to begin: a request is on its port.
        if self.requesting != Some(self.op) && !self.begin_ops() {
            return false;
        }
        self.inputs.rsp_ready = !chance(&mut self.requester.rng, self.requester.response_busy)
            && (!self.requester.response_after_valid || self.response_waits);
        self.inputs.mem_req_ready = self.server.ready(self.read_waits);
        match self.server.offer(self.cycle) {
            Some(reply) => {
                self.inputs.mem_rsp_valid = true;
                self.inputs.mem_rsp_id = reply.id;
                self.inputs.mem_rsp_error = reply.word.is_none();
                // What comes with an error means nothing, and should look it.
                self.inputs.mem_rsp_data = reply.word.unwrap_or(0x0DEA_DBEF);
            }
            None => self.inputs.mem_rsp_valid = false,
        }
        true
    }

    /// After a reset: nobody waits for anything any more.
    fn forget(&mut self) {
        self.stats.accesses += self.outstanding as u64;
        self.checker.reset(&self.scenario.machine);
        self.server.forget();
        self.inputs = idle_inputs(&self.scenario.machine);
        self.requesting = None;
        self.outstanding = 0;
        self.free_ids = (0..=255).collect();
        self.response_waits = false;
        self.read_waits = false;
    }

    /// Begins what can begin in the next cycle; false when the run is over.
    fn begin_ops(&mut self) -> bool {
        let ops = &self.scenario.ops;
        let is_timed = matches!(ops.get(self.op), Some(Op::Access(_) | Op::Fence(_)));
        if self.waiting > 0 || !is_timed {
            self.begin_timeless_ops();
            if self.wants_reset {
                return true;
            }
        }
        if self.op == ops.len() && self.outstanding == 0 {
            self.tail += 1;
            if self.tail > TAIL {
                return false;
            }
        }

        let mut access = self.op;
        if self.waiting == 0
            && let Some(Op::Fence(fence)) = ops.get(self.op)
        {
            self.inputs.set_fence(fence);
            // A request behind the fence is on its port already: the device must not take it yet.
            access += 1;
        }
        if self.requesting.is_none()
            && self.waiting == 0
            && let Some(Op::Access(op)) = ops.get(access)
            && let Some(&id) = self.free_ids.front()
            && !chance(&mut self.requester.rng, self.requester.idle)
        {
            self.free_ids.pop_front();
            self.inputs.set_request(id, &self.query(op));
            self.requesting = Some(access);
        }
        true
    }

    #[inline]
    fn query(&self, op: &crate::scenario::AccessOp) -> Query {
        Query {
            context: self.scenario.contexts[op.context].context,
            gva: op.gva,
            access: op.access,
        }
    }

    /// Does the ops that take no cycle.
    fn begin_timeless_ops(&mut self) {
        while let Some(op) = self.scenario.ops.get(self.op) {
            match op {
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
                    self.server.set_timing(timing);
                    self.requester = Requester::new(timing);
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
                Op::Drain if self.outstanding == 0 => {}
                Op::Drain | Op::Access(_) | Op::Fence(_) => return,
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

    /// Takes what the device showed, as memory and requester.
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
        seen.taken = self.op;
        seen.fence_taken = self.inputs.fence_valid && outputs.fence_ready;
        seen.request_taken = self.inputs.req_valid && outputs.req_ready;
        if seen.fence_taken {
            // A request beside it is a mismatch, which is yet to be found.
            if !seen.request_taken {
                self.inputs.fence_valid = false;
                self.op += 1;
                self.op_since = cycle;
            }
        } else if seen.request_taken {
            self.inputs.req_valid = false;
            self.requesting = None;
            self.outstanding += 1;
            self.op += 1;
            self.op_since = cycle;
        }

        seen.read = (outputs.mem_req_valid && self.inputs.mem_req_ready).then(|| {
            let at = Hpa(outputs.mem_req_hpa);
            let update = Update::on_port(outputs);
            let word = self
                .server
                .grant(outputs.mem_req_id, at, update, cycle, &mut self.memory);
            if let Some(update) = update
                && word == Some(update.expected)
            {
                self.edits.push(Edit {
                    cycle,
                    at,
                    before: word,
                    by_device: true,
                });
            }
            Read {
                at,
                update,
                word,
                cycle,
            }
        });

        if outputs.rsp_valid && self.inputs.rsp_ready {
            self.free_ids.push_back(outputs.rsp_id);
            // One too many is a mismatch, which is yet to be found.
            self.outstanding = self.outstanding.saturating_sub(1);
        }

        self.response_waits = outputs.rsp_valid && !self.inputs.rsp_ready;
        self.read_waits = outputs.mem_req_valid && !self.inputs.mem_req_ready;
        seen.fence_offered = seen.fence_taken || self.inputs.fence_valid;
        seen.offered = self.requesting.filter(|_| self.inputs.req_valid);
        seen.read_ready = self.inputs.mem_req_ready;
        seen.rsp_ready = self.inputs.rsp_ready;
        let is_asked = self.outstanding > 0 || self.inputs.req_valid || self.inputs.fence_valid;
        seen.owes = is_asked && self.server.is_idle() && !self.inputs.mem_rsp_valid;
        seen.op = self.op;
        self.unjudged += 1;
        self.cycle += 1;
    }

    /// Judges the cycles that have not been.
    fn judge<O: Observer>(&mut self, dut: &Clocked<'_>, observer: &mut O) -> Result<(), Failure> {
        let first = self.cycle - self.unjudged as u64;
        for index in 0..self.unjudged {
            let cycle = first + index as u64;
            if let Err(mismatch) = self.judge_cycle(dut, index, cycle, observer) {
                self.go_back(index, cycle);
                return Err(mismatch.into());
            }
        }
        self.unjudged = 0;
        self.edits.clear();
        Ok(())
    }

    /// Puts the state that a failure tells of back to what it was in a cycle.
    fn go_back(&mut self, index: usize, cycle: u64) {
        self.op = self.seen[index].op;
        while let Some(edit) = self.edits.pop_if(|edit| edit.cycle > cycle) {
            self.edit(edit.at, edit.before);
            self.stats.edits -= u64::from(!edit.by_device);
        }
    }

    /// Judges what the device showed in a cycle.
    #[inline]
    fn judge_cycle<O: Observer>(
        &mut self,
        dut: &Clocked<'_>,
        index: usize,
        cycle: u64,
        observer: &mut O,
    ) -> Result<(), Box<Mismatch>> {
        let seen = &self.seen[index];
        let outputs = &seen.outputs;
        self.checker.begins(seen.request_taken);
        if seen.request_taken {
            if seen.fence_taken {
                let rule = "no request is taken in the cycle of a fence";
                return Err(self.checker.port_mismatch(rule, cycle));
            }
            if let Some(Op::Access(access)) = self.scenario.ops.get(seen.taken) {
                let query = self.query(access);
                self.checker.accepted(seen.id, seen.taken, &query, cycle);
                observer.accepted(cycle, seen.taken, seen.id);
            }
        } else if seen.fence_taken
            && let Some(Op::Fence(fence)) = self.scenario.ops.get(seen.taken)
        {
            self.checker.fence(fence, cycle);
            observer.fenced(cycle, seen.taken, fence);
            self.stats.fences += 1;
        }

        if let Some(slot) = seen.replied {
            observer.replied(cycle, slot);
        }
        if let Some(read) = &seen.read {
            observer.read(outputs.mem_req_id, read);
            if seen.replied == Some(outputs.mem_req_id) {
                // A read that follows upon its predecessor's data at once has not waited.
                self.checker.replied(outputs.mem_req_id);
            }
            if read.update.is_some() {
                self.stats.updates += 1;
            } else {
                self.stats.reads += 1;
            }
            self.checker.read(outputs.mem_req_id, read)?;
        }
        if let Some(slot) = seen.replied {
            self.checker.replied(slot);
        }

        let mut looked_up = false;
        let mut walk_answered = false;
        if outputs.event_valid {
            let Requests { miss, done, second } = dut.requests_of_event(outputs);
            if O::EVENTS
                && let Some(event) = dut.event(outputs)
            {
                observer.event(cycle, &event);
            }
            if self.checker.wants_steps()
                && let Some(step) = dut.step_of_event(outputs)
            {
                self.checker.step(&step, cycle)?;
            }
            if let Some(miss) = miss {
                looked_up = true;
                self.checker.miss(&miss, cycle)?;
                observer.missed(cycle, &miss);
                if miss.merged {
                    self.stats.merged += 1;
                } else {
                    self.stats.walks += 1;
                }
            }
            if let Some(id) = second {
                looked_up = true;
                self.checker.second_hit(id, cycle)?;
                observer.second_hit(cycle, id);
                self.stats.second_hits += 1;
            }
            if let Some(done) = done {
                walk_answered = true;
                let query = self.checker.query(done.id);
                let judged = self
                    .checker
                    .done(&done, cycle, &mut Steps { observer, query })?;
                if let Some(ended) = judged {
                    for (number, step) in self.checker.passes(&ended) {
                        observer.passed(number, step);
                    }
                    let walked = Walked {
                        slot: done.slot,
                        query: ended.query,
                        found: ended.found,
                        fill: done.fill,
                    };
                    observer.walked(cycle, &walked);
                }
                observer.given(cycle, &done);
            }
        }

        let response_taken = outputs.rsp_valid && seen.rsp_ready;
        let looks = (!outputs.rsp_valid || seen.rsp_ready) && !seen.fence_offered && !walk_answered;
        let progress = seen.request_taken || looked_up || response_taken && outputs.rsp_hit;
        if self
            .checker
            .keeps_out(looks, seen.offered.is_some(), progress)
        {
            let offered = seen.offered.and_then(|op| match self.scenario.ops.get(op) {
                Some(Op::Access(access)) => Some(self.query(access)),
                _ => None,
            });
            self.checker.check_room(offered, cycle)?;
        }
        if response_taken {
            let (op, outcome, hit) = self.checker.response(outputs, cycle)?;
            observer.answered(cycle, op, &outcome, hit);
            self.stats.accesses += 1;
            self.stats.hits += u64::from(hit);
            self.stats.faults += u64::from(outcome.is_err());
        }
        self.checker
            .ports(outputs, response_taken, seen.read_ready, cycle)?;
        let is_active = outputs.mem_req_valid
            || outputs.rsp_valid
            || outputs.event_valid
            || seen.request_taken
            || seen.fence_taken;
        self.checker.goes_on(is_active || !seen.owes, cycle)?;
        self.stats.cycles += 1;
        Ok(())
    }

    fn look_for_hang(&self) -> Result<(), Failure> {
        let hang = |op, since| Failure::Hang {
            cycle: self.cycle,
            op,
            since,
        };
        if let Some((op, since)) = self.checker.oldest()
            && self.cycle - since > self.patience
        {
            return Err(hang(op, since));
        }
        let waits_for_device = self.waiting == 0
            && matches!(
                self.scenario.ops.get(self.op),
                Some(Op::Access(_) | Op::Fence(_))
            );
        if waits_for_device && self.cycle - self.op_since > self.patience {
            return Err(hang(self.op, self.op_since));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dut::variants::VARIANTS;
    use crate::scenario::Machine;
    use crate::stimulus::{self, Profile};

    /// Wants every cycle judged at once.
    struct Live;

    impl Observer for Live {}

    #[test]
    fn a_run_comes_to_the_same_whether_or_not_cycles_are_judged_at_once() {
        let small = VARIANTS
            .iter()
            .find(|v| v.tlb_entries < 16 && !v.paging_format().is_riscv())
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
            // The checker believes in a larger TLB than the device has, and so finds pages that should have hit.
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
}
