//! Random campaigns: many scenarios on many threads, with a result that does not depend on how many.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::bench::{Failed, Stats, run};
use crate::coverage::{Bins, Coverage, InOrder, Run, Watch};
use crate::dut::{Dut, DutError};
use crate::scenario::Scenario;
use crate::stimulus::{self, Profile, weights};

/// What a campaign does.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// What it is about.
    pub profile: Profile,
    /// Seed of everything.
    pub seed: u64,
    /// Accesses, in scenarios of [`weights::ACCESSES`].
    pub count: u64,
    /// Threads.
    pub jobs: usize,
    /// Whether functional coverage is collected.
    pub coverage: bool,
}

/// How a campaign ended.
#[derive(Debug)]
pub struct Outcome {
    /// The figures of every scenario up to the first that failed, it included.
    pub stats: Stats,
    /// Scenarios that ran, in those figures.
    pub scenarios: u64,
    /// The first scenario that failed: its number, and how.
    pub failed: Option<(u64, Box<Failed>)>,
    /// It was interrupted: the figures are those of what had run.
    pub interrupted: bool,
    /// The functional coverage of the same scenarios, if it was collected.
    pub coverage: Option<Coverage>,
}

impl Campaign {
    fn scenarios(&self) -> u64 {
        self.count.div_ceil(weights::ACCESSES)
    }

    /// Scenario `number` of the campaign.
    pub fn scenario(&self, number: u64) -> Scenario {
        let accesses = weights::ACCESSES.min(self.count - number * weights::ACCESSES);
        stimulus::scenario(self.profile, self.seed, number, accesses)
    }

    /// Runs it. `progress` is called with the accesses of each scenario that is over, from any thread; `interrupt` ends it
    /// early.
    ///
    /// # Errors
    /// If a device cannot be made.
    pub fn run(
        &self,
        progress: &(dyn Fn(u64) + Sync),
        interrupt: &AtomicBool,
    ) -> Result<Outcome, DutError> {
        self.run_and_then(progress, interrupt, &|_| Ok(()))
    }

    /// The same; each thread gives its devices to `at_end` when it has nothing more to run.
    ///
    /// # Errors
    /// If a device cannot be made, or what `at_end` says.
    pub fn run_and_then(
        &self,
        progress: &(dyn Fn(u64) + Sync),
        interrupt: &AtomicBool,
        at_end: &(dyn Fn(&mut Devices) -> Result<(), DutError> + Sync),
    ) -> Result<Outcome, DutError> {
        let next = AtomicU64::new(0);
        // The lowest number that has failed: lower ones still run, for one of them may fail too.
        let failed_at = AtomicU64::new(u64::MAX);
        let done = Mutex::new((Vec::new(), Vec::new()));
        let covered = Mutex::new(InOrder::new(self.profile.format));
        let worker = || -> Result<(), DutError> {
            let mut devices = Devices::default();
            let mut bins = self.coverage.then(|| Bins::new(self.profile.format));
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= self.scenarios()
                    || number > failed_at.load(Ordering::Relaxed)
                    || interrupt.load(Ordering::Relaxed)
                {
                    return at_end(&mut devices);
                }
                let scenario = self.scenario(number);
                let device = devices.get(&scenario)?;
                let result = match &mut bins {
                    None => run(device, &scenario, &mut ()),
                    Some(bins) => {
                        let result = run(device, &scenario, &mut Watch::new(&scenario, bins));
                        let mut covered = covered.lock().unwrap_or_else(|e| e.into_inner());
                        covered.add(number, bins.take(), result.is_err());
                        result
                    }
                };
                let mut done = done.lock().unwrap_or_else(|e| e.into_inner());
                match result {
                    Ok(stats) => {
                        progress(stats.accesses);
                        done.0.push((number, stats));
                    }
                    Err(failed) => {
                        failed_at.fetch_min(number, Ordering::Relaxed);
                        done.1.push((number, failed));
                    }
                }
            }
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..self.jobs.max(1)).map(|_| scope.spawn(worker)).collect();
            workers
                .into_iter()
                .try_for_each(|worker| match worker.join() {
                    Ok(result) => result,
                    Err(panic) => std::panic::resume_unwind(panic),
                })
        })?;

        let (passed, mut failures) = done.into_inner().unwrap_or_else(|e| e.into_inner());
        failures.sort_by_key(|(number, _)| *number);
        let failed = failures.into_iter().next();
        let limit = failed.as_ref().map_or(u64::MAX, |(number, _)| *number);
        let mut outcome = Outcome {
            stats: Stats::default(),
            scenarios: 0,
            failed,
            interrupted: interrupt.load(Ordering::Relaxed),
            coverage: None,
        };
        for (_, stats) in passed.iter().filter(|(number, _)| *number < limit) {
            outcome.stats.add(stats);
            outcome.scenarios += 1;
        }
        if let Some((_, failed)) = &outcome.failed {
            outcome.stats.add(&failed.stats);
            outcome.scenarios += 1;
        }
        if self.coverage {
            let covered = covered.into_inner().unwrap_or_else(|e| e.into_inner());
            outcome.coverage = Some(covered.finish(Run {
                profile: self.profile.to_string(),
                seed: self.seed,
                count: self.count,
                version: env!("CARGO_PKG_VERSION").into(),
                scenarios: outcome.scenarios,
                of: self.scenarios(),
                accesses: outcome.stats.accesses,
                cycles: outcome.stats.cycles,
            }));
        }
        Ok(outcome)
    }
}

/// The devices of a thread, made when first needed.
#[derive(Default)]
pub struct Devices(HashMap<&'static str, Dut>);

impl Devices {
    /// Those that there are, in the order of their names.
    pub fn all(&mut self) -> Vec<&mut Dut> {
        let mut all: Vec<&mut Dut> = self.0.values_mut().collect();
        all.sort_by_key(|dut| dut.variant().name);
        all
    }

    /// A new device for a scenario.
    ///
    /// # Errors
    /// If there is none built in.
    pub fn make(scenario: &Scenario) -> Result<Dut, DutError> {
        let variant = scenario
            .machine
            .variant()
            .ok_or_else(DutError::no_variant)?;
        // The seed is fixed: what a scenario does must not depend on what ran before it.
        Dut::new(variant, 1)
    }

    /// The device for a scenario.
    ///
    /// # Errors
    /// If there is none built in.
    pub fn get(&mut self, scenario: &Scenario) -> Result<&mut Dut, DutError> {
        let variant = scenario
            .machine
            .variant()
            .ok_or_else(DutError::no_variant)?;
        Ok(match self.0.entry(variant.name) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Self::make(scenario)?),
        })
    }
}
