// SPDX-License-Identifier: Apache-2.0
//! `nestwalk run`: a scenario on the RTL, each step with its cycle.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde_json::{Value, json};

use super::{CliError, Ended, Verdict};
use crate::addr::Hpa;
use crate::bench::{self, Failed, Read, Stats};
use crate::bundle;
use crate::golden::{Mapping, Step};
use crate::mmu::{Fault, describe_outcome};
use crate::output::{Draft, FileOutput, OutputError, cannot_write};
use crate::report::json::Document;
use crate::report::{self, GoldenAccess, Recorder, json as as_json, text};
use crate::scenario::Scenario;
use crate::shown;
use crate::version::Versions;
use crate::wave;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The scenario file
    scenario: PathBuf,
    /// Record the run into this FST file
    #[arg(long, value_name = "FILE")]
    wave: Option<PathBuf>,
    /// Write the requests, memory requests, fences and responses into this file, as JSON lines for
    /// `nestwalk audit`
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Write JUnit XML into this file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Run the scenario on this device, not on its own: a name or a specification, or the path of a
    /// device file or a shared object of `nestwalk build`
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A scenario's run on both sides.
pub(super) struct Both<'a> {
    pub golden: Vec<GoldenAccess<'a>>,
    pub recorder: Recorder,
    pub result: Result<Stats, Box<Failed>>,
    /// The run was interrupted before its end.
    interrupted: bool,
    /// For each access, the differences between the device and the expectations of the scenario.
    /// None: there are no expectations, or the run failed before the response.
    differences: Vec<Option<Vec<String>>>,
}

impl<'a> Both<'a> {
    /// Runs a scenario whose accesses the golden model has walked. With `wave`, the run is recorded
    /// into a draft of that FST file, which is returned so that it can be finished after the
    /// verdict.
    pub fn run(
        scenario: &'a Scenario,
        golden: Vec<GoldenAccess<'a>>,
        wave: Option<&FileOutput>,
    ) -> Result<(Self, Option<Result<Draft, OutputError>>), CliError> {
        let mut dut = super::device(scenario)?;
        let interrupt = super::interrupt();
        let mut recorder = Recorder::new(scenario);
        recorder.interrupt = Some(interrupt.clone());
        let (result, draft) = match wave.map(|wave| (wave, wave.draft())) {
            Some((wave, Ok(draft))) => {
                let recorded = wave::record(&mut dut, scenario, &mut recorder, draft.path(), 0);
                let written = recorded.wave.map_err(cannot_write(wave.named()));
                (recorded.result, Some(written.map(|()| draft)))
            }
            Some((_, Err(error))) => (
                bench::run(&mut dut, scenario, &mut recorder),
                Some(Err(error)),
            ),
            None => (bench::run(&mut dut, scenario, &mut recorder), None),
        };
        let interrupted = result.is_ok() && interrupt.load(Ordering::Relaxed);
        let differences = golden
            .iter()
            .map(|access| differences(scenario, &recorder, access, result.is_ok() && !interrupted))
            .collect();
        let both = Self {
            golden,
            recorder,
            result,
            interrupted,
            differences,
        };
        Ok((both, draft))
    }

    pub fn verdict(&self) -> Verdict {
        match &self.result {
            Err(failed) => Verdict::of(&failed.failure),
            Ok(_) if self.differing() > 0 => Verdict::Mismatch,
            Ok(_) if self.interrupted => Verdict::Interrupted,
            Ok(_) => Verdict::Agree,
        }
    }

    fn differing(&self) -> usize {
        self.golden
            .iter()
            .zip(&self.differences)
            .filter(|(access, device)| {
                !access.differences.is_empty() || device.as_ref().is_some_and(|d| !d.is_empty())
            })
            .count()
    }

    /// The report that `nestwalk run` prints.
    pub fn text(&self, scenario: &Scenario) -> String {
        let format = scenario.machine.format;
        let mut out = format!("{}\n", scenario.title);
        for (number, (golden, differences)) in self.golden.iter().zip(&self.differences).enumerate()
        {
            let device = &self.recorder.accesses[golden.op];
            let _ = writeln!(
                out,
                "\naccess {}: {}",
                number + 1,
                text::query(&golden.query, format)
            );
            let Some(accepted) = device.accepted else {
                out.push_str("  not taken by the device\n");
                continue;
            };
            let _ = write!(out, "  taken in cycle {accepted}, ");
            let Some((cycle, outcome, hit)) = &device.answered else {
                out.push_str(match device.abandoned {
                    true => "overtaken by a fence, and not asked again\n",
                    false => "not answered\n",
                });
                continue;
            };
            let _ = writeln!(
                out,
                "answered in cycle {cycle} ({} later): {}",
                cycle - accepted,
                describe_outcome(outcome, format)
            );
            if !device.replays.is_empty() {
                let cycles: Vec<String> = device
                    .replays
                    .iter()
                    .map(|cycle| cycle.to_string())
                    .collect();
                let _ = writeln!(
                    out,
                    "  overtaken by a fence, and asked again: replay in cycle {}",
                    cycles.join(", ")
                );
            }
            if *hit {
                out.push_str(match device.by_second {
                    true => "  TLB hit, of the second level: no reads\n",
                    false => "  TLB hit: no reads\n",
                });
            } else {
                if device.merged {
                    out.push_str("  by the walk of an equal miss that was under way:\n");
                }
                let reads = self.recorder.reads(golden.op);
                let (steps, found) = self.walk_beside(scenario, golden);
                out.push_str(&text::walk(format, &steps, &found, Some(reads)));
                out.push_str(&text::trap(&golden.query, &steps, &found, format));
            }
            let differences = differences.as_deref().unwrap_or_default();
            for (side, differences) in [
                ("golden model", &golden.differences[..]),
                ("device", differences),
            ] {
                for difference in differences {
                    let line = super::walk::line(golden.access.line);
                    let _ = writeln!(out, "  NOT AS EXPECTED{line}, {side}: {difference}");
                }
            }
            let expected = golden.access.expect.is_some();
            if expected && golden.differences.is_empty() && differences.is_empty() {
                out.push_str(match golden.of_device_alone {
                    true => {
                        "  as expected, on the device alone: memory answers with errors at random\n"
                    }
                    false => "  as expected, on golden model and device\n",
                });
            }
        }
        out.push('\n');
        match &self.result {
            Ok(stats) if self.interrupted => {
                let _ = writeln!(out, "{}", text::stats(stats));
                out.push_str("interrupted; no mismatch until then\n");
            }
            Ok(stats) => {
                let expected = self
                    .golden
                    .iter()
                    .filter(|a| a.access.expect.is_some())
                    .count();
                let _ = writeln!(out, "{}", text::stats(stats));
                let _ = writeln!(
                    out,
                    "device and golden model agree; {} of {expected} accesses with expectations \
                     are as expected",
                    expected - self.differing()
                );
            }
            Err(failed) => out.push_str(&text::failure(scenario, failed)),
        }
        out
    }

    /// The golden walk over the words that the device was given. The checker has made it, but for a
    /// request that shares the walk of another: there the offset in the page may differ.
    fn walk_beside(
        &self,
        scenario: &Scenario,
        golden: &GoldenAccess<'_>,
    ) -> (Cow<'_, [Step]>, Result<Mapping, Fault>) {
        let device = &self.recorder.accesses[golden.op];
        let walk = device.walk.map(|walk| &self.recorder.walks[walk]);
        if let Some(judged) = walk.and_then(|walk| walk.judged.as_ref())
            && judged.query == golden.query
        {
            return (Cow::Borrowed(&judged.steps), judged.found);
        }
        let reads = self.recorder.reads(golden.op);
        let (steps, found) = report::golden_beside(
            scenario.machine.format,
            &golden.query,
            reads,
            &scenario.memory,
        );
        (Cow::Owned(steps), found)
    }

    /// The run as JSON.
    pub fn json(&self, scenario: &Scenario) -> Value {
        let format = scenario.machine.format;
        json!({
            "title": scenario.title,
            "format": format,
            "variant": scenario.machine.variant().ok().map(|variant| variant.name),
            "agree": self.verdict() == Verdict::Agree,
            "failure": self.result.as_ref().err().map(|failed| as_json::failure(scenario, failed)),
            "stats": self.result.as_ref().map_or_else(|failed| failed.stats, |stats| *stats),
            "accesses": self
                .golden
                .iter()
                .zip(&self.differences)
                .map(|(golden, differences)| {
                    let device = &self.recorder.accesses[golden.op];
                    json!({
                        "golden": as_json::golden_access(golden, format),
                        "device": as_json::device_access(
                            device,
                            &self.recorder,
                            differences.as_deref(),
                            format,
                        ),
                    })
                })
                .collect::<Vec<_>>(),
        })
    }
}

/// Compares the device with the expectations of an access. If the run has ended (`to_the_end`), an
/// access without a response was abandoned for a reset.
fn differences(
    scenario: &Scenario,
    recorder: &Recorder,
    access: &GoldenAccess<'_>,
    to_the_end: bool,
) -> Option<Vec<String>> {
    let device = &recorder.accesses[access.op];
    let expect = access.access.expect.as_ref()?;
    let Some((_, outcome, hit)) = &device.answered else {
        let why = match device.abandoned {
            true => "a fence has overtaken the access, and its requester does not repeat it",
            false => "the device was reset before the response",
        };
        return to_the_end.then(|| vec![format!("expected a response, observed none: {why}")]);
    };
    let reads: Vec<(Hpa, Option<u64>)> = recorder
        .reads(access.op)
        .iter()
        .map(|read: &Read| (read.at, read.word))
        .collect();
    Some(expect.check_device(scenario.machine.format, outcome, *hit, &reads))
}

/// The note for a scenario of a bundle that was found with another RTL than that of this program.
pub(super) fn other_rtl(path: &Path, scenario: &Scenario) -> Option<String> {
    let here = Versions::with_device(scenario.machine.foreign).rtl;
    let rtl = bundle::rtl_of_bundle(path).filter(|rtl| *rtl != here)?;
    Some(format!(
        "note: the bundle of this scenario was found with RTL {rtl}; this {} has RTL {here}",
        if scenario.machine.foreign.is_some() {
            "device"
        } else {
            "program"
        }
    ))
}

pub(super) fn main(args: &Args) -> Result<Ended, CliError> {
    let mut outputs = super::outputs("the scenario", [&args.scenario])?;
    let mut scenario = super::load(&args.scenario)?;
    super::put_on(&mut scenario, args.device.as_ref())?;
    let golden = super::golden(&args.scenario, &scenario)?;
    let junit = outputs.file_if("--junit", args.junit.as_ref())?;
    let wave = outputs.file_if("--wave", args.wave.as_ref())?;
    let record = outputs.file_if("--record", args.record.as_ref())?;
    let begun = Instant::now();
    let (both, draft) = Both::run(&scenario, golden, wave.as_ref())?;
    let time = begun.elapsed();
    let mut ended = Ended::new(both.verdict());
    let note = other_rtl(&args.scenario, &scenario);
    let text = both.text(&scenario) + &note.as_ref().map_or_else(String::new, |n| format!("{n}\n"));
    if args.json {
        let mut value = both.json(&scenario);
        value["scenario"] = json!(args.scenario.display().to_string());
        value["wave"] = json!(args.wave.as_ref().map(|path| path.display().to_string()));
        value["note"] = json!(note);
        ended.keep(super::print_json(&Document::Run.of(value)));
    } else {
        ended.keep(super::print(&text));
    }
    let name = args.scenario.display().to_string();
    let case = both.verdict().case("run", name, text, Some(time));
    ended.keep(super::write_junit(junit.as_ref(), "run", vec![case]));
    if let Some(record) = &record
        && !both.interrupted
    {
        ended.keep(super::audit::record(&scenario, record));
    }
    if let (Some(wave), Some(draft)) = (&wave, draft)
        && let Some(draft) = ended.keep(draft)
        && !both.interrupted
        && ended.keep(wave.finish(draft)).is_some()
        && !args.json
    {
        ended.keep(super::print(&format!(
            "wave: {}\n",
            shown::path(wave.named())
        )));
    }
    Ok(ended)
}
