// SPDX-License-Identifier: Apache-2.0
//! Every bit of the registers that an image can contain, and its role in nestwalk.
//!
//! A bit has one of three roles. It is a part of the translation that nestwalk models; or it has no
//! effect on translation; or nestwalk does not model it and refuses it. [`FIELDS`] is the only
//! place that defines the role. [`check`] compares an image with it. [`markdown`] renders it as the
//! table of `docs/inputs.md`.
//!
//! Clauses are sections of the RISC-V Instruction Set Manual, Volume II: Privileged Architecture.
//! In images of RV32, bits 63:32 of mstatus, menvcfg and henvcfg are mstatush, menvcfgh and
//! henvcfgh.

use std::fmt;

use super::Xlen;

/// A register whose image a scenario can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Register {
    /// satp.
    Satp,
    /// vsatp.
    Vsatp,
    /// hgatp.
    Hgatp,
    /// mstatus, which contains sstatus; in RV32 together with mstatush.
    Mstatus,
    /// vsstatus.
    Vsstatus,
    /// hstatus.
    Hstatus,
    /// menvcfg; in RV32 together with menvcfgh.
    Menvcfg,
    /// henvcfg; in RV32 together with henvcfgh.
    Henvcfg,
}

impl Register {
    /// Every register, in the order of the table.
    pub const ALL: [Register; 8] = [
        Register::Satp,
        Register::Vsatp,
        Register::Hgatp,
        Register::Mstatus,
        Register::Vsstatus,
        Register::Hstatus,
        Register::Menvcfg,
        Register::Henvcfg,
    ];

    /// Returns its name, which is its key in a scenario.
    pub const fn name(self) -> &'static str {
        match self {
            Register::Satp => "satp",
            Register::Vsatp => "vsatp",
            Register::Hgatp => "hgatp",
            Register::Mstatus => "mstatus",
            Register::Vsstatus => "vsstatus",
            Register::Hstatus => "hstatus",
            Register::Menvcfg => "menvcfg",
            Register::Henvcfg => "henvcfg",
        }
    }

    /// Returns the width of an image in bits.
    pub const fn width(self, xlen: Xlen) -> u32 {
        match (self, xlen) {
            (Register::Mstatus | Register::Menvcfg | Register::Henvcfg, _) | (_, Xlen::X64) => 64,
            (_, Xlen::X32) => 32,
        }
    }
}

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The role of a field in nestwalk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The field is a part of the translation. The text says which.
    Used(&'static str),
    /// The field has no effect on translation. The text says why.
    Irrelevant(&'static str),
    /// Only some values of the field are modelled.
    Only {
        /// The modelled values.
        values: &'static [u64],
        /// The reason why other values are not modelled.
        reason: &'static str,
    },
}

/// A field of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldRule {
    /// The registers that have the field.
    pub registers: &'static [Register],
    /// The XLEN at which they have the field; none for both.
    pub xlen: Option<Xlen>,
    /// The name of the field; "reserved" if it has none.
    pub name: &'static str,
    /// The highest bit of the field.
    pub high: u32,
    /// The lowest bit of the field.
    pub low: u32,
    /// The role of the field.
    pub role: Role,
    /// The section of the manual that defines the field.
    pub clause: &'static str,
}

impl FieldRule {
    /// Returns true if an image of the register has this field.
    pub fn is_of(&self, register: Register, xlen: Xlen) -> bool {
        self.registers.contains(&register) && self.xlen.is_none_or(|only| only == xlen)
    }

    /// Returns the value of the field in an image.
    pub const fn value(&self, image: u64) -> u64 {
        image >> self.low & (u64::MAX >> (63 - (self.high - self.low)))
    }

    /// Returns the bits of the field, such as `33:32` or `5`.
    pub fn bits(&self) -> String {
        match self.high == self.low {
            true => self.low.to_string(),
            false => format!("{}:{}", self.high, self.low),
        }
    }
}

/// A field with a value that the program does not model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The register.
    pub register: Register,
    /// The field.
    pub field: FieldRule,
    /// The value of the field.
    pub value: u64,
}

impl Refused {
    /// Describes the values that are modelled.
    pub fn legal(&self) -> String {
        let values = match self.field.role {
            Role::Only { values, .. } => values,
            Role::Used(_) | Role::Irrelevant(_) => &[],
        };
        let values: Vec<String> = values.iter().map(u64::to_string).collect();
        let word = if self.field.high == self.field.low {
            "bit"
        } else {
            "bits"
        };
        format!("{word} {}: {}", self.field.bits(), values.join(" or "))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refused {
            register,
            field,
            value,
        } = self;
        let reason = match field.role {
            Role::Only { reason, .. } => reason,
            Role::Used(text) | Role::Irrelevant(text) => text,
        };
        let name = match field.name {
            RESERVED => format!("the reserved field {register}[{}]", field.bits()),
            name => format!("{register}.{name}"),
        };
        let clause = field.clause;
        write!(
            f,
            "{name} is {value}, which is not modelled: {reason} (\"{clause}\")"
        )
    }
}

impl std::error::Error for Refused {}

/// Checks that nestwalk models the value of every field of an image.
///
/// # Errors
/// The lowest field whose value is not modelled.
pub fn check(register: Register, xlen: Xlen, image: u64) -> Result<(), Box<Refused>> {
    let mut refused: Vec<Refused> = FIELDS
        .iter()
        .filter(|field| field.is_of(register, xlen))
        .filter_map(|&field| {
            let value = field.value(image);
            let Role::Only { values, .. } = field.role else {
                return None;
            };
            (!values.contains(&value)).then_some(Refused {
                register,
                field,
                value,
            })
        })
        .collect();
    refused.sort_by_key(|refused| refused.field.low);
    match refused.into_iter().next() {
        Some(refused) => Err(Box::new(refused)),
        None => Ok(()),
    }
}

/// Returns the section of the manual that defines a register.
pub const fn clause_of(register: Register) -> &'static str {
    match register {
        Register::Satp | Register::Vsatp => SATP,
        Register::Hgatp => HGATP,
        Register::Mstatus => MSTATUS,
        Register::Vsstatus => VSSTATUS,
        Register::Hstatus => HSTATUS,
        Register::Menvcfg => MENVCFG,
        Register::Henvcfg => HENVCFG,
    }
}

/// Renders the table in Markdown, as in `docs/inputs.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "| register | bits | field | role | section of the manual |\n\
         |---|---|---|---|---|\n",
    );
    for register in Register::ALL {
        let mut fields: Vec<&FieldRule> = FIELDS
            .iter()
            .filter(|field| field.registers.contains(&register))
            .collect();
        fields.sort_by_key(|field| (field.low, field.xlen == Some(Xlen::X64)));
        for field in fields {
            let xlen = field
                .xlen
                .map_or(String::new(), |xlen| format!(" (RV{})", xlen.bits()));
            let role = match field.role {
                Role::Used(text) => format!("used: {text}"),
                Role::Irrelevant(text) => format!("ignored: {text}"),
                Role::Only { values, reason } => {
                    let values: Vec<String> = values.iter().map(u64::to_string).collect();
                    format!("refused unless {}: {reason}", values.join(" or "))
                }
            };
            let (bits, name, clause) = (field.bits(), field.name, field.clause);
            text += &format!("| {register} | {bits}{xlen} | {name} | {role} | {clause} |\n");
        }
    }
    text
}

/// The name of bits without a name.
const RESERVED: &str = "reserved";

const SATP: &str = "Supervisor Address Translation and Protection (satp) Register";
const HGATP: &str = "Hypervisor Guest Address Translation and Protection (hgatp) Register";
const MSTATUS: &str = "Machine Status (mstatus and mstatush) Registers";
const PRIVILEGE_STACK: &str = "Privilege and Global Interrupt-Enable Stack in mstatus Register";
const MEMORY_PRIVILEGE: &str = "Memory Privilege in mstatus Register";
const BASE_ISA: &str = "Base ISA Control in mstatus Register";
const ENDIANNESS: &str = "Endianness Control in mstatus and mstatush Registers";
const VIRTUALIZATION: &str = "Virtualization Support in mstatus Register";
const CONTEXT_STATUS: &str = "Extension Context Status in mstatus Register";
const LANDING_PAD: &str = "Previous Expected Landing Pad (ELP) State in mstatus Register";
const DOUBLE_TRAP: &str = "Double Trap Control in mstatus Register";
const VSSTATUS: &str = "Virtual Supervisor Status (vsstatus) Register";
const HSTATUS: &str = "Hypervisor Status (hstatus) Register";
const MENVCFG: &str = "Machine Environment Configuration (menvcfg) Register";
const HENVCFG: &str = "Hypervisor Environment Configuration (henvcfg) Register";

const UNKNOWN: Role = Role::Only {
    values: &[0],
    reason: "its future meaning is not known",
};
const NO_MODE: &str = "other modes are reserved";
const XLEN_REASON: &str = "every mode has XLEN 64 (2; 0 leaves XLEN unspecified)";
const INTERRUPTS: Role = Role::Irrelevant("interrupts");
const TRAPS: Role = Role::Irrelevant("which instructions trap");
const TRAP_ENTRY: Role = Role::Irrelevant("written by a trap, read by a return from it");
const CONTEXT: Role = Role::Irrelevant("state of other extensions");
const CACHE_BLOCKS: Role = Role::Irrelevant("which cache-block instructions trap");
const ENDIAN_DATA: Role =
    Role::Irrelevant("the order of bytes in data; entries of tables have their own bit");
const SHADOW_STACK: Role = Role::Only {
    values: &[0],
    reason: "Zicfiss (shadow stack pages) is not supported",
};
const POINTER_MASKING: Role = Role::Only {
    values: &[0],
    reason: "pointer masking (Smnpm, Ssnpm) is not supported",
};
const NO_SVPBMT: Role = Role::Only {
    values: &[0],
    reason: "Svpbmt requires Sv39 or a wider mode: an entry of RV32 has no memory type",
};

use Register::{Henvcfg, Hgatp, Hstatus, Menvcfg, Mstatus, Satp, Vsatp, Vsstatus};

const fn rule(
    registers: &'static [Register],
    name: &'static str,
    [high, low]: [u32; 2],
    role: Role,
    clause: &'static str,
) -> FieldRule {
    FieldRule {
        registers,
        xlen: None,
        name,
        high,
        low,
        role,
        clause,
    }
}

impl FieldRule {
    const fn rv32(mut self) -> Self {
        self.xlen = Some(Xlen::X32);
        self
    }

    const fn rv64(mut self) -> Self {
        self.xlen = Some(Xlen::X64);
        self
    }
}

/// Every field of every register. At each XLEN, each bit of an image is in exactly one field.
pub static FIELDS: &[FieldRule] = &[
    // The root registers.
    rule(&[Satp, Vsatp], "PPN", [21, 0], Role::Used("the root"), SATP).rv32(),
    rule(&[Satp, Vsatp], "PPN", [43, 0], Role::Used("the root"), SATP).rv64(),
    rule(
        &[Satp, Vsatp],
        "ASID",
        [30, 22],
        Role::Used("the ASID"),
        SATP,
    )
    .rv32(),
    rule(
        &[Satp, Vsatp],
        "ASID",
        [59, 44],
        Role::Used("the ASID"),
        SATP,
    )
    .rv64(),
    rule(
        &[Satp, Vsatp],
        "MODE",
        [31, 31],
        Role::Used("Bare or Sv32"),
        SATP,
    )
    .rv32(),
    rule(
        &[Satp, Vsatp],
        "MODE",
        [63, 60],
        Role::Only {
            values: &[0, 8, 9, 10],
            reason: NO_MODE,
        },
        SATP,
    )
    .rv64(),
    rule(
        &[Hgatp],
        "PPN[1:0]",
        [1, 0],
        Role::Irrelevant("it reads as zeros"),
        HGATP,
    ),
    rule(&[Hgatp], "PPN", [21, 2], Role::Used("the root"), HGATP).rv32(),
    rule(&[Hgatp], "PPN", [43, 2], Role::Used("the root"), HGATP).rv64(),
    rule(&[Hgatp], "VMID", [28, 22], Role::Used("the VMID"), HGATP).rv32(),
    rule(&[Hgatp], "VMID", [57, 44], Role::Used("the VMID"), HGATP).rv64(),
    rule(&[Hgatp], RESERVED, [30, 29], UNKNOWN, HGATP).rv32(),
    rule(&[Hgatp], RESERVED, [59, 58], UNKNOWN, HGATP).rv64(),
    rule(
        &[Hgatp],
        "MODE",
        [31, 31],
        Role::Used("Bare or Sv32x4"),
        HGATP,
    )
    .rv32(),
    rule(
        &[Hgatp],
        "MODE",
        [63, 60],
        Role::Only {
            values: &[0, 8, 9, 10],
            reason: NO_MODE,
        },
        HGATP,
    )
    .rv64(),
    // mstatus.
    rule(&[Mstatus], RESERVED, [0, 0], UNKNOWN, MSTATUS),
    rule(&[Mstatus], "SIE", [1, 1], INTERRUPTS, PRIVILEGE_STACK),
    rule(&[Mstatus], RESERVED, [2, 2], UNKNOWN, MSTATUS),
    rule(&[Mstatus], "MIE", [3, 3], INTERRUPTS, PRIVILEGE_STACK),
    rule(&[Mstatus], RESERVED, [4, 4], UNKNOWN, MSTATUS),
    rule(&[Mstatus], "SPIE", [5, 5], TRAP_ENTRY, PRIVILEGE_STACK),
    rule(&[Mstatus], "UBE", [6, 6], ENDIAN_DATA, ENDIANNESS),
    rule(&[Mstatus], "MPIE", [7, 7], TRAP_ENTRY, PRIVILEGE_STACK),
    rule(&[Mstatus], "SPP", [8, 8], TRAP_ENTRY, PRIVILEGE_STACK),
    rule(&[Mstatus], "VS", [10, 9], CONTEXT, CONTEXT_STATUS),
    rule(
        &[Mstatus],
        "MPP",
        [12, 11],
        Role::Only {
            values: &[0, 1, 3],
            reason: "with MPRV, the privilege mode of loads and stores, and 2 is reserved",
        },
        PRIVILEGE_STACK,
    ),
    rule(&[Mstatus], "FS", [14, 13], CONTEXT, CONTEXT_STATUS),
    rule(&[Mstatus], "XS", [16, 15], CONTEXT, CONTEXT_STATUS),
    rule(
        &[Mstatus],
        "MPRV",
        [17, 17],
        Role::Used("MPP and MPV select the privilege and V of loads and stores"),
        MEMORY_PRIVILEGE,
    ),
    rule(
        &[Mstatus],
        "SUM",
        [18, 18],
        Role::Used("SUM where V=0"),
        MEMORY_PRIVILEGE,
    ),
    rule(
        &[Mstatus],
        "MXR",
        [19, 19],
        Role::Used("MXR of both stages"),
        MEMORY_PRIVILEGE,
    ),
    rule(&[Mstatus], "TVM", [20, 20], TRAPS, VIRTUALIZATION),
    rule(&[Mstatus], "TW", [21, 21], TRAPS, VIRTUALIZATION),
    rule(&[Mstatus], "TSR", [22, 22], TRAPS, VIRTUALIZATION),
    rule(&[Mstatus], "SPELP", [23, 23], TRAP_ENTRY, LANDING_PAD),
    rule(&[Mstatus], "SDT", [24, 24], TRAP_ENTRY, DOUBLE_TRAP),
    rule(&[Mstatus], RESERVED, [30, 25], UNKNOWN, MSTATUS).rv32(),
    rule(&[Mstatus], "SD", [31, 31], CONTEXT, CONTEXT_STATUS).rv32(),
    rule(&[Mstatus], RESERVED, [35, 32], UNKNOWN, MSTATUS).rv32(),
    rule(&[Mstatus], RESERVED, [31, 25], UNKNOWN, MSTATUS).rv64(),
    rule(
        &[Mstatus],
        "UXL",
        [33, 32],
        Role::Only {
            values: &[0, 2],
            reason: XLEN_REASON,
        },
        BASE_ISA,
    )
    .rv64(),
    rule(
        &[Mstatus],
        "SXL",
        [35, 34],
        Role::Only {
            values: &[0, 2],
            reason: XLEN_REASON,
        },
        BASE_ISA,
    )
    .rv64(),
    rule(
        &[Mstatus],
        "SBE",
        [36, 36],
        Role::Only {
            values: &[0],
            reason: "big-endian entries of satp's tables are not supported",
        },
        ENDIANNESS,
    ),
    rule(&[Mstatus], "MBE", [37, 37], ENDIAN_DATA, ENDIANNESS),
    rule(&[Mstatus], "GVA", [38, 38], TRAP_ENTRY, MSTATUS),
    rule(
        &[Mstatus],
        "MPV",
        [39, 39],
        Role::Used("with MPRV, the V of loads and stores"),
        MSTATUS,
    ),
    rule(&[Mstatus], RESERVED, [40, 40], UNKNOWN, MSTATUS),
    rule(&[Mstatus], "MPELP", [41, 41], TRAP_ENTRY, LANDING_PAD),
    rule(&[Mstatus], "MDT", [42, 42], TRAP_ENTRY, DOUBLE_TRAP),
    rule(&[Mstatus], RESERVED, [63, 43], UNKNOWN, MSTATUS).rv32(),
    rule(&[Mstatus], RESERVED, [62, 43], UNKNOWN, MSTATUS).rv64(),
    rule(&[Mstatus], "SD", [63, 63], CONTEXT, CONTEXT_STATUS).rv64(),
    // vsstatus.
    rule(&[Vsstatus], RESERVED, [0, 0], UNKNOWN, VSSTATUS),
    rule(&[Vsstatus], "SIE", [1, 1], INTERRUPTS, VSSTATUS),
    rule(&[Vsstatus], RESERVED, [4, 2], UNKNOWN, VSSTATUS),
    rule(&[Vsstatus], "SPIE", [5, 5], TRAP_ENTRY, VSSTATUS),
    rule(&[Vsstatus], "UBE", [6, 6], ENDIAN_DATA, VSSTATUS),
    rule(&[Vsstatus], RESERVED, [7, 7], UNKNOWN, VSSTATUS),
    rule(&[Vsstatus], "SPP", [8, 8], TRAP_ENTRY, VSSTATUS),
    rule(&[Vsstatus], "VS", [10, 9], CONTEXT, VSSTATUS),
    rule(&[Vsstatus], RESERVED, [12, 11], UNKNOWN, VSSTATUS),
    rule(&[Vsstatus], "FS", [14, 13], CONTEXT, VSSTATUS),
    rule(&[Vsstatus], "XS", [16, 15], CONTEXT, VSSTATUS),
    rule(&[Vsstatus], RESERVED, [17, 17], UNKNOWN, VSSTATUS),
    rule(
        &[Vsstatus],
        "SUM",
        [18, 18],
        Role::Used("SUM where V=1"),
        VSSTATUS,
    ),
    rule(
        &[Vsstatus],
        "MXR",
        [19, 19],
        Role::Used("MXR of the VS-stage"),
        VSSTATUS,
    ),
    rule(&[Vsstatus], RESERVED, [22, 20], UNKNOWN, VSSTATUS),
    rule(&[Vsstatus], "SPELP", [23, 23], TRAP_ENTRY, VSSTATUS),
    rule(&[Vsstatus], "SDT", [24, 24], TRAP_ENTRY, VSSTATUS),
    rule(&[Vsstatus], RESERVED, [30, 25], UNKNOWN, VSSTATUS).rv32(),
    rule(&[Vsstatus], "SD", [31, 31], CONTEXT, VSSTATUS).rv32(),
    rule(&[Vsstatus], RESERVED, [31, 25], UNKNOWN, VSSTATUS).rv64(),
    rule(
        &[Vsstatus],
        "UXL",
        [33, 32],
        Role::Only {
            values: &[0, 2],
            reason: XLEN_REASON,
        },
        VSSTATUS,
    )
    .rv64(),
    rule(&[Vsstatus], RESERVED, [62, 34], UNKNOWN, VSSTATUS).rv64(),
    rule(&[Vsstatus], "SD", [63, 63], CONTEXT, VSSTATUS).rv64(),
    // hstatus.
    rule(&[Hstatus], RESERVED, [4, 0], UNKNOWN, HSTATUS),
    rule(
        &[Hstatus],
        "VSBE",
        [5, 5],
        Role::Only {
            values: &[0],
            reason: "big-endian entries of VS-stage tables are not supported",
        },
        HSTATUS,
    ),
    rule(&[Hstatus], "GVA", [6, 6], TRAP_ENTRY, HSTATUS),
    rule(&[Hstatus], "SPV", [7, 7], TRAP_ENTRY, HSTATUS),
    rule(
        &[Hstatus],
        "SPVP",
        [8, 8],
        Role::Used("privilege of HLV, HLVX and HSV"),
        HSTATUS,
    ),
    rule(
        &[Hstatus],
        "HU",
        [9, 9],
        Role::Used("HLV, HLVX and HSV in U-mode; with 0 they trap, and have no context"),
        HSTATUS,
    ),
    rule(&[Hstatus], RESERVED, [11, 10], UNKNOWN, HSTATUS),
    rule(&[Hstatus], "VGEIN", [17, 12], INTERRUPTS, HSTATUS),
    rule(&[Hstatus], RESERVED, [19, 18], UNKNOWN, HSTATUS),
    rule(&[Hstatus], "VTVM", [20, 20], TRAPS, HSTATUS),
    rule(&[Hstatus], "VTW", [21, 21], TRAPS, HSTATUS),
    rule(&[Hstatus], "VTSR", [22, 22], TRAPS, HSTATUS),
    rule(&[Hstatus], RESERVED, [23, 23], UNKNOWN, HSTATUS),
    rule(
        &[Hstatus],
        "HUKTE",
        [24, 24],
        Role::Only {
            values: &[0],
            reason: "Svukte is not supported",
        },
        HSTATUS,
    ),
    rule(&[Hstatus], RESERVED, [31, 25], UNKNOWN, HSTATUS),
    rule(
        &[Hstatus],
        "VSXL",
        [33, 32],
        Role::Only {
            values: &[0, 2],
            reason: XLEN_REASON,
        },
        HSTATUS,
    )
    .rv64(),
    rule(&[Hstatus], RESERVED, [47, 34], UNKNOWN, HSTATUS).rv64(),
    rule(&[Hstatus], "HUPMM", [49, 48], POINTER_MASKING, HSTATUS).rv64(),
    rule(&[Hstatus], RESERVED, [63, 50], UNKNOWN, HSTATUS).rv64(),
    // menvcfg and henvcfg.
    rule(
        &[Menvcfg],
        "FIOM",
        [0, 0],
        Role::Irrelevant("what FENCE orders"),
        MENVCFG,
    ),
    rule(
        &[Henvcfg],
        "FIOM",
        [0, 0],
        Role::Irrelevant("what FENCE orders"),
        HENVCFG,
    ),
    rule(&[Menvcfg], RESERVED, [1, 1], UNKNOWN, MENVCFG),
    rule(&[Henvcfg], RESERVED, [1, 1], UNKNOWN, HENVCFG),
    rule(
        &[Menvcfg],
        "LPE",
        [2, 2],
        Role::Irrelevant("landing pads of jumps"),
        MENVCFG,
    ),
    rule(
        &[Henvcfg],
        "LPE",
        [2, 2],
        Role::Irrelevant("landing pads of jumps"),
        HENVCFG,
    ),
    rule(&[Menvcfg], "SSE", [3, 3], SHADOW_STACK, MENVCFG),
    rule(&[Henvcfg], "SSE", [3, 3], SHADOW_STACK, HENVCFG),
    rule(&[Menvcfg], "CBIE", [5, 4], CACHE_BLOCKS, MENVCFG),
    rule(&[Henvcfg], "CBIE", [5, 4], CACHE_BLOCKS, HENVCFG),
    rule(&[Menvcfg], "CBCFE", [6, 6], CACHE_BLOCKS, MENVCFG),
    rule(&[Henvcfg], "CBCFE", [6, 6], CACHE_BLOCKS, HENVCFG),
    rule(&[Menvcfg], "CBZE", [7, 7], CACHE_BLOCKS, MENVCFG),
    rule(&[Henvcfg], "CBZE", [7, 7], CACHE_BLOCKS, HENVCFG),
    rule(&[Menvcfg], RESERVED, [31, 8], UNKNOWN, MENVCFG),
    rule(&[Henvcfg], RESERVED, [31, 8], UNKNOWN, HENVCFG),
    rule(&[Menvcfg], "PMM", [33, 32], POINTER_MASKING, MENVCFG),
    rule(&[Henvcfg], "PMM", [33, 32], POINTER_MASKING, HENVCFG),
    rule(&[Menvcfg], RESERVED, [58, 34], UNKNOWN, MENVCFG),
    rule(&[Henvcfg], RESERVED, [58, 34], UNKNOWN, HENVCFG),
    rule(
        &[Menvcfg],
        "DTE",
        [59, 59],
        Role::Irrelevant("double traps"),
        MENVCFG,
    ),
    rule(
        &[Henvcfg],
        "DTE",
        [59, 59],
        Role::Irrelevant("double traps"),
        HENVCFG,
    ),
    rule(
        &[Menvcfg],
        "CDE",
        [60, 60],
        Role::Irrelevant("who may count"),
        MENVCFG,
    ),
    rule(&[Henvcfg], RESERVED, [60, 60], UNKNOWN, HENVCFG),
    rule(
        &[Menvcfg],
        "ADUE",
        [61, 61],
        Role::Used("A and D are set by hardware where V=0, and in the G-stage"),
        MENVCFG,
    ),
    rule(
        &[Henvcfg],
        "ADUE",
        [61, 61],
        Role::Used("A and D are set by hardware in the VS-stage; 0 where menvcfg.ADUE is"),
        HENVCFG,
    ),
    rule(
        &[Menvcfg],
        "PBMTE",
        [62, 62],
        Role::Used("memory types where V=0, and in the G-stage"),
        MENVCFG,
    )
    .rv64(),
    rule(&[Menvcfg], "PBMTE", [62, 62], NO_SVPBMT, MENVCFG).rv32(),
    rule(
        &[Henvcfg],
        "PBMTE",
        [62, 62],
        Role::Used("memory types of the VS-stage; 0 where menvcfg.PBMTE is"),
        HENVCFG,
    )
    .rv64(),
    rule(&[Henvcfg], "PBMTE", [62, 62], NO_SVPBMT, HENVCFG).rv32(),
    rule(&[Menvcfg], "STCE", [63, 63], INTERRUPTS, MENVCFG),
    rule(&[Henvcfg], "STCE", [63, 63], INTERRUPTS, HENVCFG),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bit_of_an_image_is_in_one_field() {
        for xlen in [Xlen::X32, Xlen::X64] {
            for register in Register::ALL {
                let width = register.width(xlen);
                for bit in 0..width {
                    let fields: Vec<_> = FIELDS
                        .iter()
                        .filter(|f| f.is_of(register, xlen) && (f.low..=f.high).contains(&bit))
                        .collect();
                    assert_eq!(fields.len(), 1, "{register}[{bit}] of RV{}", xlen.bits());
                }
                let beyond = |f: &&FieldRule| f.is_of(register, xlen) && f.high >= width;
                assert_eq!(FIELDS.iter().find(beyond), None, "{register}");
            }
        }
    }

    #[test]
    fn each_reserved_bit_alone_is_refused_and_each_ignored_one_is_not() {
        for xlen in [Xlen::X32, Xlen::X64] {
            for field in FIELDS {
                for &register in field.registers {
                    if !field.is_of(register, xlen) {
                        continue;
                    }
                    for bit in field.low..=field.high {
                        let refused = check(register, xlen, 1 << bit).is_err();
                        let place = format!("{register}.{} bit {bit}", field.name);
                        match field.role {
                            Role::Used(_) | Role::Irrelevant(_) => assert!(!refused, "{place}"),
                            Role::Only { values, .. } => {
                                let legal = values.contains(&(1 << (bit - field.low)));
                                assert_eq!(refused, !legal, "{place}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_refused_is_named_with_its_value_and_its_reason() {
        let refused = check(Register::Hstatus, Xlen::X64, 0x1_0000_0000).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "hstatus.VSXL is 1, which is not modelled: every mode has XLEN 64 (2; 0 leaves XLEN \
             unspecified) (\"Hypervisor Status (hstatus) Register\")"
        );
        assert_eq!(refused.legal(), "bits 33:32: 0 or 2");
        let refused = check(Register::Hgatp, Xlen::X32, 1 << 30).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the reserved field hgatp[30:29] is 2, which is not modelled: its future meaning is not \
             known (\"Hypervisor Guest Address Translation and Protection (hgatp) Register\")"
        );
        assert_eq!(check(Register::Hstatus, Xlen::X64, 2 << 32), Ok(()));
    }
}
