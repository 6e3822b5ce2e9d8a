// SPDX-License-Identifier: Apache-2.0
//! Coverage as one self-contained page of HTML: the walk grid of each format as a heat map, and
//! every group.
//!
//! A cell of the grid is a button that opens its figures. The page has no script.

use std::fmt::Write;

use super::axes::{EntryKind, PageSize, WalkPosition, bytes};
use super::covergroup::{Axis, AxisValue, Covergroup, Registered, Rule};
use super::groups::entry::Entry;
use super::groups::entry_use::Use;
use super::groups::fault::Fault;
use super::groups::translation::Translation;
use super::model::{Group, Model};
use super::rtl::{Kind, Report};
use super::text::reasons;
use super::{Coverage, Mode, Summary};
use crate::format::Format;
use crate::mmu::{Access, FaultKind, Purpose};

/// The largest number of bins that a list names. The number of the others follows it.
const LISTED: usize = 200;

const STYLE: &str = include_str!("page.css");

/// Escapes text for HTML.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

/// Formats a number with thousands separators.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202F}');
        }
        out.push(digit);
    }
    out
}

/// Renders the page.
pub fn page(coverage: &Coverage, rtl: Option<&Report>) -> String {
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>nestwalk: coverage</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>nestwalk: coverage</h1>\n"
    );
    runs(&mut out, coverage);
    out.push_str("</header>\n<main>\n");
    for format in coverage.formats() {
        of_format(&mut out, coverage, format);
    }
    if let Some(rtl) = rtl {
        of_rtl(&mut out, rtl);
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn runs(out: &mut String, coverage: &Coverage) {
    if coverage.runs.is_empty() {
        return;
    }
    out.push_str(
        "<table>\n<thead><tr><th>profile</th><th class=\"n\">seed</th>\
         <th class=\"n\">scenarios</th>\
         <th class=\"n\">accesses</th><th class=\"n\">cycles</th><th>version</th></tr></thead>\n\
         <tbody>\n",
    );
    for run in &coverage.runs {
        let scenarios = match run.scenarios == run.of {
            true => grouped(run.scenarios),
            false => format!("{} of {}", grouped(run.scenarios), grouped(run.of)),
        };
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{scenarios}</td>\
             <td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td>{}</td></tr>",
            escape(&run.profile),
            run.seed,
            grouped(run.accesses),
            grouped(run.cycles),
            escape(&run.version)
        );
    }
    out.push_str("</tbody>\n</table>\n");
}

/// Renders a share as a bar and as a number.
fn meter(summary: &Summary) -> String {
    format!(
        "<span class=\"bar\"><span style=\"width:{:.1}%\"></span></span> {:.1}&nbsp;%",
        summary.percent(),
        summary.percent()
    )
}

/// Renders the numbers of bins that the runs cannot see or reach; nothing if there are none.
fn hidden(summary: &Summary) -> String {
    if summary.not_visible + summary.not_able == 0 {
        return String::new();
    }
    format!(
        "<p>{} more are not visible, and {} need an ability that the device does not have.</p>\n",
        grouped(summary.not_visible),
        grouped(summary.not_able)
    )
}

fn of_format(out: &mut String, coverage: &Coverage, format: Format) {
    let model = Model::of(format);
    let total = coverage.total(format);
    let _ = writeln!(
        out,
        "<section>\n<h2>{format}</h2>\n<p class=\"total\">{} of {} reachable bins reached {}</p>",
        grouped(total.reached),
        grouped(total.reachable),
        meter(&total)
    );
    out.push_str(&hidden(&total));
    grid(out, coverage, model);
    out.push_str("<h3>Groups</h3>\n");
    for group in &model.groups {
        of_group(out, coverage, model, group);
    }
    let list = |out: &mut String, title: &str, of: fn(Rule) -> Option<&'static str>| {
        let reasons = reasons(model, of);
        if reasons.is_empty() {
            return;
        }
        let _ = write!(
            out,
            "<details>\n<summary>{title}</summary>\n<table>\n<tbody>\n"
        );
        for (why, bins) in reasons {
            let _ = writeln!(
                out,
                "<tr><td class=\"n\">{}</td><td>{}</td></tr>",
                grouped(bins),
                escape(why)
            );
        }
        out.push_str("</tbody>\n</table>\n</details>\n");
    };
    list(
        out,
        "Bins that are impossible, and why",
        |rule| match rule {
            Rule::Impossible(why) => Some(why),
            _ => None,
        },
    );
    list(
        out,
        "Bins that no run is asked to reach, and why",
        |rule| match rule {
            Rule::NotAsked(why) => Some(why),
            _ => None,
        },
    );
    out.push_str("</section>\n");
}

/// A table of counts. Empty rows and columns are left out.
struct Counts {
    corner: &'static str,
    rows: Vec<String>,
    columns: Vec<String>,
    counts: Vec<u64>,
}

impl Counts {
    fn new(corner: &'static str, rows: Vec<String>, columns: Vec<String>) -> Self {
        let counts = vec![0; rows.len() * columns.len()];
        Self {
            corner,
            rows,
            columns,
            counts,
        }
    }

    /// Adds to a cell, which is given by the numbers of its values on their axes.
    fn add(&mut self, row: Option<usize>, column: Option<usize>, count: u64) {
        if let (Some(row), Some(column)) = (row, column) {
            let cell = &mut self.counts[row * self.columns.len() + column];
            *cell = cell.saturating_add(count);
        }
    }

    fn write(&self, out: &mut String) {
        let width = self.columns.len();
        let row_of = |row: usize| &self.counts[row * width..][..width];
        let used: Vec<usize> = (0..width)
            .filter(|&column| (0..self.rows.len()).any(|row| row_of(row)[column] > 0))
            .collect();
        if used.is_empty() {
            return;
        }
        let _ = write!(out, "<table>\n<thead><tr><th>{}</th>", escape(self.corner));
        for &column in &used {
            let _ = write!(
                out,
                "<th class=\"n\">{}</th>",
                escape(&self.columns[column])
            );
        }
        out.push_str("</tr></thead>\n<tbody>\n");
        for (row, name) in self.rows.iter().enumerate() {
            if row_of(row).iter().all(|&count| count == 0) {
                continue;
            }
            let _ = write!(out, "<tr><th>{}</th>", escape(name));
            for &column in &used {
                let count = row_of(row)[column];
                let text = if count > 0 {
                    grouped(count)
                } else {
                    String::new()
                };
                let _ = write!(out, "<td class=\"n\">{text}</td>");
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody>\n</table>\n");
    }
}

/// The figures of a cell of the grid.
struct Cell {
    title: String,
    /// Entries that a walk has read or faulted at.
    seen: u64,
    summary: Summary,
    tables: Vec<Counts>,
    missing: Vec<String>,
}

impl Cell {
    /// Adds a bin to the cell.
    fn add<G: Covergroup>(&mut self, model: &Model, bin: G, rule: Rule, count: u64) {
        if rule != Rule::Reachable {
            return;
        }
        self.summary.reachable += 1;
        self.summary.reached += u64::from(count > 0);
        if count == 0 {
            self.missing
                .push(format!("{}: {}", G::NAME, model.bin_name(bin)));
        }
    }
}

/// Renders the walk grid: guest levels by host levels, and a row of the host's walk for the data.
/// The last column has the guest entries and the translations.
fn grid(out: &mut String, coverage: &Coverage, model: &Model) {
    let format = model.format();
    let levels = format.geometry().levels;
    let _ = write!(
        out,
        "<h3>The walk</h3>\n<p>The host's table translates the gPA of each guest entry, and the \
         gPA of the data. A cell is an entry that the walk reads: how often it was read, and the \
         share of its bins that was reached. A cell is dashed if a bin of it was not reached. \
         Open a cell for its bins.</p>\n\
         <table class=\"grid\">\n<thead><tr><th>gPA of</th>"
    );
    for level in (0..levels).rev() {
        let _ = write!(out, "<th>host {}</th>", format.level_name(level));
    }
    out.push_str("<th>guest</th></tr></thead>\n<tbody>\n");
    let mut panels = String::new();
    let rows = (0..levels).rev().map(Some).chain([None]);
    let mut cells: Vec<(String, Vec<Cell>)> = Vec::new();
    for row in rows {
        let name = row.map_or("the data".to_owned(), |level| {
            format!("guest {}", format.level_name(level))
        });
        let mut line: Vec<Cell> = (0..levels)
            .rev()
            .map(|level| {
                let title = format!("host {} for {name}", format.level_name(level));
                let purposes = match row {
                    None => vec![Purpose::Data],
                    Some(guest) => vec![Purpose::GuestEntry(guest), Purpose::GuestUpdate(guest)],
                };
                let places = purposes
                    .into_iter()
                    .map(|purpose| WalkPosition::Host { level, purpose });
                entry_cell(coverage, model, title, &places.collect::<Vec<_>>())
            })
            .collect();
        line.push(match row {
            Some(level) => entry_cell(
                coverage,
                model,
                format!("the guest {} entry", format.level_name(level)),
                &[WalkPosition::Guest { level }],
            ),
            None => data_cell(coverage, model),
        });
        cells.push((name, line));
    }
    let seen = || {
        let cells = cells.iter().flat_map(|(_, line)| line);
        cells.map(|cell| cell.seen).filter(|&seen| seen > 0)
    };
    let (least, most) = (seen().min().unwrap_or(1), seen().max().unwrap_or(1));
    let log = |seen: u64| (seen as f64).ln();
    let heat = |seen: u64| match (seen, most > least) {
        (0, _) => 0.0,
        (_, false) => 40.0,
        (seen, true) => 10.0 + 65.0 * (log(seen) - log(least)) / (log(most) - log(least)),
    };
    for (row, (name, line)) in cells.iter().enumerate() {
        let _ = write!(out, "<tr><th>{name}</th>");
        for (column, cell) in line.iter().enumerate() {
            let id = format!("{format}-{row}-{column}");
            let class = if cell.summary.reached < cell.summary.reachable {
                " class=\"part\""
            } else {
                ""
            };
            let _ = write!(
                out,
                "<td><button popovertarget=\"{id}\" style=\"--heat:{:.0}%\"{class} \
                 aria-label=\"{}: {} seen, {:.1} % of its bins\">\
                 <b>{}</b><small>{:.1}&nbsp;%</small></button></td>",
                heat(cell.seen),
                escape(&cell.title),
                cell.seen,
                cell.summary.percent(),
                grouped(cell.seen),
                cell.summary.percent()
            );
            panel(&mut panels, &id, cell);
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
    out.push_str(&panels);
}

fn panel(out: &mut String, id: &str, cell: &Cell) {
    let _ = writeln!(
        out,
        "<div popover id=\"{id}\" role=\"dialog\" aria-label=\"{0}\">\n\
         <button class=\"close\" popovertarget=\"{id}\" popovertargetaction=\"hide\" \
         aria-label=\"close\" autofocus>×</button>\n\
         <h4>{0}</h4>\n<p>{1} of {2} bins reached {3}</p>",
        escape(&cell.title),
        cell.summary.reached,
        cell.summary.reachable,
        meter(&cell.summary)
    );
    for table in &cell.tables {
        table.write(out);
    }
    missing(out, &cell.missing);
    out.push_str("</div>\n");
}

/// Renders the bins that are not reached, folded behind their number.
fn missing(out: &mut String, names: &[String]) {
    if names.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "<details>\n<summary>Not reached yet: {}</summary>\n<ul>",
        grouped(names.len() as u64)
    );
    for name in names.iter().take(LISTED) {
        let _ = writeln!(out, "<li>{}</li>", escape(name));
    }
    if names.len() > LISTED {
        let more = grouped((names.len() - LISTED) as u64);
        let _ = writeln!(out, "<li>and {more} more: coverage.txt names all</li>");
    }
    out.push_str("</ul>\n</details>\n");
}

fn entry_cell(coverage: &Coverage, model: &Model, title: String, entries: &[WalkPosition]) -> Cell {
    let (format, domain) = (model.format(), &model.domain);
    let labels = |axis: Axis| axis.values;
    let accesses = || labels(Axis::of::<Access>("access", domain));
    let kinds = || labels(Axis::of::<FaultKind>("fault", domain));
    let purposes = entries.iter().map(|entry| match entry {
        WalkPosition::Guest { .. } => "of the guest's stage".to_owned(),
        WalkPosition::Host { purpose, .. } => match purpose {
            Purpose::GuestEntry(_) => "to read".to_owned(),
            Purpose::GuestUpdate(_) => "to update".to_owned(),
            Purpose::Data => "for the data".to_owned(),
        },
    });
    let level = entries.first().map_or(0, |entry| entry.level());
    let found = EntryKind::ALL.iter().map(|kind| match kind {
        EntryKind::Pointer => "pointer".to_owned(),
        EntryKind::Leaf => format!("page of {}", bytes(domain.geometry.page_size(level))),
        EntryKind::NapotLeaf => "NAPOT page of 64 KiB".to_owned(),
    });
    let mut fault_purpose = Counts::new("fault, by purpose", kinds(), purposes.collect());
    let mut fault_access = Counts::new("fault, by access", kinds(), accesses());
    let mut entry_access = Counts::new("entry, by access", found.collect(), accesses());
    let mut by_mode = Counts::new(
        "mode",
        labels(Axis::of::<Mode>("mode", domain)),
        vec!["entries".to_owned(), "faults".to_owned()],
    );
    let mut cell = Cell {
        title,
        seen: 0,
        summary: Summary::default(),
        tables: Vec::new(),
        missing: Vec::new(),
    };
    let of = |entry: WalkPosition| entries.iter().position(|&other| other == entry);
    for (bin, rule, count) in coverage.bins::<Fault>(format) {
        if let Some(purpose) = of(bin.entry) {
            cell.add(model, bin, rule, count);
            cell.seen += count;
            fault_purpose.add(bin.kind.position(domain), Some(purpose), count);
            fault_access.add(
                bin.kind.position(domain),
                bin.access.position(domain),
                count,
            );
            by_mode.add(bin.mode.position(domain), Some(1), count);
        }
    }
    for (bin, rule, count) in coverage.bins::<Entry>(format) {
        if of(bin.entry).is_some() {
            cell.add(model, bin, rule, count);
            by_mode.add(bin.mode.position(domain), Some(0), count);
        }
    }
    for (bin, rule, count) in coverage.bins::<Use>(format) {
        if of(bin.entry).is_some() {
            cell.add(model, bin, rule, count);
            cell.seen += count;
            entry_access.add(
                bin.kind.position(domain),
                bin.access.position(domain),
                count,
            );
        }
    }
    cell.tables = vec![fault_purpose, fault_access, entry_access, by_mode];
    cell
}

fn data_cell(coverage: &Coverage, model: &Model) -> Cell {
    let (format, domain) = (model.format(), &model.domain);
    let sizes = |stage: &str| -> Vec<String> {
        let sizes = Axis::of::<PageSize>("page", domain).values;
        sizes.iter().map(|size| format!("{stage} {size}")).collect()
    };
    let mut pages = Counts::new("pages", sizes("guest"), sizes("host"));
    let mut by_mode = Counts::new(
        "mode, by access",
        Axis::of::<Mode>("mode", domain).values,
        Axis::of::<Access>("access", domain).values,
    );
    let mut cell = Cell {
        title: "translations".to_owned(),
        seen: 0,
        summary: Summary::default(),
        tables: Vec::new(),
        missing: Vec::new(),
    };
    if let Some(group) = model.group(Translation::ID) {
        cell.summary = coverage.summary(format, group);
        let empty = coverage.empty_bins(format, group);
        cell.missing = empty.into_iter().map(|bin| group.bin_name(bin)).collect();
    }
    for (bin, _, count) in coverage.bins::<Translation>(format) {
        cell.seen += count;
        pages.add(
            bin.guest_page.position(domain),
            bin.host_page.position(domain),
            count,
        );
        by_mode.add(
            bin.mode.position(domain),
            bin.access.position(domain),
            count,
        );
    }
    cell.tables = vec![pages, by_mode];
    cell
}

fn of_group(out: &mut String, coverage: &Coverage, model: &Model, group: &Group) {
    let summary = coverage.summary(model.format(), group);
    let _ = writeln!(
        out,
        "<details>\n<summary><b>{}</b><span>{} of {}</span> {}</summary>\n<p>{}.</p>",
        group.name,
        grouped(summary.reached),
        grouped(summary.reachable),
        meter(&summary),
        escape(group.about)
    );
    out.push_str(&hidden(&summary));
    for (bin, &count) in coverage.group(model.format(), group).iter().enumerate() {
        if let (Rule::Impossible(why), true) = (group.rules[bin], count > 0) {
            let _ = writeln!(
                out,
                "<p class=\"wrong\">Reached {} times, although impossible ({}): {}</p>",
                grouped(count),
                escape(why),
                escape(&group.bin_name(bin))
            );
        }
    }
    // With two axes the count of each bin, otherwise the count of each value of each axis.
    let counts = coverage.group(model.format(), group);
    if let [rows, columns] = group.axes.as_slice() {
        let mut table = Counts::new(rows.name, rows.values.clone(), columns.values.clone());
        table.counts.copy_from_slice(counts);
        table.write(out);
    } else {
        for (axis, values) in group.axes.iter().enumerate() {
            let mut table =
                Counts::new(values.name, values.values.clone(), vec!["hits".to_owned()]);
            for (bin, &count) in counts.iter().enumerate() {
                table.add(Some(group.coordinates(bin)[axis]), Some(0), count);
            }
            table.write(out);
        }
    }
    let empty = coverage.empty_bins(model.format(), group);
    let names: Vec<String> = empty.into_iter().map(|bin| group.bin_name(bin)).collect();
    missing(out, &names);
    out.push_str("</details>\n");
}

fn of_rtl(out: &mut String, rtl: &Report) {
    out.push_str("<section>\n<h2>RTL</h2>\n<table>\n<thead><tr><th>file</th>");
    for kind in Kind::ALL {
        let _ = write!(out, "<th class=\"n\">{kind}</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    let row = |out: &mut String, name: &str, counted: &dyn Fn(Kind) -> super::rtl::Counted| {
        let _ = write!(out, "<tr><th>{}</th>", escape(name));
        for kind in Kind::ALL {
            let counted = counted(kind);
            let waived = match counted.waived {
                0 => String::new(),
                waived => format!(", {waived} waived"),
            };
            let text = match counted.all {
                0 => String::new(),
                all => format!(
                    "{:.1}&nbsp;% <small>{} of {all}{waived}</small>",
                    counted.percent(),
                    counted.reached
                ),
            };
            let _ = write!(out, "<td class=\"n\">{text}</td>");
        }
        out.push_str("</tr>\n");
    };
    for file in &rtl.files {
        row(out, &file.file, &|kind| file.counted(kind));
    }
    row(out, "all", &|kind| rtl.counted(kind));
    out.push_str("</tbody>\n</table>\n");
    let missing: Vec<String> = rtl
        .files
        .iter()
        .flat_map(|file| {
            file.missing().map(|point| {
                format!(
                    "{}:{}: {} {}: {}",
                    file.file, point.line, point.kind, point.what, point.text
                )
            })
        })
        .collect();
    self::missing(out, &missing);
    if !rtl.waivers.is_empty() {
        out.push_str("<details>\n<summary>Waivers, and why</summary>\n<table>\n<tbody>\n");
        for waiver in &rtl.waivers {
            let _ = writeln!(
                out,
                "<tr><td>{}</td><td>{}</td><td><code>{}</code></td><td>{}</td></tr>",
                escape(&waiver.file),
                waiver.kind,
                escape(&waiver.text),
                escape(&waiver.reason)
            );
        }
        out.push_str("</tbody>\n</table>\n</details>\n");
    }
    out.push_str("</section>\n");
}
