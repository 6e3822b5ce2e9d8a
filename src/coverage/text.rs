// SPDX-License-Identifier: Apache-2.0
//! Coverage as text.

use std::collections::BTreeMap;
use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::Coverage;
use super::covergroup::Rule;
use super::model::Model;
use crate::format::Format;

/// Renders the runs and each format: its groups, the bins that are not reached (at most `most` of
/// each group), and the impossible bins with their reasons.
pub fn report(coverage: &Coverage, most: usize) -> String {
    let mut out = runs(coverage);
    for format in coverage.formats() {
        out.push('\n');
        out.push_str(&of_format(coverage, format, most));
    }
    out
}

fn runs(coverage: &Coverage) -> String {
    let mut out = String::new();
    for run in &coverage.runs {
        let part = match run.scenarios == run.of {
            true => String::new(),
            false => format!(", {} of its {} scenarios", run.scenarios, run.of),
        };
        let _ = writeln!(
            out,
            "fuzz --profile {} --seed {} --count {} (version {}){part}: {} accesses in {} cycles",
            run.profile, run.seed, run.count, run.version, run.accesses, run.cycles
        );
    }
    out
}

fn of_format(coverage: &Coverage, format: Format, most: usize) -> String {
    let model = Model::of(format);
    let total = coverage.total(format);
    let mut out = format!(
        "{format}: {} of {} reachable bins reached, {:.1} %\n",
        total.reached,
        total.reachable,
        total.percent()
    );
    if total.not_visible + total.not_able > 0 {
        let _ = writeln!(
            out,
            "{} more are not visible, and {} need an ability that the device does not have",
            total.not_visible, total.not_able
        );
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "group",
        "reached",
        "of",
        "%",
        "impossible",
        "not visible",
        "not able",
        "counts",
    ]);
    for group in &model.groups {
        let summary = coverage.summary(format, group);
        table.add_row([
            group.name.to_owned(),
            summary.reached.to_string(),
            summary.reachable.to_string(),
            match summary.reachable {
                0 => "-".to_owned(),
                _ => format!("{:.1}", summary.percent()),
            },
            summary.impossible.to_string(),
            summary.not_visible.to_string(),
            summary.not_able.to_string(),
            group.about.to_owned(),
        ]);
    }
    for column in 1..=6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for line in table.lines() {
        let _ = writeln!(out, "{}", line.trim_end());
    }

    for (group, bin) in coverage.contradictions(format) {
        let why = match group.rules[bin] {
            Rule::Impossible(why) => why,
            _ => continue,
        };
        let _ = writeln!(
            out,
            "REACHED, ALTHOUGH IMPOSSIBLE: {}: {} ({why}): {} times",
            group.name,
            group.bin_name(bin),
            coverage.group(format, group)[bin]
        );
    }
    for group in &model.groups {
        let empty = coverage.empty_bins(format, group);
        if empty.is_empty() {
            continue;
        }
        let axes: Vec<&str> = group.axes.iter().map(|axis| axis.name).collect();
        let _ = writeln!(
            out,
            "not reached yet, {} ({}): {}",
            group.name,
            axes.join(", "),
            empty.len()
        );
        for &bin in empty.iter().take(most) {
            let _ = writeln!(out, "  {}", group.bin_name(bin));
        }
        if empty.len() > most {
            let _ = writeln!(out, "  ... and {} more", empty.len() - most);
        }
    }
    let _ = writeln!(out, "impossible, and why:");
    for (why, bins) in reasons(model, |rule| match rule {
        Rule::Impossible(why) => Some(why),
        _ => None,
    }) {
        let _ = writeln!(out, "  {bins:>6} {why}");
    }
    let not_asked = reasons(model, |rule| match rule {
        Rule::NotAsked(why) => Some(why),
        _ => None,
    });
    if !not_asked.is_empty() {
        let _ = writeln!(out, "bins that no run is asked to reach, and why:");
        for (why, bins) in not_asked {
            let _ = writeln!(out, "  {bins:>6} {why}");
        }
    }
    out
}

/// Returns the number of bins for each reason.
pub(super) fn reasons(
    model: &Model,
    of: fn(Rule) -> Option<&'static str>,
) -> BTreeMap<&'static str, u64> {
    let mut bins = BTreeMap::new();
    for group in &model.groups {
        for why in group.rules.iter().filter_map(|&rule| of(rule)) {
            *bins.entry(why).or_default() += 1;
        }
    }
    bins
}

/// Renders the same as JSON, with every bin that is not reached.
pub fn as_json(coverage: &Coverage) -> Value {
    let formats = coverage.formats().map(|format| {
        let model = Model::of(format);
        let groups = model.groups.iter().map(|group| {
            let empty = coverage.empty_bins(format, group);
            let empty: Vec<String> = empty.into_iter().map(|bin| group.bin_name(bin)).collect();
            let axes: Vec<&str> = group.axes.iter().map(|axis| axis.name).collect();
            json!({
                "group": group.name,
                "about": group.about,
                "axes": axes,
                "summary": coverage.summary(format, group),
                "not_reached": empty,
            })
        });
        let contradictions = coverage.contradictions(format);
        let contradictions = contradictions
            .into_iter()
            .map(|(group, bin)| json!({ "group": group.name, "bin": group.bin_name(bin) }));
        json!({
            "format": format,
            "summary": coverage.total(format),
            "groups": groups.collect::<Vec<_>>(),
            "reached_and_held_impossible": contradictions.collect::<Vec<_>>(),
        })
    });
    json!({ "runs": coverage.runs, "formats": formats.collect::<Vec<_>>() })
}
