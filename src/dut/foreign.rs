// SPDX-License-Identifier: Apache-2.0
//! Foreign devices: RTL of a user, with a device file that describes it ([`super::description`]).
//!
//! A foreign device is built into a shared object. The object contains the text of the device file
//! and the hash of its sources. It is stored in the cache of [`super::library`] under a hash of
//! everything that it is built from, so an outdated object is never used.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{self, Path, PathBuf};
use std::sync::{LazyLock, Mutex};
use std::time::Instant;

use super::bridge::ffi;
use super::build::{BuildError, Compilers, Kind, Model, Sources};
use super::description::{ContextTime, Description, DeviceFile, DeviceFileError, Port};
use super::event::EventLayout;
use super::library::{self, Cache, Failed, Glue, LibraryError};
use super::native::{self, NativeSources};
use super::socket::{self, CLOCK, FAULT, FENCE_INSTRUCTION, RESET, Width};
use super::variants::{Foreign, Variant};
use super::{COUNTS_CODE, DutError};
use crate::fnv::fnv1a;
use crate::scenario::parse::ParseError;
use crate::shown;

/// The reason why a foreign device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// The device file cannot be read, or contains an error.
    #[error(transparent)]
    File(#[from] DeviceFileError),
    /// A source cannot be read.
    #[error("{}: {source}", shown::path(path))]
    Source {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The device cannot be compiled.
    #[error("cannot build device {device}: {source}")]
    Build {
        /// The name of the device.
        device: String,
        /// The reason.
        source: BuildError,
    },
    /// The cache cannot be used.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The shared object cannot be loaded.
    #[error("{}: {reason}", shown::path(path))]
    Load {
        /// The shared object.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The shared object cannot be copied to a file.
    #[error("cannot write {}: {source}", shown::path(path))]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

impl From<ParseError> for ForeignError {
    fn from(error: ParseError) -> Self {
        Self::File(error.into())
    }
}

/// A foreign device that this process has loaded.
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    /// The device as a variant, for the testbench.
    pub variant: &'static Variant,
    /// The description of the device.
    pub description: &'static Description,
    /// The hash of the sources of the device.
    pub sources: &'static str,
}

/// The foreign devices that this process has loaded. The lock is not held while one is built.
static LOADED: LazyLock<Mutex<HashMap<Foreign, Loaded>>> = LazyLock::new(Mutex::default);

/// Returns true if a device name is the path of a foreign device.
pub fn is_path(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|end| end.to_str());
    matches!(extension, Some("toml" | "so" | "dylib"))
}

/// Returns the foreign device at a path.
pub fn absolute(path: &Path) -> Foreign {
    let path = path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Foreign::at(&path.to_string_lossy())
}

/// Returns the device with a name, with a specification, or at the path of a foreign device.
///
/// # Errors
/// The outer error: no device has the name or the specification. The inner error: the
/// foreign device cannot be built or loaded.
pub fn device(
    text: &str,
) -> Result<Result<&'static Variant, super::variants::SpecificationError>, DutError> {
    match is_path(text) {
        true => Ok(Ok(load(absolute(Path::new(text)))?.variant)),
        false => Ok(Variant::parse(text)),
    }
}

/// Loads a foreign device. If the cache has no up-to-date shared object for a device file, the
/// object is built first.
///
/// # Errors
/// If the device cannot be built or loaded.
pub fn load(foreign: Foreign) -> Result<Loaded, ForeignError> {
    let loaded = || LOADED.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(device) = loaded().get(&foreign) {
        return Ok(*device);
    }
    let path = Path::new(foreign.path());
    let object = match path.extension().is_some_and(|end| end == "toml") {
        true => build(path)?,
        false => path.to_owned(),
    };
    let wrong = |reason: String| ForeignError::Load {
        path: object.clone(),
        reason,
    };
    let name = object.to_str();
    let name = name.ok_or_else(|| wrong("the path is not UTF-8".to_owned()))?;
    // `dlopen` would search for a name without a folder in the system folders.
    fs::metadata(name).map_err(|error| wrong(error.to_string()))?;
    let exception = |error: cxx::Exception| wrong(error.what().to_owned());
    let text = ffi::describe_object(name).map_err(exception)?;
    let file = ffi::device_file_of(name).map_err(exception)?;
    if file.is_empty() {
        let reason = "the shared object is a device of this project: name it by its parameters";
        return Err(wrong(reason.to_owned()));
    }
    let value = |key: &str| {
        let lines = text.lines().filter_map(|line| line.split_once(" = "));
        let found = lines.into_iter().find(|(name, _)| *name == key);
        found.map(|(_, value)| value).ok_or_else(|| {
            wrong(format!(
                "the description of the shared object has no `{key}`"
            ))
        })
    };
    let ports = ports_of_text(value("ports")?).ok_or_else(|| wrong("bad ports".to_owned()))?;
    let sources = value("sources")?.to_owned();
    let file = DeviceFile::parse(&file, foreign.path())?;
    let description = file.resolve(&ports)?;
    let description: &'static Description = Box::leak(Box::new(description));
    let device = Loaded {
        variant: Box::leak(Box::new(variant(foreign, description))),
        description,
        sources: Box::leak(sources.into_boxed_str()),
    };
    // If another thread has loaded the device in the meantime, both threads use its copy.
    let device = *loaded().entry(foreign).or_insert(device);
    library::note_loaded(device.variant, name.to_owned());
    Ok(device)
}

/// Returns the description of a foreign device that this process has loaded.
pub fn description(foreign: Foreign) -> Option<&'static Description> {
    let loaded = LOADED.lock().unwrap_or_else(|e| e.into_inner());
    loaded.get(&foreign).map(|device| device.description)
}

/// Returns the hash of the sources of a foreign device that this process has loaded.
pub fn sources(foreign: Foreign) -> Option<&'static str> {
    let loaded = LOADED.lock().unwrap_or_else(|e| e.into_inner());
    loaded.get(&foreign).map(|device| device.sources)
}

/// Returns a variant whose parameters follow from the description of a foreign device.
fn variant(foreign: Foreign, description: &Description) -> Variant {
    let levels = u32::from(description.max_levels());
    let most = description.format.geometry().levels;
    Variant {
        name: foreign.path(),
        format: description.format as u32,
        slots: description.walks.outstanding,
        tlb_entries: description.tlb.map_or(1, |tlb| tlb.entries),
        walk_cache_entries: description.walks.caches,
        read_bypass: description.walks.read_bypass,
        max_levels: if most == 5 { levels.max(3) } else { 5 },
        svadu: description.modes.svadu || !description.format.updates_entries(),
        tlb2: description.tlb.and_then(|tlb| tlb.second),
        checked: description.assertions,
        foreign: Some(foreign),
    }
}

/// Parses the list of ports in the description of a shared object: `name:i:width`, separated by
/// blanks.
fn ports_of_text(text: &str) -> Option<Vec<Port>> {
    let port = |word: &str| {
        let mut parts = word.split(':');
        let (name, side, width) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Port {
            name: name.to_owned(),
            is_input: side == "i",
            width: width.parse().ok()?,
        })
    };
    text.split_whitespace().map(port).collect()
}

fn text_of_ports(ports: &[Port]) -> String {
    let word = |port: &Port| {
        let side = if port.is_input { "i" } else { "o" };
        format!("{}:{side}:{}", port.name, port.width)
    };
    let words: Vec<String> = ports.iter().map(word).collect();
    words.join(" ")
}

/// Builds the shared object of a device file, if the cache does not have it. Returns the path of
/// the object.
///
/// # Errors
/// If there is an error in the device file or in the sources, or a tool is missing.
pub fn build(path: &Path) -> Result<PathBuf, ForeignError> {
    let file = DeviceFile::load(path)?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let folder = path::absolute(folder).map_err(|source| ForeignError::Source {
        path: folder.to_owned(),
        source,
    })?;
    let cache = Cache::open()?;
    let in_build = |failed: Failed| match failed {
        Failed::Build(source) => ForeignError::Build {
            device: file.name.clone(),
            source,
        },
        Failed::Library(error) => error.into(),
    };
    let failed = |source: BuildError| in_build(Failed::Build(source));
    let verilator = cache.verilator().map_err(in_build)?;
    let tools = cache.tools().map_err(in_build)?;

    // A first run of Verilator finds the files that the sources consist of, and the ports of the
    // top module.
    let scratch = tempfile::tempdir_in(cache.sub("build")?).map_err(|source| {
        ForeignError::Library(LibraryError::Cache {
            path: cache.folder.clone(),
            source,
        })
    })?;
    library::write_carried(scratch.path(), "sim/")?;
    let mut arguments = file.arguments(scratch.path());
    for (name, value) in &file.parameters {
        arguments.push(format!("-G{name}={value}").into());
    }
    let model = scratch.path().join("ports");
    let read = verilator.verilate_sources(
        &Sources {
            what: &file.name,
            root: &folder,
            arguments,
            top: &file.top,
            class: "Vports",
            folder: &model,
            assertions: file.assertions,
        },
        false,
    );
    let read = read.map_err(failed)?;
    let header = model.join("Vports.h");
    let header = fs::read_to_string(&header).map_err(|source| ForeignError::Source {
        path: header.clone(),
        source,
    })?;
    let ports = ports_of_header(&header);
    let description = file.resolve(&ports)?;
    let ports_text = text_of_ports(&ports);

    let native = |carried| file.native_sources(&folder, carried);
    let (included, native_tools) = match native(scratch.path()) {
        None => Default::default(),
        Some(sources) => {
            let options = library::options(scratch.path());
            fs::create_dir_all(&options.scratch)
                .map_err(|error| failed(BuildError::file(&options.scratch)(error)))?;
            let compilers = Compilers::find(&options, &verilator).map_err(failed)?;
            sources.files(&compilers).map_err(failed)?
        }
    };

    // The hash of the sources does not depend on their paths.
    let mut bytes = file.text().as_bytes().to_vec();
    for path in read.iter().chain(&included) {
        let contents = fs::read(path).map_err(|source| ForeignError::Source {
            path: path.clone(),
            source,
        })?;
        let of_folder = path.strip_prefix(&folder);
        let name = of_folder.or_else(|_| path.strip_prefix(scratch.path()));
        let name = name.unwrap_or(path);
        bytes.extend(name.to_string_lossy().as_bytes());
        bytes.extend(contents.len().to_le_bytes());
        bytes.extend(contents);
    }
    let sources = fnv1a(bytes);
    let variant = variant(Foreign::at(&path.to_string_lossy()), &description);
    let wrapper_text = socket_module(&file, &description, variant.inputs_at());
    let code = format!("{}{}", socket_ports(&description), guards());
    let carried = library::carried_hash();
    let recipe = library::RECIPE;
    let native_tools = native_tools.join("\n");
    let made_of = [
        &sources,
        carried,
        &tools,
        &native_tools,
        &wrapper_text,
        &code,
    ]
    .join("\n");
    let key = fnv1a(format!("{recipe}\n{made_of}").into_bytes());
    let object = cache.object(&file.name, &key)?;
    if object.is_file() {
        return Ok(object);
    }
    let _lock = cache.lock(&key, || {
        library::announce(&format!(
            "waiting for another process, which builds device {}",
            file.name
        ));
    })?;
    if object.is_file() {
        return Ok(object);
    }
    library::announce(&format!("building device {}", file.name));
    let begun = Instant::now();
    let work = cache.work(&key)?;
    let make = || -> Result<PathBuf, Failed> {
        let options = library::options(&work);
        fs::create_dir_all(&options.scratch).map_err(BuildError::file(&options.scratch))?;
        let compilers = Compilers::find(&options, &verilator)?;
        let model = Model {
            name: "device".to_owned(),
            class: "Vdevice".to_owned(),
            folder: work.join("model"),
            variant,
            kind: Kind::Device,
        };
        let wrapper = work.join("nestwalk_socket.sv");
        fs::write(&wrapper, &wrapper_text).map_err(BuildError::file(&wrapper))?;
        let mut arguments = file.arguments(&work);
        arguments.push(wrapper.into());
        let sources_of = Sources {
            what: &file.name,
            root: &folder,
            arguments,
            top: SOCKET_MODULE,
            class: &model.class,
            folder: &model.folder,
            assertions: file.assertions,
        };
        verilator.verilate_sources(&sources_of, COUNTS_CODE)?;
        check_event_width(&file, &description, &variant)?;
        let objects = match native(&work) {
            Some(sources) => sources.compile(&compilers, &model.folder, &work.join("native"))?,
            None => Vec::new(),
        };
        let mut text = String::new();
        let _ = writeln!(text, "device = {}", file.name);
        let _ = writeln!(text, "sources = {sources}");
        let _ = writeln!(text, "ports = {ports_text}");
        text.push_str(&library::tool_lines(&verilator, &compilers));
        let glue = Glue {
            code: &code,
            ports: "SocketPorts",
            description: &text,
            device_file: file.text(),
            replaced: &[&ENDS[..], &PRINTS[..]].concat(),
            objects: &objects,
        };
        const AT_A_TIME: usize = 2;
        cache.assemble(&model, &glue, &work, AT_A_TIME, &verilator, &compilers)
    };
    let built = make().map_err(in_build);
    let kept = built.and_then(|draft| {
        fs::rename(draft, &object).map_err(|source| ForeignError::Write {
            path: object.clone(),
            source,
        })
    });
    let removed = fs::remove_dir_all(&work).map_err(|source| ForeignError::Write {
        path: work.clone(),
        source,
    });
    kept.and(removed)?;
    let seconds = begun.elapsed().as_secs();
    library::announce(&format!("built device {} in {seconds} s", file.name));
    Ok(object)
}

/// Checks the width of the port `event_o`. The layout of the event record is defined in
/// `docs/ports.md`, and its width follows from the parameters of the device.
fn check_event_width(
    file: &DeviceFile,
    description: &Description,
    variant: &Variant,
) -> Result<(), BuildError> {
    let width = EventLayout::new(variant).width();
    match description.ports.width("event_o") {
        Some(other) if other as usize != width => Err(BuildError::Failed {
            what: format!("the comparison of {} with the socket", file.top),
            output: format!(
                "port `event_o` has {other} bits; the event record of this device has {width}"
            ),
        }),
        _ => Ok(()),
    }
}

impl DeviceFile {
    /// Returns the arguments of Verilator for the sources. Paths are relative to the device file.
    /// `carried`: the folder that has `sim/socket/`, in which Verilator searches for modules by
    /// name.
    fn arguments(&self, carried: &Path) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        let plain = |path: &String| match path.starts_with(['-', '+']) {
            true => format!("./{path}"),
            false => path.clone(),
        };
        for folder in &self.include {
            arguments.push(format!("-I{folder}").into());
        }
        for define in &self.defines {
            arguments.push(format!("-D{define}").into());
        }
        for path in self.files.iter().filter(|path| !native::is_native(path)) {
            if path.ends_with(".f") {
                arguments.push("-F".into());
            }
            arguments.push(plain(path).into());
        }
        // The folder comes last, so that the user's modules take precedence.
        arguments.extend(["-y".into(), carried.join("sim/socket").into()]);
        arguments
    }

    /// Returns the sources in C and C++, if there are any. `folder`: the folder of the device file.
    /// `carried`: the folder that has `sim/print.h`.
    fn native_sources<'a>(&self, folder: &Path, carried: &'a Path) -> Option<NativeSources<'a>> {
        let sources = self.files.iter().filter(|path| native::is_native(path));
        let sources: Vec<PathBuf> = sources.map(|path| folder.join(path)).collect();
        (!sources.is_empty()).then(|| NativeSources {
            sources,
            include: self.include.iter().map(|path| folder.join(path)).collect(),
            carried,
        })
    }
}

/// Parses the ports in the generated header of a model: lines such as `VL_IN8(&clk_i,0,0);`.
fn ports_of_header(header: &str) -> Vec<Port> {
    let port = |line: &str| {
        let (head, rest) = line.trim().strip_prefix("VL_")?.split_once("(&")?;
        let mut parts = rest.strip_suffix(");")?.split(',');
        let name = parts.next()?;
        let [high, low] = [parts.next()?, parts.next()?].map(|bit| bit.parse::<i64>().ok());
        let width = (high? - low?).unsigned_abs() + 1;
        Some(Port {
            // Verilator encodes the second of two consecutive underscores.
            name: name.replace("__05F", "_"),
            is_input: head.starts_with("IN") && !head.starts_with("INOUT"),
            width: u32::try_from(width).ok()?,
        })
    };
    header.lines().filter_map(port).collect()
}

/// The name of the generated module that registers the inputs of the user's top module.
pub const SOCKET_MODULE: &str = "nestwalk_socket";

/// Returns the text of [`SOCKET_MODULE`]. Registered inputs save one evaluation of the model in
/// each cycle (`sim/tb_top.sv`).
fn socket_module(file: &DeviceFile, description: &Description, inputs_at: u32) -> String {
    let ports = &description.ports;
    let range = |width: u32| match width {
        1 => String::new(),
        _ => format!(" [{}:0]", width - 1),
    };
    let is_input = |name: &str| {
        name == CLOCK || name == RESET || socket::port(name).is_some_and(|port| port.is_input)
    };
    let mut declared = Vec::new();
    let mut registers = String::new();
    let mut loads = String::new();
    let mut connected = Vec::new();
    for (name, width) in ports.iter() {
        let side = if is_input(name) { "input" } else { "output" };
        let range = range(width);
        declared.push(format!("  {side} logic{range} {name}"));
        if is_input(name) && name != CLOCK {
            let _ = writeln!(registers, "  logic{range} at_edge_{name};");
            let _ = writeln!(loads, "    at_edge_{name} <= {name};");
            connected.push(format!("    .{name}(at_edge_{name})"));
        } else {
            connected.push(format!("    .{name}({name})"));
        }
    }
    let parameters: Vec<String> = (file.parameters.iter())
        .map(|(name, value)| format!("    .{name}({value})"))
        .collect();
    let parameters = match parameters.is_empty() {
        true => String::new(),
        false => format!(" #(\n{}\n  )", parameters.join(",\n")),
    };
    let edge = if inputs_at == 1 { "negedge" } else { "posedge" };
    format!(
        "// The inputs of {top}, registered.\nmodule {SOCKET_MODULE} (\n{declared}\n);\n\
         {registers}  always_ff @({edge} {CLOCK}) begin\n{loads}  end\n  {top}{parameters} u_dut (\n\
         {connected}\n  );\nendmodule\n",
        top = file.top,
        declared = declared.join(",\n"),
        connected = connected.join(",\n"),
    )
}

/// Functions of the C library that end the process.
const ENDS: [&str; 5] = ["exit", "_exit", "_Exit", "quick_exit", "abort"];
/// Functions of the C library that write to the standard output.
const PRINTS: [&str; 3] = ["puts", "putchar", "printf"];

/// Returns C++ functions that replace [`ENDS`] and [`PRINTS`], which the RTL of a device may import
/// (DPI-C). A call that would end the process becomes a failure of the device, and printed text
/// does not reach the standard output.
fn guards() -> String {
    let ends = ENDS.map(|name| {
        format!(
            "[[noreturn]] void __wrap_{name}() {{\n    \
             throw std::runtime_error(\"the device called {name}\");\n}}\n"
        )
    });
    format!(
        "extern \"C\" {{\n{}\
         int __wrap_puts(const char* text) {{ return nestwalk::sim_print(\"%s\\n\", text); }}\n\
         int __wrap_putchar(int character) {{ return character; }}\n\
         int __wrap_printf(const char* format, ...) {{\n    \
         return nestwalk::sim_print(\"%s\", format);\n}}\n}}\n",
        ends.concat()
    )
}

/// Returns the C++ class that drives and samples the ports of the device. In cycles in which
/// `req_valid` is low, the fields of a request are driven with their complement, to find a device
/// that samples them then. The fields stay stable if the device reads the context live.
fn socket_ports(description: &Description) -> String {
    let ports = &description.ports;
    // The fields of a request have to be valid only while `req_valid` is high.
    let changes = description.context == ContextTime::Request;
    let mut drive = String::new();
    let mut sample = String::new();
    let line = |text: &mut String, line: &str| {
        let _ = writeln!(text, "        {line}");
    };
    for port in socket::PORTS.iter().filter(|port| port.is_input) {
        let (name, field) = (port.name, port.field);
        let Some(width) = ports.width(name).filter(|_| !field.is_empty()) else {
            continue;
        };
        if changes && field.starts_with("req_") && field != "req_valid" {
            let mask = u64::MAX >> (64 - width);
            line(
                &mut drive,
                &format!(
                    "m.{name} = static_cast<std::uint64_t>(in.req_valid ? in.{field} : ~in.{field}) & \
                     0x{mask:x}ull;"
                ),
            );
            continue;
        }
        // Verilator assumes that the bits above the width of a port are 0.
        let mask = match (port.width, width) {
            (Width::Bits(_), _) | (_, 64) => String::new(),
            _ => format!(
                " & 0x{:x}u{}",
                u64::MAX >> (64 - width),
                if width > 32 { "ll" } else { "" }
            ),
        };
        line(&mut drive, &format!("m.{name} = in.{field}{mask};"));
    }
    if ports.has(FENCE_INSTRUCTION) {
        let text = "in.fence_virt == 0 ? 0 : in.fence_use_gva || in.fence_use_asid ? 1 : 2";
        line(&mut drive, &format!("m.{FENCE_INSTRUCTION} = {text};"));
    }
    for text in [
        "offered_ = in.req_valid;",
        "offered_id_ = in.req_id;",
        "offered_gva_ = in.req_gva;",
    ] {
        line(&mut drive, text);
    }
    let ready = match ports.has("rsp_ready_i") {
        true => "in.rsp_ready",
        false => "true",
    };
    line(&mut drive, &format!("rsp_ready_ = {ready};"));

    for name in ["req_ready", "rsp_valid", "fence_ready", "mem_req_valid"] {
        let port = format!("{name}_o");
        if ports.has(&port) {
            line(&mut sample, &format!("out.{name} = m.{port};"));
        }
    }
    let mem_rsp_ready = match ports.has("mem_rsp_ready_o") {
        true => "m.mem_rsp_ready_o",
        false => "true",
    };
    line(
        &mut sample,
        &format!("out.mem_rsp_ready = {mem_rsp_ready};"),
    );
    line(
        &mut sample,
        "const bool accepted = offered_ && m.req_ready_o;",
    );
    line(
        &mut sample,
        "// If no earlier request waits, the response belongs to the request of the same cycle.",
    );
    line(&mut sample, "if (accepted && !waits_) accept();");
    let outputs = |text: &mut String, group: &str| {
        for port in socket::PORTS.iter().filter(|port| !port.is_input) {
            let Some(field) = port.field.strip_prefix(group) else {
                continue;
            };
            let is_handshake = field == "_valid" || field == "_ready";
            if !is_handshake && field.starts_with('_') && ports.has(port.name) {
                line(text, &format!("    out.{} = m.{};", port.field, port.name));
            }
        }
    };
    line(&mut sample, "if (m.rsp_valid_o) {");
    outputs(&mut sample, "rsp");
    if !ports.has("rsp_id_o") {
        line(&mut sample, "    out.rsp_id = id_;");
        if !ports.has("rsp_gva_o") {
            line(&mut sample, "    out.rsp_gva = gva_;");
        }
    }
    if !ports.has("rsp_fault_kind_o") {
        let kind = Description::UNKNOWN_FAULT;
        line(
            &mut sample,
            &format!("    out.rsp_fault_kind = m.{FAULT} ? {kind} : 0;"),
        );
    }
    line(&mut sample, "    if (rsp_ready_) waits_ = false;");
    line(&mut sample, "}");
    line(&mut sample, "if (accepted && !taken_) accept();");
    line(&mut sample, "taken_ = false;");
    line(&mut sample, "if (m.mem_req_valid_o) {");
    outputs(&mut sample, "mem_req");
    line(&mut sample, "}");
    if ports.has("event_o") {
        line(
            &mut sample,
            "static_assert(sizeof m.event_o <= sizeof out.event);",
        );
        line(&mut sample, "out.event_valid = m.event_valid_o;");
        line(
            &mut sample,
            "if (m.event_valid_o) std::memcpy(out.event, &m.event_o, sizeof m.event_o);",
        );
    }
    format!(
        "// Drives and samples the ports that the device has. Without ids it keeps the id and the\n\
         // gVA of the request in flight.\n\
         class SocketPorts {{\n\
         public:\n\
         \x20   void reset() {{ waits_ = taken_ = false; }}\n\n\
         \x20   void drive(NESTWALK_MODEL& m, const nestwalk_inputs& in) {{\n{drive}    }}\n\n\
         \x20   void sample(const NESTWALK_MODEL& m, nestwalk_outputs& out) {{\n{sample}    }}\n\n\
         private:\n\
         \x20   void accept() {{\n\
         \x20       id_ = offered_id_;\n\
         \x20       gva_ = offered_gva_;\n\
         \x20       waits_ = taken_ = true;\n\
         \x20   }}\n\n\
         \x20   std::uint64_t offered_gva_ = 0, gva_ = 0;\n\
         \x20   std::uint8_t offered_id_ = 0, id_ = 0;\n\
         \x20   bool offered_ = false, rsp_ready_ = true, waits_ = false, taken_ = false;\n\
         }};\n"
    )
}

/// Copies the shared object of a device file to the path `to`.
///
/// # Errors
/// If the copy cannot be written.
pub fn copy(object: &Path, to: &Path) -> Result<(), ForeignError> {
    let write = || -> io::Result<()> {
        let folder = match to.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let draft = tempfile::Builder::new()
            .prefix(".draft")
            .tempfile_in(folder)?
            .into_temp_path();
        fs::copy(object, &draft)?;
        draft.persist(to).map_err(|error| error.error)
    };
    write().map_err(|source| ForeignError::Write {
        path: to.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
