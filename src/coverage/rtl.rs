// SPDX-License-Identifier: Apache-2.0
//! Code coverage of the RTL: the counts of Verilator, summed over any number of devices and runs.
//!
//! Verilator writes one line for each point, `C '<key><value>...' <count>`. A point is a block of
//! lines, one side of a branch, a term of an expression, or one direction of a bit. Points of
//! several devices at the same place of the source are one point, whatever the parameters of the
//! devices are.
//!
//! Code that cannot be reached is waived, with a reason, in a file of its own. A waiver identifies
//! its place by the text of the line, so that it stays valid if the line moves. A waiver that
//! matches no unreached point is an error.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::{self, Write};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::input;
use crate::shown;

/// The kind of a point.
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

    /// Returns its name in waivers and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Line => "line",
            Kind::Branch => "branch",
            Kind::Expression => "expression",
            Kind::Toggle => "toggle",
        }
    }

    /// Returns the kind of Verilator's name; none for kinds that are not counted.
    fn of_verilator(name: &str) -> Option<Self> {
        match name {
            "line" => Some(Kind::Line),
            "branch" => Some(Kind::Branch),
            "expr" => Some(Kind::Expression),
            "toggle" => Some(Kind::Toggle),
            _ => None,
        }
    }

    /// Returns true if every point of the kind must be reached or waived.
    pub const fn is_required(self) -> bool {
        matches!(self, Kind::Line | Kind::Branch)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The place of a point in the source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place {
    file: String,
    line: u32,
    column: u32,
    kind: Kind,
    /// The side, the term or the bit.
    what: String,
}

/// The first line of a file that Verilator writes.
pub const MAGIC: &str = "# SystemC::Coverage-3";

/// The reason why there is no code coverage.
#[derive(Debug, thiserror::Error)]
pub enum RtlError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", shown::path(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A line of a file does not describe a point.
    #[error(
        "{}:{line}: not a point of Verilator's coverage: {what}",
        shown::path(path)
    )]
    Point {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The error in the line.
        what: &'static str,
    },
    /// A source cannot be read.
    #[error(
        "cannot read {}: {source}\n  The coverage names this source. Run the command in the \
         project's folder, or name that folder with --sources.",
        shown::path(path)
    )]
    Source {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The source is not the source that was compiled.
    #[error(
        "{} has no line {line}, which the coverage names: the file has changed since the program \
         was built",
        shown::path(path)
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u32,
    },
    /// The waivers cannot be read.
    #[error("{}: {source}", shown::path(path))]
    Waivers {
        /// The file.
        path: PathBuf,
        /// The error, with its place.
        source: toml::de::Error,
    },
    /// A waiver gives no reason.
    #[error(
        "{}: the waiver of {file}, {text:?}, gives no reason",
        shown::path(path)
    )]
    NoReason {
        /// The file of waivers.
        path: PathBuf,
        /// The source file of the waiver.
        file: String,
        /// The text of the waiver.
        text: String,
    },
    /// A waiver matches no point that was not reached.
    #[error(
        "{}: stale waiver: {file} has no unreached {kind} at {text:?}{what}\n  Remove the waiver, \
         or correct its text.",
        shown::path(path)
    )]
    Stale {
        /// The file of waivers.
        path: PathBuf,
        /// The source file of the waiver.
        file: String,
        /// The kind of the waiver.
        kind: Kind,
        /// The text of the waiver.
        text: String,
        /// The side of the waiver, as a suffix of the message.
        what: String,
    },
}

/// The code coverage of the RTL, summed over devices and runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeCoverage {
    points: BTreeMap<Place, Count>,
    /// The number of times that the return of a line was reached, by file. `build.rs` puts a cover
    /// statement before each return.
    returns: BTreeMap<(String, u32), u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Count {
    count: u64,
    /// The lines of the block.
    lines: BTreeSet<u32>,
}

impl CodeCoverage {
    /// Returns true if nothing was read.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Adds the text of a file of Verilator's. `path` is for errors. Only files in `rtl/` count;
    /// the others are parts of the testbench.
    ///
    /// # Errors
    /// If a line does not describe a point.
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

    /// Returns the number of times that a point was reached. Verilator counts a block at its end. A
    /// block that ends with a return was reached as often as the return.
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

    /// Compares the counts with the sources in a folder and with the waivers.
    ///
    /// # Errors
    /// If a source or the waivers cannot be read, or a waiver matches no point that was not
    /// reached.
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

/// The largest line number of a source.
const MOST_LINE: u32 = 100_000;

/// The contents of a line of a file.
enum Found {
    Point(Place, Count),
    Return { file: String, line: u32, count: u64 },
}

/// Reads a line of a file. Returns none if its kind or its file does not count.
fn point(line: &str) -> Result<Option<Found>, &'static str> {
    let rest = line
        .strip_prefix("C '")
        .ok_or("it does not begin with C '")?;
    let (name, count) = rest.rsplit_once("' ").ok_or("it has no count")?;
    let count = count.parse().map_err(|_| "its count is not a number")?;
    let mut fields: HashMap<&str, &str> = HashMap::new();
    for field in name.split('\x01').skip(1) {
        let (key, value) = field.split_once('\x02').ok_or("a key without a value")?;
        fields.insert(key, value);
    }
    let field = |key| fields.get(key).copied();
    let kind = field("t").ok_or("it has no kind")?;
    let file = field("f").ok_or("it has no file")?;
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
    let line = number("l", "it has no line")?;
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
            return Err("its lines are not numbers");
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

/// A waiver: code that need not be reached.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// The source file.
    pub file: String,
    /// The kind of the point.
    pub kind: Kind,
    /// The text of the line, without leading and trailing blanks.
    pub text: String,
    /// The side, term or bit, as in reports; every one if it is left out.
    pub what: Option<String>,
    /// The reason why the code need not be reached.
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

/// Reads the text of a file of waivers. `path` is for errors.
///
/// # Errors
/// If the text is not a file of waivers, or a waiver gives no reason.
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

/// Code coverage together with the sources and the waivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The files, sorted.
    pub files: Vec<FileReport>,
    /// The waivers. Each matches a point that was not reached.
    pub waivers: Vec<Waiver>,
}

/// The code coverage of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileReport {
    /// Its path in the project.
    pub file: String,
    /// Its points, sorted by line.
    pub points: Vec<Point>,
}

/// A point of the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// The kind of the point.
    pub kind: Kind,
    /// The line, from 1.
    pub line: u32,
    /// The side, term or bit.
    pub what: String,
    /// The text of the line.
    pub text: String,
    /// The lines of its block.
    pub lines: Vec<u32>,
    /// The number of times that the point was reached.
    pub count: u64,
    /// The index of the waiver that matches the point.
    pub waiver: Option<usize>,
}

impl Point {
    /// Returns true if the point is neither reached nor waived.
    pub fn is_missing(&self) -> bool {
        self.count == 0 && self.waiver.is_none()
    }
}

/// The numbers of points of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Points that were reached.
    pub reached: u64,
    /// Points that were not reached, and are waived.
    pub waived: u64,
    /// All points.
    pub all: u64,
}

impl Counted {
    /// Returns the share that is reached or waived in percent, never rounded up to 100.
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
    /// Returns the numbers of its points of a kind.
    pub fn counted(&self, kind: Kind) -> Counted {
        let mut counted = Counted::default();
        for point in self.points.iter().filter(|point| point.kind == kind) {
            counted.all += 1;
            counted.reached += u64::from(point.count > 0);
            counted.waived += u64::from(point.waiver.is_some());
        }
        counted
    }

    /// Returns the lines and sides of branches that are neither reached nor waived.
    pub fn missing(&self) -> impl Iterator<Item = &Point> {
        self.points
            .iter()
            .filter(|point| point.kind.is_required() && point.is_missing())
    }
}

impl Report {
    /// Returns the numbers of points of a kind in all files.
    pub fn counted(&self, kind: Kind) -> Counted {
        let mut sum = Counted::default();
        for file in &self.files {
            sum.add(file.counted(kind));
        }
        sum
    }

    /// Returns true if every line and branch is reached or waived.
    pub fn is_complete(&self) -> bool {
        self.files
            .iter()
            .all(|file| file.missing().next().is_none())
    }

    /// Renders the report as text.
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

    /// Renders the report as JSON.
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
                json!({
                    "kind": point.kind,
                    "line": point.line,
                    "what": point.what,
                    "text": point.text,
                })
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

    /// Renders lines and branches as LCOV. Waived points are left out.
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
