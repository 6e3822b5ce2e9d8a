// SPDX-License-Identifier: Apache-2.0
//! The MMU of `examples/classic_mmu` as a foreign device, clocked one request at a time. A response
//! with reads is compared with the golden walk of memory as it is, and one without reads with the
//! golden walks of what the TLB may hold.

use std::collections::HashMap;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;
use crate::addr::Hpa;
use crate::dut::{Dut, Inputs, Outputs};
use crate::golden::{EntryMemory, Overlay, Step, outcome, walk};
use crate::memory::HostMemory;
use crate::mmu::{Context, Fence, FenceMatch, Outcome, Query};
use crate::scenario::{Op, Scenario, abilities};
use crate::stimulus::{self, Profile};

/// The path of a file of the project.
fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The device of a device file.
fn device(path: &Path) -> &'static Variant {
    load(absolute(path)).unwrap().variant
}

fn classic() -> &'static Variant {
    device(&project("examples/classic_mmu/classic_mmu.toml"))
}

/// A walk whose translation the TLB may hold.
struct Kept {
    query: Query,
    extent: FenceMatch,
    words: Words,
}

/// The words that a walk was served.
struct Words {
    words: HashMap<Hpa, u64>,
    /// A walk of another query reads other words.
    is_left: bool,
}

impl EntryMemory for Words {
    fn read_entry(&mut self, at: Hpa) -> Option<u64> {
        let word = self.words.get(&at).copied();
        self.is_left |= word.is_none();
        word
    }

    fn update_entry(&mut self, _: Hpa, _: u64, _: u64) -> Option<u64> {
        None
    }
}

/// What the example says of an outcome: an hPA, or cause, htval and htinst.
type Said = Result<u64, (u8, u64, u16)>;

fn said(outcome: Outcome) -> Said {
    outcome
        .map(|translation| translation.hpa.0)
        .map_err(|fault| {
            let trap = fault.trap.unwrap_or_default();
            (trap.cause, trap.tval2, trap.tinst)
        })
}

/// What the device did for a request.
#[derive(Default)]
struct Response {
    said: Option<Said>,
    is_hit: bool,
    reads: Vec<Hpa>,
    /// A fence was accepted before the response.
    is_overtaken: bool,
}

/// A device and its memory.
struct Bench {
    dut: Dut,
    memory: HostMemory,
    latency: u32,
    kept: Vec<Kept>,
    /// Responses that were hits, translations, and faults.
    counts: [u32; 3],
}

/// The cycles within which the device must answer.
const PATIENCE: u32 = 4000;

impl Bench {
    fn new(variant: &'static Variant, scenario: &Scenario) -> Self {
        Self {
            dut: Dut::new(variant, 1).unwrap(),
            memory: scenario.memory.clone(),
            latency: 1,
            kept: Vec::new(),
            counts: [0; 3],
        }
    }

    /// Clocks the device until it has answered a query and accepted a fence. The fence is offered
    /// some cycles after the request.
    fn clock(&mut self, query: Option<&Query>, fence: Option<&Fence>) -> Result<Response, String> {
        const FENCE_AFTER: u32 = 7;
        let mut outputs = Outputs::default();
        let mut response = Response::default();
        let (mut wants_request, mut wants_response) = (query.is_some(), query.is_some());
        let mut wants_fence = fence.is_some();
        let mut due: Option<(u32, Hpa)> = None;
        for cycle in 0..PATIENCE {
            let mut inputs = Inputs {
                rsp_ready: true,
                mem_req_ready: true,
                ..Inputs::default()
            };
            if let (Some(query), true) = (query, wants_request) {
                inputs.set_request(0, query);
            }
            if let (Some(fence), true) = (fence, wants_fence)
                && (query.is_none() || cycle >= FENCE_AFTER)
            {
                inputs.set_fence(fence);
            }
            match due.take() {
                Some((0, at)) => {
                    let word = self.memory.walk_read(at).ok();
                    inputs.mem_rsp_valid = true;
                    inputs.mem_rsp_error = word.is_none();
                    inputs.mem_rsp_data = word.unwrap_or(0);
                }
                Some((cycles, at)) => due = Some((cycles - 1, at)),
                None => {}
            }
            self.dut
                .tick(&inputs, &mut outputs)
                .map_err(|e| e.to_string())?;
            wants_request &= !outputs.req_ready;
            if outputs.mem_req_valid {
                if due.is_some() || wants_request {
                    return Err("a read beside another, or without a request".to_owned());
                }
                let at = Hpa(outputs.mem_req_hpa);
                response.reads.push(at);
                due = Some((self.latency - 1, at));
            }
            if outputs.rsp_valid {
                response.said = Some(match outputs.rsp_fault_kind {
                    0 => Ok(outputs.rsp_hpa),
                    _ => Err((
                        outputs.rsp_trap_cause,
                        outputs.rsp_trap_tval2,
                        outputs.rsp_trap_tinst,
                    )),
                });
                response.is_hit = outputs.rsp_hit;
                wants_response = false;
            }
            if let (Some(fence), true) = (fence, inputs.fence_valid && outputs.fence_ready) {
                wants_fence = false;
                response.is_overtaken = wants_response;
                let space = |kept: &Kept| kept.query.context.space();
                self.kept
                    .retain(|kept| !fence.matches(space(kept), &kept.extent));
            }
            if !wants_fence && !wants_response {
                return Ok(response);
            }
        }
        Err(format!("the device does not answer {query:x?} {fence:?}"))
    }

    /// The translation of a kept walk for another query; none if the TLB does not look the query up
    /// in it.
    fn by_kept(kept: &mut Kept, query: &Query) -> Option<Said> {
        let (own, other) = (&kept.query.context, &query.context);
        let tag = |context: &Context| {
            let levels = [context.guest.levels, context.host.levels];
            (context.virt, levels, context.virt.then_some(context.vmid))
        };
        if tag(own) != tag(other) || (own.asid != other.asid && !kept.extent.global) {
            return None;
        }
        let mut context = *other;
        context.guest.root = own.guest.root;
        context.host.root = own.host.root;
        kept.words.is_left = false;
        let query = Query { context, ..*query };
        let found = walk(
            crate::format::Format::Rv64,
            &query,
            &mut kept.words,
            &mut (),
        );
        (!kept.words.is_left).then(|| said(outcome(&found)))
    }

    fn check(&mut self, query: &Query, fence: Option<&Fence>) -> Result<(), String> {
        let format = self.dut.variant().paging_format();
        let mut steps: Vec<Step> = Vec::new();
        let found = walk(format, query, &mut Overlay::new(&self.memory), &mut steps);
        let expected = said(outcome(&found));
        let mut by_kept = self.kept.iter_mut().filter_map(|k| Self::by_kept(k, query));
        let hits: Vec<Said> = by_kept.by_ref().collect();
        let response = self.clock(Some(query), fence)?;
        let observed = response.said.ok_or("no response")?;
        self.counts[0] += u32::from(response.is_hit);
        self.counts[if observed.is_ok() { 1 } else { 2 }] += 1;
        if response.is_hit {
            return match hits.contains(&observed) {
                true => Ok(()),
                false => Err(format!(
                    "{query:x?}\na hit: {observed:x?}, legal are {hits:x?}"
                )),
            };
        }
        let reads: Vec<Hpa> = steps.iter().filter_map(|step| step.hpa).collect();
        if observed != expected || response.reads != reads {
            return Err(format!(
                "{query:x?}\nexpected {expected:x?} {reads:x?}\nobserved {observed:x?} {:x?}",
                response.reads
            ));
        }
        let context = &query.context;
        let is_on = context.guest.levels > 0 || context.host.levels > 0;
        if let (Ok(mapping), true, false) = (found, is_on, response.is_overtaken) {
            let extent = mapping.extent(query.gva);
            // A fence that was accepted after the response, in the same call.
            if fence.is_some_and(|fence| fence.matches(context.space(), &extent)) {
                return Ok(());
            }
            let words = steps
                .iter()
                .filter_map(|step| Some((step.hpa?, step.word?)));
            self.kept.push(Kept {
                query: *query,
                extent,
                words: Words {
                    words: words.collect(),
                    is_left: false,
                },
            });
        }
        Ok(())
    }

    fn run(&mut self, scenario: &Scenario) -> Result<(), String> {
        let mut ops = scenario.ops.iter().peekable();
        while let Some(op) = ops.next() {
            match op {
                Op::Access(access) => {
                    let query = Query {
                        context: scenario.contexts[access.context].context,
                        gva: access.gva,
                        access: access.access,
                    };
                    let fence = ops.next_if(|op| matches!(op, Op::Fence(_)));
                    let fence = fence.and_then(|op| match op {
                        Op::Fence(fence) => Some(fence),
                        _ => None,
                    });
                    self.check(&query, fence)?;
                }
                Op::Fence(fence) => drop(self.clock(None, Some(fence))?),
                Op::Write { at, word } => match word {
                    Some(word) => self.memory.write(*at, *word),
                    None => self.memory.remove(*at),
                },
                Op::Timing(timing) => self.latency = (*timing.latency.end()).min(20),
                Op::Reset => {
                    self.dut.reset().unwrap();
                    self.kept.clear();
                }
                Op::Wait(_) | Op::Drain | Op::Hold { .. } | Op::WalkCaches(_) => {}
            }
        }
        Ok(())
    }
}

const RV64: Profile = Profile::ALL[5];

fn scenario(variant: &'static Variant, number: u64) -> Scenario {
    stimulus::scenario_toward(RV64, 1, number, 500, &[], Some(variant))
}

/// Runs scenarios: the figures of all, or the first difference with its scenario.
fn run(variant: &'static Variant, scenarios: u64) -> Result<[u32; 3], (u64, String)> {
    let mut counts = [0; 3];
    for number in 0..scenarios {
        let scenario = scenario(variant, number);
        let mut bench = Bench::new(variant, &scenario);
        bench
            .run(&scenario)
            .map_err(|difference| (number, difference))?;
        for (count, more) in counts.iter_mut().zip(bench.counts) {
            *count += more;
        }
    }
    Ok(counts)
}

#[test]
fn the_example_mmu_agrees_with_the_golden_model_in_responses_and_reads() {
    let counts = run(classic(), 40).unwrap_or_else(|(number, difference)| {
        panic!("scenario {number}: {difference}");
    });
    assert!(counts.iter().all(|&count| count > 1000), "{counts:?}");
}

#[test]
fn every_planted_bug_of_the_example_mmu_is_found() {
    let folder = project("examples/classic_mmu/bugs");
    let mut bugs: Vec<PathBuf> = (fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    bugs.sort();
    assert!(bugs.len() >= 10);
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let copy = tempfile::tempdir().unwrap();
            let own = copy.path().join("examples/classic_mmu");
            fs::create_dir_all(&own).unwrap();
            for name in ["classic_mmu.sv", "classic_top.sv", "classic_mmu.toml"] {
                let from = project("examples/classic_mmu").join(name);
                fs::copy(from, own.join(name)).unwrap();
            }
            let planted = Command::new(project("tools/mutant.py"))
                .arg("plant")
                .args([bug, copy.path()])
                .status();
            assert!(planted.unwrap().success(), "{}", bug.display());
            let found = run(device(&own.join("classic_mmu.toml")), 120);
            let (number, difference) = found.expect_err(&bug.display().to_string());
            let first = difference.lines().nth(1).unwrap_or(&difference);
            println!("{}: scenario {number}: {first}", bug.display());
        }
    };
    thread::scope(|scope| {
        let other = scope.spawn(work);
        work();
        other.join().unwrap();
    });
}

#[test]
fn the_stimulus_for_a_device_needs_none_of_the_abilities_that_it_does_not_have() {
    let variant = classic();
    let description = variant.description();
    for number in 0..40 {
        let scenario = scenario(variant, number);
        assert_eq!(abilities::missing(&scenario, description), None);
        assert!(
            !scenario.contexts.is_empty() && scenario.ops.len() > 400,
            "{number}"
        );
    }
}
