//! Fewer and simpler ops.

use super::Shrinker;
use crate::addr::{Gpa, Gva};
use crate::bench::Observer;
use crate::mmu::{Access, Fence, Outcome};
use crate::scenario::{AccessOp, Op};

/// Ops of which every pair is tried, and half of those of which every run is.
const FEW_OPS: usize = 24;
/// Waits that are tried in the place of ops.
const WAITS: [u32; 4] = [4, 12, 32, 80];

/// The cycle in which each op was begun, as far as one can tell.
struct Begun(Vec<Option<u64>>);

impl Observer for Begun {
    const LIVE: bool = false;

    fn accepted(&mut self, cycle: u64, op: usize, _: u8) {
        self.0[op] = Some(cycle);
    }

    fn fenced(&mut self, cycle: u64, op: usize, _: &Fence) {
        self.0[op] = Some(cycle);
    }

    fn answered(&mut self, _: u64, _: usize, _: &Outcome, _: bool) {}
}

impl Shrinker<'_> {
    /// Most failures concern one access, and what was done to its page.
    pub(super) fn guess_ops(&mut self) {
        let crate::bench::Failure::Mismatch(mismatch) = &self.failed.failure else {
            return;
        };
        let (Some(op), Some(query)) = (mismatch.op, mismatch.query) else {
            return;
        };
        let page = self.scenario.machine.format.geometry().offset_width;
        let is_alike = |other: &AccessOp| other.gva.0 >> page == query.gva.0 >> page;
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
                &|one| matches!(one, Op::Access(other) if is_alike(other)),
            )
            || keep(self, &|one| match one {
                Op::Access(other) => is_alike(other),
                Op::Write { .. } | Op::Drain | Op::Fence(_) | Op::Reset | Op::WalkCaches(_) => true,
                Op::Wait(_) | Op::Timing(_) | Op::Hold { .. } => false,
            });
    }

    /// Leaves out ops, half of them to single ones at a time.
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

    /// Leaves out two ops that only together are of no use, like a fence and what makes it necessary.
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

    /// Where ops are there for the time that they take, waits for that time: one for several.
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

    /// One wait for two in a row.
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

    /// Cycles between the op before `start` and the one at `end`.
    fn gap(&mut self, start: usize, end: usize) -> Option<u32> {
        let scenario = self.scenario.clone();
        let mut begun = Begun(vec![None; scenario.ops.len()]);
        self.fails_alike(&scenario, &mut begun)?;
        let before = begun.0[..start].iter().rev().find_map(|&cycle| cycle);
        let after = begun.0[end..].iter().find_map(|&cycle| cycle)?;
        u32::try_from(after - before.unwrap_or(0)).ok()
    }

    /// Makes edits at the start.
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

    /// Loads for other accesses, page starts, fences of more, short waits, nothing expected.
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

    /// The shortest wait or hold, as far as halving finds it.
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
