// SPDX-License-Identifier: Apache-2.0
//! Finds Verilator, and runs it on the RTL.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::units::Model;
use super::{BuildError, Result, VERILATOR};

/// A Verilator that is installed and usable.
#[derive(Clone, Debug)]
pub struct Verilator {
    /// The program.
    pub binary: PathBuf,
    /// The `VERILATOR_ROOT` to run it with.
    pub root: PathBuf,
    /// The output of `verilator --version`.
    pub version: String,
}

/// The inputs of a Verilator run on the sources of a foreign device.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The name of the device, for error messages.
    pub what: &'a str,
    /// The working folder of Verilator.
    pub root: &'a Path,
    /// The arguments for source files, include folders, macros and parameters.
    pub arguments: Vec<OsString>,
    /// The top module.
    pub top: &'a str,
    /// The name of the C++ class to generate.
    pub class: &'a str,
    /// The folder for the generated C++.
    pub folder: &'a Path,
    /// RTL assertions are on.
    pub assertions: bool,
}

impl Verilator {
    /// Finds a usable Verilator with the script `tools/find-verilator.sh`, which the make targets
    /// use as well. `binary`: the only program to try; none for the default search of the script.
    ///
    /// # Errors
    /// If there is no usable Verilator.
    pub fn find(script: &Path, binary: Option<&Path>) -> Result<Self> {
        let mut command = Command::new("sh");
        command.arg(script);
        if let Some(binary) = binary {
            command.env(VERILATOR, binary);
        }
        let output = command.output().map_err(|source| BuildError::Start {
            tool: script.to_owned(),
            source,
        })?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        let mut lines = stdout.lines();
        match (
            output.status.success(),
            lines.next(),
            lines.next(),
            lines.next(),
        ) {
            (true, Some(binary), Some(root), Some(version)) => Ok(Self {
                binary: binary.into(),
                root: root.into(),
                version: version.into(),
            }),
            _ => Err(BuildError::NoVerilator(
                String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            )),
        }
    }

    /// Translates the sources of a foreign device into C++. Returns the files that Verilator has
    /// read, except files of Verilator itself.
    ///
    /// # Errors
    /// If Verilator reports an error in the sources.
    pub fn verilate_sources(&self, sources: &Sources<'_>, coverage: bool) -> Result<Vec<PathBuf>> {
        if sources.folder.exists() {
            fs::remove_dir_all(sources.folder).map_err(BuildError::file(sources.folder))?;
        }
        let mut command = self.command(sources.assertions);
        command.current_dir(sources.root);
        if coverage {
            Self::count_code(&mut command);
        }
        // The wrapper connects plain vectors to the user's ports, and these may be enumerations.
        command
            .arg("-Wno-ENUMVALUE")
            .args([
                "--prefix",
                sources.class,
                "--top-module",
                sources.top,
                "--Mdir",
            ])
            .arg(sources.folder)
            .args(&sources.arguments);
        let output = command.output().map_err(|source| BuildError::Start {
            tool: self.binary.clone(),
            source,
        })?;
        if !output.status.success() {
            let what = format!("Verilator on the sources of {}", sources.what);
            return Err(BuildError::failed(what, &output));
        }
        let list = sources
            .folder
            .join(format!("{}__verFiles.dat", sources.class));
        let text = fs::read_to_string(&list).map_err(BuildError::file(&list))?;
        let read = text.lines().filter(|line| line.starts_with('S'));
        let paths = read.filter_map(|line| line.strip_suffix('"')?.rsplit_once('"'));
        let mut files: Vec<PathBuf> = paths
            .map(|(_, path)| sources.root.join(path))
            .filter(|path| *path != self.binary && !path.starts_with(self.include()))
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// Returns the Verilator command with the flags that all models have.
    fn command(&self, assertions: bool) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .env("VERILATOR_ROOT", &self.root)
            .args(["--cc", "-O3", "--quiet", "--trace-fst", "--trace-structs"])
            // Warnings are not fatal, so that unfinished RTL can be simulated. `make lint` reports
            // them.
            .args(["-Wno-fatal", "--timescale", "1ns/1ns"])
            .args(if assertions {
                ["--assert", "--x-assign", "unique", "--x-initial", "unique"]
            } else {
                ["--no-assert", "--x-assign", "fast", "--x-initial", "fast"]
            });
        command
    }

    fn count_code(command: &mut Command) {
        // Each kind of coverage is selected by name. A plain --coverage would also count state
        // machines, and Verilator detects some that are none.
        let kinds = ["line", "toggle", "expr", "user"];
        command.args(kinds.map(|kind| format!("--coverage-{kind}")));
    }

    /// Translates the RTL of a model into C++. `sources`: the folder that has `rtl/` and `sim/`.
    ///
    /// # Errors
    /// If Verilator reports an error in the RTL.
    pub fn verilate(&self, model: &Model, sources: &Path, coverage: bool) -> Result<()> {
        let variant = &model.variant;
        // Old generated files are removed, because they would be compiled as well.
        if model.folder.exists() {
            fs::remove_dir_all(&model.folder).map_err(BuildError::file(&model.folder))?;
        }
        let mut command = self.command(variant.checked);
        command.current_dir(sources);
        if coverage {
            Self::count_code(&mut command);
        }
        let entries = variant.walk_cache_entries;
        command
            .arg("--prefix")
            .arg(&model.class)
            .arg("--Mdir")
            .arg(&model.folder)
            .args([
                "--top-module",
                "tb_top",
                "-F",
                "rtl/nested_mmu.f",
                "sim/tb_top.sv",
            ])
            .arg(format!("-GFormat={}", variant.format))
            .arg(format!("-GWalkSlots={}", variant.slots))
            .arg(format!("-GTlbEntries={}", variant.tlb_entries))
            .arg(format!("-GGuestCacheEntries={}", entries.guest))
            .arg(format!("-GHostCacheEntries={}", entries.host))
            .arg(format!("-GNestedTlbEntries={}", entries.nested))
            .arg(format!("-GReadBypass={}", u8::from(variant.read_bypass)))
            .arg(format!("-GMaxLevels={}", variant.max_levels))
            .arg(format!("-GSvadu={}", u8::from(variant.svadu)))
            .arg(format!("-GInputsAt={}", model.inputs_at()));
        if let Some(tlb2) = variant.tlb2 {
            command.args([
                format!("-GTlb2Sets={}", tlb2.sets),
                format!("-GTlb2Ways={}", tlb2.ways),
                format!("-GTlb2Superpages={}", tlb2.superpages),
            ]);
        }
        let output = command.output().map_err(|source| BuildError::Start {
            tool: self.binary.clone(),
            source,
        })?;
        if !output.status.success() {
            let what = format!("Verilator on the RTL of device {}", variant.name);
            return Err(BuildError::failed(what, &output));
        }
        Ok(())
    }

    /// Returns the folder of Verilator's runtime sources.
    pub fn include(&self) -> PathBuf {
        self.root.join("include")
    }
}
