// SPDX-License-Identifier: Apache-2.0
//! Changes of memory: fewer and plainer words.

use std::collections::BTreeSet;

use super::{Shrinker, formats};
use crate::addr::Hpa;
use crate::bench::{Failure, Observer, Read, Walk};
use crate::report::golden_beside;
use crate::scenario::{Op, Scenario};

/// The largest number of words of which each is tried alone.
const FEW_WORDS: usize = 256;

struct Reads(BTreeSet<Hpa>);

impl Observer for Reads {
    const LIVE: bool = false;

    fn read(&mut self, _: u8, _: Option<&Walk>, read: &Read) {
        self.0.insert(read.at);
    }
}

impl Shrinker<'_> {
    /// Removes the words that neither the device nor the golden walk of the failure reads, and the
    /// edits of these words.
    pub(super) fn drop_words(&mut self) {
        let mut reads = Reads(BTreeSet::new());
        let scenario = self.scenario.clone();
        if self.same_failure(&scenario, &mut reads).is_none() {
            return;
        }
        if let Failure::Mismatch(mismatch) = &self.failed.failure
            && let Some(query) = &mismatch.query
        {
            let format = self.scenario.machine.format;
            let (steps, _) = golden_beside(format, query, &mismatch.reads, &self.failed.memory);
            reads.0.extend(steps.iter().filter_map(|step| step.hpa));
        }
        self.attempt(|s| keep_words(s, &|at| reads.0.contains(&at)));
    }

    /// Makes entries plain: leaves with all rights, A and D, and no other bit that has a meaning.
    pub(super) fn simplify_words(&mut self) {
        let words = self.scenario.memory.words();
        if words.len() > FEW_WORDS {
            return;
        }
        let plain = formats::of(self.scenario.machine.format).plain_words();
        for change in plain {
            let all = self.attempt(|s| {
                for (at, word) in s.memory.words() {
                    let plain = change(word, s);
                    s.memory.write(at, plain);
                }
            });
            if all {
                continue;
            }
            for &(at, _) in &words {
                self.attempt(|s| {
                    if let Ok(word) = s.memory.read(at) {
                        let plain = change(word, s);
                        s.memory.write(at, plain);
                    }
                });
            }
        }
        for index in 0..self.scenario.ops.len() {
            for change in plain {
                self.attempt(|s| {
                    if let Op::Write {
                        at,
                        word: Some(word),
                    } = s.ops[index]
                    {
                        let word = Some(change(word, s));
                        s.ops[index] = Op::Write { at, word };
                    }
                });
            }
        }
    }
}

/// Removes the words that `keep` does not select, and the edits of these words.
fn keep_words(scenario: &mut Scenario, keep: &dyn Fn(Hpa) -> bool) {
    let mut memory = scenario.memory.without_words();
    for (at, word) in scenario.memory.words() {
        if keep(at) {
            memory.write(at, word);
        }
    }
    scenario.memory = memory;
}
