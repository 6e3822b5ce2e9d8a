//! The same as JSON. Addresses and words are strings in hexadecimal.

use serde_json::{Value, json};

use super::{DeviceAccess, GoldenAccess, Recorder};
use crate::bench::{Failed, Failure, Read};
use crate::format::Format;
use crate::golden::Step;
use crate::mmu::{Fault, Outcome, Position, Purpose, Query};
use crate::scenario::Scenario;

fn word(word: Option<u32>) -> Value {
    word.map_or(Value::Null, |word| json!(format!("0x{word:05X}")))
}

/// A fault, every field.
pub fn fault(fault: &Fault, format: Format) -> Value {
    let mut value = json!({
        "kind": fault.kind,
        "stage": fault.at.stage(),
        "level": format.level_name(fault.at.level()),
    });
    if let Position::Host { gpa, purpose, .. } = fault.at {
        value["gpa"] = json!(gpa);
        value["for"] = match purpose {
            Purpose::Data => json!("data"),
            Purpose::GuestEntry(level) => json!(format.level_name(level)),
        };
    }
    value
}

/// An answer.
pub fn outcome(outcome: &Outcome, format: Format) -> Value {
    match outcome {
        Ok(translation) => json!({
            "hpa": translation.hpa,
            "page_bytes": 1u64 << translation.page_size,
        }),
        Err(error) => json!({ "fault": fault(error, format) }),
    }
}

/// What was asked.
pub fn query(query: &Query) -> Value {
    json!({
        "access": query.access,
        "gva": query.gva,
        "guest_root": query.context.guest_root,
        "host_root": query.context.host_root,
        "rights": query.context.rights,
        "asid": query.context.asid,
        "vmid": query.context.vmid,
    })
}

/// A step of a golden walk.
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
    value
}

/// An access on the golden model.
pub fn golden_access(access: &GoldenAccess<'_>, format: Format) -> Value {
    let reads = access.steps.iter().filter(|s| s.hpa.is_some()).count();
    let mut value = json!({
        "op": access.op,
        "line": access.access.line,
        "query": query(&access.query),
        "steps": access.steps.iter().map(|s| step(s, format)).collect::<Vec<_>>(),
        "walk_reads": reads,
        "expected": access.access.expect.is_some(),
        "differences": access.differences,
    });
    match &access.found {
        Ok(mapping) => {
            value["gpa"] = json!(mapping.gpa);
            value["hpa"] = json!(mapping.hpa);
            value["accesses"] = json!(reads + 1);
        }
        Err(error) => value["fault"] = fault(error, format),
    }
    value
}

fn read(read: &Read) -> Value {
    json!({ "hpa": read.at, "word": word(read.word), "cycle": read.cycle })
}

/// An access on the device.
pub fn device_access(
    access: &DeviceAccess,
    recorder: &Recorder,
    differences: &[String],
    format: Format,
) -> Value {
    let walk = access.walk.map(|walk| &recorder.walks[walk]);
    json!({
        "accepted": access.accepted,
        "answered": access.answered.map(|(cycle, _, _)| cycle),
        "hit": access.answered.map(|(_, _, hit)| hit),
        "merged": access.merged,
        "outcome": access.answered.map(|(_, answer, _)| outcome(&answer, format)),
        "slot": walk.map(|walk| walk.slot),
        "reads": walk.map(|walk| walk.reads.iter().map(read).collect::<Vec<_>>()),
        "differences": differences,
    })
}

/// Why a run failed.
pub fn failure(scenario: &Scenario, failed: &Failed) -> Value {
    let format = scenario.machine.format;
    match &failed.failure {
        Failure::Mismatch(mismatch) => {
            let mut value = json!({
                "kind": "mismatch",
                "check": mismatch.check,
                "cycle": mismatch.cycle,
                "op": mismatch.op,
                "expected": mismatch.expected,
                "got": mismatch.got,
                "reads": mismatch.reads.iter().map(read).collect::<Vec<_>>(),
                "wrong_read": mismatch.wrong_read,
            });
            if let Some(asked) = &mismatch.query {
                let (steps, found) =
                    super::golden_beside(format, asked, &mismatch.reads, &failed.memory);
                let answer = crate::golden::answer(format, &found);
                value["query"] = query(asked);
                value["golden"] = json!({
                    "steps": steps.iter().map(|s| step(s, format)).collect::<Vec<_>>(),
                    "outcome": outcome(&answer, format),
                });
            }
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
