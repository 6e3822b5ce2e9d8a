// SPDX-License-Identifier: Apache-2.0
//! `nestwalk fuzz`: random campaigns.

use std::env;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{CliError, Verdict};
use crate::bundle::Bundle;
use crate::campaign::{Campaign, Devices, Lean, Outcome};
use crate::coverage;
use crate::dut::variants::{VARIANTS, Variant};
use crate::report::json::Document;
use crate::report::{json as as_json, text};
use crate::results::Results;
use crate::shard::{Shard, ShardError};
use crate::shrink::confirm;
use crate::stimulus::Profile;

#[derive(clap::Args)]
pub(super) struct Args {
    /// What the campaign is about: handout, handout-rights, classic32, classic32-rights, rv32, rv64
    #[arg(long, default_value = "handout", value_name = "P")]
    profile: Profile,
    /// Seed of everything [default: a new one each time]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Accesses
    #[arg(long, default_value_t = 200_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u64).range(1..=1024))]
    jobs: Option<u64>,
    /// Only this part of the campaign: I from 0 to N-1; "auto" takes both from the variables of a job array's task
    #[arg(long, value_name = "I/N", requires = "seed", value_parser = shard)]
    shard: Option<ShardArg>,
    /// Write the results into this file, for `nestwalk merge`
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Write JUnit XML into this file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Watch the memory in use: say what it is after each tenth of the campaign
    #[arg(long)]
    memory: bool,
    /// Folder for what a failure leaves behind; it is made when there is one
    #[arg(short, long, default_value = "out", value_name = "DIR")]
    output: PathBuf,
    /// Collect functional coverage, and write it into this file (`nestwalk cover` reads it)
    #[arg(long, value_name = "FILE")]
    coverage: Option<PathBuf>,
    /// Lean toward what these coverage files have not reached; separated by commas (RISC-V profiles)
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    lean: Vec<PathBuf>,
    /// Run all on this device of the profile's format, by its name in `variants.rs` [default: each scenario draws one]
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Write what of the RTL's code was reached into this folder, in Verilator's format (a build with NESTWALK_COVERAGE=1)
    #[arg(long, value_name = "DIR")]
    rtl_coverage: Option<PathBuf>,
    /// Leave a failure as it is found: not shrunk
    #[arg(long)]
    no_shrink: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

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
    /// In bytes.
    tenths: Mutex<Vec<usize>>,
}

impl Memory {
    fn progress(&self, accesses: u64) {
        let done = self.done.fetch_add(accesses, Ordering::Relaxed) + accesses;
        let mut tenths = self.tenths.lock().unwrap_or_else(|e| e.into_inner());
        while tenths.len() < 10 && done * 10 >= self.total * (tenths.len() as u64 + 1) {
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

pub(super) fn main(args: &Args) -> Result<Verdict, CliError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let shard = match args.shard {
        None => Shard::WHOLE,
        Some(ShardArg::Given(shard)) => shard,
        Some(ShardArg::Auto) => Shard::of_variables(|name| env::var(name).ok())?,
    };
    let campaign = Campaign {
        profile: args.profile,
        // Below 2^63, so that it can stand in a TOML file.
        seed: args
            .seed
            .unwrap_or_else(|| RandomState::new().hash_one(0u8) >> 1),
        count: args.count,
        jobs: args.jobs.map_or(cores, |jobs| jobs as usize),
        coverage: args.coverage.is_some(),
        lean: lean(args)?,
        device: device(args)?,
    };
    super::probe(&args.output)?;
    super::probe_file(args.results.as_ref())?;
    super::probe_file(args.junit.as_ref())?;
    if let Some(file) = &args.coverage {
        super::cover::probe_file(file)?;
    }
    if let Some(folder) = &args.rtl_coverage {
        super::cover::make_rtl_folder(folder)?;
    }
    let part = match shard.is_whole() {
        true => String::new(),
        false => format!(" --shard {shard}"),
    };
    if !args.json {
        super::print(&format!("{}{part}\n", campaign.command()))?;
    }

    let accesses = crate::stimulus::accesses_of_shard(campaign.count, shard);
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
    let at_end = |devices: &mut Devices| match &args.rtl_coverage {
        None => Ok(()),
        Some(folder) => {
            let thread = threads.fetch_add(1, Ordering::Relaxed);
            let run = format!(
                "{}-{}-{}-{}",
                campaign.profile, campaign.seed, campaign.count, shard.index
            );
            super::cover::write_rtl(folder, &run, thread, devices)
        }
    };
    let outcome = campaign.run_shard(shard, &Devices::default, &progress, &interrupt, &at_end)?;
    let time = begun.elapsed();
    bar.finish_and_clear();

    // First what an hour was spent on.
    if let Some(file) = &args.results {
        let results = Results::new(&campaign, shard, &outcome);
        super::write_file(file, &results.to_text())?;
    }
    if let (Some(file), Some(coverage)) = (&args.coverage, &outcome.coverage) {
        super::cover::write(file, &coverage::file::to_json(coverage))?;
    }
    let mut shrinking = Duration::ZERO;
    let bundle = match &outcome.failed {
        Some((number, failed)) => {
            let first = campaign.scenario(*number);
            let devices = Devices::default();
            let begun = Instant::now();
            let found = confirm(&devices, first, failed, !args.no_shrink)?;
            shrinking = begun.elapsed();
            let bundle = Bundle::make(&campaign, *number, found, &devices, &args.output)?;
            Some(bundle)
        }
        None => None,
    };
    let verdict = match &bundle {
        Some(bundle) => Verdict::of(&bundle.failed.failure),
        None if outcome.interrupted => Verdict::Interrupted,
        None => Verdict::Agree,
    };
    let figures = text::stats(&outcome.stats) + "\n";
    let name = format!("{}{part}", campaign.command());
    let about = bundle.as_ref().map_or(figures, Bundle::text);
    let case = verdict.case(
        &format!("fuzz.{}", campaign.profile),
        name,
        about,
        Some(time),
    );
    super::write_junit(args.junit.as_ref(), "fuzz", vec![case])?;
    if args.json {
        let mut value = json!({
            "profile": campaign.profile.to_string(),
            "seed": campaign.seed,
            "count": campaign.count,
            "shard": shard,
            "scenarios": outcome.scenarios,
            "stats": outcome.stats,
            "interrupted": outcome.interrupted,
            "agree": outcome.failed.is_none(),
            "failure": bundle.as_ref().zip(outcome.failed.as_ref()).map(|(bundle, (number, failed))| {
                let first = as_json::failure(&campaign.scenario(*number), failed);
                bundle.summary(first, !args.no_shrink)
            }),
        });
        // What differs from run to run is there only if it was asked for.
        if let Some(memory) = &memory {
            value["memory"] = json!(memory.tenths());
        }
        super::print_json(&Document::Fuzz.of(value))?;
    } else {
        super::print(&report(&campaign, &outcome, bundle.as_ref(), time))?;
        if let Some(bundle) = bundle.as_ref().filter(|_| !args.no_shrink) {
            super::print(&shrunk_text(bundle, shrinking))?;
        }
        if let Some(memory) = &memory {
            super::print(&memory.text())?;
        }
    }
    Ok(verdict)
}

/// What the campaign leans toward, if it shall.
fn lean(args: &Args) -> Result<Option<Lean>, CliError> {
    if args.lean.is_empty() {
        return Ok(None);
    }
    if !args.profile.format.is_riscv() {
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

/// The device of the whole campaign, if one is named.
fn device(args: &Args) -> Result<Option<&'static Variant>, CliError> {
    let Some(name) = &args.device else {
        return Ok(None);
    };
    let of_format = |v: &&Variant| v.paging_format() == args.profile.format;
    let found = VARIANTS.iter().filter(of_format).find(|v| v.name == name);
    match found {
        Some(variant) => Ok(Some(variant)),
        None => Err(CliError::NoDevice {
            name: name.clone(),
            profile: args.profile,
            there_are: VARIANTS
                .iter()
                .filter(of_format)
                .map(|v| v.name)
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

fn report(
    campaign: &Campaign,
    outcome: &Outcome,
    bundle: Option<&Bundle>,
    time: Duration,
) -> String {
    let mut out = format!("{}\n", text::stats(&outcome.stats));
    let seconds = time.as_secs_f64();
    out.push_str(&format!(
        "{} scenarios in {seconds:.1} s: {:.0} accesses a second on {} threads\n",
        outcome.scenarios,
        outcome.stats.accesses as f64 / seconds.max(1e-9),
        campaign.jobs
    ));
    match bundle {
        None if outcome.interrupted => out.push_str("interrupted; no mismatch until then\n"),
        None => out.push_str("no mismatch\n"),
        Some(bundle) => {
            out.push('\n');
            out.push_str(&bundle.text());
        }
    }
    out
}

/// What has come of shrinking.
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
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
