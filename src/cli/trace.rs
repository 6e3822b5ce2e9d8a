// SPDX-License-Identifier: Apache-2.0
//! `nestwalk trace`: recorded traces on the RTL, or on the golden model alone.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{CliError, Ended, Verdict};
use crate::bench::Stats;
use crate::campaign::Devices;
use crate::dut::DutError;
use crate::format::Format;
use crate::input;
use crate::mmu::WalkCaches;
use crate::output::FileOutput;
use crate::report::json::Document;
use crate::report::junit::Case;
use crate::report::{json as as_json, text};
use crate::shown;
use crate::trace::{
    Difference, Differences, Explained, Reader, TraceError, device, explain, golden,
};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The traces, plain or compressed with zstd
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Walk every access on the golden model with nothing cached, without the RTL
    #[arg(long)]
    golden_only: bool,
    /// Replay only the first N accesses of each file
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Cycles from the grant of a read to its data
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000), conflicts_with = "golden_only")]
    latency: u32,
    /// Let each access wait for the response to the one before it
    #[arg(long, conflicts_with = "golden_only")]
    serial: bool,
    /// Walk caches to use: any of guest, host, nested, separated by commas [default: none]
    #[arg(
        long,
        value_name = "WHICH",
        value_delimiter = ',',
        conflicts_with = "golden_only"
    )]
    walk_caches: Vec<WalkCache>,
    /// Entries of each walk cache, per level: a power of two, 2 to 128
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = walk_cache_entries, requires = "walk_caches")]
    walk_cache_entries: u32,
    /// Use the device with an L2 TLB: 32 sets of 4 pages of 4K, 16 superpages, and walk caches of 8
    /// entries
    #[arg(long, conflicts_with_all = ["golden_only", "walk_cache_entries"])]
    second_tlb: bool,
    /// Replay on this device: a name or a specification, or the path of a device file or a shared
    /// object of `nestwalk build`
    #[arg(long, value_name = "DEVICE", conflicts_with_all = ["golden_only", "walk_caches", "second_tlb"])]
    device: Option<String>,
    /// Number of files replayed at a time [default: one for each core]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u64).range(1..=1024))]
    jobs: Option<u64>,
    /// Write JUnit XML into this file: a test case for each file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum WalkCache {
    /// From a gVA's prefix to the next guest table
    Guest,
    /// From a gPA's prefix to the next host table
    Host,
    /// From a guest table's gPA to its hPA
    Nested,
}

impl Args {
    fn walk_caches(&self) -> WalkCaches {
        let used = |cache| self.walk_caches.contains(&cache);
        WalkCaches {
            guest: used(WalkCache::Guest),
            host: used(WalkCache::Host),
            nested: used(WalkCache::Nested),
        }
    }
}

/// A size of walk caches that a device can have.
fn walk_cache_entries(text: &str) -> Result<u32, String> {
    let machine = |entries| device::machine(entries, WalkCaches::ALL, false);
    let entries = text.parse().map_err(|e| format!("{e}"))?;
    match machine(entries).variant() {
        Ok(_) if entries > 0 => Ok(entries),
        Ok(_) => Err("a walk cache has 2 entries or more".to_owned()),
        Err(DutError::Illegal(illegal)) => Err(illegal.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// The result of replaying one file.
struct Replayed {
    accesses: u64,
    fences: u64,
    faults: u64,
    updates: u64,
    marked: u64,
    reads: u64,
    differences: Differences,
    /// The figures that only a device has.
    device: Option<OnDevice>,
    /// The lines of the differences, as far as they could be looked up.
    explained: Vec<Explained>,
    time: Duration,
    /// The replay was interrupted: the figures count up to that point.
    interrupted: bool,
    /// The reason why the file was not read to its end. The figures are those up to there.
    error: Option<TraceError>,
}

struct OnDevice {
    stats: Stats,
    older: u64,
    reference: Option<Reference>,
    failure: Option<Failed>,
}

/// A mismatch or hang that the testbench found.
struct Failed {
    verdict: Verdict,
    text: String,
    json: Value,
    line: Option<u64>,
}

/// Figures of the TLB that a trace was recorded with, of as many entries as the device's.
struct Reference {
    hit_rate: f64,
    reads_per_walk: Option<f64>,
}

pub(super) fn main(args: &Args) -> Result<Ended, CliError> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.map_or(cores, |jobs| jobs as usize);
    let mut outputs = super::outputs("the trace", &args.files)?;
    let junit = outputs.file_if("--junit", args.junit.as_ref())?;
    let interrupt = super::interrupt();
    let bar = progress_bar(args.json);
    let next = AtomicUsize::new(0);
    let report = Mutex::new(InOrder {
        report: Report::new(args),
        early: BTreeMap::new(),
        wanted: 0,
    });
    let work = || {
        let mut devices = Devices::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let (Some(path), false) = (args.files.get(number), interrupt.load(Ordering::Relaxed))
            else {
                return;
            };
            let replayed = replay(args, path, &mut devices, &|more| bar.inc(more), &interrupt);
            let mut report = report.lock().unwrap_or_else(|e| e.into_inner());
            bar.suspend(|| report.add(&args.files, number, replayed));
        }
    };
    thread::scope(|scope| {
        // If no more threads can be created, the existing ones do the work. This thread is one of
        // them.
        for _ in 1..jobs.min(args.files.len()) {
            if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    bar.finish_and_clear();
    let InOrder { report, .. } = report.into_inner().unwrap_or_else(|e| e.into_inner());
    Ok(report.finish(junit.as_ref(), interrupt.load(Ordering::Relaxed)))
}

/// Reports files in their order, each as soon as it can be.
struct InOrder {
    report: Report,
    early: BTreeMap<usize, Result<Replayed, CliError>>,
    wanted: usize,
}

impl InOrder {
    fn add(&mut self, files: &[PathBuf], number: usize, replayed: Result<Replayed, CliError>) {
        self.early.insert(number, replayed);
        while let Some(replayed) = self.early.remove(&self.wanted) {
            self.report.file(&files[self.wanted], replayed);
            self.wanted += 1;
        }
    }
}

/// Replays a file.
///
/// # Errors
/// If it cannot be read, and nothing was found before that place.
fn replay(
    args: &Args,
    path: &Path,
    devices: &mut Devices,
    progress: &dyn Fn(u64),
    interrupt: &AtomicBool,
) -> Result<Replayed, CliError> {
    let begun = Instant::now();
    let limit = args.limit.unwrap_or(u64::MAX);
    let mut reader = Reader::open(path)?;
    let mut replayed = if args.golden_only {
        let mut replay = golden::Replay::default();
        let result = golden::replay(&mut reader, limit, progress, interrupt, &mut replay);
        Replayed {
            accesses: replay.counts.accesses,
            fences: replay.counts.fences,
            faults: replay.faults,
            updates: replay.counts.updates,
            marked: replay.marked,
            reads: replay.reads,
            differences: replay.differences,
            device: None,
            explained: Vec::new(),
            time: Duration::ZERO,
            interrupted: interrupt.load(Ordering::Relaxed),
            error: result.err(),
        }
    } else {
        let options = device::Options {
            limit,
            latency: args.latency,
            serial: args.serial,
            walk_caches: args.walk_caches(),
            walk_cache_entries: match args.second_tlb {
                true => device::SECOND_TLB_CACHES,
                false => args.walk_cache_entries,
            },
            second_tlb: args.second_tlb,
        };
        let (mut lowered, error) = device::lower(&mut reader, &options, interrupt);
        super::put_on(lowered.scenario_mut(), args.device.as_ref())?;
        let scenario = lowered.scenario();
        let replay = lowered.replay(devices.get(scenario)?, progress, interrupt);
        let failure = replay.failed.map(|failed| Failed {
            verdict: Verdict::of(&failed.failure),
            text: text::failure(scenario, &failed),
            json: as_json::failure(scenario, &failed),
            line: replay.failed_line,
        });
        let interrupted = interrupt.load(Ordering::Relaxed);
        // The reference is of the whole file.
        let is_whole =
            failure.is_none() && error.is_none() && !interrupted && lowered.counts.accesses < limit;
        Replayed {
            accesses: replay.stats.accesses,
            fences: lowered.counts.fences,
            faults: replay.stats.faults,
            updates: replay.updates,
            marked: lowered.marked,
            reads: replay.stats.reads,
            differences: replay.differences,
            device: Some(OnDevice {
                stats: replay.stats,
                older: replay.older,
                reference: is_whole.then(|| Reference::beside(path)).flatten(),
                failure,
            }),
            explained: Vec::new(),
            time: Duration::ZERO,
            interrupted,
            error,
        }
    };
    if replayed.found_nothing()
        && let Some(error) = replayed.error.take()
    {
        return Err(error.into());
    }
    replayed.time = begun.elapsed();
    let lines: Vec<u64> = (replayed.differences.first.iter())
        .map(|difference| difference.line)
        .chain(
            replayed
                .device
                .iter()
                .filter_map(|on| on.failure.as_ref()?.line),
        )
        .collect();
    if !lines.is_empty() {
        // A file that cannot be read twice, such as a pipe, is reported without explanations.
        replayed.explained = explain(path, &lines).unwrap_or_default();
    }
    Ok(replayed)
}

/// The number of accesses so far on a terminal, nothing in a pipe.
fn progress_bar(json: bool) -> ProgressBar {
    if json || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} accesses, {per_sec}") {
        bar.set_style(style);
    }
    // The bar moves when it is advanced. A steady tick would need a thread, which may not be
    // available.
    bar
}

fn per(a: u64, b: u64) -> f64 {
    if b == 0 { 0.0 } else { a as f64 / b as f64 }
}

impl Reference {
    /// Reads the statistics next to a trace, if there are any.
    fn beside(path: &Path) -> Option<Self> {
        let name = path.file_name().and_then(OsStr::to_str)?;
        let stem = name.strip_suffix(".zst").unwrap_or(name);
        let stem = stem.strip_suffix(".trace").unwrap_or(stem);
        let stats = path.with_file_name(format!("{stem}.stats.txt"));
        let stats = input::read_text(&stats, input::MOST_SMALL).ok()?;
        Self::parse(&stats)
    }

    /// Parses text like "TLB 32: hit 99.570% (...), ..., reads/walk 3.80, ...".
    fn parse(stats: &str) -> Option<Self> {
        let heading = format!("TLB {}:", device::TLB_ENTRIES);
        let line = (stats.lines()).find_map(|line| line.trim_start().strip_prefix(&heading))?;
        let behind = |word: &str| -> Option<f64> {
            let (_, rest) = line.split_once(word)?;
            let rest = rest.trim_start();
            let end = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len());
            rest[..end].parse().ok()
        };
        Some(Self {
            hit_rate: behind("hit ")?,
            reads_per_walk: behind("reads/walk "),
        })
    }
}

impl OnDevice {
    /// The share of accesses without a walk of their own, in per cent, as the statistics of a trace
    /// define it.
    fn hit_rate(&self) -> f64 {
        let stats = &self.stats;
        100.0 * per(stats.accesses.saturating_sub(stats.walks), stats.accesses)
    }
}

impl Replayed {
    fn walks(&self) -> u64 {
        match &self.device {
            Some(device) => device.stats.walks,
            None => self.accesses,
        }
    }

    fn rate(&self) -> f64 {
        self.accesses as f64 / self.time.as_secs_f64().max(1e-9)
    }

    /// Returns true if nothing was wrong up to the point that was reached.
    fn found_nothing(&self) -> bool {
        matches!(self.verdict(), Verdict::Agree | Verdict::Interrupted)
    }

    fn verdict(&self) -> Verdict {
        match self.device.as_ref().and_then(|on| on.failure.as_ref()) {
            Some(failure) => failure.verdict,
            None if self.differences.count > 0 => Verdict::Mismatch,
            None if self.interrupted => Verdict::Interrupted,
            None => Verdict::Agree,
        }
    }

    fn explained(&self, line: u64) -> Option<&Explained> {
        self.explained.iter().find(|one| one.line == line)
    }

    fn text(&self, path: &Path) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{}: {} accesses, {:.0} a second",
            shown::path(path),
            self.accesses,
            self.rate()
        );
        let reads_per_walk = per(self.reads, self.walks());
        match &self.device {
            Some(on) => {
                let _ = write!(out, "  hit rate {:.3} %", on.hit_rate());
                if let Some(reference) = &on.reference {
                    let _ = write!(
                        out,
                        " (reference {:.3} %, {:+.3})",
                        reference.hit_rate,
                        on.hit_rate() - reference.hit_rate
                    );
                }
                if on.stats.second_hits > 0 {
                    let _ = write!(out, " ({} by the second level)", on.stats.second_hits);
                }
                let _ = write!(
                    out,
                    ", {} walks of {reads_per_walk:.2} reads",
                    on.stats.walks
                );
                if let Some(reads) = on.reference.as_ref().and_then(|r| r.reads_per_walk) {
                    let _ = write!(
                        out,
                        " (reference {reads:.2}, {:+.2})",
                        reads_per_walk - reads
                    );
                }
                let _ = writeln!(
                    out,
                    ", {} merged; {} cycles",
                    on.stats.merged, on.stats.cycles
                );
            }
            None => {
                let _ = writeln!(
                    out,
                    "  golden model: {} walks of {reads_per_walk:.2} reads",
                    self.walks()
                );
            }
        }
        let _ = write!(
            out,
            "  {} fences, {} A/D updates, {} faults, {} marked lines",
            self.fences, self.updates, self.faults, self.marked
        );
        if let Some(on) = &self.device {
            let _ = write!(out, " ({} came to an older result)", on.older);
        }
        out.push('\n');
        for difference in &self.differences.first {
            self.difference(&mut out, difference);
        }
        if self.differences.count == 0 {
            let failed = self.device.as_ref().is_some_and(|on| on.failure.is_some());
            out.push_str(match self.verdict() {
                _ if failed => "",
                Verdict::Interrupted => "  interrupted; no mismatch until then\n",
                _ => "  no mismatch\n",
            });
        } else {
            let _ = writeln!(
                out,
                "  {} accesses did not come to what the trace says{}",
                self.differences.count,
                match self.differences.count > self.differences.first.len() as u64 {
                    true => "; the first of them above",
                    false => "",
                }
            );
        }
        if let Some(failure) = self.device.as_ref().and_then(|on| on.failure.as_ref()) {
            let _ = writeln!(out, "  the run ended here:");
            if let Some(line) = failure.line {
                self.line(&mut out, line);
            }
            for line in failure.text.lines() {
                let _ = writeln!(out, "  {line}");
            }
        }
        out
    }

    fn line(&self, out: &mut String, line: u64) {
        let _ = write!(out, "  line {line}");
        let _ = match self.explained(line) {
            Some(explained) => writeln!(
                out,
                ": {}\n    context {:x}: {}",
                explained.text,
                explained.context,
                text::query(&explained.query, Format::Rv64)
            ),
            None => writeln!(out),
        };
    }

    fn difference(&self, out: &mut String, difference: &Difference) {
        out.push_str("  MISMATCH\n");
        self.line(out, difference.line);
        let _ = writeln!(out, "    expected: {}", difference.expected);
        let _ = writeln!(out, "    observed: {}", difference.observed);
        if let Some(explained) = self.explained(difference.line) {
            let (steps, found) = (&explained.steps, &explained.found);
            let walk = text::walk(Format::Rv64, steps, found, None)
                + &text::trap(&explained.query, steps, found, Format::Rv64);
            out.push_str("    the golden walk on the memory of that moment:\n");
            for line in walk.lines() {
                let _ = writeln!(out, "    {line}");
            }
        }
    }

    fn json(&self) -> Value {
        let mut value = json!({
            "accesses": self.accesses,
            "accesses_per_second": self.rate(),
            "walks": self.walks(),
            "reads": self.reads,
            "reads_per_walk": per(self.reads, self.walks()),
            "fences": self.fences,
            "updates": self.updates,
            "faults": self.faults,
            "marked": self.marked,
            "agree": self.verdict() == Verdict::Agree,
            "interrupted": self.interrupted,
            "error": self.error.as_ref().map(TraceError::to_string),
            "mismatches": self.differences.count,
            "first_mismatches": self.differences.first.iter().map(|difference| {
                let explained = self.explained(difference.line);
                json!({
                    "line": difference.line,
                    "record": explained.map(|explained| &explained.text),
                    "context": explained.map(|explained| explained.context),
                    "query": explained.map(|explained| as_json::query(&explained.query, Format::Rv64)),
                    "expected": difference.expected,
                    "observed": difference.observed,
                    "steps": explained.map(|explained| {
                        let steps = explained.steps.iter();
                        steps.map(|step| as_json::step(step, Format::Rv64)).collect::<Vec<_>>()
                    }),
                })
            }).collect::<Vec<_>>(),
        });
        if let Some(on) = &self.device {
            value["hit_rate"] = json!(on.hit_rate());
            value["older_results"] = json!(on.older);
            value["stats"] = json!(on.stats);
            value["reference"] = json!(on.reference.as_ref().map(|reference| json!({
                "hit_rate": reference.hit_rate,
                "reads_per_walk": reference.reads_per_walk,
            })));
            value["failure"] = json!(on.failure.as_ref().map(|failure| json!({
                "line": failure.line,
                "what": failure.json,
            })));
        }
        value
    }
}

/// Collects the results of the files, in their order.
struct Report {
    is_json: bool,
    values: Vec<Value>,
    cases: Vec<Case>,
    ended: Ended,
    errors: Vec<String>,
}

impl Report {
    fn new(args: &Args) -> Self {
        Self {
            is_json: args.json,
            values: Vec::new(),
            cases: Vec::new(),
            ended: Ended::new(Verdict::Agree),
            errors: Vec::new(),
        }
    }

    fn file(&mut self, path: &Path, replayed: Result<Replayed, CliError>) {
        let name = path.display().to_string();
        match replayed {
            Ok(replayed) => {
                let (verdict, text) = (replayed.verdict(), replayed.text(path));
                if self.is_json {
                    let mut value = replayed.json();
                    value["file"] = json!(name);
                    self.values.push(value);
                } else {
                    self.ended.keep(super::print(&text));
                }
                let case = verdict.case("trace", name, text, Some(replayed.time));
                self.cases.push(case);
                // A mismatch is worse than an interrupt, and a hang is worse than a mismatch.
                let rank = |verdict| match verdict {
                    Verdict::Agree => 0,
                    Verdict::Interrupted => 1,
                    Verdict::Mismatch => 2,
                    Verdict::Hang => 3,
                };
                if rank(verdict) > rank(self.ended.verdict) {
                    self.ended.verdict = verdict;
                }
                self.errors
                    .extend(replayed.error.map(|error| error.to_string()));
            }
            // The other files are still replayed.
            Err(error) => {
                let case = super::unfinished("trace", &name, &error.to_string());
                self.cases.push(case);
                self.values
                    .push(json!({ "file": name, "error": error.to_string() }));
                self.errors.push(error.to_string());
            }
        }
    }

    fn finish(mut self, junit: Option<&FileOutput>, interrupted: bool) -> Ended {
        if interrupted && self.ended.verdict == Verdict::Agree {
            self.ended.verdict = Verdict::Interrupted;
        }
        if self.is_json {
            let agree = self.errors.is_empty() && self.ended.verdict == Verdict::Agree;
            let value = json!({ "files": self.values, "agree": agree, "interrupted": interrupted });
            self.ended
                .keep(super::print_json(&Document::Trace.of(value)));
        }
        if !self.errors.is_empty() {
            self.ended.problems.push(CliError::Files(self.errors));
        }
        let written = super::write_junit(junit, "trace", self.cases);
        self.ended.keep(written);
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_where_there_is_one() {
        let stats = "accesses 3\n\
             TLB 16: hit 99.114% (V=1 99.871%), walks 26573, reads/walk 3.17, more\n\
             TLB 32: hit 99.570% (V=1 99.887%), walks 12907, reads/walk 3.80, more; V=1: reads/walk 9.27\n";
        let reference = Reference::parse(stats).unwrap();
        assert_eq!(reference.hit_rate, 99.57);
        assert_eq!(reference.reads_per_walk, Some(3.8));
        assert!(Reference::parse("TLB 32: walks 1").is_none());
        assert!(Reference::parse("TLB 320: hit 1%").is_none());
        let short = Reference::parse("TLB 32: hit 50").unwrap();
        assert_eq!((short.hit_rate, short.reads_per_walk), (50.0, None));
    }
}
