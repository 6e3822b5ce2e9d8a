// SPDX-License-Identifier: Apache-2.0
//! `nestwalk walk`: the golden walk of each access, as a table that a student can follow.

use std::fmt::Write;
use std::path::PathBuf;

use serde_json::json;

use super::{CliError, Ended, Verdict};
use crate::report::json::Document;
use crate::report::{json as as_json, text};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The scenario file
    scenario: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn main(args: &Args) -> Result<Ended, CliError> {
    super::outputs("the scenario", [&args.scenario])?;
    let scenario = super::load(&args.scenario)?;
    let format = scenario.machine.format;
    let accesses = super::golden(&args.scenario, &scenario)?;
    let differing = accesses
        .iter()
        .filter(|a| !a.differences.is_empty())
        .count();
    let verdict = if differing == 0 {
        Verdict::Agree
    } else {
        Verdict::Mismatch
    };

    let mut ended = Ended::new(verdict);
    if args.json {
        ended.keep(super::print_json(&Document::Walk.of(json!({
            "scenario": args.scenario.display().to_string(),
            "title": scenario.title,
            "format": format,
            "agree": differing == 0,
            "accesses": accesses
                .iter()
                .map(|access| as_json::golden_access(access, format))
                .collect::<Vec<_>>(),
        }))));
        return Ok(ended);
    }

    let mut out = format!("{}\n", scenario.title);
    for (number, access) in accesses.iter().enumerate() {
        let _ = writeln!(
            out,
            "\naccess {}: {}",
            number + 1,
            text::query(&access.query, format)
        );
        out.push_str(&text::walk(format, &access.steps, &access.found, None));
        out.push_str(&text::trap(
            &access.query,
            &access.steps,
            &access.found,
            format,
        ));
        if access.of_device_alone {
            out.push_str("  expected of the device alone: memory returns errors at random\n");
        } else if access.is_compared() && access.differences.is_empty() {
            out.push_str("  as expected\n");
        }
        for difference in &access.differences {
            let _ = writeln!(
                out,
                "  NOT AS EXPECTED{}: {difference}",
                line(access.access.line)
            );
        }
    }
    let expected = accesses
        .iter()
        .filter(|access| access.is_compared())
        .count();
    let _ = writeln!(
        out,
        "\n{} accesses; {} of {expected} with expectations meet them",
        accesses.len(),
        expected - differing
    );
    ended.keep(super::print(&out));
    Ok(ended)
}

/// The line of an access in its file, for a message.
pub(super) fn line(line: Option<u32>) -> String {
    line.map_or_else(String::new, |line| format!(" (line {line})"))
}
