// SPDX-License-Identifier: Apache-2.0
//! The properties of a format that covergroups need. Formats are registered here.

use std::fmt::Debug;

use super::axes::{ContextField, EntryKind, Mode, Operands, WalkPosition};
use super::covergroup::Rule;
use super::groups::beside::ButFor;
use super::{handout, riscv};
use crate::format::{Family, Format};
use crate::mmu::{FaultKind, Rights};

/// A feature that the machine of a format may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feature {
    /// A leaf above level 0.
    Superpages,
    /// Contexts outside virtual machines.
    NativeContexts,
    /// Pages that are valid under every ASID.
    GlobalPages,
    /// Updates of entries by the walk.
    Updates,
    /// A TLB hit whose response is a fault.
    FaultOnHit,
    /// A walk for a request that an entry of the TLB denies.
    WalkOnDenial,
    /// Bits of a root register that are ignored.
    RootBits,
}

/// The properties of a format that covergroups need.
pub(super) trait CoverageFormat: Debug + Sync {
    /// Returns the modes of a format, in the order of the axis.
    fn modes(&self, format: Format) -> Vec<Mode>;

    /// Returns the name of a mode.
    fn mode_name(&self, mode: Mode) -> String;

    /// Returns the rights that a leaf may have, in the order of the axis.
    fn leaf_rights(&self) -> Vec<Rights>;

    /// Returns the kind of a leaf.
    fn leaf_kind(&self, format: Format, word: u64) -> EntryKind;

    /// Returns true if an entry of the guest stage is global.
    fn is_global(&self, word: u64) -> bool;

    /// Returns the reason why a format lacks a feature; none if it has the feature.
    fn lacks(&self, feature: Feature) -> Option<&'static str>;

    /// Returns the reason why a walk cannot fault in this way at an entry; none if it can.
    fn no_fault(
        &self,
        format: Format,
        mode: Mode,
        kind: FaultKind,
        entry: WalkPosition,
    ) -> Option<&'static str>;

    /// Returns the rule for a field of the context: reachable if a translation depends on it.
    fn context_field(&self, format: Format, field: ContextField) -> Rule;

    /// Returns the rule for a request that differs from a TLB entry only in `but_for`.
    fn near_miss(&self, but_for: ButFor) -> Rule;

    /// Returns the rule for a fence with these operands.
    fn fence(&self, operands: Operands) -> Rule;
}

/// Returns the properties of a format.
pub(super) fn of(format: Format) -> &'static dyn CoverageFormat {
    match format.family() {
        Family::Handout => &handout::Handout,
        Family::Riscv => &riscv::Riscv,
    }
}
