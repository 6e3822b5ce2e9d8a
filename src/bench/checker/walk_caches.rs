// SPDX-License-Identifier: Apache-2.0
//! Checks of the page-walk caches and the nested TLB: every reported hit must be possible, and an
//! entry that a cache must contain must hit.

use super::{Checker, Ended};
use crate::bench::mismatch::{
    Mismatch, NoWalkCacheHit, Violation, WalkCacheHit, WalkCacheViolation,
};
use crate::bench::replay_memory::ReplayMemory;
use crate::bench::reported;
use crate::bench::scoreboard::Walk;
use crate::dut::{Next, Pass, WalkStep};
use crate::format::Format;
use crate::golden::occupancy::page_walk_cache::{LookUp, LookUpResult, WhyNot};
use crate::golden::occupancy::{Absence, PageWalkCache, PageWalkCaches, history};
use crate::golden::{self, Mapping, Step, StepLog};
use crate::mmu::{Fault, Query};

impl Checker {
    /// Returns true if the steps of walks are checked.
    #[inline]
    pub fn wants_steps(&self) -> bool {
        self.with_steps || self.walk_caches.is_some()
    }

    /// Checks a step that the device reports: the walk must not have read an entry that it could
    /// have skipped by a hit of a page-walk cache.
    pub fn step(&mut self, step: &WalkStep, cycle: u64) -> Result<(), Box<Mismatch>> {
        let Some(walk) = self.board.report(step) else {
            return Ok(());
        };
        match self.follow(walk, step, cycle) {
            None => Ok(()),
            Some(missed) => Err(self.missed(walk, step, missed, cycle)),
        }
    }

    /// Updates the must-contain sets of the page-walk caches with a step. Returns the cache that
    /// must have hit before the step, if the device has not reported this hit.
    fn follow(&mut self, walk: usize, step: &WalkStep, cycle: u64) -> Option<PageWalkCache> {
        let must = self.walk_caches.as_mut()?.must_mut();
        let look_up = self.board.walk_mut(walk).look_up.take();
        let state = self.board.walk(walk);
        let query = &state.query;
        let number = state.reported.len() - 1;
        // If a step has no memory request, the check at the end of the walk reports it.
        let read = state.reads.get(number)?;
        let board = &self.board;
        let open = |of_guest: bool, before: u64| {
            let look_ups = board.walks_in_flight().filter_map(|walk| walk.look_up);
            let may_be_open =
                |look_up: &LookUp| look_up.since < before && (look_up.is_first || !of_guest);
            look_ups.filter(may_be_open).count() as u32
        };
        let entry = reported::taken_entry(step, read.word);
        if let Some(look_up) = look_up {
            let result = LookUpResult {
                query,
                entry: &entry,
                look_up,
                read: read.cycle,
                is_fenced: state.reported[number].fences != board.fence_count(),
            };
            let missed = must.missed(&result, open);
            if missed.is_some() {
                return missed;
            }
            must.on_hit(&result, open);
        }
        // An overtaken walk fills nothing.
        if !state.is_overtaken_for(query) {
            must.on_fill(query, &entry, cycle, open);
        }
        // After a guest entry the device looks up the caches of the host stage for the next gPA.
        let looks = !step.host && step.next == Next::Read && query.context.host.levels > 0;
        self.board.walk_mut(walk).look_up = looks.then_some(LookUp {
            since: cycle,
            is_first: false,
        });
        None
    }

    /// Returns the mismatch for a walk in which a page-walk cache must have hit, and has missed or
    /// has skipped too few reads.
    #[cold]
    fn missed(
        &self,
        walk: usize,
        step: &WalkStep,
        missed: PageWalkCache,
        cycle: u64,
    ) -> Box<Mismatch> {
        let state = self.board.walk(walk);
        let number = state.reported.len() - 1;
        let word = state.reads.get(number).and_then(|read| read.word);
        let entry = reported::taken_entry(step, word);
        let caches = self.walk_caches.as_ref();
        let since = caches.and_then(|caches| caches.must().since(&state.query, &entry, missed));
        let violation = Violation::WalkCache(WalkCacheViolation::Missed {
            place: state.place_of(number),
            expected: missed.into(),
            since,
            observed: WalkCacheHit::of(step),
        });
        let id = self.board.id_of(walk).unwrap_or_default();
        let mut mismatch = self.mismatch(id, cycle, violation);
        mismatch.wrong_read = Some(number);
        mismatch
    }

    /// Returns the steps of an ended walk that follow a hit of a page-walk cache, each with its
    /// number. The hits have been checked.
    #[inline]
    pub fn passes(&self, ended: &Ended) -> impl Iterator<Item = (usize, &WalkStep)> {
        let reported = self.board.walk(ended.walk).reported.iter().enumerate();
        reported
            .filter(|(_, reported)| reported.step.pass != Pass::None)
            .map(|(number, reported)| (number, &reported.step))
    }

    /// Compares a walk with the golden walk, and the hits of the walk with the may-contain sets of
    /// the page-walk caches. Then adds the entries that the walk has read to the may-contain sets.
    pub(super) fn judge_with_caches<L: StepLog>(
        &mut self,
        walk: usize,
        id: u8,
        query: &Query,
        cycle: u64,
        log: &mut L,
    ) -> Result<Result<Mapping, Fault>, Box<Mismatch>> {
        let mut steps: Vec<Step> = Vec::new();
        let found = self.judge(walk, id, query, cycle, &mut steps)?;
        for step in &steps {
            log.step(*step);
        }
        self.check_passes(walk, id, query, cycle)?;
        if let Some(caches) = &mut self.walk_caches {
            fill(self.board.walk(walk), caches, self.format, query, &steps);
        }
        Ok(found)
    }

    /// Checks each hit of a page-walk cache in a walk: the cache may contain the entry that it
    /// gave.
    fn check_passes(
        &mut self,
        walk: usize,
        id: u8,
        query: &Query,
        cycle: u64,
    ) -> Result<(), Box<Mismatch>> {
        if self.unknown_pass(walk, query).is_some() {
            // A cache is filled after each step, so it may contain entries of walks that have not
            // ended yet.
            self.fill_from_walks_in_flight();
            if let Some(number) = self.unknown_pass(walk, query)
                && let Some(hit) = WalkCacheHit::of(&self.board.walk(walk).reported[number].step)
            {
                let violation = Violation::WalkCache(WalkCacheViolation::Illegal {
                    place: self.board.walk(walk).place_of(number),
                    observed: hit,
                    hpa: self.board.walk(walk).reported[number].step.hpa,
                    because: self.why_no_pass(walk, query, number),
                });
                let mut mismatch = self.mismatch(id, cycle, violation);
                mismatch.wrong_read = Some(number);
                return Err(mismatch);
            }
        }
        Ok(())
    }

    /// Returns the number of the first step of a walk that follows an impossible hit of a page-walk
    /// cache.
    fn unknown_pass(&self, walk: usize, query: &Query) -> Option<usize> {
        let caches = self.walk_caches.as_ref()?;
        let geometry = self.format.geometry();
        let steps = &self.board.walk(walk).reported;
        steps.iter().position(|reported| {
            let hit = reported::hit(&geometry, &reported.step);
            hit.is_some_and(|hit| !caches.may_contain(query, &hit, reported.fences))
        })
    }

    /// Adds the entries that the walks in flight have read so far to the may-contain sets of the
    /// page-walk caches.
    fn fill_from_walks_in_flight(&mut self) {
        let Some(caches) = &mut self.walk_caches else {
            return;
        };
        for walk in self.board.walks_in_slots() {
            if walk.judged.is_none() {
                let mut steps = Vec::new();
                let mut memory = ReplayMemory::new(self.format, &walk.reads, &walk.reported);
                // The golden walk ends with a memory error at the first entry that the device has
                // not read yet. The error fills no cache.
                let _ = golden::walk(self.format, &walk.query, &mut memory, &mut steps);
                fill(walk, caches, self.format, &walk.query, &steps);
            }
        }
    }

    /// Returns the reason why the hit of a page-walk cache before a step is impossible. `number`:
    /// the number of the step in the walk.
    #[cold]
    fn why_no_pass(&self, walk: usize, query: &Query, number: usize) -> NoWalkCacheHit {
        let step = &self.board.walk(walk).reported[number];
        let hit = reported::hit(&self.format.geometry(), &step.step);
        let why = (self.walk_caches.as_ref().zip(hit))
            .map(|(caches, hit)| caches.why_not(query, &hit, step.fences));
        match why.unwrap_or(WhyNot::Absent(Absence::NeverFound)) {
            WhyNot::Absent(Absence::NeverFound) => NoWalkCacheHit::NeverRead,
            WhyNot::Absent(Absence::NotFoundOfLate) => NoWalkCacheHit::NotReadOfLate {
                known: history::KEYS,
            },
            WhyNot::Absent(Absence::Invalidated { number, .. }) => {
                NoWalkCacheHit::Invalidated(self.board.fence_of(number))
            }
            WhyNot::Elsewhere(places) => NoWalkCacheHit::Elsewhere(places),
        }
    }
}

/// Adds the entries that a walk has read to the may-contain sets of the page-walk caches. `steps`:
/// the steps of the golden walk, as far as they are known.
fn fill(walk: &Walk, caches: &mut PageWalkCaches, format: Format, query: &Query, steps: &[Step]) {
    let geometry = format.geometry();
    let hit = |number: usize| reported::hit(&geometry, &walk.reported.get(number)?.step);
    caches.on_walk(query, steps, hit, &walk.fences);
}
