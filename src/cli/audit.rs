// SPDX-License-Identifier: Apache-2.0
//! `nestwalk audit`: a recording of any simulator, judged by the checks of the ports.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{CliError, Ended, Verdict};
use crate::audit::events::Writer;
use crate::audit::record::Recorder;
use crate::audit::{Audit, AuditError, Cycles, Map, Recording, template};
use crate::bench;
use crate::bench::auditor::{Auditor, Figures, Finding, Observed, RecordingError};
use crate::dut::description::{Description, Visibility};
use crate::dut::foreign::ForeignError;
use crate::output::{Draft, FileOutput, OutputError, cannot_write};
use crate::report::audit as report;
use crate::report::json::Document;
use crate::report::text::count;
use crate::scenario::Scenario;
use crate::shown;

/// Cycles from one step of the progress bar to the next.
const PROGRESS: u64 = 1 << 12;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The recording: an FST, a VCD, or JSON lines of events; `-` reads events from the standard
    /// input
    #[arg(required_unless_present = "new", value_name = "FILE")]
    recording: Option<PathBuf>,
    /// The map: the signals behind the ports, and the description of the device
    #[arg(long, value_name = "FILE", required_unless_present_any = ["device", "new"])]
    map: Option<PathBuf>,
    /// The recording is a wave or a record of this program, of this device: a name or a
    /// specification, or the path of a device file or a shared object of `nestwalk build`
    #[arg(long, value_name = "DEVICE", conflicts_with = "map")]
    device: Option<String>,
    /// Write a map with every key and its default into this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["recording", "map", "device"])]
    new: Option<PathBuf>,
    /// Check no more than this level of visibility shows: ports or attributed
    #[arg(long, value_name = "LEVEL", default_value = "attributed", value_parser = super::visibility())]
    visibility: Visibility,
    /// Print at most N violations; all are counted
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u64,
    /// Write the events of the recording into this file, as JSON lines
    #[arg(long, value_name = "FILE", conflicts_with = "new")]
    events: Option<PathBuf>,
    /// Write JUnit XML into this file
    #[arg(long, value_name = "FILE", conflicts_with = "new")]
    junit: Option<PathBuf>,
    /// Print JSON
    #[arg(long, conflicts_with = "new")]
    json: bool,
}

pub(super) fn main(args: &Args) -> Result<Ended, CliError> {
    if let Some(path) = &args.new {
        let mut ended = Ended::new(Verdict::Agree);
        ended.keep(super::print(&write_new(path)?));
        return Ok(ended);
    }
    let Some(path) = &args.recording else {
        return Ok(Ended::new(Verdict::Agree));
    };
    let mut outputs = super::outputs("the recording", [path].into_iter().chain(&args.map))?;
    let junit = outputs.file_if("--junit", args.junit.as_ref())?;
    let events = outputs.file_if("--events", args.events.as_ref())?;
    let map = match (&args.map, &args.device) {
        (Some(map), _) => Map::load(map)?,
        (None, Some(device)) => Map::of_device(super::any_device(device)?.description()),
        (None, None) => return Ok(Ended::new(Verdict::Agree)),
    };
    let recording = quietly(|| Recording::open(path, &map))?;
    let begun = Instant::now();
    let audited = audit(args, recording, events.as_ref())?;
    let time = begun.elapsed();

    let verdict = match (audited.count, audited.interrupted) {
        (1.., _) => Verdict::Mismatch,
        (0, true) => Verdict::Interrupted,
        (0, false) => Verdict::Agree,
    };
    let mut ended = Ended::new(verdict);
    let name = path.display().to_string();
    let text = audited.text(path, args.limit);
    if args.json {
        let mut value = audited.json();
        value["file"] = json!(name);
        value["error"] = json!(audited.error.as_ref().map(ToString::to_string));
        ended.keep(super::print_json(&Document::Audit.of(value)));
    } else {
        ended.keep(super::print(&text));
    }
    let case = match &audited.error {
        Some(error) if audited.count == 0 => super::unfinished("audit", &name, &error.to_string()),
        _ => verdict.case("audit", name, text, Some(time)),
    };
    ended.keep(super::write_junit(junit.as_ref(), "audit", vec![case]));
    if let (Some(events), Some(draft)) = (&events, audited.events)
        && let Some(draft) = ended.keep(draft)
    {
        ended.keep(events.finish(draft));
    }
    ended.problems.extend(audited.error.map(CliError::from));
    Ok(ended)
}

/// The result of an audit.
struct Audited {
    description: Description,
    visibility: Visibility,
    sees_waits: bool,
    figures: Figures,
    /// Violations in all.
    count: u64,
    /// By the title of a check: its name, the clause, the violations, and the first cycle.
    checks: BTreeMap<&'static str, (u64, u64)>,
    texts: Vec<String>,
    values: Vec<Value>,
    interrupted: bool,
    /// The reason why the recording was not read to its end.
    error: Option<AuditError>,
    events: Option<Result<Draft, OutputError>>,
}

/// Violations, as far as they are printed.
#[derive(Default)]
struct Found {
    count: u64,
    checks: BTreeMap<&'static str, (u64, u64)>,
    texts: Vec<String>,
    values: Vec<Value>,
}

impl Found {
    fn add(&mut self, finding: &Finding, auditor: &Auditor, limit: u64) {
        self.count += 1;
        let check = self.checks.entry(report::title_of(finding));
        check.or_insert((0, finding.cycle())).0 += 1;
        if self.count <= limit {
            self.texts
                .push(report::violation(self.count, finding, auditor));
            self.values.push(report::violation_json(finding, auditor));
        }
    }
}

/// The consumer of the cycles: the checks, and the writer of events.
struct Consumer<'a, A> {
    audit: A,
    writer: Option<Writer<BufWriter<File>>>,
    write_error: Option<io::Error>,
    bar: &'a ProgressBar,
    cycles: u64,
}

impl<A: Cycles> Cycles for Consumer<'_, A> {
    fn cycle(&mut self, observed: Observed, time: Option<u64>) -> Result<(), RecordingError> {
        if let Some(writer) = &mut self.writer
            && let Err(error) = writer.cycle(&observed)
        {
            self.write_error = Some(error);
            self.writer = None;
        }
        let before = self.cycles / PROGRESS;
        self.cycles += observed.repeat;
        if self.cycles / PROGRESS > before {
            self.bar.set_position(self.cycles);
        }
        self.audit.cycle(observed, time)
    }

    fn is_interrupted(&self) -> bool {
        self.audit.is_interrupted()
    }
}

/// Reads and judges a recording. An error ends the reading; what was found before it stands.
fn audit(
    args: &Args,
    recording: Recording,
    events: Option<&FileOutput>,
) -> Result<Audited, CliError> {
    let interrupt = super::interrupt();
    let bar = progress_bar(args.json);
    let found = RefCell::new(Found::default());
    let auditor = recording.auditor(args.visibility);
    let description = recording.description().clone();
    let sees_waits = recording.shows_waits();
    let visibility = auditor.description().visibility();
    let mut drafted = None;
    let mut writer = None;
    if let Some(events) = events {
        let draft = events.draft()?;
        let file = File::create(draft.path())
            .and_then(|file| Writer::new(BufWriter::new(file), &description));
        writer = Some(file.map_err(cannot_write(events.named()))?);
        drafted = Some(draft);
    }
    let mut consumer = Consumer {
        audit: Audit {
            auditor,
            found: |auditor: &Auditor, finding: Finding| {
                found.borrow_mut().add(&finding, auditor, args.limit);
            },
            interrupted: || interrupt.load(Ordering::Relaxed),
        },
        writer,
        write_error: None,
        bar: &bar,
        cycles: 0,
    };
    let error = recording.run(&mut consumer).err();
    bar.finish_and_clear();
    let Consumer {
        audit,
        writer,
        write_error,
        ..
    } = consumer;
    let figures = audit.finish();
    let written = match (write_error, writer) {
        (Some(error), _) => Some(Err(error)),
        (None, Some(writer)) => Some(writer.finish().map(|_| ())),
        (None, None) => None,
    };
    let events = match (written, drafted, events) {
        (Some(written), Some(draft), Some(events)) => Some(
            written
                .map(|()| draft)
                .map_err(cannot_write(events.named())),
        ),
        _ => None,
    };
    let Found {
        count,
        checks,
        texts,
        values,
    } = found.into_inner();
    Ok(Audited {
        description,
        visibility,
        sees_waits,
        figures,
        count,
        checks,
        texts,
        values,
        interrupted: interrupt.load(Ordering::Relaxed),
        error,
        events,
    })
}

impl Audited {
    fn text(&self, path: &Path, limit: u64) -> String {
        let Description { name, format, .. } = &self.description;
        let mut text = format!(
            "{}: device {name}, {format}, visibility {}\n",
            shown::path(path),
            self.visibility
        );
        for violation in &self.texts {
            let _ = write!(text, "\n{violation}");
        }
        if self.count > limit {
            let more = self.count - limit;
            let _ = writeln!(
                text,
                "\n{} more, which --limit hides",
                count(more, "violation")
            );
        }
        if !self.texts.is_empty() {
            text.push('\n');
        }
        let _ = writeln!(text, "{}", report::figures(&self.figures));
        for line in report::not_checked(&self.figures, self.sees_waits) {
            let _ = writeln!(text, "not checked: {line}");
        }
        let until = match (&self.error, self.interrupted) {
            (Some(_), _) => " up to the error",
            (None, true) => " up to the interrupt",
            (None, false) => "",
        };
        if self.count == 0 {
            let _ = writeln!(text, "no violation{until}");
            return text;
        }
        let _ = writeln!(text, "{}{until}:", count(self.count, "violation"));
        for (title, (number, first)) in &self.checks {
            let _ = writeln!(text, "  {number:>6}  {title}; the first in cycle {first}");
        }
        text
    }

    fn json(&self) -> Value {
        let checks = self.checks.iter().map(
            |(title, (number, first))| json!({ "title": title, "count": number, "first": first }),
        );
        json!({
            "device": self.description.name,
            "format": self.description.format,
            "visibility": self.visibility.name(),
            "agree": self.count == 0 && self.error.is_none() && !self.interrupted,
            "interrupted": self.interrupted,
            "count": self.count,
            "checks": checks.collect::<Vec<_>>(),
            "violations": self.values,
            "figures": report::figures_json(&self.figures),
            "not_checked": report::not_checked(&self.figures, self.sees_waits),
        })
    }
}

/// The number of cycles so far on a terminal, nothing in a pipe.
fn progress_bar(json: bool) -> ProgressBar {
    if json || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} cycles, {per_sec}") {
        bar.set_style(style);
    }
    bar
}

/// Runs code whose prints do not belong to the output of the command: `wellen` prints notes about
/// signals of some languages.
fn quietly<T>(run: impl FnOnce() -> T) -> T {
    let stdout = io::stdout();
    let kept = stdout.as_fd().try_clone_to_owned();
    let null = File::options().write(true).open("/dev/null");
    let is_quiet = match (&kept, &null) {
        (Ok(_), Ok(null)) => rustix::stdio::dup2_stdout(null).is_ok(),
        _ => false,
    };
    let result = run();
    if let (true, Ok(kept)) = (is_quiet, kept) {
        let _ = io::stdout().flush();
        // It was open before.
        let _ = rustix::stdio::dup2_stdout(kept);
    }
    result
}

/// Writes a map with every key.
fn write_new(path: &Path) -> Result<String, CliError> {
    let written = File::create_new(path).and_then(|mut file| file.write_all(template().as_bytes()));
    written.map_err(|source| ForeignError::Write {
        path: path.to_owned(),
        source,
    })?;
    Ok(format!(
        "written: {}\nName the signals of your recording in it, and run\n  {} audit RECORDING --map \
         {}\n",
        shown::path(path),
        super::program(),
        shown::word(path)
    ))
}

/// Runs a scenario on a new device, and records it. The run is the same as any other of the
/// scenario, and its result is not looked at.
pub(super) fn record(scenario: &Scenario, output: &FileOutput) -> Result<(), CliError> {
    let mut dut = super::device(scenario)?;
    let draft = output.draft()?;
    let cannot = || cannot_write(output.named());
    let file = File::create(draft.path()).map_err(cannot())?;
    let description = dut.description();
    let mut writer = Writer::new(BufWriter::new(file), description).map_err(cannot())?;
    let mut error = None;
    let mut recorder = Recorder::new(|observed: Observed| {
        if error.is_none() {
            error = writer.cycle(&observed).err();
        }
    });
    let _ = bench::run(&mut dut, scenario, &mut recorder);
    match error {
        Some(error) => return Err(cannot()(error).into()),
        None => writer.finish().map_err(cannot())?,
    };
    Ok(output.finish(draft)?)
}
