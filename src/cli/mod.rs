//! The command line: one file a verb.
//!
//! Exit codes: 0 all agree, 1 mismatch, 2 bad input or usage, 3 the device hangs; 130 interrupted.

mod cover;
mod fuzz;
mod run;
mod trace;
mod vectors;
mod walk;
mod wave;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Parser, Subcommand};
use serde_json::Value;

use crate::bench::Failure;
use crate::campaign::Devices;
use crate::dut::{Dut, DutError};
use crate::scenario::{Scenario, parse};
use crate::trace::TraceError;

/// A nested-paging MMU in SystemVerilog, and the bench that proves it.
#[derive(Parser)]
#[command(version, about, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str =
    "Exit codes: 0 all agree, 1 mismatch, 2 bad input or usage, 3 the device hangs.";

#[derive(Subcommand)]
enum Verb {
    /// Walk each access of a scenario on the golden model, step by step
    Walk(walk::Args),
    /// Run a scenario on the RTL, against the golden model
    Run(run::Args),
    /// Random scenarios on the RTL, against the golden model
    Fuzz(fuzz::Args),
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

impl Verdict {
    fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Mismatch(_) | Failure::Device { .. } => Verdict::Mismatch,
            Failure::Hang { .. } => Verdict::Hang,
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
    Output(io::Error),
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

/// Reads a scenario for its golden walks, and sees that no walk reads a hole by mistake.
fn load(path: &Path) -> Result<Scenario, CliError> {
    let scenario = parse::load(path)?;
    let accesses = crate::report::golden_accesses(&scenario);
    crate::report::reject_holes(&scenario, &accesses).map_err(|source| CliError::Hole {
        path: path.display().to_string(),
        source,
    })?;
    Ok(scenario)
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
