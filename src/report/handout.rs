// SPDX-License-Identifier: Apache-2.0
//! Walks of the handout's formats as text.

use serde_json::{Value, json};

use super::formats::ReportFormat;
use super::text::count;
use crate::format::Format;
use crate::golden::{Mapping, Step};
use crate::mmu::{Fault, FaultKind, Query, Translation};

/// The handout's formats.
pub(super) struct Handout;

/// Describes the number of memory reads.
fn reads(steps: &[Step]) -> String {
    let reads = steps.iter().filter(|step| step.hpa.is_some()).count();
    count(reads as u64, "memory read")
}

impl ReportFormat for Handout {
    fn query(&self, query: &Query) -> String {
        let context = &query.context;
        let guest = match context.guest_root() {
            Some(root) => format!("guest root gPA {root}"),
            None => "guest table off".to_owned(),
        };
        format!(
            "{} gVA {}; {guest}, host root hPA {}, ASID {}, VMID {}, rights mode {}",
            query.access,
            query.gva,
            context.host.root,
            context.asid,
            context.vmid,
            if context.rights { "on" } else { "off" }
        )
    }

    fn query_json(&self, query: &Query) -> Value {
        json!({
            "access": query.access,
            "gva": query.gva,
            "guest_root": query.context.guest_root(),
            "host_root": query.context.host.root,
            "rights": query.context.rights,
            "asid": query.context.asid,
            "vmid": query.context.vmid,
        })
    }

    fn translation_json(&self, translation: &Translation) -> Value {
        json!({
            "hpa": translation.hpa,
            "page_bytes": 1u64 << translation.page_size,
        })
    }

    fn add_mapping(&self, _: &Mapping, _: &mut Value) {}

    fn note(&self, _: Format, _: &Step) -> String {
        String::new()
    }

    fn fault(&self, format: Format, _: &Step, kind: FaultKind) -> String {
        match kind {
            FaultKind::Memory => "no memory, or an error".to_owned(),
            FaultKind::Misaligned => {
                format!("not a multiple of {}", format.geometry().pte_bytes())
            }
            FaultKind::Width => "past the last address of the machine".to_owned(),
            FaultKind::Reserved => "bits above the address are set".to_owned(),
            FaultKind::Invalid => "the valid bit is 0".to_owned(),
            FaultKind::Permission => "the leaf does not permit the access".to_owned(),
            FaultKind::AccessedDirty => "A, or D for a store, is clear".to_owned(),
            FaultKind::Pointer => "a pointer at the last level".to_owned(),
        }
    }

    fn to_be_set(&self, _: &Step) -> &'static str {
        "A or D is set first"
    }

    fn word_digits(&self, _: Format) -> usize {
        5
    }

    fn fields(&self) -> Option<fn(u64) -> String> {
        None
    }

    fn found(&self, _: Format, mapping: &Mapping, steps: &[Step]) -> String {
        format!("hPA {}: {}", mapping.hpa, reads(steps))
    }

    fn faulted(&self, format: Format, fault: &Fault, steps: &[Step]) -> String {
        format!("{}: {}", fault.describe(format), reads(steps))
    }

    fn trap(&self, _: &Fault, _: &Query) -> Option<String> {
        None
    }

    fn why(&self, _: &Fault, _: &Query, _: &[Step]) -> Option<String> {
        None
    }
}
