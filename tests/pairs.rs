// SPDX-License-Identifier: Apache-2.0
//! Pairs of runs: the result of an access depends only on tables and context. The same accesses
//! have the same results for every latency, back-pressure and order of memory, every number of walk
//! slots, every size of the TLB, and with and without hits.
//!
//! The checks of a single run allow an implementation the freedom of the architecture. The
//! scenarios here leave no freedom: edits wait for the earlier accesses and are followed by fences,
//! each tag is used for one set of tables, no memory error is drawn, and accessed and dirty bits
//! either fault or are set by one access at a time.

use std::collections::BTreeMap;

use nestwalk::bench::{Observer, Request, run};
use nestwalk::dut::Dut;
use nestwalk::dut::variants::VARIANTS;
use nestwalk::format::Format;
use nestwalk::mmu::{Context, Fence, Outcome, WalkCaches};
use nestwalk::scenario::{Machine, Op, Scenario, Timing};
use nestwalk::stimulus::{self, Profile};

const SCENARIOS: u64 = 24;
const ACCESSES: u64 = 200;

/// The agent that sets accessed and dirty bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// Software: a clear bit is a fault.
    Svade,
    /// The walker, with one access at a time.
    Svadu,
}

/// Returns a scenario whose accesses have exactly one legal result each.
fn settled(profile: Profile, number: u64, status: Status) -> Scenario {
    let mut scenario = stimulus::scenario(profile, 77, number, ACCESSES);
    let format = profile.format;
    // A global page of one address space would be a page of the others.
    let not_global = |word: u64| match format.has_global_pages() {
        true => word & !(1 << 5),
        false => word,
    };
    for (at, word) in scenario.memory.words() {
        scenario.memory.write(at, not_global(word));
    }
    let mut hosts = Vec::new();
    let mut guests = Vec::new();
    for named in &mut scenario.contexts {
        let context = &mut named.context;
        if format.updates_entries() {
            context.guest.adue = status == Status::Svadu;
            context.host.adue = status == Status::Svadu;
        }
        // The properties of a context for which the tags of a TLB may stand.
        let (mut host_stage, mut guest_stage) = (context.host, context.guest);
        (host_stage.mxr, guest_stage.mxr) = (false, false);
        let host = (context.virt, host_stage, context.napot);
        context.vmid = number_of(&mut hosts, host);
        let guest = (context.vmid, guest_stage);
        context.asid = number_of(&mut guests, guest);
    }
    let mut ops = Vec::new();
    for op in scenario.ops {
        match op {
            Op::Write { at, word } => {
                let word = word.map(not_global);
                ops.extend([Op::Drain, Op::Write { at, word }]);
                for virt in [true, false] {
                    if virt || format.has_native_contexts() {
                        let fence = Fence {
                            virt,
                            ..Fence::default()
                        };
                        ops.push(Op::Fence(fence));
                    }
                }
            }
            Op::Timing(_) | Op::Reset | Op::WalkCaches(_) | Op::Hold { .. } => {}
            Op::Access(mut access) => {
                // A speculative access may have no response.
                access.speculative = false;
                ops.push(Op::Access(access));
                if status == Status::Svadu {
                    ops.push(Op::Drain);
                }
            }
            op => ops.push(op),
        }
    }
    scenario.ops = ops;
    scenario
}

/// Returns the index of a value among those seen so far.
fn number_of<T: PartialEq>(seen: &mut Vec<T>, thing: T) -> u16 {
    let place = seen.iter().position(|other| *other == thing);
    let place = place.unwrap_or_else(|| {
        seen.push(thing);
        seen.len() - 1
    });
    place as u16
}

/// The result of each operation.
#[derive(Default)]
struct Answers {
    outcomes: BTreeMap<usize, Outcome>,
    hits: usize,
}

impl Observer for Answers {
    fn answered(&mut self, _: u64, request: &Request, outcome: &Outcome, hit: bool) {
        self.outcomes.insert(request.op, *outcome);
        self.hits += usize::from(hit);
    }
}

fn timings() -> [Timing; 4] {
    let quick = Timing::default();
    [
        quick.clone(),
        Timing {
            seed: 1,
            latency: 30..=30,
            ..quick.clone()
        },
        Timing {
            seed: 2,
            latency: 1..=40,
            reorder: true,
            ..quick.clone()
        },
        Timing {
            seed: 3,
            latency: 1..=5,
            memory_busy: 60,
            response_busy: 60,
            request_idle: 40,
            reorder: true,
            ..quick
        },
    ]
}

fn answers_are_the_same(format: Format, rights: bool, status: Status) {
    let profile = Profile { format, rights };
    let variants = VARIANTS.iter().filter(|v| v.paging_format() == format);
    let mut devices: Vec<_> = variants
        .flat_map(|variant| {
            let machine = Machine::of_variant(variant);
            let cached = Machine {
                walk_caches: WalkCaches::ALL,
                ..machine
            };
            [machine, cached]
        })
        .filter(|machine| !machine.walk_caches.any() || machine.walk_cache_entries.any())
        .map(|machine| (machine, Dut::new(machine.variant().unwrap(), 1).unwrap()))
        .collect();
    let mut spread = 0;
    for number in 0..SCENARIOS {
        let mut scenario = settled(profile, number, status);
        let mut first: Option<Answers> = None;
        let mut hits = Vec::new();
        for (machine, dut) in &mut devices {
            // Machines that ignore more fields of a context give other results.
            let is_served = |context: &Context| {
                let heeded = Machine::of(format).heeded(context);
                machine.serves(context) && machine.heeded(context) == heeded
            };
            if !scenario.contexts.iter().all(|c| is_served(&c.context)) {
                continue;
            }
            scenario.machine = *machine;
            for timing in timings() {
                scenario.timing = timing;
                let mut answers = Answers::default();
                run(dut, &scenario, &mut answers)
                    .unwrap_or_else(|failed| panic!("scenario {number}: {}", failed.failure));
                assert_eq!(answers.outcomes.len() as u64, ACCESSES);
                hits.push(answers.hits);
                match &first {
                    None => first = Some(answers),
                    Some(first) => {
                        for (op, outcome) in &first.outcomes {
                            assert_eq!(
                                Some(outcome),
                                answers.outcomes.get(op),
                                "{profile}, {status:?}, scenario {number}, op {op}, {machine:?}, {:?}",
                                scenario.timing
                            );
                        }
                    }
                }
            }
        }
        hits.sort_unstable();
        spread += hits[hits.len() - 1] - hits[0];
    }
    // The runs must not agree merely because they are equal.
    assert!(spread > 0, "the TLB hits in every run alike");
}

#[test]
fn handout_answers_depend_on_tables_and_context_only() {
    answers_are_the_same(Format::Handout, false, Status::Svade);
    answers_are_the_same(Format::Handout, true, Status::Svade);
}

#[test]
fn classic32_answers_depend_on_tables_and_context_only() {
    answers_are_the_same(Format::Classic32, false, Status::Svade);
    answers_are_the_same(Format::Classic32, true, Status::Svade);
}

#[test]
fn rv32_answers_depend_on_tables_and_context_only() {
    answers_are_the_same(Format::Rv32, false, Status::Svade);
    answers_are_the_same(Format::Rv32, false, Status::Svadu);
}

#[test]
fn rv64_answers_depend_on_tables_and_context_only() {
    answers_are_the_same(Format::Rv64, false, Status::Svade);
    answers_are_the_same(Format::Rv64, false, Status::Svadu);
}
