// SPDX-License-Identifier: Apache-2.0
//! A vector's translation on the RTL, twice: cold, and at once again.

use super::Vector;
use super::judge::{
    Difference, Field, GoldenWalk, answer, compare_answers, compare_memory, describe,
    first_difference,
};
use crate::addr::Hpa;
use crate::bench::{Failure, Observer, Read, Request, Walk, run};
use crate::campaign::Devices;
use crate::dut::DutError;
use crate::dut::variants::Variant;
use crate::memory::HostMemory;
use crate::mmu::Outcome;
use crate::report::mismatch::{Sides, title};
use crate::scenario::abilities;
use crate::scenario::{AccessOp, Holes, Machine, NamedContext, Op, Scenario, Timing};

/// The run of a vector on a device.
#[derive(Clone, Debug, Default)]
pub struct DeviceRun {
    /// The responses, in order, and whether each was a TLB hit.
    pub answers: Vec<(Outcome, bool)>,
    /// The memory reads and updates before the first response.
    pub accesses: Vec<Read>,
    /// And after it.
    pub accesses_again: Vec<Read>,
    /// The failure of a check of the testbench.
    pub failure: Option<Failure>,
}

impl Observer for DeviceRun {
    const LIVE: bool = false;

    fn read(&mut self, _slot: u8, _walk: Option<&Walk>, read: &Read) {
        match self.answers.is_empty() {
            true => self.accesses.push(*read),
            false => self.accesses_again.push(*read),
        }
    }

    fn answered(&mut self, _cycle: u64, _request: &Request, outcome: &Outcome, hit: bool) {
        self.answers.push((*outcome, hit));
    }
}

/// Returns the vector as a scenario, which any other command could run too.
pub fn scenario(vector: &Vector) -> Scenario {
    let format = vector.format();
    let mut memory = HostMemory::new(format);
    for &(at, word) in &vector.memory {
        memory.write(at, word);
    }
    let access = Op::Access(AccessOp {
        context: 0,
        gva: vector.va,
        access: vector.kind.access(),
        speculative: false,
        expect: None,
        line: None,
    });
    Scenario {
        title: vector.id.clone(),
        machine: Machine::of(format),
        memory,
        holes: Holes::Fault,
        timing: Timing::default(),
        contexts: vec![NamedContext {
            name: "vector".into(),
            context: vector.context,
        }],
        ops: vec![access.clone(), Op::Drain, access],
    }
}

impl DeviceRun {
    /// Runs a vector on a device that is reset first: on `device`, else on the default device of
    /// the vector's format. None: the vector needs what the device does not have.
    ///
    /// # Errors
    /// If there is no device for its format.
    pub fn of(
        vector: &Vector,
        devices: &mut Devices,
        device: Option<&'static Variant>,
    ) -> Result<Option<Self>, DutError> {
        let mut scenario = scenario(vector);
        if let Some(device) = device {
            let is_other = device.paging_format() != scenario.machine.format;
            if is_other || abilities::missing(&scenario, device.description()).is_some() {
                return Ok(None);
            }
            scenario.machine = Machine::of_variant(device);
        }
        let mut seen = DeviceRun::default();
        if let Err(failed) = run(devices.get(&scenario)?, &scenario, &mut seen) {
            seen.failure = Some(failed.failure);
        }
        Ok(Some(seen))
    }

    /// Returns the differences from the vector. `golden` is the vector's walk on the golden model.
    pub fn differences(&self, vector: &Vector, golden: &GoldenWalk) -> Vec<Difference> {
        let mut differences = Vec::new();
        match &self.failure {
            Some(Failure::Mismatch(mismatch)) => {
                let Sides { expected, observed } = Sides::of(&mismatch.violation, vector.format());
                let observed = format!("{}: {observed}", title(mismatch.check()));
                differences.push(Difference::new(Field::Checker, expected, observed));
            }
            Some(failure) => differences.push(Difference::new(Field::Checker, "-", failure)),
            None => {}
        }
        let query = vector.query();
        let mut answers = self.answers.iter();
        if let Some((outcome, hit)) = answers.next() {
            compare_answers(&vector.expect, &answer(&query, outcome), &mut differences);
            self.compare_reads(vector, &mut differences);
            if *hit {
                differences.push(Difference::new(
                    Field::Hit,
                    "a walk",
                    "a hit of an empty TLB",
                ));
            }
        }
        if let Some((outcome, hit)) = answers.next() {
            let again = answer(&query, outcome);
            let mut differ = Vec::new();
            compare_answers(&vector.expect, &again, &mut differ);
            if !differ.is_empty() {
                let expected = describe(&vector.expect);
                differences.push(Difference::new(Field::Again, expected, describe(&again)));
            }
            // The TLB caches neither faults nor responses of a context with both stages off.
            let context = &vector.context;
            let translated = context.guest.levels > 0 || context.host.levels > 0;
            if *hit != (golden.found.is_ok() && translated) {
                let name = |hit| if hit { "a hit" } else { "a walk" };
                differences.push(Difference::new(Field::Hit, name(!hit), name(*hit)));
            }
            compare_memory(vector, &self.memory_after(vector), &mut differences);
        }
        differences
    }

    /// Returns memory after both accesses, by ascending address.
    fn memory_after(&self, vector: &Vector) -> Vec<(Hpa, u64)> {
        let mut memory = vector.memory.clone();
        for read in self.accesses.iter().chain(&self.accesses_again) {
            if let Some(update) = read.update
                && read.word == Some(update.expected)
                && let Ok(index) = memory.binary_search_by_key(&read.at, |&(at, _)| at)
            {
                memory[index].1 = update.new;
            }
        }
        memory
    }

    /// Compares the memory reads. A device shows no tags: if the vector has reads on the way to an
    /// update, the device may have all of them or none.
    fn compare_reads(&self, vector: &Vector, differences: &mut Vec<Difference>) {
        let reads = self.accesses.iter().filter(|read| read.update.is_none());
        let got: Vec<Hpa> = reads.map(|read| read.at).collect();
        let all = vector.reads.iter();
        let unfree = all.clone().filter(|(_, tag)| !tag.is_for_update());
        let same = |expected: &mut dyn Iterator<Item = &(Hpa, super::Tag)>| {
            expected.map(|(at, _)| *at).eq(got.iter().copied())
        };
        if !same(&mut all.clone()) && !same(&mut unfree.clone()) {
            let expected: Vec<Hpa> = all.map(|(at, _)| *at).collect();
            let (expected, got) = first_difference(&expected, &got, |at| format!("{at:x}"));
            differences.push(Difference::new(Field::Reads, expected, got));
        }
    }
}
