// SPDX-License-Identifier: Apache-2.0
//! Table entries and control registers of RISC-V (`RV32`, `RV64`).
//!
//! Clauses are sections of the RISC-V Instruction Set Manual, Volume II: Privileged Architecture.
//! Its VS-stage is the guest stage here, and its G-stage is the host stage.
//!
//! | bits of an entry | field | |
//! |---|---|---|
//! | 63 | N | NAPOT page (Svnapot); RV64 only |
//! | 62:61 | PBMT | memory type (Svpbmt); RV64 only |
//! | 60:54 | | reserved; RV64 only |
//! | 53:10, or 31:10 | PPN | page number of the page or of the next table |
//! | 9:8 | RSW | for software |
//! | 7, 6 | D, A | dirty, accessed |
//! | 5 | G | the same under every ASID |
//! | 4 | U | a user's page |
//! | 3, 2, 1 | X, W, R | rights; all clear in a pointer |
//! | 0 | V | valid |

pub mod registers;

use super::{Facts, Family, Format, Geometry, LevelNames};
use crate::addr::{Gpa, Hpa};
use crate::mmu::{ASID_WIDTH, Access, Context, Rights, Stage, StageControl, VMID_WIDTH};
use registers::{Refused, Register};

const V: u64 = 1 << 0;
const R: u64 = 1 << 1;
const W: u64 = 1 << 2;
const X: u64 = 1 << 3;
const U: u64 = 1 << 4;
const G: u64 = 1 << 5;
const A: u64 = 1 << 6;
const D: u64 = 1 << 7;
const RSW_SHIFT: u32 = 8;
const PPN_SHIFT: u32 = 10;
const PPN: u64 = ((1 << 44) - 1) << PPN_SHIFT;
const RESERVED: u64 = 0x7F << 54;
const PBMT_SHIFT: u32 = 61;
const PBMT: u64 = 3 << PBMT_SHIFT;
const N: u64 = 1 << 63;

/// log2 of the size in bytes of the smallest page, in every mode.
const PAGE_SHIFT: u32 = 12;
/// log2 of the size in bytes of a NAPOT page. There is only one size ("Svnapot", Table "Page table
/// entry encodings when pte.N=1").
pub const NAPOT_PAGE_SIZE: u32 = 16;
/// PPN\[3:0\] of a NAPOT page of 64 KiB.
const NAPOT_64K: u64 = 0b1000;

/// Sv32 over Sv32x4.
pub(super) const RV32: Facts = Facts {
    name: "rv32",
    geometry: RV32_GEOMETRY,
    level_choices: &[0, 2],
    // The widths are ASIDMAX of satp ("Supervisor Address Translation and Protection (satp)
    // Register") and VMIDMAX of hgatp ("Hypervisor Guest Address Translation and Protection (hgatp)
    // Register") in RV32.
    asid_width: 9,
    vmid_width: 7,
    root_masks: root_masks(&RV32_GEOMETRY),
    memory_types: false,
    napot_pages: false,
    ..RV64
};

const RV32_GEOMETRY: Geometry = Geometry {
    gva_width: 32,
    gpa_width: 34,
    hpa_width: 34,
    pte_width: 32,
    offset_width: PAGE_SHIFT,
    index_width: 10,
    levels: 2,
    host_root_extra: 2,
};

/// Sv39, Sv48 and Sv57 over Sv39x4, Sv48x4 and Sv57x4.
pub(super) const RV64: Facts = Facts {
    name: "rv64",
    family: Family::Riscv,
    geometry: RV64_GEOMETRY,
    // The specification counts down to the leaf's level, 0.
    level_names: LevelNames::LeafIsZero,
    level_choices: &[0, 3, 4, 5],
    accesses: &[
        Access::Load,
        Access::Store,
        Access::Fetch,
        Access::LoadExecute,
    ],
    asid_width: ASID_WIDTH,
    vmid_width: VMID_WIDTH,
    root_masks: root_masks(&RV64_GEOMETRY),
    native_contexts: true,
    privileges: true,
    traps: true,
    updates_entries: true,
    superpages: true,
    global_pages: true,
    memory_types: true,
    napot_pages: true,
    walk_caches: true,
};

const RV64_GEOMETRY: Geometry = Geometry {
    gva_width: 64,
    // A gVA that is used as a gPA may be as wide as a gVA. It faults then.
    gpa_width: 64,
    hpa_width: 56,
    pte_width: 64,
    offset_width: PAGE_SHIFT,
    index_width: 9,
    levels: 5,
    host_root_extra: 2,
};

/// Returns the bits of the guest's and the host's root that have a meaning. A root register
/// contains a page number, and the root table of the G-stage is 16 KiB.
const fn root_masks(geometry: &Geometry) -> [u64; 2] {
    let table = geometry.table_bytes();
    [!(table - 1), !((table << geometry.host_root_extra) - 1)]
}

/// A table entry ("Sv32: Addressing and Memory Protection", and the like clauses of Sv39).
///
/// An entry of RV32 is the low half of an entry of RV64: its PPN has 22 bits, and the fields above
/// read 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Entry(pub u64);

impl Entry {
    /// Returns a pointer to the table at `table`, a byte address that is a multiple of 4 KiB.
    pub const fn pointer(table: u64) -> Self {
        Self(V).with_address(table)
    }

    /// Returns a leaf for the page that starts at `page`, a multiple of 4 KiB. A and D are set. All
    /// other bits that are not rights are clear.
    pub const fn leaf(page: u64, rights: Rights) -> Self {
        Self(V | A | D).with_address(page).with_rights(rights)
    }

    const fn has(self, bit: u64) -> bool {
        self.0 & bit != 0
    }

    const fn with(self, bit: u64, set: bool) -> Self {
        Self(if set { self.0 | bit } else { self.0 & !bit })
    }

    /// Returns V: the entry is valid.
    pub const fn valid(self) -> bool {
        self.has(V)
    }

    /// Returns R, W and X.
    pub const fn rights(self) -> Rights {
        Rights {
            read: self.has(R),
            write: self.has(W),
            execute: self.has(X),
        }
    }

    /// Returns U: a page of user mode.
    pub const fn user(self) -> bool {
        self.has(U)
    }

    /// Returns G: in the guest stage, the mapping is valid under every ASID.
    pub const fn global(self) -> bool {
        self.has(G)
    }

    /// Returns A: the page has been accessed.
    pub const fn accessed(self) -> bool {
        self.has(A)
    }

    /// Returns D: the page has been written.
    pub const fn dirty(self) -> bool {
        self.has(D)
    }

    /// Returns RSW: two bits for software.
    pub const fn rsw(self) -> u64 {
        self.0 >> RSW_SHIFT & 3
    }

    /// Returns PPN as a byte address, of the page or of the next table. For a NAPOT page, the low
    /// bits are an encoding and not an address.
    pub const fn address(self) -> u64 {
        (self.0 & PPN) >> PPN_SHIFT << PAGE_SHIFT
    }

    /// Returns PBMT: the encoding of the memory type.
    pub const fn pbmt(self) -> u8 {
        (self.0 >> PBMT_SHIFT & 3) as u8
    }

    /// Returns N: a NAPOT page.
    pub const fn napot(self) -> bool {
        self.has(N)
    }

    /// Returns true if a valid entry is a pointer. It is a leaf "if pte.r=1 or pte.x=1", and an
    /// entry with W and without R is not valid.
    pub const fn is_pointer(self) -> bool {
        !self.has(R | W | X)
    }

    /// Returns true for W without R, which is reserved for future standard use.
    pub const fn writable_only(self) -> bool {
        self.0 & (R | W) == W
    }

    /// Returns true if one of bits 60:54 is set. They are reserved in every entry.
    pub const fn reserved_set(self) -> bool {
        self.has(RESERVED)
    }

    /// Returns true if a bit is set that is reserved in a pointer: D, A, U, PBMT or N.
    pub const fn pointer_reserved_set(self) -> bool {
        self.has(D | A | U | PBMT | N)
    }

    /// Returns true if PPN\[3:0\] encodes 64 KiB, the only size of a NAPOT page that is not
    /// reserved.
    pub const fn napot_is_64k(self) -> bool {
        self.0 >> PPN_SHIFT & 0xF == NAPOT_64K
    }

    /// Returns the entry with V set to `valid`.
    pub const fn with_valid(self, valid: bool) -> Self {
        self.with(V, valid)
    }

    /// Returns the entry with R, W and X set to `rights`.
    pub const fn with_rights(self, rights: Rights) -> Self {
        self.with(R, rights.read)
            .with(W, rights.write)
            .with(X, rights.execute)
    }

    /// Returns the entry with U set to `user`.
    pub const fn with_user(self, user: bool) -> Self {
        self.with(U, user)
    }

    /// Returns the entry with G set to `global`.
    pub const fn with_global(self, global: bool) -> Self {
        self.with(G, global)
    }

    /// Returns the entry with A set to `accessed`.
    pub const fn with_accessed(self, accessed: bool) -> Self {
        self.with(A, accessed)
    }

    /// Returns the entry with D set to `dirty`.
    pub const fn with_dirty(self, dirty: bool) -> Self {
        self.with(D, dirty)
    }

    /// Returns the entry with RSW set to the low two bits of `rsw`.
    pub const fn with_rsw(self, rsw: u64) -> Self {
        Self(self.0 & !(3 << RSW_SHIFT) | (rsw & 3) << RSW_SHIFT)
    }

    /// Returns the entry with PPN set to the page number of `address`.
    pub const fn with_address(self, address: u64) -> Self {
        Self(self.0 & !PPN | address >> PAGE_SHIFT << PPN_SHIFT & PPN)
    }

    /// Returns the entry with PBMT set to the low two bits of `encoding`.
    /// [`crate::mmu::MemoryType`] lists the encodings that are not reserved. RV64 only.
    pub const fn with_pbmt(self, encoding: u8) -> Self {
        Self(self.0 & !PBMT | (encoding as u64) << PBMT_SHIFT & PBMT)
    }

    /// Returns the entry as a NAPOT page of 64 KiB. RV64 only.
    pub const fn with_napot_64k(self) -> Self {
        Self(self.0 & !(0xF << PPN_SHIFT) | NAPOT_64K << PPN_SHIFT | N)
    }
}

/// Returns the specification's name of the mode with this number of levels; none if there is no
/// such mode.
pub const fn mode_name(stage: Stage, levels: u8) -> Option<&'static str> {
    Some(match (levels, stage) {
        (0, _) => "bare",
        (2, Stage::Guest) => "sv32",
        (3, Stage::Guest) => "sv39",
        (4, Stage::Guest) => "sv48",
        (5, Stage::Guest) => "sv57",
        (2, Stage::Host) => "sv32x4",
        (3, Stage::Host) => "sv39x4",
        (4, Stage::Host) => "sv48x4",
        (5, Stage::Host) => "sv57x4",
        _ => return None,
    })
}

/// Returns the number of levels of a mode by its [`mode_name`].
pub fn levels_of_name(stage: Stage, name: &str) -> Option<u8> {
    (0..=5).find(|&levels| mode_name(stage, levels) == Some(name))
}

/// Returns the number of levels for a MODE field of satp, vsatp or hgatp; none if the encoding is
/// reserved.
pub const fn levels_of_mode(xlen: Xlen, mode: u8) -> Option<u8> {
    match (xlen, mode) {
        (_, 0) => Some(0),
        (Xlen::X32, 1) => Some(2),
        (Xlen::X64, 8..=10) => Some(mode - 5),
        _ => None,
    }
}

/// Returns the MODE field of satp, vsatp or hgatp for a number of levels; none if there is no such
/// mode.
pub const fn mode_of_levels(xlen: Xlen, levels: u8) -> Option<u8> {
    match (xlen, levels) {
        (_, 0) => Some(0),
        (Xlen::X32, 2) => Some(1),
        (Xlen::X64, 3..=5) => Some(levels + 5),
        _ => None,
    }
}

/// XLEN, which is the same in every privilege mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Xlen {
    /// 32.
    X32,
    /// 64.
    X64,
}

impl Xlen {
    /// Returns the XLEN of this number of bits; none if it is not 32 or 64.
    pub const fn of(bits: u64) -> Option<Self> {
        match bits {
            32 => Some(Xlen::X32),
            64 => Some(Xlen::X64),
            _ => None,
        }
    }

    /// Returns the number of bits.
    pub const fn bits(self) -> u32 {
        match self {
            Xlen::X32 => 32,
            Xlen::X64 => 64,
        }
    }

    /// Returns the paging format.
    pub const fn format(self) -> Format {
        match self {
            Xlen::X32 => Format::Rv32,
            Xlen::X64 => Format::Rv64,
        }
    }

    /// Returns the XLEN of a format; none for the handout's formats.
    pub const fn of_format(format: Format) -> Option<Self> {
        match format {
            Format::Handout | Format::Classic32 => None,
            Format::Rv32 => Some(Xlen::X32),
            Format::Rv64 => Some(Xlen::X64),
        }
    }
}

/// A nominal privilege mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Privilege {
    /// U-mode or VU-mode.
    User,
    /// S-mode (HS-mode) or VS-mode.
    Supervisor,
    /// M-mode.
    Machine,
}

impl Privilege {
    /// Returns the mode of an encoding as in mstatus.MPP; none for 2, which is reserved.
    pub const fn of(encoding: u64) -> Option<Self> {
        match encoding {
            0 => Some(Privilege::User),
            1 => Some(Privilege::Supervisor),
            3 => Some(Privilege::Machine),
            _ => None,
        }
    }
}

/// A kind of memory access by a hart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccessKind {
    /// An instruction fetch.
    Fetch,
    /// A load.
    Load,
    /// A store or an AMO.
    Store,
    /// HLV: a load with the rights of the virtual machine.
    Hlv,
    /// HLVX: a load with the rights of the virtual machine, from executable pages.
    Hlvx,
    /// HSV: a store with the rights of the virtual machine.
    Hsv,
}

impl AccessKind {
    /// Every kind.
    pub const ALL: [AccessKind; 6] = [
        AccessKind::Load,
        AccessKind::Store,
        AccessKind::Fetch,
        AccessKind::Hlv,
        AccessKind::Hlvx,
        AccessKind::Hsv,
    ];

    /// Returns its name in scenarios.
    pub const fn name(self) -> &'static str {
        match self {
            AccessKind::Fetch => "fetch",
            AccessKind::Load => "load",
            AccessKind::Store => "store",
            AccessKind::Hlv => "hlv",
            AccessKind::Hlvx => "hlvx",
            AccessKind::Hsv => "hsv",
        }
    }

    /// Returns the kind of access of the request to an MMU.
    pub const fn access(self) -> Access {
        match self {
            AccessKind::Fetch => Access::Fetch,
            AccessKind::Load | AccessKind::Hlv => Access::Load,
            AccessKind::Store | AccessKind::Hsv => Access::Store,
            AccessKind::Hlvx => Access::LoadExecute,
        }
    }

    /// Returns true for HLV, HLVX and HSV.
    pub const fn is_hypervisor(self) -> bool {
        matches!(self, AccessKind::Hlv | AccessKind::Hlvx | AccessKind::Hsv)
    }
}

/// The control registers and extensions of a hart on which translation depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Csrs {
    /// XLEN of the hart and of the images.
    pub xlen: Xlen,
    /// Image of satp ("Supervisor Address Translation and Protection Register").
    pub satp: u64,
    /// Image of vsatp.
    pub vsatp: u64,
    /// Image of hgatp ("Hypervisor Guest Address Translation and Protection Register").
    pub hgatp: u64,
    /// The current nominal privilege mode.
    pub privilege: Privilege,
    /// V, the current virtualization mode.
    pub virt: bool,
    /// sstatus.MXR (HS-level).
    pub mxr: bool,
    /// sstatus.SUM (HS-level).
    pub sum: bool,
    /// mstatus.MPRV.
    pub mprv: bool,
    /// mstatus.MPP.
    pub mpp: Privilege,
    /// mstatus.MPV.
    pub mpv: bool,
    /// vsstatus.MXR.
    pub vs_mxr: bool,
    /// vsstatus.SUM.
    pub vs_sum: bool,
    /// hstatus.SPVP: HLV, HLVX and HSV use the rights of VS-mode. Otherwise they use those of
    /// VU-mode.
    pub spvp: bool,
    /// hstatus.HU: HLV, HLVX and HSV are allowed in U-mode.
    pub hu: bool,
    /// menvcfg.ADUE.
    pub m_adue: bool,
    /// menvcfg.PBMTE.
    pub m_pbmte: bool,
    /// henvcfg.ADUE.
    pub h_adue: bool,
    /// henvcfg.PBMTE.
    pub h_pbmte: bool,
    /// Svnapot is implemented.
    pub svnapot: bool,
    /// Svpbmt is implemented.
    pub svpbmt: bool,
    /// Svadu is implemented.
    pub svadu: bool,
}

/// The reason why the registers do not define how an access is translated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// A field has a value that is not modelled, such as a reserved MODE.
    #[error("{0}; {legal}", legal = .0.legal())]
    Refused(#[from] Box<Refused>),
    /// MODE is Bare, and another field of the register is not 0.
    #[error(
        "{register} 0x{image:X} has MODE 0 (Bare) and other fields that are not 0, which is \
         UNSPECIFIED (\"{clause}\"); with MODE 0 all of the register must be 0"
    )]
    Bare {
        /// The register.
        register: Register,
        /// The image of the register.
        image: u64,
        /// The section of the manual that defines this.
        clause: &'static str,
    },
    /// V=1 in M-mode, which does not exist.
    #[error("V=1 and M-mode exclude each other")]
    VirtualMachineMode,
    /// HLV, HLVX or HSV in a state in which it traps.
    #[error("HLV, HLVX and HSV trap {0}")]
    HypervisorAccess(&'static str),
}

/// The fields of satp, vsatp or hgatp.
struct Atp {
    levels: u8,
    /// ASID or VMID.
    tag: u16,
    root: u64,
}

impl Csrs {
    /// Decodes a root register after a check of every bit.
    fn atp(&self, register: Register, image: u64) -> Result<Atp, CsrError> {
        registers::check(register, self.xlen, image)?;
        let (mode, tag_shift) = match self.xlen {
            Xlen::X32 => ((image >> 31 & 1) as u8, 22),
            Xlen::X64 => ((image >> 60) as u8, 44),
        };
        // The check above has refused every mode without a number of levels.
        let levels = levels_of_mode(self.xlen, mode).unwrap_or(0);
        if levels == 0 && image != 0 {
            return Err(CsrError::Bare {
                register,
                image,
                clause: registers::clause_of(register),
            });
        }
        let tag_width = match register {
            Register::Hgatp => self.xlen.format().vmid_width(),
            _ => self.xlen.format().asid_width(),
        };
        let ppn = image & ((1 << tag_shift) - 1);
        Ok(Atp {
            levels,
            tag: (image >> tag_shift & ((1 << tag_width) - 1)) as u16,
            root: if levels > 0 { ppn << PAGE_SHIFT } else { 0 },
        })
    }

    /// Returns the privilege and virtualization modes of an access ("Memory Privilege in mstatus
    /// Register", "Hypervisor Virtual-Machine Load and Store Instructions").
    ///
    /// # Errors
    /// If the access would trap before it is translated.
    pub fn effective(&self, kind: AccessKind) -> Result<(Privilege, bool), CsrError> {
        if self.virt && self.privilege == Privilege::Machine {
            return Err(CsrError::VirtualMachineMode);
        }
        if kind.is_hypervisor() {
            if self.virt {
                return Err(CsrError::HypervisorAccess("while V=1"));
            }
            if self.privilege == Privilege::User && !self.hu {
                return Err(CsrError::HypervisorAccess(
                    "in U-mode with hstatus.HU clear",
                ));
            }
            let privilege = match self.spvp {
                true => Privilege::Supervisor,
                false => Privilege::User,
            };
            return Ok((privilege, true));
        }
        if self.mprv && kind != AccessKind::Fetch {
            // "MPV is ignored when MPP=3."
            return Ok((self.mpp, self.mpv && self.mpp != Privilege::Machine));
        }
        Ok((self.privilege, self.virt))
    }

    /// Returns the context of an access of this kind. In M-mode both stages are off.
    ///
    /// # Errors
    /// If the registers hold a reserved mode, or the access would trap before it is translated.
    pub fn context(&self, kind: AccessKind) -> Result<Context, CsrError> {
        let (privilege, virt) = self.effective(kind)?;
        let mut context = Context {
            virt,
            guest: StageControl::default(),
            host: StageControl::default(),
            user: privilege == Privilege::User,
            sum: if virt { self.vs_sum } else { self.sum },
            napot: self.svnapot,
            rights: false,
            asid: 0,
            vmid: 0,
        };
        // "If the effective privilege mode is M, translation is off."
        if privilege == Privilege::Machine {
            return Ok(context);
        }
        let (register, image) = match virt {
            true => (Register::Vsatp, self.vsatp),
            false => (Register::Satp, self.satp),
        };
        let guest = self.atp(register, image)?;
        // A bit of henvcfg is read-only 0 if the same bit of menvcfg is 0.
        context.guest = StageControl {
            levels: guest.levels,
            root: Gpa(guest.root),
            // "Setting MXR at HS-level overrides both VS-stage and G-stage execute-only
            // permissions."
            mxr: self.mxr || virt && self.vs_mxr,
            adue: self.svadu && self.m_adue && (self.h_adue || !virt),
            pbmte: self.svpbmt && self.m_pbmte && (self.h_pbmte || !virt),
        };
        context.asid = guest.tag;
        if virt {
            let host = self.atp(Register::Hgatp, self.hgatp)?;
            context.host = StageControl {
                levels: host.levels,
                // "The root page table is 16 KiB and must be aligned to a 16-KiB boundary":
                // PPN[1:0] read 0.
                root: Hpa(host.root & !0x3FFF),
                mxr: self.mxr,
                adue: self.svadu && self.m_adue,
                pbmte: self.svpbmt && self.m_pbmte,
            };
            context.vmid = host.tag;
        }
        Ok(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csrs() -> Csrs {
        Csrs {
            xlen: Xlen::X64,
            satp: 8 << 60 | 0x12 << 44 | 0x80000,
            vsatp: 9 << 60 | 0x34 << 44 | 0x90000,
            hgatp: 10 << 60 | 0x56 << 44 | 0xA0000,
            privilege: Privilege::Supervisor,
            virt: false,
            mxr: false,
            sum: false,
            mprv: false,
            mpp: Privilege::User,
            mpv: false,
            vs_mxr: false,
            vs_sum: false,
            spvp: false,
            hu: false,
            m_adue: false,
            m_pbmte: false,
            h_adue: false,
            h_pbmte: false,
            svnapot: true,
            svpbmt: true,
            svadu: true,
        }
    }

    #[test]
    fn an_entry_reads_as_it_was_built() {
        let rights = Rights {
            read: true,
            write: false,
            execute: true,
        };
        let entry = Entry::leaf(0x12_3456_7000, rights)
            .with_user(true)
            .with_dirty(false)
            .with_rsw(2)
            .with_pbmt(1);
        assert_eq!(entry.rights(), rights);
        assert_eq!(entry.address(), 0x12_3456_7000);
        assert_eq!((entry.rsw(), entry.pbmt()), (2, 1));
        assert!(entry.valid() && entry.user() && entry.accessed());
        assert!(!entry.dirty() && !entry.global() && !entry.napot() && !entry.is_pointer());
        let napot = entry.with_napot_64k();
        assert!(napot.napot() && napot.napot_is_64k());
        let pointer = Entry::pointer(0xFF_FFFF_FFFF_F000);
        assert_eq!(pointer.address(), 0xFF_FFFF_FFFF_F000);
        assert!(pointer.is_pointer() && !pointer.pointer_reserved_set() && !pointer.reserved_set());
    }

    #[test]
    fn modes_have_names_and_encodings() {
        for xlen in [Xlen::X32, Xlen::X64] {
            for &levels in xlen.format().level_choices() {
                let mode = mode_of_levels(xlen, levels).unwrap();
                assert_eq!(levels_of_mode(xlen, mode), Some(levels));
                for stage in [Stage::Guest, Stage::Host] {
                    let name = mode_name(stage, levels).unwrap();
                    assert_eq!(levels_of_name(stage, name), Some(levels));
                }
            }
        }
        assert_eq!(levels_of_mode(Xlen::X64, 1), None);
        assert_eq!(levels_of_name(Stage::Guest, "sv39x4"), None);
    }

    #[test]
    fn mprv_acts_on_loads_and_stores_only() {
        let csrs = Csrs {
            privilege: Privilege::Machine,
            mprv: true,
            mpv: true,
            ..csrs()
        };
        let load = csrs.context(AccessKind::Load).unwrap();
        assert!(load.virt && load.user);
        assert_eq!((load.guest.levels, load.host.levels), (4, 5));
        assert_eq!((load.asid, load.vmid), (0x34, 0x56));
        let fetch = csrs.context(AccessKind::Fetch).unwrap();
        assert_eq!((fetch.guest.levels, fetch.host.levels), (0, 0));
        let hlv = csrs.context(AccessKind::Hlv).unwrap();
        assert!(hlv.virt && hlv.user);
        let spvp = Csrs { spvp: true, ..csrs };
        assert!(!spvp.context(AccessKind::Hsv).unwrap().user);
    }

    #[test]
    fn mpv_is_moot_when_mpp_is_m() {
        let csrs = Csrs {
            privilege: Privilege::Machine,
            mprv: true,
            mpv: true,
            mpp: Privilege::Machine,
            ..csrs()
        };
        let context = csrs.context(AccessKind::Store).unwrap();
        assert!(!context.virt);
        assert_eq!(context.guest.levels, 0);
    }

    #[test]
    fn each_stage_has_its_own_mxr_sum_and_environment() {
        let csrs = Csrs {
            virt: true,
            sum: true,
            vs_mxr: true,
            m_adue: true,
            m_pbmte: true,
            ..csrs()
        };
        let guest = csrs.context(AccessKind::Load).unwrap();
        assert!(guest.guest.mxr && !guest.host.mxr && !guest.sum);
        assert!(!guest.guest.adue && guest.host.adue);
        assert!(!guest.guest.pbmte && guest.host.pbmte);
        let native = Csrs {
            virt: false,
            ..csrs
        };
        let native = native.context(AccessKind::Load).unwrap();
        assert!(!native.guest.mxr && native.sum && native.guest.adue && native.guest.pbmte);
        assert_eq!((native.host.levels, native.vmid), (0, 0));
    }

    #[test]
    fn what_says_nothing_is_an_error() {
        let refused = |csrs: Csrs| csrs.context(AccessKind::Load).unwrap_err().to_string();
        let reserved = refused(Csrs {
            satp: 7 << 60,
            ..csrs()
        });
        assert!(
            reserved.starts_with("satp.MODE is 7, which is not modelled"),
            "{reserved}"
        );
        let bare = refused(Csrs {
            satp: 0x80000,
            ..csrs()
        });
        assert!(
            bare.starts_with("satp 0x80000 has MODE 0 (Bare) and other fields"),
            "{bare}"
        );
        let virt = Csrs {
            virt: true,
            ..csrs()
        };
        let wide = refused(Csrs {
            hgatp: virt.hgatp | 1 << 58,
            ..virt
        });
        assert!(
            wide.starts_with("the reserved field hgatp[59:58] is 1"),
            "{wide}"
        );
        let user = Csrs {
            privilege: Privilege::User,
            ..csrs()
        };
        assert!(matches!(
            user.context(AccessKind::Hlvx),
            Err(CsrError::HypervisorAccess(_))
        ));
        let both = Csrs {
            privilege: Privilege::Machine,
            virt: true,
            ..csrs()
        };
        assert_eq!(
            both.context(AccessKind::Load),
            Err(CsrError::VirtualMachineMode)
        );
    }

    #[test]
    fn images_of_rv32_have_narrower_tags() {
        let csrs = Csrs {
            xlen: Xlen::X32,
            virt: true,
            vsatp: 1 << 31 | 0x1FF << 22 | 0x3F_FFFF,
            hgatp: 1 << 31 | 0x7F << 22 | 0x3F_FFFF,
            ..csrs()
        };
        let context = csrs.context(AccessKind::Fetch).unwrap();
        assert_eq!((context.asid, context.vmid), (0x1FF, 0x7F));
        assert_eq!(context.guest.root, Gpa(0x3_FFFF_F000));
        assert_eq!(context.host.root, Hpa(0x3_FFFF_C000));
    }
}
