// SPDX-License-Identifier: Apache-2.0
//! What a report asks of a format, and where formats are registered for it.

use serde_json::Value;

use super::handout::Handout;
use super::riscv::Riscv;
use crate::format::{Family, Format};
use crate::golden::{Mapping, Step};
use crate::mmu::{Fault, FaultKind, Query, Translation};

/// What a report asks of a format.
pub(super) trait ReportFormat: Sync {
    /// A query in a line.
    fn query(&self, query: &Query) -> String;

    /// A query as JSON.
    fn query_json(&self, query: &Query) -> Value;

    /// A translation as JSON.
    fn translation_json(&self, translation: &Translation) -> Value;

    /// Adds to the JSON of a golden walk the fields of its mapping that only some formats have.
    fn add_mapping(&self, mapping: &Mapping, walk: &mut Value);

    /// The result of an update, before the meaning of a step; empty if there is nothing to say.
    fn note(&self, format: Format, step: &Step) -> String;

    /// The fault of a step, after its kind.
    fn fault(&self, format: Format, step: &Step, kind: FaultKind) -> String;

    /// The bit that a walk is to set in the entry of a step.
    fn to_be_set(&self, step: &Step) -> &'static str;

    /// The number of hexadecimal digits of an entry.
    fn word_digits(&self, format: Format) -> usize;

    /// The fields of an entry; none if a report does not take entries apart.
    fn fields(&self) -> Option<fn(u64) -> String>;

    /// The end of a walk that found a translation: its result, and its accesses.
    fn found(&self, format: Format, mapping: &Mapping, steps: &[Step]) -> String;

    /// The end of a walk that faulted: its fault, and its accesses.
    fn faulted(&self, format: Format, fault: &Fault, steps: &[Step]) -> String;

    /// The trap of a fault, if the format has traps.
    fn trap(&self, fault: &Fault, query: &Query) -> Option<String>;

    /// The clause by which a walk faults, if reports quote it.
    fn why(&self, fault: &Fault, query: &Query, steps: &[Step]) -> Option<String>;
}

/// The reports of a format.
pub(super) fn of(format: Format) -> &'static dyn ReportFormat {
    match format.family() {
        Family::Handout => &Handout,
        Family::Riscv => &Riscv,
    }
}
