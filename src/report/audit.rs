// SPDX-License-Identifier: Apache-2.0
//! The violations of a recording as text and as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::json as values;
use super::mismatch::{self, rests_on, title};
use super::text::{self, count};
use crate::bench::auditor::{Auditor, Figures, Finding};
use crate::bench::clause::Clause;

/// The title of a violation: two violations with the same title are of the same check.
pub fn title_of(finding: &Finding) -> &'static str {
    match finding {
        Finding::Mismatch(mismatch) => title(mismatch.check()),
        Finding::Unknown { .. } => "unknown bits at an output",
    }
}

/// The name of the check of a violation in JSON.
pub fn check_of(finding: &Finding) -> &'static str {
    match finding {
        Finding::Mismatch(mismatch) => mismatch.check().name(),
        Finding::Unknown { .. } => "unknown-bits",
    }
}

/// The clause on which the rule of a port rests.
fn clause_of_port(port: &str) -> Clause {
    Clause::Ports(match port.split('_').next() {
        Some("mem") => "Memory",
        Some("fence") => "Fence",
        _ => "Request and response",
    })
}

/// Describes a violation of a number, from 1.
pub fn violation(number: u64, finding: &Finding, auditor: &Auditor) -> String {
    let format = auditor.description().format;
    let cycle = finding.cycle();
    let time = auditor.time_of(cycle);
    let time = time.map_or_else(String::new, |time| format!(" (time {time})"));
    let mut text = format!(
        "VIOLATION {number} in cycle {cycle}{time}: {}\n",
        title_of(finding)
    );
    match finding {
        Finding::Unknown { port, .. } => {
            let _ = write!(
                text,
                "  expected: each bit of `{port}` is 0 or 1\n  observed: bits that are neither\n  \
                 rests on: {}\n",
                rests_on(clause_of_port(port))
            );
        }
        Finding::Mismatch(mismatch) => {
            if let (Some(op), Some(query)) = (mismatch.op, &mismatch.query) {
                let accepted = auditor.accepted(op);
                let accepted = accepted
                    .map_or_else(String::new, |cycle| format!(", accepted in cycle {cycle}"));
                let query = text::query(query, format);
                let _ = writeln!(text, "  request {op}{accepted}: {query}");
            }
            text.push_str(&text::both_sides(mismatch, auditor.memory(), format));
        }
    }
    text
}

/// Renders a violation.
pub fn violation_json(finding: &Finding, auditor: &Auditor) -> Value {
    let cycle = finding.cycle();
    let mut value = match finding {
        Finding::Mismatch(found) => {
            let format = auditor.description().format;
            let mut value = values::mismatch_of(found, auditor.memory(), format);
            value["request"] = json!(found.op);
            value["accepted"] = json!(found.op.and_then(|op| auditor.accepted(op)));
            value
        }
        Finding::Unknown { port, .. } => json!({
            "check": check_of(finding),
            "clause": mismatch::clause(clause_of_port(port)),
            "cycle": cycle,
            "port": port,
        }),
    };
    value["time"] = json!(auditor.time_of(cycle));
    value
}

/// Describes the figures of a recording in one line.
pub fn figures(figures: &Figures) -> String {
    let stats = &figures.stats;
    let mut parts = vec![
        count(stats.cycles, "cycle"),
        count(stats.accesses, "response"),
        count(stats.faults, "fault"),
        count(stats.reads, "memory read"),
        count(stats.updates, "update"),
        count(stats.fences, "fence"),
    ];
    if figures.resets > 0 {
        parts.push(count(figures.resets, "reset"));
    }
    if stats.replays > 0 {
        parts.push(count(stats.replays, "replay"));
    }
    if figures.open > 0 {
        parts.push(format!(
            "{} open at the end",
            count(figures.open, "request")
        ));
    }
    parts.join(", ")
}

/// What was not checked, line by line.
pub fn not_checked(figures: &Figures, sees_waits: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if figures.begins_midway {
        lines.push(format!(
            "the recording does not begin in reset: {} to requests from before it; a hit of a page \
             from before it is accepted",
            count(figures.before, "response")
        ));
    }
    if figures.unjudged > 0 {
        lines.push(format!(
            "{} to requests that were in flight at a violation",
            count(figures.unjudged, "response")
        ));
    }
    if figures.is_blind {
        lines.push(
            "walks and responses up to a reset: page-walk caches may contain words of walks that \
             are not known"
                .to_owned(),
        );
    }
    if !sees_waits {
        lines.push(
            "stalls and stable ports: the events do not show what is offered and not accepted"
                .to_owned(),
        );
    }
    lines
}

/// Renders the figures of a recording.
pub fn figures_json(figures: &Figures) -> Value {
    let stats = &figures.stats;
    json!({
        "cycles": stats.cycles,
        "responses": stats.accesses,
        "faults": stats.faults,
        "hits": stats.hits,
        "reads": stats.reads,
        "updates": stats.updates,
        "fences": stats.fences,
        "replays": stats.replays,
        "resets": figures.resets,
        "before": figures.before,
        "unjudged": figures.unjudged,
        "open": figures.open,
        "begins_midway": figures.begins_midway,
        "blind": figures.is_blind,
    })
}
