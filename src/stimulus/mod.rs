// SPDX-License-Identifier: Apache-2.0
//! Random scenarios from a seed.
//!
//! A campaign is a sequence of scenarios. Scenario `n` of a seed is the same whoever makes it, and
//! whatever was made before. Any memory is legal for the checks, so the generator need not keep its
//! tables consistent. It only makes interesting events frequent. [`weights`] has their frequencies.

mod aim;
mod devices;
mod formats;
mod handout;
pub mod riscv;

use std::fmt;
use std::str::FromStr;

use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::coverage::Goal;
use crate::dut::variants::{VARIANTS, Variant};
use crate::format::Format;
use crate::memory::HostMemory;
use crate::mmu::WalkCaches;
use crate::scenario::abilities;
use crate::scenario::{Held, Holes, Machine, NamedContext, Op, Scenario, Timing};
use crate::shard::Shard;
pub use devices::{MOST_DEVICES, devices};

/// Frequencies of events. Percentages unless stated.
pub mod weights {
    /// Accesses in a scenario.
    pub const ACCESSES: u64 = 500;
    /// Accesses in a long scenario, which has no reset.
    pub const LONG: u64 = 4000;
    /// One scenario in this number is long.
    pub const LONG_ONE_IN: u64 = 50;
    /// Walk caches are in use, where the device has some.
    pub const WALK_CACHES: u32 = 40;
    /// Among scenarios for another than the default device, those for a device with an L2 TLB,
    /// whatever others exist.
    pub const SECOND_TLB: u32 = 30;

    /// The next operation is an access.
    pub const ACCESS: u32 = 73;
    /// Several equal accesses in a row.
    pub const EQUAL_ACCESSES: u32 = 3;
    /// A word is changed so that an access faults in a drawn way, and put back.
    pub const FAULT: u32 = 3;
    /// A fence overtakes a walk, or is a near miss of it.
    pub const OVERTAKE: u32 = 2;
    /// A fence.
    pub const FENCE: u32 = 4;
    /// An edit of a table word.
    pub const EDIT: u32 = 5;
    /// A wait of a few cycles.
    pub const WAIT: u32 = 3;
    /// A wait for every response.
    pub const DRAIN: u32 = 2;
    /// A port is held for long.
    pub const HOLD: u32 = 1;
    /// One page under contexts that differ in one field only.
    pub const TWINS: u32 = 1;
    /// A fence in a certain cycle of a walk.
    pub const FENCE_AT: u32 = 2;
    /// Another behaviour of memory and requester. (The rest of a hundred.)
    pub const TIMING: u32 = 1;

    /// An access is speculative: it is not repeated after a replay.
    pub const SPECULATIVE: u32 = 5;
    /// Per mille of what would be another behaviour: a reset instead.
    pub const RESET: u32 = 300;
    /// Per mille of changes of memory's behaviour: some accesses run over a memory that takes
    /// hundreds of cycles.
    pub const SLOW: u32 = 40;
    /// Cycles for which a port is held, at least and at most.
    pub const HELD_CYCLES: [u64; 2] = [20, 300];
    /// Cycles of a memory that is slow, at least and at most.
    pub const SLOW_CYCLES: [u64; 2] = [100, 500];
    /// A port is busy in runs of cycles.
    pub const SPELLS: u32 = 60;
    /// A context has a twin that differs from it in one field.
    pub const TWIN: u32 = 30;
    /// A reset comes some cycles after the operation before it. Otherwise it comes in the cycle
    /// after a request was accepted, when no walk waits for the response port.
    pub const RESET_LATER: u32 = 60;

    /// An access is in another context than the one before.
    pub const SWITCH: u32 = 20;
    /// An access is to a page among the few used last.
    pub const AGAIN: u32 = 65;
    /// An access is to any address at all.
    pub const WILD: u32 = 3;
    /// An episode is for a goal, if there are any.
    pub const LEAN: u32 = 50;
    /// A fence has no operand.
    pub const FENCE_ALL: u32 = 25;
    /// An edit is followed at once by a fence.
    pub const EDIT_FENCED: u32 = 60;
    /// An edit waits for the accesses before it.
    pub const EDIT_DRAINED: u32 = 30;

    /// Per mille: a table's base is not a multiple of 4.
    pub const BASE_MISALIGNED: u32 = 20;
    /// Per mille: a table's base is so high that some entries lie past the machine's width.
    pub const BASE_HIGH: u32 = 25;
    /// The base of a table is not a multiple of its size.
    pub const BASE_UNALIGNED: u32 = 25;
    /// A guest table straddles two pages.
    pub const STRADDLE: u32 = 20;
    /// Per mille: an entry has a reserved bit set.
    pub const RESERVED: u32 = 6;
    /// Per mille: an entry is a hole in memory.
    pub const HOLE: u32 = 5;
    /// Per mille: an entry is any word at all.
    pub const ANY_WORD: u32 = 4;
    /// Rights mode: a leaf is not valid.
    pub const INVALID: u32 = 3;
    /// Rights mode: a leaf permits something not, for each right.
    pub const NOT_PERMITTED: u32 = 8;
}

/// The kind of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The paging format.
    pub format: Format,
    /// Rights mode of the handout's formats: on in most contexts, else off in all.
    pub rights: bool,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Profile; 6] = [
        Profile {
            format: Format::Handout,
            rights: false,
        },
        Profile {
            format: Format::Handout,
            rights: true,
        },
        Profile {
            format: Format::Classic32,
            rights: false,
        },
        Profile {
            format: Format::Classic32,
            rights: true,
        },
        Profile {
            format: Format::Rv32,
            rights: false,
        },
        Profile {
            format: Format::Rv64,
            rights: false,
        },
    ];
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}",
            self.format,
            if self.rights { "-rights" } else { "" }
        )
    }
}

/// An unknown name of a profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown profile {name:?}: there are {known}")]
pub struct UnknownProfile {
    name: String,
    known: String,
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Profile::ALL
            .into_iter()
            .find(|profile| profile.to_string() == name)
            .ok_or_else(|| UnknownProfile {
                name: name.into(),
                known: Profile::ALL.map(|p| p.to_string()).join(", "),
            })
    }
}

/// A random stream.
struct Draw(Xoshiro256PlusPlus);

impl Draw {
    /// The stream of scenario `number` of a campaign.
    fn of_scenario(profile: Profile, seed: u64, number: u64) -> Self {
        // Two rounds: neighbouring numbers of neighbouring seeds must not meet.
        let mut first = Xoshiro256PlusPlus::seed_from_u64(seed);
        let profile_number = (profile.format as u64) << 1 | u64::from(profile.rights);
        let key = first.next_u64()
            ^ number.wrapping_mul(0xD134_2543_DE82_EF95)
            ^ profile_number.wrapping_mul(0xA24B_AED4_963E_E407);
        Self(Xoshiro256PlusPlus::seed_from_u64(key))
    }

    /// A number in `0..n`.
    fn below(&mut self, n: u64) -> u64 {
        self.0.random_range(0..n)
    }

    fn percent(&mut self, percent: u32) -> bool {
        self.below(100) < u64::from(percent)
    }

    fn per_mille(&mut self, per_mille: u32) -> bool {
        self.below(1000) < u64::from(per_mille)
    }

    fn of<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn word(&mut self) -> u64 {
        self.0.next_u32().into()
    }
}

/// Scenarios of which one is long.
const BLOCK: u64 = weights::LONG_ONE_IN;
/// The accesses that they have.
const BLOCK_ACCESSES: u64 = (BLOCK - 1) * weights::ACCESSES + weights::LONG;

/// The long one of a block: not at the same place in each, so that no shard has them all.
const fn long_one(block: u64) -> u64 {
    (20 + 7 * block) % BLOCK
}

/// Accesses of a campaign before a scenario.
fn accesses_before(number: u64) -> u64 {
    let (block, within) = (number / BLOCK, number % BLOCK);
    let longer = match within > long_one(block) {
        true => weights::LONG - weights::ACCESSES,
        false => 0,
    };
    (block * BLOCK_ACCESSES).saturating_add(within * weights::ACCESSES + longer)
}

/// Scenarios of a campaign of `count` accesses.
pub fn scenarios_of(count: u64) -> u64 {
    let (block, rest) = (count / BLOCK_ACCESSES, count % BLOCK_ACCESSES);
    let first = block * BLOCK;
    (first..first + BLOCK)
        .find(|&number| accesses_before(number) - accesses_before(first) >= rest)
        .unwrap_or(first + BLOCK)
}

/// Number of accesses of scenario `number` of a campaign of `count`. The last scenario may have
/// fewer.
pub fn accesses_of(number: u64, count: u64) -> u64 {
    let before = accesses_before(number).min(count);
    accesses_before(number + 1).min(count) - before
}

/// Accesses of those scenarios of a campaign of `count` that a shard has.
pub fn accesses_of_shard(count: u64, shard: Shard) -> u64 {
    let scenarios = scenarios_of(count);
    let Some(last) = scenarios.checked_sub(1) else {
        return 0;
    };
    let is_long = |block: u64| shard.has(block * BLOCK + long_one(block));
    // After so many blocks the places of long ones come again for the shard.
    let blocks = last / BLOCK;
    let period = BLOCK.saturating_mul(shard.of).min(blocks.max(1));
    let of_period = (0..period).filter(|&block| is_long(block)).count() as u64;
    let rest = (0..blocks % period).filter(|&block| is_long(block)).count() as u64;
    let long = blocks / period * of_period + rest;
    // The scenarios after whole blocks are counted one by one.
    let tail = (blocks * BLOCK..scenarios).filter(|&number| shard.has(number));
    let tail: u64 = tail.map(|number| accesses_of(number, count)).sum();
    shard.share(blocks * BLOCK) * weights::ACCESSES
        + long * (weights::LONG - weights::ACCESSES)
        + tail
}

/// Scenario `number` of a campaign, with `accesses` accesses.
pub fn scenario(profile: Profile, seed: u64, number: u64, accesses: u64) -> Scenario {
    scenario_toward(profile, seed, number, accesses, &[], None)
}

/// A scenario with a bias: half of its episodes are for one of the goals (RISC-V formats only). It
/// is for the given device of the profile's format, if there is one.
pub fn scenario_toward(
    profile: Profile,
    seed: u64,
    number: u64,
    accesses: u64,
    goals: &[Goal],
    device: Option<&'static Variant>,
) -> Scenario {
    let mut draw = Draw::of_scenario(profile, seed, number);
    let machine = draw_machine(profile.format, &mut draw, goals, device);
    let timing = draw_timing(&mut draw);
    let (memory, contexts, ops) = formats::of(profile.format).draw(
        &Wanted {
            profile,
            machine,
            accesses,
            goals,
        },
        &mut draw,
    );
    let mut scenario = Scenario {
        title: format!("fuzz --profile {profile} --seed {seed}, scenario {number}"),
        machine,
        memory,
        holes: Holes::Fault,
        timing,
        contexts,
        ops,
    };
    if let Some(device) = machine.foreign_description() {
        abilities::restrict(&mut scenario, device);
    }
    scenario
}

/// Returns true if scenarios of the format can be biased towards outcomes of walks.
pub fn can_lean(format: Format) -> bool {
    formats::of(format).can_lean()
}

/// The memory, the contexts and the ops of a scenario.
type Parts = (HostMemory, Vec<NamedContext>, Vec<Op>);

/// A scenario that is to be drawn.
struct Wanted<'a> {
    profile: Profile,
    machine: Machine,
    /// The number of its accesses.
    accesses: u64,
    /// Bias of the stimulus.
    goals: &'a [Goal],
}

/// The device that scenario `number` of a campaign draws.
pub fn drawn_device(profile: Profile, seed: u64, number: u64, goals: &[Goal]) -> &'static Variant {
    let mut draw = Draw::of_scenario(profile, seed, number);
    draw_variant(profile.format, &mut draw, goals)
}

/// Draws the device: the default device in half of the scenarios, one with an L2 TLB in a part of
/// the rest, else any other. Goals are of any mode, and may need updates.
fn draw_variant(format: Format, draw: &mut Draw, goals: &[Goal]) -> &'static Variant {
    let variants: Vec<_> = VARIANTS
        .iter()
        .filter(|v| v.paging_format() == format)
        .filter(|v| {
            let any_goal = v.max_levels == 5 && v.svadu;
            v.is_for_campaigns() && (any_goal || !goals.iter().any(Goal::needs_every_level))
        })
        .collect();
    let with_second: Vec<_> = variants
        .iter()
        .copied()
        .filter(|v| v.tlb2.is_some())
        .collect();
    if draw.percent(50) {
        return variants[0];
    }
    let those = match !with_second.is_empty() && draw.percent(weights::SECOND_TLB) {
        true => with_second,
        false => variants,
    };
    let &drawn = draw.of(&those);
    drawn
}

/// The machine of a scenario: a device, drawn if there is no wish, with walk caches in use.
fn draw_machine(
    format: Format,
    draw: &mut Draw,
    goals: &[Goal],
    device: Option<&'static Variant>,
) -> Machine {
    // Also with a wish it is drawn: what follows is then the same.
    let drawn = draw_variant(format, draw, goals);
    let mut machine = Machine::of_variant(device.unwrap_or(drawn));
    if machine.walk_cache_entries.any() && draw.percent(weights::WALK_CACHES) {
        let drawn = match draw.percent(60) {
            true => WalkCaches::ALL,
            false => WalkCaches {
                guest: draw.percent(50),
                host: draw.percent(50),
                nested: draw.percent(50),
            },
        };
        machine.walk_caches = machine.walk_caches_there(drawn);
    }
    machine
}

fn draw_timing(draw: &mut Draw) -> Timing {
    let latency = match draw.below(4) {
        0 => 1..=1,
        1 => 1..=3,
        2 => 1..=24,
        _ => {
            let fixed = 1 + draw.below(12) as u32;
            fixed..=fixed
        }
    };
    let busy = |draw: &mut Draw| match draw.below(4) {
        0 | 1 => 0,
        2 => 25,
        _ => 70,
    };
    let run = |draw: &mut Draw| match draw.percent(weights::SPELLS) {
        true => *draw.of(&[3, 8, 25]),
        false => 0,
    };
    Timing {
        memory_run: run(draw),
        request_run: run(draw),
        seed: draw.0.next_u64() >> 1,
        latency,
        memory_busy: busy(draw),
        response_busy: busy(draw),
        request_idle: busy(draw),
        errors: if draw.percent(20) { 8 } else { 0 },
        reorder: draw.percent(60),
        after_valid: draw.percent(8),
        response_after_valid: draw.percent(8),
    }
}

/// A hold for long, of a port if it is wanted.
fn draw_hold(draw: &mut Draw, what: Option<Held>) -> Op {
    let [least, most] = weights::HELD_CYCLES;
    let what = what.unwrap_or_else(|| *draw.of(&Held::ALL));
    let cycles = (least + draw.below(most - least + 1)) as u32;
    Op::Hold { what, cycles }
}

/// The behaviour of a memory that takes hundreds of cycles.
fn slow_timing(draw: &mut Draw) -> Timing {
    let [least, most] = weights::SLOW_CYCLES;
    let fastest = least + draw.below(most - least);
    let slowest = fastest + draw.below(most - fastest + 1);
    Timing {
        seed: draw.0.next_u64() >> 1,
        latency: fastest as u32..=slowest as u32,
        reorder: draw.percent(50),
        ..Timing::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scenarios_of_a_campaign_have_its_accesses_and_one_in_fifty_is_long() {
        for count in [
            1, 499, 500, 501, 9_999, 10_001, 14_000, 28_500, 28_501, 400_000,
        ] {
            let scenarios = scenarios_of(count);
            let each: Vec<u64> = (0..scenarios).map(|n| accesses_of(n, count)).collect();
            assert_eq!(each.iter().sum::<u64>(), count, "{count}");
            assert!(
                each.iter().all(|&accesses| accesses > 0),
                "{count}: {each:?}"
            );
            assert_eq!(accesses_of(scenarios, count), 0, "{count}");
            for of in [1, 2, 3, 7, 8] {
                let shards = (0..of).map(|index| {
                    let shard = Shard::new(index, of).unwrap();
                    let own = (0..scenarios).filter(|&n| shard.has(n));
                    let sum: u64 = own.map(|n| each[n as usize]).sum();
                    assert_eq!(
                        accesses_of_shard(count, shard),
                        sum,
                        "{count}, {index}/{of}"
                    );
                    sum
                });
                assert_eq!(shards.sum::<u64>(), count);
            }
        }
        let count = 50 * BLOCK_ACCESSES;
        let long = (0..scenarios_of(count)).filter(|&n| accesses_of(n, count) == weights::LONG);
        let long: Vec<u64> = long.collect();
        assert_eq!(long.len(), 50);
        // No shard of a few has them all.
        for of in [2, 4, 5, 8, 10] {
            let own = long.iter().filter(|&&n| n % of == 0).count() as u64;
            assert!(own > 0 && own < 50, "{of}: {own}");
        }
        assert!(scenarios_of(u64::MAX) > u64::MAX / 600);
    }

    #[test]
    fn every_situation_turns_up_in_scenarios_of_every_profile() {
        for profile in Profile::ALL {
            let mut held = [0; Held::ALL.len()];
            let (mut spells, mut slow, mut twins, mut switches) = (0, 0, 0, 0);
            for number in 0..200 {
                let scenario = scenario(profile, 1, number, weights::ACCESSES);
                let contexts: Vec<_> = scenario.contexts.iter().map(|c| c.context).collect();
                twins += contexts
                    .windows(2)
                    .filter(|pair| pair[0] != pair[1])
                    .count();
                for op in &scenario.ops {
                    match op {
                        Op::Hold { what, cycles } => {
                            assert!(*cycles >= 8 && u64::from(*cycles) <= weights::HELD_CYCLES[1]);
                            held[*what as usize] += 1;
                        }
                        Op::Timing(timing) => {
                            spells += u32::from(timing.memory_run > 0 && timing.memory_busy > 0);
                            slow += u32::from(*timing.latency.start() >= 100);
                        }
                        Op::WalkCaches(_) => {
                            assert!(scenario.machine.walk_cache_entries.any());
                            switches += 1;
                        }
                        _ => {}
                    }
                }
            }
            assert!(held.iter().all(|&n| n > 100), "{profile}: {held:?}");
            assert!(
                spells > 100 && slow > 2 && twins > 100,
                "{profile}: {spells} {slow} {twins}"
            );
            assert_eq!(
                switches > 20,
                profile.format.has_walk_caches(),
                "{profile}: {switches}"
            );
        }
    }

    #[test]
    fn a_long_scenario_has_hundreds_of_fences_and_no_reset() {
        for profile in Profile::ALL {
            let scenario = scenario(profile, 1, 20, weights::LONG);
            let fences = scenario.ops.iter().filter(|op| matches!(op, Op::Fence(_)));
            assert!(fences.count() > 200, "{profile}");
            assert!(!scenario.ops.contains(&Op::Reset), "{profile}");
        }
    }
}
