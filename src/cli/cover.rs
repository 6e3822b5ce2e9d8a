// SPDX-License-Identifier: Apache-2.0
//! `nestwalk cover`: coverage of any number of runs, added up.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{CliError, Ended, Verdict};
use crate::campaign::{Campaign, Devices};
use crate::coverage::file::{self, FileError};
use crate::coverage::rtl::{self, CodeCoverage};
use crate::coverage::{Coverage, html, text};
use crate::dut::{self, DutError};
use crate::input;
use crate::output::{FolderOutput, Outputs};
use crate::report::json::Document;
use crate::shard::Shard;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Coverage files: of `nestwalk fuzz --coverage`, and of `--rtl-coverage`
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Write the sum into this folder: coverage.txt, coverage.html, coverage.json (which can be
    /// added up again) and, for the RTL, coverage.lcov
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Waivers: points of the RTL that need not be covered
    #[arg(long, value_name = "FILE")]
    waivers: Option<PathBuf>,
    /// Folder of the RTL's sources
    #[arg(long, default_value = ".", value_name = "DIR")]
    sources: PathBuf,
    /// Exit with code 1 if a reachable bin was not hit, or a line or branch of the RTL is neither
    /// covered nor waived
    #[arg(long)]
    complete: bool,
    /// Most bins to print, per group, that were not hit
    #[arg(long, default_value_t = 10, value_name = "N")]
    most: usize,
    /// Print JSON
    #[arg(long, conflicts_with_all = ["html", "lcov"])]
    json: bool,
    /// Print HTML
    #[arg(long, conflicts_with = "lcov")]
    html: bool,
    /// Print LCOV for the RTL
    #[arg(long)]
    lcov: bool,
}

/// Adds up the coverage of some files.
///
/// # Errors
/// If a file cannot be read, is not a coverage file, or cannot be added to the others.
pub(super) fn read(files: &[PathBuf]) -> Result<Coverage, CliError> {
    let mut sum = Coverage::default();
    for path in files {
        let text = read_file(path)?;
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

/// The text of a file of coverage, of either kind.
fn read_file(path: &Path) -> Result<String, FileError> {
    let read = || {
        let text = input::read_text(path, input::MOST_CODE_COVERAGE)?;
        match text.starts_with(rtl::MAGIC) || text.len() as u64 <= input::MOST_COVERAGE {
            true => Ok(text),
            false => input::read_text(path, input::MOST_COVERAGE),
        }
    };
    read().map_err(|source| FileError::Read {
        path: path.to_owned(),
        source,
    })
}

pub(super) fn main(args: &Args) -> Result<Ended, CliError> {
    let inputs = args.files.iter().chain(&args.waivers);
    let mut outputs = super::outputs("an input", inputs)?;
    let folder = (args.output.as_ref())
        .map(|folder| outputs.folder(folder))
        .transpose()?;
    let mut sum = Coverage::default();
    let mut code = CodeCoverage::default();
    for path in &args.files {
        let text = read_file(path)?;
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
    let mut files = Vec::new();
    if let Some(folder) = &folder {
        let mut file = |name, text| {
            let file = outputs.file_in("--output", folder, name)?;
            files.push((file, text));
            Ok::<_, CliError>(())
        };
        file("coverage.txt", words(usize::MAX))?;
        file("coverage.html", html::page(&sum, report))?;
        file("coverage.json", file::to_json(&sum))?;
        if report.is_some() {
            file("coverage.lcov", lcov())?;
        }
    }
    let mut ended = Ended::new(verdict(&sum, report, args.complete));
    ended.keep(if args.json {
        let mut value = text::as_json(&sum);
        value["rtl"] = json!(report.map(rtl::Report::json));
        super::print_json(&Document::Cover.of(value))
    } else if args.html {
        super::print(&html::page(&sum, report))
    } else if args.lcov {
        super::print(&lcov())
    } else {
        super::print(&words(args.most))
    });
    for (file, text) in files {
        ended.keep(file.write(text.as_bytes()));
    }
    Ok(ended)
}

/// An impossible bin that was hit is a mismatch. If `complete` is set, so is a reachable bin that
/// was not hit.
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

/// The folder for [`write_rtl`], if one is given and this program counts code.
pub(super) fn rtl_folder(
    outputs: &mut Outputs,
    folder: Option<&PathBuf>,
) -> Result<Option<FolderOutput>, CliError> {
    let Some(folder) = folder else {
        return Ok(None);
    };
    if !dut::COUNTS_CODE {
        return Err(CliError::NoCodeCoverage);
    }
    let folder = outputs.folder(folder)?;
    folder.make()?;
    Ok(Some(folder))
}

/// Writes the code coverage of the devices of a thread, a file each.
pub(super) fn write_rtl(
    folder: &FolderOutput,
    campaign: &Campaign,
    shard: Shard,
    thread: usize,
    devices: &mut Devices,
) -> Result<(), DutError> {
    let (profile, seed, count) = (campaign.profile, campaign.seed, campaign.count);
    // Campaigns of another shape have files of their own.
    let shape = campaign.shape().digest();
    let run = format!(
        "{profile}-{seed}-{count}-{shape}-{}of{}",
        shard.index, shard.of
    );
    for device in devices.all() {
        let name = device.variant().name;
        let file = folder.target().join(format!("{run}-{name}-{thread}.dat"));
        device.write_coverage(&file)?;
    }
    Ok(())
}
