// SPDX-License-Identifier: Apache-2.0
//! The properties of the handout's formats that covergroups need.

use super::axes::{ContextField, EntryKind, Mode, Operands, WalkPosition};
use super::covergroup::Rule;
use super::formats::{CoverageFormat, Feature};
use super::groups::beside::ButFor;
use crate::format::Format;
use crate::mmu::{FaultKind, Purpose, Rights};

const SAME_ROOT: &str =
    "the host's root is the same for every gPA: the first one has faulted already";
const NOTHING_OF_THE_KIND: &str = "the handout's machine has nothing of the kind";

/// The handout's formats.
#[derive(Debug)]
pub(super) struct Handout;

impl CoverageFormat for Handout {
    fn modes(&self, _: Format) -> Vec<Mode> {
        let mode = |guest, rights| Mode {
            virt: true,
            guest,
            host: 2,
            rights,
        };
        vec![mode(2, false), mode(0, false), mode(2, true), mode(0, true)]
    }

    fn mode_name(&self, mode: Mode) -> String {
        let rights = if mode.rights { ", rights" } else { "" };
        match mode.guest {
            0 => format!("host table{rights}"),
            _ => format!("both tables{rights}"),
        }
    }

    fn leaf_rights(&self) -> Vec<Rights> {
        Rights::every().collect()
    }

    fn leaf_kind(&self, _: Format, _: u64) -> EntryKind {
        EntryKind::Leaf
    }

    fn is_global(&self, _: u64) -> bool {
        false
    }

    fn lacks(&self, feature: Feature) -> Option<&'static str> {
        match feature {
            Feature::Superpages => {
                Some("only an entry of the last level is a leaf in the handout's machine")
            }
            Feature::NativeContexts => Some("the handout's machine has no V"),
            Feature::GlobalPages => Some("the handout's machine has no global pages"),
            Feature::Updates => Some("the handout's machine updates nothing"),
            Feature::WalkOnDenial => {
                Some("in the handout's machine an entry that denies is an answer")
            }
            Feature::RootBits => Some(NOTHING_OF_THE_KIND),
            Feature::FaultOnHit => None,
        }
    }

    fn no_fault(
        &self,
        format: Format,
        mode: Mode,
        kind: FaultKind,
        entry: WalkPosition,
    ) -> Option<&'static str> {
        let is_leaf = entry.level() == 0;
        // The first address that the host's table translates.
        let first = match mode.guest {
            0 => Purpose::Data,
            levels => Purpose::GuestEntry(u32::from(levels) - 1),
        };
        mode.lacks(entry).or(match kind {
            FaultKind::Memory | FaultKind::Width => None,
            FaultKind::Misaligned => match entry {
                WalkPosition::Host { level, purpose }
                    if level + 1 == u32::from(mode.host) && purpose != first =>
                {
                    Some(SAME_ROOT)
                }
                _ => None,
            },
            FaultKind::Reserved => (format.geometry().hpa_width == format.geometry().pte_width)
                .then_some(
                    "an address of CLASSIC32 is as wide as an entry: there are no reserved bits",
                ),
            FaultKind::Invalid | FaultKind::Permission if !mode.rights => {
                Some("without rights mode entries have no status")
            }
            FaultKind::Invalid | FaultKind::Permission => {
                (!is_leaf).then_some("pointers of the handout's machine have no status")
            }
            FaultKind::AccessedDirty | FaultKind::Pointer => {
                Some("the handout's machine has no such fault")
            }
        })
    }

    fn context_field(&self, _: Format, field: ContextField) -> Rule {
        match field {
            ContextField::GuestMode
            | ContextField::GuestRoot
            | ContextField::HostRoot
            | ContextField::Asid
            | ContextField::Vmid
            | ContextField::RightsMode => Rule::Reachable,
            _ => Rule::Impossible(NOTHING_OF_THE_KIND),
        }
    }

    fn near_miss(&self, but_for: ButFor) -> Rule {
        match but_for {
            ButFor::Page | ButFor::GuestMode | ButFor::RightsMode | ButFor::Asid | ButFor::Vmid => {
                Rule::Reachable
            }
            ButFor::Virt | ButFor::HostMode | ButFor::AsidOfGlobal | ButFor::VmidOfNative => {
                Rule::Impossible(NOTHING_OF_THE_KIND)
            }
        }
    }

    fn fence(&self, _: Operands) -> Rule {
        Rule::Reachable
    }
}
