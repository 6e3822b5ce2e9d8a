//! `nestwalk fuzz`: random campaigns.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, IsTerminal};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::run::Both;
use super::{CliError, Verdict};
use crate::bench::Failed;
use crate::campaign::{Campaign, Devices, Outcome};
use crate::report::{json as as_json, text};
use crate::scenario::{Scenario, write};
use crate::shrink::shrink;
use crate::stimulus::Profile;
use crate::wave;

#[derive(clap::Args)]
pub(super) struct Args {
    /// What the campaign is about: handout, handout-rights, classic32, classic32-rights
    #[arg(long, default_value = "handout", value_name = "P")]
    profile: Profile,
    /// Seed of everything [default: a new one each time]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Accesses
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u64).range(1..=1024))]
    jobs: Option<u64>,
    /// Folder for what a failure leaves behind; it is made when there is one
    #[arg(short, long, default_value = "out", value_name = "DIR")]
    output: PathBuf,
    /// Leave a failure as it is found: not shrunk, and without a wave
    #[arg(long)]
    no_shrink: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn main(args: &Args) -> Result<Verdict, CliError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let campaign = Campaign {
        profile: args.profile,
        // Below 2^63, so that it can stand in a TOML file.
        seed: args
            .seed
            .unwrap_or_else(|| RandomState::new().hash_one(0u8) >> 1),
        count: args.count,
        jobs: args.jobs.map_or(cores, |jobs| jobs as usize),
    };
    // Found out now, not after an hour.
    probe(&args.output)?;
    if !args.json {
        super::print(&format!(
            "fuzz --profile {} --seed {} --count {}\n",
            campaign.profile, campaign.seed, campaign.count
        ))?;
    }

    let bar = progress_bar(campaign.count, args.json);
    let interrupt = super::interrupt();
    let begun = Instant::now();
    let outcome = campaign.run(&|accesses| bar.inc(accesses), &interrupt)?;
    let time = begun.elapsed();
    bar.finish_and_clear();

    let bundle = match &outcome.failed {
        Some((number, failed)) => Some(Bundle::make(&campaign, *number, failed, args)?),
        None => None,
    };
    let verdict = match &outcome.failed {
        Some((_, failed)) => Verdict::of(&failed.failure),
        None if outcome.interrupted => Verdict::Interrupted,
        None => Verdict::Agree,
    };
    if args.json {
        super::print_json(&json!({
            "profile": campaign.profile.to_string(),
            "seed": campaign.seed,
            "count": campaign.count,
            "scenarios": outcome.scenarios,
            "stats": outcome.stats,
            "interrupted": outcome.interrupted,
            "agree": outcome.failed.is_none(),
            "failure": bundle.as_ref().map(|bundle| json!({
                "scenario": outcome.failed.as_ref().map(|(number, _)| number),
                "first": outcome.failed.as_ref().map(|(number, failed)| {
                    as_json::failure(&campaign.scenario(*number), failed)
                }),
                "shrunk": bundle.shrunk.then(|| as_json::failure(&bundle.scenario, &bundle.failed)),
                "ops": bundle.scenario.ops.len(),
                "folder": bundle.folder.display().to_string(),
                "again": bundle.again(),
            })),
        }))?;
    } else {
        super::print(&report(&campaign, &outcome, bundle.as_ref(), time))?;
    }
    Ok(verdict)
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
            out.push_str(&text::failure(&bundle.scenario, &bundle.failed));
            out.push_str(&format!(
                "\nscenario {} of the campaign, after {} accesses, {} {} ops:\n{}",
                outcome.failed.as_ref().map_or(0, |(number, _)| *number),
                outcome.stats.accesses,
                if bundle.shrunk { "shrunk to" } else { "of" },
                bundle.scenario.ops.len(),
                bundle.files(),
            ));
        }
    }
    out
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

/// Whether something can be written in a folder that is there, or that would have to be made.
fn probe(folder: &Path) -> Result<(), CliError> {
    let mut there = folder;
    while !there.exists() {
        there = match there.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
    }
    tempfile::tempfile_in(there)
        .map(drop)
        .map_err(CliError::write(folder))
}

/// What a failure leaves behind.
struct Bundle {
    scenario: Scenario,
    failed: Failed,
    folder: PathBuf,
    /// It was made smaller, and has a wave.
    shrunk: bool,
}

impl Bundle {
    /// Shrinks the scenario, and writes it, the report and the wave into a folder of their own; all or nothing. Unless the
    /// failure is to be left as it is: then the scenario is written as it ran, and no wave.
    fn make(
        campaign: &Campaign,
        number: u64,
        failed: &Failed,
        args: &Args,
    ) -> Result<Self, CliError> {
        let output = args.output.as_path();
        let (mut scenario, mut failed) = (campaign.scenario(number), failed.clone());
        let shrunk = !args.no_shrink;
        if shrunk {
            let mut devices = Devices::default();
            (scenario, failed) = shrink(devices.get(&scenario)?, &scenario, &failed);
            scenario.title.push_str(", shrunk");
        }

        fs::create_dir_all(output).map_err(CliError::write(output))?;
        let name = format!("{}-{}-{number}", campaign.profile, campaign.seed);
        let folder = output.join(name);
        let draft = tempfile::Builder::new()
            .prefix(".draft")
            .permissions(fs::Permissions::from_mode(0o777))
            .tempdir_in(output)
            .map_err(CliError::write(output))?;
        let file = draft.path().join("scenario.toml");
        fs::write(&file, write::to_toml(&scenario)).map_err(CliError::write(&file))?;
        let file = draft.path().join("report.txt");
        fs::write(&file, text::failure(&scenario, &failed)).map_err(CliError::write(&file))?;
        if shrunk {
            let both = Both::run(&scenario, Some(&draft.path().join(wave::FST)))?;
            wave::write_views(
                draft.path(),
                &scenario,
                &both.recorder,
                Some(failed.failure.cycle()),
            )
            .map_err(CliError::write(draft.path()))?;
        }
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(CliError::write(&folder))?;
        }
        fs::rename(draft.keep(), &folder).map_err(CliError::write(&folder))?;
        Ok(Self {
            scenario,
            failed,
            folder,
            shrunk,
        })
    }

    fn again(&self) -> String {
        format!(
            "nestwalk run {}",
            self.folder.join("scenario.toml").display()
        )
    }

    fn files(&self) -> String {
        let wave = if self.shrunk {
            format!("  wave:   {}\n", wave::open_line(&self.folder))
        } else {
            String::new()
        };
        format!(
            "  again:  {}\n{wave}  report: {}\n",
            self.again(),
            self.folder.join("report.txt").display()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{Failure, Stats};

    #[test]
    fn a_failure_that_is_not_to_be_shrunk_is_written_as_it_ran() {
        let folder = tempfile::tempdir().unwrap();
        let args = Args {
            profile: "handout".parse().unwrap(),
            seed: None,
            count: 1,
            jobs: None,
            output: folder.path().join("out"),
            no_shrink: true,
            json: false,
        };
        let campaign = Campaign {
            profile: args.profile,
            seed: 7,
            count: 1000,
            jobs: 1,
        };
        let scenario = campaign.scenario(1);
        let failed = Failed {
            failure: Failure::Hang {
                cycle: 90,
                op: 2,
                since: 50,
            },
            stats: Stats::default(),
            begun: 3,
            memory: scenario.memory.clone(),
        };
        let bundle = Bundle::make(&campaign, 1, &failed, &args).unwrap();

        let mut names: Vec<_> = fs::read_dir(&bundle.folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["report.txt", "scenario.toml"]);
        let written = fs::read_to_string(bundle.folder.join("scenario.toml")).unwrap();
        assert!(written == write::to_toml(&scenario));
        assert_eq!(bundle.failed.failure, failed.failure);
        assert!(!bundle.files().contains("wave"));
    }
}
