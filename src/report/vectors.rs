// SPDX-License-Identifier: Apache-2.0
//! Results of vector files, as text and JSON.

use std::fmt::Write;
use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::text;
use crate::addr::Hpa;
use crate::bench::Read;
use crate::format::riscv::{Privilege, mode_name};
use crate::golden::Step;
use crate::mmu::Stage;
use crate::shown;
use crate::vectors::check::{Disagreement, Report, Tally};
use crate::vectors::{Tag, Vector};

/// Returns the tallies that the report has, by name.
fn tallies(report: &Report) -> impl Iterator<Item = (&'static str, &Tally)> {
    let tallies = [("golden", &report.golden), ("rtl", &report.rtl)];
    let there = tallies.into_iter();
    there.filter_map(|(name, tally)| Some((name, tally.as_ref()?)))
}

/// Renders a report as text.
pub fn text(path: &Path, report: &Report) -> String {
    let mut out = format!("{}: {} vectors", shown::path(path), report.vectors);
    if report.interrupted {
        out.push_str(", interrupted");
    }
    out.push('\n');
    let mut fields: Vec<_> = tallies(report)
        .flat_map(|(_, tally)| tally.fields.keys().copied())
        .collect();
    fields.sort_unstable();
    fields.dedup();

    let mut header = vec!["".to_owned(), "agree".to_owned(), "disagree".to_owned()];
    header.extend(fields.iter().map(|field| format!("in {}", field.name())));
    let mut rows = Vec::new();
    for (name, tally) in tallies(report) {
        let mut row = vec![
            name.to_owned(),
            tally.agreeing.to_string(),
            tally.disagreeing.to_string(),
        ];
        row.extend(fields.iter().map(|field| {
            let count = tally.fields.get(field);
            count.map_or_else(|| "-".to_owned(), u64::to_string)
        }));
        rows.push(row);
    }
    out.push_str(&table(header, rows, true));
    for (_, tally) in tallies(report).filter(|(_, tally)| tally.not_able > 0) {
        let s = if tally.not_able == 1 { "" } else { "s" };
        let need = if tally.not_able == 1 { "needs" } else { "need" };
        writeln!(
            out,
            "not checked: {} vector{s} {need} what the device does not have",
            tally.not_able
        )
        .expect("writing to a string");
    }
    for (name, tally) in tallies(report) {
        for disagreement in &tally.first {
            out.push('\n');
            out.push_str(&disagreement_text(path, name, disagreement));
        }
        let more = tally.disagreeing - tally.first.len() as u64;
        if more > 0 {
            writeln!(out, "\n{more} more on {name}").expect("writing to a string");
        }
    }
    out
}

fn table(header: Vec<String>, rows: Vec<Vec<String>>, right: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let columns = header.len();
    for row in std::iter::once(header).chain(rows) {
        table.add_row(row);
    }
    for column in 1..columns {
        if let Some(column) = table.column_mut(column).filter(|_| right) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut out = String::new();
    for line in table.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn disagreement_text(path: &Path, name: &str, disagreement: &Disagreement) -> String {
    let Disagreement {
        vector,
        differences,
        ..
    } = disagreement;
    let mut out = format!(
        "{}:{}: {} on {name}\n",
        shown::path(path),
        vector.line,
        vector.id
    );
    writeln!(out, "{}", access_text(vector)).expect("writing to a string");
    if !vector.remark.is_empty() {
        writeln!(out, "the vector stops at {}", vector.remark).expect("writing to a string");
    }
    let rows = differences.iter().map(|difference| {
        vec![
            difference.field.name().to_owned(),
            difference.expected.clone(),
            difference.observed.clone(),
        ]
    });
    let header = ["field", "vector", name].map(str::to_owned).to_vec();
    out.push_str(&table(header, rows.collect(), false));
    out.push_str(&walk_text(disagreement));
    out
}

/// Describes the access of a vector in one line.
fn access_text(vector: &Vector) -> String {
    let context = &vector.context;
    let mode = match (vector.effective, context.virt) {
        ((Privilege::User, _), false) => "U",
        ((Privilege::User, _), true) => "VU",
        ((Privilege::Supervisor, _), false) => "S",
        ((Privilege::Supervisor, _), true) => "VS",
        ((Privilege::Machine, _), _) => "M",
    };
    let stage = |stage, levels, root| match mode_name(stage, levels) {
        Some(name) if levels > 0 => format!("{name} from {root:x}"),
        _ => "bare".to_owned(),
    };
    let mut text = format!(
        "{} of {:x} in {mode}-mode; {}",
        vector.kind.access(),
        vector.va,
        stage(Stage::Guest, context.guest.levels, context.guest.root.0)
    );
    if context.virt {
        let host = stage(Stage::Host, context.host.levels, context.host.root.0);
        text += &format!(", {host}");
    }
    text
}

/// One read or update of a table entry, of the vector, the golden model or the device.
struct Seen {
    at: Hpa,
    tag: Option<Tag>,
    /// The new word of an update.
    update: Option<u64>,
    /// The word and the decision, if they are known.
    more: String,
}

impl Seen {
    fn text(&self) -> String {
        let tag = self.tag.map_or_else(String::new, |tag| format!(" {tag}"));
        let update = self
            .update
            .map_or_else(String::new, |new| format!(" := {new:x}"));
        format!("{:x}{tag}{update}", self.at)
    }

    fn of_vector(vector: &Vector) -> Vec<Self> {
        let reads = vector.reads.iter().map(|&(at, tag)| Seen {
            at,
            tag: Some(tag),
            update: None,
            more: String::new(),
        });
        // A vector gives the order of its updates, but not their place among the reads.
        let writes = vector.writes.iter().map(|&(at, word, tag)| Seen {
            at,
            tag: Some(tag),
            update: Some(word),
            more: String::new(),
        });
        reads.chain(writes).collect()
    }

    fn of_golden(disagreement: &Disagreement) -> Vec<Self> {
        let vector = &disagreement.vector;
        let seen = |step: &Step| {
            let word = step
                .word
                .map_or_else(|| "-".to_owned(), |word| format!("{word:x}"));
            Some(Seen {
                at: step.hpa?,
                tag: Some(Tag::of(step.at, vector.context.virt)),
                update: step.update,
                more: format!("{word}: {}", text::meaning(step, vector.format())),
            })
        };
        disagreement.golden.steps.iter().filter_map(seen).collect()
    }

    fn of_device(accesses: &[Read]) -> Vec<Self> {
        let seen = |read: &Read| Seen {
            at: read.at,
            tag: None,
            update: read.update.map(|update| update.new),
            more: String::new(),
        };
        accesses.iter().map(seen).collect()
    }
}

/// Renders the vector's walk, the golden model's and the device's side by side.
fn walk_text(disagreement: &Disagreement) -> String {
    let vector = Seen::of_vector(&disagreement.vector);
    let golden = Seen::of_golden(disagreement);
    let mut header = vec!["#", "vector", "golden model", "entry"];
    let device = disagreement.device.as_ref();
    let device = device.map(|device| Seen::of_device(&device.accesses));
    if device.is_some() {
        header.insert(3, "device");
    }
    let lengths = [&vector, &golden].map(Vec::len);
    let device_length = device.as_ref().map_or(0, Vec::len);
    let rows = lengths[0].max(lengths[1]).max(device_length);
    let cell = |list: &[Seen], row: usize| list.get(row).map_or_else(String::new, Seen::text);
    let rows = (0..rows).map(|row| {
        let mut cells = vec![
            (row + 1).to_string(),
            cell(&vector, row),
            cell(&golden, row),
        ];
        if let Some(device) = &device {
            cells.push(cell(device, row));
        }
        let more = golden.get(row);
        cells.push(more.map_or_else(String::new, |seen| seen.more.clone()));
        cells
    });
    let header = header.into_iter().map(str::to_owned).collect();
    table(header, rows.collect(), false)
}

/// Renders a report as JSON.
pub fn json(path: &Path, report: &Report) -> Value {
    let mut value = json!({
        "file": path.display().to_string(),
        "vectors": report.vectors,
        "interrupted": report.interrupted,
        "agree": report.agrees(),
    });
    for (name, tally) in tallies(report) {
        let fields = tally.fields.iter();
        let fields: serde_json::Map<_, _> = fields
            .map(|(field, count)| (field.name().to_owned(), json!(count)))
            .collect();
        let first = tally.first.iter().map(disagreement_json);
        value[name] = json!({
            "agreeing": tally.agreeing,
            "disagreeing": tally.disagreeing,
            "not_able": tally.not_able,
            "fields": fields,
            "first": first.collect::<Vec<_>>(),
        });
    }
    value
}

fn disagreement_json(disagreement: &Disagreement) -> Value {
    let list = |seen: &[Seen]| -> Vec<String> { seen.iter().map(Seen::text).collect() };
    let mut walk = json!({
        "vector": list(&Seen::of_vector(&disagreement.vector)),
        "golden": list(&Seen::of_golden(disagreement)),
    });
    if let Some(device) = &disagreement.device {
        walk["device"] = json!(list(&Seen::of_device(&device.accesses)));
        walk["again"] = json!(list(&Seen::of_device(&device.accesses_again)));
    }
    json!({
        "line": disagreement.vector.line,
        "id": disagreement.vector.id,
        "stops": disagreement.vector.remark,
        "differences": disagreement.differences,
        "walk": walk,
    })
}
