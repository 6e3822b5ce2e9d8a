// SPDX-License-Identifier: Apache-2.0
//! Results for people (text) and for programs (JSON).

pub mod audit;
mod formats;
mod handout;
pub mod json;
pub mod junit;
pub mod mismatch;
mod riscv;
pub mod text;
pub mod vectors;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::addr::Hpa;
use crate::bench::{Observer, Read, Request, Update, Walk, Walked};
use crate::format::Format;
use crate::golden::{self, EntryMemory, Mapping, Overlay, Step};
use crate::memory::HostMemory;
use crate::mmu::{Fault, FaultKind, Outcome, Query};
use crate::scenario::{AccessOp, Holes, Op, Scenario};

/// The golden walk of one access of a scenario.
#[derive(Clone, Debug)]
pub struct GoldenAccess<'a> {
    /// Index of its op.
    pub op: usize,
    /// The op.
    pub access: &'a AccessOp,
    /// The request.
    pub query: Query,
    /// The steps of the walk.
    pub steps: Vec<Step>,
    /// The result of the walk.
    pub found: Result<Mapping, Fault>,
    /// The differences from the expectation of the scenario.
    pub differences: Vec<String>,
    /// The expectation concerns the device alone, and nothing has been compared: it is a memory
    /// fault, memory returns errors at random, and this walk has none.
    pub of_device_alone: bool,
}

impl GoldenAccess<'_> {
    /// Returns true if this walk has been compared with the expectation of the scenario.
    pub fn is_compared(&self) -> bool {
        self.access.expect.is_some() && !self.of_device_alone
    }
}

/// Returns the request of an access.
pub fn query(scenario: &Scenario, access: &AccessOp) -> Query {
    Query {
        context: scenario
            .machine
            .heeded(&scenario.contexts[access.context].context),
        gva: access.gva,
        access: access.access,
    }
}

/// The golden walk of every access, one after the other, each over the memory of its turn and
/// without a TLB.
pub fn golden_accesses(scenario: &Scenario) -> Vec<GoldenAccess<'_>> {
    let format = scenario.machine.format;
    let mut memory = scenario.memory.clone();
    let injects_errors = scenario.injects_errors();
    let mut accesses = Vec::new();
    for (op, step) in scenario.ops.iter().enumerate() {
        match step {
            Op::Write { at, word } => match word {
                Some(word) => memory.write(*at, *word),
                None => memory.remove(*at),
            },
            Op::Access(access) => {
                let query = query(scenario, access);
                let mut steps = Vec::new();
                let found = golden::walk(format, &query, &mut memory, &mut steps);
                let is_memory_fault = found.is_err_and(|fault| fault.kind == FaultKind::Memory);
                let expect = access.expect.as_ref();
                let of_device_alone = injects_errors
                    && !is_memory_fault
                    && expect.is_some_and(|expect| expect.is_memory_fault());
                let differences = expect
                    .filter(|_| !of_device_alone)
                    .map(|expect| expect.check_golden(format, &steps, &found))
                    .unwrap_or_default();
                accesses.push(GoldenAccess {
                    op,
                    access,
                    query,
                    steps,
                    found,
                    differences,
                    of_device_alone,
                });
            }
            Op::Fence(_)
            | Op::Timing(_)
            | Op::Wait(_)
            | Op::Drain
            | Op::Reset
            | Op::Hold { .. }
            | Op::WalkCaches(_) => {}
        }
    }
    accesses
}

/// A walk reads a hole, and the scenario does not say that it means to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{place}the walk of {access} gVA {gva} reads hPA {hole} ({table}), where the memory image has a hole\n  \
     Give the word there; or expect = {{ fault = {{ kind = \"memory\" }} }} for this access; or holes = \"fault\" in [memory]"
)]
pub struct HoleInImage {
    place: String,
    access: crate::mmu::Access,
    gva: crate::addr::Gva,
    hole: crate::addr::Hpa,
    table: String,
}

/// Looks for walks that read holes by mistake.
///
/// # Errors
/// The first of them.
pub fn reject_holes(scenario: &Scenario, accesses: &[GoldenAccess<'_>]) -> Result<(), HoleInImage> {
    if scenario.holes == Holes::Fault {
        return Ok(());
    }
    for access in accesses {
        let expects_fault = access
            .access
            .expect
            .as_ref()
            .is_some_and(|expect| expect.is_memory_fault());
        if expects_fault {
            continue;
        }
        if let Some(step) = access
            .steps
            .iter()
            .find(|s| s.hpa.is_some() && s.word.is_none())
            && let Some(hole) = step.hpa
            // An access that a region does not permit is no mistake.
            && scenario.memory.permits(hole, step.update.is_some())
        {
            return Err(HoleInImage {
                place: access
                    .access
                    .line
                    .map_or_else(String::new, |line| format!("line {line}: ")),
                access: access.access.access,
                gva: access.access.gva,
                hole,
                table: step.at.describe(scenario.machine.format),
            });
        }
    }
    Ok(())
}

/// The actions of a device for one access.
#[derive(Clone, Debug, Default)]
pub struct DeviceAccess {
    /// The cycle in which its request was accepted, the first time that it was made.
    pub first_accepted: Option<u64>,
    /// And the last time.
    pub accepted: Option<u64>,
    /// The cycles of the replays, each of which a fence is the reason for.
    pub replays: Vec<u64>,
    /// The last replay has ended it: its requester did not ask again.
    pub abandoned: bool,
    /// The cycle, the answer, and whether the TLB gave it.
    pub answered: Option<(u64, Outcome, bool)>,
    /// The walk that answers it: index into [`Recorder::walks`].
    pub walk: Option<usize>,
    /// The walk was under way already.
    pub merged: bool,
    /// The TLB's second level gave the answer.
    pub by_second: bool,
}

/// A walk of the device.
#[derive(Clone, Debug)]
pub struct DeviceWalk {
    /// Its slot.
    pub slot: u8,
    /// Its reads.
    pub reads: Vec<Read>,
    /// The golden walk over the words that it was given; none if it has not ended, or not as the
    /// golden walk.
    pub judged: Option<JudgedWalk>,
}

/// A golden walk over the words that a device was given.
#[derive(Clone, Debug)]
pub struct JudgedWalk {
    /// The request: of those that share the device's walk, the first that has got its result.
    pub query: Query,
    /// Its steps.
    pub steps: Vec<Step>,
    /// The result of the walk.
    pub found: Result<Mapping, Fault>,
}

/// Records all of a run.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    /// By op.
    pub accesses: Vec<DeviceAccess>,
    /// Every walk.
    pub walks: Vec<DeviceWalk>,
    /// The cycles in which fences were taken, with their ops.
    pub fences: Vec<(u64, usize)>,
    /// Set, it ends the run.
    pub interrupt: Option<Arc<AtomicBool>>,
    /// Steps of the walk that is being judged.
    steps: Vec<Step>,
}

impl Recorder {
    /// For a run of `scenario`.
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            accesses: vec![DeviceAccess::default(); scenario.ops.len()],
            walks: Vec::new(),
            fences: Vec::new(),
            interrupt: None,
            steps: Vec::new(),
        }
    }

    /// The reads of an access's walk; none without one.
    pub fn reads(&self, op: usize) -> &[Read] {
        self.accesses[op]
            .walk
            .map_or(&[], |walk| &self.walks[walk].reads)
    }
}

impl Observer for Recorder {
    fn is_interrupted(&self) -> bool {
        let flag = self.interrupt.as_ref();
        flag.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    fn accepted(&mut self, cycle: u64, request: &Request) {
        let access = &mut self.accesses[request.op];
        *access = DeviceAccess {
            first_accepted: access.first_accepted.or(Some(cycle)),
            accepted: Some(cycle),
            replays: std::mem::take(&mut access.replays),
            ..DeviceAccess::default()
        };
    }

    fn replayed(&mut self, cycle: u64, request: &Request) {
        self.accesses[request.op].replays.push(cycle);
    }

    fn abandoned(&mut self, _: u64, op: usize) {
        self.accesses[op].abandoned = true;
    }

    fn answered(&mut self, cycle: u64, request: &Request, outcome: &Outcome, hit: bool) {
        self.accesses[request.op].answered = Some((cycle, *outcome, hit));
    }

    fn fenced(&mut self, cycle: u64, op: usize, _: &crate::mmu::Fence) {
        self.fences.push((cycle, op));
    }

    fn read(&mut self, _: u8, walk: Option<&Walk>, read: &Read) {
        if let Some(walk) = walk {
            self.walks[walk.number].reads.push(*read);
        }
    }

    fn step(&mut self, _: &Query, step: &Step) {
        self.steps.push(*step);
    }

    fn walked(&mut self, _: u64, walked: &Walked<'_>) {
        self.walks[walked.walk.number].judged = Some(JudgedWalk {
            query: walked.query,
            steps: std::mem::take(&mut self.steps),
            found: walked.found,
        });
    }

    fn second_hit(&mut self, _: u64, request: &Request) {
        self.accesses[request.op].by_second = true;
    }

    fn assigned(&mut self, _: u64, request: &Request, walk: &Walk) {
        if walk.number == self.walks.len() {
            self.walks.push(DeviceWalk {
                slot: walk.slot,
                reads: Vec::new(),
                judged: None,
            });
        }
        let access = &mut self.accesses[request.op];
        access.walk = Some(walk.number);
        access.merged = request.is_coalesced;
    }
}

/// The golden walk over the words that a device was given, and over `memory` from where the device
/// left its path.
pub fn golden_beside(
    format: Format,
    query: &Query,
    reads: &[Read],
    memory: &HostMemory,
) -> (Vec<Step>, Result<Mapping, Fault>) {
    struct Beside<'a> {
        reads: std::slice::Iter<'a, Read>,
        memory: Overlay<'a>,
        left: bool,
    }
    impl Beside<'_> {
        fn served(&mut self, at: Hpa, update: Option<Update>) -> Option<Option<u64>> {
            if !self.left
                && let Some(read) = self.reads.next()
                && read.at == at
                && read.update == update
            {
                return Some(read.word);
            }
            self.left = true;
            None
        }
    }
    impl EntryMemory for Beside<'_> {
        fn read_entry(&mut self, at: Hpa) -> Option<u64> {
            match self.served(at, None) {
                Some(word) => word,
                None => self.memory.read_entry(at),
            }
        }

        fn update_entry(&mut self, at: Hpa, expected: u64, new: u64) -> Option<u64> {
            match self.served(at, Some(Update { expected, new })) {
                Some(word) => word,
                None => self.memory.update_entry(at, expected, new),
            }
        }
    }
    let mut beside = Beside {
        reads: reads.iter(),
        memory: Overlay::new(memory),
        left: false,
    };
    let mut steps = Vec::new();
    let found = golden::walk(format, query, &mut beside, &mut steps);
    (steps, found)
}
