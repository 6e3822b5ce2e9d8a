// SPDX-License-Identifier: Apache-2.0
//! The C++ compilers, and their flags.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{BuildError, Result, Verilator, write_if_changed};

/// The target that objects are linked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linkage {
    /// The program.
    Program,
    /// A shared object, of which nothing but its interface can be seen.
    SharedObject,
}

/// All that decides how C++ is compiled.
#[derive(Clone, Debug)]
pub struct Options {
    /// See [`Linkage`].
    pub linkage: Linkage,
    /// The target triple, as cargo has it.
    pub target: String,
    /// The folder that has `rtl/` and `sim/`.
    pub sources: PathBuf,
    /// A folder for files of the compiler's own.
    pub scratch: PathBuf,
    /// Include folders of zlib and lz4.
    pub include: Vec<PathBuf>,
    /// Models count the code that a run reaches.
    pub coverage: bool,
    /// Optimisation of models, 0 to 3.
    pub model_opt_level: u32,
}

/// The C++ compiler of devices, if it is to be another one. Not set, it is clang++ where there is
/// one (devices are faster than by GCC), unless `CXX` says what to take.
const MODEL_CXX: &str = "NESTWALK_MODEL_CXX";

/// The compilers of a build.
pub struct Compilers {
    /// For the runtime and for code beside the models.
    base: cc::Build,
    /// For devices.
    device: cc::Build,
    /// For sources in C, which a user's RTL calls.
    c: cc::Build,
    /// Their versions: text that differs between compilers.
    pub identity: String,
    /// The programs, as they are called.
    pub programs: [PathBuf; 2],
}

impl Compilers {
    /// Finds the compilers.
    ///
    /// # Errors
    /// If there is none.
    pub fn find(options: &Options, verilator: &Verilator) -> Result<Self> {
        let mut base = cc::Build::new();
        base.target(&options.target)
            .host(&options.target)
            .out_dir(&options.scratch)
            .opt_level(3)
            .cargo_metadata(false)
            .cargo_warnings(false)
            .cargo_debug(false)
            .cargo_output(false);
        configure(&mut base, options, verilator);
        let mut device = base.clone();
        let program = match env::var(MODEL_CXX) {
            Ok(program) => Some(program),
            Err(_) if env::var_os("CXX").is_some() => None,
            Err(_) => compiles_cxx20("clang++", &options.scratch)?.then(|| "clang++".into()),
        };
        if let Some(program) = program {
            device.compiler(program);
        }
        // A model is wide words, taken apart and put together bit by bit: GCC's vector code for
        // that is no faster, and slower for some devices (docs/performance.md).
        if tool(&device)?.is_like_gnu() {
            device
                .flag("-fno-tree-vectorize")
                .flag("-fno-tree-loop-distribute-patterns");
        }
        let identity = format!("{}\n{}", version(&base)?, version(&device)?);
        let programs = [tool(&base)?, tool(&device)?].map(|tool| tool.path().to_owned());
        let mut c = cc::Build::new();
        c.target(&options.target)
            .host(&options.target)
            .out_dir(&options.scratch)
            .opt_level(3)
            .cargo_metadata(false)
            .cargo_warnings(false)
            .cargo_debug(false)
            .cargo_output(false)
            .pic(false)
            .debug(false)
            .warnings(false)
            .flag("-fPIC")
            .flag("-fvisibility=hidden")
            .include(verilator.include().join("vltstd"));
        Ok(Self {
            base,
            device,
            c,
            identity,
            programs,
        })
    }

    /// The command of the C compiler with its flags, for a user's source in a shared object, and
    /// its version.
    ///
    /// # Errors
    /// If the compiler cannot be identified.
    pub fn c_command(&self) -> Result<(Command, String)> {
        Ok((tool(&self.c)?.to_command(), version(&self.c)?))
    }

    /// The command of a compiler with its flags.
    ///
    /// # Errors
    /// If the compiler cannot be identified.
    pub fn command(&self, is_device: bool, opt_level: u32) -> Result<Command> {
        let mut build = match is_device {
            true => self.device.clone(),
            false => self.base.clone(),
        };
        Ok(tool(build.opt_level(opt_level))?.to_command())
    }
}

fn tool(build: &cc::Build) -> Result<cc::Tool> {
    build
        .try_get_compiler()
        .map_err(|error| BuildError::NoCompiler(error.to_string()))
}

/// A command with its flags, without the places of include files: only their contents matter.
pub fn fingerprint(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    let mut arguments = command.get_args();
    while let Some(argument) = arguments.next() {
        if argument == "-I" {
            arguments.next();
        } else {
            text.push(' ');
            text.push_str(&argument.to_string_lossy());
        }
    }
    text
}

/// The first line that a compiler prints of itself.
fn version(build: &cc::Build) -> Result<String> {
    let tool = tool(build)?;
    let output = Command::new(tool.path())
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| BuildError::Start {
            tool: tool.path().to_owned(),
            source,
        })?;
    if !output.status.success() {
        let what = format!("{} --version", tool.path().display());
        return Err(BuildError::failed(what, &output));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Flags of all C++: the defaults of `cc` (position-independent, frame pointers, debug) cost a
/// third of the speed, and an unoptimised model is of no use even in a debug build.
pub fn configure(build: &mut cc::Build, options: &Options, verilator: &Verilator) {
    build
        .cpp(true)
        .std("c++20")
        .pic(false)
        .force_frame_pointer(false)
        .debug(false)
        .opt_level(3)
        .warnings(false)
        .include(verilator.include())
        .include(verilator.include().join("vltstd"));
    match options.linkage {
        Linkage::Program => build.flag("-fPIE"),
        // Calls within the object need no table of symbols when none of them can be replaced.
        Linkage::SharedObject => build
            .flag("-fPIC")
            .flag("-fvisibility=hidden")
            .flag("-fvisibility-inlines-hidden"),
    };
    build.flag("-include").flag("sim/print.h");
    for (name, value) in [
        ("VERILATOR", "1"),
        ("VM_COVERAGE", if options.coverage { "1" } else { "0" }),
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
    build.includes(&options.include);
}

/// Returns true if a compiler and its library exist.
fn compiles_cxx20(program: &str, scratch: &Path) -> Result<bool> {
    let source = scratch.join("concepts.cpp");
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
