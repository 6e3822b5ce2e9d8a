// SPDX-License-Identifier: Apache-2.0
//! Models, the compilation units of models, and the objects of units.
//!
//! An object is identified by a hash of its sources, its flags and its compiler, so a unit that has
//! not changed is not compiled again. After an edit of the RTL, only the models whose C++ has
//! changed are compiled, and the runtime is compiled once.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::{BuildError, Compilers, Options, Result, Verilator, fingerprint};
use crate::dut::variants::Variant;

/// A device whose RTL Verilator has translated into C++.
#[derive(Clone, Debug)]
pub struct Model {
    /// The stem of the file names of its objects.
    pub name: String,
    /// The C++ class that Verilator generates.
    pub class: String,
    /// The parameters of the device.
    pub variant: Variant,
    /// See [`Kind`].
    pub kind: Kind,
    /// The folder with the generated C++.
    pub folder: PathBuf,
}

/// The program that drives a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The testbench.
    Device,
    /// The hand-written C++ harness, for comparisons of speed. It drives the ports directly, and
    /// the model is compiled with `-O3`.
    Harnessed,
}

impl Model {
    /// Returns the value of the parameter `InputsAt` of `sim/tb_top.sv`.
    pub fn inputs_at(&self) -> u32 {
        match self.kind {
            Kind::Device => self.variant.inputs_at(),
            Kind::Harnessed => 0,
        }
    }
}

/// The two parts of the generated C++ of a model. Verilator marks the slow part in the file names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The code that runs in every cycle.
    Fast,
    /// The code that runs once. It is not optimised, because that would take half of the compile
    /// time.
    Slow,
}

/// An object file and its inputs.
#[derive(Debug)]
pub struct Unit {
    /// The stem of the file name of the object.
    pub name: String,
    /// The name of the model to which the unit belongs.
    pub model: Option<String>,
    source: PathBuf,
    /// Include folders that are searched before all others.
    before: Vec<PathBuf>,
    /// Include folders that are searched after the folders of the flags.
    after: Vec<PathBuf>,
    inputs: Vec<PathBuf>,
    opt_level: u32,
    is_device: bool,
}

/// The folder of headers that replace headers of Verilator's FST writer. The replacements report an
/// error where the original headers abort the process.
const FST_HEADERS: &str = "sim/fst";

impl Unit {
    /// Returns the unit of a part of a model. A file in the folder `scratch` includes all generated
    /// sources of the part, because one large file compiles faster than many small files.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn model(
        model: &Model,
        part: Part,
        verilator: &Verilator,
        options: &Options,
        scratch: &Path,
    ) -> Result<Self> {
        let mut inputs = files_of(&model.folder)?;
        inputs.retain(|p| p.extension().is_some_and(|e| e == "cpp" || e == "h"));
        let mut unity = format!("// {}\n", verilator.version);
        let is_source = |p: &Path| p.extension().is_some_and(|e| e == "cpp");
        let is_slow = |p: &Path| file_name(p).ends_with("__Slow.cpp");
        inputs.retain(|p| !is_source(p) || is_slow(p) == (part == Part::Slow));
        for path in inputs.iter().filter(|p| is_source(p)) {
            unity.push_str(&format!("#include \"{}\"\n", file_name(path)));
        }
        let (suffix, opt_level) = match part {
            // With code coverage there is a counter in every line. Optimisation then takes long and
            // gains little.
            Part::Fast if options.coverage => ("", 1),
            Part::Fast if model.kind == Kind::Harnessed => ("", 3),
            Part::Fast => ("", options.model_opt_level),
            Part::Slow => ("_slow", 0),
        };
        let name = format!("{}{suffix}", model.name);
        let source = scratch.join(format!("{name}_all.cpp"));
        write_if_changed(&source, &unity)?;
        inputs.push(source.clone());
        Ok(Self {
            name,
            model: Some(model.name.clone()),
            opt_level,
            source,
            before: Vec::new(),
            after: vec![model.folder.clone()],
            inputs,
            is_device: model.kind == Kind::Device,
        })
    }

    /// Returns the unit of the C interface of a model (`sim/dut_abi.cpp`). The file `device.inc`
    /// that it includes is in the folder of the model.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn interface(model: &Model, options: &Options) -> Result<Self> {
        let sim = options.sources.join("sim");
        let source = sim.join("dut_abi.cpp");
        let is_header = |p: &PathBuf| p.extension().is_some_and(|e| e == "h" || e == "inc");
        let mut inputs = vec![source.clone()];
        for folder in [&sim, &model.folder] {
            inputs.extend(files_of(folder)?.into_iter().filter(is_header));
        }
        Ok(Self {
            name: format!("{}_interface", model.name),
            model: Some(model.name.clone()),
            opt_level: 3,
            source,
            before: Vec::new(),
            after: vec![options.sources.clone(), model.folder.clone()],
            inputs,
            is_device: false,
        })
    }

    /// Returns the unit of a source of Verilator's runtime.
    pub fn runtime(source: &str, verilator: &Verilator, options: &Options) -> Self {
        let source = verilator.include().join(source);
        let headers = options.sources.join(FST_HEADERS);
        Self {
            name: file_name(&source).replace('.', "_"),
            model: None,
            inputs: vec![
                source.clone(),
                headers.join("fstcpp/fstcpp_assertion.h"),
                options.sources.join("sim/wave_error.h"),
            ],
            source,
            before: vec![headers, options.sources.clone()],
            after: Vec::new(),
            opt_level: 3,
            is_device: false,
        }
    }

    /// Returns the unit of a source in `sim/` that does not depend on a model.
    pub fn of_sim(source: &str, options: &Options) -> Self {
        let source = options.sources.join("sim").join(source);
        Self {
            name: file_name(&source).replace('.', "_"),
            model: None,
            inputs: vec![source.clone()],
            source,
            before: Vec::new(),
            after: vec![options.sources.clone()],
            opt_level: 3,
            is_device: false,
        }
    }

    /// Computes the path of the object, below the folder `objects`. The path contains a hash of all
    /// inputs.
    ///
    /// # Errors
    /// If an input cannot be read.
    pub fn prepare(
        &self,
        compilers: &Compilers,
        verilator: &Verilator,
        options: &Options,
        objects: &Path,
    ) -> Result<Prepared> {
        let mut command = compilers.command(self.is_device, self.opt_level)?;
        command.current_dir(&options.sources);

        let mut hasher = DefaultHasher::new();
        verilator.version.hash(&mut hasher);
        compilers.identity.hash(&mut hasher);
        include_str!("units.rs").hash(&mut hasher);
        fingerprint(&command).hash(&mut hasher);
        let print = options.sources.join("sim/print.h");
        for input in self.inputs.iter().chain([&print]) {
            fs::read(input)
                .map_err(BuildError::file(input))?
                .hash(&mut hasher);
        }
        let hash = format!("{:016x}", hasher.finish());
        let folder = objects.join(&self.name);
        let object = folder.join(format!("{hash}.o"));

        // The folders with replaced headers have to be searched before the include folders of the
        // flags.
        let mut all = Command::new(command.get_program());
        all.current_dir(&options.sources);
        let set = command
            .get_envs()
            .filter_map(|(key, value)| Some((key, value?)));
        all.envs(set);
        for folder in &self.before {
            all.arg("-I").arg(folder);
        }
        all.args(command.get_args());
        for folder in &self.after {
            all.arg("-I").arg(folder);
        }
        all.arg("-c").arg(&self.source);
        Ok(Prepared {
            what: self.name.clone(),
            command: all,
            folder,
            object,
        })
    }
}

/// A unit with the path of its object, and the command that compiles the object.
#[derive(Debug)]
pub struct Prepared {
    what: String,
    command: Command,
    folder: PathBuf,
    /// The path of the object, which may not exist yet.
    pub object: PathBuf,
}

impl Prepared {
    /// Returns true if the object exists.
    pub fn is_there(&self) -> bool {
        self.object.is_file()
    }

    /// Compiles the object. The object file is created atomically. `keeps_others`: older objects of
    /// the same unit, with other inputs, are not deleted.
    ///
    /// # Errors
    /// If the compiler fails, or the object cannot be written.
    pub fn compile(mut self, keeps_others: bool) -> Result<()> {
        static DRAFTS: AtomicU64 = AtomicU64::new(0);
        let folder = &self.folder;
        if folder.exists() && !keeps_others {
            fs::remove_dir_all(folder).map_err(BuildError::file(folder))?;
        }
        fs::create_dir_all(folder).map_err(BuildError::file(folder))?;
        let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
        let draft = folder.join(format!(".{}-{number}.draft.o", process::id()));
        let output = self.command.arg("-o").arg(&draft).output();
        let output = output.map_err(|source| BuildError::Start {
            tool: self.command.get_program().into(),
            source,
        })?;
        if !output.status.success() {
            // The compiler may have written a part of the object.
            let _ = fs::remove_file(&draft);
            let what = format!("the C++ compiler, on {},", self.what);
            return Err(BuildError::failed(what, &output));
        }
        fs::rename(&draft, &self.object).map_err(BuildError::file(&self.object))
    }
}

/// Compiles units with `jobs` compilers at a time, beginning with the last unit of the list.
/// `compiled` is called after each unit.
///
/// # Errors
/// The first error. Compilations that have begun are finished all the same.
pub fn compile_all(
    units: Vec<(&Unit, Prepared)>,
    jobs: usize,
    keeps_others: bool,
    compiled: &(dyn Fn(&Unit) + Sync),
) -> Result<()> {
    let units = Mutex::new(units);
    let work = || -> Result<()> {
        loop {
            let next = units.lock().unwrap_or_else(|e| e.into_inner()).pop();
            let Some((unit, prepared)) = next else {
                return Ok(());
            };
            let result = prepared.compile(keeps_others);
            if result.is_err() {
                units.lock().unwrap_or_else(|e| e.into_inner()).clear();
            }
            result?;
            compiled(unit);
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(work)).collect();
        let results = workers.into_iter().map(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        results.collect::<Vec<_>>().into_iter().collect()
    })
}

/// Returns the files of a folder, in the order of their names.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(BuildError::file(folder))?;
    let paths = entries.map(|entry| entry.map(|e| e.path()));
    let mut paths = paths
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(BuildError::file(folder))?;
    paths.sort();
    Ok(paths)
}

/// Writes a text to a file, unless the file contains this text already. An unchanged file keeps its
/// time, so nothing that depends on it is rebuilt.
///
/// # Errors
/// If the file cannot be written.
pub fn write_if_changed(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        fs::write(path, text).map_err(BuildError::file(path))?;
    }
    Ok(())
}

/// Returns the last component of a path.
pub fn file_name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}
