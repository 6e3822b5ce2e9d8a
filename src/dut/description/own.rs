// SPDX-License-Identifier: Apache-2.0
//! Descriptions of the project's own devices.

use super::{
    ContextTime, Description, FaultOrder, Fences, Memory, Modes, PermissionCheck, Precision, Reads,
    Responses, Stalls, Tlb, Tval2, UpdateScheme, Visibility, Walks,
};
use crate::dut::socket::Ports;
use crate::dut::variants::Variant;

/// The most cycles for which a device may do nothing while a request or a fence waits: see
/// [`Stalls`].
pub(super) const STALL: u32 = 1000;

impl Description {
    /// Returns the description of one of the project's own devices.
    pub(crate) fn of_variant(variant: &Variant) -> Self {
        let format = variant.paging_format();
        let updates = format.updates_entries() && variant.svadu;
        let stage: Vec<u8> = match format.level_choices() {
            [] => vec![0, 2],
            choices => (choices.iter().copied())
                .filter(|&levels| u32::from(levels) <= variant.max_levels)
                .collect(),
        };
        let host = match format.level_choices() {
            [] => vec![2],
            _ => stage.clone(),
        };
        let virt = match format.has_native_contexts() {
            true => vec![false, true],
            false => vec![true],
        };
        let user = match format.has_privileges() {
            true => vec![false, true],
            false => vec![false],
        };
        Self {
            name: variant.name.to_owned(),
            format,
            modes: Modes {
                guest: stage,
                host,
                virt,
                accesses: format.accesses().to_vec(),
                user,
                svadu: updates,
                svnapot: format.has_napot_pages(),
                svpbmt: format.has_memory_types(),
                sum: format.has_privileges(),
                mxr: [format.has_privileges(); 2],
                hpa_width: format.geometry().hpa_width,
                asid_width: format.asid_width(),
                vmid_width: format.vmid_width(),
                rights: !format.has_privileges(),
            },
            tlb: Some(Tlb {
                entries: variant.tlb_entries,
                recent: variant.tlb_entries.ilog2() + 1,
                hit_may_fault: !format.has_privileges(),
                split: false,
                second: variant.tlb2,
            }),
            walks: Walks {
                outstanding: variant.slots,
                reads: Reads::Exact,
                permissions: PermissionCheck::Entry,
                caches: variant.walk_cache_entries,
                read_bypass: variant.read_bypass,
                speculative: false,
            },
            fences: Some(Fences {
                precise: Precision {
                    gva: true,
                    gpa: true,
                    asid: true,
                    vmid: true,
                },
                zero_is_all: false,
                ignores_bare: false,
            }),
            responses: Responses {
                tval2: Tval2::Exact,
                order: FaultOrder::Golden,
                outstanding: 256,
            },
            memory: Memory {
                updates: match updates {
                    true => UpdateScheme::CompareAndSwap,
                    false => UpdateScheme::None,
                },
                errors: true,
                ids: variant.slots,
                reorder: true,
            },
            context: ContextTime::Request,
            has_csrs: false,
            stalls: Stalls {
                request: STALL,
                fence: STALL,
            },
            assertions: variant.checked,
            ports: Ports::all(format),
            waves: Vec::new(),
            most_visibility: Visibility::Steps,
        }
    }
}
