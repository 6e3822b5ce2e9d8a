// SPDX-License-Identifier: Apache-2.0
//! Functional coverage: the situations of a format that runs have reached.
//!
//! - [`groups`] has the covergroups, one file each: axes, impossible bins, sampling rule.
//!   [`covergroup`] defines a covergroup, [`axes`] has the axes that several share, and [`events`]
//!   has the events that they sample.
//! - [`CoverageCollector`] observes a run and gives its events to the covergroups, which count into
//!   [`Bins`].
//! - [`Coverage`] is the sum of many runs. The sum is the same in any order of the runs. [`model`]
//!   numbers the bins, [`file`](mod@file) reads and writes them, [`text`] and [`html`] render them.
//! - [`goal`] names the situations that no run has reached, for the generator of stimulus.
//! - `handout` and `riscv` have the properties of formats that covergroups need; `formats`
//!   registers them.
//! - [`rtl`] is the coverage of the RTL's code, which Verilator counts.

pub mod abilities;
pub mod axes;
mod bins;
mod collect;
pub mod covergroup;
mod domain;
pub mod events;
pub mod file;
mod formats;
pub mod goal;
pub mod groups;
mod handout;
pub mod html;
pub mod model;
mod riscv;
pub mod rtl;
mod slots;
mod steps;
pub mod text;
mod walks;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use abilities::{Abilities, Sight};
pub use axes::{Mode, WalkPosition};
pub use bins::{Bins, Hits, Sampling};
pub use collect::CoverageCollector;
use covergroup::{Covergroup, Rule};
pub use domain::Domain;
pub use goal::{Goal, Situation, WalkGoal, WalkOutcome};
pub use groups::Id;
use model::{Group, Model};
pub use slots::{LastEntry, Slots, WalkState};
pub use steps::UpdateOutcome;
pub use walks::WalkInFlight;

use crate::campaign::Shape;
use crate::format::Format;
use crate::shard::Shard;
use crate::stimulus::Profile;

/// A run of a campaign, or the sum of several of its shards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The profile of the campaign.
    pub profile: String,
    /// The seed of the campaign.
    pub seed: u64,
    /// The number of accesses of the campaign.
    pub count: u64,
    /// The other options of the campaign.
    pub shape: Shape,
    /// The abilities of the device, if it is a foreign one or hides something; none for the
    /// project's own devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abilities: Option<Abilities>,
    /// The version of the program.
    pub version: String,
    /// The shards whose coverage the file contains.
    pub parts: Vec<Shard>,
    /// The number of scenarios whose coverage the file contains.
    pub scenarios: u64,
    /// The number of scenarios of the whole campaign.
    pub of: u64,
    /// The number of accesses of these scenarios.
    pub accesses: u64,
    /// The number of clock cycles in the figures.
    pub cycles: u64,
}

/// The largest number of shards of a run whose campaign was split in more than one way.
const MOST_MIXED_SHARDS: usize = 64;

impl Run {
    /// Returns true if the other run is of the same campaign.
    fn same(&self, other: &Run) -> bool {
        let id = |run: &'_ Run| (run.seed, run.count, run.of);
        id(self) == id(other)
            && self.profile == other.profile
            && self.shape == other.shape
            && self.abilities == other.abilities
            && self.version == other.version
    }

    /// Returns a shard of the other run that has scenarios of this run.
    fn overlap(&self, other: &Run) -> Option<Shard> {
        let is_of_split = |of: u64| move |shard: &&Shard| shard.of == of;
        let twice = |shard: &Shard| {
            // Shards of the same split have no scenario in common, unless they are the same shard.
            self.parts.binary_search(shard).is_ok()
                || !self.parts.iter().all(|mine| is_of_split(shard.of)(&mine))
                    && (self.parts.iter()).any(|mine| mine.overlaps(*shard, self.of))
        };
        other.parts.iter().copied().find(twice)
    }

    /// Returns true if the shards are not empty, sorted, and each there once. If a campaign was
    /// split in several ways, there must be no more than [`MOST_MIXED_SHARDS`].
    fn is_sound(&self) -> bool {
        let parts = &self.parts;
        let is_split_once = parts.windows(2).all(|pair| pair[0].of == pair[1].of);
        !parts.is_empty()
            && parts.is_sorted_by(|a, b| a < b)
            && (is_split_once || parts.len() <= MOST_MIXED_SHARDS)
            && (parts.iter()).all(|part| Shard::new(part.index, part.of).is_ok())
    }
}

/// The reason why coverage cannot be merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// Both sums contain the same scenarios of a campaign.
    #[error(
        "scenarios of shard {shard} of fuzz --profile {profile} --seed {seed} --count {count}\
         {shape} are in it twice"
    )]
    Twice {
        /// The profile of the campaign.
        profile: String,
        /// The seed of the campaign.
        seed: u64,
        /// The number of accesses of the campaign.
        count: u64,
        /// The other options of the campaign.
        shape: Box<Shape>,
        /// The shard.
        shard: Shard,
    },
}

/// The coverage of runs: the number of hits of each bin, by format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// The runs, sorted, each campaign once.
    pub runs: Vec<Run>,
    /// The number of hits of each bin, in the order of the format's [`Model`].
    counts: BTreeMap<u8, Vec<u64>>,
}

impl Coverage {
    /// Returns the formats that have counts.
    pub fn formats(&self) -> impl Iterator<Item = Format> {
        Format::ALL
            .into_iter()
            .filter(|&format| self.counts.contains_key(&(format as u8)))
    }

    /// Returns the counts of a format, by bin.
    fn counts_mut(&mut self, format: Format) -> &mut Vec<u64> {
        self.counts
            .entry(format as u8)
            .or_insert_with(|| vec![0; Model::of(format).bins])
    }

    /// Adds the hits of one run.
    pub fn add(&mut self, hits: &Hits) {
        let counts = self.counts_mut(hits.format);
        for &(bin, count) in &hits.bins {
            let bin = &mut counts[bin as usize];
            *bin = bin.saturating_add(count.into());
        }
    }

    /// Adds other coverage.
    ///
    /// # Errors
    /// If scenarios of a campaign would be counted twice.
    pub fn merge(&mut self, other: &Coverage) -> Result<(), MergeError> {
        for run in &other.runs {
            self.add_run(run)?;
        }
        for format in other.formats() {
            let theirs = &other.counts[&(format as u8)];
            for (mine, theirs) in self.counts_mut(format).iter_mut().zip(theirs) {
                *mine = mine.saturating_add(*theirs);
            }
        }
        Ok(())
    }

    fn add_run(&mut self, run: &Run) -> Result<(), MergeError> {
        let Some(mine) = self.runs.iter_mut().find(|mine| mine.same(run)) else {
            let at = self.runs.partition_point(|other| other < run);
            self.runs.insert(at, run.clone());
            return Ok(());
        };
        if let Some(shard) = mine.overlap(run) {
            return Err(MergeError::Twice {
                profile: run.profile.clone(),
                seed: run.seed,
                count: run.count,
                shape: Box::new(run.shape.clone()),
                shard,
            });
        }
        mine.parts.extend(&run.parts);
        mine.parts.sort_unstable();
        // All shards of one split are the whole campaign.
        if let Some(&Shard { of, .. }) = mine.parts.first()
            && mine.parts.len() as u64 == of
            && mine.parts.iter().all(|part| part.of == of)
        {
            mine.parts = vec![Shard::WHOLE];
        }
        mine.scenarios = mine.scenarios.saturating_add(run.scenarios);
        mine.accesses = mine.accesses.saturating_add(run.accesses);
        mine.cycles = mine.cycles.saturating_add(run.cycles);
        self.runs.sort();
        Ok(())
    }

    /// Returns the number of hits of each bin of a group, in the order of the group's rules; empty
    /// if nothing of the format has run.
    pub fn group(&self, format: Format, group: &Group) -> &[u64] {
        self.counts
            .get(&(format as u8))
            .map_or(&[], |counts| &counts[group.start..][..group.rules.len()])
    }

    /// Returns the bins of a covergroup in order, with their rules and counts; none if the format
    /// does not have it.
    pub fn bins<G: Covergroup>(&self, format: Format) -> impl Iterator<Item = (G, Rule, u64)> {
        let model = Model::of(format);
        model.group(G::ID).into_iter().flat_map(move |group| {
            let counts = self.group(format, group).iter().copied();
            let bins = G::all(&model.domain).into_iter();
            let rules = self.rules(format, group).into_iter();
            bins.zip(rules)
                .zip(counts)
                .map(|((bin, rule), count)| (bin, rule, count))
        })
    }

    /// Returns how the runs of a format see each bin: as the run that sees it best. None if there
    /// is a run that sees every bin.
    fn sights(&self, format: Format) -> Option<Vec<Sight>> {
        let model = Model::of(format);
        let of_format = |run: &&Run| {
            let profile: Result<Profile, _> = run.profile.parse();
            profile.is_ok_and(|profile| profile.format == format)
        };
        let mut best: Option<Vec<Sight>> = None;
        for run in self.runs.iter().filter(of_format) {
            let sights = model.sights(run.abilities.as_ref()?);
            best = Some(match best {
                None => sights,
                Some(best) => best
                    .into_iter()
                    .zip(sights)
                    .map(|(a, b)| a.max(b))
                    .collect(),
            });
        }
        best
    }

    /// Returns the rules of a group's bins, in view of the devices of the runs: a reachable bin
    /// without a hit that no run can see or reach is [`Rule::NotVisible`] or [`Rule::NotAble`].
    pub fn rules(&self, format: Format, group: &Group) -> Vec<Rule> {
        let mut rules = group.rules.clone();
        let Some(sights) = self.sights(format) else {
            return rules;
        };
        let bins = self.group(format, group).iter().zip(&sights[group.start..]);
        for (rule, (&count, &sight)) in rules.iter_mut().zip(bins) {
            *rule = match (*rule, sight) {
                (Rule::Reachable, Sight::NotVisible) if count == 0 => Rule::NotVisible,
                (Rule::Reachable, Sight::NotAble) if count == 0 => Rule::NotAble,
                (rule, _) => rule,
            };
        }
        rules
    }

    /// Returns the summary of a group.
    pub fn summary(&self, format: Format, group: &Group) -> Summary {
        let mut summary = Summary::default();
        let rules = self.rules(format, group);
        for (rule, &count) in rules.iter().zip(self.group(format, group)) {
            let hit = count > 0;
            match rule {
                Rule::Reachable => {
                    summary.reachable += 1;
                    summary.reached += u64::from(hit);
                }
                Rule::Impossible(_) => {
                    summary.impossible += 1;
                    summary.contradictions += u64::from(hit);
                }
                Rule::NotAsked(_) => summary.not_asked += 1,
                Rule::NotVisible => summary.not_visible += 1,
                Rule::NotAble => summary.not_able += 1,
            }
        }
        summary
    }

    /// Returns the summary of a format.
    pub fn total(&self, format: Format) -> Summary {
        let mut total = Summary::default();
        for group in &Model::of(format).groups {
            total.add(&self.summary(format, group));
        }
        total
    }

    /// Returns the numbers of a group's reachable bins without a hit. Bins that no run can see or
    /// reach are left out.
    pub fn empty_bins(&self, format: Format, group: &Group) -> Vec<usize> {
        let rules = self.rules(format, group);
        let counts = self.group(format, group);
        (0..counts.len())
            .filter(|&bin| counts[bin] == 0 && rules[bin] == Rule::Reachable)
            .collect()
    }

    /// Returns the impossible bins that were hit, by group and number. Either a rule is wrong, or
    /// the device and the golden model are.
    pub fn contradictions(&self, format: Format) -> Vec<(&'static Group, usize)> {
        let mut found = Vec::new();
        for group in &Model::of(format).groups {
            for (bin, &count) in self.group(format, group).iter().enumerate() {
                if count > 0 && matches!(group.rules[bin], Rule::Impossible(_)) {
                    found.push((group, bin));
                }
            }
        }
        found
    }

    /// Returns the goals of a format's bins without a hit.
    pub fn empty_goals(&self, format: Format) -> Vec<Goal> {
        let model = Model::of(format);
        let mut empty = Vec::new();
        for group in &model.groups {
            let counts = self.group(format, group);
            let rules = self.rules(format, group);
            let goals = model.goals(group).into_iter().enumerate();
            for (bin, goal) in goals.filter(|&(bin, _)| rules[bin] == Rule::Reachable) {
                if counts.get(bin).is_none_or(|&count| count == 0) {
                    empty.extend(goal);
                }
            }
        }
        empty
    }
}

/// The numbers of bins of a group or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Reachable bins that were hit.
    pub reached: u64,
    /// Reachable bins.
    pub reachable: u64,
    /// Impossible bins.
    pub impossible: u64,
    /// Bins that no run is asked to hit.
    pub not_asked: u64,
    /// Bins that a device hides from every run.
    pub not_visible: u64,
    /// Bins that the device of no run is able to reach.
    pub not_able: u64,
    /// Impossible bins that were hit.
    pub contradictions: u64,
}

impl Summary {
    fn add(&mut self, other: &Summary) {
        self.reached += other.reached;
        self.reachable += other.reachable;
        self.impossible += other.impossible;
        self.not_asked += other.not_asked;
        self.not_visible += other.not_visible;
        self.not_able += other.not_able;
        self.contradictions += other.contradictions;
    }

    /// Returns the share of reachable bins that were hit in percent, rounded down.
    pub fn percent(&self) -> f64 {
        if self.reachable == 0 {
            return 100.0;
        }
        (self.reached * 1000 / self.reachable) as f64 / 10.0
    }
}

/// Sums the hits of a campaign's runs in the order of their numbers, up to the first that failed.
/// Runs may end in any order, so the sum does not depend on the number of threads.
#[derive(Debug)]
pub struct InOrder {
    coverage: Coverage,
    /// The number of the next run to add; none after a failure.
    next: Option<u64>,
    /// The runs that ended before their turn.
    waiting: BTreeMap<u64, (Hits, bool)>,
}

impl InOrder {
    /// Makes an empty sum.
    pub fn new(format: Format) -> Self {
        let mut coverage = Coverage::default();
        coverage.counts_mut(format);
        Self {
            coverage,
            next: Some(0),
            waiting: BTreeMap::new(),
        }
    }

    /// Adds run `number`, which has ended. Numbers count the runs of the campaign from 0, and each
    /// is added once.
    pub fn add(&mut self, number: u64, hits: Hits, failed: bool) {
        self.waiting.insert(number, (hits, failed));
        while let Some(next) = self.next
            && let Some((hits, failed)) = self.waiting.remove(&next)
        {
            self.coverage.add(&hits);
            self.next = (!failed).then_some(next + 1);
        }
    }

    /// Returns the sum.
    pub fn finish(mut self, run: Run) -> Coverage {
        self.coverage.runs = vec![run];
        self.coverage
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dut::description::Visibility;

    fn hits(bins: &[(u32, u32)]) -> Hits {
        Hits {
            format: Format::Rv32,
            bins: bins.to_vec(),
        }
    }

    fn run(scenarios: u64) -> Run {
        Run {
            profile: "rv32".into(),
            seed: 1,
            count: 2000,
            shape: Shape {
                device: None,
                devices: Vec::new(),
                lean: None,
                stimulus: "1".into(),
                rtl: "2".into(),
            },
            abilities: None,
            version: "0".into(),
            parts: vec![Shard::WHOLE],
            scenarios,
            of: 4,
            accesses: scenarios * 500,
            cycles: 7 * scenarios,
        }
    }

    #[test]
    fn runs_that_end_in_any_order_add_up_to_the_same_and_none_behind_a_failure_counts() {
        let all: Vec<Hits> = (0..6).map(|n| hits(&[(n, 1), (7, n + 1)])).collect();
        let sum = |order: [u64; 6], failed: u64| {
            let mut sum = InOrder::new(Format::Rv32);
            for number in order {
                sum.add(number, all[number as usize].clone(), number == failed);
            }
            sum.finish(run(4))
        };
        let straight = sum([0, 1, 2, 3, 4, 5], 3);
        assert_eq!(straight, sum([5, 3, 4, 2, 0, 1], 3));
        let group = &Model::of(Format::Rv32).groups[0];
        let counts = straight.group(Format::Rv32, group);
        assert_eq!(counts[..8], [1, 1, 1, 1, 0, 0, 0, 10]);
    }

    #[test]
    fn parts_of_a_campaign_add_up_to_the_whole_and_no_part_counts_twice() {
        let part = |bins: &[(u32, u32)], scenarios, shard| {
            let mut coverage = Coverage::default();
            coverage.add(&hits(bins));
            coverage.runs = vec![Run {
                parts: vec![shard],
                ..run(scenarios)
            }];
            coverage
        };
        let shard = |index| Shard { index, of: 2 };
        let whole = part(&[(1, 3), (2, 4), (9, 1)], 4, Shard::WHOLE);
        let one = part(&[(1, 3), (2, 1)], 2, shard(0));
        let two = part(&[(2, 3), (9, 1)], 2, shard(1));
        for [first, second] in [[&one, &two], [&two, &one]] {
            let mut sum = Coverage::default();
            sum.merge(first).unwrap();
            sum.merge(second).unwrap();
            assert_eq!(sum, whole);
            assert!(matches!(sum.merge(first), Err(MergeError::Twice { .. })));
        }
        // A shard that is merged twice is an error, even if the sum has no more scenarios than the
        // campaign.
        let mut sum = one.clone();
        assert!(matches!(sum.merge(&one), Err(MergeError::Twice { .. })));
    }

    #[test]
    fn campaigns_that_differ_in_anything_are_two() {
        let mut sum = Coverage {
            runs: vec![run(4)],
            ..Coverage::default()
        };
        let mut others = vec![run(4); 4];
        others[0].shape.device = Some("rv32_s1".into());
        others[1].shape.lean = Some("3".into());
        others[2].shape.stimulus = "4".into();
        others[3].shape.rtl = "5".into();
        for (number, other) in others.into_iter().enumerate() {
            let coverage = Coverage {
                runs: vec![other],
                ..Coverage::default()
            };
            sum.merge(&coverage).unwrap();
            assert_eq!(sum.runs.len(), number + 2);
        }
    }

    #[test]
    fn a_device_that_lacks_an_ability_misses_no_bin_that_needs_it() {
        let format = Format::Rv64;
        let device = Abilities {
            guest: vec![0, 3],
            host: vec![0, 3],
            svadu: false,
            svnapot: false,
            fence: None,
            ..Abilities::of_own_devices(format, Visibility::Steps)
        };
        let of = |abilities: Option<&Abilities>| Coverage {
            runs: vec![Run {
                profile: "rv64".into(),
                abilities: abilities.cloned(),
                ..run(4)
            }],
            counts: [(format as u8, vec![0; Model::of(format).bins])].into(),
        };
        let (limited, whole) = (of(Some(&device)), of(None));
        let names = |coverage: &Coverage, id| {
            let group = Model::of(format).group(id).unwrap();
            let empty = coverage.empty_bins(format, group).into_iter();
            empty.map(|bin| group.bin_name(bin)).collect::<Vec<_>>()
        };
        let is_of_sv39 = |name: &String| !name.contains("sv48") && !name.contains("sv57");
        let translations = names(&limited, Id::Translation);
        assert!(!translations.is_empty() && translations.iter().all(is_of_sv39));
        let mut expected = names(&whole, Id::Translation);
        expected.retain(|name| is_of_sv39(name) && !name.contains("64 KiB"));
        assert_eq!(translations, expected);
        assert_eq!(names(&limited, Id::Update), Vec::<String>::new());
        assert_eq!(names(&limited, Id::Fence), Vec::<String>::new());
        assert!(!names(&whole, Id::Update).is_empty());

        // The generator of stimulus does not aim at them either.
        assert!(limited.empty_goals(format).len() < whole.empty_goals(format).len());
        let total = limited.total(format);
        assert_eq!(total.not_visible, 0);
        assert_eq!(
            total.reachable + total.not_able,
            whole.total(format).reachable
        );
        // A campaign on a device that has them all asks for every bin again.
        let mut sum = limited;
        sum.runs.push(whole.runs[0].clone());
        assert_eq!(sum.total(format), whole.total(format));
    }

    #[test]
    fn goals_are_the_empty_bins_of_walks_and_situations() {
        let model = Model::of(Format::Rv64);
        let none = Coverage::default();
        let goals = none.empty_goals(Format::Rv64);
        let groups = [
            Id::Fault,
            Id::Translation,
            Id::FenceWalk,
            Id::FencePlace,
            Id::Twin,
            Id::Wait,
            Id::ErrorWord,
            Id::CacheSwitch,
            Id::SecondAgain,
            Id::Update,
        ];
        let reachable: usize = groups
            .iter()
            .map(|&id| {
                let rules = &model.group(id).unwrap().rules;
                rules
                    .iter()
                    .filter(|&&rule| rule == Rule::Reachable)
                    .count()
            })
            .sum();
        assert_eq!(goals.len(), reachable);
        let mut one = Coverage::default();
        let fault = model.group(Id::Fault).unwrap();
        let bin = fault
            .rules
            .iter()
            .position(|&rule| rule == Rule::Reachable)
            .unwrap();
        one.add(&Hits {
            format: Format::Rv64,
            bins: vec![((fault.start + bin) as u32, 1)],
        });
        assert_eq!(one.empty_goals(Format::Rv64), goals[1..]);
    }
}
