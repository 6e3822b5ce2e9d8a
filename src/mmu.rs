//! What an MMU is asked and what it answers, in the words of `docs/ports.md`: the vocabulary that the golden model, the
//! device and the checker share.

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
}

impl Access {
    /// Every access.
    pub const ALL: [Access; 3] = [Access::Load, Access::Store, Access::Fetch];

    /// Its name in scenarios and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Access::Load => "load",
            Access::Store => "store",
            Access::Fetch => "fetch",
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a leaf permits (rights mode).
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

    /// Whether `access` is permitted.
    pub const fn permit(self, access: Access) -> bool {
        match access {
            Access::Load => self.read,
            Access::Store => self.write,
            Access::Fetch => self.execute,
        }
    }
}

/// All that a translation depends on besides memory; a request carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Context {
    /// The guest's root table, a gPA; none where the guest table is off and a gVA is taken for a gPA (Figure 1a).
    pub guest_root: Option<Gpa>,
    /// The host's root table.
    pub host_root: Hpa,
    /// Rights mode: leaves have status bits. Off, status is ignored, as in the exercise.
    pub rights: bool,
    /// Tag of the guest's address space, [`ASID_WIDTH`] bits.
    pub asid: u16,
    /// Tag of the virtual machine, [`VMID_WIDTH`] bits.
    pub vmid: u16,
}

/// Width of an ASID in bits.
pub const ASID_WIDTH: u32 = 16;
/// Width of a VMID in bits.
pub const VMID_WIDTH: u32 = 14;

impl Context {
    /// What the TLB tells address spaces apart by.
    pub fn space(&self) -> Space {
        Space {
            nested: self.guest_root.is_some(),
            rights: self.rights,
            asid: self.asid,
            vmid: self.vmid,
        }
    }
}

/// The tag of a TLB entry: the context without its roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Space {
    /// The guest table is on.
    pub nested: bool,
    /// Rights mode.
    pub rights: bool,
    /// See [`Context::asid`].
    pub asid: u16,
    /// See [`Context::vmid`].
    pub vmid: u16,
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

/// Forgets the translations that agree with every operand given; with none given, all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Fence {
    /// Those of the page of this gVA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gva: Option<Gva>,
    /// Those to the page of this gPA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpa: Option<Gpa>,
    /// Those of this ASID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asid: Option<u16>,
    /// Those of this VMID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vmid: Option<u16>,
}

impl Fence {
    /// Whether the fence names the address space, whatever the address.
    pub fn names_space(&self, space: Space) -> bool {
        self.asid.is_none_or(|asid| asid == space.asid)
            && self.vmid.is_none_or(|vmid| vmid == space.vmid)
    }

    /// Whether the fence names the translation of `gva` to `gpa` in `space`.
    pub fn names(&self, format: Format, space: Space, gva: Gva, gpa: Gpa) -> bool {
        let page = |address: u64| address >> format.geometry().offset_width;
        self.names_space(space)
            && self.gva.is_none_or(|g| page(g.0) == page(gva.0))
            && self.gpa.is_none_or(|g| page(g.0) == page(gpa.0))
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
        if words.is_empty() {
            f.write_str("fence of everything")
        } else {
            write!(f, "fence by {}", words.join(", "))
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
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum FaultKind {
    /// The memory answered the read of an entry with an error.
    Memory = 1,
    /// An entry address is not a multiple of the entry size.
    Misaligned = 2,
    /// An entry address lies past the machine's width.
    Width = 3,
    /// Reserved bits of an entry are not zero.
    Reserved = 4,
    /// Rights mode: the leaf is not valid.
    Invalid = 5,
    /// Rights mode: the leaf does not permit the access.
    Permission = 6,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [FaultKind; 6] = [
        FaultKind::Memory,
        FaultKind::Misaligned,
        FaultKind::Width,
        FaultKind::Reserved,
        FaultKind::Invalid,
        FaultKind::Permission,
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
}

impl Fault {
    /// In words, with the format's names of levels.
    pub fn describe(&self, format: Format) -> String {
        format!("{} fault at {}", self.kind, self.at.describe(format))
    }
}

/// A translation that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Translation {
    /// Where the data is.
    pub hpa: Hpa,
    /// log2 of the page's bytes.
    pub page_size: u32,
}

/// The answer to a [`Query`].
pub type Outcome = Result<Translation, Fault>;

/// An outcome in words.
pub fn describe_outcome(outcome: &Outcome, format: Format) -> String {
    match outcome {
        Ok(translation) => format!("hPA {}", translation.hpa),
        Err(fault) => fault.describe(format),
    }
}
