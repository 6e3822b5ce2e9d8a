// SPDX-License-Identifier: Apache-2.0
//! Walks and failures as text.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};

use super::formats;
use super::mismatch::{Sides, rests_on, title};
use crate::addr::{Gpa, Hpa};
use crate::bench::{Failed, Failure, Mismatch, Read, Stats};
use crate::format::Format;
use crate::golden::{self, Mapping, Meaning, Step};
use crate::memory::HostMemory;
use crate::mmu::{Fault, Position, Purpose, Query, describe_outcome};
use crate::scenario::{Op, Scenario};

/// Renders a number with its noun, which has an `s` or `es` unless the number is 1.
pub(crate) fn count(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        number if noun.ends_with('s') => format!("{number} {noun}es"),
        number => format!("{number} {noun}s"),
    }
}

/// Describes a query in one line.
pub fn query(query: &Query, format: Format) -> String {
    formats::of(format).query(query)
}

fn table_name(step: &Step, format: Format) -> String {
    let level = format.level_name(step.at.level());
    match step.at {
        Position::Guest { .. } => format!("guest {level}"),
        Position::Host { .. } => format!("  host {level}"),
    }
}

fn arithmetic(step: &Step, format: Format) -> String {
    format!(
        "0x{:05X} + {}*{} = 0x{:05X}",
        step.base,
        step.index,
        format.geometry().pte_bytes(),
        step.entry
    )
}

fn gpa(step: &Step) -> Gpa {
    match step.at {
        Position::Guest { .. } => Gpa(step.entry),
        Position::Host { gpa, .. } => gpa,
    }
}

/// Describes the decision of a step.
pub fn meaning(step: &Step, format: Format) -> String {
    let next = || format.level_name(step.at.level().saturating_sub(1));
    let rules = formats::of(format);
    let text = match step.meaning {
        Meaning::GuestTable(at) => format!("guest {} table is at gPA {at}", next()),
        Meaning::HostTable(at) => format!("host {} table is at hPA {at}", next()),
        Meaning::DataGpa(gpa) => format!("the data is at gPA {gpa}"),
        Meaning::Found(hpa) => match step.at {
            Position::Host {
                purpose: Purpose::GuestEntry(level) | Purpose::GuestUpdate(level),
                ..
            } => format!(
                "the guest {} entry is at hPA {hpa}",
                format.level_name(level)
            ),
            _ => format!("the data is at hPA {hpa}"),
        },
        Meaning::SetAccessedDirty => rules.to_be_set(step).to_owned(),
        Meaning::Fault(kind) => {
            return format!("FAULT {kind}: {}", rules.fault(format, step, kind));
        }
    };
    rules.note(format, step) + &text
}

fn hex(word: Option<u64>, format: Format) -> String {
    let digits = formats::of(format).word_digits(format);
    word.map_or_else(|| "-".to_owned(), |word| format!("0x{word:0digits$X}"))
}

fn or_dash(hpa: Option<Hpa>) -> String {
    hpa.map_or_else(|| "-".to_owned(), |hpa| hpa.to_string())
}

/// Renders the steps of a walk as a table. With `cycles`, each memory read has the cycle in which a
/// device made it.
pub fn walk(
    format: Format,
    steps: &[Step],
    found: &Result<Mapping, Fault>,
    cycles: Option<&[Read]>,
) -> String {
    let rules = formats::of(format);
    let fields = rules.fields();
    let mut rows = Vec::new();
    let mut header = vec![
        "#",
        "table",
        "base + index*size = address",
        "gPA",
        "hPA",
        "word",
        "means",
    ];
    if fields.is_some() {
        header.insert(6, "fields");
    }
    if cycles.is_some() {
        header.insert(1, "cycle");
    }
    rows.push(header.into_iter().map(str::to_owned).collect());
    let mut reads = 0;
    for step in steps {
        let mut row = vec![
            if step.hpa.is_some() {
                (reads + 1).to_string()
            } else {
                "-".to_owned()
            },
            table_name(step, format),
            arithmetic(step, format),
            gpa(step).to_string(),
            or_dash(step.hpa),
            hex(step.word, format),
            meaning(step, format),
        ];
        if let Some(fields) = fields {
            row.insert(6, step.word.map_or_else(|| "-".to_owned(), fields));
        }
        if let Some(cycles) = cycles {
            let cycle = step.hpa.and_then(|_| cycles.get(reads));
            row.insert(
                1,
                cycle.map_or_else(|| "-".to_owned(), |r| r.cycle.to_string()),
            );
        }
        reads += usize::from(step.hpa.is_some());
        rows.push(row);
    }
    if let Ok(mapping) = found {
        let mut row = vec![
            (reads + 1).to_string(),
            "the data".to_owned(),
            String::new(),
            mapping.gpa.to_string(),
            mapping.hpa.to_string(),
            String::new(),
            "data access".to_owned(),
        ];
        if fields.is_some() {
            row.insert(6, String::new());
        }
        if cycles.is_some() {
            row.insert(1, String::new());
        }
        rows.push(row);
    }
    let mut text = table(&rows);
    match found {
        Ok(mapping) => writeln!(
            text,
            "  => {} in the walk, {} with the data access",
            rules.found(format, mapping, steps),
            count(reads as u64 + 1, "memory access")
        ),
        Err(fault) => writeln!(
            text,
            "  => {} in the walk, no data access",
            rules.faulted(format, fault, steps)
        ),
    }
    .expect("writing to a string");
    text
}

/// Describes the trap of a fault, and the clause by which the walk faults, if the format has them.
pub fn trap(
    query: &Query,
    steps: &[Step],
    found: &Result<Mapping, Fault>,
    format: Format,
) -> String {
    let Err(fault) = found else {
        return String::new();
    };
    let rules = formats::of(format);
    let trap = rules
        .trap(fault, query)
        .map(|trap| format!("  trap: {trap}\n"));
    let why = rules
        .why(fault, query, steps)
        .map(|why| format!("  why: {why}\n"));
    trap.unwrap_or_default() + &why.unwrap_or_default()
}

/// Renders rows of cells in columns. The first row is a heading.
fn table(rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for row in rows {
        table.add_row(row);
    }
    if let Some(column) = table.column_mut(0) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = String::new();
    for line in table.lines() {
        writeln!(text, "{}", line.trim_end()).expect("writing to a string");
    }
    text
}

/// Renders the walk of the golden model and the walk of the device side by side, read by read.
fn side_by_side(format: Format, steps: &[Step], reads: &[Read], wrong: Option<usize>) -> String {
    let golden: Vec<&Step> = steps.iter().filter(|step| step.hpa.is_some()).collect();
    let header = [
        "#",
        "golden model",
        "hPA",
        "word",
        "means",
        "",
        "device hPA",
        "word",
        "cycle",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for number in 0..golden.len().max(reads.len()) {
        let mut row = vec![(number + 1).to_string()];
        match golden.get(number) {
            Some(step) => row.extend([
                table_name(step, format),
                or_dash(step.hpa),
                hex(step.word, format),
                meaning(step, format),
            ]),
            None => row.extend(["-", "-", "-", "no further read"].map(str::to_owned)),
        }
        row.push(if wrong == Some(number) { "<>" } else { "" }.to_owned());
        match reads.get(number) {
            Some(read) => row.extend([
                read.at.to_string(),
                hex(read.word, format),
                read.cycle.to_string(),
            ]),
            None => row.extend(["-", "-", "-"].map(str::to_owned)),
        }
        rows.push(row);
    }
    if let Some(step) = steps.iter().find(|step| step.hpa.is_none()) {
        let mut row = vec!["-".to_owned(), table_name(step, format)];
        row.extend(["-".to_owned(), "-".to_owned(), meaning(step, format)]);
        rows.push(row);
    }
    table(&rows)
}

/// Describes both sides of a mismatch, the clause that it rests on, and both walks if there are any.
/// `memory` is the memory of the golden walk behind the words that the device was given.
pub fn both_sides(mismatch: &Mismatch, memory: &HostMemory, format: Format) -> String {
    let Sides { expected, observed } = Sides::of(&mismatch.violation, format);
    let mut text = format!(
        "  expected: {expected}\n  observed: {observed}\n  rests on: {}\n",
        rests_on(mismatch.clause(format))
    );
    if let Some(query) = &mismatch.query {
        let (steps, found) = super::golden_beside(format, query, &mismatch.reads, memory);
        text.push_str(match mismatch.reads.is_empty() {
            true => "  golden walk over the present memory; the device has read nothing:\n",
            false => "  both walks:\n",
        });
        let (reads, wrong) = (&mismatch.reads, mismatch.wrong_read);
        text.push_str(&side_by_side(format, &steps, reads, wrong));
        let outcome = describe_outcome(&golden::outcome(&found), format);
        let _ = writeln!(text, "  golden model: {outcome}");
    }
    text
}

/// Describes the failure of a run, with both walks if there are any.
pub fn failure(scenario: &Scenario, failed: &Failed) -> String {
    let format = scenario.machine.format;
    let mut text = String::new();
    let op_line = |op: usize| match scenario.ops.get(op) {
        Some(Op::Access(access)) => format!(
            "op {op}: {} (context {})",
            query(&super::query(scenario, access), format),
            scenario.contexts[access.context].name
        ),
        Some(Op::Fence(fence)) => format!("op {op}: {fence}"),
        _ => format!("op {op}"),
    };
    match &failed.failure {
        Failure::Mismatch(mismatch) => {
            let _ = writeln!(
                text,
                "MISMATCH in cycle {}: {}",
                mismatch.cycle,
                title(mismatch.check())
            );
            if let Some(op) = mismatch.op {
                let _ = writeln!(text, "  {}", op_line(op));
            }
            text.push_str(&both_sides(mismatch, &failed.memory, format));
        }
        Failure::Hang { cycle, op, since } => {
            let _ = writeln!(
                text,
                "HANG in cycle {cycle}: this operation has waited since cycle {since}:\n  {}",
                op_line(*op)
            );
        }
        Failure::Device { cycle, error } => {
            let _ = writeln!(text, "RTL ASSERTION in cycle {cycle}: {error}");
        }
    }
    text
}

/// Describes the figures of a run in one line.
pub fn stats(stats: &Stats) -> String {
    let per = |a: u64, b: u64| if b == 0 { 0.0 } else { a as f64 / b as f64 };
    let l2 = match stats.second_hits {
        0 => String::new(),
        hits => format!(
            " ({:.1} % in the L2 TLB)",
            100.0 * per(hits, stats.accesses)
        ),
    };
    let replays = match stats.replays {
        0 => String::new(),
        replays => format!(" ({})", count(replays, "replay")),
    };
    // A device that shows no walks shows their memory reads.
    let walks = match (stats.walks, stats.reads) {
        (0, 1..) => format!(
            "{}; hits and page walks are not visible",
            count(stats.reads, "memory read")
        ),
        _ => format!(
            "TLB hit rate {:.1} %{l2}; {}, {:.2} memory reads each; {} coalesced",
            100.0 * per(stats.hits, stats.accesses),
            count(stats.walks, "page walk"),
            per(stats.reads, stats.walks),
            count(stats.merged, "request"),
        ),
    };
    format!(
        "{} in {}: {walks}; {}; {}{replays}; {}",
        count(stats.accesses, "access"),
        count(stats.cycles, "cycle"),
        count(stats.faults, "fault"),
        count(stats.fences, "fence"),
        count(stats.edits, "edit"),
    )
}
