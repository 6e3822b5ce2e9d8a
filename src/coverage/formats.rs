// SPDX-License-Identifier: Apache-2.0
//! What covergroups ask of a format, and where formats are registered for it.

use std::fmt::Debug;

use super::axes::{ContextField, EntryKind, Mode, Operands, WalkPosition};
use super::covergroup::Rule;
use super::groups::beside::ButFor;
use super::{handout, riscv};
use crate::format::{Family, Format};
use crate::mmu::{FaultKind, Rights};

/// Something that the machine of a format may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feature {
    /// A leaf above level 0.
    Superpages,
    /// Contexts outside virtual machines.
    NativeContexts,
    /// Pages that are the same under every ASID.
    GlobalPages,
    /// Updates of entries by the walk.
    Updates,
    /// A TLB hit whose response is a fault.
    FaultOnHit,
    /// A walk for a request that an entry of the TLB denies.
    WalkOnDenial,
    /// Bits of a root register that mean nothing.
    RootBits,
}

/// What covergroups ask of a format.
pub(super) trait CoverageFormat: Debug + Sync {
    /// The modes of a format, in the order of the axis.
    fn modes(&self, format: Format) -> Vec<Mode>;

    /// The name of a mode.
    fn mode_name(&self, mode: Mode) -> String;

    /// The rights that a leaf may have, in the order of the axis.
    fn leaf_rights(&self) -> Vec<Rights>;

    /// The kind of a leaf.
    fn leaf_kind(&self, format: Format, word: u64) -> EntryKind;

    /// Whether an entry of the guest's stage is global.
    fn is_global(&self, word: u64) -> bool;

    /// Why a format lacks a feature, if it lacks it.
    fn lacks(&self, feature: Feature) -> Option<&'static str>;

    /// Why a walk cannot end with a fault at an entry, if it cannot.
    fn no_fault(
        &self,
        format: Format,
        mode: Mode,
        kind: FaultKind,
        entry: WalkPosition,
    ) -> Option<&'static str>;

    /// Whether a field of the context means something.
    fn context_field(&self, format: Format, field: ContextField) -> Rule;

    /// Whether a request can differ from an entry of the TLB in this alone.
    fn near_miss(&self, but_for: ButFor) -> Rule;

    /// Whether there is an instruction for a fence with such operands.
    fn fence(&self, operands: Operands) -> Rule;
}

/// The rules of a format.
pub(super) fn of(format: Format) -> &'static dyn CoverageFormat {
    match format.family() {
        Family::Handout => &handout::Handout,
        Family::Riscv => &riscv::Riscv,
    }
}
