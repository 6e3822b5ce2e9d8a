// SPDX-License-Identifier: Apache-2.0
//! The MMU of `examples/classic_mmu` as a foreign device, clocked one request at a time.

use std::collections::HashMap;

use super::*;
use crate::addr::Hpa;
use crate::dut::{Dut, Inputs, Outputs};
use crate::golden::{Overlay, Step, answer, walk};
use crate::memory::HostMemory;
use crate::mmu::{Context, Fence, Outcome, Query};
use crate::scenario::{Op, Scenario, abilities};
use crate::stimulus::{self, Profile};

/// The path of a file of the project.
fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn classic() -> &'static Variant {
    let path = project("examples/classic_mmu/classic_mmu.toml");
    load(absolute(&path)).unwrap().variant
}

/// A device, its memory, and the address spaces that its TLB may hold.
struct Bench {
    dut: Dut,
    memory: HostMemory,
    latency: u32,
    /// The context that each tag was last used with.
    used: HashMap<(bool, u16), Context>,
    is_stale: bool,
    /// Responses that were hits, translations, and faults.
    counts: [u32; 3],
}

/// The cycles within which the device must answer.
const PATIENCE: u32 = 2000;

impl Bench {
    fn new(dut: Dut, scenario: &Scenario) -> Self {
        Self {
            dut,
            memory: scenario.memory.clone(),
            latency: 1,
            used: HashMap::new(),
            is_stale: false,
            counts: [0; 3],
        }
    }

    /// Accepted by the device, one cycle after another.
    fn fence(&mut self, fence: &Fence) {
        let mut outputs = Outputs::default();
        for _ in 0..PATIENCE {
            let mut inputs = Inputs::default();
            inputs.set_fence(fence);
            self.dut.tick(&inputs, &mut outputs).unwrap();
            assert!(!outputs.mem_req_valid, "nothing is walked");
            if outputs.fence_ready {
                return;
            }
        }
        panic!("the device does not accept {fence:?}");
    }

    fn fence_all(&mut self) {
        for virt in [false, true] {
            self.fence(&Fence {
                virt,
                ..Fence::default()
            });
        }
        self.is_stale = false;
        self.used.clear();
    }

    /// The response to a query, and the addresses of the reads.
    fn request(&mut self, query: &Query) -> (Outputs, Vec<Hpa>) {
        let mut outputs = Outputs::default();
        let mut reads = Vec::new();
        let mut is_accepted = false;
        let mut due: Option<(u32, Hpa)> = None;
        for _ in 0..PATIENCE {
            let mut inputs = Inputs {
                rsp_ready: true,
                mem_req_ready: true,
                ..Inputs::default()
            };
            if !is_accepted {
                inputs.set_request(0, query);
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
            self.dut.tick(&inputs, &mut outputs).unwrap();
            is_accepted |= inputs.req_valid && outputs.req_ready;
            if outputs.mem_req_valid {
                assert!(due.is_none(), "one read at a time");
                let at = Hpa(outputs.mem_req_hpa);
                reads.push(at);
                due = Some((self.latency - 1, at));
            }
            if outputs.rsp_valid {
                return (outputs, reads);
            }
        }
        panic!("the device does not answer {query:?}");
    }

    /// Compares the response to a query with the golden model.
    fn check(&mut self, query: &Query) -> Result<(), String> {
        let context = query.context;
        let tag = (context.virt, context.vmid);
        let same = |other: &Context| {
            (other.guest.root, other.host.root, other.asid)
                == (context.guest.root, context.host.root, context.asid)
        };
        // Software that keeps a tag for other tables must issue a fence.
        if self.is_stale || self.used.get(&tag).is_some_and(|other| !same(other)) {
            self.fence_all();
        }
        self.used.insert(tag, context);
        let format = self.dut.variant().paging_format();
        let mut steps: Vec<Step> = Vec::new();
        let found = walk(format, query, &mut Overlay::new(&self.memory), &mut steps);
        let expected: Outcome = answer(&found);
        let expected_reads: Vec<Hpa> = steps.iter().filter_map(|step| step.hpa).collect();
        let (outputs, reads) = self.request(query);
        self.counts[0] += u32::from(outputs.rsp_hit);
        let observed = match outputs.rsp_fault_kind {
            0 => Ok(outputs.rsp_hpa),
            _ => Err((
                outputs.rsp_trap_cause,
                outputs.rsp_trap_tval2,
                outputs.rsp_trap_tinst,
            )),
        };
        let expected = expected.map(|translation| translation.hpa.0).map_err(|fault| {
            let trap = fault.trap.unwrap_or_default();
            (trap.cause, trap.tval2, trap.tinst)
        });
        self.counts[if expected.is_ok() { 1 } else { 2 }] += 1;
        if observed != expected {
            return Err(format!(
                "{query:x?}\nexpected {expected:x?}\nobserved {observed:x?} (hit {})",
                outputs.rsp_hit
            ));
        }
        if !outputs.rsp_hit && reads != expected_reads {
            return Err(format!(
                "{query:x?}\nexpected reads {expected_reads:x?}\nobserved reads {reads:x?}"
            ));
        }
        Ok(())
    }

    fn run(&mut self, scenario: &Scenario) -> Result<(), String> {
        for op in &scenario.ops {
            match op {
                Op::Access(access) => self.check(&Query {
                    context: scenario.contexts[access.context].context,
                    gva: access.gva,
                    access: access.access,
                })?,
                Op::Fence(fence) => self.fence(fence),
                Op::Write { at, word } => {
                    self.is_stale = true;
                    match word {
                        Some(word) => self.memory.write(*at, *word),
                        None => self.memory.remove(*at),
                    }
                }
                Op::Timing(timing) => self.latency = (*timing.latency.end()).min(40),
                Op::Reset => {
                    self.dut.reset().unwrap();
                    self.used.clear();
                    self.is_stale = false;
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

#[test]
fn the_example_mmu_agrees_with_the_golden_model_in_translations_traps_and_reads() {
    let variant = classic();
    let mut counts = [0; 3];
    for number in 0..40 {
        let scenario = scenario(variant, number);
        let mut bench = Bench::new(Dut::new(variant, 1).unwrap(), &scenario);
        if let Err(difference) = bench.run(&scenario) {
            panic!("scenario {number}: {difference}");
        }
        for (count, more) in counts.iter_mut().zip(bench.counts) {
            *count += more;
        }
    }
    assert!(counts.iter().all(|&count| count > 1000), "{counts:?}");
}

#[test]
fn the_stimulus_for_a_device_needs_none_of_the_abilities_that_it_does_not_have() {
    let variant = classic();
    let description = variant.description();
    for number in 0..40 {
        let scenario = scenario(variant, number);
        assert_eq!(abilities::missing(&scenario, description), None);
        assert!(!scenario.contexts.is_empty() && scenario.ops.len() > 400, "{number}");
    }
}
