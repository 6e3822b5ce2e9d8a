// SPDX-License-Identifier: Apache-2.0
//! Results as JSON. Addresses and words are strings in hexadecimal.

use serde_json::{Value, json};

use super::{DeviceAccess, GoldenAccess, Recorder, formats, mismatch};
use crate::bench::{Failed, Failure, Mismatch, Read};
use crate::format::Format;
use crate::golden::Step;
use crate::memory::HostMemory;
use crate::mmu::{Fault, Outcome, Position, Purpose, Query};
use crate::scenario::Scenario;

/// A kind of document that commands print and bundles contain. `docs/json.md` describes each. Files
/// of results and of coverage are read again, so they have versions of their own, in
/// [`crate::results`] and [`crate::coverage::file`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// `nestwalk walk --json`.
    Walk,
    /// `nestwalk run --json`.
    Run,
    /// `nestwalk fuzz --json`.
    Fuzz,
    /// `nestwalk vectors --json`.
    Vectors,
    /// `nestwalk trace --json`.
    Trace,
    /// `nestwalk wave --json`.
    Wave,
    /// `nestwalk cover --json`.
    Cover,
    /// `report.json` of a bundle.
    Bundle,
    /// `nestwalk build --json`.
    Build,
    /// `nestwalk audit --json`.
    Audit,
}

impl Document {
    /// Returns the value of its field `schema`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Walk => "nestwalk-walk",
            Self::Run => "nestwalk-run",
            Self::Fuzz => "nestwalk-fuzz",
            Self::Vectors => "nestwalk-vectors",
            Self::Trace => "nestwalk-trace",
            Self::Wave => "nestwalk-wave",
            Self::Cover => "nestwalk-cover",
            Self::Bundle => "nestwalk-bundle",
            Self::Build => "nestwalk-build",
            Self::Audit => "nestwalk-audit",
        }
    }

    /// Returns the value of its field `schema_version`. It changes if a field is removed, or
    /// changes its type or meaning, but not if a field is added.
    pub const fn version(self) -> u32 {
        match self {
            Self::Walk | Self::Cover | Self::Build | Self::Audit => 1,
            Self::Run | Self::Fuzz | Self::Vectors | Self::Trace | Self::Wave | Self::Bundle => 2,
        }
    }

    /// Adds the fields `schema` and `schema_version` to a document.
    pub fn of(self, mut value: Value) -> Value {
        value["schema"] = json!(self.name());
        value["schema_version"] = json!(self.version());
        value
    }
}

pub(super) fn word(word: Option<u64>) -> Value {
    word.map_or(Value::Null, |word| json!(format!("0x{word:05X}")))
}

/// Renders the position of an entry in the tables.
pub fn position(position: &Position, format: Format) -> Value {
    let mut value = json!({
        "stage": position.stage(),
        "level": format.level_name(position.level()),
    });
    if let Position::Host { gpa, purpose, .. } = position {
        value["gpa"] = json!(gpa);
        value["for"] = match *purpose {
            Purpose::Data => json!("data"),
            Purpose::GuestEntry(level) => json!(format.level_name(level)),
            Purpose::GuestUpdate(level) => json!(format!("update of {}", format.level_name(level))),
        };
    }
    value
}

/// Renders all fields of a fault.
pub fn fault(fault: &Fault, format: Format) -> Value {
    let mut value = position(&fault.at, format);
    value["kind"] = json!(fault.kind);
    if let Some(trap) = &fault.trap {
        value["trap"] = json!({
            "cause": trap.cause,
            "gva": trap.gva,
            "tval2": format!("0x{:X}", trap.tval2),
            "tinst": format!("0x{:X}", trap.tinst),
        });
    }
    value
}

/// Renders an outcome.
pub fn outcome(outcome: &Outcome, format: Format) -> Value {
    match outcome {
        Ok(translation) => formats::of(format).translation_json(translation),
        Err(error) => json!({ "fault": fault(error, format) }),
    }
}

/// Renders a query.
pub fn query(query: &Query, format: Format) -> Value {
    formats::of(format).query_json(query)
}

/// Renders a step of a golden walk.
pub fn step(step: &Step, format: Format) -> Value {
    let mut value = json!({
        "stage": step.at.stage(),
        "level": format.level_name(step.at.level()),
        "base": format!("0x{:05X}", step.base),
        "index": step.index,
        "address": format!("0x{:05X}", step.entry),
        "hpa": step.hpa,
        "word": word(step.word),
        "means": super::text::meaning(step, format),
    });
    if let Position::Host { gpa, .. } = step.at {
        value["gpa"] = json!(gpa);
    }
    if let Some(fields) = formats::of(format).fields() {
        value["fields"] = json!(step.word.map(fields));
    }
    if format.updates_entries() {
        value["update"] = word(step.update);
    }
    value
}

/// Renders the golden walk of an access.
pub fn golden_access(access: &GoldenAccess<'_>, format: Format) -> Value {
    let reads = access.steps.iter().filter(|s| s.hpa.is_some()).count();
    let mut value = json!({
        "op": access.op,
        "line": access.access.line,
        "query": query(&access.query, format),
        "steps": access.steps.iter().map(|s| step(s, format)).collect::<Vec<_>>(),
        "walk_reads": reads,
        "as_expected": access.is_compared().then_some(access.differences.is_empty()),
        "differences": access.differences,
    });
    match &access.found {
        Ok(mapping) => {
            value["gpa"] = json!(mapping.gpa);
            value["hpa"] = json!(mapping.hpa);
            value["accesses"] = json!(reads + 1);
            formats::of(format).add_mapping(mapping, &mut value);
        }
        Err(error) => {
            value["fault"] = fault(error, format);
            let why = formats::of(format).why(error, &access.query, &access.steps);
            if let Some(why) = why {
                value["fault"]["why"] = json!(why);
            }
        }
    }
    value
}

fn read(read: &Read) -> Value {
    json!({ "hpa": read.at, "word": word(read.word), "cycle": read.cycle })
}

/// Renders an access on the device. `differences` are the differences from the expectations of the
/// scenario; none if nothing is expected or the access has no response.
pub fn device_access(
    access: &DeviceAccess,
    recorder: &Recorder,
    differences: Option<&[String]>,
    format: Format,
) -> Value {
    let walk = access.walk.map(|walk| &recorder.walks[walk]);
    json!({
        "accepted": access.accepted,
        "answered": access.answered.map(|(cycle, _, _)| cycle),
        "hit": access.answered.map(|(_, _, hit)| hit),
        "merged": access.merged,
        "second_level": access.by_second,
        "outcome": access.answered.map(|(_, answer, _)| outcome(&answer, format)),
        "slot": walk.map(|walk| walk.slot),
        "reads": walk.map(|walk| walk.reads.iter().map(read).collect::<Vec<_>>()),
        "as_expected": differences.map(<[String]>::is_empty),
        "differences": differences.unwrap_or_default(),
    })
}

/// Renders a mismatch, without its operation. `memory` is the memory of the golden walk behind the
/// words that the device was given.
pub fn mismatch_of(found: &Mismatch, memory: &HostMemory, format: Format) -> Value {
    let mut value = json!({
        "check": found.check(),
        "clause": mismatch::clause(found.clause(format)),
        "cycle": found.cycle,
        "expected": mismatch::expected(&found.violation, format),
        "observed": mismatch::observed(&found.violation, format),
        "reads": found.reads.iter().map(read).collect::<Vec<_>>(),
        "wrong_read": found.wrong_read,
    });
    if let Some(asked) = &found.query {
        let (steps, golden) = super::golden_beside(format, asked, &found.reads, memory);
        let answer = crate::golden::outcome(&golden);
        value["query"] = query(asked, format);
        value["golden"] = json!({
            "steps": steps.iter().map(|s| step(s, format)).collect::<Vec<_>>(),
            "outcome": outcome(&answer, format),
        });
    }
    value
}

/// Renders the failure of a run.
pub fn failure(scenario: &Scenario, failed: &Failed) -> Value {
    let format = scenario.machine.format;
    match &failed.failure {
        Failure::Mismatch(found) => {
            let mut value = mismatch_of(found, &failed.memory, format);
            value["kind"] = json!("mismatch");
            value["op"] = json!(found.op);
            value
        }
        Failure::Hang { cycle, op, since } => {
            json!({ "kind": "hang", "cycle": cycle, "op": op, "since": since })
        }
        Failure::Device { cycle, error } => {
            json!({ "kind": "assertion", "cycle": cycle, "error": error.to_string() })
        }
    }
}
