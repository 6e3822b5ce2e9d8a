// SPDX-License-Identifier: Apache-2.0
//! The devices that are not linked into the program. Each is built on first use into a shared
//! object in a cache on disk, and then loaded.
//!
//! The program contains the sources of its devices. It needs Verilator and a C++ compiler only for
//! a device that is not in the cache.
//!
//! | in the cache | what it is |
//! |---|---|
//! | `devices/` | the shared objects; the key in the name is a hash of all that an object is made from |
//! | `objects/` | Verilator's runtime, compiled |
//! | `tools/` | the script that looks for Verilator, and notes of the tools that were found |
//! | `locks/`, `build/` | locks, and folders of builds that are under way |

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, IsTerminal, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard};
use std::thread;
use std::time::{Instant, UNIX_EPOCH};

use super::COUNTS_CODE;
use super::bridge::ffi;
use super::build::{
    self, BuildError, COVERAGE_RUNTIME, Compilers, Kind, Linkage, Model, Options, Part, RUNTIME,
    Unit, VERILATOR, Verilator, fingerprint,
};
use super::native::DPI_RUNTIME;
use super::rtl;
use super::variants::Variant;
use crate::fnv::fnv1a;
use crate::shown;

/// The files that the program carries: pairs of a path and the contents. [`carried`] has the files
/// in use.
const CARRIED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/carried.rs"));

/// The environment variable with the folder of the cache.
const CACHE: &str = "NESTWALK_CACHE";

/// The only symbol that a shared object exports.
const INTERFACE: &str = "nestwalk_dut_interface";

/// The extension of a shared object.
const EXTENSION: &str = if cfg!(target_os = "macos") {
    "dylib"
} else {
    "so"
};

/// The version of the build procedure of shared objects. It is a part of the key of each object, so
/// a new version invalidates all cached objects.
pub(super) const RECIPE: u32 = 2;

/// The number of devices that are built in parallel.
const AT_A_TIME: usize = 2;

/// The reason why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// There is no default folder for the cache, because no home folder is known.
    #[error(
        "there is no folder for the cache of devices, because HOME is not set: set \
         NESTWALK_CACHE to a folder"
    )]
    NoFolder,
    /// The cache cannot be written.
    #[error(
        "cannot write the cache of devices: {}: {source}\n  \
         Set NESTWALK_CACHE to a folder that can be written.",
        shown::path(path)
    )]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The device cannot be built.
    #[error("cannot build device {device}: {source}")]
    Build {
        /// The name of the device.
        device: &'static str,
        /// The reason.
        source: BuildError,
    },
    /// The shared object cannot be loaded, or contains another device.
    #[error(
        "cannot load device {device}: {reason}\n  Remove {} to build it again.",
        shown::path(path)
    )]
    Load {
        /// The name of the device.
        device: &'static str,
        /// The shared object.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
}

fn cannot_write(path: &Path) -> impl FnOnce(io::Error) -> LibraryError {
    let path = path.to_owned();
    |source| LibraryError::Cache { path, source }
}

/// Returns the path of the shared object of a device. The object is built if the cache does not
/// have it.
///
/// # Errors
/// If the device cannot be built or loaded, or the cache cannot be written.
pub(super) fn object(variant: &'static Variant) -> Result<String, LibraryError> {
    object_by(variant, AT_A_TIME)
}

/// Builds those of the devices that are neither linked into the program nor in the cache, two at a
/// time.
///
/// # Errors
/// If a device cannot be built or loaded, or the cache cannot be written.
pub fn prepare(variants: &[&'static Variant]) -> Result<(), LibraryError> {
    let mut missing = variants.to_vec();
    missing.retain(|variant| !super::is_compiled_in(variant) && variant.foreign.is_none());
    let next = AtomicUsize::new(0);
    // A single device is compiled with two compilers in parallel; of several devices, each is
    // compiled with one.
    let jobs = if missing.len() > 1 { 1 } else { AT_A_TIME };
    let work = || -> Result<(), LibraryError> {
        while let Some(variant) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
            object_by(variant, jobs)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        // If no further thread can be started, the current thread does all the work.
        let others: Vec<_> = (1..AT_A_TIME.min(missing.len()))
            .map_while(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        let mut result = work();
        for other in others {
            result = result.and(match other.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            });
        }
        result
    })
}

/// Returns the map from device names to the shared objects that this process has loaded.
fn found() -> MutexGuard<'static, HashMap<&'static str, String>> {
    static FOUND: LazyLock<Mutex<HashMap<&'static str, String>>> = LazyLock::new(Mutex::default);
    FOUND.lock().unwrap_or_else(|e| e.into_inner())
}

/// Returns true if this process has loaded the shared object of a device.
pub(super) fn is_loaded(variant: &'static Variant) -> bool {
    found().contains_key(variant.name)
}

/// Returns the path of the shared object of a device. `jobs`: the number of compilers that run in
/// parallel if the object has to be built.
fn object_by(variant: &'static Variant, jobs: usize) -> Result<String, LibraryError> {
    if let Some(path) = found().get(variant.name) {
        return Ok(path.clone());
    }
    let path = check(variant, &Cache::open()?.device(variant, jobs)?)?;
    found().insert(variant.name, path.clone());
    Ok(path)
}

/// Notes that this process has loaded the shared object of a foreign device.
pub(super) fn note_loaded(variant: &'static Variant, path: String) {
    found().insert(variant.name, path);
}

/// Loads a shared object, and checks that its description is the description of the device. Returns
/// the path of the object.
fn check(variant: &'static Variant, path: &Path) -> Result<String, LibraryError> {
    let wrong = |reason: String| LibraryError::Load {
        device: variant.name,
        path: path.to_owned(),
        reason,
    };
    let name = path
        .to_str()
        .ok_or_else(|| wrong("its path is not UTF-8".to_owned()))?;
    let description = ffi::describe_object(name).map_err(|e| wrong(e.what().to_owned()))?;
    for line in identity(variant) {
        if !description.lines().any(|other| other == line) {
            return Err(wrong(format!("its description has no line `{line}`")));
        }
    }
    Ok(name.to_owned())
}

/// Returns the lines of a description that identify a device and its RTL.
fn identity(variant: &Variant) -> [String; 3] {
    [
        format!("device = {}", variant.name),
        format!("parameters = {}", variant.parameters()),
        format!("rtl = {}", rtl::hash()),
    ]
}

/// Prints a progress message: to the descriptor of `NESTWALK_PROGRESS` if it is set, else to the
/// standard error if it is a terminal.
pub(super) fn announce(line: &str) {
    if build::progress_wanted().is_some() {
        build::print_progress(line);
    } else if io::stderr().is_terminal() {
        // The line of the terminal may contain a progress bar.
        let _ = writeln!(io::stderr(), "\r\x1b[K{line}");
    }
}

pub(super) struct Cache {
    pub(super) folder: PathBuf,
}

impl Cache {
    pub(super) fn open() -> Result<Self, LibraryError> {
        let named = |name| env::var_os(name).filter(|value| !value.is_empty());
        let folder = named(CACHE)
            .map(PathBuf::from)
            .or_else(|| named("XDG_CACHE_HOME").map(|home| PathBuf::from(home).join("nestwalk")))
            .or_else(|| named("HOME").map(|home| PathBuf::from(home).join(".cache/nestwalk")))
            .ok_or(LibraryError::NoFolder)?;
        let folder = std::path::absolute(&folder).map_err(cannot_write(&folder))?;
        Ok(Self { folder })
    }

    /// Returns a folder of the cache. The folder is created if it does not exist.
    pub(super) fn sub(&self, name: &str) -> Result<PathBuf, LibraryError> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).map_err(cannot_write(&folder))?;
        Ok(folder)
    }

    /// Writes a file with these contents to a folder of the cache, and returns the path of the
    /// file.
    fn keep(&self, folder: &Path, name: &str, contents: &[u8]) -> Result<PathBuf, LibraryError> {
        let path = folder.join(name);
        let mut draft = tempfile::Builder::new()
            .prefix(".draft")
            // The file mode is left to the umask, because users may share a cache.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(cannot_write(folder))?;
        draft.write_all(contents).map_err(cannot_write(&path))?;
        draft
            .persist(&path)
            .map_err(|error| cannot_write(&path)(error.error))?;
        Ok(path)
    }

    /// Returns the path of the shared object of a device, and builds the object if it does not
    /// exist.
    fn device(&self, variant: &'static Variant, jobs: usize) -> Result<PathBuf, LibraryError> {
        let tools = self.tools().map_err(|error| error.of(variant.name))?;
        let key = key(variant, &tools);
        let path = self.object(variant.name, &key)?;
        if path.is_file() {
            return Ok(path);
        }
        let _lock = self.lock(&key, || {
            announce(&format!(
                "waiting for another process, which builds device {}",
                variant.name
            ));
        })?;
        // Another process or thread may have built the object while this one waited for the lock.
        if path.is_file() {
            return Ok(path);
        }
        announce(&format!(
            "building device {} on first use, into {}",
            variant.name,
            shown::path(&self.folder)
        ));
        let begun = Instant::now();
        let work = self.work(&key)?;
        let built = self
            .build(variant, &work, jobs)
            .map_err(|error| error.of(variant.name));
        let kept = built.and_then(|draft| fs::rename(draft, &path).map_err(cannot_write(&path)));
        let removed = fs::remove_dir_all(&work).map_err(cannot_write(&work));
        kept.and(removed)?;
        announce(&format!(
            "built device {} in {} s",
            variant.name,
            begun.elapsed().as_secs()
        ));
        Ok(path)
    }

    /// Returns the path of the shared object of a device with a key.
    pub(super) fn object(&self, device: &str, key: &str) -> Result<PathBuf, LibraryError> {
        let plain = |c: char| match c.is_ascii_alphanumeric() || "_-=+".contains(c) {
            true => c,
            false => '_',
        };
        let name: String = device.chars().map(plain).collect();
        Ok(self
            .sub("devices")?
            .join(format!("{name}-{key}.{EXTENSION}")))
    }

    /// Creates a folder for a build, and writes the embedded source files to it.
    pub(super) fn work(&self, key: &str) -> Result<PathBuf, LibraryError> {
        let work = self.sub("build")?.join(key);
        // The folder exists already if an earlier build with the same key was killed.
        if work.exists() {
            fs::remove_dir_all(&work).map_err(cannot_write(&work))?;
        }
        write_carried(&work, "")?;
        Ok(work)
    }

    /// Takes a file lock. The operating system releases the lock if the process ends. `waits` is
    /// called if another process or thread holds the lock.
    pub(super) fn lock(&self, name: &str, waits: impl FnOnce()) -> Result<File, LibraryError> {
        let path = self.sub("locks")?.join(name);
        let file = File::create(&path).map_err(cannot_write(&path))?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => waits(),
            Err(TryLockError::Error(source)) => return Err(cannot_write(&path)(source)),
        }
        file.lock().map_err(cannot_write(&path))?;
        Ok(file)
    }

    /// Builds a device in the folder `work`, which contains the embedded source files. Returns the
    /// path of the shared object.
    fn build(&self, variant: &Variant, work: &Path, jobs: usize) -> Result<PathBuf, Failed> {
        let verilator = self.verilator()?;
        let options = options(work);
        fs::create_dir_all(&options.scratch).map_err(cannot_write(&options.scratch))?;
        let compilers = Compilers::find(&options, &verilator)?;
        let model = Model {
            name: "device".to_owned(),
            class: "Vdevice".to_owned(),
            folder: work.join("model"),
            variant: *variant,
            kind: Kind::Device,
        };
        verilator.verilate(&model, work, COUNTS_CODE)?;
        let mut description = String::new();
        for line in identity(variant) {
            let _ = writeln!(description, "{line}");
        }
        description.push_str(&tool_lines(&verilator, &compilers));
        let glue = Glue {
            code: "",
            ports: "nestwalk::TbTopPorts<Vdevice>",
            description: &description,
            device_file: "",
            replaced: &[],
            objects: &[],
        };
        self.assemble(&model, &glue, work, jobs, &verilator, &compilers)
    }

    /// Compiles and links a verilated model with its glue code. Returns the path of the shared
    /// object.
    pub(super) fn assemble(
        &self,
        model: &Model,
        glue: &Glue<'_>,
        work: &Path,
        jobs: usize,
        verilator: &Verilator,
        compilers: &Compilers,
    ) -> Result<PathBuf, Failed> {
        let options = options(work);
        build::write_if_changed(&model.folder.join("device.inc"), &inc(model, glue))?;

        let [slow, fast] = [Part::Slow, Part::Fast]
            .map(|part| Unit::model(model, part, verilator, &options, work));
        let mut units = vec![Unit::interface(model, &options)?, slow?, fast?];
        let own = units.len();
        units.push(Unit::of_sim("verilated_hooks.cpp", &options));
        for source in RUNTIME
            .iter()
            .chain(COUNTS_CODE.then_some(&COVERAGE_RUNTIME))
            .chain((!glue.objects.is_empty()).then_some(&DPI_RUNTIME))
        {
            units.push(Unit::runtime(source, verilator, &options));
        }
        let (kept, mine) = (self.sub("objects")?, work.join("objects"));
        let mut objects = glue.objects.to_vec();
        let mut locks = Vec::new();
        let mut to_compile = Vec::new();
        for (number, unit) in units.iter().enumerate() {
            let folder = if number < own { &mine } else { &kept };
            let prepared = unit.prepare(compilers, verilator, &options, folder)?;
            objects.push(prepared.object.clone());
            if number >= own && !prepared.is_there() {
                // Several builds may need the same object of the runtime at the same time. Each
                // object has a lock, and all builds take the locks in the same order. After the
                // wait for a lock, the other build may have compiled the object.
                locks.push(self.lock(&format!("object-{}", unit.name), || {})?);
            }
            if !prepared.is_there() {
                to_compile.push((unit, prepared));
            }
        }
        build::compile_all(to_compile, jobs, true, &|_| {})?;
        drop(locks);

        let draft = work.join("device.object");
        let mut link = compilers.command(true, 0)?;
        link.arg("-shared").arg("-o").arg(&draft).args(&objects);
        link.args(["lib/libz.a", "lib/liblz4.a", "-pthread"]);
        if cfg!(target_os = "macos") {
            link.arg(format!("-Wl,-exported_symbol,_{INTERFACE}"));
        } else {
            let script = work.join("symbols");
            let text = format!("{{ global: {INTERFACE}; local: *; }};\n");
            build::write_if_changed(&script, &text)?;
            link.arg(format!("-Wl,--version-script={}", script.display()));
            link.arg("-Wl,--no-undefined");
            link.args(
                glue.replaced
                    .iter()
                    .map(|name| format!("-Wl,--wrap={name}")),
            );
        }
        let output = link.current_dir(work).output();
        let output = output.map_err(|source| BuildError::Start {
            tool: link.get_program().into(),
            source,
        })?;
        match output.status.success() {
            true => Ok(draft),
            false => Err(BuildError::failed("the linker, on a shared object,", &output).into()),
        }
    }

    /// Returns the Verilator to use: the program in `NESTWALK_VERILATOR`, else the Verilator with
    /// which the program was built, else a Verilator on PATH.
    pub(super) fn verilator(&self) -> Result<Verilator, Failed> {
        let name = |file: &str| CARRIED.iter().find(|(name, _)| *name == file);
        let scripts = ["tools/find-verilator.sh", "tools/verilator-version"].map(name);
        let bytes = scripts
            .iter()
            .flatten()
            .flat_map(|(_, text)| text.iter().copied());
        let folder = self.sub(&format!("tools/{}/tools", fnv1a(bytes)))?;
        for (name, text) in scripts.into_iter().flatten() {
            let name = name.trim_start_matches("tools/");
            if !folder.join(name).is_file() {
                self.keep(&folder, name, text)?;
            }
        }
        let script = folder.join("find-verilator.sh");
        let own = Path::new(env!("NESTWALK_BUILT_WITH"));
        let is_named = env::var_os(VERILATOR).is_some_and(|value| !value.is_empty());
        if !is_named && let Ok(verilator) = Verilator::find(&script, Some(own)) {
            return Ok(verilator);
        }
        Ok(Verilator::find(&script, None)?)
    }

    /// Returns a text that identifies the tools by their versions and flags. The tools take half a
    /// second to print their versions. So the text is stored in the cache, with the size and the
    /// time of each program, and is valid until a program changes.
    pub(super) fn tools(&self) -> Result<String, Failed> {
        static ASKED: Mutex<Option<String>> = Mutex::new(None);
        let mut asked = ASKED.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(tools) = &*asked {
            return Ok(tools.clone());
        }
        let folder = self.sub("tools")?;
        let name = format!("{}.txt", environment());
        let tools = match Note::read(&folder.join(&name)) {
            Some(tools) => tools,
            None => {
                let scratch = tempfile::Builder::new()
                    .prefix(".draft")
                    .tempdir_in(&folder)
                    .map_err(cannot_write(&folder))?;
                let verilator = self.verilator()?;
                let options = options(scratch.path());
                fs::create_dir_all(&options.scratch).map_err(cannot_write(&options.scratch))?;
                let compilers = Compilers::find(&options, &verilator)?;
                let flags = [true, false].map(|is_device| {
                    let command = compilers.command(is_device, options.model_opt_level);
                    command.map(|command| fingerprint(&command))
                });
                let [device, other] = flags;
                let tools = [
                    verilator.version.as_str(),
                    &compilers.identity,
                    &device?,
                    &other?,
                ]
                .join("\n");
                let mut programs = vec![
                    verilator.binary,
                    verilator.root.join("include/verilated.cpp"),
                ];
                programs.extend(compilers.programs);
                if let Some(note) = Note::of(&programs, &tools) {
                    self.keep(&folder, &name, note.as_bytes())?;
                }
                tools
            }
        };
        *asked = Some(tools.clone());
        Ok(tools)
    }
}

/// An error of a build to which the name of the device has not been added yet.
pub(super) enum Failed {
    Build(BuildError),
    Library(LibraryError),
}

impl From<BuildError> for Failed {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

impl From<LibraryError> for Failed {
    fn from(error: LibraryError) -> Self {
        Self::Library(error)
    }
}

impl Failed {
    fn of(self, device: &'static str) -> LibraryError {
        match self {
            Self::Build(source) => LibraryError::Build { device, source },
            Self::Library(error) => error,
        }
    }
}

/// Returns the options of a build in a folder that contains the embedded source files.
pub(super) fn options(work: &Path) -> Options {
    Options {
        linkage: Linkage::SharedObject,
        target: env!("NESTWALK_TARGET").to_owned(),
        sources: work.to_owned(),
        scratch: work.join("scratch"),
        include: vec![work.join("include")],
        coverage: COUNTS_CODE,
        model_opt_level: env!("NESTWALK_OPT_LEVEL")
            .parse()
            .expect("the build script has written a number"),
    }
}

/// The files that devices are made of: those that the program carries, with other RTL if there is
/// any ([`rtl`]).
fn carried() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    let is_replaced =
        |name: &str| !rtl::is_carried() && (name.starts_with("rtl/") || name == "sim/tb_top.sv");
    let own = CARRIED.iter().copied();
    own.filter(move |(name, _)| !is_replaced(name))
        .chain(rtl::files())
}

/// Writes the files that devices are made of, and whose paths begin with `start`, into a folder.
///
/// # Errors
/// If a file cannot be written.
pub(super) fn write_carried(folder: &Path, start: &str) -> Result<(), LibraryError> {
    for (name, contents) in carried().filter(|(name, _)| name.starts_with(start)) {
        let file = folder.join(name);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).map_err(cannot_write(parent))?;
        }
        fs::write(&file, contents).map_err(cannot_write(&file))?;
    }
    Ok(())
}

/// A hash of the files that devices are made of.
pub(super) fn carried_hash() -> &'static str {
    static SOURCES: LazyLock<String> = LazyLock::new(|| {
        let bytes = carried().flat_map(|(name, contents)| {
            let length = contents.len().to_le_bytes();
            let name = name.bytes().chain([0]).chain(length);
            name.chain(contents.iter().copied())
        });
        fnv1a(bytes)
    });
    &SOURCES
}

/// Returns the key of a device: a hash of everything from which it is built.
fn key(variant: &Variant, tools: &str) -> String {
    let parameters = variant.parameters();
    let (name, inputs_at) = (variant.name, variant.inputs_at());
    let sources = carried_hash();
    let text = format!("{RECIPE}\n{name}\n{parameters}\n{inputs_at}\n{sources}\n{tools}");
    fnv1a(text.into_bytes())
}

/// The parts of `device.inc` that depend on the device.
pub(super) struct Glue<'a> {
    /// C++ code that is inserted after the header of the model.
    pub(super) code: &'a str,
    /// The class that drives and samples the ports.
    pub(super) ports: &'a str,
    /// The description of the device, as lines `key = value`.
    pub(super) description: &'a str,
    /// The text of the device file; empty for one of the project's own devices.
    pub(super) device_file: &'a str,
    /// Functions of the C library that `code` replaces: `__wrap_exit` for `exit`.
    pub(super) replaced: &'a [&'a str],
    /// Further objects to link.
    pub(super) objects: &'a [PathBuf],
}

/// Returns the lines about the tools for the description of a shared object.
pub(super) fn tool_lines(verilator: &Verilator, compilers: &Compilers) -> String {
    format!(
        "verilator = {}\ncompiler = {}\n",
        verilator.version,
        compilers.identity.replace('\n', "; ")
    )
}

/// Returns the text of `device.inc`.
fn inc(model: &Model, glue: &Glue<'_>) -> String {
    let literal = |text: &str| -> String {
        let lines = text
            .lines()
            .map(|line| format!(" \\\n    \"{}\"", c_string(&format!("{line}\n"))));
        Some(" \"\"".to_owned()).into_iter().chain(lines).collect()
    };
    format!(
        "#include \"{class}.h\"\n\
         #define NESTWALK_MODEL {class}\n\
         #define NESTWALK_INPUTS_AT {inputs_at}\n\
         #define NESTWALK_PORTS {ports}\n\
         #define NESTWALK_DESCRIPTION{description}\n\
         #define NESTWALK_DEVICE_FILE{device_file}\n\
         {code}",
        class = model.class,
        inputs_at = model.inputs_at(),
        ports = glue.ports,
        description = literal(glue.description),
        device_file = literal(glue.device_file),
        code = glue.code,
    )
}

/// Escapes a text for a C++ string literal.
fn c_string(text: &str) -> String {
    let escaped = text.bytes().map(|byte| match byte {
        // A question mark may begin a trigraph.
        b'"' | b'\\' | b'?' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\{byte:03o}"),
    });
    escaped.collect()
}

/// Returns a hash of the environment variables that determine which tools are found and which flags
/// they get.
fn environment() -> String {
    let mut variables: Vec<(OsString, OsString)> = env::vars_os()
        .filter(|(name, _)| {
            let name = name.to_string_lossy();
            let others = ["PATH", "SDKROOT", "MACOSX_DEPLOYMENT_TARGET", VERILATOR];
            name.contains("CXX") || others.contains(&&*name)
        })
        .collect();
    variables.sort();
    let mut bytes = Vec::new();
    for (name, value) in &variables {
        bytes.extend(name.as_bytes());
        bytes.push(b'=');
        bytes.extend(value.as_bytes());
        bytes.push(0);
    }
    bytes.extend(env!("NESTWALK_BUILT_WITH").bytes());
    bytes.extend(format!("{:?}", options(Path::new(""))).bytes());
    fnv1a(bytes)
}

/// The file format in which the text of [`Cache::tools`] is stored: a line with size, time and path
/// of each program, an empty line, and the text.
struct Note;

impl Note {
    /// Returns the line of a program: size, time and path; none if the file does not exist.
    fn state(path: &Path) -> Option<String> {
        let metadata = fs::metadata(path).ok()?;
        let time = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(format!(
            "{} {} {}",
            metadata.len(),
            time.as_nanos(),
            path.to_str()?
        ))
    }

    /// Returns the contents of the file for a text; none if a program cannot be found.
    fn of(programs: &[PathBuf], text: &str) -> Option<String> {
        let mut note = String::new();
        for program in programs {
            let path = match program.components().count() {
                1 => env::split_paths(&env::var_os("PATH")?)
                    .map(|folder| folder.join(program))
                    .find(|path| path.is_file())?,
                _ => program.clone(),
            };
            let _ = writeln!(note, "{}", Self::state(&path)?);
        }
        Some(format!("{note}\n{text}"))
    }

    /// Returns the text of a stored file, if no program has changed.
    fn read(path: &Path) -> Option<String> {
        let note = fs::read_to_string(path).ok()?;
        let (programs, text) = note.split_once("\n\n")?;
        let is_as_it_was = |line: &str| {
            let path = line.splitn(3, ' ').nth(2)?;
            (Self::state(Path::new(path))? == line).then_some(())
        };
        programs.lines().try_for_each(is_as_it_was)?;
        Some(text.to_owned())
    }
}
