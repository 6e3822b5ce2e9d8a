// SPDX-License-Identifier: Apache-2.0
//! Random campaigns: the result does not depend on the machine or the number of threads, written
//! scenarios run the same, and the stimulus reaches the required situations.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use nestwalk::bench::{Observer, Request, Stats, run};
use nestwalk::campaign::{Campaign, Devices};
use nestwalk::dut::variants::VARIANTS;
use nestwalk::dut::{Event, Miss, Next};
use nestwalk::format::Format;
use nestwalk::mmu::{FaultKind, Fence, Outcome, Position, Purpose};
use nestwalk::report::{Recorder, text};
use nestwalk::scenario::Scenario;
use nestwalk::scenario::parse::parse;
use nestwalk::scenario::write::to_toml;
use nestwalk::stimulus::{self, Profile};

mod common {
    pub mod program;
}
use common::program::{Ran, nestwalk};

fn fuzz(profile: Profile, arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let profile = profile.to_string();
    let mut all = vec![
        "fuzz",
        "--profile",
        &profile,
        "-o",
        output.to_str().unwrap(),
    ];
    all.extend(arguments);
    let ran = nestwalk(&all);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(!output.exists(), "nothing has failed");
    ran
}

#[test]
fn a_campaign_ends_the_same_on_any_number_of_threads() {
    for profile in Profile::ALL {
        let of_jobs = |jobs| {
            let arguments = ["--seed", "7", "--count", "4321", "--jobs", jobs, "--json"];
            fuzz(profile, &arguments)
        };
        let one = of_jobs("1");
        let json = one.json();
        assert_eq!(json["stats"]["accesses"], 4321);
        assert_eq!(json["scenarios"], 9);
        assert_eq!(json["agree"], true);
        assert_eq!(one.stdout, of_jobs("2").stdout, "{profile}");
        assert_eq!(one.stdout, of_jobs("5").stdout, "{profile}");
    }
}

#[test]
fn a_campaign_without_a_seed_says_which_it_took_and_that_seed_makes_it_again() {
    let profile = Profile::ALL[1];
    let first = fuzz(profile, &["--count", "1500", "--json"]);
    let seed = first.json()["seed"].as_u64().unwrap().to_string();
    let again = fuzz(profile, &["--count", "1500", "--seed", &seed, "--json"]);
    assert_eq!(first.stdout, again.stdout);

    // The text too: the first line is the command that repeats the campaign, and the second its
    // figures.
    let first = fuzz(profile, &["--count", "1500"]).stdout;
    let mut lines = first.lines();
    let line = lines.next().unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    let ["fuzz", "--profile", _, "--seed", seed, "--count", "1500"] = words[..] else {
        panic!("{line}");
    };
    let again = fuzz(profile, &["--count", "1500", "--seed", seed]).stdout;
    let figures = lines.next().unwrap();
    assert!(figures.starts_with("1500 accesses in "), "{figures}");
    assert_eq!(
        again.lines().take(2).collect::<Vec<_>>(),
        [line, figures],
        "{again}"
    );
}

#[test]
fn another_seed_is_another_campaign() {
    for profile in Profile::ALL {
        let of_seed = |seed| {
            let json = fuzz(profile, &["--seed", seed, "--count", "1000", "--json"]).json();
            json["stats"].to_string()
        };
        let stats: BTreeSet<String> = ["0", "1", "2", "9223372036854775807"].map(of_seed).into();
        assert_eq!(stats.len(), 4, "{profile}");
    }
}

#[test]
fn a_random_scenario_follows_from_profile_seed_number_and_length_alone() {
    for profile in Profile::ALL {
        let make = |number| to_toml(&stimulus::scenario(profile, 11, number, 120));
        let forth: Vec<String> = (0..8).map(make).collect();
        let mut back: Vec<String> = (0..8).rev().map(make).collect();
        back.reverse();
        assert_eq!(forth, back, "{profile}");
        let elsewhere = std::thread::scope(|scope| {
            let of_thread = scope.spawn(|| (0..8).map(make).collect::<Vec<_>>());
            of_thread.join().unwrap()
        });
        assert_eq!(forth, elsewhere, "{profile}");
        let different: BTreeSet<&String> = forth.iter().collect();
        assert_eq!(different.len(), 8, "{profile}");
    }
}

/// Runs a scenario. Returns its figures, and the cycles and results of each access.
fn recorded(devices: &mut Devices, scenario: &Scenario) -> (Stats, Recorder) {
    let mut recorder = Recorder::new(scenario);
    match run(devices.get(scenario).unwrap(), scenario, &mut recorder) {
        Ok(stats) => (stats, recorder),
        Err(failed) => panic!("{}", text::failure(scenario, &failed)),
    }
}

#[test]
fn a_random_scenario_that_is_written_and_read_runs_the_same_cycle_by_cycle() {
    let mut devices = Devices::default();
    let mut variants = BTreeSet::new();
    for profile in Profile::ALL {
        for number in 0..64 {
            let scenario = stimulus::scenario(profile, 5, number, 300);
            let read = parse(&to_toml(&scenario), "written.toml")
                .unwrap_or_else(|error| panic!("{error}"));
            let (stats, recorder) = recorded(&mut devices, &scenario);
            let (again, of_read) = recorded(&mut devices, &read);
            assert_eq!(stats, again, "{profile}, {number}");
            assert_eq!(stats.accesses, 300);
            let what_happened = |recorder: &Recorder| {
                let accesses = recorder.accesses.iter();
                let accesses: Vec<_> = accesses
                    .map(|a| (a.accepted, a.answered, a.merged))
                    .collect();
                let walks: Vec<_> = recorder.walks.iter().map(|w| w.reads.clone()).collect();
                (accesses, walks, recorder.fences.clone())
            };
            assert!(
                what_happened(&recorder) == what_happened(&of_read),
                "{profile}, {number}"
            );
            variants.insert(scenario.machine.variant().unwrap().name);
        }
    }
    // Each device must have taken part.
    let all = VARIANTS.iter().filter(|v| v.is_for_campaigns());
    assert_eq!(variants.len(), all.count(), "{variants:?}");
}

/// The results of a campaign.
#[derive(Default)]
struct Reached {
    faults: BTreeSet<String>,
    fences: BTreeSet<[bool; 4]>,
    hits: u64,
    hit_faults: u64,
    merged: u64,
    /// The numbers of translations that a fence has kept out of the TLB, and of overtaken requests.
    overtaken: u64,
    variants: BTreeSet<&'static str>,
}

fn name(kind: FaultKind, at: &Position, format: Format) -> String {
    let level = format.level_name(at.level());
    match at {
        Position::Guest { .. } => format!("{kind} at guest {level}"),
        Position::Host { purpose, .. } => {
            let purpose = match purpose {
                Purpose::Data => "data".to_owned(),
                Purpose::GuestEntry(level) => format!("guest {}", format.level_name(*level)),
                Purpose::GuestUpdate(level) => {
                    format!("update of guest {}", format.level_name(*level))
                }
            };
            format!("{kind} at host {level} for {purpose}")
        }
    }
}

struct Watch<'a> {
    format: Format,
    reached: &'a mut Reached,
    /// The walks that have found a translation and have returned it to no request yet, by slot.
    found: [bool; 16],
}

impl Observer for Watch<'_> {
    const EVENTS: bool = true;

    fn answered(&mut self, _: u64, _: &Request, outcome: &Outcome, hit: bool) {
        self.reached.hits += u64::from(hit);
        if let Err(fault) = outcome {
            self.reached.hit_faults += u64::from(hit);
            let name = name(fault.kind, &fault.at, self.format);
            self.reached.faults.insert(name);
        }
    }

    fn fenced(&mut self, _: u64, _: usize, fence: &Fence) {
        self.reached.fences.insert([
            fence.gva.is_some(),
            fence.gpa.is_some(),
            fence.asid.is_some(),
            fence.vmid.is_some(),
        ]);
    }

    fn replayed(&mut self, _: u64, _: &Request) {
        self.reached.overtaken += 1;
    }

    fn event(&mut self, _: u64, event: &Event) {
        let merged = matches!(event.miss, Some(Miss { merged: true, .. }));
        self.reached.merged += u64::from(merged);
        if let Some(step) = event.step {
            self.found[usize::from(step.slot)] = step.next == Next::Done;
        }
        if let Some(done) = event.done
            && std::mem::take(&mut self.found[usize::from(done.slot)])
        {
            self.reached.overtaken += u64::from(!done.fill);
        }
    }
}

/// Returns every fault that a profile of the handout's formats can have, by the rules of the
/// formats.
fn possible_faults(profile: Profile) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let host = |level, purpose| Position::Host {
        level,
        gpa: Default::default(),
        purpose,
    };
    let purposes = [
        Purpose::GuestEntry(1),
        Purpose::GuestEntry(0),
        Purpose::Data,
    ];
    let mut positions: Vec<Position> = [0, 1].map(|level| Position::Guest { level }).into();
    positions.extend(
        purposes
            .iter()
            .flat_map(|&purpose| [host(0, purpose), host(1, purpose)]),
    );
    for at in positions {
        for kind in FaultKind::ALL {
            let is_leaf = at.level() == 0;
            let is_possible = match kind {
                FaultKind::Memory | FaultKind::Width => true,
                // The host root is the same for every walk of a translation, so the first walk
                // faults.
                FaultKind::Misaligned => at != host(1, Purpose::GuestEntry(0)),
                // All 32 bits of an entry are address bits.
                FaultKind::Reserved => profile.format == Format::Handout,
                FaultKind::Invalid | FaultKind::Permission => profile.rights && is_leaf,
                // Only RISC-V has these.
                FaultKind::AccessedDirty | FaultKind::Pointer => false,
            };
            if is_possible {
                names.insert(name(kind, &at, profile.format));
            }
        }
    }
    names
}

/// The number of scenarios in which every common situation must occur.
const SOME: u64 = 200;
/// The number of scenarios in which every possible situation must occur.
const MANY: u64 = 1000;

fn reaches_everything(profile: Profile) {
    let possible = possible_faults(profile);
    let mut devices = Devices::default();
    let mut reached = Reached::default();
    for number in 0..MANY {
        if number >= SOME && possible.is_subset(&reached.faults) {
            break;
        }
        let scenario = stimulus::scenario(profile, 1, number, stimulus::weights::ACCESSES);
        let mut watch = Watch {
            format: profile.format,
            reached: &mut reached,
            found: [false; 16],
        };
        if let Err(failed) = run(devices.get(&scenario).unwrap(), &scenario, &mut watch) {
            panic!("{}", text::failure(&scenario, &failed));
        }
        reached
            .variants
            .insert(scenario.machine.variant().unwrap().name);
    }
    let missing: Vec<_> = possible.difference(&reached.faults).collect();
    assert!(missing.is_empty(), "{profile} never has: {missing:#?}");
    let impossible: Vec<_> = reached.faults.difference(&possible).collect();
    assert!(impossible.is_empty(), "{profile} has: {impossible:#?}");
    assert_eq!(reached.fences.len(), 16, "{:?}", reached.fences);
    assert!(reached.hits > 10_000, "{}", reached.hits);
    assert_eq!(
        reached.hit_faults > 100,
        profile.rights,
        "{}",
        reached.hit_faults
    );
    assert!(reached.merged > 1_000, "{}", reached.merged);
    assert!(reached.overtaken > 300, "{}", reached.overtaken);
    let all = VARIANTS
        .iter()
        .filter(|v| v.paging_format() == profile.format && v.is_for_campaigns());
    assert_eq!(
        reached.variants.len(),
        all.count(),
        "{:?}",
        reached.variants
    );
}

#[test]
fn handout_campaigns_reach_every_fault_every_fence_hits_and_shared_walks() {
    reaches_everything(Profile::ALL[0]);
}

#[test]
fn handout_rights_campaigns_reach_every_fault_every_fence_hits_and_shared_walks() {
    reaches_everything(Profile::ALL[1]);
}

#[test]
fn classic32_campaigns_reach_every_fault_every_fence_hits_and_shared_walks() {
    reaches_everything(Profile::ALL[2]);
}

#[test]
fn classic32_rights_campaigns_reach_every_fault_every_fence_hits_and_shared_walks() {
    reaches_everything(Profile::ALL[3]);
}

#[test]
fn a_campaign_of_twenty_thousand_accesses_fails_nowhere() {
    for profile in Profile::ALL {
        let campaign = Campaign {
            profile,
            seed: 2026,
            count: 20_000,
            jobs: 2,
            coverage: false,
            lean: None,
            device: None,
            devices: Vec::new(),
            visibility: nestwalk::dut::description::Visibility::Steps,
        };
        let outcome = campaign.run(&|_| {}, &AtomicBool::new(false)).unwrap();
        if let Some((number, failed)) = &outcome.failed {
            let scenario = campaign.scenario(*number);
            panic!("{profile}, {number}:\n{}", text::failure(&scenario, failed));
        }
        assert_eq!(outcome.stats.accesses, 20_000);
        // 32 scenarios of 500 accesses and a long scenario of 4000.
        assert_eq!(outcome.scenarios, 33);
        assert!(!outcome.interrupted);
    }
}

#[test]
fn an_interrupted_campaign_says_so_and_counts_only_what_has_run() {
    let campaign = Campaign {
        profile: Profile::ALL[0],
        seed: 1,
        count: 20_000,
        jobs: 1,
        coverage: false,
        lean: None,
        device: None,
        devices: Vec::new(),
        visibility: nestwalk::dut::description::Visibility::Steps,
    };
    // The run is interrupted after the third scenario.
    let interrupt = AtomicBool::new(false);
    let done = std::sync::atomic::AtomicU64::new(0);
    let progress = |accesses| {
        use std::sync::atomic::Ordering::Relaxed;
        if done.fetch_add(accesses, Relaxed) + accesses == 1_500 {
            interrupt.store(true, Relaxed);
        }
    };
    let outcome = campaign.run(&progress, &interrupt).unwrap();
    assert!(outcome.interrupted && outcome.failed.is_none());
    assert_eq!((outcome.scenarios, outcome.stats.accesses), (3, 1_500));
}
