// SPDX-License-Identifier: Apache-2.0
//! `nestwalk merge`: the results of a campaign from those of its shards.

use std::path::PathBuf;

use serde_json::json;

use super::{CliError, Ended, Verdict};
use crate::bundle::Bundle;
use crate::report::junit::Case;
use crate::report::text;
use crate::results::{Failed, Results, merge};
use crate::shown;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Files of `nestwalk fuzz --shard I/N --results FILE`, of all shards, in any order
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write the results into this file. They equal those of one run of the campaign, bit for bit
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Write JUnit XML into this file: a test case for each shard
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print the results, as JSON
    #[arg(long)]
    json: bool,
}

fn verdict(failure: Option<&Failed>) -> Verdict {
    match failure {
        None => Verdict::Agree,
        Some(failed) if failed.report["kind"] == "hang" => Verdict::Hang,
        Some(_) => Verdict::Mismatch,
    }
}

/// A failure in words.
fn about(results: &Results, failed: &Failed) -> String {
    let folder = Bundle::name(
        &results.campaign.profile,
        results.campaign.seed,
        failed.scenario,
    );
    format!(
        "{}\nscenario {} of the campaign; its bundle is {folder}, in the output folder of shard \
         {}\n",
        failed.text,
        failed.scenario,
        failed.scenario % results.shard.of,
    )
}

pub(super) fn main(args: &Args) -> Result<Ended, CliError> {
    let mut outputs = super::outputs("the results", &args.files)?;
    let results = outputs.file_if("--results", args.results.as_ref())?;
    let junit = outputs.file_if("--junit", args.junit.as_ref())?;
    let mut files = Vec::new();
    for path in &args.files {
        files.push((path.clone(), Results::read(path)?));
    }
    let merged = merge(&files)?;
    let mut ended = Ended::new(verdict(merged.failure.as_ref()));
    ended.keep(match args.json {
        true => super::print_json(&json!(merged)),
        false => super::print(&report(&files, &merged)),
    });
    if let Some(file) = &results {
        ended.keep(file.write(merged.to_text().as_bytes()));
    }
    let cases = files.iter().map(|(_, shard)| case(shard)).collect();
    ended.keep(super::write_junit(junit.as_ref(), "merge", cases));
    Ok(ended)
}

fn case(results: &Results) -> Case {
    let about = match &results.failure {
        Some(failed) => about(results, failed),
        None => text::stats(&results.stats) + "\n",
    };
    let campaign = &results.campaign;
    let name = format!(
        "fuzz --profile {} --seed {} --count {}{} --shard {}",
        campaign.profile, campaign.seed, campaign.count, campaign.shape, results.shard
    );
    let class = format!("fuzz.{}", campaign.profile);
    verdict(results.failure.as_ref()).case(&class, name, about, None)
}

fn report(files: &[(PathBuf, Results)], merged: &Results) -> String {
    let campaign = &merged.campaign;
    let mut out = format!(
        "fuzz --profile {} --seed {} --count {}{}, of {} shards\n{}\n{} scenarios\n",
        campaign.profile,
        campaign.seed,
        campaign.count,
        campaign.shape,
        files.len(),
        text::stats(&merged.stats),
        merged.scenarios
    );
    let Some(first) = &merged.failure else {
        out.push_str("no mismatch\n");
        return out;
    };
    let failures =
        (files.iter()).filter_map(|(path, shard)| Some((path, shard, shard.failure.as_ref()?)));
    let mut also = String::new();
    for (path, shard, failed) in failures {
        if failed.scenario == first.scenario {
            out.push('\n');
            out.push_str(&about(shard, failed));
        } else {
            let line = failed.text.lines().next().unwrap_or_default();
            also.push_str(&format!(
                "later, in {}: scenario {}: {line}\n",
                shown::path(path),
                failed.scenario
            ));
        }
    }
    out + &also
}
