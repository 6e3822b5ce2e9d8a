// SPDX-License-Identifier: Apache-2.0
//! Reads device files. `docs/your-walker.md` describes them, and [`template`] returns one with
//! every key.

use std::io;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::{
    ContextTime, FaultOrder, PermissionCheck, Precision, Reads, Tval2, UpdateScheme, Visibility,
};
use crate::dut::variants::{SecondTlb, WalkCacheEntries};
use crate::format::Format;
use crate::input;
use crate::mmu::{Access, WalkCaches};
use crate::scenario::access_key;
use crate::scenario::parse::ParseError;
use crate::scenario::parse::error::{Problem, Result, Span};
use crate::scenario::parse::reader::{Field, Table, one_of};
use crate::shown;

/// Returns a device file with every key and its default, for a new device.
pub fn template() -> &'static str {
    let text = include_str!("template.toml");
    // The first line is the licence of the template. It is dropped, because it does not apply to a
    // user's file.
    text.split_once('\n').map_or(text, |(_, rest)| rest)
}

/// The reason why a device file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DeviceFileError {
    /// The file cannot be read.
    #[error(
        "cannot read {}: {source}\n  `nestwalk build --new DIR` writes a device file.",
        shown::path(path)
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file contains an error.
    #[error(transparent)]
    Parse(#[from] ParseError),
}

/// A value of a device file, with its position in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

/// The contents of a device file. [`DeviceFile::resolve`] derives the value of a missing key from
/// the ports of the device, or uses the default of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceFile {
    /// The name of the file, for error messages.
    pub(super) path: String,
    pub(super) text: String,
    /// The device's name.
    pub name: String,
    /// The top module.
    pub top: String,
    /// The source files, and files with arguments for Verilator (`.f`). Paths are relative to the
    /// device file.
    pub files: Vec<String>,
    /// Folders with include files. Paths are relative to the device file.
    pub include: Vec<String>,
    /// Macros, `NAME` or `NAME=VALUE`.
    pub defines: Vec<String>,
    /// Parameters of the top module, with their values in SystemVerilog.
    pub parameters: Vec<(String, String)>,
    /// RTL assertions are on.
    pub assertions: bool,
    /// The paging format.
    pub format: Format,
    pub(super) format_span: Span,
    pub(super) most_visibility: Visibility,
    pub(super) waves: Vec<(String, Option<u32>)>,
    pub(super) modes: GivenModes,
    pub(super) tlb: Option<GivenTlb>,
    pub(super) walks: GivenWalks,
    pub(super) fences: GivenFences,
    pub(super) responses: GivenResponses,
    pub(super) memory: GivenMemory,
    pub(super) context: GivenContext,
    pub(super) stalls: [u32; 2],
    /// The file is the map of a recording (`nestwalk audit`), and has no keys about RTL.
    pub(super) is_map: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct GivenModes {
    pub(super) guest: Option<Given<Vec<u8>>>,
    pub(super) host: Option<Given<Vec<u8>>>,
    pub(super) virt: Option<Given<Vec<bool>>>,
    pub(super) accesses: Option<Given<Vec<Access>>>,
    pub(super) user: Option<Given<Vec<bool>>>,
    pub(super) extensions: Option<Given<Vec<Extension>>>,
    pub(super) hpa_width: Option<Given<u32>>,
    pub(super) asid_width: Option<Given<u32>>,
    pub(super) vmid_width: Option<Given<u32>>,
}

/// An optional RISC-V extension of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extension {
    Svadu,
    Svnapot,
    Svpbmt,
}

impl Extension {
    pub(super) const ALL: [(&'static str, Self); 3] = [
        ("svadu", Self::Svadu),
        ("svnapot", Self::Svnapot),
        ("svpbmt", Self::Svpbmt),
    ];
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GivenTlb {
    pub(super) entries: Given<u32>,
    pub(super) recent: Option<u32>,
    pub(super) hit_may_fault: bool,
    pub(super) split: bool,
    pub(super) second: Option<SecondTlb>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GivenWalks {
    pub(super) outstanding: Given<u32>,
    pub(super) reads: Reads,
    pub(super) permissions: PermissionCheck,
    pub(super) caches: Option<Given<WalkCacheEntries>>,
    pub(super) read_bypass: bool,
    pub(super) speculative: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct GivenFences {
    pub(super) precise: Option<Given<Precision>>,
    pub(super) zero_is_all: bool,
    pub(super) ignores_bare: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GivenResponses {
    pub(super) tval2: Tval2,
    pub(super) order: FaultOrder,
    pub(super) outstanding: Option<Given<u32>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GivenContext {
    pub(super) sampled: ContextTime,
    pub(super) csrs: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct GivenMemory {
    pub(super) updates: Option<Given<UpdateScheme>>,
    pub(super) errors: Option<Given<bool>>,
    pub(super) reorder: Option<Given<bool>>,
}

/// The sections of a device file with their keys. The first element has the keys outside of
/// sections.
pub(super) const KEYS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "name",
            "top",
            "files",
            "include",
            "defines",
            "assertions",
            "format",
            "visibility",
            "waves",
        ],
    ),
    (
        "modes",
        &[
            "guest",
            "host",
            "virt",
            "accesses",
            "privileges",
            "extensions",
            "hpa_width",
            "asid_width",
            "vmid_width",
        ],
    ),
    (
        "tlb",
        &["entries", "recent", "hit_may_fault", "split", "second"],
    ),
    (
        "walks",
        &[
            "outstanding",
            "reads",
            "permissions",
            "caches",
            "read_bypass",
            "speculative",
        ],
    ),
    ("fences", &["precise", "zero_is_all", "ignores_bare"]),
    ("responses", &["tval2", "order", "outstanding"]),
    ("memory", &["updates", "errors", "reorder"]),
    ("context", &["sampled", "csrs"]),
    ("timing", &["stall", "fence_stall"]),
];

/// Returns the keys of a section.
fn keys(section: &str) -> &'static [&'static str] {
    let found = KEYS.iter().find(|(name, _)| *name == section);
    found.map_or(&[], |(_, keys)| keys)
}

impl DeviceFile {
    /// Reads a device file.
    ///
    /// # Errors
    /// If the file cannot be read, or is not a device file.
    pub fn load(path: &Path) -> std::result::Result<Self, DeviceFileError> {
        let text = input::read_text(path, input::MOST_SMALL);
        let text = text.map_err(|source| DeviceFileError::Read {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self::parse(&text, &path.to_string_lossy())?)
    }

    /// Parses the text of a device file. `path`: the name of the file in error messages.
    ///
    /// # Errors [`ParseError`] for the first error in the text.
    pub fn parse(text: &str, path: &str) -> std::result::Result<Self, ParseError> {
        read(text, path, None).map_err(|problem| ParseError::new(*problem, text, path))
    }

    /// Parses the description of a device in the map of a recording. A map has the keys of a device
    /// file except the keys about RTL. `others`: further keys of the map, which are not read here.
    ///
    /// # Errors [`ParseError`] for the first error in the text.
    pub(crate) fn parse_map(
        text: &str,
        path: &str,
        others: &[&'static str],
    ) -> std::result::Result<Self, ParseError> {
        read(text, path, Some(others)).map_err(|problem| ParseError::new(*problem, text, path))
    }

    /// Returns the text of the file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns an error with its position in the file.
    pub(super) fn error(&self, problem: Problem) -> ParseError {
        ParseError::new(problem, &self.text, &self.path)
    }
}

/// The keys about RTL, which the map of a recording does not have.
const OF_RTL: [&str; 6] = ["top", "files", "include", "defines", "assertions", "waves"];

/// Parses a device file. `map`: the text is the map of a recording, which has these keys in
/// addition.
fn read(text: &str, path: &str, map: Option<&[&'static str]>) -> Result<DeviceFile> {
    let document = DeTable::parse(text).map_err(|error| Problem::syntax(&error, text))?;
    let file = Table::document(document.get_ref());
    let sections = KEYS.iter().map(|(name, _)| *name).filter(|n| !n.is_empty());
    let own = keys("").iter().copied().chain(["parameters"]);
    let own = own.filter(|key| map.is_none() || !OF_RTL.contains(key) && *key != "parameters");
    let known: Vec<&str> = own
        .chain(sections)
        .chain(map.unwrap_or_default().iter().copied())
        .collect();
    file.only(&known)?;

    let name = word(&file, "name", "the device's name, for reports")?;
    let (top, files) = match map {
        Some(_) => ("the map".to_owned(), Vec::new()),
        None => sources(&file)?,
    };
    let formats: Vec<_> = Format::ALL.map(|format| (format.name(), format)).into();
    let names = formats.iter().map(|&(name, _)| name).collect::<Vec<_>>();
    let format_field = file.require("format", &one_of(&names))?;
    let format = format_field.choice("format", &formats)?;
    let list = |key, what: &str| match file.get(key) {
        Some(field) => strings(&field, what),
        None => Ok(Vec::new()),
    };
    let visibilities = Visibility::ALL.map(|visibility| (visibility.name(), visibility));

    Ok(DeviceFile {
        path: path.to_owned(),
        text: text.to_owned(),
        name,
        top,
        files,
        include: list("include", "a list of folders")?,
        defines: list("defines", "a list of macros, \"NAME\" or \"NAME=VALUE\"")?,
        parameters: parameters(&file)?,
        assertions: flag(&file, "assertions", true)?,
        format,
        format_span: format_field.span,
        most_visibility: match file.get("visibility") {
            Some(field) => field.choice("level of visibility", &visibilities)?,
            None => Visibility::Steps,
        },
        waves: waves(&file)?,
        modes: modes(&file, format)?,
        tlb: tlb(&file)?,
        walks: walks(&file)?,
        fences: fences(&file)?,
        responses: responses(&file)?,
        memory: memory(&file)?,
        context: context(&file)?,
        stalls: stalls(&file)?,
        is_map: map.is_some(),
    })
}

/// Reads the top module and the source files.
fn sources(file: &Table<'_>) -> Result<(String, Vec<String>)> {
    let top = word(file, "top", "the top module, whose ports are the socket's")?;
    let source = "a list of source files, relative to this file";
    let files = file.require("files", source)?;
    let span = files.span.clone();
    for field in files.array(source)? {
        check_source(&field, source)?;
    }
    let files = strings(&files, source)?;
    match files.is_empty() {
        true => Err(Problem::at(&span, "`files` is empty").label(format!("expected {source}"))),
        false => Ok((top, files)),
    }
}

/// Returns a section, and checks that it has no unknown keys.
fn section<'a>(
    file: &Table<'a>,
    key: &'static str,
    name: &'static str,
) -> Result<Option<Table<'a>>> {
    let Some(field) = file.get(key) else {
        return Ok(None);
    };
    let table = field.table(name)?;
    table.only(keys(key))?;
    Ok(Some(table))
}

/// Returns the value of a key: a string of one line that is not empty.
fn word(file: &Table<'_>, key: &'static str, what: &str) -> Result<String> {
    let field = file.require(key, what)?;
    let text = field.string(what)?;
    match text.is_empty() || text.contains(char::is_control) {
        true => Err(field.wrong(format!("`{key}` = {text:?} is not a name"), what)),
        false => Ok(text.to_owned()),
    }
}

/// Checks that a source file is a file for Verilator or for a C or C++ compiler.
fn check_source(field: &Field<'_>, what: &str) -> Result<()> {
    let text = field.string(what)?;
    let extension = Path::new(text).extension().and_then(|end| end.to_str());
    match extension {
        Some("h" | "hh" | "hpp" | "hxx") => Err(field.wrong(
            format!("{text:?} is a header"),
            "expected sources; name the folder of headers in `include`",
        )),
        Some("o" | "a" | "so" | "dylib") => Err(field.wrong(
            format!("{text:?} is compiled code"),
            "expected sources in SystemVerilog, C or C++, or a file of arguments (.f)",
        )),
        _ => Ok(()),
    }
}

fn strings(field: &Field<'_>, what: &str) -> Result<Vec<String>> {
    let fields = field.array(what)?;
    let texts = fields.iter().map(|field| {
        let text = field.string(what)?;
        match text.contains(['\0', '\n', '\r']) {
            true => Err(field.wrong(format!("{text:?} has more than one line"), what)),
            false => Ok(text.to_owned()),
        }
    });
    texts.collect()
}

/// Reads the signals that wave views show, such as `u_mmu.state` or `u_mmu.state[3:0]`.
fn waves(file: &Table<'_>) -> Result<Vec<(String, Option<u32>)>> {
    let what = "a list of signals, such as \"u_mmu.state[3:0]\"";
    let Some(field) = file.get("waves") else {
        return Ok(Vec::new());
    };
    let signals = field.array(what)?.into_iter().map(|field| {
        let text = field.string(what)?;
        let wrong = || field.wrong(format!("{text:?} is not a signal"), what);
        let (path, width) = match text.split_once('[') {
            None => (text, None),
            Some((path, range)) => {
                let high = range
                    .strip_suffix(":0]")
                    .and_then(|high| high.parse::<u32>().ok());
                (path, Some(high.ok_or_else(wrong)?.saturating_add(1)))
            }
        };
        let is_word = |c: char| c.is_ascii_alphanumeric() || "_$.".contains(c);
        match !path.is_empty() && path.chars().all(is_word) {
            true => Ok((path.to_owned(), width)),
            false => Err(wrong()),
        }
    });
    signals.collect()
}

fn flag(table: &Table<'_>, key: &'static str, default: bool) -> Result<bool> {
    table.get(key).map_or(Ok(default), |field| field.boolean())
}

fn parameters(file: &Table<'_>) -> Result<Vec<(String, String)>> {
    let Some(field) = file.get("parameters") else {
        return Ok(Vec::new());
    };
    let mut parameters = Vec::new();
    for (name, value) in field.table("[parameters]")?.all() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        if name.is_empty() || !name.chars().all(is_word) {
            return Err(Problem::at(
                &value.key_span,
                format!("{name:?} is not the name of a parameter"),
            )
            .label("expected the name of a parameter of the top module"));
        }
        let what = "a number, true, false, or a string with a value in SystemVerilog";
        let text = if value.is_integer() {
            value.number(0, u64::MAX)?.to_string()
        } else if value.is_string() {
            value.string(what)?.to_owned()
        } else {
            let is_set = value.boolean().map_err(|_| value.wrong_kind(what))?;
            u8::from(is_set).to_string()
        };
        parameters.push((name.to_owned(), text));
    }
    Ok(parameters)
}

/// Reads a list of one or more of `options`, each at most once.
fn several<T: Clone + PartialEq>(
    field: &Field<'_>,
    what: &str,
    options: &[(&str, T)],
    may_be_empty: bool,
) -> Result<Given<Vec<T>>> {
    let names: Vec<&str> = options.iter().map(|(name, _)| *name).collect();
    let mut value = Vec::new();
    for element in field.array(&format!("a list of {}", one_of(&names)))? {
        let chosen = element.choice(what, options)?;
        if value.contains(&chosen) {
            return Err(Problem::at(
                &element.span,
                format!("`{}` lists this value twice", field.name),
            ));
        }
        value.push(chosen);
    }
    match value.is_empty() && !may_be_empty {
        true => Err(
            Problem::at(&field.span, format!("`{}` is empty", field.name))
                .label(format!("expected {}", one_of(&names))),
        ),
        false => Ok(Given {
            value,
            span: field.span.clone(),
        }),
    }
}

/// Returns the names of the modes of a stage, with their numbers of levels.
pub(super) fn stage_modes(format: Format, is_host: bool) -> Vec<(&'static str, u8)> {
    match (format, is_host) {
        (Format::Rv32, false) => vec![("bare", 0), ("sv32", 2)],
        (Format::Rv32, true) => vec![("bare", 0), ("sv32x4", 2)],
        (Format::Rv64, false) => vec![("bare", 0), ("sv39", 3), ("sv48", 4), ("sv57", 5)],
        (Format::Rv64, true) => vec![("bare", 0), ("sv39x4", 3), ("sv48x4", 4), ("sv57x4", 5)],
        (Format::Handout | Format::Classic32, _) => vec![("bare", 0), ("two-level", 2)],
    }
}

fn modes(file: &Table<'_>, format: Format) -> Result<GivenModes> {
    let Some(table) = section(file, "modes", "[modes]")? else {
        return Ok(GivenModes::default());
    };
    let stage = |key, is_host| {
        let options = stage_modes(format, is_host);
        let list = |field: Field<'_>| several(&field, "mode", &options, false);
        table.get(key).map(list).transpose()
    };
    let width = |key, least, most| {
        let given = |field: Field<'_>| -> Result<Given<u32>> {
            Ok(Given {
                value: field.number_u32(least, most)?,
                span: field.span,
            })
        };
        table.get(key).map(given).transpose()
    };
    let accesses: Vec<_> = (format.accesses().iter())
        .map(|&access| (access_key(access), access))
        .collect();
    let virt = |field: Field<'_>| -> Result<Given<Vec<bool>>> {
        let values = field.array("a list of 0 and 1, the values of V")?;
        let values = values.iter().map(|v| Ok(v.number(0, 1)? == 1));
        let value = values.collect::<Result<Vec<bool>>>()?;
        if value.is_empty() {
            return Err(field.wrong("`virt` is empty", "expected [0], [1] or [0, 1]"));
        }
        Ok(Given {
            value,
            span: field.span,
        })
    };
    let privileges = [("user", true), ("supervisor", false)];
    let hpa = format.geometry().hpa_width;
    Ok(GivenModes {
        guest: stage("guest", false)?,
        host: stage("host", true)?,
        virt: table.get("virt").map(virt).transpose()?,
        accesses: (table.get("accesses"))
            .map(|field| several(&field, "access", &accesses, false))
            .transpose()?,
        user: (table.get("privileges"))
            .map(|field| several(&field, "privilege", &privileges, false))
            .transpose()?,
        extensions: (table.get("extensions"))
            .map(|field| several(&field, "extension", &Extension::ALL, true))
            .transpose()?,
        hpa_width: width("hpa_width", hpa.min(32), hpa)?,
        asid_width: width("asid_width", 0, format.asid_width())?,
        vmid_width: width("vmid_width", 0, format.vmid_width())?,
    })
}

fn tlb(file: &Table<'_>) -> Result<Option<GivenTlb>> {
    let Some(table) = section(file, "tlb", "[tlb]")? else {
        return Ok(None);
    };
    let entries = table.require("entries", "the entries of the TLB; 0: it has none")?;
    let given = Given {
        value: entries.number_u32(0, 1 << 20)?,
        span: entries.span,
    };
    let recent = match table.get("recent") {
        Some(field) => Some(field.number_u32(0, given.value)?),
        None => None,
    };
    let second = match table.get("second") {
        None => None,
        Some(field) => {
            let size = field.table("`second`")?;
            size.only(&["sets", "ways", "superpages"])?;
            let number = |key| size.require(key, "a number")?.number_u32(0, 1 << 20);
            Some(SecondTlb {
                sets: number("sets")?,
                ways: number("ways")?,
                superpages: number("superpages")?,
            })
        }
    };
    if given.value == 0 {
        return Ok(None);
    }
    Ok(Some(GivenTlb {
        entries: given,
        recent,
        hit_may_fault: flag(&table, "hit_may_fault", false)?,
        split: flag(&table, "split", false)?,
        second,
    }))
}

fn walks(file: &Table<'_>) -> Result<GivenWalks> {
    let mut walks = GivenWalks {
        outstanding: Given {
            value: 1,
            span: 0..0,
        },
        reads: Reads::Exact,
        permissions: PermissionCheck::Entry,
        caches: None,
        read_bypass: false,
        speculative: false,
    };
    let Some(table) = section(file, "walks", "[walks]")? else {
        return Ok(walks);
    };
    if let Some(field) = table.get("outstanding") {
        walks.outstanding = Given {
            value: field.number_u32(1, 16)?,
            span: field.span,
        };
    }
    if let Some(field) = table.get("reads") {
        walks.reads = match field.is_table() {
            true => {
                let line = field.table("`reads`")?;
                line.only(&["line"])?;
                let bytes = line.require("line", "the bytes of a line")?;
                let count = bytes.number_u32(8, 4096)?;
                if !count.is_power_of_two() {
                    let message = format!("a line of {count} bytes");
                    return Err(bytes.wrong(message, "expected a power of two"));
                }
                Reads::Line(count)
            }
            false => field.choice(
                "freedom of reads",
                &[("exact", Reads::Exact), ("any", Reads::Any)],
            )?,
        };
    }
    if let Some(field) = table.get("permissions") {
        walks.permissions = field.choice(
            "time",
            &[
                ("entry", PermissionCheck::Entry),
                ("end", PermissionCheck::End),
            ],
        )?;
    }
    if let Some(field) = table.get("caches") {
        let caches = field.table("`caches`")?;
        caches.only(&WalkCaches::NAMES)?;
        let entries = |key| match caches.get(key) {
            Some(field) => field.number_u32(0, 1 << 20),
            None => Ok(0),
        };
        walks.caches = Some(Given {
            value: WalkCacheEntries {
                guest: entries("guest")?,
                host: entries("host")?,
                nested: entries("nested")?,
            },
            span: field.span,
        });
    }
    walks.read_bypass = flag(&table, "read_bypass", false)?;
    walks.speculative = flag(&table, "speculative", false)?;
    Ok(walks)
}

fn fences(file: &Table<'_>) -> Result<GivenFences> {
    let Some(table) = section(file, "fences", "[fences]")? else {
        return Ok(GivenFences::default());
    };
    let operands = [("gva", 0), ("gpa", 1), ("asid", 2), ("vmid", 3)];
    let precise = |field: Field<'_>| -> Result<Given<Precision>> {
        let Given { value, span } = several(&field, "operand", &operands, true)?;
        let [gva, gpa, asid, vmid] = [0, 1, 2, 3].map(|operand| value.contains(&operand));
        let value = Precision {
            gva,
            gpa,
            asid,
            vmid,
        };
        Ok(Given { value, span })
    };
    Ok(GivenFences {
        precise: table.get("precise").map(precise).transpose()?,
        zero_is_all: flag(&table, "zero_is_all", false)?,
        ignores_bare: flag(&table, "ignores_bare", false)?,
    })
}

fn responses(file: &Table<'_>) -> Result<GivenResponses> {
    let mut responses = GivenResponses {
        tval2: Tval2::Exact,
        order: FaultOrder::Golden,
        outstanding: None,
    };
    let Some(table) = section(file, "responses", "[responses]")? else {
        return Ok(responses);
    };
    if let Some(field) = table.get("tval2") {
        responses.tval2 = field.choice(
            "rule for tval2",
            &[
                ("exact", Tval2::Exact),
                ("zero", Tval2::MayBeZero),
                ("absent", Tval2::Absent),
            ],
        )?;
    }
    if let Some(field) = table.get("order") {
        responses.order = field.choice(
            "order of faults",
            &[("golden", FaultOrder::Golden), ("any", FaultOrder::Any)],
        )?;
    }
    if let Some(field) = table.get("outstanding") {
        responses.outstanding = Some(Given {
            value: field.number_u32(1, 256)?,
            span: field.span,
        });
    }
    Ok(responses)
}

fn memory(file: &Table<'_>) -> Result<GivenMemory> {
    let Some(table) = section(file, "memory", "[memory]")? else {
        return Ok(GivenMemory::default());
    };
    let schemes = [
        ("none", UpdateScheme::None),
        ("compare-and-swap", UpdateScheme::CompareAndSwap),
        ("or", UpdateScheme::Or),
        ("write", UpdateScheme::Write),
    ];
    let updates = |field: Field<'_>| -> Result<Given<UpdateScheme>> {
        Ok(Given {
            value: field.choice("scheme of updates", &schemes)?,
            span: field.span,
        })
    };
    let boolean = |field: Field<'_>| -> Result<Given<bool>> {
        Ok(Given {
            value: field.boolean()?,
            span: field.span,
        })
    };
    Ok(GivenMemory {
        updates: table.get("updates").map(updates).transpose()?,
        errors: table.get("errors").map(boolean).transpose()?,
        reorder: table.get("reorder").map(boolean).transpose()?,
    })
}

fn context(file: &Table<'_>) -> Result<GivenContext> {
    let mut context = GivenContext {
        sampled: ContextTime::Request,
        csrs: false,
    };
    let Some(table) = section(file, "context", "[context]")? else {
        return Ok(context);
    };
    if let Some(field) = table.get("sampled") {
        let times = [
            ("request", ContextTime::Request),
            ("live", ContextTime::Live),
        ];
        context.sampled = field.choice("time", &times)?;
    }
    context.csrs = flag(&table, "csrs", false)?;
    Ok(context)
}

fn stalls(file: &Table<'_>) -> Result<[u32; 2]> {
    let table = section(file, "timing", "[timing]")?;
    let cycles = |key| match table.as_ref().and_then(|table| table.get(key)) {
        Some(field) => field.number_u32(1, 1_000_000),
        None => Ok(super::own::STALL),
    };
    Ok([cycles("stall")?, cycles("fence_stall")?])
}
