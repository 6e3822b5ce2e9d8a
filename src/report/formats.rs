// SPDX-License-Identifier: Apache-2.0
//! The parts of a report that depend on the format. Formats are registered here.

use serde_json::Value;

use super::handout::Handout;
use super::riscv::Riscv;
use crate::format::{Family, Format};
use crate::golden::{Mapping, Step};
use crate::mmu::{Fault, FaultKind, Query, Translation};

/// The parts of a report that depend on the format.
pub(super) trait ReportFormat: Sync {
    /// Describes a query in one line.
    fn query(&self, query: &Query) -> String;

    /// Renders a query as JSON.
    fn query_json(&self, query: &Query) -> Value;

    /// Renders a translation as JSON.
    fn translation_json(&self, translation: &Translation) -> Value;

    /// Adds to the JSON of a golden walk the fields of its mapping that only some formats have.
    fn add_mapping(&self, mapping: &Mapping, walk: &mut Value);

    /// Describes the result of an update, before the decision of a step; empty if there is nothing
    /// to describe.
    fn note(&self, format: Format, step: &Step) -> String;

    /// Describes the fault of a step, after its kind.
    fn fault(&self, format: Format, step: &Step, kind: FaultKind) -> String;

    /// Names the bit that a walk sets in the entry of a step.
    fn to_be_set(&self, step: &Step) -> &'static str;

    /// Returns the number of hexadecimal digits of an entry.
    fn word_digits(&self, format: Format) -> usize;

    /// Returns a function that describes the fields of an entry; none if reports show only the
    /// word.
    fn fields(&self) -> Option<fn(u64) -> String>;

    /// Describes the end of a walk that found a translation: its result, and its reads and updates.
    fn found(&self, format: Format, mapping: &Mapping, steps: &[Step]) -> String;

    /// Describes the end of a walk that faulted: its fault, and its reads and updates.
    fn faulted(&self, format: Format, fault: &Fault, steps: &[Step]) -> String;

    /// Describes the trap of a fault; none if the format has no traps.
    fn trap(&self, fault: &Fault, query: &Query) -> Option<String>;

    /// Quotes the clause by which a walk faults; none if the format has no clauses.
    fn why(&self, fault: &Fault, query: &Query, steps: &[Step]) -> Option<String>;
}

/// Returns the report parts of a format.
pub(super) fn of(format: Format) -> &'static dyn ReportFormat {
    match format.family() {
        Family::Handout => &Handout,
        Family::Riscv => &Riscv,
    }
}
