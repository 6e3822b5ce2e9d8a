// SPDX-License-Identifier: Apache-2.0
//! The C++ compilers that devices are built with, and their flags.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{BuildError, Result, Verilator, write_if_changed};

/// The target that objects are linked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linkage {
    /// The program `nestwalk`.
    Program,
    /// A shared object that exports only its interface.
    SharedObject,
}

/// The options that determine the flags of a C++ compilation.
#[derive(Clone, Debug)]
pub struct Options {
    /// See [`Linkage`].
    pub linkage: Linkage,
    /// The target triple, as cargo spells it.
    pub target: String,
    /// The folder that has `rtl/` and `sim/`.
    pub sources: PathBuf,
    /// A folder for temporary files of the compiler checks.
    pub scratch: PathBuf,
    /// Include folders of zlib and lz4.
    pub include: Vec<PathBuf>,
    /// Models count code coverage.
    pub coverage: bool,
    /// The optimisation level of models, 0 to 3.
    pub model_opt_level: u32,
}

/// The environment variable with the C++ compiler for models. If it is not set, models are compiled
/// with `CXX` if that is set, else with clang++ if there is one, because models compiled with
/// clang++ run faster than with GCC.
const MODEL_CXX: &str = "NESTWALK_MODEL_CXX";

/// The compilers of a build.
pub struct Compilers {
    /// The compiler of Verilator's runtime and of hand-written code.
    base: cc::Build,
    /// The compiler of models.
    device: cc::Build,
    /// The compiler of C sources that a user's RTL calls.
    c: cc::Build,
    /// The versions of the compilers, as a text that differs if one of the compilers differs.
    pub identity: String,
    /// The programs of the compilers, by the names or paths that are executed.
    pub programs: [PathBuf; 2],
}

impl Compilers {
    /// Finds the compilers.
    ///
    /// # Errors
    /// If there is no usable compiler.
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
        // Models split and join wide words bit by bit. GCC's vector code is no faster for this, and
        // slower for some devices (docs/performance.md).
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

    /// Returns the command of the C compiler with the flags for a user's source in a shared object,
    /// and the version of the compiler.
    ///
    /// # Errors
    /// If the compiler cannot be identified.
    pub fn c_command(&self) -> Result<(Command, String)> {
        Ok((tool(&self.c)?.to_command(), version(&self.c)?))
    }

    /// Returns the command of a C++ compiler with its flags. `is_device`: the compiler of models.
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

/// Returns a command with its flags as text, but without include paths. The contents of the include
/// files are hashed separately, so their locations do not matter.
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

/// Returns the first line of the output of `--version`.
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

/// Sets the flags of every C++ compilation. The defaults of `cc` (position-independent code, frame
/// pointers, debug information) would cost a third of the speed. Models are optimised in debug
/// builds too, because an unoptimised model is too slow to use.
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
        // Calls within the object need no procedure linkage table if no symbol can be interposed.
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

/// Returns true if a compiler exists and can compile a C++20 source that uses the standard library.
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
