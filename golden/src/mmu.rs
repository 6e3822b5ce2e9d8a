// SPDX-License-Identifier: Apache-2.0
//! The vocabulary of an MMU: requests, responses, contexts, faults and fences. The golden model,
//! the bridge to the device and the checker share it. `docs/ports.md` uses the same words.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::addr::{Gpa, Gva, Hpa};
use crate::format::Format;

/// A kind of memory access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

    /// Returns its name in scenarios and reports.
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

/// The rights of a leaf.
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

    /// Nothing is permitted.
    pub const NONE: Rights = Rights {
        read: false,
        write: false,
        execute: false,
    };

    /// Returns each combination of rights; read is the lowest bit of its number.
    pub fn every() -> impl Iterator<Item = Self> {
        (0..8).map(|bits| Self {
            read: bits & 1 != 0,
            write: bits & 2 != 0,
            execute: bits & 4 != 0,
        })
    }

    /// Returns true if `access` is permitted.
    pub const fn permit(self, access: Access) -> bool {
        match access {
            Access::Load => self.read,
            Access::Store => self.write,
            Access::Fetch | Access::LoadExecute => self.execute,
        }
    }
}

/// The control of one stage of translation, as a context has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StageControl<A> {
    /// Number of levels of the stage's tables; 0 if the stage is off (Bare). 2 is Sv32 or Sv32x4
    /// and the handout's tables; 3, 4 and 5 are Sv39, Sv48 and Sv57, or Sv39x4, Sv48x4 and Sv57x4.
    pub levels: u8,
    /// The root table, a byte address.
    pub root: A,
    /// Loads may read pages that are executable but not readable (MXR).
    pub mxr: bool,
    /// The walker sets accessed and dirty bits (Svadu). Otherwise a clear bit is a fault (Svade).
    pub adue: bool,
    /// Leaves have a memory type (Svpbmt). Otherwise its bits are reserved.
    pub pbmte: bool,
}

impl<A> StageControl<A> {
    /// Returns the same control with another root.
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

/// The context of a request: all that a translation depends on besides memory.
///
/// The handout's machine uses the roots, [`Context::rights`], ASID and VMID ([`Context::handout`]);
/// the RISC-V formats use all but [`Context::rights`] ([`crate::format::riscv::Csrs::context`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Context {
    /// The access is made in a virtual machine (V=1): two stages, and a VMID.
    pub virt: bool,
    /// The guest stage, gVA=>gPA: the VS-stage. If [`Context::virt`] is false, it is the only
    /// stage, and its root is an hPA.
    pub guest: StageControl<Gpa>,
    /// The host stage, gPA=>hPA: the G-stage.
    pub host: StageControl<Hpa>,
    /// The access is made in user mode.
    pub user: bool,
    /// Loads and stores of supervisor mode may access user pages of the guest stage (SUM).
    pub sum: bool,
    /// NAPOT pages exist (Svnapot). Otherwise the N bit is reserved.
    pub napot: bool,
    /// Rights mode of the handout's machine: leaves have status bits. Otherwise the status bits are
    /// ignored, as in the exercise.
    pub rights: bool,
    /// Tag of the guest's address space, [`Format::asid_width`] bits wide.
    pub asid: u16,
    /// Tag of the virtual machine, [`Format::vmid_width`] bits wide.
    pub vmid: u16,
}

/// Width of an ASID at the ports, in bits; [`Format::asid_width`] of it are in use.
pub const ASID_WIDTH: u32 = 16;
/// Width of a VMID at the ports, in bits; [`Format::vmid_width`] of it are in use.
pub const VMID_WIDTH: u32 = 14;

impl Context {
    /// Returns a context of the handout's machine. Both stages have two levels; without a
    /// `guest_root`, the guest stage is off, and the gVA is the gPA (Figure 1a). Rights mode is
    /// off. ASID and VMID are 0.
    pub fn handout(guest_root: Option<Gpa>, host_root: Hpa) -> Self {
        let levels = |on: bool| if on { 2 } else { 0 };
        Self::two_stages(
            levels(guest_root.is_some()),
            guest_root.unwrap_or_default(),
            levels(true),
            host_root,
        )
    }

    /// Returns the context of a RISC-V virtual machine (V=1) with `guest_levels` in the VS-stage
    /// and `host_levels` in the G-stage, 0 for Bare. The access is made in supervisor mode. SUM,
    /// MXR, ADUE, PBMTE and Svnapot are off. ASID and VMID are 0.
    pub fn riscv(guest_levels: u8, guest_root: Gpa, host_levels: u8, host_root: Hpa) -> Self {
        Self::two_stages(guest_levels, guest_root, host_levels, host_root)
    }

    /// Returns a context of a virtual machine with all switches off.
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

    /// Returns the guest's root table; none if the guest stage is off.
    pub fn guest_root(&self) -> Option<Gpa> {
        (self.guest.levels > 0).then_some(self.guest.root)
    }

    /// Returns the address-space tag of the context.
    pub fn space(&self) -> AddressSpaceTag {
        AddressSpaceTag {
            virt: self.virt,
            guest_levels: self.guest.levels,
            host_levels: self.host.levels,
            rights: self.rights,
            asid: self.asid,
            vmid: self.vmid,
        }
    }
}

/// The address-space tag of a TLB entry: the parts of a context that select an address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressSpaceTag {
    /// See [`Context::virt`].
    pub virt: bool,
    /// Number of levels of the guest stage; 0 if it is off.
    pub guest_levels: u8,
    /// Number of levels of the host stage; 0 if it is off.
    pub host_levels: u8,
    /// The context is in rights mode.
    pub rights: bool,
    /// See [`Context::asid`].
    pub asid: u16,
    /// See [`Context::vmid`].
    pub vmid: u16,
}

/// A set of kinds of walk caches, such as those in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct WalkCaches {
    /// The guest page-walk cache: from a gVA's prefix to the next guest table.
    pub guest: bool,
    /// The host page-walk cache: from a gPA's prefix to the next host table.
    pub host: bool,
    /// The nested TLB: from a guest table's gPA to its hPA.
    pub nested: bool,
}

impl WalkCaches {
    /// All kinds.
    pub const ALL: Self = Self {
        guest: true,
        host: true,
        nested: true,
    };

    /// The names of the kinds, in the order of the fields.
    pub const NAMES: [&str; 3] = ["guest", "host", "nested"];

    /// Returns the names of the kinds in the set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let used = [self.guest, self.host, self.nested];
        let names = used.into_iter().zip(Self::NAMES);
        names.filter_map(|(used, name)| used.then_some(name))
    }

    /// Returns true if the set has any kind.
    pub fn any(self) -> bool {
        self.guest || self.host || self.nested
    }

    /// Returns the union of two sets.
    pub fn or(self, other: Self) -> Self {
        Self {
            guest: self.guest || other.guest,
            host: self.host || other.host,
            nested: self.nested || other.nested,
        }
    }
}

/// A request for a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    /// The context of the request.
    pub context: Context,
    /// The address to translate.
    pub gva: Gva,
    /// The kind of access.
    pub access: Access,
}

/// A fence. It invalidates the translations that match every operand given. A fence without
/// operands invalidates all translations of its V.
///
/// | instruction | `virt` | operands |
/// |---|---|---|
/// | SFENCE.VMA, SINVAL.VMA with V=0 | false | `gva`, `asid` |
/// | the same with V=1; HFENCE.VVMA, HINVAL.VVMA | true | `gva`, `asid`; `vmid` of hgatp, always |
/// | HFENCE.GVMA, HINVAL.GVMA | true | `gpa`, `vmid` |
///
/// A fence of the handout's machine has `virt` set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Fence {
    /// The V of the address spaces: true for those of virtual machines, false for the others.
    pub virt: bool,
    /// Only translations of the guest's page that this gVA is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gva: Option<Gva>,
    /// Only translations to the host's page that this gPA is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpa: Option<Gpa>,
    /// Only translations of this ASID that are not global.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asid: Option<u16>,
    /// Only translations of this VMID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vmid: Option<u16>,
}

impl Default for Fence {
    /// Returns a fence of all translations of all virtual machines.
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

/// The parts of a translation that a fence compares, besides the address-space tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FenceMatch {
    /// A gVA in the page.
    pub gva: Gva,
    /// The gPA that the gVA maps to.
    pub gpa: Gpa,
    /// log2 of the bytes of the guest leaf's page.
    pub guest_size: u32,
    /// log2 of the bytes of the host leaf's page.
    pub host_size: u32,
    /// The translation is valid under every ASID.
    pub global: bool,
}

impl Fence {
    /// Returns true if the fence matches the address-space tag, for some address.
    pub fn matches_tag(&self, space: AddressSpaceTag) -> bool {
        self.virt == space.virt
            && self.asid.is_none_or(|asid| asid == space.asid)
            // Outside virtual machines there is no VMID.
            && self
                .vmid
                .is_none_or(|vmid| !space.virt || vmid == space.vmid)
    }

    /// Returns true if the fence matches a translation of `space`. The fence matches all parts of a
    /// guest page or a host page, even if the translation covers only a part of it.
    pub fn matches(&self, space: AddressSpaceTag, extent: &FenceMatch) -> bool {
        let same = |a: u64, b: u64, size: u32| size >= 64 || a >> size == b >> size;
        !(extent.global && self.asid.is_some())
            && self.matches_tag(space)
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

/// A stage of translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Stage {
    /// The guest stage: gVA=>gPA.
    Guest = 0,
    /// The host stage: gPA=>hPA.
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

/// The reason why a walk ends without a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum FaultKind {
    /// Memory returned an error for the read or the update of an entry, or an address is past the
    /// machine's memory (access fault).
    Memory = 1,
    /// An entry address is not a multiple of the entry size. RISC-V: the page number of a superpage
    /// is not a multiple of its size.
    Misaligned = 2,
    /// An entry address lies past the machine's width. RISC-V: a gVA that is not canonical, or a
    /// gPA past the width of the G-stage.
    Width = 3,
    /// An entry has reserved bits set, or a reserved encoding.
    Reserved = 4,
    /// Rights mode: the leaf is not valid. RISC-V: V is 0, or W is set without R.
    Invalid = 5,
    /// The leaf does not permit the access.
    Permission = 6,
    /// RISC-V: the leaf's A bit, or for a store its D bit, is clear, and hardware does not set it.
    AccessedDirty = 7,
    /// RISC-V: an entry of level 0 is a pointer.
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

    /// Returns its name in scenarios and reports.
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

/// The purpose of a walk of the host's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To read the guest entry of this level.
    GuestEntry(u32),
    /// To reach the data of the access.
    Data,
    /// To set the accessed and dirty bits of the guest entry of this level.
    GuestUpdate(u32),
}

/// The position of a walk in the two tables. Levels count down to the leaf's, 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Position {
    /// At a guest entry.
    Guest {
        /// The level.
        level: u32,
    },
    /// At a host entry.
    Host {
        /// The level.
        level: u32,
        /// The address that the host's table translates.
        gpa: Gpa,
        /// The purpose of the translation.
        purpose: Purpose,
    },
}

impl Position {
    /// Returns the stage of the table.
    pub fn stage(&self) -> Stage {
        match self {
            Position::Guest { .. } => Stage::Guest,
            Position::Host { .. } => Stage::Host,
        }
    }

    /// Returns the level in the table.
    pub fn level(&self) -> u32 {
        match *self {
            Position::Guest { level } | Position::Host { level, .. } => level,
        }
    }

    /// Describes the position in words, with the format's names of levels.
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

/// A fault: its kind and its place. The gVA is the request's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// The kind of the fault.
    pub kind: FaultKind,
    /// The entry at which the walk faulted.
    pub at: Position,
    /// The values of a hart's trap registers; none in the handout's formats.
    pub trap: Option<Trap>,
}

/// The values that a fault writes into a hart's trap registers, except xtval, which is the gVA of
/// the request (privileged specification, hypervisor extension, "Trap Entry" and "Transformed
/// Instruction or Pseudoinstruction for mtinst or htinst").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Trap {
    /// xcause, for a fetch, load or store: access fault 1, 5, 7; page fault 12, 13, 15; guest-page
    /// fault 20, 21, 23.
    pub cause: u8,
    /// GVA: xtval is a guest virtual address.
    pub gva: bool,
    /// htval or mtval2: the faulting gPA shifted right by 2, for a guest-page fault; else 0.
    pub tval2: u64,
    /// htinst or mtinst: the pseudoinstruction, for an implicit access; else 0.
    pub tinst: u16,
}

impl Fault {
    /// Describes the fault in words, with the format's names of levels.
    pub fn describe(&self, format: Format) -> String {
        let trap = self
            .trap
            .map_or_else(String::new, |trap| format!(" ({})", trap.describe()));
        format!("{} fault at {}{trap}", self.kind, self.at.describe(format))
    }
}

impl Trap {
    /// Describes the trap in words: the cause, and the other registers that are not 0.
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
    /// As the physical memory attributes define.
    #[default]
    Pma = 0,
    /// Non-cacheable, idempotent, weakly ordered main memory.
    Nc = 1,
    /// Non-cacheable, non-idempotent, strongly ordered I/O.
    Io = 2,
}

impl MemoryType {
    /// Returns its name in scenarios and reports.
    pub const fn name(self) -> &'static str {
        match self {
            MemoryType::Pma => "pma",
            MemoryType::Nc => "nc",
            MemoryType::Io => "io",
        }
    }

    /// Returns the type of an encoding; none for 3, which is reserved.
    pub const fn of(encoding: u8) -> Option<Self> {
        match encoding {
            0 => Some(MemoryType::Pma),
            1 => Some(MemoryType::Nc),
            2 => Some(MemoryType::Io),
            _ => None,
        }
    }
}

/// The result of a successful translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Translation {
    /// The gPA that the gVA maps to.
    pub gpa: Gpa,
    /// The hPA of the data.
    pub hpa: Hpa,
    /// log2 of the page size in bytes.
    pub page_size: u32,
    /// The page's memory type.
    pub memory_type: MemoryType,
}

/// The outcome of a [`Query`]: a translation or a fault.
pub type Outcome = Result<Translation, Fault>;

/// Describes an outcome in words. The page size is left out if it is the format's smallest.
pub fn describe_outcome(outcome: &Outcome, format: Format) -> String {
    match outcome {
        Ok(translation) if translation.page_size == format.geometry().offset_width => {
            format!("hPA {}{}", translation.hpa, memory_type(translation))
        }
        _ => describe_with_page(outcome, format),
    }
}

/// Describes an outcome in words, always with the page size, so that two outcomes can be compared.
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
