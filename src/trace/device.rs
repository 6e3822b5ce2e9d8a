// SPDX-License-Identifier: Apache-2.0
//! A trace on the RTL. The trace becomes a scenario, and every response is compared.
//!
//! Accesses overlap as far as the order of the trace permits. A change of a word that walks may
//! have read waits for the accesses before it. An access that sets accessed or dirty bits runs
//! alone. All accesses between two such points see the same memory, so a fresh walk gives the same
//! result at any time, and every line without a mark has one legal response. A fence waits for no
//! walk.

use std::sync::atomic::{AtomicBool, Ordering};

use super::parse::{MOST_BLOCKS, MOST_OPS};
use super::{
    AccessLine, Counts, Differences, Mark, Problem, Reader, Record, TraceError, describe_outcome,
    describe_result, describe_updates, is_result,
};
use crate::addr::Hpa;
use crate::bench::{self, Failed, Observer, Read, Request, Stats, Walk};
use crate::dut::Dut;
use crate::dut::variants::{SecondTlb, WalkCacheEntries};
use crate::format::Format;
use crate::memory::HostMemory;
use crate::mmu::{Fence, Outcome, WalkCaches};
use crate::scenario::{AccessOp, Holes, Machine, NamedContext, Op, Scenario, Timing};

/// TLB entries of the device that traces run on.
pub const TLB_ENTRIES: u32 = 32;

/// Second-level TLB of the one that has one, with walk caches of [`SECOND_TLB_CACHES`] entries.
pub const SECOND_TLB: SecondTlb = SecondTlb {
    sets: 32,
    ways: 4,
    superpages: 16,
};
/// See [`SECOND_TLB`].
pub const SECOND_TLB_CACHES: u32 = 8;

/// Accesses from one call of the progress to the next.
const PROGRESS: u64 = 1 << 12;

/// The expected result of an operation.
enum Want {
    /// The operation is not an access.
    Nothing,
    /// The translation, and nothing else.
    Translation(Hpa),
    /// One of [`Lowered::rare`]. The other variants fit into one word, because there are millions
    /// of them.
    Rare(u32),
}

/// The expected result of an access that may fault, or update, or give another result.
struct Rare {
    line: AccessLine,
    updates: Vec<(Hpa, u64)>,
}

/// A trace as a scenario, with the expected result of each access.
pub struct Lowered {
    scenario: Scenario,
    /// The expected results, by operation.
    wants: Vec<Want>,
    rare: Vec<Rare>,
    /// Lines that were read.
    pub counts: Counts,
    /// Accesses for which another result is legal too.
    pub marked: u64,
    /// Changes of words that were known.
    pub changes: u64,
}

/// The result of a replay on the RTL.
pub struct Replay {
    /// The figures of the run.
    pub stats: Stats,
    /// Updates of accessed and dirty bits that the device made.
    pub updates: u64,
    /// Accesses that gave an older result, as their marks permit.
    pub older: u64,
    /// Differences from the trace.
    pub differences: Differences,
    /// A failure of a check of the testbench. The run ended there.
    pub failed: Option<Box<Failed>>,
    /// The line of the access that it found this at.
    pub failed_line: Option<u64>,
}

/// The options of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// No more accesses than this.
    pub limit: u64,
    /// Cycles from the grant of a read to its data, 1 or more.
    pub latency: u32,
    /// Each access waits for the response to the one before it.
    pub serial: bool,
    /// Walk caches in use.
    pub walk_caches: WalkCaches,
    /// Entries of each, of each level.
    pub walk_cache_entries: u32,
    /// The device has a second-level TLB: [`SECOND_TLB`].
    pub second_tlb: bool,
}

/// The device that traces are for.
pub fn machine(walk_cache_entries: u32, walk_caches: WalkCaches, second_tlb: bool) -> Machine {
    Machine {
        tlb_entries: TLB_ENTRIES,
        walk_cache_entries: WalkCacheEntries::all(walk_cache_entries),
        walk_caches,
        tlb2: second_tlb.then_some(SECOND_TLB),
        ..Machine::of(Format::Rv64)
    }
}

/// Reads a trace up to its end, its limit, an interrupt or an error. An error is returned together
/// with what was read before it.
pub fn lower(
    reader: &mut Reader,
    options: &Options,
    interrupt: &AtomicBool,
) -> (Lowered, Option<TraceError>) {
    let &Options {
        limit,
        latency,
        serial,
        walk_caches,
        walk_cache_entries,
        second_tlb,
    } = options;
    let machine = machine(walk_cache_entries, walk_caches, second_tlb);
    let mut lowering = Lowering {
        to: Lowered {
            scenario: Scenario {
                title: "a trace".to_owned(),
                machine,
                memory: HostMemory::new(Format::Rv64),
                holes: Holes::Fault,
                timing: Timing {
                    latency: latency..=latency,
                    ..Timing::default()
                },
                contexts: Vec::new(),
                ops: Vec::new(),
            },
            wants: Vec::new(),
            rare: Vec::new(),
            counts: Counts::default(),
            marked: 0,
            changes: 0,
        },
        memory: HostMemory::new(Format::Rv64),
        last: None,
        drained: true,
        serial,
    };
    let error = lowering.all(reader, limit, interrupt).err();
    if error.is_some() {
        lowering.leave_out_last();
    }
    let mut lowered = lowering.to;
    lowered.scenario.contexts = (1..)
        .zip(reader.contexts())
        .map(|(number, context)| NamedContext {
            name: format!("{number:x}"),
            context: *context,
        })
        .collect();
    (lowered, error)
}

struct Lowering {
    to: Lowered,
    /// Memory in the order of the trace.
    memory: HostMemory,
    /// The access whose W lines may yet come.
    last: Option<AccessLine>,
    /// No access is in flight.
    drained: bool,
    /// See [`Options::serial`].
    serial: bool,
}

impl Lowering {
    fn all(
        &mut self,
        reader: &mut Reader,
        limit: u64,
        interrupt: &AtomicBool,
    ) -> Result<(), TraceError> {
        loop {
            self.to.counts = *reader.counts();
            // A line is a few ops at most.
            if self.to.scenario.ops.len() + 8 > MOST_OPS {
                return Err(reader.wrong(Problem::TooManyOps));
            }
            match reader.next_record()? {
                None => return Ok(()),
                Some(Record::Access(_))
                    if self.to.counts.accesses == limit || interrupt.load(Ordering::Relaxed) =>
                {
                    return Ok(());
                }
                Some(Record::Access(access)) => self.access(access, reader.line()),
                Some(Record::Update { at, word }) => self.update(at, word),
                Some(Record::Memory { at, word }) => self.word(at, word),
                Some(Record::Fence(fence)) => self.fence(fence),
                Some(Record::Context) => {}
            }
            if self.memory.blocks() > MOST_BLOCKS {
                return Err(reader.wrong(Problem::TooMuchMemory));
            }
        }
    }

    /// Removes the last access, because its updates are not known.
    fn leave_out_last(&mut self) {
        let ops = &mut self.to.scenario.ops;
        if let Some(last) = ops.iter().rposition(|op| matches!(op, Op::Access(_))) {
            ops.truncate(last);
            self.to.wants.truncate(last);
        }
    }

    fn push(&mut self, op: Op, want: Want) {
        self.to.scenario.ops.push(op);
        self.to.wants.push(want);
    }

    fn drain(&mut self) {
        if !self.drained {
            self.push(Op::Drain, Want::Nothing);
            self.drained = true;
        }
    }

    fn write(&mut self, at: Hpa, word: u64) {
        self.memory.write(at, word);
        let word = Some(word);
        self.push(Op::Write { at, word }, Want::Nothing);
    }

    #[inline]
    fn access(&mut self, access: AccessLine, line: u64) {
        let op = Op::Access(AccessOp {
            context: access.context,
            gva: access.gva,
            access: access.access,
            speculative: false,
            expect: None,
            line: u32::try_from(line).ok(),
        });
        self.to.marked += u64::from(!access.marks.is_empty());
        if self.serial {
            self.drain();
        }
        self.drained = false;
        match access.result {
            Ok(pa) if access.marks.is_empty() => {
                self.push(op, Want::Translation(pa));
                self.last = Some(access);
            }
            _ => self.push_rare(op, access),
        }
    }

    fn push_rare(&mut self, op: Op, line: AccessLine) {
        self.push(op, Want::Rare(self.to.rare.len() as u32));
        self.to.rare.push(Rare {
            line,
            updates: Vec::new(),
        });
        self.last = None;
    }

    fn update(&mut self, at: Hpa, word: u64) {
        if let Some(line) = self.last.take()
            && let Some(op) = self.to.scenario.ops.pop()
        {
            // The access is not a common one after all.
            self.to.wants.pop();
            self.push_rare(op, line);
        }
        if !self.drained
            && let (Some(op), Some(want)) = (self.to.scenario.ops.pop(), self.to.wants.pop())
        {
            // The access runs alone: earlier accesses must not find the bits set, and its updates
            // can be told from others'.
            self.push(Op::Drain, Want::Nothing);
            self.push(op, want);
            self.drain();
        }
        if let Some(rare) = self.to.rare.last_mut() {
            rare.updates.push((at, word));
        }
        self.write(at, word);
    }

    fn word(&mut self, at: Hpa, word: u64) {
        match self.memory.read(at) {
            Ok(known) if known == word => return,
            Ok(_) => {
                self.drain();
                self.to.changes += 1;
            }
            // No walk before has read it.
            Err(_) => {}
        }
        self.write(at, word);
    }

    fn fence(&mut self, fence: Option<Fence>) {
        if let Some(fence) = fence {
            self.push(Op::Fence(fence), Want::Nothing);
        }
    }
}

impl Lowered {
    /// The scenario that the trace has become.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// The scenario, to be changed.
    pub fn scenario_mut(&mut self) -> &mut Scenario {
        &mut self.scenario
    }

    /// The line of an op, if it is an access.
    fn line(&self, op: usize) -> Option<u64> {
        match self.scenario.ops.get(op) {
            Some(Op::Access(access)) => access.line.map(u64::from),
            _ => None,
        }
    }

    /// Runs the scenario on a device, from its reset state, up to an interrupt. `progress` is
    /// called with the number of further accesses that have a response.
    pub fn replay(&self, dut: &mut Dut, progress: &dyn Fn(u64), interrupt: &AtomicBool) -> Replay {
        let mut compare = Compare {
            lowered: self,
            progress,
            interrupt,
            answered: 0,
            made: Vec::new(),
            updates: 0,
            older: 0,
            differences: Differences::default(),
        };
        let (stats, failed) = match bench::run(dut, &self.scenario, &mut compare) {
            Ok(stats) => (stats, None),
            Err(failed) => (failed.stats, Some(failed)),
        };
        let failed_line = failed.as_ref().and_then(|failed| {
            self.line(match &failed.failure {
                bench::Failure::Mismatch(mismatch) => mismatch.op?,
                bench::Failure::Hang { op, .. } => *op,
                bench::Failure::Device { .. } => return None,
            })
        });
        progress(compare.answered % PROGRESS);
        Replay {
            stats,
            updates: compare.updates,
            older: compare.older,
            differences: compare.differences,
            failed,
            failed_line,
        }
    }
}

/// Compares the responses of a run with the trace.
struct Compare<'a> {
    lowered: &'a Lowered,
    progress: &'a dyn Fn(u64),
    interrupt: &'a AtomicBool,
    answered: u64,
    /// Updates by the device for accesses without a response yet, with the operation of the access
    /// that each walk was started for.
    made: Vec<(usize, Hpa, u64)>,
    updates: u64,
    older: u64,
    differences: Differences,
}

impl Observer for Compare<'_> {
    const LIVE: bool = false;

    fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    fn answered(&mut self, _cycle: u64, request: &Request, outcome: &Outcome, hit: bool) {
        let op = request.op;
        self.answered += 1;
        if self.answered.is_multiple_of(PROGRESS) {
            (self.progress)(PROGRESS);
        }
        match self.lowered.wants.get(op) {
            Some(Want::Translation(hpa))
                if self.made.is_empty()
                    && outcome.is_ok_and(|translation| translation.hpa == *hpa) => {}
            want => self.compare(op, want, outcome, hit),
        }
    }

    fn read(&mut self, _slot: u8, walk: Option<&Walk>, read: &Read) {
        if let Some(walk) = walk
            && let Some(update) = read.update
            && read.word == Some(update.expected)
        {
            self.made.push((walk.op, read.at, update.new));
            self.updates += 1;
        }
    }
}

impl Compare<'_> {
    #[cold]
    fn compare(&mut self, op: usize, want: Option<&Want>, outcome: &Outcome, hit: bool) {
        let own = self.made.extract_if(.., |(of, ..)| *of == op);
        let made: Vec<_> = own.map(|(_, at, word)| (at, word)).collect();
        let line = self.lowered.line(op).unwrap_or(0);
        let (result, marks, updates, virt) = match want {
            Some(Want::Rare(rare)) => {
                let Rare { line, updates } = &self.lowered.rare[*rare as usize];
                let context = &self.lowered.scenario.contexts[line.context].context;
                (line.result, &line.marks[..], &updates[..], context.virt)
            }
            Some(Want::Translation(hpa)) => (Ok(*hpa), &[][..], &[][..], false),
            // A response to anything but an access is a mismatch that the testbench itself reports.
            Some(Want::Nothing) | None => return,
        };
        // Only the TLB may be behind memory, because no known word changes while a walk is in
        // flight. This device gives no fault from the TLB, so a mark that allows a fault has no
        // effect.
        let is_older = hit
            && made.is_empty()
            && marks.iter().any(|mark| match (mark, outcome) {
                (Mark::Translation(pa), Ok(translation)) => translation.hpa == *pa,
                _ => false,
            });
        let is_fresh = is_result(outcome, &result, virt);
        if is_fresh && made == updates {
            return;
        }
        if is_older {
            self.older += 1;
            return;
        }
        let (expected, got) = if is_fresh {
            (describe_updates(updates), describe_updates(&made))
        } else {
            (describe_result(&result), describe_outcome(outcome))
        };
        let or: Vec<String> = marks
            .iter()
            .map(|mark| match mark {
                Mark::Translation(pa) => format!(", or ={:x} with no W", pa.0),
                Mark::PageFault => ", or a page fault".to_owned(),
            })
            .collect();
        self.differences.add(line, expected + &or.concat(), got);
    }
}
