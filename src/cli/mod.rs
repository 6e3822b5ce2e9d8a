// SPDX-License-Identifier: Apache-2.0
//! The command line: one file per verb.
//!
//! Exit codes: 0 everything agrees, 1 mismatch, 2 bad input or usage, or an output that cannot be
//! written, 3 the device hangs, 130 interrupted. A mismatch or a hang decides the exit code,
//! whatever else could not be read or written.

mod audit;
mod build;
mod cover;
mod fuzz;
mod merge;
mod run;
mod trace;
mod vectors;
mod walk;
mod wave;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand};
use serde_json::Value;

use crate::audit::AuditError;
use crate::bench::Failure;
use crate::bundle::BundleError;
use crate::campaign::Devices;
use crate::dut::description::{DeviceFileError, Visibility};
use crate::dut::foreign::{self, ForeignError};
use crate::dut::variants::{VARIANTS, Variant};
use crate::dut::{self, Dut, DutError};
use crate::format::Format;
use crate::output::{FileOutput, OutputError, Outputs};
use crate::report::junit::{self, Case, CaseResult};
use crate::report::{self, GoldenAccess};
use crate::results::ResultsError;
use crate::scenario::{Machine, Scenario, abilities, parse};
use crate::shard::ShardError;
use crate::shown;
use crate::stimulus::Profile;
use crate::trace::TraceError;

/// A nested-paging MMU in SystemVerilog, and a testbench that checks it.
#[derive(Parser)]
#[command(version, about, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str = "Exit codes: 0 everything agrees, 1 mismatch, 2 bad input or usage, or an \
    output that cannot be written, 3 the device hangs, 130 interrupted.";

#[derive(Subcommand)]
enum Verb {
    /// Walk each access of a scenario on the golden model, step by step
    Walk(walk::Args),
    /// Run a scenario on the RTL and compare it with the golden model
    Run(run::Args),
    /// Run random scenarios on the RTL and compare them with the golden model
    Fuzz(fuzz::Args),
    /// Build a device of your own from a device file, or write a device file to begin with
    Build(build::Args),
    /// Merge the results of a campaign's shards
    Merge(merge::Args),
    /// Add up the coverage of campaigns, and print the bins that were not hit
    Cover(cover::Args),
    /// Check translation vectors against the golden model and the RTL
    Vectors(vectors::Args),
    /// Run a scenario on the RTL and write its wave, with views for GTKWave and Surfer
    Wave(wave::Args),
    /// Replay recorded MMU traces on the RTL, or on the golden model
    Trace(trace::Args),
    /// Check what any simulator has recorded of a device: an FST, a VCD or JSON lines
    Audit(audit::Args),
}

/// The verdict of a command, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Agree = 0,
    Mismatch = 1,
    Hang = 3,
    Interrupted = 130,
}

/// The beginnings of the lines that state a failure in a report.
const HEADLINES: [&str; 5] = [
    "MISMATCH",
    "HANG",
    "RTL ASSERTION",
    "NOT AS EXPECTED",
    "VIOLATION",
];

impl Verdict {
    fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Mismatch(_) | Failure::Device { .. } => Verdict::Mismatch,
            Failure::Hang { .. } => Verdict::Hang,
        }
    }

    /// The JUnit case with this verdict, text and time.
    fn case(self, class: &str, name: String, text: String, time: Option<Duration>) -> Case {
        let (result, output) = match self {
            Verdict::Agree => (CaseResult::Passed, text),
            Verdict::Mismatch | Verdict::Hang => {
                let is_headline = |line: &&str| HEADLINES.iter().any(|h| line.starts_with(h));
                let message = text.lines().map(str::trim_start).find(is_headline);
                let failed = CaseResult::Failed {
                    kind: if self == Verdict::Hang {
                        "hang"
                    } else {
                        "mismatch"
                    }
                    .to_owned(),
                    message: message
                        .or(text.lines().next())
                        .unwrap_or_default()
                        .to_owned(),
                    text,
                };
                (failed, String::new())
            }
            Verdict::Interrupted => (CaseResult::Unfinished("interrupted".to_owned()), text),
        };
        Case {
            class: format!("nestwalk.{class}"),
            name,
            time,
            result,
            output,
        }
    }
}

/// An error that stops a command: bad input, or an output that cannot be written. Exit code 2.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error(transparent)]
    Load(#[from] parse::LoadError),
    #[error("{}: {source}", shown::path(path))]
    Hole {
        path: PathBuf,
        source: crate::report::HoleInImage,
    },
    #[error(transparent)]
    Trace(#[from] TraceError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Coverage(#[from] crate::coverage::file::FileError),
    #[error(transparent)]
    CodeCoverage(#[from] crate::coverage::rtl::RtlError),
    #[error(
        "this program does not count the code coverage of the RTL\n  `make coverage` builds one \
         that does, with NESTWALK_COVERAGE=1."
    )]
    NoCodeCoverage,
    #[error(
        "--device {name}: {reason}\n  Devices of {profile} with a name: {}.\n  \
         Others by their parameters: {}:slots=2,tlb=8.",
        names_of(*profile),
        profile.format
    )]
    NoDevice {
        name: String,
        reason: String,
        profile: Profile,
    },
    #[error("--device {name}: {reason}")]
    NotForScenario { name: String, reason: String },
    #[error(transparent)]
    Foreign(#[from] ForeignError),
    #[error(transparent)]
    Rtl(#[from] dut::rtl::RtlError),
    #[error("--lean: the profile {0} has no bias; rv32 and rv64 have")]
    NoLeaning(Profile),
    #[error(
        "--waivers applies to code coverage of the RTL, and none of the files has such coverage"
    )]
    NothingToWaive,
    /// The errors of several files.
    #[error("{}", .0.join("\nerror: "))]
    Files(Vec<String>),
    #[error(transparent)]
    Deviations(#[from] crate::findings::deviations::DeviationsError),
    #[error(transparent)]
    Device(#[from] DutError),
    #[error(transparent)]
    Write(#[from] OutputError),
    #[error(transparent)]
    Results(#[from] ResultsError),
    #[error(transparent)]
    Shard(#[from] ShardError),
    #[error("cannot write standard output: {0}")]
    Output(io::Error),
}

/// Parses a level of visibility by its name.
fn visibility() -> impl TypedValueParser<Value = Visibility> {
    let levels = || Visibility::ALL.into_iter();
    PossibleValuesParser::new(levels().map(Visibility::name)).try_map(move |name| {
        let named = levels().find(|level| level.name() == name);
        named.ok_or("no level has this name")
    })
}

/// The devices of a profile's format that have a name.
fn names_of(profile: Profile) -> String {
    let mut variants = VARIANTS.to_vec();
    variants.retain(|variant| variant.paging_format() == profile.format);
    let names: Vec<&str> = variants.iter().map(|variant| variant.name).collect();
    names.join(", ")
}

impl From<BundleError> for CliError {
    fn from(error: BundleError) -> Self {
        match error {
            BundleError::Output(error) => CliError::Write(error),
            BundleError::Device(error) => CliError::Device(error),
        }
    }
}

/// The result of a command: its verdict, and the errors of reading and writing.
#[derive(Debug)]
struct Ended {
    verdict: Verdict,
    problems: Vec<CliError>,
}

impl Ended {
    fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            problems: Vec::new(),
        }
    }

    /// Keeps an error until the verdict is out.
    fn keep<T>(&mut self, result: Result<T, impl Into<CliError>>) -> Option<T> {
        result
            .map_err(|error| self.problems.push(error.into()))
            .ok()
    }

    /// Complains, and gives the exit code.
    fn exit(&self) -> ExitCode {
        for problem in &self.problems {
            complain(problem);
        }
        match self.verdict {
            Verdict::Mismatch | Verdict::Hang => ExitCode::from(self.verdict as u8),
            _ if !self.problems.is_empty() => ExitCode::from(2),
            verdict => ExitCode::from(verdict as u8),
        }
    }
}

/// Says an error. Standard error may be full or closed, too.
fn complain(error: &CliError) {
    let text = match error {
        // These come rendered, with the place in the file.
        CliError::Load(parse::LoadError::Parse(error)) => format!("{error}\n"),
        CliError::Audit(AuditError::Map(error)) => format!("{error}\n"),
        CliError::Foreign(error) => foreign_error(error),
        CliError::Device(DutError::Foreign(error)) => foreign_error(error),
        CliError::Files(errors) => errors
            .iter()
            .map(|error| format!("error: {error}\n"))
            .collect(),
        error => format!("error: {error}\n"),
    };
    let _ = io::stderr().write_all(shown::text(&text).as_bytes());
}

/// The text of an error about a foreign device. Errors in a device file come rendered.
fn foreign_error(error: &ForeignError) -> String {
    match error {
        ForeignError::File(DeviceFileError::Parse(error)) => format!("{error}\n"),
        error => format!("error: {error}\n"),
    }
}

/// The command line, or how the program ends without one.
fn command_line() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|error| {
        let is_raw = |argument: std::ffi::OsString| {
            let text = argument.to_string_lossy().into_owned();
            matches!(shown::text(&text), std::borrow::Cow::Owned(_))
        };
        if !error.use_stderr() || !std::env::args_os().any(is_raw) {
            error.exit();
        }
        let text = error.render().to_string();
        let _ = io::stderr().write_all(shown::text(&text).as_bytes());
        ExitCode::from(2)
    })
}

/// Runs the program.
pub fn main() -> ExitCode {
    // A file that reaches the limit on its size is an error like a full disk.
    dut::ignore_file_size_signal();
    let cli = match command_line() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let used = dut::rtl::use_environment().map_err(CliError::from);
    let result = used.and_then(|()| match cli.verb {
        Verb::Walk(args) => walk::main(&args),
        Verb::Run(args) => run::main(&args),
        Verb::Fuzz(args) => fuzz::main(&args),
        Verb::Build(args) => build::main(&args),
        Verb::Merge(args) => merge::main(&args),
        Verb::Cover(args) => cover::main(&args),
        Verb::Vectors(args) => vectors::main(&args),
        Verb::Wave(args) => wave::main(&args),
        Verb::Trace(args) => trace::main(&args),
        Verb::Audit(args) => audit::main(&args),
    });
    match result {
        Ok(ended) => ended.exit(),
        Err(error) => {
            complain(&error);
            ExitCode::from(2)
        }
    }
}

/// Prints a result.
fn print(text: &str) -> Result<(), CliError> {
    write_out(&shown::text(text))
}

fn print_json(value: &Value) -> Result<(), CliError> {
    write_out(&shown::json(&format!("{value:#}\n")))
}

fn write_out(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // The reader of standard output has closed it. This is no error, and the verdict stands.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(CliError::Output),
    }
}

/// The inputs of a command, for the outputs that must be none of them.
fn outputs<'a>(
    what: &str,
    inputs: impl IntoIterator<Item = &'a PathBuf>,
) -> Result<Outputs, CliError> {
    let named = |path: &PathBuf| (format!("{what} {}", shown::path(path)), path.clone());
    let outputs = Outputs::of(inputs.into_iter().map(named));
    outputs.claim_stdout()?;
    Ok(outputs)
}

/// The JUnit case of a file that could not be checked.
fn unfinished(class: &str, file: &str, error: &str) -> Case {
    Case {
        class: format!("nestwalk.{class}"),
        name: file.to_owned(),
        time: None,
        result: CaseResult::Unfinished(error.to_owned()),
        output: String::new(),
    }
}

/// Writes cases as a JUnit file, if one was requested.
fn write_junit(file: Option<&FileOutput>, verb: &str, cases: Vec<Case>) -> Result<(), OutputError> {
    match file {
        Some(file) => file.write(junit::report(&format!("nestwalk {verb}"), cases).as_bytes()),
        None => Ok(()),
    }
}

/// The program as a word of a command: as it was called if that name leads to it, else by its path.
fn program() -> String {
    let Ok(here) = std::env::current_exe() else {
        return "nestwalk".to_owned();
    };
    let called = std::env::args_os().next().unwrap_or_default();
    let is_it = |path: &Path| path.canonicalize().is_ok_and(|path| path == here);
    let leads_here = match Path::new(&called).components().count() {
        1 if !called.to_string_lossy().contains('/') => {
            let folders = std::env::var_os("PATH").unwrap_or_default();
            // The first that there is would be run.
            std::env::split_paths(&folders)
                .map(|folder| folder.join(&called))
                .find(|path| path.is_file())
                .is_some_and(|path| is_it(&path))
        }
        _ => is_it(Path::new(&called)),
    };
    match leads_here {
        true => shown::word(&called),
        false => shown::word(&here),
    }
}

/// Reads a scenario.
fn load(path: &Path) -> Result<Scenario, CliError> {
    Ok(parse::load(path)?)
}

/// Walks each access of the scenario in a file with the golden model. An error: a walk reads a hole
/// by mistake.
fn golden<'a>(path: &Path, scenario: &'a Scenario) -> Result<Vec<GoldenAccess<'a>>, CliError> {
    let accesses = report::golden_accesses(scenario);
    report::reject_holes(scenario, &accesses).map_err(|source| CliError::Hole {
        path: path.to_owned(),
        source,
    })?;
    Ok(accesses)
}

/// The device that `--device` names.
fn any_device(name: &str) -> Result<&'static Variant, CliError> {
    foreign::device(name)?.map_err(|error| CliError::NotForScenario {
        name: name.to_owned(),
        reason: error.to_string(),
    })
}

/// The device that `--device` names, for scenarios that are made for a device of `format`.
fn named_device(name: &str, format: Format) -> Result<&'static Variant, CliError> {
    let refused = |reason| CliError::NotForScenario {
        name: name.to_owned(),
        reason,
    };
    let variant = any_device(name)?;
    match variant.paging_format() == format {
        true => Ok(variant),
        false => Err(refused(format!(
            "it is a device of {}, and the scenario is one of {format}",
            variant.format_name()
        ))),
    }
}

/// Puts a scenario on the device that `--device` names, if it names one.
fn put_on(scenario: &mut Scenario, device: Option<&String>) -> Result<(), CliError> {
    let Some(name) = device else {
        return Ok(());
    };
    let variant = named_device(name, scenario.machine.format)?;
    let machine = Machine::of_variant(variant);
    scenario.machine = Machine {
        walk_caches: machine.walk_caches_there(scenario.machine.walk_caches),
        ..machine
    };
    match abilities::missing(scenario, variant.description()) {
        None => Ok(()),
        Some(missing) => Err(CliError::NotForScenario {
            name: name.clone(),
            reason: format!("the scenario needs {missing}, which the device does not have"),
        }),
    }
}

/// A device for a scenario.
fn device(scenario: &Scenario) -> Result<Dut, CliError> {
    Ok(Devices::make(scenario)?)
}

/// Set by an interrupt (Ctrl-C) or a request to end.
fn interrupt() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let handler = Arc::clone(&flag);
    // Without a handler an interrupt ends the program at once.
    let _ = ctrlc::set_handler(move || handler.store(true, Ordering::Relaxed));
    flag
}
