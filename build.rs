// SPDX-License-Identifier: Apache-2.0
//! Compiles the devices of the program, the Verilator runtime and the bridge, and prepares all that
//! the program needs to compile further devices (`src/dut/build`, which this script shares).

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::time::Instant;

/// Two modules of the crate, under the same path.
#[allow(dead_code, unused_imports)]
#[path = "src/dut"]
mod dut {
    pub mod build;
    pub mod variants;
}
use dut::build::compiler::configure;
use dut::build::units::file_name;
use dut::build::{
    BuildError, COVERAGE_RUNTIME, Compilers, Kind, Linkage, Model, Options, Part, RUNTIME, Unit,
    VERILATOR, Verilator, compile_all, print_progress, write_if_changed,
};
use dut::variants::{VARIANTS, Variant};

#[path = "src/fnv.rs"]
mod fnv;
use fnv::fnv1a;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Cargo shows a user the standard error of a failed build script.
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn build() -> Result<()> {
    for path in [
        "rtl",
        "sim",
        "tools/find-verilator.sh",
        "tools/verilator-version",
        "build.rs",
        "src/dut/build",
        "src/dut/variants.rs",
        "src/dut/bridge.rs",
        "src/fnv.rs",
    ] {
        println!("cargo:rerun-if-changed={path}");
    }
    println!("cargo:rustc-check-cfg=cfg(nestwalk_coverage)");
    if coverage() {
        println!("cargo:rustc-cfg=nestwalk_coverage");
    }
    for name in [
        FORMATS,
        DEVICES,
        WITHOUT,
        OBJECTS,
        MODEL_OPT_LEVEL,
        "NESTWALK_MODEL_CXX",
        COVERAGE,
        VERILATOR,
        "PATH",
        "CXX",
        "CXXFLAGS",
    ] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let variants = variants_to_build()?;

    let out = PathBuf::from(env::var("OUT_DIR")?);
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let verilator = Verilator::find(&root.join("tools/find-verilator.sh"), None)?;
    let options = Options {
        linkage: Linkage::Program,
        target: env::var("TARGET")?,
        sources: root.clone(),
        scratch: out.clone(),
        // zlib and lz4 come with their -sys crates, so FST needs no headers of the system.
        include: [ZLIB, LZ4]
            .iter()
            .map(|library| library.include())
            .collect::<Result<_>>()?,
        coverage: coverage(),
        model_opt_level: model_opt_level()?,
    };
    let verilated_sources = match coverage() {
        true => sources_to_count(&root, &out)?,
        false => root.clone(),
    };
    let rtl = rtl_hash(&root)?;
    for (name, value) in [
        ("NESTWALK_VERILATOR_VERSION", verilator.version.as_str()),
        ("NESTWALK_RTL_HASH", &rtl),
        (
            "NESTWALK_RTL_COMMIT",
            &rtl_commit(&root).unwrap_or_default(),
        ),
        ("NESTWALK_TARGET", &options.target),
        ("NESTWALK_OPT_LEVEL", &options.model_opt_level.to_string()),
        (
            "NESTWALK_BUILT_WITH",
            &verilator.binary.display().to_string(),
        ),
    ] {
        println!("cargo:rustc-env={name}={value}");
    }
    write_if_changed(
        &out.join("carried.rs"),
        &carried(&root, &verilated_sources)?,
    )?;

    let with_harness = env::var_os("CARGO_FEATURE_CPP_HARNESS").is_some();
    let devices: Vec<Model> = variants
        .iter()
        .map(|variant| device(variant, &out))
        .collect();
    let harnessed = match with_harness {
        true => harnessed(&out),
        false => Vec::new(),
    };
    // Verilating takes a fraction of a second a model; compiling takes seconds, on all cores.
    let compilers = Compilers::find(&options, &verilator)?;
    let mut units = Vec::new();
    for part in [Part::Slow, Part::Fast] {
        for model in harnessed.iter().chain(&devices) {
            if part == Part::Slow {
                verilator.verilate(model, &verilated_sources, coverage())?;
            }
            units.push(Unit::model(model, part, &verilator, &options, &out)?);
        }
    }
    for source in RUNTIME
        .iter()
        .chain(coverage().then_some(&COVERAGE_RUNTIME))
    {
        units.push(Unit::runtime(source, &verilator, &options));
    }
    let objects = compile(&units, &compilers, &verilator, &options)?;

    write_if_changed(&out.join("variants.inc"), &variants_inc(&devices))?;
    let mut bridges = vec!["src/dut/bridge.rs"];
    if with_harness {
        println!("cargo:rerun-if-changed=benches");
        bridges.push("benches/harness.rs");
    }
    let mut bridge = cxx_build::bridges(bridges);
    configure(&mut bridge, &options, &verilator);
    bridge.include(&root).include(&out);
    for model in harnessed.iter().chain(&devices) {
        bridge.include(&model.folder);
    }
    bridge.files(["sim/dut.cpp", "sim/verilated_hooks.cpp"]);
    if with_harness {
        bridge.file("benches/harness.cpp");
    }
    for object in objects {
        bridge.object(object);
    }
    bridge.try_compile("nestwalk_sim")?;
    Ok(())
}

/// Returns the model of a device.
fn device(variant: &Variant, out: &Path) -> Model {
    // A specification is not an identifier.
    let name = match variant.name.contains(':') {
        true => format!("device_{}", fnv1a(variant.name.bytes())),
        false => variant.name.to_owned(),
    };
    Model {
        class: format!("V{name}_device"),
        folder: out.join(&name),
        name,
        variant: *variant,
        kind: Kind::Device,
    }
}

/// Returns the models that `benches/harness.cpp` names.
fn harnessed(out: &Path) -> Vec<Model> {
    let wanted = |variant: &&Variant| ["handout", "classic32"].contains(&variant.name);
    let model = |variant: &Variant| {
        let name = format!("{}_harnessed", variant.name);
        Model {
            class: format!("V{}", variant.name),
            folder: out.join(&name),
            name,
            variant: *variant,
            kind: Kind::Harnessed,
        }
    };
    VARIANTS.iter().filter(wanted).map(model).collect()
}

/// Compiles the units that have no object yet, as many in parallel as cargo allows. Returns all
/// objects.
fn compile(
    units: &[Unit],
    compilers: &Compilers,
    verilator: &Verilator,
    options: &Options,
) -> Result<Vec<PathBuf>> {
    let jobs = env::var("NUM_JOBS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1);
    let kept = env::var_os(OBJECTS).map(PathBuf::from);
    let folder = match &kept {
        Some(folder) => folder.clone(),
        None => options.scratch.join("objects"),
    };
    let mut objects = Vec::new();
    let mut to_compile = Vec::new();
    for unit in units {
        let prepared = unit.prepare(compilers, verilator, options, &folder)?;
        objects.push(prepared.object.clone());
        if !prepared.is_there() {
            to_compile.push((unit, prepared));
        }
    }
    let progress = Progress::of(to_compile.iter().map(|(unit, _)| *unit), jobs);
    compile_all(to_compile, jobs, kept.is_some(), &|unit| {
        progress.compiled(unit)
    })?;
    objects.sort();
    Ok(objects)
}

/// Prints which models have been compiled.
struct Progress {
    begun: Instant,
    /// Models to compile.
    models: usize,
    /// Units of each model that are not compiled yet.
    left: Mutex<HashMap<String, usize>>,
}

impl Progress {
    fn of<'a>(units: impl Iterator<Item = &'a Unit>, jobs: usize) -> Self {
        let mut left: HashMap<String, usize> = HashMap::new();
        for model in units.filter_map(|unit| unit.model.as_ref()) {
            *left.entry(model.clone()).or_default() += 1;
        }
        let models = left.len();
        if models > 0 {
            let s = if models == 1 { "" } else { "s" };
            print_progress(&format!(
                "compiling {models} model{s} of the RTL, {jobs} at a time"
            ));
        }
        Self {
            begun: Instant::now(),
            models,
            left: Mutex::new(left),
        }
    }

    fn compiled(&self, unit: &Unit) {
        let Some(model) = &unit.model else { return };
        let mut left = self.left.lock().unwrap_or_else(|e| e.into_inner());
        let Some(units) = left.get_mut(model) else {
            return;
        };
        *units -= 1;
        if *units == 0 {
            left.remove(model);
            print_progress(&format!(
                "compiled {model} ({} of {}, after {} s)",
                self.models - left.len(),
                self.models,
                self.begun.elapsed().as_secs()
            ));
        }
    }
}

/// The formats whose devices are all compiled in, by name, separated by blanks.
const FORMATS: &str = "NESTWALK_FORMATS";

/// The devices to compile in, and no others, by name or specification, separated by blanks.
const DEVICES: &str = "NESTWALK_DEVICES";

/// The devices to leave out, in the same form.
const WITHOUT: &str = "NESTWALK_WITHOUT";

/// A folder for objects that are kept after an edit of the RTL, for work with several versions of
/// it (`tools/mutants.sh`).
const OBJECTS: &str = "NESTWALK_OBJECTS";

/// The optimisation level of models, 0 to 3 (the default). A low level suits models that run only
/// for a short time.
const MODEL_OPT_LEVEL: &str = "NESTWALK_MODEL_OPT_LEVEL";

fn model_opt_level() -> Result<u32> {
    match env::var(MODEL_OPT_LEVEL) {
        Err(_) => Ok(3),
        Ok(level) => match level.parse() {
            Ok(level @ 0..=3) => Ok(level),
            _ => Err(BuildError::Variable {
                name: MODEL_OPT_LEVEL,
                value: level,
                legal: "0, 1, 2 or 3".to_owned(),
            }
            .into()),
        },
    }
}

/// Set to 1, the devices count which of their lines, branches, expressions and bits a run reaches.
/// They are several times slower.
const COVERAGE: &str = "NESTWALK_COVERAGE";

fn coverage() -> bool {
    env::var(COVERAGE).is_ok_and(|value| value == "1")
}

/// Returns a copy of the RTL with a cover statement before each `return`. Verilator counts a block
/// at its end, which a return never reaches; `nestwalk cover` uses the count of the statement for
/// it. Line numbers do not change.
fn sources_to_count(root: &Path, out: &Path) -> Result<PathBuf> {
    let copy = out.join("sources");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    for folder in ["rtl", "sim"] {
        fs::create_dir_all(copy.join(folder))?;
        for entry in fs::read_dir(root.join(folder))? {
            let path = entry?.path();
            let name = file_name(&path).into_owned();
            // The package's functions are evaluated at elaboration, where cover statements do not
            // exist.
            if path.is_file()
                && folder == "rtl"
                && name.ends_with(".sv")
                && name != "nested_mmu_pkg.sv"
            {
                fs::write(
                    copy.join(folder).join(&name),
                    cover_returns(&fs::read_to_string(&path)?),
                )?;
            } else if path.is_file() {
                fs::copy(&path, copy.join(folder).join(&name))?;
            }
        }
    }
    Ok(copy)
}

fn cover_returns(text: &str) -> String {
    const RETURN: &str = "return ";
    let mut out = String::new();
    let mut returning = false;
    for line in text.lines() {
        let (mut code, comment) = line.split_at(line.find("//").unwrap_or(line.len()));
        loop {
            let at = if returning {
                code.find(';').map(|at| at + 1)
            } else {
                let is_word =
                    |at: &usize| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                code.match_indices(RETURN).map(|(at, _)| at).find(is_word)
            };
            let Some(at) = at else {
                break;
            };
            out.push_str(&code[..at]);
            code = &code[at..];
            if returning {
                out.push_str(" end");
            } else {
                out.push_str("begin cover (1'b1); return ");
                code = &code[RETURN.len()..];
            }
            returning = !returning;
        }
        out.push_str(code);
        out.push_str(comment);
        out.push('\n');
    }
    out
}

/// Returns the devices to compile in: those that are requested, or the default device of each
/// format.
fn variants_to_build() -> Result<Vec<Variant>> {
    let names = |variable| {
        let list = env::var(variable).unwrap_or_default();
        list.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let devices = |variable| -> Result<Vec<Variant>> {
        let parse = |name: &String| {
            let variant = Variant::parse(name).map_err(|error| format!("{variable}: {error}"))?;
            Ok(*variant)
        };
        names(variable).iter().map(parse).collect()
    };
    let formats = names(FORMATS);
    for name in &formats {
        if !VARIANTS.iter().any(|variant| variant.format_name() == name) {
            return Err(format!("{FORMATS}: there is no format {name:?}").into());
        }
    }
    let only = devices(DEVICES)?;
    let without = devices(WITHOUT)?;
    let is_of_formats = |variant: &Variant| {
        formats.is_empty() || formats.iter().any(|name| name == variant.format_name())
    };
    let is_default = |variant: &Variant| *variant == *Variant::default_of(variant.format);
    let mut chosen: Vec<Variant> = match (only.is_empty(), formats.is_empty()) {
        (false, _) => only,
        (true, false) => VARIANTS.to_vec(),
        (true, true) => VARIANTS
            .iter()
            .filter(|variant| is_default(variant))
            .copied()
            .collect(),
    };
    chosen.retain(|variant| is_of_formats(variant) && !without.contains(variant));
    Ok(chosen)
}

fn variants_inc(devices: &[Model]) -> String {
    let mut text = String::from("// Made by build.rs from src/dut/variants.rs.\n#pragma once\n");
    for device in devices {
        text.push_str(&format!("#include \"{}.h\"\n", device.class));
    }
    text.push_str("#define NESTWALK_VARIANTS");
    for device in devices {
        text.push_str(&format!(
            " \\\n    NESTWALK_VARIANT(\"{}\", {}, {})",
            device.variant.name,
            device.class,
            device.inputs_at()
        ));
    }
    text.push('\n');
    text
}

/// A library that Verilator's wave writer needs. Its -sys crate builds it, and exports its place.
struct Library {
    /// The variables of its crate: the include folder and the build folder.
    include: &'static str,
    root: &'static str,
    /// The path of the archive below the build folder.
    archive: &'static str,
    headers: &'static [&'static str],
}

const ZLIB: Library = Library {
    include: "DEP_Z_INCLUDE",
    root: "DEP_Z_ROOT",
    archive: "lib/libz.a",
    headers: &["zlib.h", "zconf.h"],
};

const LZ4: Library = Library {
    include: "DEP_LZ4_INCLUDE",
    root: "DEP_LZ4_ROOT",
    archive: "liblz4.a",
    headers: &["lz4.h", "lz4hc.h"],
};

impl Library {
    fn folder(variable: &str) -> Result<PathBuf> {
        let folder = env::var_os(variable).ok_or_else(|| format!("{variable} is not set"))?;
        Ok(folder.into())
    }

    fn include(&self) -> Result<PathBuf> {
        Self::folder(self.include)
    }
}

/// Returns Rust code with the files that the program carries, so that it can compile devices where
/// only Verilator and a C++ compiler are installed: pairs of a path and the contents.
fn carried(root: &Path, verilated_sources: &Path) -> Result<String> {
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    for entry in fs::read_dir(verilated_sources.join("rtl"))? {
        let path = entry?.path();
        let name = file_name(&path).into_owned();
        if [".sv", ".svh", ".f"].iter().any(|end| name.ends_with(end)) {
            files.push((format!("rtl/{name}"), path));
        }
    }
    files.push((
        "sim/tb_top.sv".to_owned(),
        verilated_sources.join("sim/tb_top.sv"),
    ));
    for entry in fs::read_dir(root.join("sim/socket"))? {
        let path = entry?.path();
        files.push((format!("sim/socket/{}", file_name(&path)), path));
    }
    // All headers except the bridge's.
    for entry in fs::read_dir(root.join("sim"))? {
        let path = entry?.path();
        let name = file_name(&path).into_owned();
        if name.ends_with(".h") && name != "dut.h" {
            files.push((format!("sim/{name}"), path));
        }
    }
    for name in [
        "sim/dut_abi.cpp",
        "sim/fst/fstcpp/fstcpp_assertion.h",
        "sim/verilated_hooks.cpp",
        "tools/find-verilator.sh",
        "tools/verilator-version",
    ] {
        files.push((name.to_owned(), root.join(name)));
    }
    for library in [&ZLIB, &LZ4] {
        for header in library.headers {
            files.push((format!("include/{header}"), library.include()?.join(header)));
        }
        let archive = Library::folder(library.root)?.join(library.archive);
        files.push((format!("lib/{}", file_name(&archive)), archive));
    }
    files.sort();
    let mut text = String::from("// Made by build.rs.\n&[\n");
    for (name, path) in files {
        text.push_str(&format!(
            "    ({name:?}, include_bytes!({path:?}) as &[u8]),\n"
        ));
    }
    text.push_str("]\n");
    Ok(text)
}

/// Returns a hash of the names and contents of the files that the devices are made of.
fn rtl_hash(root: &Path) -> Result<String> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(root.join("rtl"))? {
        paths.push(entry?.path());
    }
    paths.sort();
    // `src/dut/rtl.rs` hashes the RTL of a folder in the same way.
    paths.push(root.join("sim/tb_top.sv"));
    let mut bytes = Vec::new();
    for path in paths {
        bytes.extend(file_name(&path).as_bytes());
        bytes.extend(fs::read(&path)?);
    }
    Ok(fnv1a(bytes))
}

/// Returns the last commit that changed the RTL; none outside the project's own repository, or if
/// the RTL has been edited since. It is not the last commit of all, because this script runs only
/// when the RTL changes.
fn rtl_commit(root: &Path) -> Option<String> {
    let git = |arguments: &[&str]| -> Option<String> {
        let output = Command::new("git")
            .arg("-C")
            .arg(root)
            .args(arguments)
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let top = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?);
    let is_own = top.canonicalize().ok()? == root.canonicalize().ok()?;
    let is_edited = !git(&["status", "--porcelain", "--", "rtl", "sim/tb_top.sv"])?.is_empty();
    if !is_own || is_edited {
        return None;
    }
    git(&[
        "log",
        "-1",
        "--format=%h",
        "--abbrev=12",
        "--",
        "rtl",
        "sim/tb_top.sv",
    ])
}
