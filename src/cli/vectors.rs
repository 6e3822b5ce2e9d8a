// SPDX-License-Identifier: Apache-2.0
//! `nestwalk vectors`: translation vectors on the golden model and on the RTL.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{CliError, Ended, Verdict};
use crate::report::json::Document;
use crate::report::vectors as report;
use crate::vectors::check::Check;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Files of vectors: one JSON object per line, plain or compressed with gzip
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Models that the vectors are checked against
    #[arg(long, value_enum, default_value_t = On::Both, value_name = "WHAT")]
    on: On,
    /// Check the vectors on this device, not on the default device of their format: a name or a
    /// specification, or the path of a device file or a shared object of `nestwalk build`
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Number of threads [default: one for each core]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u64).range(1..=1024))]
    jobs: Option<u64>,
    /// Write JUnit XML into this file: a test case for each file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum On {
    /// The golden model
    Golden,
    /// The RTL: each vector twice, after reset, then again with a warm TLB
    Rtl,
    /// Both
    Both,
}

/// Disagreements that are shown of a file.
const SHOWN: usize = 3;

pub(super) fn main(args: &Args) -> Result<Ended, CliError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let check = Check {
        golden: matches!(args.on, On::Golden | On::Both),
        rtl: matches!(args.on, On::Rtl | On::Both),
        jobs: args.jobs.map_or(cores, |jobs| jobs as usize),
        keep: SHOWN,
        device: match &args.device {
            None => None,
            Some(name) => Some(super::any_device(name)?),
        },
    };
    let mut outputs = super::outputs("the vectors", &args.files)?;
    let junit = outputs.file_if("--junit", args.junit.as_ref())?;
    let interrupt = super::interrupt();
    let mut ended = Ended::new(Verdict::Agree);
    let mut cases = Vec::new();
    let mut files = Vec::new();
    let mut errors = Vec::new();
    for path in &args.files {
        let bar = progress_bar(args.json);
        let begun = Instant::now();
        let result = check.run(path, &|vectors| bar.inc(vectors), &interrupt);
        bar.finish_and_clear();
        let mut found = match result {
            Ok(found) => found,
            // The other files are still checked.
            Err(error) => {
                let (file, error) = (path.display().to_string(), error.to_string());
                cases.push(super::unfinished("vectors", &file, &error));
                files.push(json!({ "file": file, "error": error }));
                errors.push(error);
                continue;
            }
        };
        let of_file = match () {
            () if !found.agrees() => Verdict::Mismatch,
            () if found.interrupted => Verdict::Interrupted,
            () => Verdict::Agree,
        };
        if of_file == Verdict::Mismatch || ended.verdict == Verdict::Agree {
            ended.verdict = of_file;
        }
        let (name, text) = (path.display().to_string(), report::text(path, &found));
        if args.json {
            files.push(report::json(path, &found));
        } else {
            ended.keep(super::print(&text));
        }
        cases.push(of_file.case("vectors", name, text, Some(begun.elapsed())));
        errors.extend(found.error.take().map(|error| error.to_string()));
        if found.interrupted {
            break;
        }
    }
    if args.json {
        ended.keep(super::print_json(&Document::Vectors.of(json!({
            "files": files,
            "agree": ended.verdict != Verdict::Mismatch && errors.is_empty(),
            "interrupted": ended.verdict == Verdict::Interrupted,
        }))));
    }
    if !errors.is_empty() {
        ended.problems.push(CliError::Files(errors));
    }
    ended.keep(super::write_junit(junit.as_ref(), "vectors", cases));
    Ok(ended)
}

/// A count with the rate on a terminal, nothing in a pipe.
fn progress_bar(json: bool) -> ProgressBar {
    if json || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    // The number of vectors is known only at the end of the file.
    let bar = ProgressBar::new_spinner();
    let style = "{spinner} {human_pos} vectors, {per_sec}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    // The bar moves when it is advanced. A steady tick would need a thread, which may not be
    // available.
    bar
}
