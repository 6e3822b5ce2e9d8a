// SPDX-License-Identifier: Apache-2.0
//! What an MMU is asked and what it answers, in the words of `docs/ports.md`: the vocabulary that
//! the golden model, the device and the checker share.

use std::fmt;

use serde::Serialize;

use crate::addr::{Gpa, Gva, Hpa};
use crate::format::Format;

/// What an access does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Access {
    /// Reads data.
    Load = 0,
    /// Writes data.
    Store = 1,
    /// Reads an instruction.
    Fetch = 2,
    /// Reads data with the rights of a fetch (HLVX; the RISC-V formats only).
    #[serde(rename = "load-execute")]
    LoadExecute = 3,
}

impl Access {
    /// The accesses of every format.
    pub const ALL: [Access; 3] = [Access::Load, Access::Store, Access::Fetch];

    /// Its name in scenarios and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Access::Load => "load",
            Access::Store => "store",
            Access::Fetch => "fetch",
            Access::LoadExecute => "load-execute",
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a leaf permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rights {
    /// Loads, and the walk's own reads of a guest table.
    pub read: bool,
    /// Stores.
    pub write: bool,
    /// Fetches.
    pub execute: bool,
}

impl Rights {
    /// Everything is permitted.
    pub const ALL: Rights = Rights {
        read: true,
        write: true,
        execute: true,
    };

    /// Each combination of rights; read is the lowest bit of its number.
    pub fn every() -> impl Iterator<Item = Self> {
        (0..8).map(|bits| Self {
            read: bits & 1 != 0,
            write: bits & 2 != 0,
            execute: bits & 4 != 0,
        })
    }

    /// Whether `access` is permitted.
    pub const fn permit(self, access: Access) -> bool {
        match access {
            Access::Load => self.read,
            Access::Store => self.write,
            Access::Fetch | Access::LoadExecute => self.execute,
        }
    }
}

/// What a context says of one stage of translation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StageControl<A> {
    /// Levels of the stage's tables; 0 where the stage is off (Bare). 2 is Sv32 or Sv32x4 and the
    /// handout's tables; 3, 4 and 5 are Sv39, Sv48 and Sv57, or the same with x4.
    pub levels: u8,
    /// The root table, a byte address.
    pub root: A,
    /// Loads may read what is executable (MXR).
    pub mxr: bool,
    /// The walker sets accessed and dirty bits (Svadu); off, a clear one faults (Svade).
    pub adue: bool,
    /// Leaves have a memory type (Svpbmt); off, its bits are reserved.
    pub pbmte: bool,
}

impl<A> StageControl<A> {
    /// The same with another root.
    pub fn with_root<B>(self, root: B) -> StageControl<B> {
        StageControl {
            levels: self.levels,
            root,
            mxr: self.mxr,
            adue: self.adue,
            pbmte: self.pbmte,
        }
    }
}

/// All that a translation depends on besides memory; a request carries it.
///
/// The handout's machine uses the roots, [`Context::rights`], ASID and VMID ([`Context::handout`]);
/// the RISC-V formats use all but [`Context::rights`] ([`crate::format::riscv::Csrs::context`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Context {
    /// The access is made in a virtual machine (V=1): two stages, and a VMID.
    pub virt: bool,
    /// The guest's stage, gVA=>gPA: VS-stage. Without [`Context::virt`] it is the only one, and its
    /// root is an hPA.
    pub guest: StageControl<Gpa>,
    /// The host's stage, gPA=>hPA: G-stage.
    pub host: StageControl<Hpa>,
    /// The access is made in user mode.
    pub user: bool,
    /// Loads and stores of supervisor mode may reach user pages of the guest's stage (SUM).
    pub sum: bool,
    /// NAPOT pages exist (Svnapot); else the N bit is reserved.
    pub napot: bool,
    /// Rights mode of the handout's machine: leaves have status bits. Off, status is ignored, as in
    /// the exercise.
    pub rights: bool,
    /// Tag of the guest's address space, [`Format::asid_width`] bits.
    pub asid: u16,
    /// Tag of the virtual machine, [`Format::vmid_width`] bits.
    pub vmid: u16,
}

/// Width of an ASID at the ports, in bits; [`Format::asid_width`] of it are in use.
pub const ASID_WIDTH: u32 = 16;
/// Width of a VMID at the ports, in bits; [`Format::vmid_width`] of it are in use.
pub const VMID_WIDTH: u32 = 14;

impl Context {
    /// The context of a handout's machine: two levels in both stages, or none in the guest's, where
    /// a gVA is taken for a gPA (Figure 1a). Rights mode is off, ASID and VMID are 0.
    pub fn handout(guest_root: Option<Gpa>, host_root: Hpa) -> Self {
        let levels = |on: bool| if on { 2 } else { 0 };
        Self::two_stages(
            levels(guest_root.is_some()),
            guest_root.unwrap_or_default(),
            levels(true),
            host_root,
        )
    }

    /// The context of a RISC-V virtual machine (V=1) with `guest_levels` in the VS-stage and
    /// `host_levels` in the G-stage, 0 for Bare. The access is made in supervisor mode; SUM, MXR,
    /// ADUE, PBMTE and Svnapot are off, ASID and VMID are 0.
    pub fn riscv(guest_levels: u8, guest_root: Gpa, host_levels: u8, host_root: Hpa) -> Self {
        Self::two_stages(guest_levels, guest_root, host_levels, host_root)
    }

    /// A context of a virtual machine with all switches off.
    fn two_stages(guest_levels: u8, guest_root: Gpa, host_levels: u8, host_root: Hpa) -> Self {
        Self {
            virt: true,
            guest: StageControl {
                levels: guest_levels,
                root: guest_root,
                ..Default::default()
            },
            host: StageControl {
                levels: host_levels,
                root: host_root,
                ..Default::default()
            },
            user: false,
            sum: false,
            napot: false,
            rights: false,
            asid: 0,
            vmid: 0,
        }
    }

    /// The guest's root table, where its stage is on.
    pub fn guest_root(&self) -> Option<Gpa> {
        (self.guest.levels > 0).then_some(self.guest.root)
    }

    /// What the TLB tells address spaces apart by.
    pub fn space(&self) -> Space {
        Space {
            virt: self.virt,
            guest_levels: self.guest.levels,
            host_levels: self.host.levels,
            rights: self.rights,
            asid: self.asid,
            vmid: self.vmid,
        }
    }
}

/// The tag of a TLB entry: which address space, by the parts of the context that stand for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Space {
    /// See [`Context::virt`].
    pub virt: bool,
    /// Levels of the guest's stage, 0 for off.
    pub guest_levels: u8,
    /// Levels of the host's stage, 0 for off.
    pub host_levels: u8,
    /// Rights mode.
    pub rights: bool,
    /// See [`Context::asid`].
    pub asid: u16,
    /// See [`Context::vmid`].
    pub vmid: u16,
}

/// Which walk caches are in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct WalkCaches {
    /// From a gVA's prefix to the next guest table.
    pub guest: bool,
    /// From a gPA's prefix to the next host table.
    pub host: bool,
    /// From a guest table's gPA to its hPA.
    pub nested: bool,
}

impl WalkCaches {
    /// All of them.
    pub const ALL: Self = Self {
        guest: true,
        host: true,
        nested: true,
    };

    /// What they are called, in the order of the fields.
    pub const NAMES: [&str; 3] = ["guest", "host", "nested"];

    /// The names of those that are in use.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let used = [self.guest, self.host, self.nested];
        let names = used.into_iter().zip(Self::NAMES);
        names.filter_map(|(used, name)| used.then_some(name))
    }

    /// Whether any is.
    pub fn any(self) -> bool {
        self.guest || self.host || self.nested
    }

    /// These and others.
    pub fn or(self, other: Self) -> Self {
        Self {
            guest: self.guest || other.guest,
            host: self.host || other.host,
            nested: self.nested || other.nested,
        }
    }
}

/// A translation that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    /// Under this context.
    pub context: Context,
    /// Of this address.
    pub gva: Gva,
    /// For this access.
    pub access: Access,
}

/// Forgets the translations that agree with every operand given; with none given, all of its kind
/// of address space.
///
/// | instruction | `virt` | operands |
/// |---|---|---|
/// | SFENCE.VMA, SINVAL.VMA with V=0 | false | `gva`, `asid` |
/// | the same with V=1; HFENCE.VVMA, HINVAL.VVMA | true | `gva`, `asid`, and always `vmid`, of hgatp |
/// | HFENCE.GVMA, HINVAL.GVMA | true | `gpa`, `vmid` |
///
/// A fence of the handout's machine has `virt` set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Fence {
    /// Which address spaces: those of virtual machines, or the others.
    pub virt: bool,
    /// Those of the guest's page that this gVA is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gva: Option<Gva>,
    /// Those to the host's page that this gPA is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpa: Option<Gpa>,
    /// Those of this ASID, but for global ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asid: Option<u16>,
    /// Those of this VMID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vmid: Option<u16>,
}

impl Default for Fence {
    /// A fence of every virtual machine's translations.
    fn default() -> Self {
        Self {
            virt: true,
            gva: None,
            gpa: None,
            asid: None,
            vmid: None,
        }
    }
}

/// What a fence goes by of a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    /// A gVA in its page.
    pub gva: Gva,
    /// The gPA of that gVA.
    pub gpa: Gpa,
    /// log2 of the bytes of the guest leaf's page.
    pub guest_size: u32,
    /// log2 of the bytes of the host leaf's page.
    pub host_size: u32,
    /// It is the same under every ASID.
    pub global: bool,
}

impl Fence {
    /// Whether the fence names the address space, whatever the address.
    pub fn names_space(&self, space: Space) -> bool {
        self.virt == space.virt
            && self.asid.is_none_or(|asid| asid == space.asid)
            // Outside virtual machines there is no VMID.
            && self
                .vmid
                .is_none_or(|vmid| !space.virt || vmid == space.vmid)
    }

    /// Whether the fence names a translation of `space`. A page of the guest or the host is named
    /// whole, also where the translation is of a part of it.
    pub fn names(&self, space: Space, extent: &Extent) -> bool {
        let same = |a: u64, b: u64, size: u32| size >= 64 || a >> size == b >> size;
        !(extent.global && self.asid.is_some())
            && self.names_space(space)
            && self
                .gva
                .is_none_or(|g| same(g.0, extent.gva.0, extent.guest_size))
            && self
                .gpa
                .is_none_or(|g| same(g.0, extent.gpa.0, extent.host_size))
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if let Some(gva) = self.gva {
            words.push(format!("gVA {gva}"));
        }
        if let Some(gpa) = self.gpa {
            words.push(format!("gPA {gpa}"));
        }
        if let Some(asid) = self.asid {
            words.push(format!("ASID {asid}"));
        }
        if let Some(vmid) = self.vmid {
            words.push(format!("VMID {vmid}"));
        }
        let outside = if self.virt {
            ""
        } else {
            " outside virtual machines"
        };
        if words.is_empty() {
            write!(f, "fence of everything{outside}")
        } else {
            write!(f, "fence by {}{outside}", words.join(", "))
        }
    }
}

/// Which table an entry belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Stage {
    /// The guest's: gVA=>gPA.
    Guest = 0,
    /// The host's: gPA=>hPA.
    Host = 1,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Guest => "guest",
            Stage::Host => "host",
        })
    }
}

/// Why a walk ends without a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum FaultKind {
    /// The memory answered the read or the update of an entry with an error; or an address is past
    /// the machine's memory (access fault).
    Memory = 1,
    /// An entry address is not a multiple of the entry size. RISC-V: the page number of a superpage
    /// is not a multiple of its size.
    Misaligned = 2,
    /// An entry address lies past the machine's width. RISC-V: a gVA that is not canonical, or a
    /// gPA past the width of the G-stage.
    Width = 3,
    /// Reserved bits, or a reserved encoding, of an entry.
    Reserved = 4,
    /// Rights mode: the leaf is not valid. RISC-V: V is 0, or W is set without R.
    Invalid = 5,
    /// The leaf does not permit the access.
    Permission = 6,
    /// RISC-V: the leaf's A bit, or for a store its D bit, is clear, and is not set by hardware.
    AccessedDirty = 7,
    /// RISC-V: a pointer where only a leaf can be.
    Pointer = 8,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [FaultKind; 8] = [
        FaultKind::Memory,
        FaultKind::Misaligned,
        FaultKind::Width,
        FaultKind::Reserved,
        FaultKind::Invalid,
        FaultKind::Permission,
        FaultKind::AccessedDirty,
        FaultKind::Pointer,
    ];

    /// Its name in scenarios and reports.
    pub const fn name(self) -> &'static str {
        match self {
            FaultKind::Memory => "memory",
            FaultKind::Misaligned => "misaligned",
            FaultKind::Width => "width",
            FaultKind::Reserved => "reserved",
            FaultKind::Invalid => "invalid",
            FaultKind::Permission => "permission",
            FaultKind::AccessedDirty => "accessed-dirty",
            FaultKind::Pointer => "pointer",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the host's table was being walked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To read the guest entry of this level.
    GuestEntry(u32),
    /// To reach the data of the access.
    Data,
    /// To set the accessed and dirty bits of the guest entry of this level.
    GuestUpdate(u32),
}

/// Where in the two tables a walk stands. Levels count down to the leaf's, 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Position {
    /// At the guest's entry of a level.
    Guest {
        /// The level.
        level: u32,
    },
    /// At the host's entry of a level.
    Host {
        /// The level.
        level: u32,
        /// The address that the host's table translates.
        gpa: Gpa,
        /// And what for.
        purpose: Purpose,
    },
}

impl Position {
    /// Which table it is in.
    pub fn stage(&self) -> Stage {
        match self {
            Position::Guest { .. } => Stage::Guest,
            Position::Host { .. } => Stage::Host,
        }
    }

    /// The level in that table.
    pub fn level(&self) -> u32 {
        match *self {
            Position::Guest { level } | Position::Host { level, .. } => level,
        }
    }

    /// In words, with the format's names of levels.
    pub fn describe(&self, format: Format) -> String {
        match *self {
            Position::Guest { level } => format!("guest {}", format.level_name(level)),
            Position::Host {
                level,
                gpa,
                purpose,
            } => {
                let purpose = match purpose {
                    Purpose::GuestEntry(n) => format!("the guest {} entry", format.level_name(n)),
                    Purpose::GuestUpdate(n) => {
                        format!("the guest {} entry, to update it", format.level_name(n))
                    }
                    Purpose::Data => "the data".to_owned(),
                };
                format!(
                    "host {}, translating gPA {gpa} of {purpose}",
                    format.level_name(level)
                )
            }
        }
    }
}

/// A fault: why, and where. (The gVA is the request's.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// Why.
    pub kind: FaultKind,
    /// At which entry.
    pub at: Position,
    /// What a hart's trap registers get; none in the handout's formats.
    pub trap: Option<Trap>,
}

/// What a fault puts into the registers of a hart, but for xtval, which is the gVA of the request
/// (privileged specification, hypervisor extension, "Trap Entry" and "Transformed Instruction or
/// Pseudoinstruction for mtinst or htinst").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Trap {
    /// xcause: 1, 5, 7 access fault; 12, 13, 15 page fault; 20, 21, 23 guest-page fault; of a
    /// fetch, load, store.
    pub cause: u8,
    /// GVA: xtval is a guest virtual address.
    pub gva: bool,
    /// htval or mtval2: the faulting gPA, shifted right by 2, of a guest-page fault; else 0.
    pub tval2: u64,
    /// htinst or mtinst: the pseudoinstruction of an implicit access; else 0.
    pub tinst: u16,
}

impl Fault {
    /// In words, with the format's names of levels.
    pub fn describe(&self, format: Format) -> String {
        let trap = self
            .trap
            .map_or_else(String::new, |trap| format!(" ({})", trap.describe()));
        format!("{} fault at {}{trap}", self.kind, self.at.describe(format))
    }
}

impl Trap {
    /// In words: the cause, and what of the other registers is not 0.
    pub fn describe(&self) -> String {
        let what = match self.cause {
            12 | 13 | 15 => "page fault",
            20 | 21 | 23 => "guest-page fault",
            _ => "access fault",
        };
        let access = match self.cause {
            1 | 12 | 20 => "fetch",
            5 | 13 | 21 => "load",
            _ => "store",
        };
        let mut text = format!("{access} {what}, cause {}", self.cause);
        if self.tval2 != 0 {
            text += &format!(", tval2 0x{:X}", self.tval2);
        }
        if self.tinst != 0 {
            text += &format!(", tinst 0x{:X}", self.tinst);
        }
        text
    }
}

/// A page's memory type (Svpbmt).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum MemoryType {
    /// As the physical memory attributes say.
    #[default]
    Pma = 0,
    /// Non-cacheable, idempotent, weakly ordered main memory.
    Nc = 1,
    /// Non-cacheable, non-idempotent, strongly ordered I/O.
    Io = 2,
}

impl MemoryType {
    /// Its name in scenarios and reports.
    pub const fn name(self) -> &'static str {
        match self {
            MemoryType::Pma => "pma",
            MemoryType::Nc => "nc",
            MemoryType::Io => "io",
        }
    }

    /// The type of an encoding; 3 is reserved.
    pub const fn of(encoding: u8) -> Option<Self> {
        match encoding {
            0 => Some(MemoryType::Pma),
            1 => Some(MemoryType::Nc),
            2 => Some(MemoryType::Io),
            _ => None,
        }
    }
}

/// A translation that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Translation {
    /// The gPA on the way.
    pub gpa: Gpa,
    /// Where the data is.
    pub hpa: Hpa,
    /// log2 of the page's bytes.
    pub page_size: u32,
    /// The page's memory type.
    pub memory_type: MemoryType,
}

/// The answer to a [`Query`].
pub type Outcome = Result<Translation, Fault>;

/// An outcome in words. The page's size is told where it is not that of the smallest page.
pub fn describe_outcome(outcome: &Outcome, format: Format) -> String {
    match outcome {
        Ok(translation) if translation.page_size == format.geometry().offset_width => {
            format!("hPA {}{}", translation.hpa, memory_type(translation))
        }
        _ => describe_with_page(outcome, format),
    }
}

/// An outcome in words, always with the page's size: to be compared with another.
pub fn describe_with_page(outcome: &Outcome, format: Format) -> String {
    match outcome {
        Ok(translation) => format!(
            "hPA {}, page of 2^{} bytes{}",
            translation.hpa,
            translation.page_size,
            memory_type(translation)
        ),
        Err(fault) => fault.describe(format),
    }
}

fn memory_type(translation: &Translation) -> &'static str {
    match translation.memory_type {
        MemoryType::Pma => "",
        MemoryType::Nc => ", NC",
        MemoryType::Io => ", IO",
    }
}
