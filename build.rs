// SPDX-License-Identifier: Apache-2.0
//! Verilates the RTL once for each device variant and compiles the models, the Verilator runtime and the bridge.
//!
//! What has not changed is not compiled again: a model is known by a hash of its generated C++ and its flags, so an
//! RTL edit recompiles the models it reaches, and the runtime only once.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::env;
use std::error::Error;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

#[path = "src/dut/variants.rs"]
#[allow(dead_code)]
mod variants;
use variants::{VARIANTS, Variant};

#[path = "src/fnv.rs"]
mod fnv;
use fnv::fnv1a;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Runtime sources of Verilator that the models need.
const RUNTIME: &[&str] = &[
    "verilated.cpp",
    "verilated_threads.cpp",
    "verilated_fst_c.cpp",
];

/// And with code coverage.
const COVERAGE_RUNTIME: &str = "verilated_cov.cpp";

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // What a user sees of a failed build script is its standard error.
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
    ] {
        println!("cargo:rerun-if-changed={path}");
    }
    println!("cargo:rustc-check-cfg=cfg(nestwalk_coverage)");
    if coverage() {
        println!("cargo:rustc-cfg=nestwalk_coverage");
    }
    let variants = variants_to_build()?;
    println!("cargo:rerun-if-changed=src/dut/variants.rs");
    println!("cargo:rerun-if-changed=src/fnv.rs");
    println!("cargo:rerun-if-changed=src/dut/bridge.rs");
    for name in [
        FORMATS,
        DEVICES,
        WITHOUT,
        OBJECTS,
        MODEL_OPT_LEVEL,
        MODEL_CXX,
        COVERAGE,
        "NESTWALK_VERILATOR",
        "PATH",
        "CXX",
        "CXXFLAGS",
    ] {
        println!("cargo:rerun-if-env-changed={name}");
    }

    let out = PathBuf::from(env::var("OUT_DIR")?);
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let verilator = Verilator::find(&root)?;
    println!(
        "cargo:rustc-env=NESTWALK_VERILATOR_VERSION={}",
        verilator.version
    );
    println!("cargo:rustc-env=NESTWALK_RTL={}", rtl_hash(&root)?);
    println!(
        "cargo:rustc-env=NESTWALK_RTL_COMMIT={}",
        rtl_commit(&root).unwrap_or_default()
    );

    let sources = match coverage() {
        true => sources_to_count(&root, &out)?,
        false => root.clone(),
    };
    let with_harness = env::var_os("CARGO_FEATURE_CPP_HARNESS").is_some();
    let devices: Vec<Model> = variants.iter().map(Model::device).collect();
    let harnessed = if with_harness {
        Model::harnessed()
    } else {
        Vec::new()
    };
    // Verilating takes a fraction of a second a model; compiling takes seconds, on all cores.
    let compiler = device_compiler()?;
    let mut units = Vec::new();
    for part in [Part::Slow, Part::Fast] {
        for model in harnessed.iter().chain(&devices) {
            if part == Part::Slow {
                verilator.verilate(model, &sources, &out)?;
            }
            units.push(Unit::model(model, part, &compiler, &verilator, &out)?);
        }
    }
    for source in RUNTIME
        .iter()
        .chain(coverage().then_some(&COVERAGE_RUNTIME))
    {
        units.push(Unit::runtime(source, &verilator)?);
    }
    let objects = compile_all(&units, &verilator, &out)?;

    write_if_changed(&out.join("variants.inc"), &variants_inc(&devices))?;
    let mut bridges = vec!["src/dut/bridge.rs"];
    if with_harness {
        println!("cargo:rerun-if-changed=benches");
        bridges.push("benches/harness.rs");
    }
    let mut bridge = cxx_build::bridges(bridges);
    configure(&mut bridge, &verilator);
    bridge.include(&root).include(&out);
    for model in harnessed.iter().chain(&devices) {
        bridge.include(out.join(&model.name));
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

struct Verilator {
    binary: PathBuf,
    root: PathBuf,
    version: String,
}

impl Verilator {
    /// Asks `tools/find-verilator.sh`, which the make targets ask too.
    fn find(root: &Path) -> Result<Self> {
        let output = Command::new("sh")
            .arg(root.join("tools/find-verilator.sh"))
            .output()
            .map_err(|e| format!("cannot run tools/find-verilator.sh: {e}"))?;
        let stdout = String::from_utf8(output.stdout)?;
        let mut lines = stdout.lines();
        match (output.status.success(), lines.next(), lines.next(), lines.next()) {
            (true, Some(binary), Some(root), Some(version)) => Ok(Self {
                binary: binary.into(),
                root: root.into(),
                version: version.into(),
            }),
            _ => Err(format!(
                "no usable Verilator. {}\n  Run `make setup`, which installs one inside the project, or set \
                 NESTWALK_VERILATOR to the program.",
                String::from_utf8_lossy(&output.stderr).trim()
            )
            .into()),
        }
    }

    fn verilate(&self, model: &Model, sources: &Path, out: &Path) -> Result<()> {
        let variant = model.variant;
        let folder = out.join(&model.name);
        // What an earlier Verilator or RTL left there must not be compiled.
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let mut command = Command::new(&self.binary);
        command
            .current_dir(sources)
            .env("VERILATOR_ROOT", &self.root)
            .args(["--cc", "-O3", "--quiet", "--trace-fst", "--trace-structs"])
            // Warnings are for `make lint`: half-done RTL must run all the same.
            .args(["-Wno-fatal", "--timescale", "1ns/1ns"])
            .args(if variant.checked {
                ["--assert", "--x-assign", "unique", "--x-initial", "unique"]
            } else {
                ["--no-assert", "--x-assign", "fast", "--x-initial", "fast"]
            })
            // Not all that there is: coverage of state machines, of --coverage itself, counts what Verilator takes for one.
            .args(match coverage() {
                true => ["line", "toggle", "expr", "user"]
                    .map(|kind| format!("--coverage-{kind}"))
                    .to_vec(),
                false => Vec::new(),
            })
            .arg("--prefix")
            .arg(&model.class)
            .arg("--Mdir")
            .arg(&folder)
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
            .args(
                ["GuestCache", "HostCache", "NestedTlb"]
                    .map(|cache| format!("-G{cache}Entries={}", variant.walk_cache_entries)),
            )
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
        let output = command
            .output()
            .map_err(|e| format!("cannot run {}: {e}", self.binary.display()))?;
        if !output.status.success() {
            return Err(format!(
                "Verilator refuses the RTL (variant {}):\n{}{}",
                variant.name,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )
            .into());
        }
        Ok(())
    }

    fn include(&self) -> PathBuf {
        self.root.join("include")
    }
}

/// A variant, verilated: a device, or what the C++ harness drives.
struct Model<'a> {
    /// Also of its folder.
    name: String,
    class: String,
    variant: &'a Variant,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Device,
    /// As whoever writes a harness by hand would have it: ports as they are, `-O3`.
    Harnessed,
}

impl<'a> Model<'a> {
    fn device(variant: &'a Variant) -> Self {
        Self {
            name: variant.name.into(),
            class: format!("V{}_device", variant.name),
            variant,
            kind: Kind::Device,
        }
    }

    /// Those that `benches/harness.cpp` names.
    fn harnessed() -> Vec<Self> {
        let wanted = |variant: &&Variant| ["handout", "classic32"].contains(&variant.name);
        let model = |variant: &'static Variant| Model {
            name: format!("{}_harnessed", variant.name),
            class: format!("V{}", variant.name),
            variant,
            kind: Kind::Harnessed,
        };
        VARIANTS.iter().filter(wanted).map(model).collect()
    }

    fn inputs_at(&self) -> u32 {
        match self.kind {
            Kind::Device => self.variant.inputs_at(),
            Kind::Harnessed => 0,
        }
    }
}

/// The halves of a model, as Verilator tells them apart by name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// What runs in every cycle.
    Fast,
    /// What runs once: to optimise it would take half of the time.
    Slow,
}

/// One object file, and what it depends on.
struct Unit {
    name: String,
    /// The name of the model that it is a part of.
    model: Option<String>,
    source: PathBuf,
    include: Option<PathBuf>,
    inputs: Vec<PathBuf>,
    opt_level: u32,
    /// Of a device.
    compiler: Option<Compiler>,
    /// A folder whose headers take the place of Verilator's.
    before: Option<&'static str>,
}

/// Headers that take the place of some of the runtime's: those of this project do not abort.
const FST_HEADERS: &str = "sim/fst";

impl Unit {
    /// All generated sources of a part of a model in one file: faster to compile than each alone.
    fn model(
        model: &Model,
        part: Part,
        compiler: &Compiler,
        verilator: &Verilator,
        out: &Path,
    ) -> Result<Self> {
        let folder = out.join(&model.name);
        let mut inputs: Vec<PathBuf> = fs::read_dir(&folder)?
            .map(|entry| entry.map(|e| e.path()))
            .collect::<std::io::Result<_>>()?;
        inputs.retain(|p| p.extension().is_some_and(|e| e == "cpp" || e == "h"));
        inputs.sort();
        let mut unity = format!("// {}\n", verilator.version);
        let is_source = |p: &Path| p.extension().is_some_and(|e| e == "cpp");
        let is_slow = |p: &Path| file_name(p).is_ok_and(|name| name.ends_with("__Slow.cpp"));
        inputs.retain(|p| !is_source(p) || is_slow(p) == (part == Part::Slow));
        for path in inputs.iter().filter(|p| is_source(p)) {
            unity.push_str(&format!("#include \"{}\"\n", file_name(path)?));
        }
        let (suffix, opt_level) = match part {
            // Counters in every line leave little to optimise, and make much of it.
            Part::Fast if coverage() => ("", 1),
            Part::Fast if model.kind == Kind::Harnessed => ("", 3),
            Part::Fast => ("", model_opt_level()?),
            Part::Slow => ("_slow", 0),
        };
        let name = format!("{}{suffix}", model.name);
        let source = out.join(format!("{name}_all.cpp"));
        write_if_changed(&source, &unity)?;
        inputs.push(source.clone());
        Ok(Self {
            name,
            model: Some(model.name.clone()),
            opt_level,
            source,
            include: Some(folder),
            inputs,
            compiler: (model.kind == Kind::Device).then(|| compiler.clone()),
            before: None,
        })
    }

    fn runtime(source: &str, verilator: &Verilator) -> Result<Self> {
        let source = verilator.include().join(source);
        if !source.is_file() {
            return Err(format!("Verilator's runtime lacks {}", source.display()).into());
        }
        Ok(Self {
            name: file_name(&source)?.replace('.', "_"),
            model: None,
            inputs: vec![
                source.clone(),
                format!("{FST_HEADERS}/fstcpp/fstcpp_assertion.h").into(),
                "sim/wave_error.h".into(),
            ],
            source,
            include: None,
            opt_level: 3,
            compiler: None,
            before: Some(FST_HEADERS),
        })
    }

    /// Finds the object of these inputs, or makes ready to compile it.
    fn prepare(&self, verilator: &Verilator, out: &Path) -> Result<Prepared> {
        let mut build = cc::Build::new();
        if let Some(before) = self.before {
            build.include(before).include(".");
        }
        configure(&mut build, verilator);
        build.opt_level(self.opt_level);
        if let Some(compiler) = &self.compiler {
            compiler.configure(&mut build)?;
        }
        if let Some(include) = &self.include {
            build.include(include);
        }
        build.file(&self.source);

        let mut hasher = DefaultHasher::new();
        verilator.version.hash(&mut hasher);
        fs::read("build.rs")?.hash(&mut hasher);
        // Where include files lie is no matter: what they hold is.
        let command = build.try_get_compiler()?.to_command();
        command.get_program().hash(&mut hasher);
        let mut arguments = command.get_args();
        while let Some(argument) = arguments.next() {
            if argument == "-I" {
                arguments.next();
            } else {
                argument.hash(&mut hasher);
            }
        }
        fs::read("sim/print.h")?.hash(&mut hasher);
        for input in &self.inputs {
            fs::read(input)?.hash(&mut hasher);
        }
        let hash = format!("{:016x}", hasher.finish());

        let kept = env::var_os(OBJECTS).map(PathBuf::from);
        let folder = kept.unwrap_or_else(|| out.join("objects")).join(&self.name);
        let object = folder.join(format!("{hash}.o"));
        Ok(Prepared {
            build,
            is_there: object.is_file(),
            folder,
            object,
        })
    }
}

/// A unit with its object: where it is, or how to compile it.
struct Prepared {
    build: cc::Build,
    folder: PathBuf,
    object: PathBuf,
    is_there: bool,
}

impl Prepared {
    fn compile(mut self) -> Result<()> {
        if self.folder.exists() && env::var_os(OBJECTS).is_none() {
            fs::remove_dir_all(&self.folder)?;
        }
        fs::create_dir_all(&self.folder)?;
        self.build.out_dir(&self.folder);
        let made = self.build.try_compile_intermediates()?;
        let [made] = made.as_slice() else {
            return Err("one source gave more than one object".into());
        };
        fs::rename(made, &self.object)?;
        Ok(())
    }
}

/// Compiles the units whose objects are not there: the longest first, as many at a time as cargo allows.
fn compile_all(units: &[Unit], verilator: &Verilator, out: &Path) -> Result<Vec<PathBuf>> {
    let jobs = env::var("NUM_JOBS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1);
    let mut objects = Vec::new();
    let mut to_compile = Vec::new();
    for unit in units {
        let prepared = unit.prepare(verilator, out)?;
        objects.push(prepared.object.clone());
        if !prepared.is_there {
            to_compile.push((unit, prepared));
        }
    }
    let progress = Progress::of(to_compile.iter().map(|(unit, _)| *unit), jobs);
    let to_compile = Mutex::new(to_compile);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let next = to_compile.lock().unwrap_or_else(|e| e.into_inner()).pop();
                        let Some((unit, prepared)) = next else {
                            return Ok::<(), Box<dyn Error + Send + Sync>>(());
                        };
                        prepared.compile()?;
                        progress.compiled(unit);
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().map_err(|_| "a compile thread panicked")??;
        }
        Ok::<(), Box<dyn Error + Send + Sync>>(())
    })?;
    objects.sort();
    Ok(objects)
}

/// The number of an open file descriptor, on which the script prints a line for each model that it compiles. cargo hides the
/// output of a build script until the script has failed, but hands on the descriptors that it has inherited. The Makefile
/// opens one.
const PROGRESS: &str = "NESTWALK_PROGRESS";

/// Prints what has been compiled. It compiles all the same where nothing can be printed.
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
            Self::print(&format!(
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
            Self::print(&format!(
                "compiled {model} ({} of {}, after {} s)",
                self.models - left.len(),
                self.models,
                self.begun.elapsed().as_secs()
            ));
        }
    }

    fn print(line: &str) {
        let Some(descriptor) = env::var(PROGRESS)
            .ok()
            .filter(|value| !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()))
        else {
            return;
        };
        // On a terminal the line is that of cargo's bar, which cargo draws again. The shell takes the descriptor as it is:
        // to open it by name would write over the beginning of a file.
        const PRINT: &str = r#"if [ -t "$1" ]; then printf '\r\033[K' >&"$1"; fi; printf 'build: %s\n' "$2" >&"$1""#;
        // A descriptor that is closed is no reason to fail.
        let _ = Command::new("sh")
            .args(["-c", PRINT, "sh", &descriptor, line])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// Flags of all C++: the defaults of `cc` (position-independent, frame pointers, debug) cost a third of the speed, and
/// an unoptimised model is of no use even in a debug build.
fn configure(build: &mut cc::Build, verilator: &Verilator) {
    build
        .cpp(true)
        .std("c++20")
        .pic(false)
        .flag("-fPIE")
        .force_frame_pointer(false)
        .debug(false)
        .opt_level(3)
        .warnings(false)
        .include(verilator.include())
        .include(verilator.include().join("vltstd"));
    build.flag("-include").flag("sim/print.h");
    for (name, value) in [
        ("VERILATOR", "1"),
        ("VM_COVERAGE", if coverage() { "1" } else { "0" }),
        ("VM_SC", "0"),
        ("VM_TIMING", "0"),
        ("VM_TRACE", "1"),
        ("VM_TRACE_FST", "1"),
        ("VM_TRACE_VCD", "0"),
        ("VM_TRACE_SAIF", "0"),
        ("VL_USER_FATAL", "1"),
        ("VL_USER_STOP", "1"),
        ("VL_USER_FINISH", "1"),
        ("VL_PRINTF", "nestwalk::sim_print"),
    ] {
        build.define(name, value);
    }
    // zlib and lz4 come with their -sys crates, so FST needs no headers of the system.
    for name in ["DEP_Z_INCLUDE", "DEP_LZ4_INCLUDE"] {
        if let Some(folder) = env::var_os(name) {
            build.include(PathBuf::from(folder));
        }
    }
}

/// What compiles devices.
#[derive(Clone)]
struct Compiler {
    /// If it is not the one that compiles all else.
    program: Option<String>,
}

impl Compiler {
    fn configure(&self, build: &mut cc::Build) -> Result<()> {
        if let Some(program) = &self.program {
            build.compiler(program);
        }
        // A model is wide words, taken apart and put together bit by bit: GCC's vector code for that is no faster, and slower for some
        // devices (docs/performance.md).
        if build.try_get_compiler()?.is_like_gnu() {
            build
                .flag("-fno-tree-vectorize")
                .flag("-fno-tree-loop-distribute-patterns");
        }
        Ok(())
    }
}

/// The C++ compiler of devices, if it is to be another one. Not set, it is clang++ where there is one (devices are faster than
/// by GCC), unless `CXX` says what to take.
const MODEL_CXX: &str = "NESTWALK_MODEL_CXX";

fn device_compiler() -> Result<Compiler> {
    let program = match env::var(MODEL_CXX) {
        Ok(program) => Some(program),
        Err(_) if env::var_os("CXX").is_some() => None,
        Err(_) => compiles_cxx20("clang++")?.then(|| "clang++".into()),
    };
    Ok(Compiler { program })
}

/// Whether a compiler is there, and has a library.
fn compiles_cxx20(program: &str) -> Result<bool> {
    let source = PathBuf::from(env::var("OUT_DIR")?).join("concepts.cpp");
    write_if_changed(
        &source,
        "#include <concepts>\nstatic_assert(std::integral<int>);\n",
    )?;
    let tried = Command::new(program)
        .args(["-std=c++20", "-fsyntax-only"])
        .arg(source)
        .output();
    Ok(tried.is_ok_and(|output| output.status.success()))
}

/// Formats to build devices of, by name, with blanks between; all, if it is not set. To build one alone is for whoever edits RTL.
const FORMATS: &str = "NESTWALK_FORMATS";

/// Variants to build, by name, with blanks between, and no others.
const DEVICES: &str = "NESTWALK_DEVICES";

/// Variants to leave out, by name, with blanks between.
const WITHOUT: &str = "NESTWALK_WITHOUT";

/// A folder for objects that outlive the next edit of the RTL, for whoever goes to and fro between versions of it (`tools/mutants.sh`).
const OBJECTS: &str = "NESTWALK_OBJECTS";

/// The optimisation of models, 0 to 3 (the default): a model that hardly runs should be compiled fast.
const MODEL_OPT_LEVEL: &str = "NESTWALK_MODEL_OPT_LEVEL";

fn model_opt_level() -> Result<u32> {
    match env::var(MODEL_OPT_LEVEL) {
        Err(_) => Ok(3),
        Ok(level) => match level.parse() {
            Ok(level @ 0..=3) => Ok(level),
            _ => Err(format!("{MODEL_OPT_LEVEL} is {level:?}; it is 0, 1, 2 or 3").into()),
        },
    }
}

/// Set to 1, the devices count which of their lines, branches, expressions and bits a run reaches. They are several times slower.
const COVERAGE: &str = "NESTWALK_COVERAGE";

fn coverage() -> bool {
    env::var(COVERAGE).is_ok_and(|value| value == "1")
}

/// A copy of the RTL with a cover statement before each `return`. Verilator counts a block at its end, which a return never
/// reaches; `nestwalk cover` takes the statement's count for it. Lines stay where they are.
fn sources_to_count(root: &Path, out: &Path) -> Result<PathBuf> {
    let copy = out.join("sources");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    for folder in ["rtl", "sim"] {
        fs::create_dir_all(copy.join(folder))?;
        for entry in fs::read_dir(root.join(folder))? {
            let path = entry?.path();
            let name = file_name(&path)?;
            // The package's functions are evaluated at elaboration, where there is no such statement.
            if path.is_file()
                && folder == "rtl"
                && name.ends_with(".sv")
                && name != "nested_mmu_pkg.sv"
            {
                fs::write(
                    copy.join(folder).join(name),
                    cover_returns(&fs::read_to_string(&path)?),
                )?;
            } else if path.is_file() {
                fs::copy(&path, copy.join(folder).join(name))?;
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

fn variants_to_build() -> Result<Vec<Variant>> {
    let names = |variable| {
        let list = env::var(variable).unwrap_or_default();
        list.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (wanted, unwanted) = (names(FORMATS), names(WITHOUT));
    let only = names(DEVICES);
    // A variant's name begins with that of its format.
    let format = |variant: &Variant| variant.name.split('_').next().unwrap_or_default();
    for name in &wanted {
        if !VARIANTS.iter().any(|variant| format(variant) == name) {
            return Err(format!("{FORMATS}: there is no format {name:?}").into());
        }
    }
    for (variable, names) in [(DEVICES, &only), (WITHOUT, &unwanted)] {
        for name in names {
            if !VARIANTS.iter().any(|variant| variant.name == name) {
                return Err(format!("{variable}: there is no variant {name:?}").into());
            }
        }
    }
    let is_wanted = |variant: &&Variant| {
        (wanted.is_empty() || wanted.iter().any(|name| name == format(variant)))
            && (only.is_empty() || only.iter().any(|name| name == variant.name))
            && !unwanted.iter().any(|name| name == variant.name)
    };
    Ok(VARIANTS.iter().filter(is_wanted).copied().collect())
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
            device.name,
            device.class,
            device.inputs_at()
        ));
    }
    text.push('\n');
    text
}

/// A hash of the names and contents of what the devices are made of.
fn rtl_hash(root: &Path) -> Result<String> {
    let mut paths = vec![root.join("sim/tb_top.sv")];
    for entry in fs::read_dir(root.join("rtl"))? {
        paths.push(entry?.path());
    }
    paths.sort();
    let mut bytes = Vec::new();
    for path in paths {
        bytes.extend(file_name(&path)?.as_bytes());
        bytes.extend(fs::read(&path)?);
    }
    Ok(fnv1a(bytes))
}

/// The commit that gave the RTL its present form; none outside a repository of the project's own, or if the RTL has been edited
/// since. (It is the RTL's, not the last one at all: this script runs when the RTL changes, not after each commit.)
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

fn write_if_changed(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        fs::write(path, text)?;
    }
    Ok(())
}

fn file_name(path: &Path) -> Result<&str> {
    path.file_name()
        .and_then(|n| n.to_str())
        .ok_or_else(|| format!("{} is not UTF-8", path.display()).into())
}
