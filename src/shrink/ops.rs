// SPDX-License-Identifier: Apache-2.0
//! Changes of operations: fewer and simpler ones.

use super::Shrinker;
use crate::addr::{Gpa, Gva};
use crate::bench::Observer;
use crate::mmu::{Access, Fence};
use crate::scenario::{AccessOp, Op, Scenario};

/// The largest number of operations of which every pair is tried. Half of it is the largest number
/// of which every run is tried.
const FEW_OPS: usize = 24;
/// Waits that are tried in place of operations.
const WAITS: [u32; 4] = [4, 12, 32, 80];

/// The cycle since which each operation was the next to begin, and at the end the cycle of the end;
/// none for operations that were not reached.
pub(super) struct Starts {
    /// True for an operation that ends with the cycle in which it begins. Other operations begin in
    /// the cycle of the operation after them.
    is_timed: Vec<bool>,
    pub cycles: Vec<Option<u64>>,
    /// The index of the last operation that was reached.
    reached: usize,
}

impl Starts {
    pub fn of(ops: &[Op]) -> Self {
        let mut cycles = vec![None; ops.len() + 1];
        cycles[0] = Some(0);
        Self {
            is_timed: ops.iter().map(is_timed).collect(),
            cycles,
            reached: 0,
        }
    }
}

impl Observer for Starts {
    const LIVE: bool = false;
    const BEGUN: bool = true;

    fn begun(&mut self, cycle: u64, next: usize) {
        for op in self.reached..next {
            self.cycles[op + 1] = Some(cycle + u64::from(self.is_timed[op]));
        }
        self.reached = next;
    }
}

impl Starts {
    /// Returns the cycle in which an operation began. For a request or a fence it is the cycle in
    /// which it was accepted.
    fn begun(&self, op: usize) -> Option<u64> {
        Some(self.cycles[op + 1]? - u64::from(self.is_timed[op]))
    }
}

fn is_timed(op: &Op) -> bool {
    matches!(op, Op::Access(_) | Op::Fence(_))
}

/// Returns the operations of a scenario, each with the cycle in which it began, in place of waits.
pub(super) fn ops_at_cycles(scenario: &Scenario, starts: &Starts) -> (Scenario, Vec<u64>) {
    let mut new = scenario.clone();
    new.ops.clear();
    let mut cycles = Vec::new();
    for (at, op) in scenario.ops.iter().enumerate() {
        // An operation that did not begin is given its earliest cycle.
        let Some(cycle) = starts.begun(at).or(starts.cycles[at]) else {
            break;
        };
        if !matches!(op, Op::Wait(_) | Op::Drain) {
            new.ops.push(op.clone());
            cycles.push(cycle);
        }
    }
    new.timing.request_idle = 0;
    for op in &mut new.ops {
        if let Op::Timing(timing) = op {
            timing.request_idle = 0;
        }
    }
    (new, cycles)
}

/// Returns the operations with waits in place of the cycles.
pub(super) fn with_waits(ops: &[Op], cycles: &[u64], starts: &Starts) -> Option<Vec<Op>> {
    let mut new = Vec::with_capacity(2 * ops.len());
    for (at, op) in ops.iter().enumerate() {
        // An operation that did not begin was offered from its cycle on.
        let to = starts.begun(at).unwrap_or(cycles[at]);
        if let Some(from) = starts.cycles[at]
            && from < to
        {
            new.push(Op::Wait(u32::try_from(to - from).ok()?));
        }
        new.push(op.clone());
    }
    Some(new)
}

impl Shrinker<'_> {
    /// Tries the most frequent case: the failure needs only one access, and operations on its page.
    pub(super) fn guess_ops(&mut self) {
        let crate::bench::Failure::Mismatch(mismatch) = &self.failed.failure else {
            return;
        };
        let (Some(op), Some(query)) = (mismatch.op, mismatch.query) else {
            return;
        };
        let page = self.scenario.machine.format.geometry().offset_width;
        let is_same_page = |other: &AccessOp| other.gva.0 >> page == query.gva.0 >> page;
        let keep = |shrinker: &mut Self, keep: &dyn Fn(&Op) -> bool| {
            shrinker.attempt(|s| {
                let mut index = 0..;
                s.ops.retain(|one| index.next() == Some(op) || keep(one));
            })
        };
        let _ = keep(self, &|_| false)
            || keep(self, &|one| matches!(one, Op::Write { .. }))
            || keep(
                self,
                &|one| matches!(one, Op::Access(other) if is_same_page(other)),
            )
            || keep(self, &|one| match one {
                Op::Access(other) => is_same_page(other),
                Op::Write { .. } | Op::Drain | Op::Fence(_) | Op::Reset | Op::WalkCaches(_) => true,
                Op::Wait(_) | Op::Timing(_) | Op::Hold { .. } => false,
            });
    }

    /// Removes operations, first half of them at a time, then fewer, down to single ones.
    pub(super) fn drop_ops(&mut self) {
        let mut size = self.scenario.ops.len().div_ceil(2);
        while size > 0 && self.budget > 0 {
            let mut dropped = false;
            let mut end = self.scenario.ops.len();
            while end > 0 {
                let start = end.saturating_sub(size);
                dropped |= self.attempt(|s| drop(s.ops.drain(start..end)));
                end = start;
            }
            if size > 1 {
                size = size.div_ceil(2);
            } else if !dropped {
                return;
            }
        }
    }

    /// Removes operations in the same way, while the others begin in the same cycles as before, so
    /// that they keep most draws of memory and requester. At the end, waits replace the cycles.
    pub(super) fn drop_ops_in_place(&mut self) {
        let mut starts = Starts::of(&self.scenario.ops);
        let scenario = self.scenario.clone();
        if self.same_failure(&scenario, &mut starts).is_none() {
            return;
        }
        let (mut scenario, mut cycles) = ops_at_cycles(&scenario, &starts);
        if self.same_failure_at(&scenario, &cycles, &mut ()).is_none() {
            return;
        }
        let before = scenario.ops.len();
        // The rest of the budget is for the passes after this one.
        let reserve = self.budget / 2;
        let mut size = before.div_ceil(2);
        while size > 0 && self.budget > reserve {
            let mut dropped = false;
            let mut end = scenario.ops.len();
            while end > 0 && self.budget > reserve {
                let start = end.saturating_sub(size);
                let mut candidate = (scenario.clone(), cycles.clone());
                candidate.0.ops.drain(start..end);
                candidate.1.drain(start..end);
                if !candidate.0.ops.is_empty()
                    && self
                        .same_failure_at(&candidate.0, &candidate.1, &mut ())
                        .is_some()
                {
                    (scenario, cycles) = candidate;
                    dropped = true;
                }
                end = start;
            }
            if size > 1 {
                size = size.div_ceil(2);
            } else if !dropped {
                break;
            }
        }
        // Waits alone do not make the scenario smaller.
        if scenario.ops.len() < before {
            let mut starts = Starts::of(&scenario.ops);
            self.same_failure_at(&scenario, &cycles, &mut starts);
            if let Some(ops) = with_waits(&scenario.ops, &cycles, &starts) {
                scenario.ops = ops;
                self.try_it(scenario);
            }
        }
    }

    /// Removes two operations of which neither can be removed alone, such as a fence and the edit
    /// that needs it.
    pub(super) fn drop_pairs(&mut self) {
        let mut first = 0;
        while first < self.scenario.ops.len() && self.scenario.ops.len() <= FEW_OPS {
            let len = self.scenario.ops.len();
            let dropped = (first + 1..len).any(|second| {
                self.attempt(|s| {
                    s.ops.remove(second);
                    s.ops.remove(first);
                })
            });
            if !dropped {
                first += 1;
            }
        }
    }

    /// Replaces operations that matter only for their time by one wait of that time.
    pub(super) fn replace_by_waits(&mut self) {
        if self.scenario.ops.len() > 2 * FEW_OPS {
            return;
        }
        let mut size = self.scenario.ops.len() / 2;
        while size > 1 && self.budget > 0 {
            let mut end = self.scenario.ops.len();
            while end >= size {
                let start = end - size;
                let gap = self.gap(start, end);
                let replaced = gap.into_iter().chain(WAITS).any(|cycles| {
                    self.attempt(|s| drop(s.ops.splice(start..end, [Op::Wait(cycles)])))
                });
                end = if replaced { start } else { end - 1 };
            }
            size -= 1;
        }
    }

    /// Replaces two adjacent waits by one.
    pub(super) fn merge_waits(&mut self) {
        let mut index = 0;
        while index + 1 < self.scenario.ops.len() {
            let (Op::Wait(a), Op::Wait(b)) =
                (&self.scenario.ops[index], &self.scenario.ops[index + 1])
            else {
                index += 1;
                continue;
            };
            let sum = a.saturating_add(*b).max(1);
            let merged = [sum, sum - 1].into_iter().any(|cycles| {
                self.attempt(|s| drop(s.ops.splice(index..index + 2, [Op::Wait(cycles)])))
            });
            index += usize::from(!merged);
        }
    }

    /// Returns the number of cycles from the start of operation `start` to the start of operation
    /// `end`.
    fn gap(&mut self, start: usize, end: usize) -> Option<u32> {
        let scenario = self.scenario.clone();
        let mut starts = Starts::of(&scenario.ops);
        self.same_failure(&scenario, &mut starts)?;
        u32::try_from(starts.cycles[end]? - starts.cycles[start]?).ok()
    }

    /// Moves edits to the start of the scenario.
    pub(super) fn fold_writes(&mut self) {
        let mut index = 0;
        while index < self.scenario.ops.len() {
            let folded = match self.scenario.ops[index] {
                Op::Write { at, word } => self.attempt(|s| {
                    s.ops.remove(index);
                    match word {
                        Some(word) => s.memory.write(at, word),
                        None => s.memory.remove(at),
                    }
                }),
                _ => false,
            };
            if !folded {
                index += 1;
            }
        }
    }

    /// Simplifies operations: loads for other accesses, addresses at the start of a page, fences
    /// with fewer operands, short waits, and no expectations.
    pub(super) fn simplify_ops(&mut self) {
        self.attempt(|s| {
            for op in &mut s.ops {
                if let Op::Access(access) = op {
                    access.expect = None;
                }
            }
        });
        let offset_width = self.scenario.machine.format.geometry().offset_width;
        let page = |address: u64| address >> offset_width << offset_width;
        self.attempt(|s| {
            for op in &mut s.ops {
                if let Op::Access(access) = op {
                    access.gva = Gva(page(access.gva.0));
                }
            }
        });
        for index in 0..self.scenario.ops.len() {
            match self.scenario.ops[index].clone() {
                Op::Access(access) => {
                    let mut change = |change: &dyn Fn(&mut AccessOp)| {
                        self.attempt(|s| {
                            if let Op::Access(access) = &mut s.ops[index] {
                                change(access);
                            }
                        })
                    };
                    let _ = access.access == Access::Load
                        || change(&|a| a.access = Access::Load)
                        || access.access != Access::LoadExecute
                        || change(&|a| a.access = Access::Fetch);
                    change(&|a| a.gva = Gva(page(a.gva.0)));
                    if access.speculative {
                        change(&|a| a.speculative = false);
                    }
                }
                Op::Fence(fence) => self.simplify_fence(index, &fence),
                Op::Wait(cycles) => self.shorten(index, cycles, Op::Wait),
                Op::Hold { what, cycles } => {
                    self.shorten(index, cycles, |cycles| Op::Hold { what, cycles });
                }
                Op::Write { .. } | Op::Timing(_) | Op::Drain | Op::Reset | Op::WalkCaches(_) => {}
            }
        }
    }

    fn simplify_fence(&mut self, index: usize, fence: &Fence) {
        let offset_width = self.scenario.machine.format.geometry().offset_width;
        let page = |address: u64| address >> offset_width << offset_width;
        let mut change = |change: &dyn Fn(&mut Fence)| {
            self.attempt(|s| {
                if let Op::Fence(fence) = &mut s.ops[index] {
                    change(fence);
                }
            })
        };
        let everything = Fence {
            virt: fence.virt,
            ..Fence::default()
        };
        if change(&|f| *f = everything) {
            return;
        }
        let changes: [&dyn Fn(&mut Fence); 6] = [
            &|f| f.gva = None,
            &|f| f.gpa = None,
            &|f| f.asid = None,
            &|f| f.vmid = None,
            &|f| f.gva = f.gva.map(|gva| Gva(page(gva.0))),
            &|f| f.gpa = f.gpa.map(|gpa| Gpa(page(gpa.0))),
        ];
        for one in changes {
            change(one);
        }
    }

    /// Shortens a wait or a hold by bisection.
    fn shorten(&mut self, index: usize, cycles: u32, op: impl Fn(u32) -> Op) {
        let (mut too_short, mut enough) = (0, cycles);
        while too_short + 1 < enough {
            let cycles = too_short + (enough - too_short) / 2;
            if self.attempt(|s| s.ops[index] = op(cycles)) {
                enough = cycles;
            } else {
                too_short = cycles;
            }
        }
    }
}
