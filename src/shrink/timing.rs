// SPDX-License-Identifier: Apache-2.0
//! Changes of timing and of the device, to simpler ones.

use std::ops::RangeInclusive;

use super::Shrinker;
use crate::bench::Failure;
use crate::dut::variants::VARIANTS;
use crate::mmu::WalkCaches;
use crate::scenario::{Machine, Op, Scenario, Timing};

/// The latencies that are tried if 1 does not suffice and nothing else delays.
const LATENCIES: [u32; 8] = [2, 3, 4, 6, 8, 12, 16, 24];
/// A wait that is longer than any walk with plain timing, in cycles.
const LONG_WAIT: u32 = 200;
/// The largest number of operations for which exact waits and seeds are tried.
const FEW_OPS: usize = 24;
/// The latencies and waits that are tried for them.
const EXACT_LATENCIES: [u32; 4] = [1, 2, 4, 8];
const EXACT_WAITS: RangeInclusive<u32> = 1..=48;
/// The number of seeds that are tried, from 0.
const SEEDS: u64 = 24;
/// The rate of errors at which every read has an error, in a thousand.
const ALL: u32 = 1000;

/// A change that removes some operations.
type Change<'a> = &'a dyn Fn(&mut Vec<Op>);

impl Shrinker<'_> {
    /// Simplifies timing: no delays, one latency, no reordering and no errors, if possible at all
    /// times.
    pub(super) fn simplify_timing(&mut self) {
        let plain = |latency: RangeInclusive<u32>, errors| Timing {
            latency,
            errors,
            ..Timing::default()
        };
        let always = |shrinker: &mut Self, timing: Timing| {
            shrinker.attempt(|s| {
                s.timing = timing;
                s.ops.retain(|op| !matches!(op, Op::Timing(_)));
            })
        };
        if self.is_plain() || always(self, plain(1..=1, 0)) {
            return;
        }
        self.no_regions();
        self.holes_for_errors();
        if self.is_plain()
            || always(self, plain(1..=1, 0))
            || always(self, plain(1..=1, ALL))
            || LATENCIES.iter().any(|&n| always(self, plain(n..=n, 0)))
            || self.wait_instead()
            || self.wait_exactly()
        {
            return;
        }
        self.draw_anew();

        self.attempt(|s| s.ops.retain(|op| !matches!(op, Op::Timing(_))));
        // A change of timing may also apply from the start.
        while let Some((at, timing)) = self.scenario.ops.iter().enumerate().find_map(|(at, op)| {
            let Op::Timing(timing) = op else { return None };
            Some((at, timing.clone()))
        }) {
            let folded = self.attempt(|s| {
                s.timing = timing;
                s.ops.remove(at);
            });
            if !folded {
                break;
            }
        }
        let places = self.scenario.ops.len() + 1;
        for place in (0..places).rev() {
            self.simplify_timing_at(place);
        }
    }

    /// Tries plain timing with a long wait in its place, which a later pass may shorten.
    fn wait_instead(&mut self) -> bool {
        let plain = |s: &mut Scenario| {
            s.timing = Timing::default();
            s.ops.retain(|op| !matches!(op, Op::Timing(_)));
        };
        let longer = self.attempt(|s| {
            plain(s);
            for op in &mut s.ops {
                if let Op::Wait(cycles) = op {
                    *cycles = LONG_WAIT.max(*cycles);
                }
            }
        });
        let waits = [Op::Drain, Op::Wait(LONG_WAIT)];
        longer
            || waits.into_iter().any(|wait| {
                self.attempt(|s| {
                    plain(s);
                    s.ops.insert(s.ops.len().saturating_sub(1), wait);
                })
            })
    }

    /// Tries plain timing with one latency, and one wait of the right length in place of the draws:
    /// the last wait, or a new one before the last operation. The waits before it are kept, or are
    /// made so long that nothing is outstanding after them.
    fn wait_exactly(&mut self) -> bool {
        if self.scenario.ops.len() > FEW_OPS {
            return false;
        }
        let is_wait = |op: &Op| matches!(op, Op::Wait(_));
        let mut ops = self.scenario.ops.clone();
        ops.retain(|op| !matches!(op, Op::Timing(_)));
        if !ops.iter().any(is_wait) {
            ops.insert(ops.len().saturating_sub(1), Op::Wait(1));
        }
        let Some(last) = ops.iter().rposition(is_wait) else {
            return false;
        };
        let mut settled = ops.clone();
        for op in &mut settled[..last] {
            if let Op::Wait(cycles) = op {
                *cycles = LONG_WAIT.max(*cycles);
            }
        }
        for latency in EXACT_LATENCIES {
            for cycles in EXACT_WAITS {
                for ops in [&settled, &ops] {
                    let found = self.attempt(|s| {
                        s.timing = Timing {
                            latency: latency..=latency,
                            ..Timing::default()
                        };
                        s.ops.clone_from(ops);
                        s.ops[last] = Op::Wait(cycles);
                    });
                    if found {
                        return true;
                    }
                }
            }
        }
        false
    }

    /// If timing must be drawn, tries several seeds without any wait, and without the first.
    fn draw_anew(&mut self) {
        let is_wait = |op: &Op| matches!(op, Op::Wait(_));
        let ops = &self.scenario.ops;
        if ops.len() > FEW_OPS || !ops.iter().any(is_wait) {
            return;
        }
        let all = |ops: &mut Vec<Op>| ops.retain(|op| !is_wait(op));
        let first = |ops: &mut Vec<Op>| {
            if let Some(first) = ops.iter().position(is_wait) {
                ops.remove(first);
            }
        };
        let without: [Change<'_>; 2] = [&all, &first];
        for drop in without {
            let found = (0..SEEDS).any(|seed| {
                self.attempt(|s| {
                    drop(&mut s.ops);
                    s.timing.seed = seed;
                    for op in &mut s.ops {
                        if let Op::Timing(timing) = op {
                            timing.seed = seed;
                        }
                    }
                })
            });
            if found {
                return;
            }
        }
    }

    pub(super) fn is_plain(&self) -> bool {
        self.scenario.timing == Timing::default()
            && !self
                .scenario
                .ops
                .iter()
                .any(|op| matches!(op, Op::Timing(_)))
    }

    /// Simplifies the timing of operation `place`, or of the start if there is no such operation.
    fn simplify_timing_at(&mut self, place: usize) {
        let change = |shrinker: &mut Self, change: &dyn Fn(&mut Timing)| {
            shrinker.attempt(|s| match s.ops.get_mut(place) {
                None => change(&mut s.timing),
                Some(Op::Timing(timing)) => change(timing),
                Some(_) => {}
            })
        };
        let current = |shrinker: &Self| match shrinker.scenario.ops.get(place) {
            None => Some(shrinker.scenario.timing.clone()),
            Some(Op::Timing(timing)) => Some(timing.clone()),
            Some(_) => None,
        };
        if current(self).is_none() || change(self, &|t| *t = Timing::default()) {
            return;
        }
        let changes: [&dyn Fn(&mut Timing); 9] = [
            &|t| t.memory_busy = 0,
            &|t| t.memory_run = 0,
            &|t| t.request_run = 0,
            &|t| t.response_busy = 0,
            &|t| t.request_idle = 0,
            &|t| t.errors = 0,
            &|t| t.reorder = false,
            &|t| t.latency = 1..=1,
            &|t| t.seed = 0,
        ];
        for one in changes {
            change(self, one);
        }
        let Some(timing) = current(self) else { return };
        let (least, most) = timing.latency.into_inner();
        if least < most {
            let _ = change(self, &|t| t.latency = least..=least)
                || change(self, &|t| t.latency = most..=most);
        }
        for n in LATENCIES {
            if n >= least || change(self, &|t| t.latency = n..=n) {
                break;
            }
        }
    }

    /// Removes the regions in which walks are restricted.
    fn no_regions(&mut self) {
        if !self.scenario.memory.regions().is_empty() {
            self.attempt(|s| s.memory.set_regions(Vec::new()));
        }
    }

    /// Replaces words that were read with an error by holes.
    fn holes_for_errors(&mut self) {
        let Failure::Mismatch(mismatch) = &self.failed.failure else {
            return;
        };
        let failed: Vec<_> = mismatch
            .reads
            .iter()
            .filter(|read| read.word.is_none())
            .map(|read| read.at)
            .collect();
        self.attempt(|s| {
            s.timing.errors = 0;
            for op in &mut s.ops {
                if let Op::Timing(timing) = op {
                    timing.errors = 0;
                }
            }
            failed.iter().for_each(|&at| s.memory.remove(at));
        });
    }

    /// Tries no walk cache in use, then one, then two.
    fn fewer_walk_caches(&mut self, used: WalkCaches) {
        let mut fewer: Vec<WalkCaches> = (0..7)
            .map(|bits| WalkCaches {
                guest: used.guest && bits & 1 != 0,
                host: used.host && bits & 2 != 0,
                nested: used.nested && bits & 4 != 0,
            })
            .collect();
        fewer.sort_by_key(|c| u8::from(c.guest) + u8::from(c.host) + u8::from(c.nested));
        fewer.dedup();
        for caches in fewer {
            if caches == used || self.attempt(|s| s.machine.walk_caches = caches) {
                return;
            }
        }
    }

    /// Tries the plainest devices that can run the scenario: without RTL assertions, with few slots
    /// and the default TLB.
    pub(super) fn simplify_machine(&mut self) {
        let format = self.scenario.machine.format;
        if self.scenario.machine.foreign.is_some() {
            return;
        }
        let default = Machine::of(format);
        let mut machines: Vec<Machine> = VARIANTS
            .iter()
            .filter(|v| v.format == format as u32)
            .filter(|v| v.is_for_campaigns())
            .map(Machine::of_variant)
            .filter(|m| self.scenario.contexts.iter().all(|c| m.serves(&c.context)))
            .collect();
        machines.sort_by_key(|m| {
            let is_large = m.tlb_entries != default.tlb_entries;
            (
                m.checked,
                m.tlb2.is_some(),
                m.read_bypass,
                !m.svadu,
                m.slots,
                is_large,
            )
        });
        let caches = self.scenario.machine.walk_caches;
        if caches.any() {
            self.fewer_walk_caches(caches);
        }
        let caches = self.scenario.machine.walk_caches;
        for machine in machines {
            let machine = Machine {
                walk_caches: caches,
                ..machine
            };
            if machine == self.scenario.machine || self.attempt(|s| s.machine = machine) {
                return;
            }
        }
    }
}
