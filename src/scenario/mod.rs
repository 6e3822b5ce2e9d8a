// SPDX-License-Identifier: Apache-2.0
//! A scenario: all inputs of a run.
//!
//! A scenario comes from a file ([`parse`]; `docs/scenarios.md` describes the format) or from a
//! seed ([`crate::stimulus`]). [`write`](mod@write) turns either into a file that runs the same,
//! cycle by cycle. The tables and mappings of a file are lowered to words and root registers, so a
//! run needs only this structure.

pub mod abilities;
pub mod expect;
mod formats;
mod handout;
pub mod parse;
mod riscv;
pub mod write;

use std::ops::RangeInclusive;

use crate::addr::{Gpa, Gva, Hpa};
use crate::dut::description::{Description, Visibility};
use crate::dut::microarchitecture::Microarchitecture;
use crate::dut::variants::{Foreign, SecondTlb, Variant, WalkCacheEntries};
use crate::dut::{DutError, foreign};
use crate::format::Format;
use crate::memory::HostMemory;
use crate::mmu::{Access, Context, FaultKind, Fence, MemoryType, Purpose, Stage, WalkCaches};

/// All inputs of a run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The subject in one line.
    pub title: String,
    /// The device.
    pub machine: Machine,
    /// Host physical memory at the start.
    pub memory: HostMemory,
    /// The effect of a read of a hole.
    pub holes: Holes,
    /// The behaviour of memory and requester at the start.
    pub timing: Timing,
    /// The contexts that accesses name, by index.
    pub contexts: Vec<NamedContext>,
    /// The operations, in order.
    pub ops: Vec<Op>,
}

impl Scenario {
    /// Returns the walk caches that are in use at any time of it.
    pub fn walk_caches_ever(&self) -> WalkCaches {
        let switched = self.ops.iter().filter_map(|op| match op {
            Op::WalkCaches(used) => Some(*used),
            _ => None,
        });
        switched.fold(self.machine.walk_caches, WalkCaches::or)
    }
}

/// The device that a scenario is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The paging format.
    pub format: Format,
    /// The number of walk slots.
    pub slots: u32,
    /// The number of TLB entries.
    pub tlb_entries: u32,
    /// The numbers of entries of the walk caches.
    pub walk_cache_entries: WalkCacheEntries,
    /// The walk caches that are in use.
    pub walk_caches: WalkCaches,
    /// A walk's next read may leave in the cycle of its predecessor's data.
    pub read_bypass: bool,
    /// The largest number of levels of a stage of RV64: 5; 4 without Sv57; 3 with Sv39 alone.
    pub max_levels: u32,
    /// The walker can set A and D, if a context requests it.
    pub svadu: bool,
    /// The size of its L2 TLB, if it has one.
    pub tlb2: Option<SecondTlb>,
    /// The RTL assertions are on; see [`Variant::checked`].
    pub checked: bool,
    /// The outputs of the device that the checks use.
    pub visibility: Visibility,
    /// The device is not one of the project's own.
    pub foreign: Option<Foreign>,
}

impl Machine {
    /// Returns the default device of a format.
    pub fn of(format: Format) -> Self {
        Self::of_variant(Variant::default_of(format as u32))
    }

    /// Returns a device, with no walk cache in use.
    pub fn of_variant(variant: &Variant) -> Self {
        Self {
            format: variant.paging_format(),
            slots: variant.slots,
            tlb_entries: variant.tlb_entries,
            walk_cache_entries: variant.walk_cache_entries,
            walk_caches: WalkCaches::default(),
            read_bypass: variant.read_bypass,
            max_levels: variant.max_levels,
            svadu: variant.svadu,
            tlb2: variant.tlb2,
            checked: variant.checked,
            visibility: Visibility::Steps,
            foreign: variant.foreign,
        }
    }

    /// Returns the device with these parameters. A foreign device is built if its shared object is
    /// missing or stale.
    ///
    /// # Errors
    /// If no device has these parameters, or the foreign device cannot be built or loaded.
    pub fn variant(&self) -> Result<&'static Variant, DutError> {
        if let Some(foreign) = self.foreign {
            return Ok(foreign::load(foreign)?.variant);
        }
        Ok(self.own_variant().interned()?)
    }

    /// Returns the project's own device with these parameters, without a name.
    fn own_variant(&self) -> Variant {
        Variant {
            name: "",
            format: self.format as u32,
            slots: self.slots,
            tlb_entries: self.tlb_entries,
            walk_cache_entries: self.walk_cache_entries,
            read_bypass: self.read_bypass,
            max_levels: self.max_levels,
            svadu: self.svadu,
            tlb2: self.tlb2,
            checked: self.checked,
            foreign: None,
        }
    }

    /// Returns the description of a foreign device that has been loaded. None: the device is one of
    /// the project's own, whose abilities are the fields of this structure.
    pub fn foreign_description(&self) -> Option<&'static Description> {
        foreign::description(self.foreign?)
    }

    /// Returns the description of the device, as far as the checks use its outputs.
    pub fn description(&self) -> Description {
        match self.foreign_description() {
            Some(description) => description.at_most(self.visibility),
            None => Description::of_variant(&self.own_variant()).at_most(self.visibility),
        }
    }

    /// Returns the figures of the device on which checks rest.
    pub fn microarchitecture(&self) -> Microarchitecture {
        Microarchitecture::of_this_rtl(self.format, self.slots, self.tlb_entries)
    }

    /// Returns those walk caches of `caches` that the device has.
    pub fn walk_caches_there(&self, caches: WalkCaches) -> WalkCaches {
        let entries = self.walk_cache_entries;
        WalkCaches {
            guest: caches.guest && entries.guest > 0,
            host: caches.host && entries.host > 0,
            nested: caches.nested && entries.nested > 0,
        }
    }

    /// Returns true if the device has the modes of a context.
    pub fn serves(&self, context: &Context) -> bool {
        let most = context.guest.levels.max(context.host.levels);
        let described = self.foreign_description();
        u32::from(most) <= self.max_levels && described.is_none_or(|device| device.serves(context))
    }

    /// Returns the fields of a context that the device uses: all but those that docs/ports.md
    /// declares ignored. Ignored are the bits of a root below its alignment and, without Svadu, the
    /// requests to set A and D.
    pub fn heeded(&self, context: &Context) -> Context {
        let mut heeded = *context;
        let [guest, host] = self.format.root_masks();
        heeded.guest.root.0 &= guest;
        heeded.host.root.0 &= host;
        heeded.guest.adue &= self.svadu;
        heeded.host.adue &= self.svadu;
        heeded
    }
}

impl Scenario {
    /// Returns true if memory returns errors at random, now or later.
    pub fn injects_errors(&self) -> bool {
        let later = |op: &Op| matches!(op, Op::Timing(timing) if timing.errors > 0);
        self.timing.errors > 0 || self.ops.iter().any(later)
    }
}

/// The effect of a walk that reads a hole in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holes {
    /// It is an error in the scenario, unless the access expects a memory fault.
    Reject,
    /// It is a memory fault.
    Fault,
}

/// The behaviour of memory and requester. A draw is a function of the seed and the cycle, and for
/// memory requests also of the address. Cycles are counted from the start, the last [`Op::Reset`]
/// or the last [`Op::Timing`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Seed of all draws.
    pub seed: u64,
    /// The cycles from the grant of a read to its data, 1 or more: the least and the most.
    pub latency: RangeInclusive<u32>,
    /// Percentage of cycles in which memory accepts no read, 0 to 90.
    pub memory_busy: u32,
    /// Consecutive cycles for which one draw of `memory_busy` holds. With 0 and 1 each cycle is
    /// drawn.
    pub memory_run: u32,
    /// Percentage of cycles in which the requester accepts no response, 0 to 90.
    pub response_busy: u32,
    /// Percentage of cycles in which the requester makes no request, 0 to 90.
    pub request_idle: u32,
    /// Consecutive cycles for which one draw of `response_busy`, and of `request_idle`, holds. With
    /// 0 and 1 each cycle is drawn.
    pub request_run: u32,
    /// The number of reads in a thousand for which memory returns an error, 0 to 1000.
    pub errors: u32,
    /// Data of a later read may come first.
    pub reorder: bool,
    /// Memory is ready for a read only after the read has been offered for a cycle.
    pub after_valid: bool,
    /// The requester is ready for a response only after it has been offered for a cycle.
    pub response_after_valid: bool,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            seed: 0,
            latency: 1..=1,
            memory_busy: 0,
            memory_run: 0,
            response_busy: 0,
            request_idle: 0,
            request_run: 0,
            errors: 0,
            reorder: false,
            after_valid: false,
            response_after_valid: false,
        }
    }
}

/// A context with its name in the scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedContext {
    /// The name.
    pub name: String,
    /// The context.
    pub context: Context,
}

/// An operation of a scenario.
///
/// An operation begins when all earlier ones have begun, not when they have ended. Accesses
/// overlap, and so do an edit and the walks before it, unless an [`Op::Drain`] separates them.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// A request for a translation.
    Access(AccessOp),
    /// A fence.
    Fence(Fence),
    /// Writes a word of host memory, or (none) makes it a hole.
    Write {
        /// The address.
        at: Hpa,
        /// The value.
        word: Option<u64>,
    },
    /// Changes the behaviour of memory and requester.
    Timing(Timing),
    /// Waits for a number of cycles.
    Wait(u32),
    /// Waits until every earlier access has its response.
    Drain,
    /// Resets the device, whatever is in flight. Accesses without a response get none.
    Reset,
    /// Stalls a port for a number of cycles, whatever its timing is. Later operations begin
    /// meanwhile.
    Hold {
        /// The port that is stalled.
        what: Held,
        /// The number of cycles.
        cycles: u32,
    },
    /// Waits until every earlier access has its response, and then changes the walk caches in use.
    WalkCaches(WalkCaches),
}

/// The port that [`Op::Hold`] stalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Memory accepts no read and no update.
    Reads,
    /// Memory returns no response.
    Answers,
    /// The requester accepts no response.
    Responses,
}

impl Held {
    /// All ports.
    pub const ALL: [Self; 3] = [Self::Reads, Self::Answers, Self::Responses];

    /// Returns its key in a file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Answers => "answers",
            Self::Responses => "responses",
        }
    }
}

/// A request, with the expectations of its author.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessOp {
    /// Index into [`Scenario::contexts`].
    pub context: usize,
    /// The address.
    pub gva: Gva,
    /// The access.
    pub access: Access,
    /// The requester does not repeat the access after a replay, as for a fetch ahead that is
    /// discarded.
    pub speculative: bool,
    /// The expectations.
    pub expect: Option<Box<Expect>>,
    /// The line of the scenario file, from 1.
    pub line: Option<u32>,
}

/// The expectations of an access. A field without a value is not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// The translation.
    pub hpa: Option<Hpa>,
    /// The gPA of the data. In the handout's formats it is compared only with the golden model,
    /// because their MMU does not return it.
    pub gpa: Option<Gpa>,
    /// The fault.
    pub fault: Option<ExpectFault>,
    /// RISC-V: xcause of the trap.
    pub cause: Option<u8>,
    /// RISC-V: htval or mtval2 of the trap.
    pub tval2: Option<u64>,
    /// RISC-V: htinst or mtinst of the trap.
    pub tinst: Option<u16>,
    /// RISC-V: GVA of the trap, which is set if xtval is a guest virtual address.
    pub gva: Option<bool>,
    /// RISC-V: log2 of the page size of the translation, in bytes.
    pub page_size: Option<u32>,
    /// RISC-V: the memory type.
    pub memory_type: Option<MemoryType>,
    /// The addresses of every table entry that the walk reads, in order. They are not compared for
    /// a TLB hit, which reads nothing.
    pub reads: Option<Vec<Hpa>>,
    /// The number of memory accesses of a walk, including the data access.
    pub accesses: Option<u32>,
    /// Some of the entries that the walk reads.
    pub entries: Vec<ExpectEntry>,
    /// A TLB hit is expected (device only).
    pub hit: Option<bool>,
    /// The expectations of the device that differ from those of the golden walk.
    pub device: Option<Box<Expect>>,
}

/// An expected fault. A field without a value is not compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectFault {
    /// Its kind.
    pub kind: FaultKind,
    /// Its stage.
    pub stage: Option<Stage>,
    /// Its level, counted down to the leaf's, 0.
    pub level: Option<u32>,
    /// Host stage: the gPA being translated.
    pub gpa: Option<Gpa>,
    /// Host stage: the purpose of the translation.
    pub purpose: Option<Purpose>,
}

/// An expected entry of a walk. A field without a value is not compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectEntry {
    /// Its table.
    pub stage: Stage,
    /// Its level, counted down to the leaf's, 0.
    pub level: u32,
    /// A guest entry's gPA.
    pub gpa: Option<Gpa>,
    /// Its hPA.
    pub hpa: Option<Hpa>,
    /// Its content.
    pub word: Option<u64>,
    /// The number of the memory access of the walk that reads it, from 1.
    pub access: Option<u32>,
}

/// Returns the key of an access in a file.
pub(crate) const fn access_key(access: Access) -> &'static str {
    match access {
        Access::LoadExecute => "hlvx",
        access => access.name(),
    }
}

/// Returns the name of a page of 2^`size` bytes: `2m`.
pub(crate) fn size_name(size: u32) -> String {
    let unit = ["", "k", "m", "g", "t", "p"];
    let unit_index = (size / 10).min(5);
    format!(
        "{}{}",
        1u64 << (size - 10 * unit_index),
        unit[unit_index as usize]
    )
}
