// SPDX-License-Identifier: Apache-2.0
//! `nestwalk wave`: a scenario's run as waves, with views.

use std::path::PathBuf;

use serde_json::json;

use super::{CliError, Ended, Verdict};
use crate::bundle::write_views;
use crate::report::json::Document;
use crate::wave;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The scenario file
    scenario: PathBuf,
    /// Folder for the FST file and its views; created if it does not exist
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Run the scenario on this device, not on its own: a name or a specification, or the path of a
    /// device file or a shared object of `nestwalk build`
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn main(args: &Args) -> Result<Ended, CliError> {
    let mut outputs = super::outputs("the scenario", [&args.scenario])?;
    let mut scenario = super::load(&args.scenario)?;
    super::put_on(&mut scenario, args.device.as_ref())?;
    let golden = super::golden(&args.scenario, &scenario)?;
    // An error of the last file must appear before the first is written.
    let folder = outputs.folder(&args.output)?;
    let [fst, gtkw, sucl] = wave::FILES.map(|name| outputs.file_in("--output", &folder, name));
    let (fst, views) = (fst?, [gtkw?, sucl?]);
    folder.make()?;
    let (both, draft) = super::run::Both::run(&scenario, golden, Some(&fst))?;
    let failed = both.result.as_ref().err().map(Box::as_ref);
    let failed_at = failed.map(|failed| failed.failure.cycle());
    let mut ended = Ended::new(both.verdict());
    let note = super::run::other_rtl(&args.scenario, &scenario);
    if args.json {
        ended.keep(super::print_json(&Document::Wave.of(json!({
            "scenario": args.scenario.display().to_string(),
            "files": wave::FILES
                .iter()
                .map(|name| args.output.join(name).display().to_string())
                .collect::<Vec<_>>(),
            "open": wave::open_line(&args.output),
            "run": both.json(&scenario),
            "note": note,
        }))));
    } else {
        let mut text = String::new();
        if let Err(failed) = &both.result {
            text.push_str(&crate::report::text::failure(&scenario, failed));
        }
        for (mark, what) in wave::markers(&scenario, &both.recorder, failed_at) {
            text.push_str(&format!("cycle {:>6}  {what}\n", mark));
        }
        text.extend(note.map(|note| note + "\n"));
        ended.keep(super::print(&text));
    }
    if ended.verdict == Verdict::Interrupted {
        if !args.json {
            ended.keep(super::print("interrupted: no wave was written\n"));
        }
        return Ok(ended);
    }
    let Some(draft) = draft.and_then(|draft| ended.keep(draft)) else {
        return Ok(ended);
    };
    let written = fst
        .finish(draft)
        .and_then(|()| write_views(&views, wave::views(&scenario, &both.recorder, failed)));
    if ended.keep(written).is_some() && !args.json {
        let line = format!("open: {}\n", wave::open_line(&args.output));
        ended.keep(super::print(&line));
    }
    Ok(ended)
}
