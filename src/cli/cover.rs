// SPDX-License-Identifier: Apache-2.0
//! `nestwalk cover`: coverage of any number of runs, added up.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{CliError, Verdict};
use crate::campaign::Devices;
use crate::coverage::file::{self, FileError};
use crate::coverage::rtl::{self, CodeCoverage};
use crate::coverage::{Coverage, html, text};
use crate::dut::{self, DutError};
use crate::report::json::Document;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Coverage files: of `nestwalk fuzz --coverage`, and of `--rtl-coverage`
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Write the sum into this folder: coverage.txt, .html, .json (to be added up again), and, of the RTL, .lcov
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// What of the RTL need not be reached
    #[arg(long, value_name = "FILE")]
    waivers: Option<PathBuf>,
    /// The folder that the RTL's sources are in
    #[arg(long, default_value = ".", value_name = "DIR")]
    sources: PathBuf,
    /// Exit with 1 if a reachable bin, or a line or branch of the RTL that is not waived, is not reached
    #[arg(long)]
    complete: bool,
    /// Bins to print of each group that are not reached yet
    #[arg(long, default_value_t = 10, value_name = "N")]
    most: usize,
    /// Print JSON
    #[arg(long, conflicts_with_all = ["html", "lcov"])]
    json: bool,
    /// Print HTML
    #[arg(long, conflicts_with = "lcov")]
    html: bool,
    /// Print LCOV, of the RTL
    #[arg(long)]
    lcov: bool,
}

/// The coverage of some files, added up.
///
/// # Errors
/// If one cannot be read, is none of coverage, or does not go with the others.
pub(super) fn read(files: &[PathBuf]) -> Result<Coverage, CliError> {
    let mut sum = Coverage::default();
    for path in files {
        let text = fs::read_to_string(path).map_err(|source| FileError::Read {
            path: path.clone(),
            source,
        })?;
        add(&mut sum, path, &text)?;
    }
    Ok(sum)
}

fn add(sum: &mut Coverage, path: &Path, text: &str) -> Result<(), FileError> {
    let coverage = file::parse(path, text)?;
    sum.merge(&coverage).map_err(|source| FileError::Merge {
        path: path.to_owned(),
        source,
    })
}

pub(super) fn main(args: &Args) -> Result<Verdict, CliError> {
    let mut sum = Coverage::default();
    let mut code = CodeCoverage::default();
    for path in &args.files {
        let text = fs::read_to_string(path).map_err(|source| FileError::Read {
            path: path.clone(),
            source,
        })?;
        if text.starts_with(rtl::MAGIC) {
            code.parse(path, &text)?;
            continue;
        }
        add(&mut sum, path, &text)?;
    }
    let report = match (code.is_empty(), &args.waivers) {
        (true, Some(_)) => return Err(CliError::NothingToWaive),
        (true, None) => None,
        (false, waivers) => Some(code.report(&args.sources, waivers.as_deref())?),
    };
    let report = report.as_ref();
    let lcov = || report.map_or_else(String::new, rtl::Report::lcov);
    let words = |most| {
        let mut out = text::report(&sum, most);
        if let Some(report) = report {
            out.push_str(if out.is_empty() { "" } else { "\n" });
            out.push_str(&report.text());
        }
        out
    };
    if let Some(folder) = &args.output {
        fs::create_dir_all(folder).map_err(CliError::write(folder))?;
        write(&folder.join("coverage.txt"), &words(usize::MAX))?;
        write(&folder.join("coverage.html"), &html::page(&sum, report))?;
        write(&folder.join("coverage.json"), &file::to_json(&sum))?;
        if report.is_some() {
            write(&folder.join("coverage.lcov"), &lcov())?;
        }
    }
    if args.json {
        let mut value = text::as_json(&sum);
        value["rtl"] = json!(report.map(rtl::Report::json));
        super::print_json(&Document::Cover.of(value))?;
    } else if args.html {
        super::print(&html::page(&sum, report))?;
    } else if args.lcov {
        super::print(&lcov())?;
    } else {
        super::print(&words(args.most))?;
    }
    Ok(verdict(&sum, report, args.complete))
}

/// What is held impossible and was reached is a mismatch; and, if all is asked for, what was not reached.
fn verdict(coverage: &Coverage, report: Option<&rtl::Report>, complete: bool) -> Verdict {
    let sound = coverage.formats().all(|format| {
        let total = coverage.total(format);
        total.contradictions == 0 && (!complete || total.reached == total.reachable)
    });
    let rtl_is_complete = !complete || report.is_none_or(rtl::Report::is_complete);
    match sound && rtl_is_complete {
        true => Verdict::Agree,
        false => Verdict::Mismatch,
    }
}

/// The folder of a file.
fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Whether a file could be written.
pub(super) fn probe_file(file: &Path) -> Result<(), CliError> {
    if file.is_dir() {
        let source = std::io::Error::from(std::io::ErrorKind::IsADirectory);
        return Err(CliError::write(file)(source));
    }
    tempfile::tempfile_in(folder(file))
        .map(drop)
        .map_err(CliError::write(file))
}

/// Writes a file, whole or not at all.
pub(super) fn write(file: &Path, text: &str) -> Result<(), CliError> {
    let mut draft = tempfile::Builder::new()
        .prefix(".draft")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder(file))
        .map_err(CliError::write(file))?;
    draft
        .write_all(text.as_bytes())
        .map_err(CliError::write(file))?;
    draft
        .persist(file)
        .map(drop)
        .map_err(|error| CliError::write(file)(error.error))
}

/// Makes the folder for [`write_rtl`], if this program counts code.
pub(super) fn make_rtl_folder(folder: &Path) -> Result<(), CliError> {
    if !dut::COUNTS_CODE {
        return Err(CliError::NoCodeCoverage);
    }
    fs::create_dir_all(folder).map_err(CliError::write(folder))
}

/// Writes the code coverage of the devices of a thread, a file each.
pub(super) fn write_rtl(
    folder: &Path,
    run: &str,
    thread: usize,
    devices: &mut Devices,
) -> Result<(), DutError> {
    for device in devices.all() {
        let name = device.variant().name;
        device.write_coverage(&folder.join(format!("{run}-{name}-{thread}.dat")))?;
    }
    Ok(())
}
