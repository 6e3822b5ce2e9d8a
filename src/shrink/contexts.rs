// SPDX-License-Identifier: Apache-2.0
//! Changes of contexts: fewer and plainer ones.

use std::collections::BTreeSet;

use super::Shrinker;
use crate::mmu::Context;
use crate::scenario::{NamedContext, Op, Scenario};

/// Returns the contexts that accesses use.
fn used(scenario: &Scenario) -> Vec<usize> {
    let used: BTreeSet<usize> = scenario
        .ops
        .iter()
        .filter_map(|op| match op {
            Op::Access(access) => Some(access.context),
            _ => None,
        })
        .collect();
    used.into_iter().collect()
}

fn drop_unused(scenario: &mut Scenario) {
    let used = used(scenario);
    scenario.contexts = used
        .iter()
        .map(|&old| scenario.contexts[old].clone())
        .collect();
    for op in &mut scenario.ops {
        if let Op::Access(access) = op {
            access.context = used.partition_point(|&old| old < access.context);
        }
    }
}

/// Moves the accesses of context `from` to context `to`.
fn merge(scenario: &mut Scenario, from: usize, to: usize) {
    for op in &mut scenario.ops {
        if let Op::Access(access) = op
            && access.context == from
        {
            access.context = to;
        }
    }
    drop_unused(scenario);
}

/// Renumbers the tags in contexts and fences, in the order of their first use, to 0, 1, 2 and so
/// on.
fn small_tags(scenario: &mut Scenario) {
    let (mut asids, mut vmids) = (Vec::new(), Vec::new());
    let small = |tags: &mut Vec<u16>, tag: &mut u16| {
        let place = tags.iter().position(|one| one == tag).unwrap_or_else(|| {
            tags.push(*tag);
            tags.len() - 1
        });
        *tag = place as u16;
    };
    for named in &mut scenario.contexts {
        small(&mut asids, &mut named.context.asid);
        small(&mut vmids, &mut named.context.vmid);
    }
    for op in &mut scenario.ops {
        if let Op::Fence(fence) = op {
            fence
                .asid
                .iter_mut()
                .for_each(|asid| small(&mut asids, asid));
            fence
                .vmid
                .iter_mut()
                .for_each(|vmid| small(&mut vmids, vmid));
        }
    }
}

impl Shrinker<'_> {
    /// Tries one context for several, switches off, and small tags.
    pub(super) fn simplify_contexts(&mut self) {
        self.attempt(drop_unused);
        // All accesses in one context, then each context replaced by the first, then each by each
        // other.
        for to in 0..self.scenario.contexts.len() {
            let merged = self.attempt(|s| {
                for op in &mut s.ops {
                    if let Op::Access(access) = op {
                        access.context = to;
                    }
                }
                drop_unused(s);
            });
            if merged {
                break;
            }
        }
        let mut from = self.scenario.contexts.len();
        while from > 1 {
            from -= 1;
            let count = self.scenario.contexts.len();
            let _ = (0..count)
                .filter(|&to| to != from)
                .any(|to| self.attempt(|s| merge(s, from, to)));
            from = from.min(self.scenario.contexts.len());
        }
        self.merge_single_accesses();

        // Clear the fields that are ignored, in all contexts or in each.
        let machine = self.scenario.machine;
        let heed = |named: &mut NamedContext| named.context = machine.heeded(&named.context);
        if !self.attempt(|s| s.contexts.iter_mut().for_each(heed)) {
            for index in 0..self.scenario.contexts.len() {
                self.attempt(|s| heed(&mut s.contexts[index]));
            }
        }
        self.attempt(small_tags);
        // Each change clears one field: first in all contexts at once, else in each context alone.
        let changes: [fn(&mut Context); 13] = [
            |c| c.asid = 0,
            |c| c.vmid = 0,
            |c| c.rights = false,
            |c| c.user = false,
            |c| c.sum = false,
            |c| c.napot = false,
            |c| c.guest.mxr = false,
            |c| c.host.mxr = false,
            |c| c.guest.adue = false,
            |c| c.host.adue = false,
            |c| c.guest.pbmte = false,
            |c| c.host.pbmte = false,
            |c| {
                if c.guest.levels == 0 {
                    c.guest.root.0 = 0;
                }
                if c.host.levels == 0 {
                    c.host.root.0 = 0;
                }
            },
        ];
        for change in changes {
            let all = self.attempt(|s| s.contexts.iter_mut().for_each(|c| change(&mut c.context)));
            if all {
                continue;
            }
            for index in 0..self.scenario.contexts.len() {
                self.attempt(|s| change(&mut s.contexts[index].context));
            }
        }
        self.attempt(|s| {
            for (number, named) in s.contexts.iter_mut().enumerate() {
                named.name = format!("c{number}");
            }
        });
    }

    /// Moves a single access to another context.
    fn merge_single_accesses(&mut self) {
        for index in 0..self.scenario.ops.len() {
            let Op::Access(access) = &self.scenario.ops[index] else {
                continue;
            };
            for to in 0..access.context {
                let moved = self.attempt(|s| {
                    if let Op::Access(access) = &mut s.ops[index] {
                        access.context = to;
                    }
                    drop_unused(s);
                });
                if moved {
                    break;
                }
            }
        }
    }
}
