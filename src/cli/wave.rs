// SPDX-License-Identifier: Apache-2.0
//! `nestwalk wave`: a scenario's run as waves, with views.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::json;

use super::run::Both;
use super::{CliError, Verdict};
use crate::report::json::Document;
use crate::wave;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The scenario file
    scenario: PathBuf,
    /// Folder for the FST file and its views; made if it is not there
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn main(args: &Args) -> Result<Verdict, CliError> {
    let scenario = super::load(&args.scenario)?;
    let golden = super::golden(&args.scenario, &scenario)?;
    fs::create_dir_all(&args.output).map_err(CliError::write(&args.output))?;
    // What would stop the last file must stop the first.
    for name in wave::FILES {
        let target = args.output.join(name);
        if target.is_dir() {
            let source = io::Error::from(io::ErrorKind::IsADirectory);
            return Err(CliError::write(&target)(source));
        }
    }
    // Made beside, moved when whole.
    let draft = tempfile::Builder::new()
        .prefix(".draft")
        .permissions(fs::Permissions::from_mode(0o777))
        .tempdir_in(&args.output)
        .map_err(CliError::write(&args.output))?;
    let both = Both::run(&scenario, golden, Some(&draft.path().join(wave::FST)))?;
    let failed = both.result.as_ref().err().map(Box::as_ref);
    let failed_at = failed.map(|failed| failed.failure.cycle());
    wave::write_views(draft.path(), &scenario, &both.recorder, failed)
        .map_err(CliError::write(draft.path()))?;
    for name in wave::FILES {
        let target = args.output.join(name);
        fs::rename(draft.path().join(name), &target).map_err(CliError::write(&target))?;
    }

    if args.json {
        super::print_json(&Document::Wave.of(json!({
            "scenario": args.scenario.display().to_string(),
            "files": wave::FILES
                .iter()
                .map(|name| args.output.join(name).display().to_string())
                .collect::<Vec<_>>(),
            "open": wave::open_line(&args.output),
            "run": both.json(&scenario),
        })))?;
    } else {
        let mut text = String::new();
        if let Err(failed) = &both.result {
            text.push_str(&crate::report::text::failure(&scenario, failed));
        }
        for (mark, what) in wave::markers(&scenario, &both.recorder, failed_at) {
            text.push_str(&format!("cycle {:>6}  {what}\n", mark));
        }
        text.push_str(&format!("open it: {}\n", wave::open_line(&args.output)));
        super::print(&text)?;
    }
    Ok(both.verdict())
}
