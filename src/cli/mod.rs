// SPDX-License-Identifier: Apache-2.0
//! The command line: one file a verb.
//!
//! Exit codes: 0 all agree, 1 mismatch, 2 bad input or usage, 3 the device hangs; 130 interrupted.

mod cover;
mod fuzz;
mod merge;
mod run;
mod trace;
mod vectors;
mod walk;
mod wave;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Parser, Subcommand};
use serde_json::Value;

use crate::bench::Failure;
use crate::bundle::BundleError;
use crate::campaign::Devices;
use crate::dut::{Dut, DutError};
use crate::report::junit::{self, Case, CaseResult};
use crate::report::{self, GoldenAccess};
use crate::results::ResultsError;
use crate::scenario::{Scenario, parse};
use crate::shard::ShardError;
use crate::stimulus::Profile;
use crate::trace::TraceError;

/// A nested-paging MMU in SystemVerilog, and the bench that proves it.
#[derive(Parser)]
#[command(version, about, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str = "Exit codes: 0 all agree, 1 mismatch, 2 bad input or usage, 3 the device hangs, 130 interrupted.";

#[derive(Subcommand)]
enum Verb {
    /// Walk each access of a scenario on the golden model, step by step
    Walk(walk::Args),
    /// Run a scenario on the RTL, against the golden model
    Run(run::Args),
    /// Random scenarios on the RTL, against the golden model
    Fuzz(fuzz::Args),
    /// Put the results of a campaign's shards together
    Merge(merge::Args),
    /// Add up coverage of campaigns, and say what is not reached yet
    Cover(cover::Args),
    /// Hold translation vectors against the golden model and the RTL
    Vectors(vectors::Args),
    /// Run a scenario on the RTL and make waves of it, with views for GTKWave and Surfer
    Wave(wave::Args),
    /// Replay recorded MMU traces on the RTL, or on the golden model
    Trace(trace::Args),
}

/// How a command ended, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Agree = 0,
    Mismatch = 1,
    Hang = 3,
    Interrupted = 130,
}

/// How the lines begin that say in a report what has failed.
const HEADLINES: [&str; 4] = ["MISMATCH", "HANG", "RTL ASSERTION", "NOT AS EXPECTED"];

impl Verdict {
    fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Mismatch(_) | Failure::Device { .. } => Verdict::Mismatch,
            Failure::Hang { .. } => Verdict::Hang,
        }
    }

    /// As a case of JUnit ends that has this text about it, and how long it took.
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

/// What keeps a command from doing its work: bad input, or a place that cannot be written. Exit code 2.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error(transparent)]
    Load(#[from] parse::LoadError),
    #[error("{path}: {source}")]
    Hole {
        path: String,
        source: crate::report::HoleInImage,
    },
    #[error(transparent)]
    Trace(#[from] TraceError),
    #[error(transparent)]
    Coverage(#[from] crate::coverage::file::FileError),
    #[error(transparent)]
    CodeCoverage(#[from] crate::coverage::rtl::RtlError),
    #[error(
        "this program does not count the RTL's code\n  `make coverage` builds one that does, with NESTWALK_COVERAGE=1."
    )]
    NoCodeCoverage,
    #[error("--device {name}: there is no such device for {profile}\n  There are: {there_are}.")]
    NoDevice {
        name: String,
        profile: Profile,
        there_are: String,
    },
    #[error("--lean: profile {0} cannot lean; the profiles of RISC-V can: rv32 and rv64")]
    NoLeaning(Profile),
    #[error("--waivers is for coverage of the RTL's code, and none of the files is such coverage")]
    NothingToWaive,
    /// One error a line.
    #[error("{0}")]
    Files(String),
    #[error(transparent)]
    Device(#[from] DutError),
    #[error(
        "cannot write {path}: {source}\n  Name a folder that exists or can be made, and that you may write to."
    )]
    Write { path: String, source: io::Error },
    #[error(transparent)]
    Results(#[from] ResultsError),
    #[error(transparent)]
    Shard(#[from] ShardError),
    #[error(transparent)]
    Output(io::Error),
}

impl From<BundleError> for CliError {
    fn from(error: BundleError) -> Self {
        match error {
            BundleError::Write { path, source } => CliError::write(&path)(source),
            BundleError::Device(error) => CliError::Device(error),
        }
    }
}

impl CliError {
    fn write(path: &Path) -> impl FnOnce(io::Error) -> CliError {
        let path = path.display().to_string();
        move |source| CliError::Write { path, source }
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let result = match Cli::parse().verb {
        Verb::Walk(args) => walk::main(&args),
        Verb::Run(args) => run::main(&args),
        Verb::Fuzz(args) => fuzz::main(&args),
        Verb::Merge(args) => merge::main(&args),
        Verb::Cover(args) => cover::main(&args),
        Verb::Vectors(args) => vectors::main(&args),
        Verb::Wave(args) => wave::main(&args),
        Verb::Trace(args) => trace::main(&args),
    };
    match result {
        Ok(verdict) => ExitCode::from(verdict as u8),
        // These come rendered, with the place in the file.
        Err(CliError::Load(parse::LoadError::Parse(error))) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Prints a result.
fn print(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads our output has had enough: no reason to complain, and the verdict stands.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(CliError::Output),
    }
}

fn print_json(value: &Value) -> Result<(), CliError> {
    print(&format!("{value:#}\n"))
}

/// Whether something can be written at a place that is there, or that would have to be made. Found out at once, not after an hour.
fn probe(place: &Path) -> Result<(), CliError> {
    let mut there = place;
    while !there.exists() {
        there = match there.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
    }
    tempfile::tempfile_in(there)
        .map(drop)
        .map_err(CliError::write(place))
}

/// The folder that a file is in.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Whether a file that was asked for can be written.
fn probe_file(file: Option<&PathBuf>) -> Result<(), CliError> {
    let Some(file) = file else { return Ok(()) };
    if file.is_dir() {
        return Err(CliError::write(file)(io::ErrorKind::IsADirectory.into()));
    }
    probe(folder_of(file)).map_err(|error| match error {
        CliError::Write { source, .. } => CliError::write(file)(source),
        error => error,
    })
}

/// Writes a file, whole or not at all, and the folder for it if need be.
fn write_file(file: &Path, text: &str) -> Result<(), CliError> {
    let write = || -> io::Result<()> {
        fs::create_dir_all(folder_of(file))?;
        let mut draft = tempfile::Builder::new()
            .prefix(".draft")
            .permissions(fs::Permissions::from_mode(0o666))
            .tempfile_in(folder_of(file))?;
        draft.write_all(text.as_bytes())?;
        draft.persist(file).map(drop).map_err(|error| error.error)
    };
    write().map_err(CliError::write(file))
}

/// The case of a file that is no good.
fn unfinished(class: &str, file: &str, error: &str) -> Case {
    Case {
        class: format!("nestwalk.{class}"),
        name: file.to_owned(),
        time: None,
        result: CaseResult::Unfinished(error.to_owned()),
        output: String::new(),
    }
}

/// Writes cases as a file of JUnit, if one was asked for.
fn write_junit(file: Option<&PathBuf>, verb: &str, cases: Vec<Case>) -> Result<(), CliError> {
    match file {
        Some(file) => write_file(file, &junit::report(&format!("nestwalk {verb}"), cases)),
        None => Ok(()),
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
        path: path.display().to_string(),
        source,
    })?;
    Ok(accesses)
}

/// A device for a scenario.
fn device(scenario: &Scenario) -> Result<Dut, CliError> {
    Ok(Devices::make(scenario)?)
}

/// Set by an interrupt (Ctrl-C) or a request to end.
fn interrupt() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let handler = Arc::clone(&flag);
    // Without a handler the program just ends, which is no worse than before.
    let _ = ctrlc::set_handler(move || handler.store(true, Ordering::Relaxed));
    flag
}
