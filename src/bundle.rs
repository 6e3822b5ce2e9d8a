// SPDX-License-Identifier: Apache-2.0
//! The bundle of a failure: one folder with all that is needed to understand it and to have it again.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::bench::Failed;
use crate::campaign::{Campaign, Devices};
use crate::dut::DutError;
use crate::dut::variants::SecondTlb;
use crate::report::json::Document;
use crate::report::{Recorder, json as as_json, text};
use crate::scenario::{Scenario, write};
use crate::shrink::Found;
use crate::version::Versions;
use crate::wave;

/// Name of the scenario's file in the folder.
pub const SCENARIO: &str = "scenario.toml";
/// Name of the report for people.
pub const REPORT: &str = "report.txt";
/// Name of the report for programs.
pub const REPORT_JSON: &str = "report.json";

/// Cycles that the wave has before the failing one. A scenario that was made smaller has less; of one that was not, the rest would be
/// megabytes that nobody looks at.
pub const WINDOW: u64 = 5000;

/// What a failure leaves behind.
#[derive(Debug)]
pub struct Bundle {
    /// The scenario, small if it was made so.
    pub scenario: Scenario,
    /// How it fails.
    pub failed: Failed,
    /// The scenario is a shrunk one, which fails again.
    pub shrunk: bool,
    /// What the scenario has come to on a new device, if it did not fail there again.
    pub not_again: Option<String>,
    /// Where all of it is.
    pub folder: PathBuf,
    origin: Origin,
}

/// Where a failure comes from.
#[derive(Clone, Debug)]
struct Origin {
    campaign: Campaign,
    number: u64,
    /// Ops that the scenario had.
    ops: usize,
    versions: Versions,
}

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Something cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// What.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no device to record the wave of.
    #[error(transparent)]
    Device(#[from] DutError),
}

fn cannot_write(path: &Path) -> impl FnOnce(io::Error) -> BundleError {
    let path = path.to_owned();
    move |source| BundleError::Write { path, source }
}

impl Bundle {
    /// The name of the folder for a scenario of a campaign.
    pub fn name(profile: &str, seed: u64, number: u64) -> String {
        format!("{profile}-{seed}-{number}")
    }

    /// Writes the folder for scenario `number` of a campaign, of which `found` has what is left and how it fails, below
    /// `output`; all or nothing. What was there of the same name goes.
    ///
    /// # Errors
    /// If it cannot be written, or there is no device for the wave.
    pub fn make(
        campaign: &Campaign,
        number: u64,
        found: impl Into<Found>,
        devices: &Devices,
        output: &Path,
    ) -> Result<Self, BundleError> {
        let Found {
            mut scenario,
            failed,
            shrunk,
            not_again,
        } = found.into();
        let ops = campaign.scenario(number).ops.len();
        if scenario.ops.len() < ops {
            scenario.title.push_str(", shrunk");
        }
        let name = Self::name(&campaign.profile.to_string(), campaign.seed, number);
        let bundle = Self {
            scenario,
            failed,
            shrunk,
            not_again,
            folder: output.join(name),
            origin: Origin {
                campaign: campaign.clone(),
                number,
                ops,
                versions: Versions::of_this_build(),
            },
        };
        bundle.write(devices, output)?;
        Ok(bundle)
    }

    fn write(&self, devices: &Devices, output: &Path) -> Result<(), BundleError> {
        fs::create_dir_all(output).map_err(cannot_write(output))?;
        let draft = tempfile::Builder::new()
            .prefix(".draft")
            .permissions(fs::Permissions::from_mode(0o777))
            .tempdir_in(output)
            .map_err(cannot_write(output))?;
        let report = format!("{:#}\n", self.json());
        for (name, content) in [
            (SCENARIO, write::to_toml(&self.scenario)),
            (REPORT, self.text()),
            (REPORT_JSON, report),
        ] {
            let file = draft.path().join(name);
            fs::write(&file, content).map_err(cannot_write(&file))?;
        }
        let mut dut = devices.fresh(&self.scenario)?;
        let mut recorder = Recorder::new(&self.scenario);
        let from = self.failed.failure.cycle().saturating_sub(WINDOW);
        let file = draft.path().join(wave::FST);
        // How it ends is known: it failed when nobody watched.
        let _ = wave::record(&mut dut, &self.scenario, &mut recorder, &file, from)
            .map_err(cannot_write(&file))?;
        wave::write_views(draft.path(), &self.scenario, &recorder, Some(&self.failed))
            .map_err(cannot_write(draft.path()))?;
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).map_err(cannot_write(&self.folder))?;
        }
        fs::rename(draft.keep(), &self.folder).map_err(cannot_write(&self.folder))
    }

    /// The command that runs it again.
    pub fn again(&self) -> String {
        format!("nestwalk run {}", self.folder.join(SCENARIO).display())
    }

    /// The campaign that found it, as a command.
    pub fn campaign(&self) -> String {
        self.origin.campaign.command()
    }

    /// The report: on the terminal, in the folder, in JUnit and JSON it is the same.
    pub fn text(&self) -> String {
        let Origin {
            number,
            ops,
            versions,
            ..
        } = &self.origin;
        let size = match self.scenario.ops.len() {
            left if left < *ops => format!("shrunk from {ops} ops to {left}"),
            left => format!("of {left} ops"),
        };
        let again = match &self.not_again {
            Some(what) => format!("did not fail again on a fresh device: {what}\n"),
            None => String::new(),
        };
        format!(
            "{}{again}\nscenario {number} of the campaign, {size}:\n  \
             again:    {}\n  \
             wave:     {}\n  \
             report:   {}\n  \
             campaign: nestwalk {}\n  \
             device:   {}\n  \
             versions: {versions}\n",
            text::failure(&self.scenario, &self.failed),
            self.again(),
            wave::open_line(&self.folder),
            self.folder.join(REPORT).display(),
            self.campaign(),
            self.device(),
        )
    }

    fn device(&self) -> String {
        let machine = &self.scenario.machine;
        let mut text = format!(
            "{}, {} walk slots, {} TLB entries, RTL assertions {}",
            machine.format,
            machine.slots,
            machine.tlb_entries,
            if machine.checked { "on" } else { "off" }
        );
        if machine.walk_caches.any() {
            let used: Vec<_> = machine.walk_caches.names().collect();
            text.push_str(&format!(
                ", walk caches {} of {} entries",
                used.join(", "),
                machine.walk_cache_entries
            ));
        }
        if let Some(SecondTlb {
            sets,
            ways,
            superpages,
        }) = machine.tlb2
        {
            text.push_str(&format!(
                ", second-level TLB of {sets} sets of {ways} and {superpages} superpages"
            ));
        }
        if machine.read_bypass {
            text.push_str(", read bypass");
        }
        if !machine.svadu {
            text.push_str(&format!(
                ", {} levels at most, no Svadu",
                machine.max_levels
            ));
        }
        text
    }

    /// What `nestwalk fuzz --json` prints of it. `first` is the failure as it was found; `shrunk` says whether the
    /// scenario has been shrunk since.
    pub fn summary(&self, first: Value, shrunk: bool) -> Value {
        json!({
            "scenario": self.origin.number,
            "first": first,
            "shrunk": shrunk.then(|| as_json::failure(&self.scenario, &self.failed)),
            "ops": self.scenario.ops.len(),
            "folder": self.folder.display().to_string(),
            "again": self.again(),
            "not_again": self.not_again,
            "text": self.text(),
        })
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let Origin {
            campaign,
            number,
            ops,
            versions,
        } = &self.origin;
        Document::Bundle.of(json!({
            "failure": as_json::failure(&self.scenario, &self.failed),
            "text": self.text(),
            "scenario": number,
            "ops": self.scenario.ops.len(),
            "ops_before": ops,
            "profile": campaign.profile.to_string(),
            "seed": campaign.seed,
            "count": campaign.count,
            "campaign": format!("nestwalk {}", self.campaign()),
            "again": self.again(),
            "not_again": self.not_again,
            "folder": self.folder.display().to_string(),
            "variant": self.scenario.machine.variant().map(|variant| variant.name),
            "versions": versions,
        }))
    }
}
