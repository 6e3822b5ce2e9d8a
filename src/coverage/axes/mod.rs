// SPDX-License-Identifier: Apache-2.0
//! The axes that several covergroups have.

mod context_field;
mod mode;
mod operands;
mod position;
mod walk_cache;

pub use context_field::ContextField;
pub use mode::Mode;
pub use operands::Operands;
pub use position::WalkPosition;
pub use walk_cache::{CacheHitAt, CacheKind, CacheMet};

use super::abilities::Abilities;
use super::covergroup::{AxisValue, Rule, axis};
use super::domain::Domain;
use crate::dut::variants::VARIANTS;
use crate::format::Format;
use crate::format::riscv::NAPOT_PAGE_SIZE;
use crate::mmu::{Access, FaultKind, Purpose, Rights};

impl AxisValue for Access {
    fn values(domain: &Domain) -> Vec<Self> {
        domain.format.accesses().to_vec()
    }

    fn label(self, _: &Domain) -> String {
        self.name().to_owned()
    }

    #[inline]
    fn position(self, _: &Domain) -> Option<usize> {
        Some(self as usize)
    }

    fn is_able(self, device: &Abilities) -> bool {
        device.accesses.contains(&self)
    }
}

impl AxisValue for FaultKind {
    fn values(_: &Domain) -> Vec<Self> {
        Self::ALL.to_vec()
    }

    fn label(self, _: &Domain) -> String {
        self.name().to_owned()
    }

    #[inline]
    fn position(self, _: &Domain) -> Option<usize> {
        // Kinds are numbered from 1.
        Some(self as usize - 1)
    }
}

impl AxisValue for Rights {
    fn values(domain: &Domain) -> Vec<Self> {
        domain.rights.clone()
    }

    fn label(self, _: &Domain) -> String {
        let letter = |is_set, letter| if is_set { letter } else { '-' };
        let letters = [
            letter(self.read, 'r'),
            letter(self.write, 'w'),
            letter(self.execute, 'x'),
        ];
        letters.iter().collect()
    }

    fn position(self, domain: &Domain) -> Option<usize> {
        domain.rights.iter().position(|&known| known == self)
    }
}

/// The page of a stage: log2 of its size in bytes; none for a stage that is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageSize(pub Option<u32>);

impl PageSize {
    /// Returns the page of a stage with this number of levels.
    pub fn of_stage(levels: u8, size: u32) -> Self {
        Self((levels > 0).then_some(size))
    }
}

impl AxisValue for PageSize {
    fn values(domain: &Domain) -> Vec<Self> {
        domain.page_sizes.clone()
    }

    fn label(self, _: &Domain) -> String {
        self.0.map_or("off".to_owned(), bytes)
    }

    fn position(self, domain: &Domain) -> Option<usize> {
        domain.page_sizes.iter().position(|&known| known == self)
    }

    fn is_able(self, device: &Abilities) -> bool {
        self.0 != Some(NAPOT_PAGE_SIZE) || device.svnapot
    }
}

/// Renders a size, given as log2 of the bytes, in the largest unit.
pub(super) fn bytes(log2: u32) -> String {
    let (unit, shift) = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)]
        .into_iter()
        .rfind(|&(_, shift)| shift <= log2)
        .unwrap_or(("B", 0));
    format!("{} {unit}", 1u64 << (log2 - shift))
}

/// A level of a table, 0 for the leaf's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Level(pub u32);

impl AxisValue for Level {
    fn values(domain: &Domain) -> Vec<Self> {
        (0..domain.geometry.levels).map(Self).collect()
    }

    fn label(self, domain: &Domain) -> String {
        domain.format.level_name(self.0)
    }

    fn position(self, _: &Domain) -> Option<usize> {
        Some(self.0 as usize)
    }

    fn is_able(self, device: &Abilities) -> bool {
        device.has_guest_level(self.0) || device.has_host_level(self.0)
    }
}

/// The number of walk slots of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slots(pub u32);

impl AxisValue for Slots {
    fn values(domain: &Domain) -> Vec<Self> {
        domain.slots.iter().copied().map(Self).collect()
    }

    fn label(self, _: &Domain) -> String {
        self.0.to_string()
    }

    fn position(self, domain: &Domain) -> Option<usize> {
        domain.slots.iter().position(|&known| known == self.0)
    }
}

axis! {
    /// The kind of a table entry.
    pub enum EntryKind {
        /// A pointer to the next table.
        Pointer = "pointer",
        /// A leaf.
        Leaf = "leaf",
        /// The leaf of a NAPOT page.
        NapotLeaf = "NAPOT leaf",
    }
    able: |kind, device| kind != EntryKind::NapotLeaf || device.svnapot;
}

axis! {
    /// The owner of a leaf's page: the value of U.
    pub enum PageOwner {
        /// U is 0.
        Supervisor = "supervisor page",
        /// U is 1.
        User = "user page",
    }
}

axis! {
    /// The MXR of a stage.
    pub enum Mxr {
        /// MXR is 0.
        Off = "no MXR",
        /// MXR is 1.
        On = "MXR",
    }
}

impl From<bool> for PageOwner {
    fn from(is_user: bool) -> Self {
        if is_user {
            Self::User
        } else {
            Self::Supervisor
        }
    }
}

impl From<bool> for Mxr {
    fn from(is_on: bool) -> Self {
        if is_on { Self::On } else { Self::Off }
    }
}

axis! {
    /// The stage of a leaf, and for the host stage the purpose of the translation.
    pub enum LeafStage {
        /// The guest stage.
        Guest = "guest",
        /// The host stage, to reach the data.
        HostForData = "host for the data",
        /// The host stage, to read a guest entry.
        HostToRead = "host to read",
        /// The host stage, to update a guest entry.
        HostToUpdate = "host to update",
    }
    able: |stage, device| match stage {
        LeafStage::Guest => device.has_stage(false),
        LeafStage::HostForData => device.has_stage(true),
        LeafStage::HostToRead => device.has_stage(false) && device.has_stage(true),
        LeafStage::HostToUpdate => {
            device.svadu && device.has_stage(false) && device.has_stage(true)
        }
    };
}

impl LeafStage {
    /// Returns the stage and the purpose of a position.
    pub fn of(position: WalkPosition) -> Self {
        match position {
            WalkPosition::Guest { .. } => Self::Guest,
            WalkPosition::Host { purpose, .. } => match purpose {
                Purpose::Data => Self::HostForData,
                Purpose::GuestEntry(_) => Self::HostToRead,
                Purpose::GuestUpdate(_) => Self::HostToUpdate,
            },
        }
    }
}

axis! {
    /// The order of an event and of older ones.
    pub enum Order {
        /// No older event comes later.
        InOrder = "in order",
        /// An older event comes later.
        Overtakes = "overtakes",
    }
}

impl From<bool> for Order {
    fn from(overtakes: bool) -> Self {
        if overtakes {
            Self::Overtakes
        } else {
            Self::InOrder
        }
    }
}

// The axis of accesses has the order of their numbers.
const _: () = assert!(
    Access::Load as usize == 0
        && Access::Store as usize == 1
        && Access::Fetch as usize == 2
        && Access::LoadExecute as usize == 3
);

pub(super) const POINTER_AT_0: &str = "a pointer at level 0 is a fault";
pub(super) const NOTHING_KEPT: &str = "with both stages off nothing is kept";
pub(super) const RACE: &str =
    "needs an edit between two reads of one entry in one walk; `fault` asks for those";
/// The reason for a stage that is off.
pub(super) const OFF: &str = "the stage is off";

/// Returns the rule of an access in a mode. HLVX is always made with V=1.
pub(super) fn hlvx(mode: Mode, access: Access) -> Rule {
    match access == Access::LoadExecute && !mode.virt {
        true => Rule::NotAsked("HLVX is always made with V=1"),
        false => Rule::Reachable,
    }
}

/// Returns true if a built-in device of the format has an L2 TLB.
pub(super) fn has_l2_tlb(format: Format) -> bool {
    VARIANTS
        .iter()
        .any(|variant| variant.paging_format() == format && variant.tlb2.is_some())
}
