// SPDX-License-Identifier: Apache-2.0
//! Random campaigns: many scenarios on many threads. The result does not depend on the number of
//! threads.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::bench::{Failed, Stats, run};
use crate::coverage::abilities::Abilities;
use crate::coverage::{Bins, Coverage, CoverageCollector, Goal, InOrder, Run};
use crate::dut::description::Visibility;
use crate::dut::variants::Variant;
use crate::dut::{COUNTS_CODE, Dut, DutError};
use crate::fnv::fnv1a;
use crate::scenario::Scenario;
use crate::scenario::write::to_toml;
use crate::shard::Shard;
use crate::shown;
use crate::stimulus::{self, Profile};
use crate::version::Versions;

use serde::{Deserialize, Serialize};

/// A random campaign.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// Profile of the scenarios.
    pub profile: Profile,
    /// Seed of everything.
    pub seed: u64,
    /// Accesses, in scenarios of [`stimulus::weights::ACCESSES`] and a few long ones.
    pub count: u64,
    /// Threads.
    pub jobs: usize,
    /// Functional coverage is collected.
    pub coverage: bool,
    /// Bias of the stimulus.
    pub lean: Option<Lean>,
    /// The device of all scenarios; none if each scenario draws one.
    pub device: Option<&'static Variant>,
    /// The devices that the scenarios use in turn ([`stimulus::devices`]); empty if they do not.
    pub devices: Vec<&'static Variant>,
    /// The outputs of the devices that the checks use.
    pub visibility: Visibility,
}

/// A bias of the stimulus towards bins that were not hit.
#[derive(Clone, Debug)]
pub struct Lean {
    /// The goals.
    pub goals: Vec<Goal>,
    /// The files with the goals, as the command line names them.
    pub files: String,
}

/// The outcome of a campaign.
#[derive(Debug)]
pub struct Outcome {
    /// Statistics of every scenario up to and including the first that failed.
    pub stats: Stats,
    /// Number of scenarios in `stats`.
    pub scenarios: u64,
    /// The number of the first scenario that failed, and its failure.
    pub failed: Option<(u64, Box<Failed>)>,
    /// The campaign was interrupted; `stats` counts the scenarios that ran before.
    pub interrupted: bool,
    /// In a shard, the statistics of each scenario before the one that failed, in order. The merge
    /// decides which of them count, because it knows where the other shards failed.
    pub each: Vec<Stats>,
    /// The functional coverage of the same scenarios, if it was collected.
    pub coverage: Option<Coverage>,
    /// Errors in addition to the verdict: a device that could not be made although another one has
    /// found a failure, and errors of `at_end`.
    pub problems: Vec<DutError>,
}

/// The properties of a campaign besides profile, seed and count. They distinguish parts of this
/// campaign from parts of another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// The device of all scenarios, by name; none if each scenario draws one.
    pub device: Option<String>,
    /// The devices that the scenarios use in turn, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// Hash of the goals of the bias; none without a bias.
    pub lean: Option<String>,
    /// Hash of the first, the middle and the last scenario. It distinguishes versions of the
    /// generator.
    pub stimulus: String,
    /// Hash of the RTL's sources.
    pub rtl: String,
}

impl Shape {
    /// Returns eight digits that identify the shape in names of files.
    pub fn digest(&self) -> String {
        let mut digest = fnv1a(format!("{self:?}").into_bytes());
        digest.truncate(8);
        digest
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(device) = &self.device {
            write!(f, " --device {}", shown::word(device))?;
        }
        if !self.devices.is_empty() {
            write!(f, " --devices {}", self.devices.len())?;
        }
        match self.lean {
            Some(_) => f.write_str(" --lean ..."),
            None => Ok(()),
        }
    }
}

/// The statistics of scenarios that passed, added up in the order of their numbers as far as there
/// is no gap. Its size does not grow with the campaign.
struct Passed {
    shard: Shard,
    next: u64,
    stats: Stats,
    scenarios: u64,
    each: Vec<Stats>,
    early: BTreeMap<u64, Stats>,
}

impl Passed {
    fn new(shard: Shard) -> Self {
        Self {
            shard,
            next: shard.index,
            stats: Stats::default(),
            scenarios: 0,
            each: Vec::new(),
            early: BTreeMap::new(),
        }
    }

    fn push(&mut self, number: u64, stats: Stats) {
        self.early.insert(number, stats);
        while let Some(stats) = self.early.remove(&self.next) {
            self.next = self.next.saturating_add(self.shard.of);
            self.add(&stats);
        }
    }

    fn add(&mut self, stats: &Stats) {
        self.stats.add(stats);
        self.scenarios += 1;
        if !self.shard.is_whole() {
            self.each.push(*stats);
        }
    }
}

impl Campaign {
    /// Returns the command that runs the campaign.
    pub fn command(&self) -> String {
        let mut command = format!(
            "fuzz --profile {} --seed {} --count {}",
            self.profile, self.seed, self.count
        );
        if let Some(lean) = &self.lean {
            command.push_str(&format!(" --lean {}", shown::word(&lean.files)));
        }
        if let Some(device) = self.device {
            command.push_str(&format!(" --device {}", shown::word(device.name)));
        }
        if !self.devices.is_empty() {
            command.push_str(&format!(" --devices {}", self.devices.len()));
        }
        if self.visibility != Visibility::Steps {
            command.push_str(&format!(" --visibility {}", self.visibility));
        }
        command
    }

    /// Returns the properties of the campaign besides profile, seed and count.
    pub fn shape(&self) -> Shape {
        let last = self.scenarios().saturating_sub(1);
        let texts = [0, last / 2, last].map(|number| to_toml(&self.scenario(number)));
        let goals = |lean: &Lean| {
            let mut goals: Vec<String> = lean
                .goals
                .iter()
                .map(|goal| format!("{goal:?}\n"))
                .collect();
            goals.sort_unstable();
            fnv1a(goals.concat().into_bytes())
        };
        Shape {
            device: self.device.map(|device| device.name.to_owned()),
            devices: self
                .devices
                .iter()
                .map(|device| device.name.to_owned())
                .collect(),
            lean: self.lean.as_ref().map(goals),
            stimulus: fnv1a(texts.concat().into_bytes()),
            rtl: self.versions().rtl,
        }
    }

    /// Returns the abilities of the campaign's device, if it is a foreign one or hides something.
    fn abilities(&self) -> Option<Abilities> {
        let foreign = self.device.filter(|device| device.foreign.is_some());
        match (foreign, self.visibility) {
            (Some(device), level) => Some(Abilities::of(&device.description().at_most(level))),
            (None, Visibility::Steps) => None,
            (None, level) => Some(Abilities::of_own_devices(self.profile.format, level)),
        }
    }

    /// Returns the versions of the program and of the campaign's device.
    pub fn versions(&self) -> Versions {
        Versions::with_device(self.device.and_then(|device| device.foreign))
    }

    /// Returns the number of scenarios.
    pub fn scenarios(&self) -> u64 {
        stimulus::scenarios_of(self.count)
    }

    /// Returns scenario `number` of the campaign.
    pub fn scenario(&self, number: u64) -> Scenario {
        let accesses = stimulus::accesses_of(number, self.count);
        let mut scenario = stimulus::scenario_toward(
            self.profile,
            self.seed,
            number,
            accesses,
            self.goals(),
            self.device_of(number),
        );
        scenario.machine.visibility = self.visibility;
        scenario
    }

    fn goals(&self) -> &[Goal] {
        self.lean.as_ref().map_or(&[][..], |lean| &lean.goals)
    }

    /// Returns the device of a scenario, if the scenario does not draw one itself.
    fn device_of(&self, number: u64) -> Option<&'static Variant> {
        let in_turn = |devices: &[&'static Variant]| {
            let turn = number.checked_rem(devices.len() as u64)?;
            devices.get(turn as usize).copied()
        };
        self.device.or_else(|| in_turn(&self.devices))
    }

    /// Returns the devices that a shard needs, in the order of its scenarios. Of a long campaign
    /// whose scenarios draw their devices, those of the first few thousand scenarios.
    pub fn devices_of(&self, shard: Shard) -> Vec<&'static Variant> {
        const MOST: usize = 2000;
        let mut needed: Vec<&'static Variant> = Vec::new();
        let numbers = (0..shard.share(self.scenarios())).take(MOST);
        for number in numbers.map(|place| place * shard.of + shard.index) {
            let variant = self.device_of(number).unwrap_or_else(|| {
                stimulus::drawn_device(self.profile, self.seed, number, self.goals())
            });
            if !needed.contains(&variant) {
                needed.push(variant);
            }
        }
        needed
    }

    /// Runs all of it; see [`Campaign::run_shard`].
    ///
    /// # Errors
    /// If a device cannot be made.
    pub fn run(
        &self,
        progress: &(dyn Fn(u64) + Sync),
        interrupt: &AtomicBool,
    ) -> Result<Outcome, DutError> {
        self.run_shard(
            Shard::WHOLE,
            &Devices::default,
            progress,
            interrupt,
            &|_| Ok(()),
        )
    }

    /// Runs a shard of the campaign. `devices` makes the devices of a thread. `progress` is called
    /// with the accesses of each finished scenario, from any thread. `interrupt` ends the run
    /// early. Each thread passes its devices to `at_end` when it has no more scenarios. This thread
    /// is one of [`Campaign::jobs`]. If other threads cannot be created, there are fewer.
    ///
    /// # Errors
    /// If a device cannot be made and no scenario has failed.
    pub fn run_shard(
        &self,
        shard: Shard,
        devices: &(dyn Fn() -> Devices + Sync),
        progress: &(dyn Fn(u64) + Sync),
        interrupt: &AtomicBool,
        at_end: &(dyn Fn(&mut Devices) -> Result<(), DutError> + Sync),
    ) -> Result<Outcome, DutError> {
        // The next scenario, counted within the shard.
        let next = AtomicU64::new(0);
        // The lowest number that has failed: lower ones still run, for one of them may fail too.
        let failed_at = AtomicU64::new(u64::MAX);
        let done = Mutex::new((Passed::new(shard), None::<(u64, Box<Failed>)>));
        let covered = Mutex::new(InOrder::new(self.profile.format));
        let ended = Mutex::new(Vec::new());
        let worker = || -> Result<(), DutError> {
            let mut devices = devices();
            let mut bins = self.coverage.then(|| Bins::new(self.profile.format));
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let number = place
                    .checked_mul(shard.of)
                    .and_then(|number| number.checked_add(shard.index))
                    .unwrap_or(u64::MAX);
                if number >= self.scenarios()
                    || number > failed_at.load(Ordering::Relaxed)
                    || interrupt.load(Ordering::Relaxed)
                {
                    if let Err(error) = at_end(&mut devices) {
                        let mut ended = ended.lock().unwrap_or_else(|e| e.into_inner());
                        ended.push(error);
                    }
                    return Ok(());
                }
                let scenario = self.scenario(number);
                let device = devices.get(&scenario)?;
                let result = match &mut bins {
                    None => run(device, &scenario, &mut ()),
                    Some(bins) => {
                        let result = run(
                            device,
                            &scenario,
                            &mut CoverageCollector::new(&scenario, bins),
                        );
                        let mut covered = covered.lock().unwrap_or_else(|e| e.into_inner());
                        covered.add(place, bins.take(), result.is_err());
                        result
                    }
                };
                let mut done = done.lock().unwrap_or_else(|e| e.into_inner());
                match result {
                    Ok(stats) => {
                        progress(stats.accesses);
                        done.0.push(number, stats);
                    }
                    Err(failed) => {
                        failed_at.fetch_min(number, Ordering::Relaxed);
                        if done.1.as_ref().is_none_or(|(first, _)| number < *first) {
                            done.1 = Some((number, failed));
                        }
                    }
                }
            }
        };
        let mut problems: Vec<DutError> = Vec::new();
        thread::scope(|scope| {
            // If no more threads can be created, the existing ones do the work. This thread is one
            // of them.
            let jobs = (self.jobs as u64).min(shard.share(self.scenarios()));
            let others: Vec<_> = (1..jobs)
                .map_while(|_| thread::Builder::new().spawn_scoped(scope, worker).ok())
                .collect();
            problems.extend(worker().err());
            for other in others {
                match other.join() {
                    Ok(result) => problems.extend(result.err()),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });

        let (mut passed, failed) = done.into_inner().unwrap_or_else(|e| e.into_inner());
        let ended = ended.into_inner().unwrap_or_else(|e| e.into_inner());
        // Without a device nothing has been checked. A failure remains a failure.
        if failed.is_none() && !problems.is_empty() {
            return Err(problems.swap_remove(0));
        }
        problems.extend(ended);
        // The remaining scenarios follow the first that failed, or one that an interrupt has left
        // out.
        let limit = failed.as_ref().map_or(u64::MAX, |(number, _)| *number);
        for (_, stats) in std::mem::take(&mut passed.early).range(..limit) {
            passed.add(stats);
        }
        if let Some((_, failed)) = &failed {
            passed.stats.add(&failed.stats);
            passed.scenarios += 1;
        }
        let coverage = self.coverage.then(|| {
            let covered = covered.into_inner().unwrap_or_else(|e| e.into_inner());
            covered.finish(Run {
                profile: self.profile.to_string(),
                seed: self.seed,
                count: self.count,
                shape: self.shape(),
                abilities: self.abilities(),
                version: env!("CARGO_PKG_VERSION").into(),
                parts: vec![shard],
                scenarios: passed.scenarios,
                of: self.scenarios(),
                accesses: passed.stats.accesses,
                cycles: passed.stats.cycles,
            })
        });
        Ok(Outcome {
            stats: passed.stats,
            scenarios: passed.scenarios,
            failed,
            interrupted: interrupt.load(Ordering::Relaxed),
            each: passed.each,
            coverage,
            problems,
        })
    }
}

/// The devices of a thread, made when first needed.
pub struct Devices {
    made: HashMap<&'static str, Dut>,
    choose: Choose,
}

/// Chooses the device that a scenario runs on.
pub type Choose = fn(&Scenario) -> Result<&'static Variant, DutError>;

impl Default for Devices {
    fn default() -> Self {
        Self::chosen(|scenario| scenario.machine.variant())
    }
}

impl Devices {
    /// Returns the devices that were made, in the order of their names.
    pub fn all(&mut self) -> Vec<&mut Dut> {
        let mut all: Vec<&mut Dut> = self.made.values_mut().collect();
        all.sort_by_key(|dut| dut.variant().name);
        all
    }

    /// Devices other than those of the scenarios. Tests use them to produce a failure without a bug
    /// in the RTL.
    pub fn chosen(choose: Choose) -> Self {
        Self {
            made: HashMap::new(),
            choose,
        }
    }

    fn variant(&self, scenario: &Scenario) -> Result<&'static Variant, DutError> {
        (self.choose)(scenario)
    }

    fn make_variant(variant: &'static Variant) -> Result<Dut, DutError> {
        // The seed is fixed, because a scenario must not depend on earlier ones.
        Dut::new(variant, 1)
    }

    /// Makes a new device for a scenario.
    ///
    /// # Errors
    /// If the device cannot be built or loaded.
    pub fn make(scenario: &Scenario) -> Result<Dut, DutError> {
        Self::default().fresh(scenario)
    }

    /// Makes a new device for a scenario.
    ///
    /// # Errors
    /// If the device cannot be built or loaded.
    pub fn fresh(&self, scenario: &Scenario) -> Result<Dut, DutError> {
        Self::make_variant(self.variant(scenario)?)
    }

    /// Returns the device for a scenario, without state of earlier scenarios. The result of a
    /// scenario must not depend on the scenarios before it, even if the RTL keeps state over a
    /// reset. (A build that counts code coverage keeps the model and resets it, because the counts
    /// are part of the model.)
    ///
    /// # Errors
    /// If the device cannot be built or loaded.
    pub fn get(&mut self, scenario: &Scenario) -> Result<&mut Dut, DutError> {
        let variant = self.variant(scenario)?;
        Ok(match self.made.entry(variant.name) {
            Entry::Occupied(entry) => {
                let dut = entry.into_mut();
                if !COUNTS_CODE {
                    dut.renew()?;
                }
                dut
            }
            Entry::Vacant(entry) => entry.insert(Self::make_variant(variant)?),
        })
    }
}
