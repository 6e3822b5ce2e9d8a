// SPDX-License-Identifier: Apache-2.0
//! `nestwalk fuzz`: random campaigns.

mod all;

use std::env;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{CliError, Ended, Verdict};
use crate::bench::{Failed, Failure};
use crate::bundle::Bundle;
use crate::campaign::{Campaign, Devices, Lean, Outcome};
use crate::coverage;
use crate::dut::description::Visibility;
use crate::dut::variants::Variant;
use crate::dut::{DutError, foreign, library};
use crate::report::json::Document;
use crate::report::mismatch::title;
use crate::report::{json as as_json, text};
use crate::results::Results;
use crate::shard::{Shard, ShardError};
use crate::shrink::confirm;
use crate::stimulus::{self, Profile};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Profile of the campaign: handout, handout-rights, classic32, classic32-rights, rv32, rv64
    #[arg(long, default_value = "handout", value_name = "P")]
    profile: Profile,
    /// Seed of all random draws [default: a new one each time]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Number of accesses
    #[arg(long, default_value_t = 200_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST_ACCESSES))]
    count: u64,
    /// Number of threads [default: one for each core]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u64).range(1..=1024))]
    jobs: Option<u64>,
    /// Run only this part of the campaign: I from 0 to N-1; "auto" takes both numbers from the
    /// variables of a job array's task
    #[arg(long, value_name = "I/N", requires = "seed", value_parser = shard)]
    shard: Option<ShardArg>,
    /// Write the results into this file, for `nestwalk merge`
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Write JUnit XML into this file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print the memory in use after each tenth of the campaign
    #[arg(long)]
    memory: bool,
    /// Folder for the bundle of a failure; created if there is a failure
    #[arg(short, long, default_value = "out", value_name = "DIR")]
    output: PathBuf,
    /// Collect functional coverage, and write it into this file (`nestwalk cover` reads it)
    #[arg(long, value_name = "FILE")]
    coverage: Option<PathBuf>,
    /// Bias the stimulus towards bins that these coverage files have not hit; separated by commas
    /// (RISC-V profiles)
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    lean: Vec<PathBuf>,
    /// Run every scenario on this device: a name such as rv64_s1, a specification such as
    /// rv64:slots=2,tlb=8, or the path of a device file or of a shared object of `nestwalk build`;
    /// the stimulus follows the abilities of the device [default: each scenario draws a device that
    /// has a name]
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Draw N devices from all legal parameters of the profile's format; the scenarios take them in
    /// turn
    #[arg(long, value_name = "N", conflicts_with = "device", value_parser = clap::value_parser!(u8).range(1..=MOST_DEVICES))]
    devices: Option<u8>,
    /// Use no more of the outputs of the devices: ports (the ports alone), attributed (also the ids
    /// of the memory port), requests (also hits, and which walk serves which request), or steps
    /// (also each step of each walk)
    #[arg(long, value_name = "LEVEL", default_value = "steps", value_parser = super::visibility())]
    visibility: Visibility,
    /// Write the code coverage of the RTL into this folder, in Verilator's format (a build with
    /// NESTWALK_COVERAGE=1)
    #[arg(long, value_name = "DIR")]
    rtl_coverage: Option<PathBuf>,
    /// Go on after a failure, and print a list of defects: the failures, sorted by what is wrong
    #[arg(long, conflicts_with_all = ["shard", "results", "coverage", "rtl_coverage"])]
    all: bool,
    /// A file of known defects, which are counted and not reported
    #[arg(long, value_name = "FILE", requires = "all")]
    deviations: Option<PathBuf>,
    /// Do not shrink a failure
    #[arg(long)]
    no_shrink: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The most devices of a campaign.
const MOST_DEVICES: i64 = stimulus::MOST_DEVICES as i64;

/// The most accesses of a campaign: years of them.
const MOST_ACCESSES: u64 = 1_000_000_000_000_000;

#[derive(Clone, Copy)]
enum ShardArg {
    Auto,
    Given(Shard),
}

fn shard(text: &str) -> Result<ShardArg, ShardError> {
    match text {
        "auto" => Ok(ShardArg::Auto),
        _ => Ok(ShardArg::Given(text.parse()?)),
    }
}

/// Memory in use after each tenth of a campaign.
struct Memory {
    total: u64,
    done: AtomicU64,
    /// Memory in use after each tenth, in bytes.
    tenths: Mutex<Vec<usize>>,
}

impl Memory {
    fn progress(&self, accesses: u64) {
        let done = self.done.fetch_add(accesses, Ordering::Relaxed) + accesses;
        let mut tenths = self.tenths.lock().unwrap_or_else(|e| e.into_inner());
        let is_over =
            |tenths: usize| u128::from(done) * 10 >= u128::from(self.total) * (tenths as u128 + 1);
        while tenths.len() < 10 && is_over(tenths.len()) {
            match memory_stats::memory_stats() {
                Some(memory) => tenths.push(memory.physical_mem),
                None => return,
            }
        }
    }

    fn tenths(&self) -> Vec<usize> {
        let tenths = self.tenths.lock().unwrap_or_else(|e| e.into_inner());
        tenths.clone()
    }

    fn text(&self) -> String {
        let tenths: Vec<_> = (self.tenths().iter())
            .map(|&bytes| format!("{:.1}", bytes as f64 / f64::from(1 << 20)))
            .collect();
        format!(
            "memory in use after each tenth, in MiB: {}\n",
            tenths.join(" ")
        )
    }
}

pub(super) fn main(args: &Args) -> Result<Ended, CliError> {
    with_devices(args, &Devices::default)
}

/// Runs a campaign on devices that `devices` makes for a thread.
fn with_devices(args: &Args, devices: &(dyn Fn() -> Devices + Sync)) -> Result<Ended, CliError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let shard = match args.shard {
        None => Shard::WHOLE,
        Some(ShardArg::Given(shard)) => shard,
        Some(ShardArg::Auto) => Shard::of_variables(|name| env::var(name).ok())?,
    };
    // Below 2^63, because TOML integers are signed.
    let seed = (args.seed).unwrap_or_else(|| RandomState::new().hash_one(0u8) >> 1);
    let lean = lean(args)?;
    let drawn = usize::from(args.devices.unwrap_or(0));
    let campaign = Campaign {
        profile: args.profile,
        seed,
        count: args.count,
        jobs: args.jobs.map_or(cores, |jobs| jobs as usize),
        coverage: args.coverage.is_some(),
        device: device(args)?,
        devices: stimulus::devices(args.profile.format, seed, drawn, lean.is_some()),
        visibility: args.visibility,
        lean,
    };
    if args.all {
        return all::main(args, &campaign, devices);
    }
    let mut outputs = super::outputs("--lean", &args.lean)?;
    outputs.folder(&args.output)?;
    let results = outputs.file_if("--results", args.results.as_ref())?;
    let junit = outputs.file_if("--junit", args.junit.as_ref())?;
    let coverage = outputs.file_if("--coverage", args.coverage.as_ref())?;
    let rtl_coverage = super::cover::rtl_folder(&mut outputs, args.rtl_coverage.as_ref())?;
    let part = match shard.is_whole() {
        true => String::new(),
        false => format!(" --shard {shard}"),
    };
    if !args.json {
        super::print(&format!("{}{part}\n", campaign.command()))?;
        for (number, device) in (1..).zip(&campaign.devices) {
            super::print(&format!("device {number}: {}\n", device.name))?;
        }
    }
    library::prepare(&campaign.devices_of(shard)).map_err(DutError::from)?;

    let accesses = stimulus::accesses_of_shard(campaign.count, shard);
    let bar = progress_bar(accesses, args.json);
    let interrupt = super::interrupt();
    let memory = args.memory.then(|| Memory {
        total: accesses,
        done: AtomicU64::new(0),
        tenths: Mutex::default(),
    });
    let progress = |accesses| {
        bar.inc(accesses);
        if let Some(memory) = &memory {
            memory.progress(accesses);
        }
    };
    let begun = Instant::now();
    let threads = AtomicUsize::new(0);
    let at_end = |devices: &mut Devices| match &rtl_coverage {
        None => Ok(()),
        Some(folder) => {
            let thread = threads.fetch_add(1, Ordering::Relaxed);
            super::cover::write_rtl(folder, &campaign, shard, thread, devices)
        }
    };
    let outcome = campaign.run_shard(shard, devices, &progress, &interrupt, &at_end)?;
    let time = begun.elapsed();
    bar.finish_and_clear();

    let mut ended = Ended::new(match &outcome.failed {
        Some((_, failed)) => Verdict::of(&failed.failure),
        None if outcome.interrupted => Verdict::Interrupted,
        None => Verdict::Agree,
    });
    // The verdict first: whatever comes may take long, or fail.
    if !args.json {
        ended.keep(super::print(&report(&campaign, &outcome, time)));
    }
    // Then what an hour was spent on.
    if let Some(file) = &results {
        let results = Results::new(&campaign, shard, &outcome);
        ended.keep(file.write(results.to_text().as_bytes()));
    }
    if let (Some(file), Some(coverage)) = (&coverage, &outcome.coverage) {
        ended.keep(file.write(coverage::file::to_json(coverage).as_bytes()));
    }
    let mut shrinking = Duration::ZERO;
    let devices = devices();
    let bundle = match &outcome.failed {
        Some((number, failed)) => {
            let first = campaign.scenario(*number);
            let begun = Instant::now();
            let found = confirm(&devices, first.clone(), failed, !args.no_shrink);
            let found = ended
                .keep(found)
                .unwrap_or_else(|| (first, Failed::clone(failed)).into());
            shrinking = begun.elapsed();
            let program = super::program();
            Some(Bundle::new(
                &campaign,
                *number,
                found,
                &args.output,
                &program,
            ))
        }
        None => None,
    };
    if args.json {
        let mut value = json!({
            "profile": campaign.profile.to_string(),
            "seed": campaign.seed,
            "count": campaign.count,
            "shard": shard,
            "device": campaign.device.map(|device| device.name),
            "devices": campaign.devices.iter().map(|device| device.name).collect::<Vec<_>>(),
            "scenarios": outcome.scenarios,
            "stats": outcome.stats,
            "interrupted": outcome.interrupted,
            "agree": outcome.failed.is_none(),
            "failure": bundle.as_ref().zip(outcome.failed.as_ref()).map(|(bundle, (number, failed))| {
                let first = as_json::failure(&campaign.scenario(*number), failed);
                bundle.summary(first, !args.no_shrink)
            }),
        });
        // A field that differs from run to run is printed only on request.
        if let Some(memory) = &memory {
            value["memory"] = json!(memory.tenths());
        }
        ended.keep(super::print_json(&Document::Fuzz.of(value)));
    } else {
        let mut text = bundle
            .as_ref()
            .map_or_else(String::new, |bundle| format!("\n{}", bundle.text()));
        if let Some(bundle) = bundle.as_ref().filter(|_| !args.no_shrink) {
            text.push_str(&shrunk_text(bundle, shrinking));
        }
        if let Some(memory) = &memory {
            text.push_str(&memory.text());
        }
        ended.keep(super::print(&text));
    }
    if let Some(bundle) = &bundle
        && let Err(errors) = bundle.write(&devices, &mut outputs)
    {
        ended
            .problems
            .extend(errors.into_iter().map(CliError::from));
    }
    let figures = text::stats(&outcome.stats) + "\n";
    let name = format!("{}{part}", campaign.command());
    let about = bundle.as_ref().map_or(figures, Bundle::text);
    let case = ended.verdict.case(
        &format!("fuzz.{}", campaign.profile),
        name,
        about,
        Some(time),
    );
    ended.keep(super::write_junit(junit.as_ref(), "fuzz", vec![case]));
    (ended.problems).extend(outcome.problems.into_iter().map(CliError::Device));
    Ok(ended)
}

/// The bias of the stimulus, if `--lean` is given.
fn lean(args: &Args) -> Result<Option<Lean>, CliError> {
    if args.lean.is_empty() {
        return Ok(None);
    }
    if !stimulus::can_lean(args.profile.format) {
        return Err(CliError::NoLeaning(args.profile));
    }
    let files: Vec<_> = args
        .lean
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let goals = super::cover::read(&args.lean)?.empty_goals(args.profile.format);
    Ok(Some(Lean {
        goals,
        files: files.join(","),
    }))
}

/// The device of the whole campaign, if `--device` names one.
fn device(args: &Args) -> Result<Option<&'static Variant>, CliError> {
    let Some(name) = &args.device else {
        return Ok(None);
    };
    let refused = |reason| CliError::NoDevice {
        name: name.clone(),
        reason,
        profile: args.profile,
    };
    let variant = foreign::device(name)?.map_err(|error| refused(error.to_string()))?;
    match variant.paging_format() == args.profile.format {
        true => Ok(Some(variant)),
        false => Err(refused(format!(
            "it is a device of {}",
            variant.format_name()
        ))),
    }
}

/// The figures, and how it ended.
fn report(campaign: &Campaign, outcome: &Outcome, time: Duration) -> String {
    let mut out = format!("{}\n", text::stats(&outcome.stats));
    let seconds = time.as_secs_f64();
    out.push_str(&format!(
        "{} in {seconds:.1} s: {:.0} accesses a second on {}\n",
        text::count(outcome.scenarios, "scenario"),
        outcome.stats.accesses as f64 / seconds.max(1e-9),
        text::count(campaign.jobs as u64, "thread"),
    ));
    match &outcome.failed {
        None if outcome.interrupted => out.push_str("interrupted; no mismatch until then\n"),
        None => out.push_str("no mismatch\n"),
        Some((number, failed)) => {
            let what = match &failed.failure {
                Failure::Mismatch(mismatch) => format!("MISMATCH, {}", title(mismatch.check())),
                Failure::Hang { .. } => "HANG".to_owned(),
                Failure::Device { .. } => "RTL ASSERTION".to_owned(),
            };
            out.push_str(&format!("scenario {number}: {what}\n"));
        }
    }
    out
}

/// Describes the result of shrinking.
fn shrunk_text(bundle: &Bundle, time: Duration) -> String {
    if bundle.shrunk {
        let ops = match bundle.scenario.ops.len() {
            1 => "1 op".to_owned(),
            ops => format!("{ops} ops"),
        };
        return format!("shrunk to {ops} in {:.2} s\n", time.as_secs_f64());
    }
    let why = match bundle.not_again {
        Some(_) => "the scenario does not fail again",
        None => "the smaller scenario does not fail by itself",
    };
    format!("not shrunk: {why}\n")
}

/// A bar with the rate on a terminal, nothing in a pipe.
fn progress_bar(count: u64, json: bool) -> ProgressBar {
    if json || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(count);
    let style = "{bar:40} {human_pos}/{human_len} accesses, {per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    // The bar moves when it is advanced. A steady tick would need a thread, which may not be
    // available.
    bar
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use clap::Parser;

    use super::super::{Cli, Verb};
    use super::*;
    use crate::dut::variants::VARIANTS;

    /// Scenarios run on a device with a smaller TLB than the checks assume: it misses what must
    /// hit.
    fn small() -> Devices {
        Devices::chosen(|scenario| {
            let own = scenario.machine.variant()?;
            (VARIANTS.iter())
                .find(|v| {
                    (v.format, v.slots) == (own.format, own.slots)
                        && v.tlb_entries < own.tlb_entries
                })
                .map_or(Ok(own), Ok)
        })
    }

    /// A campaign that fails, with these options.
    fn fails(options: &[(&str, &Path)]) -> Ended {
        let mut line: Vec<std::ffi::OsString> = [
            "nestwalk", "fuzz", "--seed", "5", "--count", "2000", "--json",
        ]
        .map(Into::into)
        .to_vec();
        for (option, path) in options {
            line.extend([(*option).into(), path.into()]);
        }
        let Verb::Fuzz(args) = Cli::parse_from(line).verb else {
            panic!("it is the verb fuzz");
        };
        with_devices(&args, &small).unwrap()
    }

    #[track_caller]
    fn mismatch_and(ended: &Ended, words: &[&str]) {
        assert_eq!(ended.verdict, Verdict::Mismatch);
        let said: Vec<String> = ended.problems.iter().map(ToString::to_string).collect();
        let all = said.join("\n");
        for word in words {
            assert!(all.contains(word), "{word}: {all}");
        }
        assert_eq!(said.is_empty(), words.is_empty(), "{all}");
    }

    #[test]
    fn a_mismatch_is_one_whatever_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let full = Path::new("/dev/full");
        mismatch_and(&fails(&[("-o", &at("out"))]), &[]);
        let name = fs::read_dir(at("out")).unwrap().next().unwrap().unwrap();
        assert!(name.path().join("report.txt").is_file());
        for option in ["--results", "--junit", "--coverage"] {
            let ended = fails(&[("-o", &at("out")), (option, full)]);
            mismatch_and(&ended, &["cannot write /dev/full", "No space left"]);
        }
        // Several outputs fail at once: each error is reported.
        let ended = fails(&[("-o", &at("out")), ("--results", full), ("--junit", full)]);
        mismatch_and(&ended, &["cannot write /dev/full"]);
        assert_eq!(ended.problems.len(), 2);
        // A file has the name of the bundle's folder.
        fs::create_dir(at("taken")).unwrap();
        fs::write(at("taken").join(name.file_name()), "mine").unwrap();
        mismatch_and(
            &fails(&[("-o", &at("taken"))]),
            &["cannot write ", "ot a directory"],
        );
        let mine = fs::read_to_string(at("taken").join(name.file_name())).unwrap();
        assert_eq!(mine, "mine");
        // A link to where nothing is yet is followed.
        symlink("nowhere/x", at("dangling")).unwrap();
        mismatch_and(&fails(&[("-o", &at("dangling"))]), &[]);
        assert!(
            at("nowhere/x")
                .join(name.file_name())
                .join("wave.fst")
                .is_file()
        );
    }
}
