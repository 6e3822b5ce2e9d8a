// SPDX-License-Identifier: Apache-2.0
//! `nestwalk fuzz --all`: a list of defects.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::{Args, Memory, progress_bar};
use crate::bench::Failure;
use crate::bundle::Bundle;
use crate::campaign::{Campaign, Devices};
use crate::cli::{CliError, Ended, Verdict, interrupt, outputs, print, print_json, program};
use crate::dut::{DutError, library};
use crate::findings::deviations::{self, Condition, Deviation, Proposals};
use crate::findings::{self, Group, MOST_OF_SCENARIO, MOST_SHRUNK, Outcome, Place};
use crate::report::json::Document;
use crate::report::junit::{Case, CaseResult};
use crate::report::{json as as_json, text};
use crate::shard::Shard;
use crate::shown;
use crate::{cli, stimulus};

/// A defect of the list.
struct Defect {
    /// Its name.
    id: String,
    group: Group,
    bundle: Bundle,
}

impl Defect {
    fn new(number: usize, group: Group, campaign: &Campaign, args: &Args, program: &str) -> Self {
        let found = group.found.clone();
        let place = group.place;
        let bundle = Bundle::new(campaign, place.scenario, found, &args.output, program);
        Self {
            id: format!("finding-{number}"),
            bundle: bundle.of_list(place.part),
            group,
        }
    }

    /// The clause on which the check rests; none for a hang and an assertion.
    fn clause(&self) -> Option<crate::bench::clause::Clause> {
        let scenario = &self.group.found.scenario;
        match &self.group.found.failed.failure {
            Failure::Mismatch(mismatch) => Some(mismatch.clause(scenario.machine.format)),
            Failure::Hang { .. } | Failure::Device { .. } => None,
        }
    }

    /// The first finding in words: its scenario, and its request if it has one.
    fn first(&self) -> String {
        let first = &self.group.first;
        let at = match first.place.part {
            0 => format!("scenario {}", first.place.scenario),
            part => format!("scenario {}, part {part}", first.place.scenario),
        };
        match &first.failed.failure {
            Failure::Mismatch(mismatch) => match &mismatch.query {
                Some(query) => {
                    let format = first.scenario.machine.format;
                    format!("{at}: {}", text::query(query, format))
                }
                None => at,
            },
            Failure::Hang { .. } | Failure::Device { .. } => at,
        }
    }

    /// The first finding in a table: the numbers of its scenario and part, and the access.
    fn first_in_short(&self) -> String {
        let Place { scenario, part } = self.group.first.place;
        match &self.group.first.failed.failure {
            Failure::Mismatch(mismatch) => match &mismatch.query {
                Some(query) => format!("{scenario}.{part}: {} gVA {}", query.access, query.gva),
                None => format!("{scenario}.{part}"),
            },
            Failure::Hang { .. } | Failure::Device { .. } => format!("{scenario}.{part}"),
        }
    }

    /// `deviations`: the ids of the proposed deviations that accept the findings.
    fn json(&self, deviations: &[&str], is_shrunk: bool) -> Value {
        let first = &self.group.first;
        let mut failure = self.bundle.summary(
            as_json::failure(&first.scenario, &first.failed),
            is_shrunk && self.bundle.shrunk,
        );
        failure["scenario"] = json!(self.group.place.scenario);
        json!({
            "id": self.id,
            "signature": self.group.signature,
            "words": self.group.signature.words(),
            "clause": self.clause(),
            "count": self.group.count,
            "first": first.place,
            "request": self.first(),
            "failure": failure,
            "deviations": deviations,
        })
    }

    fn case(&self, campaign: &Campaign) -> Case {
        Case {
            class: format!("nestwalk.fuzz.{}.findings", campaign.profile),
            name: self.group.signature.words(),
            time: None,
            result: CaseResult::Failed {
                kind: self.group.signature.check.to_owned(),
                message: format!(
                    "{}; first: {}",
                    text::count(self.group.count, "finding"),
                    self.first()
                ),
                text: self.bundle.text(),
            },
            output: String::new(),
        }
    }
}

/// Runs the campaign, and goes on after each failure.
pub(super) fn main(
    args: &Args,
    campaign: &Campaign,
    devices: &(dyn Fn() -> Devices + Sync),
) -> Result<Ended, CliError> {
    let known = match &args.deviations {
        Some(file) => deviations::read(file)?,
        None => Vec::new(),
    };
    let inputs = args.lean.iter().chain(&args.deviations);
    let mut outputs = outputs("the input", inputs)?;
    outputs.folder(&args.output)?;
    let junit = outputs.file_if("--junit", args.junit.as_ref())?;
    let command = format!("{} --all", campaign.command());
    if !args.json {
        print(&format!("{command}\n"))?;
        for (number, device) in (1..).zip(&campaign.devices) {
            print(&format!("device {number}: {}\n", device.name))?;
        }
    }
    library::prepare(&campaign.devices_of(Shard::WHOLE)).map_err(DutError::from)?;

    let accesses = stimulus::accesses_of_shard(campaign.count, Shard::WHOLE);
    let bar = progress_bar(accesses, args.json);
    let interrupt = interrupt();
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
    let mut outcome = findings::run_all(campaign, &known, devices, &progress, &interrupt)?;
    let time = begun.elapsed();
    bar.finish_and_clear();

    let mut ended = Ended::new(match outcome.signatures() {
        0 if outcome.interrupted => Verdict::Interrupted,
        0 => Verdict::Agree,
        _ => Verdict::Mismatch,
    });
    let signatures = outcome.signatures();
    if !args.json {
        ended.keep(print(&report(campaign, &outcome, time)));
    }
    let (groups, errors) = findings::list(campaign, &mut outcome, &known, devices, !args.no_shrink);
    ended
        .problems
        .extend(errors.into_iter().map(CliError::from));
    // Shrunk findings may turn out to be known.
    if groups.is_empty() && ended.verdict == Verdict::Mismatch {
        ended.verdict = match outcome.interrupted {
            true => Verdict::Interrupted,
            false => Verdict::Agree,
        };
    }
    let program = program();
    let defects: Vec<Defect> = (1..)
        .zip(groups)
        .map(|(number, group)| Defect::new(number, group, campaign, args, &program))
        .collect();
    let proposed = proposed(&defects);
    let not_shrunk = match args.no_shrink {
        true => 0,
        false => signatures.saturating_sub(MOST_SHRUNK),
    };
    if args.json {
        let mut value = json!({
            "profile": campaign.profile.to_string(),
            "seed": campaign.seed,
            "count": campaign.count,
            "shard": Shard::WHOLE,
            "device": campaign.device.map(|device| device.name),
            "devices": campaign.devices.iter().map(|device| device.name).collect::<Vec<_>>(),
            "scenarios": outcome.scenarios,
            "stats": outcome.stats,
            "interrupted": outcome.interrupted,
            "agree": defects.is_empty(),
            "failure": null,
            "findings": defects
                .iter()
                .map(|defect| defect.json(&accepting(defect, &proposed), !args.no_shrink))
                .collect::<Vec<_>>(),
            "proposed": proposed.iter().map(Proposed::entry).collect::<Vec<_>>().join("\n"),
            "given_up": outcome.given_up,
            "not_shrunk": not_shrunk,
            "deviations": known_json(&known, &outcome),
        });
        if let Some(memory) = &memory {
            value["memory"] = json!(memory.tenths());
        }
        ended.keep(print_json(&Document::Fuzz.of(value)));
    } else {
        let mut text = list(&defects, &proposed, not_shrunk);
        text.push_str(&known_text(&known, &outcome));
        if let Some(memory) = &memory {
            text.push_str(&memory.text());
        }
        ended.keep(print(&text));
    }
    let devices = devices();
    for defect in &defects {
        if let Err(errors) = defect.bundle.write(&devices, &mut outputs) {
            ended
                .problems
                .extend(errors.into_iter().map(CliError::from));
        }
    }
    let figures = text::stats(&outcome.stats) + "\n" + &known_text(&known, &outcome);
    let class = format!("fuzz.{}", campaign.profile);
    let mut cases = vec![match defects.is_empty() {
        true => ended.verdict.case(&class, command, figures, Some(time)),
        // The failures are cases of their own.
        false => Verdict::Agree.case(&class, command, figures, Some(time)),
    }];
    cases.extend(defects.iter().map(|defect| defect.case(campaign)));
    ended.keep(cli::write_junit(junit.as_ref(), "fuzz", cases));
    (ended.problems).extend(outcome.problems.into_iter().map(CliError::Device));
    Ok(ended)
}

/// The figures, and the number of findings.
fn report(campaign: &Campaign, outcome: &Outcome, time: Duration) -> String {
    let mut out = format!("{}\n", text::stats(&outcome.stats));
    out.push_str(&format!(
        "{} in {:.1} s on {}\n",
        text::count(outcome.scenarios, "scenario"),
        time.as_secs_f64(),
        text::count(campaign.jobs as u64, "thread"),
    ));
    if outcome.interrupted {
        out.push_str("interrupted\n");
    }
    out.push_str(&match outcome.findings() {
        0 => "no finding\n".to_owned(),
        findings => format!(
            "{} with {}\n",
            text::count(findings, "finding"),
            text::count(outcome.signatures() as u64, "signature"),
        ),
    });
    if outcome.given_up > 0 {
        out.push_str(&format!(
            "{} given up after {MOST_OF_SCENARIO} findings each\n",
            text::count(outcome.given_up, "scenario")
        ));
    }
    out
}

/// The list of defects: a table, and the proposed deviations.
fn list(defects: &[Defect], proposed: &[Proposed], not_shrunk: usize) -> String {
    if defects.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "finding",
        "count",
        "ops",
        "signature",
        "clause",
        "first",
        "folder",
    ]);
    for defect in defects {
        table.add_row([
            defect.id.clone(),
            defect.group.count.to_string(),
            defect.bundle.scenario.ops.len().to_string(),
            defect.group.signature.words(),
            defect
                .clause()
                .map_or("-", |clause| clause.section())
                .to_owned(),
            defect.first_in_short(),
            shown::path(&defect.bundle.folder).to_string(),
        ]);
    }
    for column in 1..3 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut out = format!("\n{table}\n");
    if not_shrunk > 0 {
        out.push_str(&format!(
            "not shrunk: {}, because no more than {MOST_SHRUNK} are\n",
            text::count(not_shrunk as u64, "signature")
        ));
    }
    out.push_str("\ndeviations that accept these findings (--deviations FILE):\n");
    for proposed in proposed {
        out.push_str(&format!("\n{}", proposed.entry()));
    }
    out
}

/// A proposed deviation.
struct Proposed {
    /// The name of the first finding that it accepts.
    id: String,
    when: Condition,
    /// The names of the findings that it accepts, alone or with others.
    findings: Vec<String>,
}

impl Proposed {
    /// The entry of a file of deviations, with a comment.
    fn entry(&self) -> String {
        let findings = self.findings.join(", ");
        format!("# {findings}\n{}", deviations::entry(&self.id, &self.when))
    }
}

/// Proposes deviations for a list of defects.
fn proposed(defects: &[Defect]) -> Vec<Proposed> {
    let signatures: Vec<_> = defects.iter().map(|one| &one.group.signature).collect();
    let Proposals { conditions, of } = Proposals::new(&signatures);
    let mut all: Vec<Proposed> = conditions
        .into_iter()
        .enumerate()
        .map(|(index, when)| {
            let accepted = defects.iter().zip(&of);
            let accepted = accepted.filter(|(_, by)| by.contains(&index));
            let findings: Vec<String> = accepted.map(|(one, _)| one.id.clone()).collect();
            let own = defects.iter().zip(&of).find(|(_, by)| **by == [index]);
            Proposed {
                id: own.map_or_else(String::new, |(defect, _)| defect.id.clone()),
                when,
                findings,
            }
        })
        .collect();
    let order = |id: &str| defects.iter().position(|defect| defect.id == id);
    all.sort_by_key(|one| order(&one.id));
    all
}

/// Returns the names of the proposed deviations that accept the findings of a defect.
fn accepting<'a>(defect: &Defect, proposed: &'a [Proposed]) -> Vec<&'a str> {
    let accepting = proposed
        .iter()
        .filter(|one| one.findings.contains(&defect.id));
    accepting.map(|one| &*one.id).collect()
}

/// The deviations, with the findings of each.
fn known_text(known: &[Deviation], outcome: &Outcome) -> String {
    let line = |(deviation, count): (&Deviation, &u64)| {
        let link = match &deviation.link {
            Some(link) => format!(" ({link})"),
            None => String::new(),
        };
        let what = match count {
            0 => "STALE: it has applied to no finding".to_owned(),
            count => format!("accepted {}", text::count(*count, "finding")),
        };
        format!("deviation {}{link}: {what}\n", deviation.id)
    };
    known.iter().zip(&outcome.accepted).map(line).collect()
}

fn known_json(known: &[Deviation], outcome: &Outcome) -> Value {
    let entries = known.iter().zip(&outcome.accepted);
    entries
        .map(|(deviation, count)| {
            json!({
                "id": deviation.id,
                "link": deviation.link,
                "action": deviation.action,
                "count": count,
                "stale": *count == 0,
            })
        })
        .collect()
}
