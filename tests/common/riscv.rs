// SPDX-License-Identifier: Apache-2.0
//! A RISC-V machine with one virtual machine and one guest. Each page of its tables is built when
//! it is first mapped.

use std::collections::BTreeMap;

use nestwalk::addr::{Gpa, Gva, Hpa};
use nestwalk::bench::{self, Request, Walk};
use nestwalk::campaign::Devices;
use nestwalk::format::Format;
use nestwalk::format::riscv::Entry;
use nestwalk::memory::HostMemory;
use nestwalk::mmu::{Access, Context, Fence, Outcome, Rights, StageControl};
use nestwalk::scenario::{AccessOp, Holes, Machine, NamedContext, Op, Scenario, Timing};

pub const PAGE: u64 = 4096;

/// Returns log2 of the size in bytes of a leaf's page at a level.
pub fn page_size(format: Format, level: u32) -> u32 {
    12 + level * format.geometry().index_width
}

/// The tables of a stage, by level and address.
pub struct Tables {
    pub levels: u8,
    pub root: u64,
    tables: BTreeMap<(u32, u64), u64>,
}

/// Two stages, either of which may be off (0 levels).
pub struct Rig {
    pub format: Format,
    pub memory: HostMemory,
    pub guest: Tables,
    pub host: Tables,
    /// The next free page of host memory.
    next_frame: u64,
    next_gpa: u64,
}

impl Rig {
    pub fn new(format: Format, guest_levels: u8, host_levels: u8) -> Self {
        let tables = |levels, root| Tables {
            levels,
            root,
            tables: BTreeMap::new(),
        };
        let mut rig = Self {
            format,
            memory: HostMemory::new(format),
            guest: tables(guest_levels, 0),
            host: tables(host_levels, 0x10_0000),
            next_frame: 0x10_4000,
            next_gpa: 0x4000_0000,
        };
        rig.guest.root = rig.guest_table();
        rig
    }

    fn entry_at(&self, table: u64, address: u64, level: u32, host_root: bool) -> u64 {
        let geometry = self.format.geometry();
        let bits = geometry.index_width
            + if host_root {
                geometry.host_root_extra
            } else {
                0
            };
        let index = (address >> page_size(self.format, level)) & ((1 << bits) - 1);
        table + index * geometry.pte_bytes()
    }

    fn guest_table(&mut self) -> u64 {
        let at = self.next_gpa;
        self.next_gpa += PAGE;
        if self.host.levels > 0 {
            let frame = self.frame();
            self.map_host(at, 0, Entry::leaf(frame, Rights::ALL).with_user(true));
        }
        at
    }

    fn frame(&mut self) -> u64 {
        self.next_frame += PAGE;
        self.next_frame - PAGE
    }

    /// Writes a leaf of a level for the page of a gPA. Returns its address.
    pub fn map_host(&mut self, gpa: u64, level: u32, leaf: Entry) -> Hpa {
        let mut table = self.host.root;
        let levels = u32::from(self.host.levels);
        for at_level in (level + 1..levels).rev() {
            let at = self.entry_at(table, gpa, at_level, at_level + 1 == levels);
            let key = (at_level, gpa >> page_size(self.format, at_level));
            table = match self.host.tables.get(&key) {
                Some(&table) => table,
                None => {
                    let new = self.frame();
                    self.host.tables.insert(key, new);
                    self.memory.write(Hpa(at), Entry::pointer(new).0);
                    new
                }
            };
        }
        let at = Hpa(self.entry_at(table, gpa, level, level + 1 == levels));
        self.memory.write(at, leaf.0);
        at
    }

    /// Writes a leaf of a level for the page of a gVA. Returns its hPA.
    pub fn map_guest(&mut self, gva: u64, level: u32, leaf: Entry) -> Hpa {
        let mut table = self.guest.root;
        for at_level in (level + 1..u32::from(self.guest.levels)).rev() {
            let at = self.entry_at(table, gva, at_level, false);
            let key = (at_level, gva >> page_size(self.format, at_level));
            table = match self.guest.tables.get(&key) {
                Some(&table) => table,
                None => {
                    let new = self.guest_table();
                    self.guest.tables.insert(key, new);
                    let at = self.locate(at);
                    self.memory.write(at, Entry::pointer(new).0);
                    new
                }
            };
        }
        let at = self.locate(self.entry_at(table, gva, level, false));
        self.memory.write(at, leaf.0);
        at
    }

    /// Returns the address of the word of a guest table.
    fn locate(&self, gpa: u64) -> Hpa {
        let levels = u32::from(self.host.levels);
        if levels == 0 {
            return Hpa(gpa);
        }
        let mut table = self.host.root;
        for level in (0..levels).rev() {
            let at = self.entry_at(table, gpa, level, level + 1 == levels);
            let entry = Entry(
                self.memory
                    .read(Hpa(at))
                    .expect("the host maps guest tables"),
            );
            table = entry.address();
        }
        Hpa(table + gpa % PAGE)
    }

    /// Returns a context of supervisor mode in the virtual machine, without SUM, MXR and hardware
    /// updates. Svpbmt and Svnapot are available on RV64.
    pub fn context(&self) -> Context {
        let rv64 = self.format == Format::Rv64;
        let stage = |tables: &Tables| StageControl {
            levels: tables.levels,
            root: tables.root,
            mxr: false,
            adue: false,
            pbmte: rv64,
        };
        Context {
            virt: true,
            guest: stage(&self.guest).with_root(Gpa(self.guest.root)),
            host: stage(&self.host).with_root(Hpa(self.host.root)),
            user: false,
            sum: false,
            napot: rv64,
            rights: false,
            asid: 1,
            vmid: 2,
        }
    }

    pub fn scenario(&self, contexts: &[Context], timing: Timing, ops: Vec<Op>) -> Scenario {
        Scenario {
            title: String::new(),
            machine: Machine::of(self.format),
            memory: self.memory.clone(),
            holes: Holes::Fault,
            timing,
            contexts: contexts
                .iter()
                .enumerate()
                .map(|(number, &context)| NamedContext {
                    name: format!("c{number}"),
                    context,
                })
                .collect(),
            ops,
        }
    }
}

pub fn access(context: usize, gva: u64, access: Access) -> Op {
    Op::Access(AccessOp {
        context,
        gva: Gva(gva),
        access,
        speculative: false,
        expect: None,
        line: None,
    })
}

/// The observations of a run, by operation.
#[derive(Default)]
pub struct Seen {
    /// The cycles of acceptance and of the response, the response, and whether the TLB hit.
    pub answers: BTreeMap<usize, (u64, u64, Outcome, bool)>,
    accepted: BTreeMap<usize, u64>,
    pub reads: Vec<nestwalk::bench::Read>,
    pub fences: Vec<Fence>,
}

impl nestwalk::bench::Observer for Seen {
    fn accepted(&mut self, cycle: u64, request: &Request) {
        self.accepted.insert(request.op, cycle);
    }

    fn answered(&mut self, cycle: u64, request: &Request, outcome: &Outcome, hit: bool) {
        let accepted = self.accepted[&request.op];
        self.answers
            .insert(request.op, (accepted, cycle, *outcome, hit));
    }

    fn fenced(&mut self, _: u64, _: usize, fence: &Fence) {
        self.fences.push(*fence);
    }

    fn read(&mut self, _: u8, _: Option<&Walk>, read: &nestwalk::bench::Read) {
        self.reads.push(*read);
    }
}

/// Returns the observations of a scenario on its device. All checks must hold.
pub fn run(scenario: &Scenario) -> Seen {
    let mut seen = Seen::default();
    let mut device = Devices::make(scenario).unwrap();
    if let Err(failed) = bench::run(&mut device, scenario, &mut seen) {
        panic!("{}", failed.failure);
    }
    seen
}
