// SPDX-License-Identifier: Apache-2.0
//! A translation for tests, whose entries are at addresses of their own, and the results of golden
//! model and device.

use nestwalk::addr::{Gpa, Gva, Hpa};
use nestwalk::bench::{Observer, Read, Request, Walk, run};
use nestwalk::campaign::Devices;
use nestwalk::dut::{Done, Event};
use nestwalk::format::Format;
use nestwalk::format::handout::{leaf, pointer};
use nestwalk::golden::outcome;
use nestwalk::memory::HostMemory;
use nestwalk::mmu::{Access, Context, Fence, Outcome, Rights};
use nestwalk::report::{Recorder, golden_accesses, text};
use nestwalk::scenario::{AccessOp, Holes, Machine, NamedContext, Op, Scenario, Timing};

/// A nested translation of one gVA. Its walk reads eight entries, each a word of its own. Indices
/// into [`Nest::entries`] are in the order of the walk: 0 and 1 are the host's L1 and L2 entries
/// for 2, the guest's L1 entry; 3 and 4 are those for 5, the guest's L2 entry; 6 and 7 are those
/// for the data.
///
/// Fields may be changed before the other values are requested. No table is aligned to its size.
/// For an illegal address, the entry is placed where a faulty walker ends that wraps the address or
/// drops its lowest bits: there it would find a complete translation.
#[derive(Clone)]
pub struct Nest {
    pub format: Format,
    pub gva: u64,
    pub host_root: u64,
    /// The host's L2 tables: for the guest's L1 entry, for its L2 entry, for the data.
    pub host_tables: [u64; 3],
    /// The pages to which the host maps these three.
    pub host_pages: [u64; 3],
    pub host_rights: [Rights; 3],
    pub guest_root: u64,
    pub guest_table: u64,
    /// The data's gPA, a page.
    pub data: u64,
    pub guest_rights: Rights,
    pub rights_mode: bool,
    pub asid: u16,
    pub vmid: u16,
}

impl Nest {
    pub fn new(format: Format) -> Self {
        let nest = Self {
            format,
            gva: 0x71EAC,
            host_root: 0x02004,
            host_tables: [0x02114, 0x02228, 0x0233C],
            host_pages: [0x60000, 0xB0000, 0x90000],
            host_rights: [Rights::ALL; 3],
            guest_root: 0x50104,
            guest_table: 0xA020C,
            data: 0xE0000,
            guest_rights: Rights::ALL,
            rights_mode: false,
            asid: 7,
            vmid: 9,
        };
        match format {
            Format::Handout => nest,
            Format::Classic32 => Self {
                gva: 0x556A_AEAC,
                host_root: 0x0001_2344,
                host_tables: [0x0003_1004, 0x0004_2008, 0x0005_300C],
                host_pages: [0x0060_0000, 0x00B0_0000, 0xFFF9_9000],
                guest_root: 0x0040_5104,
                guest_table: 0x0080_A20C,
                data: 0xFFC0_E000,
                ..nest
            },
            Format::Rv32 | Format::Rv64 => panic!("a nest is of the handout's kind"),
        }
    }

    /// Returns the width of every address of the format.
    pub fn width(&self) -> u32 {
        self.format.geometry().gpa_width
    }

    /// Returns the address that a wrong walker reads if it wraps an address, or drops its lowest
    /// bits.
    fn decoy(&self, address: u64) -> u64 {
        address & ((1 << self.width()) - 1) & !3
    }

    /// Returns the gPAs of the host walks: those of the guest's L1 entry, of its L2 entry, and of
    /// the data.
    pub fn gpas(&self) -> [u64; 3] {
        let geometry = self.format.geometry();
        let entry = |base: u64, level| self.decoy(base + geometry.index(self.gva, level) * 4);
        [
            entry(self.guest_root, 1),
            entry(self.guest_table, 0),
            self.data + geometry.offset(self.gva),
        ]
    }

    /// Returns the data's hPA.
    pub fn hpa(&self) -> u64 {
        self.host_pages[2] + self.format.geometry().offset(self.gva)
    }

    /// Returns the addresses of the eight entries.
    pub fn entries(&self) -> [Hpa; 8] {
        let geometry = self.format.geometry();
        let gpas = self.gpas();
        let host = |number: usize, base: u64, level| {
            Hpa(self.decoy(base + geometry.index(gpas[number], level) * 4))
        };
        let mapped = |number: usize| Hpa(self.host_pages[number] + geometry.offset(gpas[number]));
        [
            host(0, self.host_root, 1),
            host(0, self.host_tables[0], 0),
            mapped(0),
            host(1, self.host_root, 1),
            host(1, self.host_tables[1], 0),
            mapped(1),
            host(2, self.host_root, 1),
            host(2, self.host_tables[2], 0),
        ]
    }

    /// Returns the word of a leaf, with all ignored status bits set.
    pub fn leaf(&self, page: u64, rights: Rights) -> u64 {
        let status = (1u64 << self.format.geometry().offset_width) - 1;
        leaf(page, rights) | (0x5A50 & status)
    }

    /// Returns the words of the eight entries.
    pub fn words(&self) -> [u64; 8] {
        let host_leaf = |n: usize| self.leaf(self.host_pages[n], self.host_rights[n]);
        [
            pointer(self.host_tables[0]),
            host_leaf(0),
            pointer(self.guest_table),
            pointer(self.host_tables[1]),
            host_leaf(1),
            self.leaf(self.data, self.guest_rights),
            pointer(self.host_tables[2]),
            host_leaf(2),
        ]
    }

    /// Returns memory with only the eight entries in it.
    pub fn memory(&self) -> HostMemory {
        let mut memory = HostMemory::new(self.format);
        self.write_into(&mut memory);
        memory
    }

    pub fn write_into(&self, memory: &mut HostMemory) {
        for (at, word) in self.entries().into_iter().zip(self.words()) {
            memory.write(at, word);
        }
    }

    pub fn context(&self) -> Context {
        Context {
            rights: self.rights_mode,
            asid: self.asid,
            vmid: self.vmid,
            ..Context::handout(Some(Gpa(self.guest_root)), Hpa(self.host_root))
        }
    }
}

pub fn scenario(
    machine: Machine,
    memory: HostMemory,
    contexts: &[Context],
    ops: Vec<Op>,
) -> Scenario {
    Scenario {
        title: "a test".to_owned(),
        machine,
        memory,
        holes: Holes::Fault,
        timing: Timing::default(),
        contexts: (0..)
            .zip(contexts)
            .map(|(number, &context)| NamedContext {
                name: format!("c{number}"),
                context,
            })
            .collect(),
        ops,
    }
}

/// Returns an access in a context, by its number.
pub fn access(context: usize, access: Access, gva: u64) -> Op {
    Op::Access(AccessOp {
        context,
        gva: Gva(gva),
        access,
        speculative: false,
        expect: None,
        line: None,
    })
}

/// The result of an access on the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub outcome: Outcome,
    pub hit: bool,
    /// The request was coalesced.
    pub merged: bool,
    /// The reads of its walk.
    pub reads: Vec<Hpa>,
    /// The cycles in which its request was accepted, first and last.
    #[allow(dead_code)] // Not every test asks for it.
    pub first_accepted: u64,
    pub accepted: u64,
    pub answered: u64,
    /// The number of replays.
    #[allow(dead_code)]
    pub replays: usize,
}

/// The run of a device.
pub struct Ran {
    /// The results, by access.
    pub answers: Vec<Answer>,
    /// The cycles in which fences were accepted.
    #[allow(dead_code)] // Not every test has any.
    pub fences: Vec<u64>,
    /// The cycles in which walks ended with a translation, and whether the TLB was filled.
    pub results: Vec<(u64, bool)>,
}

struct Watch {
    recorder: Recorder,
    results: Vec<(u64, bool)>,
}

impl Observer for Watch {
    const EVENTS: bool = true;

    fn accepted(&mut self, cycle: u64, request: &Request) {
        self.recorder.accepted(cycle, request);
    }

    fn replayed(&mut self, cycle: u64, request: &Request) {
        self.recorder.replayed(cycle, request);
    }

    fn answered(&mut self, cycle: u64, request: &Request, outcome: &Outcome, hit: bool) {
        self.recorder.answered(cycle, request, outcome, hit);
    }

    fn fenced(&mut self, cycle: u64, op: usize, fence: &Fence) {
        self.recorder.fenced(cycle, op, fence);
    }

    fn read(&mut self, slot: u8, walk: Option<&Walk>, read: &Read) {
        self.recorder.read(slot, walk, read);
    }

    fn event(&mut self, cycle: u64, event: &Event) {
        if let Some(Done { fill, .. }) = event.done {
            self.results.push((cycle, fill));
        }
    }

    fn assigned(&mut self, cycle: u64, request: &Request, walk: &Walk) {
        self.recorder.assigned(cycle, request, walk);
    }
}

/// Runs a scenario on its device. No check may fail.
pub fn device(devices: &mut Devices, scenario: &Scenario) -> Ran {
    let mut watch = Watch {
        recorder: Recorder::new(scenario),
        results: Vec::new(),
    };
    if let Err(failed) = run(devices.get(scenario).unwrap(), scenario, &mut watch) {
        panic!("{}", text::failure(scenario, &failed));
    }
    let recorder = watch.recorder;
    let accesses = scenario.ops.iter().enumerate();
    let answers = accesses
        .filter(|(_, op)| matches!(op, Op::Access(_)))
        .map(|(op, _)| {
            let seen = &recorder.accesses[op];
            let (answered, outcome, hit) = seen.answered.unwrap();
            Answer {
                outcome,
                hit,
                merged: seen.merged,
                reads: recorder.reads(op).iter().map(|read| read.at).collect(),
                first_accepted: seen.first_accepted.unwrap(),
                accepted: seen.accepted.unwrap(),
                replays: seen.replays.len(),
                answered,
            }
        })
        .collect();
    Ran {
        answers,
        fences: recorder.fences.iter().map(|&(cycle, _)| cycle).collect(),
        results: watch.results,
    }
}

/// Returns the outcome of each access on the golden model, without a TLB, and its reads.
pub fn golden(scenario: &Scenario) -> Vec<(Outcome, Vec<Hpa>)> {
    golden_accesses(scenario)
        .iter()
        .map(|access| {
            let reads = access.steps.iter().filter_map(|step| step.hpa).collect();
            (outcome(&access.found), reads)
        })
        .collect()
}
