// SPDX-License-Identifier: Apache-2.0
//! The properties of the RISC-V formats that covergroups need.

use super::axes::{ContextField, EntryKind, Mode, Operands, WalkPosition};
use super::covergroup::Rule;
use super::formats::{CoverageFormat, Feature};
use super::groups::beside::ButFor;
use crate::format::Format;
use crate::format::riscv::{Entry, mode_name};
use crate::mmu::{FaultKind, Purpose, Rights, Stage};

const NO_RIGHTS_MODE: &str = "RISC-V has no rights mode";

/// The RISC-V formats.
#[derive(Debug)]
pub(super) struct Riscv;

impl CoverageFormat for Riscv {
    fn modes(&self, format: Format) -> Vec<Mode> {
        let levels = format.level_choices();
        let mode = |virt, guest, host| Mode {
            virt,
            guest,
            host,
            rights: false,
        };
        let native = levels.iter().map(|&guest| mode(false, guest, 0));
        let pairs = levels
            .iter()
            .flat_map(|&guest| levels.iter().map(move |&host| mode(true, guest, host)));
        native.chain(pairs).collect()
    }

    fn mode_name(&self, mode: Mode) -> String {
        let name = |stage, levels| mode_name(stage, levels).unwrap_or("?");
        let guest = name(Stage::Guest, mode.guest);
        match mode.virt {
            false => format!("V=0 {guest}"),
            true => format!("V=1 {guest} over {}", name(Stage::Host, mode.host)),
        }
    }

    /// Returns the combinations of rights that are neither reserved nor a pointer's.
    fn leaf_rights(&self) -> Vec<Rights> {
        let is_leaf = |rights: &Rights| rights.read || rights.execute && !rights.write;
        Rights::every().filter(is_leaf).collect()
    }

    #[inline]
    fn leaf_kind(&self, format: Format, word: u64) -> EntryKind {
        match format.has_napot_pages() && Entry(word).napot() {
            true => EntryKind::NapotLeaf,
            false => EntryKind::Leaf,
        }
    }

    #[inline]
    fn is_global(&self, word: u64) -> bool {
        Entry(word).global()
    }

    fn lacks(&self, feature: Feature) -> Option<&'static str> {
        match feature {
            Feature::FaultOnHit => Some("a hit of RISC-V never faults"),
            Feature::Superpages
            | Feature::NativeContexts
            | Feature::GlobalPages
            | Feature::Updates
            | Feature::WalkOnDenial
            | Feature::RootBits => None,
        }
    }

    fn no_fault(
        &self,
        format: Format,
        mode: Mode,
        kind: FaultKind,
        entry: WalkPosition,
    ) -> Option<&'static str> {
        let is_rv32 = format.geometry().gva_width == 32;
        if mode.is_bare() && entry == (WalkPosition::Guest { level: 0 }) {
            return match kind {
                FaultKind::Memory if is_rv32 => Some("every gVA of RV32 fits an hPA"),
                FaultKind::Memory => None,
                _ => Some("with both stages off there is no entry"),
            };
        }
        let level = entry.level();
        mode.lacks(entry).or(match kind {
            FaultKind::Memory
            | FaultKind::Invalid
            | FaultKind::Reserved
            | FaultKind::Permission
            | FaultKind::AccessedDirty => None,
            FaultKind::Misaligned => {
                (level == 0).then_some("a page of level 0 cannot be misaligned")
            }
            FaultKind::Pointer => (level > 0).then_some("above level 0 a pointer is no fault"),
            FaultKind::Width if is_rv32 => {
                Some("RV32: a gVA has 32 bits, as Sv32 has, and no gPA more than the 34 of Sv32x4")
            }
            FaultKind::Width => no_width_fault(mode, entry),
        })
    }

    fn context_field(&self, format: Format, field: ContextField) -> Rule {
        match field {
            ContextField::RightsMode => Rule::Impossible(NO_RIGHTS_MODE),
            ContextField::GuestPbmte | ContextField::HostPbmte | ContextField::Napot
                if !format.has_memory_types() =>
            {
                Rule::NotAsked("entries of RV32 have no such bits")
            }
            _ => Rule::Reachable,
        }
    }

    fn near_miss(&self, but_for: ButFor) -> Rule {
        match but_for {
            ButFor::RightsMode => Rule::Impossible(NO_RIGHTS_MODE),
            _ => Rule::Reachable,
        }
    }

    /// The instructions SFENCE.VMA, HFENCE.VVMA and HFENCE.GVMA have the operands rs1 and rs2.
    fn fence(&self, operands: Operands) -> Rule {
        let has_instruction = match operands.virt {
            false => !operands.gpa && !operands.vmid,
            true => match (operands.gva || operands.asid, operands.gpa) {
                (true, gpa) => operands.vmid && !gpa,
                (false, _) => true,
            },
        };
        match has_instruction {
            true => Rule::Reachable,
            false => Rule::NotAsked("no instruction of RISC-V has these operands"),
        }
    }
}

/// Returns the reason why an address is never too wide at an entry of RV64; none if it can be.
fn no_width_fault(mode: Mode, entry: WalkPosition) -> Option<&'static str> {
    const AT_THE_ROOT: &str = "the width of an address is checked at the root";
    match entry {
        WalkPosition::Guest { level } => {
            (level + 1 != u32::from(mode.guest)).then_some(AT_THE_ROOT)
        }
        WalkPosition::Host { level, .. } if level + 1 != u32::from(mode.host) => Some(AT_THE_ROOT),
        WalkPosition::Host {
            purpose: Purpose::GuestUpdate(_),
            ..
        } => Some("the same gPA has been translated to read the entry"),
        WalkPosition::Host { .. } if mode.host == 5 && mode.guest > 0 => {
            Some("a gPA of a guest's table or page has 56 bits, and Sv57x4 translates 59")
        }
        WalkPosition::Host { .. } => None,
    }
}
