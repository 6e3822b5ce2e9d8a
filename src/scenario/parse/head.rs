// SPDX-License-Identifier: Apache-2.0
//! The sections before the operations that need no tables: the machine, and the behaviour of memory
//! and requester.

use std::ops::RangeInclusive;

use super::error::{Problem, Result, Span};
use super::limits;
use super::reader::{Field, Table, end_of, one_of};
use crate::addr::Hpa;
use crate::dut::DutError;
use crate::dut::description::Visibility;
use crate::dut::variants::{Foreign, IllegalParameter, Parameter, SecondTlb, WalkCacheEntries};
use crate::format::Format;
use crate::memory::{HostMemory, Region};
use crate::mmu::WalkCaches;
use crate::scenario::{Holes, Machine, Timing, write};

/// The largest latency of memory, in cycles.
const MOST_LATENCY: u32 = 1000;
/// The largest part of all cycles that memory or requester may be busy, in percent.
const MOST_BUSY: u32 = 90;
/// The largest number of cycles of `run`.
const MOST_RUN: u32 = 1000;
/// The largest number of words of one image block.
const MOST_IMAGE_WORDS: u64 = 1 << 20;
/// The largest memory for tables, in bytes. The allocator has a bit for each table in it.
const MOST_TABLE_ROOM: u64 = 1 << 36;

pub(super) fn machine(file: &Table<'_>) -> Result<Machine> {
    let formats: Vec<_> = Format::ALL.map(|format| (format.name(), format)).into();
    let names = formats.iter().map(|&(name, _)| name).collect::<Vec<_>>();
    let what = format!("a table with `format` = {}", one_of(&names));
    let field = file.require("machine", &what)?;
    let table = field.table("[machine]")?;
    table.only(&[
        "format",
        "device",
        "slots",
        "tlb",
        "walk_cache_entries",
        "walk_caches",
        "read_bypass",
        "max_levels",
        "svadu",
        "tlb2",
        "checked",
        "visibility",
    ])?;
    let format = table.require("format", &one_of(&names))?;
    let mut machine = Machine::of(format.choice("format", &formats)?);
    if let Some(checked) = table.get("checked") {
        machine.checked = checked.boolean()?;
    }
    if let Some(visibility) = table.get("visibility") {
        let levels = Visibility::ALL.map(|level| (level.name(), level));
        machine.visibility = visibility.choice("visibility", &levels)?;
    }
    if let Some(tlb) = table.get("tlb") {
        machine.tlb_entries = tlb.number_u32(1, u32::MAX)?;
    }
    if let Some(slots) = table.get("slots") {
        machine.slots = slots.number_u32(1, u32::MAX)?;
    }
    if let Some(entries) = table.get("walk_cache_entries") {
        machine.walk_cache_entries = walk_cache_entries(&entries)?;
    }
    if let Some(bypass) = table.get("read_bypass") {
        machine.read_bypass = bypass.boolean()?;
    }
    if let Some(levels) = table.get("max_levels") {
        machine.max_levels = levels.number_u32(2, 5)?;
    }
    if let Some(svadu) = table.get("svadu") {
        machine.svadu = svadu.boolean()?;
    }
    if let Some(size) = table.get("tlb2") {
        machine.tlb2 = Some(second_tlb(&size)?);
    }
    if let Some(device) = table.get("device") {
        let what = "the path of a device file or of a shared object";
        let path = device.string(what)?;
        if path.is_empty() || path.contains('\0') {
            return Err(device.wrong(format!("`device` = {path:?} is no path"), what));
        }
        // The device is loaded when it is needed. The other keys describe it.
        machine.foreign = Some(Foreign::at(path));
    } else if let Err(DutError::Illegal(illegal)) = machine.variant() {
        let field = table.get(key_of(illegal.parameter));
        let place = field.map_or(format.span, |field| field.span);
        return Err(no_device(&illegal, &machine, &place));
    }
    if let Some(caches) = table.get("walk_caches") {
        machine.walk_caches = walk_caches(&caches, &machine)?;
    }
    Ok(machine)
}

/// Returns the key of `[machine]` for a parameter.
fn key_of(parameter: Parameter) -> &'static str {
    match parameter {
        Parameter::Slots => "slots",
        Parameter::Tlb => "tlb",
        Parameter::GuestCache | Parameter::HostCache | Parameter::NestedTlb => "walk_cache_entries",
        Parameter::ReadBypass => "read_bypass",
        Parameter::MaxLevels => "max_levels",
        Parameter::Svadu => "svadu",
        Parameter::Tlb2 => "tlb2",
        Parameter::Checked => "checked",
    }
}

/// Reads the entries of the walk caches: a number for all three, or a table with one for each.
fn walk_cache_entries(field: &Field<'_>) -> Result<WalkCacheEntries> {
    if field.is_integer() {
        return Ok(WalkCacheEntries::all(field.number_u32(0, u32::MAX)?));
    }
    let table = field.table("a number, or a table of `guest`, `host` and `nested`")?;
    table.only(&WalkCaches::NAMES)?;
    let entries = |key| {
        let what = "its entries; 0: the device has no such cache";
        table.require(key, what)?.number_u32(0, u32::MAX)
    };
    Ok(WalkCacheEntries {
        guest: entries("guest")?,
        host: entries("host")?,
        nested: entries("nested")?,
    })
}

fn second_tlb(field: &Field<'_>) -> Result<SecondTlb> {
    let table = field.table("tlb2")?;
    table.only(&["sets", "ways", "superpages"])?;
    let number = |key, least| {
        let what = format!("a number from {least} on");
        table.require(key, &what)?.number_u32(least, u32::MAX)
    };
    Ok(SecondTlb {
        sets: number("sets", 1)?,
        ways: number("ways", 1)?,
        superpages: number("superpages", 0)?,
    })
}

/// Reads the walk caches in use, which the machine must have.
pub(super) fn walk_caches(field: &Field<'_>, machine: &Machine) -> Result<WalkCaches> {
    let mut caches = WalkCaches::default();
    let options = [0, 1, 2].map(|which| (WalkCaches::NAMES[which], which));
    for name in field.array(&format!("a list of {}", one_of(&WalkCaches::NAMES)))? {
        match name.choice("walk cache", &options)? {
            0 => caches.guest = true,
            1 => caches.host = true,
            _ => caches.nested = true,
        }
    }
    if caches.any() && !machine.walk_cache_entries.any() {
        return Err(Problem::at(
            &field.span,
            format!("a {} machine has no walk caches", machine.format),
        )
        .help("remove `walk_caches`"));
    }
    let there = machine.walk_caches_there(caches);
    if let Some(name) = caches
        .names()
        .find(|name| there.names().all(|other| other != *name))
    {
        return Err(Problem::at(
            &field.span,
            format!("this machine has no {name} walk cache: its entries are 0"),
        )
        .help("`walk_cache_entries` gives the entries of each walk cache"));
    }
    Ok(caches)
}

/// Returns the error of illegal parameters.
fn no_device(illegal: &IllegalParameter, machine: &Machine, place: &Span) -> Box<Problem> {
    let IllegalParameter {
        parameter,
        value,
        legal,
    } = illegal;
    let key = key_of(*parameter);
    let value = match parameter {
        Parameter::GuestCache | Parameter::HostCache | Parameter::NestedTlb => {
            match machine.walk_cache_entries.same() {
                Some(entries) => entries.to_string(),
                None => write::walk_cache_entries(machine.walk_cache_entries),
            }
        }
        Parameter::Tlb2 => machine.tlb2.map_or_else(String::new, write::second_tlb),
        _ => value.clone(),
    };
    let format = machine.format;
    Problem::at(
        place,
        format!("there is no {format} machine with {key} = {value}"),
    )
    .label(format!("expected {legal}"))
}

/// `[memory]`.
pub(super) struct Memory {
    pub(super) holes: Holes,
    pub(super) timing: Timing,
    /// The memory for host tables: its start and its size in bytes.
    pub(super) tables: Option<(Hpa, u64)>,
    /// The place of `tables` in the file.
    pub(super) tables_span: Span,
    /// Sorted by address.
    pub(super) images: Vec<Image>,
    /// Sorted by address.
    pub(super) regions: Vec<Region>,
}

/// `[[memory.image]]`.
pub(super) struct Image {
    pub(super) at: u64,
    pub(super) words: Vec<u64>,
    pub(super) repeat: u64,
    word_bytes: u64,
    pub(super) span: Span,
}

impl Image {
    /// Returns the address after the last word.
    pub(super) fn end(&self) -> u64 {
        self.at + self.words.len() as u64 * self.repeat * self.word_bytes
    }
}

impl Memory {
    pub(super) fn read(file: &Table<'_>, format: Format) -> Result<Self> {
        let mut memory = Self {
            holes: Holes::Reject,
            timing: Timing::default(),
            tables: None,
            tables_span: 0..0,
            images: Vec::new(),
            regions: Vec::new(),
        };
        let Some(field) = file.get("memory") else {
            return Ok(memory);
        };
        let table = field.table("[memory]")?;
        table.only(&[
            "holes",
            "tables",
            "seed",
            "latency",
            "busy",
            "run",
            "errors",
            "reorder",
            "after_valid",
            "image",
            "region",
        ])?;
        if let Some(holes) = table.get("holes") {
            memory.holes = holes.choice(
                "rule for holes",
                &[("reject", Holes::Reject), ("fault", Holes::Fault)],
            )?;
        }
        memory_timing(&table, &mut memory.timing)?;
        if let Some(tables) = table.get("tables") {
            memory.tables = Some(table_room(&tables, format)?);
            memory.tables_span = tables.span;
        }
        let mut words = 0;
        for image in table.tables("image", "[[memory.image]]")? {
            let image = read_image(&image, format)?;
            words += image.words.len() as u64 * image.repeat;
            limits::check_images(words, &HostMemory::new(format), &image.span)?;
            memory.images.push(image);
        }
        memory.images.sort_by_key(|image| image.at);
        for pair in memory.images.windows(2) {
            let [lower, upper] = pair else { continue };
            if upper.at < lower.end() {
                let (first, second) = if lower.span.start < upper.span.start {
                    (lower, upper)
                } else {
                    (upper, lower)
                };
                return Err(Problem::at(
                    &second.span,
                    format!(
                        "overlapping images: both have a word at hPA 0x{:05X}",
                        upper.at
                    ),
                )
                .label("this one")
                .also(&first.span, "and this one"));
            }
        }
        memory.regions = regions(&table, format)?;
        Ok(memory)
    }
}

/// Reads `[[memory.region]]`.
fn regions(table: &Table<'_>, format: Format) -> Result<Vec<Region>> {
    let mut regions: Vec<(Region, Span)> = Vec::new();
    for table in table.tables("region", "[[memory.region]]")? {
        let from = table.require("from", "the hPA of its first byte")?;
        regions.push((read_region(&table, &from, format)?, from.span));
    }
    regions.sort_by_key(|(region, _)| region.from);
    for pair in regions.windows(2) {
        let [(lower, one), (upper, other)] = pair else {
            continue;
        };
        if upper.from.0 - lower.from.0 < lower.bytes {
            let (first, second) = if one.start < other.start {
                (one, other)
            } else {
                (other, one)
            };
            return Err(Problem::at(
                second,
                format!("overlapping regions: both have hPA {}", upper.from),
            )
            .label("this one")
            .also(first, "and this one"));
        }
    }
    Ok(regions.into_iter().map(|(region, _)| region).collect())
}

fn read_region(table: &Table<'_>, from: &Field<'_>, format: Format) -> Result<Region> {
    table.only(&["from", "bytes", "rights"])?;
    let geometry = format.geometry();
    let at = from.address("hPA", geometry.hpa_width)?;
    from.aligned("hPA", at, geometry.pte_bytes(), "words")?;
    let field = table.require("bytes", "its size")?;
    let bytes = field.number(geometry.pte_bytes(), (1 << geometry.hpa_width) - at)?;
    field.aligned("a size of", bytes, geometry.pte_bytes(), "words")?;
    let what = "the rights of a walk: `r`, read entries; `w`, update them; or neither, \"\"";
    let (read, write) = table.require("rights", what)?.choice(
        "rights",
        &[
            ("r", (true, false)),
            ("w", (false, true)),
            ("", (false, false)),
        ],
    )?;
    Ok(Region {
        from: Hpa(at),
        bytes,
        read,
        write,
    })
}

fn table_room(field: &Field<'_>, format: Format) -> Result<(Hpa, u64)> {
    let geometry = format.geometry();
    let table = field.table("`tables`")?;
    table.only(&["from", "bytes"])?;
    let from = table.require("from", "the hPA of the area for host tables")?;
    let at = from.address("hPA", geometry.hpa_width)?;
    from.aligned("hPA", at, geometry.pte_bytes(), "table entries")?;
    let bytes = table
        .require("bytes", "the size of the area for host tables")?
        .number(
            geometry.table_bytes(),
            ((1 << geometry.hpa_width) - at).min(MOST_TABLE_ROOM),
        )?;
    Ok((Hpa(at), bytes))
}

fn read_image(table: &Table<'_>, format: Format) -> Result<Image> {
    table.only(&["at", "words", "repeat"])?;
    let geometry = format.geometry();
    let (width, word_bytes) = (geometry.hpa_width, geometry.pte_bytes());
    let start = table.require("at", "the hPA of the first word")?;
    let at = start.address("hPA", width)?;
    start.aligned("hPA", at, word_bytes, "words")?;
    let field = table.require("words", "a list of words")?;
    let words = field
        .array("a list of words")?
        .iter()
        .map(|word| word.word(format))
        .collect::<Result<Vec<u64>>>()?;
    if words.is_empty() {
        return Err(field.wrong("an image without words", "a list of words"));
    }
    let repeat = match table.get("repeat") {
        Some(repeat) => repeat.number(1, (MOST_IMAGE_WORDS / words.len() as u64).max(1))?,
        None => 1,
    };
    let count = words.len() as u64 * repeat;
    if end_of(at, count, word_bytes, width).is_none() {
        return Err(field.wrong(
            format!("{count} words from hPA 0x{at:05X} on exceed the machine's memory"),
            format!("an hPA has {width} bits"),
        ));
    }
    Ok(Image {
        at,
        words,
        repeat,
        word_bytes,
        span: start.span,
    })
}

/// Reads the keys of memory that describe its behaviour. Returns true if there are any.
pub(super) fn memory_timing(table: &Table<'_>, timing: &mut Timing) -> Result<()> {
    if let Some(seed) = table.get("seed") {
        timing.seed = seed.number(0, u64::MAX)?;
    }
    if let Some(field) = table.get("latency") {
        timing.latency = latency(&field)?;
    }
    if let Some(busy) = table.get("busy") {
        timing.memory_busy = busy.number_u32(0, MOST_BUSY)?;
    }
    if let Some(run) = table.get("run") {
        timing.memory_run = run.number_u32(0, MOST_RUN)?;
    }
    if let Some(errors) = table.get("errors") {
        timing.errors = errors.number_u32(0, 1000)?;
    }
    if let Some(reorder) = table.get("reorder") {
        timing.reorder = reorder.boolean()?;
    }
    if let Some(after_valid) = table.get("after_valid") {
        timing.after_valid = after_valid.boolean()?;
    }
    Ok(())
}

fn latency(field: &Field<'_>) -> Result<RangeInclusive<u32>> {
    if field.is_integer() {
        let cycles = field.number_u32(1, MOST_LATENCY)?;
        return Ok(cycles..=cycles);
    }
    let expected = format!("cycles, 1 to {MOST_LATENCY}, or a list of the least and the most");
    let [least, most] = &field.array(&expected)?[..] else {
        return Err(field.wrong(
            "`latency` is a list, but does not have two numbers",
            expected,
        ));
    };
    let least = least.number_u32(1, MOST_LATENCY)?;
    let most_cycles = most.number_u32(1, MOST_LATENCY)?;
    if most_cycles < least {
        return Err(most.wrong(
            format!("the least `latency` is {least}, but the most is {most_cycles}"),
            format!("{least} to {MOST_LATENCY}"),
        ));
    }
    Ok(least..=most_cycles)
}

/// Reads `[requests]`. Returns true if there is one access at a time.
pub(super) fn requests(file: &Table<'_>, timing: &mut Timing) -> Result<bool> {
    let Some(field) = file.get("requests") else {
        return Ok(false);
    };
    let table = field.table("[requests]")?;
    table.only(&[
        "idle",
        "response_busy",
        "run",
        "response_after_valid",
        "one_at_a_time",
    ])?;
    request_timing(&table, timing)?;
    table
        .get("one_at_a_time")
        .map_or(Ok(false), |field| field.boolean())
}

/// Reads the keys of the requester that describe its behaviour.
pub(super) fn request_timing(table: &Table<'_>, timing: &mut Timing) -> Result<()> {
    if let Some(idle) = table.get("idle") {
        timing.request_idle = idle.number_u32(0, MOST_BUSY)?;
    }
    if let Some(busy) = table.get("response_busy") {
        timing.response_busy = busy.number_u32(0, MOST_BUSY)?;
    }
    if let Some(run) = table.get("run") {
        timing.request_run = run.number_u32(0, MOST_RUN)?;
    }
    if let Some(after_valid) = table.get("response_after_valid") {
        timing.response_after_valid = after_valid.boolean()?;
    }
    Ok(())
}

/// Reads the `name` of a table, which no other table of its kind may have.
pub(super) fn unique_name<'a>(
    table: &Table<'a>,
    kind: &str,
    names: &mut Vec<(&'a str, Span)>,
) -> Result<&'a str> {
    let field = table.require("name", "a name, by which the rest of the file refers to it")?;
    let name = field.string("a name, in quotes")?;
    if let Some((_, first)) = names.iter().find(|&&(other, _)| other == name) {
        return Err(Problem::at(
            &field.span,
            format!("a second {kind} with the name `{name}`"),
        )
        .also(first, "the first"));
    }
    let most = limits::most_named(kind);
    if names.len() == most {
        return Err(Problem::at(&field.span, format!("too many {kind}s"))
            .label(format!("a file has at most {most}")));
    }
    names.push((name, field.span));
    Ok(name)
}
