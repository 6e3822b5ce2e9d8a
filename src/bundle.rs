// SPDX-License-Identifier: Apache-2.0
//! The bundle of a failure: one folder with everything that is needed to understand and repeat it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::bench::Failed;
use crate::campaign::{Campaign, Devices};
use crate::dut::DutError;
use crate::dut::variants::{SecondTlb, WalkCacheEntries};
use crate::input;
use crate::output::{FileOutput, FolderOutput, OutputError, Outputs, cannot_write};
use crate::report::json::Document;
use crate::report::{Recorder, json as as_json, text};
use crate::scenario::{Scenario, write};
use crate::shown;
use crate::shrink::Found;
use crate::version::Versions;
use crate::wave;

/// Name of the scenario's file in the folder.
pub const SCENARIO: &str = "scenario.toml";
/// Name of the report for people.
pub const REPORT: &str = "report.txt";
/// Name of the report for programs.
pub const REPORT_JSON: &str = "report.json";

/// Cycles that the wave holds before the failing one. The run of a shrunk scenario is usually
/// shorter.
pub const WINDOW: u64 = 5000;

/// The bundle of a failure.
#[derive(Debug)]
pub struct Bundle {
    /// The scenario, small if it was made so.
    pub scenario: Scenario,
    /// The failure.
    pub failed: Failed,
    /// The scenario is a shrunk one, which fails again.
    pub shrunk: bool,
    /// The result of the scenario on a new device, if it did not fail again there.
    pub not_again: Option<String>,
    /// The folder of the bundle.
    pub folder: PathBuf,
    origin: Origin,
}

/// The origin of a failure.
#[derive(Clone, Debug)]
struct Origin {
    campaign: Campaign,
    /// The program that ran it, as a word of a command.
    program: String,
    number: u64,
    /// The part of the scenario, in a list of defects.
    part: u32,
    /// Options of the command beside those of the campaign.
    options: &'static str,
    /// Ops that the scenario had.
    ops: usize,
    versions: Versions,
}

/// The reason why a bundle is not complete.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Something cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// There is no device to record the wave on.
    #[error(transparent)]
    Device(#[from] DutError),
}

impl Bundle {
    /// Returns the name of the folder for a scenario of a campaign.
    pub fn name(profile: &str, seed: u64, number: u64) -> String {
        format!("{profile}-{seed}-{number}")
    }

    /// Returns the bundle of scenario `number` of a campaign, below `output`. `found` has the
    /// scenario to report and its failure. `program` is the program as a word of a command. Nothing
    /// is written yet.
    pub fn new(
        campaign: &Campaign,
        number: u64,
        found: impl Into<Found>,
        output: &Path,
        program: &str,
    ) -> Self {
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
        let versions = Versions::with_device(scenario.machine.foreign);
        Self {
            scenario,
            failed,
            shrunk,
            not_again,
            folder: output.join(name),
            origin: Origin {
                campaign: campaign.clone(),
                program: program.to_owned(),
                number,
                part: 0,
                options: "",
                ops,
                versions,
            },
        }
    }

    /// Makes it the bundle of a finding of a list of defects, in part `part` of its scenario.
    pub fn of_list(mut self, part: u32) -> Self {
        self.origin.options = " --all";
        self.origin.part = part;
        if part > 0 {
            let mut folder = self.folder.into_os_string();
            folder.push(format!("-{part}"));
            self.folder = folder.into();
        }
        self
    }

    /// Writes the folder: first the scenario and the reports, then the wave with its views. Files
    /// of an older bundle are replaced, each of them atomically. All other files in the folder
    /// stay.
    ///
    /// # Errors
    /// Everything that could not be written. The rest has been written.
    pub fn write(&self, devices: &Devices, outputs: &mut Outputs) -> Result<(), Vec<BundleError>> {
        let folder = match outputs.folder(&self.folder) {
            Ok(folder) => folder,
            Err(error) => return Err(vec![error.into()]),
        };
        let mut errors: Vec<BundleError> = Vec::new();
        let report = format!("{:#}\n", self.json());
        for (name, content) in [
            (SCENARIO, write::to_toml(&self.scenario)),
            (REPORT, shown::text(&self.text()).into_owned()),
            (REPORT_JSON, report),
        ] {
            let written = outputs
                .file_in("the bundle", &folder, name)
                .and_then(|file| file.write(content.as_bytes()));
            errors.extend(written.map_err(BundleError::from).err());
        }
        // Otherwise a wave of an older failure could be mistaken for the wave of this one.
        for name in wave::FILES {
            match fs::remove_file(folder.target().join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    errors.push(cannot_write(&self.folder.join(name))(error).into());
                }
                _ => {}
            }
        }
        if let Err(error) = self.write_wave(devices, outputs, &folder) {
            errors.push(error);
        }
        match errors.is_empty() {
            true => Ok(()),
            false => Err(errors),
        }
    }

    fn write_wave(
        &self,
        devices: &Devices,
        outputs: &mut Outputs,
        folder: &FolderOutput,
    ) -> Result<(), BundleError> {
        let [fst, gtkw, sucl] = wave::FILES.map(|name| outputs.file_in("the bundle", folder, name));
        let (fst, views) = (fst?, [gtkw?, sucl?]);
        let mut dut = devices.fresh(&self.scenario)?;
        let mut recorder = Recorder::new(&self.scenario);
        let from = self.failed.failure.cycle().saturating_sub(WINDOW);
        let draft = fst.draft()?;
        // The result is known: the scenario failed without an observer.
        let recorded = wave::record(&mut dut, &self.scenario, &mut recorder, draft.path(), from);
        recorded.wave.map_err(cannot_write(fst.named()))?;
        fst.finish(draft)?;
        write_views(
            &views,
            wave::views(&self.scenario, &recorder, Some(&self.failed)),
        )?;
        Ok(())
    }

    /// Returns the command that runs it again.
    pub fn again(&self) -> String {
        let scenario = shown::word(self.folder.join(SCENARIO));
        format!("{} run {scenario}", self.origin.program)
    }

    /// Returns the command of the campaign that found it.
    pub fn campaign(&self) -> String {
        let Origin {
            campaign,
            program,
            options,
            ..
        } = &self.origin;
        format!("{program} {}{options}", campaign.command())
    }

    /// Returns the report: on the terminal, in the folder, in JUnit and JSON it is the same.
    pub fn text(&self) -> String {
        let Origin {
            number,
            part,
            ops,
            versions,
            ..
        } = &self.origin;
        let part = match part {
            0 => String::new(),
            part => format!(
                "the rest of it behind {}, ",
                text::count((*part).into(), "failure")
            ),
        };
        let size = match self.scenario.ops.len() {
            left if left < *ops => format!("shrunk from {ops} ops to {left}"),
            left => format!("of {left} ops"),
        };
        let again = match &self.not_again {
            Some(what) => format!("did not fail again on a fresh device: {what}\n"),
            None => String::new(),
        };
        format!(
            "{}{again}\nscenario {number} of the campaign, {part}{size}:\n  \
             again:    {}\n  \
             wave:     {}\n  \
             report:   {}\n  \
             campaign: {}\n  \
             device:   {}\n  \
             versions: {versions}\n",
            text::failure(&self.scenario, &self.failed),
            self.again(),
            wave::open_line(&self.folder),
            shown::path(&self.folder.join(REPORT)),
            self.campaign(),
            self.device(),
        )
    }

    fn device(&self) -> String {
        let machine = &self.scenario.machine;
        // The name begins with that of the format.
        let format = machine.format.name();
        let name = machine.variant().map_or(format, |variant| variant.name);
        let mut text = format!(
            "{name}, {} walk slots, {} TLB entries, RTL assertions {}",
            machine.slots,
            machine.tlb_entries,
            if machine.checked { "on" } else { "off" }
        );
        if machine.walk_caches.any() {
            let used: Vec<_> = machine.walk_caches.names().collect();
            let WalkCacheEntries {
                guest,
                host,
                nested,
            } = machine.walk_cache_entries;
            let entries = match machine.walk_cache_entries.same() {
                Some(entries) => entries.to_string(),
                None => format!("{guest}, {host} and {nested}"),
            };
            text.push_str(&format!(
                ", walk caches {} of {} entries",
                used.join(", "),
                entries
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

    /// Returns the failure in the document of `nestwalk fuzz --json`. `first` is the failure before
    /// shrinking. `shrunk` states whether the scenario has been shrunk.
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

    /// Returns the report as JSON.
    pub fn json(&self) -> Value {
        let Origin {
            campaign,
            number,
            ops,
            versions,
            ..
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
            "campaign": self.campaign(),
            "again": self.again(),
            "not_again": self.not_again,
            "folder": self.folder.display().to_string(),
            "variant": self.scenario.machine.variant().ok().map(|variant| variant.name),
            "versions": versions,
        }))
    }
}

/// Writes views of a wave into their files.
///
/// # Errors
/// The first that cannot be written.
pub fn write_views(
    files: &[FileOutput; 2],
    views: [(&'static str, String); 2],
) -> Result<(), OutputError> {
    for (file, (_, view)) in files.iter().zip(views) {
        file.write(view.as_bytes())?;
    }
    Ok(())
}

/// Returns the hash of the RTL's sources that a bundle's scenario failed on, from the report next
/// to the scenario; none if the scenario is in no bundle.
pub fn rtl_of_bundle(scenario: &Path) -> Option<String> {
    if scenario.file_name()? != SCENARIO {
        return None;
    }
    let report = input::read_text(&scenario.with_file_name(REPORT_JSON), input::MOST_SMALL).ok()?;
    let report: Value = serde_json::from_str(&report).ok()?;
    Some(report["versions"]["rtl"].as_str()?.to_owned())
}
