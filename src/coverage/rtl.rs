// SPDX-License-Identifier: Apache-2.0
//! Coverage of the RTL's code: what Verilator has counted, of any number of devices and runs, added
//! up.
//!
//! Verilator writes a line a point, `C '<key><value>...' <count>`: a point is a block of lines, one
//! side of a branch, a term of an expression, or one direction of a bit. Points of all devices that
//! are at the same place of the source are one, whatever the device's parameters are.
//!
//! What cannot be reached is waived, with a reason, in a file of its own; a waiver names its place
//! by the text of the line, so that it moves with the code, and one that nothing needs is an error.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::{self, Write};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::input;
use crate::shown;

/// What a point is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A block of lines.
    Line,
    /// One side of a branch.
    Branch,
    /// A term of an expression.
    Expression,
    /// A bit that becomes 1, or 0.
    Toggle,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 4] = [Kind::Line, Kind::Branch, Kind::Expression, Kind::Toggle];

    /// Its name in waivers and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Line => "line",
            Kind::Branch => "branch",
            Kind::Expression => "expression",
            Kind::Toggle => "toggle",
        }
    }

    /// Of Verilator's name; none for kinds that are not counted here.
    fn of_verilator(name: &str) -> Option<Self> {
        match name {
            "line" => Some(Kind::Line),
            "branch" => Some(Kind::Branch),
            "expr" => Some(Kind::Expression),
            "toggle" => Some(Kind::Toggle),
            _ => None,
        }
    }

    /// Whether all of it is asked for, but for waivers.
    pub const fn is_required(self) -> bool {
        matches!(self, Kind::Line | Kind::Branch)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a point is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place {
    file: String,
    line: u32,
    column: u32,
    kind: Kind,
    /// Which side, term or bit.
    what: String,
}

/// A file of the first line that Verilator writes.
pub const MAGIC: &str = "# SystemC::Coverage-3";

/// Why there is no coverage of code.
#[derive(Debug, thiserror::Error)]
pub enum RtlError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", shown::path(path))]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line of a file is no point.
    #[error(
        "{}:{line}: not a point of Verilator's coverage: {what}",
        shown::path(path)
    )]
    Point {
        /// Which file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A source cannot be read.
    #[error(
        "cannot read {}: {source}\n  The coverage names it: run this in the project's folder, or name that with --sources.",
        shown::path(path)
    )]
    Source {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The source is not the one that was counted.
    #[error(
        "{} has no line {line}, which the coverage names: it has changed since the program was built",
        shown::path(path)
    )]
    Changed {
        /// Which.
        path: PathBuf,
        /// The line.
        line: u32,
    },
    /// The waivers cannot be read.
    #[error("{}: {source}", shown::path(path))]
    Waivers {
        /// Which file.
        path: PathBuf,
        /// What, with its place.
        source: toml::de::Error,
    },
    /// A waiver that says nothing.
    #[error(
        "{}: the waiver of {file}, {text:?}, gives no reason",
        shown::path(path)
    )]
    NoReason {
        /// Which file of waivers.
        path: PathBuf,
        /// Its file.
        file: String,
        /// Its text.
        text: String,
    },
    /// A waiver of nothing.
    #[error(
        "{}: stale waiver: in {file} there is no {kind} without coverage at {text:?}{what}\n  Remove it, or mend its text.",
        shown::path(path)
    )]
    Stale {
        /// Which file of waivers.
        path: PathBuf,
        /// Its file.
        file: String,
        /// Its kind.
        kind: Kind,
        /// Its text.
        text: String,
        /// Its side, in words.
        what: String,
    },
}

/// What the RTL's code counts: sums over devices and runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeCoverage {
    points: BTreeMap<Place, Count>,
    /// How often the return of a line was reached, by file. (`build.rs` puts a cover statement
    /// before each.)
    returns: BTreeMap<(String, u32), u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Count {
    count: u64,
    /// The lines of the block.
    lines: BTreeSet<u32>,
}

impl CodeCoverage {
    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Adds the text of a file of Verilator's; `path` is for errors. Only what is in `rtl/` counts:
    /// the rest is the bench's.
    ///
    /// # Errors
    /// If a line is no point.
    pub fn parse(&mut self, path: &Path, text: &str) -> Result<(), RtlError> {
        for (number, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let error = |what| RtlError::Point {
                path: path.into(),
                line: number + 1,
                what,
            };
            match point(line).map_err(error)? {
                None => {}
                Some(Found::Return { file, line, count }) => {
                    let sum = self.returns.entry((file, line)).or_default();
                    *sum = sum.saturating_add(count);
                }
                Some(Found::Point(place, count)) => {
                    let sum = self.points.entry(place).or_default();
                    sum.count = sum.count.saturating_add(count.count);
                    sum.lines.extend(count.lines);
                }
            }
        }
        Ok(())
    }

    /// How often a point was reached. Verilator counts a block at its end: one that ends with a
    /// return was reached as often as that.
    fn reached(&self, place: &Place, count: &Count) -> u64 {
        let is_block = place.kind.is_required() && !place.what.starts_with("cond_");
        if count.count > 0 || !is_block {
            return count.count;
        }
        let returns = count.lines.iter().map(|&line| {
            let at = (place.file.clone(), line);
            self.returns.get(&at).copied().unwrap_or(0)
        });
        returns.sum()
    }

    /// Holds it against the sources in a folder, and the waivers.
    ///
    /// # Errors
    /// If a source or the waivers cannot be read, or a waiver is of nothing.
    pub fn report(&self, sources: &Path, waivers: Option<&Path>) -> Result<Report, RtlError> {
        let mut report = Report {
            files: Vec::new(),
            waivers: waivers.map_or(Ok(Vec::new()), read_waivers)?,
        };
        let mut used = vec![false; report.waivers.len()];
        let mut texts: HashMap<&str, Vec<String>> = HashMap::new();
        for (place, count) in &self.points {
            let reached = self.reached(place, count);
            if !texts.contains_key(place.file.as_str()) {
                let path = sources.join(&place.file);
                let text = input::read_text(&path, input::MOST_SMALL)
                    .map_err(|source| RtlError::Source { path, source })?;
                let lines = text.lines().map(|line| line.trim().to_owned()).collect();
                texts.insert(&place.file, lines);
                report.files.push(FileReport {
                    file: place.file.clone(),
                    points: Vec::new(),
                });
            }
            let text = texts[place.file.as_str()].get(place.line as usize - 1);
            let text = text.cloned().ok_or_else(|| RtlError::Changed {
                path: sources.join(&place.file),
                line: place.line,
            })?;
            let waiver = report.waivers.iter().position(|waiver| {
                reached == 0
                    && waiver.file == place.file
                    && waiver.kind == place.kind
                    && waiver.text == text
                    && waiver.what.as_ref().is_none_or(|what| *what == place.what)
            });
            if let Some(waiver) = waiver {
                used[waiver] = true;
            }
            // The points are sorted by file.
            if let Some(file) = report.files.last_mut() {
                file.points.push(Point {
                    kind: place.kind,
                    line: place.line,
                    what: place.what.clone(),
                    text,
                    lines: count.lines.iter().copied().collect(),
                    count: reached,
                    waiver,
                });
            }
        }
        if let Some(path) = waivers
            && let Some(stale) = used.iter().position(|used| !used)
        {
            let Waiver {
                file,
                kind,
                text,
                what,
                ..
            } = report.waivers.swap_remove(stale);
            return Err(RtlError::Stale {
                path: path.into(),
                file,
                kind,
                text,
                what: what.map_or_else(String::new, |what| format!(", {what}")),
            });
        }
        Ok(report)
    }
}

/// No source has more lines.
const MOST_LINE: u32 = 100_000;

/// What a line of a file says.
enum Found {
    Point(Place, Count),
    Return { file: String, line: u32, count: u64 },
}

/// A line of a file: a point, unless it is of another kind or place than what counts.
fn point(line: &str) -> Result<Option<Found>, &'static str> {
    let rest = line
        .strip_prefix("C '")
        .ok_or("it does not begin with C '")?;
    let (name, count) = rest.rsplit_once("' ").ok_or("it has no count")?;
    let count = count.parse().map_err(|_| "its count is no number")?;
    let mut fields: HashMap<&str, &str> = HashMap::new();
    for field in name.split('\x01').skip(1) {
        let (key, value) = field.split_once('\x02').ok_or("a key without a value")?;
        fields.insert(key, value);
    }
    let field = |key| fields.get(key).copied();
    let kind = field("t").ok_or("it has no kind")?;
    let file = field("f").ok_or("it names no file")?;
    if !file.starts_with("rtl/") {
        return Ok(None);
    }
    if file.split('/').any(|part| part == "..") {
        return Err("it names a file outside of the project");
    }
    let number = |key, what| {
        let number: u32 = field(key)
            .and_then(|value| value.parse().ok())
            .ok_or(what)?;
        if (1..=MOST_LINE).contains(&number) {
            Ok(number)
        } else {
            Err(what)
        }
    };
    let line = number("l", "it names no line")?;
    if kind == "user" {
        let file = file.to_owned();
        return Ok(Some(Found::Return { file, line, count }));
    }
    let Some(kind) = Kind::of_verilator(kind) else {
        return Ok(None);
    };
    let column = field("n").and_then(|value| value.parse().ok()).unwrap_or(0);
    let mut lines = BTreeSet::new();
    for range in field("S")
        .unwrap_or_default()
        .split(',')
        .filter(|range| !range.is_empty())
    {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) else {
            return Err("its lines are no numbers");
        };
        if last > MOST_LINE {
            return Err("it names a line past the end of any source");
        }
        lines.extend(first..=last);
    }
    let place = Place {
        file: file.to_owned(),
        line,
        column,
        kind,
        what: field("o").unwrap_or_default().to_owned(),
    };
    Ok(Some(Found::Point(place, Count { count, lines })))
}

/// Code that need not be reached.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Its file.
    pub file: String,
    /// What of it.
    pub kind: Kind,
    /// The text of the line, without the blanks around it.
    pub text: String,
    /// Which side, term or bit, as reports name it; every one without it.
    pub what: Option<String>,
    /// Why it need not.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Waivers {
    #[serde(default)]
    waiver: Vec<Waiver>,
}

fn read_waivers(path: &Path) -> Result<Vec<Waiver>, RtlError> {
    let text = input::read_text(path, input::MOST_SMALL).map_err(|source| RtlError::Read {
        path: path.into(),
        source,
    })?;
    parse_waivers(path, &text)
}

/// Reads the text of a file of waivers; `path` is for errors.
///
/// # Errors
/// If it is none, or a waiver gives no reason.
pub fn parse_waivers(path: &Path, text: &str) -> Result<Vec<Waiver>, RtlError> {
    let waivers: Waivers = toml::from_str(text).map_err(|source| RtlError::Waivers {
        path: path.into(),
        source,
    })?;
    match waivers
        .waiver
        .iter()
        .find(|waiver| waiver.reason.trim().is_empty())
    {
        None => Ok(waivers.waiver),
        Some(waiver) => Err(RtlError::NoReason {
            path: path.into(),
            file: waiver.file.clone(),
            text: waiver.text.clone(),
        }),
    }
}

/// Code coverage, held against sources and waivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The files, sorted.
    pub files: Vec<FileReport>,
    /// The waivers, each of which is needed.
    pub waivers: Vec<Waiver>,
}

/// Of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileReport {
    /// Its path in the project.
    pub file: String,
    /// Its points, by line.
    pub points: Vec<Point>,
}

/// A point of the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// What it is of.
    pub kind: Kind,
    /// Its line.
    pub line: u32,
    /// Which side, term or bit.
    pub what: String,
    /// The text of the line.
    pub text: String,
    /// The lines of its block.
    pub lines: Vec<u32>,
    /// How often it was reached.
    pub count: u64,
    /// The waiver that covers it, by number.
    pub waiver: Option<usize>,
}

impl Point {
    /// Whether it is neither reached nor waived.
    pub fn is_missing(&self) -> bool {
        self.count == 0 && self.waiver.is_none()
    }
}

/// Points of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Reached.
    pub reached: u64,
    /// Not reached, and waived.
    pub waived: u64,
    /// All.
    pub all: u64,
}

impl Counted {
    /// The share that is reached or waived, in per cent, never rounded up to 100.
    pub fn percent(&self) -> f64 {
        if self.all == 0 {
            return 100.0;
        }
        ((self.reached + self.waived) * 1000 / self.all) as f64 / 10.0
    }

    fn add(&mut self, other: Counted) {
        self.reached += other.reached;
        self.waived += other.waived;
        self.all += other.all;
    }
}

impl FileReport {
    /// Its figures of a kind.
    pub fn counted(&self, kind: Kind) -> Counted {
        let mut counted = Counted::default();
        for point in self.points.iter().filter(|point| point.kind == kind) {
            counted.all += 1;
            counted.reached += u64::from(point.count > 0);
            counted.waived += u64::from(point.waiver.is_some());
        }
        counted
    }

    /// Lines and sides of branches that are neither reached nor waived.
    pub fn missing(&self) -> impl Iterator<Item = &Point> {
        self.points
            .iter()
            .filter(|point| point.kind.is_required() && point.is_missing())
    }
}

impl Report {
    /// The figures of a kind, of all files.
    pub fn counted(&self, kind: Kind) -> Counted {
        let mut sum = Counted::default();
        for file in &self.files {
            sum.add(file.counted(kind));
        }
        sum
    }

    /// Whether every line and branch is reached or waived.
    pub fn is_complete(&self) -> bool {
        self.files
            .iter()
            .all(|file| file.missing().next().is_none())
    }

    /// In words.
    pub fn text(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        let heading = Kind::ALL.map(|kind| format!("{kind} %"));
        table.set_header(std::iter::once("rtl".to_owned()).chain(heading));
        let cell = |counted: Counted| match counted {
            Counted { all: 0, .. } => "-".to_owned(),
            Counted {
                reached,
                waived: 0,
                all,
            } => format!("{:.1} ({reached}/{all})", counted.percent()),
            Counted {
                reached,
                waived,
                all,
            } => format!("{:.1} ({reached}+{waived} waived/{all})", counted.percent()),
        };
        for file in &self.files {
            let cells = Kind::ALL.map(|kind| cell(file.counted(kind)));
            table.add_row(std::iter::once(file.file.clone()).chain(cells));
        }
        let cells = Kind::ALL.map(|kind| cell(self.counted(kind)));
        table.add_row(std::iter::once("all".to_owned()).chain(cells));
        let mut out = String::new();
        for line in table.lines() {
            let _ = writeln!(out, "{}", line.trim_end());
        }
        for file in &self.files {
            for point in file.missing() {
                let Point {
                    kind,
                    line,
                    what,
                    text,
                    ..
                } = point;
                let _ = writeln!(
                    out,
                    "not reached: {}:{line}: {kind} {what}: {text}",
                    file.file
                );
            }
        }
        for waiver in &self.waivers {
            let Waiver {
                file,
                kind,
                text,
                reason,
                ..
            } = waiver;
            let _ = writeln!(out, "waived: {file}: {kind}: {text}\n  {reason}");
        }
        out
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let kinds = |of: &dyn Fn(Kind) -> Counted| -> Value {
            Kind::ALL
                .iter()
                .map(|&kind| (kind.name().to_owned(), json!(of(kind))))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let files = self.files.iter().map(|file| {
            let missing = file.missing().map(|point| {
                json!({ "kind": point.kind, "line": point.line, "what": point.what, "text": point.text })
            });
            json!({
                "file": file.file,
                "figures": kinds(&|kind| file.counted(kind)),
                "not_reached": missing.collect::<Vec<_>>(),
            })
        });
        json!({
            "figures": kinds(&|kind| self.counted(kind)),
            "files": files.collect::<Vec<_>>(),
            "waivers": self.waivers.len(),
        })
    }

    /// As LCOV has it: lines, and branches. What is waived is left out.
    pub fn lcov(&self) -> String {
        let mut out = String::new();
        for file in &self.files {
            let _ = writeln!(out, "TN:\nSF:{}", file.file);
            let mut lines: BTreeMap<u32, u64> = BTreeMap::new();
            let mut branches: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
            let counted = file
                .points
                .iter()
                .filter(|point| point.kind.is_required() && point.waiver.is_none());
            for point in counted {
                for &line in point.lines.iter().chain([&point.line]) {
                    let count = lines.entry(line).or_default();
                    *count = point.count.max(*count);
                }
                if point.kind == Kind::Branch {
                    branches.entry(point.line).or_default().push(point.count);
                }
            }
            let mut taken = 0;
            for (line, sides) in &branches {
                for (side, count) in sides.iter().enumerate() {
                    let _ = writeln!(out, "BRDA:{line},0,{side},{count}");
                    taken += usize::from(*count > 0);
                }
            }
            let _ = writeln!(
                out,
                "BRF:{}",
                branches.values().map(Vec::len).sum::<usize>()
            );
            let _ = writeln!(out, "BRH:{taken}");
            for (line, count) in &lines {
                let _ = writeln!(out, "DA:{line},{count}");
            }
            let _ = writeln!(out, "LF:{}", lines.len());
            let _ = writeln!(
                out,
                "LH:{}",
                lines.values().filter(|&&count| count > 0).count()
            );
            out.push_str("end_of_record\n");
        }
        out
    }
}
